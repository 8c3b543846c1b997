"""Weight files: safetensors of few bits, with their history inside.

The header holds `config` (how to build tokenizer and prior), `provenance`
(data, recipe, device, seconds, bits...) and the numbers' SHA-256. No pickle.
"""

import contextlib
import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import safetensors.torch
import torch
from torch import Tensor

from pixellab.types import Config, Provenance

FOLDER = Path(__file__).parent / "weights"


class Checkpoint(NamedTuple):
    """What a weight file holds."""

    tensors: dict[str, Tensor]
    config: Config
    provenance: Provenance


@contextlib.contextmanager
def atomic(path: str | Path) -> Iterator[Path]:
    """A path to write to, renamed to `path` when all went well."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    try:
        yield part
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def names() -> list[str]:
    """Names of the weight files that ship with the package."""
    return sorted(path.stem for path in FOLDER.glob("*.safetensors"))


def find(name_or_path: str | Path) -> Path:
    """Path of a shipped file by name, or of a file of one's own."""
    for path in (FOLDER / f"{name_or_path}.safetensors", Path(name_or_path)):
        if path.is_file():
            return path
    raise FileNotFoundError(f"no model {str(name_or_path)!r}, no such file: "
                            f"use one of {', '.join(names())}")


def digest(tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 of all numbers, in the order of their names."""
    total = hashlib.sha256()
    for key in sorted(tensors):
        total.update(key.encode())
        total.update(tensors[key].numpy().tobytes())
    return total.hexdigest()


def write(path: str | Path, tensors: Mapping[str, Tensor], config: Config,
          provenance: Provenance) -> None:
    """Write float tensors as float16, the rest as they are. Where the
    provenance says {"stored_as": "int8"}, float matrices become int8, with
    one float32 scale a row in "NAME.scale"."""
    stored, eight = {}, provenance.get("stored_as") == "int8"
    for key, value in tensors.items():
        value = value.detach().cpu().contiguous()
        if eight and value.ndim == 2 and value.is_floating_point():
            scale = value.float().abs().amax(dim=1).clamp(min=1e-12) / 127
            stored[f"{key}.scale"] = scale
            value = (value / scale[:, None]).round().to(torch.int8)
        stored[key] = value.half() if value.is_floating_point() else value
    about = {"config": json.dumps(config), "sha256": digest(stored),
             "provenance": json.dumps(provenance)}
    with atomic(path) as part:
        part.write_bytes(safetensors.torch.save(stored, about))


def read(name_or_path: str | Path) -> Checkpoint:
    """A weight file, its numbers in float32. ValueError for a damaged one."""
    path = find(name_or_path)
    try:
        with safetensors.safe_open(path, "pt") as file:
            header = file.metadata() or {}
            tensors = {key: file.get_tensor(key) for key in file.keys()}
        config = json.loads(header["config"])
        about = json.loads(header["provenance"])
        if header["sha256"] != digest(tensors):
            raise ValueError("its numbers do not match their checksum")
    except (safetensors.SafetensorError, KeyError, ValueError) as error:
        raise ValueError(f"{path} is damaged or not a pixellab weight file "
                         f"({error}): get it anew") from None
    for key in [key for key in tensors if f"{key}.scale" in tensors]:
        tensors[key] = tensors[key] * tensors.pop(f"{key}.scale")[:, None]
    return Checkpoint({
        key: value.float() if value.is_floating_point() else value
        for key, value in tensors.items()}, config, about)
