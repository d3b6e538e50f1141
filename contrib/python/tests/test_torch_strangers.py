"""PyTorch: networks as strangers write them, what else is refused by path, and threads."""

from __future__ import annotations

import threading

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")

from torch import nn  # noqa: E402
from torch.nn import functional as F  # noqa: E402

from planetbridging import BridgeError, BridgeWarning, Unsupported, emit, native  # noqa: E402
from torch_networks import bare, batches, drawn, filled, module  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")


def problems_of(net, example) -> list[str]:
    """What is refused, one line each."""
    with pytest.raises(Unsupported) as error:
        emit(net, example=example)
    return [str(problem) for problem in error.value.problems]


class UNet(nn.Module):
    """Two levels; the way up is padded to the size of the way down."""

    def __init__(self):
        super().__init__()
        self.down, self.mid = self.block(3, 4), self.block(4, 6)
        self.up, self.out = nn.ConvTranspose2d(6, 4, 2, 2), self.block(8, 2)

    @staticmethod
    def block(inside: int, outside: int):
        return nn.Sequential(nn.Conv2d(inside, outside, 3, padding=1, bias=False),
                             nn.BatchNorm2d(outside), nn.ReLU(inplace=True))

    def forward(self, x):
        a = self.down(x)
        u = self.up(self.mid(F.max_pool2d(a, 2)))
        h, w = a.size(2) - u.size(2), a.size(3) - u.size(3)
        u = F.pad(u, [w // 2, w - w // 2, h // 2, h - h // 2])
        return self.out(torch.cat([a, u], 1))


class Translator(nn.Module):
    """A recurrent encoder and a decoder that attends to it, padding hidden."""

    def __init__(self):
        super().__init__()
        self.source, self.target = nn.Embedding(11, 4), nn.Embedding(11, 4)
        self.encoder = nn.GRU(4, 3, batch_first=True, bidirectional=True)
        self.bridge, self.key = nn.Linear(6, 5), nn.Linear(6, 5, bias=False)
        self.decoder, self.out = nn.GRU(4, 5, batch_first=True), nn.Linear(11, 11)

    def forward(self, src, tgt):
        e, h = self.encoder(self.source(src))
        start = torch.tanh(self.bridge(torch.cat([h[0], h[1]], -1))).unsqueeze(0)
        d, _ = self.decoder(self.target(tgt), start)
        score = torch.bmm(d, self.key(e).transpose(1, 2))
        seen = F.softmax(score.masked_fill((src == 0).unsqueeze(1), -1e9), -1)
        return F.log_softmax(self.out(torch.cat([d, torch.bmm(seen, e)], -1)), -1), seen


def test_a_unet_at_odd_sizes(whole_path):
    net = filled(UNet())
    whole_path("pytorch", net, *drawn((2, 3, 8, 9), (1, 3, 10, 13)), atol=1e-4)


def test_attention_between_recurrent_layers(whole_path):
    rng = np.random.default_rng(0)
    given = [{"src": rng.integers(1, 11, (b, s)), "tgt": rng.integers(1, 11, (b, t))}
             for b, s, t in ((2, 6, 4), (3, 8, 5))]
    for inputs in given:
        inputs["src"][1, -2:] = 0
    whole_path("pytorch", filled(Translator()), *given, atol=1e-4)


def test_constant_rows_are_put_and_columns_scaled(whole_path):
    def forward(s, x):
        y = s.a(x).clone()
        y[:, s.rows] = 0.5
        y[:, 1] += 2
        y[:, 3:] *= 3
        return y
    whole_path("pytorch", module(forward, a=nn.Linear(4, 6), rows=torch.tensor([0, 2])), *batches(4))


def test_the_lesser_and_the_greater_of_two_tensors(whole_path):
    net = bare(lambda s, x: (torch.min(x, -2 * x), torch.max(x, torch.zeros_like(x))))
    whole_path("pytorch", net, *batches(4))


def test_windows_are_rolled_and_normalised(whole_path):
    net = module(lambda s, x: torch.roll(F.normalize(s.a(torch.roll(x, (-1, -2), (1, 2))), dim=-1),
                                         (1, 2), (1, 2)), a=nn.Linear(4, 4))
    whole_path("pytorch", net, *drawn((2, 5, 6, 4), (3, 7, 4, 4)))


def test_positions_counted_from_a_mask(whole_path):
    def forward(s, m, x):
        return s.table((torch.cumsum(m, 1) * m).long()) + x
    mask = [np.tile(np.arange(n) < n - 2, (b, 1)).astype(np.int64) for b, n in ((2, 7), (3, 9))]
    xs = drawn((2, 7, 4), (3, 9, 4))
    given = [{"m": m, "x": x["x"]} for m, x in zip(mask, xs)]
    whole_path("pytorch", module(forward, table=nn.Embedding(10, 4)), *given)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_numbers_rounded_to_16_bits_on_the_way_are_refused(dtype):
    net = module(lambda s, x: s.a(x.to(dtype).float()), a=nn.Linear(4, 4))
    assert problems_of(net, batches(4)[0]) == [
        f"the model (Net): aten._to_copy with a conversion to {dtype}"]


def test_integers_that_wrap_are_refused():
    net = bare(lambda s, x: ((x > 0).to(torch.uint8) - 1, (x * 300).to(torch.int16)))
    assert problems_of(net, batches(4)[0]) == [
        "the model (Net): aten.sub.Tensor with arithmetic in torch.uint8, which wraps",
        "the model (Net): aten._to_copy with a conversion to torch.int16"]


def test_bytes_that_only_say_yes_or_no_go_through(whole_path):
    net = bare(lambda s, x: torch.where((x > 0).to(torch.uint8) == 1, x, -2 * x))
    whole_path("pytorch", net, *batches(4))


def test_code_that_follows_values_is_named_by_path_and_line():
    inner = bare(lambda s, x: x * 2 if x.sum() > 0 else x)
    net = nn.Sequential(nn.Linear(4, 4), nn.Sequential(inner))
    line = inner.forward.__func__.__code__.co_firstlineno
    assert problems_of(net, batches(4)[0]) == [
        f"1.0 (Net): Python code that follows the values of a tensor (test_torch_strangers.py:{line})"]


def test_torchscript_is_refused_by_path():
    script = torch.jit.script(nn.Sequential(nn.Linear(4, 4)))
    traced = torch.jit.trace(nn.Linear(4, 4), torch.zeros(2, 4))
    told = "TorchScript: give the module that it was made from"
    net = nn.Sequential(script, nn.ReLU(), traced)
    assert problems_of(net, batches(4)[0]) == [f"0 (Sequential): {told}", f"2 (Linear): {told}"]
    assert problems_of(traced, batches(4)[0]) == [f"the model (Linear): {told}"]
    with pytest.raises(Unsupported, match="^cannot be expressed: the model .Linear.: TorchScript"):
        native(traced, batches(4)[0])


def test_lazy_layers_are_refused_by_path():
    net = nn.Sequential(nn.LazyLinear(4), nn.ReLU(), nn.LazyLinear(3))
    told = "no shapes yet: call the model once"
    assert problems_of(net, batches(4)[0]) == [f"0 (LazyLinear): {told}", f"2 (LazyLinear): {told}"]
    net(torch.zeros(2, 4))
    assert len(emit(net, example=batches(4)[0]).nodes) == 3


def told_of(net, example) -> list[str]:
    """The warnings of `emit`."""
    with pytest.warns(BridgeWarning) as found:
        emit(net, example=example)
    return [str(warning.message) for warning in found if warning.category is BridgeWarning]


def test_sizes_that_the_code_settles_are_told():
    def forward(s, x):
        b, c, h, w = x.shape
        x = x.view(b, c, h // 4, 4, w // 4, 4).permute(0, 2, 4, 3, 5, 1).contiguous()
        return s.a(x.view(b, (h // 4) * (w // 4), 16 * c))
    assert told_of(module(forward, a=nn.Linear(48, 5)), drawn((2, 3, 8, 12))[0]) == [
        f"the graph holds for {size} on axis {axis} of x only, though the network takes other sizes: "
        "its code settles it" for axis, size in ((2, 8), (3, 12))]


def test_a_first_axis_that_is_none_of_samples_is_not_called_so():
    net = module(lambda s, x, shift: s.a(x) + shift, a=nn.Linear(4, 3))
    example = {"x": batches(4)[0]["x"], "shift": np.ones(3, np.float32)}
    assert told_of(net, example) == [
        "the graph holds for 3 on axis 0 of shift only: it fixes the first axis of shift"]


def emitted(net, example, times: int, found: list) -> None:
    """The nodes of several graphs of one network, or what was raised."""
    for _ in range(times):
        try:
            graph, answers = emit(net, example=example), native(net, example, precision="float64")
            found.append(([node.op for node in graph.nodes], answers["y"].dtype))
        except Exception as error:  # the test shows it
            found.append(error)


def test_two_threads_disturb_nobody():
    one = module(lambda s, x: s.r(x)[0], r=nn.LSTM(4, 3, batch_first=True))
    two = nn.Sequential(nn.Linear(4, 5), nn.utils.parametrizations.weight_norm(nn.Linear(5, 4)), nn.Tanh())
    nets, examples = (one, two), drawn((2, 5, 4), (3, 4))
    found: list[list] = [[], []]
    before = torch.get_default_dtype(), nn.MultiheadAttention.forward
    threads = [threading.Thread(target=emitted, args=(net, example, 5, made))
               for net, example, made in zip(nets, examples, found)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [[(["lstm"], np.float64)] * 5, [(["dense", "dense", "tanh"], np.float64)] * 5]
    assert (torch.get_default_dtype(), nn.MultiheadAttention.forward) == before
    assert nn.utils.parametrize.is_parametrized(two[1]) and "forward" not in vars(one.r)


def test_everything_is_undone_where_an_error_passes():
    def forward(s, x):
        raise KeyError("mine")
    net = module(forward, r=nn.LSTM(4, 3), n=nn.utils.parametrizations.weight_norm(nn.Linear(4, 4)))
    before = torch.get_default_dtype(), nn.MultiheadAttention.forward, nn.utils.rnn.pack_sequence
    codes = [f.__code__ for f in (nn.utils.rnn.pack_padded_sequence, nn.utils.rnn.pad_packed_sequence)]
    for call in (lambda x: emit(net, example=x), lambda x: native(net, x, precision="float64")):
        with pytest.raises(BridgeError, match="mine"):
            call(drawn((3, 4))[0])
    assert before == (torch.get_default_dtype(), nn.MultiheadAttention.forward,
                      nn.utils.rnn.pack_sequence)
    assert codes == [f.__code__ for f in (nn.utils.rnn.pack_padded_sequence,
                                          nn.utils.rnn.pad_packed_sequence)]
    assert nn.utils.parametrize.is_parametrized(net.n) and not net.training
    assert "forward" not in vars(net.r)
