"""Benches of whole layers: against PyTorch on one thread, and against the reference's loom-stream."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np

from bench import BIN, RNG, medians, shell, table

TOP = Path(__file__).resolve().parents[2]
SAMPLES = 20000


def net(torch, kind):
    """(module, one batch): a layer of the size that small networks have."""
    draw = lambda *shape: torch.from_numpy(RNG.standard_normal(shape).astype(np.float32))  # noqa: E731
    if kind == "conv 8 x 32 x 32 x 32, 64 filters 3 x 3":
        return torch.nn.Conv2d(32, 64, 3, padding=1), draw(8, 32, 32, 32)
    if kind == "attention 4 x 128 x 256, 8 heads":
        return torch.nn.MultiheadAttention(256, 8, batch_first=True), draw(4, 128, 256)
    return torch.nn.LSTM(128, 128, batch_first=True), draw(8, 64, 128)


NETS = [
    "conv 8 x 32 x 32 x 32, 64 filters 3 x 3",
    "attention 4 x 128 x 256, 8 heads",
    "lstm 8 x 64 x 128, 128 units",
]


def first(torch, layer):
    """The layer as a module of one tensor in and one out."""
    class First(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = layer

        def forward(self, x):
            if isinstance(self.layer, torch.nn.MultiheadAttention):
                return self.layer(x, x, x, need_weights=False)[0]
            y = self.layer(x)
            return y[0] if isinstance(y, tuple) else y

    return First().eval()


def against_torch(kind):
    import torch

    from planetbridging import stream
    from planetbridging.planets import torch_

    torch.manual_seed(1)
    torch.set_num_threads(1)
    layer, x = net(torch, kind)
    module = first(torch, layer)
    with open("layer.stream", "wb") as out:
        stream.write(torch_.emit(module, example=x.numpy()), out)
    subprocess.run(f"{BIN / 'loom-stream'} < layer.stream > layer.entity", shell=True, check=True)
    np.save("some.npy", x.numpy())
    np.save("none.npy", x.numpy()[:0])

    def infer(name):
        return shell(f"{BIN / 'loom-infer'} -m layer.entity {name}.npy")

    def by_torch():
        with torch.no_grad():
            module(x)

    times = medians({"PyTorch, one thread": by_torch, "loom-infer": infer("some"), "nothing": infer("none")})
    times["loom-infer"] = max(times["loom-infer"] - times.pop("nothing"), 1e-9)
    table(f"{kind}, against PyTorch (what loom-infer takes for no samples is taken off)", times, len(x),
          "/s", "PyTorch, one thread")


def bench_layers():
    if importlib.util.find_spec("torch") is None:
        print("\nlayers: SKIPPED, PyTorch is not installed (make planets, then PYTHON=build/planets/bin/python)")
        return
    for kind in NETS:
        against_torch(kind)


def bench_requests():
    reference = os.environ.get("REFERENCE_STREAM")
    if not reference:
        print("\nrequests: SKIPPED, REFERENCE_STREAM does not name the reference's loom-stream")
        return
    sys.path.insert(0, str(TOP / "fixtures/stream"))
    import kinds

    for kind, body in kinds.BODIES.items():
        shape = (SAMPLES, *kinds.FIXTURES.get(kind, (0, 4, 5))[1:])
        arrays = {"x_test": RNG.standard_normal(shape)}
        if kind == "embedding":
            arrays = {"x_test": RNG.integers(0, 5, (SAMPLES, 4)).astype(float)}
        if kind == "residual":
            arrays = {name: RNG.standard_normal(shape) for name in ("x_main_test", "x_skip_test")}
        np.savez_compressed(f"fx-{kind}.npz", **arrays)
        Path("kind.json").write_text(json.dumps(kinds.request(kind, body)))
        times = medians({"the reference's loom-stream": shell(f"{reference} < kind.json"),
                         "loom-stream": shell(f"{BIN / 'loom-stream'} < kind.json")})
        table(f"a {kind} request with {SAMPLES} samples, against the reference", times, SAMPLES, "/s",
              "the reference's loom-stream")
