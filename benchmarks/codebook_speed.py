"""How long does it take to learn a codebook, and to use it?

512 entries of 4 x 4 pixels from the 58,000 training digits (49 patches each),
one thread; then all of them encoded and decoded. Medians of three runs, and
the squared error on validation digits (as PSNR).
"""

import statistics

from benchmarks.sampling_speed import seconds
from pixellab import data, measures
from pixellab.tokenizers.patches import Patches


def measure():
    train, valid = (data.mnist(split)[0] for split in ("train", "valid"))
    runs = []
    for _ in range(3):
        fit, tokenizer = seconds(lambda: Patches(4, 512).fit(
            train, progress=True))
        encode, codes = seconds(
            lambda tokenizer=tokenizer: tokenizer.encode(train))
        decode, _ = seconds(
            lambda tokenizer=tokenizer, codes=codes: tokenizer.decode(codes))
        runs.append((fit, encode, decode))
    error = measures.mean_squared_error(
        valid, tokenizer.decode(tokenizer.encode(valid)))
    fit, encode, decode = (statistics.median(times)
                           for times in zip(*runs, strict=True))
    return {"patches": len(train) * tokenizer.length,
            "entries": tokenizer.vocabulary, "fit_seconds": round(fit, 2),
            "encode_seconds": round(encode, 2),
            "decode_seconds": round(decode, 3),
            "psnr": round(measures.psnr(error.mean().item()), 2)}
