"""Runs a Keras model: its outputs and what it computes on the way, in float32 or float64."""

from __future__ import annotations

import contextlib
import re

import numpy as np

from ..graph import BridgeError, bind_inputs
from . import keras_
from .keras_trace import graph_of
from .signature import bind, claim, leaf_names, one_line, plain

NO_KERNEL = ("No OpKernel was registered|Could not find device for node|not in the list of allowed "
             "values|not yet support|currently only support")
"""What TensorFlow says of an operation that it has for other types."""

FLOATS = ("float32", "float16", "bfloat16", "mixed_float16", "mixed_bfloat16")


def native(obj, inputs, precision: str = "float32") -> dict[str, np.ndarray]:
    """The outputs by name."""
    keras = keras_.framework()
    with running_in(keras, precision):
        run = _runner(obj, inputs, precision)
        result = _checked(run, keras, obj, inputs, precision)
    names, arrays = _named(keras, obj, inputs, result)
    return dict(zip(names, arrays))


def taps(obj, inputs, precision: str = "float32") -> dict[str, np.ndarray]:
    """The tensors by their names in the graph."""
    keras = keras_.framework()
    theirs = _tensors(keras_.traced(obj, inputs)[0])
    with running_in(keras, precision):
        own, given = obj, inputs
        if precision == "float64":
            own, given = in_float64(obj, inputs), widened(inputs)
        graph, tracer = keras_.traced(own, given)
        arrays = _given(keras, own, graph, given)
        found = _checked(lambda: _walked(keras, tracer, arrays), keras, obj, inputs, precision)
        for made, of, perm in tracer.turned:
            if of in found:
                found[made] = keras.ops.transpose(found[of], perm)
    return {name: plain(keras.ops.convert_to_numpy(found[now]))
            for name, now in _pairs(theirs, _tensors(graph)) if now in found}


def _pairs(theirs: list[str], made: list[str]):
    """The tensors of a graph and of that of a model made anew.

    Layers of users may get other names then, but their order stays; masks may be made twice.
    """
    if len(theirs) != len(made) or set(theirs) == set(made):
        return [(name, name) for name in theirs if name in set(made)]
    return zip(theirs, made)


def _tensors(graph) -> list[str]:
    """What the nodes of a graph make, constants left out."""
    return [name for node in graph.nodes for name in node.outputs if node.op != "constant"]


def _given(keras, obj, graph, inputs) -> dict:
    """The inputs by the graph's names, as Keras takes them."""
    own = graph_of(obj)
    arrays = bind(obj.call, inputs).arrays if own is None else \
        bind_inputs([keras_.maker_name(t) for t in own._inputs], inputs)
    return {item.name: keras.ops.convert_to_tensor(array)
            for item, array in zip(graph.inputs, arrays.values())}


def _walked(keras, tracer, found: dict) -> dict:
    """`found` and all that the walked graphs make of it, call by call in the order of the walk.

    The order matters where attention takes masks off the tensors that others are called on.
    """
    for walk in tracer.walks:
        if any(value.name not in found for value in walk.inputs):
            continue
        arrays = _with_masks(keras, walk, found)
        with keras.device("cpu"):
            for node in walk.nodes:
                args, kwargs = node.arguments.fill_in(arrays)
                made = keras.tree.flatten(node.operation(*args, **{**kwargs, **_inference(node)}))
                arrays.update((id(t), array) for t, array in zip(node.output_tensors, made))
        found.update((value.name, arrays[id(tensor)]) for tensor, value in walk.known
                     if not value.broken)
    return found


def _inference(node) -> dict:
    """`training=False` for a layer that knows the word, whatever was recorded of it."""
    return keras_.inference_mode(node.operation) if isinstance(
        node.operation, keras_.framework().Layer) else {}


def _with_masks(keras, walk, found: dict) -> dict:
    """The inputs of a walked graph by symbol, each with the mask that it had there and no other."""
    arrays = {id(t): keras.ops.copy(found[value.name])
              for t, value in zip(walk.graph._inputs, walk.inputs)}
    for tensor in walk.graph._inputs:
        mask = getattr(tensor, "_keras_mask", None)
        if mask is not None and id(mask) in arrays:
            arrays[id(tensor)]._keras_mask = arrays[id(mask)]
    return arrays


def _runner(obj, inputs, precision: str):
    """A function of no arguments that runs the model on the inputs."""
    if precision == "float64":
        obj, inputs = in_float64(obj, inputs), widened(inputs)
    args, named = _arguments(obj, inputs)
    return lambda: obj(*args, **named)


def _arguments(obj, inputs) -> tuple[list, dict]:
    keras, own = keras_.framework(), graph_of(obj)
    if own is None:
        binding = bind(obj.call, inputs)
        args, named = binding.arguments(binding.arrays)
        return args, named | keras_.inference_mode(obj)
    arrays = bind_inputs([keras_.maker_name(t) for t in own._inputs], inputs)
    packed = keras.tree.pack_sequence_as(own._inputs_struct, list(arrays.values()))
    return [packed], {"training": False}


def _checked(run, keras, obj, inputs, precision: str):
    """What `run` returns; an error of Keras's becomes one line that names the model or layer."""
    try:
        with keras.device("cpu"):
            return run()
    except BridgeError:
        raise
    except Exception as error:  # each backend has errors of its own for shapes that do not fit
        where = obj.name if precision == "float32" else _culprit(keras, obj, inputs)
        what = "these inputs" if where == obj.name else precision
        why = one_line(error)
        if precision == "float64" and re.search(NO_KERNEL, str(error)):
            what = precision
            why = f"{keras.backend.backend()} has no such kernel for the CPU; float32 has one"
        raise BridgeError(f"{where} cannot run {what}: {why}") from error


def _culprit(keras, obj, inputs) -> str:
    """The first operation that has no kernel for float64, or the model."""
    clone, inputs = in_float64(obj, inputs), widened(inputs)
    own = graph_of(clone)
    if own is None:
        return obj.name
    arrays = list(bind_inputs([keras_.maker_name(t) for t in own._inputs], inputs).values())
    for depth in sorted(own._nodes_by_depth, reverse=True):
        for node in own._nodes_by_depth[depth]:
            try:
                if not node.is_input:
                    keras.Function(own._inputs, node.output_tensors)(arrays)
            except Exception:  # the same error again, from the operation that is sought
                return f"{node.operation.name} ({type(node.operation).__name__})"
    return obj.name


def _named(keras, obj, inputs, result) -> tuple[list[str], list[np.ndarray]]:
    own = graph_of(obj)
    if own is not None:
        names = keras_.output_names(keras, own, traced=False)[0]
    else:
        names = claim(bind(obj.call, inputs).names, leaf_names(keras_.paths_of(keras, result)))
    return names, [plain(keras.ops.convert_to_numpy(t)) for t in keras.tree.flatten(result)]


def widened(inputs):
    """The inputs with floats rounded to float32, then made float64."""
    def wide(array):
        array = np.asarray(array)
        return array.astype(np.float32).astype(np.float64) if array.dtype.kind == "f" else array

    if isinstance(inputs, dict):
        return {name: wide(array) for name, array in inputs.items()}
    return [wide(a) for a in inputs] if isinstance(inputs, (list, tuple)) else wide(inputs)


@contextlib.contextmanager
def running_in(keras, precision: str):
    """Keras's defaults for constants and for layers that are made anew, for a while."""
    if precision not in ("float32", "float64"):
        raise ValueError(f"precision is {precision!r}, expected 'float32' or 'float64'")
    if precision == "float32":
        yield
        return
    if keras.backend.backend() == "jax":
        raise BridgeError("Keras on jax computes in float32 whatever it is told: "
                          "run it with KERAS_BACKEND=tensorflow")
    before = keras.config.floatx(), keras.config.dtype_policy()
    keras.config.set_floatx(precision)
    keras.config.set_dtype_policy(precision)
    try:
        yield
    finally:
        keras.config.set_floatx(before[0])
        keras.config.set_dtype_policy(before[1])


def in_float64(obj, inputs):
    """A copy of the model whose layers compute in float64, with the same weights, exactly.

    It is built from the model's configuration or, where a class of the user's has none, by calling
    the class without arguments; BridgeError if neither gives the same model.
    """
    keras = keras_.framework()
    try:
        copy = _from_config(keras, obj)
        if len(copy.weights) != len(obj.weights):
            args, named = _arguments(copy, widened(inputs))
            copy(*args, **named)
        _give_weights(keras, obj, copy)
    except BridgeError:
        raise
    except Exception as error:  # a configuration may hold anything, or be none
        raise BridgeError(f"{obj.name} ({type(obj).__name__}) cannot be rebuilt in float64 from "
                          f"its configuration: {one_line(error)}") from error
    return copy


def _from_config(keras, obj):
    try:
        functions = _functions(keras, obj)
        config = _in_float64(keras.saving.serialize_keras_object(obj), functions)
        return keras.saving.deserialize_keras_object(config, _classes(obj) | functions,
                                                     safe_mode=False)
    except Exception:  # a configuration may hold anything, or be none
        if type(obj).__module__.startswith("keras."):
            raise
        try:
            return type(obj)()
        except TypeError:
            pass
        raise


def _functions(keras, obj) -> dict:
    """The functions of Lambda layers by "lambda>LAYER": from their bytes they would come without
    the modules that they name."""
    found = [layer for layer in obj._flatten_layers() if isinstance(layer, keras.layers.Lambda)]
    names = [layer.name for layer in found]
    return {f"lambda>{layer.name}": layer.function for layer in found
            if names.count(layer.name) == 1}


def _in_float64(config, functions):
    """A configuration in which every float dtype is float64, and `functions` are called by name."""
    if isinstance(config, (list, tuple)):
        return [_in_float64(item, functions) for item in config]
    if not isinstance(config, dict):
        return config
    if config.get("class_name") == "DTypePolicy" and config["config"]["name"] in FLOATS:
        return {**config, "config": {"name": "float64"}}
    key = f"lambda>{config.get('name')}"
    if "function" in config and key in functions:
        config = {**config, "function": {"class_name": "function", "module": "builtins",
                                         "config": key, "registered_name": key}}
    return {key: _in_float64(item, functions) if key != "dtype" or item not in FLOATS
            else "float64" for key, item in config.items()}


def _classes(obj) -> dict:
    """The classes of a model's layers and operations by name: users need not register theirs."""
    found = {}
    layers = list(obj._flatten_layers()) + list(getattr(obj, "operations", []))
    for layer in layers:
        cls = type(layer)
        if not cls.__module__.startswith("keras."):
            found[cls.__name__] = cls
    return found


def _give_weights(keras, obj, copy) -> None:
    theirs = list(copy.weights)
    if len(theirs) != len(obj.weights):
        raise BridgeError(f"{obj.name} ({type(obj).__name__}) cannot be rebuilt in float64: its "
                          f"configuration gives {len(theirs)} weights, not {len(obj.weights)}")
    for old, new in zip(obj.weights, theirs):
        if old is new or "float" in new.dtype and new.dtype != "float64":
            raise BridgeError(f"{new.path} stays {new.dtype} when {obj.name} is rebuilt in "
                              "float64: give its layer the dtype of the whole")
        array = plain(keras.ops.convert_to_numpy(old.value))
        new.assign(array.astype(np.float64) if "float" in new.dtype else array)
