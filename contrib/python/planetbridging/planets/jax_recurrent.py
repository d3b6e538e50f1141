"""The recurrent layers of Flax as nodes: gates, states, directions, and samples of unequal lengths.

Flax's `seq_lengths` does two things.  A reversed layer sees each sample from its own last step on,
which is a gather around the node.  And the returned carry is that of each sample's last step, which
is what a node with lengths keeps; its outputs behind that step differ, so it stands beside the node
of the outputs, on the same weights.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .jax_sizes import size
from .jax_values import Value, straight

GATES = {"lstm": "ifgo", "gru": "rzn"}
STATES = {"lstm": ["h_n", "c_n"], "gru": ["h_n"], "rnn": ["h_n"]}


def _fused_gates(slots, op: str) -> None:
    """nnx.OptimizedLSTMCell and nnx.GRUCell: the gates side by side in two kernels.

    The one bias is the LSTM's recurrent one, the GRU's of the inputs.
    """
    hidden = slots.array("dense_h.kernel").shape[0]
    bias = "dense_h.bias" if op == "lstm" else "dense_i.bias"
    for n, gate in enumerate(GATES[op]):
        part = slice(n * hidden, (n + 1) * hidden)
        slots.fill(f"W_{gate}", "dense_i.kernel", "ih", part)
        slots.fill(f"U_{gate}", "dense_h.kernel", "uh", part)
        if slots.has(bias):
            slots.fill(f"b_{gate}", bias, "h", part)


def _gates(slots) -> None:
    for gate in GATES["lstm"]:
        slots.fill(f"W_{gate}", f"i{gate}.kernel", "ih")
        slots.fill(f"U_{gate}", f"h{gate}.kernel", "uh")
        slots.fill(f"b_{gate}", f"h{gate}.bias", "h")


def _linen_gru(slots) -> None:
    """Biases of the inputs, and one in the recurrent part of n alone; the others of that are 0."""
    for gate in GATES["gru"]:
        slots.fill(f"W_{gate}", f"i{gate}.kernel", "ih")
        slots.fill(f"U_{gate}", f"h{gate}.kernel", "uh")
        slots.fill(f"b_{gate}", f"i{gate}.bias", "h")
    for gate in GATES["gru"]:
        role = f"h{gate}.bias"
        if slots.has(role):
            slots.fill(f"b2_{gate}", role, "h")
        else:
            slots.put(f"b2_{gate}", np.zeros_like(slots.array("hn.bias")), "h")


def _weights(slots, op: str) -> int:
    """Fill the slots; the number of biases."""
    if op == "rnn":
        slots.fill("W", "i.kernel", "ih")
        slots.fill("U", "h.kernel", "uh")
        slots.fill("b", "i.bias", "h")
        return 1
    if slots.has("dense_i.kernel"):
        _fused_gates(slots, op)
        return 1 if slots.has("dense_h.bias") or slots.has("dense_i.bias") else 0
    if op == "lstm":
        _gates(slots)
        return 1
    _linen_gru(slots)
    return 2


def _state(slots, role: str) -> str | None:
    """An initial state; one that is zero for any size is none."""
    if role not in slots.data or slots.walk.sized.is_zero(slots.data[role]):
        return None
    return slots.tensor_in(role)


def recurrent(slots, layer, shapes) -> list:
    """The results of the layer: the carry (of an LSTM c, h), if it is returned, then y."""
    call = _Call(slots, layer, shapes)
    x = call.input()
    states = [_state(slots, role) for role in (("h0", "c0") if layer.op == "lstm" else ("h0",))]
    biases = _weights(slots, layer.op)
    params = {"input_size": slots.data["x"].aval.shape[-1], "hidden_size": shapes[-1][-1],
              "biases": biases, **call.direction()}
    if layer.op == "rnn":
        params["activation"] = layer.settings["activation"]
    if layer.op == "gru":
        params["reset_after"] = True
    carry = slots.step.outputs[:-1] if layer.settings["carry"] else []
    used = any(map(slots.walk.used, carry))
    name, found = call.node([x, *states], params, used and not call.lengths)
    if used and call.lengths:
        found = call.last_states([x, *states], params)
    made = [Value.plain(found[state], shape) if found else None
            for state, shape in zip(reversed(STATES[layer.op]), shapes)] if carry else []
    return [*made, call.output(name)]


@dataclass
class _Call:
    """One call of a recurrent layer."""

    slots: object
    layer: object
    shapes: list

    def __post_init__(self):
        s = self.layer.settings
        self.walk, self.step, self.data = self.slots.walk, self.slots.step, self.slots.data
        self.lengths = "lengths" in self.data
        self.turns = self.lengths and s["reverse"]
        self.rank = len(self.shapes[-1])
        self._places = None

    def direction(self) -> dict:
        """The direction and the order of the outputs; what turns around lengths runs forward."""
        s = self.layer.settings
        backward = s["reverse"] and not self.turns
        return {"direction": "backward" if backward else "forward",
                "order": "reversed" if backward and not s["keep_order"] else "time"}

    def _order(self) -> tuple:
        """The order of axes [batch..., step, feature] in the network's."""
        if not self.layer.settings["time_major"]:
            return straight(self.rank)
        return (*range(1, self.rank - 1), 0, self.rank - 1)

    def input(self) -> str:
        name = self.slots.tensor_in("x", self._order())
        return self._turned(name, self.data["x"].aval.shape) if self.turns else name

    def output(self, name: str) -> Value:
        shape = self.shapes[-1]
        if self.turns and self.layer.settings["keep_order"]:
            name = self._turned(name, shape)
        return Value(tuple(shape), {self._order(): name})

    def _turned(self, x: str, shape) -> str:
        """Each sample's own steps the other way round, what follows them around the end."""
        b, wanted = self.walk.builder, f"{self.slots.name}.turned"
        shape = [size(shape[axis]) for axis in self._order()]
        if self._places is None:
            self._places = self._turned_places(shape[-2])
        wide = b.node(f"{wanted}.places", "expand", [self._places], {"shape": shape})
        return b.node(wanted, "gather_elements", [x, wide], {"axis": self.rank - 2})

    def _turned_places(self, steps) -> str:
        """int64 [batch..., steps, 1]: (steps - 1 - step + length) modulo steps, as Flax has it."""
        b, wanted = self.walk.builder, f"{self.slots.name}.turned"
        lengths = self._length_tensor()
        count = b.node(f"{wanted}.steps", "size", [], {"of": [steps]})
        step = b.node(f"{wanted}.step", "arange", [], {"start": [0], "stop": [steps], "step": 1})
        last = b.node(f"{wanted}.last", "sub", [count, b.constant(f"{wanted}.one", np.int64(1))])
        column = b.node(f"{wanted}.lengths", "unsqueeze", [lengths], {"axes": [self.rank - 2]})
        back = b.node(f"{wanted}.back", "sub", [last, step])
        place = b.node(f"{wanted}.place", "add", [back, column])
        inside = b.node(f"{wanted}.inside", "remainder", [place, count])
        return b.node(f"{wanted}.column", "unsqueeze", [inside], {"axes": [self.rank - 1]})

    def _length_tensor(self) -> str:
        shape = self.shapes[-1]
        batch = [shape[axis] for axis in self._order()[:-2]]
        value = self.walk.value(self.data["lengths"], self.step)
        value = value if tuple(value.shape) == tuple(batch) else \
            self.walk.expanded(value, self.step, batch)
        return self.walk.laid(value, self.step, straight(len(batch)))

    def node(self, inputs: list, params: dict, used: bool) -> tuple[str, dict]:
        """The node, and the tensors of its last states by name if they are used."""
        states, outputs, name = STATES[self.layer.op], (), self.slots.name
        while inputs[-1] is None:
            inputs = inputs[:-1]
        if used:
            outputs = (name, *(self.walk.builder.unique(f"{name}.{s}") for s in states))
        self.slots.node(self.layer.op, inputs, params, outputs)
        return name, dict(zip(states, outputs[1:]))

    def last_states(self, inputs: list, params: dict) -> dict:
        """The states of each sample's last step: a second node, on weights that are tied."""
        b, op = self.walk.builder, self.layer.op
        name = b.unique(f"{self.slots.name}.lengths")
        states = [b.unique(f"{name}.{s}") for s in STATES[op]]
        outputs = (b.unique(f"{name}.y"), *states)
        lengths = self._length_tensor()
        ties = [type(t)(t.slot, same=t.same or f"{self.slots.name}.{t.slot}")
                for t in self.slots.tensors]
        self.walk.layer(name, op, [*inputs, lengths], params, ties, outputs)
        return dict(zip(STATES[op], states))
