"""A bedrock's network as a live nnx module, out of nnx's own layers."""

from __future__ import annotations

import jax.numpy as jnp
from flax import nnx

from ..composed.flax_ import NnxSwiGLU, NnxZeroEmbed, RotaryAttention
from ..graph import BridgeError
from . import flax_plan
from .flax_plan import Plan, Run
from .network import Built, Layer, Network, Weights


class Net(nnx.Module):
    """The network of `plan`; its layers are attributes, and it takes the inputs in their order."""

    def __init__(self, plan: Plan, rngs: nnx.Rngs):
        self.plan = plan
        for layer in plan.network.layers:
            if layer.op in LAYERS:
                setattr(self, layer.name, LAYERS[layer.op](layer, layer.params, rngs))

    def __call__(self, *inputs):
        return Run(self.plan, inputs, self._call).all()

    def _call(self, layer: Layer, *arrays):
        module = getattr(self, layer.name)
        if layer.op == "attention":
            return _attend(module, layer.params, *arrays)
        if layer.op in ("rnn", "lstm"):
            result = module(arrays[0], initial_carry=flax_plan.carry_of(layer, arrays[1:]))
            return flax_plan.recurrent_result(layer, result)
        return module(*arrays)


def build(network: Network, weights: Weights | None, seed: int = 42) -> Built:
    """The live module with these weights, or with nnx's own beginning."""
    plan = Plan(network)
    net = Net(plan, nnx.Rngs(seed))
    net.eval()
    if plan.kept:
        net(*[jnp.zeros(s.shape, s.dtype) for s in plan.example()])
    if weights is not None:
        for name, tree in flax_plan.parameters(plan, weights).items():
            _load(getattr(net, name), tree)
    return Built(net, plan.to_native, plan.to_canonical, flax_plan.composed(network))


def _load(module, tree: dict) -> None:
    """Put arrays in the structure of linen into a module of nnx."""
    names = {"if": "if_"}
    if isinstance(module, nnx.SimpleCell):
        names = {"i": "dense_i", "h": "dense_h"}
    for name, value in tree.items():
        part = getattr(module, names.get(name, name))
        if isinstance(value, dict):
            _load(part, value)
        elif part.shape != value.shape:
            raise BridgeError(f"{name} is {list(value.shape)}, expected {list(part.shape)}")
        else:
            part[...] = jnp.asarray(value, jnp.float32)


def _dense(layer, p, rngs):
    return nnx.Linear(p["in_features"], p["out_features"], use_bias=p["bias"], rngs=rngs)


def _conv(layer, p, rngs):
    return nnx.Conv(p["in_channels"], p["out_channels"], tuple(p["kernel"]),
                    strides=tuple(p["stride"]), padding=tuple(zip(p["pad_low"], p["pad_high"])),
                    kernel_dilation=tuple(p["dilation"]), feature_group_count=p["groups"],
                    use_bias=p["bias"], rngs=rngs)


def _recurrent(layer, p, rngs):
    if layer.op == "rnn":
        # nnx.SimpleCell computes in float32 unless it is told to follow its operands.
        cell = nnx.SimpleCell(p["input_size"], p["hidden_size"], dtype=None, rngs=rngs,
                              activation_fn={"tanh": nnx.tanh, "relu": nnx.relu}[p["activation"]])
    else:
        cell = nnx.LSTMCell(p["input_size"], p["hidden_size"], rngs=rngs)
    return nnx.RNN(cell, reverse=p["direction"] == "backward", keep_order=p["order"] == "time",
                   return_carry=True, rngs=rngs)


def _attention(layer, p, rngs):
    flax_plan.checked_attention(layer)
    if p["key_features"] != p["value_features"]:
        raise BridgeError(f"{layer.name}: nnx has one width for keys and values, these have "
                          f"{p['key_features']} and {p['value_features']}")
    more = {}
    if p["rope"] != "none":
        more["attention_fn"] = RotaryAttention(p["rope"], p["rope_base"], p["causal"])
    return nnx.MultiHeadAttention(
        p["num_heads"], p["d_model"], p["num_heads"] * p["head_dim"], p["out_features"],
        num_kv_heads=p["num_kv_heads"], in_kv_features=p["key_features"],
        use_bias=flax_plan.has_bias(p), decode=False, deterministic=True, rngs=rngs, **more)


def _attend(module, p, query, key=None, value=None, mask=None):
    if p["mask"] == "hide":
        mask = jnp.logical_not(mask)
    return module(query, key, value, mask=mask, is_causal=p["causal"])


def _layernorm(layer, p, rngs):
    # The fast variance E[x^2] - E[x]^2 loses half the digits of rows that hardly vary.
    return nnx.LayerNorm(p["dim"], epsilon=p["eps"], use_scale=p["scale"], use_bias=p["offset"],
                         use_fast_variance=False, rngs=rngs)


def _rmsnorm(layer, p, rngs):
    return nnx.RMSNorm(p["dim"], epsilon=p["eps"], use_scale=p["scale"], rngs=rngs)


def _embedding(layer, p, rngs):
    kind = NnxZeroEmbed if p["outside"] == "zero" else nnx.Embed
    return kind(p["vocab_size"], p["embedding_dim"], rngs=rngs)


def _swiglu(layer, p, rngs):
    return NnxSwiGLU(p["in_features"], p["hidden_features"], activation=p["activation"],
                     use_bias=p["bias"], rngs=rngs)


LAYERS = {"dense": _dense, "conv1": _conv, "conv2": _conv, "conv3": _conv, "rnn": _recurrent,
          "lstm": _recurrent, "attention": _attention, "layernorm": _layernorm,
          "rmsnorm": _rmsnorm, "embedding": _embedding, "swiglu": _swiglu}
