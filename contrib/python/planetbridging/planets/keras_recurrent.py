"""Recurrent layers of Keras: SimpleRNN, LSTM, GRU, RNN over cells of these, and Bidirectional.

A cell's kernels hold its gates side by side, i f c o or z r h; they become a slot each.  Without
`return_sequences` a layer's value is the state after the last step, which the node gives by itself.
Masked steps are skipped as `keras_masks.py` says.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from .. import compositions
from ..graph import Tensor
from . import keras_masks
from .keras_call import Slot, Value, any_dtype, takes_mask
from .keras_products import to_shape

def rows(keras) -> dict:
    """Handlers by the class of a layer."""
    layers = keras.layers
    return {layers.SimpleRNN: recurrent, layers.LSTM: recurrent, layers.GRU: recurrent,
            layers.RNN: recurrent, layers.Bidirectional: bidirectional,
            layers.TimeDistributed: time_distributed}


def operations(keras) -> dict:
    """Handlers by the name of an operation's class."""
    return {"Flip": flip}


@takes_mask
def recurrent(call):
    layer = call.operation
    made = run(call, layer, call.args[0], call.argument(1, "initial_state"), _mask(call))
    if made is None:
        return call.broken()
    out, states = made
    return [out, *states] if layer.return_state else out


def _mask(call):
    """The mask of a call; a list of them has the one for the sequence in front."""
    mask = call.kwargs.get("mask")
    return mask[0] if isinstance(mask, (list, tuple)) else mask


@takes_mask
def bidirectional(call):
    """Two nodes, the second from the end to the beginning but in the order of time."""
    layer = call.operation
    forward, backward = layer.forward_layer, layer.backward_layer
    if forward.go_backwards:
        return call.refuse("a forward layer that goes backwards")
    states = call.argument(1, "initial_state")
    half = None if states is None else len(states) // 2
    pairs = [(forward, "forward", states and states[:half]),
             (backward, "backward", states and states[half:])]
    made = [run(call.part(part, name), part, call.args[0], given, _mask(call), in_time=True)
            for part, name, given in pairs]
    if None in made:
        return call.broken()
    (first, first_states), (second, second_states) = made
    merged = _merge(call, layer.merge_mode, first, second)
    if not layer.return_state:
        return merged
    merged = merged if isinstance(merged, list) else [merged]
    return [*merged, *first_states, *second_states]


@takes_mask
@any_dtype
def time_distributed(call):
    """The layer on every step: on all of them as one batch."""
    layer, x = call.operation.layer, call.args[0]
    if call.kwargs.get("mask") is not None and layer._call_has_mask_arg:
        return call.refuse("a mask for the layer inside")
    if getattr(layer, "stateful", False):
        return call.refuse("a layer inside that remembers earlier calls")
    batch, steps = x.shape[:2]
    whole = (compositions.times(batch, steps), *x.shape[2:])
    flat = to_shape(call, replace(x, mask=None), whole, ".steps")
    if flat.broken:
        return call.broken()
    made = call.tracer.expand(lambda v: layer(v), [flat], {}, call.path)
    if not isinstance(made, Value):
        return call.broken() if made is None else call.refuse("a layer inside with several outputs")
    return to_shape(call, made, (batch, steps, *made.shape[1:]))


@any_dtype
def flip(call):
    """Of what a layer made backwards, the order of time: the same node again, in that order.

    Where nobody else wants the other order one node will do (`keep_one_order`).
    """
    x, axis = call.args[0], call.operation.axis
    rank, builder = len(x.shape), call.tracer.builder
    axes = range(rank) if axis is None else [axis] if isinstance(axis, int) else axis
    axes = [a % rank for a in axes]
    made = next((n for n in builder.graph.nodes if n.outputs[0] == x.name
                 and n.params.get("order") == "reversed"), None)
    if made is None or axes != [rank - 2]:
        return call.made(compositions.flip(builder, call.path, x.name, axes, list(x.shape)), [x],
                         x.shape)
    name = builder.unique(call.path)
    outputs = [name, *(builder.unique(f"{name}{end}")
                       for end in (".h_n", ".c_n")[:len(made.outputs) - 1])]
    tensors = [Tensor(t.slot, same=t.same or f"{made.name}.{t.slot}") for t in made.tensors]
    builder.put(name, made.op, made.inputs, {**made.params, "order": "time"}, tensors, outputs)
    call.tracer.flips.append((made, builder.graph.nodes[-1]))
    return Value(name, x.shape, x.dtype, x.broken)


def keep_one_order(graph, flips, outputs) -> None:
    """Of each pair of nodes that differ in order alone, drop the second where nobody wants the
    first's sequence: the first makes it in the order of time then."""
    for made, again in flips:
        wanted = {name for node in graph.nodes for name in node.inputs} | set(outputs)
        if made.outputs[0] not in wanted:
            made.params = again.params
            made.outputs[0] = again.outputs[0]
            graph.nodes.remove(again)


def _merge(call, mode: str | None, first: Value, second: Value):
    if mode is None:
        return [first, second]
    if mode == "concat":
        shape = (*first.shape[:-1], first.shape[-1] + second.shape[-1])
        return call.node("concat", [first, second], shape, {"axis": -1})
    if mode == "ave":
        return call.binary("div", call.binary("add", first, second, ".sum"), 2.0)
    return call.binary({"sum": "add", "mul": "mul"}[mode], first, second)


@dataclass(frozen=True)
class Way:
    """How a layer goes along its sequence: backwards or not, in which order it gives what it made,
    which steps it keeps, and whether the others give zeros."""

    backward: bool
    order: str
    pack: keras_masks.Packed | None = None
    zero: bool = False


def run(call, layer, x: Value, states, mask=None, in_time: bool = False):
    """(value, states) of a layer with one cell or a stack of them; None if it was refused.

    A layer that goes backwards gives its sequence as it made it, or in the order of time.
    """
    cells = getattr(layer.cell, "cells", [layer.cell])
    problem = _problem(call, layer, cells, mask)
    given = _states_by_cell(call, cells, states)
    if problem or isinstance(given, str):
        call.refuse(problem or given)
        return None
    order = "time" if in_time or not layer.go_backwards else "reversed"
    way = Way(layer.go_backwards, order)
    if mask is not None:
        pack = keras_masks.packed(call, call.value(mask, "bool"))
        way = Way(layer.go_backwards, order, pack, bool(layer.zero_output_for_mask))
        x = keras_masks.to_front(call, x, pack)
    return _along(call, layer, cells, x, given, way)


def _along(call, layer, cells, x: Value, given, way: Way):
    """Each cell along what the one before it made; (value, states)."""
    ended, sequences = [], layer.return_sequences
    for n, (cell, start) in enumerate(zip(cells, given)):
        last = n == len(cells) - 1
        sequence = sequences if last else True
        # Where the first cell turns the order, the others go along what it made.
        plain = way.order == "reversed" and n > 0 and way.pack is None
        made = _node(call, cell, x, start, sequence, Way(False, "time") if plain else way,
                     _suffix(way, n, last, sequences or bool(start)))
        x = made[0] if sequence else made[1]
        ended += made[1:]
    if way.pack is None:
        return x, ended
    return _unpacked(call, x, ended, given, way, sequences), ended


def _suffix(way: Way, n: int, last: bool, more: bool) -> str:
    """What a node's name has behind the layer's: nothing for the one that makes its value."""
    if not last:
        return f".{n}"
    return ".kept_steps" if way.pack is not None and (more or way.zero) else ""


def _unpacked(call, x: Value, ended, given, way: Way, sequences: bool) -> Value:
    """The value of a layer that ran on the kept steps: for all steps, or after the last one.

    After a sequence that has no kept step it is 0, not the state that was given.
    """
    if sequences:
        turned = way.order == "reversed"
        made = keras_masks.to_steps(call, x, way.pack, way.backward, way.zero,
                                    ".time" if turned else "")
        if not turned:
            return made
        name = compositions.flip(call.tracer.builder, call.path, made.name, [1], list(made.shape))
        return call.made(name, [made], made.shape)
    if not way.zero and not given[-1]:
        return x
    seen = _last_step(call, way) if way.zero else _any_step(call, way)
    return call.node("where", [seen, x, call.value(0.0, x.dtype)], x.shape, None, "", x.dtype)


def _last_step(call, way: Way) -> Value:
    """Whether the step that a layer comes to last is kept, [b, 1]."""
    mask = way.pack.mask
    at = 0 if way.backward else compositions.plus(mask.shape[1], -1)
    name = compositions.cut(call.tracer.builder, call.path + ".end", mask.name, 1, at,
                            compositions.plus(at, 1))
    return call.made(name, [mask], (mask.shape[0], 1))


def _any_step(call, way: Way) -> Value:
    """Whether any step is kept, [b, 1]."""
    lengths = way.pack.lengths
    some = call.node("greater", [lengths, call.value(0, "int64")], lengths.shape, None, ".some",
                     "bool")
    return call.node("unsqueeze", [some], (*lengths.shape, 1), {"axes": [1]}, ".any")


def _node(call, cell, x: Value, start, sequence: bool, way: Way, suffix: str) -> list[Value]:
    """[y, h_n] or [y, h_n, c_n] of one cell along a sequence.

    What the layer returns, the sequence or the last state, has the name without an ending.
    """
    op, params, slots = _OPERATIONS[type(cell).__name__]
    units = int(cell.units)
    whole, state = (*x.shape[:-1], units), (*x.shape[:-2], units)
    ends = ("", ".h_n") if sequence else (".sequence", "")
    outputs = [(suffix + ends[0], whole), (suffix + ends[1], state)]
    outputs += [(suffix + ".c_n", state)] if op == "lstm" else []
    params = {"input_size": x.shape[-1], "hidden_size": units, **params(cell),
              "direction": "backward" if way.backward else "forward",
              "order": "time" if way.pack else way.order}
    inputs = [x, *start]
    if way.pack is not None:
        inputs += [None] * (3 if op == "lstm" else 2)
        inputs = [*inputs[:3 if op == "lstm" else 2], way.pack.lengths]
    return call.several(op, inputs, outputs, params, slots(cell, units), suffix)


def _rnn_slots(cell, units: int):
    return [Slot("W", cell.kernel, "ih"), Slot("U", cell.recurrent_kernel, "uh"),
            Slot("b", cell.bias, "h")]


def _gated_slots(order: str, columns_of: str):
    """Slots of the gates in one order, whose columns stand side by side in another."""
    def slots(cell, units: int):
        double = cell.bias is not None and len(cell.bias.shape) == 2
        found = []
        for gate in order:
            def columns(array, row=None, at=columns_of.index(gate) * units):
                return (array if row is None else array[row])[..., at:at + units]

            found += [Slot(f"W_{gate}", cell.kernel, "ih", columns, gate),
                      Slot(f"U_{gate}", cell.recurrent_kernel, "uh", columns, gate)]
            for row, slot in ((0, "b"), (1, "b2")) if double else ((None, "b"),):
                found.append(Slot(f"{slot}_{gate}", cell.bias, "h",
                                  lambda array, take=columns, row=row: take(array, row),
                                  (slot, gate)))
        return sorted(found, key=lambda slot: slot.name.startswith("b2"))  # they stand behind
    return slots


def _biases(cell) -> int:
    return 0 if cell.bias is None else len(cell.bias.shape)


def _rnn_params(cell) -> dict:
    return {"activation": cell.activation.__name__, "biases": _biases(cell)}


def _gru_params(cell) -> dict:
    return {"reset_after": bool(cell.reset_after), "biases": _biases(cell)}


_OPERATIONS = {"SimpleRNNCell": ("rnn", _rnn_params, _rnn_slots),
               "LSTMCell": ("lstm", lambda cell: {"biases": _biases(cell)},
                            _gated_slots("ifgo", "ifgo")),
               "GRUCell": ("gru", _gru_params, _gated_slots("rzn", "zrn"))}


def _problem(call, layer, cells, mask) -> str:
    """What keeps a recurrent layer out of the vocabulary."""
    keras = call.tracer.keras
    known = keras.activations
    if layer.stateful:
        return "stateful: it remembers earlier calls"
    if mask is not None and layer.unroll and layer.go_backwards:
        return "a mask for steps that are unrolled backwards"
    for cell in cells:
        name = type(cell).__name__
        if type(cell) not in (keras.layers.SimpleRNNCell, keras.layers.LSTMCell,
                              keras.layers.GRUCell):
            return f"a cell of the class {name}"
        if name == "SimpleRNNCell" and cell.activation not in (known.tanh, known.relu):
            return f"the activation {_named(cell.activation)}; there are tanh and relu"
        if name != "SimpleRNNCell" and (cell.activation, cell.recurrent_activation) != \
                (known.tanh, known.sigmoid):
            return (f"the activations {_named(cell.activation)} and "
                    f"{_named(cell.recurrent_activation)}; there are tanh and sigmoid")
    return ""


def _named(function) -> str:
    return getattr(function, "__name__", type(function).__name__)


def _states_by_cell(call, cells, states):
    """The initial states of each cell, none by default; or what is wrong with them."""
    if states is None:
        return [[] for _ in cells]
    flat = call.tracer.keras.tree.flatten(states)
    if not all(isinstance(state, Value) for state in flat):
        return "initial states that are no values of the network"
    counts = [2 if type(cell).__name__ == "LSTMCell" else 1 for cell in cells]
    if len(flat) != sum(counts):
        return f"{len(flat)} initial states for {len(cells)} cells"
    return [[flat.pop(0) for _ in range(count)] for count in counts]
