"""The demo: which weight it spoils, what it prints, and that its verdicts decide its status."""

from __future__ import annotations

import io
import os
import subprocess
import sys

import numpy as np
import pytest

from conftest import ROOT, needs_programs
from planetbridging import demo, planets, stream
from planetbridging.graph import Builder
from planetbridging.stream import StreamDocument

SCRIPT = ROOT / "contrib" / "demo"


def small_network(axes):
    """One layer with weight [o, i] = [[1, 9, -3], [2, 0, 1]], travelling with these axes."""
    weight = np.array([[1, 9, -3], [2, 0, 1]], np.float32)
    builder = Builder("test", {}, "net")
    x = builder.input("x", "float32", ["batch", 3])
    y = builder.dense("a", x, weight if axes == ("o", "i") else weight.T.copy(), axes=axes)
    out = io.BytesIO()
    stream.write(builder.finish([y]), out)
    out.seek(0)
    return StreamDocument.parse(out)


@pytest.mark.parametrize("axes", [("o", "i"), ("i", "o")])
def test_the_largest_weight_of_an_input_in_use_is_negated(axes):
    document = small_network(axes)
    said = demo.flip(document, np.array([[1, 0, 2], [0, 0, 1]], np.float32))
    assert said == "layer a: weight[0, 2], from input 2 to unit 0, was -3 and is now 3"
    weight = document.array("a", "weight")
    np.testing.assert_array_equal(weight if axes == ("o", "i") else weight.T, [[1, 9, 3], [2, 0, 1]])


def test_the_digits_are_split_alike_every_time():
    pytest.importorskip("sklearn", reason="scikit-learn is not installed")
    one, two = demo.load_digits(), demo.load_digits()
    assert one["x_train"].shape == (1437, 64) and one["x_test"].shape == (360, 64)
    assert one["x_test"].dtype == np.float32 and one["x_test"].max() == 1
    for name in one:
        np.testing.assert_array_equal(one[name], two[name])


def test_every_planet_has_a_trainer():
    assert set(demo.TRAINERS) == set(planets.PLANETS)


@pytest.mark.parametrize("arguments, status, message", [
    ([], 2, None), (["train"], 2, None), (["train", "venus"], 2, "demo: unknown planet venus; "),
    (["score", "none.npy", "none.npy"], 4, "demo: "),
])
def test_statuses(arguments, status, message, capsys):
    assert demo.main(arguments) == status
    printed = capsys.readouterr()
    assert printed.out == "" and printed.err.startswith(message or demo.__doc__)


def run_script(**environment):
    return subprocess.run([SCRIPT], capture_output=True, text=True, check=False,
                          env={**os.environ, "PLANET": "", **environment})


def test_an_unknown_planet_is_refused():
    done = run_script(PLANET="venus")
    assert done.returncode == 2
    assert done.stderr == "demo: PLANET is 'venus', not one of: sklearn pytorch tensorflow jax\n"


def test_programs_that_are_not_built_are_said(tmp_path):
    done = run_script(PYTHON=sys.executable, DEMO_DIR=str(tmp_path), OUT="build/none")
    assert (done.returncode, done.stdout) == (4, "")
    assert done.stderr == (f"demo: {ROOT}/build/none/bin has no programs: run it as 'make demo', "
                           "which builds them\n")


@needs_programs
def test_the_demo_passes_and_then_differs(tmp_path):
    pytest.importorskip("sklearn", reason="scikit-learn is not installed")
    done = run_script(PYTHON=sys.executable, DEMO_DIR=str(tmp_path))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "\033" not in done.stdout
    commands = [line for line in done.stdout.splitlines() if line.startswith("$ ")]
    assert commands[-1] == "$ loom-compare flipped.npy native.npy"
    assert done.stdout.count("PASS") > 1 and done.stdout.count("DIFF") > 1
    loom, flipped = np.load(tmp_path / "loom.npy"), np.load(tmp_path / "flipped.npy")
    assert np.abs(loom - np.load(tmp_path / "native.npy")).max() < 1e-5
    assert np.abs(flipped - loom).max() > 1e-2
