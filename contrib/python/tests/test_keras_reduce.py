"""Keras: reductions, running sums, norms and statistics, and products of values."""

from __future__ import annotations

import numpy as np
import pytest

from keras_held import arrays, check, held, network
from keras_networks import layers, operations, ops, problems_of

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning")

NAMES = ("sum", "mean", "max", "min", "amax", "amin", "std", "var", "any", "all", "logsumexp", "ptp",
         "argmax", "argmin")
EQUATIONS = [("abc,bd->acd", (4, 6), "d"), ("abc,cde->abed", (3, 6, 5), "d"),
             ("abc,cde->abde", (3, 5, 6), "e"), ("...x,xy->...y", 6, "y")]


def as_float(x):
    return ops.cast(x, "float32")


@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize("axis", [None, 1, -1, (1, 2)], ids=str)
@pytest.mark.parametrize("name", NAMES)
def test_reductions(streamed, name, axis, keepdims):
    if name.startswith("arg") and isinstance(axis, tuple):
        axis = 2

    def graph(x):
        x = x > 0.5 if name in ("any", "all") else x
        return as_float(getattr(ops, name)(x, axis=axis, keepdims=keepdims)) + 1.0

    check(streamed, graph, x=(3, 4))


@pytest.mark.parametrize("function, inputs", [
    (lambda x: ops.sum(x, 1), {"x": (3, "int32")}), (lambda x: ops.mean(x, 1), {"x": (3, "int32")}),
    (lambda x: ops.max(x, 1), {"x": (3, "int32")}), (lambda x: ops.sum(x > 0, 1), {"x": (3, 4)}),
    (lambda x: ops.cumsum(x, 1), {"x": (3, "int32")}), (lambda x: ops.cumsum(x), {"x": (3, 4)}),
    (lambda x: ops.cumsum(x, 1) + ops.cumsum(x, -1), {"x": (None, 4)}),
    (lambda x: ops.count_nonzero(x > 0, axis=1), {"x": (3, 4)}),
    (lambda x: ops.prod(x, axis=1), {"x": (3, 4)}),
    (lambda x: ops.prod(x, axis=-1, keepdims=True), {"x": (3, 4)}),
    (lambda x: ops.mean(x, axis=1), {"x": (None, 4)}), (lambda x: ops.var(x, axis=1), {"x": (None, 4)}),
], ids=range(12))
def test_whole_numbers_and_free_sizes(streamed, function, inputs):
    check(streamed, function, 1e-7, **inputs)


@pytest.mark.parametrize("function", [
    lambda x: ops.moments(x, axes=[1]), lambda x: ops.moments(x, axes=[1, 2], keepdims=True),
    lambda x: ops.normalize(x), lambda x: ops.normalize(x, axis=1, order=1),
    lambda x: ops.norm(x, axis=-1), lambda x: ops.norm(x, ord=1, axis=2),
    lambda x: ops.norm(x, ord=np.inf, axis=2), lambda x: ops.norm(x, ord=3, axis=2),
    lambda x: ops.norm(x, axis=(1, 2)), lambda x: ops.average(x, axis=1),
    lambda x: ops.average(x, axis=1, weights=np.array([1.0, 2.0, 4.0], np.float32)),
    lambda x: ops.diff(x, axis=1), lambda x: ops.nansum(x, axis=1),
], ids=range(13))
def test_statistics(streamed, function):
    check(streamed, function, 1e-7, x=(3, 4))


def test_ties_go_to_the_first(streamed):
    net = network(lambda x: [f(x, a) + 1 for f, a in
                             ((ops.argmax, 1), (ops.argmin, 1), (ops.argmax, None))], x=(4,))
    held(streamed, net, {"x": np.float32([[1, 2, 2, 1], [3, 3, 3, 3]])}, {"x": np.float32([[0, 1, 0, 1]])})


@pytest.mark.parametrize("function, inputs", [
    (lambda x, y: ops.matmul(x, y), {"x": (None, 4, 3), "y": (None, 3, 5)}),
    (lambda x, y: ops.matmul(x, y), {"x": (2, 4, 3), "y": (2, 3, 5)}),
    (lambda x, y: ops.einsum("bsd,btd->bst", x, y), {"x": (None, 4), "y": (None, 4)}),
    (lambda x, y: ops.einsum("bqhe,bkhe->bhqk", x, y), {"x": (None, 2, 4), "y": (None, 2, 4)}),
    (lambda x, y: ops.einsum("bse,bs->be", x, y), {"x": (3, 4), "y": (3,)}),
    (lambda x, y: layers.Dot(axes=(1, 2))([x, y]), {"x": (3, 4), "y": (5, 3)}),
    (lambda x, y: layers.Dot(axes=1, normalize=True)([x, y]), {"x": (4,), "y": (4,)}),
    (lambda x, y: layers.Dot(axes=-1)([x, y]), {"x": (3, 4), "y": (5, 4)}),
], ids=range(8))
def test_products_of_two_values(streamed, function, inputs):
    check(streamed, function, 1e-7, **inputs)


@pytest.mark.parametrize("function", [
    lambda x: ops.matmul(x, np.arange(4, dtype=np.float32)),
    lambda x: ops.dot(x, np.arange(8, dtype=np.float32).reshape(4, 2)),
    lambda x: ops.tensordot(x, np.arange(24, dtype=np.float32).reshape(3, 4, 2), axes=2),
    lambda x: ops.tensordot(x, np.arange(6, dtype=np.float32).reshape(2, 3), axes=[[1], [1]]),
    lambda x: ops.inner(x, np.ones((2, 4), np.float32)),
    lambda x: ops.outer(x, np.arange(3, dtype=np.float32)),
], ids=range(6))
def test_products_with_an_array(streamed, function):
    check(streamed, function, x=(3, 4))


@pytest.mark.parametrize("equation, shape, axes", EQUATIONS)
def test_dense_by_any_equation(streamed, equation, shape, axes):
    document = check(streamed, lambda x: layers.EinsumDense(
        equation, shape, bias_axes=axes, name="e", activation="relu")(x), x=(3, 4))
    assert document.nodes[-1]["op"] == "relu" and document.head["outputs"] == ["y"]


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("masked", [False, True])
def test_attention_of_operations(streamed, causal, masked):
    mask = np.tri(5, k=1, dtype=bool)[None, None] if masked else None

    def graph(q, k):
        return ops.dot_product_attention(q, k, k * 2, is_causal=causal, mask=mask)

    document = check(streamed, graph, 1e-7, (5, 5), q=(5, 2, 4), k=(5, 2, 4))
    assert operations(document).count("scaled_dot_product_attention") == 1


def test_attention_of_operations_with_a_bias_and_a_scale(streamed):
    check(streamed, lambda q, k, b: ops.dot_product_attention(q, k, k * 2, bias=b, scale=0.25), 1e-7,
          q=(5, 2, 4), k=(5, 2, 4), b=(2, 5, 5))


@pytest.mark.parametrize("function, why", [
    (lambda x: ops.max(x, initial=0.5), "keras.ops.max with initial=0.5"),
    (lambda x: ops.einsum("bii->bi", x), "einsum bii->bi with a letter twice in one operand"),
    (lambda x: ops.prod(x), "a product along several axes, or a long one, or one whose size is free"),
    (lambda x: ops.median(x, axis=1), "keras.ops.median"),
    (lambda x: ops.top_k(x, 2)[0], "keras.ops.top_k"),
    (lambda x: ops.norm(x, ord="nuc", axis=(1, 2)),
     "its call cannot be traced: a norm of the order nuc"),
])
def test_what_is_refused(function, why):
    assert problems_of(network(function, x=(4, 4)))[0][2] == why


def test_an_axis_that_is_swapped_is_told_apart(streamed):
    def wrong(document):
        node = next(n for n in document.nodes if n["op"] == "sum")
        node["params"]["axes"] = [2]
        return document

    net = network(lambda x: ops.sum(x, 1), x=(4, 4))
    with pytest.raises(AssertionError):
        held(lambda graph: wrong(streamed(graph)), net, arrays(net, 3))
