"""Keras: norms of batches, groups and several axes, and layers that scale by known numbers."""

from __future__ import annotations

import numpy as np
import pytest

from keras_held import arrays, check, held, network
from interpreter import run
from keras_networks import keras, layers, operations, problems_of
from planetbridging import emit

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning")


@pytest.mark.parametrize("options", [{}, {"axis": 1}, {"scale": False}, {"center": False},
                                     {"epsilon": 0.125}], ids=str)
def test_batch_norm_stays_one(streamed, options):
    document = check(streamed, lambda x: layers.BatchNormalization(name="n", **options)(x), x=(3, 4))
    axis = options.get("axis", 2)
    assert document.nodes[0]["params"] == {
        "dim": (3, 4)[axis - 1], "axis": axis, "eps": options.get("epsilon", 1e-3),
        "scale": options.get("scale", True), "offset": options.get("center", True)}
    slots = [t["slot"] for t in document.nodes[0]["tensors"]]
    assert slots[-2:] == ["mean", "var"] and len(slots) == 4 - len(set(options) & {"scale", "center"})


@pytest.mark.parametrize("options, op", [
    ({"groups": 2}, "groupnorm"), ({"groups": 1}, "groupnorm"), ({"groups": -1}, "instancenorm"),
    ({"groups": 2, "scale": False}, "groupnorm"), ({"groups": -1, "center": False}, "instancenorm"),
], ids=str)
def test_group_norm(streamed, options, op):
    document = check(streamed, lambda x: layers.GroupNormalization(name="n", **options)(x), x=(5, 3, 4))
    assert operations(document) == ["transpose", op, "transpose"]
    document = check(streamed, lambda x: layers.GroupNormalization(name="n", axis=1, **options)(x),
                     x=(4, 5, 3))
    assert operations(document) == [op]
    if op == "groupnorm":  # of one number a norm is zero
        check(streamed, lambda x: layers.GroupNormalization(name="n", **options)(x), x=(4,))


@pytest.mark.parametrize("axis", [(1, 3), (1, 2), (2, 3), (1, 2, 3), 2], ids=str)
def test_layer_norm_over_any_axes(streamed, axis):
    check(streamed, lambda x: layers.LayerNormalization(axis=axis, name="n")(x), x=(3, 4, 5))


@pytest.mark.parametrize("axis", [-1, 1, (1, 2)], ids=str)
def test_unit_norm(streamed, axis):
    document = check(streamed, lambda x: layers.UnitNormalization(axis=axis, name="u")(x), 1e-7, x=(3, 4))
    assert document.head["outputs"] == ["y"] and document.nodes[-1]["out"] == ["y"]


@pytest.mark.parametrize("make", [
    lambda: layers.Normalization(mean=[1.0, 2.0, 3.0, 4.0], variance=[0.5, 1.0, 2.0, 4.0]),
    lambda: layers.Normalization(mean=1.0, variance=2.0, axis=None),
    lambda: layers.Normalization(mean=[1.0, 2.0, 3.0, 4.0], variance=[0.5, 1.0, 0.0, 4.0], invert=True),
])
def test_normalization(streamed, make):
    check(streamed, lambda x: make()(x), 1e-7, x=(3, 4))


def test_normalization_that_was_adapted(streamed):
    layer = layers.Normalization(name="n")
    layer.adapt(np.random.default_rng(3).normal(2, 3, size=(50, 4)).astype(np.float32))
    net = keras.Sequential([keras.Input((4,), name="x"), layer, layers.Dense(3)])
    document = streamed(emit(net))
    assert operations(document)[-1] == "dense"
    x = arrays(net, 2)
    np.testing.assert_allclose(run(document, x)["y"], net(x["x"]), atol=1e-6)


@pytest.mark.parametrize("inside", [lambda: layers.Dense(3, activation="tanh", name="d"),
                                    lambda: layers.Conv1D(3, 2, name="d")])
def test_spectral_norm_is_the_layer_inside(streamed, inside):
    document = check(streamed, lambda x: layers.SpectralNormalization(inside(), name="s")(x), x=(3, 4))
    assert document.nodes[-1]["out"] == ["y"]


def test_layer_scale_of_the_applications(streamed):
    from keras.src.applications.convnext import LayerScale

    document = check(streamed, lambda x: LayerScale(0.5, 4, name="ls")(x), x=(3, 4))
    assert operations(document) == ["constant", "mul"]


def test_an_embedding_that_is_asked_for_scores(streamed):
    def graph(tokens):
        table = layers.ReversibleEmbedding(7, 4, name="e")
        return table(table(tokens), reverse=True)

    assert operations(check(streamed, graph, tokens=(5, "int32"))) == ["embedding", "dense"]


def test_norms_that_are_refused():
    net = network(lambda x: layers.GroupNormalization(2, axis=2, name="n")(x), x=(3, 4, 5))
    assert problems_of(net) == [("n", "GroupNormalization", "channels along the axis 2: only the first "
                                 "behind the batch, or the last")]


@pytest.mark.parametrize("change", ["eps", "gamma", "mean"])
def test_a_norm_that_is_wrong_is_told_apart(streamed, change):
    def wrong(document):
        node = document.node("n")
        if change == "eps":
            node["params"]["eps"] *= 1.1
        else:  # gamma and beta, or mean and beta, exchanged
            first, second = (document.array("n", slot).copy() for slot in (change, "beta"))
            document.alter("n", change, second)
            document.alter("n", "beta", first)
        return document

    net = network(lambda x: layers.BatchNormalization(name="n")(x), x=(4,))
    with pytest.raises(AssertionError):
        held(lambda graph: wrong(streamed(graph)), net, arrays(net, 3))
