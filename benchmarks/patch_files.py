"""How many bytes is a digit of patches, and of lossy WebP at that quality?

200 validation digits, twenty of each class. Ours: files of `patches`, given
the label, decoded again and compared; the coded bytes without the 17 of
header and checksums. WebP: whole files, method 6,
each quality from 0 to 100; the smallest with at least the same PSNR (of the
mean squared error over all digits), and the smallest there is.
"""

import io

import numpy as np
from PIL import Image
from tqdm import tqdm

from pixellab import data, load, measures

EVERY = 10  # of the 2,000 validation digits
HEADER = 17


def webp(images, quality):
    """(mean bytes, PSNR) of lossy WebP."""
    size, shown = 0, []
    for image in images:
        file = io.BytesIO()
        Image.fromarray(image).save(file, format="WEBP", quality=quality,
                                    method=6)
        size += len(file.getvalue())
        shown.append(np.array(Image.open(file).convert("L")))
    error = measures.mean_squared_error(images, np.stack(shown)).mean()
    return size / len(images), measures.psnr(error.item())


def measure():
    x, labels = (part[::EVERY] for part in data.mnist("valid"))
    model = load("patches", device="cpu")
    sizes = []
    for image, label in zip(tqdm(x), labels.tolist(), strict=True):
        blob = model.compress(image, label)
        assert (model.decompress(blob) == model.reconstruct(image[None])).all()
        sizes.append(len(blob) - HEADER)
    ours, bits = sum(sizes) / len(sizes), model.bits(x, labels).mean().item()
    quality = measures.psnr(model.distortion(x).mean().item())
    curve = {q: webp(x.numpy(), q) for q in tqdm(range(101))}
    equal = min(size for size, psnr in curve.values() if psnr >= quality)
    smallest = min(curve.values())
    return {"digits": len(x), "psnr": round(quality, 2),
            "bytes": round(ours, 2),
            "bits_over_cross_entropy": round(8 * ours - bits, 1),
            "webp_bytes": round(equal, 2),
            "share_of_webp": round(ours / equal, 3),
            "whole_file_bytes": round(ours + HEADER, 2),
            "smallest_webp": {"bytes": round(smallest[0], 2),
                              "psnr": round(smallest[1], 2)}}
