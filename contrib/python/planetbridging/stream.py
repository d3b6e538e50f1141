"""The layer stream, version 2: JSON lines, then tensor bytes, then a last line that proves the end.

`write` puts a `Graph` on a binary file; `StreamDocument` reads a stream whole, for tests and for
planting faults.  Tensor bytes are little-endian, in C order, in the order of the lines, unpadded.
"""

from __future__ import annotations

import ast
import hashlib
import json
import math
from dataclasses import dataclass, field

import numpy as np

from .graph import BridgeError, Graph, Input, Node, Tensor
from .origins import Layout
from .vocabulary import AXES, DIM, DIMS, PARAMS

LINE_MAX = 1 << 20
"""No line may be longer, its LF included."""

CARRIERS = {
    "float64": "<f8", "float32": "<f4", "float16": "<f2", "bfloat16": "<u2",
    "int64": "<i8", "int32": "<i4", "int16": "<i2", "int8": "|i1",
    "uint64": "<u8", "uint32": "<u4", "uint16": "<u2", "uint8": "|u1", "bool": "|b1",
}
"""For each dtype of the stream the numpy type that carries it (bfloat16's bits as uint16)."""

ARITHMETIC = (ast.Add, ast.Sub, ast.Mult, ast.FloorDiv)
"""What an expression of dimensions may do."""


class StreamError(BridgeError):
    """A stream, or a graph about to become one, that breaks a rule; the message names the node."""


def write(graph: Graph, out) -> None:
    """Write `graph` to the binary file object `out`; nothing is written if a check fails.

    Holds one converted tensor at a time beside the graph's own arrays.
    """
    check(graph)
    lines = [head_of(graph)] + [line_of(node) for node in graph.nodes]
    for encoded in [encode_line(line) for line in lines]:
        out.write(encoded)
    for tensor in tensors_of(graph):
        out.write(bytes_of(tensor))
    out.write(encode_line({"end": True, "bytes": lines[0]["bytes"]}))


def tensors_of(graph: Graph):
    """The tensors that have bytes, in the order of the stream."""
    return (t for node in graph.nodes for t in node.tensors if t.same is None)


def bytes_of(tensor: Tensor) -> memoryview:
    """The bytes of one tensor as they travel: little-endian, C order of its shape."""
    array = np.ascontiguousarray(tensor.array, dtype=CARRIERS[tensor.dtype])
    return memoryview(array.reshape(-1).view(np.uint8))


def item_size(dtype: str) -> int:
    """Bytes of one element of a dtype of the stream."""
    return np.dtype(CARRIERS[dtype]).itemsize


def head_of(graph: Graph) -> dict:
    """The first line: who made the network, its inputs and outputs, and what will follow."""
    return {
        "loom_stream": 2, "planet": graph.planet, "versions": dict(graph.versions),
        "model": graph.model, "mode": "eval", "nodes": len(graph.nodes),
        "bytes": sum(t.array.size * item_size(t.dtype) for t in tensors_of(graph)),
        "inputs": [{"name": i.name, "dtype": i.dtype, "shape": list(i.shape)}
                   for i in graph.inputs],
        "outputs": list(graph.outputs),
    }


def line_of(node: Node) -> dict:
    """The line of one node; `out` stands only where it is not the node's own name."""
    line = {"name": node.name, "op": node.op, "in": list(node.inputs), "params": node.params,
            "tensors": [entry_of(t) for t in node.tensors]}
    if node.outputs != [node.name]:
        line["out"] = list(node.outputs)
    return line


def entry_of(tensor: Tensor) -> dict:
    """What a node's line says of one tensor."""
    if tensor.same is not None:
        return {"slot": tensor.slot, "same": tensor.same}
    entry = {"slot": tensor.slot, "dtype": tensor.dtype, "shape": list(tensor.array.shape)}
    if tensor.axes:
        entry["axes"] = list(tensor.axes)
    if tensor.source:
        entry["source"] = tensor.source
    if tensor.layout:
        entry["layout"] = {"shape": list(tensor.layout.shape), "first": tensor.layout.first,
                           "strides": list(tensor.layout.strides)}
    if tensor.aliases:
        entry["aliases"] = list(tensor.aliases)
    return entry


def encode_line(line: dict) -> bytes:
    """One line of UTF-8 JSON with its LF; refuses NaN, infinity, and more than 1 MiB."""
    try:
        text = json.dumps(line, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    except ValueError as error:
        raise StreamError(f"{line.get('name', 'head')}: a parameter is not a finite number") \
            from error
    encoded = text.encode() + b"\n"
    if len(encoded) > LINE_MAX:
        raise StreamError(f"{line.get('name', 'head')}: its line has {len(encoded)} bytes, "
                          f"a layer stream allows {LINE_MAX}")
    return encoded


def check(graph: Graph) -> None:
    """Refuse a graph whose names, parameters, slots or axes the stream's rules do not allow."""
    known: set[str] = set()
    for item in graph.inputs:
        _claim(known, item.name, "input")
        for dim in item.shape:
            check_dim(dim, f"input {item.name}")
    slots: set[str] = set()
    names: set[str] = set()
    for node in graph.nodes:
        _claim(names, node.name, "node")
        _check_node(node, known, slots)
    for name in graph.outputs:
        if name not in known:
            raise StreamError(f"output {name}: no node makes it")


def _claim(taken: set[str], name: str, kind: str) -> None:
    if not name or name in taken:
        raise StreamError(f"{kind} {name!r}: the name is empty or already taken")
    taken.add(name)


def _check_node(node: Node, known: set[str], slots: set[str]) -> None:
    if node.op not in PARAMS:
        raise StreamError(f"{node.name}: unknown operation {node.op}")
    for name in node.inputs:
        if name is not None and name not in known:
            raise StreamError(f"{node.name}: input {name} is not made before it")
    _check_params(node)
    for tensor in node.tensors:
        _check_tensor(node, tensor, slots)
        slots.add(f"{node.name}.{tensor.slot}")
    for name in node.outputs:
        _claim(known, name, "tensor")


def _check_params(node: Node) -> None:
    wanted = PARAMS[node.op]
    if set(node.params) != set(wanted):
        raise StreamError(f"{node.name}: {node.op} has parameters {sorted(node.params)}, "
                          f"expected {sorted(wanted)}")
    for key, kind in wanted.items():
        if not kind.holds(node.params[key]):
            raise StreamError(f"{node.name}: {key} is {node.params[key]!r}, expected {kind.name}")
    for key in [key for key, kind in wanted.items() if kind in (DIMS, DIM)]:
        for dim in node.params[key]:
            check_dim(dim, node.name)


def _check_tensor(node: Node, tensor: Tensor, slots: set[str]) -> None:
    where = f"{node.name}.{tensor.slot}"
    axes = AXES.get(node.op, {}).get(tensor.slot)
    if axes is None or where in slots:
        raise StreamError(f"{where}: {node.op} has no such slot, or has it twice")
    if tensor.same is not None:
        if tensor.same not in slots:
            raise StreamError(f"{where}: tied to {tensor.same}, which does not stand before it")
        return
    if tensor.dtype not in CARRIERS:
        raise StreamError(f"{where}: dtype {tensor.dtype!r} is not one of {', '.join(CARRIERS)}")
    if axes and (sorted(tensor.axes or ()) != sorted(axes) or len(axes) != tensor.array.ndim):
        raise StreamError(f"{where}: axes {tensor.axes} of a tensor of rank {tensor.array.ndim}, "
                          f"expected {sorted(axes)} in some order")


def check_dim(dim: int | str, where: str) -> None:
    """Refuse a dimension that is neither a size >= 0 nor an expression of names with + - * //."""
    if isinstance(dim, str):
        try:
            _check_expression(ast.parse(dim, mode="eval").body)
            return
        except (SyntaxError, StreamError):
            raise StreamError(f"{where}: {dim!r} is not a dimension") from None
    if isinstance(dim, bool) or not isinstance(dim, int) or dim < 0:
        raise StreamError(f"{where}: {dim!r} is not a dimension")


def _check_expression(tree: ast.AST) -> None:
    if isinstance(tree, ast.BinOp) and isinstance(tree.op, ARITHMETIC):
        _check_expression(tree.left)
        _check_expression(tree.right)
    elif not isinstance(tree, ast.Name) and type(getattr(tree, "value", None)) is not int:
        raise StreamError("not an expression of names and integers")


@dataclass
class StreamDocument:
    """A stream read whole: its lines as they are, and the bytes of each tensor.

    `nodes` are the node lines (dicts, free to be changed), `data` the bytes by "NODE.SLOT".
    `write` counts nodes and bytes anew, so an altered document is a well-formed stream.
    """

    head: dict
    nodes: list[dict]
    data: dict[str, bytes] = field(default_factory=dict)

    @classmethod
    def parse(cls, source) -> "StreamDocument":
        """Read a stream from a binary file object; StreamError if it is malformed or cut."""
        head = _line(source, "the head")
        if head.get("loom_stream") != 2:
            raise StreamError(f"loom_stream is {head.get('loom_stream')!r}, expected 2")
        nodes = [_line(source, f"node {n}") for n in range(_count(head, "nodes"))]
        document = cls(head, nodes)
        for key, entry in document._entries():
            document.data[key] = _payload(source, entry, key)
        end = _line(source, "the end line")
        if end != {"end": True, "bytes": head.get("bytes")} or end["bytes"] != document.size():
            raise StreamError(f"the end line is {end}, expected {document.size()} bytes")
        return document

    def write(self, out) -> None:
        """Write the document as a stream to the binary file object `out`."""
        head = {**self.head, "nodes": len(self.nodes), "bytes": self.size()}
        for line in [head, *self.nodes]:
            out.write(encode_line(line))
        for key, _ in self._entries():
            out.write(self.data[key])
        out.write(encode_line({"end": True, "bytes": head["bytes"]}))

    def size(self) -> int:
        """Bytes of all tensors that have their own."""
        return sum(len(self.data[key]) for key, _ in self._entries())

    def node(self, name: str) -> dict:
        """The line of the node called `name`; KeyError if there is none."""
        for node in self.nodes:
            if node["name"] == name:
                return node
        raise KeyError(name)

    def entry(self, name: str, slot: str) -> dict:
        """What the line of node `name` says of its slot, or KeyError."""
        for entry in self.node(name).get("tensors", ()):
            if entry["slot"] == slot:
                return entry
        raise KeyError(f"{name}.{slot}")

    def array(self, name: str, slot: str) -> np.ndarray:
        """A tensor as it travelled (bfloat16 as uint16 bits), in its stated shape, writable.

        A tie is followed to the tensor that has the bytes.
        """
        key = f"{name}.{slot}"
        entry = self.entry(name, slot)
        while "same" in entry:
            key = entry["same"]
            entry = self.entry(*key.rsplit(".", 1))
        flat = np.frombuffer(self.data[key], CARRIERS[entry["dtype"]])
        return flat.reshape(entry["shape"]).copy()

    def values(self, name: str, slot: str) -> np.ndarray:
        """A tensor's values in float64 (int64 and bool stay), bfloat16 decoded."""
        entry = self.entry(name, slot)
        while "same" in entry:
            entry = self.entry(*entry["same"].rsplit(".", 1))
        return decode(self.array(name, slot), entry["dtype"])

    def alter(self, name: str, slot: str, array: np.ndarray) -> None:
        """Replace a tensor that has its own bytes; its dtype stays, its shape follows `array`."""
        entry = self.entry(name, slot)
        for key in ("sha256", "layout", "aliases"):
            entry.pop(key, None)
        entry["shape"] = list(array.shape)
        carried = np.ascontiguousarray(array, CARRIERS[entry["dtype"]])
        self.data[f"{name}.{slot}"] = carried.tobytes()

    def drop(self, name: str, slot: str) -> None:
        """Remove a tensor from its node (the caller changes the parameters that promise it)."""
        self.node(name)["tensors"].remove(self.entry(name, slot))
        self.data.pop(f"{name}.{slot}", None)

    def graph(self) -> Graph:
        """The document as a `Graph`, defaults of `in` and `out` filled in."""
        head = self.head
        inputs = [Input(i["name"], i["dtype"], i["shape"]) for i in head["inputs"]]
        graph = Graph(head["planet"], head.get("versions", {}), head.get("model", ""), inputs,
                      list(head["outputs"]))
        previous = inputs[0].name if inputs else None
        for line in self.nodes:
            node = Node(line["name"], line["op"], line.get("in", [previous]),
                        line.get("params", {}), self._tensors(line), line.get("out", []))
            graph.nodes.append(node)
            previous = node.outputs[0]
        return graph

    def _tensors(self, line: dict) -> list[Tensor]:
        return [Tensor(e["slot"], same=e["same"]) if "same" in e else
                Tensor(e["slot"], self.array(line["name"], e["slot"]), e["dtype"], e.get("axes"),
                       e.get("source", ""), layout=_layout(e), aliases=tuple(e.get("aliases", ())))
                for e in line.get("tensors", ())]

    def _entries(self):
        for node in self.nodes:
            for entry in node.get("tensors", ()):
                if "same" not in entry:
                    yield f"{node['name']}.{entry['slot']}", entry


def _layout(entry: dict) -> Layout | None:
    found = entry.get("layout")
    return found and Layout(tuple(found["shape"]), found["first"], tuple(found["strides"]))


def decode(array: np.ndarray, dtype: str) -> np.ndarray:
    """Values of a travelled array: floats as float64, exactly; integers and bool unchanged."""
    if dtype == "bfloat16":
        return (array.astype(np.uint32) << 16).view(np.float32).astype(np.float64)
    return array.astype(np.float64) if dtype.startswith("float") else array


def _line(source, what: str) -> dict:
    encoded = source.readline(LINE_MAX + 1)
    if len(encoded) > LINE_MAX:
        raise StreamError(f"{what} is longer than {LINE_MAX} bytes")
    if not encoded.endswith(b"\n"):
        raise StreamError(f"{what} is cut short")
    try:
        line = json.loads(encoded, object_pairs_hook=_no_duplicates)
    except ValueError as error:
        raise StreamError(f"{what} is not a line of JSON: {error}") from None
    if not isinstance(line, dict):
        raise StreamError(f"{what} is not an object")
    return line


def _no_duplicates(pairs) -> dict:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key stands twice")
    return found


def _count(head: dict, key: str) -> int:
    if not isinstance(head.get(key), int) or head[key] < 0:
        raise StreamError(f"{key} is {head.get(key)!r}, expected a count")
    return head[key]


def _payload(source, entry: dict, key: str) -> bytes:
    if entry.get("dtype") not in CARRIERS:
        raise StreamError(f"{key}: unknown dtype {entry.get('dtype')!r}")
    size = math.prod(entry["shape"]) * item_size(entry["dtype"])
    data = source.read(size)
    if len(data) != size:
        raise StreamError(f"{key}: {len(data)} of {size} bytes")
    if "sha256" in entry and hashlib.sha256(data).hexdigest() != entry["sha256"]:
        raise StreamError(f"{key}: the bytes do not have the stated sha256")
    return data
