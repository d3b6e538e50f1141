"""What scikit-learn's transformers compute, and how estimators are made of others."""

from __future__ import annotations

import numpy as np

from ..graph import Builder, BridgeError
from .sklearn_models import MODELS


class Walk:
    """Emits estimators into `builder`; `taps` has the tensors that scikit-learn can show, each with
    the function of the network's input that computes it."""

    def __init__(self, builder: Builder):
        self.builder = builder
        self.taps: list = []
        self.before = lambda x: x

    def emit(self, path: str, step, x: str, wide: int) -> tuple[str, int]:
        """Emit an estimator for a tensor [batch, wide]: (its answer, that one's width)."""
        kind = type(step).__name__
        # A class of the user's may compute something else under the same attributes.
        if kind not in EMITTERS or not type(step).__module__.startswith("sklearn."):
            self.builder.refuse(path or "the estimator", kind, "not a word of the stream")
            return x, wide
        if kind not in COMPOSED and not hasattr(step, "n_features_in_"):
            raise BridgeError(f"{type(step).__name__} is not fitted: call fit before emitting it")
        return EMITTERS[kind](self, path, step, x, wide)

    def tap(self, tensor: str, function) -> None:
        """Note what computes a tensor from what the estimator at hand is given."""
        before = self.before
        self.taps.append((tensor, lambda x: function(before(x))))

    def after(self, function) -> None:
        """What follows is given what `function` makes."""
        before = self.before
        self.before = lambda x: function(before(x))

    def inside(self, select):
        """A walk for a part that is given other columns of the same data."""
        part = Walk(self.builder)
        part.taps = self.taps
        before = self.before
        part.before = lambda x: select(before(x))
        return part

    def values(self, path: str, attribute: str, array) -> str:
        """A constant that holds a fitted attribute."""
        name = f"{path}.{attribute}" if path else attribute
        return self.builder.constant(name, self.builder.origin(name, np.asarray(array)), source=name)

    def node(self, path: str, op: str, inputs: list, params=None) -> str:
        return self.builder.node(f"{path}.{op}" if path else op, op, inputs, params)


def pipeline(walk: Walk, path: str, step, x: str, wide: int):
    """The steps in order; "passthrough" is nothing."""
    before = walk.before
    for name, part in step.steps:
        if part is None or part == "passthrough":
            continue
        x, wide = walk.emit(f"{path}.{name}" if path else name, part, x, wide)
        if hasattr(part, "transform"):
            walk.after(part.transform)
    walk.before = before
    return x, wide


def columns(walk: Walk, path: str, step, x: str, wide: int):
    """ColumnTransformer: each part has its columns, and the results stand side by side."""
    parts, widths = [], []
    for name, part, chosen in step.transformers_:
        places = _places(chosen, wide)
        if part == "drop" or not places:
            continue
        inner = f"{path}.{name}" if path else name
        index = walk.builder.constant(f"{inner}.columns", np.asarray(places, np.int64))
        taken = walk.node(inner, "gather", [x, index], {"axis": 1})
        made = (taken, len(places)) if part == "passthrough" else walk.inside(
            lambda data, places=places: data[:, places]).emit(inner, part, taken, len(places))
        parts.append(_weighted(walk, inner, made[0], (step.transformer_weights or {}).get(name)))
        widths.append(made[1])
    if not parts:
        walk.builder.refuse(path or "the estimator", type(step).__name__, "no columns are left")
        return x, wide
    if len(parts) == 1:
        return parts[0], widths[0]
    name = walk.node(path, "concat", parts, {"axis": 1})
    walk.tap(name, step.transform)
    return name, sum(widths)


def _weighted(walk: Walk, path: str, x: str, weight) -> str:
    if weight is None:
        return x
    number = walk.builder.constant(f"{path}.weight", np.float32(weight))
    return walk.node(path, "mul", [x, number])


def _places(chosen, wide: int) -> list[int]:
    """Columns by number: a slice, a mask, one number, or a list of them."""
    if isinstance(chosen, (int, np.integer)):
        return [int(chosen) % wide]
    if isinstance(chosen, slice):
        return list(range(wide))[chosen]
    chosen = np.asarray(chosen)
    if chosen.dtype == bool:
        return np.flatnonzero(chosen).tolist()
    if chosen.size and chosen.dtype.kind not in "iu":
        raise BridgeError("ColumnTransformer was fitted with names of columns: fit it on arrays")
    return [int(place) % wide for place in chosen.reshape(-1)]


def target(walk: Walk, path: str, step, x: str, wide: int):
    """TransformedTargetRegressor: the regressor, then its targets turned back."""
    inner = f"{path}.regressor" if path else "regressor"
    y, count = walk.emit(inner, step.regressor_, x, wide)
    y = _turned_back(walk, f"{path}.transformer" if path else "transformer", step.transformer_, y)
    if count == 1 and step._training_dim == 2:  # one column is a row within, and one again behind
        y = walk.node(path, "reshape", [y], {"shape": ["batch", 1]})
    return y, count


def _turned_back(walk: Walk, path: str, transformer, y: str) -> str:
    """The inverse of what the targets went through."""
    kind = type(transformer).__name__
    if kind == "FunctionTransformer":
        return _applied(walk, path, transformer, transformer.inverse_func, y,
                        transformer.inv_kw_args)
    if kind not in INVERSES:
        walk.builder.refuse(path, kind, "an inverse that is not a word of the stream")
        return y
    return INVERSES[kind](walk, path, transformer, y)


FUNCTIONS = {np.exp: "exp", np.expm1: "expm1", np.log: "log", np.log1p: "log1p", np.sqrt: "sqrt",
             np.abs: "abs", np.sin: "sin", np.cos: "cos", np.tanh: "tanh", np.square: "mul"}


def function(walk: Walk, path: str, step, x: str, wide: int):
    """FunctionTransformer of a function of NumPy's."""
    made = _applied(walk, path or "function", step, step.func, x, step.kw_args)
    if made != x:
        walk.tap(made, step.transform)
    return made, wide


def _applied(walk: Walk, path: str, step, wanted, x: str, options) -> str:
    """A function of each element, None for none; one that is given more than x is refused."""
    if wanted is None:
        return x
    op = FUNCTIONS.get(wanted)
    if op is None or options:
        name = getattr(wanted, "__name__", type(wanted).__name__)
        told = f" with {', '.join(options)}" if options else ""
        walk.builder.refuse(path, type(step).__name__, f"the function {name}{told}")
        return x
    return walk.node(path, op, [x, x] if op == "mul" else [x])


def standard(walk: Walk, path: str, step, x: str, wide: int):
    """(x - mean) / scale, the parts of it that the scaler has."""
    return _shifted(walk, path, step, x, wide, (
        (step.with_mean, "sub", "mean_"), (step.with_std, "div", "scale_")))


def robust(walk: Walk, path: str, step, x: str, wide: int):
    """(x - center) / scale, the parts of it that the scaler has."""
    return _shifted(walk, path, step, x, wide, (
        (step.with_centering, "sub", "center_"), (step.with_scaling, "div", "scale_")))


def max_abs(walk: Walk, path: str, step, x: str, wide: int):
    """x / scale"""
    return _shifted(walk, path, step, x, wide, ((True, "div", "scale_"),))


def _shifted(walk: Walk, path: str, step, x: str, wide: int, parts):
    path = path or "scaler"
    for on, op, attribute in parts:
        if on:
            value = walk.values(path, attribute, getattr(step, attribute))
            x = walk.node(path, op, [x, value])
    if any(on for on, _, _ in parts):
        walk.tap(x, step.transform)
    return x, wide


def min_max(walk: Walk, path: str, step, x: str, wide: int):
    """x scale + min, kept within the range where the scaler clips."""
    path = path or "scaler"
    for op, attribute in (("mul", "scale_"), ("add", "min_")):
        x = walk.node(path, op, [x, walk.values(path, attribute, getattr(step, attribute))])
    if step.clip:
        low, high = step.feature_range
        x = walk.node(path, "clip", [x], {"min": float(low), "max": float(high)})
    walk.tap(x, step.transform)
    return x, wide


def pca(walk: Walk, path: str, step, x: str, wide: int):
    """(x - mean) C', and with `whiten` each column over its deviation."""
    prefix = path or "pca"
    if getattr(step, "mean_", None) is not None:
        x = walk.node(prefix, "sub", [x, walk.values(path, "mean_", step.mean_)])
    name = f"{path}.components_" if path else "components_"
    weight = walk.builder.origin(name, step.components_)
    x = walk.builder.dense(prefix, x, weight, axes=("o", "i"), sources=(name, ""))
    if getattr(step, "whiten", False):
        scale = np.sqrt(step.explained_variance_)
        least = np.finfo(scale.dtype).eps
        scale = np.where(scale < least, least, scale)
        name = walk.builder.constant(f"{prefix}.deviation", scale,
                                     source="square root of explained_variance_")
        x = walk.node(prefix, "div", [x, name])
    walk.tap(x, step.transform)
    return x, len(weight)


def normalizer(walk: Walk, path: str, step, x: str, wide: int):
    """x over its norm along a row; a row that is as good as zero stays, as scikit-learn has it."""
    path, rows = path or "normalizer", {"axes": [-1], "keepdims": True}
    if step.norm == "l2":
        size = walk.node(path, "sum", [walk.node(path, "mul", [x, x])], rows)
        size = walk.node(path, "sqrt", [size])
    else:
        size = walk.node(path, "sum" if step.norm == "l1" else "max",
                         [walk.node(path, "abs", [x])], rows)
    least, one = (walk.builder.constant(f"{path}.{word}", np.float32(n)) for word, n in
                  (("least", 10 * np.finfo(np.float32).eps), ("one", 1)))
    size = walk.node(path, "where", [walk.node(path, "less", [size, least]), one, size])
    x = walk.node(path, "div", [x, size])
    walk.tap(x, step.transform)
    return x, wide


def kmeans(walk: Walk, path: str, step, x: str, wide: int):
    """The distance to each centre, from the differences themselves."""
    path, centers = path or "kmeans", step.cluster_centers_
    rows = walk.node(path, "unsqueeze", [x], {"axes": [1]})
    away = walk.node(path, "sub", [rows, walk.values(path, "cluster_centers_", centers)])
    total = walk.node(path, "sum", [walk.node(path, "mul", [away, away])],
                      {"axes": [-1], "keepdims": False})
    name = walk.node(path, "sqrt", [total])
    walk.tap(name, step.transform)
    return name, len(centers)


def _inverse_standard(walk: Walk, path: str, step, y: str) -> str:
    parts = ((step.with_std, "mul", "scale_"), (step.with_mean, "add", "mean_"))
    return _inverse_shift(walk, path, step, y, parts)


def _inverse_robust(walk: Walk, path: str, step, y: str) -> str:
    parts = ((step.with_scaling, "mul", "scale_"), (step.with_centering, "add", "center_"))
    return _inverse_shift(walk, path, step, y, parts)


def _inverse_min_max(walk: Walk, path: str, step, y: str) -> str:
    return _inverse_shift(walk, path, step, y, ((True, "sub", "min_"), (True, "div", "scale_")))


def _inverse_max_abs(walk: Walk, path: str, step, y: str) -> str:
    return _inverse_shift(walk, path, step, y, ((True, "mul", "scale_"),))


def _inverse_shift(walk: Walk, path: str, step, y: str, parts) -> str:
    for on, op, attribute in parts:
        if on:
            y = walk.node(path, op, [y, walk.values(path, attribute, getattr(step, attribute))])
    return y


INVERSES = {"StandardScaler": _inverse_standard, "RobustScaler": _inverse_robust,
            "MinMaxScaler": _inverse_min_max, "MaxAbsScaler": _inverse_max_abs}

COMPOSED = {"Pipeline", "FunctionTransformer"}
"""What may lack the mark of a fitted estimator."""

EMITTERS = {
    "Pipeline": pipeline, "ColumnTransformer": columns, "TransformedTargetRegressor": target,
    "StandardScaler": standard, "RobustScaler": robust, "MaxAbsScaler": max_abs,
    "MinMaxScaler": min_max, "PCA": pca, "IncrementalPCA": pca, "TruncatedSVD": pca,
    "Normalizer": normalizer, "FunctionTransformer": function,
    "KMeans": kmeans, "MiniBatchKMeans": kmeans, **MODELS,
}
