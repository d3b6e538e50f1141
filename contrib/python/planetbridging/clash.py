"""Another package of this name: openfluke/planetbridging, which PyPI has, in the same environment.

Two packages cannot share one name.  pip replaces one by the other, but other ways of installing leave
both, with modules of one inside the other.
"""

from __future__ import annotations

import importlib.metadata
from pathlib import Path

from . import __version__
from .graph import MachineError

NAME = "planetbridging"
OTHERS = ("_binary.py", "_paths.py", "poc_engine.py", "welvet_infer.py")
"""Modules of the other package, none of which is here."""


def found(folder: Path | None = None) -> str:
    """What stands beside this package, in words, or "".

    Where this package is not installed but read from a checkout, it was put before others on purpose:
    only files inside it count.
    """
    folder = folder or Path(__file__).resolve().parent
    mixed = [name for name in OTHERS if (folder / name).exists()]
    if mixed:
        return f"{folder} holds modules of another planetbridging ({mixed[0]})"
    versions = sorted(_installed_at(folder.parent) - {__version__})
    if versions:
        return f"{folder.parent} holds planetbridging {versions[0]} too, another project's package"
    return ""


def _installed_at(site: Path) -> set[str]:
    """The versions of every package of this name that is installed in one folder."""
    return {item.version for item in importlib.metadata.distributions(name=NAME, path=[str(site)])}


def refuse() -> None:
    """MachineError if another package of this name is mixed with this one."""
    what = found()
    if what:
        raise MachineError(f"{what}: uninstall both (pip uninstall planetbridging, twice), then "
                           "install the one you mean")
