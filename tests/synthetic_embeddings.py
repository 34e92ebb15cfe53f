"""Embeddings of videos that never were, whose common stretches are known by construction."""

from pathlib import Path

import numpy as np

from lactoolkit.features.video_embeddings import VideoEmbeddings
from lactoolkit.video.decoding import VideoInfo

RATE = 30.0


def smooth_frames(rng, count, width=64):
    """A process: unit rows that change by and by."""
    rows = rng.normal(size=(count + 4, width))
    rows = sum(weight * rows[k : k + count] for k, weight in enumerate((0.3, 0.7, 1.0, 0.7, 0.3)))
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def embeddings(rows, rng=None, noise=0.03, name="a.mp4"):
    """Rows, with a little noise, as the embeddings of a video at 30 frames per second."""
    rows = np.asarray(rows, dtype=np.float64)
    if rng is not None:
        rows = rows + noise * rng.normal(size=rows.shape)
    rows = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    count = len(rows)
    info = VideoInfo(Path(name), 64, 48, RATE, count / RATE, count, 0, "h264", "yuv420p")
    return VideoEmbeddings(Path(name), "0" * 64, np.arange(count), np.arange(count) / RATE, rows, "synthetic", info)
