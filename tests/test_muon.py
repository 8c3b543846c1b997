"""Muon against a singular value decomposition and PyTorch's own."""

import pytest
import torch
from torch import nn

from pixellab.priors.gpt import GPT
from pixellab.priors.pixelcnn import PixelCNN
from pixellab.training import muon


@pytest.mark.parametrize("shape", [(8, 8), (6, 20), (20, 6)])
def test_singular_values_come_near_one(shape):
    torch.manual_seed(0)
    matrix = torch.randn(shape, dtype=torch.float64)
    u, _, v = torch.linalg.svd(matrix, full_matrices=False)
    found = u.T @ muon.orthogonal(matrix) @ v.T
    sizes = found.diagonal()
    assert ((sizes > 0.6) & (sizes < 1.25)).all()
    torch.testing.assert_close(found, torch.diag(sizes))  # the same vectors


@pytest.mark.skipif(not hasattr(torch.optim, "Muon"),
                    reason="this PyTorch has no Muon")
def test_it_moves_as_the_one_of_pytorch():
    torch.manual_seed(0)
    ours, theirs = (nn.Parameter(torch.ones(12, 30)) for _ in range(2))
    ours_steps = muon.Muon([ours], lr=0.01)
    their_steps = torch.optim.Muon([theirs], lr=0.01, weight_decay=0,
                                   adjust_lr_fn="match_rms_adamw")
    for _ in range(6):
        ours.grad = torch.randn(12, 30)
        theirs.grad = ours.grad.clone()
        before = ours.detach().clone()
        ours_steps.step()
        their_steps.step()
        moved = (ours - before).detach()
        apart = (ours - theirs).detach()
        assert apart.norm() < 0.1 * moved.norm() * 6  # theirs rounds to bf16


def test_a_kernel_moves_as_its_matrix():
    torch.manual_seed(0)
    kernel = nn.Parameter(torch.randn(6, 4, 2, 3))
    matrix = nn.Parameter(kernel.detach().flatten(1).clone())
    kernel.grad = torch.randn(6, 4, 2, 3)
    matrix.grad = kernel.grad.flatten(1).clone()
    for parameter in (kernel, matrix):
        muon.Muon([parameter], lr=0.1).step()
    assert torch.equal(kernel.flatten(1), matrix)


@pytest.mark.parametrize("net", [
    GPT(4, (4, 4), width=8, layers=2, heads=2),
    PixelCNN(4, (4, 4), width=8, head=8)], ids=["gpt", "pixelcnn"])
def test_each_parameter_has_one_optimizer(net):
    both = muon.optimizers(net, 1e-3, "muon")
    groups = [{id(one) for group in each.param_groups
               for one in group["params"]} for each in both]
    assert not groups[0] & groups[1]
    assert groups[0] | groups[1] == set(map(id, net.parameters()))
    names = {name for name, one in net.named_parameters()
             if id(one) in groups[0]}
    assert names and all(name.startswith("blocks.")
                         and name.endswith(".weight") for name in names)
    assert not any("norm" in name or "label" in name for name in names)
    adam, = muon.optimizers(net, 1e-3)
    assert isinstance(adam, torch.optim.Adam)
