#!/usr/bin/env python3
"""All calls of the package, in nine sections.

    python 06_showcase_everything.py [--quick] [--no-welvet]

  --quick       three bedrocks instead of thirteen
  --no-welvet   do not ask real Loom

Sections that need a framework that is not installed say so.  Exit status 0 only if all agree.
"""

import argparse
import sys

from _helpers import OK, farthest, output_dir, print_result, require_programs

BINARY = require_programs()

import numpy as np  # noqa: E402

import planetbridging  # noqa: E402
from planetbridging import (BEDROCK_IDS, BEDROCK_PLANETS, BEDROCKS, absorb, compare_outputs,  # noqa: E402
                            diff_label, engines, testing, witness)

FAILED = []


def section(number, title):
    print(f"\n{number}. {title}\n{'-' * (len(title) + 3)}")


def judge(name, label, rest=""):
    """Print a line; what is neither PASS nor EXACT is remembered."""
    print(f"  {name:<22} {label:<5}  {rest}")
    if label not in OK:
        FAILED.append(name)


def catalog():
    section(1, "What there is")
    print(f"  planetbridging {planetbridging.__version__}, programs: {BINARY}")
    for name in BEDROCK_IDS:
        info = BEDROCKS[name]
        print(f"  {name:<10} {info.stream_model_id:<24} {info.layer_count:>2} layers  "
              f"{', '.join(BEDROCK_PLANETS[name])}")


def formulas(bedrocks):
    section(2, "Without a framework: NumPy formulas and loom (engines.ladder)")
    for name in bedrocks:
        made = engines.ladder(name, out_dir=output_dir("formulas"), try_welvet=False)
        judge(name, made.native_vs_loom, farthest(made.native, made.loom_stream))


def ladders(bedrocks, welvet):
    section(3, "The ladder: NumPy, loom, real Loom")
    if not welvet:
        print("  real Loom is not asked")
    for name in bedrocks:
        made = engines.ladder(name, out_dir=output_dir("ladder"), try_welvet=welvet)
        told = made.native_vs_welvet or made.welvet_note
        judge(name, made.native_vs_loom, f"real Loom: {told}")


def live():
    section(4, "A live framework (engines.stream, absorb.stream)")
    for name, call in (("engines.stream", engines.stream), ("absorb.stream", absorb.stream)):
        made = call("swiglu", "pytorch", out_dir=output_dir("live", name))
        judge(name, made.native_vs_loom, made.entity_path)


def batches(bedrocks):
    section(5, "Many at once (stream_all_planets, stream_all_bedrocks)")
    for made in engines.stream_all_planets(bedrocks[-1]):
        judge(f"{made.bedrock} on {made.planet}", made.native_vs_loom)
    if len(bedrocks) == len(BEDROCK_IDS):
        for made in engines.stream_all_bedrocks("pytorch"):
            judge(f"{made.bedrock} on {made.planet}", made.native_vs_loom)


def modules():
    section(6, "A module of your own (absorb.pytorch, testing.assert_same)")
    import torch
    from torch import nn

    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv1d(2, 6, 3), nn.GELU(), nn.Flatten(), nn.Linear(36, 5)).eval()
    x = np.random.default_rng(0).standard_normal((7, 2, 8)).astype(np.float32)
    native = net(torch.from_numpy(x)).detach().numpy()
    made = absorb.pytorch(net, inputs=x, native_outputs=native,
                          output_path=output_dir("absorb") / "net.entity")
    judge("absorb.pytorch", made.compare_label, f"max {made.max_abs_diff:.1e}")
    judge("assert_same", testing.assert_same(net, x, second=x[:3]).label)


def real_loom(welvet):
    section(7, "Real Loom on a live framework's checkpoint (try_welvet)")
    if not welvet:
        print("  real Loom is not asked")
        return
    for name in ("cnn1", "layernorm"):
        print_result(engines.stream(name, "pytorch", out_dir=output_dir("welvet"), try_welvet=True))


def utilities():
    section(8, "Comparing (compare_outputs, diff_label)")
    greatest, mean, exact = compare_outputs(np.array([[1.0, 2.0]]), np.array([[1.0, 2.0000001]]))
    print(f"  max {greatest:.1e}, mean {mean:.1e}, exact {exact}: {diff_label(greatest, exact=exact)}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--quick", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--no-welvet", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    bedrocks = ("dense", "mha", "layernorm") if arguments.quick else BEDROCK_IDS
    why = "not wanted" if arguments.no_welvet else witness.missing()
    catalog()
    formulas(bedrocks)
    ladders(bedrocks, not why)
    if "pytorch" in engines.installed_planets():
        live()
        batches(bedrocks)
        modules()
        real_loom(not why)
    else:
        print("\n4 to 7 need PyTorch: pip install torch")
    utilities()
    section(9, "In all")
    print(f"  {len(FAILED)} disagree: {', '.join(FAILED)}" if FAILED else "  all agree")
    return 1 if FAILED else 0


if __name__ == "__main__":
    sys.exit(main())
