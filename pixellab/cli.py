"""The command line: `pixellab models|sample|complete|tokenize|train`."""

import argparse
import dataclasses
import os
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from tqdm import tqdm

from pixellab import data, figures, measures, training, weights
from pixellab.model import (
    PART,
    ImageModel,
    build,
    certify,
    describe,
    learned,
    load,
    load_tokenizer,
    models,
    restore_tokenizer,
)
from pixellab.priors.gpt import GPT
from pixellab.priors.pixelcnn import PixelCNN
from pixellab.tokenizers.patches import Patches
from pixellab.tokenizers.pixels import Pixels
from pixellab.tokenizers.symbols import Symbols


def main(arguments=None):
    """Run one command; bad input is one line on stderr and exit code 2."""
    warnings.formatwarning = lambda text, *_: f"pixellab: {text}\n"
    try:
        options = parser().parse_args(arguments)
        options.command(options)
    except (ValueError, OSError, argparse.ArgumentError) as error:
        print(f"pixellab: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\npixellab: interrupted (a training run goes on with "
              "--resume FOLDER)", file=sys.stderr)
        return 130
    return 0


class Parser(argparse.ArgumentParser):
    def error(self, message):
        raise ValueError(f"{message} (see {self.prog} --help)")


def number(kind, low, high):
    """An argparse type: a number from low to high."""
    def parse(text):
        value = kind(text)
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(
                f"{text} does not lie in {low} to {high}")
        return value

    parse.__name__ = "number"
    return parse


def numbers(text):
    """An argparse type: whole numbers with commas, as 0,1,2."""
    return [int(word) for word in text.split(",")]


def parser():
    top = Parser(prog="pixellab", description=__doc__.splitlines()[0])
    commands = top.add_subparsers(required=True, metavar="COMMAND")
    count = number(int, 1, 10_000)

    command = commands.add_parser("models", help="list the shipped models")
    command.set_defaults(command=list_models)

    command = commands.add_parser("sample", help="draw new images")
    command.add_argument("name", help="a shipped model")
    command.add_argument("--count", type=count, help="images of each target "
                         "(10 in all for a model without labels)")
    command.add_argument("--targets", type=numbers,
                         help="classes, as 0,1,2 (default: all)")
    command.add_argument("--best-of", type=count, help="draw so many of each "
                         "target and keep those that a classifier likes best")
    command.add_argument("--keep", type=count, help="how many (default: 8)")
    command.add_argument("--as-text", action="store_true", help="print lines "
                         "of symbols instead of writing pictures")
    add_sampling(command)
    command.set_defaults(command=sample)

    command = commands.add_parser("complete", help="finish an image")
    command.add_argument("name", help="a shipped model")
    command.add_argument("image", help="a picture of the model's size")
    command.add_argument("--resize", action="store_true",
                         help="resize a picture of another size")
    command.add_argument("--rows", type=int, required=True,
                         help="how many rows of the image are kept")
    command.add_argument("--count", type=count, default=4,
                         help="completions (default: %(default)s)")
    command.add_argument("--label", type=int, help="its class, if known")
    add_sampling(command)
    command.set_defaults(command=complete)

    command = commands.add_parser("tokenize", help="write a data set as "
                                  "tokens")
    command.add_argument("name", choices=("symbols",))
    command.add_argument("out", help="a text file: one line a digit")
    command.add_argument("--split", default="train", choices=data.SPLITS)
    command.add_argument("--limit", type=number(int, 1, 10**9),
                         help="only the first so many images")
    command.set_defaults(command=tokenize)

    command = commands.add_parser("train", help="train a model")
    command.add_argument("name", choices=TRAINABLE)
    add_training(command)
    command.set_defaults(command=train)
    return top


def add_sampling(command):
    command.add_argument("--temperature", type=float, default=1.0)
    command.add_argument("--top-k", type=int)
    command.add_argument("--top-p", type=float)
    command.add_argument("--seed", type=int, default=0)
    command.add_argument("--gif", action="store_true",
                         help="also write the drawing as an animation")
    command.add_argument("--out", default="out", help="folder to write into")
    command.add_argument("--weights", help="a weight file of one's own")
    command.add_argument("--device", choices=("cpu", "cuda", "mps"))


def add_training(command):
    size = number(int, 1, 10**9)
    for field in dataclasses.fields(training.Recipe):
        command.add_argument(f"--{field.name.replace('_', '-')}",
                             type=field.type, metavar=field.name.upper(),
                             help=f"default: {field.default}")
    command.add_argument("--width", type=size,
                         help="features (default: pixelcnn 64, others 160)")
    command.add_argument("--layers", type=size,
                         help="blocks (default: pixelcnn 7, gpt 2, others 3)")
    command.add_argument("--heads", type=size, help="attention heads "
                         "(default: one for each 32 features)")
    command.add_argument("--dropout", type=number(float, 0, 0.9),
                         help="of a transformer (default: 0)")
    command.add_argument("--stage", choices=("tokenizer", "prior"),
                         help="only one of the two steps (patches)")
    command.add_argument("--patch", type=size,
                         help="pixels of a side of a patch (default: 4)")
    command.add_argument("--codebook-size", type=size,
                         help="entries (default: 1024)")
    command.add_argument("--tokenizer", metavar="FILE", help="a model, or a "
                         "tokenizer.safetensors, whose codebook is used")
    command.add_argument("--channels", type=int, default=1, choices=(1,),
                         help="colour channels of the data: MNIST has 1")
    command.add_argument("--limit", type=size,
                         help="use only the first so many images")
    command.add_argument("--shifts", type=number(int, 0, 2), help="also teach "
                         "the prior each image moved by up to so many pixels "
                         "each way (default: 0)")
    command.add_argument("--compile", action="store_true",
                         help="torch.compile: for long runs on a GPU")
    command.add_argument("--log-dir", help="TensorBoard logs go here")
    command.add_argument("--out", help="folder of the run (default: "
                         "runs/NAME/TIME)")
    command.add_argument("--weights", metavar="FILE",
                         help="start from these weights, with a new recipe")
    command.add_argument("--resume", metavar="FOLDER",
                         help="continue the run in this folder")
    command.add_argument("--device", choices=("cpu",),
                         help="cpu: do not use a GPU even if there is one")


def list_models(options):
    """One line a weight file; a star marks the book's systems."""
    for name in weights.names():
        _, _, about = weights.load(name)
        star = "*" if name in models() else " "
        print(f"{star} {name:16} {about['data']:27} "
              f"{score(about)}, validation")


def score(about):
    """What a header says was measured on validation digits."""
    if "valid_accuracy" in about:
        return f"{about['valid_accuracy']:.2%} read rightly"
    bits = f"{about['valid_bits_per_token']:.4f} bits a token"
    if "valid_squared_error" in about:  # lossy: two numbers
        bits += f", {measures.psnr(about['valid_squared_error']):.2f} dB"
    return bits


# ------------------------------------------------- sample and complete

def sample(options):
    """NAME_LABEL_NUMBER.png for each image (NAME_NUMBER.png: no labels)."""
    model = load(options.weights or options.name, options.device)
    check_choosing(options, model)
    stem, classes = Path(options.name).stem, model.prior.num_classes
    targets = options.targets
    if targets is None and classes:
        targets = range(classes)
    count = options.count
    if options.best_of:
        count = options.keep or min(8, options.best_of)
    if targets is None:
        labels, count = None, count or 10
        names = [f"{stem}_{i}" for i in range(count)]
    else:
        targets, count = sorted(set(targets)), count or 1
        labels = [target for target in targets for _ in range(count)]
        names = [f"{stem}_{target}_{i}"
                 for target in targets for i in range(count)]
    parts = model.streams(len(names), labels, **settings(options))
    if not (options.best_of or options.as_text):
        return draw(model, parts, options, names)
    if options.best_of:
        model.pools(len(names), labels, options.best_of)  # mistakes first
    out = None if options.as_text else writable(options.out)
    if options.best_of:
        images = model.sample(len(names), labels, best_of=options.best_of,
                              progress=True, **settings(options))
    else:
        images = model.finish_all(parts, progress=True)
    if options.as_text:
        for tokens, label in zip(model.tokenizer.encode(images), labels,
                                 strict=True):
            print(model.tokenizer.to_text(tokens, label))
    else:
        write(images.numpy(), names, out)
        print(f"{len(names)} images in {out}")


def check_choosing(options, model):
    """ValueError for options of `sample` that cannot be joined."""
    if options.keep and not options.best_of:
        raise ValueError("--keep says how many of --best-of are kept: give "
                         "both, or --count")
    if options.count and options.best_of:
        raise ValueError("--count and --best-of cannot be joined: use --keep")
    if options.keep and options.keep > options.best_of:
        raise ValueError(f"--keep is {options.keep}; --best-of draws only "
                         f"{options.best_of}")
    if options.gif and (options.best_of or options.as_text):
        raise ValueError("--gif shows drawings as they grow: leave out "
                         "--best-of and --as-text")
    if options.as_text and not hasattr(model.tokenizer, "to_text"):
        raise ValueError(f"{options.name} has no text form: --as-text is for "
                         "symbols")


def complete(options):
    """IMAGE_NUMBER.png for each completion."""
    model = load(options.weights or options.name, options.device)
    image = read_image(options.image, model.tokenizer, options.resize)
    images = np.repeat(image[None], options.count, axis=0)
    labels = None if options.label is None else [options.label] * len(images)
    parts = model.complete_streams(images, options.rows, labels,
                                   **settings(options))
    stem = Path(options.image).stem
    draw(model, parts, options, [f"{stem}_{i}" for i in range(len(images))])


def settings(options):
    return {name: getattr(options, name)
            for name in ("seed", "temperature", "top_k", "top_p")}


def draw(model, parts, options, names):
    """Run each stream with a bar; write a PNG (and a GIF) an image."""
    out = writable(options.out)
    for number, steps in enumerate(parts):
        part = names[number * PART:][:PART]
        if options.gif:
            length = model.tokenizer.length
            bar = tqdm(steps, total=length, desc="tokens")
            pictures = figures.frames(model, bar, count=min(56, length))
            images = pictures[-1]
            for i, name in enumerate(part):
                large = pictures[:, i].repeat(8, axis=1).repeat(8, axis=2)
                with weights.atomic(out / f"{name}.gif") as path:
                    figures.gif(path, large)
        else:
            images = model.finish(steps, progress=True).numpy()
        write(images, part, out)
    print(f"{len(names)} images in {out}")


def writable(folder):
    """The folder to write into, made before any work is done."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    if not os.access(folder, os.W_OK):
        raise PermissionError(f"{folder} cannot be written to: choose "
                              "another place")
    return folder


def write(images, names, out):
    """One PNG an image."""
    for image, name in zip(images, names, strict=True):
        with weights.atomic(out / f"{name}.png") as path:
            Image.fromarray(image).save(path, "PNG")


def read_image(path, tokenizer, resize=False):
    """A picture file as uint8 (H, W[, 3]), of a size the model takes."""
    height, width, *channels = tokenizer.shape
    sizes = [(shape[1], shape[0]) for shape in tokenizer.shapes]
    try:
        with Image.open(path) as image:
            if image.size not in sizes and not resize:
                raise ValueError(
                    f"{path} is {image.width}x{image.height}; the model "
                    f"needs {' or '.join(f'{w}x{h}' for w, h in sizes)}: "
                    "add --resize")
            if image.mode[0] in "IF":
                raise ValueError(f"{path} has more than 8 bits a pixel: "
                                 "convert it to 8 bits first")
            image = image.convert("RGB" if channels else "L")
            if image.size not in sizes:
                image = image.resize((width, height))
            return np.array(image)
    except (OSError, Image.DecompressionBombError) as error:
        raise ValueError(f"{path} is not a picture that can be read "
                         f"({error})") from None


# --------------------------------------------------- tokenize and train

def tokenize(options):
    """The digits of a split as a text file, one line a digit."""
    out, tokenizer, limit = Path(options.out), Symbols(), options.limit
    if out.is_dir():
        raise ValueError(f"{out} is a folder: name a file")
    writable(out.parent)
    images, labels = data.mnist(options.split)
    tokenizer.write(out, tokenizer.encode(images[:limit]), labels[:limit])
    print(f"{len(images[:limit])} digits in {out}")


def static_mnist(split):
    return data.binarized_mnist(split), None


# name: (images of a split, what they are)
TRAINABLE = {
    "pixelcnn": (data.mnist, "MNIST, 256 levels"),
    "pixelcnn-binary": (static_mnist, "static-binarised MNIST"),
    "gpt": (data.mnist, "MNIST, 256 levels"),
    "symbols": (data.mnist, "MNIST, 30x30, rounded"),
    "patches": (data.mnist, "MNIST, 256 levels")}


def new_tokenizer(options):
    if options.name == "symbols":
        return Symbols()
    if options.name == "patches":
        return Patches(options.patch or 4, options.codebook_size or 1024)
    return Pixels(2 if options.name == "pixelcnn-binary" else 256)


def new_prior(options, tokenizer):
    """A new PixelCNN or GPT; the options may change its shape."""
    vocabulary = tokenizer.vocabulary
    if options.name.startswith("pixelcnn"):
        width, pattern = options.width or 64, (1, 2, 1, 4)
        return PixelCNN(
            vocabulary, width=width, head=2 * width,
            num_classes=10 if options.name == "pixelcnn" else 0,
            dilations=[pattern[i % 4] for i in range(options.layers or 7)])
    width = options.width or 160
    heads = options.heads or max(h for h in range(1, width // 32 + 2)
                                 if width % h == 0)
    layers = options.layers or (2 if options.name == "gpt" else 3)
    return GPT(vocabulary, tokenizer.grid, width, layers, heads,
               dropout=options.dropout or 0.0)


def read_recipe(options, stored):
    """The stored recipe, or the defaults, with what the options change."""
    fields = [field.name for field in dataclasses.fields(training.Recipe)]
    given = {name: getattr(options, name) for name in fields
             if getattr(options, name) is not None}
    if stored and set(stored) != set(fields):
        raise ValueError("this run was begun by another version: start anew")
    return training.Recipe(**{**stored, **given})


def check_flags(options):
    """ValueError for a flag that would be ignored."""
    learned_tokenizer = ("patch", "codebook_size", "stage", "tokenizer")
    shape = ("width", "layers", "heads", "dropout")
    of_the_prior = (*shape, "shifts", "log_dir", *(
        field.name for field in dataclasses.fields(training.Recipe)
        if field.name != "seed"))
    if options.resume and (options.weights or options.out):
        raise ValueError("--resume goes on in its folder: leave out "
                         "--weights and --out")
    if options.resume and options.shifts is not None:
        raise ValueError("--shifts is decided by the run: leave it out")
    for name in (*of_the_prior, *learned_tokenizer):
        flag = f"--{name.replace('_', '-')}"
        if getattr(options, name) is None:
            continue
        if (options.resume or options.weights) and name in (
                *shape, *learned_tokenizer):
            raise ValueError(f"{flag} is decided by the stored weights: "
                             "leave it out")
        if name in learned_tokenizer and options.name != "patches":
            raise ValueError(f"{flag} is for patches: leave it out")
        if (name in ("heads", "dropout")
                and options.name.startswith("pixelcnn")):
            raise ValueError(f"{flag} is for transformers: leave it out")
        if name in of_the_prior and options.stage == "tokenizer":
            raise ValueError(f"{flag} is for the prior: leave it out")
    if options.stage == "prior" and not options.tokenizer:
        raise ValueError("--stage prior needs a codebook: --tokenizer FILE")
    if options.stage == "tokenizer" and options.tokenizer:
        raise ValueError("--stage tokenizer learns a codebook: leave out "
                         "--tokenizer")


def stored_tokenizer(options):
    """(the tokenizer of --tokenizer, its history), as the options ask."""
    tokenizer, about = load_tokenizer(options.tokenizer)
    if type(tokenizer) is not Patches:
        raise ValueError(f"{options.tokenizer} holds no codebook of patches")
    for name in ("patch", "codebook_size"):
        asked, there = getattr(options, name), tokenizer.config[name]
        if asked not in (None, there):
            raise ValueError(
                f"{options.tokenizer} has {name} {there}, not {asked}: use "
                "another file, or learn one with --stage tokenizer")
    return tokenizer, about.get("tokenizer", about)


def learn_tokenizer(tokenizer, seed, split, about, folder):
    """Fit it, write FOLDER/tokenizer.safetensors, return its history."""
    path, first = folder / "tokenizer.safetensors", training.is_first_process()
    if first and path.exists():
        raise ValueError(f"{path} is there: go on with --tokenizer {path}, "
                         "or choose another --out")
    images, valid = split("train")[0], split("valid")[0]
    started = time.monotonic()
    tokenizer.fit(images, seed, progress=True)
    codes = tokenizer.encode(valid)
    error = measures.mean_squared_error(valid, tokenizer.decode(codes))
    about = {**about, "train_images": len(images), "seed": seed,
             "seconds": round(time.monotonic() - started, 1),
             "valid_squared_error": error.mean().item(),
             "valid_entropy_per_token": measures.entropy(codes)}
    if first:  # every process learns the same
        weights.save(path, learned(tokenizer),
                     {"tokenizer": describe(tokenizer)}, about)
        usage = measures.codebook_usage(codes, tokenizer.vocabulary)
        print(f"{path}: {measures.psnr(about['valid_squared_error']):.2f} dB, "
              f"{about['valid_entropy_per_token']:.4f} bits a token without "
              f"a prior, perplexity {measures.perplexity(codes):.1f}, "
              f"{usage:.1%} of the entries used, validation", flush=True)
    return about


def begin(options, folder, split):
    """(model, recipe, what is known of the data) of a new or resumed run.

    split(name): (images, labels). The model has no prior where only the
    tokenizer was asked for.
    """
    about = {"name": options.name, "data": TRAINABLE[options.name][1]}
    check_flags(options)
    if options.resume:
        state = training.load_state(folder)
        run, config = state["run"], state["run"]["config"]
        if run["about"]["name"] != options.name:
            raise ValueError(f"{folder} holds a run of "
                             f"{run['about']['name']}, not {options.name}")
        model = ImageModel(restore_tokenizer(state["tokenizer"], config),
                           build("priors", config["prior"]))
        return model, read_recipe(options, run["recipe"]), run["about"]
    if (folder / "state.pt").exists():
        raise ValueError(f"{folder} holds a run: continue it with --resume, "
                         "or choose another --out")
    recipe = read_recipe(options, {})
    if options.weights:
        model = load(options.weights, "cpu")
        if model.provenance.get("name") != options.name:
            raise ValueError(f"{options.weights} is no {options.name}")
        if "tokenizer" in model.provenance:
            about["tokenizer"] = model.provenance["tokenizer"]
        about["started_from"] = model.provenance
        return model, recipe, about
    tokenizer, prior = new_tokenizer(options), None
    if options.tokenizer:
        tokenizer, about["tokenizer"] = stored_tokenizer(options)
    if options.stage != "tokenizer":  # mistakes first, then the long work
        torch.manual_seed(recipe.seed)  # the first weights
        prior = new_prior(options, tokenizer)
        training.check_sizes(len(split("train")[0]), recipe)
    writable(folder)
    if hasattr(tokenizer, "fit") and not options.tokenizer:
        about["tokenizer"] = learn_tokenizer(tokenizer, recipe.seed, split,
                                             about, folder)
    return ImageModel(tokenizer, prior), recipe, about


def train(options):
    """Train, with checkpoints, a loss curve and samples after each epoch;
    then score the best weights on validation and test."""
    folder = Path(options.resume or options.out or
                  f"runs/{options.name}/{time.strftime('%Y%m%d-%H%M%S')}")
    images = TRAINABLE[options.name][0]

    def split(name):
        x, labels = images(name)
        # validation digits are sorted by class: take them evenly spaced
        every = 1 if name == "train" or not options.limit else max(
            1, len(x) // options.limit)
        if labels is not None:
            labels = labels[::every][:options.limit]
        return x[::every][:options.limit], labels

    model, recipe, about = begin(options, folder, split)
    tokenizer, prior = model.tokenizer, model.prior
    if prior is None:
        return
    config = {"tokenizer": describe(tokenizer), "prior": describe(prior)}
    about.setdefault("shifts", options.shifts or 0)
    valid = split("valid")
    train_set = data.shifted(*split("train"), about["shifts"])
    sets = [(tokenizer.encode(x), model.label_tensor(labels, len(x)))
            for x, labels in (train_set, valid)]
    about["train_images"] = len(sets[0][0])
    if training.is_first_process():
        print(f"{options.name}: {about['data']}, "
              f"{about['train_images']} training images, "
              f"{sum(p.numel() for p in prior.parameters()):,} parameters, "
              f"run in {folder}", flush=True)
    training.train(
        prior, *sets, recipe, folder, config, log_dir=options.log_dir,
        about=about, tokenizer=learned(tokenizer),
        on_epoch=lambda history: picture_run(model, history, folder),
        resume=options.resume is not None, device=options.device,
        compiled=options.compile)
    if not training.is_first_process():
        return
    try:
        test = split("test")
    except FileNotFoundError:
        test = None
    best = folder / "best.safetensors"
    about = certify(best, valid, test, options.device, progress=True)
    print(f"{best}: {score(about)}, validation")


def picture_run(model, history, folder):
    """curve.png and samples_EPOCH.png: what the run looks like so far."""
    import matplotlib

    matplotlib.use("Agg")
    figure = figures.loss_curve(history)
    figure.savefig(folder / "curve.png")
    matplotlib.pyplot.close(figure)
    labels = list(range(10)) if model.prior.num_classes else None
    images = figures.sheet(model.sample(10, labels), scale=3)
    Image.fromarray(images).save(
        folder / f"samples_{history[-1]['epoch']:03}.png")
