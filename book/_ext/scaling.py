"""The numbers of the page book/scaling: weight files and arithmetic.

The directive `scaling` puts a table into the page: `speeds` is what the
headers of the shipped weights say of their training; `small` and `large` are
arithmetic for larger images. A FLOP is one multiplication or one addition.
"""

from dataclasses import dataclass

import torch
from docutils import nodes
from docutils.parsers.rst import Directive
from docutils.statemachine import StringList
from torch import nn

from pixellab import models, weights
from pixellab.parts import build
from pixellab.priors.gpt import GPT
from pixellab.tokenizers.bsq import BSQ
from pixellab.tokenizers.pixels import Pixels

PEAK = 312e12  # FLOP a second in bf16, an A100 by its data sheet
USED = 0.3     # the part of it that training reaches: assumed
IMAGES = 1_000_000  # in training, counted once an epoch
SIZES = {"small": {"width": 160, "layers": 2, "heads": 5},  # chapter 3
         "large": {"width": 768, "layers": 12, "heads": 12}}  # a small GPT-2
HEADS = {
    "speeds": ["weights", "tokens", "GFLOP an image", "images seen",
               "images a second", "GFLOP a second"],
    "small": ["image", "tokens", "GFLOP an image", "of them attention",
              "cache, MB"]}
HEADS["large"] = [*HEADS["small"], "GPU hours an epoch"]


def pictures():
    """What an image is cut into: {name: tokenizer}."""
    return {"28 × 28, grey pixels": Pixels(),
            "64 × 64, colours of pixels": Pixels(256, 64, 64, 3),
            "256 × 256, BSQ patches of 8 × 8": BSQ(8, 10, 256, 256),
            "256 × 256, BSQ patches of 16 × 16": BSQ(16, 10, 256, 256)}


@dataclass
class Cost:
    """What one image costs: FLOP, forward; bytes of the KV cache."""

    matrices: float
    attention: float = 0
    cache: float = 0

    @property
    def forward(self):
        return self.matrices + self.attention

    @property
    def training(self):
        """The backward pass multiplies twice where the forward does once:
        for the gradient of the inputs, and of the weights."""
        return 3 * self.forward


def matrix_weights(net):
    """How many numbers each token is multiplied with."""
    return sum(weight.numel() for part in net.modules()
               if not isinstance(part, nn.Embedding)
               for weight in part.parameters(recurse=False)
               if weight.ndim > 1)


def cost(net, tokens):
    """The `Cost` of an image of so many tokens in a prior of this book."""
    layers, width = net.config.get("layers", 0), net.config["width"]
    kept = -(-tokens // net.config.get("spacing", 1))
    told = width // net.config["heads"] if net.config.get("shared") else width
    return Cost(
        2 * matrix_weights(net) * tokens,
        2 * 2 * layers * width * tokens * kept,  # queries·keys, and ·values
        2 * layers * told * kept * 2)  # keys and values, 16 bits


def gpt(tokenizer, size):
    """A transformer for these tokens: shapes alone, no numbers."""
    with torch.device("meta"):
        return GPT(tokenizer.vocabulary, tokenizer.grid, **SIZES[size])


def hours(cost):
    return cost.training * IMAGES / (PEAK * USED) / 3600


def runs(about):
    """The headers of the runs behind these weights, the last one first."""
    while about:
        yield about
        about = about.get("started_from")


def speed(name):
    """One row: what the training of a shipped prior computed, and how fast.
    """
    _, config, about = weights.read(name)
    with torch.device("meta"):
        prior = build("priors", config["prior"])
        tokens = build("tokenizers", config["tokenizer"]).length
    seen = sum(run["train_images"] * run["epochs_done"]
               for run in runs(about))
    seconds = sum(run["seconds"] for run in runs(about))
    image = cost(prior, tokens)
    return [f"`{name}`", f"{tokens:,}", f"{image.training / 1e9:.1f}",
            f"{seen:,}", f"{seen / seconds:,.0f}",
            f"{image.training * seen / seconds / 1e9:,.0f}"]


def size_row(name, tokenizer, size):
    image = cost(gpt(tokenizer, size), tokenizer.length)
    digits = 1 if size == "small" else 0
    row = [name, f"{tokenizer.length:,}",
           f"{image.training / 1e9:,.{digits}f}",
           f"{image.attention / image.forward:.0%}",
           f"{image.cache / 1e6:,.1f}"]
    return row if size == "small" else [*row, f"{hours(image):,.1f}"]


def table(kind):
    """One of the tables of HEADS, as lines of Markdown."""
    if kind == "speeds":
        rows = [speed(name) for name in models()]
    else:
        with torch.device("meta"):
            tokenizers = pictures()
        rows = [size_row(*item, kind) for item in tokenizers.items()]
    rule = ["---", *["---:"] * (len(HEADS[kind]) - 1)]
    return ["| " + " | ".join(row) + " |"
            for row in [HEADS[kind], rule, *rows]]


class Table(Directive):
    required_arguments = 1  # speeds, small or large

    def run(self):
        here = nodes.Element()
        self.state.nested_parse(StringList(table(self.arguments[0])),
                                self.content_offset, here)
        return here.children


def millions(net):
    return f"{sum(p.numel() for p in net.parameters()) / 1e6:.1f}"


def numbers_for_the_text(app, config):
    nets = {size: gpt(Pixels(), size) for size in SIZES}
    large = sum(p.numel() for p in nets["large"].parameters())
    config.myst_substitutions = {
        **config.myst_substitutions,
        "scaling_peak": f"{PEAK / 1e12:.0f}",
        "scaling_used": f"{USED:.0%}",
        "scaling_images": f"{IMAGES:,}",
        "scaling_small": millions(nets["small"]),
        "scaling_large": millions(nets["large"]),
        "scaling_state": f"{16 * large / 1e9:.1f}",
        **{f"scaling_{name}_{size}": str(SIZES[size][name])
           for size in SIZES for name in ("width", "layers")},
    }


def setup(app):
    app.add_directive("scaling", Table)
    app.connect("config-inited", numbers_for_the_text)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
