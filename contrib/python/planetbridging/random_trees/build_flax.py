"""A tree as a live Flax network: a linen module with variables, or an nnx module."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from flax import nnx

from ..planets import jax_, jax_run
from .flax_common import drawn, last_of, over_steps, padding_of, walk
from .spec import Module, Tree, Value


def plain_conv(p: dict) -> dict:
    """A convolution's arguments, as both libraries call them."""
    return {"strides": tuple(p["stride"]), "kernel_dilation": tuple(p["dilation"]), "padding": padding_of(p),
            "feature_group_count": p["groups"], "use_bias": p["bias"]}


def plain_transposed(p: dict) -> dict:
    return {"strides": tuple(p["stride"]), "padding": p["padding"].upper(), "use_bias": p["bias"]}


def plain_norm(p: dict) -> dict:
    return {"epsilon": p["eps"], "use_scale": p["scale"], "use_bias": p["offset"]}


def cell(p: dict, op: str, library, *sizes, **more):
    """A recurrent cell of linen or nnx."""
    if op.startswith("rnn"):
        function = {"tanh": jnp.tanh, "relu": nn.relu}[p["activation"]]
        return library.SimpleCell(*sizes, activation_fn=function, **more)
    return (library.LSTMCell if op.startswith("lstm") else library.GRUCell)(*sizes, **more)


def recurrent(op: str, p: dict, library, sizes, more: dict):
    """nn.RNN of a cell, or of one a direction."""
    kept = {"return_carry": "last" in p}
    runs = [library.RNN(cell(p, op, library, *sizes, **more), **kept, **more)
            for _ in range(2 if p["both"] else 1)]
    if p["both"]:
        return library.Bidirectional(*runs, **kept, **more)
    if p["back"]:
        return library.RNN(cell(p, op, library, *sizes, **more), reverse=True, keep_order=True, **kept, **more)
    return runs[0]


LINEN = {
    "dense": lambda op, p, v: nn.Dense(p["wide"], use_bias=p["bias"]),
    "mixing": lambda op, p, v: nn.Dense(p["count"], use_bias=p["bias"]),
    **dict.fromkeys(("conv", "depthwise", "strided"),
                    lambda op, p, v: nn.Conv(p["wide"], tuple(p["kernel"]), **plain_conv(p))),
    "transposed": lambda op, p, v: nn.ConvTranspose(p["wide"], tuple(p["kernel"]), **plain_transposed(p)),
    "batchnorm": lambda op, p, v: nn.BatchNorm(use_running_average=True, **plain_norm(p)),
    "layernorm": lambda op, p, v: nn.LayerNorm(**plain_norm(p)),
    "rmsnorm": lambda op, p, v: nn.RMSNorm(epsilon=p["eps"], use_scale=p["scale"]),
    "groupnorm": lambda op, p, v: nn.GroupNorm(p["groups"], **plain_norm(p)),
    "instancenorm": lambda op, p, v: nn.InstanceNorm(**plain_norm(p)),
    "prelu": lambda op, p, v: nn.PReLU(),
    **dict.fromkeys(("rnn", "lstm", "gru", "rnn_last", "lstm_last", "gru_last"),
                    lambda op, p, v: recurrent(op, p, nn, (p["hidden"],), {})),
    "attention": lambda op, p, v: nn.MultiHeadDotProductAttention(p["heads"]),
    "embedding": lambda op, p, v: nn.Embed(p["words"], p["wide"]),
}

NNX = {
    "dense": lambda op, p, v, r: nnx.Linear(v.wide, p["wide"], use_bias=p["bias"], rngs=r),
    "dense_tied": lambda op, p, v, r: nnx.Linear(v.wide, p["wide"], use_bias=p["bias"], rngs=r),
    "mixing": lambda op, p, v, r: nnx.Linear(p["count"], p["count"], use_bias=p["bias"], rngs=r),
    **dict.fromkeys(("conv", "depthwise", "strided"), lambda op, p, v, r: nnx.Conv(
        v.wide, p["wide"], tuple(p["kernel"]), rngs=r, **plain_conv(p))),
    "transposed": lambda op, p, v, r: nnx.ConvTranspose(
        v.wide, p["wide"], tuple(p["kernel"]), rngs=r, **plain_transposed(p)),
    "batchnorm": lambda op, p, v, r: nnx.BatchNorm(v.wide, use_running_average=True, rngs=r, **plain_norm(p)),
    "layernorm": lambda op, p, v, r: nnx.LayerNorm(v.wide, rngs=r, **plain_norm(p)),
    "rmsnorm": lambda op, p, v, r: nnx.RMSNorm(v.wide, epsilon=p["eps"], use_scale=p["scale"], rngs=r),
    "groupnorm": lambda op, p, v, r: nnx.GroupNorm(v.wide, p["groups"], rngs=r, **plain_norm(p)),
    "instancenorm": lambda op, p, v, r: nnx.InstanceNorm(v.wide, rngs=r, **plain_norm(p)),
    "prelu": lambda op, p, v, r: nnx.PReLU(),
    **dict.fromkeys(("rnn", "lstm", "gru", "rnn_last", "lstm_last", "gru_last"), lambda op, p, v, r: recurrent(
        op, p, nnx, (v.wide, p["hidden"]), {"rngs": r})),
    "attention": lambda op, p, v, r: nnx.MultiHeadAttention(p["heads"], v.wide, decode=False, rngs=r),
    "embedding": lambda op, p, v, r: nnx.Embed(p["words"], p["wide"], rngs=r),
}


def call(owner, step, xs):
    """What a child of a module makes."""
    x, layer = xs[0], getattr(owner, step.part, None)
    if step.op == "attend":
        return layer.attend(x)
    if step.op == "attention":
        return layer(x, mask=nn.make_causal_mask(x[..., 0]) if step.params["causal"] else None)
    if step.op == "mixing":
        return over_steps(layer, x)
    if step.op == "dense_tied" and layer is None:
        y = x @ getattr(owner, step.params["to"]).variables["params"]["kernel"].T
        return y + getattr(owner, f"{step.part}_bias") if step.params["bias"] else y
    return last_of(layer(x), step.params["both"]) if "last" in step.params else layer(x)


class Linen(nn.Module):
    """A module of a tree; children are made in `setup`."""

    spec: Module

    def setup(self):
        for name in self.spec.construction():
            part = self.spec.parts[name]
            if isinstance(part, Module):
                setattr(self, name, Linen(part))
            elif part[0] in LINEN:
                setattr(self, name, LINEN[part[0]](*part))
            elif part[0] == "dense_tied" and part[1]["bias"]:
                setattr(self, f"{name}_bias",
                        self.param(f"{name}_bias", nn.initializers.zeros, (part[1]["wide"],)))

    def walk(self, *xs):
        return walk(self.spec, lambda step, given: call(self, step, given), xs)

    def __call__(self, x):
        return self.walk(x)


class LinenIds(Linen):
    def __call__(self, ids):
        return self.walk(ids)


class LinenTwo(Linen):
    def __call__(self, x, z):
        return self.walk(x, z)


class LinenIdsAndTwo(Linen):
    def __call__(self, ids, z):
        return self.walk(ids, z)


class Nnx(nnx.Module):
    """A module of a tree; children are attributes."""

    def __init__(self, spec: Module, rngs: nnx.Rngs):
        self.spec = spec
        for name in spec.construction():
            part = spec.parts[name]
            if isinstance(part, Module):
                setattr(self, name, Nnx(part, rngs))
            elif part[0] in NNX:
                setattr(self, name, NNX[part[0]](*part, rngs))
        for name, part in spec.parts.items():
            if not isinstance(part, Module) and part[0] == "dense_tied":
                getattr(self, name).kernel = getattr(self, part[1]["to"]).kernel

    def walk(self, *xs):
        return walk(self.spec, lambda step, given: call(self, step, given), xs)

    def __call__(self, x):
        return self.walk(x)


class NnxIds(Nnx):
    def __call__(self, ids):
        return self.walk(ids)


class NnxTwo(Nnx):
    def __call__(self, x, z):
        return self.walk(x, z)


class NnxIdsAndTwo(Nnx):
    def __call__(self, ids, z):
        return self.walk(ids, z)


CLASSES = {("x",): (Linen, Nnx), ("ids",): (LinenIds, NnxIds), ("x", "z"): (LinenTwo, NnxTwo),
           ("ids", "z"): (LinenIdsAndTwo, NnxIdsAndTwo)}


def build(tree: Tree):
    """(module, variables) of linen or a module of nnx, every weight drawn by its path."""
    linen, own = CLASSES[tuple(tree.inputs)]
    if tree.style == "nnx":
        # Without the numbers that nnx itself would begin with, which take longer than all else here.
        definition, state = nnx.split(nnx.eval_shape(lambda: own(tree.root, nnx.Rngs(0))))
        return nnx.merge(definition, redrawn(tree, state))
    net = linen(tree.root)
    example = [jax.ShapeDtypeStruct(value.shape(0, 2), np.int32 if value.kind == "ids" else np.float32)
               for value in tree.inputs.values()]
    return net, redrawn(tree, jax.eval_shape(net.init, jax.random.key(0), *example))


def redrawn(tree: Tree, weights):
    """The same structure with drawn arrays."""
    def one(path, leaf):
        if not jnp.issubdtype(leaf.dtype, jnp.floating):  # keys of nnx's generators, and how often used
            return jax.random.key(0) if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key) else jnp.zeros(
                leaf.shape, leaf.dtype)
        names = tuple(name for name in jax_.key_path(path) if name != "value")
        return jnp.asarray(drawn(f"{tree.name} {'/'.join(map(str, names))}", names, leaf.shape))
    return jax.tree_util.tree_map_with_path(one, weights)


def given(value: Value, array: np.ndarray) -> np.ndarray:
    """An input as the network takes it."""
    return array


def native(net, inputs: dict, precision: str) -> dict[str, np.ndarray]:
    """What the planet's `native` gives, compiled as a whole: that runs each operation by itself, and
    compiling each takes JAX longer than all else does."""
    network = jax_.take_apart(net)
    with jax_run.computing(precision):
        network = jax_run.widened(network, precision)
        arrays = [jnp.asarray(array) for array in jax_run.given(inputs, precision).values()]
        run = jax.jit(lambda weights, args: network.run(weights, args, {}))
        made = run.lower(network.weights, arrays).compile(COMPILER)(network.weights, arrays)
    if not isinstance(made, tuple):
        return {"y": np.asarray(made)}
    return {f"y_{n}": np.asarray(array) for n, array in enumerate(made)}


COMPILER = {"xla_backend_optimization_level": 0}
