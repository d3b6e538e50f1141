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
from . import keras_ops, keras_recurrent, layout
from .keras_call import Call, Value
from .signature import one_line

supported = keras_ops.supported

INERT = {"__module__", "__qualname__", "__doc__", "__init__", "__annotations__", "get_config",
         "from_config", "__firstlineno__", "__static_attributes__"}
"""What a subclass may define and still compute as its parent does."""


MASKS = ("mask", "query_mask", "key_mask", "value_mask")
"""Arguments of Keras's layers that no handler knows."""

STEERING = (*MASKS, "attention_mask", "training", "return_attention_scores", "use_causal_mask")
"""Arguments of Keras's layers that handlers want by name."""


@dataclass
class Walk:
    """One graph that was walked: the values for its inputs, and of each symbolic tensor in it."""

    graph: object
    inputs: list[Value]
    known: list[tuple[object, Value]] = field(default_factory=list)


class Tracer:
    """Turns symbolic graphs into nodes of `builder`.

    `walks` holds what was walked, outer graphs before those inside them; `turned` says of nodes'
    tensors that no operation of Keras makes what they are: (tensor, what it is of, permutation).
    """

    def __init__(self, keras, builder: Builder):
        self.keras = keras
        self.builder = builder
        self.table = keras_ops.table(keras)
        self.variables: dict[int, Value] = {}
        self.walks: list[Walk] = []
        self.turned: list[tuple[str, str, list[int]]] = []
        self.flips: list[tuple] = []

    def input(self, name: str, shape, dtype: str) -> Value:
        """An input of the network; its first axis is "batch" where Keras leaves it open."""
        ident = re.sub(r"\W", "_", name)
        sizes = [(f"{ident}_{axis}" if axis else "batch") if size is None else int(size)
                 for axis, size in enumerate(shape)]
        kind = "bool" if dtype == "bool" else "int64" if "int" in dtype else "float32"
        return Value(self.builder.input(name, kind, sizes), tuple(sizes), dtype)

    def walk(self, graph, values: list[Value], prefix: str = "", *, traced=False, only: str = ""):
        """Emit the nodes of a `keras.Function` for `values` as its inputs; its outputs, structured.

        In a graph that was `traced` here, operations are named for what they do: Keras numbered
        them while tracing.  With `only`, a graph of one operation gives its node that name.
        """
        known = {id(t): value for t, value in zip(graph._inputs, values)}
        walk = Walk(graph, values)
        self.walks.append(walk)
        nodes = [node for depth in sorted(graph._nodes_by_depth, reverse=True)
                 for node in graph._nodes_by_depth[depth] if not node.is_input]
        masks = _masks(nodes)
        for node in nodes:
            if masks.issuperset(map(id, node.output_tensors)):
                known.update((id(t), Value("", (), t.dtype, True)) for t in node.output_tensors)
                continue
            path = only if only and len(nodes) == 1 else self._path(node.operation, prefix, traced)
            made = self.keras.tree.flatten(self.apply(node, path, known))
            known.update((id(t), value) for t, value in zip(node.output_tensors, made))
            walk.known += zip(node.output_tensors, made)
        return self.keras.tree.map_structure(lambda t: known[id(t)], graph._outputs_struct)

    def apply(self, node, path: str, known: dict):
        """Emit one call of the graph; its value or values."""
        def known_of(item):
            return known[id(item)] if isinstance(item, self.keras.KerasTensor) else item

        fill = self.keras.tree.map_structure
        kwargs = {key: item for key, item in node.arguments.kwargs.items()
                  if item is not None and not (key == "training" and item is False)}
        args, kwargs = by_name(node.operation, list(node.arguments.args), kwargs)
        call = Call(self, path, node.operation, fill(known_of, args), fill(known_of, kwargs),
                    node.output_tensors)
        problem = self._problem(call)
        if problem:
            return call.refuse(problem)
        padded = next((v for v in call.tensors() if v.pads), None)
        if padded and self.handler(call.operation) and not self._flag(call, "takes_zeros"):
            return self.refuse_zeros(call, padded)
        made = self.emit(call)
        masked = self._mask_behind(call)
        for value in self.keras.tree.flatten(made) if masked else ():
            value.masked = masked
        return made

    def refuse_zeros(self, call: Call, x: Value):
        """Refuse the ZeroPadding layer whose zeros a call cannot take in."""
        path, cls = x.padded_by
        self.builder.refuse(path, cls, "zeros that no convolution takes in")
        return call.broken()

    def finish(self, outputs: list[Value], names: list[str]):
        """The graph with these outputs under these names; the values of all walks keep in step.

        Pairs of transposes between channels-last layers go.
        """
        for value in outputs:
            if value.pads:
                self.builder.refuse(*value.padded_by, "zeros that no convolution takes in")
            elif value.broken and not self.builder.problems:
                self.builder.refuse("the model", "Model", "returns a mask")
        keras_recurrent.keep_one_order(self.builder.graph, self.flips, [v.name for v in outputs])
        graph = self.builder.finish([value.name for value in outputs], names)
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

    def _mask_behind(self, call: Call) -> str:
        """Which layer's mask travels on behind a call; an operation that is no layer loses it."""
        operation = call.operation
        if getattr(operation, "mask_zero", False):
            return call.path
        if not getattr(operation, "supports_masking", False):
            return ""
        return next((v.masked for v in call.tensors() if v.masked), "")

    def _flag(self, call: Call, name: str) -> bool:
        return getattr(self.handler(call.operation), name, False)

    def emit(self, call: Call):
        """Emit a call by the table, by the graph it brings, or by tracing it."""
        operation = call.operation
        handler = self.handler(operation)
        if handler:
            if not call.args:  # a layer called as layer(inputs=x)
                call.args.append(call.kwargs.pop(next(iter(call.kwargs))))
            return handler(call)
        if isinstance(operation, self.keras.Layer):
            graph = graph_of(operation)
            if graph is not None:
                values = self._inputs_of(graph, call)
                return self.walk(graph, values, call.path) if values else \
                    call.refuse("inputs under other names than the model's")
        elif type(operation).__module__.startswith("keras."):
            return call.refuse(f"keras.ops.{_snake(type(operation).__name__)}")
        return self.expand_call(call)

    def _inputs_of(self, graph, call: Call) -> list[Value] | None:
        """The values for a nested model's inputs: in order, or by the names in a dict."""
        given = call.args[0] if call.args else None
        if not isinstance(given, dict):
            return call.tensors()
        own = graph._inputs_struct
        names = sorted(own) if isinstance(own, dict) else \
            [t._keras_history.operation.name for t in graph._inputs]
        return [given[name] for name in names] if set(names) == set(given) else None

    def handler(self, operation):
        """The table's entry for an operation; a subclass that adds no behaviour is its parent."""
        for cls in type(operation).__mro__:
            if cls in self.table:
                return self.table[cls]
            if set(vars(cls)) - INERT:
                return None
        return None

    def expand_call(self, call: Call):
        """Trace a call; a layer of Keras's own that fails is one problem, not those inside it."""
        before = len(self.builder.problems)
        made = self.expand(call.operation, call.args, call.kwargs, call.path)
        cls = type(call.operation)
        if len(self.builder.problems) > before and cls.__module__.startswith("keras."):
            del self.builder.problems[before:]
            return call.refuse(f"keras.layers.{cls.__name__}")
        return made if made is not None else call.broken()

    def expand(self, operation, args, kwargs, path: str, only: str = ""):
        """Trace the call of a layer, or a function, and emit what it does; None if that fails."""
        recorded = self.record(operation, args, kwargs, path)
        return recorded and self.walk(*recorded, path, traced=True, only=only)

    def record(self, operation, args, kwargs, path: str):
        """The graph of a layer's call, or of a function, and the values for its inputs."""
        function = getattr(operation, "call", operation)
        values, symbols = [], []

        def symbol_of(item):
            if not isinstance(item, Value):
                return item
            values.append(item)
            sizes = [size if isinstance(size, int) else None for size in item.shape]
            symbols.append(self.keras.Input(batch_shape=sizes, dtype=item.dtype))
            return symbols[-1]

        fill = self.keras.tree.map_structure
        args, kwargs = fill(symbol_of, list(args)), fill(symbol_of, dict(kwargs))
        if getattr(operation, "_call_has_training_arg", False):
            kwargs["training"] = False
        try:
            return self.keras.Function(symbols, function(*args, **kwargs)), values
        except Exception as error:  # any error of the user's own code may come
            self.builder.refuse(path or "the model", type(operation).__name__, _why(error))
            return None

    def value(self, item, dtype: str, path: str) -> Value:
        """An operand as a value: variables, arrays and numbers become constants."""
        if isinstance(item, Value):
            return item
        if isinstance(item, self.keras.Variable):
            if id(item) not in self.variables:
                array = self.keras.ops.convert_to_numpy(item.value)
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

    def _path(self, operation, prefix: str, traced: bool) -> str:
        """Where a call stands: layers by name; calls in traced code by what they do."""
        name = operation.name
        if traced and not isinstance(operation, self.keras.Layer):
            name = _snake(type(operation).__name__)
        return f"{prefix}.{name}" if prefix else name

    def _problem(self, call: Call) -> str:
        """What forbids any call, whatever its operation: training, masks, precision, integers."""
        operation, values = call.operation, call.tensors()
        if call.kwargs.get("training"):
            return "training=True"
        mask = next((v.masked for v in values if v.masked), "")
        if mask and self._uses_masks(operation):
            return f"uses the mask that {mask} makes"
        given = next((key for key in MASKS if any(
            item is not None for item in self.keras.tree.flatten(call.kwargs.get(key)))), "")
        if given and not mask and (self.handler(operation) or graph_of(operation) is not None):
            return f"is given a mask ({given})"
        policy = getattr(operation, "dtype_policy", None)
        if policy is not None and policy.compute_dtype != policy.variable_dtype:
            return f"computes in {policy.compute_dtype} on {policy.variable_dtype} weights"
        if getattr(operation, "quantization_mode", None):
            return f"quantized to {operation.quantization_mode}"
        if getattr(operation, "lora_enabled", False):
            return "LoRA weights beside the kernel: merge them first"
        if self._flag(call, "any_dtype") or graph_of(operation) is not None:
            return ""
        dtypes = {t.dtype for t in call.symbols}
        if not isinstance(operation, self.keras.Layer):
            dtypes |= {value.dtype for value in values}
        odd = sorted(d for d in dtypes if "float" not in d)
        return f"works on {', '.join(odd)} values" if odd else ""


    def _uses_masks(self, operation) -> bool:
        """Whether a layer works otherwise on a value that has a mask."""
        attention = (self.keras.layers.MultiHeadAttention, self.keras.layers.GroupQueryAttention)
        return isinstance(operation, attention) or getattr(operation, "_call_has_mask_arg", False) \
            and graph_of(operation) is None


def _masks(nodes) -> set[int]:
    """The symbolic tensors that are masks of others, which travel by themselves."""
    found = (getattr(t, "_keras_mask", None) for node in nodes for t in node.output_tensors)
    return {id(mask) for mask in found if mask is not None}


def by_name(operation, args: list, kwargs: dict) -> tuple[list, dict]:
    """The arguments of a call of a layer with those that steer it, wherever they stand, by name."""
    names = list(inspect.signature(getattr(operation, "call", operation)).parameters)
    first = next((n for n, name in enumerate(names) if name in STEERING), len(args))
    more = {key: item for key, item in zip(names[first:], args[first:])
            if item is not None and not (key == "training" and item is False)}
    return args[:first], {**kwargs, **more}


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


def _why(error: Exception) -> str:
    """One line on code that symbolic tensors cannot run."""
    line = one_line(error)
    if "KerasTensor" in line and "TensorFlow" in line:
        return "calls TensorFlow directly: use keras.ops"
    return f"its call cannot be traced: {line}"
