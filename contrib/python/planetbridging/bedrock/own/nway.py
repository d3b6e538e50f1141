"""The same weights on every planet: outputs compared with each other and with ours, and who is apart."""

from __future__ import annotations

import os
from dataclasses import dataclass

import numpy as np

from .judging import load

TOLERANCE = 1e-6
"""How far from the median of all a planet may be, relative to max(1, the greatest value)."""

LOOM = "loom"


@dataclass(frozen=True)
class Apart:
    """How far each is from the median of all, how far two are apart at most, and the outlier or "none"."""

    distances: dict[str, float]
    widest: float
    outlier: str


def compare(outputs: dict[str, np.ndarray], tolerance: float = TOLERANCE) -> Apart:
    """Arrays of one tensor by who computed it.

    The outlier is who is furthest from the median beyond the tolerance; of two, neither can be told
    to be right, so both are named.  Another shape than most have is infinitely far.
    """
    shapes = [array.shape for array in outputs.values()]
    common = max(shapes, key=shapes.count)
    alike = {who: array.astype(float) for who, array in outputs.items() if array.shape == common}
    middle = np.median(np.stack(list(alike.values())), axis=0)
    size = max(1.0, float(np.abs(middle).max(initial=0)))
    distances = {who: float(np.abs(alike[who] - middle).max(initial=0)) / size if who in alike else np.inf
                 for who in outputs}
    values = list(alike.values())
    widest = max((float(np.abs(a - b).max(initial=0)) / size
                  for n, a in enumerate(values) for b in values[:n]), default=0.0)
    widest = widest if len(alike) == len(outputs) else np.inf
    return Apart(distances, widest, outlier(distances, tolerance))


def outlier(distances: dict[str, float], tolerance: float) -> str:
    furthest = max(distances, key=distances.__getitem__)
    # Not "beyond": a NaN is apart as well.
    if distances[furthest] <= tolerance and not any(np.isnan(d) for d in distances.values()):
        return "none"
    return " or ".join(distances) if len(distances) == 2 else furthest


def read(folder: str, kind: str, case_id: str, planets) -> list[tuple[dict, dict, bool]]:
    """For each run and output: (float64 outputs by planet and ours, float32 ones, whether ours are the
    same bits from every planet's stream), all in canonical layout."""
    places = {planet: os.path.join(folder, kind, planet, case_id) for planet in planets}
    there = {planet: place for planet, place in places.items()
             if os.path.exists(os.path.join(place, "judged.json"))
             and os.path.exists(os.path.join(place, "0", "cumulative.safetensors"))}
    if not there:
        return []
    runs = sorted(name for name in os.listdir(next(iter(there.values()))) if name.isdigit())
    return [entry for run in runs
            for entry in joined({planet: os.path.join(place, run) for planet, place in there.items()})]


def joined(folders: dict[str, str]) -> list[tuple[dict, dict, bool]]:
    """An entry for each output of one run, outputs matched by their order."""
    found = {planet: load(folder, "outputs.npz") for planet, folder in folders.items()}
    ours = {planet: canonical(folder, found[planet]) for planet, folder in folders.items()}
    entries = []
    for number in range(len(next(iter(ours.values())))):
        exact = {planet: nth(arrays, "64 ", number) for planet, arrays in found.items()}
        usual = {planet: nth(arrays, "32 ", number) for planet, arrays in found.items()}
        loom = {planet: arrays[number] for planet, arrays in ours.items()}
        first = next(iter(loom.values()))
        same = all(np.array_equal(first, array) for array in loom.values())
        entries.append((exact | {LOOM: first}, usual | {LOOM: first}, same))
    return entries


def nth(arrays: dict, what: str, number: int) -> np.ndarray:
    return [array for name, array in arrays.items() if name.startswith(what)][number]


def canonical(folder: str, arrays: dict) -> list[np.ndarray]:
    """Our outputs, of the run without feeding, brought into canonical layout as the planet's were."""
    taps = safetensors(os.path.join(folder, "cumulative.safetensors"))
    return [taps[name.removeprefix("at ")].reshape(-1)[at] for name, at in arrays.items()
            if name.startswith("at ")]


def safetensors(path: str) -> dict[str, np.ndarray]:
    """The float32 tensors of a file that loom-infer wrote."""
    import json

    with open(path, "rb") as file:
        head = json.loads(file.read(int.from_bytes(file.read(8), "little")))
        data = file.read()
    return {name: np.frombuffer(data, "<f4", offset=entry["data_offsets"][0],
                                count=int(np.prod(entry["shape"]))).reshape(entry["shape"])
            for name, entry in head.items() if name != "__metadata__" and entry["dtype"] == "F32"}
