"""Calibrated similarity: what makes a local alignment local."""

from __future__ import annotations

import numpy as np

_RIDGE = 0.05  # of the total variance, whatever the number of frames
_BASIS_FRAMES = 1500
_TINY = 1e-9


def calibrated_similarity(u: np.ndarray, v: np.ndarray, margin: float) -> np.ndarray:
    """Similarity of every frame of A with every frame of B, in standard deviations above the pair's own background.

    The embeddings are whitened with a ridge over the frames of both videos, so that no single way of changing (a hand
    that waves all the time, flickering light) dominates. Cosines are then expressed as z-scores within their row and
    within their column, the two averaged, less a margin: a random pair of frames scores below zero.

    Parameters
    ----------
    u, v : ndarray, shape (N, D) and (M, D), float32
        Unit frame embeddings.
    margin : float
        Standard deviations by which a pair must exceed the background to count as a match.

    Returns
    -------
    ndarray, shape (N, M), float32
    """
    white_u, white_v = _whiten(u, v)
    cosine = white_u @ white_v.T
    by_row = _z_scores(cosine, axis=1)
    by_column = _z_scores(cosine, axis=0)
    return ((by_row + by_column) / 2 - margin).astype(np.float32)


def _whiten(u: np.ndarray, v: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Ridge-whitened unit rows of both, in the basis of at most _BASIS_FRAMES frames spread over both."""
    frames = np.concatenate([u, v])
    chosen = np.unique(np.linspace(0, len(frames) - 1, min(len(frames), _BASIS_FRAMES)).round().astype(int))
    # The eigenvectors of the small Gram matrix give those of the large covariance matrix; products with the basis stand
    # for the frames themselves, which are longer.
    products = frames @ frames[chosen].T
    energy, left = np.linalg.eigh(products[chosen].astype(np.float64))
    # Below that lies what float32 products leave of zero.
    keep = energy > 1e-6 * max(energy[-1], _TINY)
    energy, left = energy[keep], left[:, keep]
    variance = energy / len(chosen)
    ridge = _RIDGE * variance.sum()
    white = products @ (left / np.sqrt(energy) / np.sqrt(variance + ridge)).astype(np.float32)
    white /= np.maximum(np.linalg.norm(white, axis=1, keepdims=True), _TINY)
    return white[: len(u)], white[len(u) :]


def _z_scores(values: np.ndarray, axis: int) -> np.ndarray:
    spread = values.std(axis=axis, keepdims=True)
    return (values - values.mean(axis=axis, keepdims=True)) / np.maximum(spread, 1e-6)
