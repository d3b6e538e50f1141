"""Networks built of torch's own layers: every operation, its weights in torch's own places, and back."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")

from torch import nn  # noqa: E402

from planetbridging import BridgeError, native, taps  # noqa: E402
from planetbridging.bedrock import build_torch, facts, fixture, kinds  # noqa: E402
from planetbridging.bedrock.network import Layer, Network, slots  # noqa: E402
from planetbridging.composed.torch_ import RopeAttention, SwiGLU, ZeroOutsideEmbedding  # noqa: E402
from planetbridging.graph import Input  # noqa: E402
from interpreter import OPERATIONS, compute  # noqa: E402
from torch_networks import exact  # noqa: E402

CONV = {"in_channels": 4, "out_channels": 6, "groups": 2, "bias": True}
POOL = {"ceil": True}
WIDTHS = {"in_features": 8, "hidden_features": 5}
SEQUENCE = {"input_size": 8, "hidden_size": 5, "direction": "forward", "order": "time"}
HEADS = {"d_model": 8, "key_features": 8, "value_features": 8, "out_features": 8, "num_heads": 4,
         "num_kv_heads": 4, "head_dim": 2, "value_dim": 2, "q_bias": True, "k_bias": True,
         "v_bias": True, "o_bias": True, "causal": True, "rope": "none", "rope_base": None,
         "scale": None, "mask": "none", "fill": "-inf", "empty": "nan"}


def windows(n, **more):
    """Lists of n numbers, different ones for each axis."""
    return {key: values[:n] for key, values in {
        "kernel": [3, 2, 1], "stride": [2, 1, 1], "pad_low": [1, 0, 0], "pad_high": [1, 0, 0],
        **more}.items()}


def one(op, params, *shapes, inputs=("x",), outputs=("y",)):
    """A network of one layer; None among its inputs is one that is absent."""
    given = [name for name in inputs if name is not None]
    declared = tuple(Input(name, "float32", [*shape]) for name, shape in zip(given, shapes))
    layer = Layer("part.layer", op, tuple(inputs), params, outputs)
    return Network("one", op, declared, (layer,), layer.outputs)


def filled_inputs(network, sizes, ids=()):
    rng = np.random.default_rng(7)
    made = []
    for chosen in sizes:
        given = {}
        for item in network.inputs:
            shape = [chosen.get(d, d) if isinstance(d, str) else d for d in item.shape]
            given[item.name] = rng.integers(0, 5, shape) if item.name in ids \
                else rng.normal(size=shape).astype(np.float32)
        made.append(given)
    return made


def drawn_weights(network, seed=5):
    rng = np.random.default_rng(seed)
    return {f"{layer.name}.{slot}": rng.normal(size=shape).astype(np.float32)
            for layer in network.layers for slot, shape in slots(layer).items()}


SIZES = [{"batch": 3, "s": 7, "t": 5, "w": 9, "h": 6, "d": 5},
         {"batch": 2, "s": 4, "t": 8, "w": 6, "h": 7, "d": 4}]
IMAGES = {1: ["batch", 4, "w"], 2: ["batch", 4, "h", "w"], 3: ["batch", 4, "d", "h", "w"]}
ROWS = ["batch", "s", 8]

CASES = {
    "dense": one("dense", {"in_features": 8, "out_features": 3, "bias": True}, ROWS),
    "dense without bias": one("dense", {"in_features": 8, "out_features": 8, "bias": False}, ROWS),
    **{op: one(op, {}, ROWS) for op in ("linear", "relu", "relu2", "tanh", "sigmoid", "silu")},
    "leaky_relu": one("leaky_relu", {"negative_slope": 0.3}, ROWS),
    "gelu": one("gelu", {"approximate": "none"}, ROWS),
    "gelu tanh": one("gelu", {"approximate": "tanh"}, ROWS),
    "softmax": one("softmax", {"axis": 1}, ROWS),
    **{f"conv{n}": one(f"conv{n}", {**CONV, **windows(n, dilation=[2, 1, 1])}, IMAGES[n])
       for n in (1, 2, 3)},
    "conv1 same": one("conv1", {**CONV, "bias": False, "kernel": [4], "stride": [1], "dilation": [1],
                                "pad_low": [1], "pad_high": [2]}, IMAGES[1]),
    **{f"maxpool{n}": one(f"maxpool{n}", {**POOL, **windows(n, dilation=[2, 1, 1])}, IMAGES[n])
       for n in (1, 2, 3)},
    **{f"avgpool{n}": one(f"avgpool{n}", {**POOL, **windows(n), "count_pad": n != 2}, IMAGES[n])
       for n in (1, 2, 3)},
    **{f"global_{kind}pool {n}": one(f"global_{kind}pool", {"spatial": n}, IMAGES[n])
       for kind in ("max", "avg") for n in (1, 2, 3)},
    "flatten": one("flatten", {"start": 1, "end": -1}, ["batch", 4, 3, 2]),
    "reshape": one("reshape", {"shape": ["batch*s", 2, 4]}, ROWS),
    "transpose": one("transpose", {"perm": [2, 0, 1]}, ROWS),
    "slice": one("slice", {"axes": [1, 2], "starts": [1, 0], "stops": ["s-1", 7], "steps": [1, 2]}, ROWS),
    "concat": one("concat", {"axis": 1}, ROWS, ["batch", "t", 8], inputs=["x", "z"]),
    **{op: one(op, {}, ROWS, ROWS, inputs=["x", "z"]) for op in ("add", "sub", "mul", "div", "residual")},
    "residual alone": one("residual", {}, ROWS),
    "rnn": one("rnn", {"activation": "relu", "biases": 1, **SEQUENCE}, ROWS),
    "rnn with states": one("rnn", {"activation": "tanh", "biases": 0, **SEQUENCE},
                           ROWS, ["batch", 5], inputs=["x", "h"], outputs=("y", "last")),
    "lstm": one("lstm", {"biases": 2, **SEQUENCE}, ROWS),
    "lstm with one bias": one("lstm", {"biases": 1, **SEQUENCE}, ROWS,
                              outputs=("y", "last", "memory")),
    "lstm with states": one("lstm", {"biases": 1, **SEQUENCE}, ROWS,
                            ["batch", 5], ["batch", 5], inputs=["x", "h", "c"],
                            outputs=("y", "last", "memory")),
    "attention": one("attention", HEADS, ROWS),
    "attention to others": one("attention", {**HEADS, "causal": False, "key_features": 6,
                                             "value_features": 3},
                               ROWS, ["batch", "t", 6], ["batch", "t", 3], inputs=["x", "k", "v"]),
    "attention with a mask": one("attention", {**HEADS, "causal": False, "mask": "add"}, ROWS, ["s", "s"],
                                 inputs=["x", None, None, "m"]),
    "rope": one("attention", {**HEADS, "rope": "half", "rope_base": 100.0, "num_kv_heads": 2,
                              "o_bias": False}, ROWS),
    "rope interleaved": one("attention", {**HEADS, "rope": "interleaved", "rope_base": 1e4,
                                          "causal": False}, ROWS),
    "groups of heads": one("attention", {**HEADS, "num_kv_heads": 1, "head_dim": 6, "value_dim": 6}, ROWS),
    "layernorm": one("layernorm", {"dim": 8, "eps": 1e-3, "scale": True, "offset": True}, ROWS),
    "layernorm alone": one("layernorm", {"dim": 8, "eps": 1e-5, "scale": False, "offset": False}, ROWS),
    "rmsnorm": one("rmsnorm", {"dim": 8, "eps": 1e-6, "scale": True}, ROWS),
    "swiglu": one("swiglu", {**WIDTHS, "activation": "silu", "bias": True}, ROWS),
    "swiglu relu2": one("swiglu", {**WIDTHS, "activation": "relu2", "bias": False}, ROWS),
}
INDEXED = {
    "gather": Network("one", "gather", (Input("x", "float32", ["batch", 5, 3]), Input("ids", "int64", ["t"])),
                      (Layer("part.layer", "gather", ("x", "ids"), {"axis": 1}, ("y",)),), ("y",)),
    **{f"embedding {outside}": Network(
        "one", "embedding", (Input("ids", "int64", ["batch", "s"]),),
        (Layer("part.layer", "embedding", ("ids",), {"vocab_size": 5, "embedding_dim": 3, "outside": outside,
                                                     "wrap": False}, ("y",)),), ("y",))
       for outside in ("zero", "error")},
}


def formula(network, weights, given):
    """The layer's formula on the canonical weights themselves: no stream, no emitter."""
    layer, = network.layers
    own = {slot: weights[f"{layer.name}.{slot}"].astype(float) for slot in slots(layer)}
    wide = {n: a.astype(float) if a.dtype == np.float32 else a for n, a in given.items()}
    xs = [wide.get(name) for name in layer.inputs]
    if layer.op in ("reshape", "slice"):
        sizes = {d: n for i in network.inputs for d, n in zip(i.shape, given[i.name].shape)
                 if isinstance(d, str)}
        made = compute(None, {"name": layer.name, "op": layer.op, "params": layer.params}, xs, sizes)
    else:
        made = OPERATIONS[layer.op](layer.params, own, *xs)
    return dict(zip(network.outputs, made if isinstance(made, list) else [made]))


@pytest.mark.parametrize("name", [*CASES, *INDEXED])
def test_each_operation_is_what_its_formula_says(name):
    network = {**CASES, **INDEXED}[name]
    weights = drawn_weights(network)
    built = build_torch.build(network, weights)
    for given in filled_inputs(network, SIZES, ids=("ids",)):
        found = built.to_canonical(native(built.network, built.to_native(given), precision="float64"))
        want = formula(network, weights, given)
        assert len(found) == len(want)
        for values, wanted in zip(found.values(), want.values()):
            assert values.shape == wanted.shape
            np.testing.assert_allclose(values, wanted, rtol=0, atol=1e-12 * max(1, np.abs(wanted).max()))


@pytest.mark.parametrize("name", ["conv2", "lstm with states", "attention", "rope", "swiglu",
                                  "embedding zero"])
def test_what_is_built_is_emitted_under_the_layer_s_name(streamed, name):
    network = {**CASES, **INDEXED}[name]
    built = build_torch.build(network, drawn_weights(network))
    document = exact(streamed, built.network, *filled_inputs(network, SIZES, ids=("ids",)))
    assert "part.layer" in [n["name"] for n in document.nodes]
    assert built.composed == (("part.layer",) if name in ("rope", "swiglu", "embedding zero") else ())


@pytest.mark.parametrize("name, cls", [
    ("dense", nn.Linear), ("conv3", nn.Conv3d), ("maxpool1", nn.MaxPool1d), ("lstm", nn.LSTM),
    ("rnn with states", nn.RNN), ("attention", nn.MultiheadAttention), ("rope", RopeAttention),
    ("groups of heads", RopeAttention), ("layernorm", nn.LayerNorm), ("rmsnorm", nn.RMSNorm),
    ("swiglu", SwiGLU), ("embedding zero", ZeroOutsideEmbedding), ("embedding error", nn.Embedding)])
def test_layers_are_torch_s_own(name, cls):
    network = {**CASES, **INDEXED}[name]
    assert type(build_torch.build(network, None).network.part.layer) is cls


def test_a_single_bias_stands_beside_zeros():
    network = CASES["lstm with one bias"]
    weights = drawn_weights(network)
    layer = build_torch.build(network, weights).network.part.layer
    assert not layer.bias_hh_l0.detach().numpy().any()
    want = np.concatenate([weights[f"part.layer.b_{gate}"] for gate in "ifgo"])
    np.testing.assert_array_equal(layer.bias_ih_l0.detach().numpy(), want)


def test_initial_weights_follow_the_seed():
    network = CASES["attention"]
    a, b, c = (build_torch.build(network, None, seed).network.part.layer.in_proj_weight
               for seed in (42, 42, 43))
    assert torch.equal(a, b) and not torch.equal(a, c)


def test_a_network_of_several_layers(streamed):
    inputs = Input("x", "float32", ROWS), Input("state", "float32", ["batch", 8])
    network = Network("several", "mixer", inputs, (
        Layer("block.norm", "rmsnorm", ("x",), {"dim": 8, "eps": 1e-5, "scale": True}),
        Layer("block.att", "attention", ("block.norm",), HEADS),
        Layer("block.sum", "residual", ("block.att", "x")),
        Layer("rnn", "rnn", ("block.sum", "state"), {**SEQUENCE, "hidden_size": 8, "biases": 2,
                                                     "activation": "tanh"}, ("rnn", "last")),
        Layer("parts", "reshape", ("rnn",), {"shape": ["batch*s", 2, 4]}),
        Layer("flat", "flatten", ("parts",), {"start": 1, "end": 2}),
        Layer("head", "dense", ("flat",), {"in_features": 8, "out_features": 3, "bias": True}, ("y",))),
        ("y", "last"))
    built = build_torch.build(network, drawn_weights(network))
    inputs = filled_inputs(network, SIZES)
    document = exact(streamed, built.network, *inputs)
    assert document.head["outputs"] == ["y", "last"]
    found = taps(built.network, inputs[1])
    assert {"block.norm", "block.att", "block.sum", "rnn", "parts", "flat", "y"} <= set(found)
    swapped = {"state": inputs[0]["state"], "x": inputs[0]["x"]}
    np.testing.assert_array_equal(native(built.network, swapped)["y"], native(built.network, inputs[0])["y"])


@pytest.mark.parametrize("change, message", [
    ({"direction": "backward"}, "part.layer: PyTorch has no lstm with the backward direction alone"),
])
def test_what_torch_has_no_layer_for(change, message):
    network = CASES["lstm"]
    layer, = network.layers
    changed = Layer(layer.name, layer.op, layer.inputs, {**layer.params, **change})
    with pytest.raises(BridgeError) as error:
        build_torch.build(Network("one", "lstm", network.inputs, (changed,), network.outputs), None)
    assert str(error.value) == message


def test_paddings_that_torch_does_not_have():
    params = {**CONV, "kernel": [3], "stride": [2], "dilation": [1], "pad_low": [0], "pad_high": [1]}
    with pytest.raises(BridgeError) as error:
        build_torch.build(one("conv1", params, IMAGES[1]), None)
    assert str(error.value) == "part.layer: PyTorch has no conv1 with padding [0] before and [1] after"


def test_weights_that_are_missing_or_do_not_fit():
    network = CASES["dense"]
    weights = drawn_weights(network)
    for changed, message in [
            ({}, "part.layer.weight: found nothing, expected [3, 8]"),
            ({**weights, "part.layer.bias": np.ones(4, np.float32)},
             "part.layer.bias: found [4], expected [3]")]:
        with pytest.raises(BridgeError) as error:
            build_torch.build(network, changed)
        assert str(error.value) == message


@pytest.mark.parametrize("kind", facts.KINDS)
def test_a_model_of_every_bedrock_on_weights_that_show_something(streamed, kind):
    found = facts.of(kind)
    network = kinds.of(kind).network(found, found.models[-1])
    weights = {name: array / 2 for name, array in drawn_weights(network).items()}
    built = build_torch.build(network, weights)
    inputs = kinds.of(kind).inputs(found, found.models[-1], fixture.make(found), "test")
    given = {name: array[:5] for name, array in built.to_native(inputs).items()}
    document = exact(streamed, built.network, given)
    layers = {layer.name for layer in network.layers}
    assert {n["name"] for n in document.nodes} <= layers
