"""Pixel by Pixel: autoregressive image models, from tokens to files."""

from pixellab import (
    classify,
    codec,
    data,
    explore,
    figures,
    likelihood,
    measures,
    sampling,
    training,
    weights,
)
from pixellab.figures import say
from pixellab.model import ImageModel, load, models
from pixellab.scale import scale

__version__ = "0.1.0"
__all__ = ["ImageModel", "classify", "codec", "data", "explore",
           "figures", "likelihood", "load", "measures", "models",
           "sampling", "say", "scale", "training", "weights"]
