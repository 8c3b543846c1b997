"""All that trains, made small: the chapters' scale for a GPU, and the CLI.

A chapter's cells run here with the numbers of the scale `colab`, none of them
above 64. What a GPU itself does differently, this cannot see.
"""

import dataclasses
import json
import math

import pytest
from chapter_cells import IMPORTS, MARKS, cells_with

import pixellab as pl
from pixellab.cli import main
from pixellab.dial import Scale
from pixellab.tokenizers.patches import Patches
from pixellab.tokenizers.symbols import Symbols


class Small(Scale):
    def pick(self, quick, colab, release):
        return min(super().pick(quick, colab, release), 64)


def symbols():
    return {"tokenizer": Symbols()}


def book_of_64():
    """What chapter 5 has learned before it trains a prior."""
    book = Patches(4, 64).fit(pl.data.mnist("train")[0][:300])
    return {"book64": book,
            "valid_codes": {64: book.encode(pl.data.mnist("valid")[0])}}


TRAINING = {  # chapter: (cells that training needs, other names, losses)
    "02_pixelcnn.py": (
        ["x_train, y_train =", "setting =", "def bits_per_pixel",
         "def training", "count = "], dict, "history"),
    "03_gpt.py": (
        ["x_train, y_train =", "setting =", "def teach", "recipe = "],
        dict, "history"),
    "04_symbols.py": (["tokens_train =", "recipe = "], symbols, "history"),
    "05_patches.py": (["recipe = "], book_of_64, "history"),
    "06_bsq.py": (
        ["def squares", "pieces =", "def learn_plain", "def binary_entropy",
         "class SmallCoder", "def in_colour", "def learn_coder"],
        dict, "sign_errors")}


@pytest.mark.parametrize("chapter", TRAINING)
def test_a_chapter_trains_on_the_scale_of_colab(
        chapter, monkeypatch, sample_data):
    monkeypatch.setattr(pl, "scale", lambda **words: Small("colab", "cpu"))
    digits = pl.data.mnist
    monkeypatch.setattr(pl.data, "mnist", lambda split: tuple(
        part[::10] for part in digits(split)))
    starts, given, losses = TRAINING[chapter]
    names = given()
    exec(IMPORTS, names)
    for source in cells_with(chapter, "scale = pl.scale", *MARKS, *starts):
        exec(source, names)
    found = [loss for row in names[losses] for loss in (
        [row["train"], row["valid"]] if isinstance(row, dict) else [row])]
    assert len(found) > 4 and all(map(math.isfinite, found))


@dataclasses.dataclass
class Command:
    """`pixellab` with the words that keep a run short."""

    folder: object

    def train(self, name, *words):
        """The path of the best weights, after one epoch on 64 images."""
        out = self.folder / f"run{len(list(self.folder.iterdir()))}"
        assert main(["train", *name.split(), "--epochs", "1", "--limit", "64",
                     "--batch-size", "16", "--precision", "fp32",
                     "--device", "cpu", "--out", str(out),
                     *map(str, words)]) == 0
        history = json.loads((out / "history.json").read_text())
        assert len(history) == 1
        assert all(math.isfinite(history[0][key]) for key in
                   ("train", "valid"))
        return out / "best.safetensors"


@pytest.fixture
def command(tmp_path, sample_data):
    return Command(tmp_path)


@pytest.mark.parametrize("name", ["pixelcnn", "gpt", "symbols", "patches"])
def test_a_model_of_digits_trains_on_the_command_line(command, name):
    depth = ["--dilations", 1] if name == "pixelcnn" else [
        "--layers", 1, "--heads", 1]
    path = command.train(name, "--width", 16, *depth)
    model = pl.load(path, "cpu")
    images, labels = pl.data.mnist("valid")
    assert model.bits(images[:2], labels=labels[:2]).isfinite().all()
    assert model.provenance["recipe"]["epochs"] == 1


def test_a_model_of_frames_trains_stage_by_stage(command, tmp_path):
    first = command.train("bsq --stage autoencoder", "--features", 8)
    second = command.train("bsq --stage tokenizer", "--weights", first)
    tokens = tmp_path / "tokens.safetensors"
    assert main(["tokenize", "bsq", str(tokens), "--limit", "32", "--weights",
                 str(second)]) == 0
    path = command.train("bsq --stage prior", "--tokens", tokens, "--width",
                         16, "--layers", 1, "--heads", 1)
    frames = pl.data.supertux("valid", limit=2)
    assert pl.load(path, "cpu").bits(frames).isfinite().all()
