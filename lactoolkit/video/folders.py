"""Finding the videos in folders."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from lactoolkit.errors import VideoError

# Folders are searched for these; files named one by one may be called anything.
VIDEO_SUFFIXES = frozenset({".3gp", ".avi", ".flv", ".gif", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg"})
VIDEO_SUFFIXES |= {".mts", ".mxf", ".ogv", ".ts", ".vob", ".webm", ".wmv"}


def find_videos(inputs: Iterable[str | Path]) -> list[Path]:
    """List the videos named by files and folders, each once, folders searched at any depth in order of name.

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
    files = (file for file in folder.rglob("*") if file.suffix.lower() in VIDEO_SUFFIXES and file.is_file())
    return sorted(file for file in files if not file.name.startswith("."))
