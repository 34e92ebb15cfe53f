"""Pouring and Penn Action as the authors of CARL prepared them, which those of LAC use too: pickles beside videos."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from lactoolkit.errors import ManifestError
from lactoolkit.video.dataset_item import DatasetItem
from lactoolkit.video.datasets import VideoRecord
from lactoolkit.video.labels import phase_labels
from lactoolkit.video.restricted_pickle import read_plain_pickle

PICKLES = ("train.pkl", "val.pkl", "test.pkl")
# Videos of Penn Action are named by number and action: 0001_baseball_pitch.
_NUMBERED = re.compile(r"\d{4}_(\w+)")


def read_carl_folder(folder: str | Path) -> list[DatasetItem]:
    """List the videos of a folder with ``train.pkl``, ``val.pkl`` and ``videos/``, with their labels.

    Each pickle holds a list with one dict per video (Penn Action: a tuple of that list and a list of indices per
    action): ``name``, ``seq_len`` (number of frames), ``frame_label`` (phase of each frame) and, mostly,
    ``video_file``, relative to the folder; without it the video is ``videos/NAME.mp4``. The pickles are read without
    running anything that they may hold beside data.

    Parameters
    ----------
    folder : str or Path
        The folder.

    Returns
    -------
    list of DatasetItem
        The class is the action in the name of a Penn Action video, else the name of the folder.

    Raises
    ------
    ManifestError
        A pickle is damaged, holds anything but data, or has another structure; or a video is not there.
    """
    folder = Path(folder)
    items = []
    for name in PICKLES:
        path = folder / name
        if path.exists():
            content = read_plain_pickle(path)
            if isinstance(content, tuple) and len(content) == 2:
                content = content[0]
            if not isinstance(content, list):
                raise ManifestError(f"{path}: holds a {type(content).__name__}, not a list of videos")
            items += [_item(folder, path, number, entry) for number, entry in enumerate(content)]
    if not items:
        raise ManifestError(f"{folder}: no videos in {' or '.join(PICKLES)}")
    return items


def _item(folder: Path, pickle: Path, number: int, entry: Any) -> DatasetItem:
    where = f"{pickle}: entry {number}"
    if not isinstance(entry, Mapping) or not isinstance(entry.get("name"), str):
        raise ManifestError(f"{where} is no dict with a 'name'; expected 'name', 'seq_len' and 'frame_label'")
    name = entry["name"]
    try:
        phases = np.asarray(entry["frame_label"])
        length = int(entry["seq_len"])
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise ManifestError(f"{where} ({name}): no valid 'seq_len' and 'frame_label' ({error!r})") from error
    if phases.shape != (length,) or phases.dtype.kind not in "iu" or phases.min(initial=0) < -1:
        raise ManifestError(
            f"{where} ({name}): 'frame_label' must hold a whole number, -1 or more, for each of {length} frames, not "
            f"{phases.dtype} of shape {phases.shape}"
        )
    video = folder / str(entry.get("video_file", f"videos/{name}.mp4"))
    if not video.is_file():
        raise ManifestError(f"{where} ({name}): no such file: {video}")
    action = _NUMBERED.fullmatch(name)
    record = VideoRecord(
        path=video, split=pickle.stem, class_name=action[1] if action else folder.resolve().name.strip()
    )
    return DatasetItem(record, phase_labels(phases.tolist()))
