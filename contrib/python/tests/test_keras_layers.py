"""Keras: convolutions, pooling, norms, embeddings and what moves values, option by option.

Every network is emitted at one size and run at two, in NumPy and by Keras in float64; what Keras
computes on the way is compared too.
"""

from __future__ import annotations

import numpy as np
import pytest

from keras_held import arrays, check, held, network
from keras_networks import filled, keras, layers, operations, ops, problems_of
from planetbridging import BridgeError, native, planets

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning")

KERAS = planets.module("keras")
SIZES = {1: (9,), 2: (9, 6), 3: (5, 7, 4)}
KERNELS = {1: 3, 2: (3, 2), 3: (2, 3, 2)}


@pytest.mark.parametrize("n", [1, 2, 3])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"padding": "same"},
        {"padding": "same", "strides": 2},
        {"padding": "same", "dilation_rate": 2},
        {"strides": 3, "groups": 2, "use_bias": False},
        {"padding": "same", "strides": 3, "groups": 4, "activation": "relu"},
        {"activation": "softmax"},
    ],
    ids=str,
)
def test_convolutions(streamed, n, options):
    def conv(x):
        return getattr(layers, f"Conv{n}D")(8, KERNELS[n], name="c", **options)(x)

    atol = 1e-12
    document = check(streamed, conv, x=(*SIZES[n], 4), atol=atol)
    named = [(node["name"], node["op"]) for node in document.nodes]
    before = [("c.in", "transpose"), ("c.conv", f"conv{n}")]
    if options.get("activation") == "softmax":
        assert named == [*before, ("c.last", "transpose"), ("c", "softmax")]
    elif "activation" in options:
        assert named == [*before, ("c.act", "relu"), ("c", "transpose")]
    else:
        assert named == [*before, ("c", "transpose")]
    assert document.entry("c.conv", "weight")["axes"] == [*"dhw"[3 - n:], "c", "f"] or n == 2


@pytest.mark.parametrize("stride, size, low, high", [(2, 8, [0], [1]), (2, 9, [1], [1]), (3, 8, [0], [1])])
def test_same_depends_on_the_size(streamed, stride, size, low, high):
    document = check(streamed, lambda x: layers.Conv1D(2, 3, strides=stride, padding="same", name="c")(x),
                     x=(size, 3))
    params = document.node("c.conv")["params"]
    assert (params["pad_low"], params["pad_high"]) == (low, high)


def test_causal_pads_before(streamed):
    def conv(x):
        return layers.Conv1D(5, 3, padding="causal", dilation_rate=2, name="c")(x)

    params = check(streamed, conv, x=(None, 3)).node("c.conv")["params"]
    assert params == {"in_channels": 3, "out_channels": 5, "kernel": [3], "stride": [1],
                      "dilation": [2], "pad_low": [4], "pad_high": [0], "groups": 1, "bias": True}


def test_free_sizes(streamed):
    def nets(x):
        y = layers.Conv2D(4, (3, 2), strides=2, name="a")(x)
        y = layers.Conv2D(3, 2, padding="same", name="b")(y)
        return layers.MaxPooling2D((2, 1), name="p")(y)

    document = check(streamed, nets, x=(None, None, 3), free=(7, 10))
    assert document.head["inputs"][0]["shape"] == ["batch", "x_1", "x_2", 3]


def test_same_with_strides_needs_a_size(streamed):
    net = network(lambda x: layers.MaxPooling1D(2, padding="same", name="p")(
        layers.Conv1D(2, 2, strides=2, padding="same", name="c")(x)), x=(None, 3))
    why = 'padding "same" with strides on a size that is free: give the network a fixed size'
    assert problems_of(net) == [("c", "Conv1D", why), ("p", "MaxPooling1D", why)]
    one = network(lambda x: layers.Conv1D(2, 1, strides=2, padding="same")(x), x=(None, 3))
    held(streamed, one, arrays(one, 2, 5), arrays(one, 2, 8))


@pytest.mark.parametrize("n", [1, 2])
def test_depthwise_and_separable(streamed, n):
    def depthwise(x):
        layer = getattr(layers, f"DepthwiseConv{n}D")
        return layer(3, depth_multiplier=2, padding="same", strides=2, activation="tanh", name="d")(x)

    def separable(x):
        layer = getattr(layers, f"SeparableConv{n}D")
        return layer(5, 3, depth_multiplier=2, padding="same", activation="relu", name="s")(x)

    document = check(streamed, depthwise, x=(*SIZES[n], 3))
    params = document.node("d.conv")["params"]
    assert (params["groups"], params["out_channels"], params["in_channels"]) == (3, 6, 3)
    document = check(streamed, separable, x=(*SIZES[n], 3))
    assert operations(document) == ["transpose", f"conv{n}", f"conv{n}", "relu", "transpose"]


@pytest.mark.parametrize("n", [1, 2, 3])
@pytest.mark.parametrize("options", [{}, {"padding": "same"}, {"strides": 2}, {"strides": 1, "padding": "same"}],
                         ids=str)
@pytest.mark.parametrize("kind", ["Max", "Average"])
def test_pooling(streamed, whole_path, kind, n, options):
    """Keras has no pooling of three inner axes in float64 on the CPU, and says so by name."""
    net = network(lambda x: getattr(layers, f"{kind}Pooling{n}D")(3, name="p", **options)(x),
                  x=(7, 8, 5, 3)[3 - n:])
    batches = arrays(net, 2), arrays(net, 3)
    document = whole_path("keras", net, *batches, atol=1e-6, loom=False)
    if n == 3:
        with pytest.raises(BridgeError, match=rf"^p \({kind}Pooling3D\) cannot run float64: "):
            KERAS.native(net, batches[0], "float64")
        with pytest.raises(BridgeError, match=rf"^p \({kind}Pooling3D\) cannot run float64: "):
            KERAS.taps(net, batches[0], "float64")
        assert set(KERAS.taps(net, batches[0])) == {"p.in", "p.pool", "y"}
    else:
        held(streamed, net, *batches)
    params = document.node("p.pool")["params"]
    assert params["ceil"] is False and params.get("count_pad", False) is False


@pytest.mark.parametrize("n", [1, 2, 3])
@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize("kind", ["Max", "Average"])
def test_global_pooling(streamed, kind, n, keepdims):
    layer = getattr(layers, f"Global{kind}Pooling{n}D")
    check(streamed, lambda x: layer(keepdims=keepdims)(x), x=(*SIZES[n], 3))


def test_channels_first(streamed):
    first = {"data_format": "channels_first"}

    def pools(x):
        y = layers.MaxPooling2D(2, padding="same", name="p", **first)(x)
        y = layers.AveragePooling2D((2, 1), name="a", **first)(y)
        return layers.GlobalAveragePooling2D(name="g", **first)(y)

    document = check(streamed, pools, x=(3, 9, 6))
    assert operations(document) == ["maxpool2", "avgpool2", "global_avgpool", "reshape"]


def test_a_convolution_of_channels_first_in_float32(whole_path):
    def conv(x):
        return layers.Conv2D(4, 3, padding="same", data_format="channels_first", activation="relu",
                             name="c")(x)

    net = network(conv, x=(3, 9, 6))
    document = whole_path("keras", net, arrays(net, 2), arrays(net, 3), loom=False)
    assert [(n["name"], n["op"]) for n in document.nodes] == [("c.conv", "conv2"), ("c", "relu")]
    assert problems_of(network(conv, x=(3, 9, 4))) == [
        ("c", "Conv2D", "a bias that Keras on TensorFlow adds along the last axis: use channels_last")]


def test_transposes_between_layers_are_passed_by(streamed):
    def graph(x):
        y = layers.Conv2D(4, 3, activation="relu", name="a")(x)
        y = layers.MaxPooling2D(2, name="p")(y)
        return layers.Dense(3, name="d")(layers.Flatten(name="f")(layers.Conv2D(2, 2, name="b")(y)))

    document = check(streamed, graph, x=(9, 7, 3))
    assert document.node("p.pool")["in"] == ["a.act"] and document.node("b.conv")["in"] == ["p.pool"]
    names = [n["name"] for n in document.nodes]
    assert names == ["a.in", "a.conv", "a.act", "a", "p.pool", "p", "b.conv", "b", "f", "d"]


@pytest.mark.parametrize("n, pads", [(1, (2, 1)), (2, ((1, 0), (2, 3))), (3, ((1, 0), (0, 2), (1, 1)))])
def test_zero_padding_goes_into_a_convolution(streamed, n, pads):
    def graph(x):
        y = getattr(layers, f"ZeroPadding{n}D")(pads, name="z")(x)
        return getattr(layers, f"Conv{n}D")(4, 3, strides=2, padding="same", name="c")(y)

    document = check(streamed, graph, x=(*SIZES[n], 2))
    assert operations(document) == ["transpose", f"conv{n}", "transpose"]


@pytest.mark.parametrize(
    "layer, ops_made",
    [
        (lambda: layers.LayerNormalization(), ["layernorm"]),
        (lambda: layers.LayerNormalization(epsilon=1e-5, center=False), ["layernorm"]),
        (lambda: layers.LayerNormalization(scale=False), ["layernorm"]),
        (lambda: layers.LayerNormalization(axis=1), ["transpose", "layernorm", "transpose"]),
        (lambda: layers.LayerNormalization(axis=(1, 2)), ["reshape", "layernorm", "reshape"]),
        (lambda: layers.RMSNormalization(), ["rmsnorm"]),
        (lambda: layers.RMSNormalization(axis=[-2, -1], epsilon=1e-3), ["reshape", "rmsnorm", "reshape"]),
    ],
)
def test_norms(streamed, layer, ops_made):
    net = network(lambda x: layer()(x), x=(5, 6))
    small = [{"x": a["x"] * scale} for a, scale in
             ((arrays(net, 2), 1e-2), (arrays(net, 3, seed=1), 1))]
    document = held(streamed, net, *small, atol=1e-12)
    assert operations(document) == ops_made


def test_norms_that_are_refused():
    net = network(lambda x: layers.RMSNormalization(axis=1, name="n")(x), x=(4, 4))
    assert problems_of(net) == [
        ("n", "RMSNormalization", "the axis 1: Keras scales along the last one all the same")]


def test_a_norm_of_small_rows_tells_its_eps(streamed):
    def wrong(document):
        document.node("n")["params"]["eps"] *= 1.1
        return document

    net = network(lambda x: layers.RMSNormalization(name="n")(x), x=(6,))
    with pytest.raises(AssertionError):
        held(lambda graph: wrong(streamed(graph)), net, {"x": arrays(net, 2)["x"] * 1e-3})


@pytest.mark.parametrize("dtype", ["int32", "int64", "float32"])
def test_embedding(streamed, dtype):
    net = network(lambda ids: layers.Dense(3)(layers.Embedding(7, 4, name="e")(ids)), ids=(None, dtype))
    batches = [arrays(net, batch, size) for batch, size in ((2, 5), (3, 6))]
    for batch in batches:
        batch["ids"] = np.array(np.resize([0, 6, 3.7, -1, -7, 2], batch["ids"].shape)).astype(
            "float32" if dtype == "float32" else "int64")
    document = held(streamed, net, *batches)
    assert document.node("e")["params"] == {"vocab_size": 7, "embedding_dim": 4, "outside": "error",
                                            "wrap": True}
    assert document.head["inputs"][0]["dtype"] == ("float32" if dtype == "float32" else "int64")
    for wrong in (7, -8):
        with pytest.raises(BridgeError, match="cannot run these inputs"):
            native(net, {"ids": np.array([[wrong]])})


def test_a_tied_embedding(streamed):
    shared = layers.Embedding(7, 4, name="e")
    document = check(streamed, lambda a, b: shared(a) * shared(b), a=(5, "int32"), b=(5, "int32"))
    assert document.node("e_2")["tensors"] == [{"slot": "table", "same": "e.table"}]


@pytest.mark.parametrize(
    "function, made",
    [
        (lambda x: layers.Permute((2, 3, 1))(x), ["transpose"]),
        (lambda x: ops.transpose(x, (0, 3, 1, 2)), ["transpose"]),
        (lambda x: ops.swapaxes(x, 1, -1), ["transpose"]),
        (lambda x: ops.moveaxis(x, 3, 1), ["transpose"]),
        (lambda x: ops.moveaxis(x, (1, 2), (3, 1)), ["transpose"]),
        (lambda x: x[:, 1], ["slice", "reshape"]),
        (lambda x: x[:, -2:, ..., ::2], ["slice"]),
        (lambda x: x[..., None, -1, 1:3], ["slice"]),
        (lambda x: x[:, 1:, None], ["slice", "reshape"]),
        (lambda x: x[:, :, :5], None),
        (lambda x: ops.concatenate(ops.split(x, 2, axis=-1), axis=1), ["slice", "slice", "concat"]),
        (lambda x: ops.split(x, [1], axis=2)[1] * 2, None),
        (lambda x: ops.stack([x, x * 2], axis=2), None),
        (lambda x: ops.take(x, np.array([2, -1, 0]), axis=-1), ["constant", "gather"]),
        (lambda x: ops.take(x, 1, axis=1), ["constant", "gather"]),
    ],
)
def test_moving(streamed, function, made):
    document = check(streamed, function, x=(3, 5, 4))
    assert made is None or operations(document) == made


def test_moving_along_a_free_axis(streamed):
    def graph(x):
        y = ops.concatenate([x[:, 1:], x[:, :-1]], axis=-1)
        return y[:, ::2] * ops.expand_dims(x[:, -1, :1], 1) * x[:, -3:-2, :1] * x[:, 2:3, 1:2]

    check(streamed, graph, x=(None, 4), free=(5, 8))
    net = network(lambda x: x[:, -3:2], x=(None, 4))
    assert [p[2] for p in problems_of(net)] == [
        "a slice from a place counted from the end to one counted from the beginning"]


def test_moving_integers(streamed):
    def graph(ids, x):
        flat = ops.reshape(ops.transpose(ids), (-1,))
        return ops.take(layers.Embedding(7, 4, name="e")(flat[:2]), ids[0], axis=0)[:, :2]

    net = network(lambda ids: layers.Embedding(7, 4)(ops.concatenate([ids[:, 1:], ids[:, :1]], axis=1)),
                  ids=(5, "int32"))
    held(streamed, net, arrays(net, 2), arrays(net, 3))
    table = network(lambda x, at: ops.take(x, at, axis=1), x=(7, 3), at=(2, "int32"))
    held(streamed, table, arrays(table, 2), arrays(table, 3))
    assert operations(streamed(KERAS.emit(table)))[-2:] == ["where", "gather"]


@pytest.mark.parametrize("equation, shape, axes, made", [
    ("abc,cd->abd", (None, 6), "d", ["dense"]), ("abc,cde->abde", (None, 3, 4), "de", ["dense", "reshape"]),
    ("abcd,cde->abe", (None, 5), "e", ["reshape", "dense"]), ("abc,cd->abd", (None, 6), None, ["dense"])])
def test_dense_by_equation(streamed, equation, shape, axes, made):
    inputs = (3, 4, 2) if equation.startswith("abcd") else (3, 4)
    layer = layers.EinsumDense(equation, shape, bias_axes=axes, name="e")
    assert operations(check(streamed, lambda x: layer(x), x=inputs)) == made
    layer = layers.EinsumDense(equation, shape, bias_axes=axes, activation="relu", name="e")
    assert operations(check(streamed, lambda x: layer(x), x=inputs)) == [*made, "relu"]


def test_additions_that_keras_does_along_the_second_axis():
    row = np.arange(4, dtype=np.float32)[:, None]
    right = network(lambda x: ops.add(x, row), x=(4, 5))
    found = native(right, arrays(right, 2))["y"]
    np.testing.assert_array_equal(found, arrays(right, 2)["x"] + row)
    net = network(lambda x: ops.add(x, row), x=(4, 4, 5))
    assert problems_of(net)[0][2].startswith("an add that Keras on TensorFlow does along the last")
    x = arrays(net, 2)["x"]
    assert np.abs(native(net, {"x": x})["y"] - (x + row)).max() > 0.5, "mended: stop refusing it"


def test_float64_of_models_that_cannot_be_rebuilt():
    class Net(keras.Model):
        def __init__(self, units):
            super().__init__(name="net")
            self.part = layers.Dense(units)

        def call(self, x):
            return self.part(x)

    net = Net(2)
    net(np.ones((2, 4), np.float32))
    with pytest.raises(BridgeError) as error:
        KERAS.native(net, np.ones((2, 4), np.float32), "float64")
    assert str(error.value).startswith("net (Net) cannot be rebuilt in float64 from its configuration: ")

    class Stubborn(layers.Layer):
        def __init__(self, **kw):
            super().__init__(**kw)
            self.inner = layers.Dense(2, dtype="float32", name="inner")

        def call(self, x):
            return self.inner(x)

    net = network(lambda x: Stubborn(name="s")(x), x=(4,))
    net.name = "net"
    with pytest.raises(BridgeError, match="kernel stays float32 when net is rebuilt in float64: "
                       "give its layer the dtype of the whole$"):
        KERAS.native(net, arrays(net, 2), "float64")


def test_float64_of_a_subclass_that_makes_its_own_layers():
    class Net(keras.Model):
        def __init__(self):
            super().__init__()
            self.part, self.rest = layers.Dense(4, activation="tanh"), layers.LSTM(3)

        def call(self, x):
            return self.rest(self.part(x))

    net = Net()
    x = np.random.default_rng(5).standard_normal((2, 5, 6)).astype(np.float32)
    net(x)
    single = KERAS.native(net, x)
    double = KERAS.native(net, x, "float64")
    assert double["y"].dtype == np.float64
    assert 0 < np.abs(double["y"] - single["y"]).max() < 1e-6


def test_float64_of_lambdas(streamed):
    """Their functions are the model's own: made of their bytes they would not know `ops`."""
    check(streamed, lambda x: layers.Lambda(lambda t: ops.sin(t) * 2)(layers.Lambda(
        lambda t, by: t * by, arguments={"by": 3.0})(x)), x=(None, 4))


def test_float64_of_custom_layers(streamed):
    class Block(layers.Layer):
        def __init__(self, width, **kw):
            super().__init__(**kw)
            self.width = width
            self.inner = layers.Dense(width, activation="tanh", name="inner")

        def call(self, x):
            return ops.concatenate([x, self.inner(x) / 3], axis=-1)

        def get_config(self):
            return {**super().get_config(), "width": self.width}

    document = check(streamed, lambda x: layers.Dense(2)(Block(3, name="b")(x)), x=(5, 4))
    net = keras.Sequential([keras.Input((5, 4)), Block(3, name="b"), layers.Dense(2)])
    held(streamed, filled(net), arrays(net, 2), arrays(net, 3))
    assert [n["name"] for n in document.nodes][:2] == ["b.inner.dense", "b.inner"]
