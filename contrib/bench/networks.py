"""The PyTorch modules that the cases name, in eval mode, with their inputs by forward's names."""

from __future__ import annotations

import torch
from torch import nn

from planetbridging.graph import Graph, Input, Node
from planetbridging.planets import torch_

ACTIVATIONS = {"relu": nn.ReLU, "tanh": nn.Tanh, "gelu": nn.GELU, "silu": nn.SiLU}


class Copies(nn.Module):
    """Networks of other weights side by side: what a call costs is spread over them."""

    def __init__(self, copies, widths, activation):
        super().__init__()
        self.copies = nn.ModuleList(self.one(widths, activation) for _ in range(copies))

    def one(self, widths, activation):
        parts = []
        for i, o in zip(widths, widths[1:]):
            parts += [nn.Linear(i, o), ACTIVATIONS[activation]()]
        return nn.Sequential(*parts[:-1])

    def forward(self, x):
        return torch.cat([copy(x) for copy in self.copies], -1)


class Attention(nn.Module):
    def __init__(self, causal):
        super().__init__()
        self.causal = causal

    def forward(self, q, k, v):
        return nn.functional.scaled_dot_product_attention(q, k, v, is_causal=self.causal)


class First(nn.Module):
    """The sequence that a recurrent layer makes, without its last states."""

    def __init__(self, layer):
        super().__init__()
        self.layer = layer

    def forward(self, x):
        return self.layer(x)[0]


def mlp(copies, batch, activation):
    return Copies(copies, [32, 64, 32, 16, 8], activation), {"x": torch.randn(batch, 32)}


def attention(heads, width, queries, keys, causal):
    inputs = {name: torch.randn(1, heads, n, width) for name, n in
              (("q", queries), ("k", keys), ("v", keys))}
    return Attention(causal), inputs


def conv(channels, size, filters, kernel, stride=1, groups=1):
    layer = nn.Conv2d(channels, filters, kernel, stride, kernel // 2, groups=groups)
    return layer, {"input": torch.randn(1, channels, size, size)}


def lstm(batch, steps, units, layers):
    return First(nn.LSTM(units, units, layers, batch_first=True)), {"x": torch.randn(batch, steps, units)}


def rows(rows, width, kind):
    made = {"layernorm": lambda: nn.LayerNorm(width), "rmsnorm": lambda: nn.RMSNorm(width),
            "softmax": lambda: nn.Softmax(-1)}
    layer = made[kind]() if kind in made else ACTIVATIONS[kind]()
    return layer, {"input": torch.randn(rows, width)}


def mobilenet(batch, size):
    from torchvision.models import mobilenet_v2
    return mobilenet_v2(weights=None), {"x": torch.randn(batch, 3, size, size)}


def encoder(batch, steps, width, heads, layers):
    layer = nn.TransformerEncoderLayer(width, heads, 4 * width, activation="gelu", batch_first=True)
    return nn.TransformerEncoder(layer, layers, enable_nested_tensor=False), \
        {"src": torch.randn(batch, steps, width)}


def plain_mlp(batch, width):
    """What real Loom has layers for."""
    net = nn.Sequential(nn.Linear(width, 256), nn.ReLU(), nn.Linear(256, 128), nn.ReLU(), nn.Linear(128, 10))
    return net, {"input": torch.randn(batch, width)}


def plain_cnn(batch, size):
    net = nn.Sequential(nn.Conv2d(3, 16, 3, padding=1), nn.ReLU(), nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(),
                        nn.Flatten(), nn.Linear(32 * size * size, 10))
    return net, {"input": torch.randn(batch, 3, size, size)}


def graph(network, arrays) -> Graph:
    """The network for a layer stream.  A causal mask of tensors that come from outside is no mask that an
    emitter could see, since nothing says that there are as many queries as keys."""
    if not isinstance(network, Attention):
        return torch_.emit(network, example=arrays)
    params = {"causal": network.causal, "scale": None, "mask": "none", "fill": "-inf", "empty": "zero"}
    length = {"q": "t", "k": "t" if network.causal else "s", "v": "t" if network.causal else "s"}
    inputs = [Input(name, "float32", ["batch", x.shape[1], length[name], x.shape[3]])
              for name, x in arrays.items()]
    return Graph("pytorch", {}, "attention", inputs, ["y"],
                 [Node("y", "scaled_dot_product_attention", list(arrays), params)])


def build(name, sizes):
    """The module and its inputs, of one seed."""
    torch.manual_seed(20260101)
    network, inputs = globals()[name](**sizes)
    return network.eval(), inputs
