"""Memory of the CPU kernels: results and workspaces, used again rather than returned to the system.

A megabyte that comes fresh from the system has 256 pages, and each costs a microsecond when it is first written to: in
all as long as the kernels need to compute it.
"""

import math
import sys
import threading
from typing import Any

import numpy as np
from numpy.typing import NDArray

# Below this, the allocator of the C library uses memory again by itself.
LEAST_RECYCLED = 2**20
# What a thread keeps at most for further results.
MOST_RECYCLED = 2**25

_of_thread = threading.local()

# Vectors of 64 bytes that lie across two cache lines take twice as long to load.
ALIGNMENT = 64


def aligned_bytes(size: int) -> NDArray[np.uint8]:
    """Memory that begins at a cache line; what it holds is undefined."""
    block = np.empty(size + ALIGNMENT, np.uint8)
    start = -block.__array_interface__["data"][0] % ALIGNMENT
    return block[start : start + size]


def _references(blocks: list[NDArray[np.uint8]]) -> list[int]:
    return [sys.getrefcount(block.base) for block in blocks]


# What a block counts that nobody but such a list refers to; it depends on the release of Python.
_UNUSED = _references([aligned_bytes(1)])[0]


def empty_array(shape: tuple[int, ...], dtype: Any) -> NDArray:
    """``np.empty``, if possible in the memory of an earlier result of this thread that nobody holds any longer."""
    size = math.prod(shape) * np.dtype(dtype).itemsize
    if not LEAST_RECYCLED <= size <= MOST_RECYCLED:
        return np.empty(shape, dtype)
    return _take_block(size)[:size].view(dtype).reshape(shape)


def _take_block(size: int) -> NDArray[np.uint8]:
    blocks: list[NDArray[np.uint8]] = _of_thread.__dict__.setdefault("blocks", [])
    for block, references in zip(blocks, _references(blocks), strict=True):
        # All views of a block refer to the memory below it.
        if references == _UNUSED and size <= len(block) <= 2 * size:
            return block
    block = aligned_bytes(size)
    blocks.append(block)
    while sum(map(len, blocks)) > MOST_RECYCLED:
        del blocks[0]
    return block


def thread_workspace(size: int, dtype: Any) -> NDArray:
    """``size`` numbers that are this thread's until it asks again; they hold what was left there.

    The largest workspace that a thread asked for is kept for as long as the thread lives.
    """
    wanted = size * np.dtype(dtype).itemsize
    block = _of_thread.__dict__.get("workspace")
    if block is None or len(block) < wanted:
        block = _of_thread.workspace = aligned_bytes(wanted)
    return block[:wanted].view(dtype)
