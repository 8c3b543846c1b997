"""What several parts need: times, pieces that are kept, digits drawn."""

import hashlib
import json
import platform
import statistics
import time
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from pixellab import codec, data, load, sampling
from pixellab.weights import atomic

STORE = Path("runs/bench")
SHARED = "shared"  # pieces that several parts use
SEED = 0
PART = 100  # digits drawn at a time
HEADER = codec.HEADER_BYTES  # bytes of our files


def processor():
    for line in Path("/proc/cpuinfo").read_text().splitlines() \
            if Path("/proc/cpuinfo").exists() else []:
        if line.startswith("model name"):
            return line.split(":")[1].strip()
    return platform.processor() or platform.machine()


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()[:6]


def seconds(function):
    """(how long it takes, what it returns)."""
    started = time.perf_counter()
    result = function()
    return time.perf_counter() - started, result


def in_turn(ways, runs=5):
    """Median seconds of some functions, {name: function} to {name: float}.

    They are called in turn, so that a busy moment hits all of them; one
    more call each, before, warms up.
    """
    times = {name: [] for name in ways}
    for _ in tqdm(range(runs + 1), desc="in turn"):
        for name, function in ways.items():
            times[name].append(seconds(function)[0])
    return {name: statistics.median(found[1:])
            for name, found in times.items()}


def share(right):
    """Of booleans: how many are true, 0 to 1."""
    return round(right.double().mean().item(), 4)


def write(path, thing, indent=None):
    with atomic(path) as part:
        part.write_text(json.dumps(thing, indent=indent) + "\n")


def kept(part, name, depends, make):
    """make()'s numbers, or those that a killed run has left.

    depends: anything whose repr says on what the numbers depend.
    """
    how = hashlib.sha256(repr(depends).encode()).hexdigest()[:8]
    path = STORE / part / f"{name}_{how}.json".replace(" ", "_")
    if not path.exists():
        write(path, make())
    return json.loads(path.read_text())


def fingerprint(name):
    return load(name, device="cpu").fingerprint().hex()


def shown(model, images):
    """Images as the tokenizer of this model shows them."""
    return model.tokenizer.decode(model.tokenizer.encode(images))


def a_class(images, labels, count, first=0):
    """`count` of each class from the `first` on, the classes in turn:
    images (10 * count, H, W) and their labels 0, 1, ... 9, 0, ...

    ValueError where there are fewer.
    """
    if labels.bincount(minlength=10).min() < first + count:
        raise ValueError(f"these {len(labels)} digits are too few: the parts "
                         "of the scoreboard need all of MNIST")
    places = torch.stack([
        (labels == digit).nonzero()[first:first + count, 0]
        for digit in range(10)], dim=1).flatten()
    return images[places], labels[places]


def some_digits(count, first=0):
    """`a_class` of the validation digits."""
    return a_class(*data.mnist("valid"), count, first)


def training_digits(count, first=0):
    """`a_class` of the training digits, shuffled: in their file, digits of
    one writer stand together, and sets of them would be too different."""
    images, labels = data.mnist("train")
    order = torch.randperm(len(images), generator=torch.Generator()
                           .manual_seed(SEED))
    return a_class(images[order], labels[order], count, first)


def drawn(name, count, **filters):
    """Digits 0, 1, ... 9, 0, 1, ... of this model: uint8 (count, H, W).

    PART at a time, each part kept: for the same weights, filters and place
    they would be the same again.
    """
    model = load(name, device="cpu")
    how = "_".join(f"{key}_{value}" for key, value in filters.items())
    folder = STORE / SHARED / f"{name}_{fingerprint(name)}" / (how or "plain")
    parts = []
    for first in tqdm(range(0, count, PART), desc=f"{name} {how}"):
        path = folder / f"{first:05}.npy"
        if not path.exists():
            tokens = sampling.sample(
                model.prior, torch.arange(PART) % 10,
                sampling.uniform_numbers(PART, model.tokenizer.length, SEED,
                                         first), **filters)
            with atomic(path) as part, part.open("wb") as file:
                np.save(file, model.tokenizer.decode(tokens).numpy())
        parts.append(torch.from_numpy(np.load(path)))
    return torch.cat(parts)[:count]
