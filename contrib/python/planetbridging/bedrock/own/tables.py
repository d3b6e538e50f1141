"""What came of our own fixtures: kind by planet, faults, who is apart, and labels made to be diffed."""

from __future__ import annotations

import os
from dataclasses import dataclass, field

from ..tables import aligned
from . import all as fixtures, nway
from .case import PLANETS
from .judging import CUMULATIVE, ISOLATED, MIXER, read

SAME = ("EXACT", "PASS")

NOTES = f"""isolated: every node fed with the framework's float64 tensors, at most {ISOLATED:g} of
          max(1, the greatest value)
cumulative: the whole, at most {CUMULATIVE:g} or the framework's own float32 (mixer: {MIXER:g})
own: how far the framework's float32 is from its float64
used: the part of the bound of binary32 that the float32 tensors take, each node fed with its own inputs;
      width: the greatest bound, what would go unnoticed there
tensorflow: Keras takes constants of gelu and leaky_relu through float32 even in float64, so its float64
            holds to 6e-8 there; 3-D averages have no float64 kernel on the CPU and are not compared
sklearn: computes in float64 alone; outputs only
"""


@dataclass
class Row:
    """One fixture on one planet; `runs` and `faults` are what judged.json says."""

    kind: str
    planet: str
    id: str
    error: str = ""
    runs: list[dict] = field(default_factory=list)
    faults: list[dict] = field(default_factory=list)
    composed: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        return f"{self.kind}/{self.planet}/{self.id}"

    @property
    def passed(self) -> bool:
        return not self.error and bool(self.runs) and not self.complaints

    @property
    def complaints(self) -> list[str]:
        """What of the verdicts is not as it should be."""
        found = []
        for number, run in enumerate(self.runs):
            for what in ("isolated", "cumulative"):
                verdict = run[what]
                if verdict["label"] not in SAME:
                    found.append(f"run {number} {what} {verdict['label']} {verdict['distance']:.1e} "
                                 f"in {verdict['tensor']}")
            if run.get("used", {"part": 0})["part"] > 1:
                found.append(f"run {number}: {run['used']['tensor']} is {run['used']['part']:.2g} of "
                             "what binary32 explains")
        return found

    @property
    def judged(self) -> list[dict]:
        """The faults that can change something."""
        return [fault for fault in self.faults if "label" in fault]

    @property
    def caught(self) -> list[dict]:
        return [fault for fault in self.judged if fault["label"] == "DIFF"]

    def worst(self, what: str, part: str = "distance") -> float:
        """The greatest of a measure over all runs."""
        values = [run[what][part] if isinstance(run[what], dict) else run[what]
                  for run in self.runs if what in run]
        return max(values, default=float("nan"))


def rows(folder: str, kinds, planets=PLANETS) -> list[Row]:
    """Every fixture of these kinds on those of these planets that have it."""
    return [row(folder, kind, planet, case.id) for kind in kinds for planet in planets
            for case in fixtures.of(kind) if planet in case.planets]


def row(folder: str, kind: str, planet: str, case_id: str) -> Row:
    place = os.path.join(folder, kind, planet, case_id)
    made = Row(kind, planet, case_id, composed=read(os.path.join(place, "made.json")).get("composed", []))
    judged = read(os.path.join(place, "judged.json"))
    made.error = judged.get("error", "") or ("" if judged else text(os.path.join(place, "error.txt")))
    made.runs, made.faults = judged.get("runs", []), judged.get("faults", [])
    return made


def text(path: str) -> str:
    """A message that was left, or that nothing was."""
    try:
        with open(path, encoding="utf-8") as file:
            return " ".join(file.read().split())
    except FileNotFoundError:
        return "was not judged"


def by_kind(found: list[Row], title: str, cell) -> list[list[str]]:
    """Kind by planet, a cell of the rows that are both."""
    planets = [p for p in PLANETS if any(r.planet == p for r in found)]
    lines = [[title, *planets]]
    for kind in dict.fromkeys(r.kind for r in found):
        mine = [[r for r in found if r.kind == kind and r.planet == p] for p in planets]
        lines.append([kind, *(cell(some) if some else "-" for some in mine)])
    return lines


def greatest(what: str, part: str = "distance"):
    def value(some: list[Row]) -> float:
        return max((r.worst(what, part) for r in some if what in (r.runs or [{}])[0]), default=float("nan"))
    return value


def verdict_cell(some: list[Row]) -> str:
    """"4/4 1.2e-07", and that layers were composed."""
    mark = " composed" if any(r.composed for r in some) else ""
    return f"{sum(r.passed for r in some)}/{len(some)} {greatest('isolated')(some):.1e}{mark}"


def whole_cell(some: list[Row]) -> str:
    return f"{greatest('cumulative')(some):.1e} (own {greatest('own')(some):.1e})"


def used_cell(some: list[Row]) -> str:
    """How much of the bound is used, and how wide it is."""
    part = greatest("used", "part")(some)
    return "-" if part != part else f"{part:.3f} (width {greatest('used', 'width')(some):.1e})"


def fault_cell(some: list[Row]) -> str:
    return f"{sum(len(r.caught) for r in some)} of {sum(len(r.judged) for r in some)}"


def fault_kinds(found: list[Row]) -> list[list[str]]:
    """By kind of bedrock: which mistakes were planted, and how often each was seen."""
    lines = [["bedrock", "mistakes seen of those planted, on all planets"]]
    for kind in dict.fromkeys(r.kind for r in found):
        counts: dict[str, list[int]] = {}
        for fault in (f for r in found if r.kind == kind for f in r.judged):
            count = counts.setdefault(fault["fault"].rsplit(":", 1)[1].split(".")[0], [0, 0])
            count[0] += fault["label"] == "DIFF"
            count[1] += 1
        lines.append([kind, ", ".join(f"{name} {a}/{b}" for name, (a, b) in sorted(counts.items()))])
    return lines


@dataclass(frozen=True)
class Apart:
    """A fixture on all its planets."""

    name: str
    distances: dict[str, float]
    widest: float
    usual: float
    outlier: str
    bits: str


def apart(folder: str, kinds) -> list[Apart]:
    """Every fixture that more than our own run answers, planets against each other and ours."""
    return [line for kind in kinds for case in fixtures.of(kind)
            for line in [apart_of(folder, kind, case)] if line is not None]


def apart_of(folder: str, kind: str, case) -> Apart | None:
    entries = nway.read(folder, kind, case.id, case.planets)
    if not entries:
        return None
    exact = [nway.compare(outputs) for outputs, _, _ in entries]
    usual = max(nway.compare(outputs).widest for _, outputs, _ in entries)
    who = {name: max(each.distances[name] for each in exact) for name in exact[0].distances}
    outliers = [each.outlier for each in exact if each.outlier != "none"]
    bits = "same" if all(same for _, _, same in entries) else "differ"
    return Apart(f"{kind}/{case.id}", who, max(each.widest for each in exact), usual,
                 outliers[0] if outliers else "none", bits)


def apart_rows(lines: list[Apart]) -> list[list[str]]:
    """The N-way table: distances from the median, the widest pair, the outlier."""
    who = [*PLANETS, nway.LOOM]
    head = ["fixture", *who, "widest pair", "float32 pair", "outlier", "loom's bits"]
    return [head, *([line.name, *(f"{line.distances[w]:.0e}" if w in line.distances else "-" for w in who),
                     f"{line.widest:.1e}", f"{line.usual:.1e}", line.outlier, line.bits]
                    for line in lines)]


def labels(found: list[Row], lines: list[Apart]) -> str:
    """One line for each row and each fixture on all planets: what is committed and diffed."""
    own = [f"{r.name} {'same' if r.passed else 'error' if r.error else 'different'} "
           f"faults={len(r.caught)}/{len(r.judged)}\n" for r in found]
    return "".join(sorted(own) + sorted(f"all/{line.name} outlier={line.outlier}\n" for line in lines))


def trouble(found: list[Row]) -> str:
    """Rows that are not as they should be, faults that nobody saw, and why some cannot be seen."""
    lines = [f"FAILED {r.name}: {r.error or '; '.join(r.complaints)}\n" for r in found if not r.passed]
    lines += [f"NOT SEEN {r.name} {f['fault']}: {f['what']} ({f['label']} {f.get('error', '')})\n"
              for r in found for f in r.judged if f["label"] != "DIFF"]
    excused = sorted({f"{f['fault'].rsplit(':', 1)[1]}: {f['why_not']}" for r in found
                      for f in r.faults if "why_not" in f})
    return "".join(lines + [f"not planted: {line}\n" for line in excused])


def page(found: list[Row], lines: list[Apart]) -> str:
    """All tables."""
    parts = [by_kind(found, "isolated", verdict_cell), by_kind(found, "cumulative", whole_cell),
             by_kind(found, "used of the bound", used_cell), by_kind(found, "faults seen", fault_cell),
             fault_kinds(found), apart_rows(lines)]
    return "\n".join([*map(aligned, parts), NOTES, trouble(found)])


def closing(found: list[Row], lines: list[Apart], changed: bool) -> tuple[str, int]:
    """(the closing lines, how many failed); the last line is "N passed, N failed"."""
    good, judged = sum(r.passed for r in found), sum(len(r.judged) for r in found)
    caught = sum(len(r.caught) for r in found)
    agreed = sum(line.outlier == "none" for line in lines)
    failed = len(found) - good + judged - caught + len(lines) - agreed + (not found)
    failed += bool(changed and not failed)  # labels better than those that were kept
    text_ = (f"{good} of {len(found)} within {ISOLATED:g} node by node\n"
             f"{caught} of {judged} planted faults reported DIFF\n"
             f"{agreed} of {len(lines)} without an outlier among the planets\n"
             f"{good + caught + agreed} passed, {failed} failed")
    return text_, failed
