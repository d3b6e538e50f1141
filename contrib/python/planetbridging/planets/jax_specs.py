"""Which sizes of a network's inputs may change: shapes with names for the sizes that may."""

from __future__ import annotations

import jax

BATCH = "batch"


def choices(arrays) -> list[list]:
    """Shapes and types to trace with, the most general first, the one of fixed sizes last.

    First the axes of one place that are equal in the example have one name, then all axes that are
    equal, then all sizes but the batch are the example's.
    """
    found = []
    for key in (lambda axis, extent: (axis, extent), lambda axis, extent: extent, None):
        shapes = _named(arrays, key)
        if shapes not in found:
            found.append(shapes)
    return [_specs(arrays, shapes) for shapes in found]


def fixed(arrays) -> list:
    """Shapes and types with no names at all."""
    return [jax.ShapeDtypeStruct(a.shape, jax.dtypes.canonicalize_dtype(a.dtype)) for a in arrays]


def _name(seen: dict, key, axis: int) -> str:
    """The name of a size: "d1" for the first of axis 1, "d1_2" for another there."""
    if key not in seen:
        same = sum(name.split("_")[0] == f"d{axis}" for name in seen.values())
        seen[key] = f"d{axis}_{same + 1}" if same else f"d{axis}"
    return seen[key]


def _named(arrays, key) -> list[list]:
    """The batch is the first axis of the first array that has two, or that holds ids, and all first
    axes of that size.  The last axis of floats is what weights were made for, and stays."""
    wide = [a.shape[0] for a in arrays if a.ndim > 1 or (a.ndim and a.dtype.kind != "f")]
    shapes, seen = [], {}
    for array in arrays:
        shape = list(array.shape)
        is_batch = bool(wide) and array.shape[:1] == (wide[0],)
        floats = array.dtype.kind not in "iub"
        for axis in range(1 if floats else 0, array.ndim - 1 if floats else array.ndim):
            first = axis == 0 and is_batch
            if key is not None and not first and (floats or shape[axis] != 1):
                shape[axis] = _name(seen, key(axis, shape[axis]), axis)
        if is_batch:
            shape[0] = BATCH
        shapes.append(shape)
    return shapes


def _specs(arrays, shapes) -> list:
    names = dict.fromkeys(d for shape in shapes for d in shape if isinstance(d, str))
    made = dict(zip(names, jax.export.symbolic_shape(", ".join(names)) if names else ()))
    return [jax.ShapeDtypeStruct(tuple(made.get(d, d) if isinstance(d, str) else d for d in shape),
                                 jax.dtypes.canonicalize_dtype(array.dtype))
            for array, shape in zip(arrays, shapes)]
