"""One best path through a table: hard local alignment and maximum expected accuracy."""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Real
from typing import Any, Literal

import numpy as np

from lactoolkit.errors import ParameterError
from lactoolkit.kernels.arrays import as_array
from lactoolkit.kernels.kernel_cache import compiled

# What one byte of the traceback says about its cell. G is the better of M and X, the state that both M and Y continue.
FROM_G = np.uint8(1)  # the pair continues G at the upper left neighbour
FROM_Y = np.uint8(2)  # the pair continues Y there; neither bit: the path starts here
G_IS_X = np.uint8(4)
X_EXTENDS = np.uint8(8)
Y_EXTENDS = np.uint8(16)

IN_G, IN_M, IN_X, IN_Y, STARTED = 0, 1, 2, 3, 4

# A sum of float32 posteriors over a row may pass 1 by rounding; a similarity passed by mistake does so by far more.
_POSTERIOR_TOLERANCE = 1e-3


@dataclass(frozen=True)
class PathGap:
    """A run of positions of one sequence, inside a path, that has no partner in the other.

    Parameters
    ----------
    axis : {0, 1}
        The axis of the table whose positions are skipped.
    start, stop : int
        Half-open range of the skipped positions.
    """

    axis: Literal[0, 1]
    start: int
    stop: int

    def __len__(self) -> int:
        return self.stop - self.start


@dataclass(frozen=True)
class LocalPath:
    """Matched pairs in order, and what they score.

    Parameters
    ----------
    score : float
        Score of the path; ``-inf`` when no pair is allowed at all.
    pairs : ndarray, shape (L, 2), int64
        Row and column of every matched pair, both strictly increasing.
    """

    score: float
    pairs: np.ndarray

    def __len__(self) -> int:
        return len(self.pairs)

    @property
    def gaps(self) -> tuple[PathGap, ...]:
        """Unmatched runs between consecutive pairs, in path order; where both axes skip, axis 1 comes first."""
        steps = np.diff(self.pairs, axis=0)
        runs: list[PathGap] = []
        for k in np.flatnonzero((steps > 1).any(axis=1)):
            for axis in (1, 0):
                start, stop = int(self.pairs[k, axis]) + 1, int(self.pairs[k + 1, axis])
                if start < stop:
                    runs.append(PathGap(axis, start, stop))
        return tuple(runs)


@compiled
def hard_tile(products, scale, shift, gap_open, gap_extend, top_g, top_y, left_m, left_x, left_y, trace):
    """Run the hard recursion over one tile of the table, with the similarity ``scale * products - shift``.

    Parameters
    ----------
    products : ndarray, shape (R, C), float32 or float64
    scale, shift : float
    gap_open, gap_extend : float
    top_g, top_y : ndarray, shape (C + 1,), float64
        States of the row above the tile, from the column before its first on; overwritten with its last row.
    left_m, left_x, left_y : ndarray, shape (R,), float64
        States of the column before the tile; overwritten with its last column.
    trace : ndarray, shape (R, C), uint8
        Receives the traceback, unless it has no rows.

    Returns
    -------
    score : float
        Best M of the tile, ``-inf`` where every pair is forbidden.
    row, column : int
        The first cell in row-major order that reaches it, or -1, -1.
    """
    best = -np.inf
    best_row = -1
    best_column = -1
    keep = trace.shape[0] > 0
    for i in range(products.shape[0]):
        corner_g = top_g[0]
        corner_y = top_y[0]
        m_left = left_m[i]
        x_left = left_x[i]
        y = left_y[i]
        top_g[0] = m_left if m_left >= x_left else x_left
        top_y[0] = y
        for j in range(products.shape[1]):
            up_g = top_g[j + 1]
            up_y = top_y[j + 1]
            before = corner_g if corner_g >= corner_y else corner_y
            m = scale * products[i, j] - shift + (before if before > 0.0 else 0.0)
            opened_x = m_left - gap_open
            extended_x = x_left - gap_extend
            x = extended_x if extended_x > opened_x else opened_x
            opened_y = up_g - gap_open
            extended_y = up_y - gap_extend
            y = extended_y if extended_y > opened_y else opened_y
            if keep:
                trace[i, j] = (
                    (FROM_G if corner_g >= corner_y else FROM_Y) * np.uint8(before > 0.0)
                    | G_IS_X * np.uint8(x > m)
                    | X_EXTENDS * np.uint8(extended_x > opened_x)
                    | Y_EXTENDS * np.uint8(extended_y > opened_y)
                )
            top_g[j + 1] = m if m >= x else x
            top_y[j + 1] = y
            corner_g = up_g
            corner_y = up_y
            m_left = m
            x_left = x
            if m > best:
                best = m
                best_row = i
                best_column = j
        left_m[i] = m_left
        left_x[i] = x_left
        left_y[i] = y
    return best, best_row, best_column


@compiled
def follow_trace(trace, row, column, state, pairs):
    """Follow the traceback of one tile backwards until the path starts or leaves the tile.

    Parameters
    ----------
    trace : ndarray, shape (R, C), uint8
    row, column, state : int
        Where to begin.
    pairs : ndarray, shape (min(R, C), 2), int64
        Receives the pairs, last one first.

    Returns
    -------
    count, row, column, state : int
        Pairs written, and where the path goes on: row or column is -1 outside the tile, unless the state is STARTED.
    """
    count = 0
    while row >= 0 and column >= 0:
        code = trace[row, column]
        if state == IN_G:
            state = IN_X if code & G_IS_X else IN_M
        if state == IN_M:
            pairs[count, 0] = row
            pairs[count, 1] = column
            count += 1
            row -= 1
            column -= 1
            if code & FROM_G:
                state = IN_G
            elif code & FROM_Y:
                state = IN_Y
            else:
                return count, row, column, STARTED
        elif state == IN_X:
            column -= 1
            state = IN_X if code & X_EXTENDS else IN_M
        else:
            row -= 1
            state = IN_Y if code & Y_EXTENDS else IN_G
    return count, row, column, state


@compiled
def _accuracy_table(posterior, threshold, trace):
    """Fill the traceback of the chain with the largest sum: 0 match, 1 from above, 2 from the left; return the sum."""
    rows, columns = posterior.shape
    above = np.zeros(columns + 1)
    for i in range(rows):
        corner = 0.0
        left = 0.0
        for j in range(columns):
            up = above[j + 1]
            p = posterior[i, j]
            matched = corner + p if p > threshold else -np.inf
            skipped = up if up >= left else left
            trace[i, j] = 0 if matched > skipped else (1 if up >= left else 2)
            left = matched if matched > skipped else skipped
            above[j + 1] = left
            corner = up
    return above[columns]


@compiled
def _follow_accuracy_trace(trace, pairs):
    count = 0
    row, column = trace.shape[0] - 1, trace.shape[1] - 1
    while row >= 0 and column >= 0:
        move = trace[row, column]
        if move == 0:
            pairs[count, 0] = row
            pairs[count, 1] = column
            count += 1
            row -= 1
            column -= 1
        elif move == 1:
            row -= 1
        else:
            column -= 1
    return count


def check_penalty(name: str, value: float) -> float:
    """Return a penalty as a Python float.

    Raises
    ------
    ParameterError
        If it is no number, is NaN or lies below zero.
    """
    try:
        penalty = float(value)
    except (TypeError, ValueError) as error:
        raise ParameterError(f"{name} is {value!r}; pass one number, zero or more") from error
    if not penalty >= 0:
        raise ParameterError(
            f"{name} is {penalty}; penalties are subtracted, so pass a number of zero or more (inf forbids the gap)"
        )
    return penalty


def _check_table(name: str, table: Any) -> np.ndarray:
    """Return a table as C-contiguous float32 or float64, so that the kernels need two specialisations only."""
    array = as_array(name, table)
    if array.ndim != 2:
        raise ParameterError(f"{name} has shape {array.shape}; pass one table of shape (N, M)")
    if array.size == 0:
        raise ParameterError(f"{name} has shape {array.shape}; both sequences need at least one position")
    if array.dtype.kind != "f":
        raise ParameterError(f"{name} has dtype {array.dtype}; convert it to float32 or float64")
    # A file in foreign byte order has the kind "f" too; numba takes the native order alone.
    dtype = np.float32 if array.dtype.itemsize <= 4 else np.float64
    return np.ascontiguousarray(array, dtype=dtype)


def best_local_path(similarity: Any, gap_open: float, gap_extend: float) -> LocalPath:
    """Best local alignment with affine gaps (Smith-Waterman-Gotoh), with its pairs.

    This is the limit of the soft Smith-Waterman score as the temperature goes to zero: at least one pair is matched,
    and a gap of length L costs ``gap_open + (L - 1) * gap_extend``. Between two pairs, columns are skipped before
    rows, and each of the two runs opens its own gap.

    Parameters
    ----------
    similarity : array_like, shape (N, M), floating
        Score of matching row i with column j; ``-inf`` forbids the pair. Sums are kept in float64.
    gap_open, gap_extend : float
        Penalties, zero or more; ``inf`` forbids opening or extending a gap.

    Returns
    -------
    LocalPath
        Without pairs and with score ``-inf`` if every pair is forbidden. Of paths with equal scores, the one that
        ends first in row-major order is taken; seen from its end it starts where what precedes adds nothing, and
        prefers a match to skipped columns, these to skipped rows, and a new gap to a longer one.

    Raises
    ------
    ParameterError
        For a table that is not a non-empty two-dimensional floating array, holds NaN or +inf, or for a penalty that is
        negative or NaN.

    References
    ----------
    Smith and Waterman (1981), J. Mol. Biol. 147:195; Gotoh (1982), J. Mol. Biol. 162:705.

    Examples
    --------
    >>> path = best_local_path(np.array([[2.0, -1.0, -1.0], [-1.0, -1.0, 2.0]]), gap_open=1.0, gap_extend=0.5)
    >>> path.score, path.pairs.tolist(), path.gaps
    (3.0, [[0, 0], [1, 2]], (PathGap(axis=1, start=1, stop=2),))
    """
    table = _check_table("similarity", similarity)
    gap_open, gap_extend = check_penalty("gap_open", gap_open), check_penalty("gap_extend", gap_extend)
    peak = table.max()
    if not peak < np.inf:
        raise ParameterError(f"similarity holds {peak}; every value must be a number or -inf (which forbids the pair)")

    rows, columns = table.shape
    trace = np.empty((rows, columns), dtype=np.uint8)
    top = np.full((2, columns + 1), -np.inf)
    left = np.full((3, rows), -np.inf)
    score, row, column = hard_tile(
        table, 1.0, 0.0, gap_open, gap_extend, top[0], top[1], left[0], left[1], left[2], trace
    )
    pairs = np.empty((min(rows, columns), 2), dtype=np.int64)
    count = follow_trace(trace, row, column, IN_M, pairs)[0]
    return LocalPath(float(score), pairs[:count][::-1].copy())


def max_expected_accuracy_path(posterior: Any, *, threshold: float = 0.0) -> LocalPath:
    """Chain of pairs with the largest sum of match posteriors.

    The sum is the expected number of correct pairs (in the model's eyes); gaps cost nothing, so the path reaches as far
    as any posterior above the threshold does.

    Parameters
    ----------
    posterior : array_like, shape (N, M), floating
        Probability that row i is matched to column j, as :func:`lactoolkit.alignment_posterior` gives it.
    threshold : float, optional
        Only pairs with a posterior above it are matched.

    Returns
    -------
    LocalPath
        Its score is the sum of the posteriors; 0 without pairs if no posterior is above the threshold. Of chains with
        equal sums, the one with fewer pairs near its end is taken, rows being skipped before columns from there.

    Raises
    ------
    ParameterError
        For a table that is not a non-empty two-dimensional floating array of probabilities, or a threshold outside
        0..1.

    References
    ----------
    Holmes and Durbin (1998), J. Comput. Biol. 5:493; Do et al. (2005), Genome Res. 15:330.
    """
    table = _check_table("posterior", posterior)
    if not isinstance(threshold, Real) or not 0 <= threshold <= 1:
        raise ParameterError(f"threshold is {threshold!r}; pass a probability, 0 to 1")
    low, high = table.min(), table.max()
    if not (low >= 0 and high <= 1 + _POSTERIOR_TOLERANCE):
        raise ParameterError(f"posterior ranges from {low} to {high}; probabilities lie between 0 and 1")

    trace = np.empty(table.shape, dtype=np.uint8)
    score = _accuracy_table(table, float(threshold), trace)
    pairs = np.empty((min(table.shape), 2), dtype=np.int64)
    count = _follow_accuracy_trace(trace, pairs)
    return LocalPath(float(score), pairs[:count][::-1].copy())
