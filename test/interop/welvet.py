#!/usr/bin/env python3
"""An unmodified Loom (PyPI welvet) loads our checkpoints, and computes what it understands of them.

usage: welvet.py FILE...    exit 0: as expected, 77: skipped, 1: not as expected

For each file: the layers that its header lists, without biases and without what stands under "bridge",
are computed here from the bytes and by Loom; both must be equal.  WELVET_PYTHON is the interpreter that
has welvet (default: this one).  Loom ends its process on a bad file, so it always runs in a child.
"""
import json
import os
import struct
import subprocess
import sys

PYTHON = os.environ.get("WELVET_PYTHON", sys.executable)
CHILD = """
import json, sys, welvet
network = welvet.deserialize_entity(open(sys.argv[1], "rb").read())
welvet.sync_inference_weights(network)
rows = json.loads(sys.argv[2])
result = [list(map(float, welvet.sequential_forward(network, row))) for row in rows]
print("RESULT " + json.dumps(result))
"""
DTYPES = {"float32": "f", "float16": "e", "float64": "d"}
ACTIVATIONS = {"Linear": lambda v: v, "ReLU": lambda v: max(v, 0.0)}


def layers(path):
    """(activation, rows of weights) of each layer, from the file's bytes."""
    data = open(path, "rb").read()
    size = struct.unpack_from("<Q", data, 12)[0]
    header = json.loads(data[20:20 + size])
    blobs = {blob["path"]: blob for blob in header["blobs"]}
    for i, spec in enumerate(header["network"]["layers"]):
        blob = blobs[f"layers.{i}"]
        columns, rows = spec["input_height"], spec["output_height"]
        flat = struct.unpack_from(f"<{rows * columns}{DTYPES[blob['dtype']]}", data, 20 + size + blob["offset"])
        yield spec["activation"], [flat[k * columns:(k + 1) * columns] for k in range(rows)]


def expected(path, row):
    for activation, weights in layers(path):
        row = [ACTIVATIONS[activation](sum(a * b for a, b in zip(row, w))) for w in weights]
    return row


def by_loom(path, rows):
    done = subprocess.run([PYTHON, "-c", CHILD, path, json.dumps(rows)], capture_output=True, text=True, timeout=120)
    lines = [line for line in done.stdout.splitlines() if line.startswith("RESULT ")]
    if done.returncode != 0 or not lines:
        sys.exit(f"{path}: Loom failed: {(done.stderr or done.stdout)[-500:]}")
    return json.loads(lines[0][len("RESULT "):])


def main(paths):
    if subprocess.run([PYTHON, "-c", "import welvet"], capture_output=True).returncode != 0:
        print("SKIPPED: welvet is not installed")
        return 77
    status = 0
    for path in paths:
        width = len(next(layers(path))[1][0])
        rows = [[float(k + 1) for k in range(width)], [2.0 - k for k in range(width)]]
        want, found = [expected(path, row) for row in rows], by_loom(path, rows)
        if want != found:
            print(f"{path}: expected {want}, Loom computes {found}")
            status = 1
    print("as expected" if status == 0 else "not as expected")
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
