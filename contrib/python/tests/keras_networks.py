"""What the tests of Keras share: networks with weights that hide nothing, and their inputs."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest

if importlib.util.find_spec("keras") is None or importlib.util.find_spec("tensorflow") is None:
    pytest.skip("keras and tensorflow are not installed", allow_module_level=True)

from planetbridging import Unsupported, emit, planets  # noqa: E402

keras = planets.module("keras").framework()
layers, ops = keras.layers, keras.ops


def batches(*shape, names=("x",), sizes=(3, 7), seed=0):
    """Standard normal inputs [size, *shape] under each name, for each batch size."""
    rng = np.random.default_rng(seed)
    return [
        {name: rng.normal(size=(n, *shape)).astype(np.float32) for name in names} for n in sizes
    ]


def filled(model, seed=1):
    """The model with standard normal weights: no kernel is nearly symmetric, no bias is zero.

    Variances are between 0.5 and 2.
    """
    rng = np.random.default_rng(seed)
    for weight in model.weights:
        drawn = rng.normal(size=weight.shape)
        if "variance" in weight.path:
            drawn = rng.uniform(0.5, 2, size=weight.shape)
        if "float" in weight.dtype:
            weight.assign(drawn.astype(np.float32))
    return model


def sequential(*parts, shape=(4,)):
    return filled(keras.Sequential([keras.Input(shape, name="x"), *parts]))


def functional(function, shape=(4,), names=("x",)):
    inputs = [keras.Input(shape, name=name) for name in names]
    return filled(keras.Model(inputs, function(*inputs)))


def subclassed(function, *shape, **parts):
    """A built model with these sublayers whose call is function(self, x)."""

    class Net(keras.Model):
        def __init__(self):
            super().__init__(name="net")
            for name, part in parts.items():
                setattr(self, name, part)

        def call(self, x):
            return function(self, x)

    net = Net()
    net(np.zeros((2, *shape), np.float32))
    return filled(net)


def operations(document):
    return [n["op"] for n in document.nodes]


def problems_of(net, example=None):
    with pytest.raises(Unsupported) as error:
        emit(net, example=example)
    return [(p.path, p.cls, p.operation) for p in error.value.problems]
