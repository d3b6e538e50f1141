"""Makes a tree from a seed: units one after the other, each a chain, a residual, branches, a module
used twice, tied weights or a module with modules in it."""

from __future__ import annotations

from dataclasses import dataclass

from . import parts
from .dice import Dice
from .spec import Extent, Module, Step, Tree, Value

STYLES = {"pytorch": ("module",), "keras": ("functional", "functional", "subclassed"),
          "jax": ("linen", "linen", "nnx")}
BATCHES = (2, 3)
LENGTHS = {"s": (7, 5), "h": (7, 9), "w": (9, 11)}
KINDS = ("image", "sequence", "vector", "ids", "image")
VOCABULARY = 11
FEATURES = ("shared", "tied", "reverse", "residual", "branch")
UNITS = ("chain", "chain", "residual", "branch", "shared", "tied", "nested", "together")


@dataclass
class Place:
    """What a row's function may ask."""

    planet: str
    free: bool


class Grower:
    """A module under construction; `values` are those of its tensors, named through the whole tree."""

    def __init__(self, dice: Dice, at: Place, module: Module, values: dict, features: set):
        self.dice, self.at, self.module = dice, at, module
        self.values, self.features = values, features

    def step(self, op: str, ins, params: dict, *made: Value, part: str = "") -> str:
        """Append a step; the name of the first of what it makes."""
        outs = tuple(f"v{len(self.values) + n}" for n in range(len(made)))
        self.values.update(zip(outs, made))
        self.module.steps.append(Step(op, tuple(ins), outs, params, part, self.values[ins[0]]))
        return outs[0]

    def child(self, op: str, params: dict, value: Value) -> str:
        """A new part of the module."""
        name = f"{op}{len(self.module.parts)}"
        self.module.parts[name] = (op, params, value)
        return name

    def apply(self, op: str, x: str) -> str | None:
        """Append an operation with one input, None if the value has no room for it."""
        value, row = self.values[x], parts.ROWS[op]
        found = row.make(self.dice, value, self.at)
        if found is None:
            return None
        params, out = found
        part = self.child(op, params, value) if row.built else ""
        return self.step(op, [x], params, out, part=part)

    def draw(self, x: str, still: bool = False) -> str:
        """Append a random operation with one input."""
        rows = [op for op, row in parts.ROWS.items() if row.takes(self.at.planet, self.values[x], still)
                for _ in range(row.weight)]
        for _ in range(8):
            made = self.apply(self.dice.one(rows), x)
            if made is not None:
                return made
        return self.project(x, self.values[x].wide)

    def project(self, x: str, wide: int) -> str:
        """A dense layer, or a convolution of single places, to a width."""
        value = self.values[x]
        if value.kind == "image":
            op, params = "conv", {"wide": wide, "kernel": [1, 1], "stride": [1, 1], "dilation": [1, 1],
                                  "padding": "same", "groups": 1, "bias": True}
        else:
            op, params = "dense", {"wide": wide, "bias": True}
        return self.step(op, [x], params, value.of(wide), part=self.child(op, params, value))

    def chain(self, x: str, still: bool = False) -> str:
        for _ in range(self.dice.between(1, 2)):
            x = self.draw(x, still)
        return x

    def residual(self, x: str) -> str:
        self.features.add("residual")
        inner = self.chain(x, still=True)
        if self.values[inner] != self.values[x]:
            inner = self.project(inner, self.values[x].wide)
        return self.step("add", [x, inner], {}, self.values[x])

    def branch(self, x: str) -> str:
        """Two ways from one value, joined by one of the operations of two values."""
        self.features.add("branch")
        one, other = self.chain(x, still=True), self.chain(x, still=True)
        how = self.dice.one(("concat", "mul", "sub", "maximum", "minimum", "gate", "choose", "div"))
        wide = self.values[one].wide
        if how == "concat":
            return self.step(how, [one, other], {}, self.values[one].of(wide + self.values[other].wide))
        if self.values[other].wide != wide:
            other = self.project(other, wide)
        return self.step(how, [one, other], {}, self.values[one])

    def shared(self, x: str) -> str:
        """One part, used twice: on a value, and on what it made of it."""
        self.features.add("shared")
        value = self.values[x]
        able = [op for op in parts.SHAREABLE if parts.ROWS[op].takes(self.at.planet, value, True)]
        for _ in range(8):
            op = self.dice.one(able)
            params, out = parts.ROWS[op].make(self.dice, value, self.at)
            if out == value:
                part = self.child(op, params, value)
                first = self.step(op, [x], params, out, part=part)
                between = self.apply("activation", first)
                return self.step(op, [between], params, out, part=part)
        x = self.project(x, value.wide)
        last = self.module.steps[-1]
        return self.step(last.op, [x], last.params, value, part=last.part)

    def tied(self, x: str) -> str:
        """Two parts with one weight: in Keras in a layer of the user's, where a weight can be had."""
        self.features.add("tied")
        if self.values[x].kind == "image":
            x = self.apply("global_avgpool", x)
        return self.block(x, Grower.pair) if self.at.planet == parts.KERAS else self.pair(x)

    def pair(self, x: str) -> str:
        value, keras = self.values[x], self.at.planet == parts.KERAS
        params = {"wide": value.wide, "bias": True}
        first = self.child("dense", params, value)
        x = self.step("dense", [x], params, value, part=first)
        x = self.apply("activation", x)
        how = {"wide": value.wide, "bias": not keras and self.dice.chance(1, 2), "to": first}
        return self.step("dense_tied", [x], how, value, part=self.child("dense_tied", how, value))

    def nested(self, x: str) -> str:
        """A module with modules in it, perhaps used twice."""
        self.features.add("nested")
        made = self.block(x, lambda inner, x: inner.project(inner.residual(x), inner.values[x].wide))
        if self.dice.chance(1, 3):
            self.features.add("shared")
            step = self.module.steps[-1]
            made = self.step("block", [made], {}, self.values[made], part=step.part)
        return made

    def block(self, x: str, grow) -> str:
        """A module whose steps `grow(grower, x)` makes; they keep the value."""
        name = f"block{len(self.module.parts)}"
        inner = Module(name, (x,), reverse=self.dice.chance(1, 2), wide=self.values[x].wide)
        self.module.parts[name] = inner
        inner.outputs = (grow(Grower(self.dice, self.at, inner, self.values, self.features), x),)
        if inner.reverse:
            self.features.add("reverse")
        return self.step("block", [x], {}, self.values[x], part=name)

    def together(self, x: str) -> str:
        """Two inputs of the network, or a value and one that is made of it, as one."""
        value = self.values[x]
        if "z" not in self.values or value.kind == "vector" and self.dice.chance(1, 2):
            return self.branch(x)
        side = self.project("z", value.wide)
        return self.step("add_vector", [x, side], {}, value)


def tree(planet: str, seed: int) -> Tree:
    """The tree of a planet and a seed: its first operation is the seed's in the order of the table, so
    that as many seeds as rows have them all."""
    dice = Dice(f"tree {planet} {seed}")
    rows = [op for op, row in parts.ROWS.items() if planet in row.planets]
    first = rows[seed % len(rows)]
    at = Place(planet, dice.chance(3, 5) and first not in parts.FIXED)
    style = dice.one(STYLES[planet])
    if style == "subclassed":
        at.free = False  # Keras settles the length of a subclassed model at its first call
    inputs = given(dice, at, parts.ROWS[first].kinds)
    root = Module("net", tuple(inputs), reverse=dice.chance(1, 2))
    grower = Grower(dice, at, root, dict(inputs), set())
    if root.reverse:
        grower.features.add("reverse")
    grow(grower, next(iter(inputs)), first)
    return Tree(planet, seed, style, root, inputs, BATCHES, at.free, grower.features)


def given(dice: Dice, at: Place, initials: str) -> dict[str, Value]:
    """The inputs: one that the network is about, of a kind with such an initial, perhaps a vector beside
    it.  Ids become a sequence."""
    kind = dice.one([kind for kind in KINDS if ("s" if kind == "ids" else kind[0]) in initials])
    names = {"image": "hw", "sequence": "s", "ids": "s", "vector": ""}[kind]
    extents = tuple(extent(name, at.free) for name in names)
    wide = VOCABULARY if kind == "ids" else dice.one(parts.WIDTHS)
    found = {"ids" if kind == "ids" else "x": Value(kind, wide, extents)}
    if dice.chance(1, 4):
        found["z"] = Value("vector", 6)
    return found


def extent(name: str, free: bool) -> Extent:
    first, second = LENGTHS[name]
    return Extent(name, 0, (first, second)) if free else Extent(str(first), 0, (first, first))


def grow(grower: Grower, x: str, first: str) -> None:
    """All units of the root module behind its first operation, and its outputs."""
    dice, table = grower.dice, None
    if grower.values[x].kind == "ids":
        params = {"wide": dice.one(parts.WIDTHS), "words": VOCABULARY}
        table = grower.child("embedding", params, grower.values[x])
        x = grower.step("embedding", [x], params,
                        Value("sequence", params["wide"], grower.values[x].extents), part=table)
    x = grower.apply(first, x) or x
    for _ in range(dice.between(2, 3)):
        x = getattr(grower, dice.one(UNITS))(x)
    if "z" in grower.values and not any("z" in step.ins for step in grower.module.steps):
        x = grower.step("add_vector", [x, grower.project("z", grower.values[x].wide)], {}, grower.values[x])
    if table and dice.chance(2, 3) and grower.values[x].kind != "image":
        x = reading(grower, x, table)
    else:
        x = grower.project(x, dice.one(parts.WIDTHS))
    grower.module.outputs = (x,) if dice.chance(2, 3) else (x, second(grower, x))


def reading(grower: Grower, x: str, table: str) -> str:
    """Logits of the vocabulary, by the table that read the ids."""
    grower.features.add("tied")
    wide = grower.module.parts[table][1]["wide"]
    x = grower.project(x, wide)
    value = grower.values[x]
    return grower.step("attend", [x], {"to": table}, value.of(VOCABULARY), part=table)


def second(grower: Grower, x: str) -> str:
    """A further output: something on the way, or a function of the first."""
    steps = [step for step in grower.module.steps[:-1] if step.part and step.op != "embedding"]
    return grower.dice.one(steps).outs[0] if steps else grower.apply("activation", x)
