"""The self-checks accept what is right and name what is wrong."""

import inspect
import math
from pathlib import Path

import jupytext
import pytest
import torch
import torch.nn.functional as F

import pixelcheck

MASTERS = Path(__file__).resolve().parent.parent / "chapters" / "assignments"


def solutions():
    """The source of each function that a solution defines, by name."""
    return {part.split("(")[0].removeprefix("def "): part
            for path in sorted(MASTERS.glob("*.py"))
            for cell in jupytext.read(path).cells
            if cell.cell_type == "code" and "# BEGIN SOLUTION" in cell.source
            for part in cell.source.split("\n\n\n")}


SOURCES = solutions()
RIGHT = {"math": math, "torch": torch, "F": F}
for source in SOURCES.values():
    exec(source, RIGHT)

# Each check, and the names of the answers that it takes.
CHECKS = {
    "mask": ["mask"], "masked_convolution": ["masked_convolution"],
    "causal": ["is_causal"], "reach": ["rows_above"],
    "bits_per_dimension": ["bits_per_dimension"],
    "shift": ["inputs_and_targets"], "attention": ["attention"],
    "cache": ["step"], "bits_of_rest": ["bits_of_rest"],
    "temperature": ["with_temperature"], "top_k": ["keep_top_k"],
    "top_p": ["keep_top_p"], "draw": ["draw"], "symbols": ["pack", "unpack"],
    "best": ["best_of"], "patches": ["cut", "paste"], "lloyd": ["lloyd_step"],
    "use": ["use_of"], "decibels": ["psnr"], "frontier": ["on_the_curve"],
    "codes": ["to_integers", "to_corners"],
    "straight_through": ["straight_through"], "frequencies": ["frequencies"],
    "coder": ["encode", "decode"], "ideal": ["ideal_bits"]}

each_check = pytest.mark.parametrize("name", CHECKS)


def test_every_check_is_tested():
    public = {name for name, thing in vars(pixelcheck).items()
              if hasattr(thing, "__wrapped__")}
    assert public == set(CHECKS)


@each_check
def test_the_solution_is_right(name, capsys):
    answers = [RIGHT[answer] for answer in CHECKS[name]]
    assert getattr(pixelcheck, name)(*answers) is True
    out = capsys.readouterr().out
    assert out.startswith("right: ") and out.count("\n") == 1


def unfinished(*arguments):
    ...


def failing(*arguments):
    raise RuntimeError("no luck\nat all")


@each_check
@pytest.mark.parametrize("answer, hint", [
    (unfinished, "unfinished returns nothing yet"),
    (..., "this is not a function yet: fill in the dots and run the cell"),
    (failing, "failing stops with RuntimeError: no luck"),
    (lambda *arguments: "text", ""),
    (lambda *arguments: [], ""),
    (lambda *arguments: torch.zeros(()), ""),
    (lambda *arguments: torch.full((1, 2), math.nan), ""),
    (lambda: None, "stops with TypeError"),
])
def test_what_is_no_answer_is_told_in_a_line(name, answer, hint, capsys):
    assert getattr(pixelcheck, name)(*[answer] * len(CHECKS[name])) is False
    out = capsys.readouterr().out
    assert out.startswith("not yet: ") and out.count("\n") == 1
    assert hint in out


def changed(name, old, new):
    """A solution with a line replaced."""
    assert old in SOURCES[name], (name, old)
    names = dict(RIGHT)
    exec(SOURCES[name].replace(old, new), names)
    return names[name]


def in_place(image, weight, mask):
    weight *= mask
    return F.conv2d(image, weight, padding=(1, 2))


def by_gradient(network, height, width):
    image = torch.randn(1, 1, height, width).double().requires_grad_()
    output = network(image).flatten()
    for place in range(len(output)):
        if output.requires_grad:
            gradient = torch.autograd.grad(output[place], image,
                                           retain_graph=True)[0].flatten()
            if gradient[place:].any():
                return False
    return True


def spoiling(probs, p):
    found = RIGHT["keep_top_p"](probs, p)
    probs.zero_()
    return found


def in_one_list(cache, q, k, v, window):
    keys, values = cache or ([], [])
    keys.append(k)
    values.append(v)
    keys, values = keys[-window:], values[-window:]
    scores = (torch.stack(keys, 1) @ q[:, :, None])[..., 0] / 2
    return (scores.softmax(1)[:, None] @ torch.stack(values, 1))[:, 0], (
        keys, values)


def hoarding(cache, q, k, v, window):
    output, (keys, values) = RIGHT["step"](cache, q, k, v, window)
    if cache is not None:
        keys = torch.cat([cache[0], k[:, None]], dim=1)
        values = torch.cat([cache[1], v[:, None]], dim=1)
    return output, (keys, values)


def count_of_row_0(probs, p):
    count = (RIGHT["keep_top_p"](probs[:1], p) > 0).sum().item()
    return RIGHT["keep_top_k"](probs, count)


def must_answer(network, height, width):
    answer = network(torch.randn(1, 1, height, width).double())
    return bool(answer.std() > 0 and RIGHT["is_causal"](network, height,
                                                        width))


def of_table_0(function):
    return lambda first, tables: function(first, tables[:1] * len(tables))


LINE = "seen[rows // 2, :columns // 2] = 1"
KEEP = "before = ranked.cumsum(dim=1) - ranked"
MOVED = "moved = centres.clone()"
WRONG = [
    ("mask", changed("mask", LINE, LINE.replace(
        "columns // 2]", "columns // 2 + 1]")),
     "your mask lets pixel 12 see pixel 12 (5 x 5 pixels, numbered from 0)"),
    ("mask", changed("mask", "[:rows // 2] = 1", "[:rows // 2 + 1] = 1"),
     "lets pixel 12 see pixel 12"),
    ("mask", changed("mask", LINE, LINE.replace("] = 1", " - 1] = 1")),
     "hides pixel 11 from pixel 12"),
    ("mask", changed("mask", 'kind == "B"', "False"),
     "your mask hides pixel 12 from pixel 12"),
    ("masked_convolution", in_place, "have changed"),
    ("masked_convolution", changed("masked_convolution", "weight * mask",
                                   "weight"), "without a mask"),
    ("masked_convolution", changed("masked_convolution", "weight * mask",
                                   "weight * (1 - mask)"),
     "where the mask is 1"),
    ("masked_convolution", changed(
        "masked_convolution", ", padding=(rows // 2, columns // 2)", ""),
     "shape (2, 4, 4, 3) comes back; (2, 4, 6, 7) is wanted"),
    ("causal", by_gradient, "that looks, but rounds what it sees: you "
     "answer True, not False"),
    ("causal", changed("is_causal", "place + 1", "place"),
     "that copies the pixel to be guessed: you answer True"),
    ("causal", must_answer, "that always answers 1: you answer False"),
    ("causal", changed("is_causal", "[:place + 1]", "[place:place + 1]"),
     "that shows pixel 7 to pixel 4: you answer True"),
    ("causal", changed("is_causal", "[:place + 1]",
                       "[place // width * width:place + 1]"),
     "that looks one row ahead: you answer True"),
    ("causal", changed("is_causal", "range(height * width)",
                       "(0, height * width // 2, height * width - 1)"),
     "that shows pixel 7 to pixel 4: you answer True"),
    ("causal", lambda *given: False, "the pixel before: you answer False"),
    ("causal", lambda *given: 1, "you answer 1, not True"),
    ("reach", changed("rows_above", "size // 2 * dilation", "size // 2"),
     "dilations [1, 4]: yours are [3], not [6]"),
    ("reach", changed("rows_above", "size // 2", "(size - 1)"),
     "sizes [3], dilations [1]: yours are [2], not [1]"),
    ("reach", changed("rows_above", "sum(", "max("),
     "dilations [1, 1, 1]: yours are [1], not [3]"),
    ("bits_per_dimension", lambda logits, tokens:
     torch.full((len(tokens),), math.log2(logits.shape[2])),
     "yours are [2.0, 2.0], not [2.181, 2.872]"),
    ("bits_per_dimension", changed("bits_per_dimension", " / math.log(2)",
                                   ""), "these are nats"),
    ("bits_per_dimension", changed("bits_per_dimension", ".mean(", ".sum("),
     "the sum over an image"),
    ("bits_per_dimension", changed("bits_per_dimension", "return -",
                                   "return "),
     "yours are [-2.181, -2.872], not [2.181"),
    ("bits_per_dimension", changed("bits_per_dimension", "mean(dim=1)",
                                   "mean()"), "of shape () comes back"),
    ("shift", lambda tokens, start: (tokens, tokens),
     "your targets are the inputs: the network is asked for what it has just "
     "read"),
    ("shift", lambda tokens, start: (tokens, tokens.roll(-1, 1)),
     "targets for 5, 6, 7 and 8, 9, 4: yours are [6, 7, 5, 9, 4, 8], not"),
    ("shift", lambda tokens, start: (tokens.roll(1, 1), tokens),
     "starts 1 and 2: yours are [7, 5, 6, 4, 8, 9], not [1, 5, 6, 2"),
    ("shift", lambda tokens, start: tokens[:, :, None], "of shape"),
    ("shift", lambda tokens, start: (torch.cat(
        [start[:, None], tokens[:, 1:]], dim=1), tokens),
     "yours are [1, 6, 7, 2, 9, 4], not"),
    ("attention", changed("attention", "(back < 0) | ", ""),
     "places see the future"),
    ("attention", changed("attention", " | (back >= window)", ""),
     "mind the window"),
    ("attention", changed("attention", "back >= window", "back > window"),
     "a place sees four"),
    ("attention", changed("attention", " / math.sqrt(q.shape[-1])", ""),
     "by the root of C"),
    ("attention", changed("attention", "math.sqrt(q.shape[-1])",
                          "q.shape[-1]"),
     "attention: the shape is right, the numbers are not"),
    ("attention", changed("attention", "back >= window",
                          "back >= max(1, window - 1)"),
     "the numbers are not"),
    ("attention", changed("attention", "(back < 0) | (back >= window)",
                          "back > 99"), "the numbers are not"),
    ("attention", lambda q, k, v, window: k, "the numbers are not"),
    ("cache", hoarding, "pairs that no place will look at again"),
    ("attention", changed("attention", "dim=-1", "dim=-2"),
     "the numbers are not"),
    ("cache", in_one_list,
     "step 5, counted from 0, from a cache that was used "
     "before: yours are"),
    ("cache", changed("step", "[:, -window:]", ""),
     "step 3, counted from 0: yours are"),
    ("cache", changed("step", "return output, (keys, values)",
                      "return output"),
     "step 0, counted from 0: a tensor of shape (4,)"),
    ("bits_of_rest", changed("bits_of_rest", " / math.log(2)", ""),
     "these are nats"),
    ("bits_of_rest", changed("bits_of_rest", "[:, known:]", ""),
     "what is known costs nothing"),
    ("bits_of_rest", changed("bits_of_rest", "[:, known:]", "[:, :known]"),
     "yours are [3.225, 3.513]"),
    ("bits_of_rest", changed("bits_of_rest", ".sum(", ".mean("),
     "yours are [2.466, 3.43]"),
    ("bits_of_rest", changed("bits_of_rest", "known:]", "known - 1:]"),
     "yours are [11.286"),
    ("temperature", changed("with_temperature", "logits / temp",
                            "logits * temp"), "does the opposite"),
    ("temperature", changed(
        "with_temperature", "(logits / temperature).softmax(dim=1)",
        "logits.softmax(dim=1) / temperature"), "temperature 0.5: yours are"),
    ("temperature", changed("with_temperature", "argmax", "argmin"),
     "temperature 0, everything on the likeliest: yours are"),
    ("temperature", changed("with_temperature", "(logits / temp",
                            "(logits.abs() / temp"),
     "temperature 0.5: yours are"),
    ("temperature", changed("with_temperature", ".softmax(dim=1)", ""),
     "temperature 0.5: yours are"),
    ("temperature", changed("with_temperature", "temperature == 0", "False"),
     "temperature 0, everything on the likeliest: yours are [nan"),
    ("top_k", changed("keep_top_k", "min(k, probs.shape[1])", "k"),
     "stops with RuntimeError"),
    ("top_k", changed("keep_top_k", " / kept.sum(dim=1, keepdim=True)", ""),
     "the rest does not add up to 1"),
    ("top_p", changed("keep_top_p", KEEP, KEEP.replace(" - ranked", "")),
     "with top_p 0.5 and probabilities [0.3, 0.6, 0.1] 0 tokens are left"),
    ("top_p", changed("keep_top_p", "before < p", "before <= p + 0.2"),
     "2 tokens are left, not 1"),
    ("top_p", spoiling, "have changed"),
    ("top_p", count_of_row_0, "with top_p 0.8 and probabilities [0.08, 0.04, "
     "0.88] 2 tokens are left, not 1"),
    ("lloyd", lambda points, centres: centres + 1, "centres: the shape"),
    ("top_p", changed("keep_top_p", "scatter(1, order, ranked)",
                      "copy_(ranked)"),
     "0.1]: yours are [1.0, 0.0, 0.0], not [0.0, 1.0, 0.0]"),
    ("draw", changed("draw", "edges <= numbers", "edges < numbers"),
     "0.5]] for [0.2]: yours are [0], not [1]"),
    ("draw", changed("draw", "(edges <= numbers).sum(dim=1)",
                     "(edges <= numbers).sum(dim=1) + 1"),
     "tokens of [[0.5, 0.5]] for [0.2]: yours are [1], not [0]"),
    ("draw", changed("draw", "(edges <= numbers).sum(dim=1)",
                     "(edges <= numbers).sum(dim=1) * 0"),
     "for [0.7]: yours are [0], not [1]"),
    ("draw", changed("draw", "edges <= numbers",
                     "(edges <= numbers) & (numbers > 0)"),
     "tokens of [[0, 1]] for [0]: yours are [0]"),
    ("draw", changed("draw", "<= numbers", "<= numbers + 1e-9"),
     "for [0.9999999999999999]: yours are [3]"),
    ("draw", changed("draw", "probs.cumsum(dim=1)",
                     "probs[:1].cumsum(dim=1)"),
     "for [0.3, 0.3]: yours are [0, 0], not"),
    ("symbols", (changed("pack", "count - 1, -1, -1", "count"),
                 RIGHT["unpack"]), "the leftmost pixel counts most"),
    ("symbols", (RIGHT["pack"], changed("unpack", "count - 1, -1, -1",
                                        "count")),
     "two levels, unpacked: yours are [0, 0, 1"),
    ("symbols", (changed("pack", "levels **", "2 **"),
                 changed("unpack", "levels **", "2 **")),
     "five levels, packed and unpacked: yours"),
    ("best", changed("best_of", ".log_softmax(dim=1)", ""),
     "surer that it is an 8"),
    ("best", lambda logits, label, keep: logits[:, label].argsort()[:keep],
     "a 3 most probably: yours are [2, 1]"),
    ("best", lambda *given: RIGHT["best_of"](*given).flip(0),
     "a 3 most probably: yours are [1, 3], not [3, 1]"),
    ("patches", (changed("cut", "grid.transpose(2, 3).reshape",
                         "grid.reshape"), RIGHT["paste"]),
     "from the upper left corner: the shape is right"),
    ("patches", (lambda *given: RIGHT["cut"](*given)[:, [0, 2, 1, 3]],
                 RIGHT["paste"]), "lies below the first"),
    ("patches", (RIGHT["cut"], changed(
        "paste", "grid.transpose(2, 3).reshape", "grid.reshape")),
     "cut, then paste: the shape is right"),
    ("lloyd", changed("lloyd_step", "if (nearest == k).any()", "if True"),
     "the mean of nothing is no number"),
    ("lloyd", changed("lloyd_step", MOVED,
                      "moved = torch.zeros_like(centres)"), "jumps to 0"),
    ("lloyd", changed("lloyd_step", ".square().sum(dim=2)", "[..., 0].abs()"),
     "centres: the shape is right"),
    ("use", changed("use_of", "log2", "log"), "the entropy is in nats"),
    ("use", changed("use_of", "counts[counts > 0]", "counts"),
     "the share of 8 that"),
    ("use", lambda tokens, size: (1, RIGHT["use_of"](tokens, size)[1]),
     "[5, 5, 5, 5] use: yours are [1.0], not [0.125]"),
    ("use", changed("use_of", "len(share) /", "(tokens.max() + 1) /"),
     "use: yours are [0.75]"),
    ("use", lambda tokens, size: (RIGHT["use_of"](tokens, size)[0], math.log2(
        len(tokens.unique()))),
     "the entropy of [0, 0, 1, 3]: yours are [1.585]"),
    ("decibels", lambda images, shown: 10 * math.log10(
        255 ** 2 / (images - shown).double().square().mean().item()),
     "is 246 in uint8"),
    ("decibels", changed("psnr", "255 ** 2", "1"), "the peak is not 1"),
    *(("decibels", changed("psnr", ".square()", f".clamp({end}=0).square()"),
       "a difference of 10: yours are [inf], not [28.131]")
      for end in ("min", "max")),
    ("decibels", changed("psnr", "math.inf if error == 0 else", ""),
     "stops with ZeroDivisionError"),
    ("frontier", changed("on_the_curve", "sorted(points)", "points"),
     "you keep [(2, 5)], not [(1, 9), (2, 5)]"),
    ("frontier", changed("on_the_curve", "error <", "error <="),
     "not [(1, 9), (3, 1)]"),
    ("frontier", sorted, "you keep [(1, 9), (2, 5), (2, 7)], not"),
    ("codes", (changed("to_integers", "torch.arange(u.shape[-1])",
                       "torch.arange(u.shape[-1]).flip(0)"),
               RIGHT["to_corners"]), "begin at the other end"),
    ("codes", (changed("to_integers", "u > 0", "u < 0"),
               RIGHT["to_corners"]),
     "- + -: yours are [6, 3, 4, 4], not [1, 4, 3, 2]"),
    ("codes", (changed("to_integers", "u > 0", "u >= 0"),
               RIGHT["to_corners"]), "0 is not above 0"),
    ("codes", (RIGHT["to_integers"], changed(
        "to_corners", "torch.arange(length)", "torch.arange(length).flip(0)")),
     "corners of 1, 4, 3, 2: yours are"),
    ("codes", (RIGHT["to_integers"], changed(
        "to_corners", " / length ** 0.5", "")), "what is their length?"),
    ("straight_through", lambda u: torch.where(u > 0, 0.5, -0.5),
     "no gradient comes back"),
    ("straight_through", lambda u: torch.where(u > 0, 0.5, -0.5) + 0 * u,
     "the gradient is zero"),
    ("straight_through", lambda u: u + (u.sign() / 2 - u).detach(),
     "a zero stays zero"),
    ("straight_through", changed("straight_through",
                                 " / u.shape[-1] ** 0.5", ""),
     "forwards: yours are [1.0, -1.0, -1.0"),
    ("straight_through", lambda u: u * 1, "forwards: yours are [0.6"),
    ("frequencies", lambda probs, total: (probs * total).round().long(),
     "what has 0 cannot be coded"),
    ("frequencies", lambda probs, total: (probs * total).ceil().long() + 1,
     "together"),
    ("frequencies", lambda probs, total: probs * total, "int64"),
    *(("frequencies", lambda probs, total, other=other: RIGHT["frequencies"](
        probs, other(total)), f"together {together}")
      for other, together in (
          (lambda total: max(total, 100), 100),
          (lambda total: min(total, 2 ** 16), 2 ** 16),
          (lambda total: 2 ** round(math.log2(total)), 1024))),
    ("frequencies", lambda probs, total: RIGHT["frequencies"](
        torch.full_like(probs, 1 / len(probs)), total), "too far from"),
    ("coder", (RIGHT["encode"], changed("decode", ">=", ">")),
     "1 symbols, coded and decoded: yours are [0], not [1]"),
    ("coder", (lambda *given: RIGHT["encode"](*given) + bytes(3),
               RIGHT["decode"]),
     "4 bytes for 0.4 bits: more than two too many"),
    ("coder", (lambda symbols, tables: symbols, RIGHT["decode"]),
     "bytes are wanted"),
    ("coder", (lambda symbols, tables: bytes(symbols),
               lambda data, tables: list(data)), "40 bytes for 11.5 bits"),
    ("coder", (of_table_0(RIGHT["encode"]), of_table_0(RIGHT["decode"])),
     "40 bytes for 293"),
    ("coder", (RIGHT["encode"], lambda data, tables:
               RIGHT["decode"](data, tables) + [0]),
     "a tensor of shape (2,) comes back"),
    ("ideal", changed("ideal_bits", "log2", "log"),
     "together: yours are [4.159], not [6.0]"),
]


@pytest.mark.parametrize("number", range(len(WRONG)), ids=[
    f"{name}-{hint[:24]}" for name, _, hint in WRONG])
def test_a_mistake_is_named(number, capsys):
    name, answers, hint = WRONG[number]
    answers = answers if isinstance(answers, tuple) else (answers,)
    assert getattr(pixelcheck, name)(*answers) is False
    out = capsys.readouterr().out
    assert hint in out and out.count("\n") == 1


def spoilt(answer):
    """Like this answer, but wrong."""
    if isinstance(answer, bool):
        return not answer
    if isinstance(answer, list):
        return answer[:-1]
    if isinstance(answer, bytes):
        return answer + bytes(9)
    return 0.0 if answer is math.inf else answer + 1


def once_spoilt(names, turn, part):
    """The right answers, but call number `turn` of them is answered wrong.

    Of a pair only its first or its second part is. The list counts the calls.
    """
    calls = []

    def wrap(function):
        def answer(*given):
            calls.append(function)
            found = function(*given)
            if len(calls) != turn:
                return found
            if not isinstance(found, tuple):
                return spoilt(found)
            return tuple(spoilt(x) if number == part else x
                         for number, x in enumerate(found))
        return answer
    return [wrap(RIGHT[name]) for name in names], calls


@each_check
def test_no_call_is_made_in_vain(name):
    answers, calls = once_spoilt(CHECKS[name], 0, 0)
    assert getattr(pixelcheck, name)(*answers)
    pairs = name in ("shift", "use")
    for turn in range(1, len(calls) + 1):
        if (name, turn) == ("cache", 6):
            continue  # it is only made to see whether it spoils the cache
        for part in range(1 + pairs):
            answers, _ = once_spoilt(CHECKS[name], turn, part)
            assert not getattr(pixelcheck, name)(*answers), (turn, part)


def test_every_check_has_a_mistake_to_name():
    assert {name for name, _, _ in WRONG} == set(CHECKS)


@each_check
def test_every_check_says_what_it_takes(name):
    assert inspect.getdoc(getattr(pixelcheck, name))
