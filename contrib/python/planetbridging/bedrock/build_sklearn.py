"""A chain of dense layers as scikit-learn's MLPRegressor."""

from __future__ import annotations

import dataclasses

import numpy as np

from ..graph import BridgeError
from .network import Built, Network, Weights

ACTIVATIONS = {"relu": "relu", "tanh": "tanh", "sigmoid": "logistic"}


def build(network: Network, weights: Weights | None, seed: int = 42) -> Built:
    """MLPRegressor with these weights in float64; without weights one that is still to be fitted."""
    net = regressor(network, seed)
    if weights is not None:
        load(net, network, weights)
    same = dict
    return Built(net, same, same)


def biased(network: Network) -> Network:
    """The network with a bias in every dense layer: scikit-learn has no way to leave intercepts out."""
    layers = tuple(dataclasses.replace(layer, params={**layer.params, "bias": True})
                   if layer.op == "dense" else layer for layer in network.layers)
    return dataclasses.replace(network, layers=layers)


def regressor(network: Network, seed: int):
    from sklearn.neural_network import MLPRegressor

    dense = [layer for layer in network.layers if layer.op == "dense"]
    acts = {layer.op for layer in network.layers if layer.op != "dense"}
    if len(acts) > 1 or not acts <= set(ACTIVATIONS) or network.layers[-1].op != "dense":
        raise BridgeError(f"{network.id}: no MLPRegressor: expected dense layers, "
                          "between them one activation")
    return MLPRegressor(hidden_layer_sizes=tuple(layer.params["out_features"] for layer in dense[:-1]),
                        activation=ACTIVATIONS[acts.pop()] if acts else "identity", alpha=0.0,
                        random_state=seed)


def load(net, network: Network, weights: Weights) -> None:
    """Give the regressor the attributes that `fit` would."""
    names = [layer.name for layer in network.layers if layer.op == "dense"]
    net.coefs_ = [np.asarray(weights[f"{name}.weight"].T, np.float64, order="C") for name in names]
    net.intercepts_ = [np.asarray(weights[f"{name}.bias"], np.float64) for name in names]
    net.n_layers_, net.n_features_in_ = len(names) + 1, net.coefs_[0].shape[0]
    net.n_outputs_, net.out_activation_ = net.coefs_[-1].shape[1], "identity"
