"""The machinery of ordinary networks: what is drawn, what is valid, mistakes, tables, fetching."""

from __future__ import annotations

import base64
import hashlib
import importlib.util
import json
import zipfile

import numpy as np
import pytest

from own_runs import case, document_of, graph_of, values_of
from planetbridging import BridgeError
from planetbridging.graph import Graph, Input, MachineError, Node, Tensor
from planetbridging.ordinary import fetch, judging, tables, validity
from planetbridging.ordinary.row import Row, Spec

HERE = {name: importlib.util.find_spec(name) is not None for name in ("keras", "flax")}


# --- what is drawn


def test_a_mask_hides_padding_of_all_samples_but_the_first():
    assert Spec((3, 4), "mask").drawn("m").tolist() == [[1, 1, 1, 1], [1, 1, 1, 0], [1, 1, 0, 0]]
    assert Spec((3, 4), "mask", left=True).drawn("m").tolist() == [[1, 1, 1, 1], [0, 1, 1, 1],
                                                                   [0, 0, 1, 1]]
    assert Spec((2, 3), "mask").drawn("m").dtype == np.int64


def test_no_sample_of_a_mask_is_hidden_whole():
    assert (Spec((9, 4), "mask").drawn("m").sum(axis=1) >= 1).all()


def test_ids_and_floats_follow_from_their_name():
    ids = Spec((3, 50), "int64", 7)
    assert set(np.unique(ids.drawn("a"))) == set(range(7))
    assert np.array_equal(ids.drawn("a"), ids.drawn("a"))
    assert not np.array_equal(ids.drawn("a"), ids.drawn("b"))
    x = Spec((2, 5000)).drawn("a")
    assert x.dtype == np.float32 and abs(x.std() - 1) < 0.02 and abs(x.mean()) < 0.05


def test_each_run_and_input_has_values_of_its_own():
    row = Row("r", "pytorch", "", (), lambda: None, ({"x": Spec((2, 3)), "z": Spec((2, 3))},) * 2)
    found = [array.tobytes() for run in (0, 1) for array in row.inputs(run).values()]
    assert len(set(found)) == 4 and row.name == "pytorch/r"


@pytest.mark.skipif(not HERE["keras"], reason="keras is not installed")
def test_weights_of_keras_follow_from_seed_and_path():
    from keras_networks import keras
    from planetbridging.ordinary import keras_nets
    from planetbridging.ordinary.redraw_keras import redraw

    ids = {"ids": np.ones((2, 5), np.int64)}
    nets = []
    for seed in (1, 2):  # what the framework drew is gone
        keras.backend.clear_session()
        keras.utils.set_random_seed(seed)
        nets.append(redraw(keras_nets.language(9, 8), "some net", ids))
    one, two = ([np.asarray(w) for w in net.weights] for net in nets)
    assert all(map(np.array_equal, one, two))
    assert all(len(np.unique(w)) > w.size // 2 for w in one)  # none is constant
    other = redraw(nets[1], "another net", ids)
    assert not any(np.array_equal(a, np.asarray(b)) for a, b in zip(one, other.weights))


@pytest.mark.skipif(not HERE["keras"], reason="keras is not installed")
def test_running_statistics_of_keras_are_those_of_the_batches():
    from keras_networks import keras
    from planetbridging.bedrock.own import drawing
    from planetbridging.ordinary import redraw_keras

    x = keras.Input((3,), name="x")
    net = keras.Model(x, keras.layers.BatchNormalization(momentum=0.9)(x))
    redraw_keras.redraw(net, "n", {"x": np.zeros((2, 3), np.float32)})
    batches = np.stack([drawing.normal(f"n batch {b} x", (16, 3)) for b in range(2)])
    norm = net.layers[-1]
    np.testing.assert_allclose(norm.moving_mean, batches.mean(axis=1).mean(axis=0), atol=1e-6)
    np.testing.assert_allclose(norm.moving_variance, batches.var(axis=1).mean(axis=0), rtol=1e-5)
    assert norm.momentum == 0.9


@pytest.mark.skipif(not HERE["flax"], reason="flax is not installed")
def test_weights_of_flax_follow_from_seed_and_path():
    import jax
    from flax import linen as nn

    from planetbridging.ordinary.redraw_flax import redraw

    class Net(nn.Module):
        momentum: float = 0.9

        @nn.compact
        def __call__(self, x, train: bool = False):
            x = nn.MultiHeadDotProductAttention(2, name="a")(nn.Dense(8)(x))
            return nn.BatchNorm(not train, momentum=self.momentum, name="n")(x)

    x = np.zeros((2, 5, 3), np.float32)
    made = jax.jit(Net().init)(jax.random.key(1), x)
    other = jax.tree.map(lambda array: array + 1, made)  # what the framework drew is gone
    one, two = (redraw((Net(), variables), "some net", {"x": x})[1] for variables in (made, other))
    leaves = [np.asarray(leaf) for leaf in jax.tree.leaves(one)]
    assert all(map(np.array_equal, leaves, jax.tree.leaves(two)))
    assert all(len(np.unique(leaf)) > leaf.size // 2 for leaf in leaves)
    stats, query = one["batch_stats"]["n"], one["params"]["a"]["query"]["kernel"]
    assert (stats["mean"] != 0).all() and (stats["var"] != 1).all() and (stats["var"] > 0).all()
    # [d, heads, e]: eight products in a sum, not eight times two
    assert np.sqrt(np.mean(np.square(query))) == pytest.approx(1.25 / np.sqrt(8), rel=0.2)


@pytest.mark.skipif(not HERE["flax"], reason="flax is not installed")
def test_weights_of_nnx_follow_from_seed_and_path():
    from flax import nnx

    from planetbridging.ordinary import flax_nets
    from planetbridging.ordinary.redraw_flax import redraw

    one, two = (nnx.to_pure_dict(nnx.state(redraw(flax_nets.Encoder(8, 2, 12, rngs=nnx.Rngs(seed)),
                                                  "some net", {}), nnx.Param)) for seed in (1, 2))
    kernels = [net["attention"][n]["out"]["kernel"] for net in (one, two) for n in (0, 1)]
    assert np.array_equal(kernels[0], kernels[2]) and np.array_equal(kernels[1], kernels[3])
    assert not np.array_equal(kernels[0], kernels[1])
    assert np.sqrt(np.mean(np.square(kernels[0]))) == pytest.approx(1.25 / np.sqrt(8), rel=0.2)


# --- what is valid

NODES = [{"name": "c", "op": "constant", "tensors": ["value"], "in": []},
         {"name": "early", "op": "add", "tensors": [], "in": ["x", "c"]},
         {"name": "y", "op": "dense", "tensors": ["weight"], "in": ["early"]},
         {"name": "late", "op": "relu", "tensors": [], "in": ["y"], "out": ["late"]}]


def taps(early, y, late):
    return {"early": np.array(early), "y": np.array(y), "late": np.array(late)}


def test_sizes_are_those_of_what_weights_have_a_part_in():
    found = validity.sizes(NODES, taps([1e6, 1e6], [3.0, 4.0], [0.0, 0.5]))
    assert found == {"y": np.sqrt(12.5), "late": np.sqrt(0.125)}


@pytest.mark.parametrize("late, line", [
    ([[0.1], [0.09]], "late has the root mean square 0.095"),
    ([[10.0], [10.01]], "late has the root mean square 10")])
def test_a_tensor_that_is_tiny_or_huge_is_invalid(late, line):
    values = taps([[1.0], [2.0]], [[1.0], [2.0]], late)
    assert validity.complaints(NODES, ["y"], values, trained=False) == [line]
    assert validity.complaints(NODES, ["y"], values, trained=True) == []


def test_the_borders_are_valid():
    values = taps([[1.0], [2.0]], [[0.1], [-0.1]], [[10.0], [-10.0]])
    assert validity.complaints(NODES, ["late"], values, trained=False) == []


@pytest.mark.parametrize("answers, alike", [
    ([[1.0, 2.0], [1.0, 2.019]], True), ([[1.0, 2.0], [1.0, 2.021]], False), ([[1.0, 2.0]], True),
    ([[0, 5], [0, 5]], True), ([[0, 5], [1, 5]], False)])
def test_answers_to_two_inputs_must_differ_by_a_hundredth(answers, alike):
    assert validity.same(np.array(answers)) is alike


def test_one_output_that_differs_is_enough():
    values = taps([[1.0], [1.0]], [[1.0], [1.0]], [[1.0], [2.0]])
    assert validity.complaints(NODES, ["y"], values, False) == ["y: the same for two inputs, within 1%"]
    assert validity.complaints(NODES, ["y", "late"], values, False) == []


# --- which mistakes


def chosen(one):
    document = document_of(graph_of(one))
    found = judging.mistakes(document, values_of(document.graph(), one.inputs(0)))
    assert all(fault.document is not None for fault in found)
    return [fault.name for fault in found]


def test_mistakes_are_made_in_the_first_place_and_the_last():
    names = chosen(case("mixer", "mixer_v1"))
    assert len(names) == len(set(names))
    biases = [name for name in names if name.endswith(":bias")]
    document = document_of(graph_of(case("mixer", "mixer_v1")))
    having = [node["name"] for node in document.nodes
              if {"bias", "b", "b_i"} & {entry["slot"] for entry in node["tensors"]}]
    assert biases[0] == f"{having[0]}:bias" and biases[-1] == f"{having[-1]}:bias"


def test_a_batch_norm_loses_its_order():
    tensors = [Tensor(slot, np.array(values, np.float32), axes=["n"]) for slot, values in (
        ("gamma", [1.5, 0.5]), ("beta", [0.25, -1.0]), ("mean", [2.0, 3.0]), ("var", [0.5, 4.0]))]
    params = {"dim": 2, "axis": 1, "eps": 1.001e-5, "scale": True, "offset": True}
    graph = Graph("numpy", {}, "net", [Input("x", "float32", ["b", 2])], ["y"],
                  [Node("y", "batchnorm", ["x"], params, tensors, ["y"])])
    document = document_of(graph)
    found = {fault.name: fault for fault in judging.mistakes(document, {"x": np.ones((2, 2))})}
    assert list(found) == ["y:eps", "y:statistics"]
    assert found["y:eps"].what == "eps is 0.001, not 1.001e-05"
    wrong = found["y:statistics"].document
    assert wrong.array("y", "mean").tolist() == [0.25, -1.0]
    assert wrong.array("y", "beta").tolist() == [2.0, 3.0]


# --- what is told


def judged(place, own=1e-7, part=0.5, label="PASS", invalid=()):
    place.mkdir(parents=True)
    distance = {"label": "PASS", "distance": 1e-7, "tensor": "y"}
    run = {"own": own, "own_tensor": "y", "limit": 2e-5, "isolated": distance,
           "cumulative": distance, "used": {"part": part, "tensor": "y", "width": 1e-4}}
    fault = {"fault": "y:bias", "what": "has lost bias", "label": label}
    (place / "judged.json").write_text(json.dumps(
        {"runs": [run], "faults": [fault, {**fault, "label": "DIFF"}], "invalid": list(invalid)}))
    (place / "made.json").write_text(json.dumps({"parameters": 1234, "nodes": 5}))


def test_labels_and_table_of_every_kind_of_row(tmp_path):
    judged(tmp_path / "jax" / "good", label="DIFF")
    judged(tmp_path / "jax" / "blind")
    judged(tmp_path / "jax" / "off", part=1.5, label="DIFF")
    judged(tmp_path / "jax" / "tiny", label="DIFF", invalid=["run 0: y has the root mean square 2e-11"])
    (tmp_path / "pytorch" / "broken").mkdir(parents=True)
    (tmp_path / "pytorch" / "broken" / "error.txt").write_text("ValueError: no\n")
    (tmp_path / "jax" / "waiting").mkdir()
    found = tables.rows(tmp_path, ("pytorch", "jax"))
    assert tables.labels(found) == (
        "jax/blind same faults=1/2\njax/good same faults=2/2\njax/off diff faults=2/2\n"
        "jax/tiny invalid faults=2/2\njax/waiting error faults=0/0\npytorch/broken error faults=0/0\n")
    assert [line.split()[0] for line in tables.table(found).splitlines()[1:]] == [
        "pytorch/broken", "jax/blind", "jax/good", "jax/off", "jax/tiny", "jax/waiting"]
    trouble = tables.trouble(found).splitlines()
    assert "FAILED pytorch/broken: ValueError: no" in trouble
    assert "FAILED jax/waiting: not judged" in trouble
    assert "FAILED jax/tiny: INVALID: run 0: y has the root mean square 2e-11" in trouble
    assert "NOT SEEN jax/blind y:bias: has lost bias (PASS)" in trouble
    assert len(trouble) == 5
    closing, failed = tables.closing(found, changed=False)
    assert failed == 5 and closing.splitlines()[-1] == "9 passed, 5 failed"


def test_labels_that_changed_fail(tmp_path):
    judged(tmp_path / "jax" / "good", label="DIFF")
    found = tables.rows(tmp_path, ("jax",))
    assert tables.closing(found, changed=False)[1] == 0
    assert tables.closing(found, changed=True)[1] == 1
    assert tables.closing([], changed=False)[1] == 1


# --- fetching

CONTENT = b"some weights"
SHA = hashlib.sha256(CONTENT).hexdigest()[:16]


@pytest.fixture
def registry(tmp_path, monkeypatch):
    """A folder with one package, pbdemo 1.2, which is all that pip can see; the folder of packages."""
    shelf = tmp_path / "shelf"
    shelf.mkdir()
    files = {"pbdemo/data/net.bin": CONTENT,
             "pbdemo-1.2.dist-info/METADATA": b"Metadata-Version: 2.1\nName: pbdemo\nVersion: 1.2\n",
             "pbdemo-1.2.dist-info/WHEEL": (b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\n"
                                            b"Tag: py3-none-any\n")}
    record = "".join(f"{name},sha256={base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode()}"
                     f",{len(data)}\n" for name, data in files.items())
    with zipfile.ZipFile(shelf / "pbdemo-1.2-py3-none-any.whl", "w") as archive:
        for name, data in {**files, "pbdemo-1.2.dist-info/RECORD": record.encode()}.items():
            archive.writestr(name, data)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(shelf))
    monkeypatch.setenv(fetch.ENVIRONMENT, str(tmp_path / "packages"))
    return tmp_path / "packages"


def test_a_file_is_fetched_once(registry):
    path = fetch.fetch("pbdemo", "1.2", "pbdemo/data/net.bin", SHA)
    assert path == str(registry / "pbdemo-1.2" / "pbdemo" / "data" / "net.bin")
    assert [entry.name for entry in registry.iterdir()] == ["pbdemo-1.2"]
    (registry.parent / "shelf" / "pbdemo-1.2-py3-none-any.whl").unlink()
    assert fetch.fetch("pbdemo", "1.2", "pbdemo/data/net.bin", SHA) == path


def test_another_file_is_refused(registry):
    with pytest.raises(BridgeError) as caught:
        fetch.fetch("pbdemo", "1.2", "pbdemo/data/net.bin", "0123456789abcdef")
    path = registry / "pbdemo-1.2" / "pbdemo" / "data" / "net.bin"
    assert str(caught.value) == (
        f"{path}: SHA-256 begins with {SHA}, expected 0123456789abcdef: if the file was altered here, "
        "remove the folder to fetch it again")


def test_a_file_that_the_package_lacks_is_refused(registry):
    with pytest.raises(BridgeError) as caught:
        fetch.fetch("pbdemo", "1.2", "pbdemo/net.bin", SHA)
    assert str(caught.value) == "pbdemo 1.2 has no pbdemo/net.bin"


def test_a_package_that_cannot_be_had_is_the_machine_s_fault(registry):
    with pytest.raises(MachineError) as caught:
        fetch.fetch("pbdemo", "1.3", "pbdemo/data/net.bin", SHA)
    assert str(caught.value) == ("pbdemo 1.3 cannot be fetched: pip says: "
                                 "ERROR: No matching distribution found for pbdemo==1.3")
    assert list(registry.iterdir()) == []
