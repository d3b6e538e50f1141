"""residual: the sum of two sequences; there are no weights."""

from __future__ import annotations

from ...graph import Input
from ..drawing import leading
from ..facts import Facts, Model
from ..network import Layer, Network, Weights


def network(facts: Facts, model: Model) -> Network:
    shape = ["batch", model["seq_len"], model["dim"]]
    inputs = tuple(Input(name, "float32", shape) for name in ("main", "skip"))
    return Network(model.id, facts.kind, inputs,
                   (Layer("sum", "add", ("main", "skip"), {}, ("y",)),), ("y",))


def weights(facts: Facts, model: Model) -> Weights | None:
    return {}


def inputs(facts: Facts, model: Model, fixture: dict, part: str) -> dict:
    return {name: leading(fixture[f"x_{name}_{part}"], model["seq_len"], model["dim"])
            for name in ("main", "skip")}
