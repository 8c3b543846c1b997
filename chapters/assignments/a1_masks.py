# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [raw]
# # ASSIGNMENT CONFIG
# init_cell: false
# check_all_cell: false
# export_cell: false
# tests: {files: true, ok_format: false}
# requirements: ['git+https://github.com/OWNER/pixel-by-pixel']

# %% [markdown]
# # Assignment 1: masks
#
# Belongs to chapter 2, PixelCNN. 10 points.
#
# How does a network guess all pixels at once and never see an answer? You
# write the parts that make sure of it, a test that convicts cheats, and the
# ruler that says how good the guesses are.
#
# Fill in the dots. After each question a cell checks your answer on a few
# small cases and says what is wrong first; run it as often as you like. The
# points are given by other cases, so an answer must be right, not only look
# right. Everything can be found in the package and in the chapter; the point
# is to write it yourself, by hand. Submit this notebook as it is, with your
# answers in it.

# %%
try:
    import pixellab as pl
except ImportError:  # in Colab: install the package once
    import subprocess
    import sys
    subprocess.run([
        sys.executable, "-m", "pip", "install", "-q",
        "git+https://github.com/OWNER/pixel-by-pixel",
    ], check=True)
    import pixellab as pl

# %%
import math
from functools import partial

import pixelcheck
import torch
import torch.nn.functional as F

# %% [markdown]
# ## 1. Two masks (3 points)
#
# A kernel of `rows` x `columns` cells, both odd, is centred on the pixel to be
# guessed. Which cells lie on pixels that come earlier in raster order? Return
# a float tensor (rows, columns) with 1 there and 0 elsewhere. Mask `"A"` hides
# the centre, mask `"B"` shows it.

# %% [raw]
# # BEGIN QUESTION
# name: q1_masks
# points: 3
# check_cell: false

# %% [raw]
# # BEGIN SOLUTION

# %%
def mask(rows, columns, kind):
    """1 where a pixel is seen, else 0: float (rows, columns)."""
    # BEGIN SOLUTION
    seen = torch.zeros(rows, columns)
    seen[:rows // 2] = 1
    seen[rows // 2, :columns // 2] = 1
    if kind == "B":
        seen[rows // 2, columns // 2] = 1
    return seen
    # END SOLUTION

# %% [raw]
# # END SOLUTION

# %%
_ = pixelcheck.mask(mask)

# %% [raw]
# # BEGIN TESTS

# %%
# HIDDEN
def test_mask_a(mask):
    for size in (3, 7, 9):
        flat = mask(size, size, "A").flatten().tolist()
        assert flat == [i < size * size // 2 for i in range(size * size)]

# %%
# HIDDEN
def test_mask_b(mask):
    for size in (3, 7, 9):
        flat = mask(size, size, "B").flatten().tolist()
        assert flat == [i <= size * size // 2 for i in range(size * size)]

# %%
# HIDDEN
def test_oblong_masks(mask):
    for rows, columns in ((1, 7), (7, 1), (5, 3)):
        centre = rows * columns // 2
        for extra, kind in enumerate("AB"):
            found = mask(rows, columns, kind)
            assert tuple(found.shape) == (rows, columns)
            assert found.sum() == found.flatten()[:centre + 1].sum()
            assert found.sum() == centre + extra

# %% [raw]
# # END TESTS

# %% [raw]
# # END QUESTION

# %% [markdown]
# ## 2. A masked convolution (2 points)
#
# Convolve `image` (B, C, H, W) with `weight` (O, C, rows, columns), whose
# cells count only where `mask` (rows, columns) is 1. Put zeros around the
# image, so that the output (B, O, H, W) has its size. `F.conv2d` may be used.
# The weight that you were given belongs to an optimizer: leave its numbers
# alone.

# %% [raw]
# # BEGIN QUESTION
# name: q2_convolution
# points: 2
# check_cell: false

# %% [raw]
# # BEGIN SOLUTION

# %%
def masked_convolution(image, weight, mask):
    """(B, C, H, W) -> (B, O, H, W), seeing what the mask shows."""
    # BEGIN SOLUTION
    rows, columns = mask.shape
    return F.conv2d(image, weight * mask, padding=(rows // 2, columns // 2))
    # END SOLUTION

# %% [raw]
# # END SOLUTION

# %%
_ = pixelcheck.masked_convolution(masked_convolution)

# %% [raw]
# # BEGIN TESTS

# %%
# HIDDEN
def test_convolution(masked_convolution):
    import torch

    torch.manual_seed(11)
    for size, rows, columns in ((5, 5, 3), (4, 1, 5), (6, 3, 3)):
        image = torch.randn(2, 3, size, size + 2)
        weight = torch.randn(4, 3, rows, columns)
        cells = (torch.rand(rows, columns) < 0.5).float()
        wanted = torch.nn.functional.conv2d(
            image, weight * cells, padding=(rows // 2, columns // 2))
        found = masked_convolution(image, weight, cells)
        assert torch.allclose(found, wanted, atol=1e-5)

# %%
# HIDDEN
def test_weight_is_left_alone_and_learns(masked_convolution):
    import torch

    weight = torch.ones(1, 1, 3, 3, requires_grad=True)
    cells = torch.tensor([[1., 1, 1], [1, 0, 0], [0, 0, 0]])
    found = masked_convolution(torch.ones(1, 1, 4, 4), weight, cells)
    found.sum().backward()
    assert torch.equal(weight.detach(), torch.ones(1, 1, 3, 3))
    assert torch.equal(weight.grad[0, 0] > 0, cells > 0)

# %% [raw]
# # END TESTS

# %% [raw]
# # END QUESTION

# %% [markdown]
# ## 3. Does it peek? (2 points)
#
# `network` maps an image (1, 1, height, width), float64, to an output of the
# same size. It is **causal** if its output at each pixel depends only on
# pixels that come before that pixel. The chapter asked the gradient. But a
# network may round on its way, and then its gradient is zero although it sees.
# So ask it directly: change one pixel of a random image by a lot, and look
# where the output changes. Return `True` or `False`.

# %% [raw]
# # BEGIN QUESTION
# name: q3_causality
# points: 2
# check_cell: false

# %% [raw]
# # BEGIN SOLUTION

# %%
def is_causal(network, height, width):
    """Whether no output depends on its own or on a later pixel: a bool."""
    # BEGIN SOLUTION
    image = torch.randn(1, 1, height, width, dtype=torch.float64)
    before = network(image).flatten()
    for place in range(height * width):
        changed = image.clone()
        changed.view(-1)[place] += 100
        after = network(changed).flatten()
        if not torch.equal(before[:place + 1], after[:place + 1]):
            return False
    return True
    # END SOLUTION

# %% [raw]
# # END SOLUTION

# %%
_ = pixelcheck.causal(is_causal)

# %% [raw]
# # BEGIN TESTS

# %%
# HIDDEN
def test_smooth_networks(is_causal):
    import torch

    def run(image, ahead):
        flat = torch.nn.functional.pad(image.flatten(), (ahead, 0))
        return torch.tanh(flat.cumsum(0)[:image.numel()].view_as(image))

    for height, width in ((4, 5), (5, 3), (1, 6)):
        assert is_causal(lambda x: run(x, 1), height, width) is True
        assert is_causal(lambda x: run(x, 0), height, width) is False
        assert is_causal(lambda x: run(x, 1) + x.mean(), height,
                         width) is False
        assert is_causal(torch.zeros_like, height, width) is True

# %%
# HIDDEN
def test_one_place_and_no_gradient(is_causal):
    from functools import partial

    import torch

    def leak(image, place, source):
        output = torch.zeros_like(image)
        output.view(-1)[place] = (3 * image).round().flatten()[source]
        return output

    for place in range(12):
        for source in range(12):
            network = partial(leak, place=place, source=source)
            assert is_causal(network, 3, 4) is (source < place)

# %% [raw]
# # END TESTS

# %% [raw]
# # END QUESTION

# %% [markdown]
# With the parts together, does a small network of yours pass? The second line
# puts mask B where mask A belongs.

# %%
def two_layers(image, first):
    """A layer with mask `first`, then one with mask B."""
    weights = torch.linspace(-1, 2, 9).double().view(1, 1, 3, 3)
    hidden = masked_convolution(image, weights, mask(3, 3, first).double())
    return masked_convolution(torch.tanh(hidden), weights,
                              mask(3, 3, "B").double())


if (pixelcheck.mask(mask) and pixelcheck.masked_convolution(masked_convolution)
        and pixelcheck.causal(is_causal)):
    for first in "AB":
        print(f"first layer with mask {first}, causal:",
              is_causal(partial(two_layers, first=first), 5, 5))

# %% [markdown]
# ## 4. How far does it see? (1 point)
#
# The layers of a network have square kernels of `sizes` (odd numbers) and
# `dilations`: with dilation $d$ neighbouring cells of the kernel lie $d$
# pixels apart. All of them are masked. How many rows above a pixel can its
# output hear from, at most?

# %% [raw]
# # BEGIN QUESTION
# name: q4_reach
# points: 1
# check_cell: false

# %% [raw]
# # BEGIN SOLUTION

# %%
def rows_above(sizes, dilations):
    """Rows above the pixel that a stack of masked layers reaches: an int."""
    # BEGIN SOLUTION
    return sum(size // 2 * dilation
               for size, dilation in zip(sizes, dilations))
    # END SOLUTION

# %% [raw]
# # END SOLUTION

# %%
_ = pixelcheck.reach(rows_above)

# %% [raw]
# # BEGIN TESTS

# %%
# HIDDEN
def test_reach(rows_above):
    assert rows_above([3] * 12, [1] * 12) == 12
    assert rows_above([7, 1, 5], [1, 9, 2]) == 7
    assert rows_above([3] * 7, [1, 2, 1, 4, 1, 2, 1]) == 12

# %% [raw]
# # END TESTS

# %% [raw]
# # END QUESTION

# %% [markdown]
# ## 5. The ruler (2 points)
#
# A network gave `logits` (N, T, V) for the `tokens` (N, T) of N images: place
# t of an image was guessed from the places before it. How many **bits per
# dimension** does each image cost? Return (N,) numbers. A dimension is a
# token, and a bit is not a nat. The logits may be in the hundreds, if a
# network is sure of itself.

# %% [raw]
# # BEGIN QUESTION
# name: q5_bits
# points: 2
# check_cell: false

# %% [raw]
# # BEGIN SOLUTION

# %%
def bits_per_dimension(logits, tokens):
    """Mean of -log2 p over the tokens of each image: (N,)."""
    # BEGIN SOLUTION
    log_probs = torch.log_softmax(logits, dim=-1)
    chosen = log_probs.gather(2, tokens[..., None])[..., 0]  # (N, T)
    return -chosen.mean(dim=1) / math.log(2)
    # END SOLUTION

# %% [raw]
# # END SOLUTION

# %%
_ = pixelcheck.bits_per_dimension(bits_per_dimension)

# %% [raw]
# # BEGIN TESTS

# %%
# HIDDEN
def test_bits_of_known_probabilities(bits_per_dimension):
    import torch

    probs = torch.tensor([0.5, 0.25, 0.125, 0.125])
    tokens = torch.tensor([[0, 0, 1], [3, 2, 1], [0, 0, 0]])
    found = bits_per_dimension(
        7 + probs.log().expand(3, 3, 4), tokens)
    wanted = torch.tensor([4 / 3, 8 / 3, 1])
    assert found.shape == (3,)
    assert torch.allclose(found.float(), wanted, atol=1e-5)

# %%
# HIDDEN
def test_bits_of_large_logits(bits_per_dimension):
    import torch

    logits = torch.tensor([[[300., 0], [0, 300]]])
    found = bits_per_dimension(logits, torch.tensor([[1, 1]]))
    assert torch.allclose(found.float(), torch.tensor([150 / 0.693147]),
                          rtol=1e-4)

# %% [raw]
# # END TESTS

# %% [raw]
# # END QUESTION

# %% [markdown]
# Is your ruler that of the book? Here it measures the PixelCNN that the
# package brings along, on a picture with nothing on it and on one of noise.

# %%
if pixelcheck.bits_per_dimension(bits_per_dimension):
    model = pl.load("pixelcnn")
    generator = torch.Generator().manual_seed(0)
    pictures = torch.stack([
        torch.zeros(28, 28, dtype=torch.uint8),
        torch.randint(256, (28, 28), generator=generator, dtype=torch.uint8)])
    tokens = model.tokenizer.encode(pictures)
    with torch.no_grad():
        logits = model.prior(tokens, torch.tensor([1, 1]))
    for name, yours, ours in zip(("empty", "noise"),
                                 bits_per_dimension(logits, tokens),
                                 model.bits(pictures, labels=[1, 1]) / 784):
        print(f"{name}: {yours:.2f} bits per dimension (package: {ours:.2f})")

# %% [markdown]
# Noise costs eight bits a pixel if one knows that it is noise. This network
# has seen nothing but digits, and pays more.
