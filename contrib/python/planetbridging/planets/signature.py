"""Arrays by name and the parameters of a function: which array is which argument.

A module's call names its inputs: `__call__(self, x)` takes an input "x".  One parameter that is
given several arrays takes them as a dict, under the names the caller used.
"""

from __future__ import annotations

import inspect
import math
import re
import warnings
from dataclasses import dataclass

import numpy as np

from ..graph import BridgeError, BridgeWarning, Builder, Graph

LINE_MAX = 240
"""Characters of an error that are worth reading."""

ENDLESS = 1e6
"""Numbers from here on are no lengths: the fill of a mask, the end of a slice."""

FARTHEST = 4096
"""The greatest size for which a mask is computed to see what it is."""

NOT_INPUTS = {"self", "training", "train", "is_training", "mask", "deterministic", "rngs",
              "use_running_average", "update_stats", "out_sharding"}
"""Parameters of a network's call that steer it and are no tensors of the graph."""


@dataclass
class Binding:
    """`arrays` by input name, and for each parameter the name (or the names) it takes."""

    arrays: dict[str, np.ndarray]
    places: list[tuple[str | None, str | list[str]]]

    @property
    def names(self) -> list[str]:
        return list(self.arrays)

    @property
    def note(self) -> str:
        """For messages: which parameter takes several arrays as a dict, which may not be meant."""
        said = [f" ({parameter} was given a dict of {', '.join(place)})"
                for parameter, place in self.places if not isinstance(place, str)]
        return "".join(said)

    def arguments(self, values: dict) -> tuple[list, dict]:
        """Positional and keyword arguments of the call, `values` standing for the arrays."""
        positional, named = [], {}
        for parameter, place in self.places:
            value = values[place] if isinstance(place, str) else {n: values[n] for n in place}
            if parameter is None:
                positional.append(value)
            else:
                named[parameter] = value
        return positional, named


def inputs_of(function, also=()) -> tuple[list[str], list[str], bool]:
    """Parameters for tensors: those required, all of them, and whether any number may follow.

    `also` names parameters that are inputs although their names are of `NOT_INPUTS`.
    """
    required, every, more = [], [], False
    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind is parameter.VAR_POSITIONAL:
            more = True
        elif parameter.kind is not parameter.VAR_KEYWORD and (parameter.name not in NOT_INPUTS
                                                              or parameter.name in also):
            every.append(parameter.name)
            if parameter.default is parameter.empty:
                required.append(parameter.name)
    return required, every, more


def bind(function, example, also=()) -> Binding:
    """Match `example` (an array, a list in order, a dict by name) to the function's parameters.

    `also` is as in `inputs_of`.
    """
    required, every, more = inputs_of(function, also)
    if not isinstance(example, dict):
        arrays = example if isinstance(example, (list, tuple)) else [example]
        if len(arrays) > len(every) and not more:
            raise BridgeError(f"{len(arrays)} inputs given; the network takes {', '.join(every)}")
        names = every + [f"x{n}" for n in range(len(every), len(arrays))]
        example = dict(zip(names, arrays))
    arrays = {name: np.asarray(array) for name, array in example.items()}
    if set(arrays) <= set(every) and set(required) <= set(arrays):
        return Binding(arrays, [(name, name) for name in arrays])
    return _by_position(required, every, more, arrays)


def _by_position(required, every, more, arrays) -> Binding:
    """Arrays under names that are not the parameters'."""
    if more and not every:
        return Binding(arrays, [(None, name) for name in arrays])
    if len(required or every) == 1:
        parameter = (required or every)[0]
        if len(arrays) == 1:
            return Binding({parameter: next(iter(arrays.values()))}, [(parameter, parameter)])
        return Binding(arrays, [(parameter, list(arrays))])
    raise BridgeError(f"inputs are {', '.join(arrays)}; the network takes {', '.join(every)}")


def leaf_names(paths: list[tuple]) -> list[str]:
    """Names for the outputs at `paths` of a structure: "y" alone, "y_0" in lists, keys of dicts."""
    if paths == [()]:
        return ["y"]
    return [".".join(f"y_{p}" if isinstance(p, int) else str(p) for p in path) for path in paths]


def claim(inputs: list[str], outputs: list[str]) -> list[str]:
    """The output names as a graph with these inputs spells them: made plain, and made unique."""
    scratch = Builder("", {}, "")
    scratch.reserve(inputs)
    return scratch.reserve(outputs)


def reach(numbers) -> int | None:
    """A size past which a value computed from sizes and these numbers has shown what it does.

    A mask may do one thing up to a length and another beyond it, at most where its numbers say;
    None where that is too far to look.
    """
    far = 8
    for number in numbers:
        if abs(number) < ENDLESS:
            far = math.ceil(far * (1 + abs(number)))
    return far if far <= FARTHEST else None


def plain(array: np.ndarray) -> np.ndarray:
    """The array in a type that NumPy itself can store: bfloat16 becomes float32."""
    return array.astype(np.float32) if array.dtype.name == "bfloat16" else array


def one_line(error: Exception) -> str:
    """What an error says, in one line that is not too long and shows where it was cut.

    Keras puts where it happened in front of what happened, colours the latter, and prints arrays.
    """
    text = re.sub(r"\x1b\[[0-9;]*m", "", str(error))
    text = re.sub(r"\[\[.*\]\]", "[...]", text, flags=re.DOTALL)
    text = text.rpartition("\nException encountered: ")[2]
    lines = [" ".join(line.split()) for line in text.split("\n") if line.strip()]
    told = [line for line in lines if not line.startswith("Exception encountered when calling")]
    line = (told or lines or [type(error).__name__])[0]
    return line if len(line) <= LINE_MAX else line[:LINE_MAX - 4] + " ..."


def warn_fixed(name: str) -> None:
    """Say so where one would expect sizes to be free that are not."""
    warnings.warn(f"{name} works for any batch, but its inputs' other axes are fixed at the sizes "
                  "of the example", BridgeWarning, stacklevel=3)


def warn_precision(graph: Graph) -> None:
    """Say so where a framework computes in 16 bits, as it does on weights of 16 bits.

    Loom decodes such weights exactly and computes in float32.
    """
    kinds = {tensor.dtype for node in graph.nodes for tensor in node.tensors}
    for kind, step in (("float16", "1e-3"), ("bfloat16", "8e-3")):
        if kind in kinds:
            warnings.warn(f"the network computes in {kind}, Loom in float32 on the same weights: "
                          f"differences near {step} are {kind}'s own (--atol)", BridgeWarning,
                          stacklevel=3)
