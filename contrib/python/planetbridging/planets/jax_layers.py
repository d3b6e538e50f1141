"""The layers of Flax that are kept whole, each as a node: parameters, weight slots, layouts."""

from __future__ import annotations

import numpy as np

from .jax_flat import Const, Ref, Step
from .jax_math import cast
from .jax_modules import Opened
from .jax_recurrent import recurrent
from .jax_sizes import Inexpressible, size
from .jax_values import Value, channels_first

KERNEL_AXES = {1: "wcf", 2: "hwcf", 3: "dhwcf"}

class Slots:
    """The weight slots of one node, filled in order."""

    def __init__(self, walk, step: Step):
        layer = step.params["layer"]
        roles = [*layer.data, *layer.weights]
        self.items = dict(zip(roles, step.inputs))
        self.data = {role: self.items[role] for role in layer.data}
        self.walk, self.step = walk, step
        self.name = walk.builder.unique(layer.path or walk.root.lower())
        self.tensors = []

    def has(self, role: str) -> bool:
        return role in self.items

    def array(self, role: str) -> np.ndarray:
        return np.asarray(self.items[role].array)

    def fill(self, slot: str, role: str, axes: str, part=None, shape=None, flip=()) -> None:
        """Fill a slot from the weight of a role: a part of its last axis, in another shape, with
        axes the other way round."""
        weight, array = self.items[role], self.array(role)
        if part is not None:
            array = array[..., part]
        if shape is not None:
            array = array.reshape(shape)
        if flip:
            array = np.flip(array, flip)
        self.put(slot, array, axes, weight.source, (id(weight), axes, str(part), str(shape), flip))

    def put(self, slot: str, array, axes: str, source: str = "", key=None) -> None:
        """Fill a slot with an array."""
        self.tensors.append(self.walk.builder.tensor(
            self.name, slot, array, key=key, axes=list(axes) or None, source=source))

    def bias(self, slot: str, role: str, axes: str, part=None, shape=None) -> bool:
        """Fill a slot that there may be no weight for; whether there is one."""
        if self.has(role):
            self.fill(slot, role, axes, part, shape)
        return self.has(role)

    def tensor_in(self, role: str, order=None) -> str | None:
        """The tensor of the graph for an input, None for an absent one."""
        if role not in self.data:
            return None
        return self.walk.name(self.data[role], self.step, order)

    def node(self, op: str, inputs: list, params: dict, outputs=()) -> str:
        self.walk.layer(self.name, op, inputs, params, self.tensors, outputs)
        return self.name

    def affine(self) -> dict:
        """The gain and the offset of a norm, those that there are, as parameters."""
        return {"scale": self.bias("gamma", "scale", "n"), "offset": self.bias("beta", "bias", "n")}


def emit_layer(walk, step: Step) -> list:
    """The node of a layer; one whose weights depend on the inputs is opened instead."""
    layer = step.params["layer"]
    weights = step.inputs[len(layer.data):]
    if not all(isinstance(weight, Const) for weight in weights):
        raise Opened(layer.path)
    prepare = CHECKS.get(layer.op)
    more = prepare(walk, step, layer) if prepare else ()
    shapes = [ref.aval.shape for ref in step.outputs]
    return NODES[layer.op](Slots(walk, step), layer, shapes, *more)


def _dense(slots: Slots, layer, shapes) -> list:
    x = slots.tensor_in("x")
    slots.fill("weight", "kernel", "io")
    bias = slots.bias("bias", "bias", "o")
    wide = slots.array("kernel").shape
    name = slots.node("dense", [x], {"in_features": wide[0], "out_features": wide[1], "bias": bias})
    return [Value.plain(name, shapes[0])]


def _pads(walk, step: Step, layer) -> tuple:
    """(low, high) padding of a convolution by axis."""
    s, n = layer.settings, len(layer.settings["kernel"])
    wide = [(k - 1) * d for k, d in zip(s["kernel"], s["dilation"])]
    padding = s["padding"]
    if padding == "VALID":
        return [(0, 0)] * n,
    if padding == "CAUSAL":
        return [(wide[0], 0)],
    if padding in MODES:
        return [(w // 2, (w + 1) // 2) for w in wide],
    if isinstance(padding, str):
        item = step.inputs[0]
        sizes = (item.aval.shape if isinstance(item, Ref) else np.shape(item.array))[-n - 1:-1]
        return [_same(padding, *axis) for axis in zip(sizes, wide, s["stride"])],
    return _pairs(padding, n),


def _pairs(padding, n: int) -> list[tuple[int, int]]:
    """Padding as numbers, by side and axis."""
    if isinstance(padding, int):
        padding = [padding] * n
    return [(int(p), int(p)) if isinstance(p, int) else (int(p[0]), int(p[1])) for p in padding]


def _same(padding: str, extent, wide: int, stride: int) -> tuple[int, int]:
    """SAME: the odd element is at the high side, with SAME_LOWER at the low one."""
    if stride != 1 and not isinstance(extent, int):
        raise Inexpressible("padding SAME with a stride, which depends on the size")
    total = wide if stride == 1 else max((-(-extent // stride) - 1) * stride + wide + 1 - extent, 0)
    small, large = total // 2, total - total // 2
    return (small, large) if padding == "SAME" else (large, small)


MODES = {"CIRCULAR": "circular", "REFLECT": "reflect"}
"""Padding that is a node of its own before a convolution."""


def _conv(slots: Slots, layer, shapes, pads) -> list:
    s, n = layer.settings, len(layer.settings["kernel"])
    order = channels_first(len(shapes[0]), n)
    x = slots.tensor_in("x", order)
    if s["padding"] in MODES:
        x = _padded(slots, x, pads, MODES[s["padding"]])
        pads = [(0, 0)] * n
    slots.fill("weight", "kernel", KERNEL_AXES[n])
    bias = slots.bias("bias", "bias", "f")
    *_, channels, filters = slots.array("kernel").shape
    params = {"in_channels": channels * s["groups"], "out_channels": filters, "kernel": s["kernel"],
              "stride": s["stride"], "dilation": s["dilation"], "pad_low": [p[0] for p in pads],
              "pad_high": [p[1] for p in pads], "groups": s["groups"], "bias": bias}
    return [Value(tuple(shapes[0]), {order: slots.node(f"conv{n}", [x], params)})]


def _padded(slots: Slots, x: str, pads, mode: str) -> str:
    """A tensor with places of its own elements around its last axes."""
    params = {"axes": list(range(-len(pads), 0)), "low": [low for low, _ in pads],
              "high": [high for _, high in pads], "mode": mode, "value": 0.0}
    return slots.walk.builder.node(f"{slots.name}.pad", "pad", [x], params)


def _conv_transpose(slots: Slots, layer, shapes) -> list:
    s, n = layer.settings, len(layer.settings["kernel"])
    order = channels_first(len(shapes[0]), n)
    x = slots.tensor_in("x", order)
    # Flax convolves the widened input with the kernel as it is: scattering takes it flipped.
    flip = () if s["kernel_axes"] == "fc" else tuple(range(n))
    slots.fill("weight", "kernel", "dhw"[3 - n:] + s["kernel_axes"] if n > 1 else
               "w" + s["kernel_axes"], flip=flip)
    bias = slots.bias("bias", "bias", "f")
    pads = _crops(s, n)
    filters, channels = (slots.array("kernel").shape[n + s["kernel_axes"].index(c)] for c in "fc")
    params = {"in_channels": channels, "out_channels": filters, "kernel": s["kernel"],
              "stride": s["stride"], "dilation": s["dilation"], "pad_low": [p[0] for p in pads],
              "pad_high": [p[1] for p in pads], "groups": 1, "bias": bias}
    return [Value(tuple(shapes[0]), {order: slots.node(f"convtranspose{n}", [x], params)})]


def _crops(s: dict, n: int) -> list[tuple[int, int]]:
    """How much of the whole result is cut away at each side: Flax says the padding of the input."""
    wide = [(k - 1) * d for k, d in zip(s["kernel"], s["dilation"])]
    if not isinstance(s["padding"], str):
        return [(w - low, w - high) for w, (low, high) in zip(wide, _pairs(s["padding"], n))]
    return [_crop(s["padding"], w, stride) for w, stride in zip(wide, s["stride"])]


def _crop(padding: str, wide: int, stride: int) -> tuple[int, int]:
    if padding == "VALID":
        return 0, -max(stride - 1 - wide, 0)
    low = wide if stride > wide else -(-(wide + stride - 1) // 2)
    return wide - low, wide - (wide + stride - 1 - low)


def _batchnorm(slots: Slots, layer, shapes) -> list:
    """Any order of axes will do: the node is told which one the channels are."""
    value = slots.walk.full(slots.data["x"], slots.step)
    order = value.any_order()
    x = slots.walk.laid(value, slots.step, order)
    s = layer.settings
    params = {"dim": shapes[0][s["axis"]], "axis": order.index(s["axis"]), "eps": s["eps"],
              **slots.affine()}
    slots.fill("mean", "mean", "n")
    slots.fill("var", "var", "n")
    return [Value(tuple(shapes[0]), {order: slots.node("batchnorm", [x], params)})]


def _groupnorm(slots: Slots, layer, shapes) -> list:
    rank = len(shapes[0])
    order = channels_first(rank, rank - 2)
    x = slots.tensor_in("x", order)
    params = {"channels": shapes[0][-1], "eps": layer.settings["eps"], **slots.affine()}
    if layer.op == "groupnorm":
        params["groups"] = layer.settings["groups"]
    return [Value(tuple(shapes[0]), {order: slots.node(layer.op, [x], params)})]


def _prelu(slots: Slots, layer, shapes) -> list:
    x = slots.tensor_in("x")
    slots.fill("slope", "negative_slope", "", shape=(1,))
    return [Value.plain(slots.node("prelu", [x], {"shape": [1]}), shapes[0])]


def _layernorm(slots: Slots, layer, shapes) -> list:
    x = slots.tensor_in("x")
    params = {"dim": layer.settings["dim"], "eps": layer.settings["eps"],
              "scale": slots.bias("gamma", "scale", "n")}
    if layer.op == "layernorm":
        params["offset"] = slots.bias("beta", "bias", "n")
    return [Value.plain(slots.node(layer.op, [x], params), shapes[0])]


def _embedding(slots: Slots, layer, shapes) -> list:
    ids = slots.tensor_in("ids")
    slots.fill("table", "table", "vd")
    rows, width = slots.array("table").shape
    params = {"vocab_size": rows, "embedding_dim": width, "outside": layer.settings["outside"],
              "wrap": layer.settings["wrap"]}
    return [Value.plain(slots.node("embedding", [ids], params), shapes[0])]


def _swiglu(slots: Slots, layer, shapes) -> list:
    x = slots.tensor_in("x")
    parts = (("g", "gate", "im", "m"), ("u", "up", "im", "m"), ("d", "down", "mi", "i"))
    for letter, part, axes, _ in parts:
        slots.fill(f"W{letter}", f"{part}.kernel", axes)
    biases = [slots.bias(f"b{letter}", f"{part}.bias", axis) for letter, part, _, axis in parts]
    wide = slots.array("gate.kernel").shape
    params = {"in_features": wide[0], "hidden_features": wide[1],
              "activation": layer.settings["activation"], "bias": all(biases)}
    return [Value.plain(slots.node("swiglu", [x], params), shapes[0])]


def _mask(walk, step: Step, layer) -> tuple:
    """(causal, the mask that is left): causality is found wherever it stands in a mask."""
    if "mask" not in layer.data:
        return layer.settings["causal"], None
    item = step.inputs[list(layer.data).index("mask")]
    causal, rest = _parts_of_mask(walk, item)
    # Several masks stay what they were joined to: being causal twice changes nothing.
    left = (rest[0] if len(rest) == 1 else item) if rest else None
    return causal or layer.settings["causal"], left


def _parts_of_mask(walk, item) -> tuple[bool, list]:
    """Masks that are joined by "and": whether one is causal, and the others."""
    if walk.sized.is_causal(item):
        return True, []
    if walk.sized.is_always(item, lambda shape, known: np.ones(shape)):
        return False, []
    maker = walk.sized.producers.get(id(item))
    if maker is not None and maker.primitive == "convert_element_type":
        return _parts_of_mask(walk, maker.inputs[0])
    if maker is not None and maker.primitive == "and":
        parts = [_parts_of_mask(walk, part) for part in maker.inputs]
        return any(causal for causal, _ in parts), [item for _, rest in parts for item in rest]
    if maker is not None and maker.primitive == "broadcast_in_dim" and _keeps_last(maker):
        causal, rest = _parts_of_mask(walk, maker.inputs[0])
        if causal and not rest:
            return True, []
    return False, [item]


def _keeps_last(maker: Step) -> bool:
    """Whether a broadcast leaves the last two axes where they are."""
    axes, rank = maker.params["broadcast_dimensions"], len(maker.outputs[0].aval.shape)
    return tuple(axes[-2:]) == (rank - 2, rank - 1)


def _attention(slots: Slots, layer, shapes, causal, mask) -> list:
    inputs = [slots.tensor_in(role) for role in ("query", "key", "value")]
    features = [_width(slots, role) for role in ("query", "key", "value")]
    features = [features[0], features[1] or features[0], features[2] or features[1] or features[0]]
    params = _attention_weights(slots, features)
    if mask is not None:
        inputs.append(_mask_tensor(slots, mask))
    while inputs[-1] is None:
        inputs.pop()
    s = layer.settings
    params |= {"causal": causal, "rope": s["rope"], "rope_base": s["rope_base"], "scale": None,
               "mask": "none" if mask is None else "keep", "fill": "least", "empty": "error"}
    return [Value.plain(slots.node("attention", inputs, params), shapes[0])]


def _width(slots: Slots, role: str):
    return size(slots.data[role].aval.shape[-1]) if role in slots.data else None


def _mask_tensor(slots: Slots, mask) -> str:
    """Flax takes any number but zero for "is seen"; the stream takes truth values."""
    if isinstance(mask, Const):
        return slots.walk.name(slots.walk.number(np.asarray(mask.array) != 0, bool), slots.step)
    value = cast(slots.walk, slots.step, mask, "b")
    return slots.walk.laid(value, slots.step, tuple(range(len(value.shape))))


def _attention_weights(slots: Slots, features: list[int]) -> dict:
    """Heads stand beside their width in Flax's kernels; in the stream's they are one axis."""
    params = {"d_model": features[0], "key_features": features[1], "value_features": features[2]}
    heads = {role: slots.array(f"{role}.kernel").shape[1:] for role in ("query", "key", "value")}
    wide = {role: h * e for role, (h, e) in heads.items()}
    out = slots.array("out.kernel").shape[-1]
    for letter, role in (("q", "query"), ("k", "key"), ("v", "value")):
        slots.fill(f"W{letter}", f"{role}.kernel", f"d{letter}", shape=(-1, wide[role]))
    slots.fill("Wo", "out.kernel", "od", shape=(-1, out))
    for letter, role in (("q", "query"), ("k", "key"), ("v", "value")):
        params[f"{letter}_bias"] = slots.bias(f"b{letter}", f"{role}.bias", letter,
                                              shape=(wide[role],))
    return params | {
        "o_bias": slots.bias("bo", "out.bias", "d"), "out_features": out,
        "num_heads": heads["query"][0], "num_kv_heads": heads["key"][0],
        "head_dim": heads["query"][1], "value_dim": heads["value"][1]}


CHECKS = {"conv": _pads, "attention": _mask}
"""What has to be known of a call before a node is named."""

NODES = {"dense": _dense, "conv": _conv, "convtranspose": _conv_transpose,
         "layernorm": _layernorm, "rmsnorm": _layernorm, "batchnorm": _batchnorm,
         "groupnorm": _groupnorm, "instancenorm": _groupnorm, "prelu": _prelu,
         "embedding": _embedding, "swiglu": _swiglu, "rnn": recurrent, "lstm": recurrent,
         "gru": recurrent, "attention": _attention}
