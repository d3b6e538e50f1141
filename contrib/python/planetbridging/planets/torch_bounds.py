"""Where a record of a module holds: sizes that it fixes, and sizes beyond which the module differs."""

from __future__ import annotations

import warnings

import torch

from ..graph import BridgeWarning, Graph
from .torch_export import exported_outputs, quiet, run_record
from .torch_inputs import arguments, named_leaves
from .torch_leaves import opaque


def warn_fixed(graph: Graph) -> None:
    """Say which inputs have a first axis that the network has fixed.

    A state of a recurrent layer has its layers there: its free axis is another input's too.
    """
    free = [{dim for dim in item.shape if isinstance(dim, str)} for item in graph.inputs]
    for n, item in enumerate(graph.inputs):
        others = set().union(*free[:n], *free[n + 1:])
        if item.shape and isinstance(item.shape[0], int) and not free[n] & others:
            # Where another input's samples are free, this axis may be none of samples.
            told = f"the network works for {item.shape[0]} samples only" \
                if not any("batch" in dims for dims in free) \
                else f"the graph holds for {item.shape[0]} on axis 0 of {item.name} only"
            warnings.warn(f"{told}: it fixes the first axis of {item.name}", BridgeWarning,
                          stacklevel=3)


def warn_settled(obj, trace, inputs: dict) -> None:
    """Say which further axes have one size in the record, although the module takes twice as much."""
    for item, (name, tensor) in zip(trace.graph.inputs, inputs.items()):
        for axis, size in list(enumerate(item.shape))[1:]:
            if isinstance(size, int) and (name, axis) not in trace.fixed \
                    and (runs(obj, doubled(inputs, {(name, axis)})) or runs(obj, doubled(inputs, {
                        (other, n) for other, t in inputs.items() for n in range(1, t.ndim)
                        if t.shape[n] == size}))):
                warnings.warn(f"the graph holds for {size} on axis {axis} of {name} only, though the "
                              "network takes other sizes: its code settles it", BridgeWarning,
                              stacklevel=3)


def doubled(inputs: dict, axes: set) -> dict:
    """The inputs, twice as long on these axes (name, axis)."""
    return {name: t.repeat([2 if (name, n) in axes else 1 for n in range(t.ndim)]) if t.ndim else t
            for name, t in inputs.items()}


def runs(obj, tensors: dict) -> bool:
    """Whether the module takes these inputs."""
    args, kwargs = arguments(obj, tensors)
    try:
        with torch.no_grad(), quiet():
            obj(*args, **kwargs)
    except Exception:  # whatever the module raises for such sizes
        return False
    return True


def warn_wanted(trace) -> None:
    """Say which axes have one size in the graph because an operation of the stream wants a number."""
    shapes = {item.name: item.shape for item in trace.graph.inputs}
    for (name, axis), operations in trace.fixed.items():
        warnings.warn(f"the graph holds for {shapes[name][axis]} on axis {axis} of {name} only: "
                      f"{', '.join(operations)} cannot follow the inputs there", BridgeWarning,
                      stacklevel=3)


def warn_packed(program) -> None:
    """Say that packed samples come out as long as they went in, not as long as the longest one."""
    if any(node.target is torch.ops.planetbridging.leaf.default and '"packed": true' in node.args[2]
           for node in program.graph.nodes):
        warnings.warn("packed samples keep the length of the input: the graph holds where one sample "
                      "fills it, or total_length says so", BridgeWarning, stacklevel=3)


def warn_ranges(obj, trace, inputs: dict) -> None:
    """Say where forward asked for a size and the record holds one branch only."""
    for symbol, bounds in trace.program.range_constraints.items():
        low, high, name = int(bounds.lower), bounds.upper, trace.symbols.get(symbol, symbol)
        # A kernel or a table bounds sizes too: there the module itself refuses others.
        below = sorted({low - 1, low // 2, 1} - {0, low})
        branch = low == 2 and symbol in trace.assumed \
            or any(differs(obj, trace, inputs, symbol, n) for n in below)
        parts = [f"{name} >= {low}"] * branch
        if high.is_Integer and differs(obj, trace, inputs, symbol, int(high) + 1):
            parts.append(f"{name} <= {high}")
        if parts:
            warnings.warn("forward depends on a size: the graph holds for "
                          f"{' and '.join(parts)} only", BridgeWarning, stacklevel=3)


def differs(obj, trace, inputs: dict, symbol, size: int) -> bool:
    """Whether the module runs where `symbol` has this size, and its record does something else."""
    tensors = resized(trace.program, inputs, symbol, size)
    if tensors is None:
        return False
    args, kwargs = arguments(obj, tensors)
    with torch.no_grad(), quiet(), opaque(obj):
        try:
            want = list(named_leaves(obj(*args, **kwargs), torch.Tensor).values())
        except Exception:  # whatever the module raises for such a size
            return False
        try:
            made = run_record(trace.program, [*tensors.values()])
        except Exception:  # a view or a check of the record that wants other sizes
            return True
    found = map(made.get, exported_outputs(trace.program).values())
    return not all(b is None or like(a, b) for a, b in zip(want, found))


def like(a, b) -> bool:
    """Whether two results are one but for rounding."""
    return a.shape == b.shape and torch.allclose(a.double(), b.double(), 1e-3, 1e-3, equal_nan=True)


def resized(program, inputs: dict, symbol, size: int) -> dict | None:
    """The inputs cut or repeated so that `symbol` has this size; None where no axis is it alone."""
    nodes = [n for n in program.graph.nodes if n.op == "placeholder"][-len(inputs):]
    shapes = {name: node.meta["val"].shape for name, node in zip(inputs, nodes)}
    sizes = {dim.node.expr: extent for name, shape in shapes.items()
             for dim, extent in zip(shape, inputs[name].shape)
             if isinstance(dim, torch.SymInt) and dim.node.expr.is_Symbol}
    sizes[symbol] = size
    made = {}
    for name, shape in shapes.items():
        wanted = [int(dim.node.expr.subs(sizes)) if isinstance(dim, torch.SymInt) else dim for dim in shape]
        tensor = inputs[name]
        for axis, extent in enumerate(wanted):
            if tensor.shape[axis] == 0:
                return None
            tensor = tensor.index_select(axis, torch.arange(extent) % tensor.shape[axis])
        made[name] = tensor
    return made
