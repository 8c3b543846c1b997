"""The benchmarks can be run, and what is stored is traceable."""

import importlib
import json
import subprocess
import sys

import pytest
import torch

from benchmarks import binarisations, reranking
from benchmarks.__main__ import NAMES, RESULTS, circumstances
from benchmarks.sampling_speed import first_differences
from pixellab import sampling
from pixellab.priors.pixelcnn import PixelCNN


def test_each_has_a_question_and_a_measure():
    for name in NAMES:
        module = importlib.import_module(f"benchmarks.{name}")
        assert "?" in module.__doc__.splitlines()[0]
        assert callable(module.measure)


def test_stored_results_say_where_they_come_from():
    results = json.loads(RESULTS.read_text())
    assert set(results) == set(NAMES)
    for name, entry in results.items():
        assert set(circumstances(name)) <= set(entry["run"])
        assert entry["run"]["command"] == f"python -m benchmarks {name}"


def test_an_unknown_name_is_refused():
    done = subprocess.run([sys.executable, "-m", "benchmarks", "nothing"],
                          capture_output=True, text=True)
    assert done.returncode != 0 and "sampling_speed" in done.stderr


def test_a_difference_that_is_not_rounding_is_noticed():
    torch.manual_seed(0)
    net = PixelCNN(4, (3, 3), width=4, dilations=(1,), head=4).eval()
    labels, uniforms = torch.tensor([1]), sampling.uniform_numbers(1, 9)
    tokens = sampling.sample(net, labels, uniforms)
    assert first_differences(net, labels, uniforms, tokens, tokens) == {}
    other = tokens.clone()
    other[0, 4] = (tokens[0, 4] + 1) % 4
    try:
        first_differences(net, labels, uniforms, tokens, other)
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


def test_patches_keep_what_they_promise():
    """What chapter 5 and the README say of them, from the stored runs."""
    found = {name: entry["results"]
             for name, entry in json.loads(RESULTS.read_text()).items()}
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
    assert found["quality"]["patches"]["agreement"] >= 0.9
    assert found["sampling_speed"]["64 digits"]["patches"][
        "times_faster"] >= 8
    assert found["codebook_speed"]["fit_seconds"] <= 60
    assert found["patch_files"]["share_of_webp"] <= 0.2
