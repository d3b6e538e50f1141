"""`python -m planetbridging.bedrock.own`: the steps of our own fixtures, called by the Makefile.

Exit status: 0 done, 1 a verdict is not as it should be, 2 usage, 3 data at fault, 4 machine at fault.
"""

from __future__ import annotations

import argparse
import difflib
import json
import os
import sys
import time

from ... import arrays, programs
from .. import facts as fact
from . import all as fixtures
from .case import PLANETS

DIR = "build/bedrocks-own"


def main(argv: list[str] | None = None) -> int:
    """Run one step and return its exit status."""
    arguments = make_parser().parse_args(argv)
    return programs.exit_status(arguments.step, arguments, "bedrock")


def make_parser() -> argparse.ArgumentParser:
    """The steps and their arguments."""
    parser = argparse.ArgumentParser(prog="own", description=__doc__.split("\n")[0])
    steps = parser.add_subparsers(metavar="STEP", required=True)
    for step in (draw, speak, judge, table):
        parts = steps.add_parser(step.__name__, help=step.__doc__, description=step.__doc__)
        parts.add_argument("--dir", default=DIR, help=f"folder of all runs ({DIR})")
        parts.add_argument("--kinds", nargs="+", choices=fact.KINDS, default=fact.KINDS,
                           help="these alone")
        parts.set_defaults(step=step)
    for name in ("speak", "judge"):
        steps.choices[name].add_argument("planet", metavar="PLANET", choices=PLANETS)
    steps.choices["table"].add_argument("labels", metavar="LABELS")
    steps.choices["table"].add_argument("--planets", nargs="+", choices=PLANETS, default=PLANETS,
                                        help="these alone")
    return parser


def draw(arguments) -> int:
    """print the seed and the digest of every fixture, for fixtures/bedrocks/own/drawn.json"""
    print(json.dumps(fixtures.record(), indent=1))
    return 0


def speak(arguments) -> int:
    """let one planet make its files, where they are not up to date"""
    from . import speaking

    begun = time.monotonic()
    made, count = speaking.run(arguments.planet, arguments.kinds, arguments.dir)
    print(f"{arguments.planet}: {made} of {count} own fixtures made in "
          f"{time.monotonic() - begun:.0f} s", flush=True)
    return 0


def judge(arguments) -> int:
    """take all fixtures of one planet through the programs, with every planted fault"""
    from . import judging

    begun = time.monotonic()
    count = 0
    for kind in arguments.kinds:
        for case in fixtures.of(kind):
            place = os.path.join(arguments.dir, kind, arguments.planet, case.id)
            if arguments.planet in case.planets and os.path.exists(os.path.join(place, "made.json")):
                judging.judge(place, kind, arguments.planet)
                count += 1
    print(f"{arguments.planet}: {count} own fixtures judged in {time.monotonic() - begun:.0f} s",
          flush=True)
    return 0


def table(arguments) -> int:
    """print and write the tables and the labels; 1 if a row, a fault or a label is not as it should be"""
    from . import tables

    found = tables.rows(arguments.dir, arguments.kinds, arguments.planets)
    lines = tables.apart(arguments.dir, arguments.kinds)
    text, made = tables.page(found, lines), tables.labels(found, lines)
    changed = changes(arguments.labels, made)
    closing, failed = tables.closing(found, lines, bool(changed))
    for name, content in (("table.txt", text), ("labels", made)):
        with arrays.binary_output(os.path.join(arguments.dir, name)) as out:
            out.write(content.encode())
    print(text)
    print(changed, end="")
    print(closing)
    return 1 if failed else 0


def changes(path: str, made: str) -> str:
    """How labels differ from those kept in the file at `path`, in the lines that both could have."""
    names = {line.split(" ")[0] for line in made.splitlines()}
    with open(path, encoding="utf-8") as file:
        wanted = [line for line in file if line.split(" ")[0] in names]
    return "".join(difflib.unified_diff(wanted, made.splitlines(keepends=True), path, "labels", n=0))


if __name__ == "__main__":
    sys.exit(main())
