"""What Python programs call: emit, native, taps and check, for an object of any planet."""

from __future__ import annotations

import warnings

from . import folding, planets
from .checking import CheckResult, run_check
from .graph import BridgeWarning, Graph


def emit(obj, *, example=None, planet: str | None = None, name: str | None = None,
         fold: str | None = None) -> Graph:
    """The live network `obj` as a graph, ready for `planetbridging.write`.

    `example` is one array, or arrays by input name: planets that trace (PyTorch, JAX) need it for
    ranks and dtypes, its values and its batch size do not matter.  Raises `Unsupported` with all
    that the stream's vocabulary has no word for.  With `fold` "batchnorm" each batch norm right behind
    a dense layer or convolution becomes a part of it, which a warning names.
    """
    planet = planet or planets.of(obj)
    warn_versions(planet)
    with planets.ONE_AT_A_TIME:
        graph = planets.module(planet).emit(obj, example=example, name=name)
    if fold is not None:
        gone = folding.fold(graph, fold)
        warnings.warn(f"folded into the layers before them: {', '.join(gone) or 'nothing'}",
                      BridgeWarning, stacklevel=2)
    return graph


def native(obj, inputs, *, planet: str | None = None, precision: str = "float32") -> dict:
    """The framework's own outputs for `inputs` (one array, or arrays by name), by output name.

    With `precision` "float64" a copy of the network with the same weights computes in float64, on
    the inputs as float32 has them.
    """
    planet = planet or planets.of(obj)
    warn_versions(planet)
    with planets.ONE_AT_A_TIME:
        return planets.native(planet, obj, as_dict(inputs), precision)


def taps(obj, inputs, *, planet: str | None = None, precision: str = "float32") -> dict:
    """What the framework computes on the way: arrays by the tensor names of `emit(obj)`'s graph.

    Tensors that the framework itself does not make are not among them.  `precision` is as in
    `native`.
    """
    planet = planet or planets.of(obj)
    warn_versions(planet)
    with planets.ONE_AT_A_TIME:
        return planets.taps(planet, obj, as_dict(inputs), precision)


def check(obj, inputs, *, planet: str | None = None, name: str | None = None,
          options: list[str] = (), keep: str | None = None, fold: str | None = None) -> CheckResult:
    """Emit `obj`, run it in Loom on `inputs` and compare with the framework's own outputs.

    `options` are passed to loom-compare, as ["--atol", "1e-6"]; with `keep` all files stay in that
    folder.  Raises MachineError if the Loom programs are not found.
    """
    inputs = as_dict(inputs)
    planet = planet or planets.of(obj)
    graph = emit(obj, example=inputs, planet=planet, name=name, fold=fold)
    with planets.ONE_AT_A_TIME:
        outputs = planets.native(planet, obj, inputs)
    return run_check(graph, inputs, outputs, options, keep)


def as_dict(inputs) -> dict:
    """Arrays by name: a single array is called "x"."""
    return dict(inputs) if isinstance(inputs, dict) else {"x": inputs}


def warn_versions(planet: str) -> None:
    """Warn, in one line a package, of versions that the planet's emitter was not checked with."""
    for line in planets.version_warnings(planet):
        warnings.warn(line, BridgeWarning, stacklevel=3)
