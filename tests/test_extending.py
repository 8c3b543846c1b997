"""The worked example of CONTRIBUTING, run at tiny scale as it stands."""

import inspect
import re
from pathlib import Path

import pytest

import pixellab as pl
import pixellab.tokenizers
from pixellab import weights
from pixellab.parts import describe
from pixellab.tokenizers.pixels import Pixels

TEXT = (Path(__file__).resolve().parent.parent / "CONTRIBUTING.md").read_text()
SCRIPT, BLOCKS, SWAP = re.findall(r"```python\n(.*?)```", TEXT, re.S)
LINE = "tokenizer = Pixels(levels=4)\n"


@pytest.fixture
def few_digits(monkeypatch, tmp_path, sample_data):
    """320 digits of each split, of which the example takes every 10th or
    20th; and a folder to work in."""
    whole = pl.data.mnist
    monkeypatch.setattr(pl.data, "mnist", lambda split: tuple(
        part[:320] for part in whole(split)))
    monkeypatch.chdir(tmp_path)


def run(script):
    names = {}
    exec(script, names)
    return names


def test_a_model_of_four_levels(few_digits):
    names = run(SCRIPT)
    assert names["digits"].shape == (10, 28, 28)
    assert set(names["digits"].unique().tolist()) <= {0, 85, 170, 255}
    assert Path("runs/mine/digits.png").exists()
    assert names["model"].provenance["name"] == "mine"


def test_a_tokenizer_in_its_own_file(few_digits, tmp_path, monkeypatch):
    monkeypatch.setattr(pixellab.tokenizers, "__path__",
                        [*pixellab.tokenizers.__path__, str(tmp_path)])
    Path("blocks.py").write_text(BLOCKS)
    assert LINE in SCRIPT
    names = run(SCRIPT.replace(LINE, SWAP))
    model, images = names["model"], names["images"][:4]
    assert type(model.tokenizer).__name__ == "Blocks"
    levels = Pixels(levels=4)  # the oracle: it rounds to the same ones
    assert (model.reconstruct(images)
            == levels.decode(levels.encode(images))).all()
    upper = model.complete(images, rows=14)[:, :14]
    assert (upper == model.reconstruct(images)[:, :14]).all()


def promised(table):
    """The names in the first column of a table of CONTRIBUTING."""
    rows = TEXT[TEXT.index(table):].split("\n\n")[0].splitlines()[2:]
    return [name for row in rows if "nn.Module" not in row.split("|")[1]
            for name in re.findall(r"`(\w+)", row.split("|")[1])]


@pytest.mark.parametrize("name", pl.models())
def test_every_model_has_what_the_tables_promise(name):
    model, config = pl.load(name, "cpu"), weights.read(name).config
    for kind, part in (("tokenizer", model.tokenizer),
                       ("prior", model.prior)):
        names = promised(f"| a {kind} ")
        assert len(names) > 3 and all(hasattr(part, name) for name in names)
        # the file says how to build it; what it leaves out is as by default
        defaults = {
            key: one.default
            for key, one in inspect.signature(type(part)).parameters.items()}
        assert describe(part) == {
            **{key: defaults[key] for key in part.config if key in defaults
               and key not in config[kind]}, **config[kind]}
