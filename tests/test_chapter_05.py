"""Chapter 5's k-means, codebook and decoder, against the package and by hand.
"""

import numpy as np
import pytest
import torch
from chapter_cells import cells_with, names_of, pictures_after_a_turn

import pixellab as pl
from pixellab.model import ImageModel
from pixellab.priors import gpt
from pixellab.tokenizers import patches

CHAPTER = "05_patches.py"


@pytest.fixture(scope="module")
def chapter():
    """The names of the cells that define k-means, seams and decoder."""
    return names_of(CHAPTER, "def average", "def lloyd", "def seam",
                    "def surroundings")


def digits(count, seed=0):
    return torch.randint(256, (count, 28, 28), dtype=torch.uint8,
                         generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("size", [2, 4, 7])
def test_the_tokenizer_by_hand_is_the_packages(chapter, size):
    images, theirs = digits(6), patches.Patches(size, 16)
    theirs.codebook.copy_(digits(16, seed=1)[:, :size, :size])
    assert torch.equal(chapter["cut"](images, size), theirs.cut(images))
    tokens = chapter["encode"](images, theirs.codebook)
    assert torch.equal(tokens, theirs.encode(images))
    assert torch.equal(chapter["paste"](tokens, theirs.codebook),
                       theirs.decode(tokens))


def test_the_nearest_is_nearest_and_the_first_of_equals(chapter):
    """Oracle: all distances in whole numbers."""
    generator = torch.Generator().manual_seed(0)
    points = torch.randint(4, (5000, 3), dtype=torch.uint8,
                           generator=generator)  # few values, so many ties
    centres = torch.randint(4, (20, 3), dtype=torch.uint8,
                            generator=generator)
    found = chapter["nearest"](points, centres)
    distance = (points[:, None].long() - centres.long()).square().sum(dim=2)
    assert torch.equal(found, distance.argmin(dim=1))
    assert torch.equal(found, patches.nearest(points, centres))


def test_a_weight_is_as_good_as_copies(chapter):
    generator = torch.Generator().manual_seed(0)
    points = torch.rand(50, 2, generator=generator).double()
    times = torch.randint(1, 5, (50,), generator=generator)
    copies, start = points.repeat_interleave(times, dim=0), points[:6]
    short, inertia = chapter["lloyd"](points, times[:, None].double(), start,
                                      8)
    long, expected = chapter["lloyd"](copies, torch.ones(len(copies), 1
                                                         ).double(), start, 8)
    torch.testing.assert_close(short, long)
    np.testing.assert_allclose(inertia, expected)
    assert (np.diff(inertia) <= 0).all() and inertia[-1] < inertia[0]


def test_a_centre_is_the_mean_of_its_points_and_an_idle_one_stays(chapter):
    points = torch.tensor([[0.0, 0], [2, 0], [10, 10]]).double()
    weights = torch.tensor([[3.0], [1], [5]]).double()
    centres = torch.tensor([[1.0, 0], [9, 9], [50, 50]]).double()
    codes = chapter["nearest"](points, centres)
    moved = chapter["average"](points, weights, codes, centres)
    assert moved.tolist() == [[0.5, 0], [10, 10], [50, 50]]


def test_nobody_is_idle_after_filling(chapter):
    generator = torch.Generator().manual_seed(0)
    points = torch.randint(256, (300, 4), dtype=torch.uint8,
                           generator=generator)
    centres = np.zeros((40, 4))  # all in one place
    filled = chapter["fill"](centres, points)
    assert torch.equal(filled, patches.fill(centres, points))
    use = chapter["nearest"](points, filled).bincount(minlength=40)
    assert use.min() > 0


@pytest.mark.parametrize("error", [1.0, 0.01, 0.00297])
def test_decibels(chapter, error):
    assert chapter["decibels"](error) == pl.measures.psnr(error)


def test_a_slope_has_no_seams_and_bricks_have_nothing_else(chapter):
    slope = (torch.arange(28)[:, None] * 3 + torch.arange(28) * 5)[None]
    assert chapter["seam"](slope.to(torch.uint8)) == pytest.approx(1)
    bricks = digits(3)[:, ::4, ::4].repeat_interleave(4, 1)
    bricks = bricks.repeat_interleave(4, 2)
    assert chapter["seam"](bricks) == float("inf")


def test_the_surroundings_of_a_patch(chapter):
    """Oracle: nine patches by slicing, black outside the picture."""
    images = digits(2)
    found = chapter["surroundings"](images).view(2, 7, 7, 145)
    assert (found[..., 144] == 1).all()
    padded = torch.zeros(2, 36, 36).double()
    padded[:, 4:32, 4:32] = images / 255.0
    for row in range(7):
        for column in range(7):
            window = padded[:, 4 * row:, 4 * column:][:, :12, :12]
            torch.testing.assert_close(
                found[:, row, column, :144], window.flatten(1), rtol=0,
                atol=1e-7)


def test_the_matrix_is_the_least_squares_solution(chapter):
    """Oracle: a library's solver on the same equations, ridge as rows."""
    pasted, real = digits(12), digits(12, seed=1)
    matrix = chapter["learn_smoothing"](pasted, real, ridge=2.0)
    inputs = chapter["surroundings"](pasted).numpy()
    wanted = chapter["cut"](real).flatten(0, 1).numpy() / 255
    expected, *_ = np.linalg.lstsq(
        np.concatenate([inputs, 2 ** 0.5 * np.eye(145)]),
        np.concatenate([wanted, np.zeros((145, 16))]), rcond=None)
    np.testing.assert_allclose(matrix.numpy(), expected, atol=1e-6)


def test_what_needs_no_smoothing_stays(chapter):
    images = digits(40)
    matrix = chapter["learn_smoothing"](images, images, ridge=1e-6)
    assert torch.equal(chapter["smooth"](images, matrix), images)


def test_the_knobs_draw_patch_by_patch():
    """Moving a knob stops the digits under way; new ones run to the end."""
    torch.manual_seed(0)
    tokenizer = patches.Patches(4, 8)
    tokenizer.codebook.copy_(digits(8)[:, :4, :4])
    names = {"pl": pl, "model": ImageModel(tokenizer, gpt.GPT(
        8, (7, 7), width=8, layers=1, heads=1, embedding=2).eval())}
    pictures = pictures_after_a_turn(
        names, cells_with(CHAPTER, "def grow_live", "knobs = {"),
        "seed", 7)
    assert len(pictures) == 49
    last = (3 * 27, 3 * 27)  # in the last patch of the first digit
    assert pictures[47].getpixel(last) == pl.figures.NOT_YET
    assert pictures[48].getpixel(last) != pl.figures.NOT_YET
    drawn = names["model"].sample(labels=[3] * 8, seed=7)
    sheet = pl.images.sheet(drawn, columns=4, scale=3)
    assert np.array_equal(np.asarray(pictures[48]), sheet)
