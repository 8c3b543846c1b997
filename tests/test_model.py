"""Tokenizer, weight files and the model that joins tokenizer and prior."""

import json
import math

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

import pixellab as pl
from pixellab import weights
from pixellab.model import ImageModel
from pixellab.parts import describe
from pixellab.priors.pixelcnn import PixelCNN
from pixellab.recipes import image_models
from pixellab.tokenizers.pixels import Pixels
from pixellab.training.scores import certify


def tiny_model(levels=256, channels=1, num_classes=10):
    torch.manual_seed(0)
    tokenizer = Pixels(levels, 6, 5, channels)
    prior = PixelCNN(levels, (6, 5), channels, width=6, dilations=(1,),
                     head=6, num_classes=num_classes).eval()
    return ImageModel(tokenizer, prior)


def random_images(*shape):
    generator = torch.Generator().manual_seed(1)
    return torch.randint(256, shape, dtype=torch.uint8, generator=generator)


@pytest.fixture
def saved(tmp_path):
    model = tiny_model()
    path = tmp_path / "tiny.safetensors"
    config = {"tokenizer": describe(model.tokenizer),
              "prior": describe(model.prior)}
    weights.write(path, model.prior.state_dict(), config, {"name": "tiny"})
    return path


# ------------------------------------------------------------ tokenizer

@pytest.mark.parametrize("channels", [1, 3])
def test_pixels_are_lossless_at_256_levels(channels):
    shape = (4, 6, 5) if channels == 1 else (4, 6, 5, 3)
    images = random_images(*shape)
    tokenizer = Pixels(256, 6, 5, channels)
    tokens = tokenizer.encode(images)
    assert tokens.shape == (4, 30 * channels)
    assert torch.equal(tokenizer.decode(tokens), images)


def test_colours_of_a_pixel_are_neighbours():
    images = random_images(1, 6, 5, 3)
    tokens = Pixels(256, 6, 5, 3).encode(images)
    assert tokens[0, :3].tolist() == images[0, 0, 0].tolist()


@pytest.mark.parametrize("levels", [2, 3, 4, 16])
def test_fewer_levels_take_the_nearest(levels):
    grey = torch.arange(256, dtype=torch.uint8).reshape(1, 16, 16)
    tokenizer = Pixels(levels, 16, 16)
    decoded = tokenizer.decode(tokenizer.encode(grey))
    error = (decoded.float() - grey.float()).abs().max()
    assert error <= 255 / (levels - 1) / 2 + 0.5
    again = tokenizer.decode(tokenizer.encode(decoded))
    assert torch.equal(again, decoded)
    assert decoded.unique().numel() == levels


def test_drawn_counts_whole_pixels():
    tokenizer = Pixels(256, 6, 5, 3)
    assert tokenizer.drawn(0).sum() == 0
    assert tokenizer.drawn(17).sum() == 5
    assert tokenizer.drawn(30).sum() == 10


@pytest.mark.parametrize("bad, word", [
    (torch.zeros(1, 6, 5), "uint8"),
    (torch.zeros(1, 28, 28, dtype=torch.uint8), "resize"),
    (torch.zeros(0, 6, 5, dtype=torch.uint8), "N > 0"),
    (torch.full((1, 6, 5), float("nan")), "uint8")])
def test_bad_images_are_refused(bad, word):
    with pytest.raises(ValueError, match=word):
        Pixels(256, 6, 5).encode(bad)


def test_images_that_do_not_fit_hear_of_all_that_do():
    with pytest.raises(ValueError, match=r"they must be uint8 \(N, 30, 30\) "
                       r"or \(N, 28, 28\)"):
        pl.load("symbols", "cpu").reconstruct(random_images(28, 28))


@pytest.mark.parametrize("levels", [1, 257, 2.5])
def test_levels_a_byte_cannot_have(levels):
    with pytest.raises(ValueError, match="2 to 256"):
        Pixels(levels)


@pytest.mark.parametrize("tokens", [
    torch.full((1, 30), 4), torch.full((1, 30), -1), torch.zeros(1, 29).long(),
    torch.zeros(1, 30), torch.full((1, 30), float("nan"))])
def test_bad_tokens_are_refused(tokens):
    with pytest.raises(ValueError, match="must"):
        Pixels(4, 6, 5).decode(tokens)


def test_numpy_images_of_any_layout_are_taken():
    images = random_images(2, 6, 5)
    tokenizer = Pixels(256, 6, 5)
    mirrored = tokenizer.encode(images.numpy()[:, :, ::-1])
    assert torch.equal(tokenizer.decode(mirrored), images.flip(2))


# -------------------------------------------------------------- weights

def test_weights_survive_a_round_trip(saved):
    model = pl.load(saved, device="cpu")
    assert describe(model.prior) == describe(tiny_model().prior)
    for key, value in tiny_model().prior.state_dict().items():
        torch.testing.assert_close(model.prior.state_dict()[key], value,
                                   atol=1e-3, rtol=1e-3)
    assert not saved.with_name(saved.name + ".part").exists()


def test_eight_bits_are_half_a_step_away_and_stay_the_same(saved):
    tensors, config, _ = weights.read(saved)
    weights.write(saved, tensors, config, {"stored_as": "int8"})
    rounded = weights.read(saved).tensors
    for key, value in tensors.items():
        if value.ndim == 2:
            step = value.abs().amax(dim=1, keepdim=True) / 127
            assert ((rounded[key] - value).abs() <= step * 0.5001).all()
        else:
            assert torch.equal(rounded[key], value)
    weights.write(saved, rounded, config, {"stored_as": "int8"})
    for key, value in weights.read(saved).tensors.items():
        torch.testing.assert_close(value, rounded[key])


def test_unknown_name_lists_the_models():
    with pytest.raises(FileNotFoundError, match="pixelcnn"):
        pl.load("pixelcnm")


@pytest.mark.parametrize("size", [0, 7, 500])
def test_a_cut_file_is_refused(saved, size):
    saved.write_bytes(saved.read_bytes()[:size])
    with pytest.raises(ValueError, match="damaged"):
        pl.load(saved)


def test_a_flipped_byte_is_noticed(saved):
    damaged = bytearray(saved.read_bytes())
    damaged[-100] ^= 1
    saved.write_bytes(damaged)
    with pytest.raises(ValueError, match="checksum"):
        pl.load(saved)


def test_a_device_that_is_not_here_is_refused(saved):
    missing = "mps" if not torch.backends.mps.is_available() else "cuda"
    with pytest.raises(ValueError, match=f"no {missing} device"):
        pl.load(saved, missing)
    assert pl.load(saved, torch.device("cpu")).sample(1).shape == (1, 6, 5)


def test_a_foreign_file_is_refused(tmp_path):
    path = tmp_path / "foreign.safetensors"
    save_file({"weight": torch.zeros(3)}, path)
    with pytest.raises(ValueError, match="not a pixellab weight file"):
        pl.load(path)


@pytest.mark.parametrize("kind", ["os.system", "pixelcnn.MaskedConv9",
                                  "..cli.main"])
def test_a_header_cannot_import_what_it_likes(saved, kind):
    tensors, config, about = weights.read(saved)
    config["prior"]["kind"] = kind
    weights.write(saved, tensors, config, about)
    with pytest.raises(ValueError, match="holds no"):
        pl.load(saved)


def test_weights_of_another_size_are_refused(saved):
    tensors, config, about = weights.read(saved)
    config["prior"]["width"] = 8
    weights.write(saved, tensors, config, about)
    with pytest.raises(ValueError, match="holds no"):
        pl.load(saved)


def test_certify_measures_the_stored_weights(saved):
    images = random_images(70, 6, 5)
    model = pl.load(saved, "cpu")
    tokens = model.tokenizer.encode(images)
    certify(saved, {"valid": (tokens, model.label_tensor([3] * 70, 70)),
                    "test": (tokens[:9], model.label_tensor(None, 9))})
    about = pl.load(saved, "cpu").provenance
    bits = pl.load(saved, "cpu").bits(images, [3] * 70)
    assert about["valid_bits_per_token"] == pytest.approx(
        bits.mean().item() / 30)
    assert about["check"]["every"] == 1
    assert about["check"]["bits"] == pytest.approx(bits[:64].tolist(),
                                                   abs=1e-3)
    assert about["test_images"] == 9
    assert about["test_nats"] == pytest.approx(
        about["test_bits_per_token"] * 30 * math.log(2))


# ---------------------------------------------------------------- model

def test_same_seed_same_images_in_any_company():
    model = tiny_model()
    two = model.sample(labels=[3, 4], seed=7)
    assert two.shape == (2, 6, 5) and two.dtype == torch.uint8
    assert torch.equal(two[:1], model.sample(labels=[3], seed=7))
    assert not torch.equal(two[:1], model.sample(labels=[3], seed=8))


def test_mixed_and_missing_labels():
    model = tiny_model()
    assert model.sample(3).shape == (3, 6, 5)
    mixed = model.sample(labels=[3, None])
    assert torch.equal(mixed[1:], model.sample(2)[1:])


def test_many_images_are_drawn_in_parts(monkeypatch):
    model, labels = tiny_model(), torch.arange(7) % 3
    at_once = model.sample(labels=labels)
    images = random_images(7, 6, 5)
    completed = model.complete(images, rows=2, labels=labels)
    monkeypatch.setattr(pl.model, "PART", 3)
    assert torch.equal(model.sample(labels=labels), at_once)
    assert torch.equal(model.complete(images, rows=2, labels=labels),
                       completed)
    for n, wrong in ((4, [0] * 7), (7, [0] * 4), (5, [0, 1, 2, 3, 99])):
        with pytest.raises(ValueError, match=f"{len(wrong)} labels for {n} "
                           "images|label 99"):
            model.sample(n, labels=wrong)


def test_a_top_k_beyond_the_vocabulary_is_clipped_with_a_word():
    model = tiny_model(levels=4)
    with pytest.warns(UserWarning, match="top_k 9 is more than the tokens"):
        images = model.sample(2, top_k=9)
    assert torch.equal(images, model.sample(2))


def test_colour_model_samples_and_scores():
    model = tiny_model(channels=3)
    images = model.sample(labels=[1, 2])
    assert images.shape == (2, 6, 5, 3) and model.dimensions == 90
    assert model.bits(images, [1, 2]).shape == (2,)


def test_completion_keeps_the_rows():
    model = tiny_model()
    images = random_images(2, 6, 5)
    done = model.complete(images, rows=4, labels=[0, 1], seed=2)
    assert torch.equal(done[:, :4], images[:, :4])
    assert not torch.equal(done[:, 4:], images[:, 4:])
    assert torch.equal(model.complete(images, rows=6), images)


def test_reconstruct_is_the_image():
    images = random_images(3, 6, 5)
    assert torch.equal(tiny_model().reconstruct(images), images)


def test_bits_do_not_depend_on_the_batch():
    model = tiny_model()
    images = random_images(60, 6, 5)
    all_at_once = model.bits(images)
    assert all_at_once.dtype == torch.float64
    torch.testing.assert_close(model.bits(images[57:]), all_at_once[57:],
                               atol=1e-3, rtol=0)


@pytest.mark.parametrize("call, word", [
    (lambda m: m.sample(labels=[10]), "0 to 9"),
    (lambda m: m.sample(labels=[-1]), "0 to 9"),
    (lambda m: m.sample(labels=3), r"a list, as \[3\]"),
    (lambda m: m.sample(labels=torch.tensor([[1, 2]])), "a list"),
    (lambda m: m.bits(random_images(1, 6, 5), 3), "a list"),
    (lambda m: m.sample(n=0), "1 to 10,000"),
    (lambda m: m.sample(n=2.5), "n is 2.5; it must be 1 to 10,000"),
    (lambda m: m.sample(n="2"), "n is '2'"),
    (lambda m: m.sample(top_k=2.5), "top_k is 2.5"),
    (lambda m: m.sample(seed=1.5), "seed is 1.5"),
    (lambda m: m.complete(None, rows=2), "no images"),
    (lambda m: m.stream(2, images=random_images(3, 6, 5), rows=2),
     "3 images, but n is 2"),
    (lambda m: m.sample(labels=[1.5]), "0 to 9"),
    (lambda m: m.sample(labels=[1], seed=-1), "seed"),
    (lambda m: m.sample(n=3, labels=[1, 2]), "2 labels for 3"),
    (lambda m: m.sample(labels=[1], temperature=float("nan")), "temperature"),
    (lambda m: m.sample(labels=[1], top_p=0.0), "top_p"),
    (lambda m: m.complete(random_images(1, 6, 5), rows=7), "0 to 6")])
def test_bad_input_is_one_clear_error(call, word):
    with pytest.raises(ValueError, match=word) as caught:
        call(tiny_model())
    assert "\n" not in str(caught.value)


def test_whole_numbers_of_any_kind_are_taken():
    model, images = tiny_model(), random_images(2, 6, 5)
    expected = model.sample(2, labels=[3, 4], top_k=5, seed=2)
    for kind in (float, np.int64, torch.tensor):
        assert torch.equal(expected, model.sample(
            kind(2), [kind(3), kind(4)], top_k=kind(5), seed=kind(2)))
        assert torch.equal(model.complete(images, kind(3)),
                           model.complete(images, 3))
    for labels in (range(3, 5), np.array([3, 4]), torch.tensor([3, 4])):
        assert torch.equal(expected, model.sample(labels=labels, top_k=5,
                                                  seed=2))


def test_a_model_without_labels_refuses_them():
    model = tiny_model(num_classes=0)
    assert model.sample(2).shape == (2, 6, 5)
    with pytest.raises(ValueError, match="no labels"):
        model.sample(labels=[1, 2])


def test_frames_end_with_the_finished_image():
    model = tiny_model()
    pictures = pl.figures.frames(model, model.stream(2, seed=3), count=8)
    assert pictures.shape == (8, 2, 6, 5, 3)
    finished = model.sample(2, seed=3)
    assert np.array_equal(pictures[-1], pl.images.to_array(finished))
    blue = (pictures == pl.figures.NOT_YET).all(axis=-1).sum(axis=(2, 3))
    assert blue[:, 0].tolist() == [30 - 30 * (i + 1) // 8 for i in range(8)]
    strip = pl.figures.filmstrip(pictures)
    assert len(strip.axes) == 16


def test_gif_frames_can_be_seen(tmp_path):
    frames = np.zeros((3, 4, 4, 3), np.uint8)
    with pytest.raises(ValueError, match="20 or more"):
        pl.images.gif(tmp_path / "fast.gif", frames, milliseconds=10)


# ------------------------------------------------------ shipped weights

MODELS = [name for name in weights.names()
          if name in image_models()]


def test_the_weights_of_the_book_are_here():
    assert {"pixelcnn-binary", "gpt-live"} <= set(MODELS)
    assert pl.models() == ["pixelcnn", "gpt", "symbols", "patches", "bsq"]


@pytest.mark.parametrize("name", MODELS)
def test_shipped_weights_load_and_say_what_was_done(name):
    model = pl.load(name, "cpu")
    for key in ("data", "data_sha256", "device", "seconds", "recipe",
                "valid_bits_per_token", "check", "epochs_done"):
        assert key in model.provenance, key
    json.dumps(model.provenance)
    assert all(torch.isfinite(p).all() for p in model.prior.parameters())


@pytest.mark.parametrize("name", ["pixelcnn", "gpt", "gpt-live"])
def test_shipped_weights_score_what_their_header_says(sample_data, name):
    model = pl.load(name, "cpu")
    x, y = pl.data.mnist("valid")
    every, expected = model.provenance["check"].values()
    chosen = slice(None, 20 * every, every)
    assert model.bits(x[chosen], y[chosen]).tolist() == pytest.approx(
        expected[:20], rel=2e-3)


def test_shipped_binary_pixelcnn_scores_what_its_header_says(full_data):
    model = pl.load("pixelcnn-binary", "cpu")
    every, expected = model.provenance["check"].values()
    x = pl.data.binarized_mnist("valid")[:20 * every:every]
    assert model.bits(x).tolist() == pytest.approx(expected[:20], rel=2e-3)


def test_the_model_for_the_page_is_small():
    path = weights.find("gpt-live")
    parameters = sum(p.numel() for p in pl.load("gpt-live").prior.parameters())
    assert parameters <= 900_000 and path.stat().st_size <= 1.2e6


@pytest.mark.parametrize("name", ["pixelcnn", "gpt"])
def test_the_real_sampler_and_the_naive_one_agree(sample_data, name):
    """Logits of the shipped model, cached against parallel, float32."""
    model = pl.load(name, "cpu")
    x, y = pl.data.mnist("valid")
    tokens = model.tokenizer.encode(x[:2])
    with torch.no_grad():
        parallel = model.prior(tokens, y[:2])
    cache, previous = model.prior.start(y[:2]), None
    for t in range(784):
        logits = model.prior.step(cache, previous)
        torch.testing.assert_close(logits, parallel[:, t], atol=1e-3, rtol=0)
        previous = tokens[:, t]
