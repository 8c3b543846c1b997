"""How long does it take to learn a codebook, and to use it?

512 entries of 4 x 4 pixels from the 58,000 training digits (49 patches each),
one thread; then all of them encoded and decoded. Medians of three runs, and
the squared error on validation digits (as PSNR).
"""

import statistics

from tqdm import tqdm

from benchmarks._tools import seconds
from pixellab import data, measures
from pixellab.tokenizers.patches import Patches


def once(images):
    """(the tokenizer, seconds to learn it, to encode, to decode)."""
    fit, tokenizer = seconds(lambda: Patches(4, 512).fit(images))
    encode, codes = seconds(lambda: tokenizer.encode(images))
    decode, _ = seconds(lambda: tokenizer.decode(codes))
    return tokenizer, fit, encode, decode


def measure():
    train, valid = (data.mnist(split)[0] for split in ("train", "valid"))
    runs = [once(train) for _ in tqdm(range(3))]
    tokenizer = runs[0][0]
    error = measures.mean_squared_error(
        valid, tokenizer.decode(tokenizer.encode(valid)))
    fit, encode, decode = (statistics.median(times)
                           for times in list(zip(*runs, strict=True))[1:])
    return {"patches": len(train) * tokenizer.length,
            "entries": tokenizer.vocabulary, "fit_seconds": round(fit, 2),
            "encode_seconds": round(encode, 2),
            "decode_seconds": round(decode, 3),
            "psnr": round(measures.psnr(error.mean().item()), 2)}
