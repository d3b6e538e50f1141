"""All of our own fixtures by kind, and what was recorded of them."""

from __future__ import annotations

import json
from functools import cache

from ...graph import BridgeError
from .. import facts as fact
from . import cases, drawing, mixers, sequences
from .case import Case

RECORD = "own/drawn.json"
"""Below fixtures/bedrocks: the seed, and the digest of every fixture."""


@cache
def of(kind: str) -> tuple[Case, ...]:
    """The fixtures of one of facts.KINDS."""
    if kind == "mha":
        return tuple(sequences.mha_cases())
    if kind in ("lstm", "rnn"):
        return tuple(sequences.recurrent_cases(kind))
    return tuple(mixers.mixer_cases() if kind == "mixer" else cases.of(kind))


def record() -> dict:
    """What fixtures/bedrocks/own/drawn.json holds."""
    return {"seed": drawing.SEED,
            "sha256": {f"{kind}/{case.id}": case.digest() for kind in fact.KINDS for case in of(kind)}}


def checked(kind: str) -> tuple[Case, ...]:
    """The fixtures of a kind; BridgeError if one is not what was recorded."""
    with open(fact.folder() / RECORD, encoding="utf-8") as file:
        wanted = json.load(file)["sha256"]
    for case in of(kind):
        name = f"{kind}/{case.id}"
        if case.digest() != wanted.get(name):
            raise BridgeError(f"{name}: drawn are values of the digest {case.digest()}, "
                              f"recorded is {wanted.get(name)}")
    return of(kind)
