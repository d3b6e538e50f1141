"""scikit-learn: linear models, transformers and what is made of them, and their taps."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

sklearn = pytest.importorskip("sklearn", reason="scikit-learn is not installed")

from interpreter import run_all  # noqa: E402
from sklearn import compose, decomposition, linear_model, preprocessing, svm  # noqa: E402
from sklearn.cluster import KMeans  # noqa: E402
from sklearn.neural_network import MLPClassifier, MLPRegressor  # noqa: E402
from sklearn.pipeline import make_pipeline  # noqa: E402

from planetbridging import Unsupported, emit, planets, taps  # noqa: E402

RNG = np.random.default_rng(7)
X = RNG.normal(size=(60, 4)) * [1, 3, 0.5, 2] + [0, 5, -1, 2]
ONE = X @ [1, 0.2, -1, 0.5] + RNG.normal(size=60)
MANY = np.c_[ONE, 1 - ONE, ONE * X[:, 0]]
TWO = (ONE > np.median(ONE)).astype(int)
THREE = np.digitize(ONE, np.quantile(ONE, [0.3, 0.6])) * 10
BATCHES = [{"x": X[:1].astype(np.float32)}, {"x": X[3:26].astype(np.float32)}]
HIDDEN = {"hidden_layer_sizes": (4, 4), "max_iter": 40, "random_state": 1}


def fitted(model, y=None):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return model.fit(X, y)


def held(whole_path, streamed, model):
    """The whole path, and the taps; returns the document."""
    document = whole_path("sklearn", model, *BATCHES)
    made = run_all(document, {"x": BATCHES[1]["x"].astype(np.float64)})
    found = taps(model, BATCHES[1])
    for name, array in found.items():
        assert array.shape == made[name].shape, name
        scale = max(1, np.abs(array).max())
        np.testing.assert_allclose(made[name], array, rtol=0, atol=1e-5 * scale, err_msg=name)
    assert "y" in found
    return document


def operations(document):
    return [n["op"] for n in document.nodes if n["op"] != "constant"]


@pytest.mark.parametrize("model, y, ops", [
    (linear_model.LinearRegression(), ONE, ["dense", "reshape"]),
    (linear_model.LinearRegression(fit_intercept=False), MANY, ["dense"]),
    (linear_model.Ridge(), MANY, ["dense"]), (linear_model.Lasso(0.01), ONE, ["dense", "reshape"]),
    (linear_model.ElasticNet(0.01), MANY, ["dense"]),
    (linear_model.HuberRegressor(), ONE, ["dense", "reshape"]),
    (linear_model.SGDRegressor(eta0=1e-4, random_state=0), ONE, ["dense", "reshape"]),
    (svm.LinearSVR(), ONE, ["dense", "reshape"]),
    (linear_model.LogisticRegression(), TWO, ["dense", "sigmoid", "sub", "concat"]),
    (linear_model.LogisticRegression(), THREE, ["dense", "softmax"]),
    (linear_model.SGDClassifier(random_state=0), TWO, ["dense", "reshape"]),
    (linear_model.SGDClassifier(random_state=0), THREE, ["dense"]),
    (linear_model.SGDClassifier(loss="log_loss", alpha=9.0, random_state=0), TWO,
     ["dense", "sigmoid", "sub", "concat"]),
    (linear_model.SGDClassifier(loss="log_loss", alpha=9.0, random_state=0), THREE,
     ["dense", "sigmoid", "sum", "div"]),
    (svm.LinearSVC(), TWO, ["dense", "reshape"]), (svm.LinearSVC(), THREE, ["dense"]),
    (linear_model.Perceptron(), TWO, ["dense", "reshape"]),
    (linear_model.Perceptron(), THREE, ["dense"]),
    (linear_model.RidgeClassifier(), TWO, ["dense", "reshape"]),
    (linear_model.RidgeClassifier(), THREE, ["dense"])], ids=str)
def test_linear_models(whole_path, streamed, model, y, ops):
    document = held(whole_path, streamed, fitted(model, y))
    assert operations(document) == ops
    assert [t["axes"] for t in document.nodes[0]["tensors"]] == [["o", "i"], ["o"]]
    assert [t["source"] for t in document.nodes[0]["tensors"]] == ["coef_", "intercept_"]
    labels = {id(TWO): [0, 1], id(THREE): [0, 10, 20]}.get(id(y))
    assert emit(model).labels == labels


@pytest.mark.parametrize("model, ops", [
    (preprocessing.MinMaxScaler((-1, 2)), ["mul", "add"]),
    (preprocessing.MinMaxScaler((-1, 2), clip=True), ["mul", "add", "clip"]),
    (preprocessing.MaxAbsScaler(), ["div"]), (preprocessing.RobustScaler(), ["sub", "div"]),
    (preprocessing.RobustScaler(with_scaling=False), ["sub"]),
    (preprocessing.Normalizer(), ["mul", "sum", "sqrt", "less", "where", "div"]),
    (preprocessing.Normalizer("l1"), ["abs", "sum", "less", "where", "div"]),
    (preprocessing.Normalizer("max"), ["abs", "max", "less", "where", "div"]),
    (preprocessing.FunctionTransformer(np.tanh), ["tanh"]),
    (decomposition.PCA(3), ["sub", "dense"]),
    (decomposition.PCA(2, whiten=True), ["sub", "dense", "div"]),
    (decomposition.TruncatedSVD(2), ["dense"]),
    (KMeans(3, n_init=2, random_state=0), ["unsqueeze", "sub", "mul", "sum", "sqrt"])], ids=str)
def test_transformers(whole_path, streamed, model, ops):
    # Fitted on a part, so that others leave the range that a scaler clips to.
    assert operations(held(whole_path, streamed, model.fit(X[:20]))) == ops


def test_a_row_of_zeros_stays(whole_path):
    model = preprocessing.Normalizer().fit(X)
    whole_path("sklearn", model, {"x": np.stack([np.zeros(4, np.float32), BATCHES[0]["x"][0]])})


def test_pipelines_show_what_is_between_their_steps(whole_path, streamed):
    model = fitted(make_pipeline(preprocessing.StandardScaler(), decomposition.PCA(3),
                                 MLPClassifier(**HIDDEN)), THREE)
    held(whole_path, streamed, model)
    found = taps(model, BATCHES[1])
    np.testing.assert_array_equal(found["pca"], model[:2].transform(BATCHES[1]["x"]))
    assert {"standardscaler.div", "mlpclassifier.0", "mlpclassifier.0.relu", "mlpclassifier.2",
            "y"} <= set(found)


def test_columns_go_their_own_ways(whole_path, streamed):
    inner = make_pipeline(preprocessing.StandardScaler(), decomposition.PCA(2))
    parts = [("a", inner, [0, 2, 3]), ("b", preprocessing.FunctionTransformer(np.square), [1]),
             ("c", "drop", [0]), ("d", "passthrough", slice(1, 3)),
             ("e", preprocessing.MaxAbsScaler(), np.array([False, True, False, True]))]
    model = fitted(make_pipeline(
        compose.ColumnTransformer(parts, transformer_weights={"a": 2.0}),
        linear_model.LogisticRegression()), TWO)
    document = held(whole_path, streamed, model)
    assert operations(document).count("gather") == 4
    rest = compose.ColumnTransformer([("a", "drop", [-1])], remainder=preprocessing.MinMaxScaler())
    held(whole_path, streamed, fitted(rest))


@pytest.mark.parametrize("options, y, ops", [
    ({"transformer": preprocessing.StandardScaler()}, ONE, ["dense", "reshape", "mul", "add"]),
    ({"transformer": preprocessing.MinMaxScaler()}, MANY, ["dense", "sub", "div"]),
    ({"transformer": preprocessing.RobustScaler()}, MANY, ["dense", "mul", "add"]),
    ({"func": np.log1p, "inverse_func": np.expm1}, np.abs(ONE), ["dense", "reshape", "expm1"]),
    ({"transformer": preprocessing.MinMaxScaler()}, np.reshape(ONE, (-1, 1)),
     ["dense", "reshape", "sub", "div", "reshape"]),
    ({}, ONE, ["dense", "reshape"])], ids=str)
def test_targets_are_turned_back(whole_path, streamed, options, y, ops):
    model = compose.TransformedTargetRegressor(linear_model.Ridge(), **options)
    assert operations(held(whole_path, streamed, fitted(model, y))) == ops


def test_targets_of_a_pipeline(whole_path, streamed):
    inner = make_pipeline(preprocessing.StandardScaler(), MLPRegressor(**HIDDEN))
    model = compose.TransformedTargetRegressor(inner, transformer=preprocessing.MaxAbsScaler())
    document = held(whole_path, streamed, fitted(model, MANY))
    assert document.nodes[1]["name"] == "regressor.standardscaler.sub"


def test_what_has_no_word_is_named():
    model = compose.TransformedTargetRegressor(
        linear_model.Ridge(), func=np.arctan, inverse_func=np.tan, check_inverse=False)
    steps = make_pipeline(preprocessing.PolynomialFeatures(2), model)
    with pytest.raises(Unsupported) as error:
        emit(fitted(steps, ONE))
    assert [(p.path, p.cls, p.operation) for p in error.value.problems] == [
        ("polynomialfeatures", "PolynomialFeatures", "not a word of the stream"),
        ("transformedtargetregressor.transformer", "FunctionTransformer", "the function tan")]
    rounded = preprocessing.FunctionTransformer(np.log1p, kw_args={"where": True})
    with pytest.raises(Unsupported, match=r"^cannot be expressed: function \(FunctionTransformer\): "
                                          "the function log1p with where. "):
        emit(rounded.fit(np.abs(X)))
    huber = linear_model.SGDClassifier(loss="modified_huber", random_state=0)
    with pytest.raises(Unsupported, match=r"\(SGDClassifier\): probabilities of loss='modified_hu"):
        emit(fitted(huber, THREE))


def test_scikit_learn_has_one_precision():
    model = fitted(linear_model.Ridge(), ONE)
    with pytest.raises(Exception, match="^sklearn computes in the precision of its own weights: "
                                        "float64 cannot be asked for$"):
        planets.taps("sklearn", model, BATCHES[0], "float64")
