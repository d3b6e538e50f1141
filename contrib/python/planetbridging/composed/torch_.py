"""Layers that PyTorch has no class for, made of its own layers and operations.

The emitter knows them: each is one node of the graph.
"""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.nn import functional as F

ROPES = ("half", "interleaved", "none")


class SwiGLU(nn.Module):
    """down(act(gate(x)) * up(x)), the feed-forward part of Llama-like networks.

    `activation` is "silu", or "relu2" (the square of relu) as in BitNet.
    """

    def __init__(self, in_features: int, hidden_features: int, activation: str = "silu",
                 bias: bool = False):
        super().__init__()
        if activation not in ("silu", "relu2"):
            raise ValueError(f"activation is {activation!r}, expected 'silu' or 'relu2'")
        self.in_features, self.hidden_features = in_features, hidden_features
        self.activation = activation
        self.gate = nn.Linear(in_features, hidden_features, bias)
        self.up = nn.Linear(in_features, hidden_features, bias)
        self.down = nn.Linear(hidden_features, in_features, bias)

    def forward(self, x):
        gate = self.gate(x)
        gate = F.silu(gate) if self.activation == "silu" else F.relu(gate).square()
        return self.down(gate * self.up(x))


class RopeAttention(nn.Module):
    """Self-attention with rotary positions and, where `num_kv_heads` is less, shared key heads.

    `rope` says which elements of a head turn together: "half" (j, j + head_dim/2) as in Llama's
    published form, "interleaved" (2j, 2j + 1), or "none".  Positions count from 0 in every call.
    `bias` is True, False, or the letters of the projections that have one, as "qkv".
    """

    def __init__(self, d_model: int, num_heads: int, num_kv_heads: int | None = None,
                 head_dim: int | None = None, *, rope: str = "half", base: float = 10000.0,
                 causal: bool = True, bias: bool | str = False):
        super().__init__()
        self.d_model, self.num_heads = d_model, num_heads
        self.num_kv_heads = num_kv_heads or num_heads
        self.head_dim = head_dim or d_model // num_heads
        if num_heads % self.num_kv_heads or rope not in ROPES or self.head_dim % 2 and rope != "none":
            raise ValueError(f"{num_heads} heads, {self.num_kv_heads} key heads of width "
                             f"{self.head_dim}, rope {rope!r} do not go together")
        self.rope, self.base, self.causal = rope, base, causal
        biases = bias if isinstance(bias, str) else "qkvo" if bias else ""
        wide, narrow = num_heads * self.head_dim, self.num_kv_heads * self.head_dim
        self.query = nn.Linear(d_model, wide, "q" in biases)
        self.key = nn.Linear(d_model, narrow, "k" in biases)
        self.value = nn.Linear(d_model, narrow, "v" in biases)
        self.out = nn.Linear(wide, d_model, "o" in biases)

    def forward(self, x):
        length, group = x.shape[-2], self.num_heads // self.num_kv_heads
        q, k, v = (projection(x).unflatten(-1, (-1, self.head_dim)).transpose(-2, -3)
                   for projection in (self.query, self.key, self.value))
        q, k = self.rotated(q), self.rotated(k)
        k, v = (t.repeat_interleave(group, -3) for t in (k, v))
        scores = q @ k.mT / math.sqrt(self.head_dim)
        if self.causal:
            later = torch.ones(length, length, dtype=torch.bool, device=x.device).triu(1)
            scores = scores.masked_fill(later, -torch.inf)
        mixed = scores.softmax(-1) @ v
        return self.out(mixed.transpose(-2, -3).flatten(-2))

    def rotated(self, x):
        """x [..., length, head_dim] with each pair turned by position * base^(-2j/head_dim)."""
        if self.rope == "none":
            return x
        j = torch.arange(0, self.head_dim, 2, dtype=torch.float64, device=x.device)
        steps = torch.arange(x.shape[-2], dtype=torch.float64, device=x.device)
        angle = steps[:, None] * self.base ** (-j / self.head_dim)
        cos, sin = angle.cos().to(x.dtype), angle.sin().to(x.dtype)
        if self.rope == "half":
            a, b = x.chunk(2, -1)
            return torch.cat([a * cos - b * sin, a * sin + b * cos], -1)
        a, b = x[..., ::2], x[..., 1::2]
        return torch.stack([a * cos - b * sin, a * sin + b * cos], -1).flatten(-2)


class ZeroOutsideEmbedding(nn.Module):
    """An embedding whose rows for ids outside the vocabulary are zero; other embeddings refuse such.

    Ids may be floats too: what stands behind the point is dropped.
    """

    def __init__(self, num_embeddings: int, embedding_dim: int):
        super().__init__()
        self.num_embeddings, self.embedding_dim = num_embeddings, embedding_dim
        self.table = nn.Embedding(num_embeddings, embedding_dim)

    def forward(self, ids):
        ids = ids.long()
        inside = (ids >= 0) & (ids < self.num_embeddings)
        rows = self.table(torch.where(inside, ids, 0))
        return torch.where(inside[..., None], rows, 0)
