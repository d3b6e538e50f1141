"""Feeds the cases of fixtures/layers with nothing along each of their named axes in turn.

empty.py FIXTURES: run in an empty folder with the programs on the PATH.  Each must be computed or refused with
a line; status 1, and a line for each that was not.
"""
import json
import subprocess
import sys
from pathlib import Path

import numpy as np


def names(head):
    """The names of sizes in the inputs' shapes."""
    return sorted({size for given in head["inputs"] for size in given["shape"]
                   if isinstance(size, str) and size.isidentifier()})


def write_inputs(head, values, empty):
    """x.npz with the case's inputs, of extent 0 where the size called empty stands."""
    np.savez("x.npz", **{given["name"]: np.zeros(
        [0 if size == empty else extent for size, extent in zip(given["shape"], values[given["name"]].shape)],
        values[given["name"]].dtype) for given in head["inputs"]})


def main(fixtures):
    tried = bad = 0
    for stream in sorted(Path(fixtures).glob("layers/*/*/net.stream")):
        head = json.loads(stream.read_bytes().split(b"\n", 1)[0])
        if not names(head):
            continue
        with stream.open("rb") as source, open("net.entity", "wb") as out:
            subprocess.run(["loom-stream"], stdin=source, stdout=out, check=True)
        values = np.load(stream.parent / "in.npz")
        for empty in names(head):
            write_inputs(head, values, empty)
            ran = subprocess.run(["loom-infer", "-m", "net.entity", "x.npz", "-o", "y"], capture_output=True, check=False)
            tried += 1
            if not (ran.returncode == 0 or (ran.returncode == 3 and ran.stderr.count(b"\n") == 1)):
                bad += 1
                print(f"{stream.parent.relative_to(fixtures)}: {empty} = 0: status {ran.returncode}: {ran.stderr.decode()}")
    print(f"{tried} networks without values along an axis, {bad} failed")
    return bad > 0 or tried < 500


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
