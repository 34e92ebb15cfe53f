"""Named stretches and moments of a video, in seconds: subtitles, steps, events."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from lactoolkit.errors import ManifestError, ParameterError
from lactoolkit.video.csv_table import read_table, separator_hint
from lactoolkit.video.labels import FrameLabels, read_labels
from lactoolkit.video.timecode import parse_timecode

_COLUMNS = ("start", "end", "name")


@dataclass(frozen=True)
class NamedInterval:
    """A stretch of a video with a name, or a moment.

    Parameters
    ----------
    name : str
        What it shows.
    start : float
        Seconds from the start of the video.
    end : float or None
        Where it ends; None for a moment.

    Raises
    ------
    ParameterError
        It ends before it starts.
    """

    name: str
    start: float
    end: float | None = None

    def __post_init__(self) -> None:
        if self.end is not None and self.end < self.start:
            raise ParameterError(f"{self.name!r} ends at {self.end:g} s, before it starts at {self.start:g} s")


def read_intervals(path: str | Path) -> list[NamedInterval]:
    """Read named intervals from a CSV file with the columns ``start``, ``end`` and ``name``.

    Times are seconds, ``m:ss`` or ``h:mm:ss``, with or without decimals. Where ``end`` is empty or missing, the line
    stands for a moment. UTF-8, with or without a byte order mark.

    Parameters
    ----------
    path : str or Path
        The file.

    Returns
    -------
    list of NamedInterval
        In the order of the file.

    Raises
    ------
    ManifestError
        The file is missing or unreadable, or a line is wrong (the message gives its number).
    """
    path = Path(path)
    table = read_table(path, required=("start", "name"), known=_COLUMNS)
    intervals = []
    for line, row in table.rows:
        try:
            end = row.get("end", "").strip()
            interval = NamedInterval(
                row["name"].strip(), parse_timecode(row["start"]), parse_timecode(end) if end else None
            )
        except ParameterError as error:
            raise ManifestError(f"{path}, line {line}: {error}") from error
        intervals.append(interval)
    if not intervals:
        raise ManifestError(f"{path}: no intervals in this file; it needs one line for each below the header")
    return intervals


def read_annotation(path: str | Path) -> FrameLabels | list[NamedInterval]:
    """Read a file of frame labels or of named intervals, told apart by the first column of their header.

    Parameters
    ----------
    path : str or Path
        A CSV file with a column ``frame`` (see :func:`lactoolkit.video.labels.read_labels`) or ``start`` (see
        :func:`read_intervals`).

    Returns
    -------
    FrameLabels or list of NamedInterval

    Raises
    ------
    ManifestError
        The file is missing, unreadable, neither of the two, or wrong.
    """
    columns = read_table(Path(path), required=(), known=("frame", "phase", "phase_name", "in_core", *_COLUMNS)).columns
    if "frame" in columns:
        return read_labels(path)
    if "start" in columns:
        return read_intervals(path)
    raise ManifestError(
        f"{path}, line 1: neither frame labels (columns frame, phase, phase_name) nor intervals (start, end, name)"
        f"{separator_hint(columns)}"
    )
