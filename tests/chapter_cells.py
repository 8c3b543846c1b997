"""Cells of a chapter's text twin, and the names that they define."""

import asyncio
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


def pictures_after_a_turn(names, sources, tasks, knob, value):
    """Run the cells of a chapter's knobs, and move one knob while it draws.

    The drawing under way must stop. Returns what the screen shows from then
    on, to the end. tasks: the name of the list of drawings.
    """
    shown = []

    async def use():
        for source in sources:
            exec(source, names)
        names["screen"].observe(lambda change: shown.append(change["new"]),
                                "value")
        first = names[tasks][0]
        while len(shown) < 3:
            await asyncio.sleep(0.001)
        names["knobs"][knob].value = value
        del shown[:]
        await asyncio.gather(first, return_exceptions=True)
        assert first.cancelled()
        await names[tasks][0]

    asyncio.run(use())
    return [Image.open(io.BytesIO(file)) for file in shown]
