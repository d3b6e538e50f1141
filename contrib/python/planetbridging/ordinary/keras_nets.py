"""Keras networks that users write themselves: blocks of transformers, taggers of sequences."""

from __future__ import annotations

import keras
from keras import layers


class Block(layers.Layer):
    """x [b, s, width] to the same: attention and two dense layers, behind norms and beside skips.

    Padded places, by the mask that x carries, are seen by none; with `causal` none sees a later one.
    """

    def __init__(self, heads: int, key_dim: int, hidden: int, causal: bool = False, **options):
        super().__init__(**options)
        self.supports_masking = True
        self.heads, self.key_dim, self.hidden, self.causal = heads, key_dim, hidden, causal
        self.attention = layers.MultiHeadAttention(heads, key_dim, name="attention")
        self.norms = [layers.LayerNormalization(epsilon=1e-6, name=f"norm_{n}") for n in range(2)]
        self.up = layers.Dense(hidden, "gelu", name="up")

    def build(self, shape):
        self.attention.build(shape, shape)
        self.down = layers.Dense(shape[-1], name="down")
        for layer in (*self.norms, self.up):
            layer.build(shape)
        self.down.build((*shape[:-1], self.hidden))
        self.built = True

    def call(self, x):
        seen = self.norms[0](x)
        x = x + self.attention(seen, seen, use_causal_mask=self.causal)
        return x + self.down(self.up(self.norms[1](x)))

    def get_config(self):
        own = {name: getattr(self, name) for name in ("heads", "key_dim", "hidden", "causal")}
        return {**super().get_config(), **own}


class Positions(layers.Layer):
    """x [b, s, width] and a row of a table for each of the first s places."""

    def __init__(self, most: int, **options):
        super().__init__(**options)
        self.supports_masking, self.most = True, most

    def build(self, shape):
        self.table = self.add_weight(shape=(self.most, shape[-1]), name="table")
        self.built = True

    def call(self, x):
        return x + self.table[:x.shape[1]]

    def get_config(self):
        return {**super().get_config(), "most": self.most}


def classifier(words: int, length: int, width: int, classes: int) -> keras.Model:
    """Ids [b, length], 0 being padding, to logits [b, classes]: two blocks, the mean of real places."""
    ids = keras.Input((length,), dtype="int64", name="ids")
    x = layers.Embedding(words, width, mask_zero=True, name="embed")(ids)
    x = Positions(length, name="positions")(x)
    for n in range(2):
        x = Block(2, width // 2, 2 * width, name=f"block_{n}")(x)
    x = layers.LayerNormalization(name="norm")(x)
    x = layers.GlobalAveragePooling1D(name="pool")(x)
    return keras.Model(ids, layers.Dense(classes, name="head")(x), name="classifier")


def language(words: int, width: int) -> keras.Model:
    """Ids [b, s] to logits [b, s, words]: two causal blocks."""
    ids = keras.Input((None,), dtype="int64", name="ids")
    x = layers.Embedding(words, width, name="embed")(ids)
    for n in range(2):
        x = Block(2, width // 2, 2 * width, causal=True, name=f"block_{n}")(x)
    x = layers.LayerNormalization(name="norm")(x)
    return keras.Model(ids, layers.Dense(words, name="head")(x), name="language")


def bilstm(words: int, width: int, hidden: int, tags: int) -> keras.Model:
    """Ids [b, s] to logits [b, s, tags]: two LSTM layers, each along both ways."""
    ids = keras.Input((None,), dtype="int64", name="ids")
    x = layers.Embedding(words, width, name="embed")(ids)
    for n in range(2):
        x = layers.Bidirectional(layers.LSTM(hidden, return_sequences=True), name=f"lstm_{n}")(x)
    return keras.Model(ids, layers.Dense(tags, name="head")(x), name="bilstm")


def gru(words: int, width: int, hidden: int, tags: int) -> keras.Model:
    """Ids [b, s], 0 being padding, to logits [b, s, tags]: one GRU that skips the padding."""
    ids = keras.Input((None,), dtype="int64", name="ids")
    x = layers.Embedding(words, width, mask_zero=True, name="embed")(ids)
    x = layers.GRU(hidden, return_sequences=True, name="gru")(x)
    return keras.Model(ids, layers.Dense(tags, name="head")(x), name="gru")
