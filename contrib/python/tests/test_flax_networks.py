"""Flax: ordinary networks whole, at a second batch and length, with statistics of their own."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from jax_networks import drawn, jax, jnp, linen, nn, nnx, operations, problems_of
from flax import struct
from flax_held import ANY, MODULE, floats, held, ids, linen_net, named, nnx_net

pytestmark = pytest.mark.filterwarnings("ignore::planetbridging.BridgeWarning")


def moved(variables, seed=2):
    """The variables with drawn parameters, means that are not 0 and variances that are not 1."""
    rng = np.random.default_rng(seed)
    statistics = jax.tree_util.tree_map_with_path(
        lambda path, a: jnp.asarray(rng.uniform(0.5, 2, a.shape) if "var" in str(path[-1]) else
                                    rng.normal(size=a.shape), a.dtype), variables["batch_stats"])
    return {"params": drawn(variables["params"]), "batch_stats": statistics}


class Block(nn.Module):
    features: int
    stride: int = 1

    @nn.compact
    def __call__(self, x, train):
        def norm(y):
            return nn.BatchNorm(use_running_average=not train)(y)

        y = nn.Conv(self.features, (3, 3), self.stride, use_bias=False)(x)
        y = norm(nn.Conv(self.features, (3, 3), use_bias=False)(nn.relu(norm(y))))
        if x.shape != y.shape:
            x = norm(nn.Conv(self.features, (1, 1), self.stride, use_bias=False, name="proj")(x))
        return nn.relu(x + y)


class ResNet(nn.Module):
    @nn.compact
    def __call__(self, x, train: bool = True):
        x = nn.relu(nn.BatchNorm(use_running_average=not train, name="bn")(nn.Conv(4, (3, 3))(x)))
        x = nn.max_pool(x, (3, 3), (2, 2), padding="SAME")
        for features, stride in ((4, 1), (6, 2)):
            x = Block(features, stride)(x, train)
        return nn.Dense(3, name="head")(x.mean((1, 2)))


def test_a_residual_network(streamed):
    net = ResNet()
    variables = moved(net.init(jax.random.key(0), jnp.ones((1, 8, 8, 3)), train=False))
    document = held(streamed, (net, variables), floats(2, 8, 8, 3), floats(5, 8, 8, 3, seed=1),
                    atol=1e-11, whole="1e-4")
    assert operations(document).count("batchnorm") == 6
    assert operations(document).count("transpose") == 1
    tensors = {t["slot"]: t["source"] for t in document.node("bn")["tensors"]}
    assert tensors == {"gamma": "params/bn/scale", "beta": "params/bn/bias",
                       "mean": "batch_stats/bn/mean", "var": "batch_stats/bn/var"}
    assert document.node("bn")["params"] == {"dim": 4, "axis": 1, "eps": 1e-5, "scale": True,
                                             "offset": True}


def test_mean_and_offset_are_not_exchanged(streamed):
    """The test above would not see it if both were drawn alike."""
    net = linen(lambda s, x: nn.BatchNorm(use_running_average=True, name="n")(x), 5)
    net = (net[0], moved(net[1]))
    document = held(streamed, net, floats(3, 5))
    for slot, source in (("mean", net[1]["batch_stats"]["n"]["mean"]),
                         ("beta", net[1]["params"]["n"]["bias"])):
        np.testing.assert_array_equal(document.array("n", slot), source)


def test_training_is_refused_by_path():
    class Net(nn.Module):
        @nn.compact
        def __call__(self, x):
            x = nn.BatchNorm(use_running_average=False, name="n")(nn.Dense(3, name="d")(x))
            return nn.Dropout(0.5, deterministic=False, name="drop")(x)

    net, key = Net(), jax.random.key(0)
    variables = net.init({"params": key, "dropout": key}, jnp.ones((2, 4)))
    assert problems_of((net, variables), floats(2, 4)) == [
        ("n", "BatchNorm", "statistics of the batch (use_running_average=False)"),
        ("drop", "Dropout", "dropout in training (deterministic=False)")]


def test_a_residual_network_of_nnx(streamed):
    class Part(nnx.Module):
        def __init__(self, features, rngs):
            self.conv = nnx.Conv(features, features, (3, 3), use_bias=False, rngs=rngs)
            self.norm = nnx.BatchNorm(features, rngs=rngs)
            self.drop = nnx.Dropout(0.5, rngs=rngs)

        def __call__(self, x):
            return nnx.relu(x + self.drop(self.norm(self.conv(x))))

    def call(self, x):
        return self.head(self.parts[1](self.parts[0](self.stem(x))).mean((1, 2)))

    net = nnx_net(lambda rngs: {"stem": nnx.Conv(3, 4, (3, 3), strides=2, rngs=rngs),
                                "parts": nnx.List([Part(4, rngs) for _ in range(2)]),
                                "head": nnx.Linear(4, 3, rngs=rngs)}, call)
    rng = np.random.default_rng(1)
    for part in net.parts:
        part.norm.mean[...] = jnp.asarray(rng.normal(size=4), jnp.float32)
        part.norm.var[...] = jnp.asarray(rng.uniform(0.5, 2, 4), jnp.float32)
    document = held(streamed, net, floats(2, 8, 8, 3), floats(5, 8, 8, 3, seed=1), whole="1e-4")
    assert ("parts.1.norm", "batchnorm") in named(document)


def test_an_attention_block_with_a_mask(streamed):
    def call(s, x, mask):
        def norm(name):
            return nn.LayerNorm(name=name)
        seen = nn.make_attention_mask(mask, mask, dtype=bool)
        y = x + nn.MultiHeadDotProductAttention(2, deterministic=True, name="a")(
            norm("n")(x), mask=seen)
        return y + nn.Dense(8, name="down")(nn.gelu(nn.Dense(12, name="up")(norm("m")(y))))

    def batch(n, s):
        lengths = np.random.default_rng(s).integers(1, s + 1, (n, 1))
        return floats(n, s, 8) | {"mask": np.arange(s)[None] < lengths}

    document = held(streamed, linen_net(call, **batch(2, 5)), batch(2, 5), batch(3, 7),
                    untapped=ANY, whole="2e-5")
    assert document.head["inputs"] == [
        {"name": "x", "dtype": "float32", "shape": ["batch", "d1", 8]},
        {"name": "mask", "dtype": "bool", "shape": ["batch", "d1"]}]
    assert document.node("a")["params"]["mask"] == "keep"


def test_a_stacked_bidirectional_lstm(streamed):
    def call(s, x):
        for n in range(2):
            x = nn.Bidirectional(nn.RNN(nn.LSTMCell(4), name=f"f{n}"),
                                 nn.RNN(nn.LSTMCell(5), name=f"b{n}"))(x)
        return nn.Dense(3)(x)

    document = held(streamed, linen(call, 5, 4), floats(2, 5, 4), floats(3, 7, 4))
    assert operations(document) == ["lstm", "lstm", "concat"] * 2 + ["dense"]


def test_a_gru_tagger_with_lengths(streamed):
    def call(s, ids, lengths):
        x = nn.Embed(7, 4, name="e")(ids)
        x = nn.Bidirectional(nn.RNN(nn.GRUCell(4), name="f"), nn.RNN(nn.GRUCell(5), name="b"))(
            x, seq_lengths=lengths)
        return nn.log_softmax(nn.Dense(3, name="tags")(x))

    def batch(n, s):
        return ids(n, s) | {"lengths": np.random.default_rng(s).integers(1, s + 1, n)}

    document = held(streamed, linen_net(call, **batch(2, 5)), batch(2, 5), batch(3, 7),
                    untapped=ANY)
    assert operations(document)[-2:] == ["dense", "log_softmax"]


def test_a_gru_tagger_of_nnx(streamed):
    net = nnx_net(lambda rngs: {
        "e": nnx.Embed(7, 4, rngs=rngs),
        "r": nnx.Bidirectional(nnx.RNN(nnx.GRUCell(4, 6, rngs=rngs), rngs=rngs),
                               nnx.RNN(nnx.GRUCell(4, 5, rngs=rngs), rngs=rngs), rngs=rngs),
        "d": nnx.Linear(11, 3, rngs=rngs)}, lambda self, ids: self.d(self.r(self.e(ids))))
    document = held(streamed, net, ids(2, 5), ids(3, 7, seed=1))
    assert operations(document) == ["embedding", "gru", "gru", "concat", "dense"]


def test_an_autoencoder_with_channel_norms(streamed):
    def call(s, x):
        y = nn.relu(nn.GroupNorm(2, name="g")(nn.Conv(4, (3, 3), 2, name="down")(x)))
        y = nn.PReLU(name="p")(nn.InstanceNorm(name="i")(nn.ConvTranspose(3, (3, 2), (2, 2),
                                                                          name="up")(y)))
        return nn.ConvTranspose(2, (2, 2), padding="VALID", transpose_kernel=True, name="v")(y)

    document = held(streamed, linen(call, 6, 8, 3), floats(2, 6, 8, 3), floats(3, 6, 8, 3, seed=1),
                    atol=1e-10, whole="1e-4")
    assert [op for _, op in named(document) if op != "transpose"] == [
        "conv2", "groupnorm", "relu", "convtranspose2", "instancenorm", "prelu", "convtranspose2"]
    kernel = np.asarray(MODULE.take_apart(linen(call, 6, 8, 3)).weights[
        MODULE.take_apart(linen(call, 6, 8, 3)).sources.index("params/up/kernel")])
    np.testing.assert_array_equal(document.array("up", "weight"), kernel[::-1, ::-1])
    assert document.entry("up", "weight")["source"] == "params/up/kernel"
    assert document.entry("up", "weight")["layout"] == {
        "shape": [3, 2, 4, 3], "first": 60, "strides": [-24, -12, 3, 1]}


@pytest.mark.parametrize("n", [1, 2, 3])
@pytest.mark.parametrize("options", [
    {}, {"padding": "VALID", "kernel_dilation": 2}, {"padding": "CIRCULAR", "strides": 2},
    {"strides": 4}, {"padding": 1, "strides": 2, "transpose_kernel": True, "use_bias": False}],
    ids=str)
def test_transposed_convolutions(streamed, n, options):
    shape = (5, 4, 3)[:n]
    net = linen(lambda s, x: nn.ConvTranspose(3, (3, 2, 2)[:n], name="c", **options)(x), *shape, 4)
    document = held(streamed, net, floats(2, *shape, 4), floats(3, *shape, 4, seed=1), untapped=ANY)
    assert f"convtranspose{n}" in operations(document)


def test_weights_that_are_evaluated_say_of_what(streamed):
    class Net(nn.Module):
        @nn.compact
        def __call__(self, x, update_stats=True):
            x = nn.WeightNorm(nn.Dense(5, name="d"), name="w")(x)
            return nn.SpectralNorm(nn.Dense(5, name="e"), name="s")(x, update_stats=update_stats)

    net = Net()
    variables = net.init(jax.random.key(0), jnp.ones((2, 4)), update_stats=False)
    variables = {**variables, "params": drawn(variables["params"])}
    # The weights are rounded to float32 at each step of their own, and in float64 they are not.
    document = held(streamed, (net, variables), floats(2, 4), floats(3, 4), atol=1e-6)
    assert [t["source"] for t in document.nodes[0]["tensors"]] == [
        "computed from params/d/kernel, params/w/d/kernel/scale", "params/d/bias"]


def test_outputs_of_a_dataclass_and_of_a_tuple(streamed):
    @struct.dataclass
    class Answer:
        logits: object
        hidden: object

    def call(s, x):
        h = nn.tanh(nn.Dense(3, name="d")(x))
        return Answer(logits=nn.Dense(2, name="o")(h), hidden=(h, x))

    document = held(streamed, linen(call, 4), floats(2, 4), floats(3, 4), untapped=ANY)
    assert document.head["outputs"] == ["logits", "hidden.y_0", "hidden.y_1"]
    assert [f.name for f in dataclasses.fields(Answer)] == ["logits", "hidden"]
