"""What is typed on a command line, and how a mistake in it is told."""

import argparse
from collections.abc import Callable
from typing import Any, NoReturn


class Parser(argparse.ArgumentParser):
    """Mistakes are ValueErrors; names of flags cannot be shortened."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(allow_abbrev=False, **settings)

    def error(self, message: str) -> NoReturn:
        raise ValueError(f"{message} (see `{self.prog} --help`)")


def text(word: str) -> str:
    """An argparse type: a word that is not empty."""
    if not word:
        raise argparse.ArgumentTypeError("it is empty")
    return word


def number(kind: Callable[[str], Any] = int, low: float = 1,
           high: float = 10**6) -> Callable[[str], Any]:
    """An argparse type: a number from low to high."""
    def parse_number(word: str) -> Any:
        if low <= kind(word) <= high:
            return kind(word)
        raise argparse.ArgumentTypeError(f"{word} is not {low} to {high}")

    parse_number.__name__ = "number"
    return parse_number


def numbers(word: str) -> list[int]:
    """An argparse type: whole numbers with commas, as 0,1,2."""
    return [int(part) for part in word.split(",")]


def add_device(command: Any) -> None:
    """Where it is computed."""
    command.add_argument("--device", choices=["cpu", "cuda", "mps"],
                         help="default: the fastest that is here")
