"""Rooms of the package import from floors below, or from their own floor
where that makes no circle."""

import ast
import graphlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "pixellab"
FILES = [path for path in sorted(PACKAGE.rglob("*.py"))
         if path.name not in ("__init__.py", "__main__.py")]


def name_of(path):
    """pixellab/priors/gpt.py -> pixellab.priors.gpt"""
    return ".".join(path.relative_to(ROOT).with_suffix("").parts)


NAMES = {name_of(path) for path in FILES}


def imported(path):
    """Modules of the package that a file imports, inside functions too."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            for each in node.names:
                for name in (f"{node.module}.{each.name}", node.module):
                    if name in NAMES:
                        yield name
                        break
        elif isinstance(node, ast.Import):
            yield from {each.name for each in node.names} & NAMES


def floors():
    """{room: floor}, as the drawing in CONTRIBUTING has it."""
    text = (ROOT / "CONTRIBUTING.md").read_text()
    drawing = re.search(r"```\n(6  cli.*?)```", text, re.S)[1]
    return {room.strip("/"): int(line.split()[0])
            for line in drawing.splitlines() for room in line.split()[1:]}


def room(name):
    return name.split(".")[1]


def test_every_room_is_in_the_drawing():
    assert set(floors()) == {room(name) for name in NAMES}


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_it_imports_from_no_floor_above(path):
    floor = floors()
    above = [name for name in imported(path)
             if floor[room(name)] > floor[room(name_of(path))]]
    assert not above


def test_no_circles():
    graph = {name_of(path): set(imported(path)) for path in FILES}
    assert len(list(graphlib.TopologicalSorter(graph).static_order())) \
        == len(NAMES)


def test_tokenizers_and_priors_do_not_know_each_other():
    for path in FILES:
        for one, other in (("tokenizers", "priors"), ("priors",
                                                      "tokenizers")):
            if room(name_of(path)) == one:
                assert other not in {room(name) for name in imported(path)}


def test_a_function_fits_a_screen():
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef):
                lines = node.end_lineno - node.lineno + 1
                assert lines <= 50, f"{path.name}: {node.name}"


def test_help_needs_no_pytorch():
    """Nothing slow is imported before it is clear what is asked for."""
    found = subprocess.run(
        [sys.executable, "-c", "import sys\nfrom pixellab.cli import parse\n"
         "parse(['train', 'gpt', '--epochs', '3'])\n"
         "print([name for name in ('torch', 'numpy', 'PIL', 'matplotlib') "
         "if name in sys.modules])"], capture_output=True, text=True)
    assert found.stdout.strip() == "[]", found.stderr
