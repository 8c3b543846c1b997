"""How many bits do the shipped models need for held-out images?

Bits per dimension and nats per image, over whole validation and test sets,
with labels where the model takes them. `pixelcnn` and `gpt` are scored on
256-level MNIST, `pixelcnn-binary` on static-binarised MNIST, `symbols` on
MNIST resized to 30 x 30 and rounded: three different questions.
"""

from pixellab import data, load
from pixellab.cli import static_mnist
from pixellab.likelihood import NATS_PER_BIT

MODELS = {"pixelcnn": data.mnist, "gpt": data.mnist,
          "pixelcnn-binary": static_mnist, "symbols": data.mnist}


def measure():
    results = {}
    for name, images in MODELS.items():
        model = load(name, device="cpu")
        for split in ("valid", "test"):
            try:
                x, labels = images(split)
            except FileNotFoundError as error:
                results[f"{name} {split}"] = f"not measured: {error}"
                continue
            bits = model.bits(x, labels, progress=True)
            error = bits.std() / len(bits) ** 0.5  # of the mean
            results[f"{name} {split}"] = {
                "images": len(bits),
                "bits_per_dimension": round(
                    bits.mean().item() / model.dimensions, 4),
                "standard_error": round(error.item() / model.dimensions, 4),
                "bits_per_image": round(bits.mean().item(), 3),
                "nats_per_image": round(
                    bits.mean().item() * NATS_PER_BIT, 3)}
    return results
