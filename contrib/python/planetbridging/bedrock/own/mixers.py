"""Fixtures of many kinds in a row, with explicit reshapes and skips.

`mixer_v1` has the layers of the reference's mixer_all_v1, `mixer_v2` those of its mixer_all_v2: 16
layers of 12 kinds, with the sum that lets the first six reach the answer, which the reference throws
away.  There skips are taken behind the norms; `pre_norm` takes them before, as transformers do.
"""

from __future__ import annotations

from ...graph import Input
from ..kinds.mixer import Row
from ..network import Layer, Network
from .case import THREE, Case
from .cases import conv, dense, norm
from .sequences import attention, recurrent

RUNS = ({"batch": 3}, {"batch": 5})
BLOCK = attention(4, 2, 4, causal=True, rope="half", rope_base=10000.0)
GATE = {"in_features": 4, "hidden_features": 8, "activation": "silu", "bias": True}
TABLE = {"vocab_size": 5, "embedding_dim": 4, "outside": "zero", "wrap": False}


def head(row: Row) -> None:
    """cnn3, dense, cnn2, dense with relu, cnn1, dense: from [1, 2, 2, 2] to [8]."""
    row.add("conv3", *conv(1, 2, [2, 2, 2], bias=False), (2, 1, 1, 1))
    row.reshape("flat3", (2,))
    row.add("dense1", "dense", dense(2, 8), (8,))
    row.reshape("image", (1, 2, 4))
    row.add("conv2", *conv(1, 2, [2, 2], bias=False), (2, 1, 3))
    row.reshape("flat2", (6,))
    row.add("dense2", "dense", dense(6, 8), (8,))
    row.add("act2", "relu", {}, (8,))
    row.reshape("line", (1, 8))
    row.add("conv1", *conv(1, 2, [3], [3], bias=False), (2, 2))
    row.reshape("flat1", (4,))
    row.add("dense3", "dense", dense(4, 8), (8,))


def tail(row: Row, length: int = 2) -> None:
    """rnn, lstm, dense over all of what is left."""
    row.add("rnn", "rnn", recurrent(4, 4, activation="tanh"), (length, 4))
    row.add("lstm", "lstm", recurrent(4, 4), (length, 4))
    row.reshape("flat", (4 * length,))
    row.add("dense4", "dense", dense(4 * length, 8), (8,))


def finished(name: str, row: Row, *inputs: Input) -> Network:
    last = row.layers[-1]
    row.layers[-1] = Layer(last.name, last.op, last.inputs, last.params, ("y",))
    return Network(name, "mixer", inputs, tuple(row.layers), ("y",))


def v1() -> Network:
    row = Row()
    head(row)
    row.reshape("steps", (2, 4))
    row.add("mha", "attention", BLOCK, (2, 4))
    tail(row)
    return finished("mixer_v1", row, X)


def blocks(row: Row, before: bool) -> None:
    """layernorm, mha, residual, rmsnorm, swiglu, residual; skips before or behind the norms."""
    for number, kind, name, op, params in ((1, "layernorm", "mha", "attention", BLOCK),
                                           (2, "rmsnorm", "swiglu", "swiglu", GATE)):
        skip = row.at
        row.add(f"norm{number}", kind, norm(kind, 4, 1e-5), row.shape)
        skip = skip if before else row.at
        row.add(name, op, params, row.shape)
        row.add(f"sum{number}", "residual", {}, row.shape, (row.at, skip))


def v2(name: str, before: bool) -> Network:
    row = Row()
    head(row)
    row.reshape("steps", (2, 4))
    steps = row.at
    row.add("embedding", "embedding", TABLE, (2, 4), ("ids",))
    row.add("together", "add", {}, (2, 4), (row.at, steps))
    blocks(row, before)
    tail(row)
    return finished(name, row, X, Input("ids", "int64", ["batch", 2]))


def free() -> Network:
    """Pre-norm blocks on tokens of any length."""
    row = Row()
    row.shape = ("s", 4)
    row.add("embedding", "embedding", TABLE, row.shape, ("ids",))
    blocks(row, True)
    row.add("rnn", "rnn", recurrent(4, 4, activation="tanh"), row.shape)
    row.add("lstm", "lstm", recurrent(4, 4), row.shape)
    row.add("dense", "dense", dense(4, 3), ("s", 3))
    return finished("tokens", row, Input("ids", "int64", ["batch", "s"]))


X = Input("x", "float32", ["batch", 1, 2, 2, 2])


def mixer_cases() -> list[Case]:
    return [Case(v1(), RUNS, THREE), Case(v2("mixer_v2", False), RUNS, THREE),
            Case(v2("pre_norm", True), RUNS, THREE),
            Case(free(), ({"batch": 3, "s": 5}, {"batch": 2, "s": 7}), (*THREE, "nnx"))]
