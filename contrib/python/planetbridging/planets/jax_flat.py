"""A jaxpr as one list of steps: calls opened, loops of a known length unrolled, what depends on
constants alone computed, no-ops and dead code gone.

Weights, captured arrays and literals are `Const`s, everything else a `Ref`.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, field

import jax
import numpy as np
from jax.extend.core import Literal

from .jax_modules import leaf, leaf_results, scope_of

LONGEST = 64
"""Turns of a loop that are unrolled at most."""

CALLS = {"jit": "jaxpr", "pjit": "jaxpr", "closed_call": "call_jaxpr", "core_call": "call_jaxpr",
         "custom_jvp_call": "call_jaxpr", "custom_vjp_call": "call_jaxpr", "checkpoint": "jaxpr",
         "remat2": "jaxpr"}
"""Primitives that only wrap other equations, and the parameter that holds those."""

RESHAPED = ("reshape", "broadcast_in_dim", "squeeze", "expand_dims", "transpose",
            "convert_element_type")
"""Primitives whose result still is the weight that they are given."""

VIEWS = {"reshape": lambda a, p: a.reshape(p["new_sizes"]),
         "transpose": lambda a, p: a.transpose(p["permutation"]),
         "squeeze": lambda a, p: a.squeeze(tuple(p["dimensions"])),
         "expand_dims": lambda a, p: np.expand_dims(a, tuple(p["dimensions"])),
         "rev": lambda a, p: np.flip(a, p["dimensions"]),
         "slice": lambda a, p: a[tuple(map(slice, p["start_indices"], p["limit_indices"],
                                           p["strides"] or [1] * a.ndim))],
         "broadcast_in_dim": lambda a, p: a.reshape(p["shape"])}
"""Primitives that only say how an array lies in memory, as NumPy says it."""

COMPUTED = "computed from "

SAME = ("copy", "copy_p", "stop_gradient", "optimization_barrier", "name", "sharding_constraint",
        "pvary")


@dataclass(eq=False)
class Ref:
    """A value that depends on the inputs; `aval` has its shape and dtype."""

    aval: object


@dataclass(eq=False)
class Const:
    """An array known now; `source` names the weight it is, "computed from ..." if it was made of
    weights, "" if it is a number."""

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
                     _inner(scope_of(eqn.source_info.name_stack), scope))
        known.update(zip(eqn.outvars, made))
    return [item(var) for var in jaxpr.outvars]


def _inner(found, scope):
    """The scope of an equation within another's: modules of Flax come before other names."""
    if found is None or found[1] or scope is None:
        return found or scope
    return scope if scope[1] else (f"{scope[0]}.{found[0]}", "")


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
    elif name == "cond" and isinstance(arguments[0], Const):
        turn = int(np.clip(arguments[0].array, 0, len(eqn.params["branches"]) - 1))
        return _open(flat, eqn.params["branches"][turn], arguments[1:], scope)
    if all(isinstance(a, Const) for a in arguments) and _is_static(eqn):
        return _fold(eqn, arguments)
    if _is_same(eqn):
        return arguments[:len(eqn.outvars)]
    if name == "scan" and unrolls(eqn):
        return _unroll(flat, eqn, arguments, scope)
    return _append(flat, Step(name, eqn.params, arguments, [Ref(var.aval) for var in eqn.outvars],
                              scope, eqn.primitive))


def _fold(eqn, arguments: list) -> list[Const]:
    """What an equation makes of constants; the weights that it was made of are told."""
    made = _view(eqn, arguments)
    if made is None:
        made = eqn.primitive.bind(*[a.array for a in arguments], **eqn.params)
        made = made if eqn.primitive.multiple_results else [made]
    if eqn.primitive.name in RESHAPED:
        return [Const(array, arguments[0].source) for array in made]
    if eqn.primitive.name == "slice" and arguments[0].source:
        return [Const(made[0], arguments[0].source + _part(eqn))]
    parts = dict.fromkeys(part for a in arguments if a.source
                          for part in a.source.removeprefix(COMPUTED).split(", "))
    return [Const(array, COMPUTED + ", ".join(parts) if parts else "") for array in made]


def _view(eqn, arguments: list) -> list[np.ndarray] | None:
    """The weight itself, seen in another way, so that its place in the network's array stays known."""
    name, array = eqn.primitive.name, arguments[0].array if arguments else None
    if not isinstance(array, np.ndarray) or not arguments[0].source or name not in VIEWS:
        return None
    if name == "broadcast_in_dim" and array.size != eqn.outvars[0].aval.size:
        return None
    return [VIEWS[name](array, eqn.params)]


def _part(eqn) -> str:
    """Which part of a weight a slice takes, as one would write it."""
    p, shape = eqn.params, eqn.invars[0].aval.shape
    ends = [":" if (low, high) == (0, size) else f"{low}:{high}" for low, high, size in
            zip(p["start_indices"], p["limit_indices"], shape)]
    while ends and ends[-1] == ":":
        ends.pop()
    return f"[{', '.join(ends)}]".replace(", ", ",") if ends else ""


def unrolls(eqn) -> bool:
    """Whether a scan has a known and small number of turns."""
    return isinstance(eqn.params["length"], int) and eqn.params["length"] <= LONGEST


def scan_turns(eqn) -> list[int]:
    """The turns of a scan in their order."""
    turns = list(range(eqn.params["length"]))
    return turns[::-1] if eqn.params["reverse"] else turns


def _unroll(flat: Flat, eqn, arguments: list, scope) -> list:
    """The steps of all turns of a scan, one after another."""
    p = eqn.params
    consts, carry = arguments[:p["num_consts"]], arguments[p["num_consts"]:]
    carry, rows = carry[:p["num_carry"]], carry[p["num_carry"]:]
    made: dict[int, list] = {}
    for turn in scan_turns(eqn):
        row = [_traced(flat, functools.partial(_row, turn), [item], scope)[0] for item in rows]
        results = _open(flat, p["jaxpr"], [*consts, *carry, *row], scope)
        carry, made[turn] = results[:p["num_carry"]], results[p["num_carry"]:]
    stacks = []
    for n, var in enumerate(eqn.outvars[p["num_carry"]:]):
        parts = [made[turn][n] for turn in sorted(made)]
        stacks += _traced(flat, lambda *parts: jax.numpy.stack(parts), parts, scope) if parts \
            else [Const(np.zeros(var.aval.shape, var.aval.dtype))]
    return [*carry, *stacks]


def _row(turn: int, x):
    return jax.lax.index_in_dim(x, turn, keepdims=False)


def _traced(flat: Flat, function, items: list, scope) -> list:
    """What a function makes of items, by its own equations; a row of a weight keeps its name."""
    specs = [item.aval if isinstance(item, Ref) else
             jax.ShapeDtypeStruct(np.shape(item.array), item.array.dtype) for item in items]
    specs = [jax.ShapeDtypeStruct(spec.shape, spec.dtype) for spec in specs]
    return _open(flat, jax.make_jaxpr(function)(*specs), items, scope)


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
        try:
            traced = jax.make_jaxpr(functools.partial(jax.numpy.take, axis=axis))(*specs).eqns[0]
        except jax.errors.InconclusiveDimensionOperation:
            continue  # an axis of which nobody knows whether there is anything to take: another one
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
