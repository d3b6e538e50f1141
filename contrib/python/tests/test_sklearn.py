"""scikit-learn: what leaves the estimator computes what the estimator computes."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

sklearn = pytest.importorskip("sklearn", reason="scikit-learn is not installed")

from sklearn.neural_network import MLPClassifier, MLPRegressor  # noqa: E402
from sklearn.pipeline import Pipeline, make_pipeline  # noqa: E402
from sklearn.preprocessing import QuantileTransformer, StandardScaler  # noqa: E402

from planetbridging import BridgeError, Unsupported, emit  # noqa: E402

RNG = np.random.default_rng(7)
X = RNG.normal(size=(60, 4)) * [1, 3, 0.5, 2] + [0, 5, -1, 2]
BATCHES = [{"x": X[:1].astype(np.float32)}, {"x": X[:23].astype(np.float32)}]
HIDDEN = {"hidden_layer_sizes": (4, 4), "max_iter": 40, "random_state": 1}


def fitted(model, y):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return model.fit(X, y)


def unit_weights(mlp):
    """Weights and biases of unit scale, so that a wrong axis or a lost bias shows."""
    rng = np.random.default_rng(3)
    mlp.coefs_ = [rng.normal(size=w.shape) for w in mlp.coefs_]
    mlp.intercepts_ = [rng.normal(size=b.shape) for b in mlp.intercepts_]
    return mlp


@pytest.mark.parametrize("activation", ["identity", "logistic", "tanh", "relu"])
def test_square_kernels_keep_their_orientation(whole_path, activation):
    model = unit_weights(fitted(MLPRegressor(activation=activation, **HIDDEN), X[:, :4] / 5))
    document = whole_path("sklearn", model, *BATCHES)
    dense = [n for n in document.nodes if n["op"] == "dense"]
    assert all(n["tensors"][0]["shape"] == [4, 4] for n in dense)
    assert all(n["tensors"][0]["axes"] == ["i", "o"] for n in dense)
    assert [n["name"] for n in dense] == ["layers.0", "layers.1", "layers.2"]


def test_intercepts_travel(whole_path):
    model = unit_weights(fitted(MLPRegressor(**HIDDEN), X[:, :3] / 5))
    document = whole_path("sklearn", model, *BATCHES)
    for n, intercept in enumerate(model.intercepts_):
        np.testing.assert_array_equal(document.array(f"layers.{n}", "bias"), intercept)
        assert document.entry(f"layers.{n}", "bias")["source"] == f"intercepts_[{n}]"


def test_the_dtype_is_that_of_the_fit(whole_path):
    model = MLPRegressor(**HIDDEN)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.fit(X.astype(np.float32), X[:, 0].astype(np.float32))
    document = whole_path("sklearn", model, *BATCHES)
    assert {t["dtype"] for n in document.nodes for t in n["tensors"]} == {"float32"}


def test_a_single_target_is_a_row(whole_path):
    model = unit_weights(fitted(MLPRegressor(**HIDDEN), X[:, 0]))
    document = whole_path("sklearn", model, *BATCHES)
    assert document.nodes[-1]["params"] == {"shape": ["batch"]}
    assert document.head["outputs"] == ["y"]


def test_multiclass_is_a_softmax(whole_path):
    model = unit_weights(fitted(MLPClassifier(**HIDDEN), np.arange(60) % 3))
    document = whole_path("sklearn", model, *BATCHES)
    assert document.nodes[-1]["op"] == "softmax"
    assert emit(model).labels == [0, 1, 2]


def test_binary_logistic_has_both_columns(whole_path):
    model = unit_weights(fitted(MLPClassifier(**HIDDEN), X[:, 0] > 0))
    document = whole_path("sklearn", model, *BATCHES)
    assert [n["op"] for n in document.nodes[-4:]] == ["sigmoid", "constant", "sub", "concat"]


def test_multilabel_is_a_sigmoid_each(whole_path):
    model = unit_weights(fitted(MLPClassifier(**HIDDEN), (X[:, :3] > 0).astype(int)))
    document = whole_path("sklearn", model, *BATCHES)
    assert document.nodes[-1]["op"] == "sigmoid"


def test_poisson_counts_are_powers(whole_path):
    model = fitted(MLPRegressor(loss="poisson", **HIDDEN), np.abs(X[:, 0]))
    document = whole_path("sklearn", model, *BATCHES)
    assert [n["op"] for n in document.nodes[-3:]] == ["dense", "exp", "reshape"]


@pytest.mark.parametrize("with_mean", [True, False])
@pytest.mark.parametrize("with_std", [True, False])
def test_pipeline_with_scaler(whole_path, with_mean, with_std):
    scaler = StandardScaler(with_mean=with_mean, with_std=with_std)
    model = fitted(make_pipeline(scaler, MLPClassifier(**HIDDEN)), np.arange(60) % 3)
    unit_weights(model[-1])
    document = whole_path("sklearn", model, *BATCHES)
    head = [n["op"] for n in document.nodes if n["name"].startswith("standardscaler")]
    assert head == ["constant", "sub"] * with_mean + ["constant", "div"] * with_std


def test_nested_pipeline_and_passthrough(whole_path):
    inner = Pipeline([("scale", StandardScaler()), ("nothing", "passthrough")])
    model = fitted(Pipeline([("prepare", inner), ("net", MLPRegressor(**HIDDEN))]), X[:, :2])
    unit_weights(model[-1])
    document = whole_path("sklearn", model, *BATCHES)
    assert document.nodes[0]["name"] == "prepare.scale.mean_"
    assert document.entry("net.0", "weight")["source"] == "net.coefs_[0]"


def test_a_scaler_alone(whole_path):
    document = whole_path("sklearn", StandardScaler().fit(X), *BATCHES)
    assert [n["op"] for n in document.nodes] == ["constant", "sub", "constant", "div"]


def test_all_unknown_steps_are_named():
    class Mine(StandardScaler):
        """Might compute anything."""

    model = fitted(make_pipeline(QuantileTransformer(n_quantiles=10), Mine(),
                                 MLPClassifier(**HIDDEN)), np.arange(60) % 3)
    with pytest.raises(Unsupported) as error:
        emit(model)
    assert str(error.value).startswith(
        "cannot be expressed: quantiletransformer (QuantileTransformer): not a word of the stream; "
        "mine (Mine): not a word of the stream. Supported: MLPClassifier, MLPRegressor, Linear")


def test_an_unfitted_estimator_is_refused():
    with pytest.raises(BridgeError) as error:
        emit(MLPClassifier())
    assert str(error.value) == "MLPClassifier is not fitted: call fit before emitting it"
