"""PyTorch: any module tree whose ATen operations are in the stream's vocabulary.

`torch.export` records the network with symbolic sizes, `run_decompositions({})` makes it functional
and keeps linear, gelu and softmax whole, and one row of `torch_ops.OPERATIONS` per ATen operation
turns the record into nodes.  Weights come from the exported program under the names of the module's
own parameters, in their own dtype; tied ones are one parameter there.
"""

from __future__ import annotations

import contextlib
import inspect
import io
import logging
import sys
import warnings

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
    from .torch_ops import Translator, supported

    if example is None:
        raise BridgeError("pytorch needs an example of the inputs (--input), for ranks and dtypes")
    inputs = example_tensors(obj, example)
    with evaluating(obj):
        program = export(obj, enlarged(inputs))
    versions = {package: installed_version(package) for package in ("torch", "numpy")}
    builder = Builder("pytorch", versions, name or type(obj).__name__.lower(), supported())
    translator = Translator(builder, program, obj)
    graph = translator.run(list(inputs), exported_outputs(program))
    warn_precision(graph)
    _warn_fixed(graph)
    _warn_ranges(program, translator.symbols)
    return graph


def native(obj, inputs) -> dict[str, np.ndarray]:
    """The module's own outputs on the CPU, in eval mode, without gradients.

    Float inputs are converted to the dtype of the module's parameters, as `emit` does; bfloat16
    outputs are returned as float32, exactly, because NumPy has no such type.
    """
    import torch

    tensors = example_tensors(obj, inputs)
    args, kwargs = arguments(obj, tensors)
    with evaluating(obj), torch.no_grad():
        try:
            result = obj(*args, **kwargs)
        except Exception as error:  # any error of the user's own code may come
            raise BridgeError(f"{type(obj).__name__} cannot run these inputs: "
                              f"{one_line(error)}") from error
    leaves = named_leaves(result, torch.Tensor)
    names = Builder("pytorch", {}, "").reserve([*tensors, *leaves])[len(tensors):]
    return {name: to_numpy(leaf) for name, leaf in zip(names, leaves.values())}


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
    """The dtype of the module's first floating parameter or buffer, float32 if it has none."""
    import torch

    for tensor in [*obj.parameters(), *obj.buffers()]:
        if tensor.is_floating_point():
            return tensor.dtype
    return torch.float32


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

    args, kwargs = arguments(obj, tensors)
    free = lambda t: {axis: torch.export.Dim.AUTO for axis in range(t.ndim)}  # noqa: E731
    shapes = [free(t) for t in args]
    parameters = list(inspect.signature(obj.forward).parameters.values())
    if any(p.kind is p.VAR_POSITIONAL for p in parameters):
        by_name = {next(p.name for p in parameters if p.kind is p.VAR_POSITIONAL): tuple(shapes)}
    else:
        by_name = {name: free(t) for name, t in tensors.items()}
    try:
        with torch.no_grad(), quiet(), beside_tensorflow():
            program = torch.export.export(obj, args, kwargs, dynamic_shapes=by_name)
            return program.run_decompositions({})
    except Exception as error:
        _run_once(obj, args, kwargs)
        raise BridgeError(f"torch.export cannot record {type(obj).__name__}: "
                          f"{first_line(error)}") from error


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
    """Say which inputs have a first axis that the network has fixed."""
    for item in graph.inputs:
        if item.shape and isinstance(item.shape[0], int):
            warnings.warn(f"the network works for {item.shape[0]} samples only: it fixes the first "
                          f"axis of {item.name}", BridgeWarning, stacklevel=3)


def _warn_ranges(program, symbols: dict) -> None:
    """Say where forward asked for a size and the record holds one branch only."""
    for symbol, bounds in program.range_constraints.items():
        low, high = int(bounds.lower), bounds.upper
        parts = [f"{symbols.get(symbol, symbol)} >= {low}"] * (low > 2)
        parts += [f"{symbols.get(symbol, symbol)} <= {high}"] * bool(high.is_Integer)
        if parts:
            warnings.warn("forward depends on a size: the graph holds for "
                          f"{' and '.join(parts)} only", BridgeWarning, stacklevel=3)
