"""Layers and small networks: ours against PyTorch and ONNX Runtime, on one thread."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import numpy as np

import sets
from cases import LAST, ORT, TABLES, Case
from contest import Contest, Contestant, Measured, Pace, Trouble, environment, python, say
from products import ours, same_bits
from results import Row, Table, ulps


def make(case: Case, sizes: dict, folder: Path) -> Path:
    """The case's files, and its .entity; Trouble where PyTorch is not there."""
    done = subprocess.run([str(part) for part in python("make", case.build, json.dumps(sizes), folder)],
                          capture_output=True, text=True, check=False, env=environment())
    if done.returncode != 0:
        raise Trouble((done.stderr.strip().splitlines() or ["no answer"])[-1])
    return sets.entity(folder)


def framework(which: str, case: Case, sizes: dict, folder: Path, threads: int = 1) -> Contestant:
    """A contestant of framework.py, by the name that its rows have."""
    if which == ORT:
        return Contestant(python("onnxruntime", folder, threads), environment(threads))
    how = f"{threads} last" if which == LAST else f"{threads}"
    return Contestant(python("torch", case.build, json.dumps(sizes), how), environment(threads))


def enter_sets(contest: Contest, model: Path, given: Path) -> None:
    for name in sets.NAMES:
        if sets.trouble(name):
            contest.found[ours(name)] = Measured(trouble=sets.trouble(name))
        else:
            contest.enter(ours(name), lambda name=name: sets.forward(model, given, name))


def judge(contest: Contest, folder: Path) -> None:
    """Distances from what PyTorch computes in float64, and that all our sets gave the same bits."""
    exact, bits = np.fromfile(folder / "exact.f64"), {}
    for name, one in contest.there.items():
        result = one.save(folder / "y.f32")
        contest.found[name].ulp = ulps(np.frombuffer(result, "<f4"), exact)
        if name.startswith("loom"):
            bits[name] = result
            contest.found[name].stages = [int(n) for n in one.tell().split()]
    same_bits(bits)


def row(case: Case, sizes: dict, folder: Path, pace: Pace) -> Row:
    say(case.title)
    contest = Contest()
    try:
        model = make(case, sizes, folder)
    except Trouble as trouble:
        return Row(case.title, 1, case.unit, {"PyTorch's network": Measured(trouble=str(trouble))})
    for which in case.against:
        contest.enter(which, lambda which=which: framework(which, case, sizes, folder))
    enter_sets(contest, model, folder / "inputs.npz")
    found = contest.run(pace)
    judge(contest, folder)
    contest.close()
    made = Row(case.title, case.work(sizes), case.unit, found)
    for name in sets.NAMES:
        for which, target in case.against.items():
            made.against(ours(name), which, target if name in ("avx512", "amx") else None)
    return made


def bench(name: str, folder: Path, pace: Pace) -> Table:
    title, cases = TABLES[name]
    table = Table(name, f"{title}; ULP are distances from PyTorch's float64")
    for case in cases[:1] if pace.quick else cases:
        table.rows.append(row(case, case.quick if pace.quick else case.sizes, folder, pace))
    table.goal_of_rows()
    return table
