"""From two videos to their alignment."""

from __future__ import annotations

import platform
from dataclasses import asdict, replace
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lactoolkit import __version__
from lactoolkit.alignment.confidence import tolerance_frames
from lactoolkit.alignment.evidence import PairEvidence
from lactoolkit.alignment.hits import find_paths, make_hit
from lactoolkit.alignment.result import AlignedVideo, Alignment
from lactoolkit.alignment.settings import AlignmentSettings, default_settings
from lactoolkit.alignment.tables import similarity_table
from lactoolkit.errors import ParameterError
from lactoolkit.features.video_embeddings import VideoEmbeddings, embed_video
from lactoolkit.models.registry import encoder_spec, is_checkpoint
from lactoolkit.video.decoding import VideoInfo, probe

if TYPE_CHECKING:
    from lactoolkit.models.encoders import FrameEncoder
    from lactoolkit.models.trained import TrainedEncoder

_MAX_RATE = 30.0  # analysed frames per second at most, unless asked for more
_MAX_CELLS = 1_900_000_000  # compared by default: an hour against an hour at 10 frames a second
_MAX_FEATURES = 120_000_000  # of one video: an hour of the default encoder's at 12 frames a second, a quarter gigabyte
_MAX_FRAMES = 10_000  # of one video in any case, and for trained encoders, which embed all frames at once
_SAME_RATE = 1.2  # a native rate within this factor of the common rate is analysed as it is


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
    hits: int = 1,
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
        where the videos are long: 10 for an hour against an hour, 12 for an hour against a minute.
    start_a, end_a, start_b, end_b : float, optional
        Range to analyse, in seconds.
    cache : bool
        Use and keep features of these videos on disk, keyed by content.
    device : str
        ``"auto"``, ``"cpu"`` or ``"cuda"``: where the encoder runs.
    progress : bool
        Show progress bars on stderr.
    hits : int
        How many stretches to look for. Two of them may share frames of one video (a repetition) or come in another
        order, but no two share frames of both.
    settings : AlignmentSettings, optional
        Margin, gap penalties and temperature; by default those that suit the encoder.

    Returns
    -------
    Alignment
        With the best local alignments, and whether they are better than chance.

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
    spans = _span(info_a, start_a, end_a), _span(info_b, start_b, end_b)
    rate, note = _common_rate(frame_rate, info_a, info_b, *spans, _most_frames(encoder))
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
                on_demand=True,
            )
        )
    alignment = align_embeddings(embedded[0], embedded[1], settings, hits=hits, progress=progress)
    named = str(encoder) if isinstance(encoder, str | Path) else encoder.identity
    asked = {"encoder": named, "start_a": start_a, "end_a": end_a, "start_b": start_b, "end_b": end_b}
    return replace(alignment, note=note, settings={**asked, **alignment.settings, "frame_rate": rate})


def align_embeddings(
    a: VideoEmbeddings,
    b: VideoEmbeddings,
    settings: AlignmentSettings | None = None,
    *,
    hits: int = 1,
    progress: bool = False,
) -> Alignment:
    """Align two videos that are embedded already, by the same encoder and at about the same rate.

    Parameters
    ----------
    a, b : VideoEmbeddings
        The videos, from :func:`lactoolkit.embed_video`.
    settings : AlignmentSettings, optional
        Margin, gap penalties and temperature; by default those that suit the encoder.
    hits : int
        How many stretches to look for, best first.
    progress : bool
        Show progress bars on stderr for what takes longer than a second.

    Returns
    -------
    Alignment

    Raises
    ------
    ParameterError
        For ``hits`` below 1.

    Examples
    --------
    >>> from lactoolkit import align_embeddings, embed_video
    >>> a, b = (embed_video(f"data/samples/hammer_{speed}.mp4") for speed in ("slow", "fast"))
    >>> align_embeddings(a, b).verdict
    'aligned'
    """
    judged = settings or default_settings(a.encoder)
    settings = settings or default_settings(a.encoder, min(len(a), len(b)))
    table = similarity_table(a.values, b.values, settings, judged=judged, progress=progress)
    rate = a.rate
    paths = find_paths(table, a, b, hits)
    evidence = PairEvidence(table, a, b, judged, rate)
    found = []
    for path in paths:
        # What is likely for one hit does not depend on its rivals.
        rivals = [other for other in paths if other is not path]
        mass = table.posterior_near(path, rivals, tolerance_frames(rate))
        found.append(make_hit(path, table.at(path), mass, evidence.of(path, float(mass.mean())), a, b))
    similarity, reduction = table.picture()
    return Alignment(
        a=describe_video(a),
        b=describe_video(b),
        similarity=similarity,
        hits=tuple(found),
        reduction=reduction,
        settings={"encoder_identity": a.encoder, "frame_rate": rate, "hits": hits, **asdict(settings)},
        versions=package_versions(),
    )


def _most_frames(encoder: str | Path | FrameEncoder | TrainedEncoder) -> int:
    """How many frames of one video its features leave memory for."""
    if not isinstance(encoder, str | Path):
        sizes = getattr(encoder, "tap_sizes", None)
    else:
        sizes = None if is_checkpoint(encoder) else encoder_spec(str(encoder)).tap_sizes
    return max(_MAX_FRAMES, _MAX_FEATURES // sum(sizes)) if sizes else _MAX_FRAMES


def _span(info: VideoInfo, start: float | None, end: float | None) -> float | None:
    """Seconds to analyse, where the container says how long the video is."""
    if end is None:
        end = info.duration
    return None if end is None else max(end - (start or 0.0), 0.0)


def _common_rate(
    asked: float | None, a: VideoInfo, b: VideoInfo, span_a: float | None, span_b: float | None, most_frames: int
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
    affordable = min(by_table, most_frames / max(span_a, span_b, 1e-9) / _SAME_RATE)
    if rate <= affordable:
        return rate, ""
    note = f"The videos are long: {affordable:.2f} frames per second of each were analysed (--fps sets others)."
    return affordable, note


def describe_video(video: VideoEmbeddings) -> AlignedVideo:
    """What a result says about one of its inputs."""
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
def package_versions() -> dict[str, str]:
    """Versions of the packages that a result depends on."""
    packages = {name: version(name) for name in ("av", "numba", "numpy", "torch")}
    return {"lactoolkit": __version__, "python": platform.python_version(), **packages}
