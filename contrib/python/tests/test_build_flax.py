"""A bedrock's network built of Flax's own layers: what it computes is what the network says."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest

if importlib.util.find_spec("jax") is None or importlib.util.find_spec("flax") is None:
    pytest.skip("jax and flax are not installed", allow_module_level=True)

from interpreter import OPERATIONS, extent, run  # noqa: E402

from planetbridging import BridgeError, planets  # noqa: E402
from planetbridging.bedrock import build_linen, build_nnx  # noqa: E402
from planetbridging.bedrock.network import Layer, Network, slots  # noqa: E402
from planetbridging.graph import Input  # noqa: E402

MODULE = planets.module("jax")
pytestmark = pytest.mark.filterwarnings("ignore::planetbridging.BridgeWarning")
both = pytest.mark.parametrize("builder", [build_linen, build_nnx], ids=["linen", "nnx"])


def drawn(network, seed=3):
    rng = np.random.default_rng(seed)
    return {f"{layer.name}.{slot}": rng.normal(size=shape).astype(np.float32)
            for layer in network.layers for slot, shape in slots(layer).items()}


def computed(network, weights, inputs) -> dict:
    """The network in float64 by the interpreter's formulas, without any framework."""
    values = {n: a.astype(float) if a.dtype.kind == "f" else a for n, a in inputs.items()}
    sizes = {}
    for item in network.inputs:
        sizes |= {d: n for d, n in zip(item.shape, values[item.name].shape) if isinstance(d, str)}
    for layer in network.layers:
        xs = [None if name is None else values[name] for name in layer.inputs]
        own = {name.removeprefix(layer.name + "."): w.astype(float) for name, w in weights.items()
               if name.startswith(layer.name + ".")}
        params = {key: [extent(d, sizes) for d in value] if isinstance(value, list) else value
                  for key, value in layer.params.items()}
        made = OPERATIONS[layer.op](params, own, *xs)
        values |= zip(layer.outputs, made if isinstance(made, list) else [made])
    return {name: values[name] for name in network.outputs}


def proved(streamed, builder, network, *batches):
    """Build, run in float64, emit at the first batch and run the stream: all are the network."""
    weights = drawn(network)
    built = builder.build(network, weights)
    native_inputs = [built.to_native(inputs) for inputs in batches]
    document = streamed(MODULE.emit(built.network, example=native_inputs[0]))
    for inputs, native_input in zip(batches, native_inputs):
        wanted = computed(network, weights, inputs)
        native = MODULE.native(built.network, native_input, "float64")
        found = built.to_canonical(native)
        assert list(found) == list(native)
        agree(found, wanted)
        agree(run(document, native_input), native)
    return built, document


def agree(found: dict, wanted: dict):
    for values, other in zip(found.values(), wanted.values(), strict=True):
        assert values.shape == other.shape
        scale = max(1, np.abs(other).max(initial=0))
        np.testing.assert_allclose(values, other, rtol=0, atol=1e-12 * scale)


def network(*layers, outputs=("y",), **inputs):
    """Layers are (name, op, inputs, params); inputs are shapes, the last entry maybe a dtype."""
    made = []
    for name, shape in inputs.items():
        dtype = shape[-1] if shape[-1] in ("int64", "bool") else "float32"
        made.append(Input(name, dtype, [d for d in shape if d != dtype]))
    return Network("net", "mixer", tuple(made), tuple(Layer(*layer) for layer in layers), outputs)


def conv(i, o, kernel, stride=1, low=0, high=0, groups=1, bias=True, dilation=1):
    n = len(kernel)
    return {"in_channels": i, "out_channels": o, "kernel": list(kernel), "stride": [stride] * n,
            "dilation": [dilation] * n, "pad_low": [low] * n, "pad_high": [high] * n,
            "groups": groups, "bias": bias}


def pool(kernel, stride, low=0, high=0, **more):
    n = len(kernel)
    return {"kernel": list(kernel), "stride": [stride] * n, "pad_low": [low] * n,
            "pad_high": [high] * n, "ceil": False, **more}


def recurrent(i, h, **more):
    return {"input_size": i, "hidden_size": h, "biases": 1, "direction": "forward", "order": "time",
            **more}


def attention(d, heads, e, **more):
    return {"d_model": d, "key_features": d, "value_features": d, "out_features": d,
            "num_heads": heads, "num_kv_heads": heads, "head_dim": e, "value_dim": e,
            "q_bias": True, "k_bias": True, "v_bias": True, "o_bias": True, "causal": False,
            "rope": "none", "rope_base": None, "scale": None, "mask": "none", "fill": "-inf",
            "empty": "zero", **more}


def floats(*shape, seed=0, name="x"):
    return {name: np.random.default_rng(seed).normal(size=shape).astype(np.float32)}


@both
def test_a_flatten_after_convolutions_has_its_kernel_permuted(streamed, builder):
    net = network(
        ("c0", "conv2", ("x",), conv(3, 4, (3, 2), low=1)), ("r", "relu", ("c0",)),
        ("p", "maxpool2", ("r",), pool((2, 2), 2, 1, dilation=[1, 1])),
        ("c1", "conv2", ("p",), conv(4, 6, (2, 2), groups=2, bias=False)),
        ("a", "avgpool2", ("c1",), pool((2, 2), 1, 0, 1, count_pad=False)),
        ("j", "concat", ("a", "c1"), {"axis": 1}),
        ("f", "flatten", ("j",), {"start": 1, "end": -1}),
        ("t", "tanh", ("f",)),
        ("d", "dense", ("t",), {"in_features": 108, "out_features": 5, "bias": True}, ("y",)),
        x=("batch", 3, 9, 7))
    built, document = proved(streamed, builder, net, floats(2, 3, 9, 7), floats(5, 3, 9, 7))
    assert built.to_native(floats(2, 3, 9, 7))["x"].shape == (2, 9, 7, 3)
    weight = drawn(net)["d.weight"]
    assert not np.array_equal(document.array("d", "weight"), weight.T)
    last = weight.reshape(5, 12, 3, 3).transpose(0, 2, 3, 1).reshape(5, -1)
    right, wrong = (computed(net, drawn(net) | {"d.weight": w}, floats(2, 3, 9, 7))["y"]
                    for w in (weight, last))
    assert np.abs(wrong - right).max() > 0.1


@both
@pytest.mark.parametrize("n", [1, 3])
def test_other_ranks(streamed, builder, n):
    shape, kernel = (5, 7, 4)[:n], (2, 3, 2)[:n]
    net = network((f"c{n}", f"conv{n}", ("x",), conv(2, 4, kernel, stride=2, low=1, high=1)),
                  ("g", "global_avgpool", (f"c{n}",), {"spatial": n}, ("y",)),
                  x=("batch", 2, *shape))
    proved(streamed, builder, net, floats(2, 2, *shape), floats(3, 2, *shape))


@both
def test_moves_between_the_layouts(streamed, builder):
    net = network(("c", "conv2", ("x",), conv(3, 4, (2, 2))),
                  ("r", "reshape", ("c",), {"shape": ["batch", 4, 20]}),
                  ("t", "transpose", ("r",), {"perm": [0, 2, 1]}),
                  ("s", "slice", ("t",), {"axes": [1], "starts": [2], "stops": [14], "steps": [3]}),
                  ("k", "softmax", ("s",), {"axis": -1}),
                  ("g", "gelu", ("k",), {"approximate": "none"}),
                  ("c1", "conv1", ("g",), conv(4, 2, (2,))),
                  ("l", "leaky_relu", ("c1",), {"negative_slope": 0.3}),
                  ("q", "relu2", ("l",)), ("m", "mul", ("q", "l"), {}, ("y",)),
                  x=("batch", 3, 6, 5))
    proved(streamed, builder, net, floats(2, 3, 6, 5), floats(3, 3, 6, 5))


@both
@pytest.mark.parametrize("op, biases, direction, order", [
    ("rnn", 1, "forward", "time"), ("rnn", 0, "backward", "reversed"),
    ("lstm", 1, "backward", "time"), ("lstm", 0, "forward", "time")])
def test_recurrent_layers(streamed, builder, op, biases, direction, order):
    more = {"activation": "tanh"} if op == "rnn" else {}
    params = recurrent(4, 6, biases=biases, direction=direction, order=order, **more)
    states = {"h": ("batch", 6)} | ({"c": ("batch", 6)} if op == "lstm" else {})
    made = ("y", "hn", "cn")[:1 + len(states)]
    net = network(("r", op, ("x", *states), params, made), outputs=made,
                  x=("batch", "s", 4), **states)

    def batch(n, s):
        found = floats(n, s, 4) | floats(n, 6, seed=1, name="h") | floats(n, 6, seed=2, name="c")
        return {name: found[name] for name in ("x", *states)}

    proved(streamed, builder, net, batch(2, 5), batch(3, 7))


@both
@pytest.mark.parametrize("more", [
    {"causal": True, "rope": "half", "rope_base": 100.0, "num_kv_heads": 2},
    {"causal": True, "q_bias": False, "o_bias": False, "out_features": 5},
    {"rope": "interleaved", "rope_base": 10.0, "q_bias": False, "k_bias": False, "v_bias": False,
     "o_bias": False}], ids=str)
def test_attention(streamed, builder, more):
    net = network(("a", "attention", ("x",), attention(8, 4, 6, **more), ("y",)),
                  x=("batch", "s", 8))
    built, _ = proved(streamed, builder, net, floats(2, 5, 8), floats(3, 7, 8))
    assert built.composed == ()


@both
@pytest.mark.parametrize("mask", ["keep", "hide"])
def test_attention_with_keys_and_a_mask(streamed, builder, mask):
    params = attention(8, 2, 3, mask=mask, key_features=5, value_features=5)
    net = network(("a", "attention", ("x", "k", None, "m"), params, ("y",)),
                  x=("batch", "s", 8), k=("batch", "t", 5), m=("batch", 1, "s", "t", "bool"))

    def batch(n, s, t):
        seen = np.random.default_rng(t).random((n, 1, s, t)) < 0.6
        seen[..., 0] = True
        return (floats(n, s, 8) | floats(n, t, 5, seed=1, name="k")
                | {"m": seen if mask == "keep" else ~seen})

    if mask == "keep":
        proved(streamed, builder, net, batch(2, 5, 6), batch(3, 4, 7))
    else:
        built = builder.build(net, drawn(net))
        inputs = batch(2, 5, 6)
        native = MODULE.native(built.network, built.to_native(inputs), "float64")
        agree(built.to_canonical(native), computed(net, drawn(net), inputs))


@both
def test_a_block_of_a_transformer(streamed, builder):
    net = network(
        ("e", "embedding", ("ids",), {"vocab_size": 11, "embedding_dim": 8, "outside": "zero",
                                      "wrap": False}),
        ("n", "layernorm", ("e",), {"dim": 8, "eps": 1e-5, "scale": True, "offset": False}),
        ("a", "attention", ("n",), attention(8, 2, 4, causal=True, rope="half", rope_base=1e4)),
        ("s", "residual", ("a", "e")),
        ("m", "rmsnorm", ("s",), {"dim": 8, "eps": 1e-2, "scale": True}),
        ("g", "swiglu", ("m",), {"in_features": 8, "hidden_features": 6, "activation": "relu2",
                                 "bias": True}),
        ("y", "add", ("g", "s")), ids=("batch", "s", "int64"))

    def batch(n, s):
        return {"ids": np.random.default_rng(s).integers(-2, 14, (n, s))}

    built, document = proved(streamed, builder, net, batch(2, 5), batch(3, 7))
    assert built.composed == ("e", "g")
    assert [n["name"] for n in document.nodes] == ["e", "n", "a", "add", "m", "g", "add_2"]


@both
@pytest.mark.parametrize("outside, wrap", [("nan", True), ("error", False)])
def test_embedding_within_its_table(streamed, builder, outside, wrap):
    net = network(("e", "embedding", ("ids",), {"vocab_size": 11, "embedding_dim": 3,
                                                "outside": outside, "wrap": wrap}, ("y",)),
                  ids=("batch", "s", "int64"))
    built, _ = proved(streamed, builder, net,
                      {"ids": np.random.default_rng(0).integers(0, 11, (2, 5))})
    assert built.composed == ()


@both
def test_gather(streamed, builder):
    net = network(("g", "gather", ("x", "i"), {"axis": 1}, ("y",)),
                  x=("batch", "s", 4), i=("n", "int64"))
    proved(streamed, builder, net, floats(2, 5, 4) | {"i": np.array([4, 0, 0])})


@both
def test_own_beginnings_are_the_seeds(builder):
    net = network(("d", "dense", ("x",), {"in_features": 4, "out_features": 3, "bias": True}),
                  ("a", "attention", ("d",), attention(3, 4, 2, num_kv_heads=2), ("y",)),
                  x=("batch", "s", 4))
    x = floats(2, 5, 4)
    first, again, other = (MODULE.native(builder.build(net, None, seed).network, x)["y"]
                           for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 1e-3
    graph = MODULE.emit(builder.build(net, None, 1).network, example=x)
    attended = graph.nodes[-1]
    kernel = {t.slot: t for t in attended.tensors}["Wk"].array
    if builder is build_linen:
        heads = kernel.reshape(3, 4, 2)
        np.testing.assert_array_equal(heads[:, 0], heads[:, 1])
    assert attended.params["num_kv_heads"] == (4 if builder is build_linen else 2)


@both
@pytest.mark.parametrize("layer, problem", [
    (("r", "rnn", ("x",), recurrent(4, 6, biases=2, activation="tanh"), ("y",)),
     "Flax has recurrent layers of one bias, the sum of two is another number"),
    (("a", "attention", ("x",), attention(4, 2, 2, value_dim=3), ("y",)),
     "a: Flax's attention has no values of another width than the heads"),
    (("a", "attention", ("x",), attention(4, 2, 2, scale=0.25), ("y",)),
     "a: Flax's attention has no scale of its own"),
    (("p", "maxpool1", ("x",), pool((2,), 1, dilation=[2]), ("y",)),
     "p: Flax has no pool with ceil or dilation"),
])
def test_what_flax_cannot_be(builder, layer, problem):
    net = network(layer, x=("batch", 5, 4))
    with pytest.raises(BridgeError) as error:
        built = builder.build(net, drawn(net))
        MODULE.native(built.network, built.to_native(floats(2, 5, 4)))
    assert str(error.value) == problem


@both
def test_weights_of_other_shapes_are_refused(builder):
    params = {"in_features": 4, "out_features": 3, "bias": True}
    net = network(("d", "dense", ("x",), params, ("y",)), x=("batch", 4))
    with pytest.raises(BridgeError, match="expected"):
        builder.build(net, {"d.weight": np.zeros((3, 5), np.float32), "d.bias": np.zeros(3, "f")})
