"""Pictures as files, and many pictures as one."""

from pathlib import Path

import numpy as np
from einops import rearrange
from PIL import Image

from pixellab.types import Images
from pixellab.weights import atomic


def read(path: str | Path, shapes: tuple[tuple[int, ...], ...],
         resize: bool = False) -> np.ndarray:
    """A picture file as uint8 numpy, of one of the shapes (H, W[, 3]), if
    need be resized to the first. ValueError, with the path, for others."""
    sizes = [shape[1::-1] for shape in shapes]
    try:
        with Image.open(path) as image:
            if image.size not in sizes and not resize:
                needed = " or ".join(f"{w}x{h}" for w, h in sizes)
                raise ValueError(f"it is {image.width}x{image.height}; the "
                                 f"model needs {needed}: add --resize")
            if image.mode[0] in "IF":
                raise ValueError("it has more than 8 bits a pixel")
            plain = image.convert("RGB" if len(shapes[0]) == 3 else "L")
            return np.array(plain if plain.size in sizes else
                            plain.resize(sizes[0]))
    except (OSError, ValueError, SyntaxError,
            Image.DecompressionBombError) as error:
        raise ValueError(f"{path} is no usable picture: {error}") from None


def save(image: Images, path: str | Path) -> None:
    """Write uint8 (H, W[, 3]) as a PNG, whole or not at all."""
    with atomic(path) as part:
        Image.fromarray(np.asarray(image)).save(part, "PNG")


def to_array(images: Images) -> np.ndarray:
    """uint8 images, tensor or array, as numpy (N, H, W, 3)."""
    images = np.asarray(images)
    return images if images.ndim == 4 else np.stack([images] * 3, axis=-1)


def sheet(images: Images, columns: int = 10, pad: int = 2, scale: int = 1,
          background: int = 255) -> np.ndarray:
    """Images (N, H, W[, 3]) as one uint8 picture (H', W', 3)."""
    images = to_array(images)
    missing = -len(images) % columns
    images = np.pad(images, ((0, missing), (0, pad), (0, pad), (0, 0)),
                    constant_values=background)
    picture = rearrange(images, "(r c) h w d -> (r h) (c w) d", c=columns)
    picture = picture[:-pad or None, :-pad or None]
    return picture.repeat(scale, axis=0).repeat(scale, axis=1)


def gif(path, pictures: np.ndarray, milliseconds: int = 60,
        hold: int = 1500) -> None:
    """Write frames (F, H, W, 3) as a GIF, `hold` milliseconds for the last.
    ValueError below 20 milliseconds, which viewers do not honour."""
    if milliseconds < 20:
        raise ValueError(f"milliseconds is {milliseconds}; use 20 or more")
    first, *others = map(Image.fromarray, pictures)
    first.save(path, "GIF", save_all=True, append_images=others, loop=0,
               duration=[milliseconds] * len(others) + [hold])
