"""What the tests of PyTorch share: networks with weights that hide nothing, and their inputs."""

from __future__ import annotations

import functools
import math

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")

from torch import nn  # noqa: E402

from conftest import agree  # noqa: E402
from interpreter import run as run_numpy  # noqa: E402
from planetbridging import Unsupported, emit, native, programs  # noqa: E402
from planetbridging.checking import run_check  # noqa: E402
from planetbridging.graph import MachineError  # noqa: E402


def batches(*shape, sizes=(3, 7), seed=0, name="x"):
    """Inputs of standard normal values [size, *shape] for each batch size."""
    rng = np.random.default_rng(seed)
    return [{name: rng.normal(size=(n, *shape)).astype(np.float32)} for n in sizes]


def drawn(*shapes, name="x", seed=0):
    """One input of standard normal values for each whole shape."""
    rng = np.random.default_rng(seed)
    return [{name: rng.normal(size=shape).astype(np.float32)} for shape in shapes]


def filled(net, seed=1):
    """The module with standard normal parameters: no bias is zero, no kernel symmetric."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator))
    return net


def bare(function, **parts):
    """A module with these submodules, parameters and buffers as they are; forward is function(self, ...)."""
    class Net(nn.Module):
        forward = function

        def __init__(self):
            super().__init__()
            for name, part in parts.items():
                if isinstance(part, torch.Tensor) and not isinstance(part, nn.Parameter):
                    self.register_buffer(name, part)
                else:
                    setattr(self, name, part)
    return Net().eval()


def module(function, **parts):
    """`bare`, with drawn parameters."""
    return filled(bare(function, **parts))


def family(functions: dict):
    """A module that returns what each function makes of its input, by name."""
    return bare(lambda s, x: {name: function(x) for name, function in functions.items()})


def rows_of(entry):
    """Which rows of an array a slot is: "name[first:behind]", or the name alone if it is all of it."""
    layout = entry["layout"]
    width = math.prod(layout["shape"][1:])
    first, rest = divmod(layout["first"], width)
    behind = first + entry["shape"][0]
    assert rest == 0 and layout["strides"] == [width, 1][:len(layout["shape"])]
    return entry["source"] + (f"[{first}:{behind}]" if behind - first < layout["shape"][0] else "")


def operations(document):
    return [n["op"] for n in document.nodes]


def names(document):
    return [n["name"] for n in document.nodes]


def problems_of(net, example):
    net.eval()
    with pytest.raises(Unsupported) as error:
        emit(net, example=example)
    return [(p.path, p.cls, p.operation) for p in error.value.problems]


@functools.cache
def loom_words() -> frozenset[str]:
    """The operations that the built programs know; none where they are not built."""
    try:
        _, listed, _ = programs.run("loom-list", ["layers"])
    except MachineError:
        return frozenset()
    return frozenset(line.split()[0] for line in listed.splitlines() if line.split())


def exact(streamed, net, *inputs, loom=1e-6):
    """Emit at the first inputs, run at all of them: NumPy within 1e-12 of torch's float64.

    Loom is within `loom` of it, where its programs are built and know the operations; both are
    relative to the greatest value, at least 1.  Returns the document.
    """
    graph = emit(net.eval(), example=inputs[0])
    document = streamed(graph)
    for given in inputs:
        wide = native(net, given, precision="float64")
        agree(wide, run_numpy(document, given), 1e-12)
        if {node.op for node in graph.nodes} <= loom_words():
            result = run_check(graph, given, wide, ["--atol", str(loom), "--allow-vacuous"])
            assert result, result.report
    return document
