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

from pixellab.parts import arguments

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

    Place t sees the places `kept` (S,) up to t, as visible (T, S) says (None:
    all up to t). `shared`: the heads have one key and one value in common
    (Shazeer, 2019), and the cache is that much smaller.

    With a cache x is one new place: its key and value go into the slot (a
    slice or (1,); None for a place that is not kept) of cache
    (2, B, groups, S, c), and visible (S,) are those it sees (None: all).
    """

    def __init__(self, width, heads, shared=False):
        super().__init__()
        self.heads, self.groups = heads, 1 if shared else heads
        self.sizes = [width] + 2 * [self.groups * (width // heads)]
        self.qkv = Linear(width, sum(self.sizes))
        self.out = Linear(width, width)

    def split(self, x):
        """Queries (B, heads, T, c), keys and values (B, groups, T, c)."""
        q, k, v = self.qkv(x).split(self.sizes, dim=2)
        return (rearrange(q, "b t (h c) -> b h t c", h=self.heads),
                *(rearrange(each, "b t (g c) -> b g t c", g=self.groups)
                  for each in (k, v)))

    def forward(self, x, kept=None, visible=None, cache=None, slot=None):
        q, k, v = self.split(x)
        if cache is not None:
            y = self.look_up(q, k, v, visible, cache, slot)
        else:
            if kept is not None:
                k, v = k[:, :, kept], v[:, :, kept]
            k, v = (each.expand(-1, self.heads, -1, -1) for each in (k, v))
            y = F.scaled_dot_product_attention(q, k, v, visible,
                                               is_causal=visible is None)
        return self.out(rearrange(y, "b h t c -> b t (h c)"))

    @staticmethod
    def look_up(q, k, v, visible, cache, slot):
        """What one place finds in a cache that receives it first: for one
        query plain products are faster than the fused kernel."""
        if slot is not None:
            cache[:, :, :, slot] = torch.stack([k, v]).to(cache.dtype)
        keys, values = cache
        q = (q * q.shape[3] ** -0.5).to(cache.dtype)
        # the heads that share a key stand below each other
        scores = q.reshape(len(q), keys.shape[1], -1, q.shape[3]) @ keys.mT
        if visible is not None:
            scores = scores.masked_fill(~visible, -torch.inf)
        return (scores.softmax(dim=-1) @ values).reshape(q.shape).to(k.dtype)


class Block(nn.Module):
    """Look around, then think: attention and a two-layer perceptron.

    Each reads a normalised copy of x (B, T, width) and adds its answer.
    """

    def __init__(self, width, heads, dropout, shared=False):
        super().__init__()
        self.norm_attention = nn.LayerNorm(width)
        self.attention = SelfAttention(width, heads, shared)
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
    token alone); what is further away it finds by attention, which looks
    back at every `spacing`-th place. (If spacing is at most window, each
    token stands in the window of one of those, and nothing is out of sight.)
    `shared`: one key and value for all heads. A label is a token that also
    stands before the first one and can never be drawn. Label `num_classes` is
    the null class.

    tokens int64 (B, T), labels int64 (B,) -> logits (B, T, vocabulary), T up
    to rows * columns; logits[:, t] sees tokens[:, :t].
    """

    def __init__(self, vocabulary=256, grid=(28, 28), width=160, layers=2,
                 heads=5, window=2, embedding=32, dropout=0.0,
                 num_classes=10, spacing=1, shared=False):
        super().__init__()
        if width % heads or (window is not None and window < 1):
            raise ValueError(f"width {width} must be a multiple of the {heads}"
                             f" heads, and window {window} None or 1, 2, ...")
        if not 1 <= spacing <= (window or 1):
            raise ValueError(f"spacing is {spacing}; it must be 1 to "
                             f"{window or 1}, the window: else some tokens "
                             "are out of sight")
        self.config = arguments(locals())
        self.vocabulary, self.grid = vocabulary, grid
        self.num_classes = num_classes
        back = neighbours(grid[1], window)
        self.reach = max(back)
        places = torch.arange(grid[0] * grid[1])
        told = self.reach + places[:, None] - torch.tensor([back])
        self.register_buffer("places", places, persistent=False)
        self.register_buffer("told", F.pad(told, (1, 0)), persistent=False)
        self.spacing = spacing
        self.token = nn.Embedding(vocabulary + num_classes + 1, embedding)
        self.mix = Linear(embedding * self.told.shape[1], width)
        self.row = nn.Embedding(grid[0], width)
        self.column = nn.Embedding(grid[1], width)
        self.blocks = nn.ModuleList(Block(width, heads, dropout, shared)
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
        places, memory = self.places[:tokens.shape[1]], ()
        if self.spacing > 1:
            kept = places[::self.spacing]
            memory = kept, kept <= places[:, None]
        x = self.read(line, places)
        for block in self.blocks:
            x = block(x, *memory)
        return self.head(self.norm(x))

    def read(self, line, places):
        """What the places (T,) are told of a line (B, reach + T) of labels,
        then tokens: (B, T, width)."""
        told = self.token(line[:, self.told[places]])
        return (self.mix(told.flatten(2)) + self.row(places // self.grid[1])
                + self.column(places % self.grid[1]))

    def start(self, labels):
        """The state of `step`, labels (B,): `count` tokens are known, kv
        holds keys and values (layers, 2, B, groups, slots, c)."""
        weight, groups = self.head.weight, self.blocks[0].attention.groups
        size = self.config["width"] // self.config["heads"]
        slots = -(-len(self.places) // self.spacing) + 1  # one that none sees
        fixed = weight.is_cuda  # the same shapes at every place
        kv = weight.new_zeros(
            len(self.blocks), 2, len(labels), groups, slots, size,
            dtype=torch.half if fixed else weight.dtype)
        line = (self.vocabulary + labels)[:, None].repeat(
            1, self.reach + len(self.places))
        return SimpleNamespace(fixed=fixed, count=0, line=line, kv=kv)

    @torch.inference_mode()
    def step(self, state, token=None):
        """Logits (B, vocabulary) of the next place; token (B,) is the one
        just drawn, None at the first place."""
        if token is not None:
            state.line[:, self.reach + state.count] = token
            state.count += 1
        place, kv = self.places[state.count, None], state.kv
        slot, between = divmod(state.count, self.spacing)
        if state.fixed:
            slots = torch.arange(kv.shape[4], device=kv.device)
            target = slots[-1:] if between else slots[slot, None]
            return self.decode(state.line, place, kv, target, slots <= slot)
        return self.decode(state.line, place, kv[..., :slot + 1, :],
                           None if between else slice(slot, slot + 1))

    def decode(self, line, place, kv, slot, visible=None):
        """One place through all blocks. On a GPU its shapes never change:
        `net.decode = torch.compile(net.decode)` pays in a long session."""
        half = kv.dtype == torch.half
        with torch.autocast(place.device.type, torch.half) if half \
                else contextlib.nullcontext():  # which no device lacks
            x = self.read(line, place)
            for block, cache in zip(self.blocks, kv, strict=True):
                x = block(x, None, visible, cache, slot)
        return self.head(self.norm(x))[:, 0]  # logits in full precision


def neighbours(columns, window):
    """How many places back each token lies that the input is told of. (At the
    edges the window goes on in the next row: known tokens all the same.)"""
    if window is None:
        return [1]
    square = [up * columns + left for up in range(window + 1)
              for left in range(-window, window + 1)]
    return sorted({back for back in square if back > 0})
