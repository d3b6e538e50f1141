"""JAX: products, convolutions of any layout, loops, and networks of Haiku and Equinox."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest
from flax_held import ANY, floats, held, named
from jax_networks import drawn, jax, jnp, linen, nn, operations, problems_of

pytestmark = pytest.mark.filterwarnings("ignore::planetbridging.BridgeWarning")
lax = jax.lax

WEIGHTS = {"square": (4, 4), "heads": (2, 4, 3), "steps": (3, 4, 5), "vector": (4,)}


def pair(n):
    return floats(n, 3, 4, seed=n) | floats(n, 3, 4, seed=n + 1, name="y")


def test_products_of_every_form(streamed):
    def call(p, x, y):
        return {
            "again": y @ p["square"], "dense": x @ p["square"], "turned": x @ p["square"].T,
            "vector": x @ p["vector"],
            "heads": jnp.einsum("bsi,hio->bsho", x, p["heads"]),
            "left": jnp.einsum("oi,bsi->bos", p["square"], x),
            "inner": jnp.einsum("bsi,sio->bso", x, p["steps"]),
            "two": jnp.tensordot(x, p["steps"], ((1, 2), (0, 1))),
            "scores": jnp.einsum("bsi,bti->bst", x, y), "grams": jnp.einsum("bsi,bsj->bij", x, y),
            "matmul": x @ jnp.swapaxes(y, 1, 2), "all": jnp.einsum("bsi,bti->b", x, y),
            "dots": jnp.einsum("bsi,bsi->bs", x, y), "across": jnp.einsum("bsi,tsi->bt", x, y),
            "outer": jnp.outer(x[:, 0, 0], y[:, 0, 0]), "vdot": jnp.vdot(x, y),
            "places": jnp.einsum("bsi,s->bi", x, jnp.arange(3.0))}

    parameters = {name: drawn(jnp.ones(shape), seed=n)
                  for n, (name, shape) in enumerate(WEIGHTS.items())}
    document = held(streamed, (call, parameters), pair(2), pair(5), untapped=ANY, atol=1e-11)
    assert {"dense", "matmul"} <= set(operations(document))
    ties = [t for n in document.nodes for t in n.get("tensors", ()) if "same" in t]
    assert len(ties) == 1 and ties[0]["same"].startswith("dense")


@pytest.mark.parametrize("layout", [("NHWC", "HWIO", "NHWC"), ("NCHW", "OIHW", "NCHW"),
                                    ("HWNC", "IHWO", "CNHW")], ids=str)
@pytest.mark.parametrize("options", [
    {"window_strides": (2, 1), "padding": ((1, 0), (0, 2))},
    {"window_strides": (1, 1), "padding": "SAME", "rhs_dilation": (2, 1), "feature_group_count": 2},
    {"window_strides": (1, 2), "padding": ((-1, 0), (1, -1))},
    {"window_strides": (1, 1), "padding": ((1, 2), (0, 1)), "lhs_dilation": (2, 3)},
    {"window_strides": (2, 3), "padding": ((1, 2), (0, -1)), "lhs_dilation": (2, 2),
     "rhs_dilation": (1, 2), "feature_group_count": 2}], ids=str)
def test_convolutions_of_every_layout(streamed, layout, options):
    sizes = {"N": 3, "C": 4, "H": 7, "W": 6}
    kernel = {"H": 3, "W": 2, "I": 4 // options.get("feature_group_count", 1), "O": 6}
    weight = drawn(jnp.ones([kernel[c] for c in layout[1]]))

    def call(p, x):
        # The batch stands first in the input, wherever the convolution wants it.
        x = jnp.moveaxis(x, 0, layout[0].index("N"))
        return lax.conv_general_dilated(x, p["k"], dimension_numbers=layout, **options)

    shape = [sizes[c] for c in layout[0] if c != "N"]
    document = held(streamed, (call, {"k": weight}), floats(2, *shape), floats(3, *shape, seed=1),
                    untapped=ANY)
    op = "convtranspose2" if "lhs_dilation" in options else "conv2"
    assert ("k", op) in named(document) or op in operations(document)


def test_kernels_that_depend_on_the_inputs_are_refused():
    net = (lambda p, x: lax.conv_general_dilated(
        x, jnp.exp(x[0, :2, :, None]), (1,), "SAME", dimension_numbers=("NWC", "WIO", "NWC")), {})
    assert problems_of(net, floats(2, 5, 4)) == [
        ("the model", "<lambda>", "conv_general_dilated with a kernel that depends on the inputs")]


def test_loops_of_a_known_length(streamed):
    parameters = {"w": drawn(jnp.ones((3, 4, 4)))}

    def call(p, x):
        rows = jnp.swapaxes(x, 0, 1)
        return {
            "scan": lax.scan(lambda c, r: (c * 0.5 + r, c.sum(-1)), rows[0], rows)[1],
            "back": lax.scan(lambda c, r: (c * 0.5 + r, c), rows[0], rows, reverse=True),
            "fori": lax.fori_loop(0, 3, lambda n, c: jnp.tanh(c) + n, x),
            "known": lax.cond(True, lambda v: v + 1, lambda v: v - 1, x),
            "layers": lax.scan(lambda c, w: (jnp.tanh(c @ w), None), x, p["w"])[0],
            "map": lax.map(lambda r: r * 2, rows),
            "associative": lax.associative_scan(jnp.add, x, axis=1)}

    document = held(streamed, (call, parameters), floats(2, 5, 4), floats(3, 5, 4, seed=1),
                    untapped=ANY)
    weights = [t for n in document.nodes if n["op"] == "dense" for t in n["tensors"]]
    assert [t["source"] for t in weights] == ["w"] * 3
    assert [t["layout"]["first"] for t in weights] == [n * parameters["w"][0].size for n in range(3)]


def test_layers_under_scan_and_vmap_and_grad(streamed):
    class Layer(nn.Module):
        @nn.compact
        def __call__(self, carry, _):
            return nn.tanh(nn.Dense(4)(nn.LayerNorm()(carry))), None

    def scanned(s, x):
        stack = nn.scan(Layer, variable_axes={"params": 0}, split_rngs={"params": True}, length=3)
        return stack()(x, None)[0]

    document = held(streamed, linen(scanned, 4), floats(2, 4), floats(3, 4), atol=1e-10)
    assert operations(document) == ["layernorm", "dense", "tanh"] * 3

    def mapped(s, x):
        conv = nn.Conv(3, (3,), name="c")
        conv(x)
        return jax.vmap(lambda row: nn.relu(conv(row)))(x)
    document = held(streamed, linen(mapped, 6, 4), floats(2, 6, 4), floats(3, 8, 4), untapped=ANY)
    assert "conv1" in operations(document)

    slope = (lambda p, x: jax.grad(lambda v: jnp.sum(jnp.tanh(v @ p) ** 2))(x),
             drawn(jnp.ones((4, 3))))
    held(streamed, (lambda p, x: slope[0](p[0], x), [slope[1]]), floats(2, 4), floats(3, 4),
         untapped=ANY)


def needs(package: str):
    return pytest.mark.skipif(importlib.util.find_spec(package) is None,
                              reason=f"the Python package {package} is not installed")


@needs("equinox")
def test_equinox(streamed):
    import equinox as eqx

    class Net(eqx.Module):
        conv: eqx.nn.Conv2d
        norm: eqx.nn.LayerNorm
        mlp: eqx.nn.MLP

        def __init__(self, key):
            self.conv = eqx.nn.Conv2d(2, 3, 3, stride=2, key=key)
            self.norm = eqx.nn.LayerNorm((3, 2, 3))
            self.mlp = eqx.nn.MLP(18, 4, 5, 2, activation=jax.nn.gelu, key=key)

        def __call__(self, x):
            return self.mlp(jnp.ravel(self.norm(self.conv(x))))

    net = Net(jax.random.key(0))
    arrays, rest = eqx.partition(net, eqx.is_array)
    net = eqx.combine(drawn(arrays), rest)
    document = held(streamed, (lambda m, x: jax.vmap(m)(x), net), floats(2, 2, 5, 7),
                    floats(3, 2, 5, 7, seed=1), untapped=ANY, atol=1e-11)
    assert [n["name"] for n in document.nodes if n["op"] in ("conv2", "dense")] == [
        "conv", "mlp.layers.0", "mlp.layers.1", "mlp.layers.2"]
    assert document.entry("mlp.layers.1", "weight")["source"] == "mlp/layers/1/weight"


@needs("haiku")
def test_haiku(streamed):
    import haiku as hk

    def call(x, is_training=False):
        x = jax.nn.relu(hk.LayerNorm(-1, True, True)(hk.Conv2D(4, 3, stride=2)(x)))
        x = hk.BatchNorm(True, True, 0.9)(x, is_training)
        return {"logits": hk.nets.MLP([5, 3])(hk.Flatten()(x)), "map": x}

    net = hk.without_apply_rng(hk.transform_with_state(call))
    x = jnp.ones((2, 6, 6, 3))
    parameters, state = net.init(jax.random.key(0), x, is_training=True)
    state = jax.tree.map(lambda a: jnp.abs(a) + 0.5, drawn(state, seed=2))

    @jax.jit
    def apply(p, x):
        return net.apply(p["params"], p["state"], x)[0]

    # What BatchNorm makes of its statistics alone is computed once, in float32.
    document = held(streamed, (apply, {"params": drawn(parameters), "state": state}),
                    floats(2, 6, 6, 3), floats(3, 6, 6, 3, seed=1), untapped=ANY, atol=1e-6)
    assert document.head["model"] == "apply" and document.head["outputs"] == ["logits", "map"]
    assert {"conv2_d", "mlp._.linear_0", "mlp._.linear_1"} <= {n["name"] for n in document.nodes}


@needs("haiku")
def test_problems_in_haiku_have_their_names():
    import haiku as hk

    class Sorted(hk.Module):
        def __call__(self, x):
            return jnp.sort(x)

    net = hk.without_apply_rng(hk.transform(lambda x: Sorted(name="order")(hk.Linear(3)(x))))
    parameters = net.init(jax.random.key(0), jnp.ones((2, 4)))
    (path, _, what), = problems_of((net.apply, parameters), floats(2, 4))
    assert (path, what) == ("order", "sort")
    assert np.shape(parameters["linear"]["w"]) == (4, 3)
