"""What do bits buy on frames, and what makes the codes of BSQ cheap?

Points: BSQ with 6 to 12 signs a patch and a weight of the rate that falls as
the signs grow in number, trained on the 11,000 SuperTuxKart frames (seen
twice); then a small transformer (2 layers, 96 features) once over the 11,000.
On the 256 validation frames: the squared error, the bits a frame if each code
is coded by how often it occurs (entropy), and by the transformer
(cross-entropy); on 32 of them real files, decoded again and compared. And one
frame of our own as each point shows it, to look at.
Ablation: the point of 10 signs with one thing left out; its bits are those of
the small causal network that is trained beside every BSQ. Equal and short
training for all, far less than the shipped model had.
"""

import base64
import functools
import io
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from benchmarks._tools import HEADER, STORE, kept, seconds
from pixellab import data, measures, training
from pixellab.model import ImageModel, load_tokenizer
from pixellab.parts import describe
from pixellab.priors.gpt import GPT
from pixellab.tokenizers.bsq import BSQ
from pixellab.training.rate_distortion import TASK, RateDistortion

POINTS = {6: 8e-4, 8: 4e-4, 10: 1.2e-4, 12: 3e-5}  # signs: weight of the rate
ABLATION = {
    "no rate term": {"rate_weight": 0.0},
    "no entropy terms": {"entropy_weight": 0.0},
    "encoder sees its patch alone": {"encoder_blocks": 0},
    "both see their patch alone": {"encoder_blocks": 0, "decoder_blocks": 0}}
FRAMES = 11_000
TOKENIZER = training.Schedule(epochs=2, lr=2.5e-3, gamma=0.15, warmup=100,
                              batch_size=8, precision="bf16")
PRIOR = training.Schedule(epochs=1, lr=4e-3, gamma=0.02, warmup=100,
                          batch_size=8, precision="bf16")
SHOWN = (Path(data.__file__).parent
         / "frames/valid_gran_paradiso_island_09.webp")


@functools.cache
def frames(split):
    return data.supertux(split, FRAMES)


def no_labels(inputs):
    return inputs, torch.zeros(len(inputs), dtype=torch.int64)


def learn(folder, bits=10, encoder_blocks=2, decoder_blocks=4, **objective):
    """Train a BSQ: what was measured, and the stored tokenizer."""
    torch.manual_seed(TOKENIZER.seed)
    tokenizer = BSQ(bits=bits, encoder_blocks=encoder_blocks,
                    decoder_blocks=decoder_blocks)
    row = training.train(
        RateDistortion(tokenizer, **objective), no_labels(frames("train")),
        no_labels(frames("valid")), TOKENIZER, training.RunFolder(
            folder, {"tokenizer": describe(tokenizer)}), TASK,
        device="cpu")[-1]
    tokenizer = load_tokenizer(folder / "last.safetensors")[0]
    codes = tokenizer.encode(frames("valid"))
    error = measures.mean_squared_error(frames("valid"),
                                        tokenizer.decode(codes)).mean().item()
    return {"mse": error, "psnr": measures.psnr(error),
            "entropy": measures.entropy(codes) * tokenizer.length,
            "context_bits": row["bits_per_token"] * tokenizer.length,
            "used": measures.codebook_usage(codes, tokenizer.vocabulary)
            }, tokenizer


def point(bits, rate_weight, folder):
    """One dot of the curve, as a dict."""
    found, tokenizer = learn(folder / "tokenizer", bits,
                             rate_weight=rate_weight)
    torch.manual_seed(PRIOR.seed)
    prior = GPT(2 ** bits, tokenizer.grid, width=96, layers=2, heads=3,
                num_classes=0)
    valid = tokenizer.encode(frames("valid"))
    row = training.train(
        prior, no_labels(tokenizer.encode(frames("train"))), no_labels(valid),
        PRIOR, training.RunFolder(folder / "prior", {
            "tokenizer": describe(tokenizer), "prior": describe(prior)}),
        device="cpu")[-1]
    model, sizes = ImageModel(tokenizer, prior.eval()), []
    for frame in frames("valid")[::8]:
        blob = model.compress(frame)
        assert torch.equal(model.decompress(blob),
                           model.reconstruct(frame[None])[0])
        sizes.append(len(blob))
    return {"bits": bits, "rate_weight": rate_weight, **found,
            "cross_entropy": row["valid"] * tokenizer.length,
            "bytes": sum(sizes) / len(sizes), "payload_bytes":
            sum(sizes) / len(sizes) - HEADER, "files": len(sizes),
            "picture": shown(model)}


def shown(model):
    """The frame SHOWN as a file of this model decodes it: its bytes, its
    error, and (slightly compressed once more) what it looks like."""
    frame = np.array(Image.open(SHOWN).convert("RGB"))
    blob, file = model.compress(frame), io.BytesIO()
    again = model.decompress(blob)
    Image.fromarray(again.numpy()).save(file, "WEBP", quality=90, method=6)
    error = measures.mean_squared_error(frame[None], again[None]).item()
    return {"bytes": len(blob), "mse": error,
            "webp": base64.b64encode(file.getvalue()).decode()}


def timed(name, make):
    """The numbers of a run, and how long it took."""
    def now():
        took, found = seconds(lambda: make(STORE / "frame_curves" / name))
        return {**found, "seconds": round(took)}

    return kept("frame_curves", name, (TOKENIZER, PRIOR, FRAMES), now)


def measure():
    points = [timed(f"{bits}_{weight}", functools.partial(point, bits, weight))
              for bits, weight in POINTS.items()]
    everything = {key: value for key, value in points[2].items()
                  if key != "picture"}
    ablation = [{"what": "everything", **everything}] + [
        {"what": what, **timed(what, lambda folder, change=change: learn(
            folder, **change)[0])} for what, change in ABLATION.items()]
    return {"frames": len(frames("valid")), "frames_trained_on": FRAMES,
            "points": points, "ablation": ablation}
