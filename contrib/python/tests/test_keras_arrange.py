"""Keras: padding, repeating, rolling, picking by index, resizing, and what images need."""

from __future__ import annotations

import numpy as np
import pytest

from keras_held import arrays, check, held, network
from keras_networks import layers, operations, ops, problems_of

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning")

SIZES = {1: (5, 3), 2: (5, 4, 3), 3: (3, 4, 2, 3)}
INTERPOLATED = 1e-6
"""TensorFlow interpolates in float32 whatever it is given."""


def around(mode, **options):
    return lambda x: ops.pad(x, ((0, 0), (1, 2), (0, 1)), mode=mode, **options)


@pytest.mark.parametrize("function", [
    around("constant"), around("constant", constant_values=2.5), around("reflect"),
    lambda x: ops.tile(x, (1, 2, 3)), lambda x: ops.tile(x, (2, 1, 1, 1)),
    lambda x: ops.repeat(x, 3, axis=1), lambda x: ops.roll(x, 2, axis=1),
    lambda x: ops.roll(x, (1, -1), axis=(1, 2)), lambda x: ops.flip(x, axis=1),
    lambda x: ops.flip(x, axis=(1, 2)), lambda x: ops.stack([x, x * 2], axis=2),
    lambda x: ops.hstack([x, x * 2]), lambda x: ops.append(x, x, axis=2),
    lambda x: ops.tril(ops.matmul(x, ops.transpose(x, (0, 2, 1)))),
    lambda x: x[:, ::2, None] * ops.expand_dims(x[:, -1:], 1),
], ids=range(15))
def test_places_along_a_free_axis(streamed, function):
    check(streamed, function, x=(None, 4))


@pytest.mark.parametrize("function", [
    lambda x: ops.repeat(x, [1, 0, 2], axis=1), lambda x: ops.unstack(x, axis=1)[1],
    lambda x: ops.array_split(x, 3, axis=2), lambda x: ops.hsplit(x, 3)[1],
    lambda x: ops.tril(x, 1) + ops.triu(x, -1) * 2, lambda x: ops.squeeze(x[:, :1], 1),
    lambda x: ops.ravel(x), lambda x: ops.broadcast_to(x[:, None], (3, 2, 3, 4)) if x.shape[0] else x,
    lambda x: ops.take(x, np.array([[1, -1]]), axis=1), lambda x: ops.take(x[0], 3),
], ids=range(10))
def test_places_along_known_axes(streamed, function):
    check(streamed, function, x=(3, 4))


@pytest.mark.parametrize("function, inputs", [
    (lambda x, i: ops.take_along_axis(x, i, axis=1), {"x": (3, 4), "i": (2, 4, "int32")}),
    (lambda x, i: ops.take_along_axis(x, i - 1, axis=2), {"x": (3, 4), "i": (1, 2, "int32")}),
    (lambda x, i: ops.take(x, i - 2, axis=1), {"x": (3, 4), "i": (2, "int32")}),
    (lambda x, i: ops.slice_update(x, (0, 1, 0), ops.cast(i, "float32")),
     {"x": (3, 4), "i": (1, 4, "int32")}),
    (lambda x, i: ops.one_hot(i - 1, 4) * x, {"x": (3, 4), "i": (3, "int32")}),
    (lambda x, i: ops.one_hot(i - 1, 3, axis=1) * x, {"x": (3, 4), "i": (4, "int32")}),
    (lambda x, i: (x, ops.one_hot(i, 3, axis=1, dtype="int32")), {"x": (3, 4), "i": (4, "int32")}),
], ids=range(7))
def test_places_by_index(streamed, function, inputs):
    check(streamed, function, ids=3, **inputs)


@pytest.mark.parametrize("n", [1, 2, 3])
def test_cropping_padding_and_up_sampling(streamed, n):
    def layer(name):
        return getattr(layers, f"{name}{n}D")

    crops = [1, ((1, 2), (0, 1)), ((1, 1), (1, 0), (0, 1))][n - 1]
    document = check(streamed, lambda x: layer("Cropping")(crops, name="c")(x), x=SIZES[n])
    assert operations(document) == ["slice"]
    document = check(streamed, lambda x: layer("ZeroPadding")(crops, name="z")(x), x=SIZES[n])
    assert operations(document) == ["pad"]
    document = check(streamed, lambda x: layer("UpSampling")(2, name="u")(x), x=SIZES[n])
    assert operations(document) == ["transpose", "resize", "transpose"]
    params = document.node("u.resize")["params"]
    assert (params["mode"], params["coordinates"]) == ("nearest", "asymmetric")


def test_up_sampling_a_free_axis(streamed):
    check(streamed, lambda x: layers.UpSampling1D(2)(x), x=(None, 3))


@pytest.mark.parametrize("function, places", [
    (lambda x: layers.UpSampling2D((2, 3), interpolation="bilinear", name="r")(x), "half_pixel"),
    (lambda x: ops.image.resize(x, (7, 3)), "half_pixel"),
    (lambda x: ops.image.resize(x, (7, 3), interpolation="nearest"), "half_pixel"),
    (lambda x: layers.Resizing(3, 8, name="r")(x), "half_pixel"),
])
def test_resizing(streamed, function, places):
    document = check(streamed, function, INTERPOLATED, x=(4, 5, 3))
    node = next(n for n in document.nodes if n["op"] == "resize")
    assert node["params"]["coordinates"] == places


@pytest.mark.parametrize("layer, why", [
    (lambda: layers.UpSampling2D(2, interpolation="bicubic", name="r"), "interpolation='bicubic'"),
    (lambda: layers.Resizing(3, 3, antialias=True, name="r"), "antialias=True"),
    (lambda: layers.Resizing(3, 3, crop_to_aspect_ratio=True, name="r"), "crop_to_aspect_ratio=True"),
    (lambda: layers.CenterCrop(9, 9, name="r"),
     "a crop of an image that is smaller, or whose size is free"),
])
def test_resizing_that_is_refused(layer, why):
    assert [p[2] for p in problems_of(network(lambda x: layer()(x), x=(4, 5, 3)))] == [why]


@pytest.mark.parametrize("function, inputs, made", [
    (lambda x: layers.CenterCrop(2, 3)(x), {"x": (4, 6, 3)}, ["slice"]),
    (lambda x: layers.Rescaling(1 / 128, -1.0)(x), {"x": (4, 5, 3)}, ["constant", "mul", "constant", "add"]),
    (lambda x: layers.Rescaling([1, 2, 4], [0.5, 0.25, 0])(x), {"x": (4, 5, 3)},
     ["constant", "mul", "constant", "add"]),
    (lambda x: layers.Rescaling(1 / 128, -1.0)(x), {"x": (4, 5, 3, "uint8")},
     ["cast", "constant", "mul", "constant", "add"]),
    (lambda x: layers.RandomFlip()(layers.RandomRotation(0.5)(x)) * 2.0, {"x": (4, 6, 3)},
     ["constant", "mul"]),
    (lambda x: layers.RepeatVector(3)(x), {"x": (4,)}, ["unsqueeze", "expand"]),
    (lambda x: ops.depth_to_space(x, 2), {"x": (3, 2, 8)}, None),
    (lambda x: ops.space_to_depth(x, 2), {"x": (4, 6, 3)}, None),
], ids=range(8))
def test_images(streamed, function, inputs, made):
    document = check(streamed, function, **inputs)
    assert made is None or operations(document) == made


@pytest.mark.parametrize("function, why", [
    (lambda x: ops.pad(x, ((0, 0), (1, 1), (0, 0)), mode="symmetric"),
     "keras.ops.pad with mode='symmetric'"),
    (lambda x: ops.roll(x, 1), "keras.ops.roll without an axis"),
    (lambda x: x[:, ::-1], "a slice with the step -1"),
    (lambda x: ops.rot90(x), "keras.ops.rot90"),
])
def test_what_is_refused(function, why):
    assert problems_of(network(function, x=(4, 4)))[0][2] == why


def test_a_side_that_is_swapped_is_told_apart(streamed):
    def wrong(document):
        params = document.nodes[0]["params"]
        params["low"], params["high"] = params["high"], params["low"]
        return document

    net = network(lambda x: layers.ZeroPadding1D((1, 2))(x), x=(4, 3))
    with pytest.raises(AssertionError):
        held(lambda graph: wrong(streamed(graph)), net, arrays(net, 3))
