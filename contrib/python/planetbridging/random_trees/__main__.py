"""Random module trees of a planet on the whole path.

python -m planetbridging.random_trees PLANET [--seed N] [--count 50] [--only K]
"""

from __future__ import annotations

import argparse
import sys
import time

from .. import programs
from . import run


def arguments(given=None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m planetbridging.random_trees", description=__doc__.split("\n")[0])
    parser.add_argument("planet", choices=run.PLANETS)
    parser.add_argument("--seed", type=int, default=0, help="the first tree's seed (0)")
    parser.add_argument("--count", type=int, default=50, help="how many trees, of one seed after the other (50)")
    parser.add_argument("--only", type=int, metavar="K", help="the tree of seed K alone, described")
    return parser.parse_args(given)


def trees(options) -> int:
    """Judge them; 1 if one fails."""
    seeds = range(options.seed, options.seed + options.count) if options.only is None else [options.only]
    begun, failed = time.process_time(), 0
    for seed in seeds:
        tree = run.tree_of(options.planet, seed)
        verdict = run.judge(tree)
        failed += bool(verdict.trouble)
        if verdict.trouble or options.only is not None:
            print(verdict, flush=True)
    print(f"{options.planet}: {len(seeds) - failed} passed, {failed} failed "
          f"({time.process_time() - begun:.0f} s)")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(programs.exit_status(trees, arguments(), "planetbridging.random_trees"))
