"""Calibrated similarity: what makes a local alignment local."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from tqdm import tqdm

_RIDGE = 0.05  # of the total variance, whatever the number of frames
_BASIS_FRAMES = 1500
_DIMENSIONS = 256  # of the largest variance; what the others add to a similarity is .02 of a standard deviation
_TINY = 1e-9
_SMALLEST_SPREAD = 1e-6
_CHUNK = 2048  # rows of embeddings that are worked on at once


class Embeddings(Protocol):
    """Rows of embeddings: an array, or a :class:`lactoolkit.features.embedding.LongEmbeddings`."""

    def __len__(self) -> int: ...

    def __getitem__(self, rows: Any, /) -> np.ndarray: ...


def calibrated_similarity(u: Embeddings, v: Embeddings, margin: float, background: str = "lines") -> np.ndarray:
    """Similarity of every frame of A with every frame of B, in standard deviations above the pair's own background.

    The embeddings are whitened with a ridge over the frames of both videos, so that no single way of changing (a hand
    that waves all the time, flickering light) dominates. Cosines are then expressed as z-scores, less a margin: a
    random pair of frames scores below zero.

    Parameters
    ----------
    u, v : Embeddings, shape (N, D) and (M, D), float32
        Unit frame embeddings.
    margin : float
        Standard deviations by which a pair must exceed the background to count as a match.
    background : {"lines", "table"}
        Whether z-scores are taken within the row and within the column of a pair, the two averaged, or over the whole
        table.

    Returns
    -------
    ndarray, shape (N, M), float32
    """
    white_u, white_v = _whiten(u, v)
    cosine = white_u @ white_v.T
    if background == "table":
        return (_z_scores(cosine, axis=None) - margin).astype(np.float32)
    by_row = _z_scores(cosine, axis=1)
    by_column = _z_scores(cosine, axis=0)
    return ((by_row + by_column) / 2 - margin).astype(np.float32)


def calibrated_embeddings(
    u: Embeddings,
    v: Embeddings,
    margin: float,
    background: str = "lines",
    dimensions: int = _DIMENSIONS,
    *,
    progress: bool = False,
) -> tuple[np.ndarray, np.ndarray]:
    """Two embeddings whose inner products are the calibrated similarity, for tables that are never stored.

    The mean and the spread of a row of cosines follow from the mean and the covariance of the other video's embeddings,
    those of the table from both, so nothing of the size of the table is computed.

    Parameters
    ----------
    u, v : Embeddings, shape (N, D) and (M, D), float32
        Unit frame embeddings.
    margin, background
        As for :func:`calibrated_similarity`.
    dimensions : int
        Keep no more than so many dimensions of the whitened embeddings, those of the largest variance.
    progress : bool
        Show a progress bar on stderr when it takes longer than a second.

    Returns
    -------
    x, y : ndarray, shape (N, K) and (M, K), float32
        ``x @ y.T`` is ``calibrated_similarity(u, v, margin, background)`` up to rounding, unless fewer dimensions are
        asked for. K is 2 min(D, dimensions) + 2 at most.
    """
    white_u, white_v = _whiten(u, v, dimensions, progress)
    moments = [(side.mean(axis=0, dtype=np.float64), _second_moment(side)) for side in (white_u, white_v)]
    ones = np.ones((len(white_u), 1)), np.ones((len(white_v), 1))
    if background == "table":
        (mean_u, second_u), (mean_v, second_v) = moments
        mean = float(mean_u @ mean_v)
        spread = _spread(float((second_u * second_v).sum()) - mean**2)
        x = np.concatenate([white_u / spread, ones[0]], axis=1, dtype=np.float32)
        y = np.concatenate([white_v, ones[1] * -(mean / spread + margin)], axis=1, dtype=np.float32)
        return x, y
    parts = []
    for rows, (mean_other, second) in ((white_u, moments[1]), (white_v, moments[0])):
        means = rows @ mean_other
        spreads = _spread(np.einsum("nd,nd->n", rows @ second, rows) - means**2)
        parts.append((rows, 1 / (2 * spreads)[:, None], (means / (2 * spreads))[:, None]))
    (rows, scale_u, shift_u), (columns, scale_v, shift_v) = parts
    # (a_i + b_j) (u_i . v_j) - p_i - q_j - margin, as one inner product.
    x = np.concatenate([scale_u * rows, rows, shift_u, ones[0]], axis=1, dtype=np.float32)
    y = np.concatenate([columns, scale_v * columns, -ones[1], -(shift_v + margin)], axis=1, dtype=np.float32)
    return x, y


def _second_moment(rows: np.ndarray) -> np.ndarray:
    return rows.T.astype(np.float64) @ rows / len(rows)


def _spread(variance: Any) -> Any:
    """Standard deviation, of a number or of each of an array, that can be divided by."""
    return np.maximum(np.sqrt(np.maximum(variance, 0)), _SMALLEST_SPREAD)


def _whiten(
    u: Embeddings, v: Embeddings, dimensions: int = _DIMENSIONS, progress: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """Ridge-whitened unit rows of both, in the basis of at most _BASIS_FRAMES frames spread over both."""
    count = len(u) + len(v)
    chosen = np.unique(np.linspace(0, count - 1, min(count, _BASIS_FRAMES)).round().astype(int))
    basis = np.concatenate([u[chosen[chosen < len(u)]], v[chosen[chosen >= len(u)] - len(u)]])
    # The eigenvectors of the small Gram matrix give those of the large covariance matrix.
    energy, left = np.linalg.eigh((basis @ basis.T).astype(np.float64))
    # Below that lies what float32 products leave of zero.
    keep = energy > 1e-6 * max(energy[-1], _TINY)
    energy, left = energy[keep], left[:, keep]
    variance = energy / len(chosen)
    ridge = _RIDGE * variance.sum()
    energy, left, variance = energy[-dimensions:], left[:, -dimensions:], variance[-dimensions:]
    directions = basis.T @ (left / np.sqrt(energy) / np.sqrt(variance + ridge)).astype(np.float32)
    white = np.empty((len(u), directions.shape[1]), np.float32), np.empty((len(v), directions.shape[1]), np.float32)
    parts = [(k, start) for k, rows in enumerate((u, v)) for start in range(0, len(rows), _CHUNK)]
    for k, start in tqdm(parts, "comparing", unit="part", delay=1, leave=False, disable=not progress):
        projected = (u, v)[k][start : start + _CHUNK] @ directions
        projected /= np.maximum(np.linalg.norm(projected, axis=1, keepdims=True), _TINY)
        white[k][start : start + _CHUNK] = projected
    return white


def _z_scores(values: np.ndarray, axis: int | None) -> np.ndarray:
    spread = values.std(axis=axis, keepdims=True)
    return (values - values.mean(axis=axis, keepdims=True)) / np.maximum(spread, _SMALLEST_SPREAD)
