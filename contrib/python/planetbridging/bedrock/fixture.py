"""Fixtures of the bedrocks: made from a seed by the reference's rules, checked against its numbers."""

from __future__ import annotations

import numpy as np

from .. import arrays
from ..graph import BridgeError
from . import facts as fact
from .facts import Facts


def make(facts: Facts) -> dict[str, np.ndarray]:
    """The arrays of the bedrock's fixture, float64 in C order.

    BridgeError if they are not those that the facts record: names, shapes, first values, digests.
    """
    made = {name: np.ascontiguousarray(array, np.float64)
            for name, array in MAKERS[facts.kind](facts).items()}
    recorded = facts.raw["arrays"]
    if set(made) != set(recorded):
        raise BridgeError(f"{facts.kind}: the fixture has {', '.join(made)}, "
                          f"expected {', '.join(recorded)}")
    for name, what in recorded.items():
        if list(made[name].shape) != what["shape"]:
            raise BridgeError(f"{facts.kind}: {name} has shape {list(made[name].shape)}, "
                              f"expected {what['shape']}")
        fact.check_first(name, made[name], what["first4"])
    for name, wanted in facts.raw.get("sha256", {}).items():
        found = fact.digest(made[name])
        if found != wanted:
            raise BridgeError(f"{name} has SHA-256 {found}, expected {wanted}")
    return made


def write(facts: Facts, path: str) -> None:
    """The fixture as .npz."""
    with arrays.binary_output(path) as out:
        arrays.write_arrays(make(facts), out)


def shape(facts: Facts, name: str) -> tuple[int, ...]:
    """The recorded shape of one array."""
    return tuple(facts.raw["arrays"][name]["shape"])


def count(facts: Facts) -> tuple[int, int]:
    """(training samples, all samples)."""
    return facts.raw["train"], facts.raw["train"] + facts.raw["test"]


def split(facts: Facts, **whole: np.ndarray) -> dict[str, np.ndarray]:
    """Each array cut into NAME_train and NAME_test."""
    cut = count(facts)[0]
    return {f"{name}_{part}": array[rows] for name, array in whole.items()
            for part, rows in (("train", slice(cut)), ("test", slice(cut, None)))}


# What the networks of dense, cnn and the others learn, or would.

def eight_terms(x: np.ndarray) -> np.ndarray:
    """Functions of a flattened sample's first 13 values; of fewer values, those that can be had."""
    f = x.reshape(len(x), -1).T
    terms = [(2, lambda: np.sin(f[0]) + 0.25 * np.cos(f[1])),
             (4, lambda: 0.1 * f[2] - 0.05 * f[3]),
             (6, lambda: 0.02 * np.tanh(f[4] + f[5])),
             (8, lambda: 0.01 * (f[6] ** 2 - f[7] ** 2)),
             (9, lambda: 0.005 * f[8]),
             (10, lambda: 0.005 * np.sin(f[9])),
             (11, lambda: 0.005 * np.cos(f[10])),
             (13, lambda: 0.002 * (f[11] + f[12]))]
    return np.stack([term() for needs, term in terms if len(f) >= needs], axis=1)


def tiled(target: np.ndarray, width: int) -> np.ndarray:
    """The target repeated until it has `width` columns."""
    return np.tile(target, (1, -(-width // target.shape[1])))[:, :width]


def dense(facts: Facts) -> dict[str, np.ndarray]:
    """Normal inputs, drawn at once."""
    x = np.random.default_rng(facts.seed).standard_normal((count(facts)[1], shape(facts, "x_train")[1]))
    return split(facts, x=x, y=eight_terms(x))


def convolution(facts: Facts) -> dict[str, np.ndarray]:
    """Waves over one to three axes; only the first of the normal values drawn for a sample is used."""
    space = shape(facts, "x_train")[2:]
    x = waves(phases(facts, int(np.prod(space)))[1], space)
    return split(facts, x=x, y=eight_terms(x))


def waves(phase: np.ndarray, space) -> np.ndarray:
    """[sample, 1, *space], a wave and a weaker one at each sample's phase."""
    p = phase.reshape(-1, 1, *[1] * len(space))
    at = np.ogrid[tuple(slice(n) for n in space)]
    if len(space) == 1:
        return np.sin(0.15 * at[0] + p) + 0.1 * np.cos(0.07 * at[0] + 0.5 * p)
    if len(space) == 2:
        r, c = at
        return np.sin(0.12 * r + 0.08 * c + p) + 0.1 * np.cos(0.05 * r - 0.04 * c + 0.5 * p)
    d, r, c = at
    return np.sin(0.1 * d + 0.08 * r + 0.06 * c + p) + 0.08 * np.cos(0.05 * d - 0.04 * r + 0.5 * p)


def phases(facts: Facts, width: int):
    """(the generator, a phase for each sample): the first of `width` normal values."""
    rng = np.random.default_rng(facts.seed)
    return rng, rng.standard_normal((count(facts)[1], width))[:, 0]


def sequence_width(facts: Facts) -> int:
    """How many values are drawn for a sample's phase: the reference draws a whole sample or one."""
    return {"mha": 128, "lstm": 64, "rnn": 64}.get(facts.kind, 1)


def sequences(facts: Facts) -> dict[str, np.ndarray]:
    """Waves over time and feature with a little noise."""
    rng, phase = phases(facts, sequence_width(facts))
    x = noisy(rng, phase, shape(facts, "x_train")[1:])
    terms = eight_terms(x) if sequence_width(facts) > 1 else eight_terms(x)[:, :3]
    return split(facts, x=x, y=tiled(terms, shape(facts, "y_train")[1]))


def noisy(rng, phase: np.ndarray, size) -> np.ndarray:
    """[sample, *size]: waves at these phases, and noise drawn sample after sample."""
    p = phase.reshape(-1, 1, 1)
    t, d = np.ogrid[:size[0], :size[1]]
    wave = np.sin(0.11 * t + 0.07 * d + p) + 0.05 * np.cos(0.03 * t + 0.3 * p)
    return wave + 0.01 * rng.standard_normal((len(phase), *size))


def residual(facts: Facts) -> dict[str, np.ndarray]:
    """Two sequences a sample; the skip's phase is ahead."""
    rng, phase = phases(facts, 1)
    cut, size = count(facts)[0], shape(facts, "x_main_train")[1:]
    made = {}
    for part, rows in (("train", slice(cut)), ("test", slice(cut, None))):
        for name, ahead in (("main", 0.0), ("skip", 1.7)):
            made[f"x_{name}_{part}"] = noisy(rng, phase[rows] + ahead, size)
        both = made[f"x_main_{part}"] + made[f"x_skip_{part}"]
        made[f"y_{part}"] = tiled(eight_terms(both)[:, :3], shape(facts, "y_train")[1])
    return made


def tokens(facts: Facts) -> dict[str, np.ndarray]:
    """Token ids that climb from a drawn one, as floats; their number restarts with the test set."""
    rng = np.random.default_rng(facts.seed)
    length, made = shape(facts, "x_train")[1], {}
    for part in ("train", "test"):
        base = rng.integers(0, 64, facts.raw[part])[:, None]
        x = (base + 3 * np.arange(length) + 5 * np.arange(len(base))[:, None]) % 64
        made[f"x_{part}"] = x.astype(np.float64)
        made[f"y_{part}"] = tiled(eight_terms(made[f"x_{part}"])[:, :3], shape(facts, "y_train")[1])
    return made


def mixer(facts: Facts) -> dict[str, np.ndarray]:
    """Small volumes, and two token ids a sample from the same phase."""
    space = shape(facts, "x_train")[2:]
    phase = phases(facts, int(np.prod(space)))[1]
    x = waves(phase, space)
    made = split(facts, x=x, y=eight_terms(x))
    for part, p in (("train", phase[:facts.raw["train"]]), ("test", phase[facts.raw["train"]:])):
        t, i = np.arange(shape(facts, "token_ids_train")[1]), np.arange(len(p))[:, None]
        made[f"token_ids_{part}"] = np.floor(np.abs(1000 * p[:, None] + 7 * t + i) % 16)
    return made


MAKERS = {"dense": dense, "cnn1": convolution, "cnn2": convolution, "cnn3": convolution,
          "mha": sequences, "lstm": sequences, "rnn": sequences, "layernorm": sequences,
          "rmsnorm": sequences, "swiglu": sequences, "embedding": tokens, "residual": residual,
          "mixer": mixer}
