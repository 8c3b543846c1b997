"""The transformer: causality, cache, labels, and the traps of its kind."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from pixellab import sampling
from pixellab.priors.gpt import GPT, Linear, SelfAttention, neighbours
from pixellab.recipes import TransformerSettings
from pixellab.tokenizers.pixels import Pixels
from pixellab.training.run import new_prior

GRID, VOCABULARY, CLASSES = (5, 4), 7, 3
PLACES = GRID[0] * GRID[1]


def small(window=2, dropout=0.0, **settings):
    """A GPT with random weights that react strongly, in float64."""
    torch.manual_seed(0)
    net = GPT(VOCABULARY, GRID, width=12, layers=3, heads=3, window=window,
              embedding=4, dropout=dropout, num_classes=CLASSES, **settings)
    for parameter in net.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    return net.double().eval()


def some_tokens(count=4):
    generator = torch.Generator().manual_seed(1)
    return torch.randint(VOCABULARY, (count, PLACES), generator=generator)


# The whole past with a key for each head; half of it with one for all.
MEMORIES = [{}, {"spacing": 2, "shared": True}]
LABELS = torch.tensor([0, 1, CLASSES, 2])  # the third is the null class


def test_attention_is_a_weighted_mean_over_the_past():
    torch.manual_seed(0)
    attention, x = SelfAttention(6, 2).double(), torch.randn(1, 5, 6).double()
    q, k, v = (each[0] for each in attention.split(x))  # (heads, T, 3)
    rows = []
    for t in range(5):
        heads = []
        for h in range(2):
            scores = [q[h, t] @ k[h, s] / math.sqrt(3) for s in range(t + 1)]
            shares = torch.softmax(torch.stack(scores), dim=0)
            heads.append(shares @ v[h, :t + 1])
        rows.append(attention.out(torch.cat(heads)))
    torch.testing.assert_close(attention(x)[0], torch.stack(rows))


@pytest.mark.parametrize("window, memory", [
    (None, {}), (1, {}), (2, {}), (3, {}), (2, {"spacing": 2}),
    (3, {"spacing": 3, "shared": True})])
def test_no_logit_sees_its_own_or_a_later_token(window, memory):
    net, tokens = small(window, **memory), some_tokens()
    before = net(tokens, LABELS)
    for place in range(PLACES):
        changed = tokens.clone()
        changed[:, place] = (changed[:, place] + 1) % VOCABULARY
        moved = (net(changed, LABELS) - before).abs().amax(dim=(0, 2)) > 1e-9
        assert not moved[:place + 1].any()
        assert moved[place + 1:].all()  # and every later one does see it


@pytest.mark.parametrize("window, memory", [
    (None, {}), (1, {}), (2, {}), (3, {"spacing": 3, "shared": True})])
def test_cached_sampling_draws_the_same_tokens(window, memory):
    net = small(window, **memory)
    uniforms = sampling.uniform_numbers(4, PLACES, seed=3)
    cached = sampling.sample(net, LABELS, uniforms)
    naive = sampling.sample(net, LABELS, uniforms, cached=False)
    assert torch.equal(cached, naive)
    assert len(cached.unique()) > 2  # a drawing, not a flat colour


@pytest.mark.parametrize("memory", MEMORIES + [
    {"spacing": 3, "window": 3}, {"shared": True}])
@pytest.mark.parametrize("fixed, compiled", [
    (False, False), (True, False), (True, True)])
def test_steps_give_the_logits_of_the_parallel_pass(fixed, compiled, memory):
    """`fixed` is how the cache works on a GPU: its shapes never change."""
    net, tokens = small(**memory), some_tokens()
    expected = net(tokens, LABELS)
    if compiled:  # "eager": the graph is captured whole, without a compiler
        net.decode = torch.compile(net.decode, backend="eager",
                                   fullgraph=True)
    cache, previous = net.start(LABELS), None
    cache.fixed = fixed
    for place in range(PLACES):
        logits = net.step(cache, previous)
        torch.testing.assert_close(logits, expected[:, place])
        previous = tokens[:, place]


def test_full_precision_asks_for_no_autocast(monkeypatch):
    """Older versions of PyTorch have none for the GPUs of Macs."""
    monkeypatch.setattr(torch, "autocast", None)
    net, tokens = small(), some_tokens()
    torch.testing.assert_close(net.step(net.start(LABELS)),
                               net(tokens, LABELS)[:, 0])


def test_a_cache_of_half_precision_serves():
    net, tokens = small().float(), some_tokens()
    cache, previous = net.start(LABELS), None
    cache.fixed, cache.kv = True, cache.kv.half()
    expected = net(tokens, LABELS)
    for place in range(PLACES):  # as on a GPU: float16, fixed shapes
        logits = net.step(cache, previous)
        assert logits.dtype == torch.float32
        torch.testing.assert_close(logits, expected[:, place], rtol=0.02,
                                   atol=0.1)
        previous = tokens[:, place]


@pytest.mark.parametrize("memory", MEMORIES)
def test_a_prefix_gives_the_first_logits(memory):
    net, tokens = small(**memory), some_tokens()
    torch.testing.assert_close(net(tokens[:, :6], LABELS),
                               net(tokens, LABELS)[:, :6])


def test_images_of_a_batch_do_not_mix():
    net, tokens = small(), some_tokens()
    together = net(tokens, LABELS)
    for i in range(4):
        torch.testing.assert_close(together[i:i + 1],
                                   net(tokens[i:i + 1], LABELS[i:i + 1]))


def test_labels_change_predictions_and_are_never_drawn():
    net, tokens = small(), some_tokens(1).expand(CLASSES + 1, -1)
    logits = net(tokens, torch.arange(CLASSES + 1))
    assert logits.shape[-1] == VOCABULARY  # labels have no logit
    assert len(logits[:, 0].unique(dim=0)) == CLASSES + 1


def test_a_model_without_labels():
    net = GPT(VOCABULARY, GRID, width=8, layers=1, heads=2, num_classes=0)
    assert net(some_tokens(), torch.zeros(4, dtype=torch.int64)).isfinite(
        ).all()


def test_dropout_acts_in_training_alone():
    net, tokens = small(dropout=0.5), some_tokens()
    torch.testing.assert_close(net(tokens, LABELS), net(tokens, LABELS))
    net.train()
    assert not torch.equal(net(tokens, LABELS), net(tokens, LABELS))


@pytest.mark.parametrize("window", [None, 2])
def test_every_parameter_learns(window):
    net, tokens = small(window).train(), some_tokens()
    F.cross_entropy(net(tokens, LABELS).flatten(0, 1),
                    tokens.flatten()).backward()
    unused = [name for name, parameter in net.named_parameters()
              if not parameter.grad.any()]
    assert unused == []


def test_it_starts_near_the_uniform_distribution():
    """A network that is sure of nothing costs log2(vocabulary) bits."""
    torch.manual_seed(0)
    net, tokens = GPT(256, (14, 14)), torch.randint(256, (4, 196))
    nats = F.cross_entropy(net(tokens, LABELS).flatten(0, 1),
                           tokens.flatten())
    assert abs(nats.item() - math.log(256)) < 0.15


def test_no_table_of_all_pairs_of_places():
    """Attention at 784 places must not write 784 x 784 numbers a head."""
    net = GPT(16, (28, 28), width=32, layers=1, heads=4).eval()
    largest = []

    class Watch(TorchDispatchMode):
        def __torch_dispatch__(self, function, types, arguments, keywords):
            result = function(*arguments, **(keywords or {}))
            for value in result if isinstance(result, tuple) else [result]:
                if torch.is_tensor(value):
                    largest.append(value.numel())
            return result

    with torch.no_grad(), Watch():
        net(torch.zeros(1, 784, dtype=torch.int64), torch.tensor([0]))
    assert 784 * 32 <= max(largest) < 784 * 784


def test_neighbours_are_the_tokens_within_the_window():
    assert neighbours(28, None) == [1]
    assert neighbours(28, 1) == [1, 27, 28, 29]
    # narrow rows: the same place is never told twice
    assert neighbours(4, 2) == [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]


@pytest.mark.parametrize("grid", [(1, 1), (1, 7), (7, 1), (2, 2)])
def test_grids_of_any_shape(grid):
    torch.manual_seed(0)
    net = GPT(5, grid, width=8, layers=1, heads=2, window=3).double().eval()
    uniforms = sampling.uniform_numbers(2, grid[0] * grid[1])
    labels = torch.tensor([1, 10])
    assert torch.equal(
        sampling.sample(net, labels, uniforms),
        sampling.sample(net, labels, uniforms, cached=False))


@pytest.mark.parametrize("settings", [
    {"width": 10, "heads": 3}, {"window": 0}, {"window": -1},
    {"spacing": 0}, {"spacing": 3}, {"spacing": 2, "window": None}])
def test_shapes_that_cannot_be(settings):
    with pytest.raises(ValueError, match="the . heads, and win|spacing is"):
        GPT(5, (3, 3), **{"width": 9, "heads": 3, **settings})


@pytest.mark.parametrize("shape", [(1, 1, 12), (64, 1, 12), (5, 40, 12)])
def test_fast_linear_layers_are_linear_layers(shape):
    torch.manual_seed(0)
    layer = Linear(12, 7)
    x = torch.randn(shape)
    expected = layer(x)  # with gradients: PyTorch's own
    assert expected.requires_grad
    with torch.no_grad():
        torch.testing.assert_close(layer(x), expected.detach())
        exact = layer.double()(x.double())
    torch.testing.assert_close(exact.float(), expected.detach())


def test_a_network_that_remembers_every_second_place():
    """Every place but the next few is seen through those that are kept."""
    net = new_prior(TransformerSettings(layers=3, spacing=2, shared=True),
                    Pixels(), num_classes=10)
    assert net.config["spacing"] <= net.config["window"]
    assert sum(one.numel() for one in net.parameters()) <= 1.2e6
    torch.manual_seed(0)
    net = GPT(4, (28, 28), **{
        **{key: net.config[key] for key in (
            "layers", "window", "spacing", "shared", "num_classes")},
        "width": 8, "heads": 2, "embedding": 4}).double().eval()
    tokens = torch.randint(4, (1, 784))
    before = net(tokens, torch.tensor([3]))
    for place in (0, 1, 300, 431, 767, 781, 782):
        changed = tokens.clone()
        changed[:, place] = (changed[:, place] + 1) % 4
        moved = (net(changed, torch.tensor([3])) != before).any(dim=2)[0]
        assert not moved[:place + 1].any() and moved[place + 1:].all()
