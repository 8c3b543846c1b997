"""Files: the layout by hand, every kind of damage, round trips."""

import os
import struct
import subprocess
import sys
import zlib

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as some
from PIL import Image

import pixellab as pl
from pixellab import codec
from pixellab.cli import main
from pixellab.model import ImageModel
from pixellab.priors.gpt import GPT
from pixellab.tokenizers.pixels import Pixels


@pytest.fixture
def digits(sample_data):
    return pl.data.mnist("valid")


@pytest.fixture(scope="module")
def patches():
    return pl.load("patches", "cpu")


def with_checksum(blob):
    """The same bytes with a checksum that fits them."""
    rest = blob[:13] + blob[17:]
    return blob[:13] + struct.pack("<I", zlib.crc32(rest)) + blob[17:]


# ------------------------------------------------------------- the layout

def test_every_byte_of_the_header(patches, digits):
    image = digits[0][700]
    blob = patches.compress(image, 3)
    tokens = patches.tokenizer.encode(image[None])[0]
    assert blob[:2] == b"Pb" and blob[2] == 1
    assert codec.MODELS[blob[3]] == "patches"
    assert blob[4:7] == patches.fingerprint()
    assert blob[7] == 3 and codec.SHAPES[blob[8]] == (28, 28)
    assert struct.unpack("<I", blob[9:13])[0] == zlib.crc32(
        b"".join(int(token).to_bytes(2, "little") for token in tokens))
    assert struct.unpack("<I", blob[13:17])[0] == zlib.crc32(
        blob[:13] + blob[17:])
    header, _, payload = codec.unpack(blob)
    assert header == codec.Header("patches", patches.fingerprint(), 3,
                                  (28, 28))
    assert payload == blob[17:]
    assert codec.unpack(patches.compress(image))[0].label is None


def test_a_fingerprint_sees_every_weight(patches):
    before = patches.fingerprint()
    weight = patches.prior.head.bias.data
    kept = weight.clone()
    weight[5] += 1e-4
    assert patches.fingerprint() != before
    weight.copy_(kept)
    book = patches.tokenizer.codebook
    book[3, 0, 0] ^= 1
    assert patches.fingerprint() != before
    book[3, 0, 0] ^= 1
    assert patches.fingerprint() == before


# ------------------------------------------------------- whole frequencies

@settings(deadline=None, max_examples=50)
@given(some.lists(some.floats(-1e4, 1e4), min_size=2, max_size=300))
def test_frequencies_are_whole_and_complete(logits):
    counts = codec.frequencies(torch.tensor([logits], dtype=torch.float32))
    assert counts.min() >= 1 and counts.sum() == 2 ** 24
    assert (counts == counts.round()).all()


def test_rounding_costs_next_to_nothing():
    logits = 3 * torch.randn(1, 1024, dtype=torch.float64)
    probs = torch.softmax(logits, dim=1)[0].numpy()
    extra = (probs * np.log2(
        probs / (codec.frequencies(logits) / 2 ** 24))).sum()
    assert 0 <= extra < 1e-3  # bits a token


@pytest.mark.parametrize("size", [2, 256, 1024])
def test_the_coder_takes_our_frequencies_as_they_are(size):
    """What a token costs, coded often, is what its count says."""
    import constriction

    generator = np.random.default_rng(size)
    counts = codec.frequencies(torch.from_numpy(
        np.log(generator.dirichlet(np.full(size, 0.1)) + 1e-12))[None])
    ready = codec.distribution(counts)
    rare = int(counts.argmin())
    for token in {0, rare, int(counts.argmax()), size - 1}:
        coder = constriction.stream.queue.RangeEncoder()
        coder.encode(np.full(5000, token, np.int32), ready)
        bits = 32 * len(coder.get_compressed()) / 5000
        assert bits == pytest.approx(24 - np.log2(counts[token]), abs=0.02)


@settings(deadline=None, max_examples=30)
@given(some.integers(0, 2**32 - 1), some.integers(1, 40))
def test_the_shortest_bytes_mean_the_same(seed, length):
    import constriction

    generator = np.random.default_rng(seed)
    chances = [generator.dirichlet(np.full(6, 0.3)) for _ in range(length)]
    distributions = [codec.distribution(codec.frequencies(
        torch.tensor(np.log(p + 1e-9))[None])) for p in chances]
    tokens = [int(generator.choice(6, p=p)) for p in chances]
    coder = constriction.stream.queue.RangeEncoder()
    for token, distribution in zip(tokens, distributions, strict=True):
        coder.encode(token, distribution)
    whole = coder.get_compressed().astype(">u4").tobytes()
    short = codec.shortest(whole, tokens, distributions)
    assert len(short) <= len(whole)
    assert codec.means(short, tokens, distributions)
    assert codec.means(whole, tokens, distributions)


def test_the_file_is_as_long_as_the_model_says(patches, digits):
    images, labels = (part[::100] for part in digits)
    bits = patches.bits(images, labels)
    sizes = [8 * (len(patches.compress(image, int(label))) - 17)
             for image, label in zip(images, labels, strict=True)]
    overhead = torch.tensor(sizes) - bits
    assert -12 < overhead.min() and overhead.max() < 24
    assert 0 < overhead.mean() < 10


# ----------------------------------------------------------------- damage

def test_no_damaged_file_is_decoded(patches, digits, monkeypatch):
    """Every flipped bit and every cut: refused before any decoding."""
    blob = patches.compress(digits[0][0], 0)
    wrong = [blob[:size] for size in range(len(blob))]
    wrong += [blob + b"\0", blob[:30] + b"\0" + blob[30:], blob * 2]
    for place in range(8 * len(blob)):
        flipped = bytearray(blob)
        flipped[place // 8] ^= 1 << place % 8
        wrong.append(bytes(flipped))
    wrong += [b"", b"Pb", b"hello" * 20, zlib.compress(blob)]
    assert len(wrong) > 250
    monkeypatch.setattr(codec, "decode", None)  # calling it is a TypeError
    for other in wrong:
        with pytest.raises(ValueError, match="damaged|not a file"):
            patches.decompress(other)


@pytest.mark.parametrize("name", ["pixelcnn", "gpt", "symbols", "bsq"])
def test_damage_to_files_of_the_other_models(name, sample_data, monkeypatch):
    model = pl.load(name, "cpu")
    images = pl.data.supertux("valid", 1) if name == "bsq" \
        else pl.data.mnist("valid")[0][:1]
    blob = model.compress(images[0])
    monkeypatch.setattr(codec, "decode", None)
    generator = np.random.default_rng(0)
    for _ in range(5):
        flipped = bytearray(blob)
        flipped[generator.integers(len(blob))] ^= 1 << generator.integers(8)
        for other in (bytes(flipped), blob[:generator.integers(len(blob))]):
            with pytest.raises(ValueError, match="damaged|not a file"):
                model.decompress(other)


def test_other_weights_and_other_versions(patches, digits):
    blob = patches.compress(digits[0][0])
    with pytest.raises(ValueError, match="made by patches weights that"):
        pl.load("gpt", "cpu").decompress(blob)
    changed = with_checksum(blob[:5] + bytes([blob[5] ^ 1]) + blob[6:])
    with pytest.raises(ValueError, match="not these"):
        patches.decompress(changed)
    with pytest.raises(ValueError, match="version 2"):
        patches.decompress(with_checksum(blob[:2] + b"\2" + blob[3:]))
    with pytest.raises(ValueError, match="label 10"):
        patches.decompress(with_checksum(blob[:7] + b"\x0a" + blob[8:]))


def test_a_machine_that_rounds_differently_refuses(patches, digits):
    """One weight moved by little, under the same fingerprint."""
    blobs = [patches.compress(image) for image in digits[0][:5]]
    other, true = pl.load("patches", "cpu"), patches.fingerprint()
    other.prior.head.weight.data *= 1 + 1e-5
    other.fingerprint = lambda: true
    for blob in blobs:
        with pytest.raises(ValueError, match="arithmetic"):
            other.decompress(blob)


def test_settings_of_the_process_do_not_matter(sample_data):
    """Nor do they change: threads, autocast, precision of products."""
    model, frame = pl.load("bsq", "cpu"), pl.data.supertux("valid", 1)[0]
    blob, shown = model.compress(frame), model.reconstruct(frame[None])[0]
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        torch.set_float32_matmul_precision("medium")
        with torch.autocast("cpu", torch.bfloat16):
            assert torch.equal(model.decompress(blob), shown)
            assert model.compress(frame) == blob
        assert torch.get_num_threads() == 2
        assert torch.get_float32_matmul_precision() == "medium"
    finally:
        torch.set_num_threads(threads)
        torch.set_float32_matmul_precision("highest")


def test_what_cannot_be_compressed(patches, digits):
    with pytest.raises(ValueError, match="resize them first"):
        patches.compress(torch.zeros(30, 30, dtype=torch.uint8))
    with pytest.raises(ValueError, match="label 12"):
        patches.compress(digits[0][0], 12)
    turned = np.ascontiguousarray(digits[0][0].numpy())[:, ::-1]
    assert np.array_equal(patches.decompress(patches.compress(
        turned, np.int64(3))), patches.reconstruct(turned[None])[0])
    with pytest.raises(ValueError, match="no labels"):
        pl.load("pixelcnn-binary", "cpu").compress(digits[0][0], 1)


def test_a_label_that_the_header_cannot_hold():
    """Without it the file would never decode."""
    tokenizer = Pixels(2, 2, 2)
    model = ImageModel(tokenizer, GPT(2, (2, 2), 8, 1, 2, num_classes=300)
                       .eval(), {"name": "mine"})
    image = torch.zeros(2, 2, dtype=torch.uint8)
    for label in (None, 0, 254):
        blob = model.compress(image, label)
        assert torch.equal(model.decompress(blob), image)
        assert codec.unpack(blob)[0].label == label
    with pytest.raises(ValueError, match="fits in no file"):
        model.compress(image, 255)


def test_a_prior_fresh_from_training_has_no_dropout():
    prior = GPT(2, (4, 4), 8, 1, 2, dropout=0.9).train()
    model = ImageModel(Pixels(2, 4, 4), prior, {"name": "mine"})
    image = torch.full((4, 4), 255, dtype=torch.uint8)
    assert torch.equal(model.decompress(model.compress(image)), image)


# ------------------------------------------------------------ round trips

@pytest.mark.parametrize("name", ["pixelcnn", "gpt", "symbols", "patches",
                                  "bsq", "pixelcnn-binary", "gpt-live"])
def test_a_fresh_process_decodes(name, sample_data, tmp_path, capsys):
    """20 images a model (3 of a variant), by the command line."""
    count, model = 3 if "-" in name else 20, pl.load(name, "cpu")
    images = pl.data.supertux("valid", count) if name == "bsq" else \
        pl.data.mnist("valid")[0][::2000 // count][:count]
    if name == "pixelcnn-binary":
        images = pl.data.binarize(images, "sampled")
    for i, image in enumerate(images):
        Image.fromarray(image.numpy()).save(tmp_path / f"{i:02}.png")
    pictures = sorted(tmp_path.glob("*.png"))
    assert main(["compress", *map(str, pictures), "--model", name, "--out",
                 str(tmp_path / "small")]) == 0
    files = sorted((tmp_path / "small").glob("*.pbp"))
    assert f"{count} files" in capsys.readouterr().out
    subprocess.run([sys.executable, "-m", "pixellab", "decompress", *files,
                    "--out", tmp_path / "back"], check=True,
                   env={**os.environ, "OMP_NUM_THREADS": "2"})
    expected = images if name in ("pixelcnn", "gpt", "pixelcnn-binary",
                                  "gpt-live") else model.reconstruct(images)
    for path, image in zip(pictures, expected, strict=True):
        back = np.array(Image.open(tmp_path / "back" / path.name))
        assert np.array_equal(back, image.numpy())


def test_files_of_own_weights(sample_data, tmp_path, capsys):
    own = tmp_path / "own.safetensors"
    tensors, config, about = pl.weights.read("patches")
    tensors["head.bias"][0] += 1
    pl.weights.write(own, tensors, config, {**about, "name": "mine"})
    Image.fromarray(pl.data.mnist("valid")[0][0].numpy()).save(
        tmp_path / "digit.png")
    words = ["compress", str(tmp_path / "digit.png"), "--out", str(tmp_path)]
    assert main([*words, "--weights", str(own)]) == 0
    back = ["decompress", str(tmp_path / "digit.pbp"), "--out",
            str(tmp_path / "back")]
    assert main(back) == 2
    assert "--weights" in capsys.readouterr().err
    assert main([*back, "--weights", "gpt"]) == 2
    assert "not these" in capsys.readouterr().err
    assert not (tmp_path / "back").exists()
    assert main([*back, "--weights", str(own)]) == 0
    assert main([*back, "--weights", str(own)]) == 2  # never overwritten
    assert "choose another --out" in capsys.readouterr().err


def test_the_command_line_refuses_in_one_line(sample_data, tmp_path, capsys):
    wrong = tmp_path / "wrong.png"
    Image.new("L", (30, 20)).save(wrong)
    text = tmp_path / "text.pbp"
    text.write_text("hello, this is no picture")
    again = tmp_path / "again"
    again.mkdir()
    Image.new("L", (28, 28)).save(again / "wrong.png")
    for words, hint in [
            (["compress", wrong], "30x20; the model needs 150x100"),
            (["compress", text], "no usable picture"),
            (["compress", tmp_path / "none.png"], "none.png"),
            (["compress", wrong, "--model", "nothing"], "no model"),
            (["compress", wrong, again / "wrong.png", "--resize"], "rename"),
            (["compress", wrong, "--model", "patches", "--label", "11"],
             "label 11"),
            (["decompress", text], "text.pbp: this is not a file"),
            (["decompress", tmp_path / "none.pbp"], "none.pbp")]:
        out = tmp_path / "out"
        code = main([str(word) for word in [*words, "--out", out]])
        error = capsys.readouterr().err
        assert code == 2 and hint in error and error.count("\n") == 1, error
        assert not out.exists()


def test_resizing_is_asked_for(tmp_path, capsys):
    Image.new("L", (56, 56), 90).save(tmp_path / "large.png")
    assert main(["compress", str(tmp_path / "large.png"), "--model",
                 "patches", "--resize", "--out", str(tmp_path)]) == 0
    assert (tmp_path / "large.pbp").stat().st_size < 200
