"""Known mistakes, planted in a network's stream, and what the whole path says of them.

A check that cannot fail proves nothing.  Each fault changes the stream as a wrong emitter would;
the altered stream then goes through loom-stream, loom-infer and loom-compare like any other and must
be reported DIFF.  Where a fault cannot change the function, the reason is recorded instead.
"""

from __future__ import annotations

import json
import os

from .. import arrays, checking
from ..stream import StreamDocument
from . import chain
from .fault import Fault

PLANTERS = {"dense": chain.plant}
"""By kind of bedrock: (stream, inputs by name) to the faults of that network, each with a name."""


def run(kind: str, folder: str, options: list[str]) -> list[dict]:
    """Plant every fault in FOLDER/model.stream, take each the whole path, and record the verdicts.

    Compares with FOLDER/native64.npy on FOLDER/input.npy or .npz, by loom-compare's `options`; files
    go to FOLDER/faults/NAME, the records to FOLDER/faults.ndjson.
    """
    with open(os.path.join(folder, "model.stream"), "rb") as file:
        document = StreamDocument.parse(file)
    inputs = read_inputs(folder, document)
    (native,) = arrays.read_arrays(os.path.join(folder, "native64.npy")).values()
    records = [verdict(fault, inputs, {document.head["outputs"][0]: native}, options,
                       os.path.join(folder, "faults", fault.name))
               for fault in PLANTERS[kind](document, inputs)]
    with arrays.binary_output(os.path.join(folder, "faults.ndjson")) as out:
        out.write("".join(json.dumps(record) + "\n" for record in records).encode())
    return records


def read_inputs(folder: str, document: StreamDocument) -> dict:
    """The inputs in a model's folder by the stream's names."""
    several = os.path.join(folder, "input.npz")
    if os.path.exists(several):
        return arrays.read_arrays(several)
    (only,) = arrays.read_arrays(os.path.join(folder, "input.npy")).values()
    return {document.head["inputs"][0]["name"]: only}


def verdict(fault: Fault, inputs, native, options, keep) -> dict:
    """The record of one fault: its label, or the reason why there is none."""
    if fault.document is None:
        return {"fault": fault.name, "why_not": fault.what}
    result = checking.run_check(fault.document.graph(), inputs, native, options, keep)
    greatest = max(t.get("max_abs", 0) or 0 for t in result.tensors)
    return {"fault": fault.name, "what": fault.what, "label": result.label, "max_abs": greatest}
