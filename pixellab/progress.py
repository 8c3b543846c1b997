"""One progress bar for everything that takes longer than a second."""

import os
import sys
from collections.abc import Iterable
from typing import TypeVar

from tqdm import tqdm

T = TypeVar("T")


def shown() -> bool:
    """Whether bars are shown: in a terminal and in a notebook, unless
    PIXELLAB_PROGRESS=0 silences them."""
    if os.environ.get("PIXELLAB_PROGRESS", "") == "0":
        return False
    return sys.stderr.isatty() or "ipykernel" in sys.modules


def bar(steps: Iterable[T], words: str, total: int | None = None,
        initial: int = 0, show: bool = True) -> "tqdm[T]":
    """The steps, with a bar that appears after a second and leaves no line
    behind."""
    return tqdm(steps, words, total=total, initial=initial, leave=False,
                delay=1, disable=not (show and shown()))
