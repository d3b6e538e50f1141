"""Weights that a framework made: its own initial ones, trained where the facts say so, and kept.

TRAIN is how: "full" takes the reference's epochs, "short" a tenth of them, "stored" reads trained
weights from fixtures/bedrocks/stored/PLANET/KIND.safetensors.  What was trained is kept under a key of
all that it depends on (never of file times), so that a run that was killed goes on where it was.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import os
from dataclasses import asdict
from pathlib import Path

import numpy as np

from .. import arrays, planets
from ..graph import BridgeError
from . import build_sklearn, facts as fact, kinds, training
from .facts import Facts, Model
from .layout import outputs_like
from .network import Network, Weights
from .reading import weights_of

MODES = ("full", "short", "stored")

BUILDERS = {"pytorch": ("build_torch",), "tensorflow": ("build_keras", "keras_layers"),
            "jax": ("build_linen", "flax_plan"), "sklearn": ("build_sklearn",)}
"""The modules that build networks for a planet; the first has `build`."""

PACKAGES = {"pytorch": ("torch",), "tensorflow": ("keras", "tensorflow"),
            "jax": ("jax", "jaxlib", "flax", "optax"), "sklearn": ("sklearn",)}
"""The packages whose version decides what comes out of a training."""


def builder(planet: str):
    """The module that builds networks for a planet."""
    return importlib.import_module(f"{__package__}.{BUILDERS[planet][0]}")


def network_on(planet: str, facts: Facts, model: Model) -> Network:
    """The model's network as the planet can have it."""
    network = kinds.of(facts.kind).network(facts, model)
    return build_sklearn.biased(network) if planet == "sklearn" else network


def epochs(facts: Facts, mode: str) -> int:
    """How many epochs a training has; 0 where nothing is trained."""
    if facts.training is None:
        return 0
    return -(-facts.training.epochs // 10) if mode == "short" else facts.training.epochs


def described(facts: Facts, model: Model, mode: str) -> str:
    """What a table says of where the weights come from."""
    if facts.training is None:
        drawn = kinds.of(facts.kind).weights(facts, model)
        return "framework's initial" if drawn is None else "drawn" if drawn else "none"
    if mode == "stored":
        return f"stored, trained {facts.training.epochs} epochs"
    return f"trained {epochs(facts, mode)} of {facts.training.epochs} epochs"


def key(planet: str, facts: Facts, model: Model, fixture: dict, mode: str) -> str:
    """The name under which trained weights are kept: a digest of all that they depend on."""
    x, y = samples(facts, model, fixture)
    parts = {"planet": planet, "kind": facts.kind, "model": model.row, "seed": facts.seed,
             "training": asdict(facts.training), "epochs": epochs(facts, mode), "mode": mode,
             "x": fact.digest(x), "y": fact.digest(y), "source": source(planet, facts.kind),
             "versions": versions(planet)}
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:32]


def versions(planet: str) -> dict[str, str]:
    """The versions of the packages that a training depends on."""
    return {package: planets.installed_version(package) for package in (*PACKAGES[planet], "numpy")}


def source(planet: str, kind: str) -> str:
    """A digest of the files that say what is trained and how."""
    names = ["training", "trained", "network", "drawing", "layout", "reading", *BUILDERS[planet]]
    total = hashlib.sha256()
    for name in (kinds.of(kind).__name__, *(f"{__package__}.{name}" for name in names)):
        total.update(Path(importlib.import_module(name).__file__).read_bytes())
    return total.hexdigest()


def samples(facts: Facts, model: Model, fixture: dict) -> tuple[np.ndarray, np.ndarray]:
    """(x, y) that a model is trained on: float32 inputs in canonical layout, the leading targets."""
    (x,) = kinds.of(facts.kind).inputs(facts, model, fixture, "train").values()
    return x, np.ascontiguousarray(fixture["y_train"][:, :model["output_dim"]])


def weights(planet: str, facts: Facts, model: Model, fixture: dict, mode: str,
            folder: str) -> Weights:
    """Trained weights, from the store below `folder` if they are there, else trained and put there."""
    if mode == "stored":
        return stored(planet, facts, model)
    path = os.path.join(folder, key(planet, facts, model, fixture, mode), "weights.safetensors")
    if not os.path.exists(path):
        made, loss = trained(planet, facts, model, fixture, mode)
        keep(path, made, {"planet": planet, "model": model.id, "mode": mode, "loss": repr(loss),
                          "epochs": str(epochs(facts, mode))})
    return load(path)


def keep(path: str, made: Weights, about: dict[str, str]) -> None:
    """Write a .safetensors file that appears when it is complete.

    `about` goes into one text: the library writes several in no order.
    """
    from safetensors.numpy import save

    os.makedirs(os.path.dirname(path), exist_ok=True)
    with arrays.binary_output(path) as out:
        out.write(save(dict(sorted(made.items())), {"about": json.dumps(about, sort_keys=True)}))


def load(path) -> Weights:
    """The tensors of a .safetensors file; BridgeError if it is none."""
    return arrays.read_safetensors(path)


def trained(planet: str, facts: Facts, model: Model, fixture: dict,
            mode: str) -> tuple[Weights, float]:
    """(canonical float32 weights, loss) of a network built and trained now.

    The weights are read out of the emitted graph.  Built anew from them, the network must answer as
    the one that was trained, or BridgeError: what is kept is what was trained.
    """
    network = network_on(planet, facts, model)
    module, build = planets.module(planet), builder(planet).build
    built = build(network, None, facts.seed)
    x, y = samples(facts, model, fixture)
    name = network.inputs[0].name
    native_x = built.to_native({name: x})[name]
    native_y = y if planet == "sklearn" else targets(module, built, {name: native_x[:2]}, y)
    live, loss = training.train(planet, built, facts.training, epochs(facts, mode), facts.seed,
                                native_x, native_y)
    found = weights_of(module.emit(live, example={name: native_x[:2]}, name=model.id), network)
    again = build(network, found, facts.seed).network
    confirm(planet, model, module.native(live, {name: native_x[:100]}),
            module.native(again, {name: native_x[:100]}))
    return found, loss


def targets(module, built, few: dict, y: np.ndarray) -> np.ndarray:
    """Flat canonical targets [N, outputs] as the planet lays out the network's output for `few` inputs."""
    ((name, native),) = module.native(built.network, few).items()
    (canonical,) = built.to_canonical({name: native}).values()
    places = {name: np.empty((len(y), *native.shape[1:]))}
    return outputs_like(built, places, {"y": y.reshape(len(y), *canonical.shape[1:])})[name]


def confirm(planet: str, model: Model, live: dict, again: dict) -> None:
    """BridgeError unless a network answers as the one whose weights it was built from.

    scikit-learn trains in float64, so its weights are rounded once on the way.
    """
    for name, values in live.items():
        scale = max(1.0, float(np.abs(values).max()))
        bound = (1e-5 if planet == "sklearn" else 0.0) * scale
        away = np.abs(values - again[name]).max()
        if not away <= bound:
            raise BridgeError(f"{planet}/{model.id}: built anew from its weights, the trained network "
                              f"answers {away:.3g} beside itself")


def stored_path(planet: str, kind: str) -> Path:
    """The committed file of a planet's trained weights of one kind."""
    return fact.folder() / "stored" / planet / f"{kind}.safetensors"


def stored(planet: str, facts: Facts, model: Model) -> Weights:
    """A model's weights out of the committed file; BridgeError if it does not have them."""
    path = stored_path(planet, facts.kind)
    found = {name.split("/", 1)[1]: array for name, array in load(path).items()
             if name.split("/", 1)[0] == model.id}
    if not found:
        raise BridgeError(f"{path}: has no weights of {model.id}: make bedrock-store writes them")
    return found


def store(planet: str, facts: Facts, fixture: dict, folder: str) -> Path:
    """Write the committed file of a planet and kind from trainings of full length."""
    made = {f"{model.id}/{name}": array for model in facts.models
            for name, array in weights(planet, facts, model, fixture, "full", folder).items()}
    path = stored_path(planet, facts.kind)
    keep(str(path), made, {"planet": planet, "bedrock": facts.kind, "fixture": facts.raw["fixture"],
                           "epochs": str(facts.training.epochs),
                           "versions": ", ".join(map(" ".join, versions(planet).items()))})
    return path
