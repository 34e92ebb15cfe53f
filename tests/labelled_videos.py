"""Labelled videos without pictures: embeddings of any kind for labels of a known process."""

from pathlib import Path

import numpy as np

from lactoolkit.evaluation import LabelledVideo
from lactoolkit.features.video_embeddings import VideoEmbeddings
from lactoolkit.video.datasets import VideoRecord
from lactoolkit.video.decoding import VideoInfo
from lactoolkit.video.labels import FrameLabels

NAMES = ("reach", "lift", "place")


def make_phases(lengths, before=0, after=0):
    """Phases 0, 1, ... of the given lengths, with background before and after."""
    return np.concatenate([np.full(before, -1), np.repeat(np.arange(len(lengths)), lengths), np.full(after, -1)])


def embed_content(phases, rng, noise=0.05, dimensions=32):
    """Unit embeddings of the place in the process, the same in any video; background looks like nothing else."""
    centres = np.random.default_rng(12345).normal(size=(40, dimensions))
    values = rng.normal(size=(len(phases), dimensions))
    for phase in range(phases.max() + 1):
        frames = np.flatnonzero(phases == phase)
        place = phase + (np.arange(len(frames)) + 0.5) / len(frames)
        weights = np.exp(-0.5 * ((place[:, None] - np.arange(40) / 10) / 0.1) ** 2)
        values[frames] = weights @ centres
    values /= np.linalg.norm(values, axis=1, keepdims=True)
    values += noise * rng.normal(size=values.shape) / np.sqrt(dimensions)
    return (values / np.linalg.norm(values, axis=1, keepdims=True)).astype(np.float32)


def make_embeddings(path, values, frame_rate=30.0):
    frames = np.arange(len(values))
    info = VideoInfo(
        path=Path(path),
        width=96,
        height=64,
        frame_rate=frame_rate,
        duration=len(values) / frame_rate,
        frame_count=len(values),
        rotation=0,
        codec="h264",
        pixel_format="yuv420p",
    )
    return VideoEmbeddings(Path(path), "0" * 64, frames, frames / frame_rate, values, "made up", info)


def make_labelled(name, phases, values, **record):
    return LabelledVideo(
        make_embeddings(name, values),
        FrameLabels(phases.astype(np.int64), NAMES[: phases.max() + 1], phases >= 0),
        VideoRecord(Path(name), **record),
    )


def make_set(rng, count=4, *, split, class_name="", distractors=True, views=("left", "right"), embed=embed_content):
    """Episodes of a process of three phases at random pace, each from all views, every second one with background."""
    videos = []
    for episode in range(count):
        lengths = rng.integers(8, 20, 3)
        around = rng.integers(6, 15, 2) if distractors and episode % 2 else (0, 0)
        phases = make_phases(lengths, *around)
        for view in views:
            name = f"{class_name}_{split}_{episode}_{view}.mp4"
            videos.append(
                make_labelled(
                    name,
                    phases,
                    embed(phases, rng),
                    split=split,
                    class_name=class_name,
                    episode=str(episode),
                    view=view,
                )
            )
    return videos
