"""PyTorch: what the module computes on the way, in float32 and in float64, and the commands for it."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")

from torch import nn  # noqa: E402
from torch.nn import functional as F  # noqa: E402

from conftest import agree  # noqa: E402
from interpreter import run_all  # noqa: E402
from planetbridging import BridgeError, emit, native, taps  # noqa: E402
from planetbridging.composed.torch_ import RopeAttention, SwiGLU  # noqa: E402
from torch_networks import drawn, filled, module  # noqa: E402


class Net(nn.Module):
    """A bit of everything, its parts made in reverse order."""

    def __init__(self):
        super().__init__()
        self.head = nn.Linear(8, 11, bias=False)
        self.lstm = nn.LSTM(8, 4, 2, bidirectional=True, batch_first=True)
        self.mlp = SwiGLU(8, 12)
        self.rope = RopeAttention(8, 4, 2)
        self.att = nn.MultiheadAttention(8, 2, batch_first=True)
        self.norm, self.rms = nn.LayerNorm(8), nn.RMSNorm(8)
        self.position = nn.Parameter(torch.zeros(16, 8))
        self.table = nn.Embedding(11, 8)
        self.head.weight = self.table.weight

    def forward(self, ids):
        n = ids.shape[1]
        h = self.table(ids) + self.position[:n]
        m = self.norm(h)
        h = h + self.att(m, m, m, attn_mask=torch.full((n, n), -torch.inf).triu(1), need_weights=False)[0]
        h = h + self.rope(self.rms(h))
        h = h + self.mlp(self.norm(h))
        y, (last, _) = self.lstm(h)
        return {"logits": self.head(y), "last": last}


def ids(batch, length):
    return {"ids": np.random.default_rng(batch).integers(0, 11, (batch, length))}


@pytest.fixture(scope="module")
def net():
    return filled(Net()).eval()


@pytest.mark.parametrize("size", [(3, 5), (2, 9)])
def test_taps_have_the_names_of_the_graph_and_the_values_of_the_module(streamed, net, size):
    document = streamed(emit(net, example=ids(3, 5)))
    found, exact = taps(net, ids(*size)), taps(net, ids(*size), precision="float64")
    made = run_all(document, ids(*size))
    inside = {"position", "lstm.l0", "lstm.l0_reverse", "lstm.l0_both", "lstm.l1", "lstm.l1_reverse"}
    parts = {name for name in made if name.startswith("lstm.") and name != "lstm.h_n"}
    assert set(found) == set(exact) == set(made) - parts - inside - {"ids"}
    assert inside - {"position"} <= parts
    assert {"table", "slice", "add", "norm", "att", "rope", "rms", "mlp", "lstm", "logits",
            "last"} <= set(found)
    for name, values in exact.items():
        assert values.dtype == np.float64 and found[name].dtype == np.float32
        agree({name: values}, {name: made[name]}, 1e-12)
        agree({name: values}, {name: found[name]}, 5e-5)


def test_taps_end_in_what_the_module_answers(net):
    plain, found = native(net, ids(3, 5)), taps(net, ids(3, 5))
    for name, values in plain.items():
        np.testing.assert_array_equal(found[name], values)


def test_the_module_is_left_as_it_was(net):
    before = {path: dict(module.__dict__) for path, module in net.named_modules()}
    weights = {name: p.clone() for name, p in net.named_parameters()}
    taps(net, ids(2, 4), precision="float64")
    emit(net, example=ids(2, 4))
    for path, part in net.named_modules():
        assert set(part.__dict__) == set(before[path]) and not part.training
    assert all(torch.equal(p, weights[name]) and p.dtype is torch.float32
               for name, p in net.named_parameters())
    assert torch.get_default_dtype() is torch.float32


def test_a_layer_whose_forward_someone_set_is_not_taken_for_it(streamed):
    net = module(lambda s, x: s.m(x), m=SwiGLU(5, 4))
    plain = net.m.forward
    net.m.forward = changed = lambda x: 2 * plain(x)
    given = drawn((3, 7, 5))[0]
    document = streamed(emit(net, example=given))
    agree(native(net, given), {"y": run_all(document, given)["y"]}, 1e-5)
    assert net.m.forward is changed and document.nodes[-1]["op"] == "mul"


def test_float64_is_the_same_network_on_the_same_numbers():
    net = filled(nn.Sequential(nn.Linear(6, 8), nn.RMSNorm(8), nn.Tanh()))
    x = np.random.default_rng(0).normal(size=(4, 6)) * 1e-3
    wide = native(net, {"x": x}, precision="float64")["y"]
    rounded = x.astype(np.float32).astype(np.float64)
    h = rounded @ net[0].weight.detach().double().numpy().T + net[0].bias.detach().double().numpy()
    norm = h / np.sqrt((h * h).mean(-1, keepdims=True) + 2.0**-23)
    want = np.tanh(norm * net[1].weight.detach().double().numpy())
    np.testing.assert_allclose(wide, want, rtol=0, atol=1e-14)
    assert native(net, {"x": x})["y"].dtype == np.float32


def test_a_norm_of_the_code_without_eps_is_the_same_in_float64():
    net = module(lambda s, x: F.rms_norm(x, (6,)))
    x = (np.random.default_rng(0).normal(size=(4, 6)) * 1e-3).astype(np.float32)
    want = x / np.sqrt((x.astype(np.float64) ** 2).mean(-1, keepdims=True) + 2.0**-23)
    before = torch.rms_norm
    for found in (native(net, x, precision="float64"), taps(net, x, precision="float64")):
        np.testing.assert_allclose(found["y"], want, rtol=0, atol=1e-14)
    assert torch.rms_norm is before


def test_numbers_of_the_code_are_float64_too():
    net = module(lambda s, x: x + torch.full((x.shape[-1],), 0.1))
    y = native(net, np.zeros((2, 3)), precision="float64")["y"]
    np.testing.assert_array_equal(y, np.full((2, 3), 0.1))


def test_another_precision_is_refused(net):
    with pytest.raises(BridgeError, match="^precision is 'float16', expected 'float32' or 'float64'$"):
        native(net, ids(2, 4), precision="float16")


def test_a_module_that_cannot_be_copied_says_so():
    net = nn.Sequential(nn.Linear(4, 4))
    net.generator = (n for n in ())
    message = "^Sequential cannot be copied to compute in float64: cannot pickle"
    with pytest.raises(BridgeError, match=message):
        native(net, drawn((2, 4))[0], precision="float64")


def test_taps_of_functions_and_of_one_tensor_under_two_names():
    def forward(s, x):
        h = s.a(x)
        return h, F.relu(h) + 1, h
    net = module(forward, a=nn.Linear(4, 3))
    found = taps(net, drawn((2, 4))[0])
    assert list(found) == ["y_0", "relu", "y_1", "y_2"]
    np.testing.assert_array_equal(found["y_2"], found["y_0"])
    np.testing.assert_array_equal(found["y_1"], found["relu"] + 1)


NETWORK = """
import torch
from torch import nn
def build():
    torch.manual_seed(3)
    return nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 2)).eval()
"""


def read_safetensors(data: bytes) -> dict:
    """The format by its own page: a length, JSON, bytes."""
    size = int.from_bytes(data[:8], "little")
    header, body = json.loads(data[8:8 + size]), data[8 + size:]
    assert size % 8 == 0
    kinds = {"F32": "<f4", "F64": "<f8", "I64": "<i8", "BOOL": "|b1"}
    return {name: np.frombuffer(body[slice(*entry["data_offsets"])], kinds[entry["dtype"]])
            .reshape(entry["shape"]) for name, entry in header.items()}


@pytest.mark.parametrize("wide", [False, True])
def test_the_command_writes_taps(command, module_file, tmp_path, wide):
    module_file("net", NETWORK)
    x = drawn((3, 4))[0]["x"]
    np.save(tmp_path / "x.npy", x)
    status, out, err = command("native", "pytorch", "net:build", "--input", "x.npy",
                               "--taps", "taps.safetensors", *["--float64"] * wide)
    assert (status, err) == (0, "")
    found = read_safetensors((tmp_path / "taps.safetensors").read_bytes())
    assert list(found) == ["0", "1", "y"]
    y = np.load(io.BytesIO(out))
    assert y.dtype == (np.float64 if wide else np.float32)
    np.testing.assert_array_equal(found["y"], y)
    np.testing.assert_array_equal(found["1"], np.maximum(found["0"], 0))


def test_taps_that_other_readers_read(command, module_file, tmp_path):
    safetensors = pytest.importorskip("safetensors.numpy", reason="safetensors is not installed")
    module_file("net", NETWORK)
    np.save(tmp_path / "x.npy", drawn((3, 4))[0]["x"])
    command("native", "pytorch", "net:build", "--input", "x.npy", "--taps", "t.safetensors", "-o", "y.npy")
    found = safetensors.load_file(tmp_path / "t.safetensors")
    np.testing.assert_array_equal(found["y"], np.load(tmp_path / "y.npy"))


def test_two_outputs_on_one_pipe(command, module_file, tmp_path):
    module_file("net", NETWORK)
    np.save(tmp_path / "x.npy", drawn((3, 4))[0]["x"])
    status, out, err = command("native", "pytorch", "net:build", "--input", "x.npy", "--taps", "-")
    assert (status, out) == (2, b"")
    assert err == ("planetbridging: --taps - and the outputs cannot both go to standard output: "
                   "give -o FILE\n")
    status, out, err = command("native", "pytorch", "net:build", "--input", "x.npy", "--taps", "-",
                               "-o", "y.npy")
    assert (status, err) == (0, "") and list(read_safetensors(out)) == ["0", "1", "y"]


def test_a_planet_that_has_taps_in_its_own_precision_only(command, module_file, tmp_path):
    pytest.importorskip("sklearn", reason="scikit-learn is not installed")
    module_file("net", "import numpy as np\nfrom sklearn.linear_model import LinearRegression\n"
                "def build():\n    return LinearRegression().fit(np.eye(4), np.arange(4.0))\n")
    np.save(tmp_path / "x.npy", drawn((3, 4))[0]["x"])
    arguments = ("native", "sklearn", "net:build", "--input", "x.npy", "--taps", "t")
    assert command(*arguments, "--float64") == (2, b"", (
        "planetbridging: sklearn computes in the precision of its own weights: "
        "float64 cannot be asked for\n"))
    assert not (tmp_path / "t").exists()
    status, out, err = command(*arguments)
    assert (status, err) == (0, "")
    found = read_safetensors((tmp_path / "t").read_bytes())
    assert list(found) == ["y"]
    np.testing.assert_array_equal(found["y"], np.load(io.BytesIO(out)))
