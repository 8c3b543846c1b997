"""ImageModel: a tokenizer and a prior joined, and everything they can do."""

import math
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pixellab import classify, codec, likelihood, measures, sampling, weights
from pixellab.numerics import device_named
from pixellab.parts import learned, restore
from pixellab.recipes import systems
from pixellab.types import Images, Labels, Prior, Provenance, Tokenizer

PART = 200  # images drawn at a time: a cache takes megabytes an image


def models() -> list[str]:
    """Names of the book's five systems, in its order."""
    return systems()


def load(name_or_path: str | Path, device: str | None = None) -> "ImageModel":
    """The model of that name, or in that weight file, ready to use.

    device: "cpu", "cuda", "mps"; None takes the fastest that is here, and
    ValueError tells of one that is not.
    """
    device = device_named(device)
    file, (tokenizer, prior) = load_parts(name_or_path, "tokenizer", "prior")
    return ImageModel(tokenizer, prior.to(device), file.provenance)


def load_tokenizer(name_or_path: str | Path) -> tuple[Tokenizer, Provenance]:
    """(tokenizer, provenance) of a model or a stored tokenizer, as `load`."""
    file, (tokenizer,) = load_parts(name_or_path, "tokenizer")
    return tokenizer, file.provenance


def load_parts(name_or_path: str | Path,
               *parts: str) -> tuple[weights.Checkpoint, list[Any]]:
    """A weight file, and the parts of it with these names."""
    file = weights.read(name_or_path)
    try:
        return file, [restore(file.tensors, file.config, part)
                      for part in parts]
    except (KeyError, TypeError, ValueError, ImportError, AttributeError,
            RuntimeError) as error:
        cause = " ".join(str(error).split())[:200]
        raise ValueError(f"{name_or_path} holds no {' and '.join(parts)} "
                         f"({cause}): use {', '.join(models())}") from None


class ImageModel:
    """A tokenizer (images <-> tokens) and a prior p(token | earlier, label).

    Images are uint8 (N, H, W[, 3]). Labels are integers; None stands for "no
    label" and may be mixed with others in one batch.
    """

    def __init__(self, tokenizer: Tokenizer, prior: Prior,
                 provenance: Provenance | None = None) -> None:
        self.tokenizer = tokenizer
        self.prior: Prior = prior.eval()  # with dropout no file would decode
        self.provenance = provenance or {}
        self.dimensions = math.prod(tokenizer.shape)  # numbers in an image

    def label_tensor(self, labels: Labels | None,
                     count: int | None = None) -> Tensor:
        """Labels as int64 (count,); None becomes the null class. Without a
        count there may be any number of them."""
        null = self.prior.num_classes
        given: Any = [None] * (count or 1) if labels is None else labels
        if np.ndim(given) != 1:
            raise ValueError(f"labels is {given}; it must be a list, as [3]")
        if count not in (None, len(given)):
            raise ValueError(f"{len(given)} labels for {count} images")
        given = given.tolist() if hasattr(given, "tolist") else given
        for label in given:
            if label is not None and label not in range(null):
                raise ValueError(
                    f"label {label} is not one of 0 to {null - 1}" if null
                    else "this model has no labels: leave them out")
        return torch.tensor([null if label is None else int(label)
                             for label in given])

    def streams(self, n: int | None = None, labels: Labels | None = None, *,
                images: Images | None = None, rows: int = 0, seed: int = 0,
                first: int = 0, part: int = PART,
                **filters: Any) -> list[Iterator[Tensor]]:
        """`stream` in parts of so many images: a list of iterators."""
        if n is None:
            given: Any = labels if images is None else images
            n = len(given) if np.ndim(given) else 1
        if n not in range(1, 10_001):
            raise ValueError(f"n is {n!r}; it must be 1 to 10,000")
        n = int(n)
        if (filters.get("top_k") or 0) > self.tokenizer.vocabulary:
            warnings.warn(f"top_k {filters['top_k']} is more than the tokens "
                          "there are: all are kept", stacklevel=3)
        inputs = [self.label_tensor(labels, n), sampling.uniform_numbers(
            n, self.tokenizer.length, seed, first)]
        if images is not None:
            inputs.append(self.prompt(images, rows))
            if len(inputs[-1]) != n:
                raise ValueError(f"{len(inputs[-1])} images, but n is {n}")
        elif rows:
            raise ValueError(f"rows is {rows}, but there are no images")
        parts = zip(*(each.split(part) for each in inputs), strict=True)
        return [sampling.stream(self.prior, *one, **filters) for one in parts]

    def stream(self, n: int | None = None, labels: Labels | None = None, *,
               images: Images | None = None, rows: int = 0,
               temperature: float = 1.0, top_k: int | None = None,
               top_p: float | None = None, seed: int = 0,
               first: int = 0) -> Iterator[Tensor]:
        """Draw, yielding the tokens so far (N, t) after each token: settings
        as of `sample`; images and rows of `complete`."""
        return self.streams(
            n, labels, images=images, rows=rows, seed=seed, first=first,
            part=10_000, temperature=temperature, top_k=top_k, top_p=top_p)[0]

    def prompt(self, images: Images, rows: int) -> Tensor:
        """The tokens of the first rows of images: (N, P)."""
        height, step = self.tokenizer.shape[0], self.tokenizer.row_height
        if rows not in range(0, height + 1, step):
            below = max(0, min(rows // step * step, height - step))
            raise ValueError(f"rows is {rows}; it must be 0 to {height}, in "
                             f"steps of {step}: use {below} or {below + step}")
        tokens = self.tokenizer.encode(images)
        return tokens[:, :int(rows) * tokens.shape[1] // height]

    def finish(self, *streams: Iterator[Tensor]) -> Tensor:
        """Run streams to their ends: the images."""
        return torch.cat([self.tokenizer.decode(sampling.last(
            steps, self.tokenizer.length)) for steps in streams])

    def sample(self, n: int | None = None, labels: Labels | None = None,
               temperature: float = 1.0, top_k: int | None = None,
               top_p: float | None = None, seed: int = 0,
               best_of: int | None = None, first: int = 0) -> Tensor:
        """New images, uint8 (N, H, W[, 3]), one a label if n is not given.

        Filters as of `sampling.probabilities`. best_of: draw so many digits of
        each class among the labels and keep those that a classifier prefers
        (`classify.choose`). Image i is drawn with the random numbers of
        stream first + i of the seed.
        """
        filters = {"temperature": temperature, "top_k": top_k, "top_p": top_p}
        if best_of is None:
            return self.finish(*self.streams(n, labels, seed=seed,
                                             first=first, **filters))
        asked = self.label_tensor(labels, n)
        if (asked == self.prior.num_classes).any():
            raise ValueError("best_of chooses by class: it needs all labels")
        return classify.choose(self, asked, best_of, seed=seed, **filters)

    def complete(self, images: Images, rows: int,
                 labels: Labels | None = None, *, temperature: float = 1.0,
                 top_k: int | None = None, top_p: float | None = None,
                 seed: int = 0) -> Tensor:
        """Keep the first `rows` rows of each image (as their tokens show them)
        and draw the rest, by settings as of `sample`. ValueError for rows
        beyond the image or inside a row of tokens."""
        return self.finish(*self.streams(
            labels=labels, images=images, rows=rows, temperature=temperature,
            top_k=top_k, top_p=top_p, seed=seed))

    def bits(self, images: Images, labels: Labels | None = None) -> Tensor:
        """-log2 p(tokens | label): float64 (N,), bits an image; divided by
        `dimensions` bits per dimension, times ln 2 nats."""
        return self.token_bits(images, labels).sum(dim=1)

    def token_bits(self, images: Images,
                   labels: Labels | None = None) -> Tensor:
        """The same for each token: float64 (N, T)."""
        tokens = self.tokenizer.encode(images)
        return likelihood.token_bits(self.prior, tokens,
                                     self.label_tensor(labels, len(tokens)))

    def reconstruct(self, images: Images) -> Tensor:
        """decode(encode(images)): what tokens can say of the images."""
        return self.tokenizer.decode(self.tokenizer.encode(images))

    def distortion(self, images: Images) -> Tensor:
        """Mean squared error of `reconstruct`, on the scale 0 to 1: (N,)."""
        return measures.mean_squared_error(images, self.reconstruct(images))

    def compress(self, image: Images, label: int | None = None) -> bytes:
        """An image (H, W[, 3]) as the bytes of a file (see `codec`) that
        decodes to its `reconstruct`. A label, where known, saves bits."""
        tokens = self.tokenizer.encode(image[None])[0]
        payload = codec.encode(self.prior, tokens,
                               self.label_tensor([label], 1))
        header = codec.Header(self.provenance.get("name"), self.fingerprint(),
                              label, self.tokenizer.shape)
        return codec.pack(header, tokens, payload)

    def decompress(self, blob: bytes) -> Tensor:
        """The image in a file of `compress`: uint8 (H, W[, 3]). ValueError,
        never a wrong image, for a foreign or damaged file, other weights, and
        a machine that computes differently."""
        header, token_sum, payload = codec.unpack(bytes(blob))
        if header.weights != self.fingerprint():
            raise ValueError(f"the file was made by {header.model or 'other'} "
                             "weights that are not these: use the same")
        label = self.label_tensor([header.label], 1)
        tokens = codec.decode(self.prior, payload, label,
                              self.tokenizer.length, token_sum)
        return self.tokenizer.decode(torch.tensor([tokens]))[0]

    def fingerprint(self) -> bytes:
        """3 bytes that depend on every weight."""
        tensors = {**self.prior.state_dict(), **learned(self.tokenizer)}
        return bytes.fromhex(weights.digest(
            {key: value.cpu() for key, value in tensors.items()})[:6])
