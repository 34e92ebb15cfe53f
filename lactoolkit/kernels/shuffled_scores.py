"""Scores of a table whose columns come in another order: what the best local path is worth by chance."""

from __future__ import annotations

import numpy as np
from numba import prange

from lactoolkit.kernels.kernel_cache import compiled


@compiled
def _best_score(table, order, gap_open, gap_extend, g, y):
    """Best hard score of ``table[:, order]``; g and y are scratch rows of one column more than the order."""
    best = np.float32(-np.inf)
    zero = np.float32(0)
    lowest = np.float32(-np.inf)
    columns = order.shape[0]
    for j in range(columns + 1):
        g[j] = lowest
        y[j] = lowest
    for i in range(table.shape[0]):
        row = table[i]
        corner = zero
        m_left = lowest
        x_left = lowest
        for j in range(columns):
            up_g = g[j + 1]
            up_y = y[j + 1]
            m = row[order[j]] + corner
            opened_x = m_left - gap_open
            extended_x = x_left - gap_extend
            x = extended_x if extended_x > opened_x else opened_x
            opened_y = up_g - gap_open
            extended_y = up_y - gap_extend
            y[j + 1] = extended_y if extended_y > opened_y else opened_y
            g[j + 1] = m if m >= x else x
            corner = up_g if up_g >= up_y else up_y
            corner = corner if corner > zero else zero
            m_left = m
            x_left = x
            best = m if m > best else best
    return best


@compiled(parallel=True)
def _all_scores(table, orders, gap_open, gap_extend, out):
    for k in prange(orders.shape[0]):
        g = np.empty(orders.shape[1] + 1, np.float32)
        y = np.empty(orders.shape[1] + 1, np.float32)
        out[k] = _best_score(table, orders[k], gap_open, gap_extend, g, y)


def shuffled_scores(table: np.ndarray, orders: np.ndarray, gap_open: float, gap_extend: float) -> np.ndarray:
    """Score of the best local path through ``table[:, order]`` for each of several orders of the columns.

    Parameters
    ----------
    table : ndarray, shape (N, M), float32
        Finite similarities.
    orders : ndarray, shape (K, L), integer
        Columns of the table, in any order, repeated or left out as wished.
    gap_open, gap_extend : float
        Penalties, zero or more.

    Returns
    -------
    ndarray, shape (K,), float32

    See Also
    --------
    lactoolkit.best_local_path : one order, with the pairs.
    """
    out = np.empty(len(orders), np.float32)
    _all_scores(
        np.ascontiguousarray(table, dtype=np.float32),
        np.ascontiguousarray(orders, dtype=np.int64),
        np.float32(gap_open),
        np.float32(gap_extend),
        out,
    )
    return out
