"""Faults in a chain of dense layers, chosen for what they do to its answers."""

from __future__ import annotations

import copy
from dataclasses import dataclass

import numpy as np

from ..graph import BridgeError
from ..stream import StreamDocument
from .fault import Fault

GROWTH = 1.01
"""A weight that is wrong by 1 %."""


@dataclass
class Layer:
    """One dense layer of a chain in float64: weight [o, i], bias [o] or None, and its activation."""

    name: str
    weight: np.ndarray
    bias: np.ndarray | None
    activation: str


def _sigmoid(z):
    return 1 / (1 + np.exp(-z))


ACTIVATIONS = {
    "linear": (lambda z: z, lambda z: np.ones_like(z)),
    "relu": (lambda z: np.maximum(z, 0), lambda z: (z > 0).astype(float)),
    "tanh": (np.tanh, lambda z: 1 - np.tanh(z) ** 2),
    "sigmoid": (_sigmoid, lambda z: _sigmoid(z) * (1 - _sigmoid(z))),
}
"""An activation and its slope."""


def layers_of(document: StreamDocument) -> list[Layer]:
    """The chain that the stream holds; BridgeError if it is anything else."""
    layers = []
    for node in document.nodes:
        name, op = node["name"], node["op"]
        if op == "dense":
            bias = document.values(name, "bias") if node["params"]["bias"] else None
            layers.append(Layer(name, canonical(document, name), bias, "linear"))
        elif op in ACTIVATIONS and layers and layers[-1].activation == "linear":
            layers[-1].activation = op
        else:
            raise BridgeError(f"{name}: {op} is not part of a chain of dense layers")
    return layers


def canonical(document: StreamDocument, name: str) -> np.ndarray:
    """A dense layer's weight as [o, i], whatever axes it travelled with."""
    values = document.values(name, "weight")
    return values if document.entry(name, "weight")["axes"] == ["o", "i"] else values.T


def forward(layers: list[Layer], x: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """(input, sum before the activation) of each layer, and last (outputs, None)."""
    steps = []
    for layer in layers:
        z = x @ layer.weight.T + (0 if layer.bias is None else layer.bias)
        steps.append((x, z))
        x = ACTIVATIONS[layer.activation][0](z)
    return [*steps, (x, None)]


def plant(document: StreamDocument, inputs: dict[str, np.ndarray]) -> list[Fault]:
    """All faults of one network, chosen for what they do on its one input."""
    layers = layers_of(document)
    (x,) = (np.asarray(array, np.float64) for array in inputs.values())
    return [plant_weight(document, layers, x), plant_bias(document, layers, x),
            plant_transpose(document, layers), plant_activations(document, layers),
            plant_columns(document, layers)]


def plant_weight(document, layers, x) -> Fault:
    """The one weight whose change by 1 % moves an output the most, to first order, is changed so."""
    n, o, i = loudest_weight(layers, x)
    name = layers[n].name
    altered = copy.deepcopy(document)
    weight = altered.array(name, "weight")
    place = (o, i) if altered.entry(name, "weight")["axes"] == ["o", "i"] else (i, o)
    old = weight[place]
    weight[place] = old * weight.dtype.type(GROWTH)
    altered.alter(name, "weight", weight)
    return Fault("weight", f"{name}.weight, output {o}, input {i}: {old:.9g} became {weight[place]:.9g}",
                 altered)


def loudest_weight(layers, x) -> tuple[int, int, int]:
    """(layer, o, i) of the weight with the greatest |weight * d output / d weight| on `x`."""
    steps = forward(layers, x)
    outputs = steps[-1][0].shape[1]
    slope = np.broadcast_to(np.eye(outputs), (len(x), outputs, outputs))
    best = (-1.0, 0, 0, 0)
    for n in reversed(range(len(layers))):
        layer, (inputs, z) = layers[n], steps[n]
        slope = slope * ACTIVATIONS[layer.activation][1](z)[:, None, :]
        reach = np.abs(slope).max(axis=1)[:, :, None] * np.abs(inputs)[:, None, :]
        effect = reach.max(axis=0) * np.abs(layer.weight)
        o, i = np.unravel_index(effect.argmax(), effect.shape)
        best = max(best, (float(effect[o, i]), n, int(o), int(i)))
        slope = slope @ layer.weight
    return best[1:]


def plant_bias(document, layers, x) -> Fault:
    """The bias whose loss moves an output the most is left out."""
    with_bias = [n for n, layer in enumerate(layers) if layer.bias is not None]
    if not with_bias:
        return Fault("bias", "no bias")
    wanted = forward(layers, x)[-1][0]

    def effect(n):
        without = [Layer(k.name, k.weight, None if n == m else k.bias, k.activation)
                   for m, k in enumerate(layers)]
        return np.abs(forward(without, x)[-1][0] - wanted).max()
    name = layers[max(with_bias, key=effect)].name
    altered = copy.deepcopy(document)
    altered.drop(name, "bias")
    altered.node(name)["params"]["bias"] = False
    return Fault("bias", f"{name} has lost its bias", altered)


def plant_transpose(document, layers) -> Fault:
    """The first square weight's axes are exchanged, as by an emitter that guesses from shapes."""
    square = next((k for k in layers if k.weight.shape[0] == k.weight.shape[1]), None)
    if square is None:
        return Fault("transpose", "no square layer")
    altered = copy.deepcopy(document)
    altered.entry(square.name, "weight")["axes"].reverse()
    return Fault("transpose", f"{square.name}.weight is transposed", altered)


def plant_activations(document, layers) -> Fault:
    """The first two neighbours whose activations differ exchange them."""
    if len(layers) == 1:
        return Fault("activations", "one layer")
    pair = next((n for n in range(len(layers) - 1)
                 if layers[n].activation != layers[n + 1].activation), None)
    if pair is None:
        return Fault("activations", "all activations alike")
    first, second = layers[pair], layers[pair + 1]
    acts = [k.activation for k in layers]
    acts[pair], acts[pair + 1] = acts[pair + 1], acts[pair]
    return Fault("activations", f"{first.name} is {second.activation}, {second.name} {first.activation}",
                 rewired(document, layers, acts))


def rewired(document: StreamDocument, layers, activations) -> StreamDocument:
    """The chain with these activations behind its dense layers, "linear" standing for none."""
    altered = copy.deepcopy(document)
    dense = {node["name"]: node for node in altered.nodes if node["op"] == "dense"}
    nodes = []
    for layer, activation in zip(layers, activations):
        nodes.append(dense[layer.name])
        if activation != "linear":
            nodes.append({"name": f"{layer.name}.{activation}", "op": activation, "params": {},
                          "tensors": []})
    source = altered.head["inputs"][0]["name"]
    for node in nodes:
        node["in"], node["out"] = [source], [node["name"]]
        source = node["name"]
    nodes[-1]["out"] = list(altered.head["outputs"])
    altered.nodes = nodes
    return altered


def plant_columns(document, layers) -> Fault:
    """In the first layer the weights of the strongest and the weakest input are exchanged."""
    first = layers[0]
    strength = np.square(first.weight).sum(axis=0)
    a, b = int(strength.argmax()), int(strength.argmin())
    altered = copy.deepcopy(document)
    weight = altered.array(first.name, "weight")
    columns = weight if altered.entry(first.name, "weight")["axes"] == ["o", "i"] else weight.T
    columns[:, [a, b]] = columns[:, [b, a]]
    altered.alter(first.name, "weight", weight)
    return Fault("columns", f"{first.name}.weight: inputs {a} and {b} are exchanged", altered)
