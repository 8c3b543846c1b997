"""Are the samples digits, the digits asked for, as varied as real, no copies?

5,000 class-conditional samples a model (500 a class, temperature 1, no
filter), and from them:

Agreement: the share that the judge reads as asked, beside its accuracy on
real validation digits, as they are and as the model's tokenizer shows them.

Frechet distance (Heusel et al., 2017) between the judge's 96 features of
1,000 samples (100 a class) and of 20,000 training digits (2,000 a class): the
median of the five disjoint sets of 1,000. The distance of so few is never
zero, so the floor is measured in the same way: five sets of 1,000 other
training digits, 100 a class. The ratio is distance / floor; 1 would be real
digits. "As shown": all real digits as the model's tokenizer shows them, which
leaves what the prior does wrong.

Classifier: a small network that learns digits from the samples alone, and
its accuracy on the 2,000 real validation digits; beside it the same with
5,000 real training digits, 500 a class.

Memorisation, of the first 1,000: the share whose nearest training digit
(Euclidean distance of pixels, 58,000 digits, shown by the same tokenizer) is
nearer than the median over the validation digits; 50 % is what new digits
would give, much more would mean copies (both sets hold equally many of each
class: that matters, as ones are nearer to each other than eights). Copies
are at distance zero.
"""

import functools
import statistics

import torch
import torch.nn.functional as F
from tqdm import tqdm

from benchmarks._tools import (
    SEED,
    drawn,
    fingerprint,
    kept,
    share,
    shown,
    training_digits,
)
from pixellab import classify, data, load

NAMES = ("pixelcnn", "gpt", "gpt-live", "symbols", "patches")
SAMPLES, SET, SETS, REFERENCE = 5_000, 1_000, 5, 20_000
RECIPE = {"width": 16, "epochs": 8, "batch_size": 50, "lr": 4e-3, "shift": 2}


@torch.no_grad()
def features(images):
    """What the judge sees: float64 (N, 96)."""
    judge = classify.reader("judge")
    return torch.cat([judge.features(part) for part in images.split(500)]
                     ).double()


def frechet(some, others):
    """Between two Gaussians with the means and covariances of these features
    (N, D) and (M, D): a float, zero for equal ones."""
    (mean, covariance), (other, spread) = (
        (x.mean(dim=0), x.T.cov()) for x in (some, others))
    values, vectors = torch.linalg.eigh(covariance)
    root = vectors * values.clamp(min=0).sqrt() @ vectors.T
    cross = torch.linalg.eigvalsh(root @ spread @ root).clamp(min=0).sqrt()
    return ((mean - other).square().sum() + covariance.trace()
            + spread.trace() - 2 * cross.sum()).item()


def distances(seen, reference):
    """Of each set of SET to the reference: a list."""
    return [round(frechet(part, reference), 4) for part in seen.split(SET)]


def real(model=None):
    """(the reference, the sets of the floor): features of training digits,
    with a model as its tokenizer shows them."""
    parts = (training_digits(REFERENCE // 10)[0],
             training_digits(SET * SETS // 10, REFERENCE // 10)[0])
    return [features(shown(model, part) if model else part) for part in parts]


def shifted(images, amount, generator):
    """All moved by one random step of up to `amount` pixels each way (real
    digits have an empty margin of four)."""
    move = torch.randint(-amount, amount + 1, (2,), generator=generator)
    return images.roll(move.tolist(), dims=(1, 2))


def learned_from(images, labels):
    """A classifier that has seen nothing else."""
    torch.manual_seed(SEED)
    generator = torch.Generator().manual_seed(SEED)
    net = classify.Classifier(RECIPE["width"]).train()
    steps = -(-len(images) // RECIPE["batch_size"])
    optimizer = torch.optim.Adam(net.parameters())
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, RECIPE["lr"], RECIPE["epochs"] * steps)
    for _ in tqdm(range(RECIPE["epochs"]), desc="classifier"):
        order = torch.randperm(len(images), generator=generator)
        for chosen in order.split(RECIPE["batch_size"]):
            logits = net(shifted(images[chosen], RECIPE["shift"], generator))
            loss = F.cross_entropy(logits, labels[chosen])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    return net.eval()


def taught(images, labels):
    """How well it then reads the real validation digits."""
    valid, truth = data.mnist("valid")
    return share(learned_from(images, labels).read(valid) == truth)


def nearest(images, others):
    """Distance to the nearest of `others` (M, D), for each image: (N,)."""
    return torch.cat([torch.cdist(part.flatten(1).float(), others
                                  ).amin(dim=1) for part in images.split(100)])


def memorised(model, images):
    train, valid = (shown(model, data.mnist(split)[0])
                    for split in ("train", "valid"))
    train = train.flatten(1).float()
    distance = nearest(images, train)
    return {"nearer_than_median": share(
                distance < nearest(valid, train).median()),
            "copies": int((distance < 1).sum())}


def agreement(images, labels, judge):
    right = judge.read(images) == labels
    return {"agreement": share(right), "agreement_by_class": [
        share(right[labels == digit]) for digit in range(10)]}


def quality(name, reference, floor):
    """All of one model; reference and floor: of real digits as they are."""
    judge, model = classify.reader("judge"), load(name, device="cpu")
    images, labels = drawn(name, SAMPLES), torch.arange(SAMPLES) % 10
    seen = features(images)
    plain = distances(seen, reference)
    reference, others = real(model)
    as_shown = statistics.median(distances(seen, reference))
    floor_as_shown = statistics.median(distances(others, reference))
    valid, truth = data.mnist("valid")
    return {
        **agreement(images, labels, judge),
        "judge_on_real_digits_as_shown": share(
            judge.read(shown(model, valid)) == truth),
        "frechet": statistics.median(plain), "frechet_sets": plain,
        "frechet_ratio": round(statistics.median(plain) / floor, 2),
        "frechet_as_shown": as_shown, "floor_as_shown": floor_as_shown,
        "frechet_ratio_as_shown": round(as_shown / floor_as_shown, 2),
        "classifier_accuracy": taught(images, labels),
        **memorised(model, images[:SET])}


def measure():
    reference, others = real()
    sets = distances(others, reference)
    floor = statistics.median(sets)
    valid, truth = data.mnist("valid")
    recipe = tuple(RECIPE.values())
    return {
        "samples": SAMPLES, "seed": SEED, "judge_on_real_digits": share(
            classify.reader("judge").read(valid) == truth),
        "frechet": {"features": reference.shape[1], "n": SET, "sets": SETS,
                    "reference": REFERENCE, "floor": floor,
                    "floor_sets": sets},
        "classifier": {
            "recipe": RECIPE, "trained_on": SAMPLES,
            "on_real_digits": kept(
                "samples", "classifier", recipe,
                lambda: taught(*training_digits(SAMPLES // 10)))},
        **{name: kept("samples", name, (fingerprint(name), recipe),
                      functools.partial(quality, name, reference, floor))
           for name in NAMES}}
