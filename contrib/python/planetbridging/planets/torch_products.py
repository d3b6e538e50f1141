"""The ATen operations that are sums of products: linear, matmul and its kin, einsum."""

from __future__ import annotations

from .. import compositions
from .torch_trace import NUMPY, Refused, Translator, Weight, dtype_of, kind


def linear(t: Translator, fx, x, weight, bias=None):
    """x @ weight.T + bias, the weight [o,i]."""
    found = stored_dense(t, x, weight, bias)
    if found is not None:
        return dense(t, fx, x, *found, axes=("o", "i"))
    turned = t.transposed(t.tensor(weight, fx), [1, 0], f"{t.wanted(fx)}.turned")
    return plus(t, fx, t.tensor(x, fx), turned, bias)


def matmul(t: Translator, fx, x, y):
    """x @ y: a dense layer where y is a stored matrix [i,o], else a product in batches."""
    found = stored_dense(t, x, y, None) if x.meta["val"].ndim else None
    if found is not None:
        return dense(t, fx, x, *found, axes=("i", "o"))
    floats(x, y)
    ranks = x.meta["val"].ndim, y.meta["val"].ndim
    wanted, names = t.wanted(fx), [t.tensor(x, fx), t.tensor(y, fx)]
    if min(ranks) > 1:
        return t.node(fx, "matmul", names)
    for n, (rank, axis) in enumerate(zip(ranks, (0, 1))):
        if rank == 1:
            names[n] = t.builder.node(f"{wanted}.{'ab'[n]}", "unsqueeze", [names[n]], {"axes": [axis]})
    made = t.builder.node(f"{wanted}.matmul", "matmul", names)
    return t.node(fx, "reshape", [made], {"shape": t.shape(fx)})


def addmm(t: Translator, fx, bias, x, y, *, beta=1, alpha=1):
    """beta * bias + alpha * x @ y; with a stored matrix and row a dense layer."""
    found = stored_dense(t, x, y, bias) if beta == alpha == 1 else None
    if found is not None:
        return dense(t, fx, x, *found, axes=("i", "o"))
    floats(x, y, bias)
    wanted, b = t.wanted(fx), t.builder
    made = b.node(f"{wanted}.matmul", "matmul", [t.tensor(x, fx), t.tensor(y, fx)])
    if alpha != 1:
        made = b.node(f"{wanted}.scaled", "mul", [made, t.tensor(alpha, fx, dtype_of(x))])
    if beta == 0:
        return made
    other = t.tensor(bias, fx)
    if beta != 1:
        other = b.node(f"{wanted}.bias", "mul", [other, t.tensor(beta, fx, dtype_of(x))])
    return b.node(wanted, "add", [made, other])


def plus(t: Translator, fx, x: str, y: str, bias) -> str:
    """x @ y + bias of computed parts."""
    if bias is None:
        return t.node(fx, "matmul", [x, y])
    made = t.builder.node(f"{t.wanted(fx)}.matmul", "matmul", [x, y])
    return t.node(fx, "add", [made, t.tensor(bias, fx)])


def floats(*values) -> None:
    """Only floats of one dtype are multiplied so."""
    dtypes = {dtype_of(value) for value in values}
    if len(dtypes) != 1 or kind(dtype_of(values[0])) != "float32":
        raise Refused(" and ".join(sorted(NUMPY.get(d, str(d)) for d in dtypes)))


def stored_dense(t: Translator, x, weight, bias):
    """(weight, bias) where both are stored, a matrix and a row or no bias; None where they are not."""
    w = t.held(weight) if weight.meta["val"].ndim == 2 else None
    b = t.held(bias) if bias is not None and bias.meta["val"].ndim == 1 else None
    if w is None or (bias is not None and b is None):
        return None
    if bias is not None and bias.meta["val"].shape[0] != weight.meta["val"].shape[0] and \
            bias.meta["val"].shape[0] != weight.meta["val"].shape[1]:
        return None
    return w, b


def dense(t: Translator, fx, x, w: Weight, b: Weight | None, axes):
    """A dense node; a transposed weight is the stored one with its axes named the other way."""
    plain, dtype = t.array(Weight(w.source))
    if NUMPY.get(x.meta["val"].dtype) != dtype:
        raise Refused(f"values of {NUMPY.get(x.meta['val'].dtype)} and a weight of {dtype}")
    bias_array, bias_dtype = t.array(b) if b else (None, dtype)
    if bias_dtype != dtype:
        raise Refused(f"a weight of {dtype} and a bias of {bias_dtype}")
    return t.builder.dense(t.wanted(fx), t.tensor(x, fx), plain, bias_array, dtype=dtype,
                           axes=axes[::-1] if w.transposed else axes,
                           keys=(("weight", w.source), b and ("bias", b.source)),
                           sources=(t.source(w.source), t.source(b.source) if b else ""))


def bilinear(t: Translator, fx, x, y, weight, bias=None):
    """x weight y + bias for each matrix of the weight [o, i, j]."""
    wanted = t.wanted(fx) if bias is None else f"{t.wanted(fx)}.product"
    made = compositions.einsum(t.builder, wanted, "...i,oij,...j->...o",
                               [t.tensor(v, fx) for v in (x, weight, y)],
                               [t.shape(v) for v in (x, weight, y)])
    return made if bias is None else t.node(fx, "add", [made, t.tensor(bias, fx)])


def einsum(t: Translator, fx, equation, tensors, *, path=None):
    """A sum of products by letters."""
    floats(*tensors)
    try:
        return compositions.einsum(t.builder, t.wanted(fx), equation,
                                   [t.tensor(x, fx) for x in tensors], [t.shape(x) for x in tensors])
    except ValueError as error:
        raise Refused(str(error)) from None


OPERATIONS = {
    "aten.linear.default": linear,
    "aten.addmm.default": addmm,
    "aten.baddbmm.default": addmm,
    **{f"aten.{word}.default": matmul for word in ("mm", "bmm", "mv", "dot", "matmul")},
    "aten.bilinear.default": bilinear,
    "aten.einsum.default": einsum,
}
