"""How fast is our sampler beside GPT-2 of Hugging Face's transformers?

64 digits of 784 pixels, one thread, float32, in turn, medians of 5 runs. The
rival has the depth, width, heads and vocabulary of `gpt` (and one token more,
to start with), random weights, its own `generate`, and no filter, as ours. It
is not told the label or the pixels above. Its cache is on: as it is by default
(keys and values are copied to a longer tensor at each step), and its "static"
one (as long as the image from the start).
"""

import statistics
from importlib.metadata import version

import torch

from benchmarks.sampling_speed import seconds
from pixellab import load
from pixellab.data import import_torchvision

DIGITS, RUNS = 64, 5


def rival(config):
    """A function that draws `DIGITS` images with transformers' GPT-2."""
    import_torchvision()  # transformers needs it, too
    from transformers import GPT2Config, GPT2LMHeadModel

    length = config["grid"][0] * config["grid"][1]
    net = GPT2LMHeadModel(GPT2Config(
        vocab_size=config["vocabulary"] + 1, n_positions=length + 1,
        n_embd=config["width"], n_layer=config["layers"],
        n_head=config["heads"], activation_function="relu",
        bos_token_id=None, eos_token_id=None, pad_token_id=None)).eval()
    start = torch.full((DIGITS, 1), config["vocabulary"])

    def draw(cache):
        tokens = net.generate(
            start, attention_mask=torch.ones_like(start), do_sample=True,
            top_k=0, max_new_tokens=length, cache_implementation=cache)
        assert tokens.shape == (DIGITS, length + 1)

    return draw


def measure():
    model = load("gpt", device="cpu")
    theirs = rival(model.prior.config)
    ways = {"ours": lambda: model.sample(labels=torch.arange(DIGITS) % 10),
            "default cache": lambda: theirs("dynamic"),
            "static cache": lambda: theirs("static")}
    times = {name: [] for name in ways}
    for _ in range(RUNS):  # in turn, so that a busy moment hits both
        for name, draw in ways.items():
            times[name].append(seconds(draw)[0])
    medians = {name: statistics.median(runs) for name, runs in times.items()}
    return {"digits": DIGITS, "transformers": version("transformers"),
            "seconds": {name: [round(run, 2) for run in runs]
                        for name, runs in times.items()},
            "times_faster": {
                name: round(medians[name] / medians["ours"], 2)
                for name in ("default cache", "static cache")}}
