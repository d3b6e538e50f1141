"""A live network of any planet into a checkpoint, with what the checkpoint answers.

    from planetbridging import absorb
    made = absorb.pytorch(net, inputs=x, native_outputs=net(x).detach().numpy())
    print(made.compare_label, made.entity_path)

The calls and arguments are those of openfluke/planetbridging 0.7.3, which takes stacks of dense layers
and puts one activation on every layer.  Mended: any module that the layer stream has words for is taken,
and its activations are read from itself.  `layer_specs`, `layer_units` and `activation`, which only
described the stack, may be left out; where they contradict the network, that is a ValueError.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from . import api, clash, dense_stack, engines, planets, running, spec
from .arrays import read_arrays
from .bedrock import facts as fact, fixture
from .bedrocks import FIXTURE_VERSIONS
from .compare import compare_outputs, diff_label
from .dense_stack import LayerSpec
from .graph import Graph
from .results import StreamResult
from .speaking import nothing

__all__ = ["LayerSpec", "StreamResult", "jax", "keras", "pytorch", "sklearn", "stream",
           "stream_all_bedrocks", "stream_all_planets"]

stream = engines.stream
stream_all_bedrocks = engines.stream_all_bedrocks
stream_all_planets = engines.stream_all_planets

Place = str | os.PathLike


def pytorch(net, *, planet: str = "pytorch", model_id: str = "model", input_dim: int | None = None,
            layer_specs: Sequence[LayerSpec] | None = None, layer_units: Sequence[int] | None = None,
            activation: str | None = None, inputs=None, native_outputs=None,
            output_path: Place | None = None, models_dir: Place | None = None,
            fixture_version: str = "", root: Place | None = None, **options) -> StreamResult:
    """Stream a torch.nn.Module, in eval mode, into a checkpoint, and run it on `inputs`.

    `inputs` is an array [N, ...] in the network's own layout (a single row [D] is a batch of one), or
    arrays by input name.  Without it, the test inputs of a bedrock's fixture are taken if
    `fixture_version` names one (from `fixtures_dir` if that is given), cut to `input_dim` columns where
    they are [N, D].  `input_dim` is the extent
    of an input's last axis, or of all but the first together: it makes an example where there are no
    inputs, and is held against the network.  `native_outputs`, the framework's answers to the inputs
    (flattened to [N, D]), are compared.

    The file is `output_path`, or MODELS_DIR/PLANET/MODEL_ID/MODEL_ID.stream.entity, or
    ROOT/.planetbridging/absorb/PLANET/MODEL_ID.entity, `root` being the current folder by default.
    Further options: `binary`, the loom-stream to use; `fixtures_dir`; `skip_infer`, write the file only.

    ValueError for contradictions, RuntimeError with a program's message if it refuses, and before
    anything is written if there is nothing to run on; `Unsupported` lists all that has no word.
    """
    return _absorb("pytorch", net, **_given(locals(), "net"))


def keras(net, *, planet: str = "tensorflow", model_id: str = "model", input_dim: int | None = None,
          layer_specs: Sequence[LayerSpec] | None = None, layer_units: Sequence[int] | None = None,
          activation: str | None = None, inputs=None, native_outputs=None,
          output_path: Place | None = None, models_dir: Place | None = None,
          fixture_version: str = "", root: Place | None = None, **options) -> StreamResult:
    """Stream a Keras model; arguments as those of `pytorch`."""
    return _absorb("keras", net, **_given(locals(), "net"))


def jax(params, *, planet: str = "jax", model_id: str = "model", input_dim: int | None = None,
        layer_specs: Sequence[LayerSpec] | None = None, layer_units: Sequence[int] | None = None,
        activation: str | None = None, inputs=None, native_outputs=None,
        output_path: Place | None = None, models_dir: Place | None = None,
        fixture_version: str = "", root: Place | None = None, **options) -> StreamResult:
    """Stream a Flax nnx module, or a pair of a linen module or function and its variables.

    Arguments as those of `pytorch`.  Bare parameters {"Dense_0": {"kernel": [i, o], "bias": [o]}, ...}
    are a stack of dense layers and need `layer_specs`, or `layer_units` with the `activation` (relu) of
    all layers but the last.  Mended: a kernel is always [i, o], whatever its shape.
    """
    return _absorb("jax", params, **_given(locals(), "params"))


def sklearn(reg, *, planet: str = "sklearn", model_id: str = "model", input_dim: int | None = None,
            layer_specs: Sequence[LayerSpec] | None = None, layer_units: Sequence[int] | None = None,
            activation: str | None = None, inputs=None, native_outputs=None,
            output_path: Place | None = None, models_dir: Place | None = None,
            fixture_version: str = "", root: Place | None = None, **options) -> StreamResult:
    """Stream a fitted scikit-learn estimator; arguments as those of `pytorch`.

    Mended: intercepts are always taken, as scikit-learn always fits them.
    """
    return _absorb("sklearn", reg, **_given(locals(), "reg"))


def _given(values: dict, network: str) -> dict:
    """The arguments of one of the calls above but for the network itself."""
    options = {"binary": None, "fixtures_dir": None, "skip_infer": False}
    unknown = set(values["options"]) - set(options)
    if unknown:
        raise TypeError(f"unexpected argument {sorted(unknown)[0]!r}")
    rest = {key: value for key, value in values.items() if key not in (network, "options")}
    return rest | options | values["options"]


def _absorb(kind: str, obj, *, planet, model_id, input_dim, layer_specs, layer_units, activation,
            inputs, native_outputs, output_path, models_dir, fixture_version, root, binary,
            fixtures_dir, skip_infer) -> StreamResult:
    clash.refuse()
    place = running.destination(planet, model_id, output_path, models_dir, root)
    if inputs is None and fixture_version:
        inputs = _fixture(fixture_version, fixtures_dir, input_dim)
    if inputs is None and not skip_infer:
        raise RuntimeError("nothing to run on: give inputs or a fixture_version, or skip_infer=True")
    inputs = None if inputs is None else _batch(inputs)
    example = inputs
    if inputs is None and input_dim is not None:
        example = {"x": np.zeros((2, input_dim), np.float32)}
    with planets.ONE_AT_A_TIME:
        graph = _graph(kind, obj, example, model_id, layer_specs, layer_units, activation)
    dense_stack.check(graph, layer_specs, layer_units, activation)
    _check_width(graph, input_dim)
    if not skip_infer:
        _check_shapes(graph, inputs)
    with running.refusals():
        entity = running.checkpoint(graph, place, binary)
        outputs = nothing()
        if not skip_infer:
            outputs = running.rows(running.answers(entity, graph, inputs, binary))
    return _result(entity, outputs, native_outputs)


def _graph(kind: str, obj, example, model_id: str, specs, units, activation) -> Graph:
    if kind == "jax" and isinstance(obj, Mapping):
        versions = {"jax": planets.installed_version("jax"), "numpy": np.__version__}
        return dense_stack.of_params(obj, specs, units, activation, model_id, versions)
    spec.confirmed(obj, kind)
    return api.emit(obj, example=example, planet=kind, name=model_id)


def _result(entity: str, outputs: np.ndarray, native_outputs) -> StreamResult:
    layers, size = running.counts(entity)
    if native_outputs is None or not outputs.size:
        return StreamResult(entity, outputs, layers, size)
    native = running.rows(native_outputs if isinstance(native_outputs, dict)
                          else {"y": np.asarray(native_outputs)})
    greatest, mean, exact = compare_outputs(native, outputs)
    return StreamResult(entity, outputs, layers, size, greatest, mean, exact,
                        diff_label(greatest, exact=exact), native)


def _batch(inputs) -> dict[str, np.ndarray]:
    """Arrays by name, floats in float32, a single row as a batch of one."""
    made = {}
    for name, values in api.as_dict(inputs).items():
        array = np.asarray(values)
        array = array.astype(np.float32) if array.dtype.kind == "f" else array
        made[name] = array.reshape(1, -1) if array.ndim == 1 else array
    return made


def _fixture(version: str, folder: Place | None, input_dim: int | None) -> dict[str, np.ndarray]:
    """The test inputs of a bedrock's fixture, rank 2 ones cut to `input_dim` columns."""
    if folder is not None:
        held = read_arrays(str(Path(folder) / f"{version}.npz"))
        if "x_test" not in held:
            raise ValueError(f"{Path(folder) / version}.npz has no x_test, "
                             f"but {', '.join(held)}")
    else:
        named = [name for name, known in FIXTURE_VERSIONS.items() if known == version]
        if not named:
            raise ValueError(f"unknown fixture {version!r}: expected one of "
                             f"{', '.join(FIXTURE_VERSIONS.values())}, or fixtures_dir")
        held = fixture.make(fact.of(named[0]))
    if "x_test" not in held:
        raise ValueError(f"fixture {version} has several inputs, {', '.join(sorted(held))}: give inputs")
    x = held["x_test"]
    return {"x": x[:, :input_dim] if x.ndim == 2 and input_dim is not None else x}


def _check_shapes(graph: Graph, inputs: dict[str, np.ndarray]) -> None:
    """ValueError where an input has another shape than the network takes."""
    for item, array in zip(graph.inputs, inputs.values()):
        known = [extent if isinstance(dim, str) else dim
                 for dim, extent in zip(item.shape, array.shape)]
        if len(item.shape) != array.ndim or known != list(array.shape):
            raise ValueError(f"input {item.name} has shape {list(array.shape)}, "
                             f"but the model takes {list(item.shape)}")


def _check_width(graph: Graph, input_dim: int | None) -> None:
    """ValueError unless `input_dim` is the last extent of the first input, or that of all but the first."""
    shape = graph.inputs[0].shape[1:] if graph.inputs else []
    if input_dim is None or not shape or any(isinstance(dim, str) for dim in shape):
        return
    if input_dim not in (shape[-1], int(np.prod(shape))):
        raise ValueError(f"input_dim is said to be {input_dim}, "
                         f"but the model takes {graph.inputs[0].shape}")
