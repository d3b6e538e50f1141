"""Writes NAME.stream and NAME.npy, 64 samples, for each network of bits.bats."""
import json

import numpy as np

DRAW = np.random.default_rng(6)
BATCH = 64


def draw(*shape):
    return (DRAW.standard_normal(shape) / np.sqrt(shape[-1])).astype("<f4")


def node(name, op, source, params, **slots):
    """A node and its arrays; a slot is an array and its axes, a letter each."""
    tensors = [{"slot": s, "dtype": "float32", "shape": list(a.shape), "axes": list(axes)}
               for s, (a, axes) in slots.items()]
    return ({"name": name, "op": op, "in": [source], "params": params, "tensors": tensors},
            [a for a, _ in slots.values()])


def dense(name, source, i, o):
    return node(name, "dense", source, {"in_features": i, "out_features": o, "bias": True},
                weight=(draw(o, i), "oi"), bias=(draw(o), "o"))


def tiny(name, source, i, o):
    """Its results are subnormal."""
    return node(name, "dense", source, {"in_features": i, "out_features": o, "bias": False},
                weight=(np.float32(2**-128) * draw(o, i), "oi"))


def conv(name, source, i, o, k, stride, groups):
    both = {"kernel": [k] * 2, "stride": [stride] * 2, "dilation": [1] * 2, "pad_low": [k // 2] * 2,
            "pad_high": [k // 2] * 2}
    return node(name, "conv2", source, {"in_channels": i, "out_channels": o, **both, "groups": groups, "bias": True},
                weight=(draw(o, i // groups, k, k), "fchw"), bias=(draw(o), "f"))


def plain(name, op, source, **params):
    return node(name, op, source, params)


def attention(name, source, d, heads, kv):
    head = d // heads
    return node(name, "attention", source, {
        "d_model": d, "key_features": d, "value_features": d, "out_features": d, "num_heads": heads,
        "num_kv_heads": kv, "head_dim": head, "value_dim": head, "q_bias": True, "k_bias": True, "v_bias": True,
        "o_bias": True, "causal": True, "rope": "half", "rope_base": 10000.0, "scale": None, "mask": "none",
        "fill": "-inf", "empty": "zero"},
        Wq=(draw(d, d), "qd"), Wk=(draw(kv * head, d), "kd"), Wv=(draw(kv * head, d), "vd"), Wo=(draw(d, d), "do"),
        bq=(draw(d), "q"), bk=(draw(kv * head), "k"), bv=(draw(kv * head), "v"), bo=(draw(d), "d"))


def lstm(name, source, i, h):
    gates = {}
    for g in "ifgo":
        gates |= {f"W_{g}": (draw(h, i), "hi"), f"U_{g}": (draw(h, h), "hu"), f"b_{g}": (draw(h), "h")}
    gates |= {f"b2_{g}": (draw(h), "h") for g in "ifgo"}
    return node(name, "lstm", source, {"input_size": i, "hidden_size": h, "biases": 2, "direction": "forward",
                                       "order": "time"}, **gates)


def layernorm(name, source, n):
    return node(name, "layernorm", source, {"dim": n, "eps": 1e-5, "scale": True, "offset": True},
                gamma=(draw(n), "n"), beta=(draw(n), "n"))


# Large enough that a product of 64 samples is worth several threads.
NETWORKS = {
    "dense": ([300], [dense("a", "x", 300, 701), plain("b", "gelu", "a", approximate="none"),
                      dense("c", "b", 701, 33), plain("y", "softmax", "c", axis=-1)]),
    "tiny": ([100], [tiny("a", "x", 100, 1200), plain("y", "relu", "a")]),
    "conv": ([3, 30, 31], [conv("a", "x", 3, 24, 3, 2, 1), plain("b", "silu", "a"),
                           conv("c", "b", 24, 24, 3, 1, 24), conv("d", "c", 24, 40, 1, 1, 1),
                           plain("y", "global_avgpool", "d", spatial=2)]),
    "attention": ([19, 96], [layernorm("a", "x", 96), attention("b", "a", 96, 4, 2), dense("y", "b", 96, 96)]),
    "lstm": ([9, 40], [lstm("a", "x", 40, 110), plain("b", "tanh", "a"), dense("y", "b", 110, 7)]),
}


def main():
    for name, (shape, made) in NETWORKS.items():
        payload = b"".join(a.tobytes() for _, arrays in made for a in arrays)
        head = {"loom_stream": 2, "planet": "test", "model": name, "mode": "eval", "nodes": len(made),
                "bytes": len(payload), "outputs": ["y"],
                "inputs": [{"name": "x", "dtype": "float32", "shape": ["batch", *shape]}]}
        with open(f"{name}.stream", "wb") as out:
            for line in [head, *(n for n, _ in made)]:
                out.write(json.dumps(line).encode() + b"\n")
            out.write(payload + json.dumps({"end": True, "bytes": len(payload)}).encode() + b"\n")
        np.save(f"{name}.npy", DRAW.standard_normal((BATCH, *shape)).astype("<f4"))


if __name__ == "__main__":
    main()
