"""Whole networks as a user would run them: ours beside ONNX Runtime, PyTorch and real Loom (welvet)."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import layers
import sets
from cases import ORT, TORCH, WHOLE, Case
from contest import BIN, HERE, Contest, Contestant, Measured, Pace, Trouble, environment, say
from products import ours
from results import Row, Table

LOOM = "real Loom (welvet)"
PATIENCE = 60.0
"""Seconds for an answer of real Loom, which may take very long."""


def real_loom(folder: Path) -> Contestant:
    """Real Loom on what loom-stream --lower writes for it, or Trouble with why it cannot."""
    plain = folder / "plain.entity"
    with (folder / "fixed.stream").open("rb") as given:
        done = subprocess.run([BIN / "loom-stream", "--lower", "-o", plain], stdin=given,
                              capture_output=True, text=True, errors="replace", check=False)
    if done.returncode != 0:
        raise Trouble("cannot express it: " + done.stderr.strip().removeprefix("loom-stream: "))
    python = os.environ.get("WELVET_PYTHON") or sys.executable
    return Contestant([python, "-W", "ignore", HERE / "framework.py", "welvet", plain,
                       folder / "inputs.npz"], environment(), PATIENCE)


def enter(contest: Contest, case: Case, sizes: dict, folder: Path, threads: int) -> None:
    for which in (ORT, TORCH):
        contest.enter(which, lambda which=which: layers.framework(which, case, sizes, folder, threads))
    if threads == 1:
        contest.enter(LOOM, lambda: real_loom(folder))
    for name in sets.NAMES:
        if sets.trouble(name):
            contest.found[ours(name)] = Measured(trouble=sets.trouble(name))
        else:
            contest.enter(ours(name), lambda name=name: sets.forward(
                folder / "net.entity", folder / "inputs.npz", name, threads))


def row(case: Case, sizes: dict, folder: Path, pace: Pace, threads: int) -> Row:
    say(f"{case.title}, {threads} threads")
    contest = Contest()
    enter(contest, case, sizes, folder, threads)
    found = contest.run(pace)
    layers.judge(contest, folder)
    for name, one in contest.there.items():
        found[name].peak = one.peak()
    contest.close()
    how = "1 thread" if threads == 1 else f"{threads} threads"
    made = Row(f"{case.title}, {how}", case.work(sizes), case.unit, found, *(
        ("cpu", "") if threads == 1 else ("wall", "on the wall clock")))
    for name in sets.NAMES:
        for theirs in (ORT, TORCH) + ((LOOM,) if threads == 1 else ()):
            made.against(ours(name), theirs)
    return made


def rows(case: Case, folder: Path, pace: Pace) -> list[Row]:
    sizes = case.quick if pace.quick else case.sizes
    try:
        layers.make(case, sizes, folder)
    except Trouble as trouble:
        return [Row(case.title, 1, case.unit, {TORCH: Measured(trouble=str(trouble))})]
    return [row(case, sizes, folder, pace, threads) for threads in case.threads]


def bench(_name: str, folder: Path, pace: Pace) -> Table:
    table = Table("whole", "Whole networks of random weights: images or sequences per second, and the most "
                  "memory that the process had; ULP are distances from PyTorch's float64")
    for case in WHOLE[:1] + WHOLE[-1:] if pace.quick else WHOLE:
        table.rows += rows(case, folder, pace)
    return table
