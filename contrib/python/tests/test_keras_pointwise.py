"""Keras: activations by every built-in name, and operations on each element by itself.

Each is emitted at one size and run at two, in NumPy and by Keras in float64.
"""

from __future__ import annotations

import numpy as np
import pytest

from keras_held import arrays, check, held, network
from keras_networks import keras, layers, operations, ops, problems_of

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning")

NAMES = sorted(name for name in dir(keras.activations) if not name.startswith("_")
               and name not in ("deserialize", "get", "serialize", "threshold"))
NODES = {"relu6": "relu6", "selu": "selu", "hard_sigmoid": "hard_sigmoid", "hard_silu": "hard_swish",
         "exponential": "exp", "softplus": "softplus", "log_softmax": "log_softmax", "elu": "elu",
         "hard_tanh": "clip", "mish": "mish"}
UNARY = ("abs", "absolute", "ceil", "cos", "cosh", "deg2rad", "rad2deg", "erf", "erfc", "exp", "exp2",
         "expm1", "fabs", "floor", "isfinite", "isinf", "isnan", "isneginf", "isposinf", "logical_not",
         "negative", "ones_like", "ravel", "reciprocal", "round", "sign", "sin", "sinh", "square", "tan",
         "tanh", "trunc", "zeros_like", "nan_to_num", "relu6", "stop_gradient", "copy")
POSITIVE = ("cbrt", "log", "log10", "log1p", "log2", "rsqrt", "sqrt")
BINARY = ("add", "subtract", "multiply", "divide", "true_divide", "power", "maximum", "minimum",
          "floor_divide", "mod", "equal", "not_equal", "less", "less_equal", "greater", "greater_equal",
          "logical_and", "logical_or", "logical_xor", "divide_no_nan", "hypot", "heaviside", "logaddexp",
          "fmax", "fmin")
APPROXIMATE = 3e-7
"""Keras takes constants such as log 2 through float32."""


def as_float(x):
    return ops.cast(x, "float32")


@pytest.mark.parametrize("name", NAMES)
def test_activations_by_name(streamed, name):
    document = check(streamed, lambda x: layers.Dense(4, activation=name, name="d")(x * 2), APPROXIMATE,
                     x=(3, 4))
    if name in NODES:
        assert operations(document)[-2:] == ["dense", NODES[name]]
    check(streamed, lambda x: layers.Activation(name, name="a")(x), APPROXIMATE, x=(3, 4))


@pytest.mark.parametrize("make, op, params", [
    (lambda: layers.ELU(0.5), "elu", {"alpha": 0.5}),
    (lambda: layers.ReLU(6), "relu6", {}),
    (lambda: layers.ReLU(1.5), "clip", {"min": 0.0, "max": 1.5}),
    (lambda: layers.Softmax(axis=1), "softmax", {"axis": 1}),
    (lambda: layers.PReLU(), "prelu", {"shape": [3, 4]}),
    (lambda: layers.PReLU(shared_axes=[1]), "prelu", {"shape": [1, 4]}),
])
def test_activation_layers(streamed, make, op, params):
    document = check(streamed, lambda x: make()(x * 4.0), APPROXIMATE, x=(3, 4))
    assert [n["params"] for n in document.nodes if n["op"] == op] == [params]


@pytest.mark.parametrize("make", [
    lambda: layers.ReLU(max_value=1.5, negative_slope=0.25, threshold=0.5),
    lambda: layers.ReLU(threshold=0.5),
    lambda: layers.ReLU(max_value=1.0, negative_slope=0.25),
    lambda: layers.Softmax(axis=(1, 2)),
], ids=["all", "threshold", "slope", "softmax"])
def test_activations_that_are_written_down(streamed, make):
    check(streamed, lambda x: make()(x), APPROXIMATE, x=(3, 4))


def test_a_threshold_and_odd_softmaxes(streamed):
    check(streamed, lambda x: keras.activations.threshold(x, 0.25, -1.0), x=(3, 4))
    check(streamed, lambda x: ops.log_softmax(x, axis=1), x=(3, 4))
    check(streamed, lambda x: ops.round(x, 2), 1e-6, x=(3, 4))
    assert problems_of(network(lambda x: ops.round(x, -1), x=(3,)))[0][2] == "round with decimals=-1"


@pytest.mark.parametrize("name", [*UNARY, *POSITIVE])
def test_one_operand(streamed, name):
    function = getattr(ops, name)

    def graph(x):
        return as_float(function(ops.abs(x) + 0.5 if name in POSITIVE else x * 2)) + 1.0

    check(streamed, graph, APPROXIMATE, x=(3, 4))


@pytest.mark.parametrize("name", BINARY)
def test_two_operands(streamed, name):
    function = getattr(ops, name)
    check(streamed, lambda x, y: as_float(function(ops.abs(x) + 0.5 if name == "power" else x, y)) + 1,
          APPROXIMATE, x=(3, 4), y=(1, 4))
    if name == "power":
        return
    for left in ("int32", "float32"):  # whole numbers stay whole, and become floats beside floats
        check(streamed, lambda x, y: as_float(function(x, y + 1)) + 1, APPROXIMATE, x=(3, 4, left),
              y=(3, 4, "int32"))


def test_special_values(streamed):
    def graph(x):
        return [as_float(f(x)) + 1.0 for f in (
            ops.isnan, ops.isinf, ops.isfinite, lambda v: ops.equal(v, v),
            lambda v: ops.isnan(ops.sign(v)), lambda v: ops.isnan(ops.maximum(v, 0.0)))]

    net = network(graph, x=(6,))
    row = np.array([[np.nan, np.inf, -np.inf, 0.0, -0.0, 1.5]], np.float32)
    held(streamed, net, {"x": row}, {"x": np.repeat(row, 3, 0)})


@pytest.mark.parametrize("function", [
    lambda x: ops.where(x > 0, x, -x * 0.5), lambda x: ops.where(x > 0.5, 1.0, x),
    lambda x: ops.clip(x, -0.5, 0.75), lambda x: as_float(ops.cast(x * 3, "int32")),
    lambda x: x * (x > 0), lambda x: as_float(ops.clip(ops.cast(x * 3, "int32"), -1, 2)),
    lambda x: x + ops.full_like(x, 2.5), lambda x: 1.0 / (2.0 + ops.abs(x)),
], ids=["where", "number", "clip", "cast", "truth", "whole", "full", "reversed"])
def test_choices_bounds_and_kinds(streamed, function):
    check(streamed, function, x=(None, 4))


def test_a_condition_that_is_no_truth_value(streamed):
    check(streamed, lambda x, c: ops.where(c, x, 2), x=(3, 4), c=(3, 4, "int32"))


@pytest.mark.parametrize("function, why", [
    (lambda x: ops.cast(x, "float16"), "keras.ops.cast from float32 to float16"),
    (lambda x: ops.cast(x, "uint8"), "keras.ops.cast from float32 to uint8"),
    (lambda x: ops.arctan(x), "keras.ops.arctan"),
    (lambda x: ops.sort(x), "keras.ops.sort"),
    (lambda x: ops.where(x > 0)[0], "keras.ops.where without values to choose from"),
])
def test_operations_without_a_word(function, why):
    assert problems_of(network(function, x=(3,)))[0][2] == why


def test_whole_numbers_that_wrap_around_are_refused():
    net = network(lambda x: x + x, x=(3, "uint8"))
    assert [p[2] for p in problems_of(net)] == ["works on uint8 values"]
    net = network(lambda x: ops.power(x, 2), x=(3, "int32"))
    assert [p[2] for p in problems_of(net)] == ["a power of int32 values"]


def test_operators_of_a_variable_on_what_is_traced(streamed):
    class Scaled(layers.Layer):
        def build(self, shape):
            self.scale = self.add_weight(shape=(4,), name="scale")
            self.built = True

        def call(self, x):
            return self.scale * x + (self.scale - x) / (self.scale * self.scale + 1)

    keras.saving.register_keras_serializable("pointwise")(Scaled)
    check(streamed, lambda x: Scaled(name="s")(x), 1e-6, x=(3, 4))
    before = keras.Variable.__mro__[1].__dict__.get("__mul__")
    assert "operator" not in getattr(before, "__qualname__", "")


def test_an_activation_that_is_swapped_is_told_apart(streamed):
    def wrong(document):
        document.node("d")["op"] = "hard_sigmoid"
        return document

    net = network(lambda x: layers.Dense(4, activation="hard_silu", name="d")(x), x=(4,))
    with pytest.raises(AssertionError):
        held(lambda graph: wrong(streamed(graph)), net, arrays(net, 3))
