"""From pooled encoder taps to frame embeddings without training, and to the inputs of a trained encoder."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import cached_property
from itertools import pairwise

import numpy as np

from lactoolkit.errors import ParameterError

# Chosen on the training videos of four simulated robot tasks; benchmarks/results/zero_training.md has the figures.
_SPREAD_FLOOR = 0.25  # of the mean spread, so that a dimension that hardly varies is not blown up
_MOTION_WEIGHT = 0.5
_MOTION_REACH = 4  # frames before and after
_MOTION_KERNEL = np.exp(-0.5 * (np.arange(-6, 7) / 1.5) ** 2)  # over frames: a Gaussian of deviation 1.5
_MOTION_KERNEL = (_MOTION_KERNEL / _MOTION_KERNEL.sum()).astype(np.float32)
_SMOOTHING = np.array([0.25, 0.5, 0.25], np.float32)
_ROUNDING = 1e-5
_TINY = 1e-9
_COARSE_CELLS = 3  # along each side
_CHUNK = 2048  # frames that are worked on at once
_NEAR = 22  # frames that one embedding is computed from

# Features that stray from their mean by less than this part of their length: what compression makes of a still picture
# strays by .0006, the calmest of the recordings measured (a speaker's face) by .08.
_STILL = 0.005

INPUT_KINDS = ("plain", "centred", "standardised", "motion")


def prepare_features(values: np.ndarray, tap_sizes: Sequence[int], kind: str) -> np.ndarray:
    """Turn the pooled taps of one video into the input of a temporal encoder.

    Parameters
    ----------
    values : ndarray, shape (T, sum(tap_sizes)), float
        Pooled taps of T frames in time order.
    tap_sizes : sequence of int
        Length of each tap.
    kind : {"plain", "centred", "standardised", "motion"}
        ``plain``: each tap normalised. ``centred``: the video's mean taken off first. ``standardised``: divided by the
        spread over the video too. ``motion``: standardised with motion beside it, as :func:`frame_embeddings` gives.

    Returns
    -------
    ndarray, shape (T, D), float32
        D is sum(tap_sizes), twice that for ``motion``.

    Raises
    ------
    ParameterError
        If the tap sizes do not add up to the number of columns, or the kind is unknown.

    Examples
    --------
    >>> import numpy as np
    >>> taps = np.random.default_rng(0).normal(size=(5, 6))
    >>> prepare_features(taps, (4, 2), "centred").shape
    (5, 6)
    """
    if kind == "motion":
        return frame_embeddings(values, tap_sizes)
    if kind not in INPUT_KINDS:
        raise ParameterError(f"features.inputs is {kind!r}; choose one of {', '.join(INPUT_KINDS)}")
    parts = []
    for tap in _taps(values, tap_sizes):
        if kind == "standardised":
            tap = standardise(tap)
        elif kind == "centred":
            tap = tap - tap.mean(axis=0)
        parts.append(_unit_rows(tap))
    return np.concatenate(parts, axis=1)


def all_look_the_same(values: np.ndarray) -> bool:
    """Whether the frames of one video, by their pooled taps (T, F), are one picture but for its compression."""
    mean = values.mean(axis=0, dtype=np.float32)
    strays = lengths = 0.0
    for first in range(0, len(values), _CHUNK):
        rows = values[first : first + _CHUNK].astype(np.float32)
        strays += float(np.linalg.norm(rows - mean, axis=1).sum())
        lengths += float(np.linalg.norm(rows, axis=1).sum())
    return strays <= _STILL * lengths


def standardise(values: np.ndarray) -> np.ndarray:
    """Features of one video less their mean, each over its spread and a floor, shape (T, D), float32."""
    return _StandardisedTap(values).rows(0, len(values))


def frame_embeddings(values: np.ndarray, tap_sizes: Sequence[int]) -> np.ndarray:
    """Turn the pooled taps of one video into unit embeddings of its frames.

    Each tap is standardised over the video (so that the scene, the light and the camera drop out and what changes
    remains) and normalised; beside it stands its motion, the smoothed difference between the frames shortly after and
    shortly before, scaled by how fast it is compared with the video's mean. The parts are concatenated, smoothed over
    time by (1/4, 1/2, 1/4) and normalised.

    Parameters
    ----------
    values : ndarray, shape (T, sum(tap_sizes)), float
        Pooled taps of T frames in time order.
    tap_sizes : sequence of int
        Length of each tap.

    Returns
    -------
    ndarray, shape (T, 2 * sum(tap_sizes)), float32
        Rows of Euclidean norm 1; zero rows where nothing distinguishes a frame from the video's mean.

    Raises
    ------
    ParameterError
        If the tap sizes do not add up to the number of columns.

    Examples
    --------
    >>> import numpy as np
    >>> taps = np.random.default_rng(0).normal(size=(5, 6))
    >>> frame_embeddings(taps, (4, 2)).shape
    (5, 12)
    """
    return LongEmbeddings(values, tap_sizes)[:]


class LongEmbeddings:
    """The rows of :func:`frame_embeddings`, computed from the pooled taps when they are asked for.

    The taps of an hour of video, kept in float16, take a quarter of the memory of its embeddings.

    Parameters
    ----------
    values : ndarray, shape (T, sum(tap_sizes)), float
        Pooled taps of T frames in time order.
    tap_sizes : sequence of int
        Length of each tap.

    Raises
    ------
    ParameterError
        If the tap sizes do not add up to the number of columns.

    Examples
    --------
    >>> import numpy as np
    >>> taps = np.random.default_rng(0).normal(size=(5, 6)).astype(np.float16)
    >>> LongEmbeddings(taps, (4, 2))[1:3].shape
    (2, 12)
    """

    def __init__(self, values: np.ndarray, tap_sizes: Sequence[int]) -> None:
        _check_taps(values, tap_sizes)
        self.shape = (len(values), 2 * values.shape[1])
        edges = np.cumsum((0, *tap_sizes))
        self._taps = [_StandardisedTap(values[:, i:j]) for i, j in pairwise(edges)]

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: slice | np.ndarray) -> np.ndarray:
        """Embeddings (L, D) of consecutive frames, or of frames with the given numbers."""
        if not isinstance(rows, slice):
            wanted, places = np.unique(rows, return_inverse=True)
            apart = (np.diff(wanted) > _NEAR) | (np.diff(wanted // _CHUNK) > 0)
            runs = np.split(wanted, np.flatnonzero(apart) + 1)
            return np.concatenate([self[int(run[0]) : int(run[-1]) + 1][run - run[0]] for run in runs])[places]
        first, stop, step = rows.indices(len(self))
        if step != 1:
            raise IndexError(f"rows are computed in one order: a step of {step} is not possible")
        starts = range(first, max(stop, first + 1), _CHUNK)
        parts = [self._rows(start, max(min(start + _CHUNK, stop), start)) for start in starts]
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def _rows(self, first: int, stop: int) -> np.ndarray:
        embeddings = np.empty((stop - first, self.shape[1]), np.float32)
        start = 0
        # Part by part: all of them at once, and their smoothed copy beside them, would take three times the memory.
        for tap in self._taps:
            for part in (tap.unit_rows, tap.motion):
                smooth = _smoothed(part, _SMOOTHING, first, stop, len(self))
                embeddings[:, start : start + smooth.shape[1]] = smooth
                start += smooth.shape[1]
        embeddings /= np.maximum(np.linalg.norm(embeddings, axis=1, keepdims=True), _TINY)
        return embeddings


class JoinedEmbeddings:
    """Learnt embeddings with untrained ones of the same frames beside them, computed when they are asked for.

    Parameters
    ----------
    learnt : ndarray, shape (T, D), float32
        Rows of norm 1.
    untrained : LongEmbeddings, shape (T, F)
        Rows of norm 1.
    weight : float
        Of the untrained ones; that of the others is 1.

    Notes
    -----
    Rows (L, D + F) have norm 1; their inner products are the mean of both cosines by the squares of the weights.
    """

    def __init__(self, learnt: np.ndarray, untrained: LongEmbeddings, weight: float) -> None:
        self.shape = (len(learnt), learnt.shape[1] + untrained.shape[1])
        self._learnt, self._untrained, self._weight = learnt, untrained, weight

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: slice | np.ndarray) -> np.ndarray:
        """Embeddings (L, D + F) of consecutive frames, or of frames with the given numbers."""
        joined = np.concatenate([self._learnt[rows], self._untrained[rows]], axis=1, dtype=np.float32)
        joined[:, self._learnt.shape[1] :] *= self._weight
        joined /= np.maximum(np.linalg.norm(joined, axis=1, keepdims=True), _TINY)
        return joined


def coarse_taps(
    values: np.ndarray, channels: Sequence[int], cells: Sequence[int]
) -> tuple[np.ndarray, tuple[int, ...]]:
    """Average taps with fine cells over 3 x 3 coarse ones, which forgive it when things do not lie in quite one place.

    Parameters
    ----------
    values : ndarray, shape (T, F), float
        Pooled taps of T frames.
    channels, cells : sequence of int
        Channels of each tap, and its cells along each side; taps of 3 x 3 cells or fewer stay as they are.

    Returns
    -------
    values : ndarray, shape (T, F'), float
        Neighbouring coarse cells share the fine cells between them, as in ``torch.nn.functional.adaptive_avg_pool2d``.
    tap_sizes : tuple of int
        Length of each tap.

    Examples
    --------
    >>> import numpy as np
    >>> coarse_taps(np.ones((2, 16)), (1,), (4,))[0].shape
    (2, 9)
    """
    sizes = [count * side**2 for count, side in zip(channels, cells, strict=True)]
    _check_taps(values, sizes)
    coarse = []
    for tap, side in zip(np.split(values, np.cumsum(sizes)[:-1], axis=1), cells, strict=True):
        if side > _COARSE_CELLS:
            edges = np.arange(_COARSE_CELLS + 1) * side / _COARSE_CELLS
            bins = [slice(int(low), math.ceil(high)) for low, high in pairwise(edges)]
            maps = tap.reshape(len(tap), -1, side, side)
            pooled = [maps[:, :, y, x].mean(axis=(2, 3), dtype=np.float32) for y in bins for x in bins]
            tap = np.stack(pooled, axis=2).reshape(len(tap), -1)
        coarse.append(tap)
    return np.concatenate(coarse, axis=1), tuple(tap.shape[1] for tap in coarse)


class _StandardisedTap:
    """One tap of a video, standardised over it: two passes over its frames, then any of them when asked for."""

    def __init__(self, values: np.ndarray) -> None:
        self._values = values
        count, width = values.shape
        starts = range(0, count, _CHUNK)
        total, squares, largest = np.zeros(width), np.zeros(width), np.zeros(width, np.float32)
        for first in starts:
            total += values[first : first + _CHUNK].sum(axis=0, dtype=np.float64)
        self._mean = (total / count).astype(np.float32)
        for first in starts:
            strays = values[first : first + _CHUNK].astype(np.float32) - self._mean
            largest = np.maximum(largest, np.abs(strays).max(axis=0))
            squares += np.square(strays, dtype=np.float64).sum(axis=0)
        # A video of equal frames leaves only rounding noise, which must not be scaled up to look like content.
        varies = largest >= _ROUNDING
        spread = np.sqrt(squares / count) * varies
        self._scale = (varies / np.maximum(spread + _SPREAD_FLOOR * spread.mean(), _TINY)).astype(np.float32)

    @cached_property
    def _mean_speed(self) -> float:
        count = len(self._values)
        speeds = [
            np.linalg.norm(self._change(first, min(first + _CHUNK, count)), axis=1) for first in range(0, count, _CHUNK)
        ]
        return max(float(np.concatenate(speeds).mean()), _TINY)

    def rows(self, first: int, stop: int) -> np.ndarray:
        """Standardised features of the frames first..stop-1."""
        return (self._values[first:stop].astype(np.float32) - self._mean) * self._scale

    def unit_rows(self, first: int, stop: int) -> np.ndarray:
        """:meth:`rows`, each of length one."""
        return _unit_rows(self.rows(first, stop))

    def motion(self, first: int, stop: int) -> np.ndarray:
        """Directions of change, of a length between 0 (still) and 1 (fast for this video), times their weight."""
        change = self._change(first, stop)
        speed = np.linalg.norm(change, axis=1, keepdims=True)
        return _MOTION_WEIGHT * np.tanh(speed / self._mean_speed) * _unit_rows(change)

    def _change(self, first: int, stop: int) -> np.ndarray:
        count = len(self._values)
        low, high = max(first - _MOTION_REACH, 0), min(stop + _MOTION_REACH, count)
        smooth = _smoothed(self.rows, _MOTION_KERNEL, low, high, count)
        rows = np.arange(first, stop)
        after, before = np.minimum(rows + _MOTION_REACH, count - 1), np.maximum(rows - _MOTION_REACH, 0)
        return smooth[after - low] - smooth[before - low]


def _smoothed(
    rows_of: Callable[[int, int], np.ndarray], kernel: np.ndarray, first: int, stop: int, count: int
) -> np.ndarray:
    """Weighted means over time of rows first..stop-1 of ``count``, the first and last repeated beyond the ends."""
    radius = len(kernel) // 2
    low, high = max(first - radius, 0), min(stop + radius, count)
    rows = rows_of(low, high)
    padded = np.pad(rows, ((low - first + radius, stop + radius - high), (0, 0)), mode="edge")
    smooth = np.zeros((stop - first, rows.shape[1]), rows.dtype)
    for offset, weight in enumerate(kernel):
        smooth += weight * padded[offset : offset + stop - first]
    return smooth


def _check_taps(values: np.ndarray, tap_sizes: Sequence[int]) -> None:
    if values.ndim != 2 or sum(tap_sizes) != values.shape[1]:
        raise ParameterError(
            f"values has shape {values.shape}; expected (T, {sum(tap_sizes)}) for taps {tuple(tap_sizes)}"
        )


def _taps(values: np.ndarray, tap_sizes: Sequence[int]) -> list[np.ndarray]:
    """The taps of a video one by one, shapes (T, size)."""
    _check_taps(values, tap_sizes)
    return [tap.astype(np.float32) for tap in np.split(values, np.cumsum(tap_sizes)[:-1], axis=1)]


def _unit_rows(rows: np.ndarray) -> np.ndarray:
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), _TINY)
