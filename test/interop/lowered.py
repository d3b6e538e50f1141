#!/usr/bin/env python3
"""What loom-stream --lower writes, an unmodified Loom (PyPI welvet) computes.

usage: lowered.py    exit 0: as expected, 77: skipped, 1: not as expected

For each network of test/cmd/lowering.py: the outputs of the lowered file in Loom and in loom-infer lie
within 1e-6 of NumPy's in float64, relative to max(1, max|y|); the file that is not lowered does not in
Loom; entity-dump --check calls the lowered one plain Loom; Loom saves it again byte for byte.
WELVET_PYTHON is the interpreter that has welvet (default: this one).  Loom ends its process on a bad file,
so it always runs in a child.
"""
import json
import os
import subprocess
import sys
import tempfile

try:
    import numpy as np
except ImportError:
    print("SKIPPED: numpy is not installed")
    sys.exit(77)

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "cmd"))
import lowering

PYTHON = os.environ.get("WELVET_PYTHON", sys.executable)
CHILD = """
import json, sys, welvet
data = open(sys.argv[1], "rb").read()
network = welvet.Network.deserialize_entity(data)
network.sync_inference_weights()
values, shape = json.loads(sys.stdin.read())
print("RESULT " + json.dumps([network.serialize_entity() == data, list(map(float, network.forward_polymorphic(values, shape)))]))
"""
BOUND, WRONG = 1e-6, 1e-4


def run(*command, **more):
    done = subprocess.run(command, capture_output=True, timeout=120, **more)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)}: status {done.returncode}: {done.stderr.decode()[-300:]}")
    return done.stdout


def by_loom(path, x):
    """Whether Loom saves the same bytes, and what it computes; None where it ends instead."""
    done = subprocess.run([PYTHON, "-c", CHILD, path], input=json.dumps([x.ravel().tolist(), list(x.shape)]),
                          capture_output=True, text=True, timeout=120)
    lines = [line for line in done.stdout.splitlines() if line.startswith("RESULT ")]
    if done.returncode != 0 or not lines:
        return None, None
    same, values = json.loads(lines[0][len("RESULT "):])
    return same, np.array(values)


def error(found, want):
    """Relative to max(1, max|y|); infinite where there are not as many values, or none."""
    if found is None or found.size != want.size:
        return np.inf
    return np.abs(found.ravel() - want.ravel()).max() / max(1, np.abs(want).max())


def infer(path, x):
    np.save("x.npy", x)
    with open("y.npy", "wb") as out:
        out.write(run("loom-infer", "-m", path, "x.npy"))
    return np.load("y.npy")


def faults(name):
    net, x, want = lowering.NETS[name](name)
    run("loom-stream", "-o", "full.entity", input=net.stream())
    run("loom-stream", "--lower", "-o", "lowered.entity", input=net.stream())
    same, loom = by_loom("lowered.entity", x)
    full, ours, check = by_loom("full.entity", x)[1], infer("lowered.entity", x), run("entity-dump", "--check", "lowered.entity")
    print(f"{name:22} Loom {error(loom, want):.1e}, without lowering {error(full, want):.1e}, loom-infer {error(ours, want):.1e}")
    if error(loom, want) > BOUND:
        yield "Loom computes something else"
    if error(full, want) < WRONG:
        yield "Loom computes it without lowering too: the test proves nothing"
    if error(ours, want) > BOUND:
        yield "loom-infer computes something else"
    if b"plain Loom\n" not in check:
        yield "entity-dump --check does not call it plain Loom"
    if not same:
        yield "Loom saves other bytes"


def main():
    if subprocess.run([PYTHON, "-c", "import welvet"], capture_output=True).returncode != 0:
        print("SKIPPED: welvet is not installed")
        return 77
    bad = 0
    with tempfile.TemporaryDirectory() as place:
        os.chdir(place)
        for name in lowering.NETS:
            for fault in faults(name):
                print(f"{name}: {fault}")
                bad += 1
    print("not as expected" if bad else "as expected")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
