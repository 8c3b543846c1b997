"""Are the samples digits, the digits asked for, and not copies?

1,000 class-conditional samples (100 a class, temperature 1, no filter).
Agreement: the share that the judge reads as asked, beside its accuracy on
real validation digits. Memorisation: the share whose nearest training digit
(Euclidean distance of pixels, 58,000 digits) is nearer than the median over
the validation digits; 50 % is what new digits would give, much more would
mean copies (both sets hold equally many of each class: that matters, as ones
are nearer to each other than eights). Copies are at distance zero.
"""

import torch

from pixellab import classify, data, load

NAMES, A_CLASS, SEED = ("pixelcnn", "gpt", "gpt-live"), 100, 0


def nearest(images, others):
    """Distance to the nearest of `others` (M, 784), for each image: (N,)."""
    return torch.cat([torch.cdist(part.flatten(1).float(), others
                                  ).amin(dim=1) for part in images.split(100)])


def measure():
    train = data.mnist("train")[0].flatten(1).float()
    valid, truth = data.mnist("valid")
    judge = classify.load("judge")
    median = nearest(valid, train).median()
    labels = torch.arange(10 * A_CLASS) % 10
    real = (judge.read(valid) == truth).double().mean().item()
    results = {"judge_on_real_digits": round(real, 4),
               "samples": len(labels), "seed": SEED}
    for name in NAMES:
        images = load(name, device="cpu").sample(labels=labels, seed=SEED,
                                                 progress=True)
        right = judge.read(images) == labels
        distance = nearest(images, train)
        near = (distance < median).double().mean().item()
        results[name] = {
            "agreement": round(right.double().mean().item(), 4),
            "agreement_by_class": [round(right[labels == digit].double()
                                         .mean().item(), 2)
                                   for digit in range(10)],
            "nearer_than_median": round(near, 4),
            "copies": int((distance < 1).sum())}
    return results
