"""What `make demo` needs of Python: a network trained on scikit-learn's digits, and a way to spoil it.

  python -m planetbridging.demo train PLANET          network and test set, into the current folder
  python -m planetbridging.demo numpy                 a network that needs no framework, and its answers
  python -m planetbridging.demo flip x.npy < a > b    a stream with its largest useful weight negated
  python -m planetbridging.demo score y.npy LABELS    how often the greatest output is the right one

PLANET is sklearn, pytorch, tensorflow or jax; on each the network is made of that framework's own
layers, and answers with ten probabilities for an image of 8 by 8 pixels.
"""

from __future__ import annotations

import sys
import warnings

import numpy as np

from . import planets
from .graph import BridgeError, MachineError, UsageError
from .stream import StreamDocument

SEED = 7
HIDDEN = (64, 32)
DIGITS = 10
SIDE = 8
EPOCHS = 60
BATCH = 64
RATE = 0.002


def load_digits() -> dict[str, np.ndarray]:
    """Images as float32 in 0..1 and their digits, four fifths to train on, the rest to test."""
    from sklearn.datasets import load_digits as load
    from sklearn.model_selection import train_test_split

    x, y = load(return_X_y=True)
    names = ("x_train", "x_test", "y_train", "y_test")
    parts = train_test_split((x / 16).astype(np.float32), y, test_size=0.2, random_state=SEED, stratify=y)
    return dict(zip(names, parts))


def train(planet: str) -> None:
    """Train on PLANET; write digits.* and x_test.npy, y_test.npy, and say what was done."""
    planet = planets.canonical(planet)
    framework = planets.module(planet)
    digits = load_digits()
    TRAINERS[planet](digits["x_train"], digits["y_train"])
    for name in ("x_test", "y_test"):
        np.save(f"{name}.npy", digits[name])
    versions = ", ".join(f"{package} {planets.installed_version(package)}" for package in framework.VERSIONS)
    sizes = "-".join(map(str, (SIDE * SIDE, *HIDDEN, DIGITS)))
    print(f"{versions}: a network {sizes}, trained on {len(digits['x_train'])} images, "
          f"{len(digits['x_test'])} kept for the test")


def train_sklearn(x, y) -> None:
    """MLPClassifier, to digits.pkl."""
    import joblib
    from sklearn.neural_network import MLPClassifier

    net = MLPClassifier(hidden_layer_sizes=HIDDEN, batch_size=BATCH, learning_rate_init=RATE,
                        max_iter=EPOCHS, random_state=SEED)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        joblib.dump(net.fit(x, y), "digits.pkl")


def digits_pytorch():
    """The untrained PyTorch network."""
    from torch import nn

    return nn.Sequential(nn.Linear(SIDE * SIDE, HIDDEN[0]), nn.ReLU(), nn.Linear(*HIDDEN), nn.ReLU(),
                         nn.Linear(HIDDEN[1], DIGITS), nn.Softmax(dim=-1)).eval()


def train_pytorch(x, y) -> None:
    """nn.Sequential and torch.optim.Adam, to digits.safetensors."""
    import torch
    from safetensors.torch import save_file

    torch.manual_seed(SEED)
    net = digits_pytorch()
    optimizer = torch.optim.Adam(net.parameters(), lr=RATE)
    inputs, targets = torch.from_numpy(x), torch.from_numpy(y)
    for _ in range(EPOCHS):
        for rows in torch.randperm(len(inputs)).split(BATCH):
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(net[:-1](inputs[rows]), targets[rows]).backward()
            optimizer.step()
    save_file(net.state_dict(), "digits.safetensors")


def train_keras(x, y) -> None:
    """keras.Sequential and its own fit, to digits.keras."""
    keras = planets.module("keras").framework()
    keras.utils.set_random_seed(SEED)
    net = keras.Sequential([keras.Input((SIDE * SIDE,)),
                            *(keras.layers.Dense(units, activation="relu") for units in HIDDEN),
                            keras.layers.Dense(DIGITS, activation="softmax")], name="digits")
    net.compile(optimizer=keras.optimizers.Adam(RATE), loss="sparse_categorical_crossentropy")
    net.fit(x, y, batch_size=BATCH, epochs=EPOCHS, verbose=0)
    net.save("digits.keras")


def digits_jax():
    """The Flax network, without its parameters."""
    from flax import linen

    return linen.Sequential([linen.Dense(HIDDEN[0]), linen.relu, linen.Dense(HIDDEN[1]), linen.relu,
                             linen.Dense(DIGITS), linen.softmax])


def train_jax(x, y) -> None:
    """linen.Sequential and optax.adam, to digits.npz."""
    import jax
    import optax
    from flax.traverse_util import flatten_dict

    net = digits_jax()
    variables = net.init(jax.random.key(SEED), x[:1])
    optimizer = optax.adam(RATE)
    moments = optimizer.init(variables)

    def loss(variables, images, digits):
        chosen = jax.numpy.take_along_axis(net.apply(variables, images), digits[:, None], 1)
        return -jax.numpy.log(chosen + 1e-9).mean()

    @jax.jit
    def step(variables, moments, images, digits):
        gradient = jax.grad(loss)(variables, images, digits)
        updates, moments = optimizer.update(gradient, moments)
        return optax.apply_updates(variables, updates), moments

    rng = np.random.default_rng(SEED)
    for _ in range(EPOCHS):
        order = rng.permutation(len(x))
        for start in range(0, len(x), BATCH):
            rows = order[start:start + BATCH]
            variables, moments = step(variables, moments, x[rows], y[rows])
    np.savez("digits.npz", **flatten_dict(variables, sep="/"))


TRAINERS = {"sklearn": train_sklearn, "pytorch": train_pytorch, "keras": train_keras, "jax": train_jax}


def write_numpy() -> None:
    """The dense bedrock's network as stream and NumPy formulas: net.stream, x.npy, native.npy."""
    from . import speaking, stream
    from .bedrock import facts as fact

    facts = fact.of("dense")
    spoken = speaking.formulas(facts, facts.model("mlp_32_64_32_16_8_relu"))
    with open("net.stream", "wb") as out:
        stream.write(spoken.graph, out)
    np.save("x.npy", *spoken.inputs.values())
    np.save("native.npy", spoken.native)
    print(f"numpy {np.__version__}: a network 32-64-32-16-8, {len(spoken.native)} samples")


def flip(document: StreamDocument, x: np.ndarray) -> str:
    """Negate the largest weight of the first layer that an input not always zero reaches; its name."""
    name = next(node["name"] for node in document.nodes if node["op"] == "dense")
    axes = document.entry(name, "weight")["axes"]
    travelled = document.array(name, "weight")
    weight = travelled if axes == ["o", "i"] else travelled.T
    used = np.any(x != 0, axis=0)
    row, column = np.unravel_index((np.abs(weight) * used).argmax(), weight.shape)
    old = weight[row, column]
    weight[row, column] = -old
    document.alter(name, "weight", travelled)
    source = f"pixel ({column // SIDE}, {column % SIDE})"
    if weight.shape[1] != SIDE * SIDE:
        source = f"input {column}"
    return (f"layer {name}: weight[{row}, {column}], from {source} "
            f"to unit {row}, was {old:.9g} and is now {-old:.9g}")


def run_flip(path: str) -> None:
    """Standard input to standard output, one weight negated; its name on standard error."""
    document = StreamDocument.parse(sys.stdin.buffer)
    print(flip(document, np.load(path, allow_pickle=False)), file=sys.stderr)
    document.write(sys.stdout.buffer)


def score(outputs: str, labels: str) -> None:
    """Print the share of rows whose greatest output stands at the right digit."""
    right = np.load(outputs, allow_pickle=False).argmax(axis=1) == np.load(labels, allow_pickle=False)
    print(f"{outputs}: {right.sum()} of {len(right)} digits right, {100 * right.mean():.1f} %")


COMMANDS = {"train": (train, 1), "numpy": (write_numpy, 0), "flip": (run_flip, 1), "score": (score, 2)}


def main(argv: list[str]) -> int:
    """Run one command and return its exit status."""
    function, count = COMMANDS.get(argv[0] if argv else "", (None, 0))
    if function is None or len(argv) != count + 1:
        print(__doc__, file=sys.stderr)
        return 2
    try:
        function(*argv[1:])
    except (UsageError, BridgeError, MachineError, OSError) as error:
        print(f"demo: {error}", file=sys.stderr)
        return {UsageError: 2, MachineError: 4}.get(type(error), 4 if isinstance(error, OSError) else 3)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
