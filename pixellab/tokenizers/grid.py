"""What all tokenizers are: a grid of tokens over a picture."""

import numpy as np
import torch


class Grid:
    """Tokens in raster order. A subclass calls `lay_out` and turns checked
    images into tokens (`tokens_of`) and checked tokens back (`images_of`)."""

    def lay_out(self, vocabulary, grid, *shapes):
        """grid: rows and columns of tokens; shapes: of images that can be
        encoded, first of all those that are decoded."""
        self.vocabulary, self.grid = vocabulary, grid
        self.shape, self.shapes = shapes[0], shapes
        self.length = grid[0] * grid[1]
        self.row_height = self.shape[0] // grid[0]  # image rows a token row

    def checked(self, images):
        """Images as a tensor on the CPU; ValueError for another type or size,
        or an empty batch."""
        if not torch.is_tensor(images):
            images = torch.from_numpy(np.array(images))
        if images.dtype != torch.uint8 or images.numel() == 0 \
                or tuple(images.shape[1:]) not in self.shapes:
            sizes = " or ".join(f"(N, {str(one)[1:]}" for one in self.shapes)
            raise ValueError(
                f"images are {images.dtype} {tuple(images.shape)}; they must "
                f"be uint8 {sizes}, N > 0: convert or resize them first")
        return images.cpu()

    def encode(self, images):
        """uint8 (N, *shape) -> tokens int64 (N, length), as `checked`."""
        return self.tokens_of(self.checked(images))

    def decode(self, tokens):
        """The way back. ValueError for what cannot be such tokens."""
        tokens = torch.as_tensor(tokens).cpu()
        if tokens.is_floating_point() or tokens.shape[1:] != (self.length,):
            raise ValueError(f"tokens are {tokens.dtype} {tuple(tokens.shape)}"
                             f"; they must be whole, (N, {self.length})")
        if ((tokens < 0) | (tokens >= self.vocabulary)).any():
            raise ValueError(f"tokens must lie in 0 to {self.vocabulary - 1}")
        return self.images_of(tokens.long())

    def drawn(self, count):
        """bool (height, width): pixels that the first `count` tokens fix."""
        (height, width), (rows, columns) = self.shape[:2], self.grid
        row = torch.arange(height) * rows // height
        last = ((torch.arange(width) + 1) * columns - 1) // width
        return row[:, None] * columns + last < count


def divided(height, width, patch):
    """(rows, columns) of square patches; ValueError for what is left over,
    and above 16, where float32 holds no exact product of two patches."""
    fits = [p for p in range(1, 17) if height % p == 0 == width % p]
    if patch not in fits:
        raise ValueError(f"patch is {patch}; it must be one of {fits}")
    return height // patch, width // patch
