"""Transposes that undo each other are read past, and nothing else changes."""

from __future__ import annotations

import io

import numpy as np
import pytest

from interpreter import run
from planetbridging import stream
from planetbridging.graph import Graph, Input, Node
from planetbridging.planets.layout import cancel_transposes, channels_first, channels_last


def graph(*nodes, outputs=("y",)):
    """A graph of (name, op, input, perm) over x [batch, 2, 3, 4]."""
    made = [Node(name, op, [source], {"perm": list(perm)} if perm else {})
            for name, op, source, *perm in [(*n[:3], *(n[3] if len(n) > 3 else ())) for n in nodes]]
    return Graph("test", {}, "net", [Input("x", "float32", ["batch", 2, 3, 4])], list(outputs), made)


def ran(made):
    out = io.BytesIO()
    stream.write(made, out)
    out.seek(0)
    x = np.random.default_rng(1).normal(size=(2, 2, 3, 4)).astype(np.float32)
    return run(stream.StreamDocument.parse(out), {"x": x})


def names(made):
    return [(node.name, node.inputs[0]) for node in made.nodes]


LAST, FIRST = channels_last(4), channels_first(4)
PAIR = (("a", "relu", "x"), ("l", "transpose", "a", LAST), ("f", "transpose", "l", FIRST), ("y", "tanh", "f"))


def test_the_two_layouts_undo_each_other():
    assert (LAST, FIRST) == ([0, 2, 3, 1], [0, 3, 1, 2])
    assert [LAST[axis] for axis in FIRST] == [0, 1, 2, 3]


@pytest.mark.parametrize("keep, left", [
    ((), [("a", "x"), ("y", "a")]),
    (("l",), [("a", "x"), ("l", "a"), ("y", "a")]),
    (("f",), [("a", "x"), ("l", "a"), ("f", "l"), ("y", "a")]),
])
def test_a_pair_is_read_past(keep, left):
    before = ran(graph(*PAIR))
    made = cancel_transposes(graph(*PAIR), keep)
    assert names(made) == left
    np.testing.assert_array_equal(ran(made)["y"], before["y"])


def test_three_turns_that_come_round():
    turn = (0, 2, 3, 1)
    nodes = (("a", "transpose", "x", turn), ("b", "transpose", "a", turn), ("c", "transpose", "b", turn),
             ("y", "relu", "c"))
    made = cancel_transposes(graph(*nodes))
    assert names(made) == [("y", "x")]
    np.testing.assert_array_equal(ran(made)["y"], ran(graph(*nodes))["y"])


def test_two_turns_the_same_way_stay():
    nodes = (("a", "transpose", "x", LAST), ("b", "transpose", "a", LAST), ("y", "relu", "b"))
    made = cancel_transposes(graph(*nodes))
    assert names(made) == [("a", "x"), ("b", "a"), ("y", "b")]
    assert ran(made)["y"].shape == (2, 4, 2, 3)


def test_outputs_stay_and_what_does_not_turn_goes():
    nodes = (("s", "transpose", "x", (0, 1, 2, 3)), ("l", "transpose", "s", LAST),
             ("f", "transpose", "l", FIRST), ("y", "relu", "f"))
    before = ran(graph(*nodes, outputs=("l", "f", "y")))
    made = cancel_transposes(graph(*nodes, outputs=("l", "f", "y")))
    assert names(made) == [("l", "x"), ("f", "l"), ("y", "x")]
    for name, values in ran(made).items():
        np.testing.assert_array_equal(values, before[name])
