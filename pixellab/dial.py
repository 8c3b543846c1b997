"""The one dial: how much a chapter computes, and on which device."""

import os
from dataclasses import dataclass
from typing import TypeVar

from pixellab.numerics import devices

T = TypeVar("T")

SCALES = ("quick", "colab", "release")


@dataclass(frozen=True)
class Scale:
    """What `scale()` decided. `device` is "cpu", "cuda" or "mps"."""

    name: str
    device: str

    def pick(self, quick: T, colab: T, release: T) -> T:
        """The value that belongs to this scale."""
        return dict(zip(SCALES, (quick, colab, release),
                        strict=True))[self.name]


def scale(quick: str = "under a minute", colab: str = "minutes",
          release: str = "hours") -> Scale:
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
