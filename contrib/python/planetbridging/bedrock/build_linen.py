"""A bedrock's network as a live linen module, out of linen's own layers."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import linen as nn

from ..composed.flax_ import RotaryAttention, SwiGLU, ZeroEmbed
from ..graph import BridgeError
from . import flax_plan
from .flax_plan import Plan, Run
from .network import Built, Layer, Network, Weights


class Net(nn.Module):
    """The network of `plan`; it takes the inputs in their order."""

    plan: Plan

    @nn.compact
    def __call__(self, *inputs):
        return Run(self.plan, inputs, _call).all()


def build(network: Network, weights: Weights | None, seed: int = 42) -> Built:
    """The live network (module, variables) with these weights, or with linen's own beginning."""
    plan = Plan(network)
    net = Net(plan)
    shapes = jax.eval_shape(net.init, jax.random.key(0), *plan.example())
    if weights is None:
        variables = net.init(jax.random.key(seed), *[jnp.zeros(s.shape, s.dtype)
                                                     for s in plan.example()])
        variables = _tied(network, variables)
    else:
        found = {"params": _grouped(network, flax_plan.parameters(plan, weights))}
        variables = jax.tree.map(lambda a: jnp.asarray(a, jnp.float32), found)
        _check(shapes, variables)
    return Built((net, variables), plan.to_native, plan.to_canonical, flax_plan.composed(network))


def _check(shapes, variables) -> None:
    """The tree that the module asks for, and no other."""
    wanted = jax.tree.map(lambda a: a.shape, dict(shapes))
    found = jax.tree.map(lambda a: a.shape, variables)
    if wanted.get("params", {}) != found["params"]:
        raise BridgeError(f"parameters are {found['params']}, expected {wanted.get('params')}")


def _grouped(network: Network, parameters: dict) -> dict:
    """linen has a key head for each query head: those of a group get the same numbers."""
    for layer in network.layers:
        if layer.op == "attention":
            times = layer.params["num_heads"] // layer.params["num_kv_heads"]
            for role in ("key", "value"):
                parameters[layer.name][role] = {
                    name: jnp.repeat(jnp.asarray(array), times, axis=-2)
                    for name, array in parameters[layer.name][role].items()}
    return parameters


def _tied(network: Network, variables: dict) -> dict:
    """Beginnings where heads of a group are alike."""
    for layer in network.layers:
        if layer.op == "attention" and layer.params["num_heads"] != layer.params["num_kv_heads"]:
            times = layer.params["num_heads"] // layer.params["num_kv_heads"]
            own = variables["params"][layer.name]
            for role in ("key", "value"):
                own[role] = {name: jnp.repeat(array[..., ::times, :], times, axis=-2)
                             for name, array in own[role].items()}
    return variables


def _call(layer: Layer, *arrays):
    """A layer with weights, under its own name."""
    return LAYERS[layer.op](layer, layer.params, *arrays)


def _dense(layer, p, x):
    return nn.Dense(p["out_features"], use_bias=p["bias"], name=layer.name)(x)


def _conv(layer, p, x):
    return nn.Conv(p["out_channels"], tuple(p["kernel"]), strides=tuple(p["stride"]),
                   padding=tuple(zip(p["pad_low"], p["pad_high"])),
                   kernel_dilation=tuple(p["dilation"]), feature_group_count=p["groups"],
                   use_bias=p["bias"], name=layer.name)(x)


def _recurrent(layer, p, x, *states):
    # Without a parent the cell becomes the RNN's own, and its parameters stand below the layer's.
    if layer.op == "rnn":
        function = {"tanh": nn.tanh, "relu": nn.relu}[p["activation"]]
        cell = nn.SimpleCell(p["hidden_size"], activation_fn=function, parent=None)
    else:
        cell = nn.LSTMCell(p["hidden_size"], parent=None)
    rnn = nn.RNN(cell, reverse=p["direction"] == "backward", keep_order=p["order"] == "time",
                 return_carry=True, name=layer.name)
    result = rnn(x, initial_carry=flax_plan.carry_of(layer, states))
    return flax_plan.recurrent_result(layer, result)


def _attention(layer, p, query, key=None, value=None, mask=None):
    flax_plan.checked_attention(layer)
    more = {}
    if p["rope"] != "none":
        more["attention_fn"] = RotaryAttention(p["rope"], p["rope_base"], p["causal"])
    if p["mask"] == "hide":
        mask = jnp.logical_not(mask)
    if p["causal"] and p["rope"] == "none":
        mask = nn.combine_masks(nn.make_causal_mask(query[..., 0], dtype=bool), mask, dtype=bool)
    return nn.MultiHeadDotProductAttention(
        p["num_heads"], qkv_features=p["num_heads"] * p["head_dim"],
        out_features=p["out_features"], use_bias=flax_plan.has_bias(p), deterministic=True,
        name=layer.name, **more)(query, key, value, mask=mask)


def _layernorm(layer, p, x):
    # The fast variance E[x^2] - E[x]^2 loses half the digits of rows that hardly vary.
    return nn.LayerNorm(epsilon=p["eps"], use_scale=p["scale"], use_bias=p["offset"],
                        use_fast_variance=False, name=layer.name)(x)


def _rmsnorm(layer, p, x):
    return nn.RMSNorm(epsilon=p["eps"], use_scale=p["scale"], name=layer.name)(x)


def _embedding(layer, p, ids):
    kind = ZeroEmbed if p["outside"] == "zero" else nn.Embed
    return kind(p["vocab_size"], p["embedding_dim"], name=layer.name)(ids)


def _swiglu(layer, p, x):
    return SwiGLU(p["hidden_features"], p["activation"], p["bias"], name=layer.name)(x)


LAYERS = {"dense": _dense, "conv1": _conv, "conv2": _conv, "conv3": _conv, "rnn": _recurrent,
          "lstm": _recurrent, "attention": _attention, "layernorm": _layernorm,
          "rmsnorm": _rmsnorm, "embedding": _embedding, "swiglu": _swiglu}
