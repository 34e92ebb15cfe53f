"""Videos against a reference: which stretches deviate by more than correct videos do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from lactoolkit.alignment.align import align_videos, package_versions
from lactoolkit.alignment.deviations import Course, Deviation, Kind, Spread, course_of, on_reference
from lactoolkit.alignment.result import AlignedVideo
from lactoolkit.errors import ParameterError, VideoError
from lactoolkit.features.process_pool import run_items

LEAST_NORMAL = 3
_HITS = 3  # parts before, between and after what is inserted


@dataclass(frozen=True)
class ComparedVideo:
    """One video beside the reference.

    Parameters
    ----------
    course : Course
        How it goes along the reference.
    deviations : tuple of Deviation
        Stretches that a correct video would have with a probability below the level, in time order.
    curves : dict of str to ndarray
        How far it deviates, in standard deviations; see :func:`lactoolkit.alignment.deviations.conspicuousness`.
    """

    course: Course
    deviations: tuple[Deviation, ...]
    curves: dict[Kind, np.ndarray]

    @property
    def video(self) -> AlignedVideo:
        """The video."""
        return self.course.video


@dataclass(frozen=True)
class Comparison:
    """Videos beside a reference.

    Parameters
    ----------
    reference : AlignedVideo
        The reference.
    videos : tuple of ComparedVideo
        The videos in question, in the order given.
    normal : tuple of Course
        The correct videos that they were judged by.
    leave_one_out : bool
        Whether no correct videos were named, so that each video was judged by all others.
    level : float
        Probability below which a stretch is listed.
    settings, versions : dict
        What determines the result, JSON-ready.
    """

    reference: AlignedVideo
    videos: tuple[ComparedVideo, ...]
    normal: tuple[Course, ...]
    leave_one_out: bool
    level: float
    settings: dict[str, object] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)


def compare_videos(
    reference: str | Path,
    videos: Sequence[str | Path],
    normal: Sequence[str | Path] = (),
    *,
    level: float = 0.05,
    workers: int = 1,
    progress: bool = False,
    **options: Any,
) -> Comparison:
    """Find the stretches of videos that deviate from a reference by more than correct videos do.

    Every video is aligned with the reference. From moment to moment, three things are compared with the spread over the
    correct videos: how much it looks like the reference, whether it takes longer (a pause, something extra) and whether
    it takes less time or leaves something out. How conspicuous a stretch may be by chance is learnt by comparing each
    correct video with the others.

    Parameters
    ----------
    reference : path
        A video that shows how it should be.
    videos : sequence of paths
        Videos in question.
    normal : sequence of paths
        Correct videos, 3 or more; without any, each video is judged by the other ones (4 or more are needed then).
    level : float
        Stretches are listed that a correct video has with a probability below this one.
    workers : int
        Processes side by side.
    progress : bool
        Show a progress bar on stderr.
    **options
        ``encoder``, ``weights``, ``frame_rate``, ``device`` and ``cache``, as for :func:`lactoolkit.align_videos`.

    Returns
    -------
    Comparison

    Raises
    ------
    ParameterError
        Too few videos to judge by, or ``level`` is no probability.
    VideoError
        A video cannot be read.

    Examples
    --------
    >>> from lactoolkit import compare_videos
    >>> compared = compare_videos("best.mp4", ["today.mp4"], ["a.mp4", "b.mp4", "c.mp4"])  # doctest: +SKIP
    >>> [(one.kind, one.start, one.end, one.p_value) for one in compared.videos[0].deviations]  # doctest: +SKIP
    [('slower or extra', 3.2, 4.9, 0.012)]
    """
    if not 0 < level < 1:
        raise ParameterError(f"level (--level) is {level}; it must be between 0 and 1")
    if not videos:
        raise ParameterError("no video to compare with the reference; name one")
    if normal and len(normal) < LEAST_NORMAL:
        raise ParameterError(
            f"{len(normal)} correct videos (--normal); at least {LEAST_NORMAL} are needed to know how much they differ"
        )
    if not normal and len(videos) <= LEAST_NORMAL:
        raise ParameterError(
            f"{len(videos)} videos and no correct ones to judge them by; name at least {LEAST_NORMAL} correct videos "
            f"(--normal), or {LEAST_NORMAL + 1} videos that judge each other"
        )
    paths = [Path(path) for path in (*videos, *normal)]
    found: dict[Path, tuple[AlignedVideo, Course, dict[str, object]]] = {}
    unique = list(dict.fromkeys(paths))
    with tqdm(total=len(unique), desc="aligning", unit="video", delay=1, disable=not progress) as bar:
        work = partial(_course, Path(reference), options=options)
        for outcome in run_items(work, unique, workers):
            if outcome.result is None:
                raise VideoError(outcome.error)
            found[outcome.item] = outcome.result
            bar.update()
    # Beside a video of fewer frames per second, fewer frames of the reference were analysed.
    about, _, settings = min(found.values(), key=lambda one: len(one[0].times))
    courses = [on_reference(found[path][1], found[path][0].times, about.times) for path in paths]
    asked, correct = courses[: len(videos)], courses[len(videos) :]
    shared = Spread(correct, about.times) if correct else None
    compared = []
    for k, course in enumerate(asked):
        spread = shared or Spread(asked[:k] + asked[k + 1 :], about.times)
        compared.append(ComparedVideo(course, tuple(spread.deviations(course, level)), spread.curves(course)))
    return Comparison(
        reference=about,
        videos=tuple(compared),
        normal=tuple(correct),
        leave_one_out=not correct,
        level=level,
        settings=settings,
        versions=package_versions(),
    )


def _course(reference: Path, path: Path, *, options: dict[str, Any]) -> tuple[AlignedVideo, Course, dict[str, object]]:
    alignment = align_videos(reference, path, hits=_HITS, **options)
    return alignment.a, course_of(alignment), alignment.settings
