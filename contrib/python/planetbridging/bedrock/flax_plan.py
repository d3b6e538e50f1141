"""How a network runs in Flax, linen and nnx alike: which tensors stand channels last, operations
that have no weights, and canonical weights as Flax's parameters.

Everything that convolutions and pools read or make stands channels last, as Flax wants it; an
operation that names axes, or changes the shape, gets the canonical layout, but for one: a flatten
that only feeds dense layers flattens what it finds, and their kernels are put into that order when
they are loaded.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen

from ..graph import BridgeError
from .network import GATES, Layer, Network, Weights

WINDOW = re.compile(r"(conv|maxpool|avgpool)([123])")
BINARY = {"add": jnp.add, "sub": jnp.subtract, "mul": jnp.multiply, "div": jnp.divide}
UNARY = {"relu": linen.relu, "relu2": lambda x: jnp.square(linen.relu(x)), "tanh": linen.tanh,
         "sigmoid": linen.sigmoid, "silu": linen.silu, "linear": lambda x: x}
ELEMENTWISE = {*UNARY, *BINARY, "gelu", "leaky_relu", "residual"}
EXTENT = 12
"""What a size that has only a name is taken for, where any will do."""


def spatial_of(layer: Layer) -> int:
    """The number of axes over which a layer's windows slide, 0 if it has none."""
    found = WINDOW.fullmatch(layer.op)
    return int(found[2]) if found else 0


@dataclass(eq=False)
class Plan:
    """`images` has the number of spatial axes of each tensor that stands channels last, `kept` the
    flattens that leave it so, `flat` the canonical shape that each dense layer behind one reads."""

    network: Network
    images: dict[str, int] = field(default_factory=dict)
    kept: set[str] = field(default_factory=set)
    flat: dict[str, tuple[int, ...]] = field(default_factory=dict)

    def __post_init__(self):
        for item in self.network.inputs:
            self._note(item.name, self._wanted(item.name))
        for layer in self.network.layers:
            self._note(layer.outputs[0], self._made(layer))
            if layer.op == "flatten" and self._is_kept(layer):
                self.kept.add(layer.name)

    def _note(self, tensor: str, spatial: int) -> None:
        if spatial:
            self.images[tensor] = spatial

    def _readers(self, tensor: str) -> list[Layer]:
        return [layer for layer in self.network.layers if tensor in layer.inputs]

    def _wanted(self, tensor: str) -> int:
        """The spatial axes of a tensor that a window reads, at once or behind functions."""
        for layer in self._readers(tensor):
            found = spatial_of(layer)
            if not found and layer.op in ELEMENTWISE:
                found = self._wanted(layer.outputs[0])
            if found:
                return found
        return 0

    def _made(self, layer: Layer) -> int:
        """The spatial axes of a layer's output, 0 if it stands in the canonical layout."""
        before = {self.images.get(name, 0) for name in layer.inputs if name is not None}
        shared = before.pop() if len(before) == 1 else 0
        if layer.op in ELEMENTWISE or layer.op == "concat":
            return shared
        if layer.op.startswith("global_"):
            return shared if shared == layer.params["spatial"] else 0
        return spatial_of(layer)

    def _is_kept(self, layer: Layer) -> bool:
        spatial = self.images.get(layer.inputs[0], 0)
        start, end = layer.params["start"], layer.params["end"]
        whole = start in (1, -spatial - 1) and end in (-1, spatial + 1)
        return bool(spatial) and whole and self._feeds_dense(layer.outputs[0])

    def _feeds_dense(self, tensor: str) -> bool:
        readers = self._readers(tensor)
        return bool(readers) and tensor not in self.network.outputs and all(
            layer.op == "dense" or (layer.op in UNARY and self._feeds_dense(layer.outputs[0]))
            for layer in readers)

    def to_native(self, inputs: dict) -> dict:
        """Arrays by input name, channels last where the network wants it so."""
        return {item.name: _last(np.asarray(inputs[item.name]), self.images.get(item.name, 0))
                for item in self.network.inputs}

    def to_canonical(self, outputs: dict) -> dict:
        """Arrays in the order of Network.outputs, channels first again."""
        return {name: _first(np.asarray(array), self.images.get(tensor, 0)) for
                tensor, (name, array) in zip(self.network.outputs, outputs.items())}

    def example(self) -> list:
        """Shapes and types of inputs that the network takes, for its parameters' shapes."""
        found = []
        for item in self.network.inputs:
            shape = [dim if isinstance(dim, int) else EXTENT for dim in item.shape]
            spatial = self.images.get(item.name, 0)
            if spatial:
                shape.append(shape.pop(-spatial - 1))
            dtype = {"int64": "int32"}.get(item.dtype, item.dtype)
            found.append(jax.ShapeDtypeStruct(tuple(shape), dtype))
        return found


def _last(x, spatial: int):
    """[..., channel, spatial...] as [..., spatial..., channel]."""
    return _moved(x, -spatial - 1, -1) if spatial else x


def _first(x, spatial: int):
    return _moved(x, -1, -spatial - 1) if spatial else x


def _moved(x, old: int, new: int):
    return np.moveaxis(x, old, new) if isinstance(x, np.ndarray) else jnp.moveaxis(x, old, new)


class Run:
    """One run of a planned network: `call(layer, *arrays)` is what the layers with weights do."""

    def __init__(self, plan: Plan, arrays, call):
        self.plan, self.call = plan, call
        self.values, self.sizes, self.sources = {}, {}, {}
        for item, array in zip(plan.network.inputs, arrays):
            self.values[item.name] = array
            shape = list(array.shape)
            spatial = plan.images.get(item.name, 0)
            if spatial:
                shape.insert(-spatial, shape.pop())
            self.sizes |= {dim: n for dim, n in zip(item.shape, shape) if isinstance(dim, str)}

    def all(self):
        """The outputs: one, or a tuple in the order of the network's."""
        for layer in self.plan.network.layers:
            made = self._layer(layer)
            self.values.update(zip(layer.outputs, made if isinstance(made, tuple) else (made,)))
        outputs = tuple(self.values[name] for name in self.plan.network.outputs)
        return outputs[0] if len(outputs) == 1 else outputs

    def plain(self, name: str | None):
        """A tensor in the canonical layout."""
        return None if name is None else _first(self.values[name], self.plan.images.get(name, 0))

    def image(self, name: str, spatial: int):
        """A tensor channels last."""
        return self.values[name] if name in self.plan.images else _last(self.values[name], spatial)

    def _layer(self, layer: Layer):
        spatial, p = spatial_of(layer), layer.params
        if layer.op.startswith("conv") and spatial:
            return self.call(layer, self.image(layer.inputs[0], spatial))
        if spatial:
            return pool(layer, self.image(layer.inputs[0], spatial))
        if layer.op in ELEMENTWISE or layer.op == "concat":
            return self._joined(layer)
        if layer.op.startswith("global_"):
            return self._global(layer)
        if layer.op == "flatten":
            return self._flatten(layer)
        if layer.op == "dense":
            self._note_flat(layer)
        function = PLAIN.get(layer.op)
        arrays = [self.plain(name) for name in layer.inputs]
        return function(p, self.sizes, *arrays) if function else self.call(layer, *arrays)

    def _joined(self, layer: Layer):
        """Functions of each element, and concat: channels last if all tensors are."""
        spatial = self.plan.images.get(layer.outputs[0], 0)
        get = self.values.get if spatial else self.plain
        arrays = [get(name) for name in layer.inputs if name is not None]
        source = self.sources.get(layer.inputs[0])
        if source:
            self.sources[layer.outputs[0]] = source
        if layer.op == "concat":
            axis = _axis_last(layer.params["axis"], arrays[0].ndim, spatial)
            return jnp.concatenate(arrays, axis)
        return function(layer)(*arrays)

    def _global(self, layer: Layer):
        take = jnp.mean if layer.op == "global_avgpool" else jnp.max
        spatial, x = layer.params["spatial"], self.plain(layer.inputs[0])
        if layer.outputs[0] in self.plan.images:
            return take(self.values[layer.inputs[0]], tuple(range(-spatial - 1, -1)), keepdims=True)
        return take(x, tuple(range(-spatial, 0)), keepdims=True)

    def _flatten(self, layer: Layer):
        x = self.plain(layer.inputs[0])
        start, end = (axis % x.ndim for axis in (layer.params["start"], layer.params["end"]))
        shape = (*x.shape[:start], math.prod(x.shape[start:end + 1]), *x.shape[end + 1:])
        if layer.name in self.plan.kept:
            self.sources[layer.outputs[0]] = x.shape[start:]
            x = self.values[layer.inputs[0]]
        return x.reshape(shape)

    def _note_flat(self, layer: Layer) -> None:
        source = self.sources.get(layer.inputs[0])
        if source:
            self.plan.flat.setdefault(layer.name, tuple(source))


def _axis_last(axis: int, rank: int, spatial: int) -> int:
    """Where a canonical axis is when channels are last."""
    axis %= rank
    channel = rank - spatial - 1
    return axis if not spatial or axis < channel else rank - 1 if axis == channel else axis - 1


def function(layer: Layer):
    """The function of each element that a layer is."""
    if layer.op == "gelu":
        return lambda x: linen.gelu(x, approximate=layer.params["approximate"] == "tanh")
    if layer.op == "leaky_relu":
        return lambda x: linen.leaky_relu(x, layer.params["negative_slope"])
    if layer.op == "residual":
        return lambda x, *skip: x + skip[0] if skip else x
    return UNARY.get(layer.op) or BINARY[layer.op]


def pool(layer: Layer, x):
    """A pool of Flax, which has neither dilation nor a last window that hangs over."""
    p = layer.params
    if p["ceil"] or set(p.get("dilation", [1])) != {1}:
        raise BridgeError(f"{layer.name}: Flax has no pool with ceil or dilation")
    where = tuple(p["kernel"]), tuple(p["stride"]), tuple(zip(p["pad_low"], p["pad_high"]))
    if layer.op.startswith("max"):
        return linen.max_pool(x, *where)
    return linen.avg_pool(x, *where, count_include_pad=p["count_pad"])


def extent(dim, sizes: dict):
    """A dimension of the stream, which may be an expression of names."""
    return dim if isinstance(dim, int) else eval(dim, {"__builtins__": {}}, sizes)  # noqa: S307


def _slice(p, sizes, x):
    at = [slice(None)] * x.ndim
    for axis, start, stop, step in zip(p["axes"], p["starts"], p["stops"], p["steps"]):
        at[axis] = slice(extent(start, sizes), extent(stop, sizes), step)
    return x[tuple(at)]


PLAIN = {
    "softmax": lambda p, sizes, x: linen.softmax(x, axis=p["axis"]),
    "reshape": lambda p, sizes, x: x.reshape([extent(dim, sizes) for dim in p["shape"]]),
    "transpose": lambda p, sizes, x: x.transpose(p["perm"]),
    "slice": _slice,
    "gather": lambda p, sizes, x, ids: jnp.take(x, ids, axis=p["axis"]),
}
"""Operations that name axes: (parameters, sizes by name, canonical arrays)."""


def parameters(plan: Plan, weights: Weights) -> dict:
    """Flax's parameters by layer, in the structure of linen."""
    found = {}
    for layer in plan.network.layers:
        if layer.op in LOADERS:
            own = {name.split(".", 1)[1]: np.asarray(w, np.float32) for name, w in weights.items()
                   if name.split(".", 1)[0] == layer.name}
            made = LOADERS[layer.op](layer.params, own, plan.flat.get(layer.name))
            found |= {layer.name: made} if made else {}  # a norm may have no parameters
    return found


def _dense(p, w, flat):
    weight = w["weight"]
    if flat and math.prod(flat) != weight.shape[1]:
        raise BridgeError(f"a dense layer of {weight.shape[1]} inputs reads {math.prod(flat)}")
    if flat:
        rows = weight.reshape(-1, *flat)
        weight = np.moveaxis(rows, 1, -1).reshape(weight.shape)
    return _linear(weight, w.get("bias"))


def _linear(weight, bias=None) -> dict:
    return {"kernel": np.ascontiguousarray(weight.T)} | ({} if bias is None else {"bias": bias})


def _conv(p, w, flat):
    kernel = np.moveaxis(w["weight"], (0, 1), (-1, -2))
    return {"kernel": kernel} | ({"bias": w["bias"]} if p["bias"] else {})


def _one_bias(p) -> None:
    if p["biases"] > 1:
        raise BridgeError("Flax has recurrent layers of one bias, the sum of two is another number")


def _rnn(p, w, flat):
    _one_bias(p)
    bias = w.get("b", np.zeros(p["hidden_size"], np.float32))
    return {"cell": {"i": _linear(w["W"], bias), "h": _linear(w["U"])}}


def _lstm(p, w, flat):
    _one_bias(p)
    zero = np.zeros(p["hidden_size"], np.float32)
    cell = {f"i{g}": _linear(w[f"W_{g}"]) for g in GATES}
    return {"cell": cell | {f"h{g}": _linear(w[f"U_{g}"], w.get(f"b_{g}", zero)) for g in GATES}}


def _attention(p, w, flat):
    """Heads beside their width; a bias that only some of the projections have is zero elsewhere."""
    biased = has_bias(p)
    made = {}
    for letter, role, heads in (("q", "query", p["num_heads"]), ("k", "key", p["num_kv_heads"]),
                                ("v", "value", p["num_kv_heads"])):
        rows = w[f"W{letter}"].reshape(heads, p["head_dim"], -1)
        made[role] = {"kernel": np.moveaxis(rows, -1, 0)}
        if biased:
            zero = np.zeros(heads * p["head_dim"], np.float32)
            made[role]["bias"] = w.get(f"b{letter}", zero).reshape(heads, -1)
    made["out"] = {"kernel": w["Wo"].T.reshape(p["num_heads"], p["value_dim"], -1)}
    if biased:
        made["out"]["bias"] = w.get("bo", np.zeros(p["out_features"], np.float32))
    return made


def has_bias(p) -> bool:
    """Whether an attention layer has a bias anywhere; Flax has all four or none."""
    return any(p[f"{letter}_bias"] for letter in "qkvo")


def checked_attention(layer: Layer) -> None:
    """BridgeError for what Flax's attention layers cannot do."""
    p = layer.params
    for holds, what in ((p["value_dim"] == p["head_dim"], "values of another width than the heads"),
                        (p["mask"] != "add", "mask that is added"),
                        (p["scale"] in (None, 1 / math.sqrt(p["head_dim"])), "scale of its own")):
        if not holds:
            raise BridgeError(f"{layer.name}: Flax's attention has no {what}")


def _norm(p, w, flat):
    return {flax: w[ours] for flax, ours in (("scale", "gamma"), ("bias", "beta")) if ours in w}


def _embedding(p, w, flat):
    table = {"embedding": w["table"]}
    return {"embed": table} if p["outside"] == "zero" else table


def _swiglu(p, w, flat):
    return {part: _linear(w[f"W{s}"], w.get(f"b{s}")) for part, s in
            (("gate", "g"), ("up", "u"), ("down", "d"))}


LOADERS = {"dense": _dense, "conv1": _conv, "conv2": _conv, "conv3": _conv, "rnn": _rnn,
           "lstm": _lstm, "attention": _attention, "layernorm": _norm, "rmsnorm": _norm,
           "embedding": _embedding, "swiglu": _swiglu}


def composed(network: Network) -> tuple[str, ...]:
    """The layers that Flax has no class for."""
    return tuple(layer.name for layer in network.layers if layer.op == "swiglu"
                 or (layer.op == "embedding" and layer.params["outside"] == "zero"))


def recurrent_result(layer: Layer, result):
    """Flax's (carry, y), its carry of an LSTM being (c, h), as (y, h, c)."""
    carry, y = result
    return (y, carry) if layer.op == "rnn" else (y, carry[1], carry[0])


def carry_of(layer: Layer, states: tuple):
    """The initial carry of Flax for (h0, c0), or None."""
    if not states or states[0] is None:
        if any(state is not None for state in states):
            raise BridgeError(f"{layer.name}: one initial state without the other")
        return None
    return states[0] if layer.op == "rnn" else (states[1], states[0])
