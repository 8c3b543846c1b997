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
# # Assignment 3: sampling
#
# Belongs to chapters 3 and 4. 10 points.
#
# A network only gives probabilities. What turns them into a picture is a
# handful of lines that are easy to get nearly right. You write them: the
# filters, the draw, the symbols, and the choice of the best.
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
import pixelcheck
import torch
import torch.nn.functional as F

# %% [markdown]
# ## 1. Temperature (1 point)
#
# Divide the `logits` (B, V) by a temperature and make probabilities of them.
# Below 1 the likely tokens become likelier, above 1 all become more alike. At
# 0 the division fails, but the limit is clear: everything goes to the most
# likely token.

# %% [raw]
# # BEGIN QUESTION
# name: q1_temperature
# points: 1
# check_cell: false

# %% [raw]
# # BEGIN SOLUTION

# %%
def with_temperature(logits, temperature):
    """Probabilities (B, V) of logits (B, V); temperature 0 or more."""
    # BEGIN SOLUTION
    if temperature == 0:
        best = logits.argmax(dim=1)
        return F.one_hot(best, logits.shape[1]).to(logits.dtype)
    return (logits / temperature).softmax(dim=1)
    # END SOLUTION

# %% [raw]
# # END SOLUTION

# %%
_ = pixelcheck.temperature(with_temperature)

# %% [raw]
# # BEGIN TESTS

# %%
# HIDDEN
def test_temperature(with_temperature):
    import torch

    logits = torch.tensor([[-1.0, 3, 2], [-5, 0, -700]]).double()
    for heat in (0.25, 1, 3):
        ratio = (with_temperature(logits, heat)[0].log() * heat).diff()
        assert torch.allclose(ratio, logits[0].diff())
        assert torch.allclose(with_temperature(logits, heat).sum(1),
                              torch.ones(2).double())
    assert with_temperature(logits, 0).tolist() == [[0, 1, 0], [0, 1, 0]]

# %% [raw]
# # END TESTS

# %% [raw]
# # END QUESTION

# %% [markdown]
# ## 2. Top-k (1 point)
#
# Keep the `k` most likely tokens of each row of `probs` (B, V), put the others
# to zero, and scale what is kept so that it adds up to 1. If there are fewer
# than `k`, keep all. Return a new tensor. (No two probabilities of a row are
# equal, here and in the next question.)

# %% [raw]
# # BEGIN QUESTION
# name: q2_top_k
# points: 1
# check_cell: false

# %% [raw]
# # BEGIN SOLUTION

# %%
def keep_top_k(probs, k):
    """The k most likely tokens of each row, normalised: (B, V)."""
    # BEGIN SOLUTION
    best = probs.topk(min(k, probs.shape[1]), dim=1)
    kept = torch.zeros_like(probs).scatter(1, best.indices, best.values)
    return kept / kept.sum(dim=1, keepdim=True)
    # END SOLUTION

# %% [raw]
# # END SOLUTION

# %%
_ = pixelcheck.top_k(keep_top_k)

# %% [raw]
# # BEGIN TESTS

# %%
# HIDDEN
def test_top_k(keep_top_k):
    import torch

    torch.manual_seed(21)
    probs = torch.randn(20, 9).softmax(1)
    copy = probs.clone()
    for k in (1, 4, 9, 30):
        found = keep_top_k(probs, k)
        floor = probs.sort(descending=True).values[:, min(k, 9) - 1:min(k, 9)]
        wanted = torch.where(probs >= floor, probs, 0)
        assert torch.allclose(found, wanted / wanted.sum(1, keepdim=True))
    assert torch.equal(probs, copy)

# %% [raw]
# # END TESTS

# %% [raw]
# # END QUESTION

# %% [markdown]
# ## 3. Top-p (3 points)
#
# A fixed `k` is too many where the network is sure, and too few where it is
# not. Top-p keeps the *smallest* set of most likely tokens whose probabilities
# together reach `p`. The set is never empty: if the first token alone reaches
# `p`, it stays, alone. The others become zero, what is kept is scaled to add
# up to 1, and a new tensor comes back.

# %% [raw]
# # BEGIN QUESTION
# name: q3_top_p
# points: 3
# check_cell: false

# %% [raw]
# # BEGIN SOLUTION

# %%
def keep_top_p(probs, p):
    """The smallest set of likely tokens that reaches p, normalised."""
    # BEGIN SOLUTION
    ranked, order = probs.sort(dim=1, descending=True)
    before = ranked.cumsum(dim=1) - ranked  # of all likelier tokens
    ranked = torch.where(before < p, ranked, 0)
    kept = torch.zeros_like(probs).scatter(1, order, ranked)
    return kept / kept.sum(dim=1, keepdim=True)
    # END SOLUTION

# %% [raw]
# # END SOLUTION

# %%
_ = pixelcheck.top_p(keep_top_p)

# %% [raw]
# # BEGIN TESTS

# %%
# HIDDEN
def test_the_first_token_stays(keep_top_p):
    import torch

    probs = torch.tensor([[0.07, 0.9, 0.03], [0.75, 0.05, 0.2]]).double()
    for p in (0.01, 0.5, 0.7):
        assert torch.allclose(keep_top_p(probs, p), torch.tensor(
            [[0, 1, 0], [1, 0, 0]]).double())

# %%
# HIDDEN
def test_the_smallest_set(keep_top_p):
    import torch

    torch.manual_seed(22)
    probs = torch.randn(30, 7).double().softmax(1)
    for p in (0.3, 0.6, 0.9, 0.97):
        for row, found in zip(probs, keep_top_p(probs, p)):
            kept = row[found > 0]
            assert kept.sum() >= p and kept.sum() - kept.min() < p
            assert (found > 0).all() or row[found == 0].max() < kept.min()

# %%
# HIDDEN
def test_the_rest_is_in_proportion(keep_top_p):
    import torch

    torch.manual_seed(23)
    probs = torch.randn(40, 12).double().softmax(1)
    copy = probs.clone()
    found = keep_top_p(probs, 0.999999999)
    assert torch.allclose(found, probs, atol=1e-8)
    found = keep_top_p(torch.tensor([[0.5, 0.12, 0.3, 0.08],
                                     [0.05, 0.8, 0.1, 0.05]]), 0.75)
    assert torch.allclose(found, torch.tensor([[0.625, 0, 0.375, 0],
                                               [0, 1, 0, 0]]))
    keep_top_p(probs, 0.5)
    assert torch.equal(probs, copy)

# %% [raw]
# # END TESTS

# %% [raw]
# # END QUESTION

# %% [markdown]
# ## 4. From a number to a token (2 points)
#
# Lay the probabilities end to end: they cover the numbers from 0 to 1. A
# uniform number lies on one of the stretches, and that is the token. `probs`
# (B, V) and `uniforms` (B,) are float64, each number at least 0 and below 1;
# tokens (B,) come back.
#
# Mind the borders. Token 0 has the numbers from 0 up to, but not with,
# `probs[0]`. A token of probability 0 is never drawn, whatever the number is,
# and rounding may leave a sum a little below 1.

# %% [raw]
# # BEGIN QUESTION
# name: q4_draw
# points: 2
# check_cell: false

# %% [raw]
# # BEGIN SOLUTION

# %%
def draw(probs, uniforms):
    """Inverse of the cumulative distribution: tokens int64 (B,)."""
    # BEGIN SOLUTION
    edges = probs.cumsum(dim=1)
    numbers = uniforms[:, None] * edges[:, -1:]  # the sum may miss 1
    return (edges <= numbers).sum(dim=1)
    # END SOLUTION

# %% [raw]
# # END SOLUTION

# %%
_ = pixelcheck.draw(draw)

# %% [raw]
# # BEGIN TESTS

# %%
# HIDDEN
def test_shares(draw):
    import torch

    torch.manual_seed(24)
    probs = torch.tensor([[0.125, 0.5, 0, 0.25, 0.125]]).double()
    numbers = (torch.arange(800).double() + 0.5) / 800
    tokens = draw(torch.cat([probs.flip(1), probs.expand(800, 5)]),
                  torch.cat([numbers[:1], numbers]))[1:]
    assert tokens.bincount(minlength=5).tolist() == [100, 400, 0, 200, 100]
    assert (tokens.diff() >= 0).all()

# %%
# HIDDEN
def test_borders(draw):
    import torch

    probs = torch.tensor([[0, 0.25, 0.25, 0, 0.5, 0]]).double()
    rows = torch.cat([probs.flip(1), probs])
    for number, token in ((0, 1), (0.25, 2), (0.5, 4), (0.4999, 2),
                          (1 - 2 ** -53, 4)):
        number = torch.tensor([number, number], dtype=probs.dtype)
        assert draw(rows, number)[1] == token
    tenth = torch.full((1, 10), 0.1, dtype=probs.dtype)  # just below 1
    assert draw(tenth, torch.tensor([1 - 2 ** -53], dtype=probs.dtype)) == 9

# %% [raw]
# # END TESTS

# %% [raw]
# # END QUESTION

# %% [markdown]
# ## 5. Pixels to symbols (2 points)
#
# Chapter 4 packed six pixels of two levels into one of 64 symbols. Here it may
# be any number: `count` neighbouring pixels of `levels` levels each become one
# number below levels to the power of count, with the leftmost pixel as the
# first digit, as in a decimal number. `pixels` are int64 (N, T), T a multiple
# of count, symbols are int64 (N, T / count).

# %% [raw]
# # BEGIN QUESTION
# name: q5_symbols
# points: 2
# check_cell: false

# %% [raw]
# # BEGIN SOLUTION

# %%
def pack(pixels, levels, count):
    """Pixels (N, T), each below levels, to symbols (N, T / count)."""
    # BEGIN SOLUTION
    digits = pixels.unflatten(1, (-1, count))  # (N, T / count, count)
    worth = levels ** torch.arange(count - 1, -1, -1)
    return (digits * worth).sum(dim=2)
    # END SOLUTION


def unpack(symbols, levels, count):
    """The way back: symbols (N, T / count) to pixels (N, T)."""
    # BEGIN SOLUTION
    worth = levels ** torch.arange(count - 1, -1, -1)
    return (symbols[..., None] // worth % levels).flatten(1)
    # END SOLUTION

# %% [raw]
# # END SOLUTION

# %%
_ = pixelcheck.symbols(pack, unpack)

# %% [raw]
# # BEGIN TESTS

# %%
# HIDDEN
def test_pack(pack):
    import torch

    pixels = torch.tensor([[9, 0, 4, 1, 2, 3], [0, 0, 0, 0, 9, 9]])
    assert pack(pixels, 10, 2).tolist() == [[90, 41, 23], [0, 0, 99]]
    assert pack(pixels, 10, 3).tolist() == [[904, 123], [0, 99]]
    assert pack(pixels, 16, 1).tolist() == pixels.tolist()

# %%
# HIDDEN
def test_unpack(unpack):
    import torch

    symbols = torch.tensor([[904, 123], [0, 99]])
    assert unpack(symbols, 10, 3).tolist() == [[9, 0, 4, 1, 2, 3],
                                               [0, 0, 0, 0, 9, 9]]
    digits = unpack(torch.arange(81)[None], 3, 4).view(81, 4)
    assert len({tuple(row) for row in digits.tolist()}) == 81
    assert digits.min() == 0 and digits.max() == 2

# %% [raw]
# # END TESTS

# %% [raw]
# # END QUESTION

# %% [markdown]
# ## 6. The best of many (1 point)
#
# A reader looked at a pool of N drawn digits and gave `logits` (N, 10). Which
# `keep` of them does it take for the class `label` with the highest
# probability? Return their indices, the best first. A high logit is not a high
# probability: a blot may excite the reader for all classes.

# %% [raw]
# # BEGIN QUESTION
# name: q6_choice
# points: 1
# check_cell: false

# %% [raw]
# # BEGIN SOLUTION

# %%
def best_of(logits, label, keep):
    """Indices (keep,) of the most probable members of the class."""
    # BEGIN SOLUTION
    scores = logits.log_softmax(dim=1)[:, label]  # (N,)
    return scores.topk(keep).indices
    # END SOLUTION

# %% [raw]
# # END SOLUTION

# %%
_ = pixelcheck.best(best_of)

# %% [raw]
# # BEGIN TESTS

# %%
# HIDDEN
def test_best(best_of):
    import torch

    torch.manual_seed(25)
    logits = 3 * torch.randn(30, 10) + 9 * torch.randn(30, 1)
    ranked = logits.softmax(1)[:, 6].argsort(descending=True)
    for keep in (1, 5, 30):
        assert best_of(logits, 6, keep).tolist() == ranked[:keep].tolist()

# %% [raw]
# # END TESTS

# %% [raw]
# # END QUESTION

# %% [markdown]
# All together: your filters and your draw make twelve digits, symbol by
# symbol. A reader ranks them, and your choice is shown below the first four as
# they were drawn.

# %% mystnb={"image": {"alt": "Two rows of four black-and-white digits, drawn symbol by symbol. All should be sevens; those in the lower row, chosen by a reader, are cleaner."}}
checks = (pixelcheck.temperature(with_temperature),
          pixelcheck.top_p(keep_top_p), pixelcheck.draw(draw),
          pixelcheck.best(best_of))
if all(checks):
    model = pl.load("symbols")
    labels, token = torch.full((12,), 7), None
    uniforms = pl.sampling.uniform_numbers(12, 150, seed=1)
    state, drawn = model.prior.start(labels), []
    with torch.no_grad():
        for t in range(150):
            logits = model.prior.step(state, token).double()
            probs = keep_top_p(with_temperature(logits, 0.9), 0.95)
            token = draw(probs, uniforms[:, t])
            drawn.append(token)
    images = model.tokenizer.decode(torch.stack(drawn, dim=1))
    reader = pl.classify.reader("reranker")
    chosen = best_of(reader.logits(images), 7, 4)
    pl.figures.grid(torch.cat([images[:4], images[chosen]]), columns=4,
                    size=1.1, row_titles=["as drawn ", "chosen "])
