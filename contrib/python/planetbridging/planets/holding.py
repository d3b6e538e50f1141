"""The floats that a live network holds, by name, and the same network with other values in them.

    with holding.held("pytorch", module) as own:
        own.values                       {"0.weight": array, ...}: parameters and trained statistics
        own.put({"0.weight": array})     the network with these; what is not given stays
        own.keep()                       what was put stays when the block ends, else the old comes back

Tied parameters stand under the first of their names.  bfloat16 appears as float32.
"""

from __future__ import annotations

import contextlib

import numpy as np

from ..graph import BridgeError
from . import canonical

DIGITS = {"float64": 52, "float32": 23, "float16": 10, "bfloat16": 7}
"""Whole numbers below 2^N fit into a type."""


class Held:
    """What the classes below share; `digits` is the least DIGITS of all values."""

    def __init__(self, obj, values: dict, dtypes):
        self.obj, self.values, self._kept = obj, values, False
        self.digits = min((DIGITS[dtype] for dtype in dtypes), default=DIGITS["float32"])

    def put(self, values: dict):
        """The network with these values."""
        raise NotImplementedError

    def keep(self) -> None:
        """Do not take the old values back."""
        self._kept = True

    def release(self) -> None:
        """The old values, unless `keep` was called."""
        if not self._kept:
            self.put(self.values)


class Torch(Held):
    """Parameters and buffers of a module, written in place."""

    def __init__(self, obj):
        names: dict[int, str] = {}
        self.tensors = {}
        for name, tensor in obj.state_dict(keep_vars=True).items():
            if tensor.is_floating_point() and names.setdefault(id(tensor), name) == name:
                self.tensors[name] = tensor
        values = {name: self._array(tensor) for name, tensor in self.tensors.items()}
        super().__init__(obj, values, (str(t.dtype).removeprefix("torch.") for t in self.tensors.values()))

    @staticmethod
    def _array(tensor) -> np.ndarray:
        plain = tensor.detach().cpu()
        return (plain.float() if str(plain.dtype) == "torch.bfloat16" else plain).numpy().copy()

    def put(self, values: dict):
        import torch

        with torch.no_grad():
            for name, array in values.items():
                self.tensors[name].copy_(torch.from_numpy(np.array(array)))
        return self.obj


class Keras(Held):
    """Variables of a model, written in place."""

    def __init__(self, obj):
        if not obj.built:
            raise BridgeError(f"{obj.name} is not built yet: it has no weights that could be replaced")
        floats = [v for v in obj.variables if str(v.dtype) in DIGITS]
        self.variables = {}
        for variable in floats:
            name, count = variable.path, 1
            while name in self.variables:
                count += 1
                name = f"{variable.path}_{count}"
            self.variables[name] = variable
        values = {name: np.array(v.numpy(), np.float32 if str(v.dtype) == "bfloat16" else None)
                  for name, v in self.variables.items()}
        super().__init__(obj, values, (str(v.dtype) for v in floats))

    def put(self, values: dict):
        for name, array in values.items():
            self.variables[name].assign(array)
        return self.obj


class Jax(Held):
    """Leaves of a tree; what `put` returns is another object, only `keep` changes an nnx module."""

    def __init__(self, obj):
        from .jax_ import _flat, _is_module, _is_nnx

        self.nnx, self.last = _is_nnx(obj), None
        if not self.nnx and _is_module(obj):
            obj = obj.unbind()
        self.leaves, names, self.structure = _flat(self._tree(obj))
        self.places = {name: n for n, (name, leaf) in enumerate(zip(names, self.leaves))
                       if str(getattr(leaf, "dtype", "")) in DIGITS}
        values = {name: self._array(self.leaves[n]) for name, n in self.places.items()}
        super().__init__(obj, values, (str(self.leaves[n].dtype) for n in self.places.values()))

    def _tree(self, obj):
        from flax import nnx

        return nnx.split(obj)[1] if self.nnx else obj[1]

    @staticmethod
    def _array(leaf) -> np.ndarray:
        return np.array(leaf, np.float32 if str(leaf.dtype) == "bfloat16" else None)

    def put(self, values: dict):
        import jax

        whole = list(self.leaves)
        for name, array in values.items():
            n = self.places[name]
            whole[n] = jax.numpy.asarray(array, self.leaves[n].dtype)
        self.last = jax.tree.unflatten(self.structure, whole)
        if not self.nnx:
            return self.obj[0], self.last
        from flax import nnx

        return nnx.merge(nnx.split(self.obj)[0], self.last)

    def keep(self) -> None:
        super().keep()
        if self.nnx:
            from flax import nnx

            nnx.update(self.obj, self.last)

    def release(self) -> None:
        """Nothing was written in place."""


HOLDERS = {"pytorch": Torch, "keras": Keras, "jax": Jax}


@contextlib.contextmanager
def held(planet: str, obj):
    """The network's floats while a block lasts."""
    name = canonical(planet)
    if name not in HOLDERS:
        raise BridgeError(f"{name} networks take no weights back: {', '.join(HOLDERS)} do")
    own = HOLDERS[name](obj)
    try:
        yield own
    finally:
        own.release()
