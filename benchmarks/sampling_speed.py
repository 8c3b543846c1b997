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


def first_differences(naive, cached):
    """For each image the first pixel that differs, or None."""
    return [int(row.nonzero()[0]) if row.any() else None
            for row in naive != cached]


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
            "first_differing_pixel": first_differences(naive, runs[0][1])}
