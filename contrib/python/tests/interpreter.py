"""A layer stream run in float64 NumPy, node by node: the tests' independent idea of each operation.

Formulas are written from the definitions of the operations, not from the package.
"""

from __future__ import annotations

import math

import numpy as np

from planetbridging.stream import StreamDocument

ERF = np.vectorize(math.erf, otypes=[float])


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def gelu(x, approximate):
    if approximate == "tanh":
        return x / 2 * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))
    return x / 2 * (1 + ERF(x / math.sqrt(2)))


def softmax(x, axis):
    e = np.exp(x - x.max(axis, keepdims=True))
    return e / e.sum(axis, keepdims=True)


OPERATIONS = {
    "linear": lambda p, x: x,
    "relu": lambda p, x: np.maximum(x, 0),
    "relu2": lambda p, x: np.maximum(x, 0) ** 2,
    "tanh": lambda p, x: np.tanh(x),
    "sigmoid": lambda p, x: sigmoid(x),
    "silu": lambda p, x: x * sigmoid(x),
    "leaky_relu": lambda p, x: np.where(x > 0, x, x * p["negative_slope"]),
    "gelu": lambda p, x: gelu(x, p["approximate"]),
    "softmax": lambda p, x: softmax(x, p["axis"]),
    "add": lambda p, a, b: a + b,
    "sub": lambda p, a, b: a - b,
    "mul": lambda p, a, b: a * b,
    "div": lambda p, a, b: a / b,
    "concat": lambda p, *xs: np.concatenate(xs, p["axis"]),
}


def run(document: StreamDocument, inputs: dict) -> dict[str, np.ndarray]:
    """The outputs by name, for inputs by name (any name, if there is one)."""
    sizes, values = {}, {}
    for item in document.head["inputs"]:
        array = np.asarray(inputs[item["name"]] if len(inputs) > 1 else next(iter(inputs.values())))
        assert array.ndim == len(item["shape"]), item
        values[item["name"]] = array.astype(float) if item["dtype"] == "float32" else array
        sizes.update((d, n) for d, n in zip(item["shape"], array.shape) if isinstance(d, str)
                     and d.isidentifier())
        assert [extent(d, sizes) for d in item["shape"]] == list(array.shape), item
    for node in document.nodes:
        made = compute(document, node, [values[name] for name in node["in"]], sizes)
        values[node.get("out", [node["name"]])[0]] = made
    return {name: values[name] for name in document.head["outputs"]}


def extent(dim, sizes: dict) -> int:
    return dim if isinstance(dim, int) else eval(dim, {"__builtins__": {}}, sizes)


def compute(document: StreamDocument, node: dict, xs: list, sizes: dict) -> np.ndarray:
    op, params = node["op"], node["params"]
    if op == "constant":
        value = document.values(node["name"], "value")
        assert list(value.shape) == params["shape"]
        return value
    if op == "reshape":
        return xs[0].reshape([extent(d, sizes) for d in params["shape"]])
    if op == "dense":
        return dense(document, node, xs[0])
    return OPERATIONS[op](params, *xs)


def dense(document: StreamDocument, node: dict, x: np.ndarray) -> np.ndarray:
    name = node["name"]
    entry = document.entry(name, "weight")
    while "same" in entry:
        entry = document.entry(*entry["same"].rsplit(".", 1))
    axes = "".join(entry["axes"])
    weight = document.values(name, "weight")
    y = np.einsum(f"...i,{axes}->...o", x, weight)
    assert y.shape[-1] == node["params"]["out_features"]
    assert x.shape[-1] == node["params"]["in_features"]
    return y + document.values(name, "bias") if node["params"]["bias"] else y
