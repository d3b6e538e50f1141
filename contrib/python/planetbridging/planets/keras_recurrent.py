"""Recurrent layers of Keras: SimpleRNN, LSTM, RNN over cells of these, and Bidirectional.

A cell's kernels hold its gates side by side, i f c o; they become a slot each.  Without
`return_sequences` a layer's value is the state after the last step, which the node gives by itself.
"""

from __future__ import annotations

from ..graph import Tensor
from .keras_call import Slot, Value

GATES = ("i", "f", "g", "o")


def rows(keras, behind) -> dict:
    """Handlers by class; `behind` gives the class that a function of keras.ops makes."""
    layers = keras.layers
    return {layers.SimpleRNN: recurrent, layers.LSTM: recurrent, layers.RNN: recurrent,
            layers.Bidirectional: bidirectional,
            behind(keras.ops.flip, keras.KerasTensor((None, 2, 3)), 1): flip}


def recurrent(call):
    layer = call.operation
    states = call.argument(1, "initial_state")
    made = run(call, layer, call.args[0], states)
    if made is None:
        return call.broken()
    out, states = made
    return [out, *states] if layer.return_state else out


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
    made = [run(call.part(part, name), part, call.args[0], given, in_time=True)
            for part, name, given in pairs]
    if None in made:
        return call.broken()
    (first, first_states), (second, second_states) = made
    merged = _merge(call, layer.merge_mode, first, second)
    if not layer.return_state:
        return merged
    merged = merged if isinstance(merged, list) else [merged]
    return [*merged, *first_states, *second_states]


def flip(call):
    """Of what a layer made backwards, the order of time: the same node again, in that order.

    Where nobody else wants the other order one node will do (`keep_one_order`).
    """
    x, axis = call.args[0], call.operation.axis
    made = next((n for n in call.tracer.builder.graph.nodes if n.outputs[0] == x.name
                 and n.params.get("order") == "reversed"), None)
    if made is None or axis not in (len(x.shape) - 2, -2):
        return call.refuse("keras.ops.flip of what no layer made backwards")
    builder = call.tracer.builder
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


def run(call, layer, x: Value, states, in_time: bool = False):
    """(value, states) of a layer with one cell or a stack of them; None if it was refused.

    A layer that goes backwards gives its sequence as it made it, or in the order of time.
    """
    cells = getattr(layer.cell, "cells", [layer.cell])
    problem = _problem(call, layer, cells)
    given = _states_by_cell(call, cells, states)
    if problem or isinstance(given, str):
        call.refuse(problem or given)
        return None
    ended = []
    for n, (cell, start) in enumerate(zip(cells, given)):
        last = n == len(cells) - 1
        suffix = "" if last else f".{n}"
        backward = layer.go_backwards and n == 0
        order = "time" if in_time or not backward else "reversed"
        if backward and in_time and len(cells) > 1:
            call.refuse("a stack of cells in a Bidirectional layer")
            return None
        sequence = layer.return_sequences if last else True
        made = _node(call, cell, x, start, sequence, backward, order, suffix)
        x = made[0] if sequence else made[1]
        ended += made[1:]
    return x, ended


def _node(call, cell, x: Value, start, sequence: bool, backward: bool, order: str,
          suffix: str) -> list[Value]:
    """[y, h_n] or [y, h_n, c_n] of one cell along a sequence.

    What the layer returns, the sequence or the last state, has the name without an ending.
    """
    op, params = _OPERATIONS[type(cell).__name__]
    units = int(cell.units)
    whole, state = (*x.shape[:-1], units), (*x.shape[:-2], units)
    ends = ("", ".h_n") if sequence else (".sequence", "")
    outputs = [(suffix + ends[0], whole), (suffix + ends[1], state)]
    outputs += [(suffix + ".c_n", state)] if op == "lstm" else []
    params = {"input_size": x.shape[-1], "hidden_size": units, **params(cell),
              "biases": int(cell.bias is not None),
              "direction": "backward" if backward else "forward", "order": order}
    return call.several(op, [x, *start], outputs, params, _slots(op, cell, units), suffix)


def _slots(op: str, cell, units: int):
    if op == "rnn":
        return [Slot("W", cell.kernel, "ih"), Slot("U", cell.recurrent_kernel, "uh"),
                Slot("b", cell.bias, "h")]
    slots = []
    for n, gate in enumerate(GATES):
        def columns(array, at=n * units):
            return array[..., at:at + units]

        slots += [Slot(f"W_{gate}", cell.kernel, "ih", columns, gate),
                  Slot(f"U_{gate}", cell.recurrent_kernel, "uh", columns, gate),
                  Slot(f"b_{gate}", cell.bias, "h", columns, gate)]
    return slots


def _rnn_params(cell) -> dict:
    return {"activation": cell.activation.__name__}


def _lstm_params(cell) -> dict:
    return {}


_OPERATIONS = {"SimpleRNNCell": ("rnn", _rnn_params), "LSTMCell": ("lstm", _lstm_params)}


def _problem(call, layer, cells) -> str:
    """What keeps a recurrent layer out of the vocabulary."""
    keras = call.tracer.keras
    known = keras.activations
    if layer.stateful:
        return "stateful: it remembers earlier calls"
    for cell in cells:
        name = type(cell).__name__
        if type(cell) not in (keras.layers.SimpleRNNCell, keras.layers.LSTMCell):
            return f"a cell of the class {name}"
        if name == "SimpleRNNCell" and cell.activation not in (known.tanh, known.relu):
            return f"the activation {_named(cell.activation)}; there are tanh and relu"
        if name == "LSTMCell" and (cell.activation, cell.recurrent_activation) != \
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
