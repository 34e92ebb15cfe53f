"""From pooled encoder taps to frame embeddings without training, and to the inputs of a trained encoder."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lactoolkit.errors import ParameterError

# Chosen on the training videos of four simulated robot tasks; benchmarks/results/zero_training.md has the figures.
_SPREAD_FLOOR = 0.25  # of the mean spread, so that a dimension that hardly varies is not blown up
_MOTION_WEIGHT = 0.5
_MOTION_REACH = 4  # frames before and after
_MOTION_SMOOTHING = 1.5  # frames, standard deviation
_TINY = 1e-9

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
            tap = _standardise(tap)
        elif kind == "centred":
            tap = tap - tap.mean(axis=0)
        parts.append(_unit_rows(tap))
    return np.concatenate(parts, axis=1)


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
    embeddings = np.empty((len(values), 2 * values.shape[1]), np.float32)
    kernel = np.array([0.25, 0.5, 0.25], np.float32)
    start = 0
    # Part by part: all of them at once, and their smoothed copy beside them, would take three times the memory.
    for tap in _taps(values, tap_sizes):
        tap = _standardise(tap)
        for part in (_unit_rows(tap), _MOTION_WEIGHT * _motion(tap)):
            embeddings[:, start : start + tap.shape[1]] = _smooth(part, kernel)
            start += tap.shape[1]
    embeddings /= np.maximum(np.linalg.norm(embeddings, axis=1, keepdims=True), _TINY)
    return embeddings


def _taps(values: np.ndarray, tap_sizes: Sequence[int]) -> list[np.ndarray]:
    """The taps of a video one by one, shapes (T, size)."""
    if values.ndim != 2 or sum(tap_sizes) != values.shape[1]:
        raise ParameterError(
            f"values has shape {values.shape}; expected (T, {sum(tap_sizes)}) for taps {tuple(tap_sizes)}"
        )
    return [tap.astype(np.float32) for tap in np.split(values, np.cumsum(tap_sizes)[:-1], axis=1)]


def _standardise(tap: np.ndarray) -> np.ndarray:
    tap = tap - tap.mean(axis=0)
    # A video of equal frames leaves only rounding noise, which must not be scaled up to look like content.
    tap[:, np.abs(tap).max(axis=0) < 1e-5] = 0
    spread = tap.std(axis=0)
    return tap / np.maximum(spread + _SPREAD_FLOOR * spread.mean(), _TINY)


def _motion(tap: np.ndarray) -> np.ndarray:
    """Direction of change at each frame, shape (T, D), of a length between 0 (still) and 1 (fast for this video)."""
    radius = int(4 * _MOTION_SMOOTHING + 0.5)
    kernel = np.exp(-0.5 * (np.arange(-radius, radius + 1) / _MOTION_SMOOTHING) ** 2)
    smooth = _smooth(tap, (kernel / kernel.sum()).astype(np.float32))
    padded = np.pad(smooth, ((_MOTION_REACH, _MOTION_REACH), (0, 0)), mode="edge")
    change = padded[2 * _MOTION_REACH :] - padded[: -2 * _MOTION_REACH]
    speed = np.linalg.norm(change, axis=1, keepdims=True)
    return np.tanh(speed / max(float(speed.mean()), _TINY)) * _unit_rows(change)


def _smooth(rows: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """Weighted mean over time, shape (T, D), with the first and last row repeated beyond the ends."""
    radius = len(kernel) // 2
    padded = np.pad(rows, ((radius, radius), (0, 0)), mode="edge")
    smooth = np.zeros_like(rows)
    for offset, weight in enumerate(kernel):
        smooth += weight * padded[offset : offset + len(rows)]
    return smooth


def _unit_rows(rows: np.ndarray) -> np.ndarray:
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), _TINY)
