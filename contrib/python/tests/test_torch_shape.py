"""PyTorch: what moves elements, makes them of sizes, and reduces them, against torch in float64."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")

from torch import nn  # noqa: E402
from torch.nn import functional as F  # noqa: E402

from planetbridging import BridgeWarning, emit  # noqa: E402
from torch_networks import drawn, exact, family, filled, module, operations, problems_of  # noqa: E402

SHAPES = ((3, 4, 6), (2, 5, 6))


def scattered(x):
    y = x.clone()
    y[:, 1] = 2.0
    y[:, :, 2:4] = x[:, :, :2] * 3
    y[:, -1] += 1
    return y


def filled_in(x):
    y = x.clone()
    y[y > 1] = 0.5
    return y


MOVES = {
    "repeat": lambda x: x.repeat(2, 1, 3), "tile": lambda x: x.tile(2),
    "front": lambda x: x.repeat(2, 1, 1, 1), "interleave": lambda x: x.repeat_interleave(2, 1),
    "roll": lambda x: x.roll((1, -2), (1, 2)), "roll_all": lambda x: x.roll(2),
    "flip": lambda x: x.flip(1, 2), "expand": lambda x: x[:, :1].expand(-1, 3, -1),
    "broadcast": lambda x: x[:, None].expand(-1, 2, -1, -1), "unbind": lambda x: x.unbind(2)[1],
    "stack": lambda x: torch.stack([x, x > 0], 1), "cat": lambda x: torch.cat([x, x.long()], 1),
    "gather": lambda x: x.gather(2, (x[..., :2] > 0).long()),
    "index": lambda x: x[:, [2, 0, 2]], "from_end": lambda x: x[..., [-1, 0]],
    "back": lambda x: x[:, torch.tensor([-1, 1])],
    "pairs": lambda x: x[:, [0, 1, 2], [5, 3, 3]],
    "grid": lambda x: x[:, torch.tensor([[0], [1]]), torch.tensor([[5, 0, 1]])],
    "scattered": scattered, "filled_in": filled_in, "swap": lambda x: x.swapaxes(1, 2),
    "narrow": lambda x: x.narrow(2, 1, 3), "negative": lambda x: x[:, -2:-1],
    "tensor_split": lambda x: x.tensor_split(3, -1)[2], "chunk": lambda x: x.chunk(2, 1)[0],
    "diff": lambda x: x.diff(dim=2),
    "channel_shuffle": lambda x: F.channel_shuffle(x.transpose(1, 2)[..., None], 3),
}


def test_moves(streamed):
    document = exact(streamed, family(MOVES), *drawn(*SHAPES))
    assert {"expand", "gather", "gather_elements", "concat", "slice", "cast"} <= set(operations(document))


def test_places_along_an_axis(streamed):
    net = module(lambda s, x, i: torch.take_along_dim(x, i, 1))
    inputs = [{"x": drawn((3, 4, 6))[0]["x"], "i": np.random.default_rng(n).integers(0, 4, (3, n, 1))}
              for n in (2,)]
    with pytest.warns(BridgeWarning, match="^the network works for 3 samples only"):
        exact(streamed, net, *inputs)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_diagonal(streamed, axis):
    net = module(lambda s, x: x.diagonal(axis - 1, 1, 2))
    exact(streamed, net, *drawn((3, 4, 6), (2, 4, 6)))


PADS = {
    "zeros": lambda x: F.pad(x, (1, 2, 0, 3)), "value": lambda x: F.pad(x, (1, 0), value=2.5),
    "reflect": lambda x: F.pad(x, (2, 1), mode="reflect"),
    "replicate": lambda x: F.pad(x, (4, 1), mode="replicate"),
    "circular": lambda x: F.pad(x, (1, 2), mode="circular"),
    "less": lambda x: F.pad(x, (-1, 2)), "both_less": lambda x: F.pad(x, (-1, -2, 1, 0)),
    "none": lambda x: F.pad(x, (0, 0)), "truth": lambda x: F.pad(x > 0, (1, 1), value=True),
    "whole": lambda x: F.pad(x.long(), (1, 1), value=7),
}


def test_pads(streamed):
    document = exact(streamed, family(PADS), *drawn(*SHAPES))
    pads = [n["params"] for n in document.nodes if n["op"] == "pad"]
    assert pads[0] == {"axes": [1, 2], "low": [0, 1], "high": [3, 2], "mode": "constant", "value": 0.0}
    assert {p["mode"] for p in pads} == {"constant", "reflect", "replicate", "circular"}


@pytest.mark.parametrize("mode", ["circular", "reflect", "replicate"])
def test_padding_of_a_convolution(streamed, mode):
    net = filled(nn.Sequential(nn.Conv2d(2, 3, 3, padding=(1, 2), padding_mode=mode)))
    document = exact(streamed, net, *drawn((3, 2, 5, 6), (2, 2, 4, 7)))
    assert operations(document) == ["pad", "conv2"] and document.nodes[-1]["name"] == "0"


IMAGES = {
    "shuffle": lambda x: F.pixel_shuffle(x, 2),
    "twice": lambda x: F.interpolate(x, scale_factor=2),
    "size": lambda x: F.interpolate(x, size=(7, 5)),
    "exact": lambda x: F.interpolate(x, size=(7, 5), mode="nearest-exact"),
    "linear": lambda x: F.interpolate(x, size=(7, 9), mode="bilinear"),
    "corners": lambda x: F.interpolate(x, size=(7, 9), mode="bilinear", align_corners=True),
    "factor": lambda x: F.interpolate(x, scale_factor=(2, 3), mode="bilinear"),
    "row": lambda x: F.interpolate(x[:, 0], scale_factor=2, mode="linear"),
    "volume": lambda x: F.interpolate(x[:, None], size=(3, 4, 5), mode="trilinear"),
}


def test_images(streamed):
    document = exact(streamed, family(IMAGES), *drawn((3, 8, 4, 6), (2, 8, 5, 3)))
    resized = [n["params"] for n in document.nodes if n["op"] == "resize"]
    assert {(p["mode"], p["coordinates"]) for p in resized} == {
        ("nearest", "asymmetric"), ("nearest", "half_pixel"), ("linear", "half_pixel"),
        ("linear", "align_corners")}


def test_operations_that_want_numbers_fix_the_axes(streamed):
    net = module(lambda s, x: (F.pixel_unshuffle(x, 2), F.adaptive_avg_pool2d(x, (2, 3)),
                               F.adaptive_max_pool2d(x, (2, None)), F.interpolate(x, scale_factor=1.5)))
    with pytest.warns(BridgeWarning) as found:
        document = exact(streamed, net, *drawn((3, 2, 4, 6), (2, 2, 4, 6)))
    assert document.head["inputs"][0]["shape"] == ["batch", 2, 4, 6]
    assert [str(w.message) for w in found][:2] == [
        "the graph holds for 2 on axis 1 of x only: aten.pixel_unshuffle cannot follow the inputs there",
        "the graph holds for 4 on axis 2 of x only: aten.adaptive_avg_pool2d, aten.adaptive_max_pool2d, "
        "aten.upsample_nearest2d.vec cannot follow the inputs there"]
    assert {str(w.message) for w in found[2:]} <= {
        "the graph holds for 6 on axis 3 of x only, though the network takes other sizes: its code settles it"}
    assert [n["params"]["kernel"] for n in document.nodes if "pool" in n["op"]] == [[2, 2], [2, 1]]


def test_what_moves_cannot_say():
    def forward(s, x):
        return (x[x > 0], F.adaptive_avg_pool2d(x, (3, 4)), F.interpolate(x, scale_factor=2, mode="bicubic"),
                x.sort()[0], x.scatter(1, x.long(), 1.0), F.interpolate(x, scale_factor=1.3))
    assert problems_of(module(forward), drawn((3, 2, 4, 6))[0]) == [
        ("the model", "Net", "aten.index.Tensor with a mask as an index: the result's size would "
                             "follow its values"),
        ("the model", "Net", "aten.adaptive_avg_pool2d with output_size [3, 4] of 4 x 6, which it does "
                             "not divide"),
        ("the model", "Net", "aten.upsample_bicubic2d.vec"), ("the model", "Net", "aten.sort"),
        ("the model", "Net", "aten.scatter.value"),
        ("the model", "Net", "aten.upsample_nearest2d.vec with scale_factor 1.3 of an axis of 4")]


MADE = {
    "arange": lambda x: x + torch.arange(x.shape[1])[:, None],
    "steps": lambda x: torch.arange(1, 2 * x.shape[1], 2) * x.shape[0],
    "ones": lambda x: x * torch.ones(x.shape[1], 1),
    "zeros_like": lambda x: torch.zeros_like(x) - x,
    "full": lambda x: torch.full((x.shape[1], 2), 0.5),
    "new": lambda x: torch.cat([x, x.new_ones(x.shape[0], 1, x.shape[2])], 1),
    "full_like": lambda x: torch.full_like(x, 3), "tril": lambda x: torch.tril(x, 1),
    "triu": lambda x: torch.triu(x > 0, -1),
    "mask": lambda x: torch.ones(x.shape[1], x.shape[1], dtype=torch.bool).tril(),
    "eye": lambda x: torch.eye(x.shape[1]),
    "grid": lambda x: torch.meshgrid(torch.arange(x.shape[1]), torch.arange(x.shape[2]), indexing="ij")[0],
    "where": lambda x: torch.where(torch.arange(x.shape[1])[:, None] > 2, x, 0.0),
    "one_hot": lambda x: F.one_hot((x > 0).long(), 3),
}


def test_what_sizes_make(streamed):
    document = exact(streamed, family(MADE), *drawn((3, 4, 6), (2, 5, 6)))
    assert {"arange", "size", "expand", "where", "greater"} <= set(operations(document))


def test_what_no_size_changes_is_a_constant(streamed):
    net = module(lambda s, x: x + torch.arange(6.0).flip(0).cumsum(0) * torch.ones(6).triu().sum()
                 if False else x + torch.ones(6, 6).triu().sum(0))
    document = exact(streamed, net, *drawn(*SHAPES))
    assert operations(document) == ["constant", "add"]
    np.testing.assert_array_equal(document.values("sum", "value"), np.arange(1, 7))


REDUCED = {
    "sum": lambda x: x.sum(), "sum_axes": lambda x: x.sum((0, -1)),
    "mean": lambda x: x.mean((1, 2), keepdim=True), "mean_all": lambda x: x.mean(),
    "count": lambda x: (x > 0).sum(-1), "max": lambda x: x.max(),
    "max_axis": lambda x: x.max(1)[0], "max_index": lambda x: x.max(1, keepdim=True)[1],
    "min_both": lambda x: torch.stack([*x.min(-1)][:1]), "min_index": lambda x: x.min(-1)[1],
    "amax": lambda x: x.amax((0, 1)), "amin": lambda x: x.amin(-1, keepdim=True),
    "argmax": lambda x: x.argmax(), "argmax_axis": lambda x: x.argmax(1),
    "argmin": lambda x: x.argmin(-1, keepdim=True), "any": lambda x: (x > 1).any(-1),
    "all": lambda x: (x > -1).all(), "var": lambda x: x.var(-1),
    "var_0": lambda x: x.var((1, 2), unbiased=False), "std": lambda x: x.std(1, keepdim=True),
    "var_all": lambda x: x.var(), "var_mean": lambda x: torch.var_mean(x, -1)[1],
    "norm": lambda x: x.norm(dim=-1), "norm_1": lambda x: x.norm(1, -1),
    "norm_inf": lambda x: torch.linalg.norm(x, torch.inf, -1),
    "norm_3": lambda x: x.norm(3, dim=1), "normalize": lambda x: F.normalize(x, dim=1),
    "cosine": lambda x: F.cosine_similarity(x, x * x, dim=-1),
    "logsumexp": lambda x: x.logsumexp((1, 2)), "cumsum": lambda x: x.cumsum(1),
    "counts": lambda x: (x > 0).cumsum(-1), "nonzero": lambda x: torch.count_nonzero(x > 0, -1),
}


def test_reductions(streamed):
    document = exact(streamed, family(REDUCED), *drawn(*SHAPES))
    assert {"sum", "mean", "max", "min", "argmax", "cumsum", "sqrt"} <= set(operations(document))


def test_what_reductions_cannot_say():
    net = module(lambda s, x: (x.prod(-1), x.median(), x.cumprod(1), x.topk(2)[0],
                               x.sum(dtype=torch.float64)))
    assert [op for _, _, op in problems_of(net, drawn((3, 4))[0])] == [
        "aten.prod.dim_int", "aten.median", "aten.cumprod", "aten.topk",
        "aten.sum with another dtype for its result"]


def test_what_a_size_of_one_changes_is_said(streamed):
    net = module(lambda s, x: x.sum(1, keepdim=True).squeeze())
    with pytest.warns(BridgeWarning) as found:
        graph = emit(net, example=drawn((3, 4))[0])
    assert [str(w.message) for w in found] == [
        "forward depends on a size: the graph holds for batch >= 2 only"]
    assert graph.nodes[-1].params["shape"] == ["batch"]


def test_a_branch_for_one_step_is_said():
    net = module(lambda s, x: x * 2 if x.shape[1] == 1 else x * 3)
    with pytest.warns(BridgeWarning, match="^forward depends on a size: the graph holds for d1 >= 2 only$"):
        emit(net, example=drawn((3, 4))[0])


def test_a_size_of_one_that_changes_nothing_is_not_said(recwarn):
    emit(module(lambda s, x: x.reshape(-1, x.shape[-1]).softmax(-1)), example=drawn((3, 4, 5))[0])
    assert not [w for w in recwarn if issubclass(w.category, BridgeWarning)]
