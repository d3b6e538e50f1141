"""The generator of random trees: the same ones in every run, all that is promised in them, and none that
cannot fail.  The trees themselves are `make random-trees`."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import numpy as np
import pytest

from conftest import ROOT, needs_programs
from planetbridging.graph import MachineError
from planetbridging.planets import module
from planetbridging.random_trees import parts, run
from planetbridging.random_trees.spec import Module, operations

PLANETS = tuple(run.PLANETS)
FEATURES = {"shared", "tied", "reverse", "residual", "branch"}

# Of each planet a tree that begins with a matrix of several rows, which matters to its outputs.
CHOSEN = {"pytorch": 0, "keras": 0, "jax": 0, "sklearn": 3}


def trees(planet, count=50):
    return [run.tree_of(planet, seed) for seed in range(count)]


def built(planet, tree):
    try:
        module(planet)
    except MachineError as error:
        pytest.skip(str(error))
    return run.builder(planet).build(tree)


@pytest.mark.parametrize("planet", PLANETS)
def test_a_seed_is_one_tree_in_every_process(planet):
    code = ("import sys; from planetbridging.random_trees import run\n"
            f"for n in range(50): print(run.tree_of({planet!r}, n))")
    env = {**os.environ, "PYTHONPATH": str(ROOT / "contrib" / "python"), "PYTHONHASHSEED": "77"}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [str(tree) for tree in trees(planet)]
    assert len(set(done.stdout.splitlines())) == 50


@pytest.mark.parametrize("planet", PLANETS)
def test_all_features_occur(planet):
    found = [tree.features for tree in trees(planet)]
    for feature in FEATURES:
        assert sum(feature in features for features in found) >= 5, feature


@pytest.mark.parametrize("planet", ("pytorch", "keras", "jax"))
def test_all_operations_occur(planet):
    found = set().union(*(operations(tree.root) for tree in trees(planet)))
    wanted = {op for op, row in parts.ROWS.items() if planet in row.planets}
    assert sorted(wanted - found) == []


@pytest.mark.parametrize("planet", PLANETS)
def test_the_second_run_has_other_sizes(planet):
    found = trees(planet)
    assert all(tree.batches[0] != tree.batches[1] for tree in found)
    if planet != "sklearn":
        lengths = [extent.sizes for tree in found if tree.free for value in tree.inputs.values()
                   for extent in value.extents]
        assert len(lengths) > 10 and all(len(set(sizes)) == 2 for sizes in lengths)


def test_reverse_is_the_order_of_construction():
    tree = next(tree for tree in trees("pytorch") if tree.root.reverse and len(tree.root.parts) > 2)
    names = [name for name, _ in built("pytorch", tree).named_children()]
    used = list(dict.fromkeys(step.part for step in tree.root.steps if step.part))
    assert names == list(tree.root.parts)[::-1] and sorted(names) == sorted(used)


def test_a_tie_is_recorded_once():
    tree = next(t for t in trees("pytorch") if any(step.op == "dense_tied" for step in t.root.steps))
    network = built("pytorch", tree)
    graph = module("pytorch").emit(network, example=run.inputs_of(tree, 0))
    assert any(tensor.same for node in graph.nodes for tensor in node.tensors)


def test_a_shared_module_is_one_module():
    tree = next(t for t in trees("pytorch") if any(isinstance(p, Module) for p in t.root.parts.values()))
    net = built("pytorch", tree)
    assert len(list(net.children())) == len(tree.root.parts)


def exchange(graph):
    """Two rows of the first matrix change places."""
    weight = next(t for node in graph.nodes for t in node.tensors
                  if t.array is not None and t.array.ndim == 2 and t.slot == "weight")
    weight.array = np.concatenate([weight.array[1::-1], weight.array[2:]])


@needs_programs
@pytest.mark.parametrize("planet", PLANETS)
def test_two_exchanged_rows_of_weights_are_caught(planet):
    tree = run.tree_of(planet, CHOSEN[planet])
    built(planet, tree)
    assert run.judge(tree).trouble == ""
    found = run.judge(tree, exchange).trouble
    assert re.match(r"float64: .*DIFF.* \| float32: .*DIFF", found), found


def test_outputs_that_show_nothing_are_complained_about():
    rng = np.random.default_rng(1)
    fine, small = rng.normal(size=(3, 4)), np.array([[0.03, -0.03], [-0.03, 0.03]])
    assert run.complaints({"y": fine}) == [] == run.complaints({"y": small * 2})
    assert run.complaints({"y": small}) == ["y has the root mean square 0.03"]
    assert run.complaints({"y": np.ones((3, 4)) * 2 + 1e-3 * fine}) == ["y is the same for all samples"]
    assert run.complaints({"y": np.full((2, 2), np.nan)}) == ["y has the root mean square nan"]


@needs_programs
def test_the_command_says_how_many_passed(capsys):
    from planetbridging.random_trees.__main__ import arguments, trees as judged

    assert judged(arguments(["sklearn", "--count", "3"])) == 0
    assert re.fullmatch(r"sklearn: 3 passed, 0 failed \(\d+ s\)\n", capsys.readouterr().out)


@needs_programs
def test_a_failing_tree_is_one_line_and_its_description(capsys, monkeypatch):
    from planetbridging.random_trees.__main__ import arguments, trees as judged

    monkeypatch.setattr(run, "LEAST", 1e9)
    assert judged(arguments(["sklearn", "--only", "1"])) == 1
    first, second, last = capsys.readouterr().out.splitlines()
    assert first.startswith("sklearn-1.3: Idle: y has the root mean square ")
    assert second == f"  {run.tree_of('sklearn', 1)}".replace("sklearn-1", "sklearn-1.3")
    assert last.startswith("sklearn: 0 passed, 1 failed (")
