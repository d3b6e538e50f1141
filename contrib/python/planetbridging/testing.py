"""A whole check inside a test: the network leaves its framework, and the numbers stay.

    from planetbridging.testing import assert_same

    def test_the_model_survives():
        assert_same(model, x, second=other_batch)
"""

from __future__ import annotations

from . import api, checking, planets
from .checking import CheckResult


def assert_same(model, inputs, *, planet: str | None = None, options: list[str] = (),
                second=None) -> CheckResult:
    """AssertionError, with loom-compare's report as its message, unless Loom computes what `model` does.

    `inputs` is one array [N, ...], or arrays by input name; `second` are inputs of another batch size
    or length for the same graph, which is emitted once.  `options` are passed to loom-compare, as
    ["--atol", "1e-6"].  Returns the check of the last inputs.

    What keeps the check from being made passes through: `Unsupported`, `MachineError` if the programs
    or the framework are not there, `ProgramError` if a program refuses.
    """
    __tracebackhide__ = True  # pytest shows the line that calls this one
    planet = planet or planets.of(model)
    inputs = api.as_dict(inputs)
    graph = api.emit(model, example=inputs, planet=planet)
    batches = {"": inputs} if second is None else {"first inputs": inputs,
                                                   "second inputs": api.as_dict(second)}
    for which, given in batches.items():
        outputs = planets.module(planet).native(model, given)
        result = checking.run_check(graph, given, outputs, options)
        if not result:
            raise AssertionError(_message(type(model).__name__, which, result))
    return result


def _message(name: str, which: str, result: CheckResult) -> str:
    head = f"{name}: {result.label}" + (f", {which}" if which else "")
    return f"{head}\n{result.report.rstrip()}"
