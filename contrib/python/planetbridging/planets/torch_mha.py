"""Nodes for MultiheadAttention, with its masks."""

from __future__ import annotations

import numpy as np
import torch

from .. import compositions
from .torch_attention import hides_just_later
from .torch_call import Call
from .torch_trace import NUMPY


def attention(call: Call) -> list:
    """MultiheadAttention on [b, s, d], [s, b, d] or [s, d]."""
    m = call.module
    if m.bias_k is not None or m.add_zero_attn:
        raise call.refused("add_bias_kv or add_zero_attn")
    if 1 in call.used:
        raise call.refused("the attention weights as a result (need_weights)")
    inputs, turned = heard(call)
    causal, kind, mask = masks(call)
    params = {"d_model": m.embed_dim, "key_features": m.kdim, "value_features": m.vdim,
              "out_features": m.embed_dim, "num_heads": m.num_heads, "num_kv_heads": m.num_heads,
              "head_dim": m.head_dim, "value_dim": m.head_dim, **projection_biases(m),
              "causal": causal, "rope": "none", "rope_base": None, "scale": None, "mask": kind,
              "fill": "-inf", "empty": "nan" if gives_nan(call) else "zero"}
    if mask is not None:
        inputs = [*inputs, *[None] * (3 - len(inputs)), mask]
    name = call.t.builder.unique(call.name + ".attention" * turned)
    y = call.t.builder.put(name, "attention", inputs, params, call.weights(name, projection_parts(m)))
    return [call.t.builder.node(call.name, "transpose", [y], {"perm": [1, 0, 2]}) if turned else y]


def heard(call: Call) -> tuple[list[str | None], bool]:
    """(query, key, value as inputs, batch first; whether that took a transpose).

    Key and value are left out where they are the query and the key.
    """
    turned = len(call.shape(0)) == 3 and not call.module.batch_first
    q, k, v = (call.tensor(n) for n in range(3))
    if turned:
        q, k, v = (call.t.transposed(x, [1, 0, 2], f"{call.name}.{word}")
                   for x, word in ((q, "query"), (k, "key"), (v, "value")))
    if v == k:
        return ([q] if k == q else [q, k]), turned
    return [q, None if k == q else k, v], turned


def projection_biases(m) -> dict[str, bool]:
    """Which projections have a bias."""
    return {**dict.fromkeys(("q_bias", "k_bias", "v_bias"), m.in_proj_bias is not None),
            "o_bias": m.out_proj.bias is not None}


def projection_parts(m) -> list[tuple]:
    """Where each slot's rows are: one stacked weight, or three where key or value differ in width."""
    d = m.embed_dim
    if m.in_proj_weight is not None:
        parts = [(f"W{x}", "in_proj_weight", n * d, n * d + d, f"{x}d") for n, x in enumerate("qk")]
        parts += [("Wv", "in_proj_weight", 2 * d, 3 * d, "vd")]
    else:
        parts = [(f"W{x}", f"{x}_proj_weight", None, None, f"{x}d") for x in "qkv"]
    parts.append(("Wo", "out_proj.weight", None, None, "do"))
    if m.in_proj_bias is not None:
        parts += [(f"b{x}", "in_proj_bias", n * d, n * d + d, x) for n, x in enumerate("qkv")]
    if m.out_proj.bias is not None:
        parts.append(("bo", "out_proj.bias", None, None, "d"))
    return parts


def masks(call: Call) -> tuple[bool, str, str | None]:
    """(causal, kind of mask, mask) from attn_mask and key_padding_mask."""
    padding, mask = call.args[3], call.args[4]
    # Without weights and padding torch takes the hint for the mask, but for its fused way.
    causal = mask is not None and call.flags["is_causal"] and padding is None \
        and not call.flags["need_weights"] and not fused(call)
    if mask is not None and not causal:
        causal = is_causal(call, mask)
    given = [x for x in (padding, None if causal else mask) if x is not None]
    if not given:
        return causal, "none", None
    kinds = [kind_of(call, x) for x in given]
    parts = [None if padding is None else padding_mask(call), None if causal else own_mask(call)]
    parts = [part for part in parts if part is not None]
    how = "hide" if set(kinds) == {"hide"} else "add"
    if len(parts) == 2:
        parts = [added(call, *pair) if how == "add" else pair[0] for pair in zip(parts, kinds)]
        parts = [call.add(".mask", "add" if how == "add" else "or", parts, {})]
    return causal, how, parts[0]


def added(call: Call, mask: str, how: str) -> str:
    """A mask as numbers to add: where True hides, minus infinity."""
    if how == "add":
        return mask
    b, name = call.t.builder, f"{call.name}.hidden"
    numbers = [compositions.number(b, f"{name}.{word}", value)
               for word, value in (("inf", -np.inf), ("zero", 0))]
    return b.node(name, "where", [mask, *numbers])


def kind_of(call: Call, mask) -> str:
    """In MultiheadAttention True hides, and a number is added."""
    dtype = mask.meta["val"].dtype
    if dtype is torch.bool:
        return "hide"
    if not dtype.is_floating_point:
        raise call.refused(f"a mask of {NUMPY.get(dtype, dtype)}")
    return "add"


def padding_mask(call: Call) -> str:
    """key_padding_mask [b, keys] or [keys] as [b, 1, 1, keys]."""
    shape = call.shape(3)
    return call.reshape(".key_padding_mask", call.tensor(3), (*shape[:-1], 1, 1, shape[-1]))


def own_mask(call: Call) -> str | None:
    """attn_mask [queries, keys], or [b * heads, queries, keys] as [b, heads, queries, keys]."""
    if call.args[4] is None:
        return None
    shape, name = call.shape(4), call.tensor(4)
    if len(shape) == 2 or len(call.shape(0)) == 2:
        return name
    batch = call.shape(0)[0 if call.module.batch_first else 1]
    return call.reshape(".attn_mask", name, (batch, call.module.num_heads, *shape[1:]))


def is_causal(call: Call, mask) -> bool:
    """Whether a mask that is computed from sizes hides just what comes later, at every length."""
    return mask.meta["val"].ndim == 2 and hides_just_later(call.t, mask, shown=False)


def gives_nan(call: Call) -> bool:
    """Whether a row with nothing to see is NaN: of torch's three ways one gives zeros.

    That is scaled_dot_product_attention, taken without weights where the fused way cannot be.
    """
    return call.flags["need_weights"] or fused(call)


def fused(call: Call) -> bool:
    """Whether the module runs its fused operation, in eval mode without gradients."""
    m, given = call.module, [x for x in call.args[3:5] if x is not None]
    return (call.args[0] is call.args[1] is call.args[2] and len(call.shape(0)) == 3
            and m.batch_first and m.num_heads % 2 == 0 and m.in_proj_weight is not None
            and m.in_proj_bias is not None
            and not any(x.meta["val"].is_floating_point() for x in given))
