"""The benchmarks can be run, and what is stored is traceable."""

import importlib
import json
import subprocess
import sys

import torch

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
