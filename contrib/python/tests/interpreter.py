"""A layer stream run in float64 NumPy, node by node: the tests' independent idea of each operation.

Formulas are written from the definitions of the operations, not from the package.
"""

from __future__ import annotations

import math

import numpy as np

from elementary import ELEMENTARY, ERF, sigmoid
from planetbridging.stream import StreamDocument

LEAST = float(np.finfo(np.float32).min)

def gated(gates):
    return {f"{slot}_{gate}": axes for gate in gates
            for slot, axes in (("W", "hi"), ("U", "hu"), ("b", "h"), ("b2", "h"))}


CANONICAL = {
    "dense": {"weight": "oi", "bias": "o"},
    "conv1": {"weight": "fcw", "bias": "f"},
    "conv2": {"weight": "fchw", "bias": "f"},
    "conv3": {"weight": "fcdhw", "bias": "f"},
    "convtranspose1": {"weight": "fcw", "bias": "f"},
    "convtranspose2": {"weight": "fchw", "bias": "f"},
    "convtranspose3": {"weight": "fcdhw", "bias": "f"},
    "rnn": {"W": "hi", "U": "hu", "b": "h", "b2": "h"},
    "lstm": gated("ifgo"),
    "gru": gated("rzn"),
    "attention": {"Wq": "qd", "Wk": "kd", "Wv": "vd", "Wo": "do",
                  "bq": "q", "bk": "k", "bv": "v", "bo": "d"},
    "rotary": {"factors": "f"},
    "layernorm": {"gamma": "n", "beta": "n"},
    "rmsnorm": {"gamma": "n"},
    "batchnorm": {"gamma": "n", "beta": "n", "mean": "n", "var": "n"},
    "groupnorm": {"gamma": "n", "beta": "n"},
    "instancenorm": {"gamma": "n", "beta": "n"},
    "prelu": {"slope": ""},
    "embedding": {"table": "vd"},
    "swiglu": {"Wg": "mi", "Wu": "mi", "Wd": "im", "bg": "m", "bu": "m", "bd": "i"},
}
"""The order of the axes in which the formulas below take each weight."""


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


def convtranspose(p, w, x):
    """Scatter form: y[f, p stride + t dilation - low] += x[c, p] w[f, c, t], within each group."""
    n = len(p["kernel"])
    lead = x.shape[:-n - 1]
    x = x.reshape(-1, *x.shape[-n - 1:])
    weight, groups = w["weight"], p["groups"]
    assert weight.shape == (p["out_channels"], p["in_channels"] // groups, *p["kernel"])
    full = [(size - 1) * s + (k - 1) * d + 1 for size, s, k, d in
            zip(x.shape[2:], p["stride"], p["kernel"], p["dilation"])]
    y = np.zeros((len(x), p["out_channels"], *full))
    parts = zip(*(np.split(a, groups, axis) for a, axis in ((weight, 0), (x, 1), (y, 1))))
    for f, c, part in parts:
        for tap in np.ndindex(*p["kernel"]):
            at = tuple(slice(t * d, t * d + (size - 1) * s + 1, s) for t, d, s, size in
                       zip(tap, p["dilation"], p["stride"], x.shape[2:]))
            part[(..., *at)] += np.einsum("fc,bc...->bf...", f[(..., *tap)], c)
    y = cropped(y, p["pad_low"], p["pad_high"])
    if p["bias"]:
        y = y + w["bias"].reshape(-1, *[1] * n)
    return y.reshape(*lead, *y.shape[1:])


def cropped(y, low, high):
    """The last axes without `low` and `high` places; below 0, with places of zeros more."""
    rest = y.ndim - len(low)
    y = np.pad(y, [(0, 0)] * rest + [(max(-a, 0), max(-b, 0)) for a, b in zip(low, high)])
    assert all(size - max(a, 0) - max(b, 0) >= 1 for size, a, b in zip(y.shape[rest:], low, high))
    return y[(..., *(slice(max(a, 0), size - max(b, 0))
                     for size, a, b in zip(y.shape[rest:], low, high)))]


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


def recurrent(p, x, step, states, lengths=None):
    """Run `step` over the steps; (outputs in time order or reversed, the last states).

    From step lengths[...] on a sample keeps its states, and its output repeats the kept one.
    """
    length = x.shape[-2]
    backward = p["direction"] == "backward"
    assert p["direction"] in ("forward", "backward") and p["order"] in ("time", "reversed")
    assert backward or p["order"] == "time"
    if lengths is not None:
        assert lengths.dtype == np.int64 and lengths.shape == x.shape[:-2]
        assert (0 <= lengths).all() and (lengths <= length).all()
    ys = []
    for t in reversed(range(length)) if backward else range(length):
        alive = np.True_ if lengths is None else (t < lengths)[..., None]
        states = tuple(np.where(alive, new, old)
                       for new, old in zip(step(x[..., t, :], *states), states))
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


def rnn(p, w, x, h0=None, lengths=None):
    act = {"tanh": np.tanh, "relu": lambda v: np.maximum(v, 0)}[p["activation"]]
    bias = sum(w[slot] for slot in ("b", "b2")[:p["biases"]])
    return recurrent(p, x, lambda v, h: (act(v @ w["W"].T + h @ w["U"].T + bias),),
                     (initial(p, x, h0),), lengths)


def lstm(p, w, x, h0=None, c0=None, lengths=None):
    def step(v, h, c):
        z = {g: v @ w[f"W_{g}"].T + h @ w[f"U_{g}"].T
             + sum(w[f"{slot}_{g}"] for slot in ("b", "b2")[:p["biases"]]) for g in "ifgo"}
        c = sigmoid(z["f"]) * c + sigmoid(z["i"]) * np.tanh(z["g"])
        return sigmoid(z["o"]) * np.tanh(c), c
    return recurrent(p, x, step, (initial(p, x, h0), initial(p, x, c0)), lengths)


def gru(p, w, x, h0=None, lengths=None):
    """h' = (1 - z) n + z h; with reset_after, r stands before the recurrent product and its bias."""
    def part(gate, v, h, slots):
        bias = sum(w[f"{slot}_{gate}"] for slot in slots)
        return (0 if v is None else v @ w[f"W_{gate}"].T) + (
            0 if h is None else h @ w[f"U_{gate}"].T) + bias
    both = ("b", "b2")[:p["biases"]]

    def step(v, h):
        r, z = (sigmoid(part(gate, v, h, both)) for gate in "rz")
        if p["reset_after"]:
            n = np.tanh(part("n", v, None, both[:1]) + r * part("n", None, h, both[1:]))
        else:
            n = np.tanh(part("n", v, r * h, both))
        return ((1 - z) * n + z * h,)
    return recurrent(p, x, step, (initial(p, x, h0),), lengths)


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
    mixed = np.moveaxis(seen(p, q, k, v, mask), -3, -2)
    y = mixed.reshape(*mixed.shape[:-2], -1) @ w["Wo"].T
    assert y.shape[-1] == p["out_features"]
    return y + w["bo"] if p["o_bias"] else y


def seen(p, q, k, v, mask):
    """The values v [..., G, sk, ev] as q [..., H, sq, e] sees them by k: [..., H, sq, ev]."""
    assert q.shape[-3] % k.shape[-3] == 0
    k, v = (np.repeat(a, q.shape[-3] // k.shape[-3], -3) for a in (k, v))
    scale = 1 / math.sqrt(q.shape[-1]) if p["scale"] is None else p["scale"]
    scores = q @ np.swapaxes(k, -1, -2) * scale
    return visible_softmax(hidden(p, scores, mask), p["empty"]) @ v


def scaled_dot_product_attention(p, w, query, key, value, mask=None):
    return seen(p, query, key, value, mask)


def rotary(p, w, x, positions=None):
    position = np.arange(x.shape[-2]) if positions is None else positions
    pairs = p["head_dim"] // 2
    angle = position[..., None] * (p["base"] ** (-2 * np.arange(pairs) / p["head_dim"]) / w.get("factors", 1))
    y = x.copy()
    a, b = (slice(pairs), slice(pairs, 2 * pairs)) if p["style"] == "half" else (slice(0, None, 2), slice(1, None, 2))
    y[..., a] = x[..., a] * np.cos(angle) - x[..., b] * np.sin(angle)
    y[..., b] = x[..., a] * np.sin(angle) + x[..., b] * np.cos(angle)
    return y


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


def batchnorm(p, w, x):
    shape = [1] * x.ndim
    shape[p["axis"]] = p["dim"]
    assert x.shape[p["axis"]] == p["dim"]
    mean, var, gamma, beta = (np.reshape(w.get(slot, rest), shape if slot in w else [1] * x.ndim)
                              for slot, rest in (("mean", None), ("var", None), ("gamma", 1.0),
                                                 ("beta", 0.0)))
    return (x - mean) / np.sqrt(var + p["eps"]) * gamma + beta


def groupnorm(p, w, x):
    assert x.shape[1] == p["channels"]
    grouped = x.reshape(len(x), p["groups"], -1)
    centred = grouped - grouped.mean(-1, keepdims=True)
    y = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + p["eps"])
    channel = (-1, *[1] * (x.ndim - 2))
    gamma, beta = (np.reshape(w.get(slot, rest), channel) for slot, rest in (("gamma", 1), ("beta", 0)))
    return y.reshape(x.shape) * gamma + beta


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


OPERATIONS = {
    **ELEMENTARY,
    "dense": dense,
    "gelu": lambda p, w, x: gelu(x, p["approximate"]),
    "softmax": lambda p, w, x: softmax(x, p["axis"]),
    **dict.fromkeys(("conv1", "conv2", "conv3"), conv),
    **dict.fromkeys(("convtranspose1", "convtranspose2", "convtranspose3"), convtranspose),
    **dict.fromkeys(("maxpool1", "maxpool2", "maxpool3"), maxpool),
    **dict.fromkeys(("avgpool1", "avgpool2", "avgpool3"), avgpool),
    "global_maxpool": global_pool(np.max),
    "global_avgpool": global_pool(np.mean),
    "rnn": rnn,
    "lstm": lstm,
    "gru": gru,
    "attention": attention,
    "scaled_dot_product_attention": scaled_dot_product_attention,
    "rotary": rotary,
    "layernorm": layernorm,
    "rmsnorm": rmsnorm,
    "batchnorm": batchnorm,
    "groupnorm": groupnorm,
    "instancenorm": lambda p, w, x: groupnorm({**p, "groups": p["channels"]}, w, x),
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
    params = {key: [extent(d, sizes) for d in value] if type(value) is list else value
              for key, value in params.items()}
    weights = {entry["slot"]: canonical(document, node["name"], entry["slot"])
               for entry in node.get("tensors", ())}
    assert set(weights) <= set(CANONICAL.get(op, ())), weights.keys()
    return OPERATIONS[op](params, weights, *xs)


def canonical(document: StreamDocument, name: str, slot: str) -> np.ndarray:
    """A weight's values with its axes in canonical order; a tie has those of what it is tied to."""
    entry = document.entry(name, slot)
    while "same" in entry:
        name, slot = entry["same"].rsplit(".", 1)
        entry = document.entry(name, slot)
    value = document.values(name, slot)
    order = CANONICAL.get(document.node(name)["op"], {}).get(slot)
    return value if not order else value.transpose([entry["axes"].index(a) for a in order])
