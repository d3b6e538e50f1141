"""Small networks for the tests of loom-stream --lower, as layer streams.

lowering.py    writes NAME.stream of each and NAME.npy, an input, of those that can be lowered; prints EXACT

NETS are those that layers of plain Loom can compute, each with an input and what comes out in float64, by
NumPy alone; of EXACT every bit stays; REFUSED are those that they cannot.  Weights are of unit scale, made
from the network's name.
"""
import json
import sys
import zlib

import numpy as np


class Net:
    """Nodes and the bytes of their weights, in the order of the calls."""

    def __init__(self, name, *shape, dtype="float32"):
        self.random = np.random.default_rng(zlib.crc32(name.encode()))
        self.inputs = [{"name": "x", "dtype": dtype, "shape": list(shape)}]
        self.nodes, self.payload, self.outputs = [], b"", None

    def values(self, *shape, dtype="f4"):
        return self.random.normal(size=shape).astype(np.float32).astype(dtype)

    def node(self, name, op, read, weights=(), **params):
        tensors = []
        for slot, array, axes in weights:
            self.payload += array.tobytes()
            tensors.append({"slot": slot, "dtype": str(array.dtype), "shape": list(array.shape), "axes": list(axes)})
        read = [read] if isinstance(read, str) else read
        self.nodes.append({"name": name, "op": op, "in": read, "params": params, "tensors": tensors})
        return name

    def dense(self, name, read, w, b):
        slots = [("weight", w, "oi")] + ([("bias", b, "o")] if b is not None else [])
        return self.node(name, "dense", read, slots, in_features=w.shape[1], out_features=w.shape[0], bias=b is not None)

    def conv(self, name, read, w, b, stride=1, pad=0, op="conv", **other):
        n = w.ndim - 2
        params = {"in_channels": w.shape[1], "out_channels": w.shape[0], "kernel": list(w.shape[2:]), "stride": [stride] * n,
                  "dilation": [1] * n, "pad_low": [pad] * n, "pad_high": [pad] * n, "groups": 1, "bias": b is not None}
        slots = [("weight", w, {1: "fcw", 2: "fchw", 3: "fcdhw"}[n])] + ([("bias", b, "f")] if b is not None else [])
        return self.node(name, f"{op}{n}", read, slots, **(params | other))

    def norm(self, name, read, op, eps, gamma, beta=None):
        slots = [("gamma", gamma, "n")] + ([("beta", beta, "n")] if beta is not None else [])
        more = {"offset": True} if beta is not None else {}
        return self.node(name, op, read, slots, dim=len(gamma), eps=eps, scale=True, **more)

    def rnn(self, name, read, w, u, b):
        params = {"input_size": w.shape[1], "hidden_size": w.shape[0], "biases": 1, "activation": "tanh",
                  "direction": "forward", "order": "time"}
        return self.node(name, "rnn", read, [("W", w, "hi"), ("U", u, "hu"), ("b", b, "h")], **params)

    def attention(self, name, read, weights, heads, kv, width, **other):
        d, bias = weights[0].shape[1], len(weights) == 8
        params = {"d_model": d, "key_features": d, "value_features": d, "out_features": d, "num_heads": heads,
                  "num_kv_heads": kv, "head_dim": width, "value_dim": width, "causal": True, "rope": "none", "rope_base": None,
                  "scale": None, "mask": "none", "fill": "-inf", "empty": "zero"} | {f"{k}_bias": bias for k in "qkvo"}
        slots = zip(("Wq", "Wk", "Wv", "Wo", "bq", "bk", "bv", "bo"), weights, ("qd", "kd", "vd", "do", "q", "k", "v", "d"))
        return self.node(name, "attention", read, slots, **(params | other))

    def stream(self):
        head = {"loom_stream": 2, "planet": "test", "mode": "eval", "nodes": len(self.nodes), "bytes": len(self.payload),
                "inputs": self.inputs, "outputs": self.outputs or [self.nodes[-1]["name"]]}
        lines = b"".join(json.dumps(line).encode() + b"\n" for line in [head, *self.nodes])
        return lines + self.payload + json.dumps({"end": True, "bytes": len(self.payload)}).encode() + b"\n"


# ---- what the layers compute, in float64 ----

def affine(x, w, b):
    return np.float64(x) @ np.float64(w).T + b


def convolution(x, w, b, stride, pad):
    n = w.ndim - 2
    x = np.pad(np.float64(x), [(0, 0), (0, 0)] + [(pad, pad)] * n)
    windows = np.lib.stride_tricks.sliding_window_view(x, w.shape[2:], tuple(range(2, n + 2)))
    windows = windows[(slice(None), slice(None)) + (slice(None, None, stride),) * n]
    y = np.tensordot(windows, np.float64(w), ((1, *range(-n, 0)), tuple(range(1, n + 2))))
    return np.moveaxis(y + b, -1, 1)


def transposed(x, w, b, stride, low, high):
    """Every place of x adds its filters' weights where they fall; then so much is cut off."""
    n, y = w.ndim - 2, np.zeros([len(x), len(w), *((e - 1) * stride + k for e, k in zip(x.shape[2:], w.shape[2:]))])
    for at in np.ndindex(*x.shape[2:]):
        under = tuple(slice(p * stride, p * stride + k) for p, k in zip(at, w.shape[2:]))
        y[(slice(None), slice(None), *under)] += np.tensordot(np.float64(x[(slice(None), slice(None), *at)]), np.float64(w), (1, 1))
    return y[(slice(None), slice(None), *(slice(low, e - high) for e in y.shape[2:]))] + np.reshape(b, (-1, *[1] * n))


def layernorm(x, gamma, beta, eps):
    x = x - x.mean(-1, keepdims=True)
    return x / np.sqrt((x * x).mean(-1, keepdims=True) + eps) * gamma + beta


def rmsnorm(x, gamma, eps):
    return x / np.sqrt((x * x).mean(-1, keepdims=True) + eps) * gamma


def turned(x, base, pairs):
    """Rotary positions: x is [s, heads, width], pairs the two places of each pair."""
    for j, (a, b) in enumerate(pairs):
        angle = np.arange(len(x))[:, None] / base ** (2 * j / x.shape[2])
        u, v = x[:, :, a].copy(), x[:, :, b].copy()
        x[:, :, a], x[:, :, b] = u * np.cos(angle) - v * np.sin(angle), u * np.sin(angle) + v * np.cos(angle)
    return x


def attention(x, weights, heads, kv, width, rope="none", rope_base=None, scale=None):
    wq, wk, wv, wo, *biases = (np.float64(w) for w in weights)
    bq, bk, bv, bo = biases or (0, 0, 0, 0)
    q, k, v = (affine(x, w, b).reshape(len(x), -1, width) for w, b in ((wq, bq), (wk, bk), (wv, bv)))
    half = width // 2
    pairs = {"none": [], "half": [(j, j + half) for j in range(half)], "interleaved": [(2 * j, 2 * j + 1) for j in range(half)]}
    q, k = turned(q, rope_base, pairs[rope]), turned(k, rope_base, pairs[rope])
    k, v = np.repeat(k, heads // kv, 1), np.repeat(v, heads // kv, 1)
    scores = np.einsum("qhe,khe->hqk", q, k) * (width ** -0.5 if scale is None else scale)
    scores = np.exp(np.where(np.tri(len(x), dtype=bool), scores, -np.inf))
    mixed = np.einsum("hqk,khe->qhe", scores / scores.sum(-1, keepdims=True), v)
    return affine(mixed.reshape(len(x), -1), wo, bo)


def recurrent(x, op, weights):
    """One layer, zero before the first step; weights W, U, b, b2 of each gate."""
    sigmoid = lambda z: 1 / (1 + np.exp(-z))
    h = c = np.zeros((len(x), len(weights[0][0])))
    out = []
    for t in range(x.shape[1]):
        z = [affine(x[:, t], w, b) + affine(h, u, b2) for w, u, b, b2 in weights]
        if op == "rnn":
            h = np.tanh(z[0])
        else:
            c = sigmoid(z[1]) * c + sigmoid(z[0]) * np.tanh(z[2])
            h = sigmoid(z[3]) * np.tanh(c)
        out.append(h)
    return np.stack(out, 1)


# ---- networks that can be lowered: the net, an input, the output ----

NETS, EXACT = {}, set()


def lowered(*names, exact=False):
    """Each name is a network that the function makes of it; exact: it keeps every bit of its output."""
    def add(make):
        for name in names:
            NETS[name] = make
            if exact:
                EXACT.add(name)
        return make
    return add


@lowered("dense", exact=True)
def dense(name):
    n = Net(name, "batch", 5)
    w, b, x = n.values(7, 5), n.values(7), n.values(3, 5)
    n.node("y", "tanh", n.dense("h", "x", w, b))
    return n, x, np.tanh(affine(x, w, b))


@lowered("dense-float16")
def dense_float16(name):
    n = Net(name, "batch", 5)
    w, b, x = n.values(7, 5, dtype="f2"), n.values(7), n.values(3, 5)
    n.node("y", "relu", n.dense("h", "x", w, b))
    return n, x, np.maximum(affine(x, w, b), 0)


@lowered("classifier", exact=True)
def classifier(name):
    n = Net(name, "batch", 1, 6, 5)
    w, b, v, c, x = n.values(3, 1, 3, 3), n.values(3), n.values(4, 3 * 6 * 5), n.values(4), n.values(2, 1, 6, 5)
    n.node("r", "relu", n.conv("c", "x", w, b, pad=1))
    n.node("f", "flatten", "r", start=1, end=-1)
    n.dense("y", "f", v, c)
    return n, x, affine(np.maximum(convolution(x, w, b, 1, 1), 0).reshape(2, -1), v, c)


KERNELS = {"inner": (3, 1, 1), "strided": (3, 2, 1), "unpadded": (2, 2, 0), "bordered": (1, 1, 1), "wide": (2, 1, 2)}


@lowered(*(f"conv{n}-{kind}" for n in (1, 2, 3) for kind in KERNELS), exact=True)
def conv(name):
    kernel, stride, pad = KERNELS[name.split("-")[1]]
    extents = (6, 5, 4)[:int(name[4])]
    n = Net(name, "batch", 2, *extents)
    w, b, x = n.values(3, 2, *[kernel] * len(extents)), n.values(3), n.values(2, 2, *extents)
    n.node("y", "relu", n.conv("c", "x", w, b, stride, pad))
    return n, x, np.maximum(convolution(x, w, b, stride, pad), 0)


@lowered("conv2-ahead", exact=True)
def conv_ahead(name):
    n = Net(name, "batch", 2, 6, 5)
    w, b, x = n.values(3, 2, 2, 2), n.values(3), n.values(2, 2, 6, 5)
    n.conv("y", "x", w, b, pad_high=[2, 1])
    return n, x, convolution(np.pad(x, [(0, 0), (0, 0), (0, 2), (0, 1)]), w, b, 1, 0)


@lowered("conv2-float16")
def conv_float16(name):
    n = Net(name, "batch", 2, 6, 5)
    w, b, x = n.values(3, 2, 3, 3, dtype="f2"), n.values(3), n.values(2, 2, 6, 5)
    n.node("y", "silu", n.conv("c", "x", w, b, pad=1))
    y = convolution(x, w, b, 1, 1)
    return n, x, y / (1 + np.exp(-y))


BLOCKS = {"double": (3, 2, 1, 0), "tiles": (2, 2, 0, 0), "same": (3, 1, 1, 1), "wide": (4, 2, 1, 1)}


@lowered(*(f"transposed{n}-{kind}" for n in (1, 2, 3) for kind in BLOCKS), exact=True)
def transpose(name):
    kernel, stride, low, high = BLOCKS[name.split("-")[1]]
    extents = (4, 3, 2)[:int(name[10])]
    n, axes = Net(name, "batch", 2, *extents), len(extents)
    w, b, x = n.values(3, 2, *[kernel] * axes), n.values(3), n.values(2, 2, *extents)
    n.node("y", "relu", n.conv("c", "x", w, b, stride, low, "convtranspose", pad_high=[high] * axes))
    return n, x, np.maximum(transposed(x, w, b, stride, low, high), 0)


@lowered("transposed1-open", "transposed2-open", "transposed2-gaps")
def transpose_open(name):
    """No block of taps reaches each result once: the bias is added behind."""
    kernel, stride = (3, 1) if name.endswith("open") else (2, 3)
    extents = (4, 3)[:int(name[10])]
    n, axes = Net(name, "batch", 2, *extents), len(extents)
    w, b, x = n.values(3, 2, *[kernel] * axes), n.values(3), n.values(2, 2, *extents)
    n.node("y", "tanh", n.conv("c", "x", w, b, stride, 0, "convtranspose"))
    return n, x, np.tanh(transposed(x, w, b, stride, 0, 0))


@lowered("layernorm-1e-3", "layernorm-1e-12", "rmsnorm-1e-5", "rmsnorm-1e-3")
def norm(name):
    op, eps = name.split("-", 1)
    n = Net(name, "batch", 6)
    gamma, beta, x = n.values(6), n.values(6), n.values(4, 6) * np.float32(1e-2)
    n.norm("y", "x", op, float(eps), gamma, beta if op == "layernorm" else None)
    wide = np.float64(x)
    return n, x, layernorm(wide, gamma, beta, float(eps)) if op == "layernorm" else rmsnorm(wide, gamma, float(eps))


@lowered("rnn-as-image", exact=True)
def rnn_as_image(name):
    n = Net(name, "batch", 4, 3)
    gate, w, b = (n.values(3, 3), n.values(3, 3), n.values(3)), n.values(2, 3, 2), n.values(2)
    x = n.values(2, 4, 3)
    n.conv("y", n.node("i", "reshape", n.rnn("r", "x", *gate), shape=["batch", 3, 4]), w, b)
    return n, x, convolution(recurrent(x, "rnn", [(*gate, 0)]).reshape(2, 3, 4), w, b, 1, 0)


def heads(n, d, q, kv, width, bias=True):
    """Weights of an attention layer."""
    shapes = (q * width, d), (kv * width, d), (kv * width, d), (d, q * width)
    weights = [n.values(*s) / np.float32(d ** 0.5) for s in shapes]
    return weights + [n.values(s) for s in (q * width, kv * width, kv * width, d)] * bias


@lowered("attention-none", "attention-none-long", "attention-interleaved", exact=True)
@lowered("attention-none-scale", "attention-half-scale")
def attend(name):
    shape = (64, 1, 1, 64) if name.endswith("long") else (8, 4, 2, 4)
    n = Net(name, "s", shape[0])
    weights, x = heads(n, *shape, bias="scale" not in name), n.values(40 if shape[0] == 64 else 7, shape[0])
    rope = name.split("-")[1]
    other = {"rope": rope, "rope_base": None if rope == "none" else 10000.0, "scale": 0.3 if "scale" in name else None}
    n.attention("y", "x", weights, *shape[1:], **other)
    return n, x, attention(x, weights, *shape[1:], **other)


@lowered("rnn", "lstm")
def recur(name):
    n = Net(name, "batch", 5, 3)
    gates, more = ([""], {"activation": "tanh"}) if name == "rnn" else (["_i", "_f", "_g", "_o"], {})
    weights = [(n.values(4, 3), n.values(4, 4), n.values(4), n.values(4)) for _ in gates]
    slots = [(s + g, w[k], a) for g, w in zip(gates, weights) for k, (s, a) in enumerate((("W", "hi"), ("U", "hu"), ("b", "h")))]
    slots += [("b2" + g, w[3], "h") for g, w in zip(gates, weights)]
    n.node("y", name, "x", slots, input_size=3, hidden_size=4, biases=2, direction="forward", order="time", **more)
    x = n.values(2, 5, 3)
    return n, x, recurrent(x, name, weights)


@lowered("skip-add", "skip-residual", "skip-nested", exact=True)
def skip(name):
    n = Net(name, "batch", 5)
    w, b, v, c, x = n.values(7, 5), n.values(7), n.values(5, 7), n.values(5), n.values(3, 5)
    n.dense("u", n.node("t", "tanh", n.dense("h", "x", w, b)), v, c)
    y = x + affine(np.tanh(affine(x, w, b)), v, c)
    if name == "skip-add":
        n.node("y", "add", ["x", "u"])
    else:
        n.node("y", "residual", ["u", "x"])
    if name == "skip-nested":
        n.node("z", "add", [n.node("r", "relu", "y"), "y"])
        n.node("w", "add", ["x", "z"])
        y = x + (np.maximum(y, 0) + y)
    return n, x, y


@lowered("embedding", exact=True)
def embed(name):
    n = Net(name, "s", dtype="int64")
    table, w, b, x = n.values(9, 4), n.values(3, 4), n.values(3), np.array([1, 8, 0, 5, 8], np.float32)
    n.node("e", "embedding", "x", [("table", table, "vd")], vocab_size=9, embedding_dim=4, outside="zero", wrap=False)
    n.dense("y", "e", w, b)
    return n, x, affine(table[np.int64(x)], w, b)


@lowered("transformer")
def transformer(name):
    n = Net(name, "s", 8)
    weights, x = heads(n, 8, 2, 1, 4), n.values(6, 8)
    g, e, k, f = (n.values(8) for _ in range(4))
    w, b, v, c = n.values(12, 8), n.values(12), n.values(8, 12), n.values(8)
    n.attention("a", n.norm("n", "x", "layernorm", 1e-3, g, e), weights, 2, 1, 4)
    n.norm("m", n.node("h", "add", ["x", "a"]), "layernorm", 1e-3, k, f)
    n.dense("d", n.node("r", "relu", n.dense("u", "m", w, b)), v, c)
    n.node("y", "add", ["h", "d"])
    h = x + attention(layernorm(np.float64(x), g, e, 1e-3), weights, 2, 1, 4)
    return n, x, h + affine(np.maximum(affine(layernorm(h, k, f, 1e-3), w, b), 0), v, c)


@lowered("attention-first")
def attention_first(name):
    n = Net(name, "s", 8)
    weights, w, b, x = heads(n, 8, 2, 2, 4), n.values(3, 8), n.values(3), n.values(6, 8)
    g = n.values(8)
    n.dense("y", n.norm("n", n.attention("a", "x", weights, 2, 2, 4), "rmsnorm", 1e-3, g), w, b)
    return n, x, affine(rmsnorm(attention(x, weights, 2, 2, 4), g, 1e-3), w, b)


# ---- networks that cannot ----

def a_conv(**other):
    def build(n):
        groups = other.get("groups", 1)
        w = n.values(2, 2 // groups, *other.get("kernel", (3, 3)))
        n.conv("y", "x", w, None, **({"in_channels": 2, "pad_low": [1, 1], "pad_high": [1, 1]} | other))
    return build


def a_transposed(dtype="f4", **other):
    def build(n):
        w = n.values(2, 2 // other.get("groups", 1), 3, 3, dtype=dtype)
        n.conv("y", "x", w, None, 2, 1, "convtranspose", **({"in_channels": 2} | other))
    return build


def a_gru(n):
    slots = [(s + g, n.values(*e), a) for g in ("_r", "_z", "_n") for s, e, a in (("W", (3, 4), "hi"), ("U", (3, 3), "hu"))]
    n.node("y", "gru", "x", slots, input_size=4, hidden_size=3, biases=0, direction="forward", order="time", reset_after=True)


def sequence_lengths(n):
    n.inputs.append({"name": "lengths", "dtype": "int64", "shape": ["batch"]})
    n.rnn("y", "x", n.values(3, 4), n.values(3, 3), n.values(3))
    n.nodes[0]["in"] = ["x", None, "lengths"]


def a_function(op, **params):
    return lambda n: n.node("y", op, n.dense("h", "x", n.values(3, 4), n.values(3)), **params)


def an_attention(d=4, width=2, q=2, **other):
    return lambda n: n.attention("y", "x", heads(n, d, q, 1, width), q, 1, width, **other)


def branches(n):
    n.dense("g", "x", n.values(4, 4), n.values(4))
    n.dense("h", "x", n.values(4, 4), n.values(4))
    n.node("y", "add", ["g", "h"])


def crossing(n):
    n.dense("h", "x", n.values(4, 4), None)
    n.node("i", "add", ["x", n.dense("g", "h", n.values(4, 4), None)])
    n.node("y", "add", [n.dense("j", "i", n.values(4, 4), None), "g"])


def unequal(n):
    n.node("y", "add", ["x", n.dense("h", "x", n.values(4, 1), None)])


def too_great(n):
    b = n.values(3)
    b[1] = -2e38
    n.dense("y", "x", n.values(3, 4), b)


def sums_too_great(n):
    huge = np.full(4, 2e38, np.float32)
    slots = [("W", n.values(4, 4), "hi"), ("U", n.values(4, 4), "hu"), ("b", huge, "h"), ("b2", huge, "h")]
    n.node("y", "rnn", "x", slots, input_size=4, hidden_size=4, biases=2, activation="tanh", direction="forward", order="time")


def tied(n):
    n.dense("h", "x", n.values(4, 4), n.values(4))
    n.dense("y", "h", n.values(4, 4), None)
    n.nodes[1]["tensors"] = [{"slot": "weight", "same": "h.weight"}]
    n.payload = n.payload[:-64]


def two_inputs(n):
    n.inputs.append(n.inputs[0] | {"name": "z"})
    n.node("y", "add", ["x", "z"])


def two_outputs(n):
    n.outputs = [n.dense("h", "x", n.values(4, 4), None), n.dense("y", "h", n.values(4, 4), None)]


def not_last(n):
    n.outputs = [n.dense("h", "x", n.values(4, 4), n.values(4))]
    n.dense("y", "h", n.values(4, 4), None)


def recurrent_relu(n):
    slots = [("W", n.values(3, 4), "hi"), ("U", n.values(3, 3), "hu"), ("b", n.values(3), "h")]
    n.node("y", "rnn", "x", slots, input_size=4, hidden_size=3, biases=1, activation="relu", direction="forward", order="time")


def row_as_sequence(n):
    n.rnn("r", n.node("s", "reshape", "x", shape=["batch", 1, 3]), n.values(3, 3), n.values(3, 3), n.values(3))


def image_as_rows(n):
    n.dense("y", n.node("f", "flatten", "x", start=1, end=-1), n.values(3, 24), n.values(3))


def normed_image_as_sequence(n):
    read = n.norm("m", n.conv("c", "x", n.values(1, 1, 1), n.values(1)), "rmsnorm", 1e-3, n.values(3))
    n.rnn("r", read, n.values(3, 3), n.values(3, 3), n.values(3))


REFUSED = {
    "gelu-erf": (("batch", 4), a_function("gelu", approximate="none")),
    "slope": (("batch", 4), a_function("leaky_relu", negative_slope=0.2)),
    "softmax": (("batch", 4), a_function("softmax", axis=-1)),
    "transpose": (("batch", 4), a_function("transpose", perm=[1, 0])),
    "not-causal": (("s", 4), an_attention(causal=False)),
    "batch": (("batch", "s", 4), an_attention()),
    "row-as-sequence": (("batch", 3), row_as_sequence),
    "image-as-rows": (("batch", 2, 3, 4), image_as_rows),
    "image-first": (("batch", 2, 3, 4), lambda n: n.node("y", "tanh", "x")),
    "normed-image-as-sequence": (("batch", 1, 3), normed_image_as_sequence),
    "long": ((513, 4), an_attention()),
    "narrow": (("s", 6), an_attention(d=6, q=1, rope="half", rope_base=10000.0)),
    "groups": (("batch", 2, 5, 4), a_conv(groups=2)),
    "dilation": (("batch", 2, 7, 8), a_conv(dilation=[2, 2])),
    "kernel": (("batch", 2, 7, 8), a_conv(kernel=[3, 2])),
    "pads": (("batch", 2, 7, 8), a_conv(pad_low=[1, 0])),
    "extents": (("batch", 2, "h", 8), a_conv()),
    "transposed-groups": (("batch", 2, 5, 4), a_transposed(groups=2)),
    "transposed-dilation": (("batch", 2, 5, 4), a_transposed(dilation=[1, 2])),
    "transposed-pads": (("batch", 2, 5, 4), a_transposed(pad_low=[1, 0])),
    "transposed-float16": (("batch", 2, 5, 4), a_transposed("f2")),
    "transposed-extents": (("batch", 2, "h", 4), a_transposed()),
    "gru": (("batch", 5, 4), a_gru),
    "sequence-lengths": (("batch", 5, 4), sequence_lengths),
    "rows": (("batch", "s", 4), lambda n: n.dense("y", "x", n.values(3, 4), n.values(3))),
    "product": (("batch", 4), lambda n: n.node("y", "mul", [n.dense("h", "x", n.values(4, 4), None), "x"])),
    "branches": (("batch", 4), branches),
    "crossing": (("batch", 4), crossing),
    "unequal": (("batch", 1), unequal),
    "eps-zero": (("batch", 4), lambda n: n.norm("y", "x", "rmsnorm", 0.0, n.values(4))),
    "too-great": (("batch", 4), too_great),
    "sums-too-great": (("batch", 3, 4), sums_too_great),
    "tied": (("batch", 4), tied),
    "two-inputs": (("batch", 4), two_inputs),
    "two-outputs": (("batch", 4), two_outputs),
    "not-last": (("batch", 4), not_last),
    "relu-rnn": (("batch", 3, 4), recurrent_relu),
    "lengths": (("batch", "s", 4), lambda n: (recurrent_relu(n), n.nodes[0]["params"].update(activation="tanh"))),
}


def refused(name):
    shape, build = REFUSED[name]
    n = Net(name, *shape)
    build(n)
    return n


if __name__ == "__main__":
    for name in (*NETS, *REFUSED):
        net, x = NETS[name](name)[:2] if name in NETS else (refused(name), None)
        with open(f"{name}.stream", "wb") as out:
            out.write(net.stream())
        if x is not None:
            np.save(f"{name}.npy", x)
    print("\n".join(sorted(EXACT)))
