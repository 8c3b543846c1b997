"""How many bits do the shipped models need for held-out images?

Bits per dimension and nats per image, over whole validation and test sets,
with labels where the model takes them. `pixelcnn` and `gpt` are scored on
256-level MNIST, `pixelcnn-binary` on static-binarised MNIST, `symbols` on
MNIST resized to 30 x 30 and rounded: three different questions. The bits of
`patches` are those of its codes, not of the digits: beside them stand the
error of the picture (as PSNR) and the entropy of the codes.
"""

from pixellab import data, load, measures
from pixellab.cli import static_mnist
from pixellab.likelihood import NATS_PER_BIT

MODELS = {"pixelcnn": data.mnist, "gpt": data.mnist,
          "pixelcnn-binary": static_mnist, "symbols": data.mnist}
LOSSY = {"patches": data.mnist}


def measure():
    results = {}
    for name, images in {**MODELS, **LOSSY}.items():
        model = load(name, device="cpu")
        for split in ("valid", "test"):
            try:
                x, labels = images(split)
            except FileNotFoundError as error:
                results[f"{name} {split}"] = f"not measured: {error}"
                continue
            bits = model.bits(x, labels, progress=True)
            error = bits.std() / len(bits) ** 0.5  # of the mean
            found = {"images": len(bits),
                     "bits_per_image": round(bits.mean().item(), 3)}
            results[f"{name} {split}"] = found
            if name in LOSSY:
                codes = model.tokenizer.encode(x)
                found["standard_error"] = round(error.item(), 3)
                found["entropy_per_image"] = round(
                    measures.entropy(codes) * codes.shape[1], 3)
                found["psnr"] = round(measures.psnr(
                    model.distortion(x).mean().item()), 3)
                continue
            found |= {
                "bits_per_dimension": round(
                    bits.mean().item() / model.dimensions, 4),
                "standard_error": round(error.item() / model.dimensions, 4),
                "nats_per_image": round(
                    bits.mean().item() * NATS_PER_BIT, 3)}
    return results
