"""The walk over an exported PyTorch program that makes a graph of it, call by call.

A handler takes (translator, fx node, *the node's arguments) and returns the name of the tensor that
it made, or a list of names; it raises `Refused` with a reason where the arguments go beyond the
vocabulary.  `torch_ops.OPERATIONS` has one for each ATen operation, `torch_modules` those of leaves.
"""

from __future__ import annotations

import collections
import re
from dataclasses import dataclass

import numpy as np
import torch
from torch.fx import Node as FxNode

from ..graph import Builder, Graph
from .torch_dims import Refused, expression, size_of
from .torch_leaves import TARGET
from .torch_sizes import Sizes, behind, evaluate, free_symbols, is_drawn, is_tensor_call

CHECKS = re.compile(r"aten\.(_assert|sym_constrain|_assert_tensor_metadata)")
"""Operations that compute nothing."""

NUMPY = {torch.float64: "float64", torch.float32: "float32", torch.float16: "float16",
         torch.bfloat16: "bfloat16", torch.int64: "int64", torch.int32: "int32",
         torch.int16: "int16", torch.int8: "int8", torch.uint8: "uint8", torch.bool: "bool"}


TURNS = re.compile(r"aten\.(t|transpose|permute|numpy_T|alias|clone|detach|lift_fresh_copy)\.")
"""Operations that leave a stored weight a stored weight: at most its axes change places."""

NARROW = (torch.uint8, torch.int8, torch.int16)

WRAPS = re.compile(r"aten\.(abs|add|addcmul|arange|cumsum|div|floor_divide|matmul|mm|bmm|mul|neg|pow|"
                   r"rsub|square|sub|sum)\.")
"""Operations whose results may not fit into the integers that they are of."""

SILENT = re.compile(r"getitem|aten\.(alias|clone|detach|lift_fresh_copy)\.")
"""Calls that make no tensor of their own."""

SCALARS = {"sym_float": None, "truediv": "div", "mul": "mul", "add": "add", "sub": "sub",
           "pow": "pow", "_sym_sqrt": "sqrt", "sym_sqrt": "sqrt", "neg": "neg"}
"""What Python computes with sizes as floats, and the stream's word for it."""


@dataclass(frozen=True)
class Weight:
    """A parameter or buffer that no node holds yet; `transposed` swaps its two axes."""

    source: str
    transposed: bool = False


class Translator:
    """Walks an exported program and builds the graph, noting all that it has no word for.

    `handlers` has a handler for each ATen operation that has one, by its name; `evaluated` says of
    weights that no parameter of the module holds what they were computed from.  `fixed` says of
    sizes which operations want them as numbers, `assumed` are those that the graph takes for more than 1.
    """

    def __init__(self, builder: Builder, program, model, handlers: dict, evaluated=None):
        self.builder = builder
        self.program = program
        self.model = model
        self.handlers = handlers
        self.stored = {**program.constants, **program.state_dict}
        self.values: dict[str, object] = {}
        self.constants: dict[Weight, str] = {}
        self.symbols: dict[object, str] = {}
        self.moved: dict[tuple, str] = {}
        self.casts: dict[tuple, str] = {}
        self.evaluated = dict(evaluated or {})
        self._origins()
        self.alive: list = []
        self.fixed: dict[object, set[str]] = {}
        self.assumed: set = set()

    def _origins(self) -> None:
        """Tell the builder what the module's state dict holds, tied parameters under their first names."""
        held: dict[tuple, tuple] = {}
        for name, tensor in self.model.state_dict(keep_vars=True).items():
            if isinstance(tensor, torch.Tensor) and tensor.layout is torch.strided and \
                    tensor.dtype in NUMPY and name not in self.evaluated:
                same = tensor.data_ptr(), tensor.shape, tensor.stride(), tensor.dtype
                held.setdefault(same, (tensor, []))[1].append(name)
        for tensor, names in held.values():
            self.builder.origin(names[0], stored(tensor)[0], names[1:])

    def run(self, names: list[str], outputs: dict[str, str]) -> Graph:
        """The graph with inputs called `names` and outputs (output name to fx node name)."""
        self._inputs(names)
        reserved = self.builder.reserve(outputs)
        self._mutations()
        self.program.graph_module.graph.eliminate_dead_code()
        calls = [node for node in self.program.graph.nodes if node.op == "call_function"
                 and is_tensor_call(node) and not CHECKS.match(str(node.target))]
        self.counts = collections.Counter(map(innermost, calls))
        self.last = {innermost(node): node for node in calls if not SILENT.search(str(node.target))}
        for node in calls:
            self._call(node)
        made = []
        for name in outputs.values():
            made.append(self._own_name(self._output(self._fx(name)), self._fx(name), made))
        return self.builder.finish(made, reserved)

    def _own_name(self, made: str, node: FxNode, others: list[str]) -> str:
        """The tensor itself, or a copy where it is an input or another result and no floats."""
        inputs = [item.name for item in self.builder.graph.inputs]
        if made not in (*inputs, *others) or kind(node.meta["val"].dtype) == "float32":
            return made
        return self.builder.node(f"{made}_is", "cast", [made], {"to": kind(node.meta["val"].dtype)})

    def _output(self, node: FxNode) -> str:
        """The tensor that a result of the network is; "?" where it has no word."""
        try:
            return self.tensor(node, None)
        except Refused as reason:
            self.builder.refuse(*(reason.problem or ("the model", type(self.model).__name__,
                                                     f"a result with {reason}")))
            return "?"

    def _inputs(self, names: list[str]) -> None:
        signature = self.program.graph_signature
        weights = {**signature.inputs_to_parameters, **signature.inputs_to_buffers,
                   **signature.inputs_to_lifted_tensor_constants}
        users = []
        for node in self.program.graph.nodes:
            if node.op == "placeholder" and node.name in weights:
                self.values[node.name] = Weight(weights[node.name])
            elif node.op == "placeholder":
                users.append(node)
        for node in users:
            self._name_symbols(node.meta["val"].shape)
        for name, node in zip(names, users):
            value = node.meta["val"]
            self.values[node.name] = self.builder.input(name, value_dtype(value),
                                                        self.dims(value.shape))

    def _name_symbols(self, shape) -> None:
        for axis, size in enumerate(shape):
            if isinstance(size, torch.SymInt):
                for symbol in sorted(size.node.expr.free_symbols, key=str):
                    if symbol not in self.symbols:
                        self.symbols[symbol] = self._dim_name(axis)

    def _dim_name(self, axis: int) -> str:
        if axis == 0 and "batch" not in self.symbols.values():
            return "batch"
        return f"d{len([n for n in self.symbols.values() if n != 'batch']) + 1}"

    def _mutations(self) -> None:
        for which in ("buffers_to_mutate", "user_inputs_to_mutate", "parameters_to_mutate"):
            for changed in getattr(self.program.graph_signature, which, {}).values():
                self.builder.refuse(changed, type(self.model).__name__, "changed by forward")

    def _call(self, node: FxNode) -> None:
        """Translate one call; what has no word becomes a problem, and the walk goes on."""
        self.values[node.name] = None
        if self._of_sizes(node):
            self.values[node.name] = Sizes(node)
            return
        try:
            self.values[node.name] = self.made(node)
        except Refused as reason:
            for size in reason.sizes:
                self.fixed.setdefault(size, set()).add(reason.problem[2].split(" with ")[0])
            self.builder.refuse(*reason.problem)

    def made(self, node: FxNode):
        """What the handler of a call makes; a `Refused` says which call is at fault."""
        path, cls = self.module_of(node)
        operation = operation_name(node)
        if str(node.target) not in self.handlers:
            raise Refused("", (path, cls, operation))
        try:
            refuse_wrapping(node)
            return self.handlers[str(node.target)](self, node, *node.args, **node.kwargs)
        except Refused as reason:
            told = reason.problem or (path, cls, f"{operation} with {reason}")
            raise Refused(str(reason), told, reason.sizes) from None

    def _of_sizes(self, node: FxNode) -> bool:
        """Whether no input's values reach a call; one that turns a stored matrix is done at once."""
        inputs = [n for n in node.all_input_nodes if is_tensor_call(n)]
        known = [self.values.get(n.name) for n in inputs]
        if is_drawn(node) or str(node.target) == TARGET:
            return False
        if not all(isinstance(v, (Sizes, Weight)) for v in known):
            return False
        return not (TURNS.match(str(node.target)) and isinstance(known[0], Weight)
                    and inputs[0].meta["val"].ndim <= 2)

    def _fx(self, name: str) -> FxNode:
        return next(n for n in self.program.graph.nodes if n.name == name)

    def stack(self, node: FxNode) -> list[str]:
        """Paths of the modules whose forward made the call, outermost first."""
        entries = node.meta.get("nn_module_stack") or {}
        return [re.sub(r"@\d+", "", path) for path, _ in entries.values()]

    def module_of(self, node: FxNode) -> tuple[str, str]:
        """(path, class name) of the innermost module around a call."""
        paths = self.stack(node)
        path = paths[-1] if paths else ""
        return path or "the model", type(self.model.get_submodule(path)).__name__

    def wanted(self, node: FxNode) -> str:
        """A readable name for a call: the path of a module that does no more, or is torch's own.

        Of several calls of torch's own the last one has it; else the path with the operation.
        """
        if str(node.target) == TARGET:
            path = node.args[1]
            return path or type(self.model).__name__.lower()
        paths = self.stack(node)
        path = paths[-1] if paths else ""
        module = self.model.get_submodule(path)
        own = type(module).__module__.startswith("torch.nn.") and not list(module.children())
        if path and (own and node is self.last.get(innermost(node), node)
                     or self.counts[innermost(node)] == 1):
            return path
        word = str(node.target).split(".")[1].strip("_")
        return f"{path}.{word}" if path else word

    def node(self, fx: FxNode, op: str, inputs, params=None) -> str:
        """Append a node for the call `fx`."""
        return self.builder.node(self.wanted(fx), op, inputs, params)

    def weight(self, value) -> Weight | None:
        """The weight behind an argument, or None if it is computed."""
        found = self.values.get(value.name) if isinstance(value, FxNode) else None
        return found if isinstance(found, Weight) else None

    def held(self, value) -> Weight | None:
        """The weight behind an argument; one that is computed from weights alone is evaluated."""
        found = self.values.get(value.name) if isinstance(value, FxNode) else None
        if not isinstance(found, Sizes) or free_symbols(found.node):
            return self.weight(value)
        parts = [self.values[at.name].source for at in behind(found.node) if at.op == "placeholder"]
        source = f"{self.wanted(found.node)} of {', '.join(map(self.source, parts))}"
        self.stored[source] = evaluate(found.node, {}, self.constant_of)
        return Weight(source)

    def source(self, name: str) -> str:
        """What a weight is called in the stream: its own name, and what it was computed from."""
        return self.evaluated.get(name, name)

    def array(self, weight: Weight) -> tuple[np.ndarray, str]:
        """(array, dtype name) of a weight as stored; bfloat16 as its bits."""
        array, dtype = stored(self.stored[weight.source])
        return (array.T if weight.transposed else array), dtype

    def tensor(self, value, fx: FxNode | None, dtype=None) -> str:
        """The tensor name of an operand: a weight or a number becomes a constant node.

        `dtype` is that of the other operand, which a number takes.
        """
        weight = self.weight(value)
        if weight is not None:
            return self._constant(weight)
        if isinstance(value, FxNode):
            if not is_tensor_call(value):
                return self.scalar(value, fx)
            known = self.values[value.name]
            return self._folded(known) if isinstance(known, Sizes) else known or "?"
        if isinstance(value, (bool, int, float)):
            return self._number(value, fx, dtype)
        raise Refused(f"the operand {value!r}")

    def operand(self, value, fx: FxNode, dtype) -> str:
        """`tensor`, converted to the kind of `dtype` where it is of another."""
        if isinstance(value, (bool, int, float)):
            return self.tensor(value, fx, dtype)
        return self.cast(self.tensor(value, fx, dtype), dtype_of(value), dtype, self.wanted(fx))

    def cast(self, name: str, before, after, wanted: str) -> str:
        """The tensor in the stream's kind of dtype `after`, where that is another than it has."""
        kinds = kind(before), kind(after)
        if kinds[0] == kinds[1]:
            return name
        if (name, kinds[1]) not in self.casts:
            self.casts[name, kinds[1]] = self.builder.node(f"{wanted}.cast", "cast", [name],
                                                           {"to": kinds[1]})
        return self.casts[name, kinds[1]]

    def scalar(self, value, fx: FxNode) -> str:
        """A number that Python computed from sizes: int64, or float32 where it is a float."""
        wanted = self.wanted(fx)
        known = size_of(value)
        if isinstance(known, torch.SymInt):
            return self.builder.node(f"{wanted}.size", "size", [], {"of": self.dims([known])})
        if isinstance(known, (int, float)):
            return self._number(known, fx, torch.float32 if isinstance(known, float) else torch.int64)
        word = getattr(value.target, "__name__", "")
        if word not in SCALARS:
            raise Refused(f"{word} of a size")
        parts = [self.cast(self.scalar(part, fx), dtype_of(part), torch.float32, wanted)
                 for part in value.args]
        if SCALARS[word] is None:
            return parts[0]
        return self.builder.node(f"{wanted}.{word}", SCALARS[word], parts)

    def _folded(self, sizes: Sizes) -> str:
        """A constant for a tensor that no size changes; nodes for what sizes and weights make."""
        node = sizes.node
        if not free_symbols(node) and not self.of_weights(node):
            if sizes not in self.constants:
                array, dtype = plain(*stored(evaluate(node, {}, self.constant_of)))
                self.constants[sizes] = self.builder.constant(self.wanted(node), array, dtype=dtype)
            return self.constants[sizes]
        known = self.made(node)
        if isinstance(known, Sizes):
            known = self._folded(known)
        elif isinstance(known, Weight):
            known = self._constant(known)
        self.values[node.name] = known
        return known or "?"

    def of_weights(self, node: FxNode) -> bool:
        """Whether parameters or buffers of the module are in a tensor, not only sizes."""
        return any(at.op == "placeholder"
                   and self.values[at.name].source not in self.program.constants
                   for at in behind(node))

    def constant_of(self, placeholder: FxNode):
        """The tensor behind a placeholder that stands for a weight or a constant of the code."""
        return self.stored[self.values[placeholder.name].source]

    def transposed(self, x: str, perm: list[int], wanted: str) -> str:
        """A transpose node, or the one that is there."""
        if (x, tuple(perm)) not in self.moved:
            self.moved[x, tuple(perm)] = self.builder.node(wanted, "transpose", [x], {"perm": perm})
        return self.moved[x, tuple(perm)]

    def _constant(self, weight: Weight) -> str:
        if weight not in self.constants:
            array, dtype = plain(*self.array(weight))
            key = None if weight.transposed else ("value", weight.source)
            self.constants[weight] = self.builder.constant(
                weight.source, array, dtype=dtype, source=self.source(weight.source), key=key)
        return self.constants[weight]

    def _number(self, value, fx: FxNode, dtype) -> str:
        """A number beside a tensor: float64 beside float64, as torch computes float32 otherwise."""
        kinds = {torch.float64: np.float64, torch.bool: np.bool_}
        whole = dtype is not None and kind(dtype) == "int64"
        if whole and not isinstance(value, int):
            raise Refused(f"int64 and the number {value}")
        made = fx.meta["val"]
        shape = [1] if isinstance(made, torch.Tensor) and made.ndim else []
        return self.builder.constant(f"{self.wanted(fx)}.number",
                                     np.full(shape, value, np.int64 if whole else
                                             kinds.get(dtype, np.float32)))

    def dims(self, shape) -> list[int | str]:
        """A shape in the stream's words: sizes, names, and expressions of names."""
        return [expression(size.node.expr, self.symbols) if isinstance(size, torch.SymInt)
                else int(size) for size in map(size_of, shape)]

    def shape(self, value) -> list[int | str]:
        """The shape of a traced tensor in the stream's words."""
        return self.dims(value.meta["val"].shape)


def innermost(node: FxNode) -> str:
    """Which call of which module makes the call: a key that each call of a shared module has anew."""
    return next(reversed(node.meta.get("nn_module_stack") or {"": None}))


def refuse_wrapping(node: FxNode) -> None:
    """Refuse arithmetic in integers of 8 and 16 bits, which wraps there and not in the stream."""
    value = node.meta.get("val")
    if isinstance(value, torch.Tensor) and value.dtype in NARROW and WRAPS.match(str(node.target)):
        raise Refused(f"arithmetic in {value.dtype}, which wraps")


def kind(dtype) -> str:
    """What a dtype is in the stream: float32 for any float, int64 for any integer, bool."""
    if dtype is torch.bool:
        return "bool"
    if dtype not in NUMPY:
        raise Refused(f"{dtype}")
    return "float32" if dtype.is_floating_point else "int64"


def dtype_of(value):
    """The dtype of an argument: a tensor's own, and what torch takes a number for."""
    known = size_of(value)
    if isinstance(known, torch.Tensor):
        return known.dtype
    if isinstance(known, bool):
        return torch.bool
    return torch.int64 if isinstance(known, (int, torch.SymInt)) else torch.float32


def plain(array: np.ndarray, dtype: str) -> tuple[np.ndarray, str]:
    """An array as a constant of the stream: any integer is int64 there."""
    return (array.astype(np.int64), "int64") if "int" in dtype else (array, dtype)


def value_dtype(value) -> str:
    """The stream's dtype of a traced input: any float is float32 there."""
    return kind(value.dtype)


def operation_name(node: FxNode) -> str:
    """An operation as a reader knows it: "aten.sort", overloads only where they say something."""
    return re.sub(r"\.(default|int)$", "", str(node.target))


def stored(tensor) -> tuple[np.ndarray, str]:
    """(array, dtype name) of a tensor, its own memory; numpy has no bfloat16, so its bits as uint16."""
    tensor = tensor.detach()
    if tensor.dtype not in NUMPY:
        raise Refused(f"a weight of dtype {tensor.dtype}")
    if tensor.dtype is torch.bfloat16:
        return tensor.view(torch.int16).numpy().view(np.uint16), "bfloat16"
    return tensor.numpy(), NUMPY[tensor.dtype]
