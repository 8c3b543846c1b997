# %% [markdown]
# # BSQ: tokens that are learned, and files that are real

# %% [markdown] tags=["remove-cell"]
# *Takes a minute on one core of a laptop, 12 minutes on a Colab GPU. The same
# [as a page](https://OWNER.github.io/pixel-by-pixel/chapters/06_bsq.html),
# with sliders that need no kernel.*

# %% [markdown]
# The codebook of [chapter 5](05_patches.ipynb) was made to lose little. Nobody
# asked it whether the next token can be guessed. And its pictures were small
# and grey.
#
# Now the pictures are frames of a racing game, in colour, and each holds
# 45,000 numbers. Can a network *learn* the tokens, so that a frame costs few
# bits? And the book has spoken of files for five chapters: can tokenizer,
# guesser and range coder together be a compressor, whose files have a few
# hundred bytes, can be read again, and notice any damage?

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
# The tools, and the dial that says how much will be computed. (Figures are
# stored as JPEG in this chapter, since most of them are photographs.)

# %%
import itertools
import math
import time

import matplotlib.pyplot as plt
import numpy as np
import torch
import torch.nn.functional as F
from einops import rearrange
from matplotlib_inline.backend_inline import set_matplotlib_formats
from torch import nn

from pixellab.priors.gpt import GPT
from pixellab.priors.pixelcnn import MaskedConv2d

pl.figures.style()
set_matplotlib_formats("jpeg", pil_kwargs={"quality": 88, "subsampling": 0})
scale = pl.scale(quick="a minute", colab="12 minutes",
                 release="three quarters of an hour")
x_train = pl.data.supertux("train", limit=scale.pick(300, 1000, 2000))
x_valid = pl.data.supertux("valid")

# %% [markdown]
# ## Frames
#
# What is there to be compressed? Six frames that are kept for validation:

# %% mystnb={"image": {"alt": "Six small colour frames of a kart racing game, seen from behind a kart: a track that runs into the distance, ground on both sides, trees, rocks or buildings, and a sky."}}
six = x_valid[torch.linspace(0, len(x_valid) - 1, 6).long()]
pl.figures.grid(six, columns=3, size=1.05)
plt.show()
assert six.shape[1:] == (100, 150, 3)

# %% [markdown]
# The game is SuperTuxKart. The public set of 11,256 frames is course material
# of the University of Texas; no licence is stated, so this book downloads it
# and does not pass it on. Without a network 72 frames that were rendered for
# this book stand in (CC BY-SA, from tracks that are named in
# `pixellab/frames/NOTICE`).
#
# A frame has 100 x 150 pixels of three colours. Cut it into 20 x 30 patches of
# 5 x 5 pixels: 600 patches of 75 numbers each. The plan is the one of chapter
# 5, a token for a patch. What is new is where the tokens come from.

# %%
def squares(frames, size=5):
    """Frames (N, H, W, 3) -> patches (N * T, 75), from -0.5 to 0.5."""
    cuts = rearrange(frames, "n (r p) (c q) d -> (n r c) (d p q)",
                     p=size, q=size)
    return cuts.float() / 255 - 0.5


def decibels_of(shown, wanted):
    """The PSNR of two tensors whose brightness spans 1."""
    return pl.measures.psnr(F.mse_loss(shown, wanted).item())

# %%
pieces = squares(x_train)
some = torch.randperm(len(pieces), generator=pl.training.seeded(0))[:60_000]
pieces = pieces[some]  # a third of them will do, (60000, 75)
pieces_valid = squares(x_valid[::4])

# %% [markdown]
# ## Ten numbers for a patch
#
# First without tokens. Squeeze the 75 numbers of a patch through ten, and make
# 75 of them again: an **[auto-encoder](../book/glossary.md#auto-encoder)**.
# How much is lost?
#
# If both halves are linear, the answer is more than a hundred years old. The
# best ten numbers are the coordinates along the ten directions in which the
# patches vary most, their principal components
# (**[PCA](../book/glossary.md#pca)**)
# ([Pearson, 1901](../book/bibliography.md#pearson1901)), and linear algebra
# finds them.

# %%
centre = pieces.mean(dim=0)
spread = (pieces - centre).T @ (pieces - centre) / len(pieces)  # (75, 75)
variances, directions = torch.linalg.eigh(spread.double())
ten = directions[:, -10:].float()  # the ten of largest variance
oracle = F.mse_loss((pieces - centre) @ ten @ ten.T + centre, pieces).item()
assert abs(oracle / (variances[:-10].sum() / 75).item() - 1) < 0.01
kept = (pieces_valid - centre) @ ten @ ten.T + centre
pca_psnr = decibels_of(kept, pieces_valid)
print(f"PCA: {pca_psnr:.2f} dB on validation patches")

# %% [markdown]
# The ten directions, as patches. What do they look like?

# %% mystnb={"image": {"alt": "Ten patches of 5 by 5 pixels, in two rows: even tiles of one shade or colour, ramps from one side to the other, then finer bars and crosses."}}
shown = rearrange(ten.T.flip(0), "n (d p q) -> n p q d", d=3, p=5)
shown = 0.5 + 0.5 * shown / shown.abs().amax(dim=(1, 2, 3), keepdim=True)
pl.figures.grid((255 * shown).round().to(torch.uint8), columns=5, size=0.8)
plt.show()

# %% [markdown]
# Brightness and colour of the whole patch, slopes, then finer bars.
#
# Now let a network learn the same, twice: once with one matrix on each side,
# and once with a hidden layer on each side, so that it can bend. The linear
# one cannot beat PCA on the patches it learned from. Can the other one?

# %%
def learn_plain(net, steps, rate=1e-2):
    """Train an auto-encoder of patches; returns the loss of each step."""
    torch.manual_seed(0)
    optimizer = torch.optim.Adam(net.parameters(), rate)
    losses = []
    for step in range(steps):
        optimizer.param_groups[0]["lr"] = rate * (1 - step / steps)
        part = pieces[torch.randint(len(pieces), (512,))]
        loss = F.mse_loss(net(part), part)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


torch.manual_seed(0)
plain = {
    "linear": nn.Sequential(nn.Linear(75, 10), nn.Linear(10, 75)),
    "bent": nn.Sequential(
        nn.Linear(75, 128), nn.GELU(), nn.Linear(128, 10),
        nn.Linear(10, 128), nn.GELU(), nn.Linear(128, 75))}
losses = {name: learn_plain(net, scale.pick(300, 3000, 10_000))
          for name, net in plain.items()}

# %% mystnb={"image": {"alt": "Squared error against the training step, logarithmic, for two networks. Both fall steeply and flatten out above the dashed line of PCA; the one with hidden layers ends nearer to it."}}
figure, axis = plt.subplots(figsize=(5, 2.8))
for (name, values), colour in zip(losses.items(), (
        pl.figures.ORANGE, pl.figures.BLUE)):
    smooth = np.convolve(values, np.ones(20) / 20, "valid")
    axis.plot(range(10, 10 + len(smooth)), smooth, color=colour)
    where = len(smooth) // 4
    axis.annotate(name, (where, smooth[where]), xytext=(8, 8),
                  textcoords="offset points", color=colour)
axis.axhline(oracle, ls="--", color=pl.figures.GREY)
axis.annotate("PCA", (0, oracle), xytext=(4, -4), va="top",
              textcoords="offset points", color=pl.figures.GREY)
axis.set(yscale="log", xlabel="step", ylabel="squared error",
         ylim=(oracle * 0.6, None))
plt.show()

# %%
with torch.no_grad():
    errors = {name: F.mse_loss(net(pieces), pieces).item()
              for name, net in plain.items()}
    plain_psnr = {name: decibels_of(net(pieces_valid), pieces_valid)
                  for name, net in plain.items()}
print({name: round(value, 2) for name, value in plain_psnr.items()})
assert errors["linear"] > oracle  # nothing linear beats PCA
assert errors["bent"] < errors["linear"] and errors["bent"] < 1.6 * oracle

# %% cellView="form" jupyter={"source_hidden": true} tags=["remove-input"]
# @title { display-mode: "form" }
pl.say(rf"""
On validation patches PCA has {pca_psnr:.1f} dB, the linear network
{plain_psnr['linear']:.1f}, on its way there, and the bent one
{plain_psnr['bent']:.1f}. A few seconds of training are too few to tell what
bending is worth. But ten numbers of 32 bits lose little in any case: the
bottleneck is not tight yet.
""")

# %% [markdown]
# One remark before we go on. In pictures, "each patch by the same matrix" has
# a name: a convolution with a kernel of 5 x 5 that moves in steps of 5.

# %%
# NBVAL_CHECK_OUTPUT
conv = nn.Conv2d(3, 10, 5, stride=5).double()
frame = x_valid[:1].double() / 255 - 0.5
features = conv(frame.permute(0, 3, 1, 2))  # (1, 10, 20, 30)
matrix = conv.weight.flatten(1)  # (10, 75)
by_hand = squares(x_valid[:1]).double() @ matrix.T + conv.bias
print("same numbers:", torch.allclose(
    features.flatten(2)[0].T, by_hand, atol=1e-6))

# %% [markdown]
# ## Why signs?
#
# Ten numbers are no token. As 32-bit floats they are 320 bits for a patch,
# 24,000 bytes for a frame. They must be rounded to a few values:
# [quantised](../book/glossary.md#quantise). Chapter 5 did it with a
# [codebook](../book/glossary.md#codebook) of 1,024 vectors: search for the
# nearest, send its number. That can be learned together with a network
# ([van den Oord et al., 2017](../book/bibliography.md#oord2017)), but the
# search costs, and entries that are never the nearest get no gradient and die.
#
# **[Binary spherical quantisation](../book/glossary.md#binary-spherical-quantisation)**
# ([Zhao et al., 2025](../book/bibliography.md#zhao2025)), BSQ, has no list.
# Two steps make a token of $L$ numbers:
#
# 1. divide them by their length: a point $u$ on the unit sphere;
# 2. keep the signs: the point $\hat u = \text{sign}(u) / \sqrt{L}$, which is a
#    corner of a cube inside the sphere.
#
# $L$ signs are $L$ bits, and name $2^L$ corners. Nobody searches: the nearest
# corner *is* the one with the same signs. Nobody stores the list. And every
# corner is reached from its own part of the sphere, as large as all others.
# (Signs without the sphere are called lookup-free quantisation
# ([Yu et al., 2024](../book/bibliography.md#yu2024)).)

# %%
# the unit sphere in small pieces, and in which of eight parts each lies
up, around = np.meshgrid(np.linspace(0, np.pi, 41), np.linspace(
    0, 2 * np.pi, 81))
surface = np.stack([np.sin(up) * np.cos(around), np.sin(up) * np.sin(around),
                    np.cos(up)])
part = ((surface[:, :-1, :-1] + surface[:, 1:, 1:] > 0)
        * np.array([1, 2, 4])[:, None, None]).sum(axis=0)

# %% mystnb={"image": {"alt": "Left: a circle in four coloured quarters, each with a dot in its middle, the corners of a square; an arrow leads from a point on the circle to the dot of its quarter. Right: a sphere in eight coloured parts, each with a dot, the corners of a cube."}}
figure = plt.figure(figsize=(5, 2.6))
flat = figure.add_subplot(1, 2, 1)
colours = plt.get_cmap("tab10")(range(8))
for quarter, signs in enumerate(itertools.product((1, -1), repeat=2)):
    turn = np.linspace(0, np.pi / 2, 50)
    flat.plot(signs[0] * np.cos(turn), signs[1] * np.sin(turn), lw=4,
              color=colours[quarter])
    flat.plot(*np.array(signs) / 2 ** 0.5, "o", color=colours[quarter])
flat.annotate("", (0.707, 0.707), (0.98, 0.17), arrowprops={
    "arrowstyle": "->"})
flat.set(aspect="equal", xticks=[-1, 0, 1], yticks=[-1, 0, 1],
         title="L = 2: 4 corners")
ball = figure.add_subplot(1, 2, 2, projection="3d")
ball.plot_surface(*surface, facecolors=colours[part], alpha=0.5, rstride=1,
                  cstride=1, linewidth=0)
ball.scatter(*np.array(list(itertools.product((1, -1), repeat=3))).T
             / 3 ** 0.5, color="black", depthshade=False, s=18)
ball.set_title("L = 3: 8 corners")
ball.set_box_aspect((1, 1, 1), zoom=1.5)
ball.axis("off")
plt.show()

# %% [markdown]
# How wrong can rounding be? The angle between $u$ and its corner has the
# cosine $\sum_i |u_i| / \sqrt{L}$. It is smallest where $u$ lies on an axis,
# $1/\sqrt{L}$, so the angle stays below 90 degrees whatever happens. What is
# typical? We throw points at spheres.

# %% mystnb={"image": {"alt": "Angle between a point and its corner in degrees against the number of bits from 1 to 20. The largest possible angle rises from 0 through 45 degrees at two bits towards 80. The typical angle rises from 0 and levels off below 40 degrees."}}
lengths, typical = range(1, 21), []
for length in lengths:
    u = F.normalize(torch.randn(20_000, length).double(), dim=1)
    cosine = u.abs().sum(dim=1) / length ** 0.5
    angle = torch.rad2deg(torch.arccos(cosine.clamp(max=1)))
    typical.append(angle.mean().item())
    assert (cosine > length ** -0.5 - 1e-9).all()  # the bound holds
worst = [math.degrees(math.acos(length ** -0.5)) for length in lengths]
figure, axis = plt.subplots(figsize=(5, 2.6))
for values, name, colour in ((worst, "largest", pl.figures.ORANGE),
                             (typical, "typical", pl.figures.BLUE)):
    axis.plot(lengths, values, "o-", ms=3, color=colour)
    axis.annotate(name, (12, values[11]), xytext=(0, -8), va="top",
                  textcoords="offset points", color=colour)
axis.set(xlabel="bits L", ylabel="degrees", xticks=range(2, 21, 2),
         ylim=(-3, 92))
plt.show()

# %% cellView="form" jupyter={"source_hidden": true} tags=["remove-input"]
# @title { display-mode: "form" }
pl.say(rf"""
With ten bits {worst[9]:.0f} degrees at worst and {typical[9]:.0f} on
average, if points fall anywhere on the sphere. That is coarse. The network
will have to put its points where rounding does little harm, and it can, if
it learns *with* the rounding.
""")

# %% [markdown]
# ## The quantiser by hand
#
# Signs have no useful gradient: a small step of $u$ changes no sign, so the
# derivative is zero nearly everywhere, and the encoder would learn nothing.
# The trick is older than the sphere: on the way back, pretend that nothing was
# rounded. This
# [straight-through gradient](../book/glossary.md#straight-through-gradient)
# ([Bengio et al., 2013](../book/bibliography.md#bengio2013)) is one line.

# %%
# equivalent to: pixellab.tokenizers.bsq.BSQ.corner
def to_corner(u):
    """The nearest corner (N, L, ...), with the gradient of u itself."""
    nearest = torch.where(u > 0, 1.0, -1.0) / u.shape[1] ** 0.5
    return u + (nearest - u).detach()


u = torch.linspace(-1, 1, 201)[:, None].requires_grad_()
to_corner(u).sum().backward()
assert (u.grad == 1).all()  # straight through
through, u.grad = u.grad[:, 0], None
torch.sign(u).sum().backward()
assert (u.grad == 0).all()  # a sign by itself teaches nothing

# %% mystnb={"image": {"alt": "Left, forward: a step from minus one to one at zero. Right, backward: the gradient of the sign lies on zero everywhere, the straight-through one on one everywhere."}}
figure, axes = plt.subplots(1, 2, figsize=(5, 2.3), layout="constrained")
where = u.detach()[:, 0]
axes[0].plot(where, to_corner(u).detach()[:, 0], color=pl.figures.BLUE)
axes[0].set(title="forward", xlabel="u", yticks=[-1, 0, 1])
axes[1].plot(where, through, color=pl.figures.BLUE)
axes[1].plot(where, u.grad[:, 0], color=pl.figures.ORANGE)
axes[1].annotate("straight through", (0, 0.93), color=pl.figures.BLUE,
                 ha="center", va="top")
axes[1].annotate("of the sign", (0, 0.07), color=pl.figures.ORANGE,
                 ha="center")
axes[1].set(title="backward: gradient", xlabel="u", yticks=[0, 1])
plt.show()

# %% [markdown]
# It is a lie, and a useful one. The decoder is trained on true corners; the
# encoder is told "had you moved a little this way, the error would have
# fallen", which is about right, on average, where $u$ is near its corner.
#
# A token is a whole number. Bit $i$ counts $2^i$ if its sign is positive.
# (Shifts of bits would do the same, and do it wrongly on some GPUs. Sums of
# powers are safe.)

# %%
# equivalent to: pixellab.tokenizers.bsq.BSQ.to_tokens
def signs_to_tokens(u):
    """Signs (N, L, rows, columns) -> tokens (N, T)."""
    powers = 2 ** torch.arange(u.shape[1])[:, None, None]
    return ((u > 0) * powers).sum(dim=1).flatten(1)


# equivalent to: pixellab.tokenizers.bsq.BSQ.to_corners
def tokens_to_corners(tokens, bits=10, grid=(20, 30)):
    """Tokens (N, T) -> corners (N, L, rows, columns)."""
    powers = 2 ** torch.arange(bits)[:, None]
    switches = tokens[:, None] // powers % 2  # (N, L, T), 0 or 1
    return ((2.0 * switches - 1) / bits ** 0.5).unflatten(2, grid)

# %% [markdown]
# Do all 1,024 codes survive the way there and back? Is each corner the nearest
# to itself, and of length one?

# %%
# NBVAL_CHECK_OUTPUT
codes = torch.arange(1024)[None]  # (1, 1024)
corners = tokens_to_corners(codes, grid=(32, 32))
print("codes come back:", torch.equal(signs_to_tokens(corners), codes))
print("corners stay:", torch.equal(to_corner(corners), corners))
flat_corners = corners.flatten(2)[0].T  # (1024, 10)
print("length 1:", torch.allclose(flat_corners.norm(dim=1), torch.ones(1024)))
points = F.normalize(torch.randn(500, 10, 1, 1), dim=1)
nearest = (points.flatten(1) @ flat_corners.T).argmax(dim=1)
print("signs are the nearest corner:",
      torch.equal(signs_to_tokens(points)[:, 0], nearest))

# %% [markdown]
# ## Two entropies
#
# Nothing so far keeps the encoder from using a handful of codes, or from
# putting its points on the borders between corners, where a tiny change flips
# a bit. The paper adds a term to the loss that says two things
# ([Zhao et al., 2025](../book/bibliography.md#zhao2025);
# [Yu et al., 2024](../book/bibliography.md#yu2024)):
#
# - **each code should be sure**: read a coordinate as a soft bit, $p_i =
#   \sigma(4\sqrt{L}\, u_i)$. The entropy of the code, given $u$, should be
#   low.
# - **all codes should be used**: the entropy of the *average* code over a
#   batch should be high.
#
# A coordinate, its soft bit, and how unsure that is:

# %% mystnb={"image": {"alt": "Two curves against u times the root of L, from minus one to one. The soft bit rises from nearly 0 to nearly 1, steepest at zero. Its entropy is a bell with its top, one bit, at zero."}}
where = torch.linspace(-1, 1, 201)  # u times the root of L
soft = torch.sigmoid(4 * where)
unsure = -(soft * soft.log2() + (1 - soft) * (1 - soft).log2())
figure, axis = plt.subplots(figsize=(5, 2.3))
axis.plot(where, soft, color=pl.figures.BLUE)
axis.plot(where, unsure, color=pl.figures.ORANGE)
axis.annotate("soft bit", (0.55, 0.8), va="top", color=pl.figures.BLUE)
axis.annotate("its entropy, bits", (-1, 0.8), color=pl.figures.ORANGE)
axis.set(xlabel="u times the root of L", yticks=[0, 0.5, 1],
         xticks=[-1, -0.5, 0, 0.5, 1])
plt.show()

# %% [markdown]
# Both terms are sums over $2^L$ codes, a thousand terms for ten bits and a
# billion for thirty. But given $u$ the bits are independent, and then the
# entropy of the whole code is the sum of the entropies of its bits. Is that
# so? With four bits we can count all sixteen codes.

# %%
def binary_entropy_of(p):
    """Nats of a coin that shows 1 with probability p."""
    return -(torch.xlogy(p, p) + torch.xlogy(1 - p, 1 - p))


def of_all_codes(p):
    """Probabilities (N, 2^L) of all codes of independent bits p (N, L)."""
    all_bits = torch.cartesian_prod(*[torch.arange(2)] * p.shape[1])
    each = torch.where(all_bits == 1, p[:, None], 1 - p[:, None])
    return each.prod(dim=2)  # (N, 2^L, L) -> (N, 2^L)


p = torch.rand(300, 4, dtype=torch.float64)
joint = of_all_codes(p)  # (300, 16)
enumerated = -torch.xlogy(joint, joint).sum(dim=1)
assert torch.allclose(enumerated, binary_entropy_of(p).sum(dim=1))
average = joint.mean(dim=0)  # one distribution over the 16 codes
true_use = -torch.xlogy(average, average).sum()
by_bits = binary_entropy_of(p.mean(dim=0)).sum()
print(f"entropy of the average code: {true_use:.3f} nats, "
      f"by its bits: {by_bits:.3f}")
assert true_use <= by_bits

# %% [markdown]
# The first is exact. The second is an upper bound: bits that are each balanced
# may still go together (all on or all off), and the sum over the bits does not
# see it. So a term made of bits asks a little less: each bit, by itself,
# should be on as often as off.

# %%
# equivalent to: pixellab.training.rate_distortion.entropies
def entropy_terms(u):
    """Low if every sign is sure, and as often plus as minus.

    u (N, L, rows, columns) on the sphere; nats a bit.
    """
    p = torch.sigmoid(4 * u.shape[1] ** 0.5 * u)
    sure = binary_entropy_of(p).mean()
    used = binary_entropy_of(p.mean(dim=(0, 2, 3))).mean()
    return sure - used

# %% [markdown]
# What does it like? Points on the circle, where a token has two bits. Below
# each cloud its value:

# %% mystnb={"image": {"alt": "Three circles with points on them, and a number below each. Points everywhere have a middle value. Points near the four corners have the lowest. Points near one corner alone have the highest."}}
anywhere = F.normalize(torch.randn(1, 2, 15, 20), dim=1)
near_corners = F.normalize(to_corner(anywhere) + 0.1 * torch.randn(
    1, 2, 15, 20), dim=1)
clouds = {"anywhere": anywhere, "at the corners": near_corners,
          "at one of them": near_corners.abs()}
figure, axes = plt.subplots(1, 3, figsize=(5, 2.1), layout="constrained")
for axis, (name, cloud) in zip(axes, clouds.items()):
    axis.scatter(*cloud[0].flatten(1), s=5, color=pl.figures.BLUE)
    axis.set(aspect="equal", xticks=[], yticks=[], xlim=(-1.2, 1.2),
             ylim=(-1.2, 1.2), title=name,
             xlabel=f"{round(entropy_terms(cloud).item(), 2) + 0:.2f} nats"
             .replace("-", "\u2212"))  # a minus, as on the axes
plt.show()
liked = [entropy_terms(cloud).item() for cloud in clouds.values()]
assert liked[1] < liked[0] < liked[2]

# %% [markdown]
# The lowest value belongs to corners that are all in use, and the highest to
# a single one.
#
# ## What rounding costs
#
# Now a small network with the sphere in its middle. The encoder sees one patch
# at a time. The decoder sees the corners of the eight neighbours as well; at
# the end of chapter 5 a matrix that looked around had removed most seams.

# %%
class SmallCoder(nn.Module):
    """Patches -> points on a sphere -> patches, on whole frames."""

    def __init__(self, bits=10, width=64):
        super().__init__()
        self.encoder = nn.Sequential(
            nn.Conv2d(3, width, 5, stride=5), nn.GELU(),
            nn.Conv2d(width, bits, 1))
        self.decoder = nn.Sequential(
            nn.Conv2d(bits, width, 3, padding=1), nn.GELU(),
            nn.Conv2d(width, 75, 1))
        self.guess = nn.Sequential(  # for later: bits that foretell bits
            MaskedConv2d(bits, 6 * bits, 1, 1, 1, mask="A", channels=bits),
            nn.GELU(), MaskedConv2d(6 * bits, bits, channels=bits))

    def on_sphere(self, pictures):
        return F.normalize(self.encoder(pictures), dim=1)

    def paint(self, z):
        return rearrange(self.decoder(z),
                         "n (d p q) r c -> n d (r p) (c q)", p=5, q=5)

# %% [markdown]
# Its loss has a place for three things: the squared error, a price for bits
# (zero for now), and the two entropies.

# %%
def in_colour(frames):
    """uint8 (N, H, W, 3) -> (N, 3, H, W), from -0.5 to 0.5."""
    return frames.permute(0, 3, 1, 2).float() / 255 - 0.5


def loss_parts(net, pictures, rounded=True, taught=False):
    """Squared error, bits a token of the guesses, entropy terms.

    taught: the gradient of the bits reaches the encoder.
    """
    u = net.on_sphere(pictures)
    z = to_corner(u) if rounded else u
    error = F.mse_loss(net.paint(z), pictures)
    if not rounded:
        return error, torch.zeros(()), torch.zeros(())
    signs = z * u.shape[1] ** 0.5  # -1 or 1
    signs = signs if taught else signs.detach()
    logits = net.guess(signs)  # of each sign, from earlier ones
    nats = F.softplus(logits) - (signs + 1) / 2 * logits
    bits = nats.sum(dim=1).mean() / math.log(2)
    return error, bits, entropy_terms(u)

# %%
def learn_coder(rounded=True, price=0.0, steps=350, rate=1e-2):
    """Train a SmallCoder on quarters of frames: (net, errors)."""
    torch.manual_seed(0)
    net, errors = SmallCoder(), []
    optimizer = torch.optim.Adam(net.parameters(), rate)
    for step in range(steps):
        optimizer.param_groups[0]["lr"] = rate * min(
            1, (step + 1) / 20) * (1 - step / steps)
        top, left = 50 * torch.randint(2, ()), 75 * torch.randint(2, ())
        which = torch.randint(len(x_train), (6,))
        part = x_train[which, top:top + 50, left:left + 75]
        error, bits, entropy = loss_parts(net, in_colour(part), rounded,
                                          taught=price > 0)
        # without a price the guesser learns, and nobody listens to it
        loss = error + (price or 1e-3) * bits + 3e-4 * entropy
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        errors.append(error.item())
    return net.eval(), errors


steps = scale.pick(quick=350, colab=5000, release=20_000)
free, free_errors = learn_coder(rounded=False, steps=steps)
signs_only, sign_errors = learn_coder(steps=steps)

# %% mystnb={"image": {"alt": "Squared error against the step, logarithmic, of two networks. Both fall. The one whose points are rounded to corners stays well above the one that paints the points as they are."}}
figure, axis = plt.subplots(figsize=(5, 2.8))
for values, name, colour in (
        (free_errors, "not rounded", pl.figures.GREY),
        (sign_errors, "rounded to corners", pl.figures.BLUE)):
    smooth = np.convolve(values, np.ones(20) / 20, "valid")
    axis.plot(range(10, 10 + len(smooth)), smooth, color=colour)
    where = len(smooth) // 2
    axis.annotate(name, (where, smooth[where]), xytext=(0, 9),
                  textcoords="offset points", color=colour)
axis.set(yscale="log", xlabel="step", ylabel="squared error")
plt.show()

# %% [markdown]
# What do validation frames look like without and with the rounding?

# %% mystnb={"image": {"alt": "Two frames, each in three versions. Left as they are. Middle, from points that were not rounded: nearly the same, slightly soft. Right, from ten signs a patch: blocks can be seen, colours are duller and fine details are gone."}}
@torch.no_grad()
def shown_by(net, frames, rounded=True):
    """What a SmallCoder makes of frames, as pictures again."""
    u = net.on_sphere(in_colour(frames))
    pictures = net.paint(to_corner(u) if rounded else u)
    levels = ((pictures + 0.5) * 255).round().clamp(0, 255)
    return levels.to(torch.uint8).permute(0, 2, 3, 1)


pair = x_valid[[len(x_valid) // 3, 4 * len(x_valid) // 5]]
three = torch.stack([pair, shown_by(free, pair, rounded=False),
                     shown_by(signs_only, pair)], dim=1)  # (2, 3, ...)
pl.figures.grid(three.flatten(0, 1), columns=3, size=1.05,
                titles=["frame", "not rounded", "ten signs"])
plt.show()

# %%
few_valid = x_valid[::max(1, len(x_valid) // 32)]
floor, rounded_error = (pl.measures.mean_squared_error(
    few_valid, shown_by(net, few_valid, rounded)).mean().item()
    for net, rounded in ((free, False), (signs_only, True)))
lost_db = pl.measures.psnr(floor) - pl.measures.psnr(rounded_error)
assert 1 < lost_db < 10 and rounded_error < 0.02
print(f"{pl.measures.psnr(floor):.1f} dB not rounded, {lost_db:.1f} dB less "
      "rounded")

# %% cellView="form" jupyter={"source_hidden": true} tags=["remove-input"]
# @title { display-mode: "form" }
pl.say(rf"""
{pl.measures.psnr(floor):.1f} dB without rounding, the floor of this network
after {steps:,} steps, and {pl.measures.psnr(rounded_error):.1f} with it:
{lost_db:.1f} dB, for going from 320 bits a patch to ten.
""")

# %% [markdown]
# ## Codes that can be foretold
#
# Ten bits, if every code is as likely as any other. Chapters 2 to 5 did better
# by guessing. But all of them took the tokens as they were. The encoder is a
# network now, and could be asked for tokens that are *easy to guess*.
#
# What is the price of a token, in a form that has a gradient? A small PixelCNN
# beside the coder guesses every sign from the signs around it. That is the
# masked convolution of [chapter 2](02_pixelcnn.ipynb): the ten signs of a
# token are its colour channels, and with mask A sign $k$ sees the whole tokens
# before it and the signs before $k$ of its own. Is that so?

# %%
# NBVAL_CHECK_OUTPUT
signs = torch.where(torch.rand(1, 10, 6, 7) < 0.5, 1.0, -1.0).requires_grad_()
signs_only.guess(signs)[0, 4, 3, 3].backward()  # sign 4 at row 3, column 3
seen = signs.grad[0] != 0  # (10, 6, 7)
print("sees earlier signs of its own:", bool(seen[:4, 3, 3].any()))
print("sees itself or later signs:", bool(seen[4:, 3, 3].any()))
print("sees all ten signs on the left:", bool(seen[:, 3, 2].all()))
print("sees what comes after:", bool(seen[:, 3, 4:].any()
                                     or seen[:, 4:].any()))

# %% [markdown]
# Its cross-entropy is a number of bits. Put it into the loss, with a price
# $\lambda$, as a [rate term](../book/glossary.md#rate-term):
#
# $$
# \text{loss} = \text{squared error} + \lambda \cdot \text{bits}.
# $$
#
# This is the loss of learned compression
# ([Ballé et al., 2017](../book/bibliography.md#balle2017);
# [Minnen et al., 2018](../book/bibliography.md#minnen2018)). The
# straight-through gradient carries it into the encoder: a sign that surprises
# its neighbours may as well be the other one, if the picture hardly changes.
# That is the balance of exercise 5.2, and here encoder, decoder and
# guesser all learn from it.

# %%
cheap, cheap_errors = learn_coder(price=3e-4, steps=steps)
report = {}
for name, net in (("without a price", signs_only), ("with a price", cheap)):
    with torch.no_grad():
        error, bits, _ = loss_parts(net, in_colour(few_valid))
        codes = signs_to_tokens(net.on_sphere(in_colour(few_valid)))
    report[name] = {"psnr": pl.measures.psnr(error.item()),
                    "alone": 600 * pl.measures.entropy(codes),
                    "guessed": 600 * bits.item()}
    print(name, {key: round(value, 1) for key, value in
                 report[name].items()})
before, after = report.values()
assert after["guessed"] < 0.95 * before["guessed"]
assert before["guessed"] < before["alone"] < 6000

# %% cellView="form" jupyter={"source_hidden": true} tags=["remove-input"]
# @title { display-mode: "form" }
rows = "\n".join(f"| {name} | {row['psnr']:.1f} | {row['alone']:,.0f} "
                 f"| {row['guessed']:,.0f} |" for name, row in report.items())
pl.say(rf"""
| a few seconds of training | PSNR, dB | entropy of the codes, bits a frame | guessed, bits a frame |
|---|---|---|---|
{rows}

{100 * (1 - after['guessed'] / before['guessed']):.0f} % fewer bits of
guessing. Both numbers have to be read together, as always, and these
networks have hardly learned anything. So the same was done with the full
tokenizer, in runs of equal length with one thing left out of each
(`python -m benchmarks frame_curves`). The bits are again those of the small
network beside it.
""")

# %% mystnb={"image": {"alt": "Five bars of bits a frame, each with its PSNR: everything, no rate term, no entropy terms, an encoder that sees its patch alone, and both halves seeing their patch alone. The bar without the rate term is the longest; the two of networks that see less are shorter, and have lower PSNR."}}
ablation = {row["what"]: row for row in
            pl.data.benchmark("frame_curves")["ablation"]}
figure, axis = plt.subplots(figsize=(5, 2.6), layout="constrained")
names = [name.replace(" sees", "\nsees").replace(" see ", "\nsee ")
         for name in ablation]
bars = axis.barh(names, [row["context_bits"] for row in ablation.values()],
                 color=[pl.figures.BLUE] + [pl.figures.GREY] * 4)
axis.bar_label(bars, [f" {row['psnr']:.2f} dB" for row in
                      ablation.values()])
axis.invert_yaxis()
axis.set(xlabel="bits a frame", xlim=(0, 1.35 * max(
    row["context_bits"] for row in ablation.values())))
plt.show()
whole, unpriced = ablation["everything"], ablation["no rate term"]
assert whole["context_bits"] < 0.9 * unpriced["context_bits"]
assert unpriced["context_bits"] == max(row["context_bits"] for row in
                                       ablation.values())

# %% cellView="form" jupyter={"source_hidden": true} tags=["remove-cell"]
spared = 1 - whole["context_bits"] / unpriced["context_bits"]
_, _, unspread, narrow, blind = ablation.values()

# %% cellView="form" jupyter={"source_hidden": true} tags=["remove-input"]
# @title { display-mode: "form" }
pl.say(rf"""
Without the price a frame has {unpriced['context_bits']:,.0f} bits at
{unpriced['psnr']:.2f} dB, with it {whole['context_bits']:,.0f} at
{whole['psnr']:.2f}: {100 * spared:.0f} % fewer, at nearly the same
quality. The two entropy terms could have been left out:
{unspread['context_bits']:,.0f} bits at {unspread['psnr']:.2f}
dB. (That all codes be used equally is no aim of a compressor: a token that
is rare *and* foreseen is cheap.)

The last two bars are shorter, and yet no gain. An encoder that sees its own
patch alone gives {narrow['psnr']:.2f} dB at
{narrow['context_bits']:,.0f} bits, and if the decoder sees no more,
{blind['psnr']:.2f} at {blind['context_bits']:,.0f}. Fewer bits
are easy to have for a worse picture. What they would have to be compared
with is further down, where bits and quality make a curve.
""")

# %% [markdown]
# ## The shipped tokenizer
#
# The one that comes with the book has more layers and learned for longer.

# %%
model = pl.load("bsq", "cpu")  # files are made on the CPU
tokenizer, about = model.tokenizer, model.provenance
learned = about["tokenizer"]
for name, value in tokenizer.config.items():
    print(f"{name}: {value}")
size = sum(part.numel() for part in tokenizer.parameters())
print(f"parameters: {size:,}")
stated_psnr = pl.measures.psnr(about["valid_squared_error"])
print(f"validation: {stated_psnr:.2f} dB")
assert (tokenizer.bits, tokenizer.grid) == (10, (20, 30))

# %% mystnb={"image": {"alt": "Two frames in three versions: as they are, from their 600 tokens, and a map of the error. The tokens keep the track, the sky and the large shapes and lose texture, thin lines and small print; the error map is bright along edges and on the kart, dark on even ground."}}
shown = model.reconstruct(pair)
error = (pair.double() - shown.double()).square().mean(dim=3).sqrt()
figure, axes = plt.subplots(2, 3, figsize=(5, 2.5), layout="constrained")
for row, frame, copy, wrong in zip(axes, pair, shown, error):
    row[0].imshow(frame)
    row[1].imshow(copy)
    heat = row[2].imshow(wrong, cmap="inferno", vmin=0, vmax=80)
    for axis in row:
        axis.axis("off")
for axis, name in zip(axes[0], ("frame", "600 tokens", "error")):
    axis.set_title(name)
plt.show()

# %% [markdown]
# What goes first is texture: grass, gravel, leaves. It would cost most and
# nobody looks for a single blade. Thin lines, writing and small things far
# away go, too. Edges stay where they are, a little soft, and even areas are
# right.
#
# ### Ten switches
#
# A token is ten switches. What does each of them do? We take a place in the
# middle of a frame and flip one sign after the other. Below: the neighbourhood
# of the patch, 5 x 5 patches, and what each flip changes there, made three
# times as strong. Grey means no change.

# %%
@torch.no_grad()
def flipped(tokens, place):
    """Tokens (T,) -> (11, T): as they are, then with each bit flipped."""
    several = tokens.repeat(11, 1)
    powers = 2 ** torch.arange(10)
    on = tokens[place] // powers % 2  # (10,)
    several[1:, place] += powers * (1 - 2 * on)
    return several

# %%
tokens_pair = tokenizer.encode(pair)  # (2, 600)
row, column = 11, 14
switched = tokenizer.decode(flipped(tokens_pair[0], 30 * row + column))
near = (slice(None), slice(5 * row - 10, 5 * row + 15),
        slice(5 * column - 10, 5 * column + 15))
change = (switched[1:].double() - switched[0].double()).abs()
inside = change[:, 5 * row:5 * row + 5, 5 * column:5 * column + 5]
share_inside = (inside.square().sum() / change.square().sum()).item()
assert 0.2 < share_inside < 1 and (change[near].amax(dim=(1, 2, 3)) > 0).all()

# %% mystnb={"image": {"alt": "Twelve small squares. The first is a crop of the picture around one patch. The next ten are grey but for the middle, where each shows another change: lighter or darker, a tint, a slope or an edge, some reaching into the surroundings. The last, a heat map, is brightest in the middle patch and fades within a patch or two."}}
figure, axes = plt.subplots(2, 6, figsize=(5, 2.1), layout="constrained")
crops = switched[near].double()
amplified = (128 + 3 * (crops[1:] - crops[0])).clamp(0, 255)
axes[0, 0].imshow(switched[near][0])
axes[0, 0].set_title("as it is", fontsize=9)
for bit, axis in enumerate(axes.flat[1:11]):
    axis.imshow(amplified[bit].to(torch.uint8))
    axis.set_title(f"bit {bit}", fontsize=9)
axes[1, 5].imshow(change[near].mean(dim=(0, 3)), cmap="inferno")
axes[1, 5].set_title("mean", fontsize=9)
for axis in axes.flat:
    axis.set(xticks=[], yticks=[])
plt.show()

# %% cellView="form" jupyter={"source_hidden": true} tags=["remove-input"]
# @title { display-mode: "form" }
pl.say(rf"""
A switch may make the patch lighter, tilt it, or colour it. Its meaning
depends on the other nine and on the neighbours: the decoder puts all of them
together. {100 * share_inside:.0f} % of the squared change lies in the patch
itself, the rest around it.
""")

# %% [markdown]
# Now flip several at once. The pictures of all codes for this place came
# along; press the bits. Is there a code that makes the patch white? Does a bit
# do the same whatever the others are?

# %%
pl.explore.switches(tokenizer, pair[0], row, column)

# %% [markdown]
# ### Which codes are used?

# %%
many = x_valid[::max(1, len(x_valid) // 64)]
tokens = tokenizer.encode(many)  # (N, 600)
alone = 600 * pl.measures.entropy(tokens)
used = pl.measures.codebook_usage(tokens, 1024)
on = (tokens.flatten()[:, None] // 2 ** torch.arange(10) % 2).double()
per_bit = binary_entropy_of(on.mean(dim=0)) / math.log(2)  # (10,)
print(f"{100 * used:.0f} % of the codes, {alone:,.0f} bits a frame")
print("entropy of each bit:", [round(bit, 2) for bit in per_bit.tolist()])
assert 600 * per_bit.sum() > alone  # bits go together

# %% mystnb={"image": {"alt": "Share of all tokens against the rank of the code, both logarithmic. A few codes make up several per cent each; then the curve falls ever more steeply."}}
share = tokens.flatten().bincount(minlength=1024) / tokens.numel()
ranked = 100 * share.sort(descending=True).values
figure, axis = plt.subplots(figsize=(5, 2.6))
axis.plot(range(1, 1 + int((ranked > 0).sum())), ranked[ranked > 0],
          color=pl.figures.BLUE, marker=".", ms=3)
axis.axhline(100 / 1024, ls="--", color=pl.figures.GREY)
axis.annotate("all equal", (1, 100 / 1024), xytext=(0, -3), va="top",
              textcoords="offset points", color=pl.figures.GREY)
axis.set(xscale="log", yscale="log", xlabel="rank", ylabel="% of all tokens")
plt.show()

# %% [markdown]
# And is a code like its neighbour's? For comparison, a place somewhere else in
# the same frame:

# %%
lattice = tokens.unflatten(1, (20, 30))
elsewhere = tokens[:, torch.randperm(600, generator=pl.training.seeded(1))]
alike = {
    "left": (lattice[:, :, 1:] == lattice[:, :, :-1]).double().mean(),
    "upper": (lattice[:, 1:] == lattice[:, :-1]).double().mean(),
    "any": (tokens == elsewhere).double().mean()}
print({name: f"{100 * value:.1f} %" for name, value in alike.items()})
assert alike["left"] > alike["any"] < alike["upper"]

# %% cellView="form" jupyter={"source_hidden": true} tags=["remove-input"]
# @title { display-mode: "form" }
pl.say(rf"""
On {len(many)} validation frames {100 * used:.0f} % of the codes occur. Each
bit by itself is nearly a fair coin (the least has {per_bit.min():.2f} bits),
{600 * per_bit.sum():,.0f} bits a frame in all, but they go together: coded
by how often each of the 1,024 codes occurs, a frame costs {alone:,.0f} bits.
In {100 * alike['left']:.1f} % of the places the left neighbour has the same
code, in {100 * alike['upper']:.1f} % the upper one, and a place elsewhere in
{100 * alike['any']:.1f} %. There is something to guess.
""")

# %% [markdown]
# ## The guesser
#
# The [prior](../book/glossary.md#prior) is the transformer of
# [chapter 3](03_gpt.ipynb), unchanged. It reads 600 tokens of a vocabulary of
# 1,024. It is told the row and the column of each place and the tokens within
# two rows and columns. There are no labels.
#
# One thing decides whether any of its numbers mean something: the logits of a
# place must not see the token of that place. In a transformer over text this
# is done by *shifting* the input by one. Forget it, and nothing crashes. We
# change token 250 of a frame. Which logits move?

# %%
# NBVAL_CHECK_OUTPUT
with torch.no_grad():
    changed = tokens_pair[:1].clone()
    changed[0, 250] = (changed[0, 250] + 512) % 1024
    null = torch.zeros(1, dtype=torch.int64)  # "no label"
    moved = (model.prior(changed, null)
             - model.prior(tokens_pair[:1], null)).abs().amax(dim=2)[0]
print("at or before place 250:", bool((moved[:251] > 1e-4).any()))
print("at place 251:", bool(moved[251] > 1e-4))

# %% [markdown]
# What would have happened without the shift? A tiny transformer learns it in
# seconds, on the lower five bits of the tokens (32 kinds). `Leaky` is told, at
# each place, the token of that place.

# %%
class Leaky(GPT):
    """A GPT without the shift: logits[:, t] sees tokens[:, :t + 1]."""

    def forward(self, tokens, labels):
        return super().forward(tokens.roll(-1, dims=1), labels)


def tiny(kind, steps=45):
    """Train a tiny net of that kind: (net, bits a token at each step)."""
    torch.manual_seed(0)
    net, bits = kind(32, (20, 30), width=32, layers=1, heads=1,
                     window=1, embedding=32, num_classes=0), []
    optimizer = torch.optim.Adam(net.parameters(), 1e-2)
    for _ in range(steps):
        part = tokens[torch.randint(len(tokens), (4,))] % 32
        loss = pl.training.loss_in_nats(net, part, torch.zeros(4).long())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        bits.append(loss.item() / math.log(2))
    return net.eval(), bits

# %%
honest, honest_bits = tiny(GPT)
leaky, leaky_bits = tiny(Leaky)

# %% mystnb={"image": {"alt": "Bits a token against the training step for two tiny networks. Both begin at five bits. The one with the shift levels off at a few bits, the one without falls to nearly zero."}}
figure, axis = plt.subplots(figsize=(5, 2.6))
for values, name, colour in (
        (honest_bits, "with the shift", pl.figures.BLUE),
        (leaky_bits, "without", pl.figures.ORANGE)):
    axis.plot(values, color=colour)
    axis.annotate(name, (20, max(values[18:32])), xytext=(0, 6),
                  textcoords="offset points", color=colour)
axis.set(xlabel="step", ylabel="bits a token", ylim=(-0.2, None))
plt.show()

# %% [markdown]
# A wonderful loss, and it is worth nothing. When a frame is decoded or drawn,
# the present token is not there yet. Shift its input, and see what the leaky
# network really needs, and what it draws.

# %%
labels = torch.zeros(8).long()
eight = tokens[:8] % 32
with torch.no_grad():
    true_bits = F.cross_entropy(GPT.forward(leaky, eight, labels).mT,
                                eight).item() / math.log(2)
drawn = {name: pl.sampling.sample(net, labels[:1], torch.rand(1, 600).double())
         for name, net in (("honest", honest), ("leaky", leaky))}
repeats = {name: (line[:, 1:] == line[:, :-1]).double().mean().item()
           for name, line in drawn.items()}
print(f"its loss: {leaky_bits[-1]:.2f} bits a token, in truth "
      f"{true_bits:.1f}; with the shift: {honest_bits[-1]:.2f}")
print("equal to the one before:", {
    name: f"{100 * share:.0f} %" for name, share in repeats.items()})
assert leaky_bits[-1] < 0.5 * honest_bits[-1] < true_bits
assert repeats["leaky"] > repeats["honest"]

# %% cellView="form" jupyter={"source_hidden": true} tags=["remove-input"]
# @title { display-mode: "form" }
pl.say(rf"""
{leaky_bits[-1]:.2f} bits were promised. In truth it is {true_bits:.1f},
against {honest_bits[-1]:.2f} of the network that was trained rightly; a
blind guess costs 5. It has learned to say the token that it was told, so its
drawings repeat themselves: {100 * repeats['leaky']:.0f} % of its tokens
equal the one before ({100 * repeats['honest']:.0f} % with the shift), flat
stripes in place of a picture. A loss that is too good is the first thing to
mistrust.
""")

# %% [markdown]
# ### What it needs
#
# The header of the shipped network, and a part of it measured again:

# %%
made = model.prior.config
parameters = sum(part.numel() for part in model.prior.parameters())
for name in ("width", "layers", "heads", "window", "dropout"):
    print(f"{name}: {made[name]}")
frame_bits = 600 * about["valid_bits_per_token"]
print(f"parameters: {parameters:,}")
print(f"validation: {frame_bits:,.0f} bits a frame at {stated_psnr:.2f} dB")
assert frame_bits < 0.9 * alone or pl.data.offline()
if len(x_valid) == about["valid_images"]:  # not the offline sample
    every = about["check"]["every"]
    stored = torch.tensor(about["check"]["bits"][:8]).double()
    costs = model.bits(x_valid[::every][:8])
    difference = (costs / stored - 1).abs().max().item()
    print(f"eight frames again, largest difference: {100 * difference:.3f} %")
    assert difference < 0.01

# %% cellView="form" jupyter={"source_hidden": true} tags=["remove-input"]
# @title { display-mode: "form" }
pl.say(rf"""
{made['layers']} layers of width {made['width']}: {parameters:,} parameters,
and {size:,} in the tokenizer. A frame costs {frame_bits:,.0f} bits, the mean
of {about['valid_images']} public validation frames, at {stated_psnr:.2f} dB.
These are bits of the tokens, of a picture with that error: no likelihood of
the frame.
""")

# %% [markdown]
# Where in the picture are they spent?

# %%
spent = model.token_bits(many[::max(1, len(many) // 16)]).mean(dim=0)  # (600,)
spent = spent.view(20, 30)
print("every second row:",
      " ".join(f"{row:.1f}" for row in spent.mean(dim=1)[::2]))
assert spent.min() >= 0 and spent.max() > 1.2 * spent.mean()

# %% mystnb={"image": {"alt": "A map of 20 by 30 places with the mean bits of each token. The middle, where the horizon, the track and the kart are, is brightest; the upper left corner and the first column cost more than what lies beside them; the lower corners are among the darkest."}}
figure, axis = plt.subplots(figsize=(5, 2.9))
heat = axis.imshow(spent, cmap="inferno", vmin=0)
axis.set(xlabel="column", ylabel="row")
figure.colorbar(heat, label="bits a token", shrink=0.9)
plt.show()

# %% [markdown]
# ### Drawing frames
#
# Three frames at [temperature](../book/glossary.md#temperature) 1, and below
# three at 0.9:

# %% mystnb={"image": {"alt": "Six drawn frames in two rows. Like blurred paintings of the game: most have a sky, a horizon and ground, some a dark kart in the middle or trees; no thing has a clear shape, and the first has dark blots in its sky."}}
started = time.perf_counter()
drawn_frames = torch.cat([model.sample(3, temperature=heat, seed=1)
                          for heat in (1.0, 0.9)])
draw_seconds = (time.perf_counter() - started) / 6
pl.figures.grid(drawn_frames, columns=3, size=1.05,
                row_titles=["1.0 ", "0.9 "])
plt.show()

# %% [markdown]
# At a glance they are the game: a sky, a horizon, ground, often something dark
# in the middle where the kart belongs. Up close no thing has a shape. The
# reasons are known from the chapters before. Each token is likely after those
# before it, and nobody looks at the whole. A frame has 600 tokens and the
# network has seen some thousands of frames, not the millions that it would
# take to learn what a track is. And a compressor may spend its bits on what is
# hard to guess; a painter is judged by exactly that.
#
# With the upper half given, it does better. Above a frame and the half that is
# kept, below two endings:

# %% mystnb={"image": {"alt": "Four pictures: a real frame and its upper half above light blue, and below them two drawn endings. The endings go on from the horizon; their ground has some fitting colours, and the details differ."}}
given = pair[1:2]
ends = model.complete(given.repeat(2, 1, 1, 1), rows=50, temperature=0.9)
half = pl.figures.partial(model, tokenizer.encode(given)[:, :300])
pl.figures.grid(np.concatenate([given, half, ends]), columns=2, size=1.3)
plt.show()
top, bottom = (part.double() for part in ends.split(50, dim=1))
assert (top[0] - top[1]).abs().mean() < (bottom[0] - bottom[1]).abs().mean()

# %% cellView="form" jupyter={"source_hidden": true} tags=["remove-input"]
# @title { display-mode: "form" }
pl.say(rf"""
On the machine that made this page they took {draw_seconds:.1f} s each, drawn
three at a time. Here is another that draws itself, patch by patch:
""")

# %% tags=["remove-input"]
film = pl.figures.frames(model, model.stream(1, temperature=0.9, seed=4),
                         count=9)[:, 0]
pl.figures.animation(film, "A frame is drawn in rows of patches from the top "
                     "to the bottom, over light blue.", 250, width=300)

# %% [markdown]
# ## From tokens to bytes
#
# Now the file. [Chapter 1](01_bits.ipynb) built the range coder: a number in
# an interval, and each token narrows the interval to its share. The package
# uses a faster one that does the same, `constriction`
# ([Bamler, 2022](../book/bibliography.md#bamler2022)). What is left to do is
# what chapter 1 did not have to: the probabilities come from a network.
#
# The coder wants whole numbers that sum to $2^{24}$, each at least 1. How much
# is lost by rounding probabilities to those?

# %%
# equivalent to: pixellab.codec.frequencies
def whole_shares(logits):
    """logits (1, V) -> whole numbers (V,), each >= 1, 2^24 in all."""
    p = logits[0].double().softmax(dim=0).numpy()
    counts = np.floor(p * (2 ** 24 - len(p))) + 1
    counts[p.argmax()] += 2 ** 24 - counts.sum()
    return counts

# %%
frame = pair[0]
line = tokenizer.encode(frame[None])  # (1, 600)
with torch.no_grad():
    parallel = model.prior(line, null)[0]  # (600, 1024)
shares = np.stack([whole_shares(logits[None]) for logits in parallel])
p = parallel.double().softmax(dim=1)
loss_by_rounding = -(p * torch.from_numpy(shares / 2 ** 24).log2()
                     - p * p.log2()).nansum(dim=1)  # (600,), bits
print(f"lost by rounding: {loss_by_rounding.sum():.3f} bits a frame")
assert (shares >= 1).all() and (shares.sum(axis=1) == 2 ** 24).all()
assert -1e-6 < loss_by_rounding.sum() < 2

# %% [markdown]
# Next to nothing. The real trouble lies elsewhere. To encode, all tokens are
# known, and one pass gives all logits at once. To decode, they come one by
# one, by `step` with its cache. The same network, the same mathematics, but
# the sums are added in another order, and floating-point sums then differ in
# their last digits. How many of the 600 tables of shares are the same?

# %%
def shares_by_steps(prior, line):
    """The shares that a decoder sees: (T, V)."""
    state, found = prior.start(null), []
    for t in range(len(line)):
        logits = prior.step(state, line[t - 1:t] if t else None)
        found.append(whole_shares(logits))
    return np.stack(found)


stepped = shares_by_steps(model.prior, line[0])
differs = (stepped != shares).any(axis=1)  # (600,)
share_differs = (stepped != shares).mean()
largest = (np.abs(stepped - shares).max() / 2 ** 24)
print(f"{differs.sum()} of 600 tables differ, {100 * share_differs:.0f} % of "
      f"their numbers;\nthe largest difference is a share of {largest:.1e}")
assert differs.any() and largest < 1e-3

# %% [markdown]
# By how much, at each place?

# %% mystnb={"image": {"alt": "Dots for the 600 places, on a logarithmic axis: the largest difference of a share between the two ways. Nearly all of them lie between some hundred-millionths and some millionths."}}
gaps = np.abs(stepped - shares).max(axis=1) / 2 ** 24  # (600,)
figure, axis = plt.subplots(figsize=(5, 2.4))
axis.plot(np.arange(600)[gaps > 0], gaps[gaps > 0], ".", ms=3,
          color=pl.figures.BLUE)
axis.set(yscale="log", xlabel="place", ylabel="largest difference")
plt.show()

# %% [markdown]
# Most of them differ, and none by an amount that anybody would notice. Does it
# matter? We encode with the one and decode with the other.

# %%
import contextlib

import constriction


def as_models(shares):
    """Tables of shares (T, V) as the coder wants them."""
    return [pl.codec.distribution(row) for row in shares]


def to_payload(line, models):
    """Range-code tokens (T,), each by its table: bytes."""
    coder = constriction.stream.queue.RangeEncoder()
    for token, table in zip(line.tolist(), models):
        coder.encode(token, table)
    return coder.get_compressed().astype(">u4").tobytes()


def from_payload(payload, models):
    """The opposite, until it is done or the coder sees nonsense."""
    coder, found = pl.codec.decoder(payload), []
    with contextlib.suppress(AssertionError):
        for table in models:
            found.append(int(coder.decode(table)))
    return found

# %%
its_own = as_models(stepped)
payload = to_payload(line[0], its_own)
assert from_payload(payload, its_own) == line[0].tolist()
wrong = from_payload(payload, as_models(shares))
hits = [a == b for a, b in zip(wrong, line[0].tolist())]
first_wrong = hits.index(False) if False in hits else len(hits)
print(f"first wrong token: {first_wrong}; right ones after it: "
      f"{sum(hits[first_wrong:])} of {600 - first_wrong}")
assert sum(hits[first_wrong:]) < 0.8 * (600 - first_wrong)

# %% [markdown]
# Where are the right ones?

# %% mystnb={"image": {"alt": "A map of 20 by 30 places in two colours. After a few right tokens at the upper left most are wrong; right ones come in clusters, more in some regions than in others."}}
right = np.array(hits + [False] * (600 - len(hits))).reshape(20, 30)
figure, axis = plt.subplots(figsize=(4, 2.7))
axis.imshow(np.where(right[..., None], (31, 111, 235), (217, 115, 13)))
axis.set(xticks=[], yticks=[], xlabel="blue: right, orange: wrong")
plt.show()

# %% cellView="form" jupyter={"source_hidden": true} tags=["remove-input"]
# @title { display-mode: "form" }
pl.say(rf"""
Token {first_wrong} is the first wrong one, and of the {600 - first_wrong}
from there on {sum(hits[first_wrong:])} are right, where little else was
likely. A tiny error in one place moves the number a little off, and every
narrower interval after it makes that little larger. (And here the tables
were even made from the true tokens. A real decoder would make the next ones
from the wrong token.)
""")

# %% [markdown]
# So the encoder must not take the fast way. It **runs the decoder's own
# step**, token by token, on one thread: the same sums in the same order. It
# takes as long as decoding.

# %%
started = time.perf_counter()
blob = model.compress(frame)
encode_seconds = time.perf_counter() - started
started = time.perf_counter()
again = model.decompress(blob)
decode_seconds = time.perf_counter() - started
assert torch.equal(again, model.reconstruct(frame[None])[0])
promised = model.bits(frame[None]).item()
overhead = 8 * (len(blob) - 17) - promised
print(f"{len(blob)} bytes, {8 * (len(blob) - 17)} bits of tokens, "
      f"cross-entropy {promised:.1f}: {overhead:.1f} bits more")
print(f"encoded in {encode_seconds:.1f} s, decoded in {decode_seconds:.1f} s")
assert -1 < overhead < 12

# %% cellView="form" jupyter={"source_hidden": true} tags=["remove-input"]
# @title { display-mode: "form" }
pl.say(rf"""
{len(blob)} bytes for 45,000, and `decompress` gives back exactly what
`reconstruct` shows. The coded tokens are {overhead:.1f} bits longer than the
network's own bits. How can it be so few? The coder names its number to 32
bits; that was {len(payload)} bytes. But any number in the last interval will
do. `codec.shortest` tries shorter ones, rounded up, and keeps the shortest
that still decodes: {len(pl.codec.unpack(blob)[2])} bytes.
""")

# %% [markdown]
# ### The file, byte by byte
#
# Seventeen bytes stand before the tokens. What do they say?

# %%
import struct

fields = struct.unpack("<2sBB3sBBII", blob[:17])
header, token_sum, payload = pl.codec.unpack(blob)
names = ("magic", "version of the layout", "model: its place in a list",
         "first bytes of the weights' SHA-256", "label, 255: none",
         "shape: its place in a list", "CRC-32 of the tokens",
         "CRC-32 of the rest of the file")
at, sizes = 0, (2, 1, 1, 3, 1, 1, 4, 4)
for name, width, value in zip(names, sizes, fields):
    print(f"{at:3}  {blob[at:at + width].hex(' '):12} {name}")
    at += width
print(f"{at:3}  {blob[at:at + 4].hex(' ')} ... the tokens, "
      f"{len(blob) - at} bytes")
assert fields[3] == header.weights == model.fingerprint()
assert fields[6] == token_sum and blob[17:] == payload
assert pl.codec.MODELS[fields[2]] == header.model == "bsq"
assert pl.codec.SHAPES[fields[5]] == header.shape == (100, 150, 3)

# %% [markdown]
# The whole file, one square a byte:

# %% mystnb={"image": {"alt": "A sheet of small squares, one for each byte of the file. The seventeen of the header have colours by their meaning, with the two checksums in orange at its end; hundreds of light blue ones, the tokens, follow."}}
palette = ["#24292f", "#57606a", "#8b949e", "#2da44e", "#bf8700", "#8250df",
           pl.figures.ORANGE, "#f0883e"]
shades = [colour for colour, width in zip(palette, sizes)
          for _ in range(width)] + ["#a5cdf7"] * (len(blob) - 17)
figure, axis = plt.subplots(figsize=(5, 2.2))
for number, shade in enumerate(shades):
    axis.add_patch(plt.Rectangle((number % 40, -(number // 40)), 0.8, 0.8,
                                 color=shade, lw=0))
axis.set(xlim=(-0.2, 40.2), ylim=(-(len(blob) // 40) - 0.3, 1.2),
         aspect="equal")
axis.axis("off")
plt.show()

# %% [markdown]
# Two [checksums](../book/glossary.md#checksum), and they do different work.
# The second is tested *before* decoding: has a bit of the file changed? The
# first is tested *after*: are these the tokens that went in? If a bit flips,
# on a disk or on the way, the file is refused. Is that so for every single
# bit?

# %%
# NBVAL_CHECK_OUTPUT
def refuses(blob):
    """Why the file is not read, or None."""
    try:
        model.decompress(blob)
    except ValueError as error:
        return str(error)


reasons = []
for bit in range(8 * len(blob)):
    damaged = bytearray(blob)
    damaged[bit // 8] ^= 1 << bit % 8
    reasons.append(refuses(damaged))
print("all files with one flipped bit refused:", all(reasons))
print("a byte missing:", refuses(blob[:-1]))
print("only a header left:", refuses(blob[:11]))

# %% [markdown]
# And what would be in the picture, if nobody checked? We flip one bit after
# about a third of the tokens, and decode all the same.

# %%
def decode_anyway(payload):
    """Tokens (1, 600) without any check; zeros where the coder gave up."""
    coder, found = pl.codec.decoder(payload), []

    def choose(distribution):
        found.append(int(coder.decode(distribution)))
        return found[-1]

    with contextlib.suppress(AssertionError):
        pl.codec.walk(model.prior, null, 600, choose)
    return torch.tensor([found + [0] * (600 - len(found))])


broken = bytearray(payload)
broken[len(broken) // 3] ^= 16
garbage = decode_anyway(bytes(broken))
same = (garbage == line)[0]
first_garbage = int((~same).nonzero()[0])
print(f"wrong from token {first_garbage} on, right after it: "
      f"{int(same[first_garbage:].sum())}")
assert 0 < first_garbage < 600 and same[first_garbage:].double().mean() < 0.8

# %% mystnb={"image": {"alt": "Two frames. Left, decoded from the whole file. Right, decoded from a file with one flipped bit and no check: the upper rows are the same, and from some place on it is another picture."}}
pl.figures.grid(torch.cat([again[None], tokenizer.decode(garbage)]),
                columns=2, size=1.5, titles=["whole", "one bit flipped"])
plt.show()

# %% cellView="form" jupyter={"source_hidden": true} tags=["remove-input"]
# @title { display-mode: "form" }
pl.say(rf"""
The tokens before number {first_garbage} are right. Then the model dreams: it
goes on with what is likely, guided by random bits. That is the danger of a
good model. The garbage looks like a picture, and only the checksum knows.
All {len(reasons):,} files with one flipped bit were refused.
""")

# %% [markdown]
# ### Other weights, other machines
#
# A file can only be read with the weights that wrote it. One weight changed by
# a millionth makes others:

# %%
import copy

other = copy.deepcopy(model)
with torch.no_grad():
    other.prior.head.bias[0] += 1e-6
try:
    other.decompress(blob)
    refused = False
except ValueError as error:
    refused = True
    print(error)
assert refused

# %% [markdown]
# And the same weights on another machine? There is a gap here, and it should
# be told. Another processor, or another version of PyTorch, may add the sums
# in another order, as the parallel pass did above. Then the tables differ and
# the tokens come out wrong. The checksum of the tokens finds that out, always
# but for one case in four billion, and the file is **refused**, never shown
# wrong. But it *is* refused: such a file is not meant to be kept for ten years
# and read anywhere.
#
# The cure is known. If weights and features are whole numbers, no sum is ever
# rounded, and every machine computes the same
# ([Ballé et al., 2019](../book/bibliography.md#balle2019)). It takes networks
# that are trained for it.
#
# ### Exact pictures, too
#
# Nothing in the codec is about frames. With a
# [lossless](../book/glossary.md#lossless) tokenizer before it, the picture
# itself comes back, every bit of it:

# %%
digits, digit_labels = pl.data.mnist("valid")
for name in ("gpt", "pixelcnn"):
    other = pl.load(name, "cpu")
    digit, label = digits[450], int(digit_labels[450])
    file = other.compress(digit, label)
    assert torch.equal(other.decompress(file), digit)
    bits = other.bits(digit[None], [label]).item()
    print(f"{name}: {len(file)} bytes, {8 * (len(file) - 17) - bits:.1f} bits "
          "more than its cross-entropy, and the same digit again")

# %% [markdown]
# ## Against JPEG, WebP and AVIF
#
# Is it any good? The rivals are formats that everybody has: JPEG of 1992, WebP
# of 2010, and AVIF of 2019. Pillow writes all three. The rules first. The same
# frames, which no model here was trained on; whole files, with all headers;
# the same error, squared and in RGB; and each rival may take its time. (A
# Pillow without AVIF leaves it out of the first picture.)

# %%
import io

from PIL import Image, features

CAREFUL = {"JPEG": {"optimize": True}, "WebP": {"method": 6},
           "AVIF": {"speed": 4}}
formats = [name for name in CAREFUL
           if name != "AVIF" or features.check("avif")]


def rival(image, name, quality):
    """(bytes of the file, what it shows) of an image uint8 (H, W, 3)."""
    file = io.BytesIO()
    Image.fromarray(np.asarray(image)).save(
        file, name, quality=quality, **CAREFUL[name])
    shown = np.array(Image.open(file).convert("RGB"))
    return len(file.getvalue()), torch.from_numpy(shown)


def psnr_of(image, shown):
    error = pl.measures.mean_squared_error(image[None], shown[None])
    return pl.measures.psnr(error.item())

# %% cellView="form" jupyter={"source_hidden": true} tags=["remove-input"]
# @title { display-mode: "form" }
pl.say(rf"""
Our frame once more, at its {len(blob)} bytes. What do the others make of it
with as few bytes as they can, but not fewer than ours?
""")

# %%
started = time.process_time()
for _ in range(10):
    rival(frame, "WebP", 5)
webp_ms = 100 * (time.process_time() - started)
panels = [("frame", frame), (f"ours: {len(blob)} B\n"
                             f"{psnr_of(frame, again):.1f} dB", again)]
least = {}
for name in formats:
    tries = [rival(frame, name, quality) for quality in (0, 1, 2, 3, 5, 15)]
    least[name] = min(size for size, _ in tries)
    bytes_, picture = min((one for one in tries if one[0] >= len(blob)),
                          key=lambda one: one[0])
    panels.append((f"{name}: {bytes_} B\n{psnr_of(frame, picture):.1f} dB",
                   picture))
goal = psnr_of(frame, again)
steps_up = (rival(frame, "JPEG", quality) for quality in range(4, 96, 2))
equal = next(one for one in steps_up if psnr_of(frame, one[1]) > goal)
panels.append((f"JPEG: {equal[0]} B\n{psnr_of(frame, equal[1]):.1f} dB",
               equal[1]))
print("smallest files of this frame:", least)

# %% mystnb={"image": {"alt": "One frame in six versions, each with bytes and decibels. Ours is soft and lacks texture. JPEG near its smallest is made of large flat squares with wrong colours; WebP and AVIF are smooth and blurred. JPEG at our decibels needs a larger file."}}
figure, axes = plt.subplots(2, 3, figsize=(5, 3.3), layout="constrained")
for axis in axes.flat:
    axis.axis("off")
for axis, (name, picture) in zip(axes.flat, panels):
    axis.imshow(picture)
    axis.set_title(name, fontsize=9)
plt.show()

# %% [markdown]
# From how many bytes on can the frame be recognised? The slider sets how many
# bytes a file may have, and each format shows the best of its files within
# them. The frame is one of those rendered for this book, from a track that no
# model was trained on. "BSQ" are the learned points of the curve below and the
# shipped model; their pictures are what real files decode to (compressed once
# more, slightly, to fit on the page). Those of the rivals *are* the files:
# your browser decodes them.

# %%
import base64
from pathlib import Path

own = (Path(pl.data.__file__).parent
       / "frames/valid_gran_paradiso_island_09.webp")
original = np.array(Image.open(own).convert("RGB"))


def version(file, shown, size=None):
    """For the slider: (bytes, squared error, what the browser shows)."""
    error = pl.measures.mean_squared_error(original[None], shown[None])
    return size or len(file), error.item(), file

# %%
versions = {"BSQ": []}
for point in pl.data.benchmark("frame_curves")["points"]:
    stored = point["picture"]
    versions["BSQ"].append((stored["bytes"], stored["mse"],
                            base64.b64decode(stored["webp"])))
ours = model.reconstruct(original[None])[0].numpy()
versions["BSQ"].append(version(pl.explore.image_file(ours), ours,
                               len(model.compress(original))))
for name in formats:
    versions[name] = []
    for quality in (0, 5, 10, 20, 30, 40, 50, 60):
        file = io.BytesIO()
        Image.fromarray(original).save(file, name, quality=quality,
                                       **CAREFUL[name])
        shown = np.array(Image.open(file).convert("RGB"))
        versions[name].append(version(file.getvalue(), shown))
assert min(size for size, _, _ in versions["BSQ"]) < min(
    size for name in formats for size, _, _ in versions[name])

# %%
pl.explore.rates(versions, limits=[200, 250, 350, 450, 550, 700, 900, 1200],
                 start=5)

# %% cellView="form" jupyter={"source_hidden": true} tags=["remove-input"]
# @title { display-mode: "form" }
stored = pl.data.benchmark("frame_files")
pl.say(rf"""
One frame proves nothing. The curves below are means over {stored['frames']}
public validation frames (`python -m benchmarks frame_files`). The blue star
is the shipped model, in files that were written and read again. The blue
dots are other models with 6, 8, 10 and 12 signs a patch, trained for a short
time only (`frame_curves`). WebP runs twice: on the frame, and on a frame of
half the size that is enlarged after decoding (exercise 6.3).
""")

# %% [markdown]
# The upper panel counts whole files. In the lower one each format's fixed part
# is taken off, the size of a file of one colour. Ours is 17 bytes. That is
# kind to the rivals, since a file needs a header, but it shows the coding
# alone.

# %%
ours, rivals = stored["ours"], stored["rivals"]
points = pl.data.benchmark("frame_curves")["points"]
psnr = pl.measures.psnr
assert [a["mse"] > b["mse"] for a, b in zip(points, points[1:])] == [True] * 3


def curve_of(name, bare):
    """(bytes, dB) of a rival, in order."""
    return sorted((row["bytes"] - bare * row["fixed_bytes"],
                   psnr(row["mse"])) for row in rivals[name])


def gain_over(name, bare=False):
    """dB of ours above a rival at equal bytes; None below its files."""
    ready = curve_of(name, bare)
    here = ours["payload_bytes" if bare else "bytes"]
    if here < ready[0][0]:
        return None
    return psnr(ours["mse"]) - np.interp(here, *zip(*ready))


gains = {(name, bare): gain_over(name, bare) for name in rivals
         for bare in (False, True)}
for (name, bare), gain in gains.items():
    print(name, "without headers:" if bare else "whole files:",
          "cannot go this small" if gain is None else f"{gain:+.2f} dB")
smallest = {name: min(row["bytes"] for row in rows)
            for name, rows in rivals.items()}

# %% mystnb={"image": {"alt": "Two panels of PSNR against bytes a frame, with rising curves for JPEG, WebP, WebP at half size and AVIF, four blue dots and a blue star for ours. Above, whole files: the star lies higher than every curve; the dots lie above WebP at half size for few bytes and meet it at their right end; JPEG lies lowest, far to the right. Below, without fixed headers: the others have moved to the left, AVIF and JPEG most, and the star lies on the curve of AVIF."}}
figure, axes = plt.subplots(2, 1, figsize=(5, 6.2), layout="constrained")
colours = {"JPEG": pl.figures.GREY, "WebP": pl.figures.ORANGE,
           "AVIF": "#2da44e", "WebP at half size": "#8250df"}
for bare, axis in enumerate(axes):
    for name in rivals:
        rows = curve_of(name, bare)
        axis.plot(*zip(*rows), "o-", ms=3, color=colours[name])
        end = [row for row in rows if row[0] < 950][-1]
        if name.endswith("size"):  # below its first point, and only above,
            end = rows[0]          # where nothing else is
        if not (bare and name.endswith("size")):
            axis.annotate(f" {name} ", end, color=colours[name], **(
                {"ha": "right"} if name == "AVIF" else {"va": "top"}))
    key = "payload_bytes" if bare else "bytes"
    axis.plot([point[key] for point in points],
              [psnr(point["mse"]) for point in points], "o-", ms=4,
              color=pl.figures.BLUE)
    axis.plot(ours[key], psnr(ours["mse"]), "*", ms=14,
              color=pl.figures.BLUE)
    axis.annotate("ours", (ours[key], psnr(ours["mse"])), xytext=(-7, 5),
                  textcoords="offset points", ha="right",
                  color=pl.figures.BLUE)
    axis.set(xlim=(0, 1080), ylim=(20, 30.5), ylabel="PSNR, dB",
             title="without fixed headers" if bare else "whole files")
axes[1].set_xlabel("bytes a frame")
plt.show()

# %% cellView="form" jupyter={"source_hidden": true} tags=["remove-cell"]
def in_words(gain):
    if gain is None:
        return "cannot go this small"
    if abs(gain) < 0.05:
        return "level"
    return f"{gain:+.1f} dB".replace("-", "\u2212")  # a minus, no hyphen

# %% cellView="form" jupyter={"source_hidden": true} tags=["remove-cell"]
megabytes = pl.weights.find("bsq").stat().st_size / 1e6
needed = {name: np.interp(psnr(ours["mse"]), *zip(*sorted(
    (psnr(row["mse"]), row["bytes"]) for row in rows)))
    for name, rows in rivals.items()}  # bytes for the same error
strongest = min(needed, key=needed.get)
saved_each = needed[strongest] - ours["bytes"]

# %% cellView="form" jupyter={"source_hidden": true} tags=["remove-input"]
# @title { display-mode: "form" }
rows = "\n".join(
    f"| {name} | {in_words(gains[name, 0])} | {in_words(gains[name, 1])} "
    f"| {smallest[name]:.0f} | {files[0]['fixed_bytes']:.0f} |"
    for name, files in rivals.items())
pl.say(rf"""
The shipped model: {ours['bytes']:.0f} bytes a frame at
{psnr(ours['mse']):.2f} dB. How much better (+) or worse is that than the
others at equal bytes?

| rival | whole files | without fixed headers | its smallest file, bytes | a file of one colour, bytes |
|---|---|---|---|---|
{rows}
""")

# %% [markdown]
# Five remarks, to be fair.

# %% cellView="form" jupyter={"source_hidden": true} tags=["remove-input"]
# @title { display-mode: "form" }
paid_back = "at no number of frames" if saved_each <= 1 else (
    f"after {round(1e6 * megabytes / saved_each, -2):,.0f} frames")
pl.say(rf"""
- **To beat JPEG here is nearly free**: at this size most of its file is
  header. WebP and AVIF are the bar. Without headers AVIF is the strongest
  (ours against it: {in_words(gains['AVIF', 1])}).
- **A rival may be helped**: half the size is a simple trick, and strong at
  few bytes. The smallest files with our error are those of {strongest}, with
  {needed[strongest]:.0f} bytes.
- **The rivals know nothing of karts.** They are made for every picture there
  is; ours has seen {learned['train_images']:,} frames of this game and would
  be poor at anything else.
- **The decoder weighs {megabytes:.1f} MB.** Compared with those smallest
  files, that is paid back {paid_back}.
- **And it is slow**: {ours['encode_seconds']:.1f} seconds to write a frame
  and {ours['decode_seconds']:.1f} to read it, where WebP writes and reads
  one in {webp_ms:.0f} thousandths of a second.
""")

# %% [markdown]
# What this model shows is how far knowledge of the data goes, with a small
# network.
#
# ## Your own
#
# All stages are commands. A plain auto-encoder first, if you want to start the
# tokenizer from one; then the tokenizer, the tokens of all frames, the prior,
# and files. `--log-dir` writes logs for TensorBoard, `--resume FOLDER` goes on
# with a run that was killed.
#
# ```bash
# pixellab train bsq --stage autoencoder --epochs 2 --out runs/plain
# pixellab train bsq --stage tokenizer --bits 10 --rate-weight 1e-4 \
#     --epochs 10 --log-dir logs --out runs/signs
# pixellab tokenize bsq DIR tokens.safetensors --mirror \
#     --weights runs/signs/best.safetensors
# pixellab train bsq --stage prior --tokens tokens.safetensors \
#     --width 128 --layers 3 --warmup 200 --out runs/frames
# pixellab sample bsq --count 16
# pixellab compress PICTURE.png --out small
# pixellab decompress small/PICTURE.pbp --out again
# ```
#
# DIR holds the folders `train` and `valid`; without it the frames of this
# chapter are taken.
#
# ## Turning the knobs
#
# With a kernel running, two pictures listen to six knobs.
# The upper picture flips a bit as soon as a knob moves. In the lower one the
# last quarter of the frame is drawn anew, which takes some seconds, a row of
# patches at a time.

# %%
def as_png(picture, factor=2):
    """uint8 (H, W, 3) as the bytes of an enlarged PNG."""
    file = io.BytesIO()
    large = np.asarray(picture).repeat(factor, 0).repeat(factor, 1)
    Image.fromarray(large).save(file, "PNG")
    return file.getvalue()


def flip_shown(row, column, bit):
    """The first frame with one bit flipped at one place, as a PNG."""
    several = flipped(tokens_pair[0], 30 * row + column)
    return as_png(tokenizer.decode(several[bit + 1:bit + 2])[0])


def end_live(screen, **settings):
    """Draw the last quarter of the first frame, a row at a time."""
    for tokens in model.stream(images=pair[:1], rows=75, **settings):
        if tokens.shape[1] % 30 == 0 and tokens.shape[1] > 450:
            screen.value = as_png(pl.figures.partial(model, tokens)[0])

# %% [markdown]
# The knobs and two screens:

# %% tags=["remove-output"]
import ipywidgets as widgets

flip_screen, screen = widgets.Image(format="png"), widgets.Image(format="png")
switches = {"row": widgets.IntSlider(11, min=0, max=19),
            "column": widgets.IntSlider(14, min=0, max=29),
            "bit": widgets.IntSlider(0, min=0, max=9)}
knobs = {"temperature": widgets.FloatSlider(0.9, min=0, max=2, step=0.05),
         "top_p": widgets.FloatSlider(1, min=0.05, max=1, step=0.01),
         "seed": widgets.IntSlider(0, min=0, max=99)}


def flip_again(change=None):
    flip_screen.value = flip_shown(**{name: knob.value for name, knob
                                      in switches.items()})


def end_again(change=None):
    """Draw the ending with the knobs as they stand."""
    end_live(screen, **{name: knob.value for name, knob in knobs.items()})

# %% tags=["remove-output"]
for group, answer in ((switches, flip_again), (knobs, end_again)):
    for name, knob in group.items():
        knob.description, knob.continuous_update = name, False
        knob.observe(answer, "value")
flip_again()
end_again()
widgets.HBox([widgets.VBox([*switches.values(), *knobs.values()]),
              widgets.VBox([flip_screen, screen])])

# %% [markdown]
# On a page there is no kernel. These knobs need none: whole frames that were
# drawn beforehand, and one guess of the network, which your browser filters as
# we do. The bars are the likeliest codes, painted in their place.

# %%
pl.explore.settings(
    model, pair[0], None, labels=[None], seeds=3,
    temperatures=(0.6, 0.8, 1, 1.2), top_ps=(1, 0.9), top_ks=(1, 5, 50),
    alt="A sheet of drawn frames. At temperature 0.6, in the first row of "
    "each seed, and with top-p 0.9, on the right, they are even and empty; "
    "at 1.2 they are full of small patches of many colours.")

# %% [markdown]
# ## Exercises

# %% [markdown]
# ### Exercise 6.1: Which bits matter?
#
# Flip each of the ten bits everywhere in a few frames. Order the bits by the
# squared error that this makes. Now send only the most important $k$ of them
# and let the decoder read the others as zero, which lies half-way between the
# two signs. What does the picture look like for $k = 2, 4, 6, 8, 10$? Why is
# this no good codec for few bits?

# %% [markdown] jp-MarkdownHeadingCollapsed=true
# #### Solution of exercise 6.1

# %% cellView="form" jupyter={"source_hidden": true} mystnb={"image": {"alt": "One frame painted from 2, 4, 6, 8 and 10 of its bits a patch. With few bits the colours are wrong and shapes can hardly be seen; with eight it is recognisable; with all ten it is as before."}}
# @title Solution { display-mode: "form" }
few_tokens = tokenizer.encode(few_valid[:4])
true_frames = tokenizer.decode(few_tokens)
harm = torch.stack([pl.measures.mean_squared_error(
    true_frames, tokenizer.decode(few_tokens + 2 ** bit * (
        1 - 2 * (few_tokens // 2 ** bit % 2)))).mean() for bit in range(10)])
order = harm.argsort(descending=True)
corners = tokens_to_corners(tokens_pair[:1])  # (1, 10, 20, 30)
ladder = []
for k in (2, 4, 6, 8, 10):
    kept = torch.zeros_like(corners)
    kept[:, order[:k]] = corners[:, order[:k]]
    with torch.no_grad():
        ladder.append(((tokenizer.paint(kept)[0] + 0.5) * 255).round().clamp(
            0, 255).to(torch.uint8).permute(1, 2, 0))
print("bits, by harm:", order.tolist())
pl.figures.grid(torch.stack([pair[0], *ladder]), columns=3, size=1.05)
plt.show()
assert torch.equal(ladder[-1], tokenizer.decode(tokens_pair[:1])[0])

# %% [markdown]
# (First the frame, then 2, 4, 6, 8, 10 bits.) With all ten it is the picture
# that we know. With fewer it falls apart, since the decoder has never seen a
# zero in its training, and the bits were not asked to be useful one after the
# other. Whoever wants that must train for it, with bits left out at random.

# %% [markdown]
# ### Exercise 6.2: What does a bit know of its neighbour?
#
# For each of the ten bits, measure the
# **[mutual information](../book/glossary.md#mutual-information)** with the
# same bit of the left neighbour, $I = H(a) + H(b) - H(a, b)$. Which bit is
# easiest to guess? Compare the sum with what the prior saves in all.

# %% [markdown] jp-MarkdownHeadingCollapsed=true
# #### Solution of exercise 6.2

# %% cellView="form" jupyter={"source_hidden": true}
# @title Solution { display-mode: "form" }
switch = lattice[..., None] // 2 ** torch.arange(10) % 2  # (N, 20, 30, 10)
here, left = (part.reshape(-1, 10) for part in (switch[:, :, 1:],
                                                switch[:, :, :-1]))
information = torch.tensor([
    pl.measures.entropy(a) + pl.measures.entropy(b)
    - pl.measures.entropy(2 * a + b) for a, b in zip(here.T, left.T)])
print("bits, each about its left neighbour:",
      [round(value, 2) for value in information.tolist()])
print(f"sum: {information.sum():.2f} bits a token; the prior saves "
      f"{10 - about['valid_bits_per_token']:.2f} of ten")
assert (information > -1e-9).all() and (information <= 1).all()
assert information.sum() < 10

# %% [markdown]
# A part of what the prior saves can be had from one neighbour and bit by bit.
# The rest is in the other neighbours, in bits that go together, and in what
# lies further away.

# %% [markdown]
# ### Exercise 6.3: How coarse may it be?
#
# A cheaper trick: halve the sides of a frame, store the small one as WebP, and
# enlarge it again. Is that better than WebP of the whole frame, at the same
# bytes? And than ours?

# %% [markdown] jp-MarkdownHeadingCollapsed=true
# #### Solution of exercise 6.3

# %% cellView="form" jupyter={"source_hidden": true}
# @title Solution { display-mode: "form" }
def at_half_size(image, quality):
    """(bytes, picture) of WebP at half the sides, enlarged again."""
    small = Image.fromarray(image.numpy()).resize((75, 50), Image.LANCZOS)
    count, shown = rival(small, "WebP", quality)
    large = Image.fromarray(shown.numpy()).resize((150, 100), Image.BICUBIC)
    return count, torch.from_numpy(np.array(large))


sixteen, means = few_valid[:16], {}
for way, coder in (("half", at_half_size), ("whole", lambda image, quality:
                                            rival(image, "WebP", quality))):
    means[way] = []
    for quality in (0, 10, 20, 40):
        sizes, pictures = zip(*(coder(one, quality) for one in sixteen))
        error = pl.measures.mean_squared_error(sixteen, torch.stack(pictures))
        means[way].append((np.mean(sizes), psnr(error.mean().item())))
    print(way, [f"{size:.0f} B, {value:.1f} dB" for size, value
                in means[way]])
our_bytes = 17 + model.bits(sixteen).mean().item() / 8
our_psnr = psnr(model.distortion(sixteen).mean().item())
half_psnr = np.interp(our_bytes, *zip(*means["half"]))
print(f"ours: {our_bytes:.0f} B, {our_psnr:.1f} dB; half size at as many: "
      f"{half_psnr:.1f} dB")
assert means["half"][0][0] < means["whole"][0][0]

# %% cellView="form" jupyter={"source_hidden": true} tags=["remove-input"]
# @title { display-mode: "form" }
pl.say(rf"""
At {our_bytes:.0f} bytes, on these sixteen frames, WebP at half the size has
{half_psnr:.1f} dB and ours {our_psnr:.1f}. So a rival may be helped, and
whoever claims to have beaten one should have tried to. The trick reaches
numbers of bytes that WebP cannot reach otherwise: its coder spends the bits
on the coarse shapes, which is where the squared error is. Its ceiling is
low, though. What the small picture does not hold, no quality brings back.
""")

# %% [markdown]
# ### Exercise 6.4: Forget the header
#
# Somebody counts only the coded tokens and calls it "bytes a frame". How wrong
# is that for one frame, and for a film of 250 frames in one file with one
# header? And by how much would it help the coder to write all frames as one
# number?

# %% [markdown] jp-MarkdownHeadingCollapsed=true
# #### Solution of exercise 6.4

# %% cellView="form" jupyter={"source_hidden": true} tags=["remove-input"]
# @title { display-mode: "form" }
pl.say(rf"""
For one frame it hides 17 bytes of the {len(blob)} of ours. In a film one
header serves all frames, less than a tenth of a byte each. One number for
all frames also ends once, not 250 times: at each end the number is rounded
up to a whole byte, and about half a byte a frame would be saved. What
matters in a film is elsewhere: the next frame looks like this one, and our
model forgets each frame before it begins the next.
""")

# %% [markdown]
# ## What to remember
#
# - On a sphere, ten signs are a token: nothing to search, no table, every code
#   within reach. On the way back the rounding is passed over.
# - Entropies of independent bits add up, so a loss over $2^L$ codes costs $L$
#   terms.
# - Tokens can be taught to be cheap. A price for the bits of a small guesser
#   does more than any other term.
# - Logits must not see their own token. Change one token and look, before you
#   believe a loss.
# - A codec needs the same numbers on both sides, to the last digit. So the
#   encoder walks the decoder's way, and checksums stand before and after.
# - Compare whole files, at equal error, with the best rivals, on pictures that
#   nobody trained on; and say how heavy the decoder is.
#
# That was the last of five systems. They differ in what a token is, in the
# network, in speed and in what they lose. Which is best, and at what?
# [Chapter 7](07_scoreboard.ipynb) puts them side by side, with one ruler and
# one scoreboard.
#
# ## Further reading
#
# - [Zhao et al. (2025)](../book/bibliography.md#zhao2025) introduced BSQ, for
#   images and video; [Yu et al. (2024)](../book/bibliography.md#yu2024) the
#   lookup-free quantiser before it.
# - [van den Oord et al. (2017)](../book/bibliography.md#oord2017) learned a
#   codebook inside a network;
#   [Bengio et al. (2013)](../book/bibliography.md#bengio2013) the
#   straight-through gradient.
# - [Ballé et al. (2017)](../book/bibliography.md#balle2017) trained encoder,
#   decoder and rate together;
#   [Minnen et al. (2018)](../book/bibliography.md#minnen2018) let an
#   autoregressive model guess the code, as here.
# - [Martin (1979)](../book/bibliography.md#martin1979) wrote down the range
#   coder; [Bamler (2022)](../book/bibliography.md#bamler2022) explains entropy
#   coding for people who train networks.
# - [Ballé et al. (2019)](../book/bibliography.md#balle2019) make learned
#   codecs that every machine decodes alike.
# - [Delétang et al. (2024)](../book/bibliography.md#deletang2024): a language
#   model is a compressor, for pictures and sounds as well.
