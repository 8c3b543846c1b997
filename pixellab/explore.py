"""Explorers: pictures that a reader can touch, without a kernel.

Each function returns one piece of HTML that carries its data, its style and
its JavaScript (pixellab/js). It works in a notebook, on Colab and in the
built page, from a server or a folder, and asks no other host. Where no
script runs, a figure with alt text remains. What is set stands in the
address (#t=0.8&p=0.9&seed=1), so that it can be linked to.
"""

import base64
import html
import io
import json
import re
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from pixellab import figures, measures, sampling
from pixellab import images as pictures
from pixellab.tokenizers import symbols as alphabet

FILES = Path(__file__).parent / "js"
NEXT = (242, 140, 40)  # orange: the token that comes next
LIKELIEST = 12         # tokens with a bar of their own


def script(*modules):
    """The modules of pixellab/js as the text of one script: a page in a
    folder may not load modules, so the imports between them fall away."""
    text = "\n".join((FILES / f"{name}.js").read_text() for name in modules)
    return re.sub(r"^import .*\n|^export ", "", text, flags=re.M)


def explorer(kind, still, data, *modules):
    """A figure: `still` is its HTML without a script, `data` what the script
    of that kind is given."""
    from IPython.display import HTML

    data = json.dumps(data).replace("<", "\\u003c")  # ends no script
    return HTML(
        f'<figure class="pl-explorer" data-explorer="{kind}">\n'
        f"<style>{(FILES / 'explore.css').read_text()}</style>\n"
        f'<div class="pl-still">{still}</div>\n'
        f'<script type="application/json">{data}</script>\n'
        f'<script type="module">{script(*modules, "controls", kind)}'
        "</script>\n</figure>")


def image_file(pixels):
    """uint8 (H, W[, 3]) as PNG if it has few colours, else as lossy WebP."""
    image, file = Image.fromarray(np.ascontiguousarray(pixels)), io.BytesIO()
    if len(image.getcolors(2 ** 24)) <= 512:
        image.save(file, "PNG", optimize=True)
    else:
        image.save(file, "WEBP", quality=75, method=6)
    return file.getvalue()


def picture(blob, alt, scale=1):
    """An image file, or uint8 (H, W[, 3]), as an <img>."""
    if not isinstance(blob, bytes):
        blob = image_file(blob)
    width = scale * Image.open(io.BytesIO(blob)).width
    return (f'<img src="{figures.address(blob)}" width="{width}" '
            f'alt="{html.escape(alt)}">')


def draw_settings(model, settings, labels, seeds):
    """What `model.sample(labels=labels, seed=seed)` draws with each of the
    settings (temperature, top_p) and seeds 0, 1, ..., in one batch: uint8
    (settings, seeds, labels, H, W[, 3])."""
    def filtered(logits):
        parts = zip(logits.chunk(len(settings)), settings, strict=True)
        return torch.cat([sampling.probabilities(part, heat, top_p=top_p)
                          for part, (heat, top_p) in parts])

    uniforms = torch.cat([
        sampling.uniform_numbers(len(labels), model.tokenizer.length, seed)
        for seed in range(seeds)]).repeat(len(settings), 1)
    classes = model.label_tensor(labels, len(labels))
    images = model.tokenizer.decode(sampling.sample(
        model.prior, classes.repeat(len(settings) * seeds), uniforms,
        rule=filtered))
    return images.unflatten(0, (len(settings), seeds, len(labels)))


def guesses(model, image, label, places):
    """What the model says at one place in each of `places` equal stretches of
    an image, least certain or, by turns, half so: (picture, dict)."""
    tokenizer = model.tokenizer
    tokens = tokenizer.encode(image[None])
    labels = model.label_tensor(None if label is None else [label], 1)
    device = next(model.prior.parameters()).device
    all_logits = model.prior(
        tokens.to(device), labels.to(device))[0].float().cpu()
    doubt = torch.distributions.Categorical(logits=all_logits).entropy()
    for number, part in enumerate(torch.arange(len(doubt)).chunk(places)):
        goal = doubt[part].max() / (1 + number % 2)
        place = int(part[(doubt[part] - goal).abs().argmin()])
        logits = all_logits[place]
        top = logits.topk(min(LIKELIEST, len(logits))).indices
        here = tokenizer.drawn(place + 1) ^ tokenizer.drawn(place)
        seen = figures.partial(model, tokens[:, :place])[0]
        seen[here.numpy()] = NEXT
        options = tokens.repeat(len(top), 1)
        options[:, place] = top
        rows, columns = (axis.unique() for axis in here.nonzero().T)
        looks = pictures.to_array(tokenizer.decode(options))[
            :, rows[0]:rows[-1] + 1, columns[0]:columns[-1] + 1]
        row, column = divmod(place, tokenizer.grid[1])
        yield seen, {
            "name": f"row {row + 1}, column {column + 1}",
            "logits": base64.b64encode(logits.numpy().tobytes()).decode(),
            "top": top.tolist(),
            "tiles": [figures.address(image_file(look)) for look in looks]}


@torch.no_grad()
def settings(model, image, label, labels, alt, seeds=2, places=6,
             temperatures=(0, 0.5, 0.8, 1, 1.3), top_ps=(1, 0.95, 0.9, 0.7),
             top_ks=()):
    """Temperature and top-p to play with: HTML.

    Images of `labels` from `seeds` seeds at each pair of (rising) temperature
    and top_p; alt describes them. And what the model says at some `places` of
    one image (H, W[, 3]) with that label: its logits, filtered in the browser.
    """
    pairs = [(heat, top_p) for heat in temperatures for top_p in top_ps]
    drawn = draw_settings(model, pairs, labels, seeds)
    seen, said = zip(*guesses(model, image, label, places), strict=True)
    height, width = model.tokenizer.shape[:2]
    still = picture(pictures.sheet(drawn.transpose(0, 1).flatten(0, 2),
                                  columns=len(top_ps) * len(labels)), alt)
    still += picture(
        pictures.sheet(np.stack(seen), len(seen)),
        "The image that is being guessed, as far as it is known at each of "
        f"{places} places: the next token is orange, the rest blue.")
    still += (f"<p>Samples: from above, {seeds} seeds with temperatures "
              f"{', '.join(map(str, temperatures))} each; from the left, "
              f"top-p {', '.join(map(str, top_ps))}, {len(labels)} images "
              "each.</p>")
    return explorer("settings", still, {
        "temperatures": temperatures, "topPs": top_ps, "topKs": top_ks,
        "seeds": seeds, "each": len(labels), "height": height,
        "width": width, "gap": 2, "places": said}, "filter")


def rates(files, limits, start=0):
    """A rate-distortion slider, from bytes to pictures: HTML.

    files: {format: [(size, mean squared error, image file as bytes), ...]},
    of which better ones than the smaller are shown; limits: the slider's
    stops, in bytes, number `start` the first.
    """
    still = ""
    for name, versions in files.items():
        name = html.escape(name)
        still += (f'<div data-format="{name}"><p><strong>{name}</strong></p>'
                  '<p data-bytes="0" hidden>cannot go this small</p>')
        least = np.inf
        for size, error, blob in sorted(versions, key=lambda row: row[0]):
            if error < least:
                least = error
                words = f"{size} bytes, {measures.psnr(error):.1f} dB"
                alt = f"The frame by {name}: {words}."
                still += (f'<div data-bytes="{size}">{picture(blob, alt, 2)}'
                          f"<span>{words}</span></div>")
        still += "</div>"
    return explorer("rates", still, {"limits": limits, "start": start})


def switches(tokenizer, image, row, column):
    """All codes of a `BSQ` that one patch of an image, shown with those around
    it, could have had: HTML. image uint8 (H, W, 3)."""
    code = tokenizer.encode(image[None])
    place, patch = row * tokenizer.grid[1] + column, tokenizer.row_height
    top, left, side = patch * (row - 1), patch * (column - 1), 3 * patch
    options = code.repeat(tokenizer.vocabulary, 1)
    options[:, place] = torch.arange(tokenizer.vocabulary)
    looks = tokenizer.decode(options)[:, top:top + side, left:left + side]
    columns = 2 ** ((tokenizer.bits + 1) // 2)
    still = picture(tokenizer.decode(code)[0].numpy(),
                    "The frame as the tokenizer knows it.") + picture(
        pictures.sheet(looks, columns, pad=0),
        "A mosaic of the same small part of the frame, once "
        f"for each of the {tokenizer.vocabulary} codes that its middle patch "
        "could have: in light and dark, in all colours, with edges in all "
        "directions.")
    return explorer("switches", still, {
        "code": int(code[0, place]), "bits": tokenizer.bits, "side": side,
        "columns": columns, "row": top, "column": left})


def symbols(tokenizer, tokens):
    """The text of a digit to edit: HTML. tokens (150,) of a `Symbols`."""
    text = "".join(chr(alphabet.FIRST + token) for token in tokens.tolist())
    still = picture(tokenizer.decode(tokens[None])[0].numpy(),
                    "A black and white digit of 30 by 30 pixels.", 8)
    return explorer("symbols", f"{still}<pre>{html.escape(text)}</pre>", {
        "text": text, "first": alphabet.FIRST, "side": tokenizer.shape[0],
        "pack": tokenizer.shape[1] // tokenizer.grid[1]})


def codebook(tokenizer, image, shares):
    """Entries of a `Patches`, used in these shares, to put into an image uint8
    (H, W): HTML."""
    still = picture(
        pictures.sheet(tokenizer.codebook, 32, pad=1, background=128),
        f"The {tokenizer.vocabulary} entries of the codebook, in rows of 32, "
        "the most used first.", 3)
    return explorer("codebook", still, {
        "tokens": tokenizer.encode(image[None])[0].tolist(),
        "patch": tokenizer.row_height, "across": tokenizer.grid[1],
        "entries": tokenizer.vocabulary, "columns": 32,
        "shares": [round(float(share), 6) for share in shares]})
