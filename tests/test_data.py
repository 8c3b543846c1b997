"""The data sets: splits, binarisation, offline sample, bad files."""

import subprocess
import sys

import numpy as np
import pytest
import torch

from pixellab import data


def as_set(images):
    return {image.numpy().tobytes() for image in images}


def test_offline_sample(sample_data):
    with pytest.warns(UserWarning, match="offline sample"):
        data._mnist_splits.cache_clear()
        x, y = data.mnist("train")
    xv, yv = data.mnist("valid")
    assert (x.shape, x.dtype, y.dtype) == \
        ((3000, 28, 28), torch.uint8, torch.int64)
    assert torch.bincount(yv).tolist() == [200] * 10
    assert not as_set(x) & as_set(xv)
    with pytest.raises(FileNotFoundError, match="PIXELLAB_DATA"):
        data.mnist("test")


def test_validation_is_the_same_with_and_without_the_full_set(
        full_data, monkeypatch):
    x, y = data.mnist("train")
    xv, yv = data.mnist("valid")
    assert (len(x), len(xv), len(data.mnist("test")[0])) == \
        (58_000, 2_000, 10_000)
    monkeypatch.setenv("PIXELLAB_OFFLINE", "1")
    with pytest.warns(UserWarning):
        data._mnist_splits.cache_clear()
        small, small_labels = data.mnist("valid")
    assert torch.equal(small, xv) and torch.equal(small_labels, yv)
    assert not as_set(xv) & as_set(x)


def test_a_damaged_file_is_named(tmp_path, monkeypatch):
    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)
    (raw / "train-images-idx3-ubyte.gz").write_bytes(b"half a download")
    monkeypatch.setenv("PIXELLAB_DATA", str(tmp_path))
    monkeypatch.delenv("PIXELLAB_OFFLINE", raising=False)
    with pytest.raises(ValueError, match="damaged.*delete"):
        data.mnist()


def test_unknown_split():
    with pytest.raises(ValueError, match="train, valid, test"):
        data.mnist("validation")


def test_static_set(full_data):
    for split, count in (("train", 50_000), ("valid", 10_000),
                         ("test", 10_000)):
        images = data.binarized_mnist(split)
        assert images.shape == (count, 28, 28)
        assert images.unique().tolist() == [0, 255]


def test_static_set_follows_the_greys(full_data):
    """Ink appears with probability grey / 255: checked on the test set."""
    where = np.load(full_data / "binarized_mnist/test_index_in_t10k.npy")
    order = torch.from_numpy(where.astype(np.int64))
    grey = data.mnist("test")[0][order].int()
    ink = data.binarized_mnist("test") == 255
    for low in range(0, 256, 32):
        chosen = (grey >= low) & (grey < low + 32)
        expected = (grey[chosen] / 255).mean().item()
        assert ink[chosen].float().mean().item() == \
            pytest.approx(expected, abs=0.01)


def test_static_set_is_refused_where_it_is_missing(sample_data):
    with pytest.raises(FileNotFoundError, match="binarize"):
        data.binarized_mnist("train")


def test_binarize():
    grey = torch.full((1, 100, 100), 51, dtype=torch.uint8)  # 51 / 255 = 0.2
    assert data.binarize(grey, "threshold").sum() == 0
    once = data.binarize(grey, "sampled", seed=1)
    assert once.unique().tolist() == [0, 255]
    assert (once == 255).float().mean().item() == pytest.approx(0.2, abs=0.02)
    assert torch.equal(once, data.binarize(grey, "sampled", seed=1))
    assert not torch.equal(once, data.binarize(grey, "sampled", seed=2))
    with pytest.raises(ValueError, match="threshold"):
        data.binarize(grey, "dithered")


def test_offline_frames(sample_data):
    data._supertux_paths.cache_clear()
    with pytest.warns(UserWarning, match="offline sample"):
        train = data.supertux("train")
        valid = data.supertux("valid", limit=3)
    assert (train.shape, valid.shape) == \
        ((48, 100, 150, 3), (3, 100, 150, 3))
    assert train.float().std() > 20  # pictures, not blanks


def test_public_frames(full_data):
    data._supertux_paths.cache_clear()
    assert data.supertux("valid", limit=4).shape == (4, 100, 150, 3)


def test_torchvision_imports_in_a_fresh_process():
    code = ("from pixellab.data import import_torchvision as load;"
            "v = load(); assert load() is v;"
            "import torch, torchvision.transforms.v2 as t;"
            "from torchvision.utils import make_grid;"
            "assert t.Pad(2)(torch.zeros(1, 28, 28)).shape == (1, 32, 32);"
            "assert v.datasets.MNIST.resources;"
            "print(make_grid(torch.zeros(4, 1, 3, 3)).shape[0])")
    done = subprocess.run([sys.executable, "-c", code], text=True,
                          capture_output=True)
    assert done.stdout.strip() == "3", done.stderr


def test_where_torchvision_works_nothing_is_patched(monkeypatch):
    """A stand-in that imports cleanly must be handed back untouched."""
    code = ("import sys, types;"
            "v = types.ModuleType('torchvision'); v.__path__ = [];"
            "d = types.ModuleType('torchvision.datasets');"
            "t = types.ModuleType('torchvision.transforms');"
            "v.datasets, v.transforms = d, t;"
            "sys.modules.update({'torchvision': v,"
            "'torchvision.datasets': d, 'torchvision.transforms': t});"
            "from pixellab.data import import_torchvision as load;"
            "assert load() is v and sys.modules['torchvision'] is v;"
            "assert not hasattr(load, 'keep_alive'); print('untouched')")
    done = subprocess.run([sys.executable, "-c", code], text=True,
                          capture_output=True)
    assert done.stdout.strip() == "untouched", done.stderr
