"""Weights and inputs of our own fixtures: the same bits everywhere, of unit scale, all of use."""

from __future__ import annotations

import dataclasses
import hashlib
import json

import numpy as np
import pytest

from own_runs import CASES, NAMES, case
from planetbridging import BridgeError
from planetbridging.bedrock import facts, oracle
from planetbridging.bedrock.own import all as fixtures, drawing
from planetbridging.bedrock.own.case import on_planet


def test_numbers_are_those_of_shake():
    data = hashlib.shake_128(b"20261126 some name").digest(12)
    wanted = [int.from_bytes(data[4 * n:4 * n + 4], "little") // 512 for n in range(3)]
    assert drawing.integers("some name", 3).tolist() == wanted


def test_uniform_values_are_exact_in_float32():
    found = drawing.uniform("some name", (2, 3))
    assert found.dtype == np.float32 and found.shape == (2, 3)
    wanted = [(2 * int(k) + 1 - 2 ** 23) / 2 ** 23 for k in drawing.integers("some name", 6)]
    assert found.ravel().tolist() == wanted
    assert (found != 0).all() and (np.abs(found) < 1).all()


def test_every_fixture_is_what_was_recorded():
    with open(facts.folder() / fixtures.RECORD, encoding="utf-8") as file:
        assert json.load(file) == fixtures.record()


def test_another_weight_is_another_digest():
    one = case("dense", "square_relu")
    weights = one.weights()
    before = drawing.digest(weights)
    weights["a.weight"][0, 0] = np.nextafter(weights["a.weight"][0, 0], np.float32(9))
    assert drawing.digest(weights) != before


def test_a_fixture_that_is_not_recorded_is_refused(monkeypatch):
    one = case("dense", "square_relu")
    other = dataclasses.replace(one, runs=({"batch": 2}, {"batch": 5}))
    monkeypatch.setattr(fixtures, "of", lambda kind: (other,))
    with pytest.raises(BridgeError) as caught:
        fixtures.checked("dense")
    assert str(caught.value) == (
        f"dense/square_relu: drawn are values of the digest {other.digest()}, "
        f"recorded is {one.digest()}")


def test_at_least_four_fixtures_of_every_kind():
    counts = {kind: len(fixtures.of(kind)) for kind in facts.KINDS}
    assert min(counts.values()) >= 4
    for kind in facts.KINDS:
        for planet in ("pytorch", "tensorflow", "jax"):
            assert sum(planet in c.planets for c in fixtures.of(kind)) >= 4, (kind, planet)


@pytest.mark.parametrize("one", CASES, ids=NAMES)
def test_two_batches_and_two_lengths_where_they_are_free(one):
    assert len(one.runs) == 2
    for name in one.runs[0]:
        assert one.runs[0][name] != one.runs[1][name]


@pytest.mark.parametrize("one", CASES, ids=NAMES)
def test_every_row_of_a_vocabulary_is_looked_up(one):
    for layer in one.network.layers:
        if layer.op == "embedding":
            ids = [one.inputs(run)[layer.inputs[0]] for run in (0, 1)]
            assert set(np.unique(ids[0])) == set(range(layer.params["vocab_size"]))
            assert all(0 <= i.min() and i.max() < layer.params["vocab_size"] for i in ids)


def test_rows_of_norms_go_down_to_a_hundredth():
    for kind in ("layernorm", "rmsnorm"):
        for one in fixtures.of(kind):
            x = one.inputs(0)["x"]
            sizes = np.abs(x).max(axis=-1)
            assert sizes.min() < 0.03 and sizes.max() > 1


@pytest.mark.parametrize("one", [c for c in CASES if all(
    layer.op in oracle.OPERATIONS for layer in c.network.layers)], ids=lambda c: f"{c.kind}/{c.id}")
def test_answers_are_of_unit_scale(one):
    for run in (0, 1):
        taps = oracle.taps(one.network, one.weights(), one.inputs(run))
        for name in one.network.outputs:
            assert 0.1 < np.abs(taps[name]).max() < 50


def test_a_mask_has_the_polarity_of_its_planet():
    one = case("mha", "masked")
    ours, theirs = (on_planet(one, planet, 0) for planet in ("jax", "pytorch"))
    assert (ours[1]["mask"] == ~theirs[1]["mask"]).all()
    assert [n.layers[0].params["mask"] for n in (ours[0], theirs[0])] == ["keep", "hide"]
    assert [n.layers[0].params["fill"] for n in (ours[0], theirs[0])] == ["least", "-inf"]
