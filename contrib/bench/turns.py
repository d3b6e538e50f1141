"""What turns.h says, for contestants in Python."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np


def obey(call, result, about: str) -> None:
    """Call once, say that all is ready, and obey until standard input ends."""
    call()
    say(f"ready {about}")
    for line in sys.stdin:
        word, _, rest = line.strip().partition(" ")
        say({"run": run, "save": save, "peak": peak, "tell": tell}[word](call, result, rest))


def say(line: str) -> None:
    print(line, flush=True)


def run(call, _result, seconds: str) -> str:
    cpu, begun = time.process_time(), time.perf_counter()
    calls, step, wall, last = 0, 1, 0.0, 0.0
    while not calls or wall < float(seconds):
        for _ in range(step):
            call()
        calls += step
        wall = time.perf_counter() - begun
        if wall - last < float(seconds) / 64:
            step *= 2
        last = wall
    return f"{calls} {time.process_time() - cpu:.9g} {wall:.9g}"


def save(_call, result, path: str) -> str:
    data = np.ascontiguousarray(result(), np.float32).tobytes()
    Path(path).write_bytes(data)
    return f"saved {len(data)}"


def peak(_call, _result, _rest: str) -> str:
    lines = Path("/proc/self/status").read_text().splitlines()
    return str(next((1024 * int(line.split()[1]) for line in lines if line.startswith("VmHWM")), 0))


def tell(_call, _result, _rest: str) -> str:
    return ""
