"""Networks whose packages are not installed: built by the package's own module, which is fetched."""

from __future__ import annotations

import importlib
import sys
import types

from .fetch import unpacked


def module(package: str, version: str, name: str, absent: tuple[str, ...] = ()):
    """The module `name` of a fetched package, imported without the packages around it.

    Their __init__ would want what the network does not: reading sound, drawing.  Modules in `absent`
    are empty for the same reason.
    """
    folder = unpacked(package, version)
    parents = name.split(".")[:-1]
    for n in range(len(parents)):
        around = types.ModuleType(".".join(parents[:n + 1]))
        around.__path__ = ["/".join([folder, *parents[:n + 1]])]
        sys.modules[around.__name__] = around
    for other in absent:
        sys.modules[other] = types.ModuleType(other)
        setattr(sys.modules[other.rpartition(".")[0]], other.rpartition(".")[2], sys.modules[other])
    return importlib.import_module(name)
