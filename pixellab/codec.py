"""Files: a prior and a range coder turn tokens into few bytes and back.

The encoder runs the decoder's own step, one image at a time, on one thread
of the CPU: a pass over all places at once rounds differently, and one last
bit that differs ruins everything after it. Layout of a file:

     0  2 bytes  "Pb"
     2  1        version of this layout
     3  1        model: its place in MODELS, 255 for any other
     4  3        the first bytes of the SHA-256 of its weights
     7  1        label, 255 for none
     8  1        shape: its place in SHAPES, 255 for any other
     9  4        CRC-32 of the tokens, checked after decoding
    13  4        CRC-32 of the rest of the file, checked before
    17           the coded tokens

Numbers are little-endian. Source of the coder: Martin, "Range encoding"
(1979), as implemented by constriction (Bamler, 2022).
"""

import contextlib
import copy
import struct
import zlib
from dataclasses import dataclass

import numpy as np
import torch

from pixellab import sampling
from pixellab.scale import exactly

MODELS = ("pixelcnn", "gpt", "symbols", "patches", "bsq", "pixelcnn-binary",
          "gpt-live")
SHAPES = ((28, 28), (30, 30), (100, 150, 3))
OTHER = 255
HEAD = struct.Struct("<2sBB3sBB")
CHECKS = struct.Struct("<II")
TOTAL = 2 ** 24  # all frequencies of a token together


@dataclass
class Header:
    """What a file says of itself; label None where it has none."""

    model: str | None  # one of MODELS, None for any other
    weights: bytes  # 3 bytes
    label: int | None
    shape: tuple | None  # one of SHAPES, None for any other


def pack(header, tokens, payload):
    """A whole file: bytes. tokens (T,) are only summed up."""
    start = HEAD.pack(
        b"Pb", 1, code_of(header.model, MODELS), header.weights,
        OTHER if header.label is None else header.label,
        code_of(header.shape, SHAPES)) + struct.pack("<I", checksum(tokens))
    return start + struct.pack("<I", zlib.crc32(start + payload)) + payload


def unpack(blob):
    """(header, checksum of the tokens, coded tokens) of a whole file.

    ValueError for a foreign file, another version, and any damage.
    """
    start = HEAD.size + CHECKS.size
    if blob[:2] != b"Pb":
        raise ValueError("this is not a file of pixellab")
    if len(blob) < start:
        raise ValueError("the file is damaged: it ends in its header")
    token_sum, file_sum = CHECKS.unpack(blob[HEAD.size:start])
    if zlib.crc32(blob[:start - 4] + blob[start:]) != file_sum:
        raise ValueError("the file is damaged: its checksum does not match")
    _, version, model, weights, label, shape = HEAD.unpack(blob[:HEAD.size])
    if version != 1:
        raise ValueError(f"the file is of version {version}; this program "
                         "reads version 1: take a newer one")
    header = Header(
        MODELS[model] if model < len(MODELS) else None, weights,
        None if label == OTHER else label,
        SHAPES[shape] if shape < len(SHAPES) else None)
    return header, token_sum, blob[start:]


def code_of(thing, known):
    return known.index(thing) if thing in known else OTHER


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
    """These frequencies to within 1, as constriction wants them.

    It gives every token 1 and shares out the other TOTAL - V in proportion,
    so it gets the counts less 1. (To hand it counts / TOTAL costs up to a bit
    a rare token, or with perfect=True milliseconds for each distribution.)
    """
    import constriction  # absent on some training machines

    return constriction.stream.model.Categorical(
        (counts - 1) / (TOTAL - len(counts)), perfect=False)


def walk(prior, label, length, choose):
    """Step through all places; choose(distribution) names each token.

    Returns the tokens, a list. label int64 (1,).
    """
    if next(prior.parameters()).device.type != "cpu":
        prior = copy.deepcopy(prior).cpu()
    with exactly():
        state, tokens = prior.start(label), []
        for _ in range(length):
            last = torch.tensor(tokens[-1:]) if tokens else None
            counts = frequencies(prior.step(state, last))
            tokens.append(choose(distribution(counts)))
    return tokens


def encode(prior, tokens, label):
    """Tokens (T,) as bytes, given the label int64 (1,)."""
    import constriction

    coder = constriction.stream.queue.RangeEncoder()
    tokens, distributions = [int(token) for token in tokens], []

    def choose(distribution):
        distributions.append(distribution)
        return tokens[len(distributions) - 1]

    walk(prior, label, len(tokens), choose)
    for token, distribution in zip(tokens, distributions, strict=True):
        coder.encode(token, distribution)
    return shortest(coder.get_compressed().astype(">u4").tobytes(), tokens,
                    distributions)


def decode(prior, payload, label, length, token_sum):
    """The opposite of `encode`: a list of tokens.

    ValueError where they are not those that were coded.
    """
    coder = decoder(payload)
    with contextlib.suppress(AssertionError):  # the coder sees nonsense
        tokens = walk(prior, label, length,
                      lambda distribution: int(coder.decode(distribution)))
        if checksum(tokens) == token_sum:
            return tokens
    raise ValueError("the file is whole, but this machine's arithmetic is "
                     "not that of its maker: decode it there")


def decoder(payload):
    """A coder that reads these bytes, and zeros for ever after."""
    import constriction

    payload += bytes(-len(payload) % 4 + 8)
    return constriction.stream.queue.RangeDecoder(
        np.frombuffer(payload, ">u4").astype(np.uint32))


def shortest(payload, tokens, distributions):
    """Fewer bytes that mean the same, if there are.

    The coded number may be any inside the last interval; the coder names one
    to 32 bits, but a shorter one, rounded up, often lies inside as well.
    """
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
        return all(coder.decode(distribution) == token for
                   token, distribution in zip(tokens, distributions,
                                              strict=True))
    return False
