"""Training on each planet, with that framework's own layers and its own Adam.

Every trainer seeds the generators before it builds anything, shuffles anew every epoch, and takes
batches of the stated size (the last of an epoch is what remains).  All run on the CPU with one
thread, so that a network is the same whenever it is trained again on the same machine.
"""

from __future__ import annotations

import os
import warnings

import numpy as np

from .. import planets
from .dense import Facts, Model

THREADS = {"TF_CPP_MIN_LOG_LEVEL": "3", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1",
           "TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1", "JAX_PLATFORMS": "cpu",
           "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"}


def prepare(planet: str) -> None:
    """One thread, on the CPU, without chatter; to be called before the framework is imported."""
    for name, value in THREADS.items():
        os.environ.setdefault(name, value)
    planets.module(planet)


def train(planet: str, model: Model, facts: Facts, x: np.ndarray, y: np.ndarray):
    """(live network, settings) of `model` trained on x, y."""
    network, loss, dtype = TRAINERS[planet](model, facts, x, y)
    how = facts.training
    settings = {"seed": facts.seed, "epochs": how.epochs, "batch": how.batch,
                "learning_rate": how.learning_rate, "optimizer": how.optimizer, "loss_function": how.loss,
                "loss": loss, "dtype": dtype, "mode": "eval", "device": "cpu", "threads": 1,
                "products": "full precision"}
    return network, settings


def train_pytorch(model: Model, facts: Facts, x, y):
    """nn.Sequential of nn.Linear and activations; torch.optim.Adam."""
    import torch
    from torch import nn

    torch.set_num_threads(1)
    torch.manual_seed(facts.seed)
    acts = {"relu": nn.ReLU, "tanh": nn.Tanh, "sigmoid": nn.Sigmoid}
    layers, width = [], model.inputs
    for units, activation in zip(model.units, model.activations):
        layers.append(nn.Linear(width, units, bias=model.bias))
        if activation != "linear":
            layers.append(acts[activation]())
        width = units
    net = nn.Sequential(*layers)
    how = facts.training
    optimizer = torch.optim.Adam(net.parameters(), lr=how.learning_rate, fused=True)
    inputs, targets = torch.tensor(x, dtype=torch.float32), torch.tensor(y, dtype=torch.float32)
    for _ in range(how.epochs):
        for rows in torch.randperm(len(inputs)).split(how.batch):
            optimizer.zero_grad()
            nn.functional.mse_loss(net(inputs[rows]), targets[rows]).backward()
            optimizer.step()
    with torch.no_grad():
        loss = nn.functional.mse_loss(net(inputs), targets).item()
    return net.eval(), loss, "float32"


def train_tensorflow(model: Model, facts: Facts, x, y):
    """keras.Sequential of Dense layers; keras.optimizers.Adam."""
    keras = planets.module("keras").framework()
    # Layers are numbered by process: start again, so that names do not depend on earlier models.
    keras.utils.clear_session()
    keras.utils.set_random_seed(facts.seed)
    layers = [keras.layers.Dense(units, activation=activation, use_bias=model.bias)
              for units, activation in zip(model.units, model.activations)]
    net = keras.Sequential([keras.Input((model.inputs,)), *layers])
    how = facts.training
    steps = -(-len(x) // how.batch)
    net.compile(optimizer=keras.optimizers.Adam(how.learning_rate), loss=how.loss,
                steps_per_execution=steps)
    x, y = x.astype(np.float32), y.astype(np.float32)
    net.fit(x, y, batch_size=how.batch, epochs=how.epochs, verbose=0, shuffle=True)
    return net, float(net.evaluate(x, y, batch_size=len(x), verbose=0)), "float32"


def train_jax(model: Model, facts: Facts, x, y):
    """linen.Sequential of linen.Dense; optax.adam."""
    import jax
    import optax
    from flax import linen

    acts = {"relu": linen.relu, "tanh": linen.tanh, "sigmoid": linen.sigmoid}
    layers = []
    for units, activation in zip(model.units, model.activations):
        layers.append(linen.Dense(units, use_bias=model.bias))
        if activation != "linear":
            layers.append(acts[activation])
    net = linen.Sequential(layers)
    key, draws = jax.random.split(jax.random.key(facts.seed))
    x, y = jax.numpy.asarray(x, "float32"), jax.numpy.asarray(y, "float32")
    how = facts.training
    optimizer = optax.adam(how.learning_rate)

    def loss(variables, inputs, targets):
        return ((net.apply(variables, inputs) - targets) ** 2).mean()

    def step(state, rows):
        variables, moments = state
        gradient = jax.grad(loss)(variables, x[rows], y[rows])
        updates, moments = optimizer.update(gradient, moments)
        return (optax.apply_updates(variables, updates), moments), None

    def epoch(state, draw):
        order = jax.random.permutation(draw, len(x))
        full = len(x) // how.batch * how.batch
        state, _ = jax.lax.scan(step, state, order[:full].reshape(-1, how.batch))
        return (step(state, order[full:])[0] if full < len(x) else state), None

    variables = net.init(key, x[:1])
    state = (variables, optimizer.init(variables))
    state, _ = jax.jit(lambda s, d: jax.lax.scan(epoch, s, d))(state, jax.random.split(draws, how.epochs))
    return (net, state[0]), float(loss(state[0], x, y)), "float32"


def train_sklearn(model: Model, facts: Facts, x, y):
    """MLPRegressor in float64.  It has no way to leave the intercepts out, so a model without bias
    has them here, trained like the rest."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.neural_network import MLPRegressor
    from threadpoolctl import threadpool_limits

    names = {"relu": "relu", "tanh": "tanh", "sigmoid": "logistic", "linear": "identity"}
    how = facts.training
    net = MLPRegressor(hidden_layer_sizes=model.units[:-1], activation=names[model.activations[0]],
                       solver=how.optimizer, alpha=0.0, batch_size=how.batch,
                       learning_rate_init=how.learning_rate, max_iter=how.epochs,
                       n_iter_no_change=how.epochs + 1, shuffle=True, random_state=facts.seed)
    with warnings.catch_warnings(), threadpool_limits(1):
        warnings.simplefilter("ignore", ConvergenceWarning)
        net.fit(x, y)
        loss = float(np.mean((net.predict(x) - y) ** 2))
    return net, loss, "float64"


TRAINERS = {"pytorch": train_pytorch, "tensorflow": train_tensorflow, "jax": train_jax,
            "sklearn": train_sklearn}
