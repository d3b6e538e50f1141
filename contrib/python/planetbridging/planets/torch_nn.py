"""The ATen operations of convolution, pooling, norms and embedding, a row each."""

from __future__ import annotations

import math

import torch

from .torch_trace import NUMPY, Refused, Translator, Weight

CONV_AXES = {1: "fcw", 2: "fchw", 3: "fcdhw"}


def per_axis(value, n: int) -> list[int]:
    """One number for each of n axes."""
    if isinstance(value, (list, tuple)):
        values = [int(v) for v in value]
        return values * n if len(values) == 1 else values
    return [int(value)] * n


def conv(n: int):
    """A row for a convolution over n axes; `padding` is numbers, "same" or "valid"."""
    def handler(t: Translator, fx, x, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
        w, b = t.weight(weight), t.weight(bias)
        if w is None or w.transposed or (bias is not None and b is None):
            raise Refused("a weight or bias that is computed")
        dtype = same_dtype(t, x, w, b)
        shape = t.array(w)[0].shape
        kernel, dilation = list(shape[2:]), per_axis(dilation, n)
        low, high = pads(padding, kernel, dilation, n)
        params = {"in_channels": shape[1] * groups, "out_channels": shape[0], "kernel": kernel,
                  "stride": per_axis(stride, n), "dilation": dilation, "pad_low": low,
                  "pad_high": high, "groups": groups, "bias": b is not None}
        wanted = t.builder.unique(t.wanted(fx))
        tensors = [slot(t, wanted, "weight", w, CONV_AXES[n], dtype)]
        tensors += [slot(t, wanted, "bias", b, "f", dtype)] if b else []
        return t.builder.put(wanted, f"conv{n}", [t.tensor(x, fx)], params, tensors)
    return handler


def pads(padding, kernel, dilation, n: int) -> tuple[list[int], list[int]]:
    """(low, high); torch puts the odd element of "same" at the high side."""
    if padding == "same":
        total = [d * (k - 1) for d, k in zip(dilation, kernel)]
        return [p // 2 for p in total], [p - p // 2 for p in total]
    both = per_axis(0 if padding == "valid" else padding, n)
    return both, list(both)


def slot(t: Translator, node: str, name: str, weight: Weight, axes: str, dtype: str, array=None):
    """A tensor of the node `node` for a stored weight, tied if another node has it in this form."""
    if array is None:
        array = t.array(weight)[0]
    # A matrix is one tensor whether a dense node or an embedding has it.
    form = ("weight", weight.source) if len(axes) != 1 else ("bias", weight.source)
    key = (form, ("o", "i")) if axes in ("oi", "vd") else form
    return t.builder.tensor(node, name, array, key=key, dtype=dtype, axes=list(axes),
                            source=weight.source)


def same_dtype(t: Translator, x, *weights) -> str:
    """The one dtype of the values and of the weights."""
    dtypes = {t.array(w)[1] for w in weights if w is not None}
    values = NUMPY.get(x.meta["val"].dtype)
    if dtypes - {values}:
        raise Refused(f"values of {values} and a weight of {' and '.join(sorted(dtypes))}")
    return values


def max_pool(n: int):
    """A row for max pooling; a second result, the indices, is refused where it is used."""
    def handler(t: Translator, fx, x, kernel, stride=(), padding=0, dilation=1, ceil=False):
        if any(user.args[1] == 1 for user in fx.users if "getitem" in str(user.target)):
            raise Refused("the indices as a result")
        kernel = per_axis(kernel, n)
        low = per_axis(padding, n)
        params = {"kernel": kernel, "stride": per_axis(stride, n) or kernel,
                  "dilation": per_axis(dilation, n), "pad_low": low, "pad_high": list(low),
                  "ceil": bool(ceil)}
        made = t.node(fx, f"maxpool{n}", [t.tensor(x, fx)], params)
        return [made] if "indices" in str(fx.target) else made
    return handler


def avg_pool(n: int):
    """A row for average pooling."""
    def handler(t: Translator, fx, x, kernel, stride=(), padding=0, ceil=False, count_pad=True,
                divisor=None):
        if divisor is not None:
            raise Refused(f"divisor_override={divisor}")
        kernel = per_axis(kernel, n)
        low = per_axis(padding, n)
        params = {"kernel": kernel, "stride": per_axis(stride, n) or kernel, "pad_low": low,
                  "pad_high": list(low), "ceil": bool(ceil), "count_pad": bool(count_pad)}
        return t.node(fx, f"avgpool{n}", [t.tensor(x, fx)], params)
    return handler


def adaptive(op: str, n: int):
    """A row for adaptive pooling to one value."""
    def handler(t: Translator, fx, x, size):
        if any(extent != 1 for extent in size):
            raise Refused(f"output_size {list(size)}, not 1")
        if any(user.args[1] == 1 for user in fx.users if "getitem" in str(user.target)):
            raise Refused("the indices as a result")
        made = t.node(fx, op, [t.tensor(x, fx)], {"spatial": n})
        return [made] if isinstance(fx.meta["val"], (tuple, list)) else made
    return handler


def reduced(op: str):
    """A row for mean and amax over one to three axes, which are made the last ones."""
    def handler(t: Translator, fx, x, axes=None, keepdim=False, *, dtype=None):
        values, made = x.meta["val"], fx.meta["val"]
        rank = values.ndim
        given = [axes] if isinstance(axes, int) else axes or range(rank)
        found = sorted({axis % rank for axis in given})
        if not 1 <= len(found) <= 3:
            raise Refused(f"{len(found)} axes, not one to three")
        if made.dtype is not values.dtype or not made.is_floating_point():
            raise Refused("another dtype for its result")
        perm = [axis for axis in range(rank) if axis not in found] + found
        turned, name = perm != list(range(rank)), t.tensor(x, fx)
        if turned:
            name = t.transposed(name, perm, f"{t.wanted(fx)}.transpose")
        if keepdim and not turned:
            return t.node(fx, op, [name], {"spatial": len(found)})
        pooled = t.builder.node(f"{t.wanted(fx)}.pool", op, [name], {"spatial": len(found)})
        return t.node(fx, "reshape", [pooled], {"shape": t.dims(made.shape)})
    return handler


def layer_norm(t: Translator, fx, x, shape, weight=None, bias=None, eps=1e-5, cudnn=True):
    """Over the last axes; several are made one before and taken apart after."""
    return norm(t, fx, x, shape, "layernorm", {"gamma": weight, "beta": bias}, eps)


def rms_norm(t: Translator, fx, x, shape, weight=None, eps=None):
    """As layer_norm.  Without eps torch takes the step of the dtype it computes in, at least float32."""
    if eps is None:
        eps = torch.finfo(torch.promote_types(x.meta["val"].dtype, torch.float32)).eps
    return norm(t, fx, x, shape, "rmsnorm", {"gamma": weight}, eps)


def norm(t: Translator, fx, x, shape, op: str, slots: dict, eps: float):
    """A norm over the last len(shape) axes with the given weights."""
    weights = {name: t.weight(value) for name, value in slots.items() if value is not None}
    if None in weights.values():
        raise Refused("a weight or bias that is computed")
    dtype = same_dtype(t, x, *weights.values())
    dim = math.prod(shape)
    wanted, values = t.wanted(fx), t.tensor(x, fx)
    if len(shape) > 1:
        lead = x.meta["val"].shape[:-len(shape)]
        values = t.builder.node(f"{wanted}.flat", "reshape", [values], {"shape": [*t.dims(lead), dim]})
    name = t.builder.unique(wanted if len(shape) == 1 else f"{wanted}.norm")
    tensors = [slot(t, name, key, weight, "n", dtype, t.array(weight)[0].reshape(-1))
               for key, weight in weights.items()]
    params = {"dim": dim, "eps": float(eps), "scale": "gamma" in weights}
    if op == "layernorm":
        params["offset"] = "beta" in weights
    made = t.builder.put(name, op, [values], params, tensors)
    if len(shape) == 1:
        return made
    return t.node(fx, "reshape", [made], {"shape": t.dims(fx.meta["val"].shape)})


def embedding(t: Translator, fx, weight, ids, padding_idx=-1, scale_grad=False, sparse=False):
    """Rows of a stored table; `padding_idx` says something of gradients only."""
    table = t.weight(weight)
    if table is None:
        if t.values.get(getattr(weight, "name", ""), "") is None:
            return None
        raise Refused("a weight that is computed")
    if table.transposed:
        raise Refused("a transposed table")
    array, dtype = t.array(table)
    name = t.builder.unique(t.wanted(fx))
    params = {"vocab_size": array.shape[0], "embedding_dim": array.shape[1], "outside": "error",
              "wrap": False}
    return t.builder.put(name, "embedding", [t.tensor(ids, fx)], params,
                         [slot(t, name, "table", table, "vd", dtype)])


def padded(t: Translator, fx, x, pad, mode="constant", value=None):
    """Padding outside a convolution or a pool has no word."""
    raise Refused(f"padding mode {mode!r}")


def renormed(t: Translator, fx, *rest):
    """A table that is changed by its use has no word."""
    raise Refused("max_norm, which changes the table")


REFUSED = {"pad": padded, "embedding_renorm": renormed}

OPERATIONS = {
    **{f"aten.conv{n}d.{form}": conv(n) for n in (1, 2, 3) for form in ("default", "padding")},
    **{f"aten.max_pool{n}d{form}.default": max_pool(n) for n in (1, 2, 3)
       for form in ("", "_with_indices")},
    **{f"aten.avg_pool{n}d.default": avg_pool(n) for n in (1, 2, 3)},
    **{f"aten.adaptive_avg_pool{n}d.default": adaptive("global_avgpool", n) for n in (1, 2, 3)},
    **{f"aten.adaptive_max_pool{n}d.default": adaptive("global_maxpool", n) for n in (1, 2, 3)},
    "aten.mean.dim": reduced("global_avgpool"),
    "aten.amax.default": reduced("global_maxpool"),
    "aten.layer_norm.default": layer_norm,
    "aten.rms_norm.default": rms_norm,
    "aten.embedding.default": embedding,
    **{f"aten.{word}.default": handler for word, handler in REFUSED.items()},
}
