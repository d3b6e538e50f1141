"""`python -m planetbridging.ladder`: the ladder for what bedrocks made, called by the Makefile.

Exit status: 0 every row is explained and the labels are those that were kept, 1 not so, 2 usage,
3 data at fault, 4 machine at fault, 77 there is no real Loom to ask.
"""

from __future__ import annotations

import argparse
import difflib
import os
import sys
from glob import glob

import numpy as np

from .. import arrays, programs, witness
from ..bedrock import facts as fact
from ..stream import StreamDocument
from . import rungs, tables

PLANET = "pytorch"

OWN = ("mixer",)
"""Of these kinds our own fixtures are climbed too: the reference's mixers answer next to nothing."""


def main(argv: list[str] | None = None) -> int:
    """Climb, print, compare with the labels; the exit status."""
    arguments = make_parser().parse_args(argv)
    why = witness.missing()
    if why:
        print(f"SKIPPED: {why}\n0 passed, 0 failed, 1 skipped")
        return 77
    return programs.exit_status(run, arguments, "ladder")


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="ladder", description=__doc__.split("\n")[0])
    parser.add_argument("labels", metavar="LABELS", help="the labels that were kept")
    parser.add_argument("kinds", metavar="KIND", nargs="+", choices=fact.KINDS)
    parser.add_argument("--dir", default="build/bedrocks", help="folder of all runs (build/bedrocks)")
    parser.add_argument("--own", default="build/bedrocks-own", help="that of our own fixtures")
    return parser


def run(arguments) -> int:
    rows = []
    for name, place in places(arguments):
        document, inputs, exact = read_own(place) if name.startswith("own/") else read(place)
        rows.append(rungs.climb(name, document, inputs, exact))
    text, kept = tables.table(rows), tables.labels(rows)
    for path, content in (("ladder.txt", text), ("ladder.labels", kept)):
        with arrays.binary_output(os.path.join(arguments.dir, path)) as out:
            out.write(content.encode())
    changed = changes(arguments.labels, kept)
    print(text + changed + tables.closing(rows, bool(changed)))
    return 1 if changed or any(row.fault for row in rows) else 0


def places(arguments):
    """(name, folder) of every model: those of the kinds' facts, then our own."""
    for kind in arguments.kinds:
        for model in fact.of(kind).models:
            name = f"{kind}/{PLANET}/{model.id}"
            yield name, os.path.join(arguments.dir, name)
    for kind in (kind for kind in OWN if kind in arguments.kinds):
        for made in sorted(glob(os.path.join(arguments.own, kind, PLANET, "*", "made.json"))):
            place = os.path.dirname(made)
            yield f"own/{os.path.relpath(place, arguments.own)}", place


def read(place: str):
    """(document, inputs, float64 answer) of a bedrock's folder."""
    document = read_stream(place)
    path = os.path.join(place, "input.npz")
    inputs = arrays.read_arrays(path if os.path.exists(path) else path.removesuffix("z") + "y")
    (exact,) = arrays.read_arrays(os.path.join(place, "native64.npy")).values()
    return document, by_name(document, inputs), exact


def read_own(place: str):
    """The same of one of our own fixtures, its first run."""
    document = read_stream(place)
    inputs, taps = (arrays.read_arrays(os.path.join(place, "0", f"{name}.npz"))
                    for name in ("input", "taps64"))
    return document, by_name(document, inputs), taps[document.head["outputs"][0]]


def read_stream(place: str) -> StreamDocument:
    with open(os.path.join(place, "model.stream"), "rb") as file:
        return StreamDocument.parse(file)


def by_name(document: StreamDocument, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """A single input has the stream's name."""
    names = [item["name"] for item in document.head["inputs"]]
    return dict(zip(names, inputs.values())) if len(names) == len(inputs) == 1 else inputs


def changes(path: str, found: str) -> str:
    """How the labels differ from those kept at `path`, of the same rows, as a diff."""
    names = {line.split(" ")[0] for line in found.splitlines()}
    with open(path, encoding="utf-8") as file:
        wanted = [line for line in file if line.split(" ")[0] in names]
    lines = found.splitlines(keepends=True)
    return "".join(difflib.unified_diff(wanted, lines, path, "ladder.labels", n=0))


if __name__ == "__main__":
    sys.exit(main())
