"""Patches against loops and scikit-learn; its files and its two stages."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as some
from sklearn.cluster import KMeans
from sklearn.metrics import pairwise_distances_argmin

import pixellab as pl
from pixellab import measures, weights
from pixellab.cli import main
from pixellab.model import ImageModel, load_tokenizer
from pixellab.parts import describe, learned
from pixellab.priors.gpt import GPT
from pixellab.tokenizers import patches
from pixellab.tokenizers.patches import Patches
from pixellab.training import loop


@pytest.fixture
def digits(sample_data):
    return pl.data.mnist("train")[0][:600]


def some_images(count=50, size=8, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(256, (count, size, size), generator=generator,
                         dtype=torch.uint8)


def small(count=50, seed=0):
    """A fitted tokenizer of 8 x 8 pictures: 4 patches, 16 entries."""
    return Patches(4, 16, 8, 8).fit(some_images(count), seed)


def distance(one, other):
    return ((one.double() - other.double()) ** 2).sum().item()


# ------------------------------------------------------- there and back

@pytest.mark.parametrize("patch, height, width", [(2, 4, 6), (3, 6, 3)])
def test_cutting_is_what_loops_do(patch, height, width):
    images = torch.arange(2 * height * width, dtype=torch.uint8).reshape(
        2, height, width)
    cut = Patches(patch, 2, height, width).cut(images)
    for n in range(2):
        for t in range(cut.shape[1]):
            row, column = divmod(t, width // patch)
            expected = images[n, row * patch:(row + 1) * patch,
                              column * patch:(column + 1) * patch]
            assert torch.equal(cut[n, t], expected.flatten())


def test_encoding_finds_the_nearest(digits):
    tokenizer = Patches(4, 100).fit(digits)
    codes = tokenizer.encode(digits[:50])
    entries = tokenizer.codebook.flatten(1).numpy().astype(np.int64)
    for patch, code in zip(tokenizer.cut(digits[:50]).flatten(0, 1).numpy(),
                           codes.flatten().tolist(), strict=True):
        distances = ((entries - patch) ** 2).sum(axis=1)
        assert code == distances.argmin()  # the first of equals, exactly


def test_encoding_agrees_with_scikit_learn():
    generator = torch.Generator().manual_seed(0)
    x = torch.randint(256, (500, 49), generator=generator, dtype=torch.uint8)
    c = torch.randint(256, (64, 49), generator=generator, dtype=torch.uint8)
    assert patches.nearest(x, c).tolist() == pairwise_distances_argmin(
        x.double().numpy(), c.double().numpy()).tolist()


def test_the_first_of_equals_is_taken():
    codebook = torch.tensor([[9, 0], [0, 0], [4, 4], [0, 8]],
                            dtype=torch.uint8)
    between = torch.tensor([[0, 4], [2, 2]], dtype=torch.uint8)
    assert patches.nearest(between, codebook).tolist() == [1, 1]


@settings(max_examples=20, deadline=None)
@given(some.lists(some.integers(0, 15), min_size=4, max_size=4))
def test_what_is_pasted_is_found_again(tokens):
    tokenizer = small()
    tokens = torch.tensor([tokens])
    image = tokenizer.decode(tokens)
    assert image.dtype == torch.uint8 and image.shape == (1, 8, 8)
    assert torch.equal(image[0, :4, 4:], tokenizer.codebook[tokens[0, 1]])
    assert torch.equal(tokenizer.encode(image), tokens)


@pytest.mark.parametrize("kind", [torch.uint8, torch.int16, torch.int32])
def test_tokens_of_few_bytes_are_tokens(kind):
    tokens = torch.tensor([[0, 1, 1, 0], [15, 2, 3, 4]])
    assert torch.equal(small().decode(tokens.to(kind)),
                       small().decode(tokens))


def test_the_batch_changes_nothing(digits):
    tokenizer = Patches(7, 64).fit(digits)
    alone = torch.cat([tokenizer.encode(one[None]) for one in digits[:40]])
    assert torch.equal(alone, tokenizer.encode(digits[:40]))


def test_drawn_is_what_tokens_fix():
    tokenizer = small()
    assert tokenizer.drawn(0).sum() == 0 and tokenizer.drawn(4).all()
    assert tokenizer.drawn(1).nonzero().amax(dim=0).tolist() == [3, 3]
    assert tokenizer.drawn(3)[4:, :4].all()
    assert not tokenizer.drawn(3)[4:, 4:].any()


# ------------------------------------------------------------- learning

def test_the_codebook_is_as_good_as_the_librarys(digits):
    """Squared error on what it learned from, against all of Lloyd's steps
    on every patch, duplicates too."""
    tokenizer = Patches(4, 32).fit(digits)
    rows = tokenizer.cut(digits).flatten(0, 1)
    mine = distance(digits, tokenizer.decode(tokenizer.encode(digits)))
    theirs = KMeans(32, n_init=1, random_state=0).fit(
        rows.numpy().astype(np.float64)).inertia_
    assert mine < 1.1 * theirs  # in ten small batches


def test_more_entries_lose_less(digits):
    errors = [distance(digits, tokenizer.decode(tokenizer.encode(digits)))
              for size in (2, 8, 32, 128)
              for tokenizer in [Patches(4, size).fit(digits)]]
    assert errors == sorted(errors, reverse=True) and errors[0] > 0


def test_every_entry_is_used_most_used_first(digits):
    tokenizer = Patches(4, 64).fit(digits)
    counts = torch.bincount(tokenizer.encode(digits).flatten(), minlength=64)
    assert counts.min() > 0
    assert torch.equal(counts, counts.sort(descending=True).values)


def test_a_seed_says_all(digits):
    one, same, other = (Patches(4, 16).fit(digits, seed).codebook
                        for seed in (0, 0, 1))
    assert torch.equal(one, same) and not torch.equal(one, other)


def test_as_many_entries_as_patches_lose_nothing():
    images = some_images(3)
    tokenizer = Patches(4, 12, 8, 8).fit(images)
    assert torch.equal(tokenizer.decode(tokenizer.encode(images)), images)


def test_empty_clusters_are_moved():
    """Ten centres at one place: nine of them serve nobody."""
    x = some_images(40).reshape(-1, 16)
    codebook = patches.fill(np.full((10, 16), 128.4), x)
    codes = patches.nearest(x, codebook)
    assert len(codes.unique()) == 10 == len(codebook.unique(dim=0))


def test_counting_the_different_patches():
    rows = np.array([[0, 1], [2, 0], [0, 1], [0, 1]], np.uint8)
    different, counts = patches.distinct(rows)
    found = {tuple(row): count for row, count in
             zip(different.tolist(), counts.tolist(), strict=True)}
    assert found == {(0, 1): 3, (2, 0): 1}


# ------------------------------------------------------------ bad input

@pytest.mark.parametrize("patch", [0, 3, 5, 28, 29])
def test_a_patch_that_does_not_divide(patch):
    with pytest.raises(ValueError, match=r"one of \[1, 2, 4, 7, 14\]"):
        Patches(patch)


def test_bad_calls_are_one_clear_error(digits):
    for size in (1, 10**9):
        with pytest.raises(ValueError, match="2 to 65536"):
            Patches(4, size)
    with pytest.raises(ValueError, match="12 different patches"):
        Patches(4, 13, 8, 8).fit(some_images(3))
    for images in (some_images(9) / 255, some_images(9, 10), digits[:0]):
        with pytest.raises(ValueError, match=r"uint8 \(N, 8, 8\)"):
            Patches(4, 4, 8, 8).fit(images)
    with pytest.raises(ValueError, match="one of .*10]"):
        Patches(20, 16, 100, 100)
    with pytest.raises(ValueError, match="codebook is empty"):
        Patches(4, 16).encode(digits)
    for tokens in ([[0, 1, 2, 16]], [[0, 1, 2, -1]]):
        with pytest.raises(ValueError, match="0 to 15"):
            small().decode(torch.tensor(tokens))
    with pytest.raises(ValueError, match=r"\(N, 4\)"):
        small().decode(torch.zeros(1, 3, dtype=torch.int64))
    with pytest.raises(ValueError, match="resize"):
        small().encode(digits)


# ------------------------------------------------------------- measures

def test_measures_of_what_is_known():
    assert measures.psnr(0.01) == pytest.approx(20)
    assert measures.psnr(0) == math.inf
    black = torch.zeros(2, 4, 4, dtype=torch.uint8)
    white = black.clone()
    white[1, 0] = 255  # a quarter of the second picture
    assert measures.mean_squared_error(black, white).tolist() == [0, 0.25]
    for other in (white[:, :2], white / 255):
        with pytest.raises(ValueError, match="cannot be compared"):
            measures.mean_squared_error(black, other)
    codes = torch.tensor([[0, 1], [2, 3]])
    assert measures.entropy(codes) == 2
    assert measures.entropy(torch.tensor([5, 5])) == 0
    assert measures.entropy(torch.tensor([0, 0, 0, 7])) == pytest.approx(
        -(0.75 * math.log2(0.75) + 0.25 * math.log2(0.25)))
    assert measures.codebook_usage(codes, 16) == 0.25


# ---------------------------------------------------------- model, files

@pytest.fixture
def saved(tmp_path):
    torch.manual_seed(0)
    tokenizer = small()
    prior = GPT(16, tokenizer.grid, 16, 1, 2, num_classes=2).eval()
    model = ImageModel(tokenizer, prior)
    path = tmp_path / "m.safetensors"
    config = {"tokenizer": describe(tokenizer), "prior": describe(prior)}
    weights.write(path, {**prior.state_dict(), **learned(tokenizer)}, config,
                 {"name": "mine"})
    return path, model


def test_the_codebook_travels_with_the_weights(saved):
    path, model = saved
    again = pl.load(path, "cpu")
    assert torch.equal(again.tokenizer.codebook, model.tokenizer.codebook)
    assert torch.equal(again.sample(5, seed=3), model.sample(5, seed=3))
    tokenizer, about = load_tokenizer(path)
    assert torch.equal(tokenizer.codebook, model.tokenizer.codebook)
    assert about == {"name": "mine"}


def test_a_codebook_of_another_size_is_refused(saved):
    path, _ = saved
    tensors, config, about = weights.read(path)
    config["tokenizer"]["patch"] = 2
    weights.write(path, tensors, config, about)
    for function in (pl.load, load_tokenizer):
        with pytest.raises(ValueError, match="size mismatch"):
            function(path)
    del tensors["tokenizer.codebook"]
    weights.write(path, tensors, config, about)
    with pytest.raises(ValueError, match="holds no"):
        pl.load(path)


def test_a_file_without_a_tokenizer_is_named():
    with pytest.raises(ValueError, match="judge holds no tokenizer"):
        load_tokenizer("judge")


def test_bits_and_error_are_two_numbers(saved):
    model, images = saved[1], some_images(10, seed=5)
    shown = model.reconstruct(images)
    expected = (images.double() - shown.double()).square().mean(
        dim=(1, 2)) / 255 ** 2
    torch.testing.assert_close(model.distortion(images), expected)
    assert torch.equal(model.distortion(shown), torch.zeros(10).double())
    assert torch.equal(model.bits(images), model.bits(shown))


def test_completion_keeps_whole_rows_of_patches(saved):
    model, images = saved[1], some_images(3, seed=6)
    done = model.complete(images, rows=4)
    assert torch.equal(done[:, :4], model.reconstruct(images)[:, :4])
    with pytest.raises(ValueError, match="use 4 or 8"):
        model.complete(images, rows=6)


# ------------------------------------------------------ the command line

SHORT = ["--epochs", "2", "--limit", "64", "--batch-size", "16", "--width",
         "16", "--layers", "1", "--heads", "1", "--precision", "fp32",
         "--dropout", "0", "--device", "cpu"]


def test_the_two_stages_are_the_whole(tmp_path, sample_data, capsys):
    size = ["--patch", "7", "--codebook-size", "24"]
    assert main(["train", "patches", "--stage", "tokenizer", *size,
                 "--limit", "64", "--out", str(tmp_path / "book")]) == 0
    book = tmp_path / "book" / "tokenizer.safetensors"
    assert [path.name for path in book.parent.iterdir()] == [book.name]
    assert "dB" in capsys.readouterr().out
    with pytest.raises(ValueError, match="holds no"):
        pl.load(book)
    assert main(["train", "patches", "--stage", "prior", "--tokenizer",
                 str(book), *SHORT, "--out", str(tmp_path / "two")]) == 0
    assert main(["train", "patches", *size, *SHORT, "--out",
                 str(tmp_path / "one")]) == 0
    one, two = (weights.read(tmp_path / name / "best.safetensors")
                for name in ("one", "two"))
    assert all(torch.equal(one.tensors[key], two.tensors[key])
               for key in one.tensors)
    assert one.config == two.config and one.config["tokenizer"]["patch"] == 7
    for about in (one.provenance, two.provenance, load_tokenizer(book)[1]):
        about = about.get("tokenizer", about)
        assert about["train_images"] == 64
        assert 0 < about["valid_squared_error"] < 0.1
        assert 0 < about["valid_entropy_per_token"] < math.log2(24)
    assert one.provenance["valid_squared_error"] == pytest.approx(
        one.provenance["tokenizer"]["valid_squared_error"])


def test_moved_digits_are_more_digits(tmp_path, sample_data):
    assert main(["train", "patches", "--codebook-size", "24", *SHORT,
                 "--epochs", "1", "--shifts", "1", "--out",
                 str(tmp_path)]) == 0
    assert main(["train", "patches", "--resume", str(tmp_path), "--epochs",
                 "2", "--limit", "64", "--device", "cpu"]) == 0
    _, config, about = weights.read(tmp_path / "last.safetensors")
    assert about["train_images"] == 9 * 64 and about["recipe"]["shifts"] == 1
    assert about["tokenizer"]["train_images"] == 64
    assert about["epochs_done"] == 2
    assert main(["train", "patches", "--weights",
                 str(tmp_path / "best.safetensors"), "--epochs", "1",
                 "--limit", "64", "--batch-size", "16", "--out",
                 str(tmp_path / "next")]) == 0
    _, again, next_about = weights.read(tmp_path / "next" / "best.safetensors")
    assert again == config and next_about["recipe"]["shifts"] == 0
    assert next_about["tokenizer"] == about["tokenizer"]


@pytest.mark.parametrize("late", [True, False])
def test_a_run_killed_in_its_first_epoch_keeps_the_codebook(
        tmp_path, sample_data, monkeypatch, late):
    words = ["train", "patches", "--codebook-size", "24", *SHORT, "--out"]
    assert main([*words, str(tmp_path / "whole")]) == 0
    calls, original = [], loop.batch

    def interrupt(*arguments):
        calls.append(1)
        if len(calls) > 2:
            raise KeyboardInterrupt
        return original(*arguments)

    monkeypatch.setattr(loop, "batch", interrupt)
    assert main([*words, str(tmp_path / "cut"), "--save-minutes",
                 "1e-9" if late else "60"]) == 130
    monkeypatch.setattr(loop, "batch", original)
    assert not (tmp_path / "cut" / "best.safetensors").exists()
    assert main(["train", "patches", "--resume", str(tmp_path / "cut"),
                 "--limit", "64", "--device", "cpu"]) == 0
    whole, cut = (weights.read(tmp_path / name / "last.safetensors")
                  for name in ("whole", "cut"))
    assert all(torch.equal(whole.tensors[key], cut.tensors[key])
               for key in whole.tensors)
    assert cut.provenance["tokenizer"]["train_images"] == 64


@pytest.mark.parametrize("words, hint", [
    (["--patch", "3"], "patch is 3"),
    (["--codebook-size", "5000", "--limit", "50",
      "--batch-size", "16"], "different patches"),
    (["--tokenizer", "nowhere.safetensors"], "nowhere.safetensors"),
    (["--tokenizer", "gpt"], "gpt is no patches"),
    (["--tokenizer", "BOOK", "--patch", "7"], "with --tokenizer: omit it"),
    (["--tokenizer", "BOOK", "--stage", "tokenizer"], "is not for"),
    (["--stage", "tokenizer", "--width", "8"], "is not for"),
    (["--weights", "gpt"], "is no patches"),
    (["--weights", "gpt", "--patch", "7"], "omit it"),
    (["--out", "FOLDER", "--stage", "tokenizer"], "use it as --tokenizer"),
    (["--limit", "20", "--batch-size", "50"], "at most 20 (images)"),
    (["--out", "BOOK/x"], "tokenizer.safetensors"),
    (["--stage", "tokenizer", "--epochs", "2"], "is not for"),
    (["--stage", "tokenizer", "--shifts", "1"], "is not for"),
    (["--resume", "FOLDER", "--out", "other"], "omit it"),
    (["--seed", "-1"], "seed is -1"), (["--seed", "5000000000"], "seed is 5"),
    (["--dropout", "1.5"], "dropout is 1.5")])
def test_bad_flags_are_one_line(tmp_path, sample_data, capsys, monkeypatch,
                                words, hint):
    monkeypatch.chdir(tmp_path)
    tokenizer = Patches(4, 16).fit(some_images(20, 28))
    book = tmp_path / "book" / "tokenizer.safetensors"
    weights.write(book, learned(tokenizer),
                 {"tokenizer": describe(tokenizer)}, {"name": "patches"})
    places = {"BOOK": str(book), "FOLDER": str(book.parent)}
    for place, path in places.items():
        words = [word.replace(place, path) for word in words]
    code = main(["train", "patches", *words])
    lines = capsys.readouterr().err.splitlines()
    lines = [line for line in lines if line.startswith("pixellab: ")]
    assert code == 2 and len(lines) == 1 and hint in lines[0]
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert files == [book]


def test_flags_of_patches_are_for_patches(capsys):
    assert main(["train", "gpt", "--patch", "4"]) == 2
    assert "--patch is not for `train gpt`" in capsys.readouterr().err


# ------------------------------------------------------ shipped weights

def test_shipped_patches_are_as_their_header_says(sample_data):
    model = pl.load("patches", "cpu")
    x, y = pl.data.mnist("valid")
    about = model.provenance
    every, expected = about["check"].values()
    assert model.bits(x[::every][:64], y[::every][:64]).tolist() == \
        pytest.approx(expected, rel=2e-3)
    assert model.distortion(x).mean().item() == pytest.approx(
        about["valid_squared_error"], rel=1e-6)
    codes = model.tokenizer.encode(x)
    saved = 1 - about["valid_bits_per_token"] / measures.entropy(codes)
    assert 0.25 < saved < 1
    assert len(model.tokenizer.codebook.unique(dim=0)) == 1024


def test_sampling_patches(capsys, tmp_path):
    assert main(["sample", "patches", "--targets", "3,8", "--out",
                 str(tmp_path)]) == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "patches_3_0.png", "patches_8_0.png"]
