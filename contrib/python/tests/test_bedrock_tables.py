"""Tables, labels and the score of bedrocks, from reports as loom-compare writes them."""

from __future__ import annotations

import json

import numpy as np
import pytest

from bedrock_runs import LABELS, dense_ids, facts
from planetbridging.bedrock import __main__ as steps
from planetbridging.bedrock import tables, verdicts
from planetbridging.bedrock.facts import KINDS

FAULTS = ("weight", "bias", "transpose", "activations", "columns")


def report(label, max_abs, atol, scale=1.0, vacuous=False):
    """The lines of a report about one tensor."""
    tensor = {"kind": "tensor", "name": "y", "label": label, "max_abs": max_abs, "scale": scale}
    same = label in ("EXACT", "PASS")
    lines = [tensor | ({"vacuous": True} if vacuous else {}),
             {"kind": "verdict", "same": same, "rule": {"atol": atol, "scale": "max"}}]
    return "".join(json.dumps(line) + "\n" for line in lines)


def folder(root, kind, planet, model, *, record=("PASS", 2.5e-8), usual=("PASS", 5e-8),
           own=("PASS", 6e-8), native=None, vacuous=False, composed=()):
    """The files of one model with these verdicts."""
    place = root / kind / planet / model
    place.mkdir(parents=True, exist_ok=True)
    for name in ("model.stream", "model.entity", "loom.npy"):
        (place / name).write_bytes(b"")
    reports = (("report", record, 1e-6), ("float32", usual, 1e-5), ("own", own, 1e-5),
               ("numpy", ("PASS", 3e-8), 1e-6), ("oracle", ("PASS", 1e-16), 1e-6))
    for name, (label, max_abs), atol in reports:
        (place / f"{name}.ndjson").write_text(report(label, max_abs, atol, vacuous=vacuous))
    np.save(place / "native64.npy", np.ones((3, 4)) if native is None else native)
    about = {"composed": list(composed), "weights": "drawn", "train": "", "versions": {planet: "1.0"}}
    (place / "made.json").write_text(json.dumps(about))
    return place


def faults(place, label="DIFF"):
    """Faults that are all found but one that cannot be planted."""
    records = [{"fault": fault, "what": "", "label": label, "max_abs": 0.5} for fault in FAULTS[:-1]]
    records.append({"fault": FAULTS[-1], "why_not": "one layer"})
    (place / "faults.ndjson").write_text("".join(json.dumps(r) + "\n" for r in records))


def all_norms(root, planet="jax", **special):
    """The four layernorm models of one planet, layernorm_4 as given."""
    for model in facts["layernorm"].models:
        folder(root, "layernorm", planet, model.id, **(special if model.id == "layernorm_4" else {}))


def all_dense(root, planet="jax", label="DIFF"):
    for model in dense_ids:
        faults(folder(root, "dense", planet, model), label)


@pytest.fixture
def table(tmp_path, capsys):
    """A function: kinds to (status, lines) of the table of one planet, beside labels that agree."""
    def run(*kinds, planets=("jax",), kept=None, options=()):
        path = tmp_path / "kept"
        rows = steps.read_rows(str(tmp_path), kinds, planets)
        path.write_text(tables.labels(rows) if kept is None else kept)
        status = steps.main(["table", "--dir", str(tmp_path), *options, str(path), *kinds,
                             "--planets", *planets])
        return status, capsys.readouterr().out.splitlines()
    return run


def test_the_kept_labels_name_every_row_and_say_that_all_are_the_same():
    lines = LABELS.read_text().splitlines()
    wanted = sorted(f"{kind}/{planet}/{model.id}" for kind in KINDS for planet in facts[kind].planets
                    for model in facts[kind].models)
    assert sorted(line.split(" ")[0] for line in lines) == wanted and len(wanted) == 195
    assert {line.split(" ")[1] for line in lines} == {"same"}
    assert lines == sorted(lines)
    others = [line.split("/")[2] for line in lines if not line.endswith(" same")]
    assert others == ["mixer_all_v1 same vacuous"] * 3


def test_the_table_of_a_planet_that_passes(tmp_path, table):
    all_dense(tmp_path)
    status, lines = table("dense")
    assert status == 0
    head = ["bedrock/planet/model", "float64", "distance", "float32", "numpy-loom", "numpy-float64",
            "notes"]
    assert lines[0].split() == head
    assert lines[1].split() == ["dense/jax/linear_16_4", "PASS", "2.5e-08", "PASS", "5.0e-08", "3.0e-08",
                                "1.0e-16"]
    assert lines[15].split() == ["dense/jax/linear_16_4", *["DIFF", "0.5"] * 4, "-", "(one", "layer)"]
    assert lines[-7].split() == ["bedrock", "jax", "numpy", "weights"]
    assert lines[-6].split() == ["dense", "12/12", "2.5e-08", "loom", "3.0e-08", "float64", "1.0e-16",
                                 "drawn"]
    assert lines[-4:] == ["12 of 12 within 1e-06 of float64",
                          "12 of 12 within 1e-05 of float32, 0 native-rounding",
                          "48 of 48 planted faults reported DIFF", "60 passed, 0 failed"]
    wanted = "".join(f"dense/jax/{model} same\n" for model in sorted(dense_ids))
    assert (tmp_path / "labels").read_text() == wanted
    assert (tmp_path / "table.txt").read_text().splitlines() == lines[:-5]


def test_a_diff_fails_the_table(tmp_path, table):
    all_norms(tmp_path, record=("DIFF", 0.5), usual=("DIFF", 0.5))
    kept = "".join(f"layernorm/jax/{model.id} same\n" for model in facts["layernorm"].models)
    status, lines = table("layernorm", kept=kept)
    assert status == 1
    assert "  layernorm/jax/layernorm_4: DIFF 5.0e-01, float32 DIFF 5.0e-01" in lines
    assert "-layernorm/jax/layernorm_4 same" in lines
    assert "+layernorm/jax/layernorm_4 different float32=different" in lines
    assert lines[-1] == "3 passed, 1 failed"


def test_distances_are_relative_to_the_scale(tmp_path):
    place = folder(tmp_path, "rnn", "jax", "rnn_4_4_4")
    (place / "report.ndjson").write_text(report("PASS", 5e-5, 1e-6, scale=100.0))
    row = verdicts.read(tmp_path, "rnn", "jax", "rnn_4_4_4")
    assert (row.record.max_abs, row.record.relative) == (5e-5, 5e-7)


# The float32 column.

def test_the_frameworks_own_rounding_explains_a_float32_diff(tmp_path, table):
    all_norms(tmp_path, usual=("DIFF", 1.5e-5), own=("DIFF", 1.6e-5))
    status, lines = table("layernorm")
    assert status == 0
    assert "  layernorm/jax/layernorm_4: DIFF why=native-rounding 1.5e-05 (own 1.6e-05)" in lines
    assert lines[-2:] == ["3 of 4 within 1e-05 of float32, 1 native-rounding", "4 passed, 0 failed"]
    assert "layernorm/jax/layernorm_4 same\n" in (tmp_path / "labels").read_text()


@pytest.mark.parametrize("own", [("PASS", 9e-6), ("PASS", 1e-5)])
def test_a_float32_diff_that_the_framework_does_not_explain_fails(tmp_path, table, own):
    all_norms(tmp_path, usual=("DIFF", 1.5e-5), own=own)
    status, lines = table("layernorm")
    assert status == 1 and lines[-1] == "3 passed, 1 failed"
    assert "  layernorm/jax/layernorm_4: PASS 2.5e-08, float32 DIFF 1.5e-05" in lines


def test_rounding_explains_nothing_where_float64_differs(tmp_path):
    far = ("DIFF", 1e-3)
    folder(tmp_path, "rnn", "jax", "rnn_4_4_4", record=far, usual=far, own=far)
    row = verdicts.read(tmp_path, "rnn", "jax", "rnn_4_4_4")
    assert (row.why, row.passed, tables.label(row)) == ("", False, "different float32=different")


def test_at_most_six_rows_may_be_native_rounding(tmp_path, table):
    for kind in ("layernorm", "rmsnorm"):
        for model in facts[kind].models:
            folder(tmp_path, kind, "jax", model.id, usual=("DIFF", 2e-5), own=("DIFF", 2e-5))
    status, lines = table("layernorm", "rmsnorm")
    assert status == 1
    assert lines[-2:] == ["at most 6 rows may be native-rounding", "8 passed, 1 failed"]


# Rows that prove nothing, or could not be made.

def test_answers_within_the_tolerance_are_vacuous(tmp_path, table):
    for model in facts["mixer"].models:
        folder(tmp_path, "mixer", "jax", model.id, vacuous=model.id == "mixer_all_v1")
    status, lines = table("mixer")
    assert status == 0
    assert "  mixer/jax/mixer_all_v1: all answers lie within the tolerance" in lines
    assert (tmp_path / "labels").read_text().splitlines() == ["mixer/jax/mixer_all_v1 same vacuous",
                                                              "mixer/jax/mixer_all_v2 same"]


def test_outputs_that_are_always_0_are_named(tmp_path, table):
    native = np.ones((5, 4, 1))
    native[:, 1:] = 0
    native[2, 3] = 1
    for model in facts["cnn1"].models:
        folder(tmp_path, "cnn1", "jax", model.id, native=native if model.id == "conv1_16_4" else None)
    status, lines = table("cnn1")
    assert status == 0
    assert "  cnn1/jax/conv1_16_4: 2 of 4 outputs are always 0" in lines
    row = next(line for line in lines if line.startswith("cnn1/jax/conv1_16_4 "))
    assert row.endswith("vacuous: 2 of 4 outputs are always 0")


def test_composed_layers_are_named(tmp_path, table):
    all_norms(tmp_path, composed=["layernorm"])
    _, lines = table("layernorm")
    assert next(line for line in lines if "jax/layernorm_4 " in line).endswith("composed: layernorm")
    summary = next(line for line in lines if line.startswith("layernorm  "))
    assert summary.split()[:4] == ["layernorm", "4/4", "2.5e-08", "composed"]


@pytest.mark.parametrize("gone, log, text, wanted", [
    ("model.stream", "error.txt", "rnn: no such thing\n", "rnn: no such thing"),
    ("model.entity", "stream.log", "loom-stream: y: refused\n", "loom-stream: y: refused"),
    ("loom.npy", "infer.log", "loom-infer: no\n", "loom-infer: no"),
    ("loom.npy", "infer.log", None, "loom.npy was not made"),
])
def test_a_step_that_failed_is_the_row(tmp_path, table, gone, log, text, wanted):
    all_norms(tmp_path)
    place = tmp_path / "layernorm" / "jax" / "layernorm_4"
    (place / gone).unlink()
    if text is not None:
        (place / log).write_text(text)
    status, lines = table("layernorm")
    assert status == 1
    assert f"  layernorm/jax/layernorm_4: {wanted}" in lines
    assert "layernorm/jax/layernorm_4 error\n" in (tmp_path / "labels").read_text()
    assert lines[-1] == "3 passed, 1 failed"


def test_a_model_that_was_never_made_is_a_failure(tmp_path, table):
    status, lines = table("layernorm")
    assert status == 1 and lines[-1] == "0 passed, 4 failed"
    assert "  layernorm/jax/layernorm_4: model.stream was not made" in lines


def test_a_report_without_a_verdict_is_no_pass(tmp_path):
    place = folder(tmp_path, "rnn", "jax", "rnn_4_4_4")
    path = place / "report.ndjson"
    path.write_text(path.read_text().splitlines()[0] + "\n")
    row = verdicts.read(tmp_path, "rnn", "jax", "rnn_4_4_4")
    assert row.label == "DIFF" and not row.passed


# Labels and faults.

def test_labels_that_are_not_the_kept_ones_fail_the_table(tmp_path, table):
    all_norms(tmp_path)
    kept = "".join(f"layernorm/jax/{m.id} different\n" for m in facts["layernorm"].models)
    status, lines = table("layernorm", kept=kept)
    assert status == 1 and lines[-1] == "4 passed, 1 failed"


def test_kept_labels_of_other_rows_do_not_matter(tmp_path, table):
    all_norms(tmp_path)
    kept = "".join(sorted(f"layernorm/{planet}/{model.id} same\n" for model in facts["layernorm"].models
                          for planet in ("jax", "pytorch")))
    assert table("layernorm", kept=kept)[0] == 0


def test_a_fault_that_passes_fails_the_table(tmp_path, table):
    all_dense(tmp_path)
    path = tmp_path / "dense" / "jax" / dense_ids[0] / "faults.ndjson"
    path.write_text(path.read_text().replace("DIFF", "PASS", 1))
    status, lines = table("dense")
    assert status == 1
    assert lines[-2:] == ["47 of 48 planted faults reported DIFF", "59 passed, 1 failed"]


def test_a_fault_found_in_nothing_that_shows_is_not_caught(tmp_path, table):
    """Zeros within the tolerance make loom-compare say no too; that is no DIFF."""
    all_dense(tmp_path)
    path = tmp_path / "dense" / "jax" / dense_ids[0] / "faults.ndjson"
    path.write_text(path.read_text().replace("DIFF", "VACUOUS", 1))
    assert table("dense")[1][-1] == "59 passed, 1 failed"


def test_no_faults_at_all_are_a_failure_where_there_must_be_some(tmp_path, table):
    for model in dense_ids:
        folder(tmp_path, "dense", "jax", model)
    status, lines = table("dense")
    assert status == 1
    assert lines[-2:] == ["0 of 0 planted faults reported DIFF", "12 passed, 1 failed"]


def test_the_faults_alone_need_no_reports(tmp_path, table):
    all_dense(tmp_path)
    for model in dense_ids:
        (tmp_path / "dense" / "jax" / model / "report.ndjson").unlink()
    status, lines = table("dense", options=["--faults-only"])
    assert status == 0 and not (tmp_path / "labels").exists()
    assert lines[0].split()[:2] == ["planted", "fault"]
    assert lines[-2:] == ["48 of 48 planted faults reported DIFF", "48 passed, 0 failed"]


def test_labels_that_are_missing_are_the_machines_fault(tmp_path, capsys):
    none = str(tmp_path / "none")
    assert steps.main(["table", "--dir", str(tmp_path), none, "rnn", "--planets", "jax"]) == 4
    assert capsys.readouterr().err.startswith("bedrock: ")


# SCOREBOARD.md.

def test_the_scoreboard_says_all_and_nothing_of_this_machine(tmp_path):
    all_dense(tmp_path)
    all_norms(tmp_path, usual=("DIFF", 1.5e-5), own=("DIFF", 1.6e-5))
    assert steps.main(["scoreboard", "--partial", "--dir", str(tmp_path), str(tmp_path / "S.md")]) == 0
    text = (tmp_path / "S.md").read_text()
    assert text.startswith("# Scoreboard\n\n61 networks of thirteen kinds")
    rounding = "DIFF why=native-rounding 1.5e-05 (own 1.6e-05)"
    assert f"| layernorm/jax/layernorm_4 | PASS | 2.5e-08 | {rounding} |" in text
    assert "| rnn/jax/rnn_4_4_4 | ERROR | - | - | - | - | model.stream was not made |" in text
    assert "make bedrocks\nmake scoreboard" in text and str(tmp_path) not in text
    assert steps.main(["scoreboard", "--partial", "--dir", str(tmp_path), str(tmp_path / "T.md")]) == 0
    assert (tmp_path / "T.md").read_text() == text


def test_a_scoreboard_of_what_was_not_run_is_refused(tmp_path, capsys):
    all_norms(tmp_path)
    assert steps.main(["scoreboard", "--dir", str(tmp_path), str(tmp_path / "S.md")]) == 3
    assert capsys.readouterr().err == (
        f"bedrock: {tmp_path}: 191 of 195 networks have no report (dense/pytorch/linear_16_4 is the "
        "first): run make bedrocks before make scoreboard\n")
    assert not (tmp_path / "S.md").exists()
