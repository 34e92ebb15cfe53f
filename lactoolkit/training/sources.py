"""Which videos a training run learns from."""

from __future__ import annotations

from pathlib import Path

from lactoolkit.errors import ManifestError, TrainingError
from lactoolkit.video.layouts import detect_layout, read_dataset


def training_sources(source: str | Path) -> list[tuple[Path, str]]:
    """Videos of a folder, a manifest or a data set, with the names of the processes they show.

    Of a manifest, and of a data set in one of the layouts of :mod:`lactoolkit.video.layouts`, those whose split is
    ``train`` or empty.

    Raises
    ------
    ManifestError, VideoError
        If the manifest cannot be read or the folder holds no video.
    TrainingError
        If there is no video to learn from, or videos come as images.
    """
    layout = detect_layout(source)
    try:
        items = read_dataset(source, layout)
    except ManifestError as error:
        if layout in ("csv", "folder"):
            raise
        raise ManifestError(
            f"{error}; {source} looks like a data set ({layout}): if it is just a folder of videos, list them "
            f"(lac manifest {source} --layout folder -o LIST.csv) and give LIST.csv"
        ) from error
    if any(item.images is not None for item in items):
        raise TrainingError(
            f"{source}: its videos are folders of images; make videos of them (lac manifest {source} -o LIST.csv) and "
            "give LIST.csv"
        )
    chosen = [(item.record.path, item.record.class_name) for item in items if item.record.split in ("train", "")]
    if not chosen:
        raise TrainingError(
            f"{source}: all its videos have the split val or test; give those to learn from the split train"
        )
    return chosen
