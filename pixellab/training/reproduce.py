"""All runs of a recipe, one after the other, up to the file that ships."""

import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

from pixellab import weights
from pixellab.recipes import (
    RECIPES,
    EightBits,
    Reader,
    Recipe,
    recipe_named,
)
from pixellab.training import eight_bits, readers, run
from pixellab.training.pictures import Pictures, write_tokens
from pixellab.training.scores import is_scored


def reproduce(name: str, out: Path, device: str | None = None) -> Path:
    """Make the weight file of a model as it was made, OUT/NAME.safetensors.

    A run that was killed goes on, one that has ended is not done again.
    Returns the path; ValueError for an unknown name.
    """
    recipe, path = RECIPES.get(name), out / f"{name}.safetensors"
    if path.exists():
        return path
    if isinstance(recipe, Reader):
        readers.make(name, recipe, path)
    elif isinstance(recipe, EightBits):
        source = reproduce(recipe.variant_of, out.parent / recipe.variant_of,
                           device)
        eight_bits.make(name, source, path)
    else:
        best = all_runs(name, recipe_named(name), out, device)
        with weights.atomic(path) as part:
            shutil.copyfile(best, part)
    return path


def all_runs(name: str, recipe: Recipe, out: Path,
             device: str | None) -> Path:
    """The best weights after the last run."""
    pictures = Pictures.of(recipe)
    tokenizer_file: Path | None = None
    start: Path | None = None
    for number, one in enumerate(recipe.tokenizer_runs, start=1):
        folder = out / f"tokenizer_{number}"
        tokenizer_file = best_of(name, folder, pictures, device, partial(
            run.begin_tokenizer, name, recipe.tokenizer, one.rate,
            one.schedule, folder, pictures, start=tokenizer_file,
            device=device))
    if tokenizer_file:
        pictures = Pictures.of(recipe, tokens=str(tokens_of(
            name, recipe, tokenizer_file, out)))
    for number, schedule in enumerate(recipe.runs, start=1):
        folder = out / f"prior_{number}"
        start = best_of(name, folder, pictures, device, partial(
            run.begin_prior, name, recipe.tokenizer, recipe.prior, schedule,
            folder, pictures, start or tokenizer_file, bool(start),
            device=device))
    assert start, "a recipe has runs"
    return start


def best_of(name: str, folder: Path, pictures: Pictures, device: str | None,
            begin: Callable[[], run.Run]) -> Path:
    """The best weights of a run: done, gone on with, or begun."""
    best = folder / "best.safetensors"
    if not is_scored(best):
        run.do(run.resume(name, folder, pictures, device=device)
               if (folder / "state.pt").exists() else begin())
    return best


def tokens_of(name: str, recipe: Recipe, tokenizer_file: Path,
              out: Path) -> Path:
    """The file of tokens that a prior learns from."""
    path = out / "tokens.safetensors"
    if not path.exists():
        tokenizer, provenance = run.tokenizer_of(tokenizer_file, name)
        write_tokens(path, tokenizer, provenance, Pictures.of(recipe),
                     recipe.mirrored)
    return path
