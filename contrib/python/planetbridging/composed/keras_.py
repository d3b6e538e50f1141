"""Layers that Keras has no class for, made of its own layers and operations.

The emitter knows them: each is one node of the graph.  They are registered with Keras, so that a
model with them can be saved and loaded where this module has been imported.
"""

from __future__ import annotations

import math

import numpy as np

from ..planets.keras_ import framework

keras = framework()
layers, ops = keras.layers, keras.ops
registered = keras.saving.register_keras_serializable("planetbridging")

ROPES = ("half", "interleaved", "none")


@registered
class SwiGLU(layers.Layer):
    """down(act(gate(x)) * up(x)), the feed-forward part of Llama-like networks.

    `activation` is "silu", or "relu2" (the square of relu) as in BitNet.
    """

    def __init__(self, hidden_features: int, activation: str = "silu", use_bias: bool = False,
                 **kw):
        super().__init__(**kw)
        if activation not in ("silu", "relu2"):
            raise ValueError(f"activation is {activation!r}, expected 'silu' or 'relu2'")
        self.hidden_features, self.activation = hidden_features, activation
        self.use_bias = use_bias

    def build(self, input_shape):
        width = input_shape[-1]
        for name, units in (("gate", self.hidden_features), ("up", self.hidden_features),
                            ("down", width)):
            dense = layers.Dense(units, use_bias=self.use_bias, dtype=self.dtype_policy, name=name)
            dense.build((None, width if name != "down" else self.hidden_features))
            setattr(self, name + "_dense", dense)
        self.built = True

    def call(self, x):
        gate = self.gate_dense(x)
        gate = ops.silu(gate) if self.activation == "silu" else ops.square(ops.relu(gate))
        return self.down_dense(gate * self.up_dense(x))

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {**super().get_config(), "hidden_features": self.hidden_features,
                "activation": self.activation, "use_bias": self.use_bias}


@registered
class RopeAttention(layers.Layer):
    """Attention with rotary positions and, where `num_kv_heads` is less, shared key heads.

    `rope` says which elements of a head turn together: "half" (j, j + head_dim/2) as in Llama's
    published form, "interleaved" (2j, 2j + 1), or "none".  Positions count from 0 in every call.
    `bias` is True, False, or the letters of the projections that have one, as "qkv".  An
    `attention_mask` is boolean, [T, S], [B, T, S] or [B, heads, T, S], and True where a key may be
    seen; a query that may see none gets zeros from the heads.
    """

    def __init__(self, num_heads: int, head_dim: int, num_kv_heads: int | None = None, *,
                 rope: str = "half", rope_base: float = 10000.0, causal: bool = True,
                 bias: bool | str = False, value_dim: int | None = None,
                 out_features: int | None = None, **kw):
        super().__init__(**kw)
        self.num_heads, self.head_dim = num_heads, head_dim
        self.num_kv_heads = num_kv_heads or num_heads
        if num_heads % self.num_kv_heads or rope not in ROPES or head_dim % 2 and rope != "none":
            raise ValueError(f"{num_heads} heads, {self.num_kv_heads} key heads of width "
                             f"{head_dim}, rope {rope!r} do not go together")
        self.rope, self.rope_base, self.causal = rope, float(rope_base), causal
        self.bias = bias if isinstance(bias, str) else "qkvo" if bias else ""
        self.value_dim, self.out_features = value_dim or head_dim, out_features

    def build(self, query_shape, value_shape=None, key_shape=None):
        value_shape = value_shape or query_shape
        key_shape = key_shape or value_shape
        out = self.out_features or query_shape[-1]
        narrow = self.num_kv_heads
        for name, letter, heads, width, given in (
                ("query", "q", self.num_heads, self.head_dim, query_shape),
                ("key", "k", narrow, self.head_dim, key_shape),
                ("value", "v", narrow, self.value_dim, value_shape)):
            self._add(name, letter, "abc,cde->abde", (None, heads, width), "de",
                      (None, None, given[-1]))
        self._add("output", "o", "abde,dec->abc", (None, out), "c",
                  (None, None, self.num_heads, self.value_dim))
        self.built = True

    def _add(self, name: str, letter: str, equation: str, shape, axes: str, given) -> None:
        dense = layers.EinsumDense(equation, shape, bias_axes=axes if letter in self.bias else None,
                                   dtype=self.dtype_policy, name=name)
        dense.build(given)
        setattr(self, name + "_dense", dense)

    def call(self, query, value=None, key=None, attention_mask=None):
        value = query if value is None else value
        key = value if key is None else key
        group = self.num_heads // self.num_kv_heads
        q, k = self._rotated(self.query_dense(query)), self._rotated(self.key_dense(key))
        k, v = (ops.repeat(t, group, axis=2) for t in (k, self.value_dense(value)))
        scores = ops.einsum("bqhe,bkhe->bhqk", q, k) * self._number(1 / math.sqrt(self.head_dim))
        weights = _softmax(scores, self._seen(scores, attention_mask))
        return self.output_dense(ops.einsum("bhqk,bkhe->bqhe", weights, v))

    def _seen(self, scores, mask):
        """Which scores count, or None for all."""
        if mask is not None and len(mask.shape) == 3:
            mask = ops.expand_dims(mask, 1)
        if not self.causal:
            return mask
        earlier = ops.expand_dims(ops.arange(ops.shape(scores)[2]), 1) >= \
            ops.arange(ops.shape(scores)[3])
        return earlier if mask is None else ops.logical_and(mask, earlier)

    def _rotated(self, x):
        """x [b, length, heads, head_dim], each pair turned by position * base^(-2j/head_dim)."""
        if self.rope == "none":
            return x
        turns = self.rope_base ** (-np.arange(0, self.head_dim, 2) / self.head_dim)
        steps = ops.cast(ops.arange(ops.shape(x)[1]), self.compute_dtype)
        angle = ops.expand_dims(steps, 1) * self._number(turns)
        cos, sin = (f(angle)[None, :, None] for f in (ops.cos, ops.sin))
        if self.rope == "half":
            a, b = ops.split(x, 2, axis=-1)
            return ops.concatenate([a * cos - b * sin, a * sin + b * cos], -1)
        a, b = x[..., 0::2], x[..., 1::2]
        return ops.reshape(ops.stack([a * cos - b * sin, a * sin + b * cos], -1), ops.shape(x))

    def _number(self, value):
        """A constant in the layer's own precision: Keras would take it through float32."""
        return ops.convert_to_tensor(np.asarray(value, self.compute_dtype))

    def compute_output_shape(self, query_shape, value_shape=None, key_shape=None):
        return (*query_shape[:-1], self.out_features or query_shape[-1])

    def get_config(self):
        names = ("num_heads", "head_dim", "num_kv_heads", "rope", "rope_base", "causal", "bias",
                 "value_dim", "out_features")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


def _softmax(scores, seen):
    """Softmax over the last axis; what is not seen weighs nothing."""
    if seen is None:
        return ops.softmax(scores, axis=-1)
    weights = ops.softmax(ops.where(seen, scores, ops.full_like(scores, -3e38)), axis=-1)
    return ops.where(seen, weights, ops.zeros_like(weights))


@registered
class ZeroOutsideEmbedding(layers.Layer):
    """An embedding whose rows for ids outside the vocabulary are zero; Keras's own refuses such.

    Ids may be floats too: what stands behind the point is dropped.
    """

    def __init__(self, input_dim: int, output_dim: int, **kw):
        super().__init__(**kw)
        self.input_dim, self.output_dim = input_dim, output_dim

    def build(self, input_shape=None):
        self.table = layers.Embedding(self.input_dim, self.output_dim, dtype=self.dtype_policy,
                                      name="table")
        self.table.build(None)
        self.built = True

    def call(self, ids):
        ids = ops.cast(ids, "int64")
        inside = ops.logical_and(ids >= 0, ids < self.input_dim)
        rows = self.table(ops.where(inside, ids, ops.zeros_like(ids)))
        return ops.where(ops.expand_dims(inside, -1), rows, ops.zeros_like(rows))

    def compute_output_spec(self, ids):
        return keras.KerasTensor((*ids.shape, self.output_dim), dtype=self.compute_dtype)

    def get_config(self):
        return {**super().get_config(), "input_dim": self.input_dim, "output_dim": self.output_dim}
