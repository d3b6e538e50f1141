"""Whether a row can show anything: values that are neither tiny nor huge, outputs that depend on inputs.

Random weights make deep networks answer with next to nothing, or with the same for everything; such
a row proves nothing, so it is INVALID, which fails.
"""

from __future__ import annotations

import numpy as np

LEAST, MOST = 0.1, 10.0
"""What the root mean square of a tensor may be, if weights have a part in it."""

APART = 0.01
"""How far apart the answers to two inputs must be, relative to the greatest value."""


def complaints(nodes: list[dict], outputs: list[str], taps: dict[str, np.ndarray],
               trained: bool) -> list[str]:
    """Why a run shows nothing, a line each; `taps` are float64 tensors by name, samples first."""
    found = []
    for name, root in {} if trained else sizes(nodes, taps).items():
        if not LEAST <= root <= MOST:
            found.append(f"{name} has the root mean square {root:.2g}")
    alike = [name for name in outputs if name in taps and same(taps[name])]
    if len(alike) == len(outputs):
        found.append(f"{', '.join(alike)}: the same for two inputs, within {APART:.0%}")
    return found


def sizes(nodes: list[dict], taps: dict[str, np.ndarray]) -> dict[str, float]:
    """The root mean square of each floating-point tensor that some weight has a part in."""
    weighed: set[str] = set()
    for node in nodes:
        makes = node.get("out", [node["name"]])
        if node["op"] != "constant" and (node["tensors"] or weighed & set(filter(None, node["in"]))):
            weighed.update(makes)
    return {name: float(np.sqrt(np.mean(np.square(array)))) for name, array in taps.items()
            if name in weighed and array.dtype.kind == "f" and array.size}


def same(answers: np.ndarray) -> bool:
    """Whether the first two samples are answered alike."""
    if len(answers) < 2:
        return True
    size = np.abs(answers.astype(float)).max(initial=0)
    return bool(np.abs(answers[0].astype(float) - answers[1]).max(initial=0) <= APART * size)
