"""Are the samples digits, the digits asked for, and not copies?

1,000 class-conditional samples (100 a class, temperature 1, no filter).
Agreement: the share that the judge reads as asked, beside its accuracy on
real validation digits, as they are and as the model's tokenizer shows them.
Memorisation: the share whose nearest training digit (Euclidean distance of
pixels, 58,000 digits, shown by the same tokenizer) is nearer than the median
over the validation digits; 50 % is what new digits would give, much more
would mean copies (both sets hold equally many of each class: that matters, as
ones are nearer to each other than eights). Copies are at distance zero.
"""

import torch

from pixellab import classify, data, load

NAMES = ("pixelcnn", "gpt", "gpt-live", "symbols", "patches")
A_CLASS, SEED = 100, 0


def nearest(images, others):
    """Distance to the nearest of `others` (M, D), for each image: (N,)."""
    return torch.cat([torch.cdist(part.flatten(1).float(), others
                                  ).amin(dim=1) for part in images.split(100)])


def share(right):
    return round(right.double().mean().item(), 4)


def measure():
    judge, labels = classify.load("judge"), torch.arange(10 * A_CLASS) % 10
    valid, truth = data.mnist("valid")
    results = {"judge_on_real_digits": share(judge.read(valid) == truth),
               "samples": len(labels), "seed": SEED}
    for name in NAMES:
        model = load(name, device="cpu")
        images = model.sample(labels=labels, seed=SEED, progress=True)
        right = judge.read(images) == labels
        shown = model.reconstruct(valid)
        train = model.reconstruct(data.mnist("train")[0]).flatten(1).float()
        distance = nearest(images, train)
        results[name] = {
            "agreement": share(right),
            "agreement_by_class": [share(right[labels == digit])
                                   for digit in range(10)],
            "judge_on_real_digits_as_shown":
                share(judge.read(shown) == truth),
            "nearer_than_median":
                share(distance < nearest(shown, train).median()),
            "copies": int((distance < 1).sum())}
    return results
