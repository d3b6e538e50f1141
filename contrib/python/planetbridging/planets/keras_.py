"""Keras 3: Sequential, Functional and subclassed models, and single layers.

A model is traced with symbolic tensors (`keras_trace.py`); what each operation becomes stands in
`keras_ops.py`.  A layer's value has the layer's name in the graph; an activation that a layer
carries is a node of its own.  One output is called "y"; several keep their names.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import os
import sys

import numpy as np

from ..graph import BridgeError, Builder, Graph, Unsupported, UsageError
from . import installed_version
from .signature import Binding, bind, claim, leaf_names, one_line, warn_fixed, warn_precision

MODULE = "keras"
VERSIONS = {"keras": ["3.15"], "tensorflow": ["2.21"]}


@functools.cache
def framework():
    """The module keras, on TensorFlow unless KERAS_BACKEND says otherwise, without its chatter."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    with _quiet():
        keras = importlib.import_module("keras")
        with keras.device("cpu"):
            keras.ops.zeros(1)  # TensorFlow looks for devices, and complains, at the first tensor
    return keras


@contextlib.contextmanager
def _quiet():
    """Standard error closed for a while: TensorFlow writes there before it can be told not to."""
    sys.stderr.flush()
    kept, null = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(null, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(null)


def owns(obj) -> bool:
    """Whether `obj` is a Keras model or layer."""
    return isinstance(obj, framework().Layer)


def load(path: str):
    """The model in a .keras file; code that the file may hold (Lambda layers) is refused."""
    return _load(path, safe=True)


def load_trusted(path: str):
    """The model in a .keras file, with the code that it may hold."""
    return _load(path, safe=False)


def _load(path: str, safe: bool):
    keras = framework()
    try:
        return keras.saving.load_model(path, compile=False, safe_mode=safe)
    except Exception as error:  # a file may be wrong in any way
        if safe and "safe_mode=False" in str(error):
            raise UsageError(f"{path}: holds Python code, which runs when the model does; "
                             "if you know where it comes from, say --trust") from error
        raise BridgeError(f"{path}: Keras cannot load it: {one_line(error)}") from error


def with_weights(obj, path: str):
    """The model with the weights of a .weights.h5 or .keras file."""
    try:
        obj.load_weights(path)
    except Exception as error:  # a file may be wrong in any way
        raise BridgeError(f"{path}: Keras cannot load it: {one_line(error)}") from error
    return obj


def emit(obj, *, example=None, name=None) -> Graph:
    """The model as a graph.

    A Sequential or Functional model knows its inputs; a subclassed one takes names from the
    parameters of its call, and shapes from `example` or, with one input, from the call that
    built it: axes besides the batch are free where its call can be traced so.
    """
    graph, tracer = traced(obj, example, name)
    warn_precision(graph)
    if tracer.limited:
        warn_fixed(obj.name)
    return graph


def traced(obj, example, name=None):
    """The graph of a model, and the tracer that made it: its values have the graph's names."""
    from .keras_trace import graph_of

    own = graph_of(obj)
    if own is not None:
        return _walked(obj, name, lambda tracer: (
            own, [tracer.input(maker_name(t), t.shape, t.dtype) for t in own._inputs]), False)
    binding = _binding_of(obj, example)
    if not obj.built:
        args, named = binding.arguments(binding.arrays)
        obj(*args, **named, **inference_mode(obj))
    free, fixed = _shapes(binding, True), _shapes(binding, False)
    if free != fixed and graph_of(obj) is None:
        with contextlib.suppress(Unsupported):
            return _walked(obj, name, lambda tracer: _record(tracer, obj, binding, free))
    graph, tracer = _walked(obj, name, lambda tracer: _record(tracer, obj, binding, fixed))
    tracer.limited = free != fixed
    return graph, tracer


def _walked(obj, name, record, new=True):
    """`traced` for what `record` makes of the model: a graph, and the values for its inputs; a
    `new` one is no graph of the model's own."""
    from . import keras_trace

    keras = framework()
    backend = keras.backend.backend()
    versions = {package: installed_version(package) for package in ("keras", backend, "numpy")}
    builder = Builder(backend, versions, name or obj.name, keras_trace.supported())
    tracer = keras_trace.Tracer(keras, builder, obj.variables)
    recorded = record(tracer)
    if recorded is None:
        builder.finish([])
    names, theirs = output_names(keras, recorded[0], traced=new)
    builder.reserve(_several_calls(recorded[0], names) if theirs else names)
    outputs = keras.tree.flatten(tracer.walk(*recorded, traced=new))
    return tracer.finish(outputs, names), tracer


def native(obj, inputs, precision: str = "float32") -> dict[str, np.ndarray]:
    """What Keras itself computes for arrays by input name, in inference mode on the CPU.

    With `precision` "float64" the model is rebuilt in float64 with the same weights.
    """
    from . import keras_run

    return keras_run.native(obj, inputs, precision)


def taps(obj, inputs, precision: str = "float32") -> dict[str, np.ndarray]:
    """What Keras computes on the way, by the names of the tensors of `emit(obj, example=inputs)`.

    Those are left out that Keras does not make, as the input of a layer's own activation.
    """
    from . import keras_run

    return keras_run.taps(obj, inputs, precision)


def maker_name(tensor) -> str:
    """The name of the layer or operation that makes a symbolic tensor: an input's InputLayer."""
    return tensor._keras_history.operation.name


def output_names(keras, graph, traced: bool) -> tuple[list[str], bool]:
    """Names for the flat outputs of a graph, and whether they are those of the layers behind them.

    "y" alone, keys of a dict, the layers' own in a list, "y_0", "y_1", ... in what was traced.
    """
    paths = paths_of(keras, graph._outputs_struct)
    theirs = len(paths) > 1 and not traced and not isinstance(graph._outputs_struct, dict)
    inputs = [] if traced else [maker_name(t) for t in graph._inputs]
    names = [_own_name(t) for t in graph._outputs] if theirs else leaf_names(paths)
    return claim(inputs, names), theirs


def _several_calls(graph, names: list[str]) -> list[str]:
    """Those of the outputs' names that another call of a shared layer would take first."""
    called = [node.operation for nodes in graph._nodes_by_depth.values() for node in nodes]
    makers = [tensor._keras_history.operation for tensor in graph._outputs]
    return [name for name, maker in zip(names, makers) if sum(op is maker for op in called) > 1]


def _own_name(tensor) -> str:
    """The name of an output: its maker's, with a number where that makes several."""
    index = tensor._keras_history.tensor_index
    return maker_name(tensor) + (f".out_{index}" if index else "")


def paths_of(keras, structure) -> list[tuple]:
    return [path for path, _ in keras.tree.flatten_with_path(structure)]


def inference_mode(obj) -> dict:
    """`training=False` for a call that knows the word."""
    return {"training": False} if obj._call_has_training_arg else {}


def _record(tracer, obj, binding: Binding, shapes: dict):
    """The graph of an object that brings none, and the values for its inputs; None if refused."""
    from .keras_trace import graph_of

    values = {name: tracer.input(name, shapes[name], binding.arrays[name].dtype.name)
              for name in binding.names}
    own = graph_of(obj)
    if own is not None:
        return own, list(values.values())
    args, named = binding.arguments(values)
    alone = tracer.handler(obj) is not None
    return tracer.record((lambda *a, **k: obj(*a, **k)) if alone else obj, args, named, "")


def _binding_of(obj, example) -> Binding:
    """The inputs of a call: those of the example, or of the call that built the object."""
    if example is not None:
        return bind(obj.call, example)
    config = obj.get_build_config() if obj.built else None
    shape = (config or {}).get("input_shape")
    if not shape or not all(isinstance(size, (int, type(None))) for size in shape):
        raise BridgeError(f"{obj.name} ({type(obj).__name__}) does not say the shapes of its "
                          "inputs: give an example of them")
    return bind(obj.call, np.zeros([size or 1 for size in shape], "float32"))


def _shapes(binding: Binding, free: bool) -> dict[str, tuple]:
    """The shapes of inputs, the first axis of each free, and if `free` all others but the last one
    of floats, which weights were made for."""
    def shape_of(array) -> tuple:
        if array.ndim < 2:
            return array.shape
        last = array.ndim - (array.dtype.kind not in "iub")
        return (None, *(None if free and axis < last else size
                        for axis, size in enumerate(array.shape) if axis))
    return {name: shape_of(array) for name, array in binding.arrays.items()}
