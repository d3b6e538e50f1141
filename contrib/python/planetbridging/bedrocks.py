"""The bedrocks by id: their fixtures, their planets, and the model that is meant when none is named."""

from __future__ import annotations

from dataclasses import dataclass

from .bedrock.facts import KINDS

BEDROCK_IDS: tuple[str, ...] = KINDS

_ALL = ("pytorch", "tensorflow", "jax")

BEDROCK_PLANETS: dict[str, tuple[str, ...]] = {
    name: (*_ALL, "sklearn") if name == "dense" else _ALL for name in BEDROCK_IDS}

FIXTURE_VERSIONS: dict[str, str] = {
    name: f"{name}_bedrock_v{2 if name == 'dense' else 1}" for name in BEDROCK_IDS}

STREAM_MODEL_IDS: dict[str, str] = {
    "dense": "mlp_32_64_32_16_8_relu", "cnn1": "conv1_32_8_4_2layer", "cnn2": "conv2_8_4_2layer",
    "cnn3": "conv3_4_4_2layer", "mha": "mha_8_2_4", "lstm": "lstm_4_4_4", "rnn": "rnn_4_4_4",
    "layernorm": "layernorm_8", "embedding": "embedding_16_4_4", "rmsnorm": "rmsnorm_8",
    "swiglu": "swiglu_8_16_4", "residual": "residual_8", "mixer": "mixer_all_v2"}
SMOKE_MODEL_IDS = STREAM_MODEL_IDS

STREAM_LAYER_COUNTS: dict[str, int] = {
    name: {"dense": 4, "cnn1": 2, "cnn2": 2, "cnn3": 2, "mixer": 16}.get(name, 1)
    for name in BEDROCK_IDS}


@dataclass(frozen=True)
class BedrockInfo:
    """A bedrock's fixture, its default model, and how many layers that has."""

    id: str
    fixture_version: str
    stream_model_id: str
    layer_count: int

    @property
    def smoke_model_id(self) -> str:
        """The default model, by its older name."""
        return self.stream_model_id


BEDROCKS: dict[str, BedrockInfo] = {
    name: BedrockInfo(name, FIXTURE_VERSIONS[name], STREAM_MODEL_IDS[name], STREAM_LAYER_COUNTS[name])
    for name in BEDROCK_IDS}
