"""The command line: `pixellab models | sample | complete | train`."""

import argparse
import sys
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from pixellab import data, figures, training, weights
from pixellab.model import ImageModel, certify, describe, load, models


def main(arguments=None):
    """Run one command; bad input is one line on stderr and exit code 2."""
    options = parser().parse_args(arguments)
    try:
        options.command(options)
    except (ValueError, OSError) as error:
        print(f"pixellab: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("pixellab: interrupted", file=sys.stderr)
        return 130
    return 0


def parser():
    top = argparse.ArgumentParser(
        prog="pixellab", description=__doc__.splitlines()[0])
    commands = top.add_subparsers(required=True, metavar="COMMAND")

    command = commands.add_parser("models", help="list the shipped models")
    command.set_defaults(command=list_models)

    command = commands.add_parser("sample", help="draw new images")
    command.add_argument("name", help="a shipped model")
    command.add_argument("--count", type=int, help="images of each target "
                         "(or in all, for a model without labels)")
    command.add_argument("--targets", help="classes, as 0,1,2 (default: all)")
    add_sampling(command)
    command.set_defaults(command=sample)

    command = commands.add_parser("complete", help="finish an image")
    command.add_argument("name", help="a shipped model")
    command.add_argument("image", help="a picture of the model's size")
    command.add_argument("--rows", type=int, required=True,
                         help="how many rows of the image are kept")
    command.add_argument("--count", type=int, default=4,
                         help="completions (default: %(default)s)")
    command.add_argument("--label", type=int, help="its class, if known")
    add_sampling(command)
    command.set_defaults(command=complete)

    command = commands.add_parser("train", help="train a model")
    command.add_argument("name", choices=sorted(TRAINABLE))
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
    recipe = training.Recipe
    for flag, kind in (("epochs", int), ("lr", float), ("gamma", float),
                       ("batch-size", int), ("seed", int)):
        command.add_argument(
            f"--{flag}", type=kind,
            default=getattr(recipe, flag.replace("-", "_")),
            help="default: %(default)s")
    command.add_argument("--precision", default=recipe.precision,
                         choices=("auto", "bf16", "fp32"))
    command.add_argument("--width", type=int, default=64,
                         help="features a layer (default: %(default)s)")
    command.add_argument("--layers", type=int, default=7,
                         help="gated blocks (default: %(default)s)")
    command.add_argument("--channels", type=int, default=1, choices=(1,),
                         help="colour channels of the data: MNIST has 1")
    command.add_argument("--limit", type=int,
                         help="train on the first so many images only")
    command.add_argument("--log-dir", help="TensorBoard logs go here")
    command.add_argument("--out", help="folder of the run (default: "
                         "runs/NAME/TIME)")
    command.add_argument("--resume", metavar="FOLDER",
                         help="continue a run from its folder")
    command.add_argument("--device", choices=("cpu",),
                         help="cpu: do not use a GPU even if there is one")


def list_models(options):
    for name in weights.names():
        _, config, about = weights.load(name)
        star = "*" if name in models() else " "
        print(f"{star} {name:16} {about.get('data', ''):28} "
              f"{about.get('valid_bits_per_token', 0):.4f} bits a token, "
              "validation")


def load_checked(options):
    """Fail before any work: an unknown model or an unwritable folder."""
    model = load(options.weights or options.name, options.device)
    out = Path(options.out)
    out.mkdir(parents=True, exist_ok=True)
    probe = out / ".pixellab"
    probe.touch()
    probe.unlink()
    return model, out


def filters(options):
    return {"temperature": options.temperature, "top_k": options.top_k,
            "top_p": options.top_p}


def draw(model, steps, options, out, names):
    """Run a stream with a bar; write a PNG (and a GIF) an image."""
    from tqdm import tqdm

    steps = tqdm(steps, total=model.tokenizer.length, desc="tokens")
    if options.gif:
        pictures = figures.frames(model, steps,
                                  every=model.tokenizer.length // 56)
        images = pictures[-1]
        for i, name in enumerate(names):
            large = pictures[:, i].repeat(8, axis=1).repeat(8, axis=2)
            figures.gif(out / f"{name}.gif", large)
    else:
        for tokens in steps:
            pass
        images = model.tokenizer.decode(tokens)
    for image, name in zip(images, names, strict=True):
        figures.save_picture(out / f"{name}.png", image)
    print(f"{len(names)} images in {out}")


def sample(options):
    model, out = load_checked(options)
    classes = model.prior.num_classes
    default = 1 if classes else 10
    count = default if options.count is None else options.count
    if classes:
        targets = list(range(classes)) if options.targets is None \
            else parse_targets(options.targets)
        labels = [target for target in targets for _ in range(count)]
        names = [f"{options.name}_{target}_{i}"
                 for target in targets for i in range(count)]
    elif options.targets is not None:
        raise ValueError(f"{options.name} has no labels: leave out --targets")
    else:
        labels = None
        names = [f"{options.name}_{i}" for i in range(count)]
    steps = model.stream(len(names), labels, options.seed, **filters(options))
    draw(model, steps, options, out, names)


def parse_targets(text):
    try:
        return [int(word) for word in text.split(",")]
    except ValueError:
        raise ValueError(f"--targets is {text!r}; it must be numbers with "
                         "commas, as 0,1,2") from None


def complete(options):
    model, out = load_checked(options)
    image = read_image(options.image, model.tokenizer.shape)
    images = np.repeat(image[None], options.count, axis=0)
    labels = None if options.label is None else [options.label] * len(images)
    steps = model.complete_stream(images, options.rows, labels, options.seed,
                                  **filters(options))
    stem = Path(options.image).stem
    draw(model, steps, options, out,
         [f"{stem}_{i}" for i in range(options.count)])


def read_image(path, shape):
    """A picture file as uint8 (H, W[, 3]); the size must fit."""
    try:
        with Image.open(path) as image:
            image = np.array(image.convert("RGB" if len(shape) == 3 else "L"))
    except OSError as error:
        raise ValueError(f"{path} is not a picture that can be read "
                         f"({error})") from None
    if image.shape != tuple(shape):
        raise ValueError(
            f"{path} is {image.shape[1]}x{image.shape[0]}; the model needs "
            f"{shape[1]}x{shape[0]}: resize the picture first")
    return image


# ------------------------------------------------------------- training

def pixelcnn(options, levels=256, num_classes=10):
    from pixellab.priors.pixelcnn import PixelCNN
    from pixellab.tokenizers.pixels import Pixels

    pattern = (1, 2, 1, 4)
    dilations = [pattern[i % 4] for i in range(options.layers)]
    return Pixels(levels), PixelCNN(
        levels, width=options.width, dilations=dilations,
        head=2 * options.width, num_classes=num_classes)


def pixelcnn_256(options):
    """MNIST with 256 levels and labels."""
    return *pixelcnn(options), data.mnist, "MNIST, 256 levels"


def pixelcnn_binary(options):
    """Static-binarised MNIST: no labels."""
    def images(split):
        return data.binarized_mnist(split), None

    return *pixelcnn(options, 2, 0), images, "static-binarised MNIST"


TRAINABLE = {"pixelcnn": pixelcnn_256, "pixelcnn-binary": pixelcnn_binary}


def train(options):
    """Train, with checkpoints, a loss curve and samples after each epoch."""
    torch.manual_seed(options.seed)  # the first weights
    tokenizer, prior, images, about = TRAINABLE[options.name](options)
    model = ImageModel(tokenizer, prior)

    def split(name):
        x, labels = images(name)
        if labels is not None:
            labels = labels[:options.limit]
        return x[:options.limit], labels

    valid = split("valid")
    sets = [(tokenizer.encode(x), model.label_tensor(labels, len(x)))
            for x, labels in (split("train"), valid)]
    recipe = training.Recipe(
        epochs=options.epochs, lr=options.lr, gamma=options.gamma,
        batch_size=options.batch_size, seed=options.seed,
        precision=options.precision)
    folder = Path(options.resume or options.out or
                  f"runs/{options.name}/{time.strftime('%Y%m%d-%H%M%S')}")
    if not options.resume:
        folder.mkdir(parents=True, exist_ok=True)
    print(f"{options.name}: {about}, {len(sets[0][0])} training images, "
          f"{sum(p.numel() for p in prior.parameters()):,} parameters, "
          f"run in {folder}", flush=True)
    config = {"tokenizer": describe(tokenizer), "prior": describe(prior)}
    training.train(
        prior, *sets, recipe, folder, config,
        about={"name": options.name, "data": about,
               "train_images": len(sets[0][0])},
        on_epoch=lambda history: picture_run(model, history, folder),
        log_dir=options.log_dir, resume=options.resume is not None,
        device=options.device)
    try:
        test = split("test")
    except FileNotFoundError:
        test = None
    best = folder / "best.safetensors"
    about = certify(best, valid, test, progress=True)
    print(f"{best}: {about['valid_bits_per_token']:.4f} bits a token, "
          "validation")


def picture_run(model, history, folder):
    """curve.png and samples_EPOCH.png: what the run looks like so far."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure = figures.loss_curve(history)
    figure.savefig(folder / "curve.png")
    plt.close(figure)
    labels = list(range(10)) if model.prior.num_classes else None
    images = model.sample(10, labels)
    figures.save_picture(folder / f"samples_{history[-1]['epoch']:03}.png",
                         figures.sheet(images, scale=3))
