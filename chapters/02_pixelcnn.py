# %% [markdown]
# # PixelCNN: a picture as a product of guesses

# %% [markdown] tags=["remove-cell"]
# *Takes a minute on one core of a laptop, 3 minutes on a Colab GPU. The same
# [as a page](https://OWNER.github.io/pixel-by-pixel/chapters/02_pixelcnn.html),
# with sliders that need no kernel.*

# %% [markdown]
# Lay a sheet of paper over a picture and pull it down slowly, one pixel at a
# time, in the order of reading. Before each pixel appears, guess how bright it
# will be. Somebody who guesses well knows what pictures look like.
#
# The [chain rule](../book/glossary.md#chain-rule) turns this game into a
# model. The probability of a picture is the product of its guesses,
#
# $$
# p(x) = \prod_{i=1}^{D} p(x_i \mid x_1, \dots, x_{i-1}),
# $$
#
# and its cost in bits is the sum of what the guesses cost.
# [Chapter 1](01_bits.ipynb) guessed with tables of counts. A table cannot look
# far: ten grey pixels have $256^{10} = 2^{80}$ different values, and a table
# learns about each of them separately. In this chapter the guesser is a
# convolutional network, the **PixelCNN**
# ([van den Oord et al., 2016](../book/bibliography.md#oord2016pixelrnn)). It
# can look at everything that came before, and what it learns in one place
# serves in all others.
#
# One question runs through the chapter. A convolution looks in all directions.
# How do we build a network of convolutions that makes all 784 guesses at once
# and never sees an answer?
#
# First, the tools.

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
# How much will be computed? `pl.scale` decides, and says so.

# %%
import math
import tempfile
import time
from pathlib import Path

import matplotlib.pyplot as plt
import torch
import torch.nn.functional as F
from einops import rearrange
from matplotlib.colors import to_rgb
from torch import nn

from pixellab.parts import describe
from pixellab.priors import pixelcnn
from pixellab.tokenizers.pixels import Pixels

pl.figures.style()
scale = pl.scale(quick="a minute", colab="3 minutes", release="20 minutes")
_ = torch.manual_seed(0)

# %% [markdown]
# ## Two kinds of digits
#
# What do we guess? Handwritten digits from MNIST
# ([LeCun et al., 1998](../book/bibliography.md#lecun1998)): 28 x 28 pixels,
# each one of 256 levels, 0 for paper and 255 for ink. A model for them takes
# longer to train than you want to wait, so the book brings one along. To watch
# one learn, we also make a smaller version: each pixel the mean of a 2 x 2
# square, rounded to one of 4 levels. The
# [tokenizer](../book/glossary.md#tokenizer) `Pixels` writes a picture as whole
# numbers in the order of reading, its [tokens](../book/glossary.md#token), and
# makes a picture of them again.

# %%
x_train, y_train = pl.data.mnist("train")
x_valid, y_valid = pl.data.mnist("valid")
tokenizer = Pixels(levels=4, height=14, width=14)


def shrink(images):
    """28 x 28 to 14 x 14: each pixel the mean of a 2 x 2 square."""
    means = F.avg_pool2d(images[:, None].float(), 2)[:, 0]
    return means.round().to(torch.uint8)


tokens_train = tokenizer.encode(shrink(x_train))  # (N, 196), 0 to 3
tokens_valid = tokenizer.encode(shrink(x_valid))

# %% [markdown]
# What is left of a digit?

# %% mystnb={"image": {"alt": "Ten handwritten digits, above in 28 by 28 pixels with 256 levels, below in 14 by 14 pixels with 4 levels, coarse but readable."}}
large = x_valid[5::200]  # one digit of each class
little = tokenizer.decode(tokens_valid[5::200])
little = little.repeat_interleave(2, dim=1).repeat_interleave(2, dim=2)
pl.figures.grid(torch.cat([large, little]), columns=10,
                row_titles=["256 levels ", "4 levels "])
plt.show()
paper = (x_valid == 0).float().mean().item()

# %% cellView="form" jupyter={"source_hidden": true} tags=["remove-input"]
# @title { display-mode: "form" }
pl.say(rf"""
Of the 28 x 28 pixels, {100 * paper:.0f} % are plain paper. Those are easy
guesses. The bits will go where paper turns into ink.
""")

# %% [markdown]
# ## The mask
#
# A convolution computes its output at a pixel from a square around it: the
# past (above, and to the left), the pixel itself, and the future. A **mask**
# sets the weights on the future to zero. Which pixels are the past? In
# [raster order](../book/glossary.md#raster-order), all rows above, and in the
# present row all columns to the left.
#
# There are two masks. **Mask A** hides the pixel itself as well: it is what we
# want to guess. **Mask B** shows it. A network needs both, for a reason that
# is easy to miss: after a first layer with mask A, the feature *at* a pixel
# holds only what came *before* that pixel, so later layers may look at it.

# %%
def raster_mask(size, kind):
    """1 where a pixel comes before the centre in raster order, else 0."""
    mask = torch.zeros(size, size)
    mask[:size // 2] = 1  # the rows above
    mask[size // 2, :size // 2] = 1  # the present row, up to the centre
    if kind == "B":
        mask[size // 2, size // 2] = 1  # the centre itself
    return mask

# %% [markdown]
# How do they look?

# %% mystnb={"image": {"alt": "Two five by five squares. In both, the two rows above the centre and the two cells to its left are blue and hold a one. The centre holds a zero in mask A and a one in mask B. All other cells are white and hold a zero."}}
figure, axes = plt.subplots(1, 2, figsize=(5, 2.5))
for axis, kind in zip(axes, "AB"):
    mask = raster_mask(5, kind)
    axis.imshow(mask, cmap="Blues", vmax=1.6)
    for row in range(5):
        for column in range(5):
            axis.text(column, row, int(mask[row, column]),
                      ha="center", va="center")
    axis.add_patch(plt.Rectangle((1.5, 1.5), 1, 1, fill=False, lw=2.5,
                                 color=pl.figures.ORANGE))
    axis.set_title(f"mask {kind}")
    axis.axis("off")
plt.show()

# %% [markdown]
# The orange frame marks the pixel to be guessed. A
# [masked convolution](../book/glossary.md#masked-convolution) multiplies its
# weights by the mask each time it is used. It makes a *new* tensor.
# Multiplying the stored weights in place, as some public code does in
# `forward`, changes parameters behind the optimizer's back.

# %%
class SquareMaskedConv(nn.Conv2d):
    """A size x size convolution whose weights on the future are zero."""

    def __init__(self, in_features, out_features, size, kind):
        super().__init__(in_features, out_features, size, padding=size // 2)
        self.register_buffer("mask", raster_mask(size, kind))

    def forward(self, x):
        weight = self.weight * self.mask  # self.weight stays as it is
        return F.conv2d(x, weight, self.bias, padding=self.padding)


def plain_pixelcnn(depth, size=3, width=6):
    """One layer with mask A, then depth - 1 layers with mask B."""
    layers = [SquareMaskedConv(1, width, size, "A")]
    for _ in range(depth - 1):
        layers += [nn.Tanh(), SquareMaskedConv(width, width, size, "B")]
    return nn.Sequential(*layers).double()

# %% [markdown]
# ## What does it see? Ask the gradient
#
# Is every earlier pixel seen, and no later one? We need not argue about it.
# The gradient of an output with respect to the input tells: where it is
# exactly zero, the output does not depend on that pixel. With random weights
# a zero by accident does not happen.

# %%
def gradient_picture(net, size=15, row=10, column=7):
    """How strongly each input pixel moves net's output at one place."""
    torch.manual_seed(1)
    image = torch.randn(1, 1, size, size, dtype=torch.float64)
    image.requires_grad_(True)
    features = net(image)[0, :, row, column]  # (width,)
    (features * torch.randn_like(features)).sum().backward()
    return image.grad[0, 0].abs()

# %% [markdown]
# To read such a picture at a glance we colour it: blue what is seen (the
# stronger, the darker), **orange what comes before and is not seen**, pale
# grey the future, black the pixel to be guessed. The function refuses a
# network that sees the future.

# %%
def show_sight(axis, gradient, title, row=10, column=7):
    """Draw a gradient picture; returns the number of unseen earlier ones."""
    height, width = gradient.shape
    place = torch.arange(height * width).view(height, width)
    before = place < row * width + column
    seen = gradient > 0
    assert not (seen & ~before).any(), "this network sees the future"
    strength = (gradient / gradient.max()).clamp(1e-6).log10() / 6 + 1
    shade = 0.25 + 0.75 * strength[..., None].numpy()
    blue, orange = (torch.tensor(to_rgb(colour)).numpy() for colour in
                    (pl.figures.BLUE, pl.figures.ORANGE))
    picture = torch.full((height, width, 3), 0.93).numpy()
    picture[before & ~seen] = orange
    picture[seen] = (shade * blue + (1 - shade))[seen]
    picture[row, column] = 0
    axis.imshow(picture)
    axis.set_title(title, fontsize=10)
    axis.axis("off")
    return int((before & ~seen).sum())

# %% [markdown]
# How does this field of view, the
# [receptive field](../book/glossary.md#receptive-field), grow with the number
# of layers?

# %% mystnb={"image": {"alt": "Four squares of 15 by 15 pixels, for 1, 2, 5 and 12 layers. The blue area grows upward and to the left, but an orange wedge to the upper right of the black pixel is still there after 12 layers."}}
figure, axes = plt.subplots(1, 4, figsize=(8, 2.2))
for axis, depth in zip(axes, (1, 2, 5, 12)):
    gradient = gradient_picture(plain_pixelcnn(depth))
    blind = show_sight(axis, gradient, f"layers: {depth}")
plt.show()

# %% cellView="form" jupyter={"source_hidden": true} tags=["remove-input"]
# @title { display-mode: "form" }
pl.say(rf"""
No future is seen, good. But after twelve layers {blind} earlier pixels are
still orange: the **[blind spot](../book/glossary.md#blind-spot)**. More
layers never help. To move one step to the right, news has to pass through a
kernel cell on the right, and those exist only in the rows above: a 3 x 3
kernel goes one step right for each step down. A pixel three columns to the
right and one row up has no way in. Whoever draws the top bar of a 7 needs
exactly this pixel.
""")

# %% [markdown]
# ## Two stacks
#
# The cure
# ([van den Oord et al., 2016](../book/bibliography.md#oord2016conditional)) is
# to split the past in two,
# [a vertical and a horizontal stack](../book/glossary.md#vertical-and-horizontal-stack):
#
# - the **vertical stack** looks at all rows above. It needs no mask: its
#   input is the image moved down by one row, so everything it can reach is
#   the past, to the left and to the right;
# - the **horizontal stack** looks at the present row, to the left, with masks
#   A and B.
#
# The horizontal stack listens to the vertical one in each layer. Never the
# other way round: the vertical stack looks to the right, and its right
# neighbour, told what the present row knows, would pass on the very pixel that
# is to be guessed.
#
# A mask that hides whole rows and columns is a waste: the machine multiplies
# by zeros. We leave those cells out instead. The kernel below reaches `up`
# rows up, `left` columns left and `right` columns right, and has no rows
# below. A mask remains only for the present row.

# %%
# same as: pixellab.priors.pixelcnn.MaskedConv2d
class MaskedConv2d(nn.Conv2d):
    def __init__(self, in_features, out_features, up=0, left=0, right=0,
                 mask="B", channels=1, dilation=1):
        super().__init__(in_features, out_features, (up + 1, left + 1 + right),
                         dilation=dilation)
        self.reach = [left * dilation, right * dilation, up * dilation, 0]
        visible = torch.ones_like(self.weight)  # (out, in, rows, columns)
        if mask is not None:
            visible[:, :, -1, left + 1:] = 0
            colour_out = torch.arange(out_features)[:, None] % channels
            colour_in = torch.arange(in_features)[None, :] % channels
            sees = colour_out > colour_in if mask == "A" \
                else colour_out >= colour_in
            visible[:, :, -1, left] = sees.float()
        self.register_buffer("visible", visible, persistent=False)

    def masked_weight(self):
        return self.weight * self.visible  # a new tensor: weight stays whole

    def forward(self, x):
        return F.conv2d(F.pad(x, self.reach), self.masked_weight(), self.bias,
                        dilation=self.dilation)

# %% [markdown]
# (The lines about colours let red be guessed before green and green before
# blue. Our digits have one channel; then `sees` is 0 everywhere for mask A
# and 1 everywhere for mask B.)
#
# Does cutting really equal multiplying by zero? Copy the weights of a square
# kernel into a cut one and compare.

# %%
# NBVAL_CHECK_OUTPUT
for kind in "AB":
    square = SquareMaskedConv(3, 4, 5, kind).double()
    cut = MaskedConv2d(3, 4, up=2, left=2, right=2, mask=kind).double()
    cut.weight.data = square.weight.data[:, :, :3].clone()  # no rows below
    cut.bias.data = square.bias.data.clone()
    image = torch.randn(2, 3, 9, 9, dtype=torch.float64)
    same = torch.allclose(square(image), cut(image), rtol=0, atol=1e-12)
    print(f"mask {kind}: {square.weight[0, 0].numel()} cells against "
          f"{cut.weight[0, 0].numel()}, same output: {same}")

# %% [markdown]
# Now the smallest network with two stacks, to see whether the spot is gone.

# %%
class TwoStacks(nn.Module):
    """Vertical and horizontal stack, without gates or labels."""

    def __init__(self, depth, width=6):
        super().__init__()
        above = dict(up=1, left=1, right=1, mask=None)
        size = [1] + [width] * depth
        self.vertical = nn.ModuleList(
            MaskedConv2d(size[i], width, **above) for i in range(depth))
        self.horizontal = nn.ModuleList(
            MaskedConv2d(size[i], width, left=1, mask="B" if i else "A")
            for i in range(depth))
        self.double()

    def forward(self, image, listen=1.0):
        v = F.pad(image, (0, 0, 1, -1))  # one row down
        h = image
        for down, across in zip(self.vertical, self.horizontal):
            v = torch.tanh(down(v))
            h = torch.tanh(across(h) + listen * v)
        return v, h

# %% [markdown]
# What does each stack see alone, and what do both see together?

# %% mystnb={"image": {"alt": "Three squares of 15 by 15 pixels. The vertical stack sees all rows above the black pixel, the horizontal stack only the row to its left, both together every earlier pixel: no orange is left."}}
net = TwoStacks(depth=10)
views = {"vertical stack": lambda image: net(image)[0],
         "horizontal stack, alone": lambda image: net(image, listen=0)[1],
         "horizontal, listening": lambda image: net(image)[1]}
figure, axes = plt.subplots(1, 3, figsize=(7, 2.5))
for axis, (name, view) in zip(axes, views.items()):
    blind = show_sight(axis, gradient_picture(view), name)
plt.show()
assert blind == 0, "an earlier pixel is not seen"

# %% [markdown]
# No orange on the right: every earlier pixel is seen, and nothing else.
#
# ## The gate
#
# Early PixelRNNs, with recurrent units, guessed better than PixelCNNs. One
# suspect was the multiplication inside a recurrent unit, where one number
# decides how much of another gets through. So half of the features become
# signals, the other half switches: $\tanh(a) \cdot \sigma(b)$
# ([van den Oord et al., 2016](../book/bibliography.md#oord2016conditional)).

# %%
# same as: pixellab.priors.pixelcnn.gate
def gate(x):
    signal, switch = x.chunk(2, dim=1)
    return torch.tanh(signal) * torch.sigmoid(switch)

# %% [markdown]
# What does a switch do to its signal?

# %% mystnb={"image": {"alt": "Curves of the gate's output against the signal, from minus 4 to 4. With the switch at 4 the curve is a full tanh between minus one and one; at 0 it is half as high; at minus 4 it is almost flat."}}
signal = torch.linspace(-4, 4, 200)
figure, axis = plt.subplots(figsize=(5, 2.4))
for switch in (4, 1, 0, -1, -4):
    both = torch.stack([signal, torch.full_like(signal, switch)], dim=1)
    axis.plot(signal, gate(both)[:, 0], color=pl.figures.BLUE,
              alpha=0.2 + 0.1 * (switch + 4))
    axis.annotate(f" switch {switch}", (4, gate(both)[-1, 0]), va="center")
axis.set(xlabel="signal", ylabel="gate")
plt.show()

# %% [markdown]
# ## A block, and the label
#
# A [gated block](../book/glossary.md#gated-block) is one layer of both stacks,
# with a gate in each and a
# [residual connection](../book/glossary.md#residual-connection)
# ([He et al., 2016](../book/bibliography.md#he2016)) around each. And the
# label? "Draw a 3" is a sentence about the whole picture. It becomes a vector,
# one for each class, that is added before the gates at every pixel: it biases
# all signals and all switches. This is
# [conditioning](../book/glossary.md#conditioning).
#
# There is an eleventh vector, the **null class**. While training, one label in
# ten is replaced by it. So the same network also learns to guess without
# being told what the digit is.

# %%
# same as: pixellab.priors.pixelcnn.GatedBlock
class GatedBlock(nn.Module):
    def __init__(self, width, dilation=1, channels=1, num_classes=10):
        super().__init__()
        self.vertical = MaskedConv2d(width, 2 * width, up=1, left=1, right=1,
                                     mask=None, dilation=dilation)
        self.vertical_out = nn.Conv2d(width, width, 1)
        self.across = nn.Conv2d(2 * width, 2 * width, 1)
        self.horizontal = MaskedConv2d(width, 2 * width, left=1,
                                       channels=channels, dilation=dilation)
        self.horizontal_out = MaskedConv2d(width, width, channels=channels)
        self.label = nn.Embedding(num_classes + 1, 4 * width)

    def forward(self, v, h, labels):
        bias = self.label(labels).to(v.dtype)[:, :, None, None]  # keep bf16
        bias_v, bias_h = bias.chunk(2, dim=1)
        rows_above = self.vertical(v)
        row_so_far = self.horizontal(h) + self.across(rows_above)
        v = v + self.vertical_out(gate(rows_above + bias_v))
        h = h + self.horizontal_out(gate(row_so_far + bias_h))
        return v, h

# %% [markdown]
# `dilation` spreads the cells of a kernel apart: with dilation 4 a layer looks
# four pixels away instead of one. A few such layers are enough to see the
# whole digit.
#
# ## The network
#
# The rest is short. The first layers see the image: `first_vertical` moved
# down by one row, `first_horizontal` through mask A. Blocks follow. At the end
# the features of both stacks are added, and two 1 x 1 layers turn them into
# one number a level, the [logits](../book/glossary.md#logit).
#
# Two lines deserve a look. The input is scaled to -1 .. 1, whatever the number
# of levels (dividing twice, or not at all, is a classic: inputs of several
# hundred push every tanh to its end, where nothing is learned). And the logits
# have `levels` values: a [softmax](../book/glossary.md#softmax) makes them a
# distribution over brightness. It does not know that level 200 lies beside
# level 201. It may put weight on black and white and none on grey, and it
# learns soft edges from the data.

# %%
# equivalent to: pixellab.priors.pixelcnn.PixelCNN
class PixelCNN(nn.Module):
    def __init__(self, levels, size, width, dilations, head, num_classes=10):
        super().__init__()
        self.levels, self.size, self.num_classes = levels, size, num_classes
        self.first_vertical = MaskedConv2d(1, width, up=2, left=3, right=3,
                                           mask=None)
        self.first_horizontal = MaskedConv2d(1, width, left=3, mask="A")
        self.blocks = nn.ModuleList(
            GatedBlock(width, dilation, num_classes=num_classes)
            for dilation in dilations)
        self.hidden = MaskedConv2d(width, head)
        self.out = MaskedConv2d(head, levels)

    def forward(self, tokens, labels):  # (B, T), (B,)
        x = 2 * tokens / (self.levels - 1) - 1  # 0 .. levels - 1 to -1 .. 1
        x = x.view(-1, 1, *self.size).to(self.out.weight)
        v = self.first_vertical(F.pad(x, (0, 0, 1, -1)))  # one row down
        h = self.first_horizontal(x)
        for block in self.blocks:
            v, h = block(v, h, labels)
        logits = self.out(F.relu(self.hidden(F.relu(v + h))))
        return rearrange(logits, "b k h w -> b (h w) k")  # (B, T, K)

# %% [markdown]
# How far does it see? The gradient picture again, of the first layers alone
# and of one to three blocks with dilations 1, 2 and 4.

# %% mystnb={"image": {"alt": "Four squares of 21 by 21 pixels. Without blocks the network sees three pixels to the left and three rows above. Each block widens the view to the left, to the right and upward; after three blocks everything before the black pixel is blue."}}
figure, axes = plt.subplots(1, 4, figsize=(8, 2.2))
null_class = torch.tensor([10])
for axis, blocks in zip(axes, range(4)):
    torch.manual_seed(0)
    some = PixelCNN(levels=4, size=(21, 21), width=8, head=8,
                    dilations=(1, 2, 4)[:blocks]).double()
    gradient = gradient_picture(lambda image, net=some: rearrange(
        net(image.flatten(1), null_class), "b (h w) k -> b k h w", h=21),
        size=21, row=10, column=10)
    blind = show_sight(axis, gradient, f"blocks: {blocks}", 10, 10)
plt.show()
assert blind == 0

# %% [markdown]
# The view grows to all sides at once, without a wedge, and faster with each
# dilation.
#
# Two questions before we trust it. Is it the network of the package, so that
# what we learn here holds for the shipped weights? And does it use all its
# parameters?

# %%
setting = dict(levels=4, size=(14, 14), width=24, dilations=(1, 2, 1),
               head=48)
torch.manual_seed(0)
net = PixelCNN(**setting).to(scale.device)
twin = pixelcnn.PixelCNN(**setting).to(scale.device)
twin.load_state_dict(net.state_dict())  # the same names, the same shapes

few = tokens_valid[:8].to(scale.device)
few_labels = y_valid[:8].to(scale.device)
logits = net(few, few_labels)  # (8, 196, 4)
assert torch.allclose(logits, twin(few, few_labels), atol=1e-5)

logits.sum().backward()
idle = [name for name, parameter in net.named_parameters()
        if parameter.grad is None or not parameter.grad.any()]
assert not idle, f"never trained: {idle}"
parameters = sum(parameter.numel() for parameter in net.parameters())

# %% [markdown]
# ## Proof that it cannot cheat
#
# One leak, and the model is worthless: it would guess perfectly and draw
# nothing. So we prove that there is none, twice, on a small copy with random
# weights.
#
# **By gradient.** Row $t$ of the picture below is the output at position $t$,
# column $s$ the input at position $s$, blue where the one depends on the
# other. If only the past is seen, everything on and above the diagonal is
# white. If *all* the past is seen, everything below it is blue. A network of
# plain masked convolutions is drawn beside it.

# %%
def dependence(net, size):
    """(T, T): does output t depend on input s?"""
    torch.manual_seed(2)
    image = torch.rand(1, size * size, dtype=torch.float64)
    image.requires_grad_(True)
    outputs = net(image)[0].sum(dim=-1)  # (T,)
    rows = [torch.autograd.grad(output, image, retain_graph=True)[0][0]
            for output in outputs]
    return torch.stack(rows) != 0


torch.manual_seed(0)
tiny = PixelCNN(levels=4, size=(8, 8), width=8, dilations=(1, 2, 1),
                head=8).double()
plain = plain_pixelcnn(depth=8)
proof = dependence(lambda image: tiny(image, null_class), size=8)
holes = dependence(lambda image: rearrange(
    plain(image.view(1, 1, 8, 8)), "b k h w -> b (h w) k"), size=8)

# %% [markdown]
# Is it exactly the triangle?

# %% mystnb={"image": {"alt": "Two triangles of 64 by 64 cells. Plain masked convolutions leave many orange holes below the diagonal. The gated PixelCNN fills the triangle below the diagonal completely, and nothing on or above it."}}
past = torch.ones(64, 64).tril(-1).bool()
assert torch.equal(proof, past), "not exactly the past"
assert not (holes & ~past).any()

figure, axes = plt.subplots(1, 2, figsize=(7, 3.2))
colours = [to_rgb(colour) for colour in
           ("white", pl.figures.BLUE, pl.figures.ORANGE)]
names = ["plain masked convolutions", "two stacks, gated"]
for axis, depends, name in zip(axes, (holes, proof), names):
    kind = depends.long() + 2 * (past & ~depends).long()
    axis.imshow(torch.tensor(colours)[kind])
    axis.set(title=name, xlabel="input s", ylabel="output t")
plt.show()

# %% [markdown]
# **By perturbation.** Gradients describe small changes. So we also change one
# pixel to another level, for each of the 64 positions, and look which outputs
# move. None may, at or before the changed position.

# %%
# NBVAL_CHECK_OUTPUT
with torch.no_grad():
    image = torch.randint(4, (1, 64), generator=torch.manual_seed(3))
    before = tiny(image, null_class)[0]  # (64, 4)
    early, late = 0, 0
    for t in range(64):
        changed = image.clone()
        changed[0, t] = (changed[0, t] + 1) % 4
        moved = (tiny(changed, null_class)[0] - before).abs().amax(dim=-1)
        early += int((moved[:t + 1] > 1e-12).sum())
        late += int((moved[t + 1:] > 1e-12).sum())
assert early == 0 and late > 1000
print("pixels changed:", 64)
print("outputs moved at or before the changed pixel:", early)

# %% [markdown]
# A picture can be guessed in one pass, then: the network is shown the whole
# image, and each output has still seen only its past. (Training on the true
# past in this way is called
# [teacher forcing](../book/glossary.md#teacher-forcing).)
#
# ## Drawing
#
# And how does it draw? Walk through the pixels in order, ask for the guess,
# roll the die, write the pixel down, go on. The simplest sampler calls the
# network once a pixel and throws away all outputs but one. The die is a list
# of uniform numbers, one a pixel: level $k$ is drawn if the number falls into
# the $k$-th step of the cumulative probabilities. With the numbers fixed, a
# model always draws the same picture.

# %%
@torch.no_grad()
def draw_naively(net, labels, uniforms):
    """tokens (B, T), from uniform numbers (B, T) in [0, 1)."""
    tokens = torch.zeros(uniforms.shape, dtype=torch.int64)
    for t in range(tokens.shape[1]):
        logits = net(tokens, labels)[:, t].double()  # (B, K)
        steps = torch.softmax(logits, dim=-1).cumsum(dim=-1)
        number = uniforms[:, t:t + 1] * steps[:, -1:]
        tokens[:, t] = (steps <= number).sum(dim=-1)
    return tokens

# %% [markdown]
# What does a network draw that has learned nothing?

# %% mystnb={"image": {"alt": "Ten squares of noise: every pixel is one of four levels, all about equally often."}}
uniforms = pl.sampling.uniform_numbers(10, 196, seed=1)
drawn = draw_naively(net.cpu(), torch.arange(10), uniforms)
net.to(scale.device)
pl.figures.grid(tokenizer.decode(drawn), columns=10,
                titles=[str(k) for k in range(10)])
plt.show()

# %% [markdown]
# Noise. Each pixel is a throw of a four-sided die.
#
# ## Training
#
# What do we minimise? Bits: the average of $-\log_2 p$ over all pixels. An
# untrained network should cost about $\log_2 4 = 2$ bits a pixel, the price of
# knowing nothing.

# %%
def bits_per_pixel(net, tokens, labels):
    """Mean over pixels of -log2 p(level | earlier pixels, label)."""
    logits = net(tokens, labels)  # (B, T, K)
    nats = F.cross_entropy(logits.flatten(0, 1), tokens.flatten())
    return nats / math.log(2)


with torch.no_grad():
    untrained = bits_per_pixel(net, few, few_labels).item()
assert abs(untrained - 2) < 0.3

# %% cellView="form" jupyter={"source_hidden": true} tags=["remove-input"]
# @title { display-mode: "form" }
pl.say(rf"""
Ours costs {untrained:.2f}. Now the loop: Adam
([Kingma and Ba, 2015](../book/bibliography.md#kingma2015)), and a learning
rate that shrinks by the factor `gamma` after each epoch. Learning rate and
epochs are two arguments with two names, and the device comes from the scale,
not from a `.cuda()` in the middle. The function is a generator: after each
epoch it hands over the two losses, so that we can look at samples while it
learns.
""")

# %%
def training(net, train_set, valid_set, epochs, lr, gamma, batch_size,
             device):
    """Train in place; yields losses in bits a pixel after each epoch."""
    tokens, labels = (part.to(device) for part in train_set)
    valid_tokens, valid_labels = (part.to(device) for part in valid_set)
    optimizer = torch.optim.Adam(net.parameters(), lr=lr)
    schedule = torch.optim.lr_scheduler.ExponentialLR(optimizer, gamma)
    for epoch in range(epochs):
        total = 0
        for chosen in torch.randperm(len(tokens)).split(batch_size):
            dropped = (torch.rand(len(chosen)) < 0.1).to(device)
            label = torch.where(dropped, net.num_classes, labels[chosen])
            loss = bits_per_pixel(net, tokens[chosen], label)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item() * len(chosen)
        schedule.step()
        with torch.no_grad():
            valid = bits_per_pixel(net, valid_tokens, valid_labels).item()
        yield {"epoch": epoch + 1, "train": total / len(tokens),
               "valid": valid}

# %% [markdown]
# Our sampler is correct and slow. The package has a fast one that draws *the
# same* tokens; how, and that it is the same, we shall see below. The fast one
# lets us look at ten samples after each epoch, always from the same uniform
# numbers.

# %%
def peek(net):
    """Ten digits, 0 to 9, drawn by the fast sampler: (10, 14, 14)."""
    twin.load_state_dict(net.state_dict())
    uniforms = pl.sampling.uniform_numbers(10, 196, seed=1)
    tokens = pl.sampling.sample(twin, torch.arange(10), uniforms)
    return tokenizer.decode(tokens)


count = scale.pick(quick=3000, colab=20000, release=58000)
torch.manual_seed(0)
every = slice(None, None, scale.pick(quick=5, colab=2, release=1))
started, history, sheets = time.perf_counter(), [], [peek(net)]
for row in training(net, (tokens_train[:count], y_train[:count]),
                    (tokens_valid[every], y_valid[every]),
                    epochs=scale.pick(quick=6, colab=15, release=40),
                    lr=8e-3, gamma=0.8, batch_size=32, device=scale.device):
    history.append(row)
    sheets.append(peek(net))
seconds = time.perf_counter() - started

# %% [markdown]
# Does it learn, and does it learn the digits or only these digits? The dashed
# line is what the pixels cost when each one is guessed by itself, from how
# often each level occurs at its place.

# %% mystnb={"image": {"alt": "Loss curves in bits a pixel against epochs. Training and validation loss fall together and stay close, far below the dashed line of independent pixels."}}
counts = F.one_hot(tokens_train, 4).sum(dim=0) + 1.0  # (196, 4)
alone = -(counts / counts.sum(dim=-1, keepdim=True)).log2()
alone = alone[torch.arange(196), tokens_valid].mean().item()
figure, axis = plt.subplots(figsize=(6, 2.8))
pl.figures.loss_curve(history, "bits a pixel", axis=axis)
axis.axhline(alone, color=pl.figures.ORANGE, ls="--")
axis.annotate("each pixel by itself", (1, alone), va="bottom",
              color=pl.figures.ORANGE)
plt.show()
assert history[-1]["valid"] < 0.75 * alone
assert history[-1]["valid"] < history[0]["valid"]

# %% cellView="form" jupyter={"source_hidden": true} tags=["remove-input"]
# @title { display-mode: "form" }
pl.say(rf"""
After {seconds:.0f} seconds a pixel of an unseen 14 x 14 digit with 4 levels
costs {history[-1]['valid']:.3f} bits instead of {alone:.3f}. What do the
samples say?
""")

# %% mystnb={"image": {"alt": "Rows of ten samples, for classes 0 to 9, before training and after each epoch. The first row is noise; strokes appear after one epoch, and several digits can be read in the last row."}}
chosen = range(0, len(sheets), max(1, len(sheets) // 6))
names = [f"epoch {epoch} " if epoch else "untrained " for epoch in chosen]
pl.figures.grid(torch.cat([sheets[epoch] for epoch in chosen]), columns=10,
                row_titles=names, titles=[str(k) for k in range(10)])
plt.show()

# %% [markdown]
# Noise first; then strokes, because strokes are local; then, slowly, digits.
# The column says which label the network was given.
#
# A network that is not saved is gone when the notebook closes. We write the
# weights, and beside them what is needed to build network and tokenizer again,
# into one file that holds numbers and text, but no code. Does what we load
# draw what we had?

# %%
with tempfile.TemporaryDirectory() as folder:
    path = Path(folder) / "small.safetensors"
    pl.weights.write(path, net.state_dict(),
                     {"tokenizer": describe(tokenizer),
                      "prior": describe(twin)},
                     {"data": "MNIST, 14 x 14, 4 levels", "seed": 0})
    small = pl.load(path, device="cpu")
    print(f"{path.stat().st_size / 1024:.0f} kB:", small.provenance["data"])
before = pl.likelihood.token_bits(twin, tokens_valid[:50], y_valid[:50])
after = pl.likelihood.token_bits(small.prior, tokens_valid[:50], y_valid[:50])
assert abs(after.mean() / before.mean() - 1) < 0.01  # stored in 16 bits

# %% [markdown]
# It does, in half the space: weights are stored as 16-bit numbers. `small` is
# an `ImageModel`, a tokenizer and a network in one, with methods `sample`,
# `complete` and `bits`. (The package calls the network the
# [prior](../book/glossary.md#prior), the field's word for what a model
# believes before it has seen an image.) The shipped ones are the same kind of
# thing.
#
# ## The shipped network
#
# The book brings along the same network, wider and deeper, trained on 28 x 28
# digits with 256 levels. What do we know about it? The weight file says so
# itself.

# %%
model = pl.load("pixelcnn")
about = model.provenance
stages = [about]  # of the training, the last one first
while "started_from" in stages[-1]:
    stages.append(stages[-1]["started_from"])
print(f"{about['data']}, {about['train_images']} images, {about['device']}")
for stage in reversed(stages):
    recipe = stage["recipe"]
    print(f"{stage['epochs_done']} epochs with lr {recipe['lr']}, gamma "
          f"{recipe['gamma']}, batch size {recipe['batch_size']}: "
          f"{stage['seconds'] / 60:.0f} minutes")
size = sum(parameter.numel() for parameter in model.prior.parameters())
print(f"{size:,} parameters")
epochs = sum(stage["epochs_done"] for stage in stages)
minutes = sum(stage["seconds"] for stage in stages) / 60
tested = about.get("test_bits_per_token")

# %% [markdown]
# Should you believe a file? It also holds the bits of single validation
# digits, spread over all classes. Scoring 64 of them takes a moment, so we do
# it again.

# %%
every = about["check"]["every"]
sixty = slice(0, 64 * every, every)  # 64 validation digits
stored = torch.tensor(about["check"]["bits"], dtype=torch.float64)  # (64,)
costs = model.token_bits(x_valid[sixty], y_valid[sixty])  # (64, 784)
difference = (costs.sum(dim=1) / stored - 1).abs().max().item()
print(f"largest difference: {100 * difference:.3f} %")
assert difference < 0.005

unlabelled = model.token_bits(x_valid[sixty])
gain = (unlabelled - costs).sum(dim=1).mean().item()

# %% cellView="form" jupyter={"source_hidden": true} tags=["remove-input"]
# @title { display-mode: "form" }
on_test = f"{tested:.3f}" if tested else "not measured"
pl.say(rf"""
| 256-level MNIST, bits a pixel | validation | test | parameters | epochs |
|---|---|---|---|---|
| this book's `pixelcnn`, told the label | {about['valid_bits_per_token']:.3f} | {on_test} | {size:,} | {epochs} |
| UvA tutorial 12 ([Lippe, 2024](../book/bibliography.md#lippe2024)) | | 0.808 | 852,160 | 150 |

Training took {minutes:.0f} minutes. `pixellab train pixelcnn` trains such a
network, with the loop of this chapter and what a long run needs besides. And
the bits are not only a score: they say how long a
[lossless](../book/glossary.md#lossless) file could be. This model is one
half of a [codec](../book/glossary.md#codec). The other half is the range
coder, and [chapter 6](06_bsq.ipynb) joins the two.

Is it an unfair advantage to be told the label? Not much of one. To name one
of ten labels takes $\log_2 10 = 3.3$ bits an *image*, and an ideal model
cannot gain more than that by being told. Ours gains {gain:.1f} bits on
average over 64 digits, out of the many hundreds that a digit costs. What
goes beyond 3.3 is not the label's worth, but weakness of the guesses without
it: only one training picture in ten came without a label.
""")

# %% [markdown]
# Do all digits cost the same? Each dot is one of the 64.

# %% mystnb={"image": {"alt": "Bits per image of 64 digits, in ten columns by class. The ones are by far the cheapest; the other classes overlap, most of them at about twice the price."}}
figure, axis = plt.subplots(figsize=(7, 2.4))
totals, classes = costs.sum(dim=1), y_valid[sixty]
axis.scatter(classes, totals, s=14, alpha=0.6)
for digit in range(10):
    mean = totals[classes == digit].mean()
    axis.plot([digit - 0.3, digit + 0.3], [mean, mean],
              color=pl.figures.ORANGE, lw=2)
axis.set(xlabel="class", ylabel="bits an image", xticks=range(10), ylim=0)
plt.show()
ones, others = totals[classes == 1].mean(), totals[classes != 1].mean()
assert ones < others

# %% [markdown]
# A 1 is a short stroke, and cheap. The orange bars are the means. That a model
# finds an image cheap does not mean that it is a *good* image: an empty sheet
# is cheaper than any of them.
#
# What can be compared with more papers is black-and-white MNIST. A second
# shipped network, `pixelcnn-binary`, has 2 levels, no labels, and was trained
# on *statically* binarised digits
# ([Larochelle and Murray, 2011](../book/bibliography.md#larochelle2011)).
# (There are three ways of
# [making digits black and white](../book/notation.md), and their numbers must
# never share a column. Our copy of the static set was drawn as theirs was,
# with the same split; that it is the same to the last bit is not proven.)

# %%
binary = pl.load("pixelcnn-binary")

# %% cellView="form" jupyter={"source_hidden": true} tags=["remove-input"]
# @title { display-mode: "form" }
binary_size = sum(part.numel() for part in binary.prior.parameters())
pl.say(rf"""
| static binarised MNIST, test | nats an image |
|---|---|
| MADE ([Germain et al., 2015](../book/bibliography.md#germain2015)) | 86.64 |
| PixelCNN ([van den Oord et al., 2016](../book/bibliography.md#oord2016pixelrnn)) | 81.30 |
| PixelRNN, diagonal BiLSTM ([van den Oord et al., 2016](../book/bibliography.md#oord2016pixelrnn)) | 79.20 |
| this book's `pixelcnn-binary`, {binary_size:,} parameters | {binary.provenance['test_nats']:.2f} |
""")

# %% [markdown]
# ## What a guess looks like
#
# A distribution over 256 levels is more than one best guess. Let us look at
# three of them: where the model is sure of paper, where it is sure of ink, and
# where it is least sure.

# %%
which = 5  # one of the 64
digit = x_valid[sixty][which]
tokens = model.tokenizer.encode(digit[None])
labels = y_valid[sixty][which:which + 1]
with torch.no_grad():
    logits = model.prior(tokens.to(scale.device), labels.to(scale.device))
guesses = torch.softmax(logits[0].double().cpu(), dim=-1)  # (784, 256)
assert torch.allclose(guesses.sum(dim=-1), torch.ones(784).double())
entropy = -(guesses * guesses.clamp(1e-12).log2()).sum(dim=-1)
ink = digit.flatten() > 250
places = {"sure of paper": entropy.masked_fill(ink, 9).argmin(),
          "sure of ink": entropy.masked_fill(~ink, 9).argmin(),
          "not sure": entropy.argmax()}

# %% [markdown]
# The black triangle marks the level that the pixel really has.

# %% mystnb={"image": {"alt": "A digit with three small coloured frames, and three distributions over the levels 0 to 255. The sure ones have all their weight at 0 and near 255. The unsure one is spread over most levels, with more weight on the bright ones."}}
figure, axes = plt.subplots(1, 4, figsize=(9, 2.2),
                            gridspec_kw={"width_ratios": [1.1, 1, 1, 1]})
axes[0].imshow(digit)
axes[0].axis("off")
colours = ["#8250df", pl.figures.BLUE, pl.figures.ORANGE]
for axis, colour, (name, place) in zip(axes[1:], colours, places.items()):
    row, column = divmod(int(place), 28)
    axes[0].add_patch(plt.Rectangle((column - 1, row - 1), 2, 2, fill=False,
                                    color=colour, lw=2))
    bars = guesses[place].view(32, 8).sum(dim=-1)  # eight levels a bar
    axis.bar(torch.arange(32) * 8 + 4, bars, width=8, color=colour)
    axis.plot(int(tokens[0, place]), 1.04, "v", color="black", clip_on=False,
              transform=axis.get_xaxis_transform())
    axis.set(xlabel="level", xlim=(-6, 262))
    axis.set_ylim(bottom=0)
    axis.set_title(name, pad=14)
axes[1].set_ylabel("probability")
plt.tight_layout()
plt.show()

# %% [markdown]
# ## Samples
#
# The same guesses, and a die: ten digits of each class.

# %% mystnb={"image": {"alt": "A hundred sampled digits in ten columns, one for each class from 0 to 9. Most can be read at once; some have broken or odd strokes."}}
hundred = model.sample(labels=list(range(10)) * 10, seed=0)
pl.figures.grid(hundred, columns=10, titles=[str(k) for k in range(10)],
                size=0.7)
plt.show()

# %% [markdown]
# Nobody drew these. How does a digit come about, if each pixel knows only what
# is above it? `model.stream` hands over the drawing after each pixel; light
# blue is what is not drawn yet.

# %% mystnb={"image": {"alt": "Three digits, a 2, a 5 and an 8, each at eight moments of its drawing. The light blue part that is not drawn yet shrinks from top to bottom."}}
steps = model.stream(labels=[2, 5, 8, 0, 1, 3, 4, 6, 7, 9], seed=7)
drawing = pl.figures.frames(model, steps)  # (56, 10, 28, 28, 3)
pl.figures.filmstrip(drawing[:, :3])
plt.show()

# %% [markdown]
# The same in motion, fourteen pixels a frame, ten digits at a time. (If your
# system asks for reduced motion, you see the last frame.)

# %%
movie = torch.stack([
    torch.from_numpy(pl.images.sheet(moment, columns=5, scale=3))
    for moment in drawing]).numpy()
pl.figures.animation(movie, "Ten digits being drawn pixel by pixel, from top "
                     "to bottom, light blue where nothing is drawn yet.")

# %% [markdown]
# ## Completing half a digit
#
# Guessing does not need to begin with an empty sheet. Keep the upper half of a
# real digit and let the model draw the rest, five times, without telling it
# the label.

# %% mystnb={"image": {"alt": "Six rows. Each shows a real digit, the same digit with its lower half in light blue, and five different completions of it, some of them other digits that begin in the same way."}}
real = x_valid[[40, 450, 710, 1010, 1430, 1810]]
halves = model.tokenizer.encode(real)[:, :14 * 28]
shown = pl.figures.partial(model, halves)
drawn = model.complete(real.repeat_interleave(5, dim=0), rows=14, seed=1)
drawn = pl.images.to_array(drawn).reshape(6, 5, 28, 28, 3)
rows = [[whole, half, *ends] for whole, half, ends in
        zip(pl.images.to_array(real), shown, drawn)]
pl.figures.grid([image for row in rows for image in row], columns=7,
                titles=["real", "given"] + ["drawn"] * 5, size=0.75)
plt.show()

# %% [markdown]
# Where the upper half leaves a choice, the endings differ: that is what a
# distribution is for. A network trained to output one best lower half would
# return the blurred mean of all of them.
#
# ## Where are the bits?
#
# The cost of an image is a sum over its pixels, so it can be drawn as a map:
# how surprised was the model at each pixel?

# %% mystnb={"image": {"alt": "Above six real digits, below for each a map of bits a pixel. Paper is black, the contours of the strokes glow, the inside of the strokes is darker."}}
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
# Edges. How much of the cost is on them? Call a pixel *edge* if it is neither
# pure paper (0) nor nearly full ink (above 250).

# %% mystnb={"image": {"alt": "Two stacked bars. Paper is most of the pixels and a small part of the bits; edge pixels are a small part of the pixels and most of the bits."}}
values = x_valid[sixty].flatten(1)
kinds = {"paper": values == 0, "edge": (values > 0) & (values <= 250),
         "ink": values > 250}
figure, axis = plt.subplots(figsize=(7, 1.6))
left = [0.0, 0.0]
colours = [pl.figures.GREY, pl.figures.ORANGE, pl.figures.BLUE]
for (name, kind), colour in zip(kinds.items(), colours):
    shares = [100 * kind.double().mean().item(),
              100 * (costs[kind].sum() / costs.sum()).item()]
    axis.barh(["pixels", "bits"], shares, left=left, color=colour, label=name)
    left = [start + share for start, share in zip(left, shares)]
    if name == "edge":
        edge_pixels, edge_bits = shares
axis.legend(ncols=3, loc="lower center", bbox_to_anchor=(0.5, 1),
            frameon=False)
axis.set(xlim=(0, 100), xlabel="share in %")
axis.invert_yaxis()
plt.show()

# %% cellView="form" jupyter={"source_hidden": true} tags=["remove-input"]
# @title { display-mode: "form" }
pl.say(rf"""
Edges are {edge_pixels:.0f} % of the pixels and {edge_bits:.0f} % of the
bits. On an edge, 250 levels are possible, and which of them it is depends on
how a pen was held and a scanner was set. Much of this no model can know.
""")

# %% [markdown]
# ## Drawing without doing work twice
#
# The naive sampler calls the whole network for each pixel: 784 passes over 784
# pixels. What does a new pixel really change? Ask once more by perturbation:
# change one pixel, and mark every feature of the second block that moves.

# %%
features = {}
exact = PixelCNN(**setting).double()
exact.load_state_dict(net.state_dict())
exact.blocks[1].register_forward_hook(
    lambda block, inputs, outputs: features.update(
        v=outputs[0].detach(), h=outputs[1].detach()))
place, image = 5 * 14 + 6, tokens_valid[1000:1001]
exact(image, null_class)
before = dict(features)
changed = image.clone()
changed[0, place] = (changed[0, place] + 2) % 4
exact(changed, null_class)
moved = {name: (features[name] - before[name]).abs().amax(dim=(0, 1)) > 1e-12
         for name in "vh"}  # (14, 14) each
assert not any(moved[name].flatten()[:place + 1].any() for name in "vh")

# %% [markdown]
# Which features does the *next* guess need anew?

# %% mystnb={"image": {"alt": "Two grids of 14 by 14 features. In the vertical stack only features in the rows below the black pixel have moved. In the horizontal stack features to its right in the same row have moved as well; the one right beside it is darker. Everything above and to the left is unmoved."}}
figure, axes = plt.subplots(1, 2, figsize=(6, 3))
palette = torch.tensor([to_rgb(colour) for colour in (
    "#c9dcf7", "#f6c89a", pl.figures.ORANGE, "black")])
titles = {"v": "vertical stack", "h": "horizontal stack"}
for axis, (name, title) in zip(axes, titles.items()):
    kind = moved[name].long()
    if name == "h":
        kind[5, 7] = 2  # the only one that the next guess needs anew
    kind[5, 6] = 3  # the pixel just drawn
    axis.imshow(palette[kind])
    axis.set(title=title, xticks=torch.arange(13) + 0.5,
             yticks=torch.arange(13) + 0.5)
    axis.grid(color="white", lw=0.8)
    axis.tick_params(length=0, labelbottom=False, labelleft=False)
    axis.spines[:].set_visible(False)
plt.show()

# %% [markdown]
# Black is the pixel just drawn. Blue features have not moved: they can be
# *remembered*. Orange ones have moved, but lie ahead; most of them will move
# again before anybody asks. The next guess needs **one** of them in each
# layer, the dark one: the horizontal feature at the next pixel. The vertical
# features of a row can be computed all at once, when the row above is
# complete.
#
# That is all there is to
# [cached sampling](../book/glossary.md#cached-sampling)
# ([Ramachandran et al., 2017](../book/bibliography.md#ramachandran2017)): keep
# the inputs of each layer, and compute only the new column. Here it is by
# hand, for a stack of horizontal layers on one row.

# %%
def remembering(layers, row):
    """The features of all columns, one column at a time."""
    columns, outputs = row.shape[-1], []
    inputs = [row.new_zeros(1, conv.in_channels, 1, columns + conv.reach[0])
              for conv in layers]  # what each layer has been given so far
    for column in range(columns):
        h = row[..., column:column + 1]  # hidden by mask A: not yet known
        for conv, known in zip(layers, inputs):
            reach = conv.reach[0]
            known[..., column + reach:column + reach + 1] = h
            window = known[..., column:column + reach + 1]
            h = torch.tanh(F.conv2d(window, conv.masked_weight(), conv.bias))
        outputs.append(h)
    return torch.cat(outputs, dim=-1)  # (1, width, 1, columns)

# %% [markdown]
# Does it find the same features as the layers themselves?

# %%
# NBVAL_CHECK_OUTPUT
torch.manual_seed(0)
layers = [MaskedConv2d(1, 8, left=2, mask="A").double()]
layers += [MaskedConv2d(8, 8, left=2).double() for _ in range(4)]
row = torch.randn(1, 1, 1, 28, dtype=torch.float64)
with torch.no_grad():
    whole = row
    for conv in layers:
        whole = torch.tanh(conv(whole))
    same = torch.allclose(whole, remembering(layers, row), atol=1e-12)
print("same features:", same)
print("columns computed, naive: ", 28 * 28 * len(layers))
print("columns computed, cached:", 28 * len(layers))

# %% [markdown]
# The package does this for both stacks: `prior.start(labels)` makes the empty
# memory, `prior.step(memory, token)` notes the token just drawn and returns
# the logits of the next. Same network, same uniform numbers: do naive and
# cached sampling draw *the same* digit? In double precision they must, token
# for token.

# %%
@torch.no_grad()
def draw_cached(prior, labels, uniforms):
    """The same as draw_naively, by prior.start and prior.step."""
    tokens = torch.zeros(uniforms.shape, dtype=torch.int64)
    memory, token = prior.start(labels), None
    for t in range(tokens.shape[1]):
        logits = prior.step(memory, token).double()  # (B, K)
        steps = torch.softmax(logits, dim=-1).cumsum(dim=-1)
        number = uniforms[:, t:t + 1] * steps[:, -1:]
        token = tokens[:, t] = (steps <= number).sum(dim=-1)
    return tokens


quick_twin = pixelcnn.PixelCNN(**setting).double()
quick_twin.load_state_dict(net.state_dict())
labels = torch.tensor([3, 8])
uniforms = pl.sampling.uniform_numbers(2, 196, seed=5)
naive = draw_naively(exact, labels, uniforms)
cached = draw_cached(quick_twin, labels, uniforms)
assert torch.equal(naive, cached)

# %% [markdown]
# Both pairs, to look at:

# %% mystnb={"image": {"alt": "Two small digits drawn by the naive sampler and, beside them, the same two digits drawn by the cached sampler."}}
pl.figures.grid(tokenizer.decode(torch.cat([naive, cached])), columns=4,
                titles=["naive", "naive", "cached", "cached"], size=0.9)
plt.show()

# %% [markdown]
# How much faster is it? We time the shipped network on one row, the fifteenth:
# 28 pixels of four digits, whose upper halves are given.

# %%
def time_one_row(cached):
    """Seconds for 28 pixels of four digits."""
    tokens = model.tokenizer.encode(x_valid[[40, 450, 710, 1010]])
    uniforms = pl.sampling.uniform_numbers(4, 784, seed=0)
    steps = pl.sampling.stream(model.prior, torch.full((4,), 10), uniforms,
                               prompt=tokens[:, :14 * 28], cached=cached)
    for so_far in steps:
        if so_far.shape[1] == 14 * 28:
            started = time.perf_counter()
        if so_far.shape[1] == 15 * 28:
            return time.perf_counter() - started


slow, fast = time_one_row(cached=False), time_one_row(cached=True)
assert slow > fast

# %% cellView="form" jupyter={"source_hidden": true} tags=["remove-input"]
# @title { display-mode: "form" }
pl.say(rf"""
{1000 * slow / 28:.1f} ms a step without memory, {1000 * fast / 28:.1f} ms
with it: {slow / fast:.0f} times faster on this row, on the machine that made
this page. The full comparison, of whole digits, stands in
[chapter 7](07_scoreboard.ipynb).
""")

# %% [markdown]
# ## What it cannot do
#
# **Broken strokes.** A real digit is mostly one piece of ink. Is a sample? Let
# us count: give every ink pixel a number, let the largest number spread to its
# neighbours until nothing moves, and count the numbers that are left.

# %%
def pieces(images):
    """How many connected pieces of ink each image has: (N,)."""
    ink = (images > 100).float()[:, None]  # (N, 1, 28, 28)
    own = torch.arange(1.0, 785).view(28, 28) * ink
    number = own
    while True:
        spread = F.max_pool2d(number, 3, stride=1, padding=1) * ink
        if torch.equal(spread, number):
            return ((number == own) & (ink > 0)).sum(dim=(1, 2, 3))
        number = spread


real_pieces, sample_pieces = pieces(x_valid[::20]), pieces(hundred)

# %% cellView="form" jupyter={"source_hidden": true} tags=["remove-input"]
# @title { display-mode: "form" }
pl.say(rf"""
Of 100 real digits {int((real_pieces > 1).sum())} are in more than one piece,
of our 100 samples {int((sample_pieces > 1).sum())}. Here are the samples in
most pieces, above, and below them those with the least ink and the most.
""")

# %% mystnb={"image": {"alt": "Two rows of ten samples. Above, digits in several pieces. Below, five in thin strokes and five in thick ones, some of them blots."}}
most = sample_pieces.argsort(descending=True, stable=True)[:10]
by_ink = hundred.float().mean(dim=(1, 2)).argsort()
extremes = torch.cat([by_ink[:5], by_ink[-5:]])
chosen = torch.cat([most, extremes])
pl.figures.grid(hundred[chosen], columns=10, size=0.65,
                row_titles=["most pieces ", "least and most ink "])
plt.show()

# %% [markdown]
# The reasons lie in the method:
#
# - **A draw cannot be taken back.** With 784 draws, now and then an unlikely
#   one comes up. Training never showed the network what to do after its own
#   mistake, since it always saw the true past.
# - **There is no plan.** Nothing in the model decides "a 4 with an open top"
#   before the first pixel. Each choice is made when it falls due, and what is
#   far away must be carried there by the pixels in between. A gap of paper
#   carries little.
# - **One pixel after another.** The guesses for a *given* image take one pass,
#   but drawing takes 784 steps, cached or not. The cache makes each one cheap;
#   it does not make them fewer.
# - **The label is a hint, not an order.** It is worth a few bits, as we saw,
#   in a loss of hundreds. If a stroke went astray, continuing the stroke well
#   pays more than getting back to the label.
#
# ## Turning the knobs
#
# [Temperature](../book/glossary.md#temperature) divides the logits: below 1
# the likely becomes likelier, and at 0 the most likely level is taken each
# time. [Top-p](../book/glossary.md#top-p) leaves out the unlikely tail. With a
# kernel running you can turn both.

# %% tags=["remove-output"]
import ipywidgets as widgets


def redraw(digit=3, temperature=1.0, top_p=1.0, seed=0):
    """Draw one digit and show it."""
    image = model.sample(labels=[digit], temperature=temperature,
                         top_p=top_p, seed=seed)
    pl.figures.grid(image, columns=1, size=2.5)
    plt.show()


def knob(kind, low, high, step, value):
    return kind(min=low, max=high, step=step, value=value,
                continuous_update=False)


_ = widgets.interact(
    redraw, digit=knob(widgets.IntSlider, 0, 9, 1, 3),
    temperature=knob(widgets.FloatSlider, 0, 2, 0.05, 1),
    top_p=knob(widgets.FloatSlider, 0.5, 1, 0.01, 1),
    seed=knob(widgets.IntSlider, 0, 99, 1, 0))

# %% [markdown]
# On a page there is no kernel, and these knobs are gone. The ones below always
# work. The samples under them were drawn beforehand, at five temperatures and
# four values of top-p; you see the nearest. What is worked out while you watch
# is one guess of the network, for a pixel of a real digit: its logits came
# along, and the browser filters them. The bars are the likeliest grey levels.
# Turn the temperature down to 0, and up again; then top-p down. What goes
# first?

# %%
pl.explore.settings(
    model, x_valid[1], int(y_valid[1]), labels=[3, 5, 8], seeds=3,
    alt="A sheet of samples of a 3, a 5 and an 8. In the first row of each "
    "seed, temperature 0, there is hardly any ink. Further down, up to "
    "temperature 1.3, strokes grow and in the end cross where they should "
    "not; towards the right, with lower top-p, more and more are empty.")

# %% [markdown]
# What the temperature does is easiest to see many times over: a 3 at six
# temperatures (rows), from ten streams of random numbers (columns).

# %% mystnb={"image": {"alt": "Six rows of ten samples of the digit 3. At temperature 0 all are the same. Below 1 strokes get thin or stay away, at 1 they vary, and at 1.3 extra strokes cover the digits."}}
temperatures = (0, 0.8, 0.9, 1.0, 1.1, 1.3)
rows = [model.sample(labels=[3] * 10, temperature=temperature, seed=0)
        for temperature in temperatures]
pl.figures.grid(torch.cat(rows), columns=10, size=0.65,
                row_titles=[f"{value} " for value in temperatures])
plt.show()
assert (rows[0] == rows[0][:1]).all()  # greedy: the seed has no effect
blank = (rows[0][0] == 0).float().mean().item()

# %% cellView="form" jupyter={"source_hidden": true} tags=["remove-input"]
# @title { display-mode: "form" }
pl.say(rf"""
The row at temperature 0, [greedy](../book/glossary.md#greedy) sampling, is a
lesson. Always taking the most likely level gives a picture that is
{100 * blank:.0f} % paper. At each of the first hundreds of pixels paper is
the best single guess, since a stroke *might* begin at any of them, but at
each one probably does not. The most likely pixel, 784 times over, is not a
likely picture.
""")

# %% [markdown]
# ## Exercises

# %% [markdown]
# ### Exercise 2.1: Wider kernels
#
# The blind spot above belongs to 3 x 3 kernels. How many of the earlier pixels
# of the 15 x 15 image stay unseen by twelve layers with 5 x 5 kernels, and
# with 7 x 7? Predict the slope of the wedge first. Is there a kernel size
# without a blind spot?

# %% [markdown] jp-MarkdownHeadingCollapsed=true
# #### Solution of exercise 2.1

# %% cellView="form" jupyter={"source_hidden": true} mystnb={"image": {"alt": "Two squares of 15 by 15 pixels. The orange wedge is flatter with 5 by 5 kernels, and flatter still with 7 by 7, but the pixels right beside the black one stay orange beyond the kernel's reach."}}
# @title Solution { display-mode: "form" }
figure, axes = plt.subplots(1, 2, figsize=(5, 2.5))
for axis, size in zip(axes, (5, 7)):
    gradient = gradient_picture(plain_pixelcnn(depth=12, size=size))
    blind = show_sight(axis, gradient, f"{size} x {size} kernels")
    print(f"{size} x {size}: {blind} earlier pixels are not seen")
plt.show()

# %% [markdown]
# A kernel of size $2r + 1$ goes $r$ columns to the right while it goes one row
# up, so the wedge starts at $r + 1$ columns in the row above and gets flatter
# as $r$ grows. It disappears from the image only when one step reaches the
# right border from anywhere: $r \ge 27$ for a digit.

# %% [markdown]
# ### Exercise 2.2: Off by one
#
# Use mask B in the first layer by mistake. What do the proof cells say? What
# does the training loss do, and what do the samples?

# %% [markdown] jp-MarkdownHeadingCollapsed=true
# #### Solution of exercise 2.2

# %% cellView="form" jupyter={"source_hidden": true}
# @title Solution { display-mode: "form" }
torch.manual_seed(0)
leaky = PixelCNN(levels=4, size=(14, 14), width=8, dilations=(1,), head=16)
leaky.first_horizontal = MaskedConv2d(1, 8, left=3, mask="B")
probe = PixelCNN(levels=4, size=(8, 8), width=8, dilations=(1, 2), head=8)
probe.first_horizontal = MaskedConv2d(1, 8, left=3, mask="B")
probe.double()
leak = dependence(lambda image: probe(image, null_class), size=8)
print("outputs that see their own pixel:", int(leak.diagonal().sum()))

cheat = list(training(leaky, (tokens_train[:1500], y_train[:1500]),
                      (tokens_valid[::40], y_valid[::40]), epochs=2, lr=1e-2,
                      gamma=0.8, batch_size=32, device="cpu"))
print(f"validation: {cheat[-1]['valid']:.4f} bits a pixel")
assert leak.diagonal().any() and cheat[-1]["valid"] < history[-1]["valid"]

# %% [markdown]
# The diagonal is not empty. The loss falls quickly below that of the honest
# network and goes on towards zero: a loss that is too good is the first sign
# of a leak. The samples are worthless: while sampling, the pixel to be drawn
# holds a placeholder, and the network has learned to copy it.

# %% [markdown]
# ### Exercise 2.3: A generator is a classifier
#
# The network gives $p(x \mid y)$ for every label. By Bayes' rule, with all
# labels equally likely, the label with the fewest bits is the most likely one.
# How many of 100 validation digits does the small network read correctly,
# though nobody ever trained it to read?

# %% [markdown] jp-MarkdownHeadingCollapsed=true
# #### Solution of exercise 2.3

# %% cellView="form" jupyter={"source_hidden": true}
# @title Solution { display-mode: "form" }
images, truth = shrink(x_valid[::20]), y_valid[::20]  # 100 digits
cost = torch.stack([small.bits(images, labels=[label] * 100)
                    for label in range(10)], dim=1)  # (100, 10) bits
right = int((cost.argmin(dim=1) == truth).sum())
print(f"{right} of 100 are right")
assert right > 50

# %% [markdown]
# Far more than the ten of pure chance. The bits that separate the labels are
# few, but they point the right way. And the gain from the right label is no
# contradiction to the 3.3 bits: wrong labels may cost any number of bits.

# %% [markdown]
# ### Exercise 2.4: Exaggerate the label
#
# "The label is a hint." Turn it into an order: at every pixel compute the
# logits with the label, $a$, and with the null class, $b$, and draw from
# $a + w (a - b)$. With $w = 0$ nothing changes. What do $w = 1$ and $w = 4$
# do? Why could you not do it without a null class?

# %% [markdown] jp-MarkdownHeadingCollapsed=true
# #### Solution of exercise 2.4

# %% cellView="form" jupyter={"source_hidden": true}
# @title Solution { display-mode: "form" }
@torch.no_grad()
def draw_guided(prior, labels, uniforms, weight):
    """Cached sampling with exaggerated labels."""
    with_label = prior.start(labels)
    without = prior.start(torch.full_like(labels, prior.num_classes))
    tokens = torch.zeros(uniforms.shape, dtype=torch.int64)
    token = None
    for t in range(tokens.shape[1]):
        a, b = prior.step(with_label, token), prior.step(without, token)
        guesses = pl.sampling.probabilities(a + weight * (a - b))
        token = tokens[:, t] = pl.sampling.draw(guesses, uniforms[:, t])
    return tokens

# %% [markdown]
# Three strengths, the same uniform numbers:

# %% cellView="form" jupyter={"source_hidden": true} mystnb={"image": {"alt": "Three rows of ten small digits for guidance weights 0, 1 and 4. The classes become clearer from the first row to the second; the third row is crude and thick."}}
# @title Solution { display-mode: "form" }
labels = torch.arange(10)
uniforms = pl.sampling.uniform_numbers(10, 196, seed=1)
rows = [tokenizer.decode(draw_guided(quick_twin, labels, uniforms, weight))
        for weight in (0, 1, 4)]
pl.figures.grid(torch.cat(rows), columns=10, size=0.6,
                titles=[str(k) for k in range(10)],
                row_titles=["w = 0 ", "w = 1 ", "w = 4 "])
plt.show()

# %% [markdown]
# A moderate weight makes the classes clearer. A large one multiplies small
# errors of both networks as well, and the digits turn into caricatures.
# Without the null class there would be no $b$. The price: these samples no
# longer come from the model's $p(x \mid y)$, so its bits do not describe them.

# %% [markdown]
# ## What to remember
#
# - A picture is a product of guesses; masked convolutions make all guesses of
#   a given picture in one pass.
# - Plain masks leave a blind spot. Two stacks, vertical and horizontal, see
#   exactly the past. The gradient proves it in one line of code.
# - Trained on bits, the same network scores, draws and completes.
# - Drawing is sequential. Remembering what does not change makes each step
#   cheap, and changes no token.
#
# Could the guesser be something else? Yes: a transformer keeps the pixels and
# the guesses and replaces only the convolutions. Attention looks at every
# earlier pixel directly, instead of through a chain of neighbours
# ([Chen et al., 2020](../book/bibliography.md#chen2020)). The next chapter
# builds it: [chapter 3](03_gpt.ipynb).
#
# ## Further reading
#
# - [van den Oord et al. (2016)](../book/bibliography.md#oord2016pixelrnn)
#   introduced PixelRNN and PixelCNN, the masks and the 256-way softmax;
#   [van den Oord et al. (2016)](../book/bibliography.md#oord2016conditional)
#   the two stacks, the gates and the labels.
# - [Salimans et al. (2017)](../book/bibliography.md#salimans2017) replace the
#   softmax by a mixture of logistic curves, which knows that level 200 lies
#   beside level 201, and add shortcuts between resolutions.
# - [Ramachandran et al. (2017)](../book/bibliography.md#ramachandran2017)
#   measured cached sampling for networks of this kind.
# - [Jain et al. (2020)](../book/bibliography.md#jain2020) mask each place in
#   its own way, so that one network can guess in several orders: better
#   completions, when what is missing is not at the bottom.
# - [Theis et al. (2016)](../book/bibliography.md#theis2016) explain why good
#   bits and good-looking samples are not the same thing.
