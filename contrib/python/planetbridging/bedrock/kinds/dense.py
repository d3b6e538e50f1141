"""dense: linear layers, each with its activation."""

from __future__ import annotations

from ...graph import Input
from ..drawing import chain, leading
from ..facts import Facts, Model
from ..network import Network, Weights


def network(facts: Facts, model: Model) -> Network:
    steps, width = [], model["input_dim"]
    for n, row in enumerate(model["layers"]):
        steps.append((f"dense{n}", "dense", {"in_features": width, "out_features": row["units"],
                                             "bias": row["bias"]}))
        steps.append((f"act{n}", row["activation"], {}))
        width = row["units"]
    return Network(model.id, facts.kind, (Input("x", "float32", ["batch", model["input_dim"]]),),
                   chain(*steps), ("y",))


def weights(facts: Facts, model: Model) -> Weights | None:
    return None


def inputs(facts: Facts, model: Model, fixture: dict, part: str) -> dict:
    return {"x": leading(fixture[f"x_{part}"], model["input_dim"])}
