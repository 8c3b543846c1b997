"""Two readers of digits: the reranker chooses among samples, the judge never.

They must not share their errors, so they are different networks that learn
from different images: the reranker from the 58,000 training digits, the judge
from the 10,000 test digits, which no other network of the book ever sees.
Both are scored on the 2,000 validation digits.
"""

import time

import torch
import torch.nn.functional as F
from torch import nn
from tqdm import tqdm

from pixellab import data, weights

# name: (width of the network, the images it learns from, how many times)
READERS = {"judge": (24, "test", 40), "reranker": (16, "train", 6)}


class Classifier(nn.Module):
    """A small convolutional network: uint8 (N, H, W) -> logits (N, 10)."""

    def __init__(self, width=24):
        super().__init__()
        self.config = {"width": width}
        sizes = [1, width, width, 2 * width, 2 * width, 4 * width]
        self.layers = nn.ModuleList(
            nn.Sequential(nn.Conv2d(a, b, 3, padding=1, bias=False),
                          nn.BatchNorm2d(b), nn.ReLU())
            for a, b in zip(sizes, sizes[1:], strict=False))
        self.out = nn.Linear(4 * width, 10)

    def features(self, images):
        """What it sees in each image: (N, 4 * width)."""
        x = prepare(images).to(self.out.weight.device)
        for i, layer in enumerate(self.layers):
            x = layer(x if i not in (2, 4) else F.max_pool2d(x, 2))
        return x.mean(dim=(2, 3))

    def forward(self, images):
        return self.out(self.features(images))

    @torch.no_grad()
    def logits(self, images):
        """`forward` in parts and without gradients, on the CPU: (N, 10)."""
        return torch.cat([self(part).cpu() for part in images.split(500)])

    def read(self, images):
        """The digit it takes each image for: int64 (N,)."""
        return self.logits(images).argmax(dim=1)


def prepare(images):
    """Any digits, uint8 (N, H, W), as both readers see them: float
    (N, 1, 28, 28), 0 to 1; other sizes are resized (bilinear)."""
    if images.dtype != torch.uint8 or images.ndim != 3 or not len(images):
        raise ValueError(f"images are {images.dtype} of shape "
                         f"{tuple(images.shape)}; they must be uint8 of "
                         "shape (N, H, W) with N at least 1")
    x = images[:, None].float() / 255
    if x.shape[2:] != (28, 28):
        x = F.interpolate(x, (28, 28), mode="bilinear", align_corners=False)
    return x


def load(name="judge"):
    """The reader of that name ("judge" or "reranker"), ready to use; its
    `provenance["valid_accuracy"]` says how well it reads real digits."""
    tensors, config, provenance = weights.load(name)
    reader = Classifier(**config["classifier"])
    reader.load_state_dict(tensors)
    reader.provenance = provenance
    return reader.eval()


# ------------------------------------------------------------- learning

def move(images, generator):
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


def resized(images):
    """28 x 28 to 30 x 30 and black and white, as symbols show digits."""
    x = F.interpolate(images[:, None].float(), (30, 30), mode="bilinear",
                      align_corners=False)
    x = F.interpolate((x > 127.5).float() * 255, (28, 28), mode="bilinear",
                      align_corners=False)
    return x[:, 0].round().to(torch.uint8)


def patched(images, codebook):
    """Each 4 x 4 patch replaced by the nearest of the codebook (K, 16)."""
    patches = F.unfold(images[:, None].float(), 4, stride=4).transpose(1, 2)
    nearest = torch.cdist(patches, codebook).argmin(dim=2)
    columns = codebook[nearest].transpose(1, 2)
    return F.fold(columns, (28, 28), 4, stride=4)[:, 0].to(torch.uint8)


def some_patches(images, count=400):
    """A codebook for `patched`: patches (count, 16) of real digits."""
    patches = F.unfold(images[:500, None].float(), 4, stride=4)
    patches = patches.transpose(1, 2).flatten(0, 1).unique(dim=0)
    chosen = torch.linspace(0, len(patches) - 1, min(count, len(patches)))
    return patches[chosen.long()]


def disguise(images, codebook, generator):
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


def learn(reader, images, labels, codebook, recipe, progress=True):
    """Train in place: Adam with one rise and fall of the rate."""
    epochs, lr = recipe["epochs"], recipe["lr"]
    generator = torch.Generator().manual_seed(recipe["seed"])
    optimizer = torch.optim.Adam(reader.parameters(), lr)
    steps = len(images) // recipe["batch_size"]
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, lr,
                                                   epochs * steps)
    reader.train()
    for epoch in range(epochs):
        order = torch.randperm(len(images), generator=generator)
        for chosen in tqdm(order.split(recipe["batch_size"])[:steps],
                           desc=f"epoch {epoch + 1}/{epochs}",
                           disable=not progress):
            batch = disguise(move(images[chosen], generator), codebook,
                             generator)
            loss = F.cross_entropy(reader(batch), labels[chosen])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    reader.eval()


def make(name, path, epochs=None, progress=True):
    """Train a reader, score it on validation, write its weight file."""
    width, split, usual = READERS[name]
    images, labels = data.mnist(split)
    recipe = {"epochs": epochs or usual, "batch_size": 100, "lr": 4e-3,
              "seed": 0}
    torch.manual_seed(recipe["seed"])
    reader, started = Classifier(width), time.monotonic()
    codebook = some_patches(images)
    learn(reader, images, labels, codebook, recipe, progress)
    about = {"name": name, "data": f"MNIST, {split}, {len(images)} digits",
             "recipe": recipe, "seconds": round(time.monotonic() - started)}
    valid, truth = data.mnist("valid")
    for way, shown in (
            ("", valid), ("_resized", resized(valid)),
            ("_threshold", data.binarize(valid, "threshold")),
            ("_patched", patched(valid, codebook))):
        right = (reader.read(shown) == truth).double().mean().item()
        about[f"valid_accuracy{way}"] = right
    weights.save(path, reader.state_dict(), {"classifier": reader.config},
                 about)
    return about
