"""Pooling of Keras: channels last, around nodes that are not."""

from __future__ import annotations

from .keras_call import Value, takes_mask
from .keras_conv import FREE, enter, inner, leave, window


def rows(keras) -> dict:
    """Handlers by the class of a layer."""
    layers = keras.layers
    found = {}
    for n in (1, 2, 3):
        found[getattr(layers, f"MaxPooling{n}D")] = _pool("maxpool")
        found[getattr(layers, f"AveragePooling{n}D")] = _pool("avgpool")
        found[getattr(layers, f"GlobalMaxPooling{n}D")] = _global("global_maxpool")
        found[getattr(layers, f"GlobalAveragePooling{n}D")] = _global("global_avgpool")
        found[getattr(layers, f"AdaptiveMaxPooling{n}D")] = _adaptive("maxpool")
        found[getattr(layers, f"AdaptiveAveragePooling{n}D")] = _adaptive("avgpool")
    found[layers.GlobalAveragePooling1D] = masked_mean(found[layers.GlobalAveragePooling1D])
    return found


def _pool(op: str):
    def handler(call):
        layer, x = call.operation, call.args[0]
        n = len(layer.pool_size)
        win = window(x, layer, list(layer.pool_size), inner(layer.data_format), bare=False)
        if win is None:
            return call.refuse(FREE)
        return _node(call, op, n, x, win, layer.data_format)

    return handler


def _node(call, op: str, n: int, x: Value, win, data_format: str) -> Value:
    """An average counts what is inside alone, as Keras has it."""
    value, turned = enter(call, x, data_format)
    params = win.params("kernel", "stride", "pad_low", "pad_high")
    if op == "maxpool":
        params["dilation"] = win.dilation
    params["ceil"] = False
    if op == "avgpool":
        params["count_pad"] = False
    shape = [*value.shape[:2], *win.sizes(value.shape[2:])]
    made = call.node(f"{op}{n}", [value], shape, params, ".pool" if turned else "")
    return leave(call, made, turned)


def _adaptive(op: str):
    """Windows of one size where the extent is so many times the wanted one."""
    def handler(call):
        layer, x = call.operation, call.args[0]
        sizes = x.shape[inner(layer.data_format)]
        wanted = layer.output_size
        wanted = [wanted] * len(sizes) if isinstance(wanted, int) else list(wanted)
        if any(not isinstance(size, int) or size % want for size, want in zip(sizes, wanted)):
            return call.refuse(f"{list(sizes)} into {wanted} windows of different sizes")
        kernel = [size // want for size, want in zip(sizes, wanted)]
        win = window(x, None, kernel, inner(layer.data_format), strides=kernel, bare=False)
        return _node(call, op, len(sizes), x, win, layer.data_format)

    return handler


def _global(op: str):
    def handler(call):
        layer, x = call.operation, call.args[0]
        n = len(x.shape) - 2
        value, turned = enter(call, x, layer.data_format)
        shape = value.shape[:2] + (1,) * n
        suffix = "" if layer.keepdims and not turned else ".pool"
        made = call.node(op, [value], shape, {"spatial": n}, suffix)
        if layer.keepdims:
            return leave(call, made, turned)
        return call.node("reshape", [made], shape[:2], {"shape": list(shape[:2])})

    return handler


def masked_mean(plain):
    """The mean over the steps that a mask keeps; `plain` is the handler without one."""
    @takes_mask
    def handler(call):
        layer, ops = call.operation, call.tracer.keras.ops
        mask = call.argument(1, "mask")
        if mask is None:
            return plain(call)
        first = layer.data_format == "channels_first"
        axis = 2 if first else 1

        def mean(x, seen):
            seen = ops.expand_dims(ops.cast(seen, "bool"), 1 if first else 2)
            x = ops.where(seen, x, 0)
            return ops.sum(x, axis, keepdims=layer.keepdims) / \
                ops.sum(ops.cast(seen, x.dtype), axis, keepdims=layer.keepdims)

        return call.traced(mean, call.args[0], mask)

    return handler
