"""Which images a step sees: it follows from (seed, epoch, step) alone."""

import functools
import hashlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pixellab.recipes import Schedule


class Files(torch.utils.data.Dataset[Tensor]):
    """Pictures, or their tokens, that stay in files until a batch needs them:
    files[slice or int64 (B,)] is `read` of each path, a tensor (B, ...)."""

    def __init__(self, paths: Sequence[Path],
                 read: Callable[[Path], Tensor]) -> None:
        self.paths, self.read = np.array(paths, dtype=object), read

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, chosen: Any) -> Tensor:
        return torch.stack([self.read(path) for path in self.paths[chosen]])

    def split(self, size: int) -> Iterator[Tensor]:
        """One part of `size` after the other, as of a tensor."""
        return (self[i:i + size] for i in range(0, len(self), size))


Inputs = Tensor | Files
Set = tuple[Inputs, Tensor]
"""Inputs (N, ...) and labels int64 (N,)."""


def check_sizes(images: int, size: int, processes: int = 1) -> None:
    """ValueError for a batch that cannot be had."""
    if size > images or size % processes:
        raise ValueError(f"batch_size is {size}; it must be a multiple of "
                         f"{processes} (processes), at most {images} (images)")


def batch(data: Set, schedule: Schedule, epoch: int, step: int, null: int,
          share: slice = slice(None)) -> tuple[Tensor, Tensor]:
    """This process's share of a batch: (inputs (b, ...), labels (b,))."""
    inputs, labels = data
    order = shuffled(len(inputs), schedule.seed, epoch)
    chosen = order[step * schedule.batch_size:][:schedule.batch_size]
    labels = drop_labels(labels[chosen], null, schedule.label_dropout,
                         seeded(schedule.seed, epoch, step + 1))
    torch.manual_seed(seeded(schedule.seed, epoch, step, 0).initial_seed())
    return inputs[chosen[share]], labels[share]


def drop_labels(labels: Tensor, null: int, rate: float,
                generator: torch.Generator) -> Tensor:
    """Replace labels by the null class, each with probability `rate`."""
    dropped = torch.rand(len(labels), generator=generator) < rate
    return torch.where(dropped, null, labels)


@functools.lru_cache(maxsize=1)
def shuffled(count: int, seed: int, epoch: int) -> Tensor:
    """The order of an epoch: the same whenever it is asked for."""
    return torch.randperm(count, generator=seeded(seed, epoch))


def seeded(*numbers: int) -> torch.Generator:
    """A generator that depends on all the numbers."""
    text = ",".join(map(str, numbers)).encode()
    seed = int.from_bytes(hashlib.sha256(text).digest()[:7], "big")
    return torch.Generator().manual_seed(seed)


def fingerprint(inputs: Inputs) -> str:
    """16 hex digits of a SHA-256: of the inputs, or of their files' names and
    sizes."""
    if isinstance(inputs, Files):
        content: Any = repr([(path.name, path.stat().st_size) for path in
                             map(Path, inputs.paths)]).encode()
    else:
        if inputs.dtype != torch.uint8:
            inputs = inputs.to(torch.int16)
        content = inputs.contiguous().flatten().numpy()
    return hashlib.sha256(content).hexdigest()[:16]
