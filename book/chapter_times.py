"""Measure what a run of each chapter takes; write book/chapter_times.txt.

    python book/chapter_times.py

Each chapter runs from top to bottom in a fresh kernel, on the quick scale and
with one thread, in memory: the notebooks stay as they are. Times are those of
the processor, which are the same on a busy machine. The page for instructors
includes the table.
"""

import os
import platform
import sys
import time
from pathlib import Path

import jupytext
import nbformat
from nbclient import NotebookClient

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
from benchmarks._tools import processor  # noqa: E402

TABLE = ROOT / "book" / "chapter_times.txt"
LAST_CELL = """
import resource
used = resource.getrusage(resource.RUSAGE_SELF)
print(used.ru_utime + used.ru_stime, used.ru_maxrss)
"""
UNIT = 1 if sys.platform == "darwin" else 1024  # bytes of a ru_maxrss


def measure(script):
    """(processor seconds, peak memory in bytes), the kernel's start included.
    """
    notebook = jupytext.read(script)
    notebook.cells.append(nbformat.v4.new_code_cell(LAST_CELL))
    NotebookClient(notebook, timeout=600, kernel_name="python3",
                   resources={"metadata": {"path": script.parent}}).execute()
    seconds, memory = notebook.cells[-1].outputs[-1].text.split()
    return float(seconds), int(memory) * UNIT


def main():
    os.environ |= {"PIXELLAB_SCALE": "quick", "OMP_NUM_THREADS": "1",
                   "CUDA_VISIBLE_DEVICES": ""}
    data = Path(os.environ.get("PIXELLAB_DATA", "/nowhere"))
    sets = ("the full data sets" if (data / "supertux").exists()
            else "what the package finds without a data folder")
    rows = []
    for script in sorted((ROOT / "chapters").glob("[0-9]*.py")):
        seconds, memory = measure(script)
        rows.append(f"| {{doc}}`../chapters/{script.stem}` | {seconds:.0f} s "
                    f"| {memory / 1e9:.1f} GB |")
        print(rows[-1], flush=True)
    TABLE.write_text("\n".join([
        "| chapter | one core | memory, at most |", "|---|---|---|", *rows, "",
        f"(Measured on {time.strftime('%d %B %Y')} by `python "
        f"book/chapter_times.py`: quick scale, one thread of {processor()}, "
        f"Python {platform.python_version()}, {sets}.)", ""]))


if __name__ == "__main__":
    main()
