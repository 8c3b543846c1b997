"""A model's weights once more in 8 bits, small enough to load in a page."""

from pathlib import Path

from pixellab import data, weights
from pixellab.parts import restore
from pixellab.training.scores import certify
from pixellab.types import Provenance


def make(name: str, source: str | Path, path: str | Path) -> Provenance:
    """Write the copy: each row of a matrix has its own scale, and the copy is
    scored by itself."""
    file = weights.read(source)
    about = {**file.provenance, "name": name, "stored_as": "int8"}
    with weights.atomic(path) as part:  # no file with the scores of the other
        weights.write(part, file.tensors, file.config, about)
        encode = restore(file.tensors, file.config, "tokenizer").encode
        sets = {}
        for split in ("valid", "test"):
            images, labels = data.mnist(split)
            sets[split] = encode(images), labels
        return certify(part, sets, device="cpu")
