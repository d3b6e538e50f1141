"""Tensors of the graph as the walk of a traced network sees them, in one layout or several.

Flax keeps channels last, the stream channels first.  A value knows every tensor that holds it, each
in its own order of axes; transposing is put off until an operation needs an order that no tensor
has yet, so that the transposes around layers that follow each other never come to be.
"""

from __future__ import annotations

from dataclasses import dataclass

Order = tuple[int, ...]


@dataclass
class Value:
    """A tensor of the network.

    `shape` is its own, in the network's order of axes; the jaxpr may see it spread over a larger
    one, which only operations that broadcast can take.  `tensors` has the graph's tensors by the
    order of their axes: axis i of one is axis order[i] of the value.
    """

    shape: tuple
    tensors: dict[Order, str]

    @classmethod
    def plain(cls, name: str, shape) -> "Value":
        return cls(tuple(shape), {straight(len(shape)): name})

    def transposed(self, axes) -> "Value":
        """The value whose axis i is this one's axis axes[i]: the same tensors, seen otherwise."""
        back = [tuple(axes).index(axis) for axis in range(len(axes))]
        return Value(tuple(self.shape[a] for a in axes),
                     {tuple(back[a] for a in order): name for order, name in self.tensors.items()})


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
