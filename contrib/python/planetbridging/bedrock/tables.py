"""The verdicts of bedrocks joined: kind by planet, rows by name, and labels made to be diffed."""

from __future__ import annotations

from .verdicts import SAME, Row

ROUNDING_MOST = 6
"""So many rows may be explained by the framework's own rounding."""


def labels(rows: list[Row]) -> str:
    """One line for each row, sorted: what may be committed and diffed."""
    return "".join(sorted(f"{row.name} {label(row)}\n" for row in rows))


def label(row: Row) -> str:
    """same, different or error, and what else a reader must know.

    A framework's own rounding is left to the tables: it may differ between processors.
    """
    if row.record is None:
        return "error"
    words = ["same" if row.same else "different"]
    if row.record.vacuous:
        words.append("vacuous")
    if row.usual.label not in SAME and not row.why:
        words.append("float32=different")
    return " ".join(words)


def summary_rows(rows: list[Row], kinds, planets) -> list[list[str]]:
    """Kind by planet: how many rows are the same, and the greatest distance from float64."""
    lines = [["bedrock", *planets, "numpy", "weights"]]
    for kind in kinds:
        mine = [row for row in rows if row.kind == kind]
        lines.append([kind, *(cell([row for row in mine if row.planet == p]) for p in planets),
                      numpy_cell(mine), weights(mine)])
    return lines


def cell(rows: list[Row]) -> str:
    """"12/12 3.1e-08": rows that are the same, and the greatest relative distance."""
    if not rows:
        return "-"
    done = [row for row in rows if row.record is not None]
    worst = max((row.record.relative for row in done), default=float("nan"))
    mark = " composed" if any(row.made["composed"] for row in done) else ""
    return f"{sum(row.same for row in rows)}/{len(rows)} {worst:.1e}{mark}"


def numpy_cell(rows: list[Row]) -> str:
    """The greatest distance of loom and of the frameworks' float64 from our own formulas."""
    done = [row for row in rows if row.record is not None]
    worst = [max((getattr(row, name).relative for row in done), default=float("nan"))
             for name in ("numpy", "oracle")]
    return "loom {:.1e} float64 {:.1e}".format(*worst)


def weights(rows: list[Row]) -> str:
    """How the weights came to be; several ways if reports of several runs are joined."""
    return ", ".join(sorted({row.made["weights"] for row in rows if row.made})) or "-"


def row_rows(rows: list[Row]) -> list[list[str]]:
    """Every row: the verdict of record, the float32 column, NumPy."""
    lines = [["bedrock/planet/model", "float64", "distance", "float32", "numpy-loom", "numpy-float64",
              "notes"]]
    for row in rows:
        if row.record is None:
            lines.append([row.name, "ERROR", "-", "-", "-", "-", row.error])
            continue
        lines.append([row.name, row.label, f"{row.record.relative:.1e}", row.usual_text,
                      f"{row.numpy.relative:.1e}", f"{row.oracle.relative:.1e}", "; ".join(notes(row))])
    return lines


def notes(row: Row) -> list[str]:
    """What a reader should know of a row besides its numbers."""
    made = [f"vacuous: {row.proves_nothing}"] if row.proves_nothing else []
    if row.made.get("composed"):
        made.append(f"composed: {', '.join(row.made['composed'])}")
    return made


def named(rows: list[Row]) -> str:
    """The rows that a reader must not overlook, by name."""
    rounding = [f"{row.name}: {row.usual_text}" for row in rows if row.why]
    vacuous = [f"{row.name}: {row.proves_nothing}" for row in rows if row.proves_nothing]
    failed = [f"{row.name}: {why_failed(row)}" for row in rows if not row.passed]
    parts = (("DIFF by the framework's own float32 alone", rounding),
             ("proves nothing, or in part", vacuous), ("FAILED", failed))
    return "".join(f"{title}:\n" + "".join(f"  {line}\n" for line in lines)
                   for title, lines in parts if lines)


def why_failed(row: Row) -> str:
    """The message of the step that failed, or both verdicts."""
    if row.error:
        return row.error
    return f"{row.label} {row.record.relative:.1e}, float32 {row.usual_text}"


def fault_rows(rows: list[Row]) -> list[list[list[str]]]:
    """What the whole path said of every planted fault, or why that fault cannot change the function.

    One table for each kind.
    """
    made = []
    for kind in dict.fromkeys(row.kind for row in rows if row.faults):
        mine = [row for row in rows if row.kind == kind and row.faults]
        names = list(dict.fromkeys(record["fault"] for row in mine for record in row.faults))
        lines = [["planted fault", *names]]
        for row in mine:
            found = {record["fault"]: fault_text(record) for record in row.faults}
            lines.append([row.name, *(found.get(name, "-") for name in names)])
        made.append(lines)
    return made


def fault_text(record: dict) -> str:
    """A cell of the fault table."""
    if "why_not" in record:
        return f"- ({record['why_not']})"
    return f"{record['label']} {record['max_abs']:.2g}"


def aligned(rows: list[list[str]]) -> str:
    """Rows as text, each column as wide as its widest cell."""
    widths = [max(map(len, column)) for column in zip(*rows)]
    return "".join("  ".join(text.ljust(width) for text, width in zip(row, widths)).rstrip() + "\n"
                   for row in rows)


def closing(rows: list[Row], changed: bool, faulty: bool) -> tuple[str, int]:
    """(the closing lines, how many failed); the last line is "N passed, N failed".

    `changed`: the labels are not those that were kept; `faulty`: faults must have been planted.
    """
    done = [row for row in rows if row.record is not None]
    rounding = sum(bool(row.why) for row in rows)
    passed, lines = sum(row.passed for row in rows), []
    failed = len(rows) - passed
    if done:
        lines += [f"{sum(row.same for row in rows)} of {len(rows)} within "
                  f"{done[0].record.atol:g} of float64",
                  f"{sum(row.usual.label in SAME for row in done)} of {len(rows)} within "
                  f"{done[0].usual.atol:g} of float32, {rounding} native-rounding"]
    if rounding > ROUNDING_MOST:
        lines.append(f"at most {ROUNDING_MOST} rows may be native-rounding")
        failed += 1
    if faulty:
        judged, caught, line = fault_counts(rows)
        lines.append(line)
        passed, failed = passed + caught, failed + judged - caught + (not judged)
    failed += bool(changed and not failed)  # labels better than those that were kept, or none kept
    return "\n".join([*lines, f"{passed} passed, {failed} failed"]), failed


def closing_faults(rows: list[Row]) -> tuple[str, int]:
    """The same for the planted faults alone."""
    judged, caught, line = fault_counts(rows)
    failed = judged - caught + (not judged)
    return f"{line}\n{caught} passed, {failed} failed", failed


def fault_counts(rows: list[Row]) -> tuple[int, int, str]:
    """(faults that were judged, those reported DIFF, a line that says so)."""
    labels_found = [record["label"] for row in rows for record in row.faults if "label" in record]
    caught = labels_found.count("DIFF")
    return len(labels_found), caught, f"{caught} of {len(labels_found)} planted faults reported DIFF"
