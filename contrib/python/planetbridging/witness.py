"""Real Loom as a witness: an independent runtime (PyPI welvet) runs a checkpoint and is believed.

Loom ends the process that calls it when it dislikes a file or an input, so each call is a child with a
time limit, and how the child ended is an answer too.  $WELVET_PYTHON is the interpreter that has welvet
(default: this one).
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from functools import cache

import numpy as np

ENVIRONMENT = "WELVET_PYTHON"
NO_ANSWER = "no answer"
"""How the death of a child begins that was not done in time."""

SECONDS = 60.0

CHILD = """
import json, resource, sys
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
import welvet
data = open(sys.argv[1], "rb").read()
for line in sys.stdin:
    shape, values = json.loads(line)
    network = welvet.deserialize_entity(data)
    welvet.sync_inference_weights(network)
    made = welvet.forward_polymorphic(network, values, shape)
    welvet.free_network(network)
    print("ANSWER " + json.dumps(made), flush=True)
"""
"""A network keeps keys and values from call to call, so each sample has one of its own."""


@dataclass(frozen=True)
class Testimony:
    """What Loom said: flat values for each sample that it answered, in order, and how it died.

    `death` is "" if its process ended as it should.
    """

    outputs: list[np.ndarray]
    death: str = ""


def interpreter() -> str:
    """The Python that is to have welvet."""
    return os.environ.get(ENVIRONMENT) or sys.executable


@cache
def missing(python: str | None = None) -> str:
    """"" if there is a Loom to ask, or why there is none."""
    python = python or interpreter()
    try:
        done = subprocess.run([python, "-c", "import welvet"], capture_output=True, text=True,
                              timeout=SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"{python} cannot be run: {error}"
    if done.returncode == 0:
        return ""
    words = last_words(done.stderr)
    return f"{python} has no welvet" + (f" ({words})" if words else "")


def ask(path: str, samples, *, timeout: float = SECONDS, python: str | None = None,
        child: str = CHILD) -> Testimony:
    """What Loom computes from the checkpoint at `path` for each of `samples`.

    Each is an array whose shape Loom is told; a batch is one sample.  All of it takes at most about
    `timeout` seconds, whatever Loom does.
    """
    lines = "".join(json.dumps([list(x.shape), np.asarray(x, np.float32).ravel().tolist()]) + "\n"
                    for x in samples)
    with tempfile.TemporaryFile() as given, tempfile.TemporaryFile() as said, \
            tempfile.TemporaryFile() as cried:
        given.write(lines.encode())
        given.seek(0)
        process = subprocess.Popen([python or interpreter(), "-c", child, path], stdin=given,
                                   stdout=said, stderr=cried, start_new_session=True)
        ended = wait(process, timeout)
        for file in (said, cried):
            file.seek(0)
        return testimony(said.read().decode(errors="replace"), cried.read().decode(errors="replace"),
                         ended, len(samples))


def wait(process: subprocess.Popen, timeout: float) -> str:
    """"" if the child ended by itself with status 0, or how it ended; it has ended in any case."""
    try:
        status = process.wait(timeout)
    except BaseException as error:
        # Too late, or somebody stopped us: what the child may have started dies with it.
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        if not isinstance(error, subprocess.TimeoutExpired):
            raise
        return f"{NO_ANSWER} in {timeout:g} s"
    if status < 0:
        return f"signal {signal.Signals(-status).name}"
    return f"exit status {status}" if status else ""


def testimony(said: str, cried: str, ended: str, wanted: int) -> Testimony:
    """The child's lines and its end as a Testimony."""
    outputs = [np.asarray(json.loads(line.removeprefix("ANSWER ")), np.float64)
               for line in said.splitlines() if line.startswith("ANSWER ") and line.endswith("]")]
    if ended:
        words = last_words(cried)
        return Testimony(outputs, f"{ended}: {words}" if words else ended)
    if len(outputs) < wanted:
        return Testimony(outputs, f"{len(outputs)} of {wanted} samples answered")
    return Testimony(outputs)


def last_words(text: str) -> str:
    """The line of a traceback, Go's or Python's, that says what went wrong."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    for line in lines:
        if line.startswith(("panic: ", "fatal error: ")):
            return line.split(" [recovered]")[0]
    return lines[-1] if lines else ""
