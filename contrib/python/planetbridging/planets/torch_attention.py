"""The ATen operation scaled_dot_product_attention, and masks that are known to be causal."""

from __future__ import annotations

import itertools
import math

import torch

from .. import compositions
from .signature import reach
from .torch_dims import same_size
from .torch_sizes import Sizes, evaluate, free_symbols, numbers_in
from .torch_trace import NUMPY, Refused, Translator, dtype_of, kind

LENGTHS = (1, 2, 3, 5, 8)
"""Where a mask that is computed from sizes is compared with the causal one, and at its reach."""

OTHERS = (1, 3)
"""What other sizes are then: a mask must not change with the batch."""


def attention(t: Translator, fx, query, key, value, mask=None, dropout=0.0, is_causal=False, *,
              scale=None, enable_gqa=False):
    """softmax(query key^T scale) value by heads, on [..., heads, length, width]."""
    if dropout:
        raise Refused(f"dropout_p={dropout}")
    if len({dtype_of(v) for v in (query, key, value)}) != 1:
        raise Refused("queries, keys and values of several dtypes")
    causal, how, name = masked(t, fx, query, key, mask, is_causal)
    params = {"causal": causal, "scale": None if scale is None else float(scale), "mask": how,
              "fill": "-inf", "empty": "zero"}
    inputs = [*heads(t, fx, query, key, value), *([] if name is None else [name])]
    blind, flat = how == "add" and may_blind(t, mask), query.meta["val"].ndim == 2
    if not blind and not flat:
        return t.node(fx, "scaled_dot_product_attention", inputs, params)
    made = t.builder.node(f"{t.wanted(fx)}.heads", "scaled_dot_product_attention", inputs, params)
    if flat and blind:
        made = t.builder.node(f"{t.wanted(fx)}.head", "reshape", [made], {"shape": t.shape(fx)})
    elif flat:
        return t.node(fx, "reshape", [made], {"shape": t.shape(fx)})
    return seeing(t, fx, made, name)


def may_blind(t: Translator, mask) -> bool:
    """Whether an added mask may hold a row of -inf alone; of a stored one that is known."""
    weight = t.weight(mask)
    return weight is None or bool((t.array(weight)[0].astype(float) == -math.inf).all(-1).any())


def seeing(t: Translator, fx, made: str, mask: str) -> str:
    """Zeros for a query that an added mask lets see nothing, as torch has it, instead of a NaN."""
    wanted = t.wanted(fx)
    top = t.builder.node(f"{wanted}.top", "max", [mask], {"axes": [-1], "keepdims": True})
    none = compositions.number(t.builder, f"{wanted}.none", -math.inf)
    seen = t.builder.node(f"{wanted}.seen", "not_equal", [top, none])
    return t.node(fx, "where", [seen, made, compositions.number(t.builder, f"{wanted}.zero", 0)])


def heads(t: Translator, fx, query, key, value) -> list[str]:
    """The three tensors with an axis of heads; queries are spread where keys have more heads."""
    names = [t.tensor(v, fx) for v in (query, key, value)]
    if query.meta["val"].ndim == 2:
        return [t.builder.node(f"{t.wanted(fx)}.{word}", "unsqueeze", [name], {"axes": [0]})
                for word, name in zip(("query", "key", "value"), names)]
    lead = fx.meta["val"].shape[:-2]
    for n, tensor in enumerate((query, key, value)):
        shape = tensor.meta["val"].shape
        many = n == 0 or not same_size(shape[-3], key.meta["val"].shape[-3])
        wide = [*lead[:-1], lead[-1] if many else shape[-3], *shape[-2:]]
        if len(wide) != len(shape) or not all(map(same_size, wide, shape)):
            names[n] = t.builder.node(f"{t.wanted(fx)}.{('query', 'key', 'value')[n]}", "expand",
                                      [names[n]], {"shape": t.dims(wide)})
    return names


def masked(t: Translator, fx, query, key, mask, is_causal) -> tuple[bool, str, str | None]:
    """(causal, kind of mask, mask); here True keeps, and a number is added."""
    lengths = query.meta["val"].shape[-2], key.meta["val"].shape[-2]
    if is_causal and mask is not None:
        raise Refused("a mask and is_causal")
    if is_causal and same_size(*lengths):
        return True, "none", None
    if is_causal:
        rows, columns = t.dims(lengths)
        return False, "keep", compositions.triangle(t.builder, f"{t.wanted(fx)}.mask", rows, columns,
                                                    0, True)
    if mask is None:
        return False, "none", None
    if hides_just_later(t, mask, shown=True) and same_size(*lengths):
        return True, "none", None
    if kind(dtype_of(mask)) == "int64":
        raise Refused(f"a mask of {NUMPY.get(dtype_of(mask))}")
    return False, "keep" if kind(dtype_of(mask)) == "bool" else "add", t.tensor(mask, fx)


def hides_just_later(t: Translator, mask, shown: bool) -> bool:
    """Whether a mask that is computed from sizes hides just what comes later, at every length.

    `shown` says that True in it shows a place, instead of hiding it.
    """
    known, shape = t.values.get(mask.name), mask.meta["val"].shape
    if not isinstance(known, Sizes) or t.of_weights(known.node) or len(shape) < 2 \
            or not same_size(*shape[-2:]):
        return False
    symbols = free_symbols(known.node)
    length = shape[-1].node.expr if isinstance(shape[-1], torch.SymInt) else None
    others = sorted(symbols - {length}, key=str)
    if others and length not in symbols or length is not None and not length.is_Symbol:
        return False
    far = reach(numbers_in(known.node, t.constant_of))
    if symbols and far is None:
        return False
    return all(hides_later(evaluate(known.node, sizes, t.constant_of), shown)
               for sizes in tried(length, others, far))


def tried(length, others, far):
    """Sizes to look at a mask with: every length with every other size, and far ones together."""
    if length is None:
        yield {}
        return
    for n, *rest in itertools.product((*LENGTHS, far), *[OTHERS] * len(others)):
        yield {length: n, **dict(zip(others, rest))}


def hides_later(mask, shown: bool = False) -> bool:
    """Whether a mask hides the places above the diagonal of its last axes, adding nothing else."""
    later = torch.ones(mask.shape[-2:], dtype=torch.bool).triu(1).expand(mask.shape)
    if mask.dtype is torch.bool:
        return bool((mask == (~later if shown else later)).all())
    return bool((mask == torch.zeros_like(mask).masked_fill(later, -torch.inf)).all())


OPERATIONS = {"aten.scaled_dot_product_attention.default": attention}
