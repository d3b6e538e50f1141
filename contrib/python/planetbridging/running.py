"""A graph to a checkpoint and a checkpoint to answers, for calls that return arrays."""

from __future__ import annotations

import contextlib
import json
import os
import struct
import tempfile
from pathlib import Path

import numpy as np

from . import arrays, programs, stream
from .graph import Graph, MachineError, bind_inputs

HEADER = struct.Struct("<8sHHQ")
"""How an .entity begins: magic, version, flags, bytes of the JSON that follows."""


@contextlib.contextmanager
def refusals():
    """A program's refusal as RuntimeError with its message, its absence as FileNotFoundError."""
    try:
        yield
    except programs.ProgramError as error:
        raise RuntimeError(str(error)) from None
    except MachineError as error:
        raise FileNotFoundError(str(error)) from None


ENVIRONMENT = "PLANETBRIDGING_LOOM_STREAM"
"""Names the loom-stream to use, where a call does not."""


def program(name: str, binary: str | os.PathLike | None) -> str:
    """The program `name`: `binary` is the user's loom-stream, whose neighbours are taken before others."""
    binary = binary or os.environ.get(ENVIRONMENT)
    if not binary:
        return programs.find(name)
    place = Path(binary).expanduser().absolute()
    beside = place if name == "loom-stream" else place.with_name(name)
    return programs.find(name if name != "loom-stream" and not beside.exists() else str(beside))


def checkpoint(graph: Graph, path: str | os.PathLike, binary=None, options=()) -> str:
    """Write the graph as an .entity at `path`, whose folders are made; the path as text."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="planetbridging-") as folder:
        source = os.path.join(folder, "model.stream")
        with open(source, "wb") as out:
            stream.write(graph, out)
        programs.run(program("loom-stream", binary), [*options, "-o", str(path)], stdin=source)
    return str(path)


def answers(entity: str, graph: Graph, inputs, binary=None) -> dict[str, np.ndarray]:
    """What the checkpoint computes: arrays by the names of the graph's outputs."""
    given = bind_inputs([item.name for item in graph.inputs], inputs)
    with tempfile.TemporaryDirectory(prefix="planetbridging-") as folder:
        source, made = (os.path.join(folder, name) for name in ("x", "y"))
        with arrays.binary_output(source) as out:
            arrays.write_arrays(given, out)
        programs.run(program("loom-infer", binary), ["-m", entity, source], stdout=made)
        if len(graph.outputs) > 1:
            found = arrays.read_safetensors(made)
            return {name: found[name] for name in graph.outputs}
        return dict(zip(graph.outputs, arrays.read_arrays(made).values()))


def destination(planet: str, model_id: str, output_path, models_dir, root) -> Path:
    """Where the file is written; ValueError for names that would lead elsewhere."""
    for what, name in (("planet", planet), ("model_id", model_id)):
        if not name or name in (".", "..") or "/" in name or "\\" in name or "\0" in name:
            raise ValueError(f"{what} is {name!r}, which cannot be the name of a file")
    if output_path is not None:
        return Path(output_path)
    if models_dir is not None:
        return Path(models_dir) / planet / model_id / f"{model_id}.stream.entity"
    return Path(root or ".") / ".planetbridging" / "absorb" / planet / f"{model_id}.entity"


def counts(entity: str) -> tuple[int, int]:
    """(Loom's layers, bytes of weights but for the biases of dense layers) of an .entity."""
    with open(entity, "rb") as file:
        size = HEADER.unpack(file.read(HEADER.size))[3]
        header = json.loads(file.read(size))
    held = sum(blob["length"] for blob in header["blobs"]
               if not blob["path"].startswith("bridge.dense."))
    return header["network"]["layers_per_cell"], held


def rows(outputs: dict[str, np.ndarray]) -> np.ndarray:
    """float64 [N, D] of the outputs, one behind the other, a row for each index of their first axis."""
    flat = [np.asarray(array, np.float64).reshape(len(array) if np.ndim(array) else 1, -1)
            for array in outputs.values()]
    return np.concatenate(flat, axis=1)
