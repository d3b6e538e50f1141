"""Tensors of a traced PyTorch program that are computed from sizes, numbers and weights alone."""

from __future__ import annotations

import re
from dataclasses import dataclass

import torch
from torch.fx import Node as FxNode


ORDERS = re.compile(r"aten\.(unsqueeze|squeeze|transpose|permute|expand|cumsum|diff|new_ones)\.")
"""Operations whose numbers are axes and repetitions, and change nothing at a length."""


@dataclass(frozen=True)
class Sizes:
    """A tensor that no input's values reach: a mask of a length, a weight that is scaled."""

    node: FxNode


def is_tensor_call(node: FxNode) -> bool:
    """Whether a node stands for tensors (calls that compute sizes stand in the shapes already)."""
    value = node.meta.get("val")
    return not isinstance(value, (int, float, bool, torch.SymInt, torch.SymFloat, torch.SymBool))


def is_drawn(node: FxNode) -> bool:
    """Whether a call draws random numbers: it is no constant, whatever it is made from."""
    return torch.Tag.nondeterministic_seeded in getattr(node.target, "tags", ())


def behind(node: FxNode):
    """The node and all that it is computed from, each once; sizes are ends."""
    todo, seen = [node], set()
    while todo:
        at = todo.pop()
        if at in seen:
            continue
        seen.add(at)
        yield at
        if is_tensor_call(at):
            todo += at.all_input_nodes


def free_symbols(node: FxNode) -> set:
    """The sizes that a tensor computed from sizes depends on."""
    values = [at.meta.get("val") for at in behind(node)]
    return set().union(*(value.node.expr.free_symbols for value in values
                         if isinstance(value, (torch.SymInt, torch.SymFloat))))


def numbers_in(node: FxNode, constant_of) -> list[float]:
    """The numbers that the calls behind a tensor are given, and those in constants of the code."""
    found = []
    for at in behind(node):
        value = at.meta.get("val")
        if isinstance(value, torch.SymInt):
            found += [float(n) for n in value.node.expr.atoms() if n.is_number]
            continue
        if at.op == "placeholder":
            held = constant_of(at).double()
            found.append(float(held.abs().max()) if held.numel() else 0.0)
        given = at.args[2:] if "aten.slice." in str(at.target) else at.args
        if not ORDERS.match(str(at.target)):
            found += [float(n) for n in (*given, *at.kwargs.values())
                      if isinstance(n, (int, float)) and not isinstance(n, bool)]
    return found


def evaluate(node: FxNode, sizes: dict, constant_of):
    """The value of a tensor computed from sizes alone, `sizes` giving an int for each symbol."""
    def value_of(at):
        value = at.meta.get("val")
        if isinstance(value, torch.SymInt):
            return int(value.node.expr.subs(sizes))
        if isinstance(value, torch.SymFloat):
            return float(value.node.expr.subs(sizes))
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
