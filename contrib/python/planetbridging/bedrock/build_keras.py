"""A bedrock's network as a Keras model of Keras's own layers.

Inside, convolutions and pooling work channels last; so do the inputs and outputs that reach them
unchanged, and what is added or activated between.  Any other operation gets its values in canonical
order by a Permute layer.  Only a `flatten` that a dense layer reads is Keras's own Flatten, which
puts channels last: the columns of that layer's kernel stand in the same order.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from . import keras_layers
from .network import Built, Layer, Network, Weights

SPATIAL = ("conv", "maxpool", "avgpool", "global_maxpool", "global_avgpool")
POINTWISE = ("linear", "relu", "relu2", "leaky_relu", "tanh", "sigmoid", "silu", "gelu")
TOGETHER = (*POINTWISE, "add", "sub", "mul", "div", "residual")
"""Operations that do not care for the layout, as long as all their values have the same."""


@dataclass(frozen=True)
class Place:
    """A tensor of the model: `last` where its channels are last; `inner` are the channels and sizes
    of what a Flatten layer made one axis, channels last."""

    tensor: object
    last: bool = False
    inner: tuple = ()


def build(network: Network, weights: Weights | None, seed: int = 42) -> Built:
    """The network with these weights, or with Keras's own initial ones after setting the seed."""
    keras = keras_layers.framework()
    keras.utils.set_random_seed(seed)
    builder = _Builder(keras, network)
    model = builder.model()
    if weights is not None:
        for layer in network.layers:
            keras_layers.load(layer, builder.made.get(layer.name), weights,
                              builder.flattened.get(layer.name, ()))
    turned_in = [item.name for item in network.inputs if item.name in builder.spatial]
    turned_out = [builder.places[name].last for name in network.outputs]
    return Built(model, lambda arrays: _to_native(arrays, turned_in),
                 lambda arrays: _to_canonical(arrays, turned_out), tuple(builder.composed))


def _to_native(arrays: dict, turned: list[str]) -> dict:
    return {name: np.ascontiguousarray(np.moveaxis(array, 1, -1)) if name in turned else array
            for name, array in arrays.items()}


def _to_canonical(arrays: dict, turned: list[bool]) -> dict:
    return {name: np.moveaxis(array, -1, 1) if last else array
            for (name, array), last in zip(arrays.items(), turned, strict=True)}


class _Builder:
    """Walks a network's layers in order; `made` holds the Keras layer of each."""

    def __init__(self, keras, network: Network):
        self.keras, self.network = keras, network
        self.made: dict[str, object] = {}
        self.composed: list[str] = []
        self.flattened: dict[str, tuple] = {}
        self.places: dict[str, Place] = {}
        self.spatial = _spatial(network)

    def model(self):
        inputs = [self._input(item) for item in self.network.inputs]
        for layer in self.network.layers:
            made = self._layer(layer)
            self.places.update(zip(layer.outputs, made, strict=True))
        outputs = [self._named(name) for name in self.network.outputs]
        outputs = outputs[0] if len(outputs) == 1 else outputs
        return self.keras.Model(inputs, outputs, name=self.network.id)

    def _input(self, item):
        sizes = [size if isinstance(size, int) else None for size in item.shape]
        last = item.name in self.spatial
        if last:
            sizes = [sizes[0], *sizes[2:], sizes[1]]
        tensor = self.keras.Input(batch_shape=sizes, dtype=item.dtype, name=item.name)
        self.places[item.name] = Place(tensor, last)
        return tensor

    def _named(self, name: str):
        """An output of the model, in canonical order unless it is one with channels last."""
        place = self.places[name]
        return self._canonical(name) if place.inner else place.tensor

    def _canonical(self, name: str):
        """A tensor in canonical order."""
        place = self.places[name]
        if not place.last:
            return place.tensor
        rank = len(place.tensor.shape)
        return self.keras.layers.Permute((rank - 1, *range(1, rank - 1)))(place.tensor)

    def _last(self, name: str):
        """A tensor with its channels last."""
        place = self.places[name]
        if place.last:
            return place.tensor
        rank = len(place.tensor.shape)
        return self.keras.layers.Permute((*range(2, rank), 1))(place.tensor)

    def _layer(self, layer: Layer) -> list[Place]:
        """What one layer makes of its inputs."""
        names = [name for name in layer.inputs if name is not None]
        if layer.op.startswith(SPATIAL):
            return [Place(self._call(layer, [self._last(names[0])]), True)]
        places = [self.places[name] for name in names]
        if layer.op in TOGETHER and any(place.last for place in places) and \
                len({len(place.tensor.shape) for place in places}) == 1:
            return [Place(self._call(layer, [self._last(name) for name in names]), True)]
        if layer.op == "flatten":
            return [self._flatten(layer, names[0])]
        if layer.op in POINTWISE and places[0].inner:
            return [Place(self._call(layer, [places[0].tensor]), False, places[0].inner)]
        if layer.op == "dense":
            self.flattened[layer.name] = places[0].inner
        made = self._call(layer, [name and self._canonical(name) for name in layer.inputs])
        return [Place(tensor) for tensor in (made if isinstance(made, (list, tuple)) else [made])]

    def _call(self, layer: Layer, inputs: list):
        made, composed = keras_layers.make(self.keras, self.network, layer, inputs)
        if composed:
            self.composed.append(layer.name)
        self.made[layer.name] = made.layer
        return made.tensors

    def _flatten(self, layer: Layer, name: str) -> Place:
        """Flatten of channels last where only dense layers read what it makes."""
        place, rank = self.places[name], len(self.places[name].tensor.shape)
        bounds = [axis % rank for axis in (layer.params["start"], layer.params["end"])]
        if bounds != [1, rank - 1]:
            return Place(keras_layers.flatten(self.keras, layer, self._canonical(name), *bounds))
        if place.last and _only_dense_reads(self.network, layer.outputs[0]):
            made = self.keras.layers.Flatten(name=layer.name)(place.tensor)
            return Place(made, False, (place.tensor.shape[-1], *place.tensor.shape[1:-1]))
        return Place(self.keras.layers.Flatten(name=layer.name)(self._canonical(name)))


def _spatial(network: Network) -> set[str]:
    """The tensors that convolutions and pooling make or read, and those added to or activated with
    them."""
    found = {name for layer in network.layers if layer.op.startswith(SPATIAL)
             for name in (layer.inputs[0], *layer.outputs)}
    groups = [{name for name in (*layer.inputs, *layer.outputs) if name}
              for layer in network.layers if layer.op in TOGETHER]
    grown = True
    while grown:
        more = set().union(*(group for group in groups if group & found)) - found
        found |= more
        grown = bool(more)
    return found


def _only_dense_reads(network: Network, name: str) -> bool:
    """Whether dense layers alone read a tensor, with no more than activations before them."""
    if name in network.outputs:
        return False
    for layer in network.layers:
        if name in layer.inputs and layer.op != "dense" and not (
                layer.op in POINTWISE and _only_dense_reads(network, layer.outputs[0])):
            return False
    return True
