"""Every built page as it comes out of a printer."""

import pytest
from test_browser import (  # noqa: F401 (browser is a fixture)
    CHROMIUM,
    addresses,
    browser,
    visit,
    watched,
)

pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="no Chromium on this machine")
PAPER = {"width": 680, "height": 1000}  # what A4 leaves between its margins

# What only makes sense on a screen, and what would be cut off.
SEEN = """() => [...document.querySelectorAll(
    '.bd-sidebar-primary, .bd-sidebar-secondary, .bd-header-article,'
    + '.prev-next-footer, .headerlink, .copybtn, .toggle-button,'
    + '.pl-sliders, .pl-buttons, .live-form')]
    .filter(part => part.checkVisibility()).map(part => part.className)"""
CUT = """() => [...document.querySelectorAll('.bd-article *')]
    .filter(part => part.checkVisibility() && !part.closest('mjx-container')
            && part.getBoundingClientRect().right > innerWidth + 1)
    .map(part => part.outerHTML.slice(0, 120))"""
WRAPPED = """() => [...document.querySelectorAll('.cell_input pre')]
    .filter(code => {
        code.style.whiteSpace = 'pre';
        return code.scrollWidth > code.clientWidth;
    }).map(code => code.textContent.slice(0, 120))"""
WIDE = """.bd-article { letter-spacing: 0.06em; }
    .bd-article pre { letter-spacing: normal; }"""  # as another font would be
INK = """() => {
    const colour = getComputedStyle(document.querySelector('.bd-article p'));
    return {theme: document.documentElement.dataset.theme,
            ink: Math.max(...colour.color.match(/\\d+/g)),
            folded: document.querySelectorAll(
                '.toggle-hidden, details.toggle-details:not([open])').length};
}"""


def test_every_page_is_printed_whole_and_in_dark_ink(
        book, browser):  # noqa: F811
    base = f"file://{book}"
    with watched(browser, base, viewport=PAPER, color_scheme="dark") as (
            page, _):
        page.emulate_media(media="print")
        for address in addresses(book, base):
            visit(page, address)
            if not page.locator(".bd-article p").count():
                continue  # the index and the search
            page.evaluate("dispatchEvent(new Event('beforeprint'))")
            printed = page.evaluate(INK)
            assert printed["theme"] == "light", address
            assert printed["ink"] < 64 and not printed["folded"], address
            for what in (SEEN, CUT, WRAPPED):
                assert page.evaluate(what) == [], address
            page.add_style_tag(content=WIDE)
            assert page.evaluate(CUT) == [], address
            page.evaluate("dispatchEvent(new Event('afterprint'))")
            assert page.evaluate(INK)["theme"] == "dark", address


def test_the_browser_tells_a_page_that_it_prints(book, browser):  # noqa: F811
    base = f"file://{book}"
    with watched(browser, base, color_scheme="dark") as (page, troubles):
        visit(page, f"{base}/book/live.html")
        page.evaluate("() => addEventListener('beforeprint', () => {"
                      f"window.printed = ({INK})(); }})")
        assert len(page.pdf(format="A4")) > 10_000
        assert page.evaluate("printed.theme") == "light"
        assert page.evaluate(INK)["theme"] == "dark" and not troubles


def test_paper_gets_the_last_frame_of_an_animation(
        book, browser):  # noqa: F811
    base = f"file://{book}"
    with watched(browser, base, viewport=PAPER) as (page, _):
        visit(page, f"{base}/chapters/03_gpt.html")
        moving = page.locator("picture:has(source)").first
        still = page.locator("picture:has(source) + img").first
        assert moving.is_visible() and not still.is_visible()
        page.emulate_media(media="print")
        assert still.is_visible() and not moving.is_visible()
        assert still.get_attribute("src").startswith("data:image/png")
        assert still.get_attribute("alt")
