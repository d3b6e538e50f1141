"""Runs of a planet: what is made again and what is kept, after changes, kills and failures."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys

import numpy as np
import pytest

from bedrock_runs import ROOT, dense_ids, facts, fixture
from planetbridging import BridgeError
from planetbridging.bedrock import build_sklearn, chain, layout, living, network, reading
from planetbridging.bedrock import trained, training
from planetbridging.bedrock.facts import Model
from planetbridging.bedrock.network import Built
from planetbridging.graph import Graph, Input, Node, Tensor

pytest.importorskip("sklearn", reason="scikit-learn is not installed")
DENSE = facts["dense"]
FEW = dataclasses.replace(DENSE, models=DENSE.models[:3])
FILES = ("model.stream", "input.npy", "native.npy", "native64.npy", "numpy.npy", "made.json")


def run(root, some=FEW, mode="short", say=lambda line: None):
    return living.run("sklearn", [some], str(root), mode, str(root / "trained"), say)


@pytest.fixture
def trainings(monkeypatch):
    """The epochs of every training that takes place."""
    counted, train = [], training.train

    def counting(planet, built, how, epochs, *rest):
        counted.append(epochs)
        return train(planet, built, how, epochs, *rest)
    monkeypatch.setattr(training, "train", counting)
    return counted


# The key of trained weights.

def key(planet="sklearn", some=DENSE, model="linear_16_4", mode="short", data=None):
    return trained.key(planet, some, some.model(model), data or fixture("dense"), mode)


def test_the_key_is_the_same_for_the_same():
    assert key() == key() and len(key()) == 32


def test_every_mode_model_and_seed_has_its_key():
    batches = dataclasses.replace(DENSE.training, batch=32)
    keys = {key(), key(mode="full"), key(model="linear_32_4"),
            key(some=dataclasses.replace(DENSE, seed=1)),
            key(some=dataclasses.replace(DENSE, training=batches))}
    assert len(keys) == 5


def test_another_row_of_the_manifest_has_another_key():
    layers = [{"units": 4, "activation": "linear", "bias": False}]
    row = {**DENSE.model("linear_16_4").row, "layers": layers}
    altered = dataclasses.replace(DENSE, models=(Model(row["id"], row),))
    assert key(some=altered) != key()


def test_another_fixture_has_another_key():
    data = {**fixture("dense"), "y_train": fixture("dense")["y_train"] + 1e-9}
    assert key(data=data) != key()
    data = {**fixture("dense"), "y_test": fixture("dense")["y_test"] + 1e-9}
    assert key(data=data) == key()


def test_another_framework_version_has_another_key(monkeypatch):
    before = key()
    monkeypatch.setattr(trained.planets, "installed_version", lambda package: "0.0")
    assert key() != before


@pytest.mark.parametrize("module", [training, build_sklearn, network, trained])
def test_another_trainer_has_another_key(monkeypatch, tmp_path, module):
    before, copy = key(), tmp_path / "changed.py"
    with open(module.__file__, encoding="utf-8") as file:
        copy.write_text(file.read() + "# changed\n")
    monkeypatch.setattr(module, "__file__", str(copy))
    assert key() != before


def test_a_change_elsewhere_leaves_the_key(monkeypatch, tmp_path):
    before = key()
    monkeypatch.setattr(chain, "__file__", str(tmp_path / "nothing.py"))
    assert key() == before


# What is made again.

def test_nothing_is_made_twice(tmp_path, trainings):
    assert run(tmp_path) == 3 and trainings == [4, 4, 4]
    times = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.*")}
    assert run(tmp_path) == 0 and trainings == [4, 4, 4]
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.*")} == times


def test_full_training_takes_the_references_epochs(tmp_path, trainings):
    one = dataclasses.replace(DENSE, models=DENSE.models[:1])
    run(tmp_path, one)
    assert run(tmp_path, one, "full") == 1 and trainings == [4, 40]
    about = json.loads((tmp_path / "dense/sklearn/linear_16_4/made.json").read_text())
    assert (about["weights"], about["train"]) == ("trained 40 of 40 epochs", "full")


def test_a_change_of_the_package_makes_files_again_but_trains_nothing(tmp_path, monkeypatch, trainings):
    run(tmp_path)
    folder = tmp_path / "dense" / "sklearn" / "linear_16_4"
    time = (folder / "model.stream").stat().st_mtime_ns
    monkeypatch.setattr(living, "package", lambda: "another")
    assert run(tmp_path) == 3 and len(trainings) == 3
    # The same bytes keep their time, so no step that follows is taken again.
    assert (folder / "model.stream").stat().st_mtime_ns == time


def test_a_file_that_is_gone_is_made_again(tmp_path, trainings):
    run(tmp_path)
    (tmp_path / "dense" / "sklearn" / "linear_32_4" / "native64.npy").unlink()
    assert run(tmp_path) == 1 and len(trainings) == 3
    assert (tmp_path / "dense" / "sklearn" / "linear_32_4" / "native64.npy").exists()


KILLED = """
import os, signal, sys
sys.path[:0] = sys.argv[1:3]
import test_bedrock_runs as runs
from pathlib import Path
train, count = runs.training.train, []
def killed(*arguments):
    count.append(1)
    if len(count) == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return train(*arguments)
runs.training.train = killed
runs.run(Path(sys.argv[3]))
"""


def test_a_killed_run_goes_on_where_it_was(tmp_path, trainings):
    paths = [str(ROOT / "contrib" / "python"), str(ROOT / "contrib" / "python" / "tests")]
    done = subprocess.run([sys.executable, "-c", KILLED, *paths, str(tmp_path)], check=False,
                          capture_output=True, env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"})
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()
    whole = run(tmp_path)
    assert (whole, trainings) == (1, [4])
    for model in FEW.models:
        assert all((tmp_path / "dense" / "sklearn" / model.id / name).exists() for name in FILES)


def test_a_model_that_fails_stops_no_other(tmp_path, monkeypatch):
    real = living.oracle.run

    def failing(net, weights, inputs):
        if net.id == "linear_32_4":
            raise RuntimeError("two\nlines")
        return real(net, weights, inputs)
    monkeypatch.setattr(living.oracle, "run", failing)
    said = []
    assert run(tmp_path, say=said.append) == 3
    assert said == ["dense/sklearn/linear_16_4: made",
                    "dense/sklearn/linear_32_4: RuntimeError: two lines",
                    "dense/sklearn/mlp_32_16_4_relu: made"]
    folder = tmp_path / "dense" / "sklearn" / "linear_32_4"
    assert os.listdir(folder) == ["error.txt"]
    assert (folder / "error.txt").read_text() == "RuntimeError: two lines\n"
    monkeypatch.undo()
    assert run(tmp_path) == 1 and sorted(os.listdir(folder)) == sorted(FILES)


def test_a_failure_leaves_nothing_of_an_earlier_run(tmp_path, monkeypatch):
    run(tmp_path)
    folder = tmp_path / "dense" / "sklearn" / "linear_16_4"
    for name in ("model.entity", "loom.npy", "report.ndjson"):
        (folder / name).write_bytes(b"")
    monkeypatch.setattr(living, "package", lambda: "another")
    monkeypatch.setattr(living.oracle, "run", lambda *a: {"y": np.zeros((100, 4)) + np.inf})
    run(tmp_path)
    assert (folder / "error.txt").read_text() == "linear_16_4: y holds values that are not finite\n"
    for name in ("made.json", "model.stream", "model.entity", "loom.npy", "report.ndjson"):
        assert not (folder / name).exists()


# Stored weights.

@pytest.mark.parametrize("planet, kind", [(p, k) for k in ("dense", "cnn1", "cnn2", "cnn3")
                                          for p in facts[k].planets])
def test_stored_weights_fit_their_networks(planet, kind):
    for model in facts[kind].models:
        found = trained.stored(planet, facts[kind], model)
        net = trained.network_on(planet, facts[kind], model)
        wanted = {f"{layer.name}.{slot}": shape for layer in net.layers
                  for slot, shape in network.slots(layer).items()}
        assert {name: array.shape for name, array in found.items()} == wanted
        assert all(array.dtype == np.float32 and np.isfinite(array).all() for array in found.values())


def test_stored_weights_are_small():
    folder = trained.stored_path("jax", "dense").parents[1]
    sizes = [path.stat().st_size for path in folder.rglob("*.safetensors")]
    assert len(sizes) == 13 and sum(sizes) < 5e6


def test_stored_weights_are_run_without_training(tmp_path, trainings):
    assert run(tmp_path, FEW, "stored") == 3 and trainings == []
    about = json.loads((tmp_path / "dense/sklearn/linear_16_4/made.json").read_text())
    assert (about["weights"], about["train"]) == ("stored, trained 40 epochs", "stored")


def test_a_model_that_is_not_stored_is_said(tmp_path, monkeypatch):
    path = tmp_path / "dense.safetensors"
    trained.keep(str(path), {"linear_16_4/dense0.weight": np.zeros((4, 16), np.float32)}, {})
    monkeypatch.setattr(trained, "stored_path", lambda planet, kind: path)
    with pytest.raises(BridgeError, match="dense.safetensors: has no weights of linear_32_4: "
                                          "make bedrock-store writes them$"):
        trained.stored("sklearn", DENSE, DENSE.model("linear_32_4"))


def test_a_stored_file_that_is_none_is_said(tmp_path):
    (tmp_path / "w.safetensors").write_bytes(b"nothing")
    with pytest.raises(BridgeError, match="w.safetensors: is no .safetensors file: "):
        trained.load(tmp_path / "w.safetensors")


# From a graph back to weights, and between layouts.

def graph(op="dense", axes=("i", "o"), slot="weight"):
    array = np.arange(12, dtype=np.float32).reshape(3, 4)
    params = {"in_features": 3, "out_features": 4, "bias": False}
    node = Node("n", op, ["x"], params, [Tensor(slot, array, axes=list(axes))])
    return Graph("p", {}, "m", [Input("x", "float32", ["batch", 3])], ["n"], [node])


def net():
    layer = network.Layer("d", "dense", ("x",), {"in_features": 3, "out_features": 4, "bias": False})
    return network.Network("m", "dense", (Input("x", "float32", ["batch", 3]),), (layer,), ("d",))


def test_weights_are_turned_by_the_names_of_their_axes():
    np.testing.assert_array_equal(reading.weights_of(graph(), net())["d.weight"],
                                  np.arange(12).reshape(3, 4).T)


@pytest.mark.parametrize("altered, message", [
    (graph(op="conv1"), "^m: the graph's layers are conv1, expected dense$"),
    (graph(slot="kernel"), "^m: n has no weight of its own$"),
    (graph(axes=("o", "i")), r"^m: n.weight has shape \[3, 4\], expected \[4, 3\]$"),
])
def test_graphs_of_other_networks_are_refused(altered, message):
    with pytest.raises(BridgeError, match=message):
        reading.weights_of(altered, net())


def test_outputs_are_laid_out_as_the_planet_does():
    last = Built(None, dict, lambda outputs: {name: np.moveaxis(y, -1, 1) for name, y in outputs.items()})
    native = {"out": np.zeros((2, 5, 3))}
    canonical = np.arange(30.0).reshape(2, 3, 5)
    found = layout.outputs_like(last, native, {"y": canonical})
    np.testing.assert_array_equal(found["out"], np.moveaxis(canonical, 1, -1))
    with pytest.raises(BridgeError, match=r"^y has shape \[2, 5, 3\], the planet's output \[2, 3, 5\] in"):
        layout.outputs_like(last, native, {"y": canonical.reshape(2, 5, 3)})


def test_scikit_learn_takes_no_other_network():
    layers = (*net().layers, network.Layer("r", "relu", ("d",)))
    relu = network.Network("m", "dense", net().inputs, layers, ("r",))
    with pytest.raises(BridgeError, match="^m: no MLPRegressor: "):
        build_sklearn.build(relu, None)


def test_dense_ids_are_the_references():
    assert dense_ids[0] == "linear_16_4" and len(dense_ids) == 12
