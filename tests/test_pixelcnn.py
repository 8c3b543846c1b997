"""PixelCNN against brute force."""

import pytest
import torch

from pixellab import sampling
from pixellab.priors.pixelcnn import MaskedConv2d, PixelCNN


def brute_force(conv, x, mask, channels):
    """The masked convolution, one multiplication at a time."""
    up, left = conv.kernel_size[0] - 1, conv.reach[0] // conv.dilation[0]
    batch, _, height, width = x.shape
    out = torch.zeros(batch, conv.out_channels, height, width,
                      dtype=x.dtype)
    for o in range(conv.out_channels):
        for i in range(height):
            for j in range(width):
                total = conv.bias[o].clone().expand(batch)
                for c in range(conv.in_channels):
                    for a in range(conv.kernel_size[0]):
                        for b in range(conv.kernel_size[1]):
                            di = (a - up) * conv.dilation[0]
                            dj = (b - left) * conv.dilation[0]
                            if mask and di == 0:
                                earlier = c % channels < o % channels
                                same = c % channels == o % channels
                                if dj > 0 or dj == 0 and not (
                                        earlier or same and mask == "B"):
                                    continue
                            if 0 <= i + di < height and 0 <= j + dj < width:
                                total = total + conv.weight[o, c, a, b] \
                                    * x[:, c, i + di, j + dj]
                out[:, o, i, j] = total
    return out


@pytest.mark.parametrize("mask", ["A", "B", None])
@pytest.mark.parametrize("channels, dilation", [(1, 1), (3, 1), (1, 2)])
def test_masked_convolution_is_brute_force(mask, channels, dilation):
    torch.manual_seed(0)
    conv = MaskedConv2d(3, 6, up=1, left=2, right=1, mask=mask,
                        channels=channels, dilation=dilation).double()
    x = torch.randn(2, 3, 4, 5, dtype=torch.float64)
    torch.testing.assert_close(conv(x), brute_force(conv, x, mask, channels))


def tiny(channels=1, **config):
    torch.manual_seed(1)
    net = PixelCNN(**{"levels": 4, "size": (5, 6), "channels": channels,
                      "width": 36, "dilations": (1, 2), "head": 36, **config})
    for parameter in net.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    return net.double().eval()


@pytest.mark.parametrize("channels", [1, 3])
def test_no_logit_sees_its_own_or_a_later_token(channels):
    net = tiny(channels)
    length = 30 * channels
    tokens = torch.randint(4, (1, length))
    label = torch.tensor([3])
    before = net(tokens, label)
    for t in range(length):
        changed = tokens.clone()
        changed[0, t] = (tokens[0, t] + 1) % 4
        moved = (net(changed, label) != before).any(dim=-1)[0]
        assert not moved[:t + 1].any(), f"logit sees token {t} too early"
        if t + 1 < length:
            assert moved[t + 1], f"the next logit is blind to token {t}"


def test_there_is_no_blind_spot():
    net = tiny(size=(5, 5), dilations=(1, 1, 1, 1))
    x = torch.zeros(1, 25, dtype=torch.int64)
    last = net(x, torch.tensor([10]))[0, -1]
    for t in range(24):
        y = x.clone()
        y[0, t] = 3
        assert (net(y, torch.tensor([10]))[0, -1] != last).any(), t


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("dilations", [(1,), (1, 2, 4)])
def test_cached_sampling_draws_the_same_tokens(channels, dilations):
    net = tiny(channels, dilations=dilations)
    labels = torch.tensor([0, 7, 10])
    uniforms = sampling.uniform_numbers(3, 30 * channels, seed=5)
    settings = {"temperature": 0.9, "top_p": 0.95}
    cached = sampling.sample(net, labels, uniforms, **settings)
    naive = sampling.sample(net, labels, uniforms, cached=False, **settings)
    assert torch.equal(cached, naive)
    assert len(cached.unique()) == 4  # the test would pass on blank images


def test_steps_give_the_logits_of_the_parallel_pass():
    net = tiny().float()
    tokens = torch.randint(4, (2, 30))
    labels = torch.tensor([2, 10])
    cache, previous, steps = net.start(labels), None, []
    for t in range(30):
        steps.append(net.step(cache, previous))
        previous = tokens[:, t]
    parallel = net(tokens, labels)
    torch.testing.assert_close(torch.stack(steps, 1), parallel,
                               atol=1e-4, rtol=0)


def test_every_parameter_is_used():
    net = tiny()
    net(torch.randint(4, (2, 30)), torch.arange(2)).square().sum().backward()
    unused = [name for name, parameter in net.named_parameters()
              if parameter.grad is None or not parameter.grad.any()]
    assert unused == []


def test_label_changes_the_prediction():
    net = tiny()
    tokens = torch.randint(4, (1, 30)).expand(11, -1)
    logits = net(tokens, torch.arange(11))
    assert len({tuple(row) for row in logits[:, 0].tolist()}) == 11


def test_inputs_are_scaled_to_plus_minus_one():
    net = PixelCNN(levels=256)
    values = net.brightness(torch.tensor([0, 255]))
    assert values.tolist() == [-1.0, 1.0]


def test_weights_stay_whole_in_forward():
    conv = MaskedConv2d(1, 2, up=1, left=1, right=1, mask="A")
    before = conv.weight.clone()
    conv(torch.randn(1, 1, 4, 4))
    assert torch.equal(conv.weight, before)


def test_features_must_divide_among_colours():
    with pytest.raises(ValueError, match="multiples of 3"):
        PixelCNN(channels=3, width=64)


def seen_from(net, place):
    """Which of the pixels the logits of a place depend on: bool (T,)."""
    height, width = net.size
    image = torch.zeros(1, height * width, dtype=torch.float64,
                        requires_grad=True)
    net.brightness = lambda tokens: tokens
    logits = net(image, torch.tensor([net.num_classes]))[0, place]
    (logits * torch.randn(len(logits), dtype=torch.float64)).sum().backward()
    return image.grad[0] != 0


@pytest.mark.parametrize("settings", [
    {}, {"levels": 2, "num_classes": 0}])
def test_every_place_sees_every_earlier_one(settings):
    """With the dilations that are its default, 28 x 28."""
    torch.manual_seed(0)
    net = PixelCNN(**settings, width=6, head=6).double()
    for place in (0, 1, 27, 28, 29, 27 * 28 + 14, 783):
        seen = seen_from(net, place)
        assert seen[:place].all() and not seen[place:].any(), place
