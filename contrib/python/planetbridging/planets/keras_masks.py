"""The masks of Keras, which travel with values by themselves, and layers that skip masked steps.

A value's mask is emitted when something needs it.  A layer takes the masks of its arguments; in the
graph of a Functional model some stand among its arguments already.  `MultiHeadAttention` takes the
masks off the tensors that it is called on: these are lost for what runs later.

A recurrent layer keeps its state where a mask is false, wherever that is.  The kept steps are
brought together at the front (`Packed`), the layer runs on as many as there are, and each step
picks its output from them: that is exact for every mask, one with holes included.
"""

from __future__ import annotations

import inspect
from dataclasses import dataclass, replace

from ..compositions import arange, number
from . import keras_variables
from .keras_call import Value

MASKS = ("mask", "query_mask", "key_mask", "value_mask")
"""Arguments of Keras's layers that are masks of other arguments."""


def are_lost(walk, node) -> bool:
    """Whether what a call makes has no mask when it runs, whatever stands in the graph.

    Attention passes on the mask of its query; what joins several values needs all their masks.
    """
    inputs = [walk.values[id(t)] for t in node.input_tensors if id(t) in walk.values]
    if type(node.operation).__name__ == "MultiHeadAttention":
        inputs = inputs[:1]
    return any(value.lost for value in inputs if value.mask)


def attach(tracer, walk, node, made: list[Value], lost: bool) -> list[Value]:
    """The values of a call with the masks that Keras attached to them."""
    found = []
    for tensor, value in zip(node.output_tensors, made):
        mask = getattr(tensor, "_keras_mask", None)
        if mask is not None and value.mask is None:
            value = replace(value, mask=_later(tracer, walk, mask), lost=lost)
        elif mask is None and value.mask is not None:
            value = replace(value, mask=None, lost=False)
        found.append(value)
    return found


def _later(tracer, walk, mask):
    """A function that gives the value of a symbolic mask, and emits it the first time."""
    def give() -> Value:
        if id(mask) not in walk.values:
            graph = keras_variables.function(tracer.keras, walk.graph._inputs, mask)
            tracer.steps(walk, graph)
        return walk.values[id(mask)]
    return give


def without_lost(keras, known: dict, args, kwargs: dict) -> dict:
    """The arguments of a call without masks that it would not find when it runs."""
    tensors = [t for t in keras.tree.flatten([args, kwargs]) if isinstance(t, keras.KerasTensor)]
    lost = {id(t._keras_mask) for t in tensors
            if getattr(t, "_keras_mask", None) is not None and known[id(t)].lost}

    def kept(item):
        return None if id(item) in lost else item

    return {key: keras.tree.map_structure(kept, item) if key in MASKS and item is not None else item
            for key, item in kwargs.items()}


def populate(call) -> None:
    """Give the call of a layer the masks of its arguments, as Keras does where it was told none."""
    keras, kwargs = call.tracer.keras, call.kwargs
    names = list(inspect.signature(call.operation.call).parameters)
    tensors = {name: item for name, item in [*zip(names, call.args), *kwargs.items()]
               if name not in MASKS and _all_values(keras, item)}
    wanted = {"mask": item for item in tensors.values()} if len(tensors) == 1 else \
        {f"{name}_mask": item for name, item in tensors.items()}
    for name, item in wanted.items():
        if name in names and kwargs.get(name) is None:
            masks = keras.tree.map_structure(
                lambda v: v.mask() if v.mask and not v.lost else None, item)
            if any(mask is not None for mask in keras.tree.flatten(masks)):
                kwargs[name] = masks


def _all_values(keras, item) -> bool:
    flat = keras.tree.flatten(item)
    return bool(flat) and all(isinstance(leaf, Value) for leaf in flat)


def given(keras, values: list[Value], kwargs: dict) -> list[Value]:
    """Values for the inputs of a nested model, with the masks that its call says."""
    masks = keras.tree.flatten(kwargs.get("mask"))
    if len(masks) != len(values):
        return [replace(value, mask=None) if value.lost else value for value in values]
    return [replace(value, lost=False, mask=mask and (lambda mask=mask: mask))
            for value, mask in zip(values, masks)]


@dataclass(frozen=True)
class Packed:
    """How the kept steps of a mask [b, s] stand at the front of a sequence.

    `source` [b, s]: for each place in front the step that it holds; `lengths` [b]: how many are
    kept; `before` [b, s]: how many kept steps a step has before it, itself included in `upto`.
    """

    mask: Value
    source: Value
    lengths: Value
    before: Value
    upto: Value


def packed(call, mask: Value) -> Packed:
    """The places of a mask's steps, emitted once for each mask."""
    known = call.tracer.packed
    if mask.name not in known:
        known[mask.name] = _pack(call, mask)
    return known[mask.name]


def _pack(call, mask: Value) -> Packed:
    builder, shape, name = call.tracer.builder, mask.shape, f"{call.path}.mask"
    steps = shape[1]

    def node(end, op, inputs, params=None, like=shape):
        made = builder.node(f"{name}.{end}", op, [getattr(v, "name", v) for v in inputs], params)
        return Value(made, tuple(like), "int64", mask.broken)

    ones = node("steps", "cast", [mask], {"to": "int64"})
    upto = node("upto", "cumsum", [ones], {"axis": 1})
    before = node("before", "sub", [upto, ones])
    lengths = node("lengths", "sum", [ones], {"axes": [1], "keepdims": False}, shape[:1])
    row = node("row", "unsqueeze", [upto], {"axes": [1]}, (shape[0], 1, steps))
    place = node("place", "unsqueeze", [arange(builder, f"{name}.places", steps)], {"axes": [1]},
                 (steps, 1))
    earlier = node("earlier", "less_equal", [row, place], None, (shape[0], steps, steps))
    counted = node("counted", "cast", [earlier], {"to": "int64"}, earlier.shape)
    source = node("found", "sum", [counted], {"axes": [2], "keepdims": False})
    last = number(builder, name, steps - 1, "int64") if isinstance(steps, int) else \
        builder.node(f"{name}.last", "size", [], {"of": [f"{steps}-1"]})
    return Packed(mask, node("source", "minimum", [source, last]), lengths, before, upto)


def to_front(call, x: Value, pack: Packed, suffix: str = ".kept") -> Value:
    """x [b, s, i] with its kept steps in front."""
    return _pick(call, x, pack.source, suffix)


def _pick(call, x: Value, index: Value, suffix: str) -> Value:
    """x[b, index[b, s], i]"""
    wide = [*index.shape, x.shape[-1]]
    index = call.node("unsqueeze", [index], (*index.shape, 1), {"axes": [2]}, suffix + ".index")
    index = call.node("expand", [index], wide, {"shape": wide}, suffix + ".wide")
    return call.node("gather_elements", [x, index], wide, {"axis": 1}, suffix)


def to_steps(call, y: Value, pack: Packed, backward: bool, zero: bool, suffix: str = "") -> Value:
    """What each step gives, of what the kept steps gave: its own, or the last one before it.

    A masked step gives 0 with `zero`; one that no kept step precedes gives 0 always.
    """
    end = suffix + ".at"
    if backward:  # "before" in the order in which the layer goes
        last = call.node("sub", [pack.lengths, call.value(1, "int64")], pack.lengths.shape, None,
                         end + ".last")
        last = call.node("unsqueeze", [last], (y.shape[0], 1), {"axes": [1]}, end + ".column")
        at = call.node("minimum", [pack.before, last], pack.before.shape, None, end + ".least")
        some = call.node("less_equal", [pack.before, last], at.shape, None, end + ".some", "bool")
    else:
        at = call.node("sub", [pack.upto, call.value(1, "int64")], pack.upto.shape, None,
                       end + ".upto")
        some = call.node("greater_equal", [at, call.value(0, "int64")], at.shape, None,
                         end + ".some", "bool")
    at = call.node("maximum", [at, call.value(0, "int64")], at.shape, None, end)
    made = _pick(call, y, at, suffix + ".spread")
    seen = pack.mask if zero else some
    column = call.node("unsqueeze", [seen], (*seen.shape, 1), {"axes": [2]}, suffix + ".seen")
    zeros = call.value(0.0, y.dtype)
    return call.node("where", [column, made, zeros], made.shape, None, suffix, y.dtype)
