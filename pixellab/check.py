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
            hint = None
            try:
                look(*answers)
            except Hint as fault:
                hint = str(fault)
            except Exception as error:  # an answer of an unforeseen kind
                hint = ("your answer cannot be checked "
                        f"({type(error).__name__}: {first_line(error)})")
            line = f"not yet: {hint}" if hint else f"right: {praise}"
            print(" ".join(line.split()))  # one line, whatever is quoted
            return hint is None
        return check
    return decorate


def first_line(error):
    """The first line of an error's message."""
    return (str(error).splitlines() or ["no message"])[0]


def expect(truth, hint):
    """A Hint unless this is true."""
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
    """The same for a tensor of this shape, as float64."""
    return tensor(shape, ask(function, *arguments))


def tensor(shape, answer, finite=True):
    """An answer as float64, or a Hint where it has another shape."""
    expect(torch.is_tensor(answer), f"a {type(answer).__name__} comes back; "
           "a tensor is wanted")
    expect(tuple(answer.shape) == tuple(shape), "a tensor of shape "
           f"{tuple(answer.shape)} comes back; {tuple(shape)} is wanted")
    expect(not finite or answer.isfinite().all(),
           "numbers come back that are not finite")
    return answer.double()


def close(left, right, tolerance=1e-6):
    """Whether two numbers or tensors differ by no more than this."""
    return torch.allclose(torch.as_tensor(left).double(),
                          torch.as_tensor(right).double(),
                          rtol=0, atol=tolerance)


def compare(found, wanted, faults, otherwise):
    """A Hint unless found is wanted; faults: (wrong answer, its hint)."""
    if not close(found, wanted):
        for wrong, hint in faults:
            expect(not close(found, wrong), hint)
        raise Hint(otherwise)


def noise(*shape):
    """float64 normal numbers, the same ones each time."""
    generator = torch.Generator().manual_seed(math.prod(shape))
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


# Assignment 1: masks


@hinting("mask A hides the pixel itself, mask B shows it, both hide the rest")
def mask(function):
    """function(rows, columns, kind) -> float (rows, columns)."""
    for kind, rows, columns in (("A", 5, 5), ("B", 5, 5), ("A", 3, 5)):
        found = ask_tensor((rows, columns), function, rows, columns, kind)
        centre = rows * columns // 2
        where = (f"mask {kind}, laid over a picture of {rows} x {columns} "
                 "pixels with numbers from 0,")
        for place, seen in enumerate(found.flatten().tolist()):
            expect(seen in (0, 1), "a mask holds zeros and ones only")
            if place < centre + (kind == "B"):
                expect(seen, f"{where} hides pixel {place} from pixel "
                       f"{centre}")
            else:
                expect(not seen, f"{where} lets pixel {centre} see pixel "
                       f"{place}")


@hinting("size and numbers are right, and the weights stay as they were")
def masked_convolution(function):
    """function(image, weight, mask): (B, C, H, W) -> (B, O, H, W)."""
    image, weight = noise(2, 3, 6, 7), noise(4, 3, 3, 5)
    mask = (torch.arange(15) < 8).double().view(3, 5)
    before = weight.clone()
    found = ask_tensor((2, 4, 6, 7), function, image, weight, mask)
    expect(torch.equal(weight, before), "the weights that were given have "
           "changed: the optimizer's numbers are not yours to overwrite")

    def convolve(kernel):
        return F.conv2d(image, kernel, padding=(1, 2))

    compare(found, convolve(weight * mask), [
        (convolve(weight), "this is a convolution without a mask"),
        (convolve(weight * (1 - mask)), "the mask is 1 where the kernel may "
         "look, and you look where it is 0")],
        "the size is right, the numbers are not")


@hinting("causal networks pass, and those that peek are caught")
def causal(function):
    """function(network, height, width) -> bool."""
    def earlier(x, places=1):
        return F.pad(x.flatten(), (places, 0))[:x.numel()].view_as(x)

    for network, truth, name in (
            (earlier, True, "that looks at the pixel before"),
            (torch.ones_like, True, "that always answers 1"),
            (torch.clone, False, "that copies the pixel to be guessed"),
            (lambda x: x.flip(3), False, "that turns the picture around"),
            (lambda x: F.one_hot(torch.tensor(4), 12).view_as(x)
             * x.flatten()[7], False, "that shows pixel 7 to pixel 4"),
            (lambda x: F.pad(x[:, :, 1:], (0, 0, 0, 1)), False,
             "that looks one row ahead"),
            (lambda x: earlier(x) + (3 * x).round(), False,
             "that looks, but rounds what it sees")):
        found = ask(function, network, 3, 4)
        expect(isinstance(found, bool), "the answer is a "
               f"{type(found).__name__}; True or False is wanted")
        expect(found == truth, f"a network {name} is called "
               f"{'causal' if found else 'not causal'}")


@hinting("the rows that a stack of layers reaches are counted")
def reach(function):
    """function(sizes, dilations) -> int, rows above the pixel."""
    for sizes, dilations, rows, name in (
            ([3], [1], 1, "one 3 x 3 layer"),
            ([3, 3, 3], [1, 1, 1], 3, "three 3 x 3 layers"),
            ([5, 3], [1, 4], 6, "a 5 x 5 layer, then a 3 x 3 layer with "
             "dilation 4")):
        found = ask(function, sizes, dilations)
        expect(found == rows, f"{name}: you say {found} rows; draw the cells "
               "of the kernels, and count again")


@hinting("bits, for each image and each dimension")
def bits_per_dimension(function):
    """function(logits (N, T, V), tokens (N, T)) -> (N,)."""
    tokens, two = torch.arange(12).view(2, 6) % 4, torch.full((2,), 2.0)
    compare(ask_tensor((2,), function, noise(2, 6, 4) * 0, tokens), two, [
        (two * math.log(2), "these are nats: a choice among four equally "
         "likely levels is worth 2 bits"),
        (two * 6, "this is the sum over an image: divide it among the "
         "dimensions"),
        (-two, "a cost below zero: mind the sign")],
        "four equally likely levels cost 2 bits a token; yours cost another")
    logits = noise(2, 6, 4)
    nats = F.cross_entropy(logits.mT, tokens, reduction="none").mean(1)
    compare(ask_tensor((2,), function, logits, tokens), nats / math.log(2),
            [], "right where all levels are equally likely, wrong where they "
            "are not")


# Assignment 2: teacher forcing


@hinting("each place reads what came before, and is asked for what comes")
def shift(function):
    """function(tokens (N, T), start (N,)) -> inputs, targets (N, T)."""
    tokens, start = torch.tensor([[5, 6, 7], [8, 9, 4]]), torch.tensor([1, 2])
    pair = ask(function, tokens, start)
    expect(len(pair) == 2, "two things are wanted: inputs and targets")
    inputs, targets = (tensor((2, 3), part) for part in pair)
    expect(not torch.equal(inputs, targets), "your targets are the inputs: "
           "the network is asked for what it has just read")
    expect(torch.equal(targets, tokens.double()), "the targets are "
           f"{targets[0].long().tolist()} for an image "
           f"{tokens[0].tolist()}: every token is to be guessed, in its place")
    expect(torch.equal(inputs[:, 0].long(), start), "before the first token "
           "the network has read nothing but the start")
    expect(torch.equal(inputs[:, 1:].long(), tokens[:, :-1]), "the inputs "
           f"are {inputs[0].long().tolist()} for an image "
           f"{tokens[0].tolist()} with start 1: what was just read?")


def attend(q, k, v, window=99, sees=0, scale=None, dim=-1):
    """Attention with a fault, if one is asked for."""
    scores = q @ k.mT * (scale or q.shape[-1] ** -0.5)
    distance = torch.arange(q.shape[1])[:, None] - torch.arange(k.shape[1])
    hidden = (distance < sees) | (distance >= window)
    weights = scores.masked_fill(hidden, -1e9).softmax(dim)
    return weights @ v


@hinting("each place hears itself and the last places before it")
def attention(function):
    """function(q, k, v, window), all (B, T, C) -> (B, T, C)."""
    q, k, v = noise(3, 2, 7, 4)
    found = ask_tensor((2, 7, 4), function, q, k, v, 3)
    compare(found, attend(q, k, v, 3), [
        (attend(q, k, v, 3, sees=-99), "places see the future"),
        (attend(q, k, v, sees=-99), "every place sees all others: nothing "
         "is hidden"),
        (attend(q, k, v), "the past is seen to its beginning: mind the "
         "window"),
        (attend(q, k, v, 4), "with window 3 a place sees four: it counts "
         "itself"),
        (attend(q, k, v, 2), "with window 3 a place sees only two"),
        (attend(q, k, v, 3, scale=1.0), "the scores of long vectors grow: "
         "divide them by the root of C"),
        (attend(q, k, v, 3, scale=0.25), "the scores are divided by C, not "
         "by its root"),
        (attend(q, k, v, 3, dim=-2), "the weights of a place do not add up "
         "to 1: which dimension is the softmax over?")],
        "the shape is right, the numbers are not")


@hinting("steps with a cache answer what all places at once answer")
def cache(function):
    """function(cache, q, k, v, window), one place each (B, C) ->
    (output (B, C), cache); the first cache is None."""
    q, k, v = noise(3, 2, 9, 4)
    wanted, memory = attend(q, k, v, 3), None
    for t in range(9):
        if t == 5:  # the same past is used twice
            ask(function, memory, q[:, 5] + 1, k[:, 5] + 1, v[:, 5] + 1, 3)
        pair = ask(function, memory, q[:, t], k[:, t], v[:, t], 3)
        expect(isinstance(pair, tuple) and len(pair) == 2,
               "a step returns two things: the output and the new cache")
        expect(close(tensor((2, 4), pair[0]), wanted[:, t]),
               f"step {t}, counted from 0, does not answer what place {t} of "
               "the parallel pass answers" + "; the one before it was taken "
               "twice, from the same cache" * (t == 5))
        memory = pair[1]
    expect(memory is not None and len(memory) == 2 and
           memory[0].shape[1] <= 3, "the cache keeps pairs that no place will "
           "look at again: no more than window are needed")


@hinting("the bits of the unknown part, given the known one")
def bits_of_rest(function):
    """function(logits (N, T, V), targets (N, T), known) -> (N,)."""
    logits, targets = noise(2, 6, 4), torch.arange(12).view(2, 6) % 4
    nats = F.cross_entropy(logits.mT, targets, reduction="none")
    rest = nats[:, 2:].sum(1)
    compare(ask_tensor((2,), function, logits, targets, 2),
            rest / math.log(2), [
        (rest, "these are nats"),
        (nats.sum(1) / math.log(2), "what is known costs nothing: leave it "
         "out"),
        (nats[:, :2].sum(1) / math.log(2), "these are the bits of what is "
         "known"),
        (nats[:, 2:].mean(1) / math.log(2), "a mean a token: the bits of the "
         "whole rest are wanted"),
        (nats[:, 1:].sum(1) / math.log(2), "the first unknown place is "
         "number 2 if two are known")], "the shape is right, the numbers are "
        "not")


# Assignment 3: sampling


@hinting("the distribution is sharpened, and 0 is greedy")
def temperature(function):
    """function(logits (B, V), temperature) -> probabilities (B, V)."""
    logits = noise(2, 5)
    for heat in (1.0, 0.5):
        compare(ask_tensor((2, 5), function, logits, heat),
                (logits / heat).softmax(1), [
            (logits / heat, "these are logits; probabilities are wanted"),
            ((logits * heat).softmax(1), "a low temperature makes the likely "
             "tokens likelier; yours does the opposite"),
            (logits.softmax(1) / heat, "divide the logits, not the "
             "probabilities")],
            f"the numbers for temperature {heat} are not right")
    expect(close(ask_tensor((2, 5), function, logits, 0),
                 F.one_hot(logits.argmax(1), 5)),
           "temperature 0 puts everything on the most likely token")


@hinting("the k most likely are left, and add up to 1")
def top_k(function):
    """function(probs (B, V), k) -> (B, V)."""
    probs = torch.tensor([[0.1, 0.4, 0.2, 0.3], [0.7, 0.1, 0.15, 0.05]])
    filtered("top_k", function, probs, 2, torch.tensor(
        [[0, 4 / 7, 0, 3 / 7], [14 / 17, 0, 3 / 17, 0]]))
    filtered("top_k", function, probs, 9, probs)


@hinting("the smallest set that reaches p, and never nothing")
def top_p(function):
    """function(probs (B, V), p) -> (B, V)."""
    probs = torch.tensor([[0.3, 0.6, 0.1], [0.08, 0.04, 0.88]]).double()
    for p, kept in ((0.5, [[0, 1, 0], [0, 0, 1]]),
                    (0.8, [[1, 1, 0], [0, 0, 1]]),
                    (0.95, [[1, 1, 1], [1, 0, 1]])):
        kept = probs * torch.tensor(kept)
        filtered("top_p", function, probs, p, kept / kept.sum(1, True))


def filtered(name, function, probs, setting, wanted):
    """A Hint unless function filters each row of probs as wanted."""
    given = probs.clone()
    answer = tensor(probs.shape, ask(function, given, setting), finite=False)
    for row, found, kept in zip(probs, answer, wanted, strict=True):
        case = (f"with {name} {setting} and probabilities "
                f"{', '.join(f'{p:g}' for p in row.tolist())}")
        expect(found.nan_to_num().sum() > 0,
               f"{case} nothing is left: keep at least the first")
        left, right = ((x > 0).sum().item() for x in (found, kept))
        expect(left == right, f"{case} {left} tokens are left, not {right}")
        expect(close(found.sum(), 1), f"{case} the rest does not add up to 1")
        expect(close(found, kept), f"{case} the right number of tokens is "
               "left, but not the right ones")
    expect(torch.equal(given, probs), "the probabilities that were given have "
           "changed: return a new tensor")


@hinting("each token gets its share of the numbers from 0 to 1")
def draw(function):
    """function(probs (B, V), uniforms (B,)) -> tokens (B,)."""
    for probs, number, token in (
            ([0.5, 0.5], 0.2, 0), ([0.5, 0.5], 0.7, 1),
            ([0.2, 0.3, 0.5], 0.2, 1),
            ([0.0, 1.0], 0.0, 1), ([0.5, 0.5, 0.0], 1 - 2 ** -53, 1)):
        found = int(ask_tensor(
            (1,), function, torch.tensor([probs], dtype=torch.float64),
            torch.tensor([number], dtype=torch.float64)))
        expect(found == token, f"with probabilities {probs} the number "
               f"{number!r} draws token {found}, not {token}")
    compare(ask_tensor((2,), function, torch.tensor(
        [[0.5, 0.5], [0.1, 0.9]]).double(), torch.tensor([0.3, 0.3]).double()),
        torch.tensor([0, 1]), [], "each row of probs draws for itself; with "
        "two different rows yours draws other tokens")


@hinting("symbols and back: nothing is lost")
def symbols(pack, unpack):
    """pack(pixels (N, T), levels, count) -> (N, T / count), and back."""
    pixels = torch.tensor([[1, 0, 0, 1, 1, 1], [0, 0, 1, 0, 1, 0]])
    compare(ask_tensor((2, 2), pack, pixels, 2, 3),
            torch.tensor([[4, 7], [1, 2]]), [
        (torch.tensor([[1, 7], [4, 2]]), "the leftmost pixel counts most, as "
         "in a decimal number; yours counts least")],
        "1 0 0 is 4 and 1 1 1 is 7 for two levels; yours are others")
    compare(ask_tensor((2, 6), unpack, torch.tensor([[4, 7], [1, 2]]), 2, 3),
            pixels, [], "4, 7 do not become 1 0 0 1 1 1 again")
    many = (noise(3, 8) * 100).long() % 5
    expect(torch.equal(ask(unpack, ask(pack, many, 5, 4), 5, 4), many),
           "two levels work, five do not")


@hinting("the best of the pool, in order")
def best(function):
    """function(logits (N, 10), label, keep) -> indices (keep,)."""
    logits = torch.zeros(4, 10)
    logits[:, 3] = torch.tensor([9.0, 5.0, 1.0, 6.0])
    logits[0, 8] = 12  # surely an 8
    found = ask_tensor((2,), function, logits, 3, 2).long().tolist()
    expect(found != [0, 3], "image 0 was chosen for its logit of class 3; "
           "the reader is surer that it is an 8")
    expect(2 not in found, "image 2 was chosen, and the reader thinks little "
           "of it: where are the best, at the beginning or at the end?")
    expect(found == [3, 1], f"you chose {found}: which two does the reader "
           "give the highest probability of class 3, best first?")


# Assignment 4: codebooks


@hinting("patches, and the picture again")
def patches(cut, paste):
    """cut(images (N, H, W, 3), rows, columns) -> (N, T, rows, columns, 3);
    paste(patches, height, width) -> images."""
    images = torch.arange(2 * 4 * 6 * 3).view(2, 4, 6, 3)
    found = ask_tensor((2, 4, 2, 3, 3), cut, images, 2, 3)
    compare(found[:, 0], images[:, :2, :3], [], "the first patch is not the "
            "upper left corner of the picture")
    compare(found[:, 1], images[:, :2, 3:], [
        (images[:, 2:, :3], "the second patch lies below the first; the one "
         "to its right comes first")], "the second patch is not the one to "
        "the right of the first")
    expect(torch.equal(ask(paste, ask(cut, images, 2, 3), 4, 6), images),
           "cut is right, but paste does not lead back")


@hinting("one step: the nearest centre, then the mean")
def lloyd(function):
    """function(points (N, D), centres (K, D)) -> new centres (K, D)."""
    points = torch.tensor([[0.0], [1], [2], [10]]).double()
    found = ask(function, points, torch.tensor([[0.5], [5], [90]]).double())
    expect(not torch.is_tensor(found) or found.isfinite().all(),
           "no point is nearest to centre 2: the mean of nothing is no "
           "number; leave it where it is")
    compare(tensor((3, 1), found), torch.tensor([[1], [10], [90]]), [
        (torch.tensor([[1], [10], [0]]), "no point is nearest to centre 2, "
         "and it jumps to 0; leave it where it is")],
        f"points 0, 1, 2, 10 and centres 0.5, 5, 90: yours become {found}")
    points, centres = noise(30, 3), noise(4, 3)
    distance = (points[:, None] - centres).square().sum(2)
    near = F.one_hot(distance.argmin(1), 4).double()
    compare(ask_tensor((4, 3), function, points, centres),
            near.T @ points / near.sum(0)[:, None], [],
            "right for numbers, wrong for points of three dimensions")


@hinting("the share in use, and the entropy in bits")
def use(function):
    """function(tokens, size) -> (share of entries used, bits a token)."""
    for tokens, size, share, bits in (
            ([0, 1, 2, 3], 4, 1, 2), ([5, 5, 5, 5], 8, 1 / 8, 0),
            ([0, 0, 1, 3], 4, 3 / 4, 1.5)):
        pair = ask(function, torch.tensor(tokens), size)
        expect(len(pair) == 2, "two numbers are wanted")
        found = [float(number) for number in pair]
        expect(found[1] == found[1], f"the entropy of {tokens} is not a "
               "number: an entry that never occurs costs nothing")
        expect(not bits or not close(found[1], bits * math.log(2)),
               "the entropy is in nats")
        expect(close(found[0], share), f"{tokens} of {size} entries: the "
               f"share in use is not {found[0]:g}")
        expect(close(found[1], bits), f"the entropy of {tokens} is not "
               f"{found[1]:g} bits")


@hinting("decibels, and infinitely many for the same picture")
def decibels(function):
    """function(images, shown), both uint8 -> float."""
    black = torch.zeros(1, 4, 4, dtype=torch.uint8)
    for left, right in ((black, black + 10), (black + 10, black)):
        found = float(ask(function, left, right))
        expect(not close(found, -10 * math.log10((246 / 255) ** 2)),
               "0 - 10 is 246 in uint8, and that is what you squared")
        expect(not close(found, -10 * math.log10(100)), "brightness goes "
               "from 0 to 255: the peak is 255, not 1")
        expect(close(found, 20 * math.log10(25.5)), "a difference of 10 "
               f"everywhere is not {found:.2f} dB")
    expect(ask(function, black, black) == math.inf,
           "the same picture twice: there is no error, and the ratio is inf")


@hinting("the points that nothing beats, by their bits")
def frontier(function):
    """function([(bits, error), ...]) -> those on the curve, sorted."""
    for points, wanted, hint in (
            ([(2, 5), (1, 9)], [(1, 9), (2, 5)], "neither beats the other; "
             "fewest bits first"),
            ([(1, 9), (2, 5), (2, 7)], [(1, 9), (2, 5)], "(2, 5) beats (2, "
             "7): as many bits, less error"),
            ([(1, 9), (2, 9), (3, 1)], [(1, 9), (3, 1)], "(1, 9) beats (2, "
             "9): fewer bits, the same error"),
            ([(1, 2), (4, 3), (2, 1), (3, 4)], [(1, 2), (2, 1)], "a point is "
             "beaten by any with no more bits and no more error")):
        found = ask(function, points)
        expect([tuple(point) for point in found] == wanted,
               f"of {points} you keep {found}: {hint}")


# Assignment 5: the codec


@hinting("signs to numbers and back, on the sphere")
def codes(to_integers, to_corners):
    """to_integers(u (N, T, L)) -> (N, T); to_corners(integers, L) -> back."""
    u = torch.tensor([[[0.1, -2, -3], [-1, -1, 5], [3, 3, -3]]])
    compare(ask_tensor((1, 3), to_integers, u), torch.tensor([[1, 4, 3]]), [
        (torch.tensor([[4, 1, 6]]), "the first sign counts 1, the next 2; "
         "yours begin at the other end"),
        (torch.tensor([[6, 3, 4]]), "a number above 0 is a one; yours is a "
         "zero")], "signs + - - are 1, - - + are 4, + + - are 3")
    compare(ask_tensor((1, 1), to_integers, torch.tensor([[[0.0, 1]]])), 2,
            [], "0 is not above 0: its sign counts nothing")
    corners = ask_tensor((1, 3, 3), to_corners, torch.tensor([[1, 4, 3]]), 3)
    expect(not close(corners.abs(), 1), "these corners lie on a cube outside "
           "of the sphere: what is their length?")
    compare(corners, u.sign() / 3 ** 0.5, [], "1 must become + - - again, "
            "with length 1")


@hinting("forwards the corner, backwards as if nothing had happened")
def straight_through(function):
    """function(u (..., L)) -> the nearest corner, with the gradient of u."""
    u = torch.tensor([[0.6, -0.8, 0.0, 0.1]]).double().requires_grad_()
    found = ask_tensor((1, 4), function, u)
    compare(found.detach(), torch.tensor([[0.5, -0.5, -0.5, 0.5]]), [
        (u.detach(), "nothing is rounded"),
        (torch.tensor([[0.5, -0.5, 0, 0.5]]), "a zero stays zero: there is "
         "no corner; let it go to the negative side"),
        (torch.tensor([[1.0, -1, -1, 1]]), "the corners have length 1")],
        "forwards, the output is not the nearest corner")
    expect(found.requires_grad, "no gradient comes back at all")
    (found * torch.arange(1, 5)).sum().backward()
    compare(u.grad, torch.arange(1, 5)[None], [
        (u.detach() * 0, "the gradient is zero: a step is flat nearly "
         "everywhere")], "backwards, the gradient is not that of the identity")


@hinting("whole numbers, none of them 0, with the right sum")
def frequencies(function):
    """function(probs (V,), total) -> int64 (V,)."""
    for probs, total in (([0.5, 0.25, 0.25], 16), ([0.7, 0.2, 0.1], 1000),
                         ([1.0, 0.0, 0.0], 100), ([1 / 3] * 3, 2 ** 24)):
        probs = torch.tensor(probs).double()
        found = ask(function, probs, total)
        expect(torch.is_tensor(found) and found.dtype == torch.int64,
               "whole numbers are wanted: a tensor of int64")
        case = (f"of {[round(p, 3) for p in probs.tolist()]} and {total} you "
                f"make {found.tolist()}")
        expect(found.min() > 0, f"{case}: what has no numbers cannot be "
               "coded, however improbable it is")
        expect(found.sum() == total, f"{case}, together {found.sum()}")
        expect(close(found / total, probs, 3 / total), f"{case}: too far "
               "from the probabilities")


@hinting("what was coded comes back, in as few bytes as it may take")
def coder(encode, decode):
    """encode(symbols, tables) -> bytes; decode(data, tables) -> symbols."""
    for tables, symbols in (([[1, 3]], [1]), ([[1, 3], [2, 2]], [0, 1]),
                            ([[1, 1, 14]] * 40, [2] * 39 + [0]),
                            ([[5, 1, 2], [1, 7]] * 100, [0, 1, 2, 0] * 50)):
        data = ask(encode, symbols, tables)
        expect(isinstance(data, bytes), f"a {type(data).__name__} comes back;"
               " bytes are wanted")
        found = [int(symbol) for symbol in ask(decode, data, tables)]
        wrong = [t for t, symbol in enumerate(symbols)
                 if found[t:t + 1] != [symbol]]
        expect(not wrong, f"of {len(symbols)} symbols number {wrong[:1]} "
               "(from 0) comes back as another")
        expect(len(found) == len(symbols), f"{len(symbols)} symbols were "
               f"coded, {len(found)} come back")
        bits = sum(math.log2(sum(table) / table[symbol])
                   for table, symbol in zip(tables, symbols, strict=True))
        expect(8 * len(data) <= bits + 16, f"{len(data)} bytes for "
               f"{bits:.1f} bits: at most two bytes too many are allowed")


@hinting("the bits that no coder can go below")
def ideal(function):
    """function(symbols, tables) -> bits, a float."""
    found = float(ask(function, [0, 1, 0], [[1, 3], [2, 2], [1, 7]]))
    expect(not close(found, 6 * math.log(2)), "these are nats")
    expect(close(found, 6), "shares of 1/4, 1/2 and 1/8 cost 2, 1 and 3 "
           f"bits, 6 together; yours are {found:.3f}")
