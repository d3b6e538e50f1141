"""Bounds of what binary32 explains, against the formula on hand-made cases and against real rounding."""

from __future__ import annotations

import numpy as np
import pytest

from own_runs import case, document_of, graph_of, values_of
from planetbridging.bedrock.own import bounds, explaining
from planetbridging.bedrock.own.bounded import FUNCTION, TINY, U, Bounded, exact, increasing, products

X = np.array([[1.0, -2.0, 0.5]])
W = np.array([[3.0, 0.25, -4.0], [1.0, 1.0, 1.0]])
B = np.array([-0.5, 2.0])


def test_a_dense_layer_has_the_bound_of_the_design():
    """K = 3, one bias: (3 + 1 + 3) u (sum |x w| + |b|) + 3 * 2^-126."""
    y, = bounds.node("dense", {"bias": True}, {"weight": W, "bias": B}, [exact(X)], "pytorch")
    assert y.v.tolist() == [[3 - 0.5 - 2 - 0.5, 1 - 2 + 0.5 + 2]]
    wanted = [7 * U * (3 + 0.5 + 2 + 0.5) + 3 * TINY, 7 * U * (1 + 2 + 0.5 + 2) + 3 * TINY]
    assert y.e.tolist() == [wanted]


def test_errors_of_the_input_go_through_the_weights():
    x = Bounded(X, np.array([[0.0, 0.125, 0.0]]))
    y, = bounds.node("dense", {"bias": False}, {"weight": W}, [x], "pytorch")
    carried = 0.125 * 0.25
    assert y.e[0, 0] == pytest.approx(carried + 6 * U * (3 + 0.5 + carried + 2), rel=1e-12)


def test_a_sum_rounds_once_and_keeps_the_errors():
    y = Bounded(np.array(1.5), np.array(0.25)) + Bounded(np.array(-4.0), np.array(0.5))
    assert (y.v, y.e) == (-2.5, 0.75 + U * (2.5 + 0.75))


def test_a_product_keeps_the_errors_of_both():
    y = Bounded(np.array(3.0), np.array(0.5)) * Bounded(np.array(-2.0), np.array(0.25))
    spread = 3 * 0.25 + 0.5 * 2.25
    assert (y.v, y.e) == (-6.0, spread + U * (6 + spread) + TINY)


def test_a_function_is_as_steep_as_it_is_there():
    y = increasing(np.tanh, Bounded(np.array(2.0), np.array(0.5)))
    spread = np.tanh(2.0) - np.tanh(1.5)  # the steeper side
    assert y.e == pytest.approx(spread + FUNCTION * U * (np.tanh(2.0) + spread), rel=1e-12)


def test_products_count_their_terms():
    y = products(lambda a, b: (a * b).sum(-1), exact([1.0, 2.0]), exact([3.0, -4.0]), 2, [exact(5.0)])
    assert (y.v, y.e) == (0.0, 6 * U * (3 + 8 + 5) + 2 * TINY)


def float32(case_, run=0):
    """(graph, inputs, taps of the same steps in NumPy's float32) of a chain of dense and functions."""
    graph, inputs = graph_of(case_), case_.inputs(run)
    values = dict(inputs)
    for node in graph.nodes:
        slots = {t.slot: t.array for t in node.tensors}
        x = values[node.inputs[0]]
        y = {"dense": lambda: x @ slots["weight"].T + slots.get("bias", np.float32(0)),
             "relu": lambda: np.maximum(x, 0), "tanh": lambda: np.tanh(x)}[node.op]()
        values[node.outputs[0]] = y.astype(np.float32)
    return graph, inputs, {name: v for name, v in values.items() if name not in inputs}


@pytest.mark.parametrize("case_id", ["square_relu", "narrow_tanh"])
def test_real_float32_is_explained(case_id):
    used = explaining.used(*float32(case("dense", case_id)), "pytorch")
    assert used.explained and 0.005 < used.part < 1


def test_half_precision_is_not_explained():
    graph, inputs, taps = float32(case("dense", "square_relu"))
    taps["y"] = taps["y"].astype(np.float16).astype(np.float32)
    used = explaining.used(graph, inputs, taps, "pytorch")
    assert not used.explained and used.tensor == "y" and 10 < used.part < np.inf


def test_one_weight_off_by_a_thousandth_is_not_explained():
    graph, inputs, taps = float32(case("dense", "narrow_tanh"))
    graph.nodes[0].tensors[0].array[0, 0] *= np.float32(1.001)
    assert not explaining.used(graph, inputs, taps, "pytorch").explained


def test_where_a_tensor_is_missing_the_bound_is_carried():
    graph, inputs, taps = float32(case("dense", "narrow_tanh"))
    del taps["a"]
    whole = explaining.used(graph, inputs, taps, "pytorch")
    assert whole.explained
    taps["a_act"] = taps["a_act"] * np.float32(1 + 1e-3)
    assert explaining.used(graph, inputs, taps, "pytorch").tensor == "a_act"


def test_values_that_only_move_must_be_the_same():
    one = case("mixer", "mixer_v1")
    graph, inputs = graph_of(one), one.inputs(0)
    taps = {name: v.astype(np.float32) for name, v in values_of(graph, inputs).items()
            if name not in inputs}
    assert explaining.used(graph, inputs, taps, "pytorch").explained
    taps["image"] = np.nextafter(taps["image"], np.float32(9))
    assert explaining.used(graph, inputs, taps, "pytorch").part == np.inf


def norm_by_hand(x, eps):
    return (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + eps)


@pytest.mark.parametrize("planet", ["pytorch", "tensorflow", "jax"])
def test_norms_of_all_orders_have_one_value(planet):
    x = np.array([[0.01, 0.03, -0.02, 0.015], [300.0, 301, 299, 302]])
    params = {"dim": 4, "eps": 1e-5, "scale": False, "offset": False}
    y, = bounds.node("layernorm", params, {}, [exact(x)], planet)
    np.testing.assert_allclose(y.v, norm_by_hand(x, 1e-5), rtol=1e-8)


def test_a_fast_variance_may_be_far_off_where_the_mean_is_large():
    """spec: mean 300 and deviation 1 put Flax's float32 off by more than 1e-3, torch's not."""
    x = 300 + np.linspace(-1, 1, 8)[None]
    params = {"dim": 8, "eps": 1e-6, "scale": False, "offset": False}
    off = {planet: bounds.node("layernorm", params, {}, [exact(x)], planet)[0].e.max()
           for planet in ("pytorch", "jax")}
    assert off["jax"] > 1e-2 > 1e-3 > off["pytorch"]


def test_a_document_has_the_graph_that_was_written():
    one = case("lstm", "stack")
    graph = graph_of(one)
    again = document_of(graph).graph()
    a, b = (values_of(g, one.inputs(1)) for g in (graph, again))
    assert all(np.array_equal(a[name], b[name]) for name in a)
