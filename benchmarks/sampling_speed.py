"""How much faster is sampling when nothing is computed twice?

16 digits from `pixelcnn`, class-conditional, the same uniforms, one thread,
float32: the cached sampler (median of 5 runs) against the naive loop that
recomputes the whole image for each pixel (one run). The two must draw the
same tokens, but for draws within 1e-4 of an edge of the cumulative
distribution, where rounding decides.
"""

import statistics
import time

import torch

from pixellab import load, sampling

DIGITS, SEED = 16, 0


def seconds(function):
    started = time.perf_counter()
    result = function()
    return time.perf_counter() - started, result


def first_differences(prior, labels, uniforms, naive, cached):
    """{image: (first differing pixel, how far its uniform number lies from
    the nearest edge of the cumulative distribution)}."""
    found = {}
    for i in (naive != cached).any(dim=1).nonzero()[:, 0].tolist():
        t = int((naive[i] != cached[i]).nonzero()[0])
        with torch.no_grad():
            logits = prior(naive[i:i + 1], labels[i:i + 1])[0, t]
        edges = sampling.probabilities(logits).cumsum(dim=0)
        distance = (edges - uniforms[i, t]).abs().min().item()
        assert distance < 1e-4, f"image {i} differs at {t}, not by rounding"
        found[i] = (t, distance)
    return found


def measure():
    model = load("pixelcnn", device="cpu")
    labels = torch.arange(DIGITS) % 10
    uniforms = sampling.uniform_numbers(DIGITS, model.tokenizer.length, SEED)

    def draw(**settings):
        return sampling.sample(model.prior, labels, uniforms, **settings)

    draw()  # warm up
    runs = [seconds(draw) for _ in range(5)]
    cached_time = statistics.median(run[0] for run in runs)
    naive_time, naive = seconds(lambda: draw(cached=False, progress=True))
    return {"digits": DIGITS, "seed": SEED,
            "cached_seconds": round(cached_time, 3),
            "naive_seconds": round(naive_time, 1),
            "times_faster": round(naive_time / cached_time, 1),
            "differ_from_pixel_on": first_differences(
                model.prior, labels, uniforms, naive, runs[0][1])}
