"""A chapter in Colab, without Colab: the first cell installs the package."""

import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import nbformat
import pytest
from clone import clone

# What hosted notebooks ship in older versions than we pin. pip's resolver is
# shown these versions; the code behind them stays the pinned one, but for the
# widgets, where another major version makes a difference.
COLAB = {"torch": "2.11.0", "torchvision": "0.26.0", "numpy": "2.1.3",
         "scikit_learn": "1.6.1", "einops": "0.8.2", "mlxtend": "0.23.4",
         "ipywidgets": "7.7.1"}
WIDGETS = ["ipywidgets==7.7.1", "ipython-genutils==0.2.0"]
EXECUTE = "from nbclient.cli import main; main()"


def run(*words, **settings):
    result = subprocess.run([str(word) for word in words], text=True,
                            capture_output=True, **settings)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def from_index(*words):
    """Let pip fetch something small; skips where there is no network."""
    result = subprocess.run(
        [sys.executable, "-m", "pip", "--disable-pip-version-check",
         "--retries=1", "--timeout=10", *words],
        text=True, capture_output=True)
    if result.returncode:
        pytest.skip("pip reaches no package index: "
                    + result.stderr.strip().splitlines()[-1])


@pytest.fixture
def colab(tmp_path):
    """The Python of an environment that has all but pixellab, as in Colab."""
    run(sys.executable, "-m", "venv", "--without-pip", tmp_path / "venv")
    place = tmp_path / "preinstalled"
    from_index("install", "--quiet", "--no-deps", "--target", place, *WIDGETS)
    for name, version in COLAB.items():
        about = place / f"{name}-{version}.dist-info"
        about.mkdir(exist_ok=True)
        (about / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    for entry in Path(sysconfig.get_path("purelib")).iterdir():
        name, _, rest = entry.name.partition("-")
        if "pixellab" not in name and not (
                rest.endswith(".dist-info") and name in COLAB) and not (
                place / entry.name).exists():
            (place / entry.name).symlink_to(entry)
    site = run(tmp_path / "venv" / "bin" / "python", "-c",
               "import sysconfig; print(sysconfig.get_path('purelib'))")
    (Path(site.strip()) / "preinstalled.pth").write_text(f"{place}\n")
    return tmp_path / "venv" / "bin" / "python"


def freeze(python):
    return set(run(python, "-m", "pip", "list", "--format=freeze",
                   "--disable-pip-version-check").split())


def test_the_first_cell_installs_and_chapters_run(colab, tmp_path):
    from_index("download", "--quiet", "--no-deps", "--dest",
               tmp_path / "wheels", "setuptools>=77")
    before = freeze(colab)
    assert "torch==2.11.0" in before and "ipywidgets==7.7.1" in before
    assert not any("pixellab" in line for line in before)

    repository = clone(tmp_path / "repository")
    environment = {name: value for name, value in os.environ.items()
                   if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    for name in ("02_pixelcnn", "03_gpt"):  # whole, their knobs included
        chapter = repository / "chapters" / f"{name}.ipynb"
        notebook = nbformat.read(chapter, as_version=4)
        first = next(cell.source for cell in notebook.cells
                     if cell.cell_type == "code")
        address = first.split('"git+')[1].split('"')[0]
        for cell in notebook.cells:
            if cell.cell_type == "code":
                cell.outputs, cell.execution_count = [], None
        notebook.cells.append(nbformat.v4.new_code_cell(
            "import ipywidgets; assert ipywidgets.__version__ == '7.7.1'"))
        nbformat.write(notebook, chapter)
        run(colab, "-c", EXECUTE, "--inplace", "--timeout=200",
            "--kernel_name=python3", chapter, cwd=tmp_path,
            env=environment | {
                # git leads the public address to the files as they are here
                "GIT_CONFIG_COUNT": "1",
                "GIT_CONFIG_KEY_0": f"url.file://{repository}.insteadOf",
                "GIT_CONFIG_VALUE_0": address,
                # pip finds setuptools, to build with, and nothing else
                "PIP_NO_INDEX": "1",
                "PIP_FIND_LINKS": str(tmp_path / "wheels"),
                "JUPYTER_PREFER_ENV_PATH": "1", "PIXELLAB_OFFLINE": "1",
                "PIXELLAB_SCALE": "quick",
                "PIXELLAB_DATA": str(tmp_path / "empty")})
        cells = [cell for cell in nbformat.read(chapter, as_version=4).cells
                 if cell.cell_type == "code"]
        assert all(cell.execution_count for cell in cells)
        assert any("image/png" in output.get("data", {})
                   for cell in cells for output in cell.outputs)
    package = run(colab, "-c", "import pixelcheck, pixellab\n"
                  "print(pixellab.__file__)", cwd=tmp_path)
    assert Path(package.strip()).is_relative_to(tmp_path / "venv")
    after = freeze(colab)
    assert before <= after  # no version has changed
    assert {line.partition("==")[0] for line in after - before} == {
        "pixellab"}
