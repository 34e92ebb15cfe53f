"""From two videos to their alignment."""

from __future__ import annotations

import platform
from dataclasses import asdict, dataclass, replace
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lactoolkit import __version__
from lactoolkit.alignment.result import AlignedVideo, Alignment, GapRun, Hit
from lactoolkit.alignment.significance import chance_probability
from lactoolkit.alignment.similarity import calibrated_similarity
from lactoolkit.errors import ParameterError
from lactoolkit.features.video_embeddings import VideoEmbeddings, embed_video
from lactoolkit.kernels.path_decoding import LocalPath, best_local_path
from lactoolkit.kernels.smith_waterman_cpu import posterior
from lactoolkit.video.decoding import VideoInfo, probe

if TYPE_CHECKING:
    from lactoolkit.models.encoders import FrameEncoder
    from lactoolkit.models.trained import TrainedEncoder

_MAX_RATE = 30.0  # analysed frames per second at most, unless asked for more
_MAX_CELLS = 25_000_000  # of the similarity table, 0.6 GB of working memory
_MAX_FRAMES = 10_000  # of one video, whose embeddings take 1 GB of working memory then
_SAME_RATE = 1.2  # a native rate within this factor of the common rate is analysed as it is
_TOLERANCE = 0.1  # seconds: confidence counts the posterior within this distance of a pair
_SIGNIFICANT = 0.05


@dataclass(frozen=True)
class AlignmentSettings:
    """What turns a similarity into an alignment; similarities and penalties are in background standard deviations.

    The defaults are those that located the common stretch and its phases best on the training videos of four simulated
    robot tasks, and at temperature 1 the confidence is right about as often as it says.

    Parameters
    ----------
    margin : float
        How far above the background a pair must lie to count as a match.
    gap_open, gap_extend : float
        Cost of the first and of each further frame without a partner.
    temperature : float
        Of the posterior behind the confidence.
    """

    margin: float = 0.75
    gap_open: float = 0.2
    gap_extend: float = 0.2
    temperature: float = 1.0


def align_videos(
    a: str | Path,
    b: str | Path,
    *,
    encoder: str | Path | FrameEncoder | TrainedEncoder = "lite0",
    weights: str | Path | None = None,
    frame_rate: float | None = None,
    start_a: float | None = None,
    end_a: float | None = None,
    start_b: float | None = None,
    end_b: float | None = None,
    cache: bool = True,
    device: str = "auto",
    progress: bool = False,
    settings: AlignmentSettings | None = None,
) -> Alignment:
    """Find the stretch of video A that matches a stretch of video B, frame by frame.

    Parameters
    ----------
    a, b : path
        The videos.
    encoder : str, Path, FrameEncoder or TrainedEncoder
        Frame encoder, one of :func:`lactoolkit.available_encoders`; or the checkpoint of a training run.
    weights : path, optional
        File with weights for the encoder.
    frame_rate : float, optional
        Frames per second to analyse of both videos. By default the lower of the two native rates, at most 30, and less
        where the videos are so long that their table would not fit in memory.
    start_a, end_a, start_b, end_b : float, optional
        Range to analyse, in seconds.
    cache : bool
        Use and keep features of these videos on disk, keyed by content.
    device : str
        ``"auto"``, ``"cpu"`` or ``"cuda"``: where the encoder runs.
    progress : bool
        Show progress bars on stderr.
    settings : AlignmentSettings, optional
        Margin, gap penalties and temperature.

    Returns
    -------
    Alignment
        With the best local alignment as its only hit, and whether it is better than chance.

    Raises
    ------
    VideoError
        If a video cannot be read, has a single frame in the range, or frames that all look the same.
    ParameterError
        If a number is out of its range or the encoder is unknown.

    Examples
    --------
    >>> from lactoolkit import align_videos
    >>> alignment = align_videos("data/samples/hammer_slow.mp4", "data/samples/hammer_fast.mp4")
    >>> alignment.significant
    True
    >>> pairs = alignment.to_dataframe()  # hit, frame_a, time_a, frame_b, time_b, similarity, confidence
    """
    a, b = Path(a), Path(b)
    info_a, info_b = probe(a), probe(b)
    rate, note = _common_rate(frame_rate, info_a, info_b, _span(info_a, start_a, end_a), _span(info_b, start_b, end_b))
    embedded = []
    for source, info, start, end in ((a, info_a, start_a, end_a), (b, info_b, start_b, end_b)):
        native = frame_rate is None and info.frame_rate <= _SAME_RATE * rate
        embedded.append(
            embed_video(
                source,
                encoder,
                weights=weights,
                device=device,
                frame_rate=None if native else rate,
                start=start,
                end=end,
                cache=cache,
                preview=True,
                progress=progress,
            )
        )
    if len(embedded[0]) * len(embedded[1]) > _MAX_CELLS:
        raise ParameterError(
            f"--fps {rate:g} gives {len(embedded[0])} x {len(embedded[1])} frames, too many for one "
            "table; analyse fewer frames per second, or a shorter range"
        )
    alignment = align_embeddings(embedded[0], embedded[1], settings)
    named = str(encoder) if isinstance(encoder, str | Path) else encoder.identity
    asked = {"encoder": named, "start_a": start_a, "end_a": end_a, "start_b": start_b, "end_b": end_b}
    return replace(alignment, note=note, settings={**asked, **alignment.settings, "frame_rate": rate})


def align_embeddings(a: VideoEmbeddings, b: VideoEmbeddings, settings: AlignmentSettings | None = None) -> Alignment:
    """Align two videos that are embedded already, by the same encoder and at about the same rate.

    Parameters
    ----------
    a, b : VideoEmbeddings
        The videos, from :func:`lactoolkit.embed_video`.
    settings : AlignmentSettings, optional
        Margin, gap penalties and temperature.

    Returns
    -------
    Alignment

    Examples
    --------
    >>> from lactoolkit import align_embeddings, embed_video
    >>> a, b = (embed_video(f"data/samples/hammer_{speed}.mp4") for speed in ("slow", "fast"))
    >>> len(align_embeddings(a, b).hits)
    1
    """
    settings = settings or AlignmentSettings()
    similarity = calibrated_similarity(a.values, b.values, settings.margin)
    path = best_local_path(similarity, settings.gap_open, settings.gap_extend)
    backwards = best_local_path(np.ascontiguousarray(similarity[:, ::-1]), settings.gap_open, settings.gap_extend)
    rows, columns = path.pairs.T
    mean_cosine = float(np.einsum("ld,ld->l", a.values[rows], b.values[columns]).mean())
    p_value = chance_probability(path.score, backwards.score, mean_cosine)
    rate = 1 / float(np.median(np.diff(a.times)))
    confidence = _confidence(similarity, path, settings, max(1, round(_TOLERANCE * rate)))
    return Alignment(
        a=_aligned_video(a),
        b=_aligned_video(b),
        similarity=similarity,
        hits=(_hit(path, similarity, confidence, p_value, (a, b)),),
        significant=p_value < _SIGNIFICANT,
        settings={"encoder_identity": a.encoder, "frame_rate": rate, **asdict(settings)},
        versions=_versions(),
    )


def _span(info: VideoInfo, start: float | None, end: float | None) -> float | None:
    """Seconds to analyse, where the container says how long the video is."""
    if end is None:
        end = info.duration
    return None if end is None else max(end - (start or 0.0), 0.0)


def _common_rate(
    asked: float | None, a: VideoInfo, b: VideoInfo, span_a: float | None, span_b: float | None
) -> tuple[float, str]:
    """Frames per second to analyse, and a note where length forces less than the videos offer."""
    if asked is not None:
        if not asked > 0:
            raise ParameterError(f"frame_rate (--fps) is {asked}; it must be positive")
        return min(asked, max(a.frame_rate, b.frame_rate)), ""
    rate = min(a.frame_rate, b.frame_rate, _MAX_RATE)
    if span_a is None or span_b is None:
        return rate, ""
    by_table = float(np.sqrt(_MAX_CELLS / max(span_a * span_b, 1e-9))) / _SAME_RATE
    affordable = min(by_table, _MAX_FRAMES / max(span_a, span_b, 1e-9) / _SAME_RATE)
    if rate <= affordable:
        return rate, ""
    return affordable, f"The videos are long: {affordable:.2f} frames per second of each were analysed."


def _confidence(similarity: np.ndarray, path: LocalPath, settings: AlignmentSettings, reach: int) -> np.ndarray:
    """Posterior probability that the true partner lies within ``reach`` frames, mean of both directions, shape (L,)."""
    rows, columns = path.pairs.T
    gap_open = np.full((1, 1, 1), settings.gap_open, similarity.dtype)
    gap_extend = np.full((1, 1, 1), settings.gap_extend, similarity.dtype)
    lengths = np.array([similarity.shape], np.int64)
    match = posterior(similarity[None], gap_open, gap_extend, lengths, settings.temperature, False)[1][0]
    in_row = _window_sums(match, rows, columns, reach)
    in_column = _window_sums(match.T, columns, rows, reach)
    return np.clip((in_row + in_column) / 2, 0, 1).astype(np.float32)


def _window_sums(match: np.ndarray, rows: np.ndarray, columns: np.ndarray, reach: int) -> np.ndarray:
    """Sum of ``match[row, column - reach : column + reach + 1]`` for every pair, shape (L,)."""
    offsets = np.arange(-reach, reach + 1)
    window = columns[:, None] + offsets
    inside = (window >= 0) & (window < match.shape[1])
    values = match[rows[:, None], np.clip(window, 0, match.shape[1] - 1)]
    return np.where(inside, values, 0).sum(axis=1)


def _hit(
    path: LocalPath,
    similarity: np.ndarray,
    confidence: np.ndarray,
    p_value: float,
    videos: tuple[VideoEmbeddings, VideoEmbeddings],
) -> Hit:
    rows, columns = path.pairs.T
    gaps = []
    for gap in path.gaps:
        source = videos[gap.axis]
        first, last = gap.start, gap.stop - 1
        gaps.append(
            GapRun(
                video="a" if gap.axis == 0 else "b",
                first_frame=int(source.frames[first]),
                last_frame=int(source.frames[last]),
                first_time=float(source.times[first]),
                last_time=float(source.times[last]),
            )
        )
    return Hit(
        rows=rows,
        columns=columns,
        frames_a=videos[0].frames[rows],
        frames_b=videos[1].frames[columns],
        times_a=videos[0].times[rows],
        times_b=videos[1].times[columns],
        similarity=similarity[rows, columns],
        confidence=confidence,
        score=path.score,
        p_value=p_value,
        gaps=tuple(gaps),
    )


def _aligned_video(video: VideoEmbeddings) -> AlignedVideo:
    return AlignedVideo(
        path=video.path,
        sha256=video.sha256,
        frames=video.frames,
        times=video.times,
        frame_rate=video.info.frame_rate,
        width=video.info.width,
        height=video.info.height,
        preview=video.preview,
    )


@cache
def _versions() -> dict[str, str]:
    packages = {name: version(name) for name in ("av", "numba", "numpy", "torch")}
    return {"lactoolkit": __version__, "python": platform.python_version(), **packages}
