"""Every chapter in JupyterLab itself, in a real browser: opened, read, saved.

Nothing runs here: the outputs are those that are stored.
"""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest
from test_browser import CHROMIUM, browser  # noqa: F401 (a fixture)
from test_notebooks import CHAPTERS, MYST, cells_of, each_chapter

pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="no Chromium on this machine")
ROOT = Path(__file__).resolve().parent.parent
SETTINGS = {  # render all cells, those out of sight too; ask nothing
    "notebook-extension/tracker": {"windowingMode": "none"},
    "apputils-extension/notification": {"fetchNews": "false"}}
ALL_READ = """() => [...document.querySelectorAll('.jp-RenderedMarkdown')]
    .map(part => part.innerText)"""
# Of the headings that are folded: what they say, how much below is visible.
FOLDED = """() => [...document.querySelectorAll(
    '.jp-MarkdownCell:has(.jp-collapseHeadingButton.jp-mod-collapsed)')]
    .map(cell => [cell.innerText.trim(),
        cell.nextElementSibling?.checkVisibility()])"""
INPUTS = """() => [...document.querySelectorAll('.jp-CodeCell')].map(cell => [
    cell.querySelector('.jp-InputArea-editor')?.checkVisibility() ?? false,
    cell.querySelector('.jp-OutputArea')?.innerText ?? ''])"""


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """(address of a JupyterLab as `make lab` starts it, its folder)."""
    folder = tmp_path_factory.mktemp("lab")
    shutil.copytree(ROOT / "chapters", folder / "chapters")
    for name, values in SETTINGS.items():
        path = folder / "settings" / "@jupyterlab" / (
            name + ".jupyterlab-settings")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(values))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = subprocess.Popen(
        [sys.executable, "-m", "jupyterlab", "--allow-root", "--no-browser",
         f"--config={ROOT / 'book' / 'lab_config.py'}", f"--port={port}",
         "--IdentityProvider.token="], cwd=folder,
        env=os.environ | {"JUPYTERLAB_SETTINGS_DIR": str(folder / "settings")},
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    address = f"http://127.0.0.1:{port}/lab"
    try:
        for _ in range(240):
            try:
                urllib.request.urlopen(address)
                break
            except OSError:
                time.sleep(0.5)
        yield address, folder / "chapters"
    finally:
        server.terminate()
        server.wait()


@each_chapter
def test_a_chapter_is_read_and_saved(lab, browser, path):  # noqa: F811
    address, folder = lab
    files = [folder / path.name, folder / path.with_suffix(".py").name]
    before = [file.read_bytes() for file in files]
    page = browser.new_page()
    try:
        page.goto(f"{address}/tree/{path.name}?reset", timeout=120_000)
        last = cells_of(path, "markdown")[-1].source.splitlines()[0]
        page.locator(".jp-RenderedMarkdown").filter(
            has_text=last.strip("# ")).last.wait_for(
                state="attached", timeout=120_000)
        texts = page.evaluate(ALL_READ)
        headings = [text for text in texts if text.startswith("Exercise ")]
        folded = page.evaluate(FOLDED)
        inputs = page.evaluate(INPUTS)
        page.keyboard.press("Control+s")
        page.wait_for_timeout(1500)
    finally:
        page.close()
    for text in texts:
        assert not MYST.search(text), text[:200]
    assert len(headings) >= 3
    assert [text.splitlines()[0] for text, _ in folded] == [
        f"Solution of exercise {head.split()[1].strip(':')}"
        for head in headings]
    assert not any(visible for _, visible in folded)
    # A sentence that a cell says is read without its code.
    said = [index for index, cell in enumerate(cells_of(path, "code"))
            if "pl.say(" in cell.source]
    assert len(inputs) == len(cells_of(path, "code"))
    assert not any(inputs[index][0] for index in said)
    assert [file.read_bytes() for file in files] == before


def test_all_chapters_are_there():
    assert len(CHAPTERS) >= 7
