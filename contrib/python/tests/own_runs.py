"""Our own fixtures without a framework: a stream of the network as it was drawn, and NumPy's values."""

from __future__ import annotations

import io

from planetbridging import stream
from planetbridging.bedrock import facts
from planetbridging.bedrock.network import slots
from planetbridging.bedrock.own import all as fixtures, bounds, explaining
from planetbridging.bedrock.own.bounded import exact
from planetbridging.graph import Graph, Node, Tensor
from planetbridging.stream import StreamDocument
from planetbridging.vocabulary import AXES

CASES = [case for kind in facts.KINDS for case in fixtures.of(kind)]
NAMES = [f"{case.kind}/{case.id}" for case in CASES]


def case(kind, case_id):
    return {c.id: c for c in fixtures.of(kind)}[case_id]


def graph_of(case):
    """The case's network as a graph, weights with their canonical axes."""
    weights = case.weights()
    nodes = []
    for layer in case.network.layers:
        tensors = [Tensor(slot, weights[f"{layer.name}.{slot}"], axes=list(AXES[layer.op][slot]))
                   for slot in slots(layer)]
        nodes.append(Node(layer.name, layer.op, list(layer.inputs), dict(layer.params), tensors,
                          list(layer.outputs)))
    return Graph("numpy", {}, case.id, list(case.network.inputs), list(case.network.outputs), nodes)


def document_of(graph):
    """What a reader of the graph's stream finds."""
    spool = io.BytesIO()
    stream.write(graph, spool)
    return StreamDocument.parse(io.BytesIO(spool.getvalue()))


def bytes_of(document):
    spool = io.BytesIO()
    document.write(spool)
    return spool.getvalue()


def values_of(graph, inputs):
    """Every tensor of a graph in float64, the inputs among them."""
    sizes = explaining.sizes_of(graph, inputs)
    values = {name: exact(array) for name, array in inputs.items()}
    for node in graph.nodes:
        given = [None if name is None else values[name] for name in node.inputs]
        made = bounds.node(node.op, explaining.settled(node.params, sizes), explaining.slots_of(node),
                           given, "pytorch")
        values.update(zip(node.outputs, made))
    return {name: value.v for name, value in values.items()}
