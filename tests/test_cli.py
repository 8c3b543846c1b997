"""The command line as a person types it."""

import sys

import numpy as np
import pytest
import torch
from PIL import Image

import pixellab as pl
from pixellab.cli import main


def run(capsys, *words):
    """(exit code, what went to stdout, what went to stderr)."""
    code = main([str(word) for word in words])
    out, err = capsys.readouterr()
    return code, out, err


def test_models(capsys):
    code, out, _ = run(capsys, "models")
    assert code == 0
    lines = {line[2:].split()[0]: line for line in out.splitlines()}
    assert lines["gpt"].startswith("*") and "bits a token" in lines["gpt"]
    assert lines["judge"].startswith(" ") and "rightly" in lines["judge"]


def test_sample_writes_one_picture_a_target(capsys, tmp_path):
    code, out, _ = run(capsys, "sample", "pixelcnn", "--targets", "3,7",
                       "--seed", 4, "--out", tmp_path, "--device", "cpu")
    assert code == 0 and "2 images" in out
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["pixelcnn_3_0.png", "pixelcnn_7_0.png"]
    expected = pl.load("pixelcnn", "cpu").sample(labels=[3, 7], seed=4)
    for name, image in zip(names, expected, strict=True):
        assert np.array_equal(Image.open(tmp_path / name), image.numpy())


def test_gpt_takes_what_scripts_of_its_kind_take(capsys, tmp_path):
    with pytest.warns(UserWarning, match="all are kept"):
        code, out, _ = run(
            capsys, "sample", "gpt", "--targets", "0,1,2", "--temperature",
            "1.2", "--top-k", "500", "--top-p", "0.9", "--gif", "--out",
            tmp_path)
    assert code == 0 and out
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        f"gpt_{digit}_0.{kind}" for digit in (0, 1, 2)
        for kind in ("gif", "png")]


def test_gif_has_frames_and_ends_with_the_picture(capsys, tmp_path):
    run(capsys, "sample", "pixelcnn-binary", "--count", 1, "--gif", "--out",
        tmp_path, "--device", "cpu")
    with Image.open(tmp_path / "pixelcnn-binary_0.gif") as animation:
        assert animation.n_frames == 56
        assert animation.info["duration"] >= 20
        first = np.array(animation.convert("RGB"))
        animation.seek(55)
        last = np.array(animation.convert("RGB"))
    picture = np.array(Image.open(tmp_path / "pixelcnn-binary_0.png"))
    assert np.abs(last[4::8, 4::8].astype(int) - picture).max() < 8
    light_blue = (first == pl.figures.NOT_YET).all(axis=-1).mean()
    assert light_blue > 0.9


def test_complete_keeps_the_upper_half(capsys, tmp_path, sample_data):
    digit = pl.data.mnist("valid")[0][450].numpy()
    Image.fromarray(digit).save(tmp_path / "two.png")
    code, _, _ = run(capsys, "complete", "pixelcnn", tmp_path / "two.png",
                     "--rows", 14, "--count", 2, "--label", 2,
                     "--out", tmp_path / "out", "--device", "cpu")
    done = [np.array(Image.open(tmp_path / "out" / f"two_{i}.png"))
            for i in (0, 1)]
    assert code == 0
    assert all(np.array_equal(image[:14], digit[:14]) for image in done)
    assert not np.array_equal(*done)


@pytest.mark.parametrize("words, hint", [
    (["sample", "pixelcnm"], "use one of"),
    (["sample", "pixelcnn", "--targets", "12"], "0 to 9"),
    (["sample", "pixelcnn", "--targets", "a,b"], "--targets"),
    (["sample", "pixelcnn", "--temperature", "-1"], "temperature"),
    (["sample", "gpt", "--targets", "10"], "0 to 9"),
    (["sample", "gpt", "--temperature", "nan"], "temperature"),
    (["sample", "judge"], "holds no"),
    (["train", "gpt", "--weights", "pixelcnn"], "is no gpt"),
    (["train", "gpt", "--weights", "judge"], "judge"),
    (["train", "pixelcnn", "--weights", "pixelcnn-binary"], "is no pixelcnn"),
    (["train", "gpt", "--weights", "gpt", "--width", "8"], "omit it"),
    (["train", "pixelcnn", "--dropout", "0.1"], "is not for"),
    (["train", "gpt", "--warmup", "-5"], "warmup is -5"),
    (["sample", "pixelcnn", "--temperature", "nan"], "temperature"),
    (["sample", "pixelcnn", "--top-p", "2"], "top_p"),
    (["sample", "pixelcnn", "--top-k", "0"], "top_k"),
    (["sample", "pixelcnn", "--count", "0"], "--count"),
    (["sample", "pixelcnn", "--count", "99999999999"], "10000"),
    (["sample", "pixelcnn", "--count", "2000"], "10,000"),
    (["sample", "pixelcnn", "--seed", "-1"], "seed is -1"),
    (["sample", "pixelcnn", "--device", "tpu"], "choose from"),
    (["sample", "pixelcnn", "--colour", "red"], "--help"),
    (["train", "gtp"], "there is no recipe 'gtp': use one of pixelcnn"),
    (["train", "gpt", "--stage", "prior"], "--stage is not for `train gpt`"),
    (["tokenize", "gpt", "x"], "invalid choice: 'gpt'"),
    (["compress", "x.png", "--model", "gpt", "--weights", "w"],
     "not allowed with"),
    (["train", "gpt", "--images", "x", "--shifts", "1"],
     "shifts are for digits"),
    (["train", "gpt", "--weights", "w", "--layers", "1"], "with --weights: "),
    (["train", "pixelcnn", "--save-minutes", "nan"], "nan is not 0 to"),
    (["train", "patches", "--limit", "64", "--device", "tpu"], "--device"),
    (["train", "pixelcnn", "--width", "0"], "width is 0"),
    (["train", "pixelcnn", "--layers", "-1"], "--layers"),
    (["train", "pixelcnn", "--limit", "0"], "--limit"),
    (["train", "pixelcnn", "--precision", "int3"], "precision"),
    (["train", "pixelcnn", "--limit", "9"], "at most 9"),
    (["sample", "pixelcnn-binary", "--targets", "1"], "no labels"),
    (["complete", "pixelcnn", "nowhere.png", "--rows", "3"], "nowhere.png"),
    (["train", "pixelcnn", "--epochs", "0"], "epochs"),
    (["train", "pixelcnn", "--resume", "nowhere"], "state.pt")])
def test_bad_input_is_one_line_and_exit_code_2(
        capsys, tmp_path, monkeypatch, sample_data, words, hint):
    monkeypatch.chdir(tmp_path)
    code, _, err = run(capsys, *words)
    lines = [line for line in err.splitlines()
             if line.startswith("pixellab: ")]
    assert code == 2 and len(lines) == 1 and hint in lines[0]
    assert "Traceback" not in err
    assert not (tmp_path / "out").exists()


def test_a_picture_of_another_size_is_refused(capsys, tmp_path):
    Image.new("L", (32, 30)).save(tmp_path / "big.png")
    code, _, err = run(capsys, "complete", "pixelcnn", tmp_path / "big.png",
                       "--rows", 3, "--out", tmp_path / "out")
    assert code == 2
    assert "32x30" in err and "28x28" in err and "--resize" in err
    code, _, _ = run(capsys, "complete", "pixelcnn", tmp_path / "big.png",
                     "--rows", 27, "--count", 1, "--resize", "--out",
                     tmp_path / "out")
    with Image.open(tmp_path / "out" / "big_0.png") as done:
        assert code == 0 and done.size == (28, 28)


def test_pictures_that_cannot_be_read_are_refused(capsys, tmp_path):
    sixteen = Image.fromarray(np.full((28, 28), 40_000, np.uint16))
    sixteen.save(tmp_path / "deep.png")
    (tmp_path / "text.png").write_text("not a picture")
    digit = Image.new("L", (28, 28))
    digit.save(tmp_path / "cut.png")
    whole = (tmp_path / "cut.png").read_bytes()
    (tmp_path / "cut.png").write_bytes(whole[:len(whole) // 2])
    for name, hint in (("deep", "8 bits"), ("text", "no usable picture"),
                       ("cut", "no usable picture")):
        code, _, err = run(capsys, "complete", "pixelcnn",
                           tmp_path / f"{name}.png", "--rows", 3, "--out",
                           tmp_path / "out")
        assert code == 2 and hint in err and "Traceback" not in err
    assert not (tmp_path / "out").exists()


def test_a_repeated_target_is_drawn_once(capsys, tmp_path):
    code, out, _ = run(capsys, "sample", "pixelcnn", "--targets", "1,1",
                       "--out", tmp_path)
    assert code == 0 and "1 images" in out
    assert len(list(tmp_path.iterdir())) == 1


def test_a_run_is_not_overwritten(capsys, tmp_path, sample_data):
    words = ["train", "pixelcnn", "--epochs", 1, "--limit", 32,
             "--batch-size", 16, "--width", 8, "--dilations", 1, "--out",
             tmp_path]
    assert run(capsys, *words)[0] == 0
    assert {"best.safetensors", "curve.png", "samples_001.png"} <= {
        path.name for path in tmp_path.iterdir()}
    code, _, err = run(capsys, *words)
    assert code == 2 and "--resume" in err
    code, _, err = run(capsys, "train", "pixelcnn", "--epochs", 1, "--limit",
                       32, "--batch-size", 16, "--weights",
                       tmp_path / "best.safetensors", "--out",
                       tmp_path / "next")
    assert code == 0
    about = pl.load(tmp_path / "next" / "best.safetensors").provenance
    assert about["started_from"]["epochs_done"] == 1


def test_a_run_is_refused_before_work_where_its_logs_cannot_be(
        capsys, tmp_path, monkeypatch, sample_data):
    words = ["train", "pixelcnn", "--epochs", 1, "--limit", 32,
             "--batch-size", 16, "--width", 8, "--dilations", 1, "--out",
             tmp_path / "run", "--log-dir"]
    (tmp_path / "file").write_text("not a folder")
    code, _, err = run(capsys, *words, tmp_path / "file")
    assert code == 2 and "file takes no files" in err
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    code, _, err = run(capsys, *words, tmp_path / "logs")
    assert code == 2 and "tensorboard" in err
    assert not (tmp_path / "run").exists()


def test_a_codebook_is_not_taken_for_a_run(capsys, tmp_path, sample_data):
    """A run that was killed before its first state left only this file."""
    book = tmp_path / "tokenizer.safetensors"
    book.write_text("a codebook")
    code, _, err = run(capsys, "train", "patches", "--out", tmp_path)
    assert code == 2 and "use it as --tokenizer" in err
    assert book.read_text() == "a codebook"


def test_a_memory_that_is_full_is_one_line(capsys, monkeypatch):
    def fill(*_, **settings):
        raise torch.cuda.OutOfMemoryError("out of memory.\nTried: 2 GiB")

    monkeypatch.setattr(pl.ImageModel, "sample", fill)
    code, _, err = run(capsys, "sample", "gpt")
    assert (code, err) == (2, "pixellab: out of memory. Tried: 2 GiB\n")


def test_an_unwritable_folder_is_refused_before_work(capsys, tmp_path):
    (tmp_path / "file").write_text("not a folder")
    code, _, err = run(capsys, "sample", "pixelcnn", "--out",
                       tmp_path / "file" / "out")
    assert code == 2 and str(tmp_path / "file") in err


def test_own_weights_by_path(capsys, tmp_path):
    copy = tmp_path / "mine.safetensors"
    copy.write_bytes(pl.weights.find("pixelcnn").read_bytes())
    code, _, _ = run(capsys, "sample", "mine", "--weights", copy,
                     "--targets", 1, "--out", tmp_path / "out")
    assert code == 0 and (tmp_path / "out" / "mine_1_0.png").exists()
    copy.write_bytes(copy.read_bytes()[:1000])
    code, _, err = run(capsys, "sample", "mine", "--weights", copy)
    assert code == 2 and "damaged" in err
