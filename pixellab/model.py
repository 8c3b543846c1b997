"""ImageModel: a tokenizer and a prior joined, and everything they can do."""

import importlib
import math
import warnings
from collections import Counter

import numpy as np
import torch
from torch import nn

from pixellab import classify, codec, likelihood, measures, sampling, weights
from pixellab.scale import devices

NAMES = ("pixelcnn", "gpt", "symbols", "patches", "bsq")
LEARNED = "tokenizer."  # how tensors of a tokenizer begin in weight files
PART = 200  # images drawn at a time: a cache takes megabytes an image


def models():
    """Names of the book's five systems, in its order."""
    return list(NAMES)


def load(name_or_path, device=None):
    """The model of that name, or in that weight file, ready to use.

    device: "cpu", "cuda", "mps"; None takes the fastest that is here, and
    ValueError tells of one that is not.
    """
    device = str(device or devices()[0])
    if device.split(":")[0] not in devices():
        raise ValueError(f"there is no {device} device here: use cpu")
    tokenizer, prior, about = load_parts(name_or_path, "tokenizer", "prior")
    return ImageModel(tokenizer, prior.to(device), about)


def load_tokenizer(name_or_path):
    """(tokenizer, provenance) of a model or a stored tokenizer, as `load`."""
    return load_parts(name_or_path, "tokenizer")


def load_parts(name_or_path, *parts):
    """Parts of a weight file and its provenance."""
    tensors, config, about = weights.load(name_or_path)
    try:
        return *(restore(tensors, config, part) for part in parts), about
    except (KeyError, TypeError, ValueError, ImportError, AttributeError,
            RuntimeError) as error:
        cause = " ".join(str(error).split())[:200]
        raise ValueError(f"{name_or_path} holds no {' and '.join(parts)} "
                         f"({cause}): use {', '.join(NAMES)}") from None


def restore(tensors, config, part):
    """The "tokenizer" or "prior" of a config, with what it has learned."""
    thing = build(f"{part}s", config[part])
    if isinstance(thing, nn.Module):
        thing.eval().load_state_dict({
            key.removeprefix(LEARNED): value for key, value in tensors.items()
            if key.startswith(LEARNED) == (part == "tokenizer")})
    return thing


def learned(tokenizer):
    """What a (lossy) tokenizer has learned, as tensors for a weight file."""
    state = tokenizer.state_dict() if isinstance(tokenizer, nn.Module) else {}
    return {LEARNED + key: value for key, value in state.items()}


def build(floor, config):
    """An object from {"kind": "file.Class", ...constructor arguments}, the
    file one of pixellab.tokenizers or .priors: nothing else is imported."""
    file, name = config["kind"].split(".")
    module = importlib.import_module(f"pixellab.{floor}.{file}")
    return getattr(module, name)(**{
        key: config[key] for key in config if key != "kind"})


def describe(part):
    """The opposite of `build`: a config that rebuilds `part`."""
    file = type(part).__module__.rsplit(".", 1)[-1]
    return {"kind": f"{file}.{type(part).__name__}", **part.config}


def certify(path, sets, distortion=None, device=None):
    """Score the stored weights and write the scores into their header.

    sets: {"valid": (tokens, labels), "test": ...}. Adds the bits a token of
    each, the bits of 64 validation images (a check in seconds), the test's
    nats an image where nothing is lost, and the dict `distortion`.
    """
    tensors, config, about = weights.load(path)
    model = load(path, device)
    about.update(distortion or {})
    for name, (tokens, labels) in sets.items():
        bits = likelihood.token_bits(model.prior, tokens, labels).sum(dim=1)
        about[f"{name}_images"] = len(bits)
        mean = bits.mean().item()
        about[f"{name}_bits_per_token"] = mean / model.tokenizer.length
        if name == "valid":
            every = max(1, len(bits) // 64)
            about["check"] = {"every": every, "bits": [
                round(cost, 3) for cost in bits[::every][:64].tolist()]}
        elif not learned(model.tokenizer):
            about["test_nats"] = mean * likelihood.NATS_PER_BIT
    weights.save(path, tensors, config, about)
    return about


class ImageModel:
    """A tokenizer (images <-> tokens) and a prior p(token | earlier, label).

    Images are uint8 (N, H, W[, 3]). Labels are integers; None stands for "no
    label" and may be mixed with others in one batch.
    """

    def __init__(self, tokenizer, prior, provenance=None):
        self.tokenizer = tokenizer
        self.prior = prior.eval()  # with dropout no file would decode
        self.provenance = provenance or {}
        self.dimensions = math.prod(tokenizer.shape)  # numbers in an image

    def label_tensor(self, labels, count=None):
        """Labels as int64 (count,); None becomes the null class. Without a
        count there may be any number of them."""
        null = self.prior.num_classes
        labels = [None] * (count or 1) if labels is None else labels
        if np.ndim(labels) != 1:
            raise ValueError(f"labels is {labels}; it must be a list, as [3]")
        if count not in (None, len(labels)):
            raise ValueError(f"{len(labels)} labels for {count} images")
        labels = labels.tolist() if hasattr(labels, "tolist") else labels
        for label in labels:
            if label is not None and label not in range(null):
                raise ValueError(
                    f"label {label} is not one of 0 to {null - 1}" if null
                    else "this model has no labels: leave them out")
        return torch.tensor([null if label is None else int(label)
                             for label in labels])

    def streams(self, n=None, labels=None, *, images=None, rows=0, seed=0,
                first=0, part=None, **filters):
        """`stream` in parts of PART images: a list of iterators."""
        if n is None:
            given = labels if images is None else images
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
        parts = zip(*(each.split(part or PART) for each in inputs),
                    strict=True)
        return [sampling.stream(self.prior, *one, **filters) for one in parts]

    def stream(self, n=None, labels=None, **settings):
        """Draw, yielding the tokens so far (N, t) after each token: settings
        as of `sample`, images and rows of `complete`, the `first` stream of
        random numbers."""
        return self.streams(n, labels, part=10_000, **settings)[0]

    def prompt(self, images, rows):
        """The tokens of the first rows of images: (N, P)."""
        height, step = self.tokenizer.shape[0], self.tokenizer.row_height
        if rows not in range(0, height + 1, step):
            below = max(0, min(rows // step * step, height - step))
            raise ValueError(f"rows is {rows}; it must be 0 to {height}, in "
                             f"steps of {step}: use {below} or {below + step}")
        tokens = self.tokenizer.encode(images)
        return tokens[:, :int(rows) * tokens.shape[1] // height]

    def finish(self, *streams):
        """Run streams to their ends: the images."""
        return torch.cat([self.tokenizer.decode(sampling.last(
            steps, self.tokenizer.length)) for steps in streams])

    def sample(self, n=None, labels=None, temperature=1.0, top_k=None,
               top_p=None, seed=0, best_of=None):
        """New images, uint8 (N, H, W[, 3]), one a label if n is not given.

        Filters as of `sampling.probabilities`. best_of: draw so many digits of
        each class among the labels, return those that `rerank` likes best.
        """
        settings = {"temperature": temperature, "top_k": top_k,
                    "top_p": top_p, "seed": seed}
        if best_of is None:
            return self.finish(*self.streams(n, labels, **settings))
        labels = self.label_tensor(labels, n).tolist()
        wanted = Counter(labels)
        if not wanted or self.prior.num_classes in wanted:
            raise ValueError("best_of chooses by class: it needs all labels")
        most = max(wanted.values())
        if best_of not in range(most, 10_001):
            raise ValueError(f"best_of is {best_of!r}: use {most} to 10,000")
        kept, pool = {}, int(best_of)
        for label, count in wanted.items():
            drawn = self.finish(*self.streams(
                pool, [label] * pool, first=label * pool, **settings))
            kept[label] = iter(self.rerank(drawn, label, count)[0])
        return torch.stack([next(kept[label]) for label in labels])

    def rerank(self, images, label, keep):
        """The `keep` digits that the reranker takes most surely for `label`:
        (images (keep, H, W), their probabilities at temperature 0.8 (keep,)),
        best first."""
        if keep not in range(1, len(images) + 1) or label not in range(10):
            raise ValueError(f"keep is {keep} and label {label}; they must be "
                             f"1 to {len(images)}, and 0 to 9")
        logits = classify.load("reranker").logits(images)
        scores = torch.softmax(logits.double() / 0.8, dim=1)[:, int(label)]
        best = scores.argsort(descending=True, stable=True)[:int(keep)]
        return torch.as_tensor(images)[best], scores[best]

    def complete(self, images, rows, labels=None, **settings):
        """Keep the first `rows` rows of each image (as their tokens show them)
        and draw the rest, by settings as of `sample`. ValueError for rows
        beyond the image or inside a row of tokens."""
        return self.finish(*self.streams(
            labels=labels, images=images, rows=rows, **settings))

    def bits(self, images, labels=None):
        """-log2 p(tokens | label): float64 (N,), bits an image; divided by
        `dimensions` bits per dimension, times ln 2 nats."""
        return self.token_bits(images, labels).sum(dim=1)

    def token_bits(self, images, labels=None):
        """The same for each token: float64 (N, T)."""
        tokens = self.tokenizer.encode(images)
        return likelihood.token_bits(self.prior, tokens,
                                     self.label_tensor(labels, len(tokens)))

    def reconstruct(self, images):
        """decode(encode(images)): what tokens can say of the images."""
        return self.tokenizer.decode(self.tokenizer.encode(images))

    def distortion(self, images):
        """Mean squared error of `reconstruct`, on the scale 0 to 1: (N,)."""
        return measures.mean_squared_error(images, self.reconstruct(images))

    def compress(self, image, label=None):
        """An image (H, W[, 3]) as the bytes of a file (see `codec`) that
        decodes to its `reconstruct`. A label, where known, saves bits."""
        tokens = self.tokenizer.encode(image[None])[0]
        payload = codec.encode(self.prior, tokens,
                               self.label_tensor([label], 1))
        header = codec.Header(self.provenance.get("name"), self.fingerprint(),
                              label, self.tokenizer.shape)
        return codec.pack(header, tokens, payload)

    def decompress(self, blob):
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

    def fingerprint(self):
        """3 bytes that depend on every weight."""
        tensors = {**self.prior.state_dict(), **learned(self.tokenizer)}
        return bytes.fromhex(weights.digest(
            {key: value.cpu() for key, value in tensors.items()})[:6])
