"""How many bytes is a digit of patches, and of lossy WebP at that quality?

200 validation digits, twenty of each class. Ours: codes
of `patches`, coded one digit at a time by constriction's range coder with the
probabilities of the network's own steps, given the label; the coded bytes
without any header, decoded again and compared. WebP: whole files, method 6,
each quality from 0 to 100; the smallest with at least the same PSNR (of the
mean squared error over all digits), and the smallest there is.
"""

import io

import constriction
import numpy as np
import torch
from PIL import Image
from tqdm import tqdm

from pixellab import data, load, measures, sampling

EVERY = 10  # of the 2,000 validation digits


def steps(prior, label, choose):
    """Run through all places; choose(probabilities) names each token."""
    state, token = prior.start(label), None
    for _ in range(prior.grid[0] * prior.grid[1]):
        logits = prior.step(state, token)
        token = torch.tensor([choose(sampling.probabilities(logits)[0])])
        yield int(token)


def categorical(probabilities):
    return constriction.stream.model.Categorical(
        np.maximum(probabilities.numpy(), 2 ** -20), perfect=True)


def compress(prior, tokens, label):
    """The codes of one digit as bytes, zeros at the end left out."""
    coder, rest = constriction.stream.queue.RangeEncoder(), iter(tokens)

    def choose(probabilities):
        token = next(rest)
        coder.encode(token, categorical(probabilities))
        return token

    list(steps(prior, label, choose))
    return coder.get_compressed().astype("<u4").tobytes().rstrip(b"\0")


def decompress(prior, payload, label):
    payload += bytes(-len(payload) % 4 + 8)
    coder = constriction.stream.queue.RangeDecoder(
        np.frombuffer(payload, "<u4").astype(np.uint32))
    return list(steps(prior, label,
                      lambda probabilities: int(coder.decode(
                          categorical(probabilities)))))


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
    for tokens, label in zip(tqdm(model.tokenizer.encode(x).tolist()),
                             labels[:, None], strict=True):
        payload = compress(model.prior, tokens, label)
        assert decompress(model.prior, payload, label) == tokens
        sizes.append(len(payload))
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
            "smallest_webp": {"bytes": round(smallest[0], 2),
                              "psnr": round(smallest[1], 2)}}
