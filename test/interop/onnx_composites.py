#!/usr/bin/env python3
"""onnx_composites: an operation that is several ONNX nodes is read as that operation only where all of them are right.

usage: onnx_composites.py [--all] [OPERATION ...]    PLANETBRIDGING_BIN: where the programs are

A few cases (--all: each) of those operations under fixtures/layers are exported.  In the file one thing after another is changed: an
attribute, two inputs of a node exchanged, an input taken from another value, one number of a tensor, a node between
two others doubled; what stands in its metadata is left alone.  Each file must be read as another network, or refused
with one line and status 3.  Status 0: so it was for all.
"""
import argparse
import copy
import os
import subprocess
import sys
import tempfile

import numpy
import onnx
from onnx import helper, numpy_helper

TREE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
LAYERS = os.path.join(TREE, "fixtures", "layers")
BIN = os.environ.get("PLANETBRIDGING_BIN", os.path.join(TREE, "build", "bin"))
OPERATIONS = {
    "lstm": ["backward-reversed", "only-c0", "rank-2", "rank-4", "two-biases-states",
             "lengths", "lengths-backward-reversed"],
    "gru": ["after-one-bias", "before-kept-states", "before-rank-4", "after-lengths-backward-time", "before-lengths-rank-4",
            "after-lengths-states"],
    "rnn": ["backward-time", "relu", "no-bias", "lengths-rank-2"],
    "attention": ["rope-half", "rope-interleaved-grouped", "keep-rank-4", "hide-keys", "add-rank-0", "cross-value",
                  "causal-least"],
    "scaled_dot_product_attention": ["groups-2", "keep", "add", "left-padded-inf-nan", "scale"],
    "rotary": ["half", "half-odd", "factors-interleaved", "positions", "positions-far"],
    "swiglu": ["silu-bias", "relu2", "square"],
    "residual": ["rank-3", "special"],
}


def run(*command):
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def other_value(attribute):
    """The same attribute with another value, or None."""
    value = helper.get_attribute_value(attribute)
    if isinstance(value, int):
        return helper.make_attribute(attribute.name, 1 - value if value in (0, 1) else value + 1)
    if isinstance(value, float):
        return helper.make_attribute(attribute.name, value * 2)
    if isinstance(value, bytes):
        return helper.make_attribute(attribute.name, "forward" if value != b"forward" else "reverse")
    if isinstance(value, list) and value and isinstance(value[0], int):
        return helper.make_attribute(attribute.name, value[1:] + value[:1] if len(set(value)) > 1 else [value[0] + 1])
    if isinstance(value, list) and value and isinstance(value[0], bytes):
        return helper.make_attribute(attribute.name, ["Relu" if v != b"Relu" else "Tanh" for v in value])
    return None


def attributes(model):
    for i, node in enumerate(model.graph.node):
        for k, attribute in enumerate(node.attribute):
            changed = other_value(attribute)
            if changed is not None:
                mutant = copy.deepcopy(model)
                mutant.graph.node[i].attribute[k].CopyFrom(changed)
                yield f"{node.name}: {attribute.name} changed", mutant


def edges(model):
    for i, node in enumerate(model.graph.node):
        if len(node.input) >= 2 and node.input[0] != node.input[1]:
            mutant = copy.deepcopy(model)
            first, second = node.input[0], node.input[1]
            mutant.graph.node[i].input[0], mutant.graph.node[i].input[1] = second, first
            yield f"{node.name}: inputs 0 and 1 exchanged", mutant
        before = [v for n in model.graph.node[:i] for v in n.output if v not in node.input]
        if before and node.input and not node.name.startswith("extent/"):  # many values have an extent that is sought
            mutant = copy.deepcopy(model)
            mutant.graph.node[i].input[0] = before[-1]
            yield f"{node.name}: input 0 is {before[-1]}", mutant


def tensors(model):
    for i, tensor in enumerate(model.graph.initializer):
        array = numpy_helper.to_array(tensor).copy()
        if array.size == 0:
            continue
        flat = array.reshape(-1)
        if array.dtype.kind == "f":
            flat[-1] = flat[-1] / 2 + 1 if numpy.isfinite(flat[-1]) else 0
        else:
            flat[-1] = not flat[-1] if array.dtype == bool else flat[-1] + 1
        mutant = copy.deepcopy(model)
        mutant.graph.initializer[i].CopyFrom(numpy_helper.from_array(array, tensor.name))
        yield f"{tensor.name}: its last value changed", mutant


def readers(model):
    """A value on the way becomes an output as well: nothing is known to read it alone."""
    outputs = {o.name for o in model.graph.output}
    for node in model.graph.node:
        for value in node.output:
            if value and value not in outputs:
                mutant = copy.deepcopy(model)
                mutant.graph.output.append(helper.make_empty_tensor_value_info(value))
                yield f"{value}: an output as well", mutant


def check_case(tools, case, work):
    entity, path, back = (os.path.join(work, n) for n in ("net.entity", "net.onnx", "back.entity"))
    with open(os.path.join(case, "net.stream"), "rb") as stream, open(entity, "wb") as out:
        subprocess.run([tools + "/loom-stream"], stdin=stream, stdout=out, check=True)
    for name in (path, back):
        if os.path.exists(name):
            os.remove(name)
    if run(tools + "/loom-export", "-f", "onnx", "-o", path, entity).returncode != 0:
        return 0, []  # refused: onnx_operations.py knows of it
    if run(tools + "/loom-import", "-o", back, path).returncode != 0:
        return 1, ["the file itself is not read"]
    with open(back, "rb") as file:
        original = file.read()
    model, wrong, count = onnx.load(path), [], 0
    for changes in (attributes, edges, tensors, readers):
        for what, mutant in changes(model):
            count += 1
            onnx.save(mutant, path)
            read = run(tools + "/loom-import", "-o", back, path)
            if read.returncode == 0:
                with open(back, "rb") as file:
                    if file.read() == original:
                        wrong.append(f"{what}: read as the same network")
            elif read.returncode != 3 or read.stderr.count(b"\n") != 1:
                wrong.append(f"{what}: status {read.returncode}: {read.stderr.decode(errors='replace').strip()}")
    return count, wrong


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("operations", nargs="*")
    parser.add_argument("--all", action="store_true", help="all cases")
    given, total, failed = parser.parse_args(), 0, 0
    with tempfile.TemporaryDirectory() as work:
        for operation in given.operations or OPERATIONS:
            folder, changed = os.path.join(LAYERS, operation), 0
            cases = [c for c in os.listdir(folder) if not c.endswith("-by-nodes")]  # which are of other operations
            for case in sorted(cases) if given.all else OPERATIONS[operation]:
                count, wrong = check_case(BIN, os.path.join(folder, case), work)
                changed += count
                failed += len(wrong)
                for line in wrong:
                    print(f"failed: {operation}/{case}: {line}")
            print(f"{operation}: {changed} changes")
            total += changed
    print(f"{total - failed} passed, {failed} failed")
    return failed != 0 or total == 0


if __name__ == "__main__":
    sys.exit(main())
