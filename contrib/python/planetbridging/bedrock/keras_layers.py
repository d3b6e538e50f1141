"""For each operation of a network the Keras layer that does it, and how its weights go in."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

import numpy as np

from .. import planets
from ..graph import BridgeError
from .network import GATES, Layer, Network, Weights


def framework():
    """The module keras."""
    return planets.module("keras").framework()


@dataclass(frozen=True)
class Made:
    """The tensors that a layer made, and the Keras layer that holds its weights, if one does."""

    tensors: object
    layer: object = None


def make(keras, network: Network, layer: Layer, inputs: list) -> tuple[Made, bool]:
    """(what Keras makes of the inputs, whether it was composed: Keras has no such layer).

    Convolutions and pooling get their input channels last, all others in canonical order.
    """
    op = re.sub(r"(?<=conv|pool)[123]$", "", layer.op)
    if op not in MAKERS:
        refuse(network, layer, f"layer for {layer.op} here")
    made = MAKERS[op](_Job(keras, network, layer), *inputs)
    composed = type(made.layer).__module__.startswith("planetbridging.")
    return made, composed


def refuse(network: Network, layer: Layer, why: str):
    """BridgeError: the layer has no counterpart in Keras."""
    raise BridgeError(f"{network.id}: {layer.name} ({layer.op}): Keras has no {why}")


class _Job:
    """One layer to be made: short names for what every maker needs."""

    def __init__(self, keras, network: Network, layer: Layer):
        self.keras, self.layers, self.ops = keras, keras.layers, keras.ops
        self.network, self.layer, self.p = network, layer, layer.params

    def refuse(self, why: str):
        refuse(self.network, self.layer, why)

    def one(self, made, *args, **kw) -> Made:
        """A Keras layer called on its inputs."""
        return Made(made(*args, **kw), made)


def activation(job: _Job, x) -> Made:
    """By name; the square of relu is two operations."""
    p, layers = job.p, job.layers
    if job.layer.op == "relu2":
        return Made(job.ops.square(layers.ReLU()(x)))
    if job.layer.op == "leaky_relu":
        return job.one(layers.LeakyReLU(p["negative_slope"], name=job.layer.name), x)
    if job.layer.op == "softmax":
        return job.one(layers.Softmax(p["axis"], name=job.layer.name), x)
    if job.layer.op == "gelu":
        approximate = p["approximate"] == "tanh"
        return Made(job.ops.gelu(x, approximate=approximate))
    return job.one(layers.Activation(job.layer.op, name=job.layer.name), x)


def dense(job: _Job, x) -> Made:
    made = job.layers.Dense(job.p["out_features"], use_bias=job.p["bias"], name=job.layer.name)
    return job.one(made, x)


def binary(job: _Job, a, b=None) -> Made:
    """Keras's merging layers take equal shapes; other shapes go to keras.ops.

    keras.ops.add takes some operands for a bias of another axis: a - (-b) is the same sum.
    """
    if b is None:
        return Made(a)
    op = "add" if job.layer.op == "residual" else job.layer.op
    if tuple(a.shape) == tuple(b.shape) and op != "div":
        kinds = {"add": job.layers.Add, "sub": job.layers.Subtract, "mul": job.layers.Multiply}
        return Made(kinds[op](name=job.layer.name)([a, b]))
    if op == "add" and len([size for size in b.shape if size != 1]) == 1:
        return Made(job.ops.subtract(a, job.ops.negative(b)))
    names = {"add": "add", "sub": "subtract", "mul": "multiply", "div": "divide"}
    return Made(getattr(job.ops, names[op])(a, b))


def conv(job: _Job, x) -> Made:
    """Keras pads only by `same`, or by a layer of its own before the convolution."""
    p, n = job.p, len(job.p["kernel"])
    x = zeros_around(job, x)
    made = getattr(job.layers, f"Conv{n}D")(
        p["out_channels"], p["kernel"], strides=p["stride"], dilation_rate=p["dilation"],
        groups=p["groups"], use_bias=p["bias"], name=job.layer.name)
    return job.one(made, x)


def zeros_around(job: _Job, x):
    pads = list(zip(job.p["pad_low"], job.p["pad_high"]))
    if not any(map(any, pads)):
        return x
    n = len(pads)
    return getattr(job.layers, f"ZeroPadding{n}D")(tuple(pads) if n > 1 else pads[0])(x)


def pool(job: _Job, x) -> Made:
    """`valid`, or `same` where that pads as the network says; zeros that count are a layer."""
    p, n = job.p, len(job.p["kernel"])
    kind = "Max" if job.layer.op.startswith("max") else "Average"
    if any(d != 1 for d in p.get("dilation", ())):
        job.refuse("dilated pooling")
    sizes, pads = x.shape[1:-1], list(zip(p["pad_low"], p["pad_high"]))
    if p["ceil"] and any(size is None or (size + sum(pad) - k) % s for size, pad, k, s in
                         zip(sizes, pads, p["kernel"], p["stride"])):
        job.refuse("pooling whose last window hangs over")
    padding = "valid"
    if any(map(any, pads)):
        if p.get("count_pad"):
            x = zeros_around(job, x)
        elif pads == [same_pads(*entry) for entry in zip(sizes, p["kernel"], p["stride"])]:
            padding = "same"
        else:
            job.refuse(f"pooling with the padding {pads}")
    made = getattr(job.layers, f"{kind}Pooling{n}D")(p["kernel"], strides=p["stride"],
                                                     padding=padding, name=job.layer.name)
    return job.one(made, x)


def same_pads(size, kernel: int, stride: int):
    """What `same` puts before and behind an axis; None if that cannot be said."""
    if size is None:
        total = kernel - 1 if stride == 1 else None
    else:
        total = max((math.ceil(size / stride) - 1) * stride + kernel - size, 0)
    return None if total is None else (total // 2, total - total // 2)


def global_pool(job: _Job, x) -> Made:
    kind = "Max" if job.layer.op == "global_maxpool" else "Average"
    n = job.p["spatial"]
    if len(x.shape) != n + 2:
        job.refuse(f"pooling of {n} axes out of {len(x.shape) - 2}")
    made = getattr(job.layers, f"Global{kind}Pooling{n}D")(keepdims=True, name=job.layer.name)
    return job.one(made, x)


def flatten(keras, layer: Layer, x, start: int, end: int):
    """Axes start to end as one, by a reshape with at most one open size."""
    whole = list(x.shape[start:end + 1])
    middle = -1 if None in whole else math.prod(whole)
    return _reshaped(keras, layer, x, [*x.shape[:start], middle, *x.shape[end + 1:]])


def reshape(job: _Job, x) -> Made:
    sizes = [size if isinstance(size, int) else None for size in job.p["shape"]]
    return Made(_reshaped(job.keras, job.layer, x, sizes))


def _reshaped(keras, layer: Layer, x, sizes):
    """A Reshape layer where each sample keeps its elements, else the operation."""
    open_sizes = [-1 if size is None else size for size in sizes]
    inner = list(x.shape[1:])
    same = -1 in open_sizes[1:] or None in inner or math.prod(inner) == math.prod(open_sizes[1:])
    if sizes[0] is None and x.shape[0] is None and same and open_sizes[1:].count(-1) <= 1:
        return keras.layers.Reshape(open_sizes[1:], name=layer.name)(x)
    if open_sizes.count(-1) > 1:
        raise BridgeError(f"{layer.name} (reshape): {open_sizes.count(-1)} sizes are open")
    return keras.ops.reshape(x, open_sizes)


def transpose(job: _Job, x) -> Made:
    perm = [axis % len(x.shape) for axis in job.p["perm"]]
    if perm[0] == 0:
        return Made(job.layers.Permute(perm[1:], name=job.layer.name)(x))
    return Made(job.ops.transpose(x, perm))


def slice_(job: _Job, x) -> Made:
    key = [slice(None)] * len(x.shape)
    for axis, start, stop, step in zip(*(job.p[k] for k in ("axes", "starts", "stops", "steps"))):
        size = x.shape[axis]
        key[axis] = slice(_bound(start, size, False), _bound(stop, size, True), step)
    return Made(x[tuple(key)])


def _bound(bound, size, stop: bool):
    """A bound as Python counts it: an expression of an open size is counted from the end."""
    if isinstance(bound, int):
        return bound
    name, less = re.fullmatch(r"\(?([A-Za-z_]\w*)(?: *(- *\d+))?\)?", bound).groups()
    if size is not None:
        return size + int((less or "0").replace(" ", ""))
    return int(less.replace(" ", "")) if less else None if stop else 0


def concat(job: _Job, *values) -> Made:
    return Made(job.layers.Concatenate(axis=job.p["axis"], name=job.layer.name)(list(values)))


def gather(job: _Job, data, indices) -> Made:
    return Made(job.ops.take(data, indices, axis=job.p["axis"]))


def recurrent(job: _Job, x, *states) -> Made:
    p, kinds = job.p, {"rnn": job.layers.SimpleRNN, "lstm": job.layers.LSTM}
    backward = p["direction"] == "backward"
    options = {"activation": p["activation"]} if job.layer.op == "rnn" else {}
    many = len(job.layer.outputs) > 1
    made = kinds[job.layer.op](p["hidden_size"], use_bias=p["biases"] > 0, go_backwards=backward,
                               return_sequences=True, return_state=many, name=job.layer.name,
                               **options)
    given = [state for state in states if state is not None]
    found = made(x, initial_state=given) if given else made(x)
    found = list(found) if many else [found]
    if backward and p["order"] == "time":
        found[0] = job.ops.flip(found[0], axis=1)
    return Made(found[:len(job.layer.outputs)], made)


def attention(job: _Job, query, key=None, value=None, mask=None) -> Made:
    """MultiHeadAttention or GroupQueryAttention where they can, else composed."""
    p, given = job.p, key
    key = query if key is None else key
    value = key if value is None else value
    if p["mask"] not in ("none", "keep", "hide"):
        job.refuse(f"attention with a mask that is {p['mask']}")
    keep = job.ops.logical_not(mask) if p["mask"] == "hide" else mask
    made, stock = _attention_layer(job, given)
    if p["mask"] != "none" and p["fill"] != ("least" if stock else "-inf"):
        job.refuse(f"attention that hides a score by {p['fill']}")
    options = {} if keep is None else {"attention_mask": keep}
    if stock and p["causal"]:
        options["use_causal_mask"] = True
    return job.one(made, query, value, key, **options)


def _attention_layer(job: _Job, key):
    """(the layer, whether it is Keras's own)."""
    p, layers = job.p, job.layers
    biases = {p[f"{name}_bias"] for name in "qkvo"}
    stock = p["rope"] == "none" and len(biases) == 1 and p["scale"] is None and \
        (p["mask"] == "none" or p["fill"] == "least")
    if stock and p["num_heads"] == p["num_kv_heads"]:
        return layers.MultiHeadAttention(
            p["num_heads"], p["head_dim"], value_dim=p["value_dim"], use_bias=p["q_bias"],
            output_shape=p["out_features"], name=job.layer.name), True
    if stock and p["value_dim"] == p["head_dim"] and p["out_features"] == p["d_model"]:
        return layers.GroupQueryAttention(p["head_dim"], p["num_heads"], p["num_kv_heads"],
                                          use_bias=p["q_bias"], name=job.layer.name), True
    if p["scale"] is not None:
        job.refuse(f"attention with the scale {p['scale']}")
    from ..composed.keras_ import RopeAttention

    bias = "".join(name for name in "qkvo" if p[f"{name}_bias"])
    return RopeAttention(p["num_heads"], p["head_dim"], p["num_kv_heads"], rope=p["rope"],
                         rope_base=p["rope_base"] or 1.0, causal=p["causal"], bias=bias,
                         value_dim=p["value_dim"], out_features=p["out_features"],
                         name=job.layer.name), False


def layernorm(job: _Job, x) -> Made:
    return job.one(job.layers.LayerNormalization(
        epsilon=job.p["eps"], scale=job.p["scale"], center=job.p["offset"], name=job.layer.name), x)


def rmsnorm(job: _Job, x) -> Made:
    """Keras's own always scales: by ones where the network does not."""
    return job.one(job.layers.RMSNormalization(epsilon=job.p["eps"], name=job.layer.name), x)


def embedding(job: _Job, ids) -> Made:
    p = job.p
    if p["outside"] == "zero":
        from ..composed.keras_ import ZeroOutsideEmbedding

        return job.one(ZeroOutsideEmbedding(p["vocab_size"], p["embedding_dim"],
                                            name=job.layer.name), ids)
    if p["outside"] != "error":
        job.refuse("embedding whose rows outside the vocabulary are NaN")
    made = job.layers.Embedding(p["vocab_size"], p["embedding_dim"], name=job.layer.name)
    return job.one(made, ids)


def swiglu(job: _Job, x) -> Made:
    from ..composed.keras_ import SwiGLU

    return job.one(SwiGLU(job.p["hidden_features"], job.p["activation"], job.p["bias"],
                          name=job.layer.name), x)


MAKERS = {"dense": dense, "conv": conv, "maxpool": pool, "avgpool": pool,
          "global_maxpool": global_pool, "global_avgpool": global_pool, "reshape": reshape,
          "transpose": transpose, "slice": slice_, "concat": concat, "gather": gather,
          "rnn": recurrent, "lstm": recurrent, "attention": attention, "layernorm": layernorm,
          "rmsnorm": rmsnorm, "embedding": embedding, "swiglu": swiglu,
          **dict.fromkeys(("add", "sub", "mul", "div", "residual"), binary),
          **dict.fromkeys(("linear", "relu", "relu2", "leaky_relu", "tanh", "sigmoid", "silu",
                           "gelu", "softmax"), activation)}


def load(layer: Layer, made, weights: Weights, inner: tuple = ()) -> None:
    """Put a layer's canonical weights into the Keras layer that was made for it.

    `inner`: the channels and sizes of a value that Keras flattened channels last, before a dense.
    """
    op = re.sub(r"(?<=conv)[123]$", "", layer.op)
    if op not in LOADERS:
        return

    def slot(name: str) -> np.ndarray:
        return np.asarray(weights[f"{layer.name}.{name}"], np.float32)

    if op == "dense":
        _load_dense(layer, made, slot, inner)
    else:
        LOADERS[op](layer.params, made, slot)


def _load_dense(layer: Layer, made, slot, inner: tuple) -> None:
    kernel = slot("weight")
    if inner:
        kernel = np.moveaxis(kernel.reshape(len(kernel), *inner), 1, -1).reshape(len(kernel), -1)
    made.kernel.assign(kernel.T)
    if layer.params["bias"]:
        made.bias.assign(slot("bias"))


def _load_conv(p: dict, made, slot) -> None:
    made.kernel.assign(np.moveaxis(slot("weight"), (0, 1), (-1, -2)))
    if p["bias"]:
        made.bias.assign(slot("bias"))


def _load_rnn(p: dict, made, slot) -> None:
    made.cell.kernel.assign(slot("W").T)
    made.cell.recurrent_kernel.assign(slot("U").T)
    if p["biases"]:
        made.cell.bias.assign(_one_bias(p, slot, "b", "b2"))


def _load_lstm(p: dict, made, slot) -> None:
    for variable, letter in ((made.cell.kernel, "W"), (made.cell.recurrent_kernel, "U")):
        variable.assign(np.concatenate([slot(f"{letter}_{g}").T for g in GATES], axis=1))
    if p["biases"]:
        made.cell.bias.assign(np.concatenate(
            [_one_bias(p, slot, f"b_{g}", f"b2_{g}") for g in GATES]))


def _one_bias(p: dict, slot, first: str, second: str) -> np.ndarray:
    """Keras has one bias: of two the sum, rounded once."""
    bias = slot(first)
    if p["biases"] < 2:
        return bias
    return (bias.astype(np.float64) + slot(second).astype(np.float64)).astype(np.float32)


def _load_attention(p: dict, made, slot) -> None:
    """Rows that belong to a head become an axis of their own."""
    dense = {"q": made.query_dense, "k": made.key_dense, "v": made.value_dense} if \
        hasattr(made, "query_dense") else \
        {"q": made._query_dense, "k": made._key_dense, "v": made._value_dense}
    for name, part in dense.items():
        part.kernel.assign(slot(f"W{name}").T.reshape(part.kernel.shape))
        if p[f"{name}_bias"]:
            part.bias.assign(slot(f"b{name}").reshape(part.bias.shape))
    out = made.output_dense if hasattr(made, "output_dense") else made._output_dense
    out.kernel.assign(slot("Wo").T.reshape(out.kernel.shape))
    if p["o_bias"]:
        out.bias.assign(slot("bo"))


def _load_norm(p: dict, made, slot) -> None:
    if p["scale"]:
        (made.gamma if hasattr(made, "gamma") else made.scale).assign(slot("gamma"))
    if p.get("offset"):
        made.beta.assign(slot("beta"))


def _load_embedding(p: dict, made, slot) -> None:
    table = made.table if hasattr(made, "table") else made
    table.embeddings.assign(slot("table"))


def _load_swiglu(p: dict, made, slot) -> None:
    for letter, part in (("g", made.gate_dense), ("u", made.up_dense), ("d", made.down_dense)):
        part.kernel.assign(slot(f"W{letter}").T)
        if p["bias"]:
            part.bias.assign(slot(f"b{letter}"))


LOADERS = {"dense": _load_dense, "conv": _load_conv, "rnn": _load_rnn, "lstm": _load_lstm,
           "attention": _load_attention, "layernorm": _load_norm, "rmsnorm": _load_norm,
           "embedding": _load_embedding, "swiglu": _load_swiglu}
