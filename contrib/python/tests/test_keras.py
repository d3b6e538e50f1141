"""Keras: models of every kind, activations, ties and dtypes, on the whole path."""

from __future__ import annotations

import io

import numpy as np
import pytest

from keras_networks import (
    batches,
    filled,
    functional,
    keras,
    layers,
    operations,
    ops,
    sequential,
    subclassed,
)
from planetbridging import BridgeError, BridgeWarning, emit, native, planets, stream

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")


def test_square_kernels_keep_their_orientation(whole_path):
    net = sequential(
        layers.Dense(4, activation="tanh", name="a"), layers.Dense(4, use_bias=False, name="b")
    )
    document = whole_path("keras", net, *batches(4))
    assert [(n["name"], n["op"]) for n in document.nodes] == [
        ("a.dense", "dense"),
        ("a", "tanh"),
        ("b", "dense"),
    ]
    assert [t["axes"] for t in document.nodes[0]["tensors"]] == [["i", "o"], ["o"]]
    assert document.nodes[0]["tensors"][0]["source"] == f"{net.name}/a/kernel"
    assert document.nodes[2]["params"] == {"in_features": 4, "out_features": 4, "bias": False}
    assert document.head["planet"] == "tensorflow"
    assert set(document.head["versions"]) == {"keras", "tensorflow", "numpy"}
    assert document.head["inputs"] == [{"name": "x", "dtype": "float32", "shape": ["batch", 4]}]
    assert document.head["outputs"] == ["y"]


@pytest.mark.parametrize(
    "activation, op, params",
    [
        ("relu", "relu", {}),
        ("tanh", "tanh", {}),
        ("sigmoid", "sigmoid", {}),
        ("silu", "silu", {}),
        ("swish", "silu", {}),
        ("gelu", "gelu", {"approximate": "none"}),
        ("leaky_relu", "leaky_relu", {"negative_slope": 0.2}),
        ("softmax", "softmax", {"axis": -1}),
        (keras.activations.relu, "relu", {}),
        (lambda x: keras.activations.gelu(x, approximate=True), "gelu", {"approximate": "tanh"}),
        (
            lambda x: keras.activations.relu(x, negative_slope=0.1),
            "leaky_relu",
            {"negative_slope": 0.1},
        ),
        (layers.LeakyReLU(), "leaky_relu", {"negative_slope": 0.3}),
    ],
)
@pytest.mark.parametrize("own", [False, True], ids=["fused", "layer"])
def test_activations(whole_path, activation, op, params, own):
    parts = (
        [layers.Dense(5, name="d"), layers.Activation(activation, name="act")]
        if own
        else [layers.Dense(5, activation=activation, name="act")]
    )
    document = whole_path("keras", sequential(*parts), *batches(4))
    last = document.nodes[-1]
    assert (last["name"], last["op"], last["params"]) == ("act", op, params)
    assert operations(document)[0] == "dense" and len(document.nodes) == 2


@pytest.mark.parametrize("activation", ["linear", None])
def test_a_linear_activation_is_no_node(whole_path, activation):
    assert operations(
        whole_path("keras", sequential(layers.Dense(3, activation=activation)), *batches(4))
    ) == ["dense"]


@pytest.mark.parametrize(
    "layer, op, params",
    [
        (layers.ReLU(), "relu", {}),
        (layers.ReLU(negative_slope=0.25), "leaky_relu", {"negative_slope": 0.25}),
        (layers.LeakyReLU(0.1), "leaky_relu", {"negative_slope": 0.1}),
        (layers.Softmax(), "softmax", {"axis": -1}),
        (layers.Softmax(axis=1), "softmax", {"axis": 1}),
        (layers.Flatten(), "reshape", {"shape": ["batch", 12]}),
        (layers.Reshape((2, 6)), "reshape", {"shape": ["batch", 2, 6]}),
        (layers.Reshape((-1, 4)), "reshape", {"shape": ["batch", 3, 4]}),
    ],
)
def test_layers_without_weights(whole_path, layer, op, params):
    document = whole_path("keras", sequential(layer, shape=(3, 4)), *batches(3, 4))
    assert [(n["op"], n["params"]) for n in document.nodes] == [(op, params)]


def test_layers_that_do_nothing_at_inference(whole_path):
    net = sequential(
        layers.Dropout(0.5), layers.Dense(4), layers.GaussianNoise(1.0), layers.Identity()
    )
    document = whole_path("keras", net, *batches(4))
    assert operations(document) == ["dense"]
    assert document.nodes[0]["out"] == ["y"]
    assert operations(whole_path("keras", sequential(layers.Dropout(0.5)), *batches(4))) == [
        "linear"
    ]


def test_skip_and_concat_at_two_batch_sizes(whole_path):
    def graph(x):
        a = layers.Dense(4, activation="relu", name="a")(x)
        skip = layers.Add(name="sum")([x, a])
        b = layers.Dense(3, activation="gelu", name="b")(skip)
        return layers.Concatenate(name="both")([skip, b])

    document = whole_path("keras", functional(graph), *batches(4))
    assert operations(document) == ["dense", "relu", "add", "dense", "gelu", "concat"]
    assert document.nodes[2]["in"] == ["x", "a"] and document.nodes[5]["in"] == ["sum", "b"]


def test_merge_layers(whole_path):
    def graph(a, b):
        c = layers.Dense(4)(a)
        return layers.Multiply()([layers.Subtract()([a, b]), layers.Add()([a, b, c])])

    document = whole_path(
        "keras", functional(graph, names=("a", "b")), *batches(4, names=("a", "b"))
    )
    assert sorted(operations(document)) == ["add", "add", "dense", "mul", "sub"]


def test_a_merge_of_one_tensor_twice(whole_path):
    net = functional(lambda x: layers.Add(name="s")([x, x, x]))
    document = whole_path("keras", net, *batches(4))
    assert [n["name"] for n in document.nodes] == ["s.0", "s"]


def test_merge_layers_align_unequal_ranks_at_the_batch(whole_path):
    def graph(x):
        return layers.Multiply(name="m")([layers.Reshape((3, 4))(x), layers.Dense(4)(x)])

    document = whole_path("keras", functional(graph, shape=(12,)), *batches(12))
    assert document.node("m.reshape")["params"] == {"shape": ["batch", 1, 4]}


def test_operations_and_numbers(whole_path):
    def graph(x):
        y = ops.relu(x * 2.5 + 1) - ops.tanh(1.5 - x) / 3
        y = ops.concatenate(
            [ops.sigmoid(y), ops.silu(-y), ops.gelu(y), ops.leaky_relu(y, 0.3)], axis=-1
        )
        y = ops.reshape(y, (-1, 4, 4)) + np.arange(4, dtype=np.float32)
        y = ops.squeeze(ops.expand_dims(ops.softmax(y, axis=1), 2), 2)
        return ops.true_divide(ops.multiply(y, 3), ops.add(ops.subtract(2.0, y), y))

    document = whole_path("keras", functional(graph), *batches(4))
    shapes = [n["params"]["shape"] for n in document.nodes if n["op"] == "reshape"]
    assert shapes == [["batch", 4, 4], ["batch", 4, 1, 4], ["batch", 4, 4]]


def test_dense_on_the_last_axis_of_three(whole_path):
    net = sequential(
        layers.Dense(5, activation="softmax"), layers.Flatten(), layers.Dense(2), shape=(3, 4)
    )
    assert operations(whole_path("keras", net, *batches(3, 4))) == [
        "dense",
        "softmax",
        "reshape",
        "dense",
    ]


def test_a_free_length_has_a_name_of_its_own(whole_path):
    net = functional(lambda x: ops.reshape(layers.Dense(6)(x), (-1, 6)), shape=(None, 4))
    document = whole_path("keras", net, *batches(2, 4), *batches(5, 4))
    assert document.head["inputs"][0]["shape"] == ["batch", "x_1", 4]
    assert document.nodes[1]["params"]["shape"] == ["batch*x_1", 6]


def test_sizes_that_a_reshape_leaves_open():
    from planetbridging.planets.keras_shape import reshape

    assert reshape(("batch", 4, 6), (-1, 24)) == ("batch", 24)
    assert reshape(("batch", 4, 6), (None, 3)) == ("8*batch", 3)
    assert reshape(("batch", 4), (-1, 8)) == ("(batch)//(2)", 8)
    assert reshape(("batch", "n", 4), ("batch", -1)) == ("batch", "4*n")
    assert reshape((3, 4), (2, -1)) == (2, 6)
    assert reshape((3, 4), (5, -1)) is None
    assert reshape((3, None), (3, -1)) is None


def test_a_shared_layer_is_tied(whole_path):
    shared = layers.Dense(4, activation="tanh", name="s")
    net = functional(lambda a, b: layers.Concatenate()([shared(a), shared(b)]), names=("a", "b"))
    document = whole_path("keras", net, *batches(4, names=("a", "b")))
    second = next(n for n in document.nodes if n["name"] == "s.dense_2")
    assert second["tensors"] == [
        {"slot": "weight", "same": "s.dense.weight"},
        {"slot": "bias", "same": "s.dense.bias"},
    ]
    assert document.size() == 4 * (16 + 4)


def test_nested_models_bring_their_own_graph(whole_path):
    inner = keras.Sequential(
        [layers.Dense(4, activation="relu", name="d"), layers.Dense(4, name="e")], name="inner"
    )
    deep = functional(lambda x: layers.Dense(4, name="f")(x) + x)
    deep.name = "deep"
    net = functional(lambda x: layers.Dense(2, name="head")(deep(inner(x))))
    document = whole_path("keras", net, *batches(4))
    assert [n["name"] for n in document.nodes[:4]] == [
        "inner.d.dense",
        "inner.d",
        "inner.e",
        "deep.f",
    ]
    assert operations(document) == ["dense", "relu", "dense", "dense", "add", "dense"]


def test_a_nested_model_takes_its_inputs_by_name(whole_path):
    inner = functional(lambda z, a: layers.Subtract()([layers.Dense(4)(z), a]), names=("z", "a"))
    net = functional(lambda p, q: inner({"a": q, "z": p}), names=("p", "q"))
    document = whole_path("keras", net, *batches(4, names=("p", "q")))
    assert document.nodes[0]["in"] == ["p"]


def test_layers_that_return_their_input_or_many_values(whole_path):
    class Same(layers.Layer):
        def call(self, x):
            return x

    class Pair(layers.Layer):
        def call(self, x):
            return {"double": x * 2, "same": x}

    net = functional(
        lambda x: (
            ops.subtract(*layers.Lambda(lambda v: (v + 1, v))(Same()(x)))
            + Pair()(layers.Dense(4)(x))["double"]
        )
    )
    assert sorted(operations(whole_path("keras", net, *batches(4)))) == [
        "add",
        "add",
        "constant",
        "constant",
        "dense",
        "mul",
        "sub",
    ]


def test_subclassed_and_custom_layers_are_traced(whole_path):
    class Block(layers.Layer):
        def __init__(self):
            super().__init__(name="block")
            self.second, self.first = (
                layers.Dense(4, name="second"),
                layers.Dense(8, activation="gelu", name="first"),
            )
            self.scale = self.add_weight(shape=(4,), name="scale")

        def call(self, x, training=None):
            if training:
                x = x * 0
            return x + self.second(self.first(x)) * self.scale

    net = subclassed(
        lambda s, x: ops.tanh(s.head(s.drop(s.block(s.block(x))))) * 0.5,
        4,
        block=Block(),
        head=keras.Sequential([layers.Dense(3, name="last")], name="head"),
        drop=layers.Dropout(0.9),
    )
    document = whole_path("keras", net, *batches(4))
    assert operations(document).count("dense") == 5
    assert document.nodes[0]["name"] == "block.first.dense"
    assert sum("same" in t for n in document.nodes for t in n["tensors"]) == 4
    assert document.head["inputs"][0]["name"] == "x" and document.head["model"] == "net"
    assert emit(net).nodes[0].name == "block.first.dense"


def test_a_product_with_a_weight_is_dense(whole_path):
    class Product(layers.Layer):
        def build(self, shape):
            self.w = self.add_weight(shape=(4, 4), name="w")
            self.b = self.add_weight(shape=(4,), name="b")

        def call(self, x):
            return ops.matmul(x, self.w) + self.b

    document = whole_path("keras", sequential(Product(name="p")), *batches(4))
    assert operations(document) == ["dense", "constant", "add"]
    assert document.nodes[0]["tensors"][0]["source"].endswith("/p/w")


def test_a_class_with_the_name_of_a_layer_is_not_that_layer(whole_path):
    class Dense(layers.Dense):
        def call(self, x, training=None):
            return super().call(x) * 2

    class Plain(layers.Dense):
        pass

    document = whole_path("keras", sequential(Dense(4, name="a"), Plain(3, name="b")), *batches(4))
    assert operations(document) == ["dense", "constant", "add", "constant", "mul", "dense"]


def test_several_outputs_keep_their_names(whole_path):
    def graph(x):
        h = layers.Dense(4, name="h")(x)
        return [
            layers.Dense(2, activation="softmax", name="kind")(h),
            layers.Dropout(0.5, name="same")(h),
            h,
        ]

    document = whole_path("keras", functional(graph), *batches(4))
    assert document.head["outputs"] == ["kind", "same", "h"]
    named = functional(
        lambda x: {"p": layers.Dense(2, name="q")(x), "q": layers.Dense(2, name="p")(x)}
    )
    assert whole_path("keras", named, *batches(4)).head["outputs"] == ["p", "q"]
    traced = subclassed(lambda s, x: (s.a(x), {"k": s.a(x)}), 4, a=layers.Dense(2))
    assert whole_path("keras", traced, *batches(4)).head["outputs"] == ["y_0", "y_1.k"]


def test_several_inputs_of_a_call(whole_path):
    class Two(keras.Model):
        def __init__(self):
            super().__init__()
            self.d = layers.Dense(4)

        def call(self, left, right, training=False):
            return self.d(left) - right

    net = Two()
    first, second = batches(4, names=("left", "right"))
    net(**first)
    document = whole_path("keras", filled(net), first, second)
    assert [i["name"] for i in document.head["inputs"]] == ["left", "right"]


def test_a_call_that_is_traced_is_for_any_length(whole_path):
    """One whose code counts the steps is for those of the example, and that is told."""
    free = subclassed(lambda s, x: s.b(s.a(x)) + x, 5, 4, a=layers.Dense(4, activation="relu"),
                      b=layers.LSTM(4, return_sequences=True))
    first, second = batches(5, 4)[0], batches(8, 4)[1]
    document = whole_path("keras", free, first, second)
    assert document.head["inputs"][0]["shape"] == ["batch", "x_1", 4]
    fixed = subclassed(lambda s, x: s.a(x) * ops.arange(x.shape[1], dtype=x.dtype)[:, None], 5, 4,
                       a=layers.Dense(4))
    with pytest.warns(BridgeWarning, match="^net works for any batch, but its inputs' other axes "
                                           "are fixed at the sizes of the example$"):
        document = whole_path("keras", fixed, *batches(5, 4))
    assert document.head["inputs"][0]["shape"] == ["batch", 5, 4]


def test_one_parameter_takes_many_inputs_by_name(whole_path):
    class Named(keras.Model):
        def __init__(self):
            super().__init__()
            self.d = layers.Dense(4)

        def call(self, inputs):
            return self.d(inputs["a"]) * inputs["b"]

    net = Named()
    first, second = batches(4, names=("a", "b"))
    net(first)
    assert operations(whole_path("keras", filled(net), first, second)) == ["dense", "mul"]


def test_a_layer_alone_and_an_unbuilt_model(whole_path):
    dense = layers.Dense(3, activation="tanh")
    dense.build((None, 4))
    assert operations(whole_path("keras", filled(dense), *batches(4))) == ["dense", "tanh"]
    net = keras.Sequential([layers.Dense(3, activation="relu")])
    with pytest.raises(BridgeError, match="does not say the shapes of its inputs"):
        emit(net)
    document = whole_path("keras", net, *batches(4))
    assert operations(document) == ["dense", "relu"]


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64"])
def test_weights_travel_in_their_own_dtype(streamed, dtype):
    net = keras.Sequential([keras.Input((4,)), layers.Dense(3, dtype=dtype)])
    document = streamed(emit(net))
    entry = document.entry(document.nodes[0]["name"], "weight")
    assert entry["dtype"] == dtype
    kernel = np.asarray(ops.convert_to_numpy(ops.cast(net.layers[0].kernel, "float64")))
    np.testing.assert_array_equal(document.values(document.nodes[0]["name"], "weight"), kernel)


def test_float64_agrees_far_below_float32(streamed, whole_path):
    keras.config.set_dtype_policy("float64")
    try:
        net = sequential(
            layers.Dense(5, activation="tanh"), layers.Dense(5, activation="silu"), layers.Dense(2)
        )
    finally:
        keras.config.set_dtype_policy("float32")
    inputs = [{"x": b["x"].astype(np.float64)} for b in batches(4)]
    document = whole_path("keras", net, *inputs, atol=1e-12, loom=False)
    assert document.entry(document.nodes[0]["name"], "weight")["dtype"] == "float64"


def test_a_saved_model_and_its_weights(tmp_path, whole_path):
    net = sequential(layers.Dense(4, activation="relu"), layers.Dense(2))
    net.save(tmp_path / "m.keras")
    net.save_weights(tmp_path / "m.weights.h5")
    module = planets.module("keras")
    loaded = module.load(str(tmp_path / "m.keras"))
    whole_path("keras", loaded, *batches(4))
    other = sequential(layers.Dense(4, activation="relu"), layers.Dense(2))
    filled(other, seed=9)
    module.with_weights(other, str(tmp_path / "m.weights.h5"))
    for a, b in zip(emit(loaded).nodes, emit(other).nodes):
        for s, t in zip(a.tensors, b.tensors):
            np.testing.assert_array_equal(s.array, t.array)
    (tmp_path / "bad.keras").write_bytes(b"PK\x03\x04 nothing")
    with pytest.raises(BridgeError, match=r"bad\.keras: Keras cannot load it: "):
        module.load(str(tmp_path / "bad.keras"))


def test_a_lambda_in_a_file_is_not_run_without_trust(command, tmp_path):
    sequential(layers.Lambda(lambda x: x * 2)).save(tmp_path / "l.keras")
    assert command("emit", "keras", "l.keras") == (
        2, b"", "planetbridging: l.keras: holds Python code, which runs when the model does; "
        "if you know where it comes from, say --trust\n")
    status, out, err = command("emit", "keras", "l.keras", "--trust")
    assert (status, err) == (0, "")
    assert operations(stream.StreamDocument.parse(io.BytesIO(out))) == ["constant", "mul"]


@pytest.mark.parametrize("dtype, step", [("float16", "1e-3"), ("bfloat16", "8e-3")])
def test_arithmetic_of_16_bits_is_said(dtype, step):
    net = keras.Sequential([keras.Input((4,)), layers.Dense(3, dtype=dtype)])
    with pytest.warns(BridgeWarning) as found:
        emit(net)
    assert [str(w.message) for w in found if w.category is BridgeWarning] == [
        f"the network computes in {dtype}, Loom in float32 on the same weights: differences near "
        f"{step} are {dtype}'s own (--atol)"]


def test_emitting_twice_gives_the_same_bytes():
    net = subclassed(lambda s, x: ops.relu(s.a(x) * 2) + 1, 4, a=layers.Dense(4))
    streams = []
    for _ in range(2):
        out = io.BytesIO()
        stream.write(emit(net), out)
        streams.append(out.getvalue())
    assert streams[0] == streams[1]


def test_nothing_on_the_standard_streams(command, tmp_path):
    net = sequential(layers.Dense(2))
    net.save(tmp_path / "m.keras")
    np.save(tmp_path / "x.npy", batches(4)[0]["x"])
    status, out, err = command("emit", "keras", "m.keras")
    assert (status, err) == (0, "")
    assert stream.StreamDocument.parse(io.BytesIO(out)).head["outputs"] == ["y"]
    status, out, err = command("native", "keras", "m.keras", "--input", "x.npy")
    assert (status, err) == (0, "")
    np.testing.assert_array_equal(np.load(io.BytesIO(out)), native(net, batches(4)[0])["y"])
