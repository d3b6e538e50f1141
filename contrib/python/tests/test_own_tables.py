"""The tables of our own fixtures: what passes, what is counted, and what is said of the rest."""

from __future__ import annotations

import json

import numpy as np
import pytest

from own_runs import case
from planetbridging.bedrock.own import __main__ as steps, speaking, tables
from planetbridging.bedrock.own.tables import Apart, Row


def verdict(label="PASS", distance=1e-7, tensor="y"):
    return {"label": label, "distance": distance, "tensor": tensor}


def run(isolated=None, cumulative=None, part=0.25, own=2e-7):
    return {"own": own, "own_tensor": "y", "limit": 2e-5, "isolated": isolated or verdict(),
            "cumulative": cumulative or verdict(distance=3e-7),
            "used": {"part": part, "tensor": "y", "width": 1e-5}}


SEEN = {"fault": "a:bias", "what": "has lost bias", "label": "DIFF", "where": "isolated"}
UNSEEN = {"fault": "a:eps", "what": "eps is 0.001", "label": "PASS", "where": ""}
SILENT = {"fault": "a:bias.k", "why_not": "a softmax does not see it"}


def row(**more):
    parts = {"runs": [run(), run()], "faults": [SEEN, SILENT]}
    return Row("dense", "pytorch", "square_relu", **(parts | more))


AGREED = Apart("dense/square_relu", {"pytorch": 1e-8, "loom": 1e-8}, 2e-8, 3e-7, "none", "same")


def test_all_is_well():
    text, failed = tables.closing([row()], [AGREED], False)
    assert failed == 0
    assert text == ("1 of 1 within 1e-06 node by node\n1 of 1 planted faults reported DIFF\n"
                    "1 of 1 without an outlier among the planets\n3 passed, 0 failed")


@pytest.mark.parametrize("runs, complaint", [
    ([run(), run(isolated=verdict("DIFF", 2e-6, "b"))], "run 1 isolated DIFF 2.0e-06 in b"),
    ([run(cumulative=verdict("VACUOUS", 0.0))], "run 0 cumulative VACUOUS 0.0e+00 in y"),
    ([run(part=1.5)], "run 0: y is 1.5 of what binary32 explains"),
])
def test_a_row_that_is_not_as_it_should_be(runs, complaint):
    wrong = row(runs=runs)
    assert wrong.complaints == [complaint] and not wrong.passed
    text, failed = tables.closing([wrong], [AGREED], False)
    assert failed == 1 and text.endswith("2 passed, 1 failed")
    assert f"FAILED dense/pytorch/square_relu: {complaint}\n" in tables.trouble([wrong])
    assert tables.labels([wrong], []) == "dense/pytorch/square_relu different faults=1/1\n"


def test_a_mistake_that_nobody_saw_fails():
    wrong = row(faults=[SEEN, UNSEEN])
    assert wrong.passed
    text, failed = tables.closing([wrong], [AGREED], False)
    assert failed == 1 and "1 of 2 planted faults reported DIFF" in text
    assert "NOT SEEN dense/pytorch/square_relu a:eps: eps is 0.001 (PASS )\n" == tables.trouble([wrong])


def test_an_outlier_fails():
    apart = Apart("dense/square_relu", {"pytorch": 1.0, "loom": 1e-8}, 1.0, 1.0, "pytorch", "same")
    text, failed = tables.closing([row()], [apart], False)
    assert failed == 1 and "0 of 1 without an outlier" in text
    assert "all/dense/square_relu outlier=pytorch\n" in tables.labels([row()], [apart])


def test_no_rows_fail_and_so_do_other_labels():
    assert tables.closing([], [], False)[1] == 1
    assert tables.closing([row()], [AGREED], True)[1] == 1


def test_cells_have_the_greatest_of_all_runs():
    some = [row(runs=[run(), run(isolated=verdict(distance=5e-7))]), row()]
    assert tables.verdict_cell(some) == "2/2 5.0e-07"
    assert tables.whole_cell(some) == "3.0e-07 (own 2.0e-07)"
    assert tables.used_cell(some) == "0.250 (width 1.0e-05)"
    assert tables.fault_cell(some) == "2 of 2"
    assert tables.verdict_cell([row(composed=["y"])]) == "1/1 1.0e-07 composed"


def test_mistakes_are_counted_by_name():
    assert tables.fault_kinds([row(faults=[SEEN, SEEN | {"fault": "b:bias.k"}, UNSEEN])])[1] == [
        "dense", "bias 2/2, eps 0/1"]


def test_why_nothing_was_judged_is_said(tmp_path):
    place = tmp_path / "dense" / "jax" / "square_relu"
    place.mkdir(parents=True)
    assert tables.row(str(tmp_path), "dense", "jax", "square_relu").error == "was not judged"
    (place / "error.txt").write_text("a: Flax has no such layer\n")
    found = tables.row(str(tmp_path), "dense", "jax", "square_relu")
    assert found.error == "a: Flax has no such layer" and not found.passed
    assert tables.labels([found], []) == "dense/jax/square_relu error faults=0/0\n"


def test_a_planet_that_is_wrong_is_an_outlier_in_the_table(tmp_path):
    """Four folders as planets leave them, one with a weight of its own."""
    one = case("dense", "square_relu")
    for planet in ("pytorch", "tensorflow", "jax", "nnx"):
        y = np.linspace(-1, 2, 12).reshape(3, 4) + (1e-3 if planet == "jax" else 0)
        place = tmp_path / "dense" / planet / one.id
        for number in range(2):
            (place / str(number)).mkdir(parents=True)
            at = np.arange(12).reshape(3, 4)
            speaking.put(str(place / str(number) / "outputs.npz"), {"64 y": y, "32 y": y, "at y": at})
            safetensors(place / str(number) / "cumulative.safetensors", np.linspace(-1, 2, 12))
        (place / "judged.json").write_text(json.dumps({"runs": [run()]}))
    line = tables.apart_of(str(tmp_path), "dense", one)
    assert (line.outlier, line.bits) == ("jax", "same")
    assert line.distances["jax"] == pytest.approx(5e-4, rel=1e-2) and line.distances["loom"] < 1e-7


def safetensors(path, values):
    data = values.astype("<f4").tobytes()
    head = json.dumps({"y": {"dtype": "F32", "shape": [len(values)], "data_offsets": [0, len(data)]}})
    path.write_bytes(len(head).to_bytes(8, "little") + head.encode() + data)


def test_labels_that_changed_are_shown(tmp_path):
    kept = tmp_path / "labels"
    kept.write_text("dense/jax/a same faults=3/3\ndense/jax/b same faults=3/3\n")
    assert steps.changes(str(kept), "dense/jax/a same faults=3/3\n") == ""
    assert "-dense/jax/b same faults=3/3\n+dense/jax/b error faults=0/0\n" in steps.changes(
        str(kept), "dense/jax/b error faults=0/0\n")
