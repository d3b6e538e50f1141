"""The bedrocks' facts, fixtures, weights and networks, and the dense networks of scikit-learn and JAX.

Numbers of weights, first values and digests: openfluke/planetbridging 0.7.3, as fixtures/bedrocks has
them.  The sums below are worked out from the reference's own description of its layers.
"""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

from bedrock_runs import dense_ids, document, facts, fixture, judged, made
from conftest import needs_programs
from planetbridging import BridgeError
from planetbridging.bedrock import __main__ as steps
from planetbridging.bedrock import drawing, fixture as fixtures, kinds, living, oracle
from planetbridging.bedrock.facts import KINDS, Model
from planetbridging.bedrock.network import slots

ALL = [(kind, model.id) for kind in KINDS for model in facts[kind].models]


def network(kind, model_id):
    return kinds.of(kind).network(facts[kind], facts[kind].model(model_id))


def weights(kind, model_id):
    return kinds.of(kind).weights(facts[kind], facts[kind].model(model_id))


def inputs(kind, model_id, part="test"):
    return kinds.of(kind).inputs(facts[kind], facts[kind].model(model_id), fixture(kind), part)


def test_there_are_61_models_and_195_comparisons():
    assert len(ALL) == len(set(ALL)) == 61
    assert sum(len(f.models) * len(f.planets) for f in facts.values()) == 195
    assert {kind: len(f.models) for kind, f in facts.items()} == {
        "dense": 12, "cnn1": 5, "cnn2": 5, "cnn3": 5, "mixer": 2,
        **dict.fromkeys(("mha", "lstm", "rnn", "layernorm"), 4),
        **dict.fromkeys(("embedding", "rmsnorm", "swiglu", "residual"), 4)}


@pytest.mark.parametrize("kind, epochs, batch", [("dense", 40, 64), ("cnn1", 30, 32), ("cnn2", 30, 32),
                                                 ("cnn3", 30, 32)])
def test_what_is_trained_is_trained_as_in_the_reference(kind, epochs, batch):
    assert dataclasses.astuple(facts[kind].training) == ("adam", "mse", epochs, batch, 0.01)


def test_the_others_are_not_trained():
    assert {kind for kind in KINDS if facts[kind].training} == {"dense", "cnn1", "cnn2", "cnn3"}


# Fixtures.

@pytest.mark.parametrize("kind", KINDS)
def test_the_fixture_has_the_recorded_numbers(kind):
    """`make` itself compares shapes, first values and digests; this is what it does not."""
    made_now, recorded = fixture(kind), facts[kind].raw["arrays"]
    assert list(made_now) and set(made_now) == set(recorded)
    for name, array in made_now.items():
        assert array.dtype == np.float64 and array.flags.c_contiguous and np.isfinite(array).all(), name


def test_another_seed_is_noticed():
    with pytest.raises(BridgeError, match="^x_train begins with .*: this NumPy draws other numbers$"):
        fixtures.make(dataclasses.replace(facts["dense"], seed=43))


def test_another_digest_is_noticed():
    raw = {**facts["dense"].raw, "sha256": {"x_test": "00"}}
    with pytest.raises(BridgeError, match="^x_test has SHA-256 e00691d7.*, expected 00$"):
        fixtures.make(dataclasses.replace(facts["dense"], raw=raw))


def test_another_shape_is_noticed():
    arrays = {**facts["lstm"].raw["arrays"], "y_test": {"shape": [100, 63], "first4": [0, 0, 0, 0]}}
    raw = {**facts["lstm"].raw, "arrays": arrays}
    with pytest.raises(BridgeError, match=r"^lstm: y_test has shape \[100, 64\], expected \[100, 63\]$"):
        fixtures.make(dataclasses.replace(facts["lstm"], raw=raw))


def test_an_array_too_many_is_noticed():
    arrays = {name: what for name, what in facts["rnn"].raw["arrays"].items() if name != "y_test"}
    with pytest.raises(BridgeError, match="^rnn: the fixture has x_train, x_test, y_train, y_test, "
                                          "expected x_train, y_train, x_test$"):
        fixtures.make(dataclasses.replace(facts["rnn"], raw={**facts["rnn"].raw, "arrays": arrays}))


def test_the_fixture_as_a_file(tmp_path):
    assert steps.main(["fixture", "embedding", str(tmp_path / "f.npz")]) == 0
    with np.load(tmp_path / "f.npz") as found:
        assert sorted(found) == ["x_test", "x_train", "y_test", "y_train"]
        np.testing.assert_array_equal(found["x_test"], fixture("embedding")["x_test"])


def test_narrow_models_take_the_leading_slice():
    np.testing.assert_array_equal(inputs("dense", "linear_16_4")["x"],
                                  fixture("dense")["x_test"][:, :16].astype(np.float32))
    np.testing.assert_array_equal(inputs("cnn3", "conv3_6_4")["x"],
                                  fixture("cnn3")["x_test"][:, :, :6, :6, :6].astype(np.float32))
    assert inputs("mha", "mha_8_4_8", "train")["x"].shape == (64, 8, 8)


@pytest.mark.parametrize("model", facts["embedding"].models, ids=lambda m: m.id)
def test_as_many_tokens_are_outside_as_recorded(model):
    ids = inputs("embedding", model.id)["x"]
    counts = model["derived"]
    assert ids.dtype == np.int64 and ids.size == counts["test_tokens_total"]
    assert int((ids >= model["vocab_size"]).sum()) == counts["test_tokens_out_of_vocab"]


# Weights.

@pytest.mark.parametrize("kind, model_id", [pair for pair in ALL if pair[0] not in
                                            ("dense", "cnn1", "cnn2", "cnn3", "mha")])
def test_drawn_weights_are_the_recorded_ones(kind, model_id):
    """Drawing compares the first values with `weight_check`; here are types and that all are there."""
    found = weights(kind, model_id)
    wanted = {f"{layer.name}.{slot}": shape for layer in network(kind, model_id).layers
              for slot, shape in slots(layer).items()}
    assert {name: array.shape for name, array in found.items()} == wanted
    assert all(array.dtype == np.float32 for array in found.values())


@pytest.mark.parametrize("kind", ["dense", "cnn1", "cnn2", "cnn3", "mha"])
def test_the_framework_makes_the_weights_of_the_others(kind):
    assert weights(kind, facts[kind].models[0].id) is None


@pytest.mark.parametrize("kind, model_id", ALL)
def test_networks_have_as_many_weights_as_recorded(kind, model_id):
    counts = facts[kind].model(model_id).row.get("derived", {})
    count = {slot: 0 for slot in ("weights", "biases")}
    for layer in network(kind, model_id).layers:
        for slot, shape in slots(layer).items():
            count["biases" if slot == "bias" else "weights"] += int(np.prod(shape))
    if "weight_count" in counts:
        assert count["weights"] == counts["weight_count"]
        assert count["biases"] == counts.get("bias_count", 0)
    if "flat_weight_count" in counts:
        assert sum(count.values()) == counts["flat_weight_count"]


def test_another_weight_is_noticed():
    row = facts["rnn"].model("rnn_4_4_4").row
    altered = Model(row["id"], {**row, "weight_check": {"w": [0.1, 0.2, 0.3, 0.4]}})
    with pytest.raises(BridgeError, match="^rnn_4_4_4: w begins with .*, expected .*0.1, 0.2.*other numbers$"):
        kinds.of("rnn").weights(facts["rnn"], altered)


def test_another_weight_seed_is_noticed():
    row = facts["rnn"].model("rnn_4_4_4").row
    with pytest.raises(BridgeError, match="^rnn_4_4_4: weight_seed is 1, expected 817$"):
        drawing.weight_seed(Model(row["id"], {**row, "weight_seed": 1}))


def test_a_missing_slot_is_noticed():
    found = weights("rnn", "rnn_4_4_4")
    del found["rnn.b"]
    with pytest.raises(BridgeError, match="^rnn_4_4_4: weights are .*, expected .*rnn.b"):
        drawing.complete(network("rnn", "rnn_4_4_4"), found)


# Networks, in our own formulas.

def answer(kind, model_id):
    return oracle.run(network(kind, model_id), weights(kind, model_id), inputs(kind, model_id))["y"]


@pytest.mark.parametrize("model_id", ["mixer_all_v1", "mixer_all_v2"])
def test_mixers_answer_as_strongly_as_the_reference_records(model_id):
    """2.989e-16 and 8.473e-05: a wrong reshape, skip, norm row or seed would not give these."""
    wanted = facts["mixer"].model(model_id)["derived"]["max_abs_native_output"]
    np.testing.assert_allclose(np.abs(answer("mixer", model_id)).max(), wanted, rtol=1e-3)


def test_mixers_say_their_reshapes_and_skips():
    ops = [layer.op for layer in network("mixer", "mixer_all_v2").layers]
    assert ops == ["conv3", "reshape", "dense", "reshape", "conv2", "reshape", "dense", "relu", "reshape",
                   "conv1", "reshape", "dense", "embedding", "layernorm", "attention", "add", "rmsnorm",
                   "swiglu", "add", "rnn", "lstm", "reshape", "dense"]
    layers = {layer.name: layer for layer in network("mixer", "mixer_all_v2").layers}
    assert layers["residual_9"].inputs == ("mha_8", "layernorm_7")
    assert layers["residual_12"].inputs == ("swiglu_11", "rmsnorm_10")
    assert layers["embedding_6"].inputs == ("ids",)
    assert layers["dense_3_in"].params == {"shape": ["batch", 6]}


def test_convolutions_end_in_the_recorded_extents():
    for kind in ("cnn1", "cnn2", "cnn3"):
        for model in facts[kind].models:
            net = kinds.of(kind).network(facts[kind], model)
            rng = np.random.default_rng(1)
            drawn = {f"{layer.name}.{slot}": rng.standard_normal(shape) for layer in net.layers
                     for slot, shape in slots(layer).items()}
            y = oracle.run(net, drawn, inputs(kind, model.id))["y"]
            filters, space = model["layers"][-1]["filters"], model["derived"]["output_spatial"]
            assert list(y.shape) == [100, filters, *space]
            assert y[0].size == model["output_dim"]


def test_tokens_outside_the_table_give_rows_of_zeros():
    y, ids = answer("embedding", "embedding_16_4_4"), inputs("embedding", "embedding_16_4_4")["x"]
    assert (y[ids >= 16] == 0).all() and (y[ids < 16] != 0).all()


def test_norms_work_on_every_row():
    y = answer("layernorm", "layernorm_32")
    found = weights("layernorm", "layernorm_32")
    plain = (y - found["layernorm.beta"]) / found["layernorm.gamma"]
    np.testing.assert_allclose(plain.mean(axis=-1), 0, atol=1e-12)
    assert np.abs(plain.std(axis=-1) - 1).max() < 0.01


def test_residuals_are_sums():
    both = inputs("residual", "residual_8")
    np.testing.assert_array_equal(answer("residual", "residual_8"),
                                  both["main"].astype(float) + both["skip"].astype(float))


def test_causal_attention_sees_no_later_step():
    net, rng = network("mha", "mha_16_4_4"), np.random.default_rng(1)
    drawn = {f"mha.{slot}": rng.standard_normal(shape) for slot, shape in slots(net.layers[0]).items()}
    x = inputs("mha", "mha_16_4_4")["x"]
    later = x.copy()
    later[:, 3] += 1
    before, after = (oracle.run(net, drawn, {"x": values})["y"] for values in (x, later))
    np.testing.assert_array_equal(before[:, :3], after[:, :3])
    assert np.abs(before[:, 3] - after[:, 3]).min() > 1e-6


# Dense networks on the planet that every environment has, and the five that the reference fails.

def test_making_again_gives_the_same_bytes(tmp_path):
    first = made("sklearn", "linear_16_4")
    living.write(str(tmp_path), "sklearn", facts["dense"], facts["dense"].model("linear_16_4"),
                 fixture("dense"), "short", str(tmp_path / "trained"))
    for name in ("model.stream", "input.npy", "native.npy", "native64.npy", "numpy.npy", "made.json"):
        assert (tmp_path / name).read_bytes() == (first / name).read_bytes(), name


def test_what_a_model_says_of_itself():
    about = json.loads((made("sklearn", "mlp_32_16_4_relu") / "made.json").read_text())
    assert (about["planet"], about["threads"], about["mode"]) == ("sklearn", 1, "eval")
    assert (about["weights"], about["train"], about["composed"]) == ("trained 4 of 40 epochs", "short", [])
    assert set(about["versions"]) == {"sklearn", "numpy"}


def test_training_has_learnt_something():
    folder = made("sklearn", "mlp_32_16_4_relu")
    wanted = fixture("dense")["y_test"][:, :4]
    assert np.mean((np.load(folder / "native.npy") - wanted) ** 2) < 0.2 * np.mean(wanted ** 2)


@needs_programs
@pytest.mark.parametrize("model_id", dense_ids)
def test_sklearn_passes(model_id):
    pytest.importorskip("sklearn", reason="scikit-learn is not installed")
    result = judged(made("sklearn", model_id))
    assert result.status == 0 and result.label in ("EXACT", "PASS"), result.report


# The reference guesses the orientation of a square kernel, and drops intercepts that scikit-learn has
# fitted all the same.

def passes(planet: str, model_id: str) -> None:
    """The whole path of a model whose kernel is [i, o] in its framework."""
    pytest.importorskip(planet, reason=f"{planet} is not installed")
    assert f"{planet}/{model_id}" in facts["dense"].raw["reference_fails"]
    result = judged(made(planet, model_id))
    assert result.status == 0 and result.label in ("EXACT", "PASS"), result.report
    for node in document(made(planet, model_id)).nodes:
        if node["op"] == "dense":
            assert node["tensors"][0]["axes"] == ["i", "o"]


@needs_programs
def test_square_kernels_on_jax_32_32_32_8():
    passes("jax", "mlp_32_32_32_8_relu")


@needs_programs
def test_square_kernels_on_jax_16_16_16_16_4():
    passes("jax", "mlp_16_16_16_16_4_relu")


@needs_programs
def test_square_kernels_on_sklearn_32_32_32_8():
    passes("sklearn", "mlp_32_32_32_8_relu")


@needs_programs
def test_square_kernels_on_sklearn_16_16_16_16_4():
    passes("sklearn", "mlp_16_16_16_16_4_relu")


@needs_programs
def test_intercepts_of_sklearn_are_kept_in_the_model_without_bias():
    passes("sklearn", "mlp_32_16_8_no_bias")
    nodes = document(made("sklearn", "mlp_32_16_8_no_bias")).nodes
    assert [n["params"]["bias"] for n in nodes if n["op"] == "dense"] == [True, True]
