"""What is in a wheel, and what its programs ask of a machine."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import re
import shutil
import subprocess
import zipfile

import pytest

from conftest import ROOT, run, wheel_of

MEGABYTES = 8
GLIBC = (2, 28)
SYSTEM = re.compile(r"(libc|libm|libpthread|libdl|librt|ld-linux(-x86-64|-aarch64))\.so\.\d+")
PROGRAMS = {path.stem for path in (ROOT / "cmd").glob("*.c") if "\nmain(" in path.read_text()}
EXTRAS = {"pytorch", "tensorflow", "jax", "sklearn", "welvet"}


def files(arch: str) -> dict[str, bytes]:
    with zipfile.ZipFile(wheel_of(arch)) as archive:
        assert archive.testzip() is None
        return {item.filename: archive.read(item) for item in archive.infolist()}


def test_the_size(arch):
    assert wheel_of(arch).stat().st_size <= MEGABYTES * 2 ** 20


def test_every_file_is_recorded_with_its_digest(arch):
    held = files(arch)
    (record,) = (name for name in held if name.endswith(".dist-info/RECORD"))
    rows = {name: (digest, size) for name, digest, size in csv.reader(io.StringIO(held[record].decode()))}
    assert set(rows) == set(held)
    for name, (digest, size) in rows.items():
        if name != record:
            wanted = base64.urlsafe_b64encode(hashlib.sha256(held[name]).digest()).rstrip(b"=").decode()
            assert (digest, size) == (f"sha256={wanted}", str(len(held[name]))), name


def test_the_tag_and_the_metadata(arch):
    held = files(arch)
    stem = "planetbridging-1.0.0"
    assert f"Tag: py3-none-manylinux_2_28_{arch}\n" in held[f"{stem}.dist-info/WHEEL"].decode()
    lines = held[f"{stem}.dist-info/METADATA"].decode().splitlines()
    needs = [line.removeprefix("Requires-Dist: ") for line in lines if line.startswith("Requires-Dist")]
    assert [need for need in needs if "extra ==" not in need] == ["numpy"]
    assert {line.split()[1] for line in lines if line.startswith("Provides-Extra")} == EXTRAS


def test_what_is_in_it_and_what_is_not(arch):
    held = files(arch)
    scripts = {name.rsplit("/", 1)[1] for name in held if "/scripts/" in name}
    assert scripts == PROGRAMS | {"planetbridging"}
    modules = {str(path.relative_to(ROOT / "contrib" / "python")) for path in
               (ROOT / "contrib" / "python" / "planetbridging").rglob("*.py")}
    examples = {f"planetbridging/examples/{path.name}" for path in
                (ROOT / "contrib" / "python" / "examples").iterdir() if path.is_file()}
    data = {name for name in held if name.startswith("planetbridging/data/bedrocks/")}
    assert {name for name in held if name.startswith("planetbridging/")} == modules | examples | data
    assert sum(name.endswith(".json") for name in data) == 13
    assert sum(name.endswith(".safetensors") for name in data) == 13
    assert {name.rsplit("/", 1)[1] for name in held if "/licenses/" in name} == {
        "LICENSE", "jansson", "libzip", "zlib"}


def test_no_path_of_the_machine_that_made_it(arch):
    for name, data in files(arch).items():
        assert str(ROOT).encode() not in data, name
        assert b"site-packages/" not in data or name.endswith((".py", ".md")), name


def test_scripts_are_executable(arch, programs):
    for path in programs(arch).iterdir():
        assert path.stat().st_mode & 0o777 == 0o755, path.name


@pytest.mark.skipif(shutil.which("readelf") is None, reason="there is no readelf")
def test_the_c_library_and_nothing_else_is_needed(arch, programs):
    for name in PROGRAMS:
        path = programs(arch) / name
        needed = re.findall(r"\(NEEDED\).*\[(.*)\]", run("readelf", "-dW", path).stdout)
        assert needed and all(SYSTEM.fullmatch(library) for library in needed), (name, needed)
        assert "RUNPATH" not in run("readelf", "-dW", path).stdout
        symbols = run("readelf", "--dyn-syms", "-W", path).stdout
        versions = {tuple(map(int, text.split("."))) for text in
                    re.findall(r"@+GLIBC_([0-9.]+)", symbols)}
        assert versions and max(versions) <= GLIBC, (name, max(versions))


@pytest.mark.skipif(shutil.which("readelf") is None, reason="there is no readelf")
def test_the_processor(arch, programs):
    wanted = {"x86_64": "Advanced Micro Devices X86-64", "aarch64": "AArch64"}[arch]
    for name in PROGRAMS:
        assert f"Machine:                           {wanted}\n" in run(
            "readelf", "-h", programs(arch) / name).stdout


def test_the_same_files_give_the_same_wheel(arch, tmp_path):
    source = ROOT / "build" / "wheel" / "sources"
    if not source.exists():
        pytest.skip("the libraries' sources were not fetched here")
    subprocess.run(["python3", ROOT / "contrib" / "wheel" / "pack.py", arch, "2.28", source,
                    ROOT / "build" / f"wheel-{arch}-release" / "bin", tmp_path], check=True,
                   stdout=subprocess.DEVNULL)
    (again,) = tmp_path.glob("*.whl")
    assert again.read_bytes() == wheel_of(arch).read_bytes()
