"""What the tests of JAX share: networks with weights that hide nothing, and their inputs."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest

if importlib.util.find_spec("jax") is None or importlib.util.find_spec("flax") is None:
    pytest.skip("jax and flax are not installed", allow_module_level=True)

import jax  # noqa: E402
import jax.numpy as jnp  # noqa: E402
from flax import linen as nn  # noqa: E402
from flax import nnx  # noqa: E402

from planetbridging import Unsupported, emit  # noqa: E402


def batches(*shape, names=("x",), sizes=(3, 7), seed=0):
    """Standard normal inputs [size, *shape] under each name, for each batch size."""
    rng = np.random.default_rng(seed)
    return [
        {name: rng.normal(size=(n, *shape)).astype(np.float32) for name in names} for n in sizes
    ]


def drawn(tree, seed=1):
    """The same tree with standard normal arrays: no kernel is nearly symmetric, no bias is zero."""
    rng = np.random.default_rng(seed)
    return jax.tree.map(lambda a: jnp.asarray(rng.normal(size=a.shape), a.dtype), tree)


def linen(function, *shape):
    """(module, variables) of a module whose compact call is function(self, x)."""

    class Net(nn.Module):
        __call__ = nn.compact(function)

    net = Net()
    return net, drawn(net.init(jax.random.key(0), jnp.ones((2, *shape))))


def normal(net):
    """The nnx module with standard normal parameters."""
    nnx.update(net, drawn(nnx.state(net, nnx.Param)))
    return net


def operations(document):
    return [n["op"] for n in document.nodes]


def problems_of(net, example):
    with pytest.raises(Unsupported) as error:
        emit(net, example=example)
    return [(p.path, p.cls, p.operation) for p in error.value.problems]


class Mlp(nnx.Module):
    def __init__(self, rngs, **kw):
        self.last = nnx.Linear(8, 4, use_bias=False, rngs=rngs, **kw)
        self.first = nnx.Linear(4, 8, rngs=rngs, **kw)
        self.drop = nnx.Dropout(0.5, rngs=rngs)

    def __call__(self, x):
        return self.last(self.drop(nnx.relu(self.first(x))))
