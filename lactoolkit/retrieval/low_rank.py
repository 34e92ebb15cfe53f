"""The embeddings of one video, thousands of numbers a frame, as few numbers a frame along few directions."""

from __future__ import annotations

import numpy as np

_MEAN_LOSS = 0.01  # of the squared length of embeddings
_GREATEST_LOSS = 0.1  # of that of any frame looked at
_SAMPLE = 1024  # frames that directions are computed from
_BLOCK = 4096  # frames at a time


def few_directions(embeddings: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Directions that hold nearly all of a video's embeddings, and the embeddings along them.

    Neighbouring frames look alike, so a video needs a small part of its frames' number of directions. Of more than 1024
    frames, every n-th is looked at.

    Parameters
    ----------
    embeddings : ndarray, shape (T, D)
        Unit rows.

    Returns
    -------
    coordinates : ndarray, shape (T, K), float16
        ``coordinates @ (basis @ q)`` stands for ``embeddings @ q``: of the squared length of embeddings at most a
        hundredth is lost on average, and a tenth of any frame looked at.
    basis : ndarray, shape (K, D), float16
        Orthonormal rows.
    """
    sample = embeddings[:: -(-len(embeddings) // _SAMPLE)].astype(np.float32)
    directions = np.linalg.svd(sample, full_matrices=False)[2]
    kept = np.cumsum(np.square(sample @ directions.T), axis=1)  # by the first, by the first two, ...
    lost = np.square(sample).sum(axis=1, keepdims=True) - kept
    enough = (lost.mean(axis=0) <= _MEAN_LOSS) & (lost.max(axis=0) <= _GREATEST_LOSS)
    count = int(enough.argmax()) + 1
    basis = directions[:count]
    blocks = [embeddings[k : k + _BLOCK].astype(np.float32) @ basis.T for k in range(0, len(embeddings), _BLOCK)]
    return np.concatenate(blocks).astype(np.float16), basis.astype(np.float16)
