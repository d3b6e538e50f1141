"""The whole way of a live PyTorch network, each contestant a process: seconds and peak memory.

Peak memory is that of the largest process of a contestant, the kernel's maxrss.
"""

from __future__ import annotations

import os
import statistics
import sys
import time
from pathlib import Path

from contest import BIN, HERE, Measured, Pace, environment, say
from results import Row, Table

PACKAGE = HERE.parent / "python"
EXPORT = "torch.onnx.export"

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
    EXPORT: "torch.onnx.export(model, (x,), 'out.onnx', dynamo=False)",
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


SMALL = """
import torch
model = torch.nn.Linear(4, 4).eval()
x = torch.randn(1, 4)
"""


def run(code: str, folder: Path) -> tuple[float, float, int] | str:
    """(CPU seconds, seconds, peak bytes) of a Python process, its children included, or how it ended."""
    script = f"import os\nos.chdir({str(folder)!r})\n{code}"
    silent = [(os.POSIX_SPAWN_OPEN, fd, os.devnull, os.O_WRONLY, 0) for fd in (1, 2)]
    begun = time.perf_counter()
    child = os.posix_spawn(
        sys.executable, [sys.executable, "-W", "ignore", "-c", script],
        environment(os.cpu_count(), PYTHONPATH=str(PACKAGE), PLANETBRIDGING_BIN=str(BIN)),
        file_actions=silent)
    _, status, used = os.wait4(child, 0)
    if status != 0:
        return f"ended with status {os.waitstatus_to_exitcode(status)}"
    return used.ru_utime + used.ru_stime, time.perf_counter() - begun, used.ru_maxrss * 1024


def row(case: str, network: str, ours: dict[str, str], folder: Path, pace: Pace) -> Row:
    """Medians by turns."""
    say(case)
    ways = {**WAYS, **ours}
    taken: dict[str, list] = {name: [] for name in ways}
    for _ in range(min(pace.rounds, 3)):
        for name, code in ways.items():
            taken[name].append(run(network + code, folder))
    found = {}
    for name, runs in taken.items():
        troubles = [one for one in runs if isinstance(one, str)]
        if troubles:
            found[name] = Measured(trouble=troubles[0])
        else:
            cpu, wall, peak = map(statistics.median, zip(*runs))
            found[name] = Measured(cpu, wall, peak=int(peak))
    made = Row(case, 1, "/s", found, "wall")
    for name in ours:
        made.against(name, EXPORT)
    return made


def bench(_name: str, folder: Path, pace: Pace) -> Table:
    table = Table("emitting", "The way of a live PyTorch network, each contestant a Python process, beside its "
                  "export to ONNX, on the wall clock")
    convert = {"emit | loom-stream": CONVERT}
    if pace.quick:
        table.rows.append(row("a linear layer", SMALL, convert, folder, pace))
        return table
    table.rows += [row("resnet50, 1 x 3 x 224 x 224", RESNET50,
                       {"planetbridging.check, to the verdict": VERDICT}, folder, pace),
                   row("a state dict of 400 MB", STATE, convert, folder, pace)]
    return table
