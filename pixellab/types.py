"""What a tokenizer and a prior must have: the two halves of every model.

Nothing inherits from these. A class that has what is listed is a tokenizer,
or a prior, and a type checker says so.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Protocol

import numpy as np
from torch import Tensor
from torch.nn import Parameter

Config = dict[str, Any]
"""How to build a part: {"kind": "file.Class", ...constructor arguments}."""

Provenance = dict[str, Any]
"""What is known of the making of weights: data, schedule, bits, ..."""

Images = Tensor | np.ndarray
"""uint8 (N, H, W) or (N, H, W, 3), as a tensor or an array."""

Labels = Iterable[int | None] | Tensor
"""A class an image; None stands for "no label"."""


class Tokenizer(Protocol):
    """Images <-> integer tokens, in raster order over a grid."""

    config: Config
    """The arguments that build it again."""
    vocabulary: int
    """Tokens are 0 to vocabulary - 1."""
    length: int
    """Tokens of an image."""
    grid: tuple[int, int]
    """Rows and columns of tokens."""
    shape: tuple[int, ...]
    """(H, W) or (H, W, 3) of the images that it decodes."""
    shapes: tuple[tuple[int, ...], ...]
    """Of all images that it encodes."""
    row_height: int
    """Image rows in a row of tokens."""

    def encode(self, images: Images) -> Tensor:
        """uint8 (N, *shape) -> tokens int64 (N, length)."""

    def decode(self, tokens: Tensor) -> Tensor:
        """The way back."""

    def drawn(self, count: int) -> Tensor:
        """bool (H, W): the pixels that the first `count` tokens fix."""


class Prior(Protocol):
    """p(next token | earlier tokens, label): an `nn.Module` with a cache."""

    config: Config
    """The arguments that build it again."""
    num_classes: int
    """Labels are 0 to num_classes - 1; the number itself means "none"."""

    def __call__(self, tokens: Tensor, labels: Tensor) -> Tensor:
        """(B, T), (B,) -> logits (B, T, V); those at t see tokens[:, :t]."""

    def start(self, labels: Tensor) -> Any:
        """The state of `step`, labels (B,)."""

    def step(self, state: Any, token: Tensor | None = None) -> Tensor:
        """Logits (B, V) of the next place; token (B,) is the one just drawn,
        None at the first place."""

    # what every nn.Module has
    def parameters(self, recurse: bool = True) -> Iterator[Parameter]: ...
    def state_dict(self) -> Mapping[str, Tensor]: ...
    def eval(self) -> Any: ...
    def to(self, device: str) -> Any: ...
