"""Self-checks for the assignments: what is right, or the first thing wrong.

Each check takes what a student wrote, runs it on small cases, prints one line
and returns whether all was well. A check names a fault, not its cure, and no
mistake of the student's becomes a traceback.
"""

import functools
import math
import textwrap

import torch
import torch.nn.functional as F
from einops import rearrange


def check(look):
    """Make a check of a function that asserts things of a student's answers.

    It prints what the first failing assertion says: the hint; or, where all
    is well, the function's docstring.
    """
    @functools.wraps(look)
    def checked(*answers):
        line = f"right: {look.__doc__}"
        try:
            look(*map(asking, answers))
        except AssertionError as hint:
            line = f"not yet: {hint}"
        except Exception as error:  # an answer of an unforeseen kind
            line = f"not yet: your answer cannot be checked ({told(error)})"
        print(textwrap.shorten(line, 300, placeholder=" ..."))
        return line.startswith("right: ")
    return checked


def asking(function):
    """The student's function, with a hint where it fails or is not there."""
    def ask(*arguments):
        assert callable(function), (
            "this is not a function yet: fill in the dots and run the cell")
        name = getattr(function, "__name__", "the function")
        try:
            answer = function(*arguments)
        except Exception as error:
            raise AssertionError(f"{name} stops with {told(error)}") from None
        assert answer is not None, f"{name} returns nothing yet"
        return answer
    return ask


def told(error):
    return f"{type(error).__name__}: {error}"


def compare(what, found, wanted, *faults):
    """Assert that the number or tensor found is the one wanted, to 1e-6.

    faults: pairs of a likely wrong answer and its hint.
    """
    wanted = torch.as_tensor(wanted)
    if isinstance(found, (int, float)):
        found = torch.tensor(found)
    assert torch.is_tensor(found), (
        f"{what}: a {type(found).__name__} comes back, and no tensor")
    assert found.shape == wanted.shape, (
        f"{what}: a tensor of shape {tuple(found.shape)} comes back; "
        f"{tuple(wanted.shape)} is wanted")
    for wrong, hint in faults:
        assert close(found, wanted) or not close(found, wrong), hint
    assert close(found, wanted), f"{what}: " + (
        "the shape is right, the numbers are not" if found.numel() > 12
        else f"yours are {rounded(found)}, not {rounded(wanted)}")


def rounded(numbers):
    return [round(x, 3) for x in numbers.flatten().tolist()]


def close(left, right, tolerance=1e-6):
    return torch.allclose(torch.as_tensor(left).double(),
                          torch.as_tensor(right).double(), 0, tolerance)


def noise(*shape):
    """float64 normal numbers, the same ones each time."""
    generator = torch.Generator().manual_seed(math.prod(shape))
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


# Assignment 1: masks


@check
def mask(function):
    """mask A hides the pixel itself, mask B shows it, both hide the rest"""
    for kind, rows, columns in (("A", 5, 5), ("B", 5, 5), ("A", 3, 5)):
        centre = rows * columns // 2
        earlier = torch.arange(rows * columns) < centre + (kind == "B")
        found = function(rows, columns, kind)
        where = f"({rows} x {columns} pixels, numbered from 0)"
        for place, seen in enumerate(found.flatten()):
            assert seen or not earlier[place], (
                f"your mask hides pixel {place} from pixel {centre} {where}")
            assert earlier[place] or not seen, (
                f"your mask lets pixel {centre} see pixel {place} {where}")
        compare(f"mask {kind}", found, earlier.view(rows, columns))


@check
def masked_convolution(function):
    """size and numbers are right, and the weights stay as they were"""
    image, weight = noise(2, 3, 6, 7), noise(4, 3, 3, 5)
    mask = (torch.arange(15) < 8).double().view(3, 5)
    before = weight.clone()
    found = function(image, weight, mask)
    assert torch.equal(weight, before), (
        "the weights that were given have changed: leave them alone")
    masked, plain, opposite = (
        F.conv2d(image, weight * cells, padding=(1, 2))
        for cells in (mask, 1, 1 - mask))
    compare("a convolution", found, masked,
            (plain, "this is a convolution without a mask"),
            (opposite, "the kernel may look where the mask is 1, not 0"))


@check
def causal(function):
    """causal networks pass, and those that peek are caught"""
    def earlier(x):
        return F.pad(x.flatten(), (1, 0))[:-1].view_as(x)

    def pixel_7_at_4(x):
        return x.flatten()[7] * F.one_hot(torch.tensor(4), 12).view_as(x)

    for network, truth, name in (
            (earlier, True, "looks at the pixel before"),
            (torch.ones_like, True, "always answers 1"),
            (torch.clone, False, "copies the pixel to be guessed"),
            (pixel_7_at_4, False, "shows pixel 7 to pixel 4"),
            (lambda x: x.roll(-1, 2), False, "looks one row ahead"),
            (lambda x: earlier(x) + (3 * x).round(), False,
             "looks, but rounds what it sees")):
        found = function(network, 3, 4)
        assert found is truth, (
            f"a network that {name}: you answer {found}, not {truth}")


@check
def reach(function):
    """the rows that a stack of layers reaches are counted"""
    for sizes, dilations, rows in (
            ([3], [1], 1), ([3, 3, 3], [1, 1, 1], 3), ([5, 3], [1, 4], 6)):
        compare(f"sizes {sizes}, dilations {dilations}",
                function(sizes, dilations), rows)


@check
def bits_per_dimension(function):
    """bits, for each image and each dimension"""
    logits, tokens = noise(2, 6, 4), torch.arange(12).view(2, 6) % 4
    nats = F.cross_entropy(logits.mT, tokens, reduction="none").mean(1)
    bits = nats / math.log(2)
    compare("the bits of two images", function(logits, tokens), bits,
            (nats, "these are nats"), (6 * bits, "this is the sum over an "
             "image: divide it among the dimensions"))


# Assignment 2: teacher forcing


@check
def shift(function):
    """each place reads what came before, and is asked for what comes"""
    tokens, start = torch.tensor([[5, 6, 7], [8, 9, 4]]), torch.tensor([1, 2])
    inputs, targets = function(tokens, start)
    compare("targets for 5, 6, 7 and 8, 9, 4", targets, tokens)
    wanted = torch.tensor([[1, 5, 6], [2, 8, 9]])
    compare("inputs for the same with starts 1 and 2", inputs, wanted,
            (tokens, "your targets are the inputs: the network is asked for "
             "what it has just read"))


def attend(q, k, v, window=99, ahead=0, scale=None):
    """Attention to the last `window` places and to some of those ahead."""
    back = torch.arange(q.shape[1])[:, None] - torch.arange(k.shape[1])
    return F.scaled_dot_product_attention(
        q, k, v, (back >= -ahead) & (back < window), scale=scale)


@check
def attention(function):
    """each place hears itself and the last places before it"""
    q, k, v = noise(3, 2, 7, 4)
    compare("attention", function(q, k, v, 3), attend(q, k, v, 3),
            (attend(q, k, v, 3, ahead=9), "places see the future"),
            (attend(q, k, v), "the past is seen to its beginning: mind the "
             "window"),
            (attend(q, k, v, 4), "with window 3 a place sees four: it counts "
             "itself"),
            (attend(q, k, v, 3, scale=1.0), "the scores of long vectors grow: "
             "divide them by the root of C"))


@check
def cache(function):
    """steps with a cache answer what all places at once answer"""
    q, k, v = noise(3, 2, 9, 4)
    wanted, memory = attend(q, k, v, 3), None
    for t in range(9):
        if t == 5:  # the same past is used twice
            function(memory, q[:, 5] + 1, k[:, 5] + 1, v[:, 5] + 1, 3)
        output, memory = function(memory, q[:, t], k[:, t], v[:, t], 3)
        twice = ", from a cache that was used before" * (t == 5)
        compare(f"step {t}, counted from 0{twice}", output, wanted[:, t])
    assert memory[0].shape[1] <= 3, (
        "the cache keeps pairs that no place will look at again")


@check
def bits_of_rest(function):
    """the bits of the unknown part, given the known one"""
    logits, targets = noise(2, 6, 4), torch.arange(12).view(2, 6) % 4
    nats = F.cross_entropy(logits.mT, targets, reduction="none")
    bits = nats / math.log(2)
    compare("the bits of two images", function(logits, targets, 2),
            bits[:, 2:].sum(1),
            (nats[:, 2:].sum(1), "these are nats"),
            (bits.sum(1), "what is known costs nothing: leave it out"))


# Assignment 3: sampling


@check
def temperature(function):
    """the distribution is sharpened, and 0 is greedy"""
    logits = noise(2, 5)
    compare("temperature 0.5", function(logits, 0.5), (2 * logits).softmax(1),
            ((logits / 2).softmax(1), "a low temperature makes the likely "
             "tokens likelier; yours does the opposite"))
    compare("temperature 0, everything on the likeliest",
            function(logits, 0), F.one_hot(logits.argmax(1), 5))


@check
def top_k(function):
    """the k most likely are left, and add up to 1"""
    probs = [[0.1, 0.4, 0.2, 0.3], [0.7, 0.1, 0.15, 0.05]]
    filtered("top_k", function, probs, 2, [[0, 1, 0, 1], [1, 0, 1, 0]])
    filtered("top_k", function, probs, 9, [[1] * 4] * 2)


@check
def top_p(function):
    """the smallest set that reaches p, and never nothing"""
    probs = [[0.3, 0.6, 0.1], [0.08, 0.04, 0.88]]
    filtered("top_p", function, probs, 0.5, [[0, 1, 0], [0, 0, 1]])
    filtered("top_p", function, probs, 0.8, [[1, 1, 0], [0, 0, 1]])
    filtered("top_p", function, probs, 0.95, [[1, 1, 1], [1, 0, 1]])


def filtered(name, function, probs, setting, masks):
    """Assert that function leaves of each row what its mask shows."""
    probs = torch.tensor(probs, dtype=torch.float64)
    given = probs.clone()
    answer = function(given, setting)
    assert torch.equal(given, probs), (
        "the probabilities that were given have changed: return a new tensor")
    for row, found, mask in zip(probs, answer, masks, strict=True):
        case = f"with {name} {setting} and probabilities {row.tolist()}"
        left = (found > 0).sum()
        assert left == sum(mask), (
            f"{case} {left} tokens are left, not {sum(mask)}")
        kept = row * torch.tensor(mask)
        compare(case, found, kept / kept.sum(),
                (kept, f"{case} the rest does not add up to 1"))


@check
def draw(function):
    """each token gets its share of the numbers from 0 to 1"""
    for probs, numbers, tokens in (
            ([[0.5, 0.5]], [0.2], [0]), ([[0.5, 0.5]], [0.7], [1]),
            ([[0.2, 0.3, 0.5]], [0.2], [1]), ([[0, 1]], [0], [1]),
            ([[0.5, 0.5, 0]], [1 - 2 ** -53], [1]),
            ([[0.5, 0.5], [0.1, 0.9]], [0.3, 0.3], [0, 1])):
        compare(f"tokens of {probs} for {numbers}", function(
            torch.tensor(probs, dtype=torch.float64),
            torch.tensor(numbers, dtype=torch.float64)), tokens)


@check
def symbols(pack, unpack):
    """symbols and back: nothing is lost"""
    pixels = torch.tensor([[1, 0, 0, 1, 1, 1], [0, 0, 1, 0, 1, 0]])
    packed = torch.tensor([[4, 7], [1, 2]])
    compare("two levels", pack(pixels, 2, 3), packed,
            (torch.tensor([[1, 7], [4, 2]]), "the leftmost pixel counts most, "
             "as in a decimal number; yours counts least"))
    compare("two levels, unpacked", unpack(packed, 2, 3), pixels)
    many = torch.tensor([[4, 0, 3, 1, 2, 2, 0, 1]])
    compare("five levels, packed and unpacked", unpack(pack(many, 5, 4), 5, 4),
            many)


@check
def best(function):
    """the best of the pool, in order"""
    logits = torch.zeros(4, 10)
    logits[:, 3] = torch.tensor([9.0, 5.0, 1.0, 6.0])
    logits[0, 8] = 12  # surely an 8
    compare("the two that are a 3 most probably", function(logits, 3, 2),
            torch.tensor([3, 1]),
            (torch.tensor([0, 3]), "image 0 was chosen for its logit of class "
             "3; the reader is surer that it is an 8"))


# Assignment 4: codebooks


@check
def patches(cut, paste):
    """patches, and the picture again"""
    images = torch.arange(2 * 4 * 6 * 3).view(2, 4, 6, 3)
    right, down = (
        rearrange(images, f"n (i r) (j c) d -> n {order} r c d", r=2, c=3)
        for order in ("(i j)", "(j i)"))
    compare("patches, from the upper left corner", cut(images, 2, 3), right,
            (down, "the second patch lies below the first; the one to its "
             "right comes first"))
    compare("cut, then paste", paste(right, 4, 6), images)


@check
def lloyd(function):
    """one step: the nearest centre, then the mean"""
    points = noise(30, 3)
    centres = torch.cat([noise(4, 3), torch.full((1, 3), 90.0)])
    nearest = F.one_hot(torch.cdist(points, centres).argmin(1), 5).double()
    means = nearest.T @ points / nearest.sum(0).clamp(min=1)[:, None]
    found = function(points, centres)
    assert not found[4:].isnan().any(), (
        "no point is nearest to centre 4: the mean of nothing is no number")
    compare("centres", found, torch.cat([means[:4], centres[4:]]),
            (means, "no point is nearest to centre 4, and it jumps to 0"))


@check
def use(function):
    """the share in use, and the entropy in bits"""
    for tokens, size, share, bits in (
            ([0, 1, 2, 3], 4, 1, 2), ([5, 5, 5, 5], 8, 1 / 8, 0),
            ([0, 0, 1, 3], 4, 3 / 4, 1.5)):
        used, entropy = map(float, function(torch.tensor(tokens), size))
        compare(f"the share of {size} that {tokens} use", used, share)
        assert not math.isnan(entropy), (
            "the entropy is no number: what never occurs costs nothing")
        compare(f"the entropy of {tokens}", entropy, bits,
                ((bits or 9) * math.log(2), "the entropy is in nats"))


@check
def decibels(function):
    """decibels, and infinitely many for the same picture"""
    black = torch.zeros(1, 4, 4, dtype=torch.uint8)
    for left, right in ((black, black + 10), (black + 10, black)):
        compare("a difference of 10", float(function(left, right)),
                20 * math.log10(25.5),
                (20 * math.log10(255 / 246), "0 - 10 is 246 in uint8, and "
                 "that is what you squared"),
                (-20, "brightness goes from 0 to 255: the peak is not 1"))
    compare("the same picture twice", float(function(black, black)), math.inf)


@check
def frontier(function):
    """the points that nothing beats, by their bits"""
    for points, wanted in (
            ([(2, 5), (1, 9), (2, 7)], [(1, 9), (2, 5)]),
            ([(1, 9), (2, 9), (3, 1)], [(1, 9), (3, 1)]),
            ([(1, 2), (4, 3), (2, 1), (3, 4)], [(1, 2), (2, 1)])):
        found = [tuple(point) for point in function(points)]
        assert found == wanted, f"of {points} you keep {found}, not {wanted}"


# Assignment 5: the codec


@check
def codes(to_integers, to_corners):
    """signs to numbers and back, on the sphere"""
    u = torch.tensor([[[0.1, -2, -3], [-1, -1, 5], [3, 3, -3], [0, 1, -1]]])
    signs = torch.where(u > 0, 1.0, -1.0)
    integers = torch.tensor([[1, 4, 3, 2]])
    compare("+ - -, - - +, + + -, - + -", to_integers(u), integers,
            (torch.tensor([[4, 1, 6, 2]]), "the first sign counts 1, the next "
             "2; yours begin at the other end"),
            (torch.tensor([[1, 4, 3, 3]]), "0 is not above 0: its sign counts "
             "nothing"))
    compare("corners of 1, 4, 3, 2", to_corners(integers, 3), signs / 3 ** 0.5,
            (signs, "these corners lie on a cube outside of the sphere: what "
             "is their length?"))


@check
def straight_through(function):
    """forwards the corner, backwards as if nothing had happened"""
    u = torch.tensor([[0.6, -0.8, 0.0, 0.1]]).double().requires_grad_()
    found = function(u)
    compare("forwards", found, torch.tensor([[0.5, -0.5, -0.5, 0.5]]),
            (torch.tensor([[0.5, -0.5, 0, 0.5]]), "a zero stays zero: there "
             "is no corner; let it go to the negative side"))
    assert found.requires_grad, "no gradient comes back at all"
    (found * torch.arange(1, 5)).sum().backward()
    compare("the gradient", u.grad, torch.arange(1, 5)[None],
            (torch.zeros(1, 4), "the gradient is zero: a step is flat nearly "
             "everywhere"))


@check
def frequencies(function):
    """whole numbers, none of them 0, with the right sum"""
    for probs, total in (([0.5, 0.25, 0.25], 16), ([0.7, 0.2, 0.1], 1000),
                         ([1.0, 0.0, 0.0], 100), ([1 / 3] * 3, 2 ** 24)):
        probs = torch.tensor(probs, dtype=torch.float64)
        found = function(probs, total)
        assert found.dtype == torch.int64, "a tensor of int64 is wanted"
        case = f"of {probs.tolist()} and {total} you make {found.tolist()}"
        assert found.min() > 0, f"{case}: what has 0 cannot be coded"
        assert found.sum() == total, f"{case}, together {found.sum()}"
        assert close(found / total, probs, 3 / total), (
            f"{case}: too far from the probabilities")


@check
def coder(encode, decode):
    """what was coded comes back, in as few bytes as it may take"""
    for tables, symbols in (([[1, 3]], [1]), ([[1, 3], [2, 2]], [0, 1]),
                            ([[1, 1, 14]] * 40, [2] * 39 + [0]),
                            ([[5, 1, 2], [1, 7]] * 100, [0, 1, 2, 0] * 50)):
        data = encode(symbols, tables)
        assert isinstance(data, bytes), "bytes are wanted"
        compare(f"{len(symbols)} symbols, coded and decoded",
                torch.tensor(decode(data, tables)), torch.tensor(symbols))
        bits = sum(math.log2(sum(table) / table[symbol])
                   for table, symbol in zip(tables, symbols, strict=True))
        assert 8 * len(data) <= bits + 16, (
            f"{len(data)} bytes for {bits:.1f} bits: more than two too many")


@check
def ideal(function):
    """the bits that no coder can go below"""
    compare("bits of shares of 1/4, 1/2 and 1/8, together", float(
        function([0, 1, 0], [[1, 3], [2, 2], [1, 7]])), 6.0)
