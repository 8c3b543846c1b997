"""Cells of a chapter's text twin, and the names that they define."""

from pathlib import Path

import jupytext

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
