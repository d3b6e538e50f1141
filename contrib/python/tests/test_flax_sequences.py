"""Flax linen: recurrent layers and attention, with all that decides their numbers."""

from __future__ import annotations

import numpy as np
import pytest
from flax_held import ANY, MODULE, floats, held, ids, linen_net, named
from interpreter import run_all
from jax_networks import jax, jnp, linen, nn, operations, problems_of

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


@pytest.mark.parametrize("cell", [
    lambda: nn.LSTMCell(6, gate_fn=nn.tanh, parent=None),
    lambda: nn.OptimizedLSTMCell(6, activation_fn=nn.relu, parent=None),
    lambda: nn.SimpleCell(6, activation_fn=nn.sigmoid, parent=None),
    lambda: nn.SimpleCell(6, residual=True, parent=None),
    lambda: nn.SimpleCell(6, carry_init=nn.initializers.ones, parent=None),
    lambda: nn.GRUCell(6, activation_fn=nn.gelu, parent=None),
    lambda: nn.MGUCell(6, parent=None)])
def test_other_cells_are_loops_of_a_known_length(streamed, cell):
    document = held(streamed, rnn(cell), floats(2, 5, 4), floats(3, 5, 4), untapped=ANY)
    assert document.head["inputs"][0]["shape"] == ["batch", 5, 4]
    assert not {"rnn", "lstm", "gru"} & set(operations(document))


def test_a_loop_may_be_too_long():
    net = rnn(lambda: nn.MGUCell(6, parent=None))
    assert problems_of(net, floats(2, 65, 4)) == [("r", "RNN", "scan")]


@pytest.mark.parametrize("options", [{}, {"reverse": True}, {"reverse": True, "keep_order": True}],
                         ids=str)
def test_time_in_front(streamed, options):
    net = rnn(lambda: nn.GRUCell(6, parent=None), time_major=True, **options)
    document = held(streamed, net, floats(2, 5, 4), floats(7, 5, 4))
    assert [op for _, op in named(document)] == ["transpose", "gru", "transpose"]


def test_gru_gates(streamed):
    document = held(streamed, rnn(lambda: nn.GRUCell(6, parent=None)), floats(2, 5, 4),
                    floats(3, 7, 4))
    assert document.node("r")["params"] == {"input_size": 4, "hidden_size": 6, "biases": 2,
                                            "reset_after": True, "direction": "forward",
                                            "order": "time"}
    tensors = {t["slot"]: t.get("source") for t in document.node("r")["tensors"]}
    assert tensors["W_z"] == "params/r/cell/iz/kernel" and tensors["b_n"] == "params/r/cell/in/bias"
    assert tensors["b2_n"] == "params/r/cell/hn/bias"
    assert (document.values("r", "b2_r") == 0).all() and (document.values("r", "b2_z") == 0).all()


CELLS = {"lstm": nn.LSTMCell, "gru": nn.GRUCell, "rnn": nn.SimpleCell}


@pytest.mark.parametrize("options", [{}, {"reverse": True}, {"reverse": True, "keep_order": True}],
                         ids=str)
@pytest.mark.parametrize("op", CELLS)
def test_samples_of_unequal_lengths(streamed, op, options):
    def call(s, x, lengths):
        cell = CELLS[op](6)
        return nn.RNN(cell, name="r", return_carry=True, **options)(x, seq_lengths=lengths)

    def batch(n, s):
        return floats(n, s, 4) | {"lengths": np.random.default_rng(s).integers(1, s + 1, n)}

    document = held(streamed, linen_net(call, **batch(2, 5)), batch(2, 5), batch(4, 7),
                    untapped=ANY)
    assert document.head["inputs"][1] == {"name": "lengths", "dtype": "int64", "shape": ["batch"]}
    nodes = [n for n in document.nodes if n["op"] == op]
    assert [n["name"] for n in nodes] == ["r", "r.lengths"]
    assert all(t["same"] == f"r.{t['slot']}" for t in nodes[1]["tensors"])


def test_lengths_without_the_carry_change_nothing_forward(streamed):
    def call(s, x, lengths):
        return nn.RNN(nn.SimpleCell(6), name="r")(x, seq_lengths=lengths)

    batch = floats(2, 5, 4) | {"lengths": np.array([3, 5])}
    assert named(held(streamed, linen_net(call, **batch), batch)) == [("r", "rnn")]


def test_a_cell_by_itself(streamed):
    def call(s, x):
        gru, lstm = nn.GRUCell(4, name="g"), nn.OptimizedLSTMCell(4, name="l")
        h, y = gru(gru.initialize_carry(jax.random.key(0), x.shape), x)
        return lstm((h, y), x)

    document = held(streamed, linen(call, 4), floats(2, 4), floats(3, 4), untapped=ANY)
    assert ("g.ir", "dense") in named(document)


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
    lambda key, query: (key <= query) & (key > query - 9), lambda key, query: key > query - 9])
def test_a_window_is_a_mask_of_its_own(streamed, mask):
    """At the first length no query is too far from any key; at the second most are."""
    net = attention(call=lambda a, x: a(x, mask=mask(*places(x))[None, None]))
    document = held(streamed, net, floats(2, 5, 4), floats(1, 30, 4), untapped=ANY)
    params = document.node("a")["params"]
    assert (params["causal"], params["mask"]) == (False, "keep")
    assert document.head["inputs"][0]["shape"] == ["batch", "d1", 4]


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


@pytest.mark.parametrize("options", [
    {"normalize_qk": True}, {"attention_fn": lambda q, k, v, mask=None: v},
    {"force_fp32_for_softmax": True}], ids=str)
def test_attention_of_its_own_kind_is_what_is_in_it(streamed, options):
    # The variance of two numbers as a difference of squares loses digits in float64, too.
    document = held(streamed, attention(**options), floats(2, 5, 4), floats(3, 7, 4), atol=1e-6,
                    untapped=ANY)
    assert "attention" not in operations(document) and "dense" in operations(document)


def test_masks_of_numbers_and_several_masks(streamed):
    def call(s, x, m, n):
        def a(name):
            return nn.MultiHeadDotProductAttention(2, deterministic=True, name=name)
        both = nn.combine_masks(m.astype(bool), n > 0, nn.make_causal_mask(x[..., 0], dtype=bool),
                                dtype=bool)
        return a("a")(x, mask=m), a("b")(x, mask=both)

    def batch(n, s):
        rng = np.random.default_rng(s)
        return floats(n, s, 4) | {"m": rng.integers(0, 3, (n, 1, s, s)),
                                  "n": rng.integers(-1, 3, (n, 1, 1, s))}

    document = held(streamed, linen_net(call, **batch(2, 5)), batch(2, 5), batch(3, 7),
                    untapped=ANY)
    assert document.node("b")["params"]["causal"] is True


def test_attention_in_training_is_refused():
    net = linen(lambda s, x: nn.MultiHeadDotProductAttention(
        2, dropout_rate=0.5, deterministic=s.is_initializing(), name="a")(x), 5, 4)
    assert problems_of(net, floats(2, 5, 4)) == [
        ("a", "MultiHeadDotProductAttention", "dropout in training (deterministic=False)")]


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
