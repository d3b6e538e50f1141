"""The ladder: a right file passes, a defect shows or the row fails, and the table says what is true.

Exact answers are worked out in float64 NumPy; what Loom answers is what it answers.
"""

from __future__ import annotations

import math

import numpy as np
import pytest

from conftest import needs_programs
from planetbridging import BridgeError, Graph, ladder, witness
from planetbridging.graph import Input, Node, Tensor
from planetbridging.ladder import losses, rungs, tables
from planetbridging.ladder.losses import Loss
from planetbridging.ladder.rungs import Row, Rung

needs_loom = pytest.mark.skipif(bool(witness.missing()), reason=witness.missing() or "-")
W = np.array([[1, -2, 3], [0.5, 0.25, -1]], np.float32)
X = np.random.default_rng(7).normal(size=(4, 3)).astype(np.float32)
RIGHT = Rung(1e-8, 1e-8, 1e-8)
OFF = Rung(0.5, 0.5, 1e-8)


def dense(bias=None) -> Graph:
    """y = W x (+ bias)."""
    graph = Graph("test", {}, "d", [Input("x", "float32", ["batch", 3])], ["y"])
    tensors = [Tensor("weight", W, axes=["o", "i"])]
    if bias is not None:
        tensors.append(Tensor("bias", np.float32(bias), axes=["o"]))
    params = {"in_features": 3, "out_features": 2, "bias": bias is not None}
    graph.nodes = [Node("h", "dense", ["x"], params, tensors, ["y"])]
    return graph


def exact(bias=(0, 0)) -> dict:
    return {"y": X.astype(float) @ W.astype(float).T + np.asarray(bias, float)}


def skipping() -> Graph:
    """y = x + V W x."""
    graph = dense()
    graph.nodes[0].outputs = ["h"]
    graph.nodes += [Node("g", "dense", ["h"], {"in_features": 2, "out_features": 3, "bias": False},
                         [Tensor("weight", W.T.copy(), axes=["o", "i"])]),
                    Node("y", "add", ["g", "x"])]
    return graph


def climb(graph, wanted, name="net"):
    return ladder.climb_graph(name, graph, {"x": X}, wanted)


@needs_loom
@needs_programs
def test_a_right_file_passes():
    row = climb(dense(), exact())
    assert (row.fault, row.shown, row.refused) == ("", [], "")
    assert row.loom.right and row.plain.right and row.batch.right and row.lowered.right
    assert tables.labels([row]) == "net ok plain=same batch=same lowered=same\n"


@needs_loom
@needs_programs
def test_a_lost_bias_is_named_with_its_distance_and_lowering_mends_it():
    row = climb(dense([1, -2]), exact([1, -2]))
    assert row.fault == "" and row.shown == ["bias lost"] and row.lowered.right
    scale = max(1, np.abs(exact([1, -2])["y"]).max())
    assert row.plain.absolute == pytest.approx(2, abs=1e-5)
    assert row.losses[0].alone == pytest.approx(2 / scale, rel=1e-5) and row.plain.cut < 1e-6
    assert tables.labels([row]) == ("net ok plain=different batch=different lowered=same "
                                    "shows=bias-lost\n")


@needs_loom
@needs_programs
def test_a_bias_of_zeros_is_not_named():
    row = climb(dense([0, 0]), exact())
    assert row.fault == "" and row.shown == [] and row.plain.right
    assert "net: makes no difference here: bias lost\n" in tables.table([row])


@needs_loom
@needs_programs
def test_a_lost_skip_is_named():
    wanted = {"y": X.astype(float) + (X.astype(float) @ W.astype(float).T) @ W.astype(float)}
    row = climb(skipping(), wanted)
    assert row.fault == "" and row.shown == ["skip lost"] and not row.plain.right
    assert row.plain.absolute == pytest.approx(np.abs(X).max(), rel=1e-5)


class Told(rungs.Climb):
    """A climb in which entity-dump says something else."""

    says: list[str] = []
    plain: tuple[str, ...] = ()

    def check(self, entity):
        return self.says

    def entity(self, document, name, *options):
        return super().entity(document, name, *(self.plain if name == "plain.entity" else options))


def told(monkeypatch, graph, wanted, says, plain=()):
    monkeypatch.setattr(rungs, "Climb", type("Said", (Told,), {"says": says, "plain": plain}))
    return climb(graph, wanted)


@needs_loom
@needs_programs
def test_a_defect_that_is_named_but_does_not_show_fails(monkeypatch):
    # Loom has the lowered file, and is right about it.
    row = told(monkeypatch, dense([1, -2]), exact([1, -2]), ["node h (layers.0) loses its bias"],
               ("--lower",))
    assert row.plain.right and row.fault == "named, but does not show: bias lost"
    assert tables.closing([row]).endswith("\n0 passed, 1 failed")


@needs_loom
@needs_programs
def test_rows_that_are_said_to_be_lost_and_are_not_fail(monkeypatch):
    says = ["node h (layers.0): Loom takes a row for each index of the first axis, and there are more "
            "or fewer"]
    row = told(monkeypatch, dense(), exact(), says)
    assert row.fault == "named, but does not show: rows lost"


@needs_loom
@needs_programs
def test_a_defect_that_nobody_names_fails(monkeypatch):
    row = told(monkeypatch, dense([1, -2]), exact([1, -2]), [])
    assert row.fault == f"no defect accounts for {row.plain.relative:.1e} (max abs 2)"


@needs_loom
@needs_programs
def test_a_defect_that_explains_a_part_fails(monkeypatch):
    graph = skipping()
    graph.nodes[0].params["bias"] = True
    graph.nodes[0].tensors.append(Tensor("bias", np.float32([1, -2]), axes=["o"]))
    inner = X.astype(float) @ W.astype(float).T + [1, -2]
    row = told(monkeypatch, graph, {"y": X + inner @ W.astype(float)},
               ["node h (layers.0) loses its bias"])
    assert row.fault == f"the named defects leave {row.plain.cut:.1e} unexplained"


@needs_loom
@needs_programs
def test_loom_infer_is_judged_too():
    row = climb(dense(), {"y": exact()["y"] + 0.01})
    assert row.fault.startswith("loom-infer is wrong: ") and not row.loom.right


def test_what_fails_a_row():
    def fault(**more):
        right = {"loom": RIGHT, "plain": RIGHT, "asked": [RIGHT], "batch": RIGHT}
        return Row("r", 1.0, **{**right, **more}).fault

    assert fault() == ""
    assert fault(plain=OFF, losses=[Loss("bias lost", [], 0.5)]) == ""
    assert fault(losses=[Loss("bias lost", [], 0.5)]) == "named, but does not show: bias lost"
    assert fault(losses=[Loss("bias lost", [], 1e-9)]) == ""
    assert fault(losses=[Loss("batch leaks", [])]) == "named, but does not show: batch leaks"
    assert fault(batch=Rung(why="dies"), losses=[Loss("batch leaks", [])]) == ""
    assert fault(batch=OFF) == ""
    assert fault(batch=Rung(0.5, 0.5, 0.5)) == "no defect accounts for the batch: 5.0e-01 (max abs 0.5)"
    assert fault(lowered=OFF) == "the lowered file is wrong: 5.0e-01 (max abs 0.5)"
    died = Rung(why="signal SIGABRT")
    assert fault(plain=died, asked=[died]) == "no defect accounts for signal SIGABRT"
    assert fault(plain=died, asked=[died], losses=[Loss("reshapes lost", [])]) == ""
    assert fault(plain=died, asked=[died], losses=[Loss("bias lost", [], 0.5)]) == \
        "the named defects leave inf unexplained"


@pytest.mark.parametrize("line,name", [
    ("node a.b (layers.3) loses its bias", "bias lost"),
    ("node l (layers.0) loses its b2_i", "second bias lost"),
    ("node r (layers.1.sequential_layers.0) loses its skip", "skip lost"),
    ("node m (layers.0): Loom computes with causal true, not false", "not causal"),
    ("node m (layers.0): Loom computes with rope half, not none", "RoPE"),
    ("node n (layers.0): Loom computes with eps 1e-05, not 0.001", "eps"),
    ("node s (add) is left out", "skip lost"),
    ("node c (conv1) is left out", "conv1 left out"),
    ("node n (layers.0): Loom takes a row for each index of the first axis, and there are more or "
     "fewer", "rows lost"),
    ("node m (layers.2): Loom lets each sequence of a batch see those before it", "batch leaks"),
    ("node l (layers.0): Loom takes sequences of one length only", "one length"),
    ("node m (layers.0): Loom's attention goes wrong beyond 512 positions", "512 positions"),
    ("node m (layers.0): Loom fails where num_heads * head_dim is less than d_model, 8", "fails"),
    ("input ids is int64, where Loom takes float32", ""),
    ("layers run one after another, not as the nodes are connected", "")])
def test_the_words_of_entity_dump(line, name):
    assert losses.name_of(line) == name


def recurrent() -> Graph:
    """An RNN for sequences of any length, as PyTorch has it: two biases."""
    r = np.random.default_rng(3)
    graph = Graph("test", {}, "r", [Input("x", "float32", ["batch", "s", 3])], ["y"])
    params = {"input_size": 3, "hidden_size": 2, "activation": "tanh", "biases": 2,
              "direction": "forward", "order": "time"}
    tensors = [Tensor(slot, r.normal(size=shape).astype(np.float32), axes=list(axes))
               for slot, shape, axes in (("W", (2, 3), "hi"), ("U", (2, 2), "hu"), ("b", 2, "h"),
                                         ("b2", 2, "h"))]
    graph.nodes = [Node("y", "rnn", ["x"], params, tensors)]
    return graph


def rnn(x, graph) -> np.ndarray:
    w = {tensor.slot: tensor.array.astype(float) for tensor in graph.nodes[0].tensors}
    h, made = np.zeros((len(x), 2)), []
    for t in range(x.shape[1]):
        h = np.tanh(x[:, t] @ w["W"].T + h @ w["U"].T + w["b"] + w["b2"])
        made.append(h)
    return np.stack(made, 1)


@needs_loom
@needs_programs
def test_a_file_for_any_length_is_lowered_for_this_one():
    graph, x = recurrent(), np.random.default_rng(5).normal(size=(4, 5, 3)).astype(np.float32)
    row = ladder.climb_graph("net", graph, {"x": x}, {"y": rnn(x.astype(float), graph)})
    assert row.fault == "" and not row.plain.right and row.lowered.right
    assert row.shown == ["second bias lost", "one length"]
    assert "net: lowered for x [batch, 5, 3]\n" in tables.table([row])


@pytest.mark.parametrize("dim,sizes,wanted", [
    ("batch*2", {"batch": 3}, 6), ("s-1", {}, "s-1"), ("batch*s", {"batch": 1}, "1*s"),
    ("(a+b)//2", {"a": 3, "b": 4}, 3), ("s", {"s": 7}, 7)])
def test_sizes_in_place_of_their_names(dim, sizes, wanted):
    assert losses.settled([dim, 5], sizes) == [wanted, 5]


def test_other_words_are_refused():
    with pytest.raises(BridgeError, match="'node x is odd', which the ladder does not know"):
        losses.name_of("node x is odd")


def test_the_nearest_answer_counts_and_one_that_is_not_a_number_is_none():
    assert rungs.nearest([Rung(why="dies"), OFF, RIGHT]) is RIGHT
    near = Rung(why="3 values, not 4", cut=0.0)
    assert rungs.nearest([Rung(why="dies"), near]) is near
    climber = rungs.Climb("", None, {}, [1, 2], False, 1.0)
    assert climber.away(np.array([1, math.nan]), climber.exact) == math.inf


def test_the_table_of_rows_that_died():
    died = Rung(why="signal SIGABRT: panic: index out of range", shape=(1, 3))
    row = Row("r", 1e-9, RIGHT, died, [died], died, refused="cannot be lowered",
              losses=[Loss("reshapes lost", [])])
    assert tables.table([row]) == (
        "network  native-loom  Loom, plain file  its sample  Loom, batch  Loom, lowered file  "
        "defects that show  verdict\n"
        "r        1.0e-08      dies              [1,3]       dies         refused             "
        "reshapes lost      ok\n"
        "r: vacuous: no answer is greater than 1.0e-09\n"
        "r: Loom, asked with [1, 3]: signal SIGABRT: panic: index out of range\n"
        "r: Loom, asked with [1, 3]: signal SIGABRT: panic: index out of range\n"
        "r: not lowered: cannot be lowered\n")
    assert tables.labels([row]) == ("r ok plain=dies batch=dies lowered=refused shows=reshapes-lost "
                                    "vacuous\n")
    assert tables.closing([row], changed=True).endswith("\n1 passed, 1 failed")


NETWORK = """
import numpy as np
from sklearn.neural_network import MLPRegressor
X = np.random.default_rng(0).normal(size=(40, 4))
def build():
    return MLPRegressor(hidden_layer_sizes=(4,), max_iter=50, random_state=0).fit(X, X[:, :2])
"""


@needs_loom
@needs_programs
@pytest.mark.parametrize("more", [(), ("--batch",)])
def test_the_command(command, module_file, tmp_path, more):
    pytest.importorskip("sklearn", reason="scikit-learn is not installed")
    module_file("net", NETWORK)
    np.save(tmp_path / "x.npy", np.random.default_rng(1).normal(size=(5, 4)).astype(np.float32))
    status, out, _ = command("ladder", "sklearn", "net:build", "--input", "x.npy", *more)
    lines = out.decode().splitlines()
    assert status == 0 and "bias lost" in lines[1] and lines[1].endswith("ok")
    assert lines[-2:] == ["real Loom is right on 0 plain and 1 lowered files, on one or the other of "
                          "1 of 1 networks", "1 passed, 0 failed"]
    assert ("[5,4]" in lines[1]) == (more == ("--batch",))


def test_the_command_without_a_loom(command, module_file, tmp_path):
    there = tmp_path / "python"
    there.write_text("#!/bin/sh\nexit 1\n")
    there.chmod(0o755)
    status, out, err = command("ladder", "sklearn", "net:build", "--input", "x.npy",
                               env={"WELVET_PYTHON": str(there)})
    assert (status, out) == (4, b"")
    assert err == (f"planetbridging: there is no Loom to ask: {there} has no welvet; pip install "
                   "welvet, or let $WELVET_PYTHON name a Python that has it\n")
