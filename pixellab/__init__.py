"""Pixel by Pixel: autoregressive image models, from tokens to files."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pixellab import (
        classify,
        codec,
        data,
        explore,
        figures,
        images,
        likelihood,
        measures,
        sampling,
        training,
        weights,
    )
    from pixellab.dial import scale
    from pixellab.figures import say
    from pixellab.model import ImageModel, load, models

__version__ = "0.1.0"
__all__ = ["ImageModel", "classify", "codec", "data", "explore",
           "figures", "images", "likelihood", "load", "measures", "models",
           "sampling", "say", "scale", "training", "weights"]

HOMES = {"ImageModel": "model", "load": "model", "models": "model",
         "say": "figures", "scale": "dial"}


def __getattr__(name: str) -> Any:
    """Import when a name is first used: `pixellab --help` needs no PyTorch."""
    if name in HOMES:
        module = importlib.import_module(f"pixellab.{HOMES[name]}")
        globals()[name] = getattr(module, name)
        return globals()[name]
    if name in __all__:
        return importlib.import_module(f"pixellab.{name}")
    raise AttributeError(f"module 'pixellab' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
