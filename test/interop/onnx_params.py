#!/usr/bin/env python3
"""Windows, norms, products and look-ups in ONNX, with the parameters and ranks that fixtures lack.

Each case is a network of one node: it is exported, checked by onnx, run by ONNX Runtime beside
loom-infer, and imported again, which must give the same .entity bit for bit.

    onnx_params.py [-k WORD] [--keep DIR]
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import onnx
import onnxruntime

from planetbridging import programs, running
from planetbridging.graph import Builder
from planetbridging.vocabulary import AXES

TOLERANCE = 1e-5  # relative to max(1, max|y|)
NARROW = "ONNX has 32 bits for it"


@dataclass
class Case:
    name: str
    op: str
    shape: list  # of the declared input: sizes or names
    params: dict
    weights: dict = field(default_factory=dict)
    given: list | None = None  # the extents it is run with
    dtype: str = "float32"
    values: object = None  # instead of random ones
    opset: int = 17
    engine: bool = True  # ONNX Runtime computes the same
    turned: list | None = None  # it stands between two transposes, which an engine may move
    why: str = ""  # what the message says that refuses it


def odd(number):
    """The float32 next to a number, which is no short decimal."""
    return float(np.float32(number))


def drawn(shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def filters(out, inside, *kernel):
    return drawn((out, inside, *kernel), 1)


def window(axes, kernel, **more):
    ones, zeros = [1] * axes, [0] * axes
    given = {"kernel": list(kernel), "stride": ones, "dilation": ones, "pad_low": zeros, "pad_high": zeros}
    return {**given, **more}


def conv(name, shape, axes, inside, out, kernel, groups=1, bias=True, transposed=False, **more):
    params = {"in_channels": inside, "out_channels": out, "groups": groups, "bias": bias,
              **window(axes, kernel, **{k: v for k, v in more.items() if k in window(axes, kernel)})}
    weights = {"weight": filters(out, inside // groups, *kernel)}
    if bias:
        weights["bias"] = drawn(out, 2)
    rest = {k: v for k, v in more.items() if k not in params}
    return Case(name, f"conv{'transpose' if transposed else ''}{axes}", shape, params, weights, **rest)


def pool(name, kind, shape, axes, kernel, ceil=False, count=False, **more):
    params = window(axes, kernel, **{k: v for k, v in more.items() if k in window(axes, kernel)})
    if kind == "avgpool":
        params.pop("dilation")
        params["count_pad"] = count
    params["ceil"] = ceil
    rest = {k: v for k, v in more.items() if k not in window(axes, kernel)}
    return Case(name, f"{kind}{axes}", shape, params, **rest)


def norm(name, op, shape, dim, slots=("gamma", "beta"), axis=None, groups=None, eps=1e-5, **more):
    flags = {"gamma": "scale", "beta": "offset"}
    params = {"eps": eps, **{flag: slot in slots for slot, flag in flags.items()}}
    params["channels" if op in ("groupnorm", "instancenorm") else "dim"] = dim
    if axis is not None:
        params["axis"] = axis
    if groups is not None:
        params["groups"] = groups
    if op == "rmsnorm":
        params.pop("offset")
    weights = {slot: drawn(dim, n + 3) for n, slot in enumerate(slots)}
    if op == "batchnorm":
        weights.update(mean=drawn(dim, 8), var=np.abs(drawn(dim, 9)) + 0.1)
    return Case(name, op, shape, params, weights, **more)


def embedding(name, outside, wrap, values, dtype="int64", shape=("batch", "s"), **more):
    return Case(name, "embedding", list(shape), {"vocab_size": 7, "embedding_dim": 3, "outside": outside, "wrap": wrap},
                {"table": drawn((7, 3), 5)}, given=list(np.shape(values)), dtype=dtype,
                values=np.array(values, dtype), **more)


def resize(name, shape, size, mode, coordinates, **more):
    return Case(name, "resize", shape, {"mode": mode, "size": size, "coordinates": coordinates}, **more)


def pad(name, shape, axes, low, high, mode="constant", value=0.0, **more):
    return Case(name, "pad", shape, {"axes": axes, "low": low, "high": high, "mode": mode, "value": value}, **more)


def dense(name, shape, inside, out, bias=True, **more):
    weights = {"weight": drawn((out, inside), 1), **({"bias": drawn(out, 2)} if bias else {})}
    return Case(name, "dense", shape, {"in_features": inside, "out_features": out, "bias": bias}, weights, **more)


def products_and_convolutions():
    yield dense("dense, rank 2", ["batch", 5], 5, 3)
    yield dense("dense, rank 2, no bias", ["batch", 5], 5, 3, bias=False)
    yield dense("dense, rank 3", ["batch", "s", 5], 5, 3)
    yield dense("dense, rank 3, no bias", ["batch", "s", 5], 5, 3, bias=False)
    yield dense("dense, a vector", [5], 5, 3)
    yield dense("dense, one by one", ["batch", "s", 1], 1, 1)
    yield conv("conv1", ["batch", 4, "n"], 1, 4, 6, [3], given=[2, 4, 9])
    yield conv("conv2, all at once", ["batch", 4, 9, 11], 2, 4, 6, [3, 2], groups=2, stride=[2, 3], dilation=[1, 2],
               pad_low=[1, 0], pad_high=[2, 3])
    yield conv("conv2, depthwise, no bias", ["batch", 4, 7, 7], 2, 4, 4, [3, 3], groups=4, bias=False)
    yield conv("conv3", ["batch", 2, 5, 6, 7], 3, 2, 3, [2, 3, 2], pad_low=[0, 1, 0], pad_high=[1, 0, 0])
    yield conv("conv2, no batch", [4, 7, 7], 2, 4, 6, [3, 3])
    yield conv("conv2, two leading axes", ["batch", 3, 4, 7, "w"], 2, 4, 6, [3, 3], given=[2, 3, 4, 7, 8])
    shapes = ["batch", 4, 5, 6]
    yield conv("convtranspose2", shapes, 2, 4, 6, [3, 2], transposed=True)
    yield conv("convtranspose2, groups", shapes, 2, 4, 6, [3, 3], groups=2, stride=[2, 3], dilation=[2, 1],
               pad_low=[1, 0], pad_high=[0, 2], transposed=True)
    yield conv("convtranspose2, output padding", shapes, 2, 4, 6, [2, 2], stride=[3, 2], pad_low=[0, 1],
               pad_high=[-2, 0], transposed=True)
    yield conv("convtranspose2, more of y", shapes, 2, 4, 6, [2, 2], stride=[2, 2], pad_low=[-1, 0],
               pad_high=[-3, 1], transposed=True)
    yield conv("convtranspose2, more of y, no bias", shapes, 2, 4, 6, [2, 2], bias=False, pad_low=[0, 0],
               pad_high=[-1, -1], transposed=True)
    yield conv("convtranspose1, no batch", [4, 6], 1, 4, 2, [3], groups=2, stride=[2], transposed=True)
    yield conv("convtranspose1, no batch, more of y", [4, 6], 1, 4, 2, [3], pad_low=[-1], transposed=True)
    yield conv("convtranspose3", ["batch", 2, 3, 4, 3], 3, 2, 3, [2, 3, 2], stride=[2, 1, 2], transposed=True)
    yield conv("convtranspose1, large pads", ["batch", 2, 6], 1, 2, 3, [3], pad_low=[3], pad_high=[2], transposed=True)


def pools():
    for kind in ("maxpool", "avgpool"):
        yield pool(f"{kind}1", kind, ["batch", 3, "n"], 1, [3], given=[2, 3, 8])
        yield pool(f"{kind}2, pads", kind, ["batch", 3, 8, 9], 2, [3, 2], stride=[2, 2], pad_low=[1, 0],
                   pad_high=[0, 1])
        yield pool(f"{kind}2, ceil", kind, ["batch", 3, 8, 9], 2, [3, 2], stride=[2, 2], ceil=True)
        yield pool(f"{kind}2, ceil and pads", kind, ["batch", 3, 7, 9], 2, [3, 3], stride=[2, 4], pad_low=[1, 1],
                   pad_high=[1, 1], ceil=True)
        yield pool(f"{kind}1, a window in the padding", kind, ["batch", 3, 5], 1, [2], stride=[3], pad_low=[1],
                   pad_high=[1], ceil=True)
        yield pool(f"{kind}2, a window in the padding", kind, ["batch", 3, 5, 8], 2, [2, 2], stride=[3, 2],
                   pad_low=[1, 1], pad_high=[1, 1], ceil=True, **({"count": True} if kind == "avgpool" else {}))
        yield pool(f"{kind}1, no batch, a window in the padding", kind, [3, 5], 1, [2], stride=[3], pad_low=[1],
                   pad_high=[1], ceil=True, why="with one axis for the batch and one for channels it can be cut off")
        yield pool(f"{kind}3", kind, ["batch", 3, 5, 6, 7], 3, [2, 3, 2], stride=[1, 2, 1])
        yield pool(f"{kind}2, no channels", kind, [8, 9], 2, [2, 2])
        yield pool(f"{kind}1, rank 5", kind, ["batch", 2, 3, 2, 9], 1, [2], stride=[2])
    yield pool("maxpool2, dilation", "maxpool", ["batch", 3, 9, 9], 2, [3, 2], dilation=[2, 3])
    yield pool("maxpool2, padding of a kernel", "maxpool", ["batch", 3, 9, 9], 2, [2, 3], stride=[1, 2],
               dilation=[3, 1], pad_low=[3, 1], pad_high=[2, 0])
    yield pool("maxpool1, padding of a kernel, no batch", "maxpool", [3, 9], 1, [2], dilation=[3], pad_low=[3],
               pad_high=[2])
    yield pool("avgpool2, padding counted", "avgpool", ["batch", 3, 7, 9], 2, [3, 3], stride=[2, 2], pad_low=[1, 0],
               pad_high=[1, 1], count=True)
    yield pool("avgpool2, padding counted, ceil", "avgpool", ["batch", 3, 8, 9], 2, [3, 3], stride=[2, 2],
               pad_low=[1, 0], pad_high=[1, 1], count=True, ceil=True)
    for kind in ("maxpool", "avgpool"):
        for axes in (1, 2, 3):
            yield Case(f"global_{kind}, {axes}", f"global_{kind}", ["batch", 3, 4, 5, 6][:axes + 2], {"spatial": axes})
        yield Case(f"global_{kind}, no batch", f"global_{kind}", [3, 4, 5], {"spatial": 2})
        yield Case(f"global_{kind}, rank 5", f"global_{kind}", ["batch", 2, 3, 4, 5], {"spatial": 1})


def norms():
    for opset in (17, 21, 23):
        for slots in (("gamma", "beta"), ("gamma",), ("beta",), ()):
            what = f"{'+'.join(slots) or 'bare'}, opset {opset}"
            yield norm(f"layernorm, {what}", "layernorm", ["batch", "s", 6], 6, slots, opset=opset)
            yield norm(f"batchnorm, {what}", "batchnorm", ["batch", 6, 4], 6, slots, axis=1, opset=opset)
            yield norm(f"groupnorm, {what}", "groupnorm", ["batch", 6, 4, 3], 6, slots, groups=3, opset=opset)
            yield norm(f"instancenorm, {what}", "instancenorm", ["batch", 6, 4, 3], 6, slots, opset=opset)
            if "beta" not in slots:
                yield norm(f"rmsnorm, {what}", "rmsnorm", ["batch", "s", 6], 6, slots, eps=1e-6, opset=opset)


def other_norms():
    yield norm("batchnorm, last", "batchnorm", ["batch", 4, 6], 6, axis=-1)
    yield norm("batchnorm, axis 2", "batchnorm", ["batch", 4, 6, 2], 6, axis=2, eps=1e-3)
    yield norm("batchnorm, axis 0", "batchnorm", [6, 4], 6, axis=0)
    yield norm("batchnorm, axis -1 of two", "batchnorm", ["batch", 6], 6, axis=-1)
    yield norm("groupnorm, rank 2", "groupnorm", ["batch", 6], 6, groups=2)
    yield norm("groupnorm, rank 2, opset 21", "groupnorm", ["batch", 6], 6, groups=2, opset=21)
    # ONNX Runtime loses the digits of x in x / sqrt(eps) - mean / sqrt(eps): 2e-5 of them.
    yield norm("instancenorm, rank 2", "instancenorm", ["batch", 6], 6, engine=False)
    yield norm("layernorm, another eps", "layernorm", ["batch", 6], 6, eps=odd(1e-5), why=NARROW)
    yield norm("rmsnorm, another eps", "rmsnorm", ["batch", 6], 6, ("gamma",), eps=odd(1e-6), why=NARROW)
    yield norm("batchnorm, another eps", "batchnorm", ["batch", 6], 6, axis=1, eps=odd(1e-3), why=NARROW)
    yield norm("groupnorm, another eps", "groupnorm", ["batch", 6, 4], 6, groups=3, eps=odd(1e-3), why=NARROW)
    yield norm("instancenorm, another eps", "instancenorm", ["batch", 6, 4], 6, eps=odd(1e-3), why=NARROW)
    yield norm("layernorm, eps 0", "layernorm", ["batch", 6], 6, eps=0.0)
    for op in ("softmax", "log_softmax"):
        yield Case(f"{op}, last", op, ["batch", 3, 5], {"axis": -1})
        yield Case(f"{op}, first", op, ["batch", 3, 5], {"axis": 0})
        yield Case(f"{op}, axis 1", op, ["batch", 3, 5], {"axis": 1}, opset=23)


def lookups():
    inside, outside = [[0, 6, 3], [1, 2, 5]], [[0, 7, -1], [-7, -8, 6]]
    for wrap in (False, True):
        yield embedding(f"embedding, error, wrap {wrap}", "error", wrap, [[0, -7, -1]] if wrap else inside)
        for kind in ("zero", "nan"):
            yield embedding(f"embedding, {kind}, wrap {wrap}", kind, wrap, outside)
            yield embedding(f"embedding, {kind}, wrap {wrap}, reals", kind, wrap,
                            [[0.5, 7.5, -0.5], [6.99, np.nan, -7.5]], "float32")
        yield embedding(f"embedding, error, wrap {wrap}, reals", "error", wrap, [[0.5, 6.5]], "float32")
    yield embedding("embedding, one axis", "zero", False, [0, 9], shape=("s",))


def resizes():
    for coordinates in ("half_pixel", "asymmetric", "align_corners"):
        yield resize(f"resize, linear, {coordinates}", ["batch", 3, 5, 4], [7, 9], "linear", coordinates)
        yield resize(f"resize, linear, {coordinates}, smaller", ["batch", 3, 9, 8], [5, 3], "linear", coordinates)
        yield resize(f"resize, linear, {coordinates}, to one", ["batch", 3, 9, 8], [1, 3], "linear", coordinates)
    for coordinates in ("half_pixel", "asymmetric"):
        yield resize(f"resize, nearest, {coordinates}", ["batch", 3, 5, 4], [10, 12], "nearest", coordinates)
        yield resize(f"resize, nearest, {coordinates}, smaller", ["batch", 3, 8, 8], [4, 2], "nearest", coordinates)
        yield resize(f"resize, nearest, {coordinates}, odd", ["batch", 3, 5, 4], [7, 9], "nearest", coordinates)
    yield resize("resize, one axis", ["batch", 3, 5], [8], "linear", "half_pixel")
    yield resize("resize, three axes", ["batch", 3, 3, 4, 5], [5, 6, 7], "linear", "half_pixel")
    yield resize("resize, names", ["batch", 3, "h", "w"], ["2*h", "w+1"], "linear", "half_pixel", given=[2, 3, 4, 5])
    yield resize("resize, no channels", ["batch", 5, 4], [7, 9], "linear", "half_pixel")
    yield resize("resize, rank 5 by one", ["batch", 2, 3, 2, 5], [9], "nearest", "asymmetric")


def pads():
    for opset in (17, 18, 21, 23):
        for axes in ([1, 2], [-3, -2]):
            yield pad(f"pad of {axes} between transposes, opset {opset}", ["batch", 4, 5, 6], axes, [1, 0], [2, 3],
                      opset=opset, turned=[0, 3, 2, 1])
        yield pad(f"pad, opset {opset}", ["batch", 3, 5, 6], [2, 3], [1, 0], [2, 3], value=0.5, opset=opset)
        yield pad(f"pad, from the end, opset {opset}", ["batch", 3, 5, 6], [-1, -2], [1, 0], [2, 3], opset=opset)
        yield pad(f"pad, reflect, opset {opset}", ["batch", 3, 5, 6], [2, 3], [1, 2], [4, 0], "reflect", opset=opset)
        yield pad(f"pad, replicate, opset {opset}", ["batch", 3, 5, 6], [1, 3], [1, 2], [4, 0], "replicate",
                  opset=opset)
        yield pad(f"pad, in vain, opset {opset}", ["batch", 3], [0, 1], [0, 0], [0, 2], opset=opset)
        yield pad(f"pad, nothing, opset {opset}", ["batch", 3], [], [], [], opset=opset)
        yield pad(f"pad, names, opset {opset}", ["batch", "s"], [1], ["s//2"], [1], opset=opset, given=[2, 5])
        yield pad(f"pad, int64, opset {opset}", ["batch", "s"], [1], [1], [2], value=-3.0, opset=opset, dtype="int64",
                  given=[2, 3], values=np.arange(6).reshape(2, 3))
    for opset in (17, 19):
        yield pad(f"pad, circular, opset {opset}", ["batch", 3, 5], [2], [3], [2], "circular", opset=opset)
    yield pad("pad, another value", ["batch", 3], [1], [1], [1], value=-3.4028234663852886e38, why=NARROW)
    yield Case("gather_elements", "gather_elements", ["batch", 4], {"axis": 1})


def cases():
    for some in (products_and_convolutions, pools, norms, other_norms, lookups, resizes, pads):
        yield from some()


def built(case):
    b = Builder("numpy", {}, case.name)
    x = b.input("x", case.dtype, case.shape)
    inputs = [x]
    if case.op == "gather_elements":
        inputs.append(b.constant("at", np.array([[1, 0], [3, 2]])))
    name = b.unique("node")
    tensors = [b.tensor(name, slot, array, axes=list(AXES[case.op][slot])) for slot, array in case.weights.items()]
    if case.turned is not None:
        inputs[0] = b.put(b.unique("before"), "transpose", inputs, {"perm": case.turned})
    b.put(name, case.op, inputs, case.params, tensors)
    if case.turned is not None:
        name = b.put(b.unique("behind"), "transpose", [name], {"perm": case.turned})
    return b.finish([name])


def value_of(case):
    given = case.given or [2 if isinstance(d, str) else d for d in case.shape]
    return case.values if case.values is not None else drawn(given, 11)


def engine_outputs(path, x):
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return session.run(None, {session.get_inputs()[0].name: x})


def worst(expected, found):
    assert expected.shape == found.shape, f"{found.shape}, expected {expected.shape}"
    assert (np.isnan(expected) == np.isnan(found)).all(), "NaNs elsewhere"
    expected, found = np.nan_to_num(expected.astype(float)), np.nan_to_num(found.astype(float))
    return np.abs(expected - found).max(initial=0) / max(1, np.abs(expected).max(initial=0))


def told(path):
    """What an .entity says, but for where the network comes from."""
    head, end = json.JSONDecoder().raw_decode(path.read_bytes()[16:].decode("latin-1").lstrip("\x00"))
    head["bridge"]["info"] = {}
    return head


def tried(case, folder):
    entity, there, back = (folder / f"net.{end}" for end in ("entity", "onnx", "back.entity"))
    graph, x = built(case), value_of(case)
    running.checkpoint(graph, entity)
    export = ["-f", "onnx", "--opset", str(case.opset), "-o", str(there), str(entity)]
    if case.why:
        try:
            programs.run(programs.find("loom-export"), export)
        except programs.ProgramError as error:
            return None if case.why in str(error) else str(error)
        return "is not refused"
    programs.run(programs.find("loom-export"), export)
    onnx.checker.check_model(onnx.load(there), full_check=True)
    expected = running.answers(str(entity), graph, [x])[graph.outputs[0]]
    if case.engine:
        far = worst(expected, engine_outputs(there, x)[0])
        assert far <= TOLERANCE, f"off by {far:.3g}"
    programs.run(programs.find("loom-import"), ["-o", str(back), str(there)])
    assert told(entity) == told(back), "another .entity came back"
    return None


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("-k", metavar="WORD", default="", help="only cases with this in their name")
    parser.add_argument("--keep", metavar="DIR", help="leave the files there")
    arguments = parser.parse_args(argv)
    failed, count = [], 0
    with tempfile.TemporaryDirectory() as scratch:
        for case in cases():
            if arguments.k not in case.name:
                continue
            folder = Path(arguments.keep or scratch) / case.name.replace(" ", "_")
            folder.mkdir(parents=True, exist_ok=True)
            count += 1
            try:
                problem = tried(case, folder)
            except Exception as error:  # each case tells its own
                problem = f"{type(error).__name__}: {error}"
            if problem is not None:
                failed.append(case.name)
                print(f"FAIL {case.name}: {problem}".split("\n")[0][:300])
    print(f"{count - len(failed)} of {count} networks of one node agree")
    print(f"{count - len(failed)} passed, {len(failed)} failed")
    return 1 if failed or count == 0 else 0


if __name__ == "__main__":
    sys.exit(main())
