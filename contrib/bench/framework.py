"""Contestants (turns.h) that are frameworks of Python, each in a process of its own.

    framework.py make BUILD SIZES FOLDER     net.stream, fixed.stream (but for the batch all sizes are
                                             numbers), inputs.npz, exact.f64 and net.onnx of a case
    framework.py torch BUILD SIZES THREADS   PyTorch; THREADS may be "1 last", channels last
    framework.py onnxruntime FOLDER THREADS  ONNX Runtime on net.onnx
    framework.py welvet MODEL INPUTS         real Loom

BUILD and SIZES (JSON) are those of cases.py.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np

from turns import obey


def make(build: str, sizes: str, folder: str) -> None:
    """The files of a case; net.onnx only where PyTorch can write it."""
    import networks
    import torch

    from planetbridging import stream

    into = Path(folder)
    network, inputs = networks.build(build, json.loads(sizes))
    arrays = {name: x.numpy() for name, x in inputs.items()}
    graph = networks.graph(network, arrays)
    with (into / "net.stream").open("wb") as out:
        stream.write(graph, out)
    for one, array in zip(graph.inputs, arrays.values()):
        one.shape[1:] = array.shape[1:]
    with (into / "fixed.stream").open("wb") as out:
        stream.write(graph, out)
    np.savez(into / "inputs.npz", **{i.name: a for i, a in zip(graph.inputs, arrays.values())})
    try:
        torch.onnx.export(network, tuple(inputs.values()), str(into / "net.onnx"), dynamo=False,
                          input_names=list(inputs))
    except Exception as error:  # PyTorch raises many kinds: there is no net.onnx then
        print(f"no net.onnx: {error}", file=sys.stderr)
    with torch.inference_mode():
        exact = network.double()(*(x.double() for x in inputs.values()))
    exact.contiguous().numpy().tofile(into / "exact.f64")


def torch(build: str, sizes: str, how: str) -> None:
    import networks
    import torch

    threads, _, layout = how.partition(" ")
    torch.set_num_threads(int(threads))
    network, inputs = networks.build(build, json.loads(sizes))
    given = list(inputs.values())
    if layout:
        network = network.to(memory_format=torch.channels_last)
        given = [x.to(memory_format=torch.channels_last) for x in given]
    kept = {}

    def call():
        kept["y"] = network(*given)

    with torch.inference_mode():
        obey(call, lambda: kept["y"].contiguous().numpy(),
             f"torch {torch.__version__}, {torch.backends.cpu.get_cpu_capability()}, oneDNN "
             f"{'on' if torch.backends.mkldnn.is_available() else 'off'}")


def onnxruntime(folder: str, threads: str) -> None:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = int(threads)
    options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(Path(folder) / "net.onnx"), options,
                                           providers=["CPUExecutionProvider"])
    arrays = np.load(Path(folder) / "inputs.npz")
    given = {i.name: arrays[name] for i, name in zip(session.get_inputs(), arrays.files)}
    kept = {}

    def call():
        kept["y"] = session.run(None, given)[0]

    obey(call, lambda: kept["y"], f"ONNX Runtime {onnxruntime.__version__}, CPU")


def welvet(model: str, inputs: str) -> None:
    import welvet

    network = welvet.deserialize_entity(Path(model).read_bytes())
    welvet.sync_inference_weights(network)
    arrays = np.load(inputs)
    x = arrays[arrays.files[0]]
    values, kept = x.ravel().tolist(), {}

    def call():
        kept["y"] = welvet.forward_polymorphic(network, values, list(x.shape))

    obey(call, lambda: np.array(kept["y"]), "welvet, values as JSON")


if __name__ == "__main__":
    {"make": make, "torch": torch, "onnxruntime": onnxruntime, "welvet": welvet}[sys.argv[1]](*sys.argv[2:])
