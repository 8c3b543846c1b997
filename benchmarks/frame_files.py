"""How large is a SuperTuxKart frame: bsq beside JPEG, WebP and AVIF?

The 256 validation frames (none was trained on; the epoch of a run that ships
is chosen by them). Ours: real files, each decoded again and compared; time of
one thread, medians. The others as Pillow writes them: JPEG optimised, WebP
method 6, AVIF speed 4, and WebP of the frame at half its size, enlarged
again, which goes smaller than WebP can: mean bytes of whole files, the bytes
of a file of one grey (their fixed part), and the mean squared error of red,
green and blue from 0 to 1. At equal bytes the others' points are joined by
straight lines, decibels over bytes.
"""

import functools
import io
import statistics

import numpy as np
import torch
from PIL import Image, features
from tqdm import tqdm

from benchmarks._tools import HEADER, fingerprint, kept, seconds
from pixellab import data, load, measures, weights

RIVALS = {"JPEG": ((1, 2, 3, 5, 8, 12, 20, 30), {"optimize": True}),
          "WebP": ((0, 1, 2, 3, 5, 8, 12, 20, 30), {"method": 6}),
          "WebP at half size": ((0, 2, 5, 10, 15, 20, 30, 40, 50, 60),
                                {"method": 6}),
          "AVIF": ((0, 2, 5, 8, 10, 15, 20, 25, 30), {"speed": 4})}


def written(pixels, kind, quality, how):
    """(size of the file, what it shows), for uint8 (H, W[, 3])."""
    image, file = Image.fromarray(pixels), io.BytesIO()
    stored = image
    if kind.endswith("half size"):
        stored = image.resize((image.width // 2, image.height // 2),
                              Image.Resampling.LANCZOS)
    stored.save(file, format=kind.split()[0], quality=quality, **how)
    shown = Image.open(file).convert(image.mode).resize(
        image.size, Image.Resampling.BICUBIC)
    return len(file.getvalue()), np.array(shown)


def rival(images, kind, quality, how):
    """One point: mean whole bytes, fixed bytes, mean squared error.

    images: uint8 (N, H, W[, 3]).
    """
    sizes, shown = zip(*(written(image, kind, quality, how)
                         for image in images.numpy()), strict=True)
    error = measures.mean_squared_error(images, np.stack(shown))
    grey = np.full_like(shown[0], 128)
    return {"quality": quality, "bytes": sum(sizes) / len(sizes),
            "fixed_bytes": written(grey, kind, quality, how)[0],
            "mse": error.mean().item()}


def ours(frames):
    model = load("bsq", device="cpu")
    sizes, encoding, decoding = [], [], []
    for frame in tqdm(frames, desc="bsq"):
        took, blob = seconds(lambda frame=frame: model.compress(frame))
        encoding.append(took)
        took, shown = seconds(lambda blob=blob: model.decompress(blob))
        decoding.append(took)
        assert torch.equal(shown, model.reconstruct(frame[None])[0])
        sizes.append(len(blob))
    bits = model.bits(frames).mean().item()
    size = sum(sizes) / len(sizes)
    return {"bytes": size, "bits": 8 * size, "payload_bytes": size - HEADER,
            "mse": model.distortion(frames).mean().item(),
            "cross_entropy": bits, "overhead_bits": 8 * (size - HEADER) - bits,
            "entropy": measures.entropy(model.tokenizer.encode(frames)) * 600,
            "encode_seconds": statistics.median(encoding),
            "decode_seconds": statistics.median(decoding),
            "weights_bytes": weights.find("bsq").stat().st_size}


def at(points, size):
    """Decibels at this size; None where the format cannot go so small."""
    points = sorted((p["bytes"], measures.psnr(p["mse"])) for p in points)
    sizes, quality = zip(*points, strict=True)
    if not sizes[0] <= size <= sizes[-1]:
        return None
    return float(np.interp(size, sizes, quality))


def curve(images, kind, rivals=RIVALS):
    """All points of a rival."""
    qualities, how = rivals[kind]
    return [rival(images, kind, quality, how)
            for quality in tqdm(qualities, desc=kind)]


def measure():
    frames = data.supertux("valid")
    mine = kept("frame_files", "ours", fingerprint("bsq"),
                functools.partial(ours, frames))
    rivals = {kind: kept("frame_files", kind, settings,
                         functools.partial(curve, frames, kind))
              for kind, settings in RIVALS.items()
              if kind != "AVIF" or features.check("avif")}
    return {"frames": len(frames), "ours": mine, "rivals": rivals,
            "psnr": measures.psnr(mine["mse"]), "rivals_at_our_bytes": {
                kind: at(points, mine["bytes"])
                for kind, points in rivals.items()}}
