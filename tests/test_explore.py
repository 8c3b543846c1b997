"""The explorers, touched as a reader would: in a browser, from a file."""

import base64
import io
import json
import re
import statistics
from contextlib import contextmanager
from urllib.parse import parse_qs

import numpy as np
import pytest
import test_browser
import torch
from axe_playwright_python.sync_playwright import Axe
from PIL import Image
from test_browser import CHROMIUM, watched

import pixellab as pl
from pixellab import explore
from pixellab.model import ImageModel
from pixellab.priors.gpt import GPT
from pixellab.tokenizers.bsq import BSQ
from pixellab.tokenizers.patches import Patches
from pixellab.tokenizers.symbols import FIRST, Symbols

in_a_browser = pytest.mark.skipif(
    CHROMIUM is None, reason="no Chromium on this machine")
browser = test_browser.browser

PAGE = """<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width"><title>Explorers</title>
<style>body {{ font-family: sans-serif; margin: 1rem; background: #fff;
color: #1d2730; }} @media (prefers-color-scheme: dark) {{ body {{
background: #14191f; color: #dde4ea; }} }}</style></head><body><main>
<h1>Explorers</h1>{}<h2 id="exercises">Exercises</h2></main></body></html>"""
HEATS, TOP_PS, TOP_KS, LABELS = (0, 0.8, 1, 2), (1, 0.9), (1, 5, 50), [2, 5]
LIMITS = (150, 400, 600, 900, 2000)
AWKWARD = r"\[]<>=?;@^_`:y"


@pytest.fixture(scope="module")
def patches():
    return pl.load("patches", device="cpu")


@pytest.fixture(scope="module")
def digit(patches):
    """One drawn by the model: uint8 (28, 28). No data set is needed."""
    return patches.sample(labels=[3], seed=4, temperature=0.8)[0]


@pytest.fixture(scope="module")
def bsq():
    """A small one with 16 codes that look very different."""
    torch.manual_seed(1)
    tokenizer = BSQ(patch=5, bits=4, height=20, width=30, features=8,
                    encoder_blocks=0, decoder_blocks=0)
    with torch.no_grad():  # each code means one colour a patch
        last = tokenizer.decoder[-1]
        last.weight *= 8
        for part in (last.weight, last.bias):
            part.copy_(part[:3].repeat(25, *[1] * (part.ndim - 1)))
    return tokenizer


@pytest.fixture(scope="module")
def frame():
    y, x = np.mgrid[:20, :30]
    return torch.from_numpy(np.stack([8 * x, 12 * y, 4 * (x + y)], axis=-1)
                            .astype(np.uint8))


@pytest.fixture(scope="module")
def files(frame):
    """{format: [(bytes, squared error, file), ...]}, not in order."""
    whole = Image.fromarray(frame.numpy()).resize((150, 100))
    versions = {"JPEG": (60, 5, 20), "WebP": (1, 50, 95)}
    found = {}
    for name, qualities in versions.items():
        found[name] = []
        for quality in qualities:
            file = io.BytesIO()
            whole.save(file, name, quality=quality)
            found[name].append((len(file.getvalue()), 1 / quality / 100,
                                file.getvalue()))
    return found


@pytest.fixture(scope="module")
def pieces(patches, digit, bsq, frame, files):
    """The HTML of one explorer of each kind."""
    book, symbols = patches.tokenizer, Symbols()
    shares = torch.arange(book.vocabulary, 0, -1.0)
    return {name: piece.data for name, piece in {
        "settings": explore.settings(
            patches, digit, 3, LABELS, "Twos and fives.", seeds=2, places=3,
            temperatures=HEATS, top_ps=TOP_PS, top_ks=TOP_KS),
        "rates": explore.rates(files, LIMITS, start=3),
        "switches": explore.switches(bsq, frame, 1, 2),
        "symbols": explore.symbols(symbols, symbols.encode(digit[None])[0]),
        "codebook": explore.codebook(book, digit, shares / shares.sum()),
    }.items()}


@pytest.fixture
def opened(browser, pieces, tmp_path):
    """opened(*kinds, at="#t=1", ...): a page with these explorers."""

    @contextmanager
    def open_page(*kinds, at="", **settings):
        path = tmp_path / "page.html"
        path.write_text(PAGE.format("".join(pieces[kind] for kind in kinds)))
        with watched(browser, "file://", **settings) as (page, troubles):
            page.goto(f"{path.as_uri()}{at}")
            if settings.get("java_script_enabled", True):
                page.wait_for_function(
                    "[...document.querySelectorAll('figure')].every(figure =>"
                    " figure.querySelector('.pl-words')?.textContent)")
            yield page
            assert troubles == []

    return open_page


def pixels(canvas):
    """What a canvas shows: uint8 (H, W, 3)."""
    text = canvas.evaluate("canvas => canvas.toDataURL()").split(",")[1]
    return np.array(Image.open(io.BytesIO(base64.b64decode(text)))
                    .convert("RGB"))


def colours(image):
    return np.repeat(np.asarray(image)[..., None], 3, axis=-1)


def slider(page, name):
    return page.locator(".pl-sliders label").filter(has_text=name).locator(
        "input")


def words(page):
    return page.locator(".pl-words").first.inner_text()


def address_holds(page, **settings):
    """Wait until the address ends with these settings."""
    page.wait_for_function(
        """wanted => { const now = new URLSearchParams(location.hash.slice(1));
            return Object.entries(wanted).every(([key, text]) =>
                now.get(key) === text); }""", arg=settings)


# What the explorers are made from


@pytest.mark.parametrize("labels, classes", [
    ([0, 1], 10), ([None, 1], 10), ([None, None], 0)])
def test_settings_are_drawn_as_the_model_samples(labels, classes):
    torch.manual_seed(0)
    tokenizer = Patches(patch=2, codebook_size=8, height=6, width=6)
    tokenizer.codebook.copy_(torch.arange(8)[:, None, None] * 30)
    prior = GPT(8, (3, 3), width=8, layers=2, heads=2, num_classes=classes)
    model = ImageModel(tokenizer, prior.double().eval())
    settings = [(0, 1), (0.5, 0.8), (1, 1), (1.7, 0.3)]
    drawn = explore.draw_settings(model, settings, labels, 3)
    assert drawn.shape == (4, 3, 2, 6, 6)
    for images, (heat, top_p) in zip(drawn, settings, strict=True):
        for seed in range(3):
            expected = model.sample(labels=labels, temperature=heat,
                                    top_p=top_p, seed=seed)
            assert torch.equal(images[seed], torch.as_tensor(expected))
    assert len(drawn.flatten(0, 2).unique(dim=0)) > 6  # they do differ


def test_places_are_where_the_model_doubts_much_and_less(patches, digit,
                                                         pieces):
    tokens = patches.tokenizer.encode(digit[None])
    with torch.no_grad():
        logits = patches.prior(tokens, torch.tensor([3]))[0]
    doubt = -(logits.softmax(1) * logits.log_softmax(1)).sum(1).numpy()
    for i, (part, place) in enumerate(zip(
            np.array_split(doubt, 3), places(pieces), strict=True)):
        at, goal = number(place), part.max() / (1, 2, 1)[i]
        assert abs(doubt[at] - goal) <= abs(part - goal).min() + 1e-6
        assert np.array_equal(place["logits"], logits[at].numpy())
        assert place["top"] == logits[at].argsort(descending=True)[
            :12].tolist()
        for token, tile in zip(place["top"], place["tiles"], strict=True):
            look = Image.open(io.BytesIO(base64.b64decode(
                tile.split(",")[1])))
            assert np.array_equal(look.convert("L"),
                                  patches.tokenizer.codebook[token])


def places(pieces):
    """What the settings explorer carries, logits as float32 arrays."""
    data = json.loads(re.search(r'"application/json">(.*?)</script>',
                                pieces["settings"], re.S)[1])
    for place in data["places"]:
        place["logits"] = np.frombuffer(
            base64.b64decode(place["logits"]), np.float32)
    return data["places"]


def number(place, columns=7):
    """Of the token that "row 3, column 4" names."""
    row, column = map(int, re.findall(r"\d+", place["name"]))
    return (row - 1) * columns + column - 1


# Temperature and top-p


@in_a_browser
def test_chances_in_the_page_are_those_of_the_package(opened, pieces):
    settings = [(1, 1, 0, 0), (0, 0.5, 2, 1), (0.3, 0.95, 0, 2),
                (2, 1, 3, 0), (2, 0.05, 0, 1), (0.8, 0.6, 2, 2),
                (1, 0.9, 1, 1), (1.35, 0.99, 3, 2), (0.05, 1, 0, 0)]
    data = places(pieces)
    with opened("settings") as page:
        for heat, top_p, stop, at in settings:
            for name, value in (("temperature", heat), ("top-p", top_p),
                                ("top-k", stop), ("token", at)):
                slider(page, name).fill(str(value))
            probs = pl.sampling.probabilities(
                torch.from_numpy(data[at]["logits"].copy()), heat,
                TOP_KS[stop - 1] if stop else None, top_p)
            top = probs[data[at]["top"]].tolist()
            shown = page.locator(".pl-bars span").all_inner_texts()
            kept = probs > 0
            kept[data[at]["top"]] = False
            for text, p in zip(shown, [*top, probs[kept].sum().item()],
                               strict=True):
                check_percent(text, p)
            bits = torch.special.entr(probs).sum().item() / np.log(2)
            said = words(page).replace("\N{NO-BREAK SPACE}", " ")
            assert said.startswith(
                f"{(probs > 0).sum()} of 1024 tokens can be drawn, the "
                f"likeliest with {shown[0]} %; the draw is worth {bits:.2f} "
                f"bits on average. Temperature {heat}, top-p {top_p}.")
            heights = page.locator(".pl-bars > div > div").evaluate_all(
                "bars => bars.map(bar => parseFloat(bar.style.height))")
            assert np.allclose(heights[:-1], 100 * np.array(top), atol=1e-3)


def check_percent(text, p):
    if p == 0:
        assert text == "–"
    elif p < 0.0005:
        assert text == "<0.1"
    else:
        decimals = 1 if p < 0.0995 else 0
        assert text == f"{100 * p:.{decimals}f}"


@in_a_browser
def test_samples_are_those_of_the_nearest_setting(opened, patches):
    drawn = {pair: explore.draw_settings(patches, [pair], LABELS, 2)[0]
             for pair in ((0, 1), (0.8, 1), (0.8, 0.9), (1, 0.9))}
    with opened("settings") as page:
        samples = page.locator("canvas[aria-label^=Sample]")
        for heat, top_p, nearest in [(0.15, 0.5, (0, 1)), (0.7, 1, (0.8, 1)),
                                     (0.6, 0.3, (0.8, 0.9)),
                                     (1.4, 0.94, (1, 0.9))]:
            for seed in range(2):
                for name, value in (("temperature", heat), ("top-p", top_p),
                                    ("seed", seed)):
                    slider(page, name).fill(str(value))
                for canvas, image in zip(samples.all(), drawn[nearest][seed],
                                         strict=True):
                    assert np.array_equal(pixels(canvas), colours(image))
            assert f"temperature {nearest[0]}," in page.locator(
                "figure p:visible").first.inner_text()


@in_a_browser
def test_the_guessed_image_ends_at_the_orange_token(opened, patches, digit,
                                                    pieces):
    tokens = patches.tokenizer.encode(digit[None])
    image = colours(patches.tokenizer.decode(tokens)[0])
    y, x = np.mgrid[:28, :28]
    with opened("settings") as page:
        for at, place in enumerate(places(pieces)):
            slider(page, "token").fill(str(at))
            expected = image.copy()
            expected[7 * (y // 4) + x // 4 > number(place)] = 173, 216, 230
            expected[7 * (y // 4) + x // 4 == number(place)] = 242, 140, 40
            shown = pixels(page.get_by_label("The tokens so far"))
            assert np.array_equal(shown, expected)
            assert page.locator(".pl-sliders b").last.inner_text() == place[
                "name"]


@in_a_browser
def test_moving_a_slider_repaints_within_a_frame_or_two(opened):
    with opened("settings") as page:
        times = page.evaluate("""async () => {
            const input = document.querySelector("input"), times = [];
            for (let i = 0; i < 20; i++) {
                await new Promise(requestAnimationFrame);
                const start = performance.now();
                input.value = i / 10;
                input.dispatchEvent(new Event("input"));
                document.body.offsetHeight;  // lays out the page
                document.querySelectorAll("canvas").forEach(canvas =>
                    canvas.getContext("2d").getImageData(0, 0, 1, 1));
                times.push(performance.now() - start);
            }
            return times;
        }""")
    print(f"slider to picture: {statistics.median(times):.1f} ms (median)")
    assert statistics.median(times) <= 100


# Settings in the address


@in_a_browser
def test_settings_are_in_the_address_and_come_back(opened):
    with opened("settings") as page:
        assert page.evaluate("location.hash") == ""  # nothing touched yet
        slider(page, "temperature").fill("0.8")
        slider(page, "top-p").fill("0.55")
        slider(page, "seed").fill("1")
        address_holds(page, t="0.8", p="0.55", seed="1")
        link, said = page.evaluate("location.hash"), words(page)
        sample = pixels(page.locator("canvas").first)
    assert parse_qs(link[1:]) == {"t": ["0.8"], "p": ["0.55"], "seed": ["1"]}
    with opened("codebook", "symbols", "settings", at=link) as page:
        figure = page.locator("[data-explorer=settings]")
        assert figure.locator(".pl-words").inner_text() == said
        assert np.array_equal(pixels(figure.locator("canvas").first), sample)
        top = figure.bounding_box()["y"]
        assert page.evaluate("scrollY") > 0
        assert 0 <= top < page.viewport_size["height"]


@in_a_browser
@pytest.mark.parametrize("at, state", [
    ("#t=abc&p=&seed=99", "1 1 1"), ("#t=-5&p=7&seed=x", "0 1 0"),
    ("#t=NaN&seed=1e999", "1 1 0"), ("#t=%00&%&=&p", "1 1 0"),
    ("#t=0.83", "0.85 1 0"), ("#exercises", "1 1 0"), ("#t", "1 1 0")])
def test_a_strange_address_is_harmless(opened, at, state):
    with opened("settings", at=at) as page:
        now = [slider(page, name).input_value()
               for name in ("temperature", "top-p", "seed")]
        assert " ".join(now) == state
        page.wait_for_timeout(300)
        assert page.evaluate("location.hash") == at  # read, not written


@in_a_browser
@pytest.mark.parametrize("at", [
    "#code=99&text=&tokens=1.2.3&bytes=x", "#code=-1&text=!!!&tokens=x",
    "#code=1e0&tokens=" + ".".join(["2000"] * 49)])
def test_strange_values_elsewhere_are_harmless(opened, bsq, frame, at):
    kinds = ("switches", "symbols", "codebook", "rates")
    with opened(*kinds) as page:
        usual = page.locator(".pl-words").all_inner_texts()
    with opened(*kinds, at=at) as page:
        strange = page.locator(".pl-words").all_inner_texts()
        if "text=!!!" in at:  # no symbols: all black
            assert set(page.locator("textarea").input_value()) == {":"}
            del strange[1], usual[1]
        assert strange == usual


@in_a_browser
def test_an_address_edited_by_hand_applies(opened):
    with opened("settings", at="#exercises") as page:
        page.evaluate("location.hash = 't=0.5&at=2'")
        page.wait_for_function(
            "document.querySelector('.pl-words').textContent"
            ".includes('Temperature 0.5')")
        assert slider(page, "token").input_value() == "2"
        page.evaluate("location.hash = 'exercises'")
        page.wait_for_timeout(50)
        assert slider(page, "temperature").input_value() == "0.5"


@in_a_browser
def test_what_else_is_in_the_address_stays(opened):
    with opened("settings", at="#exercises") as page:
        slider(page, "temperature").fill("0.5")
        page.wait_for_function("location.hash === '#exercises&t=0.5'")
        page.evaluate("location.hash = 'exercises'")  # a link of the page
        slider(page, "top-p").fill("0.9")
        page.wait_for_function("location.hash === '#exercises&t=0.5&p=0.9'")


@in_a_browser
def test_two_of_a_kind_keep_their_own_settings(opened):
    with opened("settings", "settings", "switches") as page:
        first, second = page.locator("[data-explorer=settings]").all()
        slider(first, "temperature").fill("0.5")
        slider(second, "temperature").fill("1.5")
        page.get_by_role("button", name="bit 3").click()
        address_holds(page, t="0.5", t2="1.5")
        page.wait_for_function("location.hash.includes('code')")
        link = page.evaluate("location.hash")
    with opened("settings", "settings", "switches", at=link) as page:
        first, second = page.locator("[data-explorer=settings]").all()
        assert slider(first, "temperature").input_value() == "0.5"
        assert slider(second, "temperature").input_value() == "1.5"
        assert page.locator("[aria-pressed=true]").count() == 1


@in_a_browser
def test_a_long_drag_writes_the_address_at_its_end(opened):
    with opened("settings") as page:  # browsers refuse 200 in ten seconds
        page.evaluate("""() => {
            const write = history.replaceState.bind(history);
            window.written = 0;
            history.replaceState = (...all) => { written++; write(...all); };
            const input = document.querySelector("input");
            for (let i = 0; i <= 400; i++) {
                input.value = i / 200;
                input.dispatchEvent(new Event("input"));
            }
        }""")
        address_holds(page, t="2")
        assert page.evaluate("written") == 1


# Hands


@in_a_browser
def test_sliders_by_keyboard_alone(opened):
    with opened("settings") as page:
        seen = []
        for _ in range(5):
            page.keyboard.press("Tab")
            seen.append(page.evaluate(
                "document.activeElement.closest('label').firstChild.data"))
            assert page.evaluate(
                "getComputedStyle(document.activeElement).outlineStyle"
            ) == "solid"
        assert seen == ["temperature", "top-p", "top-k (chart only)", "seed",
                        "token"]
        page.keyboard.press("ArrowRight")
        active = page.locator(":focus")
        assert active.get_attribute("aria-valuetext").startswith("row ")
        before = words(page)
        for key in ("Shift+Tab", "Shift+Tab", "ArrowUp"):
            page.keyboard.press(key)
        assert active.get_attribute("aria-valuetext") == "1"  # k, not stop 1
        page.keyboard.press("ArrowRight")
        assert active.get_attribute("aria-valuetext") == "5"
        for key in ("Shift+Tab", "Shift+Tab", "ArrowLeft"):
            page.keyboard.press(key)
        assert active.get_attribute("aria-valuetext") == "0.95"
        assert "Temperature 0.95" in words(page) != before
        assert page.locator(".pl-words").get_attribute(
            "aria-live") == "polite"
        assert page.get_by_role("slider", name="temperature", exact=True
                                ).count() == 1


@in_a_browser
def test_keys_stay_inside_where_a_notebook_listens(opened):
    with opened("settings", "codebook") as page:
        page.evaluate("""() => document.addEventListener("keydown", event => {
            if (event.key === "s") document.title = "saved";
            else event.preventDefault();  // to go to the next cell
        })""")
        slider(page, "temperature").press("ArrowLeft")
        assert "Temperature 0.95" in words(page)
        page.get_by_label("The codebook").press("Control+s")
        assert page.title() == "saved"


@in_a_browser
def test_a_slider_follows_the_mouse(opened):
    with opened("settings") as page:
        box = slider(page, "temperature").bounding_box()
        middle = box["y"] + box["height"] / 2
        page.mouse.move(box["x"] + box["width"] / 2, middle)
        page.mouse.down()
        page.mouse.move(box["x"] + 0.6 * box["width"], middle, steps=5)
        assert "Temperature 1.2" in words(page)  # while it is held
        page.mouse.move(box["x"] + box["width"], middle)
        page.mouse.up()
        assert "Temperature 2" in words(page)
        address_holds(page, t="2")


# Rates, switches


def test_a_larger_file_that_is_no_better_is_left_out(files):
    blob = files["JPEG"][0][2]
    made = explore.rates({"A": [(30, 0.2, blob), (10, 0.2, blob),
                                (40, 0.1, blob), (50, 0.3, blob)]}, [60]).data
    assert re.findall(r'data-bytes="(\d+)"', made) == [
        "0", "10", "40"]


@in_a_browser
def test_rates_show_the_largest_file_within_the_limit(opened, files):
    with opened("rates") as page:
        assert slider(page, "bytes").input_value() == "3"  # start
        impossible = 0
        for stop, limit in enumerate(LIMITS):
            slider(page, "bytes").fill(str(stop))
            for name, versions in files.items():
                part = page.locator(f"[data-format={name}]")
                sizes = [size for size, *_ in versions if size <= limit]
                shown = part.locator("[data-bytes]:visible").evaluate_all(
                    "parts => parts.map(part => +part.dataset.bytes)")
                assert shown == [max(sizes, default=0)]
                if sizes:
                    assert f"{name} {max(sizes)} bytes, " in words(page)
                    assert part.locator("img:visible").count() == 1
                else:
                    impossible += 1
                    assert f"{name} cannot go this small" in words(page)
                    assert "cannot go this small" in part.inner_text()
        assert 0 < impossible < 2 * len(LIMITS)


@in_a_browser
def test_switches_show_the_picture_of_the_flipped_code(opened, bsq, frame):
    tokens = bsq.encode(frame[None])
    code, looks = int(tokens[0, 8]), []
    for token in range(16):
        tokens[0, 8] = token
        looks.append(bsq.decode(tokens)[0].numpy().astype(float))
    with opened("switches") as page:
        buttons = page.get_by_role("button")
        assert buttons.count() == 4
        now = code
        for bit, key in [(0, None), (3, " "), (1, "Enter"), (3, None)]:
            if key:
                buttons.nth(bit).focus()
                page.keyboard.press(key)
            else:
                buttons.nth(bit).click()
            now ^= 1 << bit
            near = pixels(page.get_by_label("The patch and its neighbours"))
            whole = pixels(page.get_by_label("The frame"))
            away = [np.abs(near - look[:15, 5:20]).mean() for look in looks]
            assert np.argmin(away) == now and away[now] < 3, away
            assert np.array_equal(near, whole[:15, 5:20])
            pressed = [button.get_attribute("aria-pressed") == "true"
                       for button in buttons.all()]
            assert pressed == [bool((now ^ code) >> i & 1) for i in range(4)]
            assert [text[-1] for text in buttons.all_inner_texts()] == [
                str(now >> i & 1) for i in range(4)]
            assert words(page).startswith(
                f"Code {now}: {sum(pressed)} of 4 bits flipped")
        address_holds(page, code=str(now))
    with opened("switches", at=f"#code={code ^ 5}") as page:
        assert words(page).startswith(f"Code {code ^ 5}: 2 of 4 bits")


# A digit as text


def symbols_shown(page):
    """Of the text and of the canvas: the images (30, 30) they stand for."""
    text = page.locator("textarea").input_value()
    tokens = torch.tensor([ord(symbol) - FIRST for symbol in text])
    image = pixels(page.locator("canvas"))[7::14, 7::14]
    return Symbols().decode(tokens[None])[0].numpy(), np.where(
        image.mean(axis=-1) > 128, 255, 0)


@in_a_browser
def test_text_and_pixels_change_together(opened, digit):
    plain = Symbols().decode(Symbols().encode(digit[None]))[0].numpy()
    with opened("symbols") as page:
        field, picture = page.locator("textarea"), page.locator("canvas")
        assert np.array_equal(symbols_shown(page)[1], plain)
        field.evaluate("field => { field.focus();"
                       "field.setSelectionRange(0, 0); }")
        page.keyboard.type(AWKWARD)
        assert field.input_value().startswith(AWKWARD)
        typed = symbols_shown(page)
        assert np.array_equal(*typed)
        assert np.array_equal(typed[1][3:], plain[3:])  # typing moves nothing
        address_holds(page, text=field.input_value())
        page.keyboard.type("!z 9\n")  # no symbols
        assert np.array_equal(*symbols_shown(page))
        assert np.array_equal(symbols_shown(page)[1], typed[1])
        page.keyboard.press("Backspace")
        page.keyboard.press("Delete")
        assert np.array_equal(*symbols_shown(page))  # filled with black
        before = symbols_shown(page)[1]
        box = picture.bounding_box()
        picture.click(position={"x": (17 + 0.5) * box["width"] / 30,
                                "y": (4 + 0.5) * box["height"] / 30})
        before[4, 17] ^= 255
        for shown in symbols_shown(page):
            assert np.array_equal(shown, before)
        for key in ("ArrowDown", "ArrowLeft", "Enter", "ArrowUp", " "):
            page.keyboard.press(key)
        before[5, 16] ^= 255
        before[4, 16] ^= 255
        for shown in symbols_shown(page):
            assert np.array_equal(shown, before)
        assert "Row 5, symbol 3" in words(page)
        text = field.input_value()
        address_holds(page, text=text)
        link = page.evaluate("location.hash")
    with opened("symbols", at=link) as page:
        assert page.locator("textarea").input_value() == text
        for shown in symbols_shown(page):
            assert np.array_equal(shown, before)


@in_a_browser
def test_lines_of_the_text_end_at_no_key(opened):
    """Five symbols a line, whatever they are; keys pass from line to line."""
    with opened("symbols") as page:
        field = page.locator("textarea")
        original = field.input_value()
        field.fill(AWKWARD * 15)
        assert field.evaluate("field => field.scrollHeight") == 30 * 14
        page.get_by_role("button", name="Original").click()
        field.evaluate("field => { field.focus();"
                       "field.setSelectionRange(10, 10); }")
        page.keyboard.type("yy")
        page.keyboard.insert_text("x")
        assert field.input_value() == original[:10] + "yyx" + original[13:]
        assert words(page).startswith("Row 3, symbol 4:")
        for _ in range(3):
            page.keyboard.press("ArrowLeft")
        for _ in range(10):
            page.keyboard.press("Backspace")
        assert field.input_value() == (
            "yyx" + original[13:]).ljust(150, ":")
        assert words(page).startswith("Row 1, symbol 1: y is 63")


@in_a_browser
def test_keys_of_the_browser_are_left_to_it(opened):
    with opened("symbols") as page:
        passed = page.locator("canvas").evaluate("""canvas => [{}, {altKey: 1},
            {ctrlKey: 1}, {metaKey: 1}].map(held => canvas.dispatchEvent(
                new KeyboardEvent("keydown", {key: "ArrowLeft",
                    cancelable: true, ...held})))""")
        assert passed == [False, True, True, True]


@in_a_browser
def test_any_symbol_survives_the_address(opened):
    alphabet = "".join(chr(58 + i) for i in range(64))
    text = (alphabet + AWKWARD + alphabet)[:150].ljust(150, ":")
    with opened("symbols") as page:
        page.locator("textarea").fill(text)
        address_holds(page, text=text)
        link = page.evaluate("location.hash")
    with opened("symbols", at=link) as page:
        assert page.locator("textarea").input_value() == text
        assert np.array_equal(*symbols_shown(page))


# The codebook


def tokens_shown(page, tokenizer, tokens):
    """Whether the image on the page is what these tokens decode to."""
    image = tokenizer.decode(torch.tensor([tokens]))[0]
    shown = pixels(page.get_by_label("The image"))
    return np.array_equal(shown[2::5, 2::5], colours(image))


@in_a_browser
def test_entries_of_the_codebook_go_where_they_are_put(opened, patches,
                                                       digit):
    tokenizer = patches.tokenizer
    tokens = tokenizer.encode(digit[None])[0].tolist()
    original = list(tokens)
    with opened("codebook") as page:
        book, picture = (page.get_by_label(name) for name in (
            "The codebook", "The image"))
        assert tokens_shown(page, tokenizer, tokens)
        assert f"Entry {tokens[24]}," in words(page)
        click(book, row=3, column=20, rows=32, columns=32)
        assert words(page).startswith(f"Entry {3 * 32 + 20}, ")
        entry = pixels(page.get_by_label("The chosen entry"))
        assert np.array_equal(entry, colours(tokenizer.codebook[116]))
        assert tokens_shown(page, tokenizer, tokens)  # not put yet
        click(picture, row=2, column=5, rows=7, columns=7)
        tokens[2 * 7 + 5] = 116
        assert tokens_shown(page, tokenizer, tokens)
        assert "row 3, column 6 holds entry 116" in words(page)

        book.focus()
        page.keyboard.press("ArrowDown")
        page.keyboard.press("ArrowRight")
        assert words(page).startswith("Entry 149, ")
        page.keyboard.press("Tab")
        page.keyboard.press("ArrowLeft")
        assert tokens_shown(page, tokenizer, tokens)
        page.keyboard.press("Enter")
        tokens[2 * 7 + 4] = 149
        assert tokens_shown(page, tokenizer, tokens)
        address_holds(page, tokens=".".join(map(str, tokens)))
        link = page.evaluate("location.hash")

        for name, expected in (("All empty", [0] * 49),
                               ("All this entry", [149] * 49),
                               ("Original", original)):
            page.get_by_role("button", name=name).click()
            assert tokens_shown(page, tokenizer, expected)
    with opened("codebook", at=link) as page:
        assert tokens_shown(page, tokenizer, tokens)


def click(canvas, row, column, rows, columns):
    box = canvas.bounding_box()
    canvas.click(position={"x": (column + 0.5) * box["width"] / columns,
                           "y": (row + 0.5) * box["height"] / rows})


# Everywhere

KINDS = ("settings", "rates", "switches", "symbols", "codebook")


@in_a_browser
def test_without_javascript_a_figure_remains(opened):
    with opened(*KINDS, java_script_enabled=False,
                viewport={"width": 375, "height": 700}) as page:
        assert page.evaluate("document.documentElement.scrollWidth") <= 375
        for figure in page.locator("figure").all():
            pictures = figure.locator("img:visible")
            assert pictures.count() > 0
            for picture in pictures.all():
                assert len(picture.get_attribute("alt")) > 10
        assert page.locator("button, input, textarea, canvas").count() == 0


@in_a_browser
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_explorers_are_accessible(opened, theme):
    with opened(*KINDS, color_scheme=theme, at="#p=0.5&code=3") as page:
        found = Axe().run(page).response["violations"]
        assert [(rule["id"], rule["nodes"][0]["html"])
                for rule in found] == []


@in_a_browser
def test_explorers_fit_a_phone(opened):
    with opened(*KINDS, viewport={"width": 375, "height": 700},
                has_touch=True, is_mobile=True) as page:
        assert page.evaluate("document.documentElement.scrollWidth") == 375
        for picture in page.locator("canvas:visible").all():
            box = picture.bounding_box()
            assert box["x"] >= 0 and box["x"] + box["width"] <= 375
            shape = picture.evaluate("c => c.width / c.height")
            assert box["width"] / box["height"] == pytest.approx(shape, 0.02)
        page.get_by_role("button", name="bit 2").tap()
        assert "1 of 4 bits flipped" in page.locator(
            "[data-explorer=switches] .pl-words").inner_text()


@in_a_browser
def test_nothing_moves_by_itself(opened):
    with opened(*KINDS) as page:
        assert page.evaluate("document.getAnimations().length") == 0


@in_a_browser
def test_print_keeps_the_pictures_and_hides_the_controls(opened):
    with opened(*KINDS) as page:
        page.emulate_media(media="print")
        for figure in page.locator("figure").all():
            assert figure.locator("canvas:visible, img:visible").count() > 0
        assert page.locator("button:visible, input:visible").count() == 0


@in_a_browser
def test_an_output_in_a_frame_without_an_address(opened, pieces):
    """As hosted notebooks show outputs: nothing can be linked to there."""
    with opened("settings") as page:
        page.evaluate(
            """text => { const frame = document.createElement("iframe");
                 frame.sandbox = "allow-scripts"; frame.srcdoc = text;
                 frame.title = "output"; document.body.append(frame); }""",
            pieces["settings"] + pieces["codebook"])
        inside = page.frame_locator("iframe")
        slider(inside, "temperature").fill("0.5")
        assert "Temperature 0.5" in inside.locator(
            ".pl-words").first.inner_text()
        inside.get_by_role("button", name="All empty").click()
        page.wait_for_timeout(300)  # the address would be written now
        assert page.evaluate("location.hash") == ""
