"""The page on which the GPT runs in the reader's browser.

First the proof that its JavaScript computes what the package computes.
"""

import base64
import statistics
import time

import numpy as np
import pytest
import test_browser
import torch
from test_browser import CHROMIUM

import pixellab as pl
from pixellab.explore import script

pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="no Chromium on this machine")
browser, served = test_browser.browser, test_browser.served
WEIGHTS = pl.weights.FOLDER / "gpt-live.safetensors"
NONE = 10  # the label that stands for none


@pytest.fixture(scope="module")
def model():
    return pl.load("gpt-live", device="cpu")


@pytest.fixture(scope="module")
def network(browser, tmp_path_factory):
    """An empty page with the network: `start(label)` and the filters."""
    empty = tmp_path_factory.mktemp("live") / "empty.html"
    empty.write_text("<!doctype html><title>empty</title>")
    page = browser.new_page()
    page.goto(empty.as_uri())
    page.add_script_tag(content=script("filter", "gpt"))
    page.evaluate(
        """async (text) => {
             const bytes = Uint8Array.from(atob(text), c => c.charCodeAt(0));
             window.start = gpt(await readWeights(bytes));
           }""", base64.b64encode(WEIGHTS.read_bytes()).decode())
    yield page
    page.close()


@pytest.fixture
def digits(sample_data, model):
    images, labels = pl.data.mnist("valid")
    return model.tokenizer.encode(images[:200]), labels[:200]


@pytest.mark.parametrize("number, labelled", [(0, True), (150, False)])
def test_logits_are_those_of_pytorch(network, model, digits, number,
                                     labelled):
    tokens = digits[0][number:number + 1]
    label = int(digits[1][number]) if labelled else NONE
    with torch.no_grad():
        expected = model.prior(tokens, torch.tensor([label]))[0]
    logits = network.evaluate(
        """([tokens, label]) => {
             const step = start(label);
             return tokens.map((_, place) => [...step(tokens[place - 1])]);
           }""", [tokens[0].tolist(), label])
    assert (torch.tensor(logits) - expected).abs().max() < 1e-3


SETTINGS = [{}, {"temperature": 0.7}, {"temperature": 1.2, "top_p": 0.9},
            {"top_k": 8}]


@pytest.mark.parametrize("number", range(len(SETTINGS)))
def test_the_same_uniforms_draw_the_same_tokens(network, model, number):
    """Up to the first draw so close to an edge that rounding decides."""
    settings, label = SETTINGS[number], number + 2
    uniforms = pl.sampling.uniform_numbers(1, 784, seed=number)
    expected = pl.sampling.sample(
        model.prior, torch.tensor([label]), uniforms, **settings)
    with torch.no_grad():
        logits = model.prior(expected, torch.tensor([label]))[0]
    cdf = pl.sampling.probabilities(logits, **settings).cumsum(dim=-1)
    close = (cdf - uniforms[0][:, None]).abs().amin(dim=-1) < 1e-4
    tokens = network.evaluate(
        """([label, uniforms, temperature, topK, topP]) => {
             const step = start(label);
             let token;
             return uniforms.map((uniform) => token = draw(
               probabilities(step(token), temperature, topK, topP), uniform));
           }""", [label, uniforms[0].tolist(), settings.get("temperature", 1),
                  settings.get("top_k", 256), settings.get("top_p", 1)])
    differ = (torch.tensor(tokens) != expected[0]).nonzero().flatten()
    first = int(differ[0]) if len(differ) else 784
    print(f"{settings}: the first {first} of 784 tokens are equal, "
          f"{int(close.sum())} draws lie close to an edge")
    assert first == 784 or close[first]
    assert len(set(tokens)) > 5  # not an empty picture


def test_filters_agree_with_python(network):
    generator = torch.Generator().manual_seed(0)
    # (of 41: no number of equal ones reaches exactly 0.1 or 0.9)
    logits = torch.cat([
        5 * torch.randn(4, 41, generator=generator, dtype=torch.float64),
        torch.randint(0, 3, (3, 41), generator=generator).double(),  # ties
        torch.zeros(1, 41, dtype=torch.float64),
        torch.linspace(-1e4, 1e4, 41, dtype=torch.float64)[None]])
    uniforms = torch.rand(len(logits), generator=generator,
                          dtype=torch.float64)
    for temperature in (0, 0.3, 1, 2):
        for top_k in (1, 5, None):
            for top_p in (0.1, 0.9, 1.0):
                probs = pl.sampling.probabilities(
                    logits, temperature, top_k, top_p)
                found = network.evaluate(
                    """([logits, uniforms, ...settings]) =>
                         logits.map((row, i) => {
                           const probs = probabilities(row, ...settings);
                           return [[...probs], draw(probs, uniforms[i])];
                         })""",
                    [logits.tolist(), uniforms.tolist(), temperature,
                     top_k or 256, top_p])
                rows = torch.tensor([row for row, _ in found],
                                    dtype=torch.float64)
                assert (rows - probs).abs().max() < 1e-12
                assert [token for _, token in found] == (
                    pl.sampling.draw(probs, uniforms).tolist())


def test_a_digit_takes_no_longer_than_in_pytorch(network, model):
    """In turn, on one thread, because the machine may be busy."""
    def javascript():
        return network.evaluate(
            """() => {
                 const begin = performance.now(), step = start(3);
                 let token;
                 for (let place = 0; place < 784; place++)
                   token = draw(probabilities(step(token)), Math.random());
                 return (performance.now() - begin) / 1000;
               }""")

    def pytorch():
        begin = time.perf_counter()
        model.sample(labels=[3])
        return time.perf_counter() - begin

    javascript()  # compiles
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        times = np.array([(javascript(), pytorch()) for _ in range(3)])
    finally:
        torch.set_num_threads(threads)
    browser_time, torch_time = map(statistics.median, times.T)
    print(f"a digit: {browser_time:.2f} s in the browser, {torch_time:.2f} s "
          f"in PyTorch, ratio {browser_time / torch_time:.2f}")
    assert browser_time <= 1.5 * torch_time


@pytest.mark.parametrize("damage", [
    lambda data: b"", lambda data: data[:5000], lambda data: data[:-1],
    lambda data: data[:-9] + bytes([data[-9] ^ 1]) + data[-8:],
    lambda data: b"\x89PNG" + bytes(100),
    lambda data: (pl.weights.FOLDER / "reranker.safetensors").read_bytes()],
    ids=["empty", "cut", "a byte short", "a bit", "a PNG", "no GPT"])
def test_a_damaged_file_gives_one_clear_message(network, damage):
    data = base64.b64encode(damage(WEIGHTS.read_bytes())).decode()
    message = network.evaluate(
        """(text) => readWeights(Uint8Array.from(atob(text),
             c => c.charCodeAt(0))).then(() => "", error => error.message)""",
        data)
    assert message == ("The file of weights is damaged, or not one of a GPT "
                       "of this book.")
