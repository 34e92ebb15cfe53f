"""Which videos a training run learns from."""

from __future__ import annotations

from pathlib import Path

from lactoolkit.errors import TrainingError
from lactoolkit.features.store import find_videos


def training_sources(source: str | Path) -> list[tuple[Path, str]]:
    """Videos of a folder or of a manifest, with the names of the processes they show.

    Raises
    ------
    TrainingError
        If there is no video to learn from.
    """
    found = [(path, "") for path in find_videos([source])]
    if not found:
        raise TrainingError(f"{source}: no videos in it")
    return found
