"""Real Loom (PyPI welvet) on a bedrock's checkpoint, for the results of `engines`."""

from __future__ import annotations

import io
import os
import tempfile

import numpy as np

from . import programs, running, stream, witness
from .compare import FP32_PASS_TOLERANCE, compare_outputs
from .ladder import losses
from .programs import ProgramError
from .speaking import Spoken
from .stream import StreamDocument

LOST = "plain Loom: "
"""How entity-dump --check begins to say what an unmodified Loom gets wrong."""


def ask(entity: str, spoken: Spoken, samples: int, binary=None) -> dict:
    """`welvet` (float64 [n, D] or None) and `welvet_note` of a result, for the first samples.

    Loom has one input, the one that the first layer reads, and is given each sample as a batch of one;
    where it answers wrong, the sample alone.  A checkpoint that holds what Loom has no field for is
    asked again as `loom-stream --lower` writes it, and the note says so; if that is refused or no
    nearer, the note says what an unmodified Loom loses.
    """
    why = witness.missing()
    if why:
        return {"welvet": None, "welvet_note": f"real Loom was not asked: {why}; pip install welvet"}
    wanted = spoken.native[:samples]
    plain, why = _nearest(entity, spoken, wanted)
    if plain is not None and _away(plain, wanted) < FP32_PASS_TOLERANCE:
        return {"welvet": plain, "welvet_note": None}
    lost = "; ".join(filter(None, [why, *_losses(entity, binary)]))
    with tempfile.TemporaryDirectory(prefix="planetbridging-") as folder:
        for lowered in _lowered(folder, spoken, samples, binary):
            made, _ = _nearest(lowered, spoken, wanted)
            if made is not None and (plain is None or _away(made, wanted) < _away(plain, wanted)):
                return {"welvet": made, "welvet_note": f"of the file lowered for Loom; {lost}"}
    return {"welvet": plain, "welvet_note": lost or None}


def _away(made: np.ndarray, wanted: np.ndarray) -> float:
    """The greatest difference; a NaN is the farthest."""
    away = compare_outputs(wanted, made)[0]
    return float("inf") if np.isnan(away) else away


def _nearest(entity: str, spoken: Spoken, wanted: np.ndarray) -> tuple[np.ndarray | None, str]:
    """(the answer of the way of asking that comes nearest, "") or (None, why there is none)."""
    x = _read(spoken)[:len(wanted)]
    answers, why = [], ""
    for form in ([x[n:n + 1] for n in range(len(x))], list(x) if x.ndim > 1 else []):
        if not form or answers and _away(answers[0], wanted) < FP32_PASS_TOLERANCE:
            break
        made, said = _told(entity, spoken, form)
        why = why or said
        answers += [] if made is None else [made]
    if not answers:
        return None, why
    return min(answers, key=lambda made: _away(made, wanted)), ""


def _read(spoken: Spoken) -> np.ndarray:
    """The input that the first layer that reads one reads."""
    read = (name for node in spoken.graph.nodes for name in node.inputs)
    return spoken.inputs[next(name for name in read if name in spoken.inputs)]


def _told(entity: str, spoken: Spoken, form: list[np.ndarray]) -> tuple[np.ndarray | None, str]:
    """(canonical rows, "") or (None, why there are none)."""
    testimony = witness.ask(entity, form)
    if testimony.death:
        return None, f"real Loom died: {testimony.death}"
    flat = np.concatenate([np.ravel(y) for y in testimony.outputs])
    shape = (len(form), *spoken.likeness.shape[1:])
    if flat.size != np.prod(shape):
        return None, f"real Loom gave {flat.size // len(form)} values a sample, not {np.prod(shape[1:])}"
    return spoken.canonical({name: flat.reshape(shape) for name in spoken.graph.outputs}), ""


def _losses(entity: str, binary) -> list[str]:
    """What entity-dump says that an unmodified Loom gets wrong."""
    with running.refusals():
        _, said, _ = programs.run(running.program("entity-dump", binary), ["--check", entity],
                                  answers=(0, 1))
    return [line for line in said.splitlines() if line.startswith(LOST)]


def _lowered(folder: str, spoken: Spoken, samples: int, binary):
    """Paths of the network lowered as it is, for the samples' sizes, and for one sample at a time."""
    spool = io.BytesIO()
    stream.write(spoken.graph, spool)
    spool.seek(0)
    document = StreamDocument.parse(spool)
    inputs = {name: x[:samples] for name, x in spoken.inputs.items()}
    path = os.path.join(folder, "lowered.entity")
    for narrow in (document, *(losses.for_loom(document, inputs, batch) for batch in (None, 1))):
        try:
            yield running.checkpoint(narrow.graph(), path, binary, ["--lower"])
        except ProgramError as error:
            if error.status != 3:  # it is not the network that is at fault
                raise
