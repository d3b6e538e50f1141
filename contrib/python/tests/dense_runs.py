"""The dense bedrock trained once for all tests that need it."""

from __future__ import annotations

import functools
import os
import tempfile
from pathlib import Path

import numpy as np

from planetbridging.bedrock import dense, training
from planetbridging.checking import run_check
from planetbridging.stream import StreamDocument

ROOT = Path(__file__).resolve().parents[3]
FACTS = ROOT / "fixtures" / "bedrocks" / "dense.json"
LABELS = ROOT / "fixtures" / "bedrocks" / "dense.labels"
OPTIONS = ["--atol", "1e-05", "--scale", "none"]

facts = dense.read_facts(FACTS)
ids = [model.id for model in facts.models]
_folder = tempfile.TemporaryDirectory(prefix="dense-bedrock-")


@functools.cache
def fixture():
    """The fixture's arrays."""
    return dense.make_fixture(facts)


@functools.cache
def trained(planet: str, model_id: str) -> Path:
    """The folder with the files of one model, trained on first use."""
    folder = os.path.join(_folder.name, planet, model_id)
    x_train, y_train, x_test = dense.slice_for(facts.model(model_id), fixture())
    training.prepare(planet)
    network, settings = training.train(planet, facts.model(model_id), facts, x_train, y_train)
    dense.write_files(folder, planet, model_id, network, {"x": x_test.astype(np.float32)}, settings)
    return Path(folder)


def document(folder: Path) -> StreamDocument:
    """The stream in a model's folder."""
    with open(folder / "model.stream", "rb") as file:
        return StreamDocument.parse(file)


def judged(folder: Path):
    """The whole path for a model's folder."""
    inputs, native = np.load(folder / "input.npy"), np.load(folder / "native.npy")
    return run_check(document(folder).graph(), {"x": inputs}, {"y": native}, OPTIONS)
