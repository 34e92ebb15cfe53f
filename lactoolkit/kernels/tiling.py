"""Tables cut into tiles that threads visit as a wavefront; the table of two embeddings is computed tile by tile."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from lactoolkit.errors import ParameterError
from lactoolkit.kernels.arrays import as_array
from lactoolkit.kernels.worker_pool import default_threads, run_in_order

# A tile of this edge and its products fit the second-level cache together with the rows of the embeddings.
TILE_SIZE = 1024

# States are kept along the edges of at most this many rows and columns of tiles, so that they grow with N + M.
MAX_PARTS = 32


@dataclass(frozen=True)
class TileGrid:
    """Edges of the tiles of one table: tile (r, c) holds the cells ``rows[r]:rows[r+1], columns[c]:columns[c+1]``."""

    rows: tuple[int, ...]
    columns: tuple[int, ...]

    @classmethod
    def of(cls, n: int, m: int, tile_size: int) -> TileGrid:
        """Cut an n x m table into tiles of ``tile_size`` or, where that makes too many, ``MAX_PARTS`` a side."""
        return cls(*(_edges(length, min(-(-length // tile_size), MAX_PARTS)) for length in (n, m)))

    @classmethod
    def of_at_most(cls, n: int, m: int, rows: int, columns: int) -> TileGrid:
        """Cut an n x m table into tiles of at most ``rows`` x ``columns``, all of nearly one size."""
        return cls(_edges(n, -(-n // rows)), _edges(m, -(-m // columns)))

    @property
    def shape(self) -> tuple[int, int]:
        """Number of rows and columns of tiles."""
        return len(self.rows) - 1, len(self.columns) - 1

    def row_slice(self, r: int) -> slice:
        """Rows of the table in tile row r."""
        return slice(self.rows[r], self.rows[r + 1])

    def column_slice(self, c: int) -> slice:
        """Columns of the table in tile column c."""
        return slice(self.columns[c], self.columns[c + 1])


def _edges(length: int, parts: int) -> tuple[int, ...]:
    return tuple(length * k // parts for k in range(parts + 1))


def visit_wavefront(grid: TileGrid, visit: Callable[[int, int], None], *, backwards: bool = False) -> None:
    """Call ``visit(r, c)`` for every tile, after its upper and its left neighbour are done.

    Threads take the rows of tiles in turn; each row is visited by one thread from left to right. Backwards, the
    order is reversed: after the lower and the right neighbour.

    Parameters
    ----------
    grid : TileGrid
    visit : callable
        Must release the interpreter lock in its long steps. Its first exception stops all threads and is raised here.
    backwards : bool, optional
    """
    rows, columns = grid.shape
    done = [columns] + [0] * rows
    changed = threading.Condition()
    stopped = False

    def visit_row(r: int) -> None:
        nonlocal stopped
        finished = False
        try:
            for c in range(columns):
                with changed:
                    while not stopped and done[r] <= c:
                        changed.wait()
                    if stopped:
                        return
                if backwards:
                    visit(rows - 1 - r, columns - 1 - c)
                else:
                    visit(r, c)
                with changed:
                    done[r + 1] += 1
                    changed.notify_all()
            finished = True
        finally:
            if not finished:
                with changed:
                    stopped = True
                    changed.notify_all()

    run_in_order(visit_row, rows, default_threads())


def check_embeddings(u: Any, v: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return two embeddings as C-contiguous arrays of one dtype, float32 or float64.

    Raises
    ------
    ParameterError
        Unless both are non-empty, two-dimensional, floating and finite, with the same number of features.
    """
    arrays = []
    for name, value in (("u", u), ("v", v)):
        array = as_array(name, value)
        if array.ndim != 2 or array.size == 0:
            raise ParameterError(f"{name} has shape {array.shape}; pass embeddings of shape (positions, features)")
        if array.dtype.kind != "f":
            raise ParameterError(f"{name} has dtype {array.dtype}; convert it to float32 or float64")
        arrays.append(array)
    if arrays[0].shape[1] != arrays[1].shape[1]:
        raise ParameterError(
            f"u has {arrays[0].shape[1]} features and v has {arrays[1].shape[1]}; both must come from one encoder"
        )
    wide = max(array.dtype.itemsize for array in arrays) > 4
    arrays = [np.ascontiguousarray(array, dtype=np.float64 if wide else np.float32) for array in arrays]
    for name, array in zip(("u", "v"), arrays, strict=True):
        if not (np.isfinite(array.max()) and np.isfinite(array.min())):
            raise ParameterError(f"{name} holds NaN or infinite values; every embedding must be finite")
    return arrays[0], arrays[1]


def check_finite(name: str, value: Any) -> float:
    """Return one finite number as a Python float.

    Raises
    ------
    ParameterError
        If it is no number, NaN or infinite.
    """
    try:
        number = float(value)
    except (TypeError, ValueError) as error:
        raise ParameterError(f"{name} is {value!r}; pass one finite number") from error
    if not np.isfinite(number):
        raise ParameterError(f"{name} is {number}; pass one finite number")
    return number


def check_tile_size(tile_size: Any) -> int:
    """Return the edge of a tile as an int, ``TILE_SIZE`` for None.

    Raises
    ------
    ParameterError
        If it is no positive integer.
    """
    if tile_size is None:
        return TILE_SIZE
    if isinstance(tile_size, bool) or not isinstance(tile_size, (int, np.integer)) or tile_size < 1:
        raise ParameterError(f"tile_size is {tile_size!r}; pass a positive integer, or None for {TILE_SIZE}")
    return int(tile_size)
