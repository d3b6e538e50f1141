"""torch.export of a module with leaves, and runs of what it recorded."""

from __future__ import annotations

import contextlib
import inspect
import io
import logging
import os
import sys
import traceback
import warnings

import torch
from torch.export.graph_signature import InputKind, OutputKind, TensorArgument
from torch.fx.experimental.symbolic_shapes import GuardOnDataDependentSymNode

from ..graph import BridgeError, Problem, Unsupported
from .torch_inputs import arguments, named_leaves, register
from .torch_dims import LeafError
from .torch_ops import decompositions


def export(obj, tensors: dict, fixed=()):
    """The functional exported program of `obj`, all input axes as free as the network allows.

    `fixed` are axes (input name, axis) that keep the example's size.
    """
    args, kwargs = arguments(obj, tensors)
    try:
        with torch.no_grad(), quiet(), beside_tensorflow():
            program = torch.export.export(obj, args, kwargs, dynamic_shapes=axes(obj, tensors, fixed))
            widths = axes_of(program, tensors, flat_widths(program))
            if widths:
                program = torch.export.export(obj, args, kwargs,
                                              dynamic_shapes=axes(obj, tensors, {*fixed, *widths}))
            program = program.run_decompositions({})
            table = decompositions(program)
            return program.run_decompositions(table) if table else program
    except LeafError as error:
        raise Unsupported([error.problem]) from None
    except Exception as error:
        if register(_run_once(obj, args, kwargs)):
            return export(obj, tensors, fixed)
        if isinstance(error, GuardOnDataDependentSymNode):
            raise Unsupported([following(obj, error)]) from error
        raise BridgeError(f"torch.export cannot record {type(obj).__name__}: "
                          f"{first_line(error)}") from error


def following(obj, error: Exception) -> Problem:
    """Which module's own code branches, counts or loops by the values of a tensor, and in which line."""
    paths = {id(module): path for path, module in obj.named_modules()}
    path, module, place = "", obj, ""
    for frame, line in traceback.walk_tb(error.__traceback__):
        # What a method calls itself is the first of its names, whatever that is.
        this = frame.f_locals.get((*frame.f_code.co_varnames, "self")[0])
        if id(this) in paths and not frame.f_globals.get("__name__", "").startswith("torch."):
            path, module = paths[id(this)], this
            place = f" ({os.path.basename(frame.f_code.co_filename)}:{line})"
    return Problem(path or "the model", type(module).__name__,
                   f"Python code that follows the values of a tensor{place}")


def axes(obj, tensors: dict, fixed=frozenset()):
    """What torch.export is told of the axes of the inputs: all are free but those (name, axis)."""
    dims = torch.export.Dim
    shapes = {name: {axis: dims.STATIC if (name, axis) in fixed else dims.AUTO for axis in range(t.ndim)}
              for name, t in tensors.items()}
    several = [p.name for p in inspect.signature(obj.forward).parameters.values()
               if p.kind is p.VAR_POSITIONAL]
    return {several[0]: tuple(shapes.values())} if several else shapes


def flat_widths(program) -> set:
    """The sizes that a linear layer's width settles behind a flatten.

    torch.export notes only that some product of them has to be that width, which other sizes could
    meet as well.
    """
    found = set()
    for node in program.graph.nodes:
        if node.target is torch.ops.aten.linear.default:
            width = node.args[0].meta["val"].shape[-1]
            if isinstance(width, torch.SymInt):
                found |= width.node.expr.free_symbols
    return found


def axes_of(program, tensors: dict, sizes: set) -> dict[tuple[str, int], set]:
    """The input axes (name, axis) that these sizes make, each with those in it."""
    inputs = [n for n in program.graph.nodes if n.op == "placeholder"][-len(tensors):]
    return {(name, axis): dim.node.expr.free_symbols & sizes
            for name, node in zip(tensors, inputs)
            for axis, dim in enumerate(node.meta["val"].shape)
            if isinstance(dim, torch.SymInt) and dim.node.expr.free_symbols & sizes}


def _run_once(obj, args, kwargs):
    """Run the module itself on the example: if that fails, its own words are the clearer ones."""
    try:
        with torch.no_grad(), quiet():
            return obj(*args, **kwargs)
    except Exception as error:
        raise BridgeError(f"{type(obj).__name__} does not accept the example: "
                          f"{first_line(error)}") from error


@contextlib.contextmanager
def quiet():
    """No log lines, prints and warnings from inside torch: what matters is raised."""
    nowhere = io.StringIO()
    level = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(nowhere), \
                contextlib.redirect_stderr(nowhere):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)


@contextlib.contextmanager
def beside_tensorflow():
    """Keep torch.export from loading triton into a process that has TensorFlow.

    Both bring an LLVM of their own, and the second one aborts the process; the CPU needs no triton.
    """
    hidden = "tensorflow" in sys.modules and "triton" not in sys.modules
    if hidden:
        sys.modules["triton"] = None
    try:
        yield
    finally:
        if hidden:
            del sys.modules["triton"]


def exported_outputs(program) -> dict:
    """For each tensor that the program returns to its user, output name to graph node name."""
    returned = [spec.arg for spec in program.graph_signature.output_specs
                if spec.kind is OutputKind.USER_OUTPUT]
    structure = program.call_spec.out_spec.unflatten(returned)
    return {name: arg.name for name, arg in named_leaves(structure, TensorArgument).items()}


def run_record(program, inputs: list) -> dict:
    """Run a recorded program on tensors; every tensor that a call of it made, by fx node name."""
    stored, given = {**program.constants, **program.state_dict}, iter(inputs)
    values = [next(given) if spec.kind is InputKind.USER_INPUT else stored[spec.target]
              for spec in program.graph_signature.input_specs]
    made = {}

    class Recorder(torch.fx.Interpreter):
        def run_node(self, n):
            result = super().run_node(n)
            if n.op == "call_function" and isinstance(result, torch.Tensor):
                made[n.name] = result
            return result
    Recorder(program.graph_module).run(*values)
    return made


def first_line(error: Exception) -> str:
    """The first line of an error's text, or its class."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
