"""A run: what a recipe says, done; killed, resumed, scored, told."""

import contextlib
import os
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from pixellab import figures, images, model, weights
from pixellab.parts import build, describe, learned, restore
from pixellab.recipes import (
    ConvolutionSettings,
    PatchSettings,
    RateSettings,
    Schedule,
    TransformerSettings,
)
from pixellab.training import rate_distortion
from pixellab.training.batches import Inputs, Set, check_sizes
from pixellab.training.checkpoint import Epoch, RunFolder, read_state
from pixellab.training.loop import Task, train
from pixellab.training.pictures import Pictures
from pixellab.training.rate_distortion import RateDistortion
from pixellab.training.scores import certify, in_words, measured
from pixellab.types import Provenance, Tokenizer

FIRST = os.environ.get("RANK", "0") == "0"  # set by what starts processes
CODEBOOK = "tokenizer.safetensors"  # what k-means leaves in a run's folder


@dataclass
class Run:
    """A run that is ready to begin, or to go on."""

    name: str
    tokenizer: Tokenizer
    net: nn.Module
    """the prior, or the tokenizer's RateDistortion"""
    schedule: Schedule
    folder: RunFolder
    pictures: Pictures
    device: str | None = None
    compiled: bool = False
    log_dir: str | None = None
    resumed: bool = False
    task: Task = field(default_factory=Task)

    @property
    def of_prior(self) -> bool:
        """Whether a prior is trained, not a tokenizer."""
        return "prior" in self.folder.config

    def set_of(self, split: str) -> Set:
        """What the net is trained, or scored, on."""
        shifts = self.schedule.shifts if split == "train" else 0
        inputs, labels = self.pictures.read(split, self.tokenizer, shifts,
                                            encoded=self.of_prior)
        if labels is None:  # the null class, for all
            labels = torch.full((len(inputs),), self.task.num_classes or 0)
        return inputs, labels


def new_tokenizer(settings: Any) -> Any:
    """A tokenizer as the settings of a recipe say."""
    return build("tokenizers", {"kind": settings.kind, **asdict(settings)})


def new_prior(settings: TransformerSettings | ConvolutionSettings,
              tokenizer: Any, num_classes: int) -> Any:
    """A prior over the tokens of that tokenizer. ValueError for settings
    that do not fit each other."""
    config = {"kind": settings.kind, **asdict(settings),
              "num_classes": num_classes}
    if isinstance(settings, ConvolutionSettings):
        config.update(levels=tokenizer.vocabulary, size=tokenizer.shape[:2],
                      channels=tokenizer.config["channels"],
                      head=2 * settings.width)
    else:
        config.update(vocabulary=tokenizer.vocabulary, grid=tokenizer.grid)
    return build("priors", config)


# ---------------------------------------------------------------- to begin

def begin_tokenizer(name: str, settings: Any, rate: RateSettings,
                    schedule: Schedule, folder: Path, pictures: Pictures,
                    quantized: bool = True, start: str | Path | None = None,
                    **options: Any) -> Run:
    """A run for a tokenizer that is a network; start: weights to begin with,
    instead of the settings."""
    refuse_labels(schedule, pictures)
    torch.manual_seed(schedule.seed)  # the first weights
    provenance: Provenance = {"name": name, "data": pictures.source}
    if start:
        tokenizer, provenance["started_from"] = tokenizer_of(start, name)
    else:
        tokenizer = new_tokenizer(settings)
    net = RateDistortion(tokenizer, quantized=quantized, **asdict(rate))
    provenance["objective"] = net.config  # the prior's header has it, too
    config = {"tokenizer": describe(tokenizer), "objective": net.config}
    return Run(name, tokenizer, net, schedule,
               RunFolder(folder, config, provenance), pictures,
               task=rate_distortion.TASK, **options)


def begin_prior(name: str, tokenizer_settings: Any, prior_settings: Any,
                schedule: Schedule, folder: Path, pictures: Pictures,
                stored: str | Path | None = None, goes_on: bool = False,
                **options: Any) -> Run:
    """A run for a prior. stored: a weight file whose tokenizer is used, not
    the settings; goes_on: its prior as well, to begin with."""
    torch.manual_seed(schedule.seed)
    if stored:
        tokenizer, history = tokenizer_of(stored, name)
    elif isinstance(tokenizer_settings, PatchSettings):
        tokenizer, history = learn_codebook(
            name, tokenizer_settings, schedule.seed, folder / CODEBOOK,
            pictures, schedule.batch_size)
    else:
        tokenizer, history = new_tokenizer(tokenizer_settings), {}
    if pictures.tokens:
        check_tokens(pictures.tokens, tokenizer)
    provenance: Provenance = {"name": name, "data": pictures.source}
    if stored and goes_on:
        provenance["started_from"] = history
        prior: Any = model.load(stored, "cpu").prior
    else:
        refuse_labels(schedule, pictures)
        torch.manual_seed(schedule.seed)  # the first weights
        prior = new_prior(prior_settings, tokenizer, pictures.num_classes)
    if learned(tokenizer):
        provenance["tokenizer"] = history.get("tokenizer", history)
    return Run(name, tokenizer, prior, schedule, RunFolder(
        folder, {"tokenizer": describe(tokenizer), "prior": describe(prior)},
        provenance, learned(tokenizer)), pictures,
        task=Task(num_classes=prior.num_classes), **options)


def learn_codebook(name: str, settings: PatchSettings, seed: int, path: Path,
                   pictures: Pictures,
                   batch_size: int = 1) -> tuple[Any, Provenance]:
    """(tokenizer, its provenance), also in a file, which one process writes;
    batch_size: of the run that follows, so that its mistake is told first."""
    tokenizer = new_tokenizer(settings)
    digits = pictures.read("train", tokenizer)[0]
    check_sizes(len(digits), batch_size)
    tokenizer.fit(digits, seed)
    provenance = {"name": name, "data": pictures.source, "seed": seed,
                  "train_images": len(digits),
                  **measured(tokenizer, pictures.read("valid",
                                                      tokenizer)[0])[1]}
    if FIRST:
        weights.write(path, learned(tokenizer),
                      {"tokenizer": describe(tokenizer)}, provenance)
        print(f"{path}: {in_words(provenance)}", flush=True)
    return tokenizer, provenance


def resume(name: str, folder: Path, pictures: Pictures,
           changes: dict[str, Any] | None = None, **options: Any) -> Run:
    """A run that was stopped; of its schedule, `train` lets epochs and
    stop_after change. ValueError for a folder that holds no such run."""
    state = read_state(folder)
    try:
        config, provenance = state["config"], state["provenance"]
        if provenance["name"] != name:
            raise ValueError(f"{folder} is no {name}")
        schedule = replace(Schedule(**state["schedule"]), **(changes or {}))
        if "prior" in config:
            tokenizer = restore(state["beside"], config, "tokenizer")
            net = build("priors", config["prior"])
            task = Task(num_classes=net.num_classes)
        else:
            tokenizer = build("tokenizers", config["tokenizer"])
            net = RateDistortion(tokenizer, **config["objective"])
            task = rate_distortion.TASK
    except (LookupError, TypeError, ImportError, AttributeError,
            RuntimeError) as error:
        raise ValueError(f"{folder} is no run of this pixellab "
                         f"({error!r}): start anew") from None
    return Run(name, tokenizer, net, schedule,
               RunFolder(folder, config, provenance, state["beside"]),
               pictures, resumed=True, task=task, **options)


def tokenizer_of(path: str | Path, name: str) -> tuple[Any, Provenance]:
    """(the tokenizer in a weight file of that model, the provenance)."""
    tokenizer, provenance = model.load_tokenizer(path)
    if provenance.get("name") != name:
        raise ValueError(f"{path} is no {name}")
    return tokenizer, provenance


def check_tokens(path: str, tokenizer: Tokenizer) -> None:
    """ValueError if a file's tokens are those of another tokenizer."""
    theirs, _ = model.load_tokenizer(path)
    if weights.digest(learned(theirs)) != weights.digest(learned(tokenizer)):
        raise ValueError(f"the tokens in {path} are of another tokenizer")


def refuse_labels(schedule: Schedule, pictures: Pictures) -> None:
    """ValueError for a setting of labels where there are none."""
    usual = Schedule.label_dropout
    if not pictures.num_classes and schedule.label_dropout != usual:
        raise ValueError("label_dropout is for pictures with labels: omit it")


# ------------------------------------------------------- to do, and to end

def do(run: Run) -> None:
    """Train, with checkpoints, a loss curve and pictures; then score the
    best weights and say so in their header."""
    train_set, valid_set = run.set_of("train"), run.set_of("valid")
    run.folder.provenance["train_images"] = len(train_set[0])
    if FIRST:
        count = sum(part.numel() for part in run.net.parameters())
        print(f"{run.name}: {run.pictures.source}, {count:,} parameters, run "
              f"in {run.folder.path}", flush=True)
    train(run.net, train_set, valid_set, run.schedule, run.folder, run.task,
          on_epoch=lambda history: report(run, valid_set[0], history),
          resume=run.resumed, device=run.device, compiled=run.compiled)
    if FIRST:
        path = run.folder.path / "best.safetensors"
        score = score_prior if run.of_prior else score_tokenizer
        print(f"{path}: {in_words(score(run, path))}", flush=True)


def score_prior(run: Run, path: Path) -> Provenance:
    """Its bits, and what its tokenizer loses, as the header says then."""
    sets = {"valid": run.set_of("valid")}
    with contextlib.suppress(FileNotFoundError):
        sets["test"] = run.set_of("test")
    key, losses = "valid_squared_error", {}
    if run.pictures.tokens:
        losses[key] = weights.read(run.pictures.tokens).provenance[key]
    elif learned(run.tokenizer):
        shown = run.pictures.read("valid", run.tokenizer)[0]
        losses[key] = measured(run.tokenizer, shown)[1][key]
    return certify(path, sets, losses, run.device)


def score_tokenizer(run: Run, path: Path) -> Provenance:
    """How far off its pictures are, as the header says then; of a plain
    auto-encoder, which has no codes, what the run itself said."""
    file = weights.read(path)
    if file.config["objective"]["quantized"]:
        tokenizer, _ = tokenizer_of(path, run.name)
        valid, _ = run.pictures.read("valid", tokenizer)
        file.provenance.update(measured(tokenizer, valid)[1])
        weights.write(path, *file)
    return file.provenance


def report(run: Run, valid: Inputs, history: list[Epoch]) -> None:
    """curve.png, what the network makes of it so far, and the logs."""
    from matplotlib.figure import Figure  # no window, nothing to close

    if run.log_dir:
        from torch.utils.tensorboard import SummaryWriter

        with SummaryWriter(run.log_dir) as writer:
            for name, value in history[-1].items():
                writer.add_scalar(name, value, len(history))
    axis = Figure(dpi=110).subplots()
    folder = run.folder.path
    figures.loss_curve(history, run.task.unit, axis).savefig(
        folder / "curve.png")
    if run.of_prior:
        kind, drawer = "samples", model.ImageModel(run.tokenizer, run.net)
        shown = drawer.sample(10, range(10) if run.task.num_classes else None)
    else:
        kind, shown = "frames", beside(run.tokenizer, valid[:6])
    images.save(images.sheet(shown, columns=len(shown) // 2),
                folder / f"{kind}_{history[-1]['epoch']:03}.png")


def beside(tokenizer: Tokenizer, pictures: Tensor) -> Tensor:
    """Pictures, then what the tokenizer knows of them."""
    return torch.cat([pictures, tokenizer.decode(tokenizer.encode(pictures))])
