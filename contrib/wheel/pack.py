#!/usr/bin/env python3
"""Puts the Python package, the programs and their manual pages into a wheel.

usage: pack.py ARCH GLIBC SOURCES PROGRAMS OUTPUT     SOURCES are those of the libraries, for their licences

The same files give the same wheel, byte for byte: names are sorted, times are left out.
"""
import base64
import hashlib
import os
import sys
import tomllib
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PYTHON = ROOT / "contrib" / "python"
PACKAGE = "planetbridging"
LIBRARIES = ("jansson", "libzip", "zlib")

LAUNCHER = """#!python
import sys

try:
    from planetbridging.cli import run
except ModuleNotFoundError as error:
    if error.name != "planetbridging.cli":
        raise
    import planetbridging
    print(f"planetbridging: {planetbridging.__path__[0]} is another project's package of this name: "
          "uninstall it (pip uninstall planetbridging, twice), then install this one again",
          file=sys.stderr)
    sys.exit(4)
sys.exit(run())
"""

README = """Takes trained networks out of their frameworks (PyTorch, TensorFlow, JAX, scikit-learn) and
proves that the numbers stayed the same.  Another project is published under this name: install the file.

    pip install ./{wheel}
    python -m planetbridging demo
    python -m planetbridging --help
"""


def main(arch, glibc, sources, programs, output):
    project = tomllib.loads((PYTHON / "pyproject.toml").read_text())["project"]
    tag = f"py3-none-manylinux_{glibc.replace('.', '_')}_{arch}"
    stem = f"{project['name']}-{project['version']}"
    path = Path(output) / f"{stem}-{tag}.whl"
    files = {**package_files(), **data_files(stem, Path(programs)),
             **information(stem, tag, project, Path(sources), path.name)}
    write(path, f"{stem}.dist-info/RECORD", files)
    print(f"{os.path.relpath(path)}: {path.stat().st_size / 1e6:.1f} MB, {len(files) + 1} files")


def package_files():
    """The modules, the examples, and what the bedrocks need to know, by their places in the wheel."""
    made = {}
    for path in sorted((PYTHON / PACKAGE).rglob("*.py")):
        made[str(path.relative_to(PYTHON))] = path.read_bytes()
    for path in sorted((PYTHON / "examples").iterdir()):
        if path.is_file():
            made[f"{PACKAGE}/examples/{path.name}"] = path.read_bytes()
    bedrocks = ROOT / "fixtures" / "bedrocks"
    for path in sorted([*bedrocks.glob("*.json"), *bedrocks.glob("stored/*/*.safetensors")]):
        made[f"{PACKAGE}/data/bedrocks/{path.relative_to(bedrocks)}"] = path.read_bytes()
    return made


def data_files(stem, programs):
    """What pip puts beside the interpreter: programs, manual pages."""
    made = {f"{stem}.data/scripts/{path.name}": path.read_bytes() for path in sorted(programs.iterdir())}
    made[f"{stem}.data/scripts/{PACKAGE}"] = LAUNCHER.encode()
    for path in sorted((ROOT / "man").glob("*.[1-9]")):
        made[f"{stem}.data/data/share/man/man{path.suffix[1:]}/{path.name}"] = path.read_bytes()
    return made


def information(stem, tag, project, sources, wheel):
    """The folder .dist-info, without RECORD."""
    made = {"WHEEL": f"Wheel-Version: 1.0\nGenerator: {PACKAGE}\nRoot-Is-Purelib: false\nTag: {tag}\n",
            "METADATA": metadata(project, wheel), "licenses/LICENSE": (ROOT / "LICENSE").read_text()}
    for name in LIBRARIES:
        (folder,) = (path for path in sources.glob(f"{name}-*") if path.is_dir())
        made[f"licenses/{name}"] = (folder / "LICENSE").read_text()
    return {f"{stem}.dist-info/{name}": text.encode() for name, text in made.items()}


def metadata(project, wheel):
    """The core metadata of pyproject.toml."""
    lines = ["Metadata-Version: 2.4", f"Name: {project['name']}", f"Version: {project['version']}",
             f"Summary: {project['description']}", f"Requires-Python: {project['requires-python']}",
             f"License-Expression: {project['license']['text']}", "License-File: LICENSE",
             *(f"License-File: {name}" for name in LIBRARIES),
             *(f"Requires-Dist: {need}" for need in project["dependencies"])]
    for extra, needs in project["optional-dependencies"].items():
        lines += [f"Provides-Extra: {extra}",
                  *(f"Requires-Dist: {need}; extra == '{extra}'" for need in needs)]
    return "\n".join(lines) + "\n\n" + README.format(wheel=wheel)


def write(path, record, files):
    """The wheel, which appears when complete, with the list of what is in it."""
    listed = "".join(f"{name},sha256={digest(data)},{len(data)}\n" for name, data in files.items())
    files = {**files, record: f"{listed}{record},,\n".encode()}
    temporary = path.with_suffix(".part")
    with zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name, data in sorted(files.items()):
            entry = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            entry.external_attr = (0o100755 if "/scripts/" in name else 0o100644) << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, data)
    temporary.replace(path)


def digest(data):
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()


if __name__ == "__main__":
    main(*sys.argv[1:])
