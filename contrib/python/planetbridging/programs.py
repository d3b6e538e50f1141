"""The Loom programs: where they are, how they are run, and what their exit statuses mean."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

from .graph import BridgeError, MachineError

ENVIRONMENT = "PLANETBRIDGING_BIN"


class ProgramError(Exception):
    """A program that said no: its own message and status are the user's answer."""

    def __init__(self, program: str, status: int, text: str):
        super().__init__(text or f"{program} ended with status {status}")
        self.status = status if 0 < status <= 4 else 4


def find(program: str) -> str:
    """Path of a Loom program: in $PLANETBRIDGING_BIN, or else in PATH, beside this Python, or in
    build/bin of our checkout.  A path is taken as it is.
    """
    if os.path.dirname(program):
        if os.path.isfile(program) and os.access(program, os.X_OK):
            return program
        raise MachineError(f"{program}: no such program")
    named = os.environ.get(ENVIRONMENT)
    if named:
        found = shutil.which(program, path=named)
        if not found:
            raise MachineError(f"{program} not found in {named}, which ${ENVIRONMENT} names")
        return found
    for folder in filter(None, [os.environ.get("PATH", ""), *beside()]):
        found = shutil.which(program, path=folder)
        if found:
            return found
    raise MachineError(f"{program} not found in ${ENVIRONMENT}, PATH, beside this Python or in "
                       f"build/bin: run make, then set {ENVIRONMENT} to the folder with the programs")


def beside() -> list[str]:
    """Where pip puts programs (for everybody, for one user, with --target), then build/bin above."""
    above = Path(__file__).resolve().parents
    return [os.path.dirname(sys.executable), sysconfig.get_path("scripts"),
            sysconfig.get_path("scripts", f"{os.name}_user"), str(above[1] / "bin"),
            *(str(parent / "build" / "bin") for parent in above)]


def run(program: str, arguments: list[str], *, stdin: str | None = None, stdout: str | None = None,
        answers: tuple[int, ...] = (0,)) -> tuple[int, str, str]:
    """Run a program with files as its input and output; (status, its output, its messages).

    A status outside `answers` raises ProgramError with the program's own message; a crash has
    status 4.
    """
    with open(stdin or os.devnull, "rb") as source, \
            (open(stdout, "wb") if stdout else open(os.devnull, "wb")) as target:
        done = subprocess.run([find(program), *arguments], stdin=source, check=False,
                              stdout=target if stdout else subprocess.PIPE, stderr=subprocess.PIPE)
    output = (done.stdout or b"").decode(errors="replace")
    messages = done.stderr.decode(errors="replace")
    if done.returncode not in answers:
        raise ProgramError(program, done.returncode, messages.strip())
    return done.returncode, output, messages


def exit_status(step, arguments, name: str) -> int:
    """What `step(arguments)` returns, or the status of what it raised, with one line by `name` about it."""
    try:
        return step(arguments)
    except ProgramError as error:
        print(error, file=sys.stderr)
        return error.status
    except (BridgeError, MachineError, OSError) as error:
        print(f"{name}: {error}", file=sys.stderr)
        return 3 if isinstance(error, BridgeError) else 4
