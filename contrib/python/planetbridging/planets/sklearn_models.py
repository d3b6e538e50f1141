"""What scikit-learn's perceptrons and linear models compute of their weights."""

from __future__ import annotations

import numpy as np

ACTIVATIONS = {"identity": None, "logistic": "sigmoid", "tanh": "tanh", "relu": "relu",
               "exp": "exp"}
"""Of a perceptron's layers; its last one has "exp" where it counts events (loss="poisson")."""


def source(path: str, attribute: str) -> str:
    return f"{path}.{attribute}" if path else attribute


def perceptron(walk, path: str, mlp, x: str, wide: int):
    """Dense layers with the hidden activation between them and `out_activation_` behind."""
    prefix, last = path or "layers", len(mlp.coefs_) - 1
    for n, (weight, bias) in enumerate(zip(mlp.coefs_, mlp.intercepts_)):
        sources = (source(path, f"coefs_[{n}]"), source(path, f"intercepts_[{n}]"))
        weight, bias = map(walk.builder.origin, sources, (weight, bias))
        x = walk.builder.dense(f"{prefix}.{n}", x, weight, bias, axes=("i", "o"), sources=sources)
        walk.tap(x, lambda data, n=n: hidden(mlp, data, n, False))
        if n < last:
            x = _activation(walk, x, f"{prefix}.{n}", mlp, mlp.activation)
            walk.tap(x, lambda data, n=n: hidden(mlp, data, n, True))
    x = _output(walk, x, f"{prefix}.{last}", prefix, mlp)
    return x, mlp.n_outputs_


def hidden(mlp, data, layer: int, active: bool) -> np.ndarray:
    """A layer of a perceptron, before or behind its activation, from the weights."""
    from sklearn.neural_network._base import ACTIVATIONS as functions

    x = np.asarray(data)
    for n in range(layer + 1):
        x = x @ mlp.coefs_[n] + mlp.intercepts_[n]
        if n < layer or active:
            functions[mlp.activation](x)
    return x


def _activation(walk, x: str, layer: str, mlp, activation: str) -> str:
    if activation not in ACTIVATIONS:
        walk.builder.refuse(layer, type(mlp).__name__, f"activation {activation!r}")
        return x
    op = ACTIVATIONS[activation]
    return x if op is None else walk.builder.node(f"{layer}.{op}", op, [x])


def _output(walk, x: str, layer: str, prefix: str, mlp) -> str:
    """The output activation and shape of `predict_proba` or `predict`."""
    if mlp.out_activation_ == "softmax":
        return walk.builder.node(f"{layer}.softmax", "softmax", [x], {"axis": -1})
    x = _activation(walk, x, layer, mlp, mlp.out_activation_)
    if mlp.n_outputs_ > 1:
        return x
    return _both(walk, x, prefix) if hasattr(mlp, "predict_proba") else _row(walk, x, prefix)


def _both(walk, x: str, prefix: str) -> str:
    """[batch, 1] as [1 - x, x]: the two classes of a binary classifier."""
    one = walk.builder.constant(f"{prefix}.one", np.ones(1, np.float32))
    other = walk.builder.node(f"{prefix}.complement", "sub", [one, x])
    return walk.builder.node(f"{prefix}.concat", "concat", [other, x], {"axis": -1})


def _row(walk, x: str, prefix: str) -> str:
    """[batch, 1] as [batch]: one target, one decision."""
    return walk.builder.node(f"{prefix}.ravel", "reshape", [x], {"shape": ["batch"]})


def _linear(walk, path: str, model, x: str, word: str) -> tuple[str, int, bool]:
    """(the dense node, its width, whether scikit-learn gives its one column as a row)."""
    coef = np.asarray(model.coef_.toarray() if hasattr(model.coef_, "toarray") else model.coef_)
    weight = coef.reshape(1, -1) if coef.ndim == 1 else coef
    bias = np.asarray(model.intercept_, weight.dtype)
    sources = (source(path, "coef_"), source(path, "intercept_"))
    for name, array in zip(sources, (coef, bias)):
        walk.builder.origin(name, array)
    if bias.shape != weight.shape[:1]:
        bias = np.broadcast_to(bias, len(weight)).copy()
    x = walk.builder.dense(path or word, x, weight, bias, axes=("o", "i"), sources=sources)
    return x, len(weight), coef.ndim == 1


def regressor(walk, path: str, model, x: str, wide: int):
    """x W + b; a target that was a row stays one."""
    x, count, row = _linear(walk, path, model, x, "linear")
    return (_row(walk, x, path or "linear") if row else x), count


def decision(walk, path: str, model, x: str, wide: int):
    """`decision_function`: one number a sample for two classes, else one a class."""
    x, count, _ = _linear(walk, path, model, x, "linear")
    return (_row(walk, x, path or "linear") if count == 1 else x), count


def logistic(walk, path: str, model, x: str, wide: int):
    """`predict_proba`: the logistic function for two classes, softmax for more."""
    prefix = path or "linear"
    x, count, _ = _linear(walk, path, model, x, "linear")
    if count > 1:
        return walk.builder.node(f"{prefix}.softmax", "softmax", [x], {"axis": -1}), count
    return _both(walk, walk.builder.node(f"{prefix}.sigmoid", "sigmoid", [x]), prefix), 2


def sgd(walk, path: str, model, x: str, wide: int):
    """`predict_proba` of SGDClassifier where its loss has one: a sigmoid each, over their sum."""
    if not hasattr(model, "predict_proba"):
        return decision(walk, path, model, x, wide)
    prefix = path or "linear"
    if model.loss != "log_loss":
        walk.builder.refuse(path or "the estimator", type(model).__name__,
                            f"probabilities of loss={model.loss!r}")
        return x, wide
    x, count, _ = _linear(walk, path, model, x, "linear")
    x = walk.builder.node(f"{prefix}.sigmoid", "sigmoid", [x])
    if count == 1:
        return _both(walk, x, prefix), 2
    total = walk.builder.node(f"{prefix}.sum", "sum", [x], {"axes": [-1], "keepdims": True})
    return walk.builder.node(f"{prefix}.div", "div", [x, total]), count


REGRESSORS = ("LinearRegression", "Ridge", "RidgeCV", "Lasso", "LassoCV", "ElasticNet",
              "ElasticNetCV", "MultiTaskLasso", "MultiTaskElasticNet", "Lars", "LassoLars",
              "OrthogonalMatchingPursuit", "BayesianRidge", "ARDRegression", "HuberRegressor",
              "TheilSenRegressor", "QuantileRegressor", "SGDRegressor", "LinearSVR")
DECIDERS = ("LinearSVC", "Perceptron", "PassiveAggressiveClassifier", "RidgeClassifier",
            "RidgeClassifierCV")

MODELS = {"MLPClassifier": perceptron, "MLPRegressor": perceptron,
          **dict.fromkeys(REGRESSORS, regressor), **dict.fromkeys(DECIDERS, decision),
          "LogisticRegression": logistic, "LogisticRegressionCV": logistic, "SGDClassifier": sgd}
