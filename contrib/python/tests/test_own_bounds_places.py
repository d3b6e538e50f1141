"""Bounds of places, lengths, masks and quotients: the interpreter's values, real roundings."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest

import elementary
import interpreter
from planetbridging.bedrock.own import bounds
from planetbridging.bedrock.own.bounded import U, Bounded, exact
from planetbridging.bedrock.own.explaining import part
from planetbridging.vocabulary import AXES

needs_torch = pytest.mark.skipif(importlib.util.find_spec("torch") is None,
                                 reason="torch is not installed")


def values(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def transposed(stride, pads, kernel=(3, 2), groups=1, dilation=(1, 1)):
    return {"in_channels": 4, "out_channels": 6, "groups": groups, "kernel": list(kernel),
            "stride": list(stride), "dilation": list(dilation), "pad_low": [pads[0]] * 2,
            "pad_high": [pads[1]] * 2, "bias": True}


@pytest.mark.parametrize("p", [
    transposed((1, 1), (0, 0)), transposed((2, 3), (1, 1)), transposed((2, 2), (-1, -2), groups=2),
    transposed((2, 2), (1, 0), dilation=(2, 3)), transposed((3, 2), (0, 1), kernel=(4, 5))], ids=str)
def test_a_transposed_convolution_is_the_interpreter_s(p):
    w = {"weight": values(6, 4 // p["groups"], *p["kernel"], seed=1), "bias": values(6, seed=2)}
    x = values(2, 4, 5, 3)
    made, = bounds.node("convtranspose2", p, w, [exact(x)], "pytorch")
    np.testing.assert_allclose(made.v, interpreter.convtranspose(p, w, x.astype(float)), atol=1e-12)
    assert (made.e > 0).all()


def test_taps_that_do_not_meet_are_not_counted():
    """Stride 2 and a kernel of 3: two taps at most meet in a place, so (4 * 2 + 3) u |sum|."""
    p = {"in_channels": 4, "out_channels": 1, "groups": 1, "kernel": [3], "stride": [2],
         "dilation": [1], "pad_low": [0], "pad_high": [0], "bias": False}
    w, x = {"weight": np.ones((1, 4, 3))}, exact(np.ones((1, 4, 2)))
    made, = bounds.node("convtranspose1", p, w, [x], "pytorch")
    assert made.v.tolist() == [[[4, 4, 8, 4, 4]]]
    np.testing.assert_allclose(made.e / U, [[[44, 44, 88, 44, 44]]], rtol=1e-12)


@needs_torch
@pytest.mark.parametrize("stride", [1, 2])
def test_pytorch_s_transposed_convolution_is_explained(stride):
    import torch

    p = transposed((stride, stride), (1, 1))
    x, weight, bias = values(2, 4, 9, 8), values(6, 4, 3, 2, seed=1), values(6, seed=2)
    found = torch.nn.functional.conv_transpose2d(
        *(torch.from_numpy(np.ascontiguousarray(a)) for a in (x, weight.swapaxes(0, 1), bias)),
        stride=stride, padding=1).numpy()
    made, = bounds.node("convtranspose2", p, {"weight": weight, "bias": bias}, [exact(x)], "pytorch")
    assert 0.01 < part(found, made) < 1
    assert part(found.astype(np.float16).astype(np.float32), made) > 10


RESIZED = [("nearest", "asymmetric", [7, 11]), ("nearest", "half_pixel", [7, 4]),
           ("linear", "half_pixel", [7, 4]), ("linear", "asymmetric", [2, 9]),
           ("linear", "align_corners", [9, 1]), ("linear", "half_pixel", [8])]


@pytest.mark.parametrize("mode, coordinates, size", RESIZED)
def test_resizing_is_the_interpreter_s(mode, coordinates, size):
    p = {"mode": mode, "coordinates": coordinates, "size": size}
    x = values(2, 3, 5, 6)
    made, = bounds.node("resize", p, {}, [exact(x)], "pytorch")
    np.testing.assert_allclose(made.v, elementary.resize(p, {}, x.astype(float)), atol=1e-12)
    assert (made.e == 0).all() if mode == "nearest" else (made.e > 0).any()


def test_resizing_passes_errors_on():
    p = {"mode": "nearest", "coordinates": "asymmetric", "size": [4]}
    made, = bounds.node("resize", p, {}, [Bounded(np.array([1.0, 2.0]), np.array([0.25, 0.5]))], "jax")
    assert made.v.tolist() == [1, 1, 2, 2] and made.e.tolist() == [0.25, 0.25, 0.5, 0.5]


@needs_torch
@pytest.mark.parametrize("corners", [False, True])
def test_pytorch_s_resizing_is_explained(corners):
    import torch

    x, size = values(2, 3, 13, 17), [29, 31]
    found = torch.nn.functional.interpolate(torch.from_numpy(x), size=size, mode="bilinear",
                                            align_corners=corners).numpy()
    p = {"mode": "linear", "coordinates": "align_corners" if corners else "half_pixel", "size": size}
    made, = bounds.node("resize", p, {}, [exact(x)], "pytorch")
    assert 0.01 < part(found, made) < 1
    assert part(found.astype(np.float16).astype(np.float32), made) > 10


@pytest.mark.parametrize("direction", ["forward", "backward"])
@pytest.mark.parametrize("op", ["rnn", "lstm", "gru"])
def test_a_sequence_that_ends_keeps_its_state(op, direction):
    p = {"input_size": 3, "hidden_size": 4, "biases": 1, "direction": direction, "order": "time",
         **({"activation": "tanh"} if op == "rnn" else {}),
         **({"reset_after": False} if op == "gru" else {})}
    sizes = {"h": 4, "i": 3, "u": 4}
    w = {slot: values(*(sizes[axis] for axis in axes), seed=n)
         for n, (slot, axes) in enumerate(AXES[op].items()) if not slot.startswith("b2")}
    x, lengths = values(3, 5, 3), np.array([5, 2, 0])
    given = [exact(x), *[None] * (2 if op == "lstm" else 1), exact(lengths)]
    made = bounds.node(op, p, w, given, "pytorch")
    right = interpreter.OPERATIONS[op](p, w, x.astype(float),
                                       *(None if g is None else g.v.astype(int) for g in given[1:]))
    for value, wanted in zip(made, right):
        np.testing.assert_allclose(value.v, wanted, atol=1e-12)
    assert (made[0].v[2] == 0).all() and (made[0].e[2] == 0).all()
    kept = made[0].v[1, 2:] if direction == "forward" else made[1].v[2:]
    assert (kept == (made[1].v[1] if direction == "forward" else 0)).all()


BLIND = {"causal": False, "scale": None, "mask": "keep"}


@pytest.mark.parametrize("fill, empty, wanted", [
    ("least", "zero", 2.0), ("-1e9", "zero", 2.0), ("-inf", "zero", 0.0), ("-inf", "nan", np.nan)])
def test_a_query_that_sees_nothing(fill, empty, wanted):
    """One query sees the second of the values 1, 3 alone, the other nothing: their mean, 0 or no number."""
    query, key = exact(values(1, 2, 4)), exact(values(1, 2, 4, seed=1))
    mask = exact([[[False, True], [False, False]]])
    made, = bounds.node("scaled_dot_product_attention", {**BLIND, "fill": fill, "empty": empty}, {},
                        [query, key, exact([[[1.0], [3.0]]]), mask], "pytorch")
    np.testing.assert_allclose(made.v, [[[3.0], [wanted]]], rtol=1e-15)
    assert np.isfinite(made.e).all() and made.e.max() < 1e-5


def test_what_is_no_number_must_be_none_on_both_sides():
    right = Bounded(np.array([1.0, np.nan]), np.array([1e-7, 0.0]))
    assert part(np.array([1.0, np.nan]), right) == 0
    assert part(np.array([1.0, 2.0]), right) == np.inf
    assert part(np.array([np.nan, np.nan]), right) == np.inf
    assert part(np.array([np.inf]), Bounded(np.array([np.inf]), np.array([np.nan]))) == 0


@pytest.mark.parametrize("planet, roundings", [("pytorch", 1), ("tensorflow", 1), ("jax", 2)])
def test_a_quotient_is_rounded_once_but_by_xla(planet, roundings):
    made, = bounds.node("div", {}, {}, [exact([3.0]), exact([7.0])], planet)
    assert made.e[0] / U / made.v[0] == pytest.approx(roundings, rel=1e-3)
