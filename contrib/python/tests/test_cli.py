"""The command line: statuses, whole messages, and what goes to which stream."""

from __future__ import annotations

import io
import os
import pickle
import re
import signal
import stat
import subprocess
import sys
import tomllib

import numpy as np
import pytest

import planetbridging
from conftest import ROOT, needs_programs
from planetbridging import arrays, checking, cli, planets, spec
from planetbridging.graph import BridgeError, UsageError
from planetbridging.planets import sklearn_
from planetbridging.stream import StreamDocument

sklearn = pytest.importorskip("sklearn", reason="scikit-learn is not installed")

NETWORK = """
import warnings
import numpy as np
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.preprocessing import QuantileTransformer
warnings.simplefilter("ignore")
print("a module that prints")
X = np.random.default_rng(0).normal(size=(40, 4))
def build():
    return MLPRegressor(hidden_layer_sizes=(4,), max_iter=9, random_state=0).fit(X, X[:, :2])
live = MLPClassifier(hidden_layer_sizes=(4,), max_iter=9, random_state=0).fit(X, np.arange(40) % 3)
scaler = QuantileTransformer(n_quantiles=2).fit(X)
number = 7
def broken():
    raise RuntimeError("two\\nlines")
def leaves():
    raise SystemExit(0)
"""
X = np.random.default_rng(1).normal(size=(5, 4)).astype(np.float32)


@pytest.fixture(autouse=True)
def network(module_file, tmp_path):
    module_file("net", NETWORK)
    np.save(tmp_path / "x.npy", X)


def npy(data: bytes) -> np.ndarray:
    return np.load(io.BytesIO(data))


def test_emit_writes_a_stream_and_nothing_else(command):
    status, out, err = command("emit", "sklearn", "net:build", "--name", "tiny")
    assert (status, err) == (0, "a module that prints\n")
    document = StreamDocument.parse(io.BytesIO(out))
    assert document.head["model"] == "tiny" and document.head["planet"] == "sklearn"


def test_emit_to_a_file_appears_when_complete(command, tmp_path):
    status, out, _ = command("emit", "sklearn", "net:live", "-o", "net.stream")
    assert (status, out) == (0, b"")
    with open(tmp_path / "net.stream", "rb") as file:
        StreamDocument.parse(file)
    assert sorted(p.name for p in tmp_path.iterdir() if p.name != "__pycache__") == [
        "net.py", "net.stream", "x.npy"]


def test_native_reads_standard_input(command):
    data = io.BytesIO()
    np.save(data, X)
    status, out, _ = command("native", "sklearn", "net:live", stdin=data.getvalue())
    assert status == 0
    again = command("native", "scikit-learn", "net:live", "--input", "x.npy")
    assert again[:2] == (0, out)
    np.testing.assert_allclose(npy(out).sum(1), 1, rtol=1e-6)


def test_native_takes_an_npz(command, tmp_path):
    np.savez(tmp_path / "x.npz", x=X)
    expected = command("native", "sklearn", "net:build", "--input", "x.npy")[1]
    assert command("native", "sklearn", "net:build", "--input", "x.npz")[1] == expected


@pytest.mark.parametrize("arguments, status, message", [
    (["emit", "sklearn", "net:nothing"], 2, "net has no nothing"),
    (["emit", "sklearn", "nomodule:build"], 2,
     "no module nomodule in the current folder or on the Python path"),
    (["emit", "caffe", "net:build"], 2,
     "unknown planet caffe; there are pytorch, keras, jax, sklearn"),
    (["emit", "sklearn", "net:number"], 3, "builtins.int is no network of sklearn"),
    (["emit", "sklearn", "net"], 2,
     "net: no such file; an object of a module is written net:NAME"),
    (["emit", "sklearn", "net.pkl"], 4, "net.pkl: No such file or directory"),
    (["emit", "sklearn", "x.npy"], 2, "x.npy: loading a pickle runs whatever code it holds; "
     "if you know where it comes from, say --trust"),
    (["check", "net", "--input", "x.npy"], 2,
     "net: expected pkg.mod:build, a .keras file or a scikit-learn pickle (.pkl, .pickle, "
     ".joblib); name the planet if it is one under another name"),
    (["emit", "sklearn", "net:build", "--weights", "x.npy"], 2, "sklearn takes no file of weights"),
    (["emit", "sklearn", "net:build", "--input", "none.npy"], 4,
     "none.npy: No such file or directory"),
    (["native", "sklearn", "net:build", "--input", "net.py"], 3,
     "net.py: is neither a .npy nor a .npz file"),
    (["native", "sklearn", "net:build"], 3,
     "standard input is empty: did the program before it fail?"),
    (["emit", "sklearn", "net:scaler"], 3,
     "cannot be expressed: the estimator (QuantileTransformer): not a word of the stream. Supported: "
     + ", ".join(sklearn_.SUPPORTED)),
    (["check", "net:number", "--input", "x.npy"], 3,
     "builtins.int is no network of pytorch, keras, jax, sklearn; name the planet if it should be"),
    (["emit", "sklearn", "net:broken"], 4, "RuntimeError: two lines (--debug shows where)"),
    (["emit", "sklearn", "net:leaves"], 4, "SystemExit: 0 (--debug shows where)"),
    (["emit", "sklearn", "net:build", "-o", "none/net.stream"], 4,
     "none/net.stream: No such file or directory"),
])
def test_failures_have_one_line_and_a_status(command, arguments, status, message):
    found, out, err = command(*arguments)
    lines = [line for line in err.splitlines() if line != "a module that prints"]
    assert (found, out, lines) == (status, b"", [f"planetbridging: {message}"])


def test_debug_gives_the_traceback(command):
    status, _, err = command("emit", "sklearn", "net:broken", "--debug")
    assert status == 4 and "Traceback" in err and err.endswith("(--debug shows where)\n")


@pytest.mark.parametrize("arguments", [[], ["emit"], ["emit", "sklearn"], ["fly"],
                                       ["check", "net:build"], ["emit", "sklearn", "a:b", "--fly"],
                                       ["check", "a:b", "--input", "x.npy", "--scale", "3"]])
def test_usage_is_status_2(command, arguments):
    status, out, err = command(*arguments)
    assert (status, out) == (2, b"") and err.startswith("usage: planetbridging")


def test_help_and_version(command):
    version = f"planetbridging {planetbridging.__version__}\n"
    assert command("--version") == (0, version.encode(), "")
    status, out, err = command("--help")
    assert (status, err) == (0, "") and b"exit status: 0 yes or done, 1 they differ" in out
    for name in ("emit", "native", "check"):
        assert command(name, "--help")[0] == 0


def test_a_pickle_needs_trust(command, tmp_path):
    import joblib
    from sklearn.preprocessing import StandardScaler

    joblib.dump(StandardScaler().fit(X), tmp_path / "net.pkl")
    status, _, err = command("emit", "sklearn", "net.pkl")
    assert (status, err) == (2, "planetbridging: net.pkl: loading a pickle runs whatever code it "
                                "holds; if you know where it comes from, say --trust\n")
    status, out, _ = command("emit", "sklearn", "net.pkl", "--trust")
    assert status == 0 and StreamDocument.parse(io.BytesIO(out)).head["model"] == "standardscaler"


def test_a_pickle_that_is_broken_is_data_at_fault(command, tmp_path):
    whole = pickle.dumps({"a": [1, 2]})
    for name, data in (("empty", b""), ("cut", whole[:9]), ("lost", b"cnowhere\nNothing\n.")):
        (tmp_path / f"{name}.pkl").write_bytes(data)
        status, out, err = command("emit", "sklearn", f"{name}.pkl", "--trust")
        assert (status, out, err.count("\n")) == (3, b"", 1)
        assert err.startswith(f"planetbridging: {name}.pkl: cannot be loaded: ")


@pytest.mark.parametrize("name, x", [
    ("nan", np.full((2, 4), np.nan, np.float32)), ("wide", np.ones((2, 5), np.float32)),
    ("deep", np.ones((2, 4, 1), np.float32)), ("flat", np.ones(4, np.float32)),
    ("none", np.ones((0, 4), np.float32)), ("words", np.array([["a", "b", "c", "d"]])),
])
def test_inputs_that_do_not_fit_are_data_at_fault(command, tmp_path, name, x):
    np.save(tmp_path / f"{name}.npy", x)
    for words in (["native", "sklearn"], ["check"]):
        status, out, err = command(*words, "net:live", "--input", f"{name}.npy")
        assert (status, out, err.count("\n")) == (3, b"", 2)
        assert "planetbridging: MLPClassifier cannot run these inputs: " in err


def test_the_verdict_in_a_word():
    def word(status, *labels):
        return checking.label_of([{"label": label} for label in labels], status)

    assert word(0, "EXACT", "EXACT") == "EXACT" and word(0, "EXACT", "PASS") == "PASS"
    assert word(1, "EXACT") == word(1, "PASS", "EXACT") == "VACUOUS"
    assert word(1) == word(1, "PASS", "DIFF") == word(1, "EXACT", "MISSING") == "DIFF"


def test_what_is_installed_for_a_planet_is_what_the_package_declares():
    with open(ROOT / "contrib" / "python" / "pyproject.toml", "rb") as file:
        extras = tomllib.load(file)["project"]["optional-dependencies"]
    assert extras.pop("welvet") == ["welvet"]  # a witness, no planet
    names = {planets.ALIASES.get(extra, extra): packages for extra, packages in extras.items()}
    assert {planet: text.split() for planet, text in planets.PACKAGES.items()} == names


def emitting_to(file, folder):
    """The finished process of an emit in `folder` whose standard output is `file`."""
    return subprocess.run([sys.executable, "-m", "planetbridging", "emit", "sklearn", "net:build"],
                          stdout=file, stderr=subprocess.PIPE, cwd=folder, check=False,
                          env={**os.environ, "PYTHONPATH": str(ROOT / "contrib" / "python")})


def test_binary_output_to_a_terminal_is_refused(tmp_path):
    import pty

    ours, theirs = pty.openpty()
    done = emitting_to(theirs, tmp_path)
    os.close(theirs)
    os.close(ours)
    assert done.returncode == 2
    assert done.stderr.decode().endswith(
        "planetbridging: binary output to a terminal: give -o FILE or a pipe\n")


def test_a_full_disk_is_status_4(tmp_path):
    with open("/dev/full", "wb") as full:
        done = emitting_to(full, tmp_path)
    assert done.returncode == 4
    assert done.stderr.decode() == ("a module that prints\n"
                                    "planetbridging: output: No space left on device\n")


def test_a_reader_that_goes_away_is_no_news(tmp_path):
    ours, theirs = os.pipe()
    os.close(ours)
    done = emitting_to(theirs, tmp_path)
    os.close(theirs)
    assert (done.returncode, done.stderr) == (-signal.SIGPIPE, b"a module that prints\n")


def test_another_framework_version_is_one_line(monkeypatch, capfd):
    monkeypatch.setattr(planets, "installed_version", lambda package: "0.3.1")
    assert planets.version_warnings("sklearn") == ["sklearn 0.3.1 is installed; checked with 1.9"]
    cli._show_warning(planets.version_warnings("sklearn")[0], planetbridging.BridgeWarning, "", 0)
    assert capfd.readouterr().err == ("planetbridging: warning: sklearn 0.3.1 is installed; "
                                      "checked with 1.9\n")


def fake(folder, name: str, text: str) -> None:
    """A program of our own making where a Loom program is expected."""
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(f"#!/bin/sh\n{text}\n")
    (folder / name).chmod(0o755 | stat.S_IXUSR)


@pytest.fixture
def fakes(tmp_path):
    """Loom programs that agree with everything, in the folder that the command will look in."""
    folder = tmp_path / "bin"
    fake(folder, "loom-stream", "cat >/dev/null; echo entity")
    fake(folder, "loom-infer", "cat \"$3\"")
    fake(folder, "loom-compare", "echo \"table $*\"; for a; do case $a in ndjson=*) echo "
         "'{\"kind\":\"tensor\",\"label\":\"EXACT\"}' >\"${a#*=}\";; esac; done")
    return folder


def test_check_prints_table_pipeline_and_verdict(command, fakes):
    status, out, err = command("check", "net:live", "--input", "x.npy", "--atol", "1e-6",
                               "--keep", "kept", env={"PLANETBRIDGING_BIN": str(fakes)}.items())
    assert (status, err) == (0, "a module that prints\n")
    assert out.decode() == (
        "table --atol 1e-6 --report text --report ndjson=kept/report.ndjson kept/loom.npy "
        "kept/native.npy\n"
        "\n"
        "The same in the shell:\n"
        "python -m planetbridging emit sklearn net:live --input x.npy | "
        "loom-stream > model.entity\n"
        "python -m planetbridging native sklearn net:live --input x.npy > native.npy\n"
        "loom-infer -m model.entity x.npy > loom.npy\n"
        "loom-compare --atol 1e-6 loom.npy native.npy\n"
        "\n"
        "net:live: EXACT\n")


def test_check_keeps_the_files(command, fakes, tmp_path):
    command("check", "net:live", "--input", "x.npy", "--keep", "kept",
            env={"PLANETBRIDGING_BIN": str(fakes)}.items())
    assert sorted(p.name for p in (tmp_path / "kept").iterdir()) == [
        "loom.npy", "model.entity", "model.stream", "native.npy", "report.ndjson", "x.npy"]


@pytest.mark.parametrize("program, text, status, message", [
    ("loom-stream", "echo 'loom-stream: <stdin>: no' >&2; exit 3", 3, "loom-stream: <stdin>: no"),
    ("loom-infer", "echo 'loom-infer: no memory' >&2; exit 4", 4, "loom-infer: no memory"),
    ("loom-infer", "kill -SEGV $$", 4, "loom-infer ended with status -11"),
])
def test_a_program_that_refuses_is_the_answer(command, fakes, program, text, status, message):
    fake(fakes, program, text)
    found, out, err = command("check", "sklearn", "net:live", "--input", "x.npy",
                              env={"PLANETBRIDGING_BIN": str(fakes)}.items())
    assert (found, out, err) == (status, b"", f"a module that prints\n{message}\n")


def test_a_difference_is_status_1(command, fakes):
    fake(fakes, "loom-compare", "echo DIFF; "
         "for a; do case $a in ndjson=*) : >\"${a#*=}\";; esac; done; exit 1")
    status, out, _ = command("check", "net:live", "--input", "x.npy",
                             env={"PLANETBRIDGING_BIN": str(fakes)}.items())
    assert status == 1 and out.endswith(b"\nnet:live: DIFF\n")


def test_missing_programs_are_said(command, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.delenv("PLANETBRIDGING_BIN", raising=False)
    monkeypatch.setattr(checking.programs, "__file__", "/nowhere/a/b.py")
    with pytest.raises(planetbridging.MachineError) as error:
        checking.programs.find("loom-stream")
    assert str(error.value) == (
        "loom-stream not found in $PLANETBRIDGING_BIN, PATH, beside this Python or in build/bin: "
        "run make, then set PLANETBRIDGING_BIN to the folder with the programs")
    monkeypatch.setenv("PLANETBRIDGING_BIN", "/elsewhere")
    with pytest.raises(planetbridging.MachineError) as error:
        checking.programs.find("loom-stream")
    assert str(error.value) == (
        "loom-stream not found in /elsewhere, which $PLANETBRIDGING_BIN names")


@needs_programs
def test_check_with_the_real_programs(command):
    status, out, err = command("check", "net:live", "--input", "x.npy")
    assert status == 0
    assert re.fullmatch(
        r"a module that prints\nloom-stream: 4 tensors of float64 stored as float32, "
        r"largest relative error \S+ \(--keep-dtype keeps float64\)\n", err)
    assert out.decode().splitlines()[-1] in ("net:live: EXACT", "net:live: PASS")


@needs_programs
def test_check_can_fail(command):
    status, out, _ = command("check", "net:live", "--input", "x.npy", "--atol", "0")
    assert status == 1 and out.decode().splitlines()[-1] == "net:live: DIFF"


@needs_programs
def test_outputs_that_show_nothing_are_no_and_no_difference(command, module_file, tmp_path):
    module_file("zero", "import numpy as np\nfrom sklearn.preprocessing import StandardScaler\n"
                "net = StandardScaler(with_std=False).fit(np.ones((1, 4), np.float32))\n")
    np.save(tmp_path / "x.npy", np.ones((3, 4), np.float32))
    status, out, _ = command("check", "zero:net", "--input", "x.npy")
    assert status == 1 and out.decode().splitlines()[-1] == "zero:net: VACUOUS"


@needs_programs
def test_the_commands_that_check_prints_do_the_same(command, tmp_path):
    _, out, _ = command("check", "net:live", "--input", "x.npy")
    lines = out.decode().splitlines()
    start = lines.index("The same in the shell:") + 1
    fake(tmp_path / "bin", "python", f"exec '{sys.executable}' \"$@\"")
    folders = os.path.dirname(checking.programs.find("loom-stream"))
    done = subprocess.run(["bash", "-ec", "\n".join(lines[start:start + 4])], capture_output=True,
                          cwd=tmp_path, check=False, env={
                              **os.environ, "PYTHONPATH": str(ROOT / "contrib" / "python"),
                              "PATH": f"{tmp_path}/bin:{folders}:{os.environ['PATH']}"})
    assert done.returncode == 0, done.stderr
    assert done.stdout.decode().splitlines() == lines[:start - 2]


@needs_programs
def test_the_api_does_the_same():
    from sklearn.preprocessing import StandardScaler

    result = planetbridging.check(StandardScaler().fit(X), X, options=["--atol", "1e-6"])
    assert result and result.label in ("EXACT", "PASS") and len(result.tensors) == 1


def test_cut_and_pickled_arrays_are_refused(tmp_path):
    whole = (tmp_path / "x.npy").read_bytes()
    for length in range(1, len(whole)):
        (tmp_path / "cut.npy").write_bytes(whole[:length])
        with pytest.raises(BridgeError):
            arrays.read_arrays(str(tmp_path / "cut.npy"))
    np.save(tmp_path / "objects.npy", np.array([{}]))
    np.savez(tmp_path / "none.npz")
    for name in ("objects.npy", "none.npz"):
        with pytest.raises(BridgeError):
            arrays.read_arrays(str(tmp_path / name))


def test_arrays_go_and_come():
    out = io.BytesIO()
    arrays.write_arrays({"y": np.arange(6, dtype=">f4").reshape(2, 3).T}, out)
    assert out.getvalue()[:8] == b"\x93NUMPY\x01\x00"
    assert b"'<f4', 'fortran_order': False" in out.getvalue()
    out = io.BytesIO()
    arrays.write_arrays({"a": np.ones(2), "b": np.array(True)}, out)
    found = np.load(io.BytesIO(out.getvalue()))
    assert sorted(found) == ["a", "b"] and found["b"].shape == ()


def test_a_builder_is_called_only_if_it_needs_nothing(module_file, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    module_file("spec_module", "class Part:\n    x = 3\ndef one(a):\n    pass\n"
                               "def two(a=1):\n    return a\n")
    assert spec.build("spec_module", "Part.x", "sklearn") == 3
    assert spec.build("spec_module", "two", "sklearn") == 1
    assert callable(spec.build("spec_module", "one", "sklearn"))


def test_objects_find_their_planet():
    with pytest.raises(BridgeError):
        planets.of(object())
    with pytest.raises(UsageError):
        planets.canonical("mars")
    assert planets.canonical("tf") == "keras"
