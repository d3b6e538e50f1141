"""bad_tensors.py DIR: writes files that no reader of tensors may take, each with the message it deserves.

NAME holds the bytes, NAME.expect what the program says after "PROGRAM: NAME: ".
"""

import io
import json
import struct
import sys
import zipfile
from pathlib import Path


def npy(header, data=b"", version=(1, 0), pad=True):
    text = header.encode() + (b"\n" if pad else b"")
    size = struct.pack("<H" if version[0] == 1 else "<I", len(text))
    return b"\x93NUMPY" + bytes(version) + size + text + data


def good(descr="<f4", order="False", shape="(2,)"):
    return f"{{'descr': '{descr}', 'fortran_order': {order}, 'shape': {shape}, }}"


EIGHT = b"\0" * 8


def safe(header, data=EIGHT):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def one(dtype="F32", shape=(2,), offsets=(0, 8), **more):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": list(offsets), **more}


def archive(members, method=zipfile.ZIP_STORED):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as z:
        for name, data in members:
            z.writestr(zipfile.ZipInfo(name), data, compress_type=method)
    return out.getvalue()


def flagged_encrypted():
    data = bytearray(archive([("x.npy", npy(good(), EIGHT))]))
    data[6] |= 1
    at = data.index(b"PK\1\2")
    data[at + 8] |= 1
    return bytes(data)


def wrong_crc():
    data = bytearray(archive([("x.npy", npy(good(), EIGHT))]))
    at = data.index(b"shape") + 20
    data[at] ^= 1
    return bytes(data)


def bomb():
    """A deflated member that claims a thousand million million bytes."""
    data = bytearray(archive([("x.npy", npy(good(), EIGHT))], zipfile.ZIP_DEFLATED))
    at = data.index(b"PK\1\2")
    data[at + 24 : at + 28] = data[22:26] = struct.pack("<I", 0x7FFFFFFF)
    return bytes(data)


def twice():
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as z:
        z.writestr("x.npy", npy(good(), EIGHT))
        z.writestr("y.npy", npy(good(), EIGHT))
    return out.getvalue().replace(b"y.npy", b"x.npy")


TYPES = "f2 f4 f8 i1 i2 i4 i8 u1 u2 u4 u8 b1, with < > | or = before it"
HEADER = "in the header: expected"
FILES = {
    "empty": (b"", "byte 0: is empty: did the program that writes it fail?"),
    "text": (b"hello\n", "byte 0: not a file of tensors (expected one of: npy, npz, safetensors)"),
    # ---- npy
    "npy-version": (npy(good(), EIGHT, (4, 0)), ".npy version 4.0: expected 1.0, 2.0 or 3.0"),
    "npy-long": (npy(good() + " " * 10000, EIGHT, (2, 0)), "a header of 10058 bytes: at most 10000 are read"),
    "npy-newline": (npy(good(), EIGHT, pad=False), "the header does not end in a newline"),
    "npy-list": (npy("[]"), f"{HEADER} a dictionary, found '[]\n'".replace("\n", "?")),
    "npy-objects": (npy(good("|O")), f"element type '|O' is not one that is read: {TYPES}"),
    "npy-void": (npy(good("|V2")), f"element type '|V2' is not one that is read: {TYPES}"),
    "npy-complex": (npy(good("<c8")), f"element type '<c8' is not one that is read: {TYPES}"),
    "npy-fields": (npy(good().replace("'<f4'", "[('a', '<f4')]")), f"{HEADER} an element type such as '<f4', found '[('a', '<f4')], 'fortra'"),
    "npy-order": (npy(good(order="1")), f"{HEADER} True or False, found '1, 'shape': (2,), }}?'"),
    "npy-bare-shape": (npy(good(shape="2")), f"{HEADER} a tuple of extents, found '2, }}?'"),
    "npy-no-comma": (npy(good(shape="(2)")), f"{HEADER} a comma, found '), }}?'"),
    "npy-negative": (npy(good(shape="(-1,)")), f"{HEADER} an extent, found '-1,), }}?'"),
    "npy-axes": (npy(good(shape="(" + "1," * 17 + ")")), "more than 16 axes"),
    "npy-huge": (npy(good(shape="(9223372036854775808,)")), "an extent in the header does not fit in 63 bits"),
    "npy-product": (npy(good(shape="(4294967296, 4294967296)")), "the size of float32 [4294967296, 4294967296] does not fit in 63 bits"),
    "npy-key": (npy(good().replace("descr", "dtype")), "key 'dtype' does not belong in the header"),
    "npy-repeated": (npy(good().replace("}", "'shape': (2,)}")), "key 'shape' stands twice in the header"),
    "npy-lacks": (npy("{'descr': '<f4', 'shape': (2,)}"), "the header lacks one of descr, fortran_order and shape"),
    "npy-after": (npy(good() + "1"), f"{HEADER} nothing more, found '1?'"),
    "npy-claims": (npy(good(shape="(1152921504606846975,)"), EIGHT), "byte 86: ends 4611686018427387892 bytes early"),
    "npy-trailing": (npy(good(), EIGHT + b"\0"), "1 bytes follow the data"),
    # ---- safetensors
    "safe-claims": (struct.pack("<Q", 1000) + b"{}", "byte 8: ends 998 bytes early"),
    "safe-json": (safe(b"{'x': 1}", b""), "byte 9: JSON: expected a key in quotes, found '''"),
    "safe-duplicate": (safe(b'{"x":1,"x":1}', b""), 'byte 15: JSON: the key "x" stands twice'),
    "safe-entry": (safe({"x": 1}), "tensor x: expected exactly the keys dtype, shape and data_offsets"),
    "safe-more": (safe({"x": one(strides=[1])}), "tensor x: expected exactly the keys dtype, shape and data_offsets"),
    "safe-dtype": (safe({"x": one("F8_E4M3")}), "tensor x: dtype F8_E4M3 is not one that is read: F64 F32 F16 BF16 I64 I32 I16 I8 U64 U32 U16 U8 BOOL"),
    "safe-dtype-kind": (safe({"x": one(3)}), "tensor x: dtype is not a string"),
    "safe-extent": (safe({"x": one(shape=(-2,))}), "tensor x: extent 0 of the shape is not a whole number from 0"),
    "safe-real": (safe({"x": one(shape=(2.0,))}), "tensor x: extent 0 of the shape is not a whole number from 0"),
    "safe-axes": (safe({"x": one(shape=(1,) * 17)}), "tensor x: 17 axes: at most 16 are read"),
    "safe-product": (safe({"x": one(shape=(2**40, 2**40))}), "tensor x: the size of float32 [1099511627776, 1099511627776] does not fit in 63 bits"),
    "safe-offsets": (safe({"x": one(offsets=(0,))}), "tensor x: data_offsets is not a pair of whole numbers from 0"),
    "safe-size": (safe({"x": one(offsets=(0, 4))}), "tensor x: data_offsets [0, 4] do not hold its 8 bytes"),
    "safe-gap": (safe({"x": one(offsets=(4, 12))}, EIGHT + b"1234"), "tensor x: its data begin at 4, where 0 was expected (there is a gap)"),
    "safe-overlap": (safe({"x": one(), "y": one(offsets=(4, 12))}, EIGHT + b"1234"), "tensor y: its data begin at 4, where 8 was expected (tensors overlap)"),
    "safe-short": (safe({"x": one()}, b"1234567"), "byte 69: holds 7 bytes of data, the header says 8"),
    "safe-trailing": (safe({"x": one()}, EIGHT + b"1"), "byte 69: 1 bytes follow the data of the last tensor"),
    "safe-metadata": (safe({"__metadata__": {"a": 1}}, b""), "__metadata__: a is not a string"),
    "safe-metadata-kind": (safe({"__metadata__": 1}, b""), "__metadata__ is not an object"),
    "safe-control": (safe({"a\x1bb\n": 1}), "tensor a?b?: expected exactly the keys dtype, shape and data_offsets"),
    # ---- npz
    "npz-name": (archive([("x.txt", b"1")]), "member x.txt is not an .npy"),
    "npz-twice": (twice(), "two members have the same name"),
    "npz-encrypted": (flagged_encrypted(), "member x.npy: is encrypted"),
    "npz-method": (archive([("x.npy", npy(good(), EIGHT))], zipfile.ZIP_BZIP2), "member x.npy: compression method 12: expected 0 (stored) or 8 (deflate)"),
    "npz-short": (archive([("x.npy", npy(good(), b"1234"))]), "member x.npy: holds 72 bytes, its header says 76"),
    "npz-long": (archive([("x.npy", npy(good(), EIGHT + b"1"))]), "member x.npy: holds 77 bytes, its header says 76"),
    "npz-header": (archive([("x.npy", npy("()"))]), f"member x.npy: {HEADER} a dictionary, found '()?'"),
    "npz-not": (archive([("x.npy", b"12345678")]), "member x.npy: is not an .npy: it does not start with \\x93NUMPY"),
    "npz-tiny": (archive([("x.npy", b"123")]), "member x.npy: ends 5 bytes early"),
    "npz-claims": (archive([("x.npy", npy(good(shape="(1000000000000,)"), EIGHT))]), "member x.npy: holds 88 bytes, its header says 4000000000080"),
    "npz-bomb": (bomb(), "member x.npy: 68 bytes cannot hold the 2147483647 it claims"),
    "npz-crc": (wrong_crc(), "member x.npy: CRC error"),
}


def main():
    where = Path(sys.argv[1])
    where.mkdir()
    for name, (data, message) in FILES.items():
        (where / name).write_bytes(data)
        (where / f"{name}.expect").write_text(message + "\n")


if __name__ == "__main__":
    main()
