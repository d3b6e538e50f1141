"""What a random module tree is: parts, steps between named values, and the values' shapes.

Nothing here knows a framework.  Sizes behind the batch are known at both runs, and two extents are
the same if and only if they are the same expression, so that nothing joins by accident.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

RANK = {"vector": 0, "sequence": 1, "image": 2, "ids": 1}
"""Axes between the batch and the features; ids have no features."""

RUNS = 2


@dataclass(frozen=True)
class Extent:
    """One size: `base` + `plus`, and what that is in each run."""

    base: str
    plus: int
    sizes: tuple[int, ...]

    def more(self, by: int) -> Extent:
        return Extent(self.base, self.plus + by, tuple(n + by for n in self.sizes))

    def made(self, word: str, function) -> Extent:
        """The extent that `function` makes of this one; `word` says which function."""
        return Extent(f"{word}({self.base}{self.plus:+d})", 0, tuple(map(function, self.sizes)))


@dataclass(frozen=True)
class Value:
    """A tensor: images [b, h, w, wide] in the order of the planet, sequences [b, s, wide], vectors
    [b, wide], ids [b, s] below `wide`."""

    kind: str
    wide: int
    extents: tuple[Extent, ...] = ()

    def of(self, wide: int) -> Value:
        return replace(self, wide=wide)

    def over(self, *extents: Extent) -> Value:
        return replace(self, extents=extents)

    def each(self, function) -> Value:
        return self.over(*map(function, self.extents))

    @property
    def least(self) -> int:
        """The least extent in any run."""
        return min((n for extent in self.extents for n in extent.sizes), default=1)

    def shape(self, run: int, batch: int) -> list[int]:
        """Features last."""
        inner = [extent.sizes[run] for extent in self.extents]
        return [batch, *inner] + ([] if self.kind == "ids" else [self.wide])


@dataclass(frozen=True)
class Step:
    """`outs` are what `op` makes of `ins`; `part` names the module's child that does it, if one does.

    `given` is the value behind the first of `ins`.
    """

    op: str
    ins: tuple[str, ...]
    outs: tuple[str, ...]
    params: dict
    part: str
    given: Value


@dataclass(eq=False)
class Module:
    """Children by name in the order of use; `reverse` constructs them from the last to the first.

    A child is (operation, parameters, value that it is given first), or a Module.  `wide` is the width
    of what a module makes, whose extents are those of what it is given.
    """

    name: str
    inputs: tuple[str, ...]
    reverse: bool = False
    parts: dict = field(default_factory=dict)
    steps: list[Step] = field(default_factory=list)
    outputs: tuple[str, ...] = ()
    wide: int = 0

    def construction(self) -> list[str]:
        """The names of the children in the order in which they are constructed."""
        names = list(self.parts)
        return names[::-1] if self.reverse else names


@dataclass
class Tree:
    """A network: its root module, the values of its inputs, the batch of each run.

    `style` is how the planet's user would write it; `features` are what occurs in it.
    """

    planet: str
    seed: int
    style: str
    root: Module
    inputs: dict[str, Value]
    batches: tuple[int, ...]
    free: bool
    features: set[str]
    draw: int = 0

    @property
    def name(self) -> str:
        """What weights and inputs are drawn under: another `draw` is of other numbers."""
        return f"{self.planet}-{self.seed}" + (f".{self.draw}" if self.draw else "")

    def __str__(self) -> str:
        given = ", ".join(f"{name} {shapes(value, self.batches)}" for name, value in self.inputs.items())
        return (f"{self.name} ({self.style}; {' '.join(sorted(self.features))}): {given}; "
                + described(self.root))


def shapes(value: Value, batches) -> str:
    return " and ".join(str(value.shape(run, batch)) for run, batch in enumerate(batches))


def described(module: Module) -> str:
    """All steps of a module, and of those in it, in a line."""
    lines = []
    for step in module.steps:
        inner = module.parts.get(step.part)
        what = f"[{described(inner)}]" if isinstance(inner, Module) else spoken(step.params)
        part = f":{step.part}" if step.part else ""
        lines.append(f"{' '.join(step.outs)}={step.op}{part}{what} {' '.join(step.ins)}")
    return "; ".join(lines) + f" -> {' '.join(module.outputs)}"


def spoken(params: dict) -> str:
    return "(" + ",".join(f"{key}={value}" for key, value in params.items()) + ")" if params else ""


def operations(module: Module) -> set[str]:
    """The operations in a module and in those in it."""
    found = {step.op for step in module.steps}
    for part in module.parts.values():
        if isinstance(part, Module):
            found |= operations(part)
    return found
