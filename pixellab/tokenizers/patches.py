"""Patches: a codebook of small pictures, learned by k-means."""

import numpy as np
import torch
from einops import rearrange
from torch import nn
from tqdm import tqdm

from pixellab.tokenizers import checks

BATCH = 8192  # different patches a step of k-means


class Patches(nn.Module):
    """Each patch of `patch` x `patch` pixels becomes the nearest entry of a
    codebook (Euclidean distance); decoding pastes the entries side by side.

    Lossy: what decodes is not what was encoded. Entries are whole numbers,
    so that distances are exact and every machine finds the same nearest one,
    the first where two are equally near. After `fit`
    they are ordered by how often they are used, entry 0 most of all.

    images uint8 (N, height, width) <-> tokens int64 (N, T), rows of patches
    from left to right; codebook uint8 (codebook_size, patch, patch)
    """

    def __init__(self, patch=4, codebook_size=1024, height=28, width=28):
        super().__init__()
        fits = [p for p in range(1, 17)  # beyond, distances are not exact
                if height % p == 0 == width % p]
        if patch not in fits:
            raise ValueError(f"patch is {patch}; it must divide {height} and "
                             f"{width}: use one of {fits}")
        if codebook_size not in range(2, 2**16 + 1):
            raise ValueError(f"codebook_size is {codebook_size}; it must be "
                             "2 to 65,536")
        self.config = {"patch": patch, "codebook_size": codebook_size,
                       "height": height, "width": width}
        self.vocabulary = codebook_size
        self.shape, self.shapes = (height, width), [(height, width)]
        self.grid = (height // patch, width // patch)
        self.length = self.grid[0] * self.grid[1]
        self.row_height = patch  # image rows in one row of tokens
        self.register_buffer("codebook", torch.zeros(
            codebook_size, patch, patch, dtype=torch.uint8))

    def cut(self, images):
        """uint8 (N, height, width) -> patches uint8 (N, T, patch * patch).

        Raises ValueError for another type or size, or an empty batch.
        """
        images = checks.images_of(self.shapes, images)
        return rearrange(images, "n (r p) (c q) -> n (r c) (p q)",
                         p=self.row_height, q=self.row_height)

    def encode(self, images):
        """Raises ValueError as `cut`, and for a codebook not learned yet."""
        if not self.codebook.any():
            raise ValueError("the codebook is empty: call fit, or load one")
        patches = self.cut(images)
        codes = nearest(patches.flatten(0, 1), self.codebook.flatten(1))
        return codes.unflatten(0, patches.shape[:2])

    def decode(self, tokens):
        """Raises ValueError for tokens outside the codebook, or too few."""
        tokens = checks.tokens_of(self.length, self.vocabulary, tokens)
        return rearrange(self.codebook[tokens],
                         "n (r c) p q -> n (r p) (c q)", r=self.grid[0])

    def drawn(self, count):
        """bool (height, width): pixels that the first `count` tokens fix."""
        known = (torch.arange(self.length) < count).unflatten(0, self.grid)
        return known.repeat_interleave(self.row_height, 0).repeat_interleave(
            self.row_height, 1)

    def fit(self, images, seed=0, passes=3, progress=False):
        """Learn the codebook from images uint8 (N, height, width).

        Mini-batch k-means (Sculley, 2010) over the different patches, each
        with the weight of how often it occurs. Entries that no patch is
        nearest to are then moved to the patches that are served worst.
        Returns self; ValueError for fewer different patches than entries.
        """
        from sklearn.cluster import MiniBatchKMeans  # slow to import

        patches, counts = distinct(self.cut(images).flatten(0, 1).numpy())
        if len(patches) < self.vocabulary:
            raise ValueError(
                f"codebook_size is {self.vocabulary}, but these images have "
                f"only {len(patches)} different patches: use fewer entries "
                "or more images")
        kmeans = MiniBatchKMeans(self.vocabulary, n_init=1, random_state=seed,
                                 reassignment_ratio=0, compute_labels=False)
        size, generator = max(BATCH, self.vocabulary), np.random.default_rng(
            seed)
        order = np.concatenate([generator.permutation(len(patches))
                                for _ in range(passes)])
        for start in tqdm(range(0, len(order), size), desc="k-means",
                          disable=not progress):
            batch = order[start:start + size]
            kmeans.partial_fit(patches[batch].astype(np.float32),
                               sample_weight=counts[batch].astype(np.float32))
        codebook = fill(kmeans.cluster_centers_, torch.from_numpy(patches))
        use = torch.bincount(nearest(torch.from_numpy(patches), codebook),
                             torch.from_numpy(counts))
        ranked = codebook[use.argsort(descending=True, stable=True)]
        self.codebook.copy_(ranked.unflatten(1, self.codebook.shape[1:]))
        return self


def nearest(patches, codebook):
    """Index of the nearest entry: uint8 (N, D), (K, D) -> int64 (N,).

    |x - c|^2 is smallest where x.c - |c|^2 / 2 is largest.
    """
    codebook = codebook.float()
    half = codebook.square().sum(dim=1) / 2
    codes = torch.empty(len(patches), dtype=torch.int64)
    for part, out in zip(patches.split(4096), codes.split(4096), strict=True):
        scores = part.float() @ codebook.T - half
        scores.numpy().argmax(axis=1, out=out.numpy())  # faster than torch's
    return codes


def distinct(patches):
    """The different rows of uint8 (N, D), and how often each occurs."""
    rows = np.ascontiguousarray(patches).view(f"V{patches.shape[1]}")
    rows, counts = np.unique(rows, return_counts=True)
    return rows[:, None].view(np.uint8), counts


def fill(centres, patches):
    """Centres (K, D) as whole numbers, none of them without a patch."""
    codebook = torch.from_numpy(centres.round().clip(0, 255).astype(np.uint8))
    while True:  # each round lowers the squared error: it ends
        codes = nearest(patches, codebook)
        idle = torch.bincount(codes, minlength=len(codebook)) == 0
        if not idle.any():
            return codebook
        error = (patches.float() - codebook[codes].float()).square().sum(1)
        codebook[idle] = patches[error.topk(int(idle.sum())).indices]
