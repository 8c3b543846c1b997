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
        return {"quick": quick, "colab": colab, "release": release}[self.name]


def best_device():
    """"cuda", "mps" or "cpu": the fastest that is here."""
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def scale(quick="under a minute", colab="minutes", release="hours"):
    """Read the dial, say what the chapter will cost, return a `Scale`.

    The dial is the environment variable PIXELLAB_SCALE. Without it: "colab"
    where there is a GPU, else "quick". The arguments are the expected
    durations, in words. ValueError for an unknown scale.
    """
    device = best_device()
    name = os.environ.get("PIXELLAB_SCALE") or (
        "quick" if device == "cpu" else "colab")
    if name not in SCALES:
        raise ValueError(f"PIXELLAB_SCALE is {name!r}; it must be one of "
                         f"{', '.join(SCALES)}")
    cost = {"quick": quick, "colab": colab, "release": release}[name]
    print(f"scale: {name}, device: {device}, expected time: {cost}")
    return Scale(name, device)


@contextlib.contextmanager
def exactly():
    """Sums as every process on this machine adds them, whatever was set.

    More threads, autocast or a faster matrix product add in another order or
    with fewer digits, and round differently: a file would not decode.
    """
    threads = torch.get_num_threads()
    precision = torch.get_float32_matmul_precision()
    torch.set_num_threads(1)
    torch.set_float32_matmul_precision("highest")
    try:
        with torch.autocast("cpu", enabled=False):
            yield
    finally:
        torch.set_num_threads(threads)
        torch.set_float32_matmul_precision(precision)
