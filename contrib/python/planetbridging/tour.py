"""`python -m planetbridging demo`: a network goes the whole path and is found equal, then is spoilt.

Every command that it runs is printed as it can be typed.
"""

from __future__ import annotations

import importlib.util
import os
import shlex
import subprocess
import sys
import sysconfig
import tempfile
from dataclasses import dataclass
from pathlib import Path

from . import planets, programs
from .graph import MachineError, UsageError

NUMPY = "numpy"
NETWORKS = {"sklearn": "digits.pkl --trust", "keras": "digits.keras",
            "pytorch": "planetbridging.demo:digits_pytorch --weights digits.safetensors",
            "jax": "planetbridging.demo:digits_jax --params digits.npz"}
MODULES = {"sklearn": ("sklearn",), "pytorch": ("torch", "safetensors", "sklearn"),
           "keras": ("tensorflow", "keras", "sklearn"), "jax": ("jax", "flax", "optax", "sklearn")}
"""What each planet's demo imports: all learn scikit-learn's digits."""


@dataclass(frozen=True)
class Step:
    """A command with the status that it has to end with; a heading stands before some."""

    command: str
    heading: str = ""
    status: int = 0


def chosen(name: str | None) -> str:
    """The planet named; without a name scikit-learn, or NumPy alone if that is not installed."""
    if name is None:
        return NUMPY if missing("sklearn") else "sklearn"
    if name == NUMPY:
        return NUMPY
    try:
        planet = planets.canonical(name)
    except UsageError:
        raise UsageError(f"unknown planet {name}; there are {', '.join(planets.PLANETS)}, "
                         f"and {NUMPY}") from None
    if missing(planet):
        names = [planets.DISTRIBUTIONS.get(module, module) for module in missing(planet)]
        raise MachineError(f"this demo needs Python packages that are not installed: "
                           f"pip install {' '.join(names)}")
    return planet


def missing(planet: str) -> list[str]:
    return [name for name in MODULES[planet] if importlib.util.find_spec(name) is None]


def steps(planet: str) -> list[Step]:
    """The whole path, twice: true, and with one weight negated."""
    made, x = ("net", "x.npy") if planet == NUMPY else ("digits", "x_test.npy")
    if planet == NUMPY:
        emit = f"cat {made}.stream"
        first = [Step("python -m planetbridging.demo numpy",
                      "A network of four dense layers is written down, with its answers in NumPy.")]
    else:
        tail = f"{planet} {NETWORKS[planet]}"
        emit = f"python -m planetbridging emit {tail} --input {x}"
        first = [Step(f"python -m planetbridging.demo train {planet}",
                      f"A network learns to read digits in {planet}."),
                 Step(f"python -m planetbridging native {tail} < {x} > native.npy",
                      f"{planet} answers the test images.")]
    return [*first,
            Step(f"{emit} | loom-stream > {made}.entity",
                 "It leaves as a layer stream and becomes a checkpoint."),
            Step(f"entity-dump {made}.entity"),
            Step(f"loom-infer -m {made}.entity < {x} > loom.npy", "Loom answers from the checkpoint."),
            Step("loom-compare loom.npy native.npy", "Are they the same?"),
            Step(f"{emit} | python -m planetbridging.demo flip {x} | loom-stream > flipped.entity",
                 "The check can fail: the largest weight of an input in use changes its sign."),
            Step(f"loom-infer -m flipped.entity < {x} > flipped.npy"),
            Step("loom-compare flipped.npy native.npy", status=1)]


def run(arguments) -> int:
    """demo: 0 if the true network is found the same and the spoilt one different, else 1."""
    planet = chosen(arguments.planet)
    environment = surroundings()
    if arguments.keep is not None:
        os.makedirs(arguments.keep, exist_ok=True)
        return walk(planet, arguments.keep, environment)
    with tempfile.TemporaryDirectory(prefix="planetbridging-") as folder:
        return walk(planet, folder, environment)


def walk(planet: str, folder: str, environment: dict[str, str]) -> int:
    """Run all steps in a folder; 1 at the first that ends with another status."""
    out = sys.__stdout__
    for step in steps(planet):
        print(*([f"\n# {step.heading}"] if step.heading else []), f"$ {step.command}", sep="\n",
              file=out, flush=True)
        done = subprocess.run(["sh", "-c", f"{PYTHON}\n{step.command}"], cwd=folder, check=False,
                              env=environment, stdout=out, stdin=subprocess.DEVNULL)
        if done.returncode != step.status:
            print(f"demo: the command ended with status {done.returncode}, expected {step.status}",
                  file=sys.stderr)
            return 1
    print("\nPASS with the true weights, DIFF (exit status 1) with one of them negated: as it should "
          "be.", file=out)
    return 0


PYTHON = f'python() {{ {shlex.quote(sys.executable)} "$@"; }}'
"""In the shell's eyes: this interpreter, whatever PATH says."""


def surroundings() -> dict[str, str]:
    """An environment in which the programs and this package are found."""
    folder = os.path.dirname(programs.find("loom-stream"))
    made = {**os.environ, "PATH": os.pathsep.join([folder, os.environ.get("PATH", os.defpath)])}
    above = str(Path(__file__).resolve().parents[1])
    if above not in (sysconfig.get_path("purelib"), sysconfig.get_path("platlib")):
        made["PYTHONPATH"] = os.pathsep.join(filter(None, [above, os.environ.get("PYTHONPATH")]))
    return made
