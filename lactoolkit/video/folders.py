"""Finding the videos in folders."""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from lactoolkit.errors import VideoError

# Folders are searched for these; files named one by one may be called anything.
VIDEO_SUFFIXES = frozenset({".3gp", ".avi", ".flv", ".gif", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg"})
VIDEO_SUFFIXES |= {".mts", ".mxf", ".ogv", ".ts", ".vob", ".webm", ".wmv"}


def find_videos(inputs: Iterable[str | Path]) -> list[Path]:
    """List the videos named by files and folders, each once, folders searched at any depth in order of name.

    Hidden folders in them are passed over, and those with results of lactoolkit, whose videos show others.

    Parameters
    ----------
    inputs : iterable of str or Path
        Files, taken as they are, and folders.

    Returns
    -------
    list of Path
        The videos; those in a folder are recognised by the ending of their names.

    Raises
    ------
    VideoError
        Nothing was named, or a folder holds no video.
    """
    found: dict[Path, Path] = {}
    for path in map(Path, inputs):
        videos = _videos_in(path) if path.is_dir() else [path]
        if not videos:
            raise VideoError(f"{path}: no videos in this folder; their names should end with .mp4, .mov, .mkv, ...")
        for video in videos:
            found.setdefault(video.resolve(), video)
    if not found:
        raise VideoError("no video to extract; name a video file or a folder of videos")
    return list(found.values())


def _videos_in(folder: Path) -> list[Path]:
    found = []
    for place, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".") and not _holds_results(Path(place, name))]
        found += [Path(place, name) for name in names if not name.startswith(".")]
    return sorted(file for file in found if file.suffix.lower() in VIDEO_SUFFIXES and file.is_file())


def _holds_results(folder: Path) -> bool:
    """Whether there is a document of lactoolkit in a folder, which says so in its first field."""
    for document in folder.glob("*.json"):
        with suppress(OSError), open(document, "rb") as file:
            if file.read(40).lstrip(b"{ \r\n").startswith(b'"format": "lactoolkit-'):
                return True
    return False
