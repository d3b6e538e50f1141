"""The layers of Flax that are kept whole, each as a node: parameters, weight slots, layouts."""

from __future__ import annotations

import numpy as np

from .jax_flat import Const, Ref, Step
from .jax_sizes import Inexpressible, size
from .jax_values import Value, channels_first

KERNEL_AXES = {1: "wcf", 2: "hwcf", 3: "dhwcf"}
GATES = "ifgo"


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

    def fill(self, slot: str, role: str, axes: str, part=None, shape=None) -> None:
        """Fill a slot from the weight of a role: a part of its last axis, in another shape."""
        weight, array, source = self.items[role], self.array(role), self.items[role].source
        if part is not None:
            array, source = array[..., part], f"{source}[..., {part.start}:{part.stop}]"
        if shape is not None:
            array = array.reshape(shape)
        key = (id(weight), axes, str(part), str(shape))
        self.tensors.append(self.walk.builder.tensor(self.name, slot, array, key=key,
                                                     axes=list(axes), source=source))

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


def emit_layer(walk, step: Step) -> list:
    """The node of a layer that has a word for all it does."""
    layer = step.params["layer"]
    weights = step.inputs[len(layer.data):]
    if not all(isinstance(weight, Const) for weight in weights):
        raise Inexpressible(f"{layer.op} with weights that depend on the inputs")
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
    if isinstance(padding, str):
        item = step.inputs[0]
        sizes = (item.aval.shape if isinstance(item, Ref) else np.shape(item.array))[-n - 1:-1]
        return [_same(padding, *axis) for axis in zip(sizes, wide, s["stride"])],
    if isinstance(padding, int):
        padding = [padding] * n
    return [(int(p), int(p)) if isinstance(p, int) else (int(p[0]), int(p[1])) for p in padding],


def _same(padding: str, extent, wide: int, stride: int) -> tuple[int, int]:
    """SAME: the odd element is at the high side, with SAME_LOWER at the low one."""
    if stride != 1 and not isinstance(extent, int):
        raise Inexpressible("padding SAME with a stride, which depends on the size")
    total = wide if stride == 1 else max((-(-extent // stride) - 1) * stride + wide + 1 - extent, 0)
    small, large = total // 2, total - total // 2
    return (small, large) if padding == "SAME" else (large, small)


def _conv(slots: Slots, layer, shapes, pads) -> list:
    s, n = layer.settings, len(layer.settings["kernel"])
    order = channels_first(len(shapes[0]), n)
    x = slots.tensor_in("x", order)
    slots.fill("weight", "kernel", KERNEL_AXES[n])
    bias = slots.bias("bias", "bias", "f")
    *_, channels, filters = slots.array("kernel").shape
    params = {"in_channels": channels * s["groups"], "out_channels": filters, "kernel": s["kernel"],
              "stride": s["stride"], "dilation": s["dilation"], "pad_low": [p[0] for p in pads],
              "pad_high": [p[1] for p in pads], "groups": s["groups"], "bias": bias}
    return [Value(tuple(shapes[0]), {order: slots.node(f"conv{n}", [x], params)})]


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


def _fused_gates(slots: Slots) -> None:
    """nnx.OptimizedLSTMCell: the gates side by side in two kernels, the bias in the recurrent."""
    hidden = slots.array("dense_h.kernel").shape[0]
    for n, gate in enumerate(GATES):
        part = slice(n * hidden, (n + 1) * hidden)
        slots.fill(f"W_{gate}", "dense_i.kernel", "ih", part)
        slots.fill(f"U_{gate}", "dense_h.kernel", "uh", part)
        slots.fill(f"b_{gate}", "dense_h.bias", "h", part)


def _gates(slots: Slots) -> None:
    for gate in GATES:
        slots.fill(f"W_{gate}", f"i{gate}.kernel", "ih")
        slots.fill(f"U_{gate}", f"h{gate}.kernel", "uh")
        slots.fill(f"b_{gate}", f"h{gate}.bias", "h")


def _state(slots: Slots, role: str) -> str | None:
    """An initial state; one that is zero for any size is none."""
    if role not in slots.data or slots.walk.sized.is_zero(slots.data[role]):
        return None
    return slots.tensor_in(role)


def _recurrent(slots: Slots, layer, shapes) -> list:
    s, lstm = layer.settings, layer.op == "lstm"
    inputs = [slots.tensor_in("x"), _state(slots, "h0")] + ([_state(slots, "c0")] if lstm else [])
    if not lstm:
        slots.fill("W", "i.kernel", "ih")
        slots.fill("U", "h.kernel", "uh")
        slots.fill("b", "i.bias", "h")
    elif slots.has("dense_i.kernel"):
        _fused_gates(slots)
    else:
        _gates(slots)
    features = slots.data["x"].aval.shape[-1]
    params = {"input_size": features, "hidden_size": shapes[-1][-1], "biases": 1,
              "direction": "backward" if s["reverse"] else "forward",
              "order": "reversed" if s["reverse"] and not s["keep_order"] else "time"}
    if not lstm:
        params["activation"] = s["activation"]
    return _recurrent_node(slots, layer, shapes, inputs, params)


def _recurrent_node(slots: Slots, layer, shapes, inputs, params) -> list:
    """The node with as many outputs as the network uses; Flax's carry is (c, h), then comes y."""
    carry = slots.step.outputs[:-1] if layer.settings["carry"] else []
    states = ["h_n", "c_n"] if layer.op == "lstm" else ["h_n"]
    while inputs[-1] is None:
        inputs.pop()
    outputs = ()
    if any(map(slots.walk.used, carry)):
        outputs = (slots.name, *(slots.walk.builder.unique(f"{slots.name}.{s}") for s in states))
    name = slots.node(layer.op, inputs, params, outputs)
    found = dict(zip(states, outputs[1:]))
    made = [Value.plain(found[state], shape) if found else None
            for state, shape in zip(reversed(states), shapes)] if carry else []
    return [*made, Value.plain(name, shapes[-1])]


def _mask(walk, step: Step, layer) -> tuple:
    """(causal, the mask that is left): causality is found wherever it stands in a mask."""
    if "mask" not in layer.data:
        return layer.settings["causal"], None
    item = step.inputs[list(layer.data).index("mask")]
    causal, rest = _parts_of_mask(walk, item)
    if len(rest) > 1:
        raise Inexpressible("a mask that joins several masks")
    return causal or layer.settings["causal"], rest[0] if rest else None


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
    dtype = mask.aval.dtype if isinstance(mask, Ref) else np.asarray(mask.array).dtype
    if isinstance(mask, Const):
        return slots.walk.name(slots.walk.number(np.asarray(mask.array) != 0, bool), slots.step)
    if dtype.kind != "b":
        raise Inexpressible(f"a mask of {dtype} values")
    value = slots.walk.value(mask, slots.step)
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

NODES = {"dense": _dense, "conv": _conv, "layernorm": _layernorm, "rmsnorm": _layernorm,
         "embedding": _embedding, "swiglu": _swiglu, "rnn": _recurrent, "lstm": _recurrent,
         "attention": _attention}
