"""What was measured on images that no run has seen, and how it is said."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pixellab import likelihood, measures, weights
from pixellab.model import load
from pixellab.parts import learned
from pixellab.progress import bar
from pixellab.training.batches import Inputs, Set
from pixellab.types import Provenance, Tokenizer

WORDS: dict[str, Any] = {
    "accuracy": "{:.2%} read rightly".format,
    "bits_per_token": "{:.4f} bits a token".format,
    "entropy_per_token": "{:.4f} bits a token without a prior".format,
    "codes_used": "{:.1%} of the codes used".format,
    "squared_error": lambda error: f"{measures.psnr(error):.2f} dB",
    "loss": "loss {:.5f} thousandths".format}


def in_words(provenance: Provenance) -> str:
    """What a header says was measured on validation images."""
    return ", ".join([say(provenance[f"valid_{name}"])
                      for name, say in WORDS.items()
                      if f"valid_{name}" in provenance] + ["validation"])


def measured(tokenizer: Tokenizer,
             images: Inputs) -> tuple[Tensor, Provenance]:
    """(tokens, what a header says of a lossy tokenizer)."""
    codes, errors = [], []
    for part in bar(images.split(16), "validation",
                    total=-(-len(images) // 16)):
        codes.append(tokenizer.encode(part))
        errors.append(measures.mean_squared_error(
            part, tokenizer.decode(codes[-1])))
    tokens = torch.cat(codes)
    return tokens, {
        "valid_squared_error": torch.cat(errors).mean().item(),
        "valid_entropy_per_token": measures.entropy(tokens),
        "valid_codes_used": measures.codebook_usage(tokens,
                                                    tokenizer.vocabulary)}


def certify(path: str | Path, sets: dict[str, Set],
            distortion: Provenance | None = None,
            device: str | None = None) -> Provenance:
    """Score the stored weights and write the scores into their header.

    sets: {"valid": (tokens, labels), "test": ...}. Adds the bits a token of
    each, the bits of 64 validation images (a check in seconds), the test's
    nats an image where nothing is lost, and the dict `distortion`.
    """
    file = weights.read(path)
    model, provenance = load(path, device), file.provenance
    provenance.update(distortion or {})
    for name, (tokens, labels) in sets.items():
        bits = likelihood.token_bits(model.prior, tokens, labels).sum(dim=1)
        provenance[f"{name}_images"] = len(bits)
        mean = bits.mean().item()
        provenance[f"{name}_bits_per_token"] = mean / model.tokenizer.length
        if name == "valid":
            every = max(1, len(bits) // 64)
            provenance["check"] = {"every": every, "bits": [
                round(cost, 3) for cost in bits[::every][:64].tolist()]}
        elif not learned(model.tokenizer):
            provenance["test_nats"] = mean * likelihood.NATS_PER_BIT
    weights.write(path, file.tensors, file.config, provenance)
    return provenance


def is_scored(path: str | Path) -> bool:
    """Whether a weight file is there that a run has finished with."""
    if not Path(path).exists():
        return False
    provenance = weights.read(path).provenance
    return "valid_images" in provenance or "valid_codes_used" in provenance
