"""Hard local alignment of two long embeddings in memory that grows with N + M."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from lactoolkit.errors import ParameterError
from lactoolkit.kernels.path_decoding import IN_M, STARTED, LocalPath, check_penalty, follow_trace, hard_tile
from lactoolkit.kernels.products import add_product
from lactoolkit.kernels.tiling import (
    TileGrid,
    check_embeddings,
    check_finite,
    check_tile_size,
    visit_wavefront,
)

Area = tuple[int, int, int, int]

_NO_TRACE = np.empty((0, 0), dtype=np.uint8)


@dataclass
class _Table:
    """The similarity of two embeddings, computed where it is asked for."""

    u: np.ndarray
    v_transposed: np.ndarray
    gap_open: float
    gap_extend: float
    scale: float
    shift: float
    tile_size: int
    forbidden: Sequence[Area] = ()
    _buffers: threading.local = field(default_factory=threading.local)

    @property
    def tile_cells(self) -> int:
        # Tiles of a grid are a little larger than tile_size where MAX_PARTS of them must suffice.
        return 4 * self.tile_size**2

    def products(self, i: int, i_stop: int, j: int, j_stop: int) -> np.ndarray:
        """Inner products of rows i:i_stop and columns j:j_stop, in a buffer that the thread's next call reuses."""
        shape = (i_stop - i, j_stop - j)
        cells = shape[0] * shape[1]
        buffer = getattr(self._buffers, "products", None)
        if buffer is None or len(buffer) < cells:
            buffer = self._buffers.products = np.empty(cells, dtype=self.u.dtype)
        out = buffer[:cells].reshape(shape)
        out[:] = 0
        add_product(self.u[i:i_stop], self.v_transposed, j, out, shape[0], self.u.shape[1], shape[1])
        for first, last, left, right in self.forbidden:
            rows = slice(max(first - i, 0), max(min(last, i_stop) - i, 0))
            out[rows, max(left - j, 0) : max(min(right, j_stop) - j, 0)] = self.lowest
        return out

    @property
    def lowest(self) -> float:
        """The product that makes the lowest similarity."""
        return -np.inf if self.scale > 0 else np.inf


@dataclass
class _Area:
    """A rectangle of the table with the states along its upper and left edge, as ``hard_tile`` takes them."""

    i: int
    i_stop: int
    j: int
    j_stop: int
    top: np.ndarray
    left: np.ndarray

    @property
    def cells(self) -> int:
        return (self.i_stop - self.i) * (self.j_stop - self.j)


@dataclass
class _Checkpoints:
    """States along all edges between the tiles of an area, and its best end."""

    area: _Area
    grid: TileGrid
    tops: np.ndarray
    lefts: np.ndarray
    score: float
    row: int
    column: int

    def tile(self, r: int, c: int, i_stop: int, j_stop: int) -> _Area:
        """Tile (r, c) up to the row i_stop and the column j_stop, exclusive."""
        i, j = self.grid.rows[r], self.grid.columns[c]
        rows, columns = i_stop - self.area.i, j_stop - self.area.j
        top = self.tops[r][:, j : columns + 1].copy()
        left = self.lefts[c][:, i:rows].copy()
        return _Area(self.area.i + i, i_stop, self.area.j + j, j_stop, top, left)


def _run_tile(table: _Table, tile: _Area) -> tuple[float, int, int]:
    """Carry the states of a tile's edges to its opposite edges; return its best score, row and column."""
    step = max(1, table.tile_cells // (tile.j_stop - tile.j))
    best = (-np.inf, -1, -1)
    for i in range(tile.i, tile.i_stop, step):
        i_stop = min(i + step, tile.i_stop)
        products = table.products(i, i_stop, tile.j, tile.j_stop)
        left = tile.left[:, i - tile.i : i_stop - tile.i]
        score, row, column = hard_tile(
            products, table.scale, table.shift, table.gap_open, table.gap_extend,
            tile.top[0], tile.top[1], left[0], left[1], left[2], _NO_TRACE,
        )  # fmt: skip
        if score > best[0]:
            best = (score, i + row, tile.j + column)
    return best


def _checkpoint(table: _Table, area: _Area, on_cells: Callable[[int], object] = lambda _: None) -> _Checkpoints:
    """Run the recursion over an area, tile by tile, and keep the states between the tiles."""
    height, width = area.i_stop - area.i, area.j_stop - area.j
    grid = TileGrid.of(height, width, table.tile_size)
    tops = np.empty((grid.shape[0] + 1, 2, width + 1))
    lefts = np.empty((grid.shape[1] + 1, 3, height))
    tops[0] = area.top
    lefts[0] = area.left
    kept = _Checkpoints(area, grid, tops, lefts, -np.inf, -1, -1)
    ends: list[tuple[float, int, int]] = []
    telling = threading.Lock()

    def visit(r: int, c: int) -> None:
        rows, columns = grid.row_slice(r), grid.column_slice(c)
        tile = kept.tile(r, c, area.i + rows.stop, area.j + columns.stop)
        score, row, column = _run_tile(table, tile)
        ends.append((-score, row, column))
        # The corner belongs to the left neighbour, which wrote it already; without one it is the area's own edge.
        first = 0 if c == 0 else 1
        tops[r + 1][:, columns.start + first : columns.stop + 1] = tile.top[:, first:]
        lefts[c + 1][:, rows] = tile.left
        with telling:
            on_cells((rows.stop - rows.start) * (columns.stop - columns.start))

    visit_wavefront(grid, visit)
    loss, kept.row, kept.column = min((end for end in ends if end[1] >= 0), default=(np.inf, -1, -1))
    kept.score = -loss
    return kept


def _trace(table: _Table, area: _Area, state: int, pieces: list[np.ndarray]) -> tuple[int, int, int]:
    """Follow the path from the last cell of an area backwards until it starts or leaves; return where it is then."""
    if area.cells > table.tile_cells:
        return _trace_tiles(table, _checkpoint(table, area), area.i_stop - 1, area.j_stop - 1, state, pieces)
    shape = (area.i_stop - area.i, area.j_stop - area.j)
    trace = np.empty(shape, dtype=np.uint8)
    products = table.products(area.i, area.i_stop, area.j, area.j_stop)
    hard_tile(
        products, table.scale, table.shift, table.gap_open, table.gap_extend,
        area.top[0], area.top[1], area.left[0], area.left[1], area.left[2], trace,
    )  # fmt: skip
    pairs = np.empty((min(shape), 2), dtype=np.int64)
    count, row, column, state = follow_trace(trace, shape[0] - 1, shape[1] - 1, state, pairs)
    pieces.append(pairs[:count] + np.array([area.i, area.j]))
    return area.i + row, area.j + column, state


def _trace_tiles(
    table: _Table, kept: _Checkpoints, row: int, column: int, state: int, pieces: list[np.ndarray]
) -> tuple[int, int, int]:
    """Follow the path backwards through the tiles of an area, recomputing only those that it crosses."""
    area = kept.area
    while state != STARTED and row >= area.i and column >= area.j:
        r = int(np.searchsorted(kept.grid.rows, row - area.i, side="right")) - 1
        c = int(np.searchsorted(kept.grid.columns, column - area.j, side="right")) - 1
        row, column, state = _trace(table, kept.tile(r, c, row + 1, column + 1), state, pieces)
    return row, column, state


def best_local_path_embeddings(
    u: Any,
    v: Any,
    gap_open: float,
    gap_extend: float,
    *,
    scale: float = 1.0,
    offset: float = 0.0,
    tile_size: int | None = None,
    forbidden: Sequence[Area] = (),
    on_cells: Callable[[int], object] = lambda _: None,
) -> LocalPath:
    """Best local alignment of two embeddings, without ever storing their table.

    Gives what ``best_local_path(scale * (u @ v.T - offset), gap_open, gap_extend)`` gives, up to the rounding of the
    products. States are kept in float64 along the edges of at most 32 x 32 tiles, and the tiles on the path are
    computed a second time for the traceback.

    Parameters
    ----------
    u : array_like, shape (N, D), floating
    v : array_like, shape (M, D), floating
        Embeddings; float32 products where both are float32.
    gap_open, gap_extend : float
        Penalties, zero or more, in the units of the scaled similarity.
    scale, offset : float, optional
        The similarity of row i and column j is ``scale * (u[i] . v[j] - offset)``.
    tile_size : int, optional
        Edge of a tile; the default suits current processors.
    forbidden : sequence of tuple of int
        Areas ``(first row, last row, first column, last column)``, both ends half open, whose pairs are not matched.
    on_cells : callable, optional
        Told after each tile how many cells it had, N * M in all; one call at a time, from several threads.

    Returns
    -------
    LocalPath

    Raises
    ------
    ParameterError
        For embeddings that are empty, not finite, not floating or of different widths, and for bad numbers.

    See Also
    --------
    lactoolkit.best_local_path : the same over a table, with the rules for ties.

    References
    ----------
    Myers and Miller (1988), CABIOS 4:11, for alignment in linear space; checkpointed tiles are used here instead of
    their bisection since they repeat a few percent of the work instead of all of it.
    """
    u, v = check_embeddings(u, v)
    scale, offset = check_finite("scale", scale), check_finite("offset", offset)
    if len(forbidden) and scale == 0:
        raise ParameterError("scale is 0, so no pair can be told from a forbidden one; pass a scale other than 0")
    table = _Table(
        u, np.ascontiguousarray(v.T), check_penalty("gap_open", gap_open), check_penalty("gap_extend", gap_extend),
        scale, scale * offset, check_tile_size(tile_size), tuple(forbidden),
    )  # fmt: skip
    n, m = len(u), len(v)
    kept = _checkpoint(table, _Area(0, n, 0, m, np.full((2, m + 1), -np.inf), np.full((3, n), -np.inf)), on_cells)
    pieces: list[np.ndarray] = [np.empty((0, 2), dtype=np.int64)]
    _trace_tiles(table, kept, kept.row, kept.column, IN_M, pieces)
    return LocalPath(kept.score, np.concatenate(pieces)[::-1].copy())
