"""GPT: a decoder-only transformer over a grid of tokens of any vocabulary.

Sources: Vaswani et al. (2017); Radford et al. (2019), blocks that normalise
first; Chen et al. (2020), images as sequences.
"""

import contextlib
from types import SimpleNamespace

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import nn

from pixellab.tokenizers.grid import arguments

ONEDNN = (torch.backends.mkldnn.is_available()
          and hasattr(torch.ops.mkldnn, "_linear_pointwise"))


class Linear(nn.Linear):
    """nn.Linear, faster where a CPU draws many images at once: with 32 rows
    or more, oneDNN has twice the speed of PyTorch's MKL on AMD processors."""

    def forward(self, x):
        if (ONEDNN and not torch.is_grad_enabled()
                and x.device.type == "cpu" and x.dtype == torch.float32
                and x.numel() >= 32 * self.in_features):
            return torch.ops.mkldnn._linear_pointwise(
                x, self.weight, self.bias, "none", [], "")
        return super().forward(x)


class SelfAttention(nn.Module):
    """Causal attention by `heads` heads: (B, T, width) -> (B, T, width).

    Place t sees places 0 .. t; the T x T weights are never all in memory.
    With a cache x is the one new place, number `place` (1,): keys and values
    so far stand in cache (2, B, heads, t, c), visible (t,) are those known
    (None: all).
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

    def forward(self, x, cache=None, place=None, visible=None):
        q, k, v = self.split(x)
        if cache is None:
            y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        else:
            cache[:, :, :, place] = torch.stack([k, v]).to(cache.dtype)
            keys, values = cache
            # for one query plain products are faster than the fused kernel
            scores = (q * q.shape[3] ** -0.5).to(cache.dtype) @ keys.mT
            if visible is not None:
                scores = scores.masked_fill(~visible, -torch.inf)
            y = (scores.softmax(dim=-1) @ values).to(x.dtype)
        return self.out(rearrange(y, "b h t c -> b t (h c)"))


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

    def forward(self, x, *memory):
        x = x + self.dropout(self.attention(self.norm_attention(x), *memory))
        return x + self.dropout(self.mlp(self.norm_mlp(x)))


class GPT(nn.Module):
    """A transformer over `grid` = (rows, columns) tokens in raster order.

    Place t predicts token t. It is told its row and column, the label, and
    the tokens before it within `window` rows and columns (None: the previous
    token alone); what is further away it finds by attention. A label is a
    token that also stands before the first one and can never be drawn. Label
    `num_classes` is the null class.

    tokens int64 (B, T), labels int64 (B,) -> logits (B, T, vocabulary), T up
    to rows * columns; logits[:, t] sees tokens[:, :t].
    """

    def __init__(self, vocabulary=256, grid=(28, 28), width=160, layers=2,
                 heads=5, window=2, embedding=32, dropout=0.0,
                 num_classes=10):
        super().__init__()
        if width % heads or (window is not None and window < 1):
            raise ValueError(f"width {width} must be a multiple of the {heads}"
                             f" heads, and window {window} None or 1, 2, ...")
        self.config = arguments(locals())
        self.vocabulary, self.grid = vocabulary, grid
        self.num_classes = num_classes
        back = neighbours(grid[1], window)
        self.reach = max(back)
        places = torch.arange(grid[0] * grid[1])
        told = self.reach + places[:, None] - torch.tensor([back])
        self.register_buffer("places", places, persistent=False)
        self.register_buffer("told", F.pad(told, (1, 0)), persistent=False)
        self.token = nn.Embedding(vocabulary + num_classes + 1, embedding)
        self.mix = Linear(embedding * self.told.shape[1], width)
        self.row = nn.Embedding(grid[0], width)
        self.column = nn.Embedding(grid[1], width)
        self.blocks = nn.ModuleList(Block(width, heads, dropout)
                                    for _ in range(layers))
        self.norm = nn.LayerNorm(width)
        self.head = Linear(width, vocabulary)
        for part in self.modules():  # at first no layer is sure of anything
            if isinstance(part, nn.Linear | nn.Embedding):
                nn.init.normal_(part.weight, std=0.02)
            if isinstance(part, nn.Linear):
                nn.init.zeros_(part.bias)
        nn.init.normal_(self.token.weight)
        nn.init.normal_(self.mix.weight, std=self.mix.in_features ** -0.5 / 2)
        for block in self.blocks:  # what blocks add does not grow with depth
            for last in (block.attention.out, block.mlp[-1]):
                last.weight.data /= (2 * layers) ** 0.5

    def forward(self, tokens, labels):
        label = (self.vocabulary + labels)[:, None]
        line = torch.cat([label.expand(-1, self.reach), tokens], dim=1)
        x = self.read(line, self.places[:tokens.shape[1]])
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x))

    def read(self, line, places):
        """What the places (T,) are told of a line (B, reach + T) of labels,
        then tokens: (B, T, width)."""
        told = self.token(line[:, self.told[places]])
        return (self.mix(told.flatten(2)) + self.row(places // self.grid[1])
                + self.column(places % self.grid[1]))

    def start(self, labels):
        """The state of `step`, labels (B,): `count` tokens are known, kv
        holds keys and values (layers, 2, B, heads, places, c)."""
        weight, places = self.head.weight, len(self.places)
        width, heads = self.config["width"], self.config["heads"]
        fixed = weight.is_cuda  # the same shapes at every place
        kv = weight.new_zeros(
            len(self.blocks), 2, len(labels), heads, places, width // heads,
            dtype=torch.half if fixed else weight.dtype)
        line = (self.vocabulary + labels)[:, None].repeat(
            1, self.reach + places)
        return SimpleNamespace(fixed=fixed, count=0, line=line, kv=kv)

    @torch.inference_mode()
    def step(self, state, token=None):
        """Logits (B, vocabulary) of the next place; token (B,) is the one
        just drawn, None at the first place."""
        if token is not None:
            state.line[:, self.reach + state.count] = token
            state.count += 1
        place = self.places[state.count, None]
        if state.fixed:
            return self.decode(state.line, place, state.kv,
                               self.places <= place)
        so_far = state.kv[..., :state.count + 1, :]
        return self.decode(state.line, place, so_far)

    def decode(self, line, place, kv, visible=None):
        """One place through all blocks. On a GPU its shapes never change:
        `net.decode = torch.compile(net.decode)` pays in a long session."""
        half = kv.dtype == torch.half
        with torch.autocast(place.device.type, torch.half) if half \
                else contextlib.nullcontext():  # which no device lacks
            x = self.read(line, place)
            for block, cache in zip(self.blocks, kv, strict=True):
                x = block(x, cache, place, visible)
        return self.head(self.norm(x))[:, 0]  # logits in full precision


def neighbours(columns, window):
    """How many places back each token lies that the input is told of. (At the
    edges the window goes on in the next row: known tokens all the same.)"""
    if window is None:
        return [1]
    square = [up * columns + left for up in range(window + 1)
              for left in range(-window, window + 1)]
    return sorted({back for back in square if back > 0})
