"""Writes networks that take sequences, as layer streams, and their inputs, for pieces.bats.

pieces.py decoder NAME       a decoder of two layers: grouped keys, and a rope or none, by name
pieces.py input SEED SHAPE   an .npy of that many extents: "2,7,12"; of ids if the last is "ids"
pieces.py refused            the names of networks that do not go in pieces
pieces.py refused NAME       one of them, whose last node looks at several positions
"""
import json
import sys

import numpy as np

WIDE, VOCABULARY = 12, 30
draw = np.random.default_rng(5)


def tensor(slot, axes, *shape):
    return slot, list(axes), (draw.standard_normal(shape) * 0.4).astype(np.float32)


def node(name, op, source, params=None, tensors=()):
    return name, op, source, params or {}, tensors


def write(nodes, inputs):
    lines, payload = [], b""
    for name, op, source, params, tensors in nodes:
        outs = {"out": [name, name + "2"]} if op == "split" else {}
        described = [{"slot": s, "dtype": "float32", "shape": list(a.shape)} | ({"axes": x} if x else {})
                     for s, x, a in tensors]
        payload += b"".join(a.tobytes() for _, _, a in tensors)
        lines.append({"name": name, "op": op, "in": source, "params": params, "tensors": described} | outs)
    head = {"loom_stream": 2, "planet": "test", "model": "net", "mode": "eval", "nodes": len(nodes),
            "bytes": len(payload), "outputs": [nodes[-1][0]], "inputs": inputs}
    out = sys.stdout.buffer
    for line in [head, *lines]:
        out.write(json.dumps(line).encode() + b"\n")
    out.write(payload + json.dumps({"end": True, "bytes": len(payload)}).encode() + b"\n")


def attention(name, source, heads=4, kv_heads=2, rope="none", causal=True, mask="none", size=6, value=5):
    params = {"d_model": WIDE, "key_features": WIDE, "value_features": WIDE, "out_features": WIDE,
              "num_heads": heads, "num_kv_heads": kv_heads, "head_dim": size, "value_dim": value,
              "q_bias": True, "k_bias": False, "v_bias": True, "o_bias": False, "causal": causal,
              "rope": rope, "rope_base": None if rope == "none" else 10000.0, "scale": None, "mask": mask,
              "fill": "-inf", "empty": "zero"}
    return node(name, "attention", source, params, [
        tensor("Wq", "qd", heads * size, WIDE), tensor("Wk", "kd", kv_heads * size, WIDE),
        tensor("Wv", "vd", kv_heads * value, WIDE), tensor("Wo", "do", WIDE, heads * value),
        tensor("bq", "q", heads * size), tensor("bv", "v", kv_heads * value)])


def dense(name, source, wide, to):
    return node(name, "dense", source, {"in_features": wide, "out_features": to, "bias": True},
                [tensor("weight", "oi", to, wide), tensor("bias", "o", to)])


def norm(name, source):
    return node(name, "rmsnorm", source, {"dim": WIDE, "eps": 1e-5, "scale": True},
                [tensor("gamma", "n", WIDE)])


def block(i, source, **how):
    """Names of a layer of a decoder, whose last is the sum of all."""
    return [norm(f"n{i}", [source]), attention(f"a{i}", [f"n{i}"], **how),
            node(f"r{i}", "residual", [source, f"a{i}"]), norm(f"m{i}", [f"r{i}"]),
            dense(f"f{i}", [f"m{i}"], WIDE, 20), node(f"g{i}", "silu", [f"f{i}"]),
            dense(f"d{i}", [f"g{i}"], 20, WIDE), node(f"s{i}", "add", [f"r{i}", f"d{i}"])]


def products(source):
    """Attention of an exporter: heads by reshape and transpose, then scaled_dot_product_attention."""
    split = {"shape": ["batch", "s", 3, 4]}
    nodes = [dense(n, [source], WIDE, WIDE) for n in "qkv"]
    nodes += [node(n + "h", "reshape", [n], split) for n in "qkv"]
    nodes += [node(n + "t", "transpose", [n + "h"], {"perm": [0, 2, 1, 3]}) for n in "qkv"]
    return nodes + [
        node("p", "scaled_dot_product_attention", ["qt", "kt", "vt"],
             {"causal": True, "scale": None, "mask": "none", "fill": "-inf", "empty": "zero"}),
        node("pt", "transpose", ["p"], {"perm": [0, 2, 1, 3]}),
        node("o", "reshape", ["pt"], {"shape": ["batch", "s", WIDE]})]


def decoder(name):
    ids = {"name": "ids", "dtype": "int64", "shape": ["batch", "s"]}
    table = node("e", "embedding", ["ids"], {"vocab_size": VOCABULARY, "embedding_dim": WIDE, "outside": "error",
                                             "wrap": False}, [tensor("table", "vd", VOCABULARY, WIDE)])
    how = {"half": {"rope": "half"}, "interleaved": {"rope": "interleaved"}, "plain": {"kv_heads": 4},
           "one": {"kv_heads": 1, "value": 16}}
    if name == "products":
        write([table, *products("e"), *block(1, "o", rope="half"), dense("y", ["s1"], WIDE, VOCABULARY)], [ids])
        return
    layers = block(1, "e", **how[name]) + block(2, "s1", **how[name])
    write([table, *layers, dense("y", ["s2"], WIDE, VOCABULARY)], [ids])


def recurrent(op):
    gates = {"rnn": [""], "lstm": ["_i", "_f", "_g", "_o"], "gru": ["_r", "_z", "_n"]}[op]
    more = {"gru": {"reset_after": True}, "rnn": {"activation": "tanh"}}.get(op, {})
    return [node(op, op, ["x"], {"input_size": WIDE, "hidden_size": 3, "biases": 0, "direction": "forward",
                                 "order": "time"} | more,
                 [t for g in gates for t in (tensor("W" + g, "hi", 3, WIDE), tensor("U" + g, "hu", 3, 3))])]


TURNED = node("t", "transpose", ["x"], {"perm": [0, 2, 1]})
WINDOW = {"kernel": [2], "stride": [1], "dilation": [1], "pad_low": [0], "pad_high": [0]}
CHANNELS = {"in_channels": WIDE, "out_channels": 2, "groups": 1, "bias": False}


def sdpa(causal, mask="none", inputs=("x4", "x4", "x4")):
    return [node("x4", "unsqueeze", ["x"], {"axes": [1]}),
            node("sdpa", "scaled_dot_product_attention", list(inputs),
                 {"causal": causal, "scale": None, "mask": mask, "fill": "-inf", "empty": "zero"})]


REFUSED = {
    "attention": lambda: [attention("attention", ["x"], causal=False)],
    "attention-masked": lambda: [node("m", "constant", [], {"shape": [1, 1]}, [tensor("value", "", 1, 1)]),
                                 attention("attention", ["x", None, None, "m"], mask="add")],
    "scaled_dot_product_attention": lambda: sdpa(False),
    "scaled_dot_product_attention-turned": lambda: [
        node("x4", "unsqueeze", ["x"], {"axes": [1]}), node("t", "transpose", ["x4"], {"perm": [0, 2, 1, 3]}),
        *sdpa(True, inputs=("t", "t", "t"))[1:]],
    "rnn": lambda: recurrent("rnn"),
    "lstm": lambda: recurrent("lstm"),
    "gru": lambda: recurrent("gru"),
    "conv1": lambda: [TURNED, node("conv1", "conv1", ["t"], WINDOW | CHANNELS, [
        tensor("weight", "fcw", 2, WIDE, 2)])],
    "convtranspose1": lambda: [TURNED, node("convtranspose1", "convtranspose1", ["t"], WINDOW | CHANNELS, [
        tensor("weight", "cfw", WIDE, 2, 2)])],
    "maxpool1": lambda: [TURNED, node("maxpool1", "maxpool1", ["t"], WINDOW | {"ceil": False})],
    "avgpool1": lambda: [TURNED, node("avgpool1", "avgpool1", ["t"], {
        "kernel": [2], "stride": [1], "pad_low": [0], "pad_high": [0], "ceil": False, "count_pad": True})],
    "global_maxpool": lambda: [TURNED, node("global_maxpool", "global_maxpool", ["t"], {"spatial": 1})],
    "global_avgpool": lambda: [TURNED, node("global_avgpool", "global_avgpool", ["t"], {"spatial": 1})],
    "groupnorm": lambda: [TURNED, node("groupnorm", "groupnorm", ["t"], {
        "channels": WIDE, "eps": 1e-5, "scale": False, "offset": False, "groups": 2})],
    "instancenorm": lambda: [TURNED, node("instancenorm", "instancenorm", ["t"], {
        "channels": WIDE, "eps": 1e-5, "scale": False, "offset": False})],
    "softmax": lambda: [node("softmax", "softmax", ["x"], {"axis": 1})],
    "log_softmax": lambda: [node("log_softmax", "log_softmax", ["x"], {"axis": -2})],
    "cumsum": lambda: [node("cumsum", "cumsum", ["x"], {"axis": 1})],
    "argmax": lambda: [node("argmax", "argmax", ["x"], {"axis": 1, "keepdims": True})],
    "mean": lambda: [node("mean", "mean", ["x"], {"axes": [1], "keepdims": False})],
    "sum": lambda: [node("sum", "sum", ["x"], {"axes": [-1, -2], "keepdims": True})],
    "max": lambda: [TURNED, node("max", "max", ["t"], {"axes": [-1], "keepdims": True})],
    "split": lambda: [TURNED, node("split", "split", ["t"], {"axis": 2, "sizes": [1, "s-1"]})],
    "concat": lambda: [node("concat", "concat", ["x", "x"], {"axis": 1})],
    "slice": lambda: [node("slice", "slice", ["x"], {"axes": [1], "starts": [0], "stops": [1], "steps": [1]})],
    "pad": lambda: [node("pad", "pad", ["x"], {"axes": [1], "low": [1], "high": [0], "mode": "constant", "value": 0.0})],
    "flatten": lambda: [node("flatten", "flatten", ["x"], {"start": 0, "end": 1})],
    "reshape": lambda: [node("reshape", "reshape", ["x"], {"shape": ["batch", "s*2", WIDE // 2]})],
    "reshape-mixed": lambda: [node("reshape", "reshape", ["x"], {"shape": [WIDE, "s", "batch"]})],
    "matmul": lambda: [TURNED, node("matmul", "matmul", ["x", "t"])],
    "add": lambda: [TURNED, node("u", "unsqueeze", ["x"], {"axes": [1]}), node("v", "unsqueeze", ["x"], {"axes": [2]}),
                    node("add", "add", ["u", "v"])],
    "arange": lambda: [node("arange", "arange", [], {"start": [0], "stop": ["s"], "step": 1})],
    "size": lambda: [node("size", "size", [], {"of": ["s"]})],
    "resize": lambda: [TURNED, node("resize", "resize", ["t"], {
        "mode": "nearest", "size": ["s*2"], "coordinates": "asymmetric"})],
}

if __name__ == "__main__":
    if sys.argv[1] == "decoder":
        decoder(sys.argv[2])
    elif sys.argv[1] == "input":
        draw = np.random.default_rng(int(sys.argv[2]))
        *extents, kind = sys.argv[3].split(",")
        if kind == "ids":
            np.save(sys.stdout.buffer, draw.integers(0, VOCABULARY, [int(n) for n in extents]))
        else:
            np.save(sys.stdout.buffer, draw.standard_normal([*map(int, extents), int(kind)]).astype("f4"))
    elif len(sys.argv) == 2:
        print("\n".join(REFUSED))
    else:
        write(REFUSED[sys.argv[2]](), [{"name": "x", "dtype": "float32", "shape": ["batch", "s", WIDE]}])
