"""Pictures: grids, film strips, animations, curves; and what a cell says."""

import base64
import html
import io
import textwrap

import numpy as np
import torch
from einops import rearrange
from PIL import Image

from pixellab.images import gif, to_array

NOT_YET = (173, 216, 230)  # light blue: pixels that are not drawn yet
BLUE, ORANGE, GREY = "#1f6feb", "#d9730d", "#8b949e"


def style():
    """The book's matplotlib settings: call it in a chapter's first cell."""
    import matplotlib.pyplot as plt

    plt.style.use("pixellab.book")


def grid(images, columns=10, titles=(), row_titles=(), size=0.7):
    """Images (N, H, W[, 3]) in rows of `columns`, as a matplotlib figure;
    size: inches an image."""
    import matplotlib.pyplot as plt

    images = to_array(images)
    rows = -(-len(images) // columns)
    height, width = images.shape[1:3]
    figure, axes = plt.subplots(
        rows, columns, squeeze=False,
        figsize=(size * columns * width / height, size * rows),
        gridspec_kw={"wspace": 0.08, "hspace": 0.08},
        subplot_kw={"xticks": [], "yticks": [], "frame_on": False})
    for axis, image in zip(axes.flat, images, strict=False):
        axis.imshow(image)
    for axis, text in zip(axes[0], titles, strict=False):
        axis.set_title(text, fontsize=9)
    for axis, text in zip(axes[:, 0], row_titles, strict=False):
        axis.set_ylabel(text, rotation=0, ha="right", va="center")
    return figure


def partial(model, tokens):
    """Drawings from t tokens (N, t): uint8 (N, H, W, 3), the rest blue."""
    tokenizer, drawn = model.tokenizer, tokens.shape[1]
    full = torch.nn.functional.pad(tokens, (0, tokenizer.length - drawn))
    pictures = to_array(tokenizer.decode(full))
    pictures[:, ~tokenizer.drawn(drawn).numpy()] = NOT_YET
    return pictures


def frames(model, steps, count=56):
    """`count` moments of a drawing (`model.stream`), evenly spaced, the last
    one finished: uint8 (count, N, H, W, 3)."""
    moments = {model.tokenizer.length * (i + 1) // count for i in range(count)}
    return np.stack([partial(model, tokens) for tokens in steps
                     if tokens.shape[1] in moments])


def filmstrip(pictures):
    """Eight of the frames (F, N, H, W, 3), one row an image, as a figure."""
    chosen = [len(pictures) * (i + 1) // 8 - 1 for i in range(8)]
    return grid(rearrange(pictures[chosen], "f n h w d -> (n f) h w d"),
                columns=8, size=0.8)


def address(blob):
    """The bytes of an image file as a data: address."""
    kind = Image.open(io.BytesIO(blob)).format.lower()
    return f"data:image/{kind};base64,{base64.b64encode(blob).decode()}"


def animation(pictures, alt, milliseconds=60, width=None):
    """Frames (F, H, W, 3) as HTML: a GIF, or, where the reader asks for
    less motion, its last frame. `alt` describes it in words."""
    from IPython.display import HTML

    moving, still = io.BytesIO(), io.BytesIO()
    gif(moving, pictures, milliseconds)
    Image.fromarray(pictures[-1]).save(still, "PNG")
    return HTML(
        '<picture><source media="(prefers-reduced-motion: reduce)" '
        f'srcset="{address(still.getvalue())}">'
        f'<img src="{address(moving.getvalue())}" '
        f'width="{width or pictures.shape[2]}" '
        f'style="image-rendering: pixelated" alt="{html.escape(alt)}">'
        '</picture>')


def loss_curve(history, unit="bits a token", axis=None):
    """Training and validation loss by epoch, from `training.train`."""
    import matplotlib.pyplot as plt

    axis = axis or plt.subplots()[1]
    epochs = [row["epoch"] for row in history]
    upper = max("train", "valid", key=history[-1].get)
    for name, colour in (("train", GREY), ("valid", BLUE)):
        values = [row[name] for row in history]
        axis.plot(epochs, values, marker="o", ms=3, color=colour)
        axis.annotate(f" {name}", (epochs[-1], values[-1]), color=colour,
                      va="bottom" if name == upper else "top")
    axis.set(xlabel="epoch", ylabel=unit)
    return axis.figure


def say(text):
    """Show Markdown below the cell: a sentence with the numbers of this run.

    The same in JupyterLab, VS Code, Colab and on the page; in a terminal the
    text as it is.
    """
    from IPython.display import display  # absent where nothing is displayed

    text = textwrap.dedent(text).strip()
    display({"text/markdown": text, "text/plain": text}, raw=True)
