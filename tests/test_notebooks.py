"""Chapters as somebody reads them who opens the notebook, not the page."""

import os
import re
import shutil
import sys
from pathlib import Path

import jupytext
import nbformat
import pytest
from jupyter_server.services.contents.largefilemanager import LargeFileManager
from jupytext.sync_contentsmanager import (
    build_sync_jupytext_contents_manager_class,
)
from pybtex.database import parse_file

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "book"))
from lab_config import before_saving, pinned  # noqa: E402

CHAPTERS = sorted((ROOT / "chapters").glob("0*.ipynb"))
each_chapter = pytest.mark.parametrize("path", CHAPTERS,
                                       ids=lambda path: path.stem)
FOLDED = {"jupyter": {"source_hidden": True}, "cellView": "form"}
SAYS = re.compile(r"^pl\.say\(", re.M)
MYST = re.compile(r"\{[a-z][\w:+-]*\}`"           # {role}`text`
                  r"|^\s*(?:`{3,}|:{3,})\{"       # ```{directive}
                  r"|^\([\w-]+\)=$"               # (label)=
                  r"|\{\{\s*\w+\s*\}\}", re.M)    # {{ substitution }}
LINK = re.compile(r"\]\(([^)\s]+)\)")


def cells_of(path, kind):
    return [cell for cell in nbformat.read(path, as_version=4).cells
            if cell.cell_type == kind]


def texts(path):
    """All that is shown as Markdown: cells, and what cells say."""
    return [cell.source for cell in cells_of(path, "markdown")] + [
        output.data["text/markdown"] for cell in cells_of(path, "code")
        for output in cell.outputs
        if "text/markdown" in output.get("data", {})]


@each_chapter
def test_no_syntax_of_the_page_is_seen(path):
    """Code that is quoted may hold what looks like it."""
    for text in texts(path):
        plain = re.sub(r"^```\w*\n.*?^```$", "", text, flags=re.M | re.S)
        assert not MYST.findall(plain), text[:200]


@each_chapter
def test_every_link_leads_somewhere(path):
    book = ROOT / "book"
    keys = set(re.findall(r"^@\w+\{(.+),$",
                          (book / "references.bib").read_text(), re.M))
    terms = {"-".join(line.lower().split()) for line in
             (book / "glossary.md").read_text().splitlines()
             if re.match(r"\w", line)}
    known = {"bibliography.md": keys, "glossary.md": terms}
    links = [link for text in texts(path) for link in LINK.findall(text)]
    assert links
    for link in links:
        if re.match(r"https?:", link):
            continue
        place, _, anchor = link.partition("#")
        target = (path.parent / place).resolve() if place else path
        assert target.exists(), link
        if anchor:
            assert anchor in known[target.name], link


@each_chapter
def test_citations_name_their_authors_and_year(path):
    entries = parse_file(ROOT / "book" / "references.bib").entries
    cited = re.findall(r"\[([^\]]*)\]\(\.\./book/bibliography\.md#(\w+)\)",
                       "\n".join(texts(path)))
    assert cited
    for text, key in cited:
        people = entries[key].persons["author"]
        names = [" ".join(map(str, [*one.rich_prelast_names,
                                    *one.rich_last_names]))
                 for one in people]
        who = (names[0] if len(names) == 1 else " and ".join(names)
               if len(names) == 2 else f"{names[0]} et al.")
        year = entries[key].fields["year"]
        assert " ".join(text.split()) in (f"{who}, {year}", f"{who} ({year})")


def test_every_entry_of_the_bibliography_is_cited():
    book = ROOT / "book"
    everything = "".join(map("".join, map(texts, CHAPTERS))) + "".join(
        page.read_text() for page in book.glob("*.md"))
    for key in re.findall(r"^@\w+\{(.+),$",
                          (book / "references.bib").read_text(), re.M):
        assert re.search(rf"\b{key}\b", everything), key


@each_chapter
def test_numbers_are_said_by_folded_cells(path):
    said = [cell for cell in cells_of(path, "code")
            if SAYS.search(cell.source)]
    assert said
    for cell in said:
        assert FOLDED.items() <= cell.metadata.items(), cell.source
        assert "remove-input" in cell.metadata.tags, cell.source
        assert cell.source.startswith("# @title"), cell.source
        assert "{" in cell.source, cell.source  # something is computed
        output, = [one for one in cell.outputs if "data" in one]
        text = output.data["text/markdown"]
        assert text == output.data["text/plain"]
        assert not re.search(r"\b(nan|inf)\b", text), text


@each_chapter
def test_exercises_have_numbers_titles_and_folded_solutions(path):
    chapter, number, open_solution = int(path.stem[:2]), 0, False
    for cell in nbformat.read(path, as_version=4).cells:
        head = re.match(r"(#+) (.*)", cell.source) \
            if cell.cell_type == "markdown" else None
        if head and head[2].startswith("Exercise "):
            number += 1
            assert head[1] == "###"
            assert re.match(rf"Exercise {chapter}\.{number}: \w", head[2])
            open_solution = False
        elif head and head[2].startswith("Solution"):
            assert cell.source.splitlines()[0] == (
                f"#### Solution of exercise {chapter}.{number}")
            assert cell.metadata["jp-MarkdownHeadingCollapsed"] is True
            open_solution = True
        elif head and len(head[1]) < 4:
            open_solution = False
        elif open_solution and cell.cell_type == "code":
            assert FOLDED.items() <= cell.metadata.items(), cell.source
    sources = "\n".join(cell.source for cell in cells_of(path, "markdown"))
    assert number >= 3
    assert sources.count("\n#### Solution of exercise") + sources.startswith(
        "#### Solution") == number


@each_chapter
def test_the_script_is_what_jupytext_writes(path):
    """Else JupyterLab opens no notebook that is newer than its script."""
    notebook = pinned(nbformat.read(path, as_version=4))
    assert jupytext.writes(notebook, "py:percent") == path.with_suffix(
        ".py").read_text()


@each_chapter
def test_opened_and_saved_it_is_what_it_was(path, tmp_path):
    """As JupyterLab saves, with the kernel of another machine."""
    script = path.with_suffix(".py")
    for file in (path, script, path.parent / "jupytext.toml"):
        shutil.copy(file, tmp_path)
    os.utime(tmp_path / script.name, (0, 0))  # a clone keeps no times
    build = build_sync_jupytext_contents_manager_class
    manager = build(LargeFileManager)(root_dir=str(tmp_path))
    manager.pre_save_hook = before_saving
    content = manager.get(path.name)["content"]
    content["metadata"].update(
        language_info={"name": "python", "version": "3.99"},
        kernelspec={"display_name": "Python 3 (ipykernel)",
                    "language": "python", "name": "python3"})
    for cell in content["cells"]:
        cell["metadata"]["trusted"] = True
    manager.save({"type": "notebook", "content": content, "format": "json"},
                 path.name)
    for file in (path, script):
        assert (tmp_path / file.name).read_text() == file.read_text()


@each_chapter
def test_the_first_lines_say_how_long_it_takes_and_where_its_page_is(path):
    first, second = cells_of(path, "markdown")[:2]
    assert re.fullmatch(r"# .*", first.source)
    text = " ".join(second.source.split())
    dial, = [cell.source for cell in cells_of(path, "code")
             if "pl.scale(" in cell.source]
    times = dict(re.findall(r'(quick|colab|release)="([^"]+)"', dial))
    assert f"Takes {times['quick']} on one core of a laptop" in text
    assert f"{times['colab']} on a Colab GPU" in text
    assert f".github.io/pixel-by-pixel/chapters/{path.stem}.html" in text
    install = cells_of(path, "code")[0]
    assert "git+https" in install.source
    assert FOLDED.items() <= install.metadata.items()


@each_chapter
def test_no_cell_is_empty(path):
    for cell in nbformat.read(path, as_version=4).cells:
        assert re.sub(r"^# @title.*", "", cell.source).strip()
