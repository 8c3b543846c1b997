"""The simplest tokenizer: a pixel is a token."""

from pixellab.parts import arguments
from pixellab.tokenizers.grid import Grid


class Pixels(Grid):
    """Every pixel, in raster order, is one of `levels` brightness levels.

    A colour picture gives its channels one after the other: R, G, B of the
    first pixel, then of the second. Lossless with 256 levels; with fewer,
    decoding gives the nearest level.

    images uint8 (N, height, width) or (N, height, width, channels) <->
    tokens int64 (N, height * width * channels)
    """

    def __init__(self, levels=256, height=28, width=28, channels=1):
        if levels not in range(2, 257):
            raise ValueError(f"levels is {levels}; it must be 2 to 256")
        self.config = arguments(locals())
        self.step = 255 / (levels - 1)  # brightness from level to level
        colours = () if channels == 1 else (channels,)
        self.lay_out(levels, (height, width * channels),
                     (height, width, *colours))

    def tokens_of(self, images):
        return (images.flatten(1) / self.step).round().long()

    def images_of(self, tokens):
        return (tokens * self.step).round().byte().unflatten(1, self.shape)
