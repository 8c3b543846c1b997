"""What do bytes buy on digits: our files beside JPEG, WebP and AVIF?

200 validation digits, twenty of each class: mean bytes of whole files and
the mean squared error, brightness from 0 to 1. The others as Pillow writes
them (JPEG optimised, WebP method 6, AVIF speed 4) at many qualities, with the
bytes of a file of one grey (their fixed part), and without loss. Ours: real
files, the label given, decoded again and compared for `patches` and
`symbols`; `pixelcnn` and `gpt` lose nothing. `symbols` draws digits of 30 x 30
in black and white: its error is against the digit resized to 30 x 30.

"patches_and_webp": WebP at each quality from 0 to 100: the smallest files
with at least the PSNR of `patches`, and the smallest there are. Bytes of
`patches` are without its header there.
"""

import numpy as np
import torch
from PIL import Image, features
from tqdm import tqdm

from benchmarks._tools import HEADER, some_digits
from benchmarks.frame_files import curve
from benchmarks.lossless import file_sizes, png, webp
from pixellab import load, measures

A_CLASS = 20
QUALITIES = (0, 1, 2, 3, 5, 8, 12, 20, 30, 40, 50, 60, 70, 80, 90, 95)
RIVALS = {"JPEG": (QUALITIES[1:], {"optimize": True}),
          "WebP": (QUALITIES, {"method": 6}),
          "AVIF": (QUALITIES, {"speed": 4})}


def resized(images):
    """To 30 x 30, as `symbols` does before it rounds: uint8."""
    return torch.from_numpy(np.stack([
        Image.fromarray(image).resize((30, 30), Image.Resampling.BILINEAR)
        for image in images.numpy()]))


def lossy(name, images, labels):
    """One point of `patches` or `symbols`, from files that were decoded."""
    model, sizes, shown = load(name, device="cpu"), [], []
    for image, label in zip(tqdm(images, desc=name), labels.tolist(),
                            strict=True):
        blob = model.compress(image, label)
        shown.append(model.decompress(blob))
        assert torch.equal(shown[-1], model.reconstruct(image[None])[0])
        sizes.append(len(blob))
    original = resized(images) if name == "symbols" else images
    error = measures.mean_squared_error(original, torch.stack(shown))
    return point(sizes, model, images, labels, error.mean().item())


def point(sizes, model, images, labels, error):
    size = sum(sizes) / len(sizes)
    return {"bytes": size, "payload_bytes": size - HEADER, "cross_entropy":
            model.bits(images, labels).mean().item(), "mse": error}


def lossless(name, images, labels):
    return point(file_sizes(name, len(images)), load(name, device="cpu"),
                 images, labels, 0.0)


def beside_webp(images, ours):
    """`patches` against WebP at equal quality."""
    quality = measures.psnr(ours["mse"])
    every = curve(images, "WebP", {"WebP": (range(101), {"method": 6})})
    equal = min(row["bytes"] for row in every
                if measures.psnr(row["mse"]) >= quality)
    smallest = min(every, key=lambda row: row["bytes"])
    return {"digits": len(images), "psnr": round(quality, 2),
            "bytes": round(ours["payload_bytes"], 2),
            "bits_over_cross_entropy": round(
                8 * ours["payload_bytes"] - ours["cross_entropy"], 1),
            "webp_bytes": round(equal, 2),
            "share_of_webp": round(ours["payload_bytes"] / equal, 3),
            "whole_file_bytes": round(ours["bytes"], 2),
            "smallest_webp": {
                "bytes": round(smallest["bytes"], 2),
                "psnr": round(measures.psnr(smallest["mse"]), 2)}}


def measure():
    images, labels = some_digits(A_CLASS)
    ours = {name: lossy(name, images, labels)
            for name in ("patches", "symbols")}
    ours["symbols"]["compared_with"] = "the digit resized to 30 x 30"
    ours |= {name: lossless(name, images, labels)
             for name in ("pixelcnn", "gpt")}
    return {
        "digits": len(images), "ours": ours,
        "rivals": {kind: curve(images, kind, RIVALS) for kind in RIVALS
                   if kind != "AVIF" or features.check("avif")},
        "lossless": {kind: {"bytes": sum(map(size, images.numpy()))
                            / len(images), "mse": 0.0}
                     for kind, size in (("PNG", png),
                                        ("WebP lossless", webp))},
        "patches_and_webp": beside_webp(images, ours["patches"])}
