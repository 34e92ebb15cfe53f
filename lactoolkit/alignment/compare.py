"""Videos against a reference: which stretches deviate by more than correct videos do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from lactoolkit.alignment.align import package_versions
from lactoolkit.alignment.deviations import Course, Deviation, Kind, Spread, course_of, on_reference
from lactoolkit.alignment.many import PairJob, align_all
from lactoolkit.alignment.result import AlignedVideo, Alignment
from lactoolkit.alignment.tables import area_means
from lactoolkit.errors import ParameterError, VideoError
from lactoolkit.features.process_pool import FailedVideo, Outcome, joined_reasons, read_and_failed
from lactoolkit.video.decoding import probe

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
    alignment : Alignment
        The reference against the video; the similarity as means over areas, at most 1000 of them on either side.
    """

    course: Course
    deviations: tuple[Deviation, ...]
    curves: dict[Kind, np.ndarray]
    alignment: Alignment

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
    failed : tuple of FailedVideo
        Videos, in question or correct, that were left out because they cannot be read.
    """

    reference: AlignedVideo
    videos: tuple[ComparedVideo, ...]
    normal: tuple[Course, ...]
    leave_one_out: bool
    level: float
    settings: dict[str, object] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    failed: tuple[FailedVideo, ...] = ()


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
        Videos in question. The reference itself is left out, here and in ``normal``: beside itself it says nothing.
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
        The reference cannot be read, or so many videos that too few are left; others that cannot be read are left out.

    Examples
    --------
    >>> from lactoolkit import compare_videos
    >>> compared = compare_videos("best.mp4", ["today.mp4"], ["a.mp4", "b.mp4", "c.mp4"])  # doctest: +SKIP
    >>> [(one.kind, one.start, one.end, one.p_value) for one in compared.videos[0].deviations]  # doctest: +SKIP
    [('slower or extra', 3.2, 4.9, 0.012)]
    """
    if not 0 < level < 1:
        raise ParameterError(f"level (--level) is {level}; it must be between 0 and 1")
    probe(reference)  # if it cannot be read, that is said once
    asked, correct = (
        [path for path in map(Path, paths) if not (path.exists() and path.samefile(reference))]
        for paths in (videos, normal)
    )
    _check_number(len(asked), len(correct) if normal else None)
    jobs = [PairJob(str(path), Path(reference), path) for path in dict.fromkeys([*asked, *correct])]
    outcomes = align_all(
        jobs, workers=workers, progress=progress, finish=_with_course, keep=True, hits=_HITS, **options
    )
    found, failed = read_and_failed(Outcome(one.item.b, one.result, one.error) for one in outcomes)
    if failed:
        asked, correct = ([path for path in paths if path in found] for paths in (asked, correct))
        try:
            _check_number(len(asked), len(correct) if normal else None)
        except ParameterError as error:
            reasons = joined_reasons(failed)
            raise VideoError(f"{reasons}; what is left is not enough: {error}" if found else reasons) from error
    # Beside a video of fewer frames per second, fewer frames of the reference were analysed.
    coarsest = min((alignment for alignment, _ in found.values()), key=lambda one: len(one.a.times))
    about = coarsest.a
    courses = {path: on_reference(course, one.a.times, about.times) for path, (one, course) in found.items()}
    shared = Spread([courses[path] for path in correct], about.times) if normal else None
    compared = []
    for k, path in enumerate(asked):
        course, (alignment, _) = courses[path], found[path]
        spread = shared or Spread([courses[other] for other in asked[:k] + asked[k + 1 :]], about.times)
        deviations = tuple(spread.deviations(course, level))
        compared.append(ComparedVideo(course, deviations, spread.curves(course), alignment))
    return Comparison(
        reference=about,
        videos=tuple(compared),
        normal=tuple(courses[path] for path in correct),
        leave_one_out=not normal,
        level=level,
        settings=coarsest.settings,
        versions=package_versions(),
        failed=tuple(failed),
    )


def _check_number(videos: int, normal: int | None) -> None:
    """Check that there are enough videos to judge by; ``normal`` is None if no correct ones were named."""
    if not videos:
        raise ParameterError("no video to compare with the reference; name one")
    if normal is not None and normal < LEAST_NORMAL:
        raise ParameterError(
            f"{_count(normal, 'correct video')} (--normal) beside the reference; at least {LEAST_NORMAL} are needed to "
            "know how much they differ"
        )
    if normal is None and videos <= LEAST_NORMAL:
        raise ParameterError(
            f"{_count(videos, 'video')} beside the reference and no correct ones to judge by; name at least "
            f"{LEAST_NORMAL} correct videos (--normal), or {LEAST_NORMAL + 1} videos that judge each other"
        )


def _count(number: int, name: str) -> str:
    return f"{number} {name}" if number == 1 else f"{number} {name}s"


def _with_course(alignment: Alignment, _: PairJob) -> tuple[Alignment, Course]:
    """The alignment with means over areas for its matrix, and the course that was followed over the whole matrix."""
    similarity, areas = area_means(alignment.similarity)
    reduction = alignment.reduction[0] * areas[0], alignment.reduction[1] * areas[1]
    return replace(alignment, similarity=similarity, reduction=reduction), course_of(alignment)
