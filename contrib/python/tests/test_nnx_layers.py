"""Flax nnx: every layer and option, emitted at one size and run at others, in float64."""

from __future__ import annotations

import numpy as np
import pytest
from flax_held import ANY, MODULE, floats, held, ids, named, nnx_net
from interpreter import run_all
from jax_networks import jax, jnp, nnx, operations, problems_of

from planetbridging.composed import flax_ as composed

pytestmark = pytest.mark.filterwarnings("ignore::planetbridging.BridgeWarning")

KERNELS = {1: (3,), 2: (3, 2), 3: (2, 3, 2)}
SIZES = {1: (9,), 2: (9, 6), 3: (5, 7, 4)}


def one(make, call=lambda self, x: self.layer(x)):
    """A network of one layer, which is called "layer"."""
    return nnx_net(lambda rngs: {"layer": make(rngs)}, call)


@pytest.mark.parametrize("n", [1, 2, 3])
@pytest.mark.parametrize("options", [
    {"padding": "SAME", "strides": 2, "kernel_dilation": 1},
    {"padding": "VALID", "kernel_dilation": 2, "feature_group_count": 2, "use_bias": False},
], ids=str)
def test_convolutions(streamed, n, options):
    net = one(lambda rngs: nnx.Conv(4, 6, KERNELS[n], rngs=rngs, **options))
    document = held(streamed, net, floats(2, *SIZES[n], 4), floats(3, *SIZES[n], 4, seed=1))
    assert [op for _, op in named(document)] == ["transpose", f"conv{n}", "transpose"]
    assert document.entry("layer", "weight")["source"] == "layer/kernel"


def test_causal_and_pairs(streamed):
    net = nnx_net(lambda rngs: {"a": nnx.Conv(4, 5, 3, padding="CAUSAL", rngs=rngs),
                                "b": nnx.Conv(5, 3, 3, padding=((1, 2),), rngs=rngs)},
                  lambda self, x: nnx.avg_pool(nnx.relu(self.b(self.a(x))), (2,), padding="SAME"))
    document = held(streamed, net, floats(2, 9, 4), floats(3, 5, 4))
    assert [op for _, op in named(document)] == ["transpose", "conv1", "conv1", "relu", "avgpool1",
                                                 "transpose"]


@pytest.mark.parametrize("options, ops", [
    ({"padding": "CIRCULAR"}, ["transpose", "pad", "conv1"]),
    ({"input_dilation": 2, "padding": 1}, ["transpose", "convtranspose1"]),
    ({"mask": np.tri(3)[:, :, None] * np.ones((3, 3, 6))}, ["transpose", "conv1"]),
], ids=str)
def test_convolutions_of_every_kind(streamed, options, ops):
    options = {k: nnx.Variable(jnp.asarray(v, jnp.float32)) if k == "mask" else v
               for k, v in options.items()}
    net = one(lambda rngs: nnx.Conv(3, 6, (3,), rngs=rngs, **options))
    document = held(streamed, net, floats(2, 9, 3), floats(3, 9, 3, seed=1), untapped=ANY)
    assert operations(document)[:len(ops)] == ops


@pytest.mark.parametrize("options", [
    {}, {"padding": "VALID", "strides": 2, "kernel_dilation": 2}, {"strides": (3, 2)},
    {"padding": ((1, 0), (0, 2)), "strides": (2, 3), "use_bias": False},
    {"transpose_kernel": True, "strides": 2}], ids=str)
def test_transposed_convolutions(streamed, options):
    net = one(lambda rngs: nnx.ConvTranspose(4, 3, (3, 2), rngs=rngs, **options))
    document = held(streamed, net, floats(2, 5, 4, 4), floats(3, 6, 3, 4))
    assert named(document)[1] == ("layer", "convtranspose2")


@pytest.mark.parametrize("make, op", [
    (lambda r: nnx.GroupNorm(6, 3, rngs=r), "groupnorm"),
    (lambda r: nnx.InstanceNorm(6, epsilon=1e-2, rngs=r), "instancenorm"),
    (lambda r: nnx.BatchNorm(6, epsilon=1e-2, rngs=r), "batchnorm"),
    (lambda r: nnx.BatchNorm(6, use_scale=False, use_bias=False, rngs=r), "batchnorm"),
    (lambda r: nnx.PReLU(0.3), "prelu")])
def test_norms_of_channels(streamed, make, op):
    net = one(make)
    if op == "batchnorm":
        net.layer.mean[...] = jnp.arange(6.0) - 2
        net.layer.var[...] = jnp.arange(1.0, 7.0) / 3
    document = held(streamed, net, floats(2, 5, 4, 6), floats(3, 3, 7, 6), atol=1e-11)
    assert document.node("layer")["op"] == op


def test_gru(streamed):
    net = one(lambda rngs: nnx.RNN(nnx.GRUCell(4, 6, rngs=rngs), reverse=True, rngs=rngs))
    document = held(streamed, net, floats(2, 5, 4), floats(3, 7, 4))
    assert document.node("layer")["params"]["biases"] == 1
    tensors = document.node("layer")["tensors"][3:6]
    assert [t["source"] for t in tensors] == [f"layer/cell/{part}" for part in
                                              ("dense_i/kernel", "dense_h/kernel", "dense_i/bias")]
    assert [t["layout"] for t in tensors] == [
        {"shape": [4, 18], "first": 6, "strides": [18, 1]}, {"shape": [6, 18], "first": 6, "strides": [18, 1]},
        {"shape": [18], "first": 6, "strides": [1]}]


def test_weights_that_are_evaluated_say_of_what(streamed):
    net = one(lambda rngs: nnx.WeightNorm(nnx.Linear(4, 3, rngs=rngs), rngs=rngs))
    # The weight is rounded to float32 at each step of its own, and in float64 it is not.
    document = held(streamed, net, floats(2, 4), floats(3, 4), atol=1e-6)
    source = document.nodes[0]["tensors"][0]["source"]
    assert source.startswith("computed from ") and "kernel" in source


def test_dropout_in_training_is_refused():
    net = nnx_net(lambda rngs: {"drop": nnx.Dropout(0.5, rngs=rngs)},
                  lambda self, x: self.drop(x, deterministic=False))
    assert problems_of(net, floats(2, 4)) == [
        ("drop", "Dropout", "dropout in training (deterministic=False)")]


@pytest.mark.parametrize("options", [{}, {"use_bias": False, "epsilon": 1e-3},
                                     {"use_scale": False, "use_bias": False}], ids=str)
def test_norms(streamed, options):
    small = {"x": floats(3, 7, 4)["x"] * np.float32(1e-2)}
    net = one(lambda rngs: nnx.LayerNorm(4, rngs=rngs, **options))
    params = held(streamed, net, floats(2, 5, 4), small, atol=1e-11).node("layer")["params"]
    assert params == {"dim": 4, "eps": options.get("epsilon", 1e-6),
                      "scale": options.get("use_scale", True),
                      "offset": options.get("use_bias", True)}
    options.pop("use_bias", None)
    net = one(lambda rngs: nnx.RMSNorm(4, rngs=rngs, **options))
    assert held(streamed, net, floats(2, 5, 4), small).node("layer")["op"] == "rmsnorm"


def test_embedding(streamed):
    net = nnx_net(lambda rngs: {"e": nnx.Embed(7, 4, rngs=rngs)}, lambda self, ids: self.e(ids))
    document = held(streamed, net, ids(2, 5), {"ids": np.array([[-1, 6, -7], [0, 2, 3]])})
    assert document.node("e")["params"] == {"vocab_size": 7, "embedding_dim": 4, "outside": "nan",
                                            "wrap": True}
    beyond = {"ids": np.array([[0, 7, -8]])}
    native = MODULE.native(net, beyond)["y"]
    assert np.isnan(native[0, 1:]).all() and not np.isnan(native[0, 0]).any()
    np.testing.assert_allclose(run_all(document, beyond)["y"], native, rtol=1e-6)


def test_composed_layers(streamed):
    net = nnx_net(lambda rngs: {"e": composed.NnxZeroEmbed(7, 4, rngs=rngs),
                                "g": composed.NnxSwiGLU(4, 6, use_bias=True, rngs=rngs),
                                "h": composed.NnxSwiGLU(4, 5, activation="relu2", rngs=rngs)},
                  lambda self, ids: self.h(self.g(self.e(ids))))
    document = held(streamed, net, {"ids": np.array([[-1, 7, 3], [0, 6, 9]])}, ids(3, 5))
    assert named(document) == [("e", "embedding"), ("g", "swiglu"), ("h", "swiglu")]
    assert document.node("e")["params"]["outside"] == "zero"
    assert document.entry("g", "Wd")["source"] == "g/down/kernel"


@pytest.mark.parametrize("cell", [nnx.LSTMCell, nnx.OptimizedLSTMCell])
def test_lstm_gates(streamed, cell):
    net = one(lambda rngs: nnx.RNN(cell(4, 6, rngs=rngs), reverse=True, rngs=rngs))
    document = held(streamed, net, floats(2, 5, 4), floats(3, 7, 4))
    sources = [t["source"] for t in document.nodes[0]["tensors"]][3:6]
    fused = [f"layer/cell/{part}" for part in ("dense_i/kernel", "dense_h/kernel", "dense_h/bias")]
    single = ["layer/cell/if_/kernel", "layer/cell/hf/kernel", "layer/cell/hf/bias"]
    assert sources == (fused if cell is nnx.OptimizedLSTMCell else single)
    assert document.nodes[0]["params"]["order"] == "reversed"


def test_simple_cell_computes_in_the_type_it_is_told(streamed):
    net = one(lambda rngs: nnx.RNN(nnx.SimpleCell(4, 6, activation_fn=nnx.relu, rngs=rngs),
                                   rngs=rngs))
    params = held(streamed, net, floats(2, 5, 4), floats(3, 7, 4)).node("layer")["params"]
    assert params["activation"] == "relu"
    assert net.layer.cell.dtype == jnp.float32, "the user's module must stay as it is"


def test_both_directions_and_their_states(streamed):
    def make(rngs):
        forward = nnx.RNN(nnx.SimpleCell(4, 6, rngs=rngs), rngs=rngs)
        backward = nnx.RNN(nnx.LSTMCell(4, 3, rngs=rngs), rngs=rngs)
        return {"both": nnx.Bidirectional(forward, backward, return_carry=True, rngs=rngs)}

    net = nnx_net(make, lambda self, x: self.both(x))
    document = held(streamed, net, floats(2, 5, 4), floats(3, 7, 4))
    assert [op for _, op in named(document)] == ["rnn", "lstm", "concat"]


@pytest.mark.parametrize("cell", [
    lambda r: nnx.LSTMCell(4, 6, gate_fn=nnx.tanh, rngs=r),
    lambda r: nnx.SimpleCell(4, 6, residual=True, rngs=r),
    lambda r: nnx.SimpleCell(4, 6, activation_fn=nnx.gelu, rngs=r)])
def test_other_cells_are_loops_of_a_known_length(streamed, cell):
    net = one(lambda rngs: nnx.RNN(cell(rngs), rngs=rngs))
    document = held(streamed, net, floats(2, 5, 4), floats(3, 5, 4), untapped=ANY)
    assert document.head["inputs"][0]["shape"] == ["batch", 5, 4]


def attention(call=lambda self, x: self.layer(x), heads=4, width=8, **options):
    return one(lambda rngs: nnx.MultiHeadAttention(heads, width, decode=False, rngs=rngs,
                                                   **options), call)


@pytest.mark.parametrize("options", [
    {}, {"num_kv_heads": 2, "use_bias": False}, {"qkv_features": 12, "out_features": 5,
                                                 "dropout_rate": 0.5}], ids=str)
def test_attention(streamed, options):
    document = held(streamed, attention(**options), floats(2, 5, 8), floats(3, 7, 8))
    params = document.node("layer")["params"]
    assert params["num_kv_heads"] == options.get("num_kv_heads", 4)
    assert params["q_bias"] == params["o_bias"] == options.get("use_bias", True)


@pytest.mark.parametrize("call", [
    lambda self, x: self.layer(x, is_causal=True),
    lambda self, x: self.layer(x, mask=nnx.make_causal_mask(x[..., 0]))])
def test_causal(streamed, call):
    document = held(streamed, attention(call, num_kv_heads=1), floats(2, 5, 8), floats(3, 7, 8))
    assert document.node("layer")["params"]["causal"] is True
    assert document.node("layer")["in"] == ["x"]


@pytest.mark.parametrize("style", ["half", "interleaved"])
def test_rotary_positions_of_grouped_heads(streamed, style):
    function = composed.RotaryAttention(style, 50.0, causal=True)
    net = attention(num_kv_heads=2, attention_fn=function)
    params = held(streamed, net, floats(2, 5, 8), floats(3, 7, 8)).node("layer")["params"]
    assert (params["rope"], params["rope_base"], params["causal"]) == (style, 50.0, True)


def test_keys_and_a_mask(streamed):
    def batch(n, s, t):
        return (floats(n, s, 8) | floats(n, t, 3, seed=1, name="k")
                | {"m": np.random.default_rng(t).random((n, 1, s, t)) < 0.7})

    net = attention(lambda self, x, k, m: self.layer(x, k, mask=m, is_causal=False),
                    in_kv_features=3)
    document = held(streamed, net, batch(2, 5, 6), batch(3, 4, 7))
    assert document.node("layer")["in"] == ["x", "k", None, "m"]


def test_causal_and_a_mask_of_keys(streamed):
    def batch(n, s):
        return floats(n, s, 8) | {"m": np.random.default_rng(s).random((n, 1, 1, s)) < 0.7}

    net = attention(lambda self, x, m: self.layer(x, mask=m, is_causal=True))
    document = held(streamed, net, batch(2, 5), batch(3, 7))
    params = document.node("layer")["params"]
    assert params["causal"] is True and params["mask"] == "keep"


def test_a_row_that_sees_nothing_sees_all_alike():
    batch = floats(2, 3, 8) | {"m": np.zeros((2, 1, 3, 3), bool)}
    net = attention(lambda self, x, m: self.layer(x, mask=m))
    graph = MODULE.emit(net, example=batch)
    assert [n.params["fill"] for n in graph.nodes if n.op == "attention"] == ["least"]
    usual, exact = (MODULE.native(net, batch, p)["y"] for p in ("float32", "float64"))
    np.testing.assert_allclose(usual, exact, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("options", [
    {"normalize_qk": True}, {"attention_fn": lambda q, k, v, **more: v}], ids=str)
def test_attention_of_its_own_kind_is_what_is_in_it(streamed, options):
    document = held(streamed, attention(**options), floats(2, 5, 8), floats(3, 7, 8), atol=1e-6,
                    untapped=ANY)
    assert "attention" not in operations(document) and "dense" in operations(document)


def test_a_layer_used_twice_is_tied(streamed):
    net = one(lambda rngs: nnx.LayerNorm(4, rngs=rngs),
              lambda self, x: self.layer(jax.nn.silu(self.layer(x))))
    document = held(streamed, net, floats(2, 5, 4), floats(3, 7, 4), atol=1e-11)
    assert document.nodes[2]["tensors"] == [{"slot": "gamma", "same": "layer.gamma"},
                                            {"slot": "beta", "same": "layer.beta"}]
