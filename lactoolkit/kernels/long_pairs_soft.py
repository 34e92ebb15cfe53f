"""Soft local alignment of two long embeddings: score and gradients without ever storing their table.

The forward pass keeps the states along the edges between tiles. The backward pass takes the tiles in reverse order and
computes each a second time from its edges, so that the states of one tile per thread are all that exists at once.
"""

from __future__ import annotations

import math
import threading
from dataclasses import dataclass

import numpy as np

from lactoolkit.errors import ParameterError
from lactoolkit.kernels.cells import EMPTY, most_octaves_apart
from lactoolkit.kernels.products import add_product
from lactoolkit.kernels.scaled_numbers import MAX_WEIGHT_EXPONENT, temperature_constants
from lactoolkit.kernels.soft_tile import (
    MAX_COLUMNS,
    MAX_ROWS,
    backward_tile,
    buffer_size,
    forward_tile,
    load_weights,
    unload_posterior,
)
from lactoolkit.kernels.tiling import TileGrid, visit_wavefront

# Exponents are int32, and EMPTY is -2**29.
_MAX_SCORE_EXPONENT = 2.0**28

# Rows of products a power of two apart would share their places in the cache.
_PADDING = 16


@dataclass(frozen=True)
class SoftGradients:
    """Derivatives of the soft score of two embeddings."""

    u: np.ndarray
    v: np.ndarray
    gap_open: float
    gap_extend: float
    scale: float
    offset: float


class SoftEmbeddingAlignment:
    """Soft Smith-Waterman score of two embeddings, and its derivatives.

    Parameters
    ----------
    u : ndarray, shape (N, D), float32 or float64
    v : ndarray, shape (M, D), of the same type
        Finite and C-contiguous; see :func:`lactoolkit.kernels.tiling.check_embeddings`.
    gap_open, gap_extend : float
        Penalties, zero or more.
    temperature : float
        Positive.
    scale, offset : float
        The similarity of row i and column j is ``scale * (u[i] . v[j] - offset)``.
    allow_empty : bool
        Count the empty alignment, with score 0.
    keep_edges : bool
        Keep what :meth:`gradients` needs: 16 bytes (in float32) for every cell on an edge between tiles.
    tile_shape : tuple of int
        Rows and columns of a tile, at most (256, 1024).

    Attributes
    ----------
    score : float

    Raises
    ------
    ParameterError
        If similarities or penalties are too large for the temperature.

    Notes
    -----
    Arithmetic is that of the embeddings' type; penalties that lie more than 80 ln 2 temperatures apart need float64.
    Results do not depend on the number of threads.
    """

    def __init__(
        self,
        u: np.ndarray,
        v: np.ndarray,
        gap_open: float,
        gap_extend: float,
        temperature: float,
        *,
        scale: float = 1.0,
        offset: float = 0.0,
        allow_empty: bool = False,
        keep_edges: bool = True,
        tile_shape: tuple[int, int] = (MAX_ROWS, MAX_COLUMNS),
    ) -> None:
        self._given_type = u.dtype
        spread = _spread(gap_open, gap_extend, temperature)
        limit, wider = (most_octaves_apart.py_func(x, gap_extend > gap_open) for x in (u.dtype == np.float64, True))
        if spread > limit:
            u, v = u.astype(np.float64), v.astype(np.float64)
        if spread > wider:
            raise ParameterError(
                f"gap_open {gap_open} and gap_extend {gap_extend} are too far apart for temperature {temperature}; "
                f"raise it above {abs(gap_open - gap_extend) / (wider * math.log(2)):.3g}, or take "
                "best_local_path_embeddings, its limit at low temperature"
            )
        _check_range(u, v, scale, offset, temperature)
        self._u, self._v = u, v
        self._v_transposed = np.ascontiguousarray(v.T)
        self._scale, self._offset = scale, offset
        self._constants = temperature_constants(temperature, u.dtype)
        self._penalties = _scaled_penalties(gap_open, gap_extend, temperature, u.dtype)
        self._grid = TileGrid.of_at_most(len(u), len(v), *tile_shape)
        self._buffers = threading.local()
        self._nothing = np.zeros((4, 1), dtype=u.dtype)
        self._nothing[3] = self._bits(EMPTY)

        rows, columns = (parts + 1 if keep_edges else 1 for parts in self._grid.shape)
        self._tops = np.empty((rows, 4, len(v) + 1), dtype=u.dtype)
        self._lefts = np.empty((columns, 4, len(u)), dtype=u.dtype)
        self._tops[0] = self._nothing
        self._tops[:, :, :1] = self._nothing
        self._lefts[0] = self._nothing
        self._keeps_edges = keep_edges
        total, self._exponent = self._run_forward(allow_empty)
        self._inverse = u.dtype.type(1.0 / total)
        self.score = temperature * (math.log(total) + self._exponent * math.log(2.0))

    def _bits(self, exponent: np.int32) -> np.ndarray:
        """An exponent as the kernels store it among mantissas."""
        integer = np.int32 if self._u.dtype == np.float32 else np.int64
        return np.array(exponent, dtype=integer).view(self._u.dtype)

    def _thread_buffers(self) -> tuple[np.ndarray, np.ndarray]:
        if not hasattr(self._buffers, "states"):
            rows = int(np.diff(self._grid.rows).max())
            columns = int(np.diff(self._grid.columns).max())
            self._buffers.states = np.zeros(buffer_size(rows, columns), dtype=self._u.dtype)
            self._buffers.products = np.empty((rows, columns + _PADDING), dtype=self._u.dtype)
        return self._buffers.states, self._buffers.products

    def _forward_tile(self, r: int, c: int, top: np.ndarray, left: np.ndarray) -> tuple[float, int]:
        """Compute a tile in the thread's buffer, from its edges, which become its last row and column."""
        rows, columns = self._grid.row_slice(r), self._grid.column_slice(c)
        states, products = self._thread_buffers()
        products = products[: rows.stop - rows.start]
        products[:] = 0
        u, kind = self._u, self._u.dtype.type
        width = columns.stop - columns.start
        add_product(u[rows], self._v_transposed, columns.start, products, len(products), u.shape[1], width)
        load_weights(products, width, kind(self._scale), kind(self._scale * self._offset), self._constants, states)
        return forward_tile(states, len(products), width, *self._penalties, top, left)

    def _run_forward(self, allow_empty: bool) -> tuple[float, int]:
        """Sum over all alignments as a number in [1, 2) and an exponent."""
        grid = self._grid
        totals = np.empty(grid.shape)
        exponents = np.empty(grid.shape, dtype=np.int64)
        # Where edges are not kept, the row below may have overwritten the corner in the only row of states.
        corners = np.empty((grid.shape[0], 4), dtype=self._u.dtype)

        def visit(r: int, c: int) -> None:
            rows, columns = grid.row_slice(r), grid.column_slice(c)
            (above, below), (before, after) = ((r, r + 1), (c, c + 1)) if self._keeps_edges else ((0, 0), (0, 0))
            top = self._tops[above][:, columns.start : columns.stop + 1].copy()
            left = self._lefts[before][:, rows].copy()
            top[:, 0] = corners[r] if c else self._nothing[:, 0]
            corners[r] = top[:, -1]
            totals[r, c], exponents[r, c] = self._forward_tile(r, c, top, left)
            self._tops[below][:, columns.start + 1 : columns.stop + 1] = top[:, 1:]
            self._lefts[after][:, rows] = left

        visit_wavefront(grid, visit)
        parts = [*zip(totals.ravel().tolist(), exponents.ravel().tolist(), strict=True)]
        if allow_empty:
            parts.append((1.0, 0))
        highest = max(exponent for _, exponent in parts)
        total = math.fsum(math.ldexp(value, max(exponent - highest, -2000)) for value, exponent in parts)
        mantissa, shift = math.frexp(total)
        return 2.0 * mantissa, highest + shift - 1

    def gradients(self) -> SoftGradients:
        """Exact derivatives of the score.

        Returns
        -------
        SoftGradients
            Arrays of the shape and type of the embeddings.
        """
        grid, u, v = self._grid, self._u, self._v
        d_u, d_v = np.zeros_like(u), np.zeros_like(v)
        below = np.repeat(self._nothing_backward(), len(v), axis=1)
        right = np.repeat(self._nothing_backward(), len(u), axis=1)
        corners = np.empty((grid.shape[0], 4), dtype=u.dtype)
        sums = np.empty((*grid.shape, 3))

        def visit(r: int, c: int) -> None:
            rows, columns = grid.row_slice(r), grid.column_slice(c)
            n, m = rows.stop - rows.start, columns.stop - columns.start
            top = self._tops[r][:, columns.start : columns.stop + 1].copy()
            self._forward_tile(r, c, top, self._lefts[c][:, rows].copy())
            states, products = self._thread_buffers()
            tile_below, tile_right = below[:, columns].copy(), right[:, rows].copy()
            corner = corners[r].copy() if c + 1 < grid.shape[1] else self._nothing_backward()[:, 0]
            corners[r] = tile_below[:, 0]
            sums[r, c] = backward_tile(
                states, n, m, *self._penalties, self._inverse, np.int32(-self._exponent), tile_below, tile_right, corner
            )
            below[:, columns], right[:, rows] = tile_below, tile_right
            posterior = products[:n]
            unload_posterior(states, posterior, m)
            add_product(posterior, v[columns], 0, d_u[rows], n, m, u.shape[1])
            add_product(posterior.T, u[rows], 0, d_v[columns], m, n, u.shape[1])

        visit_wavefront(grid, visit, backwards=True)
        opened, extended, matched = sums.sum(axis=(0, 1))
        # The sum of posterior times product, row by row.
        mean_product = float(np.einsum("nd,nd->", u, d_u, dtype=np.float64))
        scale = u.dtype.type(self._scale)
        d_u *= scale
        d_v *= scale
        return SoftGradients(
            u=d_u.astype(self._given_type, copy=False),
            v=d_v.astype(self._given_type, copy=False),
            gap_open=-float(opened),
            gap_extend=-float(extended),
            scale=mean_product - self._offset * float(matched),
            offset=-self._scale * float(matched),
        )

    def _nothing_backward(self) -> np.ndarray:
        """Edge beyond the table on the way back: two scaled numbers that are zero."""
        return np.stack([self._nothing[0], self._nothing[3]] * 2)


def _spread(gap_open: float, gap_extend: float, temperature: float) -> float:
    octaves = [penalty / (temperature * math.log(2.0)) for penalty in (gap_open, gap_extend)]
    # An impossible transition is zero in any representation.
    return abs(octaves[0] - octaves[1]) if max(octaves) < MAX_WEIGHT_EXPONENT else 0.0


def _scaled_penalties(
    gap_open: float, gap_extend: float, temperature: float, dtype: np.dtype
) -> tuple[np.floating, np.floating, np.int32]:
    """Mantissas of exp(-o/t) and exp(-e/t) and their common exponent."""
    octaves = [-penalty / (temperature * math.log(2.0)) for penalty in (gap_open, gap_extend)]
    octaves = [x if x > -float(MAX_WEIGHT_EXPONENT) else -math.inf for x in octaves]
    exponent = math.floor(max(octaves)) if max(octaves) > -math.inf else 0
    opening, extension = (dtype.type(2.0 ** (x - exponent)) for x in octaves)
    return opening, extension, np.int32(exponent)


def _check_range(u: np.ndarray, v: np.ndarray, scale: float, offset: float, temperature: float) -> None:
    norms = [float(np.sqrt(np.einsum("nd,nd->n", x, x, dtype=np.float64).max())) for x in (u, v)]
    largest = abs(scale) * (norms[0] * norms[1] + abs(offset))
    octaves = largest / (temperature * math.log(2.0))
    if not (octaves < MAX_WEIGHT_EXPONENT and octaves * min(len(u), len(v)) < _MAX_SCORE_EXPONENT):
        raise ParameterError(
            f"temperature {temperature} is too low for similarities of up to {largest:.4g} along {min(len(u), len(v))} "
            "positions; raise it, or take best_local_path_embeddings, its limit at low temperature"
        )
