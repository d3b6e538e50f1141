"""Flax linen: every layer and option, emitted at one size and run at others, in float64."""

from __future__ import annotations

import jax_networks
import numpy as np
import pytest
from flax_held import ANY, MODULE, agreement, floats, held, ids, linen_net, named, wide
from interpreter import run_all
from jax_networks import jax, jnp, linen, nn, operations

from planetbridging.composed import flax_ as composed

pytestmark = pytest.mark.filterwarnings("ignore::planetbridging.BridgeWarning")

SIZES = {1: (9,), 2: (9, 6), 3: (5, 7, 4)}
KERNELS = {1: (3,), 2: (3, 2), 3: (2, 3, 2)}


@pytest.mark.parametrize("n", [1, 2, 3])
@pytest.mark.parametrize("options", [
    {},
    {"padding": "VALID", "strides": 2},
    {"padding": 1, "kernel_dilation": 2},
    {"padding": "SAME", "strides": 3, "feature_group_count": 2},
    {"padding": "SAME_LOWER", "strides": 2, "use_bias": False},
], ids=str)
def test_convolutions(streamed, n, options):
    net = linen(lambda s, x: nn.Conv(8, KERNELS[n], name="c", **options)(x), *SIZES[n], 4)
    document = held(streamed, net, floats(2, *SIZES[n], 4), floats(3, *SIZES[n], 4, seed=1))
    assert [op for _, op in named(document)] == ["transpose", f"conv{n}", "transpose"]
    entry = document.entry("c", "weight")
    assert (entry["axes"], entry["source"]) == ([*"dhw"[3 - n:], "c", "f"] if n > 1 else
                                                ["w", "c", "f"], "params/c/kernel")
    assert document.node("c")["params"]["bias"] == options.get("use_bias", True)


def test_padding_by_side_and_axis(streamed):
    net = linen(lambda s, x: nn.Conv(3, (3, 2), padding=((2, 0), 1), strides=(1, 2), name="c",
                                     kernel_dilation=(2, 1))(x), 9, 6, 4)
    params = held(streamed, net, floats(2, 9, 6, 4), floats(3, 11, 8, 4)).node("c")["params"]
    assert params == {"in_channels": 4, "out_channels": 3, "kernel": [3, 2], "stride": [1, 2],
                      "dilation": [2, 1], "pad_low": [2, 1], "pad_high": [0, 1], "groups": 1,
                      "bias": True}


def test_causal_and_any_length(streamed):
    net = linen(lambda s, x: nn.Conv(5, 3, padding="CAUSAL", kernel_dilation=2, name="c")(x), 9, 4)
    document = held(streamed, net, floats(2, 9, 4), floats(3, 5, 4))
    assert document.head["inputs"][0]["shape"] == ["batch", "d1", 4]
    params = document.node("c")["params"]
    assert (params["pad_low"], params["pad_high"]) == ([4], [0])


@pytest.mark.parametrize("stride, size, low, high",
                         [(2, 8, [0], [1]), (2, 9, [1], [1]), (3, 8, [0], [1])])
def test_same_depends_on_the_size(streamed, stride, size, low, high):
    net = linen(lambda s, x: nn.Conv(2, 3, strides=stride, name="c")(x), size, 3)
    params = held(streamed, net, floats(2, size, 3), floats(3, size, 3)).node("c")["params"]
    assert (params["pad_low"], params["pad_high"]) == (low, high)


def test_several_batch_axes_or_none(streamed):
    net = linen(lambda s, x: nn.Conv(2, (3, 2), name="c")(x), 3, 7, 6, 4)
    document = held(streamed, net, floats(2, 3, 7, 6, 4), floats(4, 5, 9, 7, 4))
    assert document.nodes[0]["params"] == {"perm": [0, 1, 4, 2, 3]}


def test_transposes_between_layers_never_come_to_be(streamed):
    def call(s, x):
        y = nn.relu(nn.Conv(5, (3, 2), name="a")(x))
        y = nn.max_pool(y, (2, 2), (2, 1))
        y = nn.silu(nn.Conv(6, (2, 2), name="b")(y)) * 0.5 + nn.Conv(6, (1, 1), name="d")(y)
        y = jnp.concatenate([y, nn.avg_pool(y, (3, 3), padding="SAME")], axis=-1)
        return nn.Dense(3, name="head")(y.mean((1, 2)))

    document = held(streamed, linen(call, 8, 7, 3), floats(2, 8, 7, 3), floats(3, 6, 9, 3))
    assert [op for _, op in named(document)].count("transpose") == 1
    assert ("global_avgpool", "global_avgpool") in named(document)
    assert document.node("concat")["params"] == {"axis": 1}


def test_flatten_after_a_convolution_keeps_flax_order(streamed):
    def call(s, x):
        y = nn.Conv(5, (3, 2), name="a")(x)
        return nn.Dense(3, name="head")(nn.relu(y).reshape(y.shape[0], -1))

    document = held(streamed, linen(call, 4, 3, 2), floats(2, 4, 3, 2), floats(5, 4, 3, 2))
    assert [op for _, op in named(document)] == ["transpose", "conv2", "relu", "transpose",
                                                 "reshape", "dense"]


@pytest.mark.parametrize("layer, ops", [
    (lambda: nn.Conv(4, (4,), padding="CIRCULAR", name="c"), ["transpose", "pad", "conv1"]),
    (lambda: nn.Conv(4, (4,), padding="REFLECT", kernel_dilation=2, strides=2, name="c"),
     ["transpose", "pad", "conv1"]),
    (lambda: nn.Conv(4, (3,), input_dilation=2, padding=1, name="c"),
     ["transpose", "convtranspose1"]),
    (lambda: nn.Conv(4, (3,), input_dilation=3, strides=2, kernel_dilation=2, padding=[(2, 0)],
                     feature_group_count=2, name="c"), ["transpose", "convtranspose1"]),
    (lambda: nn.Conv(4, (3,), mask=jnp.ones((3, 2, 4)).at[1].set(0), name="c"),
     ["transpose", "conv1"]),
    (lambda: nn.Conv(4, (3,), padding=-1, name="c"), ["slice", "transpose", "conv1"]),
    (lambda: nn.ConvLocal(4, (3,), padding="VALID", name="c"), ["transpose", "conv1"]),
])
def test_convolutions_of_every_kind(streamed, layer, ops):
    net = linen(lambda s, x: layer()(x), 9, 2)
    document = held(streamed, net, floats(2, 9, 2), floats(3, 9, 2, seed=1), untapped=ANY)
    assert operations(document)[:len(ops)] == ops


@pytest.mark.parametrize("n", [1, 2, 3])
@pytest.mark.parametrize("padding", ["VALID", "SAME", "pairs"])
@pytest.mark.parametrize("counted", [None, True, False])
def test_pools(streamed, n, padding, counted):
    window, strides = (3, 2, 2)[:n], (2, 1, 3)[:n]
    pads = ((1, 0), (0, 1), (1, 1))[:n] if padding == "pairs" else padding

    def call(p, x):
        if counted is None:
            return nn.max_pool(x, window, strides, pads)
        return nn.avg_pool(x, window, strides, pads, count_include_pad=counted)

    shape = (*(9, 6, 5)[:n], 3)
    document = held(streamed, (call, {}), floats(2, *shape), floats(3, *shape, seed=2))
    op = f"{'max' if counted is None else 'avg'}pool{n}"
    assert [op for _, op in named(document)] == ["transpose", op, "transpose"]
    params = document.node(op)["params"]
    assert params["kernel"] == list(window) and params["ceil"] is False
    if counted is not None and padding != "VALID":
        assert params["count_pad"] is counted


def test_a_pool_for_any_size(streamed):
    net = (lambda p, x: nn.avg_pool(x, (2,), count_include_pad=False), {})
    document = held(streamed, net, floats(2, 7, 3), floats(3, 4, 3))
    assert document.head["inputs"][0]["shape"] == ["batch", "d1", 3]
    ones = held(streamed, (lambda p, x: nn.max_pool(x, (1,), (2,)), {}), floats(2, 7, 3))
    assert ones.nodes[1]["op"] == "maxpool1"


def test_sums_and_minima_over_windows(streamed):
    double = (lambda p, x: nn.pool(x, 0.0, jax.lax.add, (2,), (1,), "VALID") / 3, {})
    document = held(streamed, double, floats(2, 7, 3), floats(3, 5, 3), untapped=ANY)
    assert [o for o in operations(document) if o != "constant"] == [
        "transpose", "avgpool1", "mul", "div", "transpose"]
    least = (lambda p, x: jax.lax.reduce_window(x, jnp.inf, jax.lax.min, (1, 2, 1), (1, 1, 1),
                                                "VALID"), {})
    document = held(streamed, least, floats(2, 7, 3), floats(3, 5, 3), untapped=ANY)
    assert operations(document) == ["transpose", "neg", "maxpool1", "neg", "transpose"]


@pytest.mark.parametrize("reduce, axes, keep", [
    (jnp.mean, (1, 2), False), (jnp.mean, 1, True), (jnp.mean, -1, False), (jnp.max, (1, 3), False),
    (jnp.max, 2, True)])
def test_means_and_maxima_over_axes(streamed, reduce, axes, keep):
    net = (lambda p, x: reduce(x, axis=axes, keepdims=keep), {})
    document = held(streamed, net, floats(2, 4, 3, 5), floats(3, 6, 2, 5))
    assert operations(document)[0] == ("mean" if reduce is jnp.mean else "max")


def test_a_sum_is_no_mean(streamed):
    half = (lambda p, x: x.sum(1) / 2, {})
    assert operations(held(streamed, half, floats(2, 7, 3), floats(3, 5, 3))) == [
        "sum", "constant", "div"]
    alone = (lambda p, x: x.sum(1), {})
    assert operations(held(streamed, alone, floats(2, 7, 3), floats(3, 5, 3))) == ["sum"]


@pytest.mark.parametrize("options", [
    {}, {"epsilon": 1e-3, "use_bias": False}, {"use_scale": False, "use_fast_variance": False},
    {"use_scale": False, "use_bias": False, "reduction_axes": (-1,), "feature_axes": 2}], ids=str)
def test_layer_norm(streamed, options):
    net = linen(lambda s, x: nn.LayerNorm(name="n", **options)(x), 5, 4)
    small = {"x": floats(3, 7, 4)["x"] * np.float32(1e-2)}
    params = held(streamed, net, floats(2, 5, 4), small, atol=1e-11).node("n")["params"]
    assert params == {"dim": 4, "eps": options.get("epsilon", 1e-6),
                      "scale": options.get("use_scale", True),
                      "offset": options.get("use_bias", True)}


@pytest.mark.parametrize("options", [{}, {"epsilon": 1e-2, "use_scale": False}], ids=str)
def test_rms_norm(streamed, options):
    net = linen(lambda s, x: nn.RMSNorm(name="n", **options)(x), 5, 4)
    small = {"x": floats(3, 7, 4)["x"] * np.float32(1e-2)}
    params = held(streamed, net, floats(2, 5, 4), small).node("n")["params"]
    assert params == {"dim": 4, "eps": options.get("epsilon", 1e-6),
                      "scale": options.get("use_scale", True)}


def test_norms_over_other_axes_are_what_is_in_them(streamed):
    net = linen(lambda s, x: nn.RMSNorm(reduction_axes=(1, 2), feature_axes=-1, name="r")(
        nn.LayerNorm(reduction_axes=1, feature_axes=-1, name="l")(x)), 5, 4)
    document = held(streamed, net, floats(2, 5, 4), floats(3, 6, 4), atol=1e-11)
    assert "layernorm" not in operations(document) and "rsqrt" in operations(document)


def test_embedding_outside_its_table(streamed):
    net = linen_net(lambda s, ids: nn.Embed(7, 4, name="e")(ids), ids=jnp.zeros((2, 3), int))
    outside = {"ids": np.array([[0, 6, -1], [-7, 3, 2]])}
    document = held(streamed, net, ids(2, 5), ids(3, 4, seed=1), outside)
    assert document.node("e")["params"] == {"vocab_size": 7, "embedding_dim": 4, "outside": "nan",
                                            "wrap": True}
    assert document.head["inputs"] == [{"name": "ids", "dtype": "int64", "shape": ["batch", "d1"]}]
    beyond = {"ids": np.array([[0, 7, -8]])}
    native = MODULE.native(net, beyond)["y"]
    assert np.isnan(native[0, 1:]).all() and not np.isnan(native[0, 0]).any()
    np.testing.assert_allclose(run_all(document, beyond)["y"], native, rtol=1e-6)


def test_ids_of_rank_one(streamed):
    net = linen_net(lambda s, ids: nn.Embed(7, 4, name="e")(ids), ids=jnp.zeros(3, int))
    document = held(streamed, net, ids(5), ids(9, seed=3))
    assert document.head["inputs"][0]["shape"] == ["batch"]


def test_one_row_is_given_to_any_id(streamed):
    net = linen_net(lambda s, ids: nn.Embed(1, 4, name="e")(ids), ids=jnp.zeros(3, int))
    document = held(streamed, net, ids(5, vocabulary=1), ids(3, vocabulary=9))
    assert operations(document) == ["constant", "expand"]


def test_attend_is_a_product_with_the_table(streamed):
    class Net(nn.Module):
        def setup(self):
            self.e = nn.Embed(7, 4)

        def __call__(self, ids):
            return self.e.attend(nn.tanh(self.e(ids)))

    net = Net()
    variables = jax_networks.drawn(net.init(jax.random.key(0), jnp.zeros((1, 2), int)))
    document = held(streamed, (net, variables), ids(2, 5), ids(3, 4))
    assert [op for _, op in named(document)] == ["embedding", "tanh", "dense"]
    assert document.entry("e.dense", "weight")["source"] == "params/e/embedding"


@pytest.mark.parametrize("activation", ["silu", "relu2"])
@pytest.mark.parametrize("bias", [False, True])
def test_swiglu(streamed, activation, bias):
    net = linen(lambda s, x: composed.SwiGLU(6, activation, bias, name="g")(x), 5, 4)
    document = held(streamed, net, floats(2, 5, 4), floats(3, 7, 4))
    assert named(document) == [("g", "swiglu")]
    assert document.nodes[0]["params"] == {"in_features": 4, "hidden_features": 6,
                                           "activation": activation, "bias": bias}
    assert [t["axes"] for t in document.nodes[0]["tensors"]][:3] == [["i", "m"], ["i", "m"],
                                                                     ["m", "i"]]


def test_zero_rows_outside_the_vocabulary(streamed):
    net = linen_net(lambda s, ids: composed.ZeroEmbed(7, 4, name="e")(ids),
                    ids=jnp.zeros((2, 3), int))
    document = held(streamed, net, {"ids": np.array([[-1, 7, 3], [0, 6, 100]])}, ids(4, 2))
    assert document.nodes[0]["params"]["outside"] == "zero"
    real = linen_net(lambda s, x: composed.ZeroEmbed(7, 4, name="e")(x), x=jnp.zeros((2, 3)))
    x = {"x": np.array([[-0.5, 6.9, 3.0], [7.0, -1.0, 1.5]], np.float32)}
    document = held(streamed, real, x)
    assert document.head["inputs"][0]["dtype"] == "float32"
    agreement(MODULE.native(real, x), run_all(document, wide(x)), 0)


def test_moves(streamed):
    def call(s, x):
        a, b = jnp.split(nn.Dense(6)(x), 2, axis=-1)
        y = jnp.stack([a, b], axis=1).transpose(0, 2, 1, 3)
        y = jnp.swapaxes(y, 1, 3)[:, 1:, :, ::2]
        return y, x[:, -1], x[:, 1:-1], x[..., 2], x[:, ::2, 1:3], a[:, jnp.array([2, 0, 1])]

    fixed = linen(call, 5, 4)
    held(streamed, fixed, floats(2, 5, 4), floats(3, 5, 4))
    free = linen(lambda s, x: (x[:, -1], x[:, 1:-1], x[..., 1:3]), 5, 4)
    document = held(streamed, free, floats(2, 5, 4), floats(3, 7, 4))
    assert document.nodes[0]["params"] == {"axes": [1], "starts": ["d1-1"], "stops": ["d1"],
                                           "steps": [1]}


def test_take(streamed):
    def call(s, x, which):
        return jnp.take(x, which, axis=1)

    net = linen_net(lambda s, x, which: call(s, nn.Dense(3)(x), which), x=jnp.ones((2, 5, 4)),
                    which=jnp.zeros(2, int))
    batch = floats(2, 5, 4) | {"which": np.array([4, 0, 0])}
    document = held(streamed, net, batch, floats(3, 7, 4) | {"which": np.array([6, 2])})
    assert named(document)[-1] == ("gather", "gather")


def test_numbers_that_come_as_integers_may_be_floats(streamed):
    net = linen(lambda s, x: nn.Dense(3)(x), 4)
    document = held(streamed, net, {"x": np.arange(8).reshape(2, 4)}, loom=False)
    assert document.head["inputs"][0]["dtype"] == "float32"


def test_precision_has_two_words():
    with pytest.raises(Exception, match="^precision is half, expected float32 or float64$"):
        MODULE.native(linen(lambda s, x: x, 3), floats(2, 3), "half")
