"""`python -m planetbridging.bedrock`: the steps of bedrocks that need Python, called by the Makefile.

Exit status: 0 done, 1 a verdict is not as it should be, 2 usage, 3 data at fault, 4 machine at fault.
"""

from __future__ import annotations

import argparse
import difflib
import os
import sys
import time

from .. import arrays, programs
from ..graph import BridgeError
from . import facts as fact, tables, verdicts
from .faults import PLANTERS
from .trained import MODES

DIR = "build/bedrocks"


def main(argv: list[str] | None = None) -> int:
    """Run one step and return its exit status."""
    arguments = make_parser().parse_args(argv)
    return programs.exit_status(arguments.step, arguments, "bedrock")


def make_parser() -> argparse.ArgumentParser:
    """The steps and their arguments."""
    parser = argparse.ArgumentParser(prog="bedrock", description=__doc__.split("\n")[0])
    steps = parser.add_subparsers(metavar="STEP", required=True)
    named = {"KIND": {"choices": fact.KINDS}, "KINDS": {"choices": fact.KINDS, "nargs": "+"},
             "PLANET": {"choices": fact.PLANETS}}
    for step, names in ((fixture, ("KIND", "OUTPUT")), (run, ("PLANET", "KINDS")),
                        (faults, ("KIND", "FOLDER")), (table, ("LABELS", "KINDS")),
                        (store, ("PLANET", "KINDS")), (scoreboard, ("OUTPUT",))):
        parts = steps.add_parser(step.__name__, help=step.__doc__, description=step.__doc__)
        for name in names:
            parts.add_argument(name.lower(), metavar=name.removesuffix("S"), **named.get(name, {}))
        parts.add_argument("--dir", default=DIR, help=f"folder of all runs ({DIR})")
        parts.set_defaults(step=step)
    steps.choices["run"].add_argument("--train", choices=MODES, default="full", help="how (full)")
    steps.choices["faults"].add_argument("--atol", required=True, help="loom-compare's tolerance")
    steps.choices["table"].add_argument("--planets", nargs="+", choices=fact.PLANETS,
                                        default=fact.PLANETS, help="these alone")
    steps.choices["table"].add_argument("--faults-only", action="store_true",
                                        help="judge the planted faults alone")
    steps.choices["scoreboard"].add_argument("--partial", action="store_true",
                                             help="write about what was not run, too")
    return parser


def fixture(arguments) -> int:
    """make a kind's fixture, an .npz"""
    from . import fixture as made

    made.write(fact.of(arguments.kind), arguments.output)
    return 0


def run(arguments) -> int:
    """write the files of all models of some kinds on one planet, where they are not up to date"""
    from . import living

    begun = time.monotonic()
    chosen = [facts for facts in map(fact.of, arguments.kinds) if arguments.planet in facts.planets]
    count = living.run(arguments.planet, chosen, arguments.dir, arguments.train,
                       os.path.join(arguments.dir, "trained"))
    print(f"{arguments.planet}: {count} of {sum(len(facts.models) for facts in chosen)} models made "
          f"in {time.monotonic() - begun:.0f} s", flush=True)
    return 0


def faults(arguments) -> int:
    """plant faults in FOLDER/model.stream and record what the whole path says of them"""
    from .faults import run as plant

    plant(arguments.kind, arguments.folder, ["--atol", arguments.atol])
    return 0


def table(arguments) -> int:
    """print and write the tables and the labels; 1 if a row, a fault or a label is not as it should be"""
    rows = read_rows(arguments.dir, arguments.kinds, arguments.planets)
    text, changed = "\n".join(map(tables.aligned, tables.fault_rows(rows))), ""
    if arguments.faults_only:
        closing, failed = tables.closing_faults(rows)
        write_text(os.path.join(arguments.dir, "faults.txt"), text)
    else:
        parts = (tables.aligned(tables.row_rows(rows)), text,
                 tables.aligned(tables.summary_rows(rows, arguments.kinds, arguments.planets)),
                 tables.named(rows))
        text, changed = "\n".join(filter(None, parts)), changes(arguments.labels, rows)
        faulty = any(kind in PLANTERS for kind in arguments.kinds)
        closing, failed = tables.closing(rows, bool(changed), faulty)
        write_text(os.path.join(arguments.dir, "labels"), tables.labels(rows))
        write_text(os.path.join(arguments.dir, "table.txt"), text)
    print(text)
    print(changed, end="")
    print(closing)
    return 1 if failed else 0


def read_rows(folder: str, kinds, planets) -> list[verdicts.Row]:
    """Every model of these kinds on those of these planets that the kind is for."""
    return [verdicts.read(folder, kind, planet, model.id)
            for kind in kinds for facts in (fact.of(kind),)
            for planet in planets if planet in facts.planets for model in facts.models]


def write_text(path: str, text: str) -> None:
    """A file that appears when complete."""
    with arrays.binary_output(path) as out:
        out.write(text.encode())


def changes(path: str, rows: list[verdicts.Row]) -> str:
    """How the labels of `rows` differ from those kept in the file at `path`, as a diff."""
    names = {row.name for row in rows}
    with open(path, encoding="utf-8") as file:
        wanted = [line for line in file if line.split(" ")[0] in names]
    found = tables.labels(rows).splitlines(keepends=True)
    return "".join(difflib.unified_diff(wanted, found, path, "labels", n=0))


def store(arguments) -> int:
    """write fixtures/bedrocks/stored/PLANET/KIND.safetensors from trainings of full length"""
    from . import fixture as made, trained, training

    training.prepare(arguments.planet)
    for facts in map(fact.of, arguments.kinds):
        path = trained.store(arguments.planet, facts, made.make(facts),
                             os.path.join(arguments.dir, "trained"))
        print(f"{os.path.relpath(path)}: {os.path.getsize(path)} bytes")
    return 0


def scoreboard(arguments) -> int:
    """write a page about all reports"""
    from . import score

    if not arguments.partial:
        refuse_unfinished(arguments.dir)
    write_text(arguments.output, score.page(read_rows(arguments.dir, fact.KINDS, fact.PLANETS)))
    return 0


def refuse_unfinished(folder: str) -> None:
    """BridgeError where a model has not been run: a page about a part would look like failures."""
    models = [os.path.join(kind, planet, model.id) for kind in fact.KINDS for facts in (fact.of(kind),)
              for planet in fact.PLANETS if planet in facts.planets for model in facts.models]
    missing = [m for m in models if not os.path.exists(os.path.join(folder, m, "report.ndjson"))]
    if missing:
        raise BridgeError(f"{folder}: {len(missing)} of {len(models)} networks have no report "
                          f"({missing[0]} is the first): run make bedrocks before make scoreboard")


if __name__ == "__main__":
    sys.exit(main())
