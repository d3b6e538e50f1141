"""Bounds of what moves to other places on its way: transposed convolutions and resizing."""

from __future__ import annotations

import math

import numpy as np

from .bounded import U, Bounded, exact, products


def convtranspose(p, w, x):
    """Linear in the kernel and in the input; some taps alone meet in a place, if there is a stride."""
    meet = [-(-k * math.gcd(s, d) // s) for k, s, d in zip(p["kernel"], p["stride"], p["dilation"])]
    count = p["in_channels"] // p["groups"] * math.prod(meet)
    made = products(lambda a, b: scattered(p, b, a), x, w["weight"], count)
    if not p["bias"]:
        return made
    return made + w["bias"].map(lambda a: a.reshape(-1, *[1] * len(p["kernel"])))


def scattered(p, weight, x):
    """y[f, place stride + tap dilation - low] += x[c, place] weight[f, c, tap], within each group."""
    n = len(p["kernel"])
    full = [(size - 1) * s + (k - 1) * d + 1 for size, s, k, d in
            zip(x.shape[-n:], p["stride"], p["kernel"], p["dilation"])]
    y = np.zeros((*x.shape[:-n - 1], p["out_channels"], *full))
    channel = -n - 1
    parts = [np.split(a, p["groups"], axis) for a, axis in ((weight, 0), (x, channel), (y, channel))]
    for filters, given, part in zip(*parts):
        for tap in np.ndindex(*p["kernel"]):
            at = tuple(slice(t * d, t * d + (size - 1) * s + 1, s) for t, d, s, size in
                       zip(tap, p["dilation"], p["stride"], x.shape[-n:]))
            made = np.tensordot(filters[(..., *tap)], given, (1, channel))
            part[(..., *at)] += np.moveaxis(made, 0, channel)
    ends = list(zip(p["pad_low"], p["pad_high"]))
    y = np.pad(y, [(0, 0)] * (y.ndim - n) + [(max(-a, 0), max(-b, 0)) for a, b in ends])
    return y[(..., *(slice(max(a, 0), size - max(b, 0)) for (a, b), size in zip(ends, y.shape[-n:])))]


def resize(p, w, x):
    """Each axis in turn, from the last; places are found in binary32, which moves them a little."""
    for n, size in enumerate(reversed(p["size"])):
        along = x.map(lambda a, n=n: np.moveaxis(a, -1 - n, -1))
        made = nearest(p, along, size) if p["mode"] == "nearest" else between(p, along, size)
        x = made.map(lambda a, n=n: np.moveaxis(a, -1, -1 - n))
    return x


def source(p, old: int, new: int) -> np.ndarray:
    """Where in the input each place of the output lies, in the input's steps."""
    at = np.arange(new)
    if p["coordinates"] == "asymmetric":
        return at * old / new
    if p["coordinates"] == "align_corners":
        return at * (old - 1) / max(new - 1, 1)
    return (2 * at + 1) * old / (2 * new) - (0.5 if p["mode"] == "linear" else 0)


def nearest(p, x: Bounded, size: int) -> Bounded:
    """Whole places: the exact quotients lie as far from them as binary32 can tell."""
    old = x.v.shape[-1]
    at = np.minimum(np.floor(np.round(source(p, old, size), 9)), old - 1).astype(int)
    return x[..., at]


def between(p, x: Bounded, size: int) -> Bounded:
    """a (1 - t) + b t, t being off by what four roundings make of the place."""
    old = x.v.shape[-1]
    place = np.clip(source(p, old, size), 0, old - 1)
    low = np.minimum(np.floor(place).astype(int), max(old - 2, 0))
    high = np.minimum(low + 1, old - 1)
    t = Bounded(place - low, 4 * U * (place + 1))
    steps = np.abs(np.diff(x.v, axis=-1, prepend=x.v[..., :1], append=x.v[..., -1:]))
    around = np.maximum(steps[..., low], np.maximum(steps[..., low + 1], steps[..., high + 1]))
    made = x[..., low] * (exact(1.0) - exact(t.v)) + x[..., high] * exact(t.v)
    return Bounded(made.v, made.e + t.e * around)


PLACES = {**dict.fromkeys(("convtranspose1", "convtranspose2", "convtranspose3"), convtranspose),
          "resize": resize}
