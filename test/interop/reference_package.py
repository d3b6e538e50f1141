#!/usr/bin/env python3
"""The reference's own Python package, told to use our loom-stream, streams its 13 PyTorch networks.

usage: reference_package.py LOOM_STREAM FOLDER    exit 0: 13 of 13 are PASS or EXACT, 77: skipped, 1: not

The package (PyPI planetbridging 0.7.3) has the name of ours, so it is installed into FOLDER/site alone
and imported by a child of this interpreter, which needs torch and safetensors.  It trains the networks
of dense and cnn on their first use and keeps them inside itself, so a second run is quicker, and a run
that was stopped goes on.  Labels are the package's own: PASS is a difference of at most 1e-5.
"""
import json
import os
import subprocess
import sys

PACKAGE = "planetbridging==0.7.3"
SECONDS = 3000
CHILD = """
import json, sys, warnings
warnings.simplefilter("ignore")
import numpy as np
import planetbridging
from planetbridging import bedrocks, engines
from planetbridging._binary import find_loom_stream
print("USES " + json.dumps([planetbridging.__file__, str(find_loom_stream())]), flush=True)
for bedrock in bedrocks.BEDROCK_IDS:
    try:
        made = engines.stream(bedrock, "pytorch")
        away = np.abs(made.native - made.loom_stream)
        found = [made.model_id, made.native_vs_loom, float(away.max()), float(np.abs(made.native).max())]
    except Exception as error:
        found = [bedrocks.STREAM_MODEL_IDS[bedrock], "ERROR", " ".join(str(error).split())[:200], 0]
    print("RESULT " + json.dumps([bedrock, *found]), flush=True)
"""


def skip(why):
    print(f"SKIPPED: {why}\n0 passed, 0 failed, 1 skipped")
    return 77


def install(site):
    """"" when the package is in `site`, or why it cannot be installed."""
    if os.path.exists(os.path.join(site, "planetbridging-0.7.3.dist-info", "RECORD")):
        return ""
    done = subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check",
                           "--no-input", "--no-deps", "--upgrade", "--target", site, PACKAGE, "pyyaml"],
                          capture_output=True, text=True)
    lines = (done.stderr or done.stdout).strip().splitlines() or ["pip failed"]
    return "" if done.returncode == 0 else f"{PACKAGE} cannot be installed: {lines[-1]}"


def lines_of(child):
    """What the child says, as it says it: (word, value)."""
    for line in child.stdout:
        word, _, rest = line.partition(" ")
        if word in ("USES", "RESULT"):
            yield word, json.loads(rest)


def stream_all(program, folder):
    """How many bedrocks are right, of how many; a line for each."""
    site = os.path.join(folder, "site")
    place = {"PYTHONPATH": site, "PLANETBRIDGING_LOOM_STREAM": program,
             "PLANETBRIDGING_FIXTURES_CACHE": os.path.join(folder, "fixtures"),
             "CUDA_VISIBLE_DEVICES": ""}
    rest = {name: value for name, value in os.environ.items() if not name.startswith("PLANETBRIDGING_")}
    right = 0
    command = ["timeout", str(SECONDS), sys.executable, "-c", CHILD]
    with subprocess.Popen(command, env=rest | place, cwd=folder, text=True, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE) as child:
        for word, value in lines_of(child):
            if word == "USES":
                if not value[0].startswith(site + os.sep) or value[1] != program:
                    sys.exit(f"the package that runs is {value[0]}, its loom-stream {value[1]}")
                continue
            bedrock, model, label, away, scale = value
            numbers = f"max abs {away:.3g} at values up to {scale:.3g}" if label != "ERROR" else away
            print(f"{bedrock}/pytorch/{model}: {label} {numbers}", flush=True)
            right += label in ("EXACT", "PASS")
    if child.returncode != 0:
        print(f"the package's process ended with status {child.returncode}")
    return right


def main(program, folder):
    program, folder = os.path.realpath(program), os.path.abspath(folder)
    if not os.access(program, os.X_OK):
        sys.exit(f"{program}: no such program")
    wanted = [sys.executable, "-c", "import torch, safetensors"]
    if subprocess.run(wanted, capture_output=True).returncode != 0:
        return skip(f"{sys.executable} has no torch and safetensors")
    os.makedirs(folder, exist_ok=True)
    why = install(os.path.join(folder, "site"))
    if why:
        return skip(why)
    right = stream_all(program, folder)
    print(f"{right} of 13 PASS or EXACT")
    print(f"{right} passed, {13 - right} failed")
    return 0 if right == 13 else 1


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(f"usage: {sys.argv[0]} LOOM_STREAM FOLDER")
    sys.exit(main(*sys.argv[1:]))
