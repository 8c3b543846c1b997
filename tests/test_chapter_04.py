"""Chapter 4's tokenizer, counts and rule, against the package and by hand."""

import math

import numpy as np
import pytest
import torch
from chapter_cells import cells_with, names_of, pictures_after_a_turn
from hypothesis import given, settings
from hypothesis import strategies as some
from PIL import Image

import pixellab as pl
from pixellab.model import ImageModel
from pixellab.priors import gpt
from pixellab.tokenizers import symbols

CHAPTER = "04_symbols.py"


@pytest.fixture(scope="module")
def chapter():
    """The names of the cells that define tokenizer, counts and rule."""
    names = names_of(CHAPTER, "def as_text", "BASE =", "def look_up",
                     "class SymbolCounts", "def allowed", "def write_lines",
                     "def read_line")
    names["tokenizer"] = symbols.Symbols()
    return names


def test_the_tokenizer_by_hand_is_the_packages(chapter):
    torch.manual_seed(0)
    small = torch.randint(256, (4, 28, 28), dtype=torch.uint8)
    for image in small:
        assert np.array_equal(chapter["enlarge"](image),
                              symbols.resize(image.numpy()))
    large = torch.randint(256, (4, 30, 30), dtype=torch.uint8)
    theirs = symbols.Symbols()
    numbers = chapter["pack"](large)
    assert torch.equal(numbers, theirs.encode(large))
    assert torch.equal(chapter["unpack"](numbers), theirs.decode(numbers))
    line = theirs.to_text(numbers[0], 3)
    assert chapter["as_text"](numbers[0].tolist(), 3) == line
    back, label = chapter["as_numbers"](line)
    assert torch.equal(back, numbers[0]) and label == 3


FIVE = "5" + 150 * ":" + ")"


@pytest.mark.parametrize("line, words", [
    ("", "position 0 is missing"),
    ("x" + FIVE[1:], "position 0 is 'x'"),
    (FIVE[:70] + "z" + FIVE[71:], "position 70 is 'z'"),
    (FIVE[:70] + "9" + FIVE[71:], "position 70 is '9'"),
    (FIVE[:100] + ")", "position 100 is '\\)'"),
    (FIVE[:100], "position 100 is missing"),
    (FIVE[:-1], "position 151 is missing"),
    (FIVE[:-1] + ":)", "position 151 is ':'"),
    (FIVE + ")", "position 152 is beyond")])
def test_bad_text_names_the_position(chapter, line, words):
    with pytest.raises(ValueError, match=words) as caught:
        chapter["read_line"](line)
    assert "\n" not in str(caught.value)
    assert chapter["read_line"](FIVE)[1] == 5


@pytest.fixture(scope="module")
def few():
    """Twelve texts of nine symbols from an alphabet of four."""
    generator = np.random.default_rng(0)
    return generator.integers(4, size=(12, 9)), generator.integers(
        2, size=12)


def recount(texts, labels, told, back, text, label, t):
    """Witten and Bell's guess at place t, with dictionaries: (64,)."""
    def context(line, name, place, order):
        return (name if told else 0, *(
            line[place - d] if place >= d else 64 + name
            for d in back[:order]))

    p = np.full(64, 1 / 64)
    for order in range(len(back) + 1):
        here = context(text, label, t, order)
        seen = np.zeros(64)
        for line, name in zip(texts, labels, strict=True):
            for place, symbol in enumerate(line):
                seen[symbol] += context(line, name, place, order) == here
        n, k = seen.sum(), (seen > 0).sum()
        if n:
            p = (seen + k * p) / (n + k)
    return p


@pytest.mark.parametrize("told", [False, True])
@pytest.mark.parametrize("back", [(1, 2, 3), (3, 1, 4)])
def test_the_counts_are_counts(chapter, few, told, back):
    """Oracle: the formula with dictionaries, one place at a time."""
    texts, labels = few
    model = chapter["SymbolCounts"](texts, labels, back, told)
    new, names = texts[:2, ::-1].copy(), labels[:2]
    contexts = chapter["context_numbers"](new, names, back, told)
    guess = model.orders([k[..., None] for k in contexts], np.arange(64))[-1]
    for i in range(2):
        for t in range(9):
            expected = recount(texts, labels, told, back, new[i], names[i], t)
            np.testing.assert_allclose(guess[i, t], expected)


def test_a_context_holds_the_past_only(chapter, few):
    texts, labels = few
    before = chapter["context_numbers"](texts, labels, (5, 1, 2), True)
    changed = texts.copy()
    changed[:, 4:] += 1
    after = chapter["context_numbers"](changed, labels, (5, 1, 2), True)
    for old, new in zip(before, after, strict=True):
        assert (old[:, :5] == new[:, :5]).all()
    assert (before[-1][:, 5:] != after[-1][:, 5:]).all()


@settings(max_examples=20, deadline=None)
@given(some.integers(0, 2**32 - 1), some.sampled_from([0.1, 3.0, 100.0, 1e4]))
def test_under_the_rule_every_text_is_a_picture(chapter, seed, spread):
    generator = torch.Generator().manual_seed(seed)

    def guess(line):
        return spread * torch.randn(len(line), 75, generator=generator)

    for line in chapter["write_lines"](guess, 3, seed=seed):
        assert len(line) == 152 and chapter["is_picture"](line)


def test_the_rule_leaves_the_rest_alone(chapter):
    """What is allowed keeps its proportions; probabilities sum to 1."""
    logits = torch.randn(5, 75, dtype=torch.float64)
    for place, count in ((0, 10), (1, 64), (150, 64), (151, 1)):
        probs = chapter["constrain"](logits, place)
        kept = chapter["allowed"](place)
        assert int(kept.sum()) == count
        torch.testing.assert_close(probs.sum(dim=-1),
                                   torch.ones(5, dtype=torch.float64))
        assert not probs[:, ~kept].any()
        ratio = probs[:, kept].log() - logits[:, kept]
        assert ratio.std(dim=-1, correction=0).max() < 1e-12
    assert not math.isnan(probs.sum())


def test_the_knobs_draw_a_pool_and_choose(chapter):
    """Moving a knob stops the pool; at the end the kept ones are shown."""
    torch.manual_seed(0)
    model = ImageModel(symbols.Symbols(), gpt.GPT(
        64, (30, 5), width=8, layers=1, heads=1, embedding=2).eval())
    names = {**chapter, "model": model, "Image": Image}
    pictures = pictures_after_a_turn(
        names, cells_with(CHAPTER, "def choose_live", "knobs = {"),
        "drawn", 16)
    assert len(pictures) == 31  # thirty rows, and the choice
    assert pictures[14].getpixel((5, 55)) == pl.figures.NOT_YET
    assert pictures[29].height > 2 * 60 > pictures[30].height
    pool = model.finish(model.stream(labels=[3] * 16, temperature=0.8))
    best, _ = pl.classify.rerank(pool, 3, 8)
    best = pl.images.sheet(best, columns=8, scale=2)
    assert np.array_equal(np.asarray(pictures[30]), best)
