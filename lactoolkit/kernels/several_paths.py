"""Several local paths through one table, best first (Waterman and Eggert)."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from lactoolkit.errors import ParameterError
from lactoolkit.kernels.path_decoding import LocalPath, best_local_path


def best_local_paths(
    similarity: Any,
    gap_open: float,
    gap_extend: float,
    count: int,
    *,
    exclude: Literal["pairs", "area"] = "pairs",
) -> list[LocalPath]:
    """Find the best local path, then the best that avoids it, and so on.

    Parameters
    ----------
    similarity : array_like, shape (N, M), floating
        Score of matching row i with column j; ``-inf`` forbids the pair.
    gap_open, gap_extend : float
        Penalties, zero or more.
    count : int
        How many paths to look for, 1 or more.
    exclude : {"pairs", "area"}
        What a path forbids to later ones: its own pairs, as Waterman and Eggert have it, or every pair of one of its
        rows with one of its columns, from the first to the last. Neighbouring frames of a video look alike, so that
        without its pairs a path would come again, one frame beside itself; with ``"area"``, two paths may share rows
        or columns (one repetition against each of several), never both.

    Returns
    -------
    list of LocalPath
        At most ``count``, by falling score; only the first may have a score of zero or less.

    Raises
    ------
    ParameterError
        As :func:`lactoolkit.best_local_path`, for a ``count`` below 1 and an unknown ``exclude``.

    References
    ----------
    Waterman and Eggert (1987), J. Mol. Biol. 197:723. The table is computed anew for each path.

    Examples
    --------
    >>> table = np.full((2, 4), -1.0)
    >>> table[0, 0] = table[1, 1] = table[0, 2] = 1.0
    >>> table[1, 3] = 0.5
    >>> [(path.score, path.pairs.tolist()) for path in best_local_paths(table, 1.0, 1.0, 5, exclude="area")]
    [(2.0, [[0, 0], [1, 1]]), (1.5, [[0, 2], [1, 3]])]
    """
    if isinstance(count, bool) or not isinstance(count, (int, np.integer)) or count < 1:
        raise ParameterError(f"count is {count!r}; pass how many paths are wanted, 1 or more")
    if exclude not in ("pairs", "area"):
        raise ParameterError(f"exclude is {exclude!r}; pass 'pairs' or 'area'")
    best = best_local_path(similarity, gap_open, gap_extend)
    if not len(best):
        return []
    paths = [best]
    remaining = np.array(similarity)
    while len(paths) < count:
        rows, columns = paths[-1].pairs.T
        if exclude == "pairs":
            remaining[rows, columns] = -np.inf
        else:
            remaining[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] = -np.inf
        path = best_local_path(remaining, gap_open, gap_extend)
        if not path.score > 0:
            break
        paths.append(path)
    return paths
