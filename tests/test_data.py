"""The data sets: splits, binarisation, offline sample, bad files."""

import gzip
import hashlib
import http.client
import http.server
import io
import json
import struct
import subprocess
import sys
import threading
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from pixellab import data


def as_set(images):
    return {image.numpy().tobytes() for image in images}


def test_offline_sample(sample_data):
    with pytest.warns(UserWarning, match="offline sample"):
        data.mnist_splits.cache_clear()
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
        data.mnist_splits.cache_clear()
        small, small_labels = data.mnist("valid")
    assert torch.equal(small, xv) and torch.equal(small_labels, yv)
    assert not as_set(xv) & as_set(x)


@pytest.mark.parametrize("error", [
    ConnectionError("no route"), TimeoutError(), PermissionError("no"),
    RuntimeError("Error downloading:\nTried here\nand there"),
    http.client.IncompleteRead(b""), zipfile.BadZipFile()])
def test_without_network_the_sample_serves_with_one_warning(
        tmp_path, monkeypatch, error):
    def fail(*_):
        raise error

    monkeypatch.setenv("PIXELLAB_DATA", str(tmp_path / "empty"))
    monkeypatch.delenv("PIXELLAB_OFFLINE", raising=False)
    monkeypatch.setattr(data, "fetch_mnist", fail)
    data.mnist_splits.cache_clear()
    with pytest.warns(UserWarning) as warned:
        assert len(data.mnist("train")[0]) == 3000
        data.mnist("valid")
    assert len(warned) == 1
    message = str(warned[0].message)
    assert "could not be downloaded" in message and "\n" not in message
    data.mnist_splits.cache_clear()


class Server(http.server.BaseHTTPRequestHandler):
    """Serves what stands in `bodies`, the first `cuts` times only half."""

    bodies, cuts = {}, 0

    def do_HEAD(self):  # noqa: N802
        self.send_response(200)
        self.send_header("Content-Length", len(self.bodies[self.path]))
        self.end_headers()

    def do_GET(self):  # noqa: N802
        self.do_HEAD()
        body = self.bodies[self.path]
        if Server.cuts:
            Server.cuts -= 1
            body = body[:len(body) // 2]
        self.wfile.write(body)

    def log_message(self, *arguments):
        pass


def archive(size=(150, 100), folders=("train", "valid")):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as packed:
        for name in folders:
            picture = io.BytesIO()
            Image.new("RGB", size).save(picture, "JPEG")
            packed.writestr(f"frames/{name}/a.jpg", picture.getvalue())
    return file.getvalue()


@pytest.fixture
def server(tmp_path, monkeypatch):
    """A download host of our own; also a data folder that is empty."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}/"
    monkeypatch.setattr(data, "SUPERTUX_URL", url + "frames")
    monkeypatch.setattr(data.import_torchvision().datasets.MNIST, "mirrors",
                        [url])
    monkeypatch.setenv("PIXELLAB_DATA", str(tmp_path))
    monkeypatch.delenv("PIXELLAB_OFFLINE", raising=False)
    Server.bodies, Server.cuts = {"/frames": archive()}, 0
    yield tmp_path
    server.shutdown()


@pytest.mark.parametrize("cuts", [0, 1])  # one cut download is tried again
def test_frames_are_downloaded_once(server, cuts):
    Server.cuts = cuts
    assert data.supertux("valid").shape == (1, 100, 150, 3)
    assert [path.name for path in server.iterdir()] == ["supertux"]
    Server.bodies = {}
    assert data.supertux("train").shape == (1, 100, 150, 3)


@pytest.mark.parametrize("body, cuts", [
    (b"<html>sign in</html>", 0), (archive(size=(320, 200)), 0),
    (archive(folders=["train"]), 0), (archive(folders=["frames"]), 0),
    (archive(), 9)])
def test_a_wrong_archive_is_never_installed(server, body, cuts):
    Server.bodies, Server.cuts = {"/frames": body}, cuts
    with pytest.warns(UserWarning, match="could not be downloaded"):
        assert len(data.supertux("valid")) == 24  # the sample
    assert not list(server.iterdir())


def digits_file(*shape):
    """A file of MNIST: a header, then bytes that depend on their place."""
    header = struct.pack(f">{1 + len(shape)}i", 2048 + len(shape), *shape)
    numbers = np.arange(np.prod(shape)) % (256 if len(shape) == 3 else 10)
    return gzip.compress(header + numbers.astype(np.uint8).tobytes())


def test_a_damaged_file_is_named(server):
    raw = server / "MNIST" / "raw"
    raw.mkdir(parents=True)
    (raw / "train-labels-idx1-ubyte.gz").write_bytes(digits_file(5))
    for half in (b"half a download", gzip.compress(bytes(999))[:-9], b"",
                 digits_file(4, 28, 28)):
        (raw / "train-images-idx3-ubyte.gz").write_bytes(half)
        with pytest.raises(ValueError, match="raw is damaged .*delete"):
            data.mnist()


def test_digits_are_downloaded_and_verified(server, monkeypatch):
    files = [digits_file(*shape) for shape in
             [(5000, 28, 28), (5000,), (7, 28, 28), (7,)]]
    mnist = data.import_torchvision().datasets.MNIST
    names = [name for name, _ in mnist.resources]
    Server.bodies = dict(zip(["/" + name for name in names], files,
                             strict=True))
    monkeypatch.setattr(mnist, "resources", [
        (name, hashlib.md5(body).hexdigest())
        for name, body in zip(names, files, strict=True)])
    Server.bodies["/t10k-labels-idx1-ubyte.gz"] = files[1]  # another file
    with pytest.warns(UserWarning, match="could not be downloaded .Error"):
        assert len(data.mnist("valid")[0]) == 2000
    assert not list((server / "MNIST").iterdir())
    Server.bodies["/t10k-labels-idx1-ubyte.gz"] = files[3]
    data.available.cache_clear()
    data.mnist_splits.cache_clear()
    images, labels = data.mnist("test")
    assert images.shape == (7, 28, 28) and labels.tolist() == list(range(7))
    assert images[1, 2, 3] == (784 + 2 * 28 + 3) % 256
    raw = server / "MNIST" / "raw"
    assert [(raw / name).read_bytes() for name in names] == files


def test_own_frames_are_never_deleted(server):
    mine = server / "supertux" / "train" / "mine.jpg"
    mine.parent.mkdir(parents=True)
    Image.new("RGB", (150, 100)).save(mine)
    with pytest.raises(FileNotFoundError, match="valid holds no"):
        data.supertux("valid")
    assert mine.exists()


def test_callers_cannot_spoil_the_cache(sample_data):
    first, _ = data.mnist("valid")
    first[:] = 0
    assert data.mnist("valid")[0].max() == 255


def test_unknown_split(sample_data):
    with pytest.raises(FileNotFoundError, match="but train, valid"):
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


def test_a_damaged_static_set_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("PIXELLAB_DATA", str(tmp_path))
    monkeypatch.delenv("PIXELLAB_OFFLINE", raising=False)
    path = tmp_path / "binarized_mnist" / "binarized_mnist_valid.npy"
    path.parent.mkdir()
    np.save(path, np.zeros((2, 98), np.uint8))
    assert data.binarized_mnist("valid").shape == (2, 28, 28)
    whole = path.read_bytes()
    for half in (b"", b"a page", whole[:150]):
        path.write_bytes(half)
        with pytest.raises(ValueError, match="valid.npy is damaged"):
            data.binarized_mnist("valid")
    with pytest.raises(FileNotFoundError, match="no .*validation.npy"):
        data.binarized_mnist("validation")


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
    with pytest.warns(UserWarning, match="offline sample"):
        train = data.supertux("train")
        valid = data.supertux("valid", limit=3)
    assert (train.shape, valid.shape) == \
        ((48, 100, 150, 3), (3, 100, 150, 3))
    assert train.float().std() > 20  # pictures, not blanks


def test_public_frames(full_data):
    assert data.supertux("valid", limit=4).shape == (4, 100, 150, 3)


def fresh_process(code):
    """What `code` prints in an interpreter of its own."""
    return subprocess.run([sys.executable, "-c", code], text=True, check=True,
                          stdout=subprocess.PIPE).stdout.strip()


def test_torchvision_imports_in_a_fresh_process():
    code = ("from pixellab.data import import_torchvision as load;"
            "v = load(); assert load() is v;"
            "import torch, torchvision.transforms.v2 as t;"
            "from torchvision.utils import make_grid;"
            "assert t.Pad(2)(torch.zeros(1, 28, 28)).shape == (1, 32, 32);"
            "assert v.datasets.MNIST.resources;"
            "print(make_grid(torch.zeros(4, 1, 3, 3)).shape[0])")
    assert fresh_process(code) == "3"


def test_where_torchvision_works_nothing_is_patched():
    """A stand-in that imports cleanly must be handed back untouched."""
    code = ("import sys, types;"
            "v = types.ModuleType('torchvision'); v.__path__ = [];"
            "v.datasets = types.ModuleType('torchvision.datasets');"
            "sys.modules.update({'torchvision': v,"
            "'torchvision.datasets': v.datasets});"
            "from pixellab.data import import_torchvision as load;"
            "assert load() is v and sys.modules['torchvision'] is v;"
            "assert not hasattr(load, 'keep_alive'); print('untouched')")
    assert fresh_process(code) == "untouched"


def test_benchmarks_come_with_the_package():
    stored = json.loads((Path(__file__).parent.parent / "benchmarks" /
                         "results.json").read_text())
    assert data.benchmark("bits") == stored["bits"]["results"]


@pytest.mark.parametrize("reach", [0, 1, 2])
def test_shifted_is_what_loops_do(reach):
    images = torch.randint(1, 256, (2, 5, 6), dtype=torch.uint8)
    moved, labels = data.shifted(images, torch.tensor([7, 8]), reach)
    steps = range(-reach, reach + 1)
    expected = []
    for down in reversed(steps):
        for right in reversed(steps):
            for image in images:
                black = torch.zeros_like(image)
                for row in range(5):
                    for column in range(6):
                        y, x = row - down, column - right
                        if 0 <= y < 5 and 0 <= x < 6:
                            black[row, column] = image[y, x]
                expected.append(black)
    assert torch.equal(moved, torch.stack(expected))
    assert labels.tolist() == [7, 8] * len(steps) ** 2
    assert data.shifted(images, None, reach)[1] is None
