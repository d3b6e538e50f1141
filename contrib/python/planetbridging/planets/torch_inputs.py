"""What goes into a PyTorch module and comes out of it: tensors by name, arrays, arguments of a call."""

from __future__ import annotations

import dataclasses
import inspect

import numpy as np
import torch
from torch.utils import _pytree as pytree

from ..graph import BridgeError, bind_inputs
from .signature import leaf_names


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
    for tensor in [*obj.parameters(), *obj.buffers()]:
        if tensor.is_floating_point():
            return tensor.dtype
    return torch.get_default_dtype()


def to_tensor(array, dtype):
    """A tensor of the array's values: floats in `dtype`, integers in int64, bool as it is."""
    array = np.asarray(array)
    if array.dtype.kind not in "fiub":
        raise BridgeError(f"an input has dtype {array.dtype}, expected floats, integers or bool")
    tensor = torch.from_numpy(np.array(array, array.dtype.newbyteorder("="), order="C"))
    if array.dtype.kind == "b":
        return tensor
    return tensor.to(dtype if array.dtype.kind == "f" else torch.int64)


def to_numpy(tensor) -> np.ndarray:
    """A result's values; bfloat16 widened to float32."""
    if tensor.dtype is torch.bfloat16:
        tensor = tensor.float()
    return tensor.detach().cpu().numpy()


def rounded(inputs):
    """The inputs with floats rounded to float32, as Loom takes them."""
    if isinstance(inputs, dict):
        return {name: rounded(array) for name, array in inputs.items()}
    if isinstance(inputs, (list, tuple)):
        return [rounded(array) for array in inputs]
    array = np.asarray(inputs)
    return array.astype(np.float32).astype(np.float64) if array.dtype.kind == "f" else array


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


def named_leaves(structure, kind) -> dict:
    """The leaves of class `kind` by name: "y", "y_0" and "y_1" of a tuple, the keys of a dict."""
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


def register(structure) -> bool:
    """Tell torch of the dataclasses in a result, whose fields it takes for no tensors otherwise."""
    found = {type(leaf) for leaf in pytree.tree_leaves(structure)
             if dataclasses.is_dataclass(leaf) and not isinstance(leaf, type)}
    for cls in found:
        pytree.register_dataclass(cls)
    if found:
        register(structure)
    return bool(found)
