"""Digits as text: six black-and-white pixels are one printable character."""

from pathlib import Path

import numpy as np
import torch
from einops import rearrange
from PIL import Image

from pixellab import weights
from pixellab.tokenizers import checks

FIRST, END = 58, ")"  # the alphabet: 64 characters from ":" to "y"


class Symbols:
    """A 30 x 30 picture of 0 and 255 as 150 symbols of 6 pixels each.

    A 28 x 28 digit is resized (bilinear) first; brightness is rounded to
    black or white. Rows go from left to right, the leftmost of six pixels is
    the highest bit. Decoding gives back the 30 x 30 picture.

    images uint8 (N, 28, 28) or (N, 30, 30) <-> tokens int64 (N, 150), 0 to 63
    """

    vocabulary, shape, grid, length = 64, (30, 30), (30, 5), 150
    shapes = ((30, 30), (28, 28))  # of images that can be encoded
    row_height = 1  # image rows in one row of tokens

    def __init__(self):
        self.config = {}
        self.weight = torch.tensor([32, 16, 8, 4, 2, 1])

    def encode(self, images):
        """Raises ValueError for another type or size, or an empty batch."""
        images = checks.images_of(self.shapes, images)
        if images.shape[1:] != self.shape:
            images = torch.from_numpy(np.stack([resize(image) for image in
                                                images.cpu().numpy()]))
        white = (images >= 128).long()
        return rearrange(white, "n h (w b) -> n (h w) b", b=6) @ self.weight

    def decode(self, tokens):
        """Raises ValueError for tokens outside 0 .. 63, or too few."""
        tokens = checks.tokens_of(self.length, self.vocabulary, tokens)
        bits = tokens[..., None] // self.weight % 2            # (N, 150, 6)
        return rearrange(bits * 255, "n (h w) b -> n h (w b)",
                         h=self.shape[0]).to(torch.uint8)

    def drawn(self, count):
        """bool (30, 30): pixels that the first `count` tokens fix."""
        place = torch.arange(self.shape[0] * self.shape[1])
        return (place < count * 6).unflatten(0, self.shape)

    def to_text(self, tokens, label):
        """Tokens (150,) of a digit 0 to 9 -> its class, the symbols, ")".

        ValueError for other tokens, and for no label: a text starts with one.
        """
        tokens = checks.tokens_of(self.length, self.vocabulary,
                                  torch.as_tensor(tokens)[None])[0]
        if label not in range(10):
            raise ValueError(f"label {label} has no text: a line starts with "
                             "a digit from 0 to 9")
        symbols = "".join(chr(FIRST + token) for token in tokens.tolist())
        return f"{int(label)}{symbols}{END}"

    def from_text(self, line):
        """The opposite: (tokens int64 (150,), label).

        ValueError, naming the position (the class is at 0), for another
        class, character, length or end.
        """
        line = line.rstrip("\r\n")
        if line[:1] not in set("0123456789"):
            raise wrong(line, 0, "a digit from 0 to 9, the class")
        alphabet = {chr(FIRST + i) for i in range(self.vocabulary)}
        for place in range(1, 1 + self.length):
            if line[place:place + 1] not in alphabet:
                raise wrong(line, place, f"one of {self.vocabulary} symbols, "
                            f"{chr(FIRST)!r} to {chr(FIRST + 63)!r}")
        end = 1 + self.length
        if line[end:end + 1] != END:
            raise wrong(line, end, repr(END))
        if len(line) > end + 1:
            raise wrong(line, end + 1, "nothing more")
        return torch.tensor([ord(c) - FIRST for c in line[1:-1]]), int(line[0])

    def write(self, path, tokens, labels):
        """A text file with one line a digit, written atomically.

        ValueError for no digits, or one without a text.
        """
        lines = [self.to_text(one, label)
                 for one, label in zip(tokens, labels, strict=True)]
        if not lines:
            raise ValueError("there are no digits to write")
        with weights.atomic(path) as part:
            part.write_text("\n".join(lines) + "\n", encoding="ascii")

    def read(self, path):
        """The opposite: (tokens int64 (N, 150), labels int64 (N,)).

        ValueError, naming line and position, for a line that is no digit.
        """
        tokens, labels = [], []
        text = Path(path).read_text(encoding="ascii", errors="replace")
        for number, line in enumerate(text.removesuffix("\n").split("\n"),
                                      start=1):
            try:
                symbols, label = self.from_text(line)
            except ValueError as error:
                raise ValueError(f"{path}, line {number}: {error}") from None
            tokens.append(symbols)
            labels.append(label)
        return torch.stack(tokens), torch.tensor(labels)


def wrong(line, place, expected):
    """The error for a text that is not what it should be at a place."""
    found = (f"is {line[place]!r}" if place < len(line) else
             "is missing: the line ends there")
    return ValueError(f"position {place} {found}; expected {expected}")


def resize(image):
    """uint8 (28, 28) -> (30, 30) in Pillow's bilinear way."""
    return np.asarray(Image.fromarray(image).resize((30, 30),
                                                    Image.BILINEAR))
