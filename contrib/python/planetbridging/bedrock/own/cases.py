"""Fixtures without an order in time: dense, convolutions, norms, embedding, swiglu, residual."""

from __future__ import annotations

from ...graph import Input
from ..network import Layer, Network
from .case import PLANETS, THREE, Case, chain

TWO_BATCHES = ({"batch": 3}, {"batch": 5})
LENGTHS = ({"batch": 3, "s": 7}, {"batch": 2, "s": 10})
ROWS = (1.0, 0.01, 0.1, 3.0)
"""At a scale of 1e-2 every wrong eps shows."""


def floats(*shape) -> tuple[Input, ...]:
    return (Input("x", "float32", ["batch", *shape]),)


def dense(i: int, o: int, bias: bool = True) -> dict:
    return {"in_features": i, "out_features": o, "bias": bias}


def dense_cases() -> list[Case]:
    gelu, leaky = {"approximate": "none"}, {"negative_slope": 0.01}
    runs = ({"batch": 9}, {"batch": 6})  # so many that no rectified unit is always zero
    return [
        Case(chain("square_relu", "dense", floats(6), ("a", "dense", dense(6, 6)), ("a_act", "relu", {}),
                   ("b", "dense", dense(6, 6)), ("b_act", "relu", {}), ("c", "dense", dense(6, 4))),
             runs, PLANETS),
        Case(chain("narrow_tanh", "dense", floats(11), ("a", "dense", dense(11, 5)),
                   ("a_act", "tanh", {}), ("b", "dense", dense(5, 3))), runs, PLANETS),
        Case(chain("sequence_gelu", "dense", floats("s", 7), ("a", "dense", dense(7, 9)),
                   ("a_act", "gelu", gelu), ("b", "dense", dense(9, 9, False)), ("b_act", "silu", {}),
                   ("c", "dense", dense(9, 5))), LENGTHS, (*THREE, "nnx")),
        Case(chain("tanh_gelu_softmax", "dense", floats(8), ("a", "dense", dense(8, 8)),
                   ("a_act", "gelu", {"approximate": "tanh"}), ("b", "dense", dense(8, 5)),
                   ("y", "softmax", {"axis": -1})), runs),
        Case(chain("leaky_sigmoid", "dense", floats(5), ("a", "dense", dense(5, 12)),
                   ("a_act", "leaky_relu", leaky), ("b", "dense", dense(12, 12)),
                   ("b_act", "sigmoid", {}), ("c", "dense", dense(12, 2, False))), runs),
    ]


def conv(c: int, f: int, kernel, stride=None, dilation=None, low=None, high=None, groups=1, bias=True):
    """(operation, parameters); zeros around only where said, as many behind as before unless said."""
    n = len(kernel)
    low = list(low or [0] * n)
    return f"conv{n}", {"in_channels": c, "out_channels": f, "kernel": list(kernel),
                        "stride": list(stride or [1] * n), "dilation": list(dilation or [1] * n),
                        "pad_low": low, "pad_high": list(high or low), "groups": groups, "bias": bias}


def pool(kind: str, kernel, stride=None, pad=None, **more):
    n, own = len(kernel), {"dilation": [1] * len(kernel)} if kind == "max" else {"count_pad": True}
    pad = list(pad or [0] * n)
    return f"{kind}pool{n}", {"kernel": list(kernel), "stride": list(stride or kernel), "pad_low": pad,
                              "pad_high": pad, "ceil": False, **own, **more}


FLATTEN = ("flatten", "flatten", {"start": 1, "end": -1})


def cnn1_cases() -> list[Case]:
    return [
        Case(chain("length_free", "cnn1", floats(4, "s"), ("a", *conv(4, 6, [3], low=[1])),
                   ("a_act", "relu", {}), ("b", *conv(6, 3, [4], low=[1], high=[2]))), LENGTHS),
        Case(chain("grouped_stride", "cnn1", floats(4, 13), ("a", *conv(4, 6, [5], [2], low=[2], groups=2)),
                   ("a_act", "tanh", {}), ("b", *conv(6, 5, [3], bias=False))), TWO_BATCHES),
        Case(chain("dilated_flatten", "cnn1", floats(3, 12),
                   ("a", *conv(3, 4, [3], dilation=[2], low=[2])), ("a_act", "relu", {}),
                   ("pool", *pool("max", [2])), FLATTEN, ("d", "dense", dense(24, 5))), TWO_BATCHES),
        Case(chain("averaged", "cnn1", floats(2, 11), ("pool", *pool("avg", [3], [2], [1])),
                   ("a", *conv(2, 5, [2])), ("g", "global_avgpool", {"spatial": 1}), FLATTEN,
                   ("d", "dense", dense(5, 3))), TWO_BATCHES, (*THREE, "nnx")),
    ]


def cnn2_cases() -> list[Case]:
    return [
        Case(chain("oblong", "cnn2", floats(3, 7, 9),
                   ("a", *conv(3, 5, [2, 3], [1, 2], low=[1, 0])), ("a_act", "relu", {}),
                   ("b", *conv(5, 2, [3, 1], dilation=[2, 1]))), TWO_BATCHES),
        Case(chain("square_flatten", "cnn2", floats(2, 6, 5), ("a", *conv(2, 3, [3, 3], low=[1, 1])),
                   ("a_act", "relu", {}), ("pool", *pool("max", [2, 2])), FLATTEN,
                   ("d", "dense", dense(18, 4))), TWO_BATCHES, (*THREE, "nnx")),
        Case(chain("grouped_same", "cnn2", floats(4, "s", 6),
                   ("a", *conv(4, 4, [2, 4], low=[0, 1], high=[1, 2], groups=2)),
                   ("a_act", "silu", {}), ("b", *conv(4, 4, [2, 2]))), LENGTHS),
        Case(chain("averaged", "cnn2", floats(3, 5, 8),
                   ("a", *conv(3, 3, [3, 2], bias=False)), ("pool", *pool("avg", [3, 3], [1, 2], [1, 1])),
                   ("g", "global_maxpool", {"spatial": 2}), FLATTEN, ("d", "dense", dense(3, 3))),
             TWO_BATCHES),
    ]


def cnn3_cases() -> list[Case]:
    return [
        Case(chain("oblong", "cnn3", floats(2, 4, 5, 6),
                   ("a", *conv(2, 3, [1, 2, 3], [1, 1, 2], low=[0, 1, 0])), ("a_act", "tanh", {}),
                   ("b", *conv(3, 2, [2, 1, 1]))), TWO_BATCHES),
        Case(chain("cube_flatten", "cnn3", floats(2, 4, 3, 5), ("a", *conv(2, 3, [2, 2, 2])),
                   ("a_act", "relu", {}), FLATTEN, ("d", "dense", dense(72, 4))), TWO_BATCHES),
        # Keras on the CPU has no 3-D average in float64.
        Case(chain("averaged", "cnn3", floats(2, 4, 4, 6), ("a", *conv(2, 2, [3, 3, 3], low=[1, 1, 1])),
                   ("pool", *pool("avg", [2, 2, 3])), FLATTEN, ("d", "dense", dense(16, 3))),
             TWO_BATCHES, ("pytorch", "jax", "nnx")),
        Case(chain("dilated", "cnn3", floats(2, 5, 4, 4),
                   ("a", *conv(2, 3, [2, 1, 2], dilation=[2, 1, 1], low=[1, 0, 0])), ("a_act", "silu", {}),
                   FLATTEN, ("d", "dense", dense(180, 3))), TWO_BATCHES),
        Case(chain("depth_free", "cnn3", floats(1, "s", 3, 4), ("a", *conv(1, 4, [2, 2, 3], bias=False)),
                   ("a_act", "sigmoid", {}), ("b", *conv(4, 2, [2, 2, 2]))), LENGTHS),
    ]


def norm(op: str, dim: int, eps: float, scale: bool = True, offset: bool = True) -> dict:
    more = {"offset": offset} if op == "layernorm" else {}
    return {"dim": dim, "eps": eps, "scale": scale, **more}


def norm_cases(kind: str, epsilons: dict[str, float], unscaled: tuple) -> list[Case]:
    """A case for each planet's own eps, one of rank 2, and one without the scale."""
    cases = [Case(chain(f"eps_{name}", kind, floats("s", 6), ("y", kind, norm(kind, 6, eps))),
                  LENGTHS, (*THREE, "nnx"), ROWS) for name, eps in epsilons.items()]
    return [*cases,
            Case(chain("twice", kind, floats(9), ("a", kind, norm(kind, 9, 1e-5)),
                       ("d", "dense", dense(9, 4)), ("y", kind, norm(kind, 4, 1e-5))),
                 TWO_BATCHES, THREE, ROWS),
            Case(chain("unscaled", kind, floats("s", 5), ("y", kind, norm(kind, 5, 1e-5, False, False))),
                 LENGTHS, unscaled, ROWS)]


def embedding_cases() -> list[Case]:
    def table(v, d, outside="error"):
        return "embedding", {"vocab_size": v, "embedding_dim": d, "outside": outside, "wrap": False}
    ids, one = (Input("x", "int64", ["batch", "s"]),), (Input("x", "int64", ["batch"]),)
    sizes = ({"batch": 3, "s": 7}, {"batch": 4, "s": 5})
    return [
        Case(chain("rows", "embedding", ids, ("y", *table(11, 4))), sizes, (*THREE, "nnx")),
        Case(chain("zero_outside", "embedding", ids, ("y", *table(9, 5, "zero"))), sizes, (*THREE, "nnx")),
        Case(chain("square_dense", "embedding", ids, ("e", *table(6, 6)), ("d", "dense", dense(6, 3))),
             sizes),
        Case(chain("single", "embedding", one, ("e", *table(7, 4)),
                   ("y", "layernorm", norm("layernorm", 4, 1e-5))),
             ({"batch": 9}, {"batch": 14}), THREE),
    ]


def swiglu_cases() -> list[Case]:
    def gate(i, m, activation="silu", bias=True):
        return "swiglu", {"in_features": i, "hidden_features": m, "activation": activation, "bias": bias}
    return [
        Case(chain("narrow", "swiglu", floats("s", 5), ("y", *gate(5, 8))), LENGTHS, (*THREE, "nnx")),
        Case(chain("square", "swiglu", floats(6), ("y", *gate(6, 6, bias=False))), TWO_BATCHES),
        Case(chain("relu2", "swiglu", floats("s", 4), ("y", *gate(4, 7, "relu2"))), LENGTHS),
        Case(chain("twice", "swiglu", floats("s", 6), ("a", *gate(6, 4)), ("n", "rmsnorm",
                   norm("rmsnorm", 6, 1e-5)), ("y", *gate(6, 9, "relu2", False))), LENGTHS, (*THREE, "nnx")),
    ]


def residual_cases() -> list[Case]:
    """Sums that skip a layer: the skip of the input, of an inner tensor, over a convolution, two."""
    def net(name, inputs, *layers):
        return Network(name, "residual", tuple(inputs), tuple(Layer(*layer) for layer in layers), ("y",))
    x, skip = Input("x", "float32", ["batch", "s", 6]), Input("skip", "float32", ["batch", "s", 6])
    return [
        Case(net("two_inputs", (x, skip), ("y", "residual", ("x", "skip"))), LENGTHS, (*THREE, "nnx")),
        Case(net("over_dense", (x,), ("a", "dense", ("x",), dense(6, 6)), ("act", "tanh", ("a",)),
                 ("r", "residual", ("act", "x")), ("y", "dense", ("r",), dense(6, 4))), LENGTHS),
        Case(net("nested", (x,), ("n", "layernorm", ("x",), norm("layernorm", 6, 1e-5)),
                 ("a", "dense", ("n",), dense(6, 6)), ("r", "residual", ("a", "x")),
                 ("m", "rmsnorm", ("r",), norm("rmsnorm", 6, 1e-5)),
                 ("b", "dense", ("m",), dense(6, 6, False)), ("y", "residual", ("b", "r"))), LENGTHS),
        Case(net("over_conv", floats(3, 5, 6), ("a", conv(3, 3, [3, 3], low=[1, 1])[0], ("x",),
                                               conv(3, 3, [3, 3], low=[1, 1])[1]),
                 ("act", "relu", ("a",)), ("r", "residual", ("act", "x")),
                 ("f", "flatten", ("r",), {"start": 1, "end": -1}),
                 ("y", "dense", ("f",), dense(90, 3))), TWO_BATCHES, (*THREE, "nnx")),
    ]


EPS = {"layernorm": {"pytorch": 1e-5, "keras": 1e-3, "flax": 1e-6},
       "rmsnorm": {"pytorch": 2.0 ** -23, "keras": 1e-6, "loom": 1e-5}}
"""The frameworks' own, and Loom's."""


def of(kind: str) -> list[Case]:
    """The fixtures of a kind that this module has."""
    makers = {"dense": dense_cases, "cnn1": cnn1_cases, "cnn2": cnn2_cases, "cnn3": cnn3_cases,
              "embedding": embedding_cases, "swiglu": swiglu_cases, "residual": residual_cases}
    return makers[kind]() if kind in makers else norm_cases(kind, EPS[kind], THREE)
