# %% [markdown]
# # GPT: a picture as a sentence

# %% [markdown] tags=["remove-cell"]
# *Takes a minute on one core of a laptop, 3 minutes on a Colab GPU. The same
# [as a page](https://OWNER.github.io/pixel-by-pixel/chapters/03_gpt.html),
# with sliders that need no kernel.*

# %% [markdown]
# A language model reads a text word by word and guesses the next one. Nothing
# in it knows what a word is. It sees whole numbers in a row, the
# [tokens](../book/glossary.md#token), and gives a probability to every number
# that could come next. A picture is whole numbers in a row as well: write its
# pixels down in the order of reading, and you have a sentence of 784 words
# with a vocabulary of 256 grey levels
# ([Chen et al., 2020](../book/bibliography.md#chen2020)).
#
# The game is that of [chapter 2](02_pixelcnn.ipynb),
#
# $$
# p(x) = \prod_{t=1}^{T} p(x_t \mid x_1, \dots, x_{t-1}),
# $$
#
# and only the guesser changes. There, news of a far pixel was handed from
# neighbour to neighbour, layer by layer, and a kernel of the wrong shape made
# it blind. A **[transformer](../book/glossary.md#transformer)**
# ([Vaswani et al., 2017](../book/bibliography.md#vaswani2017)) lets each place
# look at every earlier place directly, and learn which of them matter.
#
# So the question of this chapter: which of the pixels so far should a network
# look at, and how can a place choose for itself?

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
import textwrap
import time

import matplotlib.pyplot as plt
import torch
import torch.nn.functional as F
from einops import rearrange
from torch import nn

from pixellab.priors import gpt
from pixellab.tokenizers.pixels import Pixels

pl.figures.style()
scale = pl.scale(quick="a minute", colab="3 minutes", release="20 minutes")
_ = torch.manual_seed(0)

# %% [markdown]
# ## From picture to sentence
#
# The data are those of chapter 2: MNIST
# ([LeCun et al., 1998](../book/bibliography.md#lecun1998)) with 28 x 28 pixels
# and 256 levels for the network that comes with the book, and the same digits
# with 14 x 14 pixels and 4 levels for the one that learns before our eyes.

# %%
x_train, y_train = pl.data.mnist("train")
x_valid, y_valid = pl.data.mnist("valid")
tokenizer = Pixels(levels=4, height=14, width=14)
tokens_train, tokens_valid = (
    tokenizer.encode(F.avg_pool2d(images[:, None].float(), 2)[:, 0]
                     .round().to(torch.uint8))
    for images in (x_train, x_valid))  # (N, 196), 0 to 3

# %% [markdown]
# What does a digit look like as a sentence? Below, one token is framed in
# orange. Where in the sentence are the two pixels that touch it, framed in
# blue?

# %% mystnb={"image": {"alt": "Left: a 14 by 14 square shaded by the number of each place, from 0 at the upper left to 195 at the lower right. Middle: a coarse digit with one pixel framed in orange, the pixel to its left and the one above it in blue. Below: a stretch of the same digit as one row of tokens; one blue frame touches the orange one, the other is fourteen tokens away."}}
place, line = 6 * 14 + 7, tokens_valid[1000]
figure, axes = plt.subplot_mosaic(
    [["order", "digit"], ["line", "line"]], figsize=(7, 4.4),
    height_ratios=[4, 1], layout="constrained")
axes["order"].imshow(torch.arange(196).view(14, 14), cmap="Blues", vmax=400)
for row, column in ((0, 0), (0, 13), (1, 0), (1, 13), (13, 0), (13, 13)):
    axes["order"].text(column, row, 14 * row + column, fontsize=7,
                       ha="center", va="center")
axes["order"].set(title="place of each token", xlabel="column", ylabel="row")
axes["digit"].imshow(line.view(14, 14), vmax=3.4)
axes["digit"].set_title("a digit")
axes["line"].imshow(line[None, place - 36:place + 9], vmax=3.4,
                    extent=(place - 36.5, place + 8.5, 0.5, -0.5))
axes["line"].set(title="a stretch of it as a sentence", xlabel="place")
for back, colour in ((1, "BLUE"), (14, "BLUE"), (0, "ORANGE")):
    for name, (row, column) in (("line", (0, place - back)),
                                ("digit", divmod(place - back, 14))):
        axes[name].add_patch(plt.Rectangle(
            (column - 0.5, row - 0.5), 1, 1, fill=False, lw=2.5,
            color=getattr(pl.figures, colour)))
for axis in axes.values():
    axis.set(xticks=axis.get_xticks() if axis is axes["line"] else [],
             yticks=[])
    axis.spines[:].set_visible(False)
    axis.set_xlim(axis.get_images()[0].get_extent()[:2])
plt.show()

# %% [markdown]
# The pixel to the left is the previous token. The pixel above is just as near
# in the picture and fourteen tokens back in the sentence (28 in a large
# digit). A sentence does not know that it is a picture. Two things help, and
# we shall build both: each place is told its row and its column, and each
# place can look back as far as it likes.
#
# ## Looking back: attention
#
# Take a tiny sentence, one row of eight pixels, with paper and ink. Each place
# is to answer a question: *in which column, on average, was the ink so far?*
# No fixed kernel can answer, since the ink may be anywhere.
#
# [Attention](../book/glossary.md#attention) answers with three vectors for
# each place:
#
# - the **query** $q$ says what the place is looking for (here: ink);
# - the **key** $k$ says what the place has to offer (paper, or ink);
# - the **value** $v$ is what it passes on when somebody looks (its column).
#
# How well a key fits a query is measured by their scalar product, the
# **score**.

# %%
row_of_pixels = torch.tensor([0, 1, 1, 0, 0, 0, 1, 0])  # 1 is ink
k = F.one_hot(row_of_pixels, 2).double()  # (T, 2): paper, ink
q = torch.tensor([0.0, 8.0]).double().expand(8, 2)  # (T, 2): "ink!"
v = torch.arange(8.0).double()[:, None]  # (T, 1): the column

# %% [markdown]
# The rest is three steps. **Mask**: a score of $-\infty$ for every place that
# lies ahead. **Softmax**: scores become weights that sum to 1. **Mean**: the
# answer is the mean of the values, with these weights,
#
# $$
# a_t = \sum_{s \le t} w_{ts} v_s, \qquad
# w_{ts} = \frac{e^{q_t \cdot k_s / \sqrt{c}}}
#               {\sum_{r \le t} e^{q_t \cdot k_r / \sqrt{c}}},
# $$
#
# where $a_t$ is the answer and $c$ the length of a query. (Why the root is
# there, we shall see in a minute.)

# %%
def attention_by_hand(q, k, v):
    """(..., T, c) each; each place looks at itself and at the past."""
    scores = q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1])  # (..., T, T)
    ahead = torch.ones_like(scores).triu(1).bool()
    weights = scores.masked_fill(ahead, -math.inf).softmax(dim=-1)
    return weights @ v, weights


answers, weights = attention_by_hand(q, k, v)

# %% [markdown]
# Read a row of the right picture: that is where one place looks. Are the
# answers right?

# %% mystnb={"image": {"alt": "Three squares of eight by eight cells, one row for each place. Scores: the columns of the three ink pixels are dark in all rows. Masked: the cells above the diagonal are grey. Weights: in each row the weight is shared equally by the ink pixels so far; the first row, without any ink yet, looks at itself."}}
scores = q @ k.T / math.sqrt(2)
masked = scores.masked_fill(torch.ones(8, 8).triu(1).bool(), math.nan)
figure, axes = plt.subplots(1, 3, figsize=(8, 2.9))
colours = plt.get_cmap("Blues").with_extremes(bad="#d0d7de")
for axis, (name, table) in zip(axes, {
        "scores": scores, "masked": masked, "weights": weights}.items()):
    axis.imshow(table, cmap=colours, vmin=0)
    axis.set(title=name, xlabel="looks at place", xticks=range(8),
             yticks=range(8))
axes[0].set_ylabel("place")
for place, answer in enumerate(answers[:, 0]):
    axes[2].text(8, place, f"{answer:.1f}", va="center",
                 color=pl.figures.ORANGE)
axes[2].text(8, -1.3, "answer", color=pl.figures.ORANGE, ha="center")
plt.show()

# %% [markdown]
# Place 1 has seen ink in column 1, place 2 in columns 1 and 2, and place 6
# adds the ink in column 6. The orange answers are the means of the ink columns
# so far. (Place 0 has seen none, and can only look at itself.)
#
# In a network nobody writes the queries, keys and values by hand. Three
# matrices compute them from the features of a place, and training finds the
# matrices: what to look for, how to be found, what to tell.
#
# ### Why divide by the root of c?
#
# A scalar product of two vectors of $c$ independent numbers of size one has
# the standard deviation $\sqrt{c}$. What would scores of that size do to the
# softmax?

# %%
torch.manual_seed(0)
print("    c  largest of 784 weights: not divided, divided")
for c in (4, 32, 256):
    query, keys = torch.randn(200, 1, c), torch.randn(200, 784, c)
    products = (keys * query).sum(dim=-1)  # (200, 784)
    largest = [(products / divisor).softmax(dim=-1).amax(dim=-1).mean().item()
               for divisor in (1, math.sqrt(c))]
    print(f"{c:5d} {largest[0]:32.3f} {largest[1]:8.3f}")
assert largest[0] > 5 * largest[1]

# %% [markdown]
# Without the division a long query looks at one place and nowhere else, before
# anything has been learned. Such a softmax has hardly any gradient, and
# learning starts slowly or not at all. Divided, the start is the same whatever
# the length.
#
# ## Many heads at once
#
# One weighted mean is one answer. A place may want several: the stroke above,
# the left edge of the loop, the point where the pen began. So the features are
# cut into `heads` parts, each with queries, keys and values of its own, and
# the answers are put side by side and mixed by one more matrix, `out`.
#
# Writing all weights down takes a $784 \times 784$ table for each head, layer
# and image. How much memory is that, while training with 16 images, in a
# network of two layers with five heads? Scores and weights are both kept, four
# bytes a number.

# %%
tables = 16 * 2 * 5 * 2 * 784 ** 2 * 4  # images, layers, heads, both, T x T
vectors = 16 * 2 * 784 * 3 * 160 * 4  # images, layers, places, q k v, width
print(f"tables: {tables / 2**20:.0f} MiB, q, k and v: "
      f"{vectors / 2**20:.0f} MiB")

# %% cellView="form" jupyter={"source_hidden": true} tags=["remove-input"]
# @title { display-mode: "form" }
pl.say(rf"""
{tables / 2**20:.0f} MiB of tables beside {vectors / 2**20:.0f} MiB of
queries, keys and values. And a picture with twice as many pixels a side has
four times as many places, and tables sixteen times as large. PyTorch's
`scaled_dot_product_attention` computes the same means in small blocks and
never holds a whole table
([Dao et al., 2022](../book/bibliography.md#dao2022)). We use it, and keep
our own function to look inside.
""")

# %%
# equivalent to: pixellab.priors.gpt.SelfAttention
class SelfAttention(nn.Module):
    """Each place looks back: (B, T, width) -> (B, T, width)."""

    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)

    def split(self, x):
        """Queries, keys, values: (3, B, heads, T, width / heads)."""
        return rearrange(self.qkv(x), "b t (three h c) -> three b h t c",
                         three=3, h=self.heads)

    def forward(self, x):
        q, k, v = self.split(x)
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.out(rearrange(y, "b h t c -> b t (h c)"))

# %% [markdown]
# Is it really what we wrote by hand?

# %%
# NBVAL_CHECK_OUTPUT
torch.manual_seed(0)
attention = SelfAttention(width=12, heads=3).double()
x = torch.randn(2, 50, 12, dtype=torch.float64)
q, k, v = attention.split(x)  # (2, 3, 50, 4) each
y, weights = attention_by_hand(q, k, v)  # (2, 3, 50, 4), (2, 3, 50, 50)
by_hand = attention.out(rearrange(y, "b h t c -> b t (h c)"))
print("same output:", torch.allclose(by_hand, attention(x), atol=1e-12))
one = torch.ones(2, 3, 50, dtype=torch.float64)
print("weights sum to 1:", torch.allclose(weights.sum(dim=-1), one))
print("weights on what lies ahead:", int((weights.triu(1) != 0).sum()))

# %% [markdown]
# ## A block: look around, then think
#
# Attention only takes means. What has been gathered must be worked on, at each
# place by itself: two linear layers with a ReLU between them. Attention and
# this small network together make a **block**. Each reads a normalised copy of
# the features and *adds* its answer to them, a
# [residual connection](../book/glossary.md#residual-connection), so that a
# block that has learned nothing does little harm
# ([Radford et al., 2019](../book/bibliography.md#radford2019)).
#
# [Dropout](../book/glossary.md#dropout) sets a part of each answer to zero
# while training, so that no feature relies on a single other one.

# %%
# equivalent to: pixellab.priors.gpt.Block
class Block(nn.Module):
    """Attention and a two-layer network, each added to x (B, T, width)."""

    def __init__(self, width, heads, dropout):
        super().__init__()
        self.norm_attention = nn.LayerNorm(width)
        self.attention = SelfAttention(width, heads)
        self.norm_mlp = nn.LayerNorm(width)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.ReLU(),
                                 nn.Linear(4 * width, width))
        self.dropout = nn.Dropout(dropout)

    def forward(self, x):
        x = x + self.dropout(self.attention(self.norm_attention(x)))
        return x + self.dropout(self.mlp(self.norm_mlp(x)))

# %% [markdown]
# Why `x = x + ...` and not the shorter `x += ...`? The first makes a new
# tensor. The second overwrites the old one, which the normalisation has kept
# for its backward pass. What does PyTorch say?

# %%
x = torch.randn(1, 5, 8, requires_grad=True) * 2
normalised = nn.LayerNorm(8)(x)
x += normalised
try:
    x.sum().backward()
    refused = False
except RuntimeError as error:
    refused = True
    print(textwrap.fill(str(error).split(":")[0], width=60))
assert refused

# %% [markdown]
# Here it was noticed. It is not always: where no layer needs the old values,
# the same line runs, and breaks when somebody adds a layer that does.
#
# ## What a place is told
#
# A block takes features. Where do the first ones come from? A GPT over text is
# told one thing at each place: the previous word. In a picture that is one
# neighbour of many, and all others would have to be found by attention. Images
# are local, so we give each place a better start: all earlier tokens within
# `window` rows and columns, as the first layer of a PixelCNN sees them. (An
# Image Transformer ([Parmar et al., 2018](../book/bibliography.md#parmar2018))
# goes further and lets attention, too, look only nearby.)
#
# How many places back in the sentence are they?

# %%
# same as: pixellab.priors.gpt.neighbours
def neighbours(columns, window):
    if window is None:
        return [1]
    square = [up * columns + left for up in range(window + 1)
              for left in range(-window, window + 1)]
    return sorted({back for back in square if back > 0})


print(neighbours(columns=14, window=2))

# %% [markdown]
# What does that look like in the middle, at the edge, and at the very first
# place, where nothing has been drawn yet?

# %% mystnb={"image": {"alt": "Three squares of 14 by 14 pixels. In the middle the orange place is told the twelve earlier pixels within two rows and columns, in blue. At the left edge some of the blue pixels are at the right end of the rows above. At the first place none of the pixels is told; three rows of label tokens above the picture are blue instead."}}
figure, axes = plt.subplots(1, 3, figsize=(8, 3.1))
for axis, (title, row, column) in zip(axes, (
        ("in the middle", 8, 6), ("at the left edge", 8, 0),
        ("first place", 0, 0))):
    told = torch.zeros(17 * 14)  # three rows of label tokens, then the image
    told[:3 * 14] = 0.15
    here = (row + 3) * 14 + column
    told[[here - back for back in neighbours(14, 2)]] = 0.7
    axis.imshow(told.view(17, 14), cmap="Blues", vmax=1)
    axis.plot(column, row + 3, "s", color=pl.figures.ORANGE, ms=9)
    axis.axhline(2.5, color="black", lw=1)
    axis.set(title=title, xticks=[], yticks=[])
    axis.spines[:].set_visible(False)
axes[0].text(-1, 1, "labels", ha="right", va="center")
axes[0].text(-1, 9.5, "picture", ha="right", va="center")
plt.show()

# %% [markdown]
# At the edge the window goes on at the other end of the rows above. That is no
# mistake: these tokens are known, and the network is told the column, so it
# can learn what they are worth there.
#
# And the label? It is one more word. Levels are numbered 0 to $K - 1$, labels
# $K$ to $K + 9$, and $K + 10$ is the
# [null class](../book/glossary.md#null-class), "no label given". All of them
# have a vector in one table, the [embedding](../book/glossary.md#embedding). A
# label token stands wherever the window reaches beyond the first token, and
# each place is told the label once more. (If it stood at the front only,
# places further down would have to find it by attention, and would be slow to
# learn how.)
#
# A place puts the vectors of all that it is told side by side, one matrix
# mixes them, and the vectors of its row and its column are added.

# %%
# equivalent to: pixellab.priors.gpt.GPT (what a place is told)
class Reader(nn.Module):
    def __init__(self, vocabulary, grid, width, window, embedding,
                 num_classes=10):
        super().__init__()
        self.vocabulary, self.grid = vocabulary, grid
        self.num_classes = num_classes
        self.back = neighbours(grid[1], window)
        self.token = nn.Embedding(vocabulary + num_classes + 1, embedding)
        self.mix = nn.Linear(embedding * (1 + len(self.back)), width)
        self.row = nn.Embedding(grid[0], width)
        self.column = nn.Embedding(grid[1], width)

    def read(self, tokens, labels, places):  # (B, t), (B,), (T,)
        reach, columns = max(self.back), self.grid[1]
        label = (self.vocabulary + labels)[:, None]  # (B, 1)
        line = torch.cat([label.expand(-1, reach), tokens], dim=1)
        back = torch.tensor(self.back, device=line.device)
        around = line[:, reach + places[:, None] - back]  # (B, T, n)
        label = label[:, None].expand(-1, len(places), -1)  # (B, T, 1)
        told = torch.cat([label, around], dim=2)  # (B, T, 1 + n)
        return (self.mix(self.token(told).flatten(2))
                + self.row(places // columns)
                + self.column(places % columns))  # (B, T, width)

# %% [markdown]
# ## The network
#
# The rest fits on a postcard: read, pass through the blocks, normalise, and
# turn the features into one [logit](../book/glossary.md#logit) a level.

# %%
# equivalent to: pixellab.priors.gpt.GPT
class GPT(Reader):
    def __init__(self, vocabulary, grid, width, layers, heads, window,
                 embedding, dropout=0.0, num_classes=10):
        super().__init__(vocabulary, grid, width, window, embedding,
                         num_classes)
        self.blocks = nn.ModuleList(Block(width, heads, dropout)
                                    for _ in range(layers))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, vocabulary)

    def forward(self, tokens, labels):  # (B, T), (B,)
        places = torch.arange(tokens.shape[1], device=tokens.device)
        x = self.read(tokens, labels, places)  # (B, T, width)
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x))  # (B, T, K)

# %% [markdown]
# Is it the network of the package, so that what we learn here holds for the
# shipped weights? We give both the same weights. (They are the package's: it
# starts them so small that all levels are about equally likely, and so that
# the sum over the blocks does not grow with their number
# ([Radford et al., 2019](../book/bibliography.md#radford2019)).)

# %%
setting = dict(vocabulary=4, grid=(14, 14), width=64, layers=1, heads=2,
               window=3, embedding=4)
torch.manual_seed(0)
twin = gpt.GPT(**setting).to(scale.device)
net = GPT(**setting).to(scale.device)
net.load_state_dict(twin.state_dict())  # the same names, the same shapes

few = tokens_valid[:8].to(scale.device)
few_labels = y_valid[:8].to(scale.device)
logits = net(few, few_labels)  # (8, 196, 4)
assert torch.allclose(logits, twin(few, few_labels), atol=1e-5)
untrained = pl.training.loss_in_nats(net, few, few_labels) / math.log(2)
assert abs(untrained.item() - 2) < 0.3  # bits: the price of knowing nothing
parameters = sum(parameter.numel() for parameter in net.parameters())

# %% cellView="form" jupyter={"source_hidden": true} tags=["remove-input"]
# @title { display-mode: "form" }
pl.say(rf"""
One block is enough for small digits, and quick to train: {parameters:,}
parameters. Before training a pixel costs {untrained.item():.2f} bits;
$\log_2 4 = 2$ is the price of knowing nothing.
""")

# %% [markdown]
# ## Proof that it cannot cheat
#
# **By gradient.** Tokens are whole numbers and have no gradient, but their
# vectors in the table have. A trick makes them tell us everything: a sentence
# of 64 places with *64 different tokens*, each used once. Then the vector of
# token $s$ stands for place $s$ alone, and the gradient of output $t$ with
# respect to it says whether $t$ depends on place $s$.

# %%
torch.manual_seed(0)
probe = GPT(vocabulary=64, grid=(8, 8), width=16, layers=2, heads=2, window=2,
            embedding=8).double()
null_class = torch.tensor([10])
depends = []
outputs = probe(torch.arange(64)[None], null_class)[0].sum(dim=-1)  # (64,)
for output in outputs:
    gradient = torch.autograd.grad(output, probe.token.weight,
                                   retain_graph=True)[0]  # (64 + 11, 8)
    depends.append((gradient != 0).any(dim=1))
depends = torch.stack(depends)  # (64, 75)

# %% [markdown]
# Is it exactly the past? The eleven columns on the right are the label tokens.

# %% mystnb={"image": {"alt": "A picture of 64 rows and 75 columns. The triangle below the diagonal of the first 64 columns is completely blue, nothing on or above the diagonal is. Of the eleven columns for labels only the last, the null class, is blue, in all rows."}}
assert torch.equal(depends[:, :64], torch.ones(64, 64).tril(-1).bool())
assert depends[:, 74].all() and not depends[:, 64:74].any()
figure, axis = plt.subplots(figsize=(5, 4))
axis.imshow(depends, cmap="Blues", vmax=1.4)
axis.axvline(63.5, color="black", lw=1)
axis.set(xlabel="token s: 64 places, then 11 labels", ylabel="output t")
plt.show()

# %% [markdown]
# Every output depends on all earlier places, on none that is not earlier, and
# on the label that was given (the null class here) but on no other.
#
# **By perturbation**, as in chapter 2: replace one token by another, for each
# of the 64 places. Which logits move?

# %%
# NBVAL_CHECK_OUTPUT
with torch.no_grad():
    sentence = torch.randint(64, (1, 64),
                             generator=torch.Generator().manual_seed(3))
    before = probe(sentence, null_class)[0]  # (64, 64)
    early, late = 0, 0
    for t in range(64):
        changed = sentence.clone()
        changed[0, t] = (changed[0, t] + 1) % 64
        moved = (probe(changed, null_class)[0] - before).abs().amax(dim=-1)
        early += int((moved[:t + 1] > 1e-12).sum())
        late += int((moved[t + 1:] > 1e-12).sum())
print("tokens changed:", 64)
print("logits moved at or before the changed token:", early)
print("logits moved after it:", late, "of", 64 * 63 // 2)

# %% [markdown]
# ### Labels are read, never drawn
#
# One table for levels and labels, and a trap beside it. If the *output* also
# had a logit for each entry of the table, the sampler could draw "label 7" as
# a pixel. Our head has `vocabulary` outputs and no more.

# %%
# NBVAL_CHECK_OUTPUT
print("vectors in the table:", probe.token.num_embeddings)
print("logits at each place:", probe.head.out_features)
try:
    tokenizer.decode(torch.full((1, 196), 4))  # 4 would be the label 0
except ValueError as error:
    print("decode:", error)

# %% [markdown]
# How bad would it be? Suppose that a trained network left only one part in ten
# thousand of its probability on labels.

# %%
spoiled = 1 - (1 - 1e-4) ** 784
print(f"{100 * spoiled:.1f} % of all pictures would hold a label")

# %% cellView="form" jupyter={"source_hidden": true} tags=["remove-input"]
# @title { display-mode: "form" }
pl.say(rf"""
Every chance is taken 784 times: {100 * spoiled:.1f} % of all pictures would
be spoiled. What must never happen should be impossible, not rare.
""")

# %% [markdown]
# ### Dropout is for training
#
# Dropout makes the network a game of chance. While sampling and scoring it
# must be off, and PyTorch leaves that to us: `net.train()` switches it on,
# `net.eval()` off.

# %%
# NBVAL_CHECK_OUTPUT
risky = GPT(vocabulary=4, grid=(8, 8), width=16, layers=2, heads=2, window=2,
            embedding=8, dropout=0.5)
quarter = sentence // 16  # levels 0 to 3
with torch.no_grad():
    for mode in ("eval", "train"):
        getattr(risky, mode)()
        twice = [risky(quarter, null_class) for _ in range(2)]
        print(f"{mode}(): same logits twice:", torch.equal(*twice))

# %% [markdown]
# What it costs to forget `eval()` we shall see on a network that has learned
# something.

# %% [markdown]
# ## Training
#
# What is minimised? Bits, as always: the
# [cross-entropy](../book/glossary.md#cross-entropy) of all 196 guesses, made
# in one pass ([teacher forcing](../book/glossary.md#teacher-forcing)). The
# loop is the one of `pixellab train`, reduced to its core. It uses the
# package's pieces:
#
# - `Recipe` holds all settings, each under a name of its own;
# - `rate` gives the learning rate of a step. It falls by the factor `gamma` in
#   each epoch, as in chapter 2. New is `warmup`: in the first steps it
#   *rises*. Adam's first steps are blind, and large steps in the dark can push
#   a softmax to where it has no gradient;
# - `drop_labels` replaces one label in ten by the null class.
#
# (The package's loop adds what a long run needs: checkpoints, resuming,
# several GPUs, 16-bit arithmetic.)

# %%
def teach(net, train_set, valid_set, recipe, pause):
    """Train in place; yields losses in bits a pixel every `pause` steps."""
    (tokens, labels), total = train_set, 0
    steps = len(tokens) // recipe.batch_size  # in an epoch
    optimizer = torch.optim.Adam(net.parameters(), lr=recipe.lr)
    generator = torch.Generator().manual_seed(recipe.seed)
    for step in range(recipe.epochs * steps):
        if step % steps == 0:
            order = torch.randperm(len(tokens), generator=generator)
        chosen = order[step % steps * recipe.batch_size:][:recipe.batch_size]
        dropped = pl.training.drop_labels(labels[chosen], net.num_classes,
                                          recipe.label_dropout, generator)
        for group in optimizer.param_groups:
            group["lr"] = pl.training.rate(recipe, step, steps)
        loss = pl.training.loss_in_nats(
            net, tokens[chosen].to(scale.device), dropped.to(scale.device))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        total += loss.item() / math.log(2)
        if (step + 1) % pause == 0:
            valid = pl.likelihood.token_bits(net, *valid_set).mean().item()
            yield {"epoch": (step + 1) / steps, "train": total / pause,
                   "valid": valid}
            total = 0

# %% [markdown]
# At each pause we draw ten digits, always from the same uniform numbers. (The
# twin draws them: it has the cache that we shall build further below, and its
# samples are the same.)

# %%
def ten_digits(net):
    """The digits 0 to 9 as the network draws them now: (10, 14, 14)."""
    twin.load_state_dict(net.state_dict())
    uniforms = pl.sampling.uniform_numbers(10, 196, seed=3)
    tokens = pl.sampling.sample(twin, torch.arange(10), uniforms)
    return tokenizer.decode(tokens)


count = min(len(tokens_train),
            scale.pick(quick=3000, colab=20000, release=58000))
recipe = pl.training.Schedule(
    epochs=scale.pick(quick=2, colab=8, release=20), lr=6e-3,
    gamma=scale.pick(quick=0.17, colab=0.6, release=0.8), warmup=50,
    batch_size=scale.pick(quick=4, colab=16, release=32))
train_set = tokens_train[:count], y_train[:count]
valid_set = tokens_valid[::10], y_valid[::10]
pause = recipe.epochs * (count // recipe.batch_size) // 5
started, history, sheets = time.perf_counter(), [], [ten_digits(net)]
for row in teach(net, train_set, valid_set, recipe, pause):
    history.append(row)
    sheets.append(ten_digits(net))
seconds = time.perf_counter() - started
live_bits = history[-1]["valid"]

# %% [markdown]
# Does it learn, and how did the learning rate change meanwhile? The dashed
# line is the price of each pixel by itself, from how often each level occurs
# at its place.

# %% mystnb={"image": {"alt": "Left: training and validation loss in bits a pixel fall together, from the first pause on far below the dashed line of independent pixels. Right: the learning rate rises steeply for a few steps and then falls in a smooth curve."}}
counts = F.one_hot(tokens_train, 4).sum(dim=0) + 1.0  # (196, 4)
alone = -(counts / counts.sum(dim=-1, keepdim=True)).log2()
alone = alone[torch.arange(196), tokens_valid].mean().item()
figure, axes = plt.subplots(1, 2, figsize=(8, 2.8))
figure.subplots_adjust(wspace=0.45)
pl.figures.loss_curve(history, "bits a pixel", axis=axes[0])
axes[0].axhline(alone, color=pl.figures.ORANGE, ls="--")
axes[0].annotate("each pixel by itself", (history[0]["epoch"], alone + 0.02),
                 color=pl.figures.ORANGE)
axes[0].set_ylim(0, alone + 0.12)
epoch = count // recipe.batch_size  # steps
steps = range(recipe.epochs * epoch)
axes[1].plot([step / epoch for step in steps],
             [pl.training.rate(recipe, step, epoch) for step in steps])
axes[1].set(xlabel="epoch", ylabel="learning rate", ylim=(0, None))
plt.show()
assert live_bits < 0.8 * alone and live_bits < history[0]["valid"]

# %% cellView="form" jupyter={"source_hidden": true} tags=["remove-input"]
# @title { display-mode: "form" }
pl.say(rf"""
After {seconds:.0f} seconds a pixel of an unseen digit costs {live_bits:.3f}
bits instead of {alone:.3f}. And what does it draw?
""")

# %% mystnb={"image": {"alt": "Six rows of ten coarse samples for the classes 0 to 9, before training and at five pauses. The first row is noise, the later ones show strokes and more and more readable digits."}}
names = [f"epoch {row['epoch']:.1f} " for row in history]
pl.figures.grid(torch.cat(sheets), columns=10,
                row_titles=["untrained "] + names,
                titles=[str(k) for k in range(10)])
plt.show()

# %% [markdown]
# ### What is the window worth?
#
# Is the window really such a help? A network with `window=None` is a plain
# GPT: it is told the previous token (and the label), and must find all others
# by attention. We give it the same recipe, up to the first pause.

# %%
torch.manual_seed(0)
plain = gpt.GPT(**{**setting, "window": None, "embedding": 64})
plain_bits = next(teach(plain.to(scale.device), train_set, valid_set, recipe,
                        pause))["valid"]
print(f"window 3: {history[0]['valid']:.3f}, previous token alone: "
      f"{plain_bits:.3f} bits a pixel")
assert plain_bits > history[0]["valid"]

# %% cellView="form" jupyter={"source_hidden": true} tags=["remove-input"]
# @title { display-mode: "form" }
pl.say(rf"""
{plain_bits:.3f} bits against {history[0]['valid']:.3f}. Both see the same
past, and the plain one could learn to look at the pixel above. It has to
learn it, though: first *that* the pixel fourteen places back is special,
then how to find it. What everybody knows about pictures need not be learned
from them.
""")

# %% [markdown]
# ### Forgetting `eval()`
#
# Now the trap from above, on a network that can draw. We give it a dropout of
# one half and draw the ten digits of the last row again, from the same uniform
# numbers, in `train()` mode. (Not with the twin: its step for one token leaves
# dropout out, so that nobody can forget it.)

# %% mystnb={"image": {"alt": "Two rows of ten coarse digits. Above, drawn in eval mode; below, drawn from the same numbers with dropout switched on, with strokes that are torn, doubled or missing."}}
net.cpu()
for block in net.blocks:
    block.dropout.p = 0.5
torch.manual_seed(0)
uniforms = pl.sampling.uniform_numbers(10, 196, seed=3)
net.train()
spoiled = tokenizer.decode(pl.sampling.sample(
    net, torch.arange(10), uniforms, cached=False))
spoiled_bits = pl.likelihood.token_bits(net, *valid_set).mean().item()
net.eval()
pl.figures.grid(torch.cat([sheets[-1], spoiled]), columns=10,
                row_titles=["eval() ", "train() "])
plt.show()
assert spoiled_bits > live_bits

# %% cellView="form" jupyter={"source_hidden": true} tags=["remove-input"]
# @title { display-mode: "form" }
pl.say(rf"""
Nothing fails, no error is raised. The digits are worse, and a pixel costs
{spoiled_bits:.3f} bits instead of {live_bits:.3f}. A trap of this kind is
found by a test ("same logits twice"), not by a crash.
""")

# %% [markdown]
# ## The shipped network
#
# The same network, wider, on 28 x 28 digits with 256 levels, comes with the
# book. What does its file say, and what does that of chapter 2's PixelCNN say?

# %%
model, rival = pl.load("gpt"), pl.load("pixelcnn")
facts = {}
for name, one in {"GPT": model, "PixelCNN": rival}.items():
    stages = [one.provenance]  # of the training, the last one first
    while "started_from" in stages[-1]:
        stages.append(stages[-1]["started_from"])
    facts[name] = {
        "parameters": sum(part.numel() for part in one.prior.parameters()),
        "images": sum(stage["epochs_done"] * stage["train_images"]
                      for stage in stages),
        "minutes": sum(stage["seconds"] for stage in stages) / 60,
        "bits": one.provenance["valid_bits_per_token"],
        "tested": "{:.3f}".format(
            one.provenance["test_bits_per_token"])
        if "test_bits_per_token" in one.provenance else "not measured"}
    print(f"{name}: {facts[name]['bits']:.3f} bits a pixel after "
          f"{facts[name]['minutes']:.0f} minutes of training")
assert model.provenance["data_sha256"] == rival.provenance["data_sha256"]

# %% [markdown]
# A file can claim anything. It also holds the bits of 64 single validation
# digits. Do we get the same?

# %%
every = model.provenance["check"]["every"]
sixty = slice(0, 64 * every, every)
stored = torch.tensor(model.provenance["check"]["bits"]).double()  # (64,)
costs = model.token_bits(x_valid[sixty], y_valid[sixty])  # (64, 784)
difference = (costs.sum(dim=1) / stored - 1).abs().max().item()
print(f"largest difference: {100 * difference:.3f} %")
assert difference < 0.005

# %% cellView="form" jupyter={"source_hidden": true} tags=["remove-input"]
# @title { display-mode: "form" }
winner, loser = sorted(facts, key=lambda name: facts[name]["bits"])
lead = facts[loser]["bits"] - facts[winner]["bits"]
rows = "\n".join(
    f"| `{name.lower()}` | {fact['bits']:.3f} | {fact['tested']} "
    f"| {fact['parameters']:,} | {fact['images']:,} | {fact['minutes']:.0f} |"
    for name, fact in facts.items())
pl.say(rf"""
| bits a pixel | validation | test | parameters | digits seen | minutes |
|---|---|---|---|---|---|
{rows}

(MNIST with 256 levels.) Both were told the label, learned from the same
digits, and are scored on the same others. The {winner} needs fewer bits:
{lead:.3f} a pixel less than the {loser}, or
{100 * lead / facts[loser]['bits']:.1f} %.

Is the {winner} the better idea, then? The table does not say so. It compares
two weight files. The two networks have not the same number of parameters,
did not see the same number of digits, and did not take the same time. What
can be said is what each of them brings along. The PixelCNN knows that
pictures are local and the same everywhere: its kernels have no other choice.
The GPT knows that only as far as its window goes. What lies further away it
can reach in one step, wherever it is, but it must learn where to look. With
little data and little time, knowledge built in is worth much; with more of
both, freedom is ([Chen et al., 2020](../book/bibliography.md#chen2020)).
""")

# %% [markdown]
# ### Where are the bits?
#
# The map of costs, as in chapter 2. At which pixels was this model surprised?

# %% mystnb={"image": {"alt": "Above six real digits, below for each a map of bits a pixel. Paper is black, the contours of the strokes glow, most of all where a stroke begins; the inside of the strokes is darker."}}
chosen = list(range(3, 63, 10))
maps = costs[chosen].view(-1, 28, 28)
figure, axes = plt.subplots(2, 6, figsize=(8, 3), layout="constrained")
for i, (upper, lower) in enumerate(axes.T):
    upper.imshow(x_valid[sixty][chosen[i]])
    upper.set_title(f"{maps[i].sum():.0f} bits", fontsize=9)
    heat = lower.imshow(maps[i], cmap="inferno", vmin=0, vmax=10)
    upper.axis("off")
    lower.axis("off")
figure.colorbar(heat, ax=axes[1], label="bits", shrink=0.9)
plt.show()

# %% [markdown]
# Paper is nearly free, and so is the inside of a stroke. The bits are on the
# edges, and above all where a new stroke begins that nothing announced. How
# few pixels hold half of the bits?

# %% mystnb={"image": {"alt": "A curve of the share of all bits against the share of pixels, the dearest pixels first. It rises steeply: a small part of the pixels holds half of the bits, which is marked in orange."}}
ranked = costs.flatten().sort(descending=True).values
share = ranked.cumsum(dim=0) / ranked.sum()
half = int((share < 0.5).sum()) / len(share)
figure, axis = plt.subplots(figsize=(5, 2.6))
axis.plot(torch.linspace(0, 100, 1000),
          100 * share[torch.linspace(0, len(share) - 1, 1000).long()])
axis.plot([0, 100 * half, 100 * half], [50, 50, 0], ":",
          color=pl.figures.ORANGE)
axis.set(xlabel="share of the pixels in %, dearest first",
         ylabel="share of the bits in %", xlim=(0, 100), ylim=(0, 101))
plt.show()

# %% cellView="form" jupyter={"source_hidden": true} tags=["remove-input"]
# @title { display-mode: "form" }
pl.say(rf"""
{100 * half:.1f} % of the pixels hold half of the bits.
""")

# %% [markdown]
# ## Where does it look?
#
# Attention has weights, and weights can be looked at. We catch what each
# block's attention is given, compute queries and keys by its own `split`, and
# the weights by the function that we wrote by hand.

# %%
@torch.no_grad()
def attention_maps(prior, tokens, label):
    """Weights of every layer and head: (layers, heads, T, T)."""
    maps = []

    def catch(attention, inputs):
        _, weights = attention_by_hand(*attention.split(inputs[0]))
        maps.append(weights[0].cpu())

    hooks = [block.attention.register_forward_pre_hook(catch)
             for block in prior.blocks]
    prior(tokens.to(scale.device), label.to(scale.device))
    for hook in hooks:
        hook.remove()
    return torch.stack(maps)


which = 45  # one of the 64
digit, label = x_valid[sixty][which], y_valid[sixty][which:which + 1]
looks = attention_maps(model.prior, model.tokenizer.encode(digit[None]),
                       label)  # (2, 5, 784, 784)
assert not looks.triu(1).any()

# %% [markdown]
# Which pixels matter for the one framed in black? Light blue is not drawn yet.
# The digit so far is grey; the more weight a place has, the more orange it is.
# (Each head is named by its layer and number. A place is the one that
# *predicts* its pixel: it has been told what comes before.)

# %% mystnb={"image": {"alt": "Eleven small pictures of the same half drawn digit: the digit itself with a black frame around the next pixel, and ten maps, five heads in each of two layers. In some maps the orange weight lies around the frame, in others on far strokes or in the rows above."}}
place = int(costs[which, 15 * 28:20 * 28].argmax()) + 15 * 28
row, column = divmod(place, 28)
known = torch.arange(784).view(28, 28) < place
ink = 1 - 0.45 * digit / 255.0
sheet = torch.stack([ink, ink, ink], dim=-1)  # (28, 28, 3)
sheet[~known] = torch.tensor(pl.figures.NOT_YET) / 255
orange = torch.tensor([0.85, 0.45, 0.05])
figure, axes = plt.subplots(2, 6, figsize=(7.5, 2.9), layout="constrained")
for axis in axes.flat:
    axis.axis("off")
    axis.add_patch(plt.Rectangle((column - 1, row - 1), 2, 2, fill=False))
for layer in range(2):
    axes[layer, 0].imshow(sheet if layer else digit)
    axes[layer, 0].set_title("so far" if layer else "the digit", fontsize=9)
    for head in range(5):
        weight = looks[layer, head, place].view(28, 28, 1)
        alpha = (weight / weight.max()) ** 0.5
        axes[layer, head + 1].imshow(alpha * orange + (1 - alpha) * sheet)
        axes[layer, head + 1].set_title(f"head {layer + 1}.{head + 1}",
                                        fontsize=9)
plt.show()

# %% [markdown]
# Do the heads share the work? For each head: how many rows back is it looking,
# on average over all places that hold ink?

# %% mystnb={"image": {"alt": "A horizontal bar for each of the ten heads, with the mean number of rows that it looks back. The longest is about twice as long as the shortest."}}
rows = torch.arange(784) // 28
back = (rows[:, None] - rows[None, :]).clamp(min=0)  # (784, 784)
inked = digit.flatten() > 0
distance = (looks * back).sum(dim=-1)[..., inked].mean(dim=-1)  # (2, 5)
figure, axis = plt.subplots(figsize=(6, 2.6))
names = [f"{layer}.{head}" for layer in (1, 2) for head in range(1, 6)]
axis.barh(names, distance.flatten(), color=[pl.figures.BLUE] * 5
          + [pl.figures.ORANGE] * 5)
axis.set(xlabel="rows back, on average", ylabel="head")
axis.invert_yaxis()
plt.show()

# %% cellView="form" jupyter={"source_hidden": true} tags=["remove-input"]
# @title { display-mode: "form" }
pl.say(rf"""
From {distance.min().item():.1f} to {distance.max().item():.1f} rows: nobody
told them to, and yet some look nearby and others far. Be careful with such
pictures, though. A weight says where a head looked, not what it took from
there, nor what later layers made of it
([Jain and Wallace, 2019](../book/bibliography.md#jain2019)).
""")

# %% [markdown]
# ## Choosing a level
#
# The network gives 256 probabilities, and a die is thrown. Do we want a fair
# die? One may bend the distribution first, to keep unlikely levels from being
# drawn. Three filters are common:
#
# - **[temperature](../book/glossary.md#temperature)** $\tau$ divides the
#   logits. Below 1 the likely becomes likelier; at 0 the likeliest always
#   wins.
# - **[top-k](../book/glossary.md#top-k)** keeps the $k$ likeliest levels
#   ([Fan et al., 2018](../book/bibliography.md#fan2018)). How many are
#   sensible depends on the pixel: one in the middle of paper, a hundred on an
#   edge.
# - **[top-p](../book/glossary.md#top-p)** keeps as many as are needed to reach
#   the probability $p$, few where the model is sure and many where it is not
#   ([Holtzman et al., 2020](../book/bibliography.md#holtzman2020)).

# %%
def keep_top_k(probs, k):
    """Only the k likeliest levels, scaled to sum to 1: (K,)."""
    kept = torch.zeros_like(probs)
    likeliest = probs.argsort(descending=True, stable=True)[:k]
    kept[likeliest] = probs[likeliest]
    return kept / kept.sum()


def keep_top_p(probs, p):
    """The fewest levels that together reach p, scaled to sum to 1."""
    order = probs.argsort(descending=True, stable=True)
    reached = probs[order].cumsum(dim=0)
    count = int((reached < p).sum()) + 1  # the one that reaches p as well
    return keep_top_k(probs, count)

# %% [markdown]
# What do they do to the guess for one real pixel? We take one of the digit
# above whose [entropy](../book/glossary.md#entropy) is near 5 bits and that
# has no clear favourite: not sure, but not clueless. The small pictures show
# the levels ordered from the likeliest to the least likely, the guess itself
# in grey and what a filter makes of it in blue.

# %% mystnb={"image": {"alt": "Above, the guess for one pixel: the probabilities of the levels 0 to 255, high at a few levels and low at many. Below, four pictures of the same guess ordered by probability, in grey, and in blue after a filter: temperature 0.7 is steeper, temperature 1.3 flatter; top-k ends after 10 levels, top-p after as many as reach 0.8."}}
with torch.no_grad():
    guesses = torch.softmax(model.prior(
        model.tokenizer.encode(digit[None]).to(scale.device),
        label.to(scale.device))[0].double().cpu(), dim=-1)  # (784, 256)
entropy = -(guesses * guesses.clamp(1e-12).log2()).sum(dim=-1)
peak = guesses.amax(dim=-1)
guess = guesses[((entropy - 5).abs() + 9 * peak).argmin()]
order = guess.argsort(descending=True, stable=True)
bent = {"temperature 0.7": (guess.log() / 0.7).softmax(dim=0),
        "temperature 1.3": (guess.log() / 1.3).softmax(dim=0),
        "top-k 10": keep_top_k(guess, 10),
        "top-p 0.8": keep_top_p(guess, 0.8)}
figure, axes = plt.subplot_mosaic(
    [["all"] * 4, list(bent)], figsize=(7.5, 4), layout="constrained")
axes["all"].bar(range(256), guess, width=1, color=pl.figures.GREY)
axes["all"].set(xlabel="level", ylabel="probability", xlim=(-2, 257))
for name, after in bent.items():
    axes[name].fill_between(range(256), guess[order], step="mid",
                            color="#d0d7de")
    axes[name].step(range(256), after[order], where="mid")
    axes[name].set(title=name, xlabel="rank", xlim=(-1, 60), ylim=(0, None))
plt.show()

# %% [markdown]
# Are our filters those of the package?

# %%
# NBVAL_CHECK_OUTPUT
logits = guess.log()[None]  # (1, 256)
for name, settings in {"temperature 0.7": dict(temperature=0.7),
                       "temperature 1.3": dict(temperature=1.3),
                       "top-k 10": dict(top_k=10),
                       "top-p 0.8": dict(top_p=0.8)}.items():
    theirs = pl.sampling.probabilities(logits, **settings)[0]
    print(f"{name}: same", torch.allclose(bent[name], theirs, atol=1e-12))

# %% [markdown]
# And what do they do to digits? All rows below are drawn in one batch, the
# same uniform numbers in each column, a filter of its own for each row.

# %%
@torch.no_grad()
def draw_filtered(model, labels, settings, seed):
    """The same labels once for each setting: (settings * N, H, W)."""
    count, length = len(labels), model.tokenizer.length
    uniforms = pl.sampling.uniform_numbers(count, length, seed)
    uniforms = uniforms.repeat(len(settings), 1)
    tokens = torch.zeros(uniforms.shape, dtype=torch.int64)
    memory = model.prior.start(
        labels.repeat(len(settings)).to(scale.device))
    token = None
    for t in range(length):
        logits = model.prior.step(memory, token).cpu()
        guesses = torch.cat([
            pl.sampling.probabilities(part, **setting) for part, setting
            in zip(logits.split(count), settings)])
        tokens[:, t] = pl.sampling.draw(guesses, uniforms[:, t])
        token = tokens[:, t].to(scale.device)
    return model.tokenizer.decode(tokens)

# %% [markdown]
# Which setting would you choose?

# %% mystnb={"image": {"alt": "Six rows of four sampled digits. At temperature 1.2 extra strokes cross the digits. At 0.8, with top-k 20 and with top-p 0.9 strokes are missing or run together; with top-p 0.99 fewer are."}}
settings = {"temperature 0.8 ": dict(temperature=0.8), "unfiltered ": {},
            "temperature 1.2 ": dict(temperature=1.2),
            "top-k 20 ": dict(top_k=20), "top-p 0.9 ": dict(top_p=0.9),
            "top-p 0.99 ": dict(top_p=0.99)}
labels = torch.tensor([2, 3, 4, 8])
filtered = draw_filtered(model, labels, list(settings.values()), seed=1)
pl.figures.grid(filtered, columns=4, row_titles=list(settings), size=0.75)
plt.show()
paper = [(row == 0).float().mean().item() for row in filtered.split(4)]

# %% cellView="form" jupyter={"source_hidden": true} tags=["remove-input"]
# @title { display-mode: "form" }
pl.say(rf"""
Every filter has a price. At most places paper is the likeliest level, so
whatever makes the likely likelier makes *paper*: {100 * paper[0]:.0f} % of
the pixels are blank at temperature 0.8, {100 * paper[1]:.0f} % unfiltered,
{100 * paper[2]:.0f} % at temperature 1.2.

Top-p 0.9, a usual choice for text, leaves {100 * paper[4]:.0f} % blank:
strokes are missing. Why? Look at the place where the first ink of a real
digit is. How likely did the model think paper there?
""")

# %%
some = slice(0, 64 * every, 2 * every)  # 32 digits
tokens = model.tokenizer.encode(x_valid[some])
first = (tokens > 0).int().argmax(dim=1)  # (32,) place of the first ink
with torch.no_grad():
    logits = model.prior(tokens.to(scale.device),
                         y_valid[some].to(scale.device))
likely_paper = logits[torch.arange(32), first].softmax(dim=-1)[:, 0].cpu()
never = int((likely_paper >= 0.9).sum())
print(f"median {likely_paper.median():.3f}, at least 0.9 for {never} of 32")

# %% cellView="form" jupyter={"source_hidden": true} tags=["remove-input"]
# @title { display-mode: "form" }
pl.say(rf"""
Somewhere a stroke must begin, but at each single place it probably does not.
Where paper alone reaches 0.9, top-p keeps nothing else: {never} of 32 real
digits could not have begun where they do. A filter that looks at one token
at a time does not know that the rare token has to come *some* time. And
whatever is drawn through a filter no longer comes from the model that the
bits describe.
""")

# %% [markdown]
# ## Forty digits
#
# Forty digits in one batch, unfiltered. How does one come about? Light blue is
# not drawn yet.

# %% mystnb={"image": {"alt": "Three digits, a 2, a 5 and an 8, each at eight moments of its drawing. The light blue part that is not drawn yet shrinks from top to bottom."}}
forty_labels = torch.arange(10).repeat(4)
drawing = pl.figures.frames(model, model.stream(labels=forty_labels, seed=0))
forty = torch.from_numpy(drawing[-1, ..., 0].copy())  # (40, 28, 28)
pl.figures.filmstrip(drawing[:, [2, 5, 8]])
plt.show()

# %% [markdown]
# All ten classes in motion, fourteen pixels a frame.

# %%
movie = torch.stack([
    torch.from_numpy(pl.images.sheet(moment[:10], columns=5, scale=3))
    for moment in drawing]).numpy()
pl.figures.animation(movie, "The ten digits 0 to 9 being drawn pixel by "
                     "pixel, from top to bottom, light blue where nothing is "
                     "drawn yet.")

# %% [markdown]
# Why not a frame for each pixel, 784 of them, shown quickly? Because a GIF
# cannot be quick. Viewers ignore frames that last less than 20 milliseconds,
# most of them by showing each for a tenth of a second, and a quick film
# becomes a slow one. Our function refuses:

# %%
try:
    pl.images.gif("fast.gif", movie, milliseconds=10)
    refused = False
except ValueError as error:
    refused = True
    print(error)
assert refused

# %% [markdown]
# And all forty:

# %% mystnb={"image": {"alt": "Forty sampled digits in ten columns, one for each class from 0 to 9. Most can be read at once; a few have broken or odd strokes."}}
pl.figures.grid(forty, columns=10, titles=[str(k) for k in range(10)],
                size=0.7)
plt.show()

# %% [markdown]
# ## Finishing half a digit
#
# A sentence can be continued. Below, the upper half of real digits that the
# network has never seen is given, with the label. How many ways does it find
# to go on?

# %% mystnb={"image": {"alt": "Five rows. Each shows a real digit, its upper half above light blue, and three different completions of the half, most of them plausible."}}
real = x_valid[[130, 450, 710, 1010, 1810]]
names = y_valid[[130, 450, 710, 1010, 1810]]
four = x_valid[y_valid == 4][45]
told = torch.tensor([4, 9, 7, 1, 0])  # labels for the same half of a 4
both = torch.cat([real.repeat_interleave(3, dim=0), four.repeat(10, 1, 1)])
both_labels = torch.cat([names.repeat_interleave(3),
                         told.repeat_interleave(2)])
ends = model.complete(both, rows=14, labels=both_labels.tolist(), seed=1)
assert torch.equal(ends[:, :14], both[:, :14])  # what was given is kept
halves = pl.figures.partial(model, model.tokenizer.encode(real)[:, :392])
shown = pl.images.to_array(ends)
rows = [[whole, half, *shown[3 * i:3 * i + 3]] for i, (whole, half)
        in enumerate(zip(pl.images.to_array(real), halves))]
pl.figures.grid([image for row in rows for image in row], columns=5,
                titles=["real", "given"] + ["drawn"] * 3, size=0.75)
plt.show()

# %% [markdown]
# Now an odd request: the upper half is that of a 4, and the label says
# something else. Which one wins?

# %% mystnb={"image": {"alt": "The upper half of a 4, and two rows of five completions of it, told to be a 4, a 9, a 7, a 1 and a 0. The 4 and the 9 fit; for the others the lower half does what it can."}}
half = pl.figures.partial(model, model.tokenizer.encode(four[None])[:, :392])
rows = [[half[0], *shown[15 + i:25:2]] for i in range(2)]
pl.figures.grid([image for row in rows for image in row], columns=6,
                titles=["given"] + [f"told: {label}" for label in told],
                size=0.75)
plt.show()

# %% [markdown]
# The given half is a fact, and the label a hint. Where the half leaves room,
# the label can decide. Where the two contradict each other, each place does
# what is likeliest next to what is already there.
#
# ## The cache, by hand
#
# So far the network looked at a whole picture in one pass. Drawing needs one
# place at a time, and a naive sampler computes the whole sentence again for
# each token, only to use its last place. How many places does it compute?

# %%
# NBVAL_CHECK_OUTPUT
print("computed by the naive sampler:", sum(range(1, 785)))
print("needed:", 784)

# %% [markdown]
# What could be kept? Follow one place through a block. Its query is used once,
# by itself. Its key and its value are used by *every later place*, and they
# never change, since they depend only on the past. So keep keys and values of
# all places, and compute only the newest place: that is the
# [KV cache](../book/glossary.md#kv-cache). Here it is as a list of pairs for
# each block.

# %%
def look_back(attention, x, pairs):
    """Attention for one new place x (B, 1, width); pairs: k, v so far."""
    q, k, v = attention.split(x)  # (B, heads, 1, c) each
    pairs.append((k, v))
    keys, values = (torch.cat(parts, dim=2) for parts in zip(*pairs))
    y = F.scaled_dot_product_attention(q, keys, values)  # all are the past
    return attention.out(rearrange(y, "b h t c -> b t (h c)"))


@torch.no_grad()
def next_logits(net, cache, tokens, labels):
    """Logits (B, K) of the place after tokens (B, t)."""
    place = torch.tensor([tokens.shape[1]])
    x = net.read(tokens, labels, place)  # (B, 1, width)
    for block, pairs in zip(net.blocks, cache):
        x = x + look_back(block.attention, block.norm_attention(x), pairs)
        x = x + block.mlp(block.norm_mlp(x))
    return net.head(net.norm(x))[:, 0]

# %% [markdown]
# No mask is left: what is ahead is not in the list. Does it find, one place at
# a time, the logits of the parallel pass? In double precision, the two may
# differ by rounding only.

# %%
# NBVAL_CHECK_OUTPUT
exact = GPT(**setting).double()
exact.load_state_dict(net.state_dict())
tokens, labels = tokens_valid[1000:1002], y_valid[1000:1002]
cache = [[] for block in exact.blocks]
with torch.no_grad():
    parallel = exact(tokens, labels)  # (2, 196, 4)
steps = torch.stack([next_logits(exact, cache, tokens[:, :t], labels)
                     for t in range(196)], dim=1)  # (2, 196, 4)
print("same logits:", torch.allclose(steps, parallel, atol=1e-10))
print("pairs in the cache of a block:", len(cache[0]))

# %% [markdown]
# And does a sampler with the package's cache (`prior.start`, `prior.step`)
# draw the same tokens as one without? Copying a growing list at each step is
# wasteful, so the package writes into a table of full size; otherwise it does
# the same.

# %%
# NBVAL_CHECK_OUTPUT
quick_twin = gpt.GPT(**setting).double()
quick_twin.load_state_dict(net.state_dict())
labels, uniforms = torch.tensor([3, 8]), uniforms[:2]
naive = pl.sampling.sample(exact, labels, uniforms, cached=False)
cached = pl.sampling.sample(quick_twin, labels, uniforms)
print("same tokens:", torch.equal(naive, cached))

# %% [markdown]
# How much time does it save? We ask the shipped network for one more token
# after 98, 196, 392 and 783 tokens, without and with a cache.

# %%
@torch.no_grad()
def time_next_token(prior, tokens, label, places):
    """Milliseconds for the token at each of the places, without and with."""
    cache, token = prior.start(label), None
    slow, fast = [], []
    for t in range(max(places) + 1):
        started = time.perf_counter()
        prior.step(cache, token)
        fast.append(time.perf_counter() - started)
        if t in places:
            started = time.perf_counter()
            prior(tokens[:, :t + 1], label)[:, t].cpu()
            slow.append(1000 * (time.perf_counter() - started))
        token = tokens[:, t]
    return slow, [1000 * sorted(fast[t - 14:t])[7] for t in places]


places = (98, 196, 392, 783)
slow, fast = time_next_token(
    model.prior, model.tokenizer.encode(digit[None]).to(scale.device),
    label.to(scale.device), places)

# %% [markdown]
# A step with a cache is the median of fourteen. Mind the logarithmic axis.

# %% mystnb={"image": {"alt": "Milliseconds for one more token against the number of tokens so far, on a logarithmic axis. Without a cache the time rises steeply with the number of tokens. With a cache it is far lower and nearly constant."}}
figure, axis = plt.subplots(figsize=(6, 2.8))
for times, name, colour in ((slow, "without cache", pl.figures.ORANGE),
                            (fast, "with cache", pl.figures.BLUE)):
    axis.plot(places, times, marker="o", color=colour)
    axis.annotate(f" {name}", (places[-1], times[-1]), color=colour,
                  va="center")
axis.set(xlabel="tokens so far", ylabel="milliseconds", yscale="log",
         xticks=places)
plt.show()
assert slow[-1] > 2 * fast[-1] and slow[-1] > slow[0]

# %% cellView="form" jupyter={"source_hidden": true} tags=["remove-cell"]
memory = model.prior.start(torch.tensor([3]).to(scale.device))
kept = sum(part.nbytes for part in memory.kv)

# %% cellView="form" jupyter={"source_hidden": true} tags=["remove-input"]
# @title { display-mode: "form" }
pl.say(rf"""
Without a cache the last token takes {slow[-1]:.0f} ms, with it
{fast[-1]:.1f} ms: {slow[-1] / fast[-1]:.0f} times less, on the machine that
made this page. (Whole digits are timed by `make bench`.) The price is
memory: {kept / 2**20:.1f} MiB for each picture that is being drawn. For
large networks this memory, and the time to read it, is what limits drawing
([Shazeer, 2019](../book/bibliography.md#shazeer2019)).
""")

# %% [markdown]
# ## What it cannot do
#
# Are the digits what we asked for? A [judge](../book/glossary.md#judge)
# decides, a small convolutional network that learned to read from the 10,000
# test digits. No network that draws has ever seen those: judge and painter
# learned from different digits.

# %%
judge = pl.classify.reader("judge")
read = judge.read(forty)  # (40,)
right = read == forty_labels
print(f"{int(right.sum())} of 40 are read as asked")

# %% cellView="form" jupyter={"source_hidden": true} tags=["remove-input"]
# @title { display-mode: "form" }
pl.say(rf"""
{int(right.sum())} of 40 are read as asked. (Of real validation digits the
judge reads {100 * judge.provenance['valid_accuracy']:.1f} % correctly.) Here
are seven of the worst, first those that were not, then, if there is room,
those with the most improbable pixels. Below each of them: how surprised was
the network by what it had drawn itself?
""")

# %% mystnb={"image": {"alt": "Above seven failed samples, each with the digit asked for and the digit read. Below, for each, a map of bits a pixel with bright spots where a draw was improbable."}}
surprise = model.token_bits(forty, forty_labels)  # (40, 784)
worst = surprise.amax(dim=1) + 100 * ~right  # the misread ones first
chosen = worst.argsort(descending=True)[:7]
figure, axes = plt.subplots(2, 7, figsize=(7.5, 2.8), layout="constrained")
for i, (upper, lower) in zip(chosen, axes.T):
    upper.imshow(forty[i])
    upper.set_title(f"asked {forty_labels[i]}\nread {read[i]}", fontsize=9)
    heat = lower.imshow(surprise[i].view(28, 28), cmap="inferno", vmin=0,
                        vmax=12)
    upper.axis("off")
    lower.axis("off")
figure.colorbar(heat, ax=axes[1], label="bits", shrink=0.9)
plt.show()

# %% cellView="form" jupyter={"source_hidden": true} tags=["remove-input"]
# @title { display-mode: "form" }
pl.say(rf"""
- **An improbable draw is no accident.** In half of the samples some pixel
  was a surprise of {surprise.amax(dim=1).median().item():.0f} bits or more.
  With 784 draws, some land in the tail. A filter cuts the tail, at the price
  that we saw.
- **What is drawn is true from then on.** A speck becomes the beginning of a
  stroke, because in real digits a speck *is* the beginning of a stroke.
  Training showed the network only real pasts, never its own mistakes.
- **The label is a hint**, as in chapter 2. Every place is told it, but it is
  worth a few bits an image, out of hundreds. When a 4 has closed at the top,
  a 9 is the likeliest way to go on, and no place looks ahead to where that
  leads.
- **784 steps stay 784 steps.** The cache makes each one cheap. Fewer tokens
  would make fewer: that is a matter of the tokenizer, not of the network.
""")

# %% [markdown]
# ## Turning the knobs
#
# With a kernel running, the picture below is drawn again whenever you move a
# knob, and you see it grow, a row of pixels at a time. `rows` is how many rows
# of a real digit are given.

# %%
import io

from PIL import Image


def draw_live(screen, digit, **settings):
    """Draw on the screen; settings: rows, seed and the three filters."""
    real = x_valid[y_valid == digit][settings["seed"]][None]
    for tokens in model.stream(images=real, labels=[digit], **settings):
        if tokens.shape[1] % 28 == 0:  # another row is complete
            picture = pl.images.sheet(pl.figures.partial(model, tokens),
                                      columns=1, scale=10)
            file = io.BytesIO()
            Image.fromarray(picture).save(file, "PNG")
            screen.value = file.getvalue()

# %% [markdown]
# Six knobs and a screen:

# %% tags=["remove-output"]
import ipywidgets as widgets

screen = widgets.Image(format="png")
knobs = {
    "digit": widgets.IntSlider(3, min=0, max=9),
    "temperature": widgets.FloatSlider(1, min=0, max=2, step=0.05),
    "top_k": widgets.IntSlider(256, min=1, max=256),
    "top_p": widgets.FloatSlider(1, min=0.05, max=1, step=0.01),
    "seed": widgets.IntSlider(0, min=0, max=99),
    "rows": widgets.IntSlider(0, min=0, max=28)}


def begin_again(change=None):
    """Draw with the knobs as they stand."""
    draw_live(screen, **{name: knob.value for name, knob in knobs.items()})


for name, knob in knobs.items():
    knob.description, knob.continuous_update = name, False
    knob.observe(begin_again, "value")
begin_again()
widgets.HBox([widgets.VBox(list(knobs.values())), screen])

# %% [markdown]
# On a page there is no kernel. The knobs below need none: samples that were
# drawn beforehand, and under them one guess of the network, which your browser
# filters as we do. Top-k is there, too. At which token does top-p 0.9 keep the
# fewest levels, and at which the most? A fixed $k$ cannot do both.

# %%
pl.explore.settings(
    model, x_valid[1], int(y_valid[1]), labels=[3, 8], seeds=2,
    temperatures=(0, 0.4, 0.7, 1, 1.2), top_ps=(1, 0.95, 0.8),
    top_ks=(1, 2, 5, 10, 50),
    alt="A sheet of samples of a 3 and an 8. In the first row of each seed, "
    "temperature 0, the sheet is empty or nearly so. Below, the strokes grow "
    "with the temperature, until at 1.2 some are torn or cross each other. "
    "Towards the right, with lower top-p, there is less and less ink.")

# %% [markdown]
# And [the live page](../book/live.md) goes one step further: there this very
# network, in eight-bit weights, runs in your browser and finishes what you
# draw.
#
# What the screen with a kernel shows is here: a 5 at eight moments, above from
# nothing, below from the first ten rows of a real one, with temperature 0.95.

# %% mystnb={"image": {"alt": "Two rows of eight moments of a drawing of a 5. Above it starts from an empty sheet, below with ten given rows. The light blue part shrinks from top to bottom."}}
real = x_valid[y_valid == 5][3][None]
films = [pl.figures.frames(model, model.stream(
    images=real, rows=rows, labels=[5], temperature=0.95, seed=3))
    for rows in (0, 10)]
film = torch.cat([torch.from_numpy(part) for part in films], dim=1).numpy()
film[:19, 1] = film[19, 1]  # the given rows are there from the start
pl.figures.filmstrip(film)
plt.show()

# %% [markdown]
# ## Exercises

# %% [markdown]
# ### Exercise 3.1: Does attention know the order?
#
# Take away the rows and columns: a place is told nothing but tokens. Shuffle
# what the earlier places hold. Does the output of the *last* place change,
# with one layer of attention? With two? Think first: what is a weighted mean
# of shuffled values?

# %% [markdown] jp-MarkdownHeadingCollapsed=true
# #### Solution of exercise 3.1

# %% cellView="form" jupyter={"source_hidden": true}
# @title Solution { display-mode: "form" }
# NBVAL_CHECK_OUTPUT
torch.manual_seed(0)
layers = [SelfAttention(width=12, heads=3).double() for _ in range(2)]
x = torch.randn(1, 30, 12, dtype=torch.float64)
shuffled = torch.cat([x[:, torch.randperm(29)], x[:, 29:]], dim=1)
for count in (1, 2):
    first, second = x, shuffled
    for layer in layers[:count]:
        first, second = layer(first), layer(second)
    print(f"layers: {count}, same output at the last place:",
          torch.allclose(first[:, -1], second[:, -1], atol=1e-12))

# %% [markdown]
# A weighted mean does not care about the order of its terms, so one layer sees
# its past as a bag. With two layers the mask gives the order away: each of the
# earlier places has looked at what came before *it*. That is a faint hint,
# though, and rows and columns are told in plain words.

# %% [markdown]
# ### Exercise 3.2: When is attention expensive?
#
# Count multiplications for one place in one block, for width $w$ and $T$
# earlier places: `qkv`, `out` and the two linear layers on one side, scores
# and means on the other. For which $T$ are they equal? Is our `gpt`, with
# width 160 and 784 places, beyond it?

# %% [markdown] jp-MarkdownHeadingCollapsed=true
# #### Solution of exercise 3.2

# %% [markdown]
# The linear layers need $3w^2 + w^2 + 4w^2 + 4w^2 = 12 w^2$ multiplications,
# whatever $T$ is. The scores need $T w$ (all heads together), the means $T w$
# again. They are equal at $T = 6w$: 960 places for width 160. So even for the
# last pixel of a digit attention is less than half of the work. For a picture
# with four times as many pixels a side it would be nearly all of it.

# %% [markdown]
# ### Exercise 3.3: Which temperature do the bits prefer?
#
# Divide the logits by a temperature and compute the bits of 16 validation
# digits. Where is the minimum, and why there? What does it say about sampling
# at 0.8?

# %% [markdown] jp-MarkdownHeadingCollapsed=true
# #### Solution of exercise 3.3

# %% cellView="form" jupyter={"source_hidden": true} mystnb={"image": {"alt": "Bits a pixel of sixteen digits against the temperature from 0.6 to 1.6: a valley with its lowest point near temperature 1."}}
# @title Solution { display-mode: "form" }
images, labels = x_valid[sixty][::4], y_valid[sixty][::4]  # 16 digits
tokens = model.tokenizer.encode(images).to(scale.device)
with torch.no_grad():
    logits = model.prior(tokens, labels.to(scale.device)).flatten(0, 1)
temperatures = (0.6, 0.7, 0.8, 0.9, 1.0, 1.1, 1.2, 1.4, 1.6)
bits = [F.cross_entropy(logits / temperature, tokens.flatten()).item()
        / math.log(2) for temperature in temperatures]
figure, axis = plt.subplots(figsize=(5, 2.4))
axis.plot(temperatures, bits, marker="o")
axis.set(xlabel="temperature", ylabel="bits a pixel")
plt.show()
assert 0.8 < temperatures[bits.index(min(bits))] < 1.3

# %% [markdown]
# Near 1. Training minimises the bits, and a temperature is something that it
# could have learned: had another one been better, the logits would have been
# scaled so. At 0.8 samples may look cleaner, and real digits cost more: it is
# the guess of a model that is too sure of itself.

# %% [markdown]
# ### Exercise 3.4: One key for all heads
#
# How much memory does the cache take for 100 digits at once? In *multi-query*
# attention all heads share one key and one value and differ only in their
# queries. How much is left?

# %% [markdown] jp-MarkdownHeadingCollapsed=true
# #### Solution of exercise 3.4

# %% cellView="form" jupyter={"source_hidden": true}
# @title Solution { display-mode: "form" }
labels = torch.zeros(100, dtype=torch.int64, device=scale.device)
kv = model.prior.start(labels).kv  # (2, 100, heads, 784, c) for each layer
for heads in (kv[0].shape[2], 1):
    size = sum(part[:, :, :heads].nbytes for part in kv)
    print(f"{heads} times keys and values: {size / 2**20:.0f} MiB")

# %% [markdown]
# A part as large as the number of heads. Drawing with large networks is
# limited by reading this memory, not by arithmetic, so it is also faster
# ([Shazeer, 2019](../book/bibliography.md#shazeer2019)). What it costs in bits
# must be measured.

# %% [markdown]
# ## What to remember
#
# - A picture is a sentence of pixels. A label is a word that is read but never
#   drawn.
# - Attention is a weighted mean of values, by how well keys fit a query. The
#   mask makes it causal, and a gradient proves it.
# - What everybody knows about pictures, that neighbours matter, is told to the
#   network, not left to be found.
# - Keys and values never change. Keeping them makes each step cheap, and
#   changes no token.
# - Five quiet traps: dropout left on while drawing, labels among the logits, a
#   sum in place, tables of $T \times T$ weights, and films that are too quick.
#
# Both guessers so far draw 784 tokens, one for each pixel. The next question
# is not how to guess, but what to guess: what if a token were more than a
# pixel? [chapter 4](04_symbols.ipynb) tries it.
#
# ## Further reading
#
# - [Vaswani et al. (2017)](../book/bibliography.md#vaswani2017) introduced the
#   transformer; [Radford et al. (2019)](../book/bibliography.md#radford2019)
#   the decoder with blocks that normalise first.
# - [Chen et al. (2020)](../book/bibliography.md#chen2020) trained GPTs on
#   pixels, at a scale where nothing about pictures needs to be built in, and
#   used what they had learned to recognise objects.
# - [Parmar et al. (2018)](../book/bibliography.md#parmar2018) let each pixel
#   attend to its neighbourhood only.
# - [Holtzman et al. (2020)](../book/bibliography.md#holtzman2020) show why the
#   likeliest continuation is not a likely one, and propose top-p; top-k is
#   from [Fan et al. (2018)](../book/bibliography.md#fan2018).
# - [Dao et al. (2022)](../book/bibliography.md#dao2022) compute exact
#   attention without ever storing its table;
#   [Shazeer (2019)](../book/bibliography.md#shazeer2019) counts what a cache
#   costs, and lets heads share it.
# - [Jain and Wallace (2019)](../book/bibliography.md#jain2019) warn against
#   reading attention as an explanation.
