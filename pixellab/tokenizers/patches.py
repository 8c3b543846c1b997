"""Patches: a codebook of small pictures, learned by k-means."""

import numpy as np
import torch
from einops import rearrange
from torch import nn

from pixellab.parts import arguments
from pixellab.progress import bar
from pixellab.tokenizers.grid import Grid, divided

BATCH = 8192  # different patches a step of k-means


class Patches(Grid, nn.Module):
    """Each patch of `patch` x `patch` pixels becomes the nearest entry of a
    codebook (Euclidean distance); decoding pastes the entries side by side.

    Entries are whole numbers, so that distances are exact and every machine
    finds the same nearest one, the first of equals. `fit` orders them by how
    often they are used, entry 0 most of all.

    images uint8 (N, height, width) <-> tokens int64 (N, T), rows of patches
    from left to right; codebook uint8 (codebook_size, patch, patch)
    """

    def __init__(self, patch=4, codebook_size=1024, height=28, width=28):
        super().__init__()
        if codebook_size not in range(2, 2**16 + 1):
            raise ValueError(f"codebook_size {codebook_size}: use 2 to 65536")
        self.config = arguments(locals())
        self.lay_out(codebook_size, divided(height, width, patch),
                     (height, width))
        self.register_buffer("codebook", torch.zeros(
            codebook_size, patch, patch, dtype=torch.uint8))

    def cut(self, images):
        """uint8 (N, height, width) -> patches uint8 (N, T, patch * patch)."""
        return rearrange(images, "n (r p) (c q) -> n (r c) (p q)",
                         p=self.row_height, q=self.row_height)

    def tokens_of(self, images):
        if not self.codebook.any():
            raise ValueError("the codebook is empty: call fit, or load one")
        patches = self.cut(images)
        codes = nearest(patches.flatten(0, 1), self.codebook.flatten(1))
        return codes.unflatten(0, patches.shape[:2])

    def images_of(self, tokens):
        return rearrange(self.codebook[tokens],
                         "n (r c) p q -> n (r p) (c q)", r=self.grid[0])

    def fit(self, images, seed=0):
        """Learn the codebook from images uint8 (N, height, width).

        Three passes of mini-batch k-means (Sculley, 2010) over the different
        patches, each with the weight of how often it occurs. Entries that no
        patch is nearest to are then moved to the patches served worst.
        Returns self; ValueError for images that `encode` refuses, and for
        fewer different patches than entries.
        """
        from sklearn.cluster import MiniBatchKMeans  # slow to import

        patches = self.cut(self.checked(images)).flatten(0, 1)
        patches, counts = distinct(patches.numpy())
        if len(patches) < self.vocabulary:
            raise ValueError(f"{len(patches)} different patches: add images")
        kmeans = MiniBatchKMeans(self.vocabulary, n_init=1, random_state=seed,
                                 reassignment_ratio=0, compute_labels=False)
        generator = np.random.default_rng(seed)
        order = torch.from_numpy(np.concatenate([
            generator.permutation(len(patches)) for _ in range(3)]))
        for batch in bar(order.split(max(BATCH, self.vocabulary)), "k-means"):
            kmeans.partial_fit(patches[batch].astype(np.float32),
                               sample_weight=counts[batch].astype(np.float32))
        patches, counts = torch.from_numpy(patches), torch.from_numpy(counts)
        codebook = fill(kmeans.cluster_centers_, patches)
        use = torch.bincount(nearest(patches, codebook), counts)
        ranked = codebook[use.argsort(descending=True, stable=True)]
        self.codebook.copy_(ranked.view_as(self.codebook))
        return self


def nearest(patches, codebook):
    """Index of the nearest entry, uint8 (N, D), (K, D) -> int64 (N,):
    |x - c|^2 is smallest where x.c - |c|^2 / 2 is largest."""
    codebook = codebook.float()
    half = codebook.square().sum(dim=1) / 2
    return torch.from_numpy(np.concatenate([
        (part.float() @ codebook.T - half).numpy().argmax(axis=1)
        for part in patches.split(4096)]))  # numpy's argmax is faster


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
