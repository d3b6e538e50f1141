"""The layers and networks that frameworks compute too: which, how large, against whom, with what target.

`build` names a function of networks.py, which gets `sizes`; the test of the bench has `quick` ones.
Nothing here imports a framework.
"""

from __future__ import annotations

from dataclasses import dataclass, field

TORCH, LAST, ORT = "torch", "torch, channels last", "ONNX Runtime"


@dataclass(frozen=True)
class Case:
    """`against` are contestants with the ratio that is wanted at least, or None."""

    title: str
    build: str
    sizes: dict
    quick: dict
    against: dict[str, float | None] = field(default_factory=lambda: {TORCH: None})
    unit: str = "GFLOP/s"
    threads: tuple[int, ...] = (1,)

    def work(self, sizes: dict) -> float:
        return WORK[self.build](**sizes)


def mlp_work(copies, batch, activation):
    return copies


def attention_work(heads, width, queries, keys, causal):
    return 4e-9 * heads * width * queries * keys / (2 if causal else 1)


def conv_work(channels, size, filters, kernel, stride=1, groups=1):
    out = -(-size // stride)
    return 2e-9 * out * out * filters * (channels // groups) * kernel * kernel


def lstm_work(batch, steps, units, layers):
    return 16e-9 * batch * steps * units * units * layers


def rows_work(rows, width, kind):
    return 1e-9 * rows * width


def samples(batch, **_):
    return batch


WORK = {"mlp": mlp_work, "attention": attention_work, "conv": conv_work, "lstm": lstm_work,
        "rows": rows_work, "mobilenet": samples, "encoder": samples, "plain_mlp": samples,
        "plain_cnn": samples}


def mlp(activation: str, target: float | None) -> Case:
    return Case(f"MLP 32-64-32-16-8 with {activation}, batch 100", "mlp",
                {"copies": 50, "batch": 100, "activation": activation},
                {"copies": 2, "batch": 3, "activation": activation}, {ORT: target, TORCH: None}, "/s")


def attention(title: str, target: float, **sizes) -> Case:
    quick = {**sizes, "heads": 2, "width": 8, "queries": min(sizes["queries"], 6), "keys": 6}
    return Case(title, "attention", sizes, quick, {TORCH: target})


def conv(title: str, target: float | None, **sizes) -> Case:
    quick = {**sizes, "channels": 4, "size": 6, "filters": 4, "groups": min(sizes.get("groups", 1), 4)}
    return Case(title, "conv", sizes, quick, {TORCH: target, LAST: None})


def lstm(batch: int) -> Case:
    return Case(f"LSTM of 2 layers of 256, batch {batch}, 64 steps", "lstm",
                {"batch": batch, "steps": 64, "units": 256, "layers": 2},
                {"batch": 2, "steps": 3, "units": 8, "layers": 2}, {TORCH: 0.6})


def rows(kind: str, width: int) -> Case:
    return Case(f"{kind} of 512 x {width}", "rows", {"rows": 512, "width": width, "kind": kind},
                {"rows": 3, "width": 20, "kind": kind}, {TORCH: 0.5}, "G/s")


TABLES = {
    "mlp": ("Small networks: one of 50 side by side in a network, so that no call costs", [mlp("relu", 1.0), mlp("tanh", None)]),
    "attention": ("Attention: scaled_dot_product_attention of 12 heads of 64, batch 1", [
        attention("prefill, 512 tokens, causal", 0.5, heads=12, width=64, queries=512, keys=512, causal=True),
        attention("prefill, 512 tokens, no mask", 0.5, heads=12, width=64, queries=512, keys=512,
                  causal=False),
        attention("decode, 1 token, 2048 keys", 0.9, heads=12, width=64, queries=1, keys=2048,
                  causal=False)]),
    "convolution": ("Convolutions, batch 1", [
        conv("64 x 56 x 56, 64 filters 3 x 3", 0.5, channels=64, size=56, filters=64, kernel=3),
        conv("128 x 28 x 28, 128 filters 3 x 3", None, channels=128, size=28, filters=128, kernel=3),
        conv("256 x 14 x 14, 256 filters 3 x 3", None, channels=256, size=14, filters=256, kernel=3),
        conv("64 x 56 x 56, 256 filters 1 x 1", None, channels=64, size=56, filters=256, kernel=1),
        conv("3 x 224 x 224, 64 filters 7 x 7, stride 2", 0.5, channels=3, size=224, filters=64, kernel=7,
             stride=2),
        conv("96 x 56 x 56, depthwise 3 x 3", 0.4, channels=96, size=56, filters=96, kernel=3, groups=96)]),
    "recurrent": ("Recurrent layers", [lstm(1), lstm(32)]),
    "rows": ("Along rows, and value by value", [
        rows("layernorm", 768), rows("rmsnorm", 768), rows("softmax", 768), rows("gelu", 3072),
        rows("silu", 3072), rows("tanh", 3072)]),
}




def whole(title: str, build: str, batch: int, unit: str, sizes: dict, quick: dict, threads=(1, 2)) -> Case:
    return Case(f"{title}, batch {batch}", build, {"batch": batch, **sizes}, {"batch": 2, **quick},
                unit=unit, threads=threads)


ENCODER = {"steps": 128, "width": 256, "heads": 8, "layers": 6}
SMALL_ENCODER = {"steps": 5, "width": 16, "heads": 2, "layers": 1}
WHOLE = [
    *(whole("MobileNetV2, 224 x 224", "mobilenet", batch, "images/s", {"size": 224}, {"size": 32})
      for batch in (1, 16)),
    *(whole("encoder, 6 x 256, 128 tokens", "encoder", batch, "seq/s", ENCODER, SMALL_ENCODER)
      for batch in (1, 16)),
    whole("CNN of 2 convolutions, 32 x 32", "plain_cnn", 16, "images/s", {"size": 32}, {"size": 8}, (1,)),
    whole("MLP 784-256-128-10", "plain_mlp", 16, "rows/s", {"width": 784}, {"width": 20}, (1,)),
]
