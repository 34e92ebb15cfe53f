"""What a data set's own files say about one video, before it is written as a list of videos."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from lactoolkit.video.datasets import VideoRecord
from lactoolkit.video.labels import FrameLabels


@dataclass(frozen=True)
class DatasetItem:
    """One video of a data set.

    Parameters
    ----------
    record : VideoRecord
        The video; its path is that of `images` where it has to be made from images first.
    labels : FrameLabels, optional
        Labels that are not in a file yet.
    images : Path, optional
        Folder of the frames as images.
    """

    record: VideoRecord
    labels: FrameLabels | None = None
    images: Path | None = None
