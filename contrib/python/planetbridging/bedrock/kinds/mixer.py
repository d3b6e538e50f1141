"""mixer: layers of many kinds in a row, with the reshapes and skips that the reference hides in code.

There every sample begins as [1, 2, 2, 2]; what a layer finds is brought into the shape it wants, by
the layer's kind alone.  Here each of these steps is a layer.  An embedding replaces all that came
before it, so the first six layers of mixer_all_v2 reach no answer: they are part of the live
network, and no tracer keeps them.
"""

from __future__ import annotations

import numpy as np

from ...graph import Input
from ..drawing import Draws, checked, complete, leading, weight_seed
from ..facts import Facts, Model
from ..network import GATES, Layer, Network, Weights
from . import attention, convolution, embedding, norms, recurrent, swiglu

ROPE_BASE = 10000.0
EPS = {"layernorm": 1e-5, "rmsnorm": 1e-6}
SHAPES = {"cnn2": (1, 2, 4), "cnn1": (1, 8), "mha": (2, 4)}
"""What a layer wants of each sample, where the layer before it may have left another shape."""


class Row:
    """Layers in the making: the name and shape of the newest tensor, and the tensors kept for sums."""

    def __init__(self):
        self.layers: list[Layer] = []
        self.at, self.shape = "x", (1, 2, 2, 2)
        self.skips: list[str] = []

    def add(self, name: str, op: str, params: dict, shape, inputs=None) -> None:
        self.layers.append(Layer(name, op, inputs or (self.at,), params))
        self.at, self.shape = name, tuple(shape)

    def reshape(self, name: str, shape) -> None:
        if self.shape != tuple(shape):
            self.add(name, "reshape", {"shape": ["batch", *shape]}, shape)


def network(facts: Facts, model: Model) -> Network:
    row = Row()
    for layer in model["layers"]:
        append(row, layer)
    last = row.layers[-1]
    row.layers[-1] = Layer(last.name, last.op, last.inputs, last.params, ("y",))
    inputs = [Input("x", "float32", ["batch", 1, 2, 2, 2])]
    if has_tokens(model):
        inputs.append(Input("ids", "int64", ["batch", 2]))
    return Network(model.id, facts.kind, tuple(inputs), tuple(row.layers), ("y",))


def name_of(layer: dict) -> str:
    """A layer's name, by the reference's kind and number."""
    return f"{layer['kind']}_{layer['index']}"


def append(row: Row, layer: dict) -> None:
    """One of the model's layers, the reshape before it, and what comes after it."""
    kind, name = layer["kind"], name_of(layer)
    if kind in SHAPES:
        row.reshape(f"{name}_in", SHAPES[kind])
    elif kind == "dense":
        row.reshape(f"{name}_in", (int(np.prod(row.shape)),))
    ADD[kind](row, name, layer)
    if kind in ("layernorm", "rmsnorm"):
        row.skips.append(row.at)
    elif kind == "dense" and layer["activation"] != "linear":
        row.add(f"{name}_{layer['activation']}", layer["activation"], {}, row.shape)


def add_convolution(row: Row, name: str, layer: dict) -> None:
    op, params = convolution.convolution(layer, layer["in_channels"])
    extents = [(n + 2 * layer["padding"] - layer["kernel_size"]) // layer["stride"] + 1
               for n in row.shape[1:]]
    row.add(name, op, params, (layer["filters"], *extents))


def add_dense(row: Row, name: str, layer: dict) -> None:
    params = {"in_features": layer["input_dim"], "out_features": layer["output_dim"],
              "bias": layer["bias"]}
    row.add(name, "dense", params, (layer["output_dim"],))


def add_attention(row: Row, name: str, layer: dict) -> None:
    row.add(name, "attention", attention.attention(layer, ROPE_BASE), row.shape)


def add_recurrent(row: Row, name: str, layer: dict) -> None:
    row.add(name, layer["kind"], recurrent.recurrent(layer["kind"], layer),
            (row.shape[0], layer["hidden_size"]))


def add_norm(row: Row, name: str, layer: dict) -> None:
    kind = layer["kind"]
    row.add(name, kind, norms.norm(kind, layer["dim"], EPS[kind]), row.shape)


def add_embedding(row: Row, name: str, layer: dict) -> None:
    params = embedding.embedding(layer["vocab_size"], layer["embedding_dim"])
    row.add(name, "embedding", params, (2, layer["embedding_dim"]), ("ids",))


def add_swiglu(row: Row, name: str, layer: dict) -> None:
    row.add(name, "swiglu", swiglu.swiglu(layer), row.shape)


def add_residual(row: Row, name: str, layer: dict) -> None:
    """The sum with the oldest norm's output that no sum has used."""
    row.add(name, "add", {}, row.shape, (row.at, row.skips.pop(0)))


ADD = {"cnn1": add_convolution, "cnn2": add_convolution, "cnn3": add_convolution, "dense": add_dense,
       "mha": add_attention, "rnn": add_recurrent, "lstm": add_recurrent, "layernorm": add_norm,
       "rmsnorm": add_norm, "embedding": add_embedding, "swiglu": add_swiglu, "residual": add_residual}


def has_tokens(model: Model) -> bool:
    return any(layer["kind"] == "embedding" for layer in model["layers"])


def weights(facts: Facts, model: Model) -> Weights | None:
    """One generator for dense, convolution and attention, and one for each other kind."""
    seed = weight_seed(model)
    layers = {kind: [layer for layer in model["layers"] if layer["kind"] == kind] for kind in ADD}
    made, named = drawn_first(layers, Draws(seed))
    for kind, ahead in (("rnn", 1), ("lstm", 2), ("embedding", 10), ("layernorm", 11),
                        ("rmsnorm", 12), ("swiglu", 13)):
        for layer in layers[kind]:
            slots = drawn_alone(kind, layer, Draws(seed + ahead))
            made |= {f"{name_of(layer)}.{slot}": w for slot, w in slots.items()}
            named |= reference_names(kind, slots)
    checked(model, named)
    net = network(facts, model)
    order = [layer.name for layer in net.layers]
    made = dict(sorted(made.items(), key=lambda item: order.index(item[0].split(".")[0])))
    return complete(net, made)


def drawn_first(layers: dict, draw: Draws) -> tuple[Weights, dict]:
    """(slots, the same by the reference's names): dense, then convolutions, then attention."""
    made, named = {}, {}
    for n, layer in enumerate(layers["dense"], 1):
        o, i = layer["output_dim"], layer["input_dim"]
        made[f"{name_of(layer)}.weight"] = named[f"dense{n}_w"] = draw(o, i)
        made[f"{name_of(layer)}.bias"] = np.zeros(o, np.float32)
    for kind in ("cnn3", "cnn2", "cnn1"):
        for layer in layers[kind]:
            shape = layer["filters"], layer["in_channels"], *[layer["kernel_size"]] * int(kind[-1])
            made[f"{name_of(layer)}.weight"] = named[kind] = draw(*shape)
    for layer in layers["mha"]:
        d = layer["d_model"]
        for slot in "qkvo":
            made[f"{name_of(layer)}.W{slot}"] = named[f"mha_{slot}_w"] = draw(d, d)
        made |= {f"{name_of(layer)}.b{slot}": np.zeros(d, np.float32) for slot in "qkvo"}
    return made, named


def drawn_alone(kind: str, layer: dict, draw: Draws) -> Weights:
    """The slots of a layer that has a generator of its own."""
    if kind == "embedding":
        return {"table": draw(layer["vocab_size"], layer["embedding_dim"])}
    if kind == "swiglu":
        return swiglu.drawn(layer, draw)
    if kind in EPS:
        return norms.drawn(kind, layer["dim"], draw)
    return recurrent.drawn(kind, layer, draw)


def reference_names(kind: str, slots: Weights) -> dict:
    """The same arrays by the names of the facts' `weight_check`."""
    if kind == "rnn":
        return {"rnn": slots["W"]}
    if kind == "lstm":
        return {f"lstm_{g}": slots[f"W_{g}"] for g in GATES}
    if kind == "embedding":
        return {"embed_table": slots["table"]}
    if kind == "swiglu":
        return {f"swiglu_{name}": slots[slot] for name, slot in swiglu.NAMES.items()}
    return {f"{kind}_{slot}": w for slot, w in slots.items()}


def inputs(facts: Facts, model: Model, fixture: dict, part: str) -> dict:
    made = {"x": leading(fixture[f"x_{part}"])}
    if has_tokens(model):
        made["ids"] = np.ascontiguousarray(fixture[f"token_ids_{part}"], np.int64)
    return made
