"""Training on each planet, with that framework's own layers, its own Adam and its own loop.

A trainer takes a network that one of the builders made (its generators were seeded before), shuffles
anew every epoch, and takes batches of the stated size (the last of an epoch is what remains).  All
run on the CPU with one thread, so that a network is the same whenever it is trained again on the same
machine.
"""

from __future__ import annotations

import logging
import os
import warnings

import numpy as np

from .. import planets
from .facts import Training
from .network import Built

THREADS = {"TF_CPP_MIN_LOG_LEVEL": "3", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1",
           "TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1", "JAX_PLATFORMS": "cpu",
           "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"}


def prepare(planet: str) -> None:
    """One thread, on the CPU, without chatter; to be called before the framework is imported."""
    for name, value in THREADS.items():
        os.environ.setdefault(name, value)
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    planets.module(planet)
    if planet == "pytorch":
        import torch

        torch.set_num_threads(1)


def train(planet: str, built: Built, how: Training, epochs: int, seed: int, x: np.ndarray,
          y: np.ndarray) -> tuple[object, float]:
    """(the trained live network, its loss) after `epochs` on x and y, both in the planet's layout."""
    return TRAINERS[planet](built.network, how, epochs, seed, x, y)


def train_pytorch(net, how: Training, epochs: int, seed: int, x, y):
    """torch.optim.Adam over batches of a permutation."""
    import torch
    from torch import nn

    torch.manual_seed(seed)
    net.train()
    optimizer = torch.optim.Adam(net.parameters(), lr=how.learning_rate, fused=True)
    inputs, targets = torch.tensor(x, dtype=torch.float32), torch.tensor(y, dtype=torch.float32)
    for _ in range(epochs):
        for rows in torch.randperm(len(inputs)).split(how.batch):
            optimizer.zero_grad()
            nn.functional.mse_loss(net(inputs[rows]), targets[rows]).backward()
            optimizer.step()
    net.eval()
    with torch.no_grad():
        return net, nn.functional.mse_loss(net(inputs), targets).item()


def train_tensorflow(net, how: Training, epochs: int, seed: int, x, y):
    """keras.Model.fit with keras.optimizers.Adam, an epoch for each call of TensorFlow."""
    import keras

    keras.utils.set_random_seed(seed)
    net.compile(optimizer=keras.optimizers.Adam(how.learning_rate), loss=how.loss,
                steps_per_execution=-(-len(x) // how.batch), jit_compile=False)
    name, y = net.inputs[0].name, y.astype(np.float32)
    x = {name: x.astype(np.float32)}
    net.fit(x, y, batch_size=how.batch, epochs=epochs, verbose=0, shuffle=True)
    return net, float(np.mean((np.asarray(net(x)) - y) ** 2))


def train_jax(pair, how: Training, epochs: int, seed: int, x, y):
    """optax.adam on the variables of a linen module, all epochs compiled at once."""
    import jax
    import optax

    net, variables = pair
    x, y = jax.numpy.asarray(x, "float32"), jax.numpy.asarray(y, "float32")
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

    draws = jax.random.split(jax.random.key(seed), epochs)
    state = (variables, optimizer.init(variables))
    state, _ = jax.jit(lambda s, d: jax.lax.scan(epoch, s, d))(state, draws)
    return (net, state[0]), float(loss(state[0], x, y))


def train_sklearn(net, how: Training, epochs: int, seed: int, x, y):
    """MLPRegressor.fit in float64, kept from stopping early."""
    from sklearn.exceptions import ConvergenceWarning
    from threadpoolctl import threadpool_limits

    net.set_params(solver=how.optimizer, batch_size=how.batch, learning_rate_init=how.learning_rate,
                   max_iter=epochs, n_iter_no_change=epochs + 1, shuffle=True, random_state=seed)
    with warnings.catch_warnings(), threadpool_limits(1):
        warnings.simplefilter("ignore", ConvergenceWarning)
        net.fit(x, y)
        return net, float(np.mean((net.predict(x) - y) ** 2))


TRAINERS = {"pytorch": train_pytorch, "tensorflow": train_tensorflow, "jax": train_jax,
            "sklearn": train_sklearn}
