"""Chapter 6's quantiser, losses and shares, against the package and by hand.
"""

import io
import itertools
import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from chapter_cells import cells_with, names_of, pictures_after_a_turn
from PIL import Image

import pixellab as pl
from pixellab import codec
from pixellab.model import ImageModel
from pixellab.priors.gpt import GPT
from pixellab.priors.pixelcnn import MaskedConv2d
from pixellab.tokenizers import bsq
from pixellab.training import rate_distortion

CHAPTER = "06_bsq.py"


@pytest.fixture(scope="module")
def chapter():
    """The names of the cells that define the small coder and its loss."""
    names = names_of(CHAPTER, "def binary_entropy_of", "def squares",
                     "def in_colour", "def flipped")
    names |= {"GPT": GPT, "MaskedConv2d": MaskedConv2d}
    for source in cells_with(CHAPTER, "class SmallCoder", "class Leaky"):
        exec(source, names)
    return names


def points(count, bits, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return F.normalize(torch.randn(count, bits, 20, 30, generator=generator),
                       dim=1)


@pytest.mark.parametrize("bits", [1, 4, 10, 15])
def test_the_quantiser_by_hand_is_the_packages(chapter, bits):
    theirs, u = bsq.BSQ(bits=bits, features=8), points(2, bits)
    assert torch.equal(chapter["to_corner"](u), theirs.corner(u))
    tokens = chapter["signs_to_tokens"](u)
    assert torch.equal(tokens, theirs.to_tokens(u))
    assert torch.equal(chapter["tokens_to_corners"](tokens, bits),
                       theirs.to_corners(tokens))


def test_the_gradient_goes_straight_through(chapter):
    u, wanted = points(1, 10).requires_grad_(), points(1, 10, seed=1)
    (chapter["to_corner"](u) * wanted).sum().backward()
    assert torch.equal(u.grad, wanted)


@pytest.mark.parametrize("bits", [2, 10])
def test_the_entropy_terms_are_the_packages(chapter, bits):
    u = points(3, bits)
    torch.testing.assert_close(chapter["entropy_terms"](u),
                               rate_distortion.entropies(u))


def test_probabilities_of_all_codes(chapter):
    """Oracle: loops."""
    p = torch.rand(5, 3, dtype=torch.float64,
                   generator=torch.Generator().manual_seed(0))
    found = chapter["of_all_codes"](p)
    assert found.shape == (5, 8)
    torch.testing.assert_close(found.sum(dim=1), torch.ones(5).double())
    for n, (place, code) in itertools.product(
            range(5), enumerate(itertools.product((0, 1), repeat=3))):
        expected = math.prod(p[n, i].item() if on else 1 - p[n, i].item()
                             for i, on in enumerate(code))
        assert found[n, place].item() == pytest.approx(expected)


def test_squares_are_the_patches(chapter):
    frames = torch.randint(256, (2, 100, 150, 3), dtype=torch.uint8)
    found = chapter["squares"](frames).unflatten(0, (2, 20, 30))
    patch = frames[1, 35:40, 140:145].permute(2, 0, 1).flatten() / 255 - 0.5
    assert torch.equal(found[1, 7, 28], patch)


def test_the_shares_are_the_packages(chapter):
    generator = torch.Generator().manual_seed(0)
    for scale in (0.1, 3, 40):
        logits = scale * torch.randn(1, 1024, generator=generator)
        mine, theirs = (f(logits) for f in (chapter["whole_shares"],
                                            codec.frequencies))
        assert np.array_equal(mine, theirs)
        assert mine.min() >= 1 and mine.sum() == codec.TOTAL


def test_the_price_reaches_the_encoder_only_if_taught(chapter):
    torch.manual_seed(0)
    net = chapter["SmallCoder"](width=8)
    frames = torch.rand(2, 3, 50, 75) - 0.5
    for taught in (True, False):
        net.zero_grad()
        chapter["loss_parts"](net, frames, taught=taught)[1].backward()
        gradient = net.encoder[0].weight.grad
        assert (gradient is not None and bool(gradient.any())) == taught
    error, bits, _ = chapter["loss_parts"](net, frames)
    assert error > 0 and 5 < bits < 20  # untrained: about ten


def test_the_loss_is_that_of_the_package(chapter):
    """The package's net inside the chapter's formula."""
    torch.manual_seed(0)
    theirs = rate_distortion.RateDistortion(
        bsq.BSQ(features=8), rate_weight=1e-3)
    frames = torch.randint(256, (2, 100, 150, 3), dtype=torch.uint8)

    class Both:
        on_sphere = staticmethod(lambda pictures: F.normalize(
            theirs.tokenizer.encoder(pictures), dim=1))
        paint = theirs.tokenizer.paint
        guess = theirs.rate

    mine = chapter["loss_parts"](Both, chapter["in_colour"](frames))
    for left, right in zip(mine, theirs.parts(frames), strict=True):
        torch.testing.assert_close(left, right)


def test_a_leaky_net_sees_its_own_token_and_an_honest_one_does_not(chapter):
    for kind, sees in ((GPT, False), (chapter["Leaky"], True)):
        torch.manual_seed(0)
        net = kind(32, (4, 5), width=8, layers=1, heads=1, window=1,
                   embedding=4, num_classes=0).eval()
        tokens, label = torch.randint(32, (1, 20)), torch.zeros(1).long()
        changed = tokens.clone()
        changed[0, 9] = (changed[0, 9] + 1) % 32
        moved = (net(changed, label) - net(tokens, label)).abs().amax(dim=2)
        assert bool(moved[0, 9] > 0) == sees
        assert not moved[0, :9].any() and moved[0, 10:].any()


def test_one_bit_is_flipped_in_each_row(chapter):
    tokens = torch.randint(1024, (600,))
    several = chapter["flipped"](tokens, 77)
    assert torch.equal(several[0], tokens)
    others = torch.arange(600) != 77
    assert (several[:, others] == tokens[others]).all()
    assert [int(token) ^ int(tokens[77]) for token in several[1:, 77]] == [
        2 ** bit for bit in range(10)]


def test_the_knobs_flip_a_bit_and_draw_an_ending(chapter):
    """Moving a knob stops the ending under way; the new one is finished."""
    torch.manual_seed(0)
    tokenizer = bsq.BSQ(features=8, encoder_blocks=0, decoder_blocks=1).eval()
    model = ImageModel(tokenizer, GPT(1024, (20, 30), width=8, layers=1,
                                      heads=1, embedding=2,
                                      num_classes=0).eval())
    pair = torch.randint(256, (2, 100, 150, 3), dtype=torch.uint8)
    names = {"pl": pl, "np": np, "io": io, "Image": Image, "pair": pair,
             "model": model, "tokenizer": tokenizer,
             "flipped": chapter["flipped"],
             "tokens_pair": tokenizer.encode(pair)}
    sources = cells_with(CHAPTER, "def as_png", "switches = {",
                         "for group, answer")
    pictures = pictures_after_a_turn(names, sources, "seed", 7)
    assert len(pictures) == 5  # the rows of tokens that are drawn
    last = (299, 199)
    assert pictures[3].getpixel(last) == pl.figures.NOT_YET
    drawn = model.complete(pair[:1], rows=75, temperature=0.9, seed=7)[0]
    assert np.array_equal(np.asarray(pictures[4])[::2, ::2], drawn)
    before = names["flip_screen"].value
    names["switches"]["bit"].value = 3
    assert names["flip_screen"].value != before
    shown = np.asarray(Image.open(io.BytesIO(names["flip_screen"].value)))
    expected = tokenizer.decode(chapter["flipped"](
        tokenizer.encode(pair)[0], 30 * 11 + 14)[4:5])[0]
    assert np.array_equal(shown[::2, ::2], expected)
