"""What a run learns from: a set of the book, a folder, or a file of tokens."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from pixellab import data, images, weights
from pixellab.parts import describe, learned
from pixellab.progress import bar
from pixellab.recipes import Recipe
from pixellab.training.batches import Files, Inputs
from pixellab.training.scores import measured
from pixellab.types import Provenance, Tokenizer


@dataclass(frozen=True)
class Pictures:
    """Where the pictures of a run come from, and how many are used."""

    data: str
    """mnist, binarized_mnist or supertux"""
    source: str
    """what they are, in words"""
    folder: str | None = None
    """a folder with train/ and valid/ instead"""
    resize: bool = False
    """resize those of another size"""
    tokens: str | None = None
    """a file of their tokens instead, see `write_tokens`"""
    limit: int | None = None
    """only so many of each split"""

    @classmethod
    def of(cls, recipe: Recipe, folder: str | None = None,
           resize: bool = False, tokens: str | None = None,
           limit: int | None = None) -> "Pictures":
        """Those of a recipe, or what is used in their place."""
        source = recipe.source
        if tokens:
            source = weights.read(tokens).provenance["data"]
        elif folder:
            source = f"pictures in {Path(folder).resolve().name}"
        return cls(recipe.data, source, folder, resize, tokens, limit)

    @property
    def num_classes(self) -> int:
        """MNIST alone has labels."""
        return 10 if self.data == "mnist" and not self.folder else 0

    def read(self, split: str, tokenizer: Tokenizer, shifts: int = 0,
             encoded: bool = False) -> tuple[Inputs, Tensor | None]:
        """(pictures, or their tokens, labels or None) of a split; those in
        files are read when they are needed. FileNotFoundError where there
        is no such split, ValueError for shifts of pictures in files."""
        if self.tokens:
            return self.stored(split), None
        if self.folder or self.data == "supertux":
            if shifts:
                raise ValueError("shifts are for digits, not for pictures in "
                                 "files: omit them")
            return self.files(split, tokenizer, encoded), None
        inputs, labels = (
            data.mnist(split) if self.data == "mnist"
            else (data.binarized_mnist(split), None))
        chosen = self.chosen(split, len(inputs))
        inputs, labels = data.shifted(
            inputs[chosen], None if labels is None else labels[chosen],
            shifts)
        return tokenizer.encode(inputs) if encoded else inputs, labels

    def chosen(self, split: str, length: int) -> slice:
        """The first `limit` of a set; of validation digits, which are sorted
        by class, as many evenly."""
        count = self.limit or length
        every = 1 if split == "train" else max(1, length // count)
        return slice(0, count * every, every)

    def stored(self, split: str) -> Tensor:
        """The tokens in a file."""
        tensors = weights.read(str(self.tokens)).tensors
        if split not in tensors:
            raise FileNotFoundError(f"no {split} tokens in {self.tokens}")
        tokens = tensors[split].long()
        return tokens[self.chosen(split, len(tokens))]

    def files(self, split: str, tokenizer: Tokenizer,
              encoded: bool) -> Files:
        """Pictures that stay in their files until a batch needs them."""
        def read(path: Path) -> Tensor:
            picture = torch.from_numpy(images.read(path, tokenizer.shapes,
                                                   self.resize))
            return tokenizer.encode(picture[None])[0] if encoded else picture

        paths = data.frame_paths(split, self.folder)
        found = Files(paths[self.chosen(split, len(paths))], read)
        found[:1]  # a mistake in the first is told before any work
        return found


def write_tokens(path: str | Path, tokenizer: Tokenizer,
                 provenance: Provenance, pictures: Pictures,
                 mirrored: bool) -> tuple[int, int]:
    """A file of tokens for a prior to learn from, and their tokenizer;
    returns how many pictures of train and valid it holds. mirrored: each
    training picture a second time, as in a mirror."""
    turns: list[Callable[[Tensor], Tensor]] = [lambda picture: picture]
    if mirrored:
        turns.append(lambda picture: picture.flip(2))
    train, valid = (pictures.read(split, tokenizer)[0]
                    for split in ("train", "valid"))
    codes = torch.cat([
        tokenizer.encode(turn(picture)) for picture in bar(
            train.split(1), "tokens", total=len(train)) for turn in turns])
    held_out, scores = measured(tokenizer, valid)
    weights.write(path, {**learned(tokenizer), "train": codes.short(),
                         "valid": held_out.short()},
                  {"tokenizer": describe(tokenizer)},
                  {**provenance.get("tokenizer", provenance),
                   "data": pictures.source, "mirrored": mirrored, **scores})
    return len(codes), len(held_out)
