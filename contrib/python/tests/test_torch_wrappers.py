"""PyTorch: wrappers that are taken off, weights that are computed anew, results and inputs by name."""

from __future__ import annotations

import copy
import dataclasses

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")

from torch import nn  # noqa: E402
from torch.nn.utils import parametrizations, prune  # noqa: E402

from planetbridging import Unsupported, emit, native, taps  # noqa: E402
from planetbridging.planets import torch_  # noqa: E402
from torch_networks import drawn, exact, filled, module, names, problems_of  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")


def plain():
    return filled(nn.Sequential(nn.Linear(6, 6), nn.Tanh(), nn.Linear(6, 4)))


def inner():
    net = plain()
    net[0] = torch.compile(net[0])
    return net


def in_place():
    net = plain()
    net[2].compile()
    return net


@pytest.mark.parametrize("wrapped", [
    lambda: torch.compile(plain()), lambda: nn.DataParallel(plain()),
    lambda: torch.compile(nn.DataParallel(plain())), inner, in_place],
    ids=["compile", "parallel", "both", "inner", "in_place"])
def test_wrappers_are_taken_off(streamed, wrapped):
    net = wrapped()
    before = {name: dict(part._modules) for name, part in net.named_modules()}
    document = exact(streamed, net, *drawn((3, 6), (2, 6)))
    assert names(document) == ["0", "1", "2"] or names(document) == ["0", "1", "y"]
    assert document.nodes[2]["tensors"][0]["source"] == "2.weight"
    assert {name: dict(part._modules) for name, part in net.named_modules()} == before
    assert all("_orig_mod" not in tap and "module" not in tap for tap in taps(net, drawn((3, 6))[0]))


@pytest.mark.parametrize("prefix", ["", "module.", "_orig_mod.", "_orig_mod.module."])
@pytest.mark.parametrize("wrapped", [lambda n: n, nn.DataParallel, torch.compile])
def test_names_of_weights_lose_their_prefixes(tmp_path, prefix, wrapped):
    path = str(tmp_path / "w.pt")
    torch.save({prefix + key: value for key, value in plain().state_dict().items()}, path)
    fresh = wrapped(nn.Sequential(nn.Linear(6, 6), nn.Tanh(), nn.Linear(6, 4)))
    x = drawn((3, 6))[0]
    np.testing.assert_array_equal(native(torch_.with_weights(fresh, path), x)["y"], native(plain(), x)["y"])


def spectral(layer):
    return parametrizations.spectral_norm(layer)


NORMS = {
    "weight_norm": (parametrizations.weight_norm, "original0, {}.parametrizations.weight.original1"),
    "spectral_norm": (spectral, "original"),
}


@pytest.mark.parametrize("which", sorted(NORMS))
def test_parametrised_weights_are_evaluated_and_say_so(streamed, which):
    norm, parts = NORMS[which]
    net = filled(nn.Sequential(norm(nn.Linear(6, 5)), norm(nn.Conv1d(1, 2, 3))))
    run = nn.Sequential(net[0], nn.Unflatten(1, (1, 5)), net[1])
    before = {key: value.clone() for key, value in run.state_dict().items()}
    document = exact(streamed, run, *drawn((3, 6), (2, 6)))
    source = document.nodes[0]["tensors"][0]["source"]
    assert source == "0.weight of 0.parametrizations.weight." + parts.format("0")
    assert document.nodes[0]["tensors"][1]["source"] == "0.bias"
    assert all(torch.equal(value, before[key]) for key, value in run.state_dict().items())
    assert nn.utils.parametrize.is_parametrized(run[0]) and not run[0].training


@pytest.mark.parametrize("norm, parts", [
    (nn.utils.weight_norm, "0.weight_g, 0.weight_v"), (nn.utils.spectral_norm, "0.weight_orig"),
    (lambda layer: prune.l1_unstructured(layer, "weight", 0.5), "0.weight_orig")])
def test_weights_that_hooks_compute_are_evaluated(streamed, norm, parts):
    net = filled(nn.Sequential(norm(nn.Linear(6, 5)), nn.ReLU()))
    document = exact(streamed, net, *drawn((3, 6), (2, 6)))
    assert document.nodes[0]["tensors"][0]["source"] == f"0.weight of {parts}"
    assert len(net[0]._forward_pre_hooks) == 1
    assert set(dict(net[0].named_parameters())) == {"bias", *(p[2:] for p in parts.split(", "))}
    with torch.no_grad():
        net.eval()(torch.ones(2, 6))


def test_a_recurrent_layer_under_weight_norm(streamed):
    net = module(lambda s, x: s.r(x)[0], r=parametrizations.weight_norm(
        nn.LSTM(5, 4, batch_first=True), "weight_hh_l0"))
    document = exact(streamed, net, *drawn((3, 7, 5), (2, 4, 5)))
    slots = {t["slot"]: t for t in document.nodes[0]["tensors"]}
    assert slots["U_i"]["source"].startswith("r.weight_hh_l0 of r.parametrizations.weight_hh_l0.original0, ")
    assert "layout" not in slots["U_i"]
    assert slots["W_f"]["source"] == "r.weight_ih_l0"
    assert slots["W_f"]["layout"] == {"shape": [16, 5], "first": 20, "strides": [5, 1]}


def test_quantised_layers_are_refused_by_path():
    quantized = pytest.importorskip("torch.ao.nn.quantized.dynamic", reason="this torch has no torch.ao.nn")
    net = nn.Sequential(nn.Linear(4, 4), quantized.Linear(4, 4))
    with pytest.raises(Unsupported) as error:
        emit(net, example=drawn((3, 4))[0])
    assert str(error.value) == "cannot be expressed: 1 (Linear): quantised weights"


@dataclasses.dataclass
class Answer:
    hidden: torch.Tensor
    nothing: torch.Tensor | None = None
    logits: torch.Tensor | None = None


def test_fields_of_a_dataclass_are_outputs(streamed):
    net = module(lambda s, x: Answer(s.a(x), logits=s.a(x).tanh()), a=nn.Linear(6, 4))
    document = exact(streamed, net, *drawn((3, 6), (2, 6)))
    assert document.head["outputs"] == ["hidden", "logits"]


def test_the_module_is_as_it_was_after_a_refusal():
    net = nn.Sequential(parametrizations.weight_norm(nn.Linear(4, 4)), module(lambda s, x: x.sort()[0]))
    before = copy.deepcopy(net.state_dict())
    assert [op for *_, op in problems_of(net, drawn((3, 4))[0])] == ["aten.sort"]
    assert list(net.state_dict()) == list(before) and nn.utils.parametrize.is_parametrized(net[0])
