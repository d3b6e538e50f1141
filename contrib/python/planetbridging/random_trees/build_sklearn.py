"""A random pipeline as a live scikit-learn object, fitted on drawn data."""

from __future__ import annotations

import warnings

import numpy as np

from .. import planets
from ..bedrock.own import drawing
from .pipelines import FORMS
from .spec import Tree, Value

SAMPLES = 60


def scaler(name: str):
    from sklearn import preprocessing

    return getattr(preprocessing, name)()


def projection(p: dict):
    from sklearn import decomposition

    more = {"whiten": p["whiten"]} if p["projection"] == "PCA" else {}
    return getattr(decomposition, p["projection"])(p["components"], random_state=0, **more)


def transformer(form: str, p: dict):
    """A step of the pipeline: in a residual the columns stay beside what is made of them; branches are
    two ways of some columns each; a shared scaler is one object in two places, with what it learnt last."""
    from sklearn.compose import ColumnTransformer
    from sklearn.pipeline import make_pipeline

    if form == "chain":
        return make_pipeline(scaler(p["scaler"]), scaler(p["other"]))
    if form == "residual":
        return ColumnTransformer([("same", "passthrough", slice(0, None)), ("made", projection(p), slice(0, None))])
    if form == "branch":
        return ColumnTransformer([("one", scaler(p["scaler"]), slice(0, 3)), ("other", make_pipeline(
            scaler(p["other"]), projection(p)), slice(1, None))])
    one = scaler(p["scaler"])
    if form == "shared":
        return make_pipeline(one, scaler(p["other"]), one)
    return ColumnTransformer([("one", one, slice(0, None)), ("again", one, slice(0, None))])


def estimator(name: str, p: dict):
    from sklearn import linear_model, neural_network, svm

    for library in (neural_network, linear_model, svm):
        if hasattr(library, name):
            break
    more = {}
    if name.startswith("MLP"):
        more = {"hidden_layer_sizes": p["hidden"], "activation": p["activation"], "max_iter": 60,
                "learning_rate_init": 0.02}
    if name == "SGDClassifier":
        # Weaker ones make decisions of -200, whose probabilities float32 has no numbers for.
        more = {"loss": "log_loss", "alpha": 0.1}
    known = getattr(library, name)().get_params()
    return getattr(library, name)(**more, **({"random_state": 0} if "random_state" in known else {}))


def made(name: str, params: dict):
    return transformer(name, params) if name in FORMS else estimator(name, params)


def build(tree: Tree):
    """The pipeline, fitted on drawn data."""
    from sklearn.pipeline import Pipeline

    parts = {name: made(*tree.root.parts[name][:2]) for name in tree.root.construction()}
    net = Pipeline([(name, parts[name]) for name in tree.root.parts])
    wide, p = tree.inputs["x"].wide, tree.root.parts["model"][1]
    x = drawing.normal(f"{tree.name} fit", (SAMPLES, wide))
    y = x @ drawing.normal(f"{tree.name} target", (wide, p["outputs"]))
    if "Classifier" in tree.root.steps[-1].op or tree.root.steps[-1].op in ("LogisticRegression", "LinearSVC"):
        y = np.concatenate([y, np.zeros((SAMPLES, 1), np.float32)], 1).argmax(1)
    elif p["outputs"] == 1:
        y = y[:, 0]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        net.fit(x, y)
    if "tied" in tree.features:
        net[-1].coefs_[2] = net[-1].coefs_[1]
    return net


def native(net, inputs: dict, precision: str) -> dict[str, np.ndarray]:
    """What scikit-learn answers for inputs of that precision; its weights keep the one of the fit."""
    given = {name: x.astype(precision) for name, x in inputs.items()}
    return planets.module("sklearn").native(net, given)


def given(value: Value, array: np.ndarray) -> np.ndarray:
    """An input as the pipeline takes it."""
    return array


