"""Batch norms folded into the layer before them: what goes, what stays, and that the numbers hold."""

from __future__ import annotations

import numpy as np
import pytest

from conftest import needs_programs
from planetbridging import BridgeError, folding
from planetbridging.checking import run_check
from planetbridging.graph import Builder, Tensor
from interpreter import run as run_numpy

RNG = np.random.default_rng(5)


def draw(*shape):
    return RNG.uniform(0.5, 2, shape).astype(np.float32)


def norm(b, x, n, axis, **shared):
    name = b.unique("norm")
    tensors = [Tensor(slot, draw(n), axes=["n"]) for slot in ("gamma", "beta", "mean", "var")]
    params = {"dim": n, "axis": axis, "eps": 1e-3, "scale": True, "offset": True}
    return b.put(name, "batchnorm", [x], params, tensors)


def conv(b, x, bias, axes=("f", "c", "w")):
    name = b.unique("conv")
    sizes = {"f": 3, "c": 2, "w": 3}
    tensors = [Tensor("weight", draw(*(sizes[a] for a in axes)) - 1, axes=list(axes))]
    tensors += [Tensor("bias", draw(3), axes=["f"])] if bias else []
    params = {"in_channels": 2, "out_channels": 3, "groups": 1, "kernel": [3], "stride": [1],
              "dilation": [1], "pad_low": [1], "pad_high": [1], "bias": bias}
    return b.put(name, "conv1", [x], params, tensors)


def finished(b, made):
    return b.finish([made], b.reserve(["y"]))


@needs_programs
@pytest.mark.parametrize("bias, axes, axis", [(True, "fcw", 1), (False, "wcf", -2)])
def test_a_norm_behind_a_convolution_goes_into_it(streamed, bias, axes, axis):
    b = Builder("test", {}, "g")
    x = b.input("x", "float32", ["b", 2, 5])
    graph = finished(b, b.node("act", "relu", [norm(b, conv(b, x, bias, axes), 3, axis)]))
    given = {"x": RNG.normal(size=(4, 2, 5)).astype(np.float32)}
    wanted = run_numpy(streamed(graph), given)
    assert folding.fold(graph, "batchnorm") == ["norm"]
    document = streamed(graph)
    assert [(n["op"], n.get("out")) for n in document.nodes] == [("conv1", ["norm"]), ("relu", ["y"])]
    assert document.nodes[0]["tensors"][-1]["source"] == "folded with norm"
    result = run_check(graph, given, wanted, ["--atol", "1e-6"])
    assert result, result.report


def test_a_norm_behind_a_dense_layer_goes_by_its_last_axis(streamed):
    for axis, gone in ((-1, ["norm"]), (1, [])):
        b = Builder("test", {}, "g")
        x = b.input("x", "float32", ["b", 4, 2])
        y = b.dense("fc", x, draw(4, 2), draw(4))
        graph = finished(b, norm(b, y, 4, axis))
        given = {"x": RNG.normal(size=(3, 4, 2)).astype(np.float32)}
        wanted = run_numpy(streamed(graph), given)["y"]
        assert folding.fold(graph, "batchnorm") == gone
        np.testing.assert_allclose(run_numpy(streamed(graph), given)["y"], wanted, rtol=0, atol=2e-6)


def test_a_norm_stays_where_the_layer_has_another_reader_or_is_none():
    b = Builder("test", {}, "g")
    x = b.input("x", "float32", ["b", 2, 5])
    y = conv(b, x, True)
    both = b.node("both", "add", [y, norm(b, y, 3, 1)])
    graph = finished(b, norm(b, b.node("act", "relu", [both]), 3, 1))
    assert folding.fold(graph, "batchnorm") == [] and len(graph.nodes) == 5
    with pytest.raises(BridgeError, match="fold is 'all', expected one of batchnorm"):
        folding.fold(graph, "all")


def test_the_command_line_folds(command, module_file, tmp_path):
    pytest.importorskip("torch", reason="torch is not installed")
    module_file("net", "import torch\nfrom torch import nn\ndef build():\n    torch.manual_seed(0)\n"
                "    return nn.Sequential(nn.Conv1d(2, 3, 3), nn.BatchNorm1d(3)).eval()\n")
    np.save(tmp_path / "x.npy", RNG.normal(size=(2, 2, 7)).astype(np.float32))
    status, out, err = command("check", "net:build", "--input", "x.npy", "--fold", "batchnorm")
    assert status == 0 and "folded into the layers before them: 1\n" in err
    assert b"emit pytorch net:build --input x.npy --fold batchnorm | loom-stream" in out
