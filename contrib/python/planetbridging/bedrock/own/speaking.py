"""One planet speaks: for every fixture a live network, its stream, its tensors in two precisions.

In FOLDER/KIND/PLANET/ID, for each run N:
model.stream                        the live network as a layer stream
N/input.npz                         the inputs in the planet's layout
N/taps64.npz, N/taps32.npz          the framework's own tensors by the stream's names
N/outputs.npz                       its float64 and float32 outputs in canonical layout ("64 y", "32 y"),
                                    and where each stands in the planet's own ("at y")
made.json                           how they were made; written last
error.txt                           instead of made.json: why they could not be
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import warnings
from functools import cache
from pathlib import Path

import numpy as np

from ... import arrays, planets, stream
from ...graph import BridgeError, BridgeWarning
from .. import trained, training
from ..living import put_bytes
from ..network import Built, Weights
from . import all as fixtures
from .case import Case, on_planet

SEED = 42


def framework(planet: str) -> str:
    """nnx is a part of JAX."""
    return "jax" if planet == "nnx" else planet


def run(planet: str, kinds, folder: str) -> tuple[int, int]:
    """(how many were made anew, how many there are) of all fixtures of the kinds on one planet.

    What a fixture's planet cannot do is recorded in its error.txt and stops no other.
    """
    made = count = 0
    for kind in kinds:
        for case in fixtures.checked(kind):
            if planet not in case.planets:
                continue
            count += 1
            place = os.path.join(folder, kind, planet, case.id)
            if not fresh(place, planet, case):
                made += 1
                attempt(place, planet, case)
    return made, count


SPEAKERS = ("*.py", "planets/*.py", "composed/*.py", "bedrock/build_*.py", "bedrock/keras_layers.py",
            "bedrock/flax_plan.py", "bedrock/network.py", "bedrock/own/case.py", "bedrock/own/drawing.py",
            "bedrock/own/speaking.py")
"""The modules of the package that decide what a planet says."""


def key(planet: str, case: Case) -> str:
    """What a fixture's files depend on: the network, all that was drawn, the package, the versions."""
    own = framework(planet)
    versions = [planets.installed_version(p) for p in (*trained.PACKAGES[own], "numpy")]
    network = hashlib.sha256(repr(case).encode()).hexdigest()
    return " ".join([case.digest(), network, sources(*SPEAKERS), *versions])


@cache
def sources(*patterns: str) -> str:
    """A digest of the modules of the package whose paths fit."""
    total, root = hashlib.sha256(), Path(__file__).parents[2]
    for path in sorted({path for pattern in patterns for path in root.glob(pattern)}):
        total.update(str(path.relative_to(root)).encode() + b"\0" + path.read_bytes())
    return total.hexdigest()


def fresh(place: str, planet: str, case: Case) -> bool:
    try:
        with open(os.path.join(place, "made.json"), encoding="utf-8") as file:
            return json.load(file)["key"] == key(planet, case)
    except (OSError, ValueError, KeyError):
        return False


def attempt(place: str, planet: str, case: Case) -> None:
    """Make a fixture's folder, or its error.txt."""
    shutil.rmtree(place, ignore_errors=True)
    os.makedirs(place)
    training.prepare(framework(planet))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", BridgeWarning)
            write(place, planet, case)
    except Exception as error:  # whatever a framework raises stands in the table
        line = " ".join(str(error).split()) or type(error).__name__
        line = line if isinstance(error, BridgeError) else f"{type(error).__name__}: {line}"
        put_bytes(os.path.join(place, "error.txt"), line.encode() + b"\n")


def write(place: str, planet: str, case: Case) -> None:
    """Build the live network once, emit it once, and run it at all sizes."""
    weights = case.weights()
    built = build(planet, case, weights)
    module = planets.module(framework(planet))
    graph = first = None
    for run_ in range(len(case.runs)):
        inputs = built.to_native(on_planet(case, planet, run_)[1])
        if graph is None:
            first = inputs
            graph = module.emit(built.network, example=first, name=case.id)
            spool = io.BytesIO()
            stream.write(graph, spool)
            put_bytes(os.path.join(place, "model.stream"), spool.getvalue())
        os.makedirs(os.path.join(place, str(run_)))
        for name, found in tensors(planet, module, built, graph, inputs, first).items():
            put(os.path.join(place, str(run_), f"{name}.npz"), found)
    about = {"key": key(planet, case), "versions": graph.versions, "composed": list(built.composed)}
    put_bytes(os.path.join(place, "made.json"), json.dumps(about, indent=1).encode() + b"\n")


def put(path: str, found: dict) -> None:
    """Always an .npz, so that a tensor keeps its name."""
    spool = io.BytesIO()
    np.savez(spool, **{name: arrays.little_endian(array) for name, array in found.items()})
    put_bytes(path, spool.getvalue())


def build(planet: str, case: Case, weights: Weights) -> Built:
    """The live network in the framework's own layers."""
    network = on_planet(case, planet, 0)[0]
    if planet == "tensorflow":
        import keras

        keras.utils.clear_session()
    if planet == "nnx":
        from .. import build_nnx

        return build_nnx.build(network, weights, SEED)
    return trained.builder(planet).build(network, weights, SEED)


def tensors(planet: str, module, built: Built, graph, inputs: dict, first: dict) -> dict[str, dict]:
    """The contents of a run's files by their names; `first` is what the graph was emitted for."""
    if planet == "sklearn":
        wide = {name: array.astype(np.float64) for name, array in inputs.items()}
        exact = usual = module.native(built.network, wide)
        taps64 = taps32 = exact
    else:
        taps64, taps32 = (planets.taps(framework(planet), built.network, inputs, p, first)
                          for p in ("float64", "float32"))
        exact, usual = ({name: taps[name] for name in graph.outputs} for taps in (taps64, taps32))
    places = {name: np.arange(array.size).reshape(array.shape) for name, array in exact.items()}
    outputs = {f"{what} {name}": array for what, found in (("64", exact), ("32", usual), ("at", places))
               for name, array in built.to_canonical(dict(found)).items()}
    named = dict(zip([item.name for item in graph.inputs], inputs.values()))
    return {"input": named, "taps64": taps64, "taps32": taps32, "outputs": outputs}
