"""Is an alignment better than chance? Two measurements, compared with what unrelated videos give."""

from __future__ import annotations

import numpy as np

# Upper quantiles over 240 unrelated pairs (80 of different simulated tasks, 80 of different
# sports or speech, 80 mixed).
_TAIL = np.array([0.9, 0.5, 0.3, 0.2, 0.1, 0.05, 0.025, 0.0125, 0.005])
_ORDER_QUANTILES = np.array([0.030, 0.594, 0.777, 0.924, 1.160, 1.411, 1.670, 1.761, 1.824])
_COSINE_QUANTILES = np.array([0.034, 0.061, 0.110, 0.168, 0.239, 0.284, 0.307, 0.317, 0.342])
_SMALLEST = 0.001  # nothing smaller can be claimed from 240 pairs


def chance_probability(score: float, reversed_score: float, mean_cosine: float) -> float:
    """Probability that two unrelated videos give an alignment that looks as good.

    Two things set related videos apart, each seen in its own way: their order (the score of the best path, against the
    score when one of the videos runs backwards) and their looks (the mean cosine of the embeddings along the path). The
    smaller of both tail probabilities counts, doubled for having looked twice (Bonferroni).

    A process that looks the same backwards (a squat, a walk cycle) gives no evidence by its order; such a pair is only
    told from chance where it also looks alike.

    Parameters
    ----------
    score : float
        Score of the best local path.
    reversed_score : float
        The same with the frames of one video in reversed order.
    mean_cosine : float
        Mean cosine between the frame embeddings of the matched pairs.

    Returns
    -------
    float
        Between 0.001 and 1: the measurements behind it do not support smaller claims.
    """
    if score <= 0 or reversed_score <= 0:
        return 1.0
    by_order = _tail_probability(float(np.log(score / reversed_score)), _ORDER_QUANTILES)
    by_looks = _tail_probability(mean_cosine, _COSINE_QUANTILES)
    return float(np.clip(2 * min(by_order, by_looks), _SMALLEST, 1))


def _tail_probability(value: float, quantiles: np.ndarray) -> float:
    """Tail probability by interpolation of its logarithm; beyond the table the last slope goes on."""
    logs = np.log(_TAIL)
    if value <= quantiles[0]:
        return 1.0
    if value >= quantiles[-1]:
        # The slope over the last four entries: that of the last two alone is mostly noise.
        slope = (logs[-1] - logs[-4]) / (quantiles[-1] - quantiles[-4])
        return float(np.exp(logs[-1] + slope * (value - quantiles[-1])))
    return float(np.exp(np.interp(value, quantiles, logs)))
