"""ONNX Runtime: an .onnx file, its operators one by one as they stand there."""

from __future__ import annotations

import numpy as np

from ..graph import BridgeError, bind_inputs
from ..planets.signature import one_line
from . import cast

PACKAGE = "onnxruntime"
MODULES = ("onnxruntime",)
READS = "an .onnx file"
SETTINGS = "CPU, 1 thread (--threads), float32 as the file says, graph optimisations off"

TYPES = {"tensor(float)": "float32", "tensor(double)": "float64", "tensor(float16)": "float16",
         "tensor(int64)": "int64", "tensor(int32)": "int32", "tensor(int16)": "int16",
         "tensor(int8)": "int8", "tensor(uint8)": "uint8", "tensor(bool)": "bool"}


def run(model: str, inputs: dict, threads: int = 1, spec: str = "",
        optimised: bool = False) -> dict[str, np.ndarray]:
    """Optimisations fuse operators, with which a wrong file might be run as a right one: without them,
    unless `optimised` asks for its own defaults."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    if not optimised:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    try:
        session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # a file may be wrong in any way
        raise BridgeError(f"{model}: onnxruntime refuses it: {one_line(error)}") from error
    wanted = {item.name: item.type for item in session.get_inputs()}
    given = bind_inputs(list(wanted), inputs)
    feed = {name: cast(name, array, TYPES[wanted[name]]) for name, array in given.items()}
    names = [item.name for item in session.get_outputs()]
    try:
        return dict(zip(names, session.run(names, feed)))
    except Exception as error:  # so may its inputs
        raise BridgeError(f"{model}: onnxruntime cannot run these inputs: {one_line(error)}") from error
