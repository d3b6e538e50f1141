"""A jaxpr as one list of steps: calls opened, what depends on constants alone computed, no-ops and
dead code gone.

Weights, captured arrays and literals are `Const`s, everything else a `Ref`.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, field

import jax
import numpy as np
from jax.extend.core import Literal

from .jax_modules import leaf, leaf_results, scope_of

CALLS = {"jit": "jaxpr", "pjit": "jaxpr", "closed_call": "call_jaxpr", "core_call": "call_jaxpr",
         "custom_jvp_call": "call_jaxpr", "custom_vjp_call": "call_jaxpr", "checkpoint": "jaxpr",
         "remat2": "jaxpr"}
"""Primitives that only wrap other equations, and the parameter that holds those."""

RESHAPED = ("reshape", "broadcast_in_dim", "squeeze", "expand_dims", "transpose",
            "convert_element_type")
"""Primitives whose result still is the weight that they are given."""

SAME = ("copy", "copy_p", "stop_gradient", "optimization_barrier")


@dataclass(eq=False)
class Ref:
    """A value that depends on the inputs; `aval` has its shape and dtype."""

    aval: object


@dataclass(eq=False)
class Const:
    """An array known now; `source` names the weight it is, "" if it was computed or is a number."""

    array: object
    source: str = ""


@dataclass(eq=False)
class Step:
    """One equation: a primitive, its inputs (Refs and Consts), its outputs, its module.

    `bind` is JAX's primitive, `number` counts the modules that are kept whole.
    """

    primitive: str
    params: dict
    inputs: list
    outputs: list[Ref]
    scope: tuple[str, str] | None = None
    bind: object = None
    number: int = -1


@dataclass
class Flat:
    """The steps in order, the inputs of the network, and its outputs (Refs and Consts)."""

    inputs: list[Ref]
    outputs: list = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)
    leaves: int = 0


def flatten(closed, weights=(), sources=()) -> Flat:
    """Flatten a closed jaxpr whose first inputs are `weights`."""
    jaxpr = closed.jaxpr
    known = [Const(array, source) for array, source in zip(weights, sources)]
    inputs = [Ref(var.aval) for var in jaxpr.invars[len(known):]]
    flat = Flat(inputs)
    flat.outputs = _open(flat, closed, known + inputs, None)
    _drop_dead(flat)
    return flat


def _open(flat: Flat, closed, arguments: list, scope) -> list:
    """Append the equations of a jaxpr for `arguments` in place of its inputs; what it returns."""
    jaxpr, consts = getattr(closed, "jaxpr", closed), getattr(closed, "consts", ())
    known = dict(zip(jaxpr.invars, arguments))
    known.update((var, Const(array)) for var, array in zip(jaxpr.constvars, consts))

    def item(var):
        if isinstance(var, Literal):
            return Const(np.asarray(var.val, var.aval.dtype))
        return known[var]
    for eqn in jaxpr.eqns:
        made = _step(flat, eqn, [item(var) for var in eqn.invars],
                     scope_of(eqn.source_info.name_stack) or scope)
        known.update(zip(eqn.outvars, made))
    return [item(var) for var in jaxpr.outvars]


def _step(flat: Flat, eqn, arguments: list, scope) -> list:
    """What an equation makes: what a call makes, folded constants, its input, or a new step."""
    name = eqn.primitive.name
    if eqn.primitive is leaf:
        return _leaf(flat, eqn, arguments, scope)
    axis = _take_axis(eqn, arguments)
    if axis is not None:
        name, eqn = "take", eqn.replace(params={"axis": axis})
    elif CALLS.get(name) in eqn.params:
        return _open(flat, eqn.params[CALLS[name]], arguments, scope)
    if all(isinstance(a, Const) for a in arguments) and _is_static(eqn):
        made = eqn.primitive.bind(*[a.array for a in arguments], **eqn.params)
        made = made if eqn.primitive.multiple_results else [made]
        source = arguments[0].source if name in RESHAPED else ""
        return [Const(array, source) for array in made]
    if _is_same(eqn):
        return arguments[:len(eqn.outvars)]
    return _append(flat, Step(name, eqn.params, arguments, [Ref(var.aval) for var in eqn.outvars],
                              scope, eqn.primitive))


def _append(flat: Flat, step: Step) -> list[Ref]:
    flat.steps.append(step)
    return step.outputs


def _leaf(flat: Flat, eqn, arguments: list, scope) -> list[Ref]:
    """The step of a module that is kept whole: what it computed itself becomes dead code."""
    flat.leaves += 1
    return _append(flat, Step(eqn.primitive.name, eqn.params, leaf_results(eqn, arguments)[0],
                              [Ref(var.aval) for var in eqn.outvars], scope, eqn.primitive,
                              flat.leaves - 1))


def _take_axis(eqn, arguments: list) -> int | None:
    """The axis of a jax.numpy.take with its usual mode, or None: found by tracing that."""
    if eqn.params.get("name") != "_take" or all(isinstance(a, Const) for a in arguments):
        return None
    specs = [jax.ShapeDtypeStruct(var.aval.shape, var.aval.dtype) for var in eqn.invars]
    if len(specs) != 2 or specs[1].dtype.kind not in "iu":
        return None
    for axis in range(len(specs[0].shape)):
        traced = jax.make_jaxpr(functools.partial(jax.numpy.take, axis=axis))(*specs).eqns[0]
        if str(traced.params.get("jaxpr")) == str(eqn.params["jaxpr"]):
            return axis
    return None


def _is_static(eqn) -> bool:
    """Whether an equation of constants can be computed now: no symbolic size in it."""
    return eqn.primitive.name != "dim_as_value" and all(
        isinstance(size, int) for var in eqn.outvars for size in var.aval.shape)


def _is_same(eqn) -> bool:
    """Whether an equation hands its input on: copies, and conversions that a float survives."""
    name = eqn.primitive.name
    if name in SAME:
        return True
    if name != "convert_element_type":
        return False
    old, new = eqn.invars[0].aval.dtype, eqn.params["new_dtype"]
    return old == new or (old.kind == "f" and np.dtype(new) in (np.float32, np.float64))


def _drop_dead(flat: Flat) -> None:
    """Remove the steps that no output needs."""
    needed = {id(output) for output in flat.outputs}
    kept = []
    for step in reversed(flat.steps):
        if any(id(output) in needed for output in step.outputs):
            needed.update(id(value) for value in step.inputs)
            kept.append(step)
    flat.steps = kept[::-1]
