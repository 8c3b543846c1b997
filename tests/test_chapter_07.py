"""Chapter 7's distance, units and tables, against other ways to get them."""

import ast
import math

import numpy as np
import pytest
import torch
from chapter_cells import cells_with
from IPython.display import Markdown


@pytest.fixture(scope="module")
def chapter():
    """The chapter's functions alone; the cells around them load models."""
    names = {"math": math, "np": np, "Markdown": Markdown, "DIGITS": (),
             "psnr": lambda error: -10 * math.log10(error)}
    for source in cells_with("07_scoreboard.py", "def "):
        body = [node for node in ast.parse(source).body
                if isinstance(node, ast.FunctionDef)]
        exec(compile(ast.Module(body, []), "chapter 7", "exec"), names)
    return names


def test_the_distance_is_that_of_the_matrix_root(chapter):
    """Oracle: the square root of the product, by scipy."""
    from scipy.linalg import sqrtm

    random = np.random.default_rng(0)
    a = random.normal(size=(300, 8)) @ random.normal(size=(8, 8))
    b = random.normal(size=(200, 8)) @ random.normal(size=(8, 8)) + 1
    (mean_a, cov_a), (mean_b, cov_b) = (
        (points.mean(axis=0), np.cov(points, rowvar=False))
        for points in (a, b))
    root = sqrtm(cov_a @ cov_b).real
    expected = ((mean_a - mean_b) ** 2).sum() + np.trace(
        cov_a + cov_b - 2 * root)
    assert chapter["frechet"](a, b) == pytest.approx(expected)
    assert chapter["frechet"](b, a) == pytest.approx(expected)
    assert chapter["frechet"](a, a) == pytest.approx(0, abs=1e-9)


def test_the_distance_is_that_of_the_benchmark(chapter):
    theirs = pytest.importorskip("benchmarks.samples").frechet
    random = np.random.default_rng(1)
    a, b = random.normal(size=(50, 6)), random.normal(1, 2, size=(40, 6))
    assert chapter["frechet"](a, b) == pytest.approx(
        theirs(torch.from_numpy(a), torch.from_numpy(b)))


def test_the_distance_of_two_dimensions_that_do_not_mix(chapter):
    """By hand: means 3 and 4 away, spreads 1 and 2 against 2 and 5."""
    square = np.array([[1, 1], [1, -1], [-1, 1], [-1, -1.0]])
    unit = square * math.sqrt(3) / 2  # its covariance is the identity
    found = chapter["frechet"](unit * [1, 2], unit * [2, 5] + [3, 4])
    assert found == pytest.approx(3 ** 2 + 4 ** 2 + 1 ** 2 + 3 ** 2)


def test_one_price_in_four_units(chapter):
    units = chapter["in_all_units"](1.0)
    assert units["bits"] == 784 and units["bytes"] == 98
    assert units["nats"] == pytest.approx(543.43, abs=0.01)
    assert chapter["in_all_units"](8, 45_000)["bytes"] == 45_000


def test_the_stages_of_a_training_add_up(chapter):
    first = {"seconds": 100, "epochs_done": 3, "train_images": 10}
    second = {"seconds": 20, "epochs_done": 1, "train_images": 50,
              "started_from": first}
    third = {"seconds": 5, "epochs_done": 2, "train_images": 10,
             "started_from": second, "tokenizer": {"seconds": 1000}}
    assert chapter["schooling"]({}) == (0, 0)
    assert chapter["schooling"](third) == (125, 100)


def test_a_table_has_a_row_for_each_and_marks_the_best(chapter):
    rows = chapter["table"](["", "a", "b"], [["x", 1, 2], ["y", 3, 4]]
                            ).data.splitlines()
    assert rows == ["|  | a | b |", "| :--- | ---: | ---: |",
                    "| x | 1 | 2 |", "| y | 3 | 4 |"]
    assert chapter["marked"]([2, None, 1.25], ".1f") == [
        "2.0", "–", "**1.2**"]
    assert chapter["marked"]([0.5, 0.75], ".2f", max) == ["0.50", "**0.75**"]


def test_a_rivals_bytes_lie_between_its_files(chapter):
    rows = [{"bytes": 300, "mse": 0.001}, {"bytes": 100, "mse": 0.1},
            {"bytes": 200, "mse": 0.01}]  # 30, 10 and 20 dB
    bytes_for = chapter["bytes_for"]
    assert bytes_for(rows, 15) == pytest.approx(150)
    assert bytes_for(rows, 30) == pytest.approx(300)
    assert bytes_for(rows, 5) is None and bytes_for(rows, 31) is None
