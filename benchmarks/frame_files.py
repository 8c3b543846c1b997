"""How large is a SuperTuxKart frame: bsq beside JPEG, WebP and AVIF?

The 256 validation frames (none was trained on; the epoch of a run that ships
is chosen by them). Ours: real files, each
decoded again and compared; time of one thread, medians. The others as Pillow
writes them: JPEG optimised, WebP method 6, AVIF speed 4, and WebP of the frame
at half its size, enlarged again, which goes smaller than WebP can: mean bytes
of whole files, the bytes of a file of one grey (their fixed part), and the
mean squared error of red, green and blue from 0 to 1. At equal bytes the
others' points are joined by straight lines, decibels over bytes.
"""

import io
import statistics
import time

import numpy as np
import torch
from PIL import Image, features
from tqdm import tqdm

from pixellab import data, load, measures, weights

RIVALS = {"JPEG": ((1, 2, 3, 5, 8, 12, 20, 30), {"optimize": True}),
          "WebP": ((0, 1, 2, 3, 5, 8, 12, 20, 30), {"method": 6}),
          "WebP at half size": ((0, 2, 5, 10, 15, 20, 30, 40, 50, 60),
                                {"method": 6}),
          "AVIF": ((0, 2, 5, 8, 10, 15, 20, 25, 30), {"speed": 4})}


def written(frame, kind, quality, how):
    """(size of the file, what it shows), as arrays."""
    image, file = Image.fromarray(frame), io.BytesIO()
    if kind.endswith("half size"):
        image = image.resize((75, 50), Image.Resampling.LANCZOS)
    image.save(file, format=kind.split()[0], quality=quality, **how)
    shown = Image.open(file).convert("RGB").resize(
        (150, 100), Image.Resampling.BICUBIC)
    return len(file.getvalue()), np.array(shown)


def rival(frames, kind, quality, how):
    """One point: mean whole bytes, fixed bytes, mean squared error."""
    sizes, shown = zip(*(written(frame, kind, quality, how)
                         for frame in frames.numpy()), strict=True)
    error = measures.mean_squared_error(frames, np.stack(shown))
    grey = np.full_like(shown[0], 128)
    return {"quality": quality, "bytes": sum(sizes) / len(sizes),
            "fixed_bytes": written(grey, kind, quality, how)[0],
            "mse": error.mean().item()}


def ours(frames):
    model = load("bsq", device="cpu")
    sizes, encoding, decoding = [], [], []
    for frame in tqdm(frames, desc="bsq"):
        started = time.monotonic()
        blob = model.compress(frame)
        encoding.append(time.monotonic() - started)
        started = time.monotonic()
        shown = model.decompress(blob)
        decoding.append(time.monotonic() - started)
        assert torch.equal(shown, model.reconstruct(frame[None])[0])
        sizes.append(len(blob))
    bits = model.bits(frames).mean().item()
    size = sum(sizes) / len(sizes)
    return {"bytes": size, "bits": 8 * size, "payload_bytes": size - 17,
            "mse": model.distortion(frames).mean().item(),
            "cross_entropy": bits, "overhead_bits": 8 * (size - 17) - bits,
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


def measure():
    frames = data.supertux("valid")
    mine = ours(frames)
    rivals = {kind: [rival(frames, kind, quality, how) for quality in tqdm(
        qualities, desc=kind)] for kind, (qualities, how) in RIVALS.items()
        if kind != "AVIF" or features.check("avif")}
    return {"frames": len(frames), "ours": mine, "rivals": rivals,
            "psnr": measures.psnr(mine["mse"]), "rivals_at_our_bytes": {
                kind: at(points, mine["bytes"])
                for kind, points in rivals.items()}}
