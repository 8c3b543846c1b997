"""Chapter 1: its range coder against constriction, its models by hand."""

import ast
from fractions import Fraction
from pathlib import Path

import constriction
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

CHAPTER = Path(__file__).parent.parent / "chapters" / "01_bits.py"
KEEP = (ast.FunctionDef, ast.ClassDef, ast.Import, ast.ImportFrom)
CONSTANTS = {"TOTAL", "TOP", "FINE", "COARSE", "W"}


@pytest.fixture(scope="module")
def chapter():
    """Functions, classes and constants of the chapter; nothing is run."""
    def wanted(node):
        if isinstance(node, ast.Assign):
            first = node.targets[0]
            name = first.elts[0] if isinstance(first, ast.Tuple) else first
            return isinstance(name, ast.Name) and name.id in CONSTANTS
        return isinstance(node, KEEP)

    tree = ast.parse(CHAPTER.read_text())
    tree.body = [node for node in tree.body if wanted(node)]
    names = {"np": np}
    exec(compile(tree, CHAPTER.name, "exec"), names)
    return names


TOTAL = 2**24


def encode(chapter, tables, symbols):
    encoder = chapter["RangeEncoder"]()
    for starts, symbol in zip(tables, symbols, strict=True):
        encoder.put(starts[symbol], starts[symbol + 1] - starts[symbol])
    return encoder.finish()


def decode(chapter, tables, data):
    decoder = chapter["RangeDecoder"](data)
    return [decoder.get(starts) for starts in tables]


def ideal_bits(tables, symbols):
    return sum(-np.log2((t[s + 1] - t[s]) / TOTAL)
               for t, s in zip(tables, symbols, strict=True))


def table(sizes):
    return [0, *np.cumsum(sizes).tolist()]


@st.composite
def messages(draw):
    """Tables of integer frequencies, extreme ones too, and symbols."""
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    tables, symbols = [], []
    levels = draw(st.sampled_from([2, 3, 10, 256, 1024]))
    kind = draw(st.sampled_from(["even", "peaked", "extreme", "zipf"]))
    pick = draw(st.sampled_from(["likely", "any", "last"]))
    for _ in range(draw(st.integers(0, 300))):
        weights = {"even": np.ones(levels),
                   "peaked": random.dirichlet(np.full(levels, 0.05)),
                   "extreme": np.eye(levels)[random.integers(levels)],
                   "zipf": random.permutation(1 / np.arange(1, levels + 1))
                   }[kind]
        weights = weights / weights.sum()
        sizes = 1 + np.floor(weights * (TOTAL - levels)).astype(np.int64)
        sizes[sizes.argmax()] += TOTAL - sizes.sum()
        tables.append(table(sizes))
        symbols.append(int({
            "likely": lambda p: random.choice(levels, p=p / p.sum()),
            "any": lambda p: random.integers(levels),
            "last": lambda p: levels - 1}[pick](sizes.astype(float))))
    return tables, symbols


@settings(max_examples=60, deadline=None)
@given(message=messages())
def test_coder_returns_the_symbols_and_wastes_at_most_a_byte(
        chapter, message):
    tables, symbols = message
    data = encode(chapter, tables, symbols)
    assert decode(chapter, tables, data) == symbols
    ideal = ideal_bits(tables, symbols) / 8
    rounding = len(symbols) * 2**-16 * 1.5 / 8
    assert -1e-6 <= len(data) - ideal <= 1 + rounding


@settings(max_examples=60, deadline=None)
@given(message=messages())
def test_coder_against_constriction(chapter, message):
    """The same integer frequencies: same symbols, size within 8 bytes."""
    tables, symbols = message
    encoder = constriction.stream.queue.RangeEncoder()
    models = [constriction.stream.model.Categorical(
        np.diff(starts) / TOTAL, perfect=True) for starts in tables]
    for model, symbol in zip(models, symbols, strict=True):
        encoder.encode(symbol, model)
    words = encoder.get_compressed()
    decoder = constriction.stream.queue.RangeDecoder(words)
    theirs = [int(decoder.decode(model)) for model in models]
    data = encode(chapter, tables, symbols)
    assert theirs == decode(chapter, tables, data) == symbols
    assert -8 <= len(data) - 4 * len(words) <= 1


def test_carry_runs_through_many_bytes(chapter):
    """Hug a byte boundary from below for 200 steps, then step over it."""
    for last in (0, 1, 2):
        encoder, tables, symbols = chapter["RangeEncoder"](), [], []
        point, low, width = Fraction(1, 2), Fraction(0), Fraction(1)
        for _ in range(200):
            place = int((point - low) / width * TOTAL)
            place = min(max(place, 2), TOTAL - 2)  # the middle part has it
            tables.append([0, place - 1, place + 1, TOTAL])
            symbols.append(1)
            low += width * Fraction(place - 1, TOTAL)
            width *= Fraction(2, TOTAL)
        tables.append([0, 1, TOTAL - 1, TOTAL])
        symbols.append(last)
        for starts, symbol in zip(tables, symbols, strict=True):
            encoder.put(starts[symbol], starts[symbol + 1] - starts[symbol])
        assert decode(chapter, tables, encoder.finish()) == symbols
    out = bytearray([7] + [255] * 1000)
    chapter["carry_one"](out)
    assert out == bytearray([8] + [0] * 1000)


def test_carry_really_happens(chapter):
    """The rare path is walked: symbols chosen so that low spills over."""
    carries = []

    class Watched(chapter["RangeEncoder"]):
        def raise_low(self, amount):
            if self.low + amount >= chapter["TOP"]:
                carries.append(len(self.out))
            super().raise_low(amount)

    random = np.random.default_rng(0)
    tables, symbols, encoder = [], [], Watched()
    for _ in range(3000):
        cuts = np.sort(random.choice(TOTAL - 1, 3, replace=False) + 1)
        starts = [0, *cuts.tolist(), TOTAL]
        # as long as the window may spill over, stay below it or step over
        spill = encoder.low + encoder.width > chapter["TOP"]
        symbol = 3 if spill and random.random() < 0.7 else int(
            random.integers(4))
        encoder.put(starts[symbol], starts[symbol + 1] - starts[symbol])
        tables.append(starts)
        symbols.append(symbol)
    assert decode(chapter, tables, encoder.finish()) == symbols
    assert len(carries) > 10


@pytest.mark.parametrize("cut", [0, 1, 5, 40])
def test_damaged_bytes_never_crash_the_decoder(chapter, cut):
    """It cannot notice damage, but it must not fall over either."""
    random = np.random.default_rng(cut)
    tables = [table(random.multinomial(TOTAL - 50, np.ones(50) / 50) + 1)
              for _ in range(300)]
    data = bytes(random.integers(0, 256, cut, dtype=np.uint8))
    symbols = decode(chapter, tables, data)
    assert all(0 <= symbol < 50 for symbol in symbols)
    assert all(0 <= s < 50 for s in decode(chapter, tables, b"\xff" * 90))


def test_starts_of_gives_every_value_a_part(chapter):
    random = np.random.default_rng(0)
    p = random.dirichlet(np.full(256, 0.01), size=(4, 7))  # many near zero
    p[0, 0] = np.eye(256)[3]
    starts = chapter["starts_of"](p)
    sizes = np.diff(starts)
    assert starts.shape == (4, 7, 257) and (sizes >= 1).all()
    assert (starts[..., 0] == 0).all() and (starts[..., -1] == TOTAL).all()
    assert np.abs(sizes / TOTAL - p).max() < 257 / TOTAL


def test_neighbours_number_the_pixels_they_name(chapter):
    """Against a loop over pixels; outside the image is black."""
    random = np.random.default_rng(0)
    image = random.integers(0, 256, (1, 28, 28), dtype=np.uint8)
    cuts = {chapter["W"]: chapter["FINE"], chapter["NE"]: chapter["COARSE"],
            chapter["NN"]: chapter["COARSE"]}
    number, size = chapter["neighbours"](cuts)(image)
    assert size == 8 * 4 * 4 and number.shape == (1, 784)
    for row in range(28):
        for column in range(28):
            expected = 0
            for (up, left), edges in cuts.items():
                y, x = row - up, column - left
                inside = 0 <= y and 0 <= x < 28
                grey = image[0, y, x] if inside else 0
                expected = expected * (len(edges) + 1) + int(
                    (edges <= grey).sum())
            assert number[0, row * 28 + column] == expected


def test_counting_model_by_hand(chapter):
    """Two pictures of a toy: the formula, number by number."""
    images = np.zeros((3, 28, 28), np.uint8)
    images[0, 0, 0] = 255
    model = chapter["CountingModel"]([chapter["position"]], levels=2,
                                     strength=2).fit(images)
    p = chapter["beliefs"](model, images[:1])
    assert p.shape == (1, 784, 2)
    assert np.allclose(p[0, 0], [(2 + 2 / 2) / 5, (1 + 2 / 2) / 5])
    assert np.allclose(p[0, 1], [(3 + 2 / 2) / 5, (0 + 2 / 2) / 5])
    bits = chapter["bits"](model, images)
    assert np.allclose(bits[0, 0], -np.log2(2 / 5))
    assert np.allclose(bits[1, 0], -np.log2(3 / 5))
    # counting in two parts is counting at once
    twice = chapter["CountingModel"]([chapter["position"]], levels=2,
                                     strength=2).fit(images[:1])
    twice.fit(images[1:])
    assert (twice.tables[0] == model.tables[0]).all()


def test_compressed_images_come_back(chapter):
    """Any image, noise too, not only digits; and an empty list."""
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (3, 28, 28), dtype=np.uint8)
    images[1], images[2, 5:] = 0, 253
    six = chapter["neighbours"]({chapter["W"]: chapter["FINE"],
                                 chapter["N"]: chapter["FINE"]})
    model = chapter["CountingModel"]([chapter["position"], six]).fit(images)
    data = chapter["compress"](model, images)
    again = chapter["decompress"](model, data, 3)
    assert (again == images).all()
    ideal = chapter["bits"](model, images).sum() / 8
    assert abs(len(data) - ideal) < 1.5
    assert len(chapter["compress"](model, images[:0])) == 1
