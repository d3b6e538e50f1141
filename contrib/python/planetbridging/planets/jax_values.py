"""Tensors of the graph as the walk of a traced network sees them, in one layout or several.

Flax keeps channels last, the stream channels first.  A value knows every tensor that holds it, each
in its own order of axes; transposing is put off until an operation needs an order that no tensor
has yet, so that the transposes around layers that follow each other never come to be.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

Order = tuple[int, ...]


@dataclass
class Value:
    """A tensor of the network.

    `shape` is its own, in the network's order of axes; the jaxpr may see it spread over a larger
    one, which only operations that broadcast can take.  `tensors` has the graph's tensors by the
    order of their axes: axis i of one is axis order[i] of the value.  A constant is its `array`
    (of the weight `source`) until an operation needs it in some order; `key` says which it is.
    """

    shape: tuple
    tensors: dict[Order, str]
    array: np.ndarray | None = None
    source: str = ""
    key: object = None

    @classmethod
    def plain(cls, name: str, shape) -> "Value":
        return cls(tuple(shape), {straight(len(shape)): name})

    @classmethod
    def held(cls, array: np.ndarray, source: str, key) -> "Value":
        return cls(array.shape, {}, array, source, key)

    def transposed(self, axes) -> "Value":
        """The value whose axis i is this one's axis axes[i]: the same tensors, seen otherwise."""
        if self.array is not None:
            return Value.held(self.array.transpose(axes), self.source, (self.key, tuple(axes)))
        back = [tuple(axes).index(axis) for axis in range(len(axes))]
        return Value(tuple(self.shape[a] for a in axes),
                     {tuple(back[a] for a in order): name for order, name in self.tensors.items()})

    def reshaped(self, shape) -> "Value":
        """A constant in another shape, all of whose sizes are numbers."""
        return Value.held(self.array.reshape(shape), self.source, (self.key, "shape", tuple(shape)))

    def any_order(self) -> Order:
        """An order in which there is a tensor, the network's own if that is one."""
        plain = straight(len(self.shape))
        return plain if self.has(plain) else next(iter(self.tensors))

    def has(self, order: Order) -> bool:
        """Whether a tensor in this order costs no transpose."""
        return self.array is not None or order in self.tensors


def straight(rank: int) -> Order:
    return tuple(range(rank))


def channels_first(rank: int, spatial: int) -> Order:
    """[..., spatial..., channel] as [..., channel, spatial...]."""
    lead = rank - spatial - 1
    return (*range(lead), rank - 1, *range(lead, rank - 1))


def last(rank: int, axes) -> Order:
    """The axes `axes` behind all others."""
    return (*[a for a in range(rank) if a not in axes], *axes)


def step_between(old: Order, new: Order) -> list[int]:
    """The permutation that makes a tensor of the order `new` of one of the order `old`."""
    return [old.index(axis) for axis in new]
