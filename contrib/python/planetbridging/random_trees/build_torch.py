"""A tree as a live PyTorch module; images are channels first, sequences [b, s, f]."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from ..bedrock.own import drawing
from ..ordinary import redraw_torch
from . import functions
from .spec import Module, Tree


class Framework:
    """The names of `functions` in torch."""

    exp, log, log1p, expm1, sin, cos, erf = map(staticmethod, (
        torch.exp, torch.log, torch.log1p, torch.expm1, torch.sin, torch.cos, torch.erf))
    sqrt, rsqrt, reciprocal, square, abs, sign = map(staticmethod, (
        torch.sqrt, torch.rsqrt, torch.reciprocal, torch.square, torch.abs, torch.sign))
    floor, ceil, round, floor_divide, remainder = map(staticmethod, (
        torch.floor, torch.ceil, torch.round, torch.floor_divide, torch.remainder))
    power, clip, where, matmul, sigmoid, tanh, softmax, log_softmax = map(staticmethod, (
        torch.pow, torch.clip, torch.where, torch.matmul, torch.sigmoid, torch.tanh, torch.softmax,
        torch.log_softmax))
    cumsum, transpose, sum, mean = map(staticmethod, (
        torch.cumsum, torch.permute, torch.sum, torch.mean))
    both, either, opposite = map(staticmethod, (torch.logical_and, torch.logical_or, torch.logical_not))

    feature = staticmethod(lambda kind: {"image": 1, "sequence": 2, "vector": 1}[kind])
    places = staticmethod(lambda kind: {"image": (2, 3), "sequence": (1,), "vector": ()}[kind])
    extent = staticmethod(lambda x, axis: x.shape[axis])
    max = staticmethod(torch.amax)
    min = staticmethod(torch.amin)
    concat = staticmethod(torch.cat)
    split = staticmethod(lambda x, count, axis: torch.chunk(x, count, axis))
    argmax = staticmethod(lambda x, axis: torch.argmax(x, axis, True))
    take_along = staticmethod(lambda x, places, axis: torch.gather(x, axis, places))
    reshape = staticmethod(lambda x, sizes: x.reshape(x.shape[0], *sizes))
    expand = staticmethod(lambda x, like: x.expand_as(like))
    full = staticmethod(torch.full_like)
    floats = staticmethod(lambda x, like: x.to(like.dtype))
    dropout = staticmethod(lambda x: F.dropout(x, 0.5, training=False))
    take = staticmethod(lambda x, order, axis: torch.index_select(x, axis, torch.tensor(order)))
    flip = staticmethod(lambda x, axis: torch.flip(x, (axis,)))
    roll = staticmethod(torch.roll)
    patches = staticmethod(lambda x, wide: x.flatten(2).transpose(1, 2))

    @staticmethod
    def minimum(x, y):
        return torch.minimum(x, y) if isinstance(y, torch.Tensor) else torch.clamp(x, max=y)

    @staticmethod
    def maximum(x, y):
        return torch.maximum(x, y) if isinstance(y, torch.Tensor) else torch.clamp(x, min=y)

    @staticmethod
    def lower(x):
        return torch.tril(torch.ones(x.shape[1], x.shape[1], dtype=torch.bool))

    @staticmethod
    def beside(x, kind):
        return {"image": lambda: x[:, :, None, None], "sequence": lambda: x[:, None], "vector": lambda: x}[kind]()

    @staticmethod
    def image_shuffle(x, wide):
        return torch.channel_shuffle(x, 2)

    @staticmethod
    def pad(x, axes, low, high, mode):
        image = len(axes) == 2
        turned = x if image else x.transpose(1, 2)
        made = F.pad(turned, (low, high) * len(axes), mode)
        return made if image else made.transpose(1, 2)

    @staticmethod
    def activation(name, x, kind):
        axis = Framework.feature(kind)
        own = {"GELUTanh": lambda: F.gelu(x, approximate="tanh"), "LogSigmoid": lambda: F.logsigmoid(x),
               "Softmax": lambda: 4.0 * torch.softmax(x, axis), "LogSoftmax": lambda: torch.log_softmax(x, axis),
               "LeakyReLU": lambda: F.leaky_relu(x, 0.2), "Sigmoid": lambda: torch.sigmoid(x),
               "Tanh": lambda: torch.tanh(x), "Tanhshrink": lambda: F.tanhshrink(2.0 * x)}
        return own[name]() if name in own else getattr(F, name.lower())(x)


def turned(layer, x, kind):
    """A layer that wants channels first on a sequence."""
    return layer(x.transpose(1, 2)).transpose(1, 2) if kind == "sequence" else layer(x)


def sized(prefix: str, value) -> type:
    """The class of torch.nn for the value's rank."""
    return getattr(nn, f"{prefix}{max(len(value.extents), 1)}d")


def conv(p, v):
    half = [(k - 1) * d // 2 for k, d in zip(p["kernel"], p["dilation"])]
    padding = {"same": "same", "half": half, "valid": 0}[p["padding"]]
    return sized("Conv", v)(v.wide, p["wide"], p["kernel"], p["stride"], padding, p["dilation"], p["groups"],
                            p["bias"])


def transposed(p, v):
    return sized("ConvTranspose", v)(v.wide, p["wide"], p["kernel"], p["stride"], p["pad"], p["out"], p["groups"],
                                     p["bias"])


def recurrent(cls):
    def made(p, v):
        more = {"nonlinearity": p["activation"]} if cls is nn.RNN else {}
        return cls(v.wide, p["hidden"], p["layers"], bias=p["bias"], batch_first=True,
                   bidirectional=p["both"], **more)
    return made


def norm(cls):
    return lambda p, v: cls(v.wide, eps=p["eps"], elementwise_affine=p["scale"])


def pool(prefix: str):
    return lambda p, v: sized(prefix, v)(p["kernel"], p["stride"])


def padded(prefix: str):
    def made(p, v):
        more = {"count_include_pad": p["count"]} if prefix == "AvgPool" else {}
        return sized(prefix, v)(p["kernel"], 1, 1, **more)
    return made


PARTS = {
    "dense": lambda p, v: nn.Linear(v.wide, p["wide"], p["bias"]),
    "dense_tied": lambda p, v: nn.Linear(v.wide, p["wide"], p["bias"]),
    "mixing": lambda p, v: nn.Linear(p["count"], p["count"], p["bias"]),
    "conv": conv, "depthwise": conv, "strided": conv, "transposed": transposed,
    "batchnorm": lambda p, v: sized("BatchNorm", v)(v.wide, eps=p["eps"], affine=p["scale"]),
    "layernorm": norm(nn.LayerNorm), "rmsnorm": norm(nn.RMSNorm),
    "groupnorm": lambda p, v: nn.GroupNorm(p["groups"], v.wide, eps=p["eps"], affine=p["scale"]),
    "instancenorm": lambda p, v: sized("InstanceNorm", v)(v.wide, eps=p["eps"], affine=p["scale"]),
    "prelu": lambda p, v: nn.PReLU(v.wide),
    **{f"{name}{tail}": recurrent(cls) for name, cls in (("rnn", nn.RNN), ("lstm", nn.LSTM), ("gru", nn.GRU))
       for tail in ("", "_last")},
    "attention": lambda p, v: nn.MultiheadAttention(v.wide, p["heads"], batch_first=True),
    "maxpool": pool("MaxPool"), "avgpool": pool("AvgPool"),
    "maxpool_padded": padded("MaxPool"), "avgpool_padded": padded("AvgPool"),
    "embedding": lambda p, v: nn.Embedding(p["words"], p["wide"]),
}

CHANNELS_FIRST = ("conv", "depthwise", "strided", "transposed", "batchnorm", "groupnorm", "instancenorm", "prelu",
                  "maxpool", "avgpool", "maxpool_padded", "avgpool_padded", "mixing")


class Net(nn.Module):
    """A module of a tree: children under its parts' names, forward step by step."""

    def __init__(self, module: Module):
        super().__init__()
        self.spec = module
        for name in module.construction():
            part = module.parts[name]
            self.add_module(name, Net(part) if isinstance(part, Module) else PARTS[part[0]](*part[1:]))
        for name, part in module.parts.items():
            if not isinstance(part, Module) and part[0] == "dense_tied":
                getattr(self, name).weight = getattr(self, part[1]["to"]).weight

    def walk(self, *xs):
        values = dict(zip(self.spec.inputs, xs))
        for step in self.spec.steps:
            values[step.outs[0]] = self.step(step, [values[name] for name in step.ins])
        made = [values[name] for name in self.spec.outputs]
        return made[0] if len(made) == 1 else tuple(made)

    def forward(self, x):
        return self.walk(x)

    def step(self, step, xs):
        if not step.part:
            made = functions.computed(Framework, step, xs)
            return torch_alone(step, xs[0]) if made is None else made
        layer, kind = getattr(self, step.part), step.given.kind
        if step.op == "attend":
            return F.linear(xs[0], layer.weight)
        if step.op == "attention":
            hidden = nn.Transformer.generate_square_subsequent_mask(xs[0].shape[1])
            mask = hidden if step.params["causal"] else None
            return layer(xs[0], xs[0], xs[0], attn_mask=mask, need_weights=False)[0]
        if isinstance(layer, nn.RNNBase):
            return states(layer, xs[0], "last" in step.params)
        return turned(layer, xs[0], kind) if step.op in CHANNELS_FIRST else layer(xs[0])


class Ids(Net):
    def forward(self, ids):
        return self.walk(ids)


class Two(Net):
    def forward(self, x, z):
        return self.walk(x, z)


class IdsAndTwo(Net):
    def forward(self, ids, z):
        return self.walk(ids, z)


def states(layer, x, last: bool):
    """All outputs, or the states that are left at the end, side by side."""
    y, state = layer(x)
    if not last:
        return y
    state = state[0] if isinstance(state, tuple) else state
    return torch.cat([state[-2], state[-1]], -1) if layer.bidirectional else state[-1]


def torch_alone(step, x):
    """Steps that this planet alone has, or writes its own way."""
    p = step.params
    if step.op == "resize":
        mode = "bilinear" if p["mode"] == "linear" else "nearest"
        return F.interpolate(x, scale_factor=2, mode=mode)
    if step.op == "sdpa":
        split = x.reshape(*x.shape[:2], p["heads"], -1).transpose(1, 2)
        made = F.scaled_dot_product_attention(split, split, split, is_causal=p["causal"])
        return made.transpose(1, 2).reshape(x.shape)
    if step.op == "positions":
        return x + torch.sin(torch.arange(x.shape[1]) * 0.7)[None, :, None]
    raise KeyError(step.op)


CLASSES = {("x",): Net, ("ids",): Ids, ("x", "z"): Two, ("ids", "z"): IdsAndTwo}


def build(tree: Tree) -> nn.Module:
    """The tree's module in eval mode, every weight drawn by its name."""
    net = CLASSES[tuple(tree.inputs)](tree.root)
    with torch.no_grad():
        for path, parameter in net.named_parameters():
            owner = net.get_submodule(path.rpartition(".")[0])
            value = redraw_torch.drawn(f"{tree.name} {path}", path.rpartition(".")[2],
                                       tuple(parameter.shape), owner)
            parameter.copy_(torch.from_numpy(value))
        for path, buffer in net.named_buffers():
            if "running" in path:
                near = np.float32("var" in path) + drawing.uniform(f"{tree.name} {path}", buffer.shape, 0.5)
                buffer.copy_(torch.from_numpy(near))
    return net.eval()


def given(value, array: np.ndarray) -> np.ndarray:
    """An input as the module takes it: images channels first."""
    return np.ascontiguousarray(np.moveaxis(array, -1, 1)) if value.kind == "image" else array
