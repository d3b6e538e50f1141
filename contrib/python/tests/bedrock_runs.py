"""Models of bedrocks made once for all tests that need them, with short trainings."""

from __future__ import annotations

import functools
import os
import tempfile
from pathlib import Path

import numpy as np

from planetbridging.bedrock import facts as fact
from planetbridging.bedrock import fixture as fixtures
from planetbridging.bedrock import living, training
from planetbridging.checking import run_check
from planetbridging.stream import StreamDocument

ROOT = Path(__file__).resolve().parents[3]
LABELS = ROOT / "fixtures" / "bedrocks" / "labels"
OPTIONS = ["--atol", "1e-6"]

_folder = tempfile.TemporaryDirectory(prefix="bedrocks-")
facts = {kind: fact.of(kind) for kind in fact.KINDS}
dense_ids = [model.id for model in facts["dense"].models]


@functools.cache
def fixture(kind: str) -> dict:
    """A kind's arrays."""
    return fixtures.make(facts[kind])


@functools.cache
def made(planet: str, model_id: str, kind: str = "dense") -> Path:
    """The folder with the files of one model, made on first use."""
    folder = os.path.join(_folder.name, kind, planet, model_id)
    os.makedirs(folder)
    training.prepare(planet)
    living.write(folder, planet, facts[kind], facts[kind].model(model_id), fixture(kind), "short",
                 os.path.join(_folder.name, "trained"))
    return Path(folder)


def document(folder: Path) -> StreamDocument:
    """The stream in a model's folder."""
    with open(folder / "model.stream", "rb") as file:
        return StreamDocument.parse(file)


def judged(folder: Path):
    """The whole path for a model's folder, against the framework's float64."""
    inputs, native = np.load(folder / "input.npy"), np.load(folder / "native64.npy")
    return run_check(document(folder).graph(), {"x": inputs}, {"y": native}, OPTIONS)
