"""PyTorch: networks as their own packages build them, at a second batch and size.

torchvision and transformers; every parameter and buffer is redrawn from a written seed, because at
their own first values norms are the identity and logits nearly vanish.
"""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")

from torch import nn  # noqa: E402

from planetbridging import emit  # noqa: E402
from torch_networks import drawn, exact, names, operations  # noqa: E402

pytestmark = [pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning",
                                         "ignore::planetbridging.BridgeWarning")]


def redrawn(net, seed=3):
    """The network with weights of unit gain, biases, norms and statistics that are not 0 and 1."""
    generator = torch.Generator().manual_seed(seed)

    def normal(tensor, scale, middle=0.0):
        tensor.copy_(torch.randn(tensor.shape, generator=generator) * scale + middle)
    with torch.no_grad():
        for name, tensor in [*net.named_parameters(), *net.named_buffers()]:
            if name.endswith("running_var"):
                tensor.copy_(torch.rand(tensor.shape, generator=generator) + 0.5)
            elif not tensor.is_floating_point() or "inv_freq" in name:
                continue
            elif tensor.ndim > 1:
                normal(tensor, 1.4 / tensor[0].numel()**0.5)
            else:
                normal(tensor, 0.3, float(name.endswith("weight")))
    return net.eval()


def vision(name, **options):
    models = pytest.importorskip("torchvision.models", reason="torchvision is not installed")
    return redrawn(getattr(models, name)(weights=None, **options))


@pytest.mark.parametrize("name, count", [
    ("resnet18", {"conv2": 20, "batchnorm": 20, "dense": 1}),
    ("mobilenet_v3_small", {"hard_swish": 19, "hard_sigmoid": 9, "batchnorm": 34}),
    ("efficientnet_b0", {"silu": 49, "sigmoid": 16, "global_avgpool": 17}),
    ("convnext_tiny", {"layernorm": 23, "gelu": 18, "conv2": 22})])
def test_image_classifiers(streamed, name, count):
    document = exact(streamed, vision(name), *drawn((2, 3, 32, 32), (3, 3, 40, 33)), loom=1e-5)
    assert document.head["inputs"][0]["shape"] == ["batch", 3, "d1", "d2"]
    found = operations(document)
    assert {op: found.count(op) for op in count} == count


def test_a_vision_transformer(streamed):
    net = vision("vit_b_16", image_size=32)
    document = exact(streamed, net, *drawn((2, 3, 32, 32), (3, 3, 32, 32)), loom=1e-5)
    assert operations(document).count("attention") == 12
    assert "encoder.layers.encoder_layer_0.self_attention" in names(document)


def tokens(*sizes):
    rng = np.random.default_rng(5)
    return [{"input_ids": rng.integers(0, 30, size)} for size in sizes]


def hugging_face(kind, **options):
    transformers = pytest.importorskip("transformers", reason="transformers is not installed")
    config = getattr(transformers, f"{kind}Config")(
        vocab_size=30, hidden_size=16, num_hidden_layers=2, num_attention_heads=4,
        intermediate_size=24, max_position_embeddings=40, **options.pop("config", {}))
    return redrawn(getattr(transformers, options["cls"])(config))


def test_bert_with_an_attention_mask(streamed):
    net = hugging_face("Bert", cls="BertModel")
    inputs = tokens((2, 6), (3, 9))
    for n, given in enumerate(inputs):
        mask = np.ones_like(given["input_ids"])
        mask[0, 4:] = 0
        mask[1, :2] = n          # padded on the left, or not at all
        given["attention_mask"] = mask
    document = exact(streamed, net, *inputs)
    assert document.head["outputs"] == ["last_hidden_state", "pooler_output"]
    attention = [n["params"] for n in document.nodes if n["op"] == "scaled_dot_product_attention"]
    assert [(p["causal"], p["mask"]) for p in attention] == [(False, "keep")] * 2
    assert "encoder.layer.0.attention.self.query" in names(document)


@pytest.mark.parametrize("use_cache", [False, True])
def test_llama_without_a_mask_is_causal(streamed, use_cache):
    net = hugging_face("Llama", cls="LlamaForCausalLM",
                       config={"num_key_value_heads": 2, "use_cache": use_cache})
    document = exact(streamed, net, *tokens((2, 6), (3, 9)), loom=2e-5)
    assert document.head["outputs"] == ["logits"] and net.config.use_cache is use_cache
    assert document.head["inputs"] == [{"name": "input_ids", "dtype": "int64", "shape": ["batch", "d1"]}]
    attention = [n["params"] for n in document.nodes if n["op"] == "scaled_dot_product_attention"]
    assert [(p["causal"], p["mask"]) for p in attention] == [(True, "none")] * 2


def test_llama_with_samples_padded_on_the_left(streamed):
    net = hugging_face("Llama", cls="LlamaForCausalLM", config={"num_key_value_heads": 2})
    inputs = tokens((2, 6), (3, 9))
    for given in inputs:
        given["attention_mask"] = np.ones_like(given["input_ids"])
        given["attention_mask"][0, :3] = 0
    exact(streamed, net, *inputs, loom=2e-5)


def encoder(**options):
    layer = nn.TransformerEncoderLayer(8, 2, 12, **options)
    return redrawn(nn.TransformerEncoder(layer, 2, nn.LayerNorm(8)))


@pytest.mark.parametrize("options", [
    {}, {"batch_first": True}, {"norm_first": True, "activation": "gelu"}], ids=str)
def test_transformer_encoders(streamed, options):
    exact(streamed, encoder(**options), *drawn((3, 7, 8), (2, 5, 8), name="src"))


@pytest.mark.parametrize("left", [False, True])
def test_an_encoder_with_padded_samples(streamed, left):
    inputs = []
    for b, s in ((3, 7), (2, 5)):
        pad = np.zeros((b, s), bool)
        pad[0, :2] = left
        pad[1, -2:] = not left
        inputs.append({"src": drawn((b, s, 8))[0]["x"], "src_key_padding_mask": pad})
    exact(streamed, encoder(batch_first=True), *inputs)


@pytest.mark.parametrize("kind", ["bool", "float"])
def test_a_decoder_with_masks(streamed, kind):
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.decoder = nn.TransformerDecoder(nn.TransformerDecoderLayer(8, 2, 12, batch_first=True), 2)

        def forward(self, tgt, memory, pad):
            later = nn.Transformer.generate_square_subsequent_mask(tgt.shape[1])
            later = later.bool() if kind == "bool" else later
            return self.decoder(tgt, memory, later, memory_key_padding_mask=pad)
    inputs = []
    for b, s, m in ((3, 7, 4), (2, 5, 6)):
        pad = np.zeros((b, m), bool)
        pad[0, :2] = True
        inputs.append({"tgt": drawn((b, s, 8))[0]["x"], "pad": pad,
                       "memory": drawn((b, m, 8), seed=2)[0]["x"]})
    document = exact(streamed, redrawn(Net()), *inputs)
    causal = [n["params"]["causal"] for n in document.nodes if n["op"] == "attention"]
    assert causal == [True, False, True, False]


@pytest.mark.parametrize("cls", [nn.LSTM, nn.GRU])
def test_taggers(streamed, cls):
    class Tagger(nn.Module):
        def __init__(self):
            super().__init__()
            self.table = nn.Embedding(30, 6)
            self.body = cls(6, 5, 2, bidirectional=True, batch_first=True)
            self.head = nn.Linear(10, 4)

        def forward(self, input_ids):
            return self.head(self.body(self.table(input_ids))[0]).log_softmax(-1)
    document = exact(streamed, redrawn(Tagger()), *tokens((2, 6), (3, 9)))
    assert operations(document).count(cls.__name__.lower()) == 4


def planted(graph, op: str, change) -> None:
    """Change the first node of an operation."""
    change(next(node for node in graph.nodes if node.op == op))


def exchanged(node):
    by_slot = {t.slot: t for t in node.tensors}
    mean, beta = by_slot["mean"], by_slot["beta"]
    mean.array, beta.array = beta.array, mean.array


@pytest.mark.parametrize("network, example, op, change", [
    (lambda: vision("resnet18"), lambda: drawn((2, 3, 32, 32))[0], "batchnorm", exchanged),
    (lambda: vision("resnet18"), lambda: drawn((2, 3, 32, 32))[0], "batchnorm",
     lambda node: node.params.update(eps=1e-3)),
    (lambda: hugging_face("Llama", cls="LlamaForCausalLM"), lambda: tokens((2, 6))[0],
     "scaled_dot_product_attention", lambda node: node.params.update(causal=False)),
    (lambda: encoder(batch_first=True), lambda: {
        "src": drawn((3, 7, 8))[0]["x"], "src_key_padding_mask": np.arange(7) > np.array([[6], [4], [5]])},
     "attention", lambda node: node.params.update(mask="keep")),
    (lambda: redrawn(nn.Sequential(nn.GRU(5, 4, batch_first=True))), lambda: drawn((2, 6, 5))[0], "gru",
     lambda node: node.params.update(reset_after=False))],
    ids=["mean-beta", "eps", "causal", "polarity", "reset"])
def test_planted_mistakes_are_seen(streamed, network, example, op, change):
    from conftest import agree
    from interpreter import run
    from planetbridging import native
    net, given = network(), example()
    graph = emit(net, example=given)
    want = native(net, given, precision="float64")
    agree(want, run(streamed(graph), given), 1e-12)
    planted(graph, op, change)
    with pytest.raises(AssertionError):
        agree(want, run(streamed(graph), given), 1e-6)
