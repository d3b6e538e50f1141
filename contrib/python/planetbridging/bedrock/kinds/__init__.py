"""The networks of each bedrock, one module per family.

A module has, for a facts file and one of its models,
  network(facts, model) -> Network     its layers
  weights(facts, model) -> Weights     drawn as the reference draws them and checked against its
                                       numbers; None where the framework's own initialisation is
                                       the weights, trained if the facts say so
  inputs(facts, model, fixture, part)  float32 or int64 arrays by input name, of part "train" or
                                       "test": the leading slice of each axis of the fixture
"""

from __future__ import annotations

from . import attention, convolution, dense, embedding, mixer, norms, recurrent, residual, swiglu

MODULES = {"dense": dense, "cnn1": convolution, "cnn2": convolution, "cnn3": convolution,
           "mha": attention, "lstm": recurrent, "rnn": recurrent, "layernorm": norms,
           "embedding": embedding, "rmsnorm": norms, "swiglu": swiglu, "residual": residual,
           "mixer": mixer}


def of(kind: str):
    """The module of one of facts.KINDS."""
    return MODULES[kind]
