"""Attention of Keras, and the layers of planetbridging.composed that are made of it: one node each.

A mask hides a score behind a finite number, so that a row in which nothing may be seen is the mean
of all values, those hidden by `use_causal_mask` included; with dropout Keras takes another way, on
which such a row is zero.
"""

from __future__ import annotations

from .keras_call import Slot, Value


def rows(keras) -> dict:
    """Handlers by class."""
    from ..composed import keras_ as composed

    layers = keras.layers
    return {layers.MultiHeadAttention: multi_head, layers.GroupQueryAttention: grouped,
            composed.RopeAttention: rope, composed.SwiGLU: swiglu}


def multi_head(call):
    layer = call.operation
    rank = len(call.argument(0, "query").shape)
    if tuple(layer._attention_axes) != (rank - 2,):
        return call.refuse(f"attention along the axes {tuple(layer._attention_axes)}")
    out = layer._output_dense.kernel.shape
    if len(out) != 3:
        return call.refuse(f"an output of the shape {tuple(out[2:])}")
    heads = {"num_heads": layer._num_heads, "num_kv_heads": layer._num_heads,
             "head_dim": layer._key_dim, "value_dim": layer._value_dim}
    return _attention(call, heads, layer._use_gate, layer._sliding_window, layer._dropout > 0)


def grouped(call):
    layer = call.operation
    heads = {"num_heads": layer.num_query_heads, "num_kv_heads": layer.num_key_value_heads,
             "head_dim": layer.head_dim, "value_dim": layer.head_dim}
    return _attention(call, heads, layer.use_gate, layer.sliding_window, layer.dropout > 0)


def _attention(call, heads: dict, gate: bool, window, empty_is_zero: bool):
    """One of Keras's two layers: `heads` are the node's parameters for heads and their widths."""
    layer = call.operation
    problem = _extras(call, gate, window)
    if problem:
        return call.refuse(problem)
    query, value, key = _three(call)
    mask = _mask(call, call.kwargs.get("attention_mask"), len(query.shape))
    if isinstance(mask, str):
        return call.refuse(mask)
    projections = [layer._query_dense, layer._key_dense, layer._value_dense, layer._output_dense]
    params = {"causal": bool(call.kwargs.get("use_causal_mask")), "rope": "none", "rope_base": None,
              "scale": None, "mask": "none" if mask is None else "keep",
              "fill": "-inf" if mask is None or empty_is_zero else "least", "empty": "zero"}
    return _node(call, [query, key, value, mask], heads, projections, params)


def _three(call) -> tuple[Value, Value, Value]:
    """Query, value and key; a value that is not given is the query, a key is the value."""
    query = call.argument(0, "query")
    value = call.argument(1, "value")
    value = query if value is None else value
    key = call.argument(2, "key")
    return query, value, value if key is None else key


def _extras(call, gate: bool, window) -> str:
    if gate:
        return "use_gate=True"
    if window is not None:
        return f"sliding_window={window}"
    if call.kwargs.get("return_attention_scores"):
        return "return_attention_scores=True"
    return ""


def _mask(call, mask, rank: int):
    """The mask as a value with an axis for heads, None, or what is wrong with it."""
    if mask is None:
        return None
    dtype = str(getattr(mask, "dtype", type(mask).__name__))
    if dtype != "bool":
        return f"an attention_mask of {dtype}: give it as bool"
    if rank != 3:
        return f"an attention_mask for a query of rank {rank}"
    mask = call.tracer.value(mask, "bool", call.path)
    if len(mask.shape) != 3:
        return mask
    shape = [mask.shape[0], 1, *mask.shape[1:]]
    if None in shape:
        return "an attention_mask of a size that is not known"
    return call.node("reshape", [mask], shape, {"shape": shape}, ".mask")


def _node(call, inputs, heads: dict, projections, params: dict):
    """The node of query, key, value and mask, and of the four layers that project."""
    query, key, value, mask = inputs
    if params["causal"] and query.shape[-2] != key.shape[-2]:
        return call.refuse(f"a causal mask for {query.shape[-2]} queries of {key.shape[-2]} keys")
    q, k, v, o = projections
    widths = {"d_model": query.shape[-1], "key_features": key.shape[-1],
              "value_features": value.shape[-1], "out_features": int(o.kernel.shape[-1])}
    widths |= {name: int(number) for name, number in heads.items()}
    biases = {f"{name}_bias": layer.bias is not None for name, layer in zip("qkvo", projections)}
    slots = [Slot(f"W{name}", layer.kernel, "d" + name, _inputs_first)
             for name, layer in zip("qkv", projections)]
    slots += [Slot("Wo", o.kernel, "od", _outputs_last)]
    slots += [Slot(f"b{name}", layer.bias, name, _flat) for name, layer in zip("qkv", projections)]
    slots += [Slot("bo", o.bias, "d")]
    given = [query, None if key is query else key, None if value is key else value, mask]
    while given[-1] is None:
        given.pop()
    shape = (*query.shape[:-1], widths["out_features"])
    return call.weighted("attention", given, shape, {**widths, **biases, **params}, slots)


def _inputs_first(kernel):
    """[d, heads, width] to [d, heads*width]."""
    return kernel.reshape(kernel.shape[0], -1)


def _outputs_last(kernel):
    """[heads, width, d] to [heads*width, d]."""
    return kernel.reshape(-1, kernel.shape[-1])


def _flat(bias):
    return bias.reshape(-1)


def rope(call):
    """Attention composed in this package: its own settings are the node's."""
    layer = call.operation
    query, value, key = _three(call)
    mask = _mask(call, call.argument(3, "attention_mask"), len(query.shape))
    if isinstance(mask, str):
        return call.refuse(mask)
    heads = {"num_heads": layer.num_heads, "num_kv_heads": layer.num_kv_heads,
             "head_dim": layer.head_dim, "value_dim": layer.value_dim}
    base = None if layer.rope == "none" else float(layer.rope_base)
    params = {"causal": layer.causal, "rope": layer.rope, "rope_base": base, "scale": None,
              "mask": "none" if mask is None else "keep", "fill": "-inf", "empty": "zero"}
    projections = [layer.query_dense, layer.key_dense, layer.value_dense, layer.output_dense]
    return _node(call, [query, key, value, mask], heads, projections, params)


def swiglu(call):
    layer, x = call.operation, call.args[0]
    parts = layer.gate_dense, layer.up_dense, layer.down_dense
    params = {"in_features": x.shape[-1], "hidden_features": layer.hidden_features,
              "activation": layer.activation, "bias": layer.use_bias}
    slots = [Slot(f"W{name}", part.kernel, "mi" if name == "d" else "im")
             for name, part in zip("gud", parts)]
    slots += [Slot(f"b{name}", part.bias, "i" if name == "d" else "m")
              for name, part in zip("gud", parts)]
    return call.weighted("swiglu", [x], x.shape, params, slots)
