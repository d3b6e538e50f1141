"""Our own contestants: a network of one's choice, on each kernel set that this machine has."""

from __future__ import annotations

import platform
import subprocess
import tempfile
from functools import cache
from pathlib import Path

import numpy as np

from contest import ABSENT, BIN, TOOLS, Contestant, Trouble, environment
from planetbridging import stream
from planetbridging.graph import Graph, Input, Node, Tensor

NAMES = {"x86_64": ["sse2", "avx2", "avx512", "amx"], "aarch64": ["neon"]}.get(
    platform.machine(), ["scalar"])
"""The kernel sets that a machine of this kind may have."""



def dense(weight: np.ndarray) -> Graph:
    """The network that multiplies by `weight`, [outputs, inputs], and does no more."""
    outputs, inputs = weight.shape
    node = Node("y", "dense", ["x"], {"in_features": inputs, "out_features": outputs, "bias": False},
                [Tensor("weight", weight, axes=["o", "i"])])
    return Graph("numpy", {}, "bench", [Input("x", "float32", ["batch", inputs])], ["y"], [node])


def convert(graph: Graph, folder: Path) -> Path:
    """The .entity that loom-stream makes of the network."""
    with (folder / "net.stream").open("wb") as out:
        stream.write(graph, out)
    return entity(folder)


def entity(folder: Path) -> Path:
    """net.entity of net.stream, both in `folder`."""
    with (folder / "net.stream").open("rb") as given:
        done = subprocess.run([BIN / "loom-stream", "-o", folder / "net.entity"], stdin=given,
                              capture_output=True, check=False)
    if done.returncode != 0:
        raise Trouble(done.stderr.decode(errors="replace").strip())
    return folder / "net.entity"


def forward(model: Path, given: Path, name: str = "", jobs: int = 1) -> Contestant:
    """forward.c on set `name`, or on the one that it takes by itself."""
    more = {"LOOM_ISA": name} if name else {}
    return Contestant([TOOLS / "forward", "-j", jobs, model, given], environment(jobs, **more))


@cache
def trouble(name: str) -> str:
    """"" if this machine has the set, else what to say instead of a number."""
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        model = convert(dense(np.eye(2, dtype=np.float32)), folder)
        np.save(folder / "x.npy", np.ones((1, 2), np.float32))
        try:
            forward(model, folder / "x.npy", name).close()
        except Trouble as why:
            return ABSENT if "LOOM_ISA" in str(why) else str(why)
    return ""


def here() -> list[str]:
    """The sets that this machine has."""
    return [name for name in NAMES if not trouble(name)]
