"""The operations of a stream: one vocabulary in the package, the schema, the programs and the tests."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest

from conftest import ROOT, needs_programs
from interpreter import CANONICAL, OPERATIONS
from planetbridging import programs
from planetbridging.graph import Builder, Graph, Input, Node, Tensor
from planetbridging.stream import StreamError, write
from planetbridging.vocabulary import AXES, PARAMS

SCHEMA = json.loads((ROOT / "schemas" / "layer-stream-node.json").read_text())


def rules() -> dict:
    """What the schema says of each operation."""
    return {op: entry["then"]["properties"] for entry in SCHEMA["allOf"]
            for op in entry["if"]["properties"]["op"]["enum"]}


def test_the_schema_has_these_operations_with_these_parameters_and_slots():
    assert set(SCHEMA["properties"]["op"]["enum"]) == set(PARAMS) == set(rules())
    for op, rule in rules().items():
        assert set(rule["params"].get("properties", ())) == set(PARAMS[op]), op
        assert rule["params"].get("required", []) == list(rule["params"].get("properties", ())), op
        slots = rule["tensors"].get("items", {}).get("properties", {}).get("slot", {}).get("enum", [])
        assert sorted(slots) == sorted(AXES.get(op, ())), op


def test_the_interpreter_knows_them_all():
    assert set(OPERATIONS) | {"constant"} == set(PARAMS)
    assert CANONICAL == {op: slots for op, slots in AXES.items() if op != "constant"}


@needs_programs
def test_the_programs_know_them_all():
    _, listed, _ = programs.run("loom-list", ["layers"])
    assert {line.split()[0] for line in listed.splitlines() if line.strip()} >= set(PARAMS)


ATTENTION = {"d_model": 4, "key_features": 4, "value_features": 4, "out_features": 4, "num_heads": 2,
             "num_kv_heads": 2, "head_dim": 2, "value_dim": 2, "q_bias": False, "k_bias": False,
             "v_bias": False, "o_bias": False, "causal": True, "rope": "none", "rope_base": None,
             "scale": 0.5, "mask": "none", "fill": "-inf", "empty": "zero"}
POOL = {"kernel": [2, 3], "stride": [1, 1], "dilation": [1, 1], "pad_low": [0, 0], "pad_high": [0, 0],
        "ceil": False}
SLICE = {"axes": [0], "starts": [1], "stops": ["batch-1"], "steps": [1]}


@pytest.mark.parametrize("op, params, change, message", [
    ("maxpool2", POOL, {"kernel": [2]}, "kernel is [2], expected list of 2"),
    ("maxpool2", POOL, {"stride": (1, 1)}, "stride is (1, 1), expected list of 2"),
    ("maxpool2", POOL, {"pad_low": [0, True]}, "pad_low is [0, True], expected list of 2"),
    ("maxpool2", POOL, {"ceil": 0}, "ceil is 0, expected bool"),
    ("slice", SLICE, {"stops": ["1/2"]}, "'1/2' is not a dimension"),
    ("slice", SLICE, {"starts": [-1]}, "-1 is not a dimension"),
    ("slice", SLICE, {"steps": ["batch"]}, "steps is ['batch'], expected list"),
    ("transpose", {"perm": [1, 0]}, {"perm": None}, "perm is None, expected list"),
    ("attention", ATTENTION, {"rope": "full"}, "rope is 'full', expected 'none' or 'half' or 'interleaved'"),
    ("attention", ATTENTION, {"scale": 1}, "scale is 1, expected float or null"),
    ("attention", ATTENTION, {"causal": None}, "causal is None, expected bool"),
    ("attention", ATTENTION, {"fill": -1e9}, "fill is -1000000000.0, expected '-inf' or 'least' or '-1e9'"),
])
def test_parameters_of_another_kind_are_refused(op, params, change, message):
    def graph(given):
        return Graph("test", {}, "g", [Input("x", "float32", ["batch", 4, 4])], ["n"],
                     [Node("n", op, ["x"], given)])
    write(graph(params), io.BytesIO())
    with pytest.raises(StreamError) as error:
        write(graph({**params, **change}), io.BytesIO())
    assert str(error.value) == f"n: {message}"


def test_a_node_of_several_outputs_and_absent_inputs(streamed):
    builder = Builder("test", {}, "g")
    x, c = (builder.input(n, "float32", shape) for n, shape in (("x", ["b", "s", 2]), ("c", ["b", 3])))
    reserved = builder.reserve(["y", "last"])
    name = builder.unique("cell")
    tensors = [Tensor(f"{slot}_{gate}", np.ones(shape, np.float32), axes=axes) for gate in "ifgo"
               for slot, shape, axes in (("W", (2, 3), ["i", "h"]), ("U", (3, 3), ["h", "u"]))]
    params = {"input_size": 2, "hidden_size": 3, "biases": 0, "direction": "forward", "order": "time"}
    made = builder.put(name, "lstm", [x, None, c], params, tensors, [name, "cell.h", "cell.c"])
    assert made == "cell"
    graph = builder.finish([made, "cell.h"], reserved)
    document = streamed(graph)
    assert builder.renamed == {"cell": "y", "cell.h": "last"}
    assert document.nodes[0]["in"] == ["x", None, "c"]
    assert document.nodes[0]["out"] == ["y", "last", "cell.c"]
