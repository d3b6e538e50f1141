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


def state_of(module) -> dict[str, np.ndarray]:
    """A state dict by the layouts of the emitter's slots: whole arrays, gathered, under all their names."""
    made: dict[str, np.ndarray] = {}
    for node in torch_.emit(module, example=X).nodes:
        for tensor in node.tensors:
            if tensor.layout is None:
                continue
            whole = made.setdefault(tensor.source, np.full(tensor.layout.shape, np.nan, np.float32))
            places = tensor.layout.of(np.arange(whole.size), tensor.array.shape)
            whole.reshape(-1)[places] = tensor.array
            made |= dict.fromkeys(tensor.aliases, whole)
    return made


def written(path, found: dict) -> str:
    with open(path, "wb") as out:
        arrays.write_safetensors(found, out)
    return str(path)


class Counted(torch.nn.Sequential):
    """Names that a slot could have as well, a norm that counts batches, and channels behind each other."""

    def __init__(self):
        super().__init__(torch.nn.ConvTranspose1d(3, 3, 2, groups=1), torch.nn.BatchNorm1d(3))
        self.register_buffer("places", torch.arange(3))


@pytest.mark.parametrize("cls", [Mixed, Counted])
def test_a_state_dict_comes_back_by_torch_and_without_an_example(tmp_path, cls):
    original = made(cls, 1)
    found = state_of(original)
    floats = {name: t for name, t in original.state_dict().items() if t.is_floating_point()}
    assert found.keys() == floats.keys()
    assert all((found[name] == t.numpy()).all() for name, t in floats.items())
    fresh = planetbridging.load(made(cls, 2), written(tmp_path / "w.safetensors", found))
    assert (torch_.native(fresh, X)["y"] == torch_.native(original, X)["y"]).all()
    if cls is Mixed:
        theirs = made(cls, 2)
        theirs.load_state_dict({name: torch.from_numpy(array) for name, array in found.items()})
        assert (torch_.native(theirs, X)["y"] == torch_.native(original, X)["y"]).all()


def test_names_that_both_could_have_are_of_slots_where_the_topology_stands_beside(tmp_path):
    original = made(Counted, 1)
    slots = {name: values.astype(np.float32) for name, values in
             loading.slots(torch_.emit(original, example=X)).items()}
    assert "0.weight" in slots and not (slots["0.weight"] == original[0].weight.detach().numpy()).all()
    loaded = planetbridging.load(made(Counted, 2), written(tmp_path / "w.safetensors", slots), example=X)
    assert (torch_.native(loaded, X)["y"] == torch_.native(original, X)["y"]).all()


@pytest.mark.parametrize("change, words", [
    (lambda f: f.pop("head.bias"), "lacks head.bias; is it this network's file\\?"),
    (lambda f: f.update(stranger=f["head.bias"]), "has the unknown stranger; is it this network's file\\?"),
    (lambda f: f.update({"head.bias": f["head.bias"][:2]}), "head.bias has shape \\[2\\], expected \\[4\\]"),
    (lambda f: f.update({"again.weight": f["again.weight"] + 1}),
     "again.weight differs from another tensor that is the same parameter"),
    (lambda f: f.update({"head.bias": f["head.bias"].astype(float) + 1e-9}),
     "head.bias is float32 here, which cannot hold the file's numbers")])
def test_a_state_dict_of_another_network_changes_nothing(tmp_path, change, words):
    found = state_of(made(Mixed, 1))
    change(found)
    module = made(Mixed, 2)
    before = copy.deepcopy(module.state_dict())
    with pytest.raises(BridgeError, match=f"w.safetensors: {words}$"):
        planetbridging.load(module, written(tmp_path / "w.safetensors", found))
    assert all((tensor == before[name]).all() for name, tensor in module.state_dict().items())


def test_whole_numbers_come_back_where_a_file_has_them(tmp_path):
    original = made(Counted, 1)
    original.places += 5
    found = {name: tensor.numpy() for name, tensor in original.state_dict().items()}
    loaded = planetbridging.load(made(Counted, 2), written(tmp_path / "w.safetensors", found))
    assert loaded.places.tolist() == [5, 6, 7]
