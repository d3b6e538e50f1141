"""Keras: masks that travel with values, wherever their false steps are, and who takes them.

Ids are drawn from few numbers, so that zeros stand in front, within, and behind, and some rows are
nothing else.
"""

from __future__ import annotations

import numpy as np
import pytest

from keras_held import arrays, held, network
from keras_networks import keras, layers, operations, ops, problems_of

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning")

CELLS = [layers.LSTM, layers.GRU, layers.SimpleRNN]
SINGLE = 1e-7
"""Keras takes 1/sqrt(key_dim) through float32."""


def embedded(ids, width=4):
    return layers.Embedding(7, width, mask_zero=True, name="e")(ids)


def drawn(net, batch, size, seed=0):
    """Ids with a row of zeros, one with none, and others with zeros anywhere."""
    rng = np.random.default_rng(seed)
    found = {}
    for tensor in net.inputs:
        shape = [batch, *(size if s is None else s for s in tensor.shape[1:])]
        array = rng.integers(0, 3, shape)
        if array.ndim > 1:
            array[0], array[1, ...] = 0, array[1, ...] + 1
            array[2, :2], array[3, -2:] = 0, 0
        found[tensor._keras_history.operation.name] = array if "int" in tensor.dtype else \
            rng.normal(size=shape).astype(np.float32)
    return found


def masked(streamed, function, atol=SINGLE, sizes=(5, 6), **inputs):
    net = network(function, **(inputs or {"ids": (None, "int32")}))
    return held(streamed, net, drawn(net, 5, sizes[0]), drawn(net, 4, sizes[1], 1), atol=atol)


@pytest.mark.parametrize("layer", CELLS)
@pytest.mark.parametrize("sequences", [True, False])
@pytest.mark.parametrize("backwards", [True, False])
@pytest.mark.parametrize("zero", [True, False])
def test_recurrent_layers_keep_their_state(streamed, layer, sequences, backwards, zero):
    document = masked(streamed, lambda ids: layer(
        3, return_sequences=sequences, go_backwards=backwards, zero_output_for_mask=zero,
        name="r")(embedded(ids)))
    node = next(n for n in document.nodes if n["op"] in ("lstm", "gru", "rnn"))
    assert node["in"][-1] == "r.mask.lengths"


@pytest.mark.parametrize("layer", CELLS)
@pytest.mark.parametrize("sequences", [True, False])
def test_both_ways(streamed, layer, sequences):
    masked(streamed, lambda ids: layers.Bidirectional(
        layer(3, return_sequences=sequences, name="r"), name="b")(embedded(ids)))


@pytest.mark.parametrize("sequences", [True, False])
def test_states_that_are_given_and_returned(streamed, sequences):
    masked(streamed, lambda ids, h: layers.GRU(
        3, return_state=True, return_sequences=sequences, name="r")(embedded(ids), initial_state=[h]),
        ids=(None, "int32"), h=(3,))
    masked(streamed, lambda ids: layers.Bidirectional(layers.LSTM(
        3, return_sequences=sequences, return_state=True, name="r"), name="b")(embedded(ids)))


@pytest.mark.parametrize("backwards", [True, False])
def test_stacks(streamed, backwards):
    document = masked(streamed, lambda ids: layers.LSTM(2, name="b")(
        layers.LSTM(3, return_sequences=True, name="a")(layers.Dense(4)(embedded(ids)))))
    assert operations(document).count("cumsum") == 1, "one mask is packed once"
    masked(streamed, lambda ids: layers.RNN(
        [layers.GRUCell(3), layers.LSTMCell(4)], return_sequences=True, go_backwards=backwards)(
        embedded(ids)))


def test_a_masking_layer(streamed):
    masked(streamed, lambda x: layers.GRU(3, return_sequences=True)(
        layers.Masking(1.0, name="m")(ops.cast(x, "float32"))), x=(None, 1, "int32"))


@pytest.mark.parametrize("function", [
    lambda e: layers.MultiHeadAttention(2, 4, name="a")(e, e),
    lambda e: layers.MultiHeadAttention(2, 4, name="a")(e, e, use_causal_mask=True),
    lambda e: layers.MultiHeadAttention(2, 4, dropout=0.5, name="a")(e, e),
    lambda e: layers.GroupQueryAttention(3, 4, 2, name="a")(e, e),
    lambda e: layers.MultiHeadAttention(2, 4, sliding_window=2, name="a")(e, e),
    lambda e: layers.Attention(name="a")([e, e]), lambda e: layers.AdditiveAttention(name="a")([e, e]),
], ids=["plain", "causal", "dropout", "grouped", "window", "dot", "additive"])
def test_attention(streamed, function):
    masked(streamed, lambda ids: function(embedded(ids)))


def test_attention_to_another_sequence(streamed):
    def graph(q, v):
        table = layers.Embedding(7, 4, mask_zero=True, name="e")
        return layers.MultiHeadAttention(2, 4, name="a")(table(q), table(v))

    masked(streamed, graph, q=(None, "int32"), v=(None, "int32"))


def test_attention_takes_masks_off(streamed):
    """What Keras does to the masks of a value that attention was called on, in blocks one after another."""
    def blocks(ids):
        x = embedded(ids)
        for name in "ab":
            y = layers.MultiHeadAttention(2, 4, name=name)(x, x)
            x = layers.LayerNormalization(name=f"n{name}")(layers.Add(name=f"s{name}")([x, y]))
        return layers.GRU(3, return_sequences=True, name="r")(x)

    masked(streamed, blocks)

    def twice(ids):
        x = embedded(ids)
        return [layers.MultiHeadAttention(2, 4, name=name)(x, x) for name in "ab"]

    masked(streamed, twice)


def test_pooling_and_joins(streamed):
    net = network(lambda ids: layers.GlobalAveragePooling1D(name="g")(embedded(ids)), ids=(None, "int32"))
    some = {"ids": np.array([[0, 1, 0, 2], [1, 1, 1, 1]])}
    held(streamed, net, some, {"ids": np.array([[3, 0, 0, 0, 1]])}, atol=SINGLE)

    def joined(a, b):
        table = layers.Embedding(7, 4, mask_zero=True, name="e")
        x, y = table(a), table(b)
        first = layers.LSTM(3, name="r")(layers.Concatenate(axis=1)([x, y]))
        return first, layers.LSTM(3, name="s")(layers.Add()([x, layers.Dropout(0.5)(y)]))

    masked(streamed, joined, a=(4, "int32"), b=(4, "int32"))


@pytest.mark.parametrize("between", [
    lambda: layers.BatchNormalization(), lambda: layers.Dropout(0.5),
    lambda: layers.TimeDistributed(layers.Dense(4)), lambda: layers.Activation("tanh"),
], ids=["norm", "dropout", "steps", "activation"])
def test_layers_that_pass_it_on(streamed, between):
    document = masked(streamed, lambda ids: layers.LSTM(3)(between()(embedded(ids))))
    assert "gather_elements" in operations(document)


def test_operations_lose_it(streamed):
    document = masked(streamed, lambda ids: layers.LSTM(3)(embedded(ids) * 2.0))
    assert operations(document) == ["embedding", "constant", "mul", "lstm"]


def test_a_mask_that_is_given(streamed):
    net = network(lambda x, m: layers.LSTM(4, name="l")(x, mask=m), x=(None, 3), m=(None, "bool"))
    held(streamed, net, arrays(net, 3, 5), arrays(net, 2, 6, 1))
    net = network(lambda x, m: layers.Softmax(name="s")(x, mask=m), x=(3, 4), m=(3, 4, "bool"))
    held(streamed, net, arrays(net, 3), arrays(net, 2), atol=SINGLE)
    net = network(lambda x, m, n: layers.Attention(name="a")([x, x], mask=[m, n]), x=(3, 4), m=(3, "bool"),
                  n=(3, "bool"))
    held(streamed, net, arrays(net, 3), arrays(net, 2), atol=SINGLE)


def test_it_comes_into_nested_models_and_custom_layers(streamed):
    def nested(ids):
        inner = keras.Sequential([keras.Input((None, 4)), layers.Dense(4, name="d"), layers.LSTM(
            3, return_sequences=True, name="l")], name="inner")
        return inner(embedded(ids))

    masked(streamed, nested)

    @keras.saving.register_keras_serializable("masks")
    class Block(layers.Layer):
        def __init__(self, **kw):
            super().__init__(**kw)
            self.attend = layers.MultiHeadAttention(2, 4, name="a")
            self.add, self.norm = layers.Add(name="add"), layers.LayerNormalization(name="n")
            self.rest = layers.LSTM(3, return_sequences=True, name="l")
            self.supports_masking = True

        def call(self, x, mask=None):
            y = self.norm(self.add([x, self.attend(x, x)]))
            return self.rest(y) + self.rest(y, mask=mask)

    document = masked(streamed, lambda ids: Block(name="b")(embedded(ids)))
    assert [n["name"] for n in document.nodes if n["op"] == "lstm"] == ["b.l", "b.l.kept_steps"]


def test_what_is_refused():
    def graph(x, m):
        inner = layers.TimeDistributed(layers.LSTM(3), name="t")
        return inner(x, mask=m)

    net = network(graph, x=(3, 5, 4), m=(3, "bool"))
    assert problems_of(net) == [("t", "TimeDistributed", "a mask for the layer inside")]
    net = network(lambda ids: layers.LSTM(3, go_backwards=True, unroll=True, name="l")(embedded(ids)),
                  ids=(4, "int32"))
    assert problems_of(net) == [("l", "LSTM", "a mask for steps that are unrolled backwards")]


@pytest.mark.parametrize("layer", ["lstm", "attention"])
def test_a_mask_that_is_dropped_is_told_apart(streamed, layer):
    def wrong(document):
        node = next(n for n in document.nodes if n["op"] == layer)
        node["in"].pop()
        if layer == "attention":
            node["params"]["mask"] = "none"
        return document

    def graph(ids):
        e = embedded(ids)
        return layers.LSTM(3)(e) if layer == "lstm" else layers.MultiHeadAttention(2, 4)(e, e)

    net = network(graph, ids=(None, "int32"))
    with pytest.raises(AssertionError):
        held(lambda graph: wrong(streamed(graph)), net, drawn(net, 4, 5))
