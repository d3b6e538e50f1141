"""lstm and rnn: one layer over a sequence from zero states, every step's output."""

from __future__ import annotations

import numpy as np

from ...graph import Input
from ..drawing import Draws, chain, checked, complete, leading, weight_seed
from ..facts import Facts, Model
from ..network import GATES, Network, Weights


def network(facts: Facts, model: Model) -> Network:
    shape = ["batch", model["seq_len"], model["input_size"]]
    step = (facts.kind, facts.kind, recurrent(facts.kind, model.row))
    return Network(model.id, facts.kind, (Input("x", "float32", shape),), chain(step), ("y",))


def recurrent(op: str, row: dict) -> dict:
    """Parameters of a forward layer with one bias."""
    params = {"input_size": row["input_size"], "hidden_size": row["hidden_size"], "biases": 1,
              "direction": "forward", "order": "time"}
    return params | ({"activation": "tanh"} if op == "rnn" else {})


def weights(facts: Facts, model: Model) -> Weights | None:
    made = drawn(facts.kind, model.row, Draws(weight_seed(model)))
    checked(model, {"w": made["W"]} if facts.kind == "rnn" else {g: made[f"W_{g}"] for g in GATES})
    return complete(network(facts, model), {f"{facts.kind}.{slot}": w for slot, w in made.items()},
                    model["derived"]["flat_weight_count"])


def drawn(op: str, row: dict, draw: Draws) -> Weights:
    """Slots of one layer: input weights, then recurrent ones, gate after gate; biases are zero."""
    i, h = row["input_size"], row["hidden_size"]
    made = {}
    for gate in ("",) if op == "rnn" else tuple(f"_{g}" for g in GATES):
        made[f"W{gate}"] = draw(h, i)
        made[f"U{gate}"] = draw(h, h)
        made[f"b{gate}"] = np.zeros(h, np.float32)
    return made


def inputs(facts: Facts, model: Model, fixture: dict, part: str) -> dict:
    return {"x": leading(fixture[f"x_{part}"], model["seq_len"], model["input_size"])}
