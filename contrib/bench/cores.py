"""Two cores against one, on the wall clock: ours and OpenBLAS."""

from __future__ import annotations

from pathlib import Path

import sets
from contest import Contest, Pace, say
from products import BLAS, Case
from results import Row, Table

SHAPES = [(1024, 1024, 1024), (2048, 2048, 2048), (512, 3072, 768), (1, 8192, 8192)]
TARGET = 1.8


def row(shape: tuple, folder: Path, pace: Pace) -> Row:
    say(f"{shape}, two cores")
    case, contest = Case(shape, folder), Contest()
    for jobs in (1, 2):
        contest.enter(f"{BLAS}, {cores(jobs)}", lambda jobs=jobs: case.vendor("openblas", threads=jobs))
    for name in sets.here():
        for jobs in (1, 2):
            contest.enter(f"loom {name}, {cores(jobs)}", lambda name=name, jobs=jobs: sets.forward(
                case.model, folder / "x.npy", name, jobs))
    found = contest.run(pace)
    contest.close()
    m, n, k = shape
    made = Row(f"{m} x {n} x {k}", 2e-9 * m * n * k, "GFLOP/s", found, "wall")
    for who in [BLAS] + [f"loom {name}" for name in sets.here()]:
        large = who.startswith("loom") and m > 1
        made.against(f"{who}, {cores(2)}", f"{who}, {cores(1)}", TARGET if large else None)
    return made


def cores(jobs: int) -> str:
    return "one core" if jobs == 1 else f"{jobs} cores"


def bench(_name: str, folder: Path, pace: Pace) -> Table:
    table = Table("cores", "Two cores against one, on the wall clock")
    for shape in [(64, 48, 32)] if pace.quick else SHAPES:
        table.rows.append(row(shape, folder, pace))
    table.goal_of_rows()
    return table
