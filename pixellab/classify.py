"""Two readers of digits: the reranker chooses among samples, the judge never.

They must not share their errors: the reranker learns from the 58,000 training
digits, the judge from the 10,000 test digits, which no other network sees.
"""

from collections import Counter
from pathlib import Path
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pixellab import weights
from pixellab.recipes import readers
from pixellab.types import Images, Provenance


class Classifier(nn.Module):
    """A small convolutional network: uint8 (N, H, W) -> logits (N, 10)."""

    def __init__(self, width: int = 24) -> None:
        super().__init__()
        self.provenance: Provenance = {}
        self.config = {"width": width}
        sizes = [1, width, width, 2 * width, 2 * width, 4 * width]
        self.layers = nn.ModuleList(
            nn.Sequential(nn.Conv2d(a, b, 3, padding=1, bias=False),
                          nn.BatchNorm2d(b), nn.ReLU())
            for a, b in zip(sizes, sizes[1:], strict=False))
        self.out = nn.Linear(4 * width, 10)

    def features(self, images: Images) -> Tensor:
        """What it sees in each image: (N, 4 * width)."""
        x = prepare(images).to(self.out.weight.device)
        for i, layer in enumerate(self.layers):
            x = layer(x if i not in (2, 4) else F.max_pool2d(x, 2))
        return x.mean(dim=(2, 3))

    def forward(self, images: Images) -> Tensor:
        return self.out(self.features(images))

    @torch.no_grad()
    def logits(self, images: Images) -> Tensor:
        """`forward` in parts and without gradients, on the CPU: (N, 10)."""
        return torch.cat([self(part).cpu()
                          for part in torch.as_tensor(images).split(500)])

    def read(self, images: Images) -> Tensor:
        """The digit it takes each image for: int64 (N,)."""
        return self.logits(images).argmax(dim=1)


def prepare(images: Images) -> Tensor:
    """Digits of any size, uint8 (N, H, W), as both readers see them: float
    (N, 1, 28, 28), 0 to 1, resized (bilinear)."""
    images = torch.as_tensor(images)
    if images.dtype != torch.uint8 or images.ndim != 3 or not len(images):
        raise ValueError("digits must be uint8 (N, H, W), N at least 1")
    return F.interpolate(images[:, None].float() / 255, (28, 28),
                         mode="bilinear")


def reader(name: str | Path = "judge") -> Classifier:
    """The reader of that name ("judge" or "reranker"), ready to use; its
    `provenance["valid_accuracy"]` says how well it reads real digits.
    ValueError for a file that holds no reader."""
    file = weights.read(name)
    if "classifier" not in file.config:
        raise ValueError(f"{name} is no reader: use {' or '.join(readers())}")
    classifier = Classifier(**file.config["classifier"]).eval()
    classifier.load_state_dict(file.tensors)
    classifier.provenance = file.provenance
    return classifier


def rerank(images: Images, label: int, keep: int) -> tuple[Tensor, Tensor]:
    """The `keep` digits that the reranker takes most surely for `label`:
    (images (keep, H, W), their probabilities at temperature 0.8 (keep,)),
    best first."""
    if keep not in range(1, len(images) + 1) or label not in range(10):
        raise ValueError(f"keep is {keep} and label {label}; they must be "
                         f"1 to {len(images)}, and 0 to 9")
    logits = reader("reranker").logits(images)
    scores = torch.softmax(logits.double() / 0.8, dim=1)[:, int(label)]
    best = scores.argsort(descending=True, stable=True)[:int(keep)]
    return torch.as_tensor(images)[best], scores[best]


class Sampler(Protocol):
    """What `choose` needs of a model."""

    def sample(self, n: int | None = None, labels: Any = None,
               **settings: Any) -> Tensor:
        """Images, one a label."""


def choose(model: Sampler, labels: Tensor, draw: int,
           **settings: Any) -> Tensor:
    """Draw `draw` digits of each class among the labels int64 (N,), return
    the N that `rerank` likes best, in the order of the labels. ValueError for
    a label that is no digit, and for too few draws."""
    wanted = Counter(labels.tolist())
    if not wanted or any(label not in range(10) for label in wanted):
        raise ValueError("best_of chooses by class: it needs all labels")
    most = max(wanted.values())
    if draw not in range(most, 10_001):
        raise ValueError(f"best_of is {draw!r}: use {most} to 10,000")
    kept, pool = {}, int(draw)
    for label, count in wanted.items():
        drawn = model.sample(labels=[label] * pool, first=label * pool,
                             **settings)
        kept[label] = iter(rerank(drawn, label, count)[0])
    return torch.stack([next(kept[label]) for label in labels.tolist()])
