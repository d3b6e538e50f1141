"""Some of our own fixtures on the real frameworks: what each once got wrong, node by node."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest

from conftest import needs_programs
from own_runs import case
from planetbridging import planets
from planetbridging.bedrock.own import judging, speaking
from planetbridging.stream import StreamDocument

ROOTS = {"pytorch": "torch", "tensorflow": "tensorflow", "jax": "flax", "nnx": "flax", "sklearn": "sklearn"}

FIXTURES = [
    ("pytorch", "cnn3", "cube_flatten"),  # the width behind a flatten fixes the input's sizes
    ("pytorch", "mixer", "mixer_v1"),  # a reshape behind an lstm, whose output torch leaves transposed
    ("tensorflow", "cnn1", "dilated_flatten"),  # zeros of a layer of their own, then an activation
    ("tensorflow", "mha", "masked"),
    ("jax", "rmsnorm", "unscaled"),  # a network without parameters
    ("nnx", "mha", "half_grouped"),
    ("sklearn", "dense", "narrow_tanh"),
]


@needs_programs
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
@pytest.mark.parametrize("planet, kind, case_id", FIXTURES)
def test_node_by_node(tmp_path, planet, kind, case_id):
    if importlib.util.find_spec(ROOTS[planet]) is None:
        pytest.skip(f"{ROOTS[planet]} is not installed")
    speaking.write(str(tmp_path), planet, case(kind, case_id))
    judging.judge(str(tmp_path), kind, planet)
    found = judging.read(str(tmp_path / "judged.json"))
    assert "error" not in found, found
    for run in found["runs"]:
        assert run["isolated"]["label"] in ("EXACT", "PASS") and run["isolated"]["distance"] <= 1e-6
        assert run["cumulative"]["label"] in ("EXACT", "PASS")
        assert planet == "sklearn" or 0 < run["used"]["part"] <= 1
    assert {fault["label"] for fault in found["faults"] if "label" in fault} == {"DIFF"}


def test_torch_fixes_the_sizes_behind_a_flatten():
    pytest.importorskip("torch", reason="torch is not installed")
    one = case("cnn3", "cube_flatten")
    built = speaking.build("pytorch", one, one.weights())
    graph = planets.module("pytorch").emit(built.network, example=one.inputs(0))
    assert graph.inputs[0].shape == ["batch", 2, 4, 3, 5]


@pytest.mark.parametrize("planet", ["pytorch", "tensorflow", "jax"])
def test_a_fixture_is_made_once(tmp_path, planet):
    if importlib.util.find_spec(ROOTS[planet]) is None:
        pytest.skip(f"{ROOTS[planet]} is not installed")
    one, place = case("residual", "two_inputs"), str(tmp_path / "made")
    assert not speaking.fresh(place, planet, one)
    speaking.attempt(place, planet, one)
    assert speaking.fresh(place, planet, one) and not (tmp_path / "made" / "error.txt").exists()
    with open(tmp_path / "made" / "model.stream", "rb") as file:
        assert [n["op"] for n in StreamDocument.parse(file).nodes] in (["add"], ["residual"])
    taps = [np.load(tmp_path / "made" / run / "taps64.npz")["y"] for run in "01"]
    for run, y in enumerate(taps):
        x = one.inputs(run)
        np.testing.assert_array_equal(y, x["x"].astype(float) + x["skip"])


def test_a_planet_that_cannot_leaves_its_words(tmp_path):
    pytest.importorskip("torch", reason="torch is not installed")
    one, place = case("lstm", "backward"), str(tmp_path / "made")
    speaking.attempt(place, "pytorch", one)
    assert (tmp_path / "made" / "error.txt").read_text() == \
        "y: PyTorch has no lstm with the backward direction alone\n"
    assert not speaking.fresh(place, "pytorch", one)
