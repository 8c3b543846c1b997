"""The scoreboard: its arithmetic, its runner, and what is stored."""

import importlib
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks import (
    __main__ as runner,
)
from benchmarks import (
    _tools,
    binarisations,
    bits,
    digit_rates,
    lossless,
    reranking,
    samples,
    speed,
    trade,
)
from pixellab import data, load, sampling
from pixellab.model import ImageModel
from pixellab.priors.gpt import GPT
from pixellab.priors.pixelcnn import PixelCNN
from pixellab.tokenizers.pixels import Pixels
from pixellab.tokenizers.symbols import Symbols

ROOT = Path(__file__).parent.parent
STORED = json.loads(runner.RESULTS.read_text())


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.setattr(_tools, "STORE", tmp_path / "bench")
    monkeypatch.setattr(runner, "RESULTS", tmp_path / "results.json")


# ---------------------------------------------------------------- the runner

PART = """'''Does this part run?'''

from benchmarks import _tools


def measure():
    return {name: _tools.kept("NAME", name, 1, lambda name=name: once(name))
            for name in "ab"}


def once(name):
    with open("calls", "a") as file:
        file.write(f"NAME {name}\\n")
    if FAILS and not open("calls").read().count("NAME b") > 1 and name == "b":
        raise KeyboardInterrupt
    return 1
"""


@pytest.fixture
def parts(tmp_path, monkeypatch):
    """Two parts of two pieces; the second is killed once in its second."""
    monkeypatch.chdir(tmp_path)
    for name, fails in (("first", False), ("second", True)):
        code = PART.replace("NAME", name).replace("FAILS", str(fails))
        module = type(sys)(f"benchmarks.{name}")
        exec(code, module.__dict__)
        monkeypatch.setitem(sys.modules, f"benchmarks.{name}", module)
    monkeypatch.setattr(runner, "NAMES", ["first", "second"])
    monkeypatch.setitem(runner.GROUPS, "all", ["first", "second"])
    return lambda: (tmp_path / "calls").read_text().splitlines()


def test_a_killed_run_goes_on_where_it_was_and_a_finished_one_anew(
        parts, capsys):
    with pytest.raises(KeyboardInterrupt):
        runner.main([])
    assert set(json.loads(runner.RESULTS.read_text())) == {"first"}
    assert runner.main([]) == 0
    assert "part 1 of 2, first: measured before" in capsys.readouterr().out
    pieces = ["first a", "first b", "second a", "second b", "second b"]
    assert parts() == pieces
    results = json.loads(runner.RESULTS.read_text())
    assert results["second"]["results"] == {"a": 1, "b": 1}
    assert results["second"]["run"]["resumed"]
    assert not results["first"]["run"]["resumed"]
    assert runner.main([]) == 0
    assert parts() == pieces + ["first a", "first b", "second a", "second b"]


def test_other_weights_mean_a_new_run(parts, monkeypatch):
    with pytest.raises(KeyboardInterrupt):
        runner.main([])
    monkeypatch.setattr(_tools, "digest", lambda path: "others")
    assert runner.main([]) == 0
    assert parts().count("first a") == parts().count("second a") == 2


def test_one_part_is_run_alone(parts):
    assert runner.main(["first"]) == 0
    entry = json.loads(runner.RESULTS.read_text())["first"]
    assert entry["question"] == "Does this part run?"
    assert entry["run"]["command"] == "python -m benchmarks first"
    assert not (_tools.STORE / "first").exists()


def test_an_unknown_name_is_refused(capsys):
    assert runner.main(["nothing"]) == 2
    told = capsys.readouterr().err
    assert told.count("\n") == 1 and "speed" in told


def test_each_part_has_a_question_and_a_measure():
    for name in runner.NAMES:
        module = importlib.import_module(f"benchmarks.{name}")
        assert "?" in module.__doc__.splitlines()[0]
        assert callable(module.measure)
    groups = runner.GROUPS["all"] + runner.GROUPS["train"]
    assert sorted(groups) == runner.NAMES


def test_make_knows_the_parts():
    for target, arguments in (("bench", ""), ("bench-train", " train"),
                              ("bench-speed", " speed")):
        told = subprocess.run(
            ["make", "-n", "--no-print-directory", target], cwd=ROOT,
            check=True, capture_output=True, text=True).stdout
        assert told.rstrip().endswith(f"python -m benchmarks{arguments}")


def test_what_is_kept_depends_on_what_is_said():
    assert _tools.kept("part", "a b", 1, lambda: [1]) == [1]
    assert _tools.kept("part", "a b", 1, lambda: [2]) == [1]
    assert _tools.kept("part", "a b", 2, lambda: [2]) == [2]


def test_functions_are_called_in_turn():
    calls = []
    found = _tools.in_turn({name: lambda name=name: calls.append(name)
                            for name in "ab"}, runs=2)
    assert "".join(calls) == "ababab"
    assert set(found) == {"a", "b"}


# ------------------------------------------------------------ the arithmetic

def tiny_model():
    torch.manual_seed(0)
    prior = GPT(4, (3, 4), width=8, layers=1, heads=1).eval()
    return ImageModel(Pixels(4, 3, 4), prior)


def test_digits_drawn_in_parts_are_those_of_one_batch(monkeypatch):
    model = tiny_model()
    monkeypatch.setattr(_tools, "load", lambda *_, **__: model)
    monkeypatch.setattr(_tools, "PART", 10)
    images = _tools.drawn("tiny", 20, top_p=0.9)
    labels = (torch.arange(20) % 10).tolist()
    assert torch.equal(images, model.sample(labels=labels, top_p=0.9))
    monkeypatch.setattr(sampling, "sample", None)  # nothing is drawn again
    assert torch.equal(_tools.drawn("tiny", 15, top_p=0.9), images[:15])


def test_classes_come_in_turn():
    images, labels = _tools.some_digits(3, first=2)
    assert labels.tolist() == list(range(10)) * 3
    x, y = data.mnist("valid")
    assert torch.equal(images[13], x[y == 3][3])  # the second three from 2 on


def test_an_archive_is_read_again_and_its_size_is_its_bits(monkeypatch):
    monkeypatch.setattr(lossless, "BATCH", 20)
    model, count = tiny_model(), 50
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(4, (count, 3, 4), generator=generator)
    images = (images * 85).to(torch.uint8)
    labels = torch.randint(10, (count,), generator=generator)
    *_, second, blob = lossless.archives(model, images, labels)
    again, read = lossless.extract(model, blob)
    assert torch.equal(again, images) and torch.equal(read, labels)
    assert torch.equal(lossless.extract(model, second)[0], images[:40])
    bits = model.bits(images, labels).sum().item() + count * np.log2(10)
    assert 0 <= 8 * (len(blob) - lossless.HEAD.size) - bits <= 80

    damaged = bytearray(blob)
    damaged[-5] ^= 1
    with pytest.raises((ValueError, AssertionError)):
        lossless.extract(model, bytes(damaged))
    with pytest.raises(ValueError, match="these weights"):
        lossless.extract(load("patches", device="cpu"), blob)


def test_symbols_are_compared_with_what_they_round():
    images, _ = _tools.some_digits(1)
    tokenizer = Symbols()
    rounded = (digit_rates.resized(images) > 127).to(torch.uint8) * 255
    assert torch.equal(rounded, tokenizer.decode(tokenizer.encode(images)))


def test_a_fresh_process_reads_an_archive():
    model = load("patches", device="cpu")  # the quickest
    images, labels = _tools.some_digits(1)
    *_, blob = lossless.archives(model, images[:2], labels[:2])
    again, read = lossless.in_fresh_process("patches", blob)
    assert np.array_equal(again, model.reconstruct(images[:2]))
    assert read.tolist() == [0, 1]


def test_frechet_distance_of_gaussians_in_closed_form():
    """Diagonal covariances: |m - n|^2 + sum (sqrt(a) - sqrt(b))^2."""
    generator = torch.Generator().manual_seed(0)
    whitened = torch.randn(500, 6, generator=generator).double()
    whitened -= whitened.mean(dim=0)
    whitened = torch.linalg.qr(whitened)[0] * 499 ** 0.5  # covariance 1
    a, b = torch.tensor([[1, 4, 9, 1, 0.25, 2], [4, 4, 1, 0, 1, 2]]).double()
    some = whitened * a.sqrt() + 1
    others = whitened * b.sqrt() + torch.arange(6)
    expected = 1 + 0 + 1 + 4 + 9 + 16 + (a.sqrt() - b.sqrt()).square().sum()
    assert samples.frechet(some, others) == pytest.approx(expected.item())
    assert samples.frechet(some, some) == pytest.approx(0, abs=1e-6)
    turn = torch.linalg.qr(torch.randn(6, 6, generator=generator).double())[0]
    assert samples.frechet(some @ turn, others @ turn) == pytest.approx(
        expected.item())  # no axis is special


def test_samples_that_teach_nothing_are_noticed(monkeypatch):
    for key, value in {"epochs": 8, "batch_size": 20, "width": 8}.items():
        monkeypatch.setitem(samples.RECIPE, key, value)
    images, labels = _tools.training_digits(50)
    x, y = _tools.some_digits(20)
    for taught, least, most in ((labels, 0.6, 1), (labels.roll(1), 0, 0.2)):
        net = samples.learned_from(images, taught)
        assert least <= (net.read(x) == y).double().mean() <= most


def test_a_shift_moves_the_whole_digit():
    image = torch.zeros(1, 7, 7)
    image[0, 3, 3] = 1
    generator = torch.Generator().manual_seed(0)
    places = {tuple(samples.shifted(image, 2, generator)[0].nonzero()[0]
                    .tolist()) for _ in range(300)}
    assert places == {(y, x) for y in range(1, 6) for x in range(1, 6)}


def test_diversity_is_the_distance_to_the_nearest_of_the_class():
    seen = torch.tensor([[0.0], [1], [3], [0.1], [0.3]])
    labels = torch.tensor([0, 0, 0, 1, 1])
    assert trade.spread(seen, labels) == pytest.approx(
        (1 + 1 + 2 + 0.2 + 0.2) / 5)


def test_chapter_1_is_counted_as_it_says():
    """The stored numbers, and those of the chapter's own table."""
    said = dict(re.findall(r"\| ([\w ]+) \| ([\d.]+) \| \d+ \|", (
        ROOT / "chapters/01_bits.ipynb").read_text()))
    for name, row in (("uniform", "uniform"), ("counting", "6 neighbours"),
                      ("independent", "independent")):
        found = STORED["bits"]["results"][f"{name} valid"]
        assert f"{found['bits_per_dimension']:.2f}" == said[row]


def test_only_what_is_named_of_a_chapter_is_run(tmp_path):
    path = tmp_path / "chapter.py"
    path.write_text("A, B = 1, 2\nraise SystemExit\ndef f():\n"
                    "    return A + B\nC = f() + 1\nD = 1 / 0\n")
    assert bits.defined(path, ["A", "f", "C"])["C"] == 4


def test_a_difference_that_is_not_rounding_is_noticed():
    torch.manual_seed(0)
    net = PixelCNN(4, (3, 3), width=4, dilations=(1,), head=4).eval()
    labels, uniforms = torch.tensor([1]), sampling.uniform_numbers(1, 9)
    tokens = sampling.sample(net, labels, uniforms)
    assert speed.first_differences(net, labels, uniforms, tokens, tokens) == {}
    other = tokens.clone()
    other[0, 4] = (tokens[0, 4] + 1) % 4
    try:
        speed.first_differences(net, labels, uniforms, tokens, other)
    except AssertionError as error:
        assert "not by rounding" in str(error)
    else:
        raise AssertionError("an unexplained difference went unnoticed")


def test_a_context_is_its_neighbours():
    """Oracle: one pixel at a time, everything outside is black."""
    white = torch.randint(2, (1, 6, 7), generator=torch.Generator()
                          .manual_seed(0))
    counted = binarisations.contexts(white)
    for row in range(6):
        for column in range(7):
            expected = 0
            for i, (up, left) in enumerate(binarisations.NEIGHBOURS):
                y, x = row + up, column + left
                assert (up, left) < (0, 0)  # earlier in raster order
                if 0 <= y and 0 <= x < 7:
                    expected += int(white[0, y, x]) << i
            assert counted[0, row, column] == expected


def test_counting_learns_what_is_certain():
    stripes = torch.zeros(50, 8, 8, dtype=torch.uint8)
    stripes[:, ::2] = 255  # rows: white, black, white, ...
    assert binarisations.count(stripes, stripes[:5]) < 2
    noise = torch.randint(2, (50, 8, 8), dtype=torch.uint8) * 255
    assert binarisations.count(noise, 255 - noise) > 50


def test_spread_is_the_distance_to_the_nearest():
    images = torch.zeros(3, 4, 4, dtype=torch.uint8)
    images[1, 0, 0] = 255  # one pixel from the first
    images[2] = 255        # 15 pixels from the second
    assert reranking.spread(images).item() == pytest.approx(
        (1 + 1 + 15 ** 0.5) / 3)


# ------------------------------------------------------------ what is stored

def test_stored_results_say_where_they_come_from():
    assert set(STORED) == set(runner.NAMES)
    for name, entry in STORED.items():
        assert entry["run"]["command"] == f"python -m benchmarks {name}"
        assert {"command", "date", "processor", "cores", "threads", "python",
                "versions", "load_before", "seconds"} <= set(entry["run"])


def test_stored_bits_are_those_of_the_shipped_weights():
    for name in bits.MODELS:
        model = load(name, device="cpu")
        found = STORED["bits"]["results"][f"{name} valid"]
        expected = (model.provenance["valid_bits_per_token"]
                    * model.tokenizer.length)
        assert found["bits_per_image"] == pytest.approx(expected, rel=1e-3)


def test_patches_keep_what_they_promise():
    """What chapter 5 and the README say of them, from the stored runs."""
    found = {name: entry["results"] for name, entry in STORED.items()}
    points = found["rate_distortion"]["points"]
    for patch in (2, 4, 7):
        curve = [point for point in points if point["patch"] == patch]
        assert len(curve) >= 4
        for key in ("codebook_size", "psnr", "entropy", "cross_entropy"):
            assert [p[key] for p in curve] == sorted(p[key] for p in curve)
    assert any(point["psnr"] >= 23 and point["cross_entropy"] <= 105
               for point in points)
    assert all(point["cross_entropy"] <= 0.75 * point["entropy"]
               for point in points)
    shipped = found["bits"]["patches valid"]
    assert shipped["psnr"] >= 25 and shipped["bits_per_image"] <= 105
    assert found["samples"]["patches"]["agreement"] >= 0.9
    seconds = {name: row["cached_seconds"] for name, row in
               found["speed"]["sampling"].items()}
    assert seconds["gpt"] >= 8 * seconds["patches"]
    assert found["codebook_speed"]["fit_seconds"] <= 60
    assert found["digit_rates"]["patches_and_webp"]["share_of_webp"] <= 0.2
