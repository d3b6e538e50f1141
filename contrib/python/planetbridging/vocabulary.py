"""The operations of the layer stream: their parameters, all required, and their weight slots."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Callable


@dataclass(frozen=True)
class Kind:
    """What a parameter may be: `name` for messages, `holds` says whether a value is one."""

    name: str
    holds: Callable[[object], bool]


def _is(kind: type) -> Kind:
    # Not isinstance: True is an int in Python, and never one in a stream.
    return Kind(kind.__name__, lambda value: type(value) is kind)


def _or_null(kind: Kind) -> Kind:
    return Kind(f"{kind.name} or null", lambda value: value is None or kind.holds(value))


def _one_of(*words: str) -> Kind:
    return Kind(" or ".join(map(repr, words)), lambda value: type(value) is str and value in words)


def _list(kind: type | tuple, count: int | None = None) -> Kind:
    kinds = kind if isinstance(kind, tuple) else (kind,)
    name = "list" if count is None else f"list of {count}"
    return Kind(name, lambda value: type(value) is list and len(value) == (count or len(value))
                and all(type(item) in kinds for item in value))


INT, FLOAT, BOOL, STR = map(_is, (int, float, bool, str))
INTS, DIMS, DIM = _list(int), _list((int, str)), _list((int, str), 1)
MASKED = {"scale": _or_null(FLOAT), "mask": _one_of("none", "keep", "hide", "add"),
          "fill": _one_of("-inf", "least", "-1e9"), "empty": _one_of("zero", "nan", "error")}
DIRECTION = {"direction": _one_of("forward", "backward"), "order": _one_of("time", "reversed")}


def _conv(n: int) -> dict[str, Kind]:
    axes = ("kernel", "stride", "dilation", "pad_low", "pad_high")
    return {"in_channels": INT, "out_channels": INT, "groups": INT, "bias": BOOL,
            **dict.fromkeys(axes, _list(int, n))}


def _pool(n: int, *more: str) -> dict[str, Kind]:
    axes = ("kernel", "stride", "pad_low", "pad_high", *more)
    return {**dict.fromkeys(axes, _list(int, n)), "ceil": BOOL}


def _gated(gates: str) -> dict[str, str]:
    first = {f"{slot}_{gate}": axes for gate in gates
             for slot, axes in (("W", "hi"), ("U", "hu"), ("b", "h"))}
    return {**first, **{f"b2_{gate}": "h" for gate in gates}}


NONE: dict[str, Kind] = {}
PARAMS: dict[str, dict[str, Kind]] = {
    "dense": {"in_features": INT, "out_features": INT, "bias": BOOL},
    "leaky_relu": {"negative_slope": FLOAT},
    "elu": {"alpha": FLOAT},
    "softplus": {"beta": FLOAT, "threshold": _or_null(FLOAT)},
    "clip": {"min": _or_null(FLOAT), "max": _or_null(FLOAT)},
    "prelu": {"shape": INTS},
    "log_softmax": {"axis": INT},
    "cast": {"to": _one_of("float32", "int64", "bool")},
    **dict.fromkeys(("sum", "mean", "max", "min"), {"axes": INTS, "keepdims": BOOL}),
    "argmax": {"axis": INT, "keepdims": BOOL},
    "cumsum": {"axis": INT},
    "gelu": {"approximate": STR},
    "softmax": {"axis": INT},
    "constant": {"shape": DIMS},
    "reshape": {"shape": DIMS},
    "concat": {"axis": INT},
    **{f"conv{n}": _conv(n) for n in (1, 2, 3)},
    **{f"convtranspose{n}": _conv(n) for n in (1, 2, 3)},
    **{f"maxpool{n}": _pool(n, "dilation") for n in (1, 2, 3)},
    **{f"avgpool{n}": {**_pool(n), "count_pad": BOOL} for n in (1, 2, 3)},
    "global_maxpool": {"spatial": INT},
    "global_avgpool": {"spatial": INT},
    "flatten": {"start": INT, "end": INT},
    "transpose": {"perm": INTS},
    "slice": {"axes": INTS, "starts": DIMS, "stops": DIMS, "steps": INTS},
    "gather": {"axis": INT},
    "gather_elements": {"axis": INT},
    "pad": {"axes": INTS, "low": DIMS, "high": DIMS, "value": FLOAT,
            "mode": _one_of("constant", "reflect", "replicate", "circular")},
    "expand": {"shape": DIMS},
    "squeeze": {"axes": INTS},
    "unsqueeze": {"axes": INTS},
    "split": {"axis": INT, "sizes": DIMS},
    "arange": {"start": DIM, "stop": DIM, "step": INT},
    "size": {"of": DIM},
    "resize": {"mode": _one_of("nearest", "linear"), "size": DIMS,
               "coordinates": _one_of("half_pixel", "asymmetric", "align_corners")},
    "rnn": {"input_size": INT, "hidden_size": INT, "activation": _one_of("tanh", "relu"),
            "biases": INT, **DIRECTION},
    "lstm": {"input_size": INT, "hidden_size": INT, "biases": INT, **DIRECTION},
    "gru": {"input_size": INT, "hidden_size": INT, "reset_after": BOOL, "biases": INT, **DIRECTION},
    "attention": {
        **dict.fromkeys(("d_model", "key_features", "value_features", "out_features", "num_heads",
                         "num_kv_heads", "head_dim", "value_dim"), INT),
        **dict.fromkeys(("q_bias", "k_bias", "v_bias", "o_bias", "causal"), BOOL),
        "rope": _one_of("none", "half", "interleaved"), "rope_base": _or_null(FLOAT), **MASKED},
    "scaled_dot_product_attention": {"causal": BOOL, **MASKED},
    "rotary": {"head_dim": INT, "style": _one_of("half", "interleaved"), "base": FLOAT, "factors": BOOL},
    "layernorm": {"dim": INT, "eps": FLOAT, "scale": BOOL, "offset": BOOL},
    "rmsnorm": {"dim": INT, "eps": FLOAT, "scale": BOOL},
    "batchnorm": {"dim": INT, "axis": INT, "eps": FLOAT, "scale": BOOL, "offset": BOOL},
    "groupnorm": {"channels": INT, "groups": INT, "eps": FLOAT, "scale": BOOL, "offset": BOOL},
    "instancenorm": {"channels": INT, "eps": FLOAT, "scale": BOOL, "offset": BOOL},
    "embedding": {"vocab_size": INT, "embedding_dim": INT,
                  "outside": _one_of("zero", "nan", "error"), "wrap": BOOL},
    "swiglu": {"in_features": INT, "hidden_features": INT,
               "activation": _one_of("silu", "relu2"), "bias": BOOL},
    **dict.fromkeys((
        "linear", "relu", "relu2", "relu6", "tanh", "sigmoid", "silu", "mish", "selu",
        "hard_sigmoid", "hard_swish", "exp", "log", "log1p", "expm1", "sin", "cos", "erf", "sqrt", "rsqrt",
        "reciprocal", "floor", "ceil", "round", "abs", "neg", "sign", "not", "add", "sub", "mul",
        "div", "pow", "minimum", "maximum", "floor_divide", "remainder", "equal", "not_equal",
        "less", "less_equal", "greater", "greater_equal", "and", "or", "where", "matmul",
        "residual"), NONE),
}
"""Every operation with its parameters, all required."""

GATES = ("i", "f", "g", "o")

AXES: dict[str, dict[str, str]] = {
    "dense": {"weight": "oi", "bias": "o"},
    "constant": {"value": ""},
    "conv1": {"weight": "fcw", "bias": "f"},
    "conv2": {"weight": "fchw", "bias": "f"},
    "conv3": {"weight": "fcdhw", "bias": "f"},
    "convtranspose1": {"weight": "fcw", "bias": "f"},
    "convtranspose2": {"weight": "fchw", "bias": "f"},
    "convtranspose3": {"weight": "fcdhw", "bias": "f"},
    "rnn": {"W": "hi", "U": "hu", "b": "h", "b2": "h"},
    "lstm": _gated("ifgo"),
    "gru": _gated("rzn"),
    "attention": {"Wq": "qd", "Wk": "kd", "Wv": "vd", "Wo": "do",
                  "bq": "q", "bk": "k", "bv": "v", "bo": "d"},
    "rotary": {"factors": "f"},
    "layernorm": {"gamma": "n", "beta": "n"},
    "rmsnorm": {"gamma": "n"},
    "batchnorm": {"gamma": "n", "beta": "n", "mean": "n", "var": "n"},
    "groupnorm": {"gamma": "n", "beta": "n"},
    "instancenorm": {"gamma": "n", "beta": "n"},
    "prelu": {"slope": ""},
    "embedding": {"table": "vd"},
    "swiglu": {"Wg": "mi", "Wu": "mi", "Wd": "im", "bg": "m", "bu": "m", "bd": "i"},
}
"""The weight slots of an operation in their order, each with its axes in canonical order."""
