"""Keras: attention beyond one node: gates, scores, windows, several axes, and the older layers."""

from __future__ import annotations

import numpy as np
import pytest

from keras_held import arrays, check, held, network
from keras_networks import layers, operations, problems_of

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning")

SINGLE = 1e-6
"""Keras takes 1/sqrt(key_dim) through float32."""


@pytest.mark.parametrize("make", [
    lambda **kw: layers.MultiHeadAttention(2, 4, name="a", **kw),
    lambda **kw: layers.GroupQueryAttention(4, 4, 2, name="a", **kw),
], ids=["heads", "groups"])
@pytest.mark.parametrize("options, call", [
    ({"use_gate": True}, {}), ({}, {"return_attention_scores": True}),
    ({}, {"return_attention_scores": True, "use_causal_mask": True}),
    ({"sliding_window": 2}, {}), ({"sliding_window": 3}, {"use_causal_mask": True}),
], ids=["gate", "scores", "causal scores", "window", "causal window"])
def test_what_one_node_cannot_do(streamed, make, options, call):
    layer = make(**options)
    document = check(streamed, lambda x: layer(x, x, **call), SINGLE, x=(None, 6))
    one = "attention" in operations(document)
    assert one == ("sliding_window" in options)


@pytest.mark.parametrize("options, shape", [({"attention_axes": (1, 2)}, (3, 4, 6)),
                                            ({"output_shape": (2, 3)}, (4, 6)),
                                            ({"attention_axes": (1,)}, (3, 4, 6))], ids=str)
def test_axes_and_outputs(streamed, options, shape):
    check(streamed, lambda x: layers.MultiHeadAttention(2, 4, name="a", **options)(x, x), SINGLE, x=shape)


def test_a_causal_mask_for_unequal_lengths(streamed):
    document = check(streamed, lambda q, v: layers.MultiHeadAttention(2, 4, name="a")(
        q, v, use_causal_mask=True), SINGLE, q=(None, 6), v=(7, 6))
    assert document.node("a")["params"]["causal"] is False
    assert document.node("a")["params"]["mask"] == "keep"


@pytest.mark.parametrize("mask", [(3, 3, "int32"), (2, 3, 3, "bool"), (1, 3, 3, "bool")], ids=str)
def test_masks_of_other_kinds(streamed, mask):
    check(streamed, lambda x, m: layers.MultiHeadAttention(2, 4, name="a")(x, x, attention_mask=m), SINGLE,
          x=(3, 6), m=mask)


def test_a_constant_mask_of_numbers(streamed):
    mask = np.tri(4)[None]
    check(streamed, lambda x: layers.MultiHeadAttention(2, 4, name="a")(x, x, attention_mask=mask), SINGLE,
          x=(4, 6))


@pytest.mark.parametrize("mode", ["dot", "concat"])
@pytest.mark.parametrize("call", [{}, {"use_causal_mask": True}, {"return_attention_scores": True}], ids=str)
def test_the_dot_layer(streamed, mode, call):
    layer = layers.Attention(use_scale=True, score_mode=mode, name="a")
    check(streamed, lambda q, v: layer([q, v], **call), SINGLE, q=(3, 4), v=(5, 4))


def test_the_additive_layer(streamed):
    check(streamed, lambda q, v, k: layers.AdditiveAttention(name="a")([q, v, k]), SINGLE,
          q=(3, 4), v=(5, 6), k=(5, 4))
    document = check(streamed, lambda q, v: layers.AdditiveAttention(use_scale=False, name="a")([q, v]),
                     SINGLE, q=(None, 4), v=(None, 4))
    assert document.head["outputs"] == ["y"] and document.nodes[-1]["op"] == "matmul"


def test_what_is_refused():
    net = network(lambda q, v: layers.Attention(name="a")([q, v], use_causal_mask=True),
                  q=(None, 4), v=(None, 4))
    ((path, cls, why),) = problems_of(net)
    assert (path, cls) == ("a", "Attention") and why.startswith("keras.layers.Attention: its call cannot")
    net = network(lambda x, m, n: layers.MultiHeadAttention(2, 4, name="a")(
        x, x, attention_mask=m, value_mask=n), x=(3, 6), m=(2, 3, 3, "bool"), n=(3, "bool"))
    assert problems_of(net) == [
        ("a", "MultiHeadAttention", "an attention_mask with heads besides other masks")]


def test_a_window_that_is_wider_is_told_apart(streamed):
    def wrong(document):
        document.alter("a.window.number", "value", np.int64(3))
        return document

    net = network(lambda x: layers.MultiHeadAttention(2, 4, sliding_window=2, name="a")(x, x), x=(4, 6))
    with pytest.raises(AssertionError):
        held(lambda graph: wrong(streamed(graph)), net, arrays(net, 3))
