"""Digits as text, drawn under constraints, and chosen by a reranker."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as some
from PIL import Image

import pixellab as pl
from pixellab import classify
from pixellab.cli import main
from pixellab.model import ImageModel
from pixellab.tokenizers.symbols import Symbols

# the first three training images of MNIST, as a public project writes them
REFERENCE = {
    5: "5::::::::::::::::::::::::::::=Z::IyZ:Ayy::AyZ::AwZ:::r::::j::::r::::"
       "R::::H::::AZ:::=j::::r::::v::::r:::Ar:::Yj::;y:::=v:::Yj::;yZ::;v:::"
       ":::::::::::::::)",
    0: "0:::::::::::::::::::::::j:::=r:::Ar:::Iv:::Yx:::yp::;w`::;rA::=jA::A"
       ":A::H:A::H:A::V:A::V:@::V:H::R:R::R;j::V=j::Yy:::Yv:::Ir:::=Z:::::::"
       ":::::::::::::::)",
    4: "4:::::::::::::::::::::::::::::::::=::::=:;::<:=::@:=::@:=::H:=::H:=:"
       ":F:=::v:=:Yv:=yvR:;x:R::::R::::r::::r::::r::::r::::r::::r::::R::::R:"
       ":::::::::::::::)"}
TOKENIZER = Symbols()


def tokens_of(line):
    """The tokens (150,) in a text of 152 characters."""
    assert len(line) == 152
    return torch.tensor([ord(symbol) - 58 for symbol in line[1:-1]])


class RandomPrior(torch.nn.Module):
    """Logits that know nothing: whatever can be drawn, it draws."""

    num_classes, vocabulary = 10, 64

    def __init__(self, seed=0, spread=5.0):
        super().__init__()
        self.spread = torch.nn.Parameter(torch.tensor(spread))
        self.generator = torch.Generator().manual_seed(seed)

    def start(self, labels):
        return len(labels)

    def step(self, count, token=None):
        return self.spread * torch.randn(count, 64, generator=self.generator)


# ------------------------------------------------------------ tokenizer

@pytest.mark.parametrize("label", REFERENCE)
def test_the_reference_is_met(sample_data, label):
    images, labels = pl.data.mnist("train")
    first = images[labels == label][:1]
    text = TOKENIZER.to_text(TOKENIZER.encode(first)[0], label)
    assert text == REFERENCE[label]


@pytest.mark.parametrize("line", REFERENCE.values())
def test_reference_lines_come_back(line):
    images = TOKENIZER.decode(tokens_of(line)[None])
    assert images.shape == (1, 30, 30)
    again = TOKENIZER.encode(images)[0]
    assert TOKENIZER.to_text(again, int(line[0])) == line


@given(some.integers(0, 2**32 - 1), some.integers(0, 9))
def test_any_tokens_are_a_picture_and_a_text(seed, label):
    tokens = torch.randint(64, (1, 150), generator=torch.Generator()
                           .manual_seed(seed))
    images = TOKENIZER.decode(tokens)
    assert set(images.unique().tolist()) <= {0, 255}
    assert torch.equal(TOKENIZER.encode(images), tokens)
    line = TOKENIZER.to_text(tokens[0], label)
    assert len(line) == 152 and line.isprintable()
    assert torch.equal(tokens_of(line), tokens[0]) and line[0] == str(label)


@given(some.integers(0, 2**32 - 1), some.integers(0, 9))
def test_a_text_is_read_back(seed, label):
    tokens = torch.randint(64, (150,), generator=torch.Generator()
                           .manual_seed(seed))
    line = TOKENIZER.to_text(tokens, label)
    for ending in ("", "\n", "\r\n"):
        again, same = TOKENIZER.from_text(line + ending)
        assert torch.equal(again, tokens) and same == label


@pytest.mark.parametrize("label", [None, 10, -1, "5", 2.5])
def test_only_a_digit_begins_a_line(label):
    with pytest.raises(ValueError, match="begins with a digit from 0 to 9"):
        TOKENIZER.to_text(torch.zeros(150, dtype=torch.int64), label)


WHOLE = "3" + ":" * 150 + ")"


@pytest.mark.parametrize("line, message", [
    ("", "position 0 is missing; it must be '0' to '9'"),
    ("x" + WHOLE[1:], "position 0 is 'x'"), (WHOLE[1:], "position 0 is ':'"),
    (WHOLE[:9] + "9" + WHOLE[10:], "position 9 is '9'; it must be ':' to 'y'"),
    (WHOLE[:9] + "z" + WHOLE[10:], "position 9 is 'z'"),
    (WHOLE[:-1], r"position 151 is missing; it must be '\)'"),
    (WHOLE[:80], "position 80 is missing"),
    (WHOLE[:-1] + ":)", "position 151 is ':'"),
    (WHOLE + " ", "153 characters; a digit has 152"),
    (WHOLE + WHOLE, "304 characters")])
def test_what_is_no_digit_is_told_with_its_place(line, message):
    with pytest.raises(ValueError, match=message):
        TOKENIZER.from_text(line)


def test_files_of_lines_go_both_ways(tmp_path):
    path = tmp_path / "three.txt"
    path.write_text("".join(line + "\n" for line in REFERENCE.values()))
    tokens, labels = TOKENIZER.read(path)
    assert labels.tolist() == [int(line[0]) for line in REFERENCE.values()]
    TOKENIZER.write(tmp_path / "again.txt", tokens, labels)
    assert (tmp_path / "again.txt").read_bytes() == path.read_bytes()
    path.write_text(WHOLE + "\n" + WHOLE[:-1] + "\n")
    with pytest.raises(ValueError, match="three.txt, line 2: position 151"):
        TOKENIZER.read(path)
    path.write_text("")
    with pytest.raises(ValueError, match="is empty: a digit is a line"):
        TOKENIZER.read(path)
    path.write_bytes(WHOLE.replace(":", "é").encode())
    with pytest.raises(ValueError, match="line 1: position 1 is"):
        TOKENIZER.read(path)


def test_text_goes_both_ways_on_the_command_line(sample_data, tmp_path,
                                                 capsys):
    text = tmp_path / "digits.txt"
    assert main(["tokenize", "symbols", str(text), "--limit", "4"]) == 0
    assert main(["detokenize", "symbols", str(text), "--out",
                 str(tmp_path / "out")]) == 0
    tokens, labels = TOKENIZER.read(text)
    for line, (one, label) in enumerate(zip(tokens, labels.tolist(),
                                            strict=True), start=1):
        picture = Image.open(tmp_path / "out" / f"digits_{line}_{label}.png")
        assert np.array_equal(picture, TOKENIZER.decode(one[None])[0])
    assert main(["detokenize", "symbols", str(text), "--out",
                 str(tmp_path / "out")]) == 2  # nothing is overwritten
    assert "is taken" in capsys.readouterr().err
    assert main(["detokenize", "gpt", str(text)]) == 2
    assert main(["detokenize", "symbols", str(tmp_path / "no.txt")]) == 2


def test_samples_as_text(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["sample", "symbols", "--targets", "3,7", "--count", "1",
                 "--as-text", "--seed", "5"]) == 0
    lines = capsys.readouterr().out.splitlines()
    drawn = pl.load("symbols").sample(labels=[3, 7], seed=5)
    for line, image, label in zip(lines, drawn, (3, 7), strict=True):
        tokens, found = TOKENIZER.from_text(line)
        assert found == label
        assert torch.equal(TOKENIZER.decode(tokens[None])[0], image)
    assert not list(tmp_path.iterdir())
    for words in (["gpt", "--as-text"], ["symbols", "--as-text", "--gif"],
                  ["symbols", "--as-text", "--best-of", "8"],
                  ["symbols", "--as-text", "--out", "x"]):
        assert main(["sample", *words, "--count", "1"]) == 2


def test_bits_stand_where_numpy_puts_them():
    """Oracle: numpy packs eight bits; we pack six."""
    images = torch.randint(2, (3, 30, 30), dtype=torch.uint8) * 255
    six = (images.numpy() // 255).reshape(3, 150, 6)
    padded = np.pad(six, ((0, 0), (0, 0), (2, 0)))
    expected = np.packbits(padded, axis=2)[:, :, 0]
    assert np.array_equal(TOKENIZER.encode(images).numpy(), expected)


def test_small_digits_are_resized_as_pillow_does():
    image = torch.randint(256, (1, 28, 28), dtype=torch.uint8)
    large = Image.fromarray(image[0].numpy()).resize((30, 30), Image.BILINEAR)
    expected = np.round(np.array(large) / 255) * 255
    assert np.array_equal(
        TOKENIZER.decode(TOKENIZER.encode(image))[0].numpy(), expected)


def test_prefix_and_drawn_agree():
    for rows in range(31):
        drawn = TOKENIZER.drawn(5 * rows)
        assert drawn.sum() == 30 * rows and drawn[:rows].all()
    assert TOKENIZER.drawn(1)[0].tolist() == [True] * 6 + [False] * 24


@pytest.mark.parametrize("images", [
    torch.zeros(1, 29, 29, dtype=torch.uint8), torch.zeros(1, 30, 30),
    torch.zeros(0, 28, 28, dtype=torch.uint8)])
def test_bad_images(images):
    with pytest.raises(ValueError, match="images"):
        TOKENIZER.encode(images)


# ------------------------------------------------------------ text files

def test_a_data_set_is_a_text_file(tmp_path, capsys, sample_data):
    path = tmp_path / "digits.txt"
    assert main(["tokenize", "symbols", str(path), "--split", "valid",
                 "--limit", "30"]) == 0
    assert "30 digits" in capsys.readouterr().out
    images, labels = pl.data.mnist("valid")
    lines = path.read_text().splitlines()
    assert [int(line[0]) for line in lines] == labels[:30].tolist()
    assert torch.equal(torch.stack([tokens_of(line) for line in lines]),
                       TOKENIZER.encode(images[:30]))


@pytest.mark.parametrize("place, words", [
    (".", "a new file"), ("taken/x.txt", "taken")])
def test_a_bad_place_is_told_at_once(tmp_path, capsys, sample_data,
                                     monkeypatch, place, words):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "taken").write_text("a file, not a folder")
    assert main(["tokenize", "symbols", place]) == 2
    error = capsys.readouterr().err
    assert words in error and error.count("\n") == 1


# ----------------------------------------- drawing under the constraint

@settings(max_examples=20, deadline=None)
@given(some.integers(0, 10**6), some.sampled_from([0.0, 0.8, 1.0, 3.0]),
       some.sampled_from([None, 0.5]))
def test_whatever_the_logits_a_text_is_drawn(seed, temperature, top_p):
    model = ImageModel(TOKENIZER, RandomPrior(seed))
    for tokens in model.stream(labels=[3, 7], seed=seed, top_p=top_p,
                               temperature=temperature):
        pass
    for one, label in zip(tokens, (3, 7), strict=True):
        line = TOKENIZER.to_text(one, label)
        assert line[0] == str(label) and line[-1] == ")"
        assert all(":" <= symbol <= "y" for symbol in line[1:-1])
        assert torch.equal(tokens_of(line), one)


# --------------------------------------------------------- the reranker

@pytest.fixture(scope="module")
def symbols():
    return pl.load("symbols", "cpu")


def test_rerank_is_a_sort(symbols):
    """Oracle: the definition, digit by digit."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(2, (20, 30, 30), dtype=torch.uint8,
                           generator=generator) * 255
    logits = classify.reader("reranker").logits(images).double()
    scores = [(row / 0.8).exp()[3] / (row / 0.8).exp().sum()
              for row in logits]
    expected = sorted(range(20), key=lambda i: -scores[i])[:5]
    best, kept = classify.rerank(images, 3, 5)
    assert torch.equal(best, images[expected])
    assert kept.tolist() == pytest.approx([scores[i].item() for i in expected],
                                          rel=1e-4)


def test_best_of_draws_one_pool_a_class(symbols):
    best = symbols.sample(labels=[3, 7, 3], best_of=6, temperature=0.8)
    for label, images in ((3, best[[0, 2]]), (7, best[[1]])):
        alone = symbols.sample(labels=[label] * len(images), best_of=6,
                               temperature=0.8)
        assert torch.equal(images, alone)
        assert torch.equal(classify.rerank(images, label, len(images))[0],
                           images)  # best first
    pool = symbols.sample(labels=[3] * 6, best_of=6, temperature=0.8)
    assert torch.equal(pool[:2], best[[0, 2]])  # all six, the same two first


@pytest.mark.parametrize("labels, best_of, words", [
    ([3] * 9, 8, "use 9 to"), (None, 8, "label"),
    ([None], 8, "label"), ([3, 10], 8, "label 10"), ([3.7], 8, "label 3.7"),
    ([3], 0, "best_of is 0"), ([3], 2.5, "best_of is 2.5"),
    ([3], "8", "best_of is '8'"), ([3], float("nan"), "nan"),
    ([], 8, "label"), ([3], 20_000, "10,000")])
def test_best_of_refuses(symbols, labels, best_of, words):
    with pytest.raises(ValueError, match=words):
        symbols.sample(labels=labels, best_of=best_of)


def test_best_of_takes_what_holds_integers(symbols):
    expected = symbols.sample(labels=[3, 3], best_of=4)
    for labels in (torch.tensor([3, 3]), np.array([3, 3])):
        for best_of in (np.int64(4), 4.0):
            assert torch.equal(expected, symbols.sample(
                labels=labels, best_of=best_of))
    with pytest.raises(ValueError, match="2 labels for 7"):
        symbols.sample(n=7, labels=[3, 3], best_of=4)


@pytest.mark.parametrize("label, keep, words", [
    (3, 0, "keep is 0"), (3, 5, "keep is 5"), (10, 1, "label 10;"),
    (3, 2.5, "keep is 2.5"),
    (None, 1, "label None;")])
def test_rerank_refuses(symbols, label, keep, words):
    with pytest.raises(ValueError, match=words):
        classify.rerank(torch.zeros(4, 30, 30, dtype=torch.uint8), label, keep)


# ----------------------------------------------------- the command line

def test_the_best_as_pictures(capsys, tmp_path):
    code = main(["sample", "symbols", "--targets", "3", "--best-of", "4",
                 "--keep", "2", "--out", str(tmp_path), "--device", "cpu"])
    assert code == 0 and "2 images" in capsys.readouterr().out
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "symbols_3_0.png", "symbols_3_1.png"]


@pytest.mark.parametrize("name, words, message", [
    ("symbols", ["--keep", "3"], "--keep says how many of --best-of"),
    ("symbols", ["--best-of", "4", "--keep", "5"], "--keep 5 of --best-of 4"),
    ("symbols", ["--best-of", "9", "--targets", "11"], "label 11"),
    ("symbols", ["--best-of", "9", "--temperature", "nan"], "temperature"),
    ("symbols", ["--best-of", "4", "--count", "5"], "--count is not"),
    ("symbols", ["--best-of", "4", "--gif"], "--gif"),
    ("judge", [], "holds no"),
    ("pixelcnn-binary", ["--best-of", "9"], "chooses by class")])
def test_options_that_cannot_be_joined(capsys, tmp_path, name, words,
                                       message):
    code = main(["sample", name, *words, "--out", str(tmp_path / "out"),
                 "--device", "cpu"])
    _, error = capsys.readouterr()
    assert code == 2 and message in error and error.count("\n") == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("side", [28, 30])
def test_complete_takes_both_sizes(capsys, tmp_path, side):
    picture = tmp_path / "digit.png"
    Image.fromarray(np.full((side, side), 255, np.uint8)).save(picture)
    code = main(["complete", "symbols", str(picture), "--rows", "28",
                 "--count", "1", "--out", str(tmp_path), "--device", "cpu"])
    assert code == 0
    done = np.array(Image.open(tmp_path / "digit_0.png"))
    assert done.shape == (30, 30) and (done[:28] == 255).all()
