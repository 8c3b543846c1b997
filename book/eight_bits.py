"""Store gpt's weights once more in 8 bits, small enough to load in a page.

    python book/eight_bits.py [GPT_FILE] [OUT]

Each row of a matrix gets its own scale. The copy is scored by itself.
"""

import sys

from pixellab import data, weights
from pixellab.model import certify, restore_tokenizer


def main(source="gpt", out=weights.FOLDER / "gpt-live.safetensors"):
    tensors, config, about = weights.load(source)
    about = {**about, "name": "gpt-live", "stored_as": "int8"}
    with weights.atomic(out) as part:  # no file with the scores of the other
        weights.save(part, tensors, config, about)
        encode = restore_tokenizer(tensors, config).encode
        valid, test = ((encode(images), labels) for images, labels in (
            data.mnist("valid"), data.mnist("test")))
        certify(part, valid, test, device="cpu", progress=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
