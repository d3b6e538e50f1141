"""Operations that the stream has no word of their own for, written in words that it has.

Each takes (builder, wanted, tensor names, ...) and returns the name of the result; `wanted` is the
name that the result would like, and what the parts are called after.  A shape is a list of
dimensions: sizes, names, or expressions.  `COMPOSITIONS` is the table of them.
"""

from __future__ import annotations

import string

import numpy as np

from .graph import Builder

Dim = int | str


def times(*dims: Dim) -> Dim:
    """The product of dimensions: a size, or an expression."""
    size = 1
    names = []
    for dim in dims:
        if isinstance(dim, int):
            size *= dim
        else:
            names.append(dim if dim.isidentifier() else f"({dim})")
    if not names or size == 0:
        return size
    return "*".join(names if size == 1 else [str(size), *names])


def plus(a: Dim, b: Dim) -> Dim:
    """The sum of two dimensions."""
    if isinstance(a, int) and isinstance(b, int):
        return a + b
    if b == 0 or a == 0:
        return a if b == 0 else b
    return f"{a}+{b}" if isinstance(b, str) or b > 0 else f"{a}-{-b}"


def number(b: Builder, wanted: str, value, dtype=np.float32) -> str:
    """A constant scalar."""
    return b.constant(f"{wanted}.number", np.asarray(value, dtype))


def count(b: Builder, wanted: str, dim: Dim, less: int = 0) -> str:
    """`dim` - `less` as a float32 scalar."""
    if isinstance(dim, int):
        return number(b, wanted, dim - less)
    size = b.node(f"{wanted}.size", "size", [], {"of": [plus(dim, -less)]})
    return b.node(f"{wanted}.count", "cast", [size], {"to": "float32"})


def arange(b: Builder, wanted: str, dim: Dim) -> str:
    """int64 [dim]: 0, 1, 2, ..."""
    return b.node(wanted, "arange", [], {"start": [0], "stop": [dim], "step": 1})


def full(b: Builder, wanted: str, value, shape: list[Dim], dtype=np.float32) -> str:
    """A tensor of `shape` that is `value` everywhere."""
    scalar = number(b, wanted, value, dtype)
    return b.node(wanted, "expand", [scalar], {"shape": list(shape)})


def stack(b: Builder, wanted: str, xs: list[str], axis: int) -> str:
    """The tensors side by side along a new axis of the result."""
    parts = [b.node(f"{wanted}.{n}", "unsqueeze", [x], {"axes": [axis]}) for n, x in enumerate(xs)]
    return b.node(wanted, "concat", parts, {"axis": axis})


def cut(b: Builder, wanted: str, x: str, axis: int, start: Dim, stop: Dim, step: int = 1) -> str:
    """x[start:stop:step] along one axis; nothing is clipped."""
    return b.node(wanted, "slice", [x], {"axes": [axis], "starts": [start], "stops": [stop],
                                         "steps": [step]})


def roll(b: Builder, wanted: str, x: str, shifts: list[int], axes: list[int],
         shape: list[Dim]) -> str:
    """Elements moved up by `shifts` along `axes`, those past the end to the start.

    Along an axis of symbolic extent the shift's size may be at most that extent.
    """
    for n, (shift, axis) in enumerate(zip(shifts, axes)):
        extent = shape[axis]
        if isinstance(extent, int):
            shift %= max(extent, 1)
        if shift == 0:
            continue
        middle = plus(extent, -shift) if shift > 0 else -shift
        parts = [cut(b, f"{wanted}.{n}_{word}", x, axis, *ends) for word, ends in
                 (("end", (middle, extent)), ("start", (0, middle)))]
        x = b.node(wanted if n == len(axes) - 1 else f"{wanted}.{n}", "concat", parts,
                   {"axis": axis})
    return x


def flip(b: Builder, wanted: str, x: str, axes: list[int], shape: list[Dim]) -> str:
    """The elements in opposite order along each of `axes`."""
    for n, axis in enumerate(axes):
        extent, name = shape[axis], f"{wanted}.{n}"
        if isinstance(extent, int):
            index = b.constant(f"{name}.index", np.arange(extent, dtype=np.int64)[::-1])
        else:
            last = b.node(f"{name}.last", "size", [], {"of": [plus(extent, -1)]})
            index = b.node(f"{name}.index", "sub", [last, arange(b, f"{name}.arange", extent)])
        x = b.node(wanted if n == len(axes) - 1 else name, "gather", [x, index], {"axis": axis})
    return x


def tile(b: Builder, wanted: str, x: str, repeats: list[Dim], shape: list[Dim]) -> str:
    """The whole of x, `repeats` times along each axis; more repeats than axes add axes in front."""
    shape = [1] * (len(repeats) - len(shape)) + list(shape)
    repeats = [1] * (len(shape) - len(repeats)) + list(repeats)
    pairs = [size for pair in zip(repeats, shape) for size in pair]
    spread = [1 if n % 2 == 0 else size for n, size in enumerate(pairs)]
    x = b.node(f"{wanted}.apart", "reshape", [x], {"shape": spread})
    x = b.node(f"{wanted}.spread", "expand", [x], {"shape": pairs})
    return b.node(wanted, "reshape", [x], {"shape": [times(*p) for p in zip(repeats, shape)]})


def repeat(b: Builder, wanted: str, x: str, repeats: int, axis: int, shape: list[Dim]) -> str:
    """Each element `repeats` times in a row along one axis, as np.repeat and repeat_interleave."""
    axis %= len(shape)
    apart = b.node(f"{wanted}.apart", "unsqueeze", [x], {"axes": [axis + 1]})
    wide = [*shape[:axis + 1], repeats, *shape[axis + 1:]]
    spread = b.node(f"{wanted}.spread", "expand", [apart], {"shape": wide})
    result = [*shape[:axis], times(shape[axis], repeats), *shape[axis + 1:]]
    return b.node(wanted, "reshape", [spread], {"shape": result})


def masked_fill(b: Builder, wanted: str, x: str, mask: str, value, dtype=np.float32) -> str:
    """x, but `value` where the mask (bool, broadcasting to x) is true."""
    return b.node(wanted, "where", [mask, number(b, wanted, value, dtype), x])


def one_hot(b: Builder, wanted: str, ids: str, classes: int) -> str:
    """float32 [..., classes] with 1 at each id; an id outside gives zeros."""
    wide = b.node(f"{wanted}.ids", "unsqueeze", [ids], {"axes": [-1]})
    known = b.constant(f"{wanted}.classes", np.arange(classes, dtype=np.int64))
    hit = b.node(f"{wanted}.equal", "equal", [wide, known])
    return b.node(wanted, "cast", [hit], {"to": "float32"})


def triangle(b: Builder, wanted: str, rows: Dim, columns: Dim, diagonal: int, lower: bool) -> str:
    """bool [rows, columns]: column - row <= diagonal (`lower`), or >= it."""
    row = b.node(f"{wanted}.row", "unsqueeze", [arange(b, f"{wanted}.rows", rows)], {"axes": [1]})
    if diagonal:
        row = b.node(f"{wanted}.diagonal", "add", [row, number(b, wanted, diagonal, np.int64)])
    op = "less_equal" if lower else "greater_equal"
    return b.node(wanted, op, [arange(b, f"{wanted}.columns", columns), row])


def tri(b: Builder, wanted: str, x: str, zero: str, shape: list[Dim], diagonal: int,
        lower: bool) -> str:
    """x within the triangle of its last two axes (tril, triu), the scalar `zero` outside."""
    inside = triangle(b, f"{wanted}.mask", shape[-2], shape[-1], diagonal, lower)
    return b.node(wanted, "where", [inside, x, zero])


def softsign(b: Builder, wanted: str, x: str) -> str:
    """x / (1 + |x|)"""
    size = b.node(f"{wanted}.abs", "abs", [x])
    below = b.node(f"{wanted}.add", "add", [size, number(b, wanted, 1)])
    return b.node(wanted, "div", [x, below])


def log_sigmoid(b: Builder, wanted: str, x: str) -> str:
    """-log(1 + e^-x)"""
    minus = b.node(f"{wanted}.minus", "neg", [x])
    soft = b.node(f"{wanted}.softplus", "softplus", [minus], {"beta": 1.0, "threshold": None})
    return b.node(wanted, "neg", [soft])


def celu(b: Builder, wanted: str, x: str, alpha: float) -> str:
    """max(x, 0) + min(alpha (e^(x/alpha) - 1), 0)"""
    scaled = b.node(f"{wanted}.div", "div", [x, number(b, wanted, alpha)])
    unit = b.node(f"{wanted}.elu", "elu", [scaled], {"alpha": 1.0})
    return b.node(wanted, "mul", [unit, number(b, wanted, alpha)])


def hard_tanh(b: Builder, wanted: str, x: str, low: float = -1.0, high: float = 1.0) -> str:
    """x between `low` and `high`"""
    return b.node(wanted, "clip", [x], {"min": float(low), "max": float(high)})


def glu(b: Builder, wanted: str, x: str, axis: int, extent: int) -> str:
    """The first half along an axis times the sigmoid of the second."""
    halves = b.reserve([f"{wanted}.value", f"{wanted}.gate"])
    b.put(b.unique(f"{wanted}.split"), "split", [x], {"axis": axis, "sizes": [extent // 2] * 2}, (),
          halves)
    return b.node(wanted, "mul", [halves[0], b.node(f"{wanted}.sigmoid", "sigmoid", halves[1:])])


def square(b: Builder, wanted: str, x: str) -> str:
    """x x"""
    return b.node(wanted, "mul", [x, x])


def l2_norm(b: Builder, wanted: str, x: str, axes: list[int], keepdims: bool) -> str:
    """sqrt(sum of x^2 along axes)"""
    total = b.node(f"{wanted}.sum", "sum", [square(b, f"{wanted}.square", x)],
                   {"axes": axes, "keepdims": keepdims})
    return b.node(wanted, "sqrt", [total])


def l2_normalize(b: Builder, wanted: str, x: str, axes: list[int], eps: float) -> str:
    """x / max(sqrt(sum of x^2 along axes), eps)"""
    norm = l2_norm(b, f"{wanted}.norm", x, axes, True)
    least = b.node(f"{wanted}.least", "clip", [norm], {"min": eps, "max": None})
    return b.node(wanted, "div", [x, least])


def variance(b: Builder, wanted: str, x: str, axes: list[int], keepdims: bool, shape: list[Dim],
             correction: int = 0) -> str:
    """sum of (x - mean)^2 / (n - correction) along axes, n being their extents' product"""
    mean = b.node(f"{wanted}.mean", "mean", [x], {"axes": axes, "keepdims": True})
    apart = b.node(f"{wanted}.centred", "sub", [x, mean])
    squares = square(b, f"{wanted}.square", apart)
    params = {"axes": axes, "keepdims": keepdims}
    if correction == 0:
        return b.node(wanted, "mean", [squares], params)
    total = b.node(f"{wanted}.sum", "sum", [squares], params)
    n = count(b, wanted, times(*(shape[axis] for axis in axes)), correction)
    return b.node(wanted, "div", [total, n])


def logsumexp(b: Builder, wanted: str, x: str, axes: list[int], keepdims: bool) -> str:
    """log(sum of e^x along axes), with the greatest x taken out before"""
    top = b.node(f"{wanted}.max", "max", [x], {"axes": axes, "keepdims": True})
    powers = b.node(f"{wanted}.exp", "exp", [b.node(f"{wanted}.sub", "sub", [x, top])])
    total = b.node(f"{wanted}.sum", "sum", [powers], {"axes": axes, "keepdims": keepdims})
    if not keepdims:
        top = b.node(f"{wanted}.top", "squeeze", [top], {"axes": axes})
    return b.node(wanted, "add", [b.node(f"{wanted}.log", "log", [total]), top])


def argmin(b: Builder, wanted: str, x: str, axis: int, keepdims: bool) -> str:
    """The lowest index of the least"""
    return b.node(wanted, "argmax", [b.node(f"{wanted}.neg", "neg", [x])],
                  {"axis": axis, "keepdims": keepdims})


def any_or_all(b: Builder, wanted: str, x: str, axes: list[int], keepdims: bool, every: bool) -> str:
    """bool: is any (or every) x along axes true?"""
    ones = b.node(f"{wanted}.cast", "cast", [x], {"to": "int64"})
    found = b.node(f"{wanted}.found", "min" if every else "max", [ones],
                   {"axes": axes, "keepdims": keepdims})
    return b.node(wanted, "cast", [found], {"to": "bool"})


def pixel_shuffle(b: Builder, wanted: str, x: str, factor: int, shape: list[Dim]) -> str:
    """[..., C r r, H, W] to [..., C, H r, W r]"""
    *lead, channels, height, width = shape
    n = len(lead)
    apart = [*lead, channels // factor**2, factor, factor, height, width]
    x = b.node(f"{wanted}.apart", "reshape", [x], {"shape": apart})
    perm = [*range(n), n, n + 3, n + 1, n + 4, n + 2]
    x = b.node(f"{wanted}.turned", "transpose", [x], {"perm": perm})
    result = [*lead, channels // factor**2, times(height, factor), times(width, factor)]
    return b.node(wanted, "reshape", [x], {"shape": result})


def pixel_unshuffle(b: Builder, wanted: str, x: str, factor: int, shape: list[Dim]) -> str:
    """[..., C, H r, W r] to [..., C r r, H, W]; H r and W r are sizes."""
    *lead, channels, height, width = shape
    n = len(lead)
    h, w = height // factor, width // factor
    x = b.node(f"{wanted}.apart", "reshape", [x],
               {"shape": [*lead, channels, h, factor, w, factor]})
    perm = [*range(n), n, n + 2, n + 4, n + 1, n + 3]
    x = b.node(f"{wanted}.turned", "transpose", [x], {"perm": perm})
    return b.node(wanted, "reshape", [x], {"shape": [*lead, channels * factor**2, h, w]})


def scatter_constant(b: Builder, wanted: str, x: str, updates: str, index, axis: int,
                     extent: int) -> str:
    """x with x[index[n]] = updates[n] along one axis, `index` known; the last of equal ones stays."""
    source = np.arange(extent, dtype=np.int64)
    for n, at in enumerate(np.asarray(index).reshape(-1)):
        source[int(at)] = extent + n
    both = b.node(f"{wanted}.both", "concat", [x, updates], {"axis": axis})
    return b.node(wanted, "gather", [both, b.constant(f"{wanted}.source", source)], {"axis": axis})


def index_many(b: Builder, wanted: str, x: str, indices: list[str], axis: int,
               shape: list[Dim]) -> str:
    """x[..., i, j, ...] with an int64 tensor for each axis from `axis` on, which broadcast.

    Indices count from 0.  They are joined to one place among the axes taken together.
    """
    at, extents = indices[0], shape[axis:axis + len(indices)]
    for n, (index, extent) in enumerate(zip(indices[1:], extents[1:]), 1):
        if isinstance(extent, int):
            size = number(b, f"{wanted}.{n}", extent, np.int64)
        else:
            size = b.node(f"{wanted}.{n}.size", "size", [], {"of": [extent]})
        row = b.node(f"{wanted}.{n}.row", "mul", [at, size])
        at = b.node(f"{wanted}.{n}.at", "add", [row, index])
    flat = [*shape[:axis], times(*extents), *shape[axis + len(indices):]]
    x = b.node(f"{wanted}.flat", "reshape", [x], {"shape": flat})
    return b.node(wanted, "gather", [x, at], {"axis": axis})


def einsum(b: Builder, wanted: str, equation: str, xs: list[str],
           shapes: list[list[Dim]]) -> str:
    """A sum of products by letters, as np.einsum: "bhqe,bhke->bhqk"; "..." stands for lead axes.

    Operands are taken two at a time from the left.  ValueError for a letter twice in one operand,
    and for one letter with two extents.
    """
    terms, result = spelled(equation, shapes)
    sizes = {letter: size for term, shape in zip(terms, shapes) for letter, size in zip(term, shape)}
    if any(len(set(term)) != len(term) for term in terms):
        raise ValueError(f"einsum {equation} with a letter twice in one operand")
    if any(sizes[letter] != size for term, shape in zip(terms, shapes)
           for letter, size in zip(term, shape)):
        raise ValueError(f"einsum {equation} with an axis that is spread")
    x, term = xs[0], terms[0]
    for n, (other, letters) in enumerate(zip(xs[1:], terms[1:])):
        later = set(result).union(*terms[n + 2:])
        x, term = contract(b, f"{wanted}.{n}", (x, term), (other, letters), later, sizes)
    gone = [axis for axis, letter in enumerate(term) if letter not in result]
    if gone:
        x = b.node(f"{wanted}.sum", "sum", [x], {"axes": gone, "keepdims": False})
        term = [letter for letter in term if letter in result]
    return b.node(wanted, "transpose", [x], {"perm": [term.index(letter) for letter in result]})


def spelled(equation: str, shapes) -> tuple[list[list[str]], list[str]]:
    """The letters of each operand and of the result, the lead axes of "..." among them."""
    left, arrow, right = equation.replace(" ", "").partition("->")
    words = left.split(",")
    free = [c for c in string.ascii_uppercase + string.ascii_lowercase if c not in equation]
    leads = [len(shape) - len(word) + 3 if "..." in word else 0 for word, shape in zip(words, shapes)]
    lead = free[:max(leads, default=0)]
    terms = [list(word.replace("...", "".join(lead[len(lead) - n:]))) for word, n in zip(words, leads)]
    if not arrow:
        once = sorted(c for c in set(left) - set(",.") if left.count(c) == 1)
        right = ("..." if lead else "") + "".join(once)
    return terms, list(right.replace("...", "".join(lead)))


def contract(b: Builder, wanted: str, left, right, later: set, sizes: dict):
    """(name, letters) of the product of two operands, summed over letters that nothing uses later."""
    (x, a), (y, c) = (summed_out(b, f"{wanted}.{word}", side, other, later)
                      for word, side, other in (("a", left, right), ("b", right, left)))
    batch = [letter for letter in a if letter in c and letter in later]
    inner = [letter for letter in a if letter in c and letter not in later]
    rows, columns = ([letter for letter in term if letter not in other]
                     for term, other in ((a, c), (c, a)))
    x = grouped(b, f"{wanted}.a", x, a, (batch, rows, inner), sizes)
    y = grouped(b, f"{wanted}.b", y, c, (batch, inner, columns), sizes)
    made = b.node(f"{wanted}.matmul", "matmul", [x, y])
    letters = [*batch, *rows, *columns]
    shape = [sizes[letter] for letter in letters]
    return b.node(f"{wanted}.product", "reshape", [made], {"shape": shape}), letters


def summed_out(b: Builder, wanted: str, side, other, later: set):
    """An operand without the letters that it alone has and nobody uses later."""
    x, term = side
    gone = [axis for axis, c in enumerate(term) if c not in other[1] and c not in later]
    if gone:
        x = b.node(f"{wanted}.sum", "sum", [x], {"axes": gone, "keepdims": False})
    return x, [letter for axis, letter in enumerate(term) if axis not in gone]


def grouped(b: Builder, wanted: str, x: str, term, groups, sizes: dict) -> str:
    """x as [batch letters..., first group as one axis, second group as one axis]."""
    batch, first, second = groups
    order = [*batch, *first, *second]
    if order != list(term):
        x = b.node(f"{wanted}.turned", "transpose", [x], {"perm": [term.index(c) for c in order]})
    shape = [*(sizes[c] for c in batch), times(*(sizes[c] for c in first)),
             times(*(sizes[c] for c in second))]
    return b.node(f"{wanted}.grouped", "reshape", [x], {"shape": shape})


COMPOSITIONS = {
    "any_or_all": any_or_all, "argmin": argmin, "celu": celu, "einsum": einsum, "flip": flip,
    "full": full, "glu": glu, "hard_tanh": hard_tanh, "index_many": index_many, "l2_norm": l2_norm,
    "l2_normalize": l2_normalize, "log_sigmoid": log_sigmoid, "logsumexp": logsumexp,
    "masked_fill": masked_fill, "one_hot": one_hot, "pixel_shuffle": pixel_shuffle,
    "pixel_unshuffle": pixel_unshuffle, "repeat": repeat, "roll": roll,
    "scatter_constant": scatter_constant, "softsign": softsign, "stack": stack, "tile": tile,
    "tri": tri, "variance": variance,
}
"""Every composition by its name."""
