"""One model on one planet: the live network, and the files that say what it is and answers.

input.npy (of several input.npz)  the test inputs, float32 or int64, in the planet's layout
native.npy, native64.npy          the framework's own answers, in its usual float32 and in float64
numpy.npy                         those of our own float64 formulas, in the planet's layout
model.stream                      the live network as a layer stream
made.json                         how they were made; written last
error.txt                         instead of made.json: why they could not be
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import warnings
from functools import cache
from pathlib import Path

import numpy as np

from .. import arrays, planets, stream
from ..graph import BridgeError, BridgeWarning
from . import kinds, oracle, trained, training
from .facts import Facts, Model
from .layout import outputs_like
from .network import Built, Network, Weights
from .reading import weights_of

SEED = 42


def live(planet: str, facts: Facts, model: Model, fixture: dict, mode: str,
         store: str) -> tuple[Network, Weights | None, Built]:
    """(network, canonical weights, live network); no weights where the framework made its own."""
    network = trained.network_on(planet, facts, model)
    found = kinds.of(facts.kind).weights(facts, model)
    if facts.training:
        found = trained.weights(planet, facts, model, fixture, mode, store)
    if planet == "tensorflow":
        planets.module(planet).framework().utils.clear_session()
    return network, found, trained.builder(planet).build(network, found, SEED)


def write(folder: str, planet: str, facts: Facts, model: Model, fixture: dict, mode: str,
          store: str) -> None:
    """Make the live network and write its files.  BridgeError if an answer is not finite."""
    network, weights, built = live(planet, facts, model, fixture, mode, store)
    module = planets.module(planet)
    canonical = kinds.of(facts.kind).inputs(facts, model, fixture, "test")
    inputs = built.to_native(canonical)
    graph = module.emit(built.network, example=inputs, name=model.id)
    usual, exact = answers(planet, module, built.network, inputs)
    ours = oracle.run(network, weights_of(graph, network) if weights is None else weights, canonical)
    ours = outputs_like(built, exact, ours)
    for name, outputs in (("native", usual), ("native64", exact), ("numpy", ours)):
        put(os.path.join(folder, f"{name}.npy"), single(model, outputs))
    put(os.path.join(folder, f"input.np{'y' if len(inputs) == 1 else 'z'}"), inputs)
    spool = io.BytesIO()
    stream.write(graph, spool)
    put_bytes(os.path.join(folder, "model.stream"), spool.getvalue())
    about = {"planet": planet, "bedrock": facts.kind, "model": model.id, "versions": graph.versions,
             "weights": trained.described(facts, model, mode), "train": mode if facts.training else "",
             "composed": list(built.composed),
             "layout": "the planet's own", "mode": "eval", "device": "cpu", "threads": 1,
             "products": "full precision",
             "key": key(planet, facts, model, mode)}
    put_bytes(os.path.join(folder, "made.json"), json.dumps(about, indent=1).encode() + b"\n")


def answers(planet: str, module, obj, inputs: dict) -> tuple[dict, dict]:
    """(the framework's outputs in its usual precision, in float64); scikit-learn has float64 alone."""
    if planet == "sklearn":
        outputs = module.native(obj, {name: array.astype(np.float64) for name, array in inputs.items()})
        return outputs, outputs
    return module.native(obj, inputs), module.native(obj, inputs, precision="float64")


def single(model: Model, outputs: dict) -> dict:
    """The one output; BridgeError if there are several, or values that are not finite."""
    if len(outputs) != 1:
        raise BridgeError(f"{model.id}: has the outputs {', '.join(outputs)}, expected one")
    for name, values in outputs.items():
        if not np.isfinite(values).all():
            raise BridgeError(f"{model.id}: {name} holds values that are not finite")
    return outputs


def put(path: str, tensors: dict) -> None:
    """Arrays to a file, which is left alone if it holds just them."""
    spool = io.BytesIO()
    arrays.write_arrays(tensors, spool)
    put_bytes(path, spool.getvalue())


def put_bytes(path: str, data: bytes) -> None:
    """Bytes to a file; one that holds them already keeps its time, so nothing is made again from it."""
    if os.path.exists(path) and Path(path).read_bytes() == data:
        return
    with arrays.binary_output(path) as out:
        out.write(data)


def key(planet: str, facts: Facts, model: Model, mode: str) -> str:
    """A digest of all that a model's files depend on: facts, package, versions, TRAIN."""
    parts = [planet, mode, json.dumps({**facts.raw, "models": model.row}, sort_keys=True), package(),
             np.__version__, *(planets.installed_version(p) for p in trained.PACKAGES[planet])]
    if facts.training and mode == "stored":
        parts.append(hashlib.sha256(trained.stored_path(planet, facts.kind).read_bytes()).hexdigest())
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


@cache
def package() -> str:
    """A digest of every module of this package."""
    total = hashlib.sha256()
    root = Path(__file__).parents[1]
    for path in sorted(root.rglob("*.py")):
        total.update(str(path.relative_to(root)).encode() + b"\0" + path.read_bytes())
    return total.hexdigest()


def fresh(folder: str, wanted: str) -> bool:
    """Whether all files of a model are there and were made under the key `wanted`."""
    try:
        with open(os.path.join(folder, "made.json"), encoding="utf-8") as file:
            made = json.load(file)
    except (OSError, ValueError):
        return False
    files = ("model.stream", "native.npy", "native64.npy", "numpy.npy")
    return made.get("key") == wanted and all(os.path.exists(os.path.join(folder, f)) for f in files)


def run(planet: str, all_facts: list[Facts], folder: str, mode: str, store: str,
        say=lambda line: None) -> int:
    """Write the files of every model that is not fresh, in FOLDER/KIND/PLANET/MODEL; how many.

    A model that fails is recorded in its error.txt and stops no other.
    """
    from . import fixture

    written = 0
    for facts in all_facts:
        place = os.path.join(folder, facts.kind, planet)
        missing = [model for model in facts.models
                   if not fresh(os.path.join(place, model.id), key(planet, facts, model, mode))]
        if not missing:
            continue
        training.prepare(planet)
        data = fixture.make(facts)
        for model in missing:
            said = attempt(os.path.join(place, model.id), planet, facts, model, data, mode, store)
            say(f"{facts.kind}/{planet}/{model.id}: {said}")
        written += len(missing)
    return written


def attempt(place: str, planet: str, facts: Facts, model: Model, data: dict, mode: str,
            store: str) -> str:
    """Write one model's files, or its error.txt; what happened in a word or line."""
    os.makedirs(place, exist_ok=True)
    for name in ("made.json", "error.txt"):
        Path(place, name).unlink(missing_ok=True)
    try:
        with warnings.catch_warnings():
            # That a network works for some sizes only is nothing to a fixture of one size.
            warnings.simplefilter("ignore", BridgeWarning)
            write(place, planet, facts, model, data, mode, store)
        return "made"
    except Exception as error:  # whatever a framework raises stands in the table
        line = " ".join(str(error).split()) or type(error).__name__
        if not isinstance(error, BridgeError):
            line = f"{type(error).__name__}: {line}"
        for name in ("model.stream", "model.entity", "loom.npy", "report.ndjson"):
            Path(place, name).unlink(missing_ok=True)
        put_bytes(os.path.join(place, "error.txt"), line.encode() + b"\n")
        return line
