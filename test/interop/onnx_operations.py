#!/usr/bin/env python3
"""onnx_operations: every operation's fixtures as ONNX files, checked, run and read back.

usage: onnx_operations.py [--opset N] [--table] [OPERATION ...]

Each case under FIXTURES/layers goes through loom-stream and loom-export.  Then onnx.checker takes the file
(full check), ONNX Runtime runs it on the case's inputs, whose outputs must be those of the fixture to 1e-5
relative to max(1, max|y|), and loom-import gives the same .entity once more.  A refusal by name counts as
refused.  What ONNX Runtime computes otherwise, or not at all, stands in onnx_corners.json, by case (with ", opset 23" only
in that opset), and must be so.
Status 0: nothing failed.  A table: operation, exact, close, refused, corner, failed.
"""

import argparse
import collections
import json
import multiprocessing
import os
import subprocess
import sys
import tempfile

import numpy
import onnx
import onnxruntime

KINDS = ("exact", "close", "refused", "corner", "failed")
HERE = os.path.dirname(os.path.abspath(__file__))


class Refused(Exception):
    pass


class Failed(Exception):
    pass


def run(command, **how):
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **how)


def make_entity(tools, case, path):
    with open(os.path.join(case, "net.stream"), "rb") as stream:
        made = run([tools + "/loom-stream"], stdin=stream)
    if made.returncode != 0:
        raise Failed("loom-stream: " + made.stderr.decode(errors="replace").strip())
    with open(path, "wb") as out:
        out.write(made.stdout)


def export(tools, entity, path, opset):
    command = [tools + "/loom-export", "-f", "onnx", "-o", path]
    command += ["--opset", str(opset)] if opset else []
    made = run(command + [entity])
    text = made.stderr.decode(errors="replace").strip()
    if made.returncode == 3 and not os.path.exists(path) and text.count("\n") == 0:
        raise Refused(text)
    if made.returncode != 0:
        raise Failed("status %d: %s" % (made.returncode, text))


def by_onnxruntime(path, inputs):
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    try:
        onnx.checker.check_model(path, full_check=True)
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        return session.run(None, {i.name: inputs[i.name] for i in session.get_inputs()})
    except Exception as found:  # the checker's and the runtime's share no base class
        raise Failed(" ".join(str(found).split())[:300]) from None


def compare(found, wanted):
    """exact, close or what differs."""
    if found.shape != wanted.shape or found.dtype != wanted.dtype:
        return "%s %s, expected %s %s" % (found.dtype, found.shape, wanted.dtype, wanted.shape)
    if found.tobytes() == wanted.tobytes():
        return "exact"
    if wanted.dtype.kind != "f":
        return "%d of %d values differ" % ((found != wanted).sum(), wanted.size)
    a, b = found.astype("f8"), wanted.astype("f8")
    finite = numpy.abs(b[numpy.isfinite(b)])
    scale = max(1.0, finite.max() if finite.size else 1.0)
    with numpy.errstate(invalid="ignore"):
        same = (a == b) | (numpy.isnan(a) & numpy.isnan(b)) | (numpy.abs(a - b) <= 1e-5 * scale)
    if same.all():
        return "close"
    return "%d of %d values differ" % ((~same).sum(), wanted.size)


def narrower(case):
    """Are there tensors that the file holds as float32, but the network does not?"""
    with open(os.path.join(case, "net.stream"), "rb") as stream:
        nodes = [json.loads(line) for line in stream if line.startswith(b'{"name"')]
    dtypes = {tensor.get("dtype") for node in nodes for tensor in node["tensors"]}
    return bool(dtypes - {None, "float32", "int64", "bool"})


def read_back(tools, onnx_path, entity, folder, case):
    """The .entity byte for byte; widened weights give the same bits in a run."""
    again = os.path.join(folder, "again.entity")
    made = run([tools + "/loom-import", "-o", again, onnx_path])
    if made.returncode != 0:
        raise Failed("loom-import: " + made.stderr.decode(errors="replace").strip())
    if narrower(case):
        made = run([tools + "/loom-infer", "-m", again, os.path.join(case, "in.npz")])
        entity, again = os.path.join(case, "out.npy"), os.path.join(folder, "out.npy")
        with open(again, "wb") as out:
            out.write(made.stdout)
    with open(entity, "rb") as a, open(again, "rb") as b:
        if a.read() != b.read():
            raise Failed("what was read back is another network")


def try_case(tools, case, opset, folder):
    entity = os.path.join(folder, "net.entity")
    path = os.path.join(folder, "net.onnx")
    make_entity(tools, case, entity)
    export(tools, entity, path, opset)
    try:
        with numpy.load(os.path.join(case, "in.npz")) as inputs:
            found = by_onnxruntime(path, inputs)
        verdict = compare(found[0], numpy.load(os.path.join(case, "out.npy")))
    except Failed as why:  # it may be a corner that it has no kernel
        verdict = str(why)
    read_back(tools, path, entity, folder, case)
    return verdict


def judge(verdict, corner):
    """A corner that is none any more is a failure, too."""
    if corner is not None:
        return ("failed", "is no corner: " + verdict) if verdict in KINDS else ("corner", corner)
    return (verdict, "") if verdict in KINDS else ("failed", verdict)


def one(tools, case, opset, corner):
    with tempfile.TemporaryDirectory() as folder:
        try:
            return judge(try_case(tools, case, opset, folder), corner)
        except Refused as why:
            return "refused", str(why)
        except Failed as why:
            return "failed", str(why)


def apart(*case):
    """In a process of its own, since ONNX Runtime may take it down."""
    here, there = multiprocessing.Pipe(duplex=False)
    process = multiprocessing.Process(target=lambda: there.send(one(*case)))
    process.start()
    there.close()
    try:
        found = here.recv()
    except EOFError:
        found = judge("the process that ran it ended", case[-1])
    process.join()
    return found


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("operations", nargs="*")
    parser.add_argument("--bin", default=os.environ.get("PLANETBRIDGING_BIN", "build/bin"))
    parser.add_argument("--fixtures", default=os.path.join(HERE, "../../fixtures"))
    parser.add_argument("--opset", type=int, default=0)
    parser.add_argument("--table", action="store_true", help="every case that is not exact or close")
    how = parser.parse_intermixed_args()
    with open(os.path.join(HERE, "onnx_corners.json"), encoding="utf-8") as file:
        corners = json.load(file)
    layers = os.path.join(how.fixtures, "layers")
    operations = how.operations or sorted(
        name for name in os.listdir(layers) if os.path.isdir(os.path.join(layers, name)))
    total = collections.Counter()
    for operation in operations:
        counts = collections.Counter()
        for name in sorted(os.listdir(os.path.join(layers, operation))):
            label = operation + "/" + name
            kind, why = apart(how.bin, os.path.join(layers, operation, name), how.opset,
                              corners.get(f"{label}, opset {how.opset}", corners.get(label)))
            counts[kind] += 1
            if kind == "failed" or (how.table and why):
                print("%s: %s: %s" % (kind, label, why))
        print("%-30s" % operation, *("%s %d" % (kind, counts[kind]) for kind in KINDS))
        sys.stdout.flush()
        total.update(counts)
    print("%-30s" % "all", *("%s %d" % (kind, total[kind]) for kind in KINDS))
    good = total["exact"] + total["close"] + total["corner"]
    print(f"{good} passed, {total['failed']} failed")
    return 1 if total["failed"] > 0 or good == 0 else 0


if __name__ == "__main__":
    sys.exit(main())
