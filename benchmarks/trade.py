"""What do temperature and top-p trade: is a sure digit one like all others?

300 class-conditional samples a setting (30 a class). Agreement: the share
that the judge reads as asked. Diversity: how far a sample is from the nearest
other sample of its class, by the judge's 96 features (Euclidean), mean over
all samples, divided by the same number for 300 real training digits as the
model's tokenizer shows them (median of five sets): 1 is as diverse as real
digits, 0 is one digit a class. More than 1 is no praise: digits that are
unlike all others are often no digits.
"""

import functools
import statistics

import torch

from benchmarks._tools import (
    drawn,
    fingerprint,
    kept,
    share,
    shown,
    training_digits,
)
from benchmarks.samples import features
from pixellab import classify, load

NAMES, SAMPLES, SETS = ("pixelcnn", "gpt", "symbols", "patches"), 300, 5
SETTINGS = [(0.6, 1.0), (0.8, 1.0), (1.0, 1.0), (1.2, 1.0),
            (1.0, 0.95), (1.0, 0.9), (1.0, 0.8)]  # temperature, top_p


def spread(seen, labels):
    """Mean distance to the nearest other of the same class: a float."""
    distance = torch.cdist(seen, seen).fill_diagonal_(torch.inf)
    distance[labels[:, None] != labels] = torch.inf
    return distance.amin(dim=1).mean().item()


def spread_of_real(model):
    sets = (training_digits(SAMPLES // 10, k * SAMPLES // 10)
            for k in range(SETS))
    return statistics.median(spread(features(shown(model, images)), labels)
                             for images, labels in sets)


def point(name, temperature, top_p):
    # 1.0 is the samplers' own temperature: those digits are drawn already
    filters = {"temperature": temperature} if temperature != 1 else {}
    filters |= {"top_p": top_p} if top_p != 1 else {}
    images, labels = drawn(name, SAMPLES, **filters), (
        torch.arange(SAMPLES) % 10)
    real = spread_of_real(load(name, device="cpu"))
    return {"temperature": temperature, "top_p": top_p, "agreement": share(
                classify.reader("judge").read(images) == labels),
            "diversity": round(spread(features(images), labels) / real, 3)}


def measure():
    return {"samples": SAMPLES, "diversity":
            "distance to the nearest other sample of the class on the "
            "judge's features, mean, relative to real digits", **{
                name: [kept("trade", f"{name} {setting}", fingerprint(name),
                            functools.partial(point, name, *setting))
                       for setting in SETTINGS] for name in NAMES}}
