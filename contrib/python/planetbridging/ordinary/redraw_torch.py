"""A live PyTorch network whose weights are drawn anew, at a scale that keeps its values near 1."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import nn

from ..bedrock.own import drawing

BATCHES = 2
"""Batches from which running statistics are taken."""


def redraw(model: nn.Module, name: str, inputs: dict[str, np.ndarray]) -> nn.Module:
    """Draw every parameter by its name, then take running statistics from seeded batches.

    `inputs` are one batch, which says shapes; the batches are drawn for the purpose.
    """
    with torch.no_grad():
        for path, parameter in model.named_parameters():
            owner = model.get_submodule(path.rpartition(".")[0])
            value = drawn(f"{name} {path}", path.rpartition(".")[2], tuple(parameter.shape), owner)
            parameter.copy_(torch.from_numpy(value))
        settle(model, name, inputs)
    return model.eval()


def drawn(name: str, slot: str, shape: tuple[int, ...], owner: nn.Module) -> np.ndarray:
    """One parameter: norms' scales around 1, biases and offsets around 0, tables of unit variance.

    A matrix or kernel [o, i, ...] gets the size at which a sum of its products has unit variance.
    """
    if len(shape) == 1:
        norm = slot == "weight" and not isinstance(owner, nn.PReLU)
        return np.float32(1 if norm else 0) + drawing.uniform(name, shape, 0.25 if norm else 0.5)
    if isinstance(owner, nn.Embedding):
        return drawing.normal(name, shape)
    if slot not in ("weight", "in_proj_weight") and not slot.startswith(("weight_ih", "weight_hh")):
        return drawing.uniform(name, shape, 0.5)  # class tokens, positions, scales of layers
    fan = math.prod(shape[1:])
    if isinstance(owner, nn.RNNBase):
        fan /= 4  # gates that are nearly shut or open, so that states are not small
    if isinstance(owner, (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)):
        fan = math.prod(shape) // shape[1] // math.prod(owner.stride)
    return drawing.uniform(name, shape, math.sqrt(3 / max(fan, 1)))


def settle(model: nn.Module, name: str, inputs: dict[str, np.ndarray]) -> None:
    """Batch norms take the mean and variance of what reaches them in BATCHES seeded batches."""
    norms = [m for m in model.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    model.eval()
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum, norm.training = None, True
    for batch in range(BATCHES if norms else 0):
        model(*(torch.from_numpy(drawing.normal(f"{name} batch {batch} {key}", (16, *x.shape[1:])))
                for key, x in inputs.items()))
    model.eval()
