"""What every tokenizer asks of images and of tokens."""

import numpy as np
import torch


def images_of(shapes, images):
    """A uint8 batch (N, *shape), shape one of `shapes`; else ValueError."""
    if not torch.is_tensor(images):
        images = torch.from_numpy(np.array(images))
    if images.dtype != torch.uint8:
        raise ValueError(f"images are {images.dtype}; they must be uint8, 0 "
                         "to 255")
    if images.numel() == 0 or tuple(images.shape[1:]) not in shapes:
        allowed = " or ".join(f"(N, {', '.join(map(str, shape))})"
                              for shape in shapes)
        raise ValueError(f"images have shape {tuple(images.shape)}; they must "
                         f"be {allowed} with N at least 1: resize them first")
    return images


def tokens_of(length, vocabulary, tokens):
    """Whole numbers (N, length), 0 to vocabulary - 1; else ValueError."""
    tokens = torch.as_tensor(tokens)
    whole = not (tokens.is_floating_point() or tokens.is_complex()
                 or tokens.dtype == torch.bool)
    if not whole or tokens.shape[1:] != (length,):
        raise ValueError(f"tokens are {tokens.dtype} of shape "
                         f"{tuple(tokens.shape)}; they must be whole numbers "
                         f"of shape (N, {length})")
    if ((tokens < 0) | (tokens >= vocabulary)).any():
        raise ValueError(f"tokens must lie in 0 to {vocabulary - 1}")
    return tokens
