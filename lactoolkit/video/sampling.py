"""Choosing frames of any frame rate, constant or not, by a common grid of times."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from math import floor
from typing import NamedTuple

from av.video.frame import VideoFrame


class TimedFrame(NamedTuple):
    """A decoded frame with its native number and its time in seconds after the first frame."""

    number: int
    time: float
    frame: VideoFrame


def nearest_to_grid(
    frames: Iterable[TimedFrame], rate: float, previous_time: float | None = None
) -> Iterator[TimedFrame]:
    """Keep the frames that are nearest to some tick of the grid 0, 1 / rate, 2 / rate, ...

    No frame is given twice: where frames are sparser than the ticks, every frame is kept.
    A tick exactly between two frames takes the earlier one.

    Parameters
    ----------
    frames : iterable of TimedFrame
        Frames in order of time.
    rate : float
        Ticks per second.
    previous_time : float, optional
        Time of the frame before the first of `frames`, when there is one.

    Yields
    ------
    TimedFrame
        The chosen frames, one frame behind the input.
    """
    # Frame k owns the ticks in (middle to k - 1, middle to k + 1]. Ticks up to a position are counted by floor;
    # the small number takes ticks that rounding puts just after the middle to the earlier frame.
    pending: TimedFrame | None = None
    ticks_before = -1
    interval = 0.0
    for frame in frames:
        if pending is not None:
            interval = frame.time - pending.time
            ticks = floor((pending.time + frame.time) / 2 * rate + 1e-6)
            if ticks > ticks_before:
                yield pending
            ticks_before = ticks
        elif previous_time is not None:
            interval = frame.time - previous_time
            ticks_before = floor((previous_time + frame.time) / 2 * rate + 1e-6)
        pending = frame
    if pending is not None and floor((pending.time + interval / 2) * rate + 1e-6) > ticks_before:
        yield pending
