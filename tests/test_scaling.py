"""The page book/scaling: its arithmetic and its commands."""

import importlib.util
import re
import shlex
from pathlib import Path

import pytest
import torch
from accelerate.commands.launch import launch_command_parser
from torch.distributed.run import get_args_parser
from torch.utils.flop_counter import FlopCounterMode

from pixellab import cli, weights
from pixellab.model import models
from pixellab.parts import build
from pixellab.priors.gpt import GPT

BOOK = Path(__file__).resolve().parent.parent / "book"
spec = importlib.util.spec_from_file_location(
    "scaling", BOOK / "_ext" / "scaling.py")
scaling = importlib.util.module_from_spec(spec)
spec.loader.exec_module(scaling)


def count(run):
    """What PyTorch multiplies and adds in run()."""
    with FlopCounterMode(display=False) as counter:
        run()
    return counter.get_total_flops()


@pytest.mark.parametrize("name", models())
def test_the_formula_counts_what_a_shipped_prior_multiplies(name):
    config = weights.read(name).config
    with torch.device("meta"):
        prior = build("priors", config["prior"])
        length = build("tokenizers", config["tokenizer"]).length
        tokens = torch.zeros(1, length, dtype=torch.int64)
        label = torch.zeros(1, dtype=torch.int64)
    cost = scaling.cost(prior, length)
    assert count(lambda: prior(tokens, label)) == cost.forward
    # nothing asks for a gradient of the pixels that the PixelCNN reads
    assert count(lambda: prior(tokens, label).sum().backward()) \
        == pytest.approx(cost.training, rel=0 if name != "pixelcnn" else 0.01)


@pytest.mark.parametrize("memory", [{}, {"spacing": 2, "shared": True}])
def test_the_cache_is_as_large_as_the_page_says(memory):
    net = GPT(vocabulary=8, grid=(3, 5), width=16, layers=3, heads=2,
              **memory)
    cache = net.start(torch.tensor([0]))
    numbers = cache.kv[..., :-1, :].numel()  # the last slot is for scrap
    assert scaling.cost(net, 15).cache == 2 * numbers  # 16 bits each


def test_hours_are_operations_by_speed():
    second = scaling.Cost(scaling.PEAK * scaling.USED / 3 / scaling.IMAGES)
    assert scaling.hours(second) == pytest.approx(1 / 3600)


def commands():
    """The commands of the page, as lists of words."""
    blocks = re.findall(r"```bash\n(.*?)```", (BOOK / "scaling.md"
                                               ).read_text(), re.S)
    lines = "\n".join(blocks).replace("\\\n", "").splitlines()
    return [words for line in lines if (words := shlex.split(line, True))]


LAUNCHERS = {"accelerate launch": launch_command_parser,
             "torchrun": get_args_parser}


def test_every_command_of_the_page_is_understood():
    seen = []
    for words in commands():
        start = words.index("pixellab")
        assert cli.parse(words[start + 1:])
        launcher = " ".join(words[:2 if words[0] == "accelerate" else 1])
        seen.append(launcher)
        if launcher in LAUNCHERS:
            flags = words[len(launcher.split()):]
            options = LAUNCHERS[launcher]().parse_args(flags)
            assert options.module and options.training_script == "pixellab"
            assert options.training_script_args == words[start + 1:]
    assert {"pixellab", *LAUNCHERS} == set(seen)
