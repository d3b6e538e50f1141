"""PyTorch: modules, functions, ties and dtypes; what cannot be expressed is named, all of it."""

from __future__ import annotations

import io

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")

from torch import nn  # noqa: E402
from torch.nn import functional as F  # noqa: E402

from planetbridging import BridgeError, BridgeWarning, Unsupported, emit, native, taps  # noqa: E402
from torch_networks import bare, batches, exact  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")


def module(function, **parts):
    """`bare`, with normal parameters of torch's own drawing."""
    torch.manual_seed(1)
    net = bare(function, **parts)
    for parameter in net.parameters():
        nn.init.normal_(parameter)
    return net


def operations(document):
    return [n["op"] for n in document.nodes]


def problems_of(net, example, as_is=False):
    if not as_is:
        net.eval()
    with pytest.raises(Unsupported) as error:
        emit(net, example=example)
    return {(p.path, p.cls, p.operation) for p in error.value.problems}


def test_square_layers_keep_their_orientation(whole_path):
    net = nn.Sequential(nn.Linear(6, 6), nn.Tanh(), nn.Linear(6, 6, bias=False))
    document = whole_path("pytorch", net, *batches(6))
    assert [n["name"] for n in document.nodes] == ["0", "1", "2"]
    assert document.nodes[0]["tensors"][0]["axes"] == ["o", "i"]
    assert document.nodes[0]["tensors"][1]["source"] == "0.bias"
    assert document.head["inputs"] == [{"name": "input", "dtype": "float32", "shape": ["batch", 6]}]
    assert document.head["outputs"] == ["y"]


@pytest.mark.parametrize("layer, op, params", [
    (nn.ReLU(), "relu", {}), (nn.Tanh(), "tanh", {}), (nn.Sigmoid(), "sigmoid", {}),
    (nn.SiLU(), "silu", {}), (nn.Mish(), "mish", {}), (nn.GELU(), "gelu", {"approximate": "none"}),
    (nn.GELU("tanh"), "gelu", {"approximate": "tanh"}),
    (nn.LeakyReLU(0.3), "leaky_relu", {"negative_slope": 0.3}),
    (nn.LeakyReLU(), "leaky_relu", {"negative_slope": 0.01}),
    (nn.Softmax(-1), "softmax", {"axis": -1}), (nn.Softmax(1), "softmax", {"axis": 1}),
])
def test_activations(whole_path, layer, op, params):
    document = whole_path("pytorch", nn.Sequential(nn.Linear(4, 5), layer), *batches(4))
    assert document.nodes[1]["op"] == op and document.nodes[1]["params"] == params


def test_skip_at_two_batch_sizes(whole_path):
    net = module(lambda s, x: x + s.b(F.relu(s.a(x))), a=nn.Linear(5, 8), b=nn.Linear(8, 5))
    document = whole_path("pytorch", net, *batches(5))
    assert operations(document) == ["dense", "relu", "dense", "add"]
    assert document.nodes[3]["in"] == ["x", "b"]


def test_two_branches_and_two_inputs(whole_path):
    net = module(lambda s, x, z: s.c(torch.cat([s.a(x), torch.tanh(s.b(z))], dim=1)),
                 a=nn.Linear(5, 4), b=nn.Linear(3, 2), c=nn.Linear(6, 2))
    rng = np.random.default_rng(2)
    inputs = [{"x": rng.normal(size=(n, 5)).astype(np.float32),
               "z": rng.normal(size=(n, 3)).astype(np.float32)} for n in (2, 6)]
    document = whole_path("pytorch", net, *inputs)
    assert operations(document) == ["dense", "dense", "tanh", "concat", "dense"]
    assert [i["shape"] for i in document.head["inputs"]] == [["batch", 5], ["batch", 3]]


def test_one_sample_is_example_enough(whole_path):
    whole_path("pytorch", nn.Sequential(nn.Linear(4, 4)), *batches(4, sizes=(1, 5)))


def test_equal_sizes_of_batch_and_features_stay_apart(whole_path):
    document = whole_path("pytorch", nn.Sequential(nn.Linear(4, 4)), *batches(4, sizes=(4, 5)))
    assert document.head["inputs"][0]["shape"] == ["batch", 4]


def test_tied_weights_travel_once(whole_path):
    net = module(lambda s, x: s.b(torch.tanh(s.a(x))), a=nn.Linear(6, 6), b=nn.Linear(6, 6))
    net.b.weight = net.a.weight
    document = whole_path("pytorch", net, *batches(6))
    assert document.entry("b", "weight") == {"slot": "weight", "same": "a.weight"}
    assert document.size() == 4 * (36 + 6 + 6)


def test_a_weight_used_both_ways(whole_path):
    net = module(lambda s, x: F.linear(s.a(x), s.a.weight.t()) @ s.a.weight.T, a=nn.Linear(6, 6))
    document = whole_path("pytorch", net, *batches(6))
    axes = [n["tensors"][0].get("axes", "same") for n in document.nodes]
    assert axes == [["o", "i"], ["i", "o"], "same"]


def test_shared_modules_are_nodes_of_their_own(whole_path):
    net = module(lambda s, x: s.a(torch.relu(s.a(x))), a=nn.Linear(5, 5))
    document = whole_path("pytorch", net, *batches(5))
    assert [n["name"] for n in document.nodes] == ["a", "relu", "a_2"]
    assert [t["same"] for t in document.nodes[2]["tensors"]] == ["a.weight", "a.bias"]


def test_functions_numbers_parameters_and_buffers(whole_path):
    def forward(s, x):
        h = F.gelu(s.a(x)) * s.scale - s.shift
        h = torch.add(h, x, alpha=0.5) / 3
        h += 1
        return 1 - F.silu(h).mul(2) / (x * x + 1)
    net = module(forward, a=nn.Linear(5, 5), scale=nn.Parameter(torch.ones(5)),
                 shift=torch.arange(5.0))
    document = whole_path("pytorch", net, *batches(5))
    assert document.entry("scale", "value")["source"] == "scale"
    assert set(operations(document)) == {"dense", "gelu", "mul", "constant", "sub", "add", "div",
                                         "silu"}


def test_products_with_a_stored_matrix(whole_path):
    net = module(lambda s, x: torch.addmm(s.b, torch.mm(x, s.v), s.w) + (x @ s.v @ s.w),
                 w=nn.Parameter(torch.ones(6, 4)), v=nn.Parameter(torch.ones(5, 6)),
                 b=nn.Parameter(torch.ones(4)))
    document = whole_path("pytorch", net, *batches(5))
    assert document.nodes[0]["tensors"][0]["axes"] == ["i", "o"]
    assert operations(document).count("dense") == 4


def test_in_place_operations_and_views(whole_path):
    def forward(s, x):
        h = s.a(x)
        view = h.view(-1)
        h.relu_().add_(1)
        return view.reshape(x.shape[0], -1)
    whole_path("pytorch", module(forward, a=nn.Linear(5, 6)), *batches(5))


def test_reshapes_follow_the_batch(whole_path):
    def forward(s, x):
        h = s.a(x).view(x.shape[0] * 2, 6).relu()
        h = h.reshape(x.shape[0], 2, 3, 2).flatten(1).unflatten(1, (4, 3))
        return h.unsqueeze(1).squeeze(1), h.reshape(-1, 3)[None].squeeze(0)
    document = whole_path("pytorch", module(forward, a=nn.Linear(5, 12)), *batches(5))
    shapes = [n["params"]["shape"] for n in document.nodes if n["op"] == "reshape"]
    assert shapes[0] == ["2*batch", 6] and shapes[-1] == ["4*batch", 3]
    assert document.head["outputs"] == ["y_0", "y_1"]


def test_a_free_length(whole_path):
    net = module(lambda s, x: s.a(x).reshape(x.shape[0] * x.shape[1], 3), a=nn.Linear(4, 3))
    inputs = [{"x": np.random.default_rng(n).normal(size=(n, n + 2, 4)).astype(np.float32)}
              for n in (2, 3)]
    document = whole_path("pytorch", net, *inputs)
    assert document.head["inputs"][0]["shape"] == ["batch", "d1", 4]
    assert document.nodes[-1]["params"]["shape"] == ["batch*d1", 3]


def test_halves_of_a_length(whole_path):
    net = module(lambda s, x: torch.tanh(x).view(x.shape[0], x.shape[1] // 2, -1))
    inputs = [{"x": np.random.default_rng(n).normal(size=(3, n)).astype(np.float32)}
              for n in (6, 10)]
    document = whole_path("pytorch", net, *inputs)
    assert any("//" in str(d) or "*" in str(d) for i in document.head["inputs"] + [
        {"shape": n["params"].get("shape", [])} for n in document.nodes] for d in i["shape"])


@pytest.mark.parametrize("dtype, name", [(torch.float64, "float64"), (torch.float16, "float16"),
                                         (torch.bfloat16, "bfloat16")])
def test_weights_travel_in_their_own_dtype(whole_path, dtype, name):
    net = nn.Sequential(nn.Linear(5, 7), nn.ReLU(), nn.Linear(7, 3)).to(dtype)
    atol = {"float64": 1e-12, "float16": 4e-3, "bfloat16": 3e-2}[name]
    document = whole_path("pytorch", net, *batches(5), atol=atol, loom=name != "float64")
    assert {t["dtype"] for n in document.nodes for t in n["tensors"]} == {name}
    for key, tensor in net.state_dict().items():
        node, slot = key.split(".")
        np.testing.assert_array_equal(document.values(node, slot), tensor.double().numpy())


@pytest.mark.parametrize("dtype, kind, step", [(torch.float16, "float16", "1e-3"),
                                               (torch.bfloat16, "bfloat16", "8e-3")])
def test_arithmetic_of_16_bits_is_said(dtype, kind, step):
    net = nn.Sequential(nn.Linear(4, 4), nn.Softmax(-1)).to(dtype)
    with pytest.warns(BridgeWarning) as found:
        emit(net, example=batches(4)[0])
    assert [str(w.message) for w in found] == [
        f"the network computes in {kind}, Loom in float32 on the same weights: differences near "
        f"{step} are {kind}'s own (--atol)"]
    kept = native(net, batches(4)[0])["y"].dtype
    assert kept == (np.float16 if dtype is torch.float16 else np.float32)


def test_signs_squares_and_reciprocals(streamed):
    net = module(lambda s, x: -s.a(x) ** 2 + 1 / (1 + torch.square(x)) - x.reciprocal() * -x,
                 a=nn.Linear(4, 4))
    document = exact(streamed, net, *batches(4))
    assert set(operations(document)) == {"dense", "mul", "constant", "add", "sub", "neg", "reciprocal"}


def test_inputs_that_do_not_fit_are_data_at_fault():
    net = nn.Sequential(nn.Linear(4, 4))
    for x in (np.ones((2, 5), np.float32), np.ones((2, 4), np.int64)):
        with pytest.raises(BridgeError, match="^Sequential cannot run these inputs: "):
            native(net, {"x": x})


def test_weights_of_another_dtype_than_the_values_are_refused():
    net = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
    net[0].double()
    assert {op for _, _, op in problems_of(net, batches(4)[0])} == {
        "aten.linear with values of float64 and a weight of float32"}


def test_float64_through_loom(whole_path):
    whole_path("pytorch", nn.Sequential(nn.Linear(5, 7), nn.Sigmoid()).double(), *batches(5))


def test_dropout_is_gone(whole_path):
    net = nn.Sequential(nn.Linear(5, 5), nn.Dropout(0.5), nn.Linear(5, 2))
    document = whole_path("pytorch", net, *batches(5))
    assert operations(document) == ["dense", "dense"]


def test_dropout_that_is_always_on_is_refused():
    net = module(lambda s, x: F.dropout(x, 0.5, training=True))
    assert problems_of(net, batches(4)[0]) == {("the model", "Net", "aten.native_dropout")}


def test_dict_outputs_and_outputs_that_are_inputs(whole_path):
    net = module(lambda s, x: {"p": s.a(x).softmax(-1), "x": x, "q": s.b, "none": None},
                 a=nn.Linear(5, 3), b=nn.Parameter(torch.ones(2)))
    document = whole_path("pytorch", net, *batches(5))
    assert document.head["outputs"] == ["p", "x_2", "q"]


def test_one_tensor_under_two_names(whole_path):
    def forward(s, x):
        h = s.a(x)
        return h, torch.relu(h), h
    document = whole_path("pytorch", module(forward, a=nn.Linear(5, 3)), *batches(5))
    assert document.head["outputs"] == ["y_0", "y_1", "y_2"]
    assert [(n["op"], n["in"]) for n in document.nodes] == [
        ("dense", ["x"]), ("relu", ["y_0"]), ("linear", ["y_0"])]


def test_all_that_is_unsupported_is_listed_at_once():
    net = module(lambda s, x: torch.sort(s.att(*[s.lstm(x)[0]] * 3)[0])[0].cumprod(1),
                 lstm=nn.LSTM(4, 6, proj_size=4), att=nn.MultiheadAttention(4, 2, add_zero_attn=True))
    example = {"x": np.zeros((2, 5, 4), np.float32)}
    assert problems_of(net, example) == {
        ("lstm", "LSTM", "proj_size=4"),
        ("att", "MultiheadAttention", "add_bias_kv or add_zero_attn"),
        ("the model", "Net", "aten.sort"), ("the model", "Net", "aten.cumprod")}


@pytest.mark.parametrize("forward, operation", [
    (lambda s, x: x.double(), "aten._to_copy with a conversion to torch.float64"),
    (lambda s, x: F.softmax(x, -1, dtype=torch.float64),
     "aten.softmax with another dtype for its result"),
    (lambda s, x: F.conv1d(x[:, None], s.a(x)[:1, None]),
     "aten.conv1d with a weight or bias that is computed"),
])
def test_what_the_vocabulary_cannot_say(forward, operation):
    found = problems_of(module(forward, a=nn.Linear(4, 4)), batches(4)[0])
    assert operation in {op for _, _, op in found}


def test_a_buffer_that_forward_changes_is_refused():
    def forward(s, x):
        s.count.add_(1)
        return x + s.count
    found = problems_of(module(forward, count=torch.zeros(1)), batches(4)[0])
    assert ("count", "Net", "changed by forward") in found


def test_a_module_in_training_mode_is_refused():
    net = nn.Sequential(nn.Linear(4, 4), nn.Sequential(nn.Linear(4, 4), nn.Dropout())).train()
    x = batches(4)[0]
    for take in (lambda: emit(net, example=x), lambda: native(net, x), lambda: taps(net, x)):
        with pytest.raises(BridgeError) as error:
            take()
        assert str(error.value) == "Sequential is in training mode: call .eval() on it first"
    net.eval()[1].train()
    assert problems_of(net, batches(4)[0], as_is=True) == {
        (path, cls, "in training mode: call .eval() first")
        for path, cls in (("1", "Sequential"), ("1.0", "Linear"), ("1.1", "Dropout"))}


def test_a_fixed_batch_is_said():
    net = module(lambda s, x: s.a(x) + s.b, a=nn.Linear(4, 4), b=torch.ones(3, 4))
    message = "^the network works for 3 samples only: it fixes the first axis of x$"
    with pytest.warns(BridgeWarning, match=message):
        emit(net, example=batches(4)[0])


def test_a_branch_on_a_size_is_said():
    net = module(lambda s, x: s.a(x) if 3 < x.shape[1] < 9 else x, a=nn.Linear(4, 4))
    message = "^forward depends on a size: the graph holds for d1 >= 4 and d1 <= 8 only$"
    with pytest.warns(BridgeWarning, match=message):
        emit(net, example=np.zeros((2, 5, 4), np.float32))


def test_a_branch_on_a_value_is_refused_quietly(capfd):
    net = module(lambda s, x: x * 2 if x.sum() > 0 else x)
    with pytest.raises(BridgeError, match=r"^cannot be expressed: the model \(Net\): Python "
                       r"code that follows the values of a tensor \(test_torch\.py:\d+\)$"):
        emit(net, example=batches(4)[0])
    assert capfd.readouterr() == ("", "")


def test_an_example_is_needed_and_must_fit():
    with pytest.raises(BridgeError, match="^pytorch needs an example of the inputs"):
        emit(nn.Linear(4, 4))
    with pytest.raises(BridgeError, match="^Linear does not accept the example: .*mat1 and mat2"):
        emit(nn.Linear(4, 4), example=np.zeros((2, 5), np.float32))
    net = module(lambda s, x, z: x + z)
    with pytest.raises(BridgeError, match="^inputs are x; the network wants x, z$"):
        emit(net, example={"x": np.zeros((2, 5), np.float32)})


def test_integers_are_int64(whole_path):
    net = module(lambda s, x: x * 2 + s.b, b=torch.arange(3, dtype=torch.int64))
    document = whole_path("pytorch", net, {"x": np.arange(6, dtype=np.int32).reshape(2, 3)})
    assert document.head["inputs"][0]["dtype"] == "int64"
    assert {t["dtype"] for n in document.nodes for t in n["tensors"]} == {"int64"}


@pytest.mark.parametrize("suffix", [".safetensors", ".pt"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_weights_from_a_file(tmp_path, streamed, suffix, dtype):
    from planetbridging.planets import torch_

    def tied():
        net = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
        net[1].weight = net[0].weight
        return net
    source, path = tied().to(dtype), str(tmp_path / f"w{suffix}")
    if suffix == ".pt":
        torch.save(source.state_dict(), path)
    else:
        safetensors = pytest.importorskip("safetensors.torch")
        safetensors.save_model(source, path)
    net = torch_.with_weights(tied(), path)
    document = streamed(emit(net, example=batches(4)[0]))
    assert document.entry("1", "weight") == {"slot": "weight", "same": "0.weight"}
    np.testing.assert_array_equal(document.values("0", "weight"),
                                  source[0].weight.detach().double())


def test_weights_that_do_not_fit(tmp_path):
    from planetbridging.planets import torch_

    path = str(tmp_path / "w.pt")
    net = nn.Linear(4, 4)
    for state, message in [
            ({"weight": torch.ones(4, 4)}, "lacks bias; is it this model's file?"),
            ({**net.state_dict(), "extra": torch.ones(1)},
             "has the unknown extra; is it this model's file?"),
            ({"weight": torch.ones(4, 3), "bias": torch.ones(4)},
             "weight has shape [4, 3], expected [4, 4]"),
            ([1], "is no state_dict, a dict of tensors by name")]:
        torch.save(state, path)
        with pytest.raises(BridgeError) as error:
            torch_.with_weights(net, path)
        assert str(error.value) == f"{path}: {message}"


def test_a_pickle_with_code_is_not_run(tmp_path):
    from planetbridging.planets import torch_

    path = str(tmp_path / "w.pt")
    torch.save(nn.Linear(2, 2), path)
    with pytest.raises(BridgeError, match="cannot be read as tensors"):
        torch_.with_weights(nn.Linear(2, 2), path)


def test_native_takes_any_name_and_keyword_only_inputs():
    class Net(nn.Module):
        def forward(self, x, *, scale):
            return x * scale
    x = np.ones((2, 3))
    assert native(nn.Identity(), x)["y"].tolist() == x.tolist()
    assert native(Net(), {"scale": 2 * x, "x": x})["y"].tolist() == (2 * x).tolist()


NETWORK = """
import torch
from torch import nn
def build():
    return nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Dropout(0.5)).eval()
class Two(nn.Module):
    def __init__(self):
        super().__init__()
        self.eval()
    def forward(self, x, z):
        return x + z, {"product": x * z}
"""


def test_the_command_line(command, module_file, tmp_path):
    module_file("net", NETWORK)
    x = batches(4)[0]["x"]
    np.save(tmp_path / "x.npy", x)
    net = nn.Sequential(nn.Linear(4, 4))
    torch.save(net.state_dict(), tmp_path / "w.pt")
    arguments = ["net:build", "--weights", "w.pt", "--input", "x.npy"]
    status, out, err = command("emit", "pytorch", *arguments)
    assert (status, err) == (0, "") and out.startswith(b'{"loom_stream":2,"planet":"pytorch"')
    status, out, err = command("native", "torch", *arguments)
    assert (status, err) == (0, "")
    with torch.no_grad():
        np.testing.assert_array_equal(np.load(io.BytesIO(out)), net(torch.from_numpy(x)).relu())


def test_several_inputs_and_outputs_are_npz(command, module_file, tmp_path):
    module_file("net", NETWORK)
    x = batches(4)[0]["x"]
    np.savez(tmp_path / "x.npz", z=2 * x, x=x)
    status, out, err = command("native", "pytorch", "net:Two", "--input", "x.npz")
    assert (status, err) == (0, "")
    found = np.load(io.BytesIO(out))
    assert sorted(found) == ["y_0", "y_1.product"]
    np.testing.assert_array_equal(found["y_0"], x + 2 * x)
    np.save(tmp_path / "x.npy", x)
    assert command("native", "pytorch", "net:Two", "--input", "x.npy")[::2] == (
        3, "planetbridging: inputs are x; the network wants x, z\n")
