"""JAX: functions found among primitives, products in any form; all that is refused is named."""

from __future__ import annotations

from jax_networks import Mlp, batches, linen, operations, problems_of

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from flax import nnx

from planetbridging import BridgeError, Unsupported, emit, planets


@pytest.mark.parametrize(
    "function, op, params",
    [
        (nn.relu, "relu", {}),
        (jax.nn.relu, "relu", {}),
        (lambda x: jnp.maximum(0, x), "relu", {}),
        (nn.tanh, "tanh", {}),
        (nn.sigmoid, "sigmoid", {}),
        (nnx.silu, "silu", {}),
        (nn.swish, "silu", {}),
        (lambda x: jax.nn.sigmoid(x) * x, "silu", {}),
        (nn.gelu, "gelu", {"approximate": "tanh"}),
        (jax.nn.gelu, "gelu", {"approximate": "tanh"}),
        (lambda x: nn.gelu(x, approximate=False), "gelu", {"approximate": "none"}),
        (nn.leaky_relu, "leaky_relu", {"negative_slope": float(np.float32(0.01))}),
        (
            lambda x: nnx.leaky_relu(x, 0.3),
            "leaky_relu",
            {"negative_slope": float(np.float32(0.3))},
        ),
        (nn.softmax, "softmax", {"axis": 2}),
        (lambda x: jax.nn.softmax(x, axis=1), "softmax", {"axis": 1}),
        (
            lambda x: (
                jnp.exp(x - x.max(1, keepdims=True))
                / jnp.exp(x - x.max(1, keepdims=True)).sum(1, keepdims=True)
            ),
            None,
            None,
        ),
        (
            lambda x: (lambda e: e / e.sum(-1, keepdims=True))(
                jnp.exp(x - x.max(-1, keepdims=True))
            ),
            "softmax",
            {"axis": 2},
        ),
        (jax.jit(jax.nn.gelu), "gelu", {"approximate": "tanh"}),
        (jax.checkpoint(jax.nn.silu), "silu", {}),
    ],
)
def test_functions(whole_path, function, op, params):
    net = (lambda p, x: function(x), {})
    if op is None:
        assert "softmax" not in operations(whole_path("jax", net, *batches(3, 4)))
        return
    document = whole_path("jax", net, *batches(3, 4))
    assert [(n["op"], n["params"]) for n in document.nodes] == [(op, params)]


def test_a_pattern_is_found_only_where_it_is_the_function(whole_path):
    def nearly(p, x):
        return 0.5 * x * (1 + jnp.tanh(0.79 * (x + 0.044715 * (x * x * x))))

    assert "gelu" not in operations(whole_path("jax", (nearly, {}), *batches(4)))

    def inside(p, x):
        s = jax.nn.sigmoid(x)
        return x * s + s

    assert operations(whole_path("jax", (inside, {}), *batches(4))) == ["sigmoid", "mul", "add"]
    cubic = (lambda p, x: x**3 + nn.gelu(x), {})
    assert operations(whole_path("jax", cubic, *batches(4))) == ["constant", "pow", "gelu", "add"]


def test_shapes_and_numbers(whole_path):
    def call(s, x):
        y = nn.Dense(12)(x) * 2.5 + 1
        y = (3 - y.reshape(y.shape[0], 3, 4)) / jnp.arange(1.0, 5.0)
        y = y + jnp.expand_dims(nn.Dense(4)(x), 1)
        y = -jnp.square(y) + nn.softmax(y, axis=1) ** 2
        return jnp.squeeze(y.reshape(-1, 1, 12), 1) - s.param(
            "shift", nn.initializers.normal(), (12,)
        )

    document = whole_path("jax", linen(call, 4), *batches(4))
    assert [n["params"]["shape"] for n in document.nodes if n["op"] == "reshape"] == [
        ["batch", 3, 4],
        ["batch", 1, 4],
        ["batch", 1, 12],
        ["batch", 12],
    ]
    assert document.entry("shift", "value")["source"] == "params/shift"


def test_products_with_weights_in_any_form(whole_path):
    rng = np.random.default_rng(3)
    parameters = {
        "square": rng.normal(size=(4, 4)),
        "cube": rng.normal(size=(2, 4, 3)),
        "out": rng.normal(size=(6, 2, 3)),
    }
    parameters = jax.tree.map(lambda a: jnp.asarray(a, jnp.float32), parameters)

    def network(p, x):
        y = x @ p["square"] + x @ p["square"].T + jnp.einsum("bi,oi->bo", x, p["square"])
        y = jnp.einsum("bi,hio->bho", y, p["cube"])
        return jnp.einsum("bho,nho->bn", y, p["out"])

    document = whole_path("jax", (network, parameters), *batches(4))
    dense = [n for n in document.nodes if n["op"] == "dense"]
    assert len(dense) == 5 and dense[0]["tensors"][0]["source"] == "square"


def test_vmap_over_a_dense_layer(whole_path):
    def call(s, x):
        dense = nn.Dense(3)
        dense(x)
        return jax.vmap(lambda row: nn.relu(dense(row)))(x)

    assert operations(whole_path("jax", linen(call, 4), *batches(4))) == ["dense", "relu"]


def test_functions_of_custom_derivative(whole_path):
    @jax.custom_vjp
    def double(x):
        return x * 2

    double.defvjp(lambda x: (x * 2, None), lambda _, g: (g * 2,))
    assert operations(whole_path("jax", (lambda p, x: double(x), {}), *batches(4))) == [
        "constant",
        "mul",
    ]


def test_inputs_that_do_not_fit_are_data_at_fault():
    with pytest.raises(BridgeError, match="^Mlp cannot run these inputs: "):
        planets.module("jax").native(Mlp(nnx.Rngs(0)), batches(5)[0])


def test_several_arrays_for_one_parameter_are_told():
    wrong = {"left": np.ones((2, 4), np.float32), "right": np.ones((2, 4), np.float32)}
    for use in (lambda: emit(Mlp(nnx.Rngs(0)), example=wrong),
                lambda: planets.module("jax").native(Mlp(nnx.Rngs(0)), wrong)):
        with pytest.raises(BridgeError, match=r" \(x was given a dict of left, right\)"):
            use()


def test_what_is_no_network_is_told_what_one_is(command, module_file):
    module_file("net", "def twice(x):\n    return x * 2\n")
    assert command("emit", "jax", "net:twice") == (
        3, b"", "planetbridging: builtins.function is no network of jax: expected a Flax module, "
        "(module, variables), (function, parameters), parameters {} where there are none, or a function "
        "with --params\n")
    module_file("pair", "net = (lambda params, x: x * 2, {})\n")
    status, out, err = command("emit", "jax", "pair:net")
    assert (status, out) == (3, b"") and "give an example of them" in err


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04 cut", b"words", b"\x93NUMPY"])
def test_parameters_that_cannot_be_read_are_data_at_fault(tmp_path, data):
    (tmp_path / "p.npz").write_bytes(data)
    with pytest.raises(BridgeError, match=r"p\.npz: cannot be read as parameters: ."):
        planets.module("jax").with_weights(Mlp(nnx.Rngs(0)), str(tmp_path / "p.npz"))


def test_parameters_have_names(tmp_path):
    np.save(tmp_path / "p.npy", np.ones(2))
    with pytest.raises(BridgeError, match=r"p\.npy: holds one array, expected a \.npz of "):
        planets.module("jax").with_weights(Mlp(nnx.Rngs(0)), str(tmp_path / "p.npy"))


def test_all_problems_are_named_at_once():
    class Inner(nn.Module):
        @nn.compact
        def __call__(self, x):
            return jnp.sort(nn.Dense(3)(x), axis=-1)

    class Net(nn.Module):
        @nn.compact
        def __call__(self, x):
            y = nn.Conv(3, (3, 3), name="conv", dtype=jnp.bfloat16)(x).reshape(x.shape[0], -1, 3)
            y = nn.RNN(nn.SimpleCell(4, activation_fn=jnp.arctan), name="loop")(
                y.astype(jnp.float32))
            y = nn.BatchNorm(name="norm", use_running_average=False)(jax.scipy.special.erfinv(y))
            y = Inner(name="inner")(nn.Dropout(0.5, name="drop", deterministic=False)(y))
            return jnp.sinh(y) + jnp.arctan(y) + jnp.sinh(x.sum())

    net, key = Net(), jax.random.key(0)
    variables = net.init({"params": key, "dropout": key}, jnp.ones((2, 8, 16, 2)))
    found = problems_of((net, variables), batches(8, 16, 2)[0])
    assert found == [
        ("conv", "Conv", "works on bfloat16 values"),
        ("loop", "RNN", "scan"),
        ("the model", "Net", "erf_inv, sinh, atan"),
        ("norm", "BatchNorm", "statistics of the batch (use_running_average=False)"),
        ("drop", "Dropout", "dropout in training (deterministic=False)"),
        ("inner", "Inner", "sort"),
    ]


def test_problems_in_nnx_have_their_path():
    class Net(nnx.Module):
        def __init__(self, rngs):
            self.conv = nnx.Conv(4, 3, (2,), padding="CIRCULAR", rngs=rngs)
            self.norm = nnx.BatchNorm(3, rngs=rngs)
            self.head = nnx.Linear(3, 2, rngs=rngs)

        def __call__(self, x):
            return jnp.sort(self.head(self.norm(self.conv(x), use_running_average=False)))

    found = problems_of(Net(nnx.Rngs(0)), batches(5, 4)[0])
    assert found == [
        ("norm", "BatchNorm", "statistics of the batch (use_running_average=False)"),
        ("the model", "Net", "sort"),
    ]


def test_the_message_is_one_line():
    with pytest.raises(Unsupported) as error:
        emit((lambda p, x: jnp.sort(x), {}), example=batches(4)[0])
    text = str(error.value)
    assert text.startswith("cannot be expressed: the model (<lambda>): sort. Supported: the layers "
                           "of linen and nnx, ")
    assert "\n" not in text


def test_half_precision_is_refused():
    net = linen(lambda s, x: nn.Dense(3, dtype=jnp.bfloat16, name="d")(x), 4)
    assert problems_of(net, batches(4)[0]) == [("d", "Dense", "works on bfloat16 values")]


def test_what_depends_on_the_size_of_the_batch_is_refused():
    ((path, cls, why),) = problems_of(
        (lambda p, x: x.reshape(2, -1), {}), {"x": np.ones((4, 3), np.float32)}
    )
    assert (path, cls) == ("the model", "<lambda>")
    assert why.startswith("its call depends on the size of the batch: Cannot divide evenly")


def test_values_that_are_only_spread(whole_path):
    def joined(p, x):
        return jnp.concatenate([x, jnp.broadcast_to(jnp.ones((1, 2)), (x.shape[0], 2))], -1)

    document = whole_path("jax", (joined, {}), *batches(4))
    assert operations(document) == ["constant", "expand", "concat"]
    assert document.nodes[1]["params"] == {"shape": ["batch", 2]}
    wide = (lambda p, x: jnp.broadcast_to(jnp.reshape(x, (-1, 4, 1)), (x.shape[0], 4, 3)), {})
    assert operations(whole_path("jax", wide, *batches(4))) == ["reshape", "expand"]


def test_products_of_values(whole_path):
    net = (lambda p, x: jnp.einsum("bij,bkj->bik", x, x) + jnp.max(x), {})
    assert operations(whole_path("jax", net, *batches(3, 3))) == ["transpose", "matmul", "max",
                                                                  "add"]


def test_what_lacks_weights_or_shapes_says_so():
    with pytest.raises(
        BridgeError,
        match=r"^Dense has no parameters: give \(module, variables\), or a file of them$",
    ):
        emit(nn.Dense(3), example=batches(4)[0])
    with pytest.raises(
        BridgeError, match="^Linear does not say the shapes of its inputs: give an example of them$"
    ):
        emit(nnx.Linear(2, 3, rngs=nnx.Rngs(0)))
