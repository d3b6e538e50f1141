"""PyTorch: any module tree whose ATen operations are in the stream's vocabulary.

`torch.export` records the network with symbolic sizes, recurrent modules and attention as one call
each (`torch_leaves`); `run_decompositions({})` makes it functional and keeps linear, gelu and softmax
whole, and one row of `torch_ops.OPERATIONS` per ATen operation turns the record into nodes.  Weights
come from the live modules or from the exported program under the names of the module's own
parameters, in their own dtype; tied ones are one parameter there.
"""

from __future__ import annotations

import contextlib
import copy
import inspect
import io
import logging
import sys
import warnings
from dataclasses import dataclass

import numpy as np

from ..graph import BridgeError, BridgeWarning, Builder, Graph, Problem, Unsupported, bind_inputs
from . import installed_version
from .signature import leaf_names, one_line, warn_precision

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
    inputs = example_tensors(obj, example)
    trace = traced(obj, inputs, name)
    warn_precision(trace.graph)
    _warn_fixed(trace.graph)
    _warn_ranges(obj, trace, enlarged(inputs))
    return trace.graph


@dataclass
class Trace:
    """A module's record and the graph made of it.

    `values` gives the name of the tensor of each fx node, `symbols` those of the free sizes.
    """

    program: object
    graph: Graph
    values: dict[str, str]
    symbols: dict


def traced(obj, inputs: dict, name=None) -> Trace:
    """Record `obj` on tensors by input name and make the graph."""
    from . import torch_ops
    from .torch_leaves import opaque
    from .torch_trace import Translator

    with evaluating(obj), opaque(obj):
        program = export(obj, enlarged(inputs))
    versions = {package: installed_version(package) for package in ("torch", "numpy")}
    builder = Builder("pytorch", versions, name or type(obj).__name__.lower(), torch_ops.supported())
    translator = Translator(builder, program, obj, torch_ops.OPERATIONS)
    graph = translator.run(list(inputs), exported_outputs(program))
    values = {fx: builder.renamed.get(value, value) for fx, value in translator.values.items()
              if isinstance(value, str)}
    return Trace(program, graph, values, translator.symbols)


def native(obj, inputs, precision="float32") -> dict[str, np.ndarray]:
    """The module's own outputs on the CPU, in eval mode, without gradients.

    Float inputs are converted to the dtype of the module's parameters, as `emit` does; bfloat16
    outputs are returned as float32, exactly, because NumPy has no such type.  With `precision`
    "float64" a copy of the module computes in float64, on the same weights and on the inputs as
    float32 has them.
    """
    import torch

    with computing(obj, precision) as network:
        tensors = example_tensors(network, rounded(inputs) if precision == "float64" else inputs)
        args, kwargs = arguments(network, tensors)
        with evaluating(network), torch.no_grad():
            try:
                result = network(*args, **kwargs)
            except Exception as error:  # any error of the user's own code may come
                raise BridgeError(f"{type(obj).__name__} cannot run these inputs: "
                                  f"{one_line(error)}") from error
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

    from .torch_leaves import opaque

    with computing(obj, precision) as network:
        tensors = example_tensors(network, rounded(inputs) if precision == "float64" else inputs)
        trace = traced(network, tensors)
        with evaluating(network), opaque(network), torch.no_grad(), quiet():
            made = run_record(trace.program, [*tensors.values()])
    found = {tensor: made[fx] for fx, tensor in trace.values.items() if fx in made}
    found |= dict(zip(trace.graph.outputs, map(made.get, exported_outputs(trace.program).values())))
    order = [tensor for node in trace.graph.nodes for tensor in node.outputs]
    return {tensor: to_numpy(found[tensor]) for tensor in order if found.get(tensor) is not None}


def run_record(program, inputs: list) -> dict:
    """Run a recorded program on tensors; every tensor that a call of it made, by fx node name."""
    import torch
    from torch.export.graph_signature import InputKind

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


@contextlib.contextmanager
def computing(obj, precision: str):
    """The module itself, or for "float64" a copy of it that computes so."""
    import torch

    if precision not in ("float32", "float64"):
        raise BridgeError(f"precision is {precision!r}, expected 'float32' or 'float64'")
    if precision == "float32":
        yield obj
        return
    before = torch.get_default_dtype()
    try:
        wide = copy.deepcopy(obj).double()
    except Exception as error:  # a module may hold anything
        raise BridgeError(f"{type(obj).__name__} cannot be copied to compute in float64: "
                          f"{one_line(error)}") from error
    norm, step = torch.rms_norm, torch.finfo(torch.promote_types(weight_dtype(obj), torch.float32)).eps

    def rms_norm(input, normalized_shape, weight=None, eps=None):
        # Without eps the norm would take float64's own step, which makes it another function.
        return norm(input, normalized_shape, weight, step if eps is None else eps)
    torch.rms_norm = rms_norm
    torch.set_default_dtype(torch.float64)
    try:
        yield wide
    finally:
        torch.set_default_dtype(before)
        torch.rms_norm = norm


def rounded(inputs):
    """The inputs with floats rounded to float32, as Loom takes them."""
    if isinstance(inputs, dict):
        return {name: rounded(array) for name, array in inputs.items()}
    if isinstance(inputs, (list, tuple)):
        return [rounded(array) for array in inputs]
    array = np.asarray(inputs)
    return array.astype(np.float32).astype(np.float64) if array.dtype.kind == "f" else array


def with_weights(obj, path: str):
    """`obj` with the weights of a .safetensors file or a state_dict saved by torch.save.

    A file of another dtype changes the parameters' dtype, never the values; tied parameters need
    one of their names.  Pickled code in a .pt file is not run.
    """
    state = _read_state(path)
    tensors = obj.state_dict(keep_vars=True)
    _check_state(path, state, tensors)
    for key, value in state.items():
        tensors[key].data = value
    return obj


def _read_state(path: str) -> dict:
    import torch

    try:
        if path.endswith(".safetensors"):
            from safetensors.torch import load_file

            return load_file(path)
        state = torch.load(path, map_location="cpu", weights_only=True)
    except OSError:
        raise
    except Exception as error:
        raise BridgeError(f"{path}: cannot be read as tensors: {first_line(error)}") from None
    if not isinstance(state, dict) or not all(isinstance(v, torch.Tensor) for v in state.values()):
        raise BridgeError(f"{path}: is no state_dict, a dict of tensors by name")
    return state


def _check_state(path: str, state: dict, tensors: dict) -> None:
    """Refuse a file that lacks a weight, has an unknown one, or one of another shape."""
    given = {id(tensors[key]) for key in state if key in tensors}
    missing = [key for key, tensor in tensors.items() if id(tensor) not in given]
    unknown = [key for key in state if key not in tensors]
    for kind, keys in (("lacks", missing), ("has the unknown", unknown)):
        if keys:
            raise BridgeError(f"{path}: {kind} {', '.join(keys)}; is it this model's file?")
    for key, value in state.items():
        if value.shape != tensors[key].shape:
            raise BridgeError(f"{path}: {key} has shape {list(value.shape)}, "
                              f"expected {list(tensors[key].shape)}")


def first_line(error: Exception) -> str:
    """The first line of an error's text, or its class."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


@contextlib.contextmanager
def evaluating(obj):
    """Eval mode inside, every module's own mode back afterwards; CPU and eval are insisted on."""
    modes = [(module, module.training) for module in obj.modules()]
    for key, tensor in [*obj.named_parameters(), *obj.named_buffers()]:
        if tensor.device.type != "cpu":
            raise BridgeError(f"{key} is on {tensor.device}: call .cpu() on the model first")
    obj.eval()
    try:
        stuck = [Problem(path or "the model", type(module).__name__, "stays in training mode")
                 for path, module in obj.named_modules() if module.training]
        if stuck:
            raise Unsupported(stuck)
        yield
    finally:
        for module, mode in modes:
            module.training = mode


def example_tensors(obj, inputs) -> dict:
    """Tensors by the names of forward's parameters, floats in the dtype of the module's weights."""
    arrays = bind_inputs(input_names(obj, inputs), inputs)
    return {name: to_tensor(array, weight_dtype(obj)) for name, array in arrays.items()}


def input_names(obj, inputs) -> list[str]:
    """The parameters of forward that `inputs` (an array, or arrays by name) stand for."""
    parameters = inspect.signature(obj.forward).parameters.values()
    given = list(inputs) if isinstance(inputs, dict) else ["x"]
    if any(p.kind is p.VAR_POSITIONAL for p in parameters):
        return given
    required = [p.name for p in parameters if p.default is p.empty and p.kind is not p.VAR_KEYWORD]
    extra = [p.name for p in parameters if p.name in given and p.name not in required]
    return required + extra


def weight_dtype(obj):
    """The dtype of the module's first floating parameter or buffer, torch's default if it has none."""
    import torch

    for tensor in [*obj.parameters(), *obj.buffers()]:
        if tensor.is_floating_point():
            return tensor.dtype
    return torch.get_default_dtype()


def to_tensor(array, dtype):
    """A tensor of the array's values: floats in `dtype`, integers in int64, bool as it is."""
    import torch

    array = np.asarray(array)
    if array.dtype.kind not in "fiub":
        raise BridgeError(f"an input has dtype {array.dtype}, expected floats, integers or bool")
    tensor = torch.from_numpy(np.array(array, array.dtype.newbyteorder("="), order="C"))
    if array.dtype.kind == "b":
        return tensor
    return tensor.to(dtype if array.dtype.kind == "f" else torch.int64)


def to_numpy(tensor) -> np.ndarray:
    """A result's values; bfloat16 widened to float32."""
    import torch

    if tensor.dtype is torch.bfloat16:
        tensor = tensor.float()
    return tensor.detach().cpu().numpy()


def arguments(obj, tensors: dict) -> tuple[tuple, dict]:
    """(args, kwargs) for a call of forward; keyword-only and optional parameters go by name."""
    parameters = list(inspect.signature(obj.forward).parameters.values())
    if any(p.kind is p.VAR_POSITIONAL for p in parameters):
        return tuple(tensors.values()), {}
    leading = []
    for parameter in parameters:
        if parameter.name not in tensors or parameter.kind is parameter.KEYWORD_ONLY:
            break
        leading.append(parameter.name)
    return (tuple(tensors[name] for name in leading),
            {name: tensor for name, tensor in tensors.items() if name not in leading})


def enlarged(tensors: dict) -> dict:
    """The example with at least two samples: torch.export takes a size of 1 for a constant."""
    if any(t.ndim == 0 or t.shape[0] != 1 for t in tensors.values()):
        return tensors
    return {name: t.repeat(2, *[1] * (t.ndim - 1)) for name, t in tensors.items()}


def export(obj, tensors: dict):
    """The functional exported program of `obj`, all input axes as free as the network allows."""
    import torch

    from .torch_leaves import LeafError

    args, kwargs = arguments(obj, tensors)
    try:
        with torch.no_grad(), quiet(), beside_tensorflow():
            program = torch.export.export(obj, args, kwargs, dynamic_shapes=axes(obj, tensors))
            fixed = fixed_axes(program, tensors)
            if fixed:
                program = torch.export.export(obj, args, kwargs, dynamic_shapes=axes(obj, tensors, fixed))
            return program.run_decompositions({})
    except LeafError as error:
        raise Unsupported([error.problem]) from None
    except Exception as error:
        _run_once(obj, args, kwargs)
        raise BridgeError(f"torch.export cannot record {type(obj).__name__}: "
                          f"{first_line(error)}") from error


def axes(obj, tensors: dict, fixed=frozenset()):
    """What torch.export is told of the axes of the inputs: all are free but those (name, axis)."""
    import torch

    dims = torch.export.Dim
    shapes = {name: {axis: dims.STATIC if (name, axis) in fixed else dims.AUTO for axis in range(t.ndim)}
              for name, t in tensors.items()}
    several = [p.name for p in inspect.signature(obj.forward).parameters.values()
               if p.kind is p.VAR_POSITIONAL]
    return {several[0]: tuple(shapes.values())} if several else shapes


def fixed_axes(program, tensors: dict) -> set[tuple[str, int]]:
    """The input axes that a linear layer's width settles behind a flatten.

    torch.export notes only that some product of them has to be that width, which other sizes could
    meet as well.
    """
    import torch

    found = set()
    for node in program.graph.nodes:
        if node.target is torch.ops.aten.linear.default:
            width = node.args[0].meta["val"].shape[-1]
            if isinstance(width, torch.SymInt):
                found |= width.node.expr.free_symbols
    inputs = [n for n in program.graph.nodes if n.op == "placeholder"][-len(tensors):]
    return {(name, axis) for name, node in zip(tensors, inputs) if found
            for axis, dim in enumerate(node.meta["val"].shape)
            if isinstance(dim, torch.SymInt) and dim.node.expr in found}


def _run_once(obj, args, kwargs) -> None:
    """Run the module itself on the example: if that fails, its own words are the clearer ones."""
    import torch

    try:
        with torch.no_grad(), quiet():
            obj(*args, **kwargs)
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


def named_leaves(structure, kind) -> dict:
    """The leaves of class `kind` by name: "y", "y_0" and "y_1" of a tuple, the keys of a dict."""
    from torch.utils import _pytree as pytree

    leaves = [(path, leaf) for path, leaf in pytree.tree_flatten_with_path(structure)[0]
              if isinstance(leaf, kind)]
    names = leaf_names([tuple(map(_key, path)) for path, _ in leaves])
    return dict(zip(names, (leaf for _, leaf in leaves)))


def _key(key):
    """What a step of a path says: an index, a dict's key, or an attribute's name."""
    for attribute in ("idx", "key", "name"):
        if hasattr(key, attribute):
            return getattr(key, attribute)
    return str(key)


def exported_outputs(program) -> dict:
    """For each tensor that the program returns to its user, output name to graph node name."""
    from torch.export.graph_signature import OutputKind, TensorArgument

    returned = [spec.arg for spec in program.graph_signature.output_specs
                if spec.kind is OutputKind.USER_OUTPUT]
    structure = program.call_spec.out_spec.unflatten(returned)
    return {name: arg.name for name, arg in named_leaves(structure, TensorArgument).items()}


def _warn_fixed(graph: Graph) -> None:
    """Say which inputs have a first axis that the network has fixed.

    A state of a recurrent layer has its layers there: its free axis is another input's too.
    """
    free = [{dim for dim in item.shape if isinstance(dim, str)} for item in graph.inputs]
    for n, item in enumerate(graph.inputs):
        others = set().union(*free[:n], *free[n + 1:])
        if item.shape and isinstance(item.shape[0], int) and not free[n] & others:
            warnings.warn(f"the network works for {item.shape[0]} samples only: it fixes the first "
                          f"axis of {item.name}", BridgeWarning, stacklevel=3)


def _warn_ranges(obj, trace: Trace, inputs: dict) -> None:
    """Say where forward asked for a size and the record holds one branch only."""
    for symbol, bounds in trace.program.range_constraints.items():
        low, high, name = int(bounds.lower), bounds.upper, trace.symbols.get(symbol, symbol)
        # A kernel or a table bounds sizes too: there the module itself refuses others.
        parts = [f"{name} >= {low}"] * (low > 2 and _runs(obj, trace, inputs, symbol, low - 1))
        if high.is_Integer and _runs(obj, trace, inputs, symbol, int(high) + 1):
            parts.append(f"{name} <= {high}")
        if parts:
            warnings.warn("forward depends on a size: the graph holds for "
                          f"{' and '.join(parts)} only", BridgeWarning, stacklevel=3)


def _runs(obj, trace: Trace, inputs: dict, symbol, size: int) -> bool:
    """Whether the module itself runs on zeros where `symbol` has this size."""
    import torch

    shapes = {name: node.meta["val"].shape for name, node in
              zip(inputs, [n for n in trace.program.graph.nodes if n.op == "placeholder"][-len(inputs):])}
    sizes = {dim.node.expr: extent for name, shape in shapes.items()
             for dim, extent in zip(shape, inputs[name].shape)
             if isinstance(dim, torch.SymInt) and dim.node.expr.is_Symbol}
    sizes[symbol] = size
    args, kwargs = arguments(obj, {
        name: torch.zeros([int(dim.node.expr.subs(sizes)) if isinstance(dim, torch.SymInt) else dim
                           for dim in shape], dtype=inputs[name].dtype)
        for name, shape in shapes.items()})
    try:
        with evaluating(obj), torch.no_grad(), quiet():
            obj(*args, **kwargs)
    except Exception:  # whatever the module raises for such a size
        return False
    return True
