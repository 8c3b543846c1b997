"""Training: it learns, it resumes exactly, a kill loses nothing."""

import json
import signal
import subprocess
import sys
import time

import pytest
import torch

from pixellab import likelihood, training, weights
from pixellab.model import describe
from pixellab.priors.pixelcnn import PixelCNN
from pixellab.tokenizers.pixels import Pixels
from pixellab.training import Recipe


def stripes(count, seed=0):
    """4x4 pictures with 2 levels: label 0 is stripes down, 1 across."""
    labels = torch.arange(count) % 2
    pattern = torch.arange(16) % 2
    across = (torch.arange(16) // 4) % 2
    tokens = torch.where(labels[:, None] == 0, pattern, across)
    noise = torch.rand(count, 16,
                       generator=torch.Generator().manual_seed(seed)) < 0.02
    return tokens ^ noise.long(), labels


def run(folder, epochs=3, resume=False, **recipe):
    torch.manual_seed(0)
    prior = PixelCNN(2, (4, 4), width=8, dilations=(1,), head=8,
                     num_classes=2)
    recipe = Recipe(**{"epochs": epochs, "lr": 1e-2, "gamma": 0.7,
                       "batch_size": 32, **recipe})
    config = {"tokenizer": describe(Pixels(2, 4, 4)),
              "prior": describe(prior)}
    history = training.train(prior, stripes(256), stripes(64, seed=1),
                             recipe, folder, config, resume=resume,
                             progress=False, device="cpu")
    return prior, history


def same(one, other):
    return all(torch.equal(a, b) for a, b in zip(
        one.state_dict().values(), other.state_dict().values(), strict=True))


def test_it_learns_and_leaves_its_files(tmp_path):
    _, history = run(tmp_path, epochs=6)
    assert history[-1]["valid"] < 0.35 < 0.6 < history[0]["valid"]
    assert {path.name for path in tmp_path.iterdir()} == {
        "best.safetensors", "last.safetensors", "state.pt", "history.json"}
    assert json.loads((tmp_path / "history.json").read_text()) == history
    _, _, about = weights.load(tmp_path / "last.safetensors")
    assert about["epochs_done"] == 6 and about["recipe"]["gamma"] == 0.7


def test_the_rate_decays_as_the_recipe_says(tmp_path):
    _, history = run(tmp_path, lr=1e-2, gamma=0.5, epochs=2)
    last_step = 7 / 8  # of 256 / 32 = 8 steps an epoch
    assert history[0]["lr"] == pytest.approx(1e-2 * 0.5 ** last_step)
    assert history[1]["lr"] == pytest.approx(1e-2 * 0.5 ** (1 + last_step))


def test_best_is_the_lowest_validation_loss(tmp_path):
    prior, history = run(tmp_path, lr=0.3, gamma=1.0, epochs=5)
    losses = [row["valid"] for row in history]
    assert min(losses) < losses[-1]  # else last and best would be the same
    tensors, _, about = weights.load(tmp_path / "best.safetensors")
    assert about["epochs_done"] == 1 + losses.index(min(losses))
    prior.load_state_dict(tensors)
    again = likelihood.token_bits(prior.eval(), *stripes(64, seed=1)).mean()
    assert again.item() == pytest.approx(min(losses), rel=0.01)


def test_a_resumed_run_ends_with_the_same_weights(tmp_path):
    whole, history = run(tmp_path / "whole", epochs=4)
    run(tmp_path / "parts", epochs=2)
    parts, resumed = run(tmp_path / "parts", epochs=4, resume=True)
    assert same(whole, parts)
    assert [row["valid"] for row in resumed] == \
        [row["valid"] for row in history]


@pytest.mark.parametrize("stop_at", [3, 13])
def test_a_run_stopped_inside_an_epoch_loses_nothing(
        tmp_path, monkeypatch, stop_at):
    whole, _ = run(tmp_path / "whole")
    calls = []

    def interrupt(*arguments):
        calls.append(1)
        if len(calls) > stop_at:
            raise KeyboardInterrupt
        return original(*arguments)

    original = training.batch
    monkeypatch.setattr(training, "batch", interrupt)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "cut", save_minutes=1e-9)  # a checkpoint every step
    monkeypatch.setattr(training, "batch", original)
    resumed, history = run(tmp_path / "cut", resume=True)
    assert same(whole, resumed) and len(history) == 3


def test_resume_wants_the_same_recipe(tmp_path):
    run(tmp_path, epochs=1)
    with pytest.raises(ValueError, match="lr was 0.01"):
        run(tmp_path, epochs=2, lr=1e-3, resume=True)
    with pytest.raises(FileNotFoundError, match="nothing to resume"):
        run(tmp_path / "elsewhere", resume=True)


def test_resume_wants_the_same_data(tmp_path, monkeypatch):
    run(tmp_path, epochs=1)
    monkeypatch.setitem(globals(), "stripes",
                        lambda count, seed=0: noise(count))
    with pytest.raises(ValueError, match="other data"):
        run(tmp_path, epochs=2, resume=True)


def noise(count):
    return torch.randint(2, (count, 16)), torch.arange(count) % 2


def test_a_damaged_state_is_named(tmp_path):
    run(tmp_path, epochs=1)
    state = tmp_path / "state.pt"
    state.write_bytes(state.read_bytes()[:3000])
    with pytest.raises(ValueError, match="state.pt is damaged"):
        run(tmp_path, epochs=2, resume=True)


def test_a_loss_that_explodes_is_said_so(tmp_path):
    with pytest.raises(ValueError, match="lower --lr"):
        run(tmp_path, lr=1e30, epochs=2)
    assert not (tmp_path / "best.safetensors").exists()


def test_precision_may_change_between_runs_and_ends_with_them(tmp_path):
    one, _ = run(tmp_path / "a", epochs=1, precision="bf16")
    run(tmp_path / "b", epochs=1, precision="fp32")
    logits = one(*[part[:2] for part in stripes(2)])
    assert logits.dtype == torch.float32


def test_batches_cover_the_data_once_an_epoch():
    from accelerate import Accelerator

    tokens = torch.arange(64)[:, None]
    data = (tokens, torch.zeros(64, dtype=torch.int64))
    recipe, accelerator = Recipe(batch_size=16), Accelerator(cpu=True)
    epochs = [torch.cat([training.batch(data, recipe, epoch, step, 10,
                                        accelerator)[0][:, 0]
                         for step in range(4)]) for epoch in (0, 1)]
    assert all(sorted(seen.tolist()) == list(range(64)) for seen in epochs)
    assert not torch.equal(*epochs)


def test_labels_are_dropped_at_the_asked_rate():
    labels = training.drop_labels(torch.zeros(20_000, dtype=torch.int64), 10,
                                  0.1, torch.Generator().manual_seed(0))
    assert (labels == 10).float().mean().item() == pytest.approx(0.1,
                                                                abs=0.01)


@pytest.mark.parametrize("setting", [
    {"epochs": 0}, {"lr": -1.0}, {"lr": float("inf")}, {"gamma": float("nan")},
    {"batch_size": 0}])
def test_recipes_without_sense_are_refused(setting):
    with pytest.raises(ValueError, match="must be positive"):
        Recipe(**setting)


def test_a_batch_larger_than_the_data_is_refused(tmp_path):
    with pytest.raises(ValueError, match="only 256 training images"):
        run(tmp_path, batch_size=512)


COMMAND = ["-m", "pixellab", "train", "pixelcnn", "--epochs", "2", "--limit",
           "64", "--batch-size", "16", "--width", "8", "--layers", "1",
           "--precision", "fp32", "--device", "cpu"]


def test_a_killed_process_resumes(tmp_path, sample_data):
    """SIGKILL after the first epoch; the second run finishes the second."""
    process = subprocess.Popen(
        [sys.executable, *COMMAND, "--epochs", "500", "--out", tmp_path],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    for _ in range(1200):
        if ((tmp_path / "state.pt").exists()
                and training.load_state(tmp_path)["run"]["epoch"]):
            break
        assert process.poll() is None
        time.sleep(0.1)
    process.send_signal(signal.SIGKILL)
    process.wait()
    done = json.loads((tmp_path / "history.json").read_text())
    epochs = str(len(done) + 2)
    finished = subprocess.run(
        [sys.executable, "-m", "pixellab", "train", "pixelcnn", "--epochs",
         epochs, "--limit", "64", "--resume", tmp_path, "--device", "cpu"],
        capture_output=True, text=True)
    assert finished.returncode == 0, finished.stderr
    history = json.loads((tmp_path / "history.json").read_text())
    assert [row["epoch"] for row in history] == \
        list(range(1, int(epochs) + 1))
    assert history[:len(done)] == done
    assert not list(tmp_path.glob("*.part"))


def test_two_processes_learn_the_same(tmp_path, sample_data):
    """Data-parallel training of one and of two processes: one loss curve,
    and one codebook, which both learn and one writes."""
    curves, command = [], [word if word != "pixelcnn" else "patches"
                           for word in COMMAND] + ["--codebook-size", "24"]
    for count in ("1", "2"):
        folder = tmp_path / count
        done = subprocess.run(
            [sys.executable, "-m", "torch.distributed.run", "--standalone",
             "--nproc_per_node", count, *command, "--out", folder],
            capture_output=True, text=True)
        assert done.returncode == 0, done.stderr[-2000:]
        _, _, about = weights.load(folder / "best.safetensors")
        assert about["processes"] == int(count)
        assert done.stdout.count("dB, ") == 2  # codebook and model, once
        assert "test_bits_per_token" not in about  # none in the sample
        assert len(about["check"]["bits"]) == 64
        curves.append(json.loads((folder / "history.json").read_text()))
    for one, two in zip(*curves, strict=True):
        assert one["train"] == pytest.approx(two["train"], rel=1e-3)
        assert one["valid"] == pytest.approx(two["valid"], rel=1e-3)
