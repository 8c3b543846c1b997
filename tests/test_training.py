"""Training: it learns, it resumes exactly, a kill loses nothing; several
processes learn the same, and so does a folder of any length."""

import json
import random
import signal
import subprocess
import sys
import weakref

import pytest
import torch
from PIL import Image

import pixellab as pl
from pixellab import images, likelihood, training, weights
from pixellab.cli import main
from pixellab.parts import build, describe
from pixellab.priors.pixelcnn import PixelCNN
from pixellab.tokenizers.pixels import Pixels
from pixellab.training import RunFolder, Schedule, loop


def stripes(count, seed=0):
    """4x4 pictures with 2 levels: label 0 is stripes down, 1 across."""
    labels = torch.arange(count) % 2
    pattern = torch.arange(16) % 2
    across = (torch.arange(16) // 4) % 2
    tokens = torch.where(labels[:, None] == 0, pattern, across)
    noise = torch.rand(count, 16,
                       generator=torch.Generator().manual_seed(seed)) < 0.02
    return tokens ^ noise.long(), labels


def run(folder, epochs=3, resume=False, task=None, save_minutes=5.0,
        **schedule):
    torch.manual_seed(0)
    prior = PixelCNN(2, (4, 4), width=8, dilations=(1,), head=8,
                     num_classes=2)
    schedule = Schedule(**{"epochs": epochs, "lr": 1e-2, "gamma": 0.7,
                           "batch_size": 32, **schedule})
    config = {"tokenizer": describe(Pixels(2, 4, 4)),
              "prior": describe(prior)}
    history = training.train(prior, stripes(256), stripes(64, seed=1),
                             schedule, RunFolder(folder, config,
                                                 save_minutes=save_minutes),
                             task, resume=resume, show=False, device="cpu")
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
    about = weights.read(tmp_path / "last.safetensors").provenance
    assert about["epochs_done"] == 6 and about["recipe"]["gamma"] == 0.7


def test_the_rate_decays_as_the_recipe_says(tmp_path):
    _, history = run(tmp_path, lr=1e-2, gamma=0.5, epochs=2)
    last_step = 7 / 8  # of 256 / 32 = 8 steps an epoch
    assert history[0]["lr"] == pytest.approx(1e-2 * 0.5 ** last_step)
    assert history[1]["lr"] == pytest.approx(1e-2 * 0.5 ** (1 + last_step))


def test_best_is_the_lowest_validation_loss(tmp_path):
    scores = iter([0.7, 0.2, 0.5])  # whatever the network does

    def score(net, *_):
        seen.append({key: value.clone()
                     for key, value in net.state_dict().items()})
        return {"valid": next(scores)}

    seen = []
    run(tmp_path, epochs=3, task=training.Task(score=score))
    for name, epoch in (("best", 2), ("last", 3)):
        tensors, _, about = weights.read(tmp_path / f"{name}.safetensors")
        assert about["epochs_done"] == epoch
        for key, value in tensors.items():  # stored as float16
            assert torch.equal(value, seen[epoch - 1][key].half().float())


def test_a_resumed_run_ends_with_the_same_weights(tmp_path):
    whole, history = run(tmp_path / "whole", epochs=4)
    run(tmp_path / "parts", epochs=2)
    parts, resumed = run(tmp_path / "parts", epochs=4, resume=True)
    assert same(whole, parts)
    assert [row["valid"] for row in resumed] == \
        [row["valid"] for row in history]


def test_the_average_is_what_is_scored_and_kept(tmp_path):
    """Against the mean made by hand from the weights after each step."""
    seen = []

    def loss(net, tokens, labels):
        seen.append([one.detach().clone() for one in net.parameters()])
        return training.loss_in_nats(net, tokens, labels)

    prior, history = run(tmp_path, epochs=2, averaging=0.9,
                         task=training.Task(loss=loss))
    raw = training.read_state(tmp_path)["network"]
    names = [name for name, _ in prior.named_parameters()]
    weights_after = seen[1:] + [[raw[name] for name in names]]
    mean = seen[0]  # the weights at the start
    for step, after in enumerate(weights_after):
        decay = min(0.9, (1 + step) / (10 + step))
        mean = [decay * old + (1 - decay) * new
                for old, new in zip(mean, after, strict=True)]
    for one, other in zip(prior.parameters(), mean, strict=True):
        torch.testing.assert_close(one.detach(), other)
    bits = likelihood.token_bits(prior, *stripes(64, seed=1)).mean().item()
    assert history[-1]["valid"] == pytest.approx(bits, rel=1e-5)
    kept = weights.read(tmp_path / "last.safetensors").tensors
    for name, one in prior.named_parameters():
        assert torch.equal(kept[name], one.detach().half().float())


@pytest.mark.parametrize("how", [
    {"averaging": 0.9}, {"optimizer": "muon", "averaging": 0.9}])
def test_averages_and_muon_resume_inside_an_epoch(tmp_path, monkeypatch, how):
    whole, _ = run(tmp_path / "whole", epochs=2, **how)
    calls = []

    def stop(*arguments):
        calls.append(1)
        if len(calls) == 12:
            raise KeyboardInterrupt
        return batch(*arguments)

    batch = loop.batch
    monkeypatch.setattr(loop, "batch", stop)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "parts", epochs=2, save_minutes=0, **how)
    monkeypatch.setattr(loop, "batch", batch)
    parts, _ = run(tmp_path / "parts", epochs=2, resume=True, **how)
    assert same(whole, parts)


def test_a_run_stopped_while_it_is_scored_loses_nothing(tmp_path):
    """All steps of the epoch are done and saved, its score is not."""
    whole, history = run(tmp_path / "whole", epochs=2)

    def stop(*_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "parts", epochs=2, save_minutes=0,
            task=training.Task(score=stop))
    assert training.read_state(tmp_path / "parts")["progress"]["step"] == 8
    parts, resumed = run(tmp_path / "parts", epochs=2, resume=True)
    assert same(whole, parts)
    assert [row["lr"] for row in resumed] == [row["lr"] for row in history]


@pytest.mark.parametrize("has, names", [
    (False, ()), (True, ("_is_avx512_bf16_supported",)),
    (True, ("_is_amx_tile_supported",))])
def test_bf16_is_taken_where_the_processor_has_it(monkeypatch, has, names):
    for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"):
        monkeypatch.setattr(torch.cpu, name, lambda name=name: name in names,
                            raising=False)
    assert loop.has_bf16(torch.device("cpu")) == has
    for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"):
        monkeypatch.delattr(torch.cpu, name)  # as in older versions
    assert not loop.has_bf16(torch.device("cpu"))


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

    original = loop.batch
    monkeypatch.setattr(loop, "batch", interrupt)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "cut", save_minutes=1e-9)  # a checkpoint every step
    monkeypatch.setattr(loop, "batch", original)
    resumed, history = run(tmp_path / "cut", resume=True)
    assert same(whole, resumed) and len(history) == 3


def test_resume_wants_the_same_recipe(tmp_path):
    run(tmp_path, epochs=1)
    with pytest.raises(ValueError, match="lr was 0.01"):
        run(tmp_path, epochs=2, lr=1e-3, resume=True)
    with pytest.raises(FileNotFoundError, match="state.pt"):
        run(tmp_path / "elsewhere", resume=True)


def test_a_damaged_state_is_named(tmp_path):
    run(tmp_path, epochs=1)
    state = tmp_path / "state.pt"
    state.write_bytes(state.read_bytes()[:3000])
    with pytest.raises(ValueError, match="state.pt is damaged"):
        run(tmp_path, epochs=2, resume=True)


def without(*keys):
    """A mending that takes the value there out of a state."""
    def remove(state):
        *path, last = keys
        for key in path:
            state = state[key]
        del state[last]
    return remove


@pytest.mark.parametrize("age", [
    lambda state: state.clear(), without("beside"),
    without("config"), without("config", "tokenizer"),
    without("provenance", "name"),
    lambda state: state["schedule"].update(older=1),
    lambda state: state["config"]["prior"].update(kind="gpt.Older")])
def test_a_state_of_another_version_is_one_line(
        tmp_path, sample_data, capsys, age):
    words = ["train", "pixelcnn", "--limit", "16", *SHORT,
             *SHALLOW["pixelcnn"]]
    command(*words, "--epochs", "1", "--out", tmp_path)
    state = torch.load(tmp_path / "state.pt")
    age(state)
    torch.save(state, tmp_path / "state.pt")
    capsys.readouterr()
    assert main(["train", "pixelcnn", "--resume", str(tmp_path), "--limit",
                 "16", "--device", "cpu"]) == 2
    error = capsys.readouterr().err
    assert "start anew" in error and error.count("\n") == 1


def test_a_recipe_that_lacks_a_setting_is_another(tmp_path):
    run(tmp_path, epochs=1)
    state = torch.load(tmp_path / "state.pt")
    del state["schedule"]["warmup"]
    torch.save(state, tmp_path / "state.pt")
    with pytest.raises(ValueError, match="warmup was None and is 0"):
        run(tmp_path, epochs=2, resume=True)


def test_resume_wants_the_same_data(tmp_path, monkeypatch):
    run(tmp_path, epochs=1)
    monkeypatch.setitem(globals(), "stripes",
                        lambda count, seed=0: noise(count))
    with pytest.raises(ValueError, match="data was"):
        run(tmp_path, epochs=2, resume=True)


def noise(count):
    return torch.randint(2, (count, 16)), torch.arange(count) % 2


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
    tokens = torch.arange(64)[:, None]
    data = (tokens, torch.zeros(64, dtype=torch.int64))
    schedule = Schedule(batch_size=16)
    epochs = [torch.cat([loop.batch(data, schedule, epoch, step, 10)[0][:, 0]
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
    {"batch_size": 0}, {"stop_after": 0}, {"shifts": 3}])
def test_schedules_without_sense_are_refused(setting):
    with pytest.raises(ValueError, match="must lie in"):
        Schedule(**setting)


def test_a_batch_larger_than_the_data_is_refused(tmp_path):
    with pytest.raises(ValueError, match="at most 256"):
        run(tmp_path, batch_size=512)
    for size in (1, 5):
        with pytest.raises(ValueError, match="multiple of 2 .proc"):
            loop.check_sizes(256, size, processes=2)


# ------------------------------------------------------ the command line

SHORT = ["--batch-size", "16", "--width", "32", "--precision", "fp32",
         "--device", "cpu"]
SHALLOW = {"pixelcnn": ["--dilations", "1"],
           "gpt": ["--layers", "1", "--heads", "1"],
           "patches": ["--layers", "1", "--heads", "1"]}
KILLED = """
import os, signal, sys
from pixellab import cli
from pixellab.training import loop

batch, calls = loop.batch, []

def batch_or_death(*arguments):
    calls.append(1)
    if len(calls) == int(sys.argv[1]):
        os.kill(os.getpid(), signal.SIGKILL)
    return batch(*arguments)

loop.batch = batch_or_death
cli.main(sys.argv[2:])
"""


def command(*words):
    assert main([str(word) for word in words]) == 0


def outcome(folder):
    """(weights, config, history) of a run."""
    tensors, config, _ = weights.read(folder / "last.safetensors")
    return tensors, config, json.loads((folder / "history.json").read_text())


def assert_equal_runs(one, other):
    """To the last bit."""
    assert one[1:] == other[1:] and one[0].keys() == other[0].keys()
    assert all(torch.equal(one[0][key], other[0][key]) for key in one[0])


def folder_of_digits(place, sizes=(("train", 40), ("valid", 24)), side=28):
    """PNGs of digits, in the order of the set: (folder, {split: images})."""
    images = {split: pl.data.mnist(split)[0][:count] for split, count in sizes}
    for split in images:
        (place / split).mkdir(parents=True)
        for i, image in enumerate(images[split]):
            Image.fromarray(image.numpy()).resize((side, side)).save(
                place / split / f"{i:03}.png")
    return place, images


def test_a_run_killed_at_any_step_ends_with_the_same_weights(
        tmp_path, sample_data):
    """SIGKILL before a random one of 2 x 4 steps; then --resume."""
    seed = random.SystemRandom().randrange(10**6)
    draw = random.Random(seed)
    step, minutes = draw.randint(2, 8), draw.choice(["1e-9", "60"])
    print(f"seed {seed}: killed in step {step}, --save-minutes {minutes}")
    words = ["train", "pixelcnn", "--epochs", "2", "--limit", "64", *SHORT,
             *SHALLOW["pixelcnn"]]
    command(*words, "--out", tmp_path / "whole")
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, str(step), *words, "--save-minutes",
         minutes, "--out", tmp_path / "cut"], capture_output=True)
    assert killed.returncode == -signal.SIGKILL
    command("train", "pixelcnn", "--limit", "64", "--device", "cpu",
            "--resume", tmp_path / "cut")
    assert_equal_runs(outcome(tmp_path / "whole"), outcome(tmp_path / "cut"))
    assert not list((tmp_path / "cut").glob("*.part"))


@pytest.mark.parametrize("words", [
    ["gpt", "--images", "DIGITS"],
    ["patches", "--codebook-size", "24"]])  # both learn it, one writes it
def test_two_processes_learn_the_same(tmp_path, sample_data, words):
    """`accelerate launch`: the loss curve is that of one process, to 1e-4."""
    place, _ = folder_of_digits(tmp_path / "digits")
    words = ["train", *(str(place) if word == "DIGITS" else word for word in
                        words), "--epochs", "2", "--limit", "32", *SHORT,
             *SHALLOW[words[0]]]
    command(*words, "--out", tmp_path / "1")
    done = subprocess.run(
        [sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu",
         "--num_processes", "2", "--main_process_port", "0", "-m", "pixellab",
         *words, "--out", tmp_path / "2"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.count("best.safetensors: ") == 1
    assert done.stdout.count("tokenizer.safetensors: ") == ("patches" in words)
    for count in (1, 2):
        about = weights.read(tmp_path / f"{count}" / "best.safetensors"
                             ).provenance
        assert about["processes"] == count
        assert len(about["check"]["bits"]) == about["valid_images"]
        assert "test_bits_per_token" not in about  # none in the sample
    for one, two in zip(outcome(tmp_path / "1")[2],
                        outcome(tmp_path / "2")[2], strict=True):
        assert one["train"] == pytest.approx(two["train"], rel=1e-4)
        assert one["valid"] == pytest.approx(two["valid"], rel=1e-4)


# ------------------------------------------------------ folders of images

def test_a_folder_teaches_what_its_pictures_teach(tmp_path, sample_data):
    """To the last bit, as tensors; and a run on it can be resumed."""
    place, images = folder_of_digits(tmp_path / "digits")
    words = ["train", "gpt", "--images", place]
    short = [*SHORT, *SHALLOW["gpt"]]
    command(*words, "--epochs", "2", *short, "--out", tmp_path / "whole")
    whole = outcome(tmp_path / "whole")
    about = weights.read(tmp_path / "whole" / "best.safetensors"
                         ).provenance
    assert about["train_images"] == 40 and about["valid_images"] == 24
    assert about["data"] == "pictures in digits"

    sets = [(Pixels().encode(images[split]), torch.zeros(
        len(images[split]), dtype=torch.int64)) for split in images]
    torch.manual_seed(0)
    prior = build("priors", whole[1]["prior"])
    training.train(prior, *sets, Schedule(**about["recipe"]),
                   RunFolder(tmp_path / "tensors", whole[1]), show=False)
    assert_equal_runs(whole, outcome(tmp_path / "tensors"))

    command(*words, "--epochs", "1", *short, "--out", tmp_path / "parts")
    goes_on = [*words, "--resume", tmp_path / "parts", "--epochs", "2"]
    command(*goes_on)
    assert_equal_runs(whole, outcome(tmp_path / "parts"))
    (place / "train" / "039.png").unlink()
    assert main([str(word) for word in goes_on]) == 2  # other data now


def test_pictures_of_other_sizes_are_resized_when_asked(
        tmp_path, sample_data, capsys):
    place, _ = folder_of_digits(tmp_path / "large", side=40)
    words = ["train", "pixelcnn", "--images", place, "--epochs", "1", *SHORT,
             *SHALLOW["pixelcnn"],             "--out", tmp_path / "run"]
    assert main([str(word) for word in words]) == 2
    assert "40x40" in (error := capsys.readouterr().err)
    assert "--resize" in error
    command(*words, "--resize")
    assert (tmp_path / "run" / "curve.png").exists()


def test_pictures_are_read_a_batch_at_a_time(tmp_path, sample_data,
                                             monkeypatch):
    """Of 60 frames, trained on in batches of 8 and scored in parts of 16,
    never more than 16 are in memory."""
    frame = Image.fromarray(pl.data.supertux("train", 1)[0].numpy())
    for split, count in (("train", 40), ("valid", 20)):
        (tmp_path / split).mkdir()
        for i in range(count):
            frame.save(tmp_path / split / f"{i}.png")
    alive, most, read = set(), [], images.read

    def counted(*arguments):
        picture = read(*arguments)
        alive.add(id(picture))
        weakref.finalize(picture, alive.discard, id(picture))
        most.append(len(alive))
        return picture

    monkeypatch.setattr(images, "read", counted)
    command("train", "bsq", "--stage", "autoencoder", "--images", tmp_path,
            "--epochs", "1", "--batch-size", "8", "--features", "8",
            "--precision", "fp32", "--device", "cpu", "--out",
            tmp_path / "run")
    assert len(most) >= 60 and max(most) <= 16
