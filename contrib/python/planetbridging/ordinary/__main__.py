"""`python -m planetbridging.ordinary`: the steps of the ordinary networks, called by the Makefile.

Exit status: 0 done, 1 a verdict is not as it should be, 2 usage, 3 data at fault, 4 machine at fault.
"""

from __future__ import annotations

import argparse
import os
import sys
import time

from .. import arrays, programs
from ..bedrock.own.__main__ import changes
from . import judging, speaking, tables
from .row import PLANETS

DIR = "build/networks"


def main(argv: list[str] | None = None) -> int:
    """Run one step and return its exit status."""
    arguments = make_parser().parse_args(argv)
    return programs.exit_status(arguments.step, arguments, "networks")


def make_parser() -> argparse.ArgumentParser:
    """The steps and their arguments."""
    parser = argparse.ArgumentParser(prog="ordinary", description=__doc__.split("\n")[0])
    steps = parser.add_subparsers(metavar="STEP", required=True)
    for step in (speak, judge, table):
        parts = steps.add_parser(step.__name__, help=step.__doc__, description=step.__doc__)
        parts.add_argument("--dir", default=DIR, help=f"folder of all runs ({DIR})")
        parts.add_argument("--only", nargs="+", default=(), metavar="ID", help="these networks alone")
        parts.set_defaults(step=step)
    for name in ("speak", "judge"):
        steps.choices[name].add_argument("planet", metavar="PLANET", choices=PLANETS)
    steps.choices["table"].add_argument("labels", metavar="LABELS")
    return parser


def speak(arguments) -> int:
    """let one planet make its files, where they are not up to date"""
    begun = time.monotonic()
    made, count = speaking.run(arguments.planet, arguments.dir, arguments.only)
    print(f"{arguments.planet}: {made} of {count} networks made in {time.monotonic() - begun:.0f} s",
          flush=True)
    return 0


def judge(arguments) -> int:
    """take all networks of one planet through the programs, with planted mistakes"""
    begun, count = time.monotonic(), 0
    place = os.path.join(arguments.dir, arguments.planet)
    for name in sorted(os.listdir(place)):
        folder = os.path.join(place, name)
        wanted = not arguments.only or name in arguments.only
        if wanted and os.path.exists(os.path.join(folder, "made.json")):
            judging.judge(folder)
            count += 1
    print(f"{arguments.planet}: {count} networks judged in {time.monotonic() - begun:.0f} s", flush=True)
    return 0


def table(arguments) -> int:
    """print and write the table and the labels; 1 if a row, a mistake or a label is not as it should be"""
    found = [row for row in tables.rows(arguments.dir, PLANETS)
             if not arguments.only or row.id in arguments.only]
    made = tables.labels(found)
    changed = changes(arguments.labels, made)
    closing, failed = tables.closing(found, bool(changed))
    text = "\n".join([tables.table(found), tables.NOTES, tables.trouble(found)])
    for name, content in (("table.txt", text), ("labels", made)):
        with arrays.binary_output(os.path.join(arguments.dir, name)) as out:
            out.write(content.encode())
    print(text)
    print(changed, end="")
    print(closing)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
