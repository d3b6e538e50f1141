"""PyTorch: arithmetic, comparisons, choices and activations, each against torch in float64."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")

from torch import nn  # noqa: E402
from torch.nn import functional as F  # noqa: E402

from planetbridging import emit  # noqa: E402
from torch_networks import drawn, exact, family, filled, module, operations, problems_of  # noqa: E402

SHAPES = ((3, 4, 6), (2, 5, 6))


def wide(*shapes):
    """Values from -6 to 6 in eighths, so that bounds and knees are among them."""
    rng = np.random.default_rng(7)
    return [{"x": (rng.integers(-48, 49, shape) / 8).astype(np.float32)} for shape in shapes]


ACTIVATIONS = {
    "relu6": F.relu6, "hardswish": F.hardswish, "hardsigmoid": F.hardsigmoid, "selu": F.selu,
    "elu": lambda x: F.elu(x, 0.5), "celu": lambda x: F.celu(x, 0.5), "mish": F.mish,
    "softplus": F.softplus, "softplus_2": lambda x: F.softplus(x, 2, 3), "softsign": F.softsign,
    "logsigmoid": F.logsigmoid, "hardtanh": lambda x: F.hardtanh(x, -0.5, 2),
    "tanhshrink": F.tanhshrink, "hardshrink": F.hardshrink, "softshrink": F.softshrink,
    "threshold": lambda x: F.threshold(x, 0.25, -3), "glu": lambda x: F.glu(x, -1),
    "rrelu": lambda x: F.rrelu(x, 0.125, 0.375), "log_softmax": lambda x: F.log_softmax(x, 1),
    "softmin": lambda x: F.softmin(x, -1), "gelu": F.gelu,
}


def test_activations(streamed):
    document = exact(streamed, family(ACTIVATIONS), *wide(*SHAPES))
    assert {"relu6", "hard_swish", "hard_sigmoid", "selu", "elu", "softplus", "clip", "leaky_relu",
            "mish", "log_softmax"} <= set(operations(document))
    params = {n["op"]: n["params"] for n in document.nodes}
    assert params["leaky_relu"] == {"negative_slope": 0.25}
    assert params["clip"] == {"min": -0.5, "max": 2.0}


@pytest.mark.parametrize("channels, shape", [(1, [1, 1, 1]), (5, [1, 5, 1])])
def test_slopes_of_prelu(streamed, channels, shape):
    net = filled(nn.Sequential(nn.PReLU(channels)))
    node, = exact(streamed, net, *wide((3, 5, 6), (2, 5, 4))).nodes
    assert (node["name"], node["params"]) == ("0", {"shape": shape})
    assert node["tensors"][0]["source"] == "0.weight"


ARITHMETIC = {
    "abs": torch.abs, "neg": torch.neg, "sign": torch.sign, "floor": torch.floor,
    "ceil": torch.ceil, "round": torch.round, "trunc": torch.trunc, "frac": torch.frac,
    "exp": torch.exp, "expm1": torch.expm1, "sin": torch.sin, "cos": torch.cos,
    "tan": torch.tan, "erf": torch.erf, "sqrt": lambda x: x.abs().sqrt(),
    "rsqrt": lambda x: (x.abs() + 1).rsqrt(), "log": lambda x: (x.abs() + 1).log(),
    "log1p": lambda x: x.abs().log1p(), "log2": lambda x: (x.abs() + 1).log2(),
    "log10": lambda x: (x.abs() + 1).log10(), "exp2": torch.exp2,
    "reciprocal": lambda x: (x.abs() + 1).reciprocal(), "cube": lambda x: x ** 3,
    "root": lambda x: x.abs() ** 0.5, "back": lambda x: 2 ** x,
    "powers": lambda x: (x.abs() + 1) ** x, "minus": lambda x: (x.abs() + 1) ** -0.5,
    "floor_divide": lambda x: x // 0.75, "remainder": lambda x: x % 0.75,
    "fmod": lambda x: x.fmod(0.75),
    "below": lambda x: torch.div(x, 0.75, rounding_mode="floor"),
    "toward": lambda x: torch.div(x, 0.75, rounding_mode="trunc"),
    "remainder_of": lambda x: x % (x.abs() + 0.5), "from": lambda x: 5.5 % (x.abs() + 0.5),
    "maximum": lambda x: torch.maximum(x, x * -1),
    "minimum": lambda x: torch.minimum(x, x * -1), "clamp": lambda x: x.clamp(-0.5, 1),
    "least": lambda x: x.clamp(min=0.25), "most": lambda x: x.clamp_max(0.25),
    "between": lambda x: x.clamp(x * -1, x * 2),
    "addcmul": lambda x: torch.addcmul(x, x, x + 1, value=0.5),
    "addcdiv": lambda x: torch.addcdiv(x, x, x.abs() + 1, value=0.5),
    "lerp": lambda x: torch.lerp(x, x * x, 0.25), "near": lambda x: torch.lerp(x, x * x, 0.75),
    "logaddexp": lambda x: torch.logaddexp(x, x * 2),
    "add": lambda x: torch.add(x, x, alpha=0.5),
}


def test_arithmetic(streamed):
    document = exact(streamed, family(ARITHMETIC), *wide(*SHAPES))
    assert {"abs", "neg", "sign", "floor", "ceil", "round", "pow", "sqrt", "rsqrt", "reciprocal",
            "remainder", "floor_divide", "maximum", "minimum", "clip"} <= set(operations(document))


CHOICES = {
    "equal": lambda x: x == x.floor(), "unequal": lambda x: x != 0.5,
    "less": lambda x: x < x * x, "most": lambda x: x <= 0.5, "more": lambda x: x > 0.5,
    "least": lambda x: x >= x * x, "and": lambda x: (x > 0) & (x < 2),
    "or": lambda x: torch.logical_or(x, x > 2), "xor": lambda x: (x > 0) ^ (x < 2),
    "not": lambda x: ~(x > 0), "logical_not": lambda x: torch.logical_not(x),
    "where": lambda x: torch.where(x > 0, x, x * 2),
    "number": lambda x: torch.where(x > 0, x, 0.0),
    "numbers": lambda x: torch.where(x > 0, 1.0, -1.0),
    "masked_fill": lambda x: x.masked_fill(x > 1, -torch.inf),
    "bools": lambda x: (x > 0) * (x < 2), "isfinite": lambda x: torch.isfinite(x / x.floor()),
    "isnan": lambda x: torch.isnan(x.floor() / x.floor()),
    "isinf": lambda x: torch.isinf(1 / x.floor()), "count": lambda x: (x > 0).long() + (x > 1),
    "float": lambda x: (x > 0).float() * x, "long": lambda x: x.long() * 2,
    "mixed": lambda x: x.long() + x, "ratio": lambda x: x.long() / 4,
    "truth": lambda x: x.bool(), "nan_to_num": lambda x: torch.nan_to_num(x),
}


@pytest.mark.filterwarnings("ignore:divide by zero:RuntimeWarning", "ignore:invalid:RuntimeWarning")
def test_comparisons_and_choices(streamed):
    document = exact(streamed, family(CHOICES), *wide(*SHAPES))
    assert {"equal", "not_equal", "less", "less_equal", "greater", "greater_equal", "and", "or", "not",
            "where", "cast"} <= set(operations(document))


def test_special_values_are_kept_or_replaced(streamed):
    x = np.array([[np.nan, np.inf, -np.inf, 1.5, -0.0, 0.0]], np.float32)
    net = module(lambda s, x: {"num": torch.nan_to_num(x, 2.0, 3.0, -4.0), "nan": torch.isnan(x),
                               "inf": torch.isinf(x), "finite": torch.isfinite(x)})
    exact(streamed, net, {"x": x})


INTEGERS = {
    "add": lambda x: x + 2, "sub": lambda x: x - x // 2, "mul": lambda x: x * x,
    "neg": lambda x: -x, "abs": lambda x: x.abs(), "sign": lambda x: x.sign(),
    "mod": lambda x: x % 3, "divide": lambda x: torch.div(x, 3, rounding_mode="floor"),
    "clamp": lambda x: x.clamp(-1, 2), "largest": lambda x: torch.maximum(x, x * 0),
    "half": lambda x: x / 2, "square": lambda x: x ** 2, "root": lambda x: x.abs().sqrt(),
    "shifted": lambda x: x * 0.5, "floor": lambda x: x.floor(), "less": lambda x: x < 2,
    "mixed": lambda x: x > 0.5, "where": lambda x: torch.where(x > 0, x, 7),
    "hundred": lambda x: x.masked_fill(x == 1, -100),
}


def test_integers_stay_integers(streamed):
    inputs = [{"x": np.random.default_rng(n).integers(-9, 9, (n, 5))} for n in (3, 4)]
    document = exact(streamed, family(INTEGERS), *inputs)
    assert document.head["inputs"][0]["dtype"] == "int64"


def test_sizes_are_operands(streamed):
    def forward(s, x):
        n, m = x.shape[0], x.shape[1]
        return x * n, x / m**0.5, x + (n / m), x.sum(1) / m, x // (m - 1), torch.full((n,), m)
    document = exact(streamed, module(forward), *drawn((3, 4), (2, 16)))
    sizes = [n["params"]["of"] for n in document.nodes if n["op"] == "size"]
    assert ["batch"] in sizes and ["d1"] in sizes and ["d1-1"] in sizes


def test_what_arithmetic_cannot_say():
    def forward(s, x):
        i = x.long()
        return (i ** 3, i & 6, torch.atan2(x, x), x.double() * 2, torch.round(x, decimals=1),
                torch.div(i, 2, rounding_mode="trunc"))
    assert problems_of(module(forward), drawn((3, 4))[0]) == [
        ("the model", "Net", "aten.pow.Tensor_Scalar with integers and exponent 3"),
        ("the model", "Net", "aten.__and__.Scalar with bits of integers"),
        ("the model", "Net", "aten.atan2"),
        ("the model", "Net", "aten._to_copy with a conversion to torch.float64"),
        ("the model", "Net", "aten.round.decimals"),
        ("the model", "Net", "aten.div.Tensor_mode with rounding_mode='trunc' of int64")]


def test_random_numbers_are_no_constants():
    found = problems_of(module(lambda s, x: x + torch.rand(4) + torch.randn_like(x)), drawn((3, 4))[0])
    assert found == [("the model", "Net", "aten.rand"), ("the model", "Net", "aten.randn_like")]


def test_float64_beside_float32_is_refused():
    net = module(lambda s, x: x * s.scale + s.shift, scale=nn.Parameter(torch.ones(4)),
                 shift=torch.ones(4, dtype=torch.float64))
    assert problems_of(net, drawn((3, 4))[0]) == [
        ("the model", "Net", "aten.add.Tensor with float32 and float64")]


def test_one_cast_serves_all_who_read_it():
    graph = emit(module(lambda s, x, i: x + i + x * i), example={
        "x": np.ones((3, 4), np.float32), "i": np.ones((3, 4), np.int64)})
    assert [node.op for node in graph.nodes].count("cast") == 1
