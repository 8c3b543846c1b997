"""From logits to tokens: filters, the inverse CDF, and the sampling loop.

Every prior has prior(tokens, labels) -> logits (B, T, V) for all positions at
once, and, one position at a time, state = prior.start(labels),
prior.step(state, previous tokens (B,) or None) -> logits (B, V).
"""

import numpy as np
import torch

from pixellab.progress import bar


def probabilities(logits, temperature=1.0, top_k=None, top_p=None):
    """Filtered next-token distribution, float64, same shape as logits.

    In this order: temperature (0 puts everything on the most likely token);
    top_k keeps the k most likely tokens; top_p keeps the smallest set of
    most likely tokens whose cumulative probability reaches p, at least one
    (Holtzman et al., 2020); 1 keeps all. What is left is normalised.
    """
    if not 0 <= temperature < float("inf"):  # NaN neither
        raise ValueError(f"temperature is {temperature}; it must be 0 or more")
    if top_k is not None and (top_k < 1 or top_k % 1):
        raise ValueError(f"top_k is {top_k}; it must be 1, 2, 3, ...")
    if top_p is not None and not 0 < top_p <= 1:
        raise ValueError(f"top_p is {top_p}; it must lie in (0, 1]")
    logits = logits.double()
    if not logits.isfinite().all():
        raise ValueError("the logits are not finite: damaged weights?")
    logits = logits - logits.amax(dim=-1, keepdim=True)  # no overflow below
    if temperature == 0:
        best = logits.argmax(dim=-1, keepdim=True)
        return torch.zeros_like(logits).scatter_(-1, best, 1.0)
    probs = torch.softmax(logits / temperature, dim=-1)
    if top_p == 1:
        top_p = None  # all of them; a sum of floats may reach 1 too early
    if top_k is None and top_p is None:
        return probs
    ranked, order = probs.sort(dim=-1, descending=True, stable=True)
    if top_k is not None:
        ranked[..., int(top_k):] = 0
        ranked /= ranked.sum(dim=-1, keepdim=True)
    if top_p is not None:
        before = ranked.cumsum(dim=-1) - ranked  # mass of likelier tokens
        ranked[before >= top_p] = 0
    kept = torch.zeros_like(probs).scatter_(-1, order, ranked)
    return kept / kept.sum(dim=-1, keepdim=True)


def draw(probs, uniforms):
    """Inverse CDF: (B, V) float64 and (B,) in [0, 1) -> tokens (B,) int64."""
    cdf = probs.cumsum(dim=-1)
    target = uniforms[:, None] * cdf[:, -1:]  # the sum is 1 up to rounding
    return torch.searchsorted(cdf, target, right=True)[:, 0]


def uniform_numbers(count, length, seed=0, first=0):
    """float64 (count, length) in [0, 1): one independent stream an image,
    the same in any batch, for images `first`, `first` + 1, ..."""
    if seed < 0 or seed % 1:
        raise ValueError(f"seed is {seed}; it must be 0, 1, 2, ...")
    return torch.from_numpy(np.stack([
        np.random.default_rng([int(seed), i]).random(length)
        for i in range(first, first + count)]))


@torch.no_grad()
def stream(prior, labels, uniforms, prompt=None, cached=True,
           rule=probabilities, **filters):
    """Draw token by token; yields the tokens so far, (N, t) for t = 1 .. T.

    labels (N,) int64, uniforms (N, T) float64 on the CPU; prompt (N, P)
    tokens are kept and not drawn; filters as of `probabilities`, or of
    another rule from logits to them. Copy what is yielded to keep it.
    cached=False recomputes everything at each position with the parallel
    pass: the same tokens, very slowly.
    """
    device = next(prior.parameters()).device
    labels = labels.to(device)
    tokens = torch.zeros(uniforms.shape, dtype=torch.int64)
    known = 0 if prompt is None else prompt.shape[1]
    tokens[:, :known] = prompt if known else 0
    state, previous = prior.start(labels) if cached else None, None
    for t in range(tokens.shape[1]):
        if cached:
            logits = prior.step(state, previous)
        elif t >= known:
            logits = prior(tokens.to(device), labels)[:, t]
        if t >= known:
            # on the CPU: the same float64 arithmetic wherever the net runs
            probs = rule(logits.cpu(), **filters)
            tokens[:, t] = draw(probs, uniforms[:, t])
        previous = tokens[:, t].to(device)
        yield tokens[:, :t + 1]


def last(steps, total):
    """Run a stream to its end, with a bar in a terminal."""
    for tokens in bar(steps, "tokens", total):
        pass
    return tokens


def sample(prior, labels, uniforms, **settings):
    """`stream` to its end: tokens int64 (N, T)."""
    return last(stream(prior, labels, uniforms, **settings), uniforms.shape[1])
