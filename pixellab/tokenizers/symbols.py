"""Digits as text: six black-and-white pixels are one printable character."""

from pathlib import Path

import numpy as np
import torch
from einops import rearrange
from PIL import Image

from pixellab import weights
from pixellab.tokenizers.grid import Grid

FIRST = 58  # the alphabet: 64 characters from ":" to "y"
END = ")"
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
        """Tokens (150,) of a digit 0 to 9 -> its class, the symbols, ")".

        ValueError for another label: a line begins with a digit.
        """
        if label not in range(10):
            raise ValueError(f"label {label} has no text: a line begins with "
                             "a digit from 0 to 9")
        symbols = "".join(chr(FIRST + token) for token in tokens.tolist())
        return f"{int(label)}{symbols}{END}"

    def from_text(self, line):
        """The way back: (tokens int64 (150,), label).

        ValueError, with the position (that of the class is 0), for another
        class, symbol, length or end.
        """
        line = line.rstrip("\r\n")
        alphabet = "".join(chr(FIRST + k) for k in range(self.vocabulary))
        expected = ["0123456789", *[alphabet] * self.length, END]
        for place, letters in enumerate(expected):
            letter = line[place:place + 1]
            if not letter or letter not in letters:
                found = f"is {letter!r}" if letter else "is missing"
                raise ValueError(
                    f"position {place} {found}; it must be {letters[0]!r}"
                    + (f" to {letters[-1]!r}" if len(letters) > 1 else ""))
        if len(line) > len(expected):
            raise ValueError(f"{len(line)} characters; a digit has "
                             f"{len(expected)}")
        return (torch.tensor([ord(letter) - FIRST for letter in line[1:-1]]),
                int(line[0]))

    def write(self, path, tokens, labels):
        """A text file, a line a digit: tokens (N, 150), labels (N,)."""
        lines = [self.to_text(one, int(label)) + "\n"
                 for one, label in zip(tokens, labels, strict=True)]
        with weights.atomic(path) as part:
            part.write_text("".join(lines), encoding="ascii", newline="\n")

    def read(self, path):
        """The way back: (tokens int64 (N, 150), labels int64 (N,)).

        ValueError, with the line's number, for a line that is no digit.
        """
        digits = []
        text = Path(path).read_text(encoding="ascii", errors="replace")
        for number, line in enumerate(text.splitlines(), start=1):
            try:
                digits.append(self.from_text(line))
            except ValueError as error:
                raise ValueError(f"{path}, line {number}: {error}") from None
        if not digits:
            raise ValueError(f"{path} is empty: a digit is a line")
        tokens, labels = zip(*digits, strict=True)
        return torch.stack(tokens), torch.tensor(labels)


def resize(image):
    """uint8 (28, 28) -> (30, 30) in Pillow's bilinear way."""
    return np.asarray(Image.fromarray(image).resize((30, 30), Image.BILINEAR))
