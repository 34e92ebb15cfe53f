"""Data sets with an ``index.json`` per task, such as simulated runs with exact labels."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from lactoolkit.errors import ManifestError
from lactoolkit.video.datasets import VideoRecord


def read_indexed_folder(folder: str | Path) -> list[VideoRecord]:
    """List the videos of a task's folder, or of a folder of such folders.

    A task's folder holds ``index.json``, whose list ``videos`` gives ``id``, ``video`` (a path whose last part lies in
    ``videos/``), ``split``, ``task``, ``episode``, ``camera`` and ``distractor_kind`` of each, and
    ``labels/<id>.csv`` where there are labels.

    Parameters
    ----------
    folder : str or Path
        The folder.

    Returns
    -------
    list of VideoRecord
        With the task as class, the camera as view.

    Raises
    ------
    ManifestError
        There is no index, it is damaged, or a video that it lists is not there.
    """
    folder = Path(folder)
    indices = [folder / "index.json"] if (folder / "index.json").exists() else sorted(folder.glob("*/index.json"))
    if not indices:
        raise ManifestError(f"{folder}: no index.json in this folder or in those right below it")
    return [record for index in indices for record in _records(index)]


def _records(index: Path) -> list[VideoRecord]:
    try:
        content = json.loads(index.read_text(encoding="utf-8"))
        entries = content["videos"]
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise ManifestError(f"{index}: not an index of videos ({error!r}); it needs a list named 'videos'") from error
    return [_record(index, number, entry) for number, entry in enumerate(entries)]


def _record(index: Path, number: int, entry: dict[str, Any]) -> VideoRecord:
    try:
        video = index.parent / "videos" / Path(entry["video"]).name
        labels = index.parent / "labels" / f"{entry['id']}.csv"
        record = VideoRecord(
            path=video,
            split=entry["split"],
            class_name=entry["task"],
            labels=labels if labels.exists() else None,
            episode=f"{entry['episode']:02d}",
            view=entry["camera"],
            distractor=entry["distractor_kind"],
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ManifestError(f"{index}: entry {number} of 'videos' is incomplete or damaged ({error!r})") from error
    if not video.exists():
        raise ManifestError(f"{index}: entry {number} of 'videos' names {video}, which is not there")
    return record
