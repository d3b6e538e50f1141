"""`planetbridging.stream_*`: version-1 requests, as openfluke/planetbridging makes them."""

from __future__ import annotations

import inspect
import os

import numpy as np
import pytest

import planetbridging
from conftest import needs_programs
from planetbridging import requests
from planetbridging.bedrock import facts as fact, fixture
from planetbridging.requests import DenseLayer

RNG = np.random.default_rng(11)
REFERENCE = ("bedrock payload fixture_version output_path models_dir fixtures_dir root inputs native_outputs "
             "binary skip_infer").split()
"""By `inspect.signature` of openfluke/planetbridging 0.7.3."""


def test_parameters_are_those_of_the_reference():
    assert list(inspect.signature(requests.stream_bedrock).parameters) == REFERENCE
    assert planetbridging.stream_mha is requests.stream_mha and requests.stream_mha.__name__ == "stream_mha"


@needs_programs
def test_dense_layers(tmp_path):
    first, second = RNG.standard_normal((3, 4)), RNG.standard_normal((2, 3))
    bias, x = RNG.standard_normal(3), RNG.standard_normal((5, 4))
    layers = [DenseLayer(0, 4, 3, "tanh", first, bias), DenseLayer(1, 3, 2, "linear", second)]
    made = requests.stream_dense(planet="p", model_id="m", layers=layers, input_dim=4, inputs=x,
                                 native_outputs=np.tanh(x @ first.T + bias) @ second.T, models_dir=tmp_path)
    assert made.compare_label == "PASS" and made.layer_count == 2 and made.weight_bytes == 4 * (12 + 6)
    assert made.entity_path == str(tmp_path / "p" / "m" / "m.stream.entity")
    again = requests.stream_dense(planet="p", model_id="m", layers=layers, input_dim=4, skip_infer=True,
                                  output_path=tmp_path / "x.entity")
    assert again.outputs.shape == (0, 0) and again.compare_label is None
    assert (tmp_path / "x.entity").read_bytes() == (tmp_path / "p/m/m.stream.entity").read_bytes()


def rnn(weights) -> dict:
    return {"input_size": 4, "hidden_size": 4, "seq_len": 4, "output_dim": 16, "layers": [
        {"index": 0, "kind": "rnn", "input_size": 4, "hidden_size": 4, "seq_len": 4,
         "weights": np.concatenate([w.ravel() for w in weights]).tolist()}]}


def rnn_by_hand(weights, x) -> np.ndarray:
    w, u, b = (array.astype(np.float64) for array in weights)
    h, rows = np.zeros((len(x), 4)), []
    for t in range(4):
        h = np.tanh(x[:, t] @ w.T + h @ u.T + b)
        rows.append(h)
    return np.stack(rows, axis=1).reshape(len(x), -1)


@needs_programs
def test_inputs_and_the_place_count_for_every_bedrock(tmp_path):
    weights = [RNG.standard_normal(shape).astype(np.float32) for shape in ((4, 4), (4, 4), (4,))]
    x = RNG.standard_normal((7, 4, 4)).astype(np.float32)
    made = requests.stream_rnn(rnn(weights), inputs=x, native_outputs=rnn_by_hand(weights, x),
                               output_path=tmp_path / "rnn.entity")
    assert made.compare_label == "PASS" and made.outputs.shape == (7, 16)
    assert os.listdir(tmp_path) == ["rnn.entity"]
    x = fixture.make(fact.of("rnn"))["x_test"][:, :4, :4].astype(np.float32)
    made = requests.stream_rnn(rnn(weights), fixture_version="rnn_bedrock_v1", root=tmp_path,
                               native_outputs=rnn_by_hand(weights, x))
    assert made.compare_label == "PASS" and made.outputs.shape == (100, 16)


@needs_programs
def test_two_inputs(tmp_path):
    main, skip = (RNG.standard_normal((3, 4, 8)).astype(np.float32) for _ in range(2))
    payload = {"dim": 8, "seq_len": 4, "layers": [{"index": 0, "kind": "residual", "dim": 8}]}
    made = requests.stream_residual(payload, inputs={"x_main_test": main, "x_skip_test": skip},
                                    native_outputs=main + skip, root=tmp_path)
    assert made.compare_label == "EXACT" and made.weight_bytes == 0


@needs_programs
@pytest.mark.parametrize("call, kind, message", [
    (lambda: requests.stream_bedrock("gru", {"layers": [1]}), ValueError, "unknown bedrock 'gru': expect"),
    (lambda: requests.stream_rnn({}), ValueError, "the payload has no layers"),
    (lambda: requests.stream_rnn({"layers": [{}], "planet": "a/b"}), ValueError, "planet is 'a/b', which"),
    (lambda: requests.stream_rnn(rnn([np.zeros(4)]), fixture_version="mine"), ValueError,
     "unknown fixture 'mine': expected rnn_bedrock_v1, or fixtures_dir"),
    (lambda: requests.stream_rnn(rnn([np.zeros(4)]), inputs=np.zeros((1, 4, 4))), RuntimeError, ""),
])
def test_refusals(call, kind, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(kind) as error:
        call()
    assert str(error.value).startswith(message) and str(error.value)
    assert os.listdir(tmp_path) == []
