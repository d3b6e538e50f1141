"""A layer stream run in float64 NumPy, node by node: the tests' independent idea of each operation.

Formulas are written from the definitions of the operations, not from the package.
"""

from __future__ import annotations

import math

import numpy as np

from planetbridging.stream import StreamDocument

ERF = np.vectorize(math.erf, otypes=[float])
LEAST = float(np.finfo(np.float32).min)

LSTM_SLOTS = {f"{slot}_{gate}": axes for gate in "ifgo"
              for slot, axes in (("W", "hi"), ("U", "hu"), ("b", "h"), ("b2", "h"))}
CANONICAL = {
    "dense": {"weight": "oi", "bias": "o"},
    "conv1": {"weight": "fcw", "bias": "f"},
    "conv2": {"weight": "fchw", "bias": "f"},
    "conv3": {"weight": "fcdhw", "bias": "f"},
    "rnn": {"W": "hi", "U": "hu", "b": "h", "b2": "h"},
    "lstm": LSTM_SLOTS,
    "attention": {"Wq": "qd", "Wk": "kd", "Wv": "vd", "Wo": "do",
                  "bq": "q", "bk": "k", "bv": "v", "bo": "d"},
    "layernorm": {"gamma": "n", "beta": "n"},
    "rmsnorm": {"gamma": "n"},
    "embedding": {"table": "vd"},
    "swiglu": {"Wg": "mi", "Wu": "mi", "Wd": "im", "bg": "m", "bu": "m", "bd": "i"},
}
"""The order of the axes in which the formulas below take each weight."""


def sigmoid(x):
    return np.where(x >= 0, 1, np.exp(-np.abs(x))) / (1 + np.exp(-np.abs(x)))


def gelu(x, approximate):
    if approximate == "tanh":
        return x / 2 * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))
    return x / 2 * (1 + ERF(x / math.sqrt(2)))


def softmax(x, axis):
    e = np.exp(x - x.max(axis, keepdims=True))
    return e / e.sum(axis, keepdims=True)


def relu2(x):
    return np.maximum(x, 0) ** 2


def silu(x):
    return x * sigmoid(x)


def padded(x, p, n, value):
    """`x` with its last n axes padded."""
    width = [(0, 0)] * (x.ndim - n) + list(zip(p["pad_low"], p["pad_high"]))
    return np.pad(x, width, constant_values=value)


def windows(x, kernel, stride, dilation, extents):
    """(tap, the elements under that tap of every window) over the last axes."""
    for tap in np.ndindex(*kernel):
        at = tuple(slice(t * d, t * d + (o - 1) * s + 1, s)
                   for t, d, o, s in zip(tap, dilation, extents, stride))
        yield tap, x[(..., *at)]


def conv(p, w, x):
    n = len(p["kernel"])
    lead = x.shape[:-n - 1]
    x = padded(x.reshape(-1, *x.shape[-n - 1:]), p, n, 0.0)
    extents = [(size - d * (k - 1) - 1) // s + 1 for size, d, k, s in
               zip(x.shape[2:], p["dilation"], p["kernel"], p["stride"])]
    assert min(extents) >= 1 and x.shape[1] == p["in_channels"]
    groups, weight = p["groups"], w["weight"]
    assert weight.shape == (p["out_channels"], p["in_channels"] // groups, *p["kernel"])
    parts = []
    for f, c in zip(np.split(weight, groups), np.split(x, groups, axis=1)):
        parts.append(sum(np.einsum("fc,bc...->bf...", f[(..., *tap)], under) for tap, under in
                         windows(c, p["kernel"], p["stride"], p["dilation"], extents)))
    y = np.concatenate(parts, 1)
    if p["bias"]:
        y = y + w["bias"].reshape(-1, *[1] * n)
    return y.reshape(*lead, *y.shape[1:])


def pool_extent(size, k, s, d, low, high, ceil):
    """Number of windows; with `ceil` one more that starts inside the input or its low padding."""
    room = size + low + high - d * (k - 1) - 1
    if not ceil:
        return room // s + 1
    count = -(-room // s) + 1
    return count - 1 if (count - 1) * s >= size + low else count


def pooled(p, x, value, dilation):
    """(extents, padded x): enough of `value` at the high side for windows that hang over."""
    n = len(p["kernel"])
    extents = [pool_extent(*a, p["ceil"]) for a in
               zip(x.shape[-n:], p["kernel"], p["stride"], dilation, p["pad_low"], p["pad_high"])]
    assert min(extents) >= 1
    more = [(0, 0)] * (x.ndim - n) + [(0, k * d + s) for k, d, s in
                                      zip(p["kernel"], dilation, p["stride"])]
    return extents, np.pad(padded(x, p, n, value), more, constant_values=value)


def maxpool(p, w, x):
    extents, wide = pooled(p, x, -np.inf, p["dilation"])
    return np.max([u for _, u in windows(wide, p["kernel"], p["stride"], p["dilation"], extents)], 0)


def avgpool(p, w, x):
    n = len(p["kernel"])
    ones = [1] * n
    extents, wide = pooled(p, x, 0.0, ones)
    total = sum(u for _, u in windows(wide, p["kernel"], p["stride"], ones, extents))
    inside = np.ones(x.shape[-n:])
    count = padded(inside, p, n, float(p["count_pad"]))
    count = np.pad(count, [(0, k + s) for k, s in zip(p["kernel"], p["stride"])])
    return total / sum(u for _, u in windows(count, p["kernel"], p["stride"], ones, extents))


def global_pool(function):
    return lambda p, w, x: function(x, tuple(range(-p["spatial"], 0)), keepdims=True)


def recurrent(p, x, step, states):
    """Run `step` over the steps; (outputs in time order or reversed, the last states)."""
    length = x.shape[-2]
    backward = p["direction"] == "backward"
    assert p["direction"] in ("forward", "backward") and p["order"] in ("time", "reversed")
    assert backward or p["order"] == "time"
    ys = []
    for t in reversed(range(length)) if backward else range(length):
        states = step(x[..., t, :], *states)
        ys.append(states[0])
    if backward and p["order"] == "time":
        ys.reverse()
    y = np.stack(ys, -2) if ys else np.zeros((*x.shape[:-2], 0, p["hidden_size"]))
    return [y, *states]


def initial(p, x, state):
    shape = (*x.shape[:-2], p["hidden_size"])
    if state is None:
        return np.zeros(shape)
    assert state.shape == shape
    return state


def rnn(p, w, x, h0=None):
    act = {"tanh": np.tanh, "relu": lambda v: np.maximum(v, 0)}[p["activation"]]
    bias = sum(w[slot] for slot in ("b", "b2")[:p["biases"]])
    return recurrent(p, x, lambda v, h: (act(v @ w["W"].T + h @ w["U"].T + bias),),
                     (initial(p, x, h0),))


def lstm(p, w, x, h0=None, c0=None):
    def step(v, h, c):
        z = {g: v @ w[f"W_{g}"].T + h @ w[f"U_{g}"].T
             + sum(w[f"{slot}_{g}"] for slot in ("b", "b2")[:p["biases"]]) for g in "ifgo"}
        c = sigmoid(z["f"]) * c + sigmoid(z["i"]) * np.tanh(z["g"])
        return sigmoid(z["o"]) * np.tanh(c), c
    return recurrent(p, x, step, (initial(p, x, h0), initial(p, x, c0)))


def rope(x, style, base):
    """x [..., s, e]: pairs (j, j+e/2) of "half", (2j, 2j+1) of "interleaved", turned by position."""
    e = x.shape[-1]
    j = np.arange(e // 2)
    angle = np.arange(x.shape[-2])[:, None] * float(base) ** (-2 * j / e)
    first, second = (j, j + e // 2) if style == "half" else (2 * j, 2 * j + 1)
    y = x.copy()
    y[..., first] = x[..., first] * np.cos(angle) - x[..., second] * np.sin(angle)
    y[..., second] = x[..., first] * np.sin(angle) + x[..., second] * np.cos(angle)
    return y


def visible_softmax(scores, empty):
    """Softmax over the last axis without the scores of -inf; `empty` says what such a row gives."""
    seen = scores > -np.inf
    some = seen.any(-1, keepdims=True)
    assert empty != "error" or some.all(), "a row with nothing to see"
    top = np.where(some, scores.max(-1, keepdims=True, initial=-np.inf), 0)
    e = np.exp(scores - top)
    return np.where(some, e / np.where(some, e.sum(-1, keepdims=True), 1),
                    np.nan if empty == "nan" else 0)


def attention(p, w, query, key=None, value=None, mask=None):
    key = query if key is None else key
    value = key if value is None else value
    heads, groups = p["num_heads"], p["num_kv_heads"]

    def projected(x, letter, count):
        y = x @ w["W" + letter].T + (w["b" + letter] if p[letter + "_bias"] else 0)
        return np.moveaxis(y.reshape(*y.shape[:-1], count, -1), -2, -3)
    q, k, v = (projected(*a) for a in
               ((query, "q", heads), (key, "k", groups), (value, "v", groups)))
    assert q.shape[-1] == k.shape[-1] == p["head_dim"] and v.shape[-1] == p["value_dim"]
    if p["rope"] != "none":
        q, k = rope(q, p["rope"], p["rope_base"]), rope(k, p["rope"], p["rope_base"])
    k, v = (np.repeat(a, heads // groups, -3) for a in (k, v))
    scale = 1 / math.sqrt(p["head_dim"]) if p["scale"] is None else p["scale"]
    scores = q @ np.swapaxes(k, -1, -2) * scale
    mixed = np.moveaxis(visible_softmax(hidden(p, scores, mask), p["empty"]) @ v, -3, -2)
    y = mixed.reshape(*mixed.shape[:-2], -1) @ w["Wo"].T
    assert y.shape[-1] == p["out_features"]
    return y + w["bo"] if p["o_bias"] else y


def hidden(p, scores, mask):
    """The scores with what the mask adds, and `fill` where it or causality hides."""
    assert (mask is None) == (p["mask"] == "none")
    hide = np.zeros(scores.shape, bool)
    if p["mask"] == "add":
        scores = scores + mask
    elif mask is not None:
        assert mask.dtype == bool
        hide = hide | (mask if p["mask"] == "hide" else ~mask)
    if p["causal"]:
        assert scores.shape[-1] == scores.shape[-2]
        hide = hide | ~np.tri(scores.shape[-1], dtype=bool)
    return np.where(hide, {"-inf": -np.inf, "least": LEAST, "-1e9": -1e9}[p["fill"]], scores)


def layernorm(p, w, x):
    assert x.shape[-1] == p["dim"]
    centred = x - x.mean(-1, keepdims=True)
    y = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + p["eps"])
    return y * w.get("gamma", 1) + w.get("beta", 0)


def rmsnorm(p, w, x):
    assert x.shape[-1] == p["dim"]
    return x / np.sqrt((x * x).mean(-1, keepdims=True) + p["eps"]) * w.get("gamma", 1)


def embedding(p, w, ids):
    table, count = w["table"], p["vocab_size"]
    assert table.shape == (count, p["embedding_dim"])
    rows = np.trunc(ids).astype(np.int64)
    if p["wrap"]:
        rows = np.where(rows < 0, rows + count, rows)
    outside = (rows < 0) | (rows >= count)
    assert p["outside"] != "error" or not outside.any(), "an id outside the vocabulary"
    y = table[np.where(outside, 0, rows)]
    return np.where(outside[..., None], {"nan": np.nan}.get(p["outside"], 0.0), y)


def swiglu(p, w, x):
    act = {"silu": silu, "relu2": relu2}[p["activation"]]
    bias = w if p["bias"] else {"bg": 0, "bu": 0, "bd": 0}
    return (act(x @ w["Wg"].T + bias["bg"]) * (x @ w["Wu"].T + bias["bu"])) @ w["Wd"].T + bias["bd"]


def dense(p, w, x):
    assert w["weight"].shape == (p["out_features"], p["in_features"])
    y = x @ w["weight"].T
    return y + w["bias"] if p["bias"] else y


def flatten(p, w, x):
    start, end = (a % max(x.ndim, 1) for a in (p["start"], p["end"]))
    assert start <= end
    return x.reshape(*x.shape[:start], math.prod(x.shape[start:end + 1]), *x.shape[end + 1:])


def gather(p, w, data, indices):
    assert indices.dtype == np.int64 and (indices >= 0).all()
    return np.take(data, indices, p["axis"])


OPERATIONS = {
    "dense": dense,
    "linear": lambda p, w, x: x,
    "relu": lambda p, w, x: np.maximum(x, 0),
    "relu2": lambda p, w, x: relu2(x),
    "tanh": lambda p, w, x: np.tanh(x),
    "sigmoid": lambda p, w, x: sigmoid(x),
    "silu": lambda p, w, x: silu(x),
    "leaky_relu": lambda p, w, x: np.where(x > 0, x, x * p["negative_slope"]),
    "gelu": lambda p, w, x: gelu(x, p["approximate"]),
    "softmax": lambda p, w, x: softmax(x, p["axis"]),
    "add": lambda p, w, a, b: a + b,
    "sub": lambda p, w, a, b: a - b,
    "mul": lambda p, w, a, b: a * b,
    "div": lambda p, w, a, b: a / b,
    "residual": lambda p, w, x, skip=None: x if skip is None else x + skip,
    "concat": lambda p, w, *xs: np.concatenate(xs, p["axis"]),
    "flatten": flatten,
    "transpose": lambda p, w, x: x.transpose(p["perm"]),
    "gather": gather,
    **dict.fromkeys(("conv1", "conv2", "conv3"), conv),
    **dict.fromkeys(("maxpool1", "maxpool2", "maxpool3"), maxpool),
    **dict.fromkeys(("avgpool1", "avgpool2", "avgpool3"), avgpool),
    "global_maxpool": global_pool(np.max),
    "global_avgpool": global_pool(np.mean),
    "rnn": rnn,
    "lstm": lstm,
    "attention": attention,
    "layernorm": layernorm,
    "rmsnorm": rmsnorm,
    "embedding": embedding,
    "swiglu": swiglu,
}
"""(parameters, weights by slot in canonical order, *inputs) to one output or a list of them."""


def run(document: StreamDocument, inputs: dict) -> dict[str, np.ndarray]:
    """The outputs by name, for inputs by name (any name, if there is one)."""
    values = run_all(document, inputs)
    return {name: values[name] for name in document.head["outputs"]}


def run_all(document: StreamDocument, inputs: dict) -> dict[str, np.ndarray]:
    """Every tensor of the network by name, its inputs too."""
    sizes, values = {}, {}
    for item in document.head["inputs"]:
        array = np.asarray(inputs[item["name"]] if len(inputs) > 1 else next(iter(inputs.values())))
        assert array.ndim == len(item["shape"]), item
        values[item["name"]] = array.astype(float) if item["dtype"] == "float32" else array
        sizes.update((d, n) for d, n in zip(item["shape"], array.shape) if isinstance(d, str)
                     and d.isidentifier())
        assert [extent(d, sizes) for d in item["shape"]] == list(array.shape), item
    for node in document.nodes:
        xs = [None if name is None else values[name] for name in node["in"]]
        made = compute(document, node, xs, sizes)
        names = node.get("out", [node["name"]])
        values.update(zip(names, made if isinstance(made, list) else [made]))
    return values


def extent(dim, sizes: dict) -> int:
    return dim if isinstance(dim, int) else eval(dim, {"__builtins__": {}}, sizes)


def compute(document: StreamDocument, node: dict, xs: list, sizes: dict):
    op, params = node["op"], node["params"]
    if op == "constant":
        value = document.values(node["name"], "value")
        assert list(value.shape) == params["shape"]
        return value
    if op == "reshape":
        return xs[0].reshape([extent(d, sizes) for d in params["shape"]])
    if op == "slice":
        return cut(params, xs[0], sizes)
    weights = {entry["slot"]: canonical(document, node["name"], entry["slot"])
               for entry in node.get("tensors", ())}
    assert set(weights) <= set(CANONICAL.get(op, ())), weights.keys()
    return OPERATIONS[op](params, weights, *xs)


def cut(p, x, sizes):
    """slice: nothing is clipped."""
    at = [slice(None)] * x.ndim
    for axis, start, stop, step in zip(*(p[key] for key in ("axes", "starts", "stops", "steps"))):
        start, stop = extent(start, sizes), extent(stop, sizes)
        assert 0 <= start <= stop <= x.shape[axis] and step >= 1, (p, x.shape)
        at[axis] = slice(start, stop, step)
    return x[tuple(at)]


def canonical(document: StreamDocument, name: str, slot: str) -> np.ndarray:
    """A weight's values with its axes in canonical order; a tie has those of what it is tied to."""
    entry = document.entry(name, slot)
    while "same" in entry:
        name, slot = entry["same"].rsplit(".", 1)
        entry = document.entry(name, slot)
    value = document.values(name, slot)
    order = CANONICAL.get(document.node(name)["op"], {}).get(slot)
    return value if order is None else value.transpose([entry["axes"].index(a) for a in order])
