"""The programs of the wheels give the same bytes as those that this machine's compiler made."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from conftest import OWN, ROOT, run

BUILT = ROOT / os.environ["OUT"] / "bin"
CASES = sorted(path.parent for path in (ROOT / "fixtures" / "layers").glob("*/*/net.stream"))
SYSROOTS = {"aarch64": "/usr/aarch64-linux-gnu", "x86_64": "/usr/x86_64-linux-gnu"}
EVERY = {"own": 1, "other": 4}
"""Emulation is slow: there a quarter of the cases is tried."""


@pytest.fixture
def launcher(arch) -> list[str]:
    """What runs a program of this processor; the test is skipped where nothing does."""
    if arch == OWN:
        return []
    emulator = shutil.which(f"qemu-{arch}-static") or shutil.which(f"qemu-{arch}")
    if emulator is None:
        pytest.skip(f"there is no qemu-{arch}: apt-get install qemu-user-static")
    if not Path(SYSROOTS[arch]).exists():
        pytest.skip(f"there is no {SYSROOTS[arch]}: apt-get install libc6-arm64-cross")
    return [emulator, "-L", SYSROOTS[arch]]


def bytes_of(command, source: Path) -> tuple[int, bytes]:
    with open(source, "rb") as file:
        done = subprocess.run([*map(str, command)], stdin=file, capture_output=True, check=False)
    return done.returncode, done.stdout


def test_streams_and_answers(arch, programs, launcher, tmp_path):
    folder, tried = programs(arch), 0
    for case in CASES[::EVERY["own" if arch == OWN else "other"]]:
        entity = tmp_path / "net.entity"
        wanted = bytes_of([BUILT / "loom-stream"], case / "net.stream")
        assert bytes_of([*launcher, folder / "loom-stream"], case / "net.stream") == wanted, case
        if wanted[0] != 0:
            continue
        entity.write_bytes(wanted[1])
        for source in sorted(case.glob("in*.npz")):
            asked = ["-m", entity]
            outcome = bytes_of([*launcher, folder / "loom-infer", *asked], source)
            assert outcome == bytes_of([BUILT / "loom-infer", *asked], source), source
            tried += outcome[0] == 0
    assert tried > len(CASES) // (16 if arch != OWN else 4)


def test_digests(arch, programs, launcher, tmp_path):
    """The SHA-256 in the wheel is libcrypto's."""
    folder, entity = programs(arch), tmp_path / "net.entity"
    for case in CASES[::len(CASES) // 12]:
        status, data = bytes_of([BUILT / "loom-stream"], case / "net.stream")
        if status == 0:
            entity.write_bytes(data)
            assert (bytes_of([*launcher, folder / "entity-dump"], entity)
                    == bytes_of([BUILT / "entity-dump"], entity)), case


def test_versions(arch, programs, launcher):
    for path in sorted(programs(arch).iterdir()):
        if path.name != "planetbridging":
            assert run(*launcher, path, "--version").stdout == run(BUILT / path.name, "--version").stdout
