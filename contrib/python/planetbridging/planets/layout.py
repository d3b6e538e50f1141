"""Transposes between layouts: what emitters of channels-last planets put around operations that
work channels first.

Such an emitter turns each convolution by itself, so that between two of them the data is turned
back and forth; `cancel_transposes` lets the second read what the first made.
"""

from __future__ import annotations

from ..graph import Graph, Node


def channels_first(rank: int) -> list[int]:
    """The permutation from [batch, k..., c] to [batch, c, k...]; `rank` counts all axes."""
    return [0, rank - 1, *range(1, rank - 1)]


def channels_last(rank: int) -> list[int]:
    """The permutation from [batch, c, k...] to [batch, k..., c]."""
    return [0, *range(2, rank), 1]


def cancel_transposes(graph: Graph, keep=()) -> Graph:
    """The same graph, in which nodes read past transposes that undo each other.

    Transposes that nobody reads any more go, unless their tensor is an output of the graph or in
    `keep`: names that someone will ask for.  No value changes.
    """
    _read_past(graph)
    wanted = {*graph.outputs, *keep}
    kept = []
    for node in reversed(graph.nodes):
        if node.op != "transpose" or wanted.intersection(node.outputs):
            kept.append(node)
            wanted.update(name for name in node.inputs if name)
    graph.nodes = kept[::-1]
    return graph


def drop_unread(graph: Graph) -> None:
    """Take out nodes whose tensors nobody reads; those with weights stay, which may be tied."""
    wanted, kept = set(graph.outputs), []
    for node in reversed(graph.nodes):
        if wanted.intersection(node.outputs) or node.tensors and node.op != "constant":
            kept.append(node)
            wanted.update(name for name in node.inputs if name)
    graph.nodes = kept[::-1]


def _read_past(graph: Graph) -> None:
    """Point every input that is a transpose of a transpose, undone, at what was there before."""
    same: dict[str, str] = {}
    turned: dict[str, tuple[str, list[int]]] = {}
    for node in graph.nodes:
        node.inputs = [same.get(name, name) for name in node.inputs]
        if node.op != "transpose":
            continue
        source, perm = _whole_turn(node, turned)
        if perm == sorted(perm):
            same[node.outputs[0]] = source
        else:
            turned[node.outputs[0]] = source, perm


def _whole_turn(node: Node, turned: dict) -> tuple[str, list[int]]:
    """What a transpose makes its tensor of, by one permutation."""
    perm = list(node.params["perm"])
    if node.inputs[0] not in turned:
        return node.inputs[0], perm
    source, before = turned[node.inputs[0]]
    return source, [before[axis] for axis in perm]
