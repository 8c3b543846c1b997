"""BSQ: a patch auto-encoder whose code is a handful of signs.

Sources: Zhao, Xiong, Krähenbühl (2024), the sphere and the entropy terms;
Bengio, Léonard, Courville (2013), the straight-through gradient; Ballé,
Laparra, Simoncelli (2017), a loss of distortion and rate.
"""

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import nn

from pixellab.numerics import exactly
from pixellab.parts import arguments
from pixellab.tokenizers.grid import Grid, divided


class BSQ(Grid, nn.Module):
    """Each patch of a picture becomes `bits` signs: one of 2^bits codes.

    A convolution turns each patch into features, a few blocks let it know
    its surroundings, and a linear layer leaves `bits` numbers. They are put on
    the unit sphere and rounded to the nearest corner of the cube in it,
    sign(u) / sqrt(bits). Decoding goes the same way back.

    images uint8 (N, height, width, 3) <-> tokens int64 (N, T)
    """

    def __init__(self, patch=5, bits=10, height=100, width=150, features=96,
                 encoder_blocks=2, decoder_blocks=4):
        super().__init__()
        if bits not in range(1, 16):
            raise ValueError(f"bits is {bits}; it must be 1 to 15")
        self.config = arguments(locals())
        self.lay_out(2 ** bits, divided(height, width, patch),
                     (height, width, 3))
        self.bits = bits
        self.encoder = nn.Sequential(
            nn.Conv2d(3, features, patch, stride=patch),
            *[Block(features) for _ in range(encoder_blocks)],
            nn.GELU(), nn.Conv2d(features, bits, 1))
        self.decoder = nn.Sequential(
            nn.Conv2d(bits, features, 1),
            *[Block(features) for _ in range(decoder_blocks)],
            nn.GELU(), nn.Conv2d(features, 3 * patch ** 2, 1))
        self.register_buffer("powers", 2 ** torch.arange(bits)[:, None],
                             persistent=False)

    def on_sphere(self, x):
        """(N, 3, height, width) -> u (N, bits, rows, columns), |u| = 1."""
        return F.normalize(self.encoder(x), dim=1)

    def corner(self, u):
        """The nearest corner, with the gradient of u itself."""
        corner = torch.where(u > 0, 1.0, -1.0) / self.bits ** 0.5
        return u + (corner - u).detach()

    def paint(self, z):
        """(N, bits, rows, columns) -> pictures (N, 3, height, width)."""
        return rearrange(self.decoder(z),
                         "n (c p q) row column -> n c (row p) (column q)",
                         p=self.row_height, q=self.row_height)

    def to_tokens(self, u):
        """Signs (N, bits, rows, columns) -> tokens (N, T): bit i counts 2^i,
        by sums, since shifts are wrong on some GPUs."""
        return ((u > 0).flatten(2) * self.powers).sum(dim=1)

    def to_corners(self, tokens):
        """The way back: tokens (N, T) -> (N, bits, rows, columns)."""
        switches = tokens[:, None] // self.powers % 2
        corners = (2 * switches - 1).float() / self.bits ** 0.5
        return corners.unflatten(2, self.grid)

    @torch.no_grad()
    @exactly()
    def tokens_of(self, images):
        """One at a time, so that a batch cannot change the last bit."""
        return torch.cat([self.to_tokens(self.on_sphere(centred(
            one.to(self.powers.device)))).cpu() for one in images.split(1)])

    @torch.no_grad()
    @exactly()
    def images_of(self, tokens):
        return torch.cat([to_pixels(self.paint(self.to_corners(
            one.to(self.powers.device)))).cpu() for one in tokens.split(1)])


class Block(nn.Module):
    """Look at the eight neighbours and add what was found: (N, C, H, W)."""

    def __init__(self, features):
        super().__init__()
        self.norm = nn.GroupNorm(1, features)  # of the whole picture
        self.look = nn.Conv2d(features, features, 3, padding=1)
        self.add = nn.Conv2d(features, features, 1)
        nn.init.zeros_(self.add.weight)  # at first it adds nothing
        nn.init.zeros_(self.add.bias)

    def forward(self, x):
        return x + self.add(F.gelu(self.look(self.norm(x))))


def centred(images):
    """uint8 (N, H, W, 3) -> (N, 3, H, W), -0.5 to 0.5."""
    return images.permute(0, 3, 1, 2).float() / 255 - 0.5


def to_pixels(x):
    """The way back."""
    x = ((x + 0.5) * 255).round().clamp(0, 255)
    return x.byte().permute(0, 2, 3, 1)
