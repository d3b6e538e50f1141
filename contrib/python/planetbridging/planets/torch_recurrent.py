"""Nodes for recurrent modules and their cells."""

from __future__ import annotations

from torch import nn

from .. import compositions
from .torch_call import Call


def recurrent(call: Call) -> list:
    """RNN, LSTM, GRU of any depth and both directions: a node for each layer and direction."""
    m = call.module
    if m.proj_size:
        raise call.refused(f"proj_size={m.proj_size}")
    batched = len(call.shape(0)) == 3
    x, turned = call.tensor(0), batched and not m.batch_first and not call.flags["packed"]
    if turned:
        x = call.t.transposed(x, [1, 0, 2], f"{call.name}.batch_first")
    found: list[list[str]] = [[] for _ in states_of(m)]
    for layer in range(m.num_layers):
        ys = []
        for direction in range(1 + m.bidirectional):
            y, *states = one_layer(call, x, layer, direction, turned or call.flags["packed"])
            ys.append(y)
            for so_far, state in zip(found, states):
                so_far.append(state)
        final = layer == m.num_layers - 1 and not turned and not call.flags["packed"]
        x = ys[0] if len(ys) == 1 else call.add("" if final else f".l{layer}_both", "concat", ys,
                                                {"axis": -1})
    if turned:
        x = call.t.builder.node(call.name, "transpose", [x], {"perm": [1, 0, 2]})
    if call.flags["packed"]:
        x = zeroed(call, x)
    return [x] + [final_state(call, n, states) for n, states in enumerate(found)]


def zeroed(call: Call, y: str) -> str:
    """y [batch, length, width] with zeros from each sample's length on, as torch pads it."""
    b, name, length = call.t.builder, call.name, call.t.shape(call.args[0])[1]
    lengths = b.node(f"{name}.lengths", "unsqueeze", [call.tensor(len(call.args) - 1)],
                     {"axes": [1, 2]})
    steps = b.node(f"{name}.steps", "unsqueeze", [compositions.arange(b, f"{name}.arange", length)],
                   {"axes": [1]})
    inside = b.node(f"{name}.inside", "less", [steps, lengths])
    return b.node(name, "where", [inside, y, compositions.number(b, name, 0)])


def states_of(module) -> tuple[str, ...]:
    """What a recurrent module carries from step to step."""
    return ("h", "c") if isinstance(module, (nn.LSTM, nn.LSTMCell)) else ("h",)


def one_layer(call: Call, x: str, layer: int, direction: int, turned: bool) -> list[str]:
    """A node for one layer in one direction: the names of its outputs."""
    m = call.module
    ending = f"l{layer}" + "_reverse" * direction
    result = layer == m.num_layers - 1 and not m.bidirectional and not turned
    suffix = "" if result else f".{ending}"
    row = layer * (1 + m.bidirectional) + direction
    given = len(call.args) - call.flags["packed"]
    first = [initial_state(call, n, row, ending) for n in range(1, given)]
    if call.flags["packed"]:
        first += [None] * (len(states_of(m)) - len(first)) + [call.tensor(given)]
    size = m.input_size if layer == 0 else m.hidden_size * (1 + m.bidirectional)
    wanted = any(n + 1 in call.used for n in range(len(states_of(m))))
    return recurrent_node(call, suffix, [x, *first], "_" + ending, size, direction, wanted)


def recurrent_node(call: Call, suffix: str, inputs, ending: str, size: int, direction: int,
                   states: bool) -> list[str]:
    """An rnn, lstm or gru node with the weights whose names end so; with its final states if wanted."""
    m, op = call.module, word_of(call.module)
    name = call.t.builder.unique(call.name + suffix)
    params = {"input_size": size, "hidden_size": m.hidden_size, "biases": 2 if m.bias else 0,
              "direction": "backward" if direction else "forward", "order": "time"}
    if op == "rnn":
        params["activation"] = m.nonlinearity
    if op == "gru":
        params["reset_after"] = True
    outputs = [name]
    if states:
        outputs += call.t.builder.reserve([f"{name}.{state}" for state in states_of(m)])
    call.t.builder.put(name, op, inputs, params, call.weights(name, gate_parts(m, op, ending)), outputs)
    return outputs


def word_of(module) -> str:
    """The stream's word for a recurrent module."""
    words = {nn.LSTM: "lstm", nn.LSTMCell: "lstm", nn.GRU: "gru", nn.GRUCell: "gru"}
    return next((word for cls, word in words.items() if isinstance(module, cls)), "rnn")


def gate_parts(m, op: str, ending: str) -> list[tuple]:
    """Where each slot's rows are: torch stacks the gates i, f, g, o of an LSTM, r, z, n of a GRU."""
    gates = {"lstm": "ifgo", "gru": "rzn"}.get(op, ("",))
    names = [("W", "weight_ih", "hi"), ("U", "weight_hh", "hu")]
    first, second = ([("b", "bias_ih", "h")], [("b2", "bias_hh", "h")]) if m.bias else ([], [])

    def part(gate, slot, attribute, axes):
        n = gates.index(gate) * m.hidden_size
        rows = (n, n + m.hidden_size) if gate else (None, None)
        return (f"{slot}_{gate}" if gate else slot, attribute + ending, *rows, axes)
    return ([part(gate, *entry) for gate in gates for entry in names + first]
            + [part(gate, *entry) for gate in gates for entry in second])


def initial_state(call: Call, n: int, row: int, ending: str) -> str:
    """Row `row` of h0 or c0 [layers * directions, batch, h], without that axis."""
    state, shape = call.tensor(n), call.shape(n)
    word = f"{states_of(call.module)[n - 1]}0"
    if shape[0] != 1:
        params = {"axes": [0], "starts": [row], "stops": [row + 1], "steps": [1]}
        state = call.add(f".{ending}.{word}_row", "slice", [state], params)
    return call.reshape(f".{ending}.{word}", state, shape[1:])


def final_state(call: Call, n: int, found: list[str]) -> str | None:
    """h_n or c_n [layers * directions, batch, h], where it is used."""
    if n + 1 not in call.used:
        return None
    shape = call.fx.meta["val"][n + 1].shape
    word = f"{states_of(call.module)[n]}_n"
    if len(found) == 1:
        return call.reshape(f".{word}", found[0], shape)
    rows = [call.reshape(f".{word}.{row}", state, (1, *shape[1:])) for row, state in enumerate(found)]
    return call.add(f".{word}", "concat", rows, {"axis": 0})


def cell(call: Call) -> list:
    """RNNCell, LSTMCell, GRUCell: a sequence of one step, whose final states are the results."""
    shape = call.shape(0)
    x = call.reshape(".step", call.tensor(0), (*shape[:-1], 1, shape[-1]))
    states = [call.tensor(n) for n in range(1, len(call.args))]
    return recurrent_node(call, "", [x, *states], "", call.module.input_size, 0, True)[1:]
