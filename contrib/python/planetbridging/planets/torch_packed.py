"""Packed sequences while a module is recorded: samples beside their lengths, none of them packed.

`torch.nn.utils.rnn.pack_padded_sequence` makes tensors whose sizes follow values, which no record
has.  While `unpacked()` lasts it makes a `Padded`, which recurrent leaves take, and which
`pad_packed_sequence` makes a tensor of again.  Both are reached by many names, from modules that
imported them, so it is their code that changes.
"""

from __future__ import annotations

import contextlib
import types
from dataclasses import dataclass

import torch
from torch.nn.utils import rnn

from .torch_dims import LeafError, same_size


@dataclass
class Padded:
    """What stands for a PackedSequence: `samples` [batch, length, width], their lengths [batch]."""

    samples: torch.Tensor
    lengths: torch.Tensor

    def __getattr__(self, name: str):
        if name.startswith("__"):
            raise AttributeError(name)
        raise LeafError("the model", "PackedSequence", f"{name} of packed samples")


def pack(input, lengths, batch_first=False) -> Padded:
    """The samples with their lengths, the batch first."""
    lengths = torch.as_tensor(lengths, dtype=torch.int64)
    return Padded(input if batch_first else input.transpose(0, 1), lengths)


def pad(padded, batch_first=False, padding_value=0.0, total_length=None):
    """(samples with `padding_value` from their lengths on, lengths): as long as they came in."""
    samples, extent = padded.samples, padded.samples.shape[1]
    if total_length is not None and not same_size(total_length, extent):
        samples = torch.nn.functional.pad(samples, (0, 0, 0, total_length - extent))
    if padding_value:
        inside = torch.arange(samples.shape[1]) < padded.lengths[:, None]
        samples = torch.where(inside[..., None], samples, padding_value)
    return samples if batch_first else samples.transpose(0, 1), padded.lengths


def _pack(input, lengths, batch_first=False, enforce_sorted=True):
    from planetbridging.planets.torch_packed import pack

    return pack(input, lengths, batch_first)


def _pad(sequence, batch_first=False, padding_value=0.0, total_length=None):
    from planetbridging.planets.torch_packed import pad

    return pad(sequence, batch_first, padding_value, total_length)


def _own(function):
    """A function of the same code, which stays when the code of `function` changes."""
    return types.FunctionType(function.__code__, function.__globals__, function.__name__,
                              function.__defaults__)


PACK, PAD = _own(rnn.pack_padded_sequence), _own(rnn.pad_packed_sequence)
"""torch's own functions, whatever lasts."""


@contextlib.contextmanager
def unpacked():
    """Nothing is packed as long as this lasts."""
    changed = ((rnn.pack_padded_sequence, _pack), (rnn.pad_packed_sequence, _pad))
    before = [function.__code__ for function, _ in changed]
    try:
        for function, other in changed:
            function.__code__ = other.__code__
        yield
    finally:
        for (function, _), code in zip(changed, before):
            function.__code__ = code
