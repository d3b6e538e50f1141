"""Flax networks that users write, of linen but for `Encoder`, and one that scico trained."""

from __future__ import annotations

from functools import partial

import jax.numpy as jnp
from flax import linen as nn
from flax import nnx


class Residual(nn.Module):
    """x [b, h, w, c] to `width` channels: two convolutions with norms, beside a skip made to fit."""

    width: int
    strides: int
    norm: partial

    @nn.compact
    def __call__(self, x):
        conv = partial(nn.Conv, use_bias=False)
        y = nn.relu(self.norm()(conv(self.width, (3, 3), self.strides)(x)))
        y = self.norm()(conv(self.width, (3, 3))(y))
        if x.shape != y.shape:
            x = self.norm(name="skip_norm")(conv(self.width, (1, 1), self.strides, name="skip")(x))
        return nn.relu(x + y)


class ResidualCnn(nn.Module):
    """Images [b, h, w, 3] to logits [b, classes]: a stem, three stages of two blocks, an average."""

    classes: int
    width: int = 16
    momentum: float = 0.99

    @nn.compact
    def __call__(self, x, train: bool = False):
        norm = partial(nn.BatchNorm, use_running_average=not train, momentum=self.momentum)
        x = nn.relu(norm(name="stem_norm")(nn.Conv(self.width, (3, 3), name="stem")(x)))
        for stage in range(3):
            for block in range(2):
                strides = 2 if stage and not block else 1
                x = Residual(self.width << stage, strides, norm, name=f"block_{stage}_{block}")(x)
        return nn.Dense(self.classes, name="head")(x.mean(axis=(1, 2)))


class Block(nn.Module):
    """x [b, s, width] to the same: attention and two dense layers, behind norms and beside skips."""

    heads: int
    hidden: int

    @nn.compact
    def __call__(self, x, mask):
        seen = nn.LayerNorm()(x)
        x = x + nn.MultiHeadDotProductAttention(self.heads, name="attention")(seen, mask=mask)
        y = nn.gelu(nn.Dense(self.hidden, name="up")(nn.LayerNorm()(x)))
        return x + nn.Dense(x.shape[-1], name="down")(y)


class Language(nn.Module):
    """Ids [b, s], 0 being padding, to logits [b, s, words]: two causal blocks, the table used twice."""

    words: int
    width: int
    most: int

    @nn.compact
    def __call__(self, ids):
        embed = nn.Embed(self.words, self.width, name="embed")
        places = nn.Embed(self.most, self.width, name="places")
        real = ids > 0
        mask = nn.combine_masks(nn.make_causal_mask(ids), nn.make_attention_mask(real, real))
        x = embed(ids) + places(jnp.arange(ids.shape[1]))
        for n in range(2):
            x = Block(2, 2 * self.width, name=f"block_{n}")(x, mask)
        return embed.attend(nn.LayerNorm(name="norm")(x)) / jnp.sqrt(self.width)


class Encoder(nnx.Module):
    """x [b, s, width] to the same: two blocks of attention and dense layers, norms behind skips."""

    def __init__(self, width: int, heads: int, hidden: int, *, rngs: nnx.Rngs):
        self.attention = nnx.List(nnx.MultiHeadAttention(heads, width, decode=False, rngs=rngs)
                                  for _ in range(2))
        self.norms = nnx.List(nnx.LayerNorm(width, rngs=rngs) for _ in range(4))
        self.up = nnx.List(nnx.Linear(width, hidden, rngs=rngs) for _ in range(2))
        self.down = nnx.List(nnx.Linear(hidden, width, rngs=rngs) for _ in range(2))

    def __call__(self, x):
        for n in range(2):
            x = self.norms[2 * n](x + self.attention[n](x))
            x = self.norms[2 * n + 1](x + self.down[n](nnx.relu(self.up[n](x))))
        return x


class Tagger(nn.Module):
    """Ids [b, s] to logits [b, s, tags]: recurrent layers, along both ways or forward alone."""

    cell: type
    words: int
    width: int
    hidden: int
    tags: int
    layers: int = 1
    both: bool = False

    @nn.compact
    def __call__(self, ids):
        x = nn.Embed(self.words, self.width, name="embed")(ids)
        for n in range(self.layers):
            ways = [nn.RNN(self.cell(self.hidden), name=f"{way}_{n}")
                    for way in ("forward", "backward")[:1 + self.both]]
            x = nn.Bidirectional(*ways)(x) if self.both else ways[0](x)
        return nn.Dense(self.tags, name="head")(x)


class ConvBNBlock(nn.Module):
    """A block of `DnCnn`; parameters have the names of their classes."""

    features: int

    @nn.compact
    def __call__(self, x):
        x = nn.Conv(self.features, (3, 3), use_bias=False, padding="CIRCULAR")(x)
        return nn.relu(nn.BatchNorm(use_running_average=True)(x))


class DnCnn(nn.Module):
    """Noisy images [b, h, w, 1] to clean ones, as scico's DnCNNNet of depth 6: the layers make noise."""

    @nn.compact
    def __call__(self, x):
        conv = partial(nn.Conv, use_bias=False, padding="CIRCULAR")
        y = nn.relu(conv(64, (3, 3), name="conv_start")(x))
        for _ in range(4):
            y = ConvBNBlock(64)(y)
        return x - conv(1, (3, 3), name="conv_end")(y)
