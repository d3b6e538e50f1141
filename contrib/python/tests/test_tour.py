"""`python -m planetbridging demo`: which planet it takes, that it ends with the verdict, what it leaves."""

from __future__ import annotations

import pytest

from conftest import needs_programs
from planetbridging import MachineError, UsageError, tour


def test_the_planet(monkeypatch):
    monkeypatch.setattr(tour, "missing", lambda planet: [])
    assert tour.chosen(None) == "sklearn" and tour.chosen("tensorflow") == "keras"
    monkeypatch.setattr(tour, "missing", lambda planet: ["sklearn", "optax"])
    assert tour.chosen(None) == tour.chosen("numpy") == "numpy"
    with pytest.raises(MachineError) as error:
        tour.chosen("jax")
    assert str(error.value) == ("this demo needs Python packages that are not installed: "
                                "pip install scikit-learn optax")
    with pytest.raises(UsageError) as error:
        tour.chosen("venus")
    assert str(error.value) == "unknown planet venus; there are pytorch, keras, jax, sklearn, and numpy"


def test_every_planet_has_a_path():
    assert set(tour.NETWORKS) == set(tour.MODULES) == set(tour.planets.PLANETS)
    for planet in (*tour.NETWORKS, tour.NUMPY):
        steps = tour.steps(planet)
        assert [step.status for step in steps].count(1) == 1 and steps[-1].status == 1


@needs_programs
def test_it_passes_and_leaves_nothing_unless_told(command, tmp_path):
    status, out, err = command("demo", "numpy")
    lines = out.decode().splitlines()
    assert (status, list(tmp_path.iterdir())) == (0, [])
    assert err == ("layer dense0: weight[55, 1], from input 1 to unit 55, was -1.57265329 and is now "
                   "1.57265329\n")
    assert [line for line in lines if line.startswith("$ ")] == [f"$ {step.command}"
                                                                  for step in tour.steps("numpy")]
    assert "same: 1 PASS" in lines and "not the same: 1 DIFF" in lines
    assert lines[-1].startswith("PASS with the true weights, DIFF")
    status, _, _ = command("demo", "numpy", "--keep", "kept")
    assert status == 0 and (tmp_path / "kept" / "net.entity").exists()


@needs_programs
def test_a_step_that_ends_otherwise_is_named(tmp_path, capfd, monkeypatch):
    monkeypatch.setattr(tour, "steps", lambda planet: [tour.Step("exit 3"), tour.Step("exit 0")])
    assert tour.walk("numpy", str(tmp_path), tour.surroundings()) == 1
    assert "demo: the command ended with status 3, expected 0\n" in capfd.readouterr().err
