"""SCOREBOARD.md: what all reports say, without times and without a machine's paths."""

from __future__ import annotations

from . import facts as fact, tables
from .verdicts import Row

INTRODUCTION = """# Scoreboard

{count} networks of thirteen kinds, each built from the layers of PyTorch, TensorFlow (Keras), JAX
(Flax) and, where dense, scikit-learn, streamed from the live object, run by `loom-infer` from the
checkpoint alone, and compared by `loom-compare` with what the framework itself answers for the same
100 samples. Models, seeds and fixtures are those of openfluke/planetbridging 0.7.3.

* **float64** is the verdict of record: loom against the same live weights run by the framework in
  float64. PASS is a difference of at most {record:g} times max(1, the greatest answer).
* **distance** is that difference, relative to max(1, the greatest answer).
* **float32** is loom against the framework's usual float32 run. PASS is a difference of at most
  {usual:g}, the rule of openfluke/planetbridging. `DIFF why=native-rounding`: the framework's float32 is
  itself further than that from its own float64 (own), so no verdict can be had from it. scikit-learn
  has float64 alone.
* **numpy-loom** and **numpy-float64** are loom and the framework's float64 run against float64 NumPy
  formulas written for this table, which are never called native.
* **notes**: *vacuous*, why the row or a part of it proves nothing; *composed*, layers that the
  framework does not have, made of its own operations.

Both sides are fed inputs and weights rounded to float32. The frameworks run on the CPU, in inference
mode, with one thread and full-precision products; answers are compared in the planet's own layout.

To reproduce:

```
make bedrocks{train}
make scoreboard
```
"""

TRAIN = {"short": " TRAIN=short", "stored": " TRAIN=stored", "full": ""}


def page(rows: list[Row]) -> str:
    """The page for these rows; those without a report say why."""
    done = [row for row in rows if row.record is not None]
    first = done[0] if done else None
    closing, _ = tables.closing(rows, False, any(row.faults for row in rows))
    modes = sorted({row.made["train"] for row in done if row.made["train"]})
    intro = INTRODUCTION.format(count=len({(row.kind, row.model) for row in rows}),
                                record=first.record.atol if first else 1e-6,
                                usual=first.usual.atol if first else 1e-5,
                                train=TRAIN[modes[0]] if len(modes) == 1 else "")
    parts = [intro, "## In all\n", fenced(closing + "\n"), "## By kind\n", BY_KIND,
             markdown(tables.summary_rows(rows, fact.KINDS, fact.PLANETS)),
             "## Rows to know about\n", fenced(tables.named(rows) or "none\n"),
             "## Every row\n", markdown(tables.row_rows(rows)), "## Planted faults\n", FAULTS,
             *(markdown(table) for table in tables.fault_rows(rows)),
             "## Versions\n", markdown([["planet", "versions"], *versions(done)])]
    return "\n".join(parts)


BY_KIND = "Rows that are the same of all rows, and the greatest distance.\n"
FAULTS = """Each is a mistake of an emitter, planted in the stream and taken the whole path. Where it cannot
change the function, the reason stands instead.
"""


def fenced(text: str) -> str:
    """Text as it is."""
    return f"```\n{text}```\n"


def versions(rows: list[Row]) -> list[list[str]]:
    """A line for each planet: the packages that its rows were made with."""
    found: dict[str, set[str]] = {}
    for row in rows:
        text = ", ".join(f"{name} {number}" for name, number in sorted(row.made["versions"].items()))
        found.setdefault(row.planet, set()).add(text)
    return [[planet, "; ".join(sorted(texts))] for planet, texts in found.items()]


def markdown(lines: list[list[str]]) -> str:
    """A table, the first line its head."""
    head, *rest = [[text.replace("|", "\\|") for text in line] for line in lines]
    return "".join(f"| {' | '.join(line)} |\n" for line in (head, ["---"] * len(head), *rest))
