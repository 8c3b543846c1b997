"""The flags of `pixellab train NAME`: the settings of its recipe.

Which flags there are depends on how a run begins, so that none can be given
that would be ignored.
"""

import argparse
import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NoReturn

from pixellab.flags import Parser, add_device, number, text
from pixellab.recipes import PixelSettings, Recipe, Schedule, recipe_named

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
