"""Weights of a file that loom-export wrote, back into the live network that they came from.

One of `-f torch` has the network's own arrays under the network's own names. Any other names them
NODE.SLOT, in canonical axes, with gates and heads apart. Where each of its numbers belongs is not written
down anywhere: the emitter itself is asked. It is given the network with every parameter replaced by the
numbers of its own elements, in digits that the parameters' type can hold, and what comes out says of each
element of each slot which element of which parameter it is. A second time the elements are numbered in
another order, so that a slot that is computed (a sum, a fold) is found out.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from . import arrays, planets
from .graph import BridgeError, BridgeWarning, Graph
from .planets import holding
from .stream import decode
from .vocabulary import AXES

SEED = 7

TOPOLOGY = "loom.topology"
"""What a file of slots holds beside them, unless somebody else has saved them again."""


@dataclass(frozen=True)
class Numbering:
    """Numbers 1, 2, ... for all elements of all parameters, in order or shuffled."""

    shapes: dict[str, tuple[int, ...]]
    numbers: np.ndarray

    @classmethod
    def of(cls, values: dict[str, np.ndarray], shuffled: bool) -> Numbering:
        """For arrays by name."""
        count = sum(array.size for array in values.values())
        numbers = np.arange(1, count + 1)
        if shuffled:
            np.random.default_rng(SEED).shuffle(numbers)
        return cls({name: array.shape for name, array in values.items()}, numbers)

    def filled(self, numbers: np.ndarray) -> dict[str, np.ndarray]:
        """One number for each element, as arrays by name."""
        sizes = np.cumsum([int(np.prod(shape)) for shape in self.shapes.values()])[:-1]
        return {name: part.reshape(shape)
                for (name, shape), part in zip(self.shapes.items(), np.split(numbers, sizes))}


def load(obj, file: str, *, example=None, planet: str | None = None):
    """The live network `obj` with the weights of `file`, a .safetensors that loom-export wrote.

    Its names are those of the network's own parameters (`-f torch`), or NODE.SLOT (`-f safetensors`).
    PyTorch and Keras objects and nnx modules are changed and returned; for (module, variables) a new
    pair is.  `example` is as for `emit`.  BridgeError, and nothing is changed, unless the file is of this
    network: every number of it has its place, and every parameter gets all of its numbers.  Whole numbers
    that the network keeps, such as counts of batches, stay where the file has none.
    """
    planet = planet or planets.of(obj)
    found = arrays.read_safetensors(file)
    with planets.ONE_AT_A_TIME, holding.held(planet, obj) as own, warnings.catch_warnings():
        warnings.simplefilter("ignore", BridgeWarning)
        slots_of = lambda network: slots(planets.module(planet).emit(network, example=example))  # noqa: E731
        if by_source(file, own, found, example is not None and slots_of):
            new = taken(file, own, found)
        else:
            before = slots_of(own.obj)
            check_names(file, before, found)
            new = filled(file, own.values, before, located(own, slots_of), found)
        result = own.put(new)
        own.keep()
    return result


def by_source(file: str, own: holding.Held, found: dict, slots_of) -> bool:
    """Whether a file's names are the network's own, rather than those of slots.

    Where they could be both, as "0.weight" of a layer "0", only a file of slots has Loom's topology beside
    them.  Slots are not known (`slots_of` is none) where there is no example.
    """
    names = found.keys()
    sources = names & {*own.values, *own.others, *own.aliases}
    if not sources or TOPOLOGY in arrays.safetensors_metadata(file):
        return False
    if not slots_of or own.values.keys() <= {own.aliases.get(name, name) for name in names}:
        return True
    return len(sources) > len(names & slots_of(own.obj).keys())


def taken(file: str, own: holding.Held, found: dict) -> dict[str, np.ndarray]:
    """The network's arrays out of a file that has them under their own names; BridgeError if it does not."""
    known, new = {**own.values, **own.others}, {}
    given = {name: own.aliases.get(name, name) for name in found}
    check_all_there(file, own.values.keys() - given.values(), given.keys() - known.keys() - own.aliases.keys())
    for name, first in given.items():
        if found[name].shape != known[first].shape:
            raise BridgeError(f"{file}: {name} has shape {list(found[name].shape)}, "
                              f"expected {list(known[first].shape)}")
        array = narrowed(file, name, found[name], known[first].dtype)
        if first in new and not same(new[first], array):
            raise BridgeError(f"{file}: {name} differs from another tensor that is the same parameter")
        new[first] = array
    return new


def slots(graph: Graph) -> dict[str, np.ndarray]:
    """The values of all slots that have bytes, by NODE.SLOT, in canonical axes."""
    made = {}
    for node in graph.nodes:
        for tensor in node.tensors:
            if tensor.same is None:
                values = decode(np.asarray(tensor.array), tensor.dtype)
                wanted = AXES.get(node.op, {}).get(tensor.slot, "")
                if tensor.axes and wanted and list(wanted) != tensor.axes:
                    values = values.transpose([tensor.axes.index(axis) for axis in wanted])
                made[f"{node.name}.{tensor.slot}"] = values
    return made


def check_names(file: str, ours: dict, theirs: dict) -> None:
    """BridgeError unless the file has the slots of this network, in their shapes."""
    check_all_there(file, ours.keys() - theirs.keys(), theirs.keys() - ours.keys())
    for name, values in ours.items():
        if values.shape != theirs[name].shape:
            raise BridgeError(f"{file}: {name} has shape {list(theirs[name].shape)}, "
                              f"expected {list(values.shape)}")


def check_all_there(file: str, missing, unknown) -> None:
    """BridgeError if there are such names."""
    for kind, names in (("lacks", missing), ("has the unknown", unknown)):
        if names:
            first = ", ".join(sorted(names)[:3])
            raise BridgeError(f"{file}: {kind} {first}" + (" ..." if len(names) > 3 else "")
                              + "; is it this network's file?")


def located(own: holding.Held, emit: Callable) -> dict[str, np.ndarray]:
    """For each slot the place, from 1, of each of its elements among all elements of all parameters.

    0 where an element is the same whatever the parameters are, -1 where it is computed from them.
    """
    first = numbered(own, emit, Numbering.of(own.values, False))
    shuffled = Numbering.of(own.values, True)
    second = numbered(own, emit, shuffled)
    wanted = np.concatenate([[0], shuffled.numbers])
    places = {}
    for name, values in first.items():
        inside = (values >= 1) & (values < len(wanted))
        place = np.where(inside, values, 0)
        place[~(inside & (wanted[place] == second[name]))] = -1
        places[name] = place
    return places


def numbered(own: holding.Held, emit: Callable, numbering: Numbering) -> dict[str, np.ndarray]:
    """What the emitter makes of numbered parameters: the number at each element of each slot, -1 for none.

    In as many turns as the greatest number has digits of the parameters' type.
    """
    total: dict[str, np.ndarray] = {}
    rest, weight = numbering.numbers, 1
    while rest.any():
        digits = rest & ((1 << own.digits) - 1)
        for name, values in emit(own.put(numbering.filled(digits))).items():
            with np.errstate(invalid="ignore"):
                whole = np.isfinite(values) & (values == np.rint(values)) & (values >= 0) & (
                    values < 1 << own.digits)
            part = np.where(whole, values, 0).astype(np.int64) * weight
            old = total.get(name, np.zeros(values.shape, np.int64))
            total[name] = np.where(whole & (old >= 0), old + part, -1)
        rest, weight = rest >> own.digits, weight << own.digits
    return total


def filled(file: str, values: dict, before: dict, places: dict, found: dict) -> dict[str, np.ndarray]:
    """The parameters with the numbers of the file; BridgeError where that cannot be done."""
    numbering = Numbering.of(values, False)
    flat = np.zeros(len(numbering.numbers), np.float64)
    given = np.zeros(len(flat), bool)
    for name, place in places.items():
        theirs = decode(found[name], "float64" if found[name].dtype.kind == "f" else "")
        moved = place > 0
        # What no parameter decides, such as a table of positions, must be what it was.
        if not moved.any() and same(theirs, before[name]):
            continue
        if not moved.all():
            raise BridgeError(f"{file}: {name} is computed from parameters, not a copy of them, "
                              "and cannot be taken back")
        at, new = place.ravel() - 1, theirs.ravel()
        clash = given[at] & ~equal(flat[at], new)
        if clash.any():
            raise BridgeError(f"{file}: {name} differs from another tensor that is the same parameter")
        flat[at], given[at] = new, True
    for (name, array), part in zip(values.items(), numbering.filled(given).values()):
        if not part.all():
            raise BridgeError(f"{file}: gives {part.sum()} of {part.size} numbers of {name}")
    return {name: narrowed(file, name, part, values[name].dtype)
            for name, part in numbering.filled(flat).items()}


def narrowed(file: str, name: str, values: np.ndarray, dtype) -> np.ndarray:
    """Numbers in the parameter's own type; BridgeError if that changes a number."""
    with np.errstate(over="ignore"):
        made = values.astype(dtype)
    if not same(made.astype(values.dtype), values):
        raise BridgeError(f"{file}: {name} is {np.dtype(dtype).name} here, which cannot hold the file's numbers")
    return made


def same(a: np.ndarray, b: np.ndarray) -> bool:
    """Whether two arrays hold the same numbers everywhere."""
    return bool(equal(np.asarray(a), np.asarray(b)).all())


def equal(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Where two arrays are the same number, -0 not being 0 and NaN being NaN."""
    if a.dtype.kind != "f":
        return a == b
    return ((a == b) & (np.signbit(a) == np.signbit(b))) | (np.isnan(a) & np.isnan(b))
