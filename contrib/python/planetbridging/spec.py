"""From a SPEC ("pkg.mod:build", a model.keras, or with --trust a pickle) to the live object."""

from __future__ import annotations

import importlib
import inspect
import os
import re
import sys

from . import planets
from .graph import BridgeError, UsageError

SPEC = re.compile(r"([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*):([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*)")
NAME = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*")
TRUSTED_SUFFIXES = (".pkl", ".pickle", ".joblib")
SUFFIXES = (*TRUSTED_SUFFIXES, ".keras", ".h5")


def resolve(spec: str, planet: str | None = None, weights: str | None = None,
            trust: bool = False) -> tuple[str, object]:
    """(planet, object) for a SPEC; with `weights` the object has the weights of that file.

    Without `planet` the object decides.  UsageError for a SPEC that names nothing.
    """
    match = SPEC.fullmatch(spec)
    if match:
        obj = build(*match.groups(), planet)
    else:
        planet = planet or planet_of_path(spec)
        obj = load(spec, planet, trust)
    if weights is not None:
        planet = planet or planets.of(obj)
        obj = with_weights(obj, planet, weights)
    return confirmed(obj, planet), obj


def confirmed(obj, planet: str | None) -> str:
    """The planet of `obj`; BridgeError if it is not the one that the user named."""
    if planet is None:
        return planets.of(obj)
    planet = planets.canonical(planet)
    if not planets.module(planet).owns(obj):
        cls = type(obj)
        wanted = getattr(planets.module(planet), "NETWORKS", "")
        raise BridgeError(f"{cls.__module__}.{cls.__qualname__} is no network of {planet}"
                          + (f": expected {wanted}" if wanted else ""))
    return planet


def build(module_name: str, attribute: str, planet: str | None):
    """The object that `module:attribute` names or, if that is a callable of no arguments, returns.

    The current folder is searched first, as with `python -m`.
    """
    if os.getcwd() not in sys.path and "" not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        obj = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if not error.name or not (module_name + ".").startswith(error.name + "."):
            raise
        raise UsageError(f"no module {error.name} in the current folder or on the Python path") \
            from None
    for part in attribute.split("."):
        if not hasattr(obj, part):
            raise UsageError(f"{module_name} has no {attribute}")
        obj = getattr(obj, part)
    return obj() if is_builder(obj, planet) else obj


def is_builder(obj, planet: str | None) -> bool:
    """Whether `obj` is to be called for the network: a class, or a function without arguments.

    A live network may be callable too; the planets are asked first.
    """
    if inspect.isclass(obj):
        return True
    if not callable(obj) or _owned(obj, planet):
        return False
    try:
        inspect.signature(obj).bind()
    except (TypeError, ValueError):
        return False
    return True


def _owned(obj, planet: str | None) -> bool:
    if inspect.isfunction(obj) or inspect.isbuiltin(obj):
        return False
    if planet:
        return planets.module(planet).owns(obj)
    try:
        return bool(planets.of(obj))
    except BridgeError:
        return False


def planet_of_path(path: str) -> str:
    """The planet whose files end as `path` does."""
    if path.endswith(".keras"):
        return "keras"
    if path.endswith(TRUSTED_SUFFIXES):
        return "sklearn"
    raise UsageError(f"{path}: expected pkg.mod:build, a .keras file or a scikit-learn pickle "
                     f"({', '.join(TRUSTED_SUFFIXES)}); name the planet if it is one under "
                     "another name")


def load(path: str, planet: str, trust: bool):
    """The object in a file; one that may run code only with `trust`."""
    module = planets.module(planet)
    if not os.path.exists(path) and NAME.fullmatch(path) and not path.endswith(SUFFIXES):
        raise UsageError(f"{path}: no such file; an object of a module is written {path}:NAME")
    with open(path, "rb"):
        pass
    if hasattr(module, "load") and not trust:
        return module.load(path)
    if not hasattr(module, "load_trusted"):
        raise UsageError(f"{planet} takes pkg.mod:build, not a file; "
                         "weights go with --weights or --params")
    if not trust:
        raise UsageError(f"{path}: loading a pickle runs whatever code it holds; "
                         "if you know where it comes from, say --trust")
    return module.load_trusted(path)


def with_weights(obj, planet: str, path: str):
    """`obj` with the weights in the file `path`, by its planet's own rules."""
    module = planets.module(planet)
    if not hasattr(module, "with_weights"):
        raise UsageError(f"{planets.canonical(planet)} takes no file of weights")
    with open(path, "rb"):
        pass
    return module.with_weights(obj, path)
