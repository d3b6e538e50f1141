"""Layers that Flax has no class for, made of its own layers and functions, for linen and nnx.

`RotaryAttention` goes into Flax's own attention layers as their `attention_fn`; the others are
modules.  The emitter of JAX knows each of them as one node.
"""

from __future__ import annotations

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen, nnx

STYLES = ("half", "interleaved")
ACTIVATIONS = ("silu", "relu2")


@dataclass(frozen=True)
class RotaryAttention:
    """Attention whose queries and keys are turned by their position, as `attention_fn`.

    `style` "half" turns the pairs (j, j + e/2) of a head of width e, "interleaved" (2j, 2j + 1), by
    the angle position * base**(-2j/e).  With `causal` no query sees a later key.
    """

    style: str = "half"
    base: float = 10000.0
    causal: bool = False

    def __post_init__(self):
        if self.style not in STYLES:
            raise ValueError(f"style is {self.style!r}, expected one of {', '.join(STYLES)}")

    def __call__(self, query, key, value, bias=None, mask=None, broadcast_dropout=True,
                 dropout_rng=None, dropout_rate=0.0, deterministic=False, dtype=None,
                 precision=None, module=None, is_causal=False):
        """As dot_product_attention of linen and nnx, whose arguments these are.

        linen hands over what the signature names, nnx everything.
        """
        query, key = self.turned(query), self.turned(key)
        if self.causal or is_causal:
            rows, columns = jnp.arange(query.shape[-3]), jnp.arange(key.shape[-3])
            seen = rows[:, None] >= columns
            mask = seen[None, None] if mask is None else jnp.logical_and(mask, seen)
        grouped = query.shape[-2] != key.shape[-2]
        flax = nnx if grouped or isinstance(module, nnx.Module) else linen
        return flax.dot_product_attention(
            query, key, value, bias=bias, mask=mask, broadcast_dropout=broadcast_dropout,
            dropout_rng=dropout_rng, dropout_rate=dropout_rate, deterministic=deterministic,
            dtype=dtype, precision=precision, module=module)

    def turned(self, x):
        """x [..., positions, heads, e], turned."""
        width = x.shape[-1]
        if width % 2:
            raise ValueError(f"a head of width {width} cannot be turned: expected an even width")
        speed = jnp.asarray(self.base ** (-np.arange(0, width, 2) / width), x.dtype)
        angle = jnp.arange(x.shape[-3], dtype=x.dtype)[:, None, None] * speed
        cos, sin = jnp.cos(angle), jnp.sin(angle)
        if self.style == "half":
            a, b = jnp.split(x, 2, axis=-1)
            return jnp.concatenate([a * cos - b * sin, a * sin + b * cos], axis=-1)
        a, b = x[..., 0::2], x[..., 1::2]
        return jnp.stack([a * cos - b * sin, a * sin + b * cos], axis=-1).reshape(x.shape)


def _gated(activation: str, gate, up):
    if activation not in ACTIVATIONS:
        raise ValueError(f"activation is {activation!r}, expected one of {', '.join(ACTIVATIONS)}")
    return (jax.nn.silu(gate) if activation == "silu" else jnp.square(jax.nn.relu(gate))) * up


class SwiGLU(linen.Module):
    """down(act(gate(x)) * up(x)) of three linen.Dense; the output is as wide as the input."""

    hidden_features: int
    activation: str = "silu"
    use_bias: bool = False
    dtype: object = None
    param_dtype: object = jnp.float32

    @linen.compact
    def __call__(self, x):
        def dense(width, name):
            return linen.Dense(width, use_bias=self.use_bias, dtype=self.dtype,
                               param_dtype=self.param_dtype, name=name)
        gate, up = dense(self.hidden_features, "gate")(x), dense(self.hidden_features, "up")(x)
        return dense(x.shape[-1], "down")(_gated(self.activation, gate, up))


class NnxSwiGLU(nnx.Module):
    """down(act(gate(x)) * up(x)) of three nnx.Linear."""

    def __init__(self, in_features: int, hidden_features: int, *, activation: str = "silu",
                 use_bias: bool = False, dtype=None, param_dtype=jnp.float32, rngs: nnx.Rngs):
        more = {"use_bias": use_bias, "dtype": dtype, "param_dtype": param_dtype, "rngs": rngs}
        self.activation = activation
        self.gate = nnx.Linear(in_features, hidden_features, **more)
        self.up = nnx.Linear(in_features, hidden_features, **more)
        self.down = nnx.Linear(hidden_features, in_features, **more)

    def __call__(self, x):
        return self.down(_gated(self.activation, self.gate(x), self.up(x)))


def _rows(embed, count: int, ids):
    """embed(ids) with rows of zeros for ids outside 0..count-1; real ids lose their fraction."""
    if jnp.issubdtype(ids.dtype, jnp.floating):
        ids = jnp.trunc(ids).astype(jnp.int32)
    inside = (ids >= 0) & (ids < count)
    return jnp.where(inside[..., None], embed(jnp.where(inside, ids, 0)), 0)


class ZeroEmbed(linen.Module):
    """linen.Embed that gives a row of zeros for an id outside its table."""

    num_embeddings: int
    features: int
    dtype: object = None
    param_dtype: object = jnp.float32

    @linen.compact
    def __call__(self, ids):
        embed = linen.Embed(self.num_embeddings, self.features, dtype=self.dtype,
                            param_dtype=self.param_dtype, name="embed")
        return _rows(embed, self.num_embeddings, ids)


class NnxZeroEmbed(nnx.Module):
    """nnx.Embed that gives a row of zeros for an id outside its table."""

    def __init__(self, num_embeddings: int, features: int, *, dtype=None, param_dtype=jnp.float32,
                 rngs: nnx.Rngs):
        self.embed = nnx.Embed(num_embeddings, features, dtype=dtype, param_dtype=param_dtype,
                               rngs=rngs)

    def __call__(self, ids):
        return _rows(self.embed, self.embed.num_embeddings, ids)
