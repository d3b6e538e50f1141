"""Trained networks that are no chains go the whole path: a skip, two branches, a scaler in front.

All learn scikit-learn's digits, and are compared for one image and for the whole test set.
"""

from __future__ import annotations

import copy
import warnings

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="scikit-learn is not installed")

from conftest import needs_programs  # noqa: E402
from planetbridging import demo, emit, native  # noqa: E402
from planetbridging.checking import run_check  # noqa: E402

DIGITS = demo.load_digits()
TEST = DIGITS["x_test"]
BATCHES = [{"x": TEST[:1]}, {"x": TEST}]

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")


def operations(document):
    return [node["op"] for node in document.nodes]


def reads_digits(outputs):
    """Most digits of the test set are right: what travels has learnt something."""
    return (outputs.argmax(axis=1) == DIGITS["y_test"]).mean() > 0.9


def torch_network(kind):
    """A trained PyTorch module with a skip or two branches."""
    torch = pytest.importorskip("torch", reason="torch is not installed")
    from torch import nn

    class Skip(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.inner, self.last = nn.Linear(64, 32), nn.Linear(32, 32), nn.Linear(32, 10)

        def forward(self, x):
            h = torch.relu(self.first(x))
            return self.last(h + torch.tanh(self.inner(h)))

    class Branches(nn.Module):
        def __init__(self):
            super().__init__()
            self.wide, self.deep, self.last = nn.Linear(64, 24), nn.Linear(64, 16), nn.Linear(40, 10)

        def forward(self, x):
            return self.last(torch.cat([torch.relu(self.wide(x)), torch.sigmoid(self.deep(x))], dim=-1))

    torch.manual_seed(1)
    net = {"skip": Skip, "branches": Branches}[kind]().eval()
    optimizer = torch.optim.Adam(net.parameters(), lr=0.01)
    x, y = torch.from_numpy(DIGITS["x_train"]), torch.from_numpy(DIGITS["y_train"])
    for _ in range(80):
        optimizer.zero_grad()
        nn.functional.cross_entropy(net(x), y).backward()
        optimizer.step()
    return net


def keras_network(kind):
    """A trained Keras Functional model with a skip or two branches."""
    pytest.importorskip("tensorflow", reason="TensorFlow is not installed")
    keras = pytest.importorskip("keras", reason="Keras is not installed")
    keras.utils.set_random_seed(1)
    layers = keras.layers
    x = keras.Input((64,), name="x")
    if kind == "skip":
        h = layers.Dense(32, activation="relu")(x)
        h = layers.Add()([h, layers.Dense(32, activation="tanh")(h)])
    else:
        h = layers.Concatenate()([layers.Dense(24, activation="relu")(x),
                                  layers.Dense(16, activation="sigmoid")(x)])
    net = keras.Model(x, layers.Dense(10, activation="softmax")(h))
    net.compile(optimizer=keras.optimizers.Adam(0.01), loss="sparse_categorical_crossentropy")
    net.fit(DIGITS["x_train"], DIGITS["y_train"], batch_size=128, epochs=10, verbose=0)
    return net


def test_torch_skip(whole_path):
    net = torch_network("skip")
    assert reads_digits(native(net, TEST)["y"])
    document = whole_path("pytorch", net, *BATCHES)
    assert operations(document) == ["dense", "relu", "dense", "tanh", "add", "dense"]


def test_torch_two_branches(whole_path):
    net = torch_network("branches")
    assert reads_digits(native(net, TEST)["y"])
    document = whole_path("pytorch", net, *BATCHES)
    assert operations(document) == ["dense", "relu", "dense", "sigmoid", "concat", "dense"]


def test_keras_functional_skip(whole_path):
    net = keras_network("skip")
    assert reads_digits(native(net, TEST)["y"])
    document = whole_path("keras", net, *BATCHES)
    assert operations(document) == ["dense", "relu", "dense", "tanh", "add", "dense", "softmax"]


def test_keras_functional_two_branches(whole_path):
    net = keras_network("branches")
    assert reads_digits(native(net, TEST)["y"])
    document = whole_path("keras", net, *BATCHES)
    assert sorted(operations(document)[:4]) == ["dense", "dense", "relu", "sigmoid"]
    assert operations(document)[4:] == ["concat", "dense", "softmax"]


def sklearn_pipeline():
    """A fitted pipeline; its scaler sees pixels that are always zero, too."""
    from sklearn.neural_network import MLPClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    net = make_pipeline(StandardScaler(), MLPClassifier((32, 32), max_iter=30, random_state=1))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return net.fit(DIGITS["x_train"], DIGITS["y_train"])


def test_sklearn_pipeline_with_scaler(whole_path):
    net = sklearn_pipeline()
    assert reads_digits(native(net, TEST)["y"])
    document = whole_path("sklearn", net, *BATCHES)
    assert operations(document) == ["constant", "sub", "constant", "div", "dense", "relu", "dense", "relu",
                                    "dense", "softmax"]


@needs_programs
def test_a_scaler_that_is_lost_is_a_diff():
    net = sklearn_pipeline()
    graph = emit(net)
    first = next(node for node in graph.nodes if node.op == "dense")
    first.inputs = [graph.inputs[0].name]
    result = run_check(graph, BATCHES[1], native(net, TEST))
    assert (result.status, result.label) == (1, "DIFF")


@needs_programs
@pytest.mark.parametrize("kind, op", [("skip", "add"), ("branches", "concat")])
def test_a_link_that_is_wrong_is_a_diff(kind, op):
    net = torch_network(kind)
    graph = copy.deepcopy(emit(net, example=BATCHES[1]))
    node = next(node for node in graph.nodes if node.op == op)
    if kind == "skip":
        node.inputs = [node.inputs[1]] * 2
    else:
        node.inputs.reverse()
    result = run_check(graph, BATCHES[1], native(net, TEST))
    assert (result.status, result.label) == (1, "DIFF")
