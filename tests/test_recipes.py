"""Every shipped header says what its recipe says."""

from dataclasses import asdict

import pytest
import torch

import pixellab as pl
from pixellab import recipes, weights
from pixellab.cli import main
from pixellab.parts import learned
from pixellab.recipes import (
    RECIPES,
    ConvolutionSettings,
    EightBits,
    PatchSettings,
    PixelSettings,
    Reader,
    Recipe,
    Schedule,
)


def runs(provenance):
    """What is known of the runs behind some weights, the first one first."""
    if provenance is None:
        return []
    return [*runs(provenance.get("started_from")), provenance]


def done(provenance):
    """A run as its header tells it. (Older headers leave out what was not
    there yet, and say the moves beside the recipe.)"""
    told = {key: value for key, value in provenance["recipe"].items()
            if key != "save_minutes"}
    usual = asdict(Schedule(epochs=told["epochs"]))
    return {**usual, "shifts": provenance.get("shifts", 0), **told,
            "stop_after": provenance["epochs_done"]}


def planned(schedule):
    return {**asdict(schedule), "stop_after": schedule.last_epoch}


def config_of(settings):
    return {key: list(value) if isinstance(value, tuple) else value
            for key, value in asdict(settings).items()}


def test_every_shipped_file_has_a_recipe():
    assert set(weights.names()) == set(RECIPES)


@pytest.mark.parametrize("name", recipes.trained())
def test_a_header_says_what_its_recipe_says(name):
    recipe, file = RECIPES[name], weights.read(name)
    about = file.provenance
    assert about["name"] == name and about["data"] == recipe.source
    assert list(map(done, runs(about))) == list(map(planned, recipe.runs))
    for part in ("tokenizer", "prior"):
        settings, config = getattr(recipe, part), file.config[part]
        assert config["kind"] == settings.kind
        defaults = {"spacing": 1, "shared": False}  # older than these
        assert config_of(settings).items() <= {**defaults, **config}.items()
    if recipe.tokenizer_runs:
        about = about["tokenizer"]
        assert about["mirrored"] == recipe.mirrored
        assert list(map(done, runs(about))) == [
            planned(one.schedule) for one in recipe.tokenizer_runs]
        for one, run in zip(recipe.tokenizer_runs, runs(about), strict=True):
            objective = run.get("objective")  # older headers have none
            assert objective is None or asdict(one.rate).items() <= \
                objective.items()


@pytest.mark.parametrize("name", recipes.readers())
def test_a_reader_is_as_its_recipe_says(name):
    recipe, file = RECIPES[name], weights.read(name)
    about = file.provenance
    assert file.config["classifier"] == {"width": recipe.width}
    assert about["recipe"].items() <= asdict(recipe).items()
    assert about["data"].startswith(f"MNIST, {recipe.split}, ")


def test_copies_are_of_the_model_that_they_say():
    for name, recipe in RECIPES.items():
        if isinstance(recipe, EightBits):
            about = weights.read(name).provenance
            source = weights.read(recipe.variant_of).provenance
            assert about["stored_as"] == "int8"
            assert about["data_sha256"] == source["data_sha256"]
            assert about["recipe"] == source["recipe"]


def test_the_order_that_files_rely_on():
    assert pl.models() == ["pixelcnn", "gpt", "symbols", "patches", "bsq"]
    assert pl.codec.MODELS == ("pixelcnn", "gpt", "symbols", "patches", "bsq",
                               "pixelcnn-binary", "gpt-live")


# ------------------------------------------------------------- reproduced


@pytest.fixture
def few_digits(monkeypatch, sample_data, tmp_path):
    whole = pl.data.mnist

    def mnist(split):
        if split == "test":
            raise FileNotFoundError("not here")
        images, labels = whole(split)
        return images[::50].clone(), labels[::50].clone()

    monkeypatch.setattr(pl.data, "mnist", mnist)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def reproduced(monkeypatch, **tiny):
    for name, recipe in tiny.items():
        monkeypatch.setitem(RECIPES, name, recipe)


def test_all_runs_of_a_recipe(monkeypatch, few_digits, capsys):
    """Two runs with a codebook; called again, it only says so."""
    short = Schedule(epochs=1, batch_size=20, precision="fp32")
    prior = recipes.TransformerSettings(width=16, layers=1, heads=2)
    reproduced(monkeypatch, patches=Recipe(
        "mnist", "a few digits", PatchSettings(codebook_size=16), prior,
        (short, Schedule(epochs=2, batch_size=20, precision="fp32", seed=1,
                         stop_after=1))))
    assert main(["reproduce", "patches", "--device", "cpu"]) == 0
    path = few_digits / "runs/patches/patches.safetensors"
    about = weights.read(path).provenance
    assert list(map(done, runs(about))) == list(map(
        planned, RECIPES["patches"].runs))
    codebooks = [learned(pl.load(one, "cpu").tokenizer) for one in (
        path, path.parent / "prior_1/best.safetensors")]
    assert weights.digest(codebooks[0]) == weights.digest(codebooks[1])
    before = path.read_bytes()
    capsys.readouterr()
    assert main(["reproduce", "patches"]) == 0
    assert "bits a token" in capsys.readouterr().out
    assert path.read_bytes() == before


def test_a_killed_recipe_goes_on(monkeypatch, few_digits):
    """Killed in its second run, the first is not done again."""
    from pixellab.training import loop

    tiny = Recipe(
        "mnist", "a few digits", PixelSettings(),
        ConvolutionSettings(width=4, dilations=(1,)),
        (Schedule(epochs=1, batch_size=20, precision="fp32"),
         Schedule(epochs=1, batch_size=20, precision="fp32", seed=1)))
    reproduced(monkeypatch, pixelcnn=tiny)
    assert main(["reproduce", "pixelcnn", "--out", "whole"]) == 0
    calls, batch = [], loop.batch

    def stop(data, schedule, *rest):
        calls.append(schedule.seed)
        if schedule.seed == 1 and calls.count(1) == 2:
            raise KeyboardInterrupt
        return batch(data, schedule, *rest)

    monkeypatch.setattr(loop, "batch", stop)
    assert main(["reproduce", "pixelcnn", "--out", "cut"]) == 130
    assert main(["reproduce", "pixelcnn", "--out", "cut"]) == 0
    assert calls.count(0) == 3  # 60 digits, 20 a step
    whole, cut = (weights.read(few_digits / f"{out}/pixelcnn.safetensors")
                  for out in ("whole", "cut"))
    assert whole.config == cut.config
    assert all(torch.equal(whole.tensors[key], cut.tensors[key])
               for key in whole.tensors)


def test_a_reader_is_reproduced(monkeypatch, few_digits):
    reproduced(monkeypatch, reranker=Reader("train", width=2, epochs=1,
                                            batch_size=20))
    assert main(["reproduce", "reranker", "--out", "here"]) == 0
    about = weights.read(few_digits / "here/reranker.safetensors").provenance
    assert "valid_accuracy" in about


def test_an_unknown_recipe(capsys):
    assert main(["reproduce", "gtp"]) == 2
    assert "invalid choice" in capsys.readouterr().err
