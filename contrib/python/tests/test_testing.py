"""`planetbridging.testing.assert_same`, as it is used inside pytest."""

from __future__ import annotations

import os
import sys

import numpy as np
import pytest

from conftest import ROOT, needs_programs
from planetbridging import MachineError, Unsupported, programs
from planetbridging.testing import assert_same

torch = pytest.importorskip("torch", reason="torch is not installed")
X = np.random.default_rng(0).standard_normal((5, 4)).astype(np.float32)


@pytest.fixture
def net():
    torch.manual_seed(4)
    return torch.nn.Sequential(torch.nn.Linear(4, 6), torch.nn.SiLU(), torch.nn.Linear(6, 3)).eval()


@needs_programs
def test_the_same(net):
    assert assert_same(net, X).label == "PASS"
    second = assert_same(net, {"x": X}, planet="pytorch", second=X[:2])
    assert "2/2 rows, 1/1 tensors compared" in second.report


@needs_programs
def test_a_difference_is_the_report(net):
    with pytest.raises(AssertionError) as error:
        assert_same(net, X, options=["--atol", "1e-30"])
    head, rule, *rest = str(error.value).splitlines()
    assert head == "Sequential: DIFF"
    assert rule == "rule: |a-b| <= atol*S + rtol*|b|, S = max(1, max|b|), atol = 1e-30, rtol = 0"
    assert "not the same: 1 DIFF" in rest


@pytest.fixture
def spoiling(tmp_path, monkeypatch):
    """A function: from now on loom-stream negates the largest weight of an input that `used` uses."""
    def plant(used: np.ndarray) -> None:
        for name in ("loom-infer", "loom-compare"):
            (tmp_path / name).symlink_to(programs.find(name))
        np.save(tmp_path / "x.npy", used)
        spoil = tmp_path / "loom-stream"
        spoil.write_text(f"#!/bin/sh\nPYTHONPATH={ROOT}/contrib/python {sys.executable} -m "
                         f"planetbridging.demo flip {tmp_path}/x.npy 2>/dev/null | "
                         f'{programs.find("loom-stream")} "$@"\n')
        spoil.chmod(0o755)
        monkeypatch.setenv(programs.ENVIRONMENT, str(tmp_path))
    return plant


@needs_programs
def test_a_weight_that_changes_on_the_way(net, spoiling):
    spoiling(X)
    with pytest.raises(AssertionError) as error:
        assert_same(net, X, second=X[:3])
    assert str(error.value).startswith("Sequential: DIFF, first inputs\nrule: ")


@needs_programs
def test_the_second_inputs_are_looked_at(net, spoiling):
    """The weight that changes is one that the first inputs do not reach."""
    last = np.array([0, 0, 0, 1], np.float32)
    spoiling(X * last)
    assert assert_same(net, X * (1 - last))
    with pytest.raises(AssertionError) as error:
        assert_same(net, X * (1 - last), second=X[:3])
    assert str(error.value).startswith("Sequential: DIFF, second inputs\nrule: ")


@needs_programs
def test_answers_that_show_nothing(net):
    with torch.no_grad():
        for weight in net.parameters():
            weight.zero_()
    with pytest.raises(AssertionError) as error:
        assert_same(net, X)
    assert str(error.value).startswith("Sequential: VACUOUS\n")
    assert assert_same(net, X, options=["--allow-vacuous"])


def test_what_keeps_it_from_being_made_passes_through(net, monkeypatch):
    monkeypatch.setenv(programs.ENVIRONMENT, os.devnull)
    with pytest.raises(MachineError):
        assert_same(net, X)

    class Strange(torch.nn.Module):
        def forward(self, x):
            return torch.special.bessel_j0(x)

    with pytest.raises(Unsupported):
        assert_same(Strange().eval(), X)
