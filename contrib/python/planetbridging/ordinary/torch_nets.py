"""PyTorch networks that users write themselves: taggers of sequences."""

from __future__ import annotations

import torch
from torch import nn


class Tagger(nn.Module):
    """Ids [b, s] to logits [b, s, tags]: an embedding, recurrent layers, a linear layer on every step."""

    def __init__(self, cell, words: int, width: int, hidden: int, tags: int, **options):
        super().__init__()
        self.embed = nn.Embedding(words, width)
        self.cell = cell(width, hidden, batch_first=True, **options)
        self.norm = nn.LayerNorm(hidden * (1 + self.cell.bidirectional))
        self.head = nn.Linear(hidden * (1 + self.cell.bidirectional), tags)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        steps, _ = self.cell(self.embed(ids))
        return self.head(self.norm(steps))
