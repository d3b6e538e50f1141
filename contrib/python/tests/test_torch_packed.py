"""PyTorch: packed sequences and GRUs, at other batches, lengths and layouts."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")

from torch import nn  # noqa: E402
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence  # noqa: E402

from planetbridging import BridgeWarning, emit  # noqa: E402
from torch_networks import drawn, exact, module, names, operations, problems_of, rows_of  # noqa: E402


def samples(batch_first, *sizes):
    """Samples [b, s, 5] with lengths from 1 to s, one of them s."""
    found = []
    for b, s in sizes:
        lengths = np.random.default_rng(s).integers(1, s + 1, b)
        lengths[-1] = s
        x = drawn((b, s, 5))[0]["x"]
        found.append({"x": x if batch_first else x.swapaxes(0, 1).copy(), "lengths": lengths})
    return found


@pytest.mark.parametrize("options", [{}, {"bidirectional": True, "num_layers": 2}], ids=str)
@pytest.mark.parametrize("batch_first", [True, False])
@pytest.mark.parametrize("cls", [nn.LSTM, nn.GRU, nn.RNN])
def test_packed_samples(streamed, cls, batch_first, options):
    def forward(s, x, lengths):
        packed = pack_padded_sequence(x, lengths, batch_first, enforce_sorted=False)
        y, last = s.r(packed)
        last = last[0] if isinstance(last, tuple) else last
        y, lengths = pad_packed_sequence(y, batch_first, padding_value=0.5)
        return y, last, lengths
    net = module(forward, r=cls(5, 4, batch_first=batch_first, **options))
    with pytest.warns(BridgeWarning) as found:
        document = exact(streamed, net, *samples(batch_first, (3, 7), (2, 4)))
    assert [str(w.message) for w in found] == [
        "packed samples keep the length of the input: the graph holds where one sample fills it, or "
        "total_length says so"]
    cell = next(n for n in document.nodes if n["op"] == cls.__name__.lower())
    assert cell["in"][-1] == "lengths" and cell["in"][1:-1] == [None] * (2 if cls is nn.LSTM else 1)
    assert "r" in names(document) and operations(document).count("where") == 2


def test_packed_samples_with_a_first_state_and_their_whole_length(streamed):
    def forward(s, x, lengths, h):
        packed = pack_padded_sequence(x, lengths, True, enforce_sorted=False)
        return pad_packed_sequence(s.r(packed, h)[0], True, total_length=x.shape[1])[0]
    net = module(forward, r=nn.GRU(5, 4, batch_first=True))
    inputs = samples(True, (3, 7), (2, 4))
    for given in inputs:
        given["lengths"][-1] -= 1
        given["h"] = drawn((1, len(given["x"]), 4), seed=9)[0]["x"]
    document = exact(streamed, net, *inputs)
    assert operations(document).count("where") == 1


def test_torch_packs_again_afterwards():
    before = pack_padded_sequence.__code__
    test = module(lambda s, x: pad_packed_sequence(s.r(pack_padded_sequence(
        x, torch.tensor([7, 2, 1]), True))[0], True)[0], r=nn.RNN(5, 4, batch_first=True))
    with pytest.warns(match="^the network works for 3 samples only"):
        emit(test, example=drawn((3, 7, 5))[0])
    assert pack_padded_sequence.__code__ is before
    assert pack_padded_sequence(torch.ones(2, 3, 1), [3, 1], True).data.shape == (4, 1)


def test_the_rows_of_packed_samples_are_refused():
    net = module(lambda s, x, lengths: s.r(pack_padded_sequence(x, lengths, True))[0].data,
                 r=nn.LSTM(5, 4, batch_first=True))
    given = {"x": drawn((2, 4, 5))[0]["x"], "lengths": np.array([4, 2])}
    assert problems_of(net, given) == [("the model", "PackedSequence", "data of packed samples")]


@pytest.mark.parametrize("options", [{}, {"bias": False}, {"num_layers": 2, "bidirectional": True}], ids=str)
@pytest.mark.parametrize("batch_first", [True, False])
def test_gru(streamed, batch_first, options):
    net = module(lambda s, x: s.r(x), r=nn.GRU(5, 4, batch_first=batch_first, **options))
    document = exact(streamed, net, *drawn((3, 7, 5), (2, 4, 5)))
    cells = [n for n in document.nodes if n["op"] == "gru"]
    assert cells[0]["params"] == {
        "input_size": 5, "hidden_size": 4, "reset_after": True, "biases": 2 * options.get("bias", True),
        "direction": "forward", "order": "time"}
    slots = [f"{slot}_{gate}" for gate in "rzn" for slot in ("WUb" if options.get("bias", True) else "WU")]
    assert [t["slot"] for t in cells[0]["tensors"]][:len(slots)] == slots
    assert rows_of(cells[0]["tensors"][len(slots) // 3]) == "r.weight_ih_l0[4:8]"


def test_gru_cells_and_states(streamed):
    def forward(s, x, h):
        h = s.cell(x[:, 0], h)
        y, last = s.r(x, h[None])
        return y, last
    net = module(forward, cell=nn.GRUCell(5, 4), r=nn.GRU(5, 4, batch_first=True))
    inputs = [{"x": drawn((b, s, 5))[0]["x"], "h": drawn((b, 4), seed=5)[0]["x"]}
              for b, s in ((3, 7), (2, 4))]
    assert operations(exact(streamed, net, *inputs)).count("gru") == 2
