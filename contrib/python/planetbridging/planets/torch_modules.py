"""Nodes for the modules that a trace has as one call: recurrent ones, attention, composed ones.

Weights come from the live module's attributes, split into the stream's slots.
"""

from __future__ import annotations

import json

import torch
from torch import nn

from ..composed.torch_ import RopeAttention, SwiGLU, ZeroOutsideEmbedding
from ..vocabulary import GATES
from . import torch_nn
from .signature import reach
from .torch_trace import (NUMPY, Refused, Sizes, Translator, evaluate, free_symbols, numbers_in,
                          stored)

LENGTHS = (1, 2, 3, 5, 8)
"""Where a mask that is computed from sizes is compared with the causal one, and at its reach."""


def supported() -> list[str]:
    """The classes of modules that become nodes."""
    return ["RNN", "LSTM", "RNNCell", "LSTMCell", "MultiheadAttention", "RopeAttention", "SwiGLU",
            "ZeroOutsideEmbedding"]


def leaf(t: Translator, fx, xs, path: str, flags: str):
    """The nodes of one call of the module at `path`; the names of its results in torch's order."""
    module = t.model.get_submodule(path)
    call = Call(t, fx, path, module, xs, json.loads(flags))
    for cls, emit in EMITTERS.items():
        if isinstance(module, cls):
            return emit(call)
    raise call.refused("a layer without a word in the stream yet")


class Call:
    """One call of a leaf: its module, its arguments and how its parts are named."""

    def __init__(self, t: Translator, fx, path: str, module, xs, flags: dict):
        self.t, self.fx, self.path, self.module = t, fx, path, module
        self.args, self.flags = xs, flags
        self.name = path or type(module).__name__.lower()
        self.used = {user.args[1] for user in fx.users}

    def refused(self, operation: str) -> Refused:
        return Refused(operation, (self.path or "the model", type(self.module).__name__, operation))

    def tensor(self, n: int) -> str | None:
        """The name of an argument, None where it is absent."""
        given = n < len(self.args) and self.args[n] is not None
        return self.t.tensor(self.args[n], self.fx) if given else None

    def shape(self, n: int):
        """The traced shape of an argument."""
        return self.args[n].meta["val"].shape

    def add(self, suffix: str, op: str, inputs, params) -> str:
        """A node called after the module, with a suffix unless it makes the module's result."""
        return self.t.builder.node(self.name + suffix, op, inputs, params)

    def reshape(self, suffix: str, x: str, shape) -> str:
        return self.add(suffix, "reshape", [x], {"shape": self.t.dims(shape)})

    def source(self, name: str) -> str:
        return f"{self.path}.{name}" if self.path else name

    def weights(self, node: str, parts) -> list:
        """Tensors of the node from (slot, attribute, first row, end row or None, axes)."""
        return [self.weight(node, *part) for part in parts]

    def weight(self, node: str, slot: str, attribute: str, first, end, axes: str):
        """Rows of the live module's weight; the same rows of the same weight travel once."""
        value = self.module
        for word in attribute.split("."):
            value = getattr(value, word)
        self.t.alive.append(value)    # its id stands for it as long as the graph is built
        array, dtype = stored(value)
        if dtype != NUMPY.get(self.value_dtype()):
            raise self.refused(f"values of {NUMPY.get(self.value_dtype())} and a weight of {dtype}")
        source = self.source(attribute)
        if end is not None:
            array, source = array[first:end], f"{source}[{first}:{end}]"
        key = ("leaf", id(value), first, end, len(axes))
        return self.t.builder.tensor(node, slot, array, key=key, dtype=dtype, axes=list(axes),
                                     source=source)

    def value_dtype(self):
        """The dtype of the first result, which is that of the layer's values."""
        return self.fx.meta["val"][0].dtype


def recurrent(call: Call) -> list:
    """RNN and LSTM of any depth and both directions: a node for each layer and direction."""
    m = call.module
    if m.proj_size:
        raise call.refused(f"proj_size={m.proj_size}")
    batched = len(call.shape(0)) == 3
    x, turned = call.tensor(0), batched and not m.batch_first
    if turned:
        x = call.t.transposed(x, [1, 0, 2], f"{call.name}.batch_first")
    found: list[list[str]] = [[] for _ in states_of(m)]
    for layer in range(m.num_layers):
        ys = []
        for direction in range(1 + m.bidirectional):
            y, *states = one_layer(call, x, layer, direction, turned)
            ys.append(y)
            for so_far, state in zip(found, states):
                so_far.append(state)
        final = layer == m.num_layers - 1 and not turned
        x = ys[0] if len(ys) == 1 else call.add("" if final else f".l{layer}_both", "concat", ys,
                                                {"axis": -1})
    if turned:
        x = call.t.builder.node(call.name, "transpose", [x], {"perm": [1, 0, 2]})
    return [x] + [final_state(call, n, states) for n, states in enumerate(found)]


def states_of(module) -> tuple[str, ...]:
    """What a recurrent module carries from step to step."""
    return ("h", "c") if isinstance(module, (nn.LSTM, nn.LSTMCell)) else ("h",)


def one_layer(call: Call, x: str, layer: int, direction: int, turned: bool) -> list[str]:
    """A node for one layer in one direction: the names of its outputs."""
    m = call.module
    ending = f"l{layer}" + "_reverse" * direction
    result = layer == m.num_layers - 1 and not m.bidirectional and not turned
    suffix = "" if result else f".{ending}"
    row = layer * (1 + m.bidirectional) + direction
    first = [initial_state(call, n, row, ending) for n in range(1, len(call.args))]
    size = m.input_size if layer == 0 else m.hidden_size * (1 + m.bidirectional)
    wanted = any(n + 1 in call.used for n in range(len(states_of(m))))
    return recurrent_node(call, suffix, [x, *first], "_" + ending, size, direction, wanted)


def recurrent_node(call: Call, suffix: str, inputs, ending: str, size: int, direction: int,
                   states: bool) -> list[str]:
    """An rnn or lstm node with the weights whose names end so; with its final states if wanted."""
    m, op = call.module, "lstm" if len(states_of(call.module)) == 2 else "rnn"
    name = call.t.builder.unique(call.name + suffix)
    params = {"input_size": size, "hidden_size": m.hidden_size, "biases": 2 if m.bias else 0,
              "direction": "backward" if direction else "forward", "order": "time"}
    if op == "rnn":
        params["activation"] = m.nonlinearity
    outputs = [name]
    if states:
        outputs += call.t.builder.reserve([f"{name}.{state}" for state in states_of(m)])
    call.t.builder.put(name, op, inputs, params, call.weights(name, gate_parts(m, op, ending)), outputs)
    return outputs


def gate_parts(m, op: str, ending: str) -> list[tuple]:
    """Where each slot's rows are: torch stacks the gates i, f, g, o in this order."""
    gates = GATES if op == "lstm" else ("",)
    names = [("W", "weight_ih", "hi"), ("U", "weight_hh", "hu")]
    first, second = ([("b", "bias_ih", "h")], [("b2", "bias_hh", "h")]) if m.bias else ([], [])

    def part(gate, slot, attribute, axes):
        n = gates.index(gate) * m.hidden_size
        rows = (n, n + m.hidden_size) if op == "lstm" else (None, None)
        return (f"{slot}_{gate}" if gate else slot, attribute + ending, *rows, axes)
    return ([part(gate, *entry) for gate in gates for entry in names + first]
            + [part(gate, *entry) for gate in gates for entry in second])


def initial_state(call: Call, n: int, row: int, ending: str) -> str:
    """Row `row` of h0 or c0 [layers * directions, batch, h], without that axis."""
    state, shape = call.tensor(n), call.shape(n)
    word = f"{states_of(call.module)[n - 1]}0"
    if shape[0] != 1:
        params = {"axes": [0], "starts": [row], "stops": [row + 1], "steps": [1]}
        state = call.add(f".{ending}.{word}_row", "slice", [state], params)
    return call.reshape(f".{ending}.{word}", state, shape[1:])


def final_state(call: Call, n: int, found: list[str]) -> str | None:
    """h_n or c_n [layers * directions, batch, h], where it is used."""
    if n + 1 not in call.used:
        return None
    shape = call.fx.meta["val"][n + 1].shape
    word = f"{states_of(call.module)[n]}_n"
    if len(found) == 1:
        return call.reshape(f".{word}", found[0], shape)
    rows = [call.reshape(f".{word}.{row}", state, (1, *shape[1:])) for row, state in enumerate(found)]
    return call.add(f".{word}", "concat", rows, {"axis": 0})


def cell(call: Call) -> list:
    """RNNCell and LSTMCell: a sequence of one step, whose final states are the results."""
    shape = call.shape(0)
    x = call.reshape(".step", call.tensor(0), (*shape[:-1], 1, shape[-1]))
    states = [call.tensor(n) for n in range(1, len(call.args))]
    return recurrent_node(call, "", [x, *states], "", call.module.input_size, 0, True)[1:]


def attention(call: Call) -> list:
    """MultiheadAttention on [b, s, d], [s, b, d] or [s, d]."""
    m = call.module
    if m.bias_k is not None or m.add_zero_attn:
        raise call.refused("add_bias_kv or add_zero_attn")
    if 1 in call.used:
        raise call.refused("the attention weights as a result (need_weights)")
    inputs, turned = heard(call)
    causal, kind, mask = masks(call)
    params = {"d_model": m.embed_dim, "key_features": m.kdim, "value_features": m.vdim,
              "out_features": m.embed_dim, "num_heads": m.num_heads, "num_kv_heads": m.num_heads,
              "head_dim": m.head_dim, "value_dim": m.head_dim, **projection_biases(m),
              "causal": causal, "rope": "none", "rope_base": None, "scale": None, "mask": kind,
              "fill": "-inf", "empty": "nan" if gives_nan(call) else "zero"}
    if mask is not None:
        inputs = [*inputs, *[None] * (3 - len(inputs)), mask]
    name = call.t.builder.unique(call.name + ".attention" * turned)
    y = call.t.builder.put(name, "attention", inputs, params, call.weights(name, projection_parts(m)))
    return [call.t.builder.node(call.name, "transpose", [y], {"perm": [1, 0, 2]}) if turned else y]


def heard(call: Call) -> tuple[list[str | None], bool]:
    """(query, key, value as inputs, batch first; whether that took a transpose).

    Key and value are left out where they are the query and the key.
    """
    turned = len(call.shape(0)) == 3 and not call.module.batch_first
    q, k, v = (call.tensor(n) for n in range(3))
    if turned:
        q, k, v = (call.t.transposed(x, [1, 0, 2], f"{call.name}.{word}")
                   for x, word in ((q, "query"), (k, "key"), (v, "value")))
    if v == k:
        return ([q] if k == q else [q, k]), turned
    return [q, None if k == q else k, v], turned


def projection_biases(m) -> dict[str, bool]:
    """Which projections have a bias."""
    return {**dict.fromkeys(("q_bias", "k_bias", "v_bias"), m.in_proj_bias is not None),
            "o_bias": m.out_proj.bias is not None}


def projection_parts(m) -> list[tuple]:
    """Where each slot's rows are: one stacked weight, or three where key or value differ in width."""
    d = m.embed_dim
    if m.in_proj_weight is not None:
        parts = [(f"W{x}", "in_proj_weight", n * d, n * d + d, f"{x}d") for n, x in enumerate("qk")]
        parts += [("Wv", "in_proj_weight", 2 * d, 3 * d, "vd")]
    else:
        parts = [(f"W{x}", f"{x}_proj_weight", None, None, f"{x}d") for x in "qkv"]
    parts.append(("Wo", "out_proj.weight", None, None, "do"))
    if m.in_proj_bias is not None:
        parts += [(f"b{x}", "in_proj_bias", n * d, n * d + d, x) for n, x in enumerate("qkv")]
    if m.out_proj.bias is not None:
        parts.append(("bo", "out_proj.bias", None, None, "d"))
    return parts


def masks(call: Call) -> tuple[bool, str, str | None]:
    """(causal, kind of mask, mask) from attn_mask and key_padding_mask."""
    padding, mask = call.args[3], call.args[4]
    # Without weights and padding torch takes the hint for the mask, but for its fused way.
    causal = mask is not None and call.flags["is_causal"] and padding is None \
        and not call.flags["need_weights"] and not fused(call)
    if mask is not None and not causal:
        causal = is_causal(call, mask)
    kinds = {kind_of(call, x) for x in (padding, None if causal else mask) if x is not None}
    if len(kinds) == 2 or kinds == {"hide"} and padding is not None and mask is not None and not causal:
        raise call.refused("attn_mask and key_padding_mask together, unless both are added "
                           "or attn_mask is causal")
    if not kinds:
        return causal, "none", None
    parts = [None if padding is None else padding_mask(call), None if causal else own_mask(call)]
    parts = [part for part in parts if part is not None]
    name = parts[0] if len(parts) == 1 else call.add(".mask", "add", parts, {})
    return causal, kinds.pop(), name


def kind_of(call: Call, mask) -> str:
    """In MultiheadAttention True hides, and a number is added."""
    dtype = mask.meta["val"].dtype
    if dtype is torch.bool:
        return "hide"
    if not dtype.is_floating_point:
        raise call.refused(f"a mask of {NUMPY.get(dtype, dtype)}")
    return "add"


def padding_mask(call: Call) -> str:
    """key_padding_mask [b, keys] or [keys] as [b, 1, 1, keys]."""
    shape = call.shape(3)
    return call.reshape(".key_padding_mask", call.tensor(3), (*shape[:-1], 1, 1, shape[-1]))


def own_mask(call: Call) -> str | None:
    """attn_mask [queries, keys], or [b * heads, queries, keys] as [b, heads, queries, keys]."""
    if call.args[4] is None:
        return None
    shape, name = call.shape(4), call.tensor(4)
    if len(shape) == 2 or len(call.shape(0)) == 2:
        return name
    batch = call.shape(0)[0 if call.module.batch_first else 1]
    return call.reshape(".attn_mask", name, (batch, call.module.num_heads, *shape[1:]))


def is_causal(call: Call, mask) -> bool:
    """Whether a mask that is computed from sizes hides just what comes later, at every length."""
    known = call.t.values.get(mask.name)
    if not isinstance(known, Sizes):
        return False
    symbols = sorted(free_symbols(known.node), key=str)
    if len(symbols) > 1:
        return False
    far = reach(numbers_in(known.node, call.t.constant_of))
    if symbols and far is None:
        return False
    lengths = (*LENGTHS, far) if symbols else (0,)
    return all(hides_later(evaluate(known.node, dict.fromkeys(symbols, n), call.t.constant_of))
               for n in lengths)


def hides_later(mask) -> bool:
    """Whether a mask is square and hides the places above the diagonal, adding nothing else."""
    if mask.ndim != 2 or mask.shape[0] != mask.shape[1]:
        return False
    later = torch.ones_like(mask, dtype=torch.bool).triu(1)
    if mask.dtype is torch.bool:
        return bool((mask == later).all())
    return bool((mask == torch.zeros_like(mask).masked_fill(later, -torch.inf)).all())


def gives_nan(call: Call) -> bool:
    """Whether a row with nothing to see is NaN: of torch's three ways one gives zeros.

    That is scaled_dot_product_attention, taken without weights where the fused way cannot be.
    """
    return call.flags["need_weights"] or fused(call)


def fused(call: Call) -> bool:
    """Whether the module runs its fused operation, in eval mode without gradients."""
    m, given = call.module, [x for x in call.args[3:5] if x is not None]
    return (call.args[0] is call.args[1] is call.args[2] and len(call.shape(0)) == 3
            and m.batch_first and m.num_heads % 2 == 0 and m.in_proj_weight is not None
            and m.in_proj_bias is not None
            and not any(x.meta["val"].is_floating_point() for x in given))


def rope_attention(call: Call) -> list:
    """The composed attention with rotary positions."""
    m = call.module
    layers = {"q": m.query, "k": m.key, "v": m.value, "o": m.out}
    params = {"d_model": m.d_model, "key_features": m.d_model, "value_features": m.d_model,
              "out_features": m.d_model, "num_heads": m.num_heads, "num_kv_heads": m.num_kv_heads,
              "head_dim": m.head_dim, "value_dim": m.head_dim,
              **{f"{x}_bias": layer.bias is not None for x, layer in layers.items()},
              "causal": m.causal, "rope": m.rope,
              "rope_base": None if m.rope == "none" else float(m.base), "scale": None,
              "mask": "none", "fill": "-inf", "empty": "nan"}
    parts = [("Wq", "query.weight", "qd"), ("Wk", "key.weight", "kd"), ("Wv", "value.weight", "vd"),
             ("Wo", "out.weight", "do"), ("bq", "query.bias", "q"), ("bk", "key.bias", "k"),
             ("bv", "value.bias", "v"), ("bo", "out.bias", "d")]
    present = [p for p in parts if p[0][0] == "W" or params[f"{p[0][1]}_bias"]]
    return [one_node(call, "attention", params, present)]


def swiglu(call: Call) -> list:
    """The composed gated feed-forward layer."""
    m = call.module
    biases = {layer.bias is not None for layer in (m.gate, m.up, m.down)}
    if len(biases) != 1:
        raise call.refused("a bias of some of its layers only")
    params = {"in_features": m.in_features, "hidden_features": m.hidden_features,
              "activation": m.activation, "bias": biases == {True}}
    parts = [("Wg", "gate.weight", "mi"), ("Wu", "up.weight", "mi"), ("Wd", "down.weight", "im"),
             ("bg", "gate.bias", "m"), ("bu", "up.bias", "m"), ("bd", "down.bias", "i")]
    return [one_node(call, "swiglu", params, parts[:6 if params["bias"] else 3])]


def zero_outside_embedding(call: Call) -> list:
    """The composed embedding that has a row of zeros for every id outside."""
    m = call.module
    params = {"vocab_size": m.num_embeddings, "embedding_dim": m.embedding_dim, "outside": "zero",
              "wrap": False}
    return [one_node(call, "embedding", params, [("table", "table.weight", "vd")])]


def one_node(call: Call, op: str, params: dict, parts) -> str:
    """A node of one input with whole weights: (slot, attribute, axes)."""
    name = call.t.builder.unique(call.name)
    whole = [(slot, attribute, None, None, axes) for slot, attribute, axes in parts]
    return call.t.builder.put(name, op, [call.tensor(0)], params, call.weights(name, whole))


def max_pool(call: Call) -> list:
    """MaxPool1d, by the handler of the operation that it calls."""
    m = call.module
    handler = torch_nn.OPERATIONS["aten.max_pool1d.default"]
    return [handler(call.t, call.fx, call.args[0], m.kernel_size, m.stride, m.padding, m.dilation,
                    m.ceil_mode)]


EMITTERS = {
    nn.RNN: recurrent, nn.LSTM: recurrent, nn.RNNCell: cell, nn.LSTMCell: cell,
    nn.MultiheadAttention: attention, RopeAttention: rope_attention, SwiGLU: swiglu,
    ZeroOutsideEmbedding: zero_outside_embedding, nn.MaxPool1d: max_pool,
}
