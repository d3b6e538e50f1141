"""Choices that a name settles, the same wherever they are made."""

from __future__ import annotations

from ..bedrock.own import drawing


class Dice:
    """Numbers drawn one after the other under a name: no generator of a library, which may change."""

    def __init__(self, name: str):
        self._name, self._thrown = name, 0

    def below(self, count: int) -> int:
        """0 to count - 1."""
        self._thrown += 1
        return int(drawing.integers(f"{self._name} {self._thrown}", 1)[0]) % count

    def one(self, things):
        """One of a sequence."""
        return things[self.below(len(things))]

    def chance(self, part: int, of: int) -> bool:
        """True `part` times in `of`."""
        return self.below(of) < part

    def between(self, least: int, most: int) -> int:
        """least to most."""
        return least + self.below(most - least + 1)
