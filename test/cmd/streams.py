"""Layer streams and requests for the tests of loom-stream, too large or too binary for printf.

matrix AXES [DTYPE]: one dense layer of 300 x 700 small integers; tied: two layers with one matrix;
large AXES N: N layers of 16 MiB; request N: N thousand numbers; peak COMMAND...: run it, print its peak
of memory in KiB.
"""
import json
import resource
import subprocess
import sys

import numpy as np

OUT = sys.stdout.buffer


def line(value):
    OUT.write(json.dumps(value).encode() + b"\n")


def head(nodes, size, width, outputs):
    line({"loom_stream": 2, "planet": "test", "mode": "eval", "nodes": nodes, "bytes": size,
          "inputs": [{"name": "x", "dtype": "float32", "shape": ["batch", width]}], "outputs": outputs})


def dense(name, width, height, tensor):
    line({"name": name, "op": "dense", "params": {"in_features": width, "out_features": height, "bias": False},
          "tensors": [{"slot": "weight"} | tensor]})


def matrix(axes, dtype="float32"):
    rows, cols = 300, 700
    values = (np.arange(rows * cols) * 37 % 101 - 50).reshape(rows, cols)
    if dtype == "bfloat16":
        data = (values.astype("<f4").view("<u4") >> 16).astype("<u2")
    else:
        data = values.astype(np.dtype(dtype).newbyteorder("<"))
    data = data if axes == "oi" else np.ascontiguousarray(data.T)
    head(1, data.nbytes, cols, ["y"])
    dense("y", cols, rows, {"dtype": dtype, "shape": data.shape, "axes": list(axes)})
    OUT.write(data.tobytes())
    line({"end": True, "bytes": data.nbytes})


def tied():
    head(2, 16, 2, ["b"])
    dense("a", 2, 2, {"dtype": "float32", "shape": [2, 2], "axes": ["o", "i"]})
    dense("b", 2, 2, {"same": "a.weight"})
    OUT.write(np.array([1, 2, 3, 4], "<f4").tobytes())
    line({"end": True, "bytes": 16})


def large(axes, count):
    width, size = 2048, 1 << 24
    head(int(count), int(count) * size, width, [f"l{int(count) - 1}"])
    for i in range(int(count)):
        dense(f"l{i}", width, width, {"dtype": "float32", "shape": [width, width], "axes": list(axes)})
    for _ in range(int(count)):
        OUT.write(bytes(size))
    line({"end": True, "bytes": int(count) * size})


def request(thousands):
    row = ", ".join(f"{(i * 7919 % 1000) / 1000:.3f}{i}" for i in range(1000))
    weights = ", ".join([row] * int(thousands))
    OUT.write(b'{"planet":"p","model_id":"m","input_dim":1000,"layers":[{"input_dim":1000,"output_dim":%d,"weights":[%s]}]}'
              % (int(thousands), weights.encode()))


def peak(*command):
    subprocess.run(command, check=True)
    print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)


if __name__ == "__main__":
    globals()[sys.argv[1]](*sys.argv[2:])
