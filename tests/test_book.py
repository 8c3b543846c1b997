"""The built pages, read as files. (test_browser.py opens them.)"""

import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from bs4 import BeautifulSoup

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def pages(book):
    """Path -> parsed page, for every page."""
    return {path: BeautifulSoup(path.read_text(), "html.parser")
            for path in sorted(book.rglob("*.html"))
            if "_static" not in path.parts}


def chapters(pages):
    return {path: page for path, page in pages.items()
            if path.parent.name == "chapters"}


def test_every_page_of_the_contents_is_built(book):
    listed = re.findall(r"(?:file|root): (\S+)",
                        (ROOT / "_toc.yml").read_text())
    assert len(listed) > 5
    for name in listed:
        assert (book / f"{name}.html").exists(), name
    assert "book/preface.html" in (book / "index.html").read_text()


def test_every_image_has_alt_text(pages):
    for path, page in pages.items():
        for image in page.find_all("img"):
            alt = image.get("alt")
            if "logo__image" in image.get("class", []):
                continue  # decoration: the title stands beside it
            assert alt and not re.search(r"\.(png|svg|gif|jpe?g)$", alt), (
                path.name, image)


def test_no_page_refers_to_another_host(pages):
    for path, page in pages.items():
        for tag, attribute in (("script", "src"), ("link", "href"),
                               ("img", "src"), ("iframe", "src"),
                               ("source", "src"), ("video", "src")):
            for element in page.find_all(tag):
                address = element.get(attribute, "")
                assert not re.match(r"(\w+:)?//", address), (path, element)
        for script in page.find_all("script", src=False):
            assert "://" not in script.text.replace("http://www.w3.org", ""), (
                path, script)


def test_internal_links_resolve(pages):
    for path, page in pages.items():
        for link in page.find_all("a", href=True):
            parts = urlsplit(link["href"])
            if parts.scheme:
                continue
            target = path
            if parts.path:
                target = (path.parent / unquote(parts.path)).resolve()
            assert target.exists(), (path.name, link["href"])
            if parts.fragment and target in pages:
                assert pages[target].find(id=unquote(parts.fragment)), (
                    path.name, link["href"])


def test_every_chapter_can_be_downloaded(pages):
    assert chapters(pages)
    for path, page in chapters(pages).items():
        sources = [link["href"] for link in page.find_all("a", href=True)
                   if link["href"].endswith(".ipynb")]
        assert sources and (path.parent / sources[0]).exists(), path.name


def test_every_icon_is_drawn(book, pages):
    styles = (book / "_static" / "icons.css").read_text()
    for path, page in pages.items():
        for icon in page.find_all("i"):
            assert any(f".{name} " in styles
                       for name in icon.get("class", [])), (path.name, icon)


def test_tables_that_cells_make_are_tables(book, pages):
    page = pages[book / "chapters" / "07_scoreboard.html"]
    tables = page.select("div.cell_output table")
    assert len(tables) > 7
    for table in tables:
        assert len({len(row.find_all(["th", "td"]))
                    for row in table.find_all("tr")}) == 1
    assert not re.search(r"\| *:?---", page.get_text())


def test_mathematics_only_where_it_is_needed(pages):
    for path, page in pages.items():
        scripts = [script for script in page.find_all("script", src=True)
                   if "mathjax" in script["src"]]
        assert len(scripts) == bool(page.select(".math")), path.name
        assert all(script.has_attr("defer") for script in scripts)
