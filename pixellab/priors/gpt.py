"""GPT: a decoder-only transformer over a grid of tokens of any vocabulary.

Sources: Vaswani et al., "Attention Is All You Need" (2017); Radford et al.,
"Language Models are Unsupervised Multitask Learners" (2019), for the blocks
that normalise first; Chen et al., "Generative Pretraining from Pixels"
(2020), for images as sequences.
"""

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import nn

ONEDNN = (torch.backends.mkldnn.is_available()
          and hasattr(torch.ops.mkldnn, "_linear_pointwise"))


class Linear(nn.Linear):
    """nn.Linear, made faster where a CPU draws many images at once.

    PyTorch multiplies float32 matrices by MKL, which runs at half the speed
    of oneDNN on AMD's processors. With few rows MKL is ahead everywhere.
    """

    def forward(self, x):
        if (ONEDNN and not torch.is_grad_enabled()
                and x.device.type == "cpu" and x.dtype == torch.float32
                and x.numel() >= 32 * self.in_features):
            return torch.ops.mkldnn._linear_pointwise(
                x, self.weight, self.bias, "none", [], "")
        return super().forward(x)


class SelfAttention(nn.Module):
    """Causal attention by `heads` heads: (B, T, width) -> (B, T, width).

    Place t sees places 0 .. t. The T x T weights are never all in memory.
    """

    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.qkv = Linear(width, 3 * width)
        self.out = Linear(width, width)

    def split(self, x):
        """Queries, keys, values: (3, B, heads, T, width / heads)."""
        return rearrange(self.qkv(x), "b t (three h c) -> three b h t c",
                         three=3, h=self.heads)

    def forward(self, x):
        q, k, v = self.split(x)
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.out(rearrange(y, "b h t c -> b t (h c)"))

    def step(self, x, cache, place, visible=None):
        """The same for one new place: x (B, 1, width), place (1,).

        cache (2, B, heads, T, c) holds the keys and values so far; visible
        (1, T) hides what is not known yet, None if all of it is.
        """
        q, k, v = self.split(x)                        # (B, heads, 1, c)
        cache[:, :, :, place] = torch.stack([k, v]).to(cache.dtype)
        keys, values = cache
        # for a single query plain products are faster than the fused kernel
        scores = (q * q.shape[3] ** -0.5).to(cache.dtype) @ keys.mT
        if visible is not None:
            scores = scores.masked_fill(~visible, -torch.inf)
        y = scores.softmax(dim=-1) @ values            # (B, heads, 1, c)
        return self.out(rearrange(y.to(x.dtype), "b h t c -> b t (h c)"))


class Block(nn.Module):
    """Look around, then think: attention and a two-layer perceptron.

    Each reads a normalised copy of x (B, T, width) and adds its answer.
    """

    def __init__(self, width, heads, dropout):
        super().__init__()
        self.norm_attention = nn.LayerNorm(width)
        self.attention = SelfAttention(width, heads)
        self.norm_mlp = nn.LayerNorm(width)
        self.mlp = nn.Sequential(
            Linear(width, 4 * width), nn.ReLU(inplace=True),
            Linear(4 * width, width))
        self.dropout = nn.Dropout(dropout)

    def forward(self, x):
        x = x + self.dropout(self.attention(self.norm_attention(x)))
        return x + self.dropout(self.mlp(self.norm_mlp(x)))

    def step(self, x, cache, place, visible):
        x = x + self.attention.step(self.norm_attention(x), cache, place,
                                    visible)
        return x + self.mlp(self.norm_mlp(x))


class GPT(nn.Module):
    """A transformer over `grid` = (rows, columns) tokens in raster order.

    Place t predicts token t. It is told its row and column, the label, and
    the tokens before it within `window` rows and columns (None: the previous
    token alone, as a GPT over text); what is further away it finds by
    attention. A label is a token, too; it also stands before the first one.
    It is read and has no logit, so that it can never be drawn. Label
    `num_classes` is the null class.

    tokens int64 (B, T), labels int64 (B,) -> logits (B, T, vocabulary), T up
    to rows * columns; logits[:, t] sees tokens[:, :t].
    """

    def __init__(self, vocabulary=256, grid=(28, 28), width=160, layers=2,
                 heads=5, window=2, embedding=32, dropout=0.0,
                 num_classes=10):
        super().__init__()
        if width % heads:
            raise ValueError(f"width {width} must be a multiple of the "
                             f"{heads} heads")
        if window is not None and window < 1:
            raise ValueError(f"window is {window}; it must be at least 1, or "
                             "None")
        self.config = {
            "vocabulary": vocabulary, "grid": list(grid), "width": width,
            "layers": layers, "heads": heads, "window": window,
            "embedding": embedding, "dropout": dropout,
            "num_classes": num_classes}
        self.vocabulary, self.grid = vocabulary, grid
        self.num_classes = num_classes
        self.back = neighbours(grid[1], window)
        self.token = nn.Embedding(vocabulary + num_classes + 1, embedding)
        self.mix = Linear(embedding * (1 + len(self.back)), width)
        self.row = nn.Embedding(grid[0], width)
        self.column = nn.Embedding(grid[1], width)
        self.blocks = nn.ModuleList(Block(width, heads, dropout)
                                    for _ in range(layers))
        self.norm = nn.LayerNorm(width)
        self.head = Linear(width, vocabulary)
        self.apply(small_weights)
        nn.init.normal_(self.token.weight)
        nn.init.normal_(self.mix.weight, std=self.mix.in_features ** -0.5 / 2)
        for block in self.blocks:  # what blocks add does not grow with depth
            for last in (block.attention.out, block.mlp[-1]):
                last.weight.data /= (2 * layers) ** 0.5

    def forward(self, tokens, labels):
        length, reach = tokens.shape[1], max(self.back)
        if length > self.grid[0] * self.grid[1]:
            raise ValueError(f"{length} tokens do not fit on a grid of "
                             f"{self.grid[0]} x {self.grid[1]}")
        label = (self.vocabulary + labels)[:, None]               # (B, 1)
        padded = torch.cat([label.expand(-1, reach), tokens], dim=1)
        told = [padded[:, reach - back:][:, :length] for back in self.back]
        told = torch.stack([label.expand(-1, length), *told], dim=2)
        x = self.embed(told, torch.arange(length, device=tokens.device))
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x))

    def embed(self, told, places):
        """Tokens (B, T, n) told to the places (T,) -> (B, T, width)."""
        columns = self.grid[1]
        return (self.mix(self.token(told).flatten(2))
                + self.row(places // columns) + self.column(places % columns))

    def start(self, labels):
        """Memory for `step`, for a batch with these labels (B,)."""
        return KVCache(self, labels)

    @torch.inference_mode()
    def step(self, cache, token=None):
        """Logits (B, vocabulary) of the next place, in raster order.

        token (B,) is the one just drawn, None at the first place.
        """
        if token is not None:
            cache.put(token)
        return self.decode(*cache.now())

    def decode(self, told, place, kv, visible):
        """One place through all blocks. On a GPU its shapes never change:
        `net.decode = torch.compile(net.decode)` pays in a long session.
        """
        half = kv[0].dtype == torch.float16
        with torch.autocast(place.device.type, torch.float16, half):
            x = self.embed(told, place)
            for block, cache in zip(self.blocks, kv, strict=True):
                x = block.step(x, cache, place, visible)
        return self.head(self.norm(x))[:, 0]  # logits in full precision


class KVCache:
    """Keys and values of the places so far: nothing is computed twice.

    kv (2, B, heads, places, c) for each layer, float16 on a GPU; tokens (B,
    reach + places).
    """

    def __init__(self, net, labels):
        weight, places = net.head.weight, net.grid[0] * net.grid[1]
        width, heads = net.config["width"], net.config["heads"]
        self.places = torch.arange(places, device=weight.device)
        self.count = 0  # tokens known so far
        self.reach = max(net.back)
        self.tokens = (net.vocabulary + labels)[:, None].repeat(
            1, self.reach + places)  # labels, until `put` overwrites them
        self.back = torch.tensor([0, *net.back], device=weight.device)
        self.fixed = weight.is_cuda  # the same shapes at every place
        self.kv = [torch.zeros(
            2, len(labels), heads, places, width // heads,
            dtype=torch.float16 if self.fixed else weight.dtype,
            device=weight.device) for _ in net.blocks]

    def put(self, token):
        """Note the token just drawn."""
        if self.count + 1 == len(self.places):
            raise ValueError("all places are drawn: start anew")
        self.tokens[:, self.reach + self.count] = token
        self.count += 1

    def now(self):
        """What `GPT.decode` must know of the present place."""
        place = self.places[self.count, None]
        told = self.tokens[:, None, self.reach + self.count - self.back]
        if self.fixed:
            return told, place, self.kv, self.places[None] <= place
        so_far = [cache[..., :self.count + 1, :] for cache in self.kv]
        return told, place, so_far, None


def small_weights(module):
    """The start of Radford et al. (2019): no layer is sure of anything."""
    if isinstance(module, (nn.Linear, nn.Embedding)):
        nn.init.normal_(module.weight, std=0.02)
    if isinstance(module, nn.Linear):
        nn.init.zeros_(module.bias)


def neighbours(columns, window):
    """How many places back each token lies that the input is told of.

    At the edges the window goes on in the next row: known tokens all the
    same, and the row and column tell the network where it is.
    """
    if window is None:
        return [1]
    square = [up * columns + left for up in range(window + 1)
              for left in range(-window, window + 1)]
    return sorted({back for back in square if back > 0})
