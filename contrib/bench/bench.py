"""Measures where we stand: bench.txt, bench.json (schemas/bench.json) and bench.svg in one folder.

Contestants work by turns in one run; the tables hold medians, and ratios: their time by ours.  Others who
are not installed are left out; the status is 1 where one of ours failed.
"""

from __future__ import annotations

import argparse
import datetime
import importlib
import json
import os
import platform
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import plot
import results
import sets
from contest import BIN, Pace

BENCHES = {**dict.fromkeys(("products", "small", "few", "one"), "products"), "cores": "cores",
           **dict.fromkeys(("mlp", "attention", "convolution", "recurrent", "rows"), "layers"),
           "whole": "whole", "paths": "paths", "start": "paths", "emitting": "emitting",
           "requesting": "requesting", "interop": "interop"}
"""Each is a table, which a module's `bench` makes."""


def arguments(given: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench.py", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("benches", nargs="*", metavar="BENCH", help=f"of {', '.join(BENCHES)}; default: all")
    parser.add_argument("--into", type=Path, default=Path("."), metavar="FOLDER", help="where results go")
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="turns of each contestant")
    parser.add_argument("--seconds", type=float, default=0.1, metavar="S", help="length of a turn")
    parser.add_argument("--quick", action="store_true", help="tiny cases, to see that all of it works")
    asked = parser.parse_args(given)
    asked.into = asked.into.resolve()
    for name in asked.benches:
        if name not in BENCHES:
            parser.error(f"{name}: not one of {', '.join(BENCHES)}")
    return asked


def processor() -> str:
    try:
        found = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    except OSError:
        found = None
    return found[1] if found else platform.machine()


def machine(pace: Pace) -> dict:
    said = subprocess.run([BIN / "loom-infer", "--version"], capture_output=True, text=True, check=True)
    return {"processor": processor(), "cores": os.cpu_count(), "system": platform.platform(),
            "sets": sets.here(), "absent": [name for name in sets.NAMES if sets.trouble(name)],
            "version": said.stdout.split()[1], "compiler": BIN.parent.name,
            "date": datetime.date.today().isoformat(), "rounds": pace.rounds, "seconds": pace.seconds}


def main(given: list[str]) -> None:
    asked = arguments(given)
    pace = Pace(asked.rounds, asked.seconds, asked.quick)
    if asked.quick:
        pace.rounds, pace.seconds = 1, 0.001
    tables = []
    for name in asked.benches or BENCHES:
        with tempfile.TemporaryDirectory(dir=asked.into) as folder:
            tables.append(importlib.import_module(BENCHES[name]).bench(name, Path(folder), pace))
    found = results.document(machine(pace), tables)
    asked.into.joinpath("bench.json").write_text(json.dumps(found, indent=1) + "\n")
    asked.into.joinpath("bench.txt").write_text(results.text(found))
    asked.into.joinpath("bench.svg").write_text(plot.svg(found))
    print(results.text(found), end="")
    if failed := results.failures(found):
        sys.exit("bench: " + failed[0])


if __name__ == "__main__":
    main(sys.argv[1:])
