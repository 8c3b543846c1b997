"""Digits as text: six black-and-white pixels are one printable character."""

import numpy as np
import torch
from einops import rearrange
from PIL import Image

from pixellab.tokenizers.grid import Grid

FIRST = 58  # the alphabet: 64 characters from ":" to "y"
WEIGHT = torch.tensor([32, 16, 8, 4, 2, 1])


class Symbols(Grid):
    """A 30 x 30 picture of 0 and 255 as 150 symbols of 6 pixels each.

    A 28 x 28 digit is resized (bilinear) first; brightness is rounded to
    black or white. Rows go from left to right, the leftmost of six pixels is
    the highest bit. Decoding gives back the 30 x 30 picture.

    images uint8 (N, 28, 28) or (N, 30, 30) <-> tokens int64 (N, 150), 0 to 63
    """

    def __init__(self):
        self.config = {}
        self.lay_out(64, (30, 5), (30, 30), (28, 28))

    def tokens_of(self, images):
        if images.shape[1:] != self.shape:
            images = torch.from_numpy(np.stack([resize(image) for image in
                                                images.cpu().numpy()]))
        white = (images >= 128).long()
        return rearrange(white, "n h (w b) -> n (h w) b", b=6) @ WEIGHT

    def images_of(self, tokens):
        bits = tokens[..., None] // WEIGHT % 2  # (N, 150, 6)
        return rearrange(bits * 255, "n (h w) b -> n h (w b)", h=30).byte()

    def to_text(self, tokens, label):
        """Tokens (150,) of a digit 0 to 9 -> its class, the symbols, ")"."""
        symbols = "".join(chr(FIRST + token) for token in tokens.tolist())
        return f"{label}{symbols})"


def resize(image):
    """uint8 (28, 28) -> (30, 30) in Pillow's bilinear way."""
    return np.asarray(Image.fromarray(image).resize((30, 30), Image.BILINEAR))
