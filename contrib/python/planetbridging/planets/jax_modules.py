"""Traces a network to a jaxpr in which dense layers are single equations and every equation knows
its module.

A dense layer of Flax is run (for its checks and its result's type) and then stands as one equation
of the primitive `leaf`, with the kernel and the bias among its inputs: what it ran becomes dead
code, and a shared or computed kernel is seen for what it is.  Modules leave their path in the name
stack of the equations inside them.
"""

from __future__ import annotations

import contextlib
import re
from dataclasses import dataclass

import jax
from flax import linen, nnx
from jax.extend.core import Primitive
from jax.interpreters import batching

leaf = Primitive("planetbridging_dense")
leaf.def_abstract_eval(lambda *tensors, shape, dtype, path: jax.core.ShapedArray(shape, dtype))


def _batched(tensors, axes, *, shape, dtype, path):
    """Under vmap: a dense layer works on the last axis of any rank; the new axis goes in front."""
    if any(axis is not None for axis in axes[1:]):
        raise NotImplementedError("a dense layer under vmap over its weights")
    x = jax.numpy.moveaxis(tensors[0], axes[0], 0)
    return leaf.bind(x, *tensors[1:], shape=(x.shape[0], *shape), dtype=dtype, path=path), 0


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


def trace(network, binding, middle: bool) -> Trace:
    """The jaxpr of `network` for any size of the batch axis, with `middle` of all but the last."""
    from .jax_ import key_path, mode

    specs = _specs(list(binding.arrays.values()), middle)
    named_mode = mode(network.call)
    paths = {}

    def call(weights, inputs):
        args, named = binding.arguments(dict(zip(binding.names, inputs)))
        named.update(named_mode)
        if network.root is None:
            return network.run(weights, args, named)
        return network.run(weights, args, named, seen=lambda live: paths.update(_paths_in(live)))

    watch = _watch_nnx(network.root, paths) if network.root is not None else \
        linen.intercept_methods(_watch_linen)
    with watch, jax.default_matmul_precision("highest"):
        jaxpr, shapes = jax.make_jaxpr(call, return_shape=True)(network.weights, specs)
    outputs = [key_path(path) for path, _ in jax.tree_util.tree_flatten_with_path(shapes)[0]]
    return Trace(jaxpr, network.weights, network.sources, specs, outputs, network.name)


def scope_of(name_stack) -> tuple[str, str] | None:
    """(path, class) of the innermost module in an equation's name stack."""
    found = SCOPE.findall(str(name_stack))
    return found[-1] if found else None


def middle_axes(arrays) -> bool:
    """Whether an input has axes between its first and its last, which may be of any size too."""
    return any(array.ndim > 2 for array in arrays)


def _specs(arrays, middle: bool) -> list:
    """Shapes of the inputs with a symbolic batch: the first axis of the first array that has two
    or more, and all first axes of that size; with `middle` also d1, d2, ... up to the last axis."""
    dtypes = [jax.dtypes.canonicalize_dtype(array.dtype) for array in arrays]
    wide = [array.shape[0] for array in arrays if array.ndim > 1]
    if not wide:
        return [jax.ShapeDtypeStruct(a.shape, d) for a, d in zip(arrays, dtypes)]
    most = max(array.ndim for array in arrays)
    names = ["batch", *(f"d{axis}" for axis in range(1, most))]
    batch, *free = jax.export.symbolic_shape(", ".join(names))
    shapes = []
    for array in arrays:
        shape = list(array.shape)
        if array.shape[:1] == (wide[0],):
            shape[0] = batch
        if middle:
            shape[1:-1] = free[:max(array.ndim - 2, 0)]
        shapes.append(tuple(shape))
    return [jax.ShapeDtypeStruct(shape, dtype) for shape, dtype in zip(shapes, dtypes)]


def _scope(path, module):
    return jax.named_scope("pb{%s|%s}" % (".".join(str(p) for p in path), type(module).__name__))


def _leaf(x, kernel, bias, result, path):
    """The equation that stands for a dense layer whose own result has the type of `result`."""
    tensors = [x, kernel] + ([] if bias is None else [bias])
    return leaf.bind(*tensors, shape=tuple(result.shape), dtype=result.dtype,
                     path=".".join(str(p) for p in path))


def _watch_linen(function, args, kwargs, context):
    """Runs for every method call of every linen module."""
    module = context.module
    if context.method_name == "setup":
        return function(*args, **kwargs)
    with _scope(module.path, module):
        result = function(*args, **kwargs)
        x = _only_tensor(args, kwargs)
        if context.method_name == "__call__" and x is not None and _is_linen_dense(module):
            weights = linen.meta.unbox({name: module.get_variable("params", name)
                                        for name in ("kernel", "bias")})
            return _leaf(x, weights["kernel"], weights["bias"], result, module.path)
    return result


def _only_tensor(args, kwargs):
    """The one argument of a call that is not None, or None if there are more."""
    given = [value for value in (*args, *kwargs.values()) if value is not None]
    return given[0] if len(given) == 1 else None


def _is_linen_dense(module) -> bool:
    """Whether a module computes as nn.Dense does, with nothing put in its place."""
    caller = next(c for c in type(module).__mro__ if "__call__" in vars(c))
    if caller is linen.DenseGeneral:
        plain = module.axis in (-1, (-1,)) and not module.batch_dims \
            and isinstance(module.features, int)
    else:
        plain = caller is linen.Dense
    return plain and module.promote_dtype is linen.dtypes.promote_dtype \
        and getattr(module, "dot_general", None) is None \
        and getattr(module, "dot_general_cls", None) is None


@contextlib.contextmanager
def _watch_nnx(root, paths):
    """While tracing, the call of every class of module in `root` leaves its scope, or a leaf."""
    classes = {c for _, module in nnx.iter_modules(root) for c in type(module).__mro__
               if issubclass(c, nnx.Module) and "__call__" in vars(c)}
    plain = {c: vars(c)["__call__"] for c in classes}
    try:
        for c, function in plain.items():
            c.__call__ = _watched(c, function, paths)
        yield
    finally:
        for c, function in plain.items():
            c.__call__ = function


def _watched(cls, function, paths):
    def call(self, *args, **kwargs):
        path = paths.get(id(self), ())
        with _scope(path, self):
            result = function(self, *args, **kwargs)
            x = _only_tensor(args, kwargs)
            if cls is nnx.Linear and x is not None and _is_nnx_dense(self):
                bias = None if self.bias is None else self.bias[...]
                return _leaf(x, self.kernel[...], bias, result, path)
        return result
    return call


def _is_nnx_dense(module) -> bool:
    return module.dot_general is jax.lax.dot_general and \
        module.promote_dtype is nnx.nn.dtypes.promote_dtype


def _paths_in(live) -> dict:
    return {id(module): path for path, module in nnx.iter_modules(live)}
