#!/usr/bin/env python3
"""The sum of each pair of digits, as a network says that was taught to add: COMMAND takes an .npy of tokens.

Without a COMMAND the questions themselves, as such a file.
"""

import array
import struct
import subprocess
import sys

ZERO, PLUS, EQUALS, END, VOCAB = 4, 14, 18, 2, 27


def npy(rows):
    text = f"{{'descr': '<i8', 'fortran_order': False, 'shape': ({len(rows)}, {len(rows[0])}), }}"
    text += " " * (-(len(text) + 11) % 64) + "\n"
    return b"\x93NUMPY\1\0" + struct.pack("<H", len(text)) + text.encode() + b"".join(
        struct.pack("<q", token) for row in rows for token in row)


def main(command) -> None:
    rows = [[ZERO + a, PLUS, ZERO + b, EQUALS] for a in range(10) for b in range(10)]
    if not command:
        sys.stdout.buffer.write(npy(rows))
        return
    for _ in range(3):
        done = subprocess.run(command, input=npy(rows), stdout=subprocess.PIPE, check=True)
        logits = array.array("f", done.stdout)
        width = len(rows[0]) * VOCAB
        for i, row in enumerate(rows):
            last = logits[(i + 1) * width - VOCAB:(i + 1) * width]
            row.append(last.index(max(last)))
    for row in rows:
        told = row[4:]
        told = told[:told.index(END)] if END in told else told
        print("".join(str(token - ZERO) for token in told))


if __name__ == "__main__":
    main(sys.argv[1:])
