"""Elementwise passes over batches, and the memory of their results."""

import threading

import numpy as np
import pytest

from lactoolkit.kernels import memory
from lactoolkit.kernels.batches import SERIAL_NUMBERS, is_below_infinity, scale_tables


@pytest.mark.parametrize("shape", [(3, 5, 7), (1, 1, 1), (0, 4, 4), (3, 700, SERIAL_NUMBERS // 1400)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_scaled_tables(shape, dtype):
    random = np.random.default_rng(0)
    tables, factors = random.normal(size=shape).astype(dtype), random.normal(size=shape[0]).astype(dtype)
    np.testing.assert_array_equal(scale_tables(tables, factors), tables * factors[:, None, None])


@pytest.mark.parametrize("count", [1, 1000, SERIAL_NUMBERS + 3])
def test_numbers_below_infinity(count):
    numbers = np.full(count, -np.inf, np.float32)
    numbers[::2] = np.finfo(np.float32).max
    assert is_below_infinity(numbers)
    for place in (0, count // 2, count - 1):
        for wrong in (np.nan, np.inf):
            changed = numbers.copy()
            changed[place] = wrong
            assert not is_below_infinity(changed)
    assert is_below_infinity(np.empty((0, 3), np.float32))


def test_memory_is_used_again_only_when_nobody_holds_it():
    count = memory.LEAST_RECYCLED
    first = memory.empty_array((count // 4, 1), np.float32)
    address = first.ctypes.data
    first[:] = 1
    part = first[10:20, 0]
    del first
    second = memory.empty_array((count // 4,), np.float32)
    second[:] = 2
    assert (part == 1).all()
    assert second.ctypes.data != address
    del part
    assert memory.empty_array((count // 8,), np.float64).ctypes.data == address


def test_threads_have_workspaces_of_their_own():
    mine = memory.thread_workspace(100, np.float64)
    mine[:] = 1
    others = []
    thread = threading.Thread(target=lambda: others.append(memory.thread_workspace(100, np.float64)))
    thread.start()
    thread.join()
    others[0][:] = 2
    assert (mine == 1).all()
    assert memory.thread_workspace(50, np.float64).ctypes.data == mine.ctypes.data
