"""Sizes of tensors while a Keras model is walked: integers, names ("batch") and expressions.

A size that cannot be said (the broadcast of two different names) is None.
"""

from __future__ import annotations

import math


def broadcast(*shapes) -> tuple:
    """The shape of NumPy broadcasting; of a name and a size above 1 the size is the answer."""
    rank = max(len(shape) for shape in shapes)
    wide = [(1,) * (rank - len(shape)) + tuple(shape) for shape in shapes]
    return tuple(_joint(sizes) for sizes in zip(*wide))


def _joint(sizes):
    kinds = {size for size in sizes if size != 1}
    if not kinds:
        return 1
    fixed = [size for size in kinds if isinstance(size, int)]
    if fixed:
        return fixed[0]
    return kinds.pop() if len(kinds) == 1 else None


def concat(shapes, axis: int) -> tuple:
    """The shape of tensors joined along `axis`."""
    joined = list(shapes[0])
    sizes = [shape[axis] for shape in shapes]
    if all(isinstance(size, int) for size in sizes):
        joined[axis] = sum(sizes)
    else:
        joined[axis] = None if None in sizes else "(" + "+".join(str(size) for size in sizes) + ")"
    return tuple(joined)


def reshape(shape, target) -> tuple | None:
    """`target` with its one open size (-1 or None) worked out of `shape`, or None.

    Names cancel: (batch, 4, 6) to (-1, 24) is (batch, 24).
    """
    target = [None if size == -1 else size for size in target]
    if target.count(None) == 0:
        return tuple(target)
    if target.count(None) > 1 or None in shape:
        return None
    at = target.index(None)
    target[at] = quotient(shape, target[:at] + target[at + 1:])
    return None if target[at] is None else tuple(target)


def quotient(over, under) -> int | str | None:
    """The product of the sizes `over` divided by that of `under`, which must divide it."""
    names = [size for size in over if isinstance(size, str)]
    rest = []
    for size in under:
        if isinstance(size, str) and size in names:
            names.remove(size)
        elif isinstance(size, str):
            rest.append(size)
    top = math.prod(size for size in over if isinstance(size, int))
    bottom = math.prod(size for size in under if isinstance(size, int))
    if bottom == 0:
        return None
    common = math.gcd(top, bottom)
    top, bottom = _product(top // common, names), _product(bottom // common, rest)
    if bottom == 1:
        return top
    return None if isinstance(top, int) and isinstance(bottom, int) else f"({top})//({bottom})"


def windows(size, kernel: int, stride: int, dilation: int, low: int, high: int):
    """How often a window finds place on an axis with zeros before and behind it."""
    rest = low + high - (kernel - 1) * dilation - 1
    if size is None:
        return None
    if isinstance(size, int):
        return (size + rest) // stride + 1
    if stride == 1:
        return plus(size, rest + 1)
    return f"({plus(size, rest)}//{stride}+1)"


def plus(size, number: int):
    """A size and an integer, which may be negative."""
    if size is None or isinstance(size, int):
        return None if size is None else size + number
    return f"({size}{number:+d})" if number else size


def product(sizes) -> int | str | None:
    """The product of sizes, as an integer if all are."""
    return None if None in sizes else quotient(sizes, [])


def _product(number: int, names: list[str]) -> int | str:
    if not names:
        return number
    return "*".join(([str(number)] if number != 1 else []) + names)
