"""The facts of a bedrock, as fixtures/bedrocks/KIND.json has them: models, seeds, check values."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..graph import BridgeError

KINDS = ("dense", "cnn1", "cnn2", "cnn3", "mha", "lstm", "rnn", "layernorm", "embedding", "rmsnorm",
         "swiglu", "residual", "mixer")
"""All bedrocks, in the order of tables."""

PLANETS = ("pytorch", "tensorflow", "jax", "sklearn")
"""All planets that bedrocks name, in the order of tables."""

DIGITS = 1e-11
"""Check values are recorded with 12 significant digits."""


@dataclass(frozen=True)
class Training:
    """How every model of the bedrock is trained, on every planet."""

    optimizer: str
    loss: str
    epochs: int
    batch: int
    learning_rate: float


@dataclass(frozen=True, eq=False)
class Model:
    """One network's row; `model["dim"]` is a value of it."""

    id: str
    row: dict

    def __getitem__(self, key: str):
        return self.row[key]


@dataclass(frozen=True)
class Facts:
    """What a facts file says; `raw` is all of it.  `training` is None where nothing is trained."""

    kind: str
    seed: int
    tolerance: float
    planets: tuple[str, ...]
    training: Training | None
    models: tuple[Model, ...]
    raw: dict

    def model(self, model_id: str) -> Model:
        """The model called `model_id`; KeyError if there is none."""
        return {m.id: m for m in self.models}[model_id]


def read_facts(path) -> Facts:
    """The facts in a JSON file such as fixtures/bedrocks/dense.json."""
    with open(path, encoding="utf-8") as file:
        raw = json.load(file)
    training = Training(**raw["training"]) if "training" in raw else None
    return Facts(raw["bedrock"], raw["seed"], raw["tolerance"], tuple(raw["planets"]), training,
                 tuple(Model(row["id"], row) for row in raw["models"]), raw)


def folder() -> Path:
    """The facts and stored weights: this package's data, or fixtures/bedrocks of the checkout that
    holds it; BridgeError where neither is.
    """
    here = Path(__file__).resolve()
    for place in (here.parents[1] / "data" / "bedrocks",
                  *(parent / "fixtures" / "bedrocks" for parent in here.parents)):
        if place.is_dir():
            return place
    raise BridgeError("fixtures/bedrocks is not above this package, and it brings none: bedrocks need "
                      "a checkout or the wheel that make wheel makes")


def of(kind: str) -> Facts:
    """The facts of one of KINDS."""
    return read_facts(os.path.join(folder(), f"{kind}.json"))


def check_first(name: str, values: np.ndarray, first) -> None:
    """BridgeError unless `values` begin with the recorded numbers."""
    begin = np.asarray(values, np.float64).ravel()[:len(first)]
    if not np.allclose(begin, first, rtol=DIGITS, atol=0):
        raise BridgeError(f"{name} begins with {begin}, expected {first}: this NumPy draws other numbers")


def digest(values: np.ndarray) -> str:
    """SHA-256 of an array's bytes, little-endian in C order."""
    array = np.ascontiguousarray(values)
    return hashlib.sha256(array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes()).hexdigest()
