"""What a BSQ learns by: how far off its pictures are, and how many bits its
signs cost."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pixellab.parts import arguments
from pixellab.priors.pixelcnn import MaskedConv2d
from pixellab.tokenizers.bsq import BSQ, centred
from pixellab.training.loop import Inputs, Task


class RateDistortion(nn.Module):
    """Squared error + rate_weight * bits a token + entropy_weight *
    `entropies` of the pictures that a BSQ gives back.

    The bits are those of a small PixelCNN over the signs, trained beside it.
    Their gradient teaches the encoder codes that can be foretold; with
    rate_weight 0 it does not listen. quantized=False trains the plain
    auto-encoder: u is painted as it is, and the loss is the error alone.
    """

    def __init__(self, tokenizer: BSQ, rate_weight: float = 1.2e-4,
                 entropy_weight: float = 1e-4,
                 quantized: bool = True) -> None:
        super().__init__()
        self.config = arguments(locals())
        self.tokenizer, bits = tokenizer, tokenizer.bits
        self.rate_weight, self.quantized = rate_weight, quantized
        self.entropy_weight = entropy_weight
        self.rate = nn.Sequential(
            MaskedConv2d(bits, 12 * bits, 2, 2, 2, mask="A", channels=bits),
            nn.GELU(),
            MaskedConv2d(12 * bits, 12 * bits, 1, 1, 1, channels=bits),
            nn.GELU(), MaskedConv2d(12 * bits, bits, channels=bits))

    def parts(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(squared error, bits a token, entropy terms), each a mean."""
        tokenizer = self.tokenizer
        target = centred(images)
        u = tokenizer.on_sphere(target)
        z = tokenizer.corner(u)
        shown = tokenizer.paint(z if self.quantized else u)
        error = F.mse_loss(shown.float(), target)
        signs = z.float() * tokenizer.bits ** 0.5
        if not (self.quantized and self.rate_weight):
            signs = signs.detach()
        logits = self.rate(signs).float()
        nats = F.softplus(logits) - (signs + 1) / 2 * logits
        bits = nats.sum(dim=1).mean() / math.log(2)
        return error, bits, entropies(u.float())

    def forward(self, images: Tensor) -> Tensor:
        """The loss of a batch uint8 (N, H, W, 3), half of it mirrored."""
        mirrored = torch.rand(len(images), 1, 1, 1) < 0.5
        images = torch.where(mirrored.to(images.device), images.flip(2),
                             images)
        error, bits, entropy = self.parts(images)
        if not self.quantized:
            return error + 0 * bits  # every weight has a gradient
        return (error + (self.rate_weight or 1e-3) * bits
                + self.entropy_weight * entropy)

    @torch.no_grad()
    def score(self, images: Inputs) -> dict[str, float]:
        """On a validation set: {"valid": 1,000 times the loss,
        "squared_error", "bits_per_token"}."""
        sums = torch.zeros(2, dtype=torch.float64)
        for part in images.split(16):
            parts = self.parts(part.to(self.tokenizer.powers.device))
            sums += len(part) * torch.stack(parts[:2]).cpu()
        error, bits = (sums / len(images)).tolist()
        weight = self.rate_weight * self.quantized
        return {"valid": 1000 * (error + weight * bits),
                "squared_error": error, "bits_per_token": bits}


TASK = Task(lambda net, images, labels: net(images),
            lambda net, images, labels: net.score(images), "loss",
            "thousandths (squared error + weighted bits)", 1e-3,
            num_classes=0)


def entropies(u: Tensor) -> Tensor:
    """Mean entropy of a sign, less the entropy of its mean, in nats.

    Each coordinate of u (N, bits, rows, columns) is read as a soft sign: p =
    sigmoid(4 sqrt(bits) u). Low where each sign is sure (the first term) and,
    over the batch, as often + as - (the second, by which the entropy of the
    average code is bounded from above).
    """
    p = torch.sigmoid(4 * u.shape[1] ** 0.5 * u)
    return binary_entropy(p).mean() - binary_entropy(
        p.mean(dim=(0, 2, 3))).mean()


def binary_entropy(p: Tensor) -> Tensor:
    """Of a coin that shows + with probability p, in nats; shape of p."""
    return -torch.special.xlogy(p, p) - torch.special.xlogy(1 - p, 1 - p)
