"""BSQ: a patch auto-encoder whose code is a handful of signs.

Sources: Zhao, Xiong, Krähenbühl (2024), the sphere and the entropy terms;
Bengio, Léonard, Courville (2013), the straight-through gradient; Ballé,
Laparra, Simoncelli (2017), a loss of distortion and rate.
"""

import math

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import nn

from pixellab.priors.pixelcnn import MaskedConv2d
from pixellab.scale import exactly
from pixellab.tokenizers.grid import Grid, arguments, divided


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


class RateDistortion(nn.Module):
    """What a BSQ is trained by: squared error + rate_weight * bits a token
    + entropy_weight * `entropies`.

    The bits are those of a small PixelCNN over the signs, trained beside it.
    Their gradient teaches the encoder codes that can be foretold; with
    rate_weight 0 it does not listen. quantized=False trains the plain
    auto-encoder: u is painted as it is, and the loss is the error alone.
    """

    num_classes = 0  # frames have no labels

    def __init__(self, tokenizer, rate_weight=1.2e-4, entropy_weight=1e-4,
                 quantized=True):
        super().__init__()
        self.config = arguments(locals())
        self.tokenizer, bits = tokenizer, tokenizer.bits
        self.rate = nn.Sequential(
            MaskedConv2d(bits, 12 * bits, 2, 2, 2, mask="A", channels=bits),
            nn.GELU(),
            MaskedConv2d(12 * bits, 12 * bits, 1, 1, 1, channels=bits),
            nn.GELU(), MaskedConv2d(12 * bits, bits, channels=bits))

    def parts(self, images):
        """(squared error, bits a token, entropy terms), each a mean."""
        tokenizer, quantized = self.tokenizer, self.config["quantized"]
        target = centred(images)
        u = tokenizer.on_sphere(target)
        z = tokenizer.corner(u)
        error = F.mse_loss(tokenizer.paint(z if quantized else u).float(),
                           target)
        signs = z.float() * tokenizer.bits ** 0.5
        if not (quantized and self.config["rate_weight"]):
            signs = signs.detach()
        logits = self.rate(signs).float()
        nats = F.softplus(logits) - (signs + 1) / 2 * logits
        bits = nats.sum(dim=1).mean() / math.log(2)
        return error, bits, entropies(u.float())

    def forward(self, images):
        """The loss of a batch uint8 (N, H, W, 3), half of it mirrored."""
        mirrored = torch.rand(len(images), 1, 1, 1) < 0.5
        images = torch.where(mirrored.to(images.device), images.flip(2),
                             images)
        error, bits, entropy = self.parts(images)
        if not self.config["quantized"]:
            return error + 0 * bits  # every weight has a gradient
        return (error + (self.config["rate_weight"] or 1e-3) * bits
                + self.config["entropy_weight"] * entropy)

    @torch.no_grad()
    def score(self, images):
        """On a validation set: {"valid": 1,000 times the loss,
        "squared_error", "bits_per_token"}."""
        sums = torch.zeros(2, dtype=torch.float64)
        for part in images.split(16):
            parts = self.parts(part.to(self.tokenizer.powers.device))
            sums += len(part) * torch.stack(parts[:2]).cpu()
        error, bits = (sums / len(images)).tolist()
        weight = self.config["rate_weight"] * self.config["quantized"]
        return {"valid": 1000 * (error + weight * bits),
                "squared_error": error, "bits_per_token": bits}


def entropies(u):
    """Mean entropy of a sign, less the entropy of its mean, in nats.

    Each coordinate of u (N, bits, rows, columns) is read as a soft sign: p =
    sigmoid(4 sqrt(bits) u). Low where each sign is sure (the first term) and,
    over the batch, as often + as - (the second, by which the entropy of the
    average code is bounded from above).
    """
    p = torch.sigmoid(4 * u.shape[1] ** 0.5 * u)
    return binary_entropy(p).mean() - binary_entropy(
        p.mean(dim=(0, 2, 3))).mean()


def binary_entropy(p):
    return -torch.special.xlogy(p, p) - torch.special.xlogy(1 - p, 1 - p)
