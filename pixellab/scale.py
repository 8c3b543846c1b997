"""The one dial: how much a chapter computes, and on which device."""

import contextlib
import os
from dataclasses import dataclass

import torch

SCALES = ("quick", "colab", "release")


@dataclass(frozen=True)
class Scale:
    """What `scale()` decided. `device` is "cpu", "cuda" or "mps"."""

    name: str
    device: str

    def pick(self, quick, colab, release):
        """The value that belongs to this scale."""
        return dict(zip(SCALES, (quick, colab, release),
                        strict=True))[self.name]


def devices():
    """The devices that are here, the fastest first."""
    here = {"cuda": torch.cuda.is_available(),
            "mps": torch.backends.mps.is_available(), "cpu": True}
    return [name for name in here if here[name]]


def scale(quick="under a minute", colab="minutes", release="hours"):
    """Read the dial PIXELLAB_SCALE (without it: "colab" where there is a GPU,
    else "quick"), say what the chapter will cost (in words), return it."""
    device = devices()[0]
    name = os.environ.get("PIXELLAB_SCALE") or (
        "quick" if device == "cpu" else "colab")
    if name not in SCALES:
        raise ValueError(f"PIXELLAB_SCALE is {name!r}: use {SCALES}")
    chosen = Scale(name, device)
    print(f"scale: {name}, device: {device}, expected time: "
          f"{chosen.pick(quick, colab, release)}")
    return chosen


@contextlib.contextmanager
def exactly():
    """One thread, no autocast, full precision: the sums that every process
    on this machine gets. Others round differently: a file would not decode."""
    threads, precision = (torch.get_num_threads(),
                          torch.get_float32_matmul_precision())
    torch.set_num_threads(1)
    torch.set_float32_matmul_precision("highest")
    try:
        with torch.autocast("cpu", enabled=False):
            yield
    finally:
        torch.set_num_threads(threads)
        torch.set_float32_matmul_precision(precision)
