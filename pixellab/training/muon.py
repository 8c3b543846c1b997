"""Muon: momentum, straightened into the nearest orthogonal matrix.

Sources: Jordan et al., "Muon: An optimizer for hidden layers in neural
networks" (2024); Liu et al., "Muon is scalable for LLM training" (2025), the
size of a step. torch.optim.Muon computes in bf16, which is slow where a
processor has none, and takes no convolutions.
"""

import torch
from torch import nn


class Muon(torch.optim.Optimizer):
    """For matrices (out, in) and kernels (out, in, rows, columns); `lr` means
    what it means for Adam."""

    def __init__(self, parameters, lr, momentum=0.95):
        super().__init__(parameters, {"lr": lr, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self.move(parameter, group["lr"], group["momentum"])

    def move(self, parameter, lr, momentum):
        state, gradient = self.state[parameter], parameter.grad
        if not state:
            state["mean"] = torch.zeros_like(gradient)
        state["mean"].lerp_(gradient, 1 - momentum)
        ahead = gradient.lerp(state["mean"], momentum)  # as Nesterov
        change = orthogonal(ahead.flatten(1))
        size = 0.2 * max(change.shape) ** 0.5  # entries as large as Adam's
        parameter.sub_(change.view_as(parameter), alpha=lr * size)


def orthogonal(matrix, steps=5):
    """The matrix with all singular values brought near 1 (0.7 to 1.2), by a
    polynomial of odd degree: products alone, no decomposition."""
    x = matrix if matrix.shape[0] <= matrix.shape[1] else matrix.T
    x = x / x.norm().clamp(min=1e-7)
    for _ in range(steps):
        square = x @ x.T
        x = 3.4445 * x + (-4.7750 * square + 2.0315 * square @ square) @ x
    return x if x.shape == matrix.shape else x.T


def optimizers(net, lr, kind="adam"):
    """[Adam] for all parameters; with kind "muon" [Muon, Adam]: the first for
    the layers inside `blocks`, the second for the rest (what enters, what
    leaves, embeddings, scales)."""
    matrices = [] if kind == "adam" else [
        module.weight for name, module in net.named_modules()
        if "blocks." in name and isinstance(module, nn.Linear | nn.Conv2d)]
    chosen = set(map(id, matrices))
    others = [parameter for parameter in net.parameters()
              if id(parameter) not in chosen]
    return [*([Muon(matrices, lr)] if matrices else []),
            torch.optim.Adam(others, lr=lr)]
