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


NOTHING = ("Exception from ", "Check '", "FrontEnd API failed", "Model wasn't fully converted", "Summary:")
"""Beginnings of lines that tell of its own source files, or only that there is a message."""


def reason(error: Exception) -> str:
    """The first line that tells something, with those that its colon leads to."""
    lines = [" ".join(line.split()).removeprefix("-- ") for line in str(error).splitlines() if line.strip()]
    said = [line for line in lines if not line.startswith(NOTHING)] or lines or [type(error).__name__]
    ends = next((i for i, line in enumerate(said) if not line.endswith(":")), len(said) - 1)
    return " ".join(said[:ends + 1]).rstrip(" :")[:300]
