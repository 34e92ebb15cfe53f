"""Where a local path should end: not in frames that match worse than the rest of it."""

from __future__ import annotations

import numpy as np

from lactoolkit.kernels.path_decoding import LocalPath

_LEAST_EVIDENCE = 1.0  # mean cosines by which an end must fall short of the level; chosen with it


def without_poor_ends(path: LocalPath, cosines: np.ndarray, level: float) -> LocalPath:
    """Leave out the first and last pairs of a path where they look less alike than the rest.

    A local path goes on as long as its score grows, however slowly. Between two videos of one scene it grows beyond the
    common process too: one moment of any video is more like some moments of the other than like others. What the frames
    there have in common, seen for itself, is less than in the process.

    Parameters
    ----------
    path : LocalPath
        With L pairs, at least one.
    cosines : ndarray, shape (L,)
        Between the embeddings of each pair, not calibrated.
    level : float
        Share of the mean cosine of the path that the pairs at either end must reach on average; 0 keeps all.

    Returns
    -------
    LocalPath
        At least one pair; the score is still that of the whole path.

    Notes
    -----
    The part kept is the one with the largest sum of what its pairs exceed the level by, as in a normalised alignment.
    An end goes only if its pairs together fall short of the level by more than one mean cosine.

    References
    ----------
    Arslan, Egecioglu and Pevzner (2001), Bioinformatics 17:327.
    """
    mean = float(cosines.mean(dtype=np.float64))
    if level <= 0 or mean <= 0:
        return path
    sums = np.concatenate([[0.0], np.cumsum(cosines / mean - level, dtype=np.float64)])
    first, stop = 0, len(path)
    lowest = int(sums[:-1].argmin())
    if sums[lowest] < -_LEAST_EVIDENCE:
        first = lowest
    highest = first + 1 + int(sums[first + 1 :].argmax())
    if sums[highest] - sums[-1] > _LEAST_EVIDENCE:
        stop = highest
    return LocalPath(path.score, path.pairs[first:stop])
