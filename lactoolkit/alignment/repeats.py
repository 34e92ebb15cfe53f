"""Repetitions within one video: it is aligned with itself, one period later."""

from __future__ import annotations

import itertools
import math
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from lactoolkit.alignment.align import describe_video, package_versions
from lactoolkit.alignment.confidence import calibrated_confidence, posterior_near, tolerance_frames
from lactoolkit.alignment.result import AlignedVideo
from lactoolkit.alignment.settings import AlignmentSettings
from lactoolkit.alignment.similarity import calibrated_similarity
from lactoolkit.features.video_embeddings import VideoEmbeddings, embed_video
from lactoolkit.kernels.path_decoding import LocalPath, best_local_path
from lactoolkit.video.decoding import probe

if TYPE_CHECKING:
    from lactoolkit.models.encoders import FrameEncoder
    from lactoolkit.models.trained import TrainedEncoder

_MOST_FRAMES = 5000  # a table of 25 million cells
_MAX_RATE = 30.0
_SHORTEST_PERIOD = 0.3  # seconds
_AWAY = -0.25  # similarity below which a frame looks different; unrelated frames have -0.75 on average
# Thresholds were set on eight squat clips, all of which are counted right; the counts of no other sets were checked.
# Mean similarity over one period below which nothing repeats. Sets of squats reach 2.2 to 7; videos of a single squat,
# pitch, serve, sentence or robot task stay below 0.2.
_LEAST_PERIOD_SCORE = 0.5
_WHOLE = 0.75  # of a period: what follows the last full one counts as a repetition from here on
_BREAK = 0.5  # of a period: a longer gap ends a series

REPETITION_COLUMNS = (
    "repetition",
    "series",
    "start_frame",
    "start_time",
    "end_frame",
    "end_time",
    "seconds",
    "confidence",
)


@dataclass(frozen=True)
class Repetition:
    """One cycle of a process that repeats.

    Parameters
    ----------
    series : int
        Repetitions of one series follow each other directly; counted from 1.
    start_frame, end_frame : int
        Native frames at which it begins and ends (the next one begins).
    start_time, end_time : float
        Their times in seconds.
    confidence : float
        Mean confidence of the frames matched with the next or the previous repetition.
    """

    series: int
    start_frame: int
    start_time: float
    end_frame: int
    end_time: float
    confidence: float

    @property
    def seconds(self) -> float:
        """How long it takes."""
        return self.end_time - self.start_time


@dataclass(frozen=True)
class Repetitions:
    """The repetitions in a video.

    Parameters
    ----------
    video : AlignedVideo
        The input, as it was analysed.
    repetitions : tuple of Repetition
        In time order; empty when nothing repeats.
    times : ndarray, shape (L,), float64
        Seconds at which the period was measured.
    periods : ndarray, shape (L,), float64
        Seconds from a frame to its counterpart one repetition later.
    similarity : ndarray, shape (T, T), float32
        Calibrated similarity of every frame with every other.
    settings, versions : dict
        As for :class:`lactoolkit.Alignment`.
    """

    video: AlignedVideo
    repetitions: tuple[Repetition, ...]
    times: np.ndarray
    periods: np.ndarray
    similarity: np.ndarray
    settings: dict[str, object] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.repetitions)

    @property
    def period(self) -> float:
        """Median seconds from one repetition to the next; NaN when nothing repeats."""
        return float(np.median(self.periods)) if len(self.periods) else math.nan

    def to_dataframe(self) -> pd.DataFrame:
        """One row for each repetition, with the columns of ``repetitions.csv``."""
        rows = [
            {"repetition": number, **asdict(one), "seconds": one.seconds}
            for number, one in enumerate(self.repetitions, start=1)
        ]
        return pd.DataFrame(rows, columns=list(REPETITION_COLUMNS))


def find_repetitions(
    video: str | Path,
    *,
    encoder: str | Path | FrameEncoder | TrainedEncoder = "lite0",
    weights: str | Path | None = None,
    frame_rate: float | None = None,
    start: float | None = None,
    end: float | None = None,
    cache: bool = True,
    device: str = "auto",
    progress: bool = False,
    settings: AlignmentSettings | None = None,
) -> Repetitions:
    """Count and locate the repetitions of a cycle in a video: squats, strokes, strides, turns of a machine.

    Parameters
    ----------
    video : path
        The video.
    encoder, weights, cache, device, progress
        As for :func:`lactoolkit.align_videos`.
    settings : AlignmentSettings, optional
        Margin, gap penalties and temperature; the same defaults for every encoder.
    frame_rate : float, optional
        Frames per second to analyse; by default the native rate, at most 30, and less where the video has more than
        5000 frames.
    start, end : float, optional
        Range to analyse, in seconds.

    Returns
    -------
    Repetitions

    Raises
    ------
    VideoError
        If the video cannot be read, has a single frame in the range, or frames that all look the same.
    ParameterError
        If a number is out of its range or the encoder is unknown.

    Examples
    --------
    >>> from lactoolkit import find_repetitions
    >>> len(find_repetitions("data/samples/hammer_fast.mp4"))  # a robot that does its task once
    0
    """
    path = Path(video)
    if frame_rate is None:
        info = probe(path)
        stop = info.duration if end is None else end
        rate = min(info.frame_rate, _MAX_RATE)
        if stop is not None:
            rate = min(rate, _MOST_FRAMES / max(stop - (start or 0.0), 1e-9))
        frame_rate = None if info.frame_rate <= 1.2 * rate else rate
    embedded = embed_video(
        path,
        encoder,
        weights=weights,
        device=device,
        frame_rate=frame_rate,
        start=start,
        end=end,
        cache=cache,
        progress=progress,
    )
    return repetitions_of(embedded, settings)


def repetitions_of(video: VideoEmbeddings, settings: AlignmentSettings | None = None) -> Repetitions:
    """Count and locate the repetitions in a video that is embedded already.

    The video is aligned with itself, leaving out lags so short that neighbouring frames resemble each other. The best
    local path pairs every frame with its counterpart one period later; followed from its start, it steps from one
    repetition to the next.

    Parameters
    ----------
    video : VideoEmbeddings
        The video.
    settings : AlignmentSettings, optional
        Margin, gap penalties and temperature.

    Returns
    -------
    Repetitions
    """
    settings = settings or AlignmentSettings()
    rate = video.rate
    similarity = calibrated_similarity(video.values, video.values, settings.margin)
    later = np.where(_returns(similarity, max(round(_SHORTEST_PERIOD * rate), 1)), similarity, -np.inf)
    path = best_local_path(later, settings.gap_open, settings.gap_extend)
    found: list[Repetition] = []
    kept = np.zeros(len(path), bool)
    if len(path):
        confidence = calibrated_confidence(posterior_near(later, path, settings, tolerance_frames(rate)))
        for part in _series(path):
            pairs = path.pairs[part]
            period = float(np.median(pairs[:, 1] - pairs[:, 0]))
            if similarity[pairs[:, 0], pairs[:, 1]].sum() < _LEAST_PERIOD_SCORE * period:
                continue
            kept[part] = True
            number = found[-1].series + 1 if found else 1
            found += _cycles(pairs, confidence[part], video, number)
    pairs = path.pairs[kept]
    return Repetitions(
        video=describe_video(video),
        repetitions=tuple(found),
        times=video.times[pairs[:, 0]],
        periods=video.times[pairs[:, 1]] - video.times[pairs[:, 0]],
        similarity=similarity,
        settings={"encoder_identity": video.encoder, "frame_rate": rate, **asdict(settings)},
        versions=package_versions(),
    )


def _returns(similarity: np.ndarray, shortest: int) -> np.ndarray:
    """Which pairs (i, j) may be one frame and its return, shape (T, T): between them, the video has looked different.

    Without this, whoever stands still for a while would repeat something all the time.
    """
    count = len(similarity)
    rows, columns = np.ogrid[:count, :count]
    away = similarity < _AWAY
    left = np.where(away & (columns > rows), columns, count).min(axis=1)
    came = np.where(away & (rows < columns), rows, -1).max(axis=0)
    return (columns - rows >= shortest) & (columns > left[:, None]) & (rows < came[None, :])


def _series(path: LocalPath) -> list[slice]:
    """Parts of a path between gaps of more than half a period."""
    steps = np.diff(path.pairs, axis=0).max(axis=1)
    lags = path.pairs[:, 1] - path.pairs[:, 0]
    cuts = np.flatnonzero(steps > np.maximum(_BREAK * np.minimum(lags[:-1], lags[1:]), 1)) + 1
    edges = [0, *cuts.tolist(), len(path)]
    return [slice(first, last) for first, last in itertools.pairwise(edges)]


def _cycles(pairs: np.ndarray, confidence: np.ndarray, video: VideoEmbeddings, series: int) -> list[Repetition]:
    """Follow one part of the path from its start, one period at a time."""
    edges = [float(pairs[0, 0])]
    while edges[-1] <= pairs[-1, 0]:
        edges.append(float(np.interp(edges[-1], pairs[:, 0], pairs[:, 1])))
    last = float(pairs[-1, 1])
    period = float(np.median(np.diff(edges)))
    if last - edges[-1] >= _WHOLE * period:
        edges.append(last)
    whole = np.round(edges).astype(int)
    cycles = []
    for first, stop in itertools.pairwise(whole):
        inside = ((pairs >= first) & (pairs < stop)).any(axis=1)
        cycles.append(
            Repetition(
                series=series,
                start_frame=int(video.frames[first]),
                start_time=float(video.times[first]),
                end_frame=int(video.frames[stop]),
                end_time=float(video.times[stop]),
                confidence=float(confidence[inside].mean()),
            )
        )
    return cycles
