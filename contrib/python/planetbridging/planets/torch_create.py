"""The ATen operations that make tensors of sizes and numbers: arange, ones, triangles."""

from __future__ import annotations

import numpy as np
import torch

from .. import compositions
from .torch_dims import size_of
from .torch_trace import Refused, Translator, dtype_of, kind


def numpy_of(dtype):
    """What holds a number of a dtype in the stream: float64 only beside float64."""
    kinds = {"float32": np.float32, "int64": np.int64, "bool": np.bool_}
    return np.float64 if dtype is torch.float64 else kinds[kind(dtype)]


def arange(t: Translator, fx, *limits, **named):
    """start, start + step, ... below stop; with fractions it is computed from 0, 1, 2, ..."""
    start, stop, step = {1: (0, *limits, 1), 2: (*limits, 1)}.get(len(limits), limits)
    known = [size_of(v) for v in (start, stop, step)]
    dtype, wanted = fx.meta["val"].dtype, t.wanted(fx)
    if all(isinstance(v, (int, torch.SymInt)) for v in known) and isinstance(known[2], int):
        params = {"start": t.dims(known[:1]), "stop": t.dims(known[1:2]), "step": known[2]}
        if kind(dtype) == "int64":
            return t.node(fx, "arange", [], params)
        made = t.builder.node(f"{wanted}.arange", "arange", [], params)
        return t.node(fx, "cast", [made], {"to": "float32"})
    params = {"start": [0], "stop": t.shape(fx), "step": 1}
    made = t.builder.node(f"{wanted}.arange", "arange", [], params)
    made = t.cast(made, torch.int64, dtype, wanted)
    scaled = t.builder.node(f"{wanted}.scaled", "mul", [made, t.operand(step, fx, dtype)])
    return t.node(fx, "add", [scaled, t.operand(start, fx, dtype)])


def linspace(t: Translator, fx, start, stop, steps, **named):
    """`steps` numbers from start to stop: start + n (stop - start) / (steps - 1)."""
    if not all(isinstance(v, (int, float)) for v in (start, stop)):
        raise Refused("ends that follow a size")
    shape, wanted, b = t.shape(fx), t.wanted(fx), t.builder
    places = b.node(f"{wanted}.places", "cast", [compositions.arange(b, f"{wanted}.arange", shape[0])],
                    {"to": "float32"})
    way = b.node(f"{wanted}.way", "mul", [places, compositions.number(b, wanted, stop - start)])
    gaps = compositions.count(b, f"{wanted}.gaps", shape[0], 1)
    part = b.node(f"{wanted}.part", "div", [way, gaps])
    return t.node(fx, "add", [part, compositions.number(b, wanted, start)])


def filled(value):
    """A row for a tensor of one value."""
    def handler(t: Translator, fx, *rest, **named):
        return of_one_value(t, fx, value)
    return handler


def full(t: Translator, fx, size, value, **named):
    """A tensor of `value`, a number or what a size gives; full_like and new_full too."""
    return of_one_value(t, fx, value)


def new_full(t: Translator, fx, x, size, value, **named):
    return of_one_value(t, fx, value)


def fill(t: Translator, fx, x, value, **named):
    return of_one_value(t, fx, value)


def of_one_value(t: Translator, fx, value) -> str:
    """`value` in the shape of the result."""
    dtype, shape = fx.meta["val"].dtype, t.shape(fx)
    if isinstance(value, (bool, int, float)):
        number = np.asarray(value, numpy_of(dtype))
        if not shape:
            return t.builder.constant(t.wanted(fx), number)
        scalar = t.builder.constant(f"{t.wanted(fx)}.number", number)
    else:
        scalar = t.operand(value, fx, dtype)
    return t.node(fx, "expand", [scalar], {"shape": shape}) if shape else scalar


def scalar_tensor(t: Translator, fx, value, **named):
    return of_one_value(t, fx, value)


def triangle(lower: bool):
    """A row for tril or triu."""
    def handler(t: Translator, fx, x, diagonal=0):
        diagonal = size_of(diagonal)
        if not isinstance(diagonal, int):
            raise Refused("a diagonal that follows a size")
        zero = t.builder.constant(f"{t.wanted(fx)}.zero", np.zeros((), numpy_of(dtype_of(x))))
        return compositions.tri(t.builder, t.wanted(fx), t.tensor(x, fx), zero, t.shape(x), diagonal,
                                lower)
    return handler


def eye(t: Translator, fx, rows, columns=None, **named):
    """1 where row and column are one."""
    shape, b, wanted = t.shape(fx), t.builder, t.wanted(fx)
    row = b.node(f"{wanted}.row", "unsqueeze", [compositions.arange(b, f"{wanted}.rows", shape[0])],
                 {"axes": [1]})
    hit = b.node(f"{wanted}.equal", "equal", [row, compositions.arange(b, f"{wanted}.columns", shape[1])])
    return t.cast(hit, torch.bool, fx.meta["val"].dtype, wanted)


OPERATIONS = {
    **{f"aten.arange.{form}": arange for form in ("default", "start", "start_step")},
    "aten.linspace.default": linspace,
    **{f"aten.{word}{more}.default": filled(value) for word, value in (("ones", 1), ("zeros", 0))
       for more in ("", "_like")},
    "aten.new_ones.default": filled(1),
    "aten.new_zeros.default": filled(0),
    "aten.full.default": full,
    "aten.full_like.default": fill,
    "aten.new_full.default": new_full,
    "aten.fill.Scalar": fill,
    "aten.fill.Tensor": fill,
    "aten.scalar_tensor.default": scalar_tensor,
    "aten.tril.default": triangle(True),
    "aten.triu.default": triangle(False),
    "aten.eye.default": eye,
    "aten.eye.m": eye,
}
