"""Writes a layer stream or an .npy for a test, from hexadecimal or decimal numbers on the command line.

With - the numbers come from standard input.

net.py stream '[{"w": [[1, 2]], "b": [3], "act": "relu"}, ...]'    a chain of dense layers
net.py npy '[[1, "0x1p-12"]]' [dtype]                              a tensor
"""
import json
import sys

import numpy as np


def numbers(value):
    """Nested lists of numbers, or of their hexadecimal text, as a float64 array."""
    if isinstance(value, list):
        return [numbers(v) for v in value]
    return float.fromhex(value) if isinstance(value, str) else value


def stream(layers):
    nodes, payload, last = [], b"", "x"
    for i, layer in enumerate(layers):
        w = np.array(numbers(layer["w"]), np.float32)
        slots = [("weight", w, ["o", "i"])]
        if "b" in layer:
            slots.append(("bias", np.array(numbers(layer["b"]), np.float32), ["o"]))
        tensors = [{"slot": s, "dtype": "float32", "shape": list(a.shape), "axes": x} for s, a, x in slots]
        payload += b"".join(a.tobytes() for _, a, _ in slots)
        nodes.append({"name": f"net.{i}", "op": "dense", "in": [last], "tensors": tensors,
                      "params": {"in_features": w.shape[1], "out_features": w.shape[0], "bias": "b" in layer}})
        last = f"net.{i}"
        if "act" in layer:
            nodes.append({"name": f"act.{i}", "op": layer["act"], "in": [last], "params": {}, "tensors": []})
            last = f"act.{i}"
    head = {"loom_stream": 2, "planet": "test", "model": "net", "mode": "eval", "nodes": len(nodes),
            "bytes": len(payload), "outputs": [last],
            "inputs": [{"name": "x", "dtype": "float32", "shape": ["batch", len(layers[0]["w"][0])]}]}
    out = sys.stdout.buffer
    for line in [head, *nodes]:
        out.write(json.dumps(line).encode() + b"\n")
    out.write(payload + json.dumps({"end": True, "bytes": len(payload)}).encode() + b"\n")


if __name__ == "__main__":
    given = json.loads(sys.stdin.read() if sys.argv[2] == "-" else sys.argv[2])
    if sys.argv[1] == "stream":
        stream(given)
    else:
        np.save(sys.stdout.buffer, np.array(numbers(given), sys.argv[3] if len(sys.argv) > 3 else "f4"))
