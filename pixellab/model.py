"""ImageModel: a tokenizer and a prior joined, and everything they can do."""

import contextlib
import importlib
import math
import re
import warnings
from collections import Counter

import numpy as np
import torch
from torch import nn

from pixellab import (
    classify,
    codec,
    likelihood,
    measures,
    sampling,
    weights,
)
from pixellab.scale import best_device

NAMES = ("pixelcnn", "gpt", "symbols", "patches", "bsq")
LEARNED = "tokenizer."  # how tensors of a tokenizer begin in weight files
PART = 200  # images drawn at a time: a cache takes megabytes an image


def models():
    """Names of the systems whose weights are here, in the book's order."""
    return [name for name in NAMES if name in weights.names()]


def load(name_or_path, device=None):
    """The model of that name, or in that weight file, ready to use.

    device: "cpu", "cuda", "mps"; None takes the fastest that is here.
    FileNotFoundError for an unknown name, ValueError for a damaged file or
    a device that is not here.
    """
    device = device or best_device()
    here = {"cpu": True, "cuda": torch.cuda.is_available(),
            "mps": torch.backends.mps.is_available()}
    if not here.get(device):
        raise ValueError(f"there is no {device} device here: use cpu")
    tensors, config, provenance = weights.load(name_or_path)
    if "prior" not in config:
        raise ValueError(f"{name_or_path} draws nothing: use one of "
                         f"{', '.join(models())}")
    with explained(name_or_path):
        tokenizer = restore_tokenizer(tensors, config)
        fits = {"vocabulary": tokenizer.vocabulary,
                "grid": list(tokenizer.grid)}
        for key, value in fits.items():
            if config["prior"].get(key, value) != value:
                raise RuntimeError(f"the prior's {key} is not the "
                                   f"tokenizer's, {value}")
        prior = build("priors", config["prior"])
        prior.load_state_dict({key: value for key, value in tensors.items()
                               if not key.startswith(LEARNED)})
    prior.to(device).eval()
    return ImageModel(tokenizer, prior, provenance)


def load_tokenizer(name_or_path):
    """(tokenizer, provenance) of a model, or of a file that holds no more.

    FileNotFoundError and ValueError as `load`.
    """
    tensors, config, provenance = weights.load(name_or_path)
    if "tokenizer" not in config:
        raise ValueError(f"{name_or_path} holds no tokenizer: use one of "
                         f"{', '.join(models())}")
    with explained(name_or_path):
        return restore_tokenizer(tensors, config), provenance


@contextlib.contextmanager
def explained(name_or_path):
    """One clear error for a header that does not fit this version."""
    try:
        yield
    except (KeyError, TypeError, ImportError, AttributeError,
            RuntimeError) as error:
        raise ValueError(f"{name_or_path} does not describe a model of this "
                         "version: " + " ".join(str(error).split())[:200]
                         ) from None


def restore_tokenizer(tensors, config):
    """The tokenizer of a weight file, with what it has learned."""
    tokenizer = build("tokenizers", config["tokenizer"])
    if is_lossy(tokenizer):
        tokenizer.load_state_dict({
            key.removeprefix(LEARNED): value
            for key, value in tensors.items() if key.startswith(LEARNED)})
        tokenizer.eval()
    return tokenizer


def learned(tokenizer):
    """What a tokenizer has learned, as tensors for a weight file."""
    state = tokenizer.state_dict() if is_lossy(tokenizer) else {}
    return {LEARNED + key: value for key, value in state.items()}


def certify(path, valid, test=None, distortion=None, device=None,
            progress=False):
    """Score the stored weights and write what was measured into the header.

    valid, test: (tokens, labels) of whole sets. Adds bits a token on
    validation, the bits of 64 validation images, evenly spread (to check a
    copy of the weights in seconds), and, where there is a test set, its bits
    a token and nats an image; for a lossy tokenizer `distortion`, a dict of
    squared errors, instead of the nats.
    """
    tensors, config, about = weights.load(path)
    model = load(path, device)

    def bits_of(tokens, labels):
        return likelihood.token_bits(model.prior, tokens, labels,
                                     progress=progress).sum(dim=1)

    bits = bits_of(*valid)
    length = model.tokenizer.length
    about["valid_images"] = len(bits)
    about["valid_bits_per_token"] = bits.mean().item() / length
    every = max(1, len(bits) // 64)
    about["check"] = {"every": every, "bits": [
        round(cost, 3) for cost in bits[::every][:64].tolist()]}
    if test is not None:
        bits = bits_of(*test)
        about["test_images"] = len(bits)
        about["test_bits_per_token"] = bits.mean().item() / length
    if is_lossy(model.tokenizer):
        about.update(distortion or {})
    elif test is not None:  # a likelihood of the picture itself
        about["test_nats"] = bits.mean().item() * likelihood.NATS_PER_BIT
    weights.save(path, tensors, config, about)
    return about


def is_lossy(tokenizer):
    """Whether it was learned. (What the others lose, they lose by name.)"""
    return isinstance(tokenizer, nn.Module)


def build(floor, config):
    """An object from {"kind": "file.Class", ...constructor arguments}.

    Only files of pixellab.tokenizers and pixellab.priors can be named, so
    that a weight file cannot make us import anything else.
    """
    arguments = dict(config)
    kind = arguments.pop("kind")
    if not re.fullmatch(r"[a-z_]+\.[A-Za-z]+", kind):
        raise KeyError(f"kind {kind!r}")
    file, name = kind.split(".")
    module = importlib.import_module(f"pixellab.{floor}.{file}")
    return getattr(module, name)(**arguments)


def describe(part):
    """The opposite of `build`: a config that rebuilds `part`."""
    file = type(part).__module__.rsplit(".", 1)[-1]
    return {"kind": f"{file}.{type(part).__name__}", **part.config}


def how_many(n, labels):
    """n, by default one image a label."""
    if n is None:
        n = 1 if labels is None else len(labels)
    if not 1 <= n <= 10_000:
        raise ValueError(f"n is {n}; it must be 1 to 10,000")
    return n


class ImageModel:
    """A tokenizer (images <-> tokens) and a prior p(token | earlier, label).

    Images are uint8, (N, H, W) or (N, H, W, 3). Labels are integers; None
    stands for "no label" and may be mixed with others in one batch.
    """

    def __init__(self, tokenizer, prior, provenance=None):
        self.tokenizer = tokenizer
        self.prior = prior
        self.provenance = provenance or {}
        self.dimensions = math.prod(tokenizer.shape)  # numbers in an image

    def label_tensor(self, labels, count):
        """Labels as int64 (count,); None becomes the null class."""
        null = self.prior.num_classes
        if labels is None:
            return torch.full((count,), null)
        if null == 0 and set(labels) != {None}:
            raise ValueError("this model has no labels: leave them out")
        if len(labels) != count:
            raise ValueError(f"{len(labels)} labels for {count} images")
        for label in labels:
            if label is not None and label not in range(null):
                raise ValueError(f"label {label} is not one of 0 to "
                                 f"{null - 1}")
        return torch.tensor([null if label is None else int(label)
                             for label in labels])

    def stream(self, n=None, labels=None, *, seed=0, prompt=None, first=0,
               **filters):
        """Sample, yielding the tokens so far (N, t) after each token.

        n defaults to one image a label; filters: temperature, top_k, top_p.
        The random numbers are those of images `first`, `first` + 1, ...
        """
        n = how_many(n, labels)
        labels = self.label_tensor(labels, n)
        sampling.check_filters(**filters)
        vocabulary = self.tokenizer.vocabulary
        if (filters.get("top_k") or 0) > vocabulary:
            warnings.warn(f"top_k {filters['top_k']} is more than the "
                          f"{vocabulary} tokens there are: all are kept",
                          stacklevel=3)
        uniforms = sampling.uniform_numbers(n, self.tokenizer.length, seed,
                                            first)
        return sampling.stream(self.prior, labels, uniforms, prompt,
                               **filters)

    def streams(self, n=None, labels=None, first=0, **settings):
        """`stream`, PART images at a time: one iterator a part."""
        n = how_many(n, labels)
        self.label_tensor(labels, n)  # a mistake is told before any work
        return [self.stream(
            min(PART, n - start),
            None if labels is None else labels[start:start + PART],
            first=first + start, **settings) for start in range(0, n, PART)]

    def sample(self, n=None, labels=None, temperature=1.0, top_k=None,
               top_p=None, seed=0, best_of=None, progress=False):
        """New images, uint8 (N, H, W) or (N, H, W, 3), some at a time.

        temperature 0 is greedy; top_k and top_p filter as in
        `sampling.probabilities`; the same seed gives the same images.
        best_of: draw one pool of so many digits for each class among the
        labels, and return of each pool what `rerank` likes best.
        """
        n = how_many(n, labels)
        settings = {"temperature": temperature, "top_k": top_k,
                    "top_p": top_p, "seed": seed}
        if best_of is None:
            return self.finish_all(self.streams(n, labels, **settings),
                                   progress)
        wanted = self.pools(n, labels, best_of)
        kept, drawn = {}, int(best_of)
        for label, count in wanted.items():
            pool = self.finish_all(self.streams(
                labels=[label] * drawn, first=label * drawn, **settings),
                progress)
            kept[label] = iter(self.rerank(pool, label, count)[0])
        return torch.stack([next(kept[int(label)]) for label in labels])

    def pools(self, n, labels, best_of):
        """How many digits of each class `sample` keeps: {label: count}.

        ValueError for what best_of cannot choose from.
        """
        if self.prior.num_classes == 0:
            raise ValueError("best_of chooses by class, and this model has "
                             "none: leave it out")
        if labels is None or None in list(labels):
            raise ValueError("best_of chooses by class: give each image a "
                             "label")
        wanted = Counter(self.label_tensor(labels, n).tolist())
        most = max(wanted.values())
        if best_of not in range(most, 10_001):
            raise ValueError(f"best_of is {best_of!r}; it must be a whole "
                             f"number from {most}, the images asked of one "
                             "class, to 10,000")
        return wanted

    def rerank(self, images, label, keep):
        """The `keep` digits that the reranker takes most surely for `label`.

        images uint8 (N, H, W) -> (images (keep, H, W), scores (keep,)), best
        first. A score is the probability of the label: the softmax of the
        reranker's logits at temperature 0.8.
        """
        if keep not in range(1, len(images) + 1):
            raise ValueError(f"keep is {keep}; it must be 1 to the "
                             f"{len(images)} images there are")
        if label not in range(10):
            raise ValueError(f"label {label} is not one of 0 to 9")
        logits = classify.load("reranker").logits(images)
        scores = torch.softmax(logits.double() / 0.8, dim=1)[:, int(label)]
        best = scores.argsort(descending=True, stable=True)[:int(keep)]
        return torch.as_tensor(images)[best], scores[best]

    def complete(self, images, rows, labels=None, temperature=1.0,
                 top_k=None, top_p=None, seed=0, progress=False):
        """Keep the first `rows` rows of each image (their tokens, where the
        tokenizer is lossy) and draw the rest.

        uint8 (N, H, W[, 3]) to the same; ValueError for rows outside the
        image or inside a row of tokens.
        """
        return self.finish_all(self.complete_streams(
            images, rows, labels, temperature=temperature, top_k=top_k,
            top_p=top_p, seed=seed), progress)

    def complete_streams(self, images, rows, labels=None, **settings):
        """`complete_stream`, PART images at a time: one iterator a part."""
        self.label_tensor(labels, len(images))
        return [self.complete_stream(
            images[start:start + PART], rows,
            None if labels is None else labels[start:start + PART],
            first=start, **settings)
            for start in range(0, max(1, len(images)), PART)]

    def complete_stream(self, images, rows, labels=None, *, seed=0, first=0,
                        **filters):
        """`complete`, yielding the tokens so far after each token."""
        height, step = self.tokenizer.shape[0], self.tokenizer.row_height
        if not 0 <= rows <= height:
            raise ValueError(f"rows is {rows}; it must be 0 to {height}")
        if rows % step:
            below = rows // step * step
            raise ValueError(f"rows is {rows}; tokens are {step} rows high: "
                             f"use {below} or {below + step}")
        tokens = self.tokenizer.encode(images)
        prompt = tokens[:, :rows * tokens.shape[1] // height]
        return self.stream(len(tokens), labels, seed=seed, prompt=prompt,
                           first=first, **filters)

    def finish(self, steps, progress=False):
        """Run a stream to its end: the images."""
        tokens = sampling.last(steps, self.tokenizer.length, progress)
        return self.tokenizer.decode(tokens)

    def finish_all(self, parts, progress=False):
        """Run the streams of all parts: their images in one tensor."""
        return torch.cat([self.finish(steps, progress) for steps in parts])

    def bits(self, images, labels=None, progress=False):
        """-log2 p(tokens | label): float64 (N,), total bits an image.

        Divide by `dimensions` for bits per dimension; multiply by ln 2 for
        nats. With a lossy tokenizer these are the bits of the tokens, not
        of the image.
        """
        return self.token_bits(images, labels, progress).sum(dim=1)

    def token_bits(self, images, labels=None, progress=False):
        """The same for each token: float64 (N, T)."""
        tokens = self.tokenizer.encode(images)
        return likelihood.token_bits(
            self.prior, tokens, self.label_tensor(labels, len(tokens)),
            progress=progress)

    def reconstruct(self, images):
        """decode(encode(images)): what tokens can say of the images."""
        tokens = self.tokenizer.encode(images)
        return torch.cat([self.tokenizer.decode(one[None])
                          for one in tokens])

    def distortion(self, images):
        """Mean squared error of `reconstruct`, on the scale 0 to 1: (N,).

        What a lossy tokenizer loses, float64, to be told beside `bits`.
        """
        return measures.mean_squared_error(images, self.reconstruct(images))

    def compress(self, image, label=None):
        """An image (H, W[, 3]) as the bytes of a file (see `codec`).

        Decoding gives back `reconstruct`: for a lossless tokenizer the image
        itself. A label, where it is known, saves bits. ValueError for
        another size.
        """
        if not torch.is_tensor(image):
            image = np.asarray(image)
        tokens = self.tokenizer.encode(image[None])[0]
        known = self.label_tensor([label] if label is not None else None, 1)
        header = codec.Header(self.provenance.get("name"), self.fingerprint(),
                              None if label is None else int(label),
                              self.tokenizer.shape)
        return codec.pack(header, tokens,
                          codec.encode(self.prior, tokens, known))

    def decompress(self, blob):
        """The image in a file of `compress`: uint8 (H, W[, 3]).

        ValueError, never a wrong image: for a foreign or damaged file, one
        of another model or other weights, and one whose maker's arithmetic
        differs from this machine's in a last bit.
        """
        label, token_sum, payload = self.open(blob)
        tokens = codec.decode(self.prior, payload, label,
                              self.tokenizer.length, token_sum)
        return self.tokenizer.decode(torch.tensor([tokens]))[0]

    def open(self, blob):
        """(label (1,), checksum, coded tokens) of a file for these weights.

        ValueError as `decompress`, before any decoding.
        """
        header, token_sum, payload = codec.unpack(bytes(blob))
        if header.weights != self.fingerprint():
            raise ValueError(f"the file was made by {header.model or 'other'} "
                             "weights that are not these: use the same")
        return self.label_tensor([header.label], 1), token_sum, payload

    def fingerprint(self):
        """3 bytes that depend on every weight."""
        tensors = {**self.prior.state_dict(), **learned(self.tokenizer)}
        return bytes.fromhex(weights.digest(
            {key: value.cpu() for key, value in tensors.items()})[:6])
