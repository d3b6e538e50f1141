"""The ATen operations of convolution, pooling, resizing and embedding, a row each."""

from __future__ import annotations


from .torch_dims import number, same_size, settled
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
        w, b = stored_pair(t, weight, bias)
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


def stored_pair(t: Translator, weight, bias):
    """The weight and bias of a convolution; the stream holds no others."""
    w, b = t.held(weight), None if bias is None else t.held(bias)
    if w is None or w.transposed or (bias is not None and b is None):
        raise Refused("a weight or bias that is computed")
    return w, b


def conv_transpose(n: int):
    """A row for a transposed convolution; `output_padding` lengthens the high side."""
    def handler(t: Translator, fx, x, weight, bias=None, stride=1, padding=0, more=0, groups=1,
                dilation=1):
        w, b = stored_pair(t, weight, bias)
        dtype = same_dtype(t, x, w, b)
        array = t.array(w)[0]
        low = per_axis(padding, n)
        params = {"in_channels": array.shape[0], "out_channels": array.shape[1] * groups,
                  "kernel": list(array.shape[2:]), "stride": per_axis(stride, n),
                  "dilation": per_axis(dilation, n), "pad_low": low,
                  "pad_high": [a - m for a, m in zip(low, per_axis(more, n))], "groups": groups,
                  "bias": b is not None}
        wanted = t.builder.unique(t.wanted(fx))
        # The stream has the filters first, torch the channels that go in, group by group.
        parts = array.reshape(groups, -1, *array.shape[1:]).swapaxes(1, 2)
        filters = parts.reshape(-1, parts.shape[2], *array.shape[2:])
        tensors = [slot(t, wanted, "weight", w, CONV_AXES[n], dtype, filters, ("turned", groups))]
        tensors += [slot(t, wanted, "bias", b, "f", dtype)] if b else []
        return t.builder.put(wanted, f"convtranspose{n}", [t.tensor(x, fx)], params, tensors)
    return handler


def pads(padding, kernel, dilation, n: int) -> tuple[list[int], list[int]]:
    """(low, high); torch puts the odd element of "same" at the high side."""
    if padding == "same":
        total = [d * (k - 1) for d, k in zip(dilation, kernel)]
        return [p // 2 for p in total], [p - p // 2 for p in total]
    both = per_axis(0 if padding == "valid" else padding, n)
    return both, list(both)


def slot(t: Translator, node: str, name: str, weight: Weight, axes: str, dtype: str, array=None,
         form=None):
    """A tensor of the node `node` for a stored weight, tied if another node has it in this form."""
    if array is None:
        array = t.array(weight)[0]
    # A matrix is one tensor whether a dense node or an embedding has it.
    form = form or ("weight",) if len(axes) != 1 else ("bias",)
    form = (*form, weight.source)
    key = (form, ("o", "i")) if axes in ("oi", "vd") else form
    return t.builder.tensor(node, name, array, key=key, dtype=dtype, axes=list(axes),
                            source=t.source(weight.source))


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
    """A row for adaptive pooling: to one value, or to extents that divide the input's evenly."""
    def handler(t: Translator, fx, x, size):
        if any(user.args[1] == 1 for user in fx.users if "getitem" in str(user.target)):
            raise Refused("the indices as a result")
        extents = x.meta["val"].shape[-n:]
        if all(extent == 1 for extent in size):
            made = t.node(fx, f"global_{op}", [t.tensor(x, fx)], {"spatial": n})
        else:
            params = even_windows(extents, size, n)
            params |= {"count_pad": True} if op == "avgpool" else {"dilation": [1] * n}
            made = t.node(fx, f"{op}{n}", [t.tensor(x, fx)], params)
        return [made] if isinstance(fx.meta["val"], (tuple, list)) else made
    return handler


def even_windows(extents, size, n: int) -> dict:
    """The windows that make `size` of `extents`, side by side."""
    extents = [settled(extent) for extent in extents]
    wanted = [extent if out is None else settled(out) for extent, out in zip(extents, size)]
    same = [same_size(extent, out) for extent, out in zip(extents, wanted)]
    if not all(s or isinstance(e, int) and isinstance(o, int) and e % o == 0
               for s, e, o in zip(same, extents, wanted)):
        told = [str(number(extent, "an extent")) for extent in extents]
        raise Refused(f"output_size {list(size)} of {' x '.join(told)}, which it does not divide")
    kernel = [1 if s else e // o for s, e, o in zip(same, extents, wanted)]
    return {"kernel": kernel, "stride": list(kernel), "pad_low": [0] * n, "pad_high": [0] * n,
            "ceil": False}


def upsample(mode: str, coordinates: str, n: int):
    """A row for interpolation of the last n axes to a size or by factors."""
    def handler(t: Translator, fx, x, size=None, *rest):
        *corners, factors = rest if rest else (None,)
        before, after = x.meta["val"].shape[-n:], fx.meta["val"].shape[-n:]
        extents = t.dims(before)
        if factors is None:
            wide = t.dims(after)
        else:
            wide = [extent if float(factor).is_integer() else number(size, "an extent")
                    for extent, size, factor in zip(extents, before, factors)]
            wide = [by_factor(*given) for given in zip(wide, after, factors)]
        params = {"mode": mode, "size": wide,
                  "coordinates": "align_corners" if any(corners) else coordinates}
        return t.node(fx, "resize", [t.tensor(x, fx)], params)
    return handler


def by_factor(extent, made, factor: float):
    """An axis times a factor; torch places elements by the factor, the stream by the two extents."""
    if float(factor).is_integer():
        return extent * int(factor) if isinstance(extent, int) else f"{int(factor)}*({extent})"
    if extent * factor != made:
        raise Refused(f"scale_factor {factor} of an axis of {extent}")
    return int(made)


def embedding(t: Translator, fx, weight, ids, padding_idx=-1, scale_grad=False, sparse=False):
    """Rows of a stored table; `padding_idx` says something of gradients only."""
    table = t.held(weight)
    if table is None and t.values.get(weight.name, "") is None:
        return None
    if table is None:
        return t.node(fx, "gather", [t.tensor(weight, fx), t.tensor(ids, fx)], {"axis": 0})
    if table.transposed:
        raise Refused("a transposed table")
    array, dtype = t.array(table)
    name = t.builder.unique(t.wanted(fx))
    params = {"vocab_size": array.shape[0], "embedding_dim": array.shape[1], "outside": "error",
              "wrap": False}
    return t.builder.put(name, "embedding", [t.tensor(ids, fx)], params,
                         [slot(t, name, "table", table, "vd", dtype)])


def renormed(t: Translator, fx, *rest):
    """A table that is changed by its use has no word."""
    raise Refused("max_norm, which changes the table")


LINEAR = {1: "linear", 2: "bilinear", 3: "trilinear"}

OPERATIONS = {
    **{f"aten.conv{n}d.{form}": conv(n) for n in (1, 2, 3) for form in ("default", "padding")},
    "aten.conv_transpose1d.default": conv_transpose(1),
    "aten.conv_transpose2d.input": conv_transpose(2),
    "aten.conv_transpose3d.input": conv_transpose(3),
    **{f"aten.max_pool{n}d{form}.default": max_pool(n) for n in (1, 2, 3)
       for form in ("", "_with_indices")},
    **{f"aten.avg_pool{n}d.default": avg_pool(n) for n in (1, 2, 3)},
    **{f"aten.adaptive_avg_pool{n}d.default": adaptive("avgpool", n) for n in (1, 2, 3)},
    **{f"aten.adaptive_max_pool{n}d.default": adaptive("maxpool", n) for n in (1, 2, 3)},
    **{f"aten.upsample_nearest{n}d.vec": upsample("nearest", "asymmetric", n) for n in (1, 2, 3)},
    **{f"aten._upsample_nearest_exact{n}d.vec": upsample("nearest", "half_pixel", n)
       for n in (1, 2, 3)},
    **{f"aten.upsample_{word}{n}d.vec": upsample("linear", "half_pixel", n)
       for n, word in LINEAR.items()},
    "aten.embedding.default": embedding,
    "aten.embedding_renorm.default": renormed,
}
