"""JAX's own run of a network: its outputs and its inner tensors, in float32 and in float64."""

from __future__ import annotations

import contextlib
from dataclasses import replace

import jax
import numpy as np
from flax import linen, nnx

from ..graph import BridgeError, UsageError
from .jax_flat import CALLS, Ref, scan_turns, unrolls
from .jax_leaves import InFloat64
from .jax_modules import leaf, leaf_results, trace
from .jax_sizes import compute, extents, sizes
from .jax_specs import fixed
from .signature import plain

PRECISIONS = ("float32", "float64")


@contextlib.contextmanager
def computing(precision: str):
    """On the CPU with full-precision products; "float64" turns JAX's 64 bits on and makes the
    modules of linen compute in them."""
    if precision not in PRECISIONS:
        raise UsageError(f"precision is {precision}, expected {' or '.join(PRECISIONS)}")
    with contextlib.ExitStack() as stack:
        stack.enter_context(jax.default_device(jax.devices("cpu")[0]))
        stack.enter_context(jax.default_matmul_precision("highest"))
        if precision == "float64":
            stack.enter_context(jax.enable_x64(True))
            stack.enter_context(linen.intercept_methods(_widen_linen))
        yield


def widened(network, precision: str):
    """The network with its weights in float64, exactly, and (nnx) modules that compute in it."""
    if precision == "float32":
        return network
    run = network.run

    def wide(weights, args, named, seen=lambda live: None):
        def both(live):
            _widen_nnx(live)
            seen(live)
        return run(weights, args, named, **({"seen": both} if network.root is not None else {}))
    return replace(network, weights=[_wide(w) for w in network.weights], run=wide)


def given(arrays: dict, precision: str) -> dict:
    """Inputs as JAX takes them; for float64 they are rounded to float32 first, as Loom's are."""
    if precision == "float32":
        return arrays
    return {name: a.astype(np.float32).astype(np.float64) if _is_float(a.dtype) else a
            for name, a in arrays.items()}


def _is_float(dtype) -> bool:
    return jax.dtypes.issubdtype(dtype, np.floating)


def _wide(weight):
    return jax.numpy.asarray(weight, np.float64) if _is_float(weight.dtype) else weight


def _widen(module) -> None:
    """Let a module compute and keep its state in float64 where it says float32."""
    for name in ("dtype", "param_dtype"):
        said = getattr(module, name, None)
        if said is not None and jax.dtypes.issubdtype(said, np.float32):
            object.__setattr__(module, name, jax.numpy.float64)


def _widen_linen(function, args, kwargs, context):
    """Runs for every method call of every linen module; `apply` works on a copy of the user's."""
    _widen(context.module)
    for part in vars(context.module).values():
        if isinstance(part, linen.Module):
            _widen(part)
    # A carry may come from a cell that was not called yet, and so is not widened.
    if isinstance(context.module, linen.RNNCellBase) and context.method_name == "__call__":
        args = jax.tree.map(_wide, args)
    if kwargs.get("initial_carry") is not None:
        kwargs = {**kwargs, "initial_carry": jax.tree.map(_wide, kwargs["initial_carry"])}
    return function(*args, **kwargs)


def _widen_nnx(live) -> None:
    for _, module in nnx.iter_modules(live):
        _widen(module)
        if isinstance(module, nnx.MultiHeadAttention):
            module.attention_fn = InFloat64(module.attention_fn)


def taps(network, binding, walk, graph) -> dict[str, np.ndarray]:
    """The tensors of the graph's nodes as the network itself computes them.

    Whole layers are run by their modules, at the sizes of the inputs; the steps between them one by
    one, as they stand in the trace that became the graph.  That trace is of 32 bits: under 64 JAX
    says the same network in other steps, which no name would fit.  Outputs are those of the run.
    """
    known = _known(walk.specs, binding)
    arrays = [jax.numpy.asarray(a) for a in binding.arrays.values()]
    whole = trace(network, binding, fixed(binding.arrays.values()), walk.opened)
    results: list = []
    outputs = _run(whole.jaxpr, [*network.weights, *arrays], results)
    values = _values(walk, arrays, results, known)
    found = {}
    for name, tap in _by_final_name(walk, graph).items():
        array = values[id(tap.ref)]
        for kind, how in tap.moves:
            array = array.transpose(how) if kind == "transpose" else \
                array.reshape(extents(how, known))
        found[name] = plain(np.asarray(array))
    return found | {name: plain(np.asarray(array)) for name, array in zip(graph.outputs, outputs)
                    if name in found}


def _known(specs, binding) -> dict[str, int]:
    """The sizes in the graph's shapes by name, as the inputs have them."""
    known: dict[str, int] = {}
    for (name, array), spec in zip(binding.arrays.items(), specs):
        fits = len(spec.shape) == array.ndim and all(
            (dim if isinstance(dim, int) else known.setdefault(str(dim), extent)) == extent
            for dim, extent in zip(spec.shape, array.shape))
        if not fits:
            raise BridgeError(f"input {name}: shape {list(array.shape)} does not fit the graph, "
                              f"expected {sizes(spec.shape)}")
    return known


def _run(closed, arguments: list, results: list) -> list:
    """Run a jaxpr, noting what the modules of its leaves compute."""
    jaxpr, consts = getattr(closed, "jaxpr", closed), getattr(closed, "consts", ())
    known = dict(zip([*jaxpr.constvars, *jaxpr.invars], [*consts, *arguments]))

    def read(var):
        return var.val if hasattr(var, "val") else known[var]
    for eqn in jaxpr.eqns:
        given_ = [read(var) for var in eqn.invars]
        key = CALLS.get(eqn.primitive.name)
        if eqn.primitive is leaf:
            made = leaf_results(eqn, given_)[1]
            results.append((eqn.params["layer"].path, made))
        elif key in eqn.params:
            made = _run(eqn.params[key], given_, results)
        elif eqn.primitive.name == "cond":
            made = _run(eqn.params["branches"][int(given_[0])], given_[1:], results)
        elif eqn.primitive.name == "scan" and unrolls(eqn):
            made = _scan(eqn, given_, results)
        else:
            made = eqn.primitive.bind(*given_, **eqn.primitive.get_bind_params(eqn.params))
            made = made if eqn.primitive.multiple_results else [made]
        known.update(zip(eqn.outvars, made))
    return [read(var) for var in jaxpr.outvars]


def _scan(eqn, arguments: list, results: list) -> list:
    """Run a loop turn by turn, as it was unrolled."""
    p = eqn.params
    consts, rest = arguments[:p["num_consts"]], arguments[p["num_consts"]:]
    carry, rows = rest[:p["num_carry"]], rest[p["num_carry"]:]
    made = {}
    for turn in scan_turns(eqn):
        found = _run(p["jaxpr"], [*consts, *carry, *(row[turn] for row in rows)], results)
        carry, made[turn] = found[:p["num_carry"]], found[p["num_carry"]:]
    stacks = [jax.numpy.stack([made[turn][n] for turn in sorted(made)]) if made else
              jax.numpy.zeros(var.aval.shape, var.aval.dtype)
              for n, var in enumerate(eqn.outvars[p["num_carry"]:])]
    return [*carry, *stacks]


def _values(walk, arrays: list, results: list, known: dict) -> dict[int, object]:
    """Every value of a walk's steps, by identity: integers as wide as the steps say, floats as wide
    as JAX computes now."""
    wide = bool(jax.config.jax_enable_x64)

    def held(ref, array):
        return array if _is_float(ref.aval.dtype) else jax.numpy.asarray(array, ref.aval.dtype)
    values = {id(ref): held(ref, array) for ref, array in zip(walk.flat.inputs, arrays)}

    def read(item):
        if isinstance(item, Ref):
            return values[id(item)]
        return _wide(item.array) if wide else item.array
    for step in walk.flat.steps:
        function, x = walk.functions.get(id(step.outputs[0]), (None, None))
        if step.bind is leaf:
            made = _result(walk, step, results, known)
        elif function is not None:
            made = [function(values[id(x)])]
        else:
            made = compute(step, [read(item) for item in step.inputs], known, wide)
        values.update((id(ref), held(ref, array)) for ref, array in zip(step.outputs, made))
    return values


def _result(walk, step, results: list, known: dict) -> list:
    """What the module of a step computed; BridgeError where the run came by another one."""
    layer, (path, made) = step.params["layer"], \
        results[step.number] if step.number < len(results) else ("", [])
    if len(results) != walk.flat.leaves or path != layer.path or \
            [array.shape for array in made] != [extents(o.aval.shape, known) for o in step.outputs]:
        raise BridgeError(f"{walk.root} calls other modules for these inputs, or in this precision,"
                          f" than for its graph: {path or 'none'} stands for {layer.path}")
    return made


def _by_final_name(walk, graph) -> dict:
    """The taps by the names that the nodes' tensors have now: outputs were renamed at the end."""
    found, now = {}, {}
    for node in graph.nodes:
        first = walk.first_names.get(node.name, [node.name])
        now.update(zip(first, node.outputs))
        taps = [walk.taps.get(name) for name in first]
        if node.op == "linear" and node.name not in walk.taps:
            before = {new: old for old, new in now.items()}.get(node.inputs[0], node.inputs[0])
            taps = [walk.taps.get(before)]
        found.update((name, tap) for name, tap in zip(node.outputs, taps) if tap is not None)
    return found
