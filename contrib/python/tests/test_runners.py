"""Engines by name: what they compute, the forms of inputs and outputs, and how they refuse."""

from __future__ import annotations

import importlib.util
import io
import json
import sys
import warnings

import numpy as np
import pytest

from planetbridging import arrays, cli, runners
from planetbridging.graph import BridgeError, MachineError, UsageError

helper = pytest.importorskip("onnx.helper", reason="onnx is not installed")
pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
ONNX_ENGINES = [name for name in ("onnxruntime", "openvino") if importlib.util.find_spec(name)]
X = np.random.default_rng(3).normal(size=(5, 4)).astype(np.float32)
W = np.random.default_rng(4).normal(size=(4, 3)).astype(np.float32)


def write_model(path, *outputs):
    """x @ W under each of these names, made with the package onnx alone."""
    import onnx

    named = lambda name, shape: helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape)  # noqa: E731
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], [name]) for name in outputs], "net", [named("x", ["n", 4])],
        [named(name, ["n", 3]) for name in outputs], [helper.make_tensor("w", 1, [4, 3], W.ravel())])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)


@pytest.fixture(autouse=True)
def files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_model("net.onnx", "y")
    write_model("two.onnx", "a", "b")
    np.save("x.npy", X)
    np.savez("x.npz", x=X)
    with open("x.safetensors", "wb") as out:
        arrays.write_safetensors({"x": X}, out)


@pytest.fixture
def command(capfd, monkeypatch):
    """A function that runs the command in this process: (status, out, err)."""
    monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)

    def run(*arguments):
        status = cli.main(["run", *arguments])
        sys.__stdout__.flush()
        return (status, *capfd.readouterr())
    return run


@pytest.mark.parametrize("engine", ONNX_ENGINES)
@pytest.mark.parametrize("inputs", ["x.npy", "x.npz", "x.safetensors"])
def test_engines_of_onnx(command, engine, inputs):
    assert command(engine, "net.onnx", "--inputs", inputs, "--outputs", "y.npy") == (0, "", "")
    assert np.abs(np.load("y.npy") - X @ W).max() < 1e-5


def test_outputs_by_their_suffix(command):
    for name in ("y.npz", "y.safetensors"):
        assert command("onnxruntime", "two.onnx", "--inputs", "x.npy", "-o", name)[0] == 0
        found = arrays.read_named(name)
        assert list(found) == ["a", "b"]
        assert np.array_equal(found["a"], found["b"])
    status, _, err = command("onnxruntime", "two.onnx", "--inputs", "x.npy", "-o", "y.npy")
    assert (status, err) == (2, "planetbridging: y.npy: there are 2 outputs (a, b): call the file .npz or "
                                ".safetensors\n")


def test_pipes(programs_run):
    done = programs_run("onnxruntime", "net.onnx", given=open("x.npy", "rb").read())
    assert (done.returncode, done.stderr) == (0, b"")
    assert np.load(io.BytesIO(done.stdout)).shape == (5, 3)


@pytest.fixture
def programs_run():
    """A function: the command as its own process, with bytes on its standard input."""
    import os
    import subprocess
    import sys

    from conftest import ROOT

    def run(*arguments, given):
        return subprocess.run([sys.executable, "-m", "planetbridging", "run", *arguments], input=given,
                              capture_output=True, check=False,
                              env={**os.environ, "PYTHONPATH": str(ROOT / "contrib" / "python")})
    return run


@pytest.mark.parametrize("engine", ONNX_ENGINES)
def test_a_file_that_the_engine_refuses(command, engine):
    with open("bad.onnx", "wb") as out:
        out.write(b"no network at all")
    status, out, err = command(engine, "bad.onnx", "--inputs", "x.npy", "-o", "y.npy")
    assert (status, out) == (3, "")
    assert err.startswith(f"planetbridging: bad.onnx: {engine} refuses it: ")
    assert err.count("\n") == 1


@pytest.mark.skipif("openvino" not in ONNX_ENGINES, reason="openvino is not installed")
@pytest.mark.parametrize(("operator", "domain", "message"), [
    ("Frob", "mine", "No conversion rule found for operations: mine.Frob"),
    ("Concat", "", "Concat-17 with a message: While validating ONNX node '<Node(Concat): y>': Check '_impl != "
                   "nullptr' failed at src/core/src/any.cpp:153: Any was not initialized."),
])
def test_openvino_says_what_is_behind_its_colons(command, operator, domain, message):
    import onnx

    named = [helper.make_tensor_value_info(name, 1, ["n", 4]) for name in "xy"]
    graph = helper.make_graph([helper.make_node(operator, ["x"], ["y"], domain=domain)], "net", named[:1], named[1:])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17), helper.make_opsetid("mine", 1)],
                                ir_version=8), "odd.onnx")
    assert command("openvino", "odd.onnx", "--inputs", "x.npy", "-o", "y.npy") == (
        3, "", f"planetbridging: odd.onnx: openvino refuses it: {message}\n")


@pytest.mark.skipif(not importlib.util.find_spec("welvet"), reason="welvet is not installed")
def test_loom_runs_checkpoints_alone(command):
    assert command("loom", "net.onnx", "--inputs", "x.npy", "-o", "y.npy") == (
        3, "", "planetbridging: net.onnx: loom runs an .entity, which this is not: loom-import makes one of it\n")


@pytest.mark.parametrize("engine", ONNX_ENGINES)
def test_inputs_that_do_not_fit(command, engine):
    np.save("x.npy", X[:, :3])
    status, _, err = command(engine, "net.onnx", "--inputs", "x.npy", "-o", "y.npy")
    assert status == 3
    assert err.startswith(f"planetbridging: net.onnx: {engine} cannot run these inputs: ")
    assert err.count("\n") == 1
    np.save("x.npy", X.astype(int))
    assert command(engine, "net.onnx", "--inputs", "x.npy", "-o", "y.npy") == (
        3, "", "planetbridging: input x is int64, the model wants float32\n")


def test_usage(command):
    engines = "onnxruntime, openvino, transformers, llama.cpp, loom, torch, keras, jax"
    cases = {("tensorrt", "net.onnx"): f"unknown engine tensorrt; there are {engines}",
             ("onnxruntime:net:build", "net.onnx"):
                 "onnxruntime:net:build: onnxruntime takes no pkg.mod:build; torch, keras, jax do",
             ("onnxruntime",): "onnxruntime needs a MODEL: an .onnx file"}
    for words, message in cases.items():
        assert command(*words, "--inputs", "x.npy") == (2, "", f"planetbridging: {message}\n")
    assert command("onnxruntime", "net.onnx", "--threads", "0")[0] == 2


def test_missing_files(command):
    for words, name in ((("none.onnx", "--inputs", "x.npy"), "none.onnx"), (("net.onnx", "--inputs", "none.npy"), "none.npy")):
        assert command("onnxruntime", *words) == (
            4, "", f"planetbridging: {name}: No such file or directory\n")


@pytest.mark.parametrize("engine", runners.ENGINES)
def test_an_engine_that_is_not_installed(command, monkeypatch, engine):
    found = importlib.util.find_spec
    runner = runners.module(engine)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *more: (
        None if name == runner.MODULES[0] else found(name, *more)))
    spec = ":net:build" if engine in runners.LIVE else ""
    assert command(engine + spec, "net.onnx", "--inputs", "x.npy") == (
        4, "", f"planetbridging: {engine} needs the Python package {runner.MODULES[0]}, which is not "
               f"installed: pip install {runner.PACKAGE}\n")


@pytest.mark.parametrize("engine", runners.ENGINES)
def test_about(command, engine):
    status, out, err = command(engine, "--about")
    assert (status, err) == (0, "")
    lines = out.splitlines()
    assert lines[0] == f"engine: {engine}"
    assert [line.split(":")[0] for line in lines[1:]] == ["model", "settings", *runners.module(engine).MODULES, "numpy"]
    assert lines[-1] == f"numpy: {np.__version__}"


def test_types_that_are_the_same_kind_of_number():
    assert runners.cast("x", np.float64([1.5]), "float32").dtype == np.float32
    assert runners.cast("x", np.int64([7]), "int32").dtype == np.int32
    with pytest.raises(BridgeError, match="^input x holds numbers that int32 has not$"):
        runners.cast("x", np.int64([1 << 40]), "int32")
    with pytest.raises(BridgeError, match="^input x is bool, the model wants int64$"):
        runners.cast("x", np.array([True]), "int64")


def test_optimisations_are_off():
    """What the file says is run as it stands: onnxruntime would take this Identity away."""
    import onnxruntime

    seen = []
    real = onnxruntime.InferenceSession

    class Session(real):
        def __init__(self, model, options, **more):
            seen.append((options.graph_optimization_level, options.intra_op_num_threads, more["providers"]))
            super().__init__(model, options, **more)
    onnxruntime.InferenceSession = Session
    try:
        runners.run("onnxruntime", "net.onnx", {"x": X}, threads=2)
    finally:
        onnxruntime.InferenceSession = real
    assert seen == [(onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL, 2, ["CPUExecutionProvider"])]


DECODER = {"vocab_size": 60, "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4,
           "num_key_value_heads": 2, "intermediate_size": 96, "max_position_embeddings": 64}


@pytest.mark.skipif(not importlib.util.find_spec("transformers"), reason="transformers is not installed")
def test_a_hugging_face_directory(command, tmp_path):
    import torch
    import transformers

    torch.manual_seed(5)
    network = transformers.LlamaForCausalLM(transformers.LlamaConfig(**DECODER)).eval()
    transformers.utils.logging.disable_progress_bar()
    network.save_pretrained(tmp_path / "decoder")
    ids = np.random.default_rng(6).integers(0, 60, (2, 7))
    np.save("ids.npy", ids)
    assert command("transformers", "decoder", "--inputs", "ids.npy", "-o", "y.safetensors") == (0, "", "")
    found = arrays.read_safetensors("y.safetensors")
    with torch.no_grad():
        wanted = network(torch.from_numpy(ids)).logits.numpy()
    assert list(found) == ["logits"]
    assert np.abs(found["logits"] - wanted).max() < 1e-5
    (tmp_path / "decoder" / "config.json").write_text(json.dumps({"model_type": "nothing"}))
    status, _, err = command("transformers", "decoder", "--inputs", "ids.npy")
    assert status == 3
    assert err.startswith("planetbridging: decoder: transformers refuses it: ")


@pytest.mark.skipif(not importlib.util.find_spec("xllamacpp"), reason="xllamacpp is not installed")
def test_llama_cpp_refuses(command):
    with open("bad.gguf", "wb") as out:
        out.write(b"no network at all")
    np.save("ids.npy", np.zeros((1, 3), np.int64))
    status, _, err = command("llama.cpp", "bad.gguf", "--inputs", "ids.npy")
    assert status == 3
    assert err.startswith("planetbridging: bad.gguf: llama.cpp refuses it: ")
    assert err.count("\n") == 1
    assert command("llama.cpp", "bad.gguf", "--inputs", "x.npy") == (
        3, "", "planetbridging: input_ids is float32 [5, 4], expected integers [batch, length]\n")


def test_a_live_engine_needs_a_spec():
    pytest.importorskip("torch", reason="torch is not installed")
    with pytest.raises(UsageError, match="^torch runs a module of yours: write torch:pkg.mod:build$"):
        runners.run("torch", "net.onnx", {"x": X})


def test_what_is_missing_is_the_machines_fault(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *more: None)
    with pytest.raises(MachineError):
        runners.installed("openvino")
