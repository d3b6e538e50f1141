"""Contestants that work by turns: processes that obey turns.h, and whole programs.

All of one contest run in one round after another, so that a slow spell of the machine meets them all;
what is kept is the median of each.  Time is the process's CPU time, which other work on the machine
disturbs least, and beside it what the clock on the wall says.
"""

from __future__ import annotations

import os
import select
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).resolve().parent
BIN = Path(os.environ.get("BIN", HERE.parents[1] / "build/bin")).resolve()
TOOLS = BIN.parent / "bench"
"""Where the programs of this folder are built."""

FORCED = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE", "LOOM_ISA")
"""What would make a library run other kernels than it takes by itself."""

ABSENT = "not on this machine"
"""What stands in place of numbers of a kernel set that the processor lacks."""

THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


PEAK = """
import os, sys
_, _, used = os.wait4(os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ), 0)
print(used.ru_maxrss, file=sys.stderr)
"""
"""Runs a program and says how many kilobytes it had."""


@dataclass
class Pace:
    """How long everybody works: rounds, and seconds in each; `quick` is for tests of the bench."""

    rounds: int = 5
    seconds: float = 0.1
    quick: bool = False


@dataclass
class Measured:
    """What one contestant did: seconds per call, and whatever else is known of it."""

    cpu: float = 0.0
    wall: float = 0.0
    about: str = ""
    peak: int | None = None
    ulp: list[float] | None = None
    stages: list[int] | None = None
    trouble: str = ""


class Trouble(Exception):
    """A contestant that is not here, or cannot do what is asked; the message says why."""


def environment(threads: int = 1, **more: str) -> dict[str, str]:
    """The environment of a contestant, without what would force a library's kernels."""
    kept = {k: v for k, v in os.environ.items() if k not in FORCED}
    return {**kept, **dict.fromkeys(THREADS, str(threads)), **more}


class Contestant:
    """A process that obeys turns.h, and has `patience` seconds for an answer."""

    def __init__(self, command: list, env: dict[str, str] | None = None, patience: float | None = None):
        self.command = [str(part) for part in command]
        self.patience = patience
        try:
            self.process = subprocess.Popen(self.command, env=env or environment(), text=True,
                                            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                            stderr=subprocess.PIPE)
        except OSError as error:
            raise Trouble(f"{Path(self.command[0]).name} is not built ({error.strerror})") from error
        self.about = self._line("").removeprefix("ready").strip()

    def _line(self, question: str) -> str:
        try:
            if question:
                self.process.stdin.write(question + "\n")
                self.process.stdin.flush()
            if not select.select([self.process.stdout], [], [], self.patience)[0]:
                self.process.kill()
                raise Trouble(f"no answer in {self.patience:g} s")
            line = self.process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            cried = self.process.stderr.read().strip().splitlines()
            status = self.process.wait()
            raise Trouble(cried[-1] if cried else f"ended with status {status}")
        return line.strip()

    def run(self, seconds: float) -> tuple[float, float]:
        """(CPU, wall) seconds of a call, on average over `seconds`."""
        calls, cpu, wall = self._line(f"run {seconds:.9g}").split()
        return float(cpu) / int(calls), float(wall) / int(calls)

    def save(self, path: Path) -> bytes:
        self._line(f"save {path}")
        return path.read_bytes()

    def peak(self) -> int:
        return int(self._line("peak"))

    def tell(self) -> str:
        return self._line("tell")

    def close(self) -> None:
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()
        self.process.stderr.close()


class Program:
    """A whole program, from its start to its end; a list of several is a pipeline."""

    about = ""
    quiet = False
    """Whether its messages are nobody's."""

    def __init__(self, *stages: list, given: Path | None = None, made: Path | None = None):
        self.stages = [[str(part) for part in stage] for stage in stages]
        self.given, self.made = given, made

    def run(self, _seconds: float = 0) -> tuple[float, float]:
        """(CPU, wall) seconds of all its processes."""
        opened = [os.open(self.given or os.devnull, os.O_RDONLY),
                  os.open(self.made or os.devnull, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)]
        ends = [opened[0]]
        for _ in self.stages[1:]:
            ends += reversed(os.pipe())
        ends.append(opened[1])
        begun = time.perf_counter()
        children = [self._start(stage, ends[2 * i], ends[2 * i + 1])
                    for i, stage in enumerate(self.stages)]
        for end in ends:
            os.close(end)
        cpu = sum(self._end(stage[0], child) for stage, child in zip(self.stages, children))
        return cpu, time.perf_counter() - begun

    def _start(self, stage: list[str], given: int, made: int) -> int:
        actions = [(os.POSIX_SPAWN_DUP2, given, 0), (os.POSIX_SPAWN_DUP2, made, 1)]
        if self.quiet:
            actions.append((os.POSIX_SPAWN_OPEN, 2, os.devnull, os.O_WRONLY, 0))
        return os.posix_spawn(stage[0], stage, environment(), file_actions=actions)

    def _end(self, name: str, child: int) -> float:
        _, status, used = os.wait4(child, 0)
        if status != 0:
            raise Trouble(f"{Path(name).name} ended with status {os.waitstatus_to_exitcode(status)}")
        return used.ru_utime + used.ru_stime

    def peak(self) -> int:
        """The most memory that it had, of a run of its own.  What starts a process is the least that the
        system ever says of it, so a small one does."""
        with open(self.given or os.devnull, "rb") as given, open(self.made or os.devnull, "wb") as made:
            done = subprocess.run([sys.executable, "-I", "-S", "-c", PEAK, *self.stages[0]], stdin=given,
                                  stdout=made, stderr=subprocess.PIPE, env=environment(), check=False)
        return int(done.stderr.split()[-1]) * 1024

    def close(self) -> None:
        """Nothing lasts from run to run."""


@dataclass
class Contest:
    """Contestants by name, of whom some may have failed to come."""

    there: dict[str, Contestant | Program] = field(default_factory=dict)
    found: dict[str, Measured] = field(default_factory=dict)

    def enter(self, name: str, make) -> None:
        """`make` makes the contestant, or raises Trouble, which then stands in its place."""
        self.found[name] = Measured()
        try:
            self.there[name] = make()
            self.found[name].about = self.there[name].about
        except Trouble as trouble:
            self.found[name].trouble = str(trouble)

    def run(self, pace: Pace) -> dict[str, Measured]:
        """The medians, by turns, after one round that warms up."""
        taken: dict[str, list] = {name: [] for name in self.there}
        for turn in range(pace.rounds + 1):
            for name in list(self.there):
                try:
                    spent = self.there[name].run(pace.seconds if turn > 0 else 0)
                except Trouble as trouble:
                    self.found[name].trouble = str(trouble)
                    del self.there[name]
                    continue
                if turn > 0:
                    taken[name].append(spent)
        for name in self.there:
            self.found[name].cpu, self.found[name].wall = map(statistics.median, zip(*taken[name]))
        return self.found

    def close(self) -> None:
        for one in self.there.values():
            one.close()


def say(case: str) -> None:
    """What is being measured, for those who wait."""
    print(f"bench: {case}", file=sys.stderr, flush=True)


def python(*arguments) -> list:
    """The command of a contestant in framework.py."""
    return [sys.executable, "-W", "ignore", HERE / "framework.py", *arguments]
