"""What an alignment is: hits, frame pairs, gap runs and the settings they came from."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

from lactoolkit.alignment.chaining import Role, colinear_chain, hit_roles

Verdict = Literal["aligned", "weak", "not alignable"]

# Below the first, an alignment is better than chance; below the second, it may be.
SIGNIFICANT, WEAK = 0.05, 0.2

_SPEED_WINDOW = 0.25  # seconds on either side over which the local pace is measured

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

    @property
    def meaning(self) -> str:
        """What the run says about A as a rendering of B: ``"extra in A"`` (a step or a pause) or ``"skipped in A"``."""
        return "extra in A" if self.video == "a" else "skipped in A"


@dataclass(frozen=True)
class Hit:
    """One stretch of video A matched to one stretch of video B, pair by pair in time order.

    Parameters
    ----------
    rows, columns : ndarray, shape (L,), int64
        Positions of the matched pairs among the analysed frames, both strictly increasing.
    frames_a, frames_b : ndarray, shape (L,), int64
        Native frame numbers of the pairs.
    times_a, times_b : ndarray, shape (L,), float64
        Their times in seconds.
    similarity : ndarray, shape (L,), float32
        Calibrated similarity of each pair: standard deviations above the background, less the margin.
    confidence : ndarray, shape (L,), float32
        Confidence of each pair, between 0 and 1.
    score : float
        Smith-Waterman score of the path through the frames it was sought in, ends that were left out included.
    p_value : float
        Probability that videos of different processes give an alignment this convincing, between 0.001 and 1.
    e_value : float
        Expected number of hits that score this high when blocks of B's frames are put in random order.
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
    e_value: float
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

    @property
    def speed_ratio(self) -> np.ndarray:
        """Pacing at each pair, shape (L,): the slope of B's time over A's within a quarter of a second on either side.

        1 where both run at equal speed, 2 where B takes twice as long as A; NaN for a hit of a single pair. The slope
        is that of the geometric mean (reduced major axis) of both regressions, so that swapping the videos gives the
        inverse.
        """
        a, b = self.times_a.astype(np.float64), self.times_b.astype(np.float64)
        first = np.minimum(np.searchsorted(a, a - _SPEED_WINDOW), np.searchsorted(b, b - _SPEED_WINDOW))
        last = np.maximum(
            np.searchsorted(a, a + _SPEED_WINDOW, side="right"), np.searchsorted(b, b + _SPEED_WINDOW, side="right")
        )
        count = last - first
        spreads = []
        for times in (a - a[0], b - b[0]):
            sums, squares = (np.concatenate(([0.0], np.cumsum(x))) for x in (times, times**2))
            mean = (sums[last] - sums[first]) / count
            spreads.append((squares[last] - squares[first]) / count - mean**2)
        return np.sqrt(np.divide(spreads[1], spreads[0], out=np.full(len(a), np.nan), where=spreads[0] > 0))


@dataclass(frozen=True)
class Alignment:
    """The alignment of two videos.

    Parameters
    ----------
    a, b : AlignedVideo
        The inputs.
    similarity : ndarray, shape (len(a.frames), len(b.frames)), float32
        Calibrated similarity of every frame of A with every frame of B; unrelated pairs lie below zero. Of long videos,
        the means over areas of the size ``reduction``.
    hits : tuple of Hit
        The stretches found, best first; empty when nothing was found at all. Two hits may share frames of one video,
        never pairs.
    note : str
        One sentence for the reader when something limits the result (nothing moves, no better than chance), else "".
    reduction : tuple of int
        Frames of A and of B for each cell of ``similarity``: (1, 1) but for long videos.
    settings : dict
        Everything that determines the result (encoder, frame rate, penalties, ...), JSON-ready.
    versions : dict
        Versions of the packages that computed it.
    """

    a: AlignedVideo
    b: AlignedVideo
    similarity: np.ndarray
    hits: tuple[Hit, ...]
    note: str = ""
    reduction: tuple[int, int] = (1, 1)
    settings: dict[str, object] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)

    @property
    def verdict(self) -> Verdict:
        """``"aligned"`` if the best hit is better than chance (p < 0.05), ``"weak"`` up to p < 0.2."""
        p_value = self.hits[0].p_value if self.hits else 1.0
        return "aligned" if p_value < SIGNIFICANT else "weak" if p_value < WEAK else "not alignable"

    @property
    def significant(self) -> bool:
        """Whether the best hit is better than chance. When False, the hits are shown for inspection only."""
        return self.verdict == "aligned"

    @property
    def chain(self) -> tuple[int, ...]:
        """Positions of the hits that follow each other in both videos, in time order: the consistent whole."""
        return colinear_chain(self.hits)

    @property
    def roles(self) -> tuple[Role, ...]:
        """How each hit stands to the chain; see :func:`lactoolkit.alignment.chaining.hit_roles`."""
        return hit_roles(self.hits)

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
