"""Where in a framework's own arrays the numbers of weight slots stand.

Emitters hand over views of the framework's arrays (a transpose, the rows of a gate, a flip); nothing is
copied before the stream is written.  So the place of a slot's numbers can be read from memory: a slot that
lies within an array that the framework holds has a `Layout` there, one that was computed has none.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True)
class Layout:
    """Element (i0, i1, ...) of a slot is element `first` + i0 * strides[0] + i1 * strides[1] + ... of an
    array of shape `shape`, in C order.

    Strides count elements; they may be negative, and are 0 for axes of one element alone.
    """

    shape: tuple[int, ...]
    first: int
    strides: tuple[int, ...]

    def of(self, whole: np.ndarray, shape) -> np.ndarray:
        """The slot's elements, copied out of the whole array."""
        places = np.full(shape, self.first, np.int64)
        for axis, stride in enumerate(self.strides):
            steps = np.arange(shape[axis]) * stride
            places += steps.reshape([-1 if a == axis else 1 for a in range(len(shape))])
        return np.ascontiguousarray(whole).reshape(-1)[places]


@dataclass(frozen=True)
class Origin:
    """An array of the framework, whole, under the first of its names."""

    name: str
    array: np.ndarray
    aliases: tuple[str, ...] = ()


@dataclass
class Origins:
    """The arrays that slots may be views of; they are kept alive, so that an address stays one array's."""

    known: list[Origin] = field(default_factory=list)

    def add(self, name: str, array: np.ndarray, aliases=()) -> None:
        """Note an array, by a view of its own memory."""
        if array.size:
            self.known.append(Origin(name, array, tuple(aliases)))

    def settle(self, tensors) -> None:
        """Tell tensors that are views of a known array its name, and where they stand in it."""
        if not self.known:
            return
        bounds = np.array([_bounds(origin.array) for origin in self.known], np.uint64)
        for tensor in tensors:
            if not isinstance(tensor.array, np.ndarray) or not tensor.array.size:
                continue
            low, high = _bounds(tensor.array)
            inside = np.flatnonzero((bounds[:, 0] <= low) & (high <= bounds[:, 1]))
            # Of several that share memory the one that the emitter named.
            for origin in sorted((self.known[n] for n in inside), key=lambda o: o.name != tensor.source):
                layout = layout_of(origin.array, tensor.array)
                if layout is not None:
                    tensor.source, tensor.layout, tensor.aliases = origin.name, layout, origin.aliases
                    break


def layout_of(whole: np.ndarray, part: np.ndarray) -> Layout | None:
    """The layout of `part` in `whole`, of which it is a view; None if it is none, or not a strided one.

    `whole` need not be in C order: places are those of its elements in C order all the same.
    """
    axes = _axes(whole)
    if axes is None or bits(part.dtype) != bits(whole.dtype) or not part.size:
        return None
    sizes = [size for size, _, _ in axes]
    offset = part.__array_interface__["data"][0] - whole.__array_interface__["data"][0]
    start = _steps(offset, axes)
    steps = [_steps(stride if size > 1 else 0, axes) for size, stride in zip(part.shape, part.strides)]
    if start is None or None in steps:
        return None
    if any(size > 1 and not any(step) for size, step in zip(part.shape, steps)):
        return None
    # Memory within bounds is not enough: no axis of `whole` may be left at one end and entered at the other.
    for n, size in enumerate(sizes):
        ways = [(extent - 1) * step[n] for extent, step in zip(part.shape, steps)]
        if start[n] + sum(min(way, 0) for way in ways) < 0 or start[n] + sum(max(way, 0) for way in ways) >= size:
            return None
    place = lambda step: sum(count * logical for count, (_, _, logical) in zip(step, axes))  # noqa: E731
    return Layout(tuple(whole.shape), place(start), tuple(map(place, steps)))


def bits(dtype: np.dtype) -> np.dtype:
    """A dtype; bfloat16, which NumPy does not have itself, is that of its bits."""
    return np.dtype(np.uint16) if dtype.name == "bfloat16" else dtype


def _bounds(array: np.ndarray) -> tuple[int, int]:
    return np.lib.array_utils.byte_bounds(array)


def _axes(whole: np.ndarray) -> list[tuple[int, int, int]] | None:
    """(size, bytes from element to element, places from element to element) of the axes of an array, those
    that lie together as one, the widest step first; None if elements share memory or stand backwards."""
    axes: list[tuple[int, int, int]] = []
    for n, (size, stride) in enumerate(zip(whole.shape, whole.strides)):
        if size == 1:
            continue
        logical = math.prod(whole.shape[n + 1:])
        if axes and axes[-1][1] == size * stride:
            axes[-1] = (axes[-1][0] * size, stride, logical)
        else:
            axes.append((size, stride, logical))
    axes.sort(key=lambda axis: -axis[1])
    least = whole.itemsize
    for size, stride, _ in reversed(axes):
        if stride < least:
            return None
        least = size * stride
    return axes


def _steps(distance: int, axes) -> tuple[int, ...] | None:
    """Whole steps along each axis that are `distance` bytes in all."""
    steps = []
    for _, stride, _ in axes:
        count = int(math.copysign(abs(distance) // stride, distance))
        distance -= count * stride
        steps.append(count)
    return None if distance else tuple(steps)
