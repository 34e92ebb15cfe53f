"""From a video file to embeddings that can be aligned: where encoders meet everything that compares videos."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lactoolkit.errors import VideoError
from lactoolkit.features.embedding import frame_embeddings
from lactoolkit.features.extraction import extract_features
from lactoolkit.video.decoding import VideoInfo

if TYPE_CHECKING:
    from lactoolkit.models.encoders import FrameEncoder


@dataclass(frozen=True)
class VideoEmbeddings:
    """Embeddings of the analysed frames of one video.

    Parameters
    ----------
    path : Path
        The file as the user named it.
    sha256 : str
        Hex digest of the file's bytes.
    frames : ndarray, shape (T,), int64
        Native numbers of the frames, counted from 0.
    times : ndarray, shape (T,), float64
        Their times in seconds from the start of the video.
    values : ndarray, shape (T, D), float32
        Embeddings of Euclidean norm 1 (or zero where nothing distinguishes a frame).
    encoder : str
        Identity of what computed them.
    info : VideoInfo
        What the file says about itself.
    """

    path: Path
    sha256: str
    frames: np.ndarray
    times: np.ndarray
    values: np.ndarray
    encoder: str
    info: VideoInfo

    def __len__(self) -> int:
        return len(self.frames)


def embed_video(
    path: str | Path,
    encoder: str | FrameEncoder = "lite0",
    *,
    weights: str | Path | None = None,
    device: str = "auto",
    frame_rate: float | None = None,
    start: float | None = None,
    end: float | None = None,
    cache: bool = True,
    progress: bool = False,
) -> VideoEmbeddings:
    """Embed the frames of a video, ready to be aligned with another one embedded in the same way.

    Parameters
    ----------
    path : path
        The video.
    encoder : str or FrameEncoder
        Name of a frame encoder, or one that is loaded already (``weights`` and ``device`` then have no effect).
    weights : path, optional
        File of other weights.
    device : str
        ``"auto"``, ``"cpu"``, ``"cuda"``, ...
    frame_rate : float, optional
        Frames per second to embed; every frame by default.
    start, end : float, optional
        Range to embed in seconds.
    cache : bool
        Use and fill the cache of features.
    progress : bool
        Show a progress bar on stderr when it takes longer than a second.

    Returns
    -------
    VideoEmbeddings

    Raises
    ------
    VideoError
        If the file is missing or cannot be decoded, has a single frame in the range, or frames that all look the same.
    EncoderError
        If the encoder is unknown or has no weights.

    Examples
    --------
    >>> embed_video("data/samples/hammer_fast.mp4").values.shape
    (113, 5472)
    """
    path = Path(path)
    features = extract_features(
        path,
        encoder,
        weights=weights,
        device=device,
        frame_rate=frame_rate,
        start=start,
        end=end,
        cache=cache,
        progress=progress,
    )
    count = len(features.frames)
    if count < 2:
        raise VideoError(
            f"{path}: {count} frame to analyse; an alignment in time needs at least 2 "
            "(a longer range, or a higher --fps)"
        )
    values = frame_embeddings(features.values, features.tap_sizes)
    if not values.any():
        raise VideoError(
            f"{path}: all {count} frames look the same, so nothing can be told apart in time; "
            "choose a range (--start-a, --end-a, ...) in which something moves"
        )
    return VideoEmbeddings(
        path=path,
        sha256=features.sha256,
        frames=features.frames,
        times=features.times,
        values=values,
        encoder=features.encoder,
        info=features.info,
    )
