"""The verdicts of a bedrock joined: planet by model, the faults, and labels made to be diffed."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass

from .. import checking

FAULTS = ("weight", "bias", "transpose", "activations", "columns")
SAME = ("EXACT", "PASS")


@dataclass
class Cell:
    """What loom-compare said of one model on one planet."""

    label: str
    max_abs: float
    max_ulp: int

    @property
    def same(self) -> bool:
        return self.label in SAME

    def __str__(self) -> str:
        return f"{self.label} {self.max_abs:.2g} {self.max_ulp}"


def read_cell(folder: str) -> Cell:
    """The verdict in FOLDER/report.ndjson; DIFF where loom-compare did not say that all is the same."""
    with open(os.path.join(folder, "report.ndjson"), encoding="utf-8") as file:
        lines = [json.loads(line) for line in file]
    tensors = [line for line in lines if line["kind"] == "tensor"]
    verdicts = [line["same"] for line in lines if line["kind"] == "verdict"]
    worst = max((t["max_abs"] or 0 for t in tensors), default=0.0)
    ulp = max((t["max_ulp"] or 0 for t in tensors), default=0)
    label = checking.label_of(tensors, 0 if verdicts == [True] else 1) if verdicts else "DIFF"
    return Cell(label, worst, ulp)


def read_faults(folder: str) -> dict[str, dict]:
    """The records in FOLDER/faults.ndjson by fault."""
    with open(os.path.join(folder, "faults.ndjson"), encoding="utf-8") as file:
        return {record["fault"]: record for record in map(json.loads, file)}


def labels(cells: dict[tuple[str, str], Cell]) -> str:
    """One line "planet/model same|different" each, sorted: what may be committed and diffed."""
    return "".join(sorted(f"{planet}/{model} {'same' if cell.same else 'different'}\n"
                          for (planet, model), cell in cells.items()))


def verdict_table(cells: dict[tuple[str, str], Cell], planets, models) -> str:
    """Label, greatest absolute and greatest ULP difference, a row for each model."""
    rows = [["label max-abs max-ulp", *planets]]
    rows += [[model, *(str(cells[planet, model]) for planet in planets)] for model in models]
    return aligned(rows)


def fault_table(records: dict[tuple[str, str], dict], planets, models) -> str:
    """What the whole path said of every planted fault, or why that fault cannot change the function."""
    rows = [["planted fault", *FAULTS]]
    for planet in planets:
        for model in models:
            found = records[planet, model]
            rows.append([f"{planet}/{model}", *(fault_text(found[fault]) for fault in FAULTS)])
    return aligned(rows)


def fault_text(record: dict) -> str:
    """A cell of the fault table."""
    if "why_not" in record:
        return f"- ({record['why_not']})"
    return f"{record['label']} {record['max_abs']:.2g}"


def aligned(rows: list[list[str]]) -> str:
    """Rows as text, each column as wide as its widest cell."""
    widths = [max(map(len, column)) for column in zip(*rows)]
    return "".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() + "\n"
                   for row in rows)
