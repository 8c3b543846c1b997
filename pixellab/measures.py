"""Numbers for what a lossy tokenizer loses, and how it uses its codebook."""

import math

import torch


def mean_squared_error(images, shown):
    """Of each image, brightness on the scale 0 to 1: float64 (N,). Both are
    uint8 (N, H, W[, 3]), else ValueError."""
    images, shown = torch.as_tensor(images), torch.as_tensor(shown)
    if images.shape != shown.shape or not (
            images.dtype == shown.dtype == torch.uint8):
        raise ValueError("pictures cannot be compared: give uint8 of one size")
    difference = (images.double() - shown.double()) / 255
    return difference.square().flatten(1).mean(dim=1)


def psnr(error):
    """Peak signal-to-noise ratio in decibels of a mean squared error (of many
    images: of the mean of their errors)."""
    return math.inf if error == 0 else -10 * math.log10(error)


def entropy(tokens):
    """Bits a token if each is coded by how often it occurs: a float."""
    counts = torch.bincount(torch.as_tensor(tokens).flatten()).double()
    share = counts[counts > 0] / counts.sum()
    return -(share * share.log2()).sum().item()


def codebook_usage(tokens, vocabulary):
    """The share of the entries that occur at least once."""
    return len(torch.as_tensor(tokens).unique()) / vocabulary
