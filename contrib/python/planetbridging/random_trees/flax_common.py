"""What trees of linen and of nnx share: functions, drawn weights, and calls of parts."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from ..bedrock.own import drawing
from . import functions


class Framework:
    """The names of `functions` in jax.numpy."""

    exp, log, log1p, expm1, sin, cos, erf = map(staticmethod, (
        jnp.exp, jnp.log, jnp.log1p, jnp.expm1, jnp.sin, jnp.cos, jax.lax.erf))
    sqrt, rsqrt, reciprocal, square, abs, sign = map(staticmethod, (
        jnp.sqrt, jax.lax.rsqrt, jnp.reciprocal, jnp.square, jnp.abs, jnp.sign))
    floor, ceil, round, floor_divide, remainder = map(staticmethod, (
        jnp.floor, jnp.ceil, jnp.round, jnp.floor_divide, jnp.mod))
    power, clip, where, matmul, sigmoid, tanh, softmax, log_softmax = map(staticmethod, (
        jnp.power, jnp.clip, jnp.where, jnp.matmul, jax.nn.sigmoid, jnp.tanh, jax.nn.softmax, jax.nn.log_softmax))
    cumsum, transpose, minimum, maximum = map(staticmethod, (
        jnp.cumsum, jnp.transpose, jnp.minimum, jnp.maximum))
    both, either, opposite, flip, roll, split = map(staticmethod, (
        jnp.logical_and, jnp.logical_or, jnp.logical_not, jnp.flip, jnp.roll, jnp.split))

    feature = staticmethod(lambda kind: {"image": 3, "sequence": 2, "vector": 1}[kind])
    places = staticmethod(lambda kind: {"image": (1, 2), "sequence": (1,), "vector": ()}[kind])
    extent = staticmethod(lambda x, axis: x.shape[axis])
    sum = staticmethod(lambda x, axes, keep: jnp.sum(x, axes, keepdims=keep))
    mean = staticmethod(lambda x, axes, keep: jnp.mean(x, axes, keepdims=keep))
    max = staticmethod(lambda x, axes, keep: jnp.max(x, axes, keepdims=keep))
    min = staticmethod(lambda x, axes, keep: jnp.min(x, axes, keepdims=keep))
    concat = staticmethod(jnp.concatenate)
    argmax = staticmethod(lambda x, axis: jnp.argmax(x, axis, keepdims=True))
    take_along = staticmethod(jnp.take_along_axis)
    reshape = staticmethod(lambda x, sizes: x.reshape(x.shape[0], *sizes))
    expand = staticmethod(lambda x, like: jnp.broadcast_to(x, like.shape))
    full = staticmethod(jnp.full_like)
    floats = staticmethod(lambda x, like: x.astype(like.dtype))
    dropout = staticmethod(lambda x: x)
    take = staticmethod(lambda x, order, axis: jnp.take(x, np.array(order), axis))
    patches = staticmethod(lambda x, wide: x.reshape(x.shape[0], -1, wide))

    @staticmethod
    def lower(x):
        places = jnp.arange(x.shape[1])
        return places[:, None] >= places[None]

    @staticmethod
    def beside(x, kind):
        return {"image": lambda: x[:, None, None], "sequence": lambda: x[:, None], "vector": lambda: x}[kind]()

    @staticmethod
    def pad(x, axes, low, high, mode):
        widths = [(low, high) if axis in axes else (0, 0) for axis in range(x.ndim)]
        return jnp.pad(x, widths, {"replicate": "edge", "circular": "wrap"}.get(mode, mode))

    @staticmethod
    def activation(name, x, kind):
        own = {"gelu_erf": lambda: jax.nn.gelu(x, approximate=False), "softmax": lambda: 4.0 * nn.softmax(x),
               "leaky_relu": lambda: nn.leaky_relu(x, 0.2)}
        return own[name]() if name in own else getattr(jax.nn, name)(x)


def walk(module, call, xs):
    """The outputs of a module's steps; `call(step, xs)` is what a part makes."""
    values = dict(zip(module.inputs, xs))
    for step in module.steps:
        given = [values[name] for name in step.ins]
        values[step.outs[0]] = call(step, given) if step.part and step.op not in POOLS else plain(step, given)
    made = [values[name] for name in module.outputs]
    return made[0] if len(made) == 1 else tuple(made)


def plain(step, xs):
    """A step that has no weights."""
    if step.op in POOLS:
        return pooled(step.op, step.params, xs[0])
    if step.op == "positions":
        return xs[0] + jnp.sin(jnp.arange(xs[0].shape[1]) * 0.7)[None, :, None].astype(xs[0].dtype)
    made = functions.computed(Framework, step, xs)
    if made is None:
        raise KeyError(step.op)
    return made


POOLS = ("maxpool", "avgpool", "maxpool_padded", "avgpool_padded")


def pooled(op: str, p: dict, x):
    window = tuple(p["kernel"])
    padded = op.endswith("padded")
    strides = (1,) * len(window) if padded else tuple(p["stride"])
    padding = ((1, 1),) * len(window) if padded else p["padding"].upper()
    if op.startswith("max"):
        return nn.max_pool(x, window, strides, padding)
    return nn.avg_pool(x, window, strides, padding, count_include_pad=p.get("count", True))


def padding_of(p: dict):
    """A convolution's padding in Flax's words: "half" is pairs of sizes."""
    if p["padding"] != "half":
        return p["padding"].upper()
    return tuple(((k - 1) * d // 2,) * 2 for k, d in zip(p["kernel"], p["dilation"]))


def over_steps(layer, x):
    """A layer of the last axis on the steps of a sequence."""
    return layer(x.transpose(0, 2, 1)).transpose(0, 2, 1)


def last_of(result, both: bool):
    """The state h that is left at the end, of both directions side by side; LSTM's carry is (c, h)."""
    h = lambda state: state[1] if isinstance(state, tuple) else state  # noqa: E731
    return jnp.concatenate([h(state) for state in result[0]], -1) if both else h(result[0])


def drawn(name: str, path: tuple, shape: tuple[int, ...]) -> np.ndarray:
    """One weight by what it is called: norms' scales around 1, offsets around 0."""
    slot = str(path[-1])
    if slot in ("scale", "var"):
        return np.float32(1) + drawing.uniform(name, shape, 0.4)
    if slot == "embedding":
        return drawing.normal(name, shape)
    if slot != "kernel":
        return drawing.uniform(name, shape, 0.3)
    heads = path[-2] in ("query", "key", "value")
    fan = shape[0] if heads else math.prod(shape[:-1])
    return drawing.uniform(name, shape, 1.25 * math.sqrt(3 / fan))
