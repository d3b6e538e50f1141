"""Real Loom in a child process: what it answers, and every way in which the child may end."""

from __future__ import annotations

import json
import struct
import sys
import time

import numpy as np
import pytest

from planetbridging import witness

needs_loom = pytest.mark.skipif(bool(witness.missing()), reason=witness.missing() or "-")
READ = "import sys\nfor line in sys.stdin:\n    print('ANSWER [1.5, 2.5]', flush=True)\n"
"""A child that answers without a Loom."""


def ask(child, samples=1, timeout=30.0):
    return witness.ask("-", [np.zeros(2)] * samples, timeout=timeout, python=sys.executable,
                       child=child)


def dense(path, weights):
    """A checkpoint of one dense layer without a bias, from the format's description, as a file."""
    payload = np.asarray(weights, "<f4").tobytes()
    rows, columns = np.shape(weights)
    layer = {"z": 0, "y": 0, "x": 0, "l": 0, "type": "Dense", "activation": "Linear",
             "dtype": "float32", "input_height": columns, "output_height": rows}
    network = {"id": "network", "depth": 1, "rows": 1, "cols": 1, "layers_per_cell": 1,
               "layers": [layer]}
    blob = {"path": "layers.0", "offset": 0, "length": len(payload), "dtype": "float32", "scale": 1,
            "native": True}
    header = {"format_version": 1, "network": network, "blobs": [blob]}
    text = json.dumps(header).encode()
    path.write_bytes(b"ENTITY\0\0" + struct.pack("<IQ", 1, len(text)) + text + payload)
    return str(path)


def test_a_child_that_answers():
    said = ask(READ, 3)
    assert said.death == "" and [list(y) for y in said.outputs] == [[1.5, 2.5]] * 3


def test_a_child_that_is_killed_keeps_what_it_said():
    said = ask("import os\nprint('ANSWER [1.5]', flush=True)\nos.kill(os.getpid(), 11)\n", 2)
    assert said.death == "signal SIGSEGV" and [list(y) for y in said.outputs] == [[1.5]]


def test_a_child_that_exits():
    said = ask("import sys\nsys.exit('a message\\nof two lines')\n")
    assert (said.outputs, said.death) == ([], "exit status 1: of two lines")


def test_the_panic_of_a_go_library_is_what_is_told():
    text = "panic: index out of range [4] with length 4\n\ngoroutine 17 [running]:\nmain()\n"
    said = ask(f"import os, sys\nsys.stderr.write({text!r})\nsys.stderr.flush()\nos.abort()\n")
    assert said.death == "signal SIGABRT: panic: index out of range [4] with length 4"


def test_a_child_that_says_too_little():
    said = ask("import sys\nsys.stdin.readline()\nprint('ANSWER [1.5]')\nprint('ANSWER [2.')\n", 3)
    assert said.death == "1 of 3 samples answered" and len(said.outputs) == 1


def test_a_child_that_hangs_and_its_own_children_are_ended(tmp_path):
    pid = tmp_path / "pid"
    child = ("import subprocess, sys\n"
             "other = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
             f"open({str(pid)!r}, 'w').write(str(other.pid))\n"
             "print('ANSWER [1.5]', flush=True)\n"
             "other.wait()\n")
    begun = time.monotonic()
    said = ask(child, timeout=10.0)
    assert time.monotonic() - begun < 60
    assert said.death == "no answer in 10 s" and [list(y) for y in said.outputs] == [[1.5]]
    assert not runs(int(pid.read_text()))


def runs(pid: int) -> bool:
    """Whether the process is there, and not only waiting to be buried; it may take a moment to die."""
    for _ in range(100):
        try:
            with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
                if file.read().rsplit(")", 1)[1].split()[0] in "ZX":
                    return False
        except FileNotFoundError:
            return False
        time.sleep(0.1)
    return True


def test_an_interpreter_without_welvet_is_named(tmp_path):
    there = tmp_path / "python"
    there.write_text("#!/bin/sh\necho no such module >&2\nexit 1\n")
    there.chmod(0o755)
    assert witness.missing(str(there)) == f"{there} has no welvet (no such module)"
    nowhere = tmp_path / "nowhere"
    assert witness.missing(str(nowhere)).startswith(f"{nowhere} cannot be run: ")


@needs_loom
def test_loom_computes_sample_by_sample_and_a_batch(tmp_path):
    path = dense(tmp_path / "d.entity", [[1, 2, 3], [4, 5, 6]])
    x = np.array([[1, 0, 2], [0, 1, -1]], np.float32)
    one = witness.ask(path, [x[:1], x[1:]])
    assert one.death == "" and [list(y) for y in one.outputs] == [[7, 16], [-1, -1]]
    batch = witness.ask(path, [x])
    assert batch.death == "" and [list(y) for y in batch.outputs] == [[7, 16, -1, -1]]


@needs_loom
def test_loom_dies_of_a_shape_and_keeps_what_it_answered(tmp_path):
    path = dense(tmp_path / "d.entity", [[1, 2, 3], [4, 5, 6]])
    said = witness.ask(path, [np.ones((1, 3)), np.ones((4, 2)), np.ones((1, 3))])
    assert [list(y) for y in said.outputs] == [[6, 15]]
    assert "panic: runtime error: index out of range" in said.death and "\n" not in said.death


@needs_loom
@pytest.mark.parametrize("data", [b"", b"no checkpoint", b"ENTITY\0\0" + b"\xff" * 40])
def test_loom_refuses_or_dies_of_a_bad_file(tmp_path, data):
    (tmp_path / "bad").write_bytes(data)
    said = witness.ask(str(tmp_path / "bad"), [np.ones((1, 3))])
    assert said.outputs == [] and said.death != ""


def test_the_variable_names_the_interpreter(monkeypatch):
    monkeypatch.setenv("WELVET_PYTHON", "/bin/python-of-loom")
    assert witness.interpreter() == "/bin/python-of-loom"
    monkeypatch.delenv("WELVET_PYTHON")
    assert witness.interpreter() == sys.executable
