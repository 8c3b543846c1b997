# %% [markdown]
# # The scoreboard: which one is best?

# %% [markdown] tags=["remove-cell"]
# *Takes half a minute on one core of a laptop, half a minute on a Colab GPU. The same
# [as a page](https://OWNER.github.io/pixel-by-pixel/chapters/07_scoreboard.html),
# with sliders that need no kernel.*

# %% [markdown]
# Five systems stand on the table. They cut pictures into pixels, symbols,
# patches and learned signs; some keep every pixel and some do not; some are
# fast and some are slow. Which is the best?
#
# "At what?" is the right answer, and this chapter makes it precise. It measures
# bits, bytes, the quality of what is drawn, and time, and for each of them it
# says which numbers may stand side by side. In a hurry? The
# last table, under *Which one?*, is there to act on: if you want this, take
# that.
#
# Nothing large is computed here. The numbers are those of `make bench`, one
# command that measures them all anew; they lie in `benchmarks/results.json`.
# What can be checked in seconds is checked.

# %% cellView="form" jupyter={"source_hidden": true} tags=["hide-cell"]
# @title Installation (in Colab) { display-mode: "form" }
try:
    import pixellab as pl
except ImportError:  # in Colab: install the package once
    import subprocess
    import sys
    subprocess.run([
        sys.executable, "-m", "pip", "install", "-q",
        "git+https://github.com/OWNER/pixel-by-pixel",
    ], check=True)
    import pixellab as pl

# %% [markdown]
# The tools. `gpt-live` plays with the others: it is the GPT with its weights
# rounded to eight bits, the one that runs in the browser on the page
# [the live page](../book/live.md).

# %%
import io
import math
import time

import matplotlib.pyplot as plt
import numpy as np
import torch
import torch.nn.functional as F
from IPython.display import Markdown
from pixellab.parts import learned
from PIL import Image

pl.figures.style()
scale = pl.scale(quick="half a minute", colab="half a minute",
                 release="half a minute")
x_valid, y_valid = pl.data.mnist("valid")
NAMES = ("pixelcnn", "gpt", "gpt-live", "symbols", "patches", "bsq")
models = {name: pl.load(name, "cpu") for name in NAMES}

# %% [markdown]
# First a look, so that the numbers have faces. Real digits above; below, what
# four of the systems draw when they are asked for 0 to 9, at temperature 1 and
# without any filter. (The frames of `bsq` are in [chapter 6](06_bsq.ipynb).)

# %% mystnb={"image": {"alt": "Five rows of ten digits, 0 to 9. The first row is real. Below it pixelcnn, gpt, symbols and patches: most of their digits can be read, some cannot; those of symbols are black and white, those of patches have small steps in their strokes."}}
rows = [torch.stack([x_valid[y_valid == digit][7] for digit in range(10)])]
for name in ("pixelcnn", "gpt", "symbols", "patches"):
    rows.append(models[name].sample(labels=range(10), seed=3))
rows = [F.pad(row, [(30 - row.shape[-1]) // 2] * 4) for row in rows]
pl.figures.grid(torch.cat(rows), columns=10, size=0.46, row_titles=[
    "real ", "pixelcnn ", "gpt ", "symbols ", "patches "])
plt.show()

# %% [markdown]
# ## The scoreboard
#
# What is each of them? Every weight file says in its header how it was made.
# We add up the stages: seconds of training on one core, and how many images
# it was shown. (An image counts each time that it is shown.)

# %%
def schooling(about):
    """(seconds, images shown) of a header and the stages before it."""
    seconds = about.get("seconds", 0)
    shown = about.get("epochs_done", 0) * about.get("train_images", 0)
    if "started_from" in about:
        earlier = schooling(about["started_from"])
        seconds, shown = seconds + earlier[0], shown + earlier[1]
    return seconds, shown


def parts_of(name):
    """Parameters, megabytes, minutes and images of a shipped model."""
    model = models[name]
    tensors = [*model.prior.parameters(),
               *learned(model.tokenizer).values()]
    stages = [schooling(model.provenance)]
    stages.append(schooling(model.provenance.get("tokenizer", {})))
    seconds, shown = np.sum(stages, axis=0)
    return {"parameters": sum(tensor.numel() for tensor in tensors),
            "megabytes": pl.weights.find(name).stat().st_size / 1e6,
            "minutes": seconds / 60, "shown": shown}


about = {name: parts_of(name) for name in NAMES}
assert all(about[name]["minutes"] > 10 for name in NAMES)
assert about["gpt-live"]["megabytes"] < about["gpt"]["megabytes"]

# %% [markdown]
# A number that is typed into a table is a number that nobody updates. So the
# tables of this chapter are made by cells, from the results. (Unfold one to
# see where its numbers come from.)

# %%
def table(head, rows, words=1):
    """A Markdown table below its cell: columns of words, then of numbers."""
    rule = [":---"] * words + ["---:"] * (len(head) - words)
    return Markdown("\n".join("| " + " | ".join(map(str, row)) + " |"
                              for row in (head, rule, *rows)))


def marked(values, form, best=min):
    """Numbers as text, the best of them in bold, None as a dash."""
    there = [value for value in values if value is not None]
    return ["–" if value is None else f"**{value:{form}}**"
            if value == best(there) else f"{value:{form}}"
            for value in values]

# %% tags=["hide-input"]
table(["", "tokens an image", "values of a token", "parameters", "file, MB",
       "training, minutes", "images shown"],
      [[name, models[name].tokenizer.length,
        f"{models[name].tokenizer.vocabulary:,}",
        f"{about[name]['parameters']:,}", f"{about[name]['megabytes']:.2f}",
        f"{about[name]['minutes']:.0f}", f"{about[name]['shown']:,.0f}"]
       for name in NAMES])

# %% [markdown]
# All of them are small, and all were trained on one core of a CPU. That is
# the league they play in. (Parameters are those of the network and of a
# tokenizer that learns.)
#
# And how do they do? Here is everything at once. Take it as a map; each line
# is explained further down.

# %%
bits = pl.data.benchmark("bits")
lossless = pl.data.benchmark("lossless")
digit_rates = pl.data.benchmark("digit_rates")
frames = pl.data.benchmark("frame_files")
samples = pl.data.benchmark("samples")
speed = pl.data.benchmark("speed")
DIGITS = NAMES[:5]  # the systems that draw digits
psnr = pl.measures.psnr

# %%
ours_on_digits = digit_rates["ours"]
file_bytes = {name: lossless["files"][name]["bytes"]
              for name in ("pixelcnn", "gpt")}
file_bytes |= {name: ours_on_digits[name]["bytes"]
               for name in ("symbols", "patches")}
file_bytes["bsq"] = frames["ours"]["bytes"]
bits_an_image = {name: bits[f"{name} valid"]["bits_per_image"]
                 for name in DIGITS}
bits_an_image["bsq"] = frames["ours"]["cross_entropy"]
errors = {"symbols": psnr(ours_on_digits["symbols"]["mse"]),
          "patches": psnr(ours_on_digits["patches"]["mse"]),
          "bsq": psnr(frames["ours"]["mse"])}
drawing = speed["sampling"]
seconds = {name: drawing[name]["cached_seconds"] / drawing[name]["images"]
           for name in NAMES if name in drawing}


def all_of(key, times=1):
    """That result of the samples of each system; None where there is none."""
    return [times * samples[name][key] if name in samples else None
            for name in NAMES]

# %% tags=["hide-input"]
kept = [f"{errors[name]:.1f} dB" if name in errors else "all"
        for name in NAMES]
table(["", *NAMES], [
    ["pictures", *["grey digits"] * 3, "black and white", "grey digits",
     "colour frames"],
    ["kept", *kept],
    ["bits", *(f"{bits_an_image[name]:,.0f}" for name in NAMES)],
    ["bytes of a file", *(f"{file_bytes[name]:.0f}" if name in file_bytes
                          else "–" for name in NAMES)],
    ["read as asked, %", *marked(all_of("agreement", 100), ".1f", max)],
    ["Fréchet ratio", *marked(all_of("frechet_ratio"), ".1f")],
    ["teaches, %",
     *marked(all_of("classifier_accuracy", 100), ".1f", max)],
    ["drawing one, ms", *("–" if name not in drawing else
                          f"{1000 * seconds[name]:.0f}" for name in NAMES)],
    ["weights, MB", *(f"{about[name]['megabytes']:.2f}" for name in NAMES)],
    ["training, min", *(f"{about[name]['minutes']:.0f}"
                        for name in NAMES)]])

# %% [markdown]
# From above: what the tokenizer keeps of the picture; bits and bytes of an
# image; how often the drawn digit is read as the one that was asked for; how
# far a crowd of them is from real digits (1: not at all); how well a reader
# reads real digits who has learned from drawn ones; time, size and training.
#
# Bold marks the best of the three lines about drawn digits, which put the same
# question to all. Bits and bytes do not: they belong to the pictures they
# describe. A frame is not a digit, a black and white digit is not a grey one,
# and a picture with an error is not the picture.
#
# ## Bits
#
# ### One price in four units
#
# Papers say bits per dimension, or nats an image; a disk says bytes. They are
# one number in four units. Do our stored numbers agree with each other?

# %%
def in_all_units(bits_per_dimension, dimensions=784):
    """The price of an image in each unit in use."""
    bits_in_all = bits_per_dimension * dimensions
    return {"bits per dimension": bits_per_dimension, "bits": bits_in_all,
            "nats": bits_in_all * math.log(2), "bytes": bits_in_all / 8}


test = bits["gpt test"]
units = in_all_units(test["bits_per_image"] / 784)
assert math.isclose(units["nats"], test["nats_per_image"], rel_tol=1e-4)
assert math.isclose(units["bits per dimension"], test["bits_per_dimension"],
                    rel_tol=1e-3)
print(", ".join(f"{value:.4g} {unit}" for unit, value in units.items()))

# %% [markdown]
# And are they true? A file that we ship can be measured again by anybody. The
# header stores the bits of some validation digits, one by one. We score
# sixteen of them again, with two models.

# %%
for name in ("pixelcnn", "gpt-live"):
    stored = models[name].provenance["check"]
    chosen = slice(0, 16 * stored["every"], stored["every"])
    again = models[name].bits(x_valid[chosen], labels=y_valid[chosen])
    difference = again / torch.tensor(stored["bits"][:16]).double() - 1
    print(f"{name}: sixteen digits again, largest difference "
          f"{100 * difference.abs().max():.3f} %")
    assert difference.abs().max() < 0.01

# %% [markdown]
# ### Grey digits
#
# One data set (MNIST, 256 levels), one unit (bits a pixel), one table. The
# three models of [chapter 1](01_bits.ipynb), which count, stand above the
# networks. Nothing was chosen by the test digits.

# %% tags=["hide-input"]
LADDER = {"uniform": "uniform", "independent": "independent pixels",
          "counting": "counting, six neighbours", "pixelcnn": "pixelcnn",
          "gpt": "gpt", "gpt-live": "gpt-live"}
table(["256-level MNIST, bits a pixel", "validation", "test", "± on test",
       "bytes a digit"],
      [[LADDER[name], f"{bits[f'{name} valid']['bits_per_dimension']:.3f}",
        f"{bits[f'{name} test']['bits_per_dimension']:.3f}",
        f"{bits[f'{name} test']['standard_error']:.3f}",
        f"{bits[f'{name} test']['bits_per_image'] / 8:.1f}"]
       for name in LADDER])

# %%
on_test = {name: bits[f"{name} test"]["bits_per_dimension"]
           for name in LADDER}
assert on_test["uniform"] == 8 > on_test["independent"] > on_test["counting"]
assert on_test["counting"] > on_test["pixelcnn"] > on_test["gpt"]
rounding = on_test["gpt-live"] / on_test["gpt"] - 1
assert abs(rounding) < 0.01  # eight bits a weight are enough
label_bits = math.log2(10) / 784
print(f"a label is worth at most {label_bits:.4f} bits a pixel")

# %% cellView="form" jupyter={"source_hidden": true} tags=["remove-input"]
# @title { display-mode: "form" }
share = 100 * about["gpt-live"]["megabytes"] / about["gpt"]["megabytes"]
pl.say(rf"""
The ± is the standard error: how far the mean would move with other test
digits. (Two models on the *same* digits can be told apart more finely, since
what is hard for the one is hard for the other.) Validation and test differ
by more than that. They are digits of different writers. To round all weights
to eight bits changes the GPT's bits by {100 * abs(rounding):.2f} %, and its
file keeps
{share:.0f} %
of its bytes.
""")

# %% [markdown]
# ### Beside published numbers
#
# How good is that? For a fair answer the other number must be about the same
# pixels with the same levels. For 256 levels there are few:

# %% cellView="form" jupyter={"source_hidden": true} tags=["remove-input"]
# @title { display-mode: "form" }
pl.say(rf"""
| 256-level MNIST | bits a pixel | how |
|---|---|---|
| transformer, softmax attention ([Katharopoulos et al., 2020](../book/bibliography.md#katharopoulos2020)) | 0.621 | 8 layers, width 256, 250 epochs, on a GPU |
| the same with linear attention ([Katharopoulos et al., 2020](../book/bibliography.md#katharopoulos2020)) | 0.644 | the same |
| gated PixelCNN of a course ([Lippe, 2024](../book/bibliography.md#lippe2024)) | 0.808 | test digits; 852,160 parameters, 150 epochs |
| `gpt` | {on_test['gpt']:.3f} | test digits; {about['gpt']['parameters']:,} parameters, {about['gpt']['minutes']:.0f} minutes of one core |
| `pixelcnn` | {on_test['pixelcnn']:.3f} | test digits; the same way |

Two conditions to say aloud. Ours are told the label, and the others are not.
That looks like cheating, but it can be bounded: a label holds $\log_2 10$
bits, so it can make a digit cheaper by {label_bits:.4f} bits a pixel at
most, for any good model (exercise 1.3). And ours had a single core, for
the minutes in the table. The transformers of the first two rows had far
more, and are far ahead. The gap is there to be closed by whoever has a GPU
for a night; [the page on scaling](../book/scaling.md) says how.
""")

# %% mystnb={"image": {"alt": "Dots on a logarithmic axis of bits a pixel, one line each, falling from uniform at 8 by independent pixels and counting to pixelcnn, gpt and gpt-live below 1, in blue. Three grey dots of published models: one near the GPT, two further to the left."}}
published = {"PixelCNN of a course": 0.808, "linear attention": 0.644,
             "softmax attention": 0.621}  # the sources stand in the table
ladder = sorted([*((value, name, pl.figures.BLUE)
                   for name, value in on_test.items()),
                 *((value, name, pl.figures.GREY)
                   for name, value in published.items())], reverse=True)
figure, axis = plt.subplots(figsize=(5, 3.2), layout="constrained")
for height, (value, name, colour) in enumerate(reversed(ladder)):
    axis.plot(value, height, "o", color=colour)
    before = value > 4
    axis.annotate(f"{name} {value:.3g}", (value, height), va="center",
                  xytext=(-8 if before else 8, 0), ha="right" if before
                  else "left", textcoords="offset points", color=colour
                  if colour == pl.figures.BLUE else "#57606a")
axis.set(xscale="log", xlim=(0.55, 10), yticks=[],
         xlabel="bits a pixel, logarithmic",
         xticks=[0.6, 0.8, 1, 2, 4, 8])
axis.set_xticklabels([0.6, 0.8, 1, 2, 4, 8])
axis.minorticks_off()
axis.spines["left"].set_visible(False)
plt.show()

# %% [markdown]
# (Blue is ours, grey is published.) Many papers binarise instead. Those of the
# next table use the *static* set: each pixel was drawn once, by chance, and
# stored. These are other pictures than the ones above, so they get a table of
# their own, in the unit of those papers. `pixelcnn-binary` was trained for it.

# %% cellView="form" jupyter={"source_hidden": true} tags=["remove-cell"]
static = bits["pixelcnn-binary test"]
binary = pl.load("pixelcnn-binary", "cpu")
binary_seconds, _ = schooling(binary.provenance)

# %% cellView="form" jupyter={"source_hidden": true} tags=["remove-input"]
# @title { display-mode: "form" }
count = sum(part.numel() for part in binary.prior.parameters())
pl.say(rf"""
| static binarised MNIST, test digits | nats an image |
|---|---|
| PixelRNN ([van den Oord et al., 2016](../book/bibliography.md#oord2016pixelrnn)) | 79.20 |
| DRAW ([Gregor et al., 2015](../book/bibliography.md#gregor2015)) | at most 80.97 (a bound) |
| PixelCNN ([van den Oord et al., 2016](../book/bibliography.md#oord2016pixelrnn)) | 81.30 |
| `pixelcnn-binary` | {static['nats_per_image']:.2f} ± {static['standard_error'] * 784 * math.log(2):.2f} |
| MADE ([Germain et al., 2015](../book/bibliography.md#germain2015)) | 86.64 |

None of these is told a label. Ours has
{count:,}
parameters and {binary_seconds / 60:.0f} minutes of one core. (Our static set
was drawn as theirs was, with the same split; that it is the same to the last
bit is not proven.) In the unit of the table before it would be
{static['bits_per_dimension']:.3f} bits a pixel, far "better" than any number
there. It is the price of other pictures: two levels, of which a large part
is coins. Exercise 7.2 shows what happens to whoever mixes them.
""")

# %% [markdown]
# ### Bits of tokens
#
# The rest are prices of tokens, and each is a question of its own: what does
# *this* description of *that* picture cost? No two lines of this table may be
# compared.

# %% tags=["hide-input"]
table(["", "what is described", "tokens", "bits an image", "bits a token"],
      [["symbols", "the digit at 30 x 30, black and white", 150,
        f"{bits_an_image['symbols']:.1f}",
        f"{bits_an_image['symbols'] / 150:.2f} of 6"],
       ["patches", f"a grey digit, {errors['patches']:.1f} dB", 49,
        f"{bits_an_image['patches']:.1f}",
        f"{bits_an_image['patches'] / 49:.2f} of 10"],
       ["bsq", f"a colour frame, {errors['bsq']:.1f} dB", 600,
        f"{bits_an_image['bsq']:,.0f}",
        f"{bits_an_image['bsq'] / 600:.2f} of 10"]], words=2)

# %% cellView="form" jupyter={"source_hidden": true} tags=["remove-input"]
# @title { display-mode: "form" }
pl.say(rf"""
"{bits_an_image['patches'] / 49:.2f} bits of 10" says how well the network of
`patches` guesses, and nothing about the picture: a tokenizer with useless
tokens would have cheap ones. Bits of tokens mean something together with the
error that is left, and that question has a section of its own.
""")

# %% [markdown]
# ## Bytes
#
# ### Nothing lost
#
# Bits are promises; files keep them. Let each model write one file and read
# it again. The two networks of grey digits and their small sister write a grey
# digit, `symbols` its own black and white one, `pixelcnn-binary` a digit drawn
# in black and white.

# %%
digit, label = x_valid[450:451], int(y_valid[450])
header, written = pl.codec.HEADER_BYTES, {}
for name, model in [*list(models.items())[:4], ("pixelcnn-binary", binary)]:
    image, known = digit, label
    if name == "pixelcnn-binary":
        image, known = pl.data.binarize(digit, "sampled"), None
    if name == "symbols":
        image = model.reconstruct(digit)  # what it calls the digit
    blob = model.compress(image[0], known)
    assert torch.equal(model.decompress(blob), image[0])
    price = model.bits(image, None if known is None else [known]).item()
    written[name] = (len(blob), price)
    print(f"{name}: {len(blob)} bytes, {header} of them header, "
          f"for a price of {price / 8:.1f}")
    assert -8 < 8 * (len(blob) - header) - price < 12  # lucky ends: < 0

# %% cellView="form" jupyter={"source_hidden": true} tags=["remove-input"]
# @title { display-mode: "form" }
pl.say(rf"""
Every file gave back the same pixels. One digit proves little, so the next
table has the mean over {lossless['digits']:,} digits, 100 of each class:
each in a file of its own, with all headers; and, by `gpt`, all in one
archive, with one header and one long number for all digits and their labels.
The rivals get the same pixels, with their strongest settings.
(`python -m benchmarks lossless`. A fresh process read our archive again.
Theirs hold no labels.)
""")

# %% cellView="form" jupyter={"source_hidden": true} tags=["remove-cell"]
alone, archives = lossless["files"], lossless["archives"]
rivals_alone = [name for name in alone if name not in NAMES]
rivals_together = [name for name in archives if name not in NAMES]
best_alone = min(rivals_alone, key=lambda name: alone[name]["bytes"])
best_together = min(rivals_together,
                    key=lambda name: archives[name]["bytes"])
saved = alone[best_alone]["bytes"] - alone["gpt"]["bytes"]
saved_together = (archives[best_together]["bytes_per_digit"]
                  - archives["gpt"]["bytes_per_digit"])
pays = {name: round(1e6 * about[name]["megabytes"] / saved_together, -2)
        for name in ("gpt", "gpt-live")}

# %% cellView="form" jupyter={"source_hidden": true} tags=["remove-cell"]
trips = pl.data.benchmark("round_trips").values()

# %% tags=["hide-input"]
lines = {name: [alone.get(name, {}).get("bytes"),
                archives.get(name, {}).get("bytes_per_digit")]
         for name in [*alone, *rivals_together]}
lines = sorted(lines.items(), key=lambda line: min(filter(None, line[1])))
table(["bytes a digit", "a file each", "one archive"],
      [[name, *("–" if value is None else f"{value:.1f}"
                for value in values)] for name, values in lines])

# %%
assert saved > 0 and saved_together > 0
whole = archives["gpt"]
promised = (8 * whole["header_bytes"] + whole["label_bits"]
            + whole["cross_entropy_bits"])  # what the model said
assert 0.999 * promised < 8 * whole["bytes"] < 1.01 * promised

# %% cellView="form" jupyter={"source_hidden": true} tags=["remove-input"]
# @title { display-mode: "form" }
pl.say(rf"""
`gpt` needs {alone['gpt']['bytes']:.0f} bytes for a digit where the best
rival, {best_alone}, needs {alone[best_alone]['bytes']:.0f};
{100 * header / alone['gpt']['bytes']:.0f} % of ours is header. In an archive
it is {archives['gpt']['bytes_per_digit']:.1f} against
{archives[best_together]['bytes_per_digit']:.0f} ({best_together}).

Is that a fair race? A file is only half of what the reader needs. The other
half is the decoder, and ours weighs. The archive pays for the weights of
`gpt` after {pays['gpt']:,.0f} digits, for those of `gpt-live` after
{pays['gpt-live']:,.0f}. MNIST has 70,000. For a drawer of pictures take a
format that everybody has; for a warehouse of them, and for learning where
the bits are, a model.

And do files come back? Of {sum(trip['images'] for trip in trips):,} images,
written by all five systems and read by other processes,
{sum(trip['failures'] for trip in trips) or 'none'} came back different. Of
{sum(trip['damaged'] for trip in trips):,} files that were cut, flipped,
mixed up or made of noise, {sum(trip['refused'] for trip in trips):,} were
refused (`python -m benchmarks round_trips`).
""")

# %% [markdown]
# ### Something lost
#
# With an error allowed, there is no best file, only a curve: for each size the
# error, for each error the size. The upper picture is about digits, the lower
# one about frames. They are different data and share no axis on purpose.

# %%
COLOURS = {"JPEG": pl.figures.GREY, "WebP": pl.figures.ORANGE,
           "AVIF": "#2da44e", "WebP at half size": "#8250df"}


def draw_rivals(axis, rivals, most=45):
    """A curve of decibels (up to `most`) by bytes for each format."""
    for name, rows in rivals.items():
        line = sorted((row["bytes"], psnr(row["mse"])) for row in rows
                      if psnr(row["mse"]) < most)
        axis.plot(*zip(*line), "o-", ms=3, color=COLOURS[name])
        below = name == "WebP at half size"  # its curve ends among others
        axis.annotate(" WebP at\n half size" if below else f"{name} ",
                      line[0 if below else -1],
                      ha="left" if below else "right", va="top" if below
                      else "bottom", color=COLOURS[name])
    axis.set(xlabel="bytes of a file", ylabel="PSNR, dB")

# %% [markdown]
# Ours are stars, since they are single files and no curves. Files without any
# error have infinitely many decibels; they become triangles on the upper edge.

# %%
def draw_exact(axis, exact):
    """Files without any error, as triangles on the upper edge."""
    top = axis.get_ylim()[1]
    for row, (name, size) in enumerate(sorted(exact.items(),
                                              key=lambda pair: pair[1])):
        axis.plot(size, top, "^", clip_on=False, color=pl.figures.BLUE
                  if name in NAMES else pl.figures.GREY)
        axis.annotate(name, (size, top), xytext=(0, 6 + 12 * (row % 2)),
                      textcoords="offset points", ha="center", fontsize=9)


def draw_ours(axis, name):
    """One of our systems, as a star."""
    axis.plot(file_bytes[name], errors[name], "*", ms=13,
              color=pl.figures.BLUE)
    axis.annotate(name, (file_bytes[name], errors[name]), xytext=(-4, 8),
                  textcoords="offset points", color=pl.figures.BLUE)

# %% mystnb={"image": {"alt": "Two panels of PSNR against the bytes of a file. Above, digits: rising curves of WebP, AVIF and JPEG; blue stars for patches and, lower, for symbols, far to the left of all curves; on the upper edge triangles for files without error, gpt and pixelcnn to the left of WebP and PNG. Below, frames: rising curves of JPEG, WebP, WebP at half size and AVIF, and at few bytes, to the left of most of them, blue dots and a star for bsq."}}
figure, axes = plt.subplots(2, 1, figsize=(5, 6.8), layout="constrained")
draw_rivals(axes[0], digit_rates["rivals"])
draw_rivals(axes[1], frames["rivals"])
axes[0].set(ylim=(10, 50), xlim=(0, None))
axes[0].set_title("digits, 28 x 28, grey", pad=32, fontsize=10)
draw_exact(axes[0], {name: file["bytes"] for name, file in [
    *digit_rates["lossless"].items(), *ours_on_digits.items()]
    if file["mse"] == 0})
small = pl.data.benchmark("frame_curves")["points"]
axes[1].plot([point["bytes"] for point in small],
             [psnr(point["mse"]) for point in small], "o", ms=4,
             color=pl.figures.BLUE)
for axis, name in ((axes[0], "patches"), (axes[0], "symbols"),
                   (axes[1], "bsq")):
    draw_ours(axis, name)
axes[1].set(xlim=(0, None))
axes[1].set_title("frames, 150 x 100, colour", fontsize=10)
plt.show()

# %% cellView="form" jupyter={"source_hidden": true} tags=["remove-cell"]
def bytes_for(rows, decibels):
    """Bytes that a rival needs for that PSNR; None if it has no such file."""
    line = sorted((psnr(row["mse"]), row["bytes"]) for row in rows)
    if not line[0][0] <= decibels <= line[-1][0]:
        return None
    return np.interp(decibels, *zip(*line))


needed, lossy_pays = {}, {}
for name, rivals, unit in (("patches", digit_rates["rivals"], "digits"),
                           ("bsq", frames["rivals"], "frames")):
    found = {rival_name: bytes_for(rows, errors[name])
             for rival_name, rows in rivals.items()}
    needed[name] = min((size, rival_name) for rival_name, size
                       in found.items() if size is not None)
    gained = needed[name][0] - file_bytes[name]
    after = round(1e6 * about[name]["megabytes"] / max(1, gained), -2)
    lossy_pays[name] = ("never" if gained < 1
                        else f"after {after:,.0f} {unit}")

# %% cellView="form" jupyter={"source_hidden": true} tags=["remove-cell"]
least = min(digit_rates["rivals"]["WebP"], key=lambda row: row["bytes"])

# %%
assert needed["patches"][0] > 2 * file_bytes["patches"]

# %% cellView="form" jupyter={"source_hidden": true} tags=["remove-input"]
# @title { display-mode: "form" }
pl.say(rf"""
(Means over {digit_rates['digits']} validation digits and {frames['frames']}
validation frames, whole files. The dots beside `bsq` are the smaller models
of chapter 6.)

**Digits.** A file of `patches` has {file_bytes['patches']:.0f} bytes,
{header} of them header, at {errors['patches']:.1f} dB. The best rival for
that error, {needed['patches'][1]}, would need
{needed['patches'][0]:.0f} (read off between two of its files). And look at
the left end of WebP's curve: its smallest file has {least['bytes']:.0f}
bytes at {psnr(least['mse']):.1f} dB, and with
{ours_on_digits['gpt']['bytes']:.0f}, on the same digits, `gpt` keeps every
pixel. The error of `symbols` is counted against the digit at 30 x 30: black
and white cannot say grey, and {errors['symbols']:.1f} dB is what that costs.

**Frames.** `bsq` has {file_bytes['bsq']:.0f} bytes at {errors['bsq']:.1f}
dB, {needed['bsq'][1]} needs {needed['bsq'][0]:.0f}.
[Chapter 6](06_bsq.ipynb) says what else must be held against that (the
rivals know nothing of karts), and takes headers off as well.

**Weights.** Against these rivals the weights of `patches` pay for themselves
{lossy_pays['patches']}, and those of `bsq` {lossy_pays['bsq']}.
""")

# %% [markdown]
# ## Pictures

# %% cellView="form" jupyter={"source_hidden": true} tags=["remove-input"]
# @title { display-mode: "form" }
pl.say(rf"""
Bits do not see pictures. A model may be good at the pixels that cost most,
the greys along a stroke, and lose the thread of the digit; another may draw
one perfect 7 and nothing else. Likelihood and looks can come apart in both
directions ([Theis et al., 2016](../book/bibliography.md#theis2016)). So four
questions are put to {samples['samples']:,} digits of each system, drawn at
temperature 1 without a filter.
""")

# %% [markdown]
# ### Is it the digit that was asked for?
#
# The [judge](../book/glossary.md#judge) of [chapter 3](03_gpt.ipynb) reads
# them. It learned from digits that no other network has seen, and it chose
# none of the samples. No reader is perfect: the last column says how many
# *real* digits it reads rightly when the system's own tokenizer shows them.
# That is the ceiling.

# %% tags=["hide-input"]
hardest = {name: int(np.argmin(samples[name]["agreement_by_class"]))
           for name in DIGITS}
table(["", "read as asked, %", "± (two standard errors)",
       "hardest class, %", "real digits as shown, %"],
      [[name, f"{100 * (share := samples[name]['agreement']):.1f}",
        f"{200 * math.sqrt(share * (1 - share) / samples['samples']):.1f}",
        f"{100 * min(samples[name]['agreement_by_class']):.1f} "
        f"(the {hardest[name]})",
        f"{100 * samples[name]['judge_on_real_digits_as_shown']:.1f}"]
       for name in DIGITS])

# %%
by_bits = sorted(("pixelcnn", "gpt"),
                 key=lambda name: bits_an_image[name])
by_judge = sorted(DIGITS, key=lambda name: -samples[name]["agreement"])
print("fewest bits first:", ", ".join(by_bits))
print("most often read as asked first:", ", ".join(by_judge))
assert samples["patches"]["agreement"] > samples["gpt"]["agreement"]
assert all(samples[name]["agreement"] <= 0.02
           + samples[name]["judge_on_real_digits_as_shown"]
           for name in DIGITS)

# %% cellView="form" jupyter={"source_hidden": true} tags=["remove-input"]
# @title { display-mode: "form" }
pl.say(rf"""
Few steps help. A drawing is as good as its worst step, and a slip is never
taken back: `gpt` has 784 places to slip
({100 * samples['gpt']['agreement']:.0f} % are read as asked), `patches` 49
({100 * samples['patches']['agreement']:.0f} %), and each entry of its list
is a clean piece of a stroke. And bits? For the very same pixels `gpt` needs
fewer than `pixelcnn`; but {100 * samples['gpt']['agreement']:.0f} % of its
digits are read as asked, and {100 * samples['pixelcnn']['agreement']:.0f} %
of those of `pixelcnn`. The one number does not tell the other.
""")

# %% [markdown]
# ### Are they as varied as real ones?
#
# A system that drew the same good 7 each time would have 100 %. So compare not
# digits but *crowds*. The judge sees 96 features in a digit; a crowd is a
# cloud of points in 96 dimensions. Describe each cloud by its mean $\mu$ and
# its covariance $\Sigma$, as if it were Gaussian. The **Fréchet distance** of
# two such clouds
# ([Dowson and Landau, 1982](../book/bibliography.md#dowson1982);
# [Heusel et al., 2017](../book/bibliography.md#heusel2017)) (its square, as
# everybody gives it) is
#
# $$
# d = |\mu_1 - \mu_2|^2 + \operatorname{tr}\left(\Sigma_1 + \Sigma_2
# - 2\,(\Sigma_1 \Sigma_2)^{1/2}\right).
# $$
#
# It is 0 only if both are the same; poor digits move the mean, missing
# variety makes the covariance smaller. The trace of the root is the sum of the
# roots of the eigenvalues, so by hand it is short:

# %%
def frechet(a, b):
    """Squared Fréchet distance of Gaussians fitted to a, b: (N, D) each."""
    (mean_a, cov_a), (mean_b, cov_b) = (
        (points.mean(axis=0), np.cov(points, rowvar=False))
        for points in (a, b))
    values = np.linalg.eigvals(cov_a @ cov_b).real.clip(min=0)
    return (((mean_a - mean_b) ** 2).sum() + np.trace(cov_a)
            + np.trace(cov_b) - 2 * np.sqrt(values).sum())

# %% [markdown]
# If all features are independent, the formula becomes
# $\sum_i (\mu_{1i} - \mu_{2i})^2 + (\sigma_{1i} - \sigma_{2i})^2$: here one can
# know the answer. We draw two crowds with known means and spreads, and look
# whether the distance comes out. And how many points does it take?

# %%
random = np.random.default_rng(0)
spread = 1 / np.sqrt(1 + np.arange(96))  # of 96 features, as a network's
moved, narrower = 0.03, 0.93


def crowd(count, mean=0.0, factor=1.0):
    """Points of known mean and spread: (count, 96)."""
    return mean + factor * spread * random.standard_normal((count, 96))


truth = 96 * moved ** 2 + ((1 - narrower) ** 2 * spread ** 2).sum()
reference = crowd(20_000)
counts = [200, 500, 1000, 2000, 5000, 20_000]
same = [frechet(crowd(count), reference) for count in counts]
other = [frechet(crowd(count, moved, narrower), reference)
         for count in counts]
print(f"known: {truth:.3f}; from {counts[-1]:,} points {other[-1]:.3f}")
assert abs(other[-1] - truth - same[-1]) < 0.1 * truth
assert same == sorted(same, reverse=True) and same[0] > other[-1]

# %% mystnb={"image": {"alt": "Fr\u00e9chet distance to a reference crowd against the number of points, both axes logarithmic. The orange curve, a crowd that is really different, falls towards a dotted line and then lies flat on it. The blue curve, a crowd that is not different at all, falls steadily; at its left end it lies above the right end of the orange one."}}
figure, axis = plt.subplots(figsize=(5, 3), layout="constrained")
for values, colour, words in ((other, pl.figures.ORANGE, "really different"),
                              (same, pl.figures.BLUE, "the same")):
    axis.plot(counts, values, "o-", ms=4, color=colour)
    axis.annotate(words, (counts[2], values[2]), xytext=(4, 5),
                  textcoords="offset points", color=colour)
axis.axhline(truth, ls=":", color=pl.figures.GREY)
axis.annotate("known", (counts[0], truth), va="top", color="#57606a",
              xytext=(0, -3), textcoords="offset points")
shown = [200, 1000, 5000, 20_000]
axis.set(xscale="log", yscale="log", xlabel="points", xticks=shown,
         ylabel="Fréchet distance")
axis.set_xticklabels([f"{count:,}" for count in shown])
axis.minorticks_off()
plt.show()

# %% cellView="form" jupyter={"source_hidden": true} tags=["remove-input"]
# @title { display-mode: "form" }
distance = samples["frechet"]
pl.say(rf"""
The formula is right, and the picture holds a trap. The blue crowd *is* the
reference, its distance should be 0, and from 200 points it comes out as
{same[0]:.2f}: more than the orange crowd, which really is different, has
from 20,000 ({other[-1]:.2f}). A covariance of 96 dimensions cannot be
learned from few points, and each mistake in it counts as distance. The
distance is **biased**, upwards, and the fewer points the more
([Chong and Forsyth, 2020](../book/bibliography.md#chong2020)). So a distance
without its number of points says nothing, and two of them with different
numbers even less.

Our way out: always {distance['n']:,} points against
{distance['reference']:,}, and beside each distance the **floor**, what
{distance['n']:,} *real* digits get, with the same number of each class. The
ratio of the two is what the scoreboard shows: 1 means "by this measure and
with so many points, not to be told from real digits". (With another number
of points the ratio is another, too. In the picture it is
{other[0] / same[0]:.1f} at 200 points and {other[-2] / same[-2]:.0f} at
5,000.)
""")

# %% tags=["hide-input"]
table(["Fréchet distance", "to real digits", "times the floor",
       "to real digits as it shows them, times their floor"],
      [["real digits", f"{distance['floor']:.3f}", "1", "1"],
       *([name, f"{samples[name]['frechet']:.3f}",
          f"{samples[name]['frechet_ratio']:.1f}",
          f"{samples[name]['frechet_ratio_as_shown']:.1f}"]
         for name in DIGITS)])

# %%
assert distance["floor"] > 0  # the bias, on real digits
assert all(samples[name]["frechet_ratio"] > 1 for name in DIGITS)
for name in DIGITS:
    assert math.isclose(samples[name]["frechet_ratio"], rel_tol=0.02,
                        b=samples[name]["frechet"] / distance["floor"])

# %% cellView="form" jupyter={"source_hidden": true} tags=["remove-input"]
# @title { display-mode: "form" }
pl.say(rf"""
(Medians of {distance['sets']} sets.) The last column asks a milder question.
A system of patches cannot draw a pixel that is not in its list, however well
its network guesses. Measured against real digits as its tokenizer shows
them, only the network is judged; the distance between the two columns is the
tokenizer's.
""")

# %% [markdown]
# ### Can one learn from them?

# %% cellView="form" jupyter={"source_hidden": true} tags=["remove-input"]
# @title { display-mode: "form" }
reader = samples["classifier"]
pl.say(rf"""
The hardest question is also the most useful. Take {reader['trained_on']:,}
drawn digits with the labels that were asked for, and train a fresh reader on
nothing else. How many *real* digits does it read
([Ravuri and Vinyals, 2019](../book/bibliography.md#ravuri2019))? It finds
out about everything at once: wrong labels, missing variety, strokes that no
hand makes. Beside it, the same reader taught by as many real digits.
""")

# %% cellView="form" jupyter={"source_hidden": true} tags=["remove-cell"]
teachers = sorted(DIGITS, key=lambda name:
                  -samples[name]["classifier_accuracy"])

# %% tags=["hide-input"]
table(["taught by", "real digits read rightly, %",
       "nearer to training digits than new ones, %", "copies"],
      [["real digits", f"{100 * reader['on_real_digits']:.1f}", "50", "–"],
       *([name, f"{100 * samples[name]['classifier_accuracy']:.1f}",
          f"{100 * samples[name]['nearer_than_median']:.0f}",
          samples[name]["copies"]] for name in DIGITS)])

# %% cellView="form" jupyter={"source_hidden": true} tags=["remove-input"]
# @title { display-mode: "form" }
pl.say(rf"""
The best teacher is {teachers[0]}: who has never seen a real digit reads
{100 * samples[teachers[0]]['classifier_accuracy']:.1f} % of them; taught by
real ones it would be {100 * reader['on_real_digits']:.1f} %.
""")

# %% [markdown]
# ### Or are they copies?
#
# A system that had learned its training digits by heart would pass all three
# tests. The last two columns look for that. For each drawn digit, how far is
# the nearest training digit? New real digits are nearer than their own median
# in 50 % of all cases, by definition; a copyist would come near 100 %. Ours
# are *farther* than real digits are, rather than nearer: what makes them
# imperfect also makes them new. (A copy is equal in every pixel. In black and
# white, or in 49 pieces, a plain 1 may equal another by chance.)

# %%
assert all(samples[name]["nearer_than_median"] < 0.5 for name in DIGITS)
assert max(samples[name]["copies"] for name in DIGITS) < 10

# %% [markdown]
# ### One knob, two wishes
#
# [Temperature](../book/glossary.md#temperature) and
# [top-p](../book/glossary.md#top-p) are said to trade one wish for the other.
# Lower, and each step takes what is likely: more digits should be read as
# asked, and they become alike. Is it so, and how much of the one for how much
# of the other? Diversity is measured in the judge's features again: the
# distance of a digit to the nearest other of its class, divided by that of as
# many real digits, as the system's tokenizer shows them. 1 is as diverse as
# real ones. More is no praise: what is unlike all digits is often no digit.

# %%
trade = pl.data.benchmark("trade")
TRADERS = [name for name in DIGITS if name in trade]


def setting(name, temperature=1, top_p=1):
    """Agreement and diversity of a system with these knobs."""
    return next(row for row in trade[name] if row["top_p"] == top_p
                and row["temperature"] == temperature)


for name in TRADERS:
    assert (setting(name, 0.6)["diversity"] < setting(name)["diversity"]
            < setting(name, 1.2)["diversity"])
for name in ("pixelcnn", "gpt"):  # pixels, kept cold: not a digit any more
    assert setting(name, 0.6)["agreement"] < setting(name)["agreement"] / 2
for name in ("symbols", "patches"):  # 300 digits: a point is chance
    assert (setting(name, 1, 0.9)["agreement"]
            > setting(name)["agreement"] - 0.01)
assert setting("symbols", 0.6)["agreement"] < setting("symbols")["agreement"]

# %% mystnb={"image": {"alt": "Per cent read as asked against diversity, for four systems, each with a solid line of temperatures from 0.6 to 1.2 and a dashed line of top-p from 1 to 0.8. Those of symbols and patches lie near the top and run sideways. Those of pixelcnn and gpt are arches with their tops near temperature 1; to the left, where it is colder, they fall far down. A cross marks real digits, at diversity 1 and near the top."}}
LOOK = {  # colour; temperature and top-p where the name stands
    "pixelcnn": (pl.figures.GREY, 1.2, 1), "gpt": (pl.figures.BLUE, 1.2, 1),
    "symbols": (pl.figures.ORANGE, 0.6, 1), "patches": ("#2da44e", 1, 0.8)}
figure, axis = plt.subplots(figsize=(5, 4), layout="constrained")
for name in TRADERS:
    (shade, *end), rows = LOOK[name], trade[name]
    for knob, still, style in (("temperature", "top_p", "o-"),
                               ("top_p", "temperature", "s--")):
        line = sorted((row for row in rows if row[still] == 1),
                      key=lambda row: row[knob])
        axis.plot([row["diversity"] for row in line],
                  [100 * row["agreement"] for row in line], style, ms=4,
                  color=shade)
    end = setting(name, *end)
    right = end["diversity"] > 1
    axis.annotate(f"  {name}  ", (end["diversity"], 100 * end["agreement"]),
                  ha="left" if right else "right", va="center", color=shade)
axis.plot(1, 100 * samples["judge_on_real_digits"], "x", ms=9, mew=2,
          color="black")
axis.annotate("real", (1, 100 * samples["judge_on_real_digits"]),
              xytext=(-3, 7), textcoords="offset points", ha="right")
axis.set(xlabel="diversity, 1: as real digits", ylabel="read as asked, %",
         xlim=(0.3, 2), ylim=(None, 106))
plt.show()

# %% cellView="form" jupyter={"source_hidden": true} tags=["remove-input"]
# @title { display-mode: "form" }
read = {name: [f"{100 * setting(name, *knobs)['agreement']:.0f} %"
               for knobs in ((0.6,), (1,), (1, 0.9))] for name in TRADERS}
pl.say(rf"""
(Solid: temperature 0.6, 0.8, 1, 1.2, from the left; dashed: top-p 0.8, 0.9,
0.95, 1. The two meet at temperature 1 without a filter.
{pl.data.benchmark('trade')['samples']} digits a dot.) For `symbols` and
`patches` top-p keeps its promise: at 0.9, {read['symbols'][2]} and
{read['patches'][2]} are read as asked, instead of {read['symbols'][1]} and
{read['patches'][1]} without a filter, and the diversity of `patches` falls
from {setting('patches')['diversity']:.2f} to
{setting('patches', 1, 0.9)['diversity']:.2f}. Temperature is a blunter knob:
at 0.6 `symbols` is down at {read['symbols'][0]}.

For single pixels both fail. At temperature 0.6 `gpt` is read as asked in
{read['gpt'][0]} of all cases, against {read['gpt'][1]} at 1;
`pixelcnn` in {read['pixelcnn'][0]}. A pixel is most often what its
neighbour was. Who always prefers the likely goes on as before, 784 times:
paper stays empty, ink floods, as [chapter 3](03_gpt.ipynb) shows. The
likeliest steps do not make a likely picture. What is a safe setting for one
tokenizer may ruin another.
""")

# %% [markdown]
# No setting is right or wrong. But a sample that was shown at temperature 0.8
# and a diversity that was measured at 1 belong to two different systems, and
# whoever compares two models should let both move along their line. The
# better system is the one whose *line* lies above.
#
# ## Time
#
# What does it cost to run? Drawing, with everything remembered that can be,
# beside computing it all anew for each token, and beside a library that is
# used everywhere (`generate` of Hugging Face's transformers, with a network of
# the GPT's size).

# %% mystnb={"image": {"alt": "A logarithmic axis of seconds a picture, one line for each system: a blue dot for the cached sampler and, to its right, a grey dot for recomputing, with a thin line between. The line is longest for pixelcnn and short for patches, whose blue dot lies furthest to the left."}}
ready = [name for name in NAMES if name in drawing]
cached, anew = ([drawing[name][key] / drawing[name]["few"]
                 for name in ready]
                for key in ("few_cached_seconds", "recomputing_seconds"))
figure, axis = plt.subplots(figsize=(5, 3), layout="constrained")
places = np.arange(len(ready))[::-1]
axis.hlines(places, cached, anew, color="#d0d7de")
for values, colour, words, side in (
        (cached, pl.figures.BLUE, "cached", "right"),
        (anew, pl.figures.GREY, "recomputing", "left")):
    axis.plot(values, places, "o", color=colour)
    for place, value in zip(places, values):
        note = f"{words}\n" if place == places[0] else ""
        axis.annotate(f"{note}{value:.2g} s", (value, place), ha=side,
                      xytext=(-7 if side == "right" else 7, 0), va="bottom"
                      if note else "center", textcoords="offset points")
axis.set(xscale="log", yticks=places, xlabel="seconds a picture",
         ylim=(-0.6, places[0] + 1), xlim=(min(cached) / 12, max(anew) * 12))
axis.set_yticklabels(ready)
plt.show()

# %%
assert all(drawing[name]["times_faster"] > 1 for name in ready)
hugging = speed["hugging_face"]
files = speed["files"]
times_faster = {name: drawing[name]["times_faster"] for name in ready}
for name, times in times_faster.items():
    print(f"{name}: {times:.1f} times as fast with what is remembered")

# %% cellView="form" jupyter={"source_hidden": true} tags=["remove-cell"]
quickest = min((name for name in ready if name != "bsq"), key=seconds.get)

# %% cellView="form" jupyter={"source_hidden": true} tags=["remove-input"]
# @title { display-mode: "form" }
pl.say(rf"""
(Each pair of dots is about the same few pictures, drawn in one batch, and
they are the same, token for token.) 64 digits take
{drawing['gpt']['cached_seconds']:.1f} seconds from `gpt` and
{drawing[quickest]['cached_seconds']:.2f} from {quickest}: fewer tokens,
fewer steps. The cache matters most where it is most needed:
{times_faster['pixelcnn']:.0f} times for the 784 places of `pixelcnn`,
{times_faster['patches']:.0f} times for the 49 of `patches`. Side by side in
one run, for {hugging['digits']} digits, `gpt` took
{hugging['gpt_seconds']:.1f} s, the library
{hugging['default_cache_seconds']:.1f} with its usual cache and
{hugging['static_cache_seconds']:.1f} with its static one (version
{hugging['transformers']}). That is a question of overhead: the network is so
small that a general program spends its time on generality.
""")

# %% [markdown]
# A file is written token by token too, one image at a time and without the
# help of a batch:

# %% tags=["hide-input"]
table(["one picture", "tokens", "write a file, s", "read it, s"],
      [[name, models[name].tokenizer.length,
        f"{files[name]['encode_seconds']:.2f}",
        f"{files[name]['decode_seconds']:.2f}"]
       for name in NAMES if name in files])

# %% [markdown]
# (All times: float32, one thread, and the same machine in one run. On another
# machine the ratios are a better guide than the seconds.)
#
# Here the ratio to the rivals turns round. How long does PNG take for a digit,
# or WebP for a frame? That can be tried on the spot:

# %%
def milliseconds_of(picture, name, **settings):
    """Write and read a picture 20 times with Pillow: ms for one of each,
    of processor time, which other programs do not disturb."""
    started = time.process_time()
    for _ in range(20):
        file = io.BytesIO()
        Image.fromarray(picture).save(file, name, **settings)
        np.asarray(Image.open(file).convert("RGB"))
    return 1000 * (time.process_time() - started) / 20


frame = pl.data.supertux("valid", limit=1)[0].numpy()
png = milliseconds_of(digit[0].numpy(), "PNG", optimize=True)
webp = milliseconds_of(frame, "WebP", quality=5, method=6)
print(f"PNG, a digit: {png:.1f} ms; WebP, a frame: {webp:.0f} ms")
slower = {name: round(1000 * sum(files[name].values()) / milliseconds, -1)
          for name, milliseconds in (("gpt", png), ("bsq", webp))}
assert slower["gpt"] > 20 and slower["bsq"] > 5

# %% cellView="form" jupyter={"source_hidden": true} tags=["remove-cell"]
gain_bsq = 100 * (1 - file_bytes["bsq"] / needed["bsq"][0])

# %% cellView="form" jupyter={"source_hidden": true} tags=["remove-input"]
# @title { display-mode: "form" }
pl.say(rf"""
To write and read a digit takes `gpt` about {slower['gpt']:,.0f} times as
long as PNG; `bsq` takes about {slower['bsq']:,.0f} times as long for a frame
as WebP at its most careful. This is what is paid for small files.
""")

# %% [markdown]
# ## Which one?
#
# Now the table to act on. The systems in it are picked by the results, not by
# us: whoever trains better weights and runs `make bench` gets another table.
# Sizes of files leave out the weights; their megabytes are in the table at the
# top, and a reader needs them once.

# %%
def winner(key, among=DIGITS):
    """Of these systems, the one whose samples score best."""
    return max(among, key=lambda name: samples[name][key])


exact = min(("pixelcnn", "gpt"), key=lambda name: alone[name]["bytes"])
obedient, teacher = winner("agreement"), winner("classifier_accuracy")
closest = min(DIGITS, key=lambda name: samples[name]["frechet_ratio"])

# %% tags=["hide-input"]
advice = [
    ["exact grey digits, small files", exact,
     f"{alone[exact]['bytes']:.0f} bytes a digit ({best_alone}: "
     f"{alone[best_alone]['bytes']:.0f}), but "
     f"{files[exact]['decode_seconds']:.1f} s to read one"],
    ["the same, in one archive", "gpt",
     f"{archives['gpt']['bytes_per_digit']:.0f} bytes a digit "
     f"({best_together}: {archives[best_together]['bytes_per_digit']:.0f}); "
     f"weights included, from {pays['gpt']:,.0f} digits on "
     f"(gpt-live: {pays['gpt-live']:,.0f})"],
    ["digits, an error allowed", "patches",
     f"{file_bytes['patches']:.0f} bytes at {errors['patches']:.1f} dB "
     f"({needed['patches'][1]}: {needed['patches'][0]:.0f})"],
    ["frames of this game, an error allowed", "bsq",
     f"{file_bytes['bsq']:.0f} bytes at {errors['bsq']:.1f} dB "
     f"({needed['bsq'][1]}: {needed['bsq'][0]:.0f})"]]

# %% tags=["hide-input"]
advice += [
    ["to draw the digit that is asked for", obedient,
     f"{100 * samples[obedient]['agreement']:.1f} % are read so"],
    ["drawn digits to train a reader with", teacher,
     f"it then reads {100 * samples[teacher]['classifier_accuracy']:.1f} % of "
     "real ones (taught by real ones: "
     f"{100 * reader['on_real_digits']:.1f} %)"],
    ["a crowd of digits like real ones", closest,
     f"Fréchet distance {samples[closest]['frechet_ratio']:.1f} times that "
     "of real digits"],
    ["to draw fast", quickest,
     f"{1 / seconds[quickest]:.0f} digits a second on one core"],
    ["a model in a web page", "gpt-live",
     f"{about['gpt-live']['megabytes']:.2f} MB, and the bits of gpt within "
     f"{max(0.01, 100 * abs(rounding)):.2f} %"],
    ["other pictures, or files for ten years", "none of these",
     "PNG, WebP or AVIF: everybody reads them, within milliseconds"]]
table(["if you want", "take", "because"], advice, words=3)

# %% cellView="form" jupyter={"source_hidden": true} tags=["remove-cell"]
unpicked = set(NAMES) - {row[1] for row in advice}

# %% cellView="form" jupyter={"source_hidden": true} tags=["remove-input"]
# @title { display-mode: "form" }
pl.say(rf"""
(In no row: {', '.join(sorted(unpicked)) or 'nobody'}. Beaten everywhere is
not the same as useless: each chapter needed the one before it.) And this is
what one types:
""")

# %% [markdown]
# ```bash
# pixellab sample patches --targets 3,8 --top-p 0.9
# pixellab compress DIGIT.png --model gpt --label 3 --out small
# pixellab compress FRAME.png --out small     # bsq
# pixellab decompress small/FRAME.pbp --out again
# ```
#
# Three rules of thumb are behind the table.
#
# - **The tokenizer decides more than the network.** The transformers of `gpt`,
#   `symbols`, `patches` and `bsq` are the same code at similar sizes.
#   What separates them in speed, in bytes and in how often a digit is right is
#   how many tokens a picture has and what a token may say.
# - **Every loss must have a price tag.** A tokenizer that loses something is
#   faster, smaller and steadier. Whether it is *better* depends on whether
#   somebody misses what is lost.
# - **Choose by the number that you will pay.** Bits for a store of exact
#   pictures; bytes of whole files for a few; the accuracy of a reader for
#   drawn training data; seconds for a page where someone waits.
#
# ### What none of ours can do
#
# | what is missing | why | what it would take |
# |---|---|---|
# | large photographs | 784 or 600 tokens; a photograph of a million pixels has 40,000 of the patches of `bsq`, and attention looks from each at all before it | a tokenizer with larger patches and an adversarial loss ([Esser et al., 2021](../book/bibliography.md#esser2021)), far more data and many GPUs ([Chen et al., 2020](../book/bibliography.md#chen2020)); [the page on scaling](../book/scaling.md) counts them |
# | a picture for a sentence | our only question is a label, 0 to 9 | text as the first tokens, and hundreds of millions of captioned pictures ([Ramesh et al., 2021](../book/bibliography.md#ramesh2021)) |
# | all tokens at once | one step a token | models that fill in many tokens a step ([Chang et al., 2022](../book/bibliography.md#chang2022)), or go from coarse to fine ([Tian et al., 2024](../book/bibliography.md#tian2024)) |
# | diffusion | it draws in another order, from noise, and is the usual choice for photographs today; its likelihoods are among the best as well | another book: ([Ho et al., 2020](../book/bibliography.md#ho2020)), ([Kingma et al., 2021](../book/bibliography.md#kingma2021)) |
# | files for other machines | sums of floats may be rounded differently there; such a file is refused | networks of integers ([Ballé et al., 2019](../book/bibliography.md#balle2019)) |
# | video | each frame is written as if none came before | tokens of the last frame as context |
# | every kind of picture | digits and one game are all they have seen | other data; the code stays |
#
# And some of our numbers are weaker than they look. The judge is a small
# network, and what it does not notice is not in its features. A Fréchet
# distance knows means and covariances, and no more. Digits are easy. And all
# of it was measured on one data set of digits and one of frames, with one seed
# of training each: two systems that lie close together might swap their places
# with another seed.
#
# ## Exercises

# %% [markdown]
# ### Exercise 7.1: From bits to an archive
#
# From the table of grey digits alone, its first column, guess the size of the
# archive of all those digits by `gpt`. How far off are you, in per cent? Then
# name everything else that an archive must hold,
# and find what is left: what does the coder itself cost?

# %% [markdown] jp-MarkdownHeadingCollapsed=true
# #### Solution of exercise 7.1

# %% cellView="form" jupyter={"source_hidden": true}
# @title Solution { display-mode: "form" }
guess = bits["gpt valid"]["bits_per_dimension"] * 784 * 1000 / 8
print(f"guessed from 2,000 digits: {guess:,.0f} bytes; really "
      f"{whole['bytes']:,} ({100 * (whole['bytes'] / guess - 1):+.2f} %)")
parts = {"these digits": whole["cross_entropy_bits"] / 8,
         "labels": lossless["digits"] * math.log2(10) / 8,
         "header and checksums": whole["header_bytes"]}
parts["coder"] = whole["bytes"] - sum(parts.values())
for name, value in parts.items():
    print(f"{name}: {value:,.1f} bytes")
assert abs(guess / whole["bytes"] - 1) < 0.05
assert abs(parts["coder"]) < 0.005 * whole["bytes"]

# %% cellView="form" jupyter={"source_hidden": true} tags=["remove-input"]
# @title { display-mode: "form" }
pl.say(rf"""
The guess is off mainly because these digits are not the average ones, and
because of the labels: $\log_2 10$ bits each. Header, checksums and the last
byte of the coder are spread over all digits and vanish. In single files they
were {100 * header / alone['gpt']['bytes']:.0f} % of each.
""")

# %% [markdown]
# ### Exercise 7.2: The average of two binarisations
#
# A leaderboard lists "MNIST, binarised" and averages a model's nats over two
# test sets, thresholded and static, "to be fair to both". Score 50 validation
# digits in both ways with `pixelcnn-binary`. What would a model have to do to
# climb on that board? Why is the average nobody's price?

# %% [markdown] jp-MarkdownHeadingCollapsed=true
# #### Solution of exercise 7.2

# %% cellView="form" jupyter={"source_hidden": true}
# @title Solution { display-mode: "form" }
fifty = x_valid[::40]
nats = {how: math.log(2) * binary.bits(
    pl.data.binarize(fifty, how)).mean().item()
    for how in ("threshold", "sampled")}
for share in (0, 0.5, 1):
    mean = share * nats["threshold"] + (1 - share) * nats["sampled"]
    print(f"{100 * share:3.0f} % thresholded: {mean:.1f} nats")
made, pixelrnn = 86.64, 79.20  # from the table above
assert nats["sampled"] - nats["threshold"] > made - pixelrnn

# %% cellView="form" jupyter={"source_hidden": true} tags=["remove-input"]
# @title { display-mode: "form" }
pl.say(rf"""
The same network, the same digits, and the number moves by
{nats['sampled'] - nats['threshold']:.0f} nats with the mixture, more than
lies between MADE and PixelRNN. The average is a price of pictures that are
thresholded in one half and drawn in the other, and nobody has such pictures.
And the two halves do not weigh the same: in the drawn ones most nats are
coins, which no model can save, so one climbs by being good at edges.
Averaging bits is right over images of *one* distribution. Over two it
answers no question.
""")

# %% [markdown]
# ### Exercise 7.3: Your own scoreboard
#
# Somebody wants one winner. Give each of these axes a weight: read as asked,
# Fréchet ratio, accuracy of the taught reader, seconds for 64 digits,
# megabytes. Bring the axes to one scale, add up, and rank. Which weights make
# which system win? Is there one that no weights can make win?

# %% [markdown] jp-MarkdownHeadingCollapsed=true
# #### Solution of exercise 7.3

# %% cellView="form" jupyter={"source_hidden": true}
# @title Solution { display-mode: "form" }
AXES = {  # larger is better; logarithms, since ratios are what counts
    "as asked": lambda name: -math.log(1 - samples[name]["agreement"]),
    "Fréchet": lambda name: -math.log(samples[name]["frechet_ratio"]),
    "teaches": lambda name:
        -math.log(1 - samples[name]["classifier_accuracy"]),
    "fast": lambda name: -math.log(drawing.get(
        name, drawing["gpt"])["cached_seconds"]),
    "small": lambda name: -math.log(about[name]["megabytes"])}
scores = np.array([[axis(name) for axis in AXES.values()]
                   for name in DIGITS])
scores = (scores - scores.mean(axis=0)) / scores.std(axis=0)  # (5, 5)


def ranked_by(**weights):
    """The systems, best first, for these weights of the axes."""
    total = scores @ np.array([weights.get(axis.replace(" ", "_"), 0)
                               for axis in AXES])
    return [DIGITS[place] for place in np.argsort(-total)]


print("a shop window:", ranked_by(as_asked=1, Fréchet=1))
print("a web page:   ", ranked_by(as_asked=1, fast=1, small=3))
print("drawn data:   ", ranked_by(teaches=3, fast=1))
chance = np.random.default_rng(0).dirichlet(np.ones(5), size=10_000)
wins = np.bincount((chance @ scores.T).argmax(axis=1), minlength=5)
print({name: f"{share:.0%}" for name, share in zip(DIGITS, wins / 10_000)})
assert wins.sum() == 10_000

# %% [markdown]
# The last line gives each system the share of 10,000 random weightings that it
# wins. Whoever is beaten on every axis by one other can never win. Nor can an
# all-rounder who is best at nothing and lies behind a mixture of two others: a
# weighted sum likes extremes. Note what the board has left out: bits are
# not on it, since the five do not describe the same pictures, nor is "loses
# nothing", which is no number. A weighted sum is a choice that looks like a
# measurement. If you need one, publish the weights.

# %% [markdown]
# ### Exercise 7.4: How large is the floor?
#
# Take the features of real digits (`pl.classify.reader().features`), split them
# into two halves by chance, and measure the Fréchet distance of the halves for
# 100, 200, 400 and 800 digits a half. How does it fall? Could you guess its
# value for 5,000?

# %% [markdown] jp-MarkdownHeadingCollapsed=true
# #### Solution of exercise 7.4

# %% cellView="form" jupyter={"source_hidden": true}
# @title Solution { display-mode: "form" }
judge = pl.classify.reader()
with torch.no_grad():
    seen = torch.cat([judge.features(part) for part in
                      x_valid.split(250)]).double().numpy()  # (2000, 96)
seen = np.random.default_rng(1).permutation(seen)
sizes = np.array([100, 200, 400, 800])
floors = np.array([frechet(seen[:size], seen[-size:]) for size in sizes])
slope, height = np.polyfit(np.log(sizes), np.log(floors), 1)
for size, value in zip(sizes, floors):
    print(f"{size:4} digits a half: {value:.3f}, times n: "
          f"{value * size:.1f}")
print(f"it falls like n to the power {slope:.2f}; at 5,000 about "
      f"{np.exp(height + slope * np.log(5000)):.4f}")
assert (np.diff(floors) < 0).all() and -1.4 < slope < -0.6

# %% [markdown]
# Twice the digits, about half the distance: the bias falls nearly like $1/n$,
# as it did for Gaussians. On a doubly logarithmic sheet that is a straight
# line, and it can be continued. (One may even subtract it: measure a model at
# several $n$, draw the line against $1/n$, and read off where it meets zero
# ([Chong and Forsyth, 2020](../book/bibliography.md#chong2020)).)

# %% [markdown]
# ## What to remember
#
# - "Best" needs an "at what". Write down the pictures, the unit, what is lost
#   and what is counted, before you compare.
# - Bits per dimension, nats and bytes are one number. Bits of different pictures
#   are not, whatever the unit.
# - Count whole files, and the decoder once.
# - Let somebody grade who has not chosen, and give the grade of real pictures
#   beside it.
# - A Fréchet distance belongs to a number of points. Put the floor beside it.
# - The test that is hardest to fool: teach a reader with the samples, and
#   examine it on real ones.
# - Temperature and top-p move along a line, and not always upwards. Compare
#   lines.
#
# This is the end of the book. Five systems were built from nothing, and each
# fits on a page or two. They are small enough to be understood and good enough
# to be measured. What you have now is the ruler. Take it to the next model
# that somebody shows you.
#
# ## Further reading
#
# - [Theis et al. (2016)](../book/bibliography.md#theis2016): likelihood,
#   samples and usefulness are three things.
# - [Heusel et al. (2017)](../book/bibliography.md#heusel2017) made the Fréchet
#   distance a habit;
#   [Chong and Forsyth (2020)](../book/bibliography.md#chong2020) measured its
#   bias and removed it.
# - [Kynkäänniemi et al. (2019)](../book/bibliography.md#kynkaanniemi2019)
#   split quality and variety into precision and recall;
#   [Ravuri and Vinyals (2019)](../book/bibliography.md#ravuri2019) let
#   classifiers learn from samples.
# - [Katharopoulos et al. (2020)](../book/bibliography.md#katharopoulos2020):
#   attention that costs as much for each token, with the digits of this book.
# - [Delétang et al. (2024)](../book/bibliography.md#deletang2024): what large
#   language models do to pictures as compressors, with and without their
#   weights counted.
# - [Chang et al. (2022)](../book/bibliography.md#chang2022),
#   [Tian et al. (2024)](../book/bibliography.md#tian2024): tokens in other
#   orders, many at a time. [Ho et al. (2020)](../book/bibliography.md#ho2020),
#   [Kingma et al. (2021)](../book/bibliography.md#kingma2021): diffusion, and
#   its bits.
