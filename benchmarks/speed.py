"""How fast are sampling, writing a file and reading one?

"sampling": class-conditional digits (frames for `bsq`), the same uniform
numbers, one thread, float32. The cached sampler draws all `images`. Of `few`
whole images (fewer, as it takes so long) the naive loop is timed as well,
which computes for each token all that it looks at: the whole image for
`pixelcnn`, the tokens so far for transformers. Both must draw the same
tokens, but for draws within 1e-4 of an edge of the cumulative distribution,
where rounding decides.

"hugging_face": the same 64 digits of 784 pixels by GPT-2 of transformers. It
has the depth, width, heads and vocabulary of `gpt` (and one token more, to
start with), random weights, its own `generate`, and no filter, as ours. It is
not told the label or the pixels above. Its cache as it is by default (keys
and values are copied to a longer tensor at each step), and its "static" one
(as long as the image from the start).

"symbols, reference size": 64 digits by an untrained transformer over symbols
of the usual size, 8 layers and 256 features (6.4 million parameters), cached.

"files": one image to a file and back, medians over five images.

Cached samplers and the rival run in turn in one process, medians of 3 runs
after one to warm up; the naive loop runs once.
"""

import statistics
from importlib.metadata import version

import torch
from tqdm import tqdm

from benchmarks._tools import SEED, in_turn, seconds, some_digits
from pixellab import data, load, models, sampling
from pixellab.data import import_torchvision
from pixellab.priors.gpt import GPT

IMAGES = {"pixelcnn": 64, "gpt": 64, "symbols": 64, "patches": 64, "bsq": 16}
FEW = {"pixelcnn": 10, "gpt": 10, "symbols": 16, "patches": 64, "bsq": 2}
RUNS, FILES = 3, 5


def start(name, images):
    """(prior, labels, uniforms) for so many images."""
    model = load(name, device="cpu")
    labels = torch.arange(images) % max(1, model.prior.num_classes)
    return model.prior, labels, sampling.uniform_numbers(
        images, model.tokenizer.length, SEED)


@torch.no_grad()
def draw_naively(prior, labels, uniforms, prefix):
    """Every token from scratch; prefix: the network may be shown only the
    tokens so far (the one at t is not known yet and hidden by the mask)."""
    tokens = torch.zeros(uniforms.shape, dtype=torch.int64)
    for t in tqdm(range(tokens.shape[1]), desc="naively"):
        shown = tokens[:, :t + 1] if prefix else tokens
        probs = sampling.probabilities(prior(shown, labels)[:, t])
        tokens[:, t] = sampling.draw(probs, uniforms[:, t])
    return tokens


def first_differences(prior, labels, uniforms, naive, cached):
    """{image: (first differing token, how far its uniform number lies from
    the nearest edge of the cumulative distribution)}."""
    found = {}
    for i in (naive != cached).any(dim=1).nonzero()[:, 0].tolist():
        t = int((naive[i] != cached[i]).nonzero()[0])
        with torch.no_grad():
            logits = prior(naive[i:i + 1], labels[i:i + 1])[0, t]
        edges = sampling.probabilities(logits).cumsum(dim=0)
        distance = (edges - uniforms[i, t]).abs().min().item()
        assert distance < 1e-4, f"image {i} differs at {t}, not by rounding"
        found[i] = (t, distance)
    return found


def compare(name):
    """The cached sampler against the naive loop, a few images."""
    few = start(name, FEW[name])
    cached = in_turn({"": lambda: sampling.sample(*few)}, RUNS)[""]
    naively, tokens = seconds(lambda: draw_naively(
        *few, prefix=name != "pixelcnn"))
    return {"few": FEW[name], "few_cached_seconds": round(cached, 3),
            "recomputing_seconds": round(naively, 2),
            "times_faster": round(naively / cached, 1),
            "differ": first_differences(*few, tokens, sampling.sample(*few))}


def rival(config, digits):
    """A function that draws digits with transformers' GPT-2."""
    import_torchvision()  # transformers needs it, too
    from transformers import GPT2Config, GPT2LMHeadModel

    length = config["grid"][0] * config["grid"][1]
    net = GPT2LMHeadModel(GPT2Config(
        vocab_size=config["vocabulary"] + 1, n_positions=length + 1,
        n_embd=config["width"], n_layer=config["layers"],
        n_head=config["heads"], activation_function="relu",
        bos_token_id=None, eos_token_id=None, pad_token_id=None)).eval()
    first = torch.full((digits, 1), config["vocabulary"])

    def draw(cache):
        tokens = net.generate(
            first, attention_mask=torch.ones_like(first), do_sample=True,
            top_k=0, max_new_tokens=length, cache_implementation=cache)
        assert tokens.shape == (digits, length + 1)

    return draw


def reference():
    """The transformer of usual size over symbols: (prior, labels, uniforms)
    """
    torch.manual_seed(SEED)
    prior = GPT(64, (30, 5), width=256, layers=8, heads=8, window=None).eval()
    count = IMAGES["symbols"]
    return (prior, torch.arange(count) % 10,
            sampling.uniform_numbers(count, 150, SEED))


def side_by_side():
    """Seconds of everything that has a cache, by name."""
    ready = {name: start(name, IMAGES[name]) for name in models()}
    theirs = rival(ready["gpt"][0].config, IMAGES["gpt"])
    ready["reference"] = reference()
    return in_turn({
        **{name: lambda parts=parts: sampling.sample(*parts)
           for name, parts in ready.items()},
        "default cache": lambda: theirs("dynamic"),
        "static cache": lambda: theirs("static")}, RUNS)


def files():
    """Medians over a few images, all models in turn."""
    digits, labels = some_digits(1)
    frames = data.supertux("valid")[:FILES]
    times = {name: ([], []) for name in models()}
    for i in tqdm(range(FILES), desc="files"):
        for name, (encoding, decoding) in times.items():
            model = load(name, device="cpu")
            image, label = (frames[i], None) if name == "bsq" else (
                digits[i], int(labels[i]))
            took, blob = seconds(
                lambda model=model, image=image, label=label:
                model.compress(image, label))
            encoding.append(took)
            decoding.append(seconds(lambda model=model, blob=blob:
                                    model.decompress(blob))[0])
    return {name: {"encode_seconds": round(statistics.median(encoding), 4),
                   "decode_seconds": round(statistics.median(decoding), 4)}
            for name, (encoding, decoding) in times.items()}


def measure():
    times = side_by_side()
    sampled = {name: {"images": IMAGES[name],
                      "cached_seconds": round(times[name], 3),
                      **compare(name)} for name in models()}
    return {
        "sampling": sampled,
        "hugging_face": {
            "digits": IMAGES["gpt"], "transformers": version("transformers"),
            "gpt_seconds": round(times["gpt"], 2),
            "default_cache_seconds": round(times["default cache"], 2),
            "static_cache_seconds": round(times["static cache"], 2),
            "times_faster": {
                name: round(times[name] / times["gpt"], 2)
                for name in ("default cache", "static cache")}},
        "symbols, reference size": {
            "digits": IMAGES["symbols"],
            "seconds": round(times["reference"], 3),
            "parameters": sum(p.numel() for p in reference()[0].parameters())},
        "files": files()}
