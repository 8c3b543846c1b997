"""Self-checks for the assignments: what is right, or the first thing wrong.

Each check takes what a student wrote, runs it on small cases, prints one line
and returns whether all was well. A check names a fault, not its cure, and no
mistake of the student's becomes a traceback.
"""

import functools
import math

import torch
import torch.nn.functional as F


class Hint(Exception):  # noqa: N818  (it is not an error of ours)
    """The first thing that is wrong, in a sentence."""


def hinting(praise):
    """Make a check of a function that raises a Hint where something is wrong.

    The check prints the praise or the hint, and returns True or False.
    """
    def decorate(look):
        @functools.wraps(look)
        def check(*answers):
            try:
                look(*answers)
            except Hint as hint:
                print(f"not yet: {hint}")
                return False
            except Exception as error:  # an answer of an unforeseen kind
                print("not yet: your answer cannot be checked "
                      f"({type(error).__name__}: {first_line(error)})")
                return False
            print(f"right: {praise}")
            return True
        return check
    return decorate


def first_line(error):
    return (str(error).splitlines() or ["no message"])[0]


def expect(truth, hint):
    if not truth:
        raise Hint(hint)


def ask(function, *arguments):
    """What the student's function answers; a Hint where it fails."""
    expect(callable(function), "this is not a function yet: fill in the dots "
           "and run the cell")
    name = getattr(function, "__name__", "the function")
    try:
        answer = function(*arguments)
    except Exception as error:
        raise Hint(f"{name} stops with {type(error).__name__}: "
                   f"{first_line(error)}") from None
    expect(answer is not None and answer is not ...,
           f"{name} returns nothing yet")
    return answer


def ask_tensor(shape, function, *arguments):
    """The same for a tensor of this shape; float64 comes back."""
    answer = ask(function, *arguments)
    name = getattr(function, "__name__", "the function")
    expect(torch.is_tensor(answer), f"{name} returns a "
           f"{type(answer).__name__}; a tensor is wanted")
    expect(tuple(answer.shape) == tuple(shape), f"{name} returns shape "
           f"{tuple(answer.shape)}; {tuple(shape)} is wanted")
    expect(answer.isfinite().all(), f"{name} returns numbers that are not "
           "finite")
    return answer.double()


def close(left, right, tolerance=1e-6):
    return torch.allclose(torch.as_tensor(left).double(),
                          torch.as_tensor(right).double(),
                          rtol=0, atol=tolerance)


def noise(*shape):
    """float64 normal numbers, the same ones each time."""
    generator = torch.Generator().manual_seed(math.prod(shape))
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


# Assignment 1: masks


@hinting("mask A hides the pixel itself, mask B shows it, and both hide the "
         "future")
def mask(function):
    """function(rows, columns, kind) -> 0 and 1, float (rows, columns)."""
    for kind in "AB":
        for rows, columns in ((5, 5), (3, 5)):
            found = ask_tensor((rows, columns), function, rows, columns, kind)
            expect(((found == 0) | (found == 1)).all(),
                   "a mask holds zeros and ones only")
            centre = rows * columns // 2
            where = (f"mask {kind}, laid over a picture of {rows} x "
                     f"{columns} pixels with numbers from 0,")
            for place, seen in enumerate(found.flatten().tolist()):
                if place < centre:
                    expect(seen, f"{where} hides pixel {place} from pixel "
                           f"{centre}, though it comes before")
                elif place > centre or kind == "A":
                    expect(not seen, f"{where} lets pixel {centre} see pixel "
                           f"{place}")
                else:
                    expect(seen, f"{where} hides pixel {centre} from itself; "
                           "a later layer may look there")


@hinting("the masked convolution has the right size and numbers, and leaves "
         "the weights as they were")
def masked_convolution(function):
    """function(image, weight, mask): (B, C, H, W) -> (B, O, H, W)."""
    image, weight = noise(2, 3, 6, 7), noise(4, 3, 3, 5)
    mask = torch.tensor([[1., 1, 1, 1, 1], [1, 1, 0, 0, 0], [0] * 5]).double()
    before = weight.clone()
    found = ask_tensor((2, 4, 6, 7), function, image, weight, mask)
    expect(torch.equal(weight, before), "the weights that were given have "
           "changed: the optimizer's numbers are not yours to overwrite")
    plain = F.conv2d(image, weight, padding=(1, 2))
    expect(not close(found, plain), "the output is that of a convolution "
           "without a mask")
    rolled = F.conv2d(image, (weight * mask).flip(2, 3), padding=(1, 2))
    expect(not close(found, rolled), "the kernel is turned around")
    expect(close(found, F.conv2d(image, weight * mask, padding=(1, 2))),
           "the size is right, the numbers are not")


@hinting("causal networks pass, and those that peek are caught")
def causal(function):
    """function(network, height, width) -> bool."""
    def shift(picture, places):
        flat = F.pad(picture.flatten(1), (places, 0))[:, :picture[0].numel()]
        return flat.view_as(picture)

    cases = [
        (lambda x: shift(x, 1), True, "a network that looks at the pixel "
         "before"),
        (lambda x: shift(x, 1).cumsum(3) * 0 + 3, True, "a network that "
         "answers 3 everywhere"),
        (lambda x: x.clone(), False, "a network that copies the pixel to be "
         "guessed"),
        (lambda x: x.flip(3), False, "a network that turns the picture "
         "around"),
        (lambda x: F.pad(x, (0, 0, 0, 1))[:, :, 1:], False, "a network that "
         "looks one row ahead"),
        (lambda x: shift(x, 1) + (x > x.mean()), False, "a network whose "
         "gradient is silent about what it sees"),
    ]
    for network, truth, name in cases:
        found = ask(function, network, 3, 4)
        expect(isinstance(found, bool), "is_causal returns a "
               f"{type(found).__name__}; True or False is wanted")
        expect(found == truth, f"{name} is called "
               f"{'causal' if found else 'not causal'}")


@hinting("the rows that a stack of layers reaches are counted right")
def reach(function):
    """function(sizes, dilations) -> int, rows above the pixel."""
    for sizes, dilations, rows, name in (
            ([3], [1], 1, "one 3 x 3 layer"),
            ([7], [1], 3, "one 7 x 7 layer"),
            ([3, 3, 3], [1, 1, 1], 3, "three 3 x 3 layers"),
            ([5, 3], [1, 4], 6, "a 5 x 5 layer, then a 3 x 3 layer with "
             "dilation 4")):
        found = ask(function, sizes, dilations)
        expect(found == rows, f"{name}: you say {found}; count again which "
               "rows above it the last pixel can hear from")


@hinting("bits, for each image, for each dimension")
def bits_per_dimension(function):
    """function(logits (N, T, V), tokens (N, T)) -> (N,)."""
    uniform = torch.zeros(2, 6, 4, dtype=torch.float64)
    tokens = torch.arange(12).view(2, 6) % 4
    found = ask_tensor((2,), function, uniform, tokens)
    for wrong, hint in (
            (2 * math.log(2), "these are nats: a choice among four equally "
             "likely levels is worth 2 bits"),
            (12, "this is the sum over an image; divide it among the "
             "dimensions"),
            (-2, "a cost below zero: mind the sign"),
            (2 / 4, "divided by the number of levels; the dimensions of an "
             "image are its tokens")):
        expect(not close(found, torch.full((2,), wrong)), hint)
    expect(close(found, torch.full((2,), 2)), "four equally likely levels "
           f"cost 2 bits a token; you find {found[0]:.4f}")
    logits = noise(2, 6, 4)
    nats = F.cross_entropy(logits.mT, tokens, reduction="none").mean(1)
    expect(close(ask_tensor((2,), function, logits, tokens),
                 nats / math.log(2)),
           "right where all levels are equally likely, wrong where they are "
           "not")
