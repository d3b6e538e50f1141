"""mha: causal self-attention with rotary positions, with the framework's own initial weights."""

from __future__ import annotations

from ...graph import Input
from ..drawing import chain, leading
from ..facts import Facts, Model
from ..network import Network, Weights


def network(facts: Facts, model: Model) -> Network:
    shape = ["batch", model["seq_len"], model["d_model"]]
    step = ("mha", "attention", attention(model.row, facts.raw["rope_base"]))
    return Network(model.id, facts.kind, (Input("x", "float32", shape),), chain(step), ("y",))


def attention(row: dict, base: float) -> dict:
    """Parameters of Loom's attention: causal, rotary in halves, four biases."""
    d, e = row["d_model"], row["head_dim"]
    return {"d_model": d, "key_features": d, "value_features": d, "out_features": d,
            "num_heads": row["num_heads"], "num_kv_heads": row["num_kv_heads"], "head_dim": e,
            "value_dim": e, "q_bias": True, "k_bias": True, "v_bias": True, "o_bias": True,
            "causal": True, "rope": "half", "rope_base": base, "scale": None, "mask": "none",
            "fill": "-inf", "empty": "zero"}


def weights(facts: Facts, model: Model) -> Weights | None:
    return None


def inputs(facts: Facts, model: Model, fixture: dict, part: str) -> dict:
    return {"x": leading(fixture[f"x_{part}"], model["seq_len"], model["d_model"])}
