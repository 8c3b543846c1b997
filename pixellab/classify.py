"""Two readers of digits: the reranker chooses among samples, the judge never.

They must not share their errors: the reranker learns from the 58,000 training
digits, the judge from the 10,000 test digits, which no other network sees.
"""

import torch
import torch.nn.functional as F
from torch import nn

from pixellab import weights

READERS = ("judge", "reranker")


class Classifier(nn.Module):
    """A small convolutional network: uint8 (N, H, W) -> logits (N, 10)."""

    def __init__(self, width=24):
        super().__init__()
        self.config = {"width": width}
        sizes = [1, width, width, 2 * width, 2 * width, 4 * width]
        self.layers = nn.ModuleList(
            nn.Sequential(nn.Conv2d(a, b, 3, padding=1, bias=False),
                          nn.BatchNorm2d(b), nn.ReLU())
            for a, b in zip(sizes, sizes[1:], strict=False))
        self.out = nn.Linear(4 * width, 10)

    def features(self, images):
        """What it sees in each image: (N, 4 * width)."""
        x = prepare(images).to(self.out.weight.device)
        for i, layer in enumerate(self.layers):
            x = layer(x if i not in (2, 4) else F.max_pool2d(x, 2))
        return x.mean(dim=(2, 3))

    def forward(self, images):
        return self.out(self.features(images))

    @torch.no_grad()
    def logits(self, images):
        """`forward` in parts and without gradients, on the CPU: (N, 10)."""
        return torch.cat([self(part).cpu()
                          for part in torch.as_tensor(images).split(500)])

    def read(self, images):
        """The digit it takes each image for: int64 (N,)."""
        return self.logits(images).argmax(dim=1)


def prepare(images):
    """Digits of any size, uint8 (N, H, W), as both readers see them: float
    (N, 1, 28, 28), 0 to 1, resized (bilinear)."""
    images = torch.as_tensor(images)
    if images.dtype != torch.uint8 or images.ndim != 3 or not len(images):
        raise ValueError("digits must be uint8 (N, H, W), N at least 1")
    return F.interpolate(images[:, None].float() / 255, (28, 28),
                         mode="bilinear")


def load(name="judge"):
    """The reader of that name ("judge" or "reranker"), ready to use; its
    `provenance["valid_accuracy"]` says how well it reads real digits.
    ValueError for a file that holds no reader."""
    tensors, config, about = weights.load(name)
    if "classifier" not in config:
        raise ValueError(f"{name} is no reader: use {' or '.join(READERS)}")
    reader = Classifier(**config["classifier"]).eval()
    reader.load_state_dict(tensors)
    reader.provenance = about
    return reader
