"""Nodes for the modules that a trace has as one call: recurrent ones, attention, composed ones."""

from __future__ import annotations

import json

from torch import nn

from ..composed.torch_ import RopeAttention, SwiGLU, ZeroOutsideEmbedding
from . import torch_nn
from .torch_call import Call
from .torch_mha import attention
from .torch_recurrent import cell, recurrent
from .torch_trace import Translator


def supported() -> list[str]:
    """The classes of modules that become nodes."""
    return ["RNN", "LSTM", "GRU", "RNNCell", "LSTMCell", "GRUCell", "MultiheadAttention",
            "EmbeddingBag", "RopeAttention", "SwiGLU", "ZeroOutsideEmbedding"]


def leaf(t: Translator, fx, xs, path: str, flags: str):
    """The nodes of one call of the module at `path`; the names of its results in torch's order."""
    module = t.model.get_submodule(path)
    call = Call(t, fx, path, module, xs, json.loads(flags))
    return next(emit for cls, emit in EMITTERS.items() if isinstance(module, cls))(call)


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


def embedding_bag(call: Call) -> list:
    """Rows of a table and their sum, mean or greatest over each bag."""
    m = call.module
    name = call.t.builder.unique(f"{call.name}.rows")
    params = {"vocab_size": m.num_embeddings, "embedding_dim": m.embedding_dim, "outside": "error",
              "wrap": False}
    rows = call.t.builder.put(name, "embedding", [call.tensor(0)], params,
                              call.weights(name, [("table", "weight", None, None, "vd")]))
    return [call.add("", m.mode, [rows], {"axes": [1], "keepdims": False})]


def max_pool(call: Call) -> list:
    """MaxPool1d, by the handler of the operation that it calls."""
    m = call.module
    handler = torch_nn.OPERATIONS["aten.max_pool1d.default"]
    return [handler(call.t, call.fx, call.args[0], m.kernel_size, m.stride, m.padding, m.dilation,
                    m.ceil_mode)]


EMITTERS = {
    nn.RNNBase: recurrent, nn.RNNCellBase: cell, nn.MultiheadAttention: attention,
    RopeAttention: rope_attention, SwiGLU: swiglu, ZeroOutsideEmbedding: zero_outside_embedding,
    nn.MaxPool1d: max_pool, nn.EmbeddingBag: embedding_bag,
}
