"""The command line: it parses, and `commands` does. Nothing slow is imported
before it is clear what is asked for."""

import argparse
import math
import sys
import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, NoReturn

from pixellab.recipes import (
    RECIPES,
    PixelSettings,
    Recipe,
    Schedule,
    recipe_named,
    trained,
)

ABOUT = "Pixel by Pixel: autoregressive image models, from tokens to files."


class Parser(argparse.ArgumentParser):
    """Mistakes are ValueErrors; names of flags cannot be shortened."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(allow_abbrev=False, **settings)

    def error(self, message: str) -> NoReturn:
        raise ValueError(f"{message} (see `{self.prog} --help`)")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; bad input is one line on stderr and exit code 2."""
    warnings.formatwarning = lambda text, *_: f"pixellab: {text}\n"
    try:
        options = parse(sys.argv[1:] if arguments is None else arguments)
        from pixellab import commands  # PyTorch takes seconds to import

        getattr(commands, options.command)(options)
    except (ValueError, OSError, ImportError, RuntimeError) as error:
        print("pixellab:", " ".join(str(error).split()), file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\npixellab: interrupted (train: --resume)", file=sys.stderr)
        return 130
    return 0


def parse(words: Sequence[str]) -> argparse.Namespace:
    """The options; "command" names a function of `commands`."""
    if len(words) > 1 and words[0] == "train" and words[1] in trained():
        return parse_train(words[1], words[2:])
    options = parser().parse_args(words)
    if options.command == "train":  # with a name that is none
        recipe_named(options.name)
    return options


# ------------------------------------------------------------ what is typed

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


# ------------------------------------------------------------- the commands

def parser() -> Parser:
    """All commands; those of `train NAME` are in `train_parser`."""
    top = Parser(prog="pixellab", description=ABOUT)
    commands = top.add_subparsers(dest="command", required=True,
                                  metavar="COMMAND", parser_class=Parser)

    def add(name: str, about: str) -> Parser:
        command: Parser = commands.add_parser(name, help=about,
                                              description=about)
        return command

    add("models", "list the shipped models; a star marks the book's systems")
    add_sample(add("sample", "draw new images, NAME_LABEL_NUMBER.png each"))
    add_complete(add("complete", "finish an image, NAME_NUMBER.png each time"))
    add_files(add("compress", "turn pictures into small files, IN.pbp each"),
              add("decompress", "turn such files back, IN.png each"))
    add_tokens(add("tokenize", "write pictures as tokens"),
               add("detokenize", "turn such a text back into pictures"))
    train = add("train", "one run of a model's training, with its recipe's "
                "own values as defaults: see `pixellab train NAME --help`")
    train.add_argument("name", type=text, metavar="NAME",
                       help=", ".join(trained()))
    train.add_argument("settings", nargs=argparse.REMAINDER,
                       help="see `pixellab train NAME --help`")
    again = add("reproduce", "train a shipped weight file again, all runs of "
                "its recipe; one that was killed goes on")
    again.add_argument("name", choices=list(RECIPES), metavar="NAME",
                       help=", ".join(RECIPES))
    again.add_argument("--out", type=text,
                       help="folder of the runs (default: runs/NAME)")
    add_device(again)
    return top


def add_sample(command: Parser) -> None:
    """pixellab sample NAME"""
    command.add_argument("name", type=text, help="see `pixellab models`")
    command.add_argument("--targets", type=numbers, metavar="0,1,2",
                         help="classes (default: all)")
    command.add_argument("--count", type=number(),
                         help="images of each target (default: 1; of a model "
                         "without classes 10)")
    command.add_argument("--best-of", type=number(), metavar="N",
                         help="draw N digits of each target, keep those that "
                         "a classifier prefers")
    command.add_argument("--keep", type=number(), metavar="N",
                         help="so many of --best-of (default: 8)")
    add_drawing(command)
    command.add_argument("--gif", action="store_true",
                         help="also write the drawing as an animation")
    command.add_argument("--as-text", action="store_true",
                         help="print symbols as lines, write no pictures")


def add_complete(command: Parser) -> None:
    """pixellab complete NAME IMAGE"""
    command.add_argument("name", type=text, help="see `pixellab models`")
    command.add_argument("image", type=text, help="a picture")
    command.add_argument("--rows", type=int, required=True,
                         help="how many rows of it are kept")
    command.add_argument("--label", type=int, help="its class, if known")
    command.add_argument("--count", type=number(), default=4,
                         help="how often (default: %(default)s)")
    command.add_argument("--resize", action="store_true",
                         help="resize a picture of another size")
    add_drawing(command)
    command.add_argument("--gif", action="store_true",
                         help="also write the drawing as an animation")


def add_drawing(command: Parser) -> None:
    """What `sample` and `complete` take."""
    command.add_argument("--temperature", type=float, default=1.0,
                         help="default: 1; 0 takes the likeliest token")
    command.add_argument("--top-k", type=int,
                         help="draw from the so many likeliest tokens")
    command.add_argument("--top-p", type=float,
                         help="draw from the likeliest with this probability")
    command.add_argument("--seed", type=int, default=0,
                         help="default: %(default)s; the same seed draws the "
                         "same images")
    command.add_argument("--out", type=text,
                         help="folder to write into (default: out)")
    command.add_argument("--weights", type=text,
                         help="a weight file of your own")
    add_device(command)


def add_device(command: Any) -> None:
    """Where it is computed."""
    command.add_argument("--device", choices=["cpu", "cuda", "mps"],
                         help="default: the fastest that is here")


def add_files(compress: Parser, decompress: Parser) -> None:
    """pixellab compress IN ..., pixellab decompress IN ..."""
    compress.add_argument("files", nargs="+", type=text, help="pictures")
    which = compress.add_mutually_exclusive_group()
    which.add_argument("--model", type=text,
                       help="a shipped model (default: bsq)")
    compress.add_argument("--label", type=int,
                          help="the class of all of them, if known")
    compress.add_argument("--resize", action="store_true",
                          help="resize pictures of another size")
    decompress.add_argument("files", nargs="+", type=text,
                            help="what `compress` wrote")
    for command, group in ((compress, which), (decompress, decompress)):
        group.add_argument("--weights", type=text,
                           help="a weight file of your own")
        command.add_argument("--out", type=text, default="out",
                             help="folder to write into (default: out)")


def add_tokens(tokenize: Parser, detokenize: Parser) -> None:
    """pixellab tokenize NAME ... OUT, pixellab detokenize NAME FILE"""
    kinds = tokenize.add_subparsers(dest="name", required=True,
                                    metavar="NAME", parser_class=Parser)
    symbols = kinds.add_parser("symbols", help="MNIST as text, a line a digit")
    symbols.add_argument("out", type=text, help="a new file")
    symbols.add_argument("--split", default="train",
                         choices=["train", "valid", "test"],
                         help="default: %(default)s")
    bsq = kinds.add_parser("bsq", help="frames, for `train bsq --tokens`")
    bsq.add_argument("images", type=text, nargs="?", metavar="DIR",
                     help="pictures in train/ and valid/ (default: the "
                     "frames of the book)")
    bsq.add_argument("out", type=text, help="a new file")
    bsq.add_argument("--mirror", action="store_true",
                     help="each training picture mirrored, too")
    bsq.add_argument("--resize", action="store_true",
                     help="resize pictures of another size")
    bsq.add_argument("--weights", type=text,
                     help="a stored tokenizer (default: that of bsq)")
    for kind in (symbols, bsq):
        kind.add_argument("--limit", type=number(),
                          help="only so many images of each split")
    detokenize.add_argument("name", choices=["symbols"], metavar="NAME",
                            help="symbols")
    detokenize.add_argument("file", type=text,
                            help="what `tokenize symbols` wrote")
    detokenize.add_argument("--out", type=text, default="out",
                            help="folder to write into (default: out)")


# ---------------------------------------------------------------- training

STAGES = {"patches": ["tokenizer", "prior"],
          "bsq": ["autoencoder", "tokenizer", "prior"]}
BEGINNINGS = ("--resume", "--weights", "--tokenizer", "--tokens")


def parse_train(name: str, words: Sequence[str]) -> argparse.Namespace:
    """The options of `train NAME`. Which flags there are depends on how the
    run begins, so that none can be given that would be ignored."""
    first = Parser(prog=f"pixellab train {name}", add_help=False)
    for flag in ("--stage", *BEGINNINGS, "--epochs"):
        first.add_argument(flag, nargs="?")
    given, _ = first.parse_known_args(words)
    options, unknown = train_parser(name, given).parse_known_args(words)
    if unknown:
        stage = f" --stage {given.stage}" if name in STAGES and given.stage \
            else ""
        how = [f" with {flag}" for flag in BEGINNINGS
               if getattr(given, flag.strip("-")) and flag != unknown[0]]
        raise ValueError(f"{unknown[0]} is not for `train {name}{stage}`"
                         f"{''.join(how)}: omit it")
    return options


def train_parser(name: str, given: argparse.Namespace) -> Any:
    """What `train NAME` takes, given how it begins."""
    from simple_parsing import ArgumentParser, DashVariant  # for this alone

    class TrainParser(ArgumentParser):
        def error(self, message: str) -> NoReturn:
            raise ValueError(f"{message} (see `{self.prog} --help`)")

    recipe = recipe_named(name)
    command = TrainParser(
        prog=f"pixellab train {name}", allow_abbrev=False,
        description="Train, with checkpoints, a loss curve and pictures; "
        "then score the best weights.",
        add_option_string_dash_variants=DashVariant.DASH)
    command.set_defaults(
        command="train", name=name, stage=None, resume=None, weights=None,
        tokenizer=None, tokens=None, images=None, resize=False, out=None,
        device=None, compile=False, log_dir=None, save_minutes=5.0,
        rate=None, tokenizer_settings=recipe.tokenizer,
        prior_settings=recipe.prior)
    add_stages(command, name, recipe, given)
    if given.resume:
        add_resume(command, recipe, given)
    elif name == "patches" and given.stage == "tokenizer":
        add_codebook(command, recipe)
    else:
        add_settings(command, recipe, given)
    return command


def add_stages(command: Any, name: str, recipe: Recipe,
               given: argparse.Namespace) -> None:
    """--stage, where a tokenizer is trained before the prior."""
    if name in STAGES and not given.resume:
        command.add_argument("--stage", choices=STAGES[name],
                             required=bool(recipe.tokenizer_runs),
                             help="what is trained; each stage has flags of "
                             "its own, see `--stage STAGE --help`")


def add_running(command: Any, recipe: Recipe,
                given: argparse.Namespace) -> None:
    """What every run takes."""
    command.add_argument("--limit", type=number(),
                         help="only so many images of each split")
    command.add_argument("--compile", action="store_true",
                         help="torch.compile: for long runs on a GPU")
    command.add_argument("--log-dir", type=text,
                         help="TensorBoard logs go here")
    command.add_argument("--save-minutes", default=5.0,
                         type=number(float, 0, math.inf),
                         help="between checkpoints inside an epoch "
                         "(default: %(default)s)")
    if takes_folders(recipe) and not given.tokens:
        command.add_argument("--images", type=text, metavar="DIR",
                             help="pictures in DIR/train and DIR/valid, "
                             "without labels")
        command.add_argument("--resize", action="store_true",
                             help="resize pictures of another size")
    add_device(command)


def takes_folders(recipe: Recipe) -> bool:
    """Whether pictures of one's own can take the place of the set."""
    return recipe.data == "supertux" or (
        recipe.data == "mnist" and isinstance(recipe.tokenizer, PixelSettings))


def add_resume(command: Any, recipe: Recipe,
               given: argparse.Namespace) -> None:
    """What can be said of a run that goes on."""
    command.add_argument("--resume", type=text, metavar="DIR", required=True,
                         help="continue the run in this folder")
    command.add_argument("--epochs", type=number(), help="more, or fewer")
    command.add_argument("--stop-after", type=number(),
                         help="end after so many epochs")
    if recipe.tokenizer_runs:
        command.add_argument("--tokens", type=text, metavar="FILE",
                             help="what `tokenize` wrote")
    add_running(command, recipe, given)


def add_codebook(command: Any, recipe: Recipe) -> None:
    """What k-means takes."""
    command.add_arguments(type(recipe.tokenizer), "tokenizer_settings",
                          default=recipe.tokenizer)
    command.add_argument("--seed", type=int, default=0,
                         help="default: %(default)s")
    command.add_argument("--limit", type=number(),
                         help="only so many images of each split")
    command.add_argument("--out", type=text, help="folder of the tokenizer "
                         "(default: runs/NAME/TIME)")


def add_settings(command: Any, recipe: Recipe,
                 given: argparse.Namespace) -> None:
    """What a new run takes: settings that are not decided otherwise."""
    of_signs = recipe.tokenizer_runs and given.stage != "prior"
    known = recipe.tokenizer_runs[0] if of_signs else None
    schedule = known.schedule if known else recipe.runs[0]
    if given.epochs:  # others than the recipe's
        schedule = replace(schedule, stop_after=None)
    command.add_arguments(Schedule, "schedule", default=schedule)
    if known and given.stage == "tokenizer":
        command.add_arguments(type(known.rate), "rate", default=known.rate)
    if not of_signs and not given.weights:
        command.add_arguments(type(recipe.prior), "prior_settings",
                              default=recipe.prior)
    stored = given.weights or given.tokenizer or given.tokens or (
        given.stage == "prior" and recipe.tokenizer_runs)
    if not stored:
        command.add_arguments(type(recipe.tokenizer), "tokenizer_settings",
                              default=recipe.tokenizer)
    command.add_argument("--weights", type=text, metavar="FILE",
                         help="start from these, not from the settings of "
                         "prior and tokenizer")
    learns = hasattr(recipe.tokenizer, "patch") and not of_signs
    if learns and not (given.weights or given.tokens):
        command.add_argument("--tokenizer", type=text, metavar="FILE",
                             help="a stored tokenizer, used as it is")
    if learns and recipe.tokenizer_runs:
        command.add_argument("--tokens", type=text, metavar="FILE",
                             help="what `tokenize` wrote, in place of "
                             "pictures")
    command.add_argument("--out", type=text, metavar="DIR", help="folder of "
                         "the run (default: runs/NAME/TIME)")
    add_running(command, recipe, given)
