"""How many bytes is a digit, when nothing may be lost?

1,000 validation digits of 256 levels, 100 of each class, the classes in turn.

"files": each in a file of its own. `gpt` and `pixelcnn`: real files, the
label given in the header (17 bytes); mean size with everything, and the
coded bytes beside the model's own cross-entropy. The usual formats as small
as they can write: PNG, lossless WebP, zlib, and xz (preset 1: preset 9 sets
up 64 MiB for 784 bytes and gains nothing here).

"archives": all in one file. `gpt`: one header, then one stream of the range
coder over all digits and their labels (which the others do not store), coded
100 digits in lock-step; a fresh process decodes it and all is compared. PNG
and WebP: a sheet with ten digits in a row.
"""

import bz2
import functools
import gzip
import io
import lzma
import math
import struct
import subprocess
import sys
import tempfile
import zlib
from pathlib import Path

import numpy as np
import torch
from einops import rearrange
from PIL import Image
from tqdm import tqdm

from benchmarks._tools import (
    HEADER,
    SHARED,
    fingerprint,
    kept,
    seconds,
    some_digits,
)
from pixellab import codec, load
from pixellab.numerics import exactly

A_CLASS, MODELS = 100, ("pixelcnn", "gpt")
BATCH, PART = 100, 50  # digits in lock-step; files between two rests
# "PA", the weights, how many digits, how many in lock-step, CRC-32 of all
HEAD = struct.Struct("<2s3sIHI")


def picture_bytes(image, **settings):
    file = io.BytesIO()
    Image.fromarray(image).save(file, **settings)
    return len(file.getvalue())


def png(image):
    return picture_bytes(image, format="PNG", optimize=True)


def webp(image):
    return picture_bytes(image, format="WEBP", lossless=True, quality=100,
                         method=6)


def sheet(images):
    return rearrange(images, "(r c) h w -> (r h) (c w)", c=10)


SINGLE = {"PNG": png, "WebP": webp,
          "zlib": lambda x: len(zlib.compress(x.tobytes(), 9)),
          "xz": lambda x: len(lzma.compress(x.tobytes(), preset=1))}
TOGETHER = {"PNG sheet": lambda x: png(sheet(x)),
            "WebP sheet": lambda x: webp(sheet(x)),
            "gzip": lambda x: len(gzip.compress(x.tobytes(), 9)),
            "bz2": lambda x: len(bz2.compress(x.tobytes(), 9)),
            "xz": lambda x: len(lzma.compress(
                x.tobytes(), preset=9 | lzma.PRESET_EXTREME))}


def file_sizes(name, count):
    """Bytes of the files of the first `count` digits of `some_digits`."""
    model, sizes = load(name, device="cpu"), []
    images, labels = some_digits(A_CLASS)

    def write(first):
        return [len(model.compress(image, int(label))) for image, label in zip(
            images[first:first + PART], labels[first:first + PART],
            strict=True)]

    for first in tqdm(range(0, count, PART), desc=f"{name} files"):
        sizes += kept(SHARED, f"{name}_files_{first}", fingerprint(name),
                      functools.partial(write, first))
    return sizes[:count]


def mean(sizes):
    """Of all digits, and of the first half as a check."""
    half = len(sizes) // 2
    return {"bytes": sum(sizes) / len(sizes),
            f"bytes_first_{half}": sum(sizes[:half]) / half}


def ours_alone(name, images, labels):
    sizes = file_sizes(name, len(images))
    bits = load(name, device="cpu").bits(images, labels).mean().item()
    payload = sum(sizes) / len(sizes) - HEADER
    return {**mean(sizes), "payload_bytes": payload,
            "cross_entropy_bits": bits, "overhead_bits": 8 * payload - bits}


def walk(model, labels, choose):
    """Step through the places of some digits in lock-step.

    choose(distribution) names a token: of each digit the first, of each the
    second, ... Returns all tokens (N, T). The same digits together give the
    same distributions again; one digit alone may give others.
    """
    with exactly():
        state, tokens = model.prior.start(labels), []
        for _ in range(model.tokenizer.length):
            logits = model.prior.step(state, tokens[-1] if tokens else None)
            tokens.append(torch.tensor([
                choose(codec.distribution(codec.frequencies(one[None])))
                for one in logits]))
    return torch.stack(tokens, dim=1)


def archives(model, images, labels):
    """Yield the archive of the first BATCH digits, of twice as many, ...

    Labels are coded first, each of ten equally likely ones, then the tokens.
    """
    import constriction

    coder = constriction.stream.queue.RangeEncoder()
    uniform = constriction.stream.model.Uniform(10)
    tokens = model.tokenizer.encode(images)
    for first in tqdm(range(0, len(images), BATCH), desc="encode"):
        part = slice(first, first + BATCH)
        coder.encode(labels[part].numpy().astype(np.int32), uniform)
        remaining = iter(tokens[part].T.flatten().tolist())

        def choose(distribution, remaining=remaining):
            token = next(remaining)
            coder.encode(token, distribution)
            return token

        walk(model, labels[part], choose)
        so_far = slice(first + BATCH)
        yield HEAD.pack(
            b"PA", model.fingerprint(), len(tokens[so_far]), BATCH,
            checksum(tokens[so_far], labels[so_far])
        ) + coder.get_compressed().astype(">u4").tobytes()


def checksum(tokens, labels):
    return zlib.crc32(labels.numpy().tobytes(),
                      codec.checksum(tokens.flatten()))


def extract(model, blob):
    """(images, labels) of an archive. ValueError for one of other weights,
    or if what comes out is not what went in."""
    import constriction

    uniform = constriction.stream.model.Uniform(10)
    kind, weights, count, batch, expected = HEAD.unpack(blob[:HEAD.size])
    if (kind, weights) != (b"PA", model.fingerprint()):
        raise ValueError("this is not an archive made by these weights")
    coder, tokens, labels = codec.decoder(blob[HEAD.size:]), [], []
    for first in tqdm(range(0, count, batch), desc="decode"):
        labels.append(torch.from_numpy(coder.decode(
            uniform, min(batch, count - first)).astype(np.int64)))
        tokens.append(walk(model, labels[-1],
                           lambda distribution: int(
                               coder.decode(distribution))))
    tokens, labels = torch.cat(tokens), torch.cat(labels)
    if checksum(tokens, labels) != expected:
        raise ValueError("the archive is damaged")
    return model.tokenizer.decode(tokens), labels


def in_fresh_process(name, blob):
    """What another process makes of an archive: (images, labels)."""
    with tempfile.TemporaryDirectory() as folder:
        archive, out = Path(folder) / "archive", Path(folder) / "out.npz"
        archive.write_bytes(blob)
        subprocess.run([sys.executable, "-m", "benchmarks.lossless", name,
                        archive, out], check=True)
        found = np.load(out)
        return found["images"], found["labels"]


def ours_together(name, images, labels):
    model = load(name, device="cpu")
    encoding, found = seconds(lambda: list(archives(model, images, labels)))
    blob, half = found[-1], len(images) // 2
    decoding, (again, read) = seconds(lambda: in_fresh_process(name, blob))
    assert np.array_equal(again, images) and np.array_equal(read, labels)
    label_bits = len(images) * math.log2(10)
    bits = model.bits(images, labels).sum().item()
    return {**per_digit(len(blob), images), f"bytes_first_{half}":
            len(found[half // BATCH - 1]), "header_bytes": HEAD.size,
            "label_bits": label_bits, "cross_entropy_bits": bits,
            "overhead_bits": 8 * (len(blob) - HEAD.size) - bits - label_bits,
            "encode_seconds": round(encoding, 1),
            "decode_seconds": round(decoding, 1)}


def per_digit(size, images):
    return {"bytes": size, "bytes_per_digit": size / len(images),
            "bits_per_dimension": 8 * size / math.prod(images.shape)}


def rivals(images):
    """(files, archives) of the usual formats."""
    images, half = images.numpy(), len(images) // 2
    alone = {name: mean([size(x) for x in tqdm(images, desc=name)])
             for name, size in SINGLE.items()}
    together = {name: {**per_digit(size(images), images),
                       f"bytes_first_{half}": size(images[:half])}
                for name, size in tqdm(TOGETHER.items(), desc="archives")}
    return alone, together


def measure():
    images, labels = some_digits(A_CLASS)
    alone, together = rivals(images)
    return {"digits": len(images), "header_bytes": HEADER,
            "files": {**{name: ours_alone(name, images, labels)
                         for name in MODELS}, **alone},
            "archives": {"gpt": kept(
                "lossless", "archive", fingerprint("gpt"),
                functools.partial(ours_together, "gpt", images, labels)),
                **together}}


if __name__ == "__main__":
    torch.set_num_threads(1)
    name, archive, out = sys.argv[1:]
    images, labels = extract(load(name, device="cpu"),
                             Path(archive).read_bytes())
    np.savez(out, images=images, labels=labels)
