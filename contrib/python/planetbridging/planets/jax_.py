"""JAX: Flax linen and nnx modules, and plain functions of (parameters, inputs).

A linen network is a pair (module, variables); an nnx module carries its weights; a function of its
own stands as (function, parameters), where the parameters are any tree of JAX's: the dicts of Haiku
(transformed.apply, parameters), or a module of Equinox (lambda net, x: jax.vmap(net)(x), net), of
which what is no array stays as it is.  All are traced to a jaxpr (`jax_modules.py`), which
`jax_trace.py` turns into nodes.  Inputs are named as the call's parameters are; one output is
called "y", the keys of a dict name several.
"""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import inspect
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Callable

import numpy as np

from ..graph import BridgeError, Builder, Graph, Unsupported
from . import installed_version
from .signature import bind, claim, leaf_names, one_line, plain, warn_fixed

MODULE = "jax"
VERSIONS = {"jax": ["0.10"], "flax": ["0.12"]}

NETWORKS = ("a Flax module, (module, variables), (function, parameters), parameters {} where there are none, "
            "or a function with --params")

MODES = {"train": False, "training": False, "is_training": False, "deterministic": True,
         "use_running_average": True, "update_stats": False}
"""What a call that asks for its mode is told."""


@dataclass
class Network:
    """A live object taken apart.

    `run(weights, args, named)` computes the outputs from the flat list `weights`, whose names are
    `sources`; `call` is the function whose parameters name the inputs; `root` is the nnx module.
    """

    name: str
    call: Callable
    weights: list
    sources: list[str]
    run: Callable
    root: object = None


def owns(obj) -> bool:
    """Whether `obj` is a Flax module, (module, variables) or (function, parameters)."""
    if importlib.util.find_spec("flax") is None:
        return False
    if isinstance(obj, tuple):
        return len(obj) == 2 and callable(obj[0]) and _is_tree(obj[1])
    return _is_module(obj)


def emit(obj, *, example=None, name=None) -> Graph:
    """The network as a graph; `example` gives the shapes, the first axis is any batch.

    Other axes are of any size too where the network allows it, and sizes that are equal in the
    example may turn out to be one.
    """
    network = take_apart(obj)
    if example is None:
        raise BridgeError(f"{network.name} does not say the shapes of its inputs: "
                          "give an example of them")
    graph, _, limited = _emitted(network, _bind(network.call, example), name)
    if limited:
        warn_fixed(network.name)
    return graph


def _bind(call, example):
    """The arrays by parameter; a mask is an input where the call wants one, or was given one."""
    given = set(example) if isinstance(example, dict) else set()
    return bind(call, example, {
        name for name, parameter in inspect.signature(call).parameters.items()
        if name == "mask" and (parameter.default is parameter.empty or name in given)})


def _emitted(network, binding, name):
    """(graph, the walk that made it, whether sizes that one would expect to change are fixed)."""
    from . import jax_specs

    specs = jax_specs.choices(list(binding.arrays.values()))
    for turn, chosen in enumerate(specs):
        try:
            return *_graph(network, binding, name, chosen), turn > 0 and turn == len(specs) - 1
        except Unsupported:
            if turn == len(specs) - 1:
                raise


def _graph(network, binding, name, specs):
    """The graph for inputs of certain shapes, and the walk that made it."""
    from . import jax_modules

    paths: frozenset = frozenset()
    while True:
        try:
            return _walked(network, binding, name, specs, paths)
        except jax_modules.Opened as found:
            paths = paths | {found.path}


def _walked(network, binding, name, specs, open_paths):
    """`_graph` with the modules at these paths opened; `Opened` says which one must be, too."""
    from . import jax_modules, jax_trace

    versions = {package: installed_version(package) for package in ("jax", "flax", "numpy")}
    builder = Builder("jax", versions, name or network.name, jax_trace.SUPPORTED)
    try:
        trace = jax_modules.trace(network, binding, specs, open_paths)
    except jax_modules.Opened:
        raise
    except Exception as error:  # any error of the user's own code may come
        problem = ("the model", network.name, _why(error) + binding.note)
        raise Unsupported([problem], jax_trace.SUPPORTED) from error
    walk = jax_trace.Walk(builder, trace)
    walk.declare(binding.names)
    names = builder.reserve(leaf_names(trace.output_paths))
    return _needed(builder.finish(walk.run(), names)), walk


def _needed(graph: Graph) -> Graph:
    """The graph without nodes that nothing uses, such as a place's test that an embedding does
    itself; one whose weights another node is tied to stays."""
    wanted, kept = set(graph.outputs), []
    tied = {tensor.same.rpartition(".")[0] for node in graph.nodes for tensor in node.tensors
            if tensor.same}
    for node in reversed(graph.nodes):
        if node.name in tied or wanted.intersection(node.outputs):
            kept.append(node)
            wanted.update(name for name in node.inputs if name)
    graph.nodes = kept[::-1]
    return graph


def native(obj, inputs, precision="float32") -> dict[str, np.ndarray]:
    """What JAX itself computes for arrays by input name: inference, CPU, full precision.

    With "float64" from the same weights and the inputs rounded to float32, both widened.
    """
    import jax

    from . import jax_run

    network = take_apart(obj)
    binding = _bind(network.call, inputs)
    with jax_run.computing(precision):
        network = jax_run.widened(network, precision)
        arrays = jax_run.given(binding.arrays, precision)
        arrays = {name: jax.numpy.asarray(a) for name, a in arrays.items()}
        args, named = binding.arguments(arrays)
        with _running(network, binding, precision):
            result = network.run(network.weights, args, {**named, **mode(network.call)})
        found, _ = jax.tree_util.tree_flatten_with_path(result)
        names = claim(binding.names, leaf_names([key_path(path) for path, _ in found]))
        return {name: plain(np.asarray(array)) for name, (_, array) in zip(names, found)}


def taps(obj, inputs, precision="float32", example=None) -> dict[str, np.ndarray]:
    """The tensors inside the network as JAX computes them, by the names in `emit`'s graph.

    That is the graph of `example`, of `inputs` if there is none: sizes that are equal in the one
    and not in the other may give other nodes.  Tensors that only the graph has, such as its
    constants, are not among them.
    """
    from . import jax_run

    network = take_apart(obj)
    binding = _bind(network.call, inputs)
    graph, walk, _ = _emitted(network, binding if example is None else
                              _bind(network.call, example), None)
    with jax_run.computing(precision):
        network = jax_run.widened(network, precision)
        binding = replace(binding, arrays=jax_run.given(binding.arrays, precision))
        with _running(network, binding, precision):
            return jax_run.taps(network, binding, walk, graph)


@contextlib.contextmanager
def _running(network, binding, precision: str):
    """What JAX and Flax say of inputs that do not fit becomes one line that names the network."""
    from flax import errors

    try:
        yield
    except (TypeError, ValueError, errors.FlaxError) as error:
        wide = " in float64" if precision == "float64" else ""
        raise BridgeError(f"{network.name} cannot run these inputs{wide}: "
                          f"{one_line(error)}{binding.note}") from error


def with_weights(obj, path: str):
    """The network with the parameters of a .npz: keys as "params/Dense_0/kernel", with or without
    the collection in front.

    An nnx module is copied; (function, parameters) keeps the structure of its parameters.
    """
    flat = {key.replace(".", "/"): array for key, array in _read_npz(path).items()}
    network, old = obj if isinstance(obj, tuple) else (obj, {})
    if _is_nnx(network):
        return _nnx_with(network, flat, path)
    if not _is_module(network):
        return network, (refill(old, flat, path) if old else nested(flat))
    if not any(key.startswith("params/") for key in flat):
        flat = {f"params/{key}": array for key, array in flat.items()}
    return network, nested(flat)


def _read_npz(path: str) -> dict:
    try:
        found = np.load(path, allow_pickle=False)
        if isinstance(found, np.lib.npyio.NpzFile):
            return dict(found)
    except OSError:
        raise
    except Exception as error:  # a file may be wrong in any way
        raise BridgeError(f"{path}: cannot be read as parameters: {one_line(error)}") from error
    raise BridgeError(f"{path}: holds one array, expected a .npz of parameters by name")


def nested(flat: dict) -> dict:
    """Arrays by "a/b/c" as dicts in dicts."""
    tree = {}
    for key, array in flat.items():
        *folders, last = key.split("/")
        place = tree
        for folder in folders:
            place = place.setdefault(folder, {})
        place[last] = array
    return tree


def refill(tree, flat: dict, path: str, needed=None):
    """The tree with the arrays of `flat` in it; BridgeError unless names and shapes are the same.

    `needed` are the leaves that must come, all if None; the others stay when they do not.
    """
    import jax

    leaves, names, structure = _flat(tree)
    parts = [("unknown", sorted(set(flat) - set(names))),
             ("missing", sorted(set(names if needed is None else needed) - set(flat)))]
    wrong = "; ".join(f"{word} {', '.join(keys)}" for word, keys in parts if keys)
    if wrong:
        raise BridgeError(f"{path}: {wrong}")
    for leaf, name in zip(leaves, names):
        if name in flat and np.shape(leaf) != flat[name].shape:
            raise BridgeError(f"{path}: {name} has shape {list(flat[name].shape)}, "
                              f"expected {list(np.shape(leaf))}")
    return jax.tree.unflatten(structure, [jax.numpy.asarray(flat[name]) if name in flat else leaf
                                          for leaf, name in zip(leaves, names)])


def take_apart(obj) -> Network:
    """The parts of any object that `owns` knows."""
    if _is_nnx(obj):
        return _take_nnx(obj)
    if _is_module(obj):
        if obj.scope is None:
            raise BridgeError(f"{type(obj).__name__} has no parameters: give (module, variables), "
                              "or a file of them")
        obj = obj.unbind()
    if not isinstance(obj, tuple):
        raise BridgeError(f"{_name_of(obj)} has no parameters: give (function, parameters), "
                          "or a file of them")
    module, variables = obj
    if _is_nnx(module):
        raise BridgeError(f"{type(module).__name__} carries its own weights: give it alone")
    take = _take_linen if _is_module(module) else _take_function
    return take(module, variables)


def mode(call) -> dict:
    """Arguments that put a call which asks for its mode into inference."""
    return {key: value for key, value in MODES.items() if key in inspect.signature(call).parameters}


def key_path(path) -> tuple:
    """A path of jax.tree_util as plain names and numbers."""
    return tuple(next(getattr(key, a) for a in ("key", "idx", "name") if hasattr(key, a))
                 for key in path)


def _is_tree(obj) -> bool:
    """Whether an object is a structure that JAX takes apart, and no leaf of one."""
    import jax

    return isinstance(obj, (Mapping, list, tuple)) or not jax.tree_util.all_leaves([obj])


def _is_nnx(obj) -> bool:
    from flax import nnx

    return isinstance(obj, nnx.Module)


def _is_module(obj) -> bool:
    from flax import linen

    return isinstance(obj, linen.Module) or _is_nnx(obj)


def _flat(tree) -> tuple[list, list[str], object]:
    """Leaves, their names, and what puts them back."""
    import jax

    found, structure = jax.tree_util.tree_flatten_with_path(tree)
    names = ["/".join(str(part) for part in key_path(path) if part != "value") for path, _ in found]
    return [leaf for _, leaf in found], names, structure


def _take_linen(module, variables) -> Network:
    import jax
    from flax import linen

    if "params" not in variables:
        variables = {"params": variables}
    leaves, names, structure = _flat(linen.meta.unbox(variables))

    def run(weights, args, named):
        return module.apply(jax.tree.unflatten(structure, weights), *args, **named)
    return Network(type(module).__name__, module.__call__, leaves, names, run)


def _take_function(function, parameters) -> Network:
    """Leaves that are no arrays (Equinox keeps functions among its own) are no weights."""
    import jax

    leaves, names, structure = _flat(parameters)
    places = [n for n, leaf in enumerate(leaves) if hasattr(leaf, "dtype")]

    def run(weights, args, named):
        whole = list(leaves)
        for n, weight in zip(places, weights):
            whole[n] = weight
        return function(jax.tree.unflatten(structure, whole), *args, **named)
    return Network(_name_of(function), functools.partial(function, parameters),
                   [leaves[n] for n in places], [names[n] for n in places], run)


def _name_of(function) -> str:
    """A function's own name, through what jit, partial and their like put around it."""
    while not hasattr(function, "__name__"):
        inner = getattr(function, "__wrapped__", getattr(function, "func", None))
        if inner is None:
            return type(function).__name__
        function = inner
    return function.__name__


def _take_nnx(module) -> Network:
    """The module is merged anew for each run: its state comes as an argument, and `eval` is told to
    the copy alone."""
    import jax
    from flax import nnx

    definition, state = nnx.split(module)
    leaves, names, structure = _flat(state)

    def run(weights, args, named, seen=lambda live: None):
        live = nnx.merge(definition, jax.tree.unflatten(structure, weights))
        live.eval()
        seen(live)
        return live(*args, **named)
    return Network(type(module).__name__, module.__call__, leaves, names, run, module)


def _nnx_with(module, flat: dict, path: str):
    """A copy of an nnx module with the arrays of a file in its parameters."""
    from flax import nnx

    definition, state = nnx.split(module)
    flat = {key.removeprefix("params/"): array for key, array in flat.items()}
    needed = _flat(nnx.state(module, nnx.Param))[1]
    return nnx.merge(definition, refill(state, flat, path, needed))


def _why(error: Exception) -> str:
    if type(error).__name__ == "InconclusiveDimensionOperation":
        return f"its call depends on the size of the batch: {one_line(error)}"
    return f"its call cannot be traced: {one_line(error)}"
