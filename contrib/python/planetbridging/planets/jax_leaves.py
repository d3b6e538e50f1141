"""The layers of Flax that are kept whole: what each is called with, and which weights it has.

Nothing here says what a layer computes in the stream's words (`jax_layers.py` does); a layer that
does what no word says carries the reasons in `problems`.
"""

from __future__ import annotations

import inspect
from dataclasses import dataclass, field

import jax
from flax import linen, nnx

from ..composed import flax_ as composed

ZEROS = jax.nn.initializers.zeros
ACTIVATIONS = {linen.tanh: "tanh", jax.nn.relu: "relu"}


@dataclass(frozen=True)
class InFloat64:
    """An attention function of nnx that takes its softmax in the type of its operands.

    nnx.dot_product_attention has two ways, and the one for modules that keep their weights (`sow`)
    is that; the other rounds to float32 in the middle.  With `is_causal` the first takes a mask of
    the whole size only.
    """

    function: object

    def __call__(self, query, key, *args, module=None, **kwargs):
        mask = kwargs.get("mask")
        if mask is not None and kwargs.get("is_causal"):
            whole = (*query.shape[:-3], query.shape[-2], query.shape[-3], key.shape[-3])
            kwargs["mask"] = jax.numpy.broadcast_to(mask, whole)
        return self.function(query, key, *args, module=_Nobody() if module is None else module,
                             **kwargs)


class _Nobody:
    """A module that keeps nothing."""

    def sow(self, *_):
        pass


@dataclass(eq=False)
class Layer:
    """One call of a module.

    `data` and `weights` hold tensors by role until the equation is made, the roles afterwards;
    `settings` is what the stream's parameters follow from, `made` the number of results, `whole`
    whether the call is one node at all.
    """

    op: str
    path: str
    settings: dict = field(default_factory=dict)
    data: dict = field(default_factory=dict)
    weights: dict = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    made: int = 1
    whole: bool = True
    run_with: dict = field(default_factory=dict)

    def needs(self, holds) -> None:
        """The layer is no node where this does not hold: what is in it becomes nodes."""
        self.whole = self.whole and bool(holds)

    def unless(self, holds, problem: str, **run_with) -> None:
        """Note a problem where something does not hold; for its shapes the module is then run with
        other arguments."""
        if not holds:
            self.problems.append(problem)
            self.run_with |= run_with


def linen_layer(module, args, kwargs) -> Layer | None:
    """The layer that a call of a linen module is, or None."""
    describe = LINEN.get(_definer(type(module)))
    if describe is None:
        return None
    call = inspect.signature(type(module).__call__).bind(module, *args, **kwargs).arguments

    def weight(*names, of=module, kind="params"):
        found = linen.meta.unbox(of.variables.get(kind, {}))
        for name in names:
            found = found.get(name) if found is not None else None
        return found
    path = ".".join(str(part) for part in module.path)
    return _whole(describe(Layer("", path), module, call, weight))


def nnx_layer(module, cls, function, path, args, kwargs) -> Layer | None:
    """The layer that a call of an nnx module is, `cls` being the class whose call it is."""
    describe = NNX.get(cls)
    if describe is None:
        return None
    call = inspect.signature(function).bind(module, *args, **kwargs).arguments

    def weight(*names, of=module, kind=""):
        found = of
        for name in names:
            found = getattr(found, "if_" if name == "if" else name, None)
        return None if found is None else found[...]
    path = ".".join(str(part) for part in path)
    return _whole(describe(Layer("", path), module, call, weight))


def _whole(layer: Layer | None) -> Layer | None:
    return layer if layer is not None and layer.whole else None


def _definer(cls):
    return next((c for c in cls.__mro__ if "__call__" in vars(c)), None)


def _take(layer: Layer, weight, *paths, of=None) -> None:
    """Note the weights at these paths under their dotted names, those that there are."""
    for path in paths:
        found = weight(*path) if of is None else weight(*path, of=of)
        if found is not None:
            layer.weights[".".join(path)] = found


def _dense(layer, module, call, weight):
    """linen.Dense, linen.DenseGeneral of one axis, nnx.Linear; others stay products."""
    if _definer(type(module)) is linen.DenseGeneral and not (
            module.axis in (-1, (-1,)) and not module.batch_dims
            and isinstance(module.features, int)):
        return None
    plain = (None, jax.lax.dot_general)
    if getattr(module, "promote_dtype", None) not in PROMOTERS \
            or getattr(module, "dot_general", None) not in plain \
            or getattr(module, "dot_general_cls", None) is not None:
        return None
    layer.op, layer.data = "dense", {"x": call["inputs"]}
    _take(layer, weight, ("kernel",), ("bias",))
    return layer


def _conv(layer, module, call, weight):
    layer.op, layer.data = "conv", {"x": call["inputs"]}
    _kernel(layer, module)
    layer.settings["groups"] = int(module.feature_group_count)
    layer.needs(set(_each(module.input_dilation, len(layer.settings["kernel"]))) == {1})
    layer.needs(getattr(module, "shared_weights", True) is True)
    layer.needs(module.conv_general_dilated in (None, jax.lax.conv_general_dilated)
                and getattr(module, "conv_general_dilated_cls", None) is None)
    if isinstance(module.padding, str):
        layer.needs(module.padding in ("SAME", "SAME_LOWER", "VALID", "CAUSAL", "CIRCULAR",
                                       "REFLECT"))
    else:  # below 0 it takes places away
        layer.needs(min(jax.tree.leaves(module.padding)) >= 0)
    _take(layer, weight, ("kernel",), ("bias",))
    return layer


def _kernel(layer, module) -> None:
    """The settings of a convolution's windows."""
    kernel = module.kernel_size
    kernel = (kernel,) if isinstance(kernel, int) else tuple(kernel)
    n = len(kernel)
    layer.settings = {"kernel": [int(k) for k in kernel], "stride": _each(module.strides, n),
                      "dilation": _each(module.kernel_dilation, n), "padding": module.padding}
    layer.needs(n in (1, 2, 3))
    layer.needs(module.mask is None)
    _plain_promotion(layer, module)


def _each(value, n: int) -> list[int]:
    """An option of a convolution by axis."""
    value = 1 if value is None else value
    return [int(v) for v in ([value] * n if isinstance(value, int) else value)]


def _conv_transpose(layer, module, call, weight):
    layer.op, layer.data = "convtranspose", {"x": call["inputs"]}
    _kernel(layer, module)
    layer.settings["kernel_axes"] = "fc" if module.transpose_kernel else "cf"
    if isinstance(module.padding, str):
        layer.needs(module.padding in ("SAME", "VALID"))
    _take(layer, weight, ("kernel",), ("bias",))
    return layer


def _plain_promotion(layer, module, name="promote_dtype"):
    layer.needs(getattr(module, name, None) in PROMOTERS)


PROMOTERS = (None, linen.dtypes.promote_dtype, nnx.nn.dtypes.promote_dtype)


def _norm(op: str):
    def describe(layer, module, call, weight):
        layer.op, layer.data = op, {"x": call["x"]}
        last = len(call["x"].shape) - 1
        layer.settings = {"eps": float(module.epsilon), "dim": call["x"].shape[-1]}
        for name in ("reduction_axes", "feature_axes"):
            layer.needs(getattr(module, name) in (-1, (-1,), [-1], last, (last,), [last]))
        _norm_weights(layer, module, call, weight)
        return layer
    return describe


def _norm_weights(layer, module, call, weight) -> None:
    layer.needs(call.get("mask") is None)
    layer.needs(module.axis_name is None)
    _plain_promotion(layer, module)
    _take(layer, weight, ("scale",), ("bias",))


def _batchnorm(layer, module, call, weight):
    """Statistics of the batch itself are training: refused, whatever the rest does."""
    x, axis = call["x"], module.axis
    axes = [axis] if isinstance(axis, int) else list(axis)
    layer.needs(len(axes) == 1)
    layer.op, layer.data = "batchnorm", {"x": x}
    layer.settings = {"eps": float(module.epsilon), "axis": axes[0] % len(x.shape)}
    running = call.get("use_running_average")
    layer.unless(module.use_running_average if running is None else running,
                 "statistics of the batch (use_running_average=False)", use_running_average=True)
    _norm_weights(layer, module, {}, weight)
    for name in ("mean", "var"):
        layer.weights[name] = weight(name, kind="batch_stats")
    return layer


def _groupnorm(layer, module, call, weight):
    x, rank = call["x"], len(call["x"].shape)
    layer.op, layer.data = "groupnorm", {"x": x}
    over = module.reduction_axes
    layer.needs(rank >= 2)
    layer.needs(over is None or {a % rank for a in over} == set(range(1, rank)))
    # nnx works both out, linen is told one of them.
    groups = module.num_groups or x.shape[-1] // module.group_size
    layer.settings = {"eps": float(module.epsilon), "groups": int(groups)}
    _norm_weights(layer, module, call, weight)
    return layer


def _instancenorm(layer, module, call, weight):
    rank = len(call["x"].shape)
    layer.op, layer.data = "instancenorm", {"x": call["x"]}
    layer.settings = {"eps": float(module.epsilon)}
    layer.needs(rank >= 3 and module.feature_axes in (-1, (-1,), [-1], rank - 1, (rank - 1,)))
    _norm_weights(layer, module, call, weight)
    return layer


def _prelu(layer, module, call, weight):
    layer.op, layer.data = "prelu", {"x": call["inputs"]}
    _take(layer, weight, ("negative_slope",))
    return layer


def _dropout(layer, module, call, weight):
    """Nothing in inference; the call is opened, and hands its input on."""
    told = call.get("deterministic")
    deterministic = module.deterministic if told is None else told
    if deterministic or module.rate == 0:
        return None
    layer.op, layer.data = "dropout", {"x": call["inputs"]}
    layer.unless(False, "dropout in training (deterministic=False)", deterministic=True)
    return layer


def _embedding(*place, outside: str, wrap: bool):
    """Flax's own Embed gives rows of NaN past its table, and takes -1 for the last row."""
    def describe(layer, module, call, weight):
        ids = call.get("inputs", call.get("ids"))
        layer.op, layer.data = "embedding", {"ids": ids}
        layer.settings = {"outside": outside, "wrap": wrap}
        table = weight(*place)
        layer.needs(wrap is False or table.shape[0] > 1)
        if not place[1:]:
            _plain_promotion(layer, module)
        layer.weights = {"table": table}
        return layer
    return describe


def _swiglu(layer, module, call, weight):
    layer.op, layer.data = "swiglu", {"x": call["x"]}
    layer.settings = {"activation": module.activation}
    _take(layer, weight, *[(part, name) for part in ("gate", "up", "down")
                           for name in ("kernel", "bias")])
    return layer


def _recurrent(layer, module, call, weight):
    """RNN of a cell that has a word; any other is opened, and is a loop."""
    cell = module.cell
    definer = _definer(type(cell))
    if definer not in CELLS:
        return None
    CELLS[definer](layer, cell, weight)

    def option(name):
        return getattr(module, name) if call.get(name) is None else call[name]
    layer.data = {"x": call["inputs"]}
    layer.settings.update(reverse=bool(option("reverse")), keep_order=bool(option("keep_order")),
                          carry=bool(option("return_carry")), time_major=bool(option("time_major")))
    _carry(layer, cell, call.get("initial_carry"), definer)
    if call.get("seq_lengths") is not None:
        layer.data["lengths"] = call["seq_lengths"]
    _plain_promotion(layer, cell)
    return layer


def _carry(layer, cell, carry, definer) -> None:
    """The state before the first step: given, or zero."""
    if carry is None:
        layer.needs(type(cell).initialize_carry is definer.initialize_carry
                    and cell.carry_init in (None, ZEROS))
    elif layer.op == "lstm":
        layer.data["c0"], layer.data["h0"] = carry
    else:
        layer.data["h0"] = carry


def _lstm_cell(layer, cell, weight):
    layer.op = "lstm"
    layer.needs(cell.gate_fn is jax.nn.sigmoid and cell.activation_fn is linen.tanh)
    if isinstance(cell, nnx.OptimizedLSTMCell):
        places = [("dense_i", "kernel"), ("dense_h", "kernel"), ("dense_h", "bias")]
    else:
        places = [(side + gate, name) for gate in "ifgo" for side, name in
                  (("i", "kernel"), ("h", "kernel"), ("h", "bias"))]
    _take(layer, weight, *places, of=cell)


def _gru_cell(layer, cell, weight):
    layer.op = "gru"
    layer.needs(cell.gate_fn is jax.nn.sigmoid and cell.activation_fn is linen.tanh)
    parts = ("dense_i", "dense_h") if isinstance(cell, nnx.GRUCell) else \
        [side + gate for gate in "rzn" for side in "ih"]
    _take(layer, weight, *[(part, name) for part in parts for name in ("kernel", "bias")], of=cell)


def _simple_cell(layer, cell, weight):
    layer.op = "rnn"
    layer.needs(cell.activation_fn in ACTIVATIONS and not cell.residual)
    layer.settings["activation"] = ACTIVATIONS.get(cell.activation_fn, "")
    parts = ("dense_i", "dense_h") if isinstance(cell, nnx.SimpleCell) else ("i", "h")
    for role, part in zip(("i", "h"), parts):
        for name in ("kernel", "bias"):
            found = weight(part, name, of=cell)
            if found is not None:
                layer.weights[f"{role}.{name}"] = found


def _attention(layer, module, call, weight):
    layer.op = "attention"
    query = call["inputs_q"]
    key = call.get("inputs_k", call.get("inputs_kv"))
    value = call.get("inputs_v")
    layer.data = {"query": query}
    for role, tensor, before in (("key", key, query), ("value", value, key)):
        if tensor is not None and tensor is not before:
            layer.data[role] = tensor
    if call.get("mask") is not None:
        layer.data["mask"] = call["mask"]
    layer.settings = {"rope": "none", "rope_base": None, "causal": bool(call.get("is_causal"))}
    _attention_function(layer, module.attention_fn)
    _attention_options(layer, module, call)
    _take(layer, weight, *[(part, name) for part in ("query", "key", "value", "out")
                           for name in ("kernel", "bias")])
    return layer


def _attention_function(layer, function) -> None:
    if isinstance(function, InFloat64):
        function = function.function
    if isinstance(function, composed.RotaryAttention):
        causal = layer.settings["causal"] or function.causal
        layer.settings.update(rope=function.style, rope_base=float(function.base), causal=causal)
        return
    layer.needs(function in (linen.dot_product_attention, nnx.dot_product_attention))


def _attention_options(layer, module, call) -> None:
    layer.needs(not module.normalize_qk)
    decode = module.decode if call.get("decode") is None else call["decode"]
    layer.unless(not decode, "decode=True")
    deterministic = module.deterministic if call.get("deterministic") is None \
        else call["deterministic"]
    layer.unless(module.dropout_rate == 0 or deterministic,
                 "dropout in training (deterministic=False)", deterministic=True)
    layer.needs(not getattr(module, "force_fp32_for_softmax", False))
    for name in ("qkv_dot_general", "out_dot_general", "qkv_dot_general_cls",
                 "out_dot_general_cls", "qk_attn_weights_einsum_cls",
                 "attn_weights_value_einsum_cls"):
        layer.needs(getattr(module, name, None) is None)
    for name in ("qkv_promote_dtype", "out_promote_dtype"):
        _plain_promotion(layer, module, name)


CELLS = {linen.LSTMCell: _lstm_cell, linen.OptimizedLSTMCell: _lstm_cell,
         linen.SimpleCell: _simple_cell, linen.GRUCell: _gru_cell, nnx.LSTMCell: _lstm_cell,
         nnx.OptimizedLSTMCell: _lstm_cell, nnx.SimpleCell: _simple_cell, nnx.GRUCell: _gru_cell}

LINEN = {
    linen.Dense: _dense, linen.DenseGeneral: _dense, _definer(linen.Conv): _conv,
    linen.ConvTranspose: _conv_transpose, linen.BatchNorm: _batchnorm,
    linen.GroupNorm: _groupnorm, linen.InstanceNorm: _instancenorm, linen.PReLU: _prelu,
    linen.Dropout: _dropout, linen.LayerNorm: _norm("layernorm"), linen.RMSNorm: _norm("rmsnorm"),
    linen.Embed: _embedding("embedding", outside="nan", wrap=True), linen.RNN: _recurrent,
    linen.MultiHeadDotProductAttention: _attention,
    composed.SwiGLU: _swiglu,
    composed.ZeroEmbed: _embedding("embed", "embedding", outside="zero", wrap=False),
}
"""What is kept whole, by the class that defines the call."""

NNX = {
    nnx.Linear: _dense, nnx.Conv: _conv, nnx.ConvTranspose: _conv_transpose,
    nnx.BatchNorm: _batchnorm, nnx.GroupNorm: _groupnorm, nnx.InstanceNorm: _instancenorm,
    nnx.PReLU: _prelu, nnx.Dropout: _dropout, nnx.LayerNorm: _norm("layernorm"),
    nnx.RMSNorm: _norm("rmsnorm"),
    nnx.Embed: _embedding("embedding", outside="nan", wrap=True), nnx.RNN: _recurrent,
    nnx.MultiHeadAttention: _attention,
    composed.NnxSwiGLU: _swiglu,
    composed.NnxZeroEmbed: _embedding("embed", "embedding", outside="zero", wrap=False),
}
