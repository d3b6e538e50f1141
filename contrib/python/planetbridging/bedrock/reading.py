"""Back from an emitted graph to the canonical weights of the network it was built from."""

from __future__ import annotations

import numpy as np

from ..graph import BridgeError, Graph, Node
from .network import Layer, Network, Weights, slots

AXES = {"dense": "oi", "conv1": "fcw", "conv2": "fchw", "conv3": "fcdhw"}
"""The canonical order of the letters of `weight`."""

LETTERS = {"Wq": "qd", "Wk": "kd", "Wv": "vd", "Wo": "do", "W": "hi", "U": "hu", "table": "vd",
           "Wg": "mi", "Wu": "mi", "Wd": "im"}
"""The canonical order of the letters of other slots of two axes, by what stands before "_"."""


def weights_of(graph: Graph, network: Network) -> Weights:
    """float32 weights by "LAYER.SLOT" out of a graph whose weighted nodes are the network's, in order.

    BridgeError where they are not.
    """
    layers = [layer for layer in network.layers if slots(layer)]
    nodes = [node for node in graph.nodes if node.tensors and node.op != "constant"]
    if [layer.op for layer in layers] != [node.op for node in nodes]:
        raise BridgeError(f"{network.id}: the graph's layers are {', '.join(n.op for n in nodes)}, "
                          f"expected {', '.join(k.op for k in layers)}")
    made = {}
    for layer, node in zip(layers, nodes):
        made |= layer_weights(network, layer, node)
    return made


def layer_weights(network: Network, layer: Layer, node: Node) -> Weights:
    found = {tensor.slot: tensor for tensor in node.tensors}
    made = {}
    for slot, shape in slots(layer).items():
        if slot not in found or found[slot].array is None:
            raise BridgeError(f"{network.id}: {node.name} has no {slot} of its own")
        array = in_order(layer, slot, found[slot])
        if array.shape != shape:
            raise BridgeError(f"{network.id}: {node.name}.{slot} has shape {list(array.shape)}, "
                              f"expected {list(shape)}")
        made[f"{layer.name}.{slot}"] = array
    return made


def in_order(layer: Layer, slot: str, tensor) -> np.ndarray:
    """The tensor with its axes in canonical order, in float32."""
    array = tensor.array
    if array.ndim > 1:
        wanted = AXES[layer.op] if slot == "weight" else LETTERS[slot.split("_")[0]]
        array = array.transpose([list(tensor.axes).index(letter) for letter in wanted])
    return np.ascontiguousarray(array, np.float32)
