"""PyTorch: convolution, pooling, what moves elements, norms, embedding; every option that counts."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")

from torch import nn  # noqa: E402
from torch.nn import functional as F  # noqa: E402

from planetbridging import emit  # noqa: E402
from planetbridging.composed.torch_ import SwiGLU, ZeroOutsideEmbedding  # noqa: E402
from torch_networks import drawn, exact, filled, module, names, operations, problems_of  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")


def ids(*shapes, low=0, high=11):
    rng = np.random.default_rng(3)
    return [{"x": rng.integers(low, high, shape)} for shape in shapes]


@pytest.mark.parametrize("layer, shapes, expected", [
    (nn.Conv1d(4, 6, 3, 2, 1, 2, 2), ((3, 4, 11), (2, 4, 14)),
     {"kernel": [3], "stride": [2], "dilation": [2], "pad_low": [1], "groups": 2}),
    (nn.Conv1d(4, 6, 3, bias=False), ((3, 4, 11), (2, 4, 14)), {"bias": False, "pad_high": [0]}),
    (nn.Conv1d(4, 4, 4, padding="same", groups=4), ((3, 4, 11), (2, 4, 14)),
     {"pad_low": [1], "pad_high": [2], "in_channels": 4, "groups": 4}),
    (nn.Conv2d(3, 5, (3, 2), (2, 1), (1, 0), (1, 2)), ((3, 3, 9, 8), (2, 3, 7, 11)),
     {"kernel": [3, 2], "stride": [2, 1], "pad_low": [1, 0], "dilation": [1, 2]}),
    (nn.Conv2d(3, 5, (4, 3), padding="same", dilation=(1, 2)), ((3, 3, 9, 8), (2, 3, 7, 11)),
     {"pad_low": [1, 2], "pad_high": [2, 2]}),
    (nn.Conv2d(3, 3, 3), ((3, 3, 5, 5), (2, 3, 4, 7)), {"kernel": [3, 3], "stride": [1, 1]}),
    (nn.Conv3d(2, 4, (2, 3, 1), (1, 2, 1), groups=2), ((3, 2, 5, 6, 4), (2, 2, 4, 7, 3)),
     {"kernel": [2, 3, 1], "stride": [1, 2, 1]}),
    (nn.Conv3d(2, 3, 2, padding="valid"), ((3, 2, 5, 6, 4), (2, 2, 4, 3, 7)), {"pad_low": [0, 0, 0]}),
])
def test_convolutions(streamed, layer, shapes, expected):
    document = exact(streamed, filled(nn.Sequential(layer)), *drawn(*shapes))
    node, = document.nodes
    assert (node["name"], node["op"]) == ("0", f"conv{len(shapes[0]) - 2}")
    assert expected.items() <= node["params"].items()
    assert "".join(node["tensors"][0]["axes"]) == {3: "fcw", 4: "fchw", 5: "fcdhw"}[len(shapes[0])]
    assert node["tensors"][0]["source"] == "0.weight"


def test_a_convolution_without_a_batch_axis(streamed):
    exact(streamed, filled(nn.Sequential(nn.Conv2d(3, 4, (2, 3)))), *drawn((3, 5, 6), (3, 4, 9)))


def test_a_convolution_that_is_used_twice_travels_once(streamed):
    net = module(lambda s, x: s.a(torch.relu(s.a(x))), a=nn.Conv1d(4, 4, 3, padding=1))
    document = exact(streamed, net, *drawn((3, 4, 9), (2, 4, 6)))
    assert names(document) == ["a", "relu", "a_2"]
    assert [t["same"] for t in document.nodes[2]["tensors"]] == ["a.weight", "a.bias"]


@pytest.mark.parametrize("layer, extents, more", [
    (nn.MaxPool1d(3, 2, 1), ((10,), (13,)), {"pad_low": [1], "ceil": False}),
    (nn.MaxPool1d(3, 2, 1, ceil_mode=True), ((10,), (13,)), {"ceil": True}),
    (nn.MaxPool1d(2), ((9,), (6,)), {"stride": [2]}),
    (nn.MaxPool2d((3, 2), 2, 1, 2), ((10, 11), (8, 13)), {"dilation": [2, 2], "pad_high": [1, 1]}),
    (nn.MaxPool2d(3, 2, ceil_mode=True), ((8, 11), (6, 10)), {"kernel": [3, 3]}),
    (nn.MaxPool3d(2, (1, 2, 1)), ((4, 5, 3), (6, 4, 5)), {"stride": [1, 2, 1]}),
    (nn.AvgPool1d(3, 2, 1), ((10,), (13,)), {"count_pad": True}),
    (nn.AvgPool1d(3, 2, 1, True), ((10,), (13,)), {"ceil": True}),
    (nn.AvgPool2d((3, 2), (2, 3), (1, 0), True), ((10, 11), (8, 13)), {"stride": [2, 3]}),
    (nn.AvgPool2d((3, 2), (2, 3), 1, True, False), ((10, 11), (8, 13)), {"count_pad": False}),
    (nn.AvgPool3d(2, 1, (1, 0, 1), count_include_pad=False), ((4, 5, 3), (6, 4, 5)),
     {"pad_low": [1, 0, 1]}),
])
def test_pools(streamed, layer, extents, more):
    inputs = drawn((3, 2, *extents[0]), (2, 2, *extents[1]))
    document = exact(streamed, nn.Sequential(layer), *inputs)
    node, = document.nodes
    assert node["op"] == f"{type(layer).__name__[:3].lower()}pool{len(extents[0])}"
    assert more.items() <= node["params"].items() and node["name"] == "0"


@pytest.mark.parametrize("n", [1, 2, 3])
@pytest.mark.parametrize("kind", ["Avg", "Max"])
def test_pools_to_one_value(streamed, kind, n):
    layer = getattr(nn, f"Adaptive{kind}Pool{n}d")(1)
    document = exact(streamed, nn.Sequential(layer), *drawn((3, 2, 6, 4, 5)[:n + 2], (2, 2, 3, 7, 4)[:n + 2]))
    assert [(x["op"], x["params"]) for x in document.nodes] == [
        (f"global_{kind.lower()}pool", {"spatial": n})]


def test_what_pools_cannot_say():
    net = module(lambda s, x: (s.a(x), s.b(x)[1], s.c(x), s.d(x)[1]), a=nn.AdaptiveAvgPool2d((4, 3)),
                 b=nn.MaxPool2d(2, return_indices=True), c=nn.AvgPool2d(2, divisor_override=3),
                 d=nn.AdaptiveMaxPool2d(1, return_indices=True))
    assert problems_of(net, drawn((3, 2, 6, 8))[0]) == [
        ("a", "AdaptiveAvgPool2d", "aten.adaptive_avg_pool2d with output_size [4, 3] of 6 x 8, which it "
                                   "does not divide"),
        ("b", "MaxPool2d", "aten.max_pool2d_with_indices with the indices as a result"),
        ("c", "AvgPool2d", "aten.avg_pool2d with divisor_override=3"),
        ("d", "AdaptiveMaxPool2d", "aten.adaptive_max_pool2d with the indices as a result")]


@pytest.mark.parametrize("forward, ops", [
    (lambda s, x: x[:, 1:-1, ::2], ["slice", "slice"]),
    (lambda s, x: x[:, -1], ["slice", "reshape"]),
    (lambda s, x: x[..., :2], ["slice"]),
    (lambda s, x: x[:, -3:], ["slice"]),
    (lambda s, x: x[:, 1::3], ["slice"]),
    (lambda s, x: x[:, 1:6:2], ["slice"]),
    (lambda s, x: x[:, :x.shape[1] // 2], ["slice"]),
    (lambda s, x: x[0], ["slice", "reshape"]),
    (lambda s, x: x.select(2, 3), ["slice", "reshape"]),
    (lambda s, x: x.chunk(2, -1)[1], ["slice"]),
    (lambda s, x: torch.cat(x.split([1, 3, 4], -1)[::-1], -1), ["slice"] * 3 + ["concat"]),
    (lambda s, x: torch.stack([x, -x], -1), ["neg", "reshape", "reshape", "concat"]),
    (lambda s, x: x.permute(2, 0, 1), ["transpose"]),
    (lambda s, x: x.transpose(1, 2).mT.flatten(1), ["transpose", "transpose", "reshape"]),
    (lambda s, x: x.movedim(1, -1).reshape(x.shape[0], 4, -1), ["transpose", "reshape"]),
    (lambda s, x: x[:, torch.tensor([[2, 0], [1, 1]])], ["constant", "gather"]),
    (lambda s, x: x.index_select(-1, torch.tensor([7, 0])), ["constant", "gather"]),
    (lambda s, x: x.mean((1, 2)), ["mean"]),
    (lambda s, x: x.mean(1), ["mean"]),
    (lambda s, x: x.amax(-1, keepdim=True), ["max"]),
    (lambda s, x: x * (torch.arange(8.0) > 3).float(), ["constant", "mul"]),
])
def test_what_moves_elements(streamed, forward, ops):
    document = exact(streamed, module(forward), *drawn((3, 7, 8), (2, 10, 8)))
    assert operations(document) == ops


def test_slices_say_their_ends_in_sizes(streamed):
    net = module(lambda s, x: (x[:, 1:-1], x[:, -1], x[:, ::2]))
    document = exact(streamed, net, *drawn((3, 7, 8), (2, 10, 8)))
    ends = [(n["params"]["starts"], n["params"]["stops"], n["params"]["steps"])
            for n in document.nodes if n["op"] == "slice"]
    assert ends == [([1], ["d1-1"], [1]), (["d1-1"], ["d1"], [1]), ([0], ["d1"], [2])]


def test_ids_from_an_input_pick_rows(streamed):
    net = module(lambda s, x, i: (x[i], x.index_select(1, i)))
    rng = np.random.default_rng(0)
    inputs = [{"x": rng.normal(size=(n, 6)).astype(np.float32), "i": rng.integers(0, n, m)}
              for n, m in ((5, 4), (6, 9))]
    inputs = [{**i, "i": i["i"] % 5} for i in inputs]
    document = exact(streamed, net, *inputs)
    assert [n["params"] for n in document.nodes] == [{"axis": 0}, {"axis": 1}]


def test_rows_from_the_end_follow_the_length(streamed):
    net = module(lambda s, x: x[:, torch.tensor([1, -1])])
    document = exact(streamed, net, *drawn((3, 7, 8), (2, 10, 8)))
    assert operations(document) == ["size", "constant", "mul", "constant", "add", "gather"]


def test_positions_that_follow_the_length(streamed):
    net = module(lambda s, x: x + s.position[:x.shape[1]], position=nn.Parameter(torch.zeros(16, 8)))
    document = exact(streamed, net, *drawn((3, 7, 8), (2, 10, 8)))
    assert operations(document) == ["constant", "slice", "add"]
    assert document.nodes[1]["params"]["stops"] == ["d1"]


def test_a_length_of_the_code_is_made_anew(streamed):
    net = module(lambda s, x: x * torch.ones(x.shape[1])[:, None] + torch.arange(8))
    document = exact(streamed, net, *drawn((3, 7, 8), (2, 10, 8)))
    assert operations(document) == ["constant", "expand", "reshape", "mul", "constant", "cast", "add"]


def test_results_that_depend_on_sizes_alone(streamed):
    net = module(lambda s, x: (x * 2, torch.arange(4), torch.arange(x.shape[1])))
    document = exact(streamed, net, *drawn((3, 7), (2, 5)))
    assert [(n["op"], n["params"]) for n in document.nodes[-2:]] == [
        ("constant", {"shape": [4]}), ("arange", {"start": [0], "stop": ["d1"], "step": 1})]


@pytest.mark.parametrize("layer, params, slots", [
    (nn.LayerNorm(8), {"dim": 8, "eps": 1e-5, "scale": True, "offset": True}, ["gamma", "beta"]),
    (nn.LayerNorm(8, eps=1e-3, bias=False), {"dim": 8, "eps": 1e-3, "scale": True, "offset": False},
     ["gamma"]),
    (nn.LayerNorm(8, elementwise_affine=False),
     {"dim": 8, "eps": 1e-5, "scale": False, "offset": False}, []),
    (nn.RMSNorm(8), {"dim": 8, "eps": 2.0**-23, "scale": True}, ["gamma"]),
    (nn.RMSNorm(8, eps=1e-3, elementwise_affine=False), {"dim": 8, "eps": 1e-3, "scale": False}, []),
])
def test_norms(streamed, layer, params, slots):
    small = drawn((3, 7, 8)) + [{"x": i["x"] / 128} for i in drawn((2, 10, 8))]
    document = exact(streamed, filled(nn.Sequential(layer)), *small)
    node, = document.nodes
    assert node["params"] == params and [t["slot"] for t in node["tensors"]] == slots


@pytest.mark.parametrize("layer", [nn.LayerNorm((7, 8)), nn.RMSNorm((7, 8), eps=1e-4)])
def test_norms_over_several_axes(streamed, layer):
    document = exact(streamed, filled(nn.Sequential(layer)), *drawn((3, 7, 8), (2, 7, 8)))
    assert [(n["name"], n["op"]) for n in document.nodes] == [
        ("0.flat", "reshape"), ("0.norm", type(layer).__name__.lower()), ("0", "reshape")]
    assert document.nodes[1]["params"]["dim"] == 56


@pytest.mark.filterwarnings("ignore::planetbridging.BridgeWarning")
@pytest.mark.parametrize("dtype, eps", [(torch.float16, 2.0**-23), (torch.bfloat16, 2.0**-23),
                                        (torch.float64, 2.0**-52)])
def test_rms_norm_of_other_dtypes(dtype, eps):
    graph = emit(nn.Sequential(nn.RMSNorm(8)).to(dtype), example=drawn((3, 8))[0])
    assert graph.nodes[0].params["eps"] == eps


def test_embeddings(streamed):
    net = filled(nn.Sequential(nn.Embedding(11, 4, padding_idx=2)))
    document = exact(streamed, net, *ids((3, 5), (2, 7)))
    node, = document.nodes
    assert node["params"] == {"vocab_size": 11, "embedding_dim": 4, "outside": "error", "wrap": False}
    assert node["tensors"][0]["axes"] == ["v", "d"] and node["tensors"][0]["source"] == "0.weight"


def test_a_tied_head_and_parts_in_reverse_order(streamed):
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.head = nn.Linear(6, 11, bias=False)
            self.norm = nn.LayerNorm(6)
            self.body = nn.Linear(6, 6)
            self.table = nn.Embedding(11, 6)
            self.head.weight = self.table.weight

        def forward(self, x):
            h = self.table(x)
            return self.head(self.norm(h + F.gelu(self.body(self.norm(h)))))
    document = exact(streamed, filled(Net()), *ids((3, 5), (2, 7)))
    assert names(document) == ["table", "norm", "body", "gelu", "add", "norm_2", "head"]
    assert document.entry("head", "weight") == {"slot": "weight", "same": "table.table"}


def test_an_embedding_that_changes_its_table_is_refused():
    net = nn.Sequential(nn.Embedding(11, 4, max_norm=1.0))
    assert problems_of(net, ids((3, 5))[0]) == [
        ("0.weight", "Sequential", "changed by forward"),
        ("0", "Embedding", "aten.embedding_renorm with max_norm, which changes the table")]


@pytest.mark.parametrize("kind", ["int64", "float32"])
def test_zero_rows_outside_the_vocabulary(streamed, kind):
    net = filled(module(lambda s, x: s.emb(x), emb=ZeroOutsideEmbedding(11, 4)))
    inputs = ids((3, 5), (2, 9), low=-4, high=15)
    if kind == "float32":
        inputs = [{"x": i["x"].astype(np.float32) + np.float32(0.75)} for i in inputs]
    document = exact(streamed, net, *inputs)
    node, = document.nodes
    assert (node["name"], node["op"], node["params"]["outside"]) == ("emb", "embedding", "zero")
    assert node["tensors"][0]["source"] == "emb.table.weight"


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("activation", ["silu", "relu2"])
def test_gated_layers(streamed, activation, bias):
    net = module(lambda s, x: x + s.mlp(x), mlp=SwiGLU(6, 10, activation, bias))
    document = exact(streamed, net, *drawn((3, 7, 6), (2, 4, 6)))
    assert names(document) == ["mlp", "add"]
    assert document.nodes[0]["params"] == {"in_features": 6, "hidden_features": 10,
                                           "activation": activation, "bias": bias}
    assert [t["source"] for t in document.nodes[0]["tensors"]][:3] == [
        "mlp.gate.weight", "mlp.up.weight", "mlp.down.weight"]


def test_a_composed_layer_that_someone_changed_is_its_operations(streamed):
    class Mine(SwiGLU):
        def forward(self, x):
            return self.down(F.silu(self.gate(x)) * self.up(x)) + 1
    document = exact(streamed, module(lambda s, x: s.mlp(x), mlp=Mine(6, 10)), *drawn((3, 7, 6), (2, 4, 6)))
    assert operations(document) == ["dense", "silu", "dense", "mul", "dense", "constant", "add"]


def test_a_small_image_network(streamed):
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.head = nn.Linear(6, 5)
            self.down = nn.Conv2d(4, 6, 1, 2)
            self.two = nn.Conv2d(6, 6, 3, padding="same")
            self.one = nn.Conv2d(4, 6, 3, 2, 1)
            self.stem = nn.Sequential(nn.Conv2d(3, 4, (3, 5), padding=(1, 2)), nn.ReLU(),
                                      nn.MaxPool2d(3, 2, 1))

        def forward(self, x):
            h = self.stem(x)
            h = F.relu(self.two(F.relu(self.one(h))) + self.down(h))
            return self.head(F.adaptive_avg_pool2d(h, 1).flatten(1)).softmax(-1)
    document = exact(streamed, filled(Net()), *drawn((3, 3, 17, 12), (2, 3, 14, 19)))
    assert operations(document) == ["conv2", "relu", "maxpool2", "conv2", "relu", "conv2", "conv2",
                                    "add", "relu", "global_avgpool", "reshape", "dense", "softmax"]
