"""What does choosing the best 8 of 64 do to the digits of `symbols`?

Ten pools a class of 64 digits each, temperature 0.8; the reranker keeps 8 of
each pool. Agreement with the class asked for, as the judge reads (it learned
from other digits and chooses nothing), of all 6,400 digits and of the 800
kept; the reranker's own agreement stands beside it, to show why it must not
grade itself. Diversity: the Euclidean distance of each kept digit to the
nearest of the other seven (1 is a pixel that differs), against eight digits
of the same pool taken without choosing, and against eight validation digits.
"""

import torch

from benchmarks._tools import share
from pixellab import classify, data, load
from pixellab.recipes import readers

POOLS, DRAWN, KEPT, TEMPERATURE = 10, 64, 8, 0.8


def spread(images):
    """Mean distance to the nearest of the others, in pixels' sides."""
    flat = images.flatten(1).double() / 255
    distance = torch.cdist(flat, flat).fill_diagonal_(torch.inf)
    return distance.amin(dim=1).mean()


def measure():
    model = load("symbols", device="cpu")
    both = {name: classify.reader(name) for name in readers()}
    valid, truth = data.mnist("valid")
    shown = model.reconstruct(valid)
    drawn, kept, labels = [], [], torch.arange(10)
    spreads = {"kept": [], "as_drawn": [], "real": []}
    for label in labels.tolist():
        for pool in range(POOLS):
            images = model.finish(model.stream(
                labels=[label] * DRAWN, temperature=TEMPERATURE, seed=pool,
                first=label * DRAWN))  # as `sample` with best_of draws them
            best, _ = classify.rerank(images, label, KEPT)
            drawn.append(images)
            kept.append(best)
            real = shown[truth == label][KEPT * pool:][:KEPT]
            for name, eight in (("kept", best), ("real", real),
                                ("as_drawn", images[:KEPT])):
                spreads[name].append(spread(eight))
        print(f"class {label} done", flush=True)
    drawn, kept = torch.cat(drawn), torch.cat(kept)
    groups = {
        "real_digits_as_symbols": (shown, truth),
        "before": (drawn, labels.repeat_interleave(POOLS * DRAWN)),
        "after": (kept, labels.repeat_interleave(POOLS * KEPT))}
    results = {"pools_a_class": POOLS, "drawn": len(drawn),
               "kept": len(kept), "temperature": TEMPERATURE}
    for name, reader in both.items():
        results[name] = {
            group: share(reader.read(images) == asked)
            for group, (images, asked) in groups.items()}
    results["distance_to_the_nearest_of_eight"] = {
        name: round(torch.stack(values).mean().item(), 3)
        for name, values in spreads.items()}
    return results
