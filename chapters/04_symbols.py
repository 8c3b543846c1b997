# %% [markdown]
# # Symbols: a picture as a text

# %% [markdown] tags=["remove-cell"]
# *Takes a minute on one core of a laptop, 10 minutes on a Colab GPU. The same
# [as a page](https://OWNER.github.io/pixel-by-pixel/chapters/04_symbols.html),
# with sliders that need no kernel.*

# %% [markdown]
# [Chapter 2](02_pixelcnn.ipynb) and [chapter 3](03_gpt.ipynb) drew a digit in
# 784 steps, one for each pixel. Most of the steps drew paper next to paper.
# The guesser was not to blame: it was asked 784 times, so it answered 784
# times.
#
# Nobody reads a book letter by letter either. So this chapter leaves the
# guesser of chapter 3 as it is and changes the question: what if a
# [token](../book/glossary.md#token) were more than a pixel?
#
# Here a token is **six black-and-white pixels in a row**. There are
# $2^6 = 64$ such strips, about as many as there are letters and digits on a
# keyboard, so each gets a printable character. A digit becomes a line of
# text, a data set becomes a text file, and everything that is known about
# texts can be tried on pictures.

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
# The tools, and the dial that says how much will be computed:

# %%
import math
import tempfile
import textwrap
import time
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
import torch.nn.functional as F
from einops import rearrange
from PIL import Image

from pixellab.priors import gpt
from pixellab.tokenizers.symbols import Symbols

pl.figures.style()
scale = pl.scale(quick="a minute", colab="10 minutes",
                 release="half an hour")
x_train, y_train = pl.data.mnist("train")
x_valid, y_valid = pl.data.mnist("valid")

# %% [markdown]
# What will it look like? The package has a tokenizer for it. We shall write
# our own in a minute; here is one of its texts, cut into lines of five
# characters, since five strips are one row of 30 pixels.

# %% mystnb={"image": {"alt": "Left: a black-and-white handwritten digit of 30 by 30 pixels, cut by thin lines into strips of six pixels. Right: its text in 30 lines of five characters, at the same heights. A 2 for the class stands above, a closing bracket below. One row of pixels and the line of text for it are framed in orange."}}
tokenizer, example = Symbols(), 450
tokens = tokenizer.encode(x_valid[example:example + 1])  # (1, 150)
text = tokenizer.to_text(tokens[0], y_valid[example])
figure, axes = plt.subplots(1, 2, figsize=(5.2, 4.4), width_ratios=[4.1, 1.1])
figure.subplots_adjust(0, 0, 1, 1, wspace=0)
axes[0].imshow(tokenizer.decode(tokens)[0])
for cut in range(1, 5):
    axes[0].plot([6 * cut - 0.5] * 2, [-0.5, 29.5],
                 color=pl.figures.BLUE, lw=0.8)
lines = [text[0], *textwrap.wrap(text[1:-1], 5), text[-1]]
for row, line in enumerate(lines, start=-1):
    for column, character in enumerate(line):
        axes[1].text(column, row, character, family="monospace", fontsize=10.5,
                     ha="center", va="center")
axes[1].set(xlim=(-1, 5), ylim=(30.5, -1.6))
axes[0].set(ylim=(30.5, -1.6))
for axis, left, width in ((axes[0], -0.5, 30), (axes[1], -0.6, 5.2)):
    axis.add_patch(plt.Rectangle((left, 10.5), width, 1, fill=False, lw=2,
                                 color=pl.figures.ORANGE))
    axis.axis("off")
for row, note in ((-1, "the class"), (30, "the end")):
    axes[1].text(0.8, row, note, va="center", color=pl.figures.GREY)
plt.show()

# %% [markdown]
# In front stands the class, a digit; at the end a closing bracket. A line has
# $1 + 150 + 1 = 152$ characters. The orange frame is one row of pixels, and
# the line of text that says the same.
#
# ## The tokenizer, by hand
#
# Three steps lead from a picture to symbols.
#
# **Resize.** A row of 28 pixels is no multiple of six, but 30 is. Pillow makes
# 30 x 30 pixels of 28 x 28, each new one a weighted mean of the pixels around
# it (bilinear).
#
# **Round.** Each brightness from 0 to 255 becomes 0 or 1.
#
# **Pack.** Six bits, the leftmost first, are a number from 0 to 63, as the
# digits of a decimal number are one number.

# %%
# equivalent to: pixellab.tokenizers.symbols.resize
def enlarge(image):
    """Grey 28 x 28 to grey 30 x 30."""
    return np.array(Image.fromarray(np.asarray(image)).resize(
        (30, 30), Image.BILINEAR))


# equivalent to: pixellab.tokenizers.symbols.Symbols.encode
def pack(pictures):
    """Grey pictures (N, 30, 30), rounded, to numbers 0 to 63: (N, 150)."""
    bits = (pictures >= 128).long()  # nearer to 255 than to 0
    six = rearrange(bits, "n h (w six) -> n (h w) six", six=6)
    return six @ torch.tensor([32, 16, 8, 4, 2, 1])


# equivalent to: pixellab.tokenizers.symbols.Symbols.decode
def unpack(numbers):
    """The way back: (N, 150) to black and white (N, 30, 30)."""
    six = numbers[..., None] // torch.tensor([32, 16, 8, 4, 2, 1]) % 2
    return rearrange(255 * six, "n (h w) six -> n h (w six)",
                     h=30).to(torch.uint8)

# %% [markdown]
# The first two steps lose something. How much?

# %% mystnb={"image": {"alt": "The same digit three times: 28 by 28 grey, 30 by 30 grey and a little softer, 30 by 30 black and white with jagged edges."}}
grey = torch.from_numpy(np.stack([enlarge(x_valid[example])]))  # (1, 30, 30)
numbers = pack(grey)
assert torch.equal(numbers, tokens)  # as the package has it
figure, axes = plt.subplots(1, 3, figsize=(7, 2.6))
for axis, (name, image) in zip(axes, {
        "28 x 28, 256 levels": x_valid[example],
        "30 x 30, 256 levels": grey[0],
        "30 x 30, 2 levels": unpack(numbers)[0]}.items()):
    axis.imshow(image)
    axis.set_title(name, fontsize=10)
    axis.axis("off")
plt.show()

# %% [markdown]
# The grey levels are gone, and with them the soft edges; so is the original
# size. From there on nothing more is lost: packing is exact both ways. That
# is a **lossy step before a lossless one**, and it has a consequence. The bits
# of this chapter describe the right picture, not the left one. A model that
# needs few of them has not beaten chapter 3, it has been given an easier
# picture.
#
# Is packing really exact? Any picture of two levels must come back, and so
# must any 150 numbers.

# %%
# NBVAL_CHECK_OUTPUT
pictures = 255 * torch.randint(2, (1000, 30, 30), dtype=torch.uint8)
any_numbers = torch.randint(64, (1000, 150))
print("pictures come back:", torch.equal(unpack(pack(pictures)), pictures))
print("numbers come back:",
      torch.equal(pack(unpack(any_numbers)), any_numbers))

# %% [markdown]
# ### From numbers to characters
#
# A character of a computer is a number, too, its code. The codes from 58 on
# are 64 printable characters in a row. So the symbol for the number $k$ is
# `chr(58 + k)`, and no table is needed.

# %%
# equivalent to: pixellab.tokenizers.symbols.Symbols.to_text
def as_text(numbers, label):
    """150 numbers and a class as a line of 152 characters."""
    return f"{label}" + "".join(chr(58 + k) for k in numbers) + ")"


def as_numbers(line):
    """The way back: numbers (150,) and the class."""
    return torch.tensor([ord(c) - 58 for c in line[1:-1]]), int(line[0])

# %% [markdown]
# Which characters are they, and is our text that of the package?

# %%
# NBVAL_CHECK_OUTPUT
print(as_text(range(64), 7)[1:-1])
print("same:", as_text(tokens[0].tolist(), int(y_valid[example])) == text)

# %% [markdown]
# Paper is `:`, the first of them. Ink, six pixels of it, is `y`, the last. The
# ten digits and the bracket have codes below 58, so no symbol can be mistaken
# for a class or for the end.
#
# Try it. Each line of the text below is a row of the image. Type over a
# symbol, or turn a pixel over by clicking it (or with the arrow keys and the
# space bar). What must you type for six pixels of ink, and what for a single
# one at the right end?

# %%
pl.explore.symbols(tokenizer, tokens[0])

# %% [markdown]
# ### Somebody else's text
#
# Is this reading of the rules the only one? Here are the first three training
# images of MNIST ([LeCun et al., 1998](../book/bibliography.md#lecun1998)), a
# 5, a 0 and a 4, as another program wrote them:

# %%
reference = [
    "5::::::::::::::::::::::::::::=Z::IyZ:Ayy::AyZ::AwZ:::r::::j::::r::::"
    "R::::H::::AZ:::=j::::r::::v::::r:::Ar:::Yj::;y:::=v:::Yj::;yZ::;v:::"
    ":::::::::::::::)",
    "0:::::::::::::::::::::::j:::=r:::Ar:::Iv:::Yx:::yp::;w`::;rA::=jA::A"
    ":A::H:A::H:A::V:A::V:@::V:H::R:R::R;j::V=j::Yy:::Yv:::Ir:::=Z:::::::"
    ":::::::::::::::)",
    "4:::::::::::::::::::::::::::::::::=::::=:;::<:=::@:=::@:=::H:=::H:=:"
    ":F:=::v:=:Yv:=yvR:;x:R::::R::::r::::r::::r::::r::::r::::r::::R::::R:"
    ":::::::::::::::)"]
assert [len(line) for line in reference] == [152] * 3

# %% [markdown]
# What do they show, and does our own way from picture to text lead back to
# them?

# %% mystnb={"image": {"alt": "Three black-and-white digits of 30 by 30 pixels, decoded from the three lines: a 5, a 0 and a 4."}}
shown = torch.cat([unpack(as_numbers(line)[0][None]) for line in reference])
pl.figures.grid(shown, columns=3, size=1.3,
                titles=[f"class {line[0]}" for line in reference])
plt.show()

# %%
# NBVAL_CHECK_OUTPUT
again = [as_text(numbers.tolist(), line[0])
         for numbers, line in zip(pack(shown), reference)]
print("the same lines:", again == reference)
five = x_train[y_train == 5][0]  # the first 5 of our training digits
line = as_text(pack(torch.from_numpy(enlarge(five))[None])[0].tolist(), 5)
print("the first 5 has this text:", line == reference[0])

# %% [markdown]
# Both. The same rules were applied to the same digits.
#
# ## A data set is a text file
#
# Write all training digits down, one a line, and the data set is a file that
# every editor opens. (From a shell: `pixellab tokenize symbols digits.txt
# --split train`.) Does it come back as it was?

# %%
tokens_train = tokenizer.encode(x_train)  # (N, 150)
tokens_valid = tokenizer.encode(x_valid)
lines = [as_text(numbers, label) for numbers, label in zip(
    tokens_train[:5000].tolist(), y_train[:5000].tolist())]
with tempfile.TemporaryDirectory() as folder:
    path = Path(folder) / "digits.txt"
    path.write_text("\n".join(lines) + "\n")
    size = path.stat().st_size
    back = [as_numbers(line) for line in path.read_text().splitlines()]
assert torch.equal(torch.stack([numbers for numbers, _ in back]),
                   tokens_train[:5000])
assert [label for _, label in back] == y_train[:5000].tolist()
print(f"{len(back)} digits, {size / len(back):.0f} bytes each")

# %% [markdown]
# A few lines, from the middle of the digits to their end:

# %%
for line in lines[:1200:300]:
    print(line[0], "...", line[76:])

# %% [markdown]
# A text file can be edited, so it can be damaged. Which of the 152 characters
# is wrong? A reader that only says "bad file" leaves you counting. This one
# counts itself:

# %%
RULES = [("0123456789", "a digit, the class"),
         *150 * [(as_text(range(64), "")[:-1], "a symbol, ':' to 'y'")],
         (")", "the end, ')'")]


def read_line(line):
    """Numbers (150,) and class, or a ValueError that names the place."""
    for place, (allowed, name) in enumerate(RULES):
        found = line[place:place + 1]
        if not found or found not in allowed:
            raise ValueError(f"position {place} is "
                             f"{repr(found) if found else 'missing'}; "
                             f"expected {name}")
    if len(line) > len(RULES):
        raise ValueError(f"position {len(RULES)} is beyond the end")
    return as_numbers(line)

# %%
sound = reference[0]
for bad in (sound[:70] + "9" + sound[71:], sound[:100], sound[1:]):
    try:
        read_line(bad)
        raise AssertionError("this text should be refused")
    except ValueError as error:
        print(textwrap.fill(str(error), width=76))

# %% [markdown]
# ## Which symbols occur?
#
# There are 64 symbols. Are they all in use, and which are frequent? We count
# them in the training text.

# %%
counts = tokens_train.flatten().bincount(minlength=64)  # (64,)
share = counts / counts.sum()
entropy = -(share * share.clamp(1e-12).log2()).sum().item()
independent = 150 * entropy
ranked = share.argsort(descending=True)
print(f"paper: {100 * share[0]:.1f} % of all symbols")
print(f"entropy: {entropy:.3f} bits a symbol")

# %% [markdown]
# Each bar is a symbol, the most frequent first. Mind the logarithmic axis. The
# first twelve are shown as pixels, with their characters.

# %% mystnb={"image": {"alt": "Above, twelve strips of six pixels with their characters, the most frequent symbols: plain paper first, then strips with one run of ink, solid ink among them. Below, a bar for each of the 64 symbols by rank on a logarithmic axis; the shares fall over several orders of magnitude."}}
figure = plt.figure(figsize=(5.4, 3.4))
axis = figure.add_axes([0.13, 0.15, 0.85, 0.6])
axis.bar(range(1, 65), 100 * share[ranked].clamp(min=1e-9))
axis.set(yscale="log", xlabel="rank", ylabel="% of all symbols",
         xlim=(0, 65), ylim=(1e-5, 150))
for rank, symbol in enumerate(ranked[:12].tolist()):
    strip = figure.add_axes([0.13 + 0.071 * rank, 0.87, 0.061, 0.04])
    strip.imshow([[symbol // bit % 2 for bit in (32, 16, 8, 4, 2, 1)]],
                 vmin=0, vmax=1)
    strip.set(xticks=[], yticks=[])
    strip.spines[:].set_visible(True)
    strip.set_title(chr(58 + symbol), family="monospace", fontsize=12)
plt.show()

# %% cellView="form" jupyter={"source_hidden": true} tags=["remove-cell"]
rare = int((share < 1e-4).sum())

# %% cellView="form" jupyter={"source_hidden": true} tags=["remove-input"]
# @title { display-mode: "form" }
pl.say(rf"""
Paper, {100 * share[0]:.0f} % of the text, is its blank. Then come strips
with one run of ink. Strips with holes, such as ink, paper, ink, are rare: a
pen seldom leaves two lines within six pixels. {rare} of the 64 make up less
than a ten-thousandth each.

That is already worth something. Raw, a digit is 900 pixels of one
[bit](../book/glossary.md#bit). Suppose a model knows these shares and
nothing else. With the [range coder](../book/glossary.md#range-coder) of
[chapter 1](01_bits.ipynb), which need not spend whole bits, a symbol then
costs its [entropy](../book/glossary.md#entropy), {entropy:.2f} bits on
average. No code can do with less
([Shannon, 1948](../book/bibliography.md#shannon1948)). A digit costs
{independent:.0f} bits: 150 symbols, each guessed as if it stood alone.
(MNIST, 30 x 30, rounded, as everything in this chapter.)
""")

# %% [markdown]
# ## Guessing the next symbol
#
# Symbols do not stand alone. How far can one guess the next symbol from those
# before it, by nothing but counting? That is the oldest of language models:
# Shannon drew English from it in 1948, and three years later let people guess
# the next letter of a text to see how little news a letter is
# ([Shannon, 1948](../book/bibliography.md#shannon1948);
# [Shannon, 1951](../book/bibliography.md#shannon1951)).
#
# The [context](../book/glossary.md#context) of order $n$ is the last $n$
# symbols; counting what follows it gives an
# **[n-gram model](../book/glossary.md#n-gram)**. Chapter 1 counted in tables
# with a cell for everything that could occur. With five symbols of context
# these would be $64^6$ cells, about 69 thousand million. So we write down only
# what did occur: a context is one whole number, its symbols the digits of it,
# and a sorted list of the numbers with their counts is the whole model.

# %%
BASE = 75  # 64 symbols, 10 classes, and the end


def context_numbers(tokens, labels, back, told):
    """One whole number a place for each order: a list of (N, T).

    back: how many places back each next symbol of the context is; told: the
    class is part of every context, too.
    """
    reach = max(back, default=0)
    front = np.repeat(64 + labels[:, None], reach, axis=1)  # the class
    line = np.concatenate([front, tokens], axis=1)  # (N, reach + T)
    number = np.zeros_like(tokens) + (labels[:, None] if told else 0)
    numbers = [number]
    for distance in back:
        known = line[:, reach - distance:][:, :tokens.shape[1]]
        number = number * BASE + known  # one more digit
        numbers.append(number)
    return numbers

# %% [markdown]
# Every line begins with its class, so the class stands where a context reaches
# beyond the first symbol. It also tells the model that a digit has just begun.
#
# Is it right, and does it see the past only? Numbers small enough to read:

# %%
# NBVAL_CHECK_OUTPUT
short = np.array([[10, 20, 30, 40]])
for order, numbers in enumerate(context_numbers(
        short, np.array([7]), back=(1, 2), told=False)):
    print(f"order {order}:", [divmod(int(k), BASE) for k in numbers[0]])

# %% [markdown]
# The pair for order 2 at the last place, (30, 20), is the symbol just before
# it and the one before that. (71 is the class 7.)
#
# ### What if a context was never seen?
#
# Then counts say nothing, and the guess of the next shorter context must do.
# And if it was seen twice? Then they say a little. Witten and Bell
# ([Witten and Bell, 1991](../book/bibliography.md#witten1991)) mix the two
# with weights that the counts themselves give. If a context $h$ was seen $n$
# times and $k$ *different* symbols came after it, then
#
# $$
# p(s \mid h) = \frac{c(h, s) + k \, p(s \mid \text{shorter } h)}{n + k}.
# $$
#
# The reasoning: $k$ times something came that had never come after $h$. So
# something new is about $k / (n + k)$ likely, and then the shorter context has
# to say what. A context that always continues the same way is trusted soon;
# one after which anything may come is not. The last resort, below order 0, is
# that all symbols are equally likely.

# %%
def look_up(keys, values, wanted):
    """values where wanted is among the sorted keys, else 0."""
    place = np.searchsorted(keys, wanted).clip(max=len(keys) - 1)
    return np.where(keys[place] == wanted, values[place], 0)

# %%
class SymbolCounts:
    """What follows a context, mixed with what follows shorter ones."""

    def __init__(self, tokens, labels, back, told, vocabulary=64):
        self.back, self.told, self.tables = back, told, []
        self.vocabulary = vocabulary
        for context in context_numbers(tokens, labels, back, told):
            pairs, seen = np.unique(context * BASE + tokens,
                                    return_counts=True)
            heads, first, kinds = np.unique(
                pairs // BASE, return_index=True, return_counts=True)
            times = np.add.reduceat(seen, first)
            self.tables.append((pairs, seen, heads, times, kinds))

    def orders(self, contexts, symbols):
        """p(symbol) after order 0, 1, ...: a list, shapes broadcast."""
        p, answers = 1 / self.vocabulary, []
        for context, table in zip(contexts, self.tables):
            pairs, seen, heads, times, kinds = table
            count = look_up(pairs, seen, context * BASE + symbols)
            n, k = (look_up(heads, part, context) for part in (times, kinds))
            p = np.where(n > 0, (count + k * p) / np.maximum(n + k, 1), p)
            answers.append(p)
        return answers

# %% [markdown]
# Do the probabilities of the 64 symbols sum to 1, after any context of any
# order, seen or not?

# %%
def bits_a_digit(counts, tokens, labels):
    """Mean bits of a digit, one number for each order."""
    contexts = context_numbers(tokens, labels, counts.back, counts.told)
    return [-np.log2(p).sum(axis=1).mean()
            for p in counts.orders(contexts, tokens)]


train, valid = [(tokens.numpy(), labels.numpy()) for tokens, labels in
                ((tokens_train, y_train), (tokens_valid, y_valid))]
text_model = SymbolCounts(*train, back=(1, 2, 3, 4, 5), told=True)
contexts = context_numbers(*valid, text_model.back, told=True)
for p in text_model.orders([k[:100, :, None] for k in contexts],
                           np.arange(64)):  # (100, 150, 64)
    assert np.allclose(p.sum(axis=-1), 1)

# %% [markdown]
# ### What is a longer memory worth?
#
# We count on the training digits and pay for the validation digits. In three
# ways:
#
# - as a **plain text**: the class is seen only by the first few symbols, and
#   forgotten when it is more than $n$ characters away;
# - **told** the class in every context, as the networks of this book are;
# - **told, on its own training digits**, to see how much was learned by
#   heart.
#
# Where will the great step be?

# %%
plain_model = SymbolCounts(*train, back=(1, 2, 3, 4, 5), told=False)
curves = {"plain text": bits_a_digit(plain_model, *valid),
          "told the class": bits_a_digit(text_model, *valid)}
by_heart = bits_a_digit(text_model, *(part[:2000] for part in train))

# %% mystnb={"image": {"alt": "Bits a digit against the number of earlier symbols, 0 to 5. Both curves on new digits start at about 300 bits, drop at order 1, hardly fall at orders 2 and 3, a little more at order 4, and most of all at order 5. A dashed curve, on digits that were counted, is lower at order 5."}}
figure, axis = plt.subplots(figsize=(6.2, 3.2))
styles = {"plain text": (pl.figures.GREY, "-"),
          "told the class": (pl.figures.BLUE, "-")}
for name, (colour, dash) in styles.items():
    axis.plot(range(6), curves[name], dash, color=colour, marker="o", ms=4)
axis.plot(range(6), by_heart, "--", color=pl.figures.ORANGE)
axis.annotate("plain text", (1.5, curves["plain text"][1] + 6),
              color=pl.figures.GREY)
axis.annotate("told the class", (1.9, curves["told the class"][2] - 4),
              color=pl.figures.BLUE, va="top", ha="right")
axis.annotate("told, on its own\ntraining digits ", (4.5, by_heart[5] + 10),
              color=pl.figures.ORANGE, ha="right", va="center")
axis.set(xlabel="earlier symbols in the context", ylabel="bits a digit",
         ylim=(0, None))
plt.show()
for curve in curves.values():
    assert np.diff(curve).argmin() == 4 and by_heart[5] < curve[5]

# %% cellView="form" jupyter={"source_hidden": true} tags=["remove-cell"]
heads = len(text_model.tables[5][2])

# %% cellView="form" jupyter={"source_hidden": true} tags=["remove-input"]
# @title { display-mode: "form" }
pl.say(rf"""
Four symbols bring a digit to {curves['told the class'][4]:.0f} bits. The
fifth brings it to {curves['told the class'][5]:.0f}. What does order 5 see
that order 4 does not? **Five symbols are one row.** The fifth symbol back is
the one *straight above*. A model of texts, which knows nothing of pictures,
gains most from the one symbol that is far away in the text and near in the
picture. (The fourth is above to the right. It helps too, but less.)

Being told the class helps while contexts are short, and no longer at order
5, where the plain text needs {curves['plain text'][5]:.0f} bits. It makes
ten tables of one: each has a tenth of the digits to learn from, and
{heads:,} contexts share the counts. On its own training digits the same
model claims {by_heart[5]:.0f} bits. That number is worth nothing: they were
learned by heart.
""")

# %% [markdown]
# ### Better neighbours
#
# If the symbol above is worth so much, why carry the three between? A context
# need not be a stretch of text. Five symbols again, but chosen as a picture
# would choose them: above, left, two rows above, and above to the right and
# to the left.

# %% mystnb={"image": {"alt": "Two pieces of a picture, rows of five strips of six pixels. Left: the next strip in orange and, in blue, the five strips before it in reading order, numbered 1 to 5; only the fifth touches it from above. Right: five blue strips around the orange one, numbered 1 above, 2 left, 3 two rows above, 4 above to the right, 5 above to the left."}}
picture_back = (5, 1, 10, 4, 6)
figure, axes = plt.subplots(1, 2, figsize=(5.6, 1.5))
for axis, (name, back) in zip(axes, {
        "as a text": (1, 2, 3, 4, 5),
        "as a picture": picture_back}.items()):
    for place in range(15):
        distance = 12 - place
        colour = (pl.figures.ORANGE if distance == 0 else "#8ab8f5"
                  if distance in back else "#eaeef2")
        row, column = divmod(place, 5)
        axis.add_patch(plt.Rectangle((column, row), 0.94, 0.86, fc=colour))
        if distance in back:
            axis.text(column + 0.47, row + 0.43, back.index(distance) + 1,
                      ha="center", va="center")
    axis.set(xlim=(0, 5), ylim=(3, 0), title=name)
    axis.axis("off")
plt.show()

# %% [markdown]
# The order matters as well: the later ones are the first to be dropped when a
# context is new. What do the same number of symbols, better chosen, achieve?

# %%
picture_model = SymbolCounts(*train, back=picture_back, told=True)
curves["picture"] = bits_a_digit(picture_model, *valid)
untold = SymbolCounts(*train, back=picture_back, told=False)
curves["picture, not told"] = bits_a_digit(untold, *valid)
best_order = int(np.argmin(curves["picture"]))
counted = curves["picture"][best_order]  # bits a digit

# %% mystnb={"image": {"alt": "Bits a digit against the number of earlier symbols. The curves of the picture contexts fall to about half at the first symbol and stay far below that of the text, which meets them only nearly at order 5."}}
figure, axis = plt.subplots(figsize=(6.2, 3.2))
for name, colour, dash in (("told the class", pl.figures.GREY, "-"),
                           ("picture", pl.figures.BLUE, "-"),
                           ("picture, not told", pl.figures.BLUE, ":")):
    axis.plot(range(6), curves[name], dash, color=colour, marker="o", ms=4)
axis.annotate("the text's last symbols", (1.4, 260), color=pl.figures.GREY)
axis.annotate("not told the class", (0.9, 178), color=pl.figures.BLUE)
axis.annotate("the picture's neighbours", (0.5, 112), color=pl.figures.BLUE)
axis.set(xlabel="earlier symbols in the context", ylabel="bits a digit",
         ylim=(0, None))
plt.show()
assert curves["picture"][1] < curves["told the class"][4]
assert counted < min(curves["told the class"]) and counted < independent / 2

# %% cellView="form" jupyter={"source_hidden": true} tags=["remove-input"]
# @title { display-mode: "form" }
pl.say(rf"""
The symbol above, alone, is worth more than four symbols to the left:
{curves['picture'][1]:.0f} bits. Best are {best_order} neighbours,
{counted:.1f} bits a digit. With one more, too many contexts are new
({curves['picture'][-1]:.1f}). Here being told the class still pays a little
(without it {min(curves['picture, not told']):.1f}), and the networks below
are told it too, so this is the number that they will have to beat. (How many
neighbours was chosen on the digits that are scored. With six numbers to
choose from, that flatters the counts by next to nothing.)
""")

# %% [markdown]
# ## Writing under a rule
#
# A model that guesses can write. Ours know 64 symbols. A general model of
# texts knows all characters, and may write any of them anywhere: a bracket in
# the middle, a 7 in place of ink. Let us build such a model, see it fail, and
# then make failure impossible.
#
# The alphabet: the 64 symbols, then ten digits, then the bracket. In a line,
# place 0 wants a digit, places 1 to 150 want symbols, place 151 wants the
# bracket.

# %%
alphabet = [chr(58 + k) for k in range(64)] + list("0123456789") + [")"]


def allowed(place):
    """Which of the 75 characters may stand there: bool (75,)."""
    character = torch.arange(75)
    if place == 0:
        return (character >= 64) & (character < 74)
    return character == 74 if place == 151 else character < 64


def constrain(logits, place):
    """Probabilities (N, 75) that are zero where nothing is allowed."""
    return logits.masked_fill(~allowed(place), -math.inf).softmax(dim=-1)

# %% [markdown]
# That is **[constrained decoding](../book/glossary.md#constrained-decoding)**:
# a [logit](../book/glossary.md#logit) of $-\infty$ is a probability of zero,
# and what has probability zero is never drawn. The guesser need not agree. It
# is not asked.

# %%
def write_lines(guess, count, seed=0, rule=True):
    """`count` texts; guess(line so far (N, t)) gives logits (N, 75)."""
    uniforms = pl.sampling.uniform_numbers(count, 152, seed)
    line = torch.zeros(count, 152, dtype=torch.int64)
    for place in range(152):
        logits = guess(line[:, :place])
        probs = constrain(logits, place) if rule else logits.softmax(dim=-1)
        line[:, place] = pl.sampling.draw(probs, uniforms[:, place])
    texts = ["".join(alphabet[k] for k in one) for one in line.tolist()]
    return [text[:text.find(")") % 152 + 1] for text in texts]  # to the end


def is_picture(text):
    try:
        read_line(text)
        return True
    except ValueError:
        return False

# %% [markdown]
# Two guessers: one that knows nothing, with random logits, and an n-gram
# model of order 5 over all 75 characters, classes and brackets counted like
# any other character.

# %%
noise = torch.Generator().manual_seed(0)


def random_guess(line):
    """Logits for the character after line (N, t): (N, 75)."""
    return 3 * torch.randn(len(line), 75, generator=noise)


count = min(10_000, len(tokens_train))
whole_lines = np.concatenate([64 + train[1][:count, None], train[0][:count],
                              np.full((count, 1), 74)], axis=1)  # (N, 152)
line_model = SymbolCounts(whole_lines, np.zeros(count, int),
                          back=(1, 2, 3, 4, 5), told=False, vocabulary=75)


def counted_guess(line):
    """The same from the counts."""
    line = np.pad(line.numpy(), ((0, 0), (0, 1)))  # a place to be guessed
    contexts = context_numbers(line, np.zeros(len(line), int),
                               line_model.back, line_model.told)
    last = line_model.orders([k[:, -1:] for k in contexts], np.arange(75))
    return torch.from_numpy(np.log(last[-1]))

# %% [markdown]
# Two hundred texts from each, with the rule and without: how many are
# pictures?

# %%
texts, valid_share, report = {}, {}, []
for name, guess in {"random": random_guess, "counted": counted_guess}.items():
    for rule in (False, True):
        texts[name, rule] = write_lines(guess, 200, rule=rule)
        valid_share[name, rule] = sum(map(is_picture, texts[name, rule]))
        report.append(f"{name:8s} {'with' if rule else 'without'} the rule: "
                      f"{valid_share[name, rule]} of 200")
print("\n".join(report))
assert valid_share["random", True] == valid_share["counted", True] == 200
assert valid_share["counted", False] < 100 > valid_share["random", False]

# %% cellView="form" jupyter={"source_hidden": true} tags=["remove-cell"]
lengths = sorted(len(text) for text in texts["counted", False])
wrong = sum(character in "0123456789" for text in texts["counted", False]
            for character in text[1:])

# %% cellView="form" jupyter={"source_hidden": true} tags=["remove-input"]
# @title { display-mode: "form" }
pl.say(rf"""
With the rule all are, even from random logits. Without it
{valid_share['counted', False]} of 200 from the counts, and
{valid_share['random', False]} from random logits. The counts know well which
character follows which: in the 200 texts {wrong} digits stand where a symbol
should. What they do not know is *when to stop*. The text must end after 150
symbols, not one sooner or later, and a memory of five cannot count rows of
paper: the shortest text has {lengths[0]} characters, half of them have at
most {lengths[100]}.
""")

# %% [markdown]
# Valid is not the same as good, though. What do the pictures look like?

# %% mystnb={"image": {"alt": "Three rows of ten black-and-white pictures. From random logits: noise. From counts over the text: strokes that drift and break, some like parts of digits. From counts over picture neighbours: smooth strokes and loops, hardly any of them the whole digit that was asked for."}}
def draw_counted(counts, labels, order, seed=0):
    """Draw symbols from the counts: tokens (N, 150)."""
    uniforms = pl.sampling.uniform_numbers(len(labels), 150, seed)
    tokens = np.zeros((len(labels), 150), int)
    for t in range(150):
        contexts = context_numbers(tokens, labels, counts.back, counts.told)
        p = counts.orders([k[:, t:t + 1] for k in contexts[:order + 1]],
                          np.arange(64))[-1]
        tokens[:, t] = pl.sampling.draw(torch.from_numpy(p), uniforms[:, t])
    return torch.from_numpy(tokens)


ten = np.arange(10)
written = {"random ": torch.stack([as_numbers(text)[0]
                                   for text in texts["random", True][:10]]),
           "text ": draw_counted(text_model, ten, order=5),
           "picture ": draw_counted(picture_model, ten, order=best_order)}
pl.figures.grid(unpack(torch.cat(list(written.values()))), columns=10,
                row_titles=list(written), titles=list("0123456789"))
plt.show()

# %% [markdown]
# The class was told in the lower two rows. Any few pixels look like pen on
# paper; the whole does not look like a digit. Some sheets stay nearly empty,
# because a context full of paper does not know how far down it is, and that
# it is time to begin. A stroke is forgotten two rows later, and nobody
# remembers that a loop must close.
#
# ### Why the package has no mask
#
# The shipped network needs none of this, because what is forbidden cannot be
# said. It has logits for the 64 symbols and for nothing else. The class is
# read, never drawn. The number of symbols is fixed, so there is no end to
# guess. Under the rule, a class that is given and an end that is certain cost
# no bits, so both ways of counting give the same bits. A mask repairs a
# vocabulary that is too large for its task; where we choose the vocabulary,
# we can choose the right one. Where we cannot, as with a large language model
# that must write a table or a program, the mask is what is left.

# %% [markdown]
# ## A transformer reads symbols
#
# The network of chapter 3 takes tokens of any vocabulary on any grid. Nothing
# in it has to change: 64 symbols instead of 256 levels, 30 x 5 places instead
# of 28 x 28. A small one learns here, from few digits, on the CPU. How soon
# does it beat the counts, which have seen all of them?

# %%
def six_bits_at(net, seed=3):
    """The digits 0 to 9 as the network draws them now: (10, 30, 30)."""
    uniforms = pl.sampling.uniform_numbers(10, 150, seed)
    return unpack(pl.sampling.sample(net, torch.arange(10), uniforms))


torch.manual_seed(0)
net = gpt.GPT(vocabulary=64, grid=(30, 5), width=48, layers=1, heads=2,
              window=2, embedding=8)
count = scale.pick(quick=1200, colab=20_000, release=58_000)
recipe = pl.training.Schedule(
    epochs=4, lr=8e-3, gamma=0.4, warmup=50,
    batch_size=scale.pick(quick=6, colab=16, release=32))
sheets = [six_bits_at(net)]
started = time.perf_counter()
with tempfile.TemporaryDirectory() as folder:
    history = pl.training.train(
        net, (tokens_train[:count], y_train[:count]),
        (tokens_valid[::10], y_valid[::10]), recipe,
        pl.training.RunFolder(folder, config={}),
        on_epoch=lambda history: sheets.append(six_bits_at(net)),
        show=False, device="cpu")
seconds = time.perf_counter() - started

# %% [markdown]
# The dashed line is the best that counting achieved.

# %% mystnb={"image": {"alt": "Training and validation loss in bits a digit over four epochs. Both fall; the validation loss ends below the dashed line of the best n-gram model."}}
per_digit = [{"epoch": row["epoch"], "train": 150 * row["train"],
              "valid": 150 * row["valid"]} for row in history]
live_bits = per_digit[-1]["valid"]
figure, axis = plt.subplots(figsize=(5.5, 3))
pl.figures.loss_curve(per_digit, "bits a digit", axis=axis)
axis.plot([0.9, 4], [counted] * 2, "--", color=pl.figures.ORANGE)
axis.annotate("counts of all training digits", (2.2, counted + 3),
              color=pl.figures.ORANGE)
axis.set(xticks=range(1, 5), xlim=(0.9, 4.5),
         ylim=(90, 1.05 * per_digit[0]["train"]))
plt.show()
assert live_bits < per_digit[0]["valid"] and live_bits < counted

# %% mystnb={"image": {"alt": "Five rows of ten black-and-white samples for the classes 0 to 9, untrained and after each of four epochs: noise at first, then strokes that grow into shapes, a few of them digits."}}
pl.figures.grid(torch.cat(sheets), columns=10,
                row_titles=["untrained "] + [
                    f"epoch {row['epoch']} " for row in history],
                titles=list("0123456789"))
plt.show()

# %% cellView="form" jupyter={"source_hidden": true} tags=["remove-input"]
# @title { display-mode: "form" }
pl.say(rf"""
{sum(part.numel() for part in net.parameters()):,} parameters, {count:,}
digits, {seconds:.0f} seconds: a validation digit costs {live_bits:.1f} bits.
The counts needed {counted:.1f}, after {len(tokens_train):,} digits. A table
learns about each context by itself. A network learns that contexts are
alike, and it is told the row and the column, so that it knows when to begin.
""")

# %% [markdown]
# ### Two faults to avoid
#
# What would one try first? Say 8 layers with 8 heads, 256 wide, for 152
# characters, trained by Adam with rate $10^{-4}$, batches of 128 and dropout
# 0.1. We call it the usual recipe below: it is our choice of something to
# compare with, not a number from a paper. Two details of such a program
# deserve a look, since both are easy to get wrong.
#
# **Windows that begin anywhere.** Programs that learn from books cut windows
# of fixed length out of one long text, beginning anywhere. Our file is one
# long text, too: 153 characters a digit with the line break, and only one
# beginning in 153 is the beginning of a digit. In all others the class is
# unknown until the next line, in a window as long as a line for half of it on
# average. And a place in the window is not a place in the picture, so that it
# cannot be learned what belongs at the top. For a book there is no better way.
# Digits have beginnings: every line that our networks read begins at its
# class.

# %% cellView="form" jupyter={"source_hidden": true} tags=["remove-input"]
# @title { display-mode: "form" }
pl.say(rf"""
**A loss on digits that were trained on.** We saw what that is worth: the
counts of order 5 claimed {by_heart[5]:.0f} bits on their own digits and
needed {curves['told the class'][5]:.0f} for others. No network was trained
on the validation digits; they only choose the epoch that is kept.
""")

# %% [markdown]
# ## The shipped network
#
# What does the file say about itself?

# %%
model = pl.load("symbols")
about, made = model.provenance, model.prior.config
stages = [about]  # of the training, the last one first
while "started_from" in stages[-1]:
    stages.append(stages[-1]["started_from"])
minutes = sum(stage["seconds"] for stage in stages) / 60
digits_seen = sum(stage["epochs_done"] * stage["train_images"]
                  for stage in stages)
parameters = sum(part.numel() for part in model.prior.parameters())
reference_size = 8 * 12 * 256 ** 2 + (75 + 152 + 75) * 256  # blocks, tables
for name in ("width", "layers", "heads", "window"):
    print(f"{name}: {made[name]}")
print(f"parameters: {parameters:,}")
print(f"the usual recipe, about: {reference_size / 1e6:.1f} million")
print(f"digits seen in training: {digits_seen:,}")
valid_bits = 150 * about["valid_bits_per_token"]
print(f"validation: {valid_bits:.2f} bits a digit")
assert parameters < reference_size / 3

# %% [markdown]
# And does it keep what it says? The header stores the bits of 64 validation
# digits.

# %%
every = about["check"]["every"]
sixty = slice(0, 64 * every, every)
stored = torch.tensor(about["check"]["bits"]).double()  # (64,)
costs = model.token_bits(x_valid[sixty], y_valid[sixty])  # (64, 150)
difference = (costs.sum(dim=1) / stored - 1).abs().max().item()
print(f"largest difference: {100 * difference:.3f} %")
assert difference < 0.005

# %% cellView="form" jupyter={"source_hidden": true} tags=["remove-input"]
# @title { display-mode: "form" }
on_test = (f"{150 * about['test_bits_per_token']:.1f}"
           if "test_bits_per_token" in about else "not measured")
pl.say(rf"""
{made['layers']} layers of width {made['width']}, {parameters:,} parameters,
fewer than the {reference_size / 1e6:.1f} million of the usual recipe, and
{minutes:.0f} minutes of training. Where a plain GPT is told the previous
token alone, each place is told its neighbours within {made['window']} rows
and columns; chapter 3 has shown what that is worth to a network that has
little time. A digit costs {valid_bits:.1f} bits on validation and
{on_test} on test digits. Where in the picture are they?
""")

# %% mystnb={"image": {"alt": "Above: a map of 30 rows and 5 columns with the mean bits of each symbol: dark at the border, brightest in the middle column, about from row 5 to row 22. Below: horizontal bars of bits a digit: raw pixels by far the longest, then independent symbols, counts, and the network shortest."}}
some = slice(0, len(x_valid), 8)  # 250 digits
mean_bits = model.token_bits(x_valid[some], y_valid[some]).mean(dim=0)
figure, axes = plt.subplots(2, 1, figsize=(5, 5.6), height_ratios=[1.6, 1],
                            layout="constrained")
heat = axes[0].imshow(mean_bits.view(30, 5), cmap="inferno", vmin=0,
                      aspect=1 / 6)
axes[0].set(xlabel="column", ylabel="row", xticks=range(5),
            title="bits a symbol")
figure.colorbar(heat, ax=axes[0])
bars = {"raw pixels": 900, "independent": independent,
        "best counts": counted, "network": valid_bits}
axes[1].barh(list(bars), bars.values(), color=[pl.figures.GREY] * 3
             + [pl.figures.BLUE])
for row, value in enumerate(bars.values()):
    axes[1].annotate(f" {value:.0f}", (value, row), va="center")
axes[1].set(xlabel="bits a digit, 30 x 30 rounded", xlim=(0, 1020))
axes[1].invert_yaxis()
plt.show()
assert valid_bits < counted < independent < 900

# %% [markdown]
# The price is paid in the middle, where strokes begin and turn; the border is
# nearly free.
#
# ### What the change of picture does
#
# Black-and-white digits are usually **thresholded** at 128 with their 28 x 28
# pixels. Ours were resized to 30 x 30 and **rounded**. Which are easier to
# guess? To see that, one and the same coder must be run on both. It counts:
# for each pixel, how often was it white after the same values of the 14 pixels
# before it? It is not told the class. (The *static* binarisation of
# [the notation](../book/notation.md) has no labels, and its pixels are drawn by lot: a third
# kind of picture, with no place in this comparison.)

# %%
around = [(0, 1), (0, 2), (0, 3), (1, -2), (1, -1), (1, 0), (1, 1), (1, 2),
          (2, -1), (2, 0), (2, 1), (2, -2), (2, 2), (3, 0)]  # up, left


def pixel_contexts(white):
    """The 14 pixels before each one as a number: (N, H, W)."""
    _, height, width = white.shape
    padded = F.pad(white, (3, 3, 3, 0))
    return sum(padded[:, 3 - up:][:, :height, 3 - left:][:, :, :width] << i
               for i, (up, left) in enumerate(around))


def bits_by_counting(train, valid):
    """Bits a picture: counts from train, paid for valid."""
    train, valid = (pictures.short() // 255 for pictures in (train, valid))
    now, later = pixel_contexts(train), pixel_contexts(valid)
    ink = now[train == 1].bincount(minlength=2 ** 14) + 0.5
    paper = now[train == 0].bincount(minlength=2 ** 14) + 0.5
    likely = (ink / (ink + paper))[later.int()]
    likely = torch.where(valid == 1, likely, 1 - likely)
    return -likely.log2().sum(dim=(1, 2)).mean().item()

# %%
few = slice(0, scale.pick(quick=6_000, colab=58_000, release=58_000))
pixel_bits = {
    "thresholded": bits_by_counting(
        pl.data.binarize(x_train[few], "threshold"),
        pl.data.binarize(x_valid, "threshold")),
    "rounded": bits_by_counting(unpack(tokens_train[few]),
                                unpack(tokens_valid))}
for name, bits in pixel_bits.items():
    print(f"{name}: {bits:.1f} bits a digit")
assert valid_bits < pixel_bits["rounded"] < 1.1 * counted

# %% cellView="form" jupyter={"source_hidden": true} tags=["remove-cell"]
change = 100 * (pixel_bits["rounded"] / pixel_bits["thresholded"] - 1)

# %% cellView="form" jupyter={"source_hidden": true} tags=["remove-input"]
# @title { display-mode: "form" }
direction = "fewer" if change < 0 else "more"
pl.say(rf"""
| bits a digit (validation, MNIST) | 28 x 28, thresholded | 30 x 30, rounded |
|---|---|---|
| 14 pixels, counted in {len(tokens_train[few]):,} digits, class not told | {pixel_bits['thresholded']:.1f} | {pixel_bits['rounded']:.1f} |
| {best_order} symbols, counted in {len(tokens_train):,} digits, class told | | {counted:.1f} |
| the network, class told | | {valid_bits:.1f} |

The same coder needs {abs(change):.0f} % {direction} bits for the resized and
rounded picture: that much the change of picture does by itself. The rest of
the way down the right column is guessing, from more digits and with the
class told. Numbers of different columns must not be compared, and that holds
all the more for the grey digits of chapters 2 and 3: most of the difference
to those is the grey that is not there.
""")

# %% [markdown]
# ## Drawing
#
# 150 steps instead of 784: how long do 32 digits take, and how long does the
# GPT of chapter 3 take for as many?

# %%
def seconds_of(steps):
    """How long a stream takes, and its last tokens."""
    started = time.perf_counter()
    for tokens in steps:
        pass
    return time.perf_counter() - started, tokens


labels = [k % 10 for k in range(32)]
text_seconds, _ = seconds_of(model.stream(labels=labels))
pixel_seconds, _ = seconds_of(pl.load("gpt").stream(labels=labels))
print(f"symbols: {text_seconds:.1f} s for 32 digits")
print(f"gpt: {pixel_seconds:.1f} s")

# %% [markdown]
# And what does [temperature](../book/glossary.md#temperature) do here? Twenty
# digits at each of three:

# %% mystnb={"image": {"alt": "Six rows of ten black-and-white samples for the classes 0 to 9, two rows for each of three temperatures. At 0.8 the strokes are smooth and most can be read, but the 5s are little more than a dash; at 1.0 a few shapes are odd; at 1.2 some strokes break up into ragged pieces and specks."}}
by_heat = [model.sample(labels=labels[:20], temperature=heat)
           for heat in (0.8, 1.0, 1.2)]
pl.figures.grid(torch.cat(by_heat), columns=10, titles=list("0123456789"),
                row_titles=["0.8 "] * 2 + ["1.0 "] * 2 + ["1.2 "] * 2)
plt.show()

# %% cellView="form" jupyter={"source_hidden": true} tags=["remove-input"]
# @title { display-mode: "form" }
pl.say(rf"""
32 digits take {text_seconds:.1f} seconds on the machine that made this page,
and the GPT of chapter 3 takes {pixel_seconds:.1f}. There are fewer steps,
and each has fewer places to look back at. It is not a free gain: these
digits have two levels. `make bench` has the full comparison.
""")

# %% [markdown]
# The row labels are temperatures. A low one takes away specks and ragged
# edges. It does not mend a shape that began wrong. We take 0.8 from here on,
# and shall ask later whether it was wise.
#
# A text can be continued. Whole rows of a real digit are given, and the
# network goes on. (Rows of symbols are one pixel high, so any number of rows
# will do.)

# %% mystnb={"image": {"alt": "Four rows. Each shows a real digit in 30 by 30 pixels, its upper 15 rows above light blue, and four completions. Those of the 1, the 2 and the 8 are plausible; those of the 4 are two strokes left apart or joined to a bowl."}}
begun = x_valid[[230, 450, 910, 1650]]
begun_as = y_valid[[230, 450, 910, 1650]]
ends = model.complete(begun.repeat_interleave(4, dim=0), rows=15,
                      labels=begun_as.repeat_interleave(4).tolist(),
                      temperature=0.8, seed=1)
whole = model.reconstruct(begun)
assert torch.equal(ends[::4, :15], whole[:, :15])  # what was given is kept
halves = pl.figures.partial(model, model.tokenizer.encode(begun)[:, :75])
shown = pl.images.to_array(ends)
completed = [[first, half, *shown[4 * i:4 * i + 4]] for i, (first, half)
             in enumerate(zip(pl.images.to_array(whole), halves))]
pl.figures.grid([image for row in completed for image in row], columns=6,
                titles=["real", "given"] + ["drawn"] * 4, size=0.75)
plt.show()

# %% [markdown]
# Most of them go on well. The 4 does not: its two strokes are left apart or
# joined to a bowl.
#
# ## Choosing
#
# Drawing is cheap now, so draw more than you need and keep the best. But who
# says which are the best? A third network, the **reranker**: a small
# convolutional network that learned to read the training digits. It says how
# sure it is that a picture shows the class that was asked for, and the surest
# are kept. That is [reranking](../book/glossary.md#reranking). VQ-VAE-2
# rejected samples in this way to trade diversity for quality
# ([Razavi et al., 2019](../book/bibliography.md#razavi2019)). The pictures of
# the first DALL-E, the best of 512, were chosen by a network that compares a
# picture with a text
# ([Ramesh et al., 2021](../book/bibliography.md#ramesh2021)).
#
# By hand, for the class 3: a pool of 64, a score for each, the best 8. The
# score is the [softmax](../book/glossary.md#softmax) of the reranker's logits.
# They are divided by 0.8, a convention that hardly changes the choice, and in
# double precision, because in single precision many scores would be exactly
# equal.

# %%
def pool_of(label, drawn=64, seed=0):
    """`drawn` digits of a class at temperature 0.8: (drawn, 30, 30)."""
    return model.finish(model.stream(
        labels=[label] * drawn, temperature=0.8, seed=seed,
        first=label * drawn))  # random numbers of its own for each class


reranker = pl.classify.reader("reranker")
pool = pool_of(3)  # (64, 30, 30)
scores = (reranker.logits(pool).double() / 0.8).softmax(dim=1)[:, 3]  # (64,)
best = scores.argsort(descending=True, stable=True)
eight = pool[best[:8]]

# %% [markdown]
# Is it what the package does, in `rerank` and in `sample` with `best_of`?

# %%
# NBVAL_CHECK_OUTPUT
chosen, _ = pl.classify.rerank(pool, 3, keep=8)
sampled = model.sample(labels=[3] * 8, best_of=64, temperature=0.8)
print("rerank keeps the same:", torch.equal(chosen, eight))
print("so does sample:", torch.equal(sampled, eight))

# %% [markdown]
# What does it like, and what does it not? All 64, by their score. The axis is
# the *doubt*, the probability of all other classes, on a logarithmic scale,
# because most scores are close to 1.

# %% mystnb={"image": {"alt": "Above, a row of eight clean samples of a 3, and a row of the eight that were doubted most: filled with ink, incomplete or like other digits. Below, a curve of the doubt of all 64 samples, sorted, on a logarithmic axis: nearly zero for most, rising steeply at the right end. The eight that are kept are marked in blue, the last eight in orange."}}
sure = (reranker.logits(pool).double() / 0.8).softmax(dim=1)
doubt = sure[:, torch.arange(10) != 3].sum(dim=1).sort().values  # (64,)
figure = plt.figure(figsize=(5, 4.6))
axis = figure.add_axes([0.15, 0.12, 0.83, 0.44])
axis.plot(range(1, 65), doubt, color=pl.figures.GREY, marker=".", ms=4)
for part, name, colour, height in (
        (slice(0, 8), "kept", pl.figures.BLUE, 0.82),
        (slice(56, 64), "last", pl.figures.ORANGE, 0.62)):
    axis.plot(range(1, 65)[part], doubt[part], "o", color=colour, ms=5)
    figure.text(0.13, height + 0.08, name, color=colour, ha="right")
    for i, index in enumerate(best[part]):
        small = figure.add_axes([0.15 + 0.105 * i, height, 0.1, 0.16])
        small.imshow(pool[index])
        small.axis("off")
axis.set(yscale="log", xlabel="rank", ylabel="doubt", xlim=(0, 65))
plt.show()
assert doubt[7] < 1e-3 < doubt[56]

# %% [markdown]
# Now all ten classes: ten pools of 64, and eight of each are kept.

# %%
pools = torch.stack([pool_of(k) if k != 3 else pool for k in range(10)])
taste = torch.stack([reranker.logits(one) for one in pools])  # (10, 64, 10)
asked = torch.arange(10)[:, None]
scores = (taste.double() / 0.8).softmax(dim=2)[
    asked, torch.arange(64), asked]
best = scores.argsort(dim=1, descending=True, stable=True)[:, :8]  # (10, 8)
kept = pools[asked, best]  # (10, 8, 30, 30)
assert torch.equal(kept[3], eight)

# %% mystnb={"image": {"alt": "Ten rows of eight chosen samples, one row for each class from 0 to 9. Nearly all can be read at once, with smooth strokes; within a row the shapes resemble each other."}}
pl.figures.grid(kept.flatten(0, 1), columns=8, size=0.6,
                row_titles=[f"{k} " for k in range(10)])
plt.show()

# %% [markdown]
# ### Who may grade?
#
# Are the chosen digits better? One cannot ask the reranker: it chose what it
# likes, so it likes what it chose. The **[judge](../book/glossary.md#judge)**
# of chapter 3 is another network that learned from other digits, and nothing
# was ever chosen by it. We ask both, about the pools and about what was kept.
# How well do they read real digits, written as symbols?

# %%
judge = pl.classify.reader("judge")
verdict = torch.stack([judge.logits(one) for one in pools])  # (10, 64, 10)
as_symbols, truth = unpack(tokens_valid[::2]), y_valid[::2]
agreement = {}
for name, reader, logits in (("judge", judge, verdict),
                             ("reranker", reranker, taste)):
    right = logits.argmax(dim=2) == asked  # (10, 64)
    agreement[name] = {
        "real digits": reader.read(as_symbols) == truth,
        "all drawn": right, "kept": right[asked, best]}
    agreement[name] = {key: 100 * part.double().mean().item()
                       for key, part in agreement[name].items()}
    assert agreement[name]["real digits"] > 97
    assert agreement[name]["kept"] > agreement[name]["all drawn"] > 50
for name, shares in agreement.items():
    print(name, {key: f"{share:.1f} %" for key, share in shares.items()})

# %% cellView="form" jupyter={"source_hidden": true} tags=["remove-cell"]
misread = round(80 * (1 - agreement["judge"]["kept"] / 100))

# %% cellView="form" jupyter={"source_hidden": true} tags=["remove-input"]
# @title { display-mode: "form" }
rows = "\n".join(f"| {name} | " + " | ".join(
    f"{shares[key]:.1f}" for key in ("real digits", "all drawn", "kept"))
    + " |" for name, shares in agreement.items())
pl.say(rf"""
| read as asked, in % | real digits, as symbols | all 640 drawn | the 80 kept |
|---|---|---|---|
{rows}
""")

# %% [markdown]
# The judge reads more of the kept digits as asked than of all that were drawn,
# and it may be believed. (Of eighty, one digit is more than a per cent: no
# mistake in eighty is not the same as none.) The second row is what the
# reranker says of its own choice. Where a class is drawn well, the two rows
# differ little. The row must not be quoted all the same: keep what one network
# likes, out of more and more draws, and in the end you keep what fools it
# ([Gao et al., 2023](../book/bibliography.md#gao2023)). Then its own row still
# shows nothing.
#
# The judge can also say whether the temperature 0.8 was wise. How many does it
# read as asked at other temperatures?

# %%
read_share = {0.8: agreement["judge"]["all drawn"]}
more = torch.arange(10).repeat(scale.pick(quick=32, colab=64, release=200))
for heat in (1.0, 1.2):
    drawn = model.sample(labels=more.tolist(), temperature=heat)
    right = judge.read(drawn) == more
    read_share[heat] = 100 * right.double().mean().item()
print({heat: f"{share:.1f} %" for heat, share in read_share.items()})
assert np.ptp(list(read_share.values())) < 8  # hardly a difference

# %% cellView="form" jupyter={"source_hidden": true} tags=["remove-cell"]
right = read_share[1.0] / 100

# %% cellView="form" jupyter={"source_hidden": true} tags=["remove-input"]
# @title { display-mode: "form" }
pl.say(rf"""
{read_share[0.8]:.1f} % at 0.8, {read_share[1.0]:.1f} % at 1.0 and
{read_share[1.2]:.1f} % at 1.2. With {len(more)} draws, up to
{200 * (right * (1 - right) / len(more)) ** 0.5:.1f} points more or less are
chance. So the judge hardly prefers any of the three: 0.8 buys smoother
strokes, not more digits that can be read.
""")

# %% [markdown]
# ### What it costs
#
# Eight times the draws, first of all. And something that no table of right and
# wrong shows. How different are the eight that were kept? For each of them we
# measure the distance to the nearest of the other seven (1 is one pixel that
# differs, 5 are 25 of them), and do the same with eight of the pool as they
# come, and with eight real digits of the class.

# %%
def spread_of(images):
    """Mean distance to the nearest of the others, of (8, 30, 30)."""
    flat = images.flatten(1).double() / 255
    distance = torch.cdist(flat, flat).fill_diagonal_(math.inf)
    return distance.amin(dim=1).mean().item()


of_class = [unpack(tokens_valid[y_valid == k][:64]) for k in range(10)]
spreads = {  # groups of eight, all ten classes
    "kept": [spread_of(one) for one in kept],
    "as drawn": [spread_of(one) for pool in pools for one in pool.split(8)],
    "real": [spread_of(one) for some in of_class for one in some.split(8)]}
means = {name: float(np.mean(values)) for name, values in spreads.items()}
assert means["kept"] < means["as drawn"]

# %% mystnb={"image": {"alt": "Three horizontal bars of the mean distance to the nearest of eight: real digits, samples as they were drawn, and samples that were kept, whose bar is the shortest."}}
figure, axis = plt.subplots(figsize=(5.5, 1.7))
names = ["real", "as drawn", "kept"]
axis.barh(names, [means[name] for name in names],
          color=[pl.figures.GREY] * 2 + [pl.figures.BLUE])
for row, name in enumerate(names):
    axis.annotate(f" {means[name]:.2f}", (means[name], row), va="center")
axis.set(xlabel="distance to the nearest of the eight",
         xlim=(0, 1.15 * max(means.values())))
axis.invert_yaxis()
plt.show()

# %% cellView="form" jupyter={"source_hidden": true} tags=["remove-input"]
# @title { display-mode: "form" }
pl.say(rf"""
Real digits are {means['real']:.2f} apart, samples as they come
{means['as drawn']:.2f}, the kept ones {means['kept']:.2f}.
Choosing has its own taste, and what it likes is the typical: clean,
complete, unlike any other class. A hasty digit that a person can still read
ranks behind a neat one. So much can be said for it, and no more:
""")

# %% [markdown]
# - It removes failures, as long as enough of the pool is good.
# - It adds nothing. A shape that the network never draws is in no pool.
# - What is left is no longer a fair draw from the model whose bits we
#   measured. The sheet of eighty says what can be had, not what is usual.
#
# ## What it cannot do
#
# Which digits of the pools were misread by the judge? We sort them by how sure
# it was. At one end it is sure that it sees another digit, at the other it can
# hardly decide. Above each picture stands what was asked for, and what was
# read.

# %% cellView="form" jupyter={"source_hidden": true} tags=["remove-input"]
# @title { display-mode: "form" }
pl.say(rf"""
And of the eighty that were kept? The judge misreads {misread or 'none'} of
them; the third row shows those that convince it least.
""")

# %% mystnb={"image": {"alt": "Three rows of samples with the digit asked for and the digit read. First row: clear digits of another class, mostly 1s and 7s in place of 2s, 4s and 8s. Second row: shapes with filled loops, or half one digit and half another. Third row: kept samples that convince the judge least; they can be read."}}
confidence, read = verdict.softmax(dim=2).max(dim=2)  # (10, 64)
missed = (read != asked).nonzero()  # (n, 2): class, number
missed = missed[confidence[tuple(missed.T)].argsort(descending=True)]
columns = min(6, len(missed) // 2)  # so that no digit stands in two rows
assert columns > 1
weak = verdict.softmax(dim=2)[asked, best, asked].flatten().argsort()
weak = torch.stack([weak // 8, best.flatten()[weak]], dim=1)
figure, axes = plt.subplots(3, columns, figsize=(5, 3.3),
                            layout="constrained")
for row, some in zip(axes, (missed, missed[-columns:], weak)):
    for axis, (k, i) in zip(row, some.tolist()):
        axis.imshow(pools[k, i])
        axis.set_title(f"{k} \u2192 {read[k, i]}", fontsize=11)
        axis.axis("off")
for row, name in zip(axes, ("another\ndigit", "in doubt", "kept")):
    row[0].text(-3, 15, name, ha="right", va="center")
plt.show()

# %% [markdown]
# - **A good digit, but another one.** The label is a hint, as in chapter 3:
#   what was drawn so far weighs more than what was asked for, and the first
#   strokes of two classes may be the same.
# - **Hardly a digit.** A loop fills with ink, a stroke stops too soon, a shape
#   is half one digit and half another. Each symbol is likely after what came
#   before it. That there must be *one* digit is a fact about the whole, and
#   nobody looks at the whole.
# - **Edges are steps.** With two levels no edge is smooth. The tokenizer
#   decided that, not the network.
#
# ## Turning the knobs
#
# With a kernel running, a pool grows below while you watch, a row of pixels at
# a time. When it is complete, the reranker chooses, and the kept ones move to
# the front.

# %%
import io
import time


def png_of(pictures, columns=8):
    """A sheet of pictures as the bytes of a PNG."""
    file = io.BytesIO()
    sheet = pl.images.sheet(pictures, columns=columns, scale=2)
    Image.fromarray(sheet).save(file, "PNG")
    return file.getvalue()


def choose_live(screen, digit, drawn, kept, **settings):
    """Draw a pool on the screen, then show the kept ones alone."""
    for tokens in model.stream(labels=[digit] * drawn, **settings):
        if tokens.shape[1] % 5 == 0:  # another row is complete
            screen.value = png_of(pl.figures.partial(model, tokens))
    time.sleep(0.5)  # time to look at the pool
    best, _ = pl.classify.rerank(unpack(tokens), digit, min(kept, drawn))
    screen.value = png_of(best)

# %% [markdown]
# Six knobs and a screen:

# %% tags=["remove-output"]
import ipywidgets as widgets

screen = widgets.Image(format="png")
knobs = {
    "digit": widgets.IntSlider(3, min=0, max=9),
    "temperature": widgets.FloatSlider(0.8, min=0, max=2, step=0.05),
    "top_p": widgets.FloatSlider(1, min=0.05, max=1, step=0.01),
    "seed": widgets.IntSlider(0, min=0, max=99),
    "drawn": widgets.IntSlider(32, min=8, max=96, step=8),
    "kept": widgets.IntSlider(8, min=1, max=32)}


def choose_again(change=None):
    """Draw a pool with the knobs as they stand, and choose."""
    choose_live(screen, **{name: knob.value for name, knob in knobs.items()})


for name, knob in knobs.items():
    knob.description, knob.continuous_update = name, False
    knob.observe(choose_again, "value")
choose_again()
widgets.HBox([widgets.VBox(list(knobs.values())), screen])

# %% [markdown]
# On a page there is no kernel. Two of the knobs work without one, and one
# guess of the network with them. The bars are the likeliest symbols, drawn as
# their six pixels. Where a stroke begins there are many; inside it, few.

# %%
pl.explore.settings(
    model, x_valid[1], int(y_valid[1]), labels=[2, 3, 5, 8], seeds=3,
    alt="A sheet of samples of a 2, a 3, a 5 and an 8, black and white. At "
    "temperature 0, in the first row of each seed, nothing is drawn. With the "
    "temperature digits appear, vary and get ragged; towards the right, with "
    "lower top-p, they are plainer, and some are blobs or dashes.")

# %% [markdown]
# And the pool? Eight 2s are kept of 8, 16 and 64 drawn ones, and in the last
# row of 64 that were drawn with top-p 0.8.

# %% mystnb={"image": {"alt": "Four rows of eight samples of a 2. Of eight drawn all are kept, odd ones among them; of 16 and 64 the kept ones become cleaner and more alike; with top-p 0.8 few are a 2, the others are blobs or dashes."}}
twos = pools[2]
narrow = model.sample(labels=[2] * 8, best_of=64, temperature=0.8, top_p=0.8)
choices = {f"8 of {drawn} ": pl.classify.rerank(twos[:drawn], 2, 8)[0]
           for drawn in (8, 16, 64)} | {"top-p 0.8 ": narrow}
pl.figures.grid(torch.cat(list(choices.values())), columns=8, size=0.75,
                row_titles=list(choices))
plt.show()

# %% [markdown]
# With top-p 0.8 rare symbols are never drawn, and among them are those that
# turn a stroke or open a hole. Some digits fill up to blobs, and others end as
# a dash; chapter 3 saw the same filter empty the sheet. The pool has less to
# choose from, and choosing cannot put it back.
#
# ## Exercises

# %% [markdown]
# ### Exercise 4.1: Other ways to pack six pixels
#
# Six pixels need not lie in a row. Pack blocks of 2 x 3 (rows x columns), of 3
# x 2, or columns of 6 x 1 instead. How many bits does a digit cost if the
# symbols are independent, and if each is guessed from the symbol above it, or
# from the one to its left? Think first: which shape hides most of what pixels
# know of each other *inside* the symbol?

# %% [markdown] jp-MarkdownHeadingCollapsed=true
# #### Solution of exercise 4.1

# %% cellView="form" jupyter={"source_hidden": true}
# @title Solution { display-mode: "form" }
white = unpack(tokens_train[:10_000]) // 255
white_valid, report = unpack(tokens_valid) // 255, []
for height, width in ((1, 6), (2, 3), (3, 2), (6, 1)):
    packed = [np.packbits(rearrange(
        pictures, "n (r h) (c w) -> n (r c) (h w)", h=height, w=width
        ).numpy(), axis=2)[..., 0].astype(int) // 4
        for pictures in (white, white_valid)]  # (N, 150), 0 to 63
    labels = y_train[:10_000].numpy(), valid[1]
    alone, above, left = (bits_a_digit(SymbolCounts(
        packed[0], labels[0], back, told=False), packed[1], labels[1])[-1]
        for back in ((), (30 // width,), (1,)))
    report.append(f"{height} x {width}: {alone:.0f} bits alone, given the one "
                  f"above {above:.0f}, to the left {left:.0f}")
print("\n".join(report))

# %% [markdown]
# The squarer a block, the more of its pixels are neighbours, and what
# neighbours know of each other is not paid for twice: alone, blocks are the
# cheapest. But a guesser need not guess alone. With a neighbour, the long
# strips do best, if it is the one on their long side: it shows six pixels that
# touch the six to be guessed. A cut that is poor by itself can be the better
# one for a good guesser.

# %% [markdown]
# ### Exercise 4.2: Choosing without a reader
#
# The network itself says how likely a digit is: `model.bits`. Keep the eight
# of a pool that cost the fewest bits. Are these the best digits? What do they
# avoid?

# %% [markdown] jp-MarkdownHeadingCollapsed=true
# #### Solution of exercise 4.2

# %% cellView="form" jupyter={"source_hidden": true} mystnb={"image": {"alt": "Two rows of eight samples of an 8. Above, those with the fewest bits: narrow and smooth, the first ones without a hole, like a 1. Below, those that the reranker likes best: wider, nearly all with two clear holes."}}
# @title Solution { display-mode: "form" }
def edges(pictures):
    """Neighbouring pixels of two colours, the mean of some pictures."""
    white = (pictures > 0).long()
    return sum(white.diff(dim=d).abs().sum().item()
               for d in (1, 2)) / len(pictures)


eights = pools[8]
cheap = eights[model.bits(eights, labels=[8] * 64).argsort()[:8]]
pl.figures.grid(torch.cat([cheap, kept[8]]), columns=8, size=0.75,
                row_titles=["fewest bits ", "reranker "])
plt.show()
print("edges of the cheap ones, of all, of the reranker's:",
      [round(edges(some)) for some in (cheap, eights, kept[8])])
assert edges(cheap) < edges(eights)

# %% [markdown]
# Cheap digits have few edges: smooth, narrow, or filled without a hole. Every
# edge costs bits. "Likely" and "good" are different things. A likely digit is
# one without surprises, and the likeliest picture of all says little.

# %% [markdown]
# ### Exercise 4.3: How much choice is enough?
#
# Keep eight of 8, 16, 32 and 64, of all ten classes. How do the judge's
# agreement and the distance to the nearest change? Is there a number from
# which on you only lose?

# %% [markdown] jp-MarkdownHeadingCollapsed=true
# #### Solution of exercise 4.3

# %% cellView="form" jupyter={"source_hidden": true}
# @title Solution { display-mode: "form" }
right = verdict.argmax(dim=2) == asked
for drawn in (8, 16, 32, 64):
    first = scores[:, :drawn].argsort(dim=1, descending=True,
                                      stable=True)[:, :8]
    agreed = right[asked, first]
    apart = np.mean([spread_of(one) for one in pools[asked, first]])
    print(f"8 of {drawn}: {100 * agreed.double().mean():.0f} % read as "
          f"asked, nearest at {apart:.2f}")

# %% [markdown]
# The failures are gone soon: two draws for each one that is kept do most of
# the work. After that the judge has little left to praise, and the
# kept ones go on becoming more alike.

# %% [markdown]
# ### Exercise 4.4: Draw by typing
#
# Type a picture: 30 lines of five characters. `:` is paper, `y` ink. What
# would a T look like? How many bits does the network charge for it, without a
# class, and how many for digits? And which digit does the reranker see?

# %% [markdown] jp-MarkdownHeadingCollapsed=true
# #### Solution of exercise 4.4

# %% cellView="form" jupyter={"source_hidden": true} mystnb={"image": {"alt": "Left: a capital letter T in blocks, white on black. Right: its bits symbol by symbol, high where the bar begins and ends, and highest where the stem stops."}}
# @title Solution { display-mode: "form" }
typed = 6 * ":::::" + 4 * ":yyy:" + 14 * "::y::" + 6 * ":::::"
letter, _ = as_numbers("0" + typed + ")")  # (150,); the class is not used
picture = unpack(letter[None])
letter_bits = model.token_bits(picture)[0]  # no class: the null class
digit_bits = model.bits(x_valid[::40]).mean().item()
print(f"the letter: {letter_bits.sum():.0f} bits, a digit on average: "
      f"{digit_bits:.0f}")
print("the reranker reads:", reranker.read(picture).item())
figure, axes = plt.subplots(1, 2, figsize=(4.6, 2.2))
axes[0].imshow(picture[0])
axes[1].imshow(letter_bits.view(30, 5), cmap="inferno", aspect=1 / 6)
for axis in axes:
    axis.axis("off")
plt.show()

# %% [markdown]
# The rows that repeat are nearly free. The bits are where the bar begins,
# where it ends on both sides at once, and where the stem stops: no pen makes
# such corners. And the reader says a digit, since it knows nothing else. A
# score is a choice among ten, not a test for being a digit at all.

# %% [markdown]
# ## What to remember
#
# - A token may be more than a pixel. With six pixels a token there are 150
#   steps instead of 784, for the same kind of network.
# - A lossy step (levels, size) stands before a lossless one (packing). Bits
#   after the first describe another picture.
# - In a text of a picture, the neighbour above is a row away. Which neighbours
#   a model is told decides more than how many.
# - What must not be written can be made impossible: by a mask, or better by a
#   vocabulary that cannot say it.
# - Choosing among many draws makes samples clean and alike. Who chooses must
#   not grade.
#
# The 64 symbols were our decision. Most of them hardly ever occur, and none
# can say grey. Six pixels in a row is not what pen strokes are made of. What
# if the vocabulary itself were learned from pictures? That is the next
# question: [chapter 5](05_patches.ipynb).
#
# ## Further reading
#
# - [Shannon (1948)](../book/bibliography.md#shannon1948) draws English letter
#   by letter and word by word;
#   [Shannon (1951)](../book/bibliography.md#shannon1951) measures what a
#   reader knows of the next letter.
# - [Witten and Bell (1991)](../book/bibliography.md#witten1991) on what to
#   expect from a context never seen;
#   [Chen and Goodman (1999)](../book/bibliography.md#chen1999) compare the
#   ways of mixing long and short contexts.
# - [Willard and Louf (2023)](../book/bibliography.md#willard2023) keep a
#   language model inside a grammar, by masks that are computed beforehand.
# - [Razavi et al. (2019)](../book/bibliography.md#razavi2019) let a classifier
#   reject samples, and so trade diversity for quality;
#   [Ramesh et al. (2021)](../book/bibliography.md#ramesh2021) choose among 512
#   pictures for a text.
# - [Gao et al. (2023)](../book/bibliography.md#gao2023) measure how far one
#   can follow a scorer before its praise and the truth part.
