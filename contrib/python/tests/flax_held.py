"""What the tests of Flax's layers share: a network emitted at one size and run at others."""

from __future__ import annotations

import functools

import numpy as np
from interpreter import run_all
from jax_networks import drawn, jax, nn, nnx, normal

from planetbridging import planets, programs
from planetbridging.checking import run_check
from planetbridging.graph import MachineError

MODULE = planets.module("jax")


def floats(*shape, seed=0, name="x"):
    """{name: standard normal float32}."""
    return {name: np.random.default_rng(seed).normal(size=shape).astype(np.float32)}


def ids(*shape, vocabulary=7, seed=0, name="ids"):
    """{name: ids within the vocabulary}."""
    return {name: np.random.default_rng(seed).integers(0, vocabulary, shape)}


def linen_net(function, **example):
    """(module, variables) of a module whose compact call is function(module, **example)."""

    class Net(nn.Module):
        __call__ = nn.compact(function)

    net = Net()
    return net, drawn(net.init(jax.random.key(0), *example.values()))


def nnx_net(make, call):
    """An nnx module with the attributes that make(rngs) gives, whose call is call(module, ...)."""

    class Net(nnx.Module):
        def __init__(self, rngs):
            for name, part in make(rngs).items():
                setattr(self, name, part)

        __call__ = call

    return normal(Net(nnx.Rngs(0)))


@functools.cache
def loom_operations() -> frozenset:
    """The operations that the Loom programs know; none if they are not built."""
    try:
        _, text, _ = programs.run("loom-list", ["layers"])
    except MachineError:
        return frozenset()
    return frozenset(line.split()[0] for line in text.splitlines() if line.strip())


def agreement(native: dict, found: dict, atol: float) -> None:
    """Same shapes, and values within `atol` of the greatest; NaN stands where NaN stands."""
    for name, values in native.items():
        assert values.shape == found[name].shape, (name, values.shape, found[name].shape)
        if values.dtype.kind != "f":
            np.testing.assert_array_equal(found[name], values, err_msg=name)
            continue
        scale = max(1, np.nanmax(np.abs(values), initial=0))
        np.testing.assert_allclose(found[name], values, rtol=0, atol=atol * scale, err_msg=name)


ANY = object()
"""For `untapped`: compositions have tensors that JAX does not make."""


def held(streamed, net, *batches, atol=1e-12, loom=True, untapped=(), whole="1e-6"):
    """Emit `net` at the first batch; compare NumPy, and Loom where it can, with JAX on all.

    JAX computes in float64 from the same weights; what it computes on the way is compared too, and
    every tensor of the graph but its constants and `untapped` is among that.  `whole` is what Loom
    may be off in all, where errors of many nodes add up.  Returns the document.
    """
    graph = MODULE.emit(net, example=batches[0])
    document = streamed(graph)
    made = {name for node in graph.nodes if node.op != "constant" for name in node.outputs}
    for inputs in batches:
        found = run_all(document, wide(inputs))
        native = MODULE.native(net, inputs, "float64")
        assert list(native) == graph.outputs
        assert {str(a.dtype) for a in native.values() if a.dtype.kind == "f"} <= {"float64"}
        agreement(native, found, atol)
        if loom and {node.op for node in graph.nodes} <= loom_operations():
            result = run_check(graph, inputs, native, ["--atol", whole])
            assert result, result.report
    agreement(MODULE.native(net, inputs), native, 1e-4)
    taps = MODULE.taps(net, inputs, "float64", batches[0])
    if untapped is ANY:
        assert set(taps) <= {name for node in graph.nodes for name in node.outputs}
    else:
        assert set(taps) == made - set(untapped)
    agreement(taps, found, atol)
    return document


def wide(inputs: dict) -> dict:
    """Inputs as the interpreter takes them."""
    kinds = {"f": np.float64, "i": np.int64}
    return {name: a.astype(kinds.get(a.dtype.kind, a.dtype)) for name, a in inputs.items()}


def named(document) -> list:
    return [(node["name"], node["op"]) for node in document.nodes]
