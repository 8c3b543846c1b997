"""Chapter 3's network, written out by hand, is the package's network."""


import pytest
import torch
from chapter_cells import cells_with, names_of, pictures_after_a_turn

import pixellab as pl
from pixellab import sampling
from pixellab.model import ImageModel
from pixellab.priors import gpt
from pixellab.tokenizers.pixels import Pixels

CHAPTER = "03_gpt.py"
SETTING = {"vocabulary": 3, "grid": (5, 6), "width": 12, "layers": 2,
           "heads": 3, "window": 2, "embedding": 4, "num_classes": 4}


@pytest.fixture(scope="module")
def chapter():
    """The names of the cells that define networks, cache and filters."""
    return names_of(CHAPTER, "def look_back", "def keep_top_k")


@pytest.fixture(scope="module", params=[2, None])
def pair(chapter, request):
    torch.manual_seed(0)
    setting = SETTING | {"window": request.param}
    ours = chapter["GPT"](**setting).double()
    theirs = gpt.GPT(**setting).double()
    theirs.load_state_dict(ours.state_dict())  # strict: the same names
    return ours, theirs


def test_the_networks_agree(pair):
    ours, theirs = pair
    tokens = torch.randint(3, (4, 30))
    labels = torch.tensor([0, 1, 3, 4])  # 4: the null class
    for length in (30, 7, 1):
        torch.testing.assert_close(
            ours(tokens[:, :length], labels),
            theirs(tokens[:, :length], labels), rtol=0, atol=1e-12)


def test_the_samplers_agree(pair):
    ours, theirs = pair
    labels = torch.tensor([0, 2, 4])
    uniforms = sampling.uniform_numbers(3, 30, seed=1)
    by_hand = sampling.sample(ours, labels, uniforms, cached=False)
    assert torch.equal(by_hand, sampling.sample(theirs, labels, uniforms))
    assert len(by_hand.unique()) == 3


def test_the_cache_by_hand_is_exact(chapter, pair):
    ours, theirs = pair
    tokens, labels = torch.randint(3, (2, 30)), torch.tensor([1, 4])
    cache, memory, token = [[], []], theirs.start(labels), None
    for t in range(30):
        logits = chapter["next_logits"](ours, cache, tokens[:, :t], labels)
        torch.testing.assert_close(logits, theirs.step(memory, token),
                                   rtol=0, atol=1e-12)
        token = tokens[:, t]


@pytest.mark.parametrize("name", ["SelfAttention", "Block"])
def test_the_parts_agree(chapter, name):
    torch.manual_seed(0)
    arguments = {"width": 12, "heads": 3}
    if name == "Block":
        arguments["dropout"] = 0.0
    ours = chapter[name](**arguments).double()
    theirs = getattr(gpt, name)(**arguments).double()
    theirs.load_state_dict(ours.state_dict())
    x = torch.randn(2, 9, 12, dtype=torch.float64)
    torch.testing.assert_close(ours(x), theirs(x), rtol=0, atol=1e-12)


def test_the_filters_by_hand_are_the_packages(chapter):
    torch.manual_seed(0)
    probs = torch.softmax(3 * torch.randn(50, dtype=torch.float64), dim=0)
    for count in (1, 7, 50):
        torch.testing.assert_close(
            chapter["keep_top_k"](probs, count),
            sampling.probabilities(probs.log()[None], top_k=count)[0])
    for p in (0.05, 0.5, 0.93):
        torch.testing.assert_close(
            chapter["keep_top_p"](probs, p),
            sampling.probabilities(probs.log()[None], top_p=p)[0])


def test_the_knobs_draw_while_pixels_appear():
    """Moving a knob stops the drawing and shows another, row by row."""
    torch.manual_seed(0)
    names = {
        "pl": pl, "y_valid": torch.arange(10).repeat_interleave(100),
        "x_valid": torch.randint(256, (1000, 28, 28), dtype=torch.uint8),
        "model": ImageModel(Pixels(), gpt.GPT(width=8, layers=1, heads=1,
                                              embedding=2).eval())}
    pictures = pictures_after_a_turn(
        names, cells_with(CHAPTER, "def draw_live", "knobs = {"),
        "rows", 14)
    assert len(pictures) == 28
    assert all(picture.size == (280, 280) for picture in pictures)
    assert pictures[14].getpixel((5, 275)) == pl.figures.NOT_YET
    real = names["x_valid"][300]  # the first 3
    assert pictures[-1].getpixel((5, 5))[0] == real[0, 0]
    assert pictures[-1].getpixel((275, 135))[0] == real[13, 27]
