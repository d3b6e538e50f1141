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
        y = layers.ConvLSTM1D(3, 3, name="conv")(x)
        y = layers.Reshape((-1, 6), name="flat")(ops.sort(y, axis=1))
        y = layers.GRU(4, activation="relu", name="gru")(y)
        y = layers.Dense(3, activation=ops.arctan, name="d")(y)
        return ops.top_k(y, 2)[0]

    found = problems_of(functional(graph, shape=(8, 8, 2)))
    assert [(cls, op) for _, cls, op in found] == [
        ("ConvLSTM1D", found[0][2]),
        ("Sort", "keras.ops.sort"),
        ("GRU", "the activations relu and sigmoid; there are tanh and sigmoid"),
        ("Arctan", "keras.ops.arctan"),
        ("TopK", "keras.ops.top_k"),
    ]
    assert found[0][2].startswith("keras.layers.ConvLSTM1D: ")
    assert [path for path, *_ in found if path in ("conv", "gru", "d")] == ["conv", "gru", "d"]


def test_the_message_says_what_is_supported():
    with pytest.raises(Unsupported) as error:
        emit(sequential(layers.ConvLSTM1D(2, 3, name="u"), shape=(4, 4, 3)))
    text = str(error.value)
    assert text.startswith("cannot be expressed: u (ConvLSTM1D): keras.layers.ConvLSTM1D: ")
    assert ". Supported: Dense, EinsumDense, Conv, " in text and "\n" not in text


def test_problems_inside_custom_layers_have_their_path():
    class Block(layers.Layer):
        def __init__(self, **kw):
            super().__init__(**kw)
            self.rest = layers.SimpleRNN(2, activation="gelu", name="c")

        def call(self, x):
            return ops.arctan(self.rest(x))

    found = problems_of(subclassed(lambda s, x: s.block(x), 3, 4, block=Block(name="block")))
    assert found == [
        ("block.c", "SimpleRNN", "the activation gelu; there are tanh and relu"),
        ("block.arctan", "Arctan", "keras.ops.arctan"),
    ]


def test_the_classes_of_operations_are_called_as_their_functions():
    """Handlers are found by these names: an operation that Keras renames must fail here first."""
    from planetbridging.planets.keras_ops import operations

    modules = [__import__(f"keras.src.{name}", fromlist=["x"]) for name in (
        "ops.numpy", "ops.nn", "ops.math", "ops.core", "ops.image", "ops.linalg",
        "activations.activations")]
    missing = [name for name in operations(keras)
               if not any(hasattr(module, name) for module in modules)]
    assert missing == []


def test_variables_keep_their_operators():
    owner = next(cls for cls in keras.Variable.__mro__ if "__mul__" in vars(cls))
    before = vars(owner)["__mul__"]

    class Fails(layers.Layer):
        def call(self, x):
            assert vars(owner)["__mul__"] is not before
            raise ValueError("no")

        def compute_output_spec(self, x):
            return keras.KerasTensor(x.shape)

    net = subclassed(lambda s, x: s.part(x) if isinstance(x, keras.KerasTensor) else x, 4,
                     part=Fails(name="f"))
    assert problems_of(net) == [("f", "Fails", "its call cannot be traced: no")]
    assert vars(owner)["__mul__"] is before


def test_tensorflow_inside_a_call_is_named():
    import tensorflow as tf

    class Raw(layers.Layer):
        def call(self, x):
            return tf.nn.relu(x)

    net = subclassed(lambda s, x: s.d(s.raw(x)), 4, raw=Raw(name="raw"), d=layers.Dense(2))
    ((path, cls, why),) = problems_of(net)
    assert (path, cls) == ("raw", "Raw") and why == "calls TensorFlow directly: use keras.ops"


def test_a_size_that_is_free_and_wanted_is_named():
    class Places(layers.Layer):
        def call(self, x):
            return x + ops.cast(ops.arange(ops.shape(x)[1]), "float32")[:, None]

        def compute_output_spec(self, x):
            return keras.KerasTensor(x.shape)

    net = functional(lambda x: Places(name="p")(x), shape=(None, 4))
    ((path, cls, why),) = problems_of(net)
    assert (path, cls) == ("p", "Places")
    assert why.startswith("its call wants a size that is free: give the network a fixed one (")
    assert emit(functional(lambda x: Places(name="p")(x), shape=(5, 4))).nodes


def test_quantized_lora_and_mixed_layers_are_refused():
    quantized = sequential(layers.Dense(4, name="q"), shape=(8,))
    quantized.layers[0].quantize("int8")
    assert problems_of(quantized) == [("q", "Dense", "quantized to int8")]
    lora = sequential(layers.Dense(4, name="l"))
    lora.layers[0].enable_lora(2)
    assert problems_of(lora) == [("l", "Dense", "LoRA weights beside the kernel: merge them first")]
    mixed = sequential(layers.Dense(4, name="m", dtype="mixed_bfloat16"))
    assert problems_of(mixed) == [("m", "Dense", "computes in bfloat16 on float32 weights")]


def test_training_is_refused():
    net = functional(lambda x: layers.Dropout(0.5, name="drop")(x, training=True))
    assert problems_of(net) == [("drop", "Dropout", "training=True")]


def test_a_mask_that_a_layer_does_not_know_is_refused():
    net = functional(lambda x, m: layers.Softmax(name="soft")(x, mask=m), names=("x", "m"))
    assert problems_of(net) == [("soft", "Softmax", "a mask of float32")]


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
