"""Builds the trees of a planet one after the other and takes each the whole path."""

from __future__ import annotations

import importlib
import os
import tempfile
import warnings
from dataclasses import dataclass

import numpy as np

from .. import arrays, planets, programs, stream
from ..bedrock.own import drawing
from . import growing, pipelines
from .spec import Tree

PLANETS = {"pytorch": "build_torch", "keras": "build_keras", "jax": "build_flax",
           "sklearn": "build_sklearn"}
"""Where the networks of a planet are built."""

WIDE, NARROW = 1e-6, 2e-5
"""How far Loom may be from float64, and from the planet's own float32, relative to max(1, max|b|).

Where a tree makes the planet's own float32 differ by more than WIDE from its float64, Loom may be as far
off as that, and never further than NARROW.
"""

LEAST, APART = 0.05, 0.01
"""A root mean square that is less than this shows nothing, nor do samples that are no further apart,
relative to the greatest value."""


DRAWS = 4
"""How often numbers are drawn until a tree shows something: functions in a row may hardly leave any."""


class Idle(Exception):
    """Outputs that show nothing."""


@dataclass
class Verdict:
    """What came of one tree; `trouble` is empty if all is well."""

    tree: Tree
    trouble: str

    def __str__(self) -> str:
        return f"{self.tree.name}: {self.trouble}\n  {self.tree}"


def builder(planet: str):
    return importlib.import_module(f"{__package__}.{PLANETS[planet]}")


def tree_of(planet: str, seed: int) -> Tree:
    """The description of the planet's tree of that seed."""
    return pipelines.tree(seed) if planet == "sklearn" else growing.tree(planet, seed)


def inputs_of(tree: Tree, run: int) -> dict[str, np.ndarray]:
    """What a run of the tree is given, as the planet takes it."""
    return {name: builder(tree.planet).given(value, drawn(tree, name, value, run))
            for name, value in tree.inputs.items()}


def drawn(tree: Tree, name: str, value, run: int) -> np.ndarray:
    """Ids in which all words occur, or values of which each sample has means of its own: a mean over
    many places would be about the same for all otherwise."""
    key, shape = f"{tree.name} {run} {name}", value.shape(run, tree.batches[run])
    if value.kind == "ids":
        return drawing.tokens(key, shape, value.wide)
    means = drawing.uniform(f"{key} means", (shape[0], *[1] * (len(shape) - 2), shape[-1]), 1.25)
    return drawing.normal(key, shape) * np.float32(0.75) + means


def judge(tree: Tree, change=None) -> Verdict:
    """The tree on the whole path; `change` may plant a fault in the graph."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return Verdict(tree, followed(tree, *live(tree), change))
    except Exception as error:  # what a framework or an emitter raises is this tree's fault alone
        return Verdict(tree, f"{type(error).__name__}: {error}")


def live(tree: Tree) -> tuple:
    """(network, inputs of each run, float64 outputs of each) of the first draw that shows something."""
    for tree.draw in range(DRAWS):
        net = builder(tree.planet).build(tree)
        given = [inputs_of(tree, run) for run in range(len(tree.batches))]
        wide = [native(tree.planet, net, one, "float64") for one in given]
        idle = [line for outputs in wide for line in complaints(outputs)]
        if not idle:
            return net, given, wide
    raise Idle("; ".join(idle))


def followed(tree: Tree, net, given: list[dict], wide: list[dict], change) -> str:
    """What is wrong with the tree, nothing if all is well."""
    graph = planets.module(tree.planet).emit(net, example=given[0])
    if change:
        change(graph)
    narrow = [native(tree.planet, net, one, "float32") for one in given]
    with tempfile.TemporaryDirectory(prefix="planetbridging-") as folder:
        found = loom(folder, graph, given)
        limit = min(max(WIDE, *map(distance, narrow, wide)), NARROW)
        said = [compared(folder, found, wide, limit, "float64"),
                compared(folder, found, narrow, NARROW, "float32")]
        return " | ".join(filter(None, said))


def distance(narrow: dict[str, np.ndarray], wide: dict[str, np.ndarray]) -> float:
    """The greatest distance of outputs relative to max(1, the greatest value)."""
    return max(float(np.abs(narrow[name] - array).max() / max(1, np.abs(array).max()))
               for name, array in wide.items())


def native(planet: str, net, inputs: dict, precision: str) -> dict[str, np.ndarray]:
    """The planet's own outputs."""
    own = getattr(builder(planet), "native", None)
    return own(net, inputs, precision) if own else planets.native(planet, net, inputs, precision)


def complaints(outputs: dict[str, np.ndarray]) -> list[str]:
    """Why outputs show nothing, a line each."""
    found = []
    for name, array in outputs.items():
        root = float(np.sqrt(np.mean(np.square(array.astype(float)))))
        if not root >= LEAST:
            found.append(f"{name} has the root mean square {root:.2g}")
        elif np.ptp(array, axis=0).max() <= APART * np.abs(array).max():
            found.append(f"{name} is the same for all samples")
    return found


def loom(folder: str, graph, given: list[dict]) -> dict[str, np.ndarray]:
    """What Loom computes in every run, by "RUN.OUTPUT"."""
    place = lambda name: os.path.join(folder, name)  # noqa: E731
    with open(place("model.stream"), "wb") as out:
        stream.write(graph, out)
    programs.run("loom-stream", ["-o", place("model.entity")], stdin=place("model.stream"))
    found = {}
    for run, inputs in enumerate(given):
        names = [item.name for item in graph.inputs]
        with open(place("x"), "wb") as out:
            arrays.write_arrays(dict(zip(names, inputs.values())) if len(names) == 1 else inputs, out)
        programs.run("loom-infer", ["-m", place("model.entity"), place("x")], stdout=place("y"))
        made = arrays.read_safetensors(place("y")) if len(graph.outputs) > 1 else \
            dict(zip(graph.outputs, arrays.read_arrays(place("y")).values()))
        found |= {f"{run}.{name}": array for name, array in made.items()}
    return found


def compared(folder: str, found: dict, native: list[dict], atol: float, what: str) -> str:
    """loom-compare's report where it says no; `what` names the native side."""
    wanted = {f"{run}.{name}": array for run, outputs in enumerate(native)
              for name, array in outputs.items()}
    files = [os.path.join(folder, f"{side}.safetensors") for side in ("loom", "native")]
    for path, tensors in zip(files, (found, wanted)):
        with open(path, "wb") as out:
            arrays.write_safetensors(tensors, out)
    status, report, _ = programs.run("loom-compare", ["--atol", repr(atol), *files], answers=(0, 1))
    return f"{what}: {' / '.join(report.split(chr(10)))}" if status else ""
