"""Bedrocks as Keras models: each operation of a network against float64 NumPy, and back by the emitter.

The network's own layers run in the tests' interpreter, which shares no code with builder or emitter.
"""

from __future__ import annotations

import io

import numpy as np
import pytest

import keras_networks  # noqa: F401  (skips where Keras is not installed)
from interpreter import run as run_numpy
from keras_held import known
from planetbridging import planets, stream
from planetbridging.bedrock.build_keras import build
from planetbridging.bedrock.network import Layer, Network, slots
from planetbridging.checking import run_check
from planetbridging.graph import BridgeError, Graph, Input, Node, Tensor
from planetbridging.vocabulary import AXES

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning")

KERAS = planets.module("keras")


def drawn(network, seed=3):
    """Standard normal weights by "LAYER.SLOT"."""
    rng = np.random.default_rng(seed)
    return {f"{layer.name}.{slot}": rng.normal(size=shape).astype(np.float32)
            for layer in network.layers for slot, shape in slots(layer).items()}


def document_of(network, weights):
    """The network as a layer stream, word for word."""
    nodes = [Node(layer.name, layer.op, list(layer.inputs), layer.params,
                  [Tensor(slot, weights[f"{layer.name}.{slot}"], axes=list(AXES[layer.op][slot]))
                   for slot in slots(layer)], list(layer.outputs)) for layer in network.layers]
    out = io.BytesIO()
    stream.write(Graph("test", {}, network.id, list(network.inputs), list(network.outputs), nodes), out)
    out.seek(0)
    return stream.StreamDocument.parse(out)


def inputs_of(network, batch, length=5, ids=7, seed=0):
    rng = np.random.default_rng(seed)
    sizes = {"batch": batch, "length": length}
    found = {}
    for item in network.inputs:
        shape = [sizes.get(size, size) for size in item.shape]
        found[item.name] = {"float32": lambda: rng.normal(size=shape).astype(np.float32),
                            "int64": lambda: rng.integers(0, ids, shape),
                            "bool": lambda: rng.random(shape) < 0.7}[item.dtype]()
    return found


def close(found, wanted, atol=1e-12):
    assert len(found) == len(wanted)
    for values, right in zip(found.values(), wanted.values()):
        assert values.shape == right.shape
        scale = max(1, np.abs(right).max(initial=0))
        np.testing.assert_allclose(values, right, rtol=0, atol=atol * scale)


def held(streamed, layers, inputs, outputs=("y",), precision="float64", composed=(), atol=1e-12):
    """Build, and compare at two batch sizes and lengths: Keras, and what the emitter makes of it,
    with the network itself.  Returns what was built and the emitted document."""
    network = Network("net", "test", tuple(inputs), tuple(layers), tuple(outputs))
    weights = drawn(network)
    built = build(network, weights)
    assert built.composed == tuple(composed)
    right = document_of(network, weights)
    graph = None
    for batch, length in ((2, 5), (3, 8)):
        canonical = inputs_of(network, batch, length)
        wanted = run_numpy(right, canonical)
        own = built.to_native(canonical)
        close(built.to_canonical(KERAS.native(built.network, own, precision)), wanted, atol)
        graph = graph or KERAS.emit(built.network, example=own)
        document = streamed(graph)
        close(built.to_canonical(run_numpy(document, own)), wanted)
        if {node.op for node in graph.nodes} <= known():
            result = run_check(graph, own, KERAS.native(built.network, own, precision), ["--atol", "1e-6"])
            assert result, result.report
    return built, document


def x_input(*shape, name="x", dtype="float32"):
    return Input(name, dtype, ["batch", *shape])


def conv(n, c, f, name="c", source="x", out=("y",), **options):
    params = {"in_channels": c, "out_channels": f, "kernel": [3, 2, 2][:n], "stride": [1] * n,
              "dilation": [1] * n, "pad_low": [0] * n, "pad_high": [0] * n, "groups": 1, "bias": True}
    return Layer(name, f"conv{n}", (source,), params | options, out)


def dense(i, o, name="d", source="x", out=("y",), bias=True):
    return Layer(name, "dense", (source,), {"in_features": i, "out_features": o, "bias": bias}, out)


@pytest.mark.parametrize("n", [1, 2, 3])
@pytest.mark.parametrize("options", [
    {}, {"bias": False, "stride": [2, 3, 2]}, {"groups": 2, "pad_low": [1, 0, 2], "pad_high": [2, 1, 0]},
    {"dilation": [2, 1, 2], "pad_low": [1, 1, 1], "pad_high": [1, 1, 1]}], ids=str)
def test_convolutions(streamed, n, options):
    options = {key: value[:n] if isinstance(value, list) else value for key, value in options.items()}
    built, _ = held(streamed, [conv(n, 4, 6, **options)], [x_input(4, 9, 7, 6)] if n == 3 else
                    [x_input(4, *(9, 7)[:n])])
    x = np.zeros((2, 4, *(9, 7, 6)[:n]), np.float32)
    assert built.to_native({"x": x})["x"].shape == (2, *(9, 7, 6)[:n], 4)


@pytest.mark.parametrize("n", [1, 2])
@pytest.mark.parametrize("kind, options", [
    ("maxpool", {}), ("maxpool", {"pad_low": [0, 1], "pad_high": [1, 1], "kernel": [2, 3]}),
    ("avgpool", {"count_pad": False}),
    ("avgpool", {"pad_low": [1, 0], "pad_high": [0, 2], "count_pad": True, "kernel": [3, 3]}),
    ("avgpool", {"pad_low": [0, 1], "pad_high": [1, 1], "kernel": [2, 3], "count_pad": False})], ids=str)
def test_pools(streamed, n, kind, options):
    params = {"kernel": [3, 2], "stride": [2, 2], "pad_low": [0, 0], "pad_high": [0, 0], "ceil": False}
    params |= {"dilation": [1, 1]} if kind == "maxpool" else {}
    params = {key: value[:n] if isinstance(value, list) else value
              for key, value in (params | options).items()}
    held(streamed, [Layer("p", f"{kind}{n}", ("x",), params, ("y",))], [x_input(3, *(7, 9)[:n])])


@pytest.mark.parametrize("op", ["global_maxpool", "global_avgpool"])
def test_global_pools(streamed, op):
    held(streamed, [Layer("p", op, ("x",), {"spatial": 2}, ("y",))], [x_input(3, 5, 4)])


@pytest.mark.parametrize("between", [[], ["relu"], ["tanh", "sigmoid"]])
def test_flatten_before_a_dense_layer(streamed, between):
    """Six positions of four channels: the columns of the kernel are in Keras's order."""
    layers, source = [conv(2, 2, 4, out=("a",)), Layer("f", "flatten", ("a",), {"start": 1, "end": -1})], "f"
    for n, op in enumerate(between):
        layers.append(Layer(f"act{n}", op, (source,), {}))
        source = f"act{n}"
    layers.append(dense(24, 5, source=source))
    inputs = [x_input(2, 5, 3)]
    built, document = held(streamed, layers, inputs)
    assert "transpose" not in [n["op"] for n in document.nodes[3:]]
    network = Network("net", "test", tuple(inputs), tuple(layers), ("y",))
    weights = drawn(network)
    kernel = np.asarray(built.network.get_layer("d").kernel)
    assert np.abs(kernel - weights["d.weight"].T).max() > 0.5
    built.network.get_layer("d").kernel.assign(weights["d.weight"].T)
    x = inputs_of(network, 2)
    wrong = KERAS.native(built.network, built.to_native(x), "float64")["y"]
    assert np.abs(wrong - run_numpy(document_of(network, weights), x)["y"]).max() > 0.5


def test_flatten_before_anything_else_is_canonical(streamed):
    layers = [conv(2, 2, 4, out=("a",)), Layer("f", "flatten", ("a",), {"start": 1, "end": -1}),
              Layer("s", "softmax", ("f",), {"axis": -1}), dense(24, 5, source="f", out=("z",))]
    held(streamed, layers, [x_input(2, 5, 3)], ("s", "z", "f"))
    held(streamed, [Layer("f", "flatten", ("x",), {"start": 2, "end": 3}, ("y",))], [x_input(2, 5, 3, 2)])


def test_channels_last_stays_inside(streamed):
    """Sums and activations between convolutions keep Keras's layout; others get the canonical one."""
    layers = [conv(1, 3, 3, "a", out=("a",), pad_low=[1], pad_high=[1]), Layer("r", "relu", ("a",)),
              Layer("s", "residual", ("r", "x")), conv(1, 3, 4, "b", "s", ("b",)),
              Layer("t", "transpose", ("b",), {"perm": [0, 2, 1]}), dense(4, 2, source="t", out=("z",)),
              Layer("l", "layernorm", ("b",), {"dim": 7, "eps": 1e-5, "scale": True, "offset": True})]
    built, _ = held(streamed, layers, [x_input(3, 9)], ("z", "l", "b"))
    assert [tuple(t.shape) for t in built.network.outputs] == [(None, 7, 2), (None, 4, 7), (None, 7, 4)]


@pytest.mark.parametrize("op, params", [
    *((op, {}) for op in ("linear", "relu", "relu2", "tanh", "sigmoid", "silu")),
    ("leaky_relu", {"negative_slope": 0.25}), ("softmax", {"axis": -1}), ("softmax", {"axis": 1})])
def test_activations(streamed, op, params):
    held(streamed, [dense(4, 3, out=("d",)), Layer("a", op, ("d",), params, ("y",))], [x_input(5, 4)])


@pytest.mark.parametrize("approximate", ["none", "tanh"])
def test_gelu(streamed, approximate):
    """Keras takes GELU's constants through float32."""
    held(streamed, [Layer("a", "gelu", ("x",), {"approximate": approximate}, ("y",))], [x_input(4)], atol=1e-7)


@pytest.mark.parametrize("op", ["add", "sub", "mul", "div"])
def test_two_operands(streamed, op):
    inputs = [x_input(4, 5), x_input(4, 5, name="z")]
    held(streamed, [Layer("b", op, ("x", "z"), {}, ("y",))], inputs)
    held(streamed, [Layer("b", op, ("x", "z"), {}, ("y",))], [x_input(4, 4), Input("z", "float32", [4, 1])])


def test_residual_and_concat(streamed):
    inputs = [x_input(4, 5), x_input(4, 5, name="z")]
    held(streamed, [Layer("r", "residual", ("x", "z")), Layer("k", "concat", ("r", "x"), {"axis": 1}, ("y",))],
         inputs)
    held(streamed, [Layer("r", "residual", ("x", None), {}, ("y",))], inputs[:1])


@pytest.mark.parametrize("op, params", [
    ("reshape", {"shape": ["batch", 2, 10]}), ("reshape", {"shape": ["5*batch", 4]}),
    ("transpose", {"perm": [0, 2, 1]}), ("transpose", {"perm": [1, 0, 2]}),
    ("slice", {"axes": [1, 2], "starts": [1, 0], "stops": [5, 3], "steps": [2, 1]})])
def test_moving(streamed, op, params):
    held(streamed, [Layer("m", op, ("x",), params, ("y",))], [x_input(5, 4)])


def test_a_reshape_that_gathers_samples_again(streamed):
    layers = [Layer("m", "reshape", ("x",), {"shape": ["5*batch", 4]}), dense(4, 3, source="m", out=("d",)),
              Layer("n", "reshape", ("d",), {"shape": ["batch", 15]}, ("y",))]
    held(streamed, layers, [x_input(5, 4)])


def test_moving_with_open_lengths(streamed):
    params = {"axes": [1], "starts": ["length-1"], "stops": ["length"], "steps": [1]}
    held(streamed, [Layer("m", "slice", ("x",), params, ("y",))], [x_input("length", 4)])
    shape = {"shape": ["batch", "length", 2, 2]}
    held(streamed, [Layer("m", "reshape", ("x",), shape, ("y",))], [x_input("length", 4)])
    gather = Layer("g", "gather", ("x", "at"), {"axis": 1}, ("y",))
    held(streamed, [gather], [x_input(7, 4), Input("at", "int64", [3])])


@pytest.mark.parametrize("op", ["rnn", "lstm"])
@pytest.mark.parametrize("biases", [0, 1, 2])
@pytest.mark.parametrize("direction, order", [("forward", "time"), ("backward", "time"), ("backward", "reversed")])
def test_recurrent(streamed, op, biases, direction, order):
    """Two biases are one in Keras, rounded to float32 where its weights are."""
    params = {"input_size": 5, "hidden_size": 4, "biases": biases, "direction": direction, "order": order}
    params |= {"activation": "tanh"} if op == "rnn" else {}
    atol = 1e-6 if biases == 2 else 1e-12
    network = Network("net", "test", (x_input("length", 5),), (Layer("r", op, ("x",), params, ("y",)),), ("y",))
    weights, x = drawn(network), inputs_of(network, 2)
    built = build(network, weights)
    found = KERAS.native(built.network, x, "float64")
    close(found, run_numpy(document_of(network, weights), x), atol)
    document = streamed(KERAS.emit(built.network, example=x))
    close(run_numpy(document, x), found)
    (node,) = document.nodes
    assert (node["params"]["direction"], node["params"]["order"]) == (direction, order)


def test_states(streamed):
    params = {"input_size": 5, "hidden_size": 4, "biases": 1, "direction": "forward", "order": "time"}
    inputs = [x_input("length", 5), x_input(4, name="h"), x_input(4, name="c")]
    layer = Layer("r", "lstm", ("x", "h", "c"), params, ("y", "hn", "cn"))
    held(streamed, [layer], inputs, ("y", "hn", "cn"))
    layer = Layer("r", "rnn", ("x", "h"), params | {"activation": "relu"}, ("y", "hn"))
    x = Layer("q", "tanh", ("x",), {})
    held(streamed, [x, Layer("r", "rnn", ("q", "h"), layer.params, ("y", "hn"))], inputs[:2], ("hn", "y"))


def attention(**options):
    params = {"d_model": 6, "key_features": 6, "value_features": 6, "out_features": 6, "num_heads": 4,
              "num_kv_heads": 4, "head_dim": 4, "value_dim": 4, "q_bias": True, "k_bias": True,
              "v_bias": True, "o_bias": True, "causal": False, "rope": "none", "rope_base": None,
              "scale": None, "mask": "none", "fill": "-inf", "empty": "zero"}
    return params | options


@pytest.mark.parametrize("options, kind", [
    ({}, "MultiHeadAttention"), ({"causal": True}, "MultiHeadAttention"),
    ({"num_kv_heads": 2, "causal": True}, "GroupedQueryAttention"),
    ({"num_kv_heads": 2, "value_dim": 3}, "RopeAttention"),
    ({"rope": "half", "rope_base": 10000.0, "causal": True}, "RopeAttention"),
    ({"rope": "interleaved", "rope_base": 100.0, "num_kv_heads": 1}, "RopeAttention"),
    ({"q_bias": False, "k_bias": False}, "RopeAttention"),
    ({"value_dim": 5, "out_features": 3}, "MultiHeadAttention")])
def test_attention(streamed, options, kind):
    composed = ("a",) if kind == "RopeAttention" else ()
    built, _ = held(streamed, [Layer("a", "attention", ("x",), attention(**options), ("y",))],
                    [x_input("length", 6)], composed=composed)
    assert type(built.network.get_layer("a")).__name__ == kind


@pytest.mark.parametrize("mask", ["keep", "hide"])
@pytest.mark.parametrize("fill", ["least", "-inf"])
def test_attention_with_keys_and_a_mask(streamed, mask, fill):
    """A network whose mask hides by -inf is composed, Keras's own hides by a number."""
    params = attention(mask=mask, fill=fill, key_features=5, value_features=3)
    network = Network("net", "test", (x_input(4, 6), x_input(5, 5, name="k"), x_input(5, 3, name="v"),
                                      x_input(1, 4, 5, name="m", dtype="bool")),
                      (Layer("a", "attention", ("x", "k", "v", "m"), params, ("y",)),), ("y",))
    weights, x = drawn(network), inputs_of(network, 2)
    x["m"][0, 0, 1] = mask == "hide"
    built = build(network, weights)
    close(KERAS.native(built.network, x, "float64"), run_numpy(document_of(network, weights), x))
    assert built.composed == (("a",) if fill == "-inf" else ())


@pytest.mark.parametrize("op, params", [
    ("layernorm", {"dim": 6, "eps": 1e-5, "scale": True, "offset": True}),
    ("layernorm", {"dim": 6, "eps": 1e-2, "scale": True, "offset": False}),
    ("layernorm", {"dim": 6, "eps": 1e-5, "scale": False, "offset": False}),
    ("rmsnorm", {"dim": 6, "eps": 1e-6, "scale": True}), ("rmsnorm", {"dim": 6, "eps": 1e-2, "scale": False})])
def test_norms(streamed, op, params):
    held(streamed, [Layer("n", op, ("x",), params, ("y",))], [x_input("length", 6)])


@pytest.mark.parametrize("outside", ["zero", "error"])
def test_embedding(streamed, outside):
    params = {"vocab_size": 7, "embedding_dim": 4, "outside": outside, "wrap": outside == "error"}
    held(streamed, [Layer("e", "embedding", ("ids",), params, ("y",))],
         [x_input("length", name="ids", dtype="int64")], composed=("e",) if outside == "zero" else ())


@pytest.mark.parametrize("activation", ["silu", "relu2"])
@pytest.mark.parametrize("bias", [True, False])
def test_swiglu(streamed, activation, bias):
    params = {"in_features": 6, "hidden_features": 9, "activation": activation, "bias": bias}
    held(streamed, [Layer("s", "swiglu", ("x",), params, ("y",))], [x_input("length", 6)], composed=("s",))


def test_an_input_that_reaches_no_output(streamed):
    params = {"vocab_size": 7, "embedding_dim": 4, "outside": "zero", "wrap": False}
    layers = [dense(4, 3, out=("lost",)), Layer("e", "embedding", ("ids",), params, ("y",))]
    built, document = held(streamed, layers, [x_input(4), x_input(3, name="ids", dtype="int64")],
                           composed=("e",))
    assert [i["name"] for i in document.head["inputs"]] == ["x", "ids"]


def test_own_weights_follow_the_seed():
    network = Network("net", "test", (x_input(4),), (dense(4, 3),), ("y",))
    one, two, other = (np.asarray(build(network, None, seed).network.get_layer("d").kernel)
                       for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, two)
    assert np.abs(one - other).max() > 0.01


@pytest.mark.parametrize("layer, why", [
    (Layer("p", "maxpool1", ("x",), {"kernel": [2], "stride": [2], "dilation": [2], "pad_low": [0],
                                     "pad_high": [0], "ceil": False}, ("y",)), "dilated pooling"),
    (Layer("p", "maxpool1", ("x",), {"kernel": [2], "stride": [2], "dilation": [1], "pad_low": [1],
                                     "pad_high": [0], "ceil": False}, ("y",)),
     "pooling with the padding [(1, 0)]"),
    (Layer("p", "avgpool1", ("x",), {"kernel": [2], "stride": [2], "pad_low": [0], "pad_high": [0],
                                     "ceil": True, "count_pad": False}, ("y",)),
     "pooling whose last window hangs over"),
    (Layer("p", "attention", ("x",), attention(scale=0.5), ("y",)), "attention with the scale 0.5")])
def test_what_keras_lacks_is_said(layer, why):
    network = Network("net", "test", (x_input(6, 5),), (layer,), ("y",))
    with pytest.raises(BridgeError) as error:
        build(network, None)
    assert str(error.value) == f"net: p ({layer.op}): Keras has no {why}"
