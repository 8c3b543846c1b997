"""Samplers against exact distributions, likelihood against enumeration."""

import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pixellab import likelihood, sampling
from pixellab.priors.pixelcnn import PixelCNN


def random_logits(seed, rows=4, size=9):
    generator = torch.Generator().manual_seed(seed)
    return 3 * torch.randn(rows, size, generator=generator)


def by_hand(logits, temperature, top_k, top_p):
    """The three filters on one row, in plain Python."""
    weights = [math.exp(value / temperature) for value in logits]
    probs = [w / sum(weights) for w in weights]
    order = sorted(range(len(probs)), key=lambda i: -probs[i])
    kept = order[:top_k]
    if top_p is not None:
        mass = sum(probs[i] for i in kept)
        total, chosen = 0.0, []
        for i in kept:
            chosen.append(i)
            total += probs[i] / mass
            if total >= top_p - 1e-12:
                break
        kept = chosen
    mass = sum(probs[i] for i in kept)
    return [probs[i] / mass if i in kept else 0.0 for i in range(len(probs))]


@settings(deadline=None)
@given(st.integers(0, 10**6), st.floats(0.2, 3.0),
       st.one_of(st.none(), st.integers(1, 12)),
       st.one_of(st.none(), st.floats(0.01, 0.99)))
def test_filters_do_what_they_say(seed, temperature, top_k, top_p):
    logits = random_logits(seed).double()
    probs = sampling.probabilities(logits, temperature, top_k, top_p)
    for row, values in zip(probs, logits.tolist(), strict=True):
        expected = torch.tensor(by_hand(values, temperature, top_k, top_p),
                                dtype=torch.float64)
        torch.testing.assert_close(row, expected, atol=1e-9, rtol=0)


@pytest.mark.parametrize("temperature", [0.05, 0.3, 1.0])
@pytest.mark.parametrize("top_k", [None, 700])
def test_a_top_p_of_one_keeps_every_token(temperature, top_k):
    """Sums of many small numbers reach 1 before their last one."""
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(64, 1024, generator=generator).double()
    everything = sampling.probabilities(logits, temperature, top_k)
    kept = sampling.probabilities(logits, temperature, top_k, top_p=1.0)
    assert torch.equal(everything, kept)


def test_top_p_keeps_the_smallest_set_that_reaches_p():
    logits = torch.log(torch.tensor([[0.5, 0.3, 0.15, 0.05]]))
    kept = [int((sampling.probabilities(logits, top_p=p) > 0).sum())
            for p in (0.01, 0.45, 0.75, 0.9, 0.97, 1.0)]
    assert kept == [1, 1, 2, 3, 4, 4]


def test_temperature_zero_is_greedy():
    logits = random_logits(3)
    probs = sampling.probabilities(logits, temperature=0)
    assert torch.equal(probs.argmax(-1), logits.argmax(-1))
    assert torch.equal(probs.sum(-1), torch.ones(4, dtype=torch.float64))


def test_a_tiny_temperature_is_nearly_greedy():
    logits = random_logits(3)
    probs = sampling.probabilities(logits, temperature=1e-310)
    assert torch.equal(probs, sampling.probabilities(logits, temperature=0))


def test_damaged_logits_are_refused():
    with pytest.raises(ValueError, match="not finite"):
        sampling.probabilities(torch.tensor([[0.0, float("nan")]]))


@pytest.mark.parametrize("setting", [
    {"temperature": -1}, {"temperature": float("nan")},
    {"temperature": float("inf")}, {"top_k": 0}, {"top_p": 0},
    {"top_p": 1.5}, {"top_p": float("nan")}])
def test_settings_without_sense_are_refused(setting):
    with pytest.raises(ValueError, match="must"):
        sampling.probabilities(random_logits(0), **setting)


def test_draw_inverts_the_cdf():
    probs = torch.tensor([[0.25, 0.0, 0.5, 0.25]]).double()
    for u, token in ((0, 0), (0.2499, 0), (0.25, 2), (0.7499, 2), (0.75, 3),
                     (1 - 1e-16, 3)):
        uniform = torch.tensor([u], dtype=torch.float64)
        assert sampling.draw(probs, uniform) == token


def test_draw_never_returns_a_token_of_probability_zero():
    probs = torch.tensor([[0.0, 1.0, 0.0]]).double().expand(1000, 3)
    uniforms = torch.linspace(0, 1 - 1e-16, 1000, dtype=torch.float64)
    assert (sampling.draw(probs, uniforms) == 1).all()


def test_images_do_not_share_random_numbers():
    many = sampling.uniform_numbers(5, 7, seed=3)
    few = sampling.uniform_numbers(2, 7, seed=3)
    assert torch.equal(many[:2], few)
    assert len({tuple(row) for row in many.tolist()}) == 5
    assert not torch.equal(many, sampling.uniform_numbers(5, 7, seed=4))


def tiny_prior():
    """Three binary pixels in a row: eight images, all of them listed."""
    torch.manual_seed(2)
    net = PixelCNN(levels=2, size=(1, 3), width=4, dilations=(1,), head=8)
    for parameter in net.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    return net.double().eval()


EVERY = torch.tensor(list(itertools.product([0, 1], repeat=3)))


def test_probabilities_of_all_images_sum_to_one():
    for label in (0, 10):
        bits = likelihood.token_bits(tiny_prior(), EVERY,
                                     torch.full((8,), label)).sum(dim=1)
        assert (2 ** -bits).sum().item() == pytest.approx(1, abs=1e-6)


def test_colours_are_part_of_the_chain():
    """One pixel, three binary channels: eight images, their sum is one."""
    torch.manual_seed(3)
    net = PixelCNN(2, (1, 1), channels=3, width=6, dilations=(1,), head=6)
    for parameter in net.parameters():
        torch.nn.init.normal_(parameter)
    bits = likelihood.token_bits(net.double(), EVERY, torch.full((8,), 2))
    assert (2 ** -bits.sum(dim=1)).sum().item() == pytest.approx(1, abs=1e-6)
    assert (2 ** -bits.sum(dim=1)).std() > 0.02


def test_bits_are_the_chain_rule():
    net = tiny_prior()
    labels = torch.full((8,), 4)
    bits = likelihood.token_bits(net, EVERY, labels, batch_size=3)
    for image, cost in zip(EVERY, bits, strict=True):
        for t in range(3):
            logits = net(image[None], labels[:1])[0, t]
            expected = -torch.log2(torch.softmax(logits, 0)[image[t]])
            assert cost[t].item() == pytest.approx(expected.item(), abs=1e-5)


def test_samples_follow_the_exact_distribution():
    net, n = tiny_prior(), 20_000
    labels = torch.full((n,), 4)
    exact = 2 ** -likelihood.token_bits(net, EVERY, labels[:8]).sum(dim=1)
    tokens = sampling.sample(net, labels, sampling.uniform_numbers(n, 3))
    counts = torch.bincount(tokens @ torch.tensor([4, 2, 1]), minlength=8)
    chi_square = ((counts - n * exact) ** 2 / (n * exact)).sum().item()
    assert chi_square < 24.3  # 0.1 % of honest samplers exceed it (7 d.f.)


def test_a_prompt_is_kept_and_only_the_rest_is_drawn():
    net = tiny_prior()
    prompt = torch.tensor([[1, 0], [0, 1]])
    lengths = []
    for tokens in sampling.stream(net, torch.tensor([1, 2]),
                                  sampling.uniform_numbers(2, 3), prompt):
        lengths.append(tokens.shape[1])
    assert torch.equal(tokens[:, :2], prompt)
    assert lengths == [1, 2, 3]
