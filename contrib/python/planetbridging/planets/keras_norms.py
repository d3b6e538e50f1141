"""Norms and embeddings of Keras.

The node of a layer's norm works on the last axis: others are brought there and back, several are
made one.  The statistics of a batch norm stay weights of its node.
"""

from __future__ import annotations

import numpy as np

from . import keras_shape, layout
from .keras_call import Slot, Value, any_dtype, takes_mask


def rows(keras) -> dict:
    """Handlers by class."""
    from ..composed import keras_ as composed

    layers = keras.layers
    return {layers.LayerNormalization: layernorm, layers.RMSNormalization: rmsnorm,
            layers.BatchNormalization: batchnorm, layers.GroupNormalization: groupnorm,
            layers.Normalization: normalization, layers.SpectralNormalization: spectral,
            layers.Embedding: embedding, layers.ReversibleEmbedding: reversible,
            layers.Masking: masking, composed.ZeroOutsideEmbedding: zero_outside}


def layernorm(call):
    layer = call.operation
    if getattr(layer, "rms_scaling", False):
        return call.refuse("rms_scaling=True, which is no norm: use RMSNormalization")
    params = {"eps": float(layer.epsilon), "scale": layer.gamma is not None,
              "offset": layer.beta is not None}
    slots = [Slot("gamma", layer.gamma, "n", _flat), Slot("beta", layer.beta, "n", _flat)]
    return _norm(call, "layernorm", params, slots)


def rmsnorm(call):
    layer = call.operation
    axes, rank = _axes(layer, call.args[0]), len(call.args[0].shape)
    if len(axes) == 1 and axes != [rank - 1]:
        return call.refuse(f"the axis {axes[0]}: Keras scales along the last one all the same")
    params = {"eps": float(layer.epsilon), "scale": True}
    return _norm(call, "rmsnorm", params, [Slot("gamma", layer.scale, "n", _flat)])


def _flat(array):
    return array.reshape(-1)


def _norm(call, op: str, params: dict, slots):
    x = call.args[0]
    rank, axes = len(x.shape), _axes(call.operation, x)
    size = keras_shape.product([x.shape[axis] for axis in axes])
    if not isinstance(size, int):
        return call.refuse(f"a norm over the axes {axes}, whose sizes are not known")
    params = {"dim": size, **params}
    if axes == [rank - 1]:
        return call.weighted(op, [x], x.shape, params, slots)
    if axes == list(range(axes[0], rank)):
        return _joined(call, op, x, axes[0], params, slots)
    return _turned(call, op, x, axes, params, slots)


def _axes(layer, x: Value) -> list[int]:
    """The axes of a norm, counted from the first."""
    axes = layer.axis if isinstance(layer.axis, (list, tuple)) else [layer.axis]
    return sorted(axis % len(x.shape) for axis in axes)


def _joined(call, op: str, x: Value, first: int, params: dict, slots, suffix: str = "") -> Value:
    """Several last axes as one."""
    shape = [*x.shape[:first], params["dim"]]
    if None in x.shape:
        return call.refuse("a norm of a value whose sizes are not known")
    one = call.node("reshape", [x], shape, {"shape": shape}, ".joined")
    made = call.weighted(op, [one], shape, params, slots, f".{op}")
    return call.node("reshape", [made], x.shape, {"shape": list(x.shape)}, suffix)


def _turned(call, op: str, x: Value, axes: list[int], params: dict, slots) -> Value:
    """The axes go to the end, where they are made one, and back."""
    rank = len(x.shape)
    there = [*(a for a in range(rank) if a not in axes), *axes]
    back = [there.index(a) for a in range(rank)]
    turned = call.transpose(x, there, ".in")
    call.tracer.is_turned(turned, x, there)
    if len(axes) == 1:
        made = call.weighted(op, [turned], turned.shape, params, slots, f".{op}")
    else:
        made = _joined(call, op, turned, rank - len(axes), params, slots, ".apart")
    value = call.transpose(made, back)
    call.tracer.is_turned(made, value, there)
    return value


@takes_mask
def batchnorm(call):
    """With the statistics that it has gathered; a mask matters to those of a batch alone."""
    layer, x = call.operation, call.args[0]
    axis = layer.axis % len(x.shape)
    params = {"dim": int(layer.moving_mean.shape[0]), "axis": axis, "eps": float(layer.epsilon),
              "scale": layer.gamma is not None, "offset": layer.beta is not None}
    slots = [Slot(slot, variable, "n") for slot, variable in
             (("gamma", layer.gamma), ("beta", layer.beta), ("mean", layer.moving_mean),
              ("var", layer.moving_variance))]
    return call.weighted("batchnorm", [x], x.shape, params, slots)


def groupnorm(call):
    """Channels in groups of neighbours; a group for each is an instance norm."""
    layer, x = call.operation, call.args[0]
    rank, groups = len(x.shape), int(layer.groups)
    axis = layer.axis % rank
    channels = x.shape[axis]
    if axis not in (1, rank - 1):
        return call.refuse(f"channels along the axis {axis}: only the first behind the batch, "
                           "or the last")
    alone = groups == channels
    params = {"channels": channels, **({} if alone else {"groups": groups}),
              "eps": float(layer.epsilon), "scale": layer.gamma is not None,
              "offset": layer.beta is not None}
    slots = [Slot("gamma", layer.gamma, "n"), Slot("beta", layer.beta, "n")]
    op = "instancenorm" if alone else "groupnorm"
    if axis == 1:
        return call.weighted(op, [x], x.shape, params, slots)
    there = layout.channels_first(rank)
    turned = call.transpose(x, there, ".in")
    call.tracer.is_turned(turned, x, there)
    made = call.weighted(op, [turned], turned.shape, params, slots, f".{op}")
    value = call.transpose(made, layout.channels_last(rank))
    call.tracer.is_turned(made, value, there)
    return value


@any_dtype
def normalization(call):
    """(x - mean) / max(sqrt(variance), 1e-7), or back again with `invert`."""
    layer, epsilon = call.operation, call.tracer.keras.config.epsilon()
    if layer.mean is None:
        return call.refuse("has no mean and variance yet")
    x = call.cast(call.args[0], call.symbols[0].dtype, ".float")
    mean, variance = (call.value(_statistic(call.tracer, held, used), x.dtype) for held, used in
                      ((getattr(layer, "adapt_mean", None), layer.mean),
                       (getattr(layer, "adapt_variance", None), layer.variance)))
    root = call.unary("sqrt", variance, suffix=".sqrt")
    width = call.unary("clip", root, {"min": float(epsilon), "max": None}, ".width")
    if layer.invert:
        return call.binary("add", mean, call.binary("mul", x, width, ".scaled"))
    return call.binary("div", call.binary("sub", x, mean, ".centred"), width)


def _statistic(tracer, held, used) -> np.ndarray:
    """What a normalization uses: the variable that it was adapted in, where there is one, in its shape."""
    array = np.asarray(tracer.keras.ops.convert_to_numpy(used))
    own = None if held is None else tracer.array(held)
    if own is None or own.dtype != array.dtype or own.size != array.size:
        return array
    own = own.reshape(array.shape)
    return own if np.array_equal(own, array) else array


def spectral(call):
    """The layer inside: its kernel was normalised when it was trained, and stays as it is."""
    made = call.tracer.expand(lambda x: call.operation.layer(x), call.args[:1], {}, call.path,
                              only=call.path)
    return call.broken() if made is None else made


@any_dtype
def masking(call):
    """Zeros in the steps that are nothing but the mask's value; the mask itself is Keras's."""
    ops, value = call.tracer.keras.ops, call.operation.mask_value

    def masked(x):
        return ops.where(ops.any(ops.not_equal(x, value), axis=-1, keepdims=True), x, 0)

    return call.traced(masked, call.args[0])


@any_dtype
def reversible(call):
    """An embedding that can be asked for scores of its rows instead."""
    layer, ops = call.operation, call.tracer.keras.ops
    if not call.kwargs.get("reverse"):
        return embedding(call)
    if getattr(layer, "logit_soft_cap", None) is not None:
        return call.refuse("logit_soft_cap")
    if not layer.tie_weights:
        return call.traced(lambda x: ops.matmul(x, layer.reverse_embeddings), call.args[0])
    x, table = call.args[0], layer.embeddings
    count, width = (int(size) for size in table.shape)
    params = {"in_features": width, "out_features": count, "bias": False}
    slots = [Slot("weight", table, "oi")]
    return call.weighted("dense", [x], (*x.shape[:-1], table.shape[0]), params, slots)


@any_dtype
def embedding(call):
    """Ids before the first row count from the last; others outside raise, or give NaN on JAX."""
    layer = call.operation
    outside = "error" if call.tracer.keras.backend.backend() == "tensorflow" else "nan"
    params = {"vocab_size": layer.input_dim, "embedding_dim": layer.output_dim, "outside": outside,
              "wrap": True}
    return _rows(call, layer.embeddings, params)


@any_dtype
def zero_outside(call):
    layer = call.operation
    params = {"vocab_size": layer.input_dim, "embedding_dim": layer.output_dim, "outside": "zero",
              "wrap": False}
    return _rows(call, layer.table.embeddings, params)


def _rows(call, table, params: dict) -> Value:
    ids = call.args[0]
    shape = (*ids.shape, params["embedding_dim"])
    made = call.weighted("embedding", [ids], shape, params, [Slot("table", table, "vd")])
    made.dtype = call.symbols[0].dtype
    return made
