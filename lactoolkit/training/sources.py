"""Which videos a training run learns from."""

from __future__ import annotations

from pathlib import Path

from lactoolkit.errors import TrainingError
from lactoolkit.video.datasets import read_video_manifest


def training_sources(source: str | Path) -> list[tuple[Path, str]]:
    """Videos of a folder or of a manifest, with the names of the processes they show.

    Of a manifest, the rows whose split is ``train`` or empty.

    Raises
    ------
    ManifestError, VideoError
        If the manifest cannot be read or the folder holds no video.
    TrainingError
        If the manifest has no video to learn from.
    """
    records = read_video_manifest(source)
    chosen = [(record.path, record.class_name) for record in records if record.split in ("train", "")]
    if not chosen:
        raise TrainingError(
            f"{source}: all its videos have the split val or test; give those to learn from the split train"
        )
    return chosen
