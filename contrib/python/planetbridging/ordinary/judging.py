"""One row through the programs: valid, isolated, cumulative, explained, and with planted mistakes.

What these are is told by `bedrock.own.judging`, which this applies.  What came of it stands in
FOLDER/judged.json, where a program failed its message.
"""

from __future__ import annotations

import json
import os

from ..bedrock.fault import Fault
from ..bedrock.living import put_bytes
from ..bedrock.own import judging, planting
from ..bedrock.own.speaking import sources
from ..programs import ProgramError
from ..stream import StreamDocument
from . import validity

MISTAKES = ("eps", "statistics", "bias", "kernel", "square", "mirror", "skip")
"""The mistakes of `planting.FAULTS` that each network is given, in the first node and the last that
have room for them: another eps, mean and beta exchanged, no bias, a square kernel transposed, a square
matrix transposed, a kernel mirrored, a skip connection lost."""


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
    except ProgramError as error:
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
    values = {**judging.load(places[0], "input.npz"), **taps[0]}
    return {"invalid": invalid, "runs": runs,
            "faults": [judging.planted(fault, folder, places) for fault in mistakes(document, values)]}


def mistakes(document: StreamDocument, values: dict) -> list[Fault]:
    """For each of MISTAKES the first node and the last in which it can be made."""
    found: dict[str, Fault] = {}
    for name in MISTAKES:
        for nodes in (document.nodes, document.nodes[::-1]):
            fault = first(document, values, nodes, name)
            if fault is not None:
                found[fault.name] = fault
    return list(found.values())


def first(document: StreamDocument, values: dict, nodes: list[dict], name: str) -> Fault | None:
    """The mistake in the first of `nodes` that has room for it."""
    for node in nodes:
        plant = dict(planting.FAULTS.get(node["op"], ())).get(name)
        fault = plant and planting.planted(document, values, node["name"], name, plant)
        if fault and fault.document is not None:
            return fault
    return None
