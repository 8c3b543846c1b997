"""How every weight file that ships is made, in one place.

`pixellab reproduce NAME` runs all of a recipe; `pixellab train NAME` one run,
with what stands here as defaults. A test holds the headers of the shipped
files to it. It imports nothing, so that the names of the models can be had
everywhere, and at once.
"""

from dataclasses import dataclass
from typing import Any, ClassVar, Literal


def check(settings: Any, **limits: tuple[float, float]) -> None:
    """ValueError for a setting that lies outside its limits."""
    for name, (low, high) in limits.items():
        value = getattr(settings, name)
        if value is not None and not low <= value <= high:  # NaN neither
            raise ValueError(f"{name} is {value}; it must lie in {low} to "
                             f"{high}")


@dataclass(frozen=True)
class Schedule:
    """One run of the training loop. ValueError for settings without sense."""

    epochs: int = 50
    """passes through the training set that the learning rate is planned for"""
    optimizer: Literal["adam", "muon"] = "adam"
    """muon: for the matrices and kernels inside blocks, Adam for the rest"""
    lr: float = 1e-3
    """the learning rate at the start"""
    gamma: float = 0.99
    """in each epoch the learning rate falls by this factor"""
    warmup: int = 0
    """steps in which the learning rate rises to lr, for transformers"""
    batch_size: int = 128
    """images a step, over all processes together"""
    label_dropout: float = 0.1
    """how often a label is withheld, so that the null class is taught"""
    averaging: float = 0.0
    """what is scored and kept: a running mean of the weights, which each step
    moves by 1 - averaging; 0: the weights"""
    precision: Literal["auto", "bf16", "fp32"] = "auto"
    """of the products; auto: bf16 where it is fast"""
    seed: int = 0
    """of the first weights, the order of the images, the dropped labels"""
    shifts: int = 0
    """each digit is also taught moved by up to so many pixels"""
    stop_after: int | None = None
    """end after so many epochs, as if stopped by hand"""

    def __post_init__(self) -> None:
        check(self, epochs=(1, 1e9), lr=(1e-9, 1e99), gamma=(1e-9, 1),
              warmup=(0, 1e9), batch_size=(1, 1e9), label_dropout=(0, 1),
              averaging=(0, 1), seed=(0, 2**32 - 1), shifts=(0, 2),
              stop_after=(1, 1e9))
        if self.precision not in ("auto", "bf16", "fp32"):
            raise ValueError(f"precision {self.precision}: auto, bf16 or fp32")
        if self.optimizer not in ("adam", "muon"):
            raise ValueError(f"optimizer {self.optimizer}: adam or muon")

    @property
    def last_epoch(self) -> int:
        """After which the run ends."""
        return min(self.epochs, self.stop_after or self.epochs)


# ------------------------------------------------------------ tokenizers

@dataclass(frozen=True)
class PixelSettings:
    """A pixel is a token."""

    kind: ClassVar[str] = "pixels.Pixels"
    levels: int = 256
    """levels of brightness"""
    channels: int = 1
    """1: grey, 3: red, green and blue"""


@dataclass(frozen=True)
class SymbolSettings:
    """Six black or white pixels are a token."""

    kind: ClassVar[str] = "symbols.Symbols"


@dataclass(frozen=True)
class PatchSettings:
    """A patch is the number of the nearest entry in a codebook."""

    kind: ClassVar[str] = "patches.Patches"
    patch: int = 4
    """pixels of a side"""
    codebook_size: int = 1024
    """entries, learned by k-means"""


@dataclass(frozen=True)
class BSQSettings:
    """A patch is a handful of signs, given by an auto-encoder."""

    kind: ClassVar[str] = "bsq.BSQ"
    patch: int = 5
    """pixels of a side"""
    bits: int = 10
    """signs of a patch"""
    features: int = 96
    """of a patch, inside encoder and decoder"""

    def __post_init__(self) -> None:
        check(self, features=(1, 1e5))


@dataclass(frozen=True)
class RateSettings:
    """What a BSQ is trained by, beside the squared error of its pictures."""

    rate_weight: float = 1.2e-4
    """squared error that a bit a token is worth"""
    entropy_weight: float = 1e-4
    """of the terms that keep signs sure, and + as frequent as -"""

    def __post_init__(self) -> None:
        check(self, rate_weight=(0, 1), entropy_weight=(0, 1))


# ---------------------------------------------------------------- priors

@dataclass(frozen=True)
class TransformerSettings:
    """The prior of chapter 3."""

    kind: ClassVar[str] = "gpt.GPT"
    width: int = 160
    """features of a token"""
    layers: int = 2
    """blocks"""
    heads: int = 5
    """of attention; they divide the width"""
    window: int = 2
    """rows and columns around a token that it is told of"""
    spacing: int = 1
    """attention looks back at every place, every second, ..."""
    shared: bool = False
    """one key and one value for all heads"""
    dropout: float = 0.0
    """share of the features that is left out in training"""

    def __post_init__(self) -> None:
        check(self, width=(1, 1e5), layers=(1, 1e4), heads=(1, 1e4),
              dropout=(0, 0.9))


@dataclass(frozen=True)
class ConvolutionSettings:
    """The prior of chapter 2."""

    kind: ClassVar[str] = "pixelcnn.PixelCNN"
    width: int = 48
    """features of each stack"""
    dilations: tuple[int, ...] = (1, 2, 1, 4, 1, 2, 1)
    """one a block"""

    def __post_init__(self) -> None:
        check(self, width=(1, 1e5))
        if not self.dilations or min(self.dilations) < 1:
            raise ValueError(f"dilations are {self.dilations}; use 1, 2, ...")


# --------------------------------------------------------------- recipes

@dataclass(frozen=True)
class TokenizerRun:
    """One run for a tokenizer that is a network."""

    rate: RateSettings
    schedule: Schedule


@dataclass(frozen=True)
class Recipe:
    """How a model is made, each run from the best weights of the one before.
    """

    data: Literal["mnist", "binarized_mnist", "supertux"]
    source: str
    """what its pictures are, in words"""
    tokenizer: (PixelSettings | SymbolSettings | PatchSettings | BSQSettings)
    prior: TransformerSettings | ConvolutionSettings
    runs: tuple[Schedule, ...]
    tokenizer_runs: tuple[TokenizerRun, ...] = ()
    mirrored: bool = False
    """each training picture is also a mirrored one, as tokens"""
    variant_of: str | None = None
    """None: one of the book's systems"""


@dataclass(frozen=True)
class EightBits:
    """Another model's weights in 8 bits, small enough to load in a page."""

    variant_of: str


@dataclass(frozen=True)
class Reader:
    """A classifier of digits, trained on one split of MNIST."""

    split: Literal["train", "test"]
    width: int
    epochs: int
    batch_size: int = 100
    lr: float = 4e-3
    seed: int = 0


MNIST = "MNIST, 256 levels"

RECIPES: dict[str, Recipe | EightBits | Reader] = {
    "pixelcnn": Recipe(
        "mnist", MNIST, PixelSettings(), ConvolutionSettings(), (
            Schedule(epochs=4, lr=4e-3, gamma=0.45, batch_size=16,
                     precision="bf16", stop_after=3),
            Schedule(epochs=3, lr=1.5e-3, gamma=0.27, batch_size=16,
                     precision="bf16", seed=1))),
    # in its first epoch the label stood only before the first token
    "gpt": Recipe(
        "mnist", MNIST, PixelSettings(), TransformerSettings(), (
            Schedule(epochs=2, lr=4e-3, gamma=0.12, warmup=200, batch_size=16,
                     precision="bf16", stop_after=1),
            Schedule(epochs=1, lr=2.5e-3, gamma=0.025, warmup=200,
                     batch_size=16, precision="bf16", seed=1),
            Schedule(epochs=1, lr=2e-3, gamma=0.02, warmup=200, batch_size=16,
                     precision="bf16", seed=2))),
    "symbols": Recipe(
        "mnist", "MNIST, 30x30, rounded", SymbolSettings(),
        TransformerSettings(layers=3), (
            Schedule(epochs=6, lr=4e-3, gamma=0.52, warmup=200, batch_size=16,
                     precision="bf16"),)),
    "patches": Recipe(
        "mnist", MNIST, PatchSettings(),
        TransformerSettings(layers=3, dropout=0.1), (
            Schedule(epochs=15, lr=4e-3, gamma=0.77, warmup=200,
                     batch_size=16, precision="bf16", stop_after=9),
            Schedule(epochs=1, lr=2e-3, gamma=0.1, warmup=200, batch_size=16,
                     precision="bf16", seed=1, shifts=1),
            Schedule(epochs=2, lr=5e-4, gamma=0.15, warmup=200, batch_size=16,
                     precision="bf16", seed=2))),
    "bsq": Recipe(
        "supertux", "SuperTuxKart frames, 150x100", BSQSettings(),
        TransformerSettings(layers=3), (
            Schedule(epochs=2, lr=3e-3, gamma=0.15, warmup=200, batch_size=8,
                     precision="bf16"),),
        tokenizer_runs=(
            TokenizerRun(RateSettings(rate_weight=7e-5), Schedule(
                epochs=14, lr=2.5e-3, gamma=0.75, warmup=100, batch_size=8,
                precision="bf16")),
            TokenizerRun(RateSettings(rate_weight=1.2e-4), Schedule(
                epochs=5, lr=1.2e-3, gamma=0.42, warmup=50, batch_size=8,
                precision="bf16"))),
        mirrored=True),
    "pixelcnn-binary": Recipe(
        "binarized_mnist", "static-binarised MNIST", PixelSettings(levels=2),
        ConvolutionSettings(), (
            Schedule(epochs=4, lr=4e-3, gamma=0.45, batch_size=16,
                     precision="bf16"),),
        variant_of="pixelcnn"),
    "gpt-live": EightBits("gpt"),
    "judge": Reader("test", width=24, epochs=40),
    "reranker": Reader("train", width=16, epochs=6),
}
"""The one list of names. The order counts: a compressed file names its model
by the place here, so new ones come last."""


def recipe_named(name: str) -> Recipe:
    """The recipe of a model that is trained. ValueError for other names."""
    recipe = RECIPES.get(name)
    if not isinstance(recipe, Recipe):
        raise ValueError(f"there is no recipe {name!r}: use one of "
                         f"{', '.join(trained())}")
    return recipe


def trained() -> list[str]:
    """Names of the models that are trained by themselves."""
    return [name for name, one in RECIPES.items() if isinstance(one, Recipe)]


def image_models() -> list[str]:
    """Names of the models of images, variants included."""
    return [name for name, one in RECIPES.items()
            if not isinstance(one, Reader)]


def systems() -> list[str]:
    """Names of the book's five systems, in its order."""
    return [name for name in trained()
            if recipe_named(name).variant_of is None]


def readers() -> list[str]:
    """Names of the classifiers of digits."""
    return [name for name, one in RECIPES.items() if isinstance(one, Reader)]
