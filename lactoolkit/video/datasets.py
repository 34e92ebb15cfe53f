"""Lists of videos: what to train on, what to evaluate on, and the labels of their frames."""

from __future__ import annotations

import csv
import difflib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lactoolkit.errors import ManifestError
from lactoolkit.video.csv_table import read_table, replacing_text
from lactoolkit.video.folders import VIDEO_SUFFIXES, find_videos

SPLITS = ("train", "val", "test", "")
_COLUMNS = ("path", "split", "class", "labels", "episode", "view", "distractor")


@dataclass(frozen=True)
class VideoRecord:
    """One video of a data set.

    Parameters
    ----------
    path : Path
        The video.
    split : str
        "train", "val", "test" or "" where nothing is said.
    class_name : str
        The process it shows; videos of one class can be aligned.
    labels : Path, optional
        File of frame labels, read by :func:`lactoolkit.video.labels.read_labels`.
    episode : str
        Recordings of the same class and episode show the very same run, from several cameras.
    view : str
        The camera.
    distractor : str
        What kind of unrelated frames stand before or after the process.
    """

    path: Path
    split: str = ""
    class_name: str = ""
    labels: Path | None = None
    episode: str = ""
    view: str = ""
    distractor: str = ""


def read_video_manifest(path: str | Path) -> list[VideoRecord]:
    """Read a list of videos from a CSV file, or take all videos in a folder.

    Columns of the CSV file: ``path`` and, all of them optional, ``split``, ``class``, ``labels``, ``episode``, ``view``
    and ``distractor``. Paths are absolute or relative to the CSV file's folder. Further columns are ignored.

    Parameters
    ----------
    path : str or Path
        The CSV file; or a folder, searched for videos at any depth in order of name, without labels.

    Returns
    -------
    list of VideoRecord
        At least one, in the order of the file.

    Raises
    ------
    ManifestError
        The file is missing or no CSV in UTF-8; a line names a video or label file that is not there, a video for the
        second time or an unknown split (the message gives the line's number); or there is no video.
    VideoError
        The folder holds no video.

    Examples
    --------
    >>> [record.path.name for record in read_video_manifest("data/samples")]
    ['hammer_fast.mp4', 'hammer_slow.mp4']
    """
    path = Path(path)
    if path.is_dir():
        return [VideoRecord(video) for video in find_videos([path])]
    if path.suffix.lower() in VIDEO_SUFFIXES:
        raise ManifestError(f"{path}: this is one video; name a folder of videos, or a CSV file that lists them")
    table = read_table(path, required=("path",), known=_COLUMNS)
    records: list[VideoRecord] = []
    lines: dict[str, int] = {}
    missing: list[str] = []
    for line, row in table.rows:
        where = f"{path}, line {line}"
        record = _record(path.parent, row, where)
        named = [file for file in (record.path, record.labels) if file is not None]
        missing += [f"{where}: no such file: {_shown(file)}" for file in named if not file.exists()]
        identity = os.path.realpath(record.path)
        if identity in lines:
            raise ManifestError(
                f"{where}: {_shown(record.path)} is listed in line {lines[identity]} already; keep one of the two"
            )
        lines[identity] = line
        records.append(record)
    if missing:
        others = f" (and {len(missing) - 1} more files)" if len(missing) > 1 else ""
        raise ManifestError(f"{missing[0]}{others}; paths are relative to the folder of the CSV file")
    if not records:
        raise ManifestError(f"{path}: lists no videos; it needs one line per video below the header")
    return records


def write_video_manifest(records: Sequence[VideoRecord], path: str | Path) -> None:
    """Write a list of videos as the CSV file that :func:`read_video_manifest` reads.

    Files below the CSV file's folder are named relative to it, so that the folder can be moved as a whole; others by
    their absolute path. Columns without any value are left out. The file appears when it is complete.

    Parameters
    ----------
    records : sequence of VideoRecord
        The videos.
    path : str or Path
        The file to write; an existing one is replaced.

    Raises
    ------
    OutputError
        The file cannot be written.

    Examples
    --------
    >>> write_video_manifest([VideoRecord(Path("takes/a.mp4"), split="train")], "takes.csv")  # doctest: +SKIP
    """
    path = Path(path)
    folder = path.parent
    rows = [
        {
            "path": _relative(record.path, folder),
            "split": record.split,
            "class": record.class_name,
            "labels": "" if record.labels is None else _relative(record.labels, folder),
            "episode": record.episode,
            "view": record.view,
            "distractor": record.distractor,
        }
        for record in records
    ]
    columns = [name for name in _COLUMNS if name == "path" or any(row[name] for row in rows)]
    with replacing_text(path) as file:
        writer = csv.DictWriter(file, columns, extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def _record(folder: Path, row: dict[str, str], where: str) -> VideoRecord:
    if not row["path"].strip():
        raise ManifestError(f"{where}: no path; name the video, or delete the line")
    values = {name: row.get(name, "").strip() for name in _COLUMNS}
    split = values["split"]
    if split not in SPLITS:
        near = difflib.get_close_matches(split.lower(), SPLITS[:3], 1, 0.5)
        raise ManifestError(
            f"{where}: unknown split {split!r}; "
            + (f"did you mean {near[0]!r}?" if near else "write train, val, test or nothing")
        )
    return VideoRecord(
        path=_located(folder, row["path"]),
        split=split,
        class_name=values["class"],
        labels=_located(folder, row["labels"]) if values["labels"] else None,
        episode=values["episode"],
        view=values["view"],
        distractor=values["distractor"],
    )


def _located(folder: Path, text: str) -> Path:
    """The file that a cell names: as it is written, else without the blanks around it."""
    exact = folder / text
    return exact if exact.exists() else folder / text.strip()


def _relative(file: Path, folder: Path) -> str:
    absolute, base = Path(os.path.abspath(file)), Path(os.path.abspath(folder))
    return absolute.relative_to(base).as_posix() if absolute.is_relative_to(base) else absolute.as_posix()


def _shown(file: Path) -> str:
    return str(file) if str(file) == str(file).strip() and str(file).isprintable() else repr(str(file))
