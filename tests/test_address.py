"""One command gives the repository, or a fork of it, its public address."""

import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import jupytext
import nbformat
import pytest
from axe_playwright_python.sync_playwright import Axe
from clone import clone, git
from test_browser import CHROMIUM, visit, watched
from test_browser import browser as browser  # a fixture

ROOT = Path(__file__).resolve().parent.parent
PLACE = tomllib.loads((ROOT / "pyproject.toml").read_text())[
    "project"]["urls"]["Repository"].removeprefix("https://github.com/")
FIRST, SECOND = "university-of-x/pixels.2027", "Fork-Er/pixels.2027-autumn"
CONTENTS = "format: jb-book\nroot: book/setup\nchapters:\n- file: {}\n"


@pytest.fixture
def copy(tmp_path):
    return clone(tmp_path / "clone", without=(".safetensors", ".webp"))


def set_address(copy, *words):
    return subprocess.run([sys.executable, "book/address.py", *words],
                          cwd=copy, capture_output=True, text=True)


def files_with(copy, text):
    found = subprocess.run(["git", "grep", "-lF", text], cwd=copy, text=True,
                           capture_output=True)
    return set(found.stdout.split()) - {"tests/test_address.py"}


def test_every_file_gets_the_address_and_then_another(copy):
    holders = files_with(copy, PLACE)
    assert {"pyproject.toml", "chapters/assignments/a1_masks.py",
            "chapters/02_pixelcnn.py", "chapters/02_pixelcnn.ipynb"
            } <= holders
    more = copy / "book" / "more.md"
    more.write_text("".join(
        f"<{form}> " for form in (
            f"https://raw.githubusercontent.com/{PLACE}/main/a.json",
            f"git+https://github.com/{PLACE}.git",
            f"https://github.com/{PLACE}-two",  # another repository
            f"github.com/{PLACE}",
            f"https://not-github.com/{PLACE}",
            f"HTTPS://GitHub.com/{PLACE}/issues",
            "https://{}.github.io/{}/book/live.html".format(
                *PLACE.split("/")),
            f"https://github.com/{PLACE}.")))
    git(copy, "add", ".")
    for address in FIRST, SECOND:
        result = set_address(copy, f"https://github.com/{address}")
        assert result.returncode == 0, result.stderr
        assert files_with(copy, address) == {
            "README.md", "book/more.md"} | holders
        owner, name = address.split("/")
        assert more.read_text() == (
            f"<https://raw.githubusercontent.com/{address}/main/a.json> "
            f"<git+https://github.com/{address}.git> "
            f"<https://github.com/{PLACE}-two> <github.com/{address}> "
            f"<https://not-github.com/{PLACE}> "
            f"<HTTPS://github.com/{address}/issues> "
            f"<https://{owner}.github.io/{name}/book/live.html> "
            f"<https://github.com/{address}.> ")
        readme = (copy / "README.md").read_text()
        for notebook in sorted(copy.glob("chapters/*.ipynb")):
            nbformat.validate(nbformat.read(notebook, 4))
            first, twin = (
                next(cell.source for cell in jupytext.read(path).cells
                     if cell.cell_type == "code")
                for path in (notebook, notebook.with_suffix(".py")))
            assert first == twin
            assert f'"git+https://github.com/{address}"' in first
            assert readme.count(
                f"](https://colab.research.google.com/github/{address}"
                f"/blob/main/chapters/{notebook.name})") == 1
    assert files_with(copy, PLACE) == {"book/more.md"}
    assert files_with(copy, FIRST + '"') == set()


@pytest.mark.parametrize("words, hint", [
    ([], "URL=https"), ([""], "URL=https"), (["me/book"], "me/book"),
    (["http://github.com/me/book"], "https://github.com"),
    (["https://gitlab.com/me/book"], "https://github.com"),
    (["https://github.com/me"], "https://github.com"),
    (["https://github.com/me/book/tree/main"], "not the address"),
    (["https://github.com/-me/book"], "not the address"),
    (["https://github.com/OWNER/book"], "your own name"),
    (["https://github.com/me/a book"], "not the address")])
def test_bad_input_is_one_line_and_nothing_changes(copy, words, hint):
    result = set_address(copy, *words)
    assert result.returncode == 2 and hint in result.stderr
    assert len(result.stderr.splitlines()) == 1 and not result.stdout
    assert git(copy, "diff", "--name-only") == ""


def test_a_folder_that_is_no_clone_is_refused(copy):
    shutil.rmtree(copy / ".git")
    result = set_address(copy, "https://github.com/me/book")
    assert result.returncode == 2 and "clone it" in result.stderr
    assert len(result.stderr.splitlines()) == 1


def build(copy, chapter):
    """The pages of a book of two, without the weights."""
    (copy / "_toc.yml").write_text(CONTENTS.format(f"chapters/{chapter}"))
    result = subprocess.run(
        [Path(sys.executable).with_name("jupyter-book"), "build", copy,
         "--all", "--quiet"], capture_output=True, text=True)
    html = copy / "_build" / "html"
    page = html / "chapters" / f"{chapter}.html"
    assert page.exists(), result.stdout + result.stderr
    return html, page


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")
def test_pages_have_buttons_once_the_address_is_set(copy, browser):
    project = copy / "pyproject.toml"
    project.write_text(project.read_text().replace(PLACE, "OWNER/book"))
    _, page = build(copy, "01_bits")
    assert "colab.research" not in page.read_text()
    assert "fa-github" not in page.read_text()
    set_address(copy, f"https://github.com/{FIRST}")
    html, page = build(copy, "01_bits")
    commit = git(copy, "rev-parse", "HEAD").strip()
    colab = (f"https://colab.research.google.com/github/{FIRST}/blob/{commit}/"
             "chapters/01_bits.ipynb")
    for theme in ("light", "dark"):
        with watched(browser, f"file://{html}", color_scheme=theme) as (
                tab, troubles):
            visit(tab, f"file://{page}")
            tab.get_by_label("Launch interactive content").click()
            link = tab.get_by_role("link", name="Colab")
            assert link.is_visible() and link.get_attribute("href") == colab
            assert tab.locator(f"a[href='https://github.com/{FIRST}']").count()
            found = Axe().run(tab, context=".bd-header-article").response[
                "violations"]
            assert [(rule["id"], rule["nodes"][0]["html"])
                    for rule in found] == []
            assert troubles == []
