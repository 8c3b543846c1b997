"""How much faster is sampling when nothing is computed twice?

Class-conditional digits, 16 of `pixelcnn`, 10 of `gpt`, 64 of `symbols` and
`patches`, the same uniforms, one thread, float32: the cached sampler (median
of 5 runs) against the naive loop (one run), which recomputes for each token
all that it looks at: the whole image for `pixelcnn`, the tokens so far for
transformers. The two must draw the same tokens, but for draws within 1e-4 of
an edge of the cumulative distribution, where rounding decides.

"64 digits": the cached samplers of the transformers side by side, in turn,
median of 5 runs.

"symbols, reference size": 64 digits by an untrained transformer over symbols
of the usual size, 8 layers and 256 features (6.4 million parameters), cached.
"""

import statistics
import time

import torch
from tqdm import tqdm

from pixellab import load, sampling
from pixellab.priors.gpt import GPT

DIGITS, SEED = {"pixelcnn": 16, "gpt": 10, "symbols": 64, "patches": 64}, 0


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


@torch.no_grad()
def draw_naively(prior, labels, uniforms, prefix):
    """Every pixel from scratch; prefix: the network may be shown only the
    pixels so far (the one at t is not known yet and hidden by the mask)."""
    tokens = torch.zeros(uniforms.shape, dtype=torch.int64)
    for t in tqdm(range(tokens.shape[1])):
        shown = tokens[:, :t + 1] if prefix else tokens
        probs = sampling.probabilities(prior(shown, labels)[:, t])
        tokens[:, t] = sampling.draw(probs, uniforms[:, t])
    return tokens


def measure():
    results = {name: compare(name, digits) for name, digits in DIGITS.items()}
    results["64 digits"] = side_by_side()
    results["symbols, reference size"] = time_reference()
    return results


def side_by_side(names=("gpt", "symbols", "patches"), digits=64):
    """Seconds of each, and how many times faster than the first."""
    models = {name: load(name, device="cpu") for name in names}
    labels, runs = torch.arange(digits) % 10, {name: [] for name in names}
    for _ in range(6):
        for name, model in models.items():
            runs[name].append(seconds(lambda model=model: model.sample(
                labels=labels, seed=SEED))[0])
    times = {name: statistics.median(run[1:])  # the first warms up
             for name, run in runs.items()}
    return {name: {"seconds": round(time, 3),
                   "times_faster": round(times[names[0]] / time, 1)}
            for name, time in times.items()}


def time_reference(digits=64):
    torch.manual_seed(0)
    prior = GPT(64, (30, 5), width=256, layers=8, heads=8, window=None).eval()
    labels, uniforms = torch.arange(digits) % 10, sampling.uniform_numbers(
        digits, 150, SEED)
    runs = [seconds(lambda: sampling.sample(prior, labels, uniforms))[0]
            for _ in range(6)][1:]  # the first warms up
    return {"digits": digits, "seconds": round(statistics.median(runs), 3),
            "parameters": sum(p.numel() for p in prior.parameters())}


def compare(name, digits):
    model = load(name, device="cpu")
    labels = torch.arange(digits) % 10
    uniforms = sampling.uniform_numbers(digits, model.tokenizer.length, SEED)

    def draw():
        return sampling.sample(model.prior, labels, uniforms)

    draw()  # warm up
    runs = [seconds(draw) for _ in range(5)]
    cached_time = statistics.median(run[0] for run in runs)
    naive_time, naive = seconds(lambda: draw_naively(
        model.prior, labels, uniforms, prefix=name != "pixelcnn"))
    return {"digits": digits, "seed": SEED,
            "cached_seconds": round(cached_time, 3),
            "naive_seconds": round(naive_time, 1),
            "times_faster": round(naive_time / cached_time, 1),
            "differ_from_pixel_on": first_differences(
                model.prior, labels, uniforms, naive, runs[0][1])}
