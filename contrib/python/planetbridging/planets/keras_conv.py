"""Convolutions of Keras, transposed ones too: channels last, around nodes that are not.

Padding is said per side.  `same` depends on the size where the stride is above 1, so that the size
must be known.  A convolution behind a ZeroPadding layer pads for it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from types import SimpleNamespace

from .. import compositions
from . import keras_shape, layout
from .keras_call import Slot, Value

AXES = {1: "w", 2: "hw", 3: "dhw"}
POINTWISE = ("relu", "relu6", "tanh", "sigmoid", "silu", "gelu", "leaky_relu", "linear", "elu",
             "selu", "softplus", "softsign", "exponential", "hard_sigmoid", "hard_silu", "mish")
"""Activations that do not care for the layout."""

ASTRAY = "a bias that Keras on TensorFlow adds along the last axis: use channels_last"
FREE = "padding \"same\" with strides on a size that is free: give the network a fixed size"


@dataclass(frozen=True)
class Window:
    """What slides over the inner axes of a value: an entry per axis."""

    kernel: list
    stride: list
    dilation: list
    low: list
    high: list

    def params(self, *names: str) -> dict:
        every = {"kernel": self.kernel, "stride": self.stride, "dilation": self.dilation,
                 "pad_low": self.low, "pad_high": self.high}
        return {name: every[name] for name in names or every}

    def sizes(self, sizes) -> list:
        """The sizes behind the window."""
        return [keras_shape.windows(*entry) for entry in
                zip(sizes, self.kernel, self.stride, self.dilation, self.low, self.high)]


def rows(keras) -> dict:
    """Handlers by the class of a layer."""
    layers = keras.layers
    found = {}
    for n in (1, 2, 3):
        found[getattr(layers, f"Conv{n}D")] = conv
        found[getattr(layers, f"Conv{n}DTranspose")] = transposed
    for n in (1, 2):
        found[getattr(layers, f"DepthwiseConv{n}D")] = depthwise
        found[getattr(layers, f"SeparableConv{n}D")] = separable
    return found


def operations(keras) -> dict:
    """Handlers by the name of an operation's class."""
    return {"Conv": conv_operation, "DepthwiseConv": conv_operation}


def conv(call):
    layer = call.operation
    return _convolve(call, layer, [_kernel(layer, layer.groups)])


def depthwise(call):
    """As many groups as channels; filter c*multiplier + m is the m-th of channel c."""
    return _convolve(call, call.operation, [_depthwise_kernel(call.operation, "kernel")])


def separable(call):
    """A depthwise convolution without bias, then one of single points."""
    layer = call.operation
    point = Slot("weight", layer.pointwise_kernel, AXES[layer.rank] + "cf")
    return _convolve(call, layer, [_depthwise_kernel(layer, "depthwise_kernel"),
                                   (point, 1, [1] * layer.rank)])


def transposed(call):
    """The transposed convolution: what is taken off either side may be negative, for more zeros."""
    layer, x = call.operation, call.args[0]
    n = layer.rank
    if layer.data_format == "channels_first" and _bias_goes_astray(call, layer, x):
        return call.refuse(ASTRAY)
    dilation = [int(d) for d in layer.dilation_rate]
    strides, kernel = [int(s) for s in layer.strides], [int(k) for k in layer.kernel_size]
    more = layer.output_padding
    more = [more] * n if more is None or isinstance(more, int) else list(more)
    sides = [_taken_off(layer.padding, *entry) for entry in zip(kernel, strides, dilation, more)]
    value, turned = enter(call, x, layer.data_format)
    params = {"in_channels": value.shape[1], "out_channels": int(layer.filters), "kernel": kernel,
              "stride": strides, "dilation": dilation, "pad_low": [low for low, _ in sides],
              "pad_high": [high for _, high in sides], "groups": 1, "bias": layer.bias is not None}
    sizes = [_opened(size, s, (k - 1) * d + 1 - low - high) for size, s, k, d, (low, high) in
             zip(value.shape[2:], strides, kernel, dilation, sides)]
    slots = [Slot("weight", layer.kernel, AXES[n] + "fc"), Slot("bias", layer.bias, "f")]
    fused = not call.is_linear(layer.activation)
    made = call.weighted(f"convtranspose{n}", [value], [value.shape[0], layer.filters, *sizes],
                         params, slots, ".conv" if fused or turned else "")
    return leave(call, made, turned, layer.activation)


def _opened(size, stride: int, more: int):
    """(size - 1) * stride + more"""
    if size is None:
        return None
    return keras_shape.plus(compositions.times(size, stride), more - stride)


def _taken_off(padding: str, kernel: int, stride: int, dilation: int, more) -> tuple[int, int]:
    """(low, high) of what a transposed convolution gives less than everything; planets' rule.

    With reach (kernel - 1) * dilation + 1 everything is (size - 1) * stride + reach, and the layer
    gives size * stride for `same` or (size - 1) * stride + max(reach, stride) for `valid`.
    """
    reach = (kernel - 1) * dilation + 1
    if more is not None:
        total = (2 * (reach // 2) if padding == "same" else 0) - more
    else:
        total = reach - stride if padding == "same" else reach - max(reach, stride)
    low = max(total, 0) // 2 if padding == "same" else 0
    return low, total - low


def conv_operation(call):
    """keras.ops.conv and depthwise_conv with a kernel that is known: as the layer does it."""
    operation, x = call.operation, call.args[0]
    kernel = call.argument(1, "kernel")
    if isinstance(kernel, Value):
        return call.refuse("a kernel that is a value of the network")
    rank = len(kernel.shape) - 2
    depth = type(operation).__name__ == "DepthwiseConv"
    data_format = operation.data_format or call.tracer.keras.config.image_data_format()
    spread = [operation.strides, operation.dilation_rate]
    spread = [[n] * rank if isinstance(n, int) else list(n) for n in spread]
    groups = 1 if depth else int(x.shape[-1 if data_format == "channels_last" else 1]
                                 // kernel.shape[-2])
    layer = SimpleNamespace(
        kernel=kernel, rank=rank, bias=None, activation=None, data_format=data_format,
        groups=groups, kernel_size=[int(n) for n in kernel.shape[:rank]], strides=spread[0],
        dilation_rate=spread[1], padding=operation.padding)
    made = _depthwise_kernel(layer, "kernel") if depth else _kernel(layer, groups)
    return _convolve(call, layer, [made])


def _kernel(layer, groups: int):
    slot = Slot("weight", layer.kernel, AXES[layer.rank] + "cf")
    return slot, groups, list(layer.kernel_size)


def _depthwise_kernel(layer, attribute: str):
    kernel = getattr(layer, attribute)
    channels = int(kernel.shape[-2])

    def one_channel_each(array):
        return array.reshape(*array.shape[:-2], 1, -1)

    slot = Slot("weight", kernel, AXES[layer.rank] + "cf", one_channel_each)
    return slot, channels, list(layer.kernel_size)


def _convolve(call, layer, kernels):
    """One convolution for each (kernel, groups, sizes) of `kernels`; the last has the bias, the
    first has the strides, dilation and padding."""
    x, n = call.args[0], layer.rank
    if len(x.shape) != n + 2:
        return call.refuse(f"a convolution of {n} inner axes on a value of rank {len(x.shape)}")
    if layer.data_format == "channels_first" and _bias_goes_astray(call, layer, x):
        return call.refuse(ASTRAY)
    bare = x.bare if layer.data_format == "channels_last" else None
    value, turned = enter(call, bare or x, layer.data_format)
    for count, (slot, groups, sizes) in enumerate(kernels):
        win = window(x if count == 0 else value, layer if count == 0 else None, sizes,
                     inner(layer.data_format if count == 0 else "channels_first"),
                     bare=bare is not None and count == 0)
        if win is None:
            return call.refuse(FREE)
        last = count == len(kernels) - 1
        fused = not call.is_linear(layer.activation)
        suffix = f".conv{'' if len(kernels) == 1 else count + 1}"
        suffix = "" if last and not fused and not turned else suffix
        bias = Slot("bias", layer.bias if last else None, "f")
        value = _conv_node(call, value, n, win, groups, (slot, bias), suffix)
    return leave(call, value, turned, layer.activation)


def inner(data_format: str) -> slice:
    """Where the inner axes stand."""
    return slice(1, -1) if data_format == "channels_last" else slice(2, None)


def _conv_node(call, x: Value, n: int, win: Window, groups: int, slots, suffix: str) -> Value:
    kernel = slots[0].variable.shape
    depthwise_kernel = slots[0].take is not None
    filters = int(kernel[-1] * kernel[-2]) if depthwise_kernel else int(kernel[-1])
    params = {"in_channels": x.shape[1], "out_channels": filters, **win.params(),
              "groups": groups, "bias": slots[1].variable is not None}
    shape = [x.shape[0], filters, *win.sizes(x.shape[2:])]
    return call.weighted(f"conv{n}", [x], shape, params, slots, suffix)


def _bias_goes_astray(call, layer, x: Value) -> bool:
    """Keras 3.15 on TensorFlow takes a bias for one of the last axis if it is as long."""
    last = call.symbols[0].shape[-1]
    return (call.tracer.keras.backend.backend() == "tensorflow" and layer.bias is not None
            and layer.bias.shape[0] > 1 and last in (None, layer.bias.shape[0]))


def window(x: Value, layer, kernel: list, where: slice, strides=None, bare=True) -> Window | None:
    """The window of a layer (None: of single steps) on a value; None if its padding needs a size
    that is free.  With `bare` it takes in the zeros of a ZeroPadding layer."""
    n = len(kernel)
    strides = list(strides or getattr(layer, "strides", [1] * n))
    dilation = getattr(layer, "dilation_rate", 1)
    dilation = list(dilation) if isinstance(dilation, (tuple, list)) else [dilation] * n
    padding = getattr(layer, "padding", "valid")
    pads = [_pads(padding, *entry) for entry in zip(x.shape[where], kernel, strides, dilation)]
    if None in pads:
        return None
    around = x.pads if bare and x.pads else ((0, 0),) * n
    low, high = ([int(a[side] + b[side]) for a, b in zip(pads, around)] for side in (0, 1))
    return Window([int(k) for k in kernel], [int(s) for s in strides], [int(d) for d in dilation],
                  low, high)


def _pads(padding: str, size, kernel: int, stride: int, dilation: int) -> tuple[int, int] | None:
    """(low, high) zeros of one axis; the odd one of `same` is high."""
    reach = (kernel - 1) * dilation
    if padding == "valid":
        return 0, 0
    if padding == "causal":
        return reach, 0
    if stride == 1 or kernel == 1:
        total = reach
    elif isinstance(size, int):
        total = max((math.ceil(size / stride) - 1) * stride + reach + 1 - size, 0)
    else:
        return None
    return total // 2, total - total // 2


def enter(call, x: Value, data_format: str) -> tuple[Value, bool]:
    """The value channels first, and whether it was turned for that."""
    if data_format == "channels_first":
        return x, False
    perm = layout.channels_first(len(x.shape))
    made = call.transpose(x, perm, ".in")
    call.tracer.is_turned(made, x, perm)
    return made, True


def leave(call, x: Value, turned: bool, activation=None) -> Value:
    """The value in the layer's own layout, activated before it is turned if it can be."""
    fused = not call.is_linear(activation)
    if fused and (not turned or _is_pointwise(call, activation)):
        x, fused = call.activate(x, activation, ".act" if turned else ""), False
    if not turned:
        return x
    made = call.transpose(x, layout.channels_last(len(x.shape)), ".last" if fused else "")
    if fused:
        return call.activate(made, activation)
    call.tracer.is_turned(x, made, layout.channels_first(len(x.shape)))
    return made


def _is_pointwise(call, function) -> bool:
    keras = call.tracer.keras
    if isinstance(function, keras.layers.Activation):
        function = function.activation
    return isinstance(function, (keras.layers.ReLU, keras.layers.LeakyReLU)) or \
        any(function is getattr(keras.activations, name) for name in POINTWISE)
