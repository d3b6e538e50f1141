"""Benches of the whole way of a live PyTorch network, each contestant a process: seconds and peak memory.

Peak memory is that of the largest process of a contestant, the kernel's maxrss.
"""

import importlib.util
import os
import statistics
import sys
import time
from pathlib import Path

from bench import BIN, ROUNDS

TURNS = min(ROUNDS, 3)
PACKAGE = Path(__file__).resolve().parents[1] / "python"

RESNET50 = """
import torch, torchvision
torch.manual_seed(1)
model = torchvision.models.resnet50(weights=None).eval()
x = torch.randn(1, 3, 224, 224)
"""

STATE = """
import torch
torch.manual_seed(1)
model = torch.nn.Sequential(*(torch.nn.Linear(2000, 2000) for _ in range(25))).eval()
x = torch.randn(1, 2000)
"""

WAYS = {
    "nothing but the network": "",
    "torch.save of the state dict": "torch.save(model.state_dict(), 'out.pt')",
    "torch.onnx.export": "torch.onnx.export(model, (x,), 'out.onnx', dynamo=False)",
}

VERDICT = """
import planetbridging
result = planetbridging.check(model, x.numpy(), options=["--atol", "1e-4"])
assert result, result.report
"""

CONVERT = f"""
import planetbridging, subprocess
graph = planetbridging.emit(model, example=x.numpy())
with open('out.entity', 'wb') as out:
    loom = subprocess.Popen([{str(BIN / 'loom-stream')!r}], stdin=subprocess.PIPE, stdout=out)
    planetbridging.write(graph, loom.stdin)
    loom.stdin.close()
assert loom.wait() == 0
"""


def run(code: str) -> tuple[float, float]:
    """(seconds, peak MB) of a Python process, its children included."""
    begun = time.perf_counter()
    child = os.posix_spawn(sys.executable, [sys.executable, "-W", "ignore", "-c", code],
                           {**os.environ, "PYTHONPATH": str(PACKAGE), "PLANETBRIDGING_BIN": str(BIN)},
                           file_actions=[(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)])
    _, status, used = os.wait4(child, 0)
    if status != 0:
        sys.exit(f"bench: a contestant failed: {code.strip().splitlines()[-1]}")
    return time.perf_counter() - begun, used.ru_maxrss / 1e3


def contest(title: str, network: str, ours: dict[str, str]) -> None:
    """Medians over TURNS by turns, and ratios to torch.onnx.export."""
    ways = {**WAYS, **ours}
    found = {name: [] for name in ways}
    for _ in range(TURNS):
        for name, code in ways.items():
            found[name].append(run(network + code))
    medians = {name: tuple(map(statistics.median, zip(*runs))) for name, runs in found.items()}
    base = medians["torch.onnx.export"]
    print(f"\n{title}, against torch.onnx.export (medians of {TURNS})")
    for name, (seconds, peak) in medians.items():
        print(f"  {name:<34} {seconds:8.2f} s {seconds / base[0]:6.2f} x  {peak:8.0f} MB {peak / base[1]:6.2f} x")


def lacking(*packages: str) -> str:
    """The first of them that is not installed, or ""."""
    return next((name for name in packages if importlib.util.find_spec(name) is None), "")


def bench_resnet50():
    missing = lacking("torch", "torchvision", "onnx")
    if missing:
        print(f"\nresnet50: SKIPPED, {missing} is not installed (make planets, then "
              "PYTHON=build/planets/bin/python)")
        return
    contest("live resnet50, 1 x 3 x 224 x 224", RESNET50, {"planetbridging.check, to the verdict": VERDICT})


def bench_state():
    missing = lacking("torch", "onnx")
    if missing:
        print(f"\nstate: SKIPPED, {missing} is not installed (make planets, then "
              "PYTHON=build/planets/bin/python)")
        return
    contest("a state dict of 400 MB", STATE, {"emit | loom-stream": CONVERT})
