"""Norms and embeddings of Keras.

A norm's node works on the last axis: another axis is brought there and back, several last axes are
made one.
"""

from __future__ import annotations

from . import keras_shape
from .keras_call import Slot, Value


def rows(keras) -> dict:
    """Handlers by class."""
    from ..composed import keras_ as composed

    layers = keras.layers
    return {layers.LayerNormalization: layernorm, layers.RMSNormalization: rmsnorm,
            layers.Embedding: embedding, composed.ZeroOutsideEmbedding: zero_outside}


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
    if len(axes) > 1:
        return call.refuse(f"a norm over the axes {axes}: only one, or the last ones")
    return _turned(call, op, x, axes[0], params, slots)


def _axes(layer, x: Value) -> list[int]:
    """The axes of a norm, counted from the first."""
    axes = layer.axis if isinstance(layer.axis, (list, tuple)) else [layer.axis]
    return sorted(axis % len(x.shape) for axis in axes)


def _joined(call, op: str, x: Value, first: int, params: dict, slots) -> Value:
    """Several last axes as one."""
    shape = [*x.shape[:first], params["dim"]]
    if None in x.shape:
        return call.refuse("a norm of a value whose sizes are not known")
    one = call.node("reshape", [x], shape, {"shape": shape}, ".joined")
    made = call.weighted(op, [one], shape, params, slots, f".{op}")
    return call.node("reshape", [made], x.shape, {"shape": list(x.shape)})


def _turned(call, op: str, x: Value, axis: int, params: dict, slots) -> Value:
    """The axis goes to the end and back."""
    rank = len(x.shape)
    there = [*(a for a in range(rank) if a != axis), axis]
    back = [there.index(a) for a in range(rank)]
    turned = call.transpose(x, there, ".in")
    call.tracer.is_turned(turned, x, there)
    made = call.weighted(op, [turned], turned.shape, params, slots, f".{op}")
    value = call.transpose(made, back)
    call.tracer.is_turned(made, value, there)
    return value


def embedding(call):
    """Ids before the first row count from the last; others outside raise, or give NaN on JAX."""
    layer = call.operation
    outside = "error" if call.tracer.keras.backend.backend() == "tensorflow" else "nan"
    params = {"vocab_size": layer.input_dim, "embedding_dim": layer.output_dim, "outside": outside,
              "wrap": True}
    return _rows(call, layer.embeddings, params)


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
