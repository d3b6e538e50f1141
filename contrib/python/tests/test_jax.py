"""JAX: linen and nnx modules, ties, dtypes and files of parameters, on the whole path."""

from __future__ import annotations

import io

from jax_networks import Mlp, batches, drawn, linen, normal, operations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from flax import nnx

from planetbridging import BridgeError, BridgeWarning, emit, planets, stream


@pytest.fixture
def x64():
    jax.config.update("jax_enable_x64", True)
    yield
    jax.config.update("jax_enable_x64", False)


def test_linen_square_kernels_keep_their_orientation(whole_path):
    net = linen(
        lambda s, x: nn.Dense(4, use_bias=False, name="b")(nn.tanh(nn.Dense(4, name="a")(x))), 4
    )
    document = whole_path("jax", net, *batches(4))
    assert [(n["name"], n["op"]) for n in document.nodes] == [
        ("a", "dense"),
        ("tanh", "tanh"),
        ("b", "dense"),
    ]
    assert [t["axes"] for t in document.nodes[0]["tensors"]] == [["i", "o"], ["o"]]
    assert [t["source"] for t in document.nodes[0]["tensors"]] == [
        "params/a/kernel",
        "params/a/bias",
    ]
    assert document.nodes[2]["params"] == {"in_features": 4, "out_features": 4, "bias": False}
    assert document.head["planet"] == "jax" and document.head["model"] == "Net"
    assert document.head["inputs"] == [{"name": "x", "dtype": "float32", "shape": ["batch", 4]}]
    assert document.head["outputs"] == ["y"]


def test_linen_setup_is_not_the_order_of_the_call(whole_path):
    class Net(nn.Module):
        def setup(self):
            self.last, self.first = nn.Dense(3), nn.Dense(5)
            self.drop = nn.Dropout(0.5)

        def hidden(self, x):
            return nn.relu(self.first(x))

        def __call__(self, x, train: bool = True):
            return self.last(self.drop(self.hidden(x), deterministic=not train))

    net = Net()
    variables = drawn(net.init(jax.random.key(0), jnp.ones((1, 4)), train=False))
    document = whole_path("jax", (net, variables), *batches(4))
    assert [n["name"] for n in document.nodes] == ["first", "relu", "last"]
    bound = whole_path("jax", net.bind(variables), *batches(4))
    assert bound.nodes == document.nodes


def test_nnx(whole_path):
    net = normal(Mlp(nnx.Rngs(0)))
    document = whole_path("jax", net, *batches(4))
    assert [n["name"] for n in document.nodes] == ["first", "relu", "last"]
    assert document.nodes[0]["tensors"][0]["source"] == "first/kernel"
    assert document.nodes[0]["tensors"][0]["axes"] == ["i", "o"]
    assert not net.drop.deterministic, "the user's module must stay in its mode"


def test_skip_and_concat_at_two_batch_sizes(whole_path):
    def call(s, x):
        skip = x + nn.relu(nn.Dense(4, name="a")(x))
        return jnp.concatenate([skip, nn.gelu(nn.Dense(3, name="b")(skip))], axis=-1)

    document = whole_path("jax", linen(call, 4), *batches(4))
    assert operations(document) == ["dense", "relu", "add", "dense", "gelu", "concat"]
    assert document.nodes[2]["in"] == ["x", "relu"] and document.nodes[5]["in"] == ["add", "gelu"]


def test_dense_on_the_last_axis_of_three(whole_path):
    net = linen(lambda s, x: nn.Dense(2)(nn.Dense(5)(x).reshape(x.shape[0], -1)), 3, 4)
    document = whole_path("jax", net, *batches(3, 4))
    assert document.nodes[1]["params"] == {"shape": ["batch", 15]}
    merged = linen(lambda s, x: nn.Dense(5)(x).reshape(-1, 5), 3, 4)
    nodes = whole_path("jax", merged, *batches(3, 4)).nodes
    assert nodes[1]["params"] == {"shape": ["batch*d1", 5]}


def test_shared_layers_are_tied(whole_path):
    class Net(nn.Module):
        def setup(self):
            self.d = nn.Dense(4)

        def __call__(self, x):
            return self.d(nn.relu(self.d(x)))

    net = Net()
    document = whole_path(
        "jax", (net, drawn(net.init(jax.random.key(0), jnp.ones((1, 4))))), *batches(4)
    )
    tie = [{"slot": "weight", "same": "d.weight"}, {"slot": "bias", "same": "d.bias"}]
    assert document.nodes[2]["tensors"] == tie

    class Tied(nnx.Module):
        def __init__(self, rngs):
            self.a, self.b = nnx.Linear(4, 4, rngs=rngs), nnx.Linear(4, 4, rngs=rngs)
            self.b.kernel = self.a.kernel
            self.c = self.a

        def __call__(self, x):
            return self.c(self.b(self.a(x)))

    document = whole_path("jax", normal(Tied(nnx.Rngs(0))), *batches(4))
    assert document.nodes[1]["tensors"][0] == {"slot": "weight", "same": "a.weight"}
    assert document.nodes[2]["tensors"] == [
        {"slot": "weight", "same": "a.weight"},
        {"slot": "bias", "same": "a.bias"},
    ]


def test_general_dense_layers(whole_path):
    net = linen(lambda s, x: nn.DenseGeneral((2, 3))(nn.DenseGeneral(5)(x)), 4)
    whole_path("jax", net, *batches(4))
    two = linen(lambda s, x: nn.DenseGeneral(5, axis=(-2, -1))(x), 3, 4)
    assert "dense" in operations(whole_path("jax", two, *batches(3, 4)))
    general = normal(nnx.LinearGeneral((3, 4), (2, 5), axis=(-2, -1), rngs=nnx.Rngs(0)))
    assert "dense" in operations(whole_path("jax", general, *batches(3, 4)))
    whole_path("jax", normal(nnx.LinearGeneral(4, 6, rngs=nnx.Rngs(0))), *batches(4))


def test_lora_is_its_own_sum(whole_path):
    net = normal(nnx.LoRALinear(4, 5, lora_rank=2, rngs=nnx.Rngs(0)))
    nnx.update(net, drawn(nnx.state(net, nnx.LoRAParam)))
    document = whole_path("jax", net, *batches(4))
    assert sorted(operations(document)) == ["add", "dense", "dense", "dense"]


def test_a_batch_norm_runs_on_its_statistics(whole_path):
    class Net(nnx.Module):
        def __init__(self, rngs):
            self.norm, self.head = nnx.BatchNorm(4, rngs=rngs), nnx.Linear(4, 3, rngs=rngs)
            self.norm.mean[...], self.norm.var[...] = jnp.arange(4.0), jnp.arange(1.0, 5.0)

        def __call__(self, x):
            return self.head(self.norm(x))

    document = whole_path("jax", normal(Net(nnx.Rngs(0))), *batches(4))
    assert operations(document) == ["batchnorm", "dense"]
    assert [t["source"] for t in document.nodes[0]["tensors"]] == [
        "norm/scale", "norm/bias", "norm/mean", "norm/var"]


def test_nested_modules_and_containers(whole_path):
    class Block(nnx.Module):
        def __init__(self, rngs):
            self.seq = nnx.Sequential(
                nnx.Linear(4, 6, rngs=rngs), jax.nn.gelu, nnx.Linear(6, 4, rngs=rngs)
            )
            self.gain = nnx.Param(jnp.ones(4))

        def __call__(self, x):
            return x + self.seq(x) * self.gain

    class Net(nnx.Module):
        def __init__(self, rngs):
            self.block = Block(rngs)
            self.head = nnx.Linear(4, 2, rngs=rngs)

        def __call__(self, x):
            return self.head(self.block(self.block(x)))

    document = whole_path("jax", normal(Net(nnx.Rngs(0))), *batches(4))
    assert [n["name"] for n in document.nodes[:3]] == [
        "block.seq.layers.0",
        "block.seq.gelu",
        "block.seq.layers.2",
    ]
    assert document.entry("block.gain", "value")["source"] == "block/gain"

    class Inner(nn.Module):
        @nn.compact
        def __call__(self, x):
            return x + nn.silu(nn.Dense(4)(x))

    document = whole_path(
        "jax", linen(lambda s, x: nn.Sequential([Inner(), Inner(), nn.Dense(2)])(x), 4), *batches(4)
    )
    assert operations(document) == ["dense", "silu", "add", "dense", "silu", "add", "dense"]
    assert document.nodes[0]["tensors"][0]["source"].endswith("/Dense_0/kernel")


def test_jit_and_remat_are_seen_through(whole_path):
    def call(s, x):
        return nn.jit(nn.Dense)(3)(jax.jit(lambda v: nn.relu(v) + 1)(nn.remat(nn.Dense)(4)(x)))

    assert operations(whole_path("jax", linen(call, 4), *batches(4))) == [
        "dense",
        "relu",
        "constant",
        "add",
        "dense",
    ]


def test_inputs_and_outputs_keep_their_names(whole_path):
    class Two(nn.Module):
        @nn.compact
        def __call__(self, left, right, train=True):
            y = nn.Dense(4)(left)
            return {"sum": y + right, "left": left, "p": nn.softmax(y)}

    net = Two()
    first, second = batches(4, names=("left", "right"))
    document = whole_path("jax", (net, drawn(net.init(jax.random.key(0), **first))), first, second)
    assert [i["name"] for i in document.head["inputs"]] == ["left", "right"]
    assert document.head["outputs"] == ["left_2", "p", "sum"]
    pair = (lambda p, x: (x + 1, [x * 2]), {})
    assert whole_path("jax", pair, *batches(4)).head["outputs"] == ["y_0", "y_1.y_0"]
    whole = (lambda p, inputs: inputs["a"] - inputs["b"], {})
    first, second = batches(4, names=("a", "b"))
    assert operations(whole_path("jax", whole, first, second)) == ["sub"]


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_weights_travel_in_their_own_dtype(whole_path, dtype):
    net = linen(lambda s, x: nn.Dense(3, param_dtype=dtype)(x), 4)
    document = whole_path("jax", net, *batches(4))
    assert document.entry("Dense_0", "weight")["dtype"] == dtype
    kernel = np.asarray(net[1]["params"]["Dense_0"]["kernel"]).astype(np.float64)
    np.testing.assert_array_equal(document.values("Dense_0", "weight"), kernel)


def test_float64_agrees_to_1e_12(x64, whole_path):
    def call(s, x):
        y = nn.gelu(nn.Dense(6, param_dtype=jnp.float64)(x), approximate=False)
        y = nn.silu(nn.Dense(6, param_dtype=jnp.float64)(y)) * 0.1
        return nn.softmax(nn.gelu(nn.Dense(3, param_dtype=jnp.float64)(y)))

    class Net(nn.Module):
        __call__ = nn.compact(call)

    net = Net()
    inputs = [{"x": b["x"].astype(np.float64)} for b in batches(4)]
    variables = drawn(net.init(jax.random.key(0), inputs[0]["x"]))
    document = whole_path("jax", (net, variables), *inputs, atol=1e-12, loom=False)
    assert operations(document) == [
        "dense",
        "gelu",
        "dense",
        "silu",
        "constant",
        "mul",
        "dense",
        "gelu",
        "softmax",
    ]
    assert document.entry("Dense_0", "weight")["dtype"] == "float64"
    whole_path(
        "jax", normal(Mlp(nnx.Rngs(0), param_dtype=jnp.float64)), *inputs, atol=1e-12, loom=False
    )


def test_parameters_from_a_file(tmp_path, whole_path):
    module = planets.module("jax")
    net, variables = linen(lambda s, x: nn.Dense(3)(nn.relu(nn.Dense(4)(x))), 4)
    flat = {
        f"{layer}/{name}": np.asarray(array)
        for layer, found in variables["params"].items()
        for name, array in found.items()
    }
    np.savez(tmp_path / "short.npz", **flat)
    np.savez(tmp_path / "long.npz", **{f"params/{key}": array for key, array in flat.items()})
    nodes = whole_path("jax", (net, variables), *batches(4)).nodes
    for file in ("short.npz", "long.npz"):
        for obj in (net, (net, {"params": {}})):
            assert (
                whole_path("jax", module.with_weights(obj, str(tmp_path / file)), *batches(4)).nodes
                == nodes
            )
    live, other = normal(Mlp(nnx.Rngs(0))), Mlp(nnx.Rngs(5))
    arrays = {
        "first/kernel": live.first.kernel[...],
        "first/bias": live.first.bias[...],
        "last/kernel": live.last.kernel[...],
    }
    np.savez(tmp_path / "nnx.npz", **arrays)
    example = batches(4)[0]
    loaded = module.with_weights(other, str(tmp_path / "nnx.npz"))
    np.testing.assert_array_equal(
        module.native(loaded, example)["y"], module.native(live, example)["y"]
    )
    np.savez(
        tmp_path / "odd.npz", **{"first/kernel": arrays["first/kernel"], "first/gain": np.ones(3)}
    )
    with pytest.raises(BridgeError) as error:
        module.with_weights(other, str(tmp_path / "odd.npz"))
    assert str(error.value).endswith("odd.npz: unknown first/gain; missing first/bias, last/kernel")


def test_parameters_of_a_function_keep_their_structure(tmp_path, whole_path):
    module = planets.module("jax")

    def network(layers, x):
        for weight, bias in layers:
            x = jnp.tanh(x @ weight + bias)
        return x

    rng = np.random.default_rng(2)
    old = [(jnp.zeros((4, 4)), jnp.zeros(4)) for _ in range(2)]
    arrays = {
        f"{n}/{m}": rng.normal(size=a.shape).astype("f")
        for n, pair in enumerate(old)
        for m, a in enumerate(pair)
    }
    np.savez(tmp_path / "p.npz", **arrays)
    loaded = module.with_weights((network, old), str(tmp_path / "p.npz"))
    document = whole_path("jax", loaded, *batches(4))
    assert document.nodes[0]["tensors"][0]["source"] == "0/0"
    arrays["1/1"] = np.zeros(5, "f")
    np.savez(tmp_path / "p.npz", **arrays)
    with pytest.raises(BridgeError, match=r"p\.npz: 1/1 has shape \[5\], expected \[4\]$"):
        module.with_weights((network, old), str(tmp_path / "p.npz"))
    with pytest.raises(
        BridgeError, match=r"^network has no parameters: give \(function, parameters\)"
    ):
        module.emit(network, example=batches(4)[0])


def test_a_module_alone(whole_path):
    dense = nn.Dense(3)
    document = whole_path(
        "jax", (dense, drawn(dense.init(jax.random.key(0), jnp.ones((1, 4))))), *batches(4)
    )
    assert [(n["name"], n["op"]) for n in document.nodes] == [("dense", "dense")]
    assert operations(
        whole_path("jax", normal(nnx.Linear(4, 3, rngs=nnx.Rngs(0))), *batches(4))
    ) == ["dense"]
    identity = (lambda p, x: x, {})
    assert operations(whole_path("jax", identity, *batches(4))) == ["linear"]


def test_classes_are_as_before_after_a_trace():
    before = nnx.Linear.__call__, Mlp.__call__
    emit(Mlp(nnx.Rngs(0)), example=batches(4)[0])
    assert (nnx.Linear.__call__, Mlp.__call__) == before


def test_emitting_twice_gives_the_same_bytes():
    streams = []
    for _ in range(2):
        out = io.BytesIO()
        stream.write(emit(Mlp(nnx.Rngs(0)), example=batches(4)[0]), out)
        streams.append(out.getvalue())
    assert streams[0] == streams[1]


def test_from_the_command_line(command, module_file, tmp_path):
    module_file(
        "net",
        "from flax import linen as nn\n"
        "def build():\n    return nn.Sequential([nn.Dense(4), nn.relu, nn.Dense(2)])\n",
    )
    rng = np.random.default_rng(0)
    np.savez(
        tmp_path / "p.npz",
        **{
            "layers_0/kernel": rng.normal(size=(3, 4)).astype("f"),
            "layers_0/bias": np.ones(4, "f"),
            "layers_2/kernel": rng.normal(size=(4, 2)).astype("f"),
            "layers_2/bias": np.ones(2, "f"),
        },
    )
    np.save(tmp_path / "x.npy", rng.normal(size=(5, 3)).astype("f"))
    status, out, err = command("emit", "jax", "net:build", "--params", "p.npz", "--input", "x.npy")
    assert (status, err) == (0, "")
    assert [n["op"] for n in stream.StreamDocument.parse(io.BytesIO(out)).nodes] == [
        "dense",
        "relu",
        "dense",
    ]
    status, out, err = command(
        "native", "jax", "net:build", "--params", "p.npz", "--input", "x.npy"
    )
    assert (status, err) == (0, "") and np.load(io.BytesIO(out)).shape == (5, 2)


def test_axes_between_the_first_and_the_last_may_have_any_size(whole_path):
    net = linen(lambda s, x: nn.Dense(3)(nn.relu(nn.Dense(5)(x))), 4)
    document = whole_path("jax", net, *batches(3, 4, sizes=(2,)), *batches(5, 4, sizes=(7,)))
    assert document.head["inputs"][0]["shape"] == ["batch", "d1", 4]


def test_axes_that_the_call_fixes_are_said(whole_path):
    net = linen(lambda s, x: nn.Dense(3)(x.reshape(x.shape[0], -1)), 3, 4)
    example, = batches(3, 4, sizes=(2,))
    with pytest.warns(BridgeWarning, match="^Net works for any batch, but its inputs' other axes "
                      "are fixed at the sizes of the example$"):
        graph = emit(net, example=example)
    assert graph.inputs[0].shape == ["batch", 3, 4]
