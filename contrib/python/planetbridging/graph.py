"""The shared middle of the package: a network as named nodes, ready to become a layer stream.

A planet module turns a live object into a `Graph`; `stream.py` writes the graph.  Names, operations
and slots are those of the layer stream, version 2.  Nothing here imports a framework.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

import numpy as np

from .origins import Layout, Origins, bits

VALUE_DTYPES = ("float32", "int64", "bool")
"""What an input of a network may be; floats of other widths are converted by the runtime."""


class BridgeError(Exception):
    """The object or the data is at fault: one line for the user, exit status 3."""


class UsageError(Exception):
    """The command line is at fault: one line for the user, exit status 2."""


class MachineError(Exception):
    """The machine is at fault (a missing file, framework or program): exit status 4."""


class BridgeWarning(UserWarning):
    """Something the user should know, in one line; the work goes on."""


@dataclass(frozen=True)
class Problem:
    """One thing that cannot be expressed: where it stands, whose class, which operation."""

    path: str
    cls: str
    operation: str

    def __str__(self) -> str:
        return f"{self.path} ({self.cls}): {self.operation}"


class Unsupported(BridgeError):
    """Everything in an object that the stream's vocabulary has no word for, listed at once.

    `problems` are `Problem`s, or tuples (path, class name, operation), in the order of the network;
    `supported` is what the planet's emitter does know, for the message.
    """

    def __init__(self, problems, supported=()):
        unique = dict.fromkeys(p if isinstance(p, Problem) else Problem(*p) for p in problems)
        self.problems = list(unique)
        self.supported = list(supported)
        super().__init__(self._message())

    def _message(self) -> str:
        text = "cannot be expressed: " + "; ".join(str(p) for p in self.problems)
        if self.supported:
            text += ". Supported: " + ", ".join(self.supported)
        return text


@dataclass
class Tensor:
    """One weight slot of a node.

    `array` is in C order with the axes that `axes` names (numpy has no bfloat16: its bits travel as
    uint16 with `dtype` "bfloat16").  A tied tensor has only `slot` and `same`, "NODE.SLOT".
    `source` is what it is called in its framework; where it is part of an array there, or all of it,
    `layout` says which, and `aliases` are other names of the whole array.
    """

    slot: str
    array: np.ndarray | None = None
    dtype: str = ""
    axes: list[str] | None = None
    source: str = ""
    same: str | None = None
    layout: Layout | None = None
    aliases: tuple[str, ...] = ()

    def __post_init__(self):
        if self.array is not None and not self.dtype:
            self.dtype = dtype_name(self.array.dtype)
        if self.dtype == "bfloat16" and self.array.dtype != np.uint16:
            self.array = self.array.view(np.uint16)


@dataclass
class Node:
    """One operation: `inputs` and `outputs` name tensors; `outputs` is [name] by default."""

    name: str
    op: str
    inputs: list[str | None] = field(default_factory=list)
    params: dict = field(default_factory=dict)
    tensors: list[Tensor] = field(default_factory=list)
    outputs: list[str] = field(default_factory=list)

    def __post_init__(self):
        if not self.outputs:
            self.outputs = [self.name]


@dataclass
class Input:
    """A named input; an entry of `shape` is a size, a name, or an expression such as "2*batch"."""

    name: str
    dtype: str
    shape: list[int | str]


@dataclass
class Graph:
    """A network: `nodes` in execution order, `outputs` the names of the tensors it returns.

    `model` is the network's own name, `versions` what made it, `labels` the class labels of a
    classifier, in the order of its outputs (not part of the stream).
    """

    planet: str
    versions: dict[str, str]
    model: str
    inputs: list[Input]
    outputs: list[str] = field(default_factory=list)
    nodes: list[Node] = field(default_factory=list)
    labels: list | None = None


class Builder:
    """Collects nodes under unique names, and problems instead of stopping at the first one.

    `renamed` says, after `finish`, what the tensors that are outputs were called before.
    """

    def __init__(self, planet: str, versions: dict[str, str], model: str, supported=()):
        self.graph = Graph(planet, versions, model, [])
        self.problems: list[Problem] = []
        self._supported = list(supported)
        self._taken: set[str] = set()
        self._slots: dict[object, str] = {}
        self._origins = Origins()
        self.renamed: dict[str, str] = {}

    def input(self, name: str, dtype: str, shape: list[int | str]) -> str:
        """Declare an input, returning the name that later nodes use for it."""
        name = self.unique(name)
        self.graph.inputs.append(Input(name, dtype, list(shape)))
        return name

    def unique(self, wanted: str) -> str:
        """Reserve `wanted` in plain characters, or "wanted_2", "wanted_3", ... if it is taken."""
        base = re.sub(r"[^A-Za-z0-9_.\-]+", "_", wanted) or "node"
        name, count = base, 1
        while name in self._taken:
            count += 1
            name = f"{base}_{count}"
        self._taken.add(name)
        return name

    def node(self, wanted: str, op: str, inputs=(), params=None, tensors=()) -> str:
        """Append a node with one output and return that output's name."""
        name = self.unique(wanted)
        self.graph.nodes.append(Node(name, op, list(inputs), dict(params or {}), list(tensors)))
        return name

    def put(self, name: str, op: str, inputs, params, tensors=(), outputs=()) -> str:
        """Append a node called `name`, which `unique` gave, and return its first output's name.

        `outputs` names the tensors that it makes, by default one with the node's name.
        """
        self.graph.nodes.append(Node(name, op, list(inputs), dict(params), list(tensors),
                                     list(outputs)))
        return self.graph.nodes[-1].outputs[0]

    def origin(self, name: str, array: np.ndarray, aliases=()) -> np.ndarray:
        """Note an array that the framework holds under this name, and return it.

        Weights that are views of it will have `layout`s.
        """
        self._origins.add(name, array.view(bits(array.dtype)), aliases)
        return array

    def tensor(self, node: str, slot: str, array, *, key=None, dtype="", axes=None, source=""):
        """A tensor for slot `slot` of the node that will be called `node`.

        Two calls with one `key` (any hashable that stands for the live weight) give one tensor and
        a tie to it: the second has no bytes.  Call `unique` before to know the node's name.
        """
        if key is not None and key in self._slots:
            return Tensor(slot, same=self._slots[key])
        if key is not None:
            self._slots[key] = f"{node}.{slot}"
        return Tensor(slot, array, dtype, axes, source)

    def dense(self, wanted: str, x: str, weight, bias=None, *, axes=("o", "i"), keys=(None, None),
              dtype="", sources=("", "")) -> str:
        """Append a dense node: `weight` has the axes that `axes` names, `bias` is [o] or None."""
        name = self.unique(wanted)
        sizes = dict(zip(axes, weight.shape))
        key = None if keys[0] is None else (keys[0], tuple(axes))
        tensors = [self.tensor(name, "weight", weight, key=key, dtype=dtype, axes=list(axes),
                               source=sources[0])]
        if bias is not None:
            tensors.append(self.tensor(name, "bias", bias, key=keys[1], dtype=dtype, axes=["o"],
                                       source=sources[1]))
        params = {"in_features": sizes["i"], "out_features": sizes["o"], "bias": bias is not None}
        self.graph.nodes.append(Node(name, "dense", [x], params, tensors))
        return name

    def constant(self, wanted: str, array, *, dtype="", source="", key=None) -> str:
        """Append a constant node holding `array` (its shape becomes the node's parameter)."""
        name = self.unique(wanted)
        array = np.asarray(array)
        value = self.tensor(name, "value", array, key=key, dtype=dtype, source=source)
        self.graph.nodes.append(Node(name, "constant", [], {"shape": list(array.shape)}, [value]))
        return name

    def refuse(self, path: str, cls: str, operation: str) -> None:
        """Note something that has no word in the vocabulary; `finish` raises them all."""
        self.problems.append(Problem(path, cls, operation))

    def reserve(self, names) -> list[str]:
        """Reserve names for the network's outputs, before any node can take them."""
        return [self.unique(name) for name in names]

    def finish(self, outputs: list[str], names: list[str] | None = None) -> Graph:
        """The graph that returns the tensors `outputs`, or `Unsupported` with all that was refused.

        With `names` (from `reserve`) the tensors are called so: the node that makes one says it in
        its `outputs`; one that an input or another output already names gets an identity node.
        """
        if self.problems:
            raise Unsupported(self.problems, self._supported)
        if names is not None:
            self._name_outputs(outputs, names)
            outputs = names
        self._origins.settle(tensor for node in self.graph.nodes for tensor in node.tensors)
        self.graph.outputs = list(outputs)
        return self.graph

    def _name_outputs(self, outputs: list[str], names: list[str]) -> None:
        now = self.renamed
        for old, new in zip(outputs, names):
            current = now.get(old, old)
            if current == new:
                continue
            if current in names or not self._rename(current, new):
                self.graph.nodes.append(Node(self.unique(new + "_is"), "linear", [current],
                                             outputs=[new]))
            else:
                now[old] = new

    def _rename(self, old: str, new: str) -> bool:
        """Call a node's tensor `new` from now on; False if no node makes it, but an input is it."""
        maker = next((n for n in self.graph.nodes if old in n.outputs), None)
        if maker is None:
            return False
        maker.outputs = [new if out == old else out for out in maker.outputs]
        for node in self.graph.nodes:
            node.inputs = [new if name == old else name for name in node.inputs]
        return True


def bind_inputs(names: list[str], inputs) -> dict[str, np.ndarray]:
    """Arrays by input name, in the order of `names`.

    `inputs` is one array (for a network of one input), a list in order, or a dict by name; where
    there is one of each, the name that the caller used does not matter.
    """
    if isinstance(inputs, dict):
        if len(names) == len(inputs) == 1:
            return dict(zip(names, inputs.values()))
        if set(names) != set(inputs):
            raise BridgeError(f"inputs are {', '.join(inputs)}; "
                              f"the network wants {', '.join(names)}")
        return {name: inputs[name] for name in names}
    arrays = list(inputs) if isinstance(inputs, (list, tuple)) else [inputs]
    if len(arrays) != len(names):
        raise BridgeError(f"{len(arrays)} inputs given; the network wants {', '.join(names)}")
    return dict(zip(names, arrays))


def dtype_name(dtype) -> str:
    """Loom's name of a numpy dtype, which is numpy's own without the byte order."""
    return np.dtype(dtype).newbyteorder("=").name
