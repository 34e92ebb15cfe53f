"""Frames in which something moves: where nothing does, a frame cannot say which moment it shows."""

from __future__ import annotations

from typing import Any

import numpy as np

from lactoolkit.alignment.similarity import Embeddings
from lactoolkit.kernels.path_decoding import LocalPath

_CHUNK = 512  # frames that are looked at at once
_ROUNDING = 1e-4  # of a distance: motion at an even pace leaves nothing out


class MovingFrames:
    """The rows of embeddings that are kept; :data:`lactoolkit.alignment.similarity.Embeddings` themselves.

    Parameters
    ----------
    values : Embeddings, shape (N, D)
        Those of all frames.
    rows : ndarray, shape (K,), int
        Which frames are kept, increasing.
    """

    def __init__(self, values: Embeddings, rows: np.ndarray) -> None:
        self._values, self.rows = values, rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, kept: Any, /) -> np.ndarray:
        return self._values[self.rows[kept]]

    @property
    def count(self) -> int:
        """Number of all frames."""
        return len(self._values)

    @property
    def all(self) -> bool:
        """Whether no frame was left out."""
        return len(self.rows) == self.count


def moving_frames(values: Embeddings, least_motion: float) -> MovingFrames:
    """Leave out frames that hardly differ from the last one that was kept.

    Pauses differ in length from take to take, and their frames match each other in any order: they add to the score of
    a path without saying anything about time. What is left advances with the motion instead of the clock.

    Parameters
    ----------
    values : Embeddings, shape (N, D)
        Of consecutive frames, N at least 1.
    least_motion : float
        Distance by which a frame must differ from the last one kept, as a multiple of the median distance of
        neighbouring frames; 0 keeps all.

    Returns
    -------
    MovingFrames
        The first frame is always among them.

    Examples
    --------
    >>> import numpy as np
    >>> positions = np.array([[0.0], [1.0], [1.125], [1.25], [2.25], [3.25]])
    >>> moving_frames(positions, 1.0).rows
    array([0, 1, 4, 5])
    """
    everything = MovingFrames(values, np.arange(len(values)))
    if least_motion <= 0:
        return everything
    edges = range(0, len(values) - 1, _CHUNK)
    steps = [np.linalg.norm(np.diff(values[start : start + _CHUNK + 1], axis=0), axis=1) for start in edges]
    changed = np.concatenate([np.zeros(0), *steps])
    changed = changed[changed > 0]
    if not len(changed):
        return everything
    least = least_motion * float(np.median(changed)) * (1 - _ROUNDING)
    rows, last = [], None
    for start in range(0, len(values), _CHUNK):
        for row, value in enumerate(values[start : start + _CHUNK], start):
            if last is None or np.linalg.norm(value - last) >= least:
                rows.append(row)
                last = value
    return MovingFrames(values, np.array(rows))


def over_all_frames(path: LocalPath, u: MovingFrames, v: MovingFrames) -> LocalPath:
    """A path through the frames that were kept, as one through all frames.

    Frames between two pairs of which both videos have some are matched too, evenly, as many as the video with fewer of
    them has; not so where the path skips frames of both that were kept, because they do not match. Those behind the
    last pair follow it one by one, as long as both videos have some before the next frame that was kept.

    Parameters
    ----------
    path : LocalPath
        Pairs of positions among the frames that were kept.
    u, v : MovingFrames
        The frames that were kept of both videos.

    Returns
    -------
    LocalPath
        With pairs of all frames; the score is still that of the frames that were kept.
    """
    pairs = np.stack([side.rows[path.pairs[:, axis]] for axis, side in enumerate((u, v))], axis=1)
    if (u.all and v.all) or not len(path):
        return LocalPath(path.score, pairs)
    mismatched = (np.diff(path.pairs, axis=0) > 1).all(axis=1)
    between = np.where(mismatched, 0, np.diff(pairs, axis=0).min(axis=1) - 1)
    steps = np.arange(between.sum()) - np.repeat(between.cumsum() - between, between) + 1
    before = np.repeat(np.arange(len(pairs) - 1), between)
    share = (steps / (between[before] + 1))[:, None]
    added = np.round(pairs[before] + share * (pairs[before + 1] - pairs[before])).astype(pairs.dtype)
    last, ends = pairs[-1], path.pairs[-1] + 1
    following = [side.rows[end] if end < len(side) else side.count for side, end in zip((u, v), ends, strict=True)]
    behind = last + np.arange(1, min(following - last))[:, None]
    filled = np.concatenate([pairs, added, behind])
    return LocalPath(path.score, filled[np.argsort(filled[:, 0])])
