"""Aligning many pairs of videos: every video against a reference, or pairs from a list."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Generator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from lactoolkit.alignment.align import align_videos
from lactoolkit.alignment.kept import PairKeys, keep_result, load_kept
from lactoolkit.alignment.result import Alignment
from lactoolkit.errors import ManifestError, ParameterError, VideoError, VideoWarning
from lactoolkit.features.extraction import recorded_damage
from lactoolkit.features.process_pool import Outcome, run_items
from lactoolkit.features.tally import gather
from lactoolkit.video.csv_table import read_table
from lactoolkit.video.digest import file_sha256
from lactoolkit.video.timecode import parse_timecode

RANGES = ("start_a", "end_a", "start_b", "end_b")


@dataclass(frozen=True)
class PairJob:
    """Two videos to align.

    Parameters
    ----------
    name : str
        What to call the pair; different from all others.
    a, b : Path
        The videos.
    start_a, end_a, start_b, end_b : float, optional
        Range to analyse of each, in seconds.
    """

    name: str
    a: Path
    b: Path
    start_a: float | None = None
    end_a: float | None = None
    start_b: float | None = None
    end_b: float | None = None

    @property
    def ranges(self) -> dict[str, Any]:
        """The ranges as arguments of :func:`lactoolkit.align_videos`."""
        return {name: getattr(self, name) for name in RANGES}


def star_jobs(
    reference: str | Path, videos: Sequence[str | Path], *, start: float | None = None, end: float | None = None
) -> list[PairJob]:
    """Pairs of a star: every video against one reference, named after the video.

    Parameters
    ----------
    reference : path
        Video A of every pair.
    videos : sequence of paths
        Videos B.
    start, end : float, optional
        Range of the reference to analyse, in seconds.
    """
    names = _different([Path(video).stem for video in videos])
    return [
        PairJob(name, Path(reference), Path(video), start_a=start, end_a=end)
        for name, video in zip(names, videos, strict=True)
    ]


def read_pairs(path: str | Path) -> list[PairJob]:
    """Read pairs of videos from a CSV file.

    Columns: ``a`` and ``b`` (paths, absolute or relative to the file's folder) and, optional, ``name``, ``start_a``,
    ``end_a``, ``start_b`` and ``end_b`` (seconds, ``m:ss`` or ``h:mm:ss``). UTF-8.

    Parameters
    ----------
    path : path
        The file.

    Returns
    -------
    list of PairJob
        In the order of the file; pairs without a name are called after both videos.

    Raises
    ------
    ManifestError
        The file is missing or unreadable, or a line is wrong (the message gives its number).
    """
    path = Path(path)
    table = read_table(path, required=("a", "b"), known=("a", "b", "name", *RANGES))
    jobs = []
    for line, row in table.rows:
        if not row["a"].strip() or not row["b"].strip():
            raise ManifestError(f"{path}, line {line}: a pair needs both videos, a and b")
        a, b = (path.parent / row[side].strip() for side in ("a", "b"))
        name = row.get("name", "").strip() or f"{a.stem}__{b.stem}"
        if "/" in name or "\\" in name or name.startswith("."):
            raise ManifestError(f"{path}, line {line}: the name {name!r} cannot be that of a folder; use plain letters")
        try:
            ranges = {side: parse_timecode(row[side]) for side in RANGES if row.get(side, "").strip()}
        except ParameterError as error:
            raise ManifestError(f"{path}, line {line}: {error}") from error
        jobs.append(PairJob(name, a, b, **ranges))
    if not jobs:
        raise ManifestError(f"{path}: no pairs in this file; it needs one line for each below the header")
    names = _different([job.name for job in jobs])
    return [replace(job, name=name) for job, name in zip(jobs, names, strict=True)]


def align_pairs(
    jobs: Sequence[PairJob],
    *,
    workers: int = 1,
    finish: Callable[[Alignment, PairJob], Any] | None = None,
    keep: bool | None = None,
    **options: Any,
) -> Generator[Outcome[PairJob, Any]]:
    """Align many pairs of videos; one bad video stops no other pair.

    Parameters
    ----------
    jobs : sequence of PairJob
        The pairs.
    workers : int
        Processes side by side, each with its share of the cores.
    finish : callable, optional
        Called with each alignment and its job where it was computed, to write it for instance; what it returns is the
        result. Picklable if there are several workers. By default the alignments are the results; to be light, they
        come without their matrix.
    keep : bool, optional
        Whether to keep results in the cache as they come, and to take those that are there already from the same
        videos, options and version, so that an interrupted run can be begun again; not if ``cache`` is False. By
        default alignments are kept, and what ``finish`` makes is not: its results must be made of alignments, courses
        and arrays, and depend on nothing but the alignment.
    **options
        Passed to :func:`lactoolkit.align_videos`: ``encoder``, ``frame_rate``, ``hits``, ...

    Yields
    ------
    Outcome
        Job, result and error: first those kept from an earlier run, then in order of completion.

    Examples
    --------
    >>> from lactoolkit.alignment.many import align_pairs, star_jobs
    >>> for one in align_pairs(star_jobs("reference.mp4", ["a.mp4", "b.mp4"]), workers=2):  # doctest: +SKIP
    ...     print(one.item.name, one.result.verdict if one.result else one.error)
    """
    if keep is None:
        keep = finish is None
    finish = finish or without_matrix
    keys = PairKeys(finish, options) if keep and options.get("cache", True) else None
    digest = cache(file_sha256)
    waiting = []
    for job in jobs:
        result = None
        if keys is not None:
            with suppress(VideoError):  # said where the pair is aligned
                result = load_kept(keys.of(job.a, digest(job.a), job.b, digest(job.b), job.ranges))
        if result is None:
            waiting.append(job)
        else:
            yield Outcome(job, result, kept=True)
    yield from run_items(partial(_align_one, finish=finish, keys=keys, options=options), waiting, workers)


def align_all(
    jobs: Sequence[PairJob], *, workers: int = 1, progress: bool = False, **options: Any
) -> list[Outcome[PairJob, Any]]:
    """Align many pairs of videos as :func:`align_pairs` does; what interrupts it carries a note of how far it came.

    Parameters
    ----------
    jobs : sequence of PairJob
        The pairs.
    workers : int
        Processes side by side.
    progress : bool
        Show progress bars on stderr when it takes longer than a second.
    **options
        Passed to :func:`align_pairs`.

    Returns
    -------
    list of Outcome
        In the order of the jobs.
    """
    # With one worker, the progress of a long video is worth seeing too.
    run = align_pairs(jobs, workers=workers, progress=progress and workers == 1, **options)
    bar = tqdm(total=len(jobs), desc="aligning", unit="pair", delay=1, disable=not progress)
    outcomes = gather(run, len(jobs), "done", bar=bar, resumable=options.get("cache", True))
    places = {job.name: place for place, job in enumerate(jobs)}
    return sorted(outcomes, key=lambda one: places[one.item.name])


def without_matrix(alignment: Alignment, _: PairJob | None = None) -> Alignment:
    """An alignment that is light: its matrix, which nothing but a report needs, has no cells."""
    return replace(alignment, similarity=np.zeros((0, 0), np.float32))


def _align_one(
    job: PairJob, *, finish: Callable[[Alignment, PairJob], Any], keys: PairKeys | None, options: dict[str, Any]
) -> Any:
    damage: list[str] = []
    try:
        with recorded_damage() as damage:
            alignment = align_videos(job.a, job.b, **job.ranges, **options)
            result = finish(alignment, job)
    finally:
        for message in damage:
            warnings.warn(message, VideoWarning, stacklevel=2)
    if keys is not None:
        keep_result(keys.of(job.a, alignment.a.sha256, job.b, alignment.b.sha256, job.ranges), result, damage)
    return result


def _different(names: Sequence[str]) -> list[str]:
    """Number names that come again, so that each can be a folder on any file system."""
    taken: set[str] = set()
    result = []
    for name in names:
        unique, number = name, 1
        while unique.lower() in taken:
            number += 1
            unique = f"{name}_{number}"
        taken.add(unique.lower())
        result.append(unique)
    return result
