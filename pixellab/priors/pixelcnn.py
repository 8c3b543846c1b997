"""Gated PixelCNN: a prior over pixels made of masked convolutions.

Sources: van den Oord et al., "Pixel Recurrent Neural Networks" (2016), for
the masks; van den Oord et al., "Conditional Image Generation with PixelCNN
Decoders" (2016), for the two stacks, the gates and the labels; Ramachandran
et al., "Fast Generation for Convolutional Autoregressive Models" (2017), for
the cached sampler.
"""

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import nn


class MaskedConv2d(nn.Conv2d):
    """Convolution over pixels at or before the present one, in raster order.

    The kernel reaches `up` rows up, `left` columns to the left and `right`
    columns to the right; rows below are never seen, so it has none. The mask
    hides what comes later in the present row:

    - "A": the present pixel too, except its earlier colour channels;
    - "B": not the present pixel;
    - None: nothing is hidden (the vertical stack, which is given an image
      already shifted down by one row).

    With several colour channels, feature i belongs to colour i % channels.
    Shapes: (B, in_features, H, W) -> (B, out_features, H, W).
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

    `width` is the number of features of each stack (a multiple of
    `channels`), `dilations` has one number a block, `head` is the width
    before the softmax over `levels`. Class `num_classes` is the null class.

    tokens int64 (B, H * W * channels), labels int64 (B,)
    -> logits (B, H * W * channels, levels); logits[:, t] sees tokens[:, :t].
    """

    def __init__(self, levels=256, size=(28, 28), channels=1, width=64,
                 dilations=(1, 2, 1, 4, 1, 2, 1), head=128, num_classes=10):
        super().__init__()
        if width % channels or head % channels:
            raise ValueError(f"width {width} and head {head} must be "
                             f"multiples of the {channels} colour channels")
        self.config = {
            "levels": levels, "size": list(size), "channels": channels,
            "width": width, "dilations": list(dilations), "head": head,
            "num_classes": num_classes}
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
        height, columns = self.size
        x = rearrange(self.brightness(tokens), "b (h w c) -> b c h w",
                      h=height, w=columns)
        x = x.contiguous(memory_format=torch.channels_last)
        v = self.first_vertical(F.pad(x, (0, 0, 1, -1)))  # one row down
        h = self.first_horizontal(x)
        for block in self.blocks:
            v, h = block(v, h, labels)
        logits = self.out(F.relu(self.hidden(F.relu(v + h))))
        return rearrange(logits, "b (v c) h w -> b (h w c) v",
                         c=self.channels)

    def start(self, labels):
        """Memory for `step`, for a batch with these labels (B,)."""
        return PixelCache(self, labels)

    @torch.no_grad()
    def step(self, cache, token=None):
        """Logits (B, levels) of the next position, in raster order.

        token (B,) is the one just drawn, None at the first position.
        """
        if token is not None:
            cache.put(self.brightness(token))
        row, column, colour = cache.place()
        if column == 0 and colour == 0:
            cache.new_row(row)
        return cache.new_pixel(row, column)[:, colour::self.channels]


class PixelCache:
    """The features that later pixels look at: nothing is computed twice.

    The vertical stack runs a row at a time, the horizontal stack a pixel at
    a time; each keeps the inputs of every layer. Buffers carry the zeros
    that the convolutions pad with: image (B, channels, H + 3, W + 6). Tensors
    of the horizontal stack have the column first, so that one column is
    contiguous: (W, B, features).
    """

    def __init__(self, net, labels):
        self.net, self.count = net, 0  # count: tokens known so far
        height, columns = net.size
        weight = net.out.weight
        batch, width = len(labels), net.config["width"]
        self.image = weight.new_zeros(batch, net.channels, height + 3,
                                      columns + 6)
        self.layers = [LayerCache(block, labels, weight.new_zeros(
            batch, width, height, columns)) for block in net.blocks]
        self.first = matrix(net.first_horizontal)
        self.head = [matrix(net.hidden), matrix(net.out)]

    def put(self, brightness):
        """Note the token just drawn."""
        row, column, colour = self.place()
        self.image[:, colour, row + 3, column + 3] = brightness
        self.count += 1

    def place(self):
        """(row, column, colour) of the next token."""
        pixel, colour = divmod(self.count, self.net.channels)
        return *divmod(pixel, self.net.size[1]), colour

    def new_row(self, row):
        """Vertical stack for one row, and what it tells the horizontal."""
        v = unpadded(self.net.first_vertical, self.image[:, :, row:row + 3])
        for layer in self.layers:
            v = layer.new_row(row, v)
        self.v = v[:, :, 0].permute(2, 0, 1)  # (columns, B, width)

    def new_pixel(self, row, column):
        """Horizontal stack for one pixel: (B, levels * channels) logits."""
        weight, bias = self.first
        window = self.image[:, :, row + 3, column:column + 4]
        h = F.linear(window.flatten(1), weight, bias)
        for layer in self.layers:
            h = layer.new_pixel(column, h)
        h = self.v[column] + h
        for weight, bias in self.head:
            h = F.linear(F.relu(h), weight, bias)
        return h


class LayerCache:
    """PixelCache's share of one GatedBlock with dilation d.

    rows (B, width, H + d, W + 2 d): inputs of its vertical convolution;
    row (W + d, B, width): inputs of its horizontal one, in this row;
    above (W, B, 2 width): what its vertical stack says to this row.
    """

    def __init__(self, block, labels, zeros):
        d = self.dilation = block.vertical.dilation[0]
        self.block = block
        self.rows = F.pad(zeros, (d, d, d, 0))  # inputs of the vertical conv
        self.row = F.pad(zeros[:, :, 0], (d, 0)).permute(2, 0, 1).contiguous()
        self.bias_v, self.bias_h = block.label(labels).chunk(2, dim=1)
        taps, bias = block.horizontal.masked_weight(), block.horizontal.bias
        self.left, self.here = (taps[:, :, 0, i].t().contiguous()
                                for i in (0, 1))
        self.bias_h = self.bias_h + bias
        self.out = matrix(block.horizontal_out)

    def new_row(self, row, v):
        """v (B, width, 1, W) of this row, to the v of the next layer."""
        block, d = self.block, self.dilation
        self.rows[:, :, row + d, d:-d] = v[:, :, 0]
        above = unpadded(block.vertical, self.rows[:, :, row:row + d + 1])
        self.above = block.across(above)[:, :, 0].permute(2, 0, 1) \
            + self.bias_h
        return v + block.vertical_out(
            gate(above + self.bias_v[:, :, None, None]))

    def new_pixel(self, column, h):
        """h (B, width) of this column, to the h of the next layer."""
        self.row[column + self.dilation] = h
        x = torch.addmm(self.above[column], self.row[column], self.left)
        weight, bias = self.out
        return h + F.linear(gate(x.addmm_(h, self.here)), weight, bias)


def matrix(conv):
    """A masked one-row convolution as (weight (out, in * columns), bias)."""
    return conv.masked_weight().flatten(1), conv.bias


def unpadded(conv, rows):
    """A vertical convolution over rows that carry their zeros already."""
    return F.conv2d(rows, conv.weight, conv.bias, dilation=conv.dilation)
