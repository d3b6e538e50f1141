"""The dense bedrock: its models, its fixture, and one run of a planet over all of them."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass

import numpy as np

from .. import arrays, planets, stream
from ..graph import BridgeError


@dataclass(frozen=True)
class Training:
    """How every model of the bedrock is trained, on every planet."""

    optimizer: str
    loss: str
    epochs: int
    batch: int
    learning_rate: float


@dataclass(frozen=True)
class Model:
    """One network: dense layers with `units` outputs, each with its activation."""

    id: str
    inputs: int
    units: tuple[int, ...]
    activations: tuple[str, ...]
    bias: bool


@dataclass(frozen=True)
class Facts:
    """What a facts file says; `raw` is all of it."""

    seed: int
    tolerance: float
    planets: tuple[str, ...]
    training: Training
    models: tuple[Model, ...]
    raw: dict

    def model(self, model_id: str) -> Model:
        """The model called `model_id`; KeyError if there is none."""
        return {m.id: m for m in self.models}[model_id]


def read_facts(path: str) -> Facts:
    """The facts in a JSON file such as fixtures/bedrocks/dense.json."""
    with open(path, encoding="utf-8") as file:
        raw = json.load(file)
    models = tuple(Model(m["id"], m["inputs"], tuple(m["units"]), tuple(m["activations"]), m["bias"])
                   for m in raw["models"])
    return Facts(raw["seed"], raw["tolerance"], tuple(raw["planets"]), Training(**raw["training"]),
                 models, raw)


def make_fixture(facts: Facts) -> dict[str, np.ndarray]:
    """The arrays x_train, y_train, x_test, y_test: normal inputs, drawn at once, and their target.

    BridgeError if the generator does not give the numbers that the facts record.
    """
    raw = facts.raw
    rng = np.random.default_rng(facts.seed)
    x = rng.standard_normal((raw["train"] + raw["test"], raw["inputs"]))
    y = target(x)
    cut = raw["train"]
    fixture = {"x_train": x[:cut], "y_train": y[:cut], "x_test": x[cut:], "y_test": y[cut:]}
    for name, first in raw["first4"].items():
        if not np.allclose(fixture[name].ravel()[:4], first, rtol=1e-11, atol=0):
            raise BridgeError(f"{name} begins with {fixture[name].ravel()[:4]}, expected {first}: "
                              "this NumPy draws other numbers")
    found = hashlib.sha256(arrays.little_endian(fixture["x_test"]).tobytes()).hexdigest()
    if found != raw["x_test_sha256"]:
        raise BridgeError(f"x_test has SHA-256 {found}, expected {raw['x_test_sha256']}")
    return fixture


def target(x: np.ndarray) -> np.ndarray:
    """The eight functions of a sample's first 13 values that the networks learn."""
    f = x.T
    return np.stack([
        np.sin(f[0]) + 0.25 * np.cos(f[1]),
        0.1 * f[2] - 0.05 * f[3],
        0.02 * np.tanh(f[4] + f[5]),
        0.01 * (f[6] ** 2 - f[7] ** 2),
        0.005 * f[8],
        0.005 * np.sin(f[9]),
        0.005 * np.cos(f[10]),
        0.002 * (f[11] + f[12]),
    ], axis=1)


def slice_for(model: Model, fixture: dict) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(x_train, y_train, x_test) of a model narrower than the fixture: the leading columns."""
    return (fixture["x_train"][:, :model.inputs], fixture["y_train"][:, :model.units[-1]],
            fixture["x_test"][:, :model.inputs])


def write_fixture(facts: Facts, path: str) -> None:
    """The fixture as .npz, float64 in C order."""
    with arrays.binary_output(path) as out:
        arrays.write_arrays(make_fixture(facts), out)


def run_planet(facts: Facts, planet: str, fixture: dict, folder: str, say=lambda line: None) -> None:
    """Train every model on one planet and write its files, FOLDER/MODEL/...

    model.stream: the live network as a layer stream; input.npy: the test inputs in float32;
    native.npy: the framework's own outputs for them; settings.json: how they were made.
    """
    from . import training

    training.prepare(planet)
    for model in facts.models:
        x_train, y_train, x_test = slice_for(model, fixture)
        inputs = {"x": x_test.astype(np.float32)}
        network, settings = training.train(planet, model, facts, x_train, y_train)
        write_files(os.path.join(folder, model.id), planet, model.id, network, inputs, settings)
        say(f"{planet}/{model.id}: loss {settings['loss']:.3g}")


def write_files(folder: str, planet: str, name: str, network, inputs: dict, settings: dict) -> None:
    """The files of one live network.  BridgeError if the outputs hold a value that is not finite."""
    module = planets.module(planet)
    graph = module.emit(network, example=inputs, name=name)
    outputs = module.native(network, inputs)
    for output, values in outputs.items():
        if not np.isfinite(values).all():
            raise BridgeError(f"{planet}/{name}: {output} holds values that are not finite")
    os.makedirs(folder, exist_ok=True)
    with arrays.binary_output(os.path.join(folder, "model.stream")) as out:
        stream.write(graph, out)
    for file, tensors in (("input.npy", inputs), ("native.npy", outputs)):
        with arrays.binary_output(os.path.join(folder, file)) as out:
            arrays.write_arrays(tensors, out)
    text = json.dumps({"planet": planet, "model": name, "versions": graph.versions, **settings}, indent=1)
    with arrays.binary_output(os.path.join(folder, "settings.json")) as out:
        out.write(text.encode() + b"\n")
