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
# # Assignment 4: codebooks
#
# Belongs to chapter 5, Patches. 10 points.
#
# A codebook turns pictures into few tokens and loses something on the way. You
# write the scissors and the glue, the step that learns a codebook, and the
# measures of what it costs and what it loses.
#
# Fill in the dots. After each question a cell checks your answer on a few
# small cases and says what is wrong first; run it as often as you like. The
# points are given by other cases, so an answer must be right, not only look
# right. Everything can be found in the package and in the chapters; the point
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

import pixelcheck
import torch

# %% [markdown]
# ## 1. Cut and paste (2 points)
#
# Cut colour `images` (N, H, W, 3) into patches of `rows` x `columns` pixels,
# which divide H and W. The patches (N, T, rows, columns, 3) come in the order
# of reading: along the upper edge first. `paste` leads back to images of
# `height` x `width`. Nothing is lost.

# %% [raw]
# # BEGIN QUESTION
# name: q1_patches
# points: 2
# check_cell: false

# %% [raw]
# # BEGIN SOLUTION

# %%
def cut(images, rows, columns):
    """(N, H, W, 3) -> (N, T, rows, columns, 3), in the order of reading."""
    # BEGIN SOLUTION
    count, height, width, _ = images.shape
    grid = images.reshape(count, height // rows, rows,
                          width // columns, columns, 3)
    return grid.transpose(2, 3).reshape(count, -1, rows, columns, 3)
    # END SOLUTION


def paste(patches, height, width):
    """(N, T, rows, columns, 3) -> (N, height, width, 3)."""
    # BEGIN SOLUTION
    count, _, rows, columns, _ = patches.shape
    grid = patches.reshape(count, height // rows, width // columns,
                           rows, columns, 3)
    return grid.transpose(2, 3).reshape(count, height, width, 3)
    # END SOLUTION

# %% [raw]
# # END SOLUTION

# %%
_ = pixelcheck.patches(cut, paste)

# %% [raw]
# # BEGIN TESTS

# %%
# HIDDEN
def test_cut(cut):
    import torch

    images = torch.arange(3 * 6 * 10 * 3).view(3, 6, 10, 3)
    for rows, columns in ((3, 5), (2, 10), (6, 2), (1, 1)):
        found = cut(images, rows, columns)
        across = 10 // columns
        for place in range(found.shape[1]):
            top, left = place // across * rows, place % across * columns
            assert torch.equal(found[:, place], images[
                :, top:top + rows, left:left + columns])

# %%
# HIDDEN
def test_paste(paste):
    import torch

    patches = torch.arange(8 * 2 * 3 * 3).view(1, 8, 2, 3, 3)
    for height, width in ((2, 24), (4, 12), (8, 6), (16, 3)):
        image = paste(patches, height, width)
        assert image.shape == (1, height, width, 3)
        across = width // 3
        for place in range(8):
            top, left = place // across * 2, place % across * 3
            assert torch.equal(image[0, top:top + 2, left:left + 3],
                               patches[0, place])

# %% [raw]
# # END TESTS

# %% [raw]
# # END QUESTION

# %% [markdown]
# ## 2. One step of k-means (3 points)
#
# A codebook is learned by repeating one step: each point goes to its nearest
# centre, then each centre moves to the mean of its points. Do one step, for
# `points` (N, D) and `centres` (K, D), both float64. A centre that no point is
# nearest to stays where it is.

# %% [raw]
# # BEGIN QUESTION
# name: q2_lloyd
# points: 3
# check_cell: false

# %% [raw]
# # BEGIN SOLUTION

# %%
def lloyd_step(points, centres):
    """The centres (K, D) after one step."""
    # BEGIN SOLUTION
    distance = (points[:, None] - centres).square().sum(dim=2)  # (N, K)
    nearest = distance.argmin(dim=1)
    moved = centres.clone()
    for k in range(len(centres)):
        if (nearest == k).any():
            moved[k] = points[nearest == k].mean(dim=0)
    return moved
    # END SOLUTION

# %% [raw]
# # END SOLUTION

# %%
_ = pixelcheck.lloyd(lloyd_step)

# %% [raw]
# # BEGIN TESTS

# %%
# HIDDEN
def test_the_step(lloyd_step):
    import torch

    torch.manual_seed(31)
    points = torch.randn(60, 5).double()
    centres = points[:6].clone()
    copy = centres.clone()
    found = lloyd_step(points, centres)
    nearest = torch.cdist(points, centres).argmin(1)
    for k in range(6):
        assert torch.allclose(found[k], points[nearest == k].mean(0))
    assert torch.equal(centres, copy)

# %%
# HIDDEN
def test_empty_centres_stay(lloyd_step):
    import torch

    points = torch.tensor([[0, 0], [2, 0], [0, 2]]).double()
    centres = torch.tensor([[50, 50], [1, 1], [-70, 3]]).double()
    found = lloyd_step(points, centres)
    assert torch.allclose(found, torch.tensor(
        [[50, 50], [2 / 3, 2 / 3], [-70, 3]]).double())

# %%
# HIDDEN
def test_the_error_never_grows(lloyd_step):
    import torch

    torch.manual_seed(32)
    points = torch.rand(200, 3).double()
    centres, errors = torch.rand(9, 3).double() * 2, []
    for _ in range(12):
        errors.append(torch.cdist(points, centres).min(1).values.square()
                      .sum().item())
        centres = lloyd_step(points, centres)
    assert all(b <= a + 1e-9 for a, b in zip(errors, errors[1:]))
    assert errors[-1] < 0.6 * errors[0]

# %% [raw]
# # END TESTS

# %% [raw]
# # END QUESTION

# %% [markdown]
# ## 3. Is the codebook in use? (2 points)
#
# From `tokens`, int64 of any shape, and the `size` of the codebook find two
# numbers: the share of the entries that occur at all, and the entropy of the
# tokens in bits: the mean of $-\log_2$ of the share of each token.

# %% [raw]
# # BEGIN QUESTION
# name: q3_use
# points: 2
# check_cell: false

# %% [raw]
# # BEGIN SOLUTION

# %%
def use_of(tokens, size):
    """(share of the entries that occur, entropy in bits a token)."""
    # BEGIN SOLUTION
    counts = tokens.flatten().bincount(minlength=size).double()
    share = counts[counts > 0] / counts.sum()
    return len(share) / size, -(share * share.log2()).sum().item()
    # END SOLUTION

# %% [raw]
# # END SOLUTION

# %%
_ = pixelcheck.use(use_of)

# %% [raw]
# # BEGIN TESTS

# %%
# HIDDEN
def test_share(use_of):
    import torch

    for tokens, size, share in (([[3, 3], [3, 1]], 4, 0.5),
                                ([[0]], 1000, 0.001),
                                ([list(range(10))], 10, 1)):
        assert abs(float(use_of(torch.tensor(tokens), size)[0]) - share) < 1e-9

# %%
# HIDDEN
def test_entropy(use_of):
    import torch

    for tokens, bits in (([7] * 9, 0), (list(range(32)), 5),
                         ([0] * 4 + [1] * 2 + [5, 6], 1.75)):
        found = float(use_of(torch.tensor([tokens]), 40)[1])
        assert abs(found - bits) < 1e-6

# %% [raw]
# # END TESTS

# %% [raw]
# # END QUESTION

# %% [markdown]
# ## 4. How much was lost? (1 point)
#
# The peak signal-to-noise ratio of pictures is $10 \log_{10}(255^2 / E)$
# decibels, with E the mean squared difference of all numbers. `images` and
# `shown` are uint8 of one shape. Without a difference it is `math.inf`.

# %% [raw]
# # BEGIN QUESTION
# name: q4_decibels
# points: 1
# check_cell: false

# %% [raw]
# # BEGIN SOLUTION

# %%
def psnr(images, shown):
    """Decibels, a float; math.inf for equal pictures."""
    # BEGIN SOLUTION
    error = (images.double() - shown.double()).square().mean().item()
    return math.inf if error == 0 else 10 * math.log10(255 ** 2 / error)
    # END SOLUTION

# %% [raw]
# # END SOLUTION

# %%
_ = pixelcheck.decibels(psnr)

# %% [raw]
# # BEGIN TESTS

# %%
# HIDDEN
def test_psnr(psnr):
    import math

    import torch

    torch.manual_seed(33)
    left, right = torch.randint(256, (2, 3, 8, 8, 3), dtype=torch.uint8)
    error = ((left.double() - right.double()) ** 2).mean().item()
    for a, b in ((left, right), (right, left)):
        assert abs(psnr(a, b) - 20 * math.log10(255 / error ** 0.5)) < 1e-4
    assert psnr(left, left.clone()) == math.inf

# %% [raw]
# # END TESTS

# %% [raw]
# # END QUESTION

# %% [markdown]
# ## 5. Which points are on the curve? (2 points)
#
# Many codecs were tried, each is a point `(bits, error)`. A point is beaten if
# another one has no more bits and no more error, and is better in one of the
# two. What nothing beats is the rate-distortion curve. Return these points as
# a list of tuples, the fewest bits first. No two points are equal.

# %% [raw]
# # BEGIN QUESTION
# name: q5_curve
# points: 2
# check_cell: false

# %% [raw]
# # BEGIN SOLUTION

# %%
def on_the_curve(points):
    """The points (bits, error) that no other beats, sorted by bits."""
    # BEGIN SOLUTION
    kept = []
    for bits, error in sorted(points):
        if not kept or error < kept[-1][1]:
            kept.append((bits, error))
    return kept
    # END SOLUTION

# %% [raw]
# # END SOLUTION

# %%
_ = pixelcheck.frontier(on_the_curve)

# %% [raw]
# # BEGIN TESTS

# %%
# HIDDEN
def test_small_cases(on_the_curve):
    for points, wanted in (
            ([(3, 3)], [(3, 3)]),
            ([(9, 1), (5, 1), (5, 4), (1, 4)], [(1, 4), (5, 1)]),
            ([(3, 1), (2, 2), (1, 3)], [(1, 3), (2, 2), (3, 1)])):
        assert [tuple(point) for point in on_the_curve(points)] == wanted

# %%
# HIDDEN
def test_many_points(on_the_curve):
    import random

    dice = random.Random(34)
    for _ in range(20):
        points = list({(dice.randrange(12), dice.randrange(12))
                       for _ in range(25)})
        wanted = sorted(a for a in points if not any(
            b != a and b[0] <= a[0] and b[1] <= a[1] for b in points))
        assert [tuple(point) for point in on_the_curve(points)] == wanted

# %% [raw]
# # END TESTS

# %% [raw]
# # END QUESTION

# %% [markdown]
# Now a curve of your own. The picture is made of three waves; its patches are
# the points. A codebook of K entries costs at most $\log_2 K$ bits a patch,
# and fewer where the entropy is lower. What do two more bits buy?

# %% mystnb={"image": {"alt": "The same smooth coloured picture pasted from codebooks of 2, 8, 32 and 128 entries; with more entries the blocks disappear."}}
checks = (pixelcheck.patches(cut, paste), pixelcheck.lloyd(lloyd_step),
          pixelcheck.use(use_of), pixelcheck.decibels(psnr),
          pixelcheck.frontier(on_the_curve))
if all(checks):
    rows, columns = torch.meshgrid(torch.arange(48.0), torch.arange(64.0),
                                   indexing="ij")
    waves = [rows * columns / 90, rows / 5 + columns / 9, columns / 7]
    image = (128 + 120 * torch.stack(waves, -1).sin()).to(torch.uint8)[None]
    points = cut(image, 4, 4).flatten(2)[0].double()  # (192, 48)
    sizes, shown, curve = (2, 8, 32, 128), [], []
    for size in sizes:
        centres = points[:: len(points) // size][:size]
        for _ in range(10):
            centres = lloyd_step(points, centres)
        tokens = torch.cdist(points, centres).argmin(dim=1)
        book = centres.round().to(torch.uint8).view(-1, 4, 4, 3)
        shown.append(paste(book[tokens][None], 48, 64))
        share, bits = use_of(tokens, size)
        decibels = psnr(image, shown[-1])
        curve.append((round(bits, 2), -round(decibels, 1)))
        print(f"{size:3} entries, {100 * share:3.0f} % used: {bits:.2f} bits "
              f"a patch, {decibels:.1f} dB")
    print("on the curve:", len(on_the_curve(curve)), "of", len(curve))
    pl.figures.grid(torch.cat(shown), columns=4, size=1.6,
                    titles=[f"{size} entries" for size in sizes])

# %% [markdown]
# With 128 entries for 192 patches most patches have an entry to themselves,
# and the codebook would weigh more than the picture. That is why a codebook is
# learned on many pictures, and measured on others.
