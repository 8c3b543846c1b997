"""Every built page in a real browser, from a folder and from a server."""

import functools
import gzip
import http.server
import shutil
import threading
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import sync_playwright

CHROMIUM = next(filter(None, map(shutil.which, (
    "chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking",
         "--disable-component-update", "--disable-sync", "--no-first-run"]

pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="no Chromium on this machine")


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def browser():
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def served(book):
    """The address of the book on a local server."""
    handler = functools.partial(QuietHandler, directory=str(book))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


@contextmanager
def watched(browser, address, **settings):
    """A new tab and the list of all that went wrong in it."""
    context = browser.new_context(**settings)
    page = context.new_page()
    troubles = []
    page.on("console", lambda message: message.type == "error"
            and troubles.append(f"console: {message.text}"))
    page.on("pageerror", lambda error: troubles.append(f"error: {error}"))
    page.on("requestfailed", lambda request: troubles.append(
        f"failed: {request.url} {request.failure}"))
    page.on("response", lambda response: response.status >= 400
            and troubles.append(f"{response.status}: {response.url}"))
    page.on("request", lambda request: request.url.startswith(
        (address, "data:", "blob:")) or troubles.append(
            f"another host: {request.url}"))
    yield page, troubles
    context.close()


def visit(page, address):
    page.goto(address, wait_until="load")
    if page.locator("script[src*=mathjax]").count():
        page.wait_for_function(
            "window.MathJax?.startup?.promise !== undefined")
        page.evaluate("MathJax.startup.promise")


def addresses(book, base):
    return [f"{base}/{path.relative_to(book)}"
            for path in sorted(book.rglob("*.html"))
            if "_static" not in path.parts
            and path != book / "index.html"]  # it only leads on


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("how", ["file", "http"])
def test_pages_load_whole_and_ask_nobody_else(
        book, served, browser, how, theme):
    base = f"file://{book}" if how == "file" else served
    with watched(browser, base, color_scheme=theme) as (page, troubles):
        for address in addresses(book, base):
            visit(page, address)
            assert page.evaluate(
                "document.documentElement.dataset.theme") == theme
            assert page.evaluate(
                "[...document.images].filter(i => !i.naturalWidth)"
                ".map(i => i.src)") == [], address
            assert page.locator("mjx-merror").count() == 0, address
            assert troubles == [], address


def test_no_page_is_wider_than_a_phone(book, browser):
    base = f"file://{book}"
    with watched(browser, base, viewport={"width": 375, "height": 700}) as (
            page, _):
        for address in addresses(book, base):
            visit(page, address)
            wide = page.evaluate(
                "document.documentElement.scrollWidth - innerWidth")
            assert wide <= 0, f"{address}: {wide} pixels too wide"


def test_what_a_page_needs_before_its_content_is_small(book, browser):
    """Styles, scripts and fonts, gzipped. MathJax is deferred, and only on
    pages with mathematics; the page itself and its pictures are content."""
    base, loaded = f"file://{book}", set()
    with watched(browser, base) as (page, _):
        page.on("request", lambda request: loaded.add(request.url))
        for address in addresses(book, base):
            loaded.clear()
            visit(page, address)
            files = [Path(unquote(urlsplit(url).path)) for url in loaded
                     if url.startswith(base)]
            total = sum(len(gzip.compress(path.read_bytes())) for path in files
                        if path.suffix in (".css", ".js", ".woff2", ".woff")
                        and "mathjax" not in path.parts
                        and path.name != "searchindex.js")  # what one finds
            assert 50_000 < total <= 150_000, f"{address}: {total} bytes"


@pytest.mark.parametrize("theme, width", [
    ("light", 1280), ("dark", 1280), ("light", 375)])
def test_pages_are_accessible(book, browser, theme, width):
    base = f"file://{book}"
    with watched(browser, base, color_scheme=theme, viewport={
            "width": width, "height": 720}) as (page, _):
        for address in addresses(book, base):
            visit(page, address)
            found = Axe().run(page).response["violations"]
            assert [(rule["id"], rule["nodes"][0]["html"])
                    for rule in found] == [], address


@pytest.mark.parametrize("how", ["file", "http"])
def test_the_index_leads_to_the_first_page(book, served, browser, how):
    base = f"file://{book}" if how == "file" else served
    with watched(browser, base) as (page, troubles):
        page.goto(f"{base}/index.html")
        page.wait_for_url("**/book/preface.html")
        assert troubles == []


def test_search_finds_a_word(served, browser):
    with watched(browser, served) as (page, troubles):
        page.goto(f"{served}/search.html?q=entropy")
        page.wait_for_selector("#search-results li a")
        assert troubles == []


def test_the_button_changes_the_theme(book, browser):
    base = f"file://{book}"
    with watched(browser, base, color_scheme="light") as (page, troubles):
        visit(page, f"{base}/book/preface.html")
        themes = set()
        for _ in range(3):  # auto, light, dark
            page.locator(".theme-switch-button:visible").first.click()
            themes.add(page.evaluate(
                "document.documentElement.dataset.theme"))
        assert themes == {"light", "dark"}
        assert troubles == []
