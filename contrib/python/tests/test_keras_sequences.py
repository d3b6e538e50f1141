"""Keras: recurrent layers, attention and the composed layers, option by option."""

from __future__ import annotations

import numpy as np
import pytest

from keras_held import arrays, check, held, network
from keras_networks import filled, keras, layers, operations, ops, problems_of
from planetbridging import planets
from planetbridging.composed.keras_ import RopeAttention, SwiGLU, ZeroOutsideEmbedding

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning")

KERAS = planets.module("keras")


@pytest.mark.parametrize("sequences", [False, True])
@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize(
    "layer, options",
    [
        (layers.LSTM, {}),
        (layers.LSTM, {"use_bias": False, "unroll": False, "use_cudnn": False}),
        (layers.SimpleRNN, {}),
        (layers.SimpleRNN, {"activation": "relu", "use_bias": False}),
    ],
)
def test_recurrent(streamed, layer, options, backwards, sequences):
    # With relu an unscaled state grows without bound.
    x = {"x": (None, 5)}
    document = check(streamed, lambda x: layer(4, return_sequences=sequences, go_backwards=backwards,
                                               name="r", **options)(x / 8), **x)
    node = document.nodes[-1]
    assert node["params"]["direction"] == ("backward" if backwards else "forward")
    assert node["params"]["order"] == ("reversed" if backwards else "time")
    assert node["params"]["biases"] == int(options.get("use_bias", True))
    count = 3 if layer is layers.LSTM else 2
    outputs = ["y", "r.h_n", "r.c_n"] if sequences else ["r.sequence", "y", "r.c_n"]
    assert node["out"] == outputs[:count] and node["name"] == "r"


@pytest.mark.parametrize("sequences", [False, True])
@pytest.mark.parametrize("layer, count", [(layers.LSTM, 2), (layers.SimpleRNN, 1)])
def test_states_in_and_out(streamed, layer, count, sequences):
    def graph(x, *states):
        return layer(4, return_sequences=sequences, return_state=True, name="r")(
            x, initial_state=list(states))

    given = {"h": (4,), "c": (4,)} if count == 2 else {"h": (4,)}
    document = check(streamed, graph, x=(None, 5), **given)
    assert document.nodes[0]["in"] == ["x", *given]
    assert len(document.head["outputs"]) == count + 1


def test_states_that_swap_are_told_apart(streamed):
    def wrong(document):
        document.nodes[0]["in"][1:] = document.nodes[0]["in"][:0:-1]
        return document

    net = network(lambda x, h, c: layers.LSTM(4)(x, initial_state=[h, c]), x=(None, 5), h=(4,), c=(4,))
    with pytest.raises(AssertionError):
        held(lambda graph: wrong(streamed(graph)), net, arrays(net, 2))


@pytest.mark.parametrize("mode", ["concat", "sum", "mul", "ave", None])
@pytest.mark.parametrize("sequences", [False, True])
@pytest.mark.parametrize("layer", [layers.LSTM, layers.SimpleRNN])
def test_bidirectional(streamed, layer, sequences, mode):
    def graph(x):
        return layers.Bidirectional(layer(4, return_sequences=sequences, name="r"), merge_mode=mode,
                                    name="b")(x)

    document = check(streamed, graph, x=(None, 5))
    assert [n["name"] for n in document.nodes[:2]] == ["b.forward", "b.backward"]
    assert document.nodes[1]["params"]["order"] == "time"


def test_bidirectional_states(streamed):
    def graph(x, *states):
        first = layers.Bidirectional(layers.LSTM(4, return_state=True, return_sequences=True))(
            x, initial_state=list(states))
        return layers.Bidirectional(layers.SimpleRNN(3, return_state=True))(first[0]), first[1:]

    check(streamed, graph, x=(None, 5), a=(4,), b=(4,), c=(4,), d=(4,))


def test_turning_back_what_was_made_backwards(streamed):
    def graph(x):
        y = layers.LSTM(4, return_sequences=True, go_backwards=True, name="r")(x)
        return layers.Concatenate()([x, ops.flip(y, axis=1)])

    document = check(streamed, graph, x=(None, 5))
    assert operations(document) == ["lstm", "concat"]
    assert document.nodes[0]["params"]["order"] == "time"

    def both(x):
        y = layers.SimpleRNN(4, return_sequences=True, go_backwards=True, name="r")(x)
        return y * ops.flip(y, axis=-2)

    document = check(streamed, both, x=(None, 5))
    assert operations(document) == ["rnn", "rnn", "mul"]
    assert document.nodes[1]["tensors"][0] == {"slot": "W", "same": "r.W"}
    document = check(streamed, lambda x: ops.flip(x, axis=1), x=(None, 5))
    assert operations(document)[-1] == "gather"


@pytest.mark.parametrize("backwards", [False, True])
def test_stacks_of_cells(streamed, backwards):
    def graph(x):
        cells = [layers.LSTMCell(5), layers.SimpleRNNCell(3, activation="tanh"), layers.LSTMCell(4)]
        return layers.RNN(cells, return_sequences=True, go_backwards=backwards, name="r")(x)

    document = check(streamed, graph, x=(None, 6))
    assert operations(document) == ["lstm", "rnn", "lstm"]
    check(streamed, lambda x: layers.RNN([layers.LSTMCell(5), layers.SimpleRNNCell(3)])(x), x=(None, 6))
    check(streamed, lambda x: layers.RNN(layers.LSTMCell(5), return_state=True)(x), x=(None, 6))


def test_a_shared_recurrent_layer_is_tied(streamed):
    shared = layers.LSTM(4, name="r")
    document = check(streamed, lambda x, y: shared(x) + shared(y), x=(None, 5), y=(None, 5))
    assert document.nodes[1]["tensors"][4] == {"slot": "U_f", "same": "r.U_f"}
    assert document.size() == 4 * 16 * (5 + 4 + 1)


class OwnCell(layers.GRUCell):
    """A cell of a user's own."""

    def call(self, inputs, states, training=False):
        return super().call(inputs * 2, states, training)


@pytest.mark.parametrize(
    "layer, why",
    [
        (lambda: layers.LSTM(4, activation="relu", name="l"),
         "the activations relu and sigmoid; there are tanh and sigmoid"),
        (lambda: layers.LSTM(4, recurrent_activation="hard_sigmoid", name="l"),
         "the activations tanh and hard_sigmoid; there are tanh and sigmoid"),
        (lambda: layers.SimpleRNN(4, activation="sigmoid", name="l"),
         "the activation sigmoid; there are tanh and relu"),
        (lambda: layers.RNN(OwnCell(4), name="l"), "a cell of the class OwnCell"),
        (lambda: layers.GRU(4, activation="relu", name="l"),
         "the activations relu and sigmoid; there are tanh and sigmoid"),
    ],
)
def test_recurrent_layers_that_are_refused(layer, why):
    made = layer()
    assert problems_of(network(lambda x: made(x), x=(3, 5))) == [("l", type(made).__name__, why)]


def test_a_stateful_layer_is_refused():
    net = keras.Sequential([keras.Input(batch_shape=(2, 3, 5)),
                            layers.LSTM(4, stateful=True, name="l")])
    assert problems_of(net) == [("l", "LSTM", "stateful: it remembers earlier calls")]


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("causal", [True, False])
def test_self_attention(streamed, causal, bias):
    def graph(x):
        return layers.MultiHeadAttention(3, 4, use_bias=bias, name="a")(x, x, use_causal_mask=causal)

    document = check(streamed, graph, x=(None, 6))
    assert document.nodes[0]["in"] == ["x"]
    assert document.nodes[0]["params"] == {
        "d_model": 6, "key_features": 6, "value_features": 6, "out_features": 6, "num_heads": 3,
        "num_kv_heads": 3, "head_dim": 4, "value_dim": 4, "q_bias": bias, "k_bias": bias,
        "v_bias": bias, "o_bias": bias, "causal": causal, "rope": "none", "rope_base": None,
        "scale": None, "mask": "none", "fill": "-inf", "empty": "zero"}


def test_cross_attention_with_widths_of_its_own(streamed):
    layer = layers.MultiHeadAttention(3, 4, value_dim=5, output_shape=7, name="a")
    document = check(streamed, lambda q, v, k: layer(q, v, k), q=(None, 6), v=(3, 8), k=(3, 9))
    assert document.nodes[0]["in"] == ["q", "k", "v"]
    layer = layers.MultiHeadAttention(2, 4, name="a")
    document = check(streamed, lambda q, v: layer(q, value=v), q=(None, 6), v=(3, 8))
    assert document.nodes[0]["in"] == ["q", "v"]
    layer = layers.MultiHeadAttention(2, 4, name="a")
    document = check(streamed, lambda q, v: layer(q, v, key=q), q=(4, 6), v=(4, 8))
    assert document.nodes[0]["in"] == ["q", None, "v"]


@pytest.mark.parametrize("kind", ["MultiHead", "GroupQuery"])
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("shape", [(5, 5), (6, 5, 5), (1, 5, 5)])
@pytest.mark.parametrize("dropout", [0.0, 0.5])
def test_masks_and_rows_in_which_nothing_may_be_seen(streamed, kind, causal, shape, dropout):
    heads = (6, 4) if kind == "MultiHead" else (4, 6, 2)
    layer = getattr(layers, f"{kind}Attention")(*heads, dropout=dropout, name="a")
    net = network(lambda x, mask: layer(x, x, attention_mask=mask, use_causal_mask=causal),
                  x=(5, 6), mask=(*shape, "bool"))
    inputs = arrays(net, 2)
    inputs["mask"][0, ..., 1, :] = False
    inputs["mask"][1, ..., 0, :] = [False, True, True, True, True]
    document = held(streamed, net, inputs, arrays(net, 3))
    params = document.node("a")["params"]
    assert (params["mask"], params["fill"], params["empty"]) == \
        ("keep", "-inf" if dropout else "least", "zero")
    assert operations(document) == (["reshape", "attention"] if len(shape) == 2 else ["attention"])


def test_a_constant_mask(streamed):
    mask = np.tri(5, 4, dtype=bool)
    layer = layers.MultiHeadAttention(2, 4, name="a")
    document = check(streamed, lambda q, v: layer(q, v, attention_mask=mask[None]), q=(5, 6), v=(4, 6))
    assert document.nodes[0]["tensors"][0]["dtype"] == "bool"


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("bias", [True, False])
def test_grouped_attention(streamed, causal, bias):
    layer = layers.GroupQueryAttention(4, 6, 2, use_bias=bias, name="a")
    document = check(streamed, lambda x: layer(x, x, use_causal_mask=causal), x=(None, 5))
    params = document.nodes[0]["params"]
    assert (params["num_heads"], params["num_kv_heads"], params["head_dim"]) == (6, 2, 4)


def test_attention_along_one_of_many_axes(streamed):
    layer = layers.MultiHeadAttention(2, 4, attention_axes=(2,), name="a")
    check(streamed, lambda x: layer(x, x), x=(3, None, 6))


@pytest.mark.parametrize("rope", ["half", "interleaved", "none"])
@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("bias", [True, False, "qv"])
def test_rope_attention(streamed, rope, causal, bias):
    layer = RopeAttention(6, 4, 2, rope=rope, rope_base=500.0, causal=causal, bias=bias, name="a")
    document = check(streamed, lambda x: layer(x), x=(None, 5))
    params = document.nodes[0]["params"]
    assert operations(document) == ["attention"] and params["rope"] == rope
    assert params["rope_base"] == (None if rope == "none" else 500.0)
    assert [params[f"{name}_bias"] for name in "qkvo"] == [
        bias if isinstance(bias, bool) else name in bias for name in "qkvo"]


def test_rope_attention_with_a_mask_and_widths_of_its_own(streamed):
    layer = RopeAttention(4, 6, 2, value_dim=3, out_features=7, bias=True, name="a")
    net = network(lambda q, v, mask: layer(q, v, attention_mask=mask), q=(5, 6), v=(5, 8),
                  mask=(5, 5, "bool"))
    inputs = arrays(net, 2)
    inputs["mask"][0, 1, :] = False
    held(streamed, net, inputs, arrays(net, 3), atol=1e-12)
    with pytest.raises(ValueError, match="do not go together"):
        RopeAttention(4, 5)


@pytest.mark.parametrize("activation", ["silu", "relu2"])
@pytest.mark.parametrize("bias", [True, False])
def test_swiglu(streamed, activation, bias):
    document = check(streamed, lambda x: SwiGLU(9, activation, bias, name="s")(x), x=(None, 5))
    assert document.nodes[0]["params"] == {"in_features": 5, "hidden_features": 9,
                                           "activation": activation, "bias": bias}


@pytest.mark.parametrize("dtype", ["int64", "float32"])
def test_rows_outside_the_vocabulary_are_zero(streamed, dtype):
    net = network(lambda ids: ZeroOutsideEmbedding(7, 4, name="e")(ids), ids=(None, dtype))
    ids = np.array([[0, 6, 7, -1, -9, 3]]).astype(dtype)
    ids = ids + (0.75 if dtype == "float32" else 0) * np.sign(ids)
    document = held(streamed, net, {"ids": ids.astype(dtype)}, arrays(net, 2))
    assert document.nodes[0]["params"] == {"vocab_size": 7, "embedding_dim": 4, "outside": "zero",
                                           "wrap": False}
    rows = KERAS.native(net, {"ids": ids.astype(dtype)})["y"][0]
    assert (rows[2:5] == 0).all() and np.abs(rows[[0, 1, 5]]).min() > 0


def test_composed_layers_are_saved_and_loaded(tmp_path):
    def graph(ids):
        x = ZeroOutsideEmbedding(7, 6)(ids)
        return SwiGLU(9, "relu2", True)(RopeAttention(2, 4, 1, rope="interleaved", bias="q")(x))

    net = network(graph, ids=(None, "int64"))
    net.save(tmp_path / "m.keras")
    loaded = KERAS.load(str(tmp_path / "m.keras"))
    inputs = arrays(net, 2)
    np.testing.assert_array_equal(KERAS.native(net, inputs)["y"], KERAS.native(loaded, inputs)["y"])
    assert [n.params for n in KERAS.emit(loaded).nodes] == [n.params for n in KERAS.emit(net).nodes]


def test_a_transformer_block_in_a_subclass(streamed):
    @keras.saving.register_keras_serializable("tests")
    class Block(layers.Layer):
        def __init__(self, **kw):
            super().__init__(**kw)
            self.first, self.second = layers.LayerNormalization(name="n1"), layers.LayerNormalization(
                name="n2")
            self.attend = layers.MultiHeadAttention(2, 4, name="a")
            self.wide = layers.Dense(12, activation="relu", name="w")
            self.narrow = layers.Dense(6, name="d")

        def call(self, x):
            y = self.first(x)
            x = x + self.attend(y, y, use_causal_mask=True)
            return x + self.narrow(self.wide(self.second(x)))

    net = keras.Sequential([keras.Input((None, 6)), Block(name="b")])
    document = held(streamed, filled(net), arrays(net, 2, 5), arrays(net, 3, 4))
    assert operations(document) == ["layernorm", "attention", "add", "layernorm", "dense", "relu",
                                    "dense", "add"]
    assert document.nodes[1]["name"] == "b.a"
