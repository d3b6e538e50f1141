"""The planets: one module per framework, found by name or by asking each whose object this is.

A planet module has
  MODULE                         the framework's import name
  VERSIONS                       {import name: versions it was checked with, as "2.15"}
  owns(obj) -> bool              whether the object is one of the framework's networks
  emit(obj, *, example=None, name=None) -> Graph
                                 `example`: one array, or arrays by input name
  native(obj, inputs) -> dict    the framework's own outputs, by the names of `Graph.outputs`;
                                 `inputs` are arrays by input name (`graph.bind_inputs`)
  taps(obj, inputs, precision="float32") -> dict
                                 the framework's own tensors by the names of the graph's; those
                                 that it does not make are absent.  JAX's takes `example` too,
                                 whose graph it is
and where it makes sense
  native(obj, inputs, precision="float32") -> dict
                                 "float64": a copy of the network with the same weights, exactly,
                                 computes in float64, on the inputs as float32 has them
  with_weights(obj, path) -> obj the object with the weights of a file (--weights, --params)
  load(path) -> obj              the object in a file (a SPEC that is a path), without running code
  load_trusted(path) -> obj      the same, but the file may run code (--trust)
  NETWORKS                       what an object of the planet may be, for who gives another one
No module imports its framework before a function of it is called.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import inspect
import sys
import threading

from ..graph import BridgeError, MachineError, UsageError

PLANETS = {"pytorch": "torch_", "keras": "keras_", "jax": "jax_", "sklearn": "sklearn_"}
"""Planet name to module, in the order in which objects are offered to them."""

ALIASES = {"torch": "pytorch", "tensorflow": "keras", "tf": "keras", "flax": "jax",
           "scikit-learn": "sklearn"}

ROOTS = {"pytorch": ("torch",), "keras": ("keras", "tensorflow"), "jax": ("jax", "flax"),
         "sklearn": ("sklearn",)}
"""The packages without which no object of the planet can exist."""

PACKAGES = {"pytorch": "torch safetensors", "keras": "tensorflow keras", "jax": "jax flax",
            "sklearn": "scikit-learn"}
"""What to install for a planet: the extras of pyproject.toml, by their own names because another
package is published under ours."""

DISTRIBUTIONS = {"sklearn": "scikit-learn"}

ONE_AT_A_TIME = threading.RLock()
"""Held while a planet works: some of its framework's settings are the whole process's."""


def canonical(name: str) -> str:
    """The planet called `name` or one of its other names; UsageError lists them all."""
    planet = ALIASES.get(name, name)
    if planet not in PLANETS:
        raise UsageError(f"unknown planet {name}; there are {', '.join(PLANETS)}")
    return planet


def module(planet: str):
    """The planet's module; MachineError if its framework is not installed."""
    planet = canonical(planet)
    root = ROOTS[planet][0]
    if importlib.util.find_spec(root) is None:
        raise MachineError(f"{planet} needs the Python package {root}, which is not installed: "
                           f"pip install {PACKAGES[planet]}")
    return importlib.import_module(f"{__name__}.{PLANETS[planet]}")


def native(planet: str, obj, inputs: dict, precision: str = "float32") -> dict:
    """The planet's own outputs; UsageError if it cannot compute in another precision."""
    function = module(planet).native
    if precision == "float32":
        return function(obj, inputs)
    if "precision" not in inspect.signature(function).parameters:
        raise UsageError(f"{canonical(planet)} computes in the precision of its own weights: "
                         f"{precision} cannot be asked for")
    return function(obj, inputs, precision)


def taps(planet: str, obj, inputs: dict, precision: str = "float32", example=None) -> dict:
    """The planet's own tensors on the way; UsageError if it cannot compute in that precision.

    `example` is what the graph was emitted for, where names may depend on that.
    """
    function = module(planet).taps
    more = {"example": example} if "example" in inspect.signature(function).parameters else {}
    return function(obj, inputs, precision, **more)


def of(obj) -> str:
    """The name of the planet that `obj` belongs to, or BridgeError naming its class."""
    for planet, roots in PLANETS.items():
        if any(root in sys.modules for root in ROOTS[planet]) and module(planet).owns(obj):
            return planet
    cls = type(obj)
    raise BridgeError(f"{cls.__module__}.{cls.__qualname__} is no network of "
                      f"{', '.join(PLANETS)}; name the planet if it should be")


def version_warnings(planet: str) -> list[str]:
    """One line per package that is installed in a version the planet was not checked with."""
    lines = []
    for package, supported in getattr(module(planet), "VERSIONS", {}).items():
        found = installed_version(package)
        if found and ".".join(found.split(".")[:2]) not in supported:
            lines.append(f"{package} {found} is installed; checked with {', '.join(supported)}")
    return lines


def installed_version(package: str) -> str:
    """The version of an installed package by its import name, or ""."""
    try:
        return importlib.metadata.version(DISTRIBUTIONS.get(package, package)).split("+")[0]
    except importlib.metadata.PackageNotFoundError:
        return getattr(sys.modules.get(package), "__version__", "")
