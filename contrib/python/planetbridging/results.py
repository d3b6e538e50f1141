"""What `absorb` and `engines` return: the result types of openfluke/planetbridging, field by field."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


def columns(outputs: np.ndarray) -> int:
    """D of [N, D]; 0 where there are no outputs."""
    return int(outputs.shape[-1]) if outputs.size else 0


@dataclass(frozen=True, eq=False)
class StreamResult:
    """A network that was streamed into a checkpoint, and what the checkpoint answers.

    `outputs` is float64 [N, D], a row for each sample in the memory order of the network's output, and
    [0, 0] if nothing was run.  `layer_count` counts Loom's layers in the written file, `weight_bytes`
    the bytes of its weights without the biases of dense layers, which Loom has no field for.  The four
    fields of the comparison are None unless `native_reference`, float64 [N, D], was given.
    """

    entity_path: str
    outputs: np.ndarray
    layer_count: int
    weight_bytes: int
    max_abs_diff: float | None = None
    mean_abs_diff: float | None = None
    exact_match: bool | None = None
    compare_label: str | None = None
    native_reference: np.ndarray | None = None

    @property
    def output_dim(self) -> int:
        """D, or 0 if nothing was run."""
        return columns(self.outputs)


@dataclass(frozen=True, eq=False)
class EngineStreamResult:
    """A bedrock's network on one planet, streamed and compared.

    `native` and `loom_stream` are float64 [N, D], N the bedrock's 100 test samples, in the canonical
    order of axes (channels first) on every planet.  `native` is the framework's own layers computing in
    float64, so that a label is about the network and not about that framework's float32;
    `native_float32` is its usual float32 (None for scikit-learn, which has float64 alone).  Labels are
    EXACT, PASS, DIFF, or ERROR with the message in `entity_path` and `welvet_note`.

    `welvet`, float64 [n, D], is what real Loom answers to the first n samples, or None and
    `welvet_note` says why.  Mended: `layer_count` is this model's (openfluke/planetbridging 0.7.3 gives
    that of the bedrock's default model).
    """

    bedrock: str
    planet: str
    model_id: str
    layer_count: int
    entity_path: str
    native: np.ndarray
    loom_stream: np.ndarray
    native_vs_loom: str
    welvet: np.ndarray | None = None
    native_vs_welvet: str | None = None
    loom_vs_welvet: str | None = None
    welvet_note: str | None = None
    native_float32: np.ndarray | None = None

    @property
    def output_dim(self) -> int:
        """D, or 0 for an ERROR."""
        return columns(self.native)


@dataclass(frozen=True, eq=False)
class LadderResult:
    """The same, every array cut to the first `max_samples` samples: float64 [n, D]."""

    bedrock: str
    model_id: str
    planet: str
    layer_count: int
    entity_path: str
    native: np.ndarray
    loom_stream: np.ndarray
    welvet: np.ndarray | None
    native_vs_loom: str
    native_vs_welvet: str | None
    loom_vs_welvet: str | None
    welvet_note: str | None = None

    @property
    def output_dim(self) -> int:
        """D of the arrays."""
        return columns(self.native)
