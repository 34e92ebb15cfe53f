"""What an alignment is: hits, frame pairs, gap runs and the settings they came from."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

PAIR_COLUMNS = ("hit", "frame_a", "time_a", "frame_b", "time_b", "similarity", "confidence")


@dataclass(frozen=True)
class AlignedVideo:
    """One of the two inputs, as it was analysed.

    Parameters
    ----------
    path : Path
        The file as the user named it.
    sha256 : str
        Hex digest of the file's bytes.
    frames : ndarray, shape (T,), int64
        Numbers of the analysed frames in the original file, counted from 0 at its native rate.
    times : ndarray, shape (T,), float64
        Presentation times of these frames in seconds from the start of the video.
    frame_rate : float
        Average native frame rate in frames per second.
    width, height : int
        Displayed size in pixels, rotation applied.
    preview : Path or None
        Small copy of exactly these frames in the cache, from which a report is written faster.
    """

    path: Path
    sha256: str
    frames: np.ndarray
    times: np.ndarray
    frame_rate: float
    width: int
    height: int
    preview: Path | None = None


@dataclass(frozen=True)
class GapRun:
    """A run of frames of one video inside a hit that has no partner in the other video.

    ``first_frame`` and ``last_frame`` (inclusive) are native frame numbers of ``video``; times are in seconds.
    """

    video: Literal["a", "b"]
    first_frame: int
    last_frame: int
    first_time: float
    last_time: float


@dataclass(frozen=True)
class Hit:
    """One stretch of video A matched to one stretch of video B, pair by pair in time order.

    Parameters
    ----------
    rows, columns : ndarray, shape (L,), int64
        Positions of the matched pairs in :attr:`Alignment.similarity`, both strictly increasing.
    frames_a, frames_b : ndarray, shape (L,), int64
        Native frame numbers of the pairs.
    times_a, times_b : ndarray, shape (L,), float64
        Their times in seconds.
    similarity : ndarray, shape (L,), float32
        Calibrated similarity of each pair: standard deviations above the background, less the margin.
    confidence : ndarray, shape (L,), float32
        Confidence of each pair, between 0 and 1.
    score : float
        Smith-Waterman score of the path.
    p_value : float
        Probability of a score this high when the order of the frames carries no common process.
    gaps : tuple of GapRun
        Frames inside the hit that were left unmatched, in time order.
    """

    rows: np.ndarray
    columns: np.ndarray
    frames_a: np.ndarray
    frames_b: np.ndarray
    times_a: np.ndarray
    times_b: np.ndarray
    similarity: np.ndarray
    confidence: np.ndarray
    score: float
    p_value: float
    gaps: tuple[GapRun, ...] = ()

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def mean_confidence(self) -> float:
        """Mean confidence of the pairs."""
        return float(self.confidence.mean())

    @property
    def pacing(self) -> float:
        """Seconds of B that pass while one second of A passes (1: equal speed, 2: B takes twice as long)."""
        span_a = float(self.times_a[-1] - self.times_a[0])
        span_b = float(self.times_b[-1] - self.times_b[0])
        return span_b / span_a if span_a > 0 else float("nan")


@dataclass(frozen=True)
class Alignment:
    """The alignment of two videos.

    Parameters
    ----------
    a, b : AlignedVideo
        The inputs.
    similarity : ndarray, shape (len(a.frames), len(b.frames)), float32
        Calibrated similarity of every frame of A with every frame of B; unrelated pairs lie below zero.
    hits : tuple of Hit
        The stretches found, best first; empty when nothing was found at all.
    significant : bool
        Whether the best hit is better than chance. When False, the hits are shown for inspection only.
    note : str
        One sentence for the reader when something limits the result (nothing moves, no better than chance), else "".
    settings : dict
        Everything that determines the result (encoder, frame rate, penalties, ...), JSON-ready.
    versions : dict
        Versions of the packages that computed it.
    """

    a: AlignedVideo
    b: AlignedVideo
    similarity: np.ndarray
    hits: tuple[Hit, ...]
    significant: bool
    note: str = ""
    settings: dict[str, object] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)

    def to_dataframe(self) -> pd.DataFrame:
        """Matched pairs of all hits, one row each, with the columns of ``pairs.csv`` (hits count from 1)."""
        # Imported here: it takes as long as aligning two short videos.
        import pandas as pd

        parts = [
            pd.DataFrame(
                {
                    "hit": number,
                    "frame_a": hit.frames_a,
                    "time_a": hit.times_a,
                    "frame_b": hit.frames_b,
                    "time_b": hit.times_b,
                    "similarity": hit.similarity,
                    "confidence": hit.confidence,
                }
            )
            for number, hit in enumerate(self.hits, start=1)
        ]
        if not parts:
            return pd.DataFrame(columns=list(PAIR_COLUMNS))
        return pd.concat(parts, ignore_index=True)
