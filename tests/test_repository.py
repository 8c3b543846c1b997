"""The files of the repository agree with each other."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import jupytext
import nbformat
import pytest

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOKS = sorted(path for path in (ROOT / "chapters").rglob("*.ipynb")
                   if ".ipynb_checkpoints" not in path.parts)
MIB = 2 ** 20

each_notebook = pytest.mark.parametrize(
    "path", NOTEBOOKS, ids=lambda path: path.stem)


def read(path):
    return nbformat.read(path, as_version=4)


def code_cells(path):
    return [cell for cell in read(path).cells if cell.cell_type == "code"]


def outputs(path):
    for cell in code_cells(path):
        for output in cell.outputs:
            yield cell, output


def test_there_are_notebooks():
    assert NOTEBOOKS


@each_notebook
def test_no_line_of_text_is_taken_for_a_comment(path):
    """The page leaves out what stands behind a % at the start of a line."""
    for cell in read(path).cells:
        if cell.cell_type == "markdown":
            assert not re.search(r"^%", cell.source, re.M), cell.source


@each_notebook
def test_notebook_and_script_are_in_step(path):
    script = path.with_suffix(".py")
    assert script.exists(), f"{path.name} has no .py twin"
    notebook, twin = (
        [(cell.cell_type, cell.source) for cell in cells]
        for cells in (read(path).cells, jupytext.read(script).cells))
    for number, (left, right) in enumerate(zip(notebook, twin, strict=False)):
        assert left == right, f"cell {number} differs: run 'make chapters'"
    assert len(notebook) == len(twin)


def test_every_script_has_its_notebook():
    scripts = {path for path in (ROOT / "chapters").rglob("*.py")
               if path.name != "__init__.py"}
    assert scripts == {path.with_suffix(".py") for path in NOTEBOOKS}


@each_notebook
def test_notebook_ran_from_top_to_bottom(path):
    counts = [cell.execution_count for cell in code_cells(path)
              if cell.source.strip()]
    assert counts == list(range(1, len(counts) + 1)), "run 'make chapters'"


@each_notebook
def test_notebook_is_small(path):
    assert path.stat().st_size <= 1_500_000


@each_notebook
def test_outputs_hold_no_traceback_and_no_widget(path):
    assert "widgets" not in read(path).metadata
    for cell, output in outputs(path):
        assert output.output_type != "error", cell.source
        assert "application/vnd.jupyter.widget-view+json" not in output.get(
            "data", {}), cell.source


@each_notebook
def test_every_figure_has_alt_text(path):
    for cell, output in outputs(path):
        if any(kind.startswith("image/") for kind in output.get("data", {})):
            image = cell.metadata.get("mystnb", {}).get("image", {})
            assert len(image.get("alt", "")) > 20, cell.source


@each_notebook
def test_code_fits_into_79_columns(path):
    for cell in code_cells(path):
        for line in cell.source.splitlines():
            assert len(line) <= 79 or "https://" in line \
                or line.startswith("| "), line  # a row of a said table


def test_ruff_finds_nothing():
    result = subprocess.run(
        [Path(sys.executable).with_name("ruff"), "check",
         "--output-format=concise", ROOT], capture_output=True, text=True)
    assert result.returncode == 0, result.stdout


def names(requirements):
    """The packages in a list of requirements, in lower case."""
    return [re.match(r"[\w.-]+", line)[0].lower() for line in requirements]


def test_every_dependency_is_pinned_once():
    lines = [line for line in
             (ROOT / "requirements.txt").read_text().splitlines()
             if line and not line.startswith("#")]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert all(re.fullmatch(r"[\w.-]+==[\w.]+", line) for line in lines)
    assert len(names(lines)) == len(set(names(lines)))
    wanted = names(project["dependencies"])
    for extra in project["optional-dependencies"].values():
        wanted += names(extra)
    assert set(wanted) <= set(names(lines))


def test_the_package_has_lower_bounds_only():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for line in project["dependencies"]:
        assert re.fullmatch(r"[\w.-]+(>=[\w.]+)?", line), line


def test_weights_are_small():
    files = (ROOT / "pixellab" / "weights").glob("*")
    assert sum(path.stat().st_size for path in files) <= 20 * MIB


def test_the_pictures_of_the_readme_are_there_and_small():
    readme = (ROOT / "README.md").read_text()
    pictures = dict(re.findall(r"!\[([^]]+)\]\((book/[^)]+)\)", readme))
    assert len(pictures) == 2
    for alt, name in pictures.items():
        limit = 400_000 if name.endswith(".gif") else 250_000
        assert len(alt) > 60 and (ROOT / name).stat().st_size <= limit
    for link in re.findall(r"\]\(([^):]+)\)", readme):
        assert (ROOT / link).exists(), link
