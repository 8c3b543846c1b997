"""Files: a prior and a range coder turn tokens into few bytes and back.

The encoder runs the decoder's own step, one image at a time, on one thread
of the CPU: one bit that is rounded differently ruins the rest. A file holds

     0  2 bytes  "Pb"
     2  1        version of this layout
     3  1        model: its place in MODELS, 255 for any other
     4  3        the first bytes of the SHA-256 of its weights
     7  1        label, 255 for none
     8  1        shape: its place in SHAPES, 255 for any other
     9  4        CRC-32 of the tokens, checked after decoding
    13  4        CRC-32 of the rest of the file, checked before
    17           the coded tokens

in little-endian numbers. Source of the coder: Martin, "Range encoding" (1979),
as implemented by constriction (Bamler, 2022).
"""

import contextlib
import copy
import struct
import zlib
from typing import NamedTuple

import numpy as np
import torch

from pixellab import sampling
from pixellab.numerics import exactly
from pixellab.recipes import image_models

OTHER = 255
MODELS = tuple(image_models())
SHAPES = ((28, 28), (30, 30), (100, 150, 3))
KNOWN = (MODELS, range(OTHER), SHAPES)  # a byte of the header is a place there
HEAD = struct.Struct("<2sBB3sBBI")  # all but the last checksum
HEADER_BYTES = HEAD.size + 4
TOTAL = 2 ** 24  # all frequencies of a token together


class Header(NamedTuple):
    """What a file says of itself; None for what it does not say."""

    model: str | None
    weights: bytes  # 3 bytes
    label: int | None
    shape: tuple | None


def pack(header, tokens, payload):
    """A whole file: bytes. tokens (T,) are only summed up. ValueError for a
    label that takes more than the byte it has."""
    if header.label is not None and header.label not in range(OTHER):
        raise ValueError(f"label {header.label} fits in no file: leave it out")
    model, label, shape = (
        known.index(value) if value in known else OTHER for known, value in
        zip(KNOWN, (header.model, header.label, header.shape), strict=True))
    start = HEAD.pack(b"Pb", 1, model, header.weights, label, shape,
                      checksum(tokens))
    return start + struct.pack("<I", zlib.crc32(start + payload)) + payload


def unpack(blob):
    """(header, checksum of the tokens, coded tokens); ValueError for a
    foreign file, another version, and any damage."""
    if blob[:2] != b"Pb":
        raise ValueError("this is not a file of pixellab")
    start, payload = blob[:HEAD.size], blob[HEADER_BYTES:]
    if blob[HEAD.size:HEADER_BYTES] != struct.pack(
            "<I", zlib.crc32(start + payload)):
        raise ValueError("the file is damaged: its checksum does not match")
    _, version, model, weights, label, shape, total = HEAD.unpack(start)
    if version != 1:
        raise ValueError(f"the file is of version {version}: update pixellab")
    model, label, shape = (
        known[code] if code < len(known) else None for known, code in
        zip(KNOWN, (model, label, shape), strict=True))
    return Header(model, weights, label, shape), total, payload


def checksum(tokens):
    return zlib.crc32(np.asarray(tokens, "<u2").tobytes())


def frequencies(logits):
    """Whole numbers, each at least 1, TOTAL together: logits (1, V) ->
    float64 (V,), the same wherever the logits are the same."""
    probs = sampling.probabilities(logits)[0].numpy()
    counts = np.floor(probs * (TOTAL - len(probs))) + 1
    counts[probs.argmax()] += TOTAL - counts.sum()
    return counts


def distribution(counts):
    """These frequencies to within 1, as constriction wants them."""
    import constriction  # absent on some training machines

    # It gives every token 1 and shares out the rest in proportion. (To hand
    # it counts / TOTAL would cost a rare token up to a bit, or milliseconds.)
    return constriction.stream.model.Categorical(
        (counts - 1) / (TOTAL - len(counts)), perfect=False)


def walk(prior, label, length, choose):
    """Step through all places; choose(distribution) names each token.
    label int64 (1,); returns two lists, the tokens and the distributions."""
    if next(prior.parameters()).device.type != "cpu":
        prior = copy.deepcopy(prior).cpu()
    with exactly():
        state, tokens, distributions = prior.start(label), [], []
        for _ in range(length):
            last = torch.tensor(tokens[-1:]) if tokens else None
            counts = frequencies(prior.step(state, last))
            distributions.append(distribution(counts))
            tokens.append(choose(distributions[-1]))
    return tokens, distributions


def encode(prior, tokens, label):
    """Tokens (T,) as bytes, given the label int64 (1,)."""
    import constriction

    rest = iter(tokens.tolist())
    tokens, distributions = walk(prior, label, len(tokens),
                                 lambda distribution: next(rest))
    coder = constriction.stream.queue.RangeEncoder()
    for token, distribution in zip(tokens, distributions, strict=True):
        coder.encode(token, distribution)
    payload = coder.get_compressed().astype(">u4").tobytes()
    return shortest(payload, tokens, distributions)


def decode(prior, payload, label, length, token_sum):
    """The tokens that were coded, a list; ValueError if it finds others."""
    coder = decoder(payload)
    with contextlib.suppress(AssertionError):  # the coder sees nonsense
        tokens, _ = walk(prior, label, length, coder.decode)
        if checksum(tokens) == token_sum:
            return tokens
    raise ValueError("the file comes from a machine with another arithmetic: "
                     "decode it there")


def decoder(payload):
    """A coder that reads these bytes, and zeros for ever after."""
    import constriction

    payload += bytes(-len(payload) % 4 + 8)
    return constriction.stream.queue.RangeDecoder(
        np.frombuffer(payload, ">u4").astype(np.uint32))


def shortest(payload, tokens, distributions):
    """Fewer bytes that mean the same, if there are: any number inside the
    last interval will do, and the coder names one to 32 bits."""
    for size in range(max(0, len(payload) - 7), len(payload)):
        number = int.from_bytes(payload[:size], "big") + 1
        if number >> 8 * size:  # 0xff...ff cannot be rounded up
            continue
        short = number.to_bytes(size, "big")
        if means(short, tokens, distributions):
            return short
    return payload.rstrip(b"\0")


def means(payload, tokens, distributions):
    """Whether these bytes are decoded to these tokens."""
    coder = decoder(payload)
    with contextlib.suppress(AssertionError):
        return tokens == [coder.decode(each) for each in distributions]
    return False
