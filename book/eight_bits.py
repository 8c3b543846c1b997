"""Store gpt's weights once more in 8 bits, small enough to load in a page.

    python book/eight_bits.py [GPT_FILE] [OUT]

Each row of a matrix gets its own scale. The copy is scored by itself.
"""

import sys

from pixellab import data, weights
from pixellab.model import certify, restore


def main(source="gpt", out=weights.FOLDER / "gpt-live.safetensors"):
    tensors, config, about = weights.load(source)
    about = {**about, "name": "gpt-live", "stored_as": "int8"}
    with weights.atomic(out) as part:  # no file with the scores of the other
        weights.save(part, tensors, config, about)
        encode = restore(tensors, config, "tokenizer").encode
        sets = {}
        for split in ("valid", "test"):
            images, labels = data.mnist(split)
            sets[split] = encode(images), labels
        certify(part, sets, device="cpu")


if __name__ == "__main__":
    main(*sys.argv[1:])
