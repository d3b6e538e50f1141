"""Walks a Keras model: every layer and every `keras.ops` call becomes nodes of the graph.

`keras.Function` over symbolic tensors records the calls.  An operation of the table of
`keras_ops.py` is emitted; a nested model is walked through its own graph; the call of anything else
is traced in the same way.  What is left over is noted, and the walk goes on, so that one refusal
names everything.  The nodes are read from `_nodes_by_depth`, which Keras does not promise to keep:
`tests/test_keras.py` pins it.
"""

from __future__ import annotations

import inspect
import re
import sys
from dataclasses import dataclass, field

import numpy as np

from ..graph import Builder
from . import keras_masks, keras_ops, keras_recurrent, keras_variables, layout
from .keras_call import Call, Value, kind
from .keras_masks import MASKS
from .signature import one_line

supported = keras_ops.supported

INERT = {"__module__", "__qualname__", "__doc__", "__init__", "__annotations__", "get_config",
         "from_config", "__firstlineno__", "__static_attributes__"}
"""What a subclass may define and still compute as its parent does."""

STEERING = (*MASKS, "attention_mask", "training", "return_attention_scores", "use_causal_mask")
"""Arguments of Keras's layers that handlers want by name."""


@dataclass
class Walk:
    """One graph that is walked: the values for its inputs, its `nodes` in the order in which they
    were emitted, and the value of each symbolic tensor in it.

    In a graph that was `traced` here, operations are named for what they do: Keras numbered them
    while tracing.  `live`: its calls took the masks of their arguments while it was traced, as they
    do when they run; else the masks stand in the graph.
    """

    graph: object
    inputs: list[Value]
    prefix: str
    traced: bool
    live: bool
    nodes: list = field(default_factory=list)
    known: list[tuple[object, Value]] = field(default_factory=list)
    values: dict[int, Value] = field(default_factory=dict)

    def __post_init__(self):
        self.values.update((id(t), v) for t, v in zip(self.graph._inputs, self.inputs))

    def knows(self, node) -> bool:
        return all(id(t) in self.values for t in node.output_tensors)

    def learn(self, node, made) -> None:
        self.nodes.append(node)
        self.values.update((id(t), value) for t, value in zip(node.output_tensors, made))
        self.known += zip(node.output_tensors, made)


class Tracer:
    """Turns symbolic graphs into nodes of `builder`.

    `walks` holds what was walked, outer graphs before those inside them; `turned` says of nodes'
    tensors that no operation of Keras makes what they are: (tensor, what it is of, permutation).
    `limited`: inputs have axes of fixed sizes that one would expect to be free.
    """

    limited = False

    def __init__(self, keras, builder: Builder, variables=()):
        self.keras = keras
        self.paths = keras_variables.names_of(variables)
        self.arrays: dict[int, np.ndarray] = {}
        self.builder = builder
        self.table = keras_ops.layers_of(keras)
        self.operations = keras_ops.operations(keras)
        self.written = keras_ops.written_activations(keras)
        self.variables: dict[int, Value] = {}
        self.walks: list[Walk] = []
        self.turned: list[tuple[str, str, list[int]]] = []
        self.flips: list[tuple] = []
        self.packed: dict[str, keras_masks.Packed] = {}

    def input(self, name: str, shape, dtype: str) -> Value:
        """An input of the network; its first axis is "batch" where Keras leaves it open."""
        ident = re.sub(r"\W", "_", name)
        sizes = [(f"{ident}_{axis}" if axis else "batch") if size is None else int(size)
                 for axis, size in enumerate(shape)]
        return Value(self.builder.input(name, kind(dtype), sizes), tuple(sizes), dtype)

    def walk(self, graph, values: list[Value], prefix: str = "", *, traced=False, live=None,
             only: str = ""):
        """Emit the nodes of a `keras.Function` for `values` as its inputs; its outputs, structured.

        With `only` the operation that makes the graph's one output is called so.
        """
        walk = Walk(graph, values, prefix, traced, traced if live is None else live)
        self.walks.append(walk)
        last = graph._outputs[0]._keras_history.operation if only and len(graph._outputs) == 1 \
            else None
        self.steps(walk, graph, last, only)
        return self.keras.tree.map_structure(lambda t: walk.values[id(t)], graph._outputs_struct)

    def steps(self, walk: Walk, graph, last=None, only: str = "") -> None:
        """Emit those nodes of a graph over the inputs of a walk that the walk does not know yet."""
        for depth in sorted(graph._nodes_by_depth, reverse=True):
            for node in graph._nodes_by_depth[depth]:
                if node.is_input or walk.knows(node):
                    continue
                whole = node.operation is last and node.output_tensors[0] is graph._outputs[0]
                path = only if whole else self._path(node.operation, walk.prefix, walk.traced)
                lost = keras_masks.are_lost(walk, node)
                made = self.keras.tree.flatten(self.apply(node, path, walk))
                made = keras_masks.attach(self, walk, node, made, lost)
                walk.learn(node, made)

    def apply(self, node, path: str, walk: Walk):
        """Emit one call of the graph; its value or values."""
        known = walk.values

        def known_of(item):
            return known[id(item)] if isinstance(item, self.keras.KerasTensor) else item

        fill = self.keras.tree.map_structure
        kwargs = {key: item for key, item in node.arguments.kwargs.items()
                  if item is not None and not (key == "training" and item is False)}
        args, kwargs = by_name(node.operation, list(node.arguments.args), kwargs)
        if walk.live:
            kwargs = keras_masks.without_lost(self.keras, known, args, kwargs)
            node.arguments.kwargs.update({key: kwargs[key] for key in MASKS if key in kwargs
                                          and key in node.arguments.kwargs})  # as taps run it
        call = Call(self, path, node.operation, fill(known_of, args), fill(known_of, kwargs),
                    node.output_tensors)
        if isinstance(node.operation, self.keras.Layer):
            keras_masks.populate(call)
        problem = self._problem(call)
        return call.refuse(problem) if problem else self.emit(call)

    def finish(self, outputs: list[Value], names: list[str]):
        """The graph with these outputs under these names; the values of all walks keep in step.

        Nodes that nobody reads go, and pairs of transposes between channels-last layers.
        """
        keras_recurrent.keep_one_order(self.builder.graph, self.flips, [v.name for v in outputs])
        graph = self.builder.finish([value.name for value in outputs], names)
        layout.drop_unread(graph)
        now = self.builder.renamed
        for value in {id(v): v for walk in self.walks for _, v in walk.known}.values():
            value.name = now.get(value.name, value.name)
        self.turned += [(name, value.name, list(range(len(value.shape))))
                        for value, name in zip(outputs, names) if name != value.name]
        self.turned = [(now.get(a, a), now.get(b, b), perm) for a, b, perm in self.turned]
        return layout.cancel_transposes(
            graph, {value.name for walk in self.walks for _, value in walk.known})

    def is_turned(self, made: Value, of: Value, perm) -> None:
        """Note that one value is another with its axes in the order `perm`."""
        self.turned.append((made.name, of.name, list(perm)))

    def emit(self, call: Call):
        """Emit a call by the table, by the graph it brings, or by tracing it."""
        operation = call.operation
        handler = self.handler(operation)
        if handler:
            if not call.args:  # a layer called as layer(inputs=x)
                call.args.append(call.kwargs.pop(next(iter(call.kwargs))))
            return handler(call)
        if isinstance(operation, self.keras.Layer):
            if graph_of(operation) is not None:
                return self._nested(call, graph_of(operation))
        elif is_keras(type(operation)):
            return call.refuse(f"keras.ops.{_snake(type(operation).__name__)}")
        return self.expand_call(call)

    def _nested(self, call: Call, graph):
        """Walk the graph that a model brings; masks that come in change what its layers do."""
        values = self._inputs_of(graph, call)
        if not values:
            return call.refuse("inputs under other names than the model's")
        values = keras_masks.given(self.keras, values, call.kwargs)
        if not any(value.mask for value in values):
            return self.walk(graph, values, call.path)
        recorded = self.record(lambda *symbols: graph._run_through_graph(symbols), values, {},
                               call.path)
        if recorded is None:
            return call.broken()
        return self.walk(*recorded, call.path, live=True)

    def _inputs_of(self, graph, call: Call) -> list[Value] | None:
        """The values for a nested model's inputs: in order, or by the names in a dict."""
        given = call.args[0] if call.args else None
        if not isinstance(given, dict):
            return [item for item in self.keras.tree.flatten(call.args) if isinstance(item, Value)]
        own = graph._inputs_struct
        names = sorted(own) if isinstance(own, dict) else \
            [t._keras_history.operation.name for t in graph._inputs]
        return [given[name] for name in names] if set(names) == set(given) else None

    def handler(self, operation):
        """The table's entry for an operation; a subclass that adds no behaviour is its parent."""
        if not isinstance(operation, self.keras.Layer):
            cls = type(operation)
            return self.operations.get(cls.__name__) if is_keras(cls) else None
        for cls in type(operation).__mro__:
            if cls in self.table:
                return self.table[cls]
            if set(vars(cls)) - INERT:
                return None
        return None

    def expand_call(self, call: Call):
        """Trace a call; a layer of Keras's own that fails is one problem, not those inside it."""
        before = len(self.builder.problems)
        own = is_keras(type(call.operation))
        made = self.expand(call.operation, call.args, call.kwargs, call.path,
                           only=call.path if own else "")
        if len(self.builder.problems) > before and own:
            why = self.builder.problems[before].operation
            del self.builder.problems[before:]
            return call.refuse(f"keras.layers.{type(call.operation).__name__}: {why}")
        return made if made is not None else call.broken()

    def expand(self, operation, args, kwargs, path: str, only: str = ""):
        """Trace the call of a layer, or a function, and emit what it does; None if that fails."""
        recorded = self.record(operation, args, kwargs, path)
        return recorded and self.walk(*recorded, path, traced=True, only=only)

    def record(self, operation, args, kwargs, path: str):
        """The graph of a layer's call, or of a function, and the values for its inputs."""
        function = getattr(operation, "call", operation)
        function = next((new for old, new in self.written if function is old), function)
        values, symbols = [], []

        def symbol_of(item):
            if not isinstance(item, Value):
                return item
            values.append(item)
            symbol = self.symbol(item)
            symbols.append(symbol)
            if item.mask and not item.lost:
                values.append(item.mask())
                symbols.append(self.symbol(values[-1]))
                symbol._keras_mask = symbols[-1]
            return symbol

        fill = self.keras.tree.map_structure
        args, kwargs = fill(symbol_of, list(args)), fill(symbol_of, dict(kwargs))
        if getattr(operation, "_call_has_training_arg", False):
            kwargs["training"] = False
        try:
            with keras_variables.symbolic(self.keras):
                outputs = function(*args, **kwargs)
            return keras_variables.function(self.keras, symbols, outputs), values
        except Exception as error:  # any error of the user's own code may come
            free = any(None in symbol.shape[1:] for symbol in symbols)
            self.builder.refuse(path or "the model", type(operation).__name__, _why(error, free))
            return None

    def symbol(self, value: Value):
        """A symbolic tensor that stands for a value."""
        sizes = [size if isinstance(size, int) else None for size in value.shape]
        return self.keras.Input(batch_shape=sizes, dtype=value.dtype)

    def value(self, item, dtype: str, path: str) -> Value:
        """An operand as a value: variables, arrays and numbers become constants."""
        if isinstance(item, Value):
            return item
        if isinstance(item, self.keras.Variable):
            if id(item) not in self.variables:
                array = self.array(item)
                name = self.builder.constant(dotted(item.path), array, source=item.path)
                self.variables[id(item)] = Value(name, array.shape, dtype)
            return self.variables[id(item)]
        number = isinstance(item, (bool, int, float))
        array = np.asarray(item if number else self.keras.ops.convert_to_numpy(item))
        if "float" not in dtype:
            array = array.astype("bool" if dtype == "bool" else "int64")
        elif number or array.dtype.kind != "f":
            array = array.astype(dtype if dtype == "float64" else "float32")
        return Value(self.builder.constant(path + ".constant", array), array.shape, dtype)

    def array(self, item) -> np.ndarray:
        """What a variable or a tensor holds; a variable is copied once, of which weights are views."""
        if id(item) not in self.paths:
            return self.keras.ops.convert_to_numpy(item)
        if id(item) not in self.arrays:
            array = self.keras.ops.convert_to_numpy(item)
            self.arrays[id(item)] = self.builder.origin(self.paths[id(item)], array)
        return self.arrays[id(item)]

    def _path(self, operation, prefix: str, traced: bool) -> str:
        """Where a call stands: layers by name; calls in traced code by what they do."""
        name = operation.name
        if traced and not isinstance(operation, self.keras.Layer):
            name = _snake(type(operation).__name__)
        return f"{prefix}.{name}" if prefix else name

    def _problem(self, call: Call) -> str:
        """What forbids any call, whatever its operation: training, masks, precision, integers."""
        operation, values = call.operation, call.tensors()
        handler, nested = self.handler(operation), graph_of(operation) is not None
        if call.kwargs.get("training") and not getattr(handler, "any_mode", False):
            return "training=True"
        given = next((key for key in MASKS if any(
            item is not None for item in self.keras.tree.flatten(call.kwargs.get(key)))), "")
        layer = isinstance(operation, self.keras.Layer)
        if given and layer and handler and not getattr(handler, "takes_mask", False):
            return f"is given a mask ({given})"
        policy = getattr(operation, "dtype_policy", None)
        if policy is not None and policy.compute_dtype != policy.variable_dtype:
            return f"computes in {policy.compute_dtype} on {policy.variable_dtype} weights"
        if getattr(operation, "quantization_mode", None):
            return f"quantized to {operation.quantization_mode}"
        if getattr(operation, "lora_enabled", False):
            return "LoRA weights beside the kernel: merge them first"
        if getattr(handler, "any_dtype", False) or handler is None or nested:
            return ""
        dtypes = {t.dtype for t in call.symbols}
        if not layer:
            dtypes |= {value.dtype for value in values}
        odd = sorted(d for d in dtypes if "float" not in d)
        return f"works on {', '.join(odd)} values" if odd else ""


def by_name(operation, args: list, kwargs: dict) -> tuple[list, dict]:
    """The arguments of a call of a layer with those that steer it, wherever they stand, by name."""
    names = list(inspect.signature(getattr(operation, "call", operation)).parameters)
    first = next((n for n, name in enumerate(names) if name in STEERING), len(args))
    more = {key: item for key, item in zip(names[first:], args[first:])
            if item is not None and not (key == "training" and item is False)}
    return args[:first], {**kwargs, **more}


def is_keras(cls) -> bool:
    """Whether a class is one of Keras's own."""
    return cls.__module__.startswith("keras.")


def dotted(path: str) -> str:
    """A variable's path as a node name."""
    return path.replace("/", ".")


def graph_of(model):
    """The graph that a Sequential or Functional model brings; None if its call must be traced."""
    keras = sys.modules["keras"]
    owner = next(c for c in type(model).__mro__ if "call" in vars(c))
    if not owner.__module__.startswith("keras."):
        return None
    if isinstance(model, keras.Sequential):
        return model._functional if model.built else None
    return model if isinstance(model, keras.Function) else None


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def _why(error: Exception, free: bool) -> str:
    """One line on code that symbolic tensors cannot run; `free`: some have sizes that are open."""
    line = one_line(error)
    if "KerasTensor" in line and "TensorFlow" in line:
        return "calls TensorFlow directly: use keras.ops"
    if free and "None" in line:
        return f"its call wants a size that is free: give the network a fixed one ({line})"
    return f"its call cannot be traced: {line}"
