"""What a run of the bench found: tables of cases, ratios beside their targets, and goals over several.

`document` is what bench.json holds (schemas/bench.json describes it), `text` what bench.txt does.
"""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass, field

import numpy as np

from contest import ABSENT, Measured


@dataclass
class Ratio:
    """How many times faster `ours` is than `theirs`; the target is what is wanted at least."""

    ours: str
    theirs: str
    ratio: float | None
    target: float | None = None


@dataclass
class Row:
    """A case: `amount` units of work in a call, and who did it how fast."""

    case: str
    amount: float
    unit: str
    contestants: dict[str, Measured]
    clock: str = "cpu"
    note: str = ""
    ratios: list[Ratio] = field(default_factory=list)

    def seconds(self, name: str) -> float | None:
        one = self.contestants.get(name)
        return getattr(one, self.clock) or None if one else None

    def against(self, ours: str, theirs: str, target: float | None = None) -> Ratio:
        """Put a ratio of two contestants into the row; None where one of them has no time."""
        a, b = self.seconds(ours), self.seconds(theirs)
        self.ratios.append(Ratio(ours, theirs, b / a if a and b else None, target))
        return self.ratios[-1]


@dataclass
class Goal:
    """A target over one or several cases, and whether it is met; value None: it was not measured."""

    name: str
    value: float | None
    target: float
    most: bool = False
    why: str = ""

    @property
    def met(self) -> bool | None:
        if self.value is None:
            return None
        return self.value <= self.target if self.most else self.value >= self.target


@dataclass
class Table:
    """Cases of a kind; `title` says what is measured and against whom."""

    name: str
    title: str
    rows: list[Row] = field(default_factory=list)
    goals: list[Goal] = field(default_factory=list)

    def goal_of_rows(self) -> None:
        """Every ratio that has a target is a goal."""
        for row in self.rows:
            for r in row.ratios:
                if r.target is not None:
                    why = "" if r.ratio else row.contestants[r.ours].trouble or "not measured"
                    self.goals.append(Goal(f"{row.case}: {r.ours} / {r.theirs}", r.ratio, r.target, why=why))


def ulps(result: np.ndarray, exact: np.ndarray) -> list[float]:
    """The distance from the exact values in binary32's units in the last place: median, 99.9 %, worst."""
    exact = np.asarray(exact, np.float64).ravel()
    unit = np.spacing(np.abs(exact).astype(np.float32)).astype(np.float64)
    distance = np.abs(np.asarray(result, np.float64).ravel() - exact) / unit
    if not len(distance):
        return [0.0, 0.0, 0.0]
    return [float(x) for x in (np.median(distance), np.quantile(distance, 0.999), distance.max())]


def document(machine: dict, tables: list[Table]) -> dict:
    """Everything, as JSON has it."""
    return {"bench": 1, "machine": machine, "tables": [
        {"name": t.name, "title": t.title, "rows": [row_of(r) for r in t.rows],
         "goals": [{**asdict(g), "met": g.met} for g in t.goals]} for t in tables]}


def row_of(row: Row) -> dict:
    made = asdict(row)
    made["contestants"] = [{"name": name, **asdict(m), "rate": rate(row, name)}
                           for name, m in row.contestants.items()]
    return made


def rate(row: Row, name: str) -> float | None:
    seconds = row.seconds(name)
    return row.amount / seconds if seconds else None


def failures(found: dict) -> list[str]:
    """What of ours did not run, other than for want of an instruction set."""
    return [f"{row['case']}: {one['name']}: {one['trouble']}" for table in found["tables"]
            for row in table["rows"] for one in row["contestants"]
            if one["trouble"] not in ("", ABSENT) and re.match(r"loom|entity", one["name"])]


def text(found: dict) -> str:
    """The tables for a person; `found` is a document."""
    machine = found["machine"]
    lines = [f"{machine['processor']}, {machine['cores']} cores; kernel sets: {', '.join(machine['sets'])}",
             f"planetbridging {machine['version']}, {machine['compiler']}; {machine['date']}",
             f"medians of {machine['rounds']} rounds by turns, CPU time on one core unless a table says other"]
    lines += ["", *kernels(found)]
    for table in found["tables"]:
        lines += ["", "", table["title"]]
        for row in table["rows"]:
            lines += row_text(row)
    lines += goals_text(found)
    return "\n".join(lines) + "\n"


def kernels(found: dict) -> list[str]:
    """Which version and which kernels of everybody ran."""
    said = {(one["name"], one["about"].split(";")[0]) for table in found["tables"] for row in table["rows"]
            for one in row["contestants"] if one["about"]}
    return [f"  {name:<30} {about}" for name, about in sorted(said)]


def row_text(row: dict) -> list[str]:
    """A case: a line for each contestant, with its ratios behind its name."""
    lines = ["", f"{row['case']:<46} {row['unit']:>10} {'a call':>10} {'ULP median':>11} {'99.9 %':>8} "
             f"{'worst':>8} {'peak MB':>8}  ratio"]
    if row["note"]:
        lines.append(f"  ({row['note']})")
    for one in row["contestants"]:
        lines.append(contestant_text(row, one).rstrip())
    return lines


def contestant_text(row: dict, one: dict) -> str:
    if one["trouble"]:
        return f"  {one['name']:<44} {one['trouble']}"
    cells = f"  {one['name']:<44} {figure(one['rate']):>10} {duration(one[row['clock']]):>10}"
    cells += f"{'':4}{errors(one['ulp'])} {megabytes(one['peak']):>8}  "
    return cells + "; ".join(ratio_text(r) for r in row["ratios"] if r["ours"] == one["name"])


def ratio_text(r: dict) -> str:
    if r["ratio"] is None:
        return ""
    said = f"{r['ratio']:.2f} of {r['theirs']}"
    if r["target"] is None:
        return said
    return said + f" (target {r['target']:g}{'' if r['ratio'] >= r['target'] else ', MISSED'})"


def goals_text(found: dict) -> list[str]:
    goals = [(t["name"], g) for t in found["tables"] for g in t["goals"]]
    lines = ["", "", "Targets", ""]
    for name, g in goals:
        sign = "at most" if g["most"] else "at least"
        if g["value"] is None:
            lines.append(f"  {'-':<7}{name}: {g['name']}: {g['why']}")
        else:
            lines.append(f"  {'met' if g['met'] else 'MISSED':<7}{name}: {g['name']}: {g['value']:.3g}, "
                         f"{sign} {g['target']:g}")
    counts = [sum(g["met"] is x for _, g in goals) for x in (True, False, None)]
    return lines + ["", "{} met, {} missed, {} not measured".format(*counts)]


def figure(x: float | None) -> str:
    """Three digits, without exponents where people do not write them."""
    if x is None:
        return "-"
    return f"{x:,.0f}" if 1e3 <= x < 1e7 else f"{x:.3g}"


def duration(seconds: float) -> str:
    for unit, name in ((1, "s"), (1e-3, "ms"), (1e-6, "us")):
        if seconds >= unit:
            return f"{seconds / unit:.3g} {name}"
    return f"{seconds * 1e9:.3g} ns"


def errors(ulp: list | None) -> str:
    if ulp is None:
        return f"{'-':>8} {'-':>8} {'-':>8}"
    return " ".join(f"{figure(round(x, 3)):>8}" for x in ulp)


def megabytes(peak: int | None) -> str:
    return "-" if peak is None else f"{peak / 1e6:.0f}"
