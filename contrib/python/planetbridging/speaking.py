"""A bedrock's network as it speaks for itself: its graph, its test inputs, its own answers."""

from __future__ import annotations

import contextlib
import random
import sys
from dataclasses import dataclass
from typing import Callable

import numpy as np

from . import planets, running
from .bedrock import fixture, kinds, living, network as networks, oracle, trained
from .bedrock.facts import Facts, Model
from .bedrock.network import Layer, Network, Weights
from .graph import Graph, Input, Node, Tensor
from .vocabulary import AXES

SEED = 42
NUMPY = "numpy"
"""The planet of our own float64 formulas."""


@dataclass(frozen=True, eq=False)
class Spoken:
    """A network and what it says: `inputs` by name and `native`, `usual` as [N, D].

    `canonical` turns outputs by name, in the planet's own layout, into float64 [N, D] with channels
    first; `likeness` is an output in that layout, for its shape.
    """

    model_id: str
    layers: int
    graph: Graph
    inputs: dict[str, np.ndarray]
    native: np.ndarray
    usual: np.ndarray | None
    canonical: Callable[[dict[str, np.ndarray]], np.ndarray]
    likeness: np.ndarray


def nothing() -> np.ndarray:
    """float64 [0, 0]."""
    return np.zeros((0, 0))


def live(planet: str, facts: Facts, model: Model) -> Spoken:
    """The network made of the planet's own layers, with the weights that belong to it."""
    canonical = kinds.of(facts.kind).inputs(facts, model, fixture.make(facts), "test")
    with planets.ONE_AT_A_TIME, generators_kept():
        module = planets.module(planet)
        wanted = trained.network_on(planet, facts, model)
        built = trained.builder(planet).build(wanted, weights(planet, facts, model), SEED)
        inputs = built.to_native(canonical)
        graph = module.emit(built.network, example=inputs, name=model.id)
        usual, exact = living.answers(planet, module, built.network, inputs)

    def flat(outputs):
        return running.rows(built.to_canonical(outputs))
    return Spoken(model.id, layer_count(model), graph, inputs, flat(exact),
                  None if planet == "sklearn" else flat(usual), flat, next(iter(exact.values())))


def formulas(facts: Facts, model: Model) -> Spoken:
    """The network as NumPy formulas; without a framework to initialise them its weights are drawn."""
    wanted = kinds.of(facts.kind).network(facts, model)
    found = weights("pytorch", facts, model)
    found = drawn(wanted) if found is None else found
    inputs = kinds.of(facts.kind).inputs(facts, model, fixture.make(facts), "test")
    exact = oracle.run(wanted, found, inputs)
    return Spoken(model.id, layer_count(model), graph_of(wanted, found), inputs, running.rows(exact),
                  None, running.rows, next(iter(exact.values())))


def weights(planet: str, facts: Facts, model: Model) -> Weights | None:
    """Canonical weights, trained or drawn; None where the framework's initial ones are meant."""
    if facts.training:
        return trained.stored(planet, facts, model)
    return kinds.of(facts.kind).weights(facts, model)


def layer_count(model: Model) -> int:
    """How many layers the model's row names."""
    return len(model.row.get("layers", (None,)))


def drawn(network: Network) -> Weights:
    """Uniform weights within 1/sqrt(fan in), and biases within 0.1."""
    rng, made = np.random.default_rng(SEED), {}
    for layer in network.layers:
        for slot, shape in networks.slots(layer).items():
            bound = 0.1 if len(shape) == 1 else shape[-1] ** -0.5
            made[f"{layer.name}.{slot}"] = rng.uniform(-bound, bound, shape).astype(np.float32)
    return made


def graph_of(network: Network, found: Weights) -> Graph:
    """A graph with these weights, both in canonical axes."""
    return Graph(NUMPY, {NUMPY: np.__version__}, network.id,
                 [Input(item.name, item.dtype, list(item.shape)) for item in network.inputs],
                 list(network.outputs), [_node(layer, found) for layer in network.layers])


def _node(layer: Layer, found: Weights) -> Node:
    tensors = [Tensor(slot, found[f"{layer.name}.{slot}"], "float32", list(AXES[layer.op][slot]))
               for slot in networks.slots(layer)]
    return Node(layer.name, layer.op, list(layer.inputs), dict(layer.params), tensors,
                list(layer.outputs))


@contextlib.contextmanager
def generators_kept():
    """Python's, NumPy's and PyTorch's random generators are afterwards what they were."""
    before, torch = (random.getstate(), np.random.get_state()), sys.modules.get("torch")
    state = torch.random.get_rng_state() if torch else None
    try:
        yield
    finally:
        random.setstate(before[0])
        np.random.set_state(before[1])
        if torch:
            torch.random.set_rng_state(state)
