"""The dense bedrock: its facts, its fixture, its verdicts, and the tables made of them.

Number of weights and biases by model: openfluke/planetbridging 0.7.3, python/dense/manifest.yaml.
"""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

from conftest import needs_programs
from dense_runs import FACTS, LABELS, document, facts, fixture, ids, judged, trained
from planetbridging import BridgeError
from planetbridging.bedrock import __main__ as steps
from planetbridging.bedrock import dense, tables, training

COUNTS = {
    "linear_16_4": (64, 4), "linear_32_4": (128, 4), "mlp_32_16_4_relu": (576, 20),
    "mlp_32_16_4_tanh": (576, 20), "mlp_32_16_4_sigmoid": (576, 20), "mlp_64_32_16_4_relu": (2624, 52),
    "mlp_32_32_32_8_relu": (2304, 72), "mlp_128_64_32_16_4_relu": (10816, 116),
    "mlp_32_128_32_8_relu": (8448, 168), "mlp_32_16_8_no_bias": (640, 0),
    "mlp_16_16_16_16_4_relu": (832, 52), "mlp_32_64_32_16_8_relu": (4736, 120),
}


def test_the_facts_count_what_the_reference_counts():
    assert ids == list(COUNTS)
    for model in facts.models:
        widths = (model.inputs, *model.units)
        weights = sum(a * b for a, b in zip(widths, widths[1:]))
        assert (weights, sum(model.units) * model.bias) == COUNTS[model.id]
        assert len(model.units) == len(model.activations)
    assert dataclasses.astuple(facts.training) == ("adam", "mse", 40, 64, 0.01)


def test_the_fixture_has_the_recorded_numbers():
    shapes = {name: (array.shape, array.dtype.name) for name, array in fixture().items()}
    assert shapes == {"x_train": ((5000, 128), "float64"), "y_train": ((5000, 8), "float64"),
                      "x_test": ((100, 128), "float64"), "y_test": ((100, 8), "float64")}


def test_another_seed_is_noticed():
    with pytest.raises(BridgeError, match="^x_train begins with .*: this NumPy draws other numbers$"):
        dense.make_fixture(dataclasses.replace(facts, seed=43))


def test_another_digest_is_noticed():
    raw = {**facts.raw, "x_test_sha256": "00"}
    with pytest.raises(BridgeError, match="^x_test has SHA-256 e00691d7.*, expected 00$"):
        dense.make_fixture(dataclasses.replace(facts, raw=raw))


def test_narrow_models_take_the_leading_columns():
    x_train, y_train, x_test = dense.slice_for(facts.model("linear_16_4"), fixture())
    np.testing.assert_array_equal(x_test, fixture()["x_test"][:, :16])
    assert x_train.shape == (5000, 16) and y_train.shape == (5000, 4)


def test_training_again_gives_the_same_bytes(tmp_path):
    first = trained("sklearn", "linear_16_4")
    x_train, y_train, x_test = dense.slice_for(facts.model("linear_16_4"), fixture())
    network, settings = training.train("sklearn", facts.model("linear_16_4"), facts, x_train, y_train)
    dense.write_files(tmp_path, "sklearn", "linear_16_4", network, {"x": x_test.astype(np.float32)}, settings)
    for name in ("model.stream", "input.npy", "native.npy", "settings.json"):
        assert (tmp_path / name).read_bytes() == (first / name).read_bytes(), name


def test_training_has_learnt_something():
    settings = json.loads((trained("sklearn", "mlp_32_16_4_relu") / "settings.json").read_text())
    assert settings["loss"] < 0.005
    assert (settings["planet"], settings["threads"], settings["mode"]) == ("sklearn", 1, "eval")
    assert set(settings["versions"]) == {"sklearn", "numpy"}


@needs_programs
@pytest.mark.parametrize("model_id", ids)
def test_sklearn_passes(model_id):
    pytest.importorskip("sklearn", reason="scikit-learn is not installed")
    result = judged(trained("sklearn", model_id))
    assert result.status == 0 and result.label in ("EXACT", "PASS"), result.report


# The five that the reference fails: it guesses the orientation of a square kernel, and drops
# intercepts that scikit-learn has fitted all the same.

def passes(planet: str, model_id: str) -> None:
    """The whole path of a model whose kernel is [i, o] in its framework."""
    pytest.importorskip(planet, reason=f"{planet} is not installed")
    assert f"{planet}/{model_id}" in facts.raw["reference_fails"]
    result = judged(trained(planet, model_id))
    assert result.status == 0 and result.label in ("EXACT", "PASS"), result.report
    for node in document(trained(planet, model_id)).nodes:
        if node["op"] == "dense":
            assert node["tensors"][0]["axes"] == ["i", "o"]


@needs_programs
def test_square_kernels_on_jax_32_32_32_8():
    passes("jax", "mlp_32_32_32_8_relu")


@needs_programs
def test_square_kernels_on_jax_16_16_16_16_4():
    passes("jax", "mlp_16_16_16_16_4_relu")


@needs_programs
def test_square_kernels_on_sklearn_32_32_32_8():
    passes("sklearn", "mlp_32_32_32_8_relu")


@needs_programs
def test_square_kernels_on_sklearn_16_16_16_16_4():
    passes("sklearn", "mlp_16_16_16_16_4_relu")


@needs_programs
def test_intercepts_of_sklearn_are_kept_in_the_model_without_bias():
    passes("sklearn", "mlp_32_16_8_no_bias")
    nodes = document(trained("sklearn", "mlp_32_16_8_no_bias")).nodes
    assert [n["params"]["bias"] for n in nodes if n["op"] == "dense"] == [True, True]


def test_the_labels_name_every_planet_and_model():
    wanted = sorted(f"{planet}/{model} same\n" for planet in facts.planets for model in ids)
    assert LABELS.read_text() == "".join(wanted) and len(wanted) == 48


def report(folder, label, max_abs, max_ulp=3):
    """A model's folder with one verdict, and faults that are all found but one that cannot be."""
    folder.mkdir(parents=True)
    lines = [{"kind": "tensor", "name": "y", "label": label, "max_abs": max_abs, "max_ulp": max_ulp},
             {"kind": "verdict", "same": label in ("EXACT", "PASS")}]
    (folder / "report.ndjson").write_text("".join(json.dumps(line) + "\n" for line in lines))
    records = [{"fault": fault, "what": "", "label": "DIFF", "max_abs": 0.5} for fault in tables.FAULTS[:-1]]
    records.append({"fault": tables.FAULTS[-1], "why_not": "one layer"})
    (folder / "faults.ndjson").write_text("".join(json.dumps(r) + "\n" for r in records))


def table(tmp_path, capsys, *planets):
    status = steps.main(["table", str(FACTS), str(LABELS), str(tmp_path), *planets])
    return status, capsys.readouterr().out.splitlines()


def test_the_table_of_a_planet_that_passes(tmp_path, capsys):
    for model in ids:
        report(tmp_path / "jax" / model, "PASS", 2.5e-7)
    status, lines = table(tmp_path, capsys, "jax")
    assert status == 0
    assert lines[0].split() == ["label", "max-abs", "max-ulp", "jax"]
    assert lines[1].split() == ["linear_16_4", "PASS", "2.5e-07", "3"]
    assert lines[15].split() == ["jax/linear_16_4", *["DIFF", "0.5"] * 4, "-", "(one", "layer)"]
    assert lines[-3:] == ["12 of 12 PASS at 1e-05", "48 of 48 planted faults reported DIFF",
                          "60 passed, 0 failed"]
    wanted = "".join(f"jax/{model} same\n" for model in sorted(ids))
    assert (tmp_path / "jax" / "labels").read_text() == wanted


def test_a_diff_fails_the_table(tmp_path, capsys):
    for model in ids:
        report(tmp_path / "jax" / model, "DIFF" if model == ids[3] else "EXACT", 0.0)
    status, lines = table(tmp_path, capsys, "jax")
    assert status == 1
    assert "-jax/mlp_32_16_4_tanh same" in lines and "+jax/mlp_32_16_4_tanh different" in lines
    assert lines[-1] == "59 passed, 1 failed"


def test_labels_that_are_not_the_kept_ones_fail_the_table(tmp_path, capsys):
    for model in ids:
        report(tmp_path / "jax" / model, "PASS", 0.0)
    kept = tmp_path / "kept"
    kept.write_text(LABELS.read_text().replace(f"jax/{ids[0]} same", f"jax/{ids[0]} different"))
    assert steps.main(["table", str(FACTS), str(kept), str(tmp_path), "jax"]) == 1
    assert capsys.readouterr().out.splitlines()[-1] == "60 passed, 1 failed"


def test_a_fault_that_passes_fails_the_table(tmp_path, capsys):
    for model in ids:
        report(tmp_path / "jax" / model, "PASS", 0.0)
    path = tmp_path / "jax" / ids[0] / "faults.ndjson"
    path.write_text(path.read_text().replace("DIFF", "PASS", 1))
    status, lines = table(tmp_path, capsys, "jax")
    assert status == 1
    assert lines[-3:] == ["12 of 12 PASS at 1e-05", "47 of 48 planted faults reported DIFF",
                          "59 passed, 1 failed"]


def test_the_faults_alone_need_no_reports(tmp_path, capsys):
    for model in ids:
        report(tmp_path / "jax" / model, "PASS", 0.0)
        (tmp_path / "jax" / model / "report.ndjson").unlink()
    status, lines = table(tmp_path, capsys, "jax", "--faults-only")
    assert status == 0 and not (tmp_path / "jax" / "labels").exists()
    assert lines[0].split()[:2] == ["planted", "fault"]
    assert lines[-2:] == ["48 of 48 planted faults reported DIFF", "48 passed, 0 failed"]
    assert (tmp_path / "jax" / "faults.txt").read_text().splitlines() == lines[:13]


def test_a_report_without_a_verdict_is_no_pass(tmp_path):
    report(tmp_path / "m", "PASS", 0.0)
    path = tmp_path / "m" / "report.ndjson"
    path.write_text(path.read_text().splitlines()[0] + "\n")
    assert tables.read_cell(tmp_path / "m").label == "DIFF"


def test_a_fault_found_in_nothing_that_shows_is_not_caught(tmp_path, capsys):
    """Zeros within the tolerance make loom-compare say no too; that is no DIFF."""
    for model in ids:
        report(tmp_path / "jax" / model, "PASS", 0.0)
    path = tmp_path / "jax" / ids[0] / "faults.ndjson"
    path.write_text(path.read_text().replace("DIFF", "VACUOUS", 1))
    status, lines = table(tmp_path, capsys, "jax")
    assert status == 1 and lines[-1] == "59 passed, 1 failed"


def test_a_missing_folder_is_the_machines_fault(tmp_path, capsys):
    assert steps.main(["table", str(FACTS), str(LABELS), str(tmp_path), "jax"]) == 4
    assert capsys.readouterr().err.startswith("bedrock: ")
