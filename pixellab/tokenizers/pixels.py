"""The simplest tokenizer: a pixel is a token."""

import torch

from pixellab.tokenizers import checks


class Pixels:
    """Every pixel, in raster order, is one of `levels` brightness levels.

    A colour picture gives its channels one after the other: R, G, B of the
    first pixel, then R, G, B of the second. With 256 levels decoding gives
    back exactly what was encoded; with fewer, the nearest level.

    images uint8 (N, height, width) or (N, height, width, channels) <->
    tokens int64 (N, height * width * channels)
    """

    def __init__(self, levels=256, height=28, width=28, channels=1):
        if not 2 <= levels <= 256:
            raise ValueError(f"levels is {levels}; it must be 2 to 256")
        self.config = {"levels": levels, "height": height, "width": width,
                       "channels": channels}
        self.vocabulary = levels
        self.shape = (height, width) if channels == 1 \
            else (height, width, channels)
        self.shapes = [self.shape]  # of images that can be encoded
        self.grid = (height, width * channels)  # rows and columns of tokens
        self.length = height * width * channels
        self.row_height = 1  # image rows in one row of tokens
        self.step = 255 / (levels - 1)  # brightness from level to level

    def encode(self, images):
        """Raises ValueError for another type or size, or an empty batch."""
        images = checks.images_of(self.shapes, images)
        return (images.flatten(1) / self.step).round().long()

    def decode(self, tokens):
        """Raises ValueError for tokens outside 0 .. levels - 1, or too few.
        """
        tokens = checks.tokens_of(self.length, self.vocabulary, tokens)
        return (tokens * self.step).round().to(torch.uint8).unflatten(
            1, self.shape)

    def drawn(self, count):
        """bool (height, width): pixels that the first `count` tokens fix."""
        height, width, *channels = self.shape
        per_pixel = channels[0] if channels else 1
        place = torch.arange(height * width).unflatten(0, (height, width))
        return (place + 1) * per_pixel <= count
