"""Flax linen: recurrent layers and attention, with all that decides their numbers."""

from __future__ import annotations

import numpy as np
import pytest
from flax_held import MODULE, floats, held, ids, linen_net, named
from interpreter import run_all
from jax_networks import jax, jnp, linen, nn, problems_of

from planetbridging.composed.flax_ import RotaryAttention

pytestmark = pytest.mark.filterwarnings("ignore::planetbridging.BridgeWarning")


def rnn(cell, **options):
    return linen(lambda s, x: nn.RNN(cell(), name="r", **options)(x), 5, 4)


@pytest.mark.parametrize("cell", [nn.LSTMCell, nn.OptimizedLSTMCell])
def test_lstm_gates(streamed, cell):
    document = held(streamed, rnn(lambda: cell(6, parent=None)), floats(2, 5, 4), floats(3, 7, 4))
    assert named(document) == [("r", "lstm")]
    tensors = {t["slot"]: (t["axes"], t["source"]) for t in document.nodes[0]["tensors"]}
    assert list(tensors)[:6] == ["W_i", "U_i", "b_i", "W_f", "U_f", "b_f"]
    assert tensors["W_f"] == (["i", "h"], "params/r/cell/if/kernel")
    assert tensors["U_g"] == (["u", "h"], "params/r/cell/hg/kernel")
    assert tensors["b_o"] == (["h"], "params/r/cell/ho/bias")
    assert document.nodes[0]["params"] == {"input_size": 4, "hidden_size": 6, "biases": 1,
                                           "direction": "forward", "order": "time"}


@pytest.mark.parametrize("options, direction, order", [
    ({"reverse": True}, "backward", "reversed"),
    ({"reverse": True, "keep_order": True}, "backward", "time"),
    ({"keep_order": True}, "forward", "time")], ids=str)
def test_directions(streamed, options, direction, order):
    net = rnn(lambda: nn.SimpleCell(6, activation_fn=nn.relu, parent=None), **options)
    params = held(streamed, net, floats(2, 5, 4), floats(3, 3, 4)).node("r")["params"]
    assert params == {"input_size": 4, "hidden_size": 6, "biases": 1, "activation": "relu",
                      "direction": direction, "order": order}


def test_states_in_and_out(streamed):
    def call(s, x, h, c):
        (c1, h1), y = nn.RNN(nn.LSTMCell(6), return_carry=True, name="r")(x, initial_carry=(c, h))
        h2, z = nn.RNN(nn.SimpleCell(6), name="q")(y, initial_carry=h1, return_carry=True)
        return y, h1, c1, h2, z[:, -1]

    def batch(n, s):
        return floats(n, s, 4) | floats(n, 6, seed=1, name="h") | floats(n, 6, seed=2, name="c")

    document = held(streamed, linen_net(call, **batch(2, 5)), batch(2, 5), batch(3, 7))
    assert document.node("r")["in"] == ["x", "h", "c"]
    assert [len(document.node(name)["out"]) for name in ("r", "q")] == [3, 2]


def test_a_state_that_is_zero_is_none(streamed):
    def call(s, x):
        cell = nn.LSTMCell(6)
        carry = cell.initialize_carry(jax.random.key(0), (x.shape[0], 4))
        return nn.RNN(cell, name="r")(x, initial_carry=carry)

    document = held(streamed, linen(call, 5, 4), floats(2, 5, 4), floats(3, 7, 4))
    assert [n["in"] for n in document.nodes] == [["x"]]


def test_both_directions(streamed):
    def call(s, x):
        forward, backward = nn.RNN(nn.LSTMCell(6), name="f"), nn.RNN(nn.SimpleCell(3), name="b")
        return nn.Bidirectional(forward, backward)(nn.Dense(5)(x))

    document = held(streamed, linen(call, 5, 4), floats(2, 5, 4), floats(3, 7, 4))
    assert [op for _, op in named(document)] == ["dense", "lstm", "rnn", "concat"]
    assert document.nodes[2]["params"]["direction"] == "backward"
    assert document.nodes[2]["params"]["order"] == "time"


@pytest.mark.parametrize("cell, options, problem", [
    (lambda: nn.LSTMCell(6, gate_fn=nn.tanh, parent=None), {}, "gate_fn=tanh"),
    (lambda: nn.OptimizedLSTMCell(6, activation_fn=nn.relu, parent=None), {}, "activation_fn=relu"),
    (lambda: nn.SimpleCell(6, activation_fn=nn.sigmoid, parent=None), {}, "activation_fn=sigmoid"),
    (lambda: nn.SimpleCell(6, residual=True, parent=None), {}, "residual=True"),
    (lambda: nn.SimpleCell(6, carry_init=nn.initializers.ones, parent=None), {},
     "a carry that does not start at zero"),
    (lambda: nn.SimpleCell(6, parent=None), {"time_major": True}, "time_major=True"),
    (lambda: nn.LSTMCell(6, gate_fn=nn.tanh, parent=None), {"time_major": True},
     "gate_fn=tanh, time_major=True"),
])
def test_recurrent_layers_that_have_no_word(cell, options, problem):
    assert problems_of(rnn(cell, **options), floats(2, 5, 4)) == [("r", "RNN", problem)]


def test_lengths_and_other_cells_have_no_word():
    net = linen(lambda s, x: nn.RNN(nn.SimpleCell(6), name="r")(x, seq_lengths=jnp.array([3, 4])),
                5, 4)
    assert problems_of(net, floats(2, 5, 4)) == [("r", "RNN", "seq_lengths")]
    (path, cls, what), = problems_of(rnn(lambda: nn.GRUCell(6, parent=None)), floats(2, 5, 4))
    assert (path, cls) == ("r", "RNN") and "scan" in what


def attention(heads=2, call=lambda a, x: a(x), **options):
    def run(s, x):
        made = nn.MultiHeadDotProductAttention(heads, name="a", deterministic=True, **options)
        return call(made, x)
    return linen(run, 5, 4)


def test_attention_of_itself(streamed):
    net = attention(qkv_features=6, out_features=7, dropout_rate=0.5)
    document = held(streamed, net, floats(2, 5, 4), floats(3, 7, 4))
    assert document.node("a")["params"] == {
        "d_model": 4, "key_features": 4, "value_features": 4, "out_features": 7, "num_heads": 2,
        "num_kv_heads": 2, "head_dim": 3, "value_dim": 3, "q_bias": True, "k_bias": True,
        "v_bias": True, "o_bias": True, "causal": False, "rope": "none", "rope_base": None,
        "scale": None, "mask": "none", "fill": "least", "empty": "error"}
    tensors = {t["slot"]: (t["axes"], t["shape"]) for t in document.node("a")["tensors"]}
    assert tensors["Wq"] == (["d", "q"], [4, 6]) and tensors["Wo"] == (["o", "d"], [6, 7])
    held(streamed, attention(use_bias=False), floats(2, 5, 4))


@pytest.mark.parametrize("mask", [
    lambda x: nn.make_causal_mask(x[..., 0]),
    lambda x: nn.combine_masks(nn.make_causal_mask(x[..., 0], dtype=bool), None, dtype=bool),
    lambda x: jnp.tril(jnp.ones((x.shape[1], x.shape[1]), bool)),
    lambda x: nn.make_causal_mask(jnp.ones((1, x.shape[1]))) > 0.5,
])
def test_a_causal_mask_is_found(streamed, mask):
    net = attention(call=lambda a, x: a(x, mask=mask(x)))
    document = held(streamed, net, floats(2, 5, 4), floats(3, 7, 4))
    assert document.node("a")["params"]["causal"] is True
    assert document.node("a")["in"] == ["x"] and document.head["inputs"][0]["shape"][1] == "d1"


def test_a_mask_that_is_nearly_causal_is_none():
    net = attention(call=lambda a, x: a(x, mask=jnp.tril(jnp.ones((x.shape[1],) * 2, bool), 1)))
    graph = MODULE.emit(net, example=floats(2, 5, 4))
    params = next(n.params for n in graph.nodes if n.op == "attention")
    assert params["causal"] is False and params["mask"] == "keep"


def places(x):
    at = jnp.arange(x.shape[1])
    return at[None], at[:, None]


@pytest.mark.parametrize("mask", [
    lambda key, query: (key <= query) & (key > query - 100), lambda key, query: key > query - 100])
def test_a_window_beyond_the_sizes_looked_at_settles_the_length(mask):
    net = attention(call=lambda a, x: a(x, mask=mask(*places(x))[None, None]))
    assert MODULE.emit(net, example=floats(2, 5, 4)).inputs[0].shape == ["batch", 5, 4]


@pytest.mark.parametrize("style, causal", [("half", True), ("interleaved", False)])
def test_rotary_positions(streamed, style, causal):
    net = attention(qkv_features=8, attention_fn=RotaryAttention(style, 100.0, causal))
    params = held(streamed, net, floats(2, 5, 4), floats(3, 7, 4)).node("a")["params"]
    assert (params["rope"], params["rope_base"], params["causal"]) == (style, 100.0, causal)


def test_rotary_attention_sees_its_mask(streamed):
    def call(s, x, m):
        return nn.MultiHeadDotProductAttention(2, attention_fn=RotaryAttention(), name="a",
                                               deterministic=True)(x, mask=m)

    def batch(n, s):
        return floats(n, s, 4) | {"m": np.random.default_rng(s).random((n, 1, s, s)) < 0.6}

    document = held(streamed, linen_net(call, **batch(2, 5)), batch(2, 5), batch(3, 7))
    assert document.node("a")["in"] == ["x", None, None, "m"]


def test_masks_keys_and_values(streamed):
    def call(s, x, k, v, m):
        a = nn.MultiHeadDotProductAttention(2, qkv_features=6, deterministic=True, name="a")
        y = a(x, k, v, mask=m[:, None, None, :])
        b = nn.MultiHeadDotProductAttention(3, qkv_features=6, deterministic=True, name="b")
        return b(y, mask=nn.make_causal_mask(y[..., 0], dtype=bool)), y

    def batch(n, s, t):
        lengths = np.random.default_rng(0).integers(1, t, (n, 1))
        return (floats(n, s, 4) | floats(n, t, 3, seed=1, name="k")
                | floats(n, t, 5, seed=2, name="v") | {"m": np.arange(t)[None] < lengths})

    document = held(streamed, linen_net(call, **batch(2, 5, 6)), batch(2, 5, 6), batch(3, 4, 7))
    params = document.node("a")["params"]
    assert (params["key_features"], params["value_features"], params["mask"]) == (3, 5, "keep")
    assert document.node("a")["in"][1:3] == ["k", "v"]


def test_causal_and_a_mask_of_the_user(streamed):
    def call(s, x, m):
        causal = nn.make_causal_mask(x[..., 0], dtype=bool)
        return nn.MultiHeadDotProductAttention(2, deterministic=True, name="a")(
            x, mask=nn.combine_masks(causal, m, dtype=bool))

    def batch(n, s):
        return floats(n, s, 4) | {"m": np.random.default_rng(s).random((n, 1, s, s)) < 0.7}

    document = held(streamed, linen_net(call, **batch(2, 5)), batch(2, 5), batch(3, 7))
    assert document.node("a")["params"]["causal"] is True
    assert document.node("a")["in"] == ["x", None, None, "m"]


def test_a_row_that_sees_nothing_sees_all_alike(streamed):
    def call(s, x, m):
        return nn.MultiHeadDotProductAttention(2, deterministic=True, name="a")(x, mask=m)

    batch = floats(2, 3, 4) | {"m": np.zeros((2, 1, 3, 3), bool)}
    net = linen_net(call, **batch)
    found = run_all(held(streamed, net, batch), batch)
    native = MODULE.native(net, batch)["y"]
    assert np.isfinite(native).all()
    np.testing.assert_allclose(found["y"], native, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("options, problem", [
    ({"normalize_qk": True}, "normalize_qk=True"),
    ({"attention_fn": lambda q, k, v, mask=None: v}, "attention_fn=<lambda>"),
    ({"force_fp32_for_softmax": True}, "force_fp32_for_softmax=True"),
], ids=str)
def test_attention_that_has_no_word(options, problem):
    assert problems_of(attention(**options), floats(2, 5, 4)) == [
        ("a", "MultiHeadDotProductAttention", problem)]


def test_a_transformer_block_for_any_length(streamed):
    def call(s, ids):
        x = nn.Embed(7, 8, name="e")(ids)
        n = nn.LayerNorm(name="n")(x)
        x = x + nn.MultiHeadDotProductAttention(2, deterministic=True, name="a")(
            n, mask=nn.make_causal_mask(ids))
        x = x + nn.Dense(8)(nn.gelu(nn.Dense(12)(nn.RMSNorm(name="m")(x))))
        return nn.RNN(nn.LSTMCell(5), name="r")(x)

    net = linen_net(call, ids=jnp.zeros((1, 3), int))
    document = held(streamed, net, ids(2, 5), ids(3, 7, seed=1), whole="2e-5")
    assert [op for _, op in named(document)] == [
        "embedding", "layernorm", "attention", "add", "rmsnorm", "dense", "gelu", "dense", "add",
        "lstm"]
    np.testing.assert_allclose(MODULE.taps(net, ids(2, 5))["e"],
                               np.asarray(net[1]["params"]["e"]["embedding"])[ids(2, 5)["ids"]])
