"""Writes a network whose slots lie in the arrays of a state dict in many ways, as a layer stream, and the
arrays themselves: state_dicts.py STREAM NPZ.

Slots are cut from the arrays by NumPy's own slicing; the layouts beside them are written out by hand.
"""
import json
import sys

import numpy as np

DRAW = np.random.default_rng(11)


def draw(*shape):
    return DRAW.normal(0, 0.5, shape).astype(np.float32)


def slot(name, axes, value, source, first, strides, **more):
    """axes None: a constant's value, which has none."""
    layout = {"shape": list(ARRAYS[source].shape), "first": first, "strides": strides}
    described = {"slot": name, "dtype": value.dtype.name, "shape": list(value.shape), "source": source,
                 "layout": layout, **more}
    return (described if axes is None else described | {"axes": axes}), np.ascontiguousarray(value).tobytes()


def node(name, op, inputs, params, *tensors, **more):
    described = {"name": name, "op": op, "in": inputs, "params": params, **more}
    return described | {"tensors": [t for t, _ in tensors]}, b"".join(data for _, data in tensors)


ARRAYS = {
    "conv.kernel": draw(2, 2, 2, 3),  # height, width, in, out, and turned by half a turn
    "heads.in_proj": draw(6, 27),     # three dense layers of two outputs
    "heads.bias": draw(6),
    "cell.kernel": draw(2, 8),        # in, four gates of two
    "cell.recurrent": draw(2, 8),
    "cell.bias": draw(8),
    "shared.weight": draw(3, 2),
    "scale": draw(),
    "steps": np.array([3, -4, 5], np.int64),
}
ALIASES = {"shared.weight": ["again.weight", "decoder.weight"]}


def head(k):
    rows = slice(2 * k, 2 * k + 2)
    return node(f"head.{k}", "dense", ["flat"], {"in_features": 27, "out_features": 2, "bias": True},
                slot("weight", ["o", "i"], ARRAYS["heads.in_proj"][rows], "heads.in_proj", 54 * k, [27, 1]),
                slot("bias", ["o"], ARRAYS["heads.bias"][rows], "heads.bias", 2 * k, [1]))


def shared(name, value):
    return node(name, "dense", [value], {"in_features": 2, "out_features": 3, "bias": False},
                slot("weight", ["o", "i"], ARRAYS["shared.weight"], "shared.weight", 0, [2, 1],
                     aliases=ALIASES["shared.weight"]))


def gates():
    for k, letter in enumerate("ifgo"):
        columns = slice(2 * k, 2 * k + 2)
        yield slot(f"W_{letter}", ["i", "h"], ARRAYS["cell.kernel"][:, columns], "cell.kernel", 2 * k, [8, 1])
        yield slot(f"U_{letter}", ["h", "u"], ARRAYS["cell.recurrent"][:, columns].T, "cell.recurrent", 2 * k, [1, 8])
        yield slot(f"b_{letter}", ["h"], ARRAYS["cell.bias"][columns], "cell.bias", 2 * k, [1])


def network():
    two = {"in_features": 2, "out_features": 3, "bias": False}
    half = np.full(2, 0.5, np.float32)
    return [
        node("conv", "conv2", ["image"],
             {"in_channels": 2, "out_channels": 3, "kernel": [2, 2], "stride": [1, 1], "dilation": [1, 1],
              "pad_low": [0, 0], "pad_high": [0, 0], "groups": 1, "bias": False},
             slot("weight", ["f", "c", "h", "w"], ARRAYS["conv.kernel"][::-1, ::-1].transpose(3, 2, 0, 1), "conv.kernel",
                  18, [1, 3, -12, -6])),
        node("flat", "flatten", ["conv"], {"start": 1, "end": -1}),
        head(0), head(1), head(2),
        node("sum", "add", ["head.0", "head.1"], {}), node("sums", "mul", ["sum", "head.2"], {}),
        # A number that is no weight, and one that is.
        node("half", "constant", [], {"shape": [2]}, ({"slot": "value", "dtype": "float32", "shape": [2]}, half.tobytes())),
        node("halved", "mul", ["sums", "half"], {}),
        node("scale", "constant", [], {"shape": []}, slot("value", None, ARRAYS["scale"], "scale", 0, [])),
        node("scaled", "mul", ["halved", "scale"], {}),
        shared("first", "scaled"), shared("second", "sums"),
        node("third", "dense", ["sum"], two, ({"slot": "weight", "same": "first.weight"}, b"")),
        node("both", "add", ["first", "second"], {}), node("all", "add", ["both", "third"], {}),
        node("cell", "lstm", ["sequence"], {"input_size": 2, "hidden_size": 2, "biases": 1, "direction": "forward",
                                            "order": "time"}, *gates()),
        node("steps", "constant", [], {"shape": [3]}, slot("value", None, ARRAYS["steps"], "steps", 0, [1])),
    ]


def main(stream, arrays):
    nodes = network()
    payload = b"".join(data for _, data in nodes)
    first = {"loom_stream": 2, "planet": "test", "model": "dict", "mode": "eval", "nodes": len(nodes),
             "bytes": len(payload), "outputs": ["all", "cell", "steps"],
             "inputs": [{"name": "image", "dtype": "float32", "shape": ["batch", 2, 4, 4]},
                        {"name": "sequence", "dtype": "float32", "shape": ["batch", "time", 2]}]}
    with open(stream, "wb") as out:
        for line in [first, *(described for described, _ in nodes)]:
            out.write(json.dumps(line, separators=(",", ":")).encode() + b"\n")
        out.write(payload + json.dumps({"end": True, "bytes": len(payload)}).encode() + b"\n")
    named = ARRAYS | {name: ARRAYS[of] for of, names in ALIASES.items() for name in names}
    np.savez(arrays, **named)


if __name__ == "__main__":
    main(*sys.argv[1:])
