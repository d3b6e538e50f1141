"""cnn1, cnn2, cnn3: convolutions without bias; the answer keeps its channels and extents."""

from __future__ import annotations

from ...graph import Input
from ..drawing import chain, leading
from ..facts import Facts, Model
from ..network import Network, Weights

EXTENTS = {"cnn1": ("seq_len",), "cnn2": ("height", "width"), "cnn3": ("depth", "height", "width")}


def network(facts: Facts, model: Model) -> Network:
    steps, channels = [], model["input_channels"]
    for n, row in enumerate(model["layers"]):
        steps.append((f"conv{n}", *convolution(row, channels)))
        steps.append((f"act{n}", row["activation"], {}))
        channels = row["filters"]
    shape = ["batch", model["input_channels"], *extents(facts, model)]
    return Network(model.id, facts.kind, (Input("x", "float32", shape),), chain(*steps), ("y",))


def convolution(row: dict, channels: int) -> tuple[str, dict]:
    """(operation, parameters) of a row such as {"kind": "cnn2", "filters": 4, "kernel_size": 8, ...}."""
    n = int(row["kind"][-1])
    return f"conv{n}", {"in_channels": channels, "out_channels": row["filters"],
                        "kernel": [row["kernel_size"]] * n, "stride": [row["stride"]] * n,
                        "dilation": [1] * n, "pad_low": [row["padding"]] * n,
                        "pad_high": [row["padding"]] * n, "groups": 1, "bias": row.get("bias", False)}


def extents(facts: Facts, model: Model) -> list[int]:
    return [model[key] for key in EXTENTS[facts.kind]]


def weights(facts: Facts, model: Model) -> Weights | None:
    return None


def inputs(facts: Facts, model: Model, fixture: dict, part: str) -> dict:
    return {"x": leading(fixture[f"x_{part}"], model["input_channels"], *extents(facts, model))}
