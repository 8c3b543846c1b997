"""The judge and the reranker: their eyes, their data, their scores."""

import pytest
import torch

import pixellab as pl
from pixellab import classify
from pixellab.recipes import RECIPES, Reader, readers
from pixellab.training import readers as training


def random_digits(count=6, size=28):
    generator = torch.Generator().manual_seed(0)
    return torch.randint(256, (count, size, size), dtype=torch.uint8,
                         generator=generator)


@pytest.mark.parametrize("name", readers())
def test_it_reads_real_digits_as_its_header_says(sample_data, name):
    reader = classify.reader(name)
    images, labels = pl.data.mnist("valid")
    accuracy = (reader.read(images) == labels).double().mean().item()
    assert accuracy == pytest.approx(reader.provenance["valid_accuracy"],
                                     abs=0.001)
    assert reader.provenance["valid_accuracy"] > 0.985


def test_the_judge_learned_from_digits_that_no_other_network_saw():
    assert classify.reader("judge").provenance["data"] == \
        "MNIST, test, 10000 digits"
    assert RECIPES["reranker"].split == "train"


def test_reading_is_the_same_in_any_company(sample_data):
    reader, images = classify.reader("judge"), random_digits()
    torch.testing.assert_close(reader.logits(images)[2:3],
                               reader.logits(images[2:3]))
    assert reader.features(images).shape == (6, 96)


def test_every_size_becomes_28_by_28():
    assert torch.equal(classify.prepare(random_digits())[:, 0] * 255,
                       random_digits().float())
    assert classify.prepare(random_digits(size=30)).shape == (6, 1, 28, 28)


def test_a_file_of_a_model_is_no_reader():
    with pytest.raises(ValueError, match="gpt is no reader: use judge"):
        classify.reader("gpt")


@pytest.mark.parametrize("bad", [
    torch.rand(2, 28, 28), random_digits(2)[0], random_digits(2)[:0]])
def test_what_is_no_digit_is_refused(bad):
    with pytest.raises(ValueError, match="must be uint8"):
        classify.prepare(bad)


def test_patches_come_from_the_codebook():
    images = random_digits()
    codebook = training.some_patches(images, count=50)
    assert codebook.shape == (50, 16)
    built = training.patched(images, codebook)
    rows = built[0].unfold(0, 4, 4).unfold(1, 4, 4).reshape(-1, 16).float()
    assert torch.cdist(rows, codebook).amin(dim=1).max() == 0
    whole = training.some_patches(images, count=10_000)
    assert torch.equal(training.patched(images, whole), images)


def test_disguises_and_moves_keep_shape_and_type():
    images = random_digits(40)
    generator = torch.Generator().manual_seed(1)
    codebook = training.some_patches(images)
    for changed in (training.move(images, generator),
                    training.disguise(images, codebook, generator)):
        assert changed.shape == images.shape
        assert changed.dtype == torch.uint8
        assert not torch.equal(changed, images)


def test_a_reader_learns(tmp_path, monkeypatch, sample_data):
    """A tiny one, offline, from training digits; its file can be loaded."""
    images, labels = pl.data.mnist("train")
    split = (images[::5], labels[::5])
    monkeypatch.setattr(pl.data, "mnist", lambda name: split)
    about = training.make("judge", Reader("train", width=8, epochs=8),
                          tmp_path / "judge.safetensors")
    assert about["valid_accuracy"] > 0.5
    again = classify.reader(tmp_path / "judge.safetensors")
    right = (again.read(split[0]) == split[1]).double().mean().item()
    assert right == pytest.approx(about["valid_accuracy"], abs=0.01)
