"""Fixtures of sequences: attention, lstm, rnn."""

from __future__ import annotations

from ...graph import Input
from ..network import Layer, Network
from .case import THREE, Case, chain
from .cases import LENGTHS, dense, floats


def attention(d: int, heads: int, width: int, **more) -> dict:
    """Parameters of self-attention without positions, with all biases, unless said otherwise."""
    params = {"d_model": d, "key_features": d, "value_features": d, "out_features": d,
              "num_heads": heads, "num_kv_heads": heads, "head_dim": width, "value_dim": width,
              "q_bias": True, "k_bias": True, "v_bias": True, "o_bias": True, "causal": False,
              "rope": "none", "rope_base": None, "scale": None, "mask": "none", "fill": "-inf",
              "empty": "zero"}
    return params | more


NO_BIAS = {f"{x}_bias": False for x in "qkvo"}


def mha_cases() -> list[Case]:
    def one(name, d, params, planets=(*THREE, "nnx")):
        return Case(chain(name, "mha", floats("s", d), ("y", "attention", params)), LENGTHS, planets)
    return [
        one("causal", 8, attention(8, 2, 4, causal=True)),
        one("no_bias", 12, attention(12, 3, 4, **NO_BIAS)),
        one("half_grouped", 12, attention(12, 4, 4, num_kv_heads=2, causal=True, rope="half",
                                          rope_base=10000.0)),
        one("interleaved", 8, attention(8, 2, 4, rope="interleaved", rope_base=500.0, **NO_BIAS)),
        one("grouped", 16, attention(16, 4, 4, num_kv_heads=2)),
        masked("masked"), added("added"), cross("cross"),
    ]


def masked(name: str) -> Case:
    """A mask of two axes that says who sees whom."""
    inputs = (Input("x", "float32", ["batch", 6, 8]), Input("mask", "bool", [6, 6]))
    layer = Layer("y", "attention", ("x", None, None, "mask"), attention(8, 2, 4, mask="keep"))
    return Case(Network(name, "mha", inputs, (layer,), ("y",)), ({"batch": 3}, {"batch": 5}))


def added(name: str) -> Case:
    """A mask of numbers that are added to the scores, which torch alone has."""
    inputs = (Input("x", "float32", ["batch", 5, 8]), Input("mask", "float32", [5, 5]))
    layer = Layer("y", "attention", ("x", None, None, "mask"), attention(8, 2, 4, mask="add"))
    return Case(Network(name, "mha", inputs, (layer,), ("y",)), ({"batch": 3}, {"batch": 5}), ("pytorch",))


def cross(name: str) -> Case:
    """Keys and values of another length and width than the queries."""
    inputs = (Input("x", "float32", ["batch", "s", 8]), Input("memory", "float32", ["batch", "t", 6]))
    layer = Layer("y", "attention", ("x", "memory"),
                  attention(8, 2, 4, key_features=6, value_features=6))
    runs = ({"batch": 3, "s": 4, "t": 7}, {"batch": 2, "s": 6, "t": 5})
    return Case(Network(name, "mha", inputs, (layer,), ("y",)), runs, (*THREE, "nnx"))


def recurrent(i: int, h: int, biases: int = 1, direction: str = "forward", order: str = "time",
              **more) -> dict:
    return {"input_size": i, "hidden_size": h, "biases": biases, "direction": direction,
            "order": order, **more}


def recurrent_cases(op: str) -> list[Case]:
    """One layer of one bias, a stack of two biases, states in and out, and backward in both orders."""
    more = {"activation": "tanh"} if op == "rnn" else {}
    flax = ("tensorflow", "jax", "nnx")
    cases = [
        Case(chain("forward", op, floats("s", 5), ("y", op, recurrent(5, 4, **more))), LENGTHS,
             (*THREE, "nnx")),
        Case(chain("two_biases", op, floats("s", 4), ("a", op, recurrent(4, 6, 2, **more)),
                   ("b", op, recurrent(6, 6, 2, **more)), ("y", "dense", dense(6, 3))), LENGTHS,
             ("pytorch",)),
        Case(chain("stack", op, floats("s", 3), ("a", op, recurrent(3, 6, **more)),
                   ("b", op, recurrent(6, 6, **more)), ("y", "dense", dense(6, 3))), LENGTHS),
        states(op, more),
        Case(chain("backward", op, floats("s", 4), ("y", op, recurrent(4, 5, 1, "backward", **more))),
             LENGTHS, flax),
        Case(chain("reversed", op, floats("s", 3),
                   ("y", op, recurrent(3, 4, 1, "backward", "reversed", **more))), LENGTHS, flax),
    ]
    if op == "rnn":
        cases.append(Case(chain("relu", op, floats("s", 5), ("y", op, recurrent(5, 3, activation="relu"))),
                          LENGTHS, (*THREE, "nnx")))
    return cases


def states(op: str, more: dict) -> Case:
    """Initial states are inputs, the last ones outputs."""
    names = ("h", "c") if op == "lstm" else ("h",)
    inputs = (Input("x", "float32", ["batch", "s", 4]),
              *(Input(f"{n}0", "float32", ["batch", 5]) for n in names))
    outputs = ("out", *(f"{n}_last" for n in names))
    layer = Layer("cell", op, ("x", *(f"{n}0" for n in names)), recurrent(4, 5, **more), outputs)
    return Case(Network("states", op, inputs, (layer,), outputs), LENGTHS)
