"""The command line: models, sample, complete, train, tokenize, compress..."""

import argparse
import contextlib
import dataclasses
import functools
import importlib
import os
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from tqdm import tqdm

from pixellab import codec, data, figures, measures, training, weights
from pixellab import model as models
from pixellab.scale import devices
from pixellab.tokenizers.bsq import RateDistortion


def main(arguments=None):
    """Run one command; bad input is one line on stderr and exit code 2."""
    warnings.formatwarning = lambda text, *_: f"pixellab: {text}\n"
    try:
        options = parser().parse_args(arguments)
        check_flags(options)
        COMMANDS[options.command](options)
    except (ValueError, OSError, ImportError, RuntimeError) as error:
        print("pixellab:", " ".join(str(error).split()), file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\npixellab: interrupted (train: --resume)", file=sys.stderr)
        return 130
    return 0


def number(kind=int, low=1, high=10**6):
    """An argparse type: a number from low to high."""
    def parse(text):
        if low <= kind(text) <= high:
            return kind(text)
        raise argparse.ArgumentTypeError(f"{text} is not {low} to {high}")

    parse.__name__ = "number"
    return parse


def numbers(text):
    """An argparse type: whole numbers with commas, as 0,1,2."""
    return [int(word) for word in text.split(",")]


RECIPE = {"--" + field.name.replace("_", "-"): field
          for field in dataclasses.fields(training.Recipe)}
SWITCH, SEVERAL = {"action": "store_true"}, {"nargs": "+"}
FLAGS = {  # what argparse makes of it, or a type; and the help
    "name": (str, "a model: see `pixellab models`"),
    "image": (str, "a picture of the model's size"),
    "file": (str, "what `tokenize symbols` wrote"),
    "files": (SEVERAL, "pictures, or, to decompress, what `compress` wrote"),
    "paths": (SEVERAL, "[DIR] OUT: pictures in train/ and valid/, a new file"),
    "--count": (number(), "images (of each target); complete: default 4"),
    "--targets": (numbers, "classes, as 0,1,2 (default: all)"),
    "--best-of": (number(), "draw so many, keep what a classifier prefers"),
    "--keep": (number(), "how many of --best-of (default: 8)"),
    "--rows": ({"type": int, "required": True},
               "how many rows of the image are kept"),
    "--label": (int, "its class, if known"),
    "--temperature": (float, "default: 1; 0 takes the likeliest"),
    "--top-k": (int, "draw from the so many likeliest tokens"),
    "--top-p": (float, "draw from the likeliest with this probability"),
    "--as-text": (SWITCH, "print symbols as lines, and write no pictures"),
    "--gif": (SWITCH, "also write the drawing as an animation"),
    "--model": (str, "a shipped model (default: bsq)"),
    "--resize": (SWITCH, "resize pictures of another size"),
    "--out": (str, "folder to write into (default: out, or runs/...)"),
    "--weights": (str, "a weight file of one's own; train: start from it"),
    "--device": ({"choices": devices()}, "default: the fastest"),
    "--split": (str, "of MNIST (default: train)"),
    "--mirror": (SWITCH, "each training picture mirrored, too"),
    "--limit": (number(), "only the first so many images"),
    "--stage": (str, "autoencoder, tokenizer or prior"),
    "--resume": (str, "continue the run in this folder"),
    "--images": (str, "a folder with train/ and valid/, of any length"),
    "--tokens": (str, "what `tokenize` wrote"),
    "--tokenizer": (str, "a stored tokenizer, used as it is"),
    "--width": (number(), "features (default: 160, pixelcnn 64, signs 96)"),
    "--layers": (number(), "blocks (default: 3, pixelcnn 7)"),
    "--dropout": (number(float, 0, 0.9), "default: 0"),
    "--shifts": (number(int, 0, 2), "teach moves by so many pixels, too"),
    "--patch": (number(), "pixels of a side (default: patches 4, bsq 5)"),
    "--codebook-size": (number(), "entries (default: 1024)"),
    "--bits": (number(), "signs of a patch (default: 10)"),
    "--rate-weight": (number(float, 0, 1), "squared error worth a bit"),
    "--compile": (SWITCH, "torch.compile: for long runs on a GPU"),
    "--log-dir": (str, "TensorBoard logs go here"),
    **{flag: (field.type, f"default: {field.default}")
       for flag, field in RECIPE.items()}}

DRAW = " --temperature --top-k --top-p --seed --out --weights --device"
RUN = " name --resume --limit --device --compile --log-dir " + " ".join(RECIPE)
BEGIN = RUN + " --weights --out"
PRIOR = BEGIN + " --width --layers --shifts"
FOLDER = " --images --resize"
SIGNS = BEGIN + FOLDER + " --stage --width --patch --bits"
JOBS = {  # what each takes
    "models": "",
    "sample": "name --count --targets --gif" + DRAW,
    "sample --as-text": "name --count --targets --as-text"
                        + DRAW.replace(" --out", ""),
    "sample --best-of": "name --targets --best-of --keep" + DRAW,
    "complete": "name image --rows --count --label --resize --gif" + DRAW,
    "compress": "files --model --label --resize --out --weights",
    "decompress": "files --out --weights",
    "tokenize symbols": "name paths --split --limit",
    "detokenize symbols": "name file --out",
    "tokenize bsq": "name paths --mirror --limit --resize --weights",
    "train pixelcnn": PRIOR + FOLDER,
    "train pixelcnn-binary": PRIOR,
    "train gpt": PRIOR + FOLDER + " --dropout",
    "train symbols": PRIOR + " --dropout",
    "train patches": PRIOR + " --dropout --tokenizer --patch --codebook-size",
    "train patches --stage tokenizer":
        "name --stage --patch --codebook-size --limit --seed --out",
    "train patches --stage prior": PRIOR + " --stage --dropout --tokenizer",
    "train --resume": RUN + FOLDER + " --tokens",
    "train bsq --stage autoencoder": SIGNS,
    "train bsq --stage tokenizer": SIGNS + " --rate-weight",
    "train bsq --stage prior": BEGIN + FOLDER + " --stage --dropout --width "
                               "--layers --tokenizer --tokens"}
DECIDED = {  # what is settled where another flag is given
    "--tokenizer": "--patch --codebook-size",
    "--images": "--shifts",  # pictures are read when a batch needs them
    "--tokens": "--tokenizer --images --resize",
    "--weights": "--width --layers --dropout --patch --codebook-size --bits"
                 " --tokenizer --model"}


class Parser(argparse.ArgumentParser):
    def error(self, message):
        raise ValueError(f"{message} (see {self.prog} --help)")


def parser():
    top = Parser(prog="pixellab", description=__doc__.splitlines()[0])
    added = top.add_subparsers(dest="command", required=True)
    for name, function in COMMANDS.items():
        about = function.__doc__.splitlines()[0]
        command = added.add_parser(name, help=about, description=about)
        flags = " ".join(taken for job, taken in JOBS.items()
                         if job.split()[0] == name)
        for flag in dict.fromkeys(flags.split()):
            kind, words = FLAGS[flag]
            command.add_argument(flag, help=words, **(
                kind if isinstance(kind, dict) else {"type": kind}))
    return top


def check_flags(options):
    """ValueError for a flag that would be ignored, or one that is missing."""
    flags = {flag for flag in FLAGS if getattr(
        options, flag.strip("-").replace("-", "_"), None) not in (None, False)}
    job = options.command
    if "--resume" in flags:
        job += " --resume"
    elif job in ("tokenize", "detokenize", "train"):
        job += f" {options.name}"
        job += f" --stage {options.stage}" if "--stage" in flags else ""
    for flag in ("--best-of", "--as-text"):
        job += f" {flag}" if flag in flags else ""
    if job not in JOBS:
        like = [one for one in JOBS if one.split()[:2] == job.split()[:2]] or [
            one for one in JOBS if one.startswith(options.command)]
        raise ValueError(f"there is no `{job}`: use one of {', '.join(like)}")
    wrong = dict.fromkeys(flags - set(JOBS[job].split()), "")
    for other in [one for one in DECIDED if one in flags]:
        wrong.update(dict.fromkeys(flags & set(DECIDED[other].split()),
                                   f" with {other}"))
    for flag in sorted(wrong):
        raise ValueError(f"{flag} is not for `{job}`{wrong[flag]}: omit it")
    needed = [flag for flag in ("--tokenizer", "--tokens", "--weights")
              if flag in JOBS[job].split()]
    if "--stage prior" in job and flags.isdisjoint(needed):
        raise ValueError(f"`{job}` needs one of {', '.join(needed)}")


def list_models(options):
    """List the shipped models; a star marks the book's systems."""
    for name in weights.names():
        about = weights.load(name)[2]
        star = "*" if name in models.models() else " "
        print(f"{star} {name:16} {about['data']:27} {score(about)}")


SCORES = {"accuracy": "{:.2%} read rightly".format,
          "bits_per_token": "{:.4f} bits a token".format,
          "entropy_per_token": "{:.4f} bits a token without a prior".format,
          "codes_used": "{:.1%} of the codes used".format,
          "squared_error": lambda error: f"{measures.psnr(error):.2f} dB",
          "loss": "loss {:.5f} thousandths".format}


def score(about):
    """What a header says was measured on validation images."""
    return ", ".join([words(about[f"valid_{name}"]) for name, words in
                      SCORES.items() if f"valid_{name}" in about]
                     + ["validation"])


# ------------------------------------------------- sample and complete

def sample(options):
    """Draw new images, NAME_LABEL_NUMBER.png each."""
    model = models.load(options.weights or options.name, options.device)
    stem, classes = Path(options.name).stem, model.prior.num_classes
    few = min(8, options.best_of or 1) if classes else 10
    count = options.count or options.keep or few
    labels = [target for target in sorted(set(options.targets or range(
        classes))) or [None] for _ in range(count)]
    if options.as_text:
        if not hasattr(model.tokenizer, "to_text"):
            raise ValueError(f"{options.name} has no text: --as-text is for "
                             "symbols")
        images = model.sample(labels=labels, **given(
            options, "temperature", "top_k", "top_p", "seed"))
        for one, label in zip(model.tokenizer.encode(images), labels,
                              strict=True):
            print(model.tokenizer.to_text(one, label))
        return
    names = [f"{stem}_{i}" if label is None else f"{stem}_{label}_{i % count}"
             for i, label in enumerate(labels)]
    draw(options, model, names, labels=labels, **given(options, "best_of"))


def complete(options):
    """Finish an image, NAME_NUMBER.png each time."""
    model = models.load(options.weights or options.name, options.device)
    image = data.read_image(options.image, model.tokenizer.shapes,
                            options.resize)
    count = options.count or 4
    names = [f"{Path(options.image).stem}_{i}" for i in range(count)]
    draw(options, model, names, images=np.stack([image] * count),
         rows=options.rows, labels=[options.label] * count)


def draw(options, model, names, **settings):
    """Write a PNG an image; with --gif its drawing, too."""
    out, length = writable(options.out or "out"), model.tokenizer.length
    settings.update(given(options, "temperature", "top_k", "top_p", "seed"))
    if options.gif:
        steps = tqdm(model.stream(**settings), total=length, desc="tokens")
        pictures = figures.frames(model, steps, count=min(56, length))
        for i, name in enumerate(names):
            large = pictures[:, i].repeat(8, axis=1).repeat(8, axis=2)
            with weights.atomic(out / f"{name}.gif") as path:
                figures.gif(path, large)
        images = pictures[-1]
    else:
        images = (model.complete if "rows" in settings
                  else model.sample)(**settings)
    for image, name in zip(images, names, strict=True):
        save_image(image, out / f"{name}.png")
    print(f"{len(names)} images in {out}")


def save_image(image, path):
    with weights.atomic(path) as part:
        Image.fromarray(np.asarray(image)).save(part, "PNG")


def writable(folder):
    """The folder to write into; it is made with the first file."""
    folder = Path(folder)
    there = next(place for place in [folder, *folder.absolute().parents]
                 if place.exists())
    if there.is_dir() and os.access(there, os.W_OK):
        return folder
    raise PermissionError(f"{there} takes no files: choose another place")


# --------------------------------------------- compress and decompress

def compress(options):
    """Turn pictures into small files, IN.pbp each."""
    model = models.load(options.weights or options.model or "bsq", "cpu")
    model.label_tensor([options.label], 1)  # mistakes first
    targets, total = results(options, "pbp"), 0
    pictures = [data.read_image(path, model.tokenizer.shapes, options.resize)
                for path in options.files]
    for target, image in zip(tqdm(targets), pictures, strict=True):
        blob = model.compress(image, options.label)
        with weights.atomic(target) as part:
            part.write_bytes(blob)
        total += len(blob)
    print(f"{len(targets)} files in {targets[0].parent}, "
          f"{total / len(targets):.1f} bytes each")


def decompress(options):
    """Turn such files back into pictures, IN.png each."""
    opened, images = functools.cache(lambda name: models.load(name, "cpu")), []
    targets = results(options, "png")
    for path in tqdm(options.files, delay=1):
        blob = Path(path).read_bytes()
        try:
            maker = options.weights or codec.unpack(blob)[0].model
            if not maker:
                raise ValueError("its weights do not ship: give --weights")
            images.append(opened(maker).decompress(blob))
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from None
    for target, image in zip(targets, images, strict=True):
        save_image(image, target)
    print(f"{len(targets)} images in {targets[0].parent}")


def results(options, ending):
    """Where those of options.files go; no picture is overwritten."""
    out = writable(options.out or "out")
    targets = [out / f"{Path(path).stem}.{ending}" for path in options.files]
    for target in targets:
        if targets.count(target) > 1 or (ending == "png" and target.exists()):
            raise ValueError(f"{target} is taken: rename the input, or "
                             "choose another --out")
    return targets


# --------------------------------------------------- tokenize and train

FIRST = os.environ.get("RANK", "0") == "0"  # set by what starts processes
BOOK = "tokenizer.safetensors"  # what the first stage of patches writes
SYSTEMS = {  # name: (its tokenizer, images of a split, what they are)
    "pixelcnn": ({"kind": "pixels.Pixels"}, data.mnist, "MNIST, 256 levels"),
    "pixelcnn-binary": ({"kind": "pixels.Pixels", "levels": 2},
                        lambda split: (data.binarized_mnist(split), None),
                        "static-binarised MNIST"),
    "gpt": ({"kind": "pixels.Pixels"}, data.mnist, "MNIST, 256 levels"),
    "symbols": ({"kind": "symbols.Symbols"}, data.mnist,
                "MNIST, 30x30, rounded"),
    "patches": ({"kind": "patches.Patches"}, data.mnist, "MNIST, 256 levels"),
    "bsq": ({"kind": "bsq.BSQ"}, None, "SuperTuxKart frames, 150x100")}


def given(options, *names):
    """Those of the options that were given."""
    return {name: getattr(options, name) for name in names
            if getattr(options, name) is not None}


def new_tokenizer(options):
    config = given(options, "patch", "codebook_size", "bits")
    if options.name == "bsq" and options.width:
        config["features"] = options.width
    return models.build("tokenizers", {**SYSTEMS[options.name][0], **config})


def new_prior(options, tokenizer):
    """A PixelCNN or GPT; the options may change its shape."""
    plain = options.images or options.name in ("pixelcnn-binary", "bsq")
    if options.name.startswith("pixelcnn"):
        width, reach = options.width or 64, 4 * (1, 2, 4, 8, 1, 2, 8)
        config = {"kind": "pixelcnn.PixelCNN", "levels": tokenizer.vocabulary,
                  "head": 2 * width, "dilations": reach[:options.layers or 7]}
    else:
        width = options.width or 160
        config = {"kind": "gpt.GPT", "vocabulary": tokenizer.vocabulary,
                  "grid": tokenizer.grid, "layers": options.layers or 3,
                  "heads": max(heads for heads in range(1, width // 32 + 2)
                               if width % heads == 0),
                  "dropout": options.dropout or 0.0}
        if options.name == "gpt":  # 784 places: remember half, with one key
            config.update(spacing=2, shared=True)
    return models.build("priors", {**config, "width": width,
                                   "num_classes": 0 if plain else 10})


def read_set(options, tokenizer, split, in_tokens=False, shifts=0):
    """(pictures or tokens, labels or None) of a split; those in files are
    read when they are needed. FileNotFoundError where there is none."""
    labels = None
    if options.tokens:
        stored = weights.load(options.tokens)[0]
        if split not in stored:
            raise FileNotFoundError(f"no {split} tokens in {options.tokens}")
        inputs, in_tokens = stored[split].long(), False  # they are
    elif options.images or options.name == "bsq":
        inputs = data.frame_paths(split, options.images)
    else:
        inputs, labels = SYSTEMS[options.name][1](split)
    # validation digits are sorted by class: take them evenly
    count = options.limit or len(inputs)
    every = 1 if split == "train" else max(1, len(inputs) // count)
    chosen = slice(0, count * every, every)
    inputs, labels = inputs[chosen], None if labels is None else labels[chosen]

    def read(path):
        picture = torch.from_numpy(data.read_image(
            path, tokenizer.shapes, options.resize))
        return tokenizer.encode(picture[None])[0] if in_tokens else picture

    if not torch.is_tensor(inputs):
        files = training.Files(inputs, read)
        files[:1]  # a mistake in the first is told before any work
        return files, labels
    inputs, labels = data.shifted(inputs, labels, shifts)
    return tokenizer.encode(inputs) if in_tokens else inputs, labels


def measured(tokenizer, images):
    """(tokens, what a header says of the tokenizer)."""
    codes, errors = [], []
    for part in tqdm(images.split(16), total=-(-len(images) // 16)):
        codes.append(tokenizer.encode(part))
        errors.append(measures.mean_squared_error(
            part, tokenizer.decode(codes[-1])))
    codes = torch.cat(codes)
    return codes, {
        "valid_squared_error": torch.cat(errors).mean().item(),
        "valid_entropy_per_token": measures.entropy(codes),
        "valid_codes_used": measures.codebook_usage(codes,
                                                    tokenizer.vocabulary)}


def tokenize(options):
    """Write a data set as tokens: text of symbols, or for `--tokens`."""
    *folder, out = options.paths
    if Path(out).is_dir() or len(folder) > (options.name == "bsq"):
        raise ValueError(f"{' '.join(options.paths)}: give OUT, a new file, "
                         "and for bsq DIR before it")
    writable(Path(out).parent)
    if options.name == "symbols":
        symbols = models.build("tokenizers", SYSTEMS["symbols"][0])
        images, labels = (part[:options.limit] for part in
                          data.mnist(options.split or "train"))
        symbols.write(out, symbols.encode(images), labels)
        print(f"{len(images)} digits in {out}")
        return
    options.images, options.tokens = folder[0] if folder else None, None
    tokenizer, about = load_tokenizer(options.weights or "bsq", "bsq")
    frames, valid = (read_set(options, tokenizer, split)[0]
                     for split in ("train", "valid"))
    codes = torch.cat([tokenizer.encode(shown) for frame in tqdm(
        frames.split(1), total=len(frames)) for shown in (
        (frame, frame.flip(2)) if options.mirror else (frame,))])
    valid, scores = measured(tokenizer, valid)
    weights.save(out, {**models.learned(tokenizer), "train": codes.short(),
                       "valid": valid.short()},
                 {"tokenizer": models.describe(tokenizer)},
                 {**about.get("tokenizer", about), "data": source(options),
                  "mirrored": options.mirror, **scores})
    print(f"{len(codes)} and {len(valid)} frames in {out}")


def detokenize(options):
    """Turn a text of symbols back into pictures, NAME_LINE_LABEL.png each."""
    symbols, out = models.build("tokenizers", SYSTEMS["symbols"][0]), writable(
        options.out or "out")
    tokens, labels = symbols.read(options.file)
    names = [out / f"{Path(options.file).stem}_{line}_{label}.png"
             for line, label in enumerate(labels.tolist(), start=1)]
    for name in names:
        if name.exists():
            raise ValueError(f"{name} is taken: choose another --out")
    for image, name in zip(symbols.decode(tokens), names, strict=True):
        save_image(image, name)
    print(f"{len(names)} images in {out}")


def load_tokenizer(path, name):
    """(the tokenizer in a file of that system, the file's history)."""
    tokenizer, about = models.load_tokenizer(path)
    if about.get("name") != name:
        raise ValueError(f"{path} is no {name}")
    return tokenizer, about


def source(options):
    """What the images are, in words."""
    if options.tokens:
        return weights.load(options.tokens)[2]["data"]
    if options.images:
        return f"pictures in {Path(options.images).resolve().name}"
    return SYSTEMS[options.name][2]


CODING = training.Task(  # of the first two stages of bsq
    lambda net, images, _: net(images),
    lambda net, images, _: net.score(images), "loss",
    "thousandths (squared error + weighted bits)", 1e-3)


def train(options):
    """Train, with checkpoints, a loss curve and pictures; then score."""
    folder = writable(options.resume or options.out or (
        f"runs/{options.name}/{time.strftime('%Y%m%d-%H%M%S')}"))
    recipe = given(options, *(field.name for field in RECIPE.values()))
    if options.log_dir:
        writable(options.log_dir)
        importlib.import_module("torch.utils.tensorboard")  # told in time
    if options.resume:
        tokenizer, net, recipe, about = resume(options, recipe)
    else:
        for path in (folder / "state.pt", folder / BOOK):
            if FIRST and path.exists():
                raise ValueError(f"{path} is there: go on with --resume, use "
                                 "it as --tokenizer, or choose another --out")
        recipe = training.Recipe(**recipe)
        if options.name == "patches" and options.stage == "tokenizer":
            learn_codebook(options, recipe, folder)
            return
        tokenizer, net, about = begin(options, recipe, folder)
    model = models.ImageModel(tokenizer, net)
    config = {"tokenizer": models.describe(tokenizer)}
    if isinstance(net, RateDistortion):  # which holds the tokenizer
        config["objective"], task, learned = net.config, CODING, {}
        about["objective"] = net.config  # the prior's header tells of it, too
    else:
        config["prior"], task = models.describe(net), training.Task()
        learned = models.learned(tokenizer)

    def inputs(split, shifts=0):
        x, labels = read_set(options, tokenizer, split, "prior" in config,
                             shifts)
        return x, model.label_tensor(labels, len(x))

    train_set, valid_set = inputs("train", about["shifts"]), inputs("valid")
    about["train_images"] = len(train_set[0])
    if FIRST:
        count = sum(part.numel() for part in net.parameters())
        print(f"{options.name}: {about['data']}, {count:,} parameters, run in "
              f"{folder}", flush=True)
    training.train(
        net, train_set, valid_set, recipe, folder, config, about, learned,
        lambda history: report(options, model, valid_set[0], history, folder,
                               task.unit), bool(options.resume),
        device=options.device, task=task, compiled=options.compile)
    if FIRST:
        finish(options, folder / "best.safetensors", tokenizer, inputs)


def begin(options, recipe, folder):
    """(tokenizer, prior or RateDistortion, what is known) of a new run."""
    about = {"name": options.name, "data": source(options),
             "shifts": options.shifts or 0}
    torch.manual_seed(recipe.seed)  # the first weights
    path, history = options.weights or options.tokenizer or options.tokens, {}
    if path:
        tokenizer, history = load_tokenizer(path, options.name)
    elif options.name == "patches":
        tokenizer, history = learn_codebook(options, recipe, folder)
    else:
        tokenizer = new_tokenizer(options)
    if options.tokens:
        theirs = models.learned(load_tokenizer(options.tokens, "bsq")[0])
        if weights.digest(theirs) != weights.digest(models.learned(tokenizer)):
            raise ValueError(f"--tokens are of another tokenizer than {path}")
    if options.weights:
        about["started_from"] = history
    if options.name == "bsq" and options.stage != "prior":
        return tokenizer, RateDistortion(
            tokenizer, quantized=options.stage == "tokenizer",
            **given(options, "rate_weight")), about
    if models.learned(tokenizer):
        about["tokenizer"] = history.get("tokenizer", history)
    if options.weights:
        return tokenizer, models.load(path, "cpu").prior, about
    torch.manual_seed(recipe.seed)
    return tokenizer, new_prior(options, tokenizer), about


def learn_codebook(options, recipe, folder):
    """(tokenizer, its history), also in a file, which one process writes."""
    tokenizer = new_tokenizer(options)
    images, path = read_set(options, tokenizer, "train")[0], folder / BOOK
    if options.stage != "tokenizer":
        training.check_sizes(len(images), recipe.batch_size)  # in time
    started = time.monotonic()
    tokenizer.fit(images, recipe.seed)
    valid = read_set(options, tokenizer, "valid")[0]
    history = {"name": options.name, "data": source(options),
               "train_images": len(images), "seed": recipe.seed,
               **measured(tokenizer, valid)[1],
               "seconds": round(time.monotonic() - started, 1)}
    if FIRST:
        weights.save(path, models.learned(tokenizer),
                     {"tokenizer": models.describe(tokenizer)}, history)
        print(f"{path}: {score(history)}", flush=True)
    return tokenizer, history


def resume(options, recipe):
    """(tokenizer, prior or RateDistortion, recipe, what is known) of a run
    that was stopped; of its recipe, `training.train` lets `epochs` differ."""
    state = training.load_state(options.resume)
    try:
        run, config = state["run"], state["run"]["config"]
        if run["about"]["name"] != options.name:
            raise ValueError(f"{options.resume} is no {options.name}")
        tokenizer = models.restore({**state["prior"], **state["tokenizer"]},
                                   config, "tokenizer")
        net = (models.build("priors", config["prior"]) if "prior" in config
               else RateDistortion(tokenizer, **config["objective"]))
        return (tokenizer, net, training.Recipe(**{**run["recipe"], **recipe}),
                run["about"])
    except (LookupError, TypeError, ImportError, AttributeError,
            RuntimeError) as error:
        raise ValueError(f"{options.resume} is no run of this pixellab "
                         f"({error!r}): start anew") from None


def finish(options, path, tokenizer, inputs):
    """Score the best weights and say so in their header."""
    tensors, config, about = weights.load(path)
    if "prior" in config:
        sets = {"valid": inputs("valid")}
        with contextlib.suppress(FileNotFoundError):
            sets["test"] = inputs("test")
        key, losses = "valid_squared_error", {}
        if options.tokens:
            losses[key] = weights.load(options.tokens)[2][key]
        elif models.learned(tokenizer):
            images = read_set(options, tokenizer, "valid")[0]
            losses[key] = measured(tokenizer, images)[1][key]
        about = models.certify(path, sets, losses, options.device)
    elif config["objective"]["quantized"]:
        about.update(measured(load_tokenizer(path, options.name)[0],
                              inputs("valid")[0])[1])
        weights.save(path, tensors, config, about)
    print(f"{path}: {score(about)}")


def report(options, model, images, history, folder, unit):
    """curve.png, what the network makes of it so far, and --log-dir."""
    from matplotlib.figure import Figure  # no window, nothing to close

    if options.log_dir:
        from torch.utils.tensorboard import SummaryWriter

        with SummaryWriter(options.log_dir) as writer:
            for name, value in history[-1].items():
                writer.add_scalar(name, value, len(history))
    axis = Figure(dpi=110).subplots()
    figures.loss_curve(history, unit, axis).savefig(folder / "curve.png")
    if isinstance(model.prior, RateDistortion):
        kind, shown = "frames", torch.cat([
            images[:6], model.reconstruct(images[:6])])
    else:
        kind, shown = "samples", model.sample(
            10, range(10) if model.prior.num_classes else None)
    save_image(figures.sheet(shown, columns=len(shown) // 2),
               folder / f"{kind}_{history[-1]['epoch']:03}.png")


COMMANDS = {"models": list_models, "sample": sample, "complete": complete,
            "tokenize": tokenize, "detokenize": detokenize,
            "compress": compress, "decompress": decompress, "train": train}
