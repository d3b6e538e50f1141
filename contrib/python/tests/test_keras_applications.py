"""Keras: whole networks as their makers build them, with weights redrawn so that faults show.

keras.applications MobileNetV2 and ResNet50 at a small image, a transformer block, taggers; each at a
second batch, with mistakes planted in its stream that must not pass.
"""

from __future__ import annotations

import functools

import numpy as np
import pytest

from conftest import programs_built
from interpreter import run_all
from keras_held import known
from keras_networks import keras, layers, operations, ops
from planetbridging import planets
from planetbridging.checking import run_check

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning")

KERAS = planets.module("keras")
SINGLE = 1e-6
"""Keras takes constants of gelu and attention through float32."""


def redrawn(net, seed=20):
    """Weights of unit gain, biases and means that are not 0, gammas and variances that are not 1."""
    rng = np.random.default_rng(seed)
    for weight in net.weights:
        shape = weight.shape
        if "variance" in weight.path:
            drawn = rng.uniform(0.5, 1.5, shape)
        elif "gamma" in weight.path:
            drawn = rng.uniform(0.5, 1.5, shape)
        elif len(shape) > 1:
            depthwise = "depthwise" in weight.path and len(shape) == 4
            inputs = np.prod(shape[:2]) if depthwise else np.prod(shape[:-1])
            drawn = rng.normal(size=shape) * np.sqrt(2 / inputs)
        else:
            drawn = rng.normal(size=shape) * 0.25
        weight.assign(drawn.astype(np.float32))
    return net


@functools.cache
def application(name):
    """The network with the running statistics of a batch of its own: values stay near 1."""
    make = getattr(keras.applications, name)
    net = redrawn(make(weights=None, input_shape=(32, 32, 3), classes=10, classifier_activation=None))
    for layer in net.layers:
        if isinstance(layer, layers.BatchNormalization):
            layer.momentum = 0.0
    net(images(16, 5), training=True)
    return net


def images(batch, seed=1):
    return np.random.default_rng(seed).normal(size=(batch, 32, 32, 3)).astype(np.float32)


def compared(net, document, inputs, atol=1e-10):
    """The greatest difference of any tap and output from Keras in float64, in units of its greatest."""
    wide = {name: a.astype(np.float64) if a.dtype.kind == "f" else a for name, a in inputs.items()}
    found = run_all(document, wide)
    taps = KERAS.taps(net, inputs, "float64")
    native = KERAS.native(net, inputs, "float64")
    for name, value in {**taps, **native}.items():
        assert value.shape == found[name].shape
        scale = max(1, np.abs(value).max(initial=0))
        np.testing.assert_allclose(found[name], value, rtol=0, atol=atol * scale, err_msg=name)
    return taps


@pytest.mark.parametrize("name, counts", [
    ("MobileNetV2", {"conv2": 52, "batchnorm": 52, "relu6": 35, "add": 10}),
    ("ResNet50", {"conv2": 53, "batchnorm": 53, "relu": 49, "add": 16, "pad": 1, "maxpool2": 1}),
])
def test_applications(streamed, name, counts):
    net = application(name)
    graph = KERAS.emit(net)
    document = streamed(graph)
    made = operations(document)
    assert {op: made.count(op) for op in counts} == counts
    one, two = ({"x": images(batch, batch)} for batch in (1, 2))
    one, two = ({graph.inputs[0].name: given["x"]} for given in (one, two))
    taps = compared(net, document, two)
    layer_names = {layer.name for layer in net.layers if not isinstance(layer, layers.InputLayer)}
    absorbed = {layer.name for layer in net.layers if isinstance(layer, layers.ZeroPadding2D)}
    last = net.layers[-1].name
    assert layer_names - absorbed - {last} <= set(taps)
    middle = [np.sqrt((value**2).mean()) for key, value in taps.items() if key in layer_names]
    assert 0.1 < min(middle) and max(middle) < 10, "a tap that shows nothing"
    outputs = KERAS.native(net, two)["y"]
    assert np.abs(outputs[0] - outputs[1]).max() > 0.01 * np.abs(outputs).max()
    if set(made) <= known():
        for inputs in (one, two):
            native = KERAS.native(net, inputs, "float64")  # Keras in float32 is ten times as far off
            result = run_check(graph, inputs, native, ["--atol", "1e-5"])
            assert result, result.report


def plant(document, fault):
    """One mistake in a stream, in the first node that it fits."""
    if fault == "eps":
        next(n for n in document.nodes if n["op"] == "batchnorm")["params"]["eps"] = 1e-5
        return
    if fault == "square":
        name = next(n["name"] for n in document.nodes if n["op"] in ("conv2", "dense")
                    and document.array(n["name"], "weight").shape[-1] ==
                    document.array(n["name"], "weight").shape[-2])
        document.alter(name, "weight", np.swapaxes(document.array(name, "weight"), -1, -2).copy())
        return
    if fault == "side":
        params = next(n for n in document.nodes if n["op"].startswith("conv")
                      and n["params"]["pad_low"] != n["params"]["pad_high"])["params"]
        params["pad_low"], params["pad_high"] = params["pad_high"], params["pad_low"]
        return
    name = next(n["name"] for n in document.nodes if n["op"] == "batchnorm")
    first, second = (document.array(name, slot).copy() for slot in ("mean", "beta"))
    document.alter(name, "mean", second)
    document.alter(name, "beta", first)


@pytest.mark.parametrize("name, fault", [
    ("MobileNetV2", "eps"), ("MobileNetV2", "mean and beta"), ("MobileNetV2", "side"),
    ("ResNet50", "eps"), ("ResNet50", "mean and beta"), ("ResNet50", "square"),
])
def test_mistakes_in_applications_are_told_apart(streamed, name, fault):
    net = application(name)
    document = streamed(KERAS.emit(net))
    plant(document, fault)
    given = {document.head["inputs"][0]["name"]: images(1)}
    with pytest.raises(AssertionError):
        compared(net, document, given)


def transformer(x, name):
    attended = layers.MultiHeadAttention(4, 4, name=f"{name}_attention")(x, x, use_causal_mask=True)
    x = layers.LayerNormalization(name=f"{name}_norm1")(layers.Add(name=f"{name}_sum1")([x, attended]))
    wide = layers.Dense(32, activation="gelu", name=f"{name}_wide")(x)
    narrow = layers.Dense(16, name=f"{name}_narrow")(wide)
    return layers.LayerNormalization(name=f"{name}_norm2")(layers.Add(name=f"{name}_sum2")([x, narrow]))


def tokens(net, batch, steps, seed=3):
    return {net.inputs[0]._keras_history.operation.name:
            np.random.default_rng(seed).integers(0, 11, (batch, steps))}


@pytest.mark.parametrize("masked", [False, True])
def test_a_transformer(streamed, masked):
    ids = keras.Input((None,), dtype="int32", name="ids")
    x = layers.Embedding(11, 16, mask_zero=masked, name="table")(ids)
    for name in ("one", "two"):
        x = transformer(x, name)
    net = redrawn(keras.Model(ids, layers.Dense(11, name="head")(x)))
    document = streamed(KERAS.emit(net))
    assert operations(document).count("attention") == 2
    for batch, steps in ((2, 7), (3, 5)):
        compared(net, document, tokens(net, batch, steps), SINGLE)


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("cell", [layers.LSTM, layers.GRU])
def test_taggers(streamed, cell, masked):
    ids = keras.Input((None,), dtype="int32", name="ids")
    x = layers.Embedding(11, 8, mask_zero=masked, name="table")(ids)
    for name in ("one", "two"):
        x = layers.Bidirectional(cell(5, return_sequences=True), name=name)(x)
    out = layers.TimeDistributed(layers.Dense(4, activation="softmax"), name="tags")(x)
    net = redrawn(keras.Model(ids, out))
    graph = KERAS.emit(net)
    document = streamed(graph)
    for batch, steps in ((2, 7), (3, 5)):
        given = tokens(net, batch, steps)
        compared(net, document, given)
        if programs_built() and set(operations(document)) <= known():
            result = run_check(graph, given, KERAS.native(net, given), ["--atol", "1e-5"])
            assert result, result.report


def test_a_subclassed_transformer_with_positions(streamed):
    """Positions of a fixed length are a constant; a sublayer and a plus may bear one name."""
    @keras.saving.register_keras_serializable("applications")
    class Net(keras.Model):
        def __init__(self, **kw):
            super().__init__(**kw)
            self.words, self.places = layers.Embedding(11, 16), layers.Embedding(6, 16)
            self.attend = layers.MultiHeadAttention(2, 8, name="attend")
            self.norm, self.add = layers.LayerNormalization(name="norm"), layers.Add(name="add")
            self.head = layers.Dense(3, name="head")

        def call(self, ids):
            x = self.words(ids) + self.places(ops.arange(ids.shape[1]))
            x = self.norm(self.add([x, self.attend(x, x)]))
            return {"scores": self.head(x), "mean": ops.mean(x, axis=1)}

    net = Net(name="net")
    net(np.zeros((2, 6), np.int32))
    redrawn(net)
    first = {"ids": np.random.default_rng(1).integers(0, 11, (2, 6))}
    document = streamed(KERAS.emit(net, example=first))
    assert document.head["outputs"] == ["mean", "scores"] or document.head["outputs"] == ["scores", "mean"]
    compared(net, document, {"ids": np.random.default_rng(2).integers(0, 11, (3, 6))}, SINGLE)
