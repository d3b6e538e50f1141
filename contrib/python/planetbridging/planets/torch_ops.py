"""The ATen operations that the stream has words for, a row each.

Imported only when a PyTorch module is emitted.
"""

from __future__ import annotations

import sys

import torch
from torch.fx import Node as FxNode

from . import torch_modules, torch_nn
from .torch_leaves import TARGET
from .torch_trace import NUMPY, Refused, Translator, Weight


def is_float(value) -> bool:
    """Whether an fx argument is a tensor of floats."""
    return isinstance(value, FxNode) and value.meta["val"].is_floating_point()


def linear(t: Translator, fx, x, weight, bias=None):
    """x @ weight.T + bias, the weight [o,i]."""
    return dense(t, fx, x, weight, bias, axes=("o", "i"))


def matmul(t: Translator, fx, x, weight):
    """x @ weight with a stored weight [i,o] on the right."""
    return dense(t, fx, x, weight, None, axes=("i", "o"))


def addmm(t: Translator, fx, bias, x, weight, *, beta=1, alpha=1):
    """bias + x @ weight with stored weight [i,o] and bias [o]."""
    if beta != 1 or alpha != 1:
        raise Refused("beta or alpha other than 1")
    return dense(t, fx, x, weight, bias, axes=("i", "o"))


def dense(t: Translator, fx, x, weight, bias, axes):
    """A dense node; a transposed weight is the stored one with its axes named the other way."""
    w, b = t.weight(weight), t.weight(bias)
    if w is None or (bias is not None and b is None):
        raise Refused("a weight or bias that is computed")
    plain, dtype = t.array(Weight(w.source))
    if NUMPY.get(x.meta["val"].dtype) != dtype:
        raise Refused(f"values of {NUMPY.get(x.meta['val'].dtype)} and a weight of {dtype}")
    if plain.ndim != 2 or (b and t.array(b)[0].ndim != 1):
        raise Refused("a weight that is no matrix or a bias that is no row")
    bias_array, bias_dtype = t.array(b) if b else (None, dtype)
    if bias_dtype != dtype:
        raise Refused(f"a weight of {dtype} and a bias of {bias_dtype}")
    return t.builder.dense(t.wanted(fx), t.tensor(x, fx), plain, bias_array, dtype=dtype,
                           axes=axes[::-1] if w.transposed else axes,
                           keys=(("weight", w.source), b and ("bias", b.source)),
                           sources=(w.source, b.source if b else ""))


def unary(op: str):
    """A row for an operation of one tensor without parameters."""
    def handler(t: Translator, fx, x):
        if not is_float(x):
            raise Refused(f"{x.meta['val'].dtype}")
        return t.node(fx, op, [t.tensor(x, fx)])
    return handler


def binary(op: str):
    """A row for a broadcasting operation of two tensors, or a tensor and a number."""
    def handler(t: Translator, fx, a, b, *, alpha=1):
        dtype = common_dtype(a, b, op)
        left, right = t.tensor(a, fx, dtype), t.tensor(b, fx, dtype)
        if alpha != 1:
            factor = t.tensor(alpha, fx, dtype)
            right = t.builder.node(f"{t.wanted(fx)}.scaled", "mul", [right, factor])
        return t.node(fx, op, [left, right])
    return handler


def rsub(t: Translator, fx, a, b, alpha=1):
    """b - alpha * a."""
    return binary("sub")(t, fx, b, a, alpha=alpha)


def negative(t: Translator, fx, x):
    """x times -1, which changes the sign alone."""
    return binary("mul")(t, fx, x, -1)


def reciprocal(t: Translator, fx, x):
    """1 / x."""
    return binary("div")(t, fx, 1, x)


def power(t: Translator, fx, x, exponent=2):
    """x * x; other powers have no word."""
    if exponent != 2:
        raise Refused(f"exponent {exponent}")
    return binary("mul")(t, fx, x, x)


def common_dtype(a, b, op: str):
    """The dtype of both operands; mixed ones follow rules that the stream does not have."""
    dtypes = {v.meta["val"].dtype for v in (a, b) if isinstance(v, FxNode)
              and isinstance(v.meta["val"], torch.Tensor)}
    if len(dtypes) != 1:
        raise Refused(" and ".join(sorted(NUMPY.get(d, str(d)) for d in dtypes)) or "no tensor")
    dtype = dtypes.pop()
    if not dtype.is_floating_point and (dtype is not torch.int64 or op == "div"):
        raise Refused(f"{NUMPY.get(dtype, dtype)}")
    return dtype


def gelu(t: Translator, fx, x, *, approximate="none"):
    return t.node(fx, "gelu", [t.tensor(x, fx)], {"approximate": approximate})


def leaky_relu(t: Translator, fx, x, negative_slope=0.01):
    return t.node(fx, "leaky_relu", [t.tensor(x, fx)], {"negative_slope": float(negative_slope)})


def softmax(t: Translator, fx, x, axis, dtype=None):
    """`dtype` of softmax.int, or half_to_float of _softmax: only if they change nothing."""
    if fx.meta["val"].dtype is not x.meta["val"].dtype:
        raise Refused("another dtype for its result")
    return t.node(fx, "softmax", [t.tensor(x, fx)], {"axis": int(axis)})


def concat(t: Translator, fx, tensors, axis=0):
    if len({x.meta["val"].dtype for x in tensors}) != 1:
        raise Refused("tensors of several dtypes")
    return t.node(fx, "concat", [t.tensor(x, fx) for x in tensors], {"axis": int(axis)})


def reshape(t: Translator, fx, x, *sizes, **named):
    """Any operation that keeps the order of elements: the traced result has its shape."""
    return t.node(fx, "reshape", [t.tensor(x, fx)], {"shape": t.dims(fx.meta["val"].shape)})


def identity(t: Translator, fx, x, *rest, **named):
    """An operation that changes no value: the same tensor, without a node."""
    if fx.meta["val"].dtype is not x.meta["val"].dtype:
        raise Refused(f"a conversion to {fx.meta['val'].dtype}")
    return t.values.get(x.name)


def transpose(t: Translator, fx, x, *axes):
    """Of a stored matrix only the names of its axes change; else a node."""
    rank = x.meta["val"].ndim
    perm = permutation(str(fx.target), rank, axes)
    weight = t.weight(x)
    if weight is not None and rank == 2:
        return weight if perm == [0, 1] else Weight(weight.source, not weight.transposed)
    if perm == list(range(rank)):
        return t.tensor(x, fx)
    return t.node(fx, "transpose", [t.tensor(x, fx)], {"perm": perm})


def permutation(target: str, rank: int, axes) -> list[int]:
    """The order of the axes that t, transpose, permute and numpy_T give."""
    perm = list(range(rank))
    if "permute" in target:
        return [axis % rank for axis in axes[0]]
    if "numpy_T" in target or "aten.t." in target:
        return perm[::-1]
    a, b = (axis % rank for axis in axes) if rank else (0, 0)
    if rank:
        perm[a], perm[b] = perm[b], perm[a]
    return perm


def cut(t: Translator, fx, x, axis, start, stop, step=1, wanted=None) -> str:
    """A slice node over one axis; `start` and `stop` lie within it, as sizes."""
    starts, stops = t.dims([start, stop])
    params = {"axes": [axis], "starts": [starts], "stops": [stops], "steps": [step]}
    return t.builder.node(wanted or t.wanted(fx), "slice", [t.tensor(x, fx)], params)


def slice_(t: Translator, fx, x, axis=0, start=None, stop=None, step=1):
    """x[start:stop:step]; what the trace clipped is clipped here, since a stream clips nothing."""
    shape, made = x.meta["val"].shape, fx.meta["val"].shape
    axis %= len(shape)
    start, stop = size_of(start or 0), size_of(sys.maxsize if stop is None else stop)
    if same_size(made[axis], shape[axis]) and step == 1:
        return t.values.get(x.name)
    if isinstance(start, int) and start < 0:
        start = start + shape[axis]
    if isinstance(stop, int) and (stop < 0 or stop == sys.maxsize):
        stop = shape[axis] if stop == sys.maxsize else stop + shape[axis]
    elif step == 1:
        stop = start + made[axis]
    return cut(t, fx, x, axis, start, stop, step)


def select(t: Translator, fx, x, axis, index):
    """x[index] along one axis: a slice of one, and that axis gone."""
    shape = x.meta["val"].shape
    axis, index = axis % len(shape), size_of(index)
    if isinstance(index, int) and index < 0:
        index = index + shape[axis]
    one = cut(t, fx, x, axis, index, index + 1, wanted=f"{t.wanted(fx)}.slice")
    return t.node(fx, "reshape", [one], {"shape": t.dims(fx.meta["val"].shape)})


def size_of(value):
    """A size among an operation's arguments: a number, or what the trace knows of a node."""
    return value.meta["val"] if isinstance(value, FxNode) else value


def same_size(a, b) -> bool:
    """Whether two sizes are one whatever the inputs are; `==` would ask about this example."""
    exprs = [size.node.expr if isinstance(size, torch.SymInt) else size for size in (a, b)]
    return bool(exprs[0] == exprs[1])


def split(t: Translator, fx, x, sizes, axis=0):
    """One slice for each part that is used."""
    parts = fx.meta["val"]
    axis %= x.meta["val"].ndim
    used = {user.args[1] for user in fx.users}
    names, start = [], 0
    for n, part in enumerate(parts):
        stop = start + part.shape[axis]
        names.append(cut(t, fx, x, axis, start, stop, wanted=f"{t.wanted(fx)}.{n}")
                     if n in used else None)
        start = stop
    return names


def stack(t: Translator, fx, tensors, axis=0):
    """Each tensor with an axis of one more, and their concat."""
    shape = list(fx.meta["val"].shape)
    axis %= len(shape)
    shape[axis] = 1
    parts = [t.builder.node(f"{t.wanted(fx)}.{n}", "reshape", [t.tensor(x, fx)],
                            {"shape": t.dims(shape)}) for n, x in enumerate(tensors)]
    return t.node(fx, "concat", parts, {"axis": axis})


def index(t: Translator, fx, x, indices):
    """x[:, ids]: rows picked along one axis."""
    found = [(axis, ids) for axis, ids in enumerate(indices) if ids is not None]
    if len(found) != 1:
        raise Refused("several index tensors")
    return index_select(t, fx, x, *found[0])


def index_select(t: Translator, fx, x, axis, ids):
    """gather: ids of any rank, counted from 0; the runtime refuses others."""
    if ids.meta["val"].dtype is not torch.int64:
        raise Refused(f"an index of {NUMPY.get(ids.meta['val'].dtype)}")
    stored = t.weight(ids)
    if stored is not None and (t.array(stored)[0] < 0).any():
        raise Refused("indices below 0 in the code")
    rank = x.meta["val"].ndim
    return t.node(fx, "gather", [t.tensor(x, fx), t.tensor(ids, fx)], {"axis": axis % rank})


def getitem(t: Translator, fx, values, index):
    """One of several results; None where there is a problem noted already."""
    found = t.values.get(values.name)
    return found[index] if isinstance(found, list) else None


OPERATIONS = {
    TARGET: torch_modules.leaf,
    **torch_nn.OPERATIONS,
    "aten.linear.default": linear,
    "aten.addmm.default": addmm,
    "aten.mm.default": matmul,
    "aten.matmul.default": matmul,
    "aten.t.default": transpose,
    "aten.transpose.int": transpose,
    "aten.permute.default": transpose,
    "aten.numpy_T.default": transpose,
    "aten.relu.default": unary("relu"),
    "aten.tanh.default": unary("tanh"),
    "aten.sigmoid.default": unary("sigmoid"),
    "aten.silu.default": unary("silu"),
    "aten.gelu.default": gelu,
    "aten.leaky_relu.default": leaky_relu,
    "aten.softmax.int": softmax,
    "aten._softmax.default": softmax,
    "aten.add.Tensor": binary("add"),
    "aten.add.Scalar": binary("add"),
    "aten.sub.Tensor": binary("sub"),
    "aten.sub.Scalar": binary("sub"),
    "aten.rsub.Tensor": rsub,
    "aten.rsub.Scalar": rsub,
    "aten.mul.Tensor": binary("mul"),
    "aten.mul.Scalar": binary("mul"),
    "aten.div.Tensor": binary("div"),
    "aten.div.Scalar": binary("div"),
    "aten.neg.default": negative,
    "aten.reciprocal.default": reciprocal,
    "aten.square.default": power,
    "aten.pow.Tensor_Scalar": power,
    "aten.cat.default": concat,
    "aten.stack.default": stack,
    "aten.slice.Tensor": slice_,
    "aten.select.int": select,
    "aten.split.Tensor": split,
    "aten.split_with_sizes.default": split,
    "aten.index.Tensor": index,
    "aten.index_select.default": index_select,
    "aten.view.default": reshape,
    "aten._unsafe_view.default": reshape,
    "aten.squeeze.default": reshape,
    "aten.squeeze.dim": reshape,
    "aten.squeeze.dims": reshape,
    "aten.unsqueeze.default": reshape,
    "aten.alias.default": identity,
    "aten.clone.default": identity,
    "aten.detach.default": identity,
    "aten._to_copy.default": identity,
    "aten.lift_fresh_copy.default": identity,
    "aten.type_as.default": identity,
    "<built-in function getitem>": getitem,
}


UNSPOKEN = {"alias", "lift_fresh_copy", "t", *torch_nn.REFUSED}
"""What no one writes, and what has a row only to say why it is refused."""

DECOMPOSED = {"contiguous", "dropout", "flatten", "reshape", "unflatten"}
"""What run_decompositions({}) turns into rows of the table, or drops."""


def supported() -> list[str]:
    """The operations of the table and the layers that are one word, by the names that people know."""
    words = {key.split(".")[1] for key in OPERATIONS if key.startswith("aten.")}
    unspoken = {word for word in words if word.startswith("_")} | UNSPOKEN
    return sorted(words - unspoken | DECOMPOSED) + torch_modules.supported()
