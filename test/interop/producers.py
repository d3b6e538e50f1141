"""ONNX files as their usual producers write them, through loom-infer and ONNX Runtime: the same numbers.

torch.onnx.export (both exporters), tf2onnx of Keras models, skl2onnx.  Seeded inputs of two batch sizes; every
output within 1e-5 max(1, max|y|) of ONNX Runtime's.

usage: producers.py [--table FILE] [--keep FOLDER] [NAME...]
       names: parts of what stands in the table's second column
       --keep: leave each file there with the inputs of the first batch size and ONNX Runtime's outputs
"""

import argparse
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import warnings

import numpy

warnings.filterwarnings("ignore")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

TREE = pathlib.Path(__file__).resolve().parents[2]
BOUND = 1e-5
BATCHES = (2, 5)


class Producer:
    """name, write(path), shapes(batch): the extents of each input; outputs: those to end at (None: the file's);
    integers: inputs are below that; refused: what the line says with which it must be refused."""

    def __init__(self, name, write, shapes, outputs=None, integers=0, refused=None):
        self.name, self.write, self.shapes, self.outputs = name, write, shapes, outputs
        self.integers, self.refused = integers, refused


# ---- torch ----


def torch_modules(torch, nn):
    """Those that are no sequence of torch's own."""

    class Recurrent(nn.Module):
        def __init__(self, kind, **more):
            super().__init__()
            self.cell = kind(6, 8, batch_first=True, **more)
            self.head = nn.Linear(16 if more.get("bidirectional") else 8, 3)

        def forward(self, x):
            return self.head(self.cell(x)[0])

    class SelfAttention(nn.Module):
        def __init__(self):
            super().__init__()
            self.attention = nn.MultiheadAttention(16, 4, batch_first=True)

        def forward(self, x):
            return self.attention(x, x, x, need_weights=False)[0]

    class Tagger(nn.Module):
        def __init__(self):
            super().__init__()
            self.table = nn.Embedding(50, 12)
            self.cell = nn.GRU(12, 8, batch_first=True)

        def forward(self, ids):
            return self.cell(self.table(ids))[0]

    class Shapes(nn.Module):
        """Extents that are computed: what exporters write as Shape, Gather, Mul, Concat, Reshape, Expand ..."""

        def forward(self, x):
            batch, length, width = x.shape
            heads = x.reshape(batch, length, 4, width // 4).transpose(1, 2)
            wide = heads.reshape(batch * 4, length, -1).unsqueeze(1).expand(batch * 4, 3, length, width // 4)
            places = torch.arange(length).float().unsqueeze(-1)
            halves = torch.cat([wide[:, :, : length // 2], wide[:, :, length // 2 :]], 2) + places
            return halves.flatten(1, 2).reshape(batch, -1, width)

    return Recurrent, SelfAttention, Tagger, Shapes


def torch_networks():
    import torch
    from torch import nn

    Recurrent, SelfAttention, Tagger, Shapes = torch_modules(torch, nn)

    def torchvision(name):
        import torchvision.models as models

        return getattr(models, name)(num_classes=10)

    flat, line, sequence = (7,), (4, 20), (9, 6)
    return [
        ("mlp", lambda: nn.Sequential(nn.Linear(7, 11), nn.ReLU(), nn.Linear(11, 3), nn.Softmax(-1)), flat),
        ("linear-rank3", lambda: nn.Linear(6, 5), sequence),
        ("conv1", lambda: nn.Sequential(nn.Conv1d(4, 6, 3, 2, 1), nn.BatchNorm1d(6), nn.ReLU()), line),
        ("conv2", lambda: nn.Sequential(nn.Conv2d(3, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8), nn.GELU(),
                                        nn.MaxPool2d(2), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 4)),
         (3, 12, 12)),
        ("conv3", lambda: nn.Sequential(nn.Conv3d(2, 4, (1, 3, 3)), nn.LeakyReLU(0.1), nn.AvgPool3d(2)), (2, 4, 8, 8)),
        ("transposed", lambda: nn.Sequential(nn.ConvTranspose2d(3, 5, 3, 2, 1, 1), nn.ELU()), (3, 6, 6)),
        ("batchnorm", lambda: nn.BatchNorm1d(7), flat),
        ("layernorm", lambda: nn.Sequential(nn.LayerNorm(6), nn.GELU(approximate="tanh")), sequence),
        ("gelu", lambda: nn.Sequential(nn.Linear(7, 7), nn.GELU(), nn.SiLU(), nn.Hardswish(), nn.Mish()), flat),
        ("groupnorm", lambda: nn.GroupNorm(2, 4), line),
        ("lstm", lambda: Recurrent(nn.LSTM), sequence),
        ("lstm-2-both", lambda: Recurrent(nn.LSTM, num_layers=2, bidirectional=True), sequence),
        ("gru", lambda: Recurrent(nn.GRU), sequence),
        ("rnn", lambda: Recurrent(nn.RNN), sequence),
        ("tagger", Tagger, (9,)),
        ("attention", SelfAttention, (7, 16)),
        ("shapes", Shapes, (None, 8)),
        ("encoder", lambda: nn.TransformerEncoderLayer(16, 4, 32, batch_first=True), (7, 16)),
        ("encoder-first", lambda: nn.TransformerEncoderLayer(16, 4, 32, batch_first=True, norm_first=True,
                                                             activation="gelu"), (7, 16)),
        ("resnet18", lambda: torchvision("resnet18"), (3, 64, 64)),
        ("mobilenet_v2", lambda: torchvision("mobilenet_v2"), (3, 64, 64)),
    ], torch


def settle(module, torch):
    """Statistics of normalisations that are not 0 and 1."""
    for part in module.modules():
        if hasattr(part, "running_mean") and part.running_mean is not None:
            torch.nn.init.normal_(part.running_mean, 0, 0.2)
            torch.nn.init.uniform_(part.running_var, 0.5, 1.5)
    return module.eval()


def torch_cases():
    networks, torch = torch_networks()

    def writer(name, make, extents, dynamo):
        def write(path):
            torch.manual_seed(5)
            torch.backends.mha.set_fastpath_enabled(False)
            module = settle(make(), torch)
            integers = name == "tagger"
            sizes = [6 if extent is None else extent for extent in extents]
            x = torch.randint(0, 50, (3, *sizes)) if integers else torch.randn(3, *sizes)
            free = {0: "batch"} | {axis + 1: "length" for axis, extent in enumerate(extents) if extent is None}
            if dynamo:
                torch.onnx.export(module, (x,), path, dynamo=True, verbose=False, input_names=["x"],
                                  output_names=["y"], external_data=name == "resnet18",
                                  dynamic_shapes=({k: torch.export.Dim(v) for k, v in free.items()},))
            else:
                torch.onnx.export(module, (x,), path, dynamo=False, input_names=["x"], output_names=["y"],
                                  dynamic_axes={"x": free, "y": {0: "batch"}})
        return write

    for name, make, extents in networks:
        for dynamo in (False, True):
            if name.startswith("encoder") and not dynamo:
                continue  # this release's TorchScript exporter raises a TypeError for it
            yield Producer(f"torch.{'dynamo' if dynamo else 'script'}.{name}", writer(name, make, extents, dynamo),
                           lambda batch, extents=extents: [(batch, *(e or 2 * batch + 1 for e in extents))],
                           integers=50 if name == "tagger" else 0)


# ---- keras ----


def keras_cases():
    def writer(layers, extents):
        def write(path):
            import keras
            import tensorflow
            import tf2onnx

            keras.utils.set_random_seed(5)
            model = keras.Sequential([keras.Input(extents), *layers(keras.layers)])
            for weight in model.weights:
                if "moving_mean" in weight.path or "beta" in weight.path:
                    weight.assign(numpy.random.default_rng(1).normal(0, 0.2, weight.shape))
                if "moving_variance" in weight.path or "gamma" in weight.path:
                    weight.assign(numpy.random.default_rng(2).uniform(0.5, 1.5, weight.shape))
            signature = [tensorflow.TensorSpec((None, *extents), tensorflow.float32, name="x")]
            call = tensorflow.function(lambda x: model(x, training=False), input_signature=signature)
            tf2onnx.convert.from_function(call, signature, opset=17, output_path=str(path))
        return write

    def mobile(of):
        block = [of.Conv2D(8, 3, 2, "same", use_bias=False), of.BatchNormalization(), of.ReLU(6.0)]
        for filters, stride in ((16, 1), (24, 2)):
            block += [of.DepthwiseConv2D(3, stride, "same", use_bias=False), of.BatchNormalization(), of.ReLU(6.0),
                      of.Conv2D(filters, 1, use_bias=False), of.BatchNormalization(), of.ReLU(6.0)]
        return block + [of.GlobalAveragePooling2D(), of.Dense(5, "softmax")]

    networks = [
        ("dense", lambda of: [of.Dense(9, "relu"), of.Dense(4, "softmax")], (7,)),
        ("dense-rank3", lambda of: [of.Dense(5, "tanh")], (4, 7)),
        ("conv", lambda of: [of.Conv2D(6, 3, 2, "same", activation="relu"), of.MaxPooling2D(2), of.Flatten(),
                             of.Dense(3)], (12, 12, 3)),
        ("conv1", lambda of: [of.Conv1D(6, 3, padding="causal"), of.GlobalMaxPooling1D()], (15, 4)),
        ("batchnorm", lambda of: [of.Dense(6), of.BatchNormalization(), of.LayerNormalization()], (7,)),
        ("lstm", lambda of: [of.LSTM(8, return_sequences=True), of.LSTM(5), of.Dense(2)], (9, 6)),
        ("gru", lambda of: [of.GRU(8, return_sequences=True), of.Dense(2)], (9, 6)),
        ("mobile", mobile, (32, 32, 3)),
    ]
    for name, layers, extents in networks:
        loops = r"node \S+ \(Loop, opset 17\): a graph within a graph" if name == "gru" else None
        yield Producer(f"tf2onnx.{name}", writer(layers, extents),
                       lambda batch, extents=extents: [(batch, *extents)], refused=loops)


# ---- scikit-learn ----


def learner_cases():
    def writer(make, classes, zipmap=False):
        def write(path):
            import skl2onnx
            from skl2onnx.common.data_types import FloatTensorType

            rng = numpy.random.default_rng(5)
            x = rng.normal(1, 2, (60, 6)).astype(numpy.float32)
            y = rng.integers(0, classes, 60) if classes else x @ rng.normal(size=(6, 2))
            model = make().fit(x, y)
            options = {"zipmap": zipmap} if classes else None
            path.write_bytes(skl2onnx.to_onnx(model, initial_types=[("x", FloatTensorType([None, 6]))],
                                              options=options, target_opset=17).SerializeToString())
        return write

    def models():
        from sklearn.linear_model import LinearRegression, LogisticRegression
        from sklearn.neural_network import MLPClassifier, MLPRegressor
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import MinMaxScaler, Normalizer, StandardScaler

        return [
            ("mlp", lambda: MLPClassifier(hidden_layer_sizes=(9,), max_iter=20, random_state=0), 3, ["probabilities"]),
            ("mlp-regressor",
             lambda: MLPRegressor(hidden_layer_sizes=(9,), activation="tanh", max_iter=20, random_state=0), 0, None),
            ("logistic", lambda: LogisticRegression(), 3, ["probabilities"]),
            ("logistic-two", lambda: LogisticRegression(), 2, ["probabilities"]),
            ("scaled", lambda: make_pipeline(StandardScaler(), LogisticRegression()), 3, ["probabilities"]),
            ("normalized", lambda: make_pipeline(Normalizer("l2"), LinearRegression()), 0, None),
            ("ranged", lambda: make_pipeline(MinMaxScaler(), LinearRegression()), 0, None),
            ("linear", lambda: LinearRegression(), 0, None),
        ]

    def tree():
        from sklearn.tree import DecisionTreeClassifier

        return DecisionTreeClassifier(max_depth=3)

    for name, make, classes, outputs in models():
        yield Producer(f"skl2onnx.{name}", writer(make, classes), lambda batch: [(batch, 6)], outputs)
        # Whole: refused for its labels, or their map, with the words that would have it read.
        hints = {False: "probabilities", True: "out_activations_result" if name == "mlp" else "probabilities",
                 "columns": "i0 --outputs i1" + " --outputs i2" * (classes == 3)}
        for zipmap, hint in hints.items() if classes else ():
            yield Producer(f"skl2onnx.{name}, zipmap {zipmap}", writer(make, classes, zipmap), None,
                           refused=f"; what can be read: --outputs {hint}$")
    for zipmap in (False, True):  # there is nothing of a tree that could be
        yield Producer(f"skl2onnx.tree, zipmap {zipmap}", writer(tree, 3, zipmap), None,
                       refused=r"(not an operator that is read|what is wanted instead \(--outputs\))$")


# ---- both sides ----


def reference(path, inputs, outputs):
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    names = outputs or [o.name for o in session.get_outputs()]
    given = dict(zip((i.name for i in session.get_inputs()), inputs))
    return given, dict(zip(names, session.run(names, given)))


def ours(programs, path, given, outputs, where):
    """The outputs by name; SystemExit with the line where a program refuses."""
    from safetensors.numpy import load_file, save_file

    model, x, y = path, where / "in.safetensors", where / "out.safetensors"
    if outputs:
        model = where / "cut.entity"
        call([programs / "loom-import", *(f"--outputs={name}" for name in outputs), "-o", model, path])
    save_file({k: numpy.ascontiguousarray(v) for k, v in given.items()}, x)
    call([programs / "loom-infer", "-m", model, "-f", "safetensors", "-o", y, x])
    return load_file(y)


def call(command):
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    if done.returncode != 0:
        raise RuntimeError(f"status {done.returncode}: {done.stderr.strip()}")


def distance(found, wanted):
    if found.shape != wanted.shape:
        raise RuntimeError(f"{found.shape}, expected {wanted.shape}")
    scale = max(1.0, float(numpy.abs(wanted).max(initial=0)))
    return float(numpy.abs(found.astype(numpy.float64) - wanted).max(initial=0)) / scale


def keep(folder, producer, path, given, wanted):
    """Without what says where on the machine that made it something lay."""
    import onnx
    from safetensors.numpy import save_file

    stem = pathlib.Path(folder) / producer.name
    stem.parent.mkdir(parents=True, exist_ok=True)
    model = onnx.load(path)
    for part in (model, model.graph, *model.graph.node, *model.graph.value_info, *model.graph.input,
                 *model.graph.output, *model.graph.initializer):
        part.doc_string = ""
        del part.metadata_props[:]
    pathlib.Path(f"{stem}.onnx").write_bytes(model.SerializeToString(deterministic=True))
    save_file({k: numpy.ascontiguousarray(v) for k, v in given.items()}, f"{stem}.in")
    save_file({k: numpy.ascontiguousarray(v) for k, v in wanted.items()}, f"{stem}.out")


def judge(programs, producer, folder):
    """The greatest distance over outputs and batch sizes, relative to what is allowed."""
    most = 0.0
    with tempfile.TemporaryDirectory() as directory:
        where = pathlib.Path(directory)
        path = where / "network.onnx"
        producer.write(path)
        if producer.refused is not None:
            return refusal(programs, path, producer.refused)
        for batch in BATCHES:
            rng = numpy.random.default_rng(batch)
            inputs = [rng.integers(0, producer.integers, s) if producer.integers else
                      rng.normal(size=s).astype(numpy.float32) for s in producer.shapes(batch)]
            given, wanted = reference(path, inputs, producer.outputs)
            if folder and batch == BATCHES[0]:
                keep(folder, producer, path, given, wanted)
            found = ours(programs, path, given, producer.outputs, where)
            if set(found) != set(wanted):
                raise RuntimeError(f"outputs {sorted(found)}, expected {sorted(wanted)}")
            most = max([most] + [distance(found[name], array) for name, array in wanted.items()])
    return most


def refusal(programs, path, expected):
    """0 where loom-import refuses the file with status 3 and one line that says this."""
    done = subprocess.run([programs / "loom-import", "-o", os.devnull, path], capture_output=True, text=True)
    line = done.stderr.strip()
    if done.returncode != 3 or "\n" in line or not re.search(expected, line):
        raise RuntimeError(f"status {done.returncode}: {line}; expected 3 and {expected}")
    return 0.0


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--table", default="build/interop/producers.txt")
    parser.add_argument("--keep")
    parser.add_argument("names", nargs="*")
    options = parser.parse_args()
    programs = pathlib.Path(os.environ.get("PLANETBRIDGING_BIN") or TREE / "build/bin").resolve()
    bad = done = 0
    table = pathlib.Path(options.table)
    table.parent.mkdir(parents=True, exist_ok=True)
    with table.open("w") as file:
        for producer in (*torch_cases(), *learner_cases(), *keras_cases()):
            if options.names and not any(name in producer.name for name in options.names):
                continue
            done += 1
            try:
                most = judge(programs, producer, options.keep)
                line = f"{'PASS' if most <= BOUND else 'DIFF'} {producer.name:30} {most:.2g}"
            except Exception as error:  # whatever a framework throws is a row of the table
                most = numpy.inf
                line = f"FAIL {producer.name:30} {type(error).__name__}: {str(error)[:400]}"
            bad += not most <= BOUND
            print(line, file=file)
            print(line, flush=True)
    print(f"{done} files, {bad} not as ONNX Runtime has them; {table}")
    print(f"{done - bad} passed, {bad} failed")
    return 1 if bad or not done else 0


if __name__ == "__main__":
    sys.exit(main())
