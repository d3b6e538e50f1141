"""Version-1 requests of the layer stream, as openfluke/planetbridging makes them, to loom-stream.

`payload` is the JSON object of a bedrock (fixture, sizes, `layers` with their weights as lists); man page
loom-stream.1 says what is in one.  For networks that live in a framework `absorb` is the shorter way.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from . import clash, programs, running
from .bedrock import facts as fact, fixture
from .bedrocks import BEDROCK_IDS, FIXTURE_VERSIONS
from .compare import compare_outputs, diff_label
from .results import StreamResult

Place = str | os.PathLike


@dataclass(frozen=True, eq=False)
class DenseLayer:
    """One layer of `stream_dense`: weights [output_dim, input_dim], bias [output_dim] or None."""

    index: int
    input_dim: int
    output_dim: int
    activation: str
    weights: np.ndarray
    bias: np.ndarray | None = None


def stream_bedrock(bedrock: str, payload: Mapping, *, fixture_version: str = "",
                   output_path: Place | None = None, models_dir: Place | None = None,
                   fixtures_dir: Place | None = None, root: Place | None = None, inputs=None,
                   native_outputs=None, binary: Place | None = None,
                   skip_infer: bool = False) -> StreamResult:
    """Send a request to loom-stream; where the file goes is as in `absorb.pytorch`.

    `inputs` [N, ...] (for residual and mixer arrays by their names in a fixture) are run, or else the
    test samples of `fixture_version`, from `fixtures_dir` or made anew.  Mended: `inputs` and
    `output_path` count for every bedrock, and no second copy of the file stays behind.

    ValueError for an unknown bedrock or a payload without layers, RuntimeError with loom-stream's
    message if it refuses.
    """
    clash.refuse()
    name = bedrock.lower().strip()
    if name not in BEDROCK_IDS:
        raise ValueError(f"unknown bedrock {bedrock!r}: expected one of {', '.join(BEDROCK_IDS)}")
    if not payload.get("layers"):
        raise ValueError("the payload has no layers")
    body = {"planet": "python", "model_id": "model", **payload, "bedrock": name}
    version = fixture_version or body.get("fixture_version", "")
    place = running.destination(body["planet"], body["model_id"], output_path, models_dir, root)
    with running.refusals(), tempfile.TemporaryDirectory(prefix="planetbridging-") as folder:
        envelope = {"bedrock": name, "payload": body, "models_dir": folder, "skip_infer": skip_infer}
        unread = skip_infer and name == "dense"  # the others want their samples in any case
        if not unread and (inputs is not None or version):
            envelope |= _samples(folder, name, version, fixtures_dir, inputs)
        response = _ask(envelope, binary)
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(response["entity_path"], place)
    return _result(str(place), response, native_outputs, skip_infer)


def _samples(folder: str, name: str, version: str, fixtures_dir, inputs) -> dict:
    """Where loom-stream finds its samples."""
    if inputs is None and fixtures_dir is not None:
        return {"fixture_version": version, "fixtures_dir": str(fixtures_dir)}
    if inputs is None:
        if version != FIXTURE_VERSIONS[name]:
            raise ValueError(f"unknown fixture {version!r}: expected {FIXTURE_VERSIONS[name]}, "
                             "or fixtures_dir")
        held = fixture.make(fact.of(name))
    else:
        held = inputs if isinstance(inputs, Mapping) else {"x_test": inputs}
        version = version or "inputs"
    np.savez(os.path.join(folder, f"{version}.npz"),
             **{key: np.asarray(array, np.float64, order="C") for key, array in held.items()})
    return {"fixture_version": version, "fixtures_dir": folder}


def _ask(envelope: dict, binary) -> dict:
    """loom-stream's answer to one request; RuntimeError with its message if it is no."""
    with tempfile.NamedTemporaryFile("w", suffix=".json") as request:
        json.dump(envelope, request)
        request.flush()
        status, said, cried = programs.run(running.program("loom-stream", binary), [],
                                           stdin=request.name, answers=(0, 1))
    response = json.loads(said) if said else {}
    if status != 0 or response.get("status") != "ok":
        raise RuntimeError(response.get("message") or cried.strip() or f"loom-stream: status {status}")
    return response


def _result(entity: str, response: dict, native_outputs, skip_infer: bool) -> StreamResult:
    outputs = np.zeros((0, 0))
    if not skip_infer:
        outputs = np.asarray(response.get("outputs", outputs), np.float64)
    made = StreamResult(entity, outputs, response.get("layer_count", 0), response.get("weight_bytes", 0))
    if native_outputs is None or not outputs.size:
        return made
    native = running.rows({"y": np.asarray(native_outputs)})
    greatest, mean, exact = compare_outputs(native, outputs)
    return StreamResult(entity, outputs, made.layer_count, made.weight_bytes, greatest, mean, exact,
                        diff_label(greatest, exact=exact), native)


def stream_dense(*, planet: str, model_id: str, layers: Sequence[DenseLayer], input_dim: int,
                 **options) -> StreamResult:
    """Dense layers as arrays; options as those of `stream_bedrock`."""
    rows = [{"index": layer.index, "input_dim": layer.input_dim, "output_dim": layer.output_dim,
             "activation": layer.activation, "weights": _flat(layer.weights),
             **({} if layer.bias is None else {"bias": _flat(layer.bias)})} for layer in layers]
    return stream_bedrock("dense", {"planet": planet, "model_id": model_id, "input_dim": input_dim,
                                    "layers": rows}, **options)


def _flat(array) -> list[float]:
    return np.asarray(array, np.float64).ravel().tolist()


def stream_mixer(*, planet: str, model_id: str, layers: list[dict], output_dim: int,
                 fixture_version: str = "mixer_bedrock_v1", **options) -> StreamResult:
    """A mixer's layers, as in its payload; options as those of `stream_bedrock`."""
    return stream_bedrock("mixer", {"planet": planet, "model_id": model_id, "output_dim": output_dim,
                                    "layers": layers}, fixture_version=fixture_version, **options)


def _of(name: str):
    """stream_NAME(payload, **options)."""
    def call(payload: Mapping, **options) -> StreamResult:
        return stream_bedrock(name, payload, **options)
    call.__name__ = call.__qualname__ = f"stream_{name}"
    call.__doc__ = f"`stream_bedrock` for {name}."
    return call


stream_cnn1, stream_cnn2, stream_cnn3 = map(_of, ("cnn1", "cnn2", "cnn3"))
stream_mha, stream_lstm, stream_rnn = map(_of, ("mha", "lstm", "rnn"))
stream_layernorm, stream_rmsnorm, stream_embedding = map(_of, ("layernorm", "rmsnorm", "embedding"))
stream_swiglu, stream_residual = map(_of, ("swiglu", "residual"))
