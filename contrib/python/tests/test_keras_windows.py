"""Keras: transposed convolutions, windows behind padding, pooling into a number of windows."""

from __future__ import annotations

import numpy as np
import pytest

from keras_held import arrays, check, held, network
from interpreter import run
from keras_networks import layers, operations, ops, problems_of
from planetbridging import BridgeError, emit, native

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning")

SIZES = {1: (5, 3), 2: (5, 4, 3), 3: (3, 4, 2, 3)}
KERNELS = {1: 3, 2: (3, 2), 3: (3, 2, 2)}
STRIDES = [(1, None), (2, None), (3, None), (2, 1), (3, 2)]


@pytest.mark.parametrize("n", [1, 2, 3])
@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize("stride, more", STRIDES)
def test_transposed_convolutions(streamed, n, padding, stride, more):
    def graph(x):
        return getattr(layers, f"Conv{n}DTranspose")(
            4, KERNELS[n], strides=stride, padding=padding, output_padding=more,
            activation="relu" if stride == 2 else None, name="c")(x)

    document = check(streamed, graph, x=SIZES[n])
    node = document.node("c.conv")
    assert node["op"] == f"convtranspose{n}"
    assert document.entry("c.conv", "weight")["axes"] == [*"dhw"[3 - n:], "f", "c"] or n == 2


@pytest.mark.parametrize("n", [1, 2])
def test_transposed_convolutions_without_a_bias_on_free_sizes(streamed, n):
    def graph(x):
        return getattr(layers, f"Conv{n}DTranspose")(4, 3, strides=2, padding="same", use_bias=False)(x)

    check(streamed, graph, x=(*[None] * n, 3))


@pytest.mark.parametrize("padding", ["valid", "same"])
def test_a_transposed_convolution_with_gaps(streamed, padding):
    """Keras has it in float32 alone, and says so by name."""
    net = network(lambda x: layers.Conv1DTranspose(4, 3, dilation_rate=2, padding=padding, name="c")(x),
                  x=(6, 3))
    document = streamed(emit(net))
    for batch in (2, 3):
        inputs = arrays(net, batch)
        np.testing.assert_allclose(run(document, inputs)["y"], native(net, inputs)["y"], atol=1e-5)
    with pytest.raises(BridgeError) as error:
        native(net, arrays(net, 2), precision="float64")
    assert str(error.value) == ("c (Conv1DTranspose) cannot run float64: tensorflow has no such kernel "
                                "for the CPU; float32 has one")


@pytest.mark.parametrize("n", [1, 2])
@pytest.mark.parametrize("kind", ["Average", "Max"])
@pytest.mark.parametrize("padding", ["valid", "same"])
def test_pools_behind_zeros(streamed, n, kind, padding):
    """More zeros than the window is wide, which no pool takes in."""
    def graph(x):
        x = getattr(layers, f"ZeroPadding{n}D")(3, name="z")(x - 9.0)
        return getattr(layers, f"{kind}Pooling{n}D")(2, padding=padding, name="p")(x)

    document = check(streamed, graph, x=SIZES[n])
    assert "pad" in operations(document)
    assert document.node("p.pool")["params"].get("count_pad", False) is False


def test_zeros_that_a_convolution_and_others_want(streamed):
    def graph(x):
        y = layers.ZeroPadding1D((1, 2), name="z")(x)
        return layers.Concatenate()([layers.Conv1D(4, 3, padding="same", name="c")(y), y])

    document = check(streamed, graph, x=(6, 2))
    assert operations(document).count("pad") == 1
    params = document.node("c.conv")["params"]
    assert (params["pad_low"], params["pad_high"]) == ([2], [3])


def test_zeros_upon_zeros(streamed):
    def graph(x):
        y = layers.ZeroPadding2D(1)(layers.ZeroPadding2D(((1, 0), (0, 2)))(x))
        return layers.DepthwiseConv2D(2, strides=2, name="c")(y)

    document = check(streamed, graph, x=(5, 6, 3))
    assert operations(document) == ["transpose", "conv2", "transpose"]


@pytest.mark.parametrize("n", [1, 2])
@pytest.mark.parametrize("kind", ["Average", "Max"])
def test_pooling_into_a_number_of_windows(streamed, n, kind):
    shape = {1: (6, 3), 2: (6, 4, 3)}[n]
    check(streamed, lambda x: getattr(layers, f"Adaptive{kind}Pooling{n}D")(2, name="p")(x), x=shape)
    net = network(lambda x: layers.AdaptiveMaxPooling1D(4, name="p")(x), x=(6, 3))
    assert problems_of(net) == [("p", "AdaptiveMaxPooling1D", "[6] into [4] windows of different sizes")]


@pytest.mark.parametrize("n", [1, 2])
def test_separable_with_any_activation(streamed, n):
    check(streamed, lambda x: getattr(layers, f"SeparableConv{n}D")(
        5, 3, depth_multiplier=2, padding="same", activation="elu", name="s")(x), x=SIZES[n])


def test_convolutions_of_operations(streamed):
    kernel = np.random.default_rng(2).normal(size=(3, 2, 4)).astype(np.float32)
    check(streamed, lambda x: ops.conv(x, kernel, strides=2, padding="same"), x=(7, 2))
    check(streamed, lambda x: ops.depthwise_conv(x, kernel, padding="valid"), x=(7, 2))
    net = network(lambda x, k: ops.conv(x, k[0], padding="same"), x=(7, 2), k=(3, 2, 4))
    assert problems_of(net)[0][2] == "a kernel that is a value of the network"


@pytest.mark.parametrize("layer", [lambda: layers.Conv1D(4, 4, padding="same", name="c"),
                                   lambda: layers.Conv1DTranspose(4, 4, padding="same", name="c")])
def test_a_side_of_same_that_is_swapped_is_told_apart(streamed, layer):
    def wrong(document):
        params = document.node("c.conv")["params"]
        assert params["pad_low"] != params["pad_high"]
        params["pad_low"], params["pad_high"] = params["pad_high"], params["pad_low"]
        return document

    net = network(lambda x: layer()(x), x=(7, 3))
    with pytest.raises(AssertionError):
        held(lambda graph: wrong(streamed(graph)), net, arrays(net, 3))
