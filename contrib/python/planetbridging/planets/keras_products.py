"""Products of Keras: of a value with a weight a dense node, of two values matmul and einsum.

Rows by the class of an operation of `keras.ops`.
"""

from __future__ import annotations

import math

from .. import compositions
from . import keras_shape
from .keras_call import Slot, Value, any_dtype, kind


def operations(keras) -> dict:
    """Handlers by the name of an operation's class."""
    return {"Matmul": matmul, "Dot": dot, "Einsum": einsum, "Tensordot": tensordot,
            "Inner": inner, "Outer": outer, "DotProductAttention": attention}


def rows(keras) -> dict:
    """Handlers by the class of a layer."""
    layers = keras.layers
    return {layers.Dense: dense, layers.EinsumDense: einsum_dense}


@any_dtype
def dense(call):
    """The kernel as a node "dense", the activation as one that has the layer's name."""
    layer = call.operation
    if not layer.built:
        return call.refuse("has no weights yet")
    x = call.cast(call.args[0], call.symbols[0].dtype)
    fused = not call.is_linear(layer.activation)
    made = project(call, x, layer.kernel, layer.bias, ".dense" if fused else "")
    return call.activate(made, layer.activation)


def project(call, x, kernel, bias=None, suffix: str = ""):
    """x times a kernel [in, out], plus a bias."""
    tracer = call.tracer
    arrays = [None if v is None else tracer.array(v) for v in (kernel, bias)]
    name = tracer.builder.dense(
        call.path + suffix, x.name, *arrays, axes=("i", "o"), keys=(_key(kernel), _key(bias)),
        sources=(getattr(kernel, "path", ""), getattr(bias, "path", "")))
    return Value(name, x.shape[:-1] + (arrays[0].shape[1],), x.nodes_dtype, x.broken)


def _key(weight):
    return id(weight) if hasattr(weight, "path") else None


def einsum_dense(call):
    """A dense node where the equation sums over the last axes of the value and puts all others of
    the kernel in their place; else the kernel is a constant, and the equation a composition."""
    layer, x = call.operation, call.args[0]
    given, kernel, out = layer.equation.replace("->", ",").split(",")
    summed = [letter for letter in kernel if letter in given]
    count = len(summed)
    rest = given[:-count] if count else given
    whole = layer.bias is None or layer.bias.shape == layer.kernel.shape[count:]
    plain = count and list(given[-count:]) == summed and kernel[:count] == given[-count:] and \
        out == rest + kernel[count:] and whole
    if plain:
        return _einsum_node(call, layer, x, count)
    fused, biased = not call.is_linear(layer.activation), layer.bias is not None
    made = _einsum(call, layer.equation, [x, call.value(layer.kernel, x.dtype)],
                   ".einsum" if fused or biased else "")
    if biased:
        made = call.binary("add", made, layer.bias, ".add" if fused else "")
    return call.activate(made, layer.activation)


def _einsum_node(call, layer, x, count: int):
    """`count` last axes of the value are summed over: one, or made one."""
    sizes = [int(size) for size in layer.kernel.shape]
    ins, outs = math.prod(sizes[:count]), math.prod(sizes[count:])
    lead, fused = x.shape[:-count], not call.is_linear(layer.activation)
    if count > 1:
        x = to_shape(call, x, (*lead, ins), ".in")
    many = len(sizes) > count + 1
    params = {"in_features": ins, "out_features": outs, "bias": layer.bias is not None}
    slots = [Slot("weight", layer.kernel, "io", lambda a: a.reshape(ins, outs)),
             Slot("bias", layer.bias, "o", lambda a: a.reshape(outs))]
    suffix = ".dense" if many or fused else ""
    made = call.weighted("dense", [x], (*lead, outs), params, slots, suffix)
    if many:
        made = to_shape(call, made, (*lead, *sizes[count:]), ".heads" if fused else "")
    return call.activate(made, layer.activation)


def to_shape(call, x, shape, suffix: str = ""):
    """A reshape, or the refusal of one whose sizes nobody can say."""
    if shape is None or None in shape:
        return call.broken() if x.broken else call.refuse("reshape to a size that is not known")
    return call.node("reshape", [x], shape, {"shape": list(shape)}, suffix)


@any_dtype
def matmul(call):
    """With a weight from the right a dense node; a vector is a matrix of one row or column."""
    x, y = call.args
    weight = isinstance(x, Value) and not isinstance(y, Value) and len(y.shape) == 2 and x.shape
    dtype = call.symbols[0].dtype
    if kind(dtype) != "float32":
        return call.refuse(f"a product of {dtype} values")
    if weight:
        return project(call, call.cast(x, dtype), y)
    x, y = call.value(x, dtype), call.value(y, dtype)
    row, column = len(x.shape) == 1, len(y.shape) == 1
    if row:
        x = to_shape(call, x, (1, *x.shape), ".row")
    if column:
        y = to_shape(call, y, (*y.shape, 1), ".column")
    lead = keras_shape.broadcast(x.shape[:-2], y.shape[:-2])
    shape = (*lead, x.shape[-2], y.shape[-1])
    made = call.node("matmul", [x, y], shape, suffix=".product" if row or column else "")
    if not row and not column:
        return made
    left = [*lead, *([] if row else [x.shape[-2]]), *([] if column else [y.shape[-1]])]
    return to_shape(call, made, left)


def dot(call):
    """As matmul, but of values of higher rank over the last axis and the last but one."""
    x, y = call.args
    if len(x.shape) == 0 or len(y.shape) == 0:
        return call.binary("mul", x, y)
    if len(y.shape) < 3:
        return matmul(call)
    letters = "abcdefghijklmnop"
    left, right = letters[:len(x.shape)], letters[len(x.shape):len(x.shape) + len(y.shape)]
    right = right[:-2] + left[-1] + right[-1]
    out = left[:-1] + right[:-2] + right[-1]
    return _einsum(call, f"{left},{right}->{out}", list(call.args))


def inner(call):
    """Over the last axes of both."""
    x, y = call.args
    if len(x.shape) == 0 or len(y.shape) == 0:
        return call.binary("mul", x, y)
    letters = "abcdefghijklmnop"
    left = letters[:len(x.shape)]
    right = letters[len(x.shape):len(x.shape) + len(y.shape) - 1] + left[-1]
    return _einsum(call, f"{left},{right}->{left[:-1]}{right[:-1]}", [x, y])


def outer(call):
    x, y = (call.value(item, call.symbols[0].dtype) for item in call.args)
    x = to_shape(call, x, (keras_shape.product(x.shape), 1), ".column")
    y = to_shape(call, y, (1, keras_shape.product(y.shape)), ".row")
    return call.binary("mul", x, y)


def tensordot(call):
    """Over a number of last and first axes, or over the axes that are named."""
    (x, y), axes = call.args, call.operation.axes
    letters = "abcdefghijklmnopqrstuvwxyz"
    left = list(letters[:len(x.shape)])
    right = list(letters[len(x.shape):len(x.shape) + len(y.shape)])
    if isinstance(axes, int):
        axes = [range(len(left) - axes, len(left)), range(axes)]
    pairs = [[a] if isinstance(a, int) else list(a) for a in axes]
    for a, b in zip(*pairs):
        right[b] = left[a]
    summed = {left[a] for a in pairs[0]}
    out = [letter for letter in left + right if letter not in summed]
    return _einsum(call, f"{''.join(left)},{''.join(right)}->{''.join(out)}", [x, y])


def einsum(call):
    return _einsum(call, call.operation.subscripts, list(call.args))


def _einsum(call, equation: str, operands, suffix: str = ""):
    """The composition of the equation, over values and weights."""
    dtype = call.symbols[0].dtype
    values = [call.value(item, dtype) for item in operands]
    shapes = [list(v.shape) for v in values]
    if any(None in shape for shape in shapes):
        return call.refuse(f"the equation {equation} of values whose sizes are not known")
    try:
        terms, out = compositions.spelled(equation, shapes)
        name = compositions.einsum(call.tracer.builder, call.path + suffix, equation,
                                   [v.name for v in values], shapes)
    except ValueError as error:
        return call.refuse(str(error))
    sizes = {letter: size for term, shape in zip(terms, shapes)
             for letter, size in zip(term, shape)}
    return call.made(name, values, [sizes[letter] for letter in out], dtype)


def attention(call):
    """keras.ops.dot_product_attention: heads stand behind the steps there, before them here."""
    query, key, value = call.args[:3]
    bias, mask = call.argument(3, "bias"), call.argument(4, "mask")
    scale, causal = call.argument(5, "scale"), bool(call.operation.is_causal)
    if call.operation.attn_logits_soft_cap is not None:
        return call.refuse("attn_logits_soft_cap")
    if bias is not None and mask is not None:
        return call.refuse("a bias and a mask")
    if causal and query.shape[1] != key.shape[1]:
        return call.refuse(f"a causal mask for {query.shape[1]} queries of {key.shape[1]} keys")
    given = bias if mask is None else mask
    wanted = "none" if given is None else "add" if mask is None else "keep"
    dtype = "bool" if wanted == "keep" else query.dtype
    turned = [call.transpose(v, (0, 2, 1, 3), end)
              for v, end in ((query, ".q"), (key, ".k"), (value, ".v"))]
    if given is not None:
        turned.append(call.value(given, dtype))
    params = {"causal": causal, "scale": None if scale is None else float(scale), "mask": wanted,
              "fill": "least" if wanted == "keep" else "-inf", "empty": "zero"}
    shape = (*turned[0].shape[:3], value.shape[-1])
    made = call.node("scaled_dot_product_attention", turned, shape, params, ".heads")
    return call.transpose(made, (0, 2, 1, 3))
