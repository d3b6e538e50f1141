"""The whole path for one network (stream, run, compare), and the commands that do the same."""

from __future__ import annotations

import json
import os
import shlex
import tempfile
from dataclasses import dataclass, field

import numpy as np

from . import arrays, programs, stream
from .graph import Graph


@dataclass
class CheckResult:
    """What came out of a check.

    `status` is loom-compare's: 0 the outputs agree, 1 they do not.  `label` is EXACT, PASS, DIFF or
    VACUOUS (`label_of`), `report` loom-compare's table, `tensors` one dict per compared tensor, as in its NDJSON report,
    `notes` what loom-stream had to say (losses of precision).
    """

    status: int
    label: str
    report: str
    tensors: list[dict] = field(default_factory=list)
    notes: str = ""

    def __bool__(self) -> bool:
        return self.status == 0


FILES = {"stream": "model.stream", "entity": "model.entity", "report": "report.ndjson"}


def run_check(graph: Graph, inputs: dict[str, np.ndarray], outputs: dict[str, np.ndarray],
              options=(), keep: str | None = None) -> CheckResult:
    """Take `graph` through loom-stream and loom-infer on `inputs` and compare with `outputs`.

    The files are made in `keep`, or in a folder that is gone afterwards.  Raises ProgramError with
    the first program that refuses.
    """
    for program in ("loom-stream", "loom-infer", "loom-compare"):
        programs.find(program)
    if keep is not None:
        os.makedirs(keep, exist_ok=True)
        return _run_in(keep, graph, inputs, outputs, options)
    with tempfile.TemporaryDirectory(prefix="planetbridging-") as folder:
        return _run_in(folder, graph, inputs, outputs, options)


def _run_in(folder: str, graph: Graph, inputs, outputs, options) -> CheckResult:
    place = {key: os.path.join(folder, name) for key, name in file_names(inputs, outputs).items()}
    with arrays.binary_output(place["stream"]) as out:
        stream.write(graph, out)
    for key, values in (("input", _by_graph(graph, inputs)), ("native", outputs)):
        with arrays.binary_output(place[key]) as out:
            arrays.write_arrays(values, out)
    _, _, notes = programs.run("loom-stream", [], stdin=place["stream"], stdout=place["entity"])
    programs.run("loom-infer", ["-m", place["entity"], place["input"]], stdout=place["loom"])
    status, report, _ = programs.run(
        "loom-compare", [*options, "--report", "text", "--report", f"ndjson={place['report']}",
                         place["loom"], place["native"]], answers=(0, 1))
    tensors = read_report(place["report"])
    return CheckResult(status, label_of(tensors, status), report, tensors, notes)


def _by_graph(graph: Graph, inputs: dict) -> dict:
    names = [i.name for i in graph.inputs]
    return dict(zip(names, inputs.values())) if len(names) == len(inputs) == 1 else inputs


def file_names(inputs, outputs) -> dict[str, str]:
    """The files of a check, by what they hold; several tensors of ours are .npz."""
    kind = lambda tensors: "npy" if len(tensors) == 1 else "npz"  # noqa: E731
    loom = "npy" if len(outputs) == 1 else "safetensors"
    return {**FILES, "input": f"x.{kind(inputs)}", "native": f"native.{kind(outputs)}",
            "loom": f"loom.{loom}"}


def read_report(path: str) -> list[dict]:
    """The objects of an NDJSON report that stand for a tensor."""
    with open(path, encoding="utf-8") as file:
        return [line for line in map(json.loads, file) if line.get("kind") == "tensor"]


def label_of(tensors: list[dict], status: int) -> str:
    """The verdict in a word: EXACT if all tensors are, PASS if the status is 0, else DIFF.

    VACUOUS is no to outputs that agree but show nothing: all within the tolerance, or no rows.
    """
    labels = {t.get("label") for t in tensors}
    if status != 0:
        return "VACUOUS" if labels and labels <= {"EXACT", "PASS"} else "DIFF"
    return "EXACT" if labels == {"EXACT"} else "PASS"


def pipeline(planet: str, arguments: list[str], source: str, inputs, outputs, options,
             fold: str | None = None) -> str:
    """The shell commands that do what `check` did, a line each.

    `arguments` are SPEC and its options, `source` the file with the inputs.
    """
    folded = f" --fold {fold}" if fold else ""
    names = file_names(inputs, outputs)
    given = shlex.join([planet, *arguments, "--input", source])
    compare = shlex.join(["loom-compare", *options, names["loom"], names["native"]])
    return "\n".join([
        f"python -m planetbridging emit {given}{folded} | loom-stream > {names['entity']}",
        f"python -m planetbridging native {given} > {names['native']}",
        f"loom-infer -m {names['entity']} {shlex.quote(source)} > {names['loom']}",
        compare,
    ])
