"""The exporters that frameworks and their own projects bring: a live network to ONNX, without any of ours.

    label, path = made("pytorch", module, {"x": x}, folder)

jax2tf is the one way out of JAX and leaves a SavedModel of one operation, XlaCallModule, that no ONNX
converter knows; TensorFlow runs it.
"""

import contextlib
import io
import logging
import os

import numpy


def pytorch(obj, inputs, folder):
    """torch.onnx.export; where its graph exporter fails, the older one that traces."""
    import torch

    from planetbridging.planets.torch_inputs import arguments, example_tensors

    obj = obj.eval()
    torch.backends.mha.set_fastpath_enabled(False)  # its fused operation has no ONNX form
    tensors = example_tensors(obj, inputs)
    args, named = arguments(obj, tensors)
    path = f"{folder}/own.onnx"
    for label, dynamo in (("torch.onnx traced", False), ("torch.onnx", True)):
        try:
            with torch.no_grad(), contextlib.redirect_stdout(io.StringIO()):
                torch.onnx.export(obj, args, path, kwargs=named or None, dynamo=dynamo, verbose=False,
                                  opset_version=None if dynamo else 17, input_names=list(tensors))
            return label, path
        except Exception as error:  # an exporter may fail in any way
            last = error
    raise last


def tensorflow(obj, inputs, folder):
    """tf2onnx of the model's call."""
    import tensorflow as tf
    import tf2onnx

    from planetbridging.planets import keras_

    logging.getLogger("tf2onnx").setLevel(logging.ERROR)
    names = list(inputs)
    signature = [tf.TensorSpec(a.shape, as_run(a).dtype, name=n) for n, a in inputs.items()]
    structure = getattr(obj, "_inputs_struct", None)

    def call(*tensors):
        if structure is None or len(tensors) == 1:
            return obj(*tensors, **keras_.inference_mode(obj))
        keras = keras_.framework()
        order = {keras_.maker_name(t): n for n, t in enumerate(keras.tree.flatten(structure))}
        ordered = sorted(zip(names, tensors), key=lambda pair: order.get(pair[0], names.index(pair[0])))
        return obj(keras.tree.pack_sequence_as(structure, [t for _, t in ordered]), training=False)

    path = f"{folder}/own.onnx"
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        tf2onnx.convert.from_function(tf.function(call, input_signature=signature), signature, opset=17,
                                      output_path=path)
    return "tf2onnx", path


def jax(obj, inputs, folder):
    """The outputs of a SavedModel that jax2tf makes, which is read back and run by TensorFlow."""
    import tensorflow as tf
    from jax.experimental import jax2tf

    from planetbridging.planets import jax_

    network = jax_.take_apart(obj)
    binding = jax_._bind(network.call, inputs)

    def call(*arrays):
        args, named = binding.arguments(dict(zip(binding.arrays, arrays)))
        return network.run(network.weights, args, named)

    values = [as_run(a) for a in binding.arrays.values()]
    function = tf.function(jax2tf.convert(call), autograph=False,
                           input_signature=[tf.TensorSpec(v.shape, v.dtype) for v in values])
    saved = tf.Module()
    saved.f = function
    tf.saved_model.save(saved, f"{folder}/saved")
    made = tf.saved_model.load(f"{folder}/saved").f(*values)
    return "jax2tf in TensorFlow", [numpy.array(t) for t in tf.nest.flatten(made)]


def sklearn(obj, inputs, folder):
    """skl2onnx."""
    import skl2onnx
    from skl2onnx.common.data_types import FloatTensorType

    (x,) = inputs.values()
    model = skl2onnx.to_onnx(obj, initial_types=[("x", FloatTensorType([None, x.shape[1]]))], target_opset=17)
    path = f"{folder}/own.onnx"
    with open(path, "wb") as out:
        out.write(model.SerializeToString())
    return "skl2onnx", path


def as_run(array):
    """The array in the type that the frameworks take."""
    return numpy.asarray(array, "float32") if array.dtype.kind == "f" else array


def made(planet, obj, inputs, folder):
    """(what made it, the path of an .onnx or a list of outputs); ValueError in one line if it cannot."""
    os.makedirs(folder, exist_ok=True)
    try:
        return {"pytorch": pytorch, "tensorflow": tensorflow, "jax": jax, "sklearn": sklearn}[planet](
            obj, inputs, folder)
    except Exception as error:  # an exporter may fail in any way
        text = " ".join(f"{type(error).__name__}: {error}".split())
        raise ValueError(text[:160]) from None
