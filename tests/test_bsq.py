"""BSQ against enumeration; its losses, its stages, its shipped weights."""

import itertools
import math

import numpy as np
import pytest
import torch
from PIL import Image

import pixellab as pl
from pixellab import measures, training, weights
from pixellab.cli import main
from pixellab.model import load_tokenizer
from pixellab.tokenizers import bsq
from pixellab.tokenizers.bsq import BSQ
from pixellab.training import rate_distortion
from pixellab.training.rate_distortion import RateDistortion


def small(bits=4, seed=0, **more):
    """Untrained, for pictures of 10 x 15: a grid of 2 x 3."""
    torch.manual_seed(seed)
    return BSQ(5, bits, 10, 15, features=8, encoder_blocks=1,
               decoder_blocks=1, **more).eval()


def pictures(count=5, height=10, width=15, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(256, (count, height, width, 3), dtype=torch.uint8,
                         generator=generator)


# ------------------------------------------------- signs and whole numbers

def test_all_codes_there_and_back():
    tokenizer = BSQ(5, 10, 5, 5, features=8)
    tokens = torch.arange(1024)[:, None]
    corners = tokenizer.to_corners(tokens)
    assert torch.equal(tokenizer.to_tokens(corners), tokens)
    assert corners.norm(dim=1) == pytest.approx(1, abs=1e-6)
    for token in (0, 1, 5, 512, 1023):
        signs = corners[token].flatten() > 0
        assert signs.tolist() == [c == "1" for c in f"{token:010b}"[::-1]]


def test_the_nearest_of_all_corners_is_the_signs():
    tokenizer = small(bits=6)
    u = tokenizer.on_sphere(bsq.centred(pictures(4)))  # (4, 6, 2, 3)
    every = torch.tensor(list(itertools.product((-1, 1), repeat=6))) / 6**.5
    points = u.permute(0, 2, 3, 1).flatten(0, 2)
    nearest = every[torch.cdist(points, every).argmin(dim=1)]
    found = tokenizer.corner(u).permute(0, 2, 3, 1).flatten(0, 2)
    assert torch.allclose(found, nearest, atol=1e-6)
    assert points.norm(dim=1).detach() == pytest.approx(1, abs=1e-6)


def test_the_gradient_goes_straight_through():
    tokenizer = small()
    u = torch.randn(2, 4, 2, 3, requires_grad=True)
    pull = torch.randn(2, 4, 2, 3)
    (tokenizer.corner(u) * pull).sum().backward()
    assert torch.equal(u.grad, pull)


def test_a_batch_does_not_change_the_codes():
    tokenizer, images = small(), pictures(7)
    together = tokenizer.encode(images)
    assert together.shape == (7, 6) and together.dtype == torch.int64
    for one, tokens in zip(images, together, strict=True):
        assert torch.equal(tokenizer.encode(one[None])[0], tokens)
    shown = tokenizer.decode(together)
    assert shown.shape == images.shape and shown.dtype == torch.uint8
    for tokens, picture in zip(together, shown, strict=True):
        assert torch.equal(tokenizer.decode(tokens[None])[0], picture)


def test_rows_and_columns_are_where_they_should_be():
    """Without blocks a patch is painted by its own code alone."""
    torch.manual_seed(0)
    tokenizer = BSQ(5, 6, 10, 15, features=8, encoder_blocks=0,
                    decoder_blocks=0)
    tokens = torch.arange(6)[None]
    before = tokenizer.decode(tokens)[0].int()
    for place in range(6):
        changed = tokens.clone()
        changed[0, place] = 63
        moved = (tokenizer.decode(changed)[0].int() != before).any(dim=2)
        row, column = divmod(place, 3)
        inside = torch.zeros(10, 15, dtype=torch.bool)
        inside[5 * row:5 * row + 5, 5 * column:5 * column + 5] = True
        assert moved[inside].any() and not moved[~inside].any()
        assert torch.equal(tokenizer.drawn(place + 1)
                           ^ tokenizer.drawn(place), inside)


@pytest.mark.parametrize("settings, hint", [
    ({"patch": 7}, "patch is 7; it must be one of"), ({"bits": 0}, "1 to 15"),
    ({"bits": 16}, "1 to 15")])
def test_settings_that_make_no_sense(settings, hint):
    with pytest.raises(ValueError, match=hint):
        BSQ(**settings)


def test_wrong_pictures_and_tokens():
    tokenizer = small()
    for wrong in (pictures(2, 10, 10), pictures(2)[..., 0],
                  pictures(2).float(), pictures(2)[:0]):
        with pytest.raises(ValueError, match="images"):
            tokenizer.encode(wrong)
    for wrong in (torch.full((1, 6), 16), torch.zeros(1, 5).long()):
        with pytest.raises(ValueError, match="tokens"):
            tokenizer.decode(wrong)


# ------------------------------------------------------------- its losses

def test_entropy_terms_against_all_codes():
    """For independent signs: the entropy over all codes, divided by bits."""
    bits, u = 3, torch.nn.functional.normalize(torch.randn(2, 3, 2, 2), dim=1)
    p = torch.sigmoid(4 * bits ** 0.5 * u).permute(0, 2, 3, 1).reshape(-1, 3)

    def entropy(p):
        each = torch.stack([torch.where(torch.tensor(code), p, 1 - p).prod()
                            for code in itertools.product(
                                (False, True), repeat=bits)])
        return -(each * each.log()).sum()

    expected = sum(entropy(row) for row in p) / len(p) - entropy(p.mean(0))
    assert rate_distortion.entropies(u).item() == pytest.approx(
        expected.item() / bits, rel=1e-4)


def test_entropy_terms_at_certainty_are_finite():
    u = torch.ones(1, 1, 2, 2, requires_grad=True)
    terms = rate_distortion.entropies(u * 1e6)
    assert terms.isfinite() and terms.item() == pytest.approx(0, abs=1e-6)


def test_the_rate_never_looks_ahead():
    """Logits of sign k at place t see earlier places and earlier signs."""
    net = RateDistortion(small(bits=3))
    signs = torch.randn(1, 3, 5, 6, requires_grad=True)
    order = torch.arange(90).view(5, 6, 3).permute(2, 0, 1)  # place, then sign
    for k, row, column in [(0, 0, 0), (1, 2, 3), (2, 4, 5), (0, 3, 0)]:
        signs.grad = None
        net.rate(signs)[0, k, row, column].backward()
        seen = signs.grad[0] != 0
        assert not seen[order >= order[k, row, column]].any()
        if (k, row, column) != (0, 0, 0):
            assert seen.any()


def test_bits_are_a_distribution_over_all_codes():
    """Of one place without neighbours: 2^-bits over all codes is 1."""
    net = RateDistortion(BSQ(5, 4, 5, 5, features=8))
    codes = torch.tensor(list(itertools.product((-1.0, 1.0), repeat=4)))
    logits = net.rate(codes[:, :, None, None])[:, :, 0, 0]
    chances = torch.sigmoid(logits * codes).prod(dim=1)
    assert chances.sum().item() == pytest.approx(1, abs=1e-6)


def test_parts_against_what_they_mean():
    tokenizer = small()
    net, images = RateDistortion(tokenizer), pictures()
    error, bits, _ = net.parts(images)
    shown = bsq.to_pixels(tokenizer.paint(tokenizer.corner(
        tokenizer.on_sphere(bsq.centred(images)))))
    assert torch.equal(shown, tokenizer.decode(tokenizer.encode(images)))
    assert error.item() == pytest.approx(measures.mean_squared_error(
        images, shown).mean().item(), rel=0.02)  # rounded to whole numbers
    signs = tokenizer.to_corners(tokenizer.encode(images)) * 2  # sqrt(4)
    chances = torch.sigmoid(net.rate(signs) * signs)
    assert bits.item() == pytest.approx(
        -chances.log2().sum(dim=1).mean().item(), rel=1e-4)
    scored = net.score(images)
    assert scored["bits_per_token"] == pytest.approx(bits.item(), rel=1e-4)
    assert scored["valid"] == pytest.approx(
        1000 * (error.item() + 1.2e-4 * bits.item()), rel=1e-4)


def learn(folder, rate_weight, quantized=True, epochs=6):
    images = pl.data.supertux("train", 24)[:, ::10, ::10]  # tiny frames
    torch.manual_seed(0)
    tokenizer = small(bits=6)
    net = RateDistortion(tokenizer, rate_weight, quantized=quantized)
    labels = torch.zeros(len(images), dtype=torch.int64)
    return training.train(
        net, (images, labels), (images, labels),
        training.Schedule(epochs=epochs, lr=1e-2, batch_size=8),
        training.RunFolder(folder, {}), rate_distortion.TASK, show=False,
        device="cpu")


def test_it_learns_and_the_rate_term_saves_bits(sample_data, tmp_path):
    free = learn(tmp_path / "free", 0.0, epochs=12)
    frugal = learn(tmp_path / "frugal", 1e-2, epochs=12)
    assert free[-1]["squared_error"] < 0.5 * free[0]["squared_error"]
    assert free[-1]["bits_per_token"] < 0.9 * free[0]["bits_per_token"]
    assert frugal[-1]["bits_per_token"] < 0.7 * free[-1]["bits_per_token"]
    whole = learn(tmp_path / "whole", 0.0, quantized=False, epochs=12)
    assert whole[-1]["squared_error"] < free[-1]["squared_error"]


def test_the_same_seed_gives_the_same_run(sample_data, tmp_path):
    assert [row["train"] for row in learn(tmp_path / "a", 1e-4, epochs=2)] \
        == [row["train"] for row in learn(tmp_path / "b", 1e-4, epochs=2)]


# ------------------------------------------------------------- its stages

def folder_of_frames(place, count=10):
    for split in ("train", "valid"):
        (place / split).mkdir(parents=True)
        for i, frame in enumerate(pl.data.supertux(split, count)):
            Image.fromarray(frame.numpy()).save(place / split / f"{i}.png")
    return place


def command(*words):
    return main([str(word) for word in words])


def test_all_stages_on_the_command_line(sample_data, tmp_path, capsys):
    short = ("--epochs", 1, "--batch-size", 8, "--device", "cpu",
             "--precision", "fp32", "--limit", 16)
    assert command("train", "bsq", "--stage", "autoencoder", "--features", 8,
                   "--bits", 5, *short, "--out", tmp_path / "a") == 0
    assert "thousandths, validation" in capsys.readouterr().out
    assert command("train", "bsq", "--stage", "tokenizer", "--weights",
                   tmp_path / "a" / "best.safetensors", *short, "--log-dir",
                   tmp_path / "logs", "--rate-weight", 3e-4, "--out",
                   tmp_path / "t") == 0
    assert "bits a token without a prior" in capsys.readouterr().out
    assert list((tmp_path / "logs").iterdir())
    assert {path.name for path in (tmp_path / "t").iterdir()} == {
        "best.safetensors", "last.safetensors", "state.pt", "history.json",
        "curve.png", "frames_001.png"}
    stored = tmp_path / "t" / "best.safetensors"
    tokenizer, about = load_tokenizer(stored)
    assert tokenizer.bits == 5 and about["started_from"]["name"] == "bsq"
    valid = pl.data.supertux("valid", 16)
    assert about["valid_squared_error"] == pytest.approx(
        measures.mean_squared_error(valid, tokenizer.decode(
            tokenizer.encode(valid))).mean().item())

    frames = folder_of_frames(tmp_path / "frames")
    assert command("tokenize", "bsq", frames, tmp_path / "tokens.safetensors",
                   "--weights", stored, "--mirror") == 0
    tensors = weights.read(tmp_path / "tokens.safetensors").tensors
    first = pl.data.supertux("train", 1)
    assert tensors["train"].shape == (20, 600)
    assert torch.equal(tensors["train"][:1], tokenizer.encode(first))
    assert torch.equal(tensors["train"][1:2],
                       tokenizer.encode(first.flip(2)))
    assert torch.equal(tensors["valid"],
                       tokenizer.encode(pl.data.supertux("valid", 10)))

    assert command("train", "bsq", "--stage", "prior", "--tokens",
                   tmp_path / "tokens.safetensors", "--width", 32, "--layers",
                   1, "--heads", 1, *short, "--out", tmp_path / "p") == 0
    model = pl.load(tmp_path / "p" / "best.safetensors", "cpu")
    assert model.provenance["valid_images"] == 10
    history = model.provenance["tokenizer"]  # all that made it
    assert history["objective"]["rate_weight"] == 3e-4
    assert history["started_from"]["objective"]["quantized"] is False
    assert model.provenance["check"]["bits"] == pytest.approx(
        model.bits(pl.data.supertux("valid", 10)).tolist(), rel=1e-3)
    assert model.provenance["valid_squared_error"] == pytest.approx(
        model.distortion(pl.data.supertux("valid", 10)).mean().item())
    assert command("sample", "bsq", "--count", 2, "--weights",
                   tmp_path / "p" / "best.safetensors", "--out",
                   tmp_path / "s", "--device", "cpu") == 0
    assert len(list((tmp_path / "s").glob("bsq_?.png"))) == 2
    more = ("train", "bsq", "--stage", "prior", "--weights",
            tmp_path / "p" / "best.safetensors", "--tokens")
    assert command(*more, tmp_path / "tokens.safetensors", *short,
                   "--out", tmp_path / "more") == 0
    tokens = ("--tokens", tmp_path / "tokens.safetensors")
    for words in (("--stage", "prior", *short[2:], "--width", 32, "--layers",
                   1, "--heads", 1, "--epochs", 2, "--out",
                   tmp_path / "whole"),
                  ("--device", "cpu", "--limit", 16, "--epochs", 2, "--resume",
                   tmp_path / "p")):
        assert command("train", "bsq", *tokens, *words) == 0
    whole, parts = (weights.read(tmp_path / name / "last.safetensors").tensors
                    for name in ("whole", "p"))
    assert all(torch.equal(whole[key], parts[key]) for key in whole)
    tensors["tokenizer.encoder.0.bias"] += 1
    weights.write(tmp_path / "other.safetensors", tensors,
                 *weights.read(tmp_path / "tokens.safetensors")[1:])
    assert command(*more, tmp_path / "other.safetensors", *short,
                   "--out", tmp_path / "no") == 2
    assert "another tokenizer" in capsys.readouterr().err


def test_a_tokenizer_that_was_cut_short_goes_on(sample_data, tmp_path, capsys):
    words = ("train", "bsq", "--device", "cpu", "--limit", 16)
    first = (*words, "--batch-size", 8, "--precision", "fp32", "--stage",
             "tokenizer", "--features", 8, "--bits", 3)
    assert command(*first, "--epochs", 2, "--out", tmp_path / "whole") == 0
    assert command(*first, "--epochs", 1, "--out", tmp_path / "parts") == 0
    assert command(*words, "--epochs", 2, "--resume", tmp_path / "parts") == 0
    whole, parts = (weights.read(tmp_path / name / "last.safetensors").tensors
                    for name in ("whole", "parts"))
    assert all(torch.equal(whole[key], parts[key]) for key in whole)


@pytest.mark.parametrize("words, hint", [
    ((), "required: --stage"),
    (("--stage", "prior"), "one of --tokenizer, --tokens, --weights"),
    (("--stage", "tokenizer", "--shifts", 1), "shifts are for digits"),
    (("--stage", "tokenizer", "--layers", 2), "is not for"),
    (("--stage", "tokenizer", "--codebook-size", 9), "is not for"),
    (("--stage", "prior", "--bits", 9, "--tokens", "x"), "is not for"),
    (("--stage", "prior", "--tokens", "a", "--tokenizer", "b"),
     "omit it"),
    (("--stage", "prior", "--tokens", "no.safetensors"), "no model"),
    (("--stage", "prior", "--tokens", "a", "--images", "b"),
     "--images is not for `train bsq --stage prior` with --tokens"),
    (("--stage", "prior", "--tokens", "patches"), "patches is no bsq"),
    (("--stage", "tokenizer", "--patch", 7), "patch is 7; it must be one of"),
    (("--stage", "tokenizer", "--bits", 20), "1 to 15")])
def test_flags_that_cannot_be(words, hint, sample_data, tmp_path, capsys):
    code = command("train", "bsq", *words, "--out", tmp_path / "run")
    error = capsys.readouterr().err
    assert code == 2 and hint in error and error.count("\n") == 1
    assert not (tmp_path / "run").exists()


def test_frames_of_another_size_are_not_tokenized(sample_data, tmp_path,
                                                  capsys):
    place = folder_of_frames(tmp_path / "frames", 2)
    Image.new("RGB", (64, 64)).save(place / "valid" / "9.png")
    out = tmp_path / "tokens.safetensors"
    assert command("tokenize", "bsq", place, out) == 2
    assert "add --resize" in capsys.readouterr().err and not out.exists()
    assert command("tokenize", "bsq", place, out, "--resize") == 0
    assert command("tokenize", "bsq", tmp_path / "nowhere", out) == 2
    assert command("tokenize", "symbols", place, out) == 2
    assert command("tokenize", "bsq", "--limit", 1, "--resize", place,
                   out) == 0  # flags may come first
    assert command("tokenize", "bsq", "--weights", "patches", place, out) == 2
    assert command("train", "bsq", "--stage", "tokenizer", "--weights",
                   "patches", "--out", tmp_path / "run") == 2
    assert "patches is no bsq" in capsys.readouterr().err


# ------------------------------------------------------- what ships with it

def test_changing_a_token_changes_no_earlier_logits():
    model = pl.load("bsq", "cpu")
    tokens = torch.randint(1024, (1, 600))
    labels = torch.zeros(1, dtype=torch.int64)
    with torch.no_grad():
        before = model.prior(tokens, labels)
        for place in (0, 29, 30, 317, 598):
            changed = tokens.clone()
            changed[0, place] = (changed[0, place] + 1) % 1024
            after = model.prior(changed, labels)
            assert torch.equal(after[0, :place + 1], before[0, :place + 1])
            assert not torch.allclose(after[0, place + 1],
                                      before[0, place + 1])


def test_the_pack(sample_data):
    """Frames of tracks that no shipped model has seen."""
    model, frames = pl.load("bsq", "cpu"), pl.data.supertux("valid")
    assert model.distortion(frames).mean() < 0.006
    assert model.bits(frames).mean() < 0.75 * 600 * measures.entropy(
        model.tokenizer.encode(frames))


def test_the_public_frames(full_data):
    model = pl.load("bsq", "cpu")
    about, frames = model.provenance, pl.data.supertux("valid")
    assert about["valid_squared_error"] <= 0.0026
    assert model.distortion(frames).mean().item() == pytest.approx(
        about["valid_squared_error"], rel=1e-3)
    every = about["check"]["every"]
    assert about["valid_images"] == len(frames)
    assert model.bits(frames[::every][:8]).tolist() == pytest.approx(
        about["check"]["bits"][:8], rel=2e-3)


def test_samples_are_pictures_of_many_colours():
    """A prior whose targets are not shifted draws one flat colour."""
    drawn = pl.load("bsq", "cpu").sample(2, seed=1)
    assert drawn.shape == (2, 100, 150, 3)
    assert drawn.float().std() > 20
    assert not np.array_equal(drawn[0], drawn[1])
    assert math.prod(drawn.shape[1:]) == pl.load("bsq", "cpu").dimensions
