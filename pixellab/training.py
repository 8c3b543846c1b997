"""One readable training loop for every network, with Accelerate inside.

The same code runs on a CPU, one GPU, or several processes (`accelerate
launch`). Everything random follows from (seed, epoch, step), so that a run
which was killed and resumed ends with the weights of one that was not.
"""

import contextlib
import copy
import functools
import hashlib
import json
import pickle
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from tqdm import tqdm

from pixellab import likelihood, muon, weights


@dataclass
class Recipe:
    """How a network is trained. ValueError for settings without sense."""

    epochs: int = 50
    optimizer: str = "adam"  # or muon: for the layers inside blocks
    lr: float = 1e-3  # the learning rate at the start
    gamma: float = 0.99  # the rate falls by this factor in each epoch
    warmup: int = 0  # steps in which the rate rises to lr, for transformers
    batch_size: int = 128  # over all processes together
    label_dropout: float = 0.1  # how often the null class is taught
    averaging: float = 0.0  # what is scored and kept: a running mean of the
    # weights, which each step moves by 1 - averaging; 0: the weights
    precision: str = "auto"  # bf16 or fp32; auto: bf16 where it is fast
    seed: int = 0
    save_minutes: float = 5.0  # between checkpoints inside an epoch

    def __post_init__(self):
        limits = {"epochs": (1, 1e9), "lr": (1e-9, 1e99), "gamma": (1e-9, 1),
                  "warmup": (0, 1e9), "batch_size": (1, 1e9),
                  "label_dropout": (0, 1), "averaging": (0, 1),
                  "seed": (0, 2**32 - 1), "save_minutes": (0, 1e9)}
        for name, (low, high) in limits.items():
            if not low <= getattr(self, name) <= high:
                raise ValueError(f"{name} is {getattr(self, name)}; it must "
                                 f"lie in {low} to {high}")
        if self.precision not in ("auto", "bf16", "fp32"):
            raise ValueError(f"precision {self.precision}: auto, bf16 or fp32")
        if self.optimizer not in ("adam", "muon"):
            raise ValueError(f"optimizer {self.optimizer}: adam or muon")


def loss_in_nats(prior, tokens, labels):
    """Mean over tokens of -ln p(token | earlier tokens, label)."""
    logits = prior(tokens, labels)
    return F.cross_entropy(logits.float().flatten(0, 1), tokens.flatten())


def bits_a_token(prior, tokens, labels):
    """The mean over tokens of -log2 p, as the score of a set."""
    bits = likelihood.token_bits(prior, tokens, labels)
    return {"valid": bits.mean().item()}


@dataclass
class Task:
    """What a run lowers: `loss` of (net, inputs, labels) for a batch, and
    `score` of the same for a whole set: a dict, the loss under "valid"."""

    loss: Callable = loss_in_nats
    score: Callable = bits_a_token
    name: str = "bits_per_token"  # of the score, in headers
    unit: str = "bits a token"  # and for people
    scale: float = likelihood.NATS_PER_BIT  # the loss that is one unit


class Files(torch.utils.data.Dataset):
    """Pictures, or their tokens, that stay in files until a batch needs them:
    files[slice or int64 (B,)] is `read` of each path, a tensor (B, ...)."""

    def __init__(self, paths, read):
        self.paths, self.read = np.array(paths, dtype=object), read

    def __len__(self):
        return len(self.paths)

    def __getitem__(self, chosen):
        return torch.stack([self.read(path) for path in self.paths[chosen]])

    def split(self, size):
        return (self[i:i + size] for i in range(0, len(self), size))


def train(prior, train_set, valid_set, recipe, folder, config, about=None,
          tokenizer=None, on_epoch=None, resume=False, progress=True,
          device=None, compiled=False, task=None):
    """Train `prior` in place; returns the history: one dict an epoch, with
    "train" and "valid" in bits a token.

    train_set, valid_set: (tokens int64 (N, T) or `Files`, labels int64
    (N,)). Another network and other inputs come with a `task` of their own.
    `folder` receives best.safetensors (lowest validation bits),
    last.safetensors, state.pt (to resume) and history.json. `config` and
    `about` (what is known of the data) go into their headers, `tokenizer`
    (the tensors that it learned) beside the prior's. on_epoch(history) is
    called after each epoch, on the first process.

    ValueError for a device that is not here, a batch larger than the data, a
    loss that is not finite, or a resumed run with other data or recipe.
    """
    from accelerate import Accelerator

    task = task or Task()
    accelerator = Accelerator(cpu=device == "cpu")
    if device not in (None, accelerator.device.type):
        raise ValueError(f"there is no {device} device here: use cpu")
    first, device = accelerator.is_main_process, accelerator.device
    progress = progress and first
    check_sizes(len(train_set[0]), recipe.batch_size,
                accelerator.num_processes)
    net, *optimizers = accelerator.prepare(
        torch.compile(prior) if compiled else prior,
        *muon.optimizers(prior, recipe.lr, recipe.optimizer))
    average = copy.deepcopy(prior) if recipe.averaging else None
    bf16 = recipe.precision == "bf16" or (
        recipe.precision == "auto" and has_bf16(device))
    run = {"epoch": 0, "step": 0, "loss": 0.0, "seconds": 0.0, "history": [],
           "recipe": asdict(recipe), "data": fingerprint(train_set[0]),
           "config": config, "about": about or {}}
    if resume:
        run = resumed(run, folder, prior, optimizers, average)
    about = {**run["about"], "data_sha256": run["data"],
             "device": str(device), "precision": "bf16" if bf16 else "fp32",
             "processes": accelerator.num_processes,
             "torch": torch.__version__, "pixellab": version("pixellab")}

    def save():  # from the first moment on a kill can be resumed
        with weights.atomic(Path(folder) / "state.pt") as path:
            torch.save({"run": run, "prior": prior.state_dict(),
                        "optimizers": [each.state_dict()
                                       for each in optimizers],
                        "average": average and average.state_dict(),
                        "tokenizer": tokenizer or {}}, path)

    if first and not resume:
        save()
    saved_at = run["seconds"]
    started = time.monotonic() - saved_at

    for epoch in range(run["epoch"], recipe.epochs):
        steps = len(train_set[0]) // recipe.batch_size
        bar = tqdm(range(run["step"], steps), f"epoch {epoch + 1}",
                   total=steps, initial=run["step"], disable=not progress)
        net.train()
        for step in bar:
            inputs, labels = batch(train_set, recipe, epoch, step,
                                   prior.num_classes, accelerator)
            lr = rate(recipe, epoch * steps + step, steps)
            for group in sum((each.param_groups for each in optimizers), []):
                group["lr"] = lr
            with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
                loss = task.loss(net, inputs, labels)
            for each in optimizers:
                each.zero_grad()
            accelerator.backward(loss)
            for each in optimizers:
                each.step()
            if average:
                follow(average, prior, recipe.averaging,
                       epoch * steps + step)
            run["loss"] += accelerator.reduce(loss.detach(), "mean").item()
            run.update(step=step + 1, seconds=time.monotonic() - started)
            mean = run["loss"] / (step + 1) / task.scale
            bar.set_postfix_str(f"{mean:.4g} {task.unit}")
            if first and run["seconds"] - saved_at > 60 * recipe.save_minutes:
                saved_at = run["seconds"]
                save()
        net.eval()
        with exchanged(prior, average):
            row = {"epoch": epoch + 1,
                   "train": run["loss"] / steps / task.scale,
                   **task.score(prior, *valid_set),
                   "lr": optimizers[0].param_groups[0]["lr"]}
            if not np.isfinite(row["train"] + row["valid"]):
                raise ValueError("the loss is not finite: lower --lr")
            run["history"].append(row)
            run.update(epoch=epoch + 1, step=0, loss=0.0,
                       seconds=time.monotonic() - started)
            if first:
                save_weights(folder, run, {**prior.state_dict(),
                                           **(tokenizer or {})},
                             about, task.name)
            if progress:
                print(f"epoch {row['epoch']}: train {row['train']:.5g}, "
                      f"validation {row['valid']:.5g} {task.unit}", flush=True)
            if first and on_epoch:
                on_epoch(run["history"])
        if first:
            save()
    accelerator.wait_for_everyone()
    if average:
        prior.load_state_dict(average.state_dict())
    return run["history"]


def has_bf16(device):
    """Whether products in bf16 are faster there than in float32."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    asked = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return device.type == "cpu" and any(
        getattr(torch.cpu, name, bool)() for name in asked)


@torch.no_grad()
def follow(average, net, decay, step):
    """Move the running mean a little towards the weights (at first a lot)."""
    decay = min(decay, (1 + step) / (10 + step))
    for mean, new in zip(average.parameters(), net.parameters(), strict=True):
        mean.lerp_(new, 1 - decay)


@contextlib.contextmanager
def exchanged(net, average):
    """Inside, the net has the weights of the average (None: its own)."""
    def swap():
        for one, other in zip(net.parameters(), average.parameters(),
                              strict=True):
            one.data, other.data = other.data, one.data

    if average is None:
        yield
        return
    swap()
    try:
        yield
    finally:
        swap()


def rate(recipe, step, steps_per_epoch):
    """The learning rate of a step, counted from the start of the run."""
    rise = min(1, (step + 1) / max(1, recipe.warmup))
    return recipe.lr * rise * recipe.gamma ** (step / steps_per_epoch)


def check_sizes(images, size, processes=1):
    if size > images or size % processes:
        raise ValueError(f"batch_size is {size}; it must be a multiple of "
                         f"{processes} (processes), at most {images} (images)")


def batch(data, recipe, epoch, step, null, accelerator):
    """This process's share of a batch: (inputs (b, ...), labels (b,))."""
    inputs, labels = data
    order = shuffled(len(inputs), recipe.seed, epoch)
    chosen = order[step * recipe.batch_size:][:recipe.batch_size]
    labels = drop_labels(labels[chosen], null, recipe.label_dropout,
                         seeded(recipe.seed, epoch, step + 1))
    torch.manual_seed(seeded(recipe.seed, epoch, step, 0).initial_seed())
    mine = slice(accelerator.process_index, None, accelerator.num_processes)
    return (inputs[chosen[mine]].to(accelerator.device),
            labels[mine].to(accelerator.device))


def drop_labels(labels, null, rate, generator):
    """Replace labels by the null class, each with probability `rate`."""
    dropped = torch.rand(len(labels), generator=generator) < rate
    return torch.where(dropped, null, labels)


@functools.lru_cache(maxsize=1)
def shuffled(count, seed, epoch):
    """The order of an epoch: the same whenever it is asked for."""
    return torch.randperm(count, generator=seeded(seed, epoch))


def seeded(*numbers):
    """A generator that depends on all the numbers."""
    text = ",".join(map(str, numbers)).encode()
    seed = int.from_bytes(hashlib.sha256(text).digest()[:7], "big")
    return torch.Generator().manual_seed(seed)


def fingerprint(inputs):
    """16 hex digits of a SHA-256: of the inputs, or of their files' names and
    sizes."""
    if isinstance(inputs, Files):
        content = repr([(path.name, path.stat().st_size) for path in
                        map(Path, inputs.paths)]).encode()
    else:
        if inputs.dtype != torch.uint8:
            inputs = inputs.to(torch.int16)
        content = inputs.contiguous().flatten().numpy()
    return hashlib.sha256(content).hexdigest()[:16]


def save_weights(folder, run, tensors, about, name):
    """last.safetensors, best.safetensors if it is the best, history.json."""
    row = run["history"][-1]
    about = {**about, "recipe": run["recipe"], "epochs_done": row["epoch"],
             "seconds": round(run["seconds"]),
             f"valid_{name}": row["valid"], f"train_{name}": row["train"]}
    best = min(run["history"], key=lambda row: row["valid"])
    for which in ("last", "best") if row is best else ("last",):
        weights.save(Path(folder) / f"{which}.safetensors", tensors,
                     run["config"], about)
    with weights.atomic(Path(folder) / "history.json") as path:
        path.write_text(json.dumps(run["history"], indent=1))


def load_state(folder):
    """What state.pt holds: {"run", "prior", "optimizer", "tokenizer"}."""
    path = Path(folder) / "state.pt"
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, pickle.UnpicklingError, EOFError) as error:
        raise ValueError(f"{path} is damaged: start anew") from error


def resumed(run, folder, prior, optimizers, average):
    """The stored run, if it is the same one; only `epochs` may differ."""
    saved = load_state(folder)
    before, after = ({"data": one["data"], "config": one["config"],
                      **one["recipe"]} for one in (saved["run"], run))
    for name in set(after) - {"epochs", "save_minutes"}:
        if before.get(name) != after[name]:
            raise ValueError(f"{name} was {before.get(name)} and is "
                             f"{after[name]} now: resume with the same")
    prior.load_state_dict(saved["prior"])
    for each, state in zip(optimizers, saved["optimizers"], strict=True):
        each.load_state_dict(state)
    if average:
        average.load_state_dict(saved["average"])
    return {**saved["run"], "recipe": run["recipe"]}
