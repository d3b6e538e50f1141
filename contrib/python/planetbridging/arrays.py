"""Tensors on files and pipes: .npy for one, .npz for several by name; output is never half made."""

from __future__ import annotations

import contextlib
import io
import json
import os
import sys
import tempfile
import zipfile

import numpy as np

from .graph import BridgeError, UsageError


SAFETENSORS = {"float64": "F64", "float32": "F32", "float16": "F16", "int64": "I64", "int32": "I32",
               "int16": "I16", "int8": "I8", "uint8": "U8", "bool": "BOOL"}
"""What .safetensors calls NumPy's types."""


def read_arrays(path: str) -> dict[str, np.ndarray]:
    """Arrays by name from a .npy (called "x") or .npz file; "-" is standard input.

    Pickled objects inside are refused.  BridgeError if the content is malformed or empty, OSError
    if the file cannot be read.
    """
    shown = "<stdin>" if path == "-" else path
    data = read_stdin() if path == "-" else _read_file(path)
    if not data.startswith((b"\x93NUMPY", b"PK")):
        raise BridgeError(f"{shown}: is neither a .npy nor a .npz file")
    try:
        found = np.load(io.BytesIO(data), allow_pickle=False)
        arrays = dict(found) if isinstance(found, np.lib.npyio.NpzFile) else {"x": found}
    except (ValueError, EOFError, zipfile.BadZipFile) as error:
        raise BridgeError(f"{shown}: cannot be read: {error}") from None
    if not arrays:
        raise BridgeError(f"{shown}: holds no arrays")
    return arrays


def read_stdin() -> bytes:
    """All of standard input; BridgeError if there is nothing."""
    data = sys.stdin.buffer.read()
    if not data:
        raise BridgeError("standard input is empty: did the program before it fail?")
    return data


def _read_file(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()


def write_arrays(arrays: dict[str, np.ndarray], out) -> None:
    """One array as .npy, several as .npz by name, in C order and little-endian."""
    plain = {name: little_endian(array) for name, array in arrays.items()}
    # By way of memory: NumPy asks a buffered file for its position, which a pipe has not.
    spool = io.BytesIO()
    if len(plain) == 1:
        np.lib.format.write_array(spool, *plain.values(), version=(1, 0), allow_pickle=False)
    else:
        np.savez(spool, **plain)
    out.write(spool.getbuffer())


def write_safetensors(arrays: dict[str, np.ndarray], out) -> None:
    """Arrays by name as .safetensors: a length, a JSON header, the bytes in the header's order."""
    plain = {name: little_endian(array) for name, array in arrays.items()}
    header, end = {}, 0
    for name, array in plain.items():
        start, end = end, end + array.nbytes
        header[name] = {"dtype": SAFETENSORS[array.dtype.name], "shape": list(array.shape),
                        "data_offsets": [start, end]}
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    out.write(len(text).to_bytes(8, "little") + text)
    for array in plain.values():
        out.write(array.tobytes())


def read_safetensors(path) -> dict[str, np.ndarray]:
    """Arrays by name from a .safetensors file, bfloat16 as float32; BridgeError if it is none."""
    data = _read_file(path)
    size = int.from_bytes(data[:8], "little")
    names = {name: dtype for dtype, name in SAFETENSORS.items()} | {"BF16": "uint16"}
    try:
        header = json.loads(data[8:8 + size])
        header.pop("__metadata__", None)
        return {name: _tensor(data, 8 + size, item, names) for name, item in header.items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BridgeError(f"{path}: is no .safetensors file: {type(error).__name__}: {error}") from None


def safetensors_metadata(path) -> dict[str, str]:
    """What stands beside the tensors of a .safetensors file that could be read."""
    with open(path, "rb") as file:
        return json.loads(file.read(int.from_bytes(file.read(8), "little"))).get("__metadata__", {})


def _tensor(data: bytes, start: int, item: dict, names: dict[str, str]) -> np.ndarray:
    first, end = item["data_offsets"]
    dtype = np.dtype(names[item["dtype"]]).newbyteorder("<")
    if not 0 <= first <= end <= len(data) - start:
        raise ValueError(f"bytes {first} to {end} of {len(data) - start}")
    array = np.frombuffer(data[start + first:start + end], dtype).reshape(item["shape"])
    if item["dtype"] == "BF16":
        return (array.astype(np.uint32) << 16).view(np.float32)
    return array.astype(dtype.newbyteorder("="))


def read_named(path: str) -> dict[str, np.ndarray]:
    """Arrays by name from a file that its suffix says to be .safetensors, else as `read_arrays`."""
    return read_safetensors(path) if path.endswith(".safetensors") else read_arrays(path)


def write_named(arrays: dict[str, np.ndarray], path: str | None, out) -> None:
    """Arrays to the open file `out`, in the form that the suffix of its `path` says.

    UsageError where that is .npy and there are several.
    """
    if path is not None and path.endswith(".safetensors"):
        write_safetensors(arrays, out)
    elif path is not None and path.endswith(".npz"):
        np.savez(out, **{name: little_endian(array) for name, array in arrays.items()})
    elif path is not None and path.endswith(".npy") and len(arrays) != 1:
        raise UsageError(f"{path}: there are {len(arrays)} outputs ({', '.join(arrays)}): "
                         "call the file .npz or .safetensors")
    else:
        write_arrays(arrays, out)


def little_endian(array) -> np.ndarray:
    """The same values in C order, little-endian."""
    array = np.asarray(array)
    return np.ascontiguousarray(array, array.dtype.newbyteorder("<")).reshape(array.shape)


@contextlib.contextmanager
def binary_output(path: str | None):
    """A binary file object: standard output, or a file that appears under its name when complete.

    Standard output that is a terminal is refused.  After an exception no file is left.
    """
    if path is None or path == "-":
        if sys.__stdout__.isatty():
            raise UsageError("binary output to a terminal: give -o FILE or a pipe")
        try:
            yield sys.__stdout__.buffer
            sys.__stdout__.buffer.flush()
        except OSError:
            # Python flushes again when it ends, and would fail again with a status of its own.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.__stdout__.fileno())
            raise
        return
    try:
        handle, temporary = tempfile.mkstemp(prefix=".planetbridging-",
                                             dir=os.path.dirname(path) or ".")
    except OSError as error:
        raise OSError(error.errno, error.strerror, path) from None
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
