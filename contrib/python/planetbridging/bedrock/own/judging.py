"""One fixture on one planet through the programs: isolated, cumulative, and with planted mistakes.

Isolated: every node is fed with the framework's float64 tensors (loom-infer --feed, which rounds them
to float32) and compared with what the framework made of them.  Cumulative: without feeding.  What came
of it stands in FOLDER/judged.json, where a program failed its message.
"""

from __future__ import annotations

import hashlib
import json
import os
from functools import cache
from pathlib import Path

import numpy as np

from ... import checking, programs
from ...programs import ProgramError
from ...stream import StreamDocument
from ..living import put_bytes
from . import explaining, planting
from .speaking import sources

ISOLATED = 1e-6
"""Relative to max(1, the greatest value), of every node."""

CUMULATIVE = 2e-5
"""The same of the whole, unless the framework's own float32 is further off."""

MIXER = 1e-5
"""What the whole of a mixer is held to, whatever the framework's float32 does."""

ALLOWED = {"network": ("--allow-vacuous",)}
"""What loom-compare is told of a kind: an ordinary network has ids and masks that are all zero; that
its other tensors are not tiny is judged apart."""

JUDGES = ("stream.py", "checking.py", "vocabulary.py", "bedrock/oracle.py", "bedrock/own/bound*.py",
          "bedrock/own/explaining.py", "bedrock/own/judging.py", "bedrock/own/planting.py")
"""The modules of the package that decide what a verdict is."""


def judge(folder: str, kind: str, planet: str) -> None:
    """Write FOLDER/judged.json, unless it is up to date."""
    target = os.path.join(folder, "judged.json")
    wanted = key(folder)
    if read(target).get("key") == wanted:
        return
    try:
        found = verdicts(folder, kind, planet)
    except ProgramError as error:
        found = {"error": " ".join(str(error).split())}
    put_bytes(target, json.dumps({"key": wanted, **found}, indent=1).encode() + b"\n")


def read(path: str) -> dict:
    """A JSON file, {} where there is none."""
    try:
        with open(path, encoding="utf-8") as file:
            return json.load(file)
    except (OSError, ValueError):
        return {}


def key(folder: str) -> str:
    """What the verdicts depend on: the planet's files, the programs, the package."""
    return " ".join([read(os.path.join(folder, "made.json")).get("key", ""), built(), sources(*JUDGES)])


@cache
def built() -> str:
    """A digest of the programs that judge."""
    total = hashlib.sha256()
    for program in ("loom-stream", "loom-infer", "loom-compare"):
        total.update(Path(programs.find(program)).read_bytes())
    return total.hexdigest()


def verdicts(folder: str, kind: str, planet: str) -> dict:
    with open(os.path.join(folder, "model.stream"), "rb") as file:
        document = StreamDocument.parse(file)
    graph = document.graph()
    entity = checkpoint(os.path.join(folder, "model.stream"), os.path.join(folder, "model.entity"))
    runs = sorted(name for name in os.listdir(folder) if name.isdigit())
    found = [run(os.path.join(folder, name), entity, graph, kind, planet) for name in runs]
    first = os.path.join(folder, runs[0])
    values = {**load(first, "input.npz"), **load(first, "taps64.npz")}
    folders = [os.path.join(folder, name) for name in runs]
    return {"runs": found, "faults": [planted(fault, folder, folders)
                                      for fault in planting.faults(document, values)]}


def load(folder: str, name: str) -> dict[str, np.ndarray]:
    with np.load(os.path.join(folder, name)) as file:
        return dict(file)


def checkpoint(stream: str, entity: str) -> str:
    """Take a stream through loom-stream; the checkpoint's path."""
    programs.run("loom-stream", [], stdin=stream, stdout=entity)
    return entity


def run(folder: str, entity: str, graph, kind: str, planet: str) -> dict:
    """The verdicts of one run, and what of the float32 run binary32 explains."""
    own, own_tensor = distance(load(folder, "taps32.npz"), load(folder, "taps64.npz"))
    limit = MIXER if kind == "mixer" else max(CUMULATIVE, own)
    options = ALLOWED.get(kind, ())
    made = {"own": own, "own_tensor": own_tensor, "limit": limit,
            "isolated": compared(folder, entity, True, ISOLATED, options=options),
            "cumulative": compared(folder, entity, False, limit, options=options)}
    if planet != "sklearn":  # its float32 is none: it computes in the precision of its weights
        found = explaining.used(graph, load(folder, "input.npz"), load(folder, "taps32.npz"),
                                "jax" if planet == "nnx" else planet)
        made["used"] = {"part": found.part, "tensor": found.tensor, "width": found.width}
    return made


def distance(found: dict, right: dict) -> tuple[float, str]:
    """The greatest distance relative to max(1, the greatest value), and the tensor that has it."""
    parts = [(float(np.abs(found[name].astype(float) - right[name]).max(initial=0)
                    / max(1.0, np.abs(right[name]).max(initial=0))), name) for name in right]
    return max(parts, default=(0.0, ""))


def compared(folder: str, entity: str, fed: bool, limit: float, name: str = "", options=()) -> dict:
    """Run a checkpoint and compare all tensors that the framework has; label, distance, tensor."""
    name = name or ("isolated" if fed else "cumulative")
    taps, right = os.path.join(folder, f"{name}.safetensors"), os.path.join(folder, "taps64.npz")
    infer(folder, entity, fed, taps)
    report = os.path.join(folder, f"{name}.ndjson")
    status, _, _ = programs.run("loom-compare", ["-q", "--allow-extra", *options, "--atol", repr(limit),
                                                 "--report", f"ndjson={report}", taps, right],
                                answers=(0, 1))
    tensors = [t for t in checking.read_report(report) if t["label"] != "EXTRA"]
    worst = max(tensors, key=relative)
    return {"label": checking.label_of(tensors, status), "distance": relative(worst),
            "tensor": worst["name"]}


def infer(folder: str, entity: str, fed: bool, taps: str) -> None:
    feed = ["--feed", os.path.join(folder, "taps64.npz")] if fed else []
    programs.run("loom-infer", ["-m", entity, *feed, "--taps", taps, os.path.join(folder, "input.npz")],
                 stdout=os.devnull)


def relative(tensor: dict) -> float:
    return float(tensor.get("max_abs") or 0) / float(tensor.get("scale") or 1)


def planted(fault, folder: str, runs: list[str]) -> dict:
    """What the whole path says of a planted mistake: fed, at each size, and then unfed.

    The first DIFF counts; without one the last label does.
    """
    record = {"fault": fault.name, "what": fault.what}
    if fault.document is None:
        return {"fault": fault.name, "why_not": fault.what}
    stream, entity = (os.path.join(folder, f"fault.{kind}") for kind in ("stream", "entity"))
    with open(stream, "wb") as file:
        fault.document.write(file)
    try:
        checkpoint(stream, entity)
        record |= seen(entity, runs)
    except ProgramError as error:
        record["label"], record["error"] = "REFUSED", " ".join(str(error).split())
    for path in (stream, entity, *(os.path.join(run_, f"fault.{kind}") for run_ in runs
                                   for kind in ("safetensors", "ndjson"))):
        Path(path).unlink(missing_ok=True)
    return record


def seen(entity: str, runs: list[str]) -> dict:
    """Where a mistake is seen first, and how large it is there."""
    ways = [(run_, True) for run_ in runs] + [(run_, False) for run_ in runs]
    error = None
    for folder, fed in ways:
        try:
            found = compared(folder, entity, fed, ISOLATED if fed else CUMULATIVE, "fault")
        except ProgramError as refusal:  # another shape than the framework's cannot be fed
            if not fed:
                raise
            error = refusal
            continue
        if found["label"] == "DIFF":
            return {"label": "DIFF", "where": "isolated" if fed else "whole", "distance": found["distance"],
                    "tensor": found["tensor"]}
    if error is not None:
        raise error
    return {"label": found["label"], "where": "", "distance": found["distance"], "tensor": found["tensor"]}
