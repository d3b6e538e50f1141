"""Modules that torch.export shall record as one call each: recurrent ones, attention, composed ones.

While `opaque(model)` lasts, their forward is a call of the operation `planetbridging::leaf`: a trace
sees its shapes alone, which may stay symbolic, and a real run does what the module itself does.
"""

from __future__ import annotations

import contextlib
import functools
import json
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn.modules import transformer

from ..composed.torch_ import RopeAttention, SwiGLU, ZeroOutsideEmbedding
from .torch_dims import LeafError
from .torch_packed import PACK, PAD, Padded, unpacked

TARGET = "planetbridging.leaf.default"

CLASSES = (nn.RNN, nn.LSTM, nn.GRU, nn.RNNCell, nn.LSTMCell, nn.GRUCell, nn.MultiheadAttention,
           nn.MaxPool1d, nn.EmbeddingBag, RopeAttention, SwiGLU, ZeroOutsideEmbedding)

_active: dict[str, "Leaf"] = {}


@torch.library.custom_op("planetbridging::leaf", mutates_args=(),
                         schema="(Tensor?[] xs, str path, str flags) -> Tensor[]")
def leaf(xs, path, flags):
    """What the module at `path` computes; every result is a new tensor, laid out as it was recorded."""
    return [t.clone(memory_format=torch.contiguous_format)
            for t in _active[path].real(xs, json.loads(flags))]


@leaf.register_fake
def _(xs, path, flags):
    return _active[path].fake(xs, json.loads(flags))


def call(xs, path: str, flags=None) -> list:
    """Record or run one call of a leaf."""
    return torch.ops.planetbridging.leaf(xs, path, json.dumps(flags or {}))


@contextlib.contextmanager
def opaque(model):
    """Leaves in `model` are one call each, by path (the first one of a shared module)."""
    found = {path: kind_of(module)(path, module, module.forward)
             for path, module in model.named_modules() if is_leaf(module)}
    before = dict(_active)
    try:
        for leaf_ in found.values():
            leaf_.module.forward = functools.wraps(leaf_.original)(functools.partial(leaf_.forward))
        _active.clear()
        _active.update(found)
        with unpacked(), unasked():
            yield found
    finally:
        _active.clear()
        _active.update(before)
        for leaf_ in found.values():
            vars(leaf_.module).pop("forward", None)


@contextlib.contextmanager
def unasked():
    """nn.Transformer's layers do not look into a mask for a hint whether it is causal.

    No record can branch on values; what the mask does is seen from the nodes that make it.
    """
    before = transformer._detect_is_causal_mask
    transformer._detect_is_causal_mask = lambda mask, is_causal=None, size=None: is_causal is True
    try:
        yield
    finally:
        transformer._detect_is_causal_mask = before


def is_leaf(module) -> bool:
    """Whether the module does what one of the classes does: nobody has changed its forward."""
    base = next((cls for cls in CLASSES if isinstance(module, cls)), None)
    return base is not None and type(module).forward is base.forward and "forward" not in vars(module)


def kind_of(module):
    """The Leaf class of a module."""
    if isinstance(module, nn.RNNBase):
        return Recurrent
    if isinstance(module, nn.RNNCellBase):
        return Cell
    if isinstance(module, nn.MultiheadAttention):
        return Attention
    if isinstance(module, nn.EmbeddingBag):
        return Bag
    return Pool if isinstance(module, nn.MaxPool1d) else Composed


@dataclass
class Leaf:
    """One module: `original` is the forward it had."""

    path: str
    module: nn.Module
    original: object

    def refuse(self, operation: str):
        """Stop the trace: this call is none of the operation's."""
        raise LeafError(self.path or "the model", type(self.module).__name__, operation)

    def last_axis(self, x, size: int) -> None:
        """A trace must not record what the module itself would refuse."""
        if not isinstance(x, torch.Tensor):
            self.refuse(f"an input of class {type(x).__name__}")
        if x.ndim == 0 or x.shape[-1] != size:
            raise RuntimeError(f"{self.path}: the last axis has {x.shape[-1:]}, expected {size}")


    def same(self, *sizes) -> None:
        """Sizes that the module wants equal are one in the record too."""
        for size in sizes[1:]:
            if size != sizes[0]:
                raise RuntimeError(f"{self.path}: sizes {', '.join(map(str, sizes))} should be equal")


class Recurrent(Leaf):
    """RNN, LSTM, GRU: tensors x, h0, c0; results y, h_n, c_n in torch's own layout.

    Of packed samples: x [batch, length, width], its states, the lengths; y has zeros from there on.
    """

    def forward(self, input, hx=None):
        packed = isinstance(input, Padded)
        x = input.samples if packed else input
        self.last_axis(x, self.module.input_size)
        states = list(hx) if isinstance(hx, (tuple, list)) else [] if hx is None else [hx]
        self._same_sizes(x, states, packed)
        if packed:
            self.same(x.shape[0], input.lengths.shape[0])
        y, *last = call([x, *states, *([input.lengths] if packed else [])], self.path,
                        {"packed": packed})
        return (Padded(y, input.lengths) if packed else y), tuple(last) if len(last) > 1 else last[0]

    def _same_sizes(self, x, states, packed: bool) -> None:
        m = self.module
        if x.ndim == 3:
            self.same(x.shape[0 if m.batch_first or packed else 1], *(s.shape[1] for s in states))
        self.same(m.num_layers * (1 + m.bidirectional), *(state.shape[0] for state in states))
        for state, width in zip(states, (m.proj_size or m.hidden_size, m.hidden_size)):
            self.same(width, state.shape[-1])

    def real(self, xs, flags):
        lengths = xs.pop() if flags["packed"] else None
        x, *states = xs
        hx = tuple(states) if len(states) > 1 else states[0] if states else None
        if lengths is None:
            y, last = self.original(x, hx)
        else:
            y, last = self.original(PACK(x, lengths, True, False), hx)
            y = PAD(y, True, total_length=x.shape[1])[0]
        return [y, *(last if isinstance(last, tuple) else [last])]

    def fake(self, xs, flags):
        m, x = self.module, xs[0]
        directions = 2 if m.bidirectional else 1
        out = m.proj_size or m.hidden_size
        batch = [x.shape[0 if m.batch_first or flags["packed"] else 1]] if x.ndim == 3 else []
        lead = [m.num_layers * directions, *batch]
        made = [x.new_empty((*x.shape[:-1], directions * out)), x.new_empty((*lead, out))]
        return made + [x.new_empty((*lead, m.hidden_size))] * isinstance(m, nn.LSTM)


class Cell(Leaf):
    """RNNCell, LSTMCell, GRUCell: tensors x, h, c; results h, c."""

    def forward(self, input, hx=None):
        self.last_axis(input, self.module.input_size)
        states = list(hx) if isinstance(hx, (tuple, list)) else [] if hx is None else [hx]
        self.same(*(x.shape[0] for x in (input, *states)))
        self.same(self.module.hidden_size, *(state.shape[-1] for state in states))
        made = call([input, *states], self.path)
        return tuple(made) if len(made) > 1 else made[0]

    def real(self, xs, flags):
        x, *states = xs
        made = self.original(x, tuple(states) if len(states) > 1 else states[0] if states else None)
        return list(made) if isinstance(made, tuple) else [made]

    def fake(self, xs, flags):
        shape = (*xs[0].shape[:-1], self.module.hidden_size)
        return [xs[0].new_empty(shape) for _ in range(1 + isinstance(self.module, nn.LSTMCell))]


class Attention(Leaf):
    """MultiheadAttention: tensors query, key, value, key_padding_mask, attn_mask."""

    def forward(self, query, key, value, key_padding_mask=None, need_weights=True, attn_mask=None,
                average_attn_weights=True, is_causal=False):
        sizes = (self.module.embed_dim, self.module.kdim, self.module.vdim)
        for x, size in zip((query, key, value), sizes):
            self.last_axis(x, size)
        self._same_sizes(query, key, value, key_padding_mask, attn_mask)
        flags = {"need_weights": bool(need_weights), "is_causal": bool(is_causal),
                 "average_attn_weights": bool(average_attn_weights)}
        made = call([query, key, value, key_padding_mask, attn_mask], self.path, flags)
        return made[0], made[1] if need_weights else None

    def _same_sizes(self, query, key, value, padding, mask) -> None:
        length = 1 if self.module.batch_first and query.ndim == 3 else 0
        queries, keys = query.shape[length], key.shape[length]
        self.same(keys, value.shape[length], *([] if padding is None else [padding.shape[-1]]),
                  *([] if mask is None else [mask.shape[-1]]))
        self.same(queries, *([] if mask is None else [mask.shape[-2]]))
        if query.ndim == 3:
            batch = query.shape[1 - length]
            self.same(batch, *(x.shape[1 - length] for x in (key, value)),
                      *([] if padding is None else [padding.shape[0]]))
            self.same(batch * self.module.num_heads,
                      *([] if mask is None or mask.ndim == 2 else [mask.shape[0]]))

    def real(self, xs, flags):
        query, key, value, padding, mask = xs
        y, weights = self.original(query, key, value, key_padding_mask=padding, attn_mask=mask, **flags)
        return [y] if weights is None else [y, weights]

    def fake(self, xs, flags):
        query, key = xs[:2]
        made = [query.new_empty((*query.shape[:-1], self.module.embed_dim))]
        if flags["need_weights"]:
            first = self.module.batch_first
            batch = [query.shape[0 if first else 1]] if query.ndim == 3 else []
            heads = [] if flags["average_attn_weights"] else [self.module.num_heads]
            axis = 1 if first and batch else 0
            made.append(query.new_empty((*batch, *heads, query.shape[axis], key.shape[axis])))
        return made


class Pool(Leaf):
    """MaxPool1d, in whose own trace the length is fixed."""

    def forward(self, input):
        if self.module.return_indices:
            self.refuse("the indices as a result")
        return call([input], self.path)[0]

    def real(self, xs, flags):
        return [self.original(xs[0])]

    def fake(self, xs, flags):
        m, x = self.module, xs[0]
        sizes = [(low, n) for low, n in ((1, m.kernel_size), (1, m.stride), (0, m.padding), (1, m.dilation))]
        wide = nn.functional.max_pool2d(x.unsqueeze(-2), *((low, *one(n)) for low, n in sizes), m.ceil_mode)
        return [x.new_empty((*wide.shape[:-2], wide.shape[-1]))]


class Bag(Leaf):
    """EmbeddingBag on bags [batch, ids] of one length."""

    def forward(self, input, offsets=None, per_sample_weights=None):
        m = self.module
        told = {"offsets": offsets is not None or input.ndim != 2, "max_norm": m.max_norm is not None,
                "per_sample_weights": per_sample_weights is not None,
                "padding_idx": m.padding_idx is not None}
        if any(told.values()):
            self.refuse(" and ".join(word for word, given in told.items() if given))
        return call([input], self.path)[0]

    def real(self, xs, flags):
        return [self.original(xs[0])]

    def fake(self, xs, flags):
        weight = self.module.weight
        return [weight.new_empty((xs[0].shape[0], weight.shape[1]))]


def one(size) -> tuple[int]:
    """A size of one axis, which torch takes as a number or a sequence of one."""
    return tuple(size) if isinstance(size, (tuple, list)) else (size,)


class Composed(Leaf):
    """A layer of `planetbridging.composed`: one tensor in, one out."""

    def forward(self, *args, **named):
        x, = (*args, *named.values())
        if not isinstance(self.module, ZeroOutsideEmbedding):
            self.last_axis(x, self.size())
        return call([x], self.path)[0]

    def size(self) -> int:
        """What the layer's input has in its last axis."""
        m = self.module
        return m.d_model if isinstance(m, RopeAttention) else m.in_features

    def real(self, xs, flags):
        return [self.original(xs[0])]

    def fake(self, xs, flags):
        if isinstance(self.module, ZeroOutsideEmbedding):
            dtype = self.module.table.weight.dtype
            return [xs[0].new_empty((*xs[0].shape, self.module.embedding_dim), dtype=dtype)]
        return [torch.empty_like(xs[0])]
