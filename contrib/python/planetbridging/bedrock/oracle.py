"""Networks in float64 NumPy, from the definitions of the operations: the third column of every table.

It shares nothing with the frameworks, the emitters and the Loom programs, and is never called native.
Arrays have their canonical axes.
"""

from __future__ import annotations

import math

import numpy as np

from ..graph import BridgeError
from .network import GATES, Layer, Network, Weights


def run(network: Network, weights: Weights, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The outputs by name; see `taps`."""
    values = taps(network, weights, inputs)
    return {name: values[name] for name in network.outputs}


def taps(network: Network, weights: Weights, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Every tensor of the network by name, the inputs among them; floats are float64 throughout."""
    values = {name: widened(array) for name, array in inputs.items()}
    for layer in network.layers:
        slots = {name.rsplit(".", 1)[1]: widened(array) for name, array in weights.items()
                 if name.rsplit(".", 1)[0] == layer.name}
        made = compute(layer, slots, [None if name is None else values[name] for name in layer.inputs])
        values.update(zip(layer.outputs, made if isinstance(made, tuple) else (made,)))
    return values


def widened(array: np.ndarray) -> np.ndarray:
    """Floats in float64, the rest as it is."""
    array = np.asarray(array)
    return array.astype(np.float64) if array.dtype.kind == "f" else array


def compute(layer: Layer, slots: dict, inputs: list):
    """What a layer makes of its inputs."""
    if layer.op not in OPERATIONS:
        raise BridgeError(f"{layer.name}: the oracle has no {layer.op}")
    return OPERATIONS[layer.op](layer.params, slots, *inputs)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def dense(p, w, x):
    return x @ w["weight"].T + (w["bias"] if p["bias"] else 0)


def convolution(p, w, x):
    """y[f, at] = sum over c, k of x[c, at*stride + k*dilation - low] * w[f, c, k], group by group."""
    n = len(p["kernel"])
    batch, space = x.shape[:-n - 1], x.shape[-n:]
    x = x.reshape(-1, p["in_channels"], *space)
    x = np.pad(x, [(0, 0), (0, 0), *zip(p["pad_low"], p["pad_high"])])
    out = tuple((size - d * (k - 1) - 1) // s + 1
                for size, k, d, s in zip(x.shape[2:], p["kernel"], p["dilation"], p["stride"]))
    c, f = p["in_channels"] // p["groups"], p["out_channels"] // p["groups"]
    y = np.zeros((len(x), p["groups"], f, math.prod(out)))
    for place in np.ndindex(*p["kernel"]):
        seen = x[(..., *(slice(k * d, k * d + s * (o - 1) + 1, s) for k, d, s, o in
                         zip(place, p["dilation"], p["stride"], out)))]
        kernel = w["weight"][(..., *place)].reshape(p["groups"], f, c)
        y += kernel @ seen.reshape(len(x), p["groups"], c, -1)
    y = y.reshape(len(x), p["out_channels"], *out)
    if p["bias"]:
        y += w["bias"].reshape(-1, *[1] * n)
    return y.reshape(*batch, p["out_channels"], *out)


def steps(p, x):
    """The times of a sequence [..., s, feature] in the order in which a layer of direction sees them."""
    times = range(x.shape[-2])
    return reversed(times) if p["direction"] == "backward" else times


def ordered(p, outputs: dict) -> np.ndarray:
    """Outputs by time as one sequence, in the order that the layer promises."""
    times = sorted(outputs, reverse=p.get("order") == "reversed")
    return np.stack([outputs[t] for t in times], axis=-2)


def bias(p, w, gate=""):
    """All biases of a gate."""
    return sum((w[f"{name}{gate}"] for name in ("b", "b2")[:p["biases"]]), 0.0)


def rnn(p, w, x, h=None):
    act = {"tanh": np.tanh, "relu": lambda z: np.maximum(z, 0)}[p["activation"]]
    h = np.zeros((*x.shape[:-2], p["hidden_size"])) if h is None else h
    outputs = {}
    for t in steps(p, x):
        h = outputs[t] = act(x[..., t, :] @ w["W"].T + h @ w["U"].T + bias(p, w))
    return ordered(p, outputs), h


def lstm(p, w, x, h=None, c=None):
    zero = np.zeros((*x.shape[:-2], p["hidden_size"]))
    h, c = (zero if s is None else s for s in (h, c))
    outputs = {}
    for t in steps(p, x):
        i, f, g, o = (x[..., t, :] @ w[f"W_{n}"].T + h @ w[f"U_{n}"].T + bias(p, w, f"_{n}")
                      for n in GATES)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        h = outputs[t] = sigmoid(o) * np.tanh(c)
    return ordered(p, outputs), h, c


def heads(x, count: int):
    """[..., s, count*e] as [..., count, s, e]."""
    return np.moveaxis(x.reshape(*x.shape[:-1], count, -1), -2, -3)


def rotated(p, x):
    """Rotary positions on [..., s, e], pairs (j, j + e/2) or (2j, 2j + 1)."""
    if p["rope"] == "none":
        return x
    half = x.shape[-1] // 2
    angle = np.arange(x.shape[-2])[:, None] * float(p["rope_base"]) ** (-np.arange(half) / half)
    if p["rope"] == "half":
        first, second = slice(half), slice(half, None)
    else:
        first, second = slice(0, None, 2), slice(1, None, 2)
    y = np.empty_like(x)
    y[..., first] = x[..., first] * np.cos(angle) - x[..., second] * np.sin(angle)
    y[..., second] = x[..., first] * np.sin(angle) + x[..., second] * np.cos(angle)
    return y


def hidden_by(mask, kind: str):
    """(what the mask hides, what it adds)."""
    if mask is None:
        return False, 0.0
    return {"keep": lambda: (~mask, 0.0), "hide": lambda: (mask, 0.0),
            "add": lambda: (False, mask)}[kind]()


def attention(p, w, query, key=None, value=None, mask=None):
    key = query if key is None else key
    value = key if value is None else value
    q, k, v = (x @ w[f"W{n}"].T + w.get(f"b{n}", 0) for n, x in (("q", query), ("k", key), ("v", value)))
    q, k, v = heads(q, p["num_heads"]), heads(k, p["num_kv_heads"]), heads(v, p["num_kv_heads"])
    each = p["num_heads"] // p["num_kv_heads"]
    k, v = np.repeat(rotated(p, k), each, axis=-3), np.repeat(v, each, axis=-3)
    scale = 1 / math.sqrt(p["head_dim"]) if p["scale"] is None else p["scale"]
    scores = rotated(p, q) @ np.swapaxes(k, -1, -2) * scale
    hidden, added = hidden_by(mask, p["mask"])
    if p["causal"]:
        hidden = hidden | np.triu(np.ones(scores.shape[-2:], bool), 1)
    fill = {"-inf": -np.inf, "least": float(np.finfo(np.float32).min), "-1e9": -1e9}[p["fill"]]
    y = softmax(np.where(hidden, fill, scores + added), p["empty"]) @ v
    y = np.moveaxis(y, -3, -2)
    return y.reshape(*y.shape[:-2], -1) @ w["Wo"].T + w.get("bo", 0)


def softmax(scores, empty: str):
    """Over the last axis; a row of nothing but -inf is what `empty` says."""
    top = scores.max(axis=-1, keepdims=True)
    nothing = np.isneginf(top)
    if empty == "error" and nothing.any():
        raise BridgeError("attention: a row has nothing to see")
    e = np.exp(scores - np.where(nothing, 0, top))
    total = np.where(nothing, 1, e.sum(axis=-1, keepdims=True))
    return np.where(nothing, {"nan": np.nan}.get(empty, 0.0), e / total)


def layernorm(p, w, x):
    centred = x - x.mean(axis=-1, keepdims=True)
    y = centred / np.sqrt((centred ** 2).mean(axis=-1, keepdims=True) + p["eps"])
    return y * w.get("gamma", 1) + w.get("beta", 0)


def rmsnorm(p, w, x):
    return x / np.sqrt((x ** 2).mean(axis=-1, keepdims=True) + p["eps"]) * w.get("gamma", 1)


def embedding(p, w, ids):
    ids = np.trunc(ids).astype(np.int64)
    ids = np.where((ids == -1) & p["wrap"], p["vocab_size"] - 1, ids)
    outside = (ids < 0) | (ids >= p["vocab_size"])
    if outside.any() and p["outside"] == "error":
        raise BridgeError(f"embedding: id {ids[outside][0]} is outside the table of "
                          f"{p['vocab_size']} rows")
    rows = w["table"][np.where(outside, 0, ids)]
    return np.where(outside[..., None], {"nan": np.nan}.get(p["outside"], 0.0), rows)


def swiglu(p, w, x):
    act = {"silu": lambda z: z * sigmoid(z), "relu2": lambda z: np.maximum(z, 0) ** 2}[p["activation"]]
    gate = act(x @ w["Wg"].T + w.get("bg", 0)) * (x @ w["Wu"].T + w.get("bu", 0))
    return gate @ w["Wd"].T + w.get("bd", 0)


def reshape(p, w, x):
    """A named extent, which only the batch has, stays as it is."""
    return x.reshape([n if isinstance(n, int) else x.shape[0] for n in p["shape"]])


def flatten(p, w, x):
    start, end = (axis % x.ndim for axis in (p["start"], p["end"]))
    return x.reshape(*x.shape[:start], -1, *x.shape[end + 1:])


def sliced(p, w, x):
    places = [slice(None)] * x.ndim
    for axis, start, stop, step in zip(p["axes"], p["starts"], p["stops"], p["steps"]):
        places[axis] = slice(start, stop, step)
    return x[tuple(places)]


OPERATIONS = {
    "dense": dense, "conv1": convolution, "conv2": convolution, "conv3": convolution, "rnn": rnn,
    "lstm": lstm, "attention": attention, "layernorm": layernorm, "rmsnorm": rmsnorm,
    "embedding": embedding, "swiglu": swiglu, "reshape": reshape, "flatten": flatten, "slice": sliced,
    "linear": lambda p, w, x: x,
    "relu": lambda p, w, x: np.maximum(x, 0),
    "relu2": lambda p, w, x: np.maximum(x, 0) ** 2,
    "tanh": lambda p, w, x: np.tanh(x),
    "sigmoid": lambda p, w, x: sigmoid(x),
    "silu": lambda p, w, x: x * sigmoid(x),
    "softmax": lambda p, w, x: (lambda e: e / e.sum(p["axis"], keepdims=True))(
        np.exp(x - x.max(p["axis"], keepdims=True))),
    "add": lambda p, w, a, b: a + b,
    "sub": lambda p, w, a, b: a - b,
    "mul": lambda p, w, a, b: a * b,
    "div": lambda p, w, a, b: a / b,
    "residual": lambda p, w, x, skip=None: x if skip is None else x + skip,
    "concat": lambda p, w, *xs: np.concatenate(xs, p["axis"]),
    "transpose": lambda p, w, x: np.transpose(x, p["perm"]),
    "gather": lambda p, w, x, ids: np.take(x, ids, p["axis"]),
}
