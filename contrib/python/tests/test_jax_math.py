"""JAX: arithmetic, comparisons, conversions and reductions, each against JAX in float64.

Each network has an output per function, whose name says which one is wrong.
"""

from __future__ import annotations

import numpy as np
import pytest
from flax_held import ANY, floats, held
from jax_networks import jax, jnp, operations, problems_of

pytestmark = pytest.mark.filterwarnings("ignore::planetbridging.BridgeWarning")
lax = jax.lax


def network(**functions):
    """A function of (parameters, x, ...) with an output per function."""
    import inspect

    names = list(inspect.signature(next(iter(functions.values()))).parameters)
    space: dict = {"functions": functions}
    exec(f"def call(p, {', '.join(names)}):\n"  # noqa: S102: the parameters must have their names
         f"    return {{k: f({', '.join(names)}) for k, f in functions.items()}}", space)
    return space["call"], {}


def pair(n, s):
    return floats(n, s, 4) | floats(n, s, 4, seed=1, name="y")


def whole(n, s):
    rng = np.random.default_rng(n)
    return {"i": rng.integers(-9, 9, (n, s)), "j": rng.integers(1, 5, (n, s))}


def test_functions_of_each_element(streamed):
    net = network(
        exp=jnp.exp, log=lambda x: jnp.log(jnp.abs(x)), log1p=lambda x: jnp.log1p(x * x),
        expm1=jnp.expm1, sin=jnp.sin, cos=jnp.cos, tanh=jnp.tanh, logistic=jax.nn.sigmoid,
        erf=jax.scipy.special.erf, sqrt=lambda x: jnp.sqrt(jnp.abs(x)),
        rsqrt=lambda x: lax.rsqrt(jnp.abs(x) + 1), abs=jnp.abs, neg=lambda x: -x, sign=jnp.sign,
        floor=jnp.floor, ceil=jnp.ceil, round=lambda x: jnp.round(x * 8) / 8,
        exp2=jnp.exp2, cube=lambda x: x**3, inverse=lambda x: 1 / x, minus=lambda x: x**-1,
        square=jnp.square, power=lambda x: jnp.abs(x) ** 2.5, own=lambda x: jnp.abs(x) ** x,
        finite=jnp.isfinite, nan=jnp.nan_to_num, clip=lambda x: jnp.clip(x, -0.5, 0.25))
    held(streamed, net, floats(2, 3, 4), floats(3, 5, 4, seed=1), untapped=ANY, atol=1e-11)


@pytest.mark.parametrize("rounding", [lax.RoundingMethod.AWAY_FROM_ZERO,
                                      lax.RoundingMethod.TO_NEAREST_EVEN])
def test_rounding_of_halves(streamed, rounding):
    net = (lambda p, x: lax.round(x, rounding), {})
    edge = np.float32(0.5) - np.float32(2) ** -25
    x = np.array([[-2.5, -1.5, -0.5, 0.5, 1.5, 2.5, edge, -edge, 2.0**23 + 1, 0.0]], np.float32)
    held(streamed, net, {"x": x}, untapped=ANY)


def test_functions_of_two(streamed):
    net = network(
        add=lambda x, y: x + y, sub=lambda x, y: x - y, mul=lambda x, y: x * y,
        div=lambda x, y: x / y, maximum=jnp.maximum, minimum=jnp.minimum,
        floor=lambda x, y: x // y, mod=lambda x, y: x % y, fmod=jnp.fmod,
        where=lambda x, y: jnp.where(x > y, x, y), between=lambda x, y: jnp.clip(x, y - 1, y + 1),
        logaddexp=jnp.logaddexp, hypot=jnp.hypot, spread=lambda x, y: x[:, :1] * y + y[:, :, 1:2],
        outer=lambda x, y: x[:, :, None] * y[:, None])
    held(streamed, net, pair(2, 3), pair(3, 5), untapped=ANY, atol=1e-11)


def test_comparisons_and_truth(streamed):
    net = network(
        eq=lambda x, y: jnp.floor(x) == jnp.floor(y), ne=lambda x, y: jnp.floor(x) != jnp.floor(y),
        lt=lambda x, y: x < y, le=lambda x, y: x <= y, gt=lambda x, y: x > y,
        ge=lambda x, y: x >= y, both=lambda x, y: (x > 0) & (y > 0),
        either=lambda x, y: (x > 0) | (y > 0), one=lambda x, y: (x > 0) ^ (y > 0),
        none=lambda x, y: ~(x > 0), same=lambda x, y: (x > 0) == (y > 0),
        any=lambda x, y: jnp.any(x > 1, 1), all=lambda x, y: jnp.all(x > -1, (1, 2)),
        case=lambda x, y: lax.select_n((x > 0).astype(jnp.int32) + (y > 0), x, y, x + y))
    document = held(streamed, net, pair(2, 3), pair(3, 5), untapped=ANY, loom=False)
    assert document.head["outputs"] == sorted(document.head["outputs"])


def test_whole_numbers(streamed):
    net = network(
        add=lambda i, j: i + 1, mul=lambda i, j: i * j, floor=lambda i, j: i // j,
        mod=lambda i, j: i % j, div=lax.div, rem=lax.rem, neg=lambda i, j: -i,
        abs=lambda i, j: jnp.abs(i), sign=lambda i, j: jnp.sign(i), cube=lambda i, j: i**3,
        maximum=jnp.maximum, clip=lambda i, j: jnp.clip(i, 0, 3), sum=lambda i, j: i.sum(1),
        cumsum=lambda i, j: jnp.cumsum(i, 1), max=lambda i, j: i.max(1),
        argmax=lambda i, j: jnp.argmax(i, 1), argmin=lambda i, j: jnp.argmin(i, 1),
        half=lambda i, j: i * 0.5, truth=lambda i, j: (i > 2).astype(jnp.int32) + i,
        cut=lambda i, j: (i * 0.75).astype(jnp.int32), is_set=lambda i, j: i.astype(bool))
    document = held(streamed, net, whole(3, 5), whole(2, 4), untapped=ANY, loom=False)
    assert {i["dtype"] for i in document.head["inputs"]} == {"int64"}


def test_sums_means_and_extremes(streamed):
    net = network(
        sum=lambda x: x.sum(), batch=lambda x: x.sum(0), two=lambda x: x.sum((0, 2)),
        kept=lambda x: x.sum(1, keepdims=True), mean=lambda x: x.mean(), last=lambda x: x.mean(-1),
        last_kept=lambda x: x.mean(-1, keepdims=True), max=lambda x: x.max(1),
        max_kept=lambda x: x.max((1, 2), keepdims=True), min=lambda x: x.min(2),
        var=lambda x: x.var(1), std=lambda x: x.std(-1, ddof=1), argmax=lambda x: jnp.argmax(x, 1),
        argmin=lambda x: jnp.argmin(x, 2), flat=lambda x: jnp.argmax(x),
        cumsum=lambda x: jnp.cumsum(x, 1), back=lambda x: lax.cumsum(x, 2, reverse=True),
        norm=lambda x: jnp.linalg.norm(x, axis=-1), share=lambda x: x / x.sum(1, keepdims=True),
        total=lambda x: jax.nn.logsumexp(x, axis=1), per_step=lambda x: x.sum(1) / x.shape[1],
        twice=lambda x: x.mean(1) + x.sum(1))
    document = held(streamed, net, floats(2, 3, 4), floats(3, 5, 4, seed=1), untapped=ANY,
                    atol=1e-10)
    assert document.head["inputs"][0]["shape"] == ["batch", "d1", 4]
    assert {"sum", "mean", "max", "min", "argmax", "cumsum"} <= set(operations(document))


@pytest.mark.parametrize("function, op, params", [
    (jax.nn.relu6, "relu6", {}), (jax.nn.hard_sigmoid, "hard_sigmoid", {}),
    (jax.nn.mish, "mish", {}), (jax.nn.hard_silu, "hard_swish", {}), (jax.nn.selu, "selu", {}),
    (jax.nn.elu, "elu", {"alpha": 1.0}), (lambda x: jax.nn.elu(x, 0.25), "elu", {"alpha": 0.25}),
    (jax.nn.softplus, "softplus", {"beta": 1.0, "threshold": None}),
    (jax.nn.log_softmax, "log_softmax", {"axis": 2}),
    (lambda x: jax.nn.log_softmax(x, 1), "log_softmax", {"axis": 1}),
    (lambda x: jnp.clip(x, -1, 2), "clip", {"min": -1.0, "max": 2.0})])
def test_activations_that_have_a_word(streamed, function, op, params):
    # Around the places where these functions have a corner, and beyond them.
    wide = {"x": floats(3, 5, 4, seed=1)["x"] * np.float32(4)}
    document = held(streamed, (lambda p, x: function(x), {}), floats(2, 3, 4), wide)
    assert [(n["op"], n["params"]) for n in document.nodes][-1] == (op, params)


def test_activations_that_are_compositions(streamed):
    net = network(
        celu=lambda x: jax.nn.celu(x, 0.75), glu=jax.nn.glu, soft_sign=jax.nn.soft_sign,
        log_sigmoid=jax.nn.log_sigmoid, hard_tanh=jax.nn.hard_tanh,
        squareplus=jax.nn.squareplus, standardize=jax.nn.standardize,
        one_hot=lambda x: jax.nn.one_hot(jnp.argmax(x, -1), 4), sparse_plus=jax.nn.sparse_plus)
    held(streamed, net, floats(2, 3, 4), floats(3, 5, 4, seed=1), untapped=ANY, atol=1e-10)


def test_conversions_of_inputs(streamed):
    net = network(whole=lambda x: x.astype(jnp.int32), truth=lambda x: x.astype(bool),
                  more=lambda x: x.astype(jnp.int32) + 1)
    x = {"x": np.array([[-2.75, -0.5, 0.0, 0.5, 3.99]], np.float32)}
    document = held(streamed, net, x, untapped=ANY, loom=False)
    assert document.head["inputs"][0]["dtype"] == "float32"


def test_a_sum_over_a_grouped_axis_is_no_mean(streamed):
    net = (lambda p, x: x.sum((1, 2)) / x.shape[1], {})
    document = held(streamed, net, floats(2, 3, 4), floats(3, 5, 4), untapped=ANY)
    assert operations(document) == ["sum", "size", "cast", "div"]


def test_numbers_that_wrap_around_are_refused():
    net = (lambda p, x: (x.astype(jnp.uint8) + 1).astype(jnp.float32), {})
    assert problems_of(net, floats(2, 3)) == [
        ("the model", "<lambda>", "a conversion of float32 to uint8")]
    pixels = (lambda p, x: (x + 1).astype(jnp.float32), {})
    assert problems_of(pixels, {"x": np.zeros((2, 3), np.uint8)}) == [
        ("the model", "<lambda>", "add on uint8 values, which wrap around")]


@pytest.mark.parametrize("function, problem", [
    (jax.scipy.special.erfinv, "erf_inv"), (jnp.sort, "sort"), (jnp.arctan, "atan"),
    (lambda x: lax.top_k(x, 2)[0], "top_k"), (jnp.prod, "reduce_prod"),
    (lambda x: lax.cummax(x, 1), "cummax"), (jnp.fft.rfft, "fft"),
    (lambda x: lax.while_loop(lambda c: c.sum() < 9, lambda c: c + 1, x), "while"),
    (lambda x: lax.cond(x.sum() > 0, jnp.sin, jnp.cos, x), "cond"),
    (lambda x: x + jax.random.uniform(jax.random.key(1), x.shape[1:]) * jnp.sort(x), "sort"),
    (lambda x: x.astype(jnp.int32) & 3, "and of the bits of integers"),
    (lambda x: jnp.dot(x.astype(jnp.int32), jnp.ones((4, 2), jnp.int32)),
     "dot_general of int32 values"),
    (lambda x: x.astype(jnp.bfloat16) * 2, "works on bfloat16 values")])
def test_what_has_no_word(function, problem):
    (path, cls, said), = problems_of((lambda p, x: function(x), {}), floats(2, 3, 4))
    assert (path, cls) == ("the model", "<lambda>") and problem in said.split(", ")
