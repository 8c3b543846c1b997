# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Symbols: a picture as a text
#
# Chapters 2 and 3 drew a digit in 784 steps, one for each pixel. Most of the
# steps drew paper next to paper. The guesser was not to blame: it was asked
# 784 times, so it answered 784 times.
#
# Nobody reads a book letter by letter either. So this chapter leaves the
# guesser of chapter 3 as it is and changes the question: what if a
# {term}`token` were more than a pixel?
#
# Here a token is **six black-and-white pixels in a row**. There are
# $2^6 = 64$ such strips, about as many as there are letters and digits on a
# keyboard, so each gets a printable character. A digit becomes a line of
# text, a data set becomes a text file, and everything that is known about
# texts can be tried on pictures.

# %%
try:
    import pixellab as pl
except ImportError:  # in Colab: install the package once
    import subprocess
    import sys
    subprocess.run([sys.executable, "-m", "pip", "install", "-q",
                    "git+https://github.com/OWNER/pixel-by-pixel"], check=True)
    import pixellab as pl

# %% [markdown]
# The tools, and the dial that says how much will be computed:

# %%
import math
import tempfile
import textwrap
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from einops import rearrange
from PIL import Image

from pixellab.tokenizers.symbols import Symbols

pl.figures.style()
scale = pl.scale(quick="a minute", colab="3 minutes", release="20 minutes")
x_train, y_train = pl.data.mnist("train")
x_valid, y_valid = pl.data.mnist("valid")

# %% [markdown]
# What will it look like? The package has a tokenizer for it. We shall write
# our own in a minute; here is one of its texts, cut into lines of five
# characters, since five strips are one row of 30 pixels.

# %% mystnb={"image": {"alt": "Left: a black-and-white handwritten digit of 30 by 30 pixels, cut by thin lines into strips of six pixels. Right: its text in 30 lines of five characters, at the same heights. A 2 for the class stands above, a closing bracket below. One row of pixels and the line of text for it are framed in orange."}}
tokenizer, which = Symbols(), 450
tokens = tokenizer.encode(x_valid[which:which + 1])  # (1, 150)
text = tokenizer.to_text(tokens[0], y_valid[which])
figure, axes = plt.subplots(1, 2, figsize=(6.6, 5), width_ratios=[3, 1.2])
axes[0].imshow(tokenizer.decode(tokens)[0])
for cut in range(1, 5):
    axes[0].plot([6 * cut - 0.5] * 2, [-0.5, 29.5],
                 color=pl.figures.BLUE, lw=0.8)
lines = [text[0], *textwrap.wrap(text[1:-1], 5), text[-1]]
for row, line in enumerate(lines, start=-1):
    for column, character in enumerate(line):
        axes[1].text(column, row, character, family="monospace", fontsize=9,
                     ha="center", va="center")
axes[1].set(xlim=(-1, 5), ylim=(30.5, -1.6))
axes[0].set(ylim=(30.5, -1.6))
for axis, left, width in ((axes[0], -0.5, 30), (axes[1], -0.6, 5.2)):
    axis.add_patch(plt.Rectangle((left, 10.5), width, 1, fill=False, lw=2,
                                 color=pl.figures.ORANGE))
    axis.axis("off")
for row, note in ((-1, "the class"), (30, "the end")):
    axes[1].text(0.8, row, note, va="center", color=pl.figures.GREY,
                 fontsize=9)
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
# 30 x 30 pixels of 28 x 28, each new one a mean of its neighbours (bilinear).
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
grey = torch.from_numpy(np.stack([enlarge(x_valid[which])]))  # (1, 30, 30)
numbers = pack(grey)
assert torch.equal(numbers, tokens)  # as the package has it
figure, axes = plt.subplots(1, 3, figsize=(7, 2.6))
for axis, (name, image) in zip(axes, {
        "28 x 28, 256 levels": x_valid[which],
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
print("same:", as_text(tokens[0].tolist(), int(y_valid[which])) == text)

# %% [markdown]
# Paper is `:`, the first of them. Ink, six pixels of it, is `y`, the last. The
# ten digits and the bracket have codes below 58, so no symbol can be mistaken
# for a class or for the end.
#
# ### Somebody else's text
#
# Is this reading of the idea the right one? An earlier public project writes
# the first three training images of MNIST {cite}`lecun1998`, a 5, a 0 and a 4,
# like this:

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
with tempfile.TemporaryDirectory() as folder:
    path = Path(folder) / "digits.txt"
    tokenizer.write(path, tokens_train[:5000], y_train[:5000])
    size = path.stat().st_size
    some_lines = path.read_text().splitlines()[:1200:300]
    read_tokens, read_labels = tokenizer.read(path)
assert torch.equal(read_tokens, tokens_train[:5000])
assert torch.equal(read_labels, y_train[:5000])
print(f"{len(read_tokens)} digits, {size / len(read_tokens):.0f} bytes each")

# %% [markdown]
# A few lines, from the middle of the digits to their end:

# %%
for line in some_lines:
    print(line[0], "...", line[76:])

# %% [markdown]
# A text file can be edited, so it can be damaged. Which of the 152 characters
# is wrong? A reader that only says "bad file" leaves you counting. This one
# counts itself:

# %%
good = reference[0]
for bad in (good[:70] + "9" + good[71:], good[:100], good[1:]):
    try:
        tokenizer.from_text(bad)
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

# %% mystnb={"image": {"alt": "Above, twelve strips of six pixels with their characters, the most frequent symbols: plain paper first, then solid ink and strips with one run of ink. Below, a bar for each of the 64 symbols by rank on a logarithmic axis; the shares fall over several orders of magnitude."}}
figure = plt.figure(figsize=(7.5, 3.4))
axis = figure.add_axes([0.1, 0.15, 0.88, 0.6])
axis.bar(range(1, 65), 100 * share[ranked].clamp(min=1e-9))
axis.set(yscale="log", xlabel="rank", ylabel="% of all symbols",
         xlim=(0, 65), ylim=(1e-5, 150))
for rank, symbol in enumerate(ranked[:12].tolist()):
    strip = figure.add_axes([0.1 + 0.074 * rank, 0.88, 0.062, 0.05])
    strip.imshow([[symbol // bit % 2 for bit in (32, 16, 8, 4, 2, 1)]],
                 vmin=0, vmax=1)
    strip.set(xticks=[], yticks=[])
    strip.spines[:].set_visible(True)
    strip.set_title(chr(58 + symbol), family="monospace", fontsize=11)
plt.show()

# %% tags=["remove-cell"]
pl.glue("symbols_paper", f"{100 * share[0]:.0f}")
pl.glue("symbols_entropy", f"{entropy:.2f}")
pl.glue("symbols_independent", f"{independent:.0f}")
rare = int((share < 1e-4).sum())
pl.glue("symbols_rare", rare)

# %% [markdown]
# Paper, {glue:text}`symbols_paper` % of the text, is its blank. Then come
# strips with one run of ink. Strips with holes, such as ink, paper, ink, are
# rare: a pen seldom leaves two lines within six pixels.
# {glue:text}`symbols_rare` of the 64 make up less than a ten-thousandth each.
#
# That is already worth something. Raw, a digit is 900 pixels of one
# {term}`bit`. With a code that gives short words to frequent symbols
# {cite}`shannon1948`, a symbol costs its {term}`entropy`,
# {glue:text}`symbols_entropy` bits on average, and a digit
# {glue:text}`symbols_independent`: 150 symbols, each guessed as if it stood
# alone. (MNIST, 30 x 30, rounded, as everything in this chapter.)
#
# ## Guessing the next symbol
#
# Symbols do not stand alone. How far can one guess the next symbol from those
# before it, by nothing but counting? That is the oldest of language models:
# Shannon drew English from it in 1948, and three years later let people guess
# the next letter of a text to see how little news a letter is
# {cite}`shannon1948,shannon1951`.
#
# The {term}`context` of order $n$ is the last $n$ symbols; counting what
# follows it gives an **{term}`n-gram model <n-gram>`**. Chapter 1 counted in
# tables with a cell for everything that could occur. With five symbols of
# context these would be $64^6$ cells, about 69 thousand million. So we write
# down only what did occur: a context is one whole number, its symbols the
# digits of it, and a sorted list of the numbers with their counts is the
# whole model.

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
# {cite}`witten1991` mix the two with weights that the counts themselves give.
# If a context $h$ was seen $n$ times and $k$ *different* symbols came after
# it, then
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

# %% mystnb={"image": {"alt": "Bits a digit against the number of earlier symbols, 0 to 5. Both curves on new digits fall slowly from about 300 bits up to order 4 and then drop steeply at order 5. A dashed curve, on digits that were counted, is lower at order 5."}}
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
    assert curve[4] - curve[5] > 25 and by_heart[5] < curve[5]

# %% tags=["remove-cell"]
pl.glue("symbols_order0", f"{curves['told the class'][0]:.0f}")
for order in (4, 5):
    pl.glue(f"symbols_text{order}", f"{curves['told the class'][order]:.0f}")
    pl.glue(f"symbols_plain{order}", f"{curves['plain text'][order]:.0f}")
pl.glue("symbols_by_heart", f"{by_heart[5]:.0f}")
heads = len(text_model.tables[5][2])
pl.glue("symbols_heads", f"{heads:,}")

# %% [markdown]
# Four symbols bring a digit to {glue:text}`symbols_text4` bits. The fifth
# brings it to {glue:text}`symbols_text5`. What does order 5 see that order 4
# does not? **Five symbols are one row.** The fifth symbol back is the one
# *straight above*. A model of texts, which knows nothing of pictures, gains
# most from the one symbol that is far away in the text and near in the
# picture.
#
# Being told the class helps while contexts are short, and no longer at order
# 5, where the plain text needs {glue:text}`symbols_plain5` bits. It makes ten
# tables of one: each has a tenth of the digits to learn from, and
# {glue:text}`symbols_heads` contexts share the counts. On its own training
# digits the same model claims {glue:text}`symbols_by_heart` bits. That number
# is worth nothing: they were learned by heart.
#
# ### Better neighbours
#
# If the symbol above is worth so much, why carry the three between? A context
# need not be a stretch of text. Five symbols again, but chosen as a picture
# would choose them: above, left, two rows above, and above to the right and
# to the left.

# %% mystnb={"image": {"alt": "Two pieces of a picture, rows of five strips of six pixels. Left: the next strip in orange and, in blue, the five strips before it in reading order, numbered 1 to 5; only the fifth touches it from above. Right: five blue strips around the orange one, numbered 1 above, 2 left, 3 two rows above, 4 above to the right, 5 above to the left."}}
picture_back = (5, 1, 10, 4, 6)
figure, axes = plt.subplots(1, 2, figsize=(7.5, 1.6))
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

# %% tags=["remove-cell"]
pl.glue("symbols_above", f"{curves['picture'][1]:.0f}")
pl.glue("symbols_counted", f"{counted:.1f}")
pl.glue("symbols_best_order", best_order)
pl.glue("symbols_untold", f"{min(curves['picture, not told']):.1f}")
pl.glue("symbols_counted_last", f"{curves['picture'][-1]:.1f}")

# %% [markdown]
# The symbol above, alone, is worth more than four symbols to the left:
# {glue:text}`symbols_above` bits. Best are {glue:text}`symbols_best_order`
# neighbours, {glue:text}`symbols_counted` bits a digit. One more, and most
# contexts are new ({glue:text}`symbols_counted_last`). Here being told the
# class pays (without it {glue:text}`symbols_untold`), and the networks below
# are told it too, so this is the number that they will have to beat.
#
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
# That is **constrained decoding**: a {term}`logit` of $-\infty$ is a
# probability of zero, and what has probability zero is never drawn. The
# guesser need not agree. It is not asked.

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
        tokenizer.from_text(text)
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
texts, valid_share = {}, {}
for name, guess in {"random": random_guess, "counted": counted_guess}.items():
    for rule in (False, True):
        texts[name, rule] = write_lines(guess, 200, rule=rule)
        good = sum(map(is_picture, texts[name, rule]))
        valid_share[name, rule] = good
        print(f"{name:8s}{'with' if rule else 'without'} the rule: "
              f"{good} of 200")
assert valid_share["random", True] == valid_share["counted", True] == 200
assert valid_share["counted", False] < 100 > valid_share["random", False]

# %% tags=["remove-cell"]
lengths = sorted(len(text) for text in texts["counted", False])
pl.glue("symbols_free", valid_share["counted", False])
pl.glue("symbols_free_random", valid_share["random", False])
pl.glue("symbols_free_shortest", lengths[0])
pl.glue("symbols_free_median", lengths[100])
wrong = sum(character in "0123456789" for text in texts["counted", False]
            for character in text[1:])
pl.glue("symbols_free_wrong", wrong)

# %% [markdown]
# With the rule all are, even from random logits. Without it
# {glue:text}`symbols_free` of 200 from the counts, and
# {glue:text}`symbols_free_random` from random logits. The counts know well
# which character follows which: in the 200 texts {glue:text}`symbols_free_wrong`
# digits stand where a symbol should. What they do not know is *when to stop*.
# The text must end after 150 symbols, not one sooner or later, and a memory of
# five cannot count rows of paper: the shortest text has
# {glue:text}`symbols_free_shortest` characters, half of them have at most
# {glue:text}`symbols_free_median`.
#
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
rows = {"random ": torch.stack([as_numbers(text)[0]
                                for text in texts["random", True][:10]]),
        "text ": draw_counted(text_model, ten, order=5),
        "picture ": draw_counted(picture_model, ten, order=best_order)}
pl.figures.grid(unpack(torch.cat(list(rows.values()))), columns=10,
                row_titles=list(rows), titles=list("0123456789"))
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
