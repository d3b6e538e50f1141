"""What loom-compare said of one model on one planet, read from the files of its folder."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field

import numpy as np

from .. import checking

SAME = ("EXACT", "PASS")
TENSOR = {"label": "", "max_abs": 0.0, "scale": 1.0, "vacuous": False}


@dataclass
class Comparison:
    """One report of loom-compare: its label, the greatest difference, and that over the scale."""

    label: str
    max_abs: float
    relative: float
    vacuous: bool
    atol: float


@dataclass
class Row:
    """One model on one planet.

    `record` is loom against the framework's float64, by which the row stands or falls, `usual` loom
    against its float32, `own` that float32 against that float64, `numpy` loom and `oracle` the
    framework's float64 against our own formulas.  Without reports there is only `error`.
    """

    kind: str
    planet: str
    model: str
    error: str = ""
    record: Comparison | None = None
    usual: Comparison | None = None
    own: Comparison | None = None
    numpy: Comparison | None = None
    oracle: Comparison | None = None
    dead: tuple[int, int] = (0, 0)
    made: dict = field(default_factory=dict)
    faults: list[dict] = field(default_factory=list)

    @property
    def name(self) -> str:
        return f"{self.kind}/{self.planet}/{self.model}"

    @property
    def label(self) -> str:
        """Of record: EXACT, PASS, DIFF, or ERROR."""
        return "ERROR" if self.record is None else self.record.label

    @property
    def same(self) -> bool:
        return self.label in SAME

    @property
    def why(self) -> str:
        """Why the float32 column is DIFF: "native-rounding", or "" if that does not explain it.

        The framework's float32 is itself further than the tolerance from its float64, and loom is
        as near that float64 as it has to be.
        """
        explained = self.same and self.usual.label == "DIFF" and self.own.max_abs > self.usual.atol
        return "native-rounding" if explained else ""

    @property
    def usual_text(self) -> str:
        """The float32 column."""
        if self.record is None:
            return "-"
        if not self.why:
            return f"{self.usual.label} {self.usual.max_abs:.1e}"
        return f"DIFF why={self.why} {self.usual.max_abs:.1e} (own {self.own.max_abs:.1e})"

    @property
    def passed(self) -> bool:
        """Whether both columns are as they must be."""
        return self.same and (self.usual.label in SAME or bool(self.why))

    @property
    def proves_nothing(self) -> str:
        """Why the row, or part of it, proves nothing; "" if all of it does."""
        if self.record is not None and self.record.vacuous:
            return "all answers lie within the tolerance"
        dead, outputs = self.dead
        return f"{dead} of {outputs} outputs are always 0" if dead else ""


def read(folder: str, kind: str, planet: str, model: str) -> Row:
    """The row of FOLDER/KIND/PLANET/MODEL."""
    place = os.path.join(folder, kind, planet, model)
    row = Row(kind, planet, model)
    faults = os.path.join(place, "faults.ndjson")
    if os.path.exists(faults):
        row.faults = read_lines(faults)
    row.error = error(place)
    if row.error:
        return row
    row.made = read_json(os.path.join(place, "made.json"))
    for name in ("record", "usual", "own", "numpy", "oracle"):
        setattr(row, name, read_report(os.path.join(place, REPORTS[name])))
    row.dead = dead_outputs(os.path.join(place, "native64.npy"))
    return row


REPORTS = {"record": "report.ndjson", "usual": "float32.ndjson", "own": "own.ndjson",
           "numpy": "numpy.ndjson", "oracle": "oracle.ndjson"}
STEPS = (("model.stream", "error.txt"), ("model.entity", "stream.log"), ("loom.npy", "infer.log"),
         ("report.ndjson", "compare.log"))
"""The files of a model in the order in which they are made, and where the reason is if one is not."""


def error(place: str) -> str:
    """Why a model has no verdict: the message of the first step that failed, or "" if none did."""
    for made, log in (("", "error.txt"), *STEPS):
        if made and os.path.exists(os.path.join(place, made)):
            continue
        try:
            with open(os.path.join(place, log), encoding="utf-8") as file:
                text = " ".join(file.read().split())
        except FileNotFoundError:
            text = ""
        if made or text:
            return text or f"{made} was not made"
    return ""


def read_json(path: str) -> dict:
    with open(path, encoding="utf-8") as file:
        return json.load(file)


def read_lines(path: str) -> list[dict]:
    with open(path, encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def read_report(path: str) -> Comparison:
    """A report's verdict; DIFF where loom-compare did not say that all is the same."""
    lines = read_lines(path)
    tensors = [{**TENSOR, **line} for line in lines if line["kind"] == "tensor"]
    verdicts = [line for line in lines if line["kind"] == "verdict"]
    same = bool(verdicts) and verdicts[0]["same"]
    label = checking.label_of(tensors, 0) if same else "DIFF"
    numbers = [(number(t["max_abs"]), number(t["scale"])) for t in tensors]
    return Comparison(label, max((a for a, _ in numbers), default=0.0),
                      max((a / s for a, s in numbers), default=0.0), any(t["vacuous"] for t in tensors),
                      verdicts[0]["rule"]["atol"] if verdicts else 0.0)


def number(value) -> float:
    """A measure of a report, in which infinities are strings."""
    return float(value or 0.0)


def dead_outputs(path: str) -> tuple[int, int]:
    """(how many values of a sample's answer are 0 for every sample, how many there are)."""
    native = np.load(path)
    flat = native.reshape(len(native), -1)
    return int((flat == 0).all(axis=0).sum()), flat.shape[1]
