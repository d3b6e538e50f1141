"""Two matrices of outputs, and the label that openfluke/planetbridging gives their difference."""

from __future__ import annotations

import numpy as np

FP32_PASS_TOLERANCE = 1e-5
"""PASS is an absolute difference of less than this."""


def compare_outputs(native: np.ndarray, loom: np.ndarray, *,
                    tolerance: float = FP32_PASS_TOLERANCE) -> tuple[float, float, bool]:
    """(greatest absolute difference, mean absolute difference, whether all values are equal).

    `native` and `loom` have one shape, usually [N, D]; ValueError if not, or if there is nothing in
    them.  A NaN makes the differences NaN.  `tolerance` changes nothing here: it is `diff_label`'s.
    """
    a, b = np.asarray(native, np.float64), np.asarray(loom, np.float64)
    if a.shape != b.shape:
        raise ValueError(f"native has shape {list(a.shape)}, loom {list(b.shape)}")
    if a.size == 0:
        raise ValueError(f"nothing to compare: the shape is {list(a.shape)}")
    # Equal infinities differ by nothing.
    away = np.where(a == b, 0.0, np.abs(np.subtract(a, b, where=a != b, out=np.zeros_like(a))))
    return float(away.max()), float(away.mean()), bool((a == b).all())


def diff_label(max_abs_diff: float, *, exact: bool = False,
               tolerance: float = FP32_PASS_TOLERANCE) -> str:
    """EXACT if `exact` or the difference is 0, PASS if it is less than `tolerance`, else DIFF."""
    if exact or max_abs_diff == 0:
        return "EXACT"
    return "PASS" if max_abs_diff < tolerance else "DIFF"


def label(native: np.ndarray, loom: np.ndarray) -> str:
    """The label of two matrices."""
    greatest, _, exact = compare_outputs(native, loom)
    return diff_label(greatest, exact=exact)
