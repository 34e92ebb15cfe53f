"""How sure a pair is: the posterior near it, and how often so much posterior is right."""

from __future__ import annotations

import numpy as np

from lactoolkit.alignment.settings import AlignmentSettings
from lactoolkit.kernels.path_decoding import LocalPath
from lactoolkit.kernels.smith_waterman_cpu import posterior

_TOLERANCE = 0.1  # seconds: confidence counts the posterior within this distance of a pair

# Share of pairs within 3 frames (0.1 s) of the truth where the posterior within that distance is so much: isotonic fit
# over the training videos of four simulated tasks; benchmarks/results/zero_training.md checks it on others. Below .4 it
# is flat; above .85 there are hardly any pairs, and the curve goes straight to what identical videos deserve.
_POSTERIOR = np.array([0.0, 0.4, 0.45, 0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 1.0])
_SHARE_RIGHT = np.array([0.34, 0.388, 0.418, 0.442, 0.451, 0.490, 0.538, 0.594, 0.666, 0.734, 0.83, 0.98])

# The same for trained embeddings: encoders trained on ten episodes of each task, pairs of six other training episodes.
# There are hardly any pairs above .8: from there on straight to what identical videos deserve.
_SHARE_RIGHT_TRAINED = np.array([0.36, 0.515, 0.527, 0.554, 0.602, 0.664, 0.710, 0.759, 0.818, 0.851, 0.883, 0.98])


def calibrated_confidence(posterior_mass: np.ndarray, *, trained: bool = False) -> np.ndarray:
    """How often pairs with so much posterior near them are right.

    Parameters
    ----------
    posterior_mass : ndarray
        From :func:`posterior_near`.
    trained : bool
        Whether the embeddings are a trained encoder's.

    Returns
    -------
    ndarray, float32
        Between 0 and 1; grows with the posterior.
    """
    shares = _SHARE_RIGHT_TRAINED if trained else _SHARE_RIGHT
    return np.interp(posterior_mass, _POSTERIOR, shares).astype(np.float32)


def tolerance_frames(rate: float) -> int:
    """Analysed frames within which a partner counts as right, at a rate in frames per second: a tenth of a second."""
    return max(1, round(_TOLERANCE * rate))


def posterior_near(similarity: np.ndarray, path: LocalPath, settings: AlignmentSettings, reach: int) -> np.ndarray:
    """Posterior probability that the true partner lies near the path's, mean of both directions.

    Parameters
    ----------
    similarity : ndarray, shape (N, M), float32
        With ``-inf`` where pairs are forbidden.
    path : LocalPath
        With L pairs.
    settings : AlignmentSettings
        Penalties and temperature.
    reach : int
        Frames on either side that count as near.

    Returns
    -------
    ndarray, shape (L,), float64
        Between 0 and 1.
    """
    rows, columns = path.pairs.T
    gap_open = np.full((1, 1, 1), settings.gap_open, similarity.dtype)
    gap_extend = np.full((1, 1, 1), settings.gap_extend, similarity.dtype)
    lengths = np.array([similarity.shape], np.int64)
    match = posterior(similarity[None], gap_open, gap_extend, lengths, settings.temperature, False)[1][0]
    in_row = _window_sums(match, rows, columns, reach)
    in_column = _window_sums(match.T, columns, rows, reach)
    return np.clip((in_row + in_column) / 2, 0, 1)


def _window_sums(match: np.ndarray, rows: np.ndarray, columns: np.ndarray, reach: int) -> np.ndarray:
    """Sum of ``match[row, column - reach : column + reach + 1]`` for every pair, shape (L,)."""
    offsets = np.arange(-reach, reach + 1)
    window = columns[:, None] + offsets
    inside = (window >= 0) & (window < match.shape[1])
    values = match[rows[:, None], np.clip(window, 0, match.shape[1] - 1)]
    return np.where(inside, values, 0).sum(axis=1, dtype=np.float64)
