"""One row through the programs: valid, isolated, cumulative, explained, and with planted mistakes.

What these are is told by `bedrock.own.judging`, which this applies.  What came of it stands in
FOLDER/judged.json, where a program failed its message.
"""

from __future__ import annotations

import json
import os

import numpy as np

from .. import checking
from ..bedrock.fault import Fault
from ..bedrock.living import put_bytes
from ..bedrock.own import bounds, judging, planting
from ..bedrock.own.bounded import U, Bounded, exact
from ..bedrock.own.explaining import settled, sizes_of, slots_of
from ..bedrock.own.speaking import sources
from ..graph import BridgeError, Graph
from ..programs import ProgramError
from ..stream import StreamDocument
from . import validity

MISTAKES = ("statistics", "bias", "kernel", "square", "mirror", "skip")
"""The mistakes of `planting.FAULTS` that each network is given, in the first node and the last that
have room for them: mean and beta exchanged, no bias, a square kernel transposed, a square matrix
transposed, a kernel mirrored, a skip connection lost."""


def judge(folder: str) -> None:
    """Write FOLDER/judged.json, unless it is up to date."""
    target, made = (os.path.join(folder, f"{name}.json") for name in ("judged", "made"))
    about = judging.read(made)
    wanted = " ".join([about["key"], judging.built(),
                       sources(*judging.JUDGES, "ordinary/judging.py", "ordinary/validity.py")])
    if judging.read(target).get("key") == wanted:
        return
    try:
        found = verdicts(folder, about["planet"], about["trained"])
    except (ProgramError, BridgeError) as error:
        found = {"error": " ".join(str(error).split())}
    put_bytes(target, json.dumps({"key": wanted, **found}, indent=1).encode() + b"\n")


def verdicts(folder: str, planet: str, trained: bool) -> dict:
    stream, entity = (os.path.join(folder, f"model.{kind}") for kind in ("stream", "entity"))
    with open(stream, "rb") as file:
        document = StreamDocument.parse(file)
    judging.checkpoint(stream, entity)
    places = [os.path.join(folder, name) for name in sorted(os.listdir(folder)) if name.isdigit()]
    taps = [judging.load(place, "taps64.npz") for place in places]
    invalid = [f"run {n}: {line}" for n, found in enumerate(taps) for line in
               validity.complaints(document.nodes, document.head["outputs"], found, trained)]
    graph = document.graph()
    runs = [judging.run(place, entity, graph, "network", planet) for place in places]
    if trained:
        for place, made in zip(places, runs):
            excuse(place, made["isolated"], graph, planet)
    values = {**judging.load(places[0], "input.npz"), **taps[0]}
    return {"invalid": invalid, "runs": runs,
            "faults": [judging.planted(fault, folder, places) for fault in mistakes(document, values)]}


def excuse(place: str, verdict: dict, graph: Graph, planet: str) -> None:
    """A trained network may magnify what rounding its inputs to float32 does: by its own derivatives.

    Where all tensors beyond the tolerance are within what that explains, the verdict is PASS, and says so.
    """
    beyond = [t for t in checking.read_report(os.path.join(place, "isolated.ndjson")) if t["label"] == "DIFF"]
    values = {**judging.load(place, "input.npz"), **judging.load(place, "taps64.npz")}
    if beyond and all(t["max_abs"] <= judging.ISOLATED * t["scale"] + magnified(t["name"], graph, values, planet)
                      for t in beyond):
        verdict.update(label="PASS", magnified=[t["name"] for t in beyond])


def magnified(name: str, graph: Graph, values: dict, planet: str) -> float:
    """How far a tensor may move when what its node reads is rounded to float32."""
    node = next(node for node in graph.nodes if name in node.outputs)
    params = settled(node.params, sizes_of(graph, values))
    given = [None if n is None else exact(values[n].astype(np.float64)) for n in node.inputs]
    rounded = [None if x is None else Bounded(x.v, U * np.abs(x.v)) for x in given]
    still, moved = (bounds.node(node.op, params, slots_of(node), xs, planet)[node.outputs.index(name)]
                    for xs in (given, rounded))
    return float((moved.e - still.e).max(initial=0))


def mistakes(document: StreamDocument, values: dict) -> list[Fault]:
    """For each of MISTAKES the first node and the last in which it can be made, and another eps.

    The eps is that of the norm whose input is quietest: beside a large variance none can be seen.
    """
    sums = [node for node in document.nodes if adds(node, values)]
    quiet = sorted(document.nodes, key=lambda node: loudness(node, values))
    tries = [(quiet, "eps")]
    for name in MISTAKES:
        nodes = sums if name == "skip" else document.nodes
        tries += [(nodes, name), (nodes[::-1], name)]
    made = [first(document, values, *given) for given in tries]
    return list({fault.name: fault for fault in made if fault is not None}.values())


def loudness(node: dict, values: dict) -> float:
    """The root mean square of what a node reads, infinite where that is not known."""
    given = values.get(node["in"][0]) if node["in"] else None
    known = given is not None and given.dtype.kind == "f" and given.size
    return float(np.sqrt(np.mean(np.square(given)))) if known else np.inf


def first(document: StreamDocument, values: dict, nodes: list[dict], name: str) -> Fault | None:
    """The mistake in the first of `nodes` that has room for it."""
    for node in nodes:
        plant = dict(planting.FAULTS.get(node["op"], ())).get(name)
        fault = plant and planting.planted(document, values, node["name"], name, plant)
        if fault and fault.document is not None:
            return fault
    return None


def adds(node: dict, values: dict) -> bool:
    """Whether a node adds two tensors of one shape, as a skip connection does."""
    given = [values.get(name) for name in node["in"]]
    return len(given) == 2 and all(x is not None and x.dtype.kind == "f" for x in given) and (
        given[0].shape == given[1].shape)
