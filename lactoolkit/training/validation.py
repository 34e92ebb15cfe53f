"""How good an encoder is, told without labels, from videos that it did not learn from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from lactoolkit.kernels.path_decoding import best_local_path

_MARGIN = 0.75  # background standard deviations, as alignments of videos have it by default
_GAP = 0.2
_MOST_PAIRS = 60


@dataclass(frozen=True)
class Validation:
    """What a validation found.

    Parameters
    ----------
    score : float
        Mean over the pairs; see :func:`alignment_score`.
    loss : float
        Mean over clips of the held-out videos.
    similarity : ndarray, shape (N, M), float32
        Similarity of the frames of one pair, for the picture.
    pairs : ndarray, shape (L, 2), int64
        Best path through it.
    """

    score: float
    loss: float
    similarity: np.ndarray
    pairs: np.ndarray


def validate_alignments(embedded: Sequence[np.ndarray], classes: Sequence[int], loss: float) -> Validation:
    """Align pairs of held-out videos of the same process.

    Parameters
    ----------
    embedded : sequence of ndarray, shapes (N, D)
        Their embeddings.
    classes : sequence of int
        Process of each.
    loss : float
        Goes into the result.
    """
    related = [(a, b) for a, b in combinations(range(len(embedded)), 2) if classes[a] == classes[b]]
    if not related:  # one video of each process
        related = [(a, b) for a, b in combinations(range(len(embedded)), 2)]
    step = max(1, len(related) // _MOST_PAIRS)
    chosen = related[::step]
    scores = [alignment_score(embedded[a], embedded[b]) for a, b in chosen]
    shown = _similarity(embedded[chosen[0][0]], embedded[chosen[0][1]])
    path = best_local_path(shown, _GAP, _GAP)
    return Validation(float(np.mean(scores)), loss, shown, path.pairs)


def alignment_score(u: np.ndarray, v: np.ndarray) -> float:
    """How much better two videos align than one of them with the other played backwards.

    The logarithm of the ratio of the scores of the best local alignments (Smith-Waterman-Gotoh) of cosines in standard
    deviations above their mean less a margin. 0: the order of the frames means nothing, as for random or constant
    embeddings. It rests on order alone: an encoder that tells the frame's number scores high too, so it compares
    encoders without a position code only.

    Parameters
    ----------
    u, v : ndarray, shapes (N, D) and (M, D)
        Unit embeddings.

    Returns
    -------
    float
    """
    table = _similarity(u, v)
    forwards = best_local_path(table, _GAP, _GAP).score
    backwards = best_local_path(np.ascontiguousarray(table[:, ::-1]), _GAP, _GAP).score
    if forwards <= 0 or backwards <= 0:  # nothing stands out from a constant table
        return 0.0
    return float(np.log(forwards / backwards))


def _similarity(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    cosine = u @ v.T
    return ((cosine - cosine.mean()) / max(float(cosine.std()), 1e-6) - _MARGIN).astype(np.float32)
