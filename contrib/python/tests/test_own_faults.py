"""Planted mistakes of our own fixtures: each changes the stream, and NumPy already sees every one."""

from __future__ import annotations

import numpy as np
import pytest

from conftest import needs_programs
from own_runs import CASES, NAMES, bytes_of, case, document_of, graph_of, values_of
from planetbridging.bedrock.own import judging, nway, planting, speaking
from planetbridging.vocabulary import AXES


def planted(one):
    """(document, values, faults) of a case."""
    document = document_of(graph_of(one))
    values = values_of(document.graph(), one.inputs(0))
    return document, values, planting.faults(document, values)


def seen(one, fault, values):
    """The greatest relative change of any tensor, each node fed with the right values."""
    graph = fault.document.graph()
    try:
        found = values_of(graph, one.inputs(0))
    except (ValueError, IndexError):  # a step of 1 gives another shape
        return np.inf
    changes = [np.abs(found[name] - values[name]).max() / max(1, np.abs(values[name]).max())
               if found[name].shape == values[name].shape else np.inf for name in values]
    return max(changes)


@pytest.mark.parametrize("one", CASES, ids=NAMES)
def test_every_mistake_changes_the_stream_and_the_answer(one):
    document, values, found = planted(one)
    original = bytes_of(document)
    for fault in found:
        if fault.document is None:
            continue
        assert bytes_of(fault.document) != original, fault.name
        assert seen(one, fault, values) > 1e-5, (fault.name, fault.what)
    assert bytes_of(document) == original


@pytest.mark.parametrize("one", CASES, ids=NAMES)
def test_every_weight_is_altered_by_a_hundredth(one):
    document, _, found = planted(one)
    names = {fault.name for fault in found}
    for node in document.nodes:
        for slot in [entry["slot"] for entry in node["tensors"]]:
            assert f"{node['name']}:weight.{slot}" in names


def test_mistakes_by_name():
    wanted = {
        ("lstm", "forward"): {"gates.if", "gates.fg", "gates.go", "bias", "direction", "recurrent"},
        ("lstm", "states"): {"states", "exchange"},
        ("rnn", "relu"): {"activation"},
        ("rnn", "reversed"): {"order"},
        ("mha", "half_grouped"): {"style", "pairs", "base", "groups", "heads", "causal", "unturned"},
        ("mha", "masked"): {"polarity", "unmasked"},
        ("layernorm", "eps_keras"): {"eps", "gamma", "beta", "kind"},
        ("embedding", "rows"): {"token"},
        ("cnn1", "dilated_flatten"): {"columns", "mirror", "bias", "kind"},
        ("cnn2", "square_flatten"): {"kernel", "columns"},
        ("cnn2", "grouped_same"): {"groups", "pads"},
        ("cnn2", "oblong"): {"dilation", "stride"},
        ("dense", "square_relu"): {"square", "bias", "kind"},
        ("swiglu", "square"): {"gate", "activation", "square"},
        ("residual", "two_inputs"): {"skip", "branch", "minus"},
    }
    for (kind, case_id), names in wanted.items():
        found = {fault.name.split(":")[1] for fault in planted(case(kind, case_id))[2] if fault.document}
        assert names <= found, (kind, case_id, names - found)


def test_eps_is_changed_to_its_neighbours():
    for case_id, eps in (("eps_pytorch", 1e-3), ("eps_keras", 1e-5), ("eps_flax", 1e-5)):
        _, _, found = planted(case("layernorm", case_id))
        fault, = [f for f in found if f.name == "y:eps"]
        assert fault.document.node("y")["params"]["eps"] == eps


def test_what_a_softmax_cannot_see_is_said():
    _, _, found = planted(case("mha", "causal"))
    silent = {f.name: f.what for f in found if f.document is None}
    why = "a softmax does not see what all keys have in common"
    assert silent == {"y:weight.bk": why, "y:bias.k": why}


def test_gates_go_with_all_their_slots():
    document, _, found = planted(case("lstm", "two_biases"))
    fault, = [f for f in found if f.name == "a:gates.fg"]
    for slot in ("W", "U", "b", "b2"):
        for one, two in (("f", "g"), ("g", "f")):
            assert np.array_equal(fault.document.array("a", f"{slot}_{one}"),
                                  document.array("a", f"{slot}_{two}"))
    assert set(AXES["lstm"]) == {entry["slot"] for entry in fault.document.node("a")["tensors"]}


def answers(**wrong):
    y = np.linspace(-2, 3, 12).reshape(3, 4)
    return {who: y + wrong.get(who, 0) for who in ("pytorch", "tensorflow", "jax", "loom")}


def test_nobody_is_apart():
    found = nway.compare(answers(jax=1e-7))
    assert found.outlier == "none"
    assert found.widest == pytest.approx(1e-7 / 3)


@pytest.mark.parametrize("who", ["pytorch", "tensorflow", "jax", "loom"])
def test_the_one_that_is_wrong_is_named(who):
    found = nway.compare(answers(**{who: 1e-3}))
    assert found.outlier == who
    assert found.distances[who] == pytest.approx(1e-3 / 3) == found.widest


def test_of_two_both_are_named():
    found = nway.compare({"pytorch": np.ones(3), "loom": np.ones(3) * 1.1})
    assert found.outlier == "pytorch or loom"


def test_another_shape_and_a_nan_are_apart():
    wrong = answers()
    wrong["jax"] = wrong["jax"].T
    assert nway.compare(wrong).outlier == "jax"
    wrong = answers()
    wrong["jax"][0, 0] = np.nan
    assert nway.compare(wrong).outlier != "none"


def written(folder, one):
    """A folder as a planet would leave it, NumPy being the planet."""
    graph = graph_of(one)
    (folder / "model.stream").write_bytes(bytes_of(document_of(graph)))
    for run in range(len(one.runs)):
        (folder / str(run)).mkdir()
        inputs = one.inputs(run)
        taps = {n: v for n, v in values_of(graph, inputs).items() if n not in inputs}
        files = {"input": inputs, "taps64": taps,
                 "taps32": {n: v.astype(np.float32) for n, v in taps.items()}}
        for name, arrays in files.items():
            speaking.put(str(folder / str(run) / f"{name}.npz"), arrays)


@needs_programs
@pytest.mark.parametrize("kind, case_id", [("lstm", "stack"), ("mha", "half_grouped"), ("cnn2", "oblong"),
                                           ("layernorm", "eps_flax"), ("mixer", "tokens")])
def test_the_whole_path_sees_every_mistake(tmp_path, kind, case_id):
    written(tmp_path, case(kind, case_id))
    judging.judge(str(tmp_path), kind, "pytorch")
    found = judging.read(str(tmp_path / "judged.json"))
    assert "error" not in found
    for run in found["runs"]:
        assert run["isolated"]["label"] in ("EXACT", "PASS") and run["isolated"]["distance"] <= 1e-6
        assert run["cumulative"]["label"] in ("EXACT", "PASS")
    labels = {f["fault"]: f["label"] for f in found["faults"] if "label" in f}
    assert labels and set(labels.values()) == {"DIFF"}, labels
    assert not list(tmp_path.rglob("fault.*"))


@needs_programs
def test_a_tensor_that_is_wrong_is_named(tmp_path):
    one = case("dense", "square_relu")
    written(tmp_path, one)
    with np.load(tmp_path / "1" / "taps64.npz") as file:
        taps = dict(file)
    taps["b"] = taps["b"] + 3e-6 * np.abs(taps["b"]).max()
    speaking.put(str(tmp_path / "1" / "taps64.npz"), taps)
    judging.judge(str(tmp_path), "dense", "pytorch")
    runs = judging.read(str(tmp_path / "judged.json"))["runs"]
    assert [run["isolated"]["label"] for run in runs] == ["PASS", "DIFF"]
    assert runs[1]["isolated"]["tensor"] == "b"
