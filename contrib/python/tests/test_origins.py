"""Where slots stand in the arrays that they are views of: by layouts read from memory, never a wrong one."""

from __future__ import annotations

import numpy as np
import pytest

from planetbridging.graph import Builder, Graph, Node, Tensor
from planetbridging.origins import Layout, layout_of
from planetbridging.stream import entry_of

RNG = np.random.default_rng(5)


def numbered(shape, order: str, gap: bool) -> np.ndarray:
    """0, 1, 2, ... in C order of `shape`; in memory the axes stand in another order, perhaps with gaps."""
    perm = RNG.permutation(len(shape)) if order == "other" else np.arange(len(shape))
    room = np.full([shape[axis] + gap for axis in perm], -1, np.int64)
    inside = room[(*(slice(shape[axis]) for axis in perm), ...)]
    whole = inside.transpose(np.argsort(perm))
    whole[...] = np.arange(whole.size).reshape(shape)
    return whole


def seen(view: np.ndarray) -> np.ndarray:
    """The same memory in some other way: steps, flips, turns, axes joined, or single rows."""
    kind = RNG.integers(6)
    if kind == 0 and view.ndim:
        axis = RNG.integers(view.ndim)
        low = RNG.integers(view.shape[axis])
        cut = [slice(None)] * view.ndim
        cut[axis] = slice(low, RNG.integers(low + 1, view.shape[axis] + 1), RNG.integers(1, 3))
        return view[tuple(cut)]
    if kind == 1 and view.ndim:
        return np.flip(view, RNG.integers(view.ndim))
    if kind == 2:
        return view.transpose(RNG.permutation(view.ndim))
    if kind == 3 and view.ndim:
        axis = RNG.integers(view.ndim)
        return view[(*[slice(None)] * axis, 0, ...)]
    if kind == 4 and view.ndim > 1:
        axis = RNG.integers(view.ndim - 1)
        return view.reshape(*view.shape[:axis], -1, *view.shape[axis + 2:])
    return np.expand_dims(view, RNG.integers(view.ndim + 1))


@pytest.mark.parametrize("order", ["c", "other"])
@pytest.mark.parametrize("gap", [False, True])
def test_elements_gathered_by_a_layout_are_the_view(order, gap):
    found = 0
    for _ in range(1500):
        whole = numbered(tuple(RNG.integers(1, 5, RNG.integers(0, 5))), order, gap)
        view = whole
        for _ in range(RNG.integers(1, 6)):
            view = seen(view)
        layout = layout_of(whole, view)
        if not np.shares_memory(whole, view):
            continue
        if layout is None:
            # Only axes that are joined across a turn or a gap have no even steps in C order.
            assert order == "other" or gap, (whole.shape, whole.strides, view.shape, view.strides)
            continue
        assert layout.shape == whole.shape
        assert (layout.of(whole, view.shape) == view).all()
        assert all((stride == 0) == (size == 1) for size, stride in zip(view.shape, layout.strides))
        found += 1
    assert found > 700


def test_a_view_that_has_steps_in_c_order_has_a_layout_in_any_order_of_memory():
    whole = np.asfortranarray(np.arange(24).reshape(2, 3, 4))
    assert layout_of(whole, whole) == Layout((2, 3, 4), 0, (12, 4, 1))
    assert layout_of(whole, whole[:, ::-1, 1]) == Layout((2, 3, 4), 9, (12, -4))
    assert layout_of(whole, whole.T.reshape(24)) is None    # its memory as it lies: no even steps


def test_what_is_no_view_has_no_layout():
    whole = np.arange(12.0).reshape(3, 4)
    assert layout_of(whole, whole.copy()) is None
    assert layout_of(whole, whole.view(np.int64)) is None
    assert layout_of(whole[:, :2], whole[:, 1:3]) is None
    assert layout_of(whole, np.broadcast_to(whole[0], (3, 4))) is None
    assert layout_of(np.broadcast_to(whole[0], (3, 4)), whole[0]) is None
    assert layout_of(whole[::-1], whole[0]) is None
    assert layout_of(whole, whole.view(np.float32)[:, ::2]) is None
    assert layout_of(whole, whole[:0]) is None


def entries(graph: Graph) -> dict:
    return {f"{node.name}.{t.slot}": entry_of(t) for node in graph.nodes for t in node.tensors}


def test_a_builder_tells_views_their_array_and_what_is_computed_nothing():
    builder = Builder("pytorch", {}, "n")
    x = builder.input("x", "float32", ["batch", 3])
    whole = builder.origin("both", np.arange(12, dtype=np.float32).reshape(4, 3), ["again"])
    first = builder.dense("first", x, whole[2:], sources=("both", ""))
    second = builder.dense("second", first, whole[:2, :2] + 1, whole[0, :2], sources=("both + 1", ""))
    found = entries(builder.finish([second], ["y"]))
    assert found["first.weight"] == {
        "slot": "weight", "dtype": "float32", "shape": [2, 3], "axes": ["o", "i"], "source": "both",
        "layout": {"shape": [4, 3], "first": 6, "strides": [3, 1]}, "aliases": ["again"]}
    assert found["second.weight"]["source"] == "both + 1" and "layout" not in found["second.weight"]
    assert found["second.bias"]["source"] == "both"
    assert found["second.bias"]["layout"] == {"shape": [4, 3], "first": 0, "strides": [1]}


def test_of_arrays_that_share_memory_the_named_one_is_meant():
    builder = Builder("pytorch", {}, "n")
    x = builder.input("x", "float32", ["batch", 3])
    flat = builder.origin("flat", np.arange(6, dtype=np.float32))
    matrix = builder.origin("matrix", flat.reshape(2, 3))
    y = builder.dense("layer", x, matrix, sources=("matrix", ""))
    found = entries(builder.finish([y]))["layer.weight"]
    assert (found["source"], found["layout"]["shape"]) == ("matrix", [2, 3])


def test_bits_of_bfloat16_are_compared_as_bits():
    dtype = pytest.importorskip("ml_dtypes", reason="ml_dtypes is not installed").bfloat16
    whole = np.arange(6).astype(dtype).reshape(2, 3)
    tensor = Tensor("weight", whole.T)
    builder = Builder("keras", {}, "n")
    builder.origin("kernel", whole)
    builder.graph.nodes.append(Node("a", "dense", [], {}, [tensor]))
    builder.finish([])
    assert (tensor.dtype, tensor.source, tensor.layout) == ("bfloat16", "kernel", Layout((2, 3), 0, (1, 3)))
