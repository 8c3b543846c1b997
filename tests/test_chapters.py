"""What the chapters write by hand is what the package holds."""

import ast
import collections
import importlib
import re
from pathlib import Path

import jupytext
import nbformat
import pytest

import pixellab

ROOT = Path(__file__).resolve().parent.parent
CHAPTERS = sorted((ROOT / "chapters").glob("*.py"))
MARK = re.compile(r"^# (same as|equivalent to): (pixellab[\w.]+)", re.M)


def code_cells(path):
    return [cell.source for cell in jupytext.read(path).cells
            if cell.cell_type == "code"]


def marked(kind):
    return [pytest.param(cell, name, id=f"{path.stem}-{name}")
            for path in CHAPTERS for cell in code_cells(path)
            for found, name in MARK.findall(cell) if found == kind]


def definitions(source):
    return {node.name: node for node in ast.parse(source).body
            if isinstance(node, ast.FunctionDef | ast.ClassDef)}


def syntax(node):
    """The tree of a definition, docstrings taken out."""
    for part in ast.walk(node):
        if isinstance(part, ast.FunctionDef | ast.ClassDef) \
                and ast.get_docstring(part) is not None:
            part.body = part.body[1:]
    return ast.dump(node)


@pytest.mark.parametrize("cell, name", marked("same as"))
def test_cell_is_the_same_as_the_package(cell, name):
    module, definition = name.rsplit(".", 1)
    file = Path(importlib.import_module(module).__file__)
    theirs = definitions(file.read_text())[definition]
    assert syntax(definitions(cell)[definition]) == syntax(theirs)


def test_the_second_chapter_has_marked_cells():
    names = {name for path in CHAPTERS for cell in code_cells(path)
             for _, name in MARK.findall(cell)}
    assert {"pixellab.priors.pixelcnn.MaskedConv2d",
            "pixellab.priors.pixelcnn.GatedBlock"} <= names


def test_no_name_is_defined_twice_without_a_mark():
    owners = collections.defaultdict(set)
    for path in CHAPTERS:
        for cell in code_cells(path):
            if not MARK.search(cell):
                for name in definitions(cell):
                    owners[name].add(path.stem)
    assert {name for name, paths in owners.items() if len(paths) > 1} == set()


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_every_pl_name_exists(path):
    for cell in code_cells(path):
        for node in ast.walk(ast.parse(cell)):
            names = []
            while isinstance(node, ast.Attribute):
                names.append(node.attr)
                node = node.value
            if isinstance(node, ast.Name) and node.id == "pl" and names:
                thing = pixellab
                for name in reversed(names):
                    if not hasattr(thing, name):
                        assert not hasattr(thing, "__path__") \
                            and not isinstance(thing, type(ast)), \
                            f"pl.{'.'.join(reversed(names))}"
                        break
                    thing = getattr(thing, name)


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_cells_are_short_and_figures_come_soon(path):
    for cell in code_cells(path):
        lines = [line for line in cell.splitlines() if line.strip()]
        assert len(lines) <= 27, f"{len(lines)} lines: {lines[0]}"


@pytest.mark.parametrize("path", CHAPTERS[1:6], ids=lambda path: path.stem)
def test_stored_explorers_are_those_of_the_present_code(path):
    """Their scripts and styles stand in the outputs: make chapters."""
    notebook = nbformat.read(path.with_suffix(".ipynb"), as_version=4)
    pages = ["".join(output.data.get("text/html", ""))
             for cell in notebook.cells if cell.cell_type == "code"
             for output in cell.outputs if "data" in output]
    explorers = [page for page in pages if "data-explorer=" in page]
    assert explorers
    for page in explorers:
        kind = re.search(r'data-explorer="(\w+)"', page)[1]
        parts = [f"{kind}.js", "controls.js", "explore.css"]
        for part in parts + ["filter.js"] * (kind == "settings"):
            text = (pixellab.explore.FILES / part).read_text()
            text = re.sub(r"^import .*\n|^export ", "", text, flags=re.M)
            assert text.strip() in page, part


def test_public_names_have_docstrings():
    for name in pixellab.__all__:
        assert getattr(pixellab, name).__doc__, name
