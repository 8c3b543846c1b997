"""Do files decode, and are damaged ones refused? All five systems.

500 images a model (validation digits; for bsq all validation frames, then
training frames): compressed here with their labels, decoded by one fresh
process a model, compared with what `reconstruct` says (with the image itself
where nothing is lost). Overhead: the coded bytes, header and checksums apart,
over the model's cross-entropy.
Then damaged files, 600 a model, by chance: cut, one bit flipped, bytes put in,
another model's file, random bytes.
"""

import functools
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from tqdm import tqdm

from benchmarks._tools import HEADER, fingerprint, kept, some_digits
from pixellab import data, load, models

IMAGES, DAMAGED = 500, 600
LOSSLESS = ("pixelcnn", "gpt")


def some_images(name):
    if name == "bsq":
        frames = torch.cat([data.supertux("valid"),
                            data.supertux("train", IMAGES)])[:IMAGES]
        return frames, [None] * len(frames)
    images, labels = some_digits(IMAGES // 10)
    return images, labels.tolist()


def damage(blob, other, generator):
    """One of five ways to spoil a file."""
    blob, place = bytearray(blob), int(generator.integers(len(blob)))
    way = generator.integers(5)
    if way == 0:
        return bytes(blob[:place])
    if way == 1:
        blob[place] ^= 1 << int(generator.integers(8))
        return bytes(blob)
    if way == 2:
        return bytes(blob[:place]) + generator.bytes(3) + bytes(blob[place:])
    return other if way == 3 else generator.bytes(len(blob))


def refused(model, blob):
    try:
        model.decompress(blob)
    except ValueError:
        return True
    return False


def decoded(blobs, folder):
    """What one fresh process makes of these files."""
    for i, blob in enumerate(blobs):
        (folder / f"{i:03}.pbp").write_bytes(blob)
    subprocess.run([sys.executable, "-m", "pixellab", "decompress",
                    *sorted(folder.glob("*.pbp")), "--out", folder],
                   check=True)
    return [np.array(Image.open(path)) for path in sorted(
        folder.glob("*.png"))]


def try_out(name, other):
    model = load(name, device="cpu")
    images, labels = some_images(name)
    bits = model.bits(images, labels)
    blobs = [model.compress(image, label) for image, label in zip(
        tqdm(images, desc=name), labels, strict=True)]
    expected = images if name in LOSSLESS else model.reconstruct(images)
    with tempfile.TemporaryDirectory() as folder:
        shown = decoded(blobs, Path(folder))
    sizes = torch.tensor([len(blob) for blob in blobs]).double()
    overhead = 8 * (sizes - HEADER) - bits
    generator = np.random.default_rng(0)
    alarms = sum(refused(model, damage(blobs[i % len(blobs)], other,
                                       generator)) for i in range(DAMAGED))
    return {"images": len(blobs), "failures": sum(
                not np.array_equal(one, two.numpy())
                for one, two in zip(shown, expected, strict=True)),
            "bytes": sizes.mean().item(), "bits": bits.mean().item(),
            "overhead_bits": overhead.mean().item(),
            "largest_overhead_bits": overhead.max().item(),
            "damaged": DAMAGED, "refused": alarms}


def measure():
    foreign = {name: load(name, device="cpu").compress(some_images(name)[0][0])
               for name in ("patches", "symbols")}
    return {name: kept(
        "round_trips", name, fingerprint(name), functools.partial(
            try_out, name, foreign["symbols" if name == "patches"
                                   else "patches"])) for name in models()}
