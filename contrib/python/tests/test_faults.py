"""Planted faults: each changes the stream in just one way, and the whole path reports it."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

from bedrock_runs import OPTIONS, dense_ids, document, facts, made
from conftest import needs_programs
from interpreter import run as run_numpy
from planetbridging import BridgeError
from planetbridging.bedrock import chain, faults

pytest.importorskip("sklearn", reason="scikit-learn is not installed")

SQUARE = "mlp_16_16_16_16_4_relu"
FAULTS = ("weight", "bias", "transpose", "activations", "columns")


def planted(model_id):
    """(the stream, faults by name, inputs) of a model of scikit-learn."""
    folder = made("sklearn", model_id)
    x = np.load(folder / "input.npy")
    original = document(folder)
    return original, {fault.name: fault for fault in chain.plant(original, {"x": x})}, x


def tensors(stream):
    """All tensors of a stream by NODE.SLOT."""
    return {f"{n['name']}.{e['slot']}": stream.array(n["name"], e["slot"])
            for n in stream.nodes for e in n["tensors"]}


def changed(one, two):
    """Names of the tensors that differ, and how many of their elements."""
    a, b = tensors(one), tensors(two)
    assert set(a) == set(b)
    counts = {name: int((a[name] != b[name]).sum()) for name in a}
    return {name: count for name, count in counts.items() if count}


def test_the_chain_computes_what_the_stream_does():
    original, _, x = planted(SQUARE)
    found = chain.forward(chain.layers_of(original), x.astype(float))[-1][0]
    np.testing.assert_allclose(found, run_numpy(original, {"x": x})["y"], rtol=0, atol=1e-12)


def test_one_weight_grows_by_one_percent():
    original, found, _ = planted(SQUARE)
    altered = found["weight"].document
    (name, count), = changed(original, altered).items()
    assert count == 1 and name.endswith(".weight")
    before, after = tensors(original)[name], tensors(altered)[name]
    place = np.nonzero(before != after)
    np.testing.assert_allclose(after[place] / before[place], 1.01, rtol=1e-6)
    assert found["weight"].what.startswith(name)


def test_the_weight_is_the_loudest_of_all():
    """Against every weight of the network changed by 1 %, one after the other."""
    original, _, x = planted("mlp_32_16_4_tanh")
    layers = chain.layers_of(original)
    x = x.astype(float)
    wanted = chain.forward(layers, x)[-1][0]
    effects = {}
    for n, layer in enumerate(layers):
        for place in np.ndindex(layer.weight.shape):
            old = layer.weight[place]
            layer.weight[place] = old * (1 + 1e-6)
            effects[n, *place] = np.abs(chain.forward(layers, x)[-1][0] - wanted).max()
            layer.weight[place] = old
    assert chain.loudest_weight(layers, x) == max(effects, key=effects.get)


def test_one_bias_is_dropped():
    original, found, _ = planted(SQUARE)
    altered = found["bias"].document
    (lost,) = set(tensors(original)) - set(tensors(altered))
    node = lost.removesuffix(".bias")
    assert lost == f"{node}.bias" and altered.node(node)["params"]["bias"] is False
    assert [n["params"]["bias"] for n in altered.nodes if n["op"] == "dense"].count(False) == 1


def test_a_square_layer_is_transposed_by_its_axes():
    original, found, _ = planted(SQUARE)
    altered = found["transpose"].document
    assert changed(original, altered) == {}
    assert original.entry("layers.0", "weight")["axes"] == ["i", "o"]
    assert altered.entry("layers.0", "weight")["axes"] == ["o", "i"]


def test_two_activations_are_exchanged():
    original, found, _ = planted(SQUARE)
    altered = found["activations"].document
    assert [n["op"] for n in original.nodes] == ["dense", "relu"] * 3 + ["dense"]
    assert [n["op"] for n in altered.nodes] == ["dense", "relu", "dense", "relu", "dense", "dense", "relu"]
    assert altered.nodes[-1]["out"] == altered.head["outputs"] and changed(original, altered) == {}


def test_two_input_columns_are_exchanged():
    original, found, _ = planted("mlp_32_16_4_relu")
    before, after = (tensors(d)["layers.0.weight"] for d in (original, found["columns"].document))
    rows = np.nonzero((before != after).any(axis=1))[0]
    assert len(rows) == 2
    np.testing.assert_array_equal(before[rows], after[rows[::-1]])


@pytest.mark.parametrize("model_id, fault, why", [
    ("linear_16_4", "activations", "one layer"), ("linear_16_4", "transpose", "no square layer"),
    ("mlp_64_32_16_4_relu", "transpose", "no square layer"),
])
def test_what_cannot_be_planted_says_why(model_id, fault, why):
    _, found, _ = planted(model_id)
    assert found[fault].document is None and found[fault].what == why


def test_a_network_without_bias_has_none_to_drop():
    original, _, x = planted("linear_16_4")
    original.drop("layers.0", "bias")
    original.node("layers.0")["params"]["bias"] = False
    found = {fault.name: fault for fault in chain.plant(original, {"x": x})}
    assert found["bias"].document is None and found["bias"].what == "no bias"


def test_other_networks_are_refused():
    original, _, x = planted("linear_16_4")
    original.nodes.append({"name": "z", "op": "add", "in": ["y", "y"], "params": {}, "tensors": []})
    with pytest.raises(BridgeError, match="^z: add is not part of a chain of dense layers$"):
        chain.plant(original, {"x": x})


@needs_programs
@pytest.mark.parametrize("model_id", dense_ids)
def test_every_fault_is_reported(model_id, tmp_path):
    for name in ("model.stream", "input.npy", "native64.npy"):
        shutil.copy(made("sklearn", model_id) / name, tmp_path)
    records = faults.run("dense", str(tmp_path), OPTIONS)
    assert tuple(record["fault"] for record in records) == FAULTS
    layers = len(facts["dense"].model(model_id)["layers"])
    applicable = {r["fault"] for r in records if "why_not" not in r}
    assert {"weight", "bias", "columns"} <= applicable and ("activations" in applicable) == (layers > 1)
    for record in records:
        if "label" in record:
            assert record["label"] == "DIFF" and record["max_abs"] > 1e-3, record
    written = [json.loads(line) for line in (tmp_path / "faults.ndjson").read_text().splitlines()]
    assert written == records
