"""The command line: models, sample, complete, train, tokenize, compress..."""

import argparse
import contextlib
import dataclasses
import functools
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
from pixellab.tokenizers.bsq import RateDistortion


def main(arguments=None):
    """Run one command; bad input is one line on stderr and exit code 2."""
    warnings.formatwarning = lambda text, *_: f"pixellab: {text}\n"
    try:
        options = parser().parse_args(arguments)
        check_flags(options)
        COMMANDS[options.command](options)
    except (ValueError, OSError) as error:
        print(f"pixellab: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\npixellab: interrupted (a training run goes on with "
              "--resume FOLDER)", file=sys.stderr)
        return 130
    return 0


def number(kind=int, low=1, high=10**6):
    """An argparse type: a number from low to high."""
    def parse(text):
        if not low <= kind(text) <= high:
            raise argparse.ArgumentTypeError(
                f"{text} does not lie in {low} to {high}")
        return kind(text)

    parse.__name__ = "number"
    return parse


def numbers(text):
    """An argparse type: whole numbers with commas, as 0,1,2."""
    return [int(word) for word in text.split(",")]


RECIPE = {"--" + field.name.replace("_", "-"): field
          for field in dataclasses.fields(training.Recipe)}
FLAGS = {  # a type (bool: a switch, list: one or more) and the help
    "name": (str, "a model: see `pixellab models`"),
    "image": (str, "a picture of the model's size"),
    "files": (list, "pictures, or, to decompress, what `compress` wrote"),
    "paths": (list, "[DIR] OUT: pictures in train/ and valid/, a new file"),
    "--count": (number(), "images (of each target); complete: default 4"),
    "--targets": (numbers, "classes, as 0,1,2 (default: all)"),
    "--best-of": (number(), "draw so many, keep what a classifier prefers"),
    "--keep": (number(), "how many of --best-of (default: 8)"),
    "--rows": (int, "how many rows of the image are kept"),
    "--label": (int, "its class, if known"),
    "--temperature": (float, "default: 1; 0 takes the likeliest"),
    "--top-k": (int, "draw from the so many likeliest tokens"),
    "--top-p": (float, "draw from the likeliest with this probability"),
    "--gif": (bool, "also write the drawing as an animation"),
    "--model": (str, "a shipped model (default: bsq)"),
    "--resize": (bool, "resize pictures of another size"),
    "--out": (str, "folder to write into (default: out, or runs/...)"),
    "--weights": (str, "a weight file of one's own; train: start from it"),
    "--device": (str, "cpu, cuda or mps (default: the fastest)"),
    "--split": (str, "of MNIST (default: train)"),
    "--mirror": (bool, "each training picture mirrored, too"),
    "--limit": (number(), "only the first so many images"),
    "--stage": (str, "autoencoder, tokenizer or prior"),
    "--resume": (str, "continue the run in this folder"),
    "--images": (str, "a folder with train/ and valid/, of any length"),
    "--tokens": (str, "what `tokenize` wrote"),
    "--tokenizer": (str, "a stored tokenizer, used as it is"),
    "--width": (number(), "features (default: 160, pixelcnn 64, signs 96)"),
    "--layers": (number(), "blocks (default: 3, pixelcnn 7, gpt 2)"),
    "--dropout": (number(float, 0, 0.9), "default: 0"),
    "--shifts": (number(int, 0, 2), "teach moves by so many pixels, too"),
    "--patch": (number(), "pixels of a side (default: patches 4, bsq 5)"),
    "--codebook-size": (number(), "entries (default: 1024)"),
    "--bits": (number(), "signs of a patch (default: 10)"),
    "--rate-weight": (number(float, 0, 1), "squared error worth a bit"),
    "--compile": (bool, "torch.compile: for long runs on a GPU"),
    "--log-dir": (str, "TensorBoard logs go here"),
    **{flag: (field.type, f"default: {field.default}")
       for flag, field in RECIPE.items()}}

DRAW = " --temperature --top-k --top-p --seed --gif --out --weights --device"
RUN = " name --resume --limit --device --compile --log-dir " + " ".join(RECIPE)
BEGIN = RUN + " --weights --out"
PRIOR = BEGIN + " --width --layers --shifts"
FOLDER = " --images --resize"
SIGNS = BEGIN + FOLDER + " --stage --width --patch --bits"
JOBS = {  # what each takes
    "models": "",
    "sample": "name --count --targets --best-of --keep" + DRAW,
    "complete": "name image --rows --count --label --resize" + DRAW,
    "compress": "files --model --label --resize --out --weights",
    "decompress": "files --out --weights",
    "tokenize symbols": "name paths --split --limit",
    "tokenize bsq": "name paths --mirror --limit --resize --weights",
    "train pixelcnn": PRIOR + FOLDER,
    "train pixelcnn-binary": PRIOR,
    "train gpt": PRIOR + FOLDER + " --dropout",
    "train symbols": PRIOR + " --dropout",
    "train patches": PRIOR + " --dropout --tokenizer --patch --codebook-size",
    "train patches --stage tokenizer":
        "name --stage --patch --codebook-size --limit --seed --out",
    "train patches --stage prior": PRIOR + " --stage --dropout --tokenizer",
    "train bsq --stage autoencoder": SIGNS,
    "train bsq --stage tokenizer": SIGNS + " --rate-weight",
    "train bsq --stage prior": BEGIN + FOLDER + " --stage --dropout --width "
                               "--layers --tokenizer --tokens"}
RESUMED = RUN + FOLDER + " --tokens"
DECIDED = {  # what is settled where another flag is given
    "--weights": "--width --layers --dropout --patch --codebook-size --bits"
                 " --tokenizer",
    "--tokenizer": "--patch --codebook-size",
    "--tokens": "--tokenizer", "--resume": ""}


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
            settings = {bool: {"action": "store_true"},
                        list: {"nargs": "+"}}.get(kind, {"type": kind})
            if flag == "--rows":
                settings["required"] = True
            command.add_argument(flag, help=words, **settings)
    return top


def check_flags(options):
    """ValueError for a flag that would be ignored, or one that is missing."""
    given = {flag for flag in FLAGS if getattr(
        options, flag.strip("-").replace("-", "_"), None)
        not in (None, False)}
    job = options.command
    if job in ("tokenize", "train"):
        job += f" {options.name}" + (
            f" --stage {options.stage}" if "--stage" in given else "")
    if "--resume" in given:
        allowed = set(RESUMED.split())
    elif job in JOBS:
        allowed = set(JOBS[job].split())
    else:
        near = [one for one in JOBS if one.startswith(job)] or JOBS
        raise ValueError(f"there is no `{job}`: use one of {', '.join(near)}")
    job = f"`{job}`"
    for flag in given & DECIDED.keys():
        job += f" with {flag}"
        allowed -= set(DECIDED[flag].split())
    for flag in sorted(given - allowed):
        raise ValueError(f"{flag} is not for {job}: leave it out")
    if "--stage prior" in job and not given & DECIDED.keys():
        raise ValueError(f"{job} needs --tokenizer or --weights"
                         + " or --tokens" * (options.name == "bsq"))


def list_models(options):
    """List the shipped models; a star marks the book's systems."""
    for name in weights.names():
        about = weights.load(name)[2]
        star = "*" if name in models.models() else " "
        print(f"{star} {name:16} {about['data']:27} {score(about)}")


SCORES = {"accuracy": "{:.2%} read rightly",
          "bits_per_token": "{:.4f} bits a token",
          "entropy_per_token": "{:.4f} bits a token without a prior",
          "codes_used": "{:.1%} of the codes used",
          "psnr": "{:.2f} dB", "loss": "loss {:.5f} thousandths"}


def score(about):
    """What a header says was measured on validation images."""
    if "valid_squared_error" in about:
        error = about["valid_squared_error"]
        about = {**about, "valid_psnr": measures.psnr(error)}
    return ", ".join([words.format(about[f"valid_{name}"]) for name, words in
                      SCORES.items() if f"valid_{name}" in about]
                     + ["validation"])


# ------------------------------------------------- sample and complete

def sample(options):
    """Draw new images, NAME_LABEL_NUMBER.png each."""
    model = models.load(options.weights or options.name, options.device)
    if options.best_of and (options.count or options.gif) or (
            options.keep and not options.best_of):
        raise ValueError("--best-of goes with --keep, not with --count or "
                         "--gif; and --keep with nothing else")
    stem, classes = Path(options.name).stem, model.prior.num_classes
    count = options.count or (1 if classes or options.targets else 10)
    more = {}
    if options.best_of:
        more = {"best_of": options.best_of}
        count = options.keep or min(8, options.best_of)
    targets = sorted(set(options.targets or range(classes))) or [None]
    labels = [target for target in targets for _ in range(count)]
    names = [f"{stem}_{i}" if target is None else f"{stem}_{target}_{i}"
             for target in targets for i in range(count)]
    draw(options, model, names, functools.partial(
        model.stream, labels=labels), functools.partial(
        model.sample, labels=labels, **more))


def complete(options):
    """Finish an image, NAME_NUMBER.png each time."""
    model = models.load(options.weights or options.name, options.device)
    image = data.read_image(options.image, model.tokenizer.shapes,
                            options.resize)
    count = options.count or 4
    settings = {"images": np.repeat(image[None], count, axis=0),
                "rows": options.rows, "labels": [options.label] * count}
    names = [f"{Path(options.image).stem}_{i}" for i in range(count)]
    draw(options, model, names, functools.partial(
        model.stream, **settings), functools.partial(
        model.complete, **settings))


def draw(options, model, names, stream, finish):
    """Write a PNG an image; with --gif its drawing, too."""
    out, length = writable(options.out or "out"), model.tokenizer.length
    filters = {name: getattr(options, name) for name in
               ("temperature", "top_k", "top_p", "seed")
               if getattr(options, name) is not None}
    if options.gif:
        steps = tqdm(stream(**filters), total=length, desc="tokens")
        pictures = figures.frames(model, steps, count=min(56, length))
        for i, name in enumerate(names):
            large = pictures[:, i].repeat(8, axis=1).repeat(8, axis=2)
            with weights.atomic(out / f"{name}.gif") as path:
                figures.gif(path, large)
        images = pictures[-1]
    else:
        images = finish(progress=True, **filters).numpy()
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
    if not (there.is_dir() and os.access(there, os.W_OK)):
        raise PermissionError(f"{there} cannot be written to: choose another "
                              "place")
    return folder


# --------------------------------------------- compress and decompress

def compress(options):
    """Turn pictures into small files, IN.pbp each."""
    model = models.load(options.weights or options.model or "bsq", "cpu")
    model.label_tensor([options.label], 1)  # mistakes first
    out = writable(options.out or "out")
    pictures = {path: data.read_image(path, model.tokenizer.shapes,
                                      options.resize)
                for path in options.files}
    names, total = unique_names(options.files), 0
    for path, name in zip(tqdm(options.files), names, strict=True):
        blob = model.compress(pictures[path], options.label)
        with weights.atomic(out / f"{name}.pbp") as part:
            part.write_bytes(blob)
        total += len(blob)
    print(f"{len(names)} files in {out}, {total / len(names):.1f} bytes each")


def decompress(options):
    """Turn such files back into pictures, IN.png each."""
    opened, images = functools.cache(lambda name: models.load(name, "cpu")), {}
    names, out = unique_names(options.files), writable(options.out or "out")
    for path, name in zip(tqdm(options.files, delay=1), names, strict=True):
        blob, target = Path(path).read_bytes(), out / f"{name}.png"
        try:
            maker = options.weights or codec.unpack(blob)[0].model
            if not maker:
                raise ValueError("it was made by weights that do not ship: "
                                 "give them by --weights")
            if target.exists():
                raise ValueError(f"{target} is there: choose another --out")
            images[target] = opened(maker).decompress(blob)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from None
    for target, image in images.items():
        save_image(image, target)
    print(f"{len(names)} images in {out}")


def unique_names(paths):
    """The files' names without folder and ending; none may come twice."""
    names = [Path(path).stem for path in paths]
    if len(set(names)) < len(names):
        raise ValueError("two inputs have the same name, and one would "
                         "overwrite the other: rename one")
    return names


# --------------------------------------------------- tokenize and train

def static_mnist(split):
    return data.binarized_mnist(split), None


SYSTEMS = {  # name: (tokenizer, images of a split, what they are)
    "pixelcnn": ("pixels.Pixels", data.mnist, "MNIST, 256 levels"),
    "pixelcnn-binary": ("pixels.Pixels", static_mnist,
                        "static-binarised MNIST"),
    "gpt": ("pixels.Pixels", data.mnist, "MNIST, 256 levels"),
    "symbols": ("symbols.Symbols", data.mnist, "MNIST, 30x30, rounded"),
    "patches": ("patches.Patches", data.mnist, "MNIST, 256 levels"),
    "bsq": ("bsq.BSQ", None, "SuperTuxKart frames, 150x100")}


def new_tokenizer(options):
    given = {"patch": options.patch, "codebook_size": options.codebook_size,
             "bits": options.bits,
             "features": options.width if options.name == "bsq" else None,
             "levels": 2 if options.name == "pixelcnn-binary" else None}
    return models.build("tokenizers", {"kind": SYSTEMS[options.name][0], **{
        name: value for name, value in given.items() if value}})


def new_prior(options, tokenizer):
    """A PixelCNN or GPT; the options may change its shape."""
    plain = options.images or options.name in ("pixelcnn-binary", "bsq")
    if options.name.startswith("pixelcnn"):
        width, dilations = options.width or 64, 7 * (1, 2, 1, 4)
        config = {"kind": "pixelcnn.PixelCNN", "levels": tokenizer.vocabulary,
                  "head": 2 * width,
                  "dilations": dilations[:options.layers or 7]}
    else:
        width, few = options.width or 160, 2 if options.name == "gpt" else 3
        config = {"kind": "gpt.GPT", "vocabulary": tokenizer.vocabulary,
                  "grid": tokenizer.grid, "layers": options.layers or few,
                  "heads": max(heads for heads in range(1, width // 32 + 2)
                               if width % heads == 0),
                  "dropout": options.dropout or 0.0}
    return models.build("priors", {**config, "width": width,
                                   "num_classes": 0 if plain else 10})


def read_set(options, tokenizer, split, in_tokens=False, shifts=0):
    """(inputs, labels or None) of a split: pictures, or their tokens.

    Those in files are read, resized and encoded when they are needed.
    FileNotFoundError where there is no such set.
    """
    if options.tokens:
        stored = weights.load(options.tokens)[0]
        if split not in stored:
            raise FileNotFoundError(f"{options.tokens} holds no {split} "
                                    "tokens: make some by `tokenize`")
        inputs, labels = stored[split].long(), None
    elif options.images or options.name == "bsq":
        if split == "test":
            raise FileNotFoundError("there are no pictures to test")
        inputs, labels = data.frame_paths(split, options.images), None
    else:
        inputs, labels = SYSTEMS[options.name][1](split)
    # validation digits are sorted by class: take them evenly spaced
    every = 1 if split == "train" or not options.limit else max(
        1, len(inputs) // options.limit)
    inputs = inputs[::every][:options.limit]
    if labels is not None:
        labels = labels[::every][:options.limit]

    def read(path):
        picture = torch.from_numpy(data.read_image(
            path, tokenizer.shapes, options.resize))
        return tokenizer.encode(picture[None])[0] if in_tokens else picture

    if not torch.is_tensor(inputs):
        files = training.Files(inputs, read)
        files[:1]  # a mistake in the first is told before any work
        return files, labels
    inputs, labels = data.shifted(inputs, labels, shifts)
    if in_tokens and not options.tokens:
        inputs = tokenizer.encode(inputs)
    return inputs, labels


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
    if len(folder) > (options.name == "bsq"):
        raise ValueError(f"{len(options.paths)} paths were given: OUT, and "
                         "before it for bsq DIR, are enough")
    if Path(out).is_dir():
        raise ValueError(f"{out} is a folder: name a file")
    writable(Path(out).parent)
    if options.name == "symbols":
        symbols = models.build("tokenizers", {"kind": "symbols.Symbols"})
        images, labels = data.mnist(options.split or "train")
        tokens = symbols.encode(images[:options.limit])
        with weights.atomic(out) as part:
            part.write_text("".join(
                symbols.to_text(line, int(label)) + "\n"
                for line, label in zip(tokens, labels, strict=False)))
        print(f"{len(tokens)} digits in {out}")
        return
    options.images, options.tokens = folder[0] if folder else None, None
    tokenizer, about = load_tokenizer(options.weights or "bsq", "bsq")
    frames, codes = read_set(options, tokenizer, "train")[0], []
    for frame in tqdm(frames.split(1), total=len(frames)):
        codes.append(tokenizer.encode(frame))
        if options.mirror:
            codes.append(tokenizer.encode(frame.flip(2)))
    codes = torch.cat(codes)
    valid, scores = measured(tokenizer,
                             read_set(options, tokenizer, "valid")[0])
    weights.save(
        out, {**models.learned(tokenizer), "train": codes.short(),
              "valid": valid.short()},
        {"tokenizer": models.describe(tokenizer)},
        {**about.get("tokenizer", about), "data": source(options),
         "mirrored": options.mirror, **scores})
    print(f"{len(codes)} training and {len(valid)} validation frames in "
          f"{out}")


def source(options):
    """What the images are, in words."""
    if options.tokens:
        return weights.load(options.tokens)[2]["data"]
    if options.images:
        return f"pictures in {Path(options.images).resolve().name}"
    return SYSTEMS[options.name][2]


def load_tokenizer(path, name):
    """(the tokenizer in a file of that system, the file's history)."""
    tokenizer, about = models.load_tokenizer(path)
    if about.get("name") != name:
        raise ValueError(f"{path} is no {name}")
    return tokenizer, about


def begin(options):
    """(tokenizer, network, recipe, what is known), new or of --resume.

    The network is a prior, a RateDistortion, or None (a codebook is all).
    """
    recipe = {field.name: vars(options)[field.name] for field in
              RECIPE.values() if vars(options)[field.name] is not None}
    if options.resume:
        state = training.load_state(options.resume)
        run, config = state["run"], state["run"]["config"]
        if run["about"]["name"] != options.name:
            raise ValueError(f"{options.resume} is no {options.name}")
        tokenizer = models.restore({**state["prior"], **state["tokenizer"]},
                                   config, "tokenizer")
        if "prior" in config:
            network = models.build("priors", config["prior"])
        else:
            network = RateDistortion(tokenizer, **config["objective"])
        recipe = training.Recipe(**{**run["recipe"], **recipe})
        return tokenizer, network, recipe, run["about"]
    recipe = training.Recipe(**recipe)
    about = {"name": options.name, "data": source(options),
             "shifts": options.shifts or 0}
    torch.manual_seed(recipe.seed)  # the first weights
    path = options.weights or options.tokenizer or options.tokens
    if path:
        tokenizer, history = load_tokenizer(path, options.name)
        if models.learned(tokenizer):
            about["tokenizer"] = history.get("tokenizer", history)
        if options.weights:
            about["started_from"] = history
    else:
        tokenizer = new_tokenizer(options)
    if options.tokens:
        made_by = load_tokenizer(options.tokens, "bsq")[0]
        if weights.digest(models.learned(made_by)) != weights.digest(
                models.learned(tokenizer)):
            raise ValueError(f"{options.tokens} was made by another tokenizer "
                             f"than that of {path}")
    if options.name == "bsq" and options.stage != "prior":
        about.pop("tokenizer", None)
        objective = {"quantized": options.stage == "tokenizer"}
        if options.rate_weight is not None:
            objective["rate_weight"] = options.rate_weight
        network = RateDistortion(tokenizer, **objective)
    elif options.weights:
        network = models.load(path, "cpu").prior
    elif options.stage == "tokenizer":
        network = None
    else:
        torch.manual_seed(recipe.seed)
        network = new_prior(options, tokenizer)
    return tokenizer, network, recipe, about


def learn_tokenizer(tokenizer, recipe, options, about, path):
    """Fit a codebook, write it (one process does), return its history."""
    images = read_set(options, tokenizer, "train")[0]
    if options.stage != "tokenizer":
        training.check_sizes(len(images), recipe)  # before the long work
    started = time.monotonic()
    tokenizer.fit(images, recipe.seed, progress=True)
    about = {"name": about["name"], "data": about["data"],
             "train_images": len(images), "seed": recipe.seed,
             **measured(tokenizer, read_set(options, tokenizer, "valid")[0]
                        )[1],
             "seconds": round(time.monotonic() - started, 1)}
    if is_first_process():
        weights.save(path, models.learned(tokenizer),
                     {"tokenizer": models.describe(tokenizer)}, about)
        print(f"{path}: {score(about)}", flush=True)
    return about


def is_first_process():
    """Whether this one writes and prints: what the launchers set tells it,
    since Accelerate may not be asked before it knows its device."""
    return os.environ.get("RANK", "0") == "0"


def train(options):
    """Train, with checkpoints, a loss curve and pictures; then score."""
    folder = writable(options.resume or options.out or (
        f"runs/{options.name}/{time.strftime('%Y%m%d-%H%M%S')}"))
    for name in ("state.pt", "tokenizer.safetensors"):
        if is_first_process() and not options.resume and (
                folder / name).exists():
            raise ValueError(f"{folder / name} is there: go on with --resume "
                             "(--tokenizer), or choose another --out")
    tokenizer, net, recipe, about = begin(options)
    if options.name == "patches" and "tokenizer" not in about:
        about["tokenizer"] = learn_tokenizer(
            tokenizer, recipe, options, about,
            folder / "tokenizer.safetensors")
    if net is None:
        return
    model = models.ImageModel(tokenizer, net)
    config = {"tokenizer": models.describe(tokenizer)}
    if isinstance(net, RateDistortion):
        config["objective"], learned = net.config, {}
        task = training.Task(
            lambda net, images, _: net(images),
            lambda net, images, _: net.score(images), "loss",
            "thousandths (squared error + weighted bits)", 1e-3)
    else:
        config["prior"], task = models.describe(net), training.Task()
        learned = models.learned(tokenizer)

    def inputs(split, shifts=0):
        x, labels = read_set(options, tokenizer, split, "prior" in config,
                             shifts)
        return x, model.label_tensor(labels, len(x))

    train_set, valid_set = inputs("train", about["shifts"]), inputs("valid")
    about["train_images"] = len(train_set[0])
    if is_first_process():
        count = sum(part.numel() for part in net.parameters())
        print(f"{options.name}: {about['data']}, {about['train_images']} "
              f"training images, {count:,} parameters, run in {folder}",
              flush=True)
    training.train(
        net, train_set, valid_set, recipe, folder, config, about, learned,
        lambda history: picture(model, valid_set[0], history, folder,
                                task.unit),
        options.log_dir, bool(options.resume), device=options.device,
        compiled=options.compile, task=task)
    if is_first_process():
        finish(options, folder / "best.safetensors", tokenizer, inputs)


def finish(options, path, tokenizer, inputs):
    """Score the best weights and say so in their header."""
    tensors, config, about = weights.load(path)
    if "prior" in config:
        sets, losses = {"valid": inputs("valid")}, {}
        with contextlib.suppress(FileNotFoundError):
            sets["test"] = inputs("test")
        if options.tokens:
            key = "valid_squared_error"
            losses[key] = weights.load(options.tokens)[2][key]
        elif models.learned(tokenizer):
            for name in sets:
                images = read_set(options, tokenizer, name)[0]
                losses[f"{name}_squared_error"] = measured(
                    tokenizer, images)[1]["valid_squared_error"]
        about = models.certify(path, sets, losses, options.device)
    elif config["objective"]["quantized"]:
        about.update(measured(models.load_tokenizer(path)[0],
                              inputs("valid")[0])[1])
        weights.save(path, tensors, config, about)
    print(f"{path}: {score(about)}")


def picture(model, images, history, folder, unit):
    """curve.png, and what the network makes of it so far."""
    from matplotlib.figure import Figure  # no window, nothing to close

    axis = Figure(dpi=110).subplots()
    figures.loss_curve(history, unit, axis).savefig(folder / "curve.png")
    if isinstance(model.prior, RateDistortion):
        kind, shown = "frames", torch.cat([
            images[:6], model.reconstruct(images[:6])])
    else:
        labels = list(range(10)) if model.prior.num_classes else None
        kind, shown = "samples", model.sample(10, labels)
    save_image(figures.sheet(shown, columns=len(shown) // 2),
               folder / f"{kind}_{history[-1]['epoch']:03}.png")


COMMANDS = {"models": list_models, "sample": sample, "complete": complete,
            "tokenize": tokenize, "compress": compress,
            "decompress": decompress, "train": train}
