"""What of a framework's float32 run binary32 explains: each node of a stream against its bound."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ...graph import BridgeError, Graph, Node
from ..network import Weights
from ..reading import in_order
from . import bounds
from .bounded import exact


ONE_STEP = ("add", "sub", "mul", "div", "residual")
"""One rounding, whose bound is used up by nature: held to it, but not the part that is told."""


@dataclass(frozen=True)
class Used:
    """The greatest part of a bound that an error takes, and the tensor that has it.

    `width` is the greatest bound, relative to max(1, the greatest value): what would go unnoticed.
    """

    part: float
    tensor: str
    width: float = 0.0

    @property
    def explained(self) -> bool:
        return self.part <= 1


def used(graph: Graph, inputs: dict, taps: dict, planet: str) -> Used:
    """The node that takes the greatest part of its bound, all of them fed with `taps` in float32."""
    sizes = sizes_of(graph, inputs)
    values = {name: exact(array) for name, array in inputs.items()}
    worst, width = Used(0.0, ""), 0.0
    for node in graph.nodes:
        given = [None if name is None else values[name] for name in node.inputs]
        made = bounds.node(node.op, settled(node.params, sizes), slots_of(node), given, planet)
        for name, value in zip(node.outputs, made):
            if name in taps:
                found = Used(part(taps[name], value), name)
                if node.op not in ONE_STEP or not found.explained:
                    worst = max(worst, found, key=lambda u: u.part)
                width = max(width, float(value.e.max(initial=0) / max(1.0, np.abs(value.v).max(initial=0))))
                value = exact(taps[name])
            values[name] = value
    return replace(worst, width=width)


def part(found: np.ndarray, value) -> float:
    """The greatest |found - v| / e; where e is 0, or no number is, both must be the same."""
    if found.shape != value.v.shape:
        raise BridgeError(f"a tensor has shape {list(found.shape)}, expected {list(value.v.shape)}")
    same = (found == value.v) | (np.isnan(found) & np.isnan(value.v))
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = np.where(same, 0, np.abs(found - value.v) / value.e)
    return float(np.nan_to_num(ratio, nan=np.inf, posinf=np.inf).max(initial=0))


def slots_of(node: Node) -> Weights:
    """A node's weights with their axes in canonical order."""
    return {t.slot: in_order(node, t.slot, t) if t.axes else t.array for t in node.tensors}


def sizes_of(graph: Graph, inputs: dict) -> dict[str, int]:
    """The sizes behind the names in the shapes of a graph's inputs."""
    return {dim: size for item in graph.inputs for dim, size in zip(item.shape, inputs[item.name].shape)
            if isinstance(dim, str) and dim.isidentifier()}


def settled(params: dict, sizes: dict) -> dict:
    """Parameters whose dimensions are integers."""
    def settle(value):
        if isinstance(value, list):
            return [eval(v, {"__builtins__": {}}, sizes) if isinstance(v, str) else v for v in value]
        return value
    return {name: settle(value) for name, value in params.items()}
