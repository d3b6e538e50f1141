"""`planetbridging.engines`: the calls and results of openfluke/planetbridging 0.7.3, on live frameworks."""

from __future__ import annotations

import dataclasses
import inspect
import os
import random
import sys
import threading

import numpy as np
import pytest

import planetbridging
from conftest import ROOT, needs_programs
from planetbridging import bedrocks, compare, engines, programs, results, witness
from planetbridging.bedrock import facts as fact, fixture, kinds, oracle, trained

PARAMETERS = {
    engines.available_planets: "bedrock",
    engines.installed_planets: "bedrock",
    engines.stream: "bedrock planet model_id root binary out_dir try_welvet max_samples",
    engines.stream_all_bedrocks: "planet root binary try_welvet",
    engines.stream_all_planets: "bedrock root binary model_id try_welvet",
    compare.compare_outputs: "native loom tolerance",
    compare.diff_label: "max_abs_diff exact tolerance",
}
"""By `inspect.signature` of the package itself."""

FIELDS = {
    results.StreamResult: "entity_path outputs layer_count weight_bytes max_abs_diff mean_abs_diff "
                          "exact_match compare_label native_reference",
    results.EngineStreamResult: "bedrock planet model_id layer_count entity_path native loom_stream "
                                "native_vs_loom welvet native_vs_welvet loom_vs_welvet welvet_note",
    results.LadderResult: "bedrock model_id planet layer_count entity_path native loom_stream welvet "
                          "native_vs_loom native_vs_welvet loom_vs_welvet welvet_note",
}

HERE = engines.installed_planets()
needs_torch = pytest.mark.skipif("pytorch" not in HERE, reason="torch is not installed")


@pytest.mark.parametrize("function", PARAMETERS, ids=lambda f: f.__name__)
def test_parameters_are_those_of_the_reference(function):
    assert list(inspect.signature(function).parameters) == PARAMETERS[function].split()


@pytest.mark.parametrize("cls", FIELDS, ids=lambda c: c.__name__)
def test_fields_are_those_of_the_reference(cls):
    names = [field.name for field in dataclasses.fields(cls)]
    assert names[:len(FIELDS[cls].split())] == FIELDS[cls].split()
    assert cls.__dataclass_params__.frozen and isinstance(cls.output_dim, property)


def test_the_tables_agree_with_the_facts():
    assert bedrocks.BEDROCK_IDS == fact.KINDS and list(bedrocks.BEDROCKS) == list(fact.KINDS)
    for name, info in bedrocks.BEDROCKS.items():
        facts = fact.of(name)
        assert facts.planets == bedrocks.BEDROCK_PLANETS[name] == engines.available_planets(name)
        assert facts.raw["fixture"] == info.fixture_version
        row = facts.model(info.stream_model_id).row
        assert len(row.get("layers", [None])) == info.layer_count
        assert info.smoke_model_id == info.stream_model_id


def test_everything_is_reached_from_the_package():
    for name in planetbridging.__all__:
        assert getattr(planetbridging, name) is not None
    assert planetbridging.engines is engines and planetbridging.BEDROCKS is bedrocks.BEDROCKS


def test_what_is_installed_is_found_without_importing_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    assert "pytorch" not in engines.installed_planets("mha")
    with pytest.raises(ImportError) as error:
        engines.stream("mha", "pytorch")
    assert str(error.value) == ("pytorch needs the Python package torch, which is not installed: "
                                "pip install torch")
    with pytest.raises(ImportError):
        engines.stream_all_bedrocks("pytorch")
    assert all(made.planet != "pytorch" for made in engines.stream_all_planets("mha", root="/dev/null"))


ALL = ", ".join(bedrocks.BEDROCK_IDS)


@pytest.mark.parametrize("call, kind, message", [
    (lambda: engines.stream("gru", "pytorch"), ValueError, f"unknown bedrock 'gru': expected one of {ALL}"),
    (lambda: engines.available_planets("gru"), ValueError, f"unknown bedrock 'gru': expected one of {ALL}"),
    (lambda: engines.stream_all_planets("gru"), ValueError, f"unknown bedrock 'gru': expected one of {ALL}"),
    (lambda: engines.ladder("gru"), ValueError, f"unknown bedrock 'gru': expected one of {ALL}"),
    (lambda: engines.stream("mha", "sklearn"), ValueError,
     "bedrock mha is not for planet 'sklearn': expected one of pytorch, tensorflow, jax"),
    (lambda: engines.stream_all_bedrocks("venus"), ValueError,
     "unknown planet 'venus': expected one of pytorch, tensorflow, jax, sklearn"),
    (lambda: engines.ladder("rnn", model_id="rnn_1"), KeyError,
     "bedrock rnn has no model rnn_1: expected one of rnn_4_4_4, rnn_8_4_8, rnn_4_8_4, rnn_8_8_8"),
])
def test_what_does_not_exist(call, kind, message):
    with pytest.raises(kind) as error:
        call()
    assert error.value.args == (message,)


@needs_programs
@pytest.mark.parametrize("planet", HERE)
def test_all_bedrocks_of_a_planet(planet, tmp_path):
    """Each answers as the float64 formulas do, in the canonical order of axes, and Loom as it does."""
    for made in engines.stream_all_bedrocks(planet, root=tmp_path):
        assert made.native_vs_loom in ("PASS", "EXACT"), made.entity_path
        info = bedrocks.BEDROCKS[made.bedrock]
        assert (made.model_id, made.layer_count) == (info.stream_model_id, info.layer_count)
        assert made.entity_path == str(tmp_path / ".planetbridging" / "stream" / made.bedrock / planet
                                       / f"{made.model_id}.entity")
        assert os.path.getsize(made.entity_path) > 0
        assert made.native.shape == made.loom_stream.shape == (100, made.output_dim)
        assert made.native.dtype == made.loom_stream.dtype == np.float64
        assert (made.native_float32 is None) == (planet == "sklearn")
        assert made.welvet is None and made.welvet_note is None
        formula = by_formula(planet, made)
        if formula is not None:
            np.testing.assert_allclose(made.native, formula, rtol=0, atol=1e-9)


def by_formula(planet: str, made) -> np.ndarray | None:
    """The oracle's [N, D]; None where the weights are the framework's own initial ones."""
    facts = fact.of(made.bedrock)
    model = facts.model(made.model_id)
    network = trained.network_on(planet, facts, model)
    weights = (trained.stored(planet, facts, model) if facts.training
               else kinds.of(made.bedrock).weights(facts, model))
    if weights is None:
        return None
    inputs = kinds.of(made.bedrock).inputs(facts, model, fixture.make(facts), "test")
    (outputs,) = oracle.run(network, weights, inputs).values()
    return outputs.reshape(100, -1)


@needs_programs
@needs_torch
def test_layers_are_counted_for_the_model_that_is_asked_for(tmp_path):
    assert engines.stream("dense", "PyTorch", model_id="linear_16_4", out_dir=tmp_path).layer_count == 1
    assert engines.stream("Mixer", "pytorch", model_id="mixer_all_v1", out_dir=tmp_path).layer_count == 10
    assert sorted(os.listdir(tmp_path)) == ["linear_16_4.entity", "mixer_all_v1.entity"]


def script(path, text: str):
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


@needs_programs
def test_a_weight_that_changes_on_the_way_is_a_difference(tmp_path):
    """The loom-stream that the caller names negates one weight of what it is given."""
    facts = fact.of("dense")
    np.save(tmp_path / "x.npy", fixture.make(facts)["x_test"][:, :32])
    binary = script(tmp_path / "spoil", f"PYTHONPATH={ROOT}/contrib/python {sys.executable} -m "
                    f"planetbridging.demo flip {tmp_path}/x.npy 2>/dev/null | "
                    f'{programs.find("loom-stream")} "$@"')
    made = engines.ladder("dense", binary=binary, out_dir=tmp_path / "out", try_welvet=False)
    assert made.native_vs_loom == "DIFF"
    assert engines.ladder("dense", out_dir=tmp_path / "out", try_welvet=False).native_vs_loom == "PASS"


@needs_programs
def test_a_program_that_refuses_and_one_that_is_not_there(tmp_path, monkeypatch):
    binary = script(tmp_path / "loom-stream", "echo loom-stream: no >&2; exit 3")
    with pytest.raises(RuntimeError) as error:
        engines.ladder("rnn", binary=binary, out_dir=tmp_path)
    assert str(error.value) == "loom-stream: no"
    with pytest.raises(FileNotFoundError) as error:
        engines.ladder("rnn", binary=tmp_path / "none", out_dir=tmp_path)
    assert str(error.value) == f"{tmp_path}/none: no such program"
    monkeypatch.setenv("PLANETBRIDGING_LOOM_STREAM", str(binary))
    with pytest.raises(RuntimeError):
        engines.ladder("rnn", out_dir=tmp_path)


@needs_programs
@needs_torch
def test_one_that_fails_stops_no_other(tmp_path):
    (tmp_path / "file").write_text("")
    made = engines.stream_all_bedrocks("pytorch", root=tmp_path / "file")
    assert [result.bedrock for result in made] == list(bedrocks.BEDROCK_IDS)
    for result in made:
        assert result.native_vs_loom == "ERROR" and result.native.shape == (0, 0)
        assert result.entity_path == result.welvet_note and "Not a directory" in result.welvet_note
        assert result.layer_count == result.output_dim == 0
    (result,) = [result for result in engines.stream_all_planets("lstm", model_id="lstm_0", root=tmp_path)
                 if result.planet == "pytorch"]
    assert result.model_id == "lstm_0" and result.welvet_note.startswith("bedrock lstm has no model lstm_0")


@needs_programs
@needs_torch
def test_nothing_of_the_process_changes(tmp_path, monkeypatch):
    import torch

    monkeypatch.chdir(tmp_path)
    before = (dict(os.environ), os.getcwd(), random.getstate(), np.random.get_state()[1].tolist(),
              torch.random.get_rng_state().tolist(), torch.get_num_threads(), torch.get_default_dtype())
    engines.stream("mha", "pytorch", out_dir="out")
    after = (dict(os.environ), os.getcwd(), random.getstate(), np.random.get_state()[1].tolist(),
             torch.random.get_rng_state().tolist(), torch.get_num_threads(), torch.get_default_dtype())
    assert after == before and os.listdir(tmp_path) == ["out"]


@needs_programs
@needs_torch
def test_several_threads_at_once(tmp_path):
    wanted = ("dense", "mha", "lstm", "rnn")
    alone = {name: engines.stream(name, "pytorch", out_dir=tmp_path / "alone") for name in wanted}
    found = {}

    def work(name):
        found[name] = engines.stream(name, "pytorch", out_dir=tmp_path / "together")
    threads = [threading.Thread(target=work, args=(name,)) for name in wanted]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for name in wanted:
        np.testing.assert_array_equal(found[name].native, alone[name].native)
        np.testing.assert_array_equal(found[name].loom_stream, alone[name].loom_stream)
        with open(found[name].entity_path, "rb") as one, open(alone[name].entity_path, "rb") as other:
            assert one.read() == other.read()


@needs_programs
@pytest.mark.parametrize("bedrock", bedrocks.BEDROCK_IDS)
def test_the_ladder_needs_no_framework(bedrock, tmp_path):
    made = engines.ladder(bedrock, out_dir=tmp_path, max_samples=3, try_welvet=False)
    assert made.planet == "numpy" and made.native_vs_loom in ("PASS", "EXACT")
    assert made.native.shape == made.loom_stream.shape == (3, made.output_dim)
    assert made.welvet is None and made.welvet_note == "welvet was not asked for"


@needs_programs
def test_without_real_loom_the_ladder_says_so(tmp_path, monkeypatch):
    monkeypatch.setenv(witness.ENVIRONMENT, "/nowhere/python")
    witness.missing.cache_clear()
    made = engines.ladder("mha", out_dir=tmp_path)
    witness.missing.cache_clear()
    assert made.welvet is None and made.native_vs_welvet is None
    assert made.welvet_note.startswith("real Loom was not asked: /nowhere/python cannot be run: ")
    assert made.welvet_note.endswith("; pip install welvet")


@needs_programs
@pytest.mark.skipif(bool(witness.missing()), reason="there is no welvet")
@pytest.mark.parametrize("bedrock, label, note", [
    ("mha", "PASS", None),
    ("dense", "PASS", "of the file lowered for Loom; plain Loom: node dense0 (layers.0) loses its bias; "),
    ("residual", "DIFF", "plain Loom: node sum (add) is left out; "),
    ("mixer", None, "real Loom died: "),
])
def test_real_loom_on_the_ladder(bedrock, label, note, tmp_path):
    made = engines.ladder(bedrock, out_dir=tmp_path, max_samples=2)
    assert made.native_vs_loom == "PASS" and made.native_vs_welvet == made.loom_vs_welvet == label
    assert (made.welvet is None) == (label is None)
    assert made.welvet is None or made.welvet.shape == (2, made.output_dim)
    assert made.welvet_note == note or made.welvet_note.startswith(note)


def test_comparing():
    one = np.array([[1.0, 2.0, np.inf]])
    assert compare.compare_outputs(one, one) == (0.0, 0.0, True)
    greatest, mean, exact = compare.compare_outputs([[1.0, 2.0]], [[1.0, 2.5]])
    assert (greatest, mean, exact) == (0.5, 0.25, False)
    assert np.isnan(compare.compare_outputs([[np.nan]], [[np.nan]])[0])
    assert compare.compare_outputs([[np.inf]], [[-np.inf]])[0] == np.inf
    with pytest.raises(ValueError) as error:
        compare.compare_outputs(np.zeros((2, 3)), np.zeros((3, 2)))
    assert str(error.value) == "native has shape [2, 3], loom [3, 2]"
    with pytest.raises(ValueError):
        compare.compare_outputs(np.zeros((0, 3)), np.zeros((0, 3)))


@pytest.mark.parametrize("away, options, label", [
    (0.0, {}, "EXACT"), (1.0, {"exact": True}, "EXACT"), (9.99e-6, {}, "PASS"), (1e-5, {}, "DIFF"),
    (1e-5, {"tolerance": 5e-5}, "PASS"), (float("nan"), {}, "DIFF"), (float("inf"), {}, "DIFF"),
])
def test_labels(away, options, label):
    assert compare.diff_label(away, **options) == label
