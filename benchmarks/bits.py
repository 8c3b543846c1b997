"""How many bits do the models need for held-out images?

Bits per dimension and nats per image, over whole validation and test sets,
with labels where the model takes them. `pixelcnn`, `gpt`, `gpt-live` and the
counting models of chapter 1 (`uniform`; `independent` pixels; `counting`
after six neighbours) are scored on 256-level MNIST, `pixelcnn-binary` on
static-binarised MNIST, `symbols` on MNIST resized to 30 x 30 and rounded:
three different questions. The bits of `patches` and `bsq` (on SuperTuxKart
frames, which have no test set) are those of their codes, not of the pictures:
beside them stand the error of the picture (as PSNR) and the entropy of the
codes.
"""

import ast
import functools
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from benchmarks._tools import fingerprint, kept
from pixellab import data, load, measures
from pixellab.likelihood import NATS_PER_BIT

CHAPTER = Path(__file__).parent.parent / "chapters" / "01_bits.py"
TAUGHT = ("CountingModel position predict bits neighbours FINE COARSE W "
          "two four six").split()
COUNTING = {"uniform": [], "independent": ["position"],
            "counting": ["position", "two", "four", "six"]}
LOSSY = ("patches", "bsq")


def static_mnist(split):
    return data.binarized_mnist(split), None


def frames(split):
    return data.supertux(split), None


def defines(statement, names):
    found = {getattr(statement, "name", None)} | {
        node.id for target in getattr(statement, "targets", [])
        for node in ast.walk(target) if isinstance(node, ast.Name)}
    return bool(found & set(names))


def defined(path, names):
    """What these names mean in a chapter: only the statements that define
    them are run."""
    tree = ast.parse(path.read_text())
    tree.body = [part for part in tree.body if defines(part, names)]
    found = {"np": np}
    exec(compile(tree, path, "exec"), found)
    return found


@functools.cache
def chapter():
    return defined(CHAPTER, TAUGHT)


@functools.cache
def counting_model(name):
    """Counted on the training digits, as in chapter 1."""
    contexts = [chapter()[context] for context in COUNTING[name]]
    train = data.mnist("train")[0].numpy()
    return chapter()["CountingModel"](contexts).fit(train)


def by_counting(name, images):
    """Bits an image: float64 (N,)."""
    model = counting_model(name)
    return torch.from_numpy(np.concatenate([
        chapter()["bits"](model, part.numpy()).sum(axis=1)
        for part in tqdm(images.split(500), desc=name)]))


MODELS = {"pixelcnn": data.mnist, "gpt": data.mnist, "gpt-live": data.mnist,
          "pixelcnn-binary": static_mnist, "symbols": data.mnist,
          "patches": data.mnist, "bsq": frames}


def in_all_units(bits, dimensions):
    error = bits.std().item() / len(bits) ** 0.5  # of the mean
    mean = bits.mean().item()
    return {"images": len(bits), "bits_per_image": round(mean, 3),
            "bits_per_dimension": round(mean / dimensions, 4),
            "standard_error": round(error / dimensions, 4),
            "nats_per_image": round(mean * NATS_PER_BIT, 3)}


def of_codes(bits, model, images):
    codes = model.tokenizer.encode(images)
    entropy = measures.entropy(codes) * codes.shape[1]
    error = model.distortion(images).mean().item()
    return {"images": len(bits), "bits_per_image": round(
                bits.mean().item(), 3),
            "standard_error": round(
                bits.std().item() / len(bits) ** 0.5, 3),
            "entropy_per_image": round(entropy, 3),
            "psnr": round(measures.psnr(error), 3)}


def row(name, split):
    """One model on one set; one line that says why where the set is not here.
    """
    try:
        images, labels = MODELS.get(name, data.mnist)(split)
    except FileNotFoundError as error:
        return f"not measured: {error}"
    if name in COUNTING:
        return in_all_units(by_counting(name, images), 784)
    model = load(name, device="cpu")
    bits = model.bits(images, labels)
    if name in LOSSY:
        return of_codes(bits, model, images)
    return in_all_units(bits, model.dimensions)


def measure():
    return {f"{name} {split}": kept(
        "bits", f"{name} {split}", name in MODELS and fingerprint(name),
        functools.partial(row, name, split))
        for name in (*COUNTING, *MODELS) for split in ("valid", "test")
        if (name, split) != ("bsq", "test")}
