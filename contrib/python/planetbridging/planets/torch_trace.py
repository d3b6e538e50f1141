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
from .torch_leaves import TARGET

CHECKS = re.compile(r"aten\.(_assert|sym_constrain|_assert_tensor_metadata)")
"""Operations that compute nothing."""

NUMPY = {torch.float64: "float64", torch.float32: "float32", torch.float16: "float16",
         torch.bfloat16: "bfloat16", torch.int64: "int64", torch.int32: "int32",
         torch.int16: "int16", torch.int8: "int8", torch.uint8: "uint8", torch.bool: "bool"}


class Refused(Exception):
    """Why a known operation cannot be expressed with these arguments.

    `problem` is (path, class, operation) where it is not this operation that is at fault.
    """

    def __init__(self, reason: str, problem: tuple | None = None):
        super().__init__(reason)
        self.problem = problem


@dataclass(frozen=True)
class Weight:
    """A parameter or buffer that no node holds yet; `transposed` swaps its two axes."""

    source: str
    transposed: bool = False


@dataclass(frozen=True)
class Sizes:
    """A tensor that is computed from sizes and numbers alone, as a triangular mask is."""

    node: FxNode


class Translator:
    """Walks an exported program and builds the graph, noting all that it has no word for.

    `handlers` has a handler for each ATen operation that has one, by its name.
    """

    def __init__(self, builder: Builder, program, model, handlers: dict):
        self.builder = builder
        self.program = program
        self.model = model
        self.handlers = handlers
        self.stored = {**program.constants, **program.state_dict}
        self.values: dict[str, object] = {}
        self.constants: dict[Weight, str] = {}
        self.symbols: dict[object, str] = {}
        self.moved: dict[tuple, str] = {}
        self.alive: list = []

    def run(self, names: list[str], outputs: dict[str, str]) -> Graph:
        """The graph with inputs called `names` and outputs (output name to fx node name)."""
        self._inputs(names)
        reserved = self.builder.reserve(outputs)
        self._mutations()
        self.program.graph_module.graph.eliminate_dead_code()
        calls = [node for node in self.program.graph.nodes if node.op == "call_function"
                 and is_tensor_call(node) and not CHECKS.match(str(node.target))]
        self.counts = collections.Counter(map(innermost, calls))
        for node in calls:
            self._call(node)
        made = [self._output(self._fx(name)) for name in outputs.values()]
        return self.builder.finish(made, reserved)

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
        for kind in ("buffers_to_mutate", "user_inputs_to_mutate", "parameters_to_mutate"):
            for changed in getattr(self.program.graph_signature, kind, {}).values():
                self.builder.refuse(changed, type(self.model).__name__, "changed by forward")

    def _call(self, node: FxNode) -> None:
        """Translate one call; what has no word becomes a problem, and the walk goes on."""
        self.values[node.name] = None
        if self._of_sizes(node):
            self.values[node.name] = Sizes(node)
            return
        path, cls = self.module_of(node)
        operation = operation_name(node)
        try:
            if str(node.target) not in self.handlers:
                self.builder.refuse(path, cls, operation)
                return
            handler = self.handlers[str(node.target)]
            self.values[node.name] = handler(self, node, *node.args, **node.kwargs)
        except Refused as reason:
            self.builder.refuse(*(reason.problem or (path, cls, f"{operation} with {reason}")))

    def _of_sizes(self, node: FxNode) -> bool:
        """Whether a call takes no tensor but constants of the code and others of this kind."""
        inputs = [n for n in node.all_input_nodes if is_tensor_call(n)]
        known = [self.values.get(n.name) for n in inputs]
        return not inputs or (any(isinstance(v, Sizes) for v in known) and
                              all(isinstance(v, Sizes) or self._lifted(v) for v in known))

    def _lifted(self, value) -> bool:
        return isinstance(value, Weight) and value.source in self.program.constants

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

        Else the path with the operation.
        """
        if str(node.target) == TARGET:
            path = node.args[1]
            return path or type(self.model).__name__.lower()
        paths = self.stack(node)
        path = paths[-1] if paths else ""
        module = self.model.get_submodule(path)
        own = type(module).__module__.startswith("torch.nn.") and not list(module.children())
        if path and (own or self.counts[innermost(node)] == 1):
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
            if value.name not in self.values:
                raise Refused("a size as an operand")
            known = self.values[value.name]
            return self._folded(known) if isinstance(known, Sizes) else known or "?"
        if isinstance(value, (bool, int, float)):
            return self._number(value, fx, dtype)
        raise Refused(f"the operand {value!r}")

    def _folded(self, sizes: Sizes) -> str:
        """A constant for a tensor that depends on no size; what a size changes has no word."""
        node = sizes.node
        if free_symbols(node):
            raise Refused("", (*self.module_of(node), operation_name(node)))
        if sizes not in self.constants:
            array, dtype = stored(evaluate(node, {}, self.constant_of))
            self.constants[sizes] = self.builder.constant(self.wanted(node), array, dtype=dtype)
        return self.constants[sizes]

    def constant_of(self, placeholder: FxNode):
        """The tensor behind a placeholder that stands for a constant of the code."""
        return self.stored[self.values[placeholder.name].source]

    def transposed(self, x: str, perm: list[int], wanted: str) -> str:
        """A transpose node, or the one that is there."""
        if (x, tuple(perm)) not in self.moved:
            self.moved[x, tuple(perm)] = self.builder.node(wanted, "transpose", [x], {"perm": perm})
        return self.moved[x, tuple(perm)]

    def _constant(self, weight: Weight) -> str:
        if weight not in self.constants:
            array, dtype = self.array(weight)
            if "int" in dtype:
                array, dtype = array.astype(np.int64), "int64"
            key = None if weight.transposed else ("value", weight.source)
            self.constants[weight] = self.builder.constant(
                weight.source, array, dtype=dtype, source=weight.source, key=key)
        return self.constants[weight]

    def _number(self, value, fx: FxNode, dtype) -> str:
        """A number beside a tensor: float64 beside float64, as torch computes float32 otherwise."""
        kind = {torch.float64: np.float64, torch.int64: np.int64}.get(dtype, np.float32)
        if kind is np.int64 and not isinstance(value, int):
            raise Refused(f"int64 and the number {value}")
        shape = [1] if fx.meta["val"].ndim else []
        return self.builder.constant(f"{self.wanted(fx)}.number", np.full(shape, value, kind))

    def dims(self, shape) -> list[int | str]:
        """A shape in the stream's words: sizes, names, and expressions of names."""
        return [expression(size.node.expr, self.symbols) if isinstance(size, torch.SymInt)
                else int(size) for size in shape]


def innermost(node: FxNode) -> str:
    """Which call of which module makes the call: a key that each call of a shared module has anew."""
    return next(reversed(node.meta.get("nn_module_stack") or {"": None}))


def free_symbols(node: FxNode) -> set:
    """The sizes that a tensor computed from sizes depends on."""
    found, todo, seen = set(), [node], set()
    while todo:
        at = todo.pop()
        if at in seen:
            continue
        seen.add(at)
        value = at.meta.get("val")
        if isinstance(value, torch.SymInt):
            found |= value.node.expr.free_symbols
        else:
            todo += at.all_input_nodes
    return found


def numbers_in(node: FxNode, constant_of) -> list[float]:
    """The numbers that the calls behind a tensor are given, and those in constants of the code."""
    found, todo, seen = [], [node], set()
    while todo:
        at = todo.pop()
        if at in seen:
            continue
        seen.add(at)
        value = at.meta.get("val")
        if isinstance(value, torch.SymInt):
            found += [float(n) for n in value.node.expr.atoms() if n.is_number]
            continue
        if at.op == "placeholder":
            held = constant_of(at).double()
            found.append(float(held.abs().max()) if held.numel() else 0.0)
        found += [float(n) for n in (*at.args, *at.kwargs.values())
                  if isinstance(n, (int, float)) and not isinstance(n, bool)]
        todo += at.all_input_nodes
    return found


def evaluate(node: FxNode, sizes: dict, constant_of):
    """The value of a tensor computed from sizes alone, `sizes` giving an int for each symbol."""
    def value_of(at):
        value = at.meta.get("val")
        if isinstance(value, torch.SymInt):
            return int(value.node.expr.subs(sizes))
        if at.op == "placeholder":
            return constant_of(at)
        if not is_tensor_call(at):
            return value
        if at not in known:
            args = torch.fx.map_arg((at.args, at.kwargs), value_of)
            known[at] = at.target(*args[0], **args[1])
        return known[at]
    known: dict = {}
    with torch.no_grad():
        return value_of(node)


def is_tensor_call(node: FxNode) -> bool:
    """Whether a node stands for tensors (calls that compute sizes stand in the shapes already)."""
    value = node.meta.get("val")
    return not isinstance(value, (int, float, bool, torch.SymInt, torch.SymFloat, torch.SymBool))


def value_dtype(value) -> str:
    """The stream's dtype of a traced input: any float is float32 there."""
    return "float32" if value.is_floating_point() else NUMPY[value.dtype]


def operation_name(node: FxNode) -> str:
    """An operation as a reader knows it: "aten.sort", overloads only where they say something."""
    return re.sub(r"\.(default|int)$", "", str(node.target))


def stored(tensor) -> tuple[np.ndarray, str]:
    """(array, dtype name) of a tensor, in C order; numpy has no bfloat16, so its bits as uint16."""
    tensor = tensor.detach().contiguous()
    if tensor.dtype not in NUMPY:
        raise Refused(f"a weight of dtype {tensor.dtype}")
    if tensor.dtype is torch.bfloat16:
        return tensor.view(torch.int16).numpy().view(np.uint16), "bfloat16"
    return tensor.numpy(), NUMPY[tensor.dtype]


def expression(expr, names: dict) -> int | str:
    """A sympy size as an int, a name, or an expression with + - * //."""
    if expr.is_Integer:
        return int(expr)
    return _text(expr, names)


def _text(expr, names: dict) -> str:
    if expr.is_Integer and expr >= 0:
        return str(int(expr))
    if expr.is_Symbol and expr in names:
        return names[expr]
    if expr.is_Add:
        return _sum_text(expr, names)
    if expr.is_Mul and not expr.could_extract_minus_sign():
        return "*".join(_sorted(_factor(part, names) for part in expr.args))
    if expr.is_Pow and expr.exp.is_Integer and expr.exp > 0:
        return "*".join([_factor(expr.base, names)] * int(expr.exp))
    if type(expr).__name__ in ("FloorDiv", "CleanDiv"):
        return "//".join(_factor(part, names) for part in expr.args)
    raise Refused(f"the size {expr}")


def _sum_text(expr, names: dict) -> str:
    """Terms to add first, then those to subtract, so that no sign stands alone."""
    minus = [term for term in expr.args if term.could_extract_minus_sign()]
    plus = _sorted(_text(term, names) for term in expr.args if term not in minus)
    return "-".join(["+".join(plus) or "0", *_sorted(_factor(-term, names) for term in minus)])


def _sorted(texts) -> list[str]:
    """Numbers first, then by name: the symbols' own order means nothing to a reader."""
    return sorted(texts, key=lambda text: (not text.isdigit(), text))


def _factor(expr, names: dict) -> str:
    text = _text(expr, names)
    return text if re.fullmatch(r"\w+", text) else f"({text})"


