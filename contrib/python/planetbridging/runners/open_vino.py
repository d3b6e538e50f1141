"""OpenVINO: an .onnx file by its own reader, in float32."""

from __future__ import annotations

import numpy as np

from ..graph import BridgeError, bind_inputs
from . import cast, quiet

PACKAGE = "openvino"
MODULES = ("openvino",)
READS = "an .onnx file"
SETTINGS = "CPU, 1 thread (--threads), INFERENCE_PRECISION_HINT f32 (its default may be bfloat16)"


def run(model: str, inputs: dict, threads: int = 1, spec: str = "") -> dict[str, np.ndarray]:
    """Without the hint a processor with bfloat16 products would use them."""
    import openvino

    hints = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": threads, "NUM_STREAMS": 1,
             "EXECUTION_MODE_HINT": "ACCURACY"}
    try:
        with quiet():
            compiled = openvino.Core().compile_model(model, "CPU", hints)
    except Exception as error:  # a file may be wrong in any way
        raise BridgeError(f"{model}: openvino refuses it: {reason(error)}") from error
    wanted = {item.get_any_name(): item.get_element_type().to_dtype() for item in compiled.inputs}
    given = bind_inputs(list(wanted), inputs)
    feed = {name: cast(name, array, wanted[name]) for name, array in given.items()}
    try:
        made = compiled(feed)
    except Exception as error:  # so may its inputs
        raise BridgeError(f"{model}: openvino cannot run these inputs: {reason(error)}") from error
    return {item.get_any_name(): np.array(made[item]) for item in compiled.outputs}


def reason(error: Exception) -> str:
    """What it says in the line behind those that tell of its own source files."""
    lines = [" ".join(line.split()) for line in str(error).splitlines() if line.strip()]
    plain = [line for line in lines if not line.startswith(("Exception from ", "Check '"))]
    return (plain or lines or [type(error).__name__])[0][:300]
