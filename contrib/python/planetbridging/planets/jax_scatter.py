"""Writing at known places: JAX's scatter and dynamic_update_slice, x.at[...].set and its kin."""

from __future__ import annotations

import itertools
import math

import numpy as np

from ..compositions import scatter_constant
from .jax_flat import Const, Step
from .jax_index import clamped, shape_of
from .jax_sizes import Inexpressible
from .jax_values import Value, straight

COMBINED = {"scatter": None, "scatter-add": "add", "scatter_add": "add", "scatter-mul": "mul",
            "scatter_mul": "mul", "scatter-min": "minimum", "scatter_min": "minimum",
            "scatter-max": "maximum", "scatter_max": "maximum"}
"""What is made of an element and the one that is written there; None: the latter."""


def _scatter(walk, step: Step) -> Value:
    """Rows at places along some axes become others, all at once where no place comes twice."""
    x, indices, updates = step.inputs
    how = step.params["dimension_numbers"]
    if not isinstance(indices, Const) or how.operand_batching_dims:
        raise Inexpressible(f"{step.primitive} with indices that are computed")
    shape, axes = shape_of(x), [int(axis) for axis in how.scatter_dims_to_operand_dims]
    inside = [int(a) for a in how.update_window_dims]
    kept = [a for a in range(len(shape)) if a not in how.inserted_window_dims]
    windows = {a: shape_of(updates)[inside[kept.index(a)]] if a in kept else 1 for a in axes}
    if not all(isinstance(n, int) for a in axes for n in (shape[a], windows[a])):
        raise Inexpressible(f"{step.primitive} along an axis of any size")
    lead = [a for a in range(len(shape_of(updates))) if a not in inside]
    moved = [inside[kept.index(a)] for a in axes if a in kept]
    rest = [inside[kept.index(a)] for a in kept if a not in axes]
    rows = walk.full(updates, step).transposed([*lead, *moved, *rest])
    places = _places(np.asarray(indices.array), [windows[a] for a in axes])
    return _write(walk, step, axes, places, rows, len(lead) + len(moved))


def _places(indices, windows: list[int]) -> np.ndarray:
    """[written rows, axes]: where each row goes, the windows of each index opened."""
    grid = np.array(list(itertools.product(*map(range, windows))), np.int64)
    wide = indices.astype(np.int64).reshape(-1, 1, indices.shape[-1]) + grid
    return wide.reshape(-1, indices.shape[-1])


def _update_slice(walk, step: Step) -> Value:
    """dynamic_update_slice at numbers: JAX moves it inside."""
    x, updates, *starts = step.inputs
    shape, part = shape_of(x), shape_of(updates)
    axes = [a for a in range(len(shape)) if str(part[a]) != str(shape[a])]
    if not all(isinstance(starts[a], Const) for a in axes):
        raise Inexpressible("dynamic_update_slice at a computed place")
    if not all(isinstance(n, int) for a in axes for n in (shape[a], part[a])):
        raise Inexpressible("dynamic_update_slice along an axis of any size")
    if not axes:
        return walk.full(updates, step)
    first = [clamped(int(starts[a].array), shape[a], part[a]) for a in axes]
    rows = walk.full(updates, step).transposed(
        [*axes, *(a for a in range(len(shape)) if a not in axes)])
    return _write(walk, step, axes, _places(np.array([first]), [part[a] for a in axes]), rows,
                  len(axes))


def _write(walk, step: Step, axes: list[int], places, rows: Value, lead: int) -> Value:
    """x with rows [lead axes..., rest...] written at `places` [count, axes]; those outside drop."""
    shape = shape_of(step.inputs[0])
    rest = [a for a in range(len(shape)) if a not in axes]
    extents, tail = [shape[a] for a in axes], [shape[a] for a in rest]
    x = walk.full(step.inputs[0], step).transposed([*axes, *rest])
    x = walk.reshape(step, x, (math.prod(extents), *tail), "scatter.in")
    rows = walk.reshape(step, rows, (len(places), *tail), "scatter.rows")
    names = [walk.laid(v, step, straight(len(tail) + 1)) for v in (x, rows)]
    inside = ((places >= 0) & (places < extents)).all(1)
    flat = np.ravel_multi_index(tuple(np.where(inside[:, None], places, 0).T), extents)
    name = names[0]
    for turn in _turns(flat, np.flatnonzero(inside), COMBINED.get(step.primitive)):
        name = _turn(walk, step, name, names[1], flat, turn, math.prod(extents))
    made = walk.reshape(step, Value.plain(name, (math.prod(extents), *tail)),
                        (*extents, *tail), "scatter.out")
    return made.transposed([[*axes, *rest].index(a) for a in range(len(shape))])


def _turns(flat, rows, op) -> list[list[int]]:
    """The rows to write in each turn: where elements are combined, no place twice in one."""
    turns: list[dict[int, int]] = [{}]
    for row in rows:
        place = int(flat[row])
        turn = next((t for t in turns if place not in t), None) if op else turns[0]
        if turn is None:
            turns.append(turn := {})
        turn[place] = int(row)
    return [list(turn.values()) for turn in turns if turn]


def _turn(walk, step: Step, x: str, rows: str, flat, turn: list[int], extent: int) -> str:
    """x with some of the rows written at their places."""
    op, b = COMBINED.get(step.primitive), walk.builder
    if len(turn) != len(flat) or turn != sorted(turn):
        rows = _picked(walk, step, rows, turn)
    if op is not None:
        rows = walk.node(step, op, [_picked(walk, step, x, flat[turn]), rows])
    return scatter_constant(b, walk.path(step, "scatter"), x, rows, flat[turn], 0, extent)


def _picked(walk, step: Step, x: str, places) -> str:
    index = walk.builder.constant(walk.path(step, "scatter.index"), np.asarray(places, np.int64))
    return walk.node(step, "gather", [x, index], {"axis": 0}, "scatter.picked")


PRIMITIVES = {**dict.fromkeys(COMBINED, _scatter), "dynamic_update_slice": _update_slice}
