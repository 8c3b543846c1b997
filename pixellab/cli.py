"""The command line: it parses, and `commands` does. Nothing slow is imported
before it is clear what is asked for."""

import argparse
import sys
import warnings
from collections.abc import Sequence

from pixellab.flags import Parser, add_device, number, numbers, text
from pixellab.recipes import RECIPES, recipe_named, trained
from pixellab.train_flags import parse_train

ABOUT = "Pixel by Pixel: autoregressive image models, from tokens to files."


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


# ------------------------------------------------------------- the commands

def parser() -> Parser:
    """All commands; the flags of `train NAME` are in `train_flags`."""
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
