"""Run the chapters again and store their outputs: make chapters.

The .py twin is the source: its cells replace those of the notebook, which
then runs from top to bottom. What changes from run to run without meaning
(times, widget state) is dropped, so that a diff shows only what changed.

    python book/execute.py [chapters/02_pixelcnn.py ...]
"""

import argparse
import os
import subprocess
import sys
from pathlib import Path

import jupytext
import nbformat
from lab_config import pinned

CHAPTERS = Path(__file__).resolve().parent.parent / "chapters"


WIDGET = "application/vnd.jupyter.widget-view+json"


def kept(output):
    """Progress bars (stderr) and widgets are dead in a page: drop them."""
    return output.get("name") != "stderr" and WIDGET not in output.get(
        "data", {})


def strip(notebook):
    """Drop what is not reproducible or dead; number the cells."""
    pinned(notebook)
    for number, cell in enumerate(notebook.cells):
        cell.id = f"cell-{number:03d}"
        if cell.cell_type == "code":
            cell.outputs = list(filter(kept, cell.outputs))
    return notebook


def execute(script):
    """Write script's cells into its notebook and run it in place."""
    path = script.with_suffix(".ipynb")
    notebook = jupytext.read(script)
    nbformat.write(strip(notebook), path)
    environment = {"PIXELLAB_SCALE": "quick", "OMP_NUM_THREADS": "1",
                   "PIXELLAB_PROGRESS": "0"}
    subprocess.run(
        [sys.executable, "-m", "jupyter", "execute", "--inplace",
         "--timeout=600", str(path)],
        check=True, env=os.environ | environment)
    notebook = strip(nbformat.read(path, as_version=4))
    nbformat.validate(notebook)
    nbformat.write(notebook, path)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("scripts", nargs="*", type=Path,
                        default=sorted(CHAPTERS.glob("[0-9]*.py")))
    for script in parser.parse_args().scripts:
        print(script.name, flush=True)
        execute(script)
