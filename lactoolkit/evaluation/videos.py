"""Labelled videos as the metrics want them: embeddings and labels of the same frames, and what may be compared."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from lactoolkit.errors import ParameterError
from lactoolkit.features.video_embeddings import VideoEmbeddings
from lactoolkit.video.datasets import VideoRecord
from lactoolkit.video.labels import FrameLabels

_CENTRES = np.linspace(-0.1, 1.1, 61)
_WIDTH = 0.04


@dataclass(frozen=True)
class LabelledVideo:
    """A video with embeddings and labels.

    Parameters
    ----------
    embeddings : VideoEmbeddings
        Embeddings of T analysed frames.
    labels : FrameLabels
        Labels of all native frames of the file.
    record : VideoRecord
        Its line of the manifest.

    Raises
    ------
    ParameterError
        If an analysed frame has no label, or fewer than 2 of them belong to the process.
    """

    embeddings: VideoEmbeddings
    labels: FrameLabels
    record: VideoRecord

    def __post_init__(self) -> None:
        last, known = int(self.embeddings.frames[-1]), len(self.labels.phases)
        if known <= last:
            raise ParameterError(
                f"{self.record.labels}: has labels for {known} frames, but {self.record.path} has "
                f"at least {last + 1}; label every frame of the file, from 0 on"
            )
        if self.core.sum() < 2 or not (self.phases[self.core] >= 0).any():
            raise ParameterError(
                f"{self.record.labels}: {int(self.core.sum())} of the {len(self)} frames analysed of "
                f"{self.record.path} belong to the process, and some of them must have a phase; analyse more frames "
                "(--fps) or check the columns phase and in_core"
            )

    def __len__(self) -> int:
        return len(self.embeddings)

    @property
    def values(self) -> np.ndarray:
        """Embeddings of the analysed frames, shape (T, D)."""
        return self.embeddings.values

    @cached_property
    def phases(self) -> np.ndarray:
        """Phases of the analysed frames, shape (T,); -1 is background."""
        return self.labels.phases[self.embeddings.frames]

    @cached_property
    def core(self) -> np.ndarray:
        """Which analysed frames belong to the process, shape (T,), bool."""
        return self.labels.in_core[self.embeddings.frames]

    @property
    def group(self) -> str:
        """What was recorded independently: the episode if it is known, else the video."""
        return self.record.episode or str(self.record.path)

    @property
    def distractor(self) -> str:
        """Kind of unrelated frames before or after the core: as the manifest says, else what the labels show."""
        if self.record.distractor:
            return self.record.distractor
        return "none" if self.labels.in_core.all() else "unrelated frames"

    def cut_to_core(self) -> LabelledVideo:
        """Keep the analysed frames of the core only; native frame numbers and labels stay."""
        whole = self.embeddings
        kept = replace(
            whole, values=whole.values[self.core], frames=whole.frames[self.core], times=whole.times[self.core]
        )
        return replace(self, embeddings=kept)

    def with_values(self, values: np.ndarray, encoder: str) -> LabelledVideo:
        """The same video with other embeddings of the same frames."""
        return replace(self, embeddings=replace(self.embeddings, values=values, encoder=encoder))


def position_embeddings(length: int) -> np.ndarray:
    """Embeddings that know nothing but a frame's relative position in its video: bumps of (t + 1/2) / T.

    Their cosine falls with the distance in relative time, and linear probes can fit any smooth function of it.

    Parameters
    ----------
    length : int
        Number T of frames.

    Returns
    -------
    ndarray, shape (T, 61), float32
        Unit rows.
    """
    position = (np.arange(length)[:, None] + 0.5) / length
    bumps = np.exp(-0.5 * ((position - _CENTRES) / _WIDTH) ** 2)
    return (bumps / np.linalg.norm(bumps, axis=1, keepdims=True)).astype(np.float32)


def views(videos: Sequence[LabelledVideo]) -> tuple[str, ...]:
    """How pairs are told apart: ("same", "cross") view where the manifest names more than one, else ("all",)."""
    return ("same", "cross") if len({video.record.view for video in videos}) > 1 else ("all",)


def comparable(a: LabelledVideo, b: LabelledVideo, view: str) -> bool:
    """Whether a pair counts: two recordings that are independent, from the same or from different views."""
    if a.group == b.group:
        return False
    return view == "all" or (a.record.view == b.record.view) == (view == "same")


def draw_pairs(videos: Sequence[LabelledVideo], view: str, most: int, seed: int = 0) -> list[tuple[int, int]]:
    """Draw pairs of videos to align, each unordered pair at most once.

    Parameters
    ----------
    videos : sequence of LabelledVideo
        Videos of one class.
    view : str
        ``"same"``, ``"cross"`` or ``"all"``.
    most : int
        Number of pairs at most.
    seed : int
        The same seed draws the same pairs.

    Returns
    -------
    list of (int, int)
        Positions in ``videos``.
    """
    pairs = [(i, j) for i, j in itertools.combinations(range(len(videos)), 2) if comparable(videos[i], videos[j], view)]
    chosen = np.random.default_rng(seed).permutation(len(pairs))[:most]
    return [pairs[k] for k in sorted(chosen)]
