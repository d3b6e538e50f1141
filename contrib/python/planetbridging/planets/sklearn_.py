"""scikit-learn: perceptrons, linear models, scalers, PCA, distances to clusters, and what is made
of them: Pipeline, ColumnTransformer, TransformedTargetRegressor.

There is no graph to trace: `Pipeline.steps` is the order, fitted attributes are the weights (what
each estimator computes of them is in `sklearn_parts.py` and `sklearn_models.py`).  All arrays keep
the dtype of the data the model was fitted on.
"""

from __future__ import annotations

import numpy as np

from ..graph import BridgeError, Builder, Graph, UsageError, bind_inputs
from . import installed_version
from .signature import one_line

MODULE = "sklearn"
VERSIONS = {"sklearn": ["1.9"]}

SUPPORTED = ["MLPClassifier", "MLPRegressor", "LinearRegression, Ridge, Lasso, ElasticNet and "
             "other linear regressors", "LogisticRegression", "SGDClassifier and SGDRegressor",
             "LinearSVC and LinearSVR", "Perceptron", "RidgeClassifier", "StandardScaler",
             "MinMaxScaler", "MaxAbsScaler", "RobustScaler", "Normalizer", "PCA", "TruncatedSVD",
             "KMeans", "FunctionTransformer of NumPy's functions",
             "Pipeline, ColumnTransformer and TransformedTargetRegressor of these"]

METHODS = ("predict_proba", "decision_function", "predict", "transform")
"""What an estimator is asked for: the first of these that it has."""


def owns(obj) -> bool:
    """Whether `obj` is a scikit-learn estimator (a fitted one or not, a pipeline included)."""
    from sklearn.base import BaseEstimator

    return isinstance(obj, BaseEstimator)


def emit(obj, *, example=None, name=None) -> Graph:
    """The fitted estimator as a graph: input "x" [batch, features], output "y".

    "y" is what `answer` says: probabilities or decisions of a classifier, predictions of a
    regressor, `transform` of all else.
    """
    builder, tensor, _ = _emitted(obj, name)
    graph = builder.finish([tensor], ["y"])
    graph.labels = class_labels(_last(obj))
    return graph


def _emitted(obj, name=None):
    """(builder, the tensor of the answer, [(node's tensor, function of x) ...])."""
    from . import sklearn_parts

    versions = {package: installed_version(package) for package in ("sklearn", "numpy")}
    builder = Builder("sklearn", versions, name or type(obj).__name__.lower(), SUPPORTED)
    walk = sklearn_parts.Walk(builder)
    wide = width(obj)
    tensor = builder.input("x", "float32", ["batch", wide])
    builder.reserve(["y"])
    tensor = walk.emit("", obj, tensor, wide)[0]
    return builder, tensor, walk.taps


def native(obj, inputs) -> dict[str, np.ndarray]:
    """What scikit-learn itself answers for inputs {"x": [batch, features]}, as {"y": ...}."""
    x = bind_inputs(["x"], inputs)["x"]
    return {"y": answer(obj, x)}


def taps(obj, inputs, precision="float32") -> dict[str, np.ndarray]:
    """What the parts of the estimator make on the way, by the tensors of the graph.

    Each part transforms what those before it made; the layers of a perceptron, which scikit-learn
    computes in one call, are computed anew from its weights.
    """
    if precision != "float32":
        raise UsageError("sklearn computes in the precision of its own weights: "
                         f"{precision} cannot be asked for")
    x = np.asarray(bind_inputs(["x"], inputs)["x"])
    builder, tensor, found = _emitted(obj)
    graph = builder.finish([tensor], ["y"])
    names = {old: builder.renamed.get(old, old) for old, _ in found}
    made = {names[old]: np.asarray(_answer(function, x, obj)) for old, function in found}
    known = {name for node in graph.nodes for name in node.outputs}
    return {name: array for name, array in made.items() if name in known} | {"y": answer(obj, x)}


def answer(obj, x) -> np.ndarray:
    """The first of `METHODS` that the estimator has, of x [batch, features]."""
    return np.asarray(_answer(getattr(obj, method(obj)), x, obj))


def method(obj) -> str:
    """The name of the method that answers, or BridgeError."""
    clusters = hasattr(_last(obj), "cluster_centers_")
    for name in METHODS:
        if hasattr(obj, name) and not (name == "predict" and clusters):
            return name
    raise BridgeError(f"{type(obj).__name__} has none of {', '.join(METHODS)}")


def _answer(function, x, obj):
    try:
        return function(x)
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


def width(obj) -> int:
    """Number of features that the fitted estimator takes, or BridgeError if it is not fitted."""
    from sklearn.pipeline import Pipeline

    steps = [step for _, step in obj.steps if step is not None and step != "passthrough"] \
        if isinstance(obj, Pipeline) else None
    if steps == []:
        raise BridgeError("the pipeline has no steps")
    if steps:
        return width(steps[0])
    if not hasattr(obj, "n_features_in_"):
        raise BridgeError(f"{type(obj).__name__} is not fitted: call fit before emitting it")
    return int(obj.n_features_in_)


def _last(obj):
    """The estimator that answers: a pipeline's last step."""
    from sklearn.pipeline import Pipeline

    return _last(obj.steps[-1][1]) if isinstance(obj, Pipeline) else obj


def class_labels(step) -> list | None:
    """The labels behind the columns of a classifier's answer, or None if there are none."""
    labels = getattr(step, "classes_", None)
    return None if labels is None else [np.asarray(label).tolist() for label in labels]
