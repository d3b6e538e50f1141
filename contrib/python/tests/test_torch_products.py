"""PyTorch: products, attention by heads, norms and transposed convolutions, against torch in float64."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")

from torch import nn  # noqa: E402
from torch.nn import functional as F  # noqa: E402

from planetbridging import native  # noqa: E402
from torch_networks import drawn, exact, family, filled, module, names, operations, problems_of  # noqa: E402

PRODUCTS = {
    "matmul": lambda x: x @ x.mT, "bmm": lambda x: torch.bmm(x, x.mT),
    "row": lambda x: x @ x[0, 0], "column": lambda x: x[0, 0] @ x.mT,
    "dot": lambda x: torch.dot(x[0, 0], x[1, 0]), "mv": lambda x: torch.mv(x[0], x[1, 0]),
    "outer": lambda x: torch.outer(x[0, 0], x[1, 0]),
    "baddbmm": lambda x: torch.baddbmm(x @ x.mT, x, x.mT, beta=0.5, alpha=2),
    "addmm": lambda x: torch.addmm(x[0, 0, :1], x[0], x[1].T, beta=0.25),
    "linear": lambda x: F.linear(x, x[0], x[0, :, 0]),
    "batches": lambda x: x[:, None] @ x.mT[None],
    "einsum": lambda x: torch.einsum("bik,bjk->bij", x, x),
    "trace": lambda x: torch.einsum("bik,cik->bc", x, x),
    "lead": lambda x: torch.einsum("...k,...k->...", x, x),
    "turned": lambda x: torch.einsum("bij->jib", x),
}


def test_products(streamed):
    document = exact(streamed, family(PRODUCTS), *drawn((3, 4, 6), (2, 5, 6)))
    assert "matmul" in operations(document) and "dense" not in operations(document)


def test_products_of_stored_and_computed_weights(streamed):
    def forward(s, x):
        return (F.linear(x, s.a.weight * 2), F.linear(x, s.w.T[:5], s.b[:5]),
                F.linear(x, s.a(x)[0, :, :6], s.b[:4] * 2), x @ torch.cat([s.w, s.w], 1), s.n(x, x))
    net = module(forward, a=nn.Linear(6, 6), w=nn.Parameter(torch.ones(6, 6)), b=nn.Parameter(torch.ones(6)),
                 n=nn.Bilinear(6, 6, 3))
    document = exact(streamed, net, *drawn((3, 4, 6), (2, 4, 6)))
    sources = [t.get("source") for n in document.nodes if n["op"] == "dense" for t in n["tensors"]]
    assert sources == ["mul of a.weight", "w", "b", "a.weight", "a.bias", "cat of w"]
    slices = [t["layout"] for n in document.nodes if n["op"] == "dense" for t in n["tensors"] if t["source"] in "wb"]
    assert slices == [{"shape": [6, 6], "first": 0, "strides": [1, 6]}, {"shape": [6], "first": 0, "strides": [1]}]


def heads(*sizes, groups=4):
    """Queries [b, 4, s, 5], keys and values [b, groups, t, 5] for each (b, s, t)."""
    return [{"q": drawn((b, 4, s, 5), seed=s)[0]["x"], "k": drawn((b, groups, t, 5), seed=s + 1)[0]["x"],
             "v": drawn((b, groups, t, 5), seed=s + 2)[0]["x"]} for b, s, t in sizes]


def attend(**options):
    return module(lambda s, q, k, v: F.scaled_dot_product_attention(q, k, v, **options))


@pytest.mark.parametrize("options, groups, params", [
    ({}, 4, {"causal": False, "mask": "none", "scale": None, "empty": "zero"}),
    ({"scale": 0.25}, 4, {"scale": 0.25}), ({"enable_gqa": True}, 2, {"mask": "none"}), ({}, 1, {})])
def test_attention_by_heads(streamed, options, groups, params):
    document = exact(streamed, attend(**options), *heads((3, 7, 4), (2, 3, 6), groups=groups))
    node = document.nodes[-1]
    assert node["op"] == "scaled_dot_product_attention" and params.items() <= node["params"].items()


def test_causal_attention(streamed):
    net = module(lambda s, x: F.scaled_dot_product_attention(x, x * 2, x, is_causal=True))
    node = exact(streamed, net, *drawn((3, 4, 7, 5), (2, 4, 4, 5))).nodes[-1]
    assert node["params"]["causal"] is True and node["params"]["mask"] == "none"


def test_causal_attention_to_other_keys_is_a_mask(streamed):
    document = exact(streamed, attend(is_causal=True), *heads((3, 7, 4), (2, 3, 6)))
    assert document.nodes[-1]["params"]["mask"] == "keep" and "arange" in operations(document)


@pytest.mark.parametrize("mask, how", [
    (lambda x: x > 0, "keep"), (lambda x: x, "add"), (lambda x: x[:1, :1] > 0, "keep"),
    (lambda x: torch.ones(x.shape[2], x.shape[2], dtype=torch.bool).tril(1), "keep")])
def test_masks_of_attention(streamed, mask, how):
    net = module(lambda s, x, m: F.scaled_dot_product_attention(x, x, x, mask(m)))
    inputs = [{"x": drawn((b, 2, s, 5))[0]["x"], "m": drawn((b, 2, s, s), seed=3)[0]["x"]}
              for b, s in ((3, 7), (2, 5))]
    document = exact(streamed, net, *inputs)
    params, = [n["params"] for n in document.nodes if n["op"] == "scaled_dot_product_attention"]
    assert (params["causal"], params["mask"]) == (False, how)


@pytest.mark.parametrize("mask", [
    lambda n, b: torch.ones(n, n, dtype=torch.bool).tril(),
    lambda n, b: (torch.arange(n)[:, None] >= torch.arange(n)).expand(b, 1, n, n),
    lambda n, b: torch.full((n, n), -torch.inf).triu(1)])
def test_masks_that_are_causal_at_every_length(streamed, mask):
    net = module(lambda s, x: F.scaled_dot_product_attention(x, x, x, mask(x.shape[-2], x.shape[0])))
    node, = exact(streamed, net, *drawn((3, 2, 7, 5), (2, 2, 4, 5))).nodes
    assert node["params"]["causal"] is True and node["params"]["mask"] == "none"


def test_a_mask_that_shows_what_comes_later_is_not_causal(streamed):
    net = module(lambda s, x: F.scaled_dot_product_attention(
        x, x, x, torch.ones(x.shape[-2], x.shape[-2], dtype=torch.bool).triu()))
    assert exact(streamed, net, *drawn((3, 2, 7, 5), (2, 2, 4, 5))).nodes[-1]["params"]["causal"] is False


def test_attention_without_heads_or_batch(streamed):
    for shapes in (((7, 5), (4, 5)), ((3, 7, 5), (2, 4, 5))):
        net = module(lambda s, x: F.scaled_dot_product_attention(x, x, x))
        exact(streamed, net, *drawn(*shapes))


def test_a_row_with_nothing_to_see_is_zero(streamed):
    net = module(lambda s, x, m: F.scaled_dot_product_attention(x, x, x, m))
    mask = np.ones((3, 1, 7, 7), bool)
    mask[0, :, :, :] = False
    mask[1, :, 2] = False
    inputs = {"x": drawn((3, 2, 7, 5))[0]["x"], "m": mask}
    exact(streamed, net, inputs)
    want = native(net, inputs, precision="float64")["y"]
    assert (want[0] == 0).all() and (want[1, :, 2] == 0).all()


def stats(net):
    """The module with drawn weights and running statistics that no exchange leaves alike."""
    filled(net)
    for name, buffer in net.named_buffers():
        if buffer.is_floating_point():
            buffer.copy_(torch.rand(buffer.shape, generator=torch.Generator().manual_seed(4)) + 0.25)
    return net


@pytest.mark.parametrize("layer, shapes, op, params", [
    (nn.BatchNorm1d(4), ((3, 4), (2, 4)), "batchnorm", {"dim": 4, "axis": 1, "eps": 1e-5, "scale": True}),
    (nn.BatchNorm1d(4, eps=1e-3), ((3, 4, 7), (2, 4, 5)), "batchnorm", {"eps": 1e-3, "offset": True}),
    (nn.BatchNorm2d(4, affine=False), ((3, 4, 5, 6), (2, 4, 7, 3)), "batchnorm", {"scale": False}),
    (nn.BatchNorm3d(2), ((3, 2, 3, 4, 5), (2, 2, 2, 3, 4)), "batchnorm", {"dim": 2}),
    (nn.InstanceNorm2d(4, track_running_stats=True, affine=True), ((3, 4, 5, 6), (2, 4, 7, 3)),
     "batchnorm", {"dim": 4}),
    (nn.InstanceNorm1d(4, affine=True), ((3, 4, 6), (2, 4, 7)), "instancenorm", {"channels": 4}),
    (nn.InstanceNorm2d(4, eps=1e-2), ((3, 4, 5, 6), (2, 4, 7, 3)), "instancenorm", {"scale": False}),
    (nn.GroupNorm(2, 6), ((3, 6, 5, 4), (2, 6, 3, 7)), "groupnorm", {"groups": 2, "channels": 6}),
    (nn.GroupNorm(3, 6, affine=False), ((3, 6), (2, 6)), "groupnorm", {"offset": False})])
@pytest.mark.filterwarnings("ignore::planetbridging.BridgeWarning")
def test_norms(streamed, layer, shapes, op, params):
    document = exact(streamed, nn.Sequential(stats(layer)), *drawn(*shapes))
    node, = document.nodes
    assert (node["name"], node["op"]) == ("0", op) and params.items() <= node["params"].items()
    slots = {t["slot"]: t["source"] for t in node["tensors"]}
    if op == "batchnorm":
        assert slots["mean"] == "0.running_mean" and slots["var"] == "0.running_var"


def test_statistics_of_the_batch_are_operations(streamed):
    net = filled(nn.Sequential(nn.BatchNorm2d(4, eps=2.0**-10, track_running_stats=False)))
    assert names(exact(streamed, net, *drawn((3, 4, 5, 6), (2, 4, 7, 3))))[0] == "0.mean"


def test_norms_with_computed_weights(streamed):
    def forward(s, x, g):
        return (F.layer_norm(x, (6,), g, g * 2), F.group_norm(x, 2, s.w * 2, s.w),
                F.rms_norm(x, (4, 6), g + s.m))
    net = module(forward, w=nn.Parameter(torch.ones(4)), m=nn.Parameter(torch.ones(4, 6)))
    inputs = [{"x": drawn((b, 4, 6))[0]["x"], "g": drawn((6,), seed=2)[0]["x"]} for b in (3, 2)]
    exact(streamed, net, *inputs)


def test_training_is_refused():
    net = module(lambda s, x: F.batch_norm(x, s.m, s.v, training=True), m=torch.zeros(4), v=torch.ones(4))
    assert ("the model", "Net", "aten._native_batch_norm_legit_functional with training=True") in problems_of(
        net, drawn((3, 4))[0])


@pytest.mark.parametrize("layer, shapes, params", [
    (nn.ConvTranspose1d(4, 6, 3, 2, 1, 1, 2), ((3, 4, 5), (2, 4, 8)),
     {"in_channels": 4, "out_channels": 6, "groups": 2, "pad_low": [1], "pad_high": [0], "stride": [2]}),
    (nn.ConvTranspose2d(3, 5, (3, 2), (2, 1), (1, 0), (1, 0)), ((3, 3, 4, 6), (2, 3, 7, 3)),
     {"kernel": [3, 2], "pad_low": [1, 0], "pad_high": [0, 0]}),
    (nn.ConvTranspose2d(4, 4, 3, 1, 0, bias=False, groups=4, dilation=2), ((3, 4, 4, 6), (2, 4, 7, 3)),
     {"groups": 4, "dilation": [2, 2], "bias": False}),
    (nn.ConvTranspose2d(3, 3, 2, 3, 0, 2), ((3, 3, 4, 6), (2, 3, 3, 3)), {"pad_high": [-2, -2]}),
    (nn.ConvTranspose3d(2, 4, 2, (1, 2, 1)), ((3, 2, 3, 4, 2), (2, 2, 2, 3, 4)), {"stride": [1, 2, 1]})])
def test_transposed_convolutions(streamed, layer, shapes, params):
    document = exact(streamed, filled(nn.Sequential(layer)), *drawn(*shapes))
    node, = document.nodes
    assert node["op"] == f"convtranspose{len(shapes[0]) - 2}" and params.items() <= node["params"].items()
    weight = document.values("0", "weight")
    assert weight.shape[0] == layer.out_channels


def test_standardised_weights_are_evaluated(streamed):
    class Conv(nn.Conv2d):
        def forward(self, x):
            w = self.weight
            return self._conv_forward(x, w.flip(2) * 2, self.bias)
    document = exact(streamed, filled(nn.Sequential(Conv(3, 4, 3))), *drawn((3, 3, 5, 6), (2, 3, 4, 7)))
    node, = document.nodes
    assert node["tensors"][0]["source"] == "0.mul of 0.weight"


def test_bags_of_rows(streamed):
    for mode in ("sum", "mean", "max"):
        net = filled(nn.Sequential(nn.EmbeddingBag(11, 4, mode=mode)))
        inputs = [{"x": np.random.default_rng(n).integers(0, 11, (n, n + 2))} for n in (3, 2)]
        assert operations(exact(streamed, net, *inputs)) == ["embedding", mode]
    net = nn.Sequential(nn.EmbeddingBag(11, 4, padding_idx=1))
    assert problems_of(net, inputs[0]) == [("0", "EmbeddingBag", "padding_idx")]


@pytest.mark.parametrize("shape", [(2, 3, 4, 5), (4, 5)])
def test_an_added_mask_that_hides_everything_gives_zeros(streamed, shape):
    net = module(lambda s, x, m: F.scaled_dot_product_attention(x, x, x, m))
    mask = np.where(np.eye(4, dtype=bool), 0.5, -0.25).astype(np.float32)
    mask[2], mask[1, :2] = -np.inf, -np.inf
    inputs = {"x": drawn(shape)[0]["x"], "m": mask}
    assert exact(streamed, net, inputs).nodes[-1]["op"] == "where"
    assert (native(net, inputs, precision="float64")["y"][..., 2, :] == 0).all()


def test_a_stored_mask_that_hides_no_row_is_attention_alone(streamed):
    net = module(lambda s, x: F.scaled_dot_product_attention(x, x, x, s.bias))
    net.bias = nn.Parameter(torch.linspace(-1, 1, 16).reshape(4, 4))
    assert exact(streamed, net, *drawn((2, 3, 4, 5), (3, 3, 4, 5))).nodes[-1]["op"] == "scaled_dot_product_attention"
