"""Curves with fewer corners."""

from __future__ import annotations

import numpy as np


def thin_out(x: np.ndarray, y: np.ndarray, tolerance: float) -> np.ndarray:
    """Choose few points of a curve between which straight lines follow all others.

    Parameters
    ----------
    x : ndarray, shape (T,)
        Strictly increasing.
    y : ndarray, shape (T,), float64
        Values at `x`.
    tolerance : float
        From every chosen point, some line stays within this of all points up to the next chosen one; the line to that
        one stays within twice as much.

    Returns
    -------
    ndarray, shape (K,), int64
        Positions of the chosen points, the first and the last among them.

    Examples
    --------
    >>> thin_out(np.arange(5), np.array([0.0, 1, 2, 2, 2]), 0.1).tolist()
    [0, 2, 4]
    """
    kept = [0]
    low, high = -np.inf, np.inf
    for k in range(1, len(x)):
        if not low <= _slope(x, y, kept[-1], k) <= high:  # no line from the last one kept passes all of those since
            kept.append(k - 1)
            low, high = -np.inf, np.inf
        slope, slack = _slope(x, y, kept[-1], k), tolerance / float(x[k] - x[kept[-1]])
        low, high = max(low, slope - slack), min(high, slope + slack)
    if len(x) > 1:
        kept.append(len(x) - 1)
    return np.array(kept, dtype=np.int64)


def _slope(x: np.ndarray, y: np.ndarray, i: int, k: int) -> float:
    return float(y[k] - y[i]) / float(x[k] - x[i])
