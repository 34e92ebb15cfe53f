"""Time augmentation: two views of one video that show different frames of overlapping stretches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from lactoolkit.errors import ParameterError


@dataclass(frozen=True)
class ClipSettings:
    """How two views of a video are drawn.

    Parameters
    ----------
    frames : int, default 64
        Frames per view, T.
    window : float, default 1.5
        The frames of a view come from a stretch of between T and `window` x T frames; infinity for up to the whole
        video.
    overlap : float, default 0.2
        Least fraction of the shorter window that lies in both windows, above 0 and at most 1.
    spacing : {"random", "even"}, default "random"
        Whether the frames of a window are drawn at random without replacement, or evenly spaced from a random phase.
    """

    frames: int = 64
    window: float = 1.5
    overlap: float = 0.2
    spacing: Literal["random", "even"] = "random"

    def __post_init__(self) -> None:
        if self.frames < 1:
            raise ParameterError(f"frames must be at least 1, not {self.frames!r}")
        if not self.window >= 1:
            raise ParameterError(f"window must be at least 1 (in clip lengths), not {self.window!r}")
        if not 0 < self.overlap <= 1:
            raise ParameterError(f"overlap must be above 0 and at most 1, not {self.overlap!r}")
        if self.spacing not in ("random", "even"):
            raise ParameterError(f"spacing must be 'random' or 'even', not {self.spacing!r}")


@dataclass(frozen=True)
class ClipViews:
    """Rows of the frames in two views of each of B videos.

    Parameters
    ----------
    u, v : ndarray, shape (B, T), int64
        Rows of the frames among those of the video, strictly increasing where real. Behind the frames of a video with
        fewer than T of them the last row is repeated, so that every row can be gathered.
    mask_u, mask_v : ndarray, shape (B, T), bool
        True for real frames, False for repetitions.
    """

    u: np.ndarray
    v: np.ndarray
    mask_u: np.ndarray
    mask_v: np.ndarray


def sample_views(
    lengths: Sequence[int] | np.ndarray, rng: np.random.Generator, settings: ClipSettings | None = None
) -> ClipViews:
    """Draw two time-augmented views of every video of a batch.

    The length of each window is uniform between T and ``window * T`` frames (at most the video). The middle of the
    first window is uniform over the video, and a window that would reach beyond an end is moved inside, so that no
    frame is much rarer than another; the second window is uniform over all places where it overlaps the first by
    enough. From each window T frames are drawn and sorted. A video of fewer than T frames gives all of them.

    Rows become true positions by indexing what the video's analysed frames say: ``frames[u]``, ``times[u]``.

    Parameters
    ----------
    lengths : sequence of int, shape (B,)
        Number of frames of each video, at least 1.
    rng : numpy.random.Generator
        Source of chance; the same state gives the same views.
    settings : ClipSettings, optional
        Clip length, window and spacing.

    Returns
    -------
    ClipViews

    Raises
    ------
    ParameterError
        A length is below 1 or no whole number.

    Notes
    -----
    The temporal augmentation of Chen et al., Frame-wise Action Representations for Long Videos via Sequence Contrastive
    Learning (CVPR 2022), section 3.1, with crop factor 1.5 and at least 20 % overlap.

    Examples
    --------
    >>> views = sample_views([200, 5], np.random.default_rng(0), ClipSettings(frames=8))
    >>> views.u.shape, int(views.mask_u[1].sum())
    ((2, 8), 5)
    """
    settings = settings or ClipSettings()
    count = np.asarray(lengths)
    if count.ndim != 1 or (count.size and (count.dtype.kind not in "iu" or count.min() < 1)):
        raise ParameterError(f"lengths must be a sequence of whole numbers of at least 1, not {lengths!r}")
    count = count.astype(np.int64)
    size_u, size_v = _window_sizes(count, rng, settings), _window_sizes(count, rng, settings)
    start_u = np.floor(rng.random(len(count)) * count - size_u / 2 + 0.5).astype(np.int64)
    start_u = np.clip(start_u, 0, count - size_u)
    shared = np.ceil(settings.overlap * np.minimum(size_u, size_v)).astype(np.int64)
    lowest = np.maximum(start_u + shared - size_v, 0)
    highest = np.minimum(start_u + size_u - shared, count - size_v)
    start_v = rng.integers(lowest, highest, endpoint=True)
    u, mask_u = _rows(start_u, size_u, rng, settings)
    v, mask_v = _rows(start_v, size_v, rng, settings)
    return ClipViews(u, v, mask_u, mask_v)


def _window_sizes(count: np.ndarray, rng: np.random.Generator, settings: ClipSettings) -> np.ndarray:
    longest = np.minimum(settings.window * settings.frames, count)
    shortest = np.minimum(settings.frames, count)
    return np.floor(shortest + rng.random(len(count)) * (longest - shortest + 1)).astype(np.int64).clip(max=count)


def _rows(
    start: np.ndarray, size: np.ndarray, rng: np.random.Generator, settings: ClipSettings
) -> tuple[np.ndarray, np.ndarray]:
    wanted = settings.frames
    real = np.minimum(size, wanted)
    column = np.arange(wanted)
    if settings.spacing == "even":
        phase = rng.random((len(size), 1))
        offset = np.floor((column + phase) * (size / real)[:, None]).astype(np.int64)
    else:
        # The places of the smallest of random keys are a draw without replacement; those outside the window lose.
        width = max(int(size.max(initial=1)), wanted)
        keys = rng.random((len(size), width))
        keys[np.arange(width) >= size[:, None]] = 2.0
        offset = np.argsort(keys, axis=1)[:, :wanted]
        offset = np.sort(np.where(column < real[:, None], offset, width), axis=1)
    # Behind the real frames: the last of them.
    offset = np.take_along_axis(offset, np.minimum(column, real[:, None] - 1), axis=1)
    return start[:, None] + offset, column < real[:, None]
