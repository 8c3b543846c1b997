# %% [markdown]
# # Prediction is compression

# %% [markdown] tags=["remove-cell"]
# *Takes half a minute on one core of a laptop, two minutes on a Colab GPU. The same
# [as a page](https://OWNER.github.io/pixel-by-pixel/chapters/01_bits.html),
# with sliders that need no kernel.*

# %% [markdown]
# A file format for handwritten digits, one paragraph long: *sender and
# receiver agree on a rule that guesses the next pixel. The sender writes down
# only how far reality differs from the guess.* The better the guesses, the
# smaller the file.
#
# This chapter takes the paragraph at its word. We build guessers that only
# count, no network yet. We measure them in bits. Then we write a coder that
# turns their guesses into real bytes, and the bytes back into the digit, and
# race it against PNG, WebP, zlib and xz.
#
# At the end you will know what every number in this book means: what a bit
# of surprise is, why fewer bits make both a smaller file and a better
# generator, and which bits may stand in one column.

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
import numpy as np
import matplotlib.pyplot as plt

pl.figures.style()
scale = pl.scale(quick="half a minute", colab="two minutes",
                 release="several minutes")

# %% [markdown]
# ## A guessing game
#
# MNIST has handwritten digits of 28 x 28 pixels
# ([LeCun et al., 1998](../book/bibliography.md#lecun1998)). A pixel is a grey
# value from 0 (background) to 255 (full ink). We count on the *training*
# digits and measure on the *validation* digits, which no model here has seen.

# %%
train = pl.data.mnist("train")[0].numpy()  # (N, 28, 28), 0 to 255
valid, valid_labels = (part.numpy() for part in pl.data.mnist("valid"))
digit = valid[400]  # a 2: our guinea pig in this chapter
print(valid.shape, valid.dtype)

# %% [markdown]
# Now play. A digit is uncovered in reading order: left to right, top to
# bottom. Light blue is still hidden. The orange pixel is next. Which grey
# value has it? Make a guess for each picture before you read on.

# %% mystnb={"image": {"alt": "The same digit 2 three times, uncovered in reading order down to a different pixel each time. The rest is light blue, the next pixel orange. Left: empty background so far, the next pixel lies far from everything. Middle: inside the stroke. Right: at the grey rim below a stroke."}}
game = {"a": (4, 6), "b": (10, 19), "c": (18, 19)}  # row, column


def uncovered(image, row, column):
    """The pixels before (row, column); it is orange, the rest blue."""
    picture = pl.images.to_array(image[None])[0].copy()  # (28, 28, 3)
    picture[row, column:] = picture[row + 1:] = pl.figures.NOT_YET
    picture[row, column] = (217, 115, 13)
    return picture


figure, axes = plt.subplots(1, 3, figsize=(8, 2.9))
for axis, (name, place) in zip(axes, game.items()):
    axis.imshow(uncovered(digit, *place))
    axis.set_title(f"pixel {name}")
    axis.set_axis_off()
plt.show()

# %% [markdown]
# You did not answer with one number each time, if you were honest. You had
# *beliefs*: "almost surely black", "bright, 253 or so", "could be anything".
# A model does the same. For the next pixel it gives a probability to each of
# the 256 values. We will come back to these three pixels with a model in
# hand.
#
# ## What is a bit?
#
# A **[bit](../book/glossary.md#bit)** is one yes-or-no answer. Among 8 equally
# likely values, three answers find the right one: $\log_2 8 = 3$ bits. A value
# of probability $p$ is as surprising as one of $1/p$ equally likely ones. So
# it costs
#
# $$
# \text{surprise} = \log_2 \frac{1}{p} = -\log_2 p \quad \text{bits.}
# $$
#
# How does this price behave?

# %% mystnb={"image": {"alt": "The curve of minus log two of p for p from 0 to 1. It falls steeply from above 8 bits at p near 0 to 0 bits at p = 1. Marked points: one in 256 costs 8 bits, one quarter 2 bits, one half 1 bit, 0.99 about nothing."}}
figure, axis = plt.subplots(figsize=(6, 2.8))
p = np.linspace(0.002, 1, 500)
axis.plot(p, -np.log2(p))
for chance, words in ((1 / 256, "1 in 256: "), (1 / 4, "1 in 4: "),
                      (1 / 2, "a coin: "), (0.99, "almost sure: ")):
    cost = -np.log2(chance)
    axis.plot(chance, cost, "o", color=pl.figures.ORANGE)
    axis.annotate(f"{words}{cost:.3g}", (chance, cost),
                  xytext=(6, 24) if chance > 0.9 else (6, 6), ha="left"
                  if chance < 0.9 else "right", textcoords="offset points")
axis.set(xlabel="probability p that the model gave to what came",
         ylabel="cost in bits", xlim=(-0.02, 1.02), ylim=(-0.3, 9))
plt.show()

# %% [markdown]
# Certainty is free, a coin costs one bit, and a pixel about which you know
# nothing costs 8. Surprises get dear quickly, and a value that you called
# impossible ($p = 0$) costs infinitely many bits: no file of finite length
# could then hold it. Probabilities multiply, so costs *add*. That is why the
# logarithm is there.
#
# ## Entropy, and the price of a wrong belief
#
# Suppose values really come with probabilities $q$, and the model believes
# $p$. The average cost is the
# **[cross-entropy](../book/glossary.md#cross-entropy)**
#
# $$
# H(q, p) = -\sum_v q(v) \log_2 p(v).
# $$
#
# Which belief makes it smallest? Let us try all of them on a simple question:
# is a pixel ink (not 0)?

# %% mystnb={"image": {"alt": "Average cost in bits against the believed probability of ink. A curve like a bowl: its lowest point lies exactly where the belief equals the true share of ink, and the height there is the entropy, marked by a dotted line. An arrow shows the extra cost of believing 0.8."}}
ink = (train[::10] > 0).mean()  # q: the true share of ink
belief = np.linspace(0.01, 0.99, 981)  # p: every possible belief
cost = -ink * np.log2(belief) - (1 - ink) * np.log2(1 - belief)
entropy = -ink * np.log2(ink) - (1 - ink) * np.log2(1 - ink)
assert abs(cost.min() - entropy) < 1e-4  # the best belief is the truth
assert abs(belief[cost.argmin()] - ink) < 2e-3

figure, axis = plt.subplots(figsize=(6, 2.8))
axis.plot(belief, cost)
axis.axhline(entropy, ls=":", color=pl.figures.GREY)
axis.plot(ink, entropy, "o", color=pl.figures.ORANGE)
axis.annotate("believe the truth:\npay the entropy", (ink, entropy), (0.12, 2),
              arrowprops={"arrowstyle": "-", "color": pl.figures.GREY})
wrong = np.searchsorted(belief, 0.8)
axis.annotate("", (0.8, entropy), (0.8, cost[wrong]),
              arrowprops={"arrowstyle": "<->"})
axis.text(0.82, 1.1, "extra cost of\nbelieving 0.8", va="center")
axis.set(xlabel="believed probability of ink", ylabel="bits a pixel",
         xlim=(-0.03, 1.12), ylim=(0, 3))
plt.show()

# %% [markdown]
# The best belief is the truth. Its cost $H(q) = H(q, q)$ is the
# **[entropy](../book/glossary.md#entropy)**: no belief, hence no code, is
# cheaper on average. Everything above it is waste, called the
# [KL divergence](../book/glossary.md#kl-divergence). So *lowering the
# cross-entropy* and *learning how the data really are* are the same thing
# ([Shannon, 1948](../book/bibliography.md#shannon1948);
# [MacKay, 2003](../book/bibliography.md#mackay2003)). Every network in this
# book is trained by lowering exactly this number.
#
# ## The chain rule
#
# A whole digit has 784 pixels and $256^{784}$ possible values. No histogram
# holds that. But any probability of a whole splits into steps:
#
# $$
# p(x_1, \dots, x_{784}) = \prod_i p(x_i \mid x_1, \dots, x_{i-1})
# \quad\Longrightarrow\quad
# -\log_2 p(x) = \sum_i -\log_2 p(x_i \mid x_{<i}).
# $$
#
# This is the [chain rule](../book/glossary.md#chain-rule), and it is no
# approximation. Is that so? Take pairs of neighbouring pixels, each cut to
# four levels, and compare the cost of the pair with the two costs, one after
# the other.

# %%
few = train[::10]
pairs = np.stack([few[:, :, :-1], few[:, :, 1:]]).reshape(2, -1) // 64
joint = np.bincount(pairs[0] * 4 + pairs[1], minlength=16).reshape(4, 4)
joint = joint / joint.sum()  # (4, 4): left, right


def entropy_of(probabilities):
    """-sum p log2 p, in bits; impossible values cost nothing."""
    p = probabilities[probabilities > 0]
    return -(p * np.log2(p)).sum()


left, right = joint.sum(axis=1), joint.sum(axis=0)
right_given_left = sum(share * entropy_of(row / share)
                       for share, row in zip(left, joint))
both = entropy_of(joint.ravel())
assert np.isclose(both, entropy_of(left) + right_given_left)  # chain rule

# %% cellView="form" jupyter={"source_hidden": true} tags=["remove-input"]
# @title { display-mode: "form" }
pl.say(rf"""
The assert holds: cost of the pair = cost of the left one + cost of the right
one *given* the left one. And look what the context is worth. Alone, the
right pixel costs {entropy_of(right):.2f} bits; once its left neighbour is
known, {right_given_left:.2f} bits. **All compression in this book is that
difference.**
""")

# %% [markdown]
# ## Two models that hardly look
#
# The simplest model knows nothing: every value has probability $1/256$.
# It costs 8 bits a pixel, 784 bytes a digit.
#
# The next one keeps a histogram for each of the 784 positions. Corners are
# always black, the middle can be anything. But what if a value never occurred
# in training at some position? Probability 0 would cost infinitely many bits.
# So we add a little belief in everything: the histogram is mixed with the
# model we had before.
#
# $$
# p(v \mid \text{context}) =
# \frac{\text{count}(v, \text{context}) + s \cdot p_\text{before}(v)}
#      {\text{count}(\text{context}) + s}
# $$
#
# With few counts the older belief rules, with many the counts do. The
# strength $s$ says how many counts the older belief is worth. This is called
# **backing off**. The next class does it for any list of contexts, so that
# all models of this chapter are one piece of code.

# %%
class CountingModel:
    """Counts values after contexts; backs off along the list of them."""

    def __init__(self, contexts, levels=256, strength=100):
        self.contexts, self.levels = contexts, levels
        self.strength, self.tables = strength, [0] * len(contexts)

    def fit(self, images):
        """Count; may be called again with more images (N, 28, 28)."""
        for part in np.split(images, range(1000, len(images), 1000)):
            values = part.reshape(-1) // (256 // self.levels)  # (N * 784,)
            for i, context in enumerate(self.contexts):
                number, size = context(part)  # (N, 784)
                pairs = number.reshape(-1) * self.levels + values
                counts = np.bincount(pairs, minlength=size * self.levels)
                self.tables[i] += counts.reshape(size, self.levels)
        self.totals = [table.sum(axis=1) for table in self.tables]
        return self


def position(images):
    """The context that is only the place: 0 to 783, so 784 of them."""
    return np.broadcast_to(np.arange(784), (len(images), 784)), 784

# %% [markdown]
# A context is a function: it gives every pixel a whole number, and says how
# many numbers there can be. How do the counts become probabilities? By the
# formula above, once for each table in the list.

# %%
def predict(model, images, values, pixels=slice(None)):
    """p(value | contexts), of values (N or 1, pixels or 1, V), same shape."""
    count = len(range(784)[pixels])
    p = np.full((len(images), count, values.shape[2]), 1 / model.levels)
    for context, table, total in zip(model.contexts, model.tables,
                                     model.totals):
        number = context(images)[0][:, pixels, None]  # (N, pixels, 1)
        p = ((table[number, values] + model.strength * p)
             / (total[number] + model.strength))
    return p  # (N, pixels, V)


def beliefs(model, images, pixels=slice(None)):
    """The probability of every value: (N, pixels, levels)."""
    values = np.arange(model.levels).reshape(1, 1, -1)
    return predict(model, images, values, pixels)


def bits(model, images):
    """What every pixel costs, its own value given: (N, 784)."""
    values = images.reshape(-1, 784, 1) // (256 // model.levels)
    return -np.log2(predict(model, images, values)[..., 0])

# %% [markdown]
# Is the model honest: do its probabilities sum to 1? And where in the picture
# are the expensive pixels?

# %% mystnb={"image": {"alt": "Two maps of 28 by 28 pixels. Left: the average training digit, a soft blob. Right: the average cost of each position in bits under the independent model: almost zero at the border, about five bits in the middle."}}
uniform = CountingModel([]).fit(train)
independent = CountingModel([position]).fit(train)
assert np.allclose(beliefs(independent, valid[:2]).sum(axis=-1), 1)
assert np.allclose(bits(uniform, valid[:2]), 8)

figure, axes = plt.subplots(1, 2, figsize=(6.4, 2.7), layout="constrained")
axes[0].imshow(train.mean(axis=0))
axes[0].set_title("mean digit")
shown = axes[1].imshow(bits(independent, valid).mean(0).reshape(28, 28),
                       cmap="magma")
axes[1].set_title("cost of a position")
figure.colorbar(shown, ax=axes, label="bits")
for axis in axes:
    axis.set_axis_off()
plt.show()

# %% cellView="form" jupyter={"source_hidden": true} tags=["remove-input"]
# @title { display-mode: "form" }
pl.say(rf"""
Knowing the position alone brings the cost from 8 to
{bits(independent, valid).mean():.2f} bits a pixel (validation digits, 256
levels). What is left sits in the middle, where digits differ.
""")

# %% [markdown]
# ## Looking at neighbours
#
# The chain rule allows a model to look at everything before the pixel. A
# table cannot: with just two neighbours of 256 greys there are 65,536
# contexts, with six $2.8 \cdot 10^{14}$, and most would never be counted. Two
# tricks help. We look at few pixels, and we cut their greys into bins.
#
# Where to cut? Let us look at the greys first.

# %% mystnb={"image": {"alt": "Left: how often each grey from 1 to 255 occurs among ink pixels of the training digits, on a logarithmic axis; a flat floor and a tall peak at 252 to 255. Right: rows 10 to 17 of a validation digit as numbers on their greys; within a row the brightest pixels share one value, 253 in one row, 254 in another."}}
figure, axes = plt.subplots(1, 2, figsize=(8.4, 2.9), width_ratios=(1, 1.5))
greys = independent.tables[0].sum(axis=0)  # (256,): all positions
axes[0].semilogy(np.arange(1, 256), greys[1:] / greys.sum())
axes[0].set(xlabel="grey value (0 left out)", ylabel="share of all pixels")
crop = valid[5, 10:18, 8:22]
axes[1].imshow(crop, aspect="auto")
for (row, column), grey in np.ndenumerate(crop):
    axes[1].text(column, row, grey, ha="center", va="center", fontsize=7.5,
                 color="black" if grey > 110 else "white")
axes[1].set_title("part of a digit, in numbers")
axes[1].set_axis_off()
plt.show()

# %% cellView="form" jupyter={"source_hidden": true} tags=["remove-input"]
# @title { display-mode: "form" }
pl.say(rf"""
{100 * greys[0] / greys.sum():.0f} % of all pixels are 0, and
{100 * greys[252:].sum() / greys[1:].sum():.0f} % of the ink is 252 to 255.
But *which* of the four is no accident: in the right picture one row has its
white at 253 and another at 254. So the cuts should keep these apart, and may
be coarse in between. Neighbours close by get eight bins, those farther off
four.
""")

# %%
FINE = np.array([1, 40, 120, 200, 252, 253, 254])  # where a bin begins
COARSE = np.array([1, 128, 253])
W, N, NW, NE, WW, NN = (0, 1), (1, 0), (1, 1), (1, -1), (0, 2), (2, 0)


def neighbours(cuts):
    """A context from {(rows up, columns left): cuts of the grey there}."""
    def context(images):
        padded = np.pad(images, ((0, 0), (4, 4), (4, 4)))
        number, size = 0, 1
        for (up, left), edges in cuts.items():
            bin_of = np.digitize(np.arange(256), edges)  # grey -> bin
            grey = padded[:, 4 - up:32 - up, 4 - left:32 - left]
            number = number * (len(edges) + 1) + bin_of[grey]
            size *= len(edges) + 1
        return number.reshape(-1, 784), size  # (N, 784)
    return context


two = neighbours({W: FINE, N: FINE})
four = neighbours({W: FINE, N: FINE, NW: FINE, NE: FINE})
six = neighbours({W: FINE, N: FINE, NW: COARSE, NE: COARSE, WW: COARSE,
                  NN: COARSE})

# %% [markdown]
# A wrong sign in one offset, and a context would see the very pixel it is to
# predict. The cost would be wonderful, and no file could ever be decoded. So
# before we count: does the context of a pixel depend on pixels that come
# later? Change all pixels from some place on, and see which contexts notice.

# %% mystnb={"image": {"alt": "Left: the six neighbours W, N, NW, NE, WW and NN around the orange pixel that is predicted; later pixels are light blue. Right: map of the pixels whose context changes when the later half of the image is replaced by noise: only pixels after the border."}}
random = np.random.default_rng(0)
noise = random.integers(0, 256, (200, 28, 28), dtype=np.uint8)
other = noise.copy()
start = 14 * 28 + 9  # the first pixel that differs
other.reshape(-1, 784)[:, start:] = 255 - noise.reshape(-1, 784)[:, start:]
notices = (six(noise)[0] != six(other)[0]).any(axis=0)  # (784,)
assert not notices[:start + 1].any() and notices[start + 1:].any()

picture = np.full((4, 5, 3), pl.figures.NOT_YET, np.uint8)
picture[:2] = picture[2, :2] = 225
picture[2, 2] = (217, 115, 13)
figure, axes = plt.subplots(1, 2, figsize=(6.4, 2.6))
axes[0].imshow(picture)
for name, (up, left) in zip(("W", "N", "NW", "NE", "WW", "NN"),
                            (W, N, NW, NE, WW, NN)):
    axes[0].text(2 - left, 2 - up, name, ha="center", va="center")
axes[1].imshow(notices.reshape(28, 28), cmap="Blues", vmin=-0.2, vmax=1.5)
for axis, title in zip(axes, ("the six neighbours", "contexts that notice")):
    axis.set_title(title)
    axis.set_axis_off()
plt.show()

# %% [markdown]
# Not even the pixel `start` itself notices: its context ends just before it.
# That property is called **[causal](../book/glossary.md#causal)**, and we will
# test it on every network to come.
#
# Now count. Each model backs off to the one before it: six neighbours to
# four, four to two, two to the position. They share their tables, so one
# round of counting serves all.

# %%
def part_of(model, which):
    """The same counts, but only some of the tables (a slice)."""
    part = CountingModel(model.contexts[which], model.levels, model.strength)
    part.tables, part.totals = model.tables[which], model.totals[which]
    return part


best = CountingModel([position, two, four, six]).fit(train)
models = {"uniform": uniform, "independent": independent,
          "2 neighbours": part_of(best, slice(2)),
          "4 neighbours": part_of(best, slice(3)), "6 neighbours": best}
results = {name: bits(model, valid).mean() for name, model in models.items()}
assert 8 == results["uniform"] > results["independent"] > 1.5
assert results["independent"] - results["2 neighbours"] > 0.3
assert results["2 neighbours"] - results["6 neighbours"] > 0.1

# %% mystnb={"image": {"alt": "Bar chart of bits a pixel on validation digits: by far the longest bar is uniform; independent pixels need about a fifth of it; then two, four and six neighbours, each a little shorter."}}
figure, axis = plt.subplots(figsize=(6.4, 2.4))
shown = axis.barh(list(results), list(results.values()), height=0.65,
                  color=[pl.figures.GREY] * 2 + [pl.figures.BLUE] * 3)
axis.bar_label(shown, fmt=" %.2f")
axis.invert_yaxis()
axis.set(xlabel="bits a pixel: MNIST validation, 256 levels", xlim=(0, 8.8))
plt.show()

# %% cellView="form" jupyter={"source_hidden": true} tags=["remove-input"]
# @title { display-mode: "form" }
rows = "\n".join(f"| {name} | {bits:.2f} | {bits * 784 / 8:.0f} |"
                 for name, bits in results.items())
pl.say(rf"""
| model (256-level MNIST, validation) | bits a pixel | bytes a digit |
|---|---|---|
{rows}

Six neighbours, and nothing but counting: {results['6 neighbours']:.2f} bits
a pixel. (The bins and the strength $s$ were chosen by looking at validation
digits. Nothing in this book is chosen on the test digits.)
""")

# %% [markdown]
# ## The game again
#
# What would the model have answered? Here are its beliefs about the three
# pixels of the beginning, and the truth.

# %% mystnb={"image": {"alt": "Three columns for the pixels a, b and c. Above: the uncovered digit. Below: the model's probability of each grey, with the true value marked in orange. For a all belief is on 0 and the cost is nearly nothing; for b most belief is between 252 and 255; for c it is spread widely and the cost is high."}}
paid = {}
figure, axes = plt.subplots(2, 3, figsize=(8, 4.2), height_ratios=(1, 0.8),
                            layout="constrained")
for (name, (row, column)), (top, axis) in zip(game.items(), axes.T):
    place = row * 28 + column
    belief = beliefs(best, digit[None], slice(place, place + 1))[0, 0]
    truth = digit[row, column]
    top.imshow(uncovered(digit, row, column))
    top.set_title(f"pixel {name}: it is {truth}")
    top.set_axis_off()
    axis.fill_between(np.arange(256), belief, 1e-6, step="mid")
    axis.plot(truth, belief[truth], "o", color=pl.figures.ORANGE)
    paid[name] = -np.log2(belief[truth])
    axis.set(xlabel="grey value", yscale="log", ylim=(1e-5, 2),
             title=f"p = {belief[truth]:.2g}: {paid[name]:.2g} bits")
axes[1, 0].set_ylabel("belief")
plt.show()

# %% cellView="form" jupyter={"source_hidden": true} tags=["remove-input"]
# @title { display-mode: "form" }
pl.say(rf"""
The lonely background pixel costs {paid['a']:.2g} bits, the pixel inside
the stroke {paid['b']:.2g}, the grey rim {paid['c']:.2g}. Doing this
for all 784 pixels shows where a digit keeps its information. Where would you
look for it?
""")

# %% mystnb={"image": {"alt": "The digit 2, and two heat maps of what each of its pixels costs. Under the independent model the whole stroke glows, rims brightest. Under the six-neighbour model the inside of the stroke is dark and the rims glow less, most where a stroke begins or turns."}}
figure, axes = plt.subplots(1, 3, figsize=(8.4, 3), layout="constrained")
axes[0].imshow(digit)
axes[0].set_title("the digit\n")
for axis, name in zip(axes[1:], ("independent", "6 neighbours")):
    cost = bits(models[name], digit[None]).reshape(28, 28)
    shown = axis.imshow(cost, cmap="magma", vmin=0, vmax=14)
    axis.set_title(f"{name}\n{cost.sum():.0f} bits in all")
figure.colorbar(shown, ax=axes, label="bits", shrink=0.85)
for axis in axes:
    axis.set_axis_off()
plt.show()

# %% [markdown]
# Background is free, the inside of a stroke is nearly free. The bits sit on
# the *edges*: where does the stroke begin, which way does it turn, how grey
# is its rim? The heat map is the code, drawn as a picture. In a moment
# each of these glowing pixels will take its share of a file.
#
# ## What does a model believe? Let it draw
#
# The chain rule also runs the other way. Draw the first pixel from the
# model's beliefs, then the second given the first, and so on. What comes out
# is what the model thinks a digit is.

# %%
def draw(model, count, seed=0):
    """Pixel after pixel from the model's own beliefs: (count, 28, 28)."""
    random = np.random.default_rng(seed)
    images = np.zeros((count, 28, 28), np.uint8)
    flat = images.reshape(count, 784)  # a view: writing it draws
    for place in range(784):
        p = beliefs(model, images, slice(place, place + 1))[:, 0]  # (N, 256)
        below = p.cumsum(axis=1) < random.random((count, 1))
        flat[:, place] = below.sum(axis=1).clip(0, model.levels - 1)
    return images

# %% mystnb={"image": {"alt": "Four rows of ten samples and a row of real digits. Uniform: grey noise. Independent: white specks in the shape of a blob. Two neighbours: short strokes. Six neighbours: smooth curved strokes like scribbles, no digits. Last row: real digits."}}
names = ["uniform", "independent", "2 neighbours", "6 neighbours"]
rows = [draw(models[name], 10) for name in names] + [valid[7::200]]
figure = pl.figures.grid(np.concatenate(rows), columns=10,
                         row_titles=names + ["real"])
plt.show()

# %% [markdown]
# Noise, a blob, scribbles. The six-neighbour model has learned what *ink* is
# like: bright inside, soft at the rim, with long smooth edges. It has no idea
# of digits, for nobody can see a digit through a hole of six pixels. Its bits
# say the same: every bit by which a later model is cheaper is something it
# knows and this one does not.
#
# Why not simply look at more? Each further neighbour, cut into eight bins,
# makes eight times as many contexts. Let us watch what that does, with few
# training digits and with more.

# %%
chain = [position] + [neighbours(dict.fromkeys((W, N, NE, NW, WW)[:k], FINE))
                      for k in range(1, 6)]
sizes = [size for size in (300, 3_000, 20_000) if size <= len(train)]
curves = {}
for size in sizes:
    few = train[:: len(train) // size][:size]
    counted = CountingModel(chain).fit(few)
    curves[size] = [
        [bits(part_of(counted, slice(k + 1)), images).mean()
         for k in range(6)] for images in (few[:500], valid[::4])]

# %% mystnb={"image": {"alt": "Bits a pixel against the number of neighbours, 0 to 5; for each number of training digits a dashed curve for digits that were counted and a solid one for validation digits. The dashed curves keep falling. The solid one for 300 digits turns up after three neighbours; with more digits it keeps falling longer and lies lower."}}
figure, axis = plt.subplots(figsize=(6.8, 3.3))
colours = [pl.figures.GREY, pl.figures.ORANGE, pl.figures.BLUE]
for (size, (seen, unseen)), colour in zip(curves.items(), colours):
    axis.plot(seen, "--", color=colour)
    axis.plot(unseen, "o-", color=colour, label=f"{size:,} digits counted")
axis.plot([], [], "--", color="black", label="on digits it counted")
axis.plot([], [], "o-", color="black", label="on validation digits")
axis.legend(frameon=False, fontsize=9)
axis.set(xlabel="neighbours in the longest context", ylabel="bits a pixel")
plt.show()

# %% cellView="form" jupyter={"source_hidden": true} tags=["remove-input"]
# @title { display-mode: "form" }
pl.say(rf"""
On the digits that were counted, more neighbours always look better (dashed):
long contexts learn them by heart. On new digits (solid) every curve flattens
or turns, the sooner the fewer digits there were. With 300 digits and five
neighbours the two differ by {curves[300][1][5] - curves[300][0][5]:.2f} bits
a pixel. Even {sizes[-1]:,} digits meet only
{(counted.totals[-1] > 0).sum():,} of the {len(counted.tables[-1]):,}
contexts of five neighbours. A table has no idea that two contexts are
*similar*. That takes a network, and [chapter 2](02_pixelcnn.ipynb).
""")

# %% [markdown]
# ## From beliefs to bytes

# %% cellView="form" jupyter={"source_hidden": true} tags=["remove-input"]
# @title { display-mode: "form" }
pl.say(rf"""
So far the bits are only sums of logarithms. Can a program really write
{results['6 neighbours']:.2f} bits a pixel, when a file is made of whole
bytes and many pixels cost a hundredth of a bit?
""")

# %% [markdown]
# The trick is old ([Rissanen, 1976](../book/bibliography.md#rissanen1976)): do
# not give each pixel its own bits. Give the *whole message* one number between
# 0 and 1. Start with the interval from 0 to 1. Cut it into parts as wide as
# the model's beliefs. The next symbol chooses its part. Cut that again, and so
# on.

# %%
from fractions import Fraction

belief_of = {"black": Fraction(5, 8), "grey": Fraction(1, 8),
             "white": Fraction(2, 8)}
message = ["black", "white", "black", "black"]


def narrow(message):
    """All intervals on the way, as (low end, width), exact fractions."""
    low, width, steps = Fraction(0), Fraction(1), [(0, 1)]
    for symbol in message:
        for earlier in belief_of:  # the parts below the symbol's part
            if earlier == symbol:
                break
            low += width * belief_of[earlier]
        width *= belief_of[symbol]
        steps.append((low, width))
    return steps


steps = narrow(message)
low, width = steps[-1]
print(f"from {float(low):.4f}, width {float(width):.4f}: "
      f"{-np.log2(float(width)):.2f} bits")

# %%
COLOURS = {"black": "#24292f", "grey": "#8b949e", "white": "#f6f8fa"}


def draw_cut(axis, y, symbol, last):
    """One bar of the three parts; lines from the chosen one downwards."""
    start = 0.0
    for name, share in belief_of.items():
        axis.barh(y, float(share), left=start, height=0.8,
                  color=COLOURS[name], edgecolor="#57606a", lw=0.8)
        if name == symbol:
            end = start + float(share)
            axis.plot([start, end, end, start, start],
                      [y - 0.4, y - 0.4, y + 0.4, y + 0.4, y - 0.4],
                      color=pl.figures.ORANGE, lw=3, zorder=4)
            for edge, corner in ((start, 0), (end, 1)):
                axis.plot([edge, edge if last else corner],
                          [y - 0.4, y - (0.4 if last else 1.2)], lw=0.9,
                          color=pl.figures.ORANGE, zorder=1)
        start += float(share)

# %% mystnb={"image": {"alt": "Four bars below each other. Each is the chosen part of the bar above, enlarged, and is cut into a black, a grey and a white part in proportion 5 to 1 to 2. The parts chosen one after the other, black, white, black, black, are framed in orange, and thin lines lead from each to the full width of the next bar."}}
figure, axis = plt.subplots(figsize=(7.4, 3.2))
for i, (symbol, (low, width)) in enumerate(zip(message, steps)):
    draw_cut(axis, -1.6 * i, symbol, last=i == 3)
    axis.text(-0.01, -1.6 * i, f"{float(low):.4f}", ha="right", va="center")
    axis.text(1.01, -1.6 * i, f"{float(low + width):.4f}", va="center")
axis.set(xticks=[], yticks=[], xlim=(-0.12, 1.12))
axis.spines[:].set_visible(False)
plt.show()

# %% [markdown]
# The last interval is as wide as the product of the beliefs, that is
# $2^{-\text{cost}}$. Any number inside it tells the receiver everything: it
# lies in the black part, in the white part of that, and so on. And to name
# some number in an interval of width $2^{-b}$, about $b$ binary digits are
# enough. So **the length of the file is the cost of the message**. Fractions
# of bits are not lost; they add up inside the width.
#
# With exact fractions the numbers grow with every pixel. A
# **[range coder](../book/glossary.md#range-coder)**
# ([Martin, 1979](../book/bibliography.md#martin1979);
# [Witten et al., 1987](../book/bibliography.md#witten1987)) does the same with
# whole numbers of fixed size. It keeps only the window of the number that can
# still change, 48 bits wide, and writes the leading byte to the file as soon
# as the interval has become narrow enough.
#
# One thing can go wrong. While `low` grows, it may spill over the top of its
# window, after leading bytes have been written. As with a pencil, we then
# **carry** one to the digit on the left; a 255 becomes 0 and carries on.

# %%
TOTAL = 2**24  # the beliefs about one symbol, as whole numbers, sum to this
TOP, BYTE = 2**48, 2**40  # the window, and the place of its leading byte


def carry_one(out):
    """Add one to the number that the bytes of `out` spell."""
    place = len(out) - 1
    while out[place] == 255:
        out[place] = 0
        place -= 1
    out[place] += 1


digits_so_far = bytearray([7, 255, 255])
carry_one(digits_so_far)
assert list(digits_so_far) == [8, 0, 0]

# %% [markdown]
# And the end: which is the shortest number inside the last interval? The
# width is at least `BYTE`, so rounding `low` up to a multiple of `BYTE` stays
# inside. One more byte does it, if the reader takes zeros for everything
# behind the end of the file. Here is the whole encoder.

# %%
class RangeEncoder:
    """Puts symbols into one long number, and writes its bytes."""

    def __init__(self):
        self.low, self.width, self.out = 0, TOP, bytearray()

    def put(self, start, size):
        """Choose the part [start, start + size) of TOTAL."""
        step = self.width // TOTAL
        self.raise_low(step * start)
        self.width = step * size
        while self.width < BYTE:  # the leading byte is settled: write it
            self.out.append(self.low // BYTE)
            self.low = self.low % BYTE * 256
            self.width *= 256

    def raise_low(self, amount):
        self.low += amount
        if self.low >= TOP:  # over the top of the window
            self.low -= TOP
            carry_one(self.out)

    def finish(self):
        self.raise_low(BYTE - 1)
        return bytes(self.out) + bytes([self.low // BYTE])

# %% [markdown]
# The reader makes the same cuts. It keeps `code`: how far the number of the
# file lies above the low end of the interval. In which part does it fall?

# %%
from bisect import bisect_right


class RangeDecoder:
    def __init__(self, data):
        self.data, self.place = data, 0
        self.code, self.width = 0, TOP
        for _ in range(6):  # fill the window of 48 bits
            self.shift()

    def shift(self):
        at_end = self.place >= len(self.data)
        self.code = self.code * 256 + (0 if at_end else self.data[self.place])
        self.place += 1

    def get(self, starts):  # where the parts begin, and TOTAL
        step = self.width // TOTAL
        target = min(self.code // step, TOTAL - 1)
        symbol = bisect_right(starts, target) - 1
        self.code -= step * starts[symbol]
        self.width = step * (starts[symbol + 1] - starts[symbol])
        while self.width < BYTE:
            self.shift()
            self.width *= 256
        return symbol

# %% [markdown]
# That is all of it. Does it work in the worst weather? The next cell codes
# 20,000 symbols with beliefs from "nearly certain" to "one in 16 million",
# and looks for three things: the same symbols come back, the file is at most
# one byte longer than the cost, and it is never much shorter.

# %%
random = np.random.default_rng(1)
encoder, tables, chosen, ideal = RangeEncoder(), [], [], 0.0
for _ in range(20_000):
    cuts = random.integers(1, TOTAL, random.integers(1, 9))
    if random.random() < 0.3:
        cuts = np.array([1, TOTAL - 1])  # two of three are one in 16 million
    starts = [0, *np.unique(cuts).tolist(), TOTAL]
    symbol = int(random.integers(len(starts) - 1))
    encoder.put(starts[symbol], starts[symbol + 1] - starts[symbol])
    ideal -= np.log2((starts[symbol + 1] - starts[symbol]) / TOTAL)
    tables.append(starts)
    chosen.append(symbol)
data = encoder.finish()
decoder = RangeDecoder(data)
assert [decoder.get(starts) for starts in tables] == chosen
assert -1e-6 < len(data) - ideal / 8 < 1 + 20_000 * 2**-16 / 8 * 1.5

# %% cellView="form" jupyter={"source_hidden": true} tags=["remove-input"]
# @title { display-mode: "form" }
pl.say(rf"""
{len(data):,} bytes for a cost of {ideal / 8:,.1f} bytes. Some of the chosen
symbols were one in 16 million, and the coder did not lose a fraction of a
byte on them.
""")

# %% [markdown]
# ## A digit in a file
#
# The coder wants whole numbers that sum to `TOTAL`, and every value needs at
# least 1, or it could not be coded at all. How do we round the model's
# beliefs so?

# %%
def starts_of(p):
    """Beliefs (..., K) to where the parts begin: (..., K + 1), 0 to TOTAL."""
    levels = p.shape[-1]
    sizes = 1 + np.floor(p * (TOTAL - levels)).astype(np.int64)
    rest = TOTAL - sizes.sum(axis=-1, keepdims=True)  # lost by rounding down
    largest = sizes.argmax(axis=-1)[..., None]
    np.put_along_axis(sizes, largest, rest + np.take_along_axis(
        sizes, largest, axis=-1), axis=-1)
    zero = np.zeros_like(rest)
    return np.concatenate([zero, sizes.cumsum(axis=-1)], axis=-1)


p = beliefs(best, digit[None])  # (1, 784, 256)
starts = starts_of(p)
assert (np.diff(starts) >= 1).all() and (starts[..., -1] == TOTAL).all()
print("parts of the first pixel:", starts[0, 0, :4], "...")

# %% [markdown]
# Now the compressor: 784 times `put`. The decompressor starts with a black
# picture, asks the model about the first pixel, reads it from the file, fills
# it in, asks about the second. Model and file take turns.

# %%
def compress(model, images):
    """All images, one after the other, in one file."""
    encoder = RangeEncoder()
    for image in images:
        starts = starts_of(beliefs(model, image[None]))[0]  # (784, 257)
        values = image.reshape(784, 1).astype(np.int64)
        begin = np.take_along_axis(starts, values, axis=1)[:, 0]
        end = np.take_along_axis(starts, values + 1, axis=1)[:, 0]
        for a, b in zip(begin.tolist(), end.tolist()):
            encoder.put(a, b - a)
    return encoder.finish()


def decompress(model, data, count):
    decoder = RangeDecoder(data)
    images = np.zeros((count, 28, 28), np.uint8)
    for n in range(count):
        flat = images[n].reshape(784)  # a view
        for place in range(784):
            p = beliefs(model, images[n:n + 1], slice(place, place + 1))
            flat[place] = decoder.get(starts_of(p)[0, 0].tolist())
    return images

# %% [markdown]
# Does the digit come back, bit for bit? And is the file as long as the model
# promised?

# %%
data = compress(best, digit[None])
again = decompress(best, data, 1)[0]
ideal = bits(best, digit[None]).sum() / 8
assert (again == digit).all()
assert len(data) - ideal < 1.1  # at most one byte more than promised
print("first bytes of the file:", data[:12].hex(" "))

# %%
# NBVAL_CHECK_OUTPUT
print("the same 784 pixels:", bool((again == digit).all()))
print("at most one byte above the model's cost:",
      bool(len(data) - ideal < 1.1))

# %% cellView="form" jupyter={"source_hidden": true} tags=["remove-input"]
# @title { display-mode: "form" }
pl.say(rf"""
{len(data)} bytes; the model's own cost is {ideal:.2f} bytes. The overhead of
being a real file is {8 * (len(data) - ideal):.1f} bits. The bits of this
book are no figure of speech: a model that needs fewer of them *is* a smaller
file.
""")

# %% [markdown]
# > **Why both sides must compute the same, to the last digit.**
# > Encoder and decoder must cut at the same places, or the picture turns to
# > garbage from there on. Here they do: each probability comes from the same
# > few additions and divisions of its own counts, however many pixels are
# > computed at once. A network's sums can differ in the last digit between one
# > image and a batch, or between two machines ([Ballé et al., 2019](../book/bibliography.md#balle2019)). A codec made
# > with a network has to take care of that.
#
# ## The rivals
#
# Others store digits losslessly too: the image formats PNG and WebP, and the
# general compressors zlib and xz, each at its strongest setting. Are they
# better than counting?

# %%
import io
import lzma
import zlib
from PIL import Image


def picture_bytes(pixels, **how):
    """Bytes of an image file that Pillow writes."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, **how)
    return len(file.getvalue())


XZ = [{"id": lzma.FILTER_LZMA2, "preset": 9 | lzma.PRESET_EXTREME,
       "dict_size": 2**21}]  # as far back as our archives are long
rivals = {
    "PNG": lambda x: picture_bytes(x, format="PNG", optimize=True),
    "WebP lossless": lambda x: picture_bytes(
        x, format="WebP", lossless=True, quality=100, method=6),
    "zlib": lambda x: len(zlib.compress(x.tobytes(), level=9)),
    "xz": lambda x: len(lzma.compress(
        x.tobytes(), check=lzma.CHECK_NONE, filters=XZ)),
    "counting + range coder": lambda x: len(
        compress(best, x.reshape(-1, 28, 28))),
}

# %% [markdown]
# Three trials. *One by one*: each digit in a file of its own. *Archive*: all
# of them in one file, one below the other, so that a format can use what it
# has seen in earlier digits, and pays its fixed costs once. *Blank*: an empty
# digit, to see those fixed costs.

# %%
order = np.random.default_rng(0).permutation(len(valid))
chosen = valid[order[:scale.pick(200, 500, 2000)]]  # all classes, mixed
blank = np.zeros((28, 28), np.uint8)
race, report = {}, "bytes a digit:              single archive  blank"
for name, size in rivals.items():
    single = np.mean([size(image) for image in chosen])
    archive = size(chosen.reshape(-1, 28)) / len(chosen)
    race[name] = single, archive, size(blank)
    report += f"\n{name:26}{single:8.1f}{archive:8.1f}{size(blank):7}"
print(report)

ours = race["counting + range coder"]
promised = bits(best, chosen).sum() / 8 / len(chosen)
assert 0 < ours[0] - promised < 1.1  # the rest of a byte, a file each
assert abs(ours[1] - promised) < 0.1  # nothing, in an archive
assert all(ours[0] < other[0] and ours[1] < other[1]
           for other in list(race.values())[:4])

# %% mystnb={"image": {"alt": "Bar chart of bits a pixel for PNG, WebP, zlib, xz and our counting model, one by one in grey and as one archive in blue. The four rivals need much less in an archive than one by one. The counting model has the shortest bars, and the two are nearly of the same length."}}
figure, axis = plt.subplots(figsize=(6.8, 3))
places = np.arange(len(race))  # one pair of bars a rival
for shift, column, colour, label in (
        (-0.2, 0, pl.figures.GREY, "one by one"),
        (0.2, 1, pl.figures.BLUE, "one archive")):
    values = [row[column] * 8 / 784 for row in race.values()]
    shown = axis.barh(places + shift, values, 0.38, color=colour, label=label)
    axis.bar_label(shown, fmt=" %.2f", fontsize=9)
axis.set_yticks(places, race)
axis.invert_yaxis()
axis.legend(frameon=False, loc="lower right")
axis.set(xlabel="bits a pixel, real files", xlim=(0, 4.2))
plt.show()

# %% cellView="form" jupyter={"source_hidden": true} tags=["remove-input"]
# @title { display-mode: "form" }
rows = "\n".join(
    f"| {name} | {single:.0f} | {single / 98:.2f} | {archive:.0f} "
    f"| {archive / 98:.2f} | {empty} |"
    for name, (single, archive, empty) in race.items())
pl.say(rf"""
| {len(chosen):,} validation digits | bytes a digit, one by one | bits a pixel | bytes a digit, archive | bits a pixel | a blank digit, bytes |
|---|---|---|---|---|---|
{rows}
""")

# %% [markdown]
# Is that fair? Three remarks. Our files hold pixels only; a real format also
# says its name, the size of the picture and a checksum (the *blank* column
# shows what that costs the others; the archive spreads it thin). Second, our
# model has seen training digits and both sides own its tables, while the
# rivals were made for any picture at all. Knowing your data *is* the
# advantage, but it has to be shipped once. Exercise 1.4 takes it away and
# starts from empty tables. Third, ours is by far the slowest.
#
# ## Three ways to make digits black and white
#
# Many published results are on [binarised](../book/glossary.md#binarisation)
# MNIST: each pixel black or white. A smaller problem, and a trap. There are
# three ways to get there:
#
# - **threshold**: white if the grey is at least 128. A fixed rule.
# - **static**: white with probability grey/255
#   ([Salakhutdinov and Murray, 2008](../book/bibliography.md#salakhutdinov2008)).
#   Drawn once, stored, and used by everybody from then on
#   ([Larochelle and Murray, 2011](../book/bibliography.md#larochelle2011)).
# - **dynamic**: the same drawing, but anew each time a digit is used
#   ([Burda et al., 2016](../book/bibliography.md#burda2016)). Training never
#   sees the same picture twice.
#
# Can you tell them apart?

# %% mystnb={"image": {"alt": "The digit 2 in six versions: grey; thresholded with smooth edges; then four random draws whose rims are ragged, each in a different way. The first of these is labelled static, the other three dynamic."}}
exam = pl.data.mnist("valid")[0]  # the same digits, as a torch tensor
one = exam[400:401]  # our 2
versions = [one, pl.data.binarize(one, "threshold")]
versions += [pl.data.binarize(one, "sampled", seed) for seed in range(4)]
figure = pl.figures.grid(np.concatenate(versions), columns=6, titles=[
    "grey", "threshold", "static", "dynamic, 1st", "dynamic, 2nd",
    "dynamic, 3rd"], size=1.3)
plt.show()

# %% [markdown]
# The threshold digit has clean rims. The drawn ones are ragged, because every
# grey pixel tossed a coin. And **no model can predict a coin**. How many bits
# are coins alone? A pixel of grey $g$ is a coin of probability $g/255$, and we
# know its entropy. Sum it over the digit. (The literature gives
# [nats](../book/glossary.md#nat) here, natural logarithms: 1 nat = 1.44 bits.
# So do we, wherever digits are binarised.)

# %%
chance = valid / 255  # (2000, 28, 28): probability of white
coin = np.where((chance > 0) & (chance < 1), chance, 0.5)
nats = -coin * np.log(coin) - (1 - coin) * np.log(1 - coin)
nats[(chance == 0) | (chance == 1)] = 0  # no coin: black or white for sure
noise = nats.reshape(len(valid), 784).sum(axis=1).mean()  # nats a digit
assert 40 < noise < 52

# %% cellView="form" jupyter={"source_hidden": true} tags=["remove-input"]
# @title { display-mode: "form" }
pl.say(rf"""
{noise:.1f} nats of an average validation digit are noise from the coins.
Whoever models drawn digits must pay at least that, on average, however good
the model. Whoever models thresholded digits need not.
""")

# %% [markdown]
# Now the same two simple models on each of the three: 4 and 16 neighbours,
# black or white. For *dynamic* we count four draws of each training digit,
# for *static* a single one.

# %%
near = [(0, 1), (1, 0), (1, 1), (1, -1), (0, 2), (2, 0), (1, 2), (1, -2),
        (2, 1), (2, -1), (0, 3), (3, 0), (2, -2), (2, 2), (1, -3), (1, 3)]
binary = [neighbours(dict.fromkeys(near[:count], [128]))
          for count in (4, 10, 16)]
some = pl.data.mnist("train")[0]
some = some[::max(1, len(some) // 4000)]


def nats_a_digit(training_sets, images):
    """Costs of the models with 4 and with 16 neighbours."""
    model = CountingModel(binary, levels=2, strength=4)
    for images_seen in training_sets:
        model.fit(images_seen.numpy())
    return [bits(part_of(model, slice(count)), images.numpy())
            .sum(axis=1).mean() * np.log(2) for count in (1, 3)]

# %%
def drawn(images, seed):
    return pl.data.binarize(images, "sampled", seed)


columns = {
    "threshold": nats_a_digit([pl.data.binarize(some, "threshold")],
                              pl.data.binarize(exam, "threshold")),
    "static": nats_a_digit([drawn(some, 0)], drawn(exam, 100)),
    "dynamic": nats_a_digit([drawn(some, seed) for seed in range(4)],
                            drawn(exam, 100))}
try:  # is the stored set there? It has digits and a split of its own
    stored = [pl.data.binarized_mnist(s) for s in ("train", "valid")]
    columns["stored"] = nats_a_digit([stored[0][::12]], stored[1][::5])
    on_stored = f"{columns['stored'][1]:.1f} nats"
except FileNotFoundError:
    print("no stored static set here: our own draw, seed 0, stands for it")
    on_stored = "(not measured: the set is not here)"

# %% mystnb={"image": {"alt": "Bars of nats a digit for threshold, static and dynamic digits, each for the model with 4 neighbours in grey and with 16 in blue. A hatched part at the foot of the static and dynamic bars, nearly half of the shorter ones, is noise from coins. The better model on dynamic digits has a taller bar than the worse one on thresholded digits."}}
figure, axis = plt.subplots(figsize=(6.4, 3.2))
kinds = ["threshold", "static", "dynamic"]
for shift, i, colour in ((-0.2, 0, pl.figures.GREY), (0.2, 1,
                                                      pl.figures.BLUE)):
    values = [columns[kind][i] for kind in kinds]
    shown = axis.bar(np.arange(3) + shift, values, 0.38, color=colour,
                     label=("4 neighbours", "16 neighbours")[i])
    axis.bar_label(shown, fmt="%.1f")
axis.bar([1, 2], noise, 0.78, fill=False, hatch="//", edgecolor="#24292f",
         lw=0, label="noise of the coins")
axis.set(xticks=np.arange(3), ylabel="nats a digit, validation",
         ylim=(0, 150))
axis.set_xticklabels(kinds)
axis.legend(frameon=False, ncols=3, loc="upper center")
plt.show()

# %% [markdown]
# Three things in this picture are worth an assert. Which comparison is the
# trap?

# %%
assert columns["threshold"][0] < columns["dynamic"][1]  # the trap
assert columns["dynamic"][1] < columns["static"][1]  # more draws help
assert all(columns[kind][1] > noise for kind in ("static", "dynamic"))

# %% cellView="form" jupyter={"source_hidden": true} tags=["remove-input"]
# @title { display-mode: "form" }
rows = "\n".join(f"| {count} neighbours | " + " | ".join(
    f"{columns[kind][i]:.1f}" for kind in ("threshold", "static", "dynamic"))
    + " |" for i, count in enumerate((4, 16)))
pl.say(rf"""
| nats a digit, validation | threshold | static | dynamic |
|---|---|---|---|
{rows}

Compare *within a column*, and the table tells the truth: sixteen neighbours
beat four. Compare across, and a story appears that is not there: "four
neighbours on thresholded digits need {columns['threshold'][0]:.1f} nats,
sixteen on dynamic digits {columns['dynamic'][1]:.1f}, so fewer are better".
The data differ there, not only the models.

Threshold against the others is off by the coins. Static against dynamic is
subtler. The digits to be predicted are here even the same pictures, yet the
model that counted four draws is ahead of the one that counted a single draw:
fresh draws are fresh training data. A stored set, in turn, has its own
digits: on the one that we have (a fixed draw like Larochelle and Murray's,
perhaps not theirs bit for bit), sixteen neighbours need {on_stored}.
""")

# %% [markdown]
# The same holds for published numbers. On static digits (test set) PixelCNN
# has 81.30 and PixelRNN 79.20 nats
# ([van den Oord et al., 2016](../book/bibliography.md#oord2016pixelrnn)). On
# dynamic ones a locally masked PixelCNN, averaged over eight orders of
# reading, has 77.56 ([Jain et al., 2020](../book/bibliography.md#jain2020)).
# Which is better? From these numbers nobody can tell. **A number on binarised
# digits without the name of its binarisation says nothing**. In this book the
# three never share a column.
#
# ## What we have

# %% cellView="form" jupyter={"source_hidden": true} tags=["remove-input"]
# @title { display-mode: "form" }
pl.say(rf"""
- A model of images is a rule that gives probabilities to the next pixel. The
  chain rule makes it a model of whole images, with nothing lost.
- Its cost on new images, in bits, is the length of a file that a range coder
  really writes, to within one byte.
- Run the other way, the same rule draws images. What they lack, the bits
  show.
- Counting reaches {results['6 neighbours']:.2f} bits a pixel, and then
  contexts grow faster than data. To see a whole digit, a model must notice
  that contexts are *similar*. [Chapter 2](02_pixelcnn.ipynb) hands the
  counting to a network.
""")

# %% [markdown]
# ## Exercises

# %% [markdown]
# ### Exercise 1.1: The order of reading
#
# The chain rule holds for *any* order of the pixels. So the true cost of a
# digit is the same from right to left, from the bottom up, or column by
# column. Is it also the same for our model? Guess first, then measure.

# %% [markdown] jp-MarkdownHeadingCollapsed=true
# #### Solution of exercise 1.1

# %% cellView="form" jupyter={"source_hidden": true}
# @title Solution { display-mode: "form" }
turns = {"as always": lambda x: x,
         "from right to left": lambda x: x[:, :, ::-1],
         "from the bottom up": lambda x: x[:, ::-1],
         "column by column": lambda x: x.transpose(0, 2, 1)}
order_bits = []
report = []
for name, turn in turns.items():
    model = CountingModel([position, two, four, six], strength=100)
    model.fit(np.ascontiguousarray(turn(train[::4])))
    cost = bits(model, np.ascontiguousarray(turn(valid[::2]))).mean()
    order_bits.append(cost)
    report.append(f"{name:20} {cost:.3f} bits a pixel")
print("\n".join(report))
assert max(order_bits) - min(order_bits) < 0.03

# %% [markdown]
# Only nearly. The *true* distribution has one cost, whatever the order. Our
# model is not the true one: it sees six neighbours, and which six depends on
# the order. That the four costs differ so little says that ink looks much the
# same from all sides. (All are a little above the chapter's number, because
# we counted only a quarter of the digits.)

# %% [markdown]
# ### Exercise 1.2: One wrong bit
#
# Flip a single bit in the file of our 2, near the beginning, in the middle and
# near the end, and decompress. What do you expect to see? Why does the range
# coder not notice?

# %% [markdown] jp-MarkdownHeadingCollapsed=true
# #### Solution of exercise 1.2

# %% cellView="form" jupyter={"source_hidden": true} mystnb={"image": {"alt": "The digit 2 and three versions decoded from files with one flipped bit. Each is right down to some row, earlier or later, and below it is a random scribble in the style of the model's own samples."}}
# @title Solution { display-mode: "form" }
broken = [digit]
for place in (20, 60, 100):
    damaged = bytearray(compress(best, digit[None]))
    damaged[place] ^= 16
    broken.append(decompress(best, bytes(damaged), 1)[0])
first = [int(np.argmax((image != digit).ravel())) for image in broken[1:]]
assert first == sorted(first) and first[0] > 0  # right up to some pixel
figure = pl.figures.grid(np.stack(broken), columns=4, size=1.3, titles=[
    "no error", "byte 20", "byte 60", "byte 100"])
plt.show()

# %% [markdown]
# Right up to the flipped bit, then a scribble. The number in the file now lies
# in another part of the interval, and every part is a possible picture: after
# the error the decoder reads bits that mean nothing to it, and *random bits
# through a decoder are samples from the model*. Compare them with the
# six-neighbour samples above. A good compressor leaves no bit unused, so no
# file looks wrong. That is why real formats add a
# [checksum](../book/glossary.md#checksum).

# %% [markdown]
# ### Exercise 1.3: What is a label worth?
#
# Ten classes, so a label is worth at most $\log_2 10 \approx 3.32$ bits: that
# is what it costs to send. Give the independent model a table for each class
# (backing off to the common one) and measure how many bits a digit become
# cheaper when its label is known. How can that be more than 3.32? *Hint: build
# a model without labels from the ten tables.*

# %% [markdown] jp-MarkdownHeadingCollapsed=true
# #### Solution of exercise 1.3

# %% cellView="form" jupyter={"source_hidden": true}
# @title Solution { display-mode: "form" }
train_labels = pl.data.mnist("train")[1].numpy()
images, labels = valid[::4], valid_labels[::4]
per_class = []  # cost of every image under every class's model
for label in range(10):
    own = CountingModel([position]).fit(train[train_labels == label])
    model = CountingModel([position, position], strength=300)
    model.tables = independent.tables + own.tables
    model.totals = independent.totals + own.totals
    per_class.append(bits(model, images).sum(axis=1))
per_class = np.stack(per_class)  # (10, N), bits an image
plain = bits(independent, images).sum(axis=1)  # (N,)
known = per_class[labels, np.arange(len(images))]
mixture = -np.logaddexp2.reduce(-per_class, axis=0) + np.log2(10)
assert (mixture <= known + np.log2(10) + 1e-9).all()
assert plain.mean() - known.mean() > np.log2(10)
print(f"no label:                 {plain.mean():7.1f} bits a digit\n"
      f"label known:              {known.mean():7.1f}\n"
      f"no label, mixture of ten: {mixture.mean():7.1f}")

# %% cellView="form" jupyter={"source_hidden": true} tags=["remove-input"]
# @title { display-mode: "form" }
pl.say(rf"""
The label saves {plain.mean() - known.mean():.0f} bits a digit. No
contradiction: the bound holds for the *true* distribution, and the
independent model is far from it. It is so poor that it cannot tell the class
from the pixels, and the label told it.
""")

# %% [markdown]
# The mixture $p(x) = \frac{1}{10} \sum_y p(x \mid y)$ needs no label, and can
# never cost more than 3.32 bits above the model that knows it, because
# $p(x) \ge \frac{1}{10}\, p(x \mid y)$. For a strong model the label is
# worth those 3.32 bits at most, 0.004 bits a pixel. So if a label helps your
# network more than that, your network is missing something.

# %% [markdown]
# ### Exercise 1.4: Without any training
#
# The rivals knew nothing about digits, our model had counted thousands of
# them. Level the field: start with empty tables, code one digit after the
# other, and count each digit *after* it was coded. The receiver can do the
# same, so nothing has to be shipped. Use the contexts `two` and `four`. How
# many digits until it beats xz?

# %% [markdown] jp-MarkdownHeadingCollapsed=true
# #### Solution of exercise 1.4

# %% cellView="form" jupyter={"source_hidden": true}
# @title Solution { display-mode: "form" }
def learn(model, image):
    """Count one more image, in place."""
    values = image.reshape(-1).astype(np.int64)
    for context, table, total in zip(model.contexts, model.tables,
                                     model.totals):
        number = context(image[None])[0][0]  # (784,)
        np.add.at(table, (number, values), 1)
        np.add.at(total, number, 1)


model = CountingModel([two, four]).fit(train[:0])  # empty tables
adaptive = []
for image in chosen:
    adaptive.append(bits(model, image[None]).mean())
    learn(model, image)
assert np.mean(adaptive) < race["xz"][1] / 98

# %% cellView="form" jupyter={"source_hidden": true} mystnb={"image": {"alt": "Bits a pixel against the number of digits coded so far. The cost of the model that starts empty falls steeply from above 3 within the first twenty digits, then slowly; it drops below the dashed line of the xz archive and stays above the dotted line of the trained model."}}
# @title Solution { display-mode: "form" }
figure, axis = plt.subplots(figsize=(6.4, 3))
so_far = np.cumsum(adaptive) / np.arange(1, len(adaptive) + 1)
axis.plot(np.arange(1, len(adaptive) + 1), so_far,
          label="learning on the way, mean so far")
axis.axhline(race["xz"][1] / 98, ls="--", color=pl.figures.ORANGE,
             label="xz, the whole archive")
axis.axhline(race["counting + range coder"][1] / 98, ls=":", color="black",
             label="counted beforehand")
axis.set(xlabel="digits coded", ylabel="bits a pixel", ylim=(0.9, 3.2))
axis.legend(frameon=False)
plt.show()

# %% cellView="form" jupyter={"source_hidden": true} tags=["remove-cell"]
above = np.flatnonzero(so_far >= race["xz"][1] / 98)

# %% cellView="form" jupyter={"source_hidden": true} tags=["remove-input"]
# @title { display-mode: "form" }
pl.say(rf"""
After {above[-1] + 1:,} digits its mean stays below what xz needs for the
whole archive, and at the end it is {np.mean(adaptive):.2f} bits a pixel, the
first clueless digits included, against {race['xz'][1] / 98:.2f} for xz. So the
advantage is not only training: knowing that a pixel has a neighbour *above*
beats a compressor that sees one long row of bytes. (Costs here are the
model's; the range coder adds at most a byte to the archive.)
""")

# %% [markdown]
# ## Further reading
#
# - [Shannon (1948)](../book/bibliography.md#shannon1948): entropy,
#   cross-entropy's ancestor, and the game of guessing the next letter, in the
#   paper that began it all. Readable today.
# - [MacKay (2003)](../book/bibliography.md#mackay2003): the textbook that
#   treats compression and learning as one subject; chapter 6 is on arithmetic
#   coding. Free to read online.
# - [Rissanen (1976)](../book/bibliography.md#rissanen1976),
#   [Martin (1979)](../book/bibliography.md#martin1979) and
#   [Witten et al. (1987)](../book/bibliography.md#witten1987): from the idea
#   to the range coder to a program.
# - [Duda (2013)](../book/bibliography.md#duda2013) and
#   [Bamler (2022)](../book/bibliography.md#bamler2022): asymmetric numeral
#   systems, the modern alternative, which writes like a stack.
# - [Bengio and Bengio (1999)](../book/bibliography.md#bengio1999) and
#   [Larochelle and Murray (2011)](../book/bibliography.md#larochelle2011):
#   from tables to networks, by the same chain rule; the second made static
#   binarised MNIST a standard.
# - [Theis et al. (2016)](../book/bibliography.md#theis2016): what likelihood
#   says about sample quality, and what it does not.
# - [Delétang et al. (2024)](../book/bibliography.md#deletang2024): language
#   models as compressors, also of images.
