"""Elementwise passes over batches of tables, by the kernels' own threads.

torch's threads wait for their next task by spinning. After one of its parallel operations they keep the cores for
milliseconds from the threads of :mod:`.worker_pool`, longer than most batches take to align. What the CPU kernels need
before and after their main work is therefore done here.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from lactoolkit.kernels.kernel_cache import compiled
from lactoolkit.kernels.memory import empty_array
from lactoolkit.kernels.worker_pool import default_threads, run_in_order

# Below this many numbers a pass is not worth waking another thread for.
SERIAL_NUMBERS = 2**20


def scale_tables(tables: NDArray[np.floating], factors: NDArray[np.floating]) -> NDArray[np.floating]:
    """``tables`` (B, N, M) times ``factors`` (B,), both C-contiguous and of one type."""
    rows = tables.reshape(tables.shape[0] * tables.shape[1], tables.shape[2])
    scaled = empty_array(rows.shape, rows.dtype)
    _share_out(lambda first, last: _scale_rows(rows, factors, tables.shape[1], first, last, scaled), rows)
    return scaled.reshape(tables.shape)


def is_below_infinity(tables: NDArray[np.floating]) -> bool:
    """Whether a C-contiguous array holds neither NaN nor +inf."""
    numbers = tables.reshape(-1)
    verdicts: list[bool] = []
    _share_out(lambda first, last: verdicts.append(_is_below_infinity(numbers[first:last])), numbers)
    return all(verdicts)


def _share_out(task: Callable[[int, int], None], rows: NDArray) -> None:
    count = len(rows)
    blocks = 1 if rows.size < SERIAL_NUMBERS else min(count, default_threads())
    run_in_order(lambda k: task(count * k // blocks, count * (k + 1) // blocks), blocks, default_threads())


@compiled
def _scale_rows(rows, factors, height, first, last, scaled):
    for i in range(first, last):
        row, target, factor = rows[i], scaled[i], factors[i // height]
        for j in range(len(row)):
            target[j] = row[j] * factor


@compiled
def _is_below_infinity(numbers):
    is_wrong = False
    for k in range(len(numbers)):
        is_wrong |= not numbers[k] < np.inf
    return not is_wrong
