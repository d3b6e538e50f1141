"""Weights that come back into live modules: every element in its place, or a refusal that names the tensor.

The whole way through the programs is test/interop/weights.py; here files are made from the emitter's slots.
"""

from __future__ import annotations

import copy

import numpy as np
import pytest

import planetbridging
from planetbridging import BridgeError, arrays, loading
from planetbridging.planets import holding, torch_

torch = pytest.importorskip("torch", reason="torch is not installed")
X = np.random.default_rng(3).normal(size=(2, 3, 6)).astype(np.float32)


class Mixed(torch.nn.Module):
    """An LSTM whose gates are parts of two matrices, and a head that shares its weight with another."""

    def __init__(self):
        super().__init__()
        self.cell = torch.nn.LSTM(6, 4, batch_first=True)
        self.head = torch.nn.Linear(4, 4)
        self.again = torch.nn.Linear(4, 4, bias=False)
        self.again.weight = self.head.weight

    def forward(self, x):
        return self.again(self.head(self.cell(x)[0]))


class Summed(torch.nn.Module):
    """A layer whose weight is computed."""

    def __init__(self):
        super().__init__()
        self.a = torch.nn.Parameter(torch.randn(5, 6))
        self.b = torch.nn.Parameter(torch.randn(5, 6))

    def forward(self, x):
        return torch.nn.functional.linear(x, self.a + self.b)


class Idle(torch.nn.Module):
    """A layer beside which another is not used."""

    def __init__(self):
        super().__init__()
        self.used, self.idle = torch.nn.Linear(6, 2), torch.nn.Linear(6, 2)

    def forward(self, x):
        return self.used(x)


def made(cls, seed: int):
    torch.manual_seed(seed)
    return cls().eval()


def file_of(module, path, **changed) -> str:
    """A file as loom-export would write it, but for what is changed."""
    tensors = {name: values.astype(np.float32)
               for name, values in loading.slots(torch_.emit(module, example=X)).items()}
    with open(path, "wb") as out:
        arrays.write_safetensors({name: changed.get(name, values) for name, values in tensors.items()}, out)
    return str(path)


def answer(module) -> bytes:
    return torch_.native(module, X)["y"].tobytes()


def test_every_element_in_its_place(tmp_path):
    original, fresh = made(Mixed, 1), made(Mixed, 2)
    assert answer(fresh) != answer(original)
    loaded = planetbridging.load(fresh, file_of(original, tmp_path / "w.safetensors"), example=X)
    assert loaded is fresh
    assert answer(fresh) == answer(original)
    for (name, a), b in zip(original.state_dict().items(), fresh.state_dict().values()):
        assert torch.equal(a, b), name
    assert fresh.again.weight is fresh.head.weight


def test_narrow_parameters_need_several_turns(tmp_path):
    """A half float holds 2^10 whole numbers, this layer has 4 times as many weights."""
    build = lambda seed: made(lambda: torch.nn.Linear(6, 700), seed).half()  # noqa: E731
    original, fresh = build(1), build(2)
    assert original.weight.numel() > 1 << holding.DIGITS["float16"]
    planetbridging.load(fresh, file_of(original, tmp_path / "w.safetensors"), example=X)
    assert torch.equal(fresh.weight, original.weight)
    wide = made(lambda: torch.nn.Linear(6, 700), 3)
    with pytest.raises(BridgeError, match=r": weight is float16 here, which cannot hold the file's numbers$"):
        planetbridging.load(fresh, file_of(wide, tmp_path / "v.safetensors"), example=X)


@pytest.mark.parametrize(("cls", "message"), [
    (Summed, r"w\.safetensors: \S+\.weight is computed from parameters, not a copy of them, and cannot be taken back$"),
    (Idle, r"w\.safetensors: gives 0 of 12 numbers of idle\.weight$"),
])
def test_networks_that_cannot_be_filled(tmp_path, cls, message):
    module = made(cls, 1)
    file = file_of(module, tmp_path / "w.safetensors")
    before = copy.deepcopy(module.state_dict())
    with pytest.raises(BridgeError, match=message):
        planetbridging.load(module, file, example=X)
    assert all(torch.equal(a, b) for a, b in zip(before.values(), module.state_dict().values()))


def test_the_emitter_is_asked_and_not_the_shapes(tmp_path):
    """A square weight that travels transposed comes back as it was."""
    class Turned(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = torch.nn.Parameter(torch.randn(6, 6))

        def forward(self, x):
            return x @ self.weight

    original, fresh = made(Turned, 1), made(Turned, 2)
    planetbridging.load(fresh, file_of(original, tmp_path / "w.safetensors"), example=X)
    assert torch.equal(fresh.weight, original.weight)


def test_a_stranger(tmp_path):
    with open(tmp_path / "w.safetensors", "wb") as out:
        arrays.write_safetensors({"y.weight": X[0], "other": X}, out)
    with pytest.raises(BridgeError, match=r"lacks linear\.bias, linear\.weight; is it this network's file\?$"):
        planetbridging.load(made(lambda: torch.nn.Linear(6, 3), 1), str(tmp_path / "w.safetensors"), example=X)


def test_scikit_learn_takes_none_back(tmp_path):
    linear = pytest.importorskip("sklearn.linear_model", reason="scikit-learn is not installed")
    model = linear.LinearRegression().fit(X[0], X[0][:, :2])
    with pytest.raises(BridgeError, match="^sklearn networks take no weights back: pytorch, keras, jax do$"):
        planetbridging.load(model, file_of(made(Mixed, 1), tmp_path / "w.safetensors"))


def test_bfloat16_is_read(tmp_path):
    header = b'{"a":{"dtype":"BF16","shape":[2],"data_offsets":[0,4]}}'
    path = tmp_path / "b.safetensors"
    path.write_bytes(len(header).to_bytes(8, "little") + header + b"\x80\x3f\x00\xc0")
    assert arrays.read_safetensors(path)["a"].tolist() == [1.0, -2.0]
