"""Traces a network to a jaxpr in which known layers are single equations and every equation knows
its module.

A module that `jax_leaves.py` knows is run (for its checks, and for what taps want of it) and then
stands as one equation of the primitive `leaf`, with its tensors, its weights and what it computed
among its inputs: the latter becomes dead code, and a shared or computed weight is seen for what it
is.  Modules leave their path in the name stack of the equations inside them.
"""

from __future__ import annotations

import contextlib
import re
from dataclasses import dataclass

import jax
from flax import linen, nnx
from jax.extend.core import Primitive
from jax.interpreters import batching

leaf = Primitive("planetbridging_leaf")
leaf.multiple_results = True


@leaf.def_abstract_eval
def _abstract(*tensors, layer):
    return [jax.core.ShapedArray(t.shape, t.dtype) for t in tensors[len(tensors) - layer.made:]]


def leaf_results(eqn, arguments: list) -> tuple[list, list]:
    """What a leaf's equation reads, and what its module computed of that."""
    cut = len(arguments) - eqn.params["layer"].made
    return arguments[:cut], arguments[cut:]


def _batched(tensors, axes, *, layer):
    """Under vmap: a dense layer works on the last axis of any rank; the new axis goes in front."""
    if layer.op != "dense" or any(axis is not None for axis in axes[1:-1]):
        raise NotImplementedError("a layer under vmap, unless it is dense and keeps its weights")
    first, last = (jax.numpy.moveaxis(tensors[n], axes[n], 0) for n in (0, -1))
    return leaf.bind(first, *tensors[1:-1], last, layer=layer), [0]


batching.primitive_batchers[leaf] = _batched

SCOPE = re.compile(r"pb\{([^|}]*)\|([^}]*)\}")
"""What `scope` leaves in a name stack: path and class of a module."""


@dataclass
class Trace:
    """A closed jaxpr; its inputs are the weights (named by `sources`), then those of `specs`."""

    jaxpr: object
    weights: list
    sources: list[str]
    specs: list
    output_paths: list[tuple]
    root: str


def trace(network, binding, specs: list) -> Trace:
    """The jaxpr of `network` for inputs of the shapes and types `specs`."""
    from .jax_ import key_path, mode

    named_mode = mode(network.call)
    paths = {}

    def call(weights, inputs):
        args, named = binding.arguments(dict(zip(binding.names, inputs)))
        named.update(named_mode)
        if network.root is None:
            return network.run(weights, args, named)
        return network.run(weights, args, named, seen=lambda live: paths.update(_paths_in(live)))

    watch = _watch_nnx(network.root, paths) if network.root is not None else \
        linen.intercept_methods(_LinenWatch())
    with watch, jax.default_matmul_precision("highest"):
        jaxpr, shapes = jax.make_jaxpr(call, return_shape=True)(network.weights, specs)
    outputs = [key_path(path) for path, _ in jax.tree_util.tree_flatten_with_path(shapes)[0]]
    return Trace(jaxpr, network.weights, network.sources, specs, outputs, network.name)


def scope_of(name_stack) -> tuple[str, str] | None:
    """(path, class) of the innermost module in an equation's name stack."""
    found = SCOPE.findall(str(name_stack))
    return found[-1] if found else None


def _scope(path, module):
    return jax.named_scope("pb{%s|%s}" % (".".join(str(p) for p in path), type(module).__name__))


def _stand_in(layer, result):
    """What stands for the result of a layer that is kept whole, in the result's structure."""
    results, structure = jax.tree.flatten(result)
    layer.made = len(results)
    tensors = [*layer.data.values(), *layer.weights.values()]
    # Roles stay, tensors go: a jaxpr must not hold the values of the trace that made it.
    layer.data, layer.weights = list(layer.data), list(layer.weights)
    return jax.tree.unflatten(structure, leaf.bind(*tensors, *results, layer=layer))


class _LinenWatch:
    """Runs for every method call of every linen module."""

    def __init__(self):
        self.inside = False

    def __call__(self, function, args, kwargs, context):
        from .jax_leaves import linen_layer

        module = context.module
        if context.method_name == "setup" or self.inside:
            return function(*args, **kwargs)
        with _scope(module.path, module):
            layer = None
            if context.method_name == "__call__":
                layer = linen_layer(module, args, kwargs)
            if layer is None:
                return function(*args, **kwargs)
            self.inside = True
            try:
                result = function(*args, **kwargs)
            finally:
                self.inside = False
            return _stand_in(layer, result)


@contextlib.contextmanager
def _watch_nnx(root, paths):
    """While tracing, the call of every class of module in `root` leaves its scope, or a leaf."""
    classes = {c for _, module in nnx.iter_modules(root) for c in type(module).__mro__
               if issubclass(c, nnx.Module) and "__call__" in vars(c)}
    plain = {c: vars(c)["__call__"] for c in classes}
    inside = []
    try:
        for c, function in plain.items():
            c.__call__ = _watched(c, function, paths, inside)
        yield
    finally:
        for c, function in plain.items():
            c.__call__ = function


def _watched(cls, function, paths, inside):
    from .jax_leaves import nnx_layer

    def call(self, *args, **kwargs):
        if inside:
            return function(self, *args, **kwargs)
        path = paths.get(id(self), ())
        with _scope(path, self):
            layer = nnx_layer(self, cls, function, path, args, kwargs)
            if layer is None:
                return function(self, *args, **kwargs)
            inside.append(self)
            try:
                result = function(self, *args, **kwargs)
            finally:
                inside.pop()
            return _stand_in(layer, result)
    return call


def _paths_in(live) -> dict:
    return {id(module): path for path, module in nnx.iter_modules(live)}
