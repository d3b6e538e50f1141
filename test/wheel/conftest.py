"""What the tests of the wheels share."""

from __future__ import annotations

import os
import platform
import subprocess
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ARCHES = ("x86_64", "aarch64")
OWN = platform.machine()


def wheel_of(arch: str) -> Path:
    """The one wheel for a processor; the test fails if there is none."""
    found = sorted((ROOT / "build" / "wheel").glob(f"planetbridging-*_{arch}.whl"))
    assert len(found) == 1, f"{len(found)} wheels for {arch} in build/wheel: run make wheel"
    return found[0]


@pytest.fixture(params=ARCHES)
def arch(request) -> str:
    return request.param


@pytest.fixture(scope="session")
def programs(tmp_path_factory):
    """A function: processor to a folder with the programs of its wheel."""
    made = {}

    def unpack(arch: str) -> Path:
        if arch not in made:
            made[arch] = tmp_path_factory.mktemp(arch)
            with zipfile.ZipFile(wheel_of(arch)) as archive:
                for item in archive.infolist():
                    if "/scripts/" in item.filename:
                        target = made[arch] / Path(item.filename).name
                        target.write_bytes(archive.read(item))
                        target.chmod(item.external_attr >> 16 & 0o777)
        return made[arch]
    return unpack


def run(*command, check=True, **options) -> subprocess.CompletedProcess:
    """A command's outcome; with `check` it has to end with 0, else its messages are shown."""
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, check=False, **options)
    assert not check or done.returncode == 0, f"{command}: {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done


def clean(**more) -> dict[str, str]:
    """This environment without what would lead Python or the programs to the checkout."""
    kept = {name: value for name, value in os.environ.items()
            if not name.startswith(("PYTHON", "PLANETBRIDGING_", "VIRTUAL_ENV", "WELVET_"))}
    return {**kept, **more}
