"""Aligning many pairs of videos: every video against a reference, or pairs from a list."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from lactoolkit.alignment.align import align_videos
from lactoolkit.alignment.result import Alignment
from lactoolkit.errors import ManifestError, ParameterError
from lactoolkit.features.process_pool import Outcome, run_items
from lactoolkit.video.csv_table import read_table
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
    finish: Callable[[Alignment, PairJob], object] | None = None,
    **options: Any,
) -> Generator[Outcome[PairJob, Alignment]]:
    """Align many pairs of videos; one bad video stops no other pair.

    Parameters
    ----------
    jobs : sequence of PairJob
        The pairs.
    workers : int
        Processes side by side, each with its share of the cores.
    finish : callable, optional
        Called with each alignment and its job where it was computed, to write it for instance. Picklable if there are
        several workers.
    **options
        Passed to :func:`lactoolkit.align_videos`: ``encoder``, ``frame_rate``, ``hits``, ...

    Yields
    ------
    Outcome
        Job, alignment and error, in order of completion. To be light, the alignments come without their matrix.

    Examples
    --------
    >>> from lactoolkit.alignment.many import align_pairs, star_jobs
    >>> for one in align_pairs(star_jobs("reference.mp4", ["a.mp4", "b.mp4"]), workers=2):  # doctest: +SKIP
    ...     print(one.item.name, one.result.verdict if one.result else one.error)
    """
    return run_items(partial(_align_one, finish=finish, options=options), jobs, workers)


def _align_one(
    job: PairJob, *, finish: Callable[[Alignment, PairJob], object] | None, options: dict[str, Any]
) -> Alignment:
    alignment = align_videos(job.a, job.b, **job.ranges, **options)
    if finish is not None:
        finish(alignment, job)
    return replace(alignment, similarity=np.zeros((0, 0), np.float32))


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
