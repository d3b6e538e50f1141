"""Convolution, pooling and zero padding of Keras: channels last, around nodes that are not.

Padding is said per side.  `same` depends on the size where the stride is above 1, so that the size
must be known.  The zeros of a ZeroPadding layer become padding of the convolution behind it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from . import keras_shape, layout
from .keras_call import Slot, Value

AXES = {1: "w", 2: "hw", 3: "dhw"}
POINTWISE = ("relu", "tanh", "sigmoid", "silu", "gelu", "leaky_relu", "linear")
"""Activations that do not care for the layout."""

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
    """Handlers by class."""
    layers = keras.layers
    found = {}
    for n in (1, 2, 3):
        found[getattr(layers, f"Conv{n}D")] = conv
        found[getattr(layers, f"MaxPooling{n}D")] = _pool("maxpool")
        found[getattr(layers, f"AveragePooling{n}D")] = _pool("avgpool")
        found[getattr(layers, f"GlobalMaxPooling{n}D")] = _global("global_maxpool")
        found[getattr(layers, f"GlobalAveragePooling{n}D")] = _global("global_avgpool")
        found[getattr(layers, f"ZeroPadding{n}D")] = zero_padding
    for n in (1, 2):
        found[getattr(layers, f"DepthwiseConv{n}D")] = depthwise
        found[getattr(layers, f"SeparableConv{n}D")] = separable
    return found


def takes_zeros(handler):
    """Mark a handler as one that knows what to do with the zeros of a ZeroPadding layer."""
    handler.takes_zeros = True
    return handler


@takes_zeros
def conv(call):
    layer = call.operation
    return _convolve(call, layer, [_kernel(layer, layer.groups)])


@takes_zeros
def depthwise(call):
    """As many groups as channels; filter c*multiplier + m is the m-th of channel c."""
    return _convolve(call, call.operation, [_depthwise_kernel(call.operation, "kernel")])


@takes_zeros
def separable(call):
    """A depthwise convolution without bias, then one of single points."""
    layer = call.operation
    point = Slot("weight", layer.pointwise_kernel, AXES[layer.rank] + "cf")
    return _convolve(call, layer, [_depthwise_kernel(layer, "depthwise_kernel"),
                                   (point, 1, [1] * layer.rank)])


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
        return call.refuse("a bias that Keras on TensorFlow adds along the last axis: "
                           "use channels_last")
    plain, x = x, _without_zeros(x, layer.data_format)
    value, turned = _enter(call, x, layer.data_format)
    for count, (slot, groups, sizes) in enumerate(kernels):
        window = _window(plain if count == 0 else value, layer if count == 0 else None, sizes,
                         _inner(layer.data_format if count == 0 else "channels_first"))
        if window is None:
            return call.refuse(FREE)
        last = count == len(kernels) - 1
        fused = not call.is_linear(layer.activation)
        suffix = f".conv{'' if len(kernels) == 1 else count + 1}"
        suffix = "" if last and not fused and not turned else suffix
        bias = Slot("bias", layer.bias if last else None, "f")
        value = _conv_node(call, value, n, window, groups, (slot, bias), suffix)
    return _leave(call, value, turned, layer.activation)


def _conv_node(call, x: Value, n: int, window: Window, groups: int, slots, suffix: str) -> Value:
    kernel = slots[0].variable.shape
    depthwise_kernel = slots[0].take is not None
    filters = int(kernel[-1] * kernel[-2]) if depthwise_kernel else int(kernel[-1])
    params = {"in_channels": x.shape[1], "out_channels": filters, **window.params(),
              "groups": groups, "bias": slots[1].variable is not None}
    shape = [x.shape[0], filters, *window.sizes(x.shape[2:])]
    return call.weighted(f"conv{n}", [x], shape, params, slots, suffix)


def _bias_goes_astray(call, layer, x: Value) -> bool:
    """Keras 3.15 on TensorFlow takes a bias for one of the last axis if it is as long."""
    last = call.symbols[0].shape[-1]
    return (call.tracer.keras.backend.backend() == "tensorflow" and layer.bias is not None
            and layer.bias.shape[0] > 1 and last in (None, layer.bias.shape[0]))


def _pool(op: str):
    def handler(call):
        layer, x = call.operation, call.args[0]
        n = len(layer.pool_size)
        if x.pads and (op == "maxpool" or layer.padding == "same"):
            return call.tracer.refuse_zeros(call, x)
        window = _window(x, layer, list(layer.pool_size), _inner(layer.data_format))
        if window is None:
            return call.refuse(FREE)
        value, turned = _enter(call, _without_zeros(x, layer.data_format), layer.data_format)
        params = window.params("kernel", "stride", "pad_low", "pad_high")
        if op == "maxpool":
            params["dilation"] = window.dilation
        params["ceil"] = False
        if op == "avgpool":
            params["count_pad"] = bool(x.pads)
        shape = [*value.shape[:2], *window.sizes(value.shape[2:])]
        made = call.node(f"{op}{n}", [value], shape, params, ".pool" if turned else "")
        return _leave(call, made, turned)

    return takes_zeros(handler)


def _global(op: str):
    def handler(call):
        layer, x = call.operation, call.args[0]
        n = len(x.shape) - 2
        value, turned = _enter(call, x, layer.data_format)
        shape = value.shape[:2] + (1,) * n
        suffix = "" if layer.keepdims and not turned else ".pool"
        made = call.node(op, [value], shape, {"spatial": n}, suffix)
        if layer.keepdims:
            return _leave(call, made, turned)
        return call.node("reshape", [made], shape[:2], {"shape": list(shape[:2])})

    return handler


@takes_zeros
def zero_padding(call):
    """No node: the value remembers its zeros until a convolution takes them in."""
    layer, x = call.operation, call.args[0]
    pads = layer.padding if isinstance(layer.padding[0], (tuple, list)) else [layer.padding]
    inner = _inner(getattr(layer, "data_format", "channels_last"))
    shape = list(x.shape)
    for axis, (low, high) in zip(range(len(shape))[inner], pads):
        shape[axis] = keras_shape.windows(shape[axis], 1, 1, 1, low, high)
    before = x.pads or ((0, 0),) * len(pads)
    both = tuple((a + low, b + high) for (a, b), (low, high) in zip(before, pads))
    return replace(x, shape=tuple(shape), pads=both,
                   padded_by=(call.path, type(layer).__name__))


def _without_zeros(x: Value, data_format: str) -> Value:
    """The value before its ZeroPadding layers, with its own sizes: what a node takes in."""
    shape = list(x.shape)
    for axis, (low, high) in zip(range(len(shape))[_inner(data_format)], x.pads):
        shape[axis] = keras_shape.plus(shape[axis], -low - high)
    return replace(x, shape=tuple(shape), pads=())


def _inner(data_format: str) -> slice:
    return slice(1, -1) if data_format == "channels_last" else slice(2, None)


def _window(x: Value, layer, kernel: list, inner: slice) -> Window | None:
    """The window of a layer (None: of single steps) on a value; None if its padding needs a size
    that is free."""
    n = len(kernel)
    strides, dilation = list(getattr(layer, "strides", [1] * n)), getattr(layer, "dilation_rate", 1)
    dilation = list(dilation) if isinstance(dilation, (tuple, list)) else [dilation] * n
    padding = getattr(layer, "padding", "valid")
    pads = [_pads(padding, *entry) for entry in zip(x.shape[inner], kernel, strides, dilation)]
    if None in pads:
        return None
    around = x.pads or ((0, 0),) * n
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


def _enter(call, x: Value, data_format: str) -> tuple[Value, bool]:
    """The value channels first, and whether it was turned for that."""
    if data_format == "channels_first":
        return x, False
    perm = layout.channels_first(len(x.shape))
    made = call.transpose(x, perm, ".in")
    call.tracer.is_turned(made, x, perm)
    return made, True


def _leave(call, x: Value, turned: bool, activation=None) -> Value:
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
