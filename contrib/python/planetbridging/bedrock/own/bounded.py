"""Values with a bound on what binary32 may have made of them: running error analysis.

A `Bounded` is a float64 value v and a number e, so that a computation of v in binary32 by the same
steps, in whatever order its sums are taken, lies within e of v.  Rules, with u = 2^-24 the unit
roundoff and t = 2^-126 what underflow may lose (Higham, Accuracy and Stability of Numerical
Algorithms, 2nd ed., sections 2.2, 3.1, 3.3 and 4.2):
  sum of K products and n more terms: (K + n + 3) u (sum |a b| + sum |terms|) + K t, and what the
                                      errors of a and b make: sum (|a| e_b + e_a |b| + e_a e_b)
  a + b, a b, a / b:                  what the errors of a and b make, and u |result| (+ t for products)
  an increasing function f:           the greater of f(v + e) - f(v) and f(v) - f(v - e), and what a
                                      library may be off, FUNCTION u |f(v)|
Second-order terms are kept by taking magnitudes as |v| + e.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

U = 2.0 ** -24
TINY = 2.0 ** -126
FUNCTION = 8
"""Units of roundoff that a library's exp, tanh, erf, sin, cos or square root may be off.

The vector functions in use say 1 to 4 ulp (one is 2 u); none of these networks uses half of it.
"""


@dataclass
class Bounded:
    """v, and how far binary32 may be from it."""

    v: np.ndarray
    e: np.ndarray

    @property
    def most(self) -> np.ndarray:
        """The greatest magnitude that the computed value can have."""
        return np.abs(self.v) + self.e

    def __add__(self, other) -> "Bounded":
        other = exact(other)
        v = self.v + other.v
        return rounded(v, self.e + other.e)

    def __sub__(self, other) -> "Bounded":
        other = exact(other)
        return self + Bounded(-other.v, other.e)

    def __mul__(self, other) -> "Bounded":
        other = exact(other)
        spread = np.abs(self.v) * other.e + self.e * other.most
        return rounded(self.v * other.v, spread, TINY)

    def __truediv__(self, other) -> "Bounded":
        other = exact(other)
        v = self.v / other.v
        spread = (self.e + np.abs(v) * other.e) / np.maximum(np.abs(other.v) - other.e, TINY)
        return rounded(v, spread, TINY)

    def __getitem__(self, key) -> "Bounded":
        return Bounded(self.v[key], self.e[key])

    def map(self, move) -> "Bounded":
        """Both parts moved alike: reshaped, transposed, sliced, repeated."""
        return Bounded(move(self.v), move(self.e))


def exact(x) -> Bounded:
    """A number or array that has no error."""
    if isinstance(x, Bounded):
        return x
    v = np.asarray(x, np.float64)
    return Bounded(v, np.zeros_like(v))


def rounded(v, spread, underflow: float = 0.0) -> Bounded:
    """A result of one operation: what its operands' errors make of it, and its own rounding."""
    return Bounded(v, spread + U * (np.abs(v) + spread) + underflow)


def products(contract, a: Bounded, b: Bounded, count: int, terms=()) -> Bounded:
    """A sum of `count` products, `contract` being bilinear in its two arrays, and of more terms."""
    v, size = contract(a.v, b.v), contract(a.most, b.most)
    spread = size - contract(np.abs(a.v), np.abs(b.v))
    for term in map(exact, terms):
        v, size, spread = v + term.v, size + term.most, spread + term.e
    return Bounded(v, spread + (count + len(terms) + 3) * U * size + count * TINY)


def increasing(function, x: Bounded, units: float = FUNCTION) -> Bounded:
    """A function that never decreases, computed to `units` of roundoff."""
    v, low, high = function(x.v), function(x.v - x.e), function(x.v + x.e)
    spread = np.maximum(high - v, v - low)
    return Bounded(v, spread + units * U * (np.abs(v) + spread) + TINY)


def mean(x: Bounded) -> Bounded:
    """Over the last axis, which stays as 1: a sum of n products with 1/n."""
    n = x.v.shape[-1]
    return products(lambda a, b: (a * b).sum(axis=-1, keepdims=True), x, exact(1 / n), n)


def total(x: Bounded) -> Bounded:
    """The sum over the last axis, which stays as 1."""
    n = x.v.shape[-1]
    return products(lambda a, b: (a * b).sum(axis=-1, keepdims=True), x, exact(1.0), n)


def stacked(parts: list[Bounded], axis: int) -> Bounded:
    return Bounded(np.stack([p.v for p in parts], axis), np.stack([p.e for p in parts], axis))
