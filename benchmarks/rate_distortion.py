"""What do bits buy? Patches of three sizes, codebooks of 8 to 1,024 entries.

For each: a codebook learned from the 58,000 training digits, a small
transformer (2 layers, 128 features) trained once over the first 29,000 of
them, and on the 2,000 validation digits: the squared error of the picture
(as PSNR), the bits a digit if each code is coded by how often it occurs
(entropy), and by the transformer, given the label (cross-entropy). Equal
training for all, far less than the shipped model had.
"""

import functools
import time

import torch

from benchmarks._tools import STORE, kept
from pixellab import data, measures, training
from pixellab.parts import describe
from pixellab.priors.gpt import GPT
from pixellab.tokenizers.patches import Patches

POINTS = {4: (8, 16, 32, 64, 128, 256, 512, 1024), 7: (8, 64, 256, 1024),
          2: (8, 16, 64, 256, 1024)}  # entries for each patch size
DIGITS = 29_000
RECIPE = training.Schedule(epochs=1, lr=4e-3, gamma=0.02, warmup=200,
                           batch_size=16, precision="bf16")


def point(patch, codebook_size):
    """One dot of the curves, as a dict."""
    (train, labels), (valid, truth) = data.mnist("train"), data.mnist("valid")
    started = time.monotonic()
    tokenizer = Patches(patch, codebook_size).fit(train)
    fitted = time.monotonic() - started
    codes = tokenizer.encode(valid)
    error = measures.mean_squared_error(valid, tokenizer.decode(codes))
    torch.manual_seed(RECIPE.seed)
    prior = GPT(codebook_size, tokenizer.grid, width=128, layers=2, heads=4)
    row = training.train(
        prior, (tokenizer.encode(train[:DIGITS]), labels[:DIGITS]),
        (codes, truth), RECIPE, training.RunFolder(
            STORE / "rate_distortion" / f"{patch}_{codebook_size}",
            {"tokenizer": describe(tokenizer), "prior": describe(prior)}),
        device="cpu")[-1]
    return {"patch": patch, "codebook_size": codebook_size,
            "psnr": round(measures.psnr(error.mean().item()), 3),
            "entropy": round(measures.entropy(codes) * tokenizer.length, 2),
            "cross_entropy": round(row["valid"] * tokenizer.length, 2),
            "used": measures.codebook_usage(codes, codebook_size),
            "fit_seconds": round(fitted, 1),
            "seconds": round(time.monotonic() - started)}


def measure():
    return {"digits_trained_on": DIGITS, "points": [
        kept("rate_distortion", f"{patch} {size}", (RECIPE, DIGITS),
             functools.partial(point, patch, size))
        for patch, sizes in POINTS.items() for size in sizes]}
