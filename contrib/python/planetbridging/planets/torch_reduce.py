"""The ATen operations over whole axes: sums, means, extremes, norms, softmax, running sums."""

from __future__ import annotations

import math

import torch

from .. import compositions
from .torch_trace import Refused, Translator, dtype_of, kind


def axes_of(x, axes) -> list[int]:
    """The axes of a reduction, counted from 0; none given are all."""
    rank = x.meta["val"].ndim
    given = [axes] if isinstance(axes, int) else list(axes or range(rank))
    return sorted(axis % max(rank, 1) for axis in given)


def first(fx):
    """What the first result of a call is."""
    made = fx.meta["val"]
    return made if isinstance(made, torch.Tensor) else made[0]


def reduced(op: str):
    """A row for a reduction over some axes; sums and means of integers are of the result's dtype."""
    def handler(t: Translator, fx, x, axes=None, keepdim=False, *, dtype=None):
        before, after = dtype_of(x), first(fx).dtype
        if torch.float64 in (before, after) and before is not after and kind(before) == "float32":
            raise Refused("another dtype for its result")
        if kind(after) == "bool":
            raise Refused("bool")
        return over(t, t.wanted(fx), op, t.operand(x, fx, after), axes_of(x, axes), keepdim)
    return handler


def over(t: Translator, wanted: str, op: str, name: str, axes: list[int], keepdim: bool) -> str:
    """A reduction node; of a scalar it is the scalar."""
    if not axes:
        return name
    return t.builder.node(wanted, op, [name], {"axes": axes, "keepdims": bool(keepdim)})


def extreme(op: str):
    """A row for max or min along one axis, whose two results are values and indices, or over all."""
    def handler(t: Translator, fx, x, axis=None, keepdim=False):
        if axis is None:
            return reduced(op)(t, fx, x)
        name, used, wanted = t.tensor(x, fx), {user.args[1] for user in fx.users}, t.wanted(fx)
        if kind(dtype_of(x)) == "bool":
            raise Refused("bool")
        found = axes_of(x, axis)
        values = over(t, wanted, op, name, found, keepdim) if 0 in used else None
        return [values, first_index(t, f"{wanted}.indices", op, name, found[0], keepdim)
                if 1 in used else None]
    return handler


def first_index(t: Translator, wanted: str, op: str, name: str, axis: int, keepdim: bool) -> str:
    """The lowest index of the greatest or of the least."""
    if op == "min":
        return compositions.argmin(t.builder, wanted, name, axis, bool(keepdim))
    return t.builder.node(wanted, "argmax", [name], {"axis": axis, "keepdims": bool(keepdim)})


def arg(op: str):
    """A row for argmax or argmin; without an axis, of all elements in their order."""
    def handler(t: Translator, fx, x, axis=None, keepdim=False):
        name, wanted = t.tensor(x, fx), t.wanted(fx)
        if kind(dtype_of(x)) == "bool":
            raise Refused("bool")
        if axis is not None:
            return first_index(t, wanted, op, name, axes_of(x, axis)[0], keepdim)
        flat = [compositions.times(*t.shape(x))]
        name = t.builder.node(f"{wanted}.flat", "reshape", [name], {"shape": flat})
        if not keepdim:
            return first_index(t, wanted, op, name, 0, False)
        made = first_index(t, f"{wanted}.index", op, name, 0, False)
        return t.node(fx, "reshape", [made], {"shape": t.shape(fx)})
    return handler


def aminmax(t: Translator, fx, x, *, dim=None, keepdim=False):
    """(least, greatest)"""
    name, found = t.tensor(x, fx), axes_of(x, dim)
    return [over(t, f"{t.wanted(fx)}.{op}", op, name, found, keepdim) for op in ("min", "max")]


def any_or_all(every: bool):
    """A row for any or all, over one axis, several, or all."""
    def handler(t: Translator, fx, x, axes=None, keepdim=False):
        found, name = axes_of(x, axes), t.operand(x, fx, torch.bool)
        if not found:
            return name
        return compositions.any_or_all(t.builder, t.wanted(fx), name, found, bool(keepdim), every)
    return handler


def count_nonzero(t: Translator, fx, x, axes=None):
    """How many are not 0."""
    name = t.cast(t.operand(x, fx, torch.bool), torch.bool, torch.int64, t.wanted(fx))
    return over(t, t.wanted(fx), "sum", name, axes_of(x, axes), False)


def spread(results: tuple[str, ...]):
    """A row for "var" and "std", each alone or with the "mean" behind it."""
    def handler(t: Translator, fx, x, *rest, correction=None, keepdim=False):
        axes, correction, keepdim = spread_options(str(fx.target), rest, correction, keepdim)
        if not first(fx).is_floating_point() or kind(dtype_of(x)) != "float32":
            raise Refused(f"{dtype_of(x)}")
        name, found, wanted = t.tensor(x, fx), axes_of(x, axes), t.wanted(fx)
        root = results[0] == "std"
        made = compositions.variance(t.builder, f"{wanted}.var" if root else wanted, name, found,
                                     bool(keepdim), t.shape(x), correction)
        if root:
            made = t.builder.node(wanted, "sqrt", [made])
        if len(results) == 1:
            return made
        return [made, over(t, f"{wanted}.average", "mean", name, found, keepdim)]
    return handler


def spread_options(target: str, rest, correction, keepdim):
    """(axes, correction, keepdim) from the three ways to call var and std."""
    if target.endswith(".correction"):
        return (rest[0] if rest else None), 1 if correction is None else correction, keepdim
    if target.endswith(".dim"):
        axes, unbiased, keepdim = (*rest, *(None, True, keepdim)[len(rest):])
        return axes, int(unbiased), keepdim
    return None, int(rest[0]) if rest else 1, keepdim


def vector_norm(t: Translator, fx, x, order=2, axes=None, keepdim=False, *, dtype=None):
    """(sum |x|^order)^(1/order), the greatest or the least |x|."""
    name, found, wanted, b = t.tensor(x, fx), axes_of(x, axes), t.wanted(fx), t.builder
    if order == 2:
        return compositions.l2_norm(b, wanted, name, found, bool(keepdim))
    size = b.node(f"{wanted}.abs", "abs", [name])
    if order == 1 or math.isinf(order):
        op = "sum" if order == 1 else "max" if order > 0 else "min"
        return over(t, wanted, op, size, found, keepdim)
    if order == 0:
        raise Refused("order 0")
    parts = b.node(f"{wanted}.pow", "pow", [size, t.tensor(float(order), fx, torch.float64)])
    total = over(t, f"{wanted}.sum", "sum", parts, found, keepdim)
    return b.node(wanted, "pow", [total, t.tensor(1 / order, fx, torch.float64)])


def logsumexp(t: Translator, fx, x, axes, keepdim=False):
    name = t.operand(x, fx, fx.meta["val"].dtype)
    return compositions.logsumexp(t.builder, t.wanted(fx), name, axes_of(x, axes), bool(keepdim))


def softmax(op: str):
    """A row for softmax or log_softmax; `dtype`, or half_to_float: only if it rounds nothing."""
    def handler(t: Translator, fx, x, axis, dtype=None):
        before, after = dtype_of(x), fx.meta["val"].dtype
        if before is not after and torch.float64 in (before, after):
            raise Refused("another dtype for its result")
        return t.node(fx, op, [t.operand(x, fx, after)], {"axis": int(axis)})
    return handler


def cumsum(t: Translator, fx, x, axis, *, dtype=None):
    """Running sums; of truth values, counts."""
    name = t.operand(x, fx, fx.meta["val"].dtype)
    axis %= max(x.meta["val"].ndim, 1)
    return t.node(fx, "cumsum", [name], {"axis": axis}) if x.meta["val"].ndim else name


OPERATIONS = {
    "aten.sum.default": reduced("sum"),
    "aten.sum.dim_IntList": reduced("sum"),
    "aten.mean.default": reduced("mean"),
    "aten.mean.dim": reduced("mean"),
    "aten.amax.default": reduced("max"),
    "aten.amin.default": reduced("min"),
    **{f"aten.{op}.{form}": extreme(op) for op in ("max", "min") for form in ("default", "dim")},
    "aten.argmax.default": arg("max"),
    "aten.argmin.default": arg("min"),
    "aten.aminmax.default": aminmax,
    **{f"aten.{word}.{form}": any_or_all(word == "all") for word in ("any", "all")
       for form in ("default", "dim", "dims")},
    "aten.count_nonzero.default": count_nonzero,
    "aten.count_nonzero.dim_IntList": count_nonzero,
    **{f"aten.{word}.{form}": spread(results) for word, results in (
        ("var", ("var",)), ("std", ("std",)), ("var_mean", ("var", "mean")),
        ("std_mean", ("std", "mean"))) for form in ("default", "dim", "correction")},
    "aten.linalg_vector_norm.default": vector_norm,
    "aten.logsumexp.default": logsumexp,
    "aten.softmax.int": softmax("softmax"),
    "aten._softmax.default": softmax("softmax"),
    "aten.log_softmax.int": softmax("log_softmax"),
    "aten._log_softmax.default": softmax("log_softmax"),
    "aten.cumsum.default": cumsum,
}
