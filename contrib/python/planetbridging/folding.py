"""Batch norms folded into the layer before them, for those who ask: in real numbers the same network.

Not bit for bit: the new weights are rounded to float32 once more.  So nothing folds by itself, what was
folded is said in the sources of the weights, and `check` with the same option compares the result.
"""

from __future__ import annotations

import numpy as np

from .graph import BridgeError, Graph, Node, Tensor

FOLDS = ("batchnorm",)
"""What can be folded."""

LAYERS = {"dense": ("o", None), **{f"{op}{n}": ("f", n) for op in ("conv", "convtranspose")
                                   for n in (1, 2, 3)}}
"""By operation: the letter of the outputs' axis in its weight, and the number of spatial axes."""


def fold(graph: Graph, what: str) -> list[str]:
    """Fold in place; the names of the batch norms that are gone.

    One stays where the layer before it is another, has a second reader or weights that are tied, where
    its own axis is not that layer's outputs, or where weights are not float32.
    BridgeError if `what` is none of FOLDS.
    """
    if what not in FOLDS:
        raise BridgeError(f"fold is {what!r}, expected one of {', '.join(FOLDS)}")
    makers = {name: node for node in graph.nodes for name in node.outputs}
    readers: dict[str, int] = {}
    for name in [*graph.outputs, *(name for node in graph.nodes for name in node.inputs)]:
        readers[name] = readers.get(name, 0) + 1
    tied = {t.same.rsplit(".", 1)[0] for node in graph.nodes for t in node.tensors if t.same is not None}
    gone = []
    for norm in [node for node in graph.nodes if node.op == "batchnorm"]:
        layer = makers.get(norm.inputs[0])
        if layer and readers[norm.inputs[0]] == 1 and fits(layer, norm) and not {layer.name, norm.name} & tied:
            join(layer, norm)
            makers[norm.outputs[0]] = layer
            gone.append(norm.name)
    graph.nodes = [node for node in graph.nodes if node.name not in gone]
    return gone


def fits(layer: Node, norm: Node) -> bool:
    """Whether the norm's channels are the layer's outputs, and all weights are float32 of their own."""
    if layer.op not in LAYERS or any(t.dtype != "float32" or t.same is not None
                                     for t in (*layer.tensors, *norm.tensors)):
        return False
    spatial = LAYERS[layer.op][1]
    return norm.params["axis"] in ((-1,) if spatial is None else (1, -1 - spatial))


def join(layer: Node, norm: Node) -> None:
    """W' = W s, b' = (b - mean) s + beta with s = gamma / sqrt(var + eps), in float64, rounded once."""
    slots = {t.slot: t.array.astype(np.float64) for t in norm.tensors}
    factor = slots.get("gamma", 1.0) / np.sqrt(slots["var"] + norm.params["eps"])
    letter = LAYERS[layer.op][0]
    weight = next(t for t in layer.tensors if t.slot == "weight")
    along = [-1 if axis == letter else 1 for axis in weight.axes]
    old = next((t for t in layer.tensors if t.slot == "bias"), None)
    bias = 0.0 if old is None else old.array.astype(np.float64)
    said = f"folded with {norm.name}"
    new = (bias - slots["mean"]) * factor + slots.get("beta", 0.0)
    weight.array = (weight.array * factor.reshape(along)).astype(np.float32)
    weight.source, weight.layout, weight.aliases = f"{weight.source} {said}".strip(), None, ()
    source = f"{old.source if old else ''} {said}".strip()
    layer.tensors = [weight, Tensor("bias", new.astype(np.float32), axes=[letter], source=source)]
    layer.params = {**layer.params, "bias": True}
    layer.outputs = list(norm.outputs)
