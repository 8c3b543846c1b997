"""Cells of a chapter's text twin, and the names that they define."""

import io
from pathlib import Path

import jupytext
from PIL import Image

CHAPTERS = Path(__file__).resolve().parent.parent / "chapters"
MARKS = ("# same as:", "# equivalent to:")
IMPORTS = """
import math
import numpy as np
import torch
import torch.nn.functional as F
from einops import rearrange
from PIL import Image
from torch import nn
import pixellab as pl
"""


def cells_with(chapter, *starts):
    """The code cells in which a line begins so, in order."""
    return [cell.source for cell in jupytext.read(CHAPTERS / chapter).cells
            if cell.cell_type == "code" and any(
                line.startswith(starts) for line in cell.source.splitlines())]


def names_of(chapter, *starts):
    """What the marked cells, and those in which a line begins so, define."""
    names = {}
    exec(IMPORTS, names)
    for source in cells_with(chapter, *MARKS, *starts):
        exec(source, names)
    return names


def pictures_after_a_turn(names, sources, knob, value):
    """Run the cells of a chapter's knobs, then move one of them: what the
    screen shows from then on. All of it within the knob's own callback: later
    updates would not reach a notebook in Colab."""
    shown = []
    for source in sources:
        exec(source, names)
    names["screen"].observe(lambda change: shown.append(change["new"]),
                            "value")
    names["knobs"][knob].value = value
    return [Image.open(io.BytesIO(file)) for file in shown]
