"""One readable training loop for every network, with Accelerate inside.

The same code runs on a CPU, one GPU, or several processes (`accelerate
launch`). Everything random follows from (seed, epoch, step), so that a run
which was killed and resumed ends with the weights of one that was not.
"""

import copy
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pixellab import likelihood
from pixellab.progress import bar
from pixellab.recipes import Schedule
from pixellab.training import muon
from pixellab.training.averaging import exchanged, follow
from pixellab.training.batches import (
    Inputs,
    Set,
    batch,
    check_sizes,
    fingerprint,
)
from pixellab.training.checkpoint import (
    Epoch,
    Progress,
    RunFolder,
    check_same_run,
    read_state,
)
from pixellab.types import Provenance


def loss_in_nats(prior: nn.Module, tokens: Tensor, labels: Tensor) -> Tensor:
    """Mean over tokens of -ln p(token | earlier tokens, label)."""
    logits = prior(tokens, labels)
    return F.cross_entropy(logits.float().flatten(0, 1), tokens.flatten())


def bits_a_token(prior: nn.Module, tokens: Inputs,
                 labels: Tensor) -> dict[str, float]:
    """The mean over tokens of -log2 p, as the score of a set."""
    bits = likelihood.token_bits(prior, tokens, labels)
    return {"valid": bits.mean().item()}


@dataclass
class Task:
    """What a run lowers, and in which unit it says so."""

    loss: Callable[[Any, Any, Tensor], Tensor] = loss_in_nats
    """of (net, inputs, labels) for a batch"""
    score: Callable[[Any, Any, Tensor], dict[str, float]] = bits_a_token
    """of the same for a whole set: the loss is its "valid" """
    name: str = "bits_per_token"
    """of the score, in headers"""
    unit: str = "bits a token"
    """of the score, for people"""
    scale: float = likelihood.NATS_PER_BIT
    """the loss that is one unit"""
    num_classes: int | None = None
    """a withheld label becomes this one; None: that of the net, a prior"""


@dataclass
class Worker:
    """What one process works with."""

    net: nn.Module
    wrapped: nn.Module
    """the net as Accelerate wants it called"""
    optimizers: list[Any]
    average: nn.Module | None
    accelerator: Any
    bf16: bool

    @property
    def first(self) -> bool:
        """Whether this is the process that writes and speaks."""
        return bool(self.accelerator.is_main_process)

    def state(self) -> dict[str, Any]:
        """Its tensors, for `load`."""
        return {"network": self.net.state_dict(),
                "optimizers": [one.state_dict() for one in self.optimizers],
                "average": self.average and self.average.state_dict()}

    def load(self, state: dict[str, Any]) -> None:
        """Go on from there."""
        self.net.load_state_dict(state["network"])
        for one, stored in zip(self.optimizers, state["optimizers"],
                               strict=True):
            one.load_state_dict(stored)
        if self.average:
            self.average.load_state_dict(state["average"])


def train(net: nn.Module, train_set: Set, valid_set: Set, schedule: Schedule,
          folder: RunFolder, task: Task | None = None, *,
          on_epoch: Callable[[list[Epoch]], None] | None = None,
          resume: bool = False, device: str | None = None,
          compiled: bool = False, show: bool = True) -> list[Epoch]:
    """Train `net` in place; returns the history: one dict an epoch, with
    "train" and "valid" in bits a token.

    train_set, valid_set: (tokens int64 (N, T) or `Files`, labels int64
    (N,)). Another network and other inputs come with a `task` of their own.
    on_epoch(history) is called after each epoch, on the first process. show:
    with a bar, and a line an epoch.

    ValueError for a device that is not here, a batch larger than the data, a
    loss that is not finite, or a resumed run with other data or schedule.
    """
    task = task or Task()
    if task.num_classes is None:
        task = replace(task, num_classes=int(net.num_classes))  # type: ignore
    worker = prepare(net, schedule, device, compiled)
    check_sizes(len(train_set[0]), schedule.batch_size,
                worker.accelerator.num_processes)
    data = fingerprint(train_set[0])
    progress = (stored_progress(worker, schedule, folder, data) if resume
                else Progress())

    def save() -> None:
        if worker.first:
            folder.write_state(progress, schedule, data, worker.state())

    if not resume:
        save()  # from the first moment on a kill can be resumed
    while progress.epoch < schedule.last_epoch:
        train_epoch(worker, train_set, schedule, task, progress,
                    lambda: save() if folder.due(progress) else None, show)
        with exchanged(net, worker.average):
            progress.finish_epoch(scored(worker, task, progress, valid_set,
                                         len(train_set[0]), schedule))
            if worker.first:
                folder.write_weights(
                    progress, net.state_dict(),
                    header(worker, schedule, data), task.name)
                tell(progress.history, task, show, on_epoch)
        save()
    finish(worker)
    return progress.history


def finish(worker: Worker) -> None:
    """Wait for the others; leave the running mean in the network."""
    worker.accelerator.wait_for_everyone()
    if worker.average:
        worker.net.load_state_dict(worker.average.state_dict())


def stored_progress(worker: Worker, schedule: Schedule, folder: RunFolder,
                    data: str) -> Progress:
    """Take up what state.pt holds, and say how far it had come."""
    stored = read_state(folder.path)
    check_same_run(stored, schedule, data, folder.config)
    worker.load(stored)
    progress = Progress.stored(stored["progress"])
    folder.saved_at = progress.seconds
    return progress


def prepare(net: nn.Module, schedule: Schedule, device: str | None,
            compiled: bool) -> Worker:
    """The network, its optimizers and its running mean, on the device."""
    from accelerate import Accelerator  # slow to import

    accelerator = Accelerator(cpu=device == "cpu")
    if device not in (None, accelerator.device.type):
        raise ValueError(f"there is no {device} device here: use cpu")
    wrapped, *optimizers = accelerator.prepare(
        torch.compile(net) if compiled else net,
        *muon.optimizers(net, schedule.lr, schedule.optimizer))
    bf16 = schedule.precision == "bf16" or (
        schedule.precision == "auto" and has_bf16(accelerator.device))
    average = copy.deepcopy(net) if schedule.averaging else None
    return Worker(net, wrapped, optimizers, average, accelerator, bf16)


def train_epoch(worker: Worker, train_set: Set, schedule: Schedule,
                task: Task, progress: Progress, save: Callable[[], None],
                show: bool) -> None:
    """The steps of an epoch that are left."""
    steps = len(train_set[0]) // schedule.batch_size
    shown = bar(range(progress.step, steps), f"epoch {progress.epoch + 1}",
                total=steps, initial=progress.step,
                show=show and worker.first)
    share = slice(worker.accelerator.process_index, None,
                  worker.accelerator.num_processes)
    worker.wrapped.train()
    for step in shown:
        inputs, labels = batch(train_set, schedule, progress.epoch, step,
                               task.num_classes or 0, share)
        count = progress.epoch * steps + step
        loss = descend(worker, task, inputs, labels,
                       rate(schedule, count, steps))
        if worker.average:
            follow(worker.average, worker.net, schedule.averaging, count)
        progress.loss += loss
        progress.step = step + 1
        progress.tick()
        mean = progress.loss / progress.step / task.scale
        shown.set_postfix_str(f"{mean:.4g} {task.unit}")
        save()
    worker.wrapped.eval()


def descend(worker: Worker, task: Task, inputs: Tensor, labels: Tensor,
            lr: float) -> float:
    """One step downhill; returns the loss, a mean over all processes."""
    device = worker.accelerator.device
    for optimizer in worker.optimizers:
        optimizer.zero_grad()
        for group in optimizer.param_groups:
            group["lr"] = lr
    with torch.autocast(device.type, torch.bfloat16, enabled=worker.bf16):
        loss = task.loss(worker.wrapped, inputs.to(device),
                         labels.to(device))
    worker.accelerator.backward(loss)
    for optimizer in worker.optimizers:
        optimizer.step()
    return float(worker.accelerator.reduce(loss.detach(), "mean").item())


def rate(schedule: Schedule, step: int, steps_per_epoch: int) -> float:
    """The learning rate of a step, counted from the start of the run."""
    rise = min(1, (step + 1) / max(1, schedule.warmup))
    return schedule.lr * rise * schedule.gamma ** (step / steps_per_epoch)


def scored(worker: Worker, task: Task, progress: Progress, valid_set: Set,
           images: int, schedule: Schedule) -> Epoch:
    """The entry of an epoch in the history. ValueError if it is not finite.
    """
    steps = images // schedule.batch_size
    row = {"epoch": progress.epoch + 1,
           "train": progress.loss / steps / task.scale,
           **task.score(worker.net, *valid_set),
           "lr": rate(schedule, (progress.epoch + 1) * steps - 1, steps)}
    if not math.isfinite(row["train"] + row["valid"]):
        raise ValueError("the loss is not finite: lower --lr")
    return row


def header(worker: Worker, schedule: Schedule, data: str) -> Provenance:
    """What a weight file says of the run."""
    return {"data_sha256": data, "recipe": asdict(schedule),
            "device": str(worker.accelerator.device),
            "precision": "bf16" if worker.bf16 else "fp32",
            "processes": worker.accelerator.num_processes,
            "torch": torch.__version__, "pixellab": version("pixellab")}


def tell(history: list[Epoch], task: Task, show: bool,
         on_epoch: Callable[[list[Epoch]], None] | None) -> None:
    """Say how the last epoch went, and call who wants to know."""
    row = history[-1]
    if show:
        print(f"epoch {row['epoch']}: train {row['train']:.5g}, validation "
              f"{row['valid']:.5g} {task.unit}", flush=True)
    if on_epoch:
        on_epoch(history)


def has_bf16(device: torch.device) -> bool:
    """Whether products in bf16 are faster there than in float32."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    asked = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return device.type == "cpu" and any(
        getattr(torch.cpu, name, bool)() for name in asked)
