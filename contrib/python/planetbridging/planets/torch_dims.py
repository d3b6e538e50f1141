"""Sizes of a traced PyTorch program in the stream's words: numbers, names, and expressions."""

from __future__ import annotations

import re

import torch


class Refused(Exception):
    """Why a known operation cannot be expressed with these arguments.

    `problem` is (path, class, operation) where it is not this operation that is at fault; `sizes`
    are those that would have to be numbers.
    """

    def __init__(self, reason: str, problem: tuple | None = None, sizes=()):
        super().__init__(reason)
        self.problem = problem
        self.sizes = tuple(sizes)


class LeafError(Exception):
    """A call that cannot be recorded: `problem` is (path, class, operation)."""

    def __init__(self, path: str, cls: str, operation: str):
        super().__init__(f"{path}: {operation}")
        self.problem = (path, cls, operation)


def size_of(value):
    """A size among an operation's arguments: a number, or what the trace knows of a node."""
    return value.meta["val"] if isinstance(value, torch.fx.Node) else value


def number(size, what: str) -> int:
    """A size that the stream wants as a number."""
    size = settled(size)
    if isinstance(size, torch.SymInt):
        raise Refused(f"{what} that follows the inputs", sizes=size.node.expr.free_symbols)
    return size


def settled(size):
    """A size, as a number where the trace knows it as a symbol that is one."""
    if isinstance(size, torch.SymInt) and size.node.expr.is_Integer:
        return int(size.node.expr)
    return size


def same_size(a, b) -> bool:
    """Whether two sizes are one whatever the inputs are; `==` would ask about this example."""
    exprs = [size.node.expr if isinstance(size, torch.SymInt) else size for size in (a, b)]
    return bool(exprs[0] == exprs[1])


def same_shape(a, b) -> bool:
    """Whether two shapes are one whatever the inputs are."""
    return len(a) == len(b) and all(map(same_size, a, b))


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
        return _product_text(expr, names)
    if expr.is_Pow and expr.exp.is_Integer and expr.exp > 0:
        return "*".join([_factor(expr.base, names)] * int(expr.exp))
    kind = type(expr).__name__
    if kind in ("FloorDiv", "CleanDiv"):
        return "//".join(_factor(part, names) for part in expr.args)
    if kind in ("Mod", "PythonMod"):
        size, by = (_factor(part, names) for part in expr.args)
        return f"{size}-{by}*({size}//{by})"
    raise Refused(f"the size {expr}", sizes=expr.free_symbols)


def _product_text(expr, names: dict) -> str:
    """A product; a fraction in it divides at last, since the whole is a number without rest."""
    fraction, rest = expr.as_coeff_Mul()
    if fraction.is_Integer:
        return "*".join(_sorted(_factor(part, names) for part in expr.args))
    if not fraction.is_Rational:
        raise Refused(f"the size {expr}", sizes=expr.free_symbols)
    return f"({_text(fraction.p * rest, names)})//{fraction.q}"


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
