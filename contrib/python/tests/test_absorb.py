"""`planetbridging.absorb`: live networks of every planet, and what is said of them held against them."""

from __future__ import annotations

import inspect
import os

import numpy as np
import pytest

from conftest import needs_programs
from planetbridging import Unsupported, absorb, dense_stack
from planetbridging.absorb import LayerSpec
from planetbridging.bedrock import facts as fact, fixture

CALLS = {"pytorch": absorb.pytorch, "keras": absorb.keras, "jax": absorb.jax, "sklearn": absorb.sklearn}
PARAMETERS = ("planet model_id input_dim layer_specs layer_units activation inputs native_outputs "
              "output_path models_dir fixture_version root").split()
"""By `inspect.signature` of openfluke/planetbridging 0.7.3, between the network and **kwargs."""

RNG = np.random.default_rng(5)
X = RNG.standard_normal((6, 4)).astype(np.float32)


@pytest.mark.parametrize("name", CALLS)
def test_parameters_are_those_of_the_reference(name):
    assert list(inspect.signature(CALLS[name]).parameters)[1:-1] == PARAMETERS


@pytest.fixture
def net():
    torch = pytest.importorskip("torch", reason="torch is not installed")
    torch.manual_seed(1)
    return torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.ReLU(), torch.nn.Linear(3, 3),
                               torch.nn.Tanh(), torch.nn.Linear(3, 2)).eval()


def answers(net, x=X) -> np.ndarray:
    import torch

    with torch.no_grad():
        return net(torch.from_numpy(x)).numpy()


@needs_programs
def test_a_stack_of_dense_layers(net, tmp_path):
    path = tmp_path / "a" / "net.entity"
    made = absorb.pytorch(net, input_dim=4, layer_units=(3, 3, 2), inputs=X, native_outputs=answers(net),
                          output_path=path)
    assert (made.compare_label, made.exact_match) == ("PASS", False)
    assert 0 < made.mean_abs_diff <= made.max_abs_diff < 1e-6
    assert made.entity_path == str(path) and path.exists()
    assert made.layer_count == 3 and made.weight_bytes == 4 * (12 + 9 + 6)
    assert made.outputs.shape == (6, 2) and made.outputs.dtype == np.float64 and made.output_dim == 2
    np.testing.assert_array_equal(made.native_reference, answers(net).astype(np.float64))


@needs_programs
def test_other_answers_are_a_difference(net, tmp_path):
    made = absorb.pytorch(net, inputs=X, native_outputs=answers(net) + np.float32(1e-3), root=tmp_path)
    assert made.compare_label == "DIFF" and abs(made.max_abs_diff - 1e-3) < 1e-5


@needs_programs
def test_a_module_that_is_no_stack(tmp_path):
    torch = pytest.importorskip("torch", reason="torch is not installed")
    nn = torch.nn

    class Branches(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.norm = nn.Conv1d(2, 4, 3, padding=1), nn.LayerNorm(8)
            self.act, self.out = nn.SiLU(), nn.Linear(32, 3)

        def forward(self, x):
            y = self.act(self.norm(self.conv(x)))
            return self.out((y + y * x[:, :1]).flatten(1)), y

    torch.manual_seed(2)
    net = Branches().eval()
    x = RNG.standard_normal((5, 2, 8)).astype(np.float32)
    with torch.no_grad():
        native = [t.numpy() for t in net(torch.from_numpy(x))]
    flat = np.concatenate([part.reshape(5, -1) for part in native], axis=1)
    made = absorb.pytorch(net, inputs=x, native_outputs=flat, root=tmp_path)
    assert made.compare_label == "PASS" and made.output_dim == 3 + 32
    assert made.entity_path == str(tmp_path / ".planetbridging" / "absorb" / "pytorch" / "model.entity")


@needs_programs
def test_what_has_no_word_is_listed(net, tmp_path):
    import torch

    class Strange(torch.nn.Module):
        def forward(self, x):
            return torch.special.bessel_j0(x)

    with pytest.raises(Unsupported):
        absorb.pytorch(Strange().eval(), inputs=X, root=tmp_path)
    assert os.listdir(tmp_path) == []


@needs_programs
@pytest.mark.parametrize("said, message", [
    ({"layer_units": (3, 2)}, "layer_units has the units [3, 2], but the model [3, 3, 2]"),
    ({"layer_specs": [LayerSpec(3), LayerSpec(3), LayerSpec(2, "linear")]},
     "layer_specs[1]: activation is said to be relu, but the model has tanh"),
    ({"layer_specs": [LayerSpec(3), LayerSpec(3, "tanh"), LayerSpec(2, "linear", bias=False)]},
     "layer_specs[2]: bias is said to be False, but the model has True"),
    ({"activation": "relu"},
     "activation: activation of dense layer 1 is said to be relu, but the model has tanh"),
    ({"input_dim": 5}, "input_dim is said to be 5, but the model takes ['batch', 4]"),
    ({"model_id": "../x"}, "model_id is '../x', which cannot be the name of a file"),
    ({"planet": ""}, "planet is '', which cannot be the name of a file"),
])
def test_contradictions(net, said, message, tmp_path):
    with pytest.raises(ValueError) as error:
        absorb.pytorch(net, **{"inputs": X, "root": tmp_path, **said})
    assert str(error.value) == message and os.listdir(tmp_path) == []


@needs_programs
def test_what_agrees_is_accepted(net, tmp_path):
    specs = [LayerSpec(3, "ReLU"), LayerSpec(3, "tanh"), LayerSpec(2, "identity")]
    assert absorb.pytorch(net, input_dim=4, layer_specs=specs, inputs=X, root=tmp_path).output_dim == 2


@needs_programs
def test_dense_layers_do_not_describe_a_convolution(tmp_path):
    torch = pytest.importorskip("torch", reason="torch is not installed")
    net = torch.nn.Sequential(torch.nn.Conv1d(1, 2, 2), torch.nn.Flatten(), torch.nn.Linear(6, 2)).eval()
    with pytest.raises(ValueError) as error:
        absorb.pytorch(net, inputs=X[:, None], layer_units=(2,), root=tmp_path)
    assert str(error.value) == ("layer_units describes dense layers alone, but the model has conv1 too: "
                                "leave it out, the model is read as it is")


@needs_programs
def test_where_inputs_come_from(net, tmp_path):
    with pytest.raises(RuntimeError) as error:
        absorb.pytorch(net, input_dim=4, root=tmp_path)
    assert str(error.value) == "nothing to run on: give inputs or a fixture_version, or skip_infer=True"
    assert os.listdir(tmp_path) == []
    made = absorb.pytorch(net, input_dim=4, root=tmp_path, skip_infer=True)
    assert made.outputs.shape == (0, 0) and made.output_dim == 0 and made.compare_label is None
    made = absorb.pytorch(net, input_dim=4, root=tmp_path, fixture_version="dense_bedrock_v2",
                          native_outputs=answers(net, test_rows()))
    assert made.outputs.shape == (100, 2) and made.compare_label == "PASS"
    np.savez(tmp_path / "mine.npz", x_test=X.astype(np.float64))
    made = absorb.pytorch(net, input_dim=4, root=tmp_path, fixture_version="mine", fixtures_dir=tmp_path,
                          native_outputs=answers(net))
    assert made.compare_label == "PASS"
    with pytest.raises(ValueError):
        absorb.pytorch(net, input_dim=4, root=tmp_path, fixture_version="mine")
    assert absorb.pytorch(net, inputs=X[0], root=tmp_path).outputs.shape == (1, 2)


def test_rows() -> np.ndarray:
    return fixture.make(fact.of("dense"))["x_test"][:, :4].astype(np.float32)


test_rows.__test__ = False


@needs_programs
def test_where_the_file_goes(net, tmp_path):
    made = absorb.pytorch(net, inputs=X, planet="p", model_id="m", models_dir=tmp_path)
    assert made.entity_path == str(tmp_path / "p" / "m" / "m.stream.entity")
    with pytest.raises(TypeError) as error:
        absorb.pytorch(net, inputs=X, outputs="y")
    assert str(error.value) == "unexpected argument 'outputs'"


@needs_programs
def test_keras(tmp_path):
    pytest.importorskip("tensorflow", reason="tensorflow is not installed")
    import keras

    keras.utils.set_random_seed(3)
    net = keras.Sequential([keras.Input((4,)), keras.layers.Dense(4, activation="sigmoid"),
                            keras.layers.Dense(4, use_bias=False)])
    native = np.asarray(net(X))
    made = absorb.keras(net, input_dim=4, layer_units=(4, 4), activation="sigmoid", inputs=X,
                        native_outputs=native, root=tmp_path)
    assert made.compare_label == "PASS" and "/absorb/tensorflow/" in made.entity_path


PARAMS = {"params": {f"Dense_{n}": {"kernel": RNG.standard_normal((4, 4)).astype(np.float32),
                                    "bias": RNG.standard_normal(4).astype(np.float32)}
                     for n in range(2)}}


def by_hand(act) -> np.ndarray:
    first, second = PARAMS["params"].values()
    return act(X @ first["kernel"] + first["bias"]) @ second["kernel"] + second["bias"]


@needs_programs
def test_bare_jax_parameters_with_square_kernels(tmp_path):
    """A kernel is [i, o] whatever its shape, and the output layer has no activation."""
    made = absorb.jax(PARAMS, input_dim=4, layer_units=(4, 4), inputs=X,
                      native_outputs=by_hand(lambda z: np.maximum(z, 0)), root=tmp_path)
    assert made.compare_label == "PASS" and made.layer_count == 2
    specs = [LayerSpec(4, "tanh"), LayerSpec(4, "linear")]
    made = absorb.jax(PARAMS, layer_specs=specs, inputs=X, native_outputs=by_hand(np.tanh), root=tmp_path)
    assert made.compare_label == "PASS"


@pytest.mark.parametrize("params, said, message", [
    (PARAMS, {}, "parameters alone do not say what the layers do: give layer_specs or layer_units, or the "
     "pair (module, variables)"),
    (PARAMS, {"layer_units": (4,)}, "1 layers are described, but there are parameters of 2"),
    (PARAMS, {"layer_units": (4, 5)},
     "Dense_1: kernel [4, 4] and a bias, but 5 units, bias=True are described"),
    (PARAMS, {"layer_specs": [LayerSpec(4, "softmax"), LayerSpec(4)]},
     "Dense_0: activation 'softmax', expected one of relu, tanh, sigmoid, linear"),
    ({"Conv": {}}, {"layer_units": (4,)}, "parameters of Conv: expected Dense_0, Dense_1, ...; for other "
     "modules give the pair (module, variables)"),
])
def test_bare_parameters_that_do_not_fit(params, said, message, tmp_path):
    with pytest.raises(ValueError) as error:
        absorb.jax(params, inputs=X, root=tmp_path, **said)
    assert str(error.value) == message


@needs_programs
def test_jax_modules(tmp_path):
    jax = pytest.importorskip("jax", reason="jax is not installed")
    linen = pytest.importorskip("flax.linen", reason="flax is not installed")
    net = linen.Sequential([linen.Dense(4), linen.gelu, linen.LayerNorm(), linen.Dense(2)])
    variables = net.init(jax.random.key(0), X)
    made = absorb.jax((net, variables), inputs=X, native_outputs=np.asarray(net.apply(variables, X)),
                      root=tmp_path)
    assert made.compare_label == "PASS"


@needs_programs
@pytest.mark.filterwarnings("ignore:lbfgs failed to converge")
def test_sklearn_keeps_its_intercepts(tmp_path):
    neural = pytest.importorskip("sklearn.neural_network", reason="scikit-learn is not installed")
    x, y = RNG.standard_normal((80, 4)), RNG.standard_normal((80, 2))
    net = neural.MLPRegressor(hidden_layer_sizes=(4,), activation="tanh", solver="lbfgs", max_iter=2000,
                              alpha=1, random_state=0).fit(x, y)
    assert np.abs(net.intercepts_[0]).max() > 0.01
    made = absorb.sklearn(net, input_dim=4, layer_units=(4, 2), activation="tanh", inputs=X,
                          native_outputs=net.predict(X.astype(np.float64)), root=tmp_path)
    assert made.compare_label == "PASS"
    with pytest.raises(ValueError) as error:
        absorb.sklearn(net, inputs=X, activation="linear", root=tmp_path)
    assert str(error.value) == ("activation: activation of dense layer 0 is said to be linear, but the model "
                                "has tanh")


def test_synonyms():
    assert [dense_stack.plain(name) for name in ("ReLU", "identity", "logistic", "")] == [
        "relu", "linear", "sigmoid", "linear"]
