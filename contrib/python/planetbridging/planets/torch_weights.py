"""Weights from a file into a live PyTorch module."""

from __future__ import annotations

import torch

from ..graph import BridgeError
from .torch_export import first_line


WRAPPERS = ("_orig_mod.", "module.")
"""What torch.compile and data-parallel training put before the names of weights."""


def load(obj, path: str):
    """`obj` with the weights of the file; names that wrappers gave lose their prefixes."""
    state = _read_state(path)
    tensors = {stripped(key): tensor for key, tensor in obj.state_dict(keep_vars=True).items()}
    state = {key if key in tensors else stripped(key): value for key, value in state.items()}
    _check_state(path, state, tensors)
    for key, value in state.items():
        tensors[key].data = value
    return obj


def stripped(key: str) -> str:
    """A weight's name without what wrappers put before it or into it."""
    for prefix in WRAPPERS:
        key = key.removeprefix(prefix)
    return key.replace("._orig_mod.", ".")


def _read_state(path: str) -> dict:
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
