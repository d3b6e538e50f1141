"""Chains of layers as streams, for the tests of what plain Loom can hold.

chains.py list: a line for each, its name and whether a checkpoint of it needs the bridge section;
chains.py stream NAME: the stream; chains.py input NAME: an .npy of two samples, or of what goes.
"""
import json
import sys

import numpy as np

OUT = sys.stdout.buffer


def conv(axes, channels, filters, kernel, low, high, stride=1, op="conv", **more):
    params = {"in_channels": channels, "out_channels": filters, "kernel": [kernel] * axes, "stride": [stride] * axes,
              "dilation": [1] * axes, "pad_low": [low] * axes, "pad_high": [high] * axes, "groups": 1, "bias": False}
    slots = [("weight", "f" + "cdhw"[0] + "dhw"[3 - axes:], (filters, channels) + (kernel,) * axes)]
    if more.get("bias"):
        slots.append(("bias", "f", (filters,)))
    return f"{op}{axes}", params | more, slots


def transposed(*args, **more):
    return conv(*args, op="convtranspose", **more)


def dense(width, height, bias=False):
    slots = [("weight", "oi", (height, width))] + [("bias", "o", (height,))] * bias
    return "dense", {"in_features": width, "out_features": height, "bias": bias}, slots


def norm(width, eps=1e-6, scale=True):
    return "rmsnorm", {"dim": width, "eps": eps, "scale": scale}, [("gamma", "n", (width,))] * scale


def rnn(width, hidden, biases=1):
    slots = [("W", "hi", (hidden, width)), ("U", "hu", (hidden, hidden)), ("b", "h", (hidden,)), ("b2", "h", (hidden,))]
    return "rnn", {"input_size": width, "hidden_size": hidden, "biases": biases, "direction": "forward",
                   "order": "time", "activation": "tanh"}, slots[:2 + biases]


def attention(width, heads, biased=True):
    params = {"d_model": width, "key_features": width, "value_features": width, "out_features": width,
              "num_heads": heads, "num_kv_heads": heads, "head_dim": width // heads, "value_dim": width // heads}
    params |= {f"{which}_bias": biased for which in "qkvo"}
    params |= {"causal": True, "rope": "half", "rope_base": 10000, "scale": None, "mask": "none", "fill": "-inf",
               "empty": "zero"}
    slots = [(f"W{which}", axes, (width, width)) for which, axes in zip("qkvo", ("qd", "kd", "vd", "do"))]
    slots += [(f"b{which}", axis, (width,)) for which, axis in zip("qkvo", "qkvd")] * biased
    return "attention", params, slots


def swiglu(width, hidden):
    slots = [("Wg", "mi", (hidden, width)), ("Wu", "mi", (hidden, width)), ("Wd", "im", (width, hidden))]
    return "swiglu", {"in_features": width, "hidden_features": hidden, "activation": "silu", "bias": False}, slots


def embedding(count, width):
    return "embedding", {"vocab_size": count, "embedding_dim": width, "outside": "zero", "wrap": False}, [
        ("table", "vd", (count, width))]


def reshape(*shape):
    return "reshape", {"shape": list(shape)}, []


def flatten(start, end):
    return "flatten", {"start": start, "end": end}, []


RELU = ("relu", {}, [])
TANH = ("tanh", {}, [])

# name: needs the section, the input's extents, its shape in the test, nodes
CHAINS = {
    "rows": (False, ["n", 4], (2, 4), [dense(4, 3, True), RELU, norm(3), dense(3, 2), TANH]),
    "rows-of-rows": (True, ["n", "s", 4], (2, 3, 4), [dense(4, 3)]),
    "one-row": (True, [4], (4,), [dense(4, 3)]),
    "image": (False, ["n", 2, 5, 4], (2, 2, 5, 4),
              [conv(2, 2, 3, 3, 1, 1), RELU, conv(2, 3, 2, 2, 0, 0, 2), flatten(1, 3), dense(8, 3)]),
    "image-flattened-twice": (False, ["n", 2, 5, 4], (2, 2, 5, 4),
                              [conv(2, 2, 3, 3, 1, 1, 2), flatten(2, 3), flatten(-2, -1), dense(18, 3)]),
    "image-to-rows": (True, ["n", 2, 5, 4], (2, 2, 5, 4), [conv(2, 2, 3, 3, 1, 1), dense(4, 3)]),
    "image-unbatched": (True, [2, 5, 4], (2, 5, 4), [conv(2, 2, 3, 3, 1, 1)]),
    "image-of-any-size": (True, ["n", 2, "h", "w"], (2, 2, 5, 4), [conv(2, 2, 3, 3, 1, 1)]),
    "padded-behind": (False, ["n", 2, 7], (2, 2, 7), [conv(1, 2, 3, 3, 0, 2)]),
    "padded-before": (False, ["n", 2, 7], (2, 2, 7), [conv(1, 2, 3, 3, 2, 0)]),
    "padded-beyond-the-last-window": (True, ["n", 2, 7], (2, 2, 7), [conv(1, 2, 3, 3, 1, 2, 2)]),
    "conv-bias": (True, ["n", 2, 7], (2, 2, 7), [conv(1, 2, 3, 3, 1, 1, bias=True)]),
    "conv-groups": (True, ["n", 1, 7], (2, 1, 7), [conv(1, 1, 3, 3, 1, 1), conv(1, 3, 3, 3, 1, 1, dilation=[2])]),
    "upsampled": (False, ["n", 2, 3, 4], (2, 2, 3, 4), [transposed(2, 2, 3, 3, 1, 0, 2), RELU, transposed(2, 3, 2, 2, 0, 0, 2)]),
    "upsampled-volume": (False, ["n", 2, 3, 4, 2], (2, 2, 3, 4, 2),
                         [transposed(3, 2, 3, 3, 1, 1, 2), TANH, flatten(1, 4), dense(315, 2)]),
    "upsampled-line": (False, ["n", 2, 5], (2, 2, 5), [transposed(1, 2, 3, 2, 0, -3, 3)]),
    "upsampled-before": (False, ["n", 2, 5], (2, 2, 5), [transposed(1, 2, 3, 4, -2, 1, 2)]),
    "upsampled-bias": (True, ["n", 2, 5], (2, 2, 5), [transposed(1, 2, 3, 2, 0, 0, 2, bias=True)]),
    "upsampled-any-size": (True, ["n", 2, "s"], (2, 2, 5), [transposed(1, 2, 3, 2, 0, 0, 2)]),
    "vector-to-volume": (False, ["n", 3], (2, 3),
                         [dense(3, 16), reshape("n", 2, 2, 2, 2), conv(3, 2, 2, 2, 1, 0), TANH, flatten(1, 4),
                          dense(16, 2)]),
    "vector-to-sequence": (False, ["n", 3], (2, 3),
                           [dense(3, 8), reshape("n", 2, 4), rnn(4, 3), rnn(3, 2), flatten(1, 2), dense(4, 2)]),
    "sequence": (False, ["n", 3, 4], (2, 3, 4), [rnn(4, 2)]),
    "sequence-of-any-length": (True, ["n", "s", 4], (2, 3, 4), [rnn(4, 2)]),
    "sequence-two-biases": (True, ["n", 3, 4], (2, 3, 4), [rnn(4, 2, 2)]),
    "sequence-no-bias": (False, ["n", 3, 4], (2, 3, 4), [rnn(4, 2, 0)]),
    "sequence-to-rows": (True, ["n", 3, 4], (2, 3, 4), [rnn(4, 2), dense(2, 5)]),
    "sequence-last-axes": (False, ["n", 3, 4], (2, 3, 4), [rnn(4, 2), flatten(1, 2), dense(6, 5)]),
    "tokens": (False, ["s", 4], (3, 4), [attention(4, 2), norm(4), swiglu(4, 3), norm(4)]),
    "tokens-no-bias": (False, ["s", 4], (3, 4), [attention(4, 2, False)]),
    "tokens-of-a-batch": (True, ["n", "s", 4], (2, 3, 4), [attention(4, 2)]),
    "gated-rows": (False, ["n", 4], (2, 4), [swiglu(4, 3)]),
    "gated-tokens": (False, ["n", "s", 4], (2, 3, 4), [swiglu(4, 3), norm(4)]),
    "norm-eps": (True, ["n", 4], (2, 4), [norm(4, 1e-5)]),
    "norm-no-scale": (False, ["n", 4], (2, 4), [norm(4, 1e-6, False)]),
    "words": (False, ["s"], (5,), [embedding(7, 4), attention(4, 2), norm(4)]),
    "words-of-sentences": (False, ["n", 3], (2, 3), [embedding(7, 4), flatten(1, 2), dense(12, 2)]),
    "bare-activation": (True, ["n", 4], (2, 4), [RELU, dense(4, 2)]),
    "activation-of-a-norm": (True, ["n", 4], (2, 4), [norm(4), RELU]),
}


def stream(name):
    _, shape, _, nodes = CHAINS[name]
    rng = np.random.default_rng(42)
    lines, data = [], b""
    for k, (op, params, slots) in enumerate(nodes):
        tensors = []
        for slot, axes, extents in slots:
            tensors.append({"slot": slot, "dtype": "float32", "shape": list(extents), "axes": list(axes)})
            data += rng.standard_normal(extents).astype("<f4").tobytes()
        lines.append({"name": f"node {k}", "op": op, "params": params, "tensors": tensors})
    head = {"loom_stream": 2, "planet": "test", "mode": "eval", "nodes": len(lines), "bytes": len(data),
            "inputs": [{"name": "x", "dtype": "float32", "shape": shape}], "outputs": [f"node {len(nodes) - 1}"]}
    for line in [head, *lines]:
        OUT.write(json.dumps(line).encode() + b"\n")
    OUT.write(data + json.dumps({"end": True, "bytes": len(data)}).encode() + b"\n")


def values(name):
    _, _, shape, nodes = CHAINS[name]
    rng = np.random.default_rng(7)
    ids = nodes[0][0] == "embedding"
    np.save(OUT, (rng.integers(0, 7, shape) if ids else rng.standard_normal(shape)).astype(np.float32))


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["list"]:
            for chain, (bridge, *_) in CHAINS.items():
                print(chain, "bridge" if bridge else "plain")
        case ["stream", chain]:
            stream(chain)
        case ["input", chain]:
            values(chain)
        case _:
            sys.exit(__doc__)
