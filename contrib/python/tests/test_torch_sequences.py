"""PyTorch: recurrent layers, their cells and states, attention with its masks."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")

from torch import nn  # noqa: E402

from planetbridging import emit, native  # noqa: E402
from planetbridging.composed.torch_ import RopeAttention  # noqa: E402
from torch_networks import (  # noqa: E402
    drawn, exact, filled, module, names, operations, problems_of, rows_of, run_numpy)

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")

SEQUENCES = ((3, 7, 5), (2, 4, 5))
TOKENS = ((3, 7, 8), (2, 4, 8))
GATED = [f"{slot}_{gate}" for gate in "ifgo" for slot in "WUb"] + [f"b2_{gate}" for gate in "ifgo"]


def first(s, x):
    return s.r(x)[0]


@pytest.mark.parametrize("options", [
    {}, {"bias": False}, {"num_layers": 2}, {"bidirectional": True},
    {"num_layers": 2, "bidirectional": True, "dropout": 0.5}], ids=str)
@pytest.mark.parametrize("batch_first", [True, False])
@pytest.mark.parametrize("cls", [nn.LSTM, nn.RNN])
def test_recurrent_layers(streamed, cls, batch_first, options):
    net = module(first, r=cls(5, 4, batch_first=batch_first, **options))
    document = exact(streamed, net, *drawn(*SEQUENCES))
    op = cls.__name__.lower()
    cells = [n for n in document.nodes if n["op"] == op]
    assert len(cells) == options.get("num_layers", 1) * (1 + options.get("bidirectional", False))
    assert operations(document).count("transpose") == 2 * (not batch_first)
    assert document.nodes[-1]["name"] == "r" and document.head["outputs"] == ["y"]
    assert {n["params"]["biases"] for n in cells} == {2 if options.get("bias", True) else 0}
    directions = ["forward", "backward"] if options.get("bidirectional") else ["forward"]
    assert [n["params"]["direction"] for n in cells[:2]][:len(directions)] == directions


def test_gates_are_slots_and_say_their_rows(streamed):
    document = exact(streamed, module(first, r=nn.LSTM(5, 4, batch_first=True)), *drawn(*SEQUENCES))
    node, = document.nodes
    assert [t["slot"] for t in node["tensors"]] == GATED
    assert [rows_of(t) for t in node["tensors"]][3:6] == [
        "r.weight_ih_l0[4:8]", "r.weight_hh_l0[4:8]", "r.bias_ih_l0[4:8]"]
    assert rows_of(node["tensors"][-1]) == "r.bias_hh_l0[12:16]"
    assert node["params"] == {"input_size": 5, "hidden_size": 4, "biases": 2,
                              "direction": "forward", "order": "time"}


def test_relu_and_no_batch(streamed):
    net = module(first, r=nn.RNN(5, 4, nonlinearity="relu", bidirectional=True))
    document = exact(streamed, net, *drawn((7, 5), (4, 5)))
    assert names(document) == ["r.l0", "r.l0_reverse", "r"]
    assert document.nodes[0]["params"]["activation"] == "relu"
    exact(streamed, module(first, r=nn.LSTM(5, 4)), *drawn((7, 5), (4, 5)))


def state_inputs(batch_first, rows, names_, sizes=((3, 7), (2, 4))):
    return [{"x": drawn((b, s, 5) if batch_first else (s, b, 5))[0]["x"],
             **{n: drawn((rows, b, 4), seed=5 + k)[0]["x"] for k, n in enumerate(names_)}}
            for b, s in sizes]


@pytest.mark.parametrize("layers, both", [(1, False), (1, True), (2, False), (3, True)])
@pytest.mark.parametrize("batch_first", [True, False])
def test_states_in_and_out_of_an_lstm(streamed, batch_first, layers, both):
    def forward(s, x, h, c):
        y, (h, c) = s.r(x, (h, c))
        return y, h, c
    net = module(forward, r=nn.LSTM(5, 4, layers, batch_first=batch_first, bidirectional=both))
    document = exact(streamed, net, *state_inputs(batch_first, layers * (1 + both), "hc"))
    free = "batch" if batch_first else "d1"
    assert [i["shape"] for i in document.head["inputs"]][1:] == 2 * [[layers * (1 + both), free, 4]]
    assert document.head["outputs"] == ["y_0", "y_1", "y_2"]
    assert operations(document).count("lstm") == layers * (1 + both)


@pytest.mark.parametrize("layers, both", [(1, False), (2, True)])
def test_the_last_state_of_an_rnn(streamed, layers, both):
    net = module(lambda s, x, h: s.r(x, h)[1], r=nn.RNN(5, 4, layers, bidirectional=both))
    exact(streamed, net, *state_inputs(False, layers * (1 + both), "h"))
    document = exact(streamed, module(lambda s, x: s.r(x)[1][-1], r=nn.RNN(5, 4, batch_first=True)),
                     *drawn(*SEQUENCES))
    assert document.nodes[0]["out"] == ["r", "r.h"]


def test_states_of_one_layer_feed_another(streamed):
    def forward(s, x):
        y, state = s.encoder(x)
        return s.decoder(y, state)[0]
    net = module(forward, decoder=nn.LSTM(4, 4, batch_first=True), encoder=nn.LSTM(5, 4, batch_first=True))
    document = exact(streamed, net, *drawn(*SEQUENCES))
    assert document.nodes[0]["name"] == "encoder" and document.nodes[-1]["name"] == "decoder"


def test_cells(streamed):
    def forward(s, x, h, c):
        h, c = s.first(x, (h, c))
        return s.second(h), s.third(x, h), c
    net = module(forward, third=nn.RNNCell(5, 4, nonlinearity="relu"), second=nn.RNNCell(4, 3, bias=False),
                 first=nn.LSTMCell(5, 4))
    inputs = [{"x": drawn((b, 5))[0]["x"], "h": drawn((b, 4), seed=5)[0]["x"],
               "c": drawn((b, 4), seed=6)[0]["x"]} for b in (3, 2)]
    document = exact(streamed, net, *inputs)
    assert [n["name"] for n in document.nodes if n["op"] != "reshape"] == ["first", "second", "third"]


def test_a_shared_recurrent_layer_travels_once(streamed):
    shared = nn.LSTM(5, 5, batch_first=True)
    net = module(lambda s, x: s.b(s.a(x)[0])[0], a=shared, b=shared)
    document = exact(streamed, net, *drawn(*SEQUENCES))
    assert names(document) == ["a", "a_2"]
    assert [t["same"] for t in document.nodes[1]["tensors"]] == [f"a.{slot}" for slot in GATED]


def test_tied_recurrent_weights_travel_once(streamed):
    net = module(lambda s, x: s.b(s.a(x)[0])[0], a=nn.RNN(5, 5), b=nn.RNN(5, 5))
    net.b.weight_hh_l0 = net.a.weight_hh_l0
    document = exact(streamed, net, *drawn(*SEQUENCES))
    assert document.entry("b.l0", "U") == {"slot": "U", "same": "a.l0.U"}


def test_what_recurrent_layers_cannot_say():
    net = module(lambda s, x: s.a(x)[0].sort()[0], a=nn.LSTM(5, 4, proj_size=2))
    assert problems_of(net, drawn(*SEQUENCES)[0]) == [
        ("a", "LSTM", "proj_size=2"), ("the model", "Net", "aten.sort")]


def test_a_recurrent_layer_that_someone_changed_is_not_taken_for_it():
    class Mine(nn.LSTM):
        def forward(self, x):
            y, state = super().forward(x)
            return 2 * y, state
    net = module(first, r=Mine(5, 4, batch_first=True))
    assert ("r", "Mine", "aten.lstm.input") in problems_of(net, drawn(*SEQUENCES)[0])


def mha(**options):
    return nn.MultiheadAttention(8, 2, **{"batch_first": True, **options})


def attend(**options):
    return lambda s, x: s.m(x, x, x, **options)[0]


@pytest.mark.parametrize("layer, forward, shapes", [
    (mha(), attend(), TOKENS), (mha(bias=False), attend(need_weights=False), TOKENS),
    (nn.MultiheadAttention(9, 3, batch_first=True), attend(), ((3, 7, 9), (2, 4, 9))),
    (mha(), attend(), ((7, 8), (4, 8)))])
def test_attention_to_itself(streamed, layer, forward, shapes):
    document = exact(streamed, module(forward, m=layer), *drawn(*shapes))
    node, = document.nodes
    assert (node["name"], node["op"], node["in"]) == ("m", "attention", ["x"])
    d = layer.embed_dim
    assert {"d_model": d, "key_features": d, "num_heads": layer.num_heads, "causal": False,
            "head_dim": layer.head_dim, "rope": "none", "mask": "none", "fill": "-inf"}.items() \
        <= node["params"].items()
    assert [rows_of(t) for t in node["tensors"][:4]] == [
        f"m.in_proj_weight[0:{d}]", f"m.in_proj_weight[{d}:{2 * d}]",
        f"m.in_proj_weight[{2 * d}:{3 * d}]", "m.out_proj.weight"]


def test_attention_with_the_length_first(streamed):
    document = exact(streamed, module(attend(), m=mha(batch_first=False)), *drawn(*TOKENS))
    assert [(n["name"], n["op"]) for n in document.nodes] == [
        ("m.query", "transpose"), ("m.attention", "attention"), ("m", "transpose")]


def memories(*widths):
    return [{"x": drawn((b, s, 8))[0]["x"],
             **{name: drawn((b, t, w), seed=3 + k)[0]["x"] for k, (name, w) in enumerate(zip("zw", widths))}}
            for b, s, t in ((3, 7, 5), (2, 4, 6))]


def test_attention_to_something_else(streamed):
    net = module(lambda s, x, z: s.m(x, z, z)[0], m=mha())
    assert exact(streamed, net, *memories(8)).nodes[0]["in"] == ["x", "z"]
    net = module(lambda s, x, z, w: s.m(x, z, w)[0], m=mha(kdim=6, vdim=5))
    node, = exact(streamed, net, *memories(6, 5)).nodes
    assert node["in"] == ["x", "z", "w"]
    assert {"key_features": 6, "value_features": 5, "out_features": 8}.items() <= node["params"].items()
    assert node["tensors"][1]["source"] == "m.k_proj_weight"
    net = module(lambda s, x, z: s.m(x, x, z[:, :x.shape[1]])[0], m=mha())
    inputs = [{"x": i["z"], "z": i["x"]} for i in memories(8)[:1]]
    assert exact(streamed, net, *inputs).nodes[-1]["in"] == ["x", None, "slice"]


def test_shared_attention_travels_once(streamed):
    net = module(lambda s, x: s.m(*[s.m(x, x, x)[0]] * 3)[0], m=mha())
    document = exact(streamed, net, *drawn(*TOKENS))
    assert {t["same"].split(".")[0] for t in document.nodes[1]["tensors"]} == {"m"}


def later(n):
    return torch.triu(torch.ones(n, n, dtype=torch.bool), 1)


subsequent = nn.Transformer.generate_square_subsequent_mask


@pytest.mark.parametrize("mask, options", [
    (later, {}), (later, {"need_weights": False}), (later, {"need_weights": False, "is_causal": True}),
    (subsequent, {}), (subsequent, {"need_weights": False, "is_causal": True}),
    (lambda n: ~torch.tril(torch.ones(n, n, dtype=torch.bool)), {}),
    (lambda n: torch.arange(n)[None, :] > torch.arange(n)[:, None], {}),
    (lambda n: torch.zeros(n, n).masked_fill(later(n), -torch.inf), {})])
def test_causal_masks_are_known_by_their_values(streamed, mask, options):
    net = module(lambda s, x: s.m(x, x, x, attn_mask=mask(x.shape[1]), **options)[0], m=mha())
    node, = exact(streamed, net, *drawn(*TOKENS)).nodes
    assert node["params"]["causal"] is True and node["params"]["mask"] == "none"


def test_masks_from_sizes_that_are_not_causal_stay_masks(streamed):
    net = module(lambda s, x: s.m(x, x, x, attn_mask=torch.ones(x.shape[1], x.shape[1]).triu(2))[0], m=mha())
    params = exact(streamed, net, *drawn(*TOKENS)).nodes[-1]["params"]
    assert (params["causal"], params["mask"]) == (False, "add")


@pytest.mark.parametrize("mask", [
    lambda n: torch.arange(n)[None, :] > torch.arange(n)[:, None],
    lambda n: torch.ones(n, n, dtype=torch.bool).triu(1)])
def test_a_window_beyond_the_lengths_looked_at_is_not_causal(streamed, mask):
    def forward(s, x):
        n = x.shape[1]
        old = torch.ones(n, n, dtype=torch.bool).tril(-20)
        return s.m(x, x, x, attn_mask=torch.logical_or(mask(n), old))[0]
    node = exact(streamed, module(forward, m=mha()), *drawn((3, 7, 8), (2, 24, 8))).nodes[-1]
    assert (node["params"]["causal"], node["params"]["mask"]) == (False, "hide")


def test_a_causal_mask_of_other_keys_is_a_mask(streamed):
    def forward(s, x, z):
        return s.m(x, z, z, attn_mask=torch.ones(x.shape[1], z.shape[1], dtype=torch.bool).triu(1))[0]
    inputs = [{"x": drawn((3, n, 8))[0]["x"], "z": drawn((3, m, 8), seed=4)[0]["x"]}
              for n, m in ((4, 7), (6, 3))]
    node = exact(streamed, module(forward, m=mha()), *inputs).nodes[-1]
    assert (node["params"]["causal"], node["params"]["mask"]) == (False, "hide")


def test_a_corner_that_follows_the_lengths_is_refused():
    def forward(s, x, z):
        n, m = x.shape[1], z.shape[1]
        return s.m(x, z, z, attn_mask=torch.ones(n, m, dtype=torch.bool).triu(m - n + 1))[0]
    inputs = {"x": drawn((3, 4, 8))[0]["x"], "z": drawn((3, 7, 8), seed=4)[0]["x"]}
    assert problems_of(module(forward, m=mha()), inputs) == [
        ("the model", "Net", "aten.triu with a diagonal that follows a size")]


def test_masks_of_both_kinds_together(streamed):
    def forward(s, x, pad, hidden, more):
        return (s.m(x, x, x, key_padding_mask=pad, attn_mask=hidden)[0],
                s.m(x, x, x, key_padding_mask=pad, attn_mask=more)[0])
    inputs = [{**i, "hidden": np.eye(i["x"].shape[1], k=2, dtype=bool),
               "more": drawn((i["x"].shape[1],) * 2, seed=9)[0]["x"]} for i in padded("hide")]
    document = exact(streamed, module(forward, m=mha()), *inputs)
    assert [n["params"]["mask"] for n in document.nodes if n["op"] == "attention"] == ["hide", "add"]
    assert {"or", "where"} <= set(operations(document))


@pytest.mark.parametrize("hint", [True, False])
def test_a_stored_mask_stays_a_mask(streamed, hint):
    def forward(s, x):
        n = x.shape[1]
        return s.m(x, x, x, attn_mask=s.hidden[:n, :n], is_causal=hint, need_weights=not hint)[0]
    document = exact(streamed, module(forward, m=mha(), hidden=later(16)), *drawn(*TOKENS))
    assert operations(document) == ["constant", "slice", "slice", "attention"]
    assert document.nodes[-1]["params"]["mask"] == "hide"
    assert document.nodes[0]["tensors"][0]["dtype"] == "bool"


def test_a_hint_is_the_mask_where_torch_takes_it_for_it(streamed):
    def forward(s, x, z):
        return s.m(x, z, z, attn_mask=s.hidden, is_causal=True, need_weights=False)[0]
    net = module(forward, m=mha(), hidden=torch.zeros(7, 7, dtype=torch.bool))
    inputs = {"x": drawn((3, 7, 8))[0]["x"], "z": drawn((3, 7, 8), seed=4)[0]["x"]}
    node = exact(streamed, net, inputs).nodes[-1]
    assert (node["params"]["causal"], node["params"]["mask"]) == (True, "none")


def padded(kind, *sizes, batch_first=True):
    rng = np.random.default_rng(0)
    found = []
    for b, s in sizes or ((3, 7), (2, 4)):
        pad = rng.random((b, s)) < 0.4 if kind == "hide" else rng.normal(size=(b, s)).astype(np.float32)
        if kind == "hide":
            pad[:, 0] = False
        found.append({"x": drawn((b, s, 8) if batch_first else (s, b, 8))[0]["x"], "pad": pad})
    return found


@pytest.mark.parametrize("batch_first", [True, False])
@pytest.mark.parametrize("kind", ["hide", "add"])
def test_padding_masks(streamed, kind, batch_first):
    net = module(lambda s, x, pad: s.m(x, x, x, key_padding_mask=pad)[0], m=mha(batch_first=batch_first))
    document = exact(streamed, net, *padded(kind, batch_first=batch_first))
    node, = (n for n in document.nodes if n["op"] == "attention")
    assert node["params"]["mask"] == kind and node["in"][1:] == [None, None, "m.key_padding_mask"]


def test_a_padding_mask_beside_others(streamed):
    net = module(lambda s, x, pad: s.m(x, x, x, key_padding_mask=pad, attn_mask=later(x.shape[1]),
                                       is_causal=True)[0], m=mha())
    node = exact(streamed, net, *padded("hide")).nodes[-1]
    assert (node["params"]["causal"], node["params"]["mask"]) == (True, "hide")
    net = module(lambda s, x, pad, a: s.m(x, x, x, key_padding_mask=pad, attn_mask=a)[0], m=mha())
    inputs = [{**i, "a": drawn((i["x"].shape[1],) * 2, seed=9)[0]["x"]} for i in padded("add")]
    document = exact(streamed, net, *inputs)
    assert [n["op"] for n in document.nodes] == ["reshape", "add", "attention"]


@pytest.mark.parametrize("kind", ["hide", "add"])
def test_a_mask_for_each_head(streamed, kind):
    net = module(lambda s, x, a: s.m(x, x, x, attn_mask=a)[0], m=mha())
    inputs = [{"x": drawn((b, s, 8))[0]["x"], "a": drawn((2 * b, s, s), seed=9)[0]["x"]}
              for b, s in ((3, 7), (2, 4))]
    if kind == "hide":
        inputs = [{"x": i["x"], "a": (i["a"] > 0.5) & ~np.eye(i["a"].shape[1], dtype=bool)} for i in inputs]
    document = exact(streamed, net, *inputs)
    assert document.nodes[-1]["params"]["mask"] == kind


@pytest.mark.parametrize("same", [True, False])
@pytest.mark.parametrize("weights", [True, False])
def test_a_row_with_nothing_to_see(streamed, weights, same):
    def forward(s, x, hidden):
        return s.m(x, x if same else x * 1, x, attn_mask=hidden, need_weights=weights)[0]
    net = module(forward, m=mha())
    hidden = np.zeros((7, 7), bool)
    hidden[2] = True
    inputs = {"x": drawn((3, 7, 8))[0]["x"], "hidden": hidden}
    document = streamed(emit(net, example=inputs))
    want = native(net, inputs, precision="float64")["y"]
    empty = document.nodes[-1]["params"]["empty"]
    assert empty == ("nan" if weights or same else "zero")
    assert np.isnan(want[:, 2]).all() == (empty == "nan") and np.isfinite(want[:, 3]).all()
    np.testing.assert_allclose(run_numpy(document, inputs)["y"], want, rtol=0, atol=1e-12 * 50)


def test_what_attention_cannot_say():
    def forward(s, x):
        return s.a(x, x, x)[1], s.b(x, x, x)[0], s.c(x, x, x)[0]
    net = module(forward, a=mha(), b=mha(add_bias_kv=True), c=mha(add_zero_attn=True))
    assert problems_of(net, drawn(*TOKENS)[0]) == [
        ("a", "MultiheadAttention", "the attention weights as a result (need_weights)"),
        ("b", "MultiheadAttention", "add_bias_kv or add_zero_attn"),
        ("c", "MultiheadAttention", "add_bias_kv or add_zero_attn")]


@pytest.mark.parametrize("options", [
    {}, {"activation": "gelu", "norm_first": True, "batch_first": True}, {"bias": False}], ids=str)
def test_transformer_layers(streamed, options):
    net = filled(nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2, 12, **options), 2,
                                       enable_nested_tensor=False))
    for parameter in net.parameters():
        # Where a softmax is near a step, float32 of any kind is far from float64.
        parameter.data *= 0.25
    document = exact(streamed, net, *drawn(*TOKENS))
    assert operations(document).count("attention") == 2
    assert "layers.1.self_attn" in names(document) and "layers.0.add" in names(document)


@pytest.mark.parametrize("rope, options", [
    ("half", {}), ("interleaved", {"base": 100.0}), ("none", {"causal": False}),
    ("half", {"num_kv_heads": 2, "head_dim": 6, "bias": "qkv"}),
    ("interleaved", {"num_kv_heads": 1, "causal": False, "bias": True})])
def test_attention_with_rotary_positions(streamed, rope, options):
    layer = RopeAttention(16, 4, rope=rope, **options)
    net = module(lambda s, x: x + s.att(x), att=layer)
    document = exact(streamed, net, *drawn((3, 7, 16), (2, 5, 16)))
    assert names(document) == ["att", "add"]
    params = document.nodes[0]["params"]
    assert params["rope"] == rope and params["causal"] == options.get("causal", True)
    assert params["rope_base"] == (None if rope == "none" else options.get("base", 10000.0))
    assert params["num_kv_heads"] == options.get("num_kv_heads", 4)
    assert [params[f"{x}_bias"] for x in "qkvo"] == [
        {"qkv": x != "o", True: True}.get(options.get("bias"), False) for x in "qkvo"]


def test_rotary_attention_of_no_sense():
    for arguments, options in (((8, 4), {"head_dim": 3}), ((8, 4, 3), {}), ((8, 4), {"rope": "all"})):
        with pytest.raises(ValueError, match="do not go together"):
            RopeAttention(*arguments, **options)
