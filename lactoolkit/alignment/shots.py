"""Where a local path should end: at a hard cut, unless what lies beyond it is worth it."""

from __future__ import annotations

import numpy as np

from lactoolkit.kernels.path_decoding import LocalPath


def within_shots(
    path: LocalPath, similarity: np.ndarray, cuts_a: np.ndarray, cuts_b: np.ndarray, cost: float
) -> LocalPath:
    """Leave out the parts of a path that lie beyond hard cuts and match too little to be worth it.

    Behind a cut there is often something else. The path still goes on through the first frames there as long as its
    score grows, by chance. A cut that the other video has between the very same pairs is one of the process and costs
    nothing.

    Parameters
    ----------
    path : LocalPath
        With L pairs, at least one.
    similarity : ndarray, shape (L,)
        Calibrated similarity of each pair.
    cuts_a, cuts_b : ndarray, int
        First row, or column, behind each cut.
    cost : float
        What crossing cuts in one video costs, in similarity, once where no pair lies between them; 0 keeps all.

    Returns
    -------
    LocalPath
        The run of shots with the largest sum of similarities less costs; the score is still that of the whole path.
    """
    edges = np.setxor1d(_crossings(path.pairs[:, 0], cuts_a), _crossings(path.pairs[:, 1], cuts_b))
    if cost <= 0 or not len(edges):
        return path
    sums = [float(part.sum(dtype=np.float64)) for part in np.split(similarity, edges)]
    bounds = [0, *edges.tolist(), len(path)]
    best, run, first = -np.inf, -np.inf, 0
    start, stop = 0, len(path)
    for shot, own in enumerate(sums):
        carried = run - cost
        if carried <= 0:
            carried, first = 0.0, shot
        run = carried + own
        if run > best:
            best, start, stop = run, bounds[first], bounds[shot + 1]
    return LocalPath(path.score, path.pairs[start:stop])


def _crossings(lines: np.ndarray, cuts: np.ndarray) -> np.ndarray:
    """Positions of the first pairs behind the cuts that a path crosses; lines are its rows or columns."""
    return np.searchsorted(lines, cuts[(cuts > lines[0]) & (cuts <= lines[-1])])
