"""How far a framework's float32 may be from exact values, node by node of a stream.

Each node is fed with the framework's own float32 tensors, so that its own error alone is bounded; where
the framework has no such tensor (what a fused activation reads), the bound is carried on.  Sums of
products have the bound of design page 6, (K + n + 3) 2^-24 (sum |a b| + sum |bias|) + K 2^-126; what is
made of several steps (attention, lstm, norms, softmax) has the one that `bounded` derives by taking it
through these steps in the framework's own order.  The order is that of the frameworks' published
sources: norms differ (`NORMS`), the rest does not in a way that a bound sees.
"""

from __future__ import annotations

import math

import numpy as np

from ...graph import BridgeError
from .. import oracle
from ..network import GATES
from .bounded import FUNCTION, U, Bounded, exact, increasing, mean, products, stacked, total
from .bounds_places import PLACES
from .bounds_steps import STEPS, chosen

erf = np.vectorize(math.erf, otypes=[float])


def node(op: str, params: dict, slots: dict, inputs: list, planet: str) -> tuple[Bounded, ...]:
    """What a node makes of `Bounded` inputs (None: absent), with what `planet` may be off by."""
    if op not in RULES:
        raise BridgeError(f"{op}: no bound is known")
    made = RULES[op]({**params, "planet": planet}, {name: exact(w) for name, w in slots.items()}, *inputs)
    return made if isinstance(made, tuple) else (made,)


def rows(a, b):
    """[..., k] times [o, k]."""
    return a @ b.T


def linear(x: Bounded, weight: Bounded, *biases: Bounded) -> Bounded:
    return products(rows, x, weight, weight.v.shape[1], biases)


def given(w, *names: str) -> list[Bounded]:
    """Those of the slots that there are."""
    return [w[name] for name in names if name in w]


def dense(p, w, x):
    return linear(x, w["weight"], *given(w, "bias"))


def convolution(p, w, x):
    """Linear in the kernel and in the input, as the oracle computes it."""
    plain = {**p, "bias": False}
    n = len(p["kernel"])
    bias = [b.map(lambda a: a.reshape(-1, *[1] * n)) for b in given(w, "bias")]
    count = p["in_channels"] // p["groups"] * math.prod(p["kernel"])
    return products(lambda a, b: oracle.convolution(plain, {"weight": b}, a), x, w["weight"], count, bias)


def windows(p, array, fill):
    """[places, ..., k'...]: what each place of the kernel sees; `fill` stands around.

    With `ceil`, one window more hangs over the end, if it begins inside the array or its low padding.
    """
    n = len(p["kernel"])
    dilation = p.get("dilation", [1] * n)
    sizes, out = array.shape[-n:], []
    for size, k, d, s, low, high in zip(sizes, p["kernel"], dilation, p["stride"], p["pad_low"], p["pad_high"]):
        room = size + low + high - d * (k - 1) - 1
        over = p["ceil"] and room % s and (room // s + 1) * s < size + low
        out.append(room // s + 1 + bool(over))
    more = [high + s * bool(p["ceil"]) for high, s in zip(p["pad_high"], p["stride"])]
    pads = [(0, 0)] * (array.ndim - n) + list(zip(p["pad_low"], more))
    array = np.pad(array, pads, constant_values=fill)
    return np.stack([array[(..., *(slice(k * d, k * d + s * (o - 1) + 1, s)
                                   for k, d, s, o in zip(place, dilation, p["stride"], out)))]
                     for place in np.ndindex(*p["kernel"])])


def maxpool(p, w, x):
    """The greatest is as far off as any may be."""
    seen = windows(p, x.e, 0.0)
    return Bounded(windows(p, x.v, -np.inf).max(axis=0), seen.max(axis=0))


def avgpool(p, w, x):
    seen = x.map(lambda a: np.moveaxis(windows(p, a, 0.0), 0, -1))
    if p["count_pad"]:
        return mean(seen).map(lambda a: a[..., 0])
    there = np.moveaxis(windows(p, np.ones_like(x.v), 0.0), 0, -1).sum(axis=-1)
    return total(seen).map(lambda a: a[..., 0]) / there


def global_pool(p, w, x, most=False):
    n = p["spatial"]
    flat = x.map(lambda a: a.reshape(*a.shape[:-n], -1))
    made = Bounded(flat.v.max(axis=-1, keepdims=True), flat.e.max(axis=-1, keepdims=True)) if most \
        else mean(flat)
    return made.map(lambda a: a.reshape(*a.shape[:-1], *[1] * n))


def sigmoid(x: Bounded) -> Bounded:
    """1 / (1 + exp(-x)): the function, and two more roundings."""
    return increasing(oracle.sigmoid, x, FUNCTION + 3)


def relu(x: Bounded) -> Bounded:
    return Bounded(np.maximum(x.v, 0), x.e)


def leaky(p, w, x):
    slope = p["negative_slope"]
    return Bounded(np.where(x.v > 0, x.v, slope * x.v),
                   max(1.0, abs(slope)) * x.e + 2 * U * abs(slope) * x.most)


ERF = 2.0**-20
"""How far off, absolutely, the erf is that torch's vector gelu takes (erf_u20 of its sources); measured
over 4 million places between -6 and 6: 7.1e-7."""


def gelu(p, w, x):
    """x/2 (1 + erf(x / sqrt 2)), or the form with tanh, step by step."""
    if p["approximate"] == "tanh":
        inner = (x + x * x * x * 0.044715) * math.sqrt(2 / math.pi)
        return x * 0.5 * (increasing(np.tanh, inner) + 1.0)
    inner = increasing(erf, x * math.sqrt(0.5))
    if p["planet"] == "pytorch":
        inner.e = inner.e + ERF
    return x * 0.5 * (inner + 1.0)


def softmax_last(scores: Bounded) -> Bounded:
    """exp of what the greatest is subtracted from, over the sum of it; -inf weighs nothing.

    What is subtracted is the same number everywhere and cancels, so that its own error counts not.
    Where there is nothing but -inf, nothing weighs anything.
    """
    gone = np.isneginf(scores.v)
    nothing = gone.all(axis=-1, keepdims=True)
    lower = np.where(gone, 0, scores.v - np.where(nothing, 0, scores.v.max(axis=-1, keepdims=True)))
    e = increasing(np.exp, Bounded(lower, scores.e + U * (np.abs(lower) + scores.e)))
    e = Bounded(np.where(gone, 0, e.v), np.where(gone, 0, e.e))
    return e / chosen(nothing, exact(np.ones(nothing.shape)), total(e))


def softmax(p, w, x):
    turned = x.map(lambda a: np.moveaxis(a, p["axis"], -1))
    return softmax_last(turned).map(lambda a: np.moveaxis(a, -1, p["axis"]))


def centred(x, gamma, beta, eps):
    """torch: the variance of what the mean is taken from, then scaled and moved."""
    d = x - mean(x)
    return d * inverse_root(mean(d * d), eps) * gamma + beta


def folded(x, gamma, beta, eps):
    """Keras: x times a factor, plus what mean and beta make of it."""
    m = mean(x)
    d = x - m
    factor = inverse_root(mean(d * d), eps) * gamma
    return x * factor + (beta - m * factor)


def fast(x, gamma, beta, eps):
    """Flax: the variance is the mean of squares less the squared mean."""
    m = mean(x)
    return (x - m) * (inverse_root(mean(x * x) - m * m, eps) * gamma) + beta


def inverse_root(variance: Bounded, eps: float) -> Bounded:
    """1 / sqrt(variance + eps); a variance below zero, which none is, counts as zero."""
    falling = increasing(lambda v: -1 / np.sqrt(np.maximum(v, 0) + eps), variance, FUNCTION + 2)
    return Bounded(-falling.v, falling.e)


NORMS = {"pytorch": centred, "tensorflow": folded, "jax": fast}


def layernorm(p, w, x):
    gamma, beta = w.get("gamma", exact(1.0)), w.get("beta", exact(0.0))
    return NORMS[p["planet"]](x, gamma, beta, p["eps"])


def rmsnorm(p, w, x):
    return x * (inverse_root(mean(x * x), p["eps"]) * w.get("gamma", exact(1.0)))


def terms(w, gate=""):
    return given(w, f"b{gate}", f"b2{gate}")


def gate_sum(p, w, x, h, gate=""):
    """W x + U h + biases as one sum of products."""
    joined = Bounded(np.concatenate([x.v, h.v], -1), np.concatenate([x.e, h.e], -1))
    both = exact(np.concatenate([w[f"W{gate}"].v, w[f"U{gate}"].v], axis=1))
    return linear(joined, both, *terms(w, gate))


def ordered(p, outputs: dict) -> Bounded:
    times = sorted(outputs, reverse=p["order"] == "reversed")
    return stacked([outputs[t] for t in times], -2)


def zero_state(p, x) -> Bounded:
    return exact(np.zeros((*x.v.shape[:-2], p["hidden_size"])))


def kept(lengths, t: int, new: Bounded, old: Bounded) -> Bounded:
    """The state after step t: the one before it, where a sequence ends sooner."""
    return new if lengths is None else chosen((t < lengths.v)[..., None], new, old)


def rnn(p, w, x, h=None, lengths=None):
    h = zero_state(p, x) if h is None else h
    outputs = {}
    for t in oracle.steps(p, x.v):
        z = gate_sum(p, w, x[..., t, :], h)
        new = relu(z) if p["activation"] == "relu" else increasing(np.tanh, z)
        h = outputs[t] = kept(lengths, t, new, h)
    return ordered(p, outputs), h


def lstm(p, w, x, h=None, c=None, lengths=None):
    h, c = (zero_state(p, x) if s is None else s for s in (h, c))
    outputs = {}
    for t in oracle.steps(p, x.v):
        i, f, g, o = (gate_sum(p, w, x[..., t, :], h, f"_{n}") for n in GATES)
        c = kept(lengths, t, sigmoid(f) * c + sigmoid(i) * increasing(np.tanh, g), c)
        h = outputs[t] = kept(lengths, t, sigmoid(o) * increasing(np.tanh, c), h)
    return ordered(p, outputs), h, c


def gru(p, w, x, h=None, lengths=None):
    """(1 - z) n + z h; with reset_after, r stands before the recurrent product and its bias."""
    h = zero_state(p, x) if h is None else h
    outputs = {}
    for t in oracle.steps(p, x.v):
        step = x[..., t, :]
        r, z = (sigmoid(gate_sum(p, w, step, h, f"_{n}")) for n in "rz")
        if p["reset_after"]:
            own = linear(step, w["W_n"], *given(w, "b_n"))
            inner = own + r * linear(h, w["U_n"], *given(w, "b2_n"))
        else:
            inner = gate_sum(p, w, step, r * h, "_n")
        n = increasing(np.tanh, inner)
        h = outputs[t] = kept(lengths, t, (exact(1.0) - z) * n + z * h, h)
    return ordered(p, outputs), h


def groupnorm(p, w, x):
    """By group over all its elements, then by channel."""
    groups, shape = p.get("groups", p["channels"]), x.v.shape
    grouped = x.map(lambda a: a.reshape(shape[0], groups, -1))
    d = grouped - mean(grouped)
    made = (d * inverse_root(mean(d * d), p["eps"])).map(lambda a: a.reshape(shape))
    channel = [-1, *[1] * (len(shape) - 2)]
    gamma, beta = (w[s].map(lambda a: a.reshape(channel)) if s in w else exact(rest)
                   for s, rest in (("gamma", 1.0), ("beta", 0.0)))
    return made * gamma + beta


def rotated(p, x: Bounded) -> Bounded:
    """Pairs turned; angles are products in binary32, whose error cos and sin pass on as it is."""
    if p["rope"] == "none":
        return x
    half = x.v.shape[-1] // 2
    angle = np.arange(x.v.shape[-2])[:, None] * float(p["rope_base"]) ** (-np.arange(half) / half)
    off = (2 * angle + FUNCTION) * U
    cos, sin = Bounded(np.cos(angle), off), Bounded(np.sin(angle), off)
    first, second = (slice(half), slice(half, None)) if p["rope"] == "half" else \
        (slice(0, None, 2), slice(1, None, 2))
    a, b = x[..., first], x[..., second]
    one, two = a * cos - b * sin, a * sin + b * cos
    v, e = np.empty_like(x.v), np.empty_like(x.e)
    v[..., first], v[..., second], e[..., first], e[..., second] = one.v, two.v, one.e, two.e
    return Bounded(v, e)


def attention(p, w, query, key=None, value=None, mask=None):
    key = query if key is None else key
    value = key if value is None else value
    q, k, v = (linear(x, w[f"W{n}"], *given(w, f"b{n}")).map(
        lambda a, n=n: oracle.heads(a, p["num_heads" if n == "q" else "num_kv_heads"]))
        for n, x in (("q", query), ("k", key), ("v", value)))
    each = p["num_heads"] // p["num_kv_heads"]
    k, v = (x.map(lambda a: np.repeat(a, each, axis=-3)) for x in (rotated(p, k), v))
    mixed = attended(p, rotated(p, q), k, v, mask)
    joined = mixed.map(lambda a: np.moveaxis(a, -3, -2).reshape(*a.shape[:-3], a.shape[-2], -1))
    return linear(joined, w["Wo"], *given(w, "bo"))


def scaled_dot_product_attention(p, w, query, key, value, mask=None):
    each = query.v.shape[-3] // key.v.shape[-3]
    key, value = (x.map(lambda a: np.repeat(a, each, axis=-3)) for x in (key, value))
    return attended(p, query, key, value, mask)


def attended(p, q, k, v, mask):
    """The values v as q sees them by k, heads being the axis before the last two."""
    width = q.v.shape[-1]
    scale = 1 / math.sqrt(width) if p["scale"] is None else p["scale"]
    scores = products(lambda a, b: a @ np.swapaxes(b, -1, -2), q, k, width) * scale
    hidden, added = oracle.hidden_by(None if mask is None else mask.v.astype(
        bool if p["mask"] != "add" else float), p["mask"])
    if p["causal"]:
        hidden = hidden | np.triu(np.ones(scores.v.shape[-2:], bool), 1)
    scores = scores + added if p["mask"] == "add" else scores
    hidden = np.broadcast_to(hidden, scores.v.shape)
    nothing = hidden.all(axis=-1, keepdims=True)
    fill = np.where(nothing & (p["fill"] != "-inf"), 0, -np.inf)  # hidden alike is seen alike
    scores = Bounded(np.where(hidden, fill, scores.v), np.where(hidden, 0, scores.e))
    made = products(np.matmul, softmax_last(scores), v, scores.v.shape[-1])
    blind = nothing & (p["fill"] == "-inf") & (p["empty"] == "nan")
    return Bounded(np.where(blind, np.nan, made.v), made.e)


def swiglu(p, w, x):
    gate, up = (linear(x, w[f"W{n}"], *given(w, f"b{n}")) for n in "gu")
    act = gate * sigmoid(gate) if p["activation"] == "silu" else relu(gate) * relu(gate)
    return linear(act * up, w["Wd"], *given(w, "bd"))


def divided(p, w, a, b):
    """XLA takes the reciprocal of a divisor that stands for many, and then products."""
    return a * (exact(1.0) / b) if p["planet"] == "jax" else a / b


def embedding(p, w, ids):
    return exact(oracle.embedding(p, {"table": w["table"].v}, ids.v))


def moved(operation):
    """What changes no value: the oracle moves both parts."""
    return lambda p, w, x: x.map(lambda a: operation(p, {}, a))


RULES = {
    **STEPS, **PLACES, "gru": gru, "groupnorm": groupnorm, "instancenorm": groupnorm,
    "scaled_dot_product_attention": scaled_dot_product_attention, "dense": dense,
    **dict.fromkeys(("conv1", "conv2", "conv3"), convolution),
    **dict.fromkeys(("maxpool1", "maxpool2", "maxpool3"), maxpool),
    **dict.fromkeys(("avgpool1", "avgpool2", "avgpool3"), avgpool),
    "global_avgpool": global_pool, "global_maxpool": lambda p, w, x: global_pool(p, w, x, True),
    "rnn": rnn, "lstm": lstm, "attention": attention, "layernorm": layernorm, "rmsnorm": rmsnorm,
    "embedding": embedding, "swiglu": swiglu, "gelu": gelu, "leaky_relu": leaky, "softmax": softmax,
    "linear": lambda p, w, x: x, "relu": lambda p, w, x: relu(x),
    "relu2": lambda p, w, x: relu(x) * relu(x), "tanh": lambda p, w, x: increasing(np.tanh, x),
    "erf": lambda p, w, x: increasing(erf, x), "sigmoid": lambda p, w, x: sigmoid(x),
    "silu": lambda p, w, x: x * sigmoid(x),
    "add": lambda p, w, a, b: a + b, "sub": lambda p, w, a, b: a - b, "mul": lambda p, w, a, b: a * b,
    "div": divided, "residual": lambda p, w, x, skip=None: x if skip is None else x + skip,
    "constant": lambda p, w: w["value"],
    **{op: moved(oracle.OPERATIONS[op]) for op in ("flatten", "slice", "transpose", "reshape")},
}
