"""Soft-DTW on the CPU: values and gradients of a batch of cost tables (Cuturi & Blondel 2017, algorithms 1 and 2).

The recursion runs in the log domain and in float64, whatever the type of the costs; one pair after the other within a
thread, pairs shared out among threads.
"""

import math

import numpy as np
from numpy.typing import NDArray

from lactoolkit.kernels.kernel_cache import compiled
from lactoolkit.kernels.worker_pool import default_threads, run_in_order

# Below this many cells a batch is not worth waking another thread for.
SERIAL_CELLS = 2**15


def soft_dtw(
    cost: NDArray[np.floating],
    lengths: NDArray[np.int64],
    gamma: float,
    *,
    gradient: bool = True,
    threads: int | None = None,
) -> tuple[NDArray[np.floating], NDArray[np.floating] | None]:
    """Values (B,) of costs (B, N, M), and their gradients.

    Parameters
    ----------
    cost : (B, N, M) float32 or float64, C-contiguous
        Finite costs.
    lengths : (B, 2) int64
        Rows and columns of each pair, from 1 up; nothing outside is read.
    gamma : float
        Positive.
    gradient : bool
        Whether to compute the gradients (0 outside the lengths), None otherwise.
    threads : int, optional
        Numba's number of threads unless given.
    """
    batch = len(cost)
    values = np.empty(batch, cost.dtype)
    gradients = np.zeros_like(cost) if gradient else None
    threads = threads or default_threads()
    target = cost[:0] if gradients is None else gradients

    def run(first: int, last: int) -> None:
        _pairs(cost, lengths, 1.0 / gamma, first, last, values, target, gradient)

    if threads == 1 or cost.size < SERIAL_CELLS:
        run(0, batch)
    else:
        blocks = min(batch, 4 * threads)
        run_in_order(lambda k: run(batch * k // blocks, batch * (k + 1) // blocks), blocks, threads)
    return values, gradients


@compiled
def _pairs(cost, lengths, sharpness, first, last, values, gradients, wanted):
    rows, columns = cost.shape[1], cost.shape[2]
    # In units of gamma, with a border on every side; each border cell costs so much that no path enters it.
    sums = np.empty((rows + 2, columns + 2))
    visits = np.empty((2, columns + 2))
    for b in range(first, last):
        n, m = lengths[b]
        sums[0, : m + 2] = np.inf
        sums[: n + 2, 0] = np.inf
        sums[0, 0] = 0.0
        for i in range(1, n + 1):
            for j in range(1, m + 1):
                diagonal, left, above = sums[i - 1, j - 1], sums[i, j - 1], sums[i - 1, j]
                least = min(diagonal, left, above)
                total = math.exp(least - diagonal) + math.exp(least - left) + math.exp(least - above)
                sums[i, j] = cost[b, i - 1, j - 1] * sharpness + least - math.log(total)
        values[b] = sums[n, m] / sharpness
        if not wanted:
            continue
        # The visits of a cell: those of the cells it leads to, by the share of their paths that come from it.
        visits[:, : m + 2] = 0.0
        for i in range(n, 0, -1):
            here, below = visits[i % 2], visits[(i + 1) % 2]
            here[m + 1] = 0.0
            for j in range(m, 0, -1):
                if i == n and j == m:
                    visited = 1.0
                else:
                    visited = 0.0
                    reached = sums[i, j]
                    if i < n:
                        visited += below[j] * math.exp(sums[i + 1, j] - reached - cost[b, i, j - 1] * sharpness)
                    if j < m:
                        visited += here[j + 1] * math.exp(sums[i, j + 1] - reached - cost[b, i - 1, j] * sharpness)
                    if i < n and j < m:
                        visited += below[j + 1] * math.exp(sums[i + 1, j + 1] - reached - cost[b, i, j] * sharpness)
                here[j] = visited
                gradients[b, i - 1, j - 1] = visited
