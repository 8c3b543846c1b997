"""The two readers of digits; pixellab/classify.py says what they are for."""

import time
from dataclasses import asdict
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from pixellab import data, weights
from pixellab.classify import Classifier
from pixellab.progress import bar
from pixellab.recipes import Reader
from pixellab.types import Provenance


def move(images: Tensor, generator: torch.Generator) -> Tensor:
    """Turn, scale and shift each digit a little: the same shape again."""
    amount = torch.rand(len(images), 4, generator=generator) * 2 - 1
    angle, size = amount[:, 0] * 0.25, 1 + amount[:, 1] * 0.12
    matrix = torch.stack([size * angle.cos(), -size * angle.sin(),
                          amount[:, 2] * 0.15, size * angle.sin(),
                          size * angle.cos(), amount[:, 3] * 0.15], dim=1)
    grid = F.affine_grid(matrix.unflatten(1, (2, 3)), (len(images), 1, 28, 28),
                         align_corners=False)
    moved = F.grid_sample(images[:, None].float(), grid, align_corners=False)
    return moved[:, 0].round().to(torch.uint8)


def resized(images: Tensor) -> Tensor:
    """28 x 28 to 30 x 30 and black and white, as symbols show digits."""
    x = F.interpolate(images[:, None].float(), (30, 30), mode="bilinear",
                      align_corners=False)
    x = F.interpolate((x > 127.5).float() * 255, (28, 28), mode="bilinear",
                      align_corners=False)
    return x[:, 0].round().to(torch.uint8)


def patched(images: Tensor, codebook: Tensor) -> Tensor:
    """Each 4 x 4 patch replaced by the nearest of the codebook (K, 16)."""
    patches = F.unfold(images[:, None].float(), 4, stride=4).transpose(1, 2)
    nearest = torch.cdist(patches, codebook).argmin(dim=2)
    columns = codebook[nearest].transpose(1, 2)
    return F.fold(columns, (28, 28), 4, stride=4)[:, 0].to(torch.uint8)


def some_patches(images: Tensor, count: int = 400) -> Tensor:
    """A codebook for `patched`: patches (count, 16) of real digits."""
    patches = F.unfold(images[:500, None].float(), 4, stride=4)
    patches = patches.transpose(1, 2).flatten(0, 1).unique(dim=0)
    chosen = torch.linspace(0, len(patches) - 1, min(count, len(patches)))
    return patches[chosen.long()]


def disguise(images: Tensor, codebook: Tensor,
             generator: torch.Generator) -> Tensor:
    """A quarter of the digits as they are, the rest in the three ways in
    which tokenizers spoil them: two levels, resized, built of patches."""
    ways = torch.randint(4, (len(images),), generator=generator)
    images = images.clone()
    for way, change in enumerate((
            lambda x: data.binarize(x, "threshold"), resized,
            lambda x: patched(x, codebook)), start=1):
        if (ways == way).any():
            images[ways == way] = change(images[ways == way])
    return images


def learn(reader: Classifier, images: Tensor, labels: Tensor,
          codebook: Tensor, recipe: Reader) -> None:
    """Train in place: Adam with one rise and fall of the rate."""
    generator = torch.Generator().manual_seed(recipe.seed)
    optimizer = torch.optim.Adam(reader.parameters(), recipe.lr)
    steps = len(images) // recipe.batch_size
    rate = torch.optim.lr_scheduler.OneCycleLR(optimizer, recipe.lr,
                                               recipe.epochs * steps)
    reader.train()
    for epoch in range(recipe.epochs):
        order = torch.randperm(len(images), generator=generator)
        for chosen in bar(order.split(recipe.batch_size)[:steps],
                          f"epoch {epoch + 1}/{recipe.epochs}"):
            batch = disguise(move(images[chosen], generator), codebook,
                             generator)
            loss = F.cross_entropy(reader(batch), labels[chosen])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            rate.step()
    reader.eval()


def make(name: str, recipe: Reader, path: str | Path) -> Provenance:
    """Train a reader, score it on validation, write its weight file."""
    images, labels = data.mnist(recipe.split)
    torch.manual_seed(recipe.seed)
    reader, started = Classifier(recipe.width), time.monotonic()
    codebook = some_patches(images)
    learn(reader, images, labels, codebook, recipe)
    settings = asdict(recipe)
    about = {"name": name,
             "data": f"MNIST, {recipe.split}, {len(images)} digits",
             "recipe": {key: settings[key] for key in
                        ("epochs", "batch_size", "lr", "seed")},
             "seconds": round(time.monotonic() - started)}
    valid, truth = data.mnist("valid")
    for way, shown in (
            ("", valid), ("_resized", resized(valid)),
            ("_threshold", data.binarize(valid, "threshold")),
            ("_patched", patched(valid, codebook))):
        right = (reader.read(shown) == truth).double().mean().item()
        about[f"valid_accuracy{way}"] = right
    weights.write(path, reader.state_dict(), {"classifier": reader.config},
                  about)
    return about
