"""Requests of version 1 with samples, answered by the reference's loom-stream and by ours."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from pathlib import Path

import numpy as np

from contest import BIN, HERE, Measured, Pace, Program
from paths import contest, row
from results import Row, Table

RNG = np.random.default_rng(20260101)
SAMPLES = 20000
REFERENCE = "the reference's loom-stream"


def samples(kind: str, fixtures: dict) -> dict:
    shape = (SAMPLES, *fixtures.get(kind, (0, 4, 5))[1:])
    if kind == "embedding":
        return {"x_test": RNG.integers(0, 5, (SAMPLES, 4)).astype(float)}
    if kind == "residual":
        return {name: RNG.standard_normal(shape) for name in ("x_main_test", "x_skip_test")}
    return {"x_test": RNG.standard_normal(shape)}


def bench(_name: str, folder: Path, pace: Pace) -> Table:
    table = Table("requesting", f"Requests of version 1 with {SAMPLES} samples, against {REFERENCE}")
    theirs = os.environ.get("REFERENCE_STREAM")
    if not theirs:
        table.rows.append(Row("all kinds", 1, "/s", {REFERENCE: Measured(
            trouble="REFERENCE_STREAM does not name it")}))
        return table
    sys.path.insert(0, str(HERE.parents[1] / "fixtures/stream"))
    import kinds

    path = folder / "kind.json"
    ways = {REFERENCE: lambda: Program([theirs], given=path),
            "loom-stream": lambda: Program([BIN / "loom-stream"], given=path)}
    with contextlib.chdir(folder):
        for kind, body in kinds.BODIES.items():
            np.savez_compressed(f"fx-{kind}.npz", **samples(kind, kinds.FIXTURES))
            path.write_text(json.dumps(kinds.request(kind, body)))
            table.rows.append(row(kind, SAMPLES, "/s", contest(pace, ways), {REFERENCE: None}))
    return table
