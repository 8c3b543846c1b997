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
# # Assignment 5: a codec
#
# Belongs to chapter 6, BSQ. 10 points.
#
# From a vector of signs to a file and back. You write the number that the
# signs stand for, a gradient that passes a step, probabilities made of whole
# numbers, and a coder that wastes less than two bytes.
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
# ## 1. Signs and numbers (2 points)
#
# A patch is described by L numbers `u`; only their signs are kept. As a token
# they are one whole number, in which the first sign counts 1, the second 2,
# the third 4, and so on, where the number is above 0. From `u` (N, T, L) make
# int64 (N, T).
#
# The way back: corners (N, T, L) on the unit sphere, all coordinates
# $+1/\sqrt{L}$ or $-1/\sqrt{L}$. Multiply and divide by powers of 2. Shifts of
# bits (`<<`, `>>`) are wrong on some accelerators.

# %% [raw]
# # BEGIN QUESTION
# name: q1_codes
# points: 2
# check_cell: false

# %% [raw]
# # BEGIN SOLUTION

# %%
def to_integers(u):
    """Signs of u (N, T, L) as whole numbers (N, T)."""
    # BEGIN SOLUTION
    powers = 2 ** torch.arange(u.shape[-1])
    return ((u > 0) * powers).sum(dim=-1)
    # END SOLUTION


def to_corners(integers, length):
    """The corner of each number: float (N, T, length), of length 1."""
    # BEGIN SOLUTION
    powers = 2 ** torch.arange(length)
    ones = integers[..., None] // powers % 2
    return (2 * ones - 1) / length ** 0.5
    # END SOLUTION

# %% [raw]
# # END SOLUTION

# %%
_ = pixelcheck.codes(to_integers, to_corners)

# %% [raw]
# # BEGIN TESTS

# %%
# HIDDEN
def test_integers(to_integers):
    import torch

    u = torch.tensor([[[-1.0, 2, -3, 0.1, 5], [9, -9, 0, -9, -9]],
                      [[-1.0, -2, 0, -1, -5], [9, 9, 9, 9, 9]]])
    assert to_integers(u).tolist() == [[26, 1], [0, 31]]

# %%
# HIDDEN
def test_corners(to_corners):
    import torch

    corners = to_corners(torch.arange(64).view(4, 16), 6)
    assert corners.shape == (4, 16, 6)
    assert torch.allclose(corners.square().sum(-1), torch.ones(4, 16))
    signs = (corners > 0).long().view(64, 6)
    for number, row in enumerate(signs.tolist()):
        assert sum(2 ** i * one for i, one in enumerate(row)) == number

# %% [raw]
# # END TESTS

# %% [raw]
# # END QUESTION

# %% [markdown]
# ## 2. A gradient across a step (2 points)
#
# Forwards, `u` (..., L) becomes the nearest corner, $+1/\sqrt{L}$ where a
# number is above 0 and $-1/\sqrt{L}$ elsewhere. Backwards the step is passed
# over: the gradient that arrives at the corner goes on to `u` as it is.

# %% [raw]
# # BEGIN QUESTION
# name: q2_gradient
# points: 2
# check_cell: false

# %% [raw]
# # BEGIN SOLUTION

# %%
def straight_through(u):
    """The nearest corner, with the gradient of u itself."""
    # BEGIN SOLUTION
    corner = torch.where(u > 0, 1.0, -1.0).to(u) / u.shape[-1] ** 0.5
    return u + (corner - u).detach()
    # END SOLUTION

# %% [raw]
# # END SOLUTION

# %%
_ = pixelcheck.straight_through(straight_through)

# %% [raw]
# # BEGIN TESTS

# %%
# HIDDEN
def test_forwards(straight_through):
    import torch

    u = torch.tensor([[[0.0, -1, 2, -0.0, 1e-9, 3, -4, 5, 6]]])
    third = 1 / 3
    wanted = torch.tensor([[[-third, -third, third, -third, third, third,
                             -third, third, third]]])
    assert torch.allclose(straight_through(u), wanted, atol=1e-5)

# %%
# HIDDEN
def test_backwards(straight_through):
    import torch

    torch.manual_seed(41)
    u = torch.randn(5, 7, 6, requires_grad=True)
    weight = torch.randn(5, 7, 6)
    corner = straight_through(u)
    (corner * weight).sum().backward()
    assert torch.allclose(u.grad, weight, atol=1e-5)
    assert torch.equal(corner > 0, u > 0)

# %% [raw]
# # END TESTS

# %% [raw]
# # END QUESTION

# %% [markdown]
# ## 3. Whole numbers for probabilities (2 points)
#
# A decoder must find exactly the probabilities of the encoder, so a coder
# works with whole numbers. Share out `total` among the V tokens: turn `probs`
# (V,), float64, into int64 (V,), each at least 1 (what has none cannot be
# coded), together exactly `total`, and as close to the probabilities as that
# allows, up to a few units. V is far smaller than total. In the package total
# is $2^{24}$.

# %% [raw]
# # BEGIN QUESTION
# name: q3_frequencies
# points: 2
# check_cell: false

# %% [raw]
# # BEGIN SOLUTION

# %%
def frequencies(probs, total):
    """int64 (V,), each at least 1, together `total`."""
    # BEGIN SOLUTION
    counts = (probs * (total - len(probs))).floor().long() + 1
    counts[probs.argmax()] += total - counts.sum()
    return counts
    # END SOLUTION

# %% [raw]
# # END SOLUTION

# %%
_ = pixelcheck.frequencies(frequencies)

# %% [raw]
# # BEGIN TESTS

# %%
# HIDDEN
def test_sum_and_floor(frequencies):
    import torch

    torch.manual_seed(42)
    for size in (2, 10, 1024):
        for sharpness in (0, 1, 9, 200):
            probs = (sharpness * torch.randn(size).double()).softmax(0)
            counts = frequencies(probs, 2 ** 24)
            assert counts.dtype == torch.int64 and counts.shape == (size,)
            assert counts.sum().item() == 2 ** 24 and counts.min() >= 1
    for total in (60, 1000):
        assert frequencies(probs[:9].softmax(0), total).sum().item() == total

# %%
# HIDDEN
def test_close_to_the_probabilities(frequencies):
    import torch

    torch.manual_seed(43)
    for size in (3, 64, 1024):
        probs = torch.randn(size).double().softmax(0)
        share = frequencies(probs, 2 ** 24).double() / 2 ** 24
        assert (share - probs).abs().max() < 2 * size / 2 ** 24
        wasted = (probs * (probs / share).log2()).sum()
        assert 0 <= wasted + 1e-9 < 1e-3  # bits a symbol

# %% [raw]
# # END TESTS

# %% [raw]
# # END QUESTION

# %% [markdown]
# ## 4. A coder without rounding (3 points)
#
# Chapter 1 built a range coder that works byte by byte and must take care of
# carries. Python's whole numbers have no end, and then all is simpler. The
# coder keeps an interval of fractions `low / whole` to `(low + width) /
# whole`; at first it is 0 / 1 to 1 / 1. For each symbol it multiplies all
# three by the sum of the symbol's table, and then keeps the part of the
# interval that belongs to the symbol: `width` becomes a smaller number, `low`
# moves up.
#
# In the end any fraction inside the interval tells the decoder everything.
# Send one whose denominator is a power of 256, as few bytes as will do: n
# bytes are a whole number (`int.from_bytes(data, "big")`) divided by $256^n$.
# The decoder is told the bytes and the same tables. It walks the same way, and
# at each table finds the symbol in whose part the fraction lies.
#
# `tables` is a list of lists of whole numbers, one for each symbol; `symbols`
# is a list. The file may be at most two bytes longer than the ideal.

# %% [raw]
# # BEGIN QUESTION
# name: q4_coder
# points: 3
# check_cell: false

# %% [raw]
# # BEGIN SOLUTION

# %%
def encode(symbols, tables):
    """The symbols as bytes."""
    # BEGIN SOLUTION
    low, width, whole = 0, 1, 1
    for symbol, table in zip(symbols, tables):
        low = low * sum(table) + width * sum(table[:symbol])
        width, whole = width * table[symbol], whole * sum(table)
    size = 0
    while True:
        number = -(-low * 256 ** size // whole)  # rounded up
        if number * whole < (low + width) * 256 ** size:
            return number.to_bytes(size, "big")
        size += 1
    # END SOLUTION


def decode(data, tables):
    """The symbols again: a list as long as tables."""
    # BEGIN SOLUTION
    number, unit = int.from_bytes(data, "big"), 256 ** len(data)
    low, width, whole, symbols = 0, 1, 1, []
    for table in tables:
        low, whole = low * sum(table), whole * sum(table)
        symbol = 0
        while number * whole >= (low + width * table[symbol]) * unit:
            low += width * table[symbol]
            symbol += 1
        width *= table[symbol]
        symbols.append(symbol)
    return symbols
    # END SOLUTION

# %% [raw]
# # END SOLUTION

# %%
_ = pixelcheck.coder(encode, decode)

# %% [raw]
# # BEGIN TESTS

# %%
# HIDDEN
def test_what_was_coded_comes_back(encode, decode):
    import random

    dice = random.Random(44)
    for length in (1, 2, 30, 150):
        tables = [dice.choices(range(1, 1000), k=dice.randrange(2, 9))
                  for _ in range(length)]
        symbols = [dice.randrange(len(table)) for table in tables]
        data = encode(symbols, tables)
        assert isinstance(data, bytes)
        assert list(decode(data, tables)) == symbols

# %%
# HIDDEN
def test_extremes(encode, decode):
    large = [[2 ** 24 - 2, 1, 1]] * 60
    for symbols in ([0] * 60, [2] * 60, [0, 2] * 30, [1] * 60):
        assert list(decode(encode(symbols, large), large)) == symbols

# %%
# HIDDEN
def test_few_bytes(encode, decode):
    import math
    import random

    dice = random.Random(45)
    tables = [[1, 2, 40, 5, 1]] * 200
    symbols = dice.choices(range(5), tables[0], k=200)
    bits = sum(math.log2(49 / tables[0][symbol]) for symbol in symbols)
    data = encode(symbols, tables)
    assert list(decode(data, tables)) == symbols
    assert 8 * len(data) <= bits + 16

# %% [raw]
# # END TESTS

# %% [raw]
# # END QUESTION

# %% [markdown]
# ## 5. What no coder can beat (1 point)
#
# How many bits do the `symbols` cost, if each costs $-\log_2$ of its share of
# its table?

# %% [raw]
# # BEGIN QUESTION
# name: q5_ideal
# points: 1
# check_cell: false

# %% [raw]
# # BEGIN SOLUTION

# %%
def ideal_bits(symbols, tables):
    """Bits, a float."""
    # BEGIN SOLUTION
    return sum(math.log2(sum(table) / table[symbol])
               for symbol, table in zip(symbols, tables))
    # END SOLUTION

# %% [raw]
# # END SOLUTION

# %%
_ = pixelcheck.ideal(ideal_bits)

# %% [raw]
# # BEGIN TESTS

# %%
# HIDDEN
def test_bits(ideal_bits):
    import math

    assert abs(ideal_bits([2, 0], [[1, 1, 2], [3, 29]])
               - (1 + math.log2(32 / 3))) < 1e-6
    assert abs(ideal_bits([1] * 50, [[7, 1]] * 50) - 150) < 1e-6

# %% [raw]
# # END TESTS

# %% [raw]
# # END QUESTION

# %% [markdown]
# A whole codec: the prior of the package guesses the 49 tokens of a digit one
# after the other, your frequencies make tables of its guesses, your coder
# writes them. How many bytes is the digit, and how many would be ideal?

# %%
checks = (pixelcheck.frequencies(frequencies),
          pixelcheck.coder(encode, decode), pixelcheck.ideal(ideal_bits))
if all(checks):
    model = pl.load("patches")
    label, tables, token = torch.tensor([7]), [], None
    digit = model.sample(labels=[7], seed=2)
    symbols = model.tokenizer.encode(digit)[0].tolist()
    state = model.prior.start(label)
    with torch.no_grad():
        for symbol in symbols:
            logits = model.prior.step(state, token).double()
            tables.append(frequencies(logits.softmax(1)[0], 2 ** 24).tolist())
            token = torch.tensor([symbol])
    data = encode(symbols, tables)
    print(f"{len(data)} bytes; {ideal_bits(symbols, tables) / 8:.1f} would be "
          "ideal")
    print("comes back:", decode(data, tables) == symbols)
