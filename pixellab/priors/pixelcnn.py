"""Gated PixelCNN: a prior over pixels made of masked convolutions.

Sources: van den Oord et al., "Pixel Recurrent Neural Networks" (2016), the
masks, and "Conditional Image Generation with PixelCNN Decoders" (2016), the
stacks, gates and labels; Ramachandran et al. (2017), the cached sampler.
"""

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import nn

from pixellab.parts import arguments


class MaskedConv2d(nn.Conv2d):
    """Convolution over pixels at or before the present one, in raster order.

    The kernel reaches `up` rows up, `left` and `right` columns to the sides,
    and has no rows below. Of the present row the mask hides what comes later:
    "A" the present pixel too, except its earlier colour channels; "B" not
    the present pixel; None nothing (for a stack that is given the image
    shifted down by one row). Feature i belongs to colour i % channels.

    (B, in_features, H, W) -> (B, out_features, H, W)
    """

    def __init__(self, in_features, out_features, up=0, left=0, right=0,
                 mask="B", channels=1, dilation=1):
        super().__init__(in_features, out_features, (up + 1, left + 1 + right),
                         dilation=dilation)
        self.reach = [left * dilation, right * dilation, up * dilation, 0]
        visible = torch.ones_like(self.weight)  # (out, in, rows, columns)
        if mask is not None:
            visible[:, :, -1, left + 1:] = 0
            colour_out = torch.arange(out_features)[:, None] % channels
            colour_in = torch.arange(in_features)[None, :] % channels
            sees = colour_out > colour_in if mask == "A" \
                else colour_out >= colour_in
            visible[:, :, -1, left] = sees.float()
        self.register_buffer("visible", visible, persistent=False)

    def masked_weight(self):
        return self.weight * self.visible  # a new tensor: weight stays whole

    def forward(self, x):
        return F.conv2d(F.pad(x, self.reach), self.masked_weight(), self.bias,
                        dilation=self.dilation)


def gate(x):
    """tanh(a) * sigmoid(b) of the two halves of the features (dim 1)."""
    signal, switch = x.chunk(2, dim=1)
    return torch.tanh(signal) * torch.sigmoid(switch)


class GatedBlock(nn.Module):
    """One layer of both stacks.

    v (B, width, H, W) knows the rows above; h (B, width, H, W) knows those
    and the pixels to the left. Information flows from v to h, never back.
    """

    def __init__(self, width, dilation=1, channels=1, num_classes=10):
        super().__init__()
        self.vertical = MaskedConv2d(width, 2 * width, up=1, left=1, right=1,
                                     mask=None, dilation=dilation)
        self.vertical_out = nn.Conv2d(width, width, 1)
        self.across = nn.Conv2d(2 * width, 2 * width, 1)
        self.horizontal = MaskedConv2d(width, 2 * width, left=1,
                                       channels=channels, dilation=dilation)
        self.horizontal_out = MaskedConv2d(width, width, channels=channels)
        self.label = nn.Embedding(num_classes + 1, 4 * width)

    def forward(self, v, h, labels):
        bias = self.label(labels).to(v.dtype)[:, :, None, None]  # keep bf16
        bias_v, bias_h = bias.chunk(2, dim=1)
        rows_above = self.vertical(v)
        row_so_far = self.horizontal(h) + self.across(rows_above)
        v = v + self.vertical_out(gate(rows_above + bias_v))
        h = h + self.horizontal_out(gate(row_so_far + bias_h))
        return v, h


class PixelCNN(nn.Module):
    """Gated PixelCNN over `size` pixels of `channels` colours.

    width: features of each stack; dilations: one a block, of which each
    offset up to 26 is a sum, so that every pixel sees all earlier ones; head:
    the width before the softmax over `levels`. Class `num_classes` is the
    null class.

    tokens int64 (B, H * W * channels), labels int64 (B,)
    -> logits (B, H * W * channels, levels); logits[:, t] sees tokens[:, :t].
    """

    def __init__(self, levels=256, size=(28, 28), channels=1, width=64,
                 dilations=(1, 2, 4, 8, 1, 2, 8), head=128, num_classes=10):
        super().__init__()
        if width % channels or head % channels:
            raise ValueError(f"width and head must be multiples of {channels}")
        self.config = arguments(locals())
        self.levels, self.size, self.channels = levels, size, channels
        self.num_classes = num_classes
        self.first_vertical = MaskedConv2d(channels, width, up=2, left=3,
                                           right=3, mask=None)
        self.first_horizontal = MaskedConv2d(channels, width, left=3,
                                             mask="A", channels=channels)
        self.blocks = nn.ModuleList(
            GatedBlock(width, dilation, channels, num_classes)
            for dilation in dilations)
        self.hidden = MaskedConv2d(width, head, channels=channels)
        self.out = MaskedConv2d(head, levels * channels, channels=channels)

    def brightness(self, tokens):
        """Levels 0 .. levels - 1 to -1 .. 1; outside the image stands 0."""
        return 2 * tokens.to(self.out.weight.dtype) / (self.levels - 1) - 1

    def forward(self, tokens, labels):
        x = rearrange(self.brightness(tokens), "b (h w c) -> b c h w",
                      h=self.size[0], w=self.size[1])
        x = x.contiguous(memory_format=torch.channels_last)
        v = self.first_vertical(F.pad(x, (0, 0, 1, -1)))  # one row down
        h = self.first_horizontal(x)
        for block in self.blocks:
            v, h = block(v, h, labels)
        logits = self.out(F.relu(self.hidden(F.relu(v + h))))
        return rearrange(logits, "b (v c) h w -> b (h w c) v", c=self.channels)

    def start(self, labels):
        """The state of `step`, labels (B,): a generator, sent tokens, that
        yields logits. The vertical stack runs a row at a time, the horizontal
        one a pixel at a time, on inputs padded with zeros once."""
        (height, columns), weight = self.size, self.out.weight
        image = weight.new_zeros(len(labels), self.channels, height + 3,
                                 columns + 6)
        layers = [LayerCache(block, labels, self.size)
                  for block in self.blocks]
        first, *head = map(matrix, (self.first_horizontal, self.hidden,
                                    self.out))
        for row in range(height):
            v = unpadded(self.first_vertical, image[:, :, row:row + 3])
            for layer in layers:
                v = layer.new_row(row, v)
            here = v[:, :, 0].permute(2, 0, 1)  # (columns, B, width)
            for column in range(columns):
                for colour in range(self.channels):
                    seen = image[:, :, row + 3, column:column + 4]
                    h = F.linear(seen.flatten(1), *first)
                    for layer in layers:
                        h = layer.new_pixel(column, h)
                    h = here[column] + h
                    for conv in head:
                        h = F.linear(F.relu(h), *conv)
                    token = yield h[:, colour::self.channels]
                    image[:, colour, row + 3, column + 3] = self.brightness(
                        token)

    @torch.no_grad()
    def step(self, state, token=None):
        """Logits (B, levels) of the next position; token (B,) is the one
        just drawn, None at the first."""
        return state.send(token)


class LayerCache:
    """What one GatedBlock, of dilation d, was given and has computed.

    rows (B, width, H + d, W + 2 d): inputs of its vertical convolution;
    row (W + d, B, width): inputs of its horizontal one, in this row;
    above (W, B, 2 width): what its vertical stack says to this row.
    """

    def __init__(self, block, labels, size):
        d = self.dilation = block.vertical.dilation[0]
        bias_v, bias_h = block.label(labels).chunk(2, dim=1)
        self.block, self.out = block, matrix(block.horizontal_out)
        self.bias_v = bias_v[:, :, None, None]
        self.bias_h = bias_h + block.horizontal.bias
        (height, columns), batch = size, len(labels)
        width = block.vertical_out.out_channels
        self.rows = bias_v.new_zeros(batch, width, height + d, columns + 2 * d)
        self.row = bias_v.new_zeros(columns + d, batch, width)
        taps = block.horizontal.masked_weight()[:, :, 0]
        self.left, self.here = taps.permute(2, 1, 0).contiguous()

    def new_row(self, row, v):
        """v (B, width, 1, W) of this row, to the v of the next layer."""
        block, d = self.block, self.dilation
        self.rows[:, :, row + d, d:-d] = v[:, :, 0]
        above = unpadded(block.vertical, self.rows[:, :, row:row + d + 1])
        self.above = block.across(above)[:, :, 0].permute(2, 0, 1) \
            + self.bias_h
        return v + block.vertical_out(gate(above + self.bias_v))

    def new_pixel(self, column, h):
        """h (B, width) of this column, to the h of the next layer."""
        self.row[column + self.dilation] = h
        x = torch.addmm(self.above[column], self.row[column], self.left)
        return h + F.linear(gate(x.addmm_(h, self.here)), *self.out)


def matrix(conv):
    """A masked one-row convolution as (weight (out, in * columns), bias)."""
    return conv.masked_weight().flatten(1), conv.bias


unpadded = nn.Conv2d.forward  # over rows that carry their zeros already
