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
from pixellab.model import (
    PART,
    ImageModel,
    build,
    certify,
    describe,
    is_lossy,
    learned,
    load,
    load_tokenizer,
    models,
    restore_tokenizer,
)
from pixellab.priors.gpt import GPT
from pixellab.priors.pixelcnn import PixelCNN
from pixellab.tokenizers.bsq import BSQ, RateDistortion
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
    command.add_argument("name", choices=("symbols", "bsq"))
    command.add_argument("paths", nargs="+", metavar="[DIR] OUT", help="bsq: "
                         "where train/ and valid/ are (default: SuperTuxKart)"
                         " and a .safetensors file; symbols: a text file, one "
                         "line a digit")
    command.add_argument("--split", choices=data.SPLITS,
                         help="symbols: which digits (default: train)")
    command.add_argument("--limit", type=number(int, 1, 10**9),
                         help="only the first so many images")
    command.add_argument("--mirror", action="store_true",
                         help="bsq: each training frame mirrored, too")
    command.add_argument("--resize", action="store_true",
                         help="bsq: resize pictures of another size")
    command.add_argument("--weights", help="bsq: a tokenizer of one's own")
    command.set_defaults(command=tokenize)

    command = commands.add_parser("compress", help="pictures to small files")
    command.add_argument("images", nargs="+", metavar="IN",
                         help="a picture of the model's size")
    command.add_argument("--model", default="bsq", help="a shipped model "
                         "(default: %(default)s)")
    command.add_argument("--label", type=int, help="their class, if known")
    command.add_argument("--resize", action="store_true",
                         help="resize pictures of another size")
    command.set_defaults(command=compress)
    decoder = commands.add_parser("decompress", help="and back")
    decoder.add_argument("files", nargs="+", metavar="IN", help="a file that "
                         "`compress` wrote")
    decoder.set_defaults(command=decompress)
    for one in (command, decoder):
        one.add_argument("--out", default="out", help="folder to write into")
        one.add_argument("--weights", help="a weight file of one's own")

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
                         help="features (default: pixelcnn 64, stages "
                         "of bsq before the prior 96, others 160)")
    command.add_argument("--layers", type=size,
                         help="blocks (default: pixelcnn 7, gpt 2, others 3)")
    command.add_argument("--heads", type=size, help="attention heads "
                         "(default: one for each 32 features)")
    command.add_argument("--dropout", type=number(float, 0, 0.9),
                         help="of a transformer (default: 0)")
    command.add_argument("--stage", choices=("autoencoder", "tokenizer",
                                             "prior"),
                         help="only one step (patches: the last two; bsq "
                         "needs to be told)")
    command.add_argument("--patch", type=size, help="pixels of a side of a "
                         "patch (default: patches 4, bsq 5)")
    command.add_argument("--codebook-size", type=size,
                         help="patches: entries (default: 1024)")
    command.add_argument("--bits", type=size,
                         help="bsq: signs of a patch (default: 10)")
    command.add_argument("--rate-weight", type=number(float, 0, 1), help="bsq:"
                         " squared error that a bit a token is worth")
    command.add_argument("--tokenizer", metavar="FILE", help="a model, or a "
                         "stored tokenizer, that is used as it is")
    command.add_argument("--tokens", metavar="FILE", help="bsq: what "
                         "`tokenize` wrote, instead of --tokenizer")
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
    except (OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise ValueError(f"{path} is not a picture that can be read "
                         f"({error})") from None


# --------------------------------------------- compress and decompress

def compress(options):
    """IN.pbp for each picture."""
    model = load(options.weights or options.model, "cpu")
    model.label_tensor([options.label], 1)  # mistakes first
    pictures = {path: read_image(path, model.tokenizer, options.resize)
                for path in options.images}
    names, out = unique_names(options.images), writable(options.out)
    total = 0
    for path, name in zip(tqdm(options.images), names, strict=True):
        blob = model.compress(pictures[path], options.label)
        with weights.atomic(out / f"{name}.pbp") as part:
            part.write_bytes(blob)
        total += len(blob)
    print(f"{len(names)} files in {out}, {total / len(names):.1f} bytes each")


def decompress(options):
    """IN.png for each file. All are looked at before any is decoded."""
    opened, jobs = functools.lru_cache(lambda name: load(name, "cpu")), []
    names, out = unique_names(options.files), Path(options.out)
    for path, name in zip(options.files, names, strict=True):
        blob = Path(path).read_bytes()
        with explained_for(path):
            maker = options.weights or codec.unpack(blob)[0].model
            if not maker:
                raise ValueError("it was made by weights that do not ship: "
                                 "give them by --weights")
            opened(maker).open(blob)
        if (out / f"{name}.png").exists():
            raise ValueError(f"{out / name}.png is there: choose another "
                             "--out")
        jobs.append((path, name, opened(maker), blob))
    writable(out)
    for path, name, model, blob in tqdm(jobs):
        with explained_for(path):
            write([model.decompress(blob).numpy()], [name], out)
    print(f"{len(names)} images in {out}")


@contextlib.contextmanager
def explained_for(path):
    """Errors that begin with the file they are about."""
    try:
        yield
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def unique_names(paths):
    """The files' names without folder and ending; none may come twice."""
    names = [Path(path).stem for path in paths]
    if len(set(names)) < len(names):
        raise ValueError("two inputs have the same name, and one would "
                         "overwrite the other: rename one")
    return names


# --------------------------------------------------- tokenize and train

def tokenize(options):
    """A data set as tokens: text of symbols, or what `--tokens` reads."""
    of_frames = ("folder", "mirror", "resize", "weights")
    *folder, out = map(Path, options.paths)
    if len(folder) > 1:
        raise ValueError(f"{len(options.paths)} paths were given: DIR and OUT "
                         "are enough")
    options.folder = folder[0] if folder else None
    if out.is_dir():
        raise ValueError(f"{out} is a folder: name a file")
    for name in of_frames if options.name == "symbols" else ("split",):
        if getattr(options, name):
            raise ValueError(f"{name} is not for {options.name}: leave it "
                             "out")
    writable(out.parent)
    if options.name == "bsq":
        return tokenize_frames(options, out)
    tokenizer, limit = Symbols(), options.limit
    images, labels = data.mnist(options.split or "train")
    tokenizer.write(out, tokenizer.encode(images[:limit]), labels[:limit])
    print(f"{len(images[:limit])} digits in {out}")


def tokenize_frames(options, out):
    """Tokens of train/ and valid/ beside the tokenizer that made them."""
    tokenizer, about = typed_tokenizer(options.weights or "bsq", BSQ)
    found = {}
    for split in ("train", "valid"):
        paths = data.frame_paths(split, options.folder)[:options.limit]
        codes, errors = [], []
        for path in tqdm(paths, desc=split):
            frame = torch.from_numpy(read_image(path, tokenizer,
                                                options.resize))[None]
            codes.append(tokenizer.encode(frame))
            if split == "valid":
                errors.append(measures.mean_squared_error(
                    frame, tokenizer.decode(codes[-1])))
            elif options.mirror:
                codes.append(tokenizer.encode(frame.flip(2)))
        found[split] = torch.cat(codes).to(torch.int16)  # bits <= 15
    about = {**about, "data": TRAINABLE["bsq"][1], "mirrored": options.mirror,
             **scores(tokenizer, found["valid"], torch.cat(errors))}
    if options.folder:
        about["data"] = f"pictures in {options.folder.name}"
    weights.save(out, {**learned(tokenizer), **found},
                 {"tokenizer": describe(tokenizer)}, about)
    print(f"{len(found['train'])} training and {len(found['valid'])} "
          f"validation frames in {out}")


def static_mnist(split):
    return data.binarized_mnist(split), None


def frames(split):
    if split == "test":
        raise FileNotFoundError("these frames have no test set")
    return data.supertux(split), None


# name: (images of a split, what they are)
TRAINABLE = {
    "pixelcnn": (data.mnist, "MNIST, 256 levels"),
    "pixelcnn-binary": (static_mnist, "static-binarised MNIST"),
    "gpt": (data.mnist, "MNIST, 256 levels"),
    "symbols": (data.mnist, "MNIST, 30x30, rounded"),
    "patches": (data.mnist, "MNIST, 256 levels"),
    "bsq": (frames, "SuperTuxKart frames, 150x100")}

RECIPE = {field.name for field in dataclasses.fields(training.Recipe)}
PRIOR = RECIPE | {"log_dir", "width", "layers", "shifts"}
TRANSFORMER = PRIOR | {"heads", "dropout"}
JOBS = {  # what each takes, beside --limit, --out, --device and so on
    "pixelcnn": PRIOR, "pixelcnn-binary": PRIOR,
    "gpt": TRANSFORMER, "symbols": TRANSFORMER,
    "patches": TRANSFORMER | {"patch", "codebook_size", "tokenizer"},
    "patches --stage tokenizer": {"patch", "codebook_size", "seed"},
    "patches --stage prior": TRANSFORMER | {"tokenizer"},
    "bsq --stage autoencoder": RECIPE | {"log_dir", "width", "patch", "bits"},
    "bsq --stage tokenizer": RECIPE | {"log_dir", "width", "patch", "bits",
                                       "rate_weight"},
    "bsq --stage prior": TRANSFORMER - {"shifts"} | {"tokenizer", "tokens"}}
STORED = {"width", "layers", "heads", "dropout", "patch", "codebook_size",
          "bits", "tokenizer"}  # decided where weights are given


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
               dropout=options.dropout or 0.0,
               num_classes=0 if options.name == "bsq" else 10)


def read_recipe(options, stored):
    """The stored recipe, or the defaults, with what the options change."""
    given = {name: getattr(options, name) for name in RECIPE
             if getattr(options, name) is not None}
    if stored and set(stored) != RECIPE:
        raise ValueError("this run was begun by another version: start anew")
    return training.Recipe(**{**stored, **given})


def check_flags(options):
    """ValueError for a flag that would be ignored, or one that is missing."""
    job = options.name
    if options.resume:
        allowed, job = RECIPE | {"log_dir", "tokens"}, "a run that goes on"
        if options.weights or options.out or options.stage:
            raise ValueError("--resume goes on in its folder: leave out "
                             "--weights, --out and --stage")
    else:
        if options.stage:
            job += f" --stage {options.stage}"
        if job not in JOBS:
            raise ValueError(f"there is no `train {job}`: use one of "
                             + ", ".join(name for name in JOBS if
                                         name.startswith(options.name)))
        allowed = JOBS[job] - (STORED if options.weights else set())
        job = f"`train {job}`" + " with --weights" * bool(options.weights)
    for name in sorted(set().union(*JOBS.values()) - allowed):
        if getattr(options, name) is not None:
            raise ValueError(f"--{name.replace('_', '-')} is not for {job}: "
                             "leave it out")
    if options.stage == "prior" and not (
            options.tokenizer or options.tokens or options.weights):
        raise ValueError("--stage prior needs a tokenizer: --tokenizer FILE"
                         + " or --tokens FILE" * (options.name == "bsq"))
    if options.tokenizer and options.tokens:
        raise ValueError("--tokens brings its tokenizer: leave out "
                         "--tokenizer")


def stored_tokenizer(options):
    """(the tokenizer of --tokenizer, its history), as the options ask."""
    path = options.tokenizer or options.tokens
    tokenizer, about = typed_tokenizer(
        path, BSQ if options.name == "bsq" else Patches)
    for name in ("patch", "codebook_size"):
        asked, there = getattr(options, name), tokenizer.config.get(name)
        if asked not in (None, there):
            raise ValueError(
                f"{path} has {name} {there}, not {asked}: use another file, "
                "or learn one with --stage tokenizer")
    return tokenizer, about


def typed_tokenizer(path, kind):
    """(a stored tokenizer of that class, its own history)."""
    tokenizer, about = load_tokenizer(path)
    if type(tokenizer) is not kind:
        raise ValueError(f"{path} holds no tokenizer of "
                         f"{kind.__name__.lower()}")
    return tokenizer, about.get("tokenizer", about)


def measured(tokenizer, images):
    """What a header says of a tokenizer: squared error, bits, entries."""
    codes = tokenizer.encode(images)
    return scores(tokenizer, codes, measures.mean_squared_error(
        images, tokenizer.decode(codes)))


def scores(tokenizer, codes, errors):
    return {"valid_squared_error": errors.mean().item(),
            "valid_entropy_per_token": measures.entropy(codes),
            "valid_codes_used": measures.codebook_usage(
                codes, tokenizer.vocabulary)}


def told(about):
    """The same for people."""
    return (f"{measures.psnr(about['valid_squared_error']):.2f} dB, "
            f"{about['valid_entropy_per_token']:.4f} bits a token without a "
            f"prior, {about['valid_codes_used']:.1%} of the codes used, "
            "validation")


def check_tokens(options, tokenizer, place):
    """ValueError where --tokens come from another tokenizer than this."""
    if options.tokens:
        mine = learned(tokenizer)
        theirs = learned(load_tokenizer(options.tokens)[0])
        if mine.keys() != theirs.keys() or not all(
                torch.equal(mine[key], theirs[key]) for key in mine):
            raise ValueError(f"{options.tokens} was made by another tokenizer "
                             f"than that of {place}")


def learn_tokenizer(tokenizer, seed, split, about, folder):
    """Fit it, write FOLDER/tokenizer.safetensors, return its history."""
    path, first = folder / "tokenizer.safetensors", training.is_first_process()
    if first and path.exists():
        raise ValueError(f"{path} is there: go on with --tokenizer {path}, "
                         "or choose another --out")
    images, valid = split("train")[0], split("valid")[0]
    started = time.monotonic()
    tokenizer.fit(images, seed, progress=True)
    about = {**about, "train_images": len(images), "seed": seed,
             **measured(tokenizer, valid),
             "seconds": round(time.monotonic() - started, 1)}
    if first:  # every process learns the same
        weights.save(path, learned(tokenizer),
                     {"tokenizer": describe(tokenizer)}, about)
        print(f"{path}: {told(about)}", flush=True)
    return about


def begin(options, folder, split):
    """(model, recipe, what is known of the data) of a new or resumed run.

    split(name): (images, labels). The model has no prior where only the
    tokenizer was asked for.
    """
    about = {"name": options.name, "data": TRAINABLE[options.name][1]}
    if options.resume:
        state = training.load_state(folder)
        run, config = state["run"], state["run"]["config"]
        model = ImageModel(restore_tokenizer(state["tokenizer"], config),
                           build("priors", config["prior"]))
        check_tokens(options, model.tokenizer, folder)
        return model, read_recipe(options, run["recipe"]), run["about"]
    recipe = read_recipe(options, {})
    if options.weights:
        model = load(options.weights, "cpu")
        if model.provenance.get("name") != options.name:
            raise ValueError(f"{options.weights} is no {options.name}")
        check_tokens(options, model.tokenizer, options.weights)
        if "tokenizer" in model.provenance:
            about["tokenizer"] = model.provenance["tokenizer"]
        about["started_from"] = model.provenance
        return model, recipe, about
    prior, stored = None, options.tokenizer or options.tokens
    if stored:
        tokenizer, about["tokenizer"] = stored_tokenizer(options)
        if options.tokens:
            about["data"] = about["tokenizer"]["data"]
    else:
        tokenizer = new_tokenizer(options)
    if options.stage != "tokenizer":  # mistakes first, then the long work
        torch.manual_seed(recipe.seed)  # the first weights
        prior = new_prior(options, tokenizer)
        training.check_sizes(len(split("train")[0]), recipe)
    writable(folder)
    if hasattr(tokenizer, "fit") and not stored:
        about["tokenizer"] = learn_tokenizer(tokenizer, recipe.seed, split,
                                             about, folder)
    return ImageModel(tokenizer, prior), recipe, about


def train(options):
    """Train, with checkpoints, a loss curve and samples after each epoch;
    then score the best weights on validation and test."""
    folder = Path(options.resume or options.out or
                  f"runs/{options.name}/{time.strftime('%Y%m%d-%H%M%S')}")
    check_flags(options)
    config = {}
    if options.resume:
        run = training.load_state(folder)["run"]
        config, name = run["config"], run["about"]["name"]
        if name != options.name:
            raise ValueError(f"{folder} holds a run of {name}, not "
                             f"{options.name}")
    elif (folder / "state.pt").exists():
        raise ValueError(f"{folder} holds a run: continue it with --resume, "
                         "or choose another --out")
    if "objective" in config or (
            options.name == "bsq" and options.stage in ("autoencoder",
                                                        "tokenizer")):
        train_bsq(options, folder)
    else:
        train_prior(options, folder)


def splitter(options):
    """split(name) -> (inputs, labels): images, or tokens read from a file."""
    images = TRAINABLE[options.name][0]
    if options.tokens:
        tensors = weights.load(options.tokens)[0]
        if "train" not in tensors:
            raise ValueError(f"{options.tokens} holds no tokens: make them "
                             "by `pixellab tokenize`")

    def split(name):
        if not options.tokens:
            x, labels = images(name)
        elif name in tensors:
            x, labels = tensors[name].long(), None
        else:
            raise FileNotFoundError(f"no {name} in {options.tokens}")
        # validation digits are sorted by class: take them evenly spaced
        every = 1 if name == "train" or not options.limit else max(
            1, len(x) // options.limit)
        if labels is not None:
            labels = labels[::every][:options.limit]
        return x[::every][:options.limit], labels

    return split


def train_bsq(options, folder):
    """The first steps of bsq: frames to codes and back."""
    about = {"name": "bsq", "data": TRAINABLE["bsq"][1]}
    if options.resume:
        run = training.load_state(folder)["run"]
        config, about = run["config"], run["about"]
        recipe = read_recipe(options, run["recipe"])
        tokenizer = build("tokenizers", config["tokenizer"])
    else:
        recipe = read_recipe(options, {})
        torch.manual_seed(recipe.seed)
        if options.weights:
            tokenizer, about["started_from"] = typed_tokenizer(
                options.weights, BSQ)
        else:
            tokenizer = BSQ(options.patch or 5, options.bits or 10,
                            features=options.width or 96)
        config = {"objective": {"quantized": options.stage == "tokenizer"}}
        if options.rate_weight is not None:
            config["objective"]["rate_weight"] = options.rate_weight
    net = RateDistortion(tokenizer, **config["objective"])
    config = {"tokenizer": describe(tokenizer), "objective": net.config}
    split = splitter(options)
    sets = [(x, torch.zeros(len(x), dtype=torch.int64))
            for x in (split("train")[0], split("valid")[0])]
    valid = sets[1][0]
    training.check_sizes(len(sets[0][0]), recipe)
    writable(folder)
    task = training.Task(
        lambda net, images, _: net(images),
        lambda net, images, _: net.score(images), name="loss",
        unit="thousandths (squared error + weighted bits)", scale=1e-3)
    training.train(
        net, *sets, recipe, folder, config, log_dir=options.log_dir,
        about={**about, "train_images": len(sets[0][0])}, task=task,
        on_epoch=lambda history: picture_frames(
            tokenizer, valid[:6], history, folder),
        resume=options.resume is not None, device=options.device,
        compiled=options.compile)
    if training.is_first_process():
        finish_bsq(folder / "best.safetensors", valid)


def finish_bsq(path, valid):
    """Measure the stored tokenizer and write it into its header."""
    tensors, config, about = weights.load(path)
    if not config["objective"]["quantized"]:
        print(f"{path}: {about['valid_loss']:.5f} thousandths of squared "
              "error without quantisation, validation")
        return
    about.update(measured(load_tokenizer(path)[0], valid))
    weights.save(path, tensors, config, about)
    print(f"{path}: {told(about)}")


def train_prior(options, folder):
    """Everything else, and the last step of bsq."""
    split = splitter(options)
    model, recipe, about = begin(options, folder, split)
    tokenizer, prior = model.tokenizer, model.prior
    if prior is None:
        return
    config = {"tokenizer": describe(tokenizer), "prior": describe(prior)}
    about.setdefault("shifts", options.shifts or 0)

    def in_tokens(inputs, labels):
        labels = model.label_tensor(labels, len(inputs))
        return (inputs if options.tokens else tokenizer.encode(inputs),
                labels)

    train_set = in_tokens(*data.shifted(*split("train"), about["shifts"]))
    valid_set = in_tokens(*split("valid"))
    about["train_images"] = len(train_set[0])
    if training.is_first_process():
        print(f"{options.name}: {about['data']}, "
              f"{about['train_images']} training images, "
              f"{sum(p.numel() for p in prior.parameters()):,} parameters, "
              f"run in {folder}", flush=True)
    training.train(
        prior, train_set, valid_set, recipe, folder, config,
        log_dir=options.log_dir, about=about, tokenizer=learned(tokenizer),
        on_epoch=lambda history: picture_run(model, history, folder),
        resume=options.resume is not None, device=options.device,
        compiled=options.compile)
    if not training.is_first_process():
        return
    try:
        test_set = in_tokens(*split("test"))
    except FileNotFoundError:
        test_set = None
    distortion = {}
    if options.tokens:
        key = "valid_squared_error"
        distortion[key] = load_tokenizer(options.tokens)[1][key]
    elif is_lossy(tokenizer):
        for name in ("valid", "test") if test_set else ("valid",):
            distortion[f"{name}_squared_error"] = model.distortion(
                split(name)[0]).mean().item()
    best = folder / "best.safetensors"
    about = certify(best, valid_set, test_set, distortion, options.device,
                    progress=True)
    print(f"{best}: {score(about)}, validation")


def picture_frames(tokenizer, images, history, folder):
    """curve.png, and frames above what is left of them after each epoch."""
    draw_curve(history, folder, "thousandths")
    sheet = figures.sheet(torch.cat([images, tokenizer.decode(
        tokenizer.encode(images))]), columns=len(images))
    Image.fromarray(sheet).save(
        folder / f"frames_{history[-1]['epoch']:03}.png")


def picture_run(model, history, folder):
    """curve.png and samples_EPOCH.png: what the run looks like so far."""
    draw_curve(history, folder)
    labels = list(range(10)) if model.prior.num_classes else None
    images = figures.sheet(model.sample(10, labels), scale=3)
    Image.fromarray(images).save(
        folder / f"samples_{history[-1]['epoch']:03}.png")


def draw_curve(history, folder, unit="bits a token"):
    import matplotlib

    matplotlib.use("Agg")
    figure = figures.loss_curve(history, unit)
    figure.savefig(folder / "curve.png")
    matplotlib.pyplot.close(figure)
