"""What does it change for the bits that `symbols` resizes its digits?

The same small PixelCNN (100,000 parameters, class-conditional), trained in the
same way (once through 20,000 digits) on MNIST thresholded at 28 x 28 and on
MNIST resized to 30 x 30 and rounded: bits an image of the 2,000 validation
digits. Also a coder without a network on both: a pixel's probability is how
often it was white in the 58,000 training digits after the same 18 neighbours.
"""

import tempfile

import torch
import torch.nn.functional as F

from pixellab import data, training
from pixellab.model import ImageModel
from pixellab.parts import describe
from pixellab.priors.pixelcnn import PixelCNN
from pixellab.tokenizers.pixels import Pixels
from pixellab.tokenizers.symbols import Symbols

RECIPE = training.Schedule(epochs=1, lr=2e-3, batch_size=16, warmup=200,
                           gamma=0.05, label_dropout=0)
DIGITS = 20_000
NEIGHBOURS = [(0, -1), (0, -2), (0, -3), (0, -4), (-1, -3), (-1, -2),
              (-1, -1), (-1, 0), (-1, 1), (-1, 2), (-1, 3), (-2, -2),
              (-2, -1), (-2, 0), (-2, 1), (-2, 2), (-3, 0), (-3, 1)]


def as_thresholded(images):
    return data.binarize(images, "threshold")


def as_resized(images):
    tokenizer = Symbols()
    return tokenizer.decode(tokenizer.encode(images))


def contexts(white):
    """int64 (N, H, W): the 18 neighbours of each pixel as one number."""
    _, height, width = white.shape
    padded = F.pad(white, (4, 3, 3, 0))
    return sum(padded[:, 3 + row:, 4 + column:][:, :height, :width] << i
               for i, (row, column) in enumerate(NEIGHBOURS))


def count(train, valid):
    """Bits an image by counting; unseen contexts cost about one bit."""
    white = [(images > 0).long() for images in (train, valid)]
    seen = [torch.bincount(contexts(white[0])[white[0] == value],
                           minlength=2**len(NEIGHBOURS)) + 0.4
            for value in (0, 1)]
    ones = (seen[1] / (seen[0] + seen[1]))[contexts(white[1])]
    probability = torch.where(white[1] == 1, ones, 1 - ones)
    return -probability.log2().sum(dim=(1, 2)).mean().item()


def learn(train, valid):
    """Bits an image by the small PixelCNN, and its parameters."""
    torch.manual_seed(0)
    size = train[0].shape[1:]
    model = ImageModel(Pixels(2, *size), PixelCNN(
        2, size, width=32, head=64, dilations=(1, 2, 1, 4)))
    sets = [(model.tokenizer.encode(images[:DIGITS]), labels[:DIGITS])
            for images, labels in (train, valid)]
    with tempfile.TemporaryDirectory() as folder:
        history = training.train(
            model.prior, *sets, RECIPE, training.RunFolder(
                folder, {"prior": describe(model.prior)}), device="cpu")
    return {"bits_per_image": round(history[-1]["valid"]
                                    * model.tokenizer.length, 2),
            "parameters": sum(p.numel() for p in model.prior.parameters())}


def measure():
    results = {}
    for name, change in (("thresholded, 28x28", as_thresholded),
                         ("resized to 30x30, rounded", as_resized)):
        train, valid = ((change(images), labels) for images, labels in
                        (data.mnist("train"), data.mnist("valid")))
        results[name] = {
            "counting_bits_per_image": round(count(train[0], valid[0]), 2),
            "small_pixelcnn": learn(train, valid)}
        print(name, results[name], flush=True)
    return results
