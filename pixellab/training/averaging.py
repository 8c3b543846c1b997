"""A running mean of the weights: smoother than any of them."""

import contextlib
from collections.abc import Iterator

import torch
from torch import nn


@torch.no_grad()
def follow(average: nn.Module, net: nn.Module, decay: float,
           step: int) -> None:
    """Move the running mean a little towards the weights (at first a lot)."""
    decay = min(decay, (1 + step) / (10 + step))
    for mean, new in zip(average.parameters(), net.parameters(), strict=True):
        mean.lerp_(new, 1 - decay)


@contextlib.contextmanager
def exchanged(net: nn.Module, average: nn.Module | None) -> Iterator[None]:
    """Inside, the net has the weights of the average (None: its own)."""
    def swap(average: nn.Module) -> None:
        for one, other in zip(net.parameters(), average.parameters(),
                              strict=True):
            one.data, other.data = other.data, one.data

    if average is None:
        yield
        return
    swap(average)
    try:
        yield
    finally:
        swap(average)
