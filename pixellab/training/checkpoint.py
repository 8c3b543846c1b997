"""The folder of a run: its weights, and all that is needed to go on."""

import json
import pickle
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pixellab import weights
from pixellab.recipes import Schedule
from pixellab.types import Config, Provenance

Epoch = dict[str, float]
"""{"epoch": 1, "train": ..., "valid": ..., "lr": ...}"""


@dataclass
class Progress:
    """How far a run has come."""

    epoch: int = 0
    """finished epochs"""
    step: int = 0
    """finished steps of the next one"""
    loss: float = 0.0
    """summed over these"""
    history: list[Epoch] = field(default_factory=list)
    """one entry an epoch"""
    seconds: float = 0.0
    """of work, over all sittings"""
    started: float = field(default_factory=time.monotonic)
    """when it would have begun, had it never been interrupted"""

    @classmethod
    def stored(cls, values: dict[str, Any]) -> "Progress":
        """What `asdict` gave, in a later process."""
        return cls(**{**values,
                      "started": time.monotonic() - values["seconds"]})

    def tick(self) -> None:
        """Look at the clock."""
        self.seconds = time.monotonic() - self.started

    def finish_epoch(self, row: Epoch) -> None:
        """Go on to the next one."""
        self.history.append(row)
        self.epoch, self.step, self.loss = self.epoch + 1, 0, 0.0
        self.tick()


@dataclass
class RunFolder:
    """Where a run lives: best.safetensors (lowest validation loss),
    last.safetensors, history.json, and state.pt to resume it."""

    path: Path
    config: Config
    """how to build what is trained, for the headers"""
    provenance: Provenance = field(default_factory=dict)
    """what is known of the data, for the headers"""
    beside: dict[str, Tensor] = field(default_factory=dict)
    """tensors stored beside those of the network: a tokenizer's"""
    save_minutes: float = 5.0
    """between checkpoints inside an epoch"""
    saved_at: float = 0.0
    """in seconds of work"""

    def __post_init__(self) -> None:
        self.path = Path(self.path)
        if not 0 <= self.save_minutes < 1e9:  # NaN neither
            raise ValueError(f"save_minutes is {self.save_minutes}; it must "
                             "be 0 or more")

    def due(self, progress: Progress) -> bool:
        """Whether a checkpoint inside an epoch is due."""
        return progress.seconds - self.saved_at > 60 * self.save_minutes

    def write_state(self, progress: Progress, schedule: Schedule, data: str,
                    tensors: dict[str, Any]) -> None:
        """state.pt; data: the fingerprint of the training set."""
        self.saved_at = progress.seconds
        with weights.atomic(self.path / "state.pt") as part:
            torch.save({"progress": asdict(progress), "data": data,
                        "schedule": asdict(schedule), "config": self.config,
                        "provenance": self.provenance, "beside": self.beside,
                        **tensors}, part)

    def write_weights(self, progress: Progress, tensors: dict[str, Tensor],
                      provenance: Provenance, score: str) -> None:
        """last.safetensors, best.safetensors if it is the best, history.json.
        score: the name of what was measured."""
        row = progress.history[-1]
        provenance = {
            **self.provenance, **provenance, "epochs_done": row["epoch"],
            "seconds": round(progress.seconds),
            f"valid_{score}": row["valid"], f"train_{score}": row["train"]}
        best = min(progress.history, key=lambda row: row["valid"])
        for which in ("last", "best") if row is best else ("last",):
            weights.write(self.path / f"{which}.safetensors",
                          {**tensors, **self.beside}, self.config, provenance)
        with weights.atomic(self.path / "history.json") as part:
            part.write_text(json.dumps(progress.history, indent=1))


def read_state(folder: str | Path) -> dict[str, Any]:
    """What state.pt holds; ValueError for a damaged one."""
    path = Path(folder) / "state.pt"
    try:
        return dict(torch.load(path, map_location="cpu", weights_only=True))
    except (RuntimeError, pickle.UnpicklingError, EOFError, ValueError,
            TypeError) as error:
        raise ValueError(f"{path} is damaged: start anew") from error


def check_same_run(stored: dict[str, Any], schedule: Schedule, data: str,
                   config: Config) -> None:
    """ValueError if a stored run is not this one: only how long it is to
    last may differ."""
    before, after = ({"data": data, "config": config, **settings}
                     for data, config, settings in (
                         (stored["data"], stored["config"],
                          stored["schedule"]),
                         (data, config, asdict(schedule))))
    for name in set(after) - {"epochs", "stop_after"}:
        if before.get(name) != after[name]:
            raise ValueError(f"{name} was {before.get(name)} and is "
                             f"{after[name]} now: resume with the same")
