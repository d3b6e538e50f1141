"""Keras: what cannot be expressed is named, all of it; what the emitter leans on is pinned."""

from __future__ import annotations

import numpy as np
import pytest

from keras_networks import (
    batches,
    functional,
    keras,
    layers,
    ops,
    problems_of,
    sequential,
    subclassed,
)
from planetbridging import BridgeError, Unsupported, emit, native
from planetbridging.planets.signature import LINE_MAX, one_line

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")


def test_all_problems_are_named_at_once():
    def graph(x):
        y = layers.Conv2DTranspose(3, 3, name="conv")(x)
        y = layers.Reshape((100, 3), name="flat")(ops.cumsum(y, axis=1))
        y = layers.GRU(4, name="gru")(y)
        y = layers.BatchNormalization(name="norm")(y)
        y = layers.ReLU(max_value=6, name="six")(y)
        y = layers.Dense(3, activation="elu", name="d")(y)
        return ops.exp(y)

    found = problems_of(functional(graph, shape=(8, 8, 2)))
    assert [(path, cls, op) for path, cls, op in found if cls != "Cumsum" and cls != "Exp"] == [
        ("conv", "Conv2DTranspose", "keras.layers.Conv2DTranspose"),
        ("gru", "GRU", "keras.layers.GRU"),
        ("norm", "BatchNormalization", "keras.layers.BatchNormalization"),
        ("six", "ReLU", "relu with max_value=6, threshold=0.0"),
        ("d", "Elu", "keras.ops.elu"),
    ]
    assert [(cls, op) for _, cls, op in found if cls in ("Cumsum", "Exp")] == [
        ("Cumsum", "keras.ops.cumsum"),
        ("Exp", "keras.ops.exp"),
    ]


def test_the_message_says_what_is_supported():
    with pytest.raises(Unsupported) as error:
        emit(sequential(layers.UnitNormalization(name="u")))
    text = str(error.value)
    assert text.startswith(
        "cannot be expressed: u (UnitNormalization): keras.layers.UnitNormalization. "
        "Supported: Dense, EinsumDense, Conv, "
    )
    assert "\n" not in text


def test_problems_inside_custom_layers_have_their_path():
    class Block(layers.Layer):
        def __init__(self, **kw):
            super().__init__(**kw)
            self.conv = layers.Conv1DTranspose(2, 1, name="c")

        def call(self, x):
            return ops.cos(self.conv(x))

    found = problems_of(subclassed(lambda s, x: s.block(x), 3, 4, block=Block(name="block")))
    assert found == [
        ("block.c", "Conv1DTranspose", "keras.layers.Conv1DTranspose"),
        ("block.cos", "Cos", "keras.ops.cos"),
    ]


def test_tensorflow_inside_a_call_is_named():
    import tensorflow as tf

    class Raw(layers.Layer):
        def call(self, x):
            return tf.nn.relu(x)

    net = subclassed(lambda s, x: s.d(s.raw(x)), 4, raw=Raw(name="raw"), d=layers.Dense(2))
    ((path, cls, why),) = problems_of(net)
    assert (path, cls) == ("raw", "Raw") and why == "calls TensorFlow directly: use keras.ops"


def test_quantized_lora_and_mixed_layers_are_refused():
    quantized = sequential(layers.Dense(4, name="q"), shape=(8,))
    quantized.layers[0].quantize("int8")
    assert problems_of(quantized) == [("q", "Dense", "quantized to int8")]
    lora = sequential(layers.Dense(4, name="l"))
    lora.layers[0].enable_lora(2)
    assert problems_of(lora) == [("l", "Dense", "LoRA weights beside the kernel: merge them first")]
    mixed = sequential(layers.Dense(4, name="m", dtype="mixed_bfloat16"))
    assert problems_of(mixed) == [("m", "Dense", "computes in bfloat16 on float32 weights")]


def test_training_and_masks_are_refused():
    net = functional(lambda x: layers.Dropout(0.5, name="drop")(x, training=True))
    assert problems_of(net) == [("drop", "Dropout", "training=True")]
    net = functional(lambda x, m: layers.Softmax(name="soft")(x, mask=m), names=("x", "m"))
    assert problems_of(net) == [("soft", "Softmax", "is given a mask (mask)")]


@pytest.mark.parametrize("make, call, argument", [
    (lambda: layers.LSTM(4, name="l"), lambda l, x, m: l(x, mask=m), "mask"),
    (lambda: layers.LSTM(4, name="l"), lambda l, x, m: l(x, None, m), "mask"),
    (lambda: layers.Bidirectional(layers.SimpleRNN(4), name="l"), lambda l, x, m: l(x, mask=m), "mask"),
    (lambda: layers.GlobalAveragePooling1D(name="l"), lambda l, x, m: l(x, mask=m), "mask"),
    (lambda: layers.MultiHeadAttention(2, 4, name="l"), lambda l, x, m: l(x, x, key_mask=m), "key_mask"),
    (lambda: sequential(layers.LSTM(4), shape=(3, 4)), lambda l, x, m: l(x, mask=m), "mask"),
], ids=["lstm", "by place", "bidirectional", "pool", "attention", "nested"])
def test_a_mask_that_is_given_is_no_mask_that_is_dropped(make, call, argument):
    x, m = keras.Input((3, 4), name="x"), keras.Input((3,), dtype="bool", name="m")
    found = problems_of(keras.Model([x, m], call(make(), x, m)))
    assert [problem for _, _, problem in found] == [f"is given a mask ({argument})"]


def test_products_of_values_and_unknown_sizes_are_refused():
    net = functional(lambda x: ops.matmul(x, ops.reshape(x, (-1, 3, 2))), shape=(2, 3))
    assert [(c, w) for _, c, w in problems_of(net)] == [
        ("Matmul", "keras.ops.matmul of two values, or of a weight from the left")
    ]
    net = sequential(layers.UpSampling1D(2, name="u"), shape=(3, 4))
    assert problems_of(net) == [("u", "UpSampling1D", "keras.layers.UpSampling1D")]


def test_the_add_that_tensorflow_does_along_another_axis_is_refused():
    net = functional(lambda x: ops.add(x, np.arange(4, dtype=np.float32)[:, None]), shape=(4, 4))
    ((path, cls, why),) = problems_of(net)
    assert cls == "Add" and why.startswith(
        "an add that Keras on TensorFlow does along the last axis"
    )
    x = batches(4, 4)[0]
    wrong = native(net, x)["y"] - (x["x"] + np.arange(4, dtype=np.float32)[:, None])
    assert np.abs(wrong).max() > 0.5, "Keras has mended this: stop refusing it"


def test_the_graph_that_keras_records_is_as_the_walk_expects():
    """Pins the private names: a new Keras that changes them must fail here first."""
    x = keras.Input((4,), name="x")
    graph = keras.Function(x, ops.add(layers.Dense(2)(x), 1.5))
    assert sorted(graph._nodes_by_depth) == [0, 1, 2]
    node = graph._nodes_by_depth[0][0]
    assert node.arguments.args[1] == 1.5 and node.arguments.kwargs == {}
    assert node.output_tensors[0] is graph._outputs[0] and graph._inputs[0] is x
    assert graph._nodes_by_depth[2][0].is_input and x._keras_history.operation.name == "x"


def test_float64_is_refused_where_it_would_be_float32(command, tmp_path):
    pytest.importorskip("jax", reason="jax is not installed")
    sequential(layers.Dense(2)).save(tmp_path / "m.keras")
    np.save(tmp_path / "x.npy", batches(4)[0]["x"])
    status, out, err = command("native", "keras", "m.keras", "--input", "x.npy", "--float64",
                               env={"KERAS_BACKEND": "jax"})
    assert (status, out) == (3, b"") and err.endswith(
        "planetbridging: Keras on jax computes in float32 whatever it is told: "
        "run it with KERAS_BACKEND=tensorflow\n")


def test_inputs_that_do_not_fit_are_data_at_fault():
    with pytest.raises(
        BridgeError,
        match="^s cannot run these inputs: .*incompatible with the layer: expected axis -1",
    ):
        net = sequential(layers.Dense(2))
        net.name = "s"
        native(net, batches(5)[0])


def test_what_keras_says_of_shapes_is_told_without_the_values():
    with pytest.raises(BridgeError) as error:
        native(sequential(layers.Dense(2)), np.ones((2, 3, 4), np.float32))
    assert "Expected shape (None, 4), but input has incompatible shape (2, 3, 4)" in str(error.value)


def test_a_line_that_is_cut_says_so():
    assert one_line(ValueError("word " * 20)) == ("word " * 20).strip()
    line = one_line(ValueError("word " * 200))
    assert len(line) <= LINE_MAX and line.endswith(" ...")
    assert one_line(ValueError("got [[1.\n 2.]\n [3.]] of shape (2, 2)")) == "got [...] of shape (2, 2)"
