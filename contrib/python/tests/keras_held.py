"""What the tests of Keras's layers share: a layer emitted at one size and run at others."""

from __future__ import annotations

from functools import cache

import numpy as np

from conftest import programs_built
from interpreter import run_all
from planetbridging import planets, programs
from planetbridging.checking import run_check

from keras_networks import filled, keras

MODULE = planets.module("keras")


def network(function, **inputs):
    """A Functional model of `function`, with standard normal weights.

    `inputs` are shapes without the batch by name; a last entry that is a string is the dtype.
    """
    made = []
    for name, shape in inputs.items():
        dtype = shape[-1] if shape and isinstance(shape[-1], str) else "float32"
        sizes = [size for size in shape if not isinstance(size, str)]
        made.append(keras.Input(sizes, dtype=dtype, name=name))
    return filled(keras.Model(made, function(*made)))


def arrays(net, batch, free=5, seed=0, ids=7):
    """Inputs for a Functional model; what its shapes leave open, but the batch, has `free`."""
    rng = np.random.default_rng(seed)
    found = {}
    for tensor in net.inputs:
        shape = [batch, *(free if size is None else size for size in tensor.shape[1:])]
        if tensor.dtype == "bool":
            array = rng.random(shape) < 0.6
        elif "int" in tensor.dtype:
            array = rng.integers(0, ids, shape)
        else:
            array = rng.normal(size=shape).astype(np.float32)
        found[tensor._keras_history.operation.name] = array
    return found


def check(streamed, function, atol=1e-12, free=(5, 6), ids=7, **inputs):
    """The document of a Functional model of `function`, held at two batches and two lengths."""
    net = network(function, **inputs)
    return held(streamed, net, *(arrays(net, batch, size, batch, ids)
                                 for batch, size in zip((2, 3), free)), atol=atol)


def agreement(native: dict, found: dict, atol: float) -> None:
    """Same names, and values within `atol` of the greatest."""
    for name, values in native.items():
        assert values.shape == found[name].shape, (name, values.shape, found[name].shape)
        scale = max(1, np.abs(values).max(initial=0))
        np.testing.assert_allclose(found[name], values, rtol=0, atol=atol * scale, err_msg=name)


@cache
def known() -> set[str]:
    """The operations of the Loom programs; none where they are not built."""
    if not programs_built():
        return set()
    return {line.split()[0] for line in programs.run("loom-list", ["layers"])[1].splitlines()}


def held(streamed, net, *batches, atol=1e-12):
    """Emit `net` at the first batch, and compare float64 NumPy with Keras's float64 on all.

    What Keras computes on the way is compared too, tensor by tensor; and the Loom programs run
    where they know every operation.  Returns the document.
    """
    graph = MODULE.emit(net, example=batches[0])
    document = streamed(graph)
    made = [name for node in document.nodes for name in node.get("out", [node["name"]])]
    for inputs in batches:
        wide = {n: a.astype(np.float64) if a.dtype.kind == "f" else a for n, a in inputs.items()}
        found = run_all(document, wide)
        native = MODULE.native(net, inputs, "float64")
        assert list(native) == graph.outputs
        agreement(native, found, atol)
        taps = MODULE.taps(net, inputs, "float64")
        assert set(graph.outputs) <= set(taps) <= set(made)
        agreement(taps, found, atol)
        agreement(MODULE.native(net, inputs), native, 1e-4)
        if {node["op"] for node in document.nodes} <= known():
            result = run_check(graph, inputs, native, ["--atol", "1e-6"])
            assert result, result.report
    return document
