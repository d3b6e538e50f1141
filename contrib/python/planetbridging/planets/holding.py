"""The arrays that a live network holds, by name, and the same network with other values in them.

    with holding.held("pytorch", module) as own:
        own.values                       {"0.weight": array, ...}: parameters and trained statistics
        own.others                       the same for whole numbers and truth values that it keeps
        own.aliases                      {"head.weight": "table.weight", ...}: more names of the same
        own.put({"0.weight": array})     the network with these; what is not given stays
        own.keep()                       what was put stays when the block ends, else the old comes back

Names are the sources of `emit`.  Tied parameters stand under the first of theirs.  bfloat16 appears as
float32.
"""

from __future__ import annotations

import contextlib

import numpy as np

from ..graph import BridgeError
from . import canonical
from .keras_variables import names_of

DIGITS = {"float64": 52, "float32": 23, "float16": 10, "bfloat16": 7}
"""Whole numbers below 2^N fit into a type."""


class Held:
    """What the classes below share; `digits` is the least DIGITS of all values."""

    aliases: dict[str, str] = {}

    def __init__(self, obj, arrays: dict, dtypes):
        dtypes = {name: dtype for name, dtype in zip(arrays, dtypes)}
        self.obj, self._kept = obj, False
        self.values = {name: array for name, array in arrays.items() if dtypes[name] in DIGITS}
        self.others = {name: array for name, array in arrays.items() if dtypes[name] not in DIGITS}
        self.digits = min((DIGITS[dtypes[name]] for name in self.values), default=DIGITS["float32"])

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
        import torch

        from .torch_weights import stripped

        names: dict[int, str] = {}
        self.tensors, self.aliases = {}, {}
        for name, tensor in obj.state_dict(keep_vars=True).items():
            if not isinstance(tensor, torch.Tensor):
                continue
            name = stripped(name)
            if names.setdefault(id(tensor), name) == name:
                self.tensors[name] = tensor
            else:
                self.aliases[name] = names[id(tensor)]
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
        names = names_of(obj.variables)
        self.variables = {names[id(v)]: v for v in obj.variables}
        values = {name: np.array(v.numpy(), np.float32 if str(v.dtype) == "bfloat16" else None)
                  for name, v in self.variables.items()}
        super().__init__(obj, values, (str(v.dtype) for v in self.variables.values()))

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
        if not self.nnx and _is_module(obj[0]) and "params" not in obj[1]:
            names = [f"params/{name}" for name in names]
        # Keys of random numbers are no arrays.
        self.places = {name: n for n, (name, leaf) in enumerate(zip(names, self.leaves))
                       if isinstance(getattr(leaf, "dtype", None), np.dtype)}
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
    """The network's arrays while a block lasts."""
    name = canonical(planet)
    if name not in HOLDERS:
        raise BridgeError(f"{name} networks take no weights back: {', '.join(HOLDERS)} do")
    own = HOLDERS[name](obj)
    try:
        yield own
    finally:
        own.release()
