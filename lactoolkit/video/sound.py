"""The sound of a stretch of a video, on the clock of its pictures."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import suppress
from fractions import Fraction
from pathlib import Path

import av.error
import numpy as np
from av.audio.resampler import AudioResampler

from lactoolkit.video.container import open_video
from lactoolkit.video.media_facts import read_media_facts

SOUND_RATE = 48_000  # samples per second
_LOOSE = SOUND_RATE // 100  # samples by which timestamps may be off, as those that count in milliseconds are


def read_sound(path: str | Path, start: float, end: float) -> Generator[np.ndarray]:
    """Read the sound of a stretch of a video in constant memory.

    Parameters
    ----------
    path : str or Path
        The video.
    start, end : float
        Seconds from its first picture.

    Yields
    ------
    ndarray, shape (2, K), float32
        Left and right at :data:`SOUND_RATE`, ``(end - start)`` seconds in all; silence where the video has no sound.

    Raises
    ------
    VideoError
        The video cannot be read.
    """
    path = Path(path)
    first_time = read_media_facts(path).first_time
    total, done = round((end - start) * SOUND_RATE), 0
    for time, samples in _decode(path):
        place = round((time - first_time - start) * SOUND_RATE)
        if abs(place - done) <= _LOOSE:
            place = done
        if place > done:
            yield from _silence(min(place, total) - done)
            done = min(place, total)
        kept = samples[:, done - place : total - place]
        if kept.shape[1]:
            yield kept
            done += kept.shape[1]
        if done >= total:
            return
    yield from _silence(total - done)


def _decode(path: Path) -> Iterator[tuple[float, np.ndarray]]:
    """Pieces of the first sound track, each with its time in the file."""
    with open_video(path) as (container, _):
        track = next(iter(container.streams.audio), None)
        if track is None:
            return
        begin = (container.start_time or 0) / 1e6
        resampler = AudioResampler("fltp", "stereo", SOUND_RATE)
        with suppress(av.error.FFmpegError):  # what follows damage that ends the reading is silent
            for packet in container.demux(track):
                frames = []
                with suppress(av.error.FFmpegError):  # what cannot be decoded is silent
                    frames = packet.decode()
                for frame in frames:
                    for piece in resampler.resample(frame):
                        time = float((piece.pts or 0) * (piece.time_base or Fraction(1, SOUND_RATE)))
                        yield time - begin, piece.to_ndarray()


def _silence(count: int) -> Iterator[np.ndarray]:
    for start in range(0, count, SOUND_RATE):
        yield np.zeros((2, min(SOUND_RATE, count - start)), np.float32)
