"""One readable training loop for every prior, with Accelerate inside.

The same code runs on a CPU, one GPU, or several processes started by
`accelerate launch`. Everything random follows from (seed, epoch, step), so
that a run which was killed and resumed ends with the weights of one that was
not.
"""

import hashlib
import json
import os
import time
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

import torch
import torch.nn.functional as F

from pixellab import likelihood, weights


@dataclass
class Recipe:
    """What a run does; defaults as the scripts of this kind have them."""

    epochs: int = 50
    lr: float = 1e-3  # Adam's learning rate in the first epoch
    gamma: float = 0.99  # the rate falls by this factor in each epoch
    batch_size: int = 128  # over all processes together
    label_dropout: float = 0.1  # how often the null class is taught
    precision: str = "auto"  # "bf16", "fp32"; auto: bf16 on CUDA only
    seed: int = 0
    save_minutes: float = 5.0  # between checkpoints inside an epoch

    def __post_init__(self):
        for name in ("epochs", "lr", "gamma", "batch_size"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} is {getattr(self, name)}; it must "
                                 "be positive")


def fingerprint(tokens):
    """SHA-256 of the training tokens, 16 hexadecimal digits."""
    return hashlib.sha256(tokens.to(torch.int16).numpy().tobytes()
                          ).hexdigest()[:16]


def drop_labels(labels, null, rate, generator):
    """Replace labels by the null class, each with probability `rate`."""
    dropped = torch.rand(len(labels), generator=generator) < rate
    return torch.where(dropped, null, labels)


def loss_in_nats(prior, tokens, labels):
    """Mean over tokens of -ln p(token | earlier tokens, label)."""
    logits = prior(tokens, labels)
    return F.cross_entropy(logits.float().flatten(0, 1), tokens.flatten())


def train(prior, train_set, valid_set, recipe, folder, config,
          about=None, on_epoch=None, log_dir=None, resume=False,
          progress=True, device=None):
    """Train `prior` in place; returns the history, one dict an epoch.

    train_set, valid_set: (tokens int (N, T), labels int64 (N,)). `folder`
    receives best.safetensors (lowest validation bits), last.safetensors,
    state.pt (to resume) and history.json, each written atomically.
    `config` and `about` (what is known of the data) go into their headers.
    on_epoch(history) is called after each epoch, on the first process.
    """
    from accelerate import Accelerator

    if len(train_set[0]) < recipe.batch_size:
        raise ValueError(f"batch_size is {recipe.batch_size}, but there are "
                         f"only {len(train_set[0])} training images")
    cuda = torch.cuda.is_available() and device != "cpu"
    bf16 = recipe.precision == "bf16" or (recipe.precision == "auto" and cuda)
    accelerator = Accelerator(cpu=device == "cpu",
                              mixed_precision="bf16" if bf16 else "no")
    if recipe.batch_size % accelerator.num_processes:
        raise ValueError(f"batch_size {recipe.batch_size} must be a multiple "
                         f"of the {accelerator.num_processes} processes")
    folder = Path(folder)
    optimizer = torch.optim.Adam(prior.parameters(), lr=recipe.lr)
    net, optimizer = accelerator.prepare(prior, optimizer)
    run = {"epoch": 0, "step": 0, "loss": 0.0, "seconds": 0.0,
           "history": [], "recipe": asdict(recipe)}
    if resume:
        run = load_state(folder, prior, optimizer, recipe)
    started = time.monotonic() - run["seconds"]
    writer = tensorboard(log_dir) if accelerator.is_main_process else None
    saver = Saver(folder, prior, optimizer, config, about, recipe,
                  fingerprint(train_set[0]), accelerator)

    for epoch in range(run["epoch"], recipe.epochs):
        steps = len(train_set[0]) // recipe.batch_size
        bar = progress_bar(steps, f"epoch {epoch + 1}/{recipe.epochs}",
                           progress and accelerator.is_local_main_process)
        bar.update(run["step"])
        net.train()
        for step in range(run["step"], steps):
            tokens, labels = batch(train_set, recipe, epoch, step,
                                   prior.num_classes, accelerator)
            rate = recipe.lr * recipe.gamma ** (epoch + step / steps)
            for group in optimizer.param_groups:
                group["lr"] = rate
            with accelerator.autocast():
                loss = loss_in_nats(net, tokens, labels)
            optimizer.zero_grad()
            accelerator.backward(loss)
            optimizer.step()
            run["loss"] += accelerator.reduce(loss.detach(), "mean").item()
            run["step"] = step + 1
            run["seconds"] = time.monotonic() - started
            bar.update()
            bar.set_postfix_str(f"loss {run['loss'] / (step + 1):.4f} nats")
            saver.every_few_minutes(run)
        bar.close()
        net.eval()
        valid = likelihood.token_bits(prior, *valid_set).mean().item()
        run["history"].append({
            "epoch": epoch + 1,
            "train": run["loss"] / steps / likelihood.NATS_PER_BIT,
            "valid": valid, "lr": optimizer.param_groups[0]["lr"]})
        run.update(epoch=epoch + 1, step=0, loss=0.0,
                   seconds=time.monotonic() - started)
        saver.after_epoch(run)
        if accelerator.is_main_process:
            report(run["history"][-1], writer, progress)
            if on_epoch:
                on_epoch(run["history"])
    return run["history"]


def batch(data, recipe, epoch, step, null, accelerator):
    """This process's share of one batch, a function of (epoch, step)."""
    tokens, labels = data
    order = torch.randperm(len(tokens), generator=seeded(recipe.seed, epoch))
    chosen = order[step * recipe.batch_size:][:recipe.batch_size]
    labels = drop_labels(labels[chosen], null, recipe.label_dropout,
                         seeded(recipe.seed, epoch, step + 1))
    torch.manual_seed(hash((recipe.seed, epoch, step)) % 2**31)  # dropout
    mine = slice(accelerator.process_index, None, accelerator.num_processes)
    return (tokens[chosen][mine].long().to(accelerator.device),
            labels[mine].to(accelerator.device))


def seeded(*numbers):
    """A generator that depends on all the numbers."""
    text = ",".join(map(str, numbers)).encode()
    seed = int.from_bytes(hashlib.sha256(text).digest()[:7], "big")
    return torch.Generator().manual_seed(seed)


def progress_bar(steps, text, shown):
    from tqdm import tqdm

    return tqdm(total=steps, desc=text, disable=not shown)


def tensorboard(log_dir):
    if log_dir is None:
        return None
    from torch.utils.tensorboard import SummaryWriter

    return SummaryWriter(log_dir)


def report(row, writer, shown):
    """One line an epoch, and the same numbers for TensorBoard."""
    if shown:
        print(f"epoch {row['epoch']}: train {row['train']:.4f}, validation "
              f"{row['valid']:.4f} bits a token", flush=True)
    if writer:
        for name in ("train", "valid"):
            writer.add_scalar(f"bits per token/{name}", row[name],
                              row["epoch"])
        writer.add_scalar("learning rate", row["lr"], row["epoch"])
        writer.flush()


class Saver:
    """Writes checkpoints, each first under another name, then renamed."""

    def __init__(self, folder, prior, optimizer, config, about, recipe, data,
                 accelerator):
        self.folder, self.prior, self.optimizer = folder, prior, optimizer
        self.config, self.recipe = config, recipe
        self.about = {**(about or {}), "data_sha256": data,
                      "device": str(accelerator.device),
                      "precision": accelerator.mixed_precision,
                      "processes": accelerator.num_processes,
                      "torch": str(torch.__version__),
                      "pixellab": version("pixellab")}
        self.main = accelerator.is_main_process
        self.last_time = time.monotonic()

    def every_few_minutes(self, run):
        if time.monotonic() - self.last_time > 60 * self.recipe.save_minutes:
            self.state(run)

    def after_epoch(self, run):
        history = run["history"]
        if not self.main:
            return
        self.weights("last", run)
        best = min(row["valid"] for row in history)
        if history[-1]["valid"] == best:
            self.weights("best", run)
        write_atomically(self.folder / "history.json",
                         json.dumps(history, indent=1).encode())
        self.state(run)

    def weights(self, name, run):
        row = run["history"][-1]
        weights.save(
            self.folder / f"{name}.safetensors", self.prior.state_dict(),
            self.config, {**self.about, "recipe": asdict(self.recipe),
                          "epochs_done": row["epoch"],
                          "seconds": round(run["seconds"]),
                          "valid_bits_per_token": row["valid"],
                          "train_bits_per_token": row["train"]})

    def state(self, run):
        self.last_time = time.monotonic()
        if self.main:
            self.folder.mkdir(parents=True, exist_ok=True)
            temporary = self.folder / "state.pt.part"
            torch.save({"run": run, "prior": self.prior.state_dict(),
                        "optimizer": self.optimizer.state_dict()}, temporary)
            os.replace(temporary, self.folder / "state.pt")


def load_state(folder, prior, optimizer, recipe):
    """Continue where `folder` stopped; the recipe must be the same one."""
    path = folder / "state.pt"
    if not path.exists():
        raise FileNotFoundError(f"nothing to resume: {path} does not exist")
    saved = torch.load(path, map_location="cpu", weights_only=True)
    for name, value in asdict(recipe).items():
        before = saved["run"]["recipe"][name]
        if name not in ("epochs", "save_minutes") and before != value:
            raise ValueError(f"{name} was {before} when this run began and "
                             f"is {value} now: use the same, or start anew")
    prior.load_state_dict(saved["prior"])
    optimizer.load_state_dict(saved["optimizer"])
    return saved["run"]


def write_atomically(path, data):
    temporary = path.with_name(path.name + ".part")
    temporary.write_bytes(data)
    os.replace(temporary, path)
