"""What the commands do; `cli` has parsed what was asked for."""

import functools
import importlib
import os
import time
from argparse import Namespace
from pathlib import Path
from typing import Any

import numpy as np

from pixellab import codec, data, figures, images, model, weights
from pixellab.numerics import device_named
from pixellab.progress import bar
from pixellab.recipes import RECIPES, BSQSettings, RateSettings, recipe_named
from pixellab.tokenizers.symbols import Symbols
from pixellab.training import reproduce as recipes_again
from pixellab.training import run
from pixellab.training.pictures import Pictures, write_tokens
from pixellab.training.scores import in_words


def models(options: Namespace) -> None:
    """List the shipped models; a star marks the book's systems."""
    names = weights.names()
    for name in [name for name in RECIPES if name in names]:
        about = weights.read(name).provenance
        star = "*" if name in model.models() else " "
        print(f"{star} {name:16} {about['data']:27} {in_words(about)}")


# ------------------------------------------------- sample and complete

def sample(options: Namespace) -> None:
    """Draw new images, NAME_LABEL_NUMBER.png each."""
    check_choice(options)
    drawer = model.load(options.weights or options.name, options.device)
    stem, classes = Path(options.name).stem, drawer.prior.num_classes
    count = options.count or options.keep or (1 if classes else 10)
    if options.best_of:
        count = options.keep or min(8, options.best_of)
    labels = [target for target in sorted(set(options.targets or range(
        classes))) or [None] for _ in range(count)]
    if options.as_text:
        print_symbols(drawer, labels, options)
        return
    names = [f"{stem}_{i}" if label is None else f"{stem}_{label}_{i % count}"
             for i, label in enumerate(labels)]
    settings = {"labels": labels}
    if options.best_of:
        settings["best_of"] = options.best_of
    draw(options, drawer, names, **settings)


def check_choice(options: Namespace) -> None:
    """ValueError for flags of `sample` that exclude each other."""
    if options.keep and not options.best_of:
        raise ValueError("--keep says how many of --best-of: give that, too")
    if options.best_of and options.count:
        raise ValueError("--count is not for --best-of: use --keep")
    if options.best_of and (options.keep or 1) > options.best_of:
        raise ValueError(f"--keep {options.keep} of --best-of "
                         f"{options.best_of}: draw more, or keep fewer")
    for flag in ("best_of", "gif", "out"):
        if options.as_text and getattr(options, flag):
            raise ValueError(f"--{flag.replace('_', '-')} is not for "
                             "--as-text: omit it")
    if options.best_of and options.gif:
        raise ValueError("--gif is not for --best-of: omit it")


def filters(options: Namespace) -> dict[str, Any]:
    """What `sample` and `complete` draw by."""
    return {name: getattr(options, name)
            for name in ("temperature", "top_k", "top_p", "seed")}


def print_symbols(drawer: model.ImageModel, labels: list[int | None],
                  options: Namespace) -> None:
    """Digits as lines of text."""
    symbols = drawer.tokenizer
    if not isinstance(symbols, Symbols):
        raise ValueError(f"{options.name} has no text: --as-text is for "
                         "symbols")
    drawn = drawer.sample(labels=labels, **filters(options))
    for one, label in zip(symbols.encode(drawn), labels, strict=True):
        print(symbols.to_text(one, label))


def complete(options: Namespace) -> None:
    """Finish an image, NAME_NUMBER.png each time."""
    drawer = model.load(options.weights or options.name, options.device)
    image = images.read(options.image, drawer.tokenizer.shapes,
                        options.resize)
    names = [f"{Path(options.image).stem}_{i}" for i in range(options.count)]
    draw(options, drawer, names, images=np.stack([image] * options.count),
         rows=options.rows, labels=[options.label] * options.count)


def draw(options: Namespace, drawer: model.ImageModel, names: list[str],
         **settings: Any) -> None:
    """Write a PNG an image; with --gif its drawing, too."""
    out, length = writable(options.out or "out"), drawer.tokenizer.length
    settings.update(filters(options))
    if options.gif:
        steps = bar(drawer.stream(**settings), "tokens", length)
        pictures = figures.frames(drawer, steps, count=min(56, length))
        for i, name in enumerate(names):
            large = pictures[:, i].repeat(8, axis=1).repeat(8, axis=2)
            with weights.atomic(out / f"{name}.gif") as path:
                images.gif(path, large)
        drawn = pictures[-1]
    elif "rows" in settings:
        drawn = drawer.complete(**settings)
    else:
        drawn = drawer.sample(**settings)
    for image, name in zip(drawn, names, strict=True):
        images.save(image, out / f"{name}.png")
    print(f"{len(names)} images in {out}")


def writable(folder: str | Path) -> Path:
    """The folder to write into; it is made with the first file."""
    folder = Path(folder)
    there = next(place for place in [folder, *folder.absolute().parents]
                 if place.exists())
    if there.is_dir() and os.access(there, os.W_OK):
        return folder
    raise PermissionError(f"{there} takes no files: choose another place")


# --------------------------------------------- compress and decompress

def compress(options: Namespace) -> None:
    """Turn pictures into small files, IN.pbp each."""
    coder = model.load(options.weights or options.model or "bsq", "cpu")
    coder.label_tensor([options.label], 1)  # mistakes first
    targets, total = free_names(options.files, options.out, "pbp"), 0
    pictures = [images.read(path, coder.tokenizer.shapes, options.resize)
                for path in options.files]
    for target, image in zip(bar(targets, "files"), pictures, strict=True):
        blob = coder.compress(image, options.label)
        with weights.atomic(target) as part:
            part.write_bytes(blob)
        total += len(blob)
    print(f"{len(targets)} files in {targets[0].parent}, "
          f"{total / len(targets):.1f} bytes each")


def decompress(options: Namespace) -> None:
    """Turn such files back into pictures, IN.png each."""
    opened = functools.cache(lambda name: model.load(name, "cpu"))
    targets, pictures = free_names(options.files, options.out, "png"), []
    for path in bar(options.files, "files"):
        blob = Path(path).read_bytes()
        try:
            maker = options.weights or codec.unpack(blob)[0].model
            if not maker:
                raise ValueError("its weights do not ship: give --weights")
            pictures.append(opened(maker).decompress(blob))
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from None
    for target, image in zip(targets, pictures, strict=True):
        images.save(image, target)
    print(f"{len(targets)} images in {targets[0].parent}")


def free_names(files: list[str], out: str, ending: str) -> list[Path]:
    """Where the results of these files go; no picture is overwritten."""
    folder = writable(out)
    targets = [folder / f"{Path(path).stem}.{ending}" for path in files]
    for target in targets:
        if targets.count(target) > 1 or (ending == "png" and target.exists()):
            raise ValueError(f"{target} is taken: rename the input, or "
                             "choose another --out")
    return targets


# ---------------------------------------------- tokenize and detokenize

def tokenize(options: Namespace) -> None:
    """Write a data set as tokens: text of symbols, or for `--tokens`."""
    if Path(options.out).is_dir():
        raise ValueError(f"{options.out} is a folder: give OUT, a new file")
    writable(Path(options.out).parent)
    if options.name == "symbols":
        symbols = Symbols()
        digits, labels = (part[:options.limit]
                          for part in data.mnist(options.split))
        symbols.write(options.out, symbols.encode(digits), labels)
        print(f"{len(digits)} digits in {options.out}")
        return
    tokenizer, provenance = run.tokenizer_of(options.weights or "bsq", "bsq")
    train, valid = write_tokens(
        options.out, tokenizer, provenance, Pictures.of(
            recipe_named("bsq"), options.images, options.resize,
            limit=options.limit), options.mirror)
    print(f"{train} and {valid} frames in {options.out}")


def detokenize(options: Namespace) -> None:
    """Turn a text of symbols back into pictures, NAME_LINE_LABEL.png each."""
    symbols, stem = Symbols(), Path(options.file).stem
    tokens, labels = symbols.read(options.file)
    names = free_names([f"{stem}_{line}_{label}" for line, label in enumerate(
        labels.tolist(), start=1)], options.out, "png")
    for image, name in zip(symbols.decode(tokens), names, strict=True):
        images.save(image, name)
    print(f"{len(names)} images in {names[0].parent}")


# ------------------------------------------------------------------ train

def train(options: Namespace) -> None:
    """One run of a recipe, or of a variant of it."""
    recipe = recipe_named(options.name)
    device_named(options.device)  # told in time
    folder = writable(options.resume or options.out or (
        f"runs/{options.name}/{time.strftime('%Y%m%d-%H%M%S')}"))
    pictures = Pictures.of(recipe, options.images, options.resize,
                           options.tokens, options.limit)
    if options.stage == "tokenizer" and options.name == "patches":
        check_new(folder)
        run.learn_codebook(options.name, options.tokenizer_settings,
                           options.seed, folder / run.CODEBOOK, pictures)
        return
    if options.log_dir:
        writable(options.log_dir)
        importlib.import_module("torch.utils.tensorboard")  # told in time
    how = {"device": options.device, "compiled": options.compile,
           "log_dir": options.log_dir}
    if options.resume:
        changes = {name: getattr(options, name)
                   for name in ("epochs", "stop_after")
                   if getattr(options, name)}
        ready = run.resume(options.name, folder, pictures, changes, **how)
    else:
        check_new(folder)
        ready = begin(options, folder, pictures, how)
    ready.folder.save_minutes = options.save_minutes
    run.do(ready)


def begin(options: Namespace, folder: Path, pictures: Pictures,
          how: dict[str, Any]) -> run.Run:
    """A new run, as the options say."""
    stored = options.weights or options.tokenizer or options.tokens
    if options.stage in ("autoencoder", "tokenizer"):
        return run.begin_tokenizer(
            options.name, options.tokenizer_settings,
            options.rate or RateSettings(), options.schedule, folder,
            pictures, quantized=options.stage == "tokenizer",
            start=options.weights, **how)
    if isinstance(options.tokenizer_settings, BSQSettings) and not stored:
        raise ValueError("a prior of bsq needs one of --tokenizer, --tokens, "
                         "--weights: what has learned the signs")
    return run.begin_prior(
        options.name, options.tokenizer_settings, options.prior_settings,
        options.schedule, folder, pictures, stored, bool(options.weights),
        **how)


def check_new(folder: Path) -> None:
    """ValueError for a folder that holds a run."""
    for path in (folder / "state.pt", folder / run.CODEBOOK):
        if run.FIRST and path.exists():
            raise ValueError(f"{path} is there: go on with --resume, use it "
                             "as --tokenizer, or choose another --out")


def reproduce(options: Namespace) -> None:
    """Train a shipped weight file again, all runs of its recipe."""
    out = writable(options.out or f"runs/{options.name}")
    path = recipes_again.reproduce(options.name, out, options.device)
    print(f"{path}: {in_words(weights.read(path).provenance)}")
