"""What all tests share: streams against their schemas, run in NumPy and in the Loom programs."""

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

# TensorFlow and triton each bring an LLVM, and loading triton second aborts the process.
with contextlib.suppress(ImportError):
    import triton  # noqa: F401

ROOT = Path(__file__).resolve().parents[3]
sys.path[:0] = [str(ROOT / "contrib" / "python"), str(Path(__file__).parent)]

from interpreter import run as run_numpy  # noqa: E402
from planetbridging import planets, programs, stream  # noqa: E402
from planetbridging.checking import run_check  # noqa: E402
from planetbridging.graph import MachineError  # noqa: E402


@pytest.fixture(scope="session")
def validators():
    """JSON Schema validators for the head, a node and the end line."""
    from jsonschema import Draft202012Validator

    found = {}
    for kind in ("head", "node", "end"):
        schema = json.loads((ROOT / "schemas" / f"layer-stream-{kind}.json").read_text())
        Draft202012Validator.check_schema(schema)
        found[kind] = Draft202012Validator(schema)
    return found


@pytest.fixture
def streamed(validators):
    """A function: graph to StreamDocument, by way of its bytes, every line validated."""
    def write_and_read(graph) -> stream.StreamDocument:
        out = io.BytesIO()
        stream.write(graph, out)
        out.seek(0)
        document = stream.StreamDocument.parse(out)
        assert out.read() == b""
        validators["head"].validate(document.head)
        assert list(document.head)[0] == "loom_stream"
        for node in document.nodes:
            validators["node"].validate(node)
        validators["end"].validate({"end": True, "bytes": document.size()})
        return document
    return write_and_read


@pytest.fixture
def whole_path(streamed):
    """A function: emit `obj`, compare NumPy's and Loom's answers with the framework's own.

    Returns the document.  `atol` is relative to the greatest output, at least 1; Loom's part is
    left out where its programs are not built.
    """
    def path(planet, obj, *batches, example=None, atol=1e-5, loom=True):
        module = planets.module(planet)
        assert module.owns(obj) and planets.of(obj) == planet
        if planet == "pytorch":
            obj.eval()
        graph = module.emit(obj, example=batches[0] if example is None else example)
        document = streamed(graph)
        for inputs in batches:
            native = module.native(obj, inputs)
            agree(native, run_numpy(document, inputs), atol)
            if loom and programs_built():
                result = run_check(graph, inputs, native, ["--atol", str(atol)])
                assert result, result.report
        return document
    return path


@pytest.fixture(autouse=True)
def torch_modules_begin_in_eval_mode(monkeypatch):
    """torch makes modules in training mode, which is refused; only the tests of that want it."""
    torch = sys.modules.get("torch")
    if torch is None:
        return
    made = torch.nn.Module.__init__

    def make(self, *given, **named):
        made(self, *given, **named)
        self.training = False
    monkeypatch.setattr(torch.nn.Module, "__init__", make)


def agree(native: dict, found: dict, atol: float) -> None:
    """Same names, same shapes, and values within `atol` of the greatest."""
    assert list(native) == list(found)
    for name, values in native.items():
        assert values.shape == found[name].shape, name
        scale = max(1, np.abs(values).max(initial=0))
        np.testing.assert_allclose(found[name], values, rtol=0, atol=atol * scale, err_msg=name)


def programs_built() -> bool:
    """Whether the three programs of the whole path are there."""
    try:
        return all(map(programs.find, ("loom-stream", "loom-infer", "loom-compare")))
    except MachineError:
        return False


@pytest.fixture
def command(tmp_path):
    """A function that runs `python -m planetbridging ...` in tmp_path: (status, out, err text)."""
    def run(*arguments, stdin=b"", env=()):
        done = subprocess.run([sys.executable, "-m", "planetbridging", *map(str, arguments)],
                              input=stdin, capture_output=True, cwd=tmp_path, check=False,
                              env={**os.environ, "PYTHONPATH": str(ROOT / "contrib" / "python"),
                                   **dict(env)})
        return done.returncode, done.stdout, done.stderr.decode()
    return run


@pytest.fixture
def module_file(tmp_path):
    """A function that writes a module for SPEC into tmp_path."""
    def write(name: str, text: str) -> None:
        (tmp_path / f"{name}.py").write_text(text)
    return write


def pytest_configure():
    """In a run of test/run, which names the build's folder, missing programs are no reason to skip."""
    folder = ROOT / os.environ.get("OUT", "build") / "bin"
    if "OUT" in os.environ and not (folder / "loom-compare").exists():
        raise pytest.UsageError(f"{folder} has no programs: run make first")


needs_programs = pytest.mark.skipif(not programs_built(), reason="the Loom programs are not built")
