"""PyTorch: any module tree whose ATen operations are in the stream's vocabulary.

`torch.export` records the network with symbolic sizes, recurrent modules and attention as one call
each (`torch_leaves`); `run_decompositions({})` makes it functional and keeps linear, gelu and softmax
whole, and one row of `torch_ops.OPERATIONS` per ATen operation turns the record into nodes.  Weights
come from the live modules or from the exported program under the names of the module's own
parameters, in their own dtype; tied ones are one parameter there.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..graph import BridgeError, Builder, Graph, Unsupported
from . import installed_version
from .signature import one_line, warn_precision

MODULE = "torch"
VERSIONS = {"torch": ["2.15"]}


def owns(obj) -> bool:
    """Whether `obj` is a live PyTorch module."""
    import torch

    return isinstance(obj, torch.nn.Module)


def emit(obj, *, example=None, name=None) -> Graph:
    """The module as a graph, traced on the CPU in eval mode with every input axis free.

    `example`: an array, or arrays by the names of forward's parameters; only ranks, dtypes and the
    sizes that the network fixes matter.  The first axis of the inputs is called "batch", other free
    ones "d1", "d2", ...  The output is "y", or "y_0", "y_1", ... for a tuple, or a dict's keys.
    """
    if example is None:
        raise BridgeError("pytorch needs an example of the inputs (--input), for ranks and dtypes")
    from .torch_bounds import (warn_fixed, warn_packed, warn_ranges, warn_settled,
                               warn_wanted)
    from .torch_inputs import enlarged, example_tensors
    from .torch_prepare import prepared

    with prepared(obj) as (network, evaluated):
        inputs = example_tensors(network, example)
        trace = traced(network, inputs, name, evaluated)
        warn_precision(trace.graph)
        warn_fixed(trace.graph)
        warn_wanted(trace)
        warn_settled(network, trace, inputs)
        warn_packed(trace.program)
        warn_ranges(network, trace, enlarged(inputs))
    return trace.graph


@dataclass
class Trace:
    """A module's record and the graph made of it.

    `values` gives the name of the tensor of each fx node, `symbols` those of the free sizes;
    `assumed` are the sizes that the graph takes for more than 1, `fixed` says of input axes (name,
    axis) which operations wanted them as numbers.
    """

    program: object
    graph: Graph
    values: dict[str, str]
    symbols: dict
    assumed: set
    fixed: dict


def traced(obj, inputs: dict, name=None, evaluated=None) -> Trace:
    """Record `obj` on tensors by input name and make the graph.

    `evaluated` is as `prepared` gives it.
    """
    from .torch_export import axes_of, export
    from .torch_inputs import enlarged
    from .torch_leaves import opaque

    with opaque(obj):
        fixed: dict = {}
        while True:
            program = export(obj, enlarged(inputs), fixed)
            translator = _translator(program, obj, name, evaluated)
            try:
                return _finished(translator, inputs, fixed)
            except Unsupported:
                more = axes_of(program, inputs, set(translator.fixed))
                if not set(more) - set(fixed):
                    raise
                for name, axis in sorted(more):
                    fixed[name, axis] = sorted({op for size in more[name, axis]
                                                for op in translator.fixed.get(size, ())})


def _translator(program, obj, name, evaluated):
    """The walk over one record, about to begin."""
    from . import torch_ops
    from .torch_trace import Translator

    versions = {package: installed_version(package) for package in ("torch", "numpy")}
    builder = Builder("pytorch", versions, name or type(obj).__name__.lower(), torch_ops.supported())
    return Translator(builder, program, obj, torch_ops.OPERATIONS, evaluated)


def _finished(translator, inputs: dict, fixed: dict) -> Trace:
    """What the walk makes."""
    from .torch_export import exported_outputs

    program, builder = translator.program, translator.builder
    graph = translator.run(list(inputs), exported_outputs(program))
    values = {fx: builder.renamed.get(value, value) for fx, value in translator.values.items()
              if isinstance(value, str)}
    return Trace(program, graph, values, translator.symbols, translator.assumed, fixed)


def native(obj, inputs, precision="float32") -> dict[str, np.ndarray]:
    """The module's own outputs on the CPU, in eval mode, without gradients.

    Float inputs are converted to the dtype of the module's parameters, as `emit` does; bfloat16
    outputs are returned as float32, exactly, because NumPy has no such type.  With `precision`
    "float64" a copy of the module computes in float64, on the same weights and on the inputs as
    float32 has them.
    """
    import torch

    from .torch_inputs import (arguments, example_tensors, named_leaves, register, rounded,
                               to_numpy)
    from .torch_prepare import computing, prepared

    with prepared(obj) as (plain, _), computing(plain, precision) as network:
        tensors = example_tensors(network, rounded(inputs) if precision == "float64" else inputs)
        args, kwargs = arguments(network, tensors)
        with torch.no_grad():
            try:
                result = network(*args, **kwargs)
            except Exception as error:  # any error of the user's own code may come
                raise BridgeError(f"{type(plain).__name__} cannot run these inputs: "
                                  f"{one_line(error)}") from error
    register(result)
    leaves = named_leaves(result, torch.Tensor)
    names = Builder("pytorch", {}, "").reserve([*tensors, *leaves])[len(tensors):]
    return {name: to_numpy(leaf) for name, leaf in zip(names, leaves.values())}


def taps(obj, inputs, precision="float32") -> dict[str, np.ndarray]:
    """What the module itself computes on the way, by the names of the tensors of `emit`'s graph.

    The record that `emit` makes is run in torch, operation by operation; recurrent modules and
    attention run their own forward.  Tensors that only the graph has (the layers inside an LSTM of
    several) and constants are not among them.
    """
    import torch

    from .torch_export import exported_outputs, quiet, run_record
    from .torch_inputs import example_tensors, rounded, to_numpy
    from .torch_leaves import opaque
    from .torch_prepare import computing, prepared

    with prepared(obj) as (plain, _), computing(plain, precision) as network:
        tensors = example_tensors(network, rounded(inputs) if precision == "float64" else inputs)
        trace = traced(network, tensors)
        with opaque(network), torch.no_grad(), quiet():
            made = run_record(trace.program, [*tensors.values()])
    found = {tensor: made[fx] for fx, tensor in trace.values.items() if fx in made}
    found |= dict(zip(trace.graph.outputs, map(made.get, exported_outputs(trace.program).values())))
    order = [tensor for node in trace.graph.nodes for tensor in node.outputs]
    return {tensor: to_numpy(found[tensor]) for tensor in order if found.get(tensor) is not None}


def with_weights(obj, path: str):
    """`obj` with the weights of a .safetensors file or a state_dict saved by torch.save.

    A file of another dtype changes the parameters' dtype, never the values; tied parameters need
    one of their names.  Pickled code in a .pt file is not run.
    """
    from .torch_weights import load

    return load(obj, path)
