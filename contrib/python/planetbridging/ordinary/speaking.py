"""One planet speaks: for every row a live network, its stream, its tensors in two precisions.

In FOLDER/PLANET/ID, for each run N:
model.stream                 the live network as a layer stream
N/input.npz                  the inputs
N/taps64.npz, N/taps32.npz   the framework's own tensors by the stream's names
made.json                    how they were made, and how many parameters; written last
error.txt                    instead of made.json: why they could not be
"""

from __future__ import annotations

import importlib
import io
import json
import os
import shutil
import warnings

from .. import planets, stream
from ..bedrock import training
from ..bedrock.living import put_bytes
from ..bedrock.own.judging import read
from ..bedrock.own.speaking import put, sources
from ..graph import BridgeError, BridgeWarning
from ..planets.signature import one_line
from .row import MODULES, Row

SPEAKERS = ("*.py", "planets/*.py", "composed/*.py", "bedrock/own/drawing.py", "ordinary/row.py",
            "ordinary/speaking.py", "ordinary/*_nets.py", "ordinary/*_rows.py", "ordinary/redraw_*.py")
"""The modules of the package that decide what a planet says."""


def rows(planet: str) -> tuple[Row, ...]:
    """The networks of one planet; imports its framework."""
    return importlib.import_module(f".{MODULES[planet][0]}", __package__).ROWS


def run(planet: str, folder: str, only=()) -> tuple[int, int]:
    """(how many rows were made anew, how many there are); `only` these ids, if any."""
    training.prepare(planet)
    wanted = [row for row in rows(planet) if not only or row.id in only]
    stale = [row for row in wanted if read(os.path.join(folder, row.name, "made.json")).get("key") != key(row)]
    for row in stale:
        attempt(os.path.join(folder, row.name), row)
    return len(stale), len(wanted)


def key(row: Row) -> str:
    """What a row's files depend on: itself, the package, the versions."""
    versions = [f"{p} {planets.installed_version(p)}" for p in (*row.packages, "numpy")]
    runs = [{name: repr(spec) for name, spec in given.items()} for given in row.runs]
    return " ".join([json.dumps([row.id, row.source, runs, row.trained]), sources(*SPEAKERS), *versions])


def attempt(place: str, row: Row) -> None:
    """Make a row's folder, or its error.txt."""
    shutil.rmtree(place, ignore_errors=True)
    os.makedirs(place)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", BridgeWarning)
            write(place, row)
    except Exception as error:  # whatever a framework raises stands in the table
        line = " ".join(str(error).split()) if isinstance(error, BridgeError) else \
            f"{type(error).__name__}: {one_line(error)}"
        put_bytes(os.path.join(place, "error.txt"), line.encode() + b"\n")


def write(place: str, row: Row) -> None:
    """Build the live network once, emit it once, and run it on all inputs."""
    module = planets.module(row.planet)
    network = row.build()
    if not row.trained:
        redrawing = importlib.import_module(f".{MODULES[row.planet][1]}", __package__)
        network = redrawing.redraw(network, row.id, row.inputs(0))
    graph = module.emit(network, example=row.inputs(0), name=row.id)
    spool = io.BytesIO()
    stream.write(graph, spool)
    put_bytes(os.path.join(place, "model.stream"), spool.getvalue())
    names = [item.name for item in graph.inputs]
    for number in range(len(row.runs)):
        inputs, folder = row.inputs(number), os.path.join(place, str(number))
        os.makedirs(folder)
        put(os.path.join(folder, "input.npz"), dict(zip(names, inputs.values())))
        for precision in ("float64", "float32"):
            found = planets.taps(row.planet, network, inputs, precision, example=row.inputs(0))
            put(os.path.join(folder, f"taps{precision[5:]}.npz"), found)
    count = sum(t.array.size for t in stream.tensors_of(graph))
    about = {"key": key(row), "versions": graph.versions, "source": row.source, "planet": row.planet,
             "trained": row.trained, "parameters": count, "nodes": len(graph.nodes)}
    put_bytes(os.path.join(place, "made.json"), json.dumps(about, indent=1).encode() + b"\n")
