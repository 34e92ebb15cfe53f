"""Figures over videos or pairs of videos, each with a bootstrap interval over what was drawn independently.

A statistic is a callable that takes weights, shape (B, U), of its U units (videos or pairs of videos) and gives B
values: all weights 1 gives the figure itself, multiplicities of a resampled set of videos give replicates of it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

Statistic = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class MeanOfRatios:
    """Mean over K columns of (sum over units of ``numerator``) / (sum over units of ``denominator``).

    With one column: a pooled share or mean. With one column for each phase: the per-class mean. Columns without any
    denominator are left out of the mean.

    Parameters
    ----------
    numerator, denominator : ndarray, shape (U,) or (U, K)
        Sums within each unit.
    """

    numerator: np.ndarray
    denominator: np.ndarray

    def __call__(self, weights: np.ndarray) -> np.ndarray:
        """Values, (B,), for weights (B, U)."""
        total = _apply(weights, self.denominator)
        present = total > 0
        ratio = np.divide(_apply(weights, self.numerator), total, out=np.zeros_like(total), where=present)
        return _quotient(ratio.sum(axis=1), present.sum(axis=1))


@dataclass(frozen=True)
class Median:
    """Median of values that belong to units.

    Parameters
    ----------
    values : ndarray, shape (V,)
        The values.
    units : ndarray, shape (V,), int
        Unit of each value.
    """

    values: np.ndarray
    units: np.ndarray

    def __call__(self, weights: np.ndarray) -> np.ndarray:
        """Values, (B,), for weights (B, U)."""
        order = np.argsort(self.values, kind="stable")
        values = self.values[order]
        reached = np.cumsum(weights[:, self.units[order]], axis=1)
        result = np.full(len(weights), np.nan)
        if not len(values):
            return result
        half = reached[:, -1:] / 2
        lower, upper = (reached < half).sum(axis=1), (reached <= half).sum(axis=1)
        filled = half[:, 0] > 0
        result[filled] = (values[lower[filled]] + values[np.minimum(upper[filled], len(values) - 1)]) / 2
        return result


@dataclass(frozen=True)
class Determination:
    """Coefficient of determination R^2, mean over K targets, of predictions pooled over the units' frames.

    Parameters
    ----------
    squared_error : ndarray, shape (U, K)
        Sum of squared errors in each unit.
    count : ndarray, shape (U,)
        Number of frames.
    total, squares : ndarray, shape (U, K)
        Sum of the targets, and of their squares.
    """

    squared_error: np.ndarray
    count: np.ndarray
    total: np.ndarray
    squares: np.ndarray

    def __call__(self, weights: np.ndarray) -> np.ndarray:
        """Values, (B,), for weights (B, U)."""
        count = np.maximum(_apply(weights, self.count), 1)
        spread = _apply(weights, self.squares) - _apply(weights, self.total) ** 2 / count
        ratio = np.divide(
            _apply(weights, self.squared_error), spread, out=np.full_like(spread, np.nan), where=spread > 1e-12
        )
        return 1 - ratio.mean(axis=1)


@dataclass(frozen=True)
class CalibrationError:
    """Expected calibration error: the mean over predictions of |share that is right - mean confidence| of their bin.

    Guo et al. 2017, "On Calibration of Modern Neural Networks", equation 3.

    Parameters
    ----------
    right, said, count : ndarray, shape (U, bins)
        Number of right predictions, sum of confidences and number of predictions, in each unit and bin.
    """

    right: np.ndarray
    said: np.ndarray
    count: np.ndarray

    def __call__(self, weights: np.ndarray) -> np.ndarray:
        """Values, (B,), for weights (B, U)."""
        difference = np.abs(_apply(weights, self.right) - _apply(weights, self.said)).sum(axis=1)
        return _quotient(difference, _apply(weights, self.count).sum(axis=1))


def figure(statistic: Statistic, units: int) -> float:
    """Value of a statistic over its units as they are; NaN where there are none."""
    return float(statistic(np.ones((1, units)))[0]) if units else float("nan")


def bootstrap_replicates(statistic: Statistic, groups: np.ndarray, seed: int = 0, draws: int = 1000) -> np.ndarray:
    """Values of a statistic when the groups are drawn anew, with replacement.

    A unit counts as often as its group was drawn; a pair as often as the product says, so that all pairs of one video
    come and go together and the interval is no narrower than the number of independent videos allows.

    Parameters
    ----------
    statistic : callable
        (B, U) weights to (B,) values.
    groups : ndarray, shape (U,) or (U, 2)
        What was drawn independently: the group (episode, else video) of each unit, or of both sides of each pair.
    seed : int
        The same seed draws the same groups for any statistic, so that methods can be compared pairwise.
    draws : int
        Number of replicates.

    Returns
    -------
    ndarray, shape (draws,)
        NaN in draws that leave no unit; all NaN with fewer than 3 groups, which allow no interval.

    Examples
    --------
    >>> import numpy as np
    >>> accuracy = MeanOfRatios(np.array([8.0, 6.0, 9.0]), np.array([10.0, 10.0, 10.0]))
    >>> bootstrap_replicates(accuracy, np.arange(3), draws=5).shape
    (5,)
    """
    names, members = np.unique(groups, return_inverse=True)
    members = members.reshape(groups.shape)
    if len(names) < 3:
        return np.full(draws, np.nan)
    rng = np.random.default_rng(seed)
    drawn = rng.multinomial(len(names), np.full(len(names), 1 / len(names)), size=draws).astype(np.float64)
    weights = drawn[:, members] if members.ndim == 1 else drawn[:, members[:, 0]] * drawn[:, members[:, 1]]
    return statistic(weights)


def interval(replicates: np.ndarray, level: float = 0.95) -> tuple[float, float]:
    """Percentile interval of replicates; NaN, NaN where fewer than half of them have a value."""
    valid = replicates[~np.isnan(replicates)]
    if 2 * len(valid) < len(replicates) or not len(valid):
        return float("nan"), float("nan")
    low, high = np.quantile(valid, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def _apply(weights: np.ndarray, values: np.ndarray) -> np.ndarray:
    values = np.asarray(values, np.float64)
    return weights @ (values[:, None] if values.ndim == 1 else values)


def _quotient(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    return np.divide(numerator, denominator, out=np.full(len(numerator), np.nan), where=denominator > 0)
