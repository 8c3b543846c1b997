"""Weight files: safetensors of few bits, with their history inside.

The header holds `config` (how to build the tokenizer and the prior),
`provenance` (data and hash, recipe, device, seconds, validation bits) and the
SHA-256 of the numbers. No pickle anywhere.
"""

import contextlib
import hashlib
import json
import os
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

FOLDER = Path(__file__).parent / "weights"


@contextlib.contextmanager
def atomic(path):
    """A path to write to, renamed to `path` when all went well."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    try:
        yield part
        umask = os.umask(0)  # safetensors writes files for their owner alone
        os.umask(umask)
        part.chmod(0o666 & ~umask)
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def names():
    """Names of the weight files that ship with the package."""
    return sorted(path.stem for path in FOLDER.glob("*.safetensors"))


def find(name_or_path):
    """Path of a shipped file by name, or of a file of one's own."""
    shipped = FOLDER / f"{name_or_path}.safetensors"
    if shipped.exists():
        return shipped
    if Path(name_or_path).is_file():
        return Path(name_or_path)
    raise FileNotFoundError(
        f"no model {str(name_or_path)!r}: use one of {', '.join(names())}, "
        "or the path of a .safetensors file")


def digest(tensors):
    """SHA-256 of all numbers, in the order of their names."""
    total = hashlib.sha256()
    for key in sorted(tensors):
        total.update(key.encode())
        total.update(tensors[key].numpy().tobytes())
    return total.hexdigest()


def save(path, tensors, config, provenance):
    """Write atomically: float tensors as float16, the rest as they are.

    Where the provenance says {"stored_as": "int8"}, float matrices become
    int8, with one float32 scale a row in "NAME.scale".
    """
    stored = {}
    for key, value in tensors.items():
        value = value.detach().cpu().contiguous()
        if not value.is_floating_point():
            stored[key] = value
        elif provenance.get("stored_as") == "int8" and value.ndim == 2:
            scale = value.float().abs().amax(dim=1).clamp(min=1e-12) / 127
            stored[key] = (value / scale[:, None]).round().to(torch.int8)
            stored[f"{key}.scale"] = scale
        else:
            stored[key] = value.half()
    with atomic(path) as part:
        save_file(stored, part, {"config": json.dumps(config),
                                 "provenance": json.dumps(provenance),
                                 "sha256": digest(stored)})


def load(name_or_path):
    """(tensors in float32, config, provenance) of a weight file.

    FileNotFoundError for an unknown name, ValueError for a damaged or
    foreign file.
    """
    path = find(name_or_path)
    try:
        with safe_open(path, "pt") as file:
            header = file.metadata() or {}
            tensors = {key: file.get_tensor(key) for key in file.keys()}
        config = json.loads(header["config"])
        provenance = json.loads(header["provenance"])
        intact = header["sha256"] == digest(tensors)
    except (SafetensorError, KeyError, ValueError, OSError) as error:
        raise ValueError(f"{path} is damaged or not a pixellab weight file "
                         f"({error})") from None
    if not intact:
        raise ValueError(f"{path} is damaged (its numbers do not match their "
                         "checksum): get it anew")
    scales = {key: tensors.pop(f"{key}.scale")[:, None]
              for key in list(tensors) if f"{key}.scale" in tensors}
    return ({key: value * scales[key] if key in scales else
             value.float() if value.is_floating_point() else value
             for key, value in tensors.items()}, config, provenance)
