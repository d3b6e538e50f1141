"""embedding: rows of a table; ids outside of it, of which the fixture has many, give rows of zeros."""

from __future__ import annotations

import numpy as np

from ...graph import Input
from ..drawing import Draws, chain, checked, complete, weight_seed
from ..facts import Facts, Model
from ..network import Network, Weights


def network(facts: Facts, model: Model) -> Network:
    step = ("embedding", "embedding", embedding(model["vocab_size"], model["embed_dim"]))
    return Network(model.id, facts.kind, (Input("x", "int64", ["batch", model["seq_len"]]),),
                   chain(step), ("y",))


def embedding(vocabulary: int, dim: int) -> dict:
    """Parameters of Loom's embedding."""
    return {"vocab_size": vocabulary, "embedding_dim": dim, "outside": "zero", "wrap": False}


def weights(facts: Facts, model: Model) -> Weights | None:
    table = Draws(weight_seed(model))(model["vocab_size"], model["embed_dim"])
    checked(model, {"table": table})
    return complete(network(facts, model), {"embedding.table": table},
                    model["derived"]["flat_weight_count"])


def inputs(facts: Facts, model: Model, fixture: dict, part: str) -> dict:
    ids = fixture[f"x_{part}"][:, :model["seq_len"]]
    return {"x": np.ascontiguousarray(ids, np.int64)}
