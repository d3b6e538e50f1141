"""Traces a network to a jaxpr in which known layers are single equations and every equation knows
its module.

A module that `jax_leaves.py` knows is run (for its checks, and for what taps want of it) and then
stands as one equation of the primitive `leaf`, with its tensors, its weights and what it computed
among its inputs: the latter becomes dead code, and a shared or computed weight is seen for what it
is.  Modules leave their path in the name stack of the equations inside them.
"""

from __future__ import annotations

import contextlib
import inspect
import re
from dataclasses import dataclass

import jax
from flax import linen, nnx
from jax.extend.core import Primitive
from jax.interpreters import ad, batching

leaf = Primitive("planetbridging_leaf")
leaf.multiple_results = True


@leaf.def_abstract_eval
def _abstract(*tensors, layer):
    return [jax.core.ShapedArray(t.shape, t.dtype) for t in tensors[len(tensors) - layer.made:]]


def leaf_results(eqn, arguments: list) -> tuple[list, list]:
    """What a leaf's equation reads, and what its module computed of that."""
    cut = len(arguments) - eqn.params["layer"].made
    return arguments[:cut], arguments[cut:]


class Opened(Exception):
    """A module that cannot be kept whole: `path` says which.  It stands for no fault."""

    def __init__(self, path: str):
        self.path = path
        super().__init__(f"{path} cannot be kept whole")


def _batched(tensors, axes, *, layer):
    """Under vmap: a dense layer works on the last axis of any rank; the new axis goes in front.

    Any other module is opened.
    """
    if layer.op != "dense" or any(axis is not None for axis in axes[1:-1]):
        raise Opened(layer.path)
    first, last = (jax.numpy.moveaxis(tensors[n], axes[n], 0) for n in (0, -1))
    return leaf.bind(first, *tensors[1:-1], last, layer=layer), [0]


def _derived(tensors, tangents, *, layer):
    """A network that takes a derivative needs what is in the module."""
    raise Opened(layer.path)


batching.primitive_batchers[leaf] = _batched
ad.primitive_jvps[leaf] = _derived

SCOPE = re.compile(r"pb\{([^|}]*)\|([^}]*)\}")
"""What `scope` leaves in a name stack: path and class of a module."""

INNER = re.compile(r"^(?:\w+\()*([^()]*)\)*$")
"""A name in a name stack, inside what transformed it: "vmap(jvp(name))"."""


@dataclass
class Trace:
    """A closed jaxpr; its inputs are the weights (named by `sources`), then those of `specs`."""

    jaxpr: object
    weights: list
    sources: list[str]
    specs: list
    output_paths: list[tuple]
    root: str
    opened: frozenset


def trace(network, binding, specs: list, open_paths=frozenset()) -> Trace:
    """The jaxpr of `network` for inputs of the shapes and types `specs`.

    The modules at `open_paths` are not kept whole.
    """
    from .jax_ import key_path, mode

    named_mode = mode(network.call)
    paths = {}

    def call(weights, inputs):
        args, named = binding.arguments(dict(zip(binding.names, inputs)))
        named.update(named_mode)
        if network.root is None:
            return network.run(weights, args, named)
        return network.run(weights, args, named, seen=lambda live: paths.update(_paths_in(live)))

    watch = _watch_nnx(network.root, paths, open_paths) if network.root is not None else \
        linen.intercept_methods(_LinenWatch(open_paths))
    with watch, jax.default_matmul_precision("highest"):
        jaxpr, shapes = jax.make_jaxpr(call, return_shape=True)(network.weights, specs)
    outputs = [key_path(path) for path, _ in jax.tree_util.tree_flatten_with_path(shapes)[0]]
    return Trace(jaxpr, network.weights, network.sources, specs, outputs, network.name, open_paths)


def scope_of(name_stack) -> tuple[str, str] | None:
    """(path, class) of the innermost module in an equation's name stack.

    Where no module of Flax is, the names that other libraries leave there are a path without class.
    """
    text = str(name_stack)
    found = SCOPE.findall(text)
    if found:
        return found[-1]
    names = [name for part in text.split("/") for name in [INNER.sub(r"\1", part)]
             if re.fullmatch(r"[\w.\-~]+", name) and name != "~"]
    return (".".join(names), "") if names else None


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

    def __init__(self, open_paths):
        self.inside, self.open_paths = False, open_paths

    def __call__(self, function, args, kwargs, context):
        from .jax_leaves import linen_layer

        module = context.module
        if context.method_name == "setup" or self.inside:
            return function(*args, **kwargs)
        with _scope(module.path, module):
            layer = None
            if context.method_name == "__call__":
                layer = linen_layer(module, args, kwargs)
            if layer is None or layer.path in self.open_paths:
                return function(*args, **kwargs)
            self.inside = True
            try:
                result = _run_linen(module, function, args, kwargs, layer.run_with)
            finally:
                self.inside = False
            return _stand_in(layer, result)


def _run_linen(module, function, args, kwargs, options: dict):
    """The module's call with other options, which Flax takes from the module or from the call, but
    not from both.  The module is a copy of the user's."""
    if not options:
        return function(*args, **kwargs)
    call = inspect.signature(type(module).__call__).bind(module, *args, **kwargs)
    for name, option in options.items():
        object.__setattr__(module, name, option)
        if name in call.arguments:
            call.arguments[name] = None
    return function(*call.args[1:], **call.kwargs)


@contextlib.contextmanager
def _watch_nnx(root, paths, open_paths):
    """While tracing, the call of every class of module in `root` leaves its scope, or a leaf."""
    classes = {c for _, module in nnx.iter_modules(root) for c in type(module).__mro__
               if issubclass(c, nnx.Module) and "__call__" in vars(c)}
    plain = {c: vars(c)["__call__"] for c in classes}
    inside = []
    try:
        for c, function in plain.items():
            c.__call__ = _watched(c, function, paths, open_paths, inside)
        yield
    finally:
        for c, function in plain.items():
            c.__call__ = function


def _watched(cls, function, paths, open_paths, inside):
    from .jax_leaves import nnx_layer

    def call(self, *args, **kwargs):
        if inside:
            return function(self, *args, **kwargs)
        path = paths.get(id(self), ())
        with _scope(path, self):
            layer = nnx_layer(self, cls, function, path, args, kwargs)
            if layer is None or layer.path in open_paths:
                return function(self, *args, **kwargs)
            inside.append(self)
            try:
                result = function(self, *args, **{**kwargs, **layer.run_with})
            finally:
                inside.pop()
            return _stand_in(layer, result)
    return call


def _paths_in(live) -> dict:
    return {id(module): path for path, module in nnx.iter_modules(live)}
