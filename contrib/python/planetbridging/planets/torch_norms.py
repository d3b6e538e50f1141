"""The ATen operations that normalise: over batches, layers, groups and channels."""

from __future__ import annotations

import math

import torch

from .torch_dims import number, size_of
from .torch_nn import same_dtype, slot
from .torch_trace import Refused, Translator


def held_slots(t: Translator, slots: dict):
    """(weights by slot where all that are given are stored, the rest by slot)."""
    given = {name: value for name, value in slots.items() if value is not None}
    weights = {name: t.held(value) for name, value in given.items()}
    computed = {name: given[name] for name, weight in weights.items() if weight is None}
    return ({}, given) if computed else (weights, {})


def put(t: Translator, fx, wanted: str, op: str, x, name: str, params: dict, weights: dict) -> str:
    """A norm's node with its weights [n]."""
    dtype = same_dtype(t, x, *weights.values())
    node = t.builder.unique(wanted)
    tensors = [slot(t, node, key, weight, "n", dtype, t.array(weight)[0].reshape(-1))
               for key, weight in weights.items()]
    return t.builder.put(node, op, [name], params, tensors)


def affine(t: Translator, fx, name: str, parts: dict, shape) -> str:
    """name * gamma + beta with computed gamma and beta, brought to `shape` first."""
    for key, word in (("gamma", "mul"), ("beta", "add")):
        if key in parts:
            factor = t.tensor(parts[key], fx)
            if shape is not None:
                factor = t.builder.node(f"{t.wanted(fx)}.{key}", "reshape", [factor], {"shape": shape})
            name = t.builder.node(f"{t.wanted(fx)}.{word}", word, [name, factor])
    return name


def channel_shape(x) -> list[int]:
    """The shape in which a row of channels stands beside x."""
    rank = x.meta["val"].ndim
    return [-1 if axis == 1 else 1 for axis in range(rank)]


def batch_norm(t: Translator, fx, x, gamma, beta, mean, var, momentum, eps):
    """(x - mean) / sqrt(var + eps) * gamma + beta with the stored statistics."""
    weights, rest = held_slots(t, {"gamma": gamma, "beta": beta, "mean": mean, "var": var})
    if rest:
        raise Refused("a weight that is computed from the inputs")
    dim = number(x.meta["val"].shape[1], "a number of channels")
    params = {"dim": dim, "axis": 1, "eps": float(eps), "scale": gamma is not None,
              "offset": beta is not None}
    return [put(t, fx, t.wanted(fx), "batchnorm", x, t.tensor(x, fx), params, weights), None, None]


def batch_statistics(t: Translator, fx, x, gamma, beta, training, momentum, eps):
    """Without running statistics: mean and variance of the values at hand, over all but channels."""
    axes = [axis for axis in range(x.meta["val"].ndim) if axis != 1]
    b, wanted, name = t.builder, t.wanted(fx), t.tensor(x, fx)
    over = {"axes": axes, "keepdims": True}
    centred = b.node(f"{wanted}.centred", "sub", [name, b.node(f"{wanted}.mean", "mean", [name], over)])
    var = b.node(f"{wanted}.var", "mean", [b.node(f"{wanted}.square", "mul", [centred] * 2)], over)
    shifted = b.node(f"{wanted}.eps", "add", [var, t.tensor(float(eps), fx, torch.float64)])
    made = b.node(f"{wanted}.norm", "mul", [centred, b.node(f"{wanted}.rsqrt", "rsqrt", [shifted])])
    channels = number(x.meta["val"].shape[1], "a number of channels")
    shape = [channels if size == -1 else size for size in channel_shape(x)]
    parts = {key: value for key, value in (("gamma", gamma), ("beta", beta)) if value is not None}
    return [affine(t, fx, made, parts, shape), None, None]


def group_norm(t: Translator, fx, x, groups, gamma=None, beta=None, eps=1e-5, cudnn=True):
    """Mean and variance of each sample's groups of channels, which are contiguous."""
    return by_groups(t, fx, x, groups, gamma, beta, eps)


def instance_norm(t: Translator, fx, x, gamma=None, beta=None, mean=None, var=None, own=True,
                  momentum=0.1, eps=1e-5, cudnn=True):
    """Each channel of each sample by itself; with stored statistics it is batch_norm."""
    if not own:
        return batch_norm(t, fx, x, gamma, beta, mean, var, momentum, eps)[0]
    return by_groups(t, fx, x, None, gamma, beta, eps)


def by_groups(t: Translator, fx, x, groups: int | None, gamma, beta, eps: float) -> str:
    """A groupnorm or, without `groups`, an instancenorm node."""
    weights, computed = held_slots(t, {"gamma": gamma, "beta": beta})
    channels = number(x.meta["val"].shape[1], "a number of channels")
    params = {"channels": channels, "eps": float(eps), "scale": "gamma" in weights,
              "offset": "beta" in weights}
    op = "instancenorm" if groups is None else "groupnorm"
    if groups is not None:
        params["groups"] = int(groups)
    wanted = f"{t.wanted(fx)}.norm" if computed else t.wanted(fx)
    made = put(t, fx, wanted, op, x, t.tensor(x, fx), params, weights)
    shape = [channels if size == -1 else size for size in channel_shape(x)]
    return affine(t, fx, made, computed, shape)


def layer_norm(t: Translator, fx, x, shape, weight=None, bias=None, eps=1e-5, cudnn=True):
    """Over the last axes; several are made one before and taken apart after."""
    return norm(t, fx, x, shape, "layernorm", {"gamma": weight, "beta": bias}, eps)


def rms_norm(t: Translator, fx, x, shape, weight=None, eps=None):
    """As layer_norm.  Without eps torch takes the step of the dtype it computes in, at least float32."""
    if eps is None:
        eps = torch.finfo(torch.promote_types(x.meta["val"].dtype, torch.float32)).eps
    return norm(t, fx, x, shape, "rmsnorm", {"gamma": weight}, eps)


def norm(t: Translator, fx, x, shape, op: str, slots: dict, eps: float):
    """A norm over the last len(shape) axes with the given weights."""
    weights, computed = held_slots(t, slots)
    dim = math.prod(number(size_of(size), "an extent") for size in shape)
    wanted, values = t.wanted(fx), t.tensor(x, fx)
    several = len(shape) > 1
    if several:
        lead = x.meta["val"].shape[:-len(shape)]
        values = t.builder.node(f"{wanted}.flat", "reshape", [values], {"shape": [*t.dims(lead), dim]})
    params = {"dim": dim, "eps": float(eps), "scale": "gamma" in weights}
    if op == "layernorm":
        params["offset"] = "beta" in weights
    made = put(t, fx, f"{wanted}.norm" if several or computed else wanted, op, x, values, params, weights)
    if several:
        made = t.builder.node(f"{wanted}.apart" if computed else wanted, "reshape", [made],
                              {"shape": t.shape(fx)})
    return affine(t, fx, made, computed, None)


def trained(t: Translator, fx, *rest, **named):
    """Statistics of the batch that are written down: training."""
    raise Refused("training=True")


OPERATIONS = {
    "aten._native_batch_norm_legit_no_training.default": batch_norm,
    "aten._native_batch_norm_legit.no_stats": batch_statistics,
    "aten._native_batch_norm_legit_functional.default": trained,
    "aten._native_batch_norm_legit.default": trained,
    "aten.group_norm.default": group_norm,
    "aten.instance_norm.default": instance_norm,
    "aten.layer_norm.default": layer_norm,
    "aten.rms_norm.default": rms_norm,
}
