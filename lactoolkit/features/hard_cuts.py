"""Hard cuts: where a video jumps from one shot to another."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

# Over 128 simulated videos of the training split and 75 recordings of people, the features of neighbouring frames of a
# shot differ by up to 1.8 times the largest difference within half a second around them, at cuts by 2.7 times and more
# (simulated: 3.0); and by up to .65 times the usual difference of two frames of the video, at cuts by .85 and more.
_STANDING_OUT = 2.2
_LEAST = 0.75
_AROUND = 0.5  # seconds
_FEWEST = 3  # frames on either side that are looked at
_CHUNK = 2048  # frames that are looked at at once


def find_hard_cuts(features: np.ndarray, tap_sizes: Sequence[int], rate: float) -> np.ndarray:
    """Find the hard cuts of a video.

    A cut is a change from one frame to the next that is far larger than any other within half a second, and as large as
    the difference of any two frames of the video usually is: a key that is pressed before a still screen is none, nor
    is the onset of a movement. Fades are not found, nor is a shot shorter than half a second.

    Parameters
    ----------
    features : ndarray, shape (T, F)
        Pooled features of a frame encoder, not centred.
    tap_sizes : sequence of int
        Numbers of each of its taps; they sum to F.
    rate : float
        Frames per second.

    Returns
    -------
    ndarray, shape (C,), int64
        Positions of the first frame of each shot but the first.

    Examples
    --------
    >>> import numpy as np
    >>> angle = np.concatenate([np.arange(40) * 0.02, 2.0 + np.arange(30) * 0.02])
    >>> find_hard_cuts(np.stack([np.cos(angle), np.sin(angle)], axis=1), [2], 30.0)
    array([40])
    """
    steps, spread = _steps_and_spread(features, tap_sizes)
    reach = max(_FEWEST, round(_AROUND * rate))
    if len(steps) <= _FEWEST:
        return np.zeros(0, np.int64)
    padded = np.pad(steps, reach)
    around = np.lib.stride_tricks.sliding_window_view(padded, 2 * reach + 1)
    others = np.maximum(around[:, :reach].max(axis=1), around[:, reach + 1 :].max(axis=1))
    cuts = (steps > _STANDING_OUT * others) & (steps > _LEAST * spread)
    return np.flatnonzero(cuts) + 1


def _steps_and_spread(features: np.ndarray, tap_sizes: Sequence[int]) -> tuple[np.ndarray, float]:
    """Distance of every frame to the next, shape (T - 1,), and the root mean square distance of any two; unit taps."""
    edges = np.cumsum(tap_sizes)[:-1]
    steps, total, squares = [], np.zeros(features.shape[1]), 0.0
    for start in range(0, len(features), _CHUNK):
        rows = np.asarray(features[start : start + _CHUNK + 1], np.float32)
        taps = np.split(rows, edges, axis=1)
        units = [tap / np.maximum(np.linalg.norm(tap, axis=1, keepdims=True), 1e-9) for tap in taps]
        unit = np.concatenate(units, axis=1)
        steps.append(np.linalg.norm(np.diff(unit, axis=0), axis=1))
        own = unit[:_CHUNK]
        total += own.sum(axis=0, dtype=np.float64)
        squares += float(np.einsum("tf,tf->", own, own, dtype=np.float64))
    mean = total / len(features)
    variance = squares / len(features) - float(mean @ mean)
    return np.concatenate(steps), (2 * max(variance, 0.0)) ** 0.5
