"""Which videos, views and frames make up the batch of a step: a function of the seed and the step, and of nothing else.

So a run that is resumed at step n, or spread over several processes, sees the same batches.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lactoolkit.video.clips import ClipSettings, sample_views

_ORDER, _CLIPS, _TORCH = range(3)  # streams of random numbers


@dataclass(frozen=True)
class Batch:
    """Two clips of each of B videos.

    Parameters
    ----------
    videos : ndarray, shape (B,), int64
        Numbers of the videos.
    views : ndarray, shape (2, B), int64
        Which stored view of its video each clip is taken from.
    rows : ndarray, shape (2, B, T), int64
        Frames, as rows of the video's features, in time order.
    mask : ndarray, shape (2, B, T), bool
        True for real frames.
    """

    videos: np.ndarray
    views: np.ndarray
    rows: np.ndarray
    mask: np.ndarray


class BatchSampler:
    """Draws batches.

    Parameters
    ----------
    lengths : sequence of int
        Frames of every video.
    classes : sequence of int
        Process of every video.
    views : int
        Stored views per video.
    batch : int
        Videos per batch.
    clips : ClipSettings
        How clips are cut.
    seed : int
        Chooses everything.
    """

    def __init__(
        self, lengths: Sequence[int], classes: Sequence[int], views: int, batch: int, clips: ClipSettings, seed: int
    ) -> None:
        self._lengths = np.asarray(lengths)
        self._classes = np.asarray(classes)
        self._views = views
        self.batch = min(batch, len(self._lengths))
        self._clips = clips
        self._seed = seed
        self._epoch = -1
        self._order = np.empty(0, np.int64)

    @property
    def batches_per_epoch(self) -> int:
        """Batches in which every video appears about once."""
        return max(1, len(self._lengths) // self.batch)

    def draw(self, step: int) -> Batch:
        """Batch of a step, counted from 0."""
        epoch, number = divmod(step, self.batches_per_epoch)
        if epoch != self._epoch:
            self._epoch, self._order = epoch, self._epoch_order(np.random.default_rng([self._seed, _ORDER, epoch]))
        videos = self._order[number * self.batch : (number + 1) * self.batch]
        rng = np.random.default_rng([self._seed, _CLIPS, step])
        views = rng.integers(self._views, size=(2, len(videos)))
        clips = sample_views(self._lengths[videos], rng, self._clips)
        return Batch(videos, views, np.stack([clips.u, clips.v]), np.stack([clips.mask_u, clips.mask_v]))

    def torch_seed(self, step: int, stream: int = 0) -> int:
        """Seed of one of torch's generators for a step."""
        return int(np.random.default_rng([self._seed, _TORCH, step, stream]).integers(2**63))

    def _epoch_order(self, rng: np.random.Generator) -> np.ndarray:
        """All videos once, in chance order; with several classes, half a batch of one class stays together."""
        names = np.unique(self._classes)
        if len(names) == 1:
            return rng.permutation(len(self._classes))
        size = max(2, self.batch // 2)
        groups = []
        for name in names:
            members = rng.permutation(np.flatnonzero(self._classes == name))
            groups += [members[start : start + size] for start in range(0, len(members), size)]
        # Groups cut short by the end of a class come last, so that the others stay whole.
        shuffled = [groups[k] for k in rng.permutation(len(groups))]
        return np.concatenate(sorted(shuffled, key=lambda group: len(group) < size))
