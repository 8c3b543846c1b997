"""What the page for instructors promises of the chapters."""

import os
import re
import subprocess
import sys
from pathlib import Path

import jupytext
import nbformat

ROOT = Path(__file__).resolve().parent.parent
CHAPTERS = re.findall(r"chapters/(\w+)", (ROOT / "_toc.yml").read_text())


def test_every_chapter_is_in_the_plan_and_in_the_table_of_times():
    page = (ROOT / "book" / "instructors.md").read_text()
    times = (ROOT / "book" / "chapter_times.txt").read_text()
    for chapter in CHAPTERS:
        assert f"<../chapters/{chapter}>" in page
        assert f"`../chapters/{chapter}`" in times
    assert "`../chapters/" not in re.sub(
        "|".join(f"`../chapters/{name}`" for name in CHAPTERS), "", times)


def test_times_are_measured(tmp_path):
    """The tool, on a chapter of one cell in a copy of the repository."""
    (tmp_path / "book").mkdir()
    (tmp_path / "chapters").mkdir()
    tool = tmp_path / "book" / "chapter_times.py"
    tool.write_text((ROOT / "book" / "chapter_times.py").read_text())
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(
        "import time\nstop = time.process_time() + 1\n"
        "while time.process_time() < stop:\n    pass")])
    jupytext.write(notebook, tmp_path / "chapters" / "01_one.py")
    subprocess.run([sys.executable, tool], check=True, capture_output=True,
                   env={**os.environ, "PYTHONPATH": str(ROOT)})
    row = tool.with_suffix(".txt").read_text().splitlines()[2]
    seconds, memory = re.search(r"\| (\d+) s \| ([\d.]+) GB", row).groups()
    assert "01_one" in row
    assert 1 <= int(seconds) < 20 and 0 < float(memory) < 1
