"""What a caller says of a stack of dense layers, held against the network that there is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from .graph import Builder, Graph, Node

ACTIVATIONS = ("relu", "tanh", "sigmoid", "linear")
SYNONYMS = {"identity": "linear", "logistic": "sigmoid", "": "linear"}


@dataclass(frozen=True)
class LayerSpec:
    """One dense layer: how many outputs, what follows it, and whether it has a bias."""

    units: int
    activation: str = "relu"
    bias: bool = True


def plain(activation: str) -> str:
    """An activation's one name."""
    name = activation.lower()
    return SYNONYMS.get(name, name)


def found(graph: Graph) -> list[LayerSpec]:
    """The dense layers of a graph in order, each with the activation that reads it."""
    return [LayerSpec(node.params["out_features"], _activation(graph, node), node.params["bias"])
            for node in graph.nodes if node.op == "dense"]


def _activation(graph: Graph, dense: Node) -> str:
    readers = [node for node in graph.nodes if dense.outputs[0] in node.inputs]
    if len(readers) != 1 or readers[0].params or readers[0].tensors or len(readers[0].inputs) != 1:
        return "linear"
    return readers[0].op


def check(graph: Graph, specs: Sequence[LayerSpec] | None, units: Sequence[int] | None,
          activation: str | None) -> None:
    """ValueError where what is said of the network is not what it is; None says nothing.

    `activation` is that of every layer but the last, which may have another or none.
    """
    if specs is None and units is None and activation is None:
        return
    said = "layer_specs" if specs is not None else "layer_units" if units is not None else "activation"
    others = sorted({node.op for node in graph.nodes if node.tensors} - {"dense", "constant"})
    if others and said != "activation":
        raise ValueError(f"{said} describes dense layers alone, but the model has "
                         f"{', '.join(others)} too: leave it out, the model is read as it is")
    layers = found(graph)
    wanted = [spec.units for spec in specs] if specs is not None else units
    if wanted is not None and list(map(int, wanted)) != [layer.units for layer in layers]:
        raise ValueError(f"{said} has the units {list(map(int, wanted))}, "
                         f"but the model {[layer.units for layer in layers]}")
    for number, (spec, layer) in enumerate(zip(specs or (), layers)):
        _agree(f"layer_specs[{number}]", "activation", plain(spec.activation), layer.activation)
        _agree(f"layer_specs[{number}]", "bias", spec.bias, layer.bias)
    if activation is not None and specs is None:
        for number, layer in enumerate(layers[:-1]):
            _agree("activation", f"activation of dense layer {number}", plain(activation),
                   layer.activation)


def _agree(where: str, what: str, said, there) -> None:
    if said != there:
        raise ValueError(f"{where}: {what} is said to be {said}, but the model has {there}")


def of_params(params: Mapping, specs: Sequence[LayerSpec] | None, units: Sequence[int] | None,
              activation: str | None, name: str, versions: dict[str, str]) -> Graph:
    """A graph of bare parameters {"Dense_0": {"kernel": [i, o], "bias": [o]}, ...}, in that order.

    They say nothing of activations, so the caller must: `specs`, or `units` with one `activation`
    (relu) for all layers but the last.  ValueError if neither is given, or if sizes do not fit.
    """
    if specs is None and units is None:
        raise ValueError("parameters alone do not say what the layers do: give layer_specs or "
                         "layer_units, or the pair (module, variables)")
    params = params.get("params", params)
    names = sorted(params, key=_number)
    if specs is None:
        last = len(units) - 1
        specs = [LayerSpec(count, (activation or "relu") if n < last else "linear",
                           "bias" in params.get(names[n], ()) if n < len(names) else True)
                 for n, count in enumerate(units)]
    if len(specs) != len(names):
        raise ValueError(f"{len(specs)} layers are described, but there are parameters of {len(names)}")
    return _stack(params, names, specs, name, versions)


def _number(name: str) -> int:
    """The place of Dense_3."""
    digits = name.rsplit("_", 1)[-1]
    if not digits.isdigit():
        raise ValueError(f"parameters of {name}: expected Dense_0, Dense_1, ...; for other modules give "
                         "the pair (module, variables)")
    return int(digits)


def _stack(params: Mapping, names: list[str], specs, name: str, versions: dict[str, str]) -> Graph:
    builder = Builder("jax", versions, name)
    kernels = [np.asarray(params[layer]["kernel"]) for layer in names]
    at = builder.input("x", "float32", ["batch", int(kernels[0].shape[0])])
    (output,) = builder.reserve(["y"])
    for layer, kernel, spec in zip(names, kernels, specs):
        bias = params[layer].get("bias")
        if kernel.ndim != 2 or kernel.shape[1] != spec.units or (bias is not None) != spec.bias:
            raise ValueError(f"{layer}: kernel {list(kernel.shape)} and {'a' if bias is not None else 'no'} "
                             f"bias, but {spec.units} units, bias={spec.bias} are described")
        if plain(spec.activation) not in ACTIVATIONS:
            raise ValueError(f"{layer}: activation {spec.activation!r}, "
                             f"expected one of {', '.join(ACTIVATIONS)}")
        at = builder.dense(layer, at, kernel, None if bias is None else np.asarray(bias),
                           axes=("i", "o"), sources=(f"{layer}/kernel", f"{layer}/bias"))
        if plain(spec.activation) != "linear":
            at = builder.node(f"{layer}.{plain(spec.activation)}", plain(spec.activation), [at])
    return builder.finish([at], [output])
