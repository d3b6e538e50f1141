"""A bedrock's network as a live PyTorch module: torch's own layers under the layers' names.

What torch has no layer for is a layer of `planetbridging.composed`.  Activations are channels first
in torch too, so inputs and outputs are canonical as they are.
"""

from __future__ import annotations

import inspect

import numpy as np
import torch
from torch import nn

from ..composed.torch_ import RopeAttention, SwiGLU, ZeroOutsideEmbedding
from ..graph import BridgeError
from .network import GATES, Built, Layer, Network, Weights, slots


def build(network: Network, weights: Weights | None, seed: int = 42) -> Built:
    """The network as a module in eval mode; without weights it has torch's initial ones for `seed`."""
    torch.manual_seed(seed)
    modules = {layer.name: module_of(layer) for layer in network.layers}
    if weights is not None:
        with torch.no_grad():
            for layer in network.layers:
                load(modules[layer.name], layer, weights)
    composed = tuple(name for name, module in modules.items()
                     if isinstance(module, (RopeAttention, SwiGLU, ZeroOutsideEmbedding)))
    return Built(wired(network, modules).eval(), dict, dict, composed)


def wired(network: Network, modules: dict[str, nn.Module]) -> nn.Module:
    """A module that has the layers as submodules and calls them in the network's order."""
    class Wired(nn.Module):
        def forward(self, *args, **named):
            given = signature.bind(*args, **named).arguments
            values = dict(given)
            sizes = sizes_of(network, given)
            for layer in network.layers:
                taken = [None if name is None else values[name] for name in layer.inputs]
                made = called(self.get_submodule(layer.name), layer, taken, sizes)
                values.update(zip(layer.outputs, made))
            found = {name: values[name] for name in network.outputs}
            return found["y"] if list(found) == ["y"] else found

    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    signature = inspect.Signature([inspect.Parameter(i.name, kind) for i in network.inputs])
    Wired.forward.__signature__ = inspect.Signature(
        [inspect.Parameter("self", kind), *signature.parameters.values()])
    net = Wired()
    for name, module in modules.items():
        put(net, name, module)
    return net


def put(net: nn.Module, name: str, module: nn.Module) -> None:
    """Set a submodule at a path, making plain modules for the names before the last dot."""
    *parents, last = name.split(".")
    for parent in parents:
        if parent not in net._modules:
            net.add_module(parent, nn.Module())
        net = net.get_submodule(parent)
    net.add_module(last, module)


def sizes_of(network: Network, given: dict) -> dict:
    """The size behind each name in the shapes of the inputs."""
    return {dim: size for item in network.inputs for dim, size in zip(item.shape, given[item.name].shape)
            if isinstance(dim, str) and dim.isidentifier()}


class Shaped(nn.Module):
    """A layer that takes the named sizes behind its inputs; a dimension is a size or an expression."""

    @staticmethod
    def extent(dim, sizes: dict):
        return dim if isinstance(dim, int) else eval(dim, {"__builtins__": {}}, dict(sizes))


class Reshape(Shaped):
    def __init__(self, shape):
        super().__init__()
        self.shape = shape

    def forward(self, x, sizes):
        return x.reshape([self.extent(dim, sizes) for dim in self.shape])


class Slice(Shaped):
    def __init__(self, axes, starts, stops, steps):
        super().__init__()
        self.parts = list(zip(axes, starts, stops, steps))

    def forward(self, x, sizes):
        at = [slice(None)] * x.ndim
        for axis, start, stop, step in self.parts:
            at[axis] = slice(self.extent(start, sizes), self.extent(stop, sizes), step)
        return x[tuple(at)]


class Function(nn.Module):
    """A layer that torch has as an operation only."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, *xs):
        return self.function(*xs)


def called(module: nn.Module, layer: Layer, xs: list, sizes: dict) -> tuple:
    """One layer's results for its inputs, None standing for an absent one."""
    if isinstance(module, nn.RNNBase):
        return called_recurrent(module, *xs)
    if isinstance(module, nn.MultiheadAttention):
        return (called_attention(module, layer.params["causal"], *xs),)
    return (module(*xs, sizes) if isinstance(module, Shaped) else module(*xs),)


def called_recurrent(module: nn.RNNBase, x, *states) -> tuple:
    """torch's states have an axis of layers and directions in front, here of one."""
    first = [state.unsqueeze(0) for state in states if state is not None]
    y, last = module(x, (tuple(first) if len(first) > 1 else first[0]) if first else None)
    return (y, *(state.squeeze(0) for state in (last if isinstance(last, tuple) else (last,))))


def called_attention(module: nn.MultiheadAttention, causal: bool, query, key=None, value=None, mask=None):
    """In torch's masks True hides, and causality is such a mask."""
    key = query if key is None else key
    value = key if value is None else value
    if causal:
        mask = torch.ones(query.shape[-2], key.shape[-2], dtype=torch.bool).triu(1)
    return module(query, key, value, attn_mask=mask, need_weights=False)[0]


def module_of(layer: Layer) -> nn.Module:
    """The module for one layer, with torch's own initial weights."""
    if layer.op not in MAKERS:
        raise BridgeError(f"{layer.name}: PyTorch has no builder for {layer.op}")
    return MAKERS[layer.op](layer, layer.params)


def refused(layer: Layer, what: str) -> BridgeError:
    return BridgeError(f"{layer.name}: PyTorch has no {layer.op} with {what}")


def _conv(layer, p):
    padding = _padding(layer, p)
    return (nn.Conv1d, nn.Conv2d, nn.Conv3d)[len(p["kernel"]) - 1](
        p["in_channels"], p["out_channels"], tuple(p["kernel"]), tuple(p["stride"]), padding,
        tuple(p["dilation"]), p["groups"], p["bias"])


def _padding(layer, p):
    """torch's padding: one number an axis for both sides, or "same" where the high side has more."""
    if p["pad_low"] == p["pad_high"]:
        return tuple(p["pad_low"])
    total = [d * (k - 1) for d, k in zip(p["dilation"], p["kernel"])]
    same = [n // 2 for n in total], [n - n // 2 for n in total]
    if (p["pad_low"], p["pad_high"]) == same and set(p["stride"]) == {1}:
        return "same"
    raise refused(layer, f"padding {p['pad_low']} before and {p['pad_high']} after")


def _maxpool(layer, p):
    if p["pad_low"] != p["pad_high"]:
        raise refused(layer, f"padding {p['pad_low']} before and {p['pad_high']} after")
    return (nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d)[len(p["kernel"]) - 1](
        tuple(p["kernel"]), tuple(p["stride"]), tuple(p["pad_low"]), tuple(p["dilation"]),
        ceil_mode=p["ceil"])


def _avgpool(layer, p):
    if p["pad_low"] != p["pad_high"]:
        raise refused(layer, f"padding {p['pad_low']} before and {p['pad_high']} after")
    return (nn.AvgPool1d, nn.AvgPool2d, nn.AvgPool3d)[len(p["kernel"]) - 1](
        tuple(p["kernel"]), tuple(p["stride"]), tuple(p["pad_low"]), p["ceil"], p["count_pad"])


def _recurrent(layer, p):
    if p["direction"] != "forward":
        raise refused(layer, "the backward direction alone")
    sizes = p["input_size"], p["hidden_size"]
    if layer.op == "lstm":
        return nn.LSTM(*sizes, bias=p["biases"] > 0, batch_first=True)
    return nn.RNN(*sizes, nonlinearity=p["activation"], bias=p["biases"] > 0, batch_first=True)


def _attention(layer, p):
    biases = {p[f"{x}_bias"] for x in "qkvo"}
    widths = {p["d_model"], p["out_features"], p["num_heads"] * p["head_dim"],
              p["num_heads"] * p["value_dim"]}
    if p["scale"] is not None:
        raise refused(layer, f"scale {p['scale']}")
    if p["rope"] == "none" and len(biases) == len(widths) == 1 and p["num_kv_heads"] == p["num_heads"]:
        if p["mask"] == "keep" or p["mask"] != "none" and p["causal"]:
            raise refused(layer, "a mask whose True is seen, or one beside causality")
        return nn.MultiheadAttention(p["d_model"], p["num_heads"], bias=biases == {True},
                                     kdim=p["key_features"], vdim=p["value_features"], batch_first=True)
    if len(layer.inputs) != 1 or p["mask"] != "none" or p["head_dim"] != p["value_dim"]:
        raise refused(layer, "these inputs and widths")
    return RopeAttention(p["d_model"], p["num_heads"], p["num_kv_heads"], p["head_dim"], rope=p["rope"],
                         base=p["rope_base"] or 1.0, causal=p["causal"],
                         bias="".join(x for x in "qkvo" if p[f"{x}_bias"]))


def _embedding(layer, p):
    if p["outside"] == "nan" or p["wrap"]:
        raise refused(layer, "these answers to ids outside")
    cls = ZeroOutsideEmbedding if p["outside"] == "zero" else nn.Embedding
    return cls(p["vocab_size"], p["embedding_dim"])


def _layernorm(layer, p):
    return nn.LayerNorm(p["dim"], p["eps"], p["scale"], bias=p["offset"])


def _gather(layer, p):
    axis = p["axis"]
    if axis < 0:
        raise refused(layer, f"axis {axis}")
    return Function(lambda data, indices: data[(*[slice(None)] * axis, indices)])


def _global(kind: str):
    classes = [getattr(nn, f"Adaptive{kind}Pool{n}d") for n in (1, 2, 3)]
    return lambda layer, p: classes[p["spatial"] - 1](1)


MAKERS = {
    "dense": lambda layer, p: nn.Linear(p["in_features"], p["out_features"], p["bias"]),
    "linear": lambda layer, p: nn.Identity(),
    "relu": lambda layer, p: nn.ReLU(),
    "relu2": lambda layer, p: Function(lambda x: torch.relu(x).square()),
    "leaky_relu": lambda layer, p: nn.LeakyReLU(p["negative_slope"]),
    "tanh": lambda layer, p: nn.Tanh(),
    "sigmoid": lambda layer, p: nn.Sigmoid(),
    "silu": lambda layer, p: nn.SiLU(),
    "gelu": lambda layer, p: nn.GELU(p["approximate"]),
    "softmax": lambda layer, p: nn.Softmax(p["axis"]),
    "add": lambda layer, p: Function(torch.add),
    "sub": lambda layer, p: Function(torch.sub),
    "mul": lambda layer, p: Function(torch.mul),
    "div": lambda layer, p: Function(torch.div),
    "residual": lambda layer, p: Function(lambda x, skip=None: x if skip is None else x + skip),
    "concat": lambda layer, p: Function(lambda *xs: torch.cat(xs, p["axis"])),
    "reshape": lambda layer, p: Reshape(p["shape"]),
    "flatten": lambda layer, p: nn.Flatten(p["start"], p["end"]),
    "transpose": lambda layer, p: Function(lambda x: x.permute(p["perm"])),
    "slice": lambda layer, p: Slice(p["axes"], p["starts"], p["stops"], p["steps"]),
    "gather": _gather,
    "conv1": _conv, "conv2": _conv, "conv3": _conv,
    "maxpool1": _maxpool, "maxpool2": _maxpool, "maxpool3": _maxpool,
    "avgpool1": _avgpool, "avgpool2": _avgpool, "avgpool3": _avgpool,
    "global_maxpool": _global("Max"), "global_avgpool": _global("Avg"),
    "rnn": _recurrent, "lstm": _recurrent,
    "attention": _attention,
    "layernorm": _layernorm,
    "rmsnorm": lambda layer, p: nn.RMSNorm(p["dim"], p["eps"], p["scale"]),
    "embedding": _embedding,
    "swiglu": lambda layer, p: SwiGLU(p["in_features"], p["hidden_features"], p["activation"], p["bias"]),
}


def load(module: nn.Module, layer: Layer, weights: Weights) -> None:
    """Put a layer's canonical weights into its module; every parameter gets its own."""
    found = {slot: given(layer, slot, shape, weights) for slot, shape in slots(layer).items()}
    homes = HOMES[layer.op](layer, found) if layer.op in HOMES else {}
    parameters = dict(module.named_parameters())
    if isinstance(module, nn.MultiheadAttention):
        homes = stacked(module, found)
    if isinstance(module, ZeroOutsideEmbedding):
        homes = {f"table.{name}": array for name, array in homes.items()}
    if set(parameters) != set(homes):
        raise BridgeError(f"{layer.name}: has the parameters {sorted(parameters)}, "
                          f"its weights are for {sorted(homes)}")
    for name, array in homes.items():
        parameter = parameters[name]
        if parameter.shape != array.shape:
            raise BridgeError(f"{layer.name}: {name} has shape {list(parameter.shape)}, "
                              f"its weight {list(array.shape)}")
        parameter.copy_(torch.from_numpy(np.array(array, np.float32)))


def given(layer: Layer, slot: str, shape, weights: Weights) -> np.ndarray:
    """One weight; BridgeError if it is missing or of another shape."""
    name = f"{layer.name}.{slot}"
    if name not in weights or tuple(weights[name].shape) != tuple(shape):
        found = list(weights[name].shape) if name in weights else "nothing"
        raise BridgeError(f"{name}: found {found}, expected {list(shape)}")
    return weights[name]


def _renamed(**names):
    return lambda layer, found: {names[slot]: array for slot, array in found.items()}


def _rnn_homes(layer, found):
    return _biases({"weight_ih_l0": found["W"], "weight_hh_l0": found["U"]},
                   layer, found.get("b"), found.get("b2"))


def _lstm_homes(layer, found):
    """torch stacks the rows of the gates i, f, g, o."""
    def rows(slot):
        return np.concatenate([found[f"{slot}_{gate}"] for gate in GATES])
    biases = layer.params["biases"]
    return _biases({"weight_ih_l0": rows("W"), "weight_hh_l0": rows("U")}, layer,
                   rows("b") if biases > 0 else None, rows("b2") if biases > 1 else None)


def _biases(homes, layer, first, second):
    """torch has two biases or none; a single one stands in the first, beside zeros."""
    if layer.params["biases"] > 0:
        homes["bias_ih_l0"] = first
        homes["bias_hh_l0"] = np.zeros_like(first) if second is None else second
    return homes


def stacked(layer: nn.MultiheadAttention, found) -> dict:
    """torch stacks the rows of q, k, v where all of them read the same width."""
    homes = {"out_proj.weight": found["Wo"]}
    if layer.in_proj_weight is not None:
        homes["in_proj_weight"] = np.concatenate([found["Wq"], found["Wk"], found["Wv"]])
    else:
        homes |= {f"{x}_proj_weight": found[f"W{x}"] for x in "qkv"}
    if "bq" in found:
        homes["in_proj_bias"] = np.concatenate([found["bq"], found["bk"], found["bv"]])
        homes["out_proj.bias"] = found["bo"]
    return homes


CONV_HOMES = _renamed(weight="weight", bias="bias")
NAMES = {"q": "query", "k": "key", "v": "value", "o": "out", "g": "gate", "u": "up", "d": "down"}
KINDS = {"W": "weight", "b": "bias"}


def _projections(layer, found):
    return {f"{NAMES[slot[1]]}.{KINDS[slot[0]]}": array for slot, array in found.items()}


HOMES = {
    "dense": CONV_HOMES, "conv1": CONV_HOMES, "conv2": CONV_HOMES, "conv3": CONV_HOMES,
    "rnn": _rnn_homes, "lstm": _lstm_homes,
    "attention": _projections, "swiglu": _projections,
    "layernorm": _renamed(gamma="weight", beta="bias"), "rmsnorm": _renamed(gamma="weight"),
    "embedding": _renamed(table="weight"),
}
