"""The bench works on tiny cases, and says of its numbers what they are."""

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import jsonschema
import numpy as np
import pytest

TOP = Path(__file__).resolve().parents[3]
BENCH = TOP / "contrib/bench"
BIN = Path(os.environ.get("BIN") or TOP / "build/bin").resolve()
SCHEMA = json.loads((TOP / "schemas/bench.json").read_text())


@pytest.fixture(autouse=True)
def on_path(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCH))


def run(folder, *benches):
    """What bench.py --quick writes: bench.json as an object, bench.txt, bench.svg."""
    done = subprocess.run([sys.executable, BENCH / "bench.py", "--quick", "--into", folder, *benches],
                          env={**os.environ, "BIN": str(BIN)}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads((folder / "bench.json").read_text())
    jsonschema.validate(found, SCHEMA)
    ElementTree.fromstring((folder / "bench.svg").read_text())
    assert (folder / "bench.txt").read_text() == done.stdout
    assert not list(folder.glob("tmp*"))
    return found, done.stdout


def contestants(found, table, name):
    return [c for t in found["tables"] if t["name"] == table for row in t["rows"]
            for c in row["contestants"] if c["name"] == name]


def test_products_and_paths(tmp_path):
    found, text = run(tmp_path, "products", "one", "cores", "paths", "start")
    sets = found["machine"]["sets"]
    assert sets and not set(sets) & set(found["machine"]["absent"])
    for name in sets:
        for one in contestants(found, "products", f"loom {name}"):
            assert one["cpu"] > 0 and not one["trouble"]
            assert one["ulp"][2] <= 0.5001, "a sum is not rounded correctly, or the bench is wrong"
            assert sum(one["stages"]) > 0
    for name in found["machine"]["absent"]:
        assert all(c["trouble"] == "not on this machine" for c in contestants(found, "products", f"loom {name}"))
    for table, name in (("paths", "loom-stream"), ("paths", "loom-infer"), ("start", "entity-dump --header")):
        assert all(c["wall"] > 0 for c in contestants(found, table, name)), name
    assert "not measured" in text.splitlines()[-1]


def test_wrong_bits_stop_it():
    """Sets that disagree are no matter of speed."""
    products = importlib.import_module("products")
    products.same_bits({"loom a": b"1234", "loom b": b"1234"})
    with pytest.raises(SystemExit, match="loom a and loom b do not give the same bits"):
        products.same_bits({"loom a": b"1234", "loom b": b"1235"})


def test_distances_are_in_units_in_the_last_place():
    results = importlib.import_module("results")
    exact = np.array([1.0, 1.0, -4.0, 0.0])
    made = np.array([1.0, 1 + 2 ** -23, -4 - 2 ** -20, 0.0], np.float32)
    assert results.ulps(made, exact)[2] == 2.0
    assert results.ulps(made, exact)[0] == 0.5
    assert results.ulps(np.array([1.5], np.float32), np.array([1.5 + 2.0 ** -25]))[2] == 0.25


def test_exact_is_exact():
    """Terms that cancel: any sum of binary64 would be 0 or 1 here."""
    products = importlib.import_module("products")
    x = np.array([[2.0 ** 60, 1, -2.0 ** 60, 2.0 ** -60]], np.float32)
    w = np.ones((1, 4), np.float32)
    assert products.exact(x, w, np.random.default_rng(1))[1].tolist() == [1.0]
    assert products.exact(x[:, [0, 2, 3]], w[:, :3], np.random.default_rng(1))[1].tolist() == [2.0 ** -60]


def row(results, seconds, **more):
    contest = importlib.import_module("contest")
    return results.Row("c", 3.0, "/s", {name: contest.Measured(cpu=s) for name, s in seconds.items()}, **more)


def test_ratios_and_goals():
    results = importlib.import_module("results")
    made = row(results, {"theirs": 4.0, "loom avx2": 2.0, "loom amx": 0.0})
    assert made.against("loom avx2", "theirs", 2.5).ratio == 2.0
    assert made.against("loom amx", "theirs", 1.0).ratio is None
    table = results.Table("t", "T", [made])
    table.goal_of_rows()
    assert [g.met for g in table.goals] == [False, None]
    assert results.Goal("start", 4.0, 5.0, most=True).met
    assert not results.Goal("start", 6.0, 5.0, most=True).met


def test_medians_goals_of_products():
    products, results = importlib.import_module("products"), importlib.import_module("results")
    table = results.Table("products", "P")
    for ratio in (0.4, 0.5, 0.6):
        made = row(results, {"OpenBLAS": ratio, "loom avx512": 1.0})
        made.against("loom avx512", "OpenBLAS", 0.38)
        table.rows.append(made)
    median, least = products.goals(table, "avx512")
    assert (median.value, median.target, least.value, least.target) == (0.5, 0.48, 0.4, 0.38)
    assert median.met and least.met


def test_a_contestant_that_fails_is_told_of(tmp_path):
    contest = importlib.import_module("contest")
    made = contest.Contest()
    made.enter("absent", lambda: contest.Contestant([tmp_path / "none"]))
    made.enter("dies", lambda: contest.Contestant([sys.executable, "-c", "print('ready'); 1 / 0"]))
    made.enter("slow", lambda: contest.Contestant([sys.executable, "-c", "input()"], patience=0.1))
    found = made.run(contest.Pace(1, 0))
    made.close()
    assert found["absent"].trouble.startswith("none is not built")
    assert found["dies"].trouble == "ZeroDivisionError: division by zero"
    assert found["slow"].trouble == "no answer in 0.1 s"


def test_libraries_choose_their_kernels(monkeypatch):
    contest = importlib.import_module("contest")
    for name in contest.FORCED:
        monkeypatch.setenv(name, "Haswell")
    assert not set(contest.FORCED) & set(contest.environment())
    assert contest.environment(2)["OMP_NUM_THREADS"] == "2"
    assert contest.environment(LOOM_ISA="avx2")["LOOM_ISA"] == "avx2"


def test_what_of_ours_failed():
    results = importlib.import_module("results")
    made = row(results, {"theirs": 0.0, "loom amx": 0.0, "loom avx2": 0.0})
    for name, why in (("theirs", "no torch"), ("loom amx", results.ABSENT), ("loom avx2", "died")):
        made.contestants[name].trouble = why
    found = results.document({}, [results.Table("t", "T", [made])])
    assert results.failures(found) == ["c: loom avx2: died"]


def test_plot():
    """Right of the line is faster, and a name may hold anything."""
    plot, results = importlib.import_module("plot"), importlib.import_module("results")
    rows = []
    for case, ratio in (("a < b", 0.5), ("b & a", 1.0), ("c", 2.0)):
        rows.append(row(results, {"theirs": ratio, "loom avx512": 1.0}))
        rows[-1].case = case
        rows[-1].against("loom avx512", "theirs", 0.7)
    machine = {"processor": "P", "date": "2026-01-01", "sets": ["avx512"]}
    drawn = ElementTree.fromstring(plot.svg(results.document(machine, [results.Table("t", "T", rows)])))
    words = [e.text for e in drawn.iter() if e.tag.endswith("text")]
    assert {"a < b", "b & a", "0.50", "2.00", "avx512", "least that is aimed at"} <= set(words)
    assert len([e for e in drawn.iter() if e.get("stroke-width") == "2"]) == 1 + 3  # the key's, the rows'
    circles = [float(e.get("transform").split("(")[1].split()[0]) for e in drawn.iter() if e.tag.endswith("circle")]
    key, *points = circles
    scale = plot.Scale(0.5, 2.0)
    assert points == sorted(points) and abs(points[1] - scale(1.0)) < 0.1
    assert points[2] - points[1] == pytest.approx(points[1] - points[0], abs=0.2)


def test_unknown_bench_is_misuse():
    done = subprocess.run([sys.executable, BENCH / "bench.py", "speed"], capture_output=True, text=True,
                          check=False)
    assert done.returncode == 2 and "speed: not one of" in done.stderr
