"""What came of the ordinary networks: a table, and labels made to be diffed."""

from __future__ import annotations

import os
from dataclasses import dataclass, field

from ..bedrock.own.judging import CUMULATIVE, ISOLATED, read
from ..bedrock.own.tables import Row as Judged
from ..bedrock.tables import aligned

NOTES = f"""isolated: every node fed with the framework's float64 tensors, at most {ISOLATED:g} of
          max(1, the greatest value)
cumulative: the whole, at most {CUMULATIVE:g} or the framework's own float32
own: how far the framework's float32 is from its float64
used: the part of the bound of binary32 that the float32 tensors take, each node fed with its own inputs
faults: planted mistakes that were reported DIFF
INVALID: a tensor that is tiny or huge, or answers that do not depend on the input: shows nothing
"""


@dataclass
class Row(Judged):
    """One network on one planet."""

    about: dict = field(default_factory=dict)
    invalid: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        return f"{self.planet}/{self.id}"

    @property
    def complaints(self) -> list[str]:
        nothing = [] if self.judged else ["no mistake could be planted"]
        return [f"INVALID: {line}" for line in self.invalid] + super().complaints + nothing

    @property
    def verdict(self) -> str:
        """In a word."""
        if self.error:
            return "ERROR"
        if self.invalid:
            return "INVALID"
        return "PASS" if self.passed else "DIFF"


def rows(folder: str, planets) -> list[Row]:
    """Every row that was made or failed, in the order of planets and names."""
    found = []
    for planet in planets:
        place = os.path.join(folder, planet)
        for name in sorted(os.listdir(place)) if os.path.isdir(place) else ():
            found.append(row(os.path.join(place, name), planet, name))
    return found


def row(place: str, planet: str, name: str) -> Row:
    """What a row's folder says."""
    try:
        with open(os.path.join(place, "error.txt"), encoding="utf-8") as file:
            return Row("network", planet, name, error=file.read().strip())
    except FileNotFoundError:
        judged = read(os.path.join(place, "judged.json"))
        error = judged.get("error", "") if judged else "not judged"
        return Row("network", planet, name, error=error, runs=judged.get("runs", []),
                   faults=judged.get("faults", []), about=read(os.path.join(place, "made.json")),
                   invalid=judged.get("invalid", []))


def table(found: list[Row]) -> str:
    """A line for each row."""
    head = ["network", "parameters", "nodes", "isolated", "cumulative", "own", "used", "faults", "verdict"]
    return aligned([head, *map(cells, found)])


def cells(r: Row) -> list[str]:
    size = [f"{r.about.get('parameters', 0):,}", str(r.about.get("nodes", 0))]
    if not r.runs:
        return [r.name, *size, *"-----", r.verdict]
    worst = [max(run[what]["distance"] for run in r.runs) for what in ("isolated", "cumulative")]
    own = max(run["own"] for run in r.runs)
    used = max(run["used"]["part"] for run in r.runs)
    return [r.name, *size, *(f"{value:.1e}" for value in (*worst, own)), f"{used:.2f}",
            f"{len(r.caught)}/{len(r.judged)}", r.verdict]


def labels(found: list[Row]) -> str:
    """One line for each row: what is committed and diffed."""
    return "".join(sorted(f"{r.name} {'same' if r.verdict == 'PASS' else r.verdict.lower()} "
                          f"faults={len(r.caught)}/{len(r.judged)}\n" for r in found))


def trouble(found: list[Row]) -> str:
    """Rows that are not as they should be, and mistakes that nobody saw."""
    lines = [f"FAILED {r.name}: {r.error or '; '.join(r.complaints)}\n" for r in found if not r.passed]
    lines += [f"magnified {r.name} {', '.join(run['isolated']['magnified'])}: {run['isolated']['distance']:.1e} "
              "is what rounding their inputs to float32 explains\n"
              for r in found for run in r.runs[:1] if "magnified" in run["isolated"]]
    return "".join(lines + [f"NOT SEEN {r.name} {f['fault']}: {f['what']} ({f['label']})\n"
                            for r in found for f in r.judged if f["label"] != "DIFF"])


def closing(found: list[Row], changed: bool) -> tuple[str, int]:
    """(the closing lines, how many failed); the last line is "N passed, N failed"."""
    good, judged = sum(r.passed for r in found), sum(len(r.judged) for r in found)
    caught = sum(len(r.caught) for r in found)
    failed = len(found) - good + judged - caught + (not found)
    failed += bool(changed and not failed)  # labels better than those that were kept
    return (f"{good} of {len(found)} networks within {ISOLATED:g} node by node\n"
            f"{caught} of {judged} planted mistakes reported DIFF\n"
            f"{good + caught} passed, {failed} failed"), failed
