"""The ladder's table, the labels made to be diffed, and the closing lines."""

from __future__ import annotations

import math

from .rungs import Row, Rung

HEAD = ["network", "native-loom", "Loom, plain file", "its sample", "Loom, batch", "Loom, lowered file",
        "defects that show", "verdict"]


def table(rows: list[Row]) -> str:
    """Every row, its columns aligned, and below what does not fit into a cell."""
    lines = [HEAD, *map(cells, rows)]
    widths = [max(map(len, column)) for column in zip(*lines)]
    text = "".join("  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip() + "\n"
                   for line in lines)
    return text + "".join(f"{row.name}: {note}\n" for row in rows for note in notes(row))


def cells(row: Row) -> list[str]:
    shape = "[" + ",".join(map(str, row.plain.shape)) + "]"
    lowered = "refused" if row.lowered is None else shown(row.lowered)
    defects = ", ".join(map(defect(row), row.shown)) or "-"
    return [row.name, shown(row.loom), shown(row.plain), shape,
            shown(row.batch) if row.batch else "-", lowered, defects,
            "FAILED" if row.fault else "ok"]


def defect(row: Row):
    """A function: name of a loss to that name and how far it goes alone."""
    alone = {loss.name: loss.alone for loss in row.losses}

    def text(name: str) -> str:
        return name if alone[name] in (None, math.inf) else f"{name} {alone[name]:.1e}"
    return text


def shown(rung: Rung) -> str:
    """The relative distance, and where it is too great the absolute one."""
    if rung.why:
        return rung.why if "values" in rung.why else "dies"
    return f"{rung.relative:.1e}" + ("" if rung.right else f" (abs {rung.absolute:.2g})")


def notes(row: Row) -> list[str]:
    """What a reader should know besides: faults, ends of processes, what is not seen here."""
    made = [f"FAILED: {row.fault}"] if row.fault else []
    if row.vacuous:
        made.append(f"vacuous: no answer is greater than {row.greatest:.1e}")
    for rung in (row.plain, row.batch):
        if rung is not None and shown(rung) == "dies":
            made.append(f"Loom, asked with {list(rung.shape)}: {rung.why}")
    if row.lowered_for:
        made.append(f"lowered for {row.lowered_for}")
    if row.refused:
        made.append(f"not lowered: {row.refused}")
    unseen = [loss.name for loss in row.losses if loss.name not in row.shown]
    if unseen:
        made.append(f"makes no difference here: {', '.join(unseen)}")
    return made


def labels(rows: list[Row]) -> str:
    """One line for each row, sorted: what may be committed and diffed."""
    return "".join(sorted(f"{row.name} {label(row)}\n" for row in rows))


def label(row: Row) -> str:
    """How each rung ends and the defects that show, without numbers."""
    lowered = "refused" if row.lowered is None else word(row.lowered)
    words = ["ok" if not row.fault else "failed", f"plain={word(row.plain)}",
             f"batch={word(row.batch) if row.batch else '-'}", f"lowered={lowered}"]
    if row.shown:
        words.append("shows=" + ",".join(name.replace(" ", "-") for name in row.shown))
    return " ".join(words + ["vacuous"] * row.vacuous)


def word(rung: Rung) -> str:
    return "same" if rung.right else "dies" if shown(rung) == "dies" else "different"


def closing(rows: list[Row], changed: bool = False) -> str:
    """How many rows Loom answers right, and "N passed, N failed".

    `changed`: the labels are not those that were kept.
    """
    plain, lowered = (sum(bool(rung and rung.right) for rung in rungs)
                      for rungs in ([row.plain for row in rows], [row.lowered for row in rows]))
    either = sum(bool(row.plain.right or row.lowered and row.lowered.right) for row in rows)
    failed = sum(bool(row.fault) for row in rows)
    passed, failed = len(rows) - failed, failed or int(changed)
    return (f"real Loom is right on {plain} plain and {lowered} lowered files, on one or the other "
            f"of {either} of {len(rows)} networks\n{passed} passed, {failed} failed")
