"""layernorm and rmsnorm: over the last axis of every row."""

from __future__ import annotations

import numpy as np

from ...graph import Input
from ..drawing import Draws, chain, checked, complete, leading, weight_seed
from ..facts import Facts, Model
from ..network import Network, Weights


def network(facts: Facts, model: Model) -> Network:
    shape = ["batch", model["seq_len"], model["dim"]]
    step = (facts.kind, facts.kind, norm(facts.kind, model["dim"], facts.raw["eps"]))
    return Network(model.id, facts.kind, (Input("x", "float32", shape),), chain(step), ("y",))


def norm(op: str, dim: int, eps: float) -> dict:
    """Parameters of a norm with all that it can have."""
    return {"dim": dim, "eps": eps, "scale": True} | ({"offset": True} if op == "layernorm" else {})


def weights(facts: Facts, model: Model) -> Weights | None:
    made = drawn(facts.kind, model["dim"], Draws(weight_seed(model)))
    checked(model, made)
    return complete(network(facts, model), {f"{facts.kind}.{slot}": w for slot, w in made.items()},
                    model["derived"]["flat_weight_count"])


def drawn(op: str, dim: int, draw: Draws) -> Weights:
    """gamma near 1, then beta near 0."""
    made = {"gamma": np.float32(1) + draw(dim)}
    return made | ({"beta": draw(dim)} if op == "layernorm" else {})


def inputs(facts: Facts, model: Model, fixture: dict, part: str) -> dict:
    return {"x": leading(fixture[f"x_{part}"], model["seq_len"], model["dim"])}
