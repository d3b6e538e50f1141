"""Attention of Keras, and the layers of planetbridging.composed that are made of it: one node each.

A mask hides a score behind a finite number, so that a row in which nothing may be seen is the mean
of all values, those hidden by `use_causal_mask` included; with dropout Keras takes another way, on
which such a row is zero.
"""

from __future__ import annotations

from .. import compositions
from . import keras_shape
from .keras_call import Slot, Value, takes_mask
from .keras_masks import MASKS


def rows(keras) -> dict:
    """Handlers by class."""
    from ..composed import keras_ as composed

    layers = keras.layers
    return {layers.MultiHeadAttention: multi_head, layers.GroupQueryAttention: grouped,
            composed.RopeAttention: rope, composed.SwiGLU: swiglu}


@takes_mask
def multi_head(call):
    layer = call.operation
    query, value, key = _three(call)
    extra = _extra(call, layer._use_gate, query)
    out = layer._output_dense.kernel.shape
    if tuple(layer._attention_axes) != (len(query.shape) - 2,):
        extra = f"attention along the axes {tuple(layer._attention_axes)}"
    elif len(out) != 3:
        extra = f"an output of the shape {tuple(out[2:])}"
    attached = query.mask() if query.mask and not query.lost else None
    heads = {"num_heads": layer._num_heads, "num_kv_heads": layer._num_heads,
             "head_dim": layer._key_dim, "value_dim": layer._value_dim}
    made = _written(call, extra) if extra else _attention(
        call, heads, attached, layer._sliding_window, layer._dropout > 0)
    for given in (query, value, key):  # Keras takes their masks off them
        given.lost = True
    return made


@takes_mask
def grouped(call):
    layer = call.operation
    heads = {"num_heads": layer.num_query_heads, "num_kv_heads": layer.num_key_value_heads,
             "head_dim": layer.head_dim, "value_dim": layer.head_dim}
    extra = _extra(call, layer.use_gate, _three(call)[0])
    if extra:
        return _written(call, extra)
    return _attention(call, heads, call.kwargs.get("query_mask"), layer.sliding_window,
                      layer.dropout > 0)


def _extra(call, gate: bool, query: Value) -> str:
    """What one attention node cannot do, of what the layer was told."""
    if gate:
        return "use_gate=True"
    if call.kwargs.get("return_attention_scores"):
        return "return_attention_scores=True"
    masked = [key for key in (*MASKS, "attention_mask") if call.kwargs.get(key) is not None]
    if masked and len(query.shape) != 3:
        return f"a mask ({masked[0]}) for a query of rank {len(query.shape)}"
    return ""


def _written(call, extra: str):
    """The layer as Keras writes it down, operation by operation."""
    tracer, kwargs = call.tracer, dict(call.kwargs)
    before = len(tracer.builder.problems)
    if kwargs.pop("use_causal_mask", False):  # Keras asks symbolic tensors for sizes that they lack
        query, value, _ = _three(call)
        mask, given = _triangle(call, query.shape[1], value.shape[1]), kwargs.get("attention_mask")
        if given is not None:
            given = call.value(given, "bool")
            shape = keras_shape.broadcast(given.shape, mask.shape)
            mask = call.node("and", [given, mask], shape, None, ".mask")
        kwargs["attention_mask"] = mask
    made = tracer.expand(call.operation, call.args, kwargs, call.path, only=call.path)
    found = tracer.builder.problems[before:]
    if made is None or found:
        del tracer.builder.problems[before:]
        return call.refuse(f"{extra}: {found[0].operation}" if found else extra)
    return made


def _attention(call, heads: dict, query_mask, window, empty_is_zero: bool):
    """One of Keras's two layers: `heads` are the node's parameters for heads and their widths."""
    layer = call.operation
    query, value, key = _three(call)
    causal = bool(call.kwargs.get("use_causal_mask"))
    unequal = causal and query.shape[-2] != key.shape[-2]
    masks = _masks(call, query_mask, query, key, window, unequal)
    if isinstance(masks, str):
        return call.refuse(masks)
    mask = masks[0] if masks else None
    for n, other in enumerate(masks[1:]):
        shape = keras_shape.broadcast(mask.shape, other.shape)
        mask = call.node("and", [mask, other], shape, None, f".mask_{n}")
    projections = [layer._query_dense, layer._key_dense, layer._value_dense, layer._output_dense]
    params = {"causal": causal and not unequal, "rope": "none", "rope_base": None,
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


def _masks(call, query_mask, query: Value, key: Value, window, unequal: bool):
    """All that hides scores, each with an axis for heads; or what is wrong with it."""
    found = []
    own = [call.kwargs.get(name) for name in ("value_mask", "key_mask")]
    for n, (mask, axis) in enumerate([(query_mask, 2), (own[0], 3), (own[1], 3)]):
        if mask is not None:
            mask = call.value(mask, "bool")
            shape = [mask.shape[0], 1, 1, 1]
            shape[axis] = mask.shape[1]
            found.append(call.node("reshape", [mask], shape, {"shape": shape}, f".mask_{'qvk'[n]}"))
    if unequal:
        found.append(_triangle(call, query.shape[1], key.shape[1]))
    if window is not None:
        found.append(_window(call, query.shape[1], key.shape[1], int(window)))
    given = call.kwargs.get("attention_mask")
    if given is None:
        return found
    if len(given.shape) > 3 and found:
        return "an attention_mask with heads besides other masks"
    return [*found, _with_heads(call, given)]


def _triangle(call, rows, columns) -> Value:
    name = compositions.triangle(call.tracer.builder, call.path + ".causal", rows, columns, 0, True)
    return Value(name, (rows, columns), "bool")


def _window(call, rows, columns, width: int) -> Value:
    """True where a query and a key are less than `width` places apart."""
    builder, path = call.tracer.builder, call.path + ".window"
    row = compositions.arange(builder, path + ".rows", rows)
    row = builder.node(path + ".row", "unsqueeze", [row], {"axes": [1]})
    apart = builder.node(path + ".apart", "sub",
                         [row, compositions.arange(builder, path + ".columns", columns)])
    size = builder.node(path + ".distance", "abs", [apart])
    most = compositions.number(builder, path, width, "int64")
    return Value(builder.node(path, "less", [size, most]), (rows, columns), "bool")


def _with_heads(call, mask) -> Value:
    """The caller's mask, truth values, with an axis for heads where it has one for the batch."""
    if not isinstance(mask, Value):
        mask = call.tracer.keras.ops.convert_to_numpy(mask).astype(bool)
    mask = call.value(mask, "bool")
    if len(mask.shape) != 3:
        return mask
    shape = [mask.shape[0], 1, *mask.shape[1:]]
    return call.node("reshape", [mask], shape, {"shape": shape}, ".mask")


def _node(call, inputs, heads: dict, projections, params: dict):
    """The node of query, key, value and mask, and of the four layers that project."""
    query, key, value, mask = inputs
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
    mask = call.argument(3, "attention_mask")
    mask = None if mask is None else _with_heads(call, mask)
    if layer.causal and query.shape[-2] != key.shape[-2]:
        return call.refuse(f"a causal mask for {query.shape[-2]} queries of {key.shape[-2]} keys")
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
