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
# # Assignment 2: teacher forcing
#
# Belongs to chapter 3, GPT. 10 points.
#
# A transformer learns all places of a picture at once and draws them one by
# one. Both must be the same network. You write what makes it so: the shift,
# the mask, the memory, and the bits that are left when a part of the picture
# is known.
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
# ## 1. What is read, and what is asked for (2 points)
#
# While it trains, a network reads a whole image at once, but each place must
# guess its token from the tokens before it only. For that the inputs are moved
# by one place against the targets, and a start token, here the class of the
# image, is read first.
#
# From `tokens` (N, T) and `start` (N,) make `inputs` and `targets`, both (N,
# T): what place t reads, and what it is asked for.

# %% [raw]
# # BEGIN QUESTION
# name: q1_shift
# points: 2
# check_cell: false

# %% [raw]
# # BEGIN SOLUTION

# %%
def inputs_and_targets(tokens, start):
    """What each place reads, what it is asked for: two times (N, T)."""
    # BEGIN SOLUTION
    inputs = torch.cat([start[:, None], tokens[:, :-1]], dim=1)
    targets = tokens
    return inputs, targets
    # END SOLUTION

# %% [raw]
# # END SOLUTION

# %%
_ = pixelcheck.shift(inputs_and_targets)

# %% [raw]
# # BEGIN TESTS

# %%
# HIDDEN
def test_inputs(inputs_and_targets):
    import torch

    tokens = torch.tensor([[7, 7, 3, 1], [2, 9, 9, 4], [0, 5, 6, 8]])
    inputs, _ = inputs_and_targets(tokens, torch.tensor([10, 11, 12]))
    assert inputs.tolist() == [[10, 7, 7, 3], [11, 2, 9, 9], [12, 0, 5, 6]]

# %%
# HIDDEN
def test_targets(inputs_and_targets):
    import torch

    tokens = torch.tensor([[7, 7, 3, 1], [2, 9, 9, 4], [0, 5, 6, 8]])
    inputs, targets = inputs_and_targets(tokens, torch.tensor([10, 11, 12]))
    assert targets.tolist() == [[7, 7, 3, 1], [2, 9, 9, 4], [0, 5, 6, 8]]
    assert inputs.tolist() != targets.tolist()

# %% [raw]
# # END TESTS

# %% [raw]
# # END QUESTION

# %% [markdown]
# ## 2. Attention with a short memory (3 points)
#
# In chapter 3 a place looked at its whole past. In long pictures that is
# expensive, so some transformers look at the last `window` places only: place
# t sees the places t - window + 1 to t, itself included, or fewer at the
# beginning.
#
# Write it for one head, with queries, keys and values (B, T, C): scores are
# products of queries and keys, divided by the root of C; what must not be seen
# gets no weight; the output (B, T, C) is the weighted mean of values. Do it
# with `@`, `softmax` and a mask, not with `F.scaled_dot_product_attention`.

# %% [raw]
# # BEGIN QUESTION
# name: q2_attention
# points: 3
# check_cell: false

# %% [raw]
# # BEGIN SOLUTION

# %%
def attention(q, k, v, window):
    """Each place and the window - 1 before it: (B, T, C) -> (B, T, C)."""
    # BEGIN SOLUTION
    place = torch.arange(q.shape[1])
    back = place[:, None] - place  # how far each key lies in the past
    scores = q @ k.mT / math.sqrt(q.shape[-1])  # (B, T, T)
    scores = scores.masked_fill((back < 0) | (back >= window), -math.inf)
    return scores.softmax(dim=-1) @ v
    # END SOLUTION

# %% [raw]
# # END SOLUTION

# %%
_ = pixelcheck.attention(attention)

# %% [raw]
# # BEGIN TESTS

# %%
# HIDDEN
def test_no_future(attention):
    import torch

    torch.manual_seed(3)
    q, k, v = torch.randn(3, 2, 9, 5)
    before = attention(q, k, v, 4)
    k[:, 6:] += 3
    v[:, 6:] -= 2
    after = attention(q, k, v, 4)
    assert torch.allclose(before[:, :6], after[:, :6], atol=1e-6)
    assert not torch.allclose(before[:, 6], after[:, 6], atol=1e-3)

# %%
# HIDDEN
def test_window(attention):
    import torch

    torch.manual_seed(4)
    q, k, v = torch.randn(3, 1, 8, 4)
    v = torch.eye(8)[None]  # so the output is the table of weights
    weights = attention(q, k, v, 3)[0]
    row, column = torch.arange(8)[:, None], torch.arange(8)
    seen = (column <= row) & (column > row - 3)
    assert torch.equal(weights > 1e-12, seen)
    assert torch.allclose(weights.sum(1), torch.ones(8), atol=1e-5)

# %%
# HIDDEN
def test_numbers(attention):
    import torch

    torch.manual_seed(5)
    q, k, v = torch.randn(3, 2, 6, 16)
    full = torch.nn.functional.scaled_dot_product_attention(
        q, k, v, is_causal=True)
    assert torch.allclose(attention(q, k, v, 6), full, atol=1e-5)
    assert torch.allclose(attention(q, k, v, 1), v, atol=1e-5)

# %% [raw]
# # END TESTS

# %% [raw]
# # END QUESTION

# %% [markdown]
# ## 3. One step at a time (3 points)
#
# When a picture is drawn, the places come one after the other, and keys and
# values of earlier places never change. So keep them. A step gets the `cache`
# and the query, key and value of one new place, each (B, C). It returns a
# pair: the output (B, C) of this place, and the new cache.
#
# The first cache is `None`, later ones are a pair `(keys, values)`, both (B,
# t, C). Only what can be looked at again is kept: at most `window` places. And
# do not change the cache that you were given: whoever wants to try two ways to
# go on uses it twice.

# %% [raw]
# # BEGIN QUESTION
# name: q3_cache
# points: 3
# check_cell: false

# %% [raw]
# # BEGIN SOLUTION

# %%
def step(cache, q, k, v, window):
    """One place: (output (B, C), (keys, values)) from the cache so far."""
    # BEGIN SOLUTION
    keys, values = k[:, None], v[:, None]  # (B, 1, C)
    if cache is not None:
        keys = torch.cat([cache[0], keys], dim=1)[:, -window:]
        values = torch.cat([cache[1], values], dim=1)[:, -window:]
    scores = (keys @ q[:, :, None])[..., 0] / math.sqrt(q.shape[-1])  # (B, t)
    output = (scores.softmax(dim=1)[:, None] @ values)[:, 0]
    return output, (keys, values)
    # END SOLUTION

# %% [raw]
# # END SOLUTION

# %%
_ = pixelcheck.cache(step)

# %% [raw]
# # BEGIN TESTS

# %%
# HIDDEN
def test_steps_equal_the_parallel_pass(step):
    import torch

    torch.manual_seed(6)
    q, k, v = torch.randn(3, 2, 12, 8, dtype=torch.float64)
    full = torch.nn.functional.scaled_dot_product_attention(
        q, k, v, is_causal=True)
    cache = None
    for t in range(12):
        output, cache = step(cache, q[:, t], k[:, t], v[:, t], 12)
        assert torch.allclose(output, full[:, t])

# %%
# HIDDEN
def test_a_short_window(step):
    import torch

    torch.manual_seed(7)
    q, k, v = torch.randn(3, 1, 10, 4, dtype=torch.float64)
    cache = None
    for t in range(10):
        output, cache = step(cache, q[:, t], k[:, t], v[:, t], 4)
        first = max(0, t - 3)
        wanted = torch.nn.functional.scaled_dot_product_attention(
            q[:, t:t + 1], k[:, first:t + 1], v[:, first:t + 1])[:, 0]
        assert torch.allclose(output, wanted)
        assert cache[0].shape == cache[1].shape
        assert min(t, 3) <= cache[0].shape[1] <= 4

# %%
# HIDDEN
def test_two_ways_to_go_on(step):
    import torch

    torch.manual_seed(8)
    cache = None
    for _ in range(5):
        _, cache = step(cache, *torch.randn(3, 2, 4), 3)
    new = torch.randn(3, 2, 4)
    keys = cache[0].clone()
    first, _ = step(cache, *new, 3)
    step(cache, *torch.randn(3, 2, 4), 3)
    again, _ = step(cache, *new, 3)
    assert torch.equal(first, again) and torch.equal(cache[0], keys)

# %% [raw]
# # END TESTS

# %% [raw]
# # END QUESTION

# %% [markdown]
# Both questions together: do the steps answer what all places at once answer?
# How many numbers are kept, and how many without a window?

# %%
if pixelcheck.attention(attention) and pixelcheck.cache(step):
    generator = torch.Generator().manual_seed(0)
    q, k, v = torch.randn(3, 1, 100, 16, generator=generator).double()
    outputs, cache = [], None
    for t in range(100):
        output, cache = step(cache, q[:, t], k[:, t], v[:, t], window=20)
        outputs.append(output)
    apart = torch.stack(outputs, dim=1) - attention(q, k, v, window=20)
    print(f"largest difference: {apart.abs().max():.1e}")
    print("kept:", 2 * cache[0].numel(), "numbers of", 2 * k.numel())

# %% [markdown]
# ## 4. The rest of a picture in bits (2 points)
#
# A network answered `logits` (N, T, V) when it read N images by teacher
# forcing, and the `targets` (N, T) are the tokens that it was asked for. The
# first `known` tokens of each image have been sent already. How many bits do
# all the others cost, given those? Return (N,) numbers.
#
# By the chain rule the network's answers need not be computed again: each
# place was told what came before it anyway.

# %% [raw]
# # BEGIN QUESTION
# name: q4_bits
# points: 2
# check_cell: false

# %% [raw]
# # BEGIN SOLUTION

# %%
def bits_of_rest(logits, targets, known):
    """-log2 p(the others | the first `known` tokens), in bits: (N,)."""
    # BEGIN SOLUTION
    log_probs = logits.log_softmax(dim=-1)
    chosen = log_probs.gather(2, targets[..., None])[..., 0]  # (N, T)
    return -chosen[:, known:].sum(dim=1) / math.log(2)
    # END SOLUTION

# %% [raw]
# # END SOLUTION

# %%
_ = pixelcheck.bits_of_rest(bits_of_rest)

# %% [raw]
# # BEGIN TESTS

# %%
# HIDDEN
def test_known_probabilities(bits_of_rest):
    import torch

    logits = torch.tensor([0.5, 0.25, 0.25]).log().expand(2, 4, 3) + 5
    targets = torch.tensor([[0, 1, 0, 2], [2, 2, 0, 0]])
    for known, wanted in ((0, [6, 6]), (1, [5, 4]), (3, [2, 1])):
        found = bits_of_rest(logits, targets, known)
        assert torch.allclose(found.float(), torch.tensor(wanted).float(),
                              atol=1e-5)

# %%
# HIDDEN
def test_the_chain_rule(bits_of_rest):
    import torch

    torch.manual_seed(9)
    logits, targets = torch.randn(3, 8, 7), torch.randint(7, (3, 8))
    whole = bits_of_rest(logits, targets, 0)
    nats = torch.nn.functional.cross_entropy(
        logits.mT, targets, reduction="none")
    assert torch.allclose(whole * 0.693147, nats.sum(1), rtol=1e-4)
    for known in (3, 7, 8):
        assert torch.allclose(
            (whole - bits_of_rest(logits, targets, known)) * 0.693147,
            nats[:, :known].sum(1), rtol=1e-4, atol=1e-5)

# %% [raw]
# # END TESTS

# %% [raw]
# # END QUESTION

# %% [markdown]
# The transformer of the package is told the class, reads a 1 that somebody
# drew with a ruler, and answers for all places at once (it moves the inputs
# itself). How many bits are in the lower half, once the upper half is known?

# %%
if pixelcheck.bits_of_rest(bits_of_rest):
    model = pl.load("gpt")
    picture = torch.zeros(1, 28, 28, dtype=torch.uint8)
    picture[:, 5:23, 13:16] = torch.tensor([90, 255, 90])
    tokens = model.tokenizer.encode(picture)
    with torch.no_grad():
        logits = model.prior(tokens, torch.tensor([1]))
    for rows in (0, 7, 14, 21):
        bits = bits_of_rest(logits, tokens, 28 * rows)
        print(f"first {rows:2} rows known: {bits.item():6.1f} bits to come")
