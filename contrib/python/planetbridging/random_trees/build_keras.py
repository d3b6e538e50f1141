"""A tree as a live Keras model, functional or subclassed; all values have their features last."""

from __future__ import annotations

import numpy as np

from ..planets import keras_
from . import functions
from .spec import Module, Tree, Value

keras = keras_.framework()
layers, ops = keras.layers, keras.ops


class Framework:
    """The names of `functions` in keras.ops."""

    exp, log, log1p, expm1, sin, cos, erf = map(staticmethod, (
        ops.exp, ops.log, ops.log1p, ops.expm1, ops.sin, ops.cos, ops.erf))
    sqrt, rsqrt, reciprocal, square, abs, sign = map(staticmethod, (
        ops.sqrt, ops.rsqrt, ops.reciprocal, ops.square, ops.abs, ops.sign))
    floor, ceil, round, floor_divide, remainder = map(staticmethod, (
        ops.floor, ops.ceil, ops.round, ops.floor_divide, ops.mod))
    power, clip, where, matmul, sigmoid, tanh, softmax, log_softmax = map(staticmethod, (
        ops.power, ops.clip, ops.where, ops.matmul, ops.sigmoid, ops.tanh, ops.softmax, ops.log_softmax))
    cumsum, transpose, sum, mean, max, min, minimum, maximum = map(staticmethod, (
        ops.cumsum, ops.transpose, ops.sum, ops.mean, ops.max, ops.min, ops.minimum, ops.maximum))
    both, either, opposite, flip, roll, split = map(staticmethod, (
        ops.logical_and, ops.logical_or, ops.logical_not, ops.flip, ops.roll, ops.split))

    feature = staticmethod(lambda kind: {"image": 3, "sequence": 2, "vector": 1}[kind])
    places = staticmethod(lambda kind: {"image": (1, 2), "sequence": (1,), "vector": ()}[kind])
    extent = staticmethod(lambda x, axis: -1 if x.shape[axis] is None else x.shape[axis])
    concat = staticmethod(ops.concatenate)
    argmax = staticmethod(lambda x, axis: ops.argmax(x, axis, keepdims=True))
    take_along = staticmethod(ops.take_along_axis)
    reshape = staticmethod(lambda x, sizes: layers.Reshape(sizes)(x))
    expand = staticmethod(lambda x, like: x + ops.zeros_like(like))
    full = staticmethod(ops.full_like)
    floats = staticmethod(lambda x, like: ops.cast(x, like.dtype))
    dropout = staticmethod(lambda x: x)
    take = staticmethod(lambda x, order, axis: ops.take(x, order, axis))
    patches = staticmethod(lambda x, wide: layers.Reshape((-1, wide))(x))

    @staticmethod
    def lower(x):
        square = ops.ones_like(ops.matmul(x, ops.transpose(x, (0, 2, 1))))
        return ops.cumsum(square, 1) >= ops.cumsum(square, 2)

    @staticmethod
    def beside(x, kind):
        return {"image": lambda: x[:, None, None, :], "sequence": lambda: x[:, None], "vector": lambda: x}[kind]()

    @staticmethod
    def pad(x, axes, low, high, mode):
        widths = [(low, high) if axis in axes else (0, 0) for axis in range(len(x.shape))]
        return ops.pad(x, widths, mode)

    @staticmethod
    def activation(name, x, kind):
        own = {"gelu": lambda: ops.gelu(x, False), "gelu_tanh": lambda: ops.gelu(x, True),
               "softmax": lambda: 4.0 * ops.softmax(x), "sigmoid": lambda: keras.activations.sigmoid(x),
               "tanh_shrink": lambda: ops.tanh_shrink(2.0 * x), "elu": lambda: layers.ELU(0.7)(x),
               "leaky_relu": lambda: layers.LeakyReLU(0.15)(x)}
        return own[name]() if name in own else layers.Activation(name)(x)


def sized(name: str, value: Value):
    """The class of keras.layers for the value's rank."""
    return getattr(layers, name.format(len(value.extents)))


def conv(p, v):
    return sized("Conv{}D", v)(p["wide"], p["kernel"], p["stride"], p["padding"], dilation_rate=p["dilation"],
                               groups=p["groups"], use_bias=p["bias"])


def depthwise(p, v):
    return sized("DepthwiseConv{}D", v)(p["kernel"] if len(p["kernel"]) > 1 else p["kernel"][0], 1, "same",
                                        depth_multiplier=p["times"], use_bias=p["bias"])


def separable(p, v):
    kernel = p["kernel"] if len(p["kernel"]) > 1 else p["kernel"][0]
    return sized("SeparableConv{}D", v)(p["wide"], kernel, 1, "same")


def transposed(p, v):
    return sized("Conv{}DTranspose", v)(p["wide"], p["kernel"], p["stride"], p["padding"], use_bias=p["bias"])


def norm(cls, *words: str):
    """The norm's layer: `words` are those of scale and offset that it has."""
    def made(p, v):
        known = {"scale": ("scale", p["scale"]), "offset": ("center", p["offset"])}
        return cls(epsilon=p["eps"], **dict(known[word] for word in words))
    return made


def recurrent(cls):
    def made(p, v):
        more = {"activation": p["activation"]} if cls is layers.SimpleRNN else {}
        if cls is layers.GRU:
            more = {"reset_after": p["after"]}
        cell = cls(p["hidden"], use_bias=p["bias"], return_sequences="last" not in p,
                   go_backwards=p["back"], **more)
        return layers.Bidirectional(cell) if p["both"] else cell
    return made


def pool(name: str):
    return lambda p, v: sized(name, v)(pool_size=p["kernel"] if len(v.extents) > 1 else p["kernel"][0],
                                       strides=p["stride"][0], padding=p["padding"])


PARTS = {
    "dense": lambda p, v: layers.Dense(p["wide"], use_bias=p["bias"]),
    "mixing": lambda p, v: layers.Dense(p["count"], use_bias=p["bias"]),
    "conv": conv, "strided": conv, "depthwise": depthwise, "separable": separable, "transposed": transposed,
    "batchnorm": norm(layers.BatchNormalization, "scale", "offset"),
    "layernorm": norm(layers.LayerNormalization, "scale", "offset"),
    "rmsnorm": norm(layers.RMSNormalization),
    "groupnorm": lambda p, v: layers.GroupNormalization(p["groups"], epsilon=p["eps"], scale=p["scale"],
                                                        center=p["offset"]),
    "instancenorm": lambda p, v: layers.GroupNormalization(-1, epsilon=p["eps"], scale=p["scale"],
                                                           center=p["offset"]),
    "prelu": lambda p, v: layers.PReLU(shared_axes=list(range(1, len(v.extents) + 1)) or None),
    **{f"{name}{tail}": recurrent(cls) for tail in ("", "_last")
       for name, cls in (("rnn", layers.SimpleRNN), ("lstm", layers.LSTM), ("gru", layers.GRU))},
    "attention": lambda p, v: layers.MultiHeadAttention(p["heads"], v.wide // p["heads"]),
    "maxpool": pool("MaxPooling{}D"), "avgpool": pool("AveragePooling{}D"),
    "embedding": lambda p, v: layers.ReversibleEmbedding(p["words"], p["wide"]),
}


def children(module: Module) -> dict:
    """The layers of a module by name, constructed in its order; what is tied has none of its own."""
    made = {}
    for name in module.construction():
        part = module.parts[name]
        if isinstance(part, Module):
            made[name] = block(part)(name=name)
        elif part[0] != "dense_tied":
            made[name] = PARTS[part[0]](*part[1:])
    return made


def walk(module: Module, parts: dict, xs):
    """The outputs of a module's steps."""
    values = dict(zip(module.inputs, xs))
    for step in module.steps:
        values[step.outs[0]] = stepped(step, parts, [values[name] for name in step.ins])
    made = [values[name] for name in module.outputs]
    return made[0] if len(made) == 1 else tuple(made)


def stepped(step, parts: dict, xs):
    if not step.part:
        made = functions.computed(Framework, step, xs)
        return layers.UpSampling2D(2, interpolation=MODES[step.params["mode"]])(xs[0]) if made is None else made
    if step.op == "dense_tied":
        return ops.matmul(xs[0], ops.transpose(parts[step.params["to"]].kernel))
    layer = parts[step.part]
    if step.op == "attend":
        return layer(xs[0], reverse=True)
    if step.op == "attention":
        return layer(xs[0], xs[0], use_causal_mask=step.params["causal"])
    if step.op == "mixing":
        return ops.transpose(layer(ops.transpose(xs[0], (0, 2, 1))), (0, 2, 1))
    return layer(xs[0])


MODES = {"nearest": "nearest", "linear": "bilinear"}


def block(module: Module) -> type:
    """The class of a layer with layers in it."""
    wide = module.wide

    class Block(layers.Layer):
        def __init__(self, **more):
            super().__init__(**more)
            self.own = children(module)
            for name, layer in self.own.items():
                setattr(self, name, layer)

        def call(self, x):
            return walk(module, self.own, [x])

        def compute_output_shape(self, shape):
            # Without it Keras runs `call`, on a sparse tensor: it takes 2.0 * x for one.
            return (*shape[:-1], wide)
    Block.__name__ = f"Block_{module.name}"
    return Block


def subclassed(tree: Tree):
    """A model that makes its layers itself."""
    class Net(keras.Model):
        def __init__(self):
            super().__init__(name="net")
            self.own = children(tree.root)
            for name, layer in self.own.items():
                setattr(self, name, layer)

    def one(self, x):
        return walk(tree.root, self.own, [x])

    def ids_alone(self, ids):
        return walk(tree.root, self.own, [ids])

    def two(self, x, z):
        return walk(tree.root, self.own, [x, z])

    def ids_and(self, ids, z):
        return walk(tree.root, self.own, [ids, z])

    calls = {("x",): one, ("ids",): ids_alone, ("x", "z"): two, ("ids", "z"): ids_and}
    Net.call = calls[tuple(tree.inputs)]
    net = Net()
    net(*(np.zeros(value.shape(0, 2), dtype(value)) for value in tree.inputs.values()))
    return net


def dtype(value: Value) -> str:
    return "int64" if value.kind == "ids" else "float32"


def functional(tree: Tree):
    """A graph of layers; the extents are free where the tree's are."""
    inputs = [keras.Input([None if tree.free and n < len(value.extents) else size
                           for n, size in enumerate(value.shape(0, 2)[1:])], dtype=dtype(value), name=name)
              for name, value in tree.inputs.items()]
    made = walk(tree.root, children(tree.root), inputs)
    net = keras.Model(inputs, list(made) if isinstance(made, tuple) else made, name="net")
    net([np.zeros(value.shape(0, 2), dtype(value)) for value in tree.inputs.values()])  # builds blocks
    return net


def build(tree: Tree):
    """The tree's model, every weight drawn by its place."""
    from ..bedrock.own import drawing
    from ..ordinary import redraw_keras

    keras.backend.clear_session()
    net = {"functional": functional, "subclassed": subclassed}[tree.style](tree)
    owners = {id(variable): layer for layer in net._flatten_layers()
              for variable in layer._trainable_variables}
    for n, variable in enumerate(net.weights):
        name, shape = f"{tree.name} {n} {variable.name}", tuple(variable.shape)
        if "float" not in variable.dtype:
            continue
        if "moving" in variable.name:
            value = np.float32("variance" in variable.name) + drawing.uniform(name, shape, 0.5)
        elif isinstance(owners[id(variable)], layers.RMSNormalization):
            value = np.float32(1) + drawing.uniform(name, shape, 0.5)
        else:
            value = redraw_keras.drawn(name, variable.name, shape, owners[id(variable)])
        variable.assign(value)
    return net


def given(value: Value, array: np.ndarray) -> np.ndarray:
    """An input as the model takes it."""
    return array
