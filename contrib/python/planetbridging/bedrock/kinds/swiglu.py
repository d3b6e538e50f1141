"""swiglu: a gated pair of dense layers, all with biases."""

from __future__ import annotations

from ...graph import Input
from ..drawing import Draws, chain, checked, complete, leading, weight_seed
from ..facts import Facts, Model
from ..network import Network, Weights

NAMES = {"gate_w": "Wg", "up_w": "Wu", "down_w": "Wd", "gate_b": "bg", "up_b": "bu", "down_b": "bd"}
"""The reference's names of the slots, in the order in which they are drawn."""


def network(facts: Facts, model: Model) -> Network:
    shape = ["batch", model["seq_len"], model["input_dim"]]
    return Network(model.id, facts.kind, (Input("x", "float32", shape),),
                   chain(("swiglu", "swiglu", swiglu(model.row))), ("y",))


def swiglu(row: dict) -> dict:
    """Parameters of Loom's gated layer."""
    return {"in_features": row["input_dim"], "hidden_features": row["intermediate_dim"],
            "activation": "silu", "bias": True}


def weights(facts: Facts, model: Model) -> Weights | None:
    made = drawn(model.row, Draws(weight_seed(model)))
    checked(model, {name: made[slot] for name, slot in NAMES.items()})
    return complete(network(facts, model), {f"swiglu.{slot}": w for slot, w in made.items()},
                    model["derived"]["flat_weight_count"])


def drawn(row: dict, draw: Draws) -> Weights:
    i, m = row["input_dim"], row["intermediate_dim"]
    shapes = ((m, i), (m, i), (i, m), (m,), (m,), (i,))
    return {slot: draw(*shape) for slot, shape in zip(NAMES.values(), shapes)}


def inputs(facts: Facts, model: Model, fixture: dict, part: str) -> dict:
    return {"x": leading(fixture[f"x_{part}"], model["seq_len"], model["input_dim"])}
