"""What entity-dump says an unmodified Loom gets wrong, and the network that has lost just that."""

from __future__ import annotations

import ast
import copy
import json
import re
from dataclasses import dataclass

import numpy as np

from ..graph import BridgeError
from ..stream import StreamDocument

LAYER = r"node (?P<node>.+) \(layers\.[\d.a-z_]*\)"
SLOT = re.compile(LAYER + r" loses its (?P<slot>\w+)")
PARAM = re.compile(LAYER + r": Loom computes with (?P<key>\w+) (?P<value>.+), not .+")
LEFT_OUT = re.compile(r"node (?P<node>.+) \((?P<op>\w+)\) is left out")
ROWS = re.compile(LAYER + r": Loom takes a (row|sample) for each index of the first axis, .+")
BATCH = re.compile(LAYER + r": Loom lets each sequence of a batch see those before it")
POSITIONS = re.compile(LAYER + r": Loom's attention goes wrong beyond 512 positions")
LENGTH = re.compile(LAYER + r": Loom takes sequences of one length only")
FAILING = re.compile(LAYER + r": Loom fails where .+")
WIRING = "layers run one after another, not as the nodes are connected"
FLOATS = re.compile(r"input .+ is \w+, where Loom takes float32")
"""Of the last two the first follows from what is left out, and ids are handed over as float32."""

PARAMS = {"rope": "RoPE", "rope_base": "RoPE", "causal": "not causal"}
SUMS = ("add", "residual")
RESHAPES = ("reshape", "flatten", "transpose")

ROWS_LOST, LEAK, ONE_LENGTH, TOO_LONG = "rows lost", "batch leaks", "one length", "512 positions"
RESHAPES_LOST, FAILS = "reshapes lost", "fails"
ASKING = (ROWS_LOST, LEAK, ONE_LENGTH, TOO_LONG, RESHAPES_LOST, FAILS)
"""Losses that no network without them shows: they depend on the shape in which Loom is asked."""


@dataclass
class Loss:
    """One kind of defect in a network: its name, the lines that predict it, how far it goes alone.

    `alone` is the distance from the exact answer of the network that has lost this and nothing else,
    or of Loom from a layer alone that is asked in a shape that it takes for another; None where
    neither can be made.
    """

    name: str
    lines: list[str]
    alone: float | None = None

    @property
    def asking(self) -> bool:
        return self.name in ASKING

    @property
    def nodes(self) -> list[str]:
        """The layers that the lines name."""
        found = (re.match(LAYER, line) for line in self.lines)
        return list(dict.fromkeys(match["node"] for match in found if match))


def predicted(lines: list[str], document: StreamDocument) -> list[Loss]:
    """The losses that the lines of `entity-dump --check` name, and reshapes, which Loom never has.

    BridgeError for a line in other words than are known here.
    """
    found: dict[str, Loss] = {}
    for line in lines:
        name = name_of(line)
        if name:
            found.setdefault(name, Loss(name, [])).lines.append(line)
    shapes = [node["name"] for node in document.nodes if node["op"] in RESHAPES]
    if shapes:
        found[RESHAPES_LOST] = Loss(RESHAPES_LOST, [f"node {name} is left out" for name in shapes])
    return list(found.values())


def name_of(line: str) -> str:
    """The loss that a line names, or "" for one that changes no number here."""
    if line == WIRING or FLOATS.fullmatch(line):
        return ""
    if match := SLOT.fullmatch(line):
        return f"{'second bias' if match['slot'].startswith('b2') else match['slot']} lost"
    if match := PARAM.fullmatch(line):
        return PARAMS.get(match["key"], match["key"])
    if match := LEFT_OUT.fullmatch(line):
        return "skip lost" if match["op"] in SUMS else f"{match['op']} left out"
    for pattern, name in ((ROWS, ROWS_LOST), (BATCH, LEAK), (LENGTH, ONE_LENGTH), (FAILING, FAILS),
                          (POSITIONS, TOO_LONG)):
        if pattern.fullmatch(line):
            return name
    raise BridgeError(f"entity-dump --check says {line!r}, which the ladder does not know")


def without(document: StreamDocument, losses: list[Loss]) -> StreamDocument:
    """The network that has lost what can be cut out of one, all of `losses` together."""
    cut = connected(document)
    for line in (line for loss in losses if not loss.asking for line in loss.lines):
        if match := SLOT.fullmatch(line):
            lose_slot(cut, match["node"], match["slot"])
        elif match := PARAM.fullmatch(line):
            cut.node(match["node"])["params"][match["key"]] = value_of(match["value"])
        elif match := LEFT_OUT.fullmatch(line):
            node = cut.node(match["node"])
            for entry in list(node.get("tensors", ())):
                cut.drop(node["name"], entry["slot"])
            node.update({"op": "linear", "params": {}, "in": node["in"][:1],
                         "out": node["out"][:1]})
    return cut


def connected(document: StreamDocument) -> StreamDocument:
    """A copy in which every node says what it reads and makes."""
    made = copy.deepcopy(document)
    previous = made.head["inputs"][0]["name"]
    for node in made.nodes:
        node.setdefault("in", [previous])
        previous = node.setdefault("out", [node["name"]])[0]
    return made


def lose_slot(document: StreamDocument, name: str, slot: str) -> None:
    """A bias becomes zeros; a skip is no longer read."""
    if slot == "skip":
        document.node(name)["in"] = document.node(name)["in"][:1]
        return
    own_slot(document, name, slot)
    document.alter(name, slot, np.zeros_like(document.array(name, slot)))


def own_slot(document: StreamDocument, name: str, slot: str) -> None:
    """A slot that is tied to another has the same bytes of its own."""
    array, entry = document.array(name, slot), document.entry(name, slot)
    source = entry
    while "same" in source:
        source = document.entry(*source["same"].rsplit(".", 1))
    if source is not entry:
        del entry["same"]
        entry.update({key: source[key] for key in ("dtype", "axes") if key in source})
        document.alter(name, slot, array)


def until(document: StreamDocument, tensor: str) -> StreamDocument:
    """The network whose one output is `tensor`.

    Tensors at the end of a layer's `out` that nothing reads are not made.
    """
    made = connected(document)
    last = next((n for n, node in enumerate(made.nodes) if tensor in node["out"]), -1)
    made.nodes, made.head["outputs"] = made.nodes[:last + 1], [tensor]
    read = {name for node in made.nodes for name in node["in"]} | {tensor}
    for node in made.nodes:
        while len(node["out"]) > 1 and node["out"][-1] not in read:
            node["out"].pop()
    return made


def alone(document: StreamDocument, name: str, given: dict[str, np.ndarray],
          any_length: bool) -> StreamDocument:
    """The layer `name` as a network of its own, for the batch `given` by tensor name.

    With `any_length` the axes between the first and the last may have any extent.
    """
    made = connected(document)
    for entry in made.node(name).get("tensors", ()):
        own_slot(made, name, entry["slot"])
    made.nodes = [made.node(name)]
    made.head["inputs"] = [{"name": tensor, "dtype": array.dtype.name,
                            "shape": batch_shape(array.shape, any_length)}
                           for tensor, array in given.items()]
    made.head["outputs"] = made.nodes[0]["out"][:1]
    return made


def batch_shape(shape, any_length: bool) -> list[int | str]:
    """The shape of an input, of any batch, for an array of this shape."""
    made = ["batch", *map(int, shape[1:])]
    if any_length:
        made[1:-1] = [f"d{axis}" for axis in range(1, len(made) - 1)]
    return made


def for_loom(document: StreamDocument, inputs: dict[str, np.ndarray],
             batch: int | None) -> StreamDocument:
    """The network as Loom can have it: samples of one shape, and no input that nothing reads.

    With `batch` only so many at once.  Without a mask no row of an attention has nothing to see, so
    what such a row gives is stated as Loom has it.
    """
    made = connected(document)
    read = {tensor for node in made.nodes for tensor in node["in"]} | set(made.head["outputs"])
    made.head["inputs"] = [item for item in made.head["inputs"] if item["name"] in read]
    sizes: dict[str, int] = {}
    for item in made.head["inputs"]:
        shape = inputs[item["name"]].shape
        first = item["shape"][:1] if batch is None else [batch]
        sizes |= {name: int(size) for name, size in zip(item["shape"], [*first, *shape[1:]])
                  if isinstance(name, str) and not isinstance(size, str)}
        item["shape"] = [*first, *map(int, shape[1:])]
    for node in made.nodes:
        node["params"] = {key: settled(value, sizes) for key, value in node["params"].items()}
        if node["params"].get("mask") == "none" and "empty" in node["params"]:
            node["params"]["empty"] = "zero"
    return made


def settled(value, sizes: dict[str, int]):
    """A parameter with these sizes in place of their names, in lists of dimensions."""
    if not isinstance(value, list):
        return value
    return [settled_dim(dim, sizes) if isinstance(dim, str) else dim for dim in value]


def settled_dim(dim: str, sizes: dict[str, int]) -> int | str:
    """A dimension with these sizes in place of their names; a number if that leaves no name."""
    tree = ast.parse(dim, mode="eval")
    for node in ast.walk(tree):
        for field, child in ast.iter_fields(node):
            if isinstance(child, ast.Name) and child.id in sizes:
                setattr(node, field, ast.Constant(sizes[child.id]))
    if any(isinstance(node, ast.Name) for node in ast.walk(tree)):
        return ast.unparse(tree).replace(" ", "")
    return evaluated(tree.body)


def evaluated(tree: ast.AST) -> int:
    """The value of an expression of integers, as the layer stream has them."""
    if isinstance(tree, ast.Constant):
        return tree.value
    left, right = evaluated(tree.left), evaluated(tree.right)
    return {ast.Add: left.__add__, ast.Sub: left.__sub__, ast.Mult: left.__mul__,
            ast.FloorDiv: left.__floordiv__}[type(tree.op)](right)


def value_of(text: str):
    """A parameter as entity-dump prints it: JSON, or a word."""
    try:
        return json.loads(text)
    except ValueError:
        return text
