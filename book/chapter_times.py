"""Measure what a run of each chapter takes; write book/chapter_times.txt.

    python book/chapter_times.py

Each chapter runs from top to bottom in a fresh kernel, on the quick scale and
with one thread, in memory: the notebooks stay as they are. The page for
instructors includes the table.
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
TABLE = ROOT / "book" / "chapter_times.txt"
PEAK = "import resource; " \
    "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
UNIT = 1 if sys.platform == "darwin" else 1024  # bytes of a ru_maxrss


def processor():
    for line in Path("/proc/cpuinfo").read_text().splitlines() \
            if Path("/proc/cpuinfo").exists() else []:
        if line.startswith("model name"):
            return line.split(":")[1].strip()
    return platform.processor() or platform.machine()


def measure(script):
    """(seconds from the kernel's start, peak memory in bytes)."""
    notebook = jupytext.read(script)
    notebook.cells.append(nbformat.v4.new_code_cell(PEAK))
    started = time.monotonic()
    NotebookClient(notebook, timeout=600, kernel_name="python3",
                   resources={"metadata": {"path": script.parent}}).execute()
    seconds = time.monotonic() - started
    return seconds, int(notebook.cells[-1].outputs[-1].text) * UNIT


def main():
    os.environ |= {"PIXELLAB_SCALE": "quick", "OMP_NUM_THREADS": "1",
                   "CUDA_VISIBLE_DEVICES": ""}
    data = Path(os.environ.get("PIXELLAB_DATA", "/nowhere"))
    sets = ("the full data sets" if (data / "supertux").exists()
            else "what the package finds without a data folder")
    load = os.getloadavg()[0]
    rows = []
    for script in sorted((ROOT / "chapters").glob("[0-9]*.py")):
        seconds, memory = measure(script)
        rows.append(f"| {{doc}}`../chapters/{script.stem}` | {seconds:.0f} s "
                    f"| {memory / 1e9:.1f} GB |")
        print(rows[-1], flush=True)
    TABLE.write_text("\n".join([
        "| chapter | time | memory, at most |", "|---|---|---|", *rows, "",
        f"(Measured {time.strftime('%d %B %Y')} by `python "
        f"book/chapter_times.py`: quick scale, one thread of {processor()}, "
        f"Python {platform.python_version()}, {sets}, in a fresh kernel; "
        f"{load:.1f} other processes were busy at the start.)", ""]))


if __name__ == "__main__":
    main()
