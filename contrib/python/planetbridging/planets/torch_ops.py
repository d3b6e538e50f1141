"""The ATen operations that the stream has words for, a row each, and the walk that uses the rows.

Imported only when a PyTorch module is emitted.  A handler takes (translator, fx node, *the node's
arguments) and returns the name of the tensor that it made; it raises `Refused` with a reason where
the arguments go beyond the vocabulary.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
import torch
from torch.fx import Node as FxNode

from ..graph import Builder, Graph

OPAQUE = (torch.nn.RNNBase, torch.nn.RNNCellBase, torch.nn.MultiheadAttention)
"""Modules that are one word in every framework: refused whole, not operation by operation."""

CHECKS = re.compile(r"aten\.(_assert|sym_constrain|_assert_tensor_metadata)")
"""Operations that compute nothing."""

NUMPY = {torch.float64: "float64", torch.float32: "float32", torch.float16: "float16",
         torch.bfloat16: "bfloat16", torch.int64: "int64", torch.int32: "int32",
         torch.int16: "int16", torch.int8: "int8", torch.uint8: "uint8", torch.bool: "bool"}


class Refused(Exception):
    """Why a known operation cannot be expressed with these arguments."""


@dataclass(frozen=True)
class Weight:
    """A parameter or buffer that no node holds yet; `transposed` swaps its two axes."""

    source: str
    transposed: bool = False


class Translator:
    """Walks an exported program and builds the graph, noting all that it has no word for."""

    def __init__(self, builder: Builder, program, model):
        self.builder = builder
        self.program = program
        self.model = model
        self.opaque = {path: module for path, module in model.named_modules()
                       if isinstance(module, OPAQUE)}
        self.stored = {**program.constants, **program.state_dict}
        self.values: dict[str, object] = {}
        self.constants: dict[Weight, str] = {}
        self.symbols: dict[object, str] = {}

    def run(self, names: list[str], outputs: dict[str, str]) -> Graph:
        """The graph with inputs called `names` and outputs (output name to fx node name)."""
        self._inputs(names)
        reserved = self.builder.reserve(outputs)
        self._mutations()
        self.program.graph_module.graph.eliminate_dead_code()
        for node in self.program.graph.nodes:
            if node.op == "call_function":
                self._call(node)
        made = [self.tensor(self._fx(name), None) for name in outputs.values()]
        return self.builder.finish(made, reserved)

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
        if not is_tensor_call(node) or CHECKS.match(str(node.target)):
            return
        path, cls = self.module_of(node)
        inside = [p for p in self.stack(node) if p in self.opaque]
        self.values[node.name] = None
        if inside:
            kind = type(self.opaque[inside[0]]).__name__
            self.builder.refuse(inside[0], kind, "a layer without a word in the stream yet")
        elif str(node.target) not in OPERATIONS:
            self.builder.refuse(path, cls, operation_name(node))
        else:
            self._handle(node, path, cls)

    def _handle(self, node: FxNode, path: str, cls: str) -> None:
        try:
            handler = OPERATIONS[str(node.target)]
            self.values[node.name] = handler(self, node, *node.args, **node.kwargs)
        except Refused as reason:
            self.builder.refuse(path, cls, f"{operation_name(node)} with {reason}")

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
        """A readable name for a call: a torch layer's path, else the path with the operation."""
        paths = self.stack(node)
        path = paths[-1] if paths else ""
        if path and type(self.model.get_submodule(path)).__module__.startswith("torch.nn."):
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
            return self.values[value.name] or "?"
        if isinstance(value, (bool, int, float)):
            return self._number(value, fx, dtype)
        raise Refused(f"the operand {value!r}")

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


def is_tensor_call(node: FxNode) -> bool:
    """Whether a call makes tensors (calls that compute sizes stand in the shapes already)."""
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


def is_float(value) -> bool:
    """Whether an fx argument is a tensor of floats."""
    return isinstance(value, FxNode) and value.meta["val"].is_floating_point()


def linear(t: Translator, fx, x, weight, bias=None):
    """x @ weight.T + bias, the weight [o,i]."""
    return dense(t, fx, x, weight, bias, axes=("o", "i"))


def matmul(t: Translator, fx, x, weight):
    """x @ weight with a stored weight [i,o] on the right."""
    return dense(t, fx, x, weight, None, axes=("i", "o"))


def addmm(t: Translator, fx, bias, x, weight, *, beta=1, alpha=1):
    """bias + x @ weight with stored weight [i,o] and bias [o]."""
    if beta != 1 or alpha != 1:
        raise Refused("beta or alpha other than 1")
    return dense(t, fx, x, weight, bias, axes=("i", "o"))


def dense(t: Translator, fx, x, weight, bias, axes):
    """A dense node; a transposed weight is the stored one with its axes named the other way."""
    w, b = t.weight(weight), t.weight(bias)
    if w is None or (bias is not None and b is None):
        raise Refused("a weight or bias that is computed")
    plain, dtype = t.array(Weight(w.source))
    if NUMPY.get(x.meta["val"].dtype) != dtype:
        raise Refused(f"values of {NUMPY.get(x.meta['val'].dtype)} and a weight of {dtype}")
    if plain.ndim != 2 or (b and t.array(b)[0].ndim != 1):
        raise Refused("a weight that is no matrix or a bias that is no row")
    bias_array, bias_dtype = t.array(b) if b else (None, dtype)
    if bias_dtype != dtype:
        raise Refused(f"a weight of {dtype} and a bias of {bias_dtype}")
    return t.builder.dense(t.wanted(fx), t.tensor(x, fx), plain, bias_array, dtype=dtype,
                           axes=axes[::-1] if w.transposed else axes,
                           keys=(("weight", w.source), b and ("bias", b.source)),
                           sources=(w.source, b.source if b else ""))


def unary(op: str):
    """A row for an operation of one tensor without parameters."""
    def handler(t: Translator, fx, x):
        if not is_float(x):
            raise Refused(f"{x.meta['val'].dtype}")
        return t.node(fx, op, [t.tensor(x, fx)])
    return handler


def binary(op: str):
    """A row for a broadcasting operation of two tensors, or a tensor and a number."""
    def handler(t: Translator, fx, a, b, *, alpha=1):
        dtype = common_dtype(a, b, op)
        left, right = t.tensor(a, fx, dtype), t.tensor(b, fx, dtype)
        if alpha != 1:
            factor = t.tensor(alpha, fx, dtype)
            right = t.builder.node(f"{t.wanted(fx)}.scaled", "mul", [right, factor])
        return t.node(fx, op, [left, right])
    return handler


def rsub(t: Translator, fx, a, b, alpha=1):
    """b - alpha * a."""
    return binary("sub")(t, fx, b, a, alpha=alpha)


def negative(t: Translator, fx, x):
    """x times -1, which changes the sign alone."""
    return binary("mul")(t, fx, x, -1)


def reciprocal(t: Translator, fx, x):
    """1 / x."""
    return binary("div")(t, fx, 1, x)


def power(t: Translator, fx, x, exponent=2):
    """x * x; other powers have no word."""
    if exponent != 2:
        raise Refused(f"exponent {exponent}")
    return binary("mul")(t, fx, x, x)


def common_dtype(a, b, op: str):
    """The dtype of both operands; mixed ones follow rules that the stream does not have."""
    dtypes = {v.meta["val"].dtype for v in (a, b) if isinstance(v, FxNode)
              and isinstance(v.meta["val"], torch.Tensor)}
    if len(dtypes) != 1:
        raise Refused(" and ".join(sorted(NUMPY.get(d, str(d)) for d in dtypes)) or "no tensor")
    dtype = dtypes.pop()
    if not dtype.is_floating_point and (dtype is not torch.int64 or op == "div"):
        raise Refused(f"{NUMPY.get(dtype, dtype)}")
    return dtype


def gelu(t: Translator, fx, x, *, approximate="none"):
    return t.node(fx, "gelu", [t.tensor(x, fx)], {"approximate": approximate})


def leaky_relu(t: Translator, fx, x, negative_slope=0.01):
    return t.node(fx, "leaky_relu", [t.tensor(x, fx)], {"negative_slope": float(negative_slope)})


def softmax(t: Translator, fx, x, axis, dtype=None):
    """`dtype` of softmax.int, or half_to_float of _softmax: only if they change nothing."""
    if fx.meta["val"].dtype is not x.meta["val"].dtype:
        raise Refused("another dtype for its result")
    return t.node(fx, "softmax", [t.tensor(x, fx)], {"axis": int(axis)})


def concat(t: Translator, fx, tensors, axis=0):
    if len({x.meta["val"].dtype for x in tensors}) != 1:
        raise Refused("tensors of several dtypes")
    return t.node(fx, "concat", [t.tensor(x, fx) for x in tensors], {"axis": int(axis)})


def reshape(t: Translator, fx, x, *sizes, **named):
    """Any operation that keeps the order of elements: the traced result has its shape."""
    return t.node(fx, "reshape", [t.tensor(x, fx)], {"shape": t.dims(fx.meta["val"].shape)})


def identity(t: Translator, fx, x, *rest, **named):
    """An operation that changes no value: the same tensor, without a node."""
    if fx.meta["val"].dtype is not x.meta["val"].dtype:
        raise Refused(f"a conversion to {fx.meta['val'].dtype}")
    return t.values.get(x.name)


def transpose(t: Translator, fx, x, *axes):
    """Only of a stored matrix: its axes are named the other way."""
    weight = t.weight(x)
    if weight is None or x.meta["val"].ndim != 2:
        raise Refused("a computed tensor")
    order = list(axes[0]) if axes and isinstance(axes[0], (list, tuple)) else list(axes or (0, 1))
    same = [axis % 2 for axis in order] == [0, 1] and "permute" in str(fx.target)
    return weight if same else Weight(weight.source, not weight.transposed)


def getitem(t: Translator, fx, values, index):
    """One of several results: there are none without a problem noted already."""
    return None


OPERATIONS = {
    "aten.linear.default": linear,
    "aten.addmm.default": addmm,
    "aten.mm.default": matmul,
    "aten.matmul.default": matmul,
    "aten.t.default": transpose,
    "aten.transpose.int": transpose,
    "aten.permute.default": transpose,
    "aten.numpy_T.default": transpose,
    "aten.relu.default": unary("relu"),
    "aten.tanh.default": unary("tanh"),
    "aten.sigmoid.default": unary("sigmoid"),
    "aten.silu.default": unary("silu"),
    "aten.gelu.default": gelu,
    "aten.leaky_relu.default": leaky_relu,
    "aten.softmax.int": softmax,
    "aten._softmax.default": softmax,
    "aten.add.Tensor": binary("add"),
    "aten.add.Scalar": binary("add"),
    "aten.sub.Tensor": binary("sub"),
    "aten.sub.Scalar": binary("sub"),
    "aten.rsub.Tensor": rsub,
    "aten.rsub.Scalar": rsub,
    "aten.mul.Tensor": binary("mul"),
    "aten.mul.Scalar": binary("mul"),
    "aten.div.Tensor": binary("div"),
    "aten.div.Scalar": binary("div"),
    "aten.neg.default": negative,
    "aten.reciprocal.default": reciprocal,
    "aten.square.default": power,
    "aten.pow.Tensor_Scalar": power,
    "aten.cat.default": concat,
    "aten.view.default": reshape,
    "aten._unsafe_view.default": reshape,
    "aten.squeeze.default": reshape,
    "aten.squeeze.dim": reshape,
    "aten.squeeze.dims": reshape,
    "aten.unsqueeze.default": reshape,
    "aten.alias.default": identity,
    "aten.clone.default": identity,
    "aten.detach.default": identity,
    "aten._to_copy.default": identity,
    "aten.lift_fresh_copy.default": identity,
    "aten.type_as.default": identity,
    "<built-in function getitem>": getitem,
}


DECOMPOSED = {"contiguous", "dropout", "flatten", "reshape", "unflatten"}
"""What run_decompositions({}) turns into rows of the table, or drops."""


def supported() -> list[str]:
    """The operations of the table, by the names that people know."""
    words = {key.split(".")[1] for key in OPERATIONS if key.startswith("aten.")}
    unspoken = {word for word in words if word.startswith("_")} | {"alias", "lift_fresh_copy", "t"}
    return sorted(words - unspoken | DECOMPOSED)
