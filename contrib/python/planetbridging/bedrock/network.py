"""A bedrock's network, said once for all planets: layers in the stream's vocabulary, weights by slot.

`build_torch`, `build_keras`, `build_linen` and `build_nnx` make live objects of it out of each
framework's own layers; they are the way back from what the emitters do, and share no code with them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Callable

import numpy as np

from ..graph import Input


@dataclass(frozen=True)
class Layer:
    """One operation: `params` as in a layer stream, `inputs` name tensors (None: absent).

    `outputs` is (name,) by default.  Activations are channels first, sequences [batch, length,
    feature], whatever the planet's own habit is.
    """

    name: str
    op: str
    inputs: tuple[str | None, ...]
    params: dict = field(default_factory=dict)
    outputs: tuple[str, ...] = ()

    def __post_init__(self):
        if not self.outputs:
            object.__setattr__(self, "outputs", (self.name,))


@dataclass(frozen=True)
class Network:
    """Layers in execution order; `kind` is the bedrock's id."""

    id: str
    kind: str
    inputs: tuple[Input, ...]
    layers: tuple[Layer, ...]
    outputs: tuple[str, ...]

    def layer(self, name: str) -> Layer:
        """The layer called `name`; KeyError if there is none."""
        return {layer.name: layer for layer in self.layers}[name]


@dataclass
class Built:
    """A live network of one planet with the canonical weights in it.

    `to_native` turns arrays by input name from the canonical layout to the planet's own (channels
    last), `to_canonical` the outputs back, in the order of Network.outputs.  `composed` names the
    layers for which the framework has no layer of its own, so that its operations were composed.
    """

    network: object
    to_native: Callable[[dict[str, np.ndarray]], dict[str, np.ndarray]]
    to_canonical: Callable[[dict[str, np.ndarray]], dict[str, np.ndarray]]
    composed: tuple[str, ...] = ()


Weights = dict[str, np.ndarray]
"""float32 arrays in canonical axes by "LAYER.SLOT"."""

GATES = ("i", "f", "g", "o")


def slots(layer: Layer) -> dict[str, tuple[int, ...]]:
    """The weight slots of a layer in their order, with their canonical shapes."""
    maker = SLOTS.get(layer.op)
    return maker(layer.params) if maker else {}


def _dense(p):
    return {"weight": (p["out_features"], p["in_features"])} | _if(p["bias"], bias=(p["out_features"],))


def _conv(p):
    shape = (p["out_channels"], p["in_channels"] // p["groups"], *p["kernel"])
    return {"weight": shape} | _if(p["bias"], bias=(p["out_channels"],))


def _rnn(p):
    i, h = p["input_size"], p["hidden_size"]
    return {"W": (h, i), "U": (h, h)} | _if(p["biases"] > 0, b=(h,)) | _if(p["biases"] > 1, b2=(h,))


def _lstm(p):
    i, h = p["input_size"], p["hidden_size"]
    first = {f"{slot}_{g}": shape for g in GATES
             for slot, shape in (("W", (h, i)), ("U", (h, h)), ("b", (h,)))
             if slot != "b" or p["biases"] > 0}
    return first | ({f"b2_{g}": (h,) for g in GATES} if p["biases"] > 1 else {})


def _attention(p):
    d, q = p["d_model"], p["num_heads"] * p["head_dim"]
    k, v = p["num_kv_heads"] * p["head_dim"], p["num_kv_heads"] * p["value_dim"]
    o, out = p["num_heads"] * p["value_dim"], p["out_features"]
    return ({"Wq": (q, d), "Wk": (k, p["key_features"]), "Wv": (v, p["value_features"]), "Wo": (out, o)}
            | _if(p["q_bias"], bq=(q,)) | _if(p["k_bias"], bk=(k,)) | _if(p["v_bias"], bv=(v,))
            | _if(p["o_bias"], bo=(out,)))


def _norm(p):
    return _if(p["scale"], gamma=(p["dim"],)) | _if(p.get("offset"), beta=(p["dim"],))


def _embedding(p):
    return {"table": (p["vocab_size"], p["embedding_dim"])}


def _swiglu(p):
    i, m = p["in_features"], p["hidden_features"]
    return ({"Wg": (m, i), "Wu": (m, i), "Wd": (i, m)}
            | _if(p["bias"], bg=(m,), bu=(m,), bd=(i,)))


def _if(given, **shapes):
    return shapes if given else {}


SLOTS = {"dense": _dense, "conv1": _conv, "conv2": _conv, "conv3": _conv, "rnn": _rnn, "lstm": _lstm,
         "attention": _attention, "layernorm": _norm, "rmsnorm": _norm, "embedding": _embedding,
         "swiglu": _swiglu}
