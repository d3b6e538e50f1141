"""Keras: GRU in both forms, stacks of unlike cells, layers along the steps of a sequence."""

from __future__ import annotations

import pytest

from keras_held import arrays, check, held, network
from keras_networks import layers, operations, problems_of

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning")


@pytest.mark.parametrize("after", [True, False])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("sequences", [True, False])
@pytest.mark.parametrize("backwards", [True, False])
def test_gru(streamed, after, bias, sequences, backwards):
    document = check(streamed, lambda x: layers.GRU(
        4, reset_after=after, use_bias=bias, return_sequences=sequences, go_backwards=backwards,
        name="r")(x), x=(None, 5))
    node = document.nodes[0]
    assert node["params"] == {
        "input_size": 5, "hidden_size": 4, "reset_after": after, "biases": bias * (1 + after),
        "direction": "backward" if backwards else "forward",
        "order": "reversed" if backwards else "time"}
    assert node["out"] == (["y", "r.h_n"] if sequences else ["r.sequence", "y"])
    assert [t["slot"] for t in node["tensors"]][:2] == ["W_r", "U_r"]


@pytest.mark.parametrize("mode", ["concat", "sum", "mul", "ave", None])
@pytest.mark.parametrize("sequences", [False, True])
def test_both_ways(streamed, mode, sequences):
    check(streamed, lambda x: layers.Bidirectional(
        layers.GRU(4, return_sequences=sequences), merge_mode=mode)(x), x=(None, 5))


def test_states(streamed):
    document = check(streamed, lambda x, h: layers.GRU(4, return_state=True, name="r")(
        x, initial_state=[h]), x=(None, 5), h=(4,))
    assert document.nodes[0]["in"] == ["x", "h"] and len(document.head["outputs"]) == 2


def test_a_stacked_bidirectional_network(streamed):
    def graph(tokens):
        x = layers.Embedding(7, 6)(tokens)
        x = layers.Bidirectional(layers.LSTM(4, return_sequences=True), name="a")(x)
        x = layers.Bidirectional(layers.GRU(3, return_sequences=True), name="b")(x)
        return layers.Dense(5, activation="softmax", name="tags")(x)

    document = check(streamed, graph, tokens=(None, "int32"))
    assert operations(document) == ["embedding", "lstm", "lstm", "concat", "gru", "gru", "concat",
                                    "dense", "softmax"]


def test_cells_one_upon_the_other(streamed):
    cells = [layers.GRUCell(4), layers.LSTMCell(3), layers.GRUCell(2, reset_after=False)]
    check(streamed, lambda x: layers.RNN(cells, return_sequences=True)(x), x=(None, 5))
    check(streamed, lambda x: layers.RNN(layers.StackedRNNCells(
        [layers.GRUCell(4), layers.LSTMCell(3)]), return_state=True)(x), x=(None, 5))
    check(streamed, lambda x: layers.Bidirectional(layers.RNN(
        [layers.GRUCell(4), layers.LSTMCell(3)], return_sequences=True))(x), x=(None, 5))


@pytest.mark.parametrize("inside, shape", [
    (lambda: layers.Dense(3, activation="relu", name="d"), (None, 4)),
    (lambda: layers.Conv2D(3, 2, name="d"), (None, 5, 4, 2)),
    (lambda: layers.LSTM(3, name="d"), (None, 5, 4)),
    (lambda: layers.Flatten(name="d"), (None, 5, 4)),
], ids=["dense", "convolution", "lstm", "flatten"])
def test_layers_along_steps(streamed, inside, shape):
    document = check(streamed, lambda x: layers.TimeDistributed(inside(), name="t")(x), x=shape)
    assert document.nodes[0]["name"] == "t.steps" and document.nodes[0]["params"]["shape"][0] == "batch*x_1"


def test_a_shared_layer_is_tied(streamed):
    shared = layers.GRU(4, name="r")
    document = check(streamed, lambda x, z: shared(x) + shared(z), x=(None, 5), z=(None, 5))
    assert document.nodes[1]["tensors"][0] == {"slot": "W_r", "same": "r.W_r"}
    assert document.size() == 4 * 12 * (5 + 4 + 2)


def test_other_activations_are_refused():
    net = network(lambda x:
                  layers.GRU(3, recurrent_activation="hard_sigmoid", name="r")(x), x=(4, 5))
    assert problems_of(net) == [
        ("r", "GRU", "the activations tanh and hard_sigmoid; there are tanh and sigmoid")]


@pytest.mark.parametrize("first, second", [("W_r", "W_z"), ("U_z", "U_n"), ("b_n", "b2_n")])
def test_gates_that_are_swapped_are_told_apart(streamed, first, second):
    def wrong(document):
        one, other = (document.array("r", slot).copy() for slot in (first, second))
        document.alter("r", first, other)
        document.alter("r", second, one)
        return document

    net = network(lambda x: layers.GRU(4, name="r")(x), x=(3, 4))
    with pytest.raises(AssertionError):
        held(lambda graph: wrong(streamed(graph)), net, arrays(net, 3))
