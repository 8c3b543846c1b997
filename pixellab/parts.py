"""Tokenizers and priors as configurations: how a weight file names them."""

import importlib
from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from pixellab.types import Config

LEARNED = "tokenizer."  # how tensors of a tokenizer begin in weight files


def arguments(names: Mapping[str, Any]) -> Config:
    """The locals() of a constructor as the config that rebuilds a part."""
    return {name: list(value) if isinstance(value, tuple) else value
            for name, value in names.items()
            if name not in ("self", "__class__", "tokenizer")}


def build(floor: str, config: Config) -> Any:
    """An object from {"kind": "file.Class", ...constructor arguments}, the
    file one of pixellab.tokenizers or .priors: nothing else is imported."""
    file, name = config["kind"].split(".")
    module = importlib.import_module(f"pixellab.{floor}.{file}")
    return getattr(module, name)(**{
        key: config[key] for key in config if key != "kind"})


def describe(part: Any) -> Config:
    """The opposite of `build`: a config that rebuilds `part`."""
    file = type(part).__module__.rsplit(".", 1)[-1]
    return {"kind": f"{file}.{type(part).__name__}", **part.config}


def learned(tokenizer: Any) -> dict[str, Tensor]:
    """What a (lossy) tokenizer has learned, as tensors for a weight file."""
    state = tokenizer.state_dict() if isinstance(tokenizer, nn.Module) else {}
    return {LEARNED + key: value for key, value in state.items()}


def restore(tensors: Mapping[str, Tensor], config: Config, part: str) -> Any:
    """The "tokenizer" or "prior" of a config, with what it has learned."""
    thing = build(f"{part}s", config[part])
    if isinstance(thing, nn.Module):
        thing.eval().load_state_dict({
            key.removeprefix(LEARNED): value for key, value in tensors.items()
            if key.startswith(LEARNED) == (part == "tokenizer")})
    return thing
