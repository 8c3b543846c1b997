"""Draw what book/live shows where no script runs: book/_static/live.png.

    python book/live_figure.py
"""

import re
from pathlib import Path

import numpy as np
from PIL import Image

import pixellab as pl

BOOK = Path(__file__).resolve().parent
ROWS, SCALE, GAP = 14, 12, 24
MOST_BITS = 12
MOST = np.array([255, 200, 150])    # the scale of the page: black to orange
POWER = np.array([0.7, 1.3, 2.5])


def half_a_three():
    """The first example of the page: uint8 (28, 28)."""
    page = (BOOK / "_ext/live.html").read_text()
    stroke = re.search(r'data-strokes="([^"]+)"', page).group(1)
    points = np.array([[float(value) for value in point.split(",")]
                       for point in stroke.split()])
    y, x = np.indices((28, 28)) + 0.5
    place = np.stack([x, y], -1)
    ink = np.zeros((28, 28))
    for start, end in zip(points, points[1:], strict=False):
        along = (place - start) @ (end - start) / ((end - start) ** 2).sum()
        nearest = start + along.clip(0, 1)[..., None] * (end - start)
        distance = np.hypot(*np.moveaxis(place - nearest, -1, 0))
        ink = np.maximum(ink, 255 * (1.6 - distance).clip(0, 1))
    return ink.astype(np.uint8)


def main():
    model = pl.load("gpt-live", device="cpu")
    digit = model.complete(half_a_three()[None], rows=ROWS, labels=[3],
                           temperature=0.9, seed=3)
    bits = pl.likelihood.token_bits(
        model.prior, model.tokenizer.encode(digit),
        model.label_tensor([3], 1)).numpy().reshape(28, 28)
    share = (bits / MOST_BITS).clip(0, 1)[..., None]
    pictures = [pl.images.to_array(digit)[0],
                (MOST * share ** POWER).astype(np.uint8)]
    side = 28 * SCALE
    sheet = Image.new("RGB", (2 * side + GAP, side), "white")
    for number, picture in enumerate(pictures):
        large = picture.repeat(SCALE, 0).repeat(SCALE, 1)
        if number == 0:  # where the model takes over
            large[ROWS * SCALE - 1:ROWS * SCALE + 1] = 217, 115, 13
        sheet.paste(Image.fromarray(large), (number * (side + GAP), 0))
    sheet.save(BOOK / "_static/live.png", optimize=True)


if __name__ == "__main__":
    main()
