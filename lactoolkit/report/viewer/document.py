"""What the page shows, as plain data."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from PIL import Image

from lactoolkit.alignment.deviations import KINDS, Deviation
from lactoolkit.alignment.hits import join_chain
from lactoolkit.alignment.result import AlignedVideo, Alignment, Hit
from lactoolkit.report.alignment_json import plain
from lactoolkit.report.playback import SHORTEST_HOLD, ClockPath, clock_path, whole_reference
from lactoolkit.report.polyline import thin_out
from lactoolkit.report.similarity_plot import colour_limits, resample_matrix, similarity_times
from lactoolkit.report.text import distinct_names
from lactoolkit.report.viewer.sources import VideoSource
from lactoolkit.video.intervals import NamedInterval
from lactoolkit.video.labels import BACKGROUND, FrameLabels

# A picture of 600 x 600 cells takes up to 350 kB, and no screen shows more of it beside two videos.
_MOST_CELLS = 600
# Seconds by which the time of a frame may be off: that of files whose timestamps are rounded to milliseconds.
_TIME_TOLERANCE = 0.0011
# How style.css calls the colours of the kinds of deviations.
_MARKS = dict(zip(KINDS, ("different", "slower", "faster"), strict=True))

# What a video is labelled with: the phase of every native frame, or named stretches and moments.
Annotation = FrameLabels | Sequence[NamedInterval]
# One file in one role: as A and as B, different parts of it may be shown.
MediaKey = tuple[Literal["a", "b"], Path]


@dataclass(frozen=True)
class View:
    """What the page shows of one pair of videos.

    Parameters
    ----------
    alignment : Alignment
        The pair.
    labels : (FrameLabels or sequence of NamedInterval, the same)
        Labels of A and of B.
    deviations : sequence of Deviation, optional
        Where B deviates from A, which is a reference then: the page plays the whole reference, over all hits that
        follow each other.
    level : float
        Probability below which a deviation is listed.
    """

    alignment: Alignment
    labels: tuple[Annotation, Annotation] = ((), ())
    deviations: Sequence[Deviation] | None = None
    level: float = 0.05

    @property
    def media(self) -> dict[MediaKey, AlignedVideo]:
        """Its videos, A and B."""
        a, b = self.alignment.a, self.alignment.b
        return {("a", a.path): a, ("b", b.path): b}


def viewer_document(views: Sequence[View], sources: Mapping[MediaKey, VideoSource]) -> dict[str, Any]:
    """Describe pairs of videos for the page, which lets one choose between them.

    Parameters
    ----------
    views : sequence of View
        The pairs, at least one.
    sources : mapping of ("a" or "b", Path) to VideoSource
        Where the page finds each video.

    Returns
    -------
    dict
        Ready for :func:`json.dumps`.
    """
    keys = list(sources)
    media = [vars(sources[key]) for key in keys]
    paths = list(dict.fromkeys(path for view in views for _, path in view.media))
    names = {path: plain(Path(name)) for path, name in zip(paths, distinct_names(paths), strict=True)}
    return plain({"media": media, "views": [_describe_view(view, keys, names) for view in views]})


def _describe_view(view: View, keys: Sequence[MediaKey], names: Mapping[Path, str]) -> dict[str, Any]:
    alignment = view.alignment if view.deviations is None else join_chain(view.alignment)
    videos = (alignment.a, alignment.b)
    return {
        "title": " and ".join(names[video.path] for video in videos),
        "verdict": alignment.verdict,
        "note": alignment.note,
        "videos": [
            {
                "media": keys.index((letter, video.path)),
                "name": names[video.path],
                **_describe_video(video, annotation),
            }
            for letter, video, annotation in zip("ab", videos, view.labels, strict=True)
        ],
        "matrix": _draw_matrix(alignment),
        "hits": [
            _describe_hit(alignment, position, hit, role, whole=view.deviations is not None)
            for position, (hit, role) in enumerate(zip(alignment.hits, alignment.roles, strict=True))
        ],
        "unaligned": None if alignment.hits else _describe_path(clock_path(alignment)),
        "deviations": None if view.deviations is None else [_describe_deviation(one) for one in view.deviations],
        "level": view.level,
    }


def _describe_deviation(one: Deviation) -> dict[str, Any]:
    return {
        "kind": one.kind,
        "mark": _MARKS[one.kind],
        # Whose frames go on meanwhile: what is missing passes in the reference only.
        "along": "a" if one.kind == "faster or missing" else "b",
        "a": [one.reference_start, one.reference_end],
        "b": [one.start, one.end],
        "p_value": one.p_value,
    }


def _describe_video(video: AlignedVideo, labels: Annotation) -> dict[str, Any]:
    # The times of all other frames lie on straight lines between these.
    kept = thin_out(video.frames, video.times, _TIME_TOLERANCE)
    return {
        "width": video.width,
        "height": video.height,
        "frame_rate": video.frame_rate,
        "frames": video.frames[kept],
        "times": video.times[kept],
        "labels": _describe_intervals(_phases(labels, video) if isinstance(labels, FrameLabels) else labels),
    }


def _describe_intervals(intervals: Sequence[NamedInterval]) -> list[list[float | str | None]]:
    return [[one.start, one.end, one.name] for one in sorted(intervals, key=lambda one: one.start)]


def _phases(labels: FrameLabels, video: AlignedVideo) -> list[NamedInterval]:
    """The phases that follow each other in a video, without the background."""
    starts = np.flatnonzero(np.diff(labels.phases, prepend=BACKGROUND - 1))
    ends = np.append(starts[1:], len(labels))
    return [
        NamedInterval(labels.phase_names[phase], _time_of(video, start), _time_of(video, end))
        for start, end, phase in zip(starts.tolist(), ends.tolist(), labels.phases[starts].tolist(), strict=True)
        if phase != BACKGROUND
    ]


def _time_of(video: AlignedVideo, frame: int) -> float:
    """Time of a native frame: exact for those that were analysed, at the video's rate beyond them."""
    nearest = int(np.clip(frame, video.frames[0], video.frames[-1]))
    return float(np.interp(nearest, video.frames, video.times)) + (frame - nearest) / video.frame_rate


def _describe_hit(alignment: Alignment, position: int, hit: Hit, role: str, *, whole: bool) -> dict[str, Any]:
    path = clock_path(alignment, position)
    if whole:
        path = whole_reference(path, float(alignment.a.times[0]), float(alignment.a.times[-1]))
    return {
        "number": position + 1,
        "role": role,
        "p_value": hit.p_value,
        "confidence": hit.mean_confidence,
        "pacing": hit.pacing,
        "pairs": len(hit),
        "gaps": [
            [gap.video, gap.first_time, gap.last_time, gap.meaning]
            for gap in hit.gaps
            if _gap_length(alignment, gap.video, gap.first_time, gap.last_time) >= SHORTEST_HOLD
        ],
        **_describe_path(path),
    }


def _gap_length(alignment: Alignment, letter: str, first: float, last: float) -> float:
    """Seconds that a run of frames is shown, the last one included."""
    video = alignment.a if letter == "a" else alignment.b
    return last - first + (float(np.median(np.diff(video.times))) if len(video.times) > 1 else 0.0)


def _describe_path(path: ClockPath) -> dict[str, Any]:
    return {
        "a": path.times_a,
        "b": path.times_b,
        "confidence_path": np.round(path.confidence.astype(np.float64), 3),
        # 1 where A waits, 2 where B does.
        "held": path.held_a.astype(int) + 2 * path.held_b.astype(int),
    }


def _draw_matrix(alignment: Alignment) -> dict[str, Any]:
    """The similarity of every moment of A (across) with every moment of B (upwards) as a grey picture."""
    grid, extent_a, extent_b = resample_matrix(alignment.similarity, *similarity_times(alignment), _MOST_CELLS)
    low, high = colour_limits(grid)
    levels = np.nan_to_num((grid.T[::-1] - low) / (high - low)).clip(0, 1)
    file = io.BytesIO()
    Image.fromarray((levels * 255).round().astype(np.uint8)).save(file, "png", optimize=True)
    picture = base64.b64encode(file.getvalue()).decode()
    return {"picture": f"data:image/png;base64,{picture}", "extent_a": extent_a, "extent_b": extent_b}
