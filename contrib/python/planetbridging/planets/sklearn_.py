"""scikit-learn: MLPClassifier, MLPRegressor, and pipelines of StandardScaler in front of them.

There is no graph to trace: `Pipeline.steps` is the order, fitted attributes are the weights.
`coefs_[n]` is always [in, out]; all arrays keep the dtype of the data the model was fitted on.
"""

from __future__ import annotations

import numpy as np

from ..graph import Builder, BridgeError, Graph, bind_inputs
from . import installed_version
from .signature import one_line

MODULE = "sklearn"
VERSIONS = {"sklearn": ["1.9"]}

ACTIVATIONS = {"identity": None, "logistic": "sigmoid", "tanh": "tanh", "relu": "relu"}
SUPPORTED = ["MLPClassifier", "MLPRegressor (identity output)", "StandardScaler",
             "Pipeline of these"]


def owns(obj) -> bool:
    """Whether `obj` is a scikit-learn estimator (a fitted one or not, a pipeline included)."""
    from sklearn.base import BaseEstimator

    return isinstance(obj, BaseEstimator)


def emit(obj, *, example=None, name=None) -> Graph:
    """The fitted estimator as a graph: input "x" [batch, features], output "y".

    "y" is `predict_proba` of a classifier, `predict` of a regressor, `transform` of scalers alone.
    """
    versions = {package: installed_version(package) for package in ("sklearn", "numpy")}
    builder = Builder("sklearn", versions, name or type(obj).__name__.lower(), SUPPORTED)
    tensor = builder.input("x", "float32", ["batch", width(obj)])
    names = builder.reserve(["y"])
    *scalers, (last_path, last) = list(steps(obj)) or [("", obj)]
    for path, step in scalers:
        tensor = _emit_scaler(builder, tensor, path, step)
    if is_mlp(last):
        tensor = _emit_mlp(builder, tensor, last_path, last)
    else:
        tensor = _emit_scaler(builder, tensor, last_path, last)
    graph = builder.finish([tensor], names)
    graph.labels = class_labels(last)
    return graph


def native(obj, inputs) -> dict[str, np.ndarray]:
    """What scikit-learn itself answers for inputs {"x": [batch, features]}, as {"y": ...}."""
    x = bind_inputs(["x"], inputs)["x"]
    for method in ("predict_proba", "predict", "transform"):
        if hasattr(obj, method):
            return {"y": np.asarray(_answer(obj, method, x))}
    raise BridgeError(f"{type(obj).__name__} has none of predict_proba, predict, transform")


def _answer(obj, method: str, x):
    try:
        return getattr(obj, method)(x)
    except (TypeError, ValueError) as error:  # what scikit-learn says of inputs that do not fit
        raise BridgeError(f"{type(obj).__name__} cannot run these inputs: {one_line(error)}") \
            from error


def load_trusted(path: str):
    """The estimator in a pickle or joblib file.  Loading runs whatever code the file holds."""
    import joblib

    try:
        return joblib.load(path)
    except OSError:
        raise
    except Exception as error:  # a file may be wrong in any way
        raise BridgeError(f"{path}: cannot be loaded: {one_line(error)}") from error


def steps(obj, prefix=""):
    """(path, estimator) in order of execution, nested pipelines opened, "passthrough" left out."""
    from sklearn.pipeline import Pipeline

    if not isinstance(obj, Pipeline):
        yield prefix, obj
        return
    for step_name, step in obj.steps:
        if step is not None and step != "passthrough":
            yield from steps(step, f"{prefix}.{step_name}" if prefix else step_name)


def width(obj) -> int:
    """Number of features that the fitted estimator takes, or BridgeError if it is not fitted."""
    for _, step in steps(obj):
        if hasattr(step, "n_features_in_"):
            return int(step.n_features_in_)
        raise BridgeError(f"{type(step).__name__} is not fitted: call fit before emitting it")
    raise BridgeError("the pipeline has no steps")


def is_mlp(step) -> bool:
    """Whether `step` is a multi-layer perceptron."""
    from sklearn.neural_network import MLPClassifier, MLPRegressor

    return isinstance(step, (MLPClassifier, MLPRegressor))


def class_labels(step) -> list | None:
    """The labels behind the columns of `predict_proba`, or None if there are none."""
    labels = getattr(step, "classes_", None)
    return None if labels is None else [np.asarray(label).tolist() for label in labels]


def _emit_scaler(builder: Builder, x: str, path: str, step) -> str:
    """(x - mean) / scale with the parts that the scaler has, as constant, sub and div nodes."""
    from sklearn.preprocessing import StandardScaler

    if not isinstance(step, StandardScaler):
        builder.refuse(path or "the estimator", type(step).__name__, "not a word of the stream")
        return x
    prefix = path or "scaler"
    for on, op, attribute in ((step.with_mean, "sub", "mean_"), (step.with_std, "div", "scale_")):
        if on:
            value = builder.constant(f"{prefix}.{attribute}", getattr(step, attribute),
                                     source=_source(path, attribute))
            x = builder.node(f"{prefix}.{op}", op, [x, value])
    return x


def _emit_mlp(builder: Builder, x: str, path: str, mlp) -> str:
    """Dense layers with the hidden activation between them and `out_activation_` behind."""
    if not hasattr(mlp, "coefs_"):
        raise BridgeError(f"{type(mlp).__name__} is not fitted: call fit before emitting it")
    prefix = path or "layers"
    last = len(mlp.coefs_) - 1
    for n, (weight, bias) in enumerate(zip(mlp.coefs_, mlp.intercepts_)):
        sources = (_source(path, f"coefs_[{n}]"), _source(path, f"intercepts_[{n}]"))
        x = builder.dense(f"{prefix}.{n}", x, weight, bias, axes=("i", "o"), sources=sources)
        if n < last:
            x = _emit_activation(builder, x, f"{prefix}.{n}", mlp, mlp.activation)
    return _emit_output(builder, x, f"{prefix}.{last}", prefix, mlp)


def _emit_activation(builder: Builder, x: str, layer: str, mlp, activation: str) -> str:
    if activation not in ACTIVATIONS:
        builder.refuse(layer, type(mlp).__name__, f"activation {activation!r}")
        return x
    op = ACTIVATIONS[activation]
    return x if op is None else builder.node(f"{layer}.{op}", op, [x])


def _emit_output(builder: Builder, x: str, layer: str, prefix: str, mlp) -> str:
    """The output activation and shape of `predict_proba` or `predict`."""
    if mlp.out_activation_ == "softmax":
        return builder.node(f"{layer}.softmax", "softmax", [x], {"axis": -1})
    x = _emit_activation(builder, x, layer, mlp, mlp.out_activation_)
    if mlp.n_outputs_ > 1:
        return x
    if hasattr(mlp, "predict_proba"):
        one = builder.constant(f"{prefix}.one", np.ones(1, np.float32))
        other = builder.node(f"{prefix}.complement", "sub", [one, x])
        return builder.node(f"{prefix}.concat", "concat", [other, x], {"axis": -1})
    return builder.node(f"{prefix}.ravel", "reshape", [x], {"shape": ["batch"]})


def _source(path: str, attribute: str) -> str:
    return f"{path}.{attribute}" if path else attribute
