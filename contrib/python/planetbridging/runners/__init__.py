"""Runners: engines that compute what a file says, one module each, called by name.

    python -m planetbridging run onnxruntime net.onnx < x.npy > y.npy

A runner module has
  PACKAGE                        what pip installs for it
  MODULES                        the import names without which it cannot run, the first is its own
  READS                          what a MODEL of it is, for the user
  SETTINGS                       how it computes, for the user: its defaults are chosen for plain float32
  run(model, inputs, threads, spec) -> dict
                                 the outputs by name; `inputs` are arrays by name, where there is one of
                                 each the name does not matter; `spec` stands behind the colon in ENGINE
No module imports its engine before `run` is called.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import os
import sys

import numpy as np

from ..graph import BridgeError, MachineError, UsageError
from ..planets import installed_version

ENGINES = {"onnxruntime": "onnx_runtime", "openvino": "open_vino", "transformers": "hugging_face",
           "llama.cpp": "llama_cpp", "loom": "welvet_loom", "torch": "live_torch",
           "keras": "live_keras", "jax": "live_jax"}
"""Engine name to module, in the order of tables."""

LIVE = ("torch", "keras", "jax")
"""Engines that need a module of the user's: ENGINE:pkg.mod:build."""


def module(engine: str):
    """The module of the engine called `engine`, without what stands behind a colon."""
    name, _, spec = engine.partition(":")
    if name not in ENGINES:
        raise UsageError(f"unknown engine {name}; there are {', '.join(ENGINES)}")
    if spec and name not in LIVE:
        raise UsageError(f"{engine}: {name} takes no pkg.mod:build; {', '.join(LIVE)} do")
    return importlib.import_module(f"{__name__}.{ENGINES[name]}")


def installed(engine: str):
    """The engine's module; MachineError if what it needs is not installed."""
    runner, name = module(engine), engine.partition(":")[0]
    for needed in runner.MODULES:
        if importlib.util.find_spec(needed) is None:
            raise MachineError(f"{name} needs the Python package {needed}, which is not installed: "
                               f"pip install {runner.PACKAGE}")
    return runner


def run(engine: str, model: str, inputs: dict[str, np.ndarray], threads: int = 1) -> dict[str, np.ndarray]:
    """What the engine computes from the file or directory `model`, arrays by output name."""
    name, _, spec = engine.partition(":")
    runner = installed(engine)
    if name in LIVE and not spec:
        raise UsageError(f"{name} runs a module of yours: write {name}:pkg.mod:build")
    os.stat(model)
    return runner.run(model, inputs, threads, spec)


def about(engine: str) -> str:
    """What the engine reads, how it is set, and the versions that are installed, a line each."""
    runner, name = module(engine), engine.partition(":")[0]
    lines = [f"engine: {name}", f"model: {runner.READS}", f"settings: {runner.SETTINGS}"]
    for package in (*runner.MODULES, "numpy"):
        lines.append(f"{package}: {installed_version(package) or 'not installed'}")
    return "\n".join(lines)


def cast(name: str, array: np.ndarray, dtype) -> np.ndarray:
    """An input in the type that the model wants; BridgeError for what is not the same kind of number."""
    dtype = np.dtype(dtype)
    if array.dtype.kind.replace("u", "i") != dtype.kind.replace("u", "i"):
        raise BridgeError(f"input {name} is {array.dtype.name}, the model wants {dtype.name}")
    if array.dtype.kind in "iu" and array.size and not (
            np.iinfo(dtype).min <= array.min() and array.max() <= np.iinfo(dtype).max):
        raise BridgeError(f"input {name} holds numbers that {dtype.name} has not")
    return np.ascontiguousarray(array, dtype)


@contextlib.contextmanager
def quiet():
    """Standard error closed for a while: some engines draw bars there, or log what they then raise."""
    sys.stderr.flush()
    kept, null = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(null, 2)
        yield
    finally:
        sys.stderr.flush()
        os.dup2(kept, 2)
        os.close(kept)
        os.close(null)
