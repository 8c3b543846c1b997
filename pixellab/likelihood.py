"""How many bits a model needs for an image: its negative log likelihood."""

import math

import torch
import torch.nn.functional as F

from pixellab.progress import bar

NATS_PER_BIT = math.log(2)


@torch.no_grad()
def token_bits(prior, tokens, labels, batch_size=50):
    """-log2 p(token | earlier tokens, label): tokens int64 (N, T), labels
    int64 (N,) -> bits float64 (N, T) on the CPU. Sums over dim 1 are bits an
    image, times ln 2 nats."""
    device, costs = next(prior.parameters()).device, []
    for start in bar(range(0, len(tokens), batch_size), "bits"):
        part = slice(start, start + batch_size)
        batch = tokens[part].to(device)
        logits = prior(batch, labels[part].to(device)).float()
        nats = F.cross_entropy(logits.transpose(1, 2), batch, reduction="none")
        costs.append(nats.cpu().double() / NATS_PER_BIT)
    return torch.cat(costs)
