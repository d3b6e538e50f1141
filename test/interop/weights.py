"""Weights that leave as .safetensors: read by the safetensors package, and loaded back into live modules.

For each network of each planet: emit, loom-stream, loom-export; the package sees every slot with its name,
shape, type and values; a module that was initialised anew and takes the file computes the original's outputs
bit for bit, where before it did not; a file with one tensor missing, too much, or of another network is refused.
The same of loom-export -f torch, whose tensors are the module's own: their names, shapes and types are those of
its state dict (variables, leaves) but for whole numbers, and torch's own load_state_dict takes the file as it is.

usage: weights.py [PLANET]    one planet alone, in this process
"""

import os
import pathlib
import subprocess
import sys
import tempfile
import warnings

import numpy

TREE = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(TREE / "contrib" / "python"))

import planetbridging
from planetbridging import loading, planets, programs
from planetbridging.bedrock import training
from planetbridging.planets import holding

PLANETS = ("pytorch", "keras", "jax")
REFUSED = {("jax", "gru"): "b2_r has no place in a state dict"}
"""Networks that -f torch refuses, with the slot that is no weight of theirs: zeros beside a GRU's one bias."""


def drawn(*shape):
    return numpy.random.default_rng(11).normal(size=shape).astype("float32")


def ids(*shape):
    return numpy.random.default_rng(11).integers(0, 20, shape)


def torch_seeded(make):
    """A function of a seed: the module with weights drawn anew; beginnings that are all alike, as biases of
    0, would show nothing."""
    def build(seed):
        import torch

        torch.manual_seed(seed)
        module = make()
        with torch.no_grad():
            for name, tensor in module.state_dict(keep_vars=True).items():
                if tensor.is_floating_point():
                    tensor.copy_(torch.rand_like(tensor) * 0.5 + (0.5 if name.endswith("var") else -0.25))
        return module.eval()
    return build


def resnet():
    import torchvision

    return torchvision.models.resnet18(weights=None, num_classes=10)


def torch_networks():
    """(name, build(seed), inputs)"""
    import torch
    from torch import nn

    class Recurrent(nn.Module):
        def __init__(self, cell, **more):
            super().__init__()
            self.table = nn.Embedding(20, 6)
            self.cell = cell(6, 8, batch_first=True, **more)
            self.head = nn.Linear(8 * (1 + self.cell.bidirectional), 3)

        def forward(self, ids):
            return self.head(self.cell(self.table(ids))[0])

    class Attention(nn.Module):
        def __init__(self, **more):
            super().__init__()
            self.attention = nn.MultiheadAttention(16, 4, batch_first=True, **more)

        def forward(self, x):
            return self.attention(x, x, x, need_weights=False)[0]

    def last():
        # In memory the channels stand last, in the state dict they do not.
        return convolutions().to(memory_format=torch.channels_last)

    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.table = nn.Embedding(20, 6)
            self.head = nn.Linear(6, 20, bias=False)
            self.head.weight = self.table.weight

        def forward(self, ids):
            return self.head(torch.tanh(self.table(ids)))

    def convolutions():
        return nn.Sequential(nn.Conv2d(3, 6, 3, groups=3), nn.BatchNorm2d(6), nn.ReLU(),
                             nn.ConvTranspose2d(6, 4, 3, 2), nn.GroupNorm(2, 4), nn.Flatten(), nn.Linear(4 * 17 * 17, 5))

    return [(name, torch_seeded(make), x) for name, make, x in (
        ("mlp", lambda: nn.Sequential(nn.Linear(7, 11), nn.ReLU(), nn.LayerNorm(11), nn.Linear(11, 11)), drawn(3, 7)),
        ("conv", convolutions, drawn(2, 3, 10, 10)),
        ("last", last, drawn(2, 3, 10, 10)),
        ("conv1", lambda: nn.Sequential(nn.Conv1d(4, 4, 4, 2), nn.PReLU(4), nn.ConvTranspose1d(4, 4, 4)), drawn(2, 4, 20)),
        ("conv3", lambda: nn.Sequential(nn.Conv3d(2, 3, (1, 2, 3)), nn.InstanceNorm3d(3, affine=True)), drawn(2, 2, 4, 5, 6)),
        ("lstm", lambda: Recurrent(nn.LSTM, num_layers=2, bidirectional=True), ids(2, 5)),
        ("gru", lambda: Recurrent(nn.GRU, bidirectional=True), ids(2, 5)),
        ("rnn", lambda: Recurrent(nn.RNN, nonlinearity="relu"), ids(2, 5)),
        ("mha", Attention, drawn(2, 5, 16)),
        ("encoder", lambda: nn.TransformerEncoderLayer(16, 4, 32, batch_first=True), drawn(2, 5, 16)),
        ("tied", Tied, ids(2, 5)),
        ("half", lambda: nn.Linear(70, 30).half(), drawn(3, 70)),
        ("bfloat16", lambda: nn.LSTM(7, 5, batch_first=True).bfloat16(), drawn(2, 3, 7)),
        ("resnet18", resnet, drawn(2, 3, 64, 64)),
    )]


def keras_networks():
    keras = planets.module("keras").framework()
    of = keras.layers

    def attention():
        x = of.Input((5, 16))
        return keras.Model(x, of.LayerNormalization()(of.MultiHeadAttention(4, 6)(x, x)))

    def tied():
        table, x = of.ReversibleEmbedding(20, 6), of.Input((5,), dtype="int64")
        return keras.Model(x, table(of.Activation("tanh")(table(x)), reverse=True))

    def mobilenet():
        return keras.applications.MobileNetV2(weights=None, input_shape=(32, 32, 3), classes=5)

    def recurrent(*layers):
        return lambda: keras.Sequential([of.Input((5,), dtype="int64"), of.Embedding(20, 6), *layers, of.Dense(3)])

    def seeded(make):
        def build(seed):
            keras.backend.clear_session()
            model, random = make(), numpy.random.default_rng(seed)
            for v in model.variables:
                v.assign(random.uniform(-0.25, 0.25, v.shape) + 0.75 * ("variance" in v.path))
            return model
        return build

    return [(name, seeded(make), x) for name, make, x in (
        ("mlp", lambda: keras.Sequential([of.Input((7,)), of.Dense(11, "relu"), of.Dense(11)]), drawn(3, 7)),
        ("conv", lambda: keras.Sequential([of.Input((10, 10, 3)), of.Conv2D(6, 3, padding="same"),
                                           of.BatchNormalization(), of.DepthwiseConv2D(3), of.SeparableConv2D(4, 3),
                                           of.Conv2DTranspose(4, 3, 2), of.Flatten(), of.Dense(5)]),
         drawn(2, 10, 10, 3)),
        ("conv1", lambda: keras.Sequential([of.Input((12, 4)), of.Conv1D(4, 4), of.PReLU(), of.GroupNormalization(2)]),
         drawn(2, 12, 4)),
        ("lstm", recurrent(of.Bidirectional(of.LSTM(8, return_sequences=True)), of.LSTM(8)), ids(2, 5)),
        ("grus", recurrent(of.Bidirectional(of.GRU(8))), ids(2, 5)),
        ("gru", recurrent(of.GRU(8, return_sequences=True), of.GRU(8, reset_after=False)), ids(2, 5)),
        ("rnn", recurrent(of.SimpleRNN(8, go_backwards=True)), ids(2, 5)),
        ("mha", attention, drawn(2, 5, 16)),
        ("tied", tied, ids(2, 5)),
        ("mobilenet", mobilenet, drawn(2, 32, 32, 3)),
    )]


def jax_networks():
    import jax
    from flax import linen, nnx

    class Convolutions(linen.Module):
        @linen.compact
        def __call__(self, x):
            x = linen.BatchNorm(use_running_average=True)(linen.Conv(6, (3, 3))(x))
            x = linen.ConvTranspose(4, (3, 3), (2, 2))(linen.relu(x))
            return linen.Dense(5)(x.reshape(x.shape[0], -1))

    class Recurrent(linen.Module):
        cell: type

        @linen.compact
        def __call__(self, ids):
            return linen.Dense(3)(linen.RNN(self.cell(8))(linen.Embed(20, 6)(ids)))

    class Attention(linen.Module):
        @linen.compact
        def __call__(self, x):
            return linen.LayerNorm()(linen.MultiHeadDotProductAttention(4)(x, x))

    class Small(nnx.Module):
        def __init__(self, rngs):
            self.a, self.b = nnx.Linear(7, 11, rngs=rngs), nnx.BatchNorm(11, rngs=rngs)
            self.c = nnx.Linear(11, 11, rngs=rngs)

        def __call__(self, x):
            return self.c(nnx.relu(self.b(self.a(x))))

    def redrawn(tree, seed):
        random = numpy.random.default_rng(seed)
        return jax.tree_util.tree_map_with_path(
            lambda path, leaf: jax.numpy.asarray(random.uniform(-0.25, 0.25, leaf.shape).astype("float32")
                                                 + numpy.float32(0.75 * ("var" in str(path))))
            if leaf.dtype == "float32" else leaf, tree)

    def pair(make, x):
        def build(seed):
            module = make()
            return module, redrawn(module.init(jax.random.key(0), x), seed)
        return build

    def module(seed):
        live = Small(nnx.Rngs(seed))
        definition, state = nnx.split(live)
        return nnx.merge(definition, redrawn(state, seed))

    return [(name, pair(make, x), x) for name, make, x in (
        ("conv", Convolutions, drawn(2, 10, 10, 3)),
        ("lstm", lambda: Recurrent(linen.OptimizedLSTMCell), ids(2, 5)),
        ("gru", lambda: Recurrent(linen.GRUCell), ids(2, 5)),
        ("rnn", lambda: Recurrent(linen.SimpleCell), ids(2, 5)),
        ("mha", Attention, drawn(2, 5, 16)),
    )] + [("nnx", module, drawn(3, 7))]


NETWORKS = {"pytorch": torch_networks, "keras": keras_networks, "jax": jax_networks}


def same(a, b):
    return a.keys() == b.keys() and all(a[k].dtype == b[k].dtype and a[k].tobytes() == b[k].tobytes() for k in a)


def judge(planet, name, build, x, folder):
    """None, or what is wrong; the steps are those of the text above."""
    module = planets.module(planet)
    original = build(1)
    wanted, graph = module.native(original, {"x": x}), module.emit(original, example={"x": x}, name="network")
    entity, file = f"{folder}/network.entity", f"{folder}/network.safetensors"
    with open(f"{folder}/network.stream", "wb") as out:
        planetbridging.write(graph, out)
    programs.run("loom-stream", ["--keep-dtype", "-o", entity], stdin=f"{folder}/network.stream")
    programs.run("loom-export", ["-f", "safetensors", "-o", file, entity])
    found = values_of(planet, file)
    ours = loading.slots(graph)
    if found.keys() != ours.keys():
        return f"the package sees {sorted(found)}, expected {sorted(ours)}"
    for slot, values in ours.items():
        if found[slot].shape != values.shape or not (found[slot].astype(values.dtype) == values).all():
            return f"the package sees another {slot}"
    fresh = build(2)
    untouched = module.native(fresh, {"x": x})
    if same(untouched, wanted):
        return "a module initialised anew computes the same already: this shows nothing"
    if (bad := refused(planet, build, x, folder, found)) is not None:
        return bad
    loaded = planetbridging.load(fresh, file, example={"x": x}, planet=planet)
    made = module.native(loaded, {"x": x})
    return by_source(planet, name, build, x, folder, wanted) if same(made, wanted) else \
        "the loaded module computes something else"


def by_source(planet, name, build, x, folder, wanted):
    """The same by way of the module's own names."""
    module, file = planets.module(planet), f"{folder}/state.safetensors"
    try:
        programs.run("loom-export", ["-f", "torch", "-o", file, f"{folder}/network.entity"])
    except programs.ProgramError as error:
        words = REFUSED.get((planet, name))
        return None if words and words in str(error) else f"-f torch: {error}"
    if (planet, name) in REFUSED:
        return "-f torch: is not refused"
    keys = described(safetensors_of(planet).load_file(file))
    if keys != state(planet, build(1)):
        return f"-f torch: has {keys}, expected {state(planet, build(1))}"
    for load in LOADS[planet]:
        made = module.native(load(build(2), file), {"x": x})
        if not same(made, wanted):
            return f"-f torch: the module that {load.__name__} filled computes something else"
    found = safetensors_of(planet).load_file(file)
    first = sorted(found)[0]
    if len(found) == 1 or first in tied(planet, build(2)):
        return None
    safetensors_of(planet).save_file({k: v for k, v in found.items() if k != first}, file)
    fresh = build(2)
    before = module.native(fresh, {"x": x})
    try:
        planetbridging.load(fresh, file, example={"x": x}, planet=planet)
    except planetbridging.BridgeError as error:
        if f"lacks {first};" not in str(error):
            return f"-f torch: refused with other words: {error}"
    else:
        return f"-f torch: a file that lacks {first} is taken"
    return None if same(module.native(fresh, {"x": x}), before) else "-f torch: a refused file changed the module"


def safetensors_of(planet):
    """torch's own reader where there is bfloat16, which NumPy has not."""
    import importlib

    return importlib.import_module("safetensors.torch" if planet == "pytorch" else "safetensors.numpy")


def values_of(planet, file):
    """NumPy's arrays by name, bfloat16 as float32."""
    return {name: array.float().numpy() if str(array.dtype) == "torch.bfloat16" else numpy.asarray(array)
            for name, array in safetensors_of(planet).load_file(file).items()}


def described(arrays):
    return {key: (tuple(array.shape), str(array.dtype)) for key, array in arrays.items()}


def state(planet, network):
    """What the network itself says of its floats: (shape, type) by name."""
    if planet == "pytorch":
        return described({k: v for k, v in network.state_dict().items() if v.is_floating_point()})
    with holding.held(planet, network) as own:
        return described(own.values)


def tied(planet, network):
    """All names of tensors that have several."""
    with holding.held(planet, network) as own:
        return {*own.aliases, *own.aliases.values()}


def load_state_dict(module, file):
    """torch's own way, which wants every key; it counts batches of norms from 0 where a file does not."""
    from safetensors.torch import load_file

    module.load_state_dict(load_file(file), strict=True)
    return module


def load(network, file):
    """No example: the names say where each array belongs."""
    return planetbridging.load(network, file)


LOADS = {"pytorch": (load_state_dict, load), "keras": (load,), "jax": (load,)}


def refused(planet, build, x, folder, found):
    """None if spoilt files are refused and leave the module as it was."""
    import safetensors.numpy

    module, file, first = planets.module(planet), f"{folder}/spoilt.safetensors", sorted(found)[0]
    spoilt = {"lacks": {k: v for k, v in found.items() if k != first},
              "has the unknown": found | {"stranger": found[first]},
              "has shape": found | {first: numpy.concatenate([found[first]] * 2)}}
    for words, tensors in spoilt.items():
        safetensors.numpy.save_file(tensors, file)
        network = build(2)
        before = module.native(network, {"x": x})
        try:
            planetbridging.load(network, file, example={"x": x}, planet=planet)
        except planetbridging.BridgeError as error:
            if words not in str(error) or not (first in str(error) or "stranger" in str(error)):
                return f"refused with other words: {error}"
        else:
            return f"a file that {words} {first} is taken"
        if not same(module.native(network, {"x": x}), before):
            return "a refused file changed the module"
    return None


def one_planet(planet):
    training.prepare("tensorflow" if planet == "keras" else planet)
    warnings.simplefilter("ignore")
    good = bad = 0
    for name, build, x in NETWORKS[planet]():
        with tempfile.TemporaryDirectory() as folder:
            try:
                wrong = judge(planet, name, build, x, folder)
            except Exception as error:  # a fault of one network is a line
                wrong = f"{type(error).__name__}: {error}"
        print(f"{planet:8} {name:8} {wrong or 'bit for bit'}", flush=True)
        good, bad = good + (wrong is None), bad + (wrong is not None)
    return good, bad


def main():
    if sys.argv[1:]:
        good, bad = one_planet(sys.argv[1])
        print(f"{good} passed, {bad} failed")
        return bad > 0
    good = bad = 0
    for planet in PLANETS:
        # TensorFlow and torch each bring an LLVM: a process each.
        done = subprocess.run([sys.executable, __file__, planet], stdout=subprocess.PIPE, text=True,
                              env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"})
        lines = done.stdout.splitlines()
        print("\n".join(lines[:-1]))
        words = lines[-1].split() if lines else []
        counted = len(words) == 4 and words[1] == "passed,"
        good, bad = good + int(words[0] if counted else 0), bad + int(words[2] if counted else 1)
    print(f"{good} passed, {bad} failed")
    return bad > 0 or good == 0


if __name__ == "__main__":
    sys.exit(main())
