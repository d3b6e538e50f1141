"""The table of compositions: each against its formula in NumPy, at sizes the graph did not know."""

from __future__ import annotations

import numpy as np
import pytest

from conftest import agree, programs_built
from interpreter import run as run_numpy
from planetbridging import compositions
from planetbridging.checking import run_check
from planetbridging.compositions import COMPOSITIONS
from planetbridging.graph import Builder

SHAPE = ["b", 4, 6]
RNG = np.random.default_rng(11)
X = RNG.normal(size=(3, 4, 6)).astype(np.float32).astype(float)
Z = RNG.normal(size=(3, 2, 6)).astype(np.float32).astype(float)
IDS = RNG.integers(0, 4, (3, 5))
COLUMNS = RNG.integers(0, 6, (3, 5))
KEEP = RNG.random((3, 4, 6)) < 0.5


def rolled(b, x):
    return compositions.roll(b, "y", x, [1, -2], [0, 2], SHAPE)


def einsum_of(equation, *shapes):
    return lambda b, *xs: compositions.einsum(b, "y", equation, list(xs), list(shapes))


def shuffled(x):
    b, c, h, w = x.shape
    return x.reshape(b, c // 4, 2, 2, h, w).transpose(0, 1, 4, 2, 5, 3).reshape(b, c // 4, 2 * h, 2 * w)


def unshuffled(x):
    b, c, h, w = x.shape
    return (x.reshape(b, c, h // 2, 2, w // 2, 2).transpose(0, 1, 3, 5, 2, 4)
            .reshape(b, 4 * c, h // 2, w // 2))


def scattered(x, z):
    y = x.copy()
    y[:, [2, 0]] = z
    return y


C = compositions
FLOAT, INT, BOOL = "float32", "int64", "bool"
CASES = {
    "any": (lambda b, x: C.any_or_all(b, "y", x, [0, 2], True, False), [(KEEP, BOOL)],
            lambda x: x.any((0, 2), keepdims=True)),
    "all": (lambda b, x: C.any_or_all(b, "y", x, [1], False, True), [(KEEP, BOOL)],
            lambda x: x.all(1)),
    "argmin": (lambda b, x: C.argmin(b, "y", x, 1, False), [(X, FLOAT)], lambda x: x.argmin(1)),
    "celu": (lambda b, x: C.celu(b, "y", x, 1.5), [(X, FLOAT)],
             lambda x: np.maximum(x, 0) + np.minimum(1.5 * np.expm1(x / 1.5), 0)),
    "einsum": (einsum_of("bij,bkj->bki", SHAPE, ["b", 2, 6]), [(X, FLOAT), (Z, FLOAT)],
               lambda x, z: np.einsum("bij,bkj->bki", x, z)),
    "einsum of three": (einsum_of("bij,bkj,bil->lk", SHAPE, ["b", 2, 6], SHAPE),
                        [(X, FLOAT), (Z, FLOAT), (X, FLOAT)],
                        lambda x, z, u: np.einsum("bij,bkj,bil->lk", x, z, u)),
    "einsum of one": (einsum_of("...ij->j...", SHAPE), [(X, FLOAT)],
                      lambda x: np.einsum("...ij->j...", x)),
    "einsum without an arrow": (einsum_of("...j,...kj", SHAPE, ["b", 4, 3, 6]),
                                [(X, FLOAT), (np.stack([X, 2 * X, -X], 2), FLOAT)],
                                lambda x, z: np.einsum("...j,...kj", x, z)),
    "flip": (lambda b, x: C.flip(b, "y", x, [0, 2], SHAPE), [(X, FLOAT)],
             lambda x: x[::-1, :, ::-1]),
    "full": (lambda b, x: b.node("y", "add", [x, C.full(b, "f", 1.5, SHAPE)]), [(X, FLOAT)],
             lambda x: x + 1.5),
    "glu": (lambda b, x: C.glu(b, "y", x, 2, 6), [(X, FLOAT)],
            lambda x: x[..., :3] / (1 + np.exp(-x[..., 3:]))),
    "hard_tanh": (lambda b, x: C.hard_tanh(b, "y", x, -0.5), [(X, FLOAT)],
                  lambda x: np.clip(x, -0.5, 1)),
    "index_many": (lambda b, x, i, j: C.index_many(b, "y", x, [i, j], 1, SHAPE),
                   [(X, FLOAT), (IDS, INT), (COLUMNS, INT)], lambda x, i, j: x[:, i, j]),
    "l2_norm": (lambda b, x: C.l2_norm(b, "y", x, [1], True), [(X, FLOAT)],
                lambda x: np.linalg.norm(x, axis=1, keepdims=True)),
    "l2_normalize": (lambda b, x: C.l2_normalize(b, "y", x, [-1], 1e-6), [(X, FLOAT)],
                     lambda x: x / np.linalg.norm(x, axis=-1, keepdims=True)),
    "log_sigmoid": (lambda b, x: C.log_sigmoid(b, "y", x), [(X, FLOAT)],
                    lambda x: -np.log1p(np.exp(-x))),
    "logsumexp": (lambda b, x: C.logsumexp(b, "y", x, [0, 2], False), [(256 * X, FLOAT)],
                  lambda x: np.logaddexp.reduce(np.logaddexp.reduce(x, 2), 0)),
    "masked_fill": (lambda b, x, m: C.masked_fill(b, "y", x, m, -7.5), [(X, FLOAT), (KEEP, BOOL)],
                    lambda x, m: np.where(m, -7.5, x)),
    "one_hot": (lambda b, i: C.one_hot(b, "y", i, 4), [(IDS, INT)], lambda i: np.eye(4)[i]),
    "pixel_shuffle": (lambda b, x: C.pixel_shuffle(b, "y", x, 2, ["b", 4, 2, 3]),
                      [(X.reshape(3, 4, 2, 3), FLOAT)], shuffled),
    "pixel_unshuffle": (lambda b, x: C.pixel_unshuffle(b, "y", x, 2, ["b", 3, 4, 2]),
                        [(X.reshape(3, 3, 4, 2), FLOAT)], unshuffled),
    "repeat": (lambda b, x: C.repeat(b, "y", x, 3, 0, SHAPE), [(X, FLOAT)],
               lambda x: np.repeat(x, 3, 0)),
    "roll": (rolled, [(X, FLOAT)], lambda x: np.roll(x, (1, -2), (0, 2))),
    "scatter_constant": (lambda b, x, z: C.scatter_constant(b, "y", x, z, [2, 0], 1, 4),
                         [(X, FLOAT), (Z, FLOAT)], scattered),
    "softsign": (lambda b, x: C.softsign(b, "y", x), [(X, FLOAT)], lambda x: x / (1 + np.abs(x))),
    "stack": (lambda b, x, z: C.stack(b, "y", [x, z], 1), [(X, FLOAT), (2 * X, FLOAT)],
              lambda x, z: np.stack([x, z], 1)),
    "tile": (lambda b, x: C.tile(b, "y", x, [2, 1, 3, 1], SHAPE), [(X, FLOAT)],
             lambda x: np.tile(x, (2, 1, 3, 1))),
    "tri": (lambda b, x: C.tri(b, "y", x, C.number(b, "y", 0), SHAPE, 1, True), [(X, FLOAT)],
            lambda x: np.tril(x, 1)),
    "variance": (lambda b, x: C.variance(b, "y", x, [0, 1], False, SHAPE, 1), [(X, FLOAT)],
                 lambda x: x.var((0, 1), ddof=1)),
}
"""name: (the composition, its inputs with their dtypes, the formula); the first axis is symbolic."""


def test_every_composition_has_a_case():
    assert {name.split()[0] for name in CASES} - {"any", "all"} == set(COMPOSITIONS) - {"any_or_all"}


@pytest.mark.parametrize("name", CASES)
def test_a_composition_equals_its_formula(name, streamed):
    compose, given, formula = CASES[name]
    builder = Builder("test", {}, "g")
    names = [builder.input(f"x{n}", dtype, ["b", *array.shape[1:]])
             for n, (array, dtype) in enumerate(given)]
    reserved = builder.reserve(["result"])
    made = compose(builder, *names)
    graph = builder.finish([made], reserved)
    wanted = {"result": np.asarray(formula(*(array for array, _ in given)))}
    inputs = {n: a.astype(d) for n, (a, d) in zip(names, given)}
    agree(wanted, run_numpy(streamed(graph), inputs), 1e-12)
    if programs_built():
        native = {"result": np.ascontiguousarray(wanted["result"])}
        result = run_check(graph, inputs, native, ["--atol", "1e-6", "--allow-vacuous"])
        assert result, result.report


def test_an_einsum_that_is_no_product_is_refused():
    builder = Builder("test", {}, "g")
    x = builder.input("x", "float32", [3, 3])
    with pytest.raises(ValueError, match="einsum ii->i with a letter twice in one operand"):
        compositions.einsum(builder, "y", "ii->i", [x], [[3, 3]])
    with pytest.raises(ValueError, match="einsum ij,j->i with an axis that is spread"):
        compositions.einsum(builder, "y", "ij,j->i", [x, x], [[3, 3], [1]])
