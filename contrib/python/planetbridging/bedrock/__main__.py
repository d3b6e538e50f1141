"""`python -m planetbridging.bedrock`: the steps of a bedrock that need Python, as the Makefile calls them.

Exit status: 0 done, 1 a verdict is not as it should be, 2 usage, 3 data at fault, 4 machine at fault.
"""

from __future__ import annotations

import argparse
import difflib
import os
import sys
import time

from .. import arrays
from ..graph import BridgeError, MachineError
from ..programs import ProgramError
from . import dense, tables


def main(argv: list[str] | None = None) -> int:
    """Run one step and return its exit status."""
    arguments = make_parser().parse_args(argv)
    try:
        return arguments.step(arguments)
    except ProgramError as error:
        print(error, file=sys.stderr)
        return error.status
    except (BridgeError, MachineError, OSError) as error:
        print(f"bedrock: {error}", file=sys.stderr)
        return 3 if isinstance(error, BridgeError) else 4


def make_parser() -> argparse.ArgumentParser:
    """The steps and their arguments."""
    parser = argparse.ArgumentParser(prog="bedrock", description=__doc__.split("\n")[0])
    steps = parser.add_subparsers(metavar="STEP", required=True)
    for step, meaning, names in (
            (fixture, "make the fixture", ("FACTS", "OUTPUT")),
            (train, "train all models on one planet", ("FACTS", "FIXTURE", "PLANET", "DIR")),
            (faults, "plant faults in one model and judge them", ("FACTS", "DIR")),
            (table, "join the verdicts of planets", ("FACTS", "LABELS", "DIR", "PLANETS"))):
        parts = steps.add_parser(step.__name__, help=meaning, description=meaning)
        for name in names:
            parts.add_argument(name.lower(), metavar=name, nargs="+" if name == "PLANETS" else None)
        parts.set_defaults(step=step)
    steps.choices["table"].add_argument("--faults-only", action="store_true",
                                        help="judge the planted faults alone")
    return parser


def fixture(arguments) -> int:
    """FACTS to the fixture's .npz."""
    dense.write_fixture(dense.read_facts(arguments.facts), arguments.output)
    return 0


def train(arguments) -> int:
    """One planet's models to DIR/MODEL/{model.stream,input.npy,native.npy,settings.json}."""
    begun = time.monotonic()
    facts = dense.read_facts(arguments.facts)
    data = arrays.read_arrays(arguments.fixture)
    dense.run_planet(facts, arguments.planet, data, arguments.dir)
    print(f"{arguments.planet}: {len(facts.models)} models trained in {time.monotonic() - begun:.0f} s")
    return 0


def faults(arguments) -> int:
    """DIR/model.stream to DIR/faults.ndjson; the verdicts are recorded, not judged."""
    from .faults import run

    run(arguments.dir, compare_options(dense.read_facts(arguments.facts)))
    return 0


def compare_options(facts: dense.Facts) -> list[str]:
    """How loom-compare judges this bedrock: absolutely, by the reference's tolerance."""
    return ["--atol", str(facts.tolerance), "--scale", "none"]


def table(arguments) -> int:
    """Print and write the tables and the labels; 1 if a label, or a fault's, is not as it should be."""
    facts = dense.read_facts(arguments.facts)
    planets, models = arguments.planets, [m.id for m in facts.models]
    place = {(p, m): os.path.join(arguments.dir, p, m) for p in planets for m in models}
    cells = {} if arguments.faults_only else {key: tables.read_cell(f) for key, f in place.items()}
    records = {key: tables.read_faults(folder) for key, folder in place.items()}
    text, changed = tables.fault_table(records, planets, models), ""
    target = os.path.join(arguments.dir, planets[0] if len(planets) == 1 else "")
    if cells:
        text = tables.verdict_table(cells, planets, models) + "\n" + text
        lines = tables.labels(cells)
        changed = changes(arguments.labels, lines, planets)
        write_text(os.path.join(target, "labels"), lines)
    write_text(os.path.join(target, "faults.txt" if arguments.faults_only else "table.txt"), text)
    print(text)
    print(changed, end="")
    return summary(facts, cells, records, bool(changed))


def write_text(path: str, text: str) -> None:
    """A file that appears when complete."""
    with arrays.binary_output(path) as out:
        out.write(text.encode())


def changes(path: str, lines: str, planets) -> str:
    """How the labels differ from those of these planets in the file at `path`, as a diff."""
    with open(path, encoding="utf-8") as file:
        wanted = [line for line in file if line.split("/")[0] in planets]
    return "".join(difflib.unified_diff(wanted, lines.splitlines(keepends=True), path, "labels", n=0))


def summary(facts, cells, records, changed: bool) -> int:
    """The closing lines; the last is "N passed, N failed"."""
    same = sum(cell.same for cell in cells.values())
    judged = [record["label"] for found in records.values() for record in found.values()
              if "label" in record]
    caught = judged.count("DIFF")
    if cells:
        print(f"{same} of {len(cells)} PASS at {facts.tolerance:g}")
    print(f"{caught} of {len(judged)} planted faults reported DIFF")
    passed, failed = same + caught, len(cells) - same + len(judged) - caught
    failed += bool(changed and not failed)  # labels better than those that were kept, or none kept
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or not judged else 0


if __name__ == "__main__":
    sys.exit(main())
