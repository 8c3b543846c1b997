"""Chapter 2's network, written out by hand, is the package's network."""

import pytest
import torch
from chapter_cells import names_of

from pixellab import sampling
from pixellab.priors import pixelcnn

SETTING = {"levels": 3, "size": (5, 6), "width": 6, "dilations": (1, 2),
           "head": 7, "num_classes": 4}


@pytest.fixture(scope="module")
def chapter():
    """The names of the cells that define the network and the samplers."""
    return names_of("02_pixelcnn.py", "def draw_naively")


@pytest.fixture(scope="module")
def pair(chapter):
    torch.manual_seed(0)
    ours = chapter["PixelCNN"](**SETTING).double()
    theirs = pixelcnn.PixelCNN(**SETTING).double()
    theirs.load_state_dict(ours.state_dict())  # strict: the same names
    return ours, theirs


def test_the_networks_agree(pair):
    ours, theirs = pair
    tokens = torch.randint(3, (4, 30))
    labels = torch.tensor([0, 1, 3, 4])  # 4: the null class
    torch.testing.assert_close(ours(tokens, labels), theirs(tokens, labels),
                               rtol=0, atol=1e-12)


def test_the_samplers_agree(chapter, pair):
    ours, theirs = pair
    labels = torch.tensor([0, 2, 4])
    uniforms = sampling.uniform_numbers(3, 30, seed=1)
    by_hand = chapter["draw_naively"](ours, labels, uniforms)
    assert torch.equal(by_hand, sampling.sample(theirs, labels, uniforms))
    assert len(by_hand.unique()) == 3
