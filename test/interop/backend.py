"""The ONNX project's own backend cases (package onnx) through loom-infer: a table of passed, refused and failed.

A case counts as listed when lib/onnx/onnx.def has a row FROM for every operator in it, in the opset of its file.
Each is run with its
inputs given when it runs, then with those that may be weights bound as initializers: all but the first input, then
all.  The first of these that loom-infer takes is compared under the case's own tolerances; if it takes none, the
case is refused, which has to be one line that names a node or an input.  Failed must be none, and passed at least
80 of 100 of the listed cases.

usage: backend.py [--jobs N] [--table FILE] [NAME...]
"""

import argparse
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor

import numpy
import onnx
from onnx.backend.test.loader import load_model_tests, load_node_model_tests
from safetensors.numpy import load_file, save_file

TREE = pathlib.Path(__file__).resolve().parents[2]
LEAST = 80  # of 100


def listed_operators():
    """domain and operator: the opsets in which it is read."""
    rows = {}
    text = (TREE / "lib/onnx/onnx.def").read_text()
    for op, domain, least, most in re.findall(r'^FROM\((\w+), "([^"]*)", (\d+), (\d+)', text, re.M):
        rows.setdefault((domain, op), set()).update(range(int(least), int(most) + 1))
    return rows


def attributes_amiss():
    """Where onnx_attributes.def and the schemas of the package differ, a line each."""
    text = (TREE / "lib/onnx/onnx_attributes.def").read_text()
    listed = {(domain, op): set("".join(re.findall('"([^"]*)"', names)).split())
              for op, domain, names in re.findall(r'^ATTRIBUTES\((\w+), "([^"]*)",((?:\s+"[^"]*")+)\)', text, re.M)}
    schemas = {}
    for schema in onnx.defs.get_all_schemas_with_history():
        schemas.setdefault((schema.domain, schema.name), []).append(schema)
    for (domain, op), opsets in listed_operators().items():
        known, history = set(), sorted(schemas[domain, op], key=lambda s: s.since_version)
        for schema, later in zip(history, [s.since_version for s in history[1:]] + [max(opsets) + 1]):
            if later > min(opsets) and schema.since_version <= max(opsets):
                known |= set(schema.attributes)
        if listed.pop((domain, op), None) != known:
            yield f"{op}: its attributes are {' '.join(sorted(known))}"
    for _, op in listed:
        yield f"{op} is not read"


def tensor_of(path):
    """The array in a .pb file, or None where it holds no tensor."""
    proto = onnx.TensorProto()
    try:
        proto.ParseFromString(path.read_bytes())
        return onnx.numpy_helper.to_array(proto)
    except Exception:  # a sequence or an optional
        return None


class Case:
    def __init__(self, test):
        self.name = test.name
        self.rtol, self.atol = test.rtol, test.atol
        if test.model is not None:
            self.model = test.model
            self.sets = [([plain(a) for a in i], [plain(a) for a in o]) for i, o in test.data_sets]
        else:
            where = pathlib.Path(test.model_dir)
            self.model = onnx.load(where / "model.onnx")
            self.sets = [(read(d, "input"), read(d, "output")) for d in sorted(where.glob("test_data_set_*"))]

    def is_listed(self, rows):
        opsets = {"" if o.domain == "ai.onnx" else o.domain: o.version for o in self.model.opset_import}
        nodes = [node for graph in (self.model.graph, *self.model.functions) for node in graph.node]
        for node in nodes:
            domain = "" if node.domain == "ai.onnx" else node.domain
            if opsets.get(domain) not in rows.get((domain, node.op_type), ()):
                return False
        return bool(nodes) and bool(self.sets)


def plain(value):
    """What a data set of the loader holds, as an array; None where it is no tensor."""
    if isinstance(value, onnx.TensorProto):
        return onnx.numpy_helper.to_array(value)
    return value if isinstance(value, numpy.ndarray) else numpy.asarray(value) if numpy.isscalar(value) else None


def read(where, kind):
    paths = sorted(where.glob(f"{kind}_*.pb"), key=lambda p: int(re.search(r"(\d+)\.pb$", p.name)[1]))
    return [tensor_of(path) for path in paths]


def bound(model, names, arrays, keep):
    """The model with all inputs but the first `keep` as initializers; the inputs that are left."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    left = {}
    for position, (name, array) in enumerate(zip(names, arrays)):
        if position < keep:
            left[name] = array
            continue
        copy.graph.initializer.append(onnx.numpy_helper.from_array(numpy.ascontiguousarray(array), name))
    kept = [value for value in copy.graph.input if value.name in left]
    del copy.graph.input[:]
    copy.graph.input.extend(kept)
    return copy, left


def storable(array):
    """As safetensors holds it; types it has not are no inputs of networks either."""
    array = numpy.ascontiguousarray(array)
    return array if array.dtype.kind in "fiub" and array.dtype.isbuiltin == 1 else numpy.zeros(array.shape, "f4")


def run(programs, where, model, inputs):
    """The outputs by name, or the line with which the model was refused and the status."""
    path, given, made = where / "case.onnx", where / "in.safetensors", where / "out.safetensors"
    path.write_bytes(model.SerializeToString())
    save_file({k: storable(v) for k, v in inputs.items()}, given)
    done = subprocess.run([programs / "loom-infer", "-m", path, "-f", "safetensors", "-o", made, given],
                          capture_output=True, text=True)
    if done.returncode == 0:
        return load_file(made), "", 0
    return None, done.stderr.strip().replace(f"{where}/", ""), done.returncode


def difference(case, model, got, wanted):
    for value, array in zip(model.graph.output, wanted):
        if array is None or value.name == "":
            continue
        if value.name not in got:
            return f"no output {value.name}"
        found = got[value.name]
        if found.shape != array.shape:
            return f"{value.name} is {found.shape}, expected {array.shape}"
        if array.dtype == bool or numpy.issubdtype(array.dtype, numpy.integer):
            if not (found == array).all():
                return f"{value.name} has other integers"
            continue
        close = numpy.isclose(found, array.astype(numpy.float64), case.rtol, case.atol, equal_nan=True)
        if not close.all():
            at = tuple(numpy.argwhere(~close)[0])
            return f"{value.name}{list(map(int, at))} is {found[at]!r}, expected {array[at]!r}"
    return None


def names_a_place(line, status):
    """One line that says which node, with its operator and opset, or which input or output it is about."""
    return status == 3 and "\n" not in line and re.search(
        r"node .* \([\w.]+, opset \d+\): |(layer|node) .* \(\w+\): |(input|output|initializer|tensor|node) \S+", line)


def judge(programs, case):
    """passed, refused or failed, and why."""
    initialized = {t.name for t in case.model.graph.initializer}
    names = [v.name for v in case.model.graph.input if v.name not in initialized]
    why = "it has no data"
    for inputs, outputs in case.sets:
        if any(a is None for a in inputs):
            return "refused", "its inputs are no tensors"
        pairs = [(n, a) for n, a in zip(names, inputs)]
        for keep in sorted({len(pairs), min(1, len(pairs)), 0}, reverse=True):
            with tempfile.TemporaryDirectory() as where:
                model, left = bound(case.model, [n for n, _ in pairs], [a for _, a in pairs], keep)
                got, line, status = run(programs, pathlib.Path(where), model, left)
            if got is not None:
                break
            if not names_a_place(line, status):
                return "failed", f"status {status}: {line}"
            why = line if keep != 0 or len(pairs) <= 1 else why
        if got is None:
            return "refused", why
        found = difference(case, case.model, got, outputs)
        if found is not None:
            return "failed", found
    return ("passed", "") if case.sets else ("refused", why)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--table", default="build/interop/backend.txt")
    parser.add_argument("names", nargs="*")
    options = parser.parse_args()
    programs = pathlib.Path(os.environ.get("PLANETBRIDGING_BIN") or TREE / "build/bin").resolve()
    started = time.time()
    tests = load_node_model_tests()
    for kind in ("simple", "pytorch-converted", "pytorch-operator"):
        tests += load_model_tests(kind=kind)
    if options.names:
        tests = [t for t in tests if any(n in t.name for n in options.names)]
    rows = listed_operators()
    cases = [case for case in map(Case, tests) if case.is_listed(rows)]
    with ThreadPoolExecutor(options.jobs) as pool:
        verdicts = list(pool.map(lambda case: judge(programs, case), cases))
    count = {label: sum(v[0] == label for v in verdicts) for label in ("passed", "refused", "failed")}
    share = 100 * count["passed"] / max(1, len(cases))
    summary = (f"{len(tests)} cases of onnx {onnx.__version__}, {len(cases)} of operators that are listed: "
               f"{count['passed']} passed ({share:.1f} %), {count['refused']} refused, {count['failed']} failed")
    table = pathlib.Path(options.table)
    table.parent.mkdir(parents=True, exist_ok=True)
    with table.open("w") as file:
        print(summary, file=file)
        for case, (label, why) in sorted(zip(cases, verdicts), key=lambda row: (row[1][0], row[0].name)):
            print(f"{label:8} {case.name:60} {why}".rstrip(), file=file)
    print(f"{summary}; {time.time() - started:.0f} s; {table}")
    amiss = list(attributes_amiss())
    for line in amiss:
        print(f"onnx_attributes.def: {line}")
    count["failed"] += len(amiss)
    print(f"{count['passed']} passed, {count['failed']} failed")
    return 0 if count["failed"] == 0 and (share >= LEAST or options.names) and cases else 1


if __name__ == "__main__":
    sys.exit(main())
