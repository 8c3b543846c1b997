"""Draw the two pictures of the README: book/readme/.

    make book && .venv/bin/python book/readme_pictures.py [PAGES]

drawing.gif: the GPT draws ten digits. live.webp: the page on which it runs
in the browser, of the book in the folder PAGES (default: _build/html), as
Chromium shows it.
"""

import io
import shutil
import sys
from pathlib import Path

import numpy as np
from PIL import Image
from playwright.sync_api import sync_playwright

import pixellab as pl

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "book" / "readme"
SETTING = "label=3&rows=14&t=0.8&p=0.9&seed=3"
CHROMIUM = next(filter(None, map(shutil.which, (
    "chromium", "chromium-browser", "google-chrome"))), None)


def drawing(path):
    """Ten digits, the rest of each light blue until it is drawn.

    The best of fourteen seeds: chapter 7 says how often a digit fails.
    """
    model = pl.load("gpt", device="cpu")
    steps = model.stream(labels=range(10), temperature=0.9, seed=12)
    pictures = np.stack([pl.images.sheet(moment, columns=5, scale=4)
                         for moment in pl.figures.frames(model, steps)])
    pl.images.gif(path, pictures, milliseconds=80, hold=3000)


def live(path, pages):
    """The live page once it has finished a digit."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport={"width": 1120, "height": 898},
                                color_scheme="light", device_scale_factor=1.5)
        page.goto(f"file://{pages}/book/live.html#{SETTING}")
        page.locator("#live-load").click()
        page.locator("#live-finish:enabled").click()
        page.locator("#live-status").filter(has_text="Done").wait_for(
            timeout=120_000)
        page.locator("#live-tool").evaluate(
            "tool => scrollTo({top: tool.getBoundingClientRect().top"
            " + scrollY - 64, behavior: 'instant'})")
        page.mouse.move(0, 0)
        picture = page.screenshot()
        browser.close()
    Image.open(io.BytesIO(picture)).convert("RGB").save(path, quality=80,
                                                        method=6)


def main(pages=ROOT / "_build" / "html"):
    pages = Path(pages).resolve()
    if not (pages / "book" / "live.html").exists():
        sys.exit(f"no pages in {pages}: run `make book` first")
    FOLDER.mkdir(exist_ok=True)
    drawing(FOLDER / "drawing.gif")
    live(FOLDER / "live.webp", pages)
    for path in sorted(FOLDER.iterdir()):
        print(f"{path.relative_to(ROOT)}: {path.stat().st_size:,} bytes")


if __name__ == "__main__":
    main(*sys.argv[1:])
